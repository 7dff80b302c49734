/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what is wrong with a provider file. Owns: the list's memory. Invariant: every text in it is one
 * line of valid UTF-8, whatever the file's author wrote, since it goes to terminals and into JSON. No lock: a
 * list belongs to one thread. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/settings.h"

/* Longer than a message, so that the cut is made at a character by dkv_line_put and not by vsnprintf. */
#define WORDS_MAX 1024

void dkv_faults_done(struct dkv_faults *faults)
{
    dkv_free(faults->items);
    *faults = (struct dkv_faults){0};
}

void dkv_setting_path(char *ret_path, const char *prefix, const char *name)
{
    size_t end = 0;
    if (prefix != NULL && prefix[0] != '\0') {
        end = dkv_line_put(ret_path, DKV_SETTING_MAX, 0, prefix);
        end = dkv_line_put(ret_path, DKV_SETTING_MAX, end, ".");
    }
    (void)dkv_line_put(ret_path, DKV_SETTING_MAX, end, name);
}

static enum dkv_rc grow(struct dkv_faults *faults, struct dkv_error *err)
{
    if (faults->n < faults->capacity) {
        return DKV_OK;
    }
    const size_t capacity = faults->capacity == 0 ? 8 : 2 * faults->capacity;
    void *items = dkv_realloc(faults->items, capacity * sizeof(*faults->items));
    if (items == NULL) {
        return dkv_fail_memory(err);
    }
    faults->items = (struct dkv_fault *)items;
    faults->capacity = capacity;
    return DKV_OK;
}

static enum dkv_rc add(struct dkv_faults *faults, bool warning, unsigned line, const char *setting,
                       struct dkv_error *err, const char *format, va_list args) __attribute__((format(printf, 6, 0)));
static enum dkv_rc add(struct dkv_faults *faults, bool warning, unsigned line, const char *setting,
                       struct dkv_error *err, const char *format, va_list args)
{
    char words[WORDS_MAX];
    DKV_TRY(grow(faults, err));
    (void)vsnprintf(words, sizeof(words), format, args);
    struct dkv_fault *fault = &faults->items[faults->n++];
    *fault = (struct dkv_fault){.line = line, .warning = warning};
    (void)dkv_line_put(fault->setting, sizeof(fault->setting), 0, setting != NULL ? setting : "");
    (void)dkv_line_put(fault->message, sizeof(fault->message), 0, words);
    return DKV_OK;
}

enum dkv_rc dkv_fault_add(struct dkv_faults *faults, unsigned line, const char *setting, struct dkv_error *err,
                          const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const enum dkv_rc rc = add(faults, false, line, setting, err, format, args);
    va_end(args);
    return rc;
}

enum dkv_rc dkv_fault_add_warning(struct dkv_faults *faults, unsigned line, const char *setting, struct dkv_error *err,
                                  const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const enum dkv_rc rc = add(faults, true, line, setting, err, format, args);
    va_end(args);
    return rc;
}

size_t dkv_faults_n_errors(const struct dkv_faults *faults)
{
    size_t n = 0;
    for (size_t i = 0; i < faults->n; i++) {
        n += !faults->items[i].warning;
    }
    return n;
}

static int compare_faults(const void *a, const void *b)
{
    const struct dkv_fault *left = (const struct dkv_fault *)a;
    const struct dkv_fault *right = (const struct dkv_fault *)b;
    if (left->line != right->line) {
        return left->line < right->line ? -1 : 1;
    }
    const int order = strcmp(left->setting, right->setting);
    return order != 0 ? order : strcmp(left->message, right->message);
}

void dkv_faults_sort(struct dkv_faults *faults)
{
    if (faults->n > 1) {
        qsort(faults->items, faults->n, sizeof(*faults->items), compare_faults);
    }
}
