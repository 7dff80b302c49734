/* SPDX-License-Identifier: Apache-2.0 */
/* JSON values into BSON: strings, plain numbers, arrays and documents; extjson_types.c has the type wrappers. Owns
 * nothing. Invariant: what is appended says exactly what the text said, else the call fails. Errors name the byte and
 * never repeat the text, which may be a plaintext. No lock. */
#include "cli/extjson_read.h"

#include <bson/bson.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/extjson_number.h"

int dkv_json_peek(struct dkv_json_reader *reader)
{
    for (; reader->at < reader->text.len; reader->at++) {
        const int c = reader->text.data[reader->at];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r') {
            return c;
        }
    }
    return 0;
}

bool dkv_json_take(struct dkv_json_reader *reader, int c)
{
    const bool taken = dkv_json_peek(reader) == c;
    reader->at += taken;
    return taken;
}

/* ---- Strings ---- */

static unsigned hex4(const uint8_t *digits)
{
    unsigned code = 0;
    for (int i = 0; i < 4; i++) {
        const unsigned c = digits[i];
        code = code * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return code;
}

static enum dkv_rc append_code(struct dkv_buf *out, unsigned code, struct dkv_error *err)
{
    const uint8_t tail[] = {(uint8_t)(0x80 | (code >> 12 & 0x3f)), (uint8_t)(0x80 | (code >> 6 & 0x3f)),
                            (uint8_t)(0x80 | (code & 0x3f))};
    const size_t n_tail = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t marks[] = {0, 0xc0, 0xe0, 0xf0};
    const uint8_t first = (uint8_t)(marks[n_tail] | code >> (6 * n_tail));
    DKV_TRY(dkv_buf_append(out, dkv_span(&first, 1), err));
    return dkv_buf_append(out, dkv_span(tail + 3 - n_tail, n_tail), err);
}

/* Behind a "\u". */
static enum dkv_rc take_code(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    const uint8_t *data = reader->text.data;
    const size_t start = reader->at - 1;
    unsigned code = hex4(data + reader->at);
    reader->at += 4;
    if (code >= 0xd800 && code < 0xdc00 && reader->text.len - reader->at > 6 && data[reader->at] == '\\' &&
        data[reader->at + 1] == 'u') {
        const unsigned low = hex4(data + reader->at + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            reader->at += 6;
        }
    }
    DKV_CHECK(code < 0xd800 || code >= 0xe000, err, DKV_E_INVALID,
              "byte %zu: half of a surrogate pair is no character; write both halves, or the character itself", start);
    return append_code(out, code, err);
}

static enum dkv_rc take_escape(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const int c = reader->text.data[reader->at++];
    const char *found = strchr(from, c);
    return found != NULL ? dkv_buf_append(out, dkv_span(&to[found - from], 1), err) : take_code(reader, out, err);
}

enum dkv_rc dkv_json_text(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    const uint8_t *data = reader->text.data;
    (void)dkv_json_take(reader, '"');
    for (size_t from = reader->at;;) {
        while (data[reader->at] != '"' && data[reader->at] != '\\') {
            reader->at++;
        }
        DKV_TRY(dkv_buf_append(out, dkv_span(data + from, reader->at - from), err));
        if (data[reader->at++] == '"') {
            return DKV_OK;
        }
        DKV_TRY(take_escape(reader, out, err));
        from = reader->at;
    }
}

struct dkv_span dkv_json_number(struct dkv_json_reader *reader)
{
    const int first = dkv_json_peek(reader);
    const size_t start = reader->at;
    while ((first == '-' || (first >= '0' && first <= '9')) && reader->at < reader->text.len &&
           reader->text.data[reader->at] != 0 && strchr("+-.0123456789eE", reader->text.data[reader->at]) != NULL) {
        reader->at++;
    }
    return dkv_span(reader->text.data + start, reader->at - start);
}

static void skip_text(struct dkv_json_reader *reader)
{
    for (reader->at++; reader->text.data[reader->at] != '"'; reader->at++) {
        reader->at += reader->text.data[reader->at] == '\\';
    }
    reader->at++;
}

void dkv_json_skip(struct dkv_json_reader *reader)
{
    size_t depth = 0;
    do {
        const int c = dkv_json_peek(reader);
        if (c == '"') {
            skip_text(reader);
            continue;
        }
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        reader->at++;
        /* The rest of a word or a number. */
        while (depth == 0 && reader->at < reader->text.len && c != '}' && c != ']' &&
               strchr(",]} \t\r\n", reader->text.data[reader->at]) == NULL) {
            reader->at++;
        }
    } while (depth > 0);
}

/* ---- BSON ---- */

enum dkv_rc dkv_bson_le(struct dkv_buf *out, uint64_t number, size_t n_bytes, struct dkv_error *err)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n_bytes; i++) {
        bytes[i] = (uint8_t)(number >> (8 * i));
    }
    return dkv_buf_append(out, dkv_span(bytes, n_bytes), err);
}

