/* SPDX-License-Identifier: Apache-2.0 */
/* `vault` and `vaults`: where a vault's documents are, which keys may protect new data, which alt names are pinned.
 * Owns: what a struct dkv_vault_settings points to. Invariant: a vault without a fault has exactly one of store and
 * store_source, and every id of encrypt_with is an entry of `providers`. No lock. */
#include "base/mem.h"
#include "vault/provider_file_groups.h"

enum {
    VAULT_STORE,
    VAULT_STORE_SOURCE,
    VAULT_NAMESPACE,
    VAULT_ENCRYPT_WITH,
    VAULT_NAMES,
    VAULT_TIMEOUT_MS,
    VAULT_ALLOW_GROUP_READ,
    N_VAULT
};

static const char *const store_source_choices[] = {"file", NULL};

static const struct dkv_option vault_options[] = {
    [VAULT_STORE] = {
        .name = "store",
        .type = DKV_OPTION_TEXT,
        .help = "Where the key documents are: sqlite:/absolute/path, or a mongodb:// or mongodb+srv:// URI without a "
                "password.",
    },
    [VAULT_STORE_SOURCE] = {
        .name = "store-source",
        .type = DKV_OPTION_SOURCE,
        .choices = store_source_choices,
        .help = "A file, mode 0600, whose one line is the store's URI with its password; in place of `store`.",
    },
    [VAULT_NAMESPACE] = {
        .name = "namespace",
        .type = DKV_OPTION_TEXT,
        .help = "The key vault's database and collection, as in encryption.__keyVault: needed in MongoDB, and "
                "there only.",
    },
    [VAULT_ENCRYPT_WITH] = {
        .name = "encrypt-with",
        .type = DKV_OPTION_LIST,
        .help = "The ids of `providers` whose keys may protect new data; without it all of them, and keys of the "
                "others still decrypt.",
    },
    [VAULT_NAMES] = {
        .name = "names",
        .type = DKV_OPTION_MAP,
        .help = "Pinned alt names, each with its key's UUID (app.users/ssn: UUID); a vault that answers otherwise "
                "is refused.",
    },
    [VAULT_TIMEOUT_MS] = {
        .name = "timeout-ms",
        .type = DKV_OPTION_NUMBER,
        .fallback = "10000",
        .min = 1,
        .max = 600000,
        .help = "How long each wait may take, in milliseconds: for another process that writes to SQLite; for a "
                "primary of MongoDB, for a connection to it, and for its reply.",
    },
    [VAULT_ALLOW_GROUP_READ] = {
        .name = "allow-group-read",
        .type = DKV_OPTION_BOOL,
        .fallback = "false",
        .help = "Whether the file of store-source, and the client key that its URI names, may be readable by their "
                "group.",
    },
};
_Static_assert(DKV_COUNT(vault_options) == N_VAULT, "one option for each index");

const struct dkv_setting_group dkv_vault_group = {"vault", vault_options, N_VAULT};

struct reading {
    const struct dkv_provider_file *file;
    const struct dkv_node *node;  /* the vault's group */
    const char *prefix;           /* "vault" or "vaults.NAME" */
    struct dkv_vault_settings *vault;
    struct dkv_faults *faults;
    struct dkv_error *err;
};

static enum dkv_rc add_fault(const struct reading *reading, unsigned line, size_t option, const char *words)
{
    char setting[DKV_SETTING_MAX];
    dkv_setting_path(setting, reading->prefix, vault_options[option].name);
    return dkv_fault_add(reading->faults, line, setting, reading->err, "%s", words);
}

static enum dkv_rc judge_store(const struct reading *reading)
{
    const struct dkv_value *values = reading->vault->values;
    const struct dkv_store_reading store = {
        .prefix = reading->prefix,
        .line = reading->vault->line,
        .store = &values[VAULT_STORE],
        .source = &values[VAULT_STORE_SOURCE],
        .name_space = &values[VAULT_NAMESPACE],
        .allow_group_read = values[VAULT_ALLOW_GROUP_READ].flag,
        .faults = reading->faults,
        .err = reading->err,
    };
    return dkv_provider_file_judge_store(&store);
}

