/* SPDX-License-Identifier: Apache-2.0 */
/* Option tables and the values read by them. The parser, `config check`, `config explain` and
 * dekvault.conf(5) all come from the same struct dkv_option tables. */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include "base/yaml.h"
#include "dekvault/provider.h"

#define DKV_SETTING_MAX 160 /* a setting's path with its NUL; longer ones are cut */

/* A fault of meaning in the provider file. */
struct dkv_fault {
    unsigned line;
    bool warning;                  /* told, but the file is used all the same */
    char setting[DKV_SETTING_MAX]; /* "providers.pkcs11:prod.modul"; "" for a fault of syntax */
    char message[512];             /* never a value, which may be a secret in the wrong place */
};

/* A growing list of faults; start from {0}. */
struct dkv_faults {
    struct dkv_fault *items;
    size_t n;
    size_t capacity;
};
void dkv_faults_done(struct dkv_faults *faults);
/* dkv_fault_add: DKV_E_RESOURCE when there is no memory. */
DKV_MUST_USE enum dkv_rc dkv_fault_add(struct dkv_faults *faults, unsigned line, const char *setting,
                                       struct dkv_error *err, const char *format, ...) DKV_PRINTF(5, 6);
/* dkv_fault_add_warning: the same for what `config check` tells but nobody refuses. */
DKV_MUST_USE enum dkv_rc dkv_fault_add_warning(struct dkv_faults *faults, unsigned line, const char *setting,
                                               struct dkv_error *err, const char *format, ...) DKV_PRINTF(5, 6);
/* dkv_faults_n_errors: how many aren't warnings. */
size_t dkv_faults_n_errors(const struct dkv_faults *faults);
/* dkv_faults_sort: by line, then setting. */
void dkv_faults_sort(struct dkv_faults *faults);
/* dkv_setting_path: "prefix.name" into DKV_SETTING_MAX bytes; prefix NULL or "": the name alone. */
void dkv_setting_path(char *ret_path, const char *prefix, const char *name);

/* dkv_settings_read: the values of map (NULL: an absent group; an empty scalar: an empty one) for options[n], one
 * dkv_value each. Unknown settings (with the nearest known name), wrong types, missing required ones and values out
 * of range become faults; the call itself fails only for want of memory. ret_values[n] is the caller's array; what
 * it points to is owned by dkv_settings_done(). prefix is the group's path, for faults. extra names further
 * settings of the map that somebody else reads (NULL-terminated, may be NULL). A value that is wrong keeps its line
 * but isn't set. No message repeats a value. */
DKV_MUST_USE enum dkv_rc dkv_settings_read(const struct dkv_node *map, const char *prefix,
                                           const struct dkv_option *options, size_t n, const char *const *extra,
                                           struct dkv_value *ret_values, struct dkv_faults *faults,
                                           struct dkv_error *err);
void dkv_settings_done(struct dkv_value *values, size_t n);

/* dkv_nearest: the word of words[n] at the smallest edit distance from text, or NULL if none is near. */
const char *dkv_nearest(const char *text, const char *const *words, size_t n);
/* dkv_option_type_name: "path", "true or false", ... for explanations. */
const char *dkv_option_type_name(enum dkv_option_type type);

#endif
