/* SPDX-License-Identifier: Apache-2.0 */
/* The type wrappers of Extended JSON v2, {"$type": ...}, as a table: each reads its value and nothing else. What a
 * wrapper doesn't take is refused with the words of its row. Owns nothing; no lock. */
#include "cli/extjson_read.h"

#include <bson/bson.h>
#include <math.h>

#include "cli/extjson_number.h"
#include "cli/when.h"

struct dkv_json_wrapper {
    const char *name;
    uint8_t type;
    const char *write; /* what the error says to write */
    enum dkv_rc (*read)(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err);
};

static enum dkv_rc refuse(const struct dkv_json_reader *reader, struct dkv_error *err)
{
    return dkv_fail(err, DKV_E_INVALID, "byte %zu: not a %s that BSON carries exactly: write %s",
                    reader->wrapper_at + 1, reader->wrapper->name, reader->wrapper->write);
}

#define REQUIRE(condition)            \
    do {                              \
        if (!(condition)) {           \
            return refuse(reader, err); \
        }                             \
    } while (0)

/* The string that must stand here. */
static enum dkv_rc take_text(struct dkv_json_reader *reader, struct dkv_buf *ret, struct dkv_error *err)
{
    REQUIRE(dkv_json_peek(reader) == '"');
    return dkv_json_text(reader, ret, err);
}

/* An object with exactly these two fields, in either order. Leaves the reader behind it, and where the values are. */
static enum dkv_rc take_pair(struct dkv_json_reader *reader, const char *const names[2], size_t ret_at[2],
                             struct dkv_error *err)
{
    bool seen[2] = {false, false};
    REQUIRE(dkv_json_take(reader, '{'));
    for (int i = 0; i < 2; i++) {
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf name = {0};
        REQUIRE(i == 0 || dkv_json_take(reader, ','));
        DKV_TRY(take_text(reader, &name, err));
        const int which = dkv_span_equal(dkv_span_buf(&name), dkv_span_str(names[1]));
        REQUIRE((which == 1 || dkv_span_equal(dkv_span_buf(&name), dkv_span_str(names[0]))) && !seen[which]);
        seen[which] = true;
        (void)dkv_json_take(reader, ':');
        (void)dkv_json_peek(reader);
        ret_at[which] = reader->at;
        dkv_json_skip(reader);
    }
    REQUIRE(dkv_json_take(reader, '}'));
    return DKV_OK;
}

static enum dkv_rc take_text_at(const struct dkv_json_reader *whole, size_t at, struct dkv_buf *ret,
                                struct dkv_error *err)
{
    struct dkv_json_reader reader = *whole;
    reader.at = at;
    return take_text(&reader, ret, err);
}

/* ---- Numbers ---- */

static enum dkv_rc take_int(struct dkv_json_reader *reader, int64_t min, int64_t max, int64_t *ret,
                            struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
    DKV_TRY(take_text(reader, &text, err));
    REQUIRE(dkv_number_int(dkv_span_buf(&text), min, max, ret));
    return DKV_OK;
}

static enum dkv_rc read_int(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    int64_t number = 0;
    DKV_TRY(take_int(reader, INT32_MIN, INT32_MAX, &number, err));
    return dkv_bson_le(out, (uint64_t)number, 4, err);
}

static enum dkv_rc read_long(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    int64_t number = 0;
    DKV_TRY(take_int(reader, INT64_MIN, INT64_MAX, &number, err));
    return dkv_bson_le(out, (uint64_t)number, 8, err);
}

/* The doubles and decimals that are no numbers. */
static const struct {
    const char *text;
    double as_double;
} specials[] = {
    {"NaN", (double)NAN},
    {"Infinity", (double)INFINITY},
    {"-Infinity", -(double)INFINITY},
};

static int find_special(struct dkv_span text)
{
    for (size_t i = 0; i < DKV_COUNT(specials); i++) {
        if (dkv_span_equal(text, dkv_span_str(specials[i].text))) {
            return (int)i;
        }
    }
    return -1;
}

static enum dkv_rc read_double(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
    double number = 0;
    uint64_t bits = 0;
    DKV_TRY(take_text(reader, &text, err));
    const int special = find_special(dkv_span_buf(&text));
    REQUIRE(special >= 0 || dkv_number_double(dkv_span_buf(&text), &number));
    number = special >= 0 ? specials[special].as_double : number;
    memcpy(&bits, &number, sizeof(bits));
    return dkv_bson_le(out, bits, 8, err);
}

