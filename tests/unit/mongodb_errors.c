/* SPDX-License-Identifier: Apache-2.0 */
/* What a server says when it refuses, goes away or is too slow: the class, the code and the words of the MongoDB
 * store's errors, and what is repeated by whom, against a scripted server. */
#include "tests/unit/mongodb_acts.h"

#include <unistd.h>

#include "base/clock.h"

/* ---- Codes ---- */

struct coded {
    const char *reply;
    enum dkv_rc rc;
    int64_t code;
    const char *name, *says;
};

static const struct coded codes[] = {
    {DKV_STUB_ERROR(13, "Unauthorized"), DKV_E_DENIED, 13, "Unauthorized", "lacks a privilege"},
    {DKV_STUB_ERROR(18, "AuthenticationFailed"), DKV_E_AUTH, 18, "AuthenticationFailed", "was refused"},
    {DKV_STUB_ERROR(11600, "InterruptedAtShutdown"), DKV_E_TRANSIENT, 11600, "InterruptedAtShutdown", "shuts down"},
    {DKV_STUB_ERROR(189, "PrimarySteppedDown"), DKV_E_TRANSIENT, 189, "PrimarySteppedDown", "steps down"},
    {DKV_STUB_ERROR(10107, "NotWritablePrimary"), DKV_E_TRANSIENT, 10107, "NotWritablePrimary", "isn't the primary"},
    {DKV_STUB_ERROR(91, "ShutdownInProgress"), DKV_E_TRANSIENT, 91, "ShutdownInProgress", "shuts down"},
    {DKV_STUB_ERROR(121, "DocumentValidationFailure"), DKV_E_POLICY, 121, "DocumentValidationFailure", "validator"},
    {DKV_STUB_ERROR(12345, "Unheard"), DKV_E_INTERNAL, 12345, "ServerError", "the stub says Unheard"},
};

static void expect_code(const struct coded *coded, const char *command, enum dkv_rc (*act)(struct fixture *fixture,
                                                                                         struct dkv_error *err))
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = command, .reply = coded->reply});

    ASSERT_RC(coded->rc, act(&fixture, &err));

    ASSERT_SAYS(coded->says);
    ASSERT_SAYS("encryption.__keyVault at 127.0.0.1:");
    ASSERT_NATIVE(coded->code, coded->name);
    fixture_close(&fixture);
}

static void each_code_of_a_read_has_its_class(void)
{
    for (size_t i = 0; i < DKV_COUNT(codes); i++) {
        expect_code(&codes[i], "find", get_nothing);
    }
}

static void each_code_of_a_write_has_its_class(void)
{
    for (size_t i = 0; i < DKV_COUNT(codes); i++) {
        expect_code(&codes[i], "insert", insert);
    }
}

static void a_user_that_the_server_refuses_is_an_authentication_error_without_the_password(void)
{
    struct dkv_error err = {0};
    char uri[256];
    struct fixture fixture = {.stub = dkv_stub_start(DKV_STUB_STANDALONE)};
    SCRIPT(fixture, {.command = "saslStart", .reply = DKV_STUB_ERROR(18, "AuthenticationFailed")});
    snprintf(uri, sizeof(uri), "mongodb://reader:sesame@127.0.0.1:%u/?authMechanism=SCRAM-SHA-256",
             dkv_stub_port(fixture.stub));
    ASSERT_OK(fixture_open_uri(&fixture, uri, 1000, &err));

    ASSERT_RC(DKV_E_AUTH, get_nothing(&fixture, &err));

    ASSERT_SAYS("the user, its password or its certificate was refused");
    CU_ASSERT_PTR_NULL(strstr(err.message, "sesame"));
    CU_ASSERT_TRUE(dkv_stub_count(fixture.stub, "saslStart") > 0);
    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "find"), 0);
    fixture_close(&fixture);
}

/* ---- Repeating ---- */

static int64_t transaction(struct fixture *fixture, size_t nth)
{
    bson_iter_t iter;
    const bson_t *command = dkv_stub_nth(fixture->stub, "insert", nth);
    CU_ASSERT_TRUE_FATAL(command != NULL && bson_iter_init_find(&iter, command, "txnNumber"));
    return bson_iter_as_int64(&iter);
}

static void the_driver_repeats_a_labelled_write_once_as_the_same_one(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "insert",
                     .to = 1,
                     .reply = DKV_STUB_ERROR_WITH(91, "ShutdownInProgress", DKV_STUB_RETRYABLE)});

    ASSERT_OK(insert(&fixture, &err));

    ASSERT_SAID("listIndexes insert insert");
    CU_ASSERT_EQUAL(transaction(&fixture, 1), transaction(&fixture, 2));
    fixture_close(&fixture);
}

static void the_store_repeats_a_write_that_failed_twice_as_another_one(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "insert",
                     .to = 2,
                     .reply = DKV_STUB_ERROR_WITH(10107, "NotWritablePrimary", DKV_STUB_RETRYABLE)});

    ASSERT_OK(insert(&fixture, &err));

    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "insert"), 3);
    CU_ASSERT_EQUAL(transaction(&fixture, 1), transaction(&fixture, 2));
    CU_ASSERT_NOT_EQUAL(transaction(&fixture, 1), transaction(&fixture, 3));
    fixture_close(&fixture);
}