enum dkv_rc dkv_bson_begin(struct dkv_buf *out, size_t *ret_start, struct dkv_error *err)
{
    const size_t start = out->len;
    DKV_TRY(dkv_bson_le(out, 0, 4, err));
    *ret_start = start;
    return DKV_OK;
}

static enum dkv_rc put_len(struct dkv_buf *out, size_t at, size_t len, struct dkv_error *err)
{
    DKV_CHECK(len <= INT32_MAX, err, DKV_E_INVALID, "a value of %zu bytes is too long", len);
    for (size_t i = 0; i < 4; i++) {
        out->data[at + i] = (uint8_t)(len >> (8 * i));
    }
    return DKV_OK;
}

enum dkv_rc dkv_bson_end(struct dkv_buf *out, size_t start, struct dkv_error *err)
{
    return put_len(out, start, out->len - start, err);
}

enum dkv_rc dkv_bson_string(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    size_t start = 0;
    DKV_TRY(dkv_bson_begin(out, &start, err));
    DKV_TRY(dkv_json_text(reader, out, err));
    DKV_TRY(dkv_buf_append(out, dkv_span("", 1), err));
    return put_len(out, start, out->len - start - 4, err);
}

/* ---- Documents ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t collect_names(struct dkv_span document, const char **names)
{
    bson_t bson;
    bson_iter_t at;
    size_t n = 0;
    if (!bson_init_static(&bson, document.data, document.len) || !bson_iter_init(&at, &bson)) {
        return 0;
    }
    while (bson_iter_next(&at)) {
        if (names != NULL) {
            names[n] = bson_iter_key(&at);
        }
        n++;
    }
    return n;
}

/* Of two fields with one name readers take the first or the last, each as it likes. */
static enum dkv_rc check_names(struct dkv_span document, size_t at, struct dkv_error *err)
{
    const size_t n = collect_names(document, NULL);
    DKV_CLEANUP(dkv_freep) const char **names = (const char **)dkv_calloc(n + 1, sizeof(*names));
    if (names == NULL) {
        return dkv_fail_memory(err);
    }
    (void)collect_names(document, names);
    qsort(names, n, sizeof(*names), compare_names);
    for (size_t i = 1; i < n; i++) {
        DKV_CHECK(strcmp(names[i - 1], names[i]) != 0, err, DKV_E_INVALID,
                  "byte %zu: a document with two fields of one name: leave one out", at + 1);
    }
    return DKV_OK;
}

/* A reference to a document (DBRef) is a document of its own, whose fields are named with a '$'. */
static bool may_name(struct dkv_span name, bool is_reference)
{
    static const char *const of_reference[] = {"$ref", "$id", "$db"};
    bool good = name.len == 0 || name.data[0] != '$';
    for (size_t i = 0; is_reference && i < DKV_COUNT(of_reference); i++) {
        good = good || dkv_span_equal(name, dkv_span_str(of_reference[i]));
    }
    return good;
}

static enum dkv_rc take_name(struct dkv_json_reader *reader, bool *is_reference, bool first, struct dkv_buf *out,
                             struct dkv_error *err)
{
    const size_t start = out->len;
    (void)dkv_json_peek(reader);
    const size_t at = reader->at + 1;
    DKV_TRY(dkv_json_text(reader, out, err));
    const struct dkv_span name = dkv_span(out->data + start, out->len - start);
    DKV_CHECK(name.len == 0 || memchr(name.data, 0, name.len) == NULL, err, DKV_E_INVALID,
              "byte %zu: a field's name can't contain a NUL", at);
    *is_reference = *is_reference || (first && dkv_span_equal(name, dkv_span_str("$ref")));
    DKV_CHECK(may_name(name, *is_reference), err, DKV_E_INVALID,
              "byte %zu: a field's name that begins with $ stands for a type, alone in its object: write another name",
              at);
    (void)dkv_json_take(reader, ':');
    return dkv_buf_append(out, dkv_span("", 1), err);
}

/* Type, name, value. index: the name in an array. */
static enum dkv_rc take_element(struct dkv_json_reader *reader, bool is_array, size_t index, bool *is_reference,
                                struct dkv_buf *out, struct dkv_error *err)
{
    const size_t at = out->len;
    uint8_t type = 0;
    DKV_TRY(dkv_buf_append(out, dkv_span(&type, 1), err));
    if (is_array) {
        DKV_TRY(dkv_buf_printf(out, err, "%zu", index));
        DKV_TRY(dkv_buf_append(out, dkv_span("", 1), err));
    } else {
        DKV_TRY(take_name(reader, is_reference, index == 0, out, err));
    }
    DKV_TRY(dkv_json_value(reader, &type, out, err));
    out->data[at] = type;
    return DKV_OK;
}

static enum dkv_rc take_elements(struct dkv_json_reader *reader, bool is_array, struct dkv_buf *out,
                                 struct dkv_error *err)
{
    bool is_reference = false;
    if (dkv_json_take(reader, is_array ? ']' : '}')) {
        return DKV_OK;
    }
    for (size_t i = 0; i == 0 || dkv_json_take(reader, ','); i++) {
        DKV_TRY(take_element(reader, is_array, i, &is_reference, out, err));
    }
    (void)dkv_json_take(reader, is_array ? ']' : '}');
    return DKV_OK;
}

