/* SPDX-License-Identifier: Apache-2.0 */
/* Filling a vault and copying one to another: each in a child process that opens what it needs, so that its peak memory
 * (VmHWM of proc(5)) and its time are of this work alone. */
#include "bench/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "vault/document.h"

/* What a child says of itself. */
struct outcome {
    enum dkv_rc rc;
    int64_t ms;
    uint64_t keys;
    uint64_t peak_kib;
    char message[sizeof(((struct dkv_error *)NULL)->message)];
};

struct stage {
    const struct dkv_bench_store *bench;
    const char *from, *to;
    uint32_t n;
    enum dkv_rc (*run)(const struct stage *stage, struct outcome *outcome, struct dkv_error *err);
};

/* ---- In the child ---- */

/* 0: there is no proc. */
static uint64_t peak_kib(void)
{
    char line[256];
    unsigned long kib = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status != NULL && kib == 0 && fgets(line, sizeof(line), status) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtoul(line + 6, NULL, 10);
        }
    }
    if (status != NULL) {
        fclose(status);
    }
    return kib;
}

static _Noreturn void be_child(const struct stage *stage, int fd)
{
    struct dkv_error err = {0};
    struct outcome outcome = {0};
    outcome.rc = stage->run(stage, &outcome, &err);
    outcome.peak_kib = peak_kib();
    snprintf(outcome.message, sizeof(outcome.message), "%s", err.message);
    _exit(write(fd, &outcome, sizeof(outcome)) == (ssize_t)sizeof(outcome) ? 0 : 1);
}

/* ---- In the parent ---- */

static enum dkv_rc run_stage(const struct stage *stage, struct outcome *ret, struct dkv_error *err)
{
    int fds[2];
    DKV_CHECK(pipe(fds) == 0, err, DKV_E_RESOURCE, "no pipe");
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        close(fds[0]);
        be_child(stage, fds[1]);
    }
    close(fds[1]);
    const bool is_told = child > 0 && read(fds[0], ret, sizeof(*ret)) == (ssize_t)sizeof(*ret);
    close(fds[0]);
    if (child > 0) {
        (void)waitpid(child, NULL, 0);
    }
    DKV_CHECK(is_told, err, DKV_E_INTERNAL, "the process of a stage died");
    DKV_CHECK(ret->rc == DKV_OK, err, ret->rc, "%s", ret->message);
    return DKV_OK;
}

static void print_outcome(const struct stage *stage, const char *what, const struct outcome *outcome)
{
    const double rate = outcome->ms > 0 ? (double)outcome->keys * 1000.0 / (double)outcome->ms : 0.0;
    if (stage->bench->json) {
        printf("{\"name\": \"%s\", \"keys\": %llu, \"rate\": %.0f, \"peak_kib\": %llu}\n", what,
               (unsigned long long)outcome->keys, rate, (unsigned long long)outcome->peak_kib);
    } else {
        printf("%-28s %12llu keys %12.0f /s %12llu KiB at most\n", what, (unsigned long long)outcome->keys, rate,
               (unsigned long long)outcome->peak_kib);
    }
    fflush(stdout);
}

/* ---- Filling ---- */

static enum dkv_rc append_key(uint32_t number, struct dkv_buf *ret, struct dkv_error *err)
{
    /* {provider: "local"}; as much keyMaterial as a wrap has. */
    static const char master_key[] = "\x19\0\0\0\x02provider\0\x06\0\0\0local\0";
    static const uint8_t material[160] = {1};
    char name[32];
    const char *names[] = {name};
    dkv_bench_key_name(number, name);
    const struct dkv_document document = {
        .id = dkv_bench_key_id(number),
        .alt_names = names,
        .n_alt_names = 1,
        .key_material = dkv_span(material, sizeof(material)),
        .creation_date_ms = 1700000000000 + number,
        .update_date_ms = 1700000000000 + number,
        .master_key = dkv_span(master_key, sizeof(master_key)),
    };
    return dkv_document_write(&document, ret, err);
}

struct filling {
    struct dkv_buf bytes[DKV_STORE_BATCH];
    struct dkv_span documents[DKV_STORE_BATCH];
    enum dkv_clash clashes[DKV_STORE_BATCH];
};

