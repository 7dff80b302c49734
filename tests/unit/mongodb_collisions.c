/* SPDX-License-Identifier: Apache-2.0 */
/* Writes that collide with others, so that the server undoes them: attempted again, a bounded number of times, and
 * never told as something that may have been done. */
#include "tests/unit/mongodb_fixture.h"

#define CONFLICT DKV_STUB_ERROR(112, "WriteConflict")
/* As DocumentDB passes on what PostgreSQL says. */
#define DEADLOCK "{'ok':0,'code':1,'errmsg':'deadlock detected'}"
#define ATTEMPTS 5u

static enum dkv_rc insert_one(const struct fixture *fixture, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf key = {0};
    put_key(1, NULL, "material", &key);
    return fixture->store->ops->insert(fixture->store, dkv_span_buf(&key), NULL, err);
}

static void what_collides_is_attempted_until_it_does_not(void)
{
    static const char *const collisions[] = {CONFLICT, DEADLOCK};
    for (size_t i = 0; i < DKV_COUNT(collisions); i++) {
        struct dkv_error err = {0};
        struct fixture fixture = fixture_open(DKV_STUB_STANDALONE);
        SCRIPT(fixture, {.command = "insert", .to = ATTEMPTS - 1, .reply = collisions[i]});

        ASSERT_OK(insert_one(&fixture, &err));

        CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "insert"), ATTEMPTS);
        fixture_close(&fixture);
    }
}

static void what_always_collides_ends_and_was_not_done(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_STANDALONE);
    SCRIPT(fixture, {.command = "insert", .reply = CONFLICT});

    ASSERT_RC(DKV_E_TRANSIENT, insert_one(&fixture, &err));

    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "insert"), ATTEMPTS);
    ASSERT_SAYS("another write came between");
    CU_ASSERT_PTR_NULL(strstr(err.message, "may or may not"));
    fixture_close(&fixture);
}

/* The lost reply alone has one more attempt, whatever came before it. */
static void a_reply_that_is_lost_after_a_collision_leaves_it_in_doubt(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_STANDALONE);
    SCRIPT(fixture, {.command = "insert", .to = 1, .reply = CONFLICT}, {.command = "insert", .action = DKV_STUB_CLOSE});

    ASSERT_RC(DKV_E_TRANSIENT, insert_one(&fixture, &err));

    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "insert"), 3);
    ASSERT_SAYS("may or may not");
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(what_collides_is_attempted_until_it_does_not),
        DKV_TEST(what_always_collides_ends_and_was_not_done),
        DKV_TEST(a_reply_that_is_lost_after_a_collision_leaves_it_in_doubt),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
