/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a SQLite vault: the file is judged by its path, made if asked for, and must be ours and of a format we know
 * before anything in it is used. Owns the making and unmaking of struct dkv_sqlite_store. No descriptor of the
 * file is ever opened or closed here beside SQLite's: closing one would drop the POSIX locks of every other connection
 * of the process (www.sqlite.org/howtocorrupt.html section 2.2). No lock: a store under construction has one user. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "vault/store/sqlite.h"

#define APPLICATION_ID 0x444b5631    /* "DKV1": the file is a key vault of ours */
#define FORMAT_VERSION 1             /* user_version */
#define LENGTH_MAX (8 * 1024 * 1024) /* a document, or a masterKey of that size as Extended JSON */

/* ---- The place ---- */

static const struct network_fs {
    uint64_t f_type;
    const char *name;
} network_file_systems[] = {
    {0x6969, "NFS"},      {0x517b, "SMB"},        {0xff534d42, "CIFS"},  {0xfe534d42, "SMB"},   {0x65735546, "FUSE"},
    {0x01021997, "9P"},   {0x00c36400, "Ceph"},   {0x01161970, "GFS2"},  {0x7461636f, "OCFS2"}, {0x0bd00bd0, "Lustre"},
    {0x47504653, "GPFS"}, {0x19830326, "BeeGFS"}, {0x5346414f, "AFS"},   {0x6b414653, "AFS"},   {0x73757245, "Coda"},
    {0x564c, "NCP"},      {0xaad7aaea, "PanFS"},  {0x013111a8, "IBRIX"},
};

const char *dkv_sqlite_network_fs(uint64_t f_type)
{
    for (size_t i = 0; i < DKV_COUNT(network_file_systems); i++) {
        if (network_file_systems[i].f_type == f_type) {
            return network_file_systems[i].name;
        }
    }
    return NULL;
}

/* SQLite's locks and the shared memory of its write-ahead log need one kernel for all users of the file. */
static enum dkv_rc check_file_system(const char *path, const char *folder, struct dkv_error *err)
{
    struct statfs info;
    if (statfs(folder, &info) != 0) {
        const enum dkv_rc rc = dkv_rc_from_errno(errno);
        (void)dkv_fail_errno(err, rc, "the folder %s of the vault", folder);
        dkv_error_append(err, "%s", rc == DKV_E_NOT_FOUND ? ": make it, for instance with mkdir -m 700" : "");
        return rc;
    }
    const char *name = dkv_sqlite_network_fs((uint64_t)info.f_type & 0xffffffffu);
    DKV_CHECK(name == NULL, err, DKV_E_CONFIG,
              "the vault %s is on a network file system (%s); use a local disk, or a mongodb:// store", path, name);
    return DKV_OK;
}

/* mknod makes a regular file without a descriptor, see above; it follows no link and takes no existing file. */
static enum dkv_rc make_file(const char *path, struct dkv_error *err)
{
    if (mknod(path, S_IFREG | 0600, 0) != 0) {
        if (errno == EEXIST) {
            return DKV_OK; /* another process was first; the schema is made once, under its lock */
        }
        return dkv_fail_errno(err, dkv_rc_from_errno(errno), "making the vault %s", path);
    }
    if (chmod(path, 0600) != 0) { /* a umask may have taken our own bits away */
        return dkv_fail_errno(err, dkv_rc_from_errno(errno), "the mode of the vault %s", path);
    }
    return DKV_OK;
}

static enum dkv_rc find_or_make_file(const char *path, bool create, struct dkv_error *err)
{
    struct stat info;
    if (stat(path, &info) == 0) {
        DKV_CHECK(S_ISREG(info.st_mode), err, DKV_E_CONFIG, "the vault %s is not a regular file", path);
        return DKV_OK;
    }
    if (errno != ENOENT) {
        return dkv_fail_errno(err, dkv_rc_from_errno(errno), "the vault %s", path);
    }
    DKV_CHECK(create, err, DKV_E_NOT_FOUND, "there is no vault %s; 'dekvault vault init' makes it", path);
    return make_file(path, err);
}

