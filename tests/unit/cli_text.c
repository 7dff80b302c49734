/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line reads and writes: JSON, Extended JSON, times, lines, tables. */
#include <stdio.h>
#include <unistd.h>

#include "cli/extjson.h"
#include "cli/input.h"
#include "cli/json_check.h"
#include "cli/output.h"
#include "cli/when.h"
#include "tests/lib/test.h"

/* ---- JSON ---- */

static void one_json_value_is_taken(void)
{
    static const char *const right[] = {
        "1", "-0", "0.5", "1e9", "-12.5E-3", "true", "false", "null", "\"\"", "\"a\\u00ff\\n\\\"\"", "[]", "{}",
            " [1, 2] ", "{\"a\":{\"b\":[{},[]]},\"c\":1}", "\t\n\r 1 \n", "[[[[]]]]", "\"\xc3\xbc\"",
    };
    struct dkv_error err = {0};
    for (size_t i = 0; i < DKV_COUNT(right); i++) {
        ASSERT_OK(dkv_json_check(dkv_span_str(right[i]), &err));
    }
}

static void anything_else_is_refused(void)
{
    static const char *const wrong[] = {
        "", " ", "1 2", "1,2", "1}", "{", "[", "}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "[1,]", "[,1]", "{1:2}",
            "{a:1}",
        "'a'", "\"a", "\"a\nb\"", "\"\\x\"", "\"\\u12g4\"", "01", "+1", ".5", "1.", "1e", "-", "tru", "truee", "nul",
            "NaN",
        "[1 2]", "{\"a\":1 \"b\":2}", "[}", "{]", "1}, {\"v\": 2", "{}{}", "[]]", "\"\xff\"", "/**/1", "\v1",
    };
    for (size_t i = 0; i < DKV_COUNT(wrong); i++) {
        struct dkv_error err = {0};
        ASSERT_RC(DKV_E_INVALID, dkv_json_check(dkv_span_str(wrong[i]), &err));
        ASSERT_SAYS("JSON");
    }
}

static void a_nul_in_json_is_refused(void)
{
    struct dkv_error err = {0};
    ASSERT_RC(DKV_E_INVALID, dkv_json_check(dkv_span("1\0", 2), &err));
    ASSERT_RC(DKV_E_INVALID, dkv_json_check(dkv_span("\"\\\0\"", 4), &err));
}

static void nesting_has_an_end(void)
{
    char text[2 * (DKV_JSON_DEPTH_MAX + 1)];
    struct dkv_error err = {0};
    memset(text, '[', DKV_JSON_DEPTH_MAX + 1);
    memset(text + DKV_JSON_DEPTH_MAX + 1, ']', DKV_JSON_DEPTH_MAX + 1);

    ASSERT_OK(dkv_json_check(dkv_span(text + 1, sizeof(text) - 2), &err));
    ASSERT_RC(DKV_E_INVALID, dkv_json_check(dkv_span(text, sizeof(text)), &err));
    ASSERT_SAYS("deep");
}

/* ---- Extended JSON ---- */

static void a_value_goes_there_and_back(void)
{
    static const struct {
        const char *json, *canonical;
        uint8_t type;
    } values[] = {
        {"5", "{ \"$numberInt\" : \"5\" }", 0x10},
        {"{\"$numberLong\":\"5\"}", "{ \"$numberLong\" : \"5\" }", 0x12},
        {"\"a\\u0000b\"", "\"a\\u0000b\"", 0x02},
        {"null", "null", 0x0a},
        {"true", "true", 0x08},
        {"{}", "{  }", 0x03},
        {"[]", "[  ]", 0x04},
        {"{\"$minKey\":1}", "{ \"$minKey\" : 1 }", 0xff},
        {"\":}{\"", "\":}{\"", 0x02},
    };
    for (size_t i = 0; i < DKV_COUNT(values); i++) {
        struct dkv_error err = {0};
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf bson = {0};
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
        uint8_t type = 0;
        ASSERT_OK(dkv_extjson_read_value(dkv_span_str(values[i].json), &type, &bson, &err));
        CU_ASSERT_EQUAL_FATAL(type, values[i].type);
        ASSERT_OK(dkv_extjson_value(&json, (struct dkv_bson_value){type, dkv_span_buf(&bson)}, &err));
        if (strcmp(dkv_buf_text(&json), values[i].canonical) != 0) {
            printf("# %s became %s\n", values[i].json, dkv_buf_text(&json));
        }
        CU_ASSERT_STRING_EQUAL_FATAL(dkv_buf_text(&json), values[i].canonical);
    }
}

