/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of suite `store` share: its vaults, which a provider file names, and the keys in them. */
#ifndef BENCH_STORE_H
#define BENCH_STORE_H

#include "bench/bench.h"
#include "vault/vault.h"

/* Names of the provider file's vaults. */
#define BENCH_LARGE "large"     /* SQLite, ten times the keys */
#define BENCH_SMALL "small"     /* SQLite */
#define BENCH_MONGODB "mongodb" /* a copy of small */
#define BENCH_BACK "back"       /* SQLite, a copy of mongodb */
#define BENCH_COLLECTION "keys"

struct dkv_bench_store {
    char file[128];     /* the provider file */
    char large[128];    /* the database file of BENCH_LARGE */
    const char *uri;    /* NULL: no MongoDB server */
    char database[64];
    uint32_t n_large, n_small;
    bool json;
};

/* Key number i: its _id and its one alt name. */
struct dkv_uuid dkv_bench_key_id(uint32_t number);
void dkv_bench_key_name(uint32_t number, char ret[32]);

/* A vault of the provider file, for one stage. */
struct dkv_bench_vault {
    struct dkv_provider_file *file;
    struct dkv_vault *vault;
};
DKV_MUST_USE enum dkv_rc dkv_bench_open(const struct dkv_bench_store *bench, const char *name,
                                        struct dkv_bench_vault *ret, struct dkv_error *err);
void dkv_bench_close(struct dkv_bench_vault *vault);

/* store_move.c: stages in processes of their own, so that each one's peak memory is its own. */
DKV_MUST_USE enum dkv_rc dkv_bench_fill(const struct dkv_bench_store *bench, const char *name, uint32_t n,
                                        struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_bench_copy(const struct dkv_bench_store *bench, const char *from, const char *to,
                                        struct dkv_error *err);

/* store_find.c */
DKV_MUST_USE enum dkv_rc dkv_bench_find_sqlite(const struct dkv_bench_store *bench, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_bench_find_mongodb(const struct dkv_bench_store *bench, struct dkv_error *err);

#endif
