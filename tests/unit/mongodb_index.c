/* SPDX-License-Identifier: Apache-2.0 */
/* The MongoDB store's index of alt names as a scripted server shows it: which indexes count, what goes in where none
 * does, and how often it is asked for. */
#include "tests/unit/mongodb_acts.h"

#include <stdatomic.h>

#include "base/log.h"

/* ---- Which count ---- */

static const struct {
    const char *indexes;
    enum dkv_index_state state;
} judged[] = {
    {FOUND(RIGHT_INDEX), DKV_INDEX_OK},
    {FOUND(INDEX_OF_ID "," RIGHT_INDEX), DKV_INDEX_OK},
    {FOUND("{'key':{'keyAltNames':1.0},'name':'by hand','unique':true," PARTIAL "}"), DKV_INDEX_OK},
    {FOUND(INDEX_OF_NAMES("") "," RIGHT_INDEX), DKV_INDEX_OK},
    {FOUND(RIGHT_INDEX "," INDEX_OF_NAMES("")), DKV_INDEX_OK},
    {FOUND(""), DKV_INDEX_MISSING},
    {FOUND(INDEX_OF_ID), DKV_INDEX_MISSING},
    {FOUND("{'key':{'keyAltNames':-1},'name':'keyAltNames_-1','unique':true," PARTIAL "}"), DKV_INDEX_MISSING},
    {FOUND("{'key':{'keyAltNames':'text'},'name':'words','unique':true," PARTIAL "}"), DKV_INDEX_MISSING},
    {FOUND("{'key':{'keyAltNames':1,'status':1},'name':'both','unique':true," PARTIAL "}"), DKV_INDEX_MISSING},
    {FOUND("{'key':{},'name':'none','unique':true," PARTIAL "}"), DKV_INDEX_MISSING},
    {FOUND("{'key':'keyAltNames','name':7,'unique':true," PARTIAL "}"), DKV_INDEX_MISSING},
    {FOUND(INDEX_OF_NAMES("")), DKV_INDEX_NOT_UNIQUE},
    {FOUND("{'key':{'keyAltNames':1},'name':'a','unique':false," PARTIAL "}"), DKV_INDEX_NOT_UNIQUE},
    {FOUND("{'key':{'keyAltNames':1,'status':1},'name':'keyAltNames_1','unique':true," PARTIAL "}"),
     DKV_INDEX_NOT_UNIQUE},
    {FOUND("{'key':{'keyAltNames':1},'name':'a','unique':true}"), DKV_INDEX_NOT_PARTIAL},
    {FOUND("{'key':{'keyAltNames':1},'name':'a','unique':true,'sparse':true}"), DKV_INDEX_NOT_PARTIAL},
    {FOUND("{'key':{'keyAltNames':1},'name':'a','unique':true,'partialFilterExpression':{}}"), DKV_INDEX_NOT_PARTIAL},
    {FOUND("{'key':{'keyAltNames':1},'name':'a','unique':true,'partialFilterExpression':"
           "{'keyAltNames':{'$exists':false}}}"), DKV_INDEX_NOT_PARTIAL},
    {FOUND("{'key':{'keyAltNames':1},'name':'a','unique':true,'partialFilterExpression':"
           "{'keyAltNames':{'$exists':true,'$gt':'m'}}}"), DKV_INDEX_NOT_PARTIAL},
    {FOUND("{'key':{'keyAltNames':1},'name':'a','unique':true,'partialFilterExpression':"
           "{'keyAltNames':{'$exists':true},'status':0}}"), DKV_INDEX_NOT_PARTIAL},
    {FOUND("{'key':{'keyAltNames':1},'name':'a','unique':true,'partialFilterExpression':"
           "{'status':{'$exists':true}}}"), DKV_INDEX_NOT_PARTIAL},
    {"{'ok':0,'code':26,'codeName':'NamespaceNotFound','errmsg':'ns does not exist'}", DKV_INDEX_MISSING},
    {"{'ok':0,'code':13,'codeName':'Unauthorized','errmsg':'not authorized'}", DKV_INDEX_UNKNOWN},
};

