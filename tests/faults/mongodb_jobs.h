/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of the fault matrix: every entry of the store's table that speaks to the server, and of the public
 * face what writes. */
#ifndef TESTS_FAULTS_MONGODB_JOBS_H
#define TESTS_FAULTS_MONGODB_JOBS_H

#include "dekvault/dekvault.h"
#include "vault/store.h"

/* What an operation works on, and what it made. Borrowed for the call. */
struct dkv_job_tools {
    struct dkv_store *store;
    struct dkv_provider_file *file; /* this and the rest only where uses_vault */
    struct dkv_vault *vault;
    struct dkv_vault *source, *target; /* in SQLite: one with four keys, and an empty one */
    struct dkv_uuid created;
};

struct dkv_job {
    const char *name;
    /* Appends to answer what it was told, as text. */
    enum dkv_rc (*run)(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err);
    bool uses_vault;
    bool reads;         /* leaves the database as it is */
    bool in_parts;      /* may stop between two documents */
    bool without_index; /* starts so */
    bool dates;         /* writes the time of day into updateDate */
    bool creates;       /* a key with an _id of its own */
    bool once;          /* repeating it does it again */
    unsigned n_more;    /* keys beyond the three */
    enum dkv_rc done_already; /* what repeating it may give, beside DKV_OK, when it was done */
};

extern const struct dkv_job dkv_jobs[];
extern const size_t dkv_n_jobs;

#endif
