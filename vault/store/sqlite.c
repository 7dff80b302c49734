/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded store: one SQLite file in WAL mode. Here: its table of functions, and the state table. */
#include "vault/store/sqlite.h"

/* ---- State ---- */

static enum dkv_rc read_state(struct dkv_sqlite_store *store, const char *key, struct dkv_buf *ret, bool *ret_found,
                              struct dkv_error *err)
{
    DKV_CLEANUP(dkv_sqlite_done) sqlite3_stmt *const statement = dkv_sqlite_statement(store, STMT_STATE_GET);
    DKV_TRY(dkv_sqlite_check(store, dkv_sqlite_bind_text(statement, 1, key), "reading", err));
    DKV_TRY(dkv_sqlite_step(store, statement, "reading", ret_found, err));
    return *ret_found ? dkv_buf_append(ret, dkv_sqlite_column_span(statement, 0), err) : DKV_OK;
}

static enum dkv_rc state_get(struct dkv_store *base, const char *key, struct dkv_buf *ret, struct dkv_error *err)
{
    struct dkv_sqlite_store *store = dkv_sqlite_of(base);
    bool found = false;
    DKV_TRY(dkv_sqlite_lock(store, err));
    const enum dkv_rc rc = read_state(store, key, ret, &found, err);
    dkv_sqlite_unlock(store);
    DKV_TRY(rc);
    DKV_CHECK(found, err, DKV_E_NOT_FOUND, "the vault %s has no state record %s", store->path, key);
    return DKV_OK;
}

struct state_put {
    const char *key;
    struct dkv_span expected;
    struct dkv_span value;
};

static enum dkv_rc put_state(struct dkv_sqlite_store *store, void *arg, struct dkv_error *err)
{
    const struct state_put *put = arg;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf current = {0};
    bool found = false;
    DKV_TRY(read_state(store, put->key, &current, &found, err));
    DKV_CHECK(dkv_span_equal(dkv_span_buf(&current), put->expected), err, DKV_E_CONFLICT,
              "the state record %s in the vault %s has changed", put->key, store->path);
    const enum sqlite_statement which = put->value.len > 0 ? STMT_STATE_PUT : STMT_STATE_DELETE;
    DKV_CLEANUP(dkv_sqlite_done) sqlite3_stmt *const statement = dkv_sqlite_statement(store, which);
    int code = dkv_sqlite_bind_text(statement, 1, put->key);
    if (code == SQLITE_OK && which == STMT_STATE_PUT) {
        code = dkv_sqlite_bind_blob(statement, 2, put->value);
    }
    DKV_TRY(dkv_sqlite_check(store, code, "writing", err));
    return dkv_sqlite_run(store, statement, "writing", err);
}

static enum dkv_rc state_put(struct dkv_store *base, const char *key, struct dkv_span expected, struct dkv_span value,
                             struct dkv_error *err)
{
    struct state_put put = {.key = key, .expected = expected, .value = value};
    return dkv_sqlite_in_transaction(dkv_sqlite_of(base), put_state, &put, err);
}

/* One record; the next is the first whose key comes after it, so that no lock is held while a visitor runs. */
struct state_record {
    struct dkv_buf key; /* empty: before the first */
    struct dkv_buf value;
};

static void state_record_done(struct state_record *record)
{
    dkv_buf_done(&record->key);
    dkv_buf_done(&record->value);
}

/* Whoever writes the file could keep bytes or a NUL there, after which there would be no next. */
static enum dkv_rc take_record(struct dkv_sqlite_store *store, sqlite3_stmt *statement, struct state_record *record,
                               struct dkv_error *err)
{
    const bool is_text = sqlite3_column_type(statement, 0) == SQLITE_TEXT;
    const struct dkv_span key = dkv_sqlite_column_span(statement, 0);
    const struct dkv_span value = dkv_sqlite_column_span(statement, 1);
    const int code = sqlite3_errcode(store->db);
    if (code == SQLITE_NOMEM) {
        return dkv_sqlite_fail(store->db, store->path, code, "reading", err);
    }
    DKV_CHECK(is_text && key.len > 0 && memchr(key.data, 0, key.len) == NULL, err, DKV_E_REJECTED_CIPHERTEXT,
              "the vault %s has a state record whose key is no text", store->path);
    record->key.len = 0;
    record->value.len = 0;
    DKV_TRY(dkv_buf_append(&record->key, key, err));
    return dkv_buf_append(&record->value, value, err);
}

