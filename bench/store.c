/* SPDX-License-Identifier: Apache-2.0 */
/* Suite `store`: finding a key among many in each kind of store, beside the raw find and SELECT that it stands on, and
 * moving keys from one to the other. Owns the provider file and the MongoDB database of the run, which it drops. */
#include "bench/store.h"

#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYS 10000u
#define LARGE_FACTOR 10u

/* ---- Keys ---- */

/* The finalizer of SplitMix64. */
static uint64_t spread(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Ascending, and so are the names: a million of random ones would take most of the run to insert. */
struct dkv_uuid dkv_bench_key_id(uint32_t number)
{
    struct dkv_uuid id;
    const uint64_t halves[] = {spread(number), spread((uint64_t)number << 32)};
    memcpy(id.bytes, halves, sizeof(id.bytes));
    for (size_t i = 0; i < sizeof(number); i++) {
        id.bytes[i] = (uint8_t)(number >> (24 - 8 * i));
    }
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x40);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    return id;
}

void dkv_bench_key_name(uint32_t number, char ret[32])
{
    snprintf(ret, 32, "application.key.%010u", number);
}

/* ---- Vaults ---- */

enum dkv_rc dkv_bench_open(const struct dkv_bench_store *bench, const char *name, struct dkv_bench_vault *ret,
                           struct dkv_error *err)
{
    DKV_TRY(dkv_provider_file_open(bench->file, &ret->file, err));
    const enum dkv_rc rc = dkv_vault_init(ret->file, name, NULL /* created */, &ret->vault, err);
    if (rc != DKV_OK) {
        dkv_provider_file_close(ret->file);
        ret->file = NULL;
    }
    return rc;
}

void dkv_bench_close(struct dkv_bench_vault *vault)
{
    dkv_vault_close(vault->vault);
    dkv_provider_file_close(vault->file);
    *vault = (struct dkv_bench_vault){0};
}

static enum dkv_rc write_file(const char *path, const char *text, struct dkv_error *err)
{
    FILE *file = fopen(path, "w");
    DKV_CHECK(file != NULL, err, DKV_E_INTERNAL, "can't write %s", path);
    fputs(text, file);
    DKV_CHECK(fclose(file) == 0 && chmod(path, 0600) == 0, err, DKV_E_INTERNAL, "can't write %s", path);
    return DKV_OK;
}

/* The URI may hold a password: it goes by a file of its own. */
static enum dkv_rc write_files(struct dkv_bench_store *bench, struct dkv_error *err)
{
    char text[2048], uri_file[128];
    const char *dir = dkv_bench_dir();
    snprintf(bench->file, sizeof(bench->file), "%s/dekvault.conf", dir);
    snprintf(bench->large, sizeof(bench->large), "%s/large.db", dir);
    snprintf(bench->database, sizeof(bench->database), "dekvault_bench_%d", (int)getpid());
    int len = snprintf(text, sizeof(text),
                       "state-dir: %s/state\nvaults:\n"
                       "  " BENCH_LARGE ":\n    store: sqlite:%s\n"
                       "  " BENCH_SMALL ":\n    store: sqlite:%s/small.db\n"
                       "  " BENCH_BACK ":\n    store: sqlite:%s/back.db\n",
                       dir, bench->large, dir, dir);
    if (bench->uri != NULL) {
        snprintf(uri_file, sizeof(uri_file), "%s/uri", dir);
        DKV_TRY(write_file(uri_file, bench->uri, err));
        len += snprintf(text + len, sizeof(text) - (size_t)len,
                        "  " BENCH_MONGODB ":\n    store-source: file:%s\n    namespace: %s." BENCH_COLLECTION "\n"
                        "    timeout-ms: 60000\n",
                        uri_file, bench->database);
    }
    snprintf(text + len, sizeof(text) - (size_t)len, "providers:\n");
    return write_file(bench->file, text, err);
}

static void drop_database(const struct dkv_bench_store *bench)
{
    mongoc_client_t *client = mongoc_client_new(bench->uri);
    mongoc_database_t *database = client != NULL ? mongoc_client_get_database(client, bench->database) : NULL;
    if (database != NULL) {
        (void)mongoc_database_drop(database, NULL);
        mongoc_database_destroy(database);
    }
    mongoc_client_destroy(client);
}

/* ---- The run: what is measured in processes of its own comes first, while this one is small ---- */

static enum dkv_rc move_keys(const struct dkv_bench_store *bench, struct dkv_error *err)
{
    if (bench->uri != NULL) {
        DKV_TRY(dkv_bench_fill(bench, BENCH_SMALL, bench->n_small, err));
        DKV_TRY(dkv_bench_copy(bench, BENCH_SMALL, BENCH_MONGODB, err));
        DKV_TRY(dkv_bench_copy(bench, BENCH_MONGODB, BENCH_BACK, err));
    }
    return dkv_bench_fill(bench, BENCH_LARGE, bench->n_large, err);
}

static enum dkv_rc find_keys(const struct dkv_bench_store *bench, struct dkv_error *err)
{
    dkv_bench_header(bench->json);
    if (bench->uri != NULL) {
        DKV_TRY(dkv_bench_find_mongodb(bench, err));
    }
    return dkv_bench_find_sqlite(bench, err);
}

static enum dkv_rc run_store(const struct dkv_bench_options *options, struct dkv_error *err)
{
    const uint32_t keys = options->keys > 0 ? options->keys : KEYS;
    DKV_CHECK(keys <= UINT32_MAX / LARGE_FACTOR, err, DKV_E_INVALID, "that many keys don't fit");
    struct dkv_bench_store bench = {
        .uri = secure_getenv("DEKVAULT_TEST_MONGODB_URI"),
        .n_small = keys,
        .n_large = keys * LARGE_FACTOR,
        .json = options->json,
    };
    DKV_TRY(write_files(&bench, err));
    if (bench.uri == NULL) {
        fprintf(stderr, "# without MongoDB: DEKVAULT_TEST_MONGODB_URI isn't set (scripts/test-mongodb up)\n");
    }
    enum dkv_rc rc = move_keys(&bench, err);
    if (rc == DKV_OK) {
        rc = find_keys(&bench, err);
    }
    if (bench.uri != NULL) {
        mongoc_init();
        drop_database(&bench);
    }
    return rc;
}

const struct dkv_bench_suite dkv_bench_store_suite = {
    .name = "store",
    .summary = "finding a key beside the raw find or SELECT, and copying; --keys N in MongoDB, 10 N in SQLite",
    .run = run_store,
};
