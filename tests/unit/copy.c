/* SPDX-License-Identifier: Apache-2.0 */
/* Copying a vault: between SQLite and MongoDB either way, and what must never happen: a document overwritten, one lost,
 * or one counted that isn't there. */
#include <mongoc/mongoc.h>

#include "tests/unit/copy_fixture.h"

/* ---- On every route ---- */

static void all_keys_are_copied_unchanged_and_found_by_their_names(void)
{
    struct dkv_error err = {0};
    struct dkv_buf strange = {0}, named = {0};
    put(from, &(struct dkv_key_shape){.id = 'b', .names = {"one"}, .created_ms = 5, .updated_ms = 6});
    put(from, &(struct dkv_key_shape){.id = 'c', .names = {"two", "three", "Zeichen: ü"}, .status = 1});
    put(from, &(struct dkv_key_shape){.id = 'd', .provider = "aws:eu", .cmk = "arn:aws:kms:eu-west-1:1:key/x"});
    put(from, &(struct dkv_key_shape){.id = 0xff, .provider = "azure", .cmk = "k"});
    put(from, &(struct dkv_key_shape){.id = 0});
    dkv_test_strange_key(true /* id_is_last */, &strange);
    put_bytes(from, &strange);

    assert_copy(false, 6, 0, 0);

    assert_equal_vaults(6);
    ASSERT_OK(to->store->ops->get_by_alt_name(to->store, "Zeichen: ü", &named, &err));
    CU_ASSERT_EQUAL(fake.opens, 0);
    CU_ASSERT_EQUAL(seen.progress.copied, 6);
    dkv_buf_done(&named);
    dkv_buf_done(&strange);
}
ON_EVERY_ROUTE(all_keys_are_copied_unchanged_and_found_by_their_names);

static void an_empty_vault_is_copied(void)
{
    assert_copy(false, 0, 0, 0);
    assert_copy(true, 0, 0, 0);
    CU_ASSERT_EQUAL(fake_count(to), 0);
}
ON_EVERY_ROUTE(an_empty_vault_is_copied);

static void copying_again_finds_all_present_and_adds_what_is_new(void)
{
    struct dkv_buf strange = {0};
    dkv_test_strange_key(true /* id_is_last */, &strange);
    put_bytes(from, &strange);
    put(from, &(struct dkv_key_shape){.id = 'b', .names = {"one"}});
    assert_copy(false, 2, 0, 0);
    put(from, &(struct dkv_key_shape){.id = 'c'});

    assert_copy(true, 1, 2, 0);
    assert_copy(false, 1, 2, 0);
    assert_copy(false, 0, 3, 0);

    assert_equal_vaults(3);
    dkv_buf_done(&strange);
}
ON_EVERY_ROUTE(copying_again_finds_all_present_and_adds_what_is_new);

static void more_keys_than_a_page_are_copied(void)
{
    put_numbered(from, 0, 2 * DKV_STORE_BATCH + 1);
    put_numbered(to, 900, 1100); /* across the first page's end */

    assert_copy(true, 2 * DKV_STORE_BATCH - 199, 200, 0);
    assert_copy(false, 2 * DKV_STORE_BATCH - 199, 200, 0);

    assert_equal_vaults(2 * DKV_STORE_BATCH + 1);
    CU_ASSERT_EQUAL(seen.n_progress, 3);
}
ON_EVERY_ROUTE(more_keys_than_a_page_are_copied);

static void exactly_a_page_is_copied(void)
{
    put_numbered(from, 0, DKV_STORE_BATCH);

    assert_copy(false, DKV_STORE_BATCH, 0, 0);

    assert_equal_vaults(DKV_STORE_BATCH);
}
ON_EVERY_ROUTE(exactly_a_page_is_copied);

