/* SPDX-License-Identifier: Apache-2.0 */
/* base/bytes.h: hexadecimal, base64 (RFC 4648 section 10 has the vectors), UUID, UTF-8, lines. */
#include <stdio.h>

#include "tests/lib/test.h"

/* ---- Hexadecimal ---- */

static void hex_goes_there_and_back_for_every_byte(void)
{
    uint8_t bytes[256], back[256];
    char text[2 * sizeof(bytes) + 1], expected[3];
    size_t len = 0;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)i;
    }

    dkv_to_hex(dkv_span(bytes, sizeof(bytes)), text);

    for (size_t i = 0; i < sizeof(bytes); i++) {
        snprintf(expected, sizeof(expected), "%02zx", i);
        CU_ASSERT_EQUAL_FATAL(strncmp(text + 2 * i, expected, 2), 0);
    }
    CU_ASSERT_TRUE_FATAL(dkv_from_hex(text, strlen(text), back, sizeof(back), &len));
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span(back, len), dkv_span(bytes, sizeof(bytes))));
}

static void hex_is_read_in_either_case(void)
{
    uint8_t out[3];
    size_t len = 0;

    CU_ASSERT_TRUE(dkv_from_hex("aBCdEf", 6, out, sizeof(out), &len));
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span(out, len), dkv_span("\xab\xcd\xef", 3)));
    CU_ASSERT_TRUE(dkv_from_hex("", 0, out, 0, &len));
    CU_ASSERT_EQUAL(len, 0);
    char text[1] = {'x'};
    dkv_to_hex(dkv_span(NULL, 0), text);
    CU_ASSERT_EQUAL(text[0], '\0');
}

static void every_other_character_is_no_hex(void)
{
    for (int c = 0; c < 256; c++) {
        const bool is_digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        for (size_t at = 0; at < 2; at++) {
            char text[2] = {'1', '1'};
            uint8_t out[1];
            size_t len = 99;
            text[at] = (char)c;
            CU_ASSERT_EQUAL_FATAL(dkv_from_hex(text, 2, out, 1, &len), is_digit);
            CU_ASSERT_EQUAL_FATAL(len, is_digit ? 1 : 99);
        }
    }
}

static void odd_or_too_long_hex_is_refused(void)
{
    uint8_t out[2] = {7, 7};
    size_t len = 99;

    CU_ASSERT_FALSE(dkv_from_hex("abc", 3, out, sizeof(out), &len));
    CU_ASSERT_FALSE(dkv_from_hex("aabbcc", 6, out, sizeof(out), &len));
    CU_ASSERT_FALSE(dkv_from_hex("aa", 2, out, 0, &len));

    CU_ASSERT(len == 99 && out[0] == 7 && out[1] == 7);
    CU_ASSERT_TRUE(dkv_from_hex("aabb", 4, out, sizeof(out), &len));
}

/* ---- Base64 ---- */

static const struct {
    const char *bytes, *text;
} vectors[] = {{"", ""},           {"f", "Zg=="},        {"fo", "Zm8="},         {"foo", "Zm9v"},
               {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};

static void base64_meets_the_vectors(void)
{
    struct dkv_error err = {0};
    for (size_t i = 0; i < DKV_COUNT(vectors); i++) {
        struct dkv_buf text = {0};
        uint8_t out[6];
        size_t len = 99;
        ASSERT_OK(dkv_to_base64(dkv_span_str(vectors[i].bytes), &text, &err));
        CU_ASSERT_STRING_EQUAL(dkv_buf_text(&text), vectors[i].text);
        dkv_buf_done(&text);
        CU_ASSERT_TRUE_FATAL(dkv_from_base64(vectors[i].text, strlen(vectors[i].text), out, sizeof(out), &len));
        CU_ASSERT_TRUE(dkv_span_equal(dkv_span(out, len), dkv_span_str(vectors[i].bytes)));
    }
}

static void base64_uses_the_alphabet_in_its_order(void)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct dkv_error err = {0};
    uint8_t out[48];
    size_t len = 0;
    struct dkv_buf text = {0};

    CU_ASSERT_TRUE_FATAL(dkv_from_base64(alphabet, 64, out, sizeof(out), &len));

    CU_ASSERT_EQUAL_FATAL(len, 48);
    for (size_t i = 0; i < 64; i++) {
        const size_t bit = 6 * i;
        const unsigned pair = (unsigned)out[bit / 8] << 8 | (bit / 8 + 1 < 48 ? out[bit / 8 + 1] : 0U);
        CU_ASSERT_EQUAL_FATAL(pair >> (10 - bit % 8) & 63U, i);
    }
    ASSERT_OK(dkv_to_base64(dkv_span(out, len), &text, &err));
    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&text), alphabet);
    dkv_buf_done(&text);
}

