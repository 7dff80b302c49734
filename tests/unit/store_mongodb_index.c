/* SPDX-License-Identifier: Apache-2.0 */
/* The MongoDB store's index of alt names on a server: made by us, made by others, wrong, or kept out by what others
 * wrote. Needs a server (scripts/test-mongodb). */
#include "tests/unit/store_mongodb_fixture.h"

/* As another program's client: a document that our index of names need not have seen. */
static void put(const struct dkv_key_shape *shape)
{
    struct dkv_buf bytes = {0};
    dkv_test_key(shape, &bytes);
    dkv_test_mongodb_insert(database, COLLECTION, dkv_span_buf(&bytes));
    dkv_buf_done(&bytes);
}

static void make_index(const char *options)
{
    char command[512];
    snprintf(command, sizeof(command),
             "{\"createIndexes\": \"" COLLECTION "\", \"indexes\": [{\"key\": {\"keyAltNames\": 1}, %s}]}", options);
    dkv_test_mongodb_run(database, command);
}

static void the_first_name_makes_the_index(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    name_new_database();
    ASSERT_OK(again(&store, &err));

    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'a', .names = {"one"}}, &err));

    assert_index(store, DKV_INDEX_OK);
    ASSERT_RC(DKV_E_CONFLICT, dkv_test_insert(store, &(struct dkv_key_shape){.id = 'b', .names = {"one"}}, &err));
    store->ops->close(store);
}

static void an_index_that_others_made_will_do(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    name_new_database();
    make_index("\"name\": \"keyAltNames_1\", \"unique\": true, "
               "\"partialFilterExpression\": {\"keyAltNames\": {\"$exists\": true}}");
    ASSERT_OK(again(&store, &err));

    assert_index(store, DKV_INDEX_OK);
    ASSERT_OK(store->ops->ensure_index(store, &err));
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'a', .names = {"one"}}, &err));
    store->ops->close(store);
}

/* By what it does, not by its name; and beside one that wouldn't do. */
static void an_index_of_another_name_will_do(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    name_new_database();
    make_index("\"name\": \"names\", \"unique\": true, "
               "\"partialFilterExpression\": {\"keyAltNames\": {\"$exists\": true}}");
    dkv_test_mongodb_run(database, "{\"createIndexes\": \"" COLLECTION "\", \"indexes\": "
                                   "[{\"key\": {\"keyAltNames\": 1, \"status\": 1}, \"name\": \"other\"}]}");
    ASSERT_OK(again(&store, &err));

    assert_index(store, DKV_INDEX_OK);
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'a', .names = {"one"}}, &err));
    ASSERT_RC(DKV_E_CONFLICT, dkv_test_insert(store, &(struct dkv_key_shape){.id = 'b', .names = {"one"}}, &err));
    store->ops->close(store);
}

/* No name goes in; what is there is found, and keys without a name go in. */
static void assert_takes_no_names(struct dkv_store *store, const char *says)
{
    struct dkv_error err = {0};
    struct dkv_buf named = {0}, bytes = {0};
    enum dkv_clash clash = DKV_CLASH_NONE;
    const struct dkv_uuid id = dkv_test_id('x');
    put(&(struct dkv_key_shape){.id = 'x', .names = {"there"}});
    dkv_test_key(&(struct dkv_key_shape){.id = 'b', .names = {"new"}}, &bytes);
    const struct dkv_span document = dkv_span_buf(&bytes);

    ASSERT_RC(DKV_E_CONFIG, store->ops->insert(store, document, NULL, &err));
    ASSERT_SAYS(says);
    ASSERT_RC(DKV_E_CONFIG, store->ops->insert_many(store, &document, 1, &clash, &err));
    ASSERT_RC(DKV_E_CONFIG, store->ops->add_alt_name(store, &id, "new", NULL, &err));
    ASSERT_RC(DKV_E_CONFIG, store->ops->ensure_index(store, &err));
    ASSERT_SAYS(COLLECTION);

    ASSERT_OK(store->ops->get_by_alt_name(store, "there", &named, &err));
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'c'}, &err));
    ASSERT_OK(store->ops->remove_alt_name(store, &id, "there", NULL, &err));
    CU_ASSERT_EQUAL(raw_count(COLLECTION), 2);
    dkv_buf_done(&named);
    dkv_buf_done(&bytes);
}

