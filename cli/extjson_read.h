/* SPDX-License-Identifier: Apache-2.0 */
/* Extended JSON into BSON, strictly; over two files. libbson's reader isn't used: it makes 0 of 2^64, NaN of a
 * $numberDecimal that is none, and takes what it knows of regular expression options. What is encrypted must be what
 * was written, or be refused. */
#ifndef CLI_EXTJSON_READ_H
#define CLI_EXTJSON_READ_H

#include "base/bytes.h"

/* The text is JSON already (dkv_json_check), so that structure need not be doubted. */
struct dkv_json_reader {
    struct dkv_span text;
    size_t at;
    unsigned depth;
    /* The type wrapper at work, for the error's words. */
    const struct dkv_json_wrapper *wrapper;
    size_t wrapper_at;
};

/* MongoDB's servers take documents nested 180 deep, and libbson prints no more than 200. */
#define DKV_EXTJSON_DEPTH_MAX 180u

/* dkv_json_peek: the next character that isn't white space; NUL at the end. _take: that character, if it is c. */
int dkv_json_peek(struct dkv_json_reader *reader);
bool dkv_json_take(struct dkv_json_reader *reader, int c);
/* dkv_json_text: a string without its escapes, appended. Lone surrogates are refused. */
DKV_MUST_USE enum dkv_rc dkv_json_text(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err);
/* dkv_json_number: the number's text; no bytes when there is another value. */
struct dkv_span dkv_json_number(struct dkv_json_reader *reader);
/* dkv_json_skip: over a value of any kind. */
void dkv_json_skip(struct dkv_json_reader *reader);

/* dkv_json_value: append a value as BSON has it behind its name. dkv_json_document: the same for an object that is no
 * wrapper. */
DKV_MUST_USE enum dkv_rc dkv_json_value(struct dkv_json_reader *reader, uint8_t *ret_type, struct dkv_buf *out,
                                        struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_json_document(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err);

/* dkv_json_wrapped: append the value of an object whose first name begins with '$'; the reader stands at its value,
 * and afterwards behind the object. */
DKV_MUST_USE enum dkv_rc dkv_json_wrapped(struct dkv_json_reader *reader, struct dkv_span name, uint8_t *ret_type,
                                          struct dkv_buf *out, struct dkv_error *err);

/* dkv_bson_le: append the low bytes of a number, as BSON has all its numbers. */
DKV_MUST_USE enum dkv_rc dkv_bson_le(struct dkv_buf *out, uint64_t number, size_t n_bytes, struct dkv_error *err);
/* dkv_bson_string: append a BSON string. dkv_bson_begin, dkv_bson_end: what has its length before it, itself
 * included. */
DKV_MUST_USE enum dkv_rc dkv_bson_string(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_bson_begin(struct dkv_buf *out, size_t *ret_start, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_bson_end(struct dkv_buf *out, size_t start, struct dkv_error *err);

#endif
