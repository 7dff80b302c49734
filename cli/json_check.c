/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a text is one JSON value and nothing else (RFC 8259). Keeps a flag a level for the kind of bracket it is
 * in, so that no nesting costs stack. Owns nothing; no lock. */
#include "cli/json_check.h"

struct scan {
    struct dkv_span text;
    size_t at;
    bool is_object[DKV_JSON_DEPTH_MAX];
    size_t depth;
};

static int peek(const struct scan *scan)
{
    return scan->at < scan->text.len ? scan->text.data[scan->at] : -1;
}

static bool take(struct scan *scan, int c)
{
    if (peek(scan) != c) {
        return false;
    }
    scan->at++;
    return true;
}

static void skip_space(struct scan *scan)
{
    while (take(scan, ' ') || take(scan, '\t') || take(scan, '\n') || take(scan, '\r')) {
    }
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(int c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool take_digits(struct scan *scan)
{
    const size_t start = scan->at;
    while (is_digit(peek(scan))) {
        scan->at++;
    }
    return scan->at > start;
}

static bool take_number(struct scan *scan)
{
    (void)take(scan, '-');
    if (!take(scan, '0') && !take_digits(scan)) {
        return false;
    }
    if (take(scan, '.') && !take_digits(scan)) {
        return false;
    }
    if (!take(scan, 'e') && !take(scan, 'E')) {
        return true;
    }
    (void)(take(scan, '+') || take(scan, '-'));
    return take_digits(scan);
}

bool dkv_json_is_number(struct dkv_span text)
{
    struct scan scan = {.text = text};
    return take_number(&scan) && scan.at == text.len;
}

static bool take_escape(struct scan *scan)
{
    const int c = peek(scan);
    if (c < 0 || c == 0 || strchr("\"\\/bfnrtu", c) == NULL) {
        return false;
    }
    scan->at++;
    for (int i = 0; c == 'u' && i < 4; i++) {
        if (!is_hex(peek(scan))) {
            return false;
        }
        scan->at++;
    }
    return true;
}

static bool take_string(struct scan *scan)
{
    if (!take(scan, '"')) {
        return false;
    }
    while (!take(scan, '"')) {
        if (take(scan, '\\')) {
            if (!take_escape(scan)) {
                return false;
            }
            continue;
        }
        if (peek(scan) < 0x20) { /* a control character, or the end */
            return false;
        }
        scan->at++;
    }
    return true;
}

static bool take_literal(struct scan *scan, const char *word)
{
    const size_t len = strlen(word);
    if (scan->text.len - scan->at < len || strncmp((const char *)scan->text.data + scan->at, word, len) != 0) {
        return false;
    }
    scan->at += len;
    return true;
}

static bool take_scalar(struct scan *scan)
{
    const int c = peek(scan);
    if (c == '"') {
        return take_string(scan);
    }
    if (c == '-' || is_digit(c)) {
        return take_number(scan);
    }
    return take_literal(scan, "true") || take_literal(scan, "false") || take_literal(scan, "null");
}

/* In an object each value has its name before it. */
static bool take_name(struct scan *scan)
{
    if (scan->depth == 0 || !scan->is_object[scan->depth - 1]) {
        return true;
    }
    skip_space(scan);
    if (!take_string(scan)) {
        return false;
    }
    skip_space(scan);
    return take(scan, ':');
}

/* After a value: the brackets that close, and then a comma or, at the outermost, the end. */
static bool close_brackets(struct scan *scan, bool *ret_more)
{
    for (;;) {
        skip_space(scan);
        if (scan->depth == 0) {
            *ret_more = false;
            return true;
        }
        if (take(scan, ',')) {
            *ret_more = true;
            return true;
        }
        if (!take(scan, scan->is_object[scan->depth - 1] ? '}' : ']')) {
            return false;
        }
        scan->depth--;
    }
}

/* A bracket that opens; *ret_empty: and closes at once. */
static bool open_bracket(struct scan *scan, bool *ret_empty)
{
    const bool object = peek(scan) == '{';
    if (scan->depth == DKV_JSON_DEPTH_MAX) {
        return false;
    }
    scan->at++;
    skip_space(scan);
    *ret_empty = take(scan, object ? '}' : ']');
    if (!*ret_empty) {
        scan->is_object[scan->depth++] = object;
    }
    return true;
}

static bool is_one_value(struct scan *scan)
{
    bool more = true;
    while (more) {
        bool inside = false;
        if (!take_name(scan)) {
            return false;
        }
        skip_space(scan);
        if (peek(scan) == '{' || peek(scan) == '[') {
            bool empty = false;
            if (!open_bracket(scan, &empty)) {
                return false;
            }
            inside = !empty;
        } else if (!take_scalar(scan)) {
            return false;
        }
        if (!inside && !close_brackets(scan, &more)) {
            return false;
        }
    }
    return scan->at == scan->text.len;
}

enum dkv_rc dkv_json_check(struct dkv_span text, struct dkv_error *err)
{
    struct scan scan = {.text = text};
    DKV_CHECK(dkv_utf8_is_valid(text), err, DKV_E_INVALID, "not JSON: not valid UTF-8");
    if (is_one_value(&scan)) {
        return DKV_OK;
    }
    DKV_CHECK(scan.depth < DKV_JSON_DEPTH_MAX, err, DKV_E_INVALID, "JSON nested more than %u deep, at byte %zu",
              DKV_JSON_DEPTH_MAX, scan.at + 1);
    return dkv_fail(err, DKV_E_INVALID, "not one JSON value: wrong at byte %zu (a text needs double quotes)",
                    scan.at + 1);
}