static enum dkv_rc prepare_place(const char *path, bool create, struct dkv_error *err)
{
    DKV_CHECK(path != NULL && path[0] == '/', err, DKV_E_CONFIG, "a sqlite: store needs an absolute path, not \"%s\"",
              path != NULL ? path : "");
    const char *slash = strrchr(path, '/');
    DKV_CLEANUP(dkv_freep) char *folder = dkv_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (folder == NULL) {
        return dkv_fail_memory(err);
    }
    DKV_TRY(check_file_system(path, folder, err));
    return find_or_make_file(path, create, err);
}

/* ---- The connection ---- */

static enum dkv_rc run_sql(struct dkv_sqlite_store *store, const char *sql, struct dkv_error *err)
{
    const int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? DKV_OK : dkv_sqlite_fail(store->db, store->path, code, "opening", err);
}

/* The first column of the only row. */
static enum dkv_rc query_int(struct dkv_sqlite_store *store, const char *sql, int64_t *ret, struct dkv_error *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
    }
    const enum dkv_rc rc = code == SQLITE_ROW ? DKV_OK : dkv_sqlite_fail(store->db, store->path, code, "opening", err);
    if (rc == DKV_OK) {
        *ret = sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

/* Whoever can write the file chose its schema too: it may run nothing of its own (triggers, views, functions in
 * indexes). secure_delete: a deleted key's wrapped bytes go from the file as well. */
static void configure(struct dkv_sqlite_store *store, uint32_t timeout_ms)
{
    static const struct switch_setting {
        int option;
        int on;
    } switches[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0}, {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 1},    {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
    };
    for (size_t i = 0; i < DKV_COUNT(switches); i++) {
        (void)sqlite3_db_config(store->db, switches[i].option, switches[i].on, NULL);
    }
    (void)sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, LENGTH_MAX);
    (void)sqlite3_busy_timeout(store->db, timeout_ms < INT32_MAX ? (int)timeout_ms : INT32_MAX);
}

static const char pragmas[] =
    "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;"
    "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON;";

static enum dkv_rc connect(struct dkv_sqlite_store *store, uint32_t timeout_ms, struct dkv_error *err)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
    DKV_TRY(dkv_sqlite_vfs_new(store->path, &store->vfs, err));
    const int code = sqlite3_open_v2(store->path, &store->db, flags, dkv_sqlite_vfs_name(store->vfs));
    if (code != SQLITE_OK) {
        return dkv_sqlite_fail(store->db, store->path, code, "opening", err);
    }
    configure(store, timeout_ms);
    return run_sql(store, pragmas, err);
}

/* ---- What is in the file ---- */

/* A file that holds nothing yet is fresh; anything else must be a vault of a format that we know. */
static enum dkv_rc judge_contents(struct dkv_sqlite_store *store, bool *ret_fresh, struct dkv_error *err)
{
    int64_t application = 0, version = 0, objects = 0;
    DKV_TRY(query_int(store, "PRAGMA application_id", &application, err));
    DKV_TRY(query_int(store, "PRAGMA user_version", &version, err));
    DKV_TRY(query_int(store, "SELECT count(*) FROM sqlite_schema", &objects, err));
    if (application == 0 && version == 0 && objects == 0) {
        *ret_fresh = true;
        return DKV_OK;
    }
    DKV_CHECK(application == APPLICATION_ID, err, DKV_E_CONFIG,
              "%s is a SQLite file of another program, not a key vault", store->path);
    DKV_CHECK(version <= FORMAT_VERSION, err, DKV_E_CONFIG,
              "the vault %s was made by a newer dekvault (format %lld; this one knows up to %d); use that one",
              store->path, (long long)version, FORMAT_VERSION);
    DKV_CHECK(version == FORMAT_VERSION, err, DKV_E_REJECTED_CIPHERTEXT, "the vault %s has an impossible format, %lld",
              store->path, (long long)version);
    *ret_fresh = false;
    return DKV_OK;
}

/* In one transaction, so that what another process makes meanwhile is seen whole or not at all. */
static enum dkv_rc judge_at_one_moment(struct dkv_sqlite_store *store, bool *ret_fresh, struct dkv_error *err)
{
    DKV_TRY(run_sql(store, "BEGIN", err));
    const enum dkv_rc rc = judge_contents(store, ret_fresh, err);
    const enum dkv_rc ended = run_sql(store, "ROLLBACK", rc == DKV_OK ? err : NULL);
    return rc == DKV_OK ? ended : rc;
}

