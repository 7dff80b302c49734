/* SPDX-License-Identifier: Apache-2.0 */
/* One run of the fault matrix: an operation with one of its requests broken, and what came of it. */
#ifndef TESTS_FAULTS_MONGODB_RUN_H
#define TESTS_FAULTS_MONGODB_RUN_H

#include "tests/faults/mongodb_jobs.h"
#include "tests/faults/mongodb_lab.h"
#include "tests/lib/fault_proxy.h"

#define DKV_RUN_TIMEOUT_MS 700u /* more than the 500 ms that a driver waits before it looks at a server again */
#define DKV_RUN_HOLD_MS 1000u

/* Up to DKV_PARTLY all is well. */
enum dkv_outcome {
    DKV_DONE,
    DKV_UNDONE,
    DKV_UNSURE,
    DKV_PARTLY,
    DKV_LOST,
    DKV_DOUBLED,
    DKV_DAMAGED,
    DKV_WRONG,
    DKV_SHORT,
    DKV_HUNG,
    DKV_MISSED,
    DKV_N_OUTCOMES
};
extern const char *const dkv_outcome_words[DKV_N_OUTCOMES], *const dkv_outcome_meanings[DKV_N_OUTCOMES];

/* What a job does when nothing is in its way. */
struct dkv_calm {
    struct dkv_lines before, after;
    struct dkv_buf answer;
    unsigned steps;
    char commands[DKV_FAULT_COMMANDS_MAX][24];
};

struct dkv_run {
    const struct dkv_job *job;
    const struct dkv_calm *calm;
    struct dkv_fault_plan plan;
    enum dkv_outcome outcome;
    char words[1024]; /* why */
};

/* One thread's place to work in. folder has files of its own; local_key is a file of all. */
struct dkv_bench {
    struct dkv_lab lab;
    char folder[256];
    const char *local_key;
    const struct dkv_job *prepared; /* a job that changes nothing finds its state as the last run left it */
};

void dkv_run_calmly(struct dkv_bench *bench, const struct dkv_job *job, struct dkv_calm *ret);
/* dkv_run_broken: fills run's outcome and words. */
void dkv_run_broken(struct dkv_bench *bench, struct dkv_run *run);

/* dkv_run_is_true_fault: whether the proxy does to a request what this fault's name says, by a driver of its own. */
bool dkv_run_is_true_fault(struct dkv_lab *lab, enum dkv_fault fault);

#endif
