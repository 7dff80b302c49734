/* SPDX-License-Identifier: Apache-2.0 */
/* One entry of `providers`: which table its id means, and its settings read by the tables. The settings of every
 * provider and the type's own are read as one table, so that the nearest name of a misspelt one is found over both. An
 * entry is immutable once made; it owns the values, and the plug-in that the table lies in. No lock. */
#include "providers/entry.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "providers/local/local.h"
#include "providers/registry.h"

/* As long as errors and the audit can name it whole. */
#define ID_MAX (sizeof(((struct dkv_error *)0)->provider) - 1)

#define SETTING_MAX 160

enum { COMMON_CMK, COMMON_CMKS, COMMON_PLUGIN, COMMON_TIMEOUT_MS, COMMON_PARALLEL, COMMON_ALLOW_GROUP_READ, N_COMMON };

const struct dkv_option dkv_provider_common_options[] = {
    [COMMON_CMK] = {.name = "cmk", .type = DKV_OPTION_TEXT, .help = "The CMK that new keys get."},
    [COMMON_CMKS] = {.name = "cmks",
                     .type = DKV_OPTION_LIST,
                     .help = "Other CMKs whose keys may still be unwrapped; a CMK in neither list is refused."},
    [COMMON_PLUGIN] = {.name = "plugin",
                       .type = DKV_OPTION_PATH,
                       .help = "The shared object of a provider type that isn't built in; only root or the user may be "
                               "able to change the file and its folder."},
    [COMMON_TIMEOUT_MS] = {.name = "timeout-ms",
                           .type = DKV_OPTION_NUMBER,
                           .fallback = "10000",
                           .min = 1,
                           .max = 600000,
                           .help = "How long one call may take."},
    [COMMON_PARALLEL] = {.name = "parallel",
                         .type = DKV_OPTION_NUMBER,
                         .fallback = "4",
                         .min = 1,
                         .max = 256,
                         .help = "How many connections or sessions are used at once, and how wide a batch is."},
    [COMMON_ALLOW_GROUP_READ] = {.name = "allow-group-read",
                                 .type = DKV_OPTION_BOOL,
                                 .fallback = "false",
                                 .help = "Whether the group may read the provider's secret files."},
};
const size_t dkv_provider_n_common_options = N_COMMON;

_Static_assert(DKV_COUNT(dkv_provider_common_options) == N_COMMON, "one option for each index");

/* What reading an entry works on. */
struct reading {
    const struct dkv_node *node;
    char prefix[SETTING_MAX]; /* "providers.ID" */
    size_t type_len;
    struct dkv_faults *faults;
};

static void free_option_array(struct dkv_option *const *options)
{
    dkv_free(*options);
}

static void free_entry(struct dkv_provider_entry *const *entry)
{
    dkv_provider_entry_free(*entry);
}

/* ---- The id ---- */

