/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation on a vault in MongoDB, with every one of its requests broken in every way: cut before it, after it,
 * in the middle of the reply, or held longer than the store waits, once and twice. Printed as a table, a row for a
 * request. What these runs have to wait for is time, so many threads, each with a database of its own, take them one by
 * one; `next` is shared and atomic, all else is the main thread's before and after. */
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/faults/mongodb_run.h"

#define N_WORKERS 16u
#define N_CELLS ((DKV_N_FAULTS - 1) * DKV_N_REACHES)

struct worker {
    pthread_t thread;
    struct dkv_bench bench;
    void (*take)(struct worker *worker, size_t i);
    size_t n;
};

static const char *only; /* jobs whose names hold this; the others have no steps then */
static uint16_t server_port;
static char folder[128], local_key[sizeof(folder) + 16];
static struct worker workers[N_WORKERS];
static struct dkv_calm *calms;
static struct dkv_run *runs;
static size_t n_runs;
static bool true_faults[DKV_N_FAULTS];
static atomic_size_t next;

/* ---- Working ---- */

static void take_fault(struct worker *worker, size_t i)
{
    true_faults[i] = dkv_run_is_true_fault(&worker->bench.lab, (enum dkv_fault)i);
}

static void take_calm(struct worker *worker, size_t i)
{
    if (strstr(dkv_jobs[i].name, only) != NULL) {
        dkv_run_calmly(&worker->bench, &dkv_jobs[i], &calms[i]);
    }
}

static void take_broken(struct worker *worker, size_t i)
{
    dkv_run_broken(&worker->bench, &runs[i]);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    for (size_t i = atomic_fetch_add(&next, 1); i < worker->n; i = atomic_fetch_add(&next, 1)) {
        worker->take(worker, i);
    }
    return NULL;
}