static void an_index_that_is_not_unique_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    name_new_database();
    make_index("\"name\": \"keyAltNames_1\"");
    ASSERT_OK(again(&store, &err));

    assert_index(store, DKV_INDEX_NOT_UNIQUE);
    assert_takes_no_names(store, "unique");

    store->ops->close(store);
}

static void an_index_that_is_not_partial_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf bytes = {0};
    name_new_database();
    make_index("\"name\": \"keyAltNames_1\", \"unique\": true");
    ASSERT_OK(again(&store, &err));
    dkv_test_key(&(struct dkv_key_shape){.id = 'b', .names = {"new"}}, &bytes);

    assert_index(store, DKV_INDEX_NOT_PARTIAL);
    ASSERT_RC(DKV_E_CONFIG, store->ops->insert(store, dkv_span_buf(&bytes), NULL, &err));
    ASSERT_SAYS("partial");

    dkv_buf_done(&bytes);
    store->ops->close(store);
}

static void empty_lists_of_names_go_before_the_index_is_made(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf bytes = {0};
    name_new_database();
    put(&(struct dkv_key_shape){.id = 'a', .names = {"one"}});
    put(&(struct dkv_key_shape){.id = 'b', .names = {"two"}});
    dkv_test_mongodb_run(database, "{\"update\": \"" COLLECTION "\", \"updates\": [{\"q\": {}, \"multi\": true, "
                                   "\"u\": {\"$set\": {\"keyAltNames\": []}}}]}");
    ASSERT_OK(again(&store, &err));

    ASSERT_OK(store->ops->ensure_index(store, &err));

    assert_index(store, DKV_INDEX_OK);
    ASSERT_OK(dkv_test_get(store, 'a', &bytes, &err));
    struct dkv_document document = {0};
    ASSERT_OK(dkv_document_parse(dkv_span_buf(&bytes), &document, &err));
    CU_ASSERT(!document.has_alt_names);
    dkv_document_done(&document);
    dkv_buf_done(&bytes);
    store->ops->close(store);
}

static void a_name_that_two_have_is_a_conflict(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf document = {0};
    const struct dkv_uuid b = dkv_test_id('b');
    name_new_database();
    put(&(struct dkv_key_shape){.id = 'a', .names = {"one", "other"}});
    put(&(struct dkv_key_shape){.id = 'b', .names = {"one"}});
    ASSERT_OK(again(&store, &err));

    ASSERT_RC(DKV_E_CONFLICT, store->ops->get_by_alt_name(store, "one", &document, &err));
    ASSERT_SAYS("one");
    CU_ASSERT_EQUAL(document.len, 0);
    ASSERT_OK(store->ops->get_by_alt_name(store, "other", &document, &err));
    ASSERT_RC(DKV_E_CONFLICT, store->ops->ensure_index(store, &err));
    ASSERT_SAYS("one");
    assert_index(store, DKV_INDEX_MISSING);
    ASSERT_OK(store->ops->remove_alt_name(store, &b, "one", NULL, &err));
    ASSERT_OK(store->ops->ensure_index(store, &err));
    assert_index(store, DKV_INDEX_OK);
    dkv_buf_done(&document);
    store->ops->close(store);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(the_first_name_makes_the_index),
        DKV_TEST(an_index_that_others_made_will_do),
        DKV_TEST(an_index_of_another_name_will_do),
        DKV_TEST(an_index_that_is_not_unique_is_refused),
        DKV_TEST(an_index_that_is_not_partial_is_refused),
        DKV_TEST(empty_lists_of_names_go_before_the_index_is_made),
        DKV_TEST(a_name_that_two_have_is_a_conflict),
    };
    if (dkv_test_mongodb_uri() == NULL) {
        printf("1..0 # SKIP no MongoDB server: scripts/test-mongodb up\n");
        return 0;
    }
    dkv_store_quiet();
    const int status = dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
    dkv_test_mongodb_done();
    return status;
}
