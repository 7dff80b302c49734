/* SPDX-License-Identifier: Apache-2.0 */
/* Spans, readers and growing buffers. A buffer's memory is wiped whenever it is given back, also when it only
 * moves: what passes through one may be close to a secret. A buffer has one owner; no lock. */
#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

#define BUF_FIRST_CAPACITY 64

bool dkv_span_equal(struct dkv_span a, struct dkv_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* ---- Buffers ---- */

void dkv_buf_done(struct dkv_buf *buf)
{
    if (buf == NULL) {
        return;
    }
    dkv_wipe(buf->data, buf->capacity);
    dkv_free(buf->data);
    *buf = (struct dkv_buf){0};
}

/* Doubling, so that n appends copy O(n) bytes. needed <= PTRDIFF_MAX, so this ends before it overflows. */
static size_t grown_capacity(size_t capacity, size_t needed)
{
    size_t grown = capacity < BUF_FIRST_CAPACITY ? BUF_FIRST_CAPACITY : capacity;
    while (grown < needed) {
        grown *= 2;
    }
    return grown;
}

enum dkv_rc dkv_buf_reserve(struct dkv_buf *buf, size_t more, struct dkv_error *err)
{
    if (more <= buf->capacity - buf->len) {
        return DKV_OK;
    }
    DKV_CHECK(more <= PTRDIFF_MAX - buf->len, err, DKV_E_RESOURCE, "out of memory");
    const size_t capacity = grown_capacity(buf->capacity, buf->len + more);
    struct dkv_buf moved = {.data = (uint8_t *)dkv_calloc(1, capacity), .len = buf->len, .capacity = capacity};
    if (moved.data == NULL) {
        return dkv_fail_memory(err);
    }
    if (buf->len > 0) {
        memcpy(moved.data, buf->data, buf->len);
    }
    dkv_buf_steal(buf, &moved);
    return DKV_OK;
}

enum dkv_rc dkv_buf_append(struct dkv_buf *buf, struct dkv_span bytes, struct dkv_error *err)
{
    if (bytes.len == 0) {
        return DKV_OK;
    }
    DKV_TRY(dkv_buf_reserve(buf, bytes.len, err));
    memcpy(buf->data + buf->len, bytes.data, bytes.len);
    buf->len += bytes.len;
    return DKV_OK;
}

enum dkv_rc dkv_buf_append_str(struct dkv_buf *buf, const char *text, struct dkv_error *err)
{
    return dkv_buf_append(buf, dkv_span_str(text), err);
}

static DKV_PRINTF(3, 0) enum dkv_rc append_formatted(struct dkv_buf *buf, struct dkv_error *err, const char *format,
                                                     va_list arguments, int len)
{
    DKV_CHECK(len >= 0, err, DKV_E_INTERNAL, "a text could not be formatted");
    const size_t text_len = (size_t)len;
    DKV_TRY(dkv_buf_reserve(buf, text_len + 1, err));
    (void)vsnprintf((char *)buf->data + buf->len, text_len + 1, format, arguments);
    buf->len += text_len;
    return DKV_OK;
}

enum dkv_rc dkv_buf_printf(struct dkv_buf *buf, struct dkv_error *err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    va_start(arguments, format);
    const enum dkv_rc rc = append_formatted(buf, err, format, arguments, len);
    va_end(arguments);
    return rc;
}

const char *dkv_buf_text(struct dkv_buf *buf)
{
    if (dkv_buf_reserve(buf, 1, NULL) != DKV_OK) {
        return NULL;
    }
    buf->data[buf->len] = '\0';
    return (const char *)buf->data;
}

void dkv_buf_steal(struct dkv_buf *to, struct dkv_buf *from)
{
    const struct dkv_buf moved = *from;
    *from = (struct dkv_buf){0};
    dkv_buf_done(to); /* {0} by now if it is from itself */
    *to = moved;
}

/* ---- Readers ---- */

bool dkv_read_bytes(struct dkv_reader *reader, size_t len, struct dkv_span *ret)
{
    if (len > reader->rest.len) {
        return false;
    }
    *ret = dkv_span(reader->rest.data, len);
    if (len > 0) {
        reader->rest = dkv_span(reader->rest.data + len, reader->rest.len - len);
    }
    return true;
}

bool dkv_read_u8(struct dkv_reader *reader, uint8_t *ret)
{
    struct dkv_span bytes;
    if (!dkv_read_bytes(reader, 1, &bytes)) {
        return false;
    }
    *ret = bytes.data[0];
    return true;
}

bool dkv_read_is_empty(const struct dkv_reader *reader)
{
    return reader->rest.len == 0;
}
