/* SPDX-License-Identifier: Apache-2.0 */
/* Listing the SQLite store: a page of documents at a time, in _id order, each page a query of its own that goes on
 * after the last _id. Memory is bounded by a page, and no lock and no read transaction is held while a visitor runs, so
 * it may use the store, and a slow one doesn't keep the write-ahead log from being folded in. Owns its page and query.
 */
#include "vault/store/sqlite.h"

#define PAGE_DOCUMENTS 64u
#define PAGE_BYTES (1024u * 1024u) /* a page is closed when it has this many */
#define PARAMETERS_MAX 12u

/* ---- The query ---- */

struct parameter {
    const char *text; /* NULL: number */
    int64_t number;
};

struct query {
    struct dkv_buf sql;
    struct parameter parameters[PARAMETERS_MAX]; /* from ?3 on; ?1 is the _id to go on after, ?2 the limit */
    size_t n;
    struct dkv_buf prefix_end;
    bool driven; /* a condition has its index already */
};

static void query_done(struct query *query)
{
    dkv_buf_done(&query->sql);
    dkv_buf_done(&query->prefix_end);
}

static size_t add_parameter(struct query *query, const char *text, int64_t number)
{
    query->parameters[query->n] = (struct parameter){.text = text, .number = number};
    return 3 + query->n++;
}

/* One index drives; a + keeps SQLite from using another, whose rows would have to be sorted anew for every page. */
static const char *driver(struct query *query)
{
    const char *mark = query->driven ? "+" : "";
    query->driven = true;
    return mark;
}

/* The smallest text after all those that start with prefix, in byte order; none (empty) if there is no such text. */
static enum dkv_rc end_of_prefix(const char *prefix, struct dkv_buf *ret, struct dkv_error *err)
{
    size_t len = strlen(prefix);
    while (len > 0 && (uint8_t)prefix[len - 1] == 0xff) {
        len--;
    }
    if (len == 0) {
        return DKV_OK;
    }
    DKV_TRY(dkv_buf_append(ret, dkv_span(prefix, len), err));
    ret->data[len - 1]++;
    return dkv_buf_text(ret) != NULL ? DKV_OK : dkv_fail_memory(err);
}

static enum dkv_rc add_prefix(struct query *query, const char *prefix, struct dkv_error *err)
{
    const size_t from = add_parameter(query, prefix, 0);
    query->driven = true;
    DKV_TRY(end_of_prefix(prefix, &query->prefix_end, err));
    DKV_TRY(
        dkv_buf_printf(&query->sql, err, " AND id IN (SELECT id FROM alt_names WHERE +id > ?1 AND name >= ?%zu", from));
    if (query->prefix_end.len > 0) {
        const size_t to = add_parameter(query, (const char *)query->prefix_end.data, 0);
        DKV_TRY(dkv_buf_printf(&query->sql, err, " AND name < ?%zu", to));
    }
    return dkv_buf_append_str(&query->sql, ")", err);
}

static enum dkv_rc add_text(struct query *query, const char *column, const char *text, struct dkv_error *err)
{
    const char *mark = driver(query);
    return dkv_buf_printf(&query->sql, err, " AND %s%s = ?%zu", mark, column, add_parameter(query, text, 0));
}

static enum dkv_rc add_range(struct query *query, const char *column, int64_t after, int64_t before,
                             struct dkv_error *err)
{
    if (after != INT64_MIN) {
        DKV_TRY(dkv_buf_printf(&query->sql, err, " AND +%s > ?%zu", column, add_parameter(query, NULL, after)));
    }
    if (before != INT64_MAX) {
        DKV_TRY(dkv_buf_printf(&query->sql, err, " AND +%s < ?%zu", column, add_parameter(query, NULL, before)));
    }
    return DKV_OK;
}

static enum dkv_rc add_filter(struct query *query, const struct dkv_key_filter *filter, struct dkv_error *err)
{
    if (filter->name_prefix != NULL) {
        DKV_TRY(add_prefix(query, filter->name_prefix, err));
    }
    if (filter->cmk != NULL) {
        DKV_TRY(add_text(query, "cmk", filter->cmk, err));
    }
    if (filter->provider != NULL) {
        DKV_TRY(add_text(query, "provider", filter->provider, err));
    }
    if (filter->status >= 0) {
        const char *mark = driver(query);
        DKV_TRY(
            dkv_buf_printf(&query->sql, err, " AND %sstatus = ?%zu", mark, add_parameter(query, NULL, filter->status)));
    }
    DKV_TRY(add_range(query, "created", filter->created_after_ms, filter->created_before_ms, err));
    return add_range(query, "updated", filter->updated_after_ms, filter->updated_before_ms, err);
}

static enum dkv_rc build_query(struct query *query, const struct dkv_key_filter *filter, struct dkv_error *err)
{
    DKV_TRY(dkv_buf_append_str(&query->sql, "SELECT id, document FROM keys WHERE id > ?1", err));
    if (filter != NULL) {
        DKV_TRY(add_filter(query, filter, err));
    }
    return dkv_buf_append_str(&query->sql, " ORDER BY id LIMIT ?2", err);
}