/* ---- encrypt-with ---- */

static enum dkv_rc nearest_id(const struct reading *reading, const struct dkv_node *providers, const char *id,
                              const char **ret_id)
{
    size_t n = 0;
    DKV_CLEANUP(dkv_freep) const char **ids = (const char **)dkv_calloc(dkv_node_n_children(providers) + 1,
                                                                        sizeof(*ids));
    if (ids == NULL) {
        return dkv_fail_memory(reading->err);
    }
    const struct dkv_node *entry = providers != NULL ? providers->first : NULL;
    for (; entry != NULL; entry = entry->next) {
        ids[n++] = entry->key;
    }
    *ret_id = dkv_nearest(id, ids, n);
    return DKV_OK;
}

static enum dkv_rc fault_unknown_id(const struct reading *reading, const struct dkv_node *providers,
                                    const struct dkv_node *item)
{
    char words[512];
    const char *nearest = NULL;
    size_t type_len = 0;
    if (!dkv_provider_id_parse(item->text, &type_len)) {
        return add_fault(reading, item->line, VAULT_ENCRYPT_WITH,
                         "has an entry that isn't a provider id (TYPE or TYPE:NAME)");
    }
    DKV_TRY(nearest_id(reading, providers, item->text, &nearest));
    size_t end = dkv_line_put(words, sizeof(words), 0, item->text);
    end = dkv_line_put(words, sizeof(words), end, " isn't an entry of providers");
    if (nearest != NULL) {
        end = dkv_line_put(words, sizeof(words), end, "; did you mean ");
        end = dkv_line_put(words, sizeof(words), end, nearest);
        (void)dkv_line_put(words, sizeof(words), end, "?");
    }
    return add_fault(reading, item->line, VAULT_ENCRYPT_WITH, words);
}

/* An entry that has faults of its own counts as there: its faults are told once. */
static enum dkv_rc judge_encrypt_with(const struct reading *reading)
{
    if (!reading->vault->values[VAULT_ENCRYPT_WITH].is_set) {
        return DKV_OK;
    }
    const struct dkv_node *providers = dkv_node_child(reading->file->root, "providers");
    const struct dkv_node *list = dkv_node_child(reading->node, vault_options[VAULT_ENCRYPT_WITH].name);
    for (const struct dkv_node *item = list->first; item != NULL; item = item->next) {
        if (dkv_node_child(providers, item->text) == NULL) {
            DKV_TRY(fault_unknown_id(reading, providers, item));
        }
    }
    return DKV_OK;
}

/* ---- names ---- */

static enum dkv_rc fault_name(const struct reading *reading, const struct dkv_node *pin)
{
    char names[DKV_SETTING_MAX], setting[DKV_SETTING_MAX];
    dkv_setting_path(names, reading->prefix, vault_options[VAULT_NAMES].name);
    dkv_setting_path(setting, names, pin->key);
    return dkv_fault_add(reading->faults, pin->line, setting, reading->err,
                         "must be a key's UUID, as `dekvault key list` prints it");
}

static enum dkv_rc take_names(const struct reading *reading)
{
    struct dkv_vault_settings *vault = reading->vault;
    const struct dkv_value *names = &vault->values[VAULT_NAMES];
    if (!names->is_set) {
        return DKV_OK;
    }
    vault->names = (struct dkv_pinned_name *)dkv_calloc(names->n_items / 2 + 1, sizeof(*vault->names));
    if (vault->names == NULL) {
        return dkv_fail_memory(reading->err);
    }
    const struct dkv_node *pin = dkv_node_child(reading->node, vault_options[VAULT_NAMES].name)->first;
    for (size_t i = 0; i < names->n_items; i += 2, pin = pin->next) {
        struct dkv_pinned_name *name = &vault->names[vault->n_names];
        name->name = names->items[i];
        if (dkv_uuid_parse(names->items[i + 1], &name->id)) {
            vault->n_names++;
        } else {
            DKV_TRY(fault_name(reading, pin));
        }
    }
    return DKV_OK;
}

