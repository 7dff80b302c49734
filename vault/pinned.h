/* SPDX-License-Identifier: Apache-2.0 */
/* Alt names that the provider file pins to an _id (`names`). */
#ifndef VAULT_PINNED_H
#define VAULT_PINNED_H

#include "vault/document.h"
#include "vault/provider_file.h"

/* dkv_pinned_check: DKV_E_POLICY when the vault's settings pin this name to another _id. */
DKV_MUST_USE enum dkv_rc dkv_pinned_check(const struct dkv_provider_file *file,
                                          const struct dkv_vault_settings *settings,
                                          const char *name, const struct dkv_uuid *id, struct dkv_error *err);
/* dkv_pinned_check_all: the same for every name of a document. */
DKV_MUST_USE enum dkv_rc dkv_pinned_check_all(const struct dkv_provider_file *file,
                                              const struct dkv_vault_settings *settings,
                                              const struct dkv_document *document, struct dkv_error *err);

#endif
