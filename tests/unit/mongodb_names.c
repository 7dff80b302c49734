/* SPDX-License-Identifier: Apache-2.0 */
/* The MongoDB store's index of alt names, name by name: which indexes count, how often they are asked for, and what
 * becomes of names that mean something else to a server. Against a scripted server; where a real one must say how it
 * takes them, that test is skipped without one (scripts/test-mongodb). */
#include "tests/unit/mongodb_fixture.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/lib/mongodb_plant.h"

#define FOUND(indexes)                                                                                         \
    "{'ok':1,'cursor':{'id':{'$numberLong':'0'},'ns':'encryption.__keyVault','firstBatch':[" indexes "]}}"
#define ID_INDEX "{'v':2,'key':{'_id':1},'name':'_id_'}"
#define PARTIAL "'partialFilterExpression':{'keyAltNames':{'$exists':true}}"
#define RIGHT "{'v':2,'key':{'keyAltNames':1},'name':'keyAltNames_1','unique':true," PARTIAL "}"
#define NOT_UNIQUE "{'v':2,'key':{'keyAltNames':1},'name':'plain'}"

static const struct dkv_store_ops *const ops = &dkv_mongodb_store_ops;

static enum dkv_rc insert_key(struct fixture *fixture, uint8_t number, const char *name, enum dkv_clash *ret_clash,
                              struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    put_key(number, name, "material", &bytes);
    return ops->insert(fixture->store, dkv_span_buf(&bytes), ret_clash, err);
}

/* ---- Which count ---- */

static const struct {
    const char *indexes;
    enum dkv_index_state state;
} judged[] = {
    {FOUND(RIGHT), DKV_INDEX_OK},
    {FOUND(ID_INDEX "," RIGHT), DKV_INDEX_OK},
    {FOUND("{'key':{'keyAltNames':1.0},'name':'by hand','unique':true," PARTIAL "}"), DKV_INDEX_OK},
    {FOUND(NOT_UNIQUE "," RIGHT), DKV_INDEX_OK},
    {FOUND(RIGHT "," NOT_UNIQUE), DKV_INDEX_OK},
    {FOUND(""), DKV_INDEX_MISSING},
    {FOUND(ID_INDEX), DKV_INDEX_MISSING},
    {FOUND("{'key':{'keyAltNames':-1},'name':'keyAltNames_-1','unique':true," PARTIAL "}"), DKV_INDEX_MISSING},
    {FOUND("{'key':{'keyAltNames':'text'},'name':'words','unique':true," PARTIAL "}"), DKV_INDEX_MISSING},
    {FOUND("{'key':{'keyAltNames':1,'status':1},'name':'both','unique':true," PARTIAL "}"), DKV_INDEX_MISSING},
    {FOUND("{'key':{},'name':'none','unique':true," PARTIAL "}"), DKV_INDEX_MISSING},
    {FOUND("{'key':'keyAltNames','name':7,'unique':true," PARTIAL "}"), DKV_INDEX_MISSING},
    {FOUND(NOT_UNIQUE), DKV_INDEX_NOT_UNIQUE},
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

/* ---- Words ---- */

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

static void a_server_that_does_not_list_what_it_made_is_an_error(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .reply = FOUND(ID_INDEX)});

    ASSERT_RC(DKV_E_INTERNAL, ops->ensure_index(fixture.store, &err));

    ASSERT_SAYS("doesn't list it");
    fixture_close(&fixture);
}

static void an_index_that_others_make_meanwhile_will_do(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .to = 1, .reply = FOUND(ID_INDEX)},
           {.command = "listIndexes", .reply = FOUND(ID_INDEX "," RIGHT)},
           {.command = "createIndexes", .reply = DKV_STUB_ERROR(85, "IndexOptionsConflict")});

    ASSERT_OK(ops->ensure_index(fixture.store, &err));

    CU_ASSERT_EQUAL(err.rc, DKV_OK);
    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "createIndexes"), 1);
    fixture_close(&fixture);
}

/* ---- How often it is asked for ---- */

static void names_in_a_row_ask_for_the_index_once(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .reply = FOUND(RIGHT)});

    ASSERT_OK(insert_key(&fixture, 1, "one", NULL, &err));
    ASSERT_OK(insert_key(&fixture, 2, "two", NULL, &err));

    CU_ASSERT_STRING_EQUAL(dkv_stub_said(fixture.stub), "listIndexes insert insert");
    fixture_close(&fixture);
}