static void base64_goes_there_and_back_at_every_length(void)
{
    struct dkv_error err = {0};
    uint8_t bytes[200], back[200];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(255 - i * 37);
    }
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        struct dkv_buf text = {0};
        size_t len = 999;
        ASSERT_OK(dkv_to_base64(dkv_span(bytes, n), &text, &err));
        CU_ASSERT_EQUAL_FATAL(text.len, (n + 2) / 3 * 4);
        CU_ASSERT_TRUE_FATAL(dkv_from_base64(dkv_buf_text(&text), text.len, back, n, &len));
        CU_ASSERT_TRUE_FATAL(dkv_span_equal(dkv_span(back, len), dkv_span(bytes, n)));
        if (n > 0) {
            CU_ASSERT_FALSE_FATAL(dkv_from_base64(dkv_buf_text(&text), text.len, back, n - 1, &len));
        }
        dkv_buf_done(&text);
    }
}

static void every_other_character_is_no_base64(void)
{
    for (int c = 0; c < 256; c++) {
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool is_digit = is_letter || (c >= '0' && c <= '9') || c == '+' || c == '/';
        for (size_t at = 0; at < 8; at++) {
            char text[8] = {'A', 'A', 'A', 'A', 'A', 'A', 'A', 'A'};
            uint8_t out[6];
            size_t len = 99;
            text[at] = (char)c;
            const bool pads = c == '=' && at == 7;
            const bool trails = at == 7 && (c == ' ' || c == '\t' || c == '\r' || c == '\n'); /* then 7 are left */
            CU_ASSERT_EQUAL_FATAL(dkv_from_base64(text, 8, out, sizeof(out), &len), (is_digit || pads) && !trails);
        }
    }
}

static void misplaced_or_missing_padding_is_refused(void)
{
    static const char *const wrong[] = {
        "Z", "Zg", "Zg=", "Zm8", "=", "==", "===", "====", "Z===", "Zg==Zg==", "Zm8=Zm8=", "=Zm9", "Zm9vY===",
        "Zg= =", "Zg===",
    };
    uint8_t out[16];
    for (size_t i = 0; i < DKV_COUNT(wrong); i++) {
        size_t len = 99;
        CU_ASSERT_FALSE_FATAL(dkv_from_base64(wrong[i], strlen(wrong[i]), out, sizeof(out), &len));
        CU_ASSERT_EQUAL_FATAL(len, 99);
    }
}

static void bits_that_padding_leaves_over_must_be_zero(void)
{
    uint8_t out[3];
    size_t len = 99;

    CU_ASSERT_FALSE(dkv_from_base64("Zh==", 4, out, sizeof(out), &len));
    CU_ASSERT_FALSE(dkv_from_base64("Zo==", 4, out, sizeof(out), &len));
    CU_ASSERT_FALSE(dkv_from_base64("Zm9=", 4, out, sizeof(out), &len));
    CU_ASSERT_FALSE(dkv_from_base64("Zm+=", 4, out, sizeof(out), &len));

    CU_ASSERT_EQUAL(len, 99);
}

