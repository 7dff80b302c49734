/* SPDX-License-Identifier: Apache-2.0 */
/* What crypto.c gives to the files that call OpenSSL: the one context with its fetched algorithms,
 * and the frame around each call. */
#ifndef BASE_CRYPTO_CONTEXT_H
#define BASE_CRYPTO_CONTEXT_H

#include <openssl/evp.h>
#include <openssl/provider.h>

#include "base/crypto.h"

/* Made once, never changed and never freed, so that readers need no lock. */
struct dkv_crypto {
    OSSL_LIB_CTX *lib;
    OSSL_PROVIDER *providers[2];
    EVP_CIPHER *aes_256_gcm;
    EVP_CIPHER *aes_256_cbc;
    EVP_MD *sha256;
    /* Templates with a digest and no key: a copy of one is 300 ns faster than naming the digest anew. */
    EVP_MAC_CTX *hmac_sha256;
    EVP_MAC_CTX *hmac_sha512;
    char *fips_config; /* NULL: not FIPS */
};

/* What is wiped of the stack. OpenSSL 3.0 was seen to use 6 KiB, with the dynamic linker's saved registers at the
 * first call of a function; a signal that comes then puts up to 4 KiB below. tests/unit/crypto_residue.c measures
 * it. */
#define DKV_CRYPTO_STACK_LEN 12288

/* A call into OpenSSL, opened by dkv_crypto_enter and closed by its cleanup:
 *   DKV_CLEANUP(dkv_crypto_leave) struct dkv_crypto_call call = {0};
 *   DKV_TRY(dkv_crypto_enter(&call, err));
 * leave takes our entries, and nobody else's, off the thread's error queue, and wipes the stack and the vector
 * registers that OpenSSL's functions used below the function which declares the call. */
struct dkv_crypto_call {
    const struct dkv_crypto *crypto; /* NULL: not entered */
};
DKV_MUST_USE enum dkv_rc dkv_crypto_enter(struct dkv_crypto_call *call, struct dkv_error *err);
void dkv_crypto_leave(const struct dkv_crypto_call *call);

/* dkv_fail_openssl: what failed, with the newest entry of OpenSSL's queue as the native code.
 * DKV_E_RESOURCE where that says that memory ran out, else DKV_E_INTERNAL. */
#define dkv_fail_openssl(err, what) dkv_crypto_fail((err), __FILE__, __LINE__, (what))
enum dkv_rc dkv_crypto_fail(struct dkv_error *err, const char *file, int line, const char *what);

/* dkv_crypto_load_fips: start the FIPS provider in the context's lib as the fipsmodule.cnf at path says. */
DKV_MUST_USE enum dkv_rc dkv_crypto_load_fips(struct dkv_crypto *crypto, const char *path, struct dkv_error *err);

/* The longest input that one call takes: OpenSSL counts in int, and the sealed text is longer. */
#define DKV_CRYPTO_MAX_LEN ((size_t)1 << 30)

/* dkv_hmac: HMAC over the parts with a keyless template of the context, inside an entered call. ret: the
 * digest's length. */
DKV_MUST_USE enum dkv_rc dkv_hmac(const EVP_MAC_CTX *keyless, struct dkv_span key, const struct dkv_span *parts,
                                  size_t n, uint8_t *ret, size_t ret_len, struct dkv_error *err);

DKV_DEFINE_FREEP(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free);
DKV_DEFINE_FREEP(EVP_MD_CTX, EVP_MD_CTX_free);
DKV_DEFINE_FREEP(EVP_MAC_CTX, EVP_MAC_CTX_free);

#endif
