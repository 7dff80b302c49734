/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the SQLite store by _id and by name, and counting. Owns nothing. Whoever can write the file can make its
 * columns say one thing and its documents another: by name a document is given out only if it is the one asked for; by
 * _id the row's bytes are, and the caller judges them.
 * Lock: taken for each look-up or page, given back before a visitor runs. */
#include <stdlib.h>

#include "base/mem.h"
#include "vault/document_edit.h"
#include "vault/store/sqlite.h"

struct dkv_span dkv_sqlite_column_span(sqlite3_stmt *statement, int at)
{
    const void *data = sqlite3_column_blob(statement, at); /* before bytes: the order that sqlite3.h asks for */
    const int len = sqlite3_column_bytes(statement, at);
    return dkv_span(data, data != NULL ? (size_t)len : 0);
}

enum dkv_rc dkv_sqlite_read_document(struct dkv_sqlite_store *store, sqlite3_stmt *statement, struct dkv_buf *ret,
                                     struct dkv_error *err)
{
    const struct dkv_span document = dkv_sqlite_column_span(statement, 1);
    const int code = sqlite3_errcode(store->db);
    if (code == SQLITE_NOMEM) { /* a value that SQLite has no memory to hand over looks like an empty one */
        return dkv_sqlite_fail(store->db, store->path, code, "reading", err);
    }
    return document.len <= DKV_DOCUMENT_MAX ? dkv_buf_append(ret, document, err) : DKV_OK;
}

enum dkv_rc dkv_sqlite_read_row(struct dkv_sqlite_store *store, sqlite3_stmt *statement, struct dkv_uuid *ret_id,
                                struct dkv_buf *ret, struct dkv_error *err)
{
    const struct dkv_span id = dkv_sqlite_column_span(statement, 0);
    DKV_TRY(dkv_sqlite_read_document(store, statement, ret, err));
    DKV_CHECK(id.len == sizeof(ret_id->bytes), err, DKV_E_REJECTED_CIPHERTEXT,
              "the vault %s has a row whose _id is %zu bytes long, not 16", store->path, id.len);
    memcpy(ret_id->bytes, id.data, sizeof(ret_id->bytes));
    return DKV_OK;
}

enum dkv_rc dkv_sqlite_check_row(const struct dkv_sqlite_store *store, const struct dkv_uuid *id,
                                 struct dkv_span document, struct dkv_error *err)
{
    struct dkv_uuid own;
    char text[37];
    if (dkv_document_peek_id(document, &own) && dkv_uuid_equal(&own, id)) {
        return DKV_OK;
    }
    dkv_uuid_format(id, text);
    (void)dkv_fail(err, DKV_E_REJECTED_CIPHERTEXT, "the vault %s keeps another document, or none, under the _id %s",
                   store->path, text);
    dkv_error_key(err, text);
    return DKV_E_REJECTED_CIPHERTEXT;
}

enum dkv_rc dkv_sqlite_get(struct dkv_sqlite_store *store, const struct dkv_uuid *id, struct dkv_buf *ret,
                           bool *ret_found, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_sqlite_done) sqlite3_stmt *const statement = dkv_sqlite_statement(store, STMT_GET_KEY);
    DKV_TRY(dkv_sqlite_check(store, dkv_sqlite_bind_id(statement, 1, id), "reading", err));
    struct dkv_uuid own;
    bool found = false;
    DKV_TRY(dkv_sqlite_step(store, statement, "reading", &found, err));
    if (found) {
        DKV_TRY(dkv_sqlite_read_row(store, statement, &own, ret, err));
    }
    *ret_found = found;
    return DKV_OK;
}

/* ---- Many ---- */

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct dkv_uuid));
}

static enum dkv_rc get_one(struct dkv_sqlite_store *store, const struct dkv_uuid *id, dkv_store_visit_fn visit,
                           void *arg, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf document = {0};
    bool found = false;
    DKV_TRY(dkv_sqlite_lock(store, err));
    const enum dkv_rc rc = dkv_sqlite_get(store, id, &document, &found, err);
    dkv_sqlite_unlock(store);
    DKV_TRY(rc);
    return found ? visit(arg, id, dkv_span_buf(&document), err) : DKV_OK;
}

enum dkv_rc dkv_sqlite_get_many(struct dkv_store *base, const struct dkv_uuid *ids, size_t n,
                                dkv_store_visit_fn visit, void *arg, struct dkv_error *err)
{
    if (n <= 1) { /* the usual case */
        return n == 0 ? DKV_OK : get_one(dkv_sqlite_of(base), ids, visit, arg, err);
    }
    DKV_CLEANUP(dkv_freep) struct dkv_uuid *sorted = dkv_calloc(n, sizeof(*sorted));
    if (sorted == NULL) {
        return dkv_fail_memory(err);
    }
    memcpy(sorted, ids, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), compare_ids);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && dkv_uuid_equal(&sorted[i - 1], &sorted[i])) {
            continue;
        }
        DKV_TRY(get_one(dkv_sqlite_of(base), &sorted[i], visit, arg, err));
    }
    return DKV_OK;
}

/* ---- By name ---- */