static enum dkv_rc fill_batch(struct dkv_store *store, uint32_t first, uint32_t n, struct filling *filling,
                              struct dkv_error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        filling->bytes[i].len = 0;
        DKV_TRY(append_key(first + i, &filling->bytes[i], err));
        filling->documents[i] = dkv_span_buf(&filling->bytes[i]);
    }
    DKV_TRY(store->ops->insert_many(store, filling->documents, n, filling->clashes, err));
    for (uint32_t i = 0; i < n; i++) {
        DKV_CHECK(filling->clashes[i] == DKV_CLASH_NONE, err, DKV_E_CONFLICT, "key %u clashes", first + i);
    }
    return DKV_OK;
}

static enum dkv_rc fill(const struct stage *stage, struct outcome *outcome, struct dkv_error *err)
{
    static struct filling filling;
    struct dkv_bench_vault to = {0};
    DKV_TRY(dkv_bench_open(stage->bench, stage->to, &to, err));
    const int64_t start = dkv_clock_real.monotonic_ms();
    enum dkv_rc rc = DKV_OK;
    for (uint32_t at = 0; rc == DKV_OK && at < stage->n; at += DKV_STORE_BATCH) {
        const uint32_t n = stage->n - at < DKV_STORE_BATCH ? stage->n - at : DKV_STORE_BATCH;
        rc = fill_batch(to.vault->store, at, n, &filling, err);
    }
    outcome->ms = dkv_clock_real.monotonic_ms() - start;
    outcome->keys = stage->n;
    for (size_t i = 0; i < DKV_STORE_BATCH; i++) {
        dkv_buf_done(&filling.bytes[i]);
    }
    dkv_bench_close(&to);
    return rc;
}

enum dkv_rc dkv_bench_fill(const struct dkv_bench_store *bench, const char *name, uint32_t n, struct dkv_error *err)
{
    const struct stage stage = {.bench = bench, .to = name, .n = n, .run = fill};
    struct outcome outcome;
    char what[64];
    DKV_TRY(run_stage(&stage, &outcome, err));
    snprintf(what, sizeof(what), "fill %s", name);
    print_outcome(&stage, what, &outcome);
    return DKV_OK;
}

/* ---- Copying ---- */

static enum dkv_rc copy_between(const struct stage *stage, struct dkv_bench_vault *from, struct dkv_bench_vault *to,
                                struct outcome *outcome, struct dkv_error *err)
{
    struct dkv_copy_counts counts = {0};
    DKV_TRY(dkv_bench_open(stage->bench, stage->from, from, err));
    DKV_TRY(dkv_bench_open(stage->bench, stage->to, to, err));
    const int64_t start = dkv_clock_real.monotonic_ms();
    DKV_TRY(dkv_vault_copy(from->vault, to->vault, NULL /* options */, &counts, err));
    outcome->ms = dkv_clock_real.monotonic_ms() - start;
    outcome->keys = counts.copied;
    DKV_CHECK(counts.copied == stage->n && counts.refused == 0, err, DKV_E_INTERNAL, "%llu of %u keys were copied",
              (unsigned long long)counts.copied, stage->n);
    return DKV_OK;
}

static enum dkv_rc copy(const struct stage *stage, struct outcome *outcome, struct dkv_error *err)
{
    struct dkv_bench_vault from = {0}, to = {0};
    const enum dkv_rc rc = copy_between(stage, &from, &to, outcome, err);
    dkv_bench_close(&from);
    dkv_bench_close(&to);
    return rc;
}

enum dkv_rc dkv_bench_copy(const struct dkv_bench_store *bench, const char *from, const char *to, struct dkv_error *err)
{
    const struct stage stage = {.bench = bench, .from = from, .to = to, .n = bench->n_small, .run = copy};
    struct outcome outcome;
    char what[64];
    DKV_TRY(run_stage(&stage, &outcome, err));
    snprintf(what, sizeof(what), "copy %s to %s", from, to);
    print_outcome(&stage, what, &outcome);
    return DKV_OK;
}
