/* SPDX-License-Identifier: Apache-2.0 */
/* AEAD_AES_256_CBC_HMAC_SHA_512 as MongoDB's client-side field level encryption uses it
 * (draft-mcgrew-aead-aes-cbc-hmac-sha2-05 with the key split as MAC key, encryption key, IV key).
 *
 * Invariant: nothing is decrypted before its MAC was found right, and a full MAC of a text that we did not make
 * never stays on the stack. No state, no lock. */
#include "base/crypto_context.h"

#include "base/mem.h"

#define BLOCK_LEN 16
#define IV_LEN 16
#define MAC_LEN 32          /* of the 64 that HMAC-SHA-512 gives */
#define FULL_MAC_LEN 64
#define SEALED_MIN_LEN (IV_LEN + BLOCK_LEN + MAC_LEN)

/* The three keys in the 96 bytes. */
static struct dkv_span mac_key(const uint8_t *key)
{
    return dkv_span(key, 32);
}

static const uint8_t *aes_key(const uint8_t *key)
{
    return key + 32;
}

static struct dkv_span iv_key(const uint8_t *key)
{
    return dkv_span(key + 64, 32);
}

/* AL of the draft: the length of the associated data in bits, 64 bits big-endian. */
static void put_bit_len(uint8_t out[static 8], size_t len)
{
    const uint64_t bits = (uint64_t)len * 8;
    for (unsigned i = 0; i < 8; i++) {
        out[i] = (uint8_t)(bits >> (56 - 8 * i));
    }
}

/* T of iv | S. It is a secret until it has been compared: whoever can read the right MAC of a forgery can finish it. */
static enum dkv_rc compute_mac(const struct dkv_crypto *crypto, const uint8_t *key, struct dkv_span aad,
                               struct dkv_span iv_and_text,
                               uint8_t full_mac[static FULL_MAC_LEN], struct dkv_error *err)
{
    uint8_t bit_len[8];
    put_bit_len(bit_len, aad.len);
    const struct dkv_span parts[] = {aad, iv_and_text, dkv_span(bit_len, sizeof(bit_len))};
    return dkv_hmac(crypto->hmac_sha512, mac_key(key), parts, DKV_COUNT(parts), full_mac, FULL_MAC_LEN, err);
}

static enum dkv_rc cbc_encrypt(const struct dkv_crypto *crypto, const uint8_t *key, const uint8_t *iv,
                               struct dkv_span plain, uint8_t *out, struct dkv_error *err)
{
    int body = 0, tail = 0;
    DKV_CLEANUP(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return dkv_fail_memory(err);
    }
    if (EVP_EncryptInit_ex2(ctx, crypto->aes_256_cbc, key, iv, NULL) != 1 ||
        (plain.len > 0 && EVP_EncryptUpdate(ctx, out, &body, plain.data, (int)plain.len) != 1) ||
        EVP_EncryptFinal_ex(ctx, out + body, &tail) != 1) {
        return dkv_fail_openssl(err, "AES-256-CBC");
    }
    return DKV_OK;
}

static enum dkv_rc cbc_decrypt(const struct dkv_crypto *crypto, const uint8_t *key, const uint8_t *iv,
                               struct dkv_span text, uint8_t *plain, size_t *ret_len, struct dkv_error *err)
{
    int body = 0, tail = 0;
    DKV_CLEANUP(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return dkv_fail_memory(err);
    }
    if (EVP_DecryptInit_ex2(ctx, crypto->aes_256_cbc, key, iv, NULL) != 1 ||
        EVP_DecryptUpdate(ctx, plain, &body, text.data, (int)text.len) != 1) {
        return dkv_fail_openssl(err, "AES-256-CBC");
    }
    /* The MAC was right, so whoever sealed this had the key and padded wrongly. */
    DKV_CHECK(EVP_DecryptFinal_ex(ctx, plain + body, &tail) == 1, err, DKV_E_REJECTED_CIPHERTEXT,
              "the padding is wrong");
    *ret_len = (size_t)body + (size_t)tail;
    return DKV_OK;
}

