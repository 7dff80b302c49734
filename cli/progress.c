/* SPDX-License-Identifier: Apache-2.0 */
/* The progress line. Invariant: nothing is ever written where no person looks on, and the line is gone before anything
 * else is said. Carriage return and spaces only, so that every terminal can. No lock: one thread. */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define FIRST_AFTER_MS 1000
#define AGAIN_AFTER_MS 200
#define WIDTH_ELSEWHERE 80u

void dkv_progress_begin(struct dkv_progress *progress, const struct dkv_output *out, const char *doing)
{
    struct winsize size = {0};
    const bool has_width = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    *progress = (struct dkv_progress){
        .active = isatty(STDERR_FILENO) == 1 && !out->json && !out->quiet,
        .clock = &dkv_clock_real,
        .doing = doing,
        .width = has_width ? size.ws_col : WIDTH_ELSEWHERE,
        .started_ms = dkv_clock_real.monotonic_ms(),
    };
}

/* ---- What the line says ---- */

static void put_left(char *text, size_t capacity, uint64_t seconds)
{
    if (seconds < 120) {
        snprintf(text, capacity, ", %" PRIu64 " s left", seconds);
    } else if (seconds < 7200) {
        snprintf(text, capacity, ", %" PRIu64 " min left", (seconds + 59) / 60);
    } else {
        snprintf(text, capacity, ", %" PRIu64 " h left", (seconds + 3599) / 3600);
    }
}

void dkv_progress_line(const struct dkv_progress *progress, uint64_t done, int64_t now_ms,
                       char ret_line[static DKV_PROGRESS_LINE])
{
    char of[40] = "", percent[16] = "", left[40] = "";
    const double elapsed_s = now_ms > progress->started_ms ? (double)(now_ms - progress->started_ms) / 1000.0 : 0.0;
    const double rate = elapsed_s > 0.0 ? (double)done / elapsed_s : 0.0;
    if (progress->total > 0) { /* more than was counted, if somebody adds to it: no percentage over 100 */
        const uint64_t total = done > progress->total ? done : progress->total;
        snprintf(of, sizeof(of), " of %" PRIu64, total);
        snprintf(percent, sizeof(percent), " (%.0f%%)", 100.0 * (double)done / (double)total);
        if (rate > 0.0) {
            put_left(left, sizeof(left), (uint64_t)((double)(total - done) / rate));
        }
    }
    snprintf(ret_line, DKV_PROGRESS_LINE, "%s: %" PRIu64 "%s keys%s, %.0f keys/s%s", progress->doing, done, of, percent,
             rate, left);
}

/* ---- Drawing ---- */

void dkv_progress_show(struct dkv_progress *progress, uint64_t done)
{
    char line[DKV_PROGRESS_LINE];
    if (!progress->active) {
        return;
    }
    const int64_t now_ms = progress->clock->monotonic_ms();
    if (now_ms - progress->started_ms < FIRST_AFTER_MS || now_ms - progress->drawn_ms < AGAIN_AFTER_MS) {
        return;
    }
    dkv_progress_line(progress, done, now_ms, line);
    size_t len = strlen(line);
    if (len >= progress->width) { /* a full line would wrap, and stay */
        len = progress->width - 1;
    }
    const size_t blanks = progress->drawn > len ? progress->drawn - len : 0;
    fprintf(stderr, "\r%.*s%*s", (int)len, line, (int)blanks, "");
    fflush(stderr);
    progress->drawn = len + blanks;
    progress->drawn_ms = now_ms;
}

void dkv_progress_clear(struct dkv_progress *progress)
{
    if (progress->drawn > 0) {
        fprintf(stderr, "\r%*s\r", (int)progress->drawn, "");
        fflush(stderr);
        progress->drawn = 0;
    }
}
