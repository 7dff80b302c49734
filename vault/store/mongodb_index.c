/* SPDX-License-Identifier: Apache-2.0 */
/* The unique partial index on alt names: looked at, made, and what to do where it can't be (MongoDB specifications,
 * client-side-encryption, "Key vault collection"; made as MongoDB's shell does). Invariant: only an index that refuses
 * every second use of a name counts as DKV_INDEX_OK. Owns nothing. Lock: index_seen_ms is atomic. */
#include "base/clock.h"
#include "vault/document_bson.h"
#include "vault/store/mongodb.h"

#define SEEN_FOR_MS 5000 /* nobody drops the index between two names; asking each time doubles what a name costs */
#define NEVER_ASKED 0
#define WAS_NOT_OK (-1)

#define CODE_UNAUTHORIZED 13
#define CODE_NAMESPACE_NOT_FOUND 26
#define CODE_CANNOT_CREATE_INDEX 67

DKV_DEFINE_FREEP(mongoc_cursor_t, mongoc_cursor_destroy);

/* ---- Looking at it ---- */

struct finding {
    enum dkv_index_state state;
    char name[128]; /* of the index that is wrong; the server's, so only ever shown quoted */
};

/* The document or array that stands alone in this one under `name`; false: another thing, or not alone. */
static bool enter_only(bson_iter_t *parent, const char *name, bson_iter_t *ret_value)
{
    bson_iter_t iter = *parent;
    if (!bson_iter_next(&iter) || strcmp(bson_iter_key(&iter), name) != 0) {
        return false;
    }
    *ret_value = iter;
    return !bson_iter_next(&iter);
}

/* Exactly {keyAltNames: 1}. */
static bool is_on_names(const bson_t *index)
{
    bson_iter_t key, inside, value;
    return bson_iter_init_find(&key, index, "key") && BSON_ITER_HOLDS_DOCUMENT(&key) && dkv_bson_enter(&key, &inside) &&
           enter_only(&inside, "keyAltNames", &value) && BSON_ITER_HOLDS_NUMBER(&value) &&
           bson_iter_as_int64(&value) == 1;
}

/* Exactly {keyAltNames: {$exists: true}}. */
static bool is_partial(const bson_t *index)
{
    bson_iter_t filter, inside, value, condition, exists;
    return bson_iter_init_find(&filter, index, "partialFilterExpression") && BSON_ITER_HOLDS_DOCUMENT(&filter) &&
           dkv_bson_enter(&filter, &inside) && enter_only(&inside, "keyAltNames", &value) &&
           BSON_ITER_HOLDS_DOCUMENT(&value) && dkv_bson_enter(&value, &condition) &&
           enter_only(&condition, "$exists", &exists) && bson_iter_as_bool(&exists);
}

static bool is_unique(const bson_t *index)
{
    bson_iter_t iter;
    return bson_iter_init_find(&iter, index, "unique") && bson_iter_as_bool(&iter);
}

static const char *name_of(const bson_t *index)
{
    bson_iter_t iter;
    return bson_iter_init_find(&iter, index, "name") && BSON_ITER_HOLDS_UTF8(&iter) ? bson_iter_utf8(&iter, NULL) : "";
}

/* One index more: the best one on the names counts; one that has only the name of ours stands in its way. */
static void judge_index(const bson_t *index, struct finding *finding)
{
    const char *name = name_of(index);
    const bool on_names = is_on_names(index);
    if (finding->state == DKV_INDEX_OK || (!on_names && strcmp(name, DKV_MONGODB_INDEX_NAME) != 0)) {
        return;
    }
    finding->state = is_partial(index) ? DKV_INDEX_OK : DKV_INDEX_NOT_PARTIAL;
    if (!on_names || !is_unique(index)) {
        finding->state = DKV_INDEX_NOT_UNIQUE;
    }
    (void)dkv_line_put(finding->name, sizeof(finding->name), 0, name);
}

static enum dkv_rc list_indexes(struct dkv_mongodb_connection *connection, struct finding *finding,
                                struct dkv_error *err)
{
    DKV_CLEANUP(mongoc_cursor_destroyp) mongoc_cursor_t *cursor =
        mongoc_collection_find_indexes_with_opts(connection->collection, NULL /* opts */);
    const bson_t *index = NULL;
    const bson_t *reply = NULL;
    bson_error_t error = {0};
    while (mongoc_cursor_next(cursor, &index)) {
        judge_index(index, finding);
    }
    if (!mongoc_cursor_error_document(cursor, &error, &reply) || error.code == CODE_NAMESPACE_NOT_FOUND) {
        return DKV_OK;
    }
    if (error.code == CODE_UNAUTHORIZED) {
        finding->state = DKV_INDEX_UNKNOWN;
        return DKV_OK;
    }
    return dkv_mongodb_fail(connection->store, "reading the indexes of", &error, reply, err);
}