static enum dkv_rc get_named(struct dkv_sqlite_store *store, const char *name, struct dkv_buf *ret,
                             struct dkv_error *err)
{
    DKV_CLEANUP(dkv_sqlite_done) sqlite3_stmt *const statement = dkv_sqlite_statement(store, STMT_GET_BY_NAME);
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf document = {0};
    struct dkv_uuid id;
    DKV_TRY(dkv_sqlite_check(store, dkv_sqlite_bind_text(statement, 1, name), "reading", err));
    bool found = false;
    DKV_TRY(dkv_sqlite_step(store, statement, "reading", &found, err));
    DKV_CHECK(found, err, DKV_E_NOT_FOUND, "no key in the vault %s has the alt name \"%s\"", store->path, name);
    DKV_TRY(dkv_sqlite_read_row(store, statement, &id, &document, err));
    DKV_TRY(dkv_sqlite_check_row(store, &id, dkv_span_buf(&document), err));
    DKV_TRY(dkv_sqlite_step(store, statement, "reading", &found, err));
    DKV_CHECK(!found, err, DKV_E_CONFLICT,
              "two keys in the vault %s have the alt name \"%s\"; name the one meant by its _id", store->path, name);
    DKV_CHECK(dkv_document_peek_name(dkv_span_buf(&document), name), err, DKV_E_REJECTED_CIPHERTEXT,
              "the vault %s has the alt name \"%s\" for a document that doesn't carry it", store->path, name);
    return dkv_buf_append(ret, dkv_span_buf(&document), err);
}

enum dkv_rc dkv_sqlite_get_by_alt_name(struct dkv_store *base, const char *name, struct dkv_buf *ret,
                                       struct dkv_error *err)
{
    struct dkv_sqlite_store *store = dkv_sqlite_of(base);
    DKV_TRY(dkv_sqlite_lock(store, err));
    const enum dkv_rc rc = get_named(store, name, ret, err);
    dkv_sqlite_unlock(store);
    return rc;
}

/* ---- Counts: all read before the first is visited; there are as many as CMKs in use ---- */

struct counts {
    struct dkv_key_count *items;
    size_t n;
    size_t capacity;
};

static void counts_done(struct counts *counts)
{
    for (size_t i = 0; i < counts->n; i++) {
        void *provider = (void *)(uintptr_t)counts->items[i].provider; /* ours; const is for visitors */
        void *cmk = (void *)(uintptr_t)counts->items[i].cmk;
        dkv_free(provider);
        dkv_free(cmk);
    }
    dkv_free(counts->items);
}

static bool grow(struct counts *counts)
{
    if (counts->n < counts->capacity) {
        return true;
    }
    const size_t capacity = counts->capacity == 0 ? 16 : 2 * counts->capacity;
    struct dkv_key_count *items = dkv_realloc(counts->items, capacity * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    counts->items = items;
    counts->capacity = capacity;
    return true;
}

static char *column_text(sqlite3_stmt *statement, int at)
{
    const char *text = (const char *)sqlite3_column_text(statement, at);
    return text != NULL ? dkv_strdup(text) : NULL;
}

static enum dkv_rc add_count(const struct dkv_sqlite_store *store, struct counts *counts, sqlite3_stmt *statement,
                             struct dkv_error *err)
{
    DKV_CHECK(sqlite3_column_type(statement, 0) != SQLITE_NULL && sqlite3_column_type(statement, 1) != SQLITE_NULL, err,
              DKV_E_REJECTED_CIPHERTEXT, "the vault %s has a key without a provider or CMK in its columns",
              store->path);
    if (!grow(counts)) {
        return dkv_fail_memory(err);
    }
    struct dkv_key_count *item = &counts->items[counts->n++];
    *item = (struct dkv_key_count){
        .provider = column_text(statement, 0),
        .cmk = column_text(statement, 1),
        .status = sqlite3_column_int(statement, 2),
        .count = (uint64_t)sqlite3_column_int64(statement, 3),
    };
    return item->provider != NULL && item->cmk != NULL ? DKV_OK : dkv_fail_memory(err);
}

static enum dkv_rc read_counts(struct dkv_sqlite_store *store, struct counts *counts, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_sqlite_done) sqlite3_stmt *const statement = dkv_sqlite_statement(store, STMT_COUNT_BY);
    bool row = false;
    DKV_TRY(dkv_sqlite_step(store, statement, "reading", &row, err));
    while (row) {
        DKV_TRY(add_count(store, counts, statement, err));
        DKV_TRY(dkv_sqlite_step(store, statement, "reading", &row, err));
    }
    return DKV_OK;
}

enum dkv_rc dkv_sqlite_count_by(struct dkv_store *base, dkv_key_count_fn visit, void *arg, struct dkv_error *err)
{
    struct dkv_sqlite_store *store = dkv_sqlite_of(base);
    DKV_CLEANUP(counts_done) struct counts counts = {0};
    DKV_TRY(dkv_sqlite_lock(store, err));
    const enum dkv_rc rc = read_counts(store, &counts, err);
    dkv_sqlite_unlock(store);
    DKV_TRY(rc);
    for (size_t i = 0; i < counts.n; i++) {
        DKV_TRY(visit(arg, &counts.items[i], err));
    }
    return DKV_OK;
}
