/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of stores: a change is made only to what is expected, and to nothing else. No lock: one thread. */
#include "tests/lib/store_contract_parts.h"

#include <stdio.h>

static void material_is_replaced_only_if_it_is_the_expected_one(void)
{
    struct dkv_error err = {0};
    struct dkv_buf old_key = {0}, new_key = {0}, bytes = {0};
    struct dkv_document document = {0};
    const struct dkv_uuid id = dkv_test_id('a'), other = dkv_test_id('x');
    const struct dkv_span old = dkv_span_str("old"), fresh = dkv_span_str("new");
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add(&(struct dkv_key_shape){
        .id = 'a', .material = "old", .created_ms = 5, .updated_ms = 6, .status = 1, .names = {"n"}});
    dkv_test_master_key("local", "", &old_key);
    dkv_test_master_key("aws:eu", "key-9", &new_key);
    const struct dkv_span was = dkv_span_buf(&old_key), becomes = dkv_span_buf(&new_key);

    ASSERT_RC(DKV_E_CONFLICT, store->ops->replace_material(store, &id, was, fresh, becomes, fresh, &err));
    ASSERT_RC(DKV_E_CONFLICT, store->ops->replace_material(store, &id, becomes, old, becomes, fresh, &err));
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->replace_material(store, &other, was, old, becomes, fresh, &err));
    ASSERT_OK(store->ops->replace_material(store, &id, was, old, becomes, fresh, &err));
    ASSERT_RC(DKV_E_CONFLICT, store->ops->replace_material(store, &id, was, old, becomes, fresh, &err));

    ASSERT_OK(dkv_test_get(store, 'a', &bytes, &err));
    ASSERT_OK(dkv_document_parse(dkv_span_buf(&bytes), &document, &err));
    CU_ASSERT(dkv_span_equal(document.key_material, fresh));
    CU_ASSERT(dkv_span_equal(document.master_key, becomes));
    CU_ASSERT_EQUAL(document.creation_date_ms, 5);
    CU_ASSERT(document.update_date_ms > 1600000000000);
    CU_ASSERT_EQUAL(document.status, 1);
    CU_ASSERT_EQUAL(document.n_alt_names, 1);
    struct dkv_key_filter filter = {"aws:eu", "key-9", 1, "n", INT64_MIN, INT64_MAX, 1600000000000, INT64_MAX};
    struct dkv_contract_visited visited = {0};
    ASSERT_OK(store->ops->list(store, &filter, NULL, 0, dkv_contract_visit, &visited, &err));
    dkv_contract_assert_visited(&visited, "a");
    dkv_document_done(&document);
    dkv_buf_done(&bytes);
    dkv_buf_done(&old_key);
    dkv_buf_done(&new_key);
    dkv_contract_finish();
}

static void status_is_set_and_says_whether_it_changed(void)
{
    struct dkv_error err = {0};
    struct dkv_contract_visited visited = {0};
    struct dkv_key_filter filter = DKV_KEY_FILTER_ALL;
    const struct dkv_uuid id = dkv_test_id('a'), other = dkv_test_id('x');
    bool changed = false;
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add(&(struct dkv_key_shape){.id = 'a', .updated_ms = 6});

    ASSERT_OK(store->ops->set_status(store, &id, 1, &changed, &err));
    CU_ASSERT(changed);
    ASSERT_OK(store->ops->set_status(store, &id, 1, &changed, &err));
    CU_ASSERT(!changed);
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->set_status(store, &other, 1, &changed, &err));
    ASSERT_RC(DKV_E_INVALID, store->ops->set_status(store, &id, 2, &changed, &err));

    filter.status = 1;
    ASSERT_OK(store->ops->list(store, &filter, NULL, 0, dkv_contract_visit, &visited, &err));
    dkv_contract_assert_visited(&visited, "a");
    dkv_contract_finish();
}