static int bind_query(const struct query *query, sqlite3_stmt *statement, struct dkv_span after, size_t limit)
{
    int code = dkv_sqlite_bind_blob(statement, 1, after);
    if (code == SQLITE_OK) {
        code = sqlite3_bind_int64(statement, 2, (sqlite3_int64)limit);
    }
    for (size_t i = 0; code == SQLITE_OK && i < query->n; i++) {
        const struct parameter *parameter = &query->parameters[i];
        code = parameter->text != NULL ? dkv_sqlite_bind_text(statement, (int)i + 3, parameter->text)
                                       : sqlite3_bind_int64(statement, (int)i + 3, parameter->number);
    }
    return code;
}

/* ---- A page ---- */

struct row {
    struct dkv_uuid id;
    bool has_uuid;
    size_t end; /* of its bytes */
};

struct page {
    struct dkv_buf bytes; /* documents, one after the other */
    struct row rows[PAGE_DOCUMENTS];
    size_t n;
    struct dkv_buf last; /* the last row's id, whatever it is */
    bool is_last;
};

static void page_done(struct page *page)
{
    dkv_buf_done(&page->bytes);
    dkv_buf_done(&page->last);
}

static enum dkv_rc add_row(struct dkv_sqlite_store *store, sqlite3_stmt *statement, struct page *page,
                           struct dkv_error *err)
{
    struct row *row = &page->rows[page->n];
    const struct dkv_span id = dkv_sqlite_column_span(statement, 0);
    row->has_uuid = id.len == sizeof(row->id.bytes);
    if (row->has_uuid) {
        memcpy(row->id.bytes, id.data, sizeof(row->id.bytes));
    }
    page->last.len = 0;
    DKV_TRY(dkv_buf_append(&page->last, id, err));
    DKV_TRY(dkv_sqlite_read_document(store, statement, &page->bytes, err));
    row->end = page->bytes.len;
    page->n++;
    return DKV_OK;
}

static enum dkv_rc read_rows(struct dkv_sqlite_store *store, sqlite3_stmt *statement, struct page *page,
                             struct dkv_error *err)
{
    bool row = false;
    DKV_TRY(dkv_sqlite_step(store, statement, "listing", &row, err));
    while (row && page->bytes.len < PAGE_BYTES) {
        DKV_TRY(add_row(store, statement, page, err));
        DKV_TRY(dkv_sqlite_step(store, statement, "listing", &row, err));
    }
    page->is_last = !row && page->n < PAGE_DOCUMENTS;
    return DKV_OK;
}

static enum dkv_rc read_page(struct dkv_sqlite_store *store, const struct query *query, struct dkv_span after,
                             size_t limit, struct page *page, struct dkv_error *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->db, (const char *)query->sql.data, (int)query->sql.len, &statement, NULL);
    if (code == SQLITE_OK) {
        code = bind_query(query, statement, after, limit < PAGE_DOCUMENTS ? limit : PAGE_DOCUMENTS);
    }
    const enum dkv_rc rc = code == SQLITE_OK ? read_rows(store, statement, page, err)
                                             : dkv_sqlite_fail(store->db, store->path, code, "listing", err);
    (void)sqlite3_finalize(statement);
    return rc;
}

static enum dkv_rc visit_page(const struct page *page, dkv_store_visit_fn visit, void *arg, struct dkv_error *err)
{
    size_t begin = 0;
    for (size_t i = 0; i < page->n; i++) {
        const struct row *row = &page->rows[i];
        const size_t len = row->end - begin;
        const struct dkv_span document = len > 0 ? dkv_span(page->bytes.data + begin, len) : dkv_span(NULL, 0);
        DKV_TRY(visit(arg, row->has_uuid ? &row->id : NULL, document, err));
        begin = row->end;
    }
    return DKV_OK;
}

/* One page read and visited; *last and *left go on from it. */
static enum dkv_rc list_page(struct dkv_sqlite_store *store, const struct query *query, dkv_store_visit_fn visit,
                             void *arg, struct dkv_buf *last, size_t *left, struct dkv_error *err)
{
    struct page page = {0};
    enum dkv_rc rc = dkv_sqlite_lock(store, err);
    if (rc == DKV_OK) {
        rc = read_page(store, query, dkv_span_buf(last), *left, &page, err);
        dkv_sqlite_unlock(store);
    }
    if (rc == DKV_OK) {
        rc = visit_page(&page, visit, arg, err);
    }
    *left = rc == DKV_OK && !page.is_last ? *left - page.n : 0;
    if (rc == DKV_OK && page.n > 0) {
        dkv_buf_steal(last, &page.last);
    }
    page_done(&page);
    return rc;
}

enum dkv_rc dkv_sqlite_list(struct dkv_store *base, const struct dkv_key_filter *filter, const struct dkv_uuid *after,
                            size_t limit, dkv_store_visit_fn visit, void *arg, struct dkv_error *err)
{
    DKV_CLEANUP(query_done) struct query query = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf last = {0}; /* empty is before every _id */
    size_t left = limit == 0 ? SIZE_MAX : limit;
    DKV_TRY(build_query(&query, filter, err));
    if (after != NULL) {
        DKV_TRY(dkv_buf_append(&last, dkv_span(after->bytes, sizeof(after->bytes)), err));
    }
    while (left > 0) {
        DKV_TRY(list_page(dkv_sqlite_of(base), &query, visit, arg, &last, &left, err));
    }
    return DKV_OK;
}
