/* SPDX-License-Identifier: Apache-2.0 */
/* The SQLite store's inside: what its files share. */
#ifndef VAULT_STORE_SQLITE_H
#define VAULT_STORE_SQLITE_H

#include <pthread.h>
#include <sqlite3.h>
#include <sys/types.h>

#include "vault/store.h"

/* Statements prepared once, at open. */
enum sqlite_statement {
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_ROLLBACK,
    STMT_INSERT_KEY,
    STMT_UPDATE_KEY,
    STMT_DELETE_KEY,
    STMT_GET_KEY,
    STMT_INSERT_NAME,
    STMT_GET_NAME,
    STMT_DELETE_NAME,
    STMT_DELETE_NAMES,
    STMT_GET_BY_NAME,
    STMT_COUNT_BY,
    STMT_STATE_GET,
    STMT_STATE_PUT,
    STMT_STATE_DELETE,
    STMT_STATE_NEXT,
    STMT_COUNT
};

/* One connection, one lock: SQLite lets one writer at a time in anyway, and reads are short because nothing is
 * held while a visitor runs. path and pid never change; everything else is used under the lock. */
struct dkv_sqlite_store {
    struct dkv_store base;
    char *path;
    pid_t pid; /* SQLite's locks and shared memory don't survive fork() */
    pthread_mutex_t lock;
    struct dkv_sqlite_vfs *vfs;
    sqlite3 *db;
    sqlite3_stmt *statements[STMT_COUNT];
};

_Static_assert(offsetof(struct dkv_sqlite_store, base) == 0, "a dkv_store is its store");

static inline struct dkv_sqlite_store *dkv_sqlite_of(struct dkv_store *store)
{
    return (struct dkv_sqlite_store *)store;
}

/* ---- sqlite_vfs.c ---- */

/* dkv_sqlite_vfs_new: for the one connection to path, and freed after it. */
DKV_MUST_USE enum dkv_rc dkv_sqlite_vfs_new(const char *path, struct dkv_sqlite_vfs **ret, struct dkv_error *err);
const char *dkv_sqlite_vfs_name(const struct dkv_sqlite_vfs *vfs);
void dkv_sqlite_vfs_free(struct dkv_sqlite_vfs *vfs);

/* ---- sqlite_error.c ---- */

/* dkv_sqlite_fail: an error of this connection (db may be NULL) from an extended result code; doing is "reading",
 * "writing", ... */
enum dkv_rc dkv_sqlite_fail(sqlite3 *db, const char *path, int code, const char *doing, struct dkv_error *err);

/* dkv_sqlite_check: DKV_OK for SQLITE_OK, else dkv_sqlite_fail. */
DKV_MUST_USE enum dkv_rc dkv_sqlite_check(const struct dkv_sqlite_store *store, int code, const char *doing,
                                          struct dkv_error *err);

/* ---- sqlite_open.c ---- */

enum dkv_rc dkv_sqlite_open(const struct dkv_store_settings *settings, bool create, bool *ret_created,
                            struct dkv_store **ret, struct dkv_error *err);
void dkv_sqlite_close(struct dkv_store *store);
/* dkv_sqlite_network_fs: the name of a file system (statfs f_type) on which SQLite's locks can't be relied on, or NULL.
 */
const char *dkv_sqlite_network_fs(uint64_t f_type);

/* ---- sqlite.c: what the others call ---- */

/* dkv_sqlite_lock: DKV_E_INVALID in a child of the process that opened the store. */
DKV_MUST_USE enum dkv_rc dkv_sqlite_lock(struct dkv_sqlite_store *store, struct dkv_error *err);
void dkv_sqlite_unlock(struct dkv_sqlite_store *store);

/* dkv_sqlite_in_transaction: body under the lock, between BEGIN IMMEDIATE and COMMIT; ROLLBACK if it fails. */
DKV_MUST_USE enum dkv_rc dkv_sqlite_in_transaction(struct dkv_sqlite_store *store,
                                                   enum dkv_rc (*body)(struct dkv_sqlite_store *, void *,
                                                                       struct dkv_error *),
                                                   void *arg, struct dkv_error *err);

/* A prepared statement, ready to be bound; give it back with dkv_sqlite_done(). */
sqlite3_stmt *dkv_sqlite_statement(struct dkv_sqlite_store *store, enum sqlite_statement which);
void dkv_sqlite_done(sqlite3_stmt *const *statement);

/* Bound bytes must stay until the statement is done. */
int dkv_sqlite_bind_id(sqlite3_stmt *statement, int at, const struct dkv_uuid *id);
int dkv_sqlite_bind_blob(sqlite3_stmt *statement, int at, struct dkv_span bytes);
int dkv_sqlite_bind_text(sqlite3_stmt *statement, int at, const char *text);

/* dkv_sqlite_step: *ret_row: whether there is a row. */
DKV_MUST_USE enum dkv_rc dkv_sqlite_step(struct dkv_sqlite_store *store, sqlite3_stmt *statement, const char *doing,
                                         bool *ret_row, struct dkv_error *err);
/* dkv_sqlite_run: a statement without rows. */
DKV_MUST_USE enum dkv_rc dkv_sqlite_run(struct dkv_sqlite_store *store, sqlite3_stmt *statement, const char *doing,
                                        struct dkv_error *err);