static enum dkv_rc read_decimal(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
    bson_decimal128_t number = {0};
    DKV_TRY(take_text(reader, &text, err));
    const int special = find_special(dkv_span_buf(&text));
    REQUIRE(special >= 0 ? bson_decimal128_from_string(specials[special].text, &number)
                         : dkv_number_decimal(dkv_span_buf(&text), &number));
    DKV_TRY(dkv_bson_le(out, number.low, 8, err));
    return dkv_bson_le(out, number.high, 8, err);
}

static enum dkv_rc read_timestamp(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    static const char *const names[] = {"i", "t"};
    size_t at[2] = {0};
    DKV_TRY(take_pair(reader, names, at, err));
    for (int i = 0; i < 2; i++) { /* the increment comes first in BSON */
        struct dkv_json_reader part = *reader;
        int64_t number = 0;
        part.at = at[i];
        REQUIRE(dkv_number_int(dkv_json_number(&part), 0, UINT32_MAX, &number));
        DKV_TRY(dkv_bson_le(out, (uint64_t)number, 4, err));
    }
    return DKV_OK;
}

/* ---- Times ---- */

/* {"$numberLong": "..."}: milliseconds. */
static enum dkv_rc take_ms(struct dkv_json_reader *reader, int64_t *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf name = {0};
    REQUIRE(dkv_json_take(reader, '{'));
    DKV_TRY(take_text(reader, &name, err));
    REQUIRE(dkv_span_equal(dkv_span_buf(&name), dkv_span_str("$numberLong")) && dkv_json_take(reader, ':'));
    DKV_TRY(take_int(reader, INT64_MIN, INT64_MAX, ret, err));
    REQUIRE(dkv_json_take(reader, '}'));
    return DKV_OK;
}

static enum dkv_rc read_date(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
    int64_t ms = 0;
    if (dkv_json_peek(reader) == '{') {
        DKV_TRY(take_ms(reader, &ms, err));
        return dkv_bson_le(out, (uint64_t)ms, 8, err);
    }
    DKV_TRY(take_text(reader, &text, err));
    const char *words = dkv_buf_text(&text);
    if (words == NULL) {
        return dkv_fail_memory(err);
    }
    /* With its time: a day alone is of no certain zone. */
    REQUIRE(strlen(words) == text.len && strchr(words, 'T') != NULL && dkv_when_parse(words, &ms, NULL) == DKV_OK);
    return dkv_bson_le(out, (uint64_t)ms, 8, err);
}

/* ---- Bytes ---- */

static enum dkv_rc take_oid(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
    uint8_t oid[12];
    size_t len = 0;
    DKV_TRY(take_text(reader, &text, err));
    REQUIRE(text.len == 24 && dkv_from_hex((const char *)text.data, text.len, oid, sizeof(oid), &len) && len == 12);
    return dkv_buf_append(out, dkv_span(oid, sizeof(oid)), err);
}

static enum dkv_rc put_binary(struct dkv_buf *out, uint8_t subtype, struct dkv_span bytes, struct dkv_error *err)
{
    const bool is_old = subtype == BSON_SUBTYPE_BINARY_DEPRECATED; /* it has its length twice */
    DKV_CHECK(bytes.len <= INT32_MAX - 4, err, DKV_E_INVALID, "a value of %zu bytes is too long", bytes.len);
    DKV_TRY(dkv_bson_le(out, bytes.len + (is_old ? 4 : 0), 4, err));
    DKV_TRY(dkv_bson_le(out, subtype, 1, err));
    DKV_TRY(is_old ? dkv_bson_le(out, bytes.len, 4, err) : DKV_OK);
    return dkv_buf_append(out, bytes, err);
}

static enum dkv_rc read_uuid(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
    struct dkv_uuid id = {{0}};
    DKV_TRY(take_text(reader, &text, err));
    const char *words = dkv_buf_text(&text);
    if (words == NULL) {
        return dkv_fail_memory(err);
    }
    REQUIRE(strlen(words) == text.len && dkv_uuid_parse(words, &id));
    return put_binary(out, BSON_SUBTYPE_UUID, dkv_span(id.bytes, sizeof(id.bytes)), err);
}

/* Only what base64 of those very bytes is: no white space, and no bits left over. */
static enum dkv_rc decode(const struct dkv_json_reader *reader, struct dkv_span text, struct dkv_buf *ret,
                          struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf again = {0};
    size_t len = 0;
    DKV_TRY(dkv_buf_reserve(ret, text.len + 1, err));
    REQUIRE(dkv_from_base64(text.len > 0 ? (const char *)text.data : "", text.len, ret->data, text.len + 1, &len));
    ret->len = len;
    DKV_TRY(dkv_to_base64(dkv_span_buf(ret), &again, err));
    REQUIRE(dkv_span_equal(dkv_span_buf(&again), text));
    return DKV_OK;
}

