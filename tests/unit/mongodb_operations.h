/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation of the MongoDB store as a table: a call, what a server answers, the commands that it must be sent,
 * and the privileges that they take. For mongodb_commands.c. */
#ifndef TESTS_UNIT_MONGODB_OPERATIONS_H
#define TESTS_UNIT_MONGODB_OPERATIONS_H

#include "tests/unit/mongodb_fixture.h"

/* ---- What the server keeps, for an operation to find ---- */

struct stored {
    uint8_t number;
    const char *name;
    const char *material;
};

static const struct stored plain = {1, NULL, "old"}, named = {1, "invoices", "old"}, dollar = {1, "$name", "old"};

static void respond_stored(void *arg, const bson_t *command, bson_t *reply)
{
    const struct stored *stored = arg;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    put_key(stored->number, stored->name, stored->material, &bytes);
    const struct dkv_span document = dkv_span_buf(&bytes);
    dkv_stub_cursor_reply(command, 0, &document, 1, reply);
}

static void respond_previous(void *arg, const bson_t *command, bson_t *reply)
{
    (void)command;
    const struct stored *stored = arg;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    bson_t document;
    put_key(stored->number, stored->name, stored->material, &bytes);
    CU_ASSERT_TRUE(bson_init_static(&document, bytes.data, bytes.len));
    dkv_stub_put_json(reply, "{'lastErrorObject':{'n':1,'updatedExisting':true},'ok':1}");
    BSON_APPEND_DOCUMENT(reply, "value", &document);
}

#define KEEPS(which) {.command = "find", .respond = respond_stored, .arg = (void *)(uintptr_t)&(which)}
#define MODIFIES(which) {.command = "findAndModify", .respond = respond_previous, .arg = (void *)(uintptr_t)&(which)}
#define NO_NAMES_INDEX_FIRST                                                                                 \
    {                                                                                                        \
        .command = "listIndexes", .to = 1,                                                                   \
        .reply = "{'cursor':{'id':0,'ns':'" DATABASE "." KEYS "','firstBatch':[]},'ok':1}"                   \
    }

/* ---- The operations ---- */

static enum dkv_rc run_get(struct dkv_store *store, struct dkv_error *err)
{
    struct visited visited = {0};
    const struct dkv_uuid ids[] = {id_of(1), id_of(2)};
    return store->ops->get_many(store, ids, DKV_COUNT(ids), visit, &visited, err);
}

static enum dkv_rc run_get_one(struct dkv_store *store, struct dkv_error *err)
{
    struct visited visited = {0};
    const struct dkv_uuid id = id_of(1);
    return store->ops->get_many(store, &id, 1, visit, &visited, err);
}

static enum dkv_rc run_get_by_name(struct dkv_store *store, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    return store->ops->get_by_alt_name(store, "invoices", &bytes, err);
}

static enum dkv_rc run_list(struct dkv_store *store, struct dkv_error *err)
{
    struct visited visited = {0};
    const struct dkv_key_filter all = DKV_KEY_FILTER_ALL;
    return store->ops->list(store, &all, NULL /* after */, 0 /* limit */, visit, &visited, err);
}

static enum dkv_rc run_list_filtered(struct dkv_store *store, struct dkv_error *err)
{
    struct visited visited = {0};
    const struct dkv_uuid after = id_of(1);
    const struct dkv_key_filter filter = {.provider = "aws",
                                          .status = 1,
                                          .name_prefix = "in.v",
                                          .created_after_ms = 1000,
                                          .created_before_ms = INT64_MAX,
                                          .updated_after_ms = INT64_MIN,
                                          .updated_before_ms = 2000};
    return store->ops->list(store, &filter, &after, 10, visit, &visited, err);
}

static enum dkv_rc count_nothing(void *arg, const struct dkv_key_count *count, struct dkv_error *err)
{
    (void)arg;
    (void)count;
    (void)err;
    return DKV_OK;
}

static enum dkv_rc run_count(struct dkv_store *store, struct dkv_error *err)
{
    return store->ops->count_by(store, count_nothing, NULL, err);
}

static enum dkv_rc insert_key(struct dkv_store *store, const char *name, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    put_key(1, name, "material", &bytes);
    return store->ops->insert(store, dkv_span_buf(&bytes), NULL, err);
}

static enum dkv_rc run_insert(struct dkv_store *store, struct dkv_error *err)
{
    return insert_key(store, NULL, err);
}