bool dkv_provider_id_parse(const char *id, size_t *ret_type_len)
{
    static const char lower[] = "abcdefghijklmnopqrstuvwxyz";
    static const char type[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    const size_t type_len = strspn(id, type);
    if (strspn(id, lower) == 0) {
        return false;
    }
    if (id[type_len] == ':') {
        const char *rest = id + type_len + 1;
        const size_t name_len = strspn(rest, name);
        if (name_len == 0 || rest[name_len] != '\0') {
            return false;
        }
    } else if (id[type_len] != '\0') {
        return false;
    }
    *ret_type_len = type_len;
    return true;
}

static enum dkv_rc read_id(struct reading *reading, bool *ret_ok, struct dkv_error *err)
{
    const struct dkv_node *node = reading->node;
    const char *id = node->key;
    snprintf(reading->prefix, sizeof(reading->prefix), "providers.%s", id);
    if (!dkv_provider_id_parse(id, &reading->type_len)) {
        return dkv_fault_add(reading->faults, node->key_line, reading->prefix, err,
                             "not a provider id: it is TYPE or TYPE:NAME, the type of lower-case letters and digits, "
                             "the name of letters, digits and underscores");
    }
    if (strlen(id) > ID_MAX) {
        return dkv_fault_add(reading->faults, node->key_line, reading->prefix, err,
                             "a provider id has at most %zu characters", (size_t)ID_MAX);
    }
    *ret_ok = true;
    return DKV_OK;
}

/* ---- The table ---- */

/* "local, pkcs11" */
static void list_known_types(char *text, size_t size)
{
    size_t end = 0;
    text[0] = '\0';
    for (const struct dkv_provider_ops *const *ops = dkv_provider_builtin; *ops != NULL; ops++) {
        end = dkv_line_put(text, size, end, ops == dkv_provider_builtin ? "" : ", ");
        end = dkv_line_put(text, size, end, (*ops)->type);
    }
}

static enum dkv_rc fault_unknown_type(const struct reading *reading, const char *type, struct dkv_error *err)
{
    char known[128];
    list_known_types(known, sizeof(known));
    if (dkv_provider_type_is_reserved(type)) {
        return dkv_fault_add(reading->faults, reading->node->key_line, reading->prefix, err,
                             "the provider type \"%s\" is not built in; known are: %s", type, known);
    }
    return dkv_fault_add(reading->faults, reading->node->key_line, reading->prefix, err,
                         "unknown provider type \"%s\"; known are: %s (any other needs `plugin`)", type, known);
}

static enum dkv_rc fault_plugin(const struct reading *reading, const struct dkv_node *plugin, struct dkv_error *err,
                                const char *text)
{
    char setting[SETTING_MAX + 8];
    snprintf(setting, sizeof(setting), "%s.plugin", reading->prefix);
    return dkv_fault_add(reading->faults, plugin->key_line, setting, err, "%s", text);
}

static enum dkv_rc load_plugin(const struct reading *reading, const struct dkv_node *plugin, const char *type,
                               struct dkv_provider_entry *entry, struct dkv_error *err)
{
    struct dkv_error why = {0};
    if (plugin->kind != DKV_NODE_SCALAR || plugin->text[0] != '/') {
        return fault_plugin(reading, plugin, err, "must be an absolute path");
    }
    const struct dkv_provider_ops *ops = NULL;
    const enum dkv_rc rc = dkv_plugin_load(plugin->text, &ops, &entry->plugin, &why);
    if (rc == DKV_E_RESOURCE) {
        return dkv_fail(err, rc, "%s", why.message);
    }
    if (rc != DKV_OK) {
        return fault_plugin(reading, plugin, err, why.message);
    }
    if (strcmp(ops->type, type) != 0) {
        snprintf(why.message, sizeof(why.message), "%s is a plug-in for the type \"%.64s\", not \"%s\"", plugin->text,
                 ops->type, type);
        return fault_plugin(reading, plugin, err, why.message);
    }
    entry->ops = ops;
    return DKV_OK;
}

/* entry->ops stays NULL where a fault was found. */
static enum dkv_rc find_ops(const struct reading *reading, struct dkv_provider_entry *entry, struct dkv_error *err)
{
    const struct dkv_node *node = reading->node;
    const struct dkv_node *plugin = dkv_node_child(node, "plugin");
    char type[ID_MAX + 1];
    snprintf(type, sizeof(type), "%.*s", (int)reading->type_len, node->key);
    if (plugin != NULL && dkv_provider_type_is_reserved(type)) {
        return fault_plugin(reading, plugin, err, "this provider type is dekvault's own: it takes no plug-in");
    }
    if (plugin != NULL) {
        return load_plugin(reading, plugin, type, entry, err);
    }
    entry->ops = dkv_provider_find(type, reading->type_len);
    return entry->ops != NULL ? DKV_OK : fault_unknown_type(reading, type, err);
}

/* ---- The settings ---- */

static enum dkv_rc read_values(const struct reading *reading, struct dkv_provider_entry *entry, struct dkv_error *err)
{
    const size_t n = N_COMMON + entry->ops->n_options;
    DKV_CLEANUP(free_option_array) struct dkv_option *options = dkv_calloc(n, sizeof(*options));
    entry->common = dkv_calloc(n, sizeof(*entry->common));
    if (options == NULL || entry->common == NULL) {
        return dkv_fail_memory(err);
    }
    memcpy(options, dkv_provider_common_options, sizeof(dkv_provider_common_options));
    if (entry->ops->n_options > 0) {
        memcpy(options + N_COMMON, entry->ops->options, entry->ops->n_options * sizeof(*options));
    }
    entry->own = entry->common + N_COMMON;
    return dkv_settings_read(reading->node, reading->prefix, options, n, NULL, entry->common, reading->faults, err);
}

static const char *const no_items[] = {NULL};

static struct dkv_provider_settings settings_of(const struct dkv_provider_entry *entry, const struct dkv_node *node,
                                                const char *file)
{
    const struct dkv_value *common = entry->common;
    return (struct dkv_provider_settings){
        .id = entry->id,
        .file = file,
        .line = node->key_line,
        .cmk = common[COMMON_CMK].text,
        .cmks = common[COMMON_CMKS].items != NULL ? common[COMMON_CMKS].items : no_items,
        .n_cmks = common[COMMON_CMKS].n_items,
        .cmk_line = common[COMMON_CMK].line,
        .cmks_line = common[COMMON_CMKS].line,
        .timeout_ms = (uint32_t)common[COMMON_TIMEOUT_MS].number,
        .parallel = (uint32_t)common[COMMON_PARALLEL].number,
        .allow_group_read = common[COMMON_ALLOW_GROUP_READ].flag,
        .values = entry->own,
    };
}

static enum dkv_rc report(void *arg, const struct dkv_setting_fault *fault, struct dkv_error *err)
{
    const struct reading *reading = arg;
    char setting[SETTING_MAX + 8];
    snprintf(setting, sizeof(setting), "%s.%s", reading->prefix, fault->setting);
    return fault->warning
               ? dkv_fault_add_warning(reading->faults, fault->line, setting, err, "%s", fault->message)
               : dkv_fault_add(reading->faults, fault->line, setting, err, "%s", fault->message);
}

static enum dkv_rc check_settings(struct reading *reading, const struct dkv_provider_entry *entry,
                                  struct dkv_error *err)
{
    return entry->ops->check_settings != NULL ? entry->ops->check_settings(&entry->settings, report, reading, err)
                                              : DKV_OK;
}

enum dkv_rc dkv_provider_entry_read(const struct dkv_node *node, const char *file, struct dkv_provider_entry **ret,
                                    struct dkv_faults *faults, struct dkv_error *err)
{
    struct reading reading = {.node = node, .faults = faults};
    const size_t n_errors = dkv_faults_n_errors(faults);
    bool id_ok = false;
    DKV_TRY(read_id(&reading, &id_ok, err));
    if (!id_ok) {
        return DKV_OK;
    }
    DKV_CLEANUP(free_entry) struct dkv_provider_entry *entry = dkv_calloc(1, sizeof(*entry));
    if (entry == NULL || (entry->id = dkv_strdup(node->key)) == NULL) {
        return dkv_fail_memory(err);
    }
    DKV_TRY(find_ops(&reading, entry, err));
    if (entry->ops == NULL) {
        return DKV_OK;
    }
    DKV_TRY(read_values(&reading, entry, err));
    entry->settings = settings_of(entry, node, file);
    DKV_TRY(check_settings(&reading, entry, err));
    if (dkv_faults_n_errors(faults) == n_errors) {
        *ret = entry;
        entry = NULL;
    }
    return DKV_OK;
}

void dkv_provider_entry_free(struct dkv_provider_entry *entry)
{
    if (entry == NULL) {
        return;
    }
    if (entry->common != NULL) {
        dkv_settings_done(entry->common, N_COMMON + entry->ops->n_options);
        dkv_free(entry->common);
    }
    dkv_plugin_unload(entry->plugin);
    dkv_free(entry->id);
    dkv_free(entry);
}