static void only_a_unique_and_partial_index_on_the_names_counts(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    for (size_t i = 0; i < DKV_COUNT(judged); i++) {
        enum dkv_index_state state = DKV_INDEX_SHARDED;
        SCRIPT(fixture, {.command = "listIndexes", .reply = judged[i].indexes});

        ASSERT_OK(ops->check_index(fixture.store, &state, &err));

        if (state != judged[i].state) {
            printf("# %s: %d, not %d\n", judged[i].indexes, (int)state, (int)judged[i].state);
        }
        CU_ASSERT_EQUAL(state, judged[i].state);
        dkv_stub_script(fixture.stub, NULL, 0); /* the rules end here, the monitor's connection doesn't */
    }
    fixture_close(&fixture);
}

static void a_list_of_indexes_that_fails_leaves_the_state_unsaid(void)
{
    struct dkv_error err = {0};
    enum dkv_index_state state = DKV_INDEX_SHARDED;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .reply = DKV_STUB_ERROR(8, "UnknownError")});

    ASSERT_RC(DKV_E_INTERNAL, ops->check_index(fixture.store, &state, &err));

    CU_ASSERT_EQUAL(state, DKV_INDEX_SHARDED);
    fixture_close(&fixture);
}

/* ---- What goes in ---- */

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

/* ---- How often it is asked for ---- */

static void names_in_a_row_ask_for_the_index_once(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .reply = FOUND(RIGHT_INDEX)});

    ASSERT_OK(insert_key(&fixture, "one", NULL, &err));
    ASSERT_OK(insert_key_of(&fixture, 2, "two", NULL, &err));

    ASSERT_SAID("listIndexes insert insert");
    fixture_close(&fixture);
}

static void an_index_that_was_wrong_is_asked_for_at_every_name(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .to = 2, .reply = FOUND(INDEX_OF_NAMES(""))},
           {.command = "listIndexes", .reply = FOUND(RIGHT_INDEX)});

    ASSERT_RC(DKV_E_CONFIG, insert_key(&fixture, "one", NULL, &err));
    ASSERT_RC(DKV_E_CONFIG, insert_key(&fixture, "one", NULL, &err));
    ASSERT_OK(insert_key(&fixture, "one", NULL, &err));

    ASSERT_SAID("listIndexes listIndexes listIndexes insert");
    fixture_close(&fixture);
}

static _Atomic unsigned warnings;

static void count_warning(void *arg, enum dkv_log_level level, const char *line)
{
    (void)arg;
    warnings += level == DKV_LOG_WARNING && strstr(line, "takes no new alt names") != NULL ? 1 : 0;
}

static void the_first_key_without_a_name_warns_of_a_wrong_index_once(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .reply = FOUND(INDEX_OF_NAMES(""))});
    warnings = 0;
    dkv_set_log(count_warning, NULL);

    ASSERT_OK(insert_key(&fixture, NULL, NULL, &err));
    ASSERT_OK(insert_key_of(&fixture, 2, NULL, NULL, &err));

    dkv_set_log(NULL, NULL);
    CU_ASSERT_EQUAL(warnings, 1);
    CU_ASSERT_EQUAL(err.rc, DKV_OK);
    ASSERT_SAID("listIndexes insert insert");
    fixture_close(&fixture);
}

static void a_server_that_refuses_the_user_is_not_asked_twice(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .reply = DKV_STUB_ERROR(18, "AuthenticationFailed")});

    ASSERT_RC(DKV_E_AUTH, insert_key(&fixture, NULL, NULL, &err));

    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "insert"), 0);
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(only_a_unique_and_partial_index_on_the_names_counts),
        DKV_TEST(a_list_of_indexes_that_fails_leaves_the_state_unsaid),
        DKV_TEST(no_name_gets_into_a_vault_whose_index_is_wrong),
        DKV_TEST(a_user_who_may_not_see_the_index_gets_no_names_in),
        DKV_TEST(a_key_without_names_gets_into_a_vault_whose_index_is_wrong_or_not_shown),
        DKV_TEST(names_in_a_row_ask_for_the_index_once),
        DKV_TEST(an_index_that_was_wrong_is_asked_for_at_every_name),
        DKV_TEST(the_first_key_without_a_name_warns_of_a_wrong_index_once),
        DKV_TEST(a_server_that_refuses_the_user_is_not_asked_twice),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