static void a_name_is_added_once_and_to_one_key_only(void)
{
    struct dkv_error err = {0};
    struct dkv_buf named = {0};
    struct dkv_document document = {0};
    const struct dkv_uuid a = dkv_test_id('a'), b = dkv_test_id('b'), other = dkv_test_id('x');
    bool changed = false;
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add(&(struct dkv_key_shape){.id = 'a', .updated_ms = 6});
    dkv_contract_add(&(struct dkv_key_shape){.id = 'b'});

    ASSERT_OK(store->ops->add_alt_name(store, &a, "one", &changed, &err));
    CU_ASSERT(changed);
    ASSERT_OK(store->ops->add_alt_name(store, &a, "two", NULL, &err));
    ASSERT_OK(store->ops->add_alt_name(store, &a, "one", &changed, &err));
    CU_ASSERT(!changed);
    ASSERT_RC(DKV_E_CONFLICT, store->ops->add_alt_name(store, &b, "one", &changed, &err));
    ASSERT_SAYS("61616161-6161-6161-6161-616161616161");
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->add_alt_name(store, &other, "three", &changed, &err));
    ASSERT_RC(DKV_E_INVALID, store->ops->add_alt_name(store, &a, "", &changed, &err));

    dkv_contract_assert_names('a', (const char *[]){"one", "two"}, 2);
    dkv_contract_assert_names('b', NULL, 0);
    ASSERT_OK(store->ops->get_by_alt_name(store, "two", &named, &err));
    ASSERT_OK(dkv_document_parse(dkv_span_buf(&named), &document, &err));
    CU_ASSERT_EQUAL(document.update_date_ms, 6);
    dkv_document_done(&document);
    dkv_buf_done(&named);
    dkv_contract_finish();
}

static void the_field_goes_with_its_last_name(void)
{
    struct dkv_error err = {0};
    struct dkv_buf none = {0};
    const struct dkv_uuid a = dkv_test_id('a'), b = dkv_test_id('b'), other = dkv_test_id('x');
    bool changed = false;
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add(&(struct dkv_key_shape){.id = 'a', .names = {"one", "two", "three"}});
    dkv_contract_add(&(struct dkv_key_shape){.id = 'b'});

    ASSERT_OK(store->ops->remove_alt_name(store, &a, "two", &changed, &err));
    CU_ASSERT(changed);
    dkv_contract_assert_names('a', (const char *[]){"one", "three"}, 2);
    ASSERT_OK(store->ops->remove_alt_name(store, &a, "two", &changed, &err));
    CU_ASSERT(!changed);
    ASSERT_OK(store->ops->remove_alt_name(store, &a, "three", &changed, &err));
    ASSERT_OK(store->ops->remove_alt_name(store, &a, "one", &changed, &err));
    CU_ASSERT(changed);
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->remove_alt_name(store, &other, "one", &changed, &err));

    dkv_contract_assert_names('a', NULL, 0);
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->get_by_alt_name(store, "one", &none, &err));
    ASSERT_OK(store->ops->add_alt_name(store, &b, "one", &changed, &err)); /* free again */
    dkv_contract_finish();
}

void dkv_test_rename(struct dkv_store *store, struct dkv_span document)
{
    struct dkv_error err = {0};
    struct dkv_buf between = {0}, after = {0};
    const struct dkv_uuid id = dkv_test_id('a');
    ASSERT_OK(store->ops->insert(store, document, NULL, &err));

    ASSERT_OK(store->ops->add_alt_name(store, &id, "n", NULL, &err));
    ASSERT_OK(dkv_test_get(store, 'a', &between, &err));
    ASSERT_OK(store->ops->remove_alt_name(store, &id, "n", NULL, &err));
    ASSERT_OK(dkv_test_get(store, 'a', &after, &err));

    CU_ASSERT(between.len > document.len);
    CU_ASSERT(dkv_span_equal(dkv_span(document.data + 4, document.len - 5),
                             dkv_span(between.data + 4, document.len - 5)));
    CU_ASSERT(dkv_span_equal(document, dkv_span_buf(&after)));
    dkv_buf_done(&between);
    dkv_buf_done(&after);
}

static void a_rename_leaves_every_other_byte(void)
{
    struct dkv_buf document = {0};
    struct dkv_store *store = dkv_contract_start();
    dkv_test_strange_key(false /* id_is_last */, &document);

    dkv_test_rename(store, dkv_span_buf(&document));

    dkv_buf_done(&document);
    dkv_contract_finish();
}