static void let_all_work(void (*take)(struct worker *worker, size_t i), size_t n)
{
    atomic_store(&next, 0);
    for (size_t i = 0; i < N_WORKERS; i++) {
        workers[i].take = take;
        workers[i].n = n;
        DKV_LAB_MUST(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (size_t i = 0; i < N_WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
    }
}

/* ---- The matrix ---- */

static size_t count_rows(void)
{
    size_t rows = 0;
    for (size_t i = 0; i < dkv_n_jobs; i++) {
        rows += calms[i].steps;
    }
    return rows;
}

/* In the order in which they are printed. */
static void plan_runs(void)
{
    runs = dkv_calloc(count_rows() * N_CELLS, sizeof(*runs));
    DKV_LAB_MUST(runs != NULL);
    for (size_t i = 0; i < dkv_n_jobs; i++) {
        for (unsigned step = 1; step <= calms[i].steps; step++) {
            for (unsigned cell = 0; cell < N_CELLS; cell++) {
                runs[n_runs++] = (struct dkv_run){
                    .job = &dkv_jobs[i],
                    .calm = &calms[i],
                    .plan = {.fault = (enum dkv_fault)(1 + cell / DKV_N_REACHES), .step = step,
                             .reach = (enum dkv_fault_reach)(cell % DKV_N_REACHES), .hold_ms = DKV_RUN_HOLD_MS},
                };
            }
        }
    }
}

static const char *const fault_names[DKV_N_FAULTS] = {
    [DKV_FAULT_NONE] = "no fault",
    [DKV_FAULT_CUT_BEFORE] = "cut before",     [DKV_FAULT_CUT_AFTER] = "cut after",
    [DKV_FAULT_CUT_MIDDLE] = "cut in reply",   [DKV_FAULT_DELAY] = "reply held",
    [DKV_FAULT_DELAY_REQUEST] = "request held",
};

static const char *const reach_names[DKV_N_REACHES] = {
    [DKV_FAULT_ONCE] = "once",
    [DKV_FAULT_NEXT] = "and what comes next",
    [DKV_FAULT_AGAIN] = "and the same again",
};

static void print_head(void)
{
    printf("# what came of a request's being broken: it alone / and the next one too / and the same one again\n"
           "# %-11s%-26s%-21s", "", "operation", "step");
    for (size_t fault = 1; fault < DKV_N_FAULTS; fault++) {
        printf(" %-20s", fault_names[fault]);
    }
    printf("\n");
}

/* One row: a step of a job. */
static bool print_row(size_t number, const struct dkv_run *row)
{
    const unsigned step = row->plan.step;
    bool good = true;
    for (size_t i = 0; i < N_CELLS; i++) {
        good = good && row[i].outcome <= DKV_PARTLY;
    }
    printf("%s %3zu - %-26s%2u %-18s", good ? "ok    " : "not ok", number, row->job->name, step,
           row->calm->commands[step - 1]);
    for (size_t i = 0; i < N_CELLS; i += DKV_N_REACHES) {
        char cell[40];
        snprintf(cell, sizeof(cell), "%s/%s/%s", dkv_outcome_words[row[i].outcome],
                 dkv_outcome_words[row[i + 1].outcome], dkv_outcome_words[row[i + 2].outcome]);
        printf(" %-20s", cell);
    }
    printf("\n");
    for (size_t i = 0; i < N_CELLS; i++) {
        if (row[i].outcome > DKV_PARTLY || getenv("DKV_FAULTS_VERBOSE") != NULL) {
            printf("#   %s, %s: %s: %s\n", fault_names[row[i].plan.fault], reach_names[row[i].plan.reach],
                   dkv_outcome_words[row[i].outcome], row[i].words);
        }
    }
    return good;
}

static void print_totals(void)
{
    size_t totals[DKV_N_OUTCOMES] = {0};
    for (size_t i = 0; i < n_runs; i++) {
        totals[runs[i].outcome]++;
    }
    printf("# %zu runs:\n", n_runs);
    for (size_t i = 0; i < DKV_N_OUTCOMES; i++) {
        printf("# %5zu %-8s %s\n", totals[i], dkv_outcome_words[i], dkv_outcome_meanings[i]);
    }
}

/* A fault that isn't what it is called would make the table say nothing. */
static bool print_faults(size_t *rows)
{
    bool all_good = true;
    for (size_t fault = 0; fault < DKV_N_FAULTS; fault++) {
        printf("%s %3zu - the proxy: %s\n", true_faults[fault] ? "ok    " : "not ok", ++*rows, fault_names[fault]);
        all_good = all_good && true_faults[fault];
    }
    return all_good;
}

static bool print_matrix(void)
{
    size_t rows = 0;
    bool all_good = print_faults(&rows);
    print_head();
    for (size_t i = 0; i < n_runs; i += N_CELLS) {
        all_good = print_row(++rows, &runs[i]) && all_good;
    }
    print_totals();
    printf("1..%zu\n", rows);
    return all_good;
}

/* ---- Setting up ---- */

static void make_folders(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof(folder), "%.100s/dekvault-faults-XXXXXX", tmp != NULL ? tmp : "/tmp");
    DKV_LAB_MUST(mkdtemp(folder) != NULL);
    snprintf(local_key, sizeof(local_key), "%s/local.key", folder);
    FILE *file = fopen(local_key, "we");
    DKV_LAB_MUST(file != NULL && fchmod(fileno(file), 0600) == 0);
    for (int i = 0; i < 96; i++) {
        fputc(i, file);
    }
    DKV_LAB_MUST(fclose(file) == 0);
}

static void open_worker(struct worker *worker, unsigned number)
{
    snprintf(worker->bench.folder, sizeof(worker->bench.folder), "%s/%u", folder, number);
    DKV_LAB_MUST(mkdir(worker->bench.folder, 0700) == 0);
    worker->bench.local_key = local_key;
    dkv_lab_open(&worker->bench.lab, server_port, number);
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

static void clean_up(void)
{
    for (size_t i = 0; i < N_WORKERS; i++) {
        dkv_lab_close(&workers[i].bench.lab);
    }
    for (size_t i = 0; i < dkv_n_jobs; i++) {
        dkv_lines_done(&calms[i].before);
        dkv_lines_done(&calms[i].after);
        dkv_buf_done(&calms[i].answer);
    }
    dkv_free(calms);
    dkv_free(runs);
    (void)nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static int skip(const char *why)
{
    printf("1..0 # SKIP %s\n", why);
    return 0;
}

int main(int argc, char **argv)
{
    const char *uri = getenv("DEKVAULT_TEST_MONGODB_URI");
    only = argc > 1 ? argv[1] : "";
    if (uri == NULL || uri[0] == '\0') {
        return skip("no MongoDB server: scripts/test-mongodb up");
    }
    mongoc_init();
    dkv_store_quiet();
    server_port = dkv_lab_server_port(uri);
    if (server_port == 0) {
        return skip("the faults are made between here and a server on 127.0.0.1 without TLS and users");
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    make_folders();
    calms = dkv_calloc(dkv_n_jobs, sizeof(*calms));
    DKV_LAB_MUST(calms != NULL);
    for (unsigned i = 0; i < N_WORKERS; i++) {
        open_worker(&workers[i], i);
    }
    const int64_t start_ms = dkv_clock_real.monotonic_ms();
    let_all_work(take_fault, DKV_N_FAULTS);
    let_all_work(take_calm, dkv_n_jobs);
    plan_runs();
    let_all_work(take_broken, n_runs);
    printf("# %lld ms\n", (long long)(dkv_clock_real.monotonic_ms() - start_ms));
    const bool all_good = print_matrix();
    clean_up();
    return all_good ? 0 : 1;
}
