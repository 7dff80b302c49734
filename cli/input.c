/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what a command takes in, bounded. Buffers are wiped, since plaintext comes this way. No lock: one thread. */
#include "cli/input.h"

#include <errno.h>
#include <unistd.h>

#define CHUNK ((size_t)64 * 1024)

/* One read(2) behind what buf holds; *ret_n 0 at the end. */
static enum dkv_rc read_more(int fd, const char *name, struct dkv_buf *buf, size_t *ret_n, struct dkv_error *err)
{
    ssize_t n;
    DKV_TRY(dkv_buf_reserve(buf, CHUNK, err));
    do {
        n = read(fd, buf->data + buf->len, CHUNK);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return dkv_fail_errno(err, dkv_rc_from_errno(errno), "can't read %s", name);
    }
    buf->len += (size_t)n;
    *ret_n = (size_t)n;
    return DKV_OK;
}

enum dkv_rc dkv_input_read(int fd, const char *name, size_t max, struct dkv_buf *ret, struct dkv_error *err)
{
    size_t n = 1;
    while (n > 0) {
        DKV_TRY(read_more(fd, name, ret, &n, err));
        DKV_CHECK(ret->len <= max, err, DKV_E_INVALID, "%s gives more than %zu bytes", name, max);
    }
    return DKV_OK;
}

void dkv_lines_done(struct dkv_lines *lines)
{
    dkv_buf_done(&lines->buf);
}

/* Moves what is left of the buffer to its front. */
static void compact(struct dkv_lines *lines)
{
    if (lines->at > 0) {
        memmove(lines->buf.data, lines->buf.data + lines->at, lines->buf.len - lines->at);
        lines->buf.len -= lines->at;
        lines->at = 0;
    }
}

/* Until a newline stands in the buffer behind `at`, or the input ends. What is over max is dropped as it comes. */
static enum dkv_rc fill_line(struct dkv_lines *lines, size_t max, const uint8_t **ret_end, bool *ret_too_long,
                             struct dkv_error *err)
{
    size_t searched = lines->at, n = 0;
    for (;;) {
        const size_t len = lines->buf.len;
        *ret_end = len > searched ? memchr(lines->buf.data + searched, '\n', len - searched) : NULL;
        if (*ret_end != NULL || lines->ended) {
            return DKV_OK;
        }
        compact(lines);
        if (lines->buf.len > max) {
            *ret_too_long = true;
            lines->buf.len = 0;
        }
        searched = lines->buf.len;
        DKV_TRY(read_more(lines->fd, lines->name, &lines->buf, &n, err));
        lines->ended = n == 0;
    }
}

enum dkv_rc dkv_lines_next(struct dkv_lines *lines, size_t max, struct dkv_span *ret_line, bool *ret_too_long,
                           bool *ret_more, struct dkv_error *err)
{
    const uint8_t *end = NULL;
    bool too_long = false;
    DKV_TRY(fill_line(lines, max, &end, &too_long, err));
    const size_t start = lines->at, stop = end != NULL ? (size_t)(end - lines->buf.data) : lines->buf.len;
    *ret_more = end != NULL || stop > start || too_long;
    *ret_line = stop > start ? dkv_span(lines->buf.data + start, stop - start) : dkv_span(NULL, 0);
    *ret_too_long = too_long || stop - start > max;
    lines->at = stop + (end != NULL);
    lines->number += *ret_more;
    return DKV_OK;
}