static void removal_may_insist_on_the_document(void)
{
    struct dkv_error err = {0};
    struct dkv_buf stored = {0}, none = {0};
    const struct dkv_uuid a = dkv_test_id('a'), b = dkv_test_id('b');
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add(&(struct dkv_key_shape){.id = 'a', .names = {"one"}});
    dkv_contract_add(&(struct dkv_key_shape){.id = 'b', .names = {"two"}});
    ASSERT_OK(dkv_test_get(store, 'a', &stored, &err));

    ASSERT_RC(DKV_E_CONFLICT, store->ops->remove(store, &b, dkv_span_buf(&stored), &err));
    ASSERT_OK(store->ops->remove(store, &a, dkv_span_buf(&stored), &err));
    ASSERT_OK(store->ops->remove(store, &b, dkv_span(NULL, 0), &err));
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->remove(store, &b, dkv_span(NULL, 0), &err));

    ASSERT_RC(DKV_E_NOT_FOUND, dkv_test_get(store, 'a', &none, &err));
    dkv_contract_add(&(struct dkv_key_shape){.id = 'c', .names = {"one", "two"}}); /* the names are free */
    dkv_buf_done(&stored);
    dkv_contract_finish();
}

#define NAMES 1000

/* The document's names are "name FIRST" ... , in this order, each found. */
static void assert_numbered_names(struct dkv_store *store, struct dkv_span bytes, unsigned first, size_t n)
{
    struct dkv_error err = {0};
    struct dkv_document document = {0};
    char expected[32];
    ASSERT_OK(dkv_document_parse(bytes, &document, &err));
    CU_ASSERT_EQUAL_FATAL(document.n_alt_names, n);
    for (size_t i = 0; i < n; i++) {
        snprintf(expected, sizeof(expected), "name %zu", first + i);
        CU_ASSERT_STRING_EQUAL_FATAL(document.alt_names[i], expected);
    }
    for (size_t i = 0; i < n; i += 111) {
        struct dkv_buf named = {0};
        ASSERT_OK(store->ops->get_by_alt_name(store, document.alt_names[i], &named, &err));
        CU_ASSERT(dkv_span_equal(dkv_span_buf(&named), bytes));
        dkv_buf_done(&named);
    }
    dkv_document_done(&document);
}

static void a_key_may_have_a_thousand_names(void)
{
    static char texts[NAMES][16];
    const char *names[NAMES];
    struct dkv_error err = {0};
    struct dkv_buf bytes = {0}, changed = {0}, none = {0};
    const struct dkv_uuid id = dkv_test_numbered_id(1);
    struct dkv_store *store = dkv_contract_start();
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(texts[i], sizeof(texts[i]), "name %u", i);
        names[i] = texts[i];
    }
    dkv_test_numbered_key(1, names, NAMES, &bytes);

    ASSERT_OK(store->ops->insert(store, dkv_span_buf(&bytes), NULL, &err));
    assert_numbered_names(store, dkv_span_buf(&bytes), 0, NAMES);
    ASSERT_OK(store->ops->add_alt_name(store, &id, "name 1000", NULL, &err));
    ASSERT_OK(store->ops->remove_alt_name(store, &id, "name 0", NULL, &err));

    ASSERT_OK(store->ops->get_by_alt_name(store, "name 1000", &changed, &err));
    assert_numbered_names(store, dkv_span_buf(&changed), 1, NAMES);
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->get_by_alt_name(store, "name 0", &none, &err));
    ASSERT_OK(store->ops->remove(store, &id, dkv_span_buf(&changed), &err));
    dkv_contract_add(&(struct dkv_key_shape){.id = 'b', .names = {"name 1", "name 1000"}}); /* all are free */
    dkv_buf_done(&bytes);
    dkv_buf_done(&changed);
    dkv_contract_finish();
}

static const struct dkv_test tests[] = {
    DKV_TEST(material_is_replaced_only_if_it_is_the_expected_one),
    DKV_TEST(status_is_set_and_says_whether_it_changed),
    DKV_TEST(a_name_is_added_once_and_to_one_key_only),
    DKV_TEST(the_field_goes_with_its_last_name),
    DKV_TEST(a_rename_leaves_every_other_byte),
    DKV_TEST(removal_may_insist_on_the_document),
    DKV_TEST(a_key_may_have_a_thousand_names),
};

const struct dkv_contract_part dkv_contract_write = {tests, DKV_COUNT(tests)};