/* {"a": {"a": ... "end"}} of that depth, from the inside out. */
static void nest(unsigned depth, struct dkv_buf *ret)
{
    struct dkv_error err = {0};
    static const char innermost[] = "\x10\0\0\0\x02" "a\0\4\0\0\0end";
    ASSERT_OK(dkv_buf_append(ret, dkv_span(innermost, sizeof(innermost)), &err));
    ASSERT_OK(dkv_buf_append(ret, dkv_span("", 1), &err));
    for (unsigned i = 1; i < depth; i++) {
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf outer = {0};
        const size_t len = ret->len + 8;
        const uint8_t head[] = {(uint8_t)len, (uint8_t)(len >> 8), 0, 0, 0x03, 'a', 0};
        ASSERT_OK(dkv_buf_append(&outer, dkv_span(head, sizeof(head)), &err));
        ASSERT_OK(dkv_buf_append(&outer, dkv_span_buf(ret), &err));
        ASSERT_OK(dkv_buf_append(&outer, dkv_span("", 1), &err));
        dkv_buf_steal(ret, &outer);
    }
}

static void a_deep_value_is_written_whole_or_refused(void)
{
    for (unsigned depth = 1; depth < 230; depth++) {
        struct dkv_error err = {0};
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf bson = {0};
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
        nest(depth, &bson);
        const enum dkv_rc rc = dkv_extjson_value(&json, (struct dkv_bson_value){0x03, dkv_span_buf(&bson)}, &err);
        CU_ASSERT_TRUE_FATAL(rc == DKV_OK || depth > 180); /* MongoDB's servers take 180 */
        CU_ASSERT_TRUE_FATAL(rc != DKV_OK || strstr(dkv_buf_text(&json), "\"end\"") != NULL);
    }
}

static void what_a_terminal_acts_upon_is_escaped(void)
{
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    static const char text[] = "\x11\0\0\0\x1b[m\x7f\xc2\x9b\xe2\x80\xa8\xe2\x80\xa9\xc3\xbc<>";
    const struct dkv_bson_value value = {0x02, dkv_span(text, sizeof(text))};

    ASSERT_OK(dkv_extjson_value(&json, value, &err));

    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&json), "\"\\u001b[m\\u007f\\u009b\\u2028\\u2029\xc3\xbc<>\"");
}

static void what_is_no_extended_json_is_refused(void)
{
    static const char *const wrong[] = {"{\"$numberInt\":\"x\"}", "{\"$oid\":\"12\"}", "{\"$binary\":5}",
                                        "1}, \"w\": {"};
    for (size_t i = 0; i < DKV_COUNT(wrong); i++) {
        struct dkv_error err = {0};
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf bson = {0};
        uint8_t type = 0;
        ASSERT_RC(DKV_E_INVALID, dkv_extjson_read_value(dkv_span_str(wrong[i]), &type, &bson, &err));
        CU_ASSERT_EQUAL(bson.len, 0);
    }
}

static void a_payload_goes_there_and_back(void)
{
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf payload = {0};

    ASSERT_OK(dkv_extjson_payload(&json, dkv_span("\x02\xff\x00", 3), &err));
    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&json), "{\"$binary\":{\"base64\":\"Av8A\",\"subType\":\"06\"}}");
    ASSERT_OK(dkv_extjson_read_payload(dkv_span_buf(&json), &payload, &err));
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span_buf(&payload), dkv_span("\x02\xff\x00", 3)));
    ASSERT_RC(DKV_E_INVALID, dkv_extjson_read_payload(dkv_span_str("\"x\""), &payload, &err));
}

static void bytes_that_are_no_document_are_refused(void)
{
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    static const char wrong[] = "\x0c\0\0\0\x02" "a\0\xff\0\0\0\0";

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_extjson_document(&json, dkv_span("\5\0\0", 3), &err));
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_extjson_document(&json, dkv_span(wrong, 12), &err));
    CU_ASSERT_EQUAL(json.len, 0);
}

/* ---- Times ---- */

static void times_are_read_to_the_millisecond(void)
{
    static const struct {
        const char *text;
        int64_t ms;
    } times[] = {
        {"1970-01-01", 0}, {"1970-01-01T00:00:00.5Z", 500}, {"1969-12-31T23:59:59.999Z", -1},
            {"2026-01-31T12:00:00Z", 1769860800000},
        {"2024-02-29", 1709164800000},
    };
    for (size_t i = 0; i < DKV_COUNT(times); i++) {
        struct dkv_error err = {0};
        int64_t ms = 7;
        ASSERT_OK(dkv_when_parse(times[i].text, &ms, &err));
        CU_ASSERT_EQUAL_FATAL(ms, times[i].ms);
    }
}

