/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the MongoDB store by _id and by name. Owns the cursors. Whoever can write the collection can put anything
 * there: by name a document is given out only if it has the name; by _id its bytes are, and the caller judges them.
 * No lock: each call has a connection of its own, given back before a visitor of one document runs. */
#include <stdlib.h>

#include "base/mem.h"
#include "vault/document_edit.h"
#include "vault/store/mongodb.h"

#define IDS_MAX 1000u /* of one query: a command has an upper bound, a thousand UUIDs are 30 KiB */

DKV_DEFINE_FREEP(mongoc_cursor_t, mongoc_cursor_destroy);

/* ---- A query of few documents ---- */

static mongoc_cursor_t *find(const struct dkv_mongodb_connection *connection, const bson_t *query, int64_t limit)
{
    bson_t opts = BSON_INITIALIZER;
    (void)bson_append_int64(&opts, "limit", -1, limit);
    (void)bson_append_bool(&opts, "singleBatch", -1, true);
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(connection->collection, query, &opts,
                                                               NULL /* read preference: the store's */);
    bson_destroy(&opts);
    return cursor;
}

/* *ret_row: borrowed from the cursor until the next; NULL: there are no more. */
static enum dkv_rc next_row(const struct dkv_mongodb_connection *connection, mongoc_cursor_t *cursor,
                            const bson_t **ret_row, struct dkv_error *err)
{
    const bson_t *row = NULL, *reply = NULL;
    bson_error_t error = {0};
    const bool found = mongoc_cursor_next(cursor, &row);
    if (!found && mongoc_cursor_error_document(cursor, &error, &reply)) {
        return dkv_mongodb_fail(connection->store, "reading", &error, reply, err);
    }
    *ret_row = found ? row : NULL;
    return DKV_OK;
}

/* ---- By _id ---- */