/* ---- sqlite_read.c ---- */

struct dkv_span dkv_sqlite_column_span(sqlite3_stmt *statement, int at);
/* dkv_sqlite_read_document: the second column's bytes, appended, unjudged; nothing of one longer than DKV_DOCUMENT_MAX.
 */
DKV_MUST_USE enum dkv_rc dkv_sqlite_read_document(struct dkv_sqlite_store *store, sqlite3_stmt *statement,
                                                  struct dkv_buf *ret, struct dkv_error *err);
/* dkv_sqlite_read_row: the _id and, appended to ret, the document of a row (id, document), unjudged; nothing of one
 * longer than DKV_DOCUMENT_MAX. DKV_E_REJECTED_CIPHERTEXT: the _id isn't 16 bytes. */
DKV_MUST_USE enum dkv_rc dkv_sqlite_read_row(struct dkv_sqlite_store *store, sqlite3_stmt *statement,
                                             struct dkv_uuid *ret_id, struct dkv_buf *ret, struct dkv_error *err);
/* dkv_sqlite_check_row: DKV_E_REJECTED_CIPHERTEXT unless the bytes under this _id are a document that has it. */
DKV_MUST_USE enum dkv_rc dkv_sqlite_check_row(const struct dkv_sqlite_store *store, const struct dkv_uuid *id,
                                              struct dkv_span document, struct dkv_error *err);
/* dkv_sqlite_get: the row's bytes, unjudged, under the lock; *ret_found false: there is none. */
DKV_MUST_USE enum dkv_rc dkv_sqlite_get(struct dkv_sqlite_store *store, const struct dkv_uuid *id, struct dkv_buf *ret,
                                        bool *ret_found, struct dkv_error *err);
enum dkv_rc dkv_sqlite_get_many(struct dkv_store *base, const struct dkv_uuid *ids, size_t n,
                                dkv_store_visit_fn visit, void *arg, struct dkv_error *err);
enum dkv_rc dkv_sqlite_get_by_alt_name(struct dkv_store *base, const char *name, struct dkv_buf *ret,
                                       struct dkv_error *err);
enum dkv_rc dkv_sqlite_count_by(struct dkv_store *base, dkv_key_count_fn visit, void *arg, struct dkv_error *err);

/* ---- sqlite_list.c ---- */

enum dkv_rc dkv_sqlite_list(struct dkv_store *base, const struct dkv_key_filter *filter, const struct dkv_uuid *after,
                            size_t limit, dkv_store_visit_fn visit, void *arg, struct dkv_error *err);

/* ---- sqlite_insert.c ---- */

enum dkv_rc dkv_sqlite_insert(struct dkv_store *base, struct dkv_span document, enum dkv_clash *ret_clash,
                              struct dkv_error *err);
enum dkv_rc dkv_sqlite_insert_many(struct dkv_store *base, const struct dkv_span *documents, size_t n,
                                   enum dkv_clash *ret_clashes, struct dkv_error *err);

/* ---- sqlite_write.c ---- */

/* These three within a transaction.
 * dkv_sqlite_write_row: the document and its columns, by STMT_INSERT_KEY or STMT_UPDATE_KEY. */
DKV_MUST_USE enum dkv_rc dkv_sqlite_write_row(struct dkv_sqlite_store *store, enum sqlite_statement which,
                                              struct dkv_span bson, const struct dkv_document *document,
                                              struct dkv_error *err);
/* dkv_sqlite_run_name: a statement on (name, _id), or on the _id alone (name NULL). */
DKV_MUST_USE enum dkv_rc dkv_sqlite_run_name(struct dkv_sqlite_store *store, enum sqlite_statement which,
                                             const char *name, const struct dkv_uuid *id, struct dkv_error *err);
/* dkv_sqlite_check_name_is_free: DKV_E_CONFLICT. Asked, and not left to the constraint: the words name who has it, and
 * someone who writes the file can drop constraints. */
DKV_MUST_USE enum dkv_rc dkv_sqlite_check_name_is_free(struct dkv_sqlite_store *store, const char *name,
                                                       struct dkv_error *err);
enum dkv_rc dkv_sqlite_replace_material(struct dkv_store *base, const struct dkv_uuid *id,
                                        struct dkv_span expected_master_key, struct dkv_span expected_material,
                                        struct dkv_span master_key, struct dkv_span material, struct dkv_error *err);
enum dkv_rc dkv_sqlite_set_status(struct dkv_store *base, const struct dkv_uuid *id, int32_t status, bool *ret_changed,
                                  struct dkv_error *err);
enum dkv_rc dkv_sqlite_add_alt_name(struct dkv_store *base, const struct dkv_uuid *id, const char *name,
                                    bool *ret_changed, struct dkv_error *err);
enum dkv_rc dkv_sqlite_remove_alt_name(struct dkv_store *base, const struct dkv_uuid *id, const char *name,
                                       bool *ret_changed, struct dkv_error *err);
enum dkv_rc dkv_sqlite_remove(struct dkv_store *base, const struct dkv_uuid *id, struct dkv_span expected,
                              struct dkv_error *err);

#endif