static enum dkv_rc take_container(struct dkv_json_reader *reader, bool is_array, struct dkv_buf *out,
                                  struct dkv_error *err)
{
    const size_t at = reader->at;
    size_t start = 0;
    DKV_CHECK(reader->depth < DKV_EXTJSON_DEPTH_MAX, err, DKV_E_INVALID, "byte %zu: nested more than %u deep", at + 1,
              DKV_EXTJSON_DEPTH_MAX);
    reader->depth++;
    (void)dkv_json_take(reader, is_array ? '[' : '{');
    DKV_TRY(dkv_bson_begin(out, &start, err));
    DKV_TRY(take_elements(reader, is_array, out, err));
    DKV_TRY(dkv_buf_append(out, dkv_span("", 1), err));
    DKV_TRY(dkv_bson_end(out, start, err));
    reader->depth--;
    return is_array ? DKV_OK : check_names(dkv_span(out->data + start, out->len - start), at, err);
}

enum dkv_rc dkv_json_document(struct dkv_json_reader *reader, struct dkv_buf *out, struct dkv_error *err)
{
    (void)dkv_json_peek(reader);
    return take_container(reader, false /* is_array */, out, err);
}

/* ---- Values ---- */

static bool is_integer(struct dkv_span number)
{
    for (size_t i = 0; i < number.len; i++) {
        if (number.data[i] == '.' || number.data[i] == 'e' || number.data[i] == 'E') {
            return false;
        }
    }
    return true;
}

static enum dkv_rc take_plain_number(struct dkv_json_reader *reader, uint8_t *ret_type, struct dkv_buf *out,
                                     struct dkv_error *err)
{
    const struct dkv_span text = dkv_json_number(reader);
    const size_t at = (size_t)(text.data - reader->text.data) + 1;
    int64_t integer = 0;
    double number = 0;
    uint64_t bits = 0;
    if (dkv_number_int(text, INT64_MIN, INT64_MAX, &integer)) {
        const bool is_int = integer >= INT32_MIN && integer <= INT32_MAX;
        *ret_type = is_int ? BSON_TYPE_INT32 : BSON_TYPE_INT64;
        return dkv_bson_le(out, (uint64_t)integer, is_int ? 4 : 8, err);
    }
    DKV_CHECK(!is_integer(text), err, DKV_E_INVALID,
              "byte %zu: an integer that no 64 bits hold (or -0): write {\"$numberDecimal\": \"...\"} or "
              "{\"$numberDouble\": \"...\"}", at);
    DKV_CHECK(dkv_number_double(text, &number), err, DKV_E_INVALID,
              "byte %zu: a number that no double holds in all its digits: write {\"$numberDecimal\": \"...\"}, or "
              "fewer digits", at);
    memcpy(&bits, &number, sizeof(bits));
    *ret_type = BSON_TYPE_DOUBLE;
    return dkv_bson_le(out, bits, sizeof(bits), err);
}

/* An object: a type's wrapper when its first name begins with '$', but for the reference to a document. */
static enum dkv_rc take_object(struct dkv_json_reader *reader, uint8_t *ret_type, struct dkv_buf *out,
                               struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf name = {0};
    const size_t start = reader->at;
    reader->wrapper_at = start;
    (void)dkv_json_take(reader, '{');
    if (dkv_json_peek(reader) == '"') {
        DKV_TRY(dkv_json_text(reader, &name, err));
        (void)dkv_json_take(reader, ':');
    }
    const struct dkv_span text = dkv_span_buf(&name);
    if (text.len > 0 && text.data[0] == '$' && !dkv_span_equal(text, dkv_span_str("$ref"))) {
        return dkv_json_wrapped(reader, text, ret_type, out, err);
    }
    reader->at = start;
    *ret_type = BSON_TYPE_DOCUMENT;
    return dkv_json_document(reader, out, err);
}

static enum dkv_rc take_word(struct dkv_json_reader *reader, int first, uint8_t *ret_type, struct dkv_buf *out,
                             struct dkv_error *err)
{
    dkv_json_skip(reader);
    *ret_type = first == 'n' ? BSON_TYPE_NULL : BSON_TYPE_BOOL;
    return first == 'n' ? DKV_OK : dkv_bson_le(out, first == 't', 1, err);
}

enum dkv_rc dkv_json_value(struct dkv_json_reader *reader, uint8_t *ret_type, struct dkv_buf *out,
                           struct dkv_error *err)
{
    const int first = dkv_json_peek(reader);
    switch (first) {
    case '{': return take_object(reader, ret_type, out, err);
    case '[': *ret_type = BSON_TYPE_ARRAY; return take_container(reader, true /* is_array */, out, err);
    case '"': *ret_type = BSON_TYPE_UTF8; return dkv_bson_string(reader, out, err);
    case 't': case 'f': case 'n': return take_word(reader, first, ret_type, out, err);
    default: return take_plain_number(reader, ret_type, out, err);
    }
}
