/* SPDX-License-Identifier: Apache-2.0 */
/* The provider types that are built in, and the checks that every table passes before it is used. */
#ifndef PROVIDERS_REGISTRY_H
#define PROVIDERS_REGISTRY_H

#include "base/error.h"
#include "dekvault/provider.h"

/* NULL-terminated. */
extern const struct dkv_provider_ops *const dkv_provider_builtin[];

const struct dkv_provider_ops *dkv_provider_find(const char *type, size_t type_len);

/* dkv_provider_ops_check: DKV_E_CONFIG for a wrong size or ABI version, a malformed type name, a missing
 * required member, half of a pair (set_cmk_state without list_cmks, options without n_options), an option table with a
 * hole. */
DKV_MUST_USE enum dkv_rc dkv_provider_ops_check(const struct dkv_provider_ops *ops, const char *origin,
                                                struct dkv_error *err);

/* dkv_provider_type_is_reserved: MongoDB's five (aws, azure, gcp, kmip, local) and pkcs11: no plug-in may take them. */
bool dkv_provider_type_is_reserved(const char *type);

/* dkv_plugin_load: judge the file and its folder, load it, find and check its table. *ret_handle for
 * dkv_plugin_unload. */
DKV_MUST_USE enum dkv_rc dkv_plugin_load(const char *path, const struct dkv_provider_ops **ret_ops, void **ret_handle,
                                         struct dkv_error *err);
void dkv_plugin_unload(void *handle);

#endif
