/* SPDX-License-Identifier: Apache-2.0 */
/* Extended JSON into BSON: what is taken is what libbson makes of it where libbson is right, and comes out again as
 * it went in; what would be changed is refused, with its place and what to write. */
#include <bson/bson.h>
#include <stdio.h>

#include "cli/extjson.h"
#include "tests/lib/test.h"

static enum dkv_rc read_text(const char *json, uint8_t *ret_type, struct dkv_buf *bson, struct dkv_error *err)
{
    return dkv_extjson_read_value(dkv_span_str(json), ret_type, bson, err);
}

/* Canonical Extended JSON, without its spaces outside strings. */
static void canonical(const char *json, struct dkv_buf *ret)
{
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bson = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
    uint8_t type = 0;
    bool in_string = false;
    const enum dkv_rc rc = read_text(json, &type, &bson, &err);
    if (rc != DKV_OK) {
        printf("# %s: %s\n", json, err.message);
    }
    CU_ASSERT_EQUAL_FATAL(rc, DKV_OK);
    ASSERT_OK(dkv_extjson_value(&text, (struct dkv_bson_value){type, dkv_span_buf(&bson)}, &err));
    for (size_t i = 0; i < text.len; i++) {
        in_string = in_string != (text.data[i] == '"' && (i == 0 || text.data[i - 1] != '\\'));
        if (in_string || text.data[i] != ' ') {
            ASSERT_OK(dkv_buf_append(ret, dkv_span(text.data + i, 1), &err));
        }
    }
}

static const char *const canonical_values[] = {
    "{\"$numberInt\":\"0\"}",
    "{\"$numberInt\":\"-2147483648\"}",
    "{\"$numberInt\":\"2147483647\"}",
    "{\"$numberLong\":\"0\"}",
    "{\"$numberLong\":\"-9223372036854775808\"}",
    "{\"$numberLong\":\"9223372036854775807\"}",
    "{\"$numberDouble\":\"1.5\"}",
    "{\"$numberDouble\":\"-0.0\"}",
    "{\"$numberDouble\":\"0.10000000000000000555\"}",
    "{\"$numberDouble\":\"1.7976931348623157081e+308\"}",
    "{\"$numberDouble\":\"4.9406564584124654418e-324\"}",
    "{\"$numberDouble\":\"Infinity\"}",
    "{\"$numberDouble\":\"-Infinity\"}",
    "{\"$numberDouble\":\"NaN\"}",
    "{\"$numberDecimal\":\"1.50\"}",
    "{\"$numberDecimal\":\"0.00\"}",
    "{\"$numberDecimal\":\"-0\"}",
    "{\"$numberDecimal\":\"1E+3\"}",
    "{\"$numberDecimal\":\"0E-6176\"}",
    "{\"$numberDecimal\":\"9.999999999999999999999999999999999E+6144\"}",
    "{\"$numberDecimal\":\"12345678901234567890123456789012.34\"}",
    "{\"$numberDecimal\":\"NaN\"}",
    "{\"$numberDecimal\":\"-Infinity\"}",
    "{\"$date\":{\"$numberLong\":\"-1\"}}",
    "{\"$date\":{\"$numberLong\":\"9223372036854775807\"}}",
    "{\"$oid\":\"0123456789abcdef01234567\"}",
    "{\"$binary\":{\"base64\":\"AAEC\",\"subType\":\"00\"}}",
    "{\"$binary\":{\"base64\":\"\",\"subType\":\"ff\"}}",
    "{\"$binary\":{\"base64\":\"AA==\",\"subType\":\"02\"}}",
    "{\"$timestamp\":{\"t\":4294967295,\"i\":1}}",
    "{\"$regularExpression\":{\"pattern\":\"a\\\\/b\",\"options\":\"ilmsux\"}}",
    "{\"$regularExpression\":{\"pattern\":\"\",\"options\":\"\"}}",
    "{\"$code\":\"f()\"}",
    "{\"$code\":\"f()\",\"$scope\":{\"x\":{\"$numberInt\":\"1\"}}}",
    "{\"$symbol\":\"s\"}",
    "{\"$minKey\":1}",
    "{\"$maxKey\":1}",
    "{\"$undefined\":true}",
    "\"\"",
    "\"a\\u0000b\xc3\xbc\xf0\x9f\x98\x80\"",
    "true",
    "false",
    "null",
    "{}",
    "[]",
    "[{},[],{\"a\":[{\"$numberInt\":\"1\"},{\"b\":{\"$oid\":\"0123456789abcdef01234567\"}}],\"\":null}]",
    "{\"$ref\":\"c\",\"$id\":{\"$numberInt\":\"5\"},\"$db\":\"d\",\"more\":true}",
};