static enum dkv_rc run_insert_named(struct dkv_store *store, struct dkv_error *err)
{
    return insert_key(store, "invoices", err);
}

static enum dkv_rc run_insert_many(struct dkv_store *store, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf first = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf second = {0};
    enum dkv_clash clashes[2] = {DKV_CLASH_ID, DKV_CLASH_ID};
    put_key(1, NULL, "material", &first);
    put_key(2, "invoices", "material", &second);
    const struct dkv_span documents[] = {dkv_span_buf(&first), dkv_span_buf(&second)};
    return store->ops->insert_many(store, documents, DKV_COUNT(documents), clashes, err);
}

static enum dkv_rc run_replace(struct dkv_store *store, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf expected = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf next = {0};
    const struct dkv_uuid id = id_of(1);
    put_master_key("local", &expected);
    put_master_key("local:second", &next);
    return store->ops->replace_material(store, &id, dkv_span_buf(&expected), dkv_span_str("old"), dkv_span_buf(&next),
                                        dkv_span_str("new"), err);
}

static enum dkv_rc run_set_status(struct dkv_store *store, struct dkv_error *err)
{
    const struct dkv_uuid id = id_of(1);
    return store->ops->set_status(store, &id, DKV_STATUS_DISABLED, NULL, err);
}

static enum dkv_rc run_add_name(struct dkv_store *store, struct dkv_error *err)
{
    const struct dkv_uuid id = id_of(1);
    return store->ops->add_alt_name(store, &id, "invoices", NULL, err);
}

static enum dkv_rc run_remove_name(struct dkv_store *store, struct dkv_error *err)
{
    const struct dkv_uuid id = id_of(1);
    return store->ops->remove_alt_name(store, &id, "invoices", NULL, err);
}

static enum dkv_rc run_remove_dollar_name(struct dkv_store *store, struct dkv_error *err)
{
    const struct dkv_uuid id = id_of(1);
    return store->ops->remove_alt_name(store, &id, "$name", NULL, err);
}

static enum dkv_rc run_remove(struct dkv_store *store, struct dkv_error *err)
{
    const struct dkv_uuid id = id_of(1);
    return store->ops->remove(store, &id, (struct dkv_span){0}, err);
}

static enum dkv_rc run_remove_same(struct dkv_store *store, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    const struct dkv_uuid id = id_of(1);
    put_key(plain.number, plain.name, plain.material, &bytes);
    return store->ops->remove(store, &id, dkv_span_buf(&bytes), err);
}

static enum dkv_rc run_check_index(struct dkv_store *store, struct dkv_error *err)
{
    enum dkv_index_state state = DKV_INDEX_UNKNOWN;
    return store->ops->check_index(store, &state, err);
}

static enum dkv_rc run_ensure_index(struct dkv_store *store, struct dkv_error *err)
{
    return store->ops->ensure_index(store, err);
}

static enum dkv_rc run_state_get(struct dkv_store *store, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf value = {0};
    const enum dkv_rc rc = store->ops->state_get(store, "pins", &value, err);
    return rc == DKV_E_NOT_FOUND ? DKV_OK : rc;
}

static enum dkv_rc put_state(struct dkv_store *store, const char *expected, const char *value, struct dkv_error *err)
{
    return store->ops->state_put(store, "pins", dkv_span_str(expected), dkv_span_str(value), err);
}

static enum dkv_rc run_state_create(struct dkv_store *store, struct dkv_error *err)
{
    return put_state(store, "", "new", err);
}

static enum dkv_rc run_state_change(struct dkv_store *store, struct dkv_error *err)
{
    return put_state(store, "old", "new", err);
}

static enum dkv_rc run_state_delete(struct dkv_store *store, struct dkv_error *err)
{
    return put_state(store, "old", "", err);
}

static enum dkv_rc visit_state(void *arg, const char *key, struct dkv_span value, struct dkv_error *err)
{
    (void)arg;
    (void)key;
    (void)value;
    (void)err;
    return DKV_OK;
}

static enum dkv_rc run_state_list(struct dkv_store *store, struct dkv_error *err)
{
    return store->ops->state_list(store, visit_state, NULL, err);
}

/* ---- What each sends ---- */

/* expected: the commands, one a line, as Extended JSON with ' for ", without lsid, txnNumber, $db and $clusterTime;
 * documents of an insert by their number. */
struct operation {
    const char *name;
    enum dkv_rc (*run)(struct dkv_store *store, struct dkv_error *err);
    struct dkv_stub_rule rules[4];
    const char *expected;
    const char *privileges; /* action and collection */
    bool is_retryable_write;
};