static void an_index_that_was_wrong_is_asked_for_at_every_name(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .to = 2, .reply = FOUND(NOT_UNIQUE)},
           {.command = "listIndexes", .reply = FOUND(RIGHT)});

    ASSERT_RC(DKV_E_CONFIG, insert_key(&fixture, 1, "one", NULL, &err));
    ASSERT_RC(DKV_E_CONFIG, insert_key(&fixture, 1, "one", NULL, &err));
    ASSERT_OK(insert_key(&fixture, 1, "one", NULL, &err));

    CU_ASSERT_STRING_EQUAL(dkv_stub_said(fixture.stub), "listIndexes listIndexes listIndexes insert");
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
    SCRIPT(fixture, {.command = "listIndexes", .reply = FOUND(NOT_UNIQUE)});
    warnings = 0;
    dkv_set_log(count_warning, NULL);

    ASSERT_OK(insert_key(&fixture, 1, NULL, NULL, &err));
    ASSERT_OK(insert_key(&fixture, 2, NULL, NULL, &err));

    dkv_set_log(NULL, NULL);
    CU_ASSERT_EQUAL(warnings, 1);
    CU_ASSERT_EQUAL(err.rc, DKV_OK);
    CU_ASSERT_STRING_EQUAL(dkv_stub_said(fixture.stub), "listIndexes insert insert");
    fixture_close(&fixture);
}

static void a_server_that_refuses_the_user_is_not_asked_twice(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .reply = DKV_STUB_ERROR(18, "AuthenticationFailed")});

    ASSERT_RC(DKV_E_AUTH, insert_key(&fixture, 1, NULL, NULL, &err));

    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "insert"), 0);
    fixture_close(&fixture);
}

/* ---- Duplicates that a server calls something else: DocumentDB, InternalError ---- */

static void keep(struct dkv_buf *bytes, uint8_t number, const char *name, struct dkv_span *ret)
{
    put_key(number, name, "other", bytes);
    *ret = dkv_span_buf(bytes);
}

static void a_name_refused_by_an_internal_error_is_a_conflict_if_others_have_it(void)
{
    struct dkv_error err = {0};
    struct dkv_buf bytes = {0};
    struct dkv_span holder;
    enum dkv_clash clash = DKV_CLASH_NONE;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&bytes, 2, "one", &holder);
    SCRIPT(fixture, {.command = "listIndexes", .reply = FOUND(RIGHT)},
           {.command = "insert", .reply = DKV_STUB_WRITE_ERROR(1, "conflicting key value")},
           {.command = "find", .from = 2, .documents = &holder, .n_documents = 1}); /* the first is by _id */

    ASSERT_RC(DKV_E_CONFLICT, insert_key(&fixture, 1, "one", &clash, &err));

    ASSERT_SAYS("the alt name \"one\" belongs to the key 00000000-0000-4000-8000-000000000002 already");
    CU_ASSERT_EQUAL(clash, DKV_CLASH_NAME);
    dkv_buf_done(&bytes);
    fixture_close(&fixture);
}

static void an_internal_error_without_a_clash_stays_one(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .reply = FOUND(RIGHT)},
           {.command = "insert", .reply = DKV_STUB_WRITE_ERROR(1, "out of luck")});

    ASSERT_RC(DKV_E_INTERNAL, insert_key(&fixture, 1, "one", NULL, &err));

    ASSERT_SAYS("out of luck");
    CU_ASSERT_EQUAL(err.native_code, 1);
    fixture_close(&fixture);
}

static void an_internal_error_of_the_index_without_a_clash_stays_one(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .reply = FOUND(ID_INDEX)},
           {.command = "createIndexes", .reply = DKV_STUB_ERROR(1, "InternalError")});

    ASSERT_RC(DKV_E_INTERNAL, ops->ensure_index(fixture.store, &err));

    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "aggregate"), 1);
    CU_ASSERT_EQUAL(err.native_code, 1);
    fixture_close(&fixture);
}

/* ---- keyAltNames without a name in it ---- */

/* A document with an empty array, as other clients write it. */
static void put_empty(struct dkv_buf *ret)
{
    struct dkv_error err = {0};
    struct dkv_buf plain = {0};
    bson_t bson, none = BSON_INITIALIZER, document = BSON_INITIALIZER;
    put_key(1, NULL, "material", &plain);
    CU_ASSERT_TRUE_FATAL(bson_init_static(&bson, plain.data, plain.len));
    CU_ASSERT_TRUE_FATAL(bson_concat(&document, &bson) && BSON_APPEND_ARRAY(&document, "keyAltNames", &none));
    ASSERT_OK(dkv_buf_append(ret, dkv_span(bson_get_data(&document), document.len), &err));
    bson_destroy(&document);
    dkv_buf_done(&plain);
}