/* One or two hexadecimal digits. */
static bool read_subtype(struct dkv_span text, uint8_t *ret)
{
    const char digits[] = {'0', text.len > 0 ? (char)text.data[0] : 'x', text.len > 1 ? (char)text.data[1] : 'x'};
    size_t len = 0;
    return (text.len == 1 || text.len == 2) && dkv_from_hex(text.len == 1 ? digits : digits + 1, 2, ret, 1, &len);
}

static enum dkv_rc read_binary(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    static const char *const names[] = {"base64", "subType"};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf base64 = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf subtype = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    size_t at[2] = {0};
    uint8_t code = 0;
    DKV_TRY(take_pair(reader, names, at, err));
    DKV_TRY(take_text_at(reader, at[0], &base64, err));
    DKV_TRY(take_text_at(reader, at[1], &subtype, err));
    REQUIRE(read_subtype(dkv_span_buf(&subtype), &code));
    DKV_TRY(decode(reader, dkv_span_buf(&base64), &bytes, err));
    return put_binary(out, code, dkv_span_buf(&bytes), err);
}

/* ---- Texts ---- */

/* MongoDB sorts the options; here they must be so already. */
static bool are_options(struct dkv_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == 0 || strchr("ilmsux", text.data[i]) == NULL ||
            (i > 0 && text.data[i - 1] >= text.data[i])) {
            return false;
        }
    }
    return true;
}

static enum dkv_rc read_regex(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    static const char *const names[] = {"pattern", "options"};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf pattern = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf options = {0};
    size_t at[2] = {0};
    DKV_TRY(take_pair(reader, names, at, err));
    DKV_TRY(take_text_at(reader, at[0], &pattern, err));
    DKV_TRY(take_text_at(reader, at[1], &options, err));
    REQUIRE((pattern.len == 0 || memchr(pattern.data, 0, pattern.len) == NULL) &&
            are_options(dkv_span_buf(&options)));
    DKV_TRY(dkv_buf_append(out, dkv_span_buf(&pattern), err));
    DKV_TRY(dkv_buf_append(out, dkv_span("", 1), err));
    DKV_TRY(dkv_buf_append(out, dkv_span_buf(&options), err));
    return dkv_buf_append(out, dkv_span("", 1), err);
}

static enum dkv_rc read_string(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    REQUIRE(dkv_json_peek(reader) == '"');
    return dkv_bson_string(reader, out, err);
}

/* {"$code": ..., "$scope": {...}}; the reader stands behind the code's comma. */
static enum dkv_rc read_scope(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf name = {0};
    DKV_TRY(take_text(reader, &name, err));
    REQUIRE(dkv_span_equal(dkv_span_buf(&name), dkv_span_str("$scope")) && dkv_json_take(reader, ':') &&
            dkv_json_peek(reader) == '{');
    return dkv_json_document(reader, out, err);
}

static enum dkv_rc read_pointer(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    static const char *const names[] = {"$ref", "$id"};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf name = {0};
    size_t at[2] = {0};
    DKV_TRY(take_pair(reader, names, at, err));
    struct dkv_json_reader ref = *reader, id = *reader;
    ref.at = at[0];
    id.at = at[1];
    REQUIRE(dkv_json_peek(&ref) == '"' && dkv_json_take(&id, '{'));
    DKV_TRY(take_text(&id, &name, err));
    REQUIRE(dkv_span_equal(dkv_span_buf(&name), dkv_span_str("$oid")) && dkv_json_take(&id, ':'));
    DKV_TRY(dkv_bson_string(&ref, out, err));
    DKV_TRY(take_oid(&id, out, err));
    REQUIRE(dkv_json_take(&id, '}'));
    return DKV_OK;
}

/* ---- Constants ---- */

static enum dkv_rc read_one(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    (void)out;
    REQUIRE(dkv_span_equal(dkv_json_number(reader), dkv_span_str("1")));
    return DKV_OK;
}

static enum dkv_rc read_true(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    (void)out;
    REQUIRE(dkv_json_peek(reader) == 't');
    dkv_json_skip(reader);
    return DKV_OK;
}

