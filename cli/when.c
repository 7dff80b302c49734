/* SPDX-License-Identifier: Apache-2.0 */
/* Times on the command line: ISO 8601 in UTC, from the year 1 to 9999. No state. */
#include "cli/when.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

void dkv_when_format(int64_t ms, char ret[static DKV_WHEN_SIZE])
{
    const time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0));
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL || tm.tm_year + 1900 < 1 || tm.tm_year + 1900 > 9999) {
        snprintf(ret, DKV_WHEN_SIZE, "%" PRId64, ms);
        return;
    }
    (void)strftime(ret, DKV_WHEN_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* Exactly n digits at *text; moves on. */
static bool take_number(const char **text, int n, int *ret)
{
    int number = 0;
    for (int i = 0; i < n; i++) {
        const char c = **text;
        if (c < '0' || c > '9') {
            return false;
        }
        number = number * 10 + (c - '0');
        (*text)++;
    }
    *ret = number;
    return true;
}

static bool take(const char **text, char c)
{
    if (**text != c) {
        return false;
    }
    (*text)++;
    return true;
}

static bool take_fraction(const char **text, int *ret_ms)
{
    int factor = 100, digit = 0;
    *ret_ms = 0;
    if (!take(text, '.')) {
        return true;
    }
    for (int i = 0; i < 3 && take_number(text, 1, &digit); i++, factor /= 10) {
        *ret_ms += digit * factor;
    }
    return factor < 100;
}

static bool take_day(const char **text, struct tm *tm)
{
    if (!take_number(text, 4, &tm->tm_year) || !take(text, '-') || !take_number(text, 2, &tm->tm_mon) ||
        !take(text, '-') || !take_number(text, 2, &tm->tm_mday)) {
        return false;
    }
    tm->tm_year -= 1900;
    tm->tm_mon -= 1;
    return true;
}

static bool take_time(const char **text, struct tm *tm, int *ret_ms)
{
    return take_number(text, 2, &tm->tm_hour) && take(text, ':') && take_number(text, 2, &tm->tm_min) &&
        take(text, ':') && take_number(text, 2, &tm->tm_sec) && take_fraction(text, ret_ms) && take(text, 'Z');
}

enum dkv_rc dkv_when_parse(const char *text, int64_t *ret_ms, struct dkv_error *err)
{
    const char *at = text;
    struct tm tm = {0};
    int ms = 0;
    bool good = take_day(&at, &tm) && (!take(&at, 'T') || take_time(&at, &tm, &ms)) && *at == '\0';
    const struct tm written = tm;
    const int64_t seconds = good ? (int64_t)timegm(&tm) : 0;
    /* timegm makes March 3 of February 31; whoever wrote that meant something else. */
    good = good && tm.tm_mon == written.tm_mon && tm.tm_mday == written.tm_mday && tm.tm_hour == written.tm_hour &&
           tm.tm_min == written.tm_min && tm.tm_sec == written.tm_sec;
    DKV_CHECK(good, err, DKV_E_INVALID, "\"%s\" is no time: write 2026-01-31 or 2026-01-31T12:00:00Z (UTC)", text);
    *ret_ms = seconds * 1000 + ms;
    return DKV_OK;
}