static enum dkv_rc next_record(struct dkv_sqlite_store *store, struct state_record *record, bool *ret_found,
                               struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf last = {0};
    DKV_TRY(dkv_buf_append(&last, dkv_span_buf(&record->key), err));
    const char *after = dkv_buf_text(&last);
    if (after == NULL) {
        return dkv_fail_memory(err);
    }
    DKV_CLEANUP(dkv_sqlite_done) sqlite3_stmt *const statement = dkv_sqlite_statement(store, STMT_STATE_NEXT);
    DKV_TRY(dkv_sqlite_check(store, dkv_sqlite_bind_text(statement, 1, after), "reading", err));
    DKV_TRY(dkv_sqlite_step(store, statement, "reading", ret_found, err));
    return *ret_found ? take_record(store, statement, record, err) : DKV_OK;
}

static enum dkv_rc state_list(struct dkv_store *base, dkv_state_visit_fn visit, void *arg, struct dkv_error *err)
{
    struct dkv_sqlite_store *store = dkv_sqlite_of(base);
    DKV_CLEANUP(state_record_done) struct state_record record = {0};
    for (bool found = true; found;) {
        DKV_TRY(dkv_sqlite_lock(store, err));
        const enum dkv_rc rc = next_record(store, &record, &found, err);
        dkv_sqlite_unlock(store);
        DKV_TRY(rc);
        const char *key = dkv_buf_text(&record.key);
        if (key == NULL) {
            return dkv_fail_memory(err);
        }
        DKV_TRY(found ? visit(arg, key, dkv_span_buf(&record.value), err) : DKV_OK);
    }
    return DKV_OK;
}

/* ---- The index: names must be unique, by the table's primary key or by an index of our own ---- */

static const char index_sql[] =
    "SELECT (SELECT count(*) FROM pragma_table_info('alt_names') WHERE pk > 0) = 1"
    " AND (SELECT count(*) FROM pragma_table_info('alt_names') WHERE pk > 0 AND name = 'name') = 1"
    " OR EXISTS (SELECT 1 FROM pragma_index_list('alt_names') WHERE name = 'alt_names_unique' AND \"unique\" = 1)";

static enum dkv_rc read_index(struct dkv_sqlite_store *store, enum dkv_index_state *ret, struct dkv_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    const int code = sqlite3_prepare_v2(store->db, index_sql, -1, &statement, NULL);
    DKV_TRY(dkv_sqlite_check(store, code, "reading", err));
    const enum dkv_rc rc = dkv_sqlite_step(store, statement, "reading", &row, err);
    if (rc == DKV_OK) {
        *ret = row && sqlite3_column_int(statement, 0) != 0 ? DKV_INDEX_OK : DKV_INDEX_MISSING;
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

static enum dkv_rc check_index(struct dkv_store *base, enum dkv_index_state *ret, struct dkv_error *err)
{
    struct dkv_sqlite_store *store = dkv_sqlite_of(base);
    DKV_TRY(dkv_sqlite_lock(store, err));
    const enum dkv_rc rc = read_index(store, ret, err);
    dkv_sqlite_unlock(store);
    return rc;
}

static enum dkv_rc make_index(struct dkv_sqlite_store *store, void *arg, struct dkv_error *err)
{
    (void)arg;
    enum dkv_index_state state = DKV_INDEX_MISSING;
    DKV_TRY(read_index(store, &state, err));
    if (state == DKV_INDEX_OK) {
        return DKV_OK;
    }
    const int code =
        sqlite3_exec(store->db, "CREATE UNIQUE INDEX alt_names_unique ON alt_names (name)", NULL, NULL, NULL);
    return dkv_sqlite_check(store, code, "making the index of alt names of", err);
}

static enum dkv_rc ensure_index(struct dkv_store *base, struct dkv_error *err)
{
    return dkv_sqlite_in_transaction(dkv_sqlite_of(base), make_index, NULL, err);
}

const struct dkv_store_ops dkv_sqlite_store_ops = {
    .scheme = "sqlite",
    .open = dkv_sqlite_open,
    .close = dkv_sqlite_close,
    .ensure_index = ensure_index,
    .check_index = check_index,
    .insert = dkv_sqlite_insert,
    .insert_many = dkv_sqlite_insert_many,
    .get_many = dkv_sqlite_get_many,
    .get_by_alt_name = dkv_sqlite_get_by_alt_name,
    .list = dkv_sqlite_list,
    .count_by = dkv_sqlite_count_by,
    .replace_material = dkv_sqlite_replace_material,
    .set_status = dkv_sqlite_set_status,
    .add_alt_name = dkv_sqlite_add_alt_name,
    .remove_alt_name = dkv_sqlite_remove_alt_name,
    .remove = dkv_sqlite_remove,
    .state_get = state_get,
    .state_put = state_put,
    .state_list = state_list,
};