static void canonical_values_come_out_as_they_went_in(void)
{
    for (size_t i = 0; i < DKV_COUNT(canonical_values); i++) {
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
        canonical(canonical_values[i], &text);
        if (strcmp(dkv_buf_text(&text), canonical_values[i]) != 0) {
            printf("# %s became %s\n", canonical_values[i], dkv_buf_text(&text));
        }
        CU_ASSERT_STRING_EQUAL(dkv_buf_text(&text), canonical_values[i]);
    }
}

static void other_ways_to_write_a_value_are_taken(void)
{
    static const char *const values[][2] = {
        {"5", "{\"$numberInt\":\"5\"}"},
        {" -2147483649 ", "{\"$numberLong\":\"-2147483649\"}"},
        {"9223372036854775807", "{\"$numberLong\":\"9223372036854775807\"}"},
        {"-9223372036854775808", "{\"$numberLong\":\"-9223372036854775808\"}"},
        {"5.0", "{\"$numberDouble\":\"5.0\"}"},
        {"1e3", "{\"$numberDouble\":\"1000.0\"}"},
        {"-0.0", "{\"$numberDouble\":\"-0.0\"}"},
        {"0.1", "{\"$numberDouble\":\"0.10000000000000000555\"}"},
        {"5e-324", "{\"$numberDouble\":\"4.9406564584124654418e-324\"}"},
        {"9007199254740992.0", "{\"$numberDouble\":\"9007199254740992.0\"}"},
        {"{\"$numberDouble\":\"5\"}", "{\"$numberDouble\":\"5.0\"}"},
        {"{\"$numberDecimal\":\"1e3\"}", "{\"$numberDecimal\":\"1E+3\"}"},
        {"{\"$date\":\"2026-01-31T12:00:00.123Z\"}", "{\"$date\":{\"$numberLong\":\"1769860800123\"}}"},
        {"{\"$date\":\"1969-12-31T23:59:59.999Z\"}", "{\"$date\":{\"$numberLong\":\"-1\"}}"},
        {"{\"$oid\":\"0123456789ABCDEF01234567\"}", "{\"$oid\":\"0123456789abcdef01234567\"}"},
        {"{\"$binary\":{\"subType\":\"4\",\"base64\":\"AAEC\"}}",
         "{\"$binary\":{\"base64\":\"AAEC\",\"subType\":\"04\"}}"},
        {"{\"$uuid\":\"00010203-0405-0607-0809-0A0B0C0D0E0F\"}",
         "{\"$binary\":{\"base64\":\"AAECAwQFBgcICQoLDA0ODw==\",\"subType\":\"04\"}}"},
        {"{ \"$timestamp\" : { \"i\" : 1 , \"t\" : 0 } }", "{\"$timestamp\":{\"t\":0,\"i\":1}}"},
        {"{\"\\u0024oid\":\"0123456789abcdef01234567\"}", "{\"$oid\":\"0123456789abcdef01234567\"}"},
        {"\"\\ud83d\\ude00\\u00fc\\u20ac\\/\"", "\"\xf0\x9f\x98\x80\xc3\xbc\xe2\x82\xac/\""},
    };
    for (size_t i = 0; i < DKV_COUNT(values); i++) {
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
        canonical(values[i][0], &text);
        if (strcmp(dkv_buf_text(&text), values[i][1]) != 0) {
            printf("# %s became %s\n", values[i][0], dkv_buf_text(&text));
        }
        CU_ASSERT_STRING_EQUAL(dkv_buf_text(&text), values[i][1]);
    }
}

/* Two readers that were written apart agree on every byte. */
static void libbson_reads_the_same(void)
{
    for (size_t i = 0; i < DKV_COUNT(canonical_values); i++) {
        struct dkv_error err = {0};
        bson_error_t reason;
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf bson = {0};
        ASSERT_OK(dkv_buf_printf(&json, &err, "{\"v\":%s}", canonical_values[i]));
        ASSERT_OK(dkv_extjson_read_document(dkv_span_buf(&json), &bson, &err));
        bson_t *expected = bson_new_from_json(json.data, (ssize_t)json.len, &reason);
        const bool same = expected != NULL &&
            dkv_span_equal(dkv_span(bson_get_data(expected), expected->len), dkv_span_buf(&bson));
        if (!same) {
            printf("# %s: libbson says %s\n", canonical_values[i], expected != NULL ? "otherwise" : reason.message);
        }
        CU_ASSERT_TRUE(same);
        bson_destroy(expected);
    }
}

