/* SPDX-License-Identifier: Apache-2.0 */
/* A writer for JSON text (RFC 8259): what a caller can't safely print by itself. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/bytes.h"

/* dkv_json_string: append the text as a quoted JSON string. Bytes that aren't valid UTF-8 become U+FFFD, one for
 * each; control characters, DEL, C1 controls and U+2028 and U+2029 are escaped, so that a line stays a line on every
 * terminal and in every log. */
DKV_MUST_USE enum dkv_rc dkv_json_string(struct dkv_buf *out, struct dkv_span utf8, struct dkv_error *err);

/* dkv_json_member_*: append ,"name":value; the comma is left out straight after a '{'. name is a literal of ours, not
 * escaped. A NULL text appends nothing. */
DKV_MUST_USE enum dkv_rc dkv_json_member_text(struct dkv_buf *out, const char *name, const char *text,
                                              struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_json_member_int(struct dkv_buf *out, const char *name, int64_t number,
                                             struct dkv_error *err);

#endif
