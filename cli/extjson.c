/* SPDX-License-Identifier: Apache-2.0 */
/* Extended JSON written through libbson, where a value that isn't a document is written as {"v": value}, and read by
 * extjson_read.c. What libbson copies of a plaintext is wiped before it is freed. Owns nothing; no lock. */
#include "cli/extjson.h"

#include <bson/bson.h>
#include <limits.h>

#include "base/mem.h"
#include "cli/extjson_read.h"
#include "cli/json_check.h"

/* DEL, C1 controls (U+0080 to U+009F) and the line separators may stand in JSON as they are, but a terminal would
 * act upon them. In JSON text they occur inside strings alone, where an escape says the same. Returns the bytes of
 * such a character, else 0. */
static size_t unprintable(const char *text, unsigned *ret_code)
{
    const unsigned char *at = (const unsigned char *)text;
    if (at[0] == 0x7f) {
        *ret_code = 0x7f;
        return 1;
    }
    if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0) {
        *ret_code = at[1];
        return 2;
    }
    if (at[0] == 0xe2 && at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9)) {
        *ret_code = 0x2000u + (at[2] & 0x3fu);
        return 3;
    }
    return 0;
}

static enum dkv_rc append_json(struct dkv_buf *out, const char *json, size_t len, struct dkv_error *err)
{
    size_t from = 0;
    for (size_t at = 0; at < len;) {
        unsigned code = 0;
        const size_t skip = unprintable(json + at, &code);
        if (skip == 0) {
            at++;
            continue;
        }
        DKV_TRY(dkv_buf_append(out, dkv_span(json + from, at - from), err));
        DKV_TRY(dkv_buf_printf(out, err, "\\u%04x", code));
        from = at += skip;
    }
    return dkv_buf_append(out, dkv_span(json + from, len - from), err);
}

static void free_json(char *json, size_t len)
{
    if (json != NULL) {
        dkv_wipe(json, len);
        bson_free(json);
    }
}

/* libbson writes what lies deeper than 200 levels as the text "{ ... }", without a word. MongoDB's servers take 180. */
#define DEPTH_MAX 190u

/* Steps into a document, an array or a code's scope. */
static bool enter(const bson_iter_t *at, bson_iter_t *ret)
{
    uint32_t code_len, scope_len;
    const uint8_t *scope;
    bson_t document;
    if (!BSON_ITER_HOLDS_CODEWSCOPE(at)) {
        return (BSON_ITER_HOLDS_DOCUMENT(at) || BSON_ITER_HOLDS_ARRAY(at)) && bson_iter_recurse(at, ret);
    }
    (void)bson_iter_codewscope(at, &code_len, &scope_len, &scope);
    return bson_init_static(&document, scope, scope_len) && bson_iter_init(ret, &document);
}

static bool is_deep(bson_iter_t *at, unsigned levels)
{
    bson_iter_t child;
    while (bson_iter_next(at)) {
        if (enter(at, &child) && (levels == 0 || is_deep(&child, levels - 1))) {
            return true;
        }
    }
    return false;
}

enum dkv_rc dkv_extjson_document(struct dkv_buf *out, struct dkv_span bson, struct dkv_error *err)
{
    bson_t document;
    bson_iter_t at;
    size_t len = 0;
    DKV_CHECK(bson_init_static(&document, bson.data, bson.len), err, DKV_E_REJECTED_CIPHERTEXT, "not a BSON document");
    DKV_CHECK(bson_iter_init(&at, &document) && !is_deep(&at, DEPTH_MAX), err, DKV_E_INVALID,
              "a value nested more than %u deep can't be printed", DEPTH_MAX);
    char *json = bson_as_canonical_extended_json(&document, &len);
    DKV_CHECK(json != NULL, err, DKV_E_REJECTED_CIPHERTEXT, "not a valid BSON document");
    const enum dkv_rc rc = append_json(out, json, len, err);
    free_json(json, len);
    return rc;
}

/* {"v": value} as BSON: length, type, "v" NUL, the value, NUL. */
static enum dkv_rc wrap_value(struct dkv_buf *ret, struct dkv_bson_value value, struct dkv_error *err)
{
    const size_t len = 4 + 1 + 2 + value.bytes.len + 1;
    DKV_CHECK(len <= INT32_MAX, err, DKV_E_INVALID, "a value of %zu bytes is too long", value.bytes.len);
    const uint8_t head[] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), (uint8_t)(len >> 24), value.type,
                            'v', 0};
    DKV_TRY(dkv_buf_append(ret, dkv_span(head, sizeof(head)), err));
    DKV_TRY(dkv_buf_append(ret, value.bytes, err));
    return dkv_buf_append(ret, dkv_span("", 1), err);
}

enum dkv_rc dkv_extjson_value(struct dkv_buf *out, struct dkv_bson_value value, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf document = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    DKV_TRY(wrap_value(&document, value, err));
    DKV_TRY(dkv_extjson_document(&json, dkv_span_buf(&document), err));
    /* What stands between the first colon and the last bracket. */
    const uint8_t *colon = memchr(json.data, ':', json.len), *end = json.data + json.len;
    DKV_CHECK(colon != NULL && end[-1] == '}', err, DKV_E_INTERNAL, "libbson wrote no document");
    const uint8_t *start = colon + 1;
    for (end--; start < end && *start == ' '; start++) {
    }
    for (; end > start && end[-1] == ' '; end--) {
    }
    return dkv_buf_append(out, dkv_span(start, (size_t)(end - start)), err);
}

enum dkv_rc dkv_extjson_payload(struct dkv_buf *out, struct dkv_span payload, struct dkv_error *err)
{
    DKV_TRY(dkv_buf_append_str(out, "{\"$binary\":{\"base64\":\"", err));
    DKV_TRY(dkv_to_base64(payload, out, err));
    return dkv_buf_append_str(out, "\",\"subType\":\"06\"}}", err);
}

enum dkv_rc dkv_extjson_read_value(struct dkv_span json, uint8_t *ret_type, struct dkv_buf *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bson = {0};
    struct dkv_json_reader reader = {.text = json};
    uint8_t type = 0;
    DKV_TRY(dkv_json_check(json, err));
    DKV_TRY(dkv_json_value(&reader, &type, &bson, err));
    DKV_TRY(dkv_buf_append(ret, dkv_span_buf(&bson), err));
    *ret_type = type;
    return DKV_OK;
}

enum dkv_rc dkv_extjson_read_document(struct dkv_span json, struct dkv_buf *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bson = {0};
    uint8_t type = 0;
    DKV_TRY(dkv_extjson_read_value(json, &type, &bson, err));
    DKV_CHECK(type == BSON_TYPE_DOCUMENT, err, DKV_E_INVALID, "not a document: that is an object with named fields");
    return dkv_buf_append(ret, dkv_span_buf(&bson), err);
}

enum dkv_rc dkv_extjson_read_payload(struct dkv_span json, struct dkv_buf *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf value = {0};
    uint8_t type = 0;
    DKV_TRY(dkv_extjson_read_value(json, &type, &value, err));
    /* A binary is its length (4 bytes), its subtype and its bytes. */
    DKV_CHECK(type == BSON_TYPE_BINARY && value.len >= 5 && value.data[4] == 6, err, DKV_E_INVALID,
              "not an encrypted value: that is a $binary of subType 06");
    return dkv_buf_append(ret, dkv_span(value.data + 5, value.len - 5), err);
}
