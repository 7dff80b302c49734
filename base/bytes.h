/* SPDX-License-Identifier: Apache-2.0 */
/* Spans, buffers and the text forms of bytes. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "dekvault/span.h"

static inline struct dkv_span dkv_span(const void *data, size_t len)
{
    return (struct dkv_span){.data = (const uint8_t *)data, .len = len};
}

static inline struct dkv_span dkv_span_str(const char *text)
{
    return dkv_span(text, strlen(text));
}

static inline struct dkv_span dkv_span_buf(const struct dkv_buf *buf)
{
    return dkv_span(buf->data, buf->len);
}

/* Not for secrets: time depends on the contents. See dkv_equal_ct. */
bool dkv_span_equal(struct dkv_span a, struct dkv_span b);

/* Buffers: append copies, and wipes what it leaves when it moves. What is appended may not lie in the buffer
 * itself. DKV_E_RESOURCE: out of memory. */
DKV_MUST_USE enum dkv_rc dkv_buf_reserve(struct dkv_buf *buf, size_t more, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_buf_append(struct dkv_buf *buf, struct dkv_span bytes, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_buf_append_str(struct dkv_buf *buf, const char *text, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_buf_printf(struct dkv_buf *buf, struct dkv_error *err, const char *format, ...)
    DKV_PRINTF(3, 4);
/* dkv_buf_text: ends with a NUL that len doesn't count; NULL when there is no memory for it. */
const char *dkv_buf_text(struct dkv_buf *buf);
/* dkv_buf_steal: move *from into *to, freeing what *to held. */
void dkv_buf_steal(struct dkv_buf *to, struct dkv_buf *from);

/* A reader takes fields off the front of a span; each returns false, and takes nothing, when there
 * are too few bytes. */
struct dkv_reader {
    struct dkv_span rest;
};
bool dkv_read_u8(struct dkv_reader *reader, uint8_t *ret);
bool dkv_read_bytes(struct dkv_reader *reader, size_t len, struct dkv_span *ret);
bool dkv_read_is_empty(const struct dkv_reader *reader);

/* Hexadecimal: lower case out, either case in; even length, no spaces. to_hex writes 2 * len + 1. */
void dkv_to_hex(struct dkv_span bytes, char *text);
DKV_MUST_USE bool dkv_from_hex(const char *text, size_t text_len, uint8_t *out, size_t out_capacity, size_t *ret_len);
/* Standard base64 with padding (RFC 4648 section 4); white space at the end of the text only.
 * Runs without a table, in time that depends on the length alone, since a local key may be read
 * with it. */
DKV_MUST_USE bool dkv_from_base64(const char *text, size_t text_len, uint8_t *out, size_t out_capacity,
                                  size_t *ret_len);
DKV_MUST_USE enum dkv_rc dkv_to_base64(struct dkv_span bytes, struct dkv_buf *out, struct dkv_error *err);

/* UUID text 8-4-4-4-12, either case. dkv_uuid_format is public. */
DKV_MUST_USE bool dkv_uuid_parse(const char *text, struct dkv_uuid *ret);
bool dkv_uuid_equal(const struct dkv_uuid *a, const struct dkv_uuid *b);

bool dkv_utf8_is_valid(struct dkv_span text);
/* dkv_utf8_char_len: bytes of the character at the front, 0 if there is none that is valid. */
size_t dkv_utf8_char_len(struct dkv_span text);

/* dkv_line_put: put text into line[capacity] from at on, with a NUL, as one line of valid UTF-8: control
 * characters and stray bytes become '?', and what doesn't fit is left out at a character's boundary.
 * at < capacity. Returns the new end. */
size_t dkv_line_put(char *line, size_t capacity, size_t at, const char *text);

#endif
