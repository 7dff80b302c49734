/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of stores: what somebody else put there is given to be judged, and never built upon.
 * No lock: one thread. */
#include "tests/lib/store_contract_parts.h"

#include <stdlib.h>

#include "base/mem.h"

/* Three keys and their bytes; then under 'a' the document of 'b', and no document under 'c'. */
struct damaged {
    struct dkv_store *store;
    struct dkv_buf a, b, c;
};

static void start_damaged(struct damaged *ret)
{
    struct dkv_error err = {0};
    const struct dkv_uuid a = dkv_test_id('a'), c = dkv_test_id('c');
    ret->store = dkv_contract_start();
    dkv_contract_add(&(struct dkv_key_shape){.id = 'a', .names = {"one"}});
    dkv_contract_add(&(struct dkv_key_shape){.id = 'b', .names = {"two"}});
    dkv_contract_add(&(struct dkv_key_shape){.id = 'c', .names = {"three"}});
    ASSERT_OK(dkv_test_get(ret->store, 'b', &ret->b, &err));
    dkv_contract_plant(&a, dkv_span_buf(&ret->b), &ret->a);
    dkv_contract_plant(&c, dkv_span_str("no BSON"), &ret->c);
}

static void finish_damaged(struct damaged *damaged)
{
    dkv_buf_done(&damaged->a);
    dkv_buf_done(&damaged->b);
    dkv_buf_done(&damaged->c);
    dkv_contract_finish();
}

static enum dkv_rc write_row(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    DKV_TRY(dkv_buf_printf(arg, err, "%c=", id->bytes[0]));
    DKV_TRY(dkv_buf_append(arg, document, err));
    return dkv_buf_append_str(arg, ";", err);
}

static void rows_are_given_as_they_are_for_the_caller_to_judge(void)
{
    struct dkv_error err = {0};
    struct damaged damaged = {0};
    struct dkv_buf expected = {0}, listed = {0}, got = {0};
    const struct dkv_uuid ids[] = {dkv_test_id('a'), dkv_test_id('b'), dkv_test_id('c')};
    start_damaged(&damaged);
    struct dkv_store *store = damaged.store;
    const struct dkv_span bytes[] = {dkv_span_buf(&damaged.a), dkv_span_buf(&damaged.b), dkv_span_buf(&damaged.c)};
    for (size_t i = 0; i < DKV_COUNT(ids); i++) {
        ASSERT_OK(write_row(&expected, &ids[i], bytes[i], &err));
    }

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, write_row, &listed, &err));
    ASSERT_OK(store->ops->get_many(store, ids, DKV_COUNT(ids), write_row, &got, &err));

    CU_ASSERT(dkv_span_equal(dkv_span_buf(&listed), dkv_span_buf(&expected)));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&got), dkv_span_buf(&expected)));
    dkv_buf_done(&expected);
    dkv_buf_done(&listed);
    dkv_buf_done(&got);
    finish_damaged(&damaged);
}

static void bytes_longer_than_any_document_are_given_as_none(void)
{
    struct dkv_error err = {0};
    struct dkv_buf planted = {0}, listed = {0}, got = {0};
    const struct dkv_uuid id = dkv_test_id('a');
    uint8_t *longest = dkv_calloc(1, DKV_DOCUMENT_MAX + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(longest);
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add(&(struct dkv_key_shape){.id = 'a'});
    dkv_contract_plant(&id, dkv_span(longest, DKV_DOCUMENT_MAX + 1), &planted);
    CU_ASSERT(planted.len > DKV_DOCUMENT_MAX);

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, write_row, &listed, &err));
    ASSERT_OK(store->ops->get_many(store, &id, 1, write_row, &got, &err));

    CU_ASSERT(dkv_span_equal(dkv_span_buf(&listed), dkv_span_str("a=;")));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&got), dkv_span_str("a=;")));
    ASSERT_OK(store->ops->remove(store, &id, dkv_span(NULL, 0), &err));
    dkv_free(longest);
    dkv_buf_done(&planted);
    dkv_buf_done(&listed);
    dkv_buf_done(&got);
    dkv_contract_finish();
}

static void what_is_no_document_of_its_id_is_not_changed(void)
{
    static const uint8_t ids[] = {'a', 'c'};
    struct dkv_error err = {0};
    struct damaged damaged = {0};
    struct dkv_buf none = {0}, left = {0}, rows = {0}, same_rows = {0};
    const struct dkv_span any = dkv_span_str("wrapped bytes");
    start_damaged(&damaged);
    struct dkv_store *store = damaged.store;
    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, write_row, &rows, &err));

    for (size_t i = 0; i < DKV_COUNT(ids); i++) {
        const struct dkv_uuid id = dkv_test_id(ids[i]);
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->set_status(store, &id, 1, NULL, &err));
        CU_ASSERT_EQUAL(strtol(err.key, NULL, 16), id.bytes[0] * 0x1010101L);
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->add_alt_name(store, &id, "new", NULL, &err));
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->remove_alt_name(store, &id, "one", NULL, &err));
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->replace_material(store, &id, any, any, any, any, &err));
    }

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->get_by_alt_name(store, "one", &none, &err));
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->get_by_alt_name(store, "three", &none, &err));
    CU_ASSERT_EQUAL(none.len, 0);
    ASSERT_OK(dkv_test_get(store, 'b', &left, &err));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&left), dkv_span_buf(&damaged.b)));
    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, write_row, &same_rows, &err));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&same_rows), dkv_span_buf(&rows)));
    dkv_buf_done(&left);
    dkv_buf_done(&rows);
    dkv_buf_done(&same_rows);
    finish_damaged(&damaged);
}

static void what_is_no_document_of_its_id_can_be_removed(void)
{
    struct dkv_error err = {0};
    struct damaged damaged = {0};
    struct dkv_contract_visited visited = {0};
    const struct dkv_uuid a = dkv_test_id('a'), c = dkv_test_id('c');
    start_damaged(&damaged);
    struct dkv_store *store = damaged.store;

    ASSERT_RC(DKV_E_CONFLICT, store->ops->remove(store, &a, dkv_span_str("no BSON"), &err));
    ASSERT_OK(store->ops->remove(store, &a, dkv_span_buf(&damaged.a), &err));
    ASSERT_OK(store->ops->remove(store, &c, dkv_span(NULL, 0), &err));

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, dkv_contract_visit, &visited, &err));
    dkv_contract_assert_visited(&visited, "b");
    dkv_contract_add(&(struct dkv_key_shape){.id = 'd', .names = {"one", "three"}}); /* the names are free */
    finish_damaged(&damaged);
}

static const struct dkv_test tests[] = {
    DKV_TEST(rows_are_given_as_they_are_for_the_caller_to_judge),
    DKV_TEST(bytes_longer_than_any_document_are_given_as_none),
    DKV_TEST(what_is_no_document_of_its_id_is_not_changed),
    DKV_TEST(what_is_no_document_of_its_id_can_be_removed),
};

const struct dkv_contract_part dkv_contract_damage = {tests, DKV_COUNT(tests)};