static void a_pointer_to_a_document_is_read(void)
{
    static const char expected[] = "\4\0\0\0a.b\0\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67";
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bson = {0};
    uint8_t type = 0;
    ASSERT_OK(read_text("{\"$dbPointer\":{\"$ref\":\"a.b\",\"$id\":{\"$oid\":\"0123456789abcdef01234567\"}}}", &type,
                        &bson, &err));
    CU_ASSERT_EQUAL(type, 0x0c);
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span_buf(&bson), dkv_span(expected, sizeof(expected) - 1)));
}

static const char *const wrong_values[] = {
    /* Plain numbers */
    "18446744073709551616", "99999999999999999999", "9223372036854775808", "-9223372036854775809", "-0", "1e400",
    "-1e400", "1e-400", "9007199254740993.0", "0.1234567890123456789012", "123456789012345678901234567890.0",
    "1e99999999999999999999",
    /* Integers */
    "{\"$numberInt\":\"2147483648\"}", "{\"$numberInt\":\"-2147483649\"}", "{\"$numberInt\":\"99999999999999999999\"}",
    "{\"$numberInt\":\"1e3\"}", "{\"$numberInt\":\"0x10\"}", "{\"$numberInt\":\" 5\"}", "{\"$numberInt\":\"5 \"}",
    "{\"$numberInt\":\"+5\"}", "{\"$numberInt\":\"05\"}", "{\"$numberInt\":\"-0\"}", "{\"$numberInt\":\"\"}",
    "{\"$numberInt\":\"-\"}", "{\"$numberInt\":\"5\\u0000\"}", "{\"$numberInt\":5}", "{\"$numberInt\":null}",
    "{\"$numberInt\":\"x\"}", "{\"$numberInt\":\"5\",\"a\":1}", "{\"$numberInt\":\"5\",\"$numberInt\":\"6\"}",
    "{\"$numberLong\":\"9223372036854775808\"}", "{\"$numberLong\":\"-9223372036854775809\"}",
    "{\"$numberLong\":\"1.0\"}", "{\"$numberLong\":\"\"}", "{\"$numberLong\":5}",
    /* Doubles and decimals */
    "{\"$numberDouble\":\"1.5x\"}", "{\"$numberDouble\":\"\"}", "{\"$numberDouble\":\"nan\"}",
    "{\"$numberDouble\":\"inf\"}", "{\"$numberDouble\":\"+Infinity\"}", "{\"$numberDouble\":\"1e309\"}",
    "{\"$numberDouble\":\"0x1p3\"}", "{\"$numberDouble\":\" 1.5\"}", "{\"$numberDouble\":\"1.5\\u0000\"}",
    "{\"$numberDouble\":1.5}", "{\"$numberDouble\":\"9007199254740993\"}", "{\"$numberDouble\":\"1.\"}",
    "{\"$numberDecimal\":\"abc\"}", "{\"$numberDecimal\":\"\"}", "{\"$numberDecimal\":\"1E6145\"}",
    "{\"$numberDecimal\":\"1E6112\"}", "{\"$numberDecimal\":\"1E-6177\"}", "{\"$numberDecimal\":\"0E-6177\"}",
    "{\"$numberDecimal\":\"1E99999999999999999999\"}", "{\"$numberDecimal\":\"12345678901234567890123456789012345\"}",
    "{\"$numberDecimal\":\"1.0000000000000000000000000000000000\"}", "{\"$numberDecimal\":\"-NaN\"}",
    "{\"$numberDecimal\":\"inf\"}", "{\"$numberDecimal\":1.5}", "{\"$numberDecimal\":\" 1\"}",
    /* Dates and timestamps */
    "{\"$date\":\"2026-01-31\"}", "{\"$date\":\"2026-02-31T12:00:00Z\"}", "{\"$date\":\"2026-01-31T12:00:00\"}",
    "{\"$date\":\"2026-01-31T12:00:00.1234Z\"}", "{\"$date\":\"2026-01-31T12:00:00+01:00\"}", "{\"$date\":\"x\"}",
    "{\"$date\":\"\"}", "{\"$date\":\"2026-01-31T12:00:00Z\\u0000\"}", "{\"$date\":5}", "{\"$date\":null}",
    "{\"$date\":{}}", "{\"$date\":{\"$numberLong\":\"x\"}}", "{\"$date\":{\"$numberInt\":\"5\"}}",
    "{\"$date\":{\"$numberLong\":\"5\",\"a\":1}}", "{\"$date\":{\"$numberLong\":\"9223372036854775808\"}}",
    "{\"$timestamp\":{\"t\":4294967296,\"i\":1}}", "{\"$timestamp\":{\"t\":-1,\"i\":1}}",
    "{\"$timestamp\":{\"t\":1.5,\"i\":1}}", "{\"$timestamp\":{\"t\":1}}", "{\"$timestamp\":{\"t\":1,\"t\":1}}",
    "{\"$timestamp\":{\"t\":1,\"i\":1,\"x\":1}}", "{\"$timestamp\":{\"t\":\"1\",\"i\":1}}", "{\"$timestamp\":5}",
    "{\"$timestamp\":{}}",
    /* Bytes */
    "{\"$oid\":\"12\"}", "{\"$oid\":\"0123456789abcdef0123456\"}", "{\"$oid\":\"0123456789abcdef012345678\"}",
    "{\"$oid\":\"0123456789abcdef0123456g\"}", "{\"$oid\":5}", "{\"$oid\":\"\"}",
    "{\"$binary\":{\"base64\":\"AAEC\",\"subType\":\"fff\"}}", "{\"$binary\":{\"base64\":\"AAEC\",\"subType\":\"\"}}",
    "{\"$binary\":{\"base64\":\"AAEC\",\"subType\":\"g\"}}", "{\"$binary\":{\"base64\":\"AAEC\",\"subType\":0}}",
    "{\"$binary\":{\"base64\":\"AAEC\"}}", "{\"$binary\":{\"subType\":\"00\"}}",
    "{\"$binary\":{\"base64\":\"A\",\"subType\":\"00\"}}", "{\"$binary\":{\"base64\":\"AA\",\"subType\":\"00\"}}",
    "{\"$binary\":{\"base64\":\"AB==\",\"subType\":\"00\"}}", "{\"$binary\":{\"base64\":\"AAEC \",\"subType\":\"00\"}}",
    "{\"$binary\":{\"base64\":\"AA-_\",\"subType\":\"00\"}}",
    "{\"$binary\":{\"base64\":\"AA==AAEC\",\"subType\":\"0\"}}",
    "{\"$binary\":{\"base64\":\"AAEC\",\"subType\":\"00\",\"x\":1}}", "{\"$binary\":5}",
    "{\"$binary\":\"AAEC\",\"$type\":\"00\"}", "{\"$uuid\":\"x\"}", "{\"$uuid\":\"000102030405060708090a0b0c0d0e0f\"}",
    /* The rest */
    "{\"$regularExpression\":{\"pattern\":\"a\",\"options\":\"zzi\"}}",
    "{\"$regularExpression\":{\"pattern\":\"a\",\"options\":\"mi\"}}",
    "{\"$regularExpression\":{\"pattern\":\"a\",\"options\":\"ii\"}}",
    "{\"$regularExpression\":{\"pattern\":\"a\\u0000b\",\"options\":\"i\"}}",
    "{\"$regularExpression\":{\"pattern\":\"a\"}}", "{\"$regularExpression\":\"a\"}", "{\"$regex\":\"a\"}",
    "{\"$code\":5}", "{\"$code\":\"\",\"$scope\":5}", "{\"$code\":\"\",\"scope\":{}}",
    "{\"$code\":\"\",\"$scope\":{},\"a\":1}",
    "{\"$code\":\"\",\"$scope\":{\"a\":1,\"a\":2}}", "{\"$scope\":{},\"$code\":\"\"}", "{\"$symbol\":5}",
    "{\"$dbPointer\":{\"$ref\":5,\"$id\":{\"$oid\":\"0123456789abcdef01234567\"}}}",
    "{\"$dbPointer\":{\"$ref\":\"a\",\"$id\":\"b\"}}", "{\"$dbPointer\":{\"$ref\":\"a\",\"$id\":{\"$oid\":\"b\"}}}",
    "{\"$minKey\":2}", "{\"$minKey\":true}", "{\"$maxKey\":\"1\"}", "{\"$undefined\":false}",
    "{\"$undefined\":\"true\"}",
    "{\"$nothing\":1}", "{\"$\":1}", "{\"a\":1,\"$b\":1}", "{\"a\":1,\"$oid\":\"0123456789abcdef01234567\"}",
    "{\"$ref\":\"c\",\"$other\":1}", "{\"a\":1,\"a\":1}", "{\"a\":1,\"b\":2,\"\\u0061\":3}", "{\"a\\u0000b\":1}",
    "{\"a\":1,\"$ref\":\"c\"}",
    "\"\\ud83d\"", "\"\\ude00\"", "\"\\ud83dx\"", "\"\\ud83d\\ud83d\"", "\"\\ude00\\ud83d\"", "{\"\\ud83d\":1}",
};