#define ID(base64) "{'$binary':{'base64':'" base64 "','subType':'04'}}"
#define ID_1 ID("AAAAAAAAQACAAAAAAAAAAQ==")
#define ID_2 ID("AAAAAAAAQACAAAAAAAAAAg==")
#define BYTES(base64) "{'$binary':{'base64':'" base64 "','subType':'00'}}"
#define OLD BYTES("b2xk")
#define NEW BYTES("bmV3")
#define LONG(number) "{'$numberLong':'" #number "'}"
#define READ_MAJORITY ",'readConcern':{'level':'majority'}}"
#define WRITE_MAJORITY ",'writeConcern':{'w':'majority'}}"
#define LIST_INDEXES "{'listIndexes':'" KEYS "','cursor':{}}"
#define FIND_ONE(collection, filter) \
    "{'find':'" collection "','filter':" filter ",'limit':" LONG(1) ",'singleBatch':true" READ_MAJORITY
#define WALK(filter) "{'find':'" KEYS "','filter':" filter ",'sort':{'_id':1},'batchSize':1000"
#define INSERT(collection, n, ordered) \
    "{'insert':'" collection "','documents':" #n ",'ordered':" ordered WRITE_MAJORITY
#define UPDATE(collection, q, u) \
    "{'update':'" collection "','ordered':true,'updates':[{'q':" q ",'u':" u "}]" WRITE_MAJORITY
#define DELETE(collection, q) \
    "{'delete':'" collection "','ordered':true,'deletes':[{'q':" q ",'limit':1}]" WRITE_MAJORITY
#define FIND_AND_MODIFY(query, update) \
    "{'findAndModify':'" KEYS "','query':" query ",'update':" update WRITE_MAJORITY
#define REMOVE_NAME(quoted)                                                                                      \
    "[{'$set':{'keyAltNames':{'$cond':[{'$eq':['$keyAltNames',[" quoted "]]},'$$REMOVE',{'$filter':{"             \
    "'input':'$keyAltNames','cond':{'$ne':['$$this'," quoted "]}}}]}}}]"

#define NONE {{.command = NULL}}
#define READS_KEYS "find " KEYS
#define SEES_INDEX "listIndexes " KEYS

