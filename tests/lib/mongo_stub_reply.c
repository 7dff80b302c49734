/* SPDX-License-Identifier: Apache-2.0 */
/* What a healthy server answers, and the replies that scripts are made of. Owns nothing; no state, no lock. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tests/lib/mongo_stub.h"

static const char *const hello_names[] = {"hello", "isMaster", "ismaster"};
static const char *const chatter_names[] = {"hello", "isMaster", "ismaster", "ping", "endSessions", "killCursors"};

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool dkv_stub_is_driver_chatter(const char *command)
{
    return is_one_of(command, chatter_names, DKV_COUNT(chatter_names));
}

bson_t *dkv_stub_json(const char *json)
{
    bson_error_t error = {0};
    char *text = dkv_strdup(json);
    for (char *quote = text; quote != NULL && (quote = strchr(quote, '\'')) != NULL;) {
        *quote = '"';
    }
    bson_t *parsed = text != NULL ? bson_new_from_json((const uint8_t *)text, -1, &error) : NULL;
    if (parsed == NULL) {
        fprintf(stderr, "the stub's script isn't JSON: %s: %s\n", error.message, json);
        abort();
    }
    dkv_free(text);
    return parsed;
}

void dkv_stub_put_json(bson_t *reply, const char *json)
{
    bson_t *parsed = dkv_stub_json(json);
    bson_concat(reply, parsed);
    bson_destroy(parsed);
}

/* ---- hello ---- */

static void put_replica_set(uint16_t port, bson_t *reply)
{
    char me[32];
    bson_t hosts;
    snprintf(me, sizeof(me), "127.0.0.1:%u", port);
    BSON_APPEND_UTF8(reply, "setName", "rs0");
    BSON_APPEND_INT32(reply, "setVersion", 1);
    BSON_APPEND_BOOL(reply, "secondary", false);
    BSON_APPEND_UTF8(reply, "me", me);
    BSON_APPEND_UTF8(reply, "primary", me);
    BSON_APPEND_ARRAY_BEGIN(reply, "hosts", &hosts);
    BSON_APPEND_UTF8(&hosts, "0", me);
    bson_append_array_end(reply, &hosts);
}

static void put_hello(enum dkv_stub_kind kind, uint16_t port, bson_t *reply)
{
    dkv_stub_put_json(reply, "{'helloOk':true,'ismaster':true,'isWritablePrimary':true,'maxBsonObjectSize':16777216,"
                             "'maxMessageSizeBytes':48000000,'maxWriteBatchSize':100000,'minWireVersion':0,"
                             "'maxWireVersion':21,'readOnly':false,'ok':1}");
    if (kind != DKV_STUB_STANDALONE) {
        BSON_APPEND_INT32(reply, "logicalSessionTimeoutMinutes", 30);
    }
    if (kind == DKV_STUB_REPLICA_SET) {
        put_replica_set(port, reply);
    }
    if (kind == DKV_STUB_MONGOS) {
        BSON_APPEND_UTF8(reply, "msg", "isdbgrid");
    }
}

/* ---- Cursors ---- */

static const char *text_of(const bson_t *command, const char *field)
{
    bson_iter_t iter;
    return bson_iter_init_find(&iter, command, field) && BSON_ITER_HOLDS_UTF8(&iter) ? bson_iter_utf8(&iter, NULL) : "";
}

static const char *name_of(const bson_t *command)
{
    bson_iter_t iter;
    return bson_iter_init(&iter, command) && bson_iter_next(&iter) ? bson_iter_key(&iter) : "";
}

