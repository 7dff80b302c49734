/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded store: what its files share: the lock, statements, transactions. Invariant: every change is one BEGIN
 * IMMEDIATE transaction made durable by synchronous=FULL before the call returns, so a process may be killed anywhere.
 * Lock: store->lock, around every use of the connection, never held while a visitor runs. */
#include "vault/store/sqlite.h"

#include <unistd.h>

enum dkv_rc dkv_sqlite_lock(struct dkv_sqlite_store *store, struct dkv_error *err)
{
    DKV_CHECK(store->pid == getpid(), err, DKV_E_INVALID,
              "the vault %s was opened before fork(); a child must open its own", store->path);
    pthread_mutex_lock(&store->lock);
    return DKV_OK;
}

void dkv_sqlite_unlock(struct dkv_sqlite_store *store)
{
    pthread_mutex_unlock(&store->lock);
}

sqlite3_stmt *dkv_sqlite_statement(struct dkv_sqlite_store *store, enum sqlite_statement which)
{
    return store->statements[which];
}

void dkv_sqlite_done(sqlite3_stmt *const *statement)
{
    if (*statement != NULL) {
        (void)sqlite3_reset(*statement);
        (void)sqlite3_clear_bindings(*statement);
    }
}

int dkv_sqlite_bind_id(sqlite3_stmt *statement, int at, const struct dkv_uuid *id)
{
    return sqlite3_bind_blob(statement, at, id->bytes, sizeof(id->bytes), SQLITE_STATIC);
}

int dkv_sqlite_bind_blob(sqlite3_stmt *statement, int at, struct dkv_span bytes)
{
    return sqlite3_bind_blob64(statement, at, bytes.data != NULL ? (const void *)bytes.data : "", bytes.len,
                               SQLITE_STATIC);
}

int dkv_sqlite_bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    return sqlite3_bind_text64(statement, at, text, strlen(text), SQLITE_STATIC, SQLITE_UTF8);
}

enum dkv_rc dkv_sqlite_step(struct dkv_sqlite_store *store, sqlite3_stmt *statement, const char *doing, bool *ret_row,
                            struct dkv_error *err)
{
    const int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        return dkv_sqlite_fail(store->db, store->path, code, doing, err);
    }
    *ret_row = code == SQLITE_ROW;
    return DKV_OK;
}

enum dkv_rc dkv_sqlite_run(struct dkv_sqlite_store *store, sqlite3_stmt *statement, const char *doing,
                           struct dkv_error *err)
{
    bool row = false;
    return dkv_sqlite_step(store, statement, doing, &row, err);
}

/* ---- Transactions ---- */

static enum dkv_rc run_one(struct dkv_sqlite_store *store, enum sqlite_statement which, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_sqlite_done) sqlite3_stmt *const statement = dkv_sqlite_statement(store, which);
    return dkv_sqlite_run(store, statement, "writing", err);
}

static enum dkv_rc transact(struct dkv_sqlite_store *store,
                            enum dkv_rc (*body)(struct dkv_sqlite_store *, void *, struct dkv_error *), void *arg,
                            struct dkv_error *err)
{
    DKV_TRY(run_one(store, STMT_BEGIN, err));
    enum dkv_rc rc = body(store, arg, err);
    if (rc == DKV_OK) {
        rc = run_one(store, STMT_COMMIT, err);
    }
    /* A full disk or a failed allocation may have rolled back already. */
    if (rc != DKV_OK && sqlite3_get_autocommit(store->db) == 0) {
        (void)run_one(store, STMT_ROLLBACK, NULL);
    }
    return rc;
}

enum dkv_rc dkv_sqlite_in_transaction(struct dkv_sqlite_store *store,
                                      enum dkv_rc (*body)(struct dkv_sqlite_store *, void *, struct dkv_error *),
                                      void *arg, struct dkv_error *err)
{
    DKV_TRY(dkv_sqlite_lock(store, err));
    const enum dkv_rc rc = transact(store, body, arg, err);
    dkv_sqlite_unlock(store);
    return rc;
}