static void what_is_no_time_is_refused(void)
{
    static const char *const wrong[] = {
        "", "2026", "2026-1-1", "2026-02-29", "2026-13-01", "2026-00-01", "2026-01-00", "2026-01-01T",
            "2026-01-01T24:00:00Z",
        "2026-01-01T12:00:00", "2026-01-01T12:00Z", "2026-01-01T12:00:60Z", "2026-01-01T12:00:00.Z",
            "2026-01-01T12:00:00.1234Z", "2026-01-01 ", "-026-01-01", "2026-01-01T12:00:00+01:00",
    };
    for (size_t i = 0; i < DKV_COUNT(wrong); i++) {
        struct dkv_error err = {0};
        int64_t ms = 7;
        ASSERT_RC(DKV_E_INVALID, dkv_when_parse(wrong[i], &ms, &err));
        CU_ASSERT_EQUAL(ms, 7);
    }
}

static void times_are_written_in_utc(void)
{
    char text[DKV_WHEN_SIZE];
    dkv_when_format(1769860800999, text);
    CU_ASSERT_STRING_EQUAL(text, "2026-01-31T12:00:00Z");
    dkv_when_format(-1, text);
    CU_ASSERT_STRING_EQUAL(text, "1969-12-31T23:59:59Z");
    dkv_when_format(INT64_MAX, text);
    CU_ASSERT_STRING_EQUAL(text, "9223372036854775807");
}

/* ---- Lines ---- */

/* A descriptor from which text can be read. */
static int reader_of(const char *text, size_t len)
{
    FILE *file = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL_FATAL(fwrite(text, 1, len, file), len);
    CU_ASSERT_EQUAL_FATAL(fflush(file), 0);
    const int fd = dup(fileno(file));
    fclose(file);
    CU_ASSERT_EQUAL_FATAL(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void lines_come_one_by_one(void)
{
    static const char *const expected[] = {"one", "", "three"};
    struct dkv_error err = {0};
    struct dkv_span line;
    bool too_long = true, more = true;
    DKV_CLEANUP(dkv_lines_done) struct dkv_lines lines = {.fd = reader_of("one\n\nthree", 10), .name = "x"};
    for (size_t i = 0; i < DKV_COUNT(expected); i++) {
        ASSERT_OK(dkv_lines_next(&lines, 100, &line, &too_long, &more, &err));
        CU_ASSERT_TRUE_FATAL(more && !too_long && lines.number == i + 1);
        CU_ASSERT_TRUE_FATAL(dkv_span_equal(line, dkv_span_str(expected[i])));
    }
    ASSERT_OK(dkv_lines_next(&lines, 100, &line, &too_long, &more, &err));
    CU_ASSERT_FALSE(more);
    close(lines.fd);
}

static void a_line_that_is_too_long_is_passed_over(void)
{
    enum { LONG = 300000 };
    struct dkv_error err = {0};
    struct dkv_span line;
    bool too_long = false, more = false;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
    ASSERT_OK(dkv_buf_reserve(&text, LONG + 5, &err));
    memset(text.data, 'x', LONG);
    memcpy(text.data + LONG, "\nend\n", 5);
    DKV_CLEANUP(dkv_lines_done) struct dkv_lines lines = {.fd = reader_of((const char *)text.data, LONG + 5),
                                                          .name = "x"};

    ASSERT_OK(dkv_lines_next(&lines, 1000, &line, &too_long, &more, &err));
    CU_ASSERT_TRUE(too_long && more);
    ASSERT_OK(dkv_lines_next(&lines, 1000, &line, &too_long, &more, &err));
    CU_ASSERT_TRUE(!too_long && more && lines.number == 2);
    CU_ASSERT_TRUE(dkv_span_equal(line, dkv_span_str("end")));
    ASSERT_OK(dkv_lines_next(&lines, 1000, &line, &too_long, &more, &err));
    CU_ASSERT_FALSE(more);
    CU_ASSERT_TRUE(lines.buf.capacity < LONG);
    close(lines.fd);
}

static void input_has_a_bound(void)
{
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf buf = {0};
    int fd = reader_of("12345", 5);
    ASSERT_OK(dkv_input_read(fd, "x", 5, &buf, &err));
    CU_ASSERT_EQUAL(buf.len, 5);
    close(fd);
    buf.len = 0;
    fd = reader_of("123456", 6);
    ASSERT_RC(DKV_E_INVALID, dkv_input_read(fd, "x", 5, &buf, &err));
    close(fd);
    ASSERT_RC(DKV_E_INTERNAL, dkv_input_read(-1, "x", 5, &buf, &err));
}

/* ---- Tables ---- */

static void columns_are_aligned_by_characters(void)
{
    static const struct dkv_column columns[] = {{"A", 0}, {"B", 0}};
    struct dkv_error err = {0};
    struct dkv_output out = {.fd = -1};
    DKV_CLEANUP(dkv_table_done) struct dkv_table table = {0};

    ASSERT_OK(dkv_table_begin(&table, &out, columns, 2, &err));
    ASSERT_OK(dkv_table_row(&table, (const struct dkv_cell[]){{"\xc3\xbc\xc3\xbc\xc3\xbc", DKV_GOOD},
                                                              {"x", DKV_PLAIN}}, &err));
    ASSERT_OK(dkv_table_row(&table, (const struct dkv_cell[]){{"a\x1b[31m\xc2\x9b\xe2\x80\xae", DKV_BAD},
                                                              {NULL, DKV_PLAIN}}, &err));
    CU_ASSERT_EQUAL(out.pending.len, 0);
    ASSERT_OK(dkv_table_end(&table, &err));

    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&out.pending), "A         B\n\xc3\xbc\xc3\xbc\xc3\xbc       x\na?[31m??  \n");
    dkv_buf_done(&out.pending);
}

