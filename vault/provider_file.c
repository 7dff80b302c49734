/* SPDX-License-Identifier: Apache-2.0 */
/* A provider file, read and checked. Owns: the tree, the vaults' settings and the providers' entries, in a struct
 * dkv_provider_file that is immutable once it is handed out, so any number of threads may read it. Invariant: none
 * is handed out while it has a fault. */
#include "vault/provider_file.h"

#include <limits.h>

#include "base/mem.h"
#include "vault/provider_file_groups.h"

DKV_DEFINE_FREEP(struct dkv_provider_file, dkv_provider_file_close);

/* ---- Reading ---- */

/* file->root stays NULL where the text isn't what YAML may be here; that fault is then the only one. */
static enum dkv_rc parse(struct dkv_provider_file *file, struct dkv_span text, struct dkv_faults *faults,
                         struct dkv_error *err)
{
    struct dkv_error why = {0};
    unsigned line = 0;
    const enum dkv_rc rc = dkv_yaml_parse(text, NULL /* words alone */, &file->root, &line, &why);
    if (rc == DKV_E_CONFIG) {
        return dkv_fault_add(faults, line, "", err, "%s", why.message);
    }
    return dkv_fail_as(err, rc, &why);
}

static enum dkv_rc read_providers(struct dkv_provider_file *file, struct dkv_faults *faults, struct dkv_error *err)
{
    const struct dkv_node *providers = dkv_node_child(file->root, "providers");
    if (providers == NULL) {
        return DKV_OK;
    }
    if (providers->kind != DKV_NODE_MAP && !dkv_node_is_empty(providers)) {
        return dkv_fault_add(faults, providers->line, "providers", err,
                             "must be providers by id, each a group of settings");
    }
    file->entries = (struct dkv_provider_entry **)dkv_calloc(dkv_node_n_children(providers) + 1,
                                                             sizeof(struct dkv_provider_entry *));
    if (file->entries == NULL) {
        return dkv_fail_memory(err);
    }
    for (const struct dkv_node *node = providers->first; node != NULL; node = node->next) {
        struct dkv_provider_entry *entry = NULL;
        DKV_TRY(dkv_provider_entry_read(node, file->path, &entry, faults, err));
        if (entry != NULL) {
            file->entries[file->n_entries++] = entry;
        }
    }
    return DKV_OK;
}

static enum dkv_rc read_all(struct dkv_provider_file *file, struct dkv_faults *faults, struct dkv_error *err)
{
    DKV_TRY(dkv_provider_file_read_groups(file, faults, err));
    DKV_TRY(dkv_provider_file_read_vaults(file, faults, err));
    return read_providers(file, faults, err);
}

static enum dkv_rc warn_of_nothing(const struct dkv_provider_file *file, struct dkv_faults *faults,
                                   struct dkv_error *err)
{
    if (file->n_entries > 0 || file->n_vaults > 0 || dkv_faults_n_errors(faults) > 0) {
        return DKV_OK;
    }
    return dkv_fault_add_warning(faults, 1, "", err,
                                 "names no provider and no vault: set `vault.store` and `providers`");
}

enum dkv_rc dkv_provider_file_check(const char *path, struct dkv_provider_file **ret_file, struct dkv_faults *faults,
                                    char *ret_path, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
    DKV_TRY(dkv_provider_file_load(path, ret_path, &text, err));
    DKV_CLEANUP(dkv_provider_file_closep) struct dkv_provider_file *file =
        (struct dkv_provider_file *)dkv_calloc(1, sizeof(*file));
    if (file == NULL || (file->path = dkv_strdup(ret_path)) == NULL) {
        return dkv_fail_memory(err);
    }
    DKV_TRY(parse(file, dkv_span_buf(&text), faults, err));
    if (file->root != NULL) {
        DKV_TRY(read_all(file, faults, err));
        DKV_TRY(warn_of_nothing(file, faults, err));
    }
    dkv_faults_sort(faults);
    if (dkv_faults_n_errors(faults) == 0) {
        *ret_file = file;
        file = NULL;
    }
    return DKV_OK;
}

/* ---- Opening ---- */

/* There is at least one that isn't a warning. */
static enum dkv_rc fail_with_first(const struct dkv_faults *faults, const char *path, struct dkv_error *err)
{
    const struct dkv_fault *fault = faults->items;
    while (fault->warning) {
        fault++;
    }
    const size_t more = dkv_faults_n_errors(faults) - 1;
    const char *colon = fault->setting[0] != '\0' ? ": " : "";
    if (more == 0) {
        return dkv_fail(err, DKV_E_CONFIG, "%s:%u: %s%s%s", path, fault->line, fault->setting, colon, fault->message);
    }
    return dkv_fail(err, DKV_E_CONFIG, "%s:%u: %s%s%s (and %zu more: run `dekvault config check`)", path, fault->line,
                    fault->setting, colon, fault->message, more);
}

enum dkv_rc dkv_provider_file_open(const char *path, struct dkv_provider_file **ret_file, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_faults_done) struct dkv_faults faults = {0};
    DKV_CLEANUP(dkv_provider_file_closep) struct dkv_provider_file *file = NULL;
    char found[PATH_MAX] = "";
    DKV_TRY(dkv_provider_file_check(path, &file, &faults, found, err));
    if (file == NULL) {
        return fail_with_first(&faults, found, err);
    }
    *ret_file = file;
    file = NULL;
    return DKV_OK;
}

static void free_values(struct dkv_provider_file *file)
{
    for (size_t i = 0; i < DKV_N_GROUPS; i++) {
        if (file->values[i] != NULL) {
            dkv_settings_done(file->values[i], dkv_provider_file_groups[i].n);
            dkv_free(file->values[i]);
        }
    }
}

void dkv_provider_file_close(struct dkv_provider_file *file)
{
    if (file == NULL) {
        return;
    }
    for (size_t i = 0; i < file->n_entries; i++) {
        dkv_provider_entry_free(file->entries[i]);
    }
    for (size_t i = 0; i < file->n_vaults; i++) {
        dkv_vault_settings_done(&file->vaults[i]);
    }
    free_values(file);
    dkv_free(file->entries);
    dkv_free(file->vaults);
    dkv_node_free(file->root);
    dkv_free(file->path);
    dkv_free(file);
}

/* ---- Looking up ---- */

const char *dkv_provider_file_path(const struct dkv_provider_file *file)
{
    return file->path;
}

const struct dkv_vault_settings *dkv_provider_file_vault(const struct dkv_provider_file *file, const char *name)
{
    const char *wanted = name != NULL ? name : "default";
    for (size_t i = 0; i < file->n_vaults; i++) {
        if (strcmp(file->vaults[i].name, wanted) == 0) {
            return &file->vaults[i];
        }
    }
    return NULL;
}

const struct dkv_provider_entry *dkv_provider_file_entry(const struct dkv_provider_file *file, const char *id)
{
    for (size_t i = 0; i < file->n_entries; i++) {
        if (strcmp(file->entries[i]->id, id) == 0) {
            return file->entries[i];
        }
    }
    return NULL;
}