static void a_write_that_the_driver_does_not_repeat_is_repeated_by_the_store(void)
{
    static const char *const replies[] = {
        DKV_STUB_ERROR(11600, "InterruptedAtShutdown"),
        DKV_STUB_ERROR(189, "PrimarySteppedDown"),
        DKV_STUB_ERROR(10107, "NotWritablePrimary"),
        DKV_STUB_ERROR(91, "ShutdownInProgress"),
    };
    for (size_t i = 0; i < DKV_COUNT(replies); i++) {
        struct dkv_error err = {0};
        struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
        SCRIPT(fixture, {.command = "insert", .to = 1, .reply = replies[i]});

        ASSERT_OK(insert(&fixture, &err));

        CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "insert"), 2);
        CU_ASSERT_NOT_EQUAL(transaction(&fixture, 1), transaction(&fixture, 2));
        fixture_close(&fixture);
    }
}

static void a_write_that_fails_on_and_on_may_or_may_not_have_been_done(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "insert",
                     .reply = DKV_STUB_ERROR_WITH(91, "ShutdownInProgress", DKV_STUB_RETRYABLE)});

    ASSERT_RC(DKV_E_TRANSIENT, insert(&fixture, &err));

    ASSERT_SAYS(MAY_BE_DONE);
    ASSERT_NATIVE(91, "ShutdownInProgress");
    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "insert"), 4);
    fixture_close(&fixture);
}

static void a_write_that_is_refused_is_not_repeated(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "insert", .reply = DKV_STUB_ERROR(13, "Unauthorized")});

    ASSERT_RC(DKV_E_DENIED, insert(&fixture, &err));

    ASSERT_SAID("listIndexes insert");
    CU_ASSERT_PTR_NULL(strstr(err.message, MAY_BE_DONE));
    fixture_close(&fixture);
}

static void a_read_is_repeated_when_the_connection_breaks(void)
{
    struct dkv_error err = {0};
    struct visited visited = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "find", .to = 2, .action = DKV_STUB_RESET});

    ASSERT_OK(get(&fixture, &visited, &err));

    CU_ASSERT_EQUAL(visited.n, 0);
    ASSERT_SAID("find find find");
    fixture_close(&fixture);
}

/* ---- The network ---- */

static void half_a_reply_to_a_write_may_or_may_not_be_done(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "insert", .action = DKV_STUB_HALF});

    ASSERT_RC(DKV_E_TRANSIENT, insert(&fixture, &err));

    ASSERT_SAYS(MAY_BE_DONE);
    CU_ASSERT_EQUAL(err.native_system, DKV_NATIVE_MONGODB);
    fixture_close(&fixture);
}

static void half_a_reply_to_a_read_is_transient_and_says_nothing_of_done(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "find", .action = DKV_STUB_HALF});

    ASSERT_RC(DKV_E_TRANSIENT, get_nothing(&fixture, &err));

    CU_ASSERT_PTR_NULL(strstr(err.message, MAY_BE_DONE));
    fixture_close(&fixture);
}

static void a_server_that_is_too_slow_is_given_up(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open_with(DKV_STUB_REPLICA_SET, "", 200);
    SCRIPT(fixture, {.command = "insert", .delay_ms = HANG_GUARD_MS});
    const int64_t from_ms = dkv_clock_real.monotonic_ms();

    ASSERT_RC(DKV_E_TRANSIENT, insert(&fixture, &err));

    CU_ASSERT_TRUE(dkv_clock_real.monotonic_ms() - from_ms < HANG_GUARD_MS);
    ASSERT_SAYS("within timeout-ms");
    ASSERT_SAYS(MAY_BE_DONE);
    fixture_close(&fixture);
}

static void no_server_is_unreachable_and_the_password_stays_unsaid(void)
{
    struct dkv_error err = {0};
    char uri[256];
    uint16_t port = 0;
    struct fixture fixture = {0};
    const int fd = dkv_wire_listen(&port);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    close(fd);
    snprintf(uri, sizeof(uri), "mongodb://writer:sesame@127.0.0.1:%u/", port);
    ASSERT_OK(fixture_open_uri(&fixture, uri, 300, &err));
    const int64_t from_ms = dkv_clock_real.monotonic_ms();

    ASSERT_RC(DKV_E_UNREACHABLE, insert(&fixture, &err));

    CU_ASSERT_TRUE(dkv_clock_real.monotonic_ms() - from_ms < HANG_GUARD_MS);
    CU_ASSERT_PTR_NULL(strstr(err.message, "sesame"));
    CU_ASSERT_PTR_NULL(strstr(err.message, MAY_BE_DONE));
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(each_code_of_a_read_has_its_class),
        DKV_TEST(each_code_of_a_write_has_its_class),
        DKV_TEST(a_user_that_the_server_refuses_is_an_authentication_error_without_the_password),
        DKV_TEST(the_driver_repeats_a_labelled_write_once_as_the_same_one),
        DKV_TEST(the_store_repeats_a_write_that_failed_twice_as_another_one),
        DKV_TEST(a_write_that_the_driver_does_not_repeat_is_repeated_by_the_store),
        DKV_TEST(a_write_that_fails_on_and_on_may_or_may_not_have_been_done),
        DKV_TEST(a_write_that_is_refused_is_not_repeated),
        DKV_TEST(a_read_is_repeated_when_the_connection_breaks),
        DKV_TEST(half_a_reply_to_a_write_may_or_may_not_be_done),
        DKV_TEST(half_a_reply_to_a_read_is_transient_and_says_nothing_of_done),
        DKV_TEST(a_server_that_is_too_slow_is_given_up),
        DKV_TEST(no_server_is_unreachable_and_the_password_stays_unsaid),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
