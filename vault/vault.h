/* SPDX-License-Identifier: Apache-2.0 */
/* A vault at work, as the files of vault/ and the faces see it. Its members don't change once it is open, and each
 * holds its own lock. */
#ifndef VAULT_VAULT_H
#define VAULT_VAULT_H

#include "dekvault/dek.h"
#include "providers/instance.h"
#include "vault/audit.h"
#include "vault/provider_file.h"
#include "vault/store.h"

/* The providers of a file, opened one by one at first use. Also used without a vault (provider check, cmk create, token
 * login). */
struct dkv_providers;
DKV_MUST_USE enum dkv_rc dkv_providers_new(const struct dkv_provider_file *file, struct dkv_providers **ret,
                                           struct dkv_error *err);
void dkv_providers_free(struct dkv_providers *providers);
/* dkv_providers_get: DKV_E_NOT_FOUND names the ids that there are. *ret is borrowed until dkv_providers_free.
 * Thread-safe; blocks while the provider opens. */
DKV_MUST_USE enum dkv_rc dkv_providers_get(struct dkv_providers *providers, const char *id, struct dkv_instance **ret,
                                           struct dkv_error *err);

struct dkv_vault {
    const struct dkv_provider_file *file;
    const struct dkv_vault_settings *settings;
    struct dkv_store *store;
    struct dkv_providers *providers;
    struct dkv_audit *audit;
    char *store_text; /* without a password */
};

/* dkv_process_start: what must be right before any key is touched: secret memory by the file's `memory`, cryptography
 * by its `fips`. */
DKV_MUST_USE enum dkv_rc dkv_process_start(const struct dkv_provider_file *file, struct dkv_error *err);

#endif
