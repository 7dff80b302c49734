/* SPDX-License-Identifier: Apache-2.0 */
/* Listing the MongoDB store: a cursor in _id order, so that whoever is slow, or loses the server in the middle, goes on
 * where it was. Memory is bounded by a batch. Owns the cursors. Each walk has a connection of its own while its cursor
 * lives, so a visitor may use the store. */
#include "vault/store/mongodb.h"

#define BATCH_DOCUMENTS 1000
#define FOREIGN_MAX 1000u /* a server that has no end of them must not have our time for it */

struct progress {
    struct dkv_uuid last;
    bool has_last;
    size_t left;
    size_t n_foreign;
    bool visitor_failed;
};

/* ---- A row ---- */

/* As a document, {"_id": ...}, since that is how Extended JSON comes. */
static enum dkv_rc fail_id(const struct dkv_mongodb_store *store, const bson_t *row, struct dkv_error *err)
{
    bson_t id = BSON_INITIALIZER;
    bson_iter_t iter;
    if (bson_iter_init_find(&iter, row, "_id")) {
        (void)bson_append_iter(&id, "_id", -1, &iter);
    }
    char *text = bson_as_canonical_extended_json(&id, NULL);
    const enum dkv_rc rc = dkv_fail(err, DKV_E_REJECTED_CIPHERTEXT,
                                    "the vault %s has a document whose _id is no UUID: %.160s; look at it, and delete "
                                    "it with MongoDB's shell",
                                    store->where, text != NULL ? text : "not readable");
    bson_free(text);
    bson_destroy(&id);
    return rc;
}

/* Each _id once, in rising order: else a listing could be without an end, and one that goes on after a lost cursor, or
 * page by page, would skip what it was never shown. */
static enum dkv_rc check_order(const struct dkv_mongodb_store *store, const struct dkv_uuid *last,
                               const struct dkv_uuid *id, struct dkv_error *err)
{
    char text[37];
    dkv_uuid_format(id, text);
    DKV_CHECK(last == NULL || memcmp(last->bytes, id->bytes, sizeof(id->bytes)) < 0, err, DKV_E_REJECTED_CIPHERTEXT,
              "reading %s: the server gave the document %s twice, or out of its order; if there are two with this _id, "
              "as in a sharded collection there may be, delete one", store->where, text);
    return DKV_OK;
}

static struct dkv_span bytes_of(const bson_t *row)
{
    return row->len <= DKV_DOCUMENT_MAX ? dkv_mongodb_span(row) : dkv_span(NULL, 0);
}

static enum dkv_rc visit_foreign(struct dkv_mongodb_store *store, const struct dkv_mongodb_walk *walk,
                                 const bson_t *row, struct progress *progress, struct dkv_error *err)
{
    bool takes = true;
    if (!walk->takes_foreign || progress->n_foreign == FOREIGN_MAX) {
        return fail_id(store, row, err);
    }
    if (walk->filter != NULL) {
        DKV_TRY(dkv_mongodb_filter_takes(walk->filter, bytes_of(row), &takes, err));
    }
    if (!takes) {
        return DKV_OK;
    }
    progress->n_foreign++;
    progress->left--;
    return walk->visit(walk->arg, NULL /* id */, bytes_of(row), err);
}

static enum dkv_rc visit_row(struct dkv_mongodb_store *store, const struct dkv_mongodb_walk *walk, const bson_t *row,
                             struct progress *progress, struct dkv_error *err)
{
    struct dkv_uuid id;
    bool takes = true;
    if (!dkv_mongodb_read_id(row, "_id", &id)) {
        return visit_foreign(store, walk, row, progress, err);
    }
    DKV_TRY(check_order(store, progress->has_last ? &progress->last : walk->after, &id, err));
    const struct dkv_span document = bytes_of(row);
    if (walk->filter != NULL) {
        DKV_TRY(dkv_mongodb_filter_takes(walk->filter, document, &takes, err));
    }
    progress->last = id;
    progress->has_last = true;
    if (!takes) {
        return DKV_OK;
    }
    progress->left--;
    return walk->visit(walk->arg, &id, document, err);
}

/* ---- A cursor ---- */