enum dkv_rc dkv_mongo_seal(const uint8_t key[static DKV_DEK_LEN], const uint8_t iv[static 16], struct dkv_span aad,
                           struct dkv_span plain, uint8_t *sealed, struct dkv_error *err)
{
    uint8_t full_mac[FULL_MAC_LEN];
    DKV_CHECK(plain.len <= DKV_CRYPTO_MAX_LEN && aad.len <= DKV_CRYPTO_MAX_LEN, err, DKV_E_INVALID,
              "more than 1 GiB in one piece can't be encrypted");
    DKV_CLEANUP(dkv_crypto_leave) struct dkv_crypto_call call = {0};
    DKV_TRY(dkv_crypto_enter(&call, err));
    const size_t mac_at = dkv_mongo_sealed_len(plain.len) - MAC_LEN;
    memmove(sealed, iv, IV_LEN); /* a caller may have drawn the IV in its place */
    DKV_TRY(cbc_encrypt(call.crypto, aes_key(key), iv, plain, sealed + IV_LEN, err));
    DKV_TRY(compute_mac(call.crypto, key, aad, dkv_span(sealed, mac_at), full_mac, err));
    memcpy(sealed + mac_at, full_mac, MAC_LEN);
    dkv_wipe(full_mac, sizeof(full_mac));
    return DKV_OK;
}

static enum dkv_rc check_mac(const struct dkv_crypto *crypto, const uint8_t *key, struct dkv_span aad,
                             struct dkv_span sealed, struct dkv_error *err)
{
    uint8_t full_mac[FULL_MAC_LEN];
    const size_t mac_at = sealed.len - MAC_LEN;
    DKV_TRY(compute_mac(crypto, key, aad, dkv_span(sealed.data, mac_at), full_mac, err));
    const int equal = dkv_equal_ct(full_mac, sealed.data + mac_at, MAC_LEN);
    dkv_wipe(full_mac, sizeof(full_mac));
    DKV_CHECK(equal, err, DKV_E_REJECTED_CIPHERTEXT,
              "the authentication code is wrong: damaged, forged, or sealed by another key or for another document");
    return DKV_OK;
}

static enum dkv_rc open_checked(const uint8_t *key, struct dkv_span aad, struct dkv_span sealed, uint8_t *plain,
                                size_t *ret_len, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_crypto_leave) struct dkv_crypto_call call = {0};
    DKV_TRY(dkv_crypto_enter(&call, err));
    DKV_TRY(check_mac(call.crypto, key, aad, sealed, err));
    const struct dkv_span text = dkv_span(sealed.data + IV_LEN, sealed.len - IV_LEN - MAC_LEN);
    return cbc_decrypt(call.crypto, aes_key(key), sealed.data, text, plain, ret_len, err);
}

enum dkv_rc dkv_mongo_open(const uint8_t key[static DKV_DEK_LEN], struct dkv_span aad, struct dkv_span sealed,
                           uint8_t *plain, size_t *ret_len, struct dkv_error *err)
{
    DKV_CHECK(sealed.len >= SEALED_MIN_LEN && sealed.len % BLOCK_LEN == 0, err, DKV_E_REJECTED_CIPHERTEXT,
              "a ciphertext of %zu bytes: 64 at least, and a multiple of 16, are possible", sealed.len);
    DKV_CHECK(sealed.len <= DKV_CRYPTO_MAX_LEN + SEALED_MIN_LEN && aad.len <= DKV_CRYPTO_MAX_LEN, err, DKV_E_INVALID,
              "more than 1 GiB in one piece can't be decrypted");
    const enum dkv_rc rc = open_checked(key, aad, sealed, plain, ret_len, err);
    if (rc != DKV_OK) {
        dkv_wipe(plain, sealed.len - IV_LEN - MAC_LEN);
    }
    return rc;
}

enum dkv_rc dkv_mongo_deterministic_iv(const uint8_t key[static DKV_DEK_LEN], struct dkv_span aad,
                                       struct dkv_span plain, uint8_t ret_iv[static 16], struct dkv_error *err)
{
    uint8_t full_mac[FULL_MAC_LEN], bit_len[8];
    DKV_CLEANUP(dkv_crypto_leave) struct dkv_crypto_call call = {0};
    DKV_TRY(dkv_crypto_enter(&call, err));
    put_bit_len(bit_len, aad.len);
    /* Unlike in the MAC, the length stands between the two. */
    const struct dkv_span parts[] = {aad, dkv_span(bit_len, sizeof(bit_len)), plain};
    DKV_TRY(dkv_hmac(call.crypto->hmac_sha512, iv_key(key), parts, DKV_COUNT(parts), full_mac, FULL_MAC_LEN, err));
    memcpy(ret_iv, full_mac, IV_LEN);
    dkv_wipe(full_mac, sizeof(full_mac));
    return DKV_OK;
}