static void white_space_is_allowed_at_the_end_only(void)
{
    uint8_t out[6];
    size_t len = 0;

    CU_ASSERT_TRUE(dkv_from_base64("Zm8= \t\r\n\n", 9, out, sizeof(out), &len));
    CU_ASSERT_EQUAL(len, 2);
    CU_ASSERT_TRUE(dkv_from_base64(" \n", 2, out, sizeof(out), &len));
    CU_ASSERT_EQUAL(len, 0);
    CU_ASSERT_FALSE(dkv_from_base64("\nZm8=", 5, out, sizeof(out), &len));
    CU_ASSERT_FALSE(dkv_from_base64("Zm9v\nZm9v", 9, out, sizeof(out), &len));
    CU_ASSERT_FALSE(dkv_from_base64("Zm8=\0", 5, out, sizeof(out), &len));
}

static void what_was_decoded_of_a_bad_text_is_wiped(void)
{
    uint8_t out[6];
    size_t len = 99;
    memset(out, 0xff, sizeof(out));

    CU_ASSERT_FALSE(dkv_from_base64("Zm9vYm!y", 8, out, sizeof(out), &len));
    for (size_t i = 0; i < sizeof(out); i++) {
        CU_ASSERT_EQUAL(out[i], 0);
    }
    memset(out, 0xff, sizeof(out));
    CU_ASSERT_FALSE(dkv_from_hex("abcdex", 6, out, sizeof(out), &len));
    CU_ASSERT(out[0] == 0 && out[1] == 0 && out[2] == 0 && out[3] == 0xff);
}

/* ---- UUID ---- */

static void a_uuid_goes_there_and_back(void)
{
    static const char text[] = "01234567-89ab-cdef-0123-456789abcdef";
    struct dkv_uuid uuid = {{0}}, upper = {{0}};
    char formatted[37];

    CU_ASSERT_TRUE(dkv_uuid_parse(text, &uuid));
    CU_ASSERT_TRUE(dkv_uuid_parse("01234567-89AB-CDEF-0123-456789ABCDEF", &upper));
    dkv_uuid_format(&uuid, formatted);

    CU_ASSERT_STRING_EQUAL(formatted, text);
    CU_ASSERT_EQUAL(uuid.bytes[4], 0x89);
    CU_ASSERT_TRUE(dkv_uuid_equal(&uuid, &upper));
    upper.bytes[15] ^= 1;
    CU_ASSERT_FALSE(dkv_uuid_equal(&uuid, &upper));
}

static void what_is_no_uuid_is_refused_and_changes_nothing(void)
{
    static const char *const wrong[] = {
        "", "0123456789abcdef0123456789abcdef", "01234567-89ab-cdef-0123-456789abcde",
        "01234567-89ab-cdef-0123-456789abcdef0", "01234567-89ab-cdef-0123-456789abcdeg",
        "0123456-789ab-cdef-0123-456789abcdef", "{1234567-89ab-cdef-0123-456789abcde}",
        "01234567 89ab-cdef-0123-456789abcdef", "01234567-89ab-cdef-0123-456789abcdef ",
        " 1234567-89ab-cdef-0123-456789abcdef", "01234567-89ab-cdef-0123_456789abcdef",
        "01234567--9ab-cdef-0123-456789abcdef",
    };
    for (size_t i = 0; i < DKV_COUNT(wrong); i++) {
        struct dkv_uuid uuid = {{1, 2, 3}};
        const struct dkv_uuid before = uuid;
        CU_ASSERT_FALSE_FATAL(dkv_uuid_parse(wrong[i], &uuid));
        CU_ASSERT_TRUE_FATAL(dkv_uuid_equal(&uuid, &before));
    }
}

/* ---- UTF-8 ---- */

/* RFC 3629 section 4, written the other way round: from the code point. */
static size_t encode(uint32_t code, uint8_t out[static 4])
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    const size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (code & 63U));
        code >>= 6;
    }
    out[0] = (uint8_t)((0xf00U >> len & 0xffU) | code);
    return len;
}