static void columns_are_aligned_as_a_terminal_shows_them(void)
{
    static const struct dkv_column columns[] = {{"A", 0}, {"B", 0}};
    struct dkv_error err = {0};
    struct dkv_output out = {.fd = -1, .quiet = true};
    DKV_CLEANUP(dkv_table_done) struct dkv_table table = {0};

    ASSERT_OK(dkv_table_begin(&table, &out, columns, 2, &err));
    ASSERT_OK(dkv_table_row(&table, (const struct dkv_cell[]){{"\xe9\x8d\xb5\xe3\x83\xbc", DKV_PLAIN},
                                                              {"x", DKV_PLAIN}}, &err)); /* two wide ones */
    ASSERT_OK(dkv_table_row(&table, (const struct dkv_cell[]){{"e\xcc\x81" "abc", DKV_PLAIN}, /* e, acute */
                                                              {"\xf0\x9f\x98\x80", DKV_PLAIN}}, &err));
    ASSERT_OK(dkv_table_row(&table, (const struct dkv_cell[]){{"a\tb\n", DKV_PLAIN}, {"x", DKV_PLAIN}}, &err));
    ASSERT_OK(dkv_table_end(&table, &err));

    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&out.pending), "\xe9\x8d\xb5\xe3\x83\xbc  x\n"
                                                       "e\xcc\x81" "abc  \xf0\x9f\x98\x80\n"
                                                       "a?b?  x\n");
    dkv_buf_done(&out.pending);
}

static void text_has_the_width_that_a_terminal_gives_it(void)
{
    size_t width = 0;
    CU_ASSERT_EQUAL(dkv_text_width(dkv_span_str("")), 0);
    CU_ASSERT_EQUAL(dkv_text_width(dkv_span_str("abc")), 3);
    CU_ASSERT_EQUAL(dkv_text_width(dkv_span_str("\xc3\xbc")), 1);
    CU_ASSERT_EQUAL(dkv_text_width(dkv_span_str("\xe9\x8d\xb5")), 2);
    CU_ASSERT_EQUAL(dkv_text_width(dkv_span_str("u\xcc\x88")), 1);
    CU_ASSERT_EQUAL(dkv_text_width(dkv_span_str("\xef\xbc\xa1\xed\x9e\xa3\xf0\x9f\x98\x80")), 6);
    CU_ASSERT_EQUAL(dkv_text_fits(dkv_span_str("a\xe9\x8d\xb5z"), 2, &width), 1); /* no half of a character */
    CU_ASSERT_EQUAL(width, 1);
    CU_ASSERT_EQUAL(dkv_text_fits(dkv_span_str("a\xe9\x8d\xb5z"), 3, &width), 4);
}

