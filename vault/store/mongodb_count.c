/* SPDX-License-Identifier: Apache-2.0 */
/* Counting by the server: one group for each masterKey and status, brought together here under the texts by which keys
 * are listed. Owns the counts, which are all read before the first is visited: there are as many as CMKs in use. */
#include "base/mem.h"
#include "vault/document_bson.h"
#include "vault/master_key.h"
#include "vault/store/mongodb.h"

#define STATUS_UNKNOWN (-1)

DKV_DEFINE_FREEP(mongoc_cursor_t, mongoc_cursor_destroy);

struct item {
    char provider[DKV_PROVIDER_ID_SIZE];
    char *cmk; /* owned */
    int status;
    uint64_t count;
};

struct counts {
    struct item *items; /* sorted */
    size_t n;
    size_t capacity;
};

static void counts_clear(struct counts *counts)
{
    for (size_t i = 0; i < counts->n; i++) {
        dkv_free(counts->items[i].cmk);
    }
    counts->n = 0;
}

static void counts_done(struct counts *counts)
{
    counts_clear(counts);
    dkv_free(counts->items);
}

/* ---- Bringing together ---- */

static int compare(const struct item *a, const struct item *b)
{
    const int by_provider = strcmp(a->provider, b->provider);
    const int by_cmk = by_provider != 0 ? by_provider : strcmp(a->cmk, b->cmk);
    return by_cmk != 0 ? by_cmk : (a->status > b->status) - (a->status < b->status);
}

/* The first that isn't smaller. */
static size_t find_place(const struct counts *counts, const struct item *item)
{
    size_t from = 0, to = counts->n;
    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        if (compare(&counts->items[middle], item) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

static bool grow(struct counts *counts)
{
    if (counts->n < counts->capacity) {
        return true;
    }
    const size_t capacity = counts->capacity == 0 ? 16 : 2 * counts->capacity;
    struct item *items = dkv_realloc(counts->items, capacity * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    counts->items = items;
    counts->capacity = capacity;
    return true;
}

/* Takes item->cmk. */
static enum dkv_rc add(struct counts *counts, struct item *item, struct dkv_error *err)
{
    const size_t at = find_place(counts, item);
    if (at < counts->n && compare(&counts->items[at], item) == 0) {
        counts->items[at].count += item->count;
        dkv_free(item->cmk);
        return DKV_OK;
    }
    if (!grow(counts)) {
        dkv_free(item->cmk);
        return dkv_fail_memory(err);
    }
    memmove(&counts->items[at + 1], &counts->items[at], (counts->n - at) * sizeof(*item));
    counts->items[at] = *item;
    counts->n++;
    return DKV_OK;
}

/* ---- A group ---- */

static bool read_document(const bson_iter_t *iter, struct dkv_span *ret)
{
    uint32_t len = 0;
    const uint8_t *data = NULL;
    if (!BSON_ITER_HOLDS_DOCUMENT(iter)) {
        return false;
    }
    bson_iter_document(iter, &len, &data);
    *ret = dkv_span(data, len);
    return true;
}

/* A masterKey that is none, or damaged, is counted under no provider and no CMK. */
static enum dkv_rc read_master_key(struct dkv_span master_key, struct item *item, struct dkv_buf *cmk,
                                   struct dkv_error *err)
{
    enum dkv_rc rc = dkv_bson_check(master_key, err);
    if (rc == DKV_OK) {
        rc = dkv_master_key_parse(master_key, item->provider, err);
    }
    if (rc == DKV_OK) {
        rc = dkv_master_key_cmk(master_key, item->provider, cmk, err);
    }
    if (rc == DKV_E_REJECTED_CIPHERTEXT) {
        item->provider[0] = '\0';
        cmk->len = 0;
        return DKV_OK;
    }
    return rc;
}

static int read_status(const bson_iter_t *iter)
{
    const bool is_number = BSON_ITER_HOLDS_INT32(iter) || BSON_ITER_HOLDS_INT64(iter);
    const int64_t status = is_number ? bson_iter_as_int64(iter) : STATUS_UNKNOWN;
    return status >= 0 && status <= INT32_MAX ? (int)status : STATUS_UNKNOWN;
}

static enum dkv_rc read_group(const bson_t *group, struct item *item, struct dkv_buf *cmk, struct dkv_error *err)
{
    bson_iter_t iter, part;
    struct dkv_span master_key;
    if (bson_iter_init(&iter, group) && bson_iter_find_descendant(&iter, "_id.masterKey", &part) &&
        read_document(&part, &master_key)) {
        DKV_TRY(read_master_key(master_key, item, cmk, err));
    }
    if (bson_iter_init(&iter, group) && bson_iter_find_descendant(&iter, "_id.status", &part)) {
        item->status = read_status(&part);
    }
    if (bson_iter_init_find(&iter, group, "count")) {
        item->count = (uint64_t)bson_iter_as_int64(&iter);
    }
    return DKV_OK;
}

static enum dkv_rc add_group(struct counts *counts, const bson_t *group, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf cmk = {0};
    struct item item = {.status = STATUS_UNKNOWN};
    DKV_TRY(read_group(group, &item, &cmk, err));
    const char *text = dkv_buf_text(&cmk);
    item.cmk = text != NULL ? dkv_strdup(text) : NULL;
    return item.cmk != NULL ? add(counts, &item, err) : dkv_fail_memory(err);
}

/* ---- The aggregation ---- */

static mongoc_cursor_t *aggregate(const struct dkv_mongodb_connection *connection)
{
    bson_t *pipeline = BCON_NEW("pipeline", "[",
                                "{", "$group", "{",
                                    "_id", "{", "masterKey", BCON_UTF8("$masterKey"),
                                                "status", BCON_UTF8("$status"), "}",
                                    "count", "{", "$sum", BCON_INT32(1), "}",
                                "}", "}",
                                "]");
    mongoc_cursor_t *cursor = mongoc_collection_aggregate(connection->collection, MONGOC_QUERY_NONE, pipeline,
                                                          NULL /* opts */, NULL /* read preference: the store's */);
    bson_destroy(pipeline);
    return cursor;
}

static enum dkv_rc count_attempt(struct dkv_mongodb_connection *connection, bool repeated, void *arg,
                                 struct dkv_error *err)
{
    struct counts *counts = arg;
    const bson_t *group = NULL, *reply = NULL;
    bson_error_t error = {0};
    (void)repeated;
    counts_clear(counts);
    DKV_CLEANUP(mongoc_cursor_destroyp) mongoc_cursor_t *cursor = aggregate(connection);
    while (mongoc_cursor_next(cursor, &group)) {
        DKV_TRY(add_group(counts, group, err));
    }
    return mongoc_cursor_error_document(cursor, &error, &reply)
               ? dkv_mongodb_fail(connection->store, "counting the keys of", &error, reply, err)
               : DKV_OK;
}

enum dkv_rc dkv_mongodb_count_by(struct dkv_store *base, dkv_key_count_fn visit, void *arg, struct dkv_error *err)
{
    DKV_CLEANUP(counts_done) struct counts counts = {0};
    DKV_TRY(dkv_mongodb_read(dkv_mongodb_of(base), DKV_MONGODB_KEYS, count_attempt, &counts, err));
    for (size_t i = 0; i < counts.n; i++) {
        const struct item *item = &counts.items[i];
        const struct dkv_key_count count = {
            .provider = item->provider, .cmk = item->cmk, .status = item->status, .count = item->count};
        DKV_TRY(visit(arg, &count, err));
    }
    return DKV_OK;
}
