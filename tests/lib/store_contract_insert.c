/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of stores: documents go in whole, or not at all and with the reason. No lock: one thread. */
#include "tests/lib/store_contract_parts.h"

static void an_inserted_document_is_read_back_byte_for_byte(void)
{
    struct dkv_error err = {0};
    struct dkv_buf document = {0}, by_id = {0}, by_name = {0};
    struct dkv_store *store = dkv_contract_start();
    dkv_test_key(&(struct dkv_key_shape){.id = 'a', .names = {"one", "two"}}, &document);

    ASSERT_OK(store->ops->insert(store, dkv_span_buf(&document), NULL, &err));

    ASSERT_OK(dkv_test_get(store, 'a', &by_id, &err));
    ASSERT_OK(store->ops->get_by_alt_name(store, "two", &by_name, &err));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&document), dkv_span_buf(&by_id)));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&document), dkv_span_buf(&by_name)));
    dkv_buf_done(&document);
    dkv_buf_done(&by_id);
    dkv_buf_done(&by_name);
    dkv_contract_finish();
}

static void a_taken_id_is_a_clash_of_ids(void)
{
    struct dkv_error err = {0};
    struct dkv_buf document = {0}, old = {0};
    enum dkv_clash clash = DKV_CLASH_NONE;
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add(&(struct dkv_key_shape){.id = 'a', .names = {"one"}});
    dkv_test_key(&(struct dkv_key_shape){.id = 'a', .names = {"two"}}, &document);

    ASSERT_RC(DKV_E_CONFLICT, store->ops->insert(store, dkv_span_buf(&document), &clash, &err));

    CU_ASSERT_EQUAL(clash, DKV_CLASH_ID);
    ASSERT_SAYS("61616161-6161-6161-6161-616161616161");
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->get_by_alt_name(store, "two", &old, &err));
    dkv_contract_assert_names('a', (const char *[]){"one"}, 1);
    dkv_buf_done(&document);
    dkv_contract_finish();
}

static void a_taken_name_is_a_clash_of_names_and_leaves_nothing(void)
{
    struct dkv_error err = {0};
    struct dkv_buf document = {0}, none = {0};
    enum dkv_clash clash = DKV_CLASH_NONE;
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add(&(struct dkv_key_shape){.id = 'a', .names = {"one"}});
    dkv_test_key(&(struct dkv_key_shape){.id = 'b', .names = {"new", "one"}}, &document);

    ASSERT_RC(DKV_E_CONFLICT, store->ops->insert(store, dkv_span_buf(&document), &clash, &err));

    CU_ASSERT_EQUAL(clash, DKV_CLASH_NAME);
    ASSERT_SAYS("\"one\"");
    ASSERT_RC(DKV_E_NOT_FOUND, dkv_test_get(store, 'b', &none, &err));
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->get_by_alt_name(store, "new", &none, &err));
    CU_ASSERT_EQUAL(none.len, 0);
    dkv_buf_done(&document);
    dkv_contract_finish();
}

static void bytes_that_are_no_key_document_are_not_inserted(void)
{
    struct dkv_error err = {0};
    struct dkv_contract_visited visited = {0};
    struct dkv_store *store = dkv_contract_start();

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->insert(store, dkv_span("\5\0\0\0", 5), NULL, &err));

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, dkv_contract_visit, &visited, &err));
    CU_ASSERT_EQUAL(visited.n, 0);
    dkv_contract_finish();
}

static const struct dkv_test tests[] = {
    DKV_TEST(an_inserted_document_is_read_back_byte_for_byte),
    DKV_TEST(a_taken_id_is_a_clash_of_ids),
    DKV_TEST(a_taken_name_is_a_clash_of_names_and_leaves_nothing),
    DKV_TEST(bytes_that_are_no_key_document_are_not_inserted),
};

const struct dkv_contract_part dkv_contract_insert = {tests, DKV_COUNT(tests)};