static const char schema[] =
    "CREATE TABLE keys (id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16), document BLOB NOT NULL, provider TEXT "
    "NOT NULL,"
    " cmk TEXT NOT NULL, status INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL) STRICT, WITHOUT "
    "ROWID;"
    /* Each filter that narrows has an index that is in _id order within one value: a listing pages through it. */
    "CREATE INDEX keys_by_provider ON keys (provider, id);"
    "CREATE INDEX keys_by_cmk ON keys (cmk, id);"
    "CREATE INDEX keys_by_status ON keys (status, id);"
    "CREATE INDEX keys_by_count ON keys (provider, cmk, status);"
    "CREATE TABLE alt_names (name TEXT NOT NULL PRIMARY KEY, id BLOB NOT NULL REFERENCES keys (id) ON DELETE CASCADE) "
    "STRICT, WITHOUT ROWID;"
    "CREATE INDEX alt_names_by_id ON alt_names (id);"
    "CREATE TABLE state (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;";

static enum dkv_rc fill_if_fresh(struct dkv_sqlite_store *store, bool *ret_created, struct dkv_error *err)
{
    char mark[96];
    bool fresh = false;
    DKV_TRY(judge_contents(store, &fresh, err)); /* again: another process may have been first */
    if (!fresh) {
        return DKV_OK;
    }
    snprintf(mark, sizeof(mark), "PRAGMA application_id = %d; PRAGMA user_version = %d;", APPLICATION_ID,
             FORMAT_VERSION);
    DKV_TRY(run_sql(store, schema, err));
    DKV_TRY(run_sql(store, mark, err));
    *ret_created = true;
    return DKV_OK;
}

static enum dkv_rc make_schema(struct dkv_sqlite_store *store, bool *ret_created, struct dkv_error *err)
{
    bool created = false;
    DKV_TRY(run_sql(store, "BEGIN IMMEDIATE", err));
    enum dkv_rc rc = fill_if_fresh(store, &created, err);
    if (rc == DKV_OK) {
        rc = run_sql(store, "COMMIT", err);
    }
    if (rc != DKV_OK && sqlite3_get_autocommit(store->db) == 0) {
        (void)run_sql(store, "ROLLBACK", NULL);
    }
    if (rc == DKV_OK) {
        *ret_created = created;
    }
    return rc;
}