static void another_document_of_an_id_is_refused_and_stays(void)
{
    put(from, &(struct dkv_key_shape){.id = 'a', .material = "the source's"});
    put(from, &(struct dkv_key_shape){.id = 'b'});
    put(to, &(struct dkv_key_shape){.id = 'a', .material = "another's"});
    struct dkv_buf before = get(to, 'a');

    assert_copy(true, 1, 0, 1);
    assert_copy(false, 1, 0, 1);

    assert_refused('a', DKV_E_CONFLICT, "another document with _id 61616161-6161-6161-6161-616161616161");
    struct dkv_buf after = get(to, 'a');
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&before), dkv_span_buf(&after)));
    CU_ASSERT(has(to, 'b'));
    dkv_buf_done(&before);
    dkv_buf_done(&after);
}
ON_EVERY_ROUTE(another_document_of_an_id_is_refused_and_stays);

static void a_key_that_differs_only_in_its_status_is_another_document(void)
{
    put(from, &(struct dkv_key_shape){.id = 'a', .status = 0});
    put(to, &(struct dkv_key_shape){.id = 'a', .status = 1});

    assert_copy(false, 0, 0, 1);

    assert_refused('a', DKV_E_CONFLICT, "another document");
}
ON_EVERY_ROUTE(a_key_that_differs_only_in_its_status_is_another_document);

static void a_name_that_another_key_has_is_refused_and_both_are_named(void)
{
    put(from, &(struct dkv_key_shape){.id = 'a', .names = {"free", "taken"}});
    put(from, &(struct dkv_key_shape){.id = 'b', .names = {"other"}});
    put(to, &(struct dkv_key_shape){.id = 'z', .names = {"taken"}});

    assert_copy(true, 1, 0, 1);
    assert_refused('a', DKV_E_CONFLICT, "\"taken\" belongs to 7a7a7a7a-7a7a-7a7a-7a7a-7a7a7a7a7a7a");
    CU_ASSERT_FALSE(has(to, 'b'));
    assert_copy(false, 1, 0, 1);

    assert_refused('a', DKV_E_CONFLICT, "\"taken\" belongs to 7a7a7a7a-7a7a-7a7a-7a7a-7a7a7a7a7a7a");
    CU_ASSERT_FALSE(has(to, 'a'));
    CU_ASSERT(has(to, 'b'));
}
ON_EVERY_ROUTE(a_name_that_another_key_has_is_refused_and_both_are_named);

static void a_name_that_is_pinned_to_another_key_is_refused(void)
{
    struct dkv_pinned_name pinned[] = {
        {.name = "salary", .id = dkv_test_id('z')},
        {.name = "ssn", .id = dkv_test_id('b')},
    };
    struct dkv_vault_settings *settings = &fake_settings()[1];
    settings->names = pinned;
    settings->n_names = 2;
    put(from, &(struct dkv_key_shape){.id = 'a', .names = {"x", "salary"}});
    put(from, &(struct dkv_key_shape){.id = 'b', .names = {"ssn"}});

    assert_copy(true, 1, 0, 1);
    assert_copy(false, 1, 0, 1);

    assert_refused('a', DKV_E_POLICY, "\"salary\" is pinned");
    CU_ASSERT_FALSE(has(to, 'a'));
    CU_ASSERT(has(to, 'b'));
}
ON_EVERY_ROUTE(a_name_that_is_pinned_to_another_key_is_refused);

static void assert_state(const char *key, const char *value)
{
    struct dkv_error err = {0};
    struct dkv_buf found = {0};
    ASSERT_OK(to->store->ops->state_get(to->store, key, &found, &err));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&found), dkv_span_str(value)));
    dkv_buf_done(&found);
}

static void state_goes_where_there_is_none_and_stays_where_there_is(void)
{
    struct dkv_error err = {0};
    struct dkv_buf none = {0};
    put_state(from, "cmk/local/a", "first");
    put_state(from, "cmk/local/b", "second");
    put_state(from, "cmk/local/c", "third");
    put_state(to, "cmk/local/b", "second");
    put_state(to, "cmk/local/c", "its own");

    assert_copy(true, 0, 0, 0);
    ASSERT_RC(DKV_E_NOT_FOUND, to->store->ops->state_get(to->store, "cmk/local/a", &none, &err));
    assert_copy(false, 0, 0, 0);

    assert_state("cmk/local/a", "first");
    assert_state("cmk/local/b", "second");
    assert_state("cmk/local/c", "its own");
}
ON_EVERY_ROUTE(state_goes_where_there_is_none_and_stays_where_there_is);

