/* SPDX-License-Identifier: Apache-2.0 */
/* The unique partial index on alt names as the server has it (MongoDB specifications, client-side-encryption, "Key
 * vault collection"). Invariant: only an index that refuses every second use of a name counts as DKV_INDEX_OK. Owns
 * nothing. No lock. */
#include "vault/document_bson.h"
#include "vault/store/mongodb_index.h"

#define READING "reading the indexes of"
#define INDEXES_MAX 1000u /* a collection has 64; a server that never ends is not listened to */

/* ---- One index ---- */

/* The value of the only element, if it is named so. */
static bool find_only(const bson_iter_t *parent, const char *name, bson_iter_t *ret_value)
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
           find_only(&inside, "keyAltNames", &value) && BSON_ITER_HOLDS_NUMBER(&value) &&
           bson_iter_as_int64(&value) == 1;
}

/* Exactly {keyAltNames: {$exists: true}}. */
static bool is_partial(const bson_t *index)
{
    bson_iter_t filter, inside, value, condition, exists;
    return bson_iter_init_find(&filter, index, "partialFilterExpression") && BSON_ITER_HOLDS_DOCUMENT(&filter) &&
           dkv_bson_enter(&filter, &inside) && find_only(&inside, "keyAltNames", &value) &&
           BSON_ITER_HOLDS_DOCUMENT(&value) && dkv_bson_enter(&value, &condition) &&
           find_only(&condition, "$exists", &exists) && bson_iter_as_bool(&exists);
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
static void judge_index(const bson_t *index, struct dkv_mongodb_finding *finding)
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

/* ---- Those of the collection ---- */

static enum dkv_rc list_indexes(struct dkv_mongodb_connection *connection, struct dkv_mongodb_finding *finding,
                                struct dkv_error *err)
{
    DKV_CLEANUP(mongoc_cursor_destroyp) mongoc_cursor_t *cursor =
        mongoc_collection_find_indexes_with_opts(connection->collection, NULL /* opts */);
    const bson_t *index = NULL;
    struct dkv_error why = {0};
    unsigned n = 0;
    enum dkv_rc rc = dkv_mongodb_next(connection->store, cursor, READING, &index, &why);
    while (rc == DKV_OK && index != NULL && n++ < INDEXES_MAX) {
        judge_index(index, finding);
        rc = dkv_mongodb_next(connection->store, cursor, READING, &index, &why);
    }
    if (rc == DKV_OK || why.native_code == DKV_MONGODB_NAMESPACE_NOT_FOUND) {
        return DKV_OK;
    }
    if (why.native_code == DKV_MONGODB_UNAUTHORIZED) {
        finding->state = DKV_INDEX_UNKNOWN;
        return DKV_OK;
    }
    return dkv_fail_as(err, rc, &why);
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

static enum dkv_rc attempt_look(struct dkv_mongodb_connection *connection, void *arg, struct dkv_error *err)
{
    struct dkv_mongodb_finding *finding = arg;
    *finding = (struct dkv_mongodb_finding){.state = DKV_INDEX_MISSING};
    DKV_TRY(list_indexes(connection, finding, err));
    if (finding->state == DKV_INDEX_MISSING && is_sharded(connection)) {
        finding->state = DKV_INDEX_SHARDED;
    }
    return DKV_OK;
}

enum dkv_rc dkv_mongodb_index_read(struct dkv_mongodb_store *store, struct dkv_mongodb_finding *ret,
                                   struct dkv_error *err)
{
    return dkv_mongodb_read(store, DKV_MONGODB_KEYS, attempt_look, ret, err);
}