static const struct dkv_json_wrapper wrappers[] = {
    {"$numberInt", BSON_TYPE_INT32, "{\"$numberInt\": \"5\"}, from -2147483648 to 2147483647", read_int},
    {"$numberLong", BSON_TYPE_INT64, "{\"$numberLong\": \"5\"}, within 64 bits", read_long},
    {"$numberDouble", BSON_TYPE_DOUBLE,
     "{\"$numberDouble\": \"1.5\"}, a number within a double's digits and range, \"Infinity\", \"-Infinity\" or "
     "\"NaN\"", read_double},
    {"$numberDecimal", BSON_TYPE_DECIMAL128,
     "{\"$numberDecimal\": \"1.50\"}, at most 34 digits, \"Infinity\", \"-Infinity\" or \"NaN\"", read_decimal},
    {"$date", BSON_TYPE_DATE_TIME,
     "{\"$date\": \"2026-01-31T12:00:00.000Z\"} (UTC) or {\"$date\": {\"$numberLong\": \"MILLISECONDS\"}}", read_date},
    {"$oid", BSON_TYPE_OID, "{\"$oid\": \"...\"} with 24 hexadecimal digits", take_oid},
    {"$binary", BSON_TYPE_BINARY, "{\"$binary\": {\"base64\": \"AAEC\", \"subType\": \"00\"}}, padded with =",
     read_binary},
    {"$uuid", BSON_TYPE_BINARY, "{\"$uuid\": \"01234567-89ab-4cde-8f01-23456789abcd\"}", read_uuid},
    {"$timestamp", BSON_TYPE_TIMESTAMP, "{\"$timestamp\": {\"t\": 1, \"i\": 1}}, both from 0 to 4294967295",
     read_timestamp},
    {"$regularExpression", BSON_TYPE_REGEX,
     "{\"$regularExpression\": {\"pattern\": \"a\", \"options\": \"i\"}}, options of ilmsux in this order", read_regex},
    {"$code", BSON_TYPE_CODE, "{\"$code\": \"...\"} or {\"$code\": \"...\", \"$scope\": {...}}", read_string},
    {"$symbol", BSON_TYPE_SYMBOL, "{\"$symbol\": \"...\"}", read_string},
    {"$dbPointer", BSON_TYPE_DBPOINTER, "{\"$dbPointer\": {\"$ref\": \"a.b\", \"$id\": {\"$oid\": \"...\"}}}",
     read_pointer},
    {"$minKey", BSON_TYPE_MINKEY, "{\"$minKey\": 1}", read_one},
    {"$maxKey", BSON_TYPE_MAXKEY, "{\"$maxKey\": 1}", read_one},
    {"$undefined", BSON_TYPE_UNDEFINED, "{\"$undefined\": true}", read_true},
};

static const struct dkv_json_wrapper *find(struct dkv_span name)
{
    for (size_t i = 0; i < DKV_COUNT(wrappers); i++) {
        if (dkv_span_equal(name, dkv_span_str(wrappers[i].name))) {
            return &wrappers[i];
        }
    }
    return NULL;
}

/* Code may have its scope beside it; the two have their length before them. */
static enum dkv_rc read_code(struct dkv_json_reader *reader, uint8_t *ret_type, struct dkv_buf *out,
                             struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf code = {0};
    size_t start = 0;
    DKV_TRY(read_string(reader, &code, err));
    if (!dkv_json_take(reader, ',')) {
        return dkv_buf_append(out, dkv_span_buf(&code), err);
    }
    *ret_type = BSON_TYPE_CODEWSCOPE;
    DKV_TRY(dkv_bson_begin(out, &start, err));
    DKV_TRY(dkv_buf_append(out, dkv_span_buf(&code), err));
    DKV_TRY(read_scope(reader, out, err));
    return dkv_bson_end(out, start, err);
}

enum dkv_rc dkv_json_wrapped(struct dkv_json_reader *reader, struct dkv_span name, uint8_t *ret_type,
                             struct dkv_buf *out, struct dkv_error *err)
{
    const size_t at = reader->wrapper_at;
    const struct dkv_json_wrapper *wrapper = find(name);
    DKV_CHECK(wrapper != NULL, err, DKV_E_INVALID,
              "byte %zu: an object whose first name begins with $ is a type of Extended JSON v2, and none has this "
              "name: see github.com/mongodb/specifications, extended-json", at + 1);
    reader->wrapper = wrapper;
    *ret_type = wrapper->type;
    DKV_TRY(wrapper->type == BSON_TYPE_CODE ? read_code(reader, ret_type, out, err) : wrapper->read(reader, out, err));
    reader->wrapper = wrapper; /* a scope has wrappers of its own */
    reader->wrapper_at = at;
    REQUIRE(dkv_json_take(reader, '}'));
    return DKV_OK;
}
