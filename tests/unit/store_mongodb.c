/* SPDX-License-Identifier: Apache-2.0 */
/* The MongoDB store: the contract of stores, and what only a server can have: namespaces, an index that others made or
 * didn't, other writers' documents, users, TLS, nobody at the other end. Needs a server (scripts/test-mongodb); each
 * test has a database of its own. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/lib/mongodb_plant.h"
#include "tests/lib/store_contract.h"
#include "vault/document_edit.h"

#define COLLECTION "keys"
#define TIMEOUT_MS 30000 /* the machines of tests are slow */

static char database[64], name_space[96];

static enum dkv_rc open_uri(const char *uri, uint32_t timeout_ms, bool create, bool *ret_created,
                            struct dkv_store **ret, struct dkv_error *err)
{
    const struct dkv_store_settings settings = {
        .location = uri, .name_space = name_space, .timeout_ms = timeout_ms};
    return dkv_mongodb_store_ops.open(&settings, create, ret_created, ret, err);
}

static enum dkv_rc again(struct dkv_store **ret, struct dkv_error *err)
{
    return open_uri(dkv_test_mongodb_uri(), TIMEOUT_MS, false, NULL, ret, err);
}

static void name_new_database(void)
{
    snprintf(database, sizeof(database), "%s", dkv_test_mongodb_new_database());
    snprintf(name_space, sizeof(name_space), "%s." COLLECTION, database);
}

/* As `vault init` leaves it. */
static enum dkv_rc fresh(struct dkv_store **ret, struct dkv_error *err)
{
    name_new_database();
    return open_uri(dkv_test_mongodb_uri(), TIMEOUT_MS, true, NULL, ret, err);
}

static void plant(struct dkv_store *store, const struct dkv_uuid *id, struct dkv_span bytes,
                  struct dkv_buf *ret_planted)
{
    (void)store;
    dkv_test_mongodb_plant(database, COLLECTION, id, bytes, ret_planted);
}

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

static void assert_index(struct dkv_store *store, enum dkv_index_state expected)
{
    struct dkv_error err = {0};
    enum dkv_index_state state = DKV_INDEX_UNKNOWN;
    ASSERT_OK(store->ops->check_index(store, &state, &err));
    CU_ASSERT_EQUAL(state, expected);
}

static enum dkv_rc count_visit(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    (void)id;
    (void)document;
    (void)err;
    ++*(size_t *)arg;
    return DKV_OK;
}

/* ---- Opening ---- */

static void a_namespace_is_a_database_and_a_collection(void)
{
    static const char *const wrong[] = {"", "keys", ".keys", "encryption.", "."};
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    for (size_t i = 0; i < DKV_COUNT(wrong); i++) {
        snprintf(name_space, sizeof(name_space), "%s", wrong[i]);
        ASSERT_RC(DKV_E_CONFIG, again(&store, &err));
        ASSERT_SAYS("namespace");
    }
    const struct dkv_store_settings none = {.location = dkv_test_mongodb_uri(), .timeout_ms = TIMEOUT_MS};
    ASSERT_RC(DKV_E_CONFIG, dkv_mongodb_store_ops.open(&none, false, NULL, &store, &err));
    CU_ASSERT_PTR_NULL(store);
}

static int64_t raw_count(const char *collection_name)
{
    bson_error_t error = {0};
    const bson_t all = BSON_INITIALIZER;
    mongoc_collection_t *collection =
        mongoc_client_get_collection(dkv_test_mongodb_client(), database, collection_name);
    const int64_t n = mongoc_collection_count_documents(collection, &all, NULL, NULL, NULL, &error);
    mongoc_collection_destroy(collection);
    return n;
}

static void a_collection_may_have_dots_in_its_name(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf named = {0}, state = {0};
    name_new_database();
    snprintf(name_space, sizeof(name_space), "%s.keys.of.us", database);
    ASSERT_OK(open_uri(dkv_test_mongodb_uri(), TIMEOUT_MS, true, NULL, &store, &err));

    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'a', .names = {"one"}}, &err));
    ASSERT_OK(store->ops->state_put(store, "k", dkv_span(NULL, 0), dkv_span_str("v"), &err));

    ASSERT_OK(store->ops->get_by_alt_name(store, "one", &named, &err));
    ASSERT_OK(store->ops->state_get(store, "k", &state, &err));
    CU_ASSERT_EQUAL(raw_count("keys.of.us"), 1);
    CU_ASSERT_EQUAL(raw_count("keys.of.us.dekvault"), 1);
    dkv_buf_done(&named);
    dkv_buf_done(&state);
    store->ops->close(store);
}

static void a_vault_is_made_once(void)
{
    struct dkv_error err = {0};
    struct dkv_store *first = NULL, *second = NULL;
    bool created = false, created_again = true;
    name_new_database();

    ASSERT_OK(open_uri(dkv_test_mongodb_uri(), TIMEOUT_MS, true, &created, &first, &err));
    ASSERT_OK(open_uri(dkv_test_mongodb_uri(), TIMEOUT_MS, true, &created_again, &second, &err));

    CU_ASSERT(created);
    CU_ASSERT(!created_again);
    assert_index(first, DKV_INDEX_OK);
    first->ops->close(first);
    second->ops->close(second);
}