/* ---- One vault, and all of them ---- */

static void take_values(struct dkv_vault_settings *vault)
{
    const struct dkv_value *values = vault->values;
    vault->store = values[VAULT_STORE].text;
    vault->store_source = values[VAULT_STORE_SOURCE].text;
    vault->name_space = values[VAULT_NAMESPACE].text;
    vault->encrypt_with = values[VAULT_ENCRYPT_WITH].items;
    vault->timeout_ms = (uint32_t)values[VAULT_TIMEOUT_MS].number;
    vault->allow_group_read = values[VAULT_ALLOW_GROUP_READ].flag;
}

static enum dkv_rc read_vault(struct dkv_provider_file *file, const struct dkv_node *node, const char *name,
                              const char *prefix, struct dkv_faults *faults, struct dkv_error *err)
{
    struct dkv_vault_settings *vault = &file->vaults[file->n_vaults];
    const struct reading reading = {
        .file = file, .node = node, .prefix = prefix, .vault = vault, .faults = faults, .err = err,
    };
    *vault = (struct dkv_vault_settings){.name = name, .line = node->key_line};
    vault->values = (struct dkv_value *)dkv_calloc(N_VAULT, sizeof(*vault->values));
    if (vault->values == NULL) {
        return dkv_fail_memory(err);
    }
    file->n_vaults++;
    const size_t n_faults = faults->n;
    DKV_TRY(dkv_settings_read(node, prefix, vault_options, N_VAULT, NULL, vault->values, faults, err));
    if (node->kind != DKV_NODE_MAP && faults->n > n_faults) {
        return DKV_OK;
    }
    take_values(vault);
    DKV_TRY(judge_store(&reading));
    DKV_TRY(judge_encrypt_with(&reading));
    return take_names(&reading);
}

static const char *wrong_vault_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (strcmp(name, "default") == 0) {
        return "is the name of `vault`: choose another";
    }
    return name[strspn(name, allowed)] == '\0' ? NULL : "must be a name of letters, digits, '.', '_' and '-'";
}

static enum dkv_rc read_named_vault(struct dkv_provider_file *file, const struct dkv_node *node,
                                    struct dkv_faults *faults, struct dkv_error *err)
{
    char prefix[DKV_SETTING_MAX];
    dkv_setting_path(prefix, "vaults", node->key);
    const char *wrong = wrong_vault_name(node->key);
    if (wrong != NULL) {
        return dkv_fault_add(faults, node->key_line, prefix, err, "%s", wrong);
    }
    return read_vault(file, node, node->key, prefix, faults, err);
}

enum dkv_rc dkv_provider_file_read_vaults(struct dkv_provider_file *file, struct dkv_faults *faults,
                                          struct dkv_error *err)
{
    const struct dkv_node *vault = dkv_node_child(file->root, "vault");
    const struct dkv_node *vaults = dkv_node_child(file->root, "vaults");
    if (vaults != NULL && vaults->kind != DKV_NODE_MAP && !dkv_node_is_empty(vaults)) {
        return dkv_fault_add(faults, vaults->line, "vaults", err, "must be vaults by name, each a group of settings");
    }
    file->vaults = (struct dkv_vault_settings *)dkv_calloc(dkv_node_n_children(vaults) + 1, sizeof(*file->vaults));
    if (file->vaults == NULL) {
        return dkv_fail_memory(err);
    }
    if (vault != NULL) {
        DKV_TRY(read_vault(file, vault, "default", "vault", faults, err));
    }
    for (const struct dkv_node *node = vaults != NULL ? vaults->first : NULL; node != NULL; node = node->next) {
        DKV_TRY(read_named_vault(file, node, faults, err));
    }
    return DKV_OK;
}

void dkv_vault_settings_done(struct dkv_vault_settings *vault)
{
    if (vault->values != NULL) {
        dkv_settings_done(vault->values, N_VAULT);
        dkv_free(vault->values);
    }
    dkv_free(vault->names);
    *vault = (struct dkv_vault_settings){0};
}
