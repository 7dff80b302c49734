/* SPDX-License-Identifier: Apache-2.0 */
/* Making the MongoDB store's index of alt names on a scripted server: each reason why it can't be is an error of its
 * own, with the command that mends it. */
#include "tests/unit/mongodb_acts.h"

static void a_user_who_may_not_make_the_index_is_told_the_command(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, NO_INDEX, {.command = "createIndexes", .reply = DKV_STUB_ERROR(13, "Unauthorized")});

    ASSERT_RC(DKV_E_DENIED, ops->ensure_index(fixture.store, &err));

    ASSERT_SAYS("db.getSiblingDB(\"encryption\").getCollection(\"__keyVault\").createIndex({keyAltNames: 1}, "
                "{unique: true, partialFilterExpression: {keyAltNames: {$exists: true}}})");
    fixture_close(&fixture);
}

static void a_user_who_may_not_take_empty_names_away_is_told_the_command(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, NO_INDEX, {.command = "update", .reply = DKV_STUB_ERROR(13, "Unauthorized")});

    ASSERT_RC(DKV_E_DENIED, ops->ensure_index(fixture.store, &err));

    ASSERT_SAYS(".createIndex({keyAltNames: 1}");
    fixture_close(&fixture);
}

static void the_command_to_paste_quotes_what_others_named(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes",
                     .reply = FOUND("{'key':{'keyAltNames':1},'name':'\\u0022);db.dropDatabase();\\u005c'}")});

    ASSERT_RC(DKV_E_CONFIG, ops->ensure_index(fixture.store, &err));

    ASSERT_SAYS("db.getSiblingDB(\"encryption\").getCollection(\"__keyVault\")"
                ".dropIndex(\"\\x22);db.dropDatabase();\\x5c\")");
    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "createIndexes"), 0);
    fixture_close(&fixture);
}

static void a_sharded_collection_is_told_apart_by_its_stats(void)
{
    struct dkv_error err = {0};
    enum dkv_index_state state = DKV_INDEX_OK;
    struct fixture fixture = fixture_open(DKV_STUB_MONGOS);
    SCRIPT(fixture, NO_INDEX, {.command = "collStats", .reply = "{'sharded':true,'ok':1}"},
           {.command = "createIndexes", .reply = DKV_STUB_ERROR(67, "CannotCreateIndex")});

    ASSERT_OK(ops->check_index(fixture.store, &state, &err));
    ASSERT_RC(DKV_E_CONFIG, ops->ensure_index(fixture.store, &err));

    CU_ASSERT_EQUAL(state, DKV_INDEX_SHARDED);
    ASSERT_SAYS("sharded");
    ASSERT_SAYS("dekvault vault copy");
    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "createIndexes"), 0);
    fixture_close(&fixture);
}

static void a_sharded_collection_whose_stats_are_not_shown_is_told_by_the_code(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_MONGOS);
    SCRIPT(fixture, NO_INDEX, {.command = "collStats", .reply = DKV_STUB_ERROR(13, "Unauthorized")},
           {.command = "createIndexes", .reply = DKV_STUB_ERROR(67, "CannotCreateIndex")});

    ASSERT_RC(DKV_E_CONFIG, ops->ensure_index(fixture.store, &err));

    ASSERT_SAYS("sharded");
    fixture_close(&fixture);
}

static void names_that_clash_already_are_named_with_the_command(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, NO_INDEX, {.command = "createIndexes", .reply = DKV_STUB_ERROR(11000, "DuplicateKey")},
           {.command = "aggregate",
            .reply = FOUND("{'_id':'invoices','least':{'$binary':{'base64':'AAAAAAAAQACAAAAAAAAAAQ==',"
                             "'subType':'04'}},'greatest':{'$binary':{'base64':'AAAAAAAAQACAAAAAAAAAAg==',"
                             "'subType':'04'}}}")});

    ASSERT_RC(DKV_E_CONFLICT, ops->ensure_index(fixture.store, &err));

    ASSERT_SAYS("invoices");
    ASSERT_SAYS("00000000-0000-4000-8000-000000000001");
    ASSERT_SAYS("dekvault key remove-name 00000000-0000-4000-8000-000000000002");
    fixture_close(&fixture);
}

static void an_internal_error_of_the_index_without_a_clash_stays_one(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, NO_INDEX,
           {.command = "createIndexes", .reply = DKV_STUB_ERROR(1, "InternalError")});

    ASSERT_RC(DKV_E_INTERNAL, ops->ensure_index(fixture.store, &err));

    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "aggregate"), 1);
    CU_ASSERT_EQUAL(err.native_code, 1);
    fixture_close(&fixture);
}

static void a_server_that_does_not_list_what_it_made_is_an_error(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, NO_INDEX);

    ASSERT_RC(DKV_E_INTERNAL, ops->ensure_index(fixture.store, &err));

    ASSERT_SAYS("doesn't list it");
    fixture_close(&fixture);
}

static void an_index_that_others_make_meanwhile_will_do(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .to = 1, .reply = FOUND(INDEX_OF_ID)},
           {.command = "listIndexes", .reply = FOUND(INDEX_OF_ID "," RIGHT_INDEX)},
           {.command = "createIndexes", .reply = DKV_STUB_ERROR(85, "IndexOptionsConflict")});

    ASSERT_OK(ops->ensure_index(fixture.store, &err));

    CU_ASSERT_EQUAL(err.rc, DKV_OK);
    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "createIndexes"), 1);
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_user_who_may_not_make_the_index_is_told_the_command),
        DKV_TEST(a_user_who_may_not_take_empty_names_away_is_told_the_command),
        DKV_TEST(the_command_to_paste_quotes_what_others_named),
        DKV_TEST(a_sharded_collection_is_told_apart_by_its_stats),
        DKV_TEST(a_sharded_collection_whose_stats_are_not_shown_is_told_by_the_code),
        DKV_TEST(names_that_clash_already_are_named_with_the_command),
        DKV_TEST(an_internal_error_of_the_index_without_a_clash_stays_one),
        DKV_TEST(a_server_that_does_not_list_what_it_made_is_an_error),
        DKV_TEST(an_index_that_others_make_meanwhile_will_do),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