static void a_dry_run_writes_nothing(void)
{
    put(from, &(struct dkv_key_shape){.id = 'a'});
    put(from, &(struct dkv_key_shape){.id = 'b', .names = {"x"}});

    assert_copy(true, 2, 0, 0);

    CU_ASSERT_EQUAL(fake_count(to), 0);
    CU_ASSERT_EQUAL(fake_audit_has("vault-copy"), 0);
}
ON_EVERY_ROUTE(a_dry_run_writes_nothing);

static void a_long_document_and_a_page_of_long_ones_are_copied(void)
{
    static char material[7000], cmk[900000];
    memset(material, 'm', sizeof(material) - 1);
    memset(cmk, 'c', sizeof(cmk) - 1);
    for (uint8_t i = 0; i < 12; i++) {
        put(from, &(struct dkv_key_shape){.id = i, .provider = "kmip", .cmk = cmk, .material = material});
    }

    assert_copy(false, 12, 0, 0);

    assert_equal_vaults(12);
    CU_ASSERT(seen.n_progress > 2); /* settled by bytes, not by documents */
}
ON_EVERY_ROUTE(a_long_document_and_a_page_of_long_ones_are_copied);

/* ---- From a SQLite vault that others have written ---- */

static void assert_damaged_rows_are_refused(enum kind to_kind)
{
    static const uint8_t too_long[DKV_DOCUMENT_MAX + 1];
    open_vaults(SQLITE, to_kind);
    put(from, &(struct dkv_key_shape){.id = 'a'});
    put(from, &(struct dkv_key_shape){.id = 'b'});
    put(from, &(struct dkv_key_shape){.id = 'c'});
    struct dkv_buf a = get(from, 'a');
    struct dkv_span cut = dkv_span(a.data, a.len - 1);
    const struct {
        struct dkv_span bytes;
        const char *words;
    } cases[] = {
        {dkv_span(NULL, 0), "keeps no document"},
        {dkv_span(too_long, sizeof(too_long)), "more than 1048576 bytes"},
        {dkv_span_str("no BSON at all"), "not a key document"},
        {cut, "not BSON"},
        {dkv_span_buf(&a), "keeps the document of key 61616161-6161-6161-6161-616161616161"},
    };
    for (size_t i = 0; i < DKV_COUNT(cases); i++) {
        plant('b', cases[i].bytes);

        assert_copy(true, i == 0 ? 2 : 0, i == 0 ? 0 : 2, 1);
        assert_copy(false, i == 0 ? 2 : 0, i == 0 ? 0 : 2, 1);

        assert_refused('b', DKV_E_REJECTED_CIPHERTEXT, cases[i].words);
        CU_ASSERT_FALSE(has(to, 'b'));
    }
    dkv_buf_done(&a);
    close_vaults();
}

static void damaged_rows_are_refused_and_the_others_copied_to_sqlite(void)
{
    assert_damaged_rows_are_refused(SQLITE);
}

static void damaged_rows_are_refused_and_the_others_copied_to_mongodb(void)
{
    if (secure_getenv("DEKVAULT_TEST_MONGODB_URI") == NULL) {
        dkv_test_skip("no MongoDB server: scripts/test-mongodb up");
        return;
    }
    assert_damaged_rows_are_refused(MONGODB);
}

static void a_damaged_row_at_the_destination_is_never_overwritten(void)
{
    open_vaults(SQLITE, SQLITE);
    put(from, &(struct dkv_key_shape){.id = 'a'});
    put(to, &(struct dkv_key_shape){.id = 'a'});
    const struct dkv_uuid id = dkv_test_id('a');
    dkv_test_plant(to->store, &id, dkv_span_str("the only trace of somebody's key"));

    assert_copy(false, 0, 0, 1);

    assert_refused('a', DKV_E_CONFLICT, "another document");
    struct dkv_buf after = get(to, 'a');
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&after), dkv_span_str("the only trace of somebody's key")));
    dkv_buf_done(&after);
    close_vaults();
}