static const struct operation operations[] = {
    {"get_many of one", run_get_one, NONE, FIND_ONE(KEYS, "{'_id':" ID_1 "}"), READS_KEYS, false},
    {"get_many", run_get, NONE, WALK("{'_id':{'$in':[" ID_1 "," ID_2 "]}}") READ_MAJORITY, READS_KEYS, false},
    {"get_by_alt_name", run_get_by_name, {KEEPS(named)},
     "{'find':'" KEYS "','filter':{'keyAltNames':'invoices'},'limit':" LONG(2) ",'singleBatch':true" READ_MAJORITY,
     READS_KEYS, false},
    {"list", run_list, NONE, WALK("{}") READ_MAJORITY, READS_KEYS, false},
    {"list, filtered", run_list_filtered, NONE,
     WALK("{'_id':{'$gt':" ID_1 "},'masterKey.provider':'aws','status':1,"
          "'creationDate':{'$gt':{'$date':" LONG(1000) "}},'updateDate':{'$lt':{'$date':" LONG(2000) "}},"
          "'keyAltNames':{'$regex':'^in\\\\.v'}}")
     ",'limit':" LONG(10) READ_MAJORITY,
     READS_KEYS, false},
    {"count_by", run_count, NONE,
     "{'aggregate':'" KEYS "','cursor':{},'pipeline':[{'$group':{'_id':{'masterKey':'$masterKey','status':'$status'},"
     "'count':{'$sum':1}}}]" READ_MAJORITY,
     READS_KEYS, false},
    {"insert, without names", run_insert, NONE, LIST_INDEXES "\n" INSERT(KEYS, 1, "true"),
     SEES_INDEX ", insert " KEYS, true},
    {"insert, with a name", run_insert_named, NONE, LIST_INDEXES "\n" INSERT(KEYS, 1, "true"),
     SEES_INDEX ", insert " KEYS, true},
    {"insert_many", run_insert_many, NONE, LIST_INDEXES "\n" INSERT(KEYS, 2, "false"),
     SEES_INDEX ", insert " KEYS, true},
    {"replace_material", run_replace, {KEEPS(plain)},
     FIND_ONE(KEYS, "{'_id':" ID_1 "}") "\n"
     UPDATE(KEYS, "{'_id':" ID_1 ",'masterKey':{'$eq':{'provider':'local'}},'keyMaterial':" OLD "}",
            "{'$set':{'masterKey':{'provider':'local:second'},'keyMaterial':" NEW "},"
            "'$currentDate':{'updateDate':true}}"),
     READS_KEYS ", update " KEYS, true},
    {"set_status", run_set_status, {KEEPS(plain)},
     FIND_ONE(KEYS, "{'_id':" ID_1 "}") "\n"
     UPDATE(KEYS, "{'_id':" ID_1 ",'status':{'$ne':1}}", "{'$set':{'status':1}}"),
     READS_KEYS ", update " KEYS, true},
    {"add_alt_name", run_add_name, {KEEPS(plain), MODIFIES(plain)},
     FIND_ONE(KEYS, "{'_id':" ID_1 "}") "\n" LIST_INDEXES "\n"
     FIND_AND_MODIFY("{'_id':" ID_1 "}", "{'$addToSet':{'keyAltNames':'invoices'}}"),
     READS_KEYS ", " SEES_INDEX ", update " KEYS, true},
    {"remove_alt_name", run_remove_name, {KEEPS(named), MODIFIES(named)},
     FIND_ONE(KEYS, "{'_id':" ID_1 "}") "\n"
     FIND_AND_MODIFY("{'_id':" ID_1 ",'keyAltNames':'invoices'}", REMOVE_NAME("'invoices'")),
     READS_KEYS ", update " KEYS, true},
    {"remove_alt_name of $name", run_remove_dollar_name, {KEEPS(dollar), MODIFIES(dollar)},
     FIND_ONE(KEYS, "{'_id':" ID_1 "}") "\n"
     FIND_AND_MODIFY("{'_id':" ID_1 ",'keyAltNames':'$name'}", REMOVE_NAME("{'$literal':'$name'}")),
     READS_KEYS ", update " KEYS, true},
    {"remove", run_remove, NONE, DELETE(KEYS, "{'_id':" ID_1 "}"), "remove " KEYS, true},
    {"remove, of these bytes", run_remove_same, {KEEPS(plain)},
     FIND_ONE(KEYS, "{'_id':" ID_1 "}") "\n"
     DELETE(KEYS, "{'_id':" ID_1 ",'$expr':{'$eq':['$$ROOT',{'$literal':{'_id':" ID_1 ",'keyMaterial':" OLD ","
                  "'creationDate':{'$date':" LONG(1000) "},'updateDate':{'$date':" LONG(2000) "},'status':0,"
                  "'masterKey':{'provider':'local'}}}]}}"),
     READS_KEYS ", remove " KEYS, true},
    {"check_index", run_check_index, NONE, LIST_INDEXES, SEES_INDEX, false},
    {"ensure_index", run_ensure_index, {NO_NAMES_INDEX_FIRST},
     LIST_INDEXES "\n{'collStats':'" KEYS "'}\n"
     "{'update':'" KEYS "','ordered':true,'updates':[{'q':{'keyAltNames':{'$size':0}},"
     "'u':{'$unset':{'keyAltNames':''},'$currentDate':{'updateDate':true}},'multi':true}]" WRITE_MAJORITY "\n"
     "{'createIndexes':'" KEYS "','indexes':[{'name':'keyAltNames_1','key':{'keyAltNames':1},'unique':true,"
     "'partialFilterExpression':{'keyAltNames':{'$exists':true}}}]" WRITE_MAJORITY "\n" LIST_INDEXES,
     SEES_INDEX ", collStats " KEYS ", update " KEYS ", createIndex " KEYS, false},
    {"state_get", run_state_get, NONE, FIND_ONE(STATE, "{'_id':'pins'}"), "find " STATE, false},
    {"state_put, creating", run_state_create, NONE, INSERT(STATE, 1, "true"), "insert " STATE, true},
    {"state_put, changing", run_state_change, NONE,
     UPDATE(STATE, "{'_id':'pins','value':" OLD "}", "{'$set':{'value':" NEW "}}"), "update " STATE, true},
    {"state_put, deleting", run_state_delete, NONE, DELETE(STATE, "{'_id':'pins','value':" OLD "}"),
     "remove " STATE, true},
    {"state_list", run_state_list, NONE,
     "{'find':'" STATE "','filter':{'_id':{'$gte':''}},'sort':{'_id':1},'limit':" LONG(100) READ_MAJORITY,
     "find " STATE, false},
};

#endif
