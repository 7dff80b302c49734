/* SPDX-License-Identifier: Apache-2.0 */
/* The text forms of bytes: hexadecimal, base64, UUID. No state, no lock.
 * Hexadecimal and base64 are worked out by arithmetic, without a table and without a branch on the contents:
 * a table's cache lines would tell which characters a key file holds. */
#include "base/bytes.h"
#include "base/mem.h"

/* All ones if low <= c <= high, else 0; for values under 2^31. */
static uint32_t mask_between(uint32_t c, uint32_t low, uint32_t high)
{
    return (((c - low) | (high - c)) >> 31) - 1U;
}

/* ---- Hexadecimal ---- */

static char hex_digit(uint32_t value)
{
    return (char)('0' + value + (mask_between(value, 10, 15) & (uint32_t)('a' - '0' - 10)));
}

void dkv_to_hex(struct dkv_span bytes, char *text)
{
    for (size_t i = 0; i < bytes.len; i++) {
        text[2 * i] = hex_digit((uint32_t)bytes.data[i] >> 4);
        text[2 * i + 1] = hex_digit((uint32_t)bytes.data[i] & 15U);
    }
    text[2 * bytes.len] = '\0';
}

/* The digit's value; *bad gets bits when it isn't one. */
static uint32_t hex_value(char character, uint32_t *bad)
{
    const uint32_t c = (uint8_t)character;
    const uint32_t digit = mask_between(c, '0', '9');
    const uint32_t lower = mask_between(c, 'a', 'f');
    const uint32_t upper = mask_between(c, 'A', 'F');
    *bad |= ~(digit | lower | upper);
    return (digit & (c - '0')) | (lower & (c - 'a' + 10)) | (upper & (c - 'A' + 10));
}

bool dkv_from_hex(const char *text, size_t text_len, uint8_t *out, size_t out_capacity, size_t *ret_len)
{
    const size_t len = text_len / 2;
    if (text_len % 2 != 0 || len > out_capacity) {
        return false;
    }
    uint32_t bad = 0;
    for (size_t i = 0; i < len; i++) {
        const uint32_t high = hex_value(text[2 * i], &bad);
        out[i] = (uint8_t)(high << 4 | hex_value(text[2 * i + 1], &bad));
    }
    if (bad != 0) {
        dkv_wipe(out, len);
        return false;
    }
    *ret_len = len;
    return true;
}

/* ---- Base64 ---- */

static uint32_t base64_value(char character, uint32_t *bad)
{
    const uint32_t c = (uint8_t)character;
    const uint32_t upper = mask_between(c, 'A', 'Z');
    const uint32_t lower = mask_between(c, 'a', 'z');
    const uint32_t digit = mask_between(c, '0', '9');
    const uint32_t plus = mask_between(c, '+', '+');
    const uint32_t slash = mask_between(c, '/', '/');
    *bad |= ~(upper | lower | digit | plus | slash);
    return (upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (digit & (c - '0' + 52)) | (plus & 62U) | (slash & 63U);
}

static size_t without_trailing_space(const char *text, size_t len)
{
    while (len > 0 && memchr(" \t\r\n", text[len - 1], 4) != NULL) {
        len--;
    }
    return len;
}

/* Up to four characters into up to three bytes; n of 2 or 3 is the last group before padding. The bits that
 * padding leaves over must be zero, or two texts would stand for the same bytes. */
static void decode_group(const char *text, size_t n, uint8_t *out, uint32_t *bad)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        bits = bits << 6 | (i < n ? base64_value(text[i], bad) : 0);
    }
    for (size_t i = 0; i < n - 1; i++) {
        out[i] = (uint8_t)(bits >> (16 - 8 * i));
    }
    *bad |= n < 4 ? bits & ((1U << (8 * (4 - n))) - 1U) : 0;
}

bool dkv_from_base64(const char *text, size_t text_len, uint8_t *out, size_t out_capacity, size_t *ret_len)
{
    text_len = without_trailing_space(text, text_len);
    if (text_len % 4 != 0) {
        return false;
    }
    size_t padding = 0;
    while (padding < 2 && padding < text_len && text[text_len - 1 - padding] == '=') {
        padding++;
    }
    const size_t len = text_len / 4 * 3 - padding;
    if (len > out_capacity) {
        return false;
    }
    uint32_t bad = 0;
    for (size_t group = 0; group < text_len / 4; group++) {
        const size_t n = group == text_len / 4 - 1 ? 4 - padding : 4;
        decode_group(text + 4 * group, n, out + 3 * group, &bad);
    }
    if (bad != 0) {
        dkv_wipe(out, len);
        return false;
    }
    *ret_len = len;
    return true;
}

static uint8_t base64_digit(uint32_t value)
{
    return (uint8_t)((mask_between(value, 0, 25) & (value + 'A')) | (mask_between(value, 26, 51) & (value - 26 + 'a')) |
                     (mask_between(value, 52, 61) & (value - 52 + '0')) | (mask_between(value, 62, 62) & '+') |
                     (mask_between(value, 63, 63) & '/'));
}

static void encode_group(struct dkv_span bytes, uint8_t out[static 4])
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; i++) {
        bits = bits << 8 | (i < bytes.len ? bytes.data[i] : 0U);
    }
    for (size_t i = 0; i < 4; i++) {
        out[i] = i <= bytes.len ? base64_digit(bits >> (18 - 6 * i) & 63U) : '=';
    }
}

enum dkv_rc dkv_to_base64(struct dkv_span bytes, struct dkv_buf *out, struct dkv_error *err)
{
    DKV_CHECK(bytes.len <= SIZE_MAX / 2, err, DKV_E_RESOURCE, "out of memory");
    DKV_TRY(dkv_buf_reserve(out, (bytes.len / 3 + 1) * 4, err));
    for (size_t at = 0; at < bytes.len; at += 3) {
        const size_t n = bytes.len - at < 3 ? bytes.len - at : 3;
        encode_group(dkv_span(bytes.data + at, n), out->data + out->len);
        out->len += 4;
    }
    return DKV_OK;
}

/* ---- UUID ---- */

#define UUID_TEXT_LEN 36

static bool is_uuid_dash(size_t at)
{
    return at == 8 || at == 13 || at == 18 || at == 23;
}

void dkv_uuid_format(const struct dkv_uuid *uuid, char text[37])
{
    size_t at = 0;
    for (size_t i = 0; i < sizeof(uuid->bytes); i++) {
        if (is_uuid_dash(at)) {
            text[at++] = '-';
        }
        text[at++] = hex_digit((uint32_t)uuid->bytes[i] >> 4);
        text[at++] = hex_digit((uint32_t)uuid->bytes[i] & 15U);
    }
    text[at] = '\0';
}

bool dkv_uuid_parse(const char *text, struct dkv_uuid *ret)
{
    char digits[2 * sizeof(ret->bytes)];
    struct dkv_uuid uuid;
    size_t n = 0, len = 0;
    if (strnlen(text, UUID_TEXT_LEN + 1) != UUID_TEXT_LEN) {
        return false;
    }
    for (size_t at = 0; at < UUID_TEXT_LEN; at++) {
        if (!is_uuid_dash(at)) {
            digits[n++] = text[at];
        } else if (text[at] != '-') {
            return false;
        }
    }
    if (!dkv_from_hex(digits, n, uuid.bytes, sizeof(uuid.bytes), &len)) {
        return false;
    }
    *ret = uuid;
    return true;
}

bool dkv_uuid_equal(const struct dkv_uuid *a, const struct dkv_uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
