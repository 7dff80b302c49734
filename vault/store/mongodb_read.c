/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the MongoDB store by _id. Owns the cursors. Whoever can write the collection can put anything there: stored
 * bytes are given out as they are, and the caller judges them. No lock: each call has a connection of its own, given
 * back before a visitor of one document runs. */
#include <stdlib.h>

#include "base/mem.h"
#include "vault/document_edit.h"
#include "vault/store/mongodb.h"

#define IDS_MAX 1000u /* of one query: a command has an upper bound, a thousand UUIDs are 30 KiB */

/* ---- By _id ---- */

enum dkv_rc dkv_mongodb_get(struct dkv_mongodb_connection *connection, const struct dkv_uuid *id, struct dkv_buf *ret,
                            bool *ret_found, struct dkv_error *err)
{
    DKV_CLEANUP(bson_destroy) bson_t query = BSON_INITIALIZER;
    const bson_t *row = NULL;
    dkv_mongodb_append_id(&query, "_id", id);
    DKV_CLEANUP(mongoc_cursor_destroyp) mongoc_cursor_t *cursor = dkv_mongodb_find(connection, &query, 1);
    DKV_TRY(dkv_mongodb_next(connection->store, cursor, "reading", &row, err));
    if (row != NULL && row->len <= DKV_DOCUMENT_MAX) {
        DKV_TRY(dkv_buf_append(ret, dkv_mongodb_span(row), err));
    }
    *ret_found = row != NULL;
    return DKV_OK;
}

struct getting {
    const struct dkv_uuid *id;
    struct dkv_buf document;
    bool found;
};

static enum dkv_rc attempt_get(struct dkv_mongodb_connection *connection, void *arg, struct dkv_error *err)
{
    struct getting *getting = arg;
    getting->document.len = 0;
    return dkv_mongodb_get(connection, getting->id, &getting->document, &getting->found, err);
}

/* The one that is asked for most; the command is the one of the drivers' getKey. */
static enum dkv_rc get_one(struct dkv_mongodb_store *store, const struct dkv_uuid *id, dkv_store_visit_fn visit,
                           void *arg, struct dkv_error *err)
{
    struct getting getting = {.id = id};
    enum dkv_rc rc = dkv_mongodb_read(store, DKV_MONGODB_KEYS, attempt_get, &getting, err);
    if (rc == DKV_OK && getting.found) {
        rc = visit(arg, id, dkv_span_buf(&getting.document), err);
    }
    dkv_buf_done(&getting.document);
    return rc;
}

/* ---- Only what is a document ---- */

static enum dkv_rc parse_own(const struct dkv_mongodb_store *store, const struct dkv_uuid *id, struct dkv_span bytes,
                             struct dkv_document *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    char text[37];
    DKV_TRY(dkv_document_parse(bytes, &document, err));
    dkv_uuid_format(id, text);
    DKV_CHECK(dkv_uuid_equal(&document.id, id), err, DKV_E_REJECTED_CIPHERTEXT,
              "the vault %s keeps another document under the _id %s", store->where, text);
    *ret = document;
    document = (struct dkv_document){0};
    return DKV_OK;
}

enum dkv_rc dkv_mongodb_get_judged(struct dkv_mongodb_connection *connection, const struct dkv_uuid *id,
                                   struct dkv_buf *ret_bytes, struct dkv_document *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    bool found = false;
    DKV_TRY(dkv_mongodb_get(connection, id, &bytes, &found, err));
    if (!found) {
        return dkv_mongodb_not_found(connection->store, id, err);
    }
    const enum dkv_rc rc = parse_own(connection->store, id, dkv_span_buf(&bytes), ret, err);
    if (rc != DKV_OK) {
        dkv_error_key_id(err, id);
        return rc;
    }
    dkv_buf_steal(ret_bytes, &bytes);
    return DKV_OK;
}

/* ---- By many _ids ---- */

struct ids {
    const struct dkv_uuid *items; /* sorted */
    size_t n;
};

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct dkv_uuid));
}

static enum dkv_rc query_ids(const void *source, const struct dkv_uuid *after, bson_t *ret, struct dkv_error *err)
{
    const struct ids *ids = source;
    bson_t condition, array;
    (void)err;
    (void)bson_append_document_begin(ret, "_id", -1, &condition);
    (void)bson_append_array_begin(&condition, "$in", -1, &array);
    for (size_t i = 0, at = 0; i < ids->n; i++) {
        char buffer[16];
        const char *key = NULL;
        if (after == NULL || compare_ids(&ids->items[i], after) > 0) {
            (void)bson_uint32_to_string((uint32_t)at++, &key, buffer, sizeof(buffer));
            dkv_mongodb_append_id(&array, key, &ids->items[i]);
        }
    }
    (void)bson_append_array_end(&condition, &array);
    (void)bson_append_document_end(ret, &condition);
    return DKV_OK;
}

/* Where rows end up, and which may. */
struct wanted {
    const struct dkv_mongodb_store *store;
    struct ids ids;
    dkv_store_visit_fn visit;
    void *arg;
};

/* A server that gives others than those asked for could go on with it for ever. */
static enum dkv_rc visit_wanted(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    const struct wanted *wanted = arg;
    char text[37];
    dkv_uuid_format(id, text);
    DKV_CHECK(bsearch(id, wanted->ids.items, wanted->ids.n, sizeof(*id), compare_ids) != NULL, err,
              DKV_E_REJECTED_CIPHERTEXT, "reading %s: the server gave the document %s, which wasn't asked for",
              wanted->store->where, text);
    return wanted->visit(wanted->arg, id, document, err);
}

static enum dkv_rc get_sorted(struct dkv_mongodb_store *store, const struct dkv_uuid *sorted, size_t n,
                              dkv_store_visit_fn visit, void *arg, struct dkv_error *err)
{
    for (size_t at = 0; at < n; at += IDS_MAX) {
        struct wanted wanted = {.store = store, .visit = visit, .arg = arg};
        wanted.ids = (struct ids){.items = sorted + at, .n = n - at < IDS_MAX ? n - at : IDS_MAX};
        const struct dkv_mongodb_walk walk = {
            .query = query_ids, .source = &wanted.ids, .limit = SIZE_MAX, .visit = visit_wanted, .arg = &wanted};
        DKV_TRY(dkv_mongodb_walk(store, &walk, err));
    }
    return DKV_OK;
}

static size_t drop_repeated(struct dkv_uuid *sorted, size_t n)
{
    size_t kept = 1;
    for (size_t i = 1; i < n; i++) {
        if (!dkv_uuid_equal(&sorted[kept - 1], &sorted[i])) {
            sorted[kept++] = sorted[i];
        }
    }
    return kept;
}

enum dkv_rc dkv_mongodb_get_many(struct dkv_store *base, const struct dkv_uuid *ids, size_t n,
                                 dkv_store_visit_fn visit, void *arg, struct dkv_error *err)
{
    struct dkv_mongodb_store *store = dkv_mongodb_of(base);
    if (n <= 1) {
        return n == 1 ? get_one(store, ids, visit, arg, err) : DKV_OK;
    }
    DKV_CLEANUP(dkv_freep) struct dkv_uuid *sorted = dkv_calloc(n, sizeof(*sorted));
    if (sorted == NULL) {
        return dkv_fail_memory(err);
    }
    memcpy(sorted, ids, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), compare_ids);
    return get_sorted(store, sorted, drop_repeated(sorted, n), visit, arg, err);
}
