/* SPDX-License-Identifier: Apache-2.0 */
/* What a vault's `store`, `store-source` and `namespace` say together. Owns nothing. Invariant: a fault never repeats
 * the text of a URI, but for an option's name once the URI is known to hold no password. No lock. */
#include "base/file.h"
#include "vault/provider_file_groups.h"

#define STORE "store"
#define STORE_SOURCE "store-source"
#define NAMESPACE "namespace"

static enum dkv_rc add_fault(const struct dkv_store_reading *reading, unsigned line, const char *name,
                             const char *words)
{
    char setting[DKV_SETTING_MAX];
    dkv_setting_path(setting, reading->prefix, name);
    return dkv_fault_add(reading->faults, line, setting, reading->err, "%s", words);
}

static enum dkv_rc add_warning(const struct dkv_store_reading *reading, unsigned line, const char *name,
                               const char *words)
{
    char setting[DKV_SETTING_MAX];
    dkv_setting_path(setting, reading->prefix, name);
    return dkv_fault_add_warning(reading->faults, line, setting, reading->err, "%s", words);
}

/* ---- store ---- */

static enum dkv_rc fault_unknown_option(const struct dkv_store_reading *reading, const char *name, size_t len)
{
    char words[256], text[64];
    const char *nearest = dkv_store_uri_nearest_option(name, len);
    len = len < sizeof(text) ? len : sizeof(text) - 1;
    memcpy(text, name, len);
    text[len] = '\0';
    size_t end = dkv_line_put(words, sizeof(words), 0, "has an option that MongoDB's URIs don't have, \"");
    end = dkv_line_put(words, sizeof(words), end, text);
    end = dkv_line_put(words, sizeof(words), end, nearest != NULL ? "\"; did you mean " : "\"");
    end = dkv_line_put(words, sizeof(words), end, nearest != NULL ? nearest : "");
    (void)dkv_line_put(words, sizeof(words), end, nearest != NULL ? "?" : "");
    return add_fault(reading, reading->store->line, STORE, words);
}

static enum dkv_rc judge_uri(const struct dkv_store_reading *reading)
{
    size_t len = 0;
    const struct dkv_value *store = reading->store;
    const char *wrong = dkv_store_uri_judge(store->text, false /* may_hold_password */);
    if (wrong != NULL) {
        return add_fault(reading, store->line, STORE, wrong);
    }
    if (dkv_store_uri_is_sqlite(store->text)) {
        return DKV_OK;
    }
    const char *unknown = dkv_store_uri_unknown_option(store->text, &len);
    if (unknown != NULL) {
        return fault_unknown_option(reading, unknown, len);
    }
    /* The keys are wrapped, but libmongoc isn't made for a server that lies. */
    return dkv_store_uri_lacks_tls(store->text)
               ? add_warning(reading, store->line, STORE, "without tls=true anybody on the way can pass for the server")
               : DKV_OK;
}

/* ---- store-source ---- */

/* A warning, since this machine may not use the vault at all; opening it judges anew. */
static enum dkv_rc judge_source(const struct dkv_store_reading *reading)
{
    static const char scheme[] = "file:";
    struct dkv_error own = {0};
    const char *text = reading->source->text;
    if (strncmp(text, scheme, strlen(scheme)) != 0 ||
        dkv_secret_file_judge(text + strlen(scheme), reading->allow_group_read, &own) == DKV_OK) {
        return DKV_OK;
    }
    return add_warning(reading, reading->source->line, STORE_SOURCE, own.message);
}

static enum dkv_rc judge_either(const struct dkv_store_reading *reading)
{
    const bool has_store = dkv_value_is_given(reading->store), has_source = dkv_value_is_given(reading->source);
    if (has_store && has_source) {
        return add_fault(reading, reading->source->line, STORE_SOURCE, "stands beside store: give one of them");
    }
    if (!has_store && !has_source) {
        return add_fault(reading, reading->line, STORE, "is missing (or store-source)");
    }
    if (reading->source->is_set) {
        return judge_source(reading);
    }
    return reading->store->is_set ? judge_uri(reading) : DKV_OK;
}

/* ---- namespace ---- */

static enum dkv_rc judge_namespace(const struct dkv_store_reading *reading)
{
    const struct dkv_value *store = reading->store, *space = reading->name_space;
    const bool sqlite = store->is_set && dkv_store_uri_is_sqlite(store->text);
    const bool mongodb = store->is_set && dkv_store_uri_judge(store->text, true) == NULL && !sqlite;
    if (sqlite && dkv_value_is_given(space)) {
        return add_fault(reading, space->line, NAMESPACE, "belongs to a mongodb:// store: leave it out");
    }
    if (mongodb && !dkv_value_is_given(space)) {
        return add_fault(reading, store->line, NAMESPACE, "is missing: a mongodb:// store needs DATABASE.COLLECTION");
    }
    const char *dot = space->is_set ? strchr(space->text, '.') : NULL;
    if (space->is_set && (dot == NULL || dot == space->text || dot[1] == '\0')) {
        return add_fault(reading, space->line, NAMESPACE, "must be DATABASE.COLLECTION");
    }
    return DKV_OK;
}

enum dkv_rc dkv_provider_file_judge_store(const struct dkv_store_reading *reading)
{
    DKV_TRY(judge_either(reading));
    return judge_namespace(reading);
}