/* ---- What only MongoDB does ---- */

static void drop_database(void)
{
    const char *uri = secure_getenv("DEKVAULT_TEST_MONGODB_URI");
    char name[64];
    if (uri == NULL) {
        return;
    }
    snprintf(name, sizeof(name), "dkv_copy_%ld", (long)getpid());
    mongoc_client_t *client = mongoc_client_new(uri);
    mongoc_database_t *database = client != NULL ? mongoc_client_get_database(client, name) : NULL;
    if (database != NULL) {
        (void)mongoc_database_drop(database, NULL);
    }
    mongoc_database_destroy(database);
    mongoc_client_destroy(client);
}

static void the_id_of_a_document_moves_to_the_front_in_mongodb_and_that_is_the_same(void)
{
    struct dkv_buf strange = {0}, expected = {0};
    struct dkv_error err = {0};
    if (secure_getenv("DEKVAULT_TEST_MONGODB_URI") == NULL) {
        dkv_test_skip("no MongoDB server: scripts/test-mongodb up");
        return;
    }
    open_vaults(SQLITE, MONGODB);
    dkv_test_strange_key(true /* id_is_last */, &strange);
    put_bytes(from, &strange);
    ASSERT_OK(dkv_document_id_first(dkv_span_buf(&strange), &expected, &err));

    assert_copy(false, 1, 0, 0);
    assert_copy(false, 0, 1, 0);

    struct dkv_buf stored = get(to, 'a');
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&stored), dkv_span_buf(&expected)));
    dkv_buf_done(&stored);
    dkv_buf_done(&strange);
    dkv_buf_done(&expected);
    close_vaults();
}

/* A valid document with an empty array of names, as other writers leave it. */
static void put_with_no_names(struct dkv_vault *vault, uint8_t id)
{
    struct dkv_error err = {0};
    const struct dkv_uuid uuid = dkv_test_id(id);
    bson_t *bson = BCON_NEW("_id", BCON_BIN(BSON_SUBTYPE_UUID, uuid.bytes, 16), "keyAltNames", "[", "]", "keyMaterial",
                            BCON_BIN(BSON_SUBTYPE_BINARY, (const uint8_t *)"wrapped", 7), "creationDate",
                            BCON_DATE_TIME(1), "updateDate", BCON_DATE_TIME(2), "status", BCON_INT32(0), "masterKey",
                            "{", "provider", BCON_UTF8("local"), "}");
    const enum dkv_rc rc =
        vault->store->ops->insert(vault->store, dkv_span(bson_get_data(bson), bson->len), NULL, &err);
    bson_destroy(bson);
    ASSERT_OK(rc);
}

static void empty_arrays_of_names_that_mongodb_does_not_take_are_refused_with_advice(void)
{
    if (secure_getenv("DEKVAULT_TEST_MONGODB_URI") == NULL) {
        dkv_test_skip("no MongoDB server: scripts/test-mongodb up");
        return;
    }
    open_vaults(SQLITE, MONGODB);
    put_with_no_names(from, 'a');
    put_with_no_names(from, 'b');

    assert_copy(false, 1, 0, 1);

    CU_ASSERT_EQUAL(seen.why.rc, DKV_E_CONFLICT);
    CU_ASSERT_PTR_NOT_NULL(strstr(seen.why.message, "empty array"));
    CU_ASSERT_EQUAL(fake_count(to), 1);
    close_vaults();
}

