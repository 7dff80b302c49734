/* SPDX-License-Identifier: Apache-2.0 */
/* Benchmarks: ours and the peer that it stands on or competes with, side by side in one run. Machines are
 * shared and noisy, so the two take turns in short slices and only their ratio means anything. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* One operation, run again and again; arg is the suite's. */
typedef enum dkv_rc (*dkv_bench_fn)(void *arg, struct dkv_error *err);

struct dkv_bench_measure {
    const char *name;      /* "wrap hmac-derive" */
    dkv_bench_fn ours;
    const char *peer_name; /* "C_SignInit + C_Sign" */
    dkv_bench_fn peer;
};

struct dkv_bench_options {
    bool json;
    uint32_t keys; /* how many to measure among, where that matters; 0: the suite's default */
};

struct dkv_bench_suite {
    const char *name;
    const char *summary;
    enum dkv_rc (*run)(const struct dkv_bench_options *options, struct dkv_error *err);
};

extern const struct dkv_bench_suite dkv_bench_wrap, dkv_bench_store_suite;

/* dkv_bench_header, dkv_bench_run: print the table's head (nothing with json); measure for about two seconds and print
 * a line. */
void dkv_bench_header(bool json);
DKV_MUST_USE enum dkv_rc dkv_bench_run(const struct dkv_bench_measure *measure, void *arg, bool json,
                                       struct dkv_error *err);

/* dkv_bench_dir: a folder for this run, mode 0700, removed at exit. */
const char *dkv_bench_dir(void);

#endif