enum dkv_rc dkv_mongodb_get(struct dkv_mongodb_connection *connection, const struct dkv_uuid *id, struct dkv_buf *ret,
                            bool *ret_found, struct dkv_error *err)
{
    DKV_CLEANUP(bson_destroy) bson_t query = BSON_INITIALIZER;
    const bson_t *row = NULL;
    dkv_mongodb_append_id(&query, "_id", id);
    DKV_CLEANUP(mongoc_cursor_destroyp) mongoc_cursor_t *cursor = find(connection, &query, 1);
    DKV_TRY(next_row(connection, cursor, &row, err));
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

static enum dkv_rc get_attempt(struct dkv_mongodb_connection *connection, bool repeated, void *arg,
                               struct dkv_error *err)
{
    struct getting *getting = arg;
    (void)repeated;
    getting->document.len = 0;
    return dkv_mongodb_get(connection, getting->id, &getting->document, &getting->found, err);
}

/* The one that is asked for most; the command is the one of the drivers' getKey. */
static enum dkv_rc get_one(struct dkv_mongodb_store *store, const struct dkv_uuid *id, dkv_store_visit_fn visit,
                           void *arg, struct dkv_error *err)
{
    struct getting getting = {.id = id};
    enum dkv_rc rc = dkv_mongodb_read(store, DKV_MONGODB_KEYS, get_attempt, &getting, err);
    if (rc == DKV_OK && getting.found) {
        rc = visit(arg, id, dkv_span_buf(&getting.document), err);
    }
    dkv_buf_done(&getting.document);
    return rc;
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

static enum dkv_rc get_sorted(struct dkv_mongodb_store *store, const struct dkv_uuid *sorted, size_t n,
                              dkv_store_visit_fn visit, void *arg, struct dkv_error *err)
{
    for (size_t at = 0; at < n; at += IDS_MAX) {
        const struct ids ids = {.items = sorted + at, .n = n - at < IDS_MAX ? n - at : IDS_MAX};
        const struct dkv_mongodb_walk walk = {
            .query = query_ids, .source = &ids, .limit = SIZE_MAX, .visit = visit, .arg = arg};
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

/* ---- By name ---- */

static void format_id(struct dkv_span document, char text[static 37])
{
    struct dkv_uuid id;
    if (dkv_document_peek_id(document, &id)) {
        dkv_uuid_format(&id, text);
    } else {
        (void)memcpy(text, "(no UUID)", sizeof("(no UUID)"));
    }
}

static enum dkv_rc fail_two(const struct dkv_mongodb_store *store, const char *name, struct dkv_span first,
                            struct dkv_span second, struct dkv_error *err)
{
    char a[37], b[37];
    format_id(first, a);
    format_id(second, b);
    return dkv_fail(err, DKV_E_CONFLICT,
                    "two keys in the vault %s have the alt name \"%s\": %s and %s; name the one meant by its _id, and "
                    "take the name from the other with dekvault key remove-name", store->where, name, a, b);
}

static enum dkv_rc check_has_name(const struct dkv_mongodb_store *store, struct dkv_span bson, const char *name,
                                  struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    DKV_TRY(dkv_document_parse(bson, &document, err));
    for (size_t i = 0; i < document.n_alt_names; i++) {
        if (strcmp(document.alt_names[i], name) == 0) {
            return DKV_OK;
        }
    }
    return dkv_fail(err, DKV_E_REJECTED_CIPHERTEXT,
                    "the vault %s has the alt name \"%s\" for a document that doesn't carry it", store->where, name);
}

struct naming {
    const char *name;
    struct dkv_buf document;
};

static enum dkv_rc name_attempt(struct dkv_mongodb_connection *connection, bool repeated, void *arg,
                                struct dkv_error *err)
{
    struct naming *naming = arg;
    DKV_CLEANUP(bson_destroy) bson_t query = BSON_INITIALIZER;
    const bson_t *row = NULL;
    (void)repeated;
    (void)bson_append_utf8(&query, "keyAltNames", -1, naming->name, -1);
    DKV_CLEANUP(mongoc_cursor_destroyp) mongoc_cursor_t *cursor = find(connection, &query, 2);
    DKV_TRY(next_row(connection, cursor, &row, err));
    DKV_CHECK(row != NULL, err, DKV_E_NOT_FOUND, "no key in the vault %s has the alt name \"%s\"",
              connection->store->where, naming->name);
    naming->document.len = 0;
    DKV_TRY(dkv_buf_append(&naming->document, dkv_mongodb_span(row), err));
    DKV_TRY(next_row(connection, cursor, &row, err));
    return row == NULL ? DKV_OK
                       : fail_two(connection->store, naming->name, dkv_span_buf(&naming->document),
                                  dkv_mongodb_span(row), err);
}

enum dkv_rc dkv_mongodb_get_by_alt_name(struct dkv_store *base, const char *name, struct dkv_buf *ret,
                                        struct dkv_error *err)
{
    struct dkv_mongodb_store *store = dkv_mongodb_of(base);
    struct naming naming = {.name = name};
    /* A server refuses a query that isn't UTF-8, and nobody can have such a name. */
    DKV_CHECK(dkv_utf8_is_valid(dkv_span_str(name)), err, DKV_E_NOT_FOUND,
              "no key in the vault %s has the alt name \"%s\"", store->where, name);
    enum dkv_rc rc = dkv_mongodb_read(store, DKV_MONGODB_KEYS, name_attempt, &naming, err);
    if (rc == DKV_OK) {
        rc = check_has_name(store, dkv_span_buf(&naming.document), name, err);
    }
    if (rc == DKV_OK) {
        rc = dkv_buf_append(ret, dkv_span_buf(&naming.document), err);
    }
    dkv_buf_done(&naming.document);
    return rc;
}

/* ---- Who has a name ---- */

static void append_names(bson_t *query, const char *const *names, size_t n)
{
    bson_t condition, array;
    (void)bson_append_document_begin(query, "keyAltNames", -1, &condition);
    (void)bson_append_array_begin(&condition, "$in", -1, &array);
    for (size_t i = 0; i < n; i++) {
        char buffer[16];
        const char *key = NULL;
        (void)bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof(buffer));
        (void)bson_append_utf8(&array, key, -1, names[i], -1);
    }
    (void)bson_append_array_end(&condition, &array);
    (void)bson_append_document_end(query, &condition);
}

static const char *find_name(const bson_iter_t *value, const char *const *names, size_t n)
{
    const char *text = BSON_ITER_HOLDS_UTF8(value) ? bson_iter_utf8(value, NULL) : NULL;
    for (size_t i = 0; text != NULL && i < n; i++) {
        if (strcmp(names[i], text) == 0) {
            return names[i];
        }
    }
    return NULL;
}

/* Of a document that need not be valid: the server says that it has one. */
static const char *name_in_row(const bson_t *row, const char *const *names, size_t n)
{
    bson_iter_t field, element;
    const char *name = NULL;
    if (bson_iter_init_find(&field, row, "keyAltNames")) {
        name = find_name(&field, names, n);
        const bool is_array = BSON_ITER_HOLDS_ARRAY(&field) && bson_iter_recurse(&field, &element);
        while (name == NULL && is_array && bson_iter_next(&element)) {
            name = find_name(&element, names, n);
        }
    }
    return name != NULL ? name : names[0];
}

enum dkv_rc dkv_mongodb_find_holder(struct dkv_mongodb_connection *connection, const char *const *names, size_t n,
                                    const struct dkv_uuid *but, struct dkv_uuid *ret_id, const char **ret_name,
                                    struct dkv_error *err)
{
    DKV_CLEANUP(bson_destroy) bson_t query = BSON_INITIALIZER;
    const bson_t *row = NULL;
    if (n == 0) {
        *ret_name = NULL;
        return DKV_OK;
    }
    append_names(&query, names, n);
    if (but != NULL) {
        bson_t child;
        (void)bson_append_document_begin(&query, "_id", -1, &child);
        dkv_mongodb_append_id(&child, "$ne", but);
        (void)bson_append_document_end(&query, &child);
    }
    DKV_CLEANUP(mongoc_cursor_destroyp) mongoc_cursor_t *cursor = find(connection, &query, 1);
    DKV_TRY(next_row(connection, cursor, &row, err));
    *ret_name = row != NULL ? name_in_row(row, names, n) : NULL;
    if (row != NULL && !dkv_document_peek_id(dkv_mongodb_span(row), ret_id)) {
        *ret_id = (struct dkv_uuid){0};
    }
    return DKV_OK;
}