/* Past the store, as another program may. */
static void put_raw_without_index(uint8_t id, const char *name)
{
    struct dkv_buf bytes = {0};
    bson_t bson;
    bson_error_t error = {0};
    char database[64];
    snprintf(database, sizeof(database), "dkv_copy_%ld", (long)getpid());
    mongoc_client_t *client = mongoc_client_new(secure_getenv("DEKVAULT_TEST_MONGODB_URI"));
    mongoc_collection_t *keys = mongoc_client_get_collection(client, database, strchr(name_spaces[0], '.') + 1);
    (void)mongoc_collection_drop_index(keys, "keyAltNames_1", NULL);
    dkv_test_key(&(struct dkv_key_shape){.id = id, .names = {name}}, &bytes);
    CU_ASSERT(bson_init_static(&bson, bytes.data, bytes.len));
    CU_ASSERT(mongoc_collection_insert_one(keys, &bson, NULL, NULL, &error));
    mongoc_collection_destroy(keys);
    mongoc_client_destroy(client);
    dkv_buf_done(&bytes);
}

static void two_keys_of_one_name_in_mongodb_are_both_refused(void)
{
    if (secure_getenv("DEKVAULT_TEST_MONGODB_URI") == NULL) {
        dkv_test_skip("no MongoDB server: scripts/test-mongodb up");
        return;
    }
    open_vaults(MONGODB, SQLITE);
    put_raw_without_index('a', "double");
    put_raw_without_index('b', "double");
    put_raw_without_index('c', "single");

    assert_copy(true, 1, 0, 2);
    assert_copy(false, 1, 0, 2);

    assert_refused('b', DKV_E_CONFLICT, "double");
    CU_ASSERT(has(to, 'c'));
    close_vaults();
}

static void a_mongodb_destination_without_its_index_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_copy_counts counts = {99, 99, 99};
    if (secure_getenv("DEKVAULT_TEST_MONGODB_URI") == NULL) {
        dkv_test_skip("no MongoDB server: scripts/test-mongodb up");
        return;
    }
    open_vaults(MONGODB, SQLITE);
    put_raw_without_index('a', "single");
    struct dkv_vault *other = from;
    from = to;
    to = other;

    ASSERT_RC(DKV_E_CONFIG, try_copy(false, &counts, &err));

    ASSERT_SAYS("dekvault vault init");
    close_vaults();
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TESTS_OF_ROUTES(all_keys_are_copied_unchanged_and_found_by_their_names),
        DKV_TESTS_OF_ROUTES(an_empty_vault_is_copied),
        DKV_TESTS_OF_ROUTES(copying_again_finds_all_present_and_adds_what_is_new),
        DKV_TESTS_OF_ROUTES(more_keys_than_a_page_are_copied),
        DKV_TESTS_OF_ROUTES(exactly_a_page_is_copied),
        DKV_TESTS_OF_ROUTES(another_document_of_an_id_is_refused_and_stays),
        DKV_TESTS_OF_ROUTES(a_key_that_differs_only_in_its_status_is_another_document),
        DKV_TESTS_OF_ROUTES(a_name_that_another_key_has_is_refused_and_both_are_named),
        DKV_TESTS_OF_ROUTES(a_name_that_is_pinned_to_another_key_is_refused),
        DKV_TESTS_OF_ROUTES(state_goes_where_there_is_none_and_stays_where_there_is),
        DKV_TESTS_OF_ROUTES(a_dry_run_writes_nothing),
        DKV_TESTS_OF_ROUTES(a_long_document_and_a_page_of_long_ones_are_copied),
        DKV_TEST(damaged_rows_are_refused_and_the_others_copied_to_sqlite),
        DKV_TEST(damaged_rows_are_refused_and_the_others_copied_to_mongodb),
        DKV_TEST(a_damaged_row_at_the_destination_is_never_overwritten),
        DKV_TEST(the_id_of_a_document_moves_to_the_front_in_mongodb_and_that_is_the_same),
        DKV_TEST(empty_arrays_of_names_that_mongodb_does_not_take_are_refused_with_advice),
        DKV_TEST(two_keys_of_one_name_in_mongodb_are_both_refused),
        DKV_TEST(a_mongodb_destination_without_its_index_is_refused),
    };
    const int status = dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
    drop_database();
    return status;
}