static void a_vault_that_nobody_made_is_empty(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf none = {0};
    size_t n = 0;
    name_new_database();
    ASSERT_OK(again(&store, &err));

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, count_visit, &n, &err));
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->get_by_alt_name(store, "one", &none, &err));
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->state_get(store, "k", &none, &err));
    CU_ASSERT_EQUAL(n, 0);
    assert_index(store, DKV_INDEX_MISSING);
    store->ops->close(store);
}

static int make_as_one_of_many(void *arg)
{
    (void)arg;
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    const enum dkv_rc rc = open_uri(dkv_test_mongodb_uri(), TIMEOUT_MS, true, NULL, &store, &err);
    if (rc != DKV_OK) {
        printf("# %s\n", err.message);
        fflush(stdout);
        return 1;
    }
    store->ops->close(store);
    return 0;
}

static void many_may_make_it_at_once(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    int failed = 0;
    if (dkv_test_skips_child_stores()) {
        return;
    }
    name_new_database();
    fflush(NULL);
    for (size_t i = 0; i < 12; i++) {
        if (fork() == 0) {
            _exit(make_as_one_of_many(NULL));
        }
    }
    for (size_t i = 0; i < 12; i++) {
        int status = 0;
        CU_ASSERT(wait(&status) > 0);
        failed += WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
    }
    CU_ASSERT_EQUAL(failed, 0);
    ASSERT_OK(again(&store, &err));
    assert_index(store, DKV_INDEX_OK);
    store->ops->close(store);
}

/* ---- Bytes ---- */

static void a_document_stays_the_same_but_for_the_place_of_its_id(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf given = {0}, expected = {0}, stored = {0}, renamed = {0};
    const struct dkv_uuid id = dkv_test_id('a');
    bool same = false;
    ASSERT_OK(fresh(&store, &err));
    dkv_test_strange_key(true, &given);
    ASSERT_OK(dkv_document_id_first(dkv_span_buf(&given), &expected, &err));

    ASSERT_OK(store->ops->insert(store, dkv_span_buf(&given), NULL, &err));
    ASSERT_OK(dkv_test_get(store, 'a', &stored, &err));
    ASSERT_OK(store->ops->add_alt_name(store, &id, "n", NULL, &err));
    ASSERT_OK(store->ops->remove_alt_name(store, &id, "n", NULL, &err));
    ASSERT_OK(dkv_test_get(store, 'a', &renamed, &err));

    CU_ASSERT(dkv_span_equal(dkv_span_buf(&stored), dkv_span_buf(&expected)));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&renamed), dkv_span_buf(&expected)));
    ASSERT_OK(dkv_document_same(dkv_span_buf(&given), dkv_span_buf(&stored), &same, &err));
    CU_ASSERT(same);
    ASSERT_OK(store->ops->remove(store, &id, dkv_span_buf(&stored), &err));
    dkv_buf_done(&given);
    dkv_buf_done(&expected);
    dkv_buf_done(&stored);
    dkv_buf_done(&renamed);
    store->ops->close(store);
}

/* ---- The index ---- */

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

/* ---- Other writers ---- */

static void a_document_whose_id_is_no_uuid_is_refused_by_name(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    size_t n = 0;
    ASSERT_OK(fresh(&store, &err));
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'b'}, &err));
    dkv_test_mongodb_run(database, "{\"insert\": \"" COLLECTION "\", \"documents\": [{\"_id\": \"a text\"}]}");

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->list(store, NULL, NULL, 0, count_visit, &n, &err));

    ASSERT_SAYS("a text");
    store->ops->close(store);
}

static void binary_of_another_subtype_is_no_uuid(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    size_t n = 0;
    ASSERT_OK(fresh(&store, &err));
    dkv_test_mongodb_run(database, "{\"insert\": \"" COLLECTION "\", \"documents\": [{\"_id\": {\"$binary\": "
                                   "{\"base64\": \"YWFhYWFhYWFhYWFhYWFhYQ==\", \"subType\": \"03\"}}}]}");

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->list(store, NULL, NULL, 0, count_visit, &n, &err));

    CU_ASSERT_EQUAL(n, 0);
    store->ops->close(store);
}

/* ---- Users, TLS ---- */

static void scram_and_tls_open_a_vault(void)
{
    const char *uri = secure_getenv("DEKVAULT_TEST_MONGODB_SECURE_URI");
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf named = {0};
    if (uri == NULL) {
        dkv_test_skip("DEKVAULT_TEST_MONGODB_SECURE_URI isn't set");
        return;
    }
    name_new_database();

    ASSERT_OK(open_uri(uri, TIMEOUT_MS, true, NULL, &store, &err));
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'a', .names = {"one"}}, &err));
    ASSERT_OK(store->ops->get_by_alt_name(store, "one", &named, &err));

    CU_ASSERT_EQUAL(raw_count(COLLECTION), 1);
    dkv_buf_done(&named);
    store->ops->close(store);
}