static void what_would_be_changed_is_refused(void)
{
    for (size_t i = 0; i < DKV_COUNT(wrong_values); i++) {
        struct dkv_error err = {0};
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf bson = {0};
        uint8_t type = 7;
        const enum dkv_rc rc = read_text(wrong_values[i], &type, &bson, &err);
        if (rc != DKV_E_INVALID || strncmp(err.message, "byte ", 5) != 0) {
            printf("# %s: %d %s\n", wrong_values[i], rc, err.message);
        }
        CU_ASSERT_EQUAL(rc, DKV_E_INVALID);
        CU_ASSERT_EQUAL(strncmp(err.message, "byte ", 5), 0);
        CU_ASSERT_TRUE(type == 7 && bson.len == 0);
    }
}

static void the_same_is_refused_deep_inside(void)
{
    static const char *const around[] = {"[1,%s]", "{\"a\":{\"b\":%s}}", "{\"a\":[{\"b\":[%s]}]}",
                                         "{\"$code\":\"\",\"$scope\":{\"a\":%s}}"};
    for (size_t i = 0; i < DKV_COUNT(wrong_values) * DKV_COUNT(around); i++) {
        struct dkv_error err = {0};
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf bson = {0};
        uint8_t type = 7;
        const char *frame = around[i % DKV_COUNT(around)], *value = wrong_values[i / DKV_COUNT(around)];
        const char *hole = strstr(frame, "%s");
        ASSERT_OK(dkv_buf_printf(&json, &err, "%.*s%s%s", (int)(hole - frame), frame, value, hole + 2));
        ASSERT_RC(DKV_E_INVALID, dkv_extjson_read_value(dkv_span_buf(&json), &type, &bson, &err));
        CU_ASSERT_EQUAL(bson.len, 0);
    }
}

