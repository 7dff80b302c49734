/* SPDX-License-Identifier: Apache-2.0 */
/* How far long work has come: one line on standard error, redrawn in its place, for a person who waits. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "base/clock.h"
#include "cli/output.h"

#define DKV_PROGRESS_LINE 160 /* bytes of the line, with its NUL */

/* Start from {0}: shows nothing. */
struct dkv_progress {
    bool active;
    const struct dkv_clock *clock;
    const char *doing; /* "copying" */
    uint64_t total;    /* keys; 0: unknown */
    size_t width;      /* columns of the terminal */
    int64_t started_ms, drawn_ms;
    size_t drawn;      /* columns that the line has now */
};

/* dkv_progress_begin: active only when standard error is a terminal and neither --json nor --quiet was given. doing
 * must stay. */
void dkv_progress_begin(struct dkv_progress *progress, const struct dkv_output *out, const char *doing);

/* dkv_progress_show: draw the line, unless the work is younger than a second or the last one than a fifth of one. */
void dkv_progress_show(struct dkv_progress *progress, uint64_t done);

/* dkv_progress_clear: take the line away, at the end and before anything else is written to standard error. */
void dkv_progress_clear(struct dkv_progress *progress);

/* dkv_progress_line: what the line says: "copying: 1200 of 5000 keys (24%), 1200 keys/s, 4 s left". */
void dkv_progress_line(const struct dkv_progress *progress, uint64_t done, int64_t now_ms,
                       char ret_line[static DKV_PROGRESS_LINE]);

#endif
