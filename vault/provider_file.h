/* SPDX-License-Identifier: Apache-2.0 */
/* The provider file as the vault and the faces see it. */
#ifndef VAULT_PROVIDER_FILE_H
#define VAULT_PROVIDER_FILE_H

#include "dekvault/provider_file.h"
#include "providers/entry.h"

struct dkv_pinned_name {
    const char *name;
    struct dkv_uuid id;
};

struct dkv_vault_settings {
    const char *name;      /* "default" or the key in `vaults` */
    unsigned line;
    const char *store;     /* as written, with its scheme; NULL when store-source is used */
    const char *store_source;
    const char *name_space;
    const char *const *encrypt_with; /* NULL-terminated ids; NULL: all */
    struct dkv_pinned_name *names;
    size_t n_names;
    uint32_t timeout_ms;
    bool allow_group_read;
    struct dkv_value *values; /* what the above borrows from */
};

struct dkv_provider_file {
    char *path;
    struct dkv_node *root;
    struct dkv_vault_settings *vaults;
    size_t n_vaults;
    struct dkv_provider_entry **entries;
    size_t n_entries;
    const char *audit_to;
    bool audit_required;
    bool memory_allow_unlocked;
    uint64_t memory_limit_kib;
    const char *state_dir;   /* NULL: the default */
    bool fips_required;
    const char *fips_config;
    struct dkv_value *values[3]; /* top level, audit, memory: what the above borrows from */
};

/* dkv_provider_file_check: all faults, for `config check`, by line. *ret_file is set only when there are none but
 * warnings. DKV_OK with faults->n > 0 is the usual answer to a wrong file; DKV_E_NOT_FOUND when there is no file,
 * DKV_E_CONFIG when it may not be trusted (owner, mode, folder, size), since then it isn't read. ret_path
 * (PATH_MAX) gets the path looked at, also on failure. */
DKV_MUST_USE enum dkv_rc dkv_provider_file_check(const char *path, struct dkv_provider_file **ret_file,
                                                 struct dkv_faults *faults, char *ret_path, struct dkv_error *err);

/* dkv_provider_file_vault: name NULL or "default": `vault`; NULL when there is none. */
const struct dkv_vault_settings *dkv_provider_file_vault(const struct dkv_provider_file *file, const char *name);
const struct dkv_provider_entry *dkv_provider_file_entry(const struct dkv_provider_file *file, const char *id);

/* The groups, for `config explain` and dekvault.conf(5): every setting as "group.name", in order. */
struct dkv_setting_doc {
    char setting[96];  /* "vault.store", "providers.pkcs11.module" */
    const struct dkv_option *option;
};
typedef enum dkv_rc (*dkv_setting_visit_fn)(void *arg, const struct dkv_setting_doc *setting, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_settings_visit(dkv_setting_visit_fn visit, void *arg, struct dkv_error *err);

#endif
