/* SPDX-License-Identifier: Apache-2.0 */
/* The MongoDB store: the contract of stores, and what only a server can have: namespaces, other writers' documents,
 * users, TLS, nobody at the other end. Needs a server (scripts/test-mongodb). */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/store_mongodb_fixture.h"
#include "vault/document_edit.h"

static void plant(struct dkv_store *store, const struct dkv_uuid *id, struct dkv_span bytes,
                  struct dkv_buf *ret_planted)
{
    (void)store;
    dkv_test_mongodb_plant(database, COLLECTION, id, bytes, ret_planted);
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

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, dkv_test_count, &n, &err));
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->get_by_alt_name(store, "one", &none, &err));
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->state_get(store, "k", &none, &err));
    CU_ASSERT_EQUAL(n, 0);
    assert_index(store, DKV_INDEX_MISSING);
    store->ops->close(store);
}

static int make_as_one_of_many(void)
{
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
            _exit(make_as_one_of_many());
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

/* ---- Other writers ---- */

static enum dkv_rc count_foreign(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    (void)document;
    (void)err;
    *(size_t *)arg += id != NULL ? 100 : 1;
    return DKV_OK;
}

static void a_document_whose_id_is_no_uuid_hides_no_other(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    size_t n = 0;
    ASSERT_OK(fresh(&store, &err));
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'b'}, &err));
    dkv_test_mongodb_run(database, "{\"insert\": \"" COLLECTION "\", \"documents\": [{\"_id\": \"a text\"}]}");

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, count_foreign, &n, &err));

    CU_ASSERT_EQUAL(n, 101); /* one with a UUID, one without */
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

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, count_foreign, &n, &err));

    CU_ASSERT_EQUAL(n, 1);
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
        DKV_TEST(a_document_whose_id_is_no_uuid_hides_no_other),
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