/* The table of one long cell, on a terminal of that width. */
static void print_long(size_t terminal_width, bool whole, struct dkv_output *out)
{
    static const struct dkv_column columns[] = {{"A", 4}, {"B", 0}};
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_table_done) struct dkv_table table = {.whole = whole};
    out->terminal_width = terminal_width;
    out->pending.len = 0;
    ASSERT_OK(dkv_table_begin(&table, out, columns, 2, &err));
    ASSERT_OK(dkv_table_row(&table, (const struct dkv_cell[]){{"a", DKV_PLAIN},
                                                              {"0123456789012345678901234567890", DKV_PLAIN}}, &err));
    ASSERT_OK(dkv_table_end(&table, &err));
}

static void the_last_column_is_shortened_on_a_terminal_alone(void)
{
    struct dkv_output out = {.fd = -1, .quiet = true};
    print_long(0, false, &out);
    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&out.pending), "a     0123456789012345678901234567890\n");
    print_long(37, false, &out);
    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&out.pending), "a     0123456789012345678901234567890\n");
    print_long(36, false, &out);
    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&out.pending), "a     012345678901234567890123456...\n");
    print_long(10, false, &out); /* something must be seen */
    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&out.pending), "a     01234567890123456...\n");
    print_long(10, true, &out);
    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&out.pending), "a     0123456789012345678901234567890\n");
    dkv_buf_done(&out.pending);
}

static void prose_is_wrapped_at_the_terminals_width(void)
{
    struct dkv_error err = {0};
    struct dkv_output out = {.fd = -1, .terminal_width = 40};
    ASSERT_OK(dkv_out_wrapped(&out, "one two three four five six seven eight nine", 4, 4, &err));
    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&out.pending), "one two three four five six seven\n    eight nine\n");
    out.pending.len = 0;
    out.terminal_width = 0;
    ASSERT_OK(dkv_out_wrapped(&out, "one two three four five six seven eight nine", 4, 4, &err));
    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&out.pending), "one two three four five six seven eight nine\n");
    dkv_buf_done(&out.pending);
}

static void a_table_of_fixed_widths_keeps_nothing(void)
{
    static const struct dkv_column columns[] = {{"A", 3}, {"B", 0}};
    struct dkv_error err = {0};
    struct dkv_output out = {.fd = -1, .quiet = true, .colour = true};
    DKV_CLEANUP(dkv_table_done) struct dkv_table table = {0};

    ASSERT_OK(dkv_table_begin(&table, &out, columns, 2, &err));
    ASSERT_OK(dkv_table_row(&table, (const struct dkv_cell[]){{"a", DKV_GOOD}, {"b", DKV_PLAIN}}, &err));

    CU_ASSERT_EQUAL(table.cells.len, 0);
    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&out.pending), "\033[32ma\033[0m    b\n");
    dkv_buf_done(&out.pending);
}

static void output_that_cant_be_written_is_an_error(void)
{
    struct dkv_error err = {0};
    struct dkv_output out = {.fd = -1};
    ASSERT_OK(dkv_out_printf(&out, &err, "x"));
    ASSERT_RC(DKV_E_RESOURCE, dkv_out_flush(&out, &err));
    ASSERT_SAYS("standard output");
    dkv_buf_done(&out.pending);
}

static const struct dkv_test tests[] = {
    DKV_TEST(one_json_value_is_taken),
    DKV_TEST(anything_else_is_refused),
    DKV_TEST(a_nul_in_json_is_refused),
    DKV_TEST(nesting_has_an_end),
    DKV_TEST(a_value_goes_there_and_back),
    DKV_TEST(a_deep_value_is_written_whole_or_refused),
    DKV_TEST(what_a_terminal_acts_upon_is_escaped),
    DKV_TEST(what_is_no_extended_json_is_refused),
    DKV_TEST(a_payload_goes_there_and_back),
    DKV_TEST(bytes_that_are_no_document_are_refused),
    DKV_TEST(times_are_read_to_the_millisecond),
    DKV_TEST(what_is_no_time_is_refused),
    DKV_TEST(times_are_written_in_utc),
    DKV_TEST(lines_come_one_by_one),
    DKV_TEST(a_line_that_is_too_long_is_passed_over),
    DKV_TEST(input_has_a_bound),
    DKV_TEST(columns_are_aligned_by_characters),
    DKV_TEST(columns_are_aligned_as_a_terminal_shows_them),
    DKV_TEST(text_has_the_width_that_a_terminal_gives_it),
    DKV_TEST(the_last_column_is_shortened_on_a_terminal_alone),
    DKV_TEST(prose_is_wrapped_at_the_terminals_width),
    DKV_TEST(a_table_of_fixed_widths_keeps_nothing),
    DKV_TEST(output_that_cant_be_written_is_an_error),
};

int main(int argc, char **argv)
{
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
