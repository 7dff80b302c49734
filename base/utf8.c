/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8: judged strictly (RFC 3629: no overlong forms, no surrogates), and made fit to be shown as one line. Stands on
 * nothing, since errors are written with it. No lock. */
#include "base/bytes.h"

/* By lead byte: how many bytes follow, and the bounds of the first of them, which shut out overlong forms,
 * surrogates and what lies over U+10FFFF (RFC 3629 section 4). */
static const struct {
    uint8_t lead_low, lead_high, following, second_low, second_high;
} utf8_forms[] = {
    {0x00, 0x7f, 0, 0x00, 0x00}, {0xc2, 0xdf, 1, 0x80, 0xbf}, {0xe0, 0xe0, 2, 0xa0, 0xbf}, {0xe1, 0xec, 2, 0x80, 0xbf},
    {0xed, 0xed, 2, 0x80, 0x9f}, {0xee, 0xef, 2, 0x80, 0xbf}, {0xf0, 0xf0, 3, 0x90, 0xbf}, {0xf1, 0xf3, 3, 0x80, 0xbf},
    {0xf4, 0xf4, 3, 0x80, 0x8f},
};

static bool utf8_follows(struct dkv_span text, size_t following, uint8_t second_low, uint8_t second_high)
{
    if (following >= text.len) {
        return false;
    }
    for (size_t i = 1; i <= following; i++) {
        const uint8_t low = i == 1 ? second_low : 0x80, high = i == 1 ? second_high : 0xbf;
        if (text.data[i] < low || text.data[i] > high) {
            return false;
        }
    }
    return true;
}

size_t dkv_utf8_char_len(struct dkv_span text)
{
    for (size_t i = 0; text.len > 0 && i < DKV_COUNT(utf8_forms); i++) {
        if (text.data[0] >= utf8_forms[i].lead_low && text.data[0] <= utf8_forms[i].lead_high) {
            const size_t n = utf8_forms[i].following;
            return utf8_follows(text, n, utf8_forms[i].second_low, utf8_forms[i].second_high) ? n + 1 : 0;
        }
    }
    return 0;
}

bool dkv_utf8_is_valid(struct dkv_span text)
{
    while (text.len > 0) {
        /* Names and identifiers are ASCII almost always. */
        const size_t len = text.data[0] < 0x80 ? 1 : dkv_utf8_char_len(text);
        if (len == 0) {
            return false;
        }
        text = dkv_span(text.data + len, text.len - len);
    }
    return true;
}

/* C0, DEL and C1 (as UTF-8): what could move a terminal's cursor or begin a forged line in a log. */
static bool is_control(struct dkv_span character)
{
    const uint8_t first = character.data[0];
    return first < 0x20 || first == 0x7f || (first == 0xc2 && character.data[1] < 0xa0);
}

size_t dkv_line_put(char *line, size_t capacity, size_t at, const char *text)
{
    struct dkv_span rest = dkv_span_str(text);
    while (rest.len > 0) {
        size_t len = dkv_utf8_char_len(rest);
        const bool printable = len > 0 && !is_control(rest);
        const size_t put = printable ? len : 1;
        if (put >= capacity - at) {
            break;
        }
        memcpy(line + at, printable ? (const char *)rest.data : "?", put);
        at += put;
        len = len > 0 ? len : 1;
        rest = dkv_span(rest.data + len, rest.len - len);
    }
    line[at] = '\0';
    return at;
}
