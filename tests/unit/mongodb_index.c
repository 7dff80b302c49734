/* SPDX-License-Identifier: Apache-2.0 */
/* The MongoDB store's index of alt names on a server that shows a wrong one, or doesn't let it be seen or made: each
 * state is an error of its own, with the command that mends it. */
#include "tests/unit/mongodb_acts.h"

#define INDEX_OF_ID "{'v':2,'key':{'_id':1},'name':'_id_'}"
#define INDEX_OF_NAMES(more) "{'v':2,'key':{'keyAltNames':1},'name':'keyAltNames_1'" more "}"
#define NO_INDEX {.command = "listIndexes", .reply = FOUND(INDEX_OF_ID)}

static void a_user_who_may_not_see_the_index_gets_no_names_in(void)
{
    struct dkv_error err = {0};
    enum dkv_index_state state = DKV_INDEX_OK;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .reply = DKV_STUB_ERROR(13, "Unauthorized")});

    ASSERT_OK(ops->check_index(fixture.store, &state, &err));
    ASSERT_RC(DKV_E_DENIED, insert_key(&fixture, "invoices", NULL, &err));

    CU_ASSERT_EQUAL(state, DKV_INDEX_UNKNOWN);
    ASSERT_SAYS("no privilege to see the index");
    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "insert"), 0);
    fixture_close(&fixture);
}

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

static const struct {
    const char *indexes;
    enum dkv_index_state state;
    enum dkv_rc rc;
    const char *says;
} wrong_indexes[] = {
    {FOUND(INDEX_OF_ID "," INDEX_OF_NAMES("")), DKV_INDEX_NOT_UNIQUE, DKV_E_CONFIG, "dropIndex(\"keyAltNames_1\")"},
    {FOUND(INDEX_OF_ID "," INDEX_OF_NAMES(",'unique':true")), DKV_INDEX_NOT_PARTIAL, DKV_E_CONFIG, "not partial"},
    {FOUND(INDEX_OF_ID "," INDEX_OF_NAMES(",'unique':true,'partialFilterExpression':{'keyAltNames':{'$exists':true},"
                                            "'status':0}")),
     DKV_INDEX_NOT_PARTIAL, DKV_E_CONFIG, "not partial"},
    {FOUND(INDEX_OF_ID ",{'v':2,'key':{'status':1},'name':'keyAltNames_1','unique':true}"), DKV_INDEX_NOT_UNIQUE,
     DKV_E_CONFIG, "dropIndex"},
};

static void no_name_gets_into_a_vault_whose_index_is_wrong(void)
{
    for (size_t i = 0; i < DKV_COUNT(wrong_indexes); i++) {
        struct dkv_error err = {0};
        enum dkv_index_state state = DKV_INDEX_OK;
        struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
        struct kept kept = {0};
        keep(&kept, 1, NULL, "material");
        SCRIPT(fixture, {.command = "listIndexes", .reply = wrong_indexes[i].indexes},
               {.command = "find", .documents = &kept.span, .n_documents = 1});

        ASSERT_OK(ops->check_index(fixture.store, &state, &err));
        ASSERT_RC(wrong_indexes[i].rc, insert_key(&fixture, "invoices", NULL, &err));
        ASSERT_SAYS(wrong_indexes[i].says);
        ASSERT_RC(wrong_indexes[i].rc, add_name(&fixture, &err));

        CU_ASSERT_EQUAL(state, wrong_indexes[i].state);
        CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "insert"), 0);
        CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "findAndModify"), 0);
        CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "createIndexes"), 0);
        dkv_buf_done(&kept.bytes);
        fixture_close(&fixture);
    }
}

static void a_key_without_names_gets_into_a_vault_whose_index_is_wrong_or_not_shown(void)
{
    static const char *const replies[] = {FOUND(INDEX_OF_ID "," INDEX_OF_NAMES("")),
                                          DKV_STUB_ERROR(13, "Unauthorized")};
    for (size_t i = 0; i < DKV_COUNT(replies); i++) {
        struct dkv_error err = {0};
        struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
        SCRIPT(fixture, {.command = "listIndexes", .reply = replies[i]});

        ASSERT_OK(insert(&fixture, &err));

        ASSERT_SAID("listIndexes insert");
        fixture_close(&fixture);
    }
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

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_user_who_may_not_see_the_index_gets_no_names_in),
        DKV_TEST(a_user_who_may_not_make_the_index_is_told_the_command),
        DKV_TEST(a_user_who_may_not_take_empty_names_away_is_told_the_command),
        DKV_TEST(a_sharded_collection_is_told_apart_by_its_stats),
        DKV_TEST(a_sharded_collection_whose_stats_are_not_shown_is_told_by_the_code),
        DKV_TEST(no_name_gets_into_a_vault_whose_index_is_wrong),
        DKV_TEST(a_key_without_names_gets_into_a_vault_whose_index_is_wrong_or_not_shown),
        DKV_TEST(names_that_clash_already_are_named_with_the_command),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
