/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite's result codes, by table, as our classes and words. The extended code is looked for first, then its low
 * byte (www.sqlite.org/rescode.html). Owns nothing. */
#include <errno.h>
#include <unistd.h>

#include "vault/store/sqlite.h"

static const struct result {
    int code;
    const char *name;
    enum dkv_rc rc;
    const char *words;
} results[] = {
    {SQLITE_IOERR_NOMEM, "SQLITE_IOERR_NOMEM", DKV_E_RESOURCE, "out of memory"},
    {SQLITE_IOERR_CORRUPTFS, "SQLITE_IOERR_CORRUPTFS", DKV_E_REJECTED_CIPHERTEXT, "the file system is damaged"},
    {SQLITE_IOERR_LOCK, "SQLITE_IOERR_LOCK", DKV_E_TRANSIENT, "the file can't be locked"},
    {SQLITE_BUSY, "SQLITE_BUSY", DKV_E_TRANSIENT,
     "another process holds the vault for longer than timeout-ms; try again"},
    {SQLITE_LOCKED, "SQLITE_LOCKED", DKV_E_TRANSIENT, "the vault is locked; try again"},
    {SQLITE_PROTOCOL, "SQLITE_PROTOCOL", DKV_E_TRANSIENT, "the file's locks are contended; try again"},
    {SQLITE_INTERRUPT, "SQLITE_INTERRUPT", DKV_E_CANCELLED, "interrupted"},
    {SQLITE_NOMEM, "SQLITE_NOMEM", DKV_E_RESOURCE, "out of memory"},
    {SQLITE_FULL, "SQLITE_FULL", DKV_E_RESOURCE, "the disk is full; nothing was changed"},
    {SQLITE_IOERR, "SQLITE_IOERR", DKV_E_RESOURCE, "the disk failed"},
    {SQLITE_READONLY, "SQLITE_READONLY", DKV_E_DENIED, "the file or its folder is read-only"},
    {SQLITE_PERM, "SQLITE_PERM", DKV_E_DENIED, "not allowed"},
    {SQLITE_AUTH, "SQLITE_AUTH", DKV_E_DENIED, "not allowed"},
    {SQLITE_CANTOPEN, "SQLITE_CANTOPEN", DKV_E_RESOURCE, "the file, or one beside it, can't be opened"},
    {SQLITE_CORRUPT, "SQLITE_CORRUPT", DKV_E_REJECTED_CIPHERTEXT, "the file is damaged; restore it from a backup"},
    {SQLITE_NOTADB, "SQLITE_NOTADB", DKV_E_REJECTED_CIPHERTEXT, "the file is not a key vault"},
    {SQLITE_FORMAT, "SQLITE_FORMAT", DKV_E_REJECTED_CIPHERTEXT, "the file is not a key vault"},
    {SQLITE_ERROR, "SQLITE_ERROR", DKV_E_REJECTED_CIPHERTEXT, "the tables of the file are not those of a key vault"},
    {SQLITE_CONSTRAINT, "SQLITE_CONSTRAINT", DKV_E_CONFLICT, "exists already"},
    {SQLITE_TOOBIG, "SQLITE_TOOBIG", DKV_E_INVALID, "the document is too long"},
};

static const struct result *find_result(int code)
{
    static const struct result other = {0, "SQLITE_INTERNAL", DKV_E_INTERNAL, "SQLite failed"};
    for (size_t i = 0; i < DKV_COUNT(results); i++) {
        if (results[i].code == code || results[i].code == (code & 0xff)) {
            return &results[i];
        }
    }
    return &other;
}

/* What the system call said is nearer to the truth than SQLite's summary: a write past RLIMIT_FSIZE or a quota is a
 * plain SQLITE_IOERR_WRITE, a folder without write permission a plain SQLITE_CANTOPEN. */
static enum dkv_rc refine_class(sqlite3 *db, const char *path, int code, enum dkv_rc rc)
{
    const int primary = code & 0xff;
    if (db == NULL || (primary != SQLITE_IOERR && primary != SQLITE_CANTOPEN)) {
        return rc;
    }
    const enum dkv_rc from_errno = dkv_rc_from_errno(sqlite3_system_errno(db));
    if (from_errno == DKV_E_DENIED || from_errno == DKV_E_RESOURCE) {
        return from_errno;
    }
    return primary == SQLITE_CANTOPEN && access(path, R_OK | W_OK) != 0 ? dkv_rc_from_errno(errno) : rc;
}

enum dkv_rc dkv_sqlite_fail(sqlite3 *db, const char *path, int code, const char *doing, struct dkv_error *err)
{
    const struct result *result = find_result(code);
    const enum dkv_rc rc = refine_class(db, path, code, result->rc);
    (void)dkv_fail(err, rc, "%s the vault %s: %s (%s)", doing, path, result->words,
                   db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(code));
    dkv_error_native(err, DKV_NATIVE_SQLITE, code, result->name);
    return rc;
}

enum dkv_rc dkv_sqlite_check(const struct dkv_sqlite_store *store, int code, const char *doing, struct dkv_error *err)
{
    return code == SQLITE_OK ? DKV_OK : dkv_sqlite_fail(store->db, store->path, code, doing, err);
}
