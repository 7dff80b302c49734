/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4) and HMAC (FIPS 198-1) over parts.
 *
 * Invariant: a context that has seen a key lives within one call and is cleared by OpenSSL when it is freed. No state,
 * no lock: the keyless templates of the context are only copied from. */
#include "base/crypto_context.h"

#include "base/mem.h"

enum dkv_rc dkv_sha256(const struct dkv_span *parts, size_t n, uint8_t ret[static 32], struct dkv_error *err)
{
    DKV_CLEANUP(dkv_crypto_leave) struct dkv_crypto_call call = {0};
    DKV_TRY(dkv_crypto_enter(&call, err));
    DKV_CLEANUP(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return dkv_fail_memory(err);
    }
    bool ok = EVP_DigestInit_ex2(ctx, call.crypto->sha256, NULL) == 1;
    for (size_t i = 0; ok && i < n; i++) {
        ok = parts[i].len == 0 || EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(ctx, ret, NULL) == 1;
    return ok ? DKV_OK : dkv_fail_openssl(err, "SHA-256");
}

enum dkv_rc dkv_hmac(const EVP_MAC_CTX *keyless, struct dkv_span key, const struct dkv_span *parts, size_t n,
                     uint8_t *ret, size_t ret_len, struct dkv_error *err)
{
    static const uint8_t no_key[1];
    DKV_CLEANUP(EVP_MAC_CTX_freep) EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(keyless);
    if (ctx == NULL) {
        return dkv_fail_openssl(err, "HMAC");
    }
    /* A NULL key would mean "as before", not "empty". */
    bool ok = EVP_MAC_init(ctx, key.len > 0 ? key.data : no_key, key.len, NULL) == 1;
    for (size_t i = 0; ok && i < n; i++) {
        ok = parts[i].len == 0 || EVP_MAC_update(ctx, parts[i].data, parts[i].len) == 1;
    }
    size_t len = 0;
    ok = ok && EVP_MAC_final(ctx, ret, &len, ret_len) == 1;
    return ok ? DKV_OK : dkv_fail_openssl(err, "HMAC");
}

enum dkv_rc dkv_hmac_sha256(struct dkv_span key, const struct dkv_span *parts, size_t n, uint8_t ret[static 32],
                            struct dkv_error *err)
{
    DKV_CLEANUP(dkv_crypto_leave) struct dkv_crypto_call call = {0};
    DKV_TRY(dkv_crypto_enter(&call, err));
    return dkv_hmac(call.crypto->hmac_sha256, key, parts, n, ret, 32, err);
}

enum dkv_rc dkv_hmac_sha512(struct dkv_span key, const struct dkv_span *parts, size_t n, uint8_t ret[static 64],
                            struct dkv_error *err)
{
    DKV_CLEANUP(dkv_crypto_leave) struct dkv_crypto_call call = {0};
    DKV_TRY(dkv_crypto_enter(&call, err));
    return dkv_hmac(call.crypto->hmac_sha512, key, parts, n, ret, 64, err);
}
