/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of stores: documents are found by _id and by name, and counted. No lock: one thread. */
#include "tests/lib/store_contract_parts.h"

static void get_many_visits_those_there_are_once_and_in_order(void)
{
    struct dkv_error err = {0};
    struct dkv_contract_visited visited = {0};
    const struct dkv_uuid ids[] = {dkv_test_id('c'), dkv_test_id('x'), dkv_test_id('a'), dkv_test_id('c'),
                                   dkv_test_id('b')};
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add(&(struct dkv_key_shape){.id = 'b'});
    dkv_contract_add(&(struct dkv_key_shape){.id = 'c'});
    dkv_contract_add(&(struct dkv_key_shape){.id = 'a'});
    dkv_contract_add(&(struct dkv_key_shape){.id = 'd'});

    ASSERT_OK(store->ops->get_many(store, ids, DKV_COUNT(ids), dkv_contract_visit, &visited, &err));

    dkv_contract_assert_visited(&visited, "abc");
    ASSERT_OK(store->ops->get_many(store, NULL, 0, dkv_contract_visit, &visited, &err));
    CU_ASSERT_EQUAL(visited.n, 3);
    dkv_contract_finish();
}

static void a_name_that_nobody_has_is_not_found(void)
{
    struct dkv_error err = {0};
    struct dkv_buf none = {0};
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add(&(struct dkv_key_shape){.id = 'a', .names = {"one"}});

    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->get_by_alt_name(store, "One", &none, &err));

    ASSERT_SAYS("One");
    CU_ASSERT_EQUAL(none.len, 0);
    dkv_contract_finish();
}

static void odd_characters_in_names_mean_nothing(void)
{
    static const char *const names[] = {"a'b\"c", "%",    "_", "*", "[a]", "x\ny", "\xc3\xa9\xf0\x9f\x94\x91",
                                        ";--",    "$x.y", " "};
    struct dkv_error err = {0};
    struct dkv_store *store = dkv_contract_start();
    for (size_t i = 0; i < DKV_COUNT(names); i++) {
        dkv_contract_add(&(struct dkv_key_shape){.id = (uint8_t)('a' + i), .names = {names[i]}});
    }

    for (size_t i = 0; i < DKV_COUNT(names); i++) {
        struct dkv_buf document = {0};
        struct dkv_uuid id = {0};
        struct dkv_contract_visited visited = {0};
        struct dkv_key_filter filter = DKV_KEY_FILTER_ALL;
        filter.name_prefix = names[i];
        ASSERT_OK(store->ops->get_by_alt_name(store, names[i], &document, &err));
        CU_ASSERT(dkv_document_peek_id(dkv_span_buf(&document), &id));
        CU_ASSERT_EQUAL(id.bytes[0], 'a' + i);
        ASSERT_OK(store->ops->list(store, &filter, NULL, 0, dkv_contract_visit, &visited, &err));
        CU_ASSERT_EQUAL(visited.n, 1);
        CU_ASSERT_EQUAL(visited.ids[0], 'a' + i);
        dkv_buf_done(&document);
    }
    dkv_contract_finish();
}

static enum dkv_rc note_count(void *arg, const struct dkv_key_count *count, struct dkv_error *err)
{
    return dkv_buf_printf(arg, err, "%s/%s/%d=%u;", count->provider, count->cmk, count->status, (unsigned)count->count);
}

static void counts_are_by_provider_cmk_and_status(void)
{
    struct dkv_error err = {0};
    struct dkv_buf text = {0};
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add_assorted();
    dkv_contract_add(&(struct dkv_key_shape){.id = 'z', .provider = "aws:eu", .cmk = "key-2"});

    ASSERT_OK(store->ops->count_by(store, note_count, &text, &err));

    CU_ASSERT_STRING_EQUAL(
        dkv_buf_text(&text),
        "aws:eu/key-1/0=1;aws:eu/key-2/0=2;azure/{ \"provider\" : \"azure\", \"keyName\" : \"k\" }/0=1;"
        "local//0=1;local//1=1;pkcs11/0a0b/1=1;pkcs11:prod/key-1/0=1;");
    dkv_buf_done(&text);
    dkv_contract_finish();
}

static const struct dkv_test tests[] = {
    DKV_TEST(get_many_visits_those_there_are_once_and_in_order),
    DKV_TEST(a_name_that_nobody_has_is_not_found),
    DKV_TEST(odd_characters_in_names_mean_nothing),
    DKV_TEST(counts_are_by_provider_cmk_and_status),
};

const struct dkv_contract_part dkv_contract_read = {tests, DKV_COUNT(tests)};