/* Asked for words only: a server that doesn't say is taken for one that doesn't shard. Sent as it is: with the read
 * concern of the collection, as of libmongoc's read commands, a server refuses it. */
static bool is_sharded(struct dkv_mongodb_connection *connection)
{
    DKV_CLEANUP(bson_destroyp) bson_t *command =
        BCON_NEW("collStats", BCON_UTF8(mongoc_collection_get_name(connection->collection)));
    DKV_CLEANUP(bson_destroy) bson_t reply = BSON_INITIALIZER;
    bson_iter_t iter;
    return mongoc_collection_command_with_opts(connection->collection, command, NULL /* read_prefs */,
                                               NULL /* opts */, &reply, NULL /* error */) &&
           bson_iter_init_find(&iter, &reply, "sharded") && bson_iter_as_bool(&iter);
}

static enum dkv_rc attempt_look(struct dkv_mongodb_connection *connection, bool repeated, void *arg,
                                struct dkv_error *err)
{
    (void)repeated;
    struct finding *finding = arg;
    *finding = (struct finding){.state = DKV_INDEX_MISSING};
    DKV_TRY(list_indexes(connection, finding, err));
    if (finding->state == DKV_INDEX_MISSING && is_sharded(connection)) {
        finding->state = DKV_INDEX_SHARDED;
    }
    return DKV_OK;
}

static enum dkv_rc look(struct dkv_mongodb_store *store, struct finding *ret, struct dkv_error *err)
{
    DKV_TRY(dkv_mongodb_read(store, DKV_MONGODB_KEYS, attempt_look, ret, err));
    const bool ok = ret->state == DKV_INDEX_OK;
    atomic_store(&store->index_seen_ms, ok ? dkv_clock_real.monotonic_ms() : WAS_NOT_OK);
    return DKV_OK;
}

enum dkv_rc dkv_mongodb_check_index(struct dkv_store *base, enum dkv_index_state *ret, struct dkv_error *err)
{
    struct finding finding;
    DKV_TRY(look(dkv_mongodb_of(base), &finding, err));
    *ret = finding.state;
    return DKV_OK;
}

/* ---- Words: each with the command that mends it ---- */

/* A text of JavaScript, for a command that somebody pastes into MongoDB's shell. */
static enum dkv_rc append_quoted(struct dkv_buf *out, const char *text, struct dkv_error *err)
{
    DKV_TRY(dkv_buf_append_str(out, "\"", err));
    for (const char *at = text; *at != '\0'; at++) {
        const unsigned char byte = (unsigned char)*at;
        const bool plain = byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7F;
        DKV_TRY(plain ? dkv_buf_append(out, dkv_span(at, 1), err) : dkv_buf_printf(out, err, "\\x%02x", byte));
    }
    return dkv_buf_append_str(out, "\"", err);
}

/* db.getSiblingDB("encryption").getCollection("__keyVault") */
static enum dkv_rc append_collection(struct dkv_buf *out, const struct dkv_mongodb_store *store, struct dkv_error *err)
{
    DKV_TRY(dkv_buf_append_str(out, "db.getSiblingDB(", err));
    DKV_TRY(append_quoted(out, store->database, err));
    DKV_TRY(dkv_buf_append_str(out, ").getCollection(", err));
    DKV_TRY(append_quoted(out, store->collections[DKV_MONGODB_KEYS], err));
    return dkv_buf_append_str(out, ")", err);
}

static enum dkv_rc fail_wrong(const struct dkv_mongodb_store *store, const struct finding *finding,
                              struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf command = {0};
    DKV_TRY(append_collection(&command, store, err));
    DKV_TRY(dkv_buf_append_str(&command, ".dropIndex(", err));
    DKV_TRY(append_quoted(&command, finding->name, err));
    DKV_TRY(dkv_buf_append_str(&command, ")", err));
    const char *text = dkv_buf_text(&command);
    if (text == NULL) {
        return dkv_fail_memory(err);
    }
    return dkv_fail(err, DKV_E_CONFIG,
                    "the vault %s has an index of alt names that is not %s; in MongoDB's shell run %s, then dekvault"
                    " vault init",
                    store->where, finding->state == DKV_INDEX_NOT_UNIQUE ? "unique" : "partial", text);
}

static enum dkv_rc fail_denied(const struct dkv_mongodb_store *store, const char *what, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf command = {0};
    DKV_TRY(append_collection(&command, store, err));
    DKV_TRY(dkv_buf_append_str(&command,
                               ".createIndex({keyAltNames: 1}, {unique: true, partialFilterExpression: {keyAltNames: "
                               "{$exists: true}}})",
                               err));
    const char *text = dkv_buf_text(&command);
    if (text == NULL) {
        return dkv_fail_memory(err);
    }
    return dkv_fail(err, DKV_E_DENIED,
                    "the vault's user has no privilege to %s the index of alt names of %s; an administrator can make it"
                    " in MongoDB's shell with %s",
                    what, store->where, text);
}

