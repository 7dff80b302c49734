/* SPDX-License-Identifier: Apache-2.0 */
/* A group of settings, read by its option table. Owns: nothing; the values are the caller's. Invariant: whatever the
 * group holds, each option ends with a value, its default or nothing, and each oddity is one fault. No lock. */
#include "base/settings.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/setting_value.h"

#define NAME_MAX_SHOWN 48u

struct reading {
    const struct dkv_node *map; /* NULL: absent, or not a map */
    unsigned line;              /* of the group */
    const char *prefix;
    const struct dkv_option *options;
    size_t n;
    const char *const *extra;
    struct dkv_faults *faults;
};

/* What people write for a secret; refused with better words than "unknown" unless an option has the name. */
static const char *const secret_names[] = {
    "pin", "pin-value", "user-pin", "so-pin", "key", "key-value", "secret", "password", "passwd", "passphrase",
};

static enum dkv_rc add_fault(const struct reading *reading, unsigned line, const char *name, const char *words,
                             struct dkv_error *err)
{
    char setting[DKV_SETTING_MAX];
    dkv_setting_path(setting, reading->prefix, name);
    return dkv_fault_add(reading->faults, line, setting, err, "%s", words);
}

static size_t count_extra(const struct reading *reading)
{
    size_t n = 0;
    while (reading->extra != NULL && reading->extra[n] != NULL) {
        n++;
    }
    return n;
}

static bool is_known(const struct reading *reading, const char *name)
{
    for (size_t i = 0; i < reading->n; i++) {
        if (strcmp(reading->options[i].name, name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < count_extra(reading); i++) {
        if (strcmp(reading->extra[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_secret_name(const char *name)
{
    for (size_t i = 0; i < DKV_COUNT(secret_names); i++) {
        if (strcasecmp(secret_names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* What isn't shaped like a name may be a slip that holds a value: "{pin:1234}" is a name to YAML. */
static bool looks_like_a_name(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    const size_t len = strlen(text);
    return len <= NAME_MAX_SHOWN && strspn(text, letters) > 0 && strspn(text, allowed) == len;
}

/* ret_name stays NULL when no known name is near. */
static enum dkv_rc find_nearest(const struct reading *reading, const char *name, const char **ret_name,
                                struct dkv_error *err)
{
    const size_t n_extra = count_extra(reading);
    DKV_CLEANUP(dkv_freep) const char **words = (const char **)dkv_calloc(reading->n + n_extra + 1, sizeof(*words));
    if (words == NULL) {
        return dkv_fail_memory(err);
    }
    for (size_t i = 0; i < reading->n; i++) {
        words[i] = reading->options[i].name;
    }
    for (size_t i = 0; i < n_extra; i++) {
        words[reading->n + i] = reading->extra[i];
    }
    *ret_name = dkv_nearest(name, words, reading->n + n_extra);
    return DKV_OK;
}

static enum dkv_rc fault_unknown(const struct reading *reading, const struct dkv_node *child, struct dkv_error *err)
{
    const char *nearest = NULL;
    char words[DKV_WRONG_MAX];
    if (!looks_like_a_name(child->key)) {
        return dkv_fault_add(reading->faults, child->key_line, reading->prefix, err,
                             "not the name of a setting; write NAME: VALUE, with a space after the ':'");
    }
    if (is_secret_name(child->key)) {
        return add_fault(reading, child->key_line, child->key,
                         "a PIN, key or password is never written in this file: put it in a file of its own, mode "
                         "0600, and name that with pin-source, key-source or store-source", err);
    }
    DKV_TRY(find_nearest(reading, child->key, &nearest, err));
    if (nearest != NULL) {
        snprintf(words, sizeof(words), "unknown setting; did you mean \"%s\"?", nearest);
    } else {
        snprintf(words, sizeof(words), "unknown setting; `dekvault config explain` lists those that there are");
    }
    return add_fault(reading, child->key_line, child->key, words, err);
}

static enum dkv_rc read_unknown(const struct reading *reading, struct dkv_error *err)
{
    if (reading->map == NULL) {
        return DKV_OK;
    }
    for (const struct dkv_node *child = reading->map->first; child != NULL; child = child->next) {
        if (!is_known(reading, child->key)) {
            DKV_TRY(fault_unknown(reading, child, err));
        }
    }
    return DKV_OK;
}

static enum dkv_rc read_option(const struct reading *reading, const struct dkv_option *option, struct dkv_value *ret,
                               struct dkv_error *err)
{
    char wrong[DKV_WRONG_MAX] = "";
    const struct dkv_node *node = dkv_node_child(reading->map, option->name);
    if (node == NULL && option->required) {
        return add_fault(reading, reading->line, option->name, "is missing", err);
    }
    if (node == NULL) {
        return dkv_value_default(option, ret, err);
    }
    DKV_TRY(dkv_value_read(option, node, ret, wrong, err));
    return wrong[0] == '\0' ? DKV_OK : add_fault(reading, ret->line, option->name, wrong, err);
}

static enum dkv_rc read_all(const struct reading *reading, struct dkv_value *ret_values, struct dkv_error *err)
{
    DKV_TRY(read_unknown(reading, err));
    for (size_t i = 0; i < reading->n; i++) {
        DKV_TRY(read_option(reading, &reading->options[i], &ret_values[i], err));
    }
    return DKV_OK;
}

enum dkv_rc dkv_settings_read(const struct dkv_node *map, const char *prefix, const struct dkv_option *options,
                              size_t n, const char *const *extra, struct dkv_value *ret_values,
                              struct dkv_faults *faults, struct dkv_error *err)
{
    struct reading reading = {.prefix = prefix, .options = options, .n = n, .extra = extra, .faults = faults};
    for (size_t i = 0; i < n; i++) {
        ret_values[i] = (struct dkv_value){0};
    }
    if (map != NULL) {
        reading.line = map->key_line != 0 ? map->key_line : map->line;
    }
    if (map != NULL && map->kind != DKV_NODE_MAP && !dkv_node_is_empty(map)) {
        return dkv_fault_add(faults, map->line, prefix, err,
                             "must be a group of settings: lines of NAME: VALUE, indented");
    }
    reading.map = map != NULL && map->kind == DKV_NODE_MAP ? map : NULL;
    const enum dkv_rc rc = read_all(&reading, ret_values, err);
    if (rc != DKV_OK) {
        dkv_settings_done(ret_values, n);
    }
    return rc;
}

void dkv_settings_done(struct dkv_value *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dkv_value_done(&values[i]);
    }
}