static mongoc_cursor_t *open_cursor(const struct dkv_mongodb_connection *connection,
                                    const struct dkv_mongodb_walk *walk, const bson_t *query, size_t left)
{
    bson_t opts = BSON_INITIALIZER, sort;
    (void)bson_append_document_begin(&opts, "sort", -1, &sort);
    (void)bson_append_int32(&sort, "_id", -1, 1);
    (void)bson_append_document_end(&opts, &sort);
    (void)bson_append_int32(&opts, "batchSize", -1, BATCH_DOCUMENTS);
    if (walk->filter == NULL && left <= INT32_MAX) {
        (void)bson_append_int64(&opts, "limit", -1, (int64_t)left);
    }
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(connection->collection, query, &opts,
                                                               NULL /* read preference: the store's */);
    bson_destroy(&opts);
    return cursor;
}

static enum dkv_rc visit_cursor(struct dkv_mongodb_store *store, const struct dkv_mongodb_walk *walk,
                                mongoc_cursor_t *cursor, struct progress *progress, struct dkv_error *err)
{
    const bson_t *row = NULL;
    while (progress->left > 0) {
        DKV_TRY(dkv_mongodb_next(store, cursor, "reading", &row, err));
        if (row == NULL) {
            return DKV_OK;
        }
        const enum dkv_rc rc = visit_row(store, walk, row, progress, err);
        if (rc != DKV_OK) {
            progress->visitor_failed = true;
            return rc;
        }
    }
    return DKV_OK;
}

static enum dkv_rc walk_on(struct dkv_mongodb_store *store, const struct dkv_mongodb_walk *walk,
                           struct progress *progress, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_mongodb_done) struct dkv_mongodb_connection connection = {0};
    DKV_CLEANUP(bson_destroy) bson_t query = BSON_INITIALIZER;
    DKV_TRY(walk->query(walk->source, progress->has_last ? &progress->last : walk->after, &query, err));
    DKV_TRY(dkv_mongodb_connect(store, DKV_MONGODB_KEYS, &connection, err));
    DKV_CLEANUP(mongoc_cursor_destroyp)
    mongoc_cursor_t *cursor = open_cursor(&connection, walk, &query, progress->left);
    return visit_cursor(store, walk, cursor, progress, err);
}

/* Cursors are lost to a change of primary, and to a visitor that takes longer than the server keeps one. As long as
 * each new one brings a document it goes on; the second in a row that brings none ends it. */
enum dkv_rc dkv_mongodb_walk(struct dkv_mongodb_store *store, const struct dkv_mongodb_walk *walk,
                             struct dkv_error *err)
{
    struct progress progress = {.left = walk->limit};
    struct dkv_error last = {0};
    enum dkv_rc rc = DKV_E_TRANSIENT;
    unsigned idle = 0;
    while (rc == DKV_E_TRANSIENT && !progress.visitor_failed && idle < 2) {
        const struct progress before = progress;
        rc = walk_on(store, walk, &progress, &last);
        const bool moved = progress.has_last != before.has_last || !dkv_uuid_equal(&progress.last, &before.last);
        idle = moved ? 0 : idle + 1;
    }
    return dkv_fail_as(err, rc, &last);
}

/* ---- The store's own ---- */

static enum dkv_rc query_filter(const void *source, const struct dkv_uuid *after, bson_t *ret, struct dkv_error *err)
{
    return dkv_mongodb_filter(source, after, ret, err);
}

enum dkv_rc dkv_mongodb_list(struct dkv_store *base, const struct dkv_key_filter *filter, const struct dkv_uuid *after,
                             size_t limit, dkv_store_visit_fn visit, void *arg, struct dkv_error *err)
{
    const struct dkv_mongodb_walk walk = {
        .query = query_filter,
        .source = filter,
        .filter = filter != NULL && !dkv_mongodb_filter_is_whole(filter) ? filter : NULL,
        .after = after,
        .limit = limit == 0 ? SIZE_MAX : limit,
        .takes_foreign = true,
        .visit = visit,
        .arg = arg,
    };
    return dkv_mongodb_walk(dkv_mongodb_of(base), &walk, err);
}