static void a_refusal_names_the_place_and_what_to_write(void)
{
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bson = {0};
    uint8_t type = 0;
    ASSERT_RC(DKV_E_INVALID, read_text("{\"a\": {\"$numberInt\": \"77777777777\"}}", &type, &bson, &err));
    ASSERT_SAYS("byte 7");
    ASSERT_SAYS("write {\"$numberInt\": \"5\"}");
    CU_ASSERT_PTR_NULL(strstr(err.message, "7777")); /* it may be a plaintext */
    ASSERT_RC(DKV_E_INVALID, read_text("[18446744073709551616]", &type, &bson, &err));
    ASSERT_SAYS("byte 2");
    ASSERT_SAYS("$numberDecimal");
}

static void a_value_that_cant_be_printed_is_not_taken(void)
{
    char text[2 * 181];
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bson = {0};
    uint8_t type = 0;
    memset(text, '[', 181);
    memset(text + 181, ']', 181);
    ASSERT_OK(dkv_extjson_read_value(dkv_span(text + 1, 360), &type, &bson, &err));
    ASSERT_RC(DKV_E_INVALID, dkv_extjson_read_value(dkv_span(text, 362), &type, &bson, &err));
    ASSERT_SAYS("deep");
}

static void a_document_is_an_object_that_is_no_type(void)
{
    static const char *const wrong[] = {"5", "[]", "\"a\"", "{\"$oid\":\"0123456789abcdef01234567\"}"};
    for (size_t i = 0; i < DKV_COUNT(wrong); i++) {
        struct dkv_error err = {0};
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf bson = {0};
        ASSERT_RC(DKV_E_INVALID, dkv_extjson_read_document(dkv_span_str(wrong[i]), &bson, &err));
        ASSERT_SAYS("document");
        CU_ASSERT_EQUAL(bson.len, 0);
    }
}

static const struct dkv_test tests[] = {
    DKV_TEST(canonical_values_come_out_as_they_went_in),
    DKV_TEST(other_ways_to_write_a_value_are_taken),
    DKV_TEST(libbson_reads_the_same),
    DKV_TEST(a_pointer_to_a_document_is_read),
    DKV_TEST(what_would_be_changed_is_refused),
    DKV_TEST(the_same_is_refused_deep_inside),
    DKV_TEST(a_refusal_names_the_place_and_what_to_write),
    DKV_TEST(a_value_that_cant_be_printed_is_not_taken),
    DKV_TEST(a_document_is_an_object_that_is_no_type),
};

int main(int argc, char **argv)
{
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