static enum dkv_rc fail_sharded(const struct dkv_mongodb_store *store, struct dkv_error *err)
{
    return dkv_fail(err, DKV_E_CONFIG,
                    "the vault %s lies in a sharded collection, where alt names can't be unique; dekvault vault copy"
                    " --from NAME --to NAME moves it to a collection that isn't sharded",
                    store->where);
}

/* ---- Names that clash already ---- */

/* By name the least and the greatest _id: they differ where two documents have it. */
static bson_t *clashing_names(void)
{
    return BCON_NEW("pipeline", "[",                                                                       //
                    "{", "$match", "{", "keyAltNames", "{", "$exists", BCON_BOOL(true), "}", "}", "}",       //
                    "{", "$unwind", "$keyAltNames", "}",                                                   //
                    "{", "$group", "{", "_id", "$keyAltNames", "least", "{", "$min", "$_id", "}",           //
                    "greatest", "{", "$max", "$_id", "}", "}", "}",                                        //
                    "{", "$match", "{", "$expr", "{", "$ne", "[", "$least", "$greatest", "]", "}", "}", "}", //
                    "{", "$limit", BCON_INT32(1), "}", "]");
}

/* An _id in words: "" unless it is a UUID. */
static void format_id(const bson_t *group, const char *field, char *ret_text)
{
    bson_iter_t iter;
    struct dkv_uuid id;
    bson_subtype_t subtype = BSON_SUBTYPE_USER;
    uint32_t len = 0;
    const uint8_t *data = NULL;
    ret_text[0] = '\0';
    if (bson_iter_init_find(&iter, group, field) && BSON_ITER_HOLDS_BINARY(&iter)) {
        bson_iter_binary(&iter, &subtype, &len, &data);
    }
    if (data != NULL && subtype == BSON_SUBTYPE_UUID && len == sizeof(id.bytes)) {
        memcpy(id.bytes, data, sizeof(id.bytes));
        dkv_uuid_format(&id, ret_text);
    }
}

/* DKV_OK: there is no such name, or none can be found. */
static enum dkv_rc check_clash(struct dkv_mongodb_store *store, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_mongodb_done) struct dkv_mongodb_connection connection = {0};
    DKV_TRY(dkv_mongodb_connect(store, DKV_MONGODB_KEYS, &connection, err));
    DKV_CLEANUP(bson_destroyp) bson_t *pipeline = clashing_names();
    DKV_CLEANUP(bson_destroyp) bson_t *opts = BCON_NEW("allowDiskUse", BCON_BOOL(true));
    DKV_CLEANUP(mongoc_cursor_destroyp) mongoc_cursor_t *cursor =
        mongoc_collection_aggregate(connection.collection, MONGOC_QUERY_NONE, pipeline, opts, NULL /* read_prefs */);
    const bson_t *group = NULL;
    bson_iter_t name;
    char least[37];
    char greatest[37];
    if (!mongoc_cursor_next(cursor, &group) || !bson_iter_init_find(&name, group, "_id")) {
        return DKV_OK;
    }
    format_id(group, "least", least);
    format_id(group, "greatest", greatest);
    return dkv_fail(err, DKV_E_CONFLICT,
                    "the vault %s can't have its index of alt names, since the keys %s and %s have one name: take it"
                    " from one with dekvault key remove-name %s NAME, then run dekvault vault init; the name is \"%s\"",
                    store->where, least, greatest, greatest,
                    BSON_ITER_HOLDS_UTF8(&name) ? bson_iter_utf8(&name, NULL) : "");
}

/* ---- Making it ---- */

struct creation {
    uint32_t code; /* the server's, of what failed */
    bool may_be_clash;
};

/* Arrays without a name would clash with each other in the index: MongoDB's shell takes the field away first. */
static enum dkv_rc unset_empty(struct dkv_mongodb_connection *connection, struct creation *creation,
                               struct dkv_error *err)
{
    DKV_CLEANUP(bson_destroyp) bson_t *query = BCON_NEW("keyAltNames", "{", "$size", BCON_INT32(0), "}");
    DKV_CLEANUP(bson_destroyp) bson_t *change = BCON_NEW("$unset", "{", "keyAltNames", "", "}", //
                                                         "$currentDate", "{", "updateDate", BCON_BOOL(true), "}");
    DKV_CLEANUP(bson_destroy) bson_t reply = BSON_INITIALIZER;
    bson_error_t error = {0};
    if (mongoc_collection_update_many(connection->collection, query, change, NULL /* opts */, &reply, &error)) {
        return DKV_OK;
    }
    creation->code = error.code;
    return dkv_mongodb_fail(connection->store, "taking empty keyAltNames from", &error, &reply, err);
}