static void every_code_point_but_the_surrogates_is_valid(void)
{
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        uint8_t bytes[4];
        const size_t len = encode(code, bytes);
        const bool valid = code < 0xd800 || code > 0xdfff;
        const struct dkv_span text = dkv_span(bytes, len);
        if (dkv_utf8_is_valid(text) != valid || dkv_utf8_char_len(text) != (valid ? len : 0)) {
            printf("# code point %x\n", code);
            CU_FAIL_FATAL("wrongly judged");
        }
    }
}

static void a_character_cut_short_is_invalid(void)
{
    static const uint32_t codes[] = {0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff};
    for (size_t i = 0; i < DKV_COUNT(codes); i++) {
        uint8_t bytes[4];
        const size_t len = encode(codes[i], bytes);
        for (size_t cut = 1; cut < len; cut++) {
            CU_ASSERT_FALSE_FATAL(dkv_utf8_is_valid(dkv_span(bytes, cut)));
        }
    }
}

static void malformed_utf8_is_refused(void)
{
    static const char *const wrong[] = {
        "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xff", "\xfe", "\xed\xa0\x80", "\xed\xbf\xbf", "\xc3\x28", "\xe2\x82\x28",
        "\xe2\x28\xa1", "\xf0\x9f\x94\x28", "ok\xffok",
    };
    for (size_t i = 0; i < DKV_COUNT(wrong); i++) {
        CU_ASSERT_FALSE_FATAL(dkv_utf8_is_valid(dkv_span_str(wrong[i])));
    }
    CU_ASSERT_TRUE(dkv_utf8_is_valid(dkv_span(NULL, 0)));
    CU_ASSERT_TRUE(dkv_utf8_is_valid(dkv_span("a\0b", 3)));
    CU_ASSERT_EQUAL(dkv_utf8_char_len(dkv_span(NULL, 0)), 0);
}

static void a_line_takes_whole_characters_while_they_fit(void)
{
    char line[8];

    CU_ASSERT_EQUAL(dkv_line_put(line, sizeof(line), 0, "abcdefg"), 7);
    CU_ASSERT_STRING_EQUAL(line, "abcdefg");
    CU_ASSERT_EQUAL(dkv_line_put(line, sizeof(line), 0, "abcdefgh"), 7);
    CU_ASSERT_EQUAL(dkv_line_put(line, sizeof(line), 5, "\xc3\xa9x"), 7);
    CU_ASSERT_STRING_EQUAL(line, "abcde\xc3\xa9");
    CU_ASSERT_EQUAL(dkv_line_put(line, sizeof(line), 6, "\xc3\xa9x"), 6);
    CU_ASSERT_EQUAL(line[6], '\0');
    CU_ASSERT_EQUAL(dkv_line_put(line, sizeof(line), 7, "x"), 7);
    CU_ASSERT_EQUAL(dkv_line_put(line, 1, 0, "x"), 0);
    CU_ASSERT_STRING_EQUAL(line, "");
}

static const struct dkv_test tests[] = {
    DKV_TEST(hex_goes_there_and_back_for_every_byte),
    DKV_TEST(hex_is_read_in_either_case),
    DKV_TEST(every_other_character_is_no_hex),
    DKV_TEST(odd_or_too_long_hex_is_refused),
    DKV_TEST(base64_meets_the_vectors),
    DKV_TEST(base64_uses_the_alphabet_in_its_order),
    DKV_TEST(base64_goes_there_and_back_at_every_length),
    DKV_TEST(every_other_character_is_no_base64),
    DKV_TEST(misplaced_or_missing_padding_is_refused),
    DKV_TEST(bits_that_padding_leaves_over_must_be_zero),
    DKV_TEST(white_space_is_allowed_at_the_end_only),
    DKV_TEST(what_was_decoded_of_a_bad_text_is_wiped),
    DKV_TEST(a_uuid_goes_there_and_back),
    DKV_TEST(what_is_no_uuid_is_refused_and_changes_nothing),
    DKV_TEST(every_code_point_but_the_surrogates_is_valid),
    DKV_TEST(a_character_cut_short_is_invalid),
    DKV_TEST(malformed_utf8_is_refused),
    DKV_TEST(a_line_takes_whole_characters_while_they_fit),
};

int main(int argc, char **argv)
{
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
