/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the files in the state folder, and locks on them.
 *
 * Invariant: each lock is an open file description of its own, so that flock(2) tells threads of one process apart as
 * it does processes. Lock files are never removed: a waiter would hold the lock of a file that is gone. */
#include "base/state_names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

#define TABLE_MAX_LEN 32
#define KEY_MAX_LEN 128
/* Longer ones are written in base64, which has 172 characters at most. */
#define ENCODED_MAX_LEN 180
#define POLL_MIN_US 500
#define POLL_MAX_US 20000

/* ---- Names ---- */

static bool is_safe(char c)
{
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool is_digit = c >= '0' && c <= '9';
    return is_letter || is_digit || c == '-' || c == '_' || c == ':' || c == '=' || c == '@';
}

/* %XX for what isn't safe. The dot isn't: it ends the table. */
static bool encode_readable(const char *key, char out[static ENCODED_MAX_LEN + 1])
{
    size_t at = 0;
    for (; *key != '\0'; key++) {
        if (at + 3 > ENCODED_MAX_LEN) {
            return false;
        }
        if (is_safe(*key)) {
            out[at++] = *key;
        } else {
            at += (size_t)snprintf(out + at, 4, "%%%02X", (unsigned)(unsigned char)*key);
        }
    }
    out[at] = '\0';
    return true;
}

/* '~' and the key in base64 with '_' for '/': of every key another name, and never one of the readable ones. */
static enum dkv_rc encode_compact(const char *key, char out[static ENCODED_MAX_LEN + 1], struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
    DKV_TRY(dkv_to_base64(dkv_span_str(key), &text, err));
    out[0] = '~';
    for (size_t i = 0; i < text.len; i++) {
        const char c = (char)text.data[i];
        out[i + 1] = c == '/' ? '_' : c;
    }
    out[text.len + 1] = '\0';
    return DKV_OK;
}

enum dkv_rc dkv_state_name(const char *prefix, const char *table, const char *key, char ret[static DKV_STATE_NAME_LEN],
                           struct dkv_error *err)
{
    char encoded[ENCODED_MAX_LEN + 1];
    const size_t table_len = strlen(table);
    const bool is_table = strspn(table, "abcdefghijklmnopqrstuvwxyz0123456789-") == table_len;
    DKV_CHECK(table_len >= 1 && table_len <= TABLE_MAX_LEN && is_table, err, DKV_E_INVALID,
              "\"%s\" is no name of a state table", table);
    DKV_CHECK(strlen(key) <= KEY_MAX_LEN, err, DKV_E_INVALID, "a state key of %zu bytes: %d are possible", strlen(key),
              KEY_MAX_LEN);
    if (!encode_readable(key, encoded)) {
        DKV_TRY(encode_compact(key, encoded, err));
    }
    snprintf(ret, DKV_STATE_NAME_LEN, "%s%s.%s", prefix, table, encoded);
    return DKV_OK;
}

/* ---- Locks ---- */

static void pause_us(unsigned us)
{
    const struct timespec length = {.tv_nsec = (long)us * 1000};
    (void)nanosleep(&length, NULL);
}

/* Polled, since flock has no timeout and a process that was stopped may hold the lock for ever. */
static enum dkv_rc await_flock(const struct dkv_state *state, const char *name, int fd, uint32_t timeout_ms,
                               struct dkv_error *err)
{
    const int64_t deadline_ms = dkv_clock_real.monotonic_ms() + timeout_ms;
    unsigned us = POLL_MIN_US;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return dkv_fail_errno(err, dkv_rc_from_errno(errno), "can't lock %s/%s", state->path, name);
        }
        DKV_CHECK(dkv_clock_real.monotonic_ms() < deadline_ms, err, DKV_E_TRANSIENT,
                  "another process or thread has held the lock %s/%s for more than %u ms: try again, or find it with "
                  "'fuser %s/%s'",
                  state->path, name, timeout_ms, state->path, name);
        pause_us(us);
        us = us * 2 < POLL_MAX_US ? us * 2 : POLL_MAX_US;
    }
    return DKV_OK;
}

enum dkv_rc dkv_state_flock(const struct dkv_state *state, const char *name, uint32_t timeout_ms, int *ret_lock,
                            struct dkv_error *err)
{
    DKV_CLEANUP(dkv_fd_close) int fd = openat(state->folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return dkv_fail_errno(err, dkv_rc_from_errno(errno), "can't open the lock %s/%s", state->path, name);
    }
    DKV_TRY(await_flock(state, name, fd, timeout_ms, err));
    *ret_lock = fd;
    fd = -1;
    return DKV_OK;
}

enum dkv_rc dkv_state_lock(struct dkv_state *state, const char *table, const char *key, uint32_t timeout_ms,
                           int *ret_lock, struct dkv_error *err)
{
    char name[DKV_STATE_NAME_LEN];
    DKV_TRY(dkv_state_name(".lock.", table, key, name, err));
    return dkv_state_flock(state, name, timeout_ms, ret_lock, err);
}

/* Given back by name, not just closed: a forked child may have inherited the descriptor, and with it the lock. */
void dkv_state_unlock(int lock)
{
    if (lock >= 0) {
        (void)flock(lock, LOCK_UN);
        (void)close(lock);
    }
}