static enum dkv_rc create_index(struct dkv_mongodb_connection *connection, struct creation *creation,
                                struct dkv_error *err)
{
    const char *collection = mongoc_collection_get_name(connection->collection);
    DKV_CLEANUP(bson_destroyp) bson_t *command =
        BCON_NEW("createIndexes", BCON_UTF8(collection), "indexes", "[", "{",              //
                 "name", DKV_MONGODB_INDEX_NAME,                                           //
                 "key", "{", "keyAltNames", BCON_INT32(1), "}",                            //
                 "unique", BCON_BOOL(true),                                                //
                 "partialFilterExpression", "{", "keyAltNames", "{", "$exists", BCON_BOOL(true), "}", "}", "}", "]");
    DKV_CLEANUP(bson_destroyp) bson_t *opts = BCON_NEW("writeConcern", "{", "w", "majority", "}");
    DKV_CLEANUP(bson_destroy) bson_t reply = BSON_INITIALIZER;
    bson_error_t error = {0};
    if (mongoc_client_write_command_with_opts(connection->client, connection->store->database, command, opts, &reply,
                                              &error)) {
        return DKV_OK;
    }
    creation->code = error.code;
    creation->may_be_clash = dkv_mongodb_may_be_duplicate(&error);
    return dkv_mongodb_fail(connection->store, "making the index of alt names of", &error, &reply, err);
}

static enum dkv_rc attempt_creation(struct dkv_mongodb_connection *connection, bool repeated, void *arg,
                                    struct dkv_error *err)
{
    (void)repeated; /* doing either twice does no more than doing it once */
    struct creation *creation = arg;
    *creation = (struct creation){0};
    DKV_TRY(unset_empty(connection, creation, err));
    return create_index(connection, creation, err);
}

static enum dkv_rc fail_as(const struct dkv_error *why, struct dkv_error *err)
{
    if (err != NULL) {
        *err = *why;
    }
    return why->rc;
}

/* It is still missing. */
static enum dkv_rc fail_missing(struct dkv_mongodb_store *store, const struct creation *creation,
                                const struct dkv_error *why, struct dkv_error *err)
{
    if (creation->code == CODE_UNAUTHORIZED) {
        return fail_denied(store, "make", err);
    }
    if (creation->code == CODE_CANNOT_CREATE_INDEX) {
        return fail_sharded(store, err);
    }
    if (creation->may_be_clash) {
        DKV_TRY(check_clash(store, err));
    }
    DKV_CHECK(why->rc != DKV_OK, err, DKV_E_INTERNAL,
              "the server made the index of alt names of %s, but doesn't list it", store->where);
    return fail_as(why, err);
}

static enum dkv_rc fail_unless_ok(struct dkv_mongodb_store *store, const struct finding *finding,
                                  const struct creation *creation, const struct dkv_error *why, struct dkv_error *err)
{
    switch (finding->state) {
    case DKV_INDEX_OK:
        return DKV_OK;
    case DKV_INDEX_NOT_UNIQUE:
    case DKV_INDEX_NOT_PARTIAL:
        return fail_wrong(store, finding, err);
    case DKV_INDEX_SHARDED:
        return fail_sharded(store, err);
    case DKV_INDEX_UNKNOWN:
        return fail_denied(store, "see", err);
    case DKV_INDEX_MISSING:
        break;
    }
    return fail_missing(store, creation, why, err);
}

enum dkv_rc dkv_mongodb_ensure_index(struct dkv_store *base, struct dkv_error *err)
{
    struct dkv_mongodb_store *store = dkv_mongodb_of(base);
    struct creation creation = {0};
    struct dkv_error why = {0};
    struct finding finding;
    DKV_TRY(look(store, &finding, err));
    if (finding.state == DKV_INDEX_MISSING) {
        why.rc = dkv_mongodb_write(store, DKV_MONGODB_KEYS, attempt_creation, &creation, &why);
        DKV_TRY(look(store, &finding, err)); /* whatever it said: another process may have been making it too */
    }
    if (finding.state == DKV_INDEX_OK && why.rc == DKV_E_TRANSIENT) { /* listIndexes doesn't ask the majority */
        atomic_store(&store->index_seen_ms, WAS_NOT_OK);
        return fail_as(&why, err);
    }
    return fail_unless_ok(store, &finding, &creation, &why, err);
}

enum dkv_rc dkv_mongodb_need_index(struct dkv_mongodb_store *store, struct dkv_error *err)
{
    const int64_t seen_ms = atomic_load(&store->index_seen_ms);
    if (seen_ms > NEVER_ASKED && dkv_clock_real.monotonic_ms() - seen_ms < SEEN_FOR_MS) {
        return DKV_OK;
    }
    return dkv_mongodb_ensure_index(&store->base, err);
}
