/* SPDX-License-Identifier: Apache-2.0 */
/* Finding one key among many by _id and by alt name: dkv_key_get beside the raw SELECT and the raw find, with the same
 * settings of the connection, of the same keys in turn. No lock: one thread. */
#include "bench/store.h"

#include <mongoc/mongoc.h>
#include <sqlite3.h>
#include <stdio.h>

struct finding {
    struct dkv_vault *vault;
    uint32_t n;
    uint64_t state; /* which key is next */
    sqlite3 *db;
    sqlite3_stmt *by_id, *by_name;
    mongoc_collection_t *collection;
};

/* Any of them, equally likely. */
static uint32_t next_key(struct finding *finding)
{
    finding->state = finding->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(finding->state >> 33) % finding->n;
}

/* ---- Ours ---- */

static enum dkv_rc ours(struct finding *finding, const struct dkv_key_selector *selector, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf document = {0};
    return dkv_key_get(finding->vault, selector, &document, err);
}

static enum dkv_rc ours_by_id(void *arg, struct dkv_error *err)
{
    const struct dkv_key_selector selector = {.id = dkv_bench_key_id(next_key(arg))};
    return ours(arg, &selector, err);
}

static enum dkv_rc ours_by_name(void *arg, struct dkv_error *err)
{
    char name[32];
    dkv_bench_key_name(next_key(arg), name);
    return ours(arg, &(struct dkv_key_selector){.alt_name = name}, err);
}

/* ---- Raw SELECT ---- */

/* The row's bytes are taken as a caller would; whether there is a second row is asked. */
static enum dkv_rc select_one(sqlite3_stmt *statement, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf document = {0};
    const bool found = sqlite3_step(statement) == SQLITE_ROW;
    if (found) {
        const void *data = sqlite3_column_blob(statement, 1);
        DKV_TRY(dkv_buf_append(&document, dkv_span(data, (size_t)sqlite3_column_bytes(statement, 1)), err));
    }
    const bool only = sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_reset(statement);
    DKV_CHECK(found && only, err, DKV_E_NOT_FOUND, "the raw SELECT found no key, or two");
    return DKV_OK;
}

static enum dkv_rc raw_select_by_id(void *arg, struct dkv_error *err)
{
    struct finding *finding = arg;
    const struct dkv_uuid id = dkv_bench_key_id(next_key(finding));
    sqlite3_bind_blob(finding->by_id, 1, id.bytes, sizeof(id.bytes), SQLITE_STATIC);
    return select_one(finding->by_id, err);
}

static enum dkv_rc raw_select_by_name(void *arg, struct dkv_error *err)
{
    struct finding *finding = arg;
    char name[32];
    dkv_bench_key_name(next_key(finding), name);
    sqlite3_bind_text(finding->by_name, 1, name, -1, SQLITE_STATIC);
    return select_one(finding->by_name, err);
}

