/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text, written only. Owns nothing; the one invariant is that whatever bytes come in, what goes out is one
 * line of valid JSON in UTF-8: attackers choose alt names, and a log line or a terminal must not be theirs too. */
#include "base/json.h"

#include <inttypes.h>

/* The bytes of the well-formed character at the front (Unicode 15, table 3-7), or 0. The table of second
 * bytes is in here: it excludes overlong forms, surrogates and what lies above U+10FFFF. */
static size_t character_len(struct dkv_span text)
{
    const uint8_t first = text.data[0];
    const size_t len = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (len < 2) {
        return len;
    }
    if (text.len < len) {
        return 0;
    }
    const uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (text.data[1] < low || text.data[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((text.data[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

/* What ends a line or steers a terminal: C0, DEL, C1 and Unicode's line and paragraph separators. */
static bool must_escape(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x2028 || point == 0x2029;
}

static uint32_t code_point(const uint8_t *text, size_t len)
{
    uint32_t point = len == 1 ? text[0] : text[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        point = point << 6 | (text[i] & 0x3fu);
    }
    return point;
}

static enum dkv_rc append_character(struct dkv_buf *out, struct dkv_span character, struct dkv_error *err)
{
    const uint32_t point = code_point(character.data, character.len);
    if (point == '"' || point == '\\') {
        DKV_TRY(dkv_buf_append(out, dkv_span("\\", 1), err));
    } else if (must_escape(point)) {
        return dkv_buf_printf(out, err, "\\u%04x", (unsigned)point);
    }
    return dkv_buf_append(out, character, err);
}

enum dkv_rc dkv_json_string(struct dkv_buf *out, struct dkv_span utf8, struct dkv_error *err)
{
    DKV_TRY(dkv_buf_append(out, dkv_span("\"", 1), err));
    struct dkv_span rest = utf8;
    while (rest.len > 0) {
        const size_t len = character_len(rest);
        if (len == 0) {
            DKV_TRY(dkv_buf_append_str(out, "\xef\xbf\xbd", err));
        } else {
            DKV_TRY(append_character(out, dkv_span(rest.data, len), err));
        }
        rest = dkv_span(rest.data + (len == 0 ? 1 : len), rest.len - (len == 0 ? 1 : len));
    }
    return dkv_buf_append(out, dkv_span("\"", 1), err);
}

static enum dkv_rc append_member(struct dkv_buf *out, const char *name, struct dkv_error *err)
{
    const bool first = out->len == 0 || out->data[out->len - 1] == '{';
    return dkv_buf_printf(out, err, "%s\"%s\":", first ? "" : ",", name);
}

enum dkv_rc dkv_json_member_text(struct dkv_buf *out, const char *name, const char *text, struct dkv_error *err)
{
    if (text == NULL) {
        return DKV_OK;
    }
    DKV_TRY(append_member(out, name, err));
    return dkv_json_string(out, dkv_span_str(text), err);
}

enum dkv_rc dkv_json_member_int(struct dkv_buf *out, const char *name, int64_t number, struct dkv_error *err)
{
    DKV_TRY(append_member(out, name, err));
    return dkv_buf_printf(out, err, "%" PRId64, number);
}
