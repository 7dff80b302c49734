/* SPDX-License-Identifier: Apache-2.0 */
/* What is said where the unique index on alt names can't be: each with the command that mends it, for dekvault or for
 * MongoDB's shell. Names that a server gave are quoted for that shell. Owns nothing. No lock. */
#include "vault/store/mongodb_index.h"

/* ---- Commands for MongoDB's shell ---- */

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

/* ---- An index that is wrong, or that this user or no user can make ---- */

enum dkv_rc dkv_mongodb_index_wrong(const struct dkv_mongodb_store *store, const struct dkv_mongodb_finding *finding,
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

enum dkv_rc dkv_mongodb_index_denied(const struct dkv_mongodb_store *store, const char *what, struct dkv_error *err)
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

enum dkv_rc dkv_mongodb_index_sharded(const struct dkv_mongodb_store *store, struct dkv_error *err)
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

/* "" unless it is a UUID. */
static void format_id(const bson_t *group, const char *field, char ret_text[static 37])
{
    struct dkv_uuid id;
    ret_text[0] = '\0';
    if (dkv_mongodb_read_id(group, field, &id)) {
        dkv_uuid_format(&id, ret_text);
    }
}

enum dkv_rc dkv_mongodb_index_clash(struct dkv_mongodb_store *store, struct dkv_error *err)
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
