/* SPDX-License-Identifier: Apache-2.0 */
/* Key documents as the vault's files fetch them: a store is not trusted to answer what was asked.
 * Thread-safe; blocks as the store does. */
#ifndef VAULT_KEY_H
#define VAULT_KEY_H

#include "vault/vault.h"

/* A document's stored bytes and what they say. Start from {0}. */
struct dkv_key {
    struct dkv_buf bytes;
    struct dkv_document document; /* borrows from bytes */
};
void dkv_key_done(struct dkv_key *key);

/* dkv_key_fetch: as dkv_key_get, parsed, and checked to be the one that was asked for: DKV_E_REJECTED_CIPHERTEXT when
 * the store answers with another. *ret must be {0}. */
DKV_MUST_USE enum dkv_rc dkv_key_fetch(struct dkv_vault *vault, const struct dkv_key_selector *selector,
                                       struct dkv_key *ret, struct dkv_error *err);

/* dkv_key_find: the stored bytes under this _id, whatever they say. DKV_E_NOT_FOUND. *ret must be {0}. */
DKV_MUST_USE enum dkv_rc dkv_key_find(struct dkv_vault *vault, const struct dkv_uuid *id, struct dkv_buf *ret,
                                      struct dkv_error *err);

#endif
