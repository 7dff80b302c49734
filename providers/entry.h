/* SPDX-License-Identifier: Apache-2.0 */
/* One entry of `providers` in the provider file: its type's table and its settings, read and checked. */
#ifndef PROVIDERS_ENTRY_H
#define PROVIDERS_ENTRY_H

#include "base/settings.h"

struct dkv_provider_entry {
    const struct dkv_provider_ops *ops;
    void *plugin;                          /* dlopen handle, or NULL */
    char *id;                              /* "pkcs11:prod" */
    struct dkv_provider_settings settings; /* borrows from below */
    struct dkv_value *own;                 /* ops->n_options values */
    struct dkv_value *common;              /* those of every provider */
};

/* The settings that every provider's entry has: cmk, cmks, plugin, timeout-ms, parallel, allow-group-read. */
extern const struct dkv_option dkv_provider_common_options[];
extern const size_t dkv_provider_n_common_options;

/* dkv_provider_entry_read: node is the entry (its key the id). What is wrong becomes faults under
 * "providers.ID"; *ret stays NULL then. A plug-in named by `plugin` is judged and loaded. Fails itself only
 * for want of memory. file must outlive the entry. */
DKV_MUST_USE enum dkv_rc dkv_provider_entry_read(const struct dkv_node *node, const char *file,
                                                 struct dkv_provider_entry **ret, struct dkv_faults *faults,
                                                 struct dkv_error *err);
void dkv_provider_entry_free(struct dkv_provider_entry *entry);

/* dkv_provider_id_parse: "type" or "type:name", type [a-z][a-z0-9]*, name [a-zA-Z0-9_]+. ret_type_len: of the type
 * part. */
DKV_MUST_USE bool dkv_provider_id_parse(const char *id, size_t *ret_type_len);

#endif