static void a_second_empty_list_of_names_is_a_clash_of_names(void)
{
    struct dkv_error err = {0};
    struct dkv_buf bytes = {0};
    enum dkv_clash one = DKV_CLASH_NONE, many = DKV_CLASH_NONE;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    put_empty(&bytes);
    const struct dkv_span document = dkv_span_buf(&bytes);
    SCRIPT(fixture, {.command = "listIndexes", .reply = FOUND(RIGHT)},
           {.command = "insert", .reply = DKV_STUB_WRITE_ERROR(11000, "duplicate key")});

    ASSERT_RC(DKV_E_CONFLICT, ops->insert(fixture.store, document, &one, &err));
    ASSERT_SAYS("leave the field out");
    ASSERT_OK(ops->insert_many(fixture.store, &document, 1, &many, &err));

    CU_ASSERT_EQUAL(one, DKV_CLASH_NAME);
    CU_ASSERT_EQUAL(many, DKV_CLASH_NAME);
    dkv_buf_done(&bytes);
    fixture_close(&fixture);
}

/* ---- Lost replies to a change of names or status: done, and told as a change ---- */

#define LOST_TWICE(name) {.command = name, .from = 1, .to = 2, .action = DKV_STUB_RESET} /* the driver's repeat too */

static enum dkv_rc add_one(struct fixture *fixture, bool *ret_changed, struct dkv_error *err)
{
    const struct dkv_uuid id = id_of(1);
    return ops->add_alt_name(fixture->store, &id, "one", ret_changed, err);
}

static void a_name_whose_reply_was_lost_was_added(void)
{
    struct dkv_error err = {0};
    struct dkv_buf before = {0}, after = {0};
    struct dkv_span stored, named;
    bool changed = false;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&before, 1, NULL, &stored);
    keep(&after, 1, "one", &named);
    SCRIPT(fixture, {.command = "listIndexes", .reply = FOUND(RIGHT)},
           {.command = "find", .to = 1, .documents = &stored, .n_documents = 1},
           {.command = "find", .documents = &named, .n_documents = 1}, LOST_TWICE("findAndModify"));

    ASSERT_OK(add_one(&fixture, &changed, &err));

    CU_ASSERT_TRUE(changed);
    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "findAndModify"), 2);
    dkv_buf_done(&before);
    dkv_buf_done(&after);
    fixture_close(&fixture);
}

static void a_name_that_was_there_is_no_change(void)
{
    struct dkv_error err = {0};
    struct dkv_buf bytes = {0};
    struct dkv_span named;
    bool changed = true;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&bytes, 1, "one", &named);
    SCRIPT(fixture, {.command = "find", .to = 1, .action = DKV_STUB_RESET},
           {.command = "find", .documents = &named, .n_documents = 1});

    ASSERT_OK(add_one(&fixture, &changed, &err));

    CU_ASSERT_FALSE(changed);
    CU_ASSERT_STRING_EQUAL(dkv_stub_said(fixture.stub), "find find");
    dkv_buf_done(&bytes);
    fixture_close(&fixture);
}

/* The pipeline would make keyAltNames null in a document without it, as a request does that comes late. */
static void the_last_name_is_taken_only_where_it_still_is(void)
{
    struct dkv_error err = {0};
    struct dkv_buf before = {0}, after = {0};
    struct dkv_span named, plain;
    bool changed = true;
    bson_iter_t iter, at;
    const struct dkv_uuid id = id_of(1);
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&before, 1, "one", &named);
    keep(&after, 1, NULL, &plain);
    SCRIPT(fixture, {.command = "find", .to = 1, .documents = &named, .n_documents = 1},
           {.command = "find", .documents = &plain, .n_documents = 1},
           {.command = "findAndModify", .reply = "{'ok':1,'value':null}"});

    ASSERT_OK(ops->remove_alt_name(fixture.store, &id, "one", &changed, &err));

    const bson_t *sent = dkv_stub_nth(fixture.stub, "findAndModify", 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sent);
    CU_ASSERT_TRUE_FATAL(bson_iter_init(&iter, sent) && bson_iter_find_descendant(&iter, "query.keyAltNames", &at));
    CU_ASSERT_STRING_EQUAL(bson_iter_utf8(&at, NULL), "one");
    CU_ASSERT_FALSE(changed); /* somebody else did it */
    dkv_buf_done(&before);
    dkv_buf_done(&after);
    fixture_close(&fixture);
}

/* ---- Names that are a path to a pipeline ---- */

