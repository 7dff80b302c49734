/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the MongoDB store, without a server: what URIs are taken, what is said of those that aren't, and what the
 * process that it is opened in notices. */
#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "tests/lib/mongo_stub.h"
#include "tests/lib/test.h"
#include "vault/store/mongodb.h"

#define NOBODY "mongodb://127.0.0.1:1/" /* tcpmux: nothing listens there */

static enum dkv_rc open_as(const char *uri, const char *name_space, uint32_t timeout_ms, struct dkv_store **ret,
                           struct dkv_error *err)
{
    const struct dkv_store_settings settings = {
        .location = uri, .name_space = name_space, .timeout_ms = timeout_ms};
    return dkv_mongodb_store_ops.open(&settings, false /* create */, NULL, ret, err);
}

static void assert_refused(const char *uri, const char *words)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;

    ASSERT_RC(DKV_E_CONFIG, open_as(uri, "encryption.keys", 1000, &store, &err));

    ASSERT_SAYS(words);
    CU_ASSERT_PTR_NULL(strstr(err.message, "hunter2"));
    CU_ASSERT_PTR_NULL(store);
}

static void a_malformed_uri_is_refused(void)
{
    assert_refused("mongodb://", "must be sqlite:/absolute/path or a mongodb:// URI");
    assert_refused("mongodb://h1:99999/", "malformed");
    assert_refused("mongodb://h1/?w=0&journal=true", "malformed");
    assert_refused("mongodb://h1/?tls=maybe", "malformed: ");
}

static void a_uri_that_may_hold_a_password_is_never_repeated(void)
{
    assert_refused("mongodb://me:hunter2@h1:hunter2/", "isn't shown");
    assert_refused("mongodb://me:hunter2%@h1/", "isn't shown");
    assert_refused("mongodb://h1/?tlsCertificateKeyFilePassword=hunter2&tls=hunter2", "isn't shown");
    assert_refused("mongodb://me:x@hunter2@h1/", "isn't percent-encoded");
    assert_refused("mongodb://me:x/hunter2@h1/", "isn't percent-encoded");
}

static void a_tls_file_that_is_not_there_is_named_with_its_option(void)
{
    assert_refused("mongodb://h1/?tls=true&tlsCAFile=/nonexistent/ca.pem", "tlsCAFile: can't open /nonexistent/ca.pem");
    assert_refused("mongodb://h1/?tls=true&tlsCertificateKeyFile=/nonexistent/me.pem",
                   "tlsCertificateKeyFile: can't open /nonexistent/me.pem");
}

static void a_client_key_that_others_may_read_is_refused(void)
{
    char uri[600];
    const char *file = dkv_test_write("me.pem", "x", 1, 0644);
    snprintf(uri, sizeof(uri), "mongodb://h1/?tls=true&tlsCertificateKeyFile=%s", file);
    assert_refused(uri, "chmod");
    assert_refused(uri, "tlsCertificateKeyFile: ");
}

static void a_ca_that_others_may_change_is_refused(void)
{
    char uri[600];
    snprintf(uri, sizeof(uri), "mongodb://h1/?tls=true&tlsCAFile=%s", dkv_test_write("ca.pem", "x", 1, 0666));
    assert_refused(uri, "chmod");
    assert_refused(uri, "tlsCAFile: ");
}

static void a_namespace_needs_both_parts(void)
{
    static const char *const wrong[] = {NULL, "", "keys", ".keys", "encryption."};
    for (size_t i = 0; i < DKV_COUNT(wrong); i++) {
        struct dkv_error err = {0};
        struct dkv_store *store = NULL;
        ASSERT_RC(DKV_E_CONFIG, open_as(NOBODY, wrong[i], 1000, &store, &err));
        ASSERT_SAYS("DATABASE.COLLECTION");
    }
}

static void words_say_where_without_the_user(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    ASSERT_OK(open_as("mongodb://keeper:hunter2@h1,h2:27018,h3,h4/admin?authMechanism=SCRAM-SHA-256", "a.b.c", 1000,
                      &store, &err));

    CU_ASSERT_STRING_EQUAL(dkv_mongodb_of(store)->where, "a.b.c at h1:27017,h2:27018,h3:27017,...");
    CU_ASSERT_STRING_EQUAL(dkv_mongodb_of(store)->database, "a");
    CU_ASSERT_STRING_EQUAL(dkv_mongodb_of(store)->collections[DKV_MONGODB_KEYS], "b.c");
    CU_ASSERT_STRING_EQUAL(dkv_mongodb_of(store)->collections[DKV_MONGODB_STATE], "b.c.dekvault");
    store->ops->close(store);
}

static void opening_asks_nobody_and_reading_gives_up_in_time(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf document = {0};
    ASSERT_OK(open_as(NOBODY "?serverSelectionTimeoutMS=60000&connectTimeoutMS=0", "a.b", 300, &store, &err));
    const int64_t begin_ms = dkv_clock_real.monotonic_ms();

    const enum dkv_rc rc = store->ops->get_by_alt_name(store, "x", &document, &err);

    CU_ASSERT_EQUAL(rc, DKV_E_UNREACHABLE);
    CU_ASSERT_TRUE(dkv_clock_real.monotonic_ms() - begin_ms < 10000);
    ASSERT_SAYS("127.0.0.1:1");
    CU_ASSERT_EQUAL(err.native_system, DKV_NATIVE_MONGODB);
    store->ops->close(store);
}

/* ---- Secondaries ---- */

