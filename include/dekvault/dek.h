/* SPDX-License-Identifier: Apache-2.0 */
/* DEK handles: a data encryption key, unwrapped and ready for use. Its bytes rest in secret memory and
 * are never handed out. */
#ifndef DEKVAULT_DEK_H
#define DEKVAULT_DEK_H

#include "dekvault/vault.h"

DKV_BEGIN_DECLS

struct dkv_dek;

/* dkv_dek_open: fetch the key's document, unwrap it under the CMK that it names if the provider file
 * allows that CMK, and hold it.
 *   vault    borrowed: must stay open for as long as the handle
 *   ret_dek  the caller's, for dkv_dek_close
 * DKV_E_NOT_FOUND, DKV_E_CONFLICT (two documents have the name), DKV_E_POLICY (a CMK or name that the provider file
 * doesn't allow: no contact made), DKV_E_REJECTED_CIPHERTEXT (the text says whether the document was changed, moved or
 * belongs to another CMK, as far as that can be told), DKV_E_AUTH, DKV_E_UNREACHABLE, ...
 * Thread-safe: yes. Blocks: up to the provider's and the store's timeout-ms. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_dek_open(struct dkv_vault *vault, const struct dkv_key_selector *key,
                                              struct dkv_dek **ret_dek, struct dkv_error *err);

/* dkv_dek_close: wipe and free, and write the audit's record of its uses. NULL is fine.
 * Thread-safe: no, the last user calls it. Blocks: writes the audit. */
DKV_API void dkv_dek_close(struct dkv_dek *dek);

/* dkv_dek_id: the document's _id; borrowed from the handle. Thread-safe: yes. Blocks: no. */
DKV_API const struct dkv_uuid *dkv_dek_id(const struct dkv_dek *dek);

DKV_END_DECLS

#endif