static void a_name_that_begins_with_a_dollar_is_put_literally(void)
{
    struct dkv_error err = {0};
    struct dkv_buf bytes = {0};
    struct dkv_span named;
    const struct dkv_uuid id = id_of(1);
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&bytes, 1, "$status", &named);
    SCRIPT(fixture, {.command = "find", .documents = &named, .n_documents = 1});

    ASSERT_RC(DKV_E_CONFLICT, ops->remove_alt_name(fixture.store, &id, "$status", NULL, &err)); /* the stub has none */

    bson_iter_t iter, at;
    const bson_t *sent = dkv_stub_nth(fixture.stub, "findAndModify", 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sent);
    CU_ASSERT_TRUE_FATAL(bson_iter_init(&iter, sent));
    CU_ASSERT_TRUE_FATAL(bson_iter_find_descendant(
        &iter, "update.0.$set.keyAltNames.$cond.0.$eq.1.0.$literal", &at));
    CU_ASSERT_STRING_EQUAL(bson_iter_utf8(&at, NULL), "$status");
    dkv_buf_done(&bytes);
    fixture_close(&fixture);
}

static void add_all(struct dkv_store *store, const struct dkv_uuid *id, const char *const *names, size_t n)
{
    struct dkv_error err = {0};
    for (size_t i = 0; i < n; i++) {
        ASSERT_OK(ops->add_alt_name(store, id, names[i], NULL, &err));
    }
}

static void a_server_takes_a_name_out_whatever_it_looks_like(void)
{
    static const char *const names[] = {"$keyAltNames", "$$ROOT", "$$this", "$", "{", "]", "a.b", "0"};
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    char name_space[96];
    if (dkv_test_mongodb_uri() == NULL) {
        dkv_test_skip("no MongoDB server: scripts/test-mongodb up");
        return;
    }
    snprintf(name_space, sizeof(name_space), "%s.keys", dkv_test_mongodb_new_database());
    const struct dkv_store_settings settings = {
        .location = dkv_test_mongodb_uri(), .name_space = name_space, .timeout_ms = 30000};
    ASSERT_OK(ops->open(&settings, true, NULL, &store, &err));
    struct fixture fixture = {.store = store};
    const struct dkv_uuid id = id_of(1);
    ASSERT_OK(insert_key(&fixture, 1, NULL, NULL, &err));
    add_all(store, &id, names, DKV_COUNT(names));

    for (size_t i = 0; i < DKV_COUNT(names); i++) {
        struct dkv_buf document = {0};
        bool changed = false;
        ASSERT_OK(ops->remove_alt_name(store, &id, names[i], &changed, &err));
        CU_ASSERT_TRUE(changed);
        CU_ASSERT_EQUAL(ops->get_by_alt_name(store, names[i], &document, NULL), DKV_E_NOT_FOUND);
        if (i + 1 < DKV_COUNT(names)) {
            ASSERT_OK(ops->get_by_alt_name(store, names[i + 1], &document, &err));
        }
        dkv_buf_done(&document);
    }
    ops->close(store);
    dkv_test_mongodb_done();
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(only_a_unique_and_partial_index_on_the_names_counts),
        DKV_TEST(a_list_of_indexes_that_fails_leaves_the_state_unsaid),
        DKV_TEST(the_command_to_paste_quotes_what_others_named),
        DKV_TEST(a_server_that_does_not_list_what_it_made_is_an_error),
        DKV_TEST(an_index_that_others_make_meanwhile_will_do),
        DKV_TEST(names_in_a_row_ask_for_the_index_once),
        DKV_TEST(an_index_that_was_wrong_is_asked_for_at_every_name),
        DKV_TEST(the_first_key_without_a_name_warns_of_a_wrong_index_once),
        DKV_TEST(a_server_that_refuses_the_user_is_not_asked_twice),
        DKV_TEST(a_name_refused_by_an_internal_error_is_a_conflict_if_others_have_it),
        DKV_TEST(an_internal_error_without_a_clash_stays_one),
        DKV_TEST(an_internal_error_of_the_index_without_a_clash_stays_one),
        DKV_TEST(a_second_empty_list_of_names_is_a_clash_of_names),
        DKV_TEST(a_name_whose_reply_was_lost_was_added),
        DKV_TEST(a_name_that_was_there_is_no_change),
        DKV_TEST(the_last_name_is_taken_only_where_it_still_is),
        DKV_TEST(a_name_that_begins_with_a_dollar_is_put_literally),
        DKV_TEST(a_server_takes_a_name_out_whatever_it_looks_like),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