static enum dkv_rc open_raw_sqlite(const struct dkv_bench_store *bench, struct finding *finding, struct dkv_error *err)
{
    static const char settings[] = "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA cell_size_check = ON; "
                                   "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON";
    static const char by_id[] = "SELECT id, document FROM keys WHERE id = ?1";
    static const char by_name[] =
        "SELECT a.id, k.document FROM alt_names a LEFT JOIN keys k ON k.id = a.id WHERE a.name = ?1 LIMIT 2";
    const bool is_open =
        sqlite3_open_v2(bench->large, &finding->db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_exec(finding->db, settings, NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_prepare_v3(finding->db, by_id, -1, SQLITE_PREPARE_PERSISTENT, &finding->by_id, NULL) == SQLITE_OK &&
        sqlite3_prepare_v3(finding->db, by_name, -1, SQLITE_PREPARE_PERSISTENT, &finding->by_name, NULL) == SQLITE_OK;
    DKV_CHECK(is_open, err, DKV_E_INTERNAL, "raw SQLite: %s", sqlite3_errmsg(finding->db));
    return DKV_OK;
}

/* ---- Raw find ---- */

/* limit: 2 asks as well whether it is the only one. */
static enum dkv_rc find_one(struct finding *finding, const bson_t *filter, int64_t limit, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf document = {0};
    const bson_t *found = NULL;
    bson_t options = BSON_INITIALIZER;
    BSON_APPEND_INT64(&options, "limit", limit);
    BSON_APPEND_BOOL(&options, "singleBatch", true);
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(finding->collection, filter, &options, NULL);
    const bool is_found = mongoc_cursor_next(cursor, &found);
    const enum dkv_rc rc = is_found ? dkv_buf_append(&document, dkv_span(bson_get_data(found), found->len), err)
                                    : dkv_fail(err, DKV_E_NOT_FOUND, "the raw find found no key");
    mongoc_cursor_destroy(cursor);
    bson_destroy(&options);
    return rc;
}

static enum dkv_rc raw_find_by_id(void *arg, struct dkv_error *err)
{
    const struct dkv_uuid id = dkv_bench_key_id(next_key(arg));
    bson_t filter = BSON_INITIALIZER;
    BSON_APPEND_BINARY(&filter, "_id", BSON_SUBTYPE_UUID, id.bytes, sizeof(id.bytes));
    const enum dkv_rc rc = find_one(arg, &filter, 1, err);
    bson_destroy(&filter);
    return rc;
}

static enum dkv_rc raw_find_by_name(void *arg, struct dkv_error *err)
{
    char name[32];
    dkv_bench_key_name(next_key(arg), name);
    bson_t filter = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&filter, "keyAltNames", name);
    const enum dkv_rc rc = find_one(arg, &filter, 2, err);
    bson_destroy(&filter);
    return rc;
}

/* ---- The measures ---- */

static enum dkv_rc run_measures(const struct dkv_bench_store *bench, const struct dkv_bench_measure *measures, size_t n,
                                struct finding *finding, struct dkv_error *err)
{
    for (size_t i = 0; i < n; i++) {
        DKV_TRY(dkv_bench_run(&measures[i], finding, bench->json, err));
    }
    return DKV_OK;
}

enum dkv_rc dkv_bench_find_sqlite(const struct dkv_bench_store *bench, struct dkv_error *err)
{
    static const struct dkv_bench_measure measures[] = {
        {"SQLite by _id", ours_by_id, "SELECT", raw_select_by_id},
        {"SQLite by alt name", ours_by_name, "SELECT ... JOIN", raw_select_by_name},
    };
    struct dkv_bench_vault vault = {0};
    struct finding finding = {.n = bench->n_large};
    DKV_TRY(dkv_bench_open(bench, BENCH_LARGE, &vault, err));
    finding.vault = vault.vault;
    enum dkv_rc rc = open_raw_sqlite(bench, &finding, err);
    if (rc == DKV_OK) {
        rc = run_measures(bench, measures, DKV_COUNT(measures), &finding, err);
    }
    sqlite3_finalize(finding.by_id);
    sqlite3_finalize(finding.by_name);
    sqlite3_close(finding.db);
    dkv_bench_close(&vault);
    return rc;
}

/* Read preference, read concern and a pool as the store has them. */
static enum dkv_rc find_beside(const struct dkv_bench_store *bench, struct finding *finding,
                               mongoc_client_pool_t *pool, struct dkv_error *err)
{
    static const struct dkv_bench_measure measures[] = {
        {"MongoDB by _id", ours_by_id, "mongoc_collection_find_with_opts", raw_find_by_id},
        {"MongoDB by alt name", ours_by_name, "mongoc_collection_find_with_opts", raw_find_by_name},
    };
    mongoc_client_t *client = mongoc_client_pool_pop(pool);
    finding->collection = mongoc_client_get_collection(client, bench->database, BENCH_COLLECTION);
    const enum dkv_rc rc = run_measures(bench, measures, DKV_COUNT(measures), finding, err);
    mongoc_collection_destroy(finding->collection);
    mongoc_client_pool_push(pool, client);
    return rc;
}

static mongoc_client_pool_t *make_pool(const char *uri_text)
{
    mongoc_uri_t *uri = mongoc_uri_new(uri_text);
    mongoc_read_concern_t *majority = mongoc_read_concern_new();
    mongoc_read_concern_set_level(majority, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
    mongoc_uri_set_read_concern(uri, majority);
    mongoc_client_pool_t *pool = mongoc_client_pool_new(uri);
    mongoc_read_concern_destroy(majority);
    mongoc_uri_destroy(uri);
    return pool;
}

enum dkv_rc dkv_bench_find_mongodb(const struct dkv_bench_store *bench, struct dkv_error *err)
{
    struct dkv_bench_vault vault = {0};
    struct finding finding = {.n = bench->n_small};
    DKV_TRY(dkv_bench_open(bench, BENCH_MONGODB, &vault, err));
    finding.vault = vault.vault;
    mongoc_client_pool_t *pool = make_pool(bench->uri);
    const enum dkv_rc rc = find_beside(bench, &finding, pool, err);
    mongoc_client_pool_destroy(pool);
    dkv_bench_close(&vault);
    return rc;
}
