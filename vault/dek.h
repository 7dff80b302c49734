/* SPDX-License-Identifier: Apache-2.0 */
/* A DEK handle from inside, and the opening of a document's keyMaterial. Of a handle only `uses` changes between open
 * and close, so that many threads may use it. */
#ifndef VAULT_DEK_H
#define VAULT_DEK_H

#include <stdatomic.h>

#include "base/secret.h"
#include "dekvault/provider.h"
#include "vault/vault.h"

struct dkv_dek {
    struct dkv_vault *vault;   /* borrowed; NULL in tests of the field format */
    struct dkv_secret key;     /* DKV_DEK_BYTES */
    struct dkv_uuid id;
    char provider[80];         /* of the document's masterKey */
    struct dkv_buf cmk;        /* as dkv_document_cmk, for the audit */
    int32_t status;            /* the document's */
    bool is_encrypt_allowed;   /* by encrypt-with */
    atomic_uint_fast64_t uses; /* fields encrypted or decrypted */
};

/* dkv_dek_may_decrypt: DKV_E_INVALID in a child that forked after the handle was opened, where the key reads as zeros.
 * Asked before each use. */
DKV_MUST_USE enum dkv_rc dkv_dek_may_decrypt(const struct dkv_dek *dek, struct dkv_error *err);
/* dkv_dek_may_encrypt: also DKV_E_POLICY (encrypt-with) and DKV_E_DISABLED (the document's status). */
DKV_MUST_USE enum dkv_rc dkv_dek_may_encrypt(const struct dkv_dek *dek, struct dkv_error *err);
void dkv_dek_count_use(struct dkv_dek *dek);

/* dkv_document_unwrap: the DEK of a document, DKV_DEK_BYTES in *ret (which must be {0}). DKV_E_POLICY, before any
 * contact: the provider file knows no such provider, or doesn't allow the CMK. Every failure names the document. */
DKV_MUST_USE enum dkv_rc dkv_document_unwrap(struct dkv_vault *vault, const struct dkv_document *document,
                                             enum dkv_purpose purpose, struct dkv_secret *ret, struct dkv_error *err);

#endif
