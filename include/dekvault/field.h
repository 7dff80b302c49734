/* SPDX-License-Identifier: Apache-2.0 */
/* Fields: single BSON values, encrypted to BSON binary subtype 6 byte for byte as MongoDB's drivers do
 * (github.com/mongodb/specifications, bson-binary-encrypted; AEAD_AES_256_CBC_HMAC_SHA_512). */
#ifndef DEKVAULT_FIELD_H
#define DEKVAULT_FIELD_H

#include "dekvault/dek.h"

DKV_BEGIN_DECLS

/* The first byte of the payload. */
enum dkv_algorithm { DKV_DETERMINISTIC = 1, DKV_RANDOM = 2 };

/* A BSON value: its type byte (bsonspec.org) and its value bytes as they stand in a document after the
 * name; a string, for instance, is its int32 length, its UTF-8 and a NUL. */
struct dkv_bson_value {
    uint8_t type;
    struct dkv_span bytes;
};

/* dkv_field_encrypt: append the payload of subtype 6 (18 + 16 + 16 * (len / 16 + 1) + 32 bytes) to ret_payload.
 * DKV_E_INVALID: a type that may not be encrypted (null, undefined, minKey, maxKey, binary subtype 6; deterministic:
 * also double, object, array, codeWithScope, bool, decimal128), or bytes that aren't a value of that type.
 * DKV_E_POLICY: the key's provider isn't in encrypt-with. DKV_E_DISABLED: the key is. DKV_E_INVALID also in a child
 * process that forked after dkv_dek_open: open it again there.
 * Thread-safe: yes, also on one handle. Blocks: no. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_field_encrypt(struct dkv_dek *dek, enum dkv_algorithm algorithm,
                                                   struct dkv_bson_value value, struct dkv_buf *ret_payload,
                                                   struct dkv_error *err);

/* dkv_field_decrypt: append the value bytes (plaintext: dkv_buf_done wipes it) to ret_value and set *ret_type.
 * DKV_E_REJECTED_CIPHERTEXT: truncated, changed, or encrypted with another key (the text names it). DKV_E_INVALID: a
 * child process, as above. A key that is disabled, or whose provider isn't in encrypt-with, still decrypts.
 * Thread-safe: yes, also on one handle. Blocks: no. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_field_decrypt(struct dkv_dek *dek, struct dkv_span payload, uint8_t *ret_type,
                                                   struct dkv_buf *ret_value, struct dkv_error *err);

/* dkv_field_key: which key a payload was encrypted with. DKV_E_REJECTED_CIPHERTEXT: it isn't such a payload.
 * Thread-safe: yes. Blocks: no. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_field_key(struct dkv_span payload, struct dkv_uuid *ret_id, struct dkv_error *err);

DKV_END_DECLS

#endif
