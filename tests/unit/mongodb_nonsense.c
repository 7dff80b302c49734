/* SPDX-License-Identifier: Apache-2.0 */
/* A server that answers with nonsense, by malice or by fault: counts, indexes, labels and words that are none end in an
 * answer that is right or in an error, within bounded memory, and never in the end of the process. */
#include "tests/unit/mongodb_acts.h"

#define OPEN_CURSOR 77

/* ---- Counts ---- */

static enum dkv_rc visit_count(void *arg, const struct dkv_key_count *count, struct dkv_error *err)
{
    uint64_t *sum = arg;
    (void)err;
    *sum += count->count;
    return DKV_OK;
}

#define GROUPS(key, id, groups) "{'cursor':{'id':" id ",'ns':'encryption.__keyVault','" key "':[" groups "]},'ok':1}"
#define GROUP(count) "{'_id':{'masterKey':{'provider':'local'},'status':0},'count':" count "}"
#define OPEN "{'$numberLong':'77'}"

static void a_batch_that_is_empty_does_not_end_a_count(void)
{
    struct dkv_error err = {0};
    uint64_t sum = 0;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "aggregate", .reply = GROUPS("firstBatch", OPEN, GROUP("3"))},
           {.command = "getMore", .to = 1, .reply = GROUPS("nextBatch", OPEN, "")},
           {.command = "getMore", .reply = GROUPS("nextBatch", "{'$numberLong':'0'}", GROUP("4"))});

    ASSERT_OK(ops->count_by(fixture.store, visit_count, &sum, &err));

    CU_ASSERT_EQUAL(sum, 7);
    fixture_close(&fixture);
}

static void a_count_that_is_none_is_an_error(void)
{
    static const char *const counts[] = {
        GROUP("-1"),
        GROUP("'3'"),
        GROUP("null"),
        GROUP("{'$numberDouble':'NaN'}"),
        GROUP("{'$numberDouble':'1e300'}"),
        GROUP("{'$numberLong':'-9223372036854775808'}"),
        "{'_id':{'masterKey':{'provider':'local'},'status':0}}",
    };
    for (size_t i = 0; i < DKV_COUNT(counts); i++) {
        struct dkv_error err = {0};
        char reply[512];
        uint64_t sum = 0;
        struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
        snprintf(reply, sizeof(reply), GROUPS("firstBatch", "{'$numberLong':'0'}", "%s"), counts[i]);
        SCRIPT(fixture, {.command = "aggregate", .reply = reply});

        ASSERT_RC(DKV_E_INTERNAL, ops->count_by(fixture.store, visit_count, &sum, &err));

        CU_ASSERT_EQUAL(sum, 0);
        fixture_close(&fixture);
    }
}

#define LONG_CMK (900u * 1024u)

/* One group more, of another CMK. */
static void respond_long_group(void *arg, const bson_t *command, bson_t *reply)
{
    char *cmk = arg;
    bson_t group = BSON_INITIALIZER, id, master_key;
    for (size_t i = 0; ++cmk[i] > 'z'; i++) {
        cmk[i] = 'A';
    }
    BSON_APPEND_DOCUMENT_BEGIN(&group, "_id", &id);
    BSON_APPEND_DOCUMENT_BEGIN(&id, "masterKey", &master_key);
    BSON_APPEND_UTF8(&master_key, "provider", "kmip");
    BSON_APPEND_UTF8(&master_key, "keyId", cmk);
    bson_append_document_end(&id, &master_key);
    bson_append_document_end(&group, &id);
    BSON_APPEND_INT32(&group, "count", 1);
    const struct dkv_span span = dkv_span(bson_get_data(&group), group.len);
    dkv_stub_cursor_reply(command, OPEN_CURSOR, &span, 1, reply);
    bson_destroy(&group);
}

static void a_count_that_never_ends_fills_no_memory(void)
{
    struct dkv_error err = {0};
    uint64_t sum = 0;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    char *cmk = malloc(LONG_CMK + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(cmk);
    memset(cmk, 'A', LONG_CMK);
    cmk[LONG_CMK] = '\0';
    SCRIPT(fixture, {.command = "aggregate", .respond = respond_long_group, .arg = cmk},
           {.command = "getMore", .to = 250, .respond = respond_long_group, .arg = cmk});

    ASSERT_RC(DKV_E_RESOURCE, ops->count_by(fixture.store, visit_count, &sum, &err));

    CU_ASSERT_EQUAL(sum, 0);
    free(cmk);
    fixture_close(&fixture);
}

/* ---- Indexes ---- */

#define INDEXES(key, indexes) "{'cursor':{'id':" OPEN ",'ns':'encryption.__keyVault','" key "':[" indexes "]},'ok':1}"
#define NAMES_INDEX                                                         \
    "{'v':2,'key':{'keyAltNames':1},'name':'keyAltNames_1','unique':true,"  \
    "'partialFilterExpression':{'keyAltNames':{'$exists':true}}}"

static void an_empty_batch_does_not_hide_the_index(void)
{
    struct dkv_error err = {0};
    enum dkv_index_state state = DKV_INDEX_UNKNOWN;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .reply = INDEXES("firstBatch", "")},
           {.command = "getMore", .to = 1, .reply = INDEXES("nextBatch", "")},
           {.command = "getMore", .to = 2, .reply = INDEXES("nextBatch", NAMES_INDEX)});

    ASSERT_OK(ops->check_index(fixture.store, &state, &err));

    CU_ASSERT_EQUAL(state, DKV_INDEX_OK);
    fixture_close(&fixture);
}

