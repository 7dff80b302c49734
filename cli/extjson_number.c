/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that go into BSON exactly. A number is taken apart into its digits and its power of ten; what the target
 * type makes of it is compared with them. No state; copies of a plaintext's digits are wiped. */
#include "cli/extjson_number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/json_check.h"

/* libbson writes a double with 20 digits; no one has a use for more than these. */
#define DIGITS_MAX 40
#define EXPONENT_MAX 100000

/* Digits without zeros at either end, and the power of ten of the last: 1.50 is "15" and -1. */
struct digits {
    char text[DIGITS_MAX + 1];
    int n, exponent;
    int n_written; /* with the zeros at the end */
    bool negative;
};

bool dkv_number_int(struct dkv_span text, int64_t min, int64_t max, int64_t *ret)
{
    const bool negative = text.len > 0 && text.data[0] == '-';
    const size_t first = negative;
    int64_t number = 0; /* negative, since INT64_MIN has no counterpart */
    if (text.len == first || (text.data[first] == '0' && (text.len > first + 1 || negative))) {
        return false;
    }
    for (size_t i = first; i < text.len; i++) {
        const int digit = text.data[i] - '0';
        if (digit < 0 || digit > 9 || number < (INT64_MIN + digit) / 10) {
            return false;
        }
        number = number * 10 - digit;
    }
    if (!negative && number == INT64_MIN) {
        return false;
    }
    number = negative ? number : -number;
    if (number < min || number > max) {
        return false;
    }
    *ret = number;
    return true;
}

/* The exponent behind the "e"; what is beyond all bounds stays beyond them. */
static int read_exponent(struct dkv_span text)
{
    const bool negative = text.len > 0 && text.data[0] == '-';
    int exponent = 0;
    for (size_t i = negative || (text.len > 0 && text.data[0] == '+'); i < text.len; i++) {
        exponent = exponent < EXPONENT_MAX ? exponent * 10 + (text.data[i] - '0') : EXPONENT_MAX;
    }
    return negative ? -exponent : exponent;
}

static bool add_digit(struct digits *digits, char digit)
{
    if (digits->n_written == 0 && digit == '0') {
        return true;
    }
    if (digits->n_written == DIGITS_MAX) {
        return false;
    }
    digits->text[digits->n_written++] = digit;
    return true;
}

/* text is a JSON number. False: more digits than anything here carries. */
static bool take_apart(struct dkv_span text, struct digits *ret)
{
    bool in_fraction = false;
    size_t i = text.data[0] == '-';
    *ret = (struct digits){.negative = i == 1};
    for (; i < text.len && text.data[i] != 'e' && text.data[i] != 'E'; i++) {
        if (text.data[i] == '.') {
            in_fraction = true;
            continue;
        }
        if (!add_digit(ret, (char)text.data[i]) || ret->exponent == -EXPONENT_MAX) {
            return false;
        }
        ret->exponent -= in_fraction;
    }
    ret->exponent += i < text.len ? read_exponent(dkv_span(text.data + i + 1, text.len - i - 1)) : 0;
    for (ret->n = ret->n_written; ret->n > 0 && ret->text[ret->n - 1] == '0'; ret->n--) {
        ret->exponent++;
    }
    ret->text[ret->n] = '\0';
    return true;
}

/* Whether the number, printed with as many digits, is the same one. */
static bool says_the_same(double number, const struct digits *wanted)
{
    char text[DIGITS_MAX + 16];
    struct digits got;
    const int precision = wanted->n > 0 ? wanted->n - 1 : 0;
    const int len = snprintf(text, sizeof(text), "%.*e", precision, number);
    const bool same = isfinite(number) && len > 0 && take_apart(dkv_span(text, (size_t)len), &got) &&
        got.n == wanted->n && strcmp(got.text, wanted->text) == 0 &&
        (got.n == 0 || got.exponent == wanted->exponent);
    dkv_wipe(text, sizeof(text));
    dkv_wipe(&got, sizeof(got));
    return same;
}

/* The digits anew with their exponent: strtod wants a NUL, and the text has none. */
static double to_double(const struct digits *digits)
{
    char text[DIGITS_MAX + 24];
    snprintf(text, sizeof(text), "%s%se%d", digits->negative ? "-" : "", digits->n > 0 ? digits->text : "0",
             digits->exponent);
    const double number = strtod(text, NULL);
    dkv_wipe(text, sizeof(text));
    return number;
}

bool dkv_number_double(struct dkv_span text, double *ret)
{
    struct digits digits;
    if (!dkv_json_is_number(text) || !take_apart(text, &digits)) {
        return false;
    }
    const double number = to_double(&digits);
    const bool exact = says_the_same(number, &digits);
    dkv_wipe(&digits, sizeof(digits));
    if (exact) {
        *ret = number;
    }
    return exact;
}

#define DECIMAL_DIGITS_MAX 34
#define DECIMAL_EXPONENT_MIN (-6176)
#define DECIMAL_EXPONENT_MAX 6111

bool dkv_number_decimal(struct dkv_span text, bson_decimal128_t *ret)
{
    struct digits digits;
    if (!dkv_json_is_number(text) || !take_apart(text, &digits)) {
        return false;
    }
    /* 1.50 and 1.5 are two decimals: the zeros at the end count, also of 0.00. */
    const int exponent = digits.exponent - (digits.n_written - digits.n);
    const bool fits = digits.n_written <= DECIMAL_DIGITS_MAX && exponent >= DECIMAL_EXPONENT_MIN &&
        exponent <= DECIMAL_EXPONENT_MAX;
    char copy[DIGITS_MAX + 24] = "";
    if (fits) {
        memset(digits.text + digits.n, '0', (size_t)(digits.n_written - digits.n));
        digits.text[digits.n_written] = '\0';
        snprintf(copy, sizeof(copy), "%s%sE%d", digits.negative ? "-" : "", digits.n_written > 0 ? digits.text : "0",
                 exponent);
    }
    bson_decimal128_t number;
    const bool good = fits && bson_decimal128_from_string(copy, &number);
    dkv_wipe(copy, sizeof(copy));
    dkv_wipe(&digits, sizeof(digits));
    if (good) {
        *ret = number;
    }
    return good;
}
