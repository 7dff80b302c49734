/* SPDX-License-Identifier: Apache-2.0 */
/* How many columns of a terminal a text takes (Unicode Standard Annex 11, in ranges). wcwidth(3) isn't asked: what it
 * says depends on a locale, which this program doesn't set. Constant; no lock. */
#include "cli/output.h"

struct range {
    uint32_t first, last;
};

/* Marks that stand on the character before them, and what is invisible. */
static const struct range no_width[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x0610, 0x061a},   {0x064b, 0x065f},
    {0x0e34, 0x0e3a}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200f},   {0x20d0, 0x20ff},
    {0x302a, 0x302d}, {0x3099, 0x309a}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},   {0xfeff, 0xfeff},
    {0x1f3fb, 0x1f3ff}, {0xe0100, 0xe01ef},
};

/* East Asian wide and full width, and the pictures that terminals show as wide. */
static const struct range wide[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x2e80, 0x303e},   {0x3041, 0x33ff},   {0x3400, 0x4dbf},
    {0x4e00, 0xa4cf},   {0xa960, 0xa97c},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
    {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x16fe0, 0x18aff}, {0x1b000, 0x1b2ff}, {0x1f200, 0x1f202},
    {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
};

static bool is_in(const struct range *ranges, size_t n, uint32_t code)
{
    for (size_t i = 0; i < n; i++) {
        if (code >= ranges[i].first && code <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

/* One valid character. */
static uint32_t code_of(struct dkv_span character)
{
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = character.data[0] & masks[character.len];
    for (size_t i = 1; i < character.len; i++) {
        code = code << 6 | (character.data[i] & 0x3fu);
    }
    return code;
}

static size_t character_width(struct dkv_span character)
{
    const uint32_t code = code_of(character);
    if (is_in(no_width, DKV_COUNT(no_width), code)) {
        return 0;
    }
    return is_in(wide, DKV_COUNT(wide), code) ? 2 : 1;
}

size_t dkv_text_fits(struct dkv_span text, size_t max_width, size_t *ret_width)
{
    size_t at = 0, width = 0;
    while (at < text.len) {
        const size_t len = dkv_utf8_char_len(dkv_span(text.data + at, text.len - at));
        const size_t more = len > 0 ? character_width(dkv_span(text.data + at, len)) : 1;
        if (more > max_width - width) {
            break;
        }
        width += more;
        at += len > 0 ? len : 1;
    }
    *ret_width = width;
    return at;
}

size_t dkv_text_width(struct dkv_span text)
{
    size_t width = 0;
    (void)dkv_text_fits(text, SIZE_MAX, &width);
    return width;
}
