/* SPDX-License-Identifier: Apache-2.0 */
/* masterKey sub-documents as far as they can be judged without the provider. */
#ifndef VAULT_MASTER_KEY_H
#define VAULT_MASTER_KEY_H

#include "base/bytes.h"

#define DKV_PROVIDER_ID_SIZE 80 /* a provider id with its NUL */

/* dkv_master_key_parse: bson is a valid BSON document. Its `provider` goes to ret_provider. DKV_E_REJECTED_CIPHERTEXT:
 * no text `provider` of [a-zA-Z0-9_] and at most one colon, a repeated field, or, for the providers that MongoDB knows,
 * a field that it doesn't or of another type. What else a masterKey must hold, its provider says. */
DKV_MUST_USE enum dkv_rc dkv_master_key_parse(struct dkv_span bson, char ret_provider[static DKV_PROVIDER_ID_SIZE],
                                              struct dkv_error *err);

/* dkv_master_key_cmk: the text by which stores filter and count, appended to ret. See dkv_document_cmk. */
DKV_MUST_USE enum dkv_rc dkv_master_key_cmk(struct dkv_span bson, const char *provider, struct dkv_buf *ret,
                                            struct dkv_error *err);

#endif
