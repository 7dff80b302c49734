/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-GCM (SP 800-38D) with a tag of 16 bytes.
 *
 * Invariant: the context with the key schedule and the hash key is made and freed (OpenSSL clears it then) within
 * a call; a text whose tag is wrong is wiped before anybody sees it. No state, no lock. */
#include "base/crypto_context.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "base/mem.h"

#define IV_MAX_LEN 128 /* OpenSSL's */

static enum dkv_rc gcm_init(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, bool seal, const uint8_t *key,
                            struct dkv_span iv, struct dkv_error *err)
{
    size_t iv_len = iv.len;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_size_t(OSSL_CIPHER_PARAM_AEAD_IVLEN, &iv_len),
        OSSL_PARAM_construct_end(),
    };
    /* Twice, since the IV's length must be known before the IV is taken. */
    if (EVP_CipherInit_ex2(ctx, cipher, NULL, NULL, seal, iv.len != 12 ? params : NULL) != 1 ||
        EVP_CipherInit_ex2(ctx, NULL, key, iv.data, seal, NULL) != 1) {
        return dkv_fail_openssl(err, "AES-256-GCM");
    }
    return DKV_OK;
}

static enum dkv_rc gcm_update(EVP_CIPHER_CTX *ctx, struct dkv_span aad, struct dkv_span input, uint8_t *output,
                              struct dkv_error *err)
{
    int len = 0;
    if (aad.len > 0 && EVP_CipherUpdate(ctx, NULL, &len, aad.data, (int)aad.len) != 1) {
        return dkv_fail_openssl(err, "AES-256-GCM");
    }
    if (input.len > 0 && EVP_CipherUpdate(ctx, output, &len, input.data, (int)input.len) != 1) {
        return dkv_fail_openssl(err, "AES-256-GCM");
    }
    return DKV_OK;
}

static enum dkv_rc gcm_finish_seal(EVP_CIPHER_CTX *ctx, uint8_t *tag, struct dkv_error *err)
{
    uint8_t nothing[16];
    int len = 0;
    if (EVP_CipherFinal_ex(ctx, nothing, &len) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, DKV_GCM_TAG_LEN, tag) != 1) {
        return dkv_fail_openssl(err, "AES-256-GCM");
    }
    return DKV_OK;
}

static enum dkv_rc gcm_finish_open(EVP_CIPHER_CTX *ctx, const uint8_t *tag, struct dkv_error *err)
{
    uint8_t expected[DKV_GCM_TAG_LEN], nothing[16];
    int len = 0;
    memcpy(expected, tag, sizeof(expected)); /* the ctrl takes no const */
    if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, DKV_GCM_TAG_LEN, expected) != 1) {
        return dkv_fail_openssl(err, "AES-256-GCM");
    }
    DKV_CHECK(EVP_CipherFinal_ex(ctx, nothing, &len) == 1, err, DKV_E_REJECTED_CIPHERTEXT,
              "the authentication tag is wrong: damaged, forged, or sealed by another key or for another document");
    return DKV_OK;
}

static bool gcm_len_is_fine(struct dkv_span aad, struct dkv_span text)
{
    return aad.len <= DKV_CRYPTO_MAX_LEN && text.len <= DKV_CRYPTO_MAX_LEN;
}

enum dkv_rc dkv_gcm_seal(const uint8_t key[static 32], struct dkv_span iv, struct dkv_span aad, struct dkv_span plain,
                         uint8_t *ciphertext, uint8_t tag[static DKV_GCM_TAG_LEN], struct dkv_error *err)
{
    DKV_CHECK(iv.len >= 1 && iv.len <= IV_MAX_LEN, err, DKV_E_INVALID, "an AES-GCM IV of %zu bytes: 1 to 128 are "
              "possible", iv.len);
    DKV_CHECK(gcm_len_is_fine(aad, plain), err, DKV_E_INVALID, "more than 1 GiB in one piece can't be encrypted");
    DKV_CLEANUP(dkv_crypto_leave) struct dkv_crypto_call call = {0};
    DKV_TRY(dkv_crypto_enter(&call, err));
    DKV_CLEANUP(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return dkv_fail_memory(err);
    }
    DKV_TRY(gcm_init(ctx, call.crypto->aes_256_gcm, true, key, iv, err));
    DKV_TRY(gcm_update(ctx, aad, plain, ciphertext, err));
    return gcm_finish_seal(ctx, tag, err);
}

static enum dkv_rc gcm_open(const EVP_CIPHER *cipher, const uint8_t *key, struct dkv_span iv, struct dkv_span aad,
                            struct dkv_span ciphertext, const uint8_t *tag, uint8_t *plain, struct dkv_error *err)
{
    DKV_CLEANUP(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return dkv_fail_memory(err);
    }
    DKV_TRY(gcm_init(ctx, cipher, false, key, iv, err));
    DKV_TRY(gcm_update(ctx, aad, ciphertext, plain, err));
    return gcm_finish_open(ctx, tag, err);
}

enum dkv_rc dkv_gcm_open(const uint8_t key[static 32], struct dkv_span iv, struct dkv_span aad,
                         struct dkv_span ciphertext,
                         const uint8_t tag[static DKV_GCM_TAG_LEN], uint8_t *plain, struct dkv_error *err)
{
    /* The lengths of IV and text come from a document here. */
    DKV_CHECK(iv.len >= 1 && iv.len <= IV_MAX_LEN, err, DKV_E_REJECTED_CIPHERTEXT, "an AES-GCM IV of %zu bytes",
              iv.len);
    DKV_CHECK(gcm_len_is_fine(aad, ciphertext), err, DKV_E_INVALID, "more than 1 GiB in one piece can't be decrypted");
    DKV_CLEANUP(dkv_crypto_leave) struct dkv_crypto_call call = {0};
    DKV_TRY(dkv_crypto_enter(&call, err));
    const enum dkv_rc rc = gcm_open(call.crypto->aes_256_gcm, key, iv, aad, ciphertext, tag, plain, err);
    if (rc != DKV_OK) {
        dkv_wipe(plain, ciphertext.len);
    }
    return rc;
}