/* The change to WAL wants the file alone, and SQLite's busy handler doesn't wait for that. */
static enum dkv_rc use_write_ahead_log(struct dkv_sqlite_store *store, uint32_t timeout_ms, struct dkv_error *err)
{
    const int64_t deadline_ms = dkv_clock_real.monotonic_ms() + timeout_ms;
    int code = sqlite3_exec(store->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    while ((code & 0xff) == SQLITE_BUSY && dkv_clock_real.monotonic_ms() < deadline_ms) {
        (void)sqlite3_sleep(5);
        code = sqlite3_exec(store->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    }
    if (code != SQLITE_OK) {
        return dkv_sqlite_fail(store->db, store->path, code, "opening", err);
    }
    int64_t is_wal = 0;
    DKV_TRY(query_int(store, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &is_wal, err));
    DKV_CHECK(is_wal != 0, err, DKV_E_CONFIG,
              "the vault %s can't have a write-ahead log where it is; move it to a local disk", store->path);
    return DKV_OK;
}

static enum dkv_rc prepare_contents(struct dkv_sqlite_store *store, bool create, uint32_t timeout_ms, bool *ret_created,
                                    struct dkv_error *err)
{
    bool fresh = false;
    DKV_TRY(judge_at_one_moment(store, &fresh, err));
    DKV_CHECK(!fresh || create, err, DKV_E_NOT_FOUND, "the file %s is empty; 'dekvault vault init' makes it a vault",
              store->path);
    DKV_TRY(use_write_ahead_log(store, timeout_ms, err));
    return fresh ? make_schema(store, ret_created, err) : DKV_OK;
}

static const char *const statement_sql[STMT_COUNT] = {
    [STMT_BEGIN] = "BEGIN IMMEDIATE",
    [STMT_COMMIT] = "COMMIT",
    [STMT_ROLLBACK] = "ROLLBACK",
    [STMT_INSERT_KEY] =
        "INSERT INTO keys (id, document, provider, cmk, status, created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [STMT_UPDATE_KEY] =
        "UPDATE keys SET document = ?2, provider = ?3, cmk = ?4, status = ?5, created = ?6, updated = ?7 WHERE id = ?1",
    [STMT_DELETE_KEY] = "DELETE FROM keys WHERE id = ?1",
    [STMT_GET_KEY] = "SELECT id, document FROM keys WHERE id = ?1",
    [STMT_INSERT_NAME] = "INSERT INTO alt_names (name, id) VALUES (?1, ?2)",
    [STMT_GET_NAME] = "SELECT id FROM alt_names WHERE name = ?1",
    [STMT_DELETE_NAME] = "DELETE FROM alt_names WHERE name = ?1 AND id = ?2",
    [STMT_DELETE_NAMES] = "DELETE FROM alt_names WHERE id = ?1",
    [STMT_GET_BY_NAME] =
        "SELECT a.id, k.document FROM alt_names a LEFT JOIN keys k ON k.id = a.id WHERE a.name = ?1 LIMIT 2",
    [STMT_COUNT_BY] =
        ("SELECT provider, cmk, status, count(*) FROM keys GROUP BY provider, cmk, status ORDER BY "
         "provider, cmk, status"),
    [STMT_STATE_GET] = "SELECT value FROM state WHERE key = ?1",
    [STMT_STATE_PUT] =
        "INSERT INTO state (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    [STMT_STATE_DELETE] = "DELETE FROM state WHERE key = ?1",
    [STMT_STATE_NEXT] = "SELECT key, value FROM state WHERE key > ?1 ORDER BY key LIMIT 1",
};

static enum dkv_rc prepare_statements(struct dkv_sqlite_store *store, struct dkv_error *err)
{
    for (size_t i = 0; i < STMT_COUNT; i++) {
        const int code =
            sqlite3_prepare_v3(store->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &store->statements[i], NULL);
        if (code != SQLITE_OK) {
            return dkv_sqlite_fail(store->db, store->path, code, "opening", err);
        }
    }
    return DKV_OK;
}

/* ---- The store ---- */

static struct dkv_sqlite_store *new_store(const char *path)
{
    struct dkv_sqlite_store *store = dkv_calloc(1, sizeof(*store));
    if (store == NULL) {
        return NULL;
    }
    store->base.ops = &dkv_sqlite_store_ops;
    store->pid = getpid();
    store->path = dkv_strdup(path);
    if (store->path == NULL) {
        dkv_free(store);
        return NULL;
    }
    pthread_mutex_init(&store->lock, NULL);
    return store;
}

void dkv_sqlite_close(struct dkv_store *base)
{
    struct dkv_sqlite_store *store = dkv_sqlite_of(base);
    /* A child must not touch the connection: as "the last one" it would fold in and delete the parent's log. */
    if (store == NULL || store->pid != getpid()) {
        return;
    }
    for (size_t i = 0; i < STMT_COUNT; i++) {
        (void)sqlite3_finalize(store->statements[i]);
    }
    (void)sqlite3_close(store->db);
    dkv_sqlite_vfs_free(store->vfs);
    pthread_mutex_destroy(&store->lock);
    dkv_free(store->path);
    dkv_free(store);
}

static void close_store(struct dkv_sqlite_store **store)
{
    dkv_sqlite_close((struct dkv_store *)*store);
}

enum dkv_rc dkv_sqlite_open(const struct dkv_store_settings *settings, bool create, bool *ret_created,
                            struct dkv_store **ret, struct dkv_error *err)
{
    bool created = false;
    DKV_TRY(prepare_place(settings->location, create, err));
    DKV_CLEANUP(close_store) struct dkv_sqlite_store *store = new_store(settings->location);
    if (store == NULL) {
        return dkv_fail_memory(err);
    }
    DKV_TRY(connect(store, settings->timeout_ms, err));
    DKV_TRY(prepare_contents(store, create, settings->timeout_ms, &created, err));
    DKV_TRY(prepare_statements(store, err));
    if (ret_created != NULL) {
        *ret_created = created;
    }
    *ret = (struct dkv_store *)store;
    store = NULL;
    return DKV_OK;
}