static void answer_as_a_secondary(void *arg, const bson_t *command, bson_t *reply)
{
    const struct dkv_stub *stub = arg;
    char hosts[200];
    (void)command;
    const unsigned port = dkv_stub_port(stub);
    snprintf(hosts, sizeof(hosts), "{'setName':'rs0','setVersion':1,'me':'127.0.0.1:%u','hosts':['127.0.0.1:%u']}",
             port, port);
    dkv_stub_put_json(reply, "{'helloOk':true,'ismaster':false,'isWritablePrimary':false,'secondary':true,"
                             "'maxBsonObjectSize':16777216,'maxMessageSizeBytes':48000000,'maxWriteBatchSize':100000,"
                             "'minWireVersion':0,'maxWireVersion':21,'readOnly':false,"
                             "'logicalSessionTimeoutMinutes':30,'ok':1}");
    dkv_stub_put_json(reply, hosts);
}

/* Reads from a vault that has no server but a secondary. */
static void assert_secondary_not_asked(const char *options, const char *words)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf document = {0};
    char uri[200];
    struct dkv_stub *stub = dkv_stub_start(DKV_STUB_REPLICA_SET);
    CU_ASSERT_PTR_NOT_NULL_FATAL(stub);
    const struct dkv_stub_rule rules[] = {
        {.command = "hello", .respond = answer_as_a_secondary, .arg = stub},
        {.command = "isMaster", .respond = answer_as_a_secondary, .arg = stub},
        {.command = "ismaster", .respond = answer_as_a_secondary, .arg = stub},
    };
    dkv_stub_script(stub, rules, DKV_COUNT(rules));
    snprintf(uri, sizeof(uri), "mongodb://127.0.0.1:%u/%s", dkv_stub_port(stub), options);
    ASSERT_OK(open_as(uri, "a.b", 500, &store, &err));

    ASSERT_RC(DKV_E_UNREACHABLE, store->ops->get_by_alt_name(store, "x", &document, &err));

    ASSERT_SAYS(words);
    CU_ASSERT_EQUAL(dkv_stub_count(stub, "find"), 0);
    store->ops->close(store);
    dkv_stub_stop(stub);
}

static void a_secondary_is_asked_for_nothing(void)
{
    assert_secondary_not_asked("", "no primary could be reached");
    assert_secondary_not_asked("?readPreference=secondary", "no primary could be reached");
    assert_secondary_not_asked("?replicaSet=rs0&readPreference=nearest", "no primary could be reached");
    assert_secondary_not_asked("?directConnection=true", "it isn't the primary of its replica set");
}

/* ---- The process ---- */

static uint64_t blocked_signals(const char *thread)
{
    char path[300], line[200];
    uint64_t blocked = 0;
    snprintf(path, sizeof(path), "/proc/self/task/%s/status", thread);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        (void)sscanf(line, "SigBlk: %" SCNx64, &blocked);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return blocked;
}

/* How many other threads there are, and how many of them would take this signal. */
static void count_threads(int signal_number, size_t *ret_n, size_t *ret_open)
{
    char own[24];
    size_t n = 0, open = 0;
    snprintf(own, sizeof(own), "%ld", (long)syscall(SYS_gettid));
    DIR *tasks = opendir("/proc/self/task");
    CU_ASSERT_PTR_NOT_NULL_FATAL(tasks);
    for (const struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) {
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, own) != 0) {
            n++;
            open += (blocked_signals(entry->d_name) >> (signal_number - 1) & 1) == 0 ? 1 : 0;
        }
    }
    (void)closedir(tasks);
    *ret_n = n;
    *ret_open = open;
}

static void threads_of_the_driver_take_none_of_the_programs_signals(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf document = {0};
    size_t n_before = 0, open_before = 0, n = 0, open = 0;
    count_threads(SIGTERM, &n_before, &open_before);
    ASSERT_OK(open_as(NOBODY, "a.b", 100, &store, &err));
    ASSERT_RC(DKV_E_UNREACHABLE, store->ops->get_by_alt_name(store, "x", &document, &err));

    count_threads(SIGTERM, &n, &open);

    CU_ASSERT_TRUE(n > n_before);
    CU_ASSERT_EQUAL(open, open_before);
    sigset_t mask;
    CU_ASSERT_EQUAL(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    CU_ASSERT_FALSE(sigismember(&mask, SIGTERM));
    store->ops->close(store);
}

static unsigned heard;

static void hear(void *arg, enum dkv_log_level level, const char *line)
{
    (void)arg;
    heard += level == DKV_LOG_DEBUG && strstr(line, "libmongoc: ") != NULL ? 1 : 0;
}

static void what_the_driver_says_goes_to_the_log_when_asked(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    dkv_set_log(hear, NULL);
    dkv_store_quiet();

    ASSERT_OK(open_as("mongodb://h1/?noSuchOption=1", "a.b", 1000, &store, &err));

    CU_ASSERT_TRUE(heard > 0);
    dkv_set_log(NULL, NULL);
    store->ops->close(store);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_malformed_uri_is_refused),
        DKV_TEST(a_uri_that_may_hold_a_password_is_never_repeated),
        DKV_TEST(a_tls_file_that_is_not_there_is_named_with_its_option),
        DKV_TEST(a_client_key_that_others_may_read_is_refused),
        DKV_TEST(a_ca_that_others_may_change_is_refused),
        DKV_TEST(a_namespace_needs_both_parts),
        DKV_TEST(words_say_where_without_the_user),
        DKV_TEST(opening_asks_nobody_and_reading_gives_up_in_time),
        DKV_TEST(a_secondary_is_asked_for_nothing),
        DKV_TEST(threads_of_the_driver_take_none_of_the_programs_signals),
        DKV_TEST(what_the_driver_says_goes_to_the_log_when_asked),
    };
    dkv_store_quiet();
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
