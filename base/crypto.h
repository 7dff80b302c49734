/* SPDX-License-Identifier: Apache-2.0 */
/* All cryptography, through one private OSSL_LIB_CTX that takes nothing from the host's
 * configuration. Keys come in from secret memory and OpenSSL's own copies are wiped before each
 * function returns: nothing of a key rests outside secret memory between calls. Thread-safe; nothing blocks but the
 * first use, which may read FIPS's configuration. */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include <stdbool.h>

#include "base/bytes.h"

#define DKV_GCM_TAG_LEN 16
#define DKV_DEK_LEN 96       /* HMAC key | AES key | IV key, 32 bytes each */
#define DKV_LOCAL_WRAP_LEN 160

/* dkv_crypto_start: make the context on first use; every function below calls it. fips_config is
 * the absolute path of a fipsmodule.cnf, or NULL for OpenSSL's default provider. Once made it stays for
 * the process: asking for another mode is DKV_E_CONFIG, as is a machine without the FIPS provider. */
DKV_MUST_USE enum dkv_rc dkv_crypto_start(const char *fips_config, struct dkv_error *err);
bool dkv_crypto_is_fips(void);
/* "OpenSSL 3.0.19" and the like; static. */
const char *dkv_crypto_backend(void);

/* Random bytes for keys and IVs; ret may be secret memory. */
DKV_MUST_USE enum dkv_rc dkv_random(uint8_t *ret, size_t len, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_uuid_random(struct dkv_uuid *ret, struct dkv_error *err);

/* AES-256-GCM (SP 800-38D), tag 16. seal writes plain.len bytes to ciphertext. open writes
 * ciphertext.len bytes to plain; DKV_E_REJECTED_CIPHERTEXT on a wrong tag, plain wiped then. An IV has 1 to 128 bytes
 * (else seal: DKV_E_INVALID, open: DKV_E_REJECTED_CIPHERTEXT). Here and below, more than 1 GiB of aad or text is
 * DKV_E_INVALID. */
DKV_MUST_USE enum dkv_rc dkv_gcm_seal(const uint8_t key[static 32], struct dkv_span iv, struct dkv_span aad,
                                      struct dkv_span plain, uint8_t *ciphertext, uint8_t tag[static DKV_GCM_TAG_LEN],
                                      struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_gcm_open(const uint8_t key[static 32], struct dkv_span iv, struct dkv_span aad,
                                      struct dkv_span ciphertext, const uint8_t tag[static DKV_GCM_TAG_LEN],
                                      uint8_t *plain, struct dkv_error *err);

/* SHA-256 and HMAC (FIPS 198-1) over the parts, in order. */
DKV_MUST_USE enum dkv_rc dkv_sha256(const struct dkv_span *parts, size_t n, uint8_t ret[static 32],
                                    struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_hmac_sha256(struct dkv_span key, const struct dkv_span *parts, size_t n,
                                         uint8_t ret[static 32], struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_hmac_sha512(struct dkv_span key, const struct dkv_span *parts, size_t n,
                                         uint8_t ret[static 64], struct dkv_error *err);

/* AEAD_AES_256_CBC_HMAC_SHA_512 as MongoDB uses it, key = HMAC key | AES key | IV key of 32 bytes each:
 *   S = AES-256-CBC(key[32:64], iv, PKCS7(plain)); T = HMAC-SHA-512(key[0:32], aad | iv | S | be64(bits of aad))[0:32]
 * sealed = iv | S | T. */
static inline size_t dkv_mongo_sealed_len(size_t plain_len)
{
    return 16 + 16 * (plain_len / 16 + 1) + 32;
}
/* sealed: dkv_mongo_sealed_len(plain.len) bytes of the caller's. */
DKV_MUST_USE enum dkv_rc dkv_mongo_seal(const uint8_t key[static DKV_DEK_LEN], const uint8_t iv[static 16],
                                        struct dkv_span aad, struct dkv_span plain, uint8_t *sealed,
                                        struct dkv_error *err);
/* plain: sealed.len - 48 bytes of room; the real length goes to *ret_len. The MAC is judged first, in constant
 * time; any failure is DKV_E_REJECTED_CIPHERTEXT and leaves plain wiped. */
DKV_MUST_USE enum dkv_rc dkv_mongo_open(const uint8_t key[static DKV_DEK_LEN], struct dkv_span aad,
                                        struct dkv_span sealed, uint8_t *plain, size_t *ret_len, struct dkv_error *err);
/* The IV of deterministic encryption: HMAC-SHA-512(key[64:96], aad | be64(bits of aad) | plain)[0:16]. */
DKV_MUST_USE enum dkv_rc dkv_mongo_deterministic_iv(const uint8_t key[static DKV_DEK_LEN], struct dkv_span aad,
                                                    struct dkv_span plain, uint8_t ret_iv[static 16],
                                                    struct dkv_error *err);

#endif
