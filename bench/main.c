/* SPDX-License-Identifier: Apache-2.0 */
/* dekvault-bench SUITE [--json] [--keys N]: the table of suites, the clock and the output. */
#include "bench/bench.h"

#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define SLICE_MS 50
#define SLICES 20 /* of each side */

static const struct dkv_bench_suite *const suites[] = {&dkv_bench_wrap, &dkv_bench_store_suite};

static char folder[] = "/tmp/dekvault-bench-XXXXXX";

const char *dkv_bench_dir(void)
{
    return folder;
}

struct side {
    dkv_bench_fn run;
    uint64_t operations;
    int64_t ms;
};

static enum dkv_rc run_slice(struct side *side, void *arg, struct dkv_error *err)
{
    const int64_t start = dkv_clock_real.monotonic_ms();
    int64_t now = start;
    while (now - start < SLICE_MS) {
        for (int i = 0; i < 16; i++) {
            DKV_TRY(side->run(arg, err));
        }
        side->operations += 16;
        now = dkv_clock_real.monotonic_ms();
    }
    side->ms += now - start;
    return DKV_OK;
}

static double rate(const struct side *side)
{
    return side->ms > 0 ? (double)side->operations * 1000.0 / (double)side->ms : 0.0;
}

void dkv_bench_header(bool json)
{
    if (!json) {
        printf("%-28s %12s  %-34s %12s %7s\n", "measure", "ours /s", "peer", "peer /s", "ratio");
    }
}

enum dkv_rc dkv_bench_run(const struct dkv_bench_measure *measure, void *arg, bool json, struct dkv_error *err)
{
    struct side ours = {.run = measure->ours}, peer = {.run = measure->peer};
    for (int i = 0; i < SLICES; i++) {
        DKV_TRY(run_slice(&ours, arg, err));
        DKV_TRY(run_slice(&peer, arg, err));
    }
    const double ratio = rate(&ours) / rate(&peer);
    if (json) {
        printf("{\"name\": \"%s\", \"ours\": %.0f, \"peer\": \"%s\", \"peer_rate\": %.0f, \"ratio\": %.3f}\n",
               measure->name, rate(&ours), measure->peer_name, rate(&peer), ratio);
    } else {
        printf("%-28s %12.0f  %-34s %12.0f %7.2f\n", measure->name, rate(&ours), measure->peer_name, rate(&peer),
               ratio);
    }
    fflush(stdout);
    return DKV_OK;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

static int usage(FILE *out)
{
    fprintf(out, "usage: dekvault-bench SUITE [--json] [--keys N]\nsuites:\n");
    for (size_t i = 0; i < DKV_COUNT(suites); i++) {
        fprintf(out, "  %-8s %s\n", suites[i]->name, suites[i]->summary);
    }
    return out == stdout ? 0 : 2;
}

static int run_suite(const struct dkv_bench_suite *suite, const struct dkv_bench_options *options)
{
    struct dkv_error err = {0};
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        return 1;
    }
    const enum dkv_rc rc = suite->run(options, &err);
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    if (rc != DKV_OK) {
        fprintf(stderr, "dekvault-bench: %s: %s\n", dkv_class_name(rc), err.message);
    }
    return rc == DKV_OK ? 0 : 1;
}

/* false: they aren't options. */
static bool read_options(int argc, char **argv, struct dkv_bench_options *ret)
{
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            ret->json = true;
        } else if (strcmp(argv[i], "--keys") == 0 && i + 1 < argc) {
            char *end = NULL;
            const unsigned long keys = strtoul(argv[++i], &end, 10);
            if (keys == 0 || keys > UINT32_MAX || *end != '\0') {
                return false;
            }
            ret->keys = (uint32_t)keys;
        } else {
            return false;
        }
    }
    return argc >= 2;
}

int main(int argc, char **argv)
{
    struct dkv_bench_options options = {.json = false};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        return usage(stdout);
    }
    const bool has_suite = read_options(argc, argv, &options);
    for (size_t i = 0; has_suite && i < DKV_COUNT(suites); i++) {
        if (strcmp(argv[1], suites[i]->name) == 0) {
            return run_suite(suites[i], &options);
        }
    }
    return usage(stderr);
}
