/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes: a span looks at memory that somebody else owns, a buffer owns its memory. */
#ifndef DEKVAULT_SPAN_H
#define DEKVAULT_SPAN_H

#include <stddef.h>
#include <stdint.h>

#include "dekvault/export.h"

DKV_BEGIN_DECLS

/* A view of len bytes; never owns them. data may be NULL when len is 0. Passed by value. */
struct dkv_span {
    const uint8_t *data;
    size_t len;
};

/* Growing bytes. Start from {0}; dkv_buf_done() wipes and frees. Not for keys: those live in
 * secret memory inside the library and are never handed out. */
struct dkv_buf {
    uint8_t *data;
    size_t len;
    size_t capacity;
};

/* A UUID: the 16 bytes of BSON binary subtype 4, in the order in which they are printed. */
struct dkv_uuid {
    uint8_t bytes[16];
};

/* dkv_buf_done: wipe the bytes, free them, leave {0}. NULL and {0} are fine. Thread-safe: one
 * buffer, one thread. Blocks: no. */
DKV_API void dkv_buf_done(struct dkv_buf *buf);

/* dkv_uuid_format: lower-case 8-4-4-4-12 text with its NUL into text. Thread-safe: yes. Blocks: no. */
DKV_API void dkv_uuid_format(const struct dkv_uuid *uuid, char text[37]);

DKV_END_DECLS

#endif