/* "mongodb://USER:wrong-secret@HOST...". false: there is no secure front. */
static bool with_wrong_password(char *ret, size_t capacity)
{
    const char *uri = secure_getenv("DEKVAULT_TEST_MONGODB_SECURE_URI");
    const char *host = uri != NULL ? strchr(uri, '@') : NULL;
    const char *password = host != NULL ? strchr(strstr(uri, "://") + 3, ':') : NULL;
    if (password == NULL) {
        return false;
    }
    snprintf(ret, capacity, "%.*s:wrong-secret%s", (int)(password - uri), uri, host);
    return true;
}

static void a_wrong_password_is_refused_and_not_shown(void)
{
    char uri[1024];
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf none = {0};
    if (!with_wrong_password(uri, sizeof(uri))) {
        dkv_test_skip("DEKVAULT_TEST_MONGODB_SECURE_URI isn't set");
        return;
    }
    name_new_database();
    ASSERT_OK(open_uri(uri, 2000, false, NULL, &store, &err));

    ASSERT_RC(DKV_E_AUTH, dkv_test_get(store, 'a', &none, &err));
    CU_ASSERT_PTR_NULL(strstr(err.message, "wrong-secret"));
    ASSERT_RC(DKV_E_AUTH, dkv_test_insert(store, &(struct dkv_key_shape){.id = 'a'}, &err));
    CU_ASSERT_PTR_NULL(strstr(err.message, "wrong-secret"));
    store->ops->close(store);
}

/* ---- Nobody there ---- */

/* A port of this test's own; listening, so that connections are made but nobody ever answers, or not. */
static int own_port(bool listening, char *ret_uri, size_t capacity)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    CU_ASSERT_FATAL(!listening || listen(fd, 16) == 0);
    snprintf(ret_uri, capacity, "mongodb://127.0.0.1:%u/", ntohs(address.sin_port));
    return fd;
}

static void assert_unreachable_in_time(bool listening)
{
    char uri[64];
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf none = {0};
    const int fd = own_port(listening, uri, sizeof(uri));
    name_new_database();
    const int64_t start_ms = dkv_clock_real.monotonic_ms();
    ASSERT_OK(open_uri(uri, 500, false, NULL, &store, &err));

    ASSERT_RC(DKV_E_UNREACHABLE, dkv_test_get(store, 'a', &none, &err));
    ASSERT_SAYS("127.0.0.1");
    ASSERT_RC(DKV_E_UNREACHABLE, dkv_test_insert(store, &(struct dkv_key_shape){.id = 'a'}, &err));
    ASSERT_RC(DKV_E_UNREACHABLE, open_uri(uri, 500, true, NULL, &store, &err));
    store->ops->close(store);

    const int64_t took_ms = dkv_clock_real.monotonic_ms() - start_ms;
    CU_ASSERT(took_ms >= 500);
    CU_ASSERT(took_ms < 15000); /* three times 500 ms, and a slow machine's rest */
    close(fd);
}

static void nobody_at_the_port_is_unreachable_in_time(void)
{
    assert_unreachable_in_time(false);
}

static void a_server_that_never_answers_is_unreachable_in_time(void)
{
    assert_unreachable_in_time(true);
}

int main(int argc, char **argv)
{
    static const struct dkv_store_factory factory = {
        .fresh = fresh, .again = again, .plant = plant, .has_threads = true};
    static const struct dkv_test tests[] = {
        DKV_TEST(a_namespace_is_a_database_and_a_collection),
        DKV_TEST(a_collection_may_have_dots_in_its_name),
        DKV_TEST(a_vault_is_made_once),
        DKV_TEST(a_vault_that_nobody_made_is_empty),
        DKV_TEST(many_may_make_it_at_once),
        DKV_TEST(a_document_stays_the_same_but_for_the_place_of_its_id),
        DKV_TEST(the_first_name_makes_the_index),
        DKV_TEST(an_index_that_others_made_will_do),
        DKV_TEST(an_index_of_another_name_will_do),
        DKV_TEST(an_index_that_is_not_unique_is_refused),
        DKV_TEST(an_index_that_is_not_partial_is_refused),
        DKV_TEST(empty_lists_of_names_go_before_the_index_is_made),
        DKV_TEST(a_name_that_two_have_is_a_conflict),
        DKV_TEST(a_document_whose_id_is_no_uuid_is_refused_by_name),
        DKV_TEST(binary_of_another_subtype_is_no_uuid),
        DKV_TEST(scram_and_tls_open_a_vault),
        DKV_TEST(a_wrong_password_is_refused_and_not_shown),
        DKV_TEST(nobody_at_the_port_is_unreachable_in_time),
        DKV_TEST(a_server_that_never_answers_is_unreachable_in_time),
    };
    if (dkv_test_mongodb_uri() == NULL) {
        printf("1..0 # SKIP no MongoDB server: scripts/test-mongodb up\n");
        return 0;
    }
    dkv_store_quiet();
    const int status = dkv_store_contract_main(argc, argv, &factory, tests, DKV_COUNT(tests));
    dkv_test_mongodb_done();
    return status;
}