void dkv_stub_cursor_reply(const bson_t *command, int64_t cursor_id, const struct dkv_span *documents, size_t n,
                           bson_t *reply)
{
    const char *name = name_of(command);
    const bool is_more = strcmp(name, "getMore") == 0;
    char name_space[256], room[16];
    bson_t cursor, batch, document;
    snprintf(name_space, sizeof(name_space), "%s.%s", text_of(command, "$db"),
             text_of(command, is_more ? "collection" : name));
    BSON_APPEND_DOCUMENT_BEGIN(reply, "cursor", &cursor);
    BSON_APPEND_INT64(&cursor, "id", cursor_id);
    BSON_APPEND_UTF8(&cursor, "ns", name_space);
    BSON_APPEND_ARRAY_BEGIN(&cursor, is_more ? "nextBatch" : "firstBatch", &batch);
    for (size_t i = 0; i < n; i++) {
        const char *key = NULL;
        bson_uint32_to_string((uint32_t)i, &key, room, sizeof(room));
        if (!bson_init_static(&document, documents[i].data, documents[i].len)) {
            fprintf(stderr, "the stub's script has a document that is none\n");
            abort();
        }
        BSON_APPEND_DOCUMENT(&batch, key, &document);
    }
    bson_append_array_end(&cursor, &batch);
    bson_append_document_end(reply, &cursor);
    BSON_APPEND_DOUBLE(reply, "ok", 1);
}

/* The indexes that a vault has. */
static void reply_list_indexes(const bson_t *command, bson_t *reply)
{
    bson_t id = BSON_INITIALIZER, names = BSON_INITIALIZER;
    dkv_stub_put_json(&id, "{'v':2,'key':{'_id':1},'name':'_id_'}");
    dkv_stub_put_json(&names, "{'v':2,'key':{'keyAltNames':1},'name':'keyAltNames_1','unique':true,"
                              "'partialFilterExpression':{'keyAltNames':{'$exists':true}}}");
    const struct dkv_span both[] = {dkv_span(bson_get_data(&id), id.len), dkv_span(bson_get_data(&names), names.len)};
    dkv_stub_cursor_reply(command, 0, both, DKV_COUNT(both), reply);
    bson_destroy(&id);
    bson_destroy(&names);
}

static void reply_empty_cursor(const bson_t *command, bson_t *reply)
{
    dkv_stub_cursor_reply(command, 0, NULL, 0, reply);
}

/* ---- The others ---- */

static void reply_insert(const bson_t *command, bson_t *reply)
{
    bson_iter_t iter, documents;
    int32_t n = 0;
    if (bson_iter_init_find(&iter, command, "documents") && bson_iter_recurse(&iter, &documents)) {
        while (bson_iter_next(&documents)) {
            n++;
        }
    }
    BSON_APPEND_INT32(reply, "n", n);
    BSON_APPEND_DOUBLE(reply, "ok", 1);
}

static const struct {
    const char *command;
    void (*respond)(const bson_t *command, bson_t *reply);
    const char *reply;
} defaults[] = {
    {"listIndexes", reply_list_indexes, NULL},
    {"find", reply_empty_cursor, NULL},
    {"aggregate", reply_empty_cursor, NULL},
    {"getMore", reply_empty_cursor, NULL},
    {"insert", reply_insert, NULL},
    {"update", NULL, "{'n':1,'nModified':1,'ok':1}"},
    {"delete", NULL, "{'n':1,'ok':1}"},
    {"findAndModify", NULL, "{'lastErrorObject':{'n':0,'updatedExisting':false},'value':null,'ok':1}"},
    {"createIndexes", NULL, "{'numIndexesBefore':1,'numIndexesAfter':2,'ok':1}"},
    {"collStats", NULL, "{'sharded':false,'count':0,'ok':1}"},
    {"buildInfo", NULL, "{'version':'7.0.0','versionArray':[7,0,0,0],'ok':1}"},
    {"ping", NULL, "{'ok':1}"},
    {"endSessions", NULL, "{'ok':1}"},
    {"killCursors", NULL, "{'ok':1}"},
};

void dkv_stub_default_reply(enum dkv_stub_kind kind, uint16_t port, const bson_t *command, bson_t *reply)
{
    const char *name = name_of(command);
    if (is_one_of(name, hello_names, DKV_COUNT(hello_names))) {
        put_hello(kind, port, reply);
        return;
    }
    for (size_t i = 0; i < DKV_COUNT(defaults); i++) {
        if (strcmp(name, defaults[i].command) != 0) {
            continue;
        }
        if (defaults[i].respond != NULL) {
            defaults[i].respond(command, reply);
        } else {
            dkv_stub_put_json(reply, defaults[i].reply);
        }
        return;
    }
    dkv_stub_put_json(reply, DKV_STUB_ERROR(59, "CommandNotFound"));
}