static void indexes_that_never_end_are_not_listened_to(void)
{
    struct dkv_error err = {0};
    enum dkv_index_state state = DKV_INDEX_UNKNOWN;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .reply = INDEXES("firstBatch", "{'key':{'a':1}}")},
           {.command = "getMore", .to = 4000, .reply = INDEXES("nextBatch", "{'key':{'a':1}}")});

    ASSERT_OK(ops->check_index(fixture.store, &state, &err));

    CU_ASSERT_EQUAL(state, DKV_INDEX_MISSING);
    CU_ASSERT_TRUE(dkv_stub_count(fixture.stub, "getMore") < 4000);
    fixture_close(&fixture);
}

static void an_index_of_nonsense_is_not_ours(void)
{
    static const char *const indexes[] = {
        "{}",
        "{'key':1,'name':2,'unique':'yes','partialFilterExpression':null}",
        "{'key':{},'unique':true,'partialFilterExpression':{}}",
        "{'key':{'keyAltNames':{'$numberDouble':'NaN'}},'unique':true,"
        "'partialFilterExpression':{'keyAltNames':{'$exists':true}}}",
        "{'key':{'keyAltNames':{'$numberDouble':'1e300'}},'unique':true,"
        "'partialFilterExpression':{'keyAltNames':{'$exists':true}}}",
        "{'key':{'keyAltNames':1,'x':1},'unique':true,'partialFilterExpression':{'keyAltNames':{'$exists':true}}}",
    };
    for (size_t i = 0; i < DKV_COUNT(indexes); i++) {
        struct dkv_error err = {0};
        char reply[512];
        enum dkv_index_state state = DKV_INDEX_UNKNOWN;
        struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
        snprintf(reply, sizeof(reply), GROUPS("firstBatch", "{'$numberLong':'0'}", "%s"), indexes[i]);
        SCRIPT(fixture, {.command = "listIndexes", .reply = reply});

        ASSERT_OK(ops->check_index(fixture.store, &state, &err));

        CU_ASSERT_EQUAL(state, DKV_INDEX_MISSING);
        fixture_close(&fixture);
    }
}

/* ---- Labels ---- */

/* Without sessions libmongoc doesn't look at them; it ends the process over such. */
static void labels_of_nonsense_are_none(void)
{
    static const char *const extras[] = {
        "'errorLabels':'RetryableWriteError'", "'errorLabels':1", "'errorLabels':[1,null,{}]", "'errorLabels':{}",
        "'errorLabels':['other'],'writeConcernError':7", "'writeConcernError':'x'",
    };
    for (size_t i = 0; i < DKV_COUNT(extras); i++) {
        struct dkv_error err = {0};
        char reply[256];
        struct fixture fixture = fixture_open(DKV_STUB_STANDALONE);
        snprintf(reply, sizeof(reply), "{'ok':0,'code':4242,'codeName':'Odd','errmsg':'odd',%s}", extras[i]);
        SCRIPT(fixture, {.command = "find", .reply = reply});

        ASSERT_RC(DKV_E_INTERNAL, get_nothing(&fixture, &err));

        ASSERT_NATIVE(4242, "ServerError");
        fixture_close(&fixture);
    }
}

static void words_of_a_server_are_one_line_without_control_characters(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_STANDALONE);
    SCRIPT(fixture, {.command = "find",
                     .reply = "{'ok':0,'code':4242,'errmsg':'\\u001b[2J\\u009bx\\r\\n\\u202eevil %s%n'}"});

    ASSERT_RC(DKV_E_INTERNAL, get_nothing(&fixture, &err));

    CU_ASSERT_TRUE(dkv_utf8_is_valid(dkv_span_str(err.message)));
    CU_ASSERT_PTR_NULL(strpbrk(err.message, "\x1b\r\n"));
    CU_ASSERT_PTR_NULL(strstr(err.message, "\xc2\x9b"));
    ASSERT_SAYS("evil %s%n");
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_batch_that_is_empty_does_not_end_a_count),
        DKV_TEST(a_count_that_is_none_is_an_error),
        DKV_TEST(a_count_that_never_ends_fills_no_memory),
        DKV_TEST(an_empty_batch_does_not_hide_the_index),
        DKV_TEST(indexes_that_never_end_are_not_listened_to),
        DKV_TEST(an_index_of_nonsense_is_not_ours),
        DKV_TEST(labels_of_nonsense_are_none),
        DKV_TEST(words_of_a_server_are_one_line_without_control_characters),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
