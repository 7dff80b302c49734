/* SPDX-License-Identifier: Apache-2.0 */
/* Counting by the server: one group for each masterKey and status, brought together here under the texts by which keys
 * are listed. Owns the counts, which are all read before the first is visited: there are as many as CMKs in use. */
#include <stdlib.h>

#include "base/mem.h"
#include "vault/document_bson.h"
#include "vault/master_key.h"
#include "vault/store/mongodb.h"

#define STATUS_UNKNOWN (-1)
#define BYTES_MAX (128u * 1024u * 1024u) /* of memory; a server that never ends must not fill it */

struct item {
    char provider[DKV_PROVIDER_ID_SIZE];
    char *cmk; /* owned */
    int status;
    uint64_t count;
};

struct counts {
    struct item *items;
    size_t n;
    size_t capacity;
    size_t bytes;
};

static void counts_clear(struct counts *counts)
{
    for (size_t i = 0; i < counts->n; i++) {
        dkv_free(counts->items[i].cmk);
    }
    counts->n = 0;
    counts->bytes = 0;
}

static void counts_done(struct counts *counts)
{
    counts_clear(counts);
    dkv_free(counts->items);
}

/* ---- Bringing together ---- */

static int compare(const void *left, const void *right)
{
    const struct item *a = left, *b = right;
    const int by_provider = strcmp(a->provider, b->provider);
    const int by_cmk = by_provider != 0 ? by_provider : strcmp(a->cmk, b->cmk);
    return by_cmk != 0 ? by_cmk : (a->status > b->status) - (a->status < b->status);
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
    if (!grow(counts)) {
        dkv_free(item->cmk);
        return dkv_fail_memory(err);
    }
    counts->items[counts->n++] = *item;
    return DKV_OK;
}

/* At the end, since one place for each as it comes takes time by the square of what whoever writes the vault likes. */
static void bring_together(struct counts *counts)
{
    size_t kept = 0;
    if (counts->n > 0) {
        qsort(counts->items, counts->n, sizeof(*counts->items), compare);
    }
    for (size_t i = 0; i < counts->n; i++) {
        struct item *item = &counts->items[i];
        if (kept > 0 && compare(&counts->items[kept - 1], item) == 0) {
            counts->items[kept - 1].count += item->count;
            dkv_free(item->cmk);
        } else {
            counts->items[kept++] = *item;
        }
    }
    counts->n = kept;
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
    const bool has_count = bson_iter_init_find(&iter, group, "count") && BSON_ITER_HOLDS_INT(&iter);
    const int64_t count = has_count ? bson_iter_as_int64(&iter) : -1;
    DKV_CHECK(count >= 0, err, DKV_E_INTERNAL, "the server's answer to the counting of keys has a count that is none");
    item->count = (uint64_t)count;
    return DKV_OK;
}

static enum dkv_rc add_group(struct counts *counts, const bson_t *group, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf cmk = {0};
    struct item item = {.status = STATUS_UNKNOWN};
    DKV_TRY(read_group(group, &item, &cmk, err));
    counts->bytes += sizeof(item) + cmk.len;
    DKV_CHECK(counts->bytes <= BYTES_MAX, err, DKV_E_RESOURCE,
              "the vault has more combinations of CMK and status than can be counted in %u bytes of memory", BYTES_MAX);
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

static enum dkv_rc attempt_count(struct dkv_mongodb_connection *connection, void *arg, struct dkv_error *err)
{
    struct counts *counts = arg;
    const bson_t *group = NULL;
    counts_clear(counts);
    DKV_CLEANUP(mongoc_cursor_destroyp) mongoc_cursor_t *cursor = aggregate(connection);
    DKV_TRY(dkv_mongodb_next(connection->store, cursor, "counting the keys of", &group, err));
    while (group != NULL) {
        DKV_TRY(add_group(counts, group, err));
        DKV_TRY(dkv_mongodb_next(connection->store, cursor, "counting the keys of", &group, err));
    }
    bring_together(counts);
    return DKV_OK;
}

enum dkv_rc dkv_mongodb_count_by(struct dkv_store *base, dkv_key_count_fn visit, void *arg, struct dkv_error *err)
{
    DKV_CLEANUP(counts_done) struct counts counts = {0};
    DKV_TRY(dkv_mongodb_read(dkv_mongodb_of(base), DKV_MONGODB_KEYS, attempt_count, &counts, err));
    for (size_t i = 0; i < counts.n; i++) {
        const struct item *item = &counts.items[i];
        const struct dkv_key_count count = {
            .provider = item->provider, .cmk = item->cmk, .status = item->status, .count = item->count};
        DKV_TRY(visit(arg, &count, err));
    }
    return DKV_OK;
}
