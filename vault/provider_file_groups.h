/* SPDX-License-Identifier: Apache-2.0 */
/* The provider file's groups: their option tables, and reading them into a struct dkv_provider_file. Shared by the
 * files of vault/provider_file*.c and by setting_docs.c. */
#ifndef VAULT_PROVIDER_FILE_GROUPS_H
#define VAULT_PROVIDER_FILE_GROUPS_H

#include "vault/provider_file.h"

/* file->values[], and dkv_provider_file_groups[]. */
enum { DKV_GROUP_TOP, DKV_GROUP_AUDIT, DKV_GROUP_MEMORY, DKV_N_GROUPS };

struct dkv_setting_group {
    const char *prefix; /* "" for the top level */
    const struct dkv_option *options;
    size_t n;
};
extern const struct dkv_setting_group dkv_provider_file_groups[DKV_N_GROUPS];
extern const struct dkv_setting_group dkv_vault_group; /* of `vault` and of each of `vaults` */

/* Whether the file has the setting at all: one with a wrong value isn't set, but has its line, and its own fault
 * already. */
static inline bool dkv_value_is_given(const struct dkv_value *value)
{
    return value->line != 0;
}

/* dkv_provider_file_load: find the file (path NULL: by the search order), judge it and read it. ret_path (PATH_MAX
 * bytes) gets the path looked at, also on failure. */
DKV_MUST_USE enum dkv_rc dkv_provider_file_load(const char *path, char *ret_path, struct dkv_buf *ret_text,
                                                struct dkv_error *err);

/* Each reads its part of file->root; what is wrong becomes faults; each fails only for want of memory. What is half
 * read is freed by dkv_provider_file_close. */
DKV_MUST_USE enum dkv_rc dkv_provider_file_read_groups(struct dkv_provider_file *file, struct dkv_faults *faults,
                                                       struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_provider_file_read_vaults(struct dkv_provider_file *file, struct dkv_faults *faults,
                                                       struct dkv_error *err);
void dkv_vault_settings_done(struct dkv_vault_settings *vault);

/* dkv_provider_file_judge_store: what is wrong with a vault's store, store-source and namespace, as faults; fails only
 * for want of memory. */
struct dkv_store_reading {
    const char *prefix; /* "vault" or "vaults.NAME" */
    unsigned line;      /* the vault's */
    const struct dkv_value *store, *source, *name_space;
    bool allow_group_read;
    struct dkv_faults *faults;
    struct dkv_error *err;
};
DKV_MUST_USE enum dkv_rc dkv_provider_file_judge_store(const struct dkv_store_reading *reading);

/* dkv_store_uri_judge: what is wrong with the text of a store (`store`, or what a store-source's file holds),
 * without repeating it; NULL when nothing is. A store-source may hold a password (may_hold_password). */
const char *dkv_store_uri_judge(const char *uri, bool may_hold_password);
bool dkv_store_uri_is_sqlite(const char *uri);

/* ---- store_uri_options.c: of a text that dkv_store_uri_judge takes ---- */

/* dkv_store_uri_unknown_option: the first option that MongoDB's URIs don't have, in the text; NULL: none. */
const char *dkv_store_uri_unknown_option(const char *uri, size_t *ret_len);
/* dkv_store_uri_nearest_option: the known one that may be meant; NULL. */
const char *dkv_store_uri_nearest_option(const char *name, size_t len);
/* dkv_store_uri_lacks_password: it names a user, and its mechanism needs a password. */
bool dkv_store_uri_lacks_password(const char *uri);
/* dkv_store_uri_lacks_tls: its first host is another machine, and it doesn't ask for TLS. */
bool dkv_store_uri_lacks_tls(const char *uri);

#endif
