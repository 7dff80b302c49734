/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors of the MongoDB store: their rows one by one, and an end that is one. Owns nothing: a cursor is its caller's.
 * No lock: a cursor has one user. */
#include "vault/store/mongodb.h"

/* In a row. An empty batch is no end, the cursor's id is; libmongoc says only that there is no row. */
#define EMPTY_BATCHES_MAX 100u

mongoc_cursor_t *dkv_mongodb_find(const struct dkv_mongodb_connection *connection, const bson_t *query, int64_t limit)
{
    bson_t opts = BSON_INITIALIZER;
    (void)bson_append_int64(&opts, "limit", -1, limit);
    (void)bson_append_bool(&opts, "singleBatch", -1, true);
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(connection->collection, query, &opts,
                                                               NULL /* read preference: the store's */);
    bson_destroy(&opts);
    return cursor;
}

enum dkv_rc dkv_mongodb_next(const struct dkv_mongodb_store *store, mongoc_cursor_t *cursor, const char *doing,
                             const bson_t **ret_row, struct dkv_error *err)
{
    const bson_t *row = NULL, *reply = NULL;
    bson_error_t error = {0};
    for (unsigned i = 0; i < EMPTY_BATCHES_MAX; i++) {
        const bool found = mongoc_cursor_next(cursor, &row);
        if (!found && mongoc_cursor_error_document(cursor, &error, &reply)) {
            return dkv_mongodb_fail(store, doing, &error, reply, err);
        }
        if (found || !mongoc_cursor_more(cursor)) {
            *ret_row = found ? row : NULL;
            return DKV_OK;
        }
    }
    return dkv_fail(err, DKV_E_TRANSIENT, "%s %s: the server said %u times that there is more, and gave nothing", doing,
                    store->where, EMPTY_BATCHES_MAX);
}
