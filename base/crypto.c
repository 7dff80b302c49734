/* SPDX-License-Identifier: Apache-2.0 */
/* The one private OSSL_LIB_CTX of the process and what surrounds a call into it; random bytes.
 *
 * Invariant: `current` goes from NULL to a complete context once and stays. Nothing is asked of OpenSSL's default
 * context, so that neither openssl.cnf nor an engine nor a RAND method of the host has a say, and the host sees
 * nothing of ours. Lock: `making`, for the making alone; everybody else reads `current`. */
#include "base/crypto_context.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "base/mem.h"

static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
static struct dkv_crypto *_Atomic current;

/* ---- The frame around a call ---- */

enum dkv_rc dkv_crypto_fail(struct dkv_error *err, const char *file, int line, const char *what)
{
    const unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);
    const bool no_memory = !ERR_SYSTEM_ERROR(code) && ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
    const enum dkv_rc rc = no_memory ? DKV_E_RESOURCE : DKV_E_INTERNAL;
    dkv_error_set(err, rc, file, line, "%s failed in OpenSSL: %s", what, reason != NULL ? reason : "no reason given");
    dkv_error_native(err, DKV_NATIVE_OPENSSL, (int64_t)code, "");
    return rc;
}

/* Has to be called by the function that called OpenSSL, for its frame to lie over the used ones; so it is never
 * inlined, and the buffer is in this very frame. */
__attribute__((noinline)) void dkv_crypto_leave(const struct dkv_crypto_call *call)
{
    uint8_t used_stack[DKV_CRYPTO_STACK_LEN];
    if (call->crypto == NULL) {
        return;
    }
    dkv_wipe(used_stack, sizeof(used_stack));
    ERR_pop_to_mark();
    dkv_wipe_registers();
}

enum dkv_rc dkv_crypto_enter(struct dkv_crypto_call *call, struct dkv_error *err)
{
    if (atomic_load_explicit(&current, memory_order_acquire) == NULL) {
        DKV_TRY(dkv_crypto_start(NULL, err));
    }
    ERR_set_mark();
    call->crypto = atomic_load_explicit(&current, memory_order_acquire);
    return DKV_OK;
}

/* ---- Making the context ---- */

static void crypto_free(struct dkv_crypto *crypto)
{
    if (crypto == NULL) {
        return;
    }
    EVP_MAC_CTX_free(crypto->hmac_sha512);
    EVP_MAC_CTX_free(crypto->hmac_sha256);
    EVP_MD_free(crypto->sha256);
    EVP_CIPHER_free(crypto->aes_256_cbc);
    EVP_CIPHER_free(crypto->aes_256_gcm);
    /* Each holds a reference of its own, which OSSL_LIB_CTX_free doesn't give back. */
    for (size_t i = 0; i < DKV_COUNT(crypto->providers); i++) {
        if (crypto->providers[i] != NULL) {
            OSSL_PROVIDER_unload(crypto->providers[i]);
        }
    }
    OSSL_LIB_CTX_free(crypto->lib);
    dkv_free(crypto->fips_config);
    dkv_free(crypto);
}
DKV_DEFINE_FREEP(struct dkv_crypto, crypto_free);
DKV_DEFINE_FREEP(EVP_MAC, EVP_MAC_free);

static enum dkv_rc load_default(struct dkv_crypto *crypto, struct dkv_error *err)
{
    /* By name, so that there is no fallback and no configuration to look for. */
    crypto->providers[0] = OSSL_PROVIDER_load(crypto->lib, "default");
    return crypto->providers[0] != NULL ? DKV_OK : dkv_fail_openssl(err, "loading the default provider");
}

static enum dkv_rc hmac_template(EVP_MAC *hmac, const char *digest, EVP_MAC_CTX **ret, struct dkv_error *err)
{
    DKV_CLEANUP(EVP_MAC_CTX_freep) EVP_MAC_CTX *template = EVP_MAC_CTX_new(hmac);
    char name[8];
    snprintf(name, sizeof(name), "%s", digest);
    const OSSL_PARAM digest_name[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
        OSSL_PARAM_construct_end(),
    };
    if (template == NULL || EVP_MAC_CTX_set_params(template, digest_name) != 1) {
        return dkv_fail_openssl(err, "HMAC");
    }
    *ret = template;
    template = NULL;
    return DKV_OK;
}

/* Fetched once: a fetch takes a lock and costs as much as a small encryption. */
static enum dkv_rc fetch(struct dkv_crypto *crypto, struct dkv_error *err)
{
    DKV_CLEANUP(EVP_MAC_freep) EVP_MAC *hmac = EVP_MAC_fetch(crypto->lib, "HMAC", NULL);
    if (hmac == NULL) {
        return dkv_fail_openssl(err, "fetching HMAC");
    }
    crypto->aes_256_gcm = EVP_CIPHER_fetch(crypto->lib, "AES-256-GCM", NULL);
    crypto->aes_256_cbc = EVP_CIPHER_fetch(crypto->lib, "AES-256-CBC", NULL);
    crypto->sha256 = EVP_MD_fetch(crypto->lib, "SHA256", NULL);
    if (crypto->aes_256_gcm == NULL || crypto->aes_256_cbc == NULL || crypto->sha256 == NULL) {
        return dkv_fail_openssl(err, "fetching AES-256-GCM, AES-256-CBC and SHA-256");
    }
    DKV_TRY(hmac_template(hmac, "SHA256", &crypto->hmac_sha256, err));
    return hmac_template(hmac, "SHA512", &crypto->hmac_sha512, err);
}

static enum dkv_rc crypto_new(const char *fips_config, struct dkv_crypto **ret, struct dkv_error *err)
{
    DKV_CLEANUP(crypto_freep) struct dkv_crypto *crypto = dkv_calloc(1, sizeof(*crypto));
    if (crypto == NULL || (fips_config != NULL && (crypto->fips_config = dkv_strdup(fips_config)) == NULL)) {
        return dkv_fail_memory(err);
    }
    crypto->lib = OSSL_LIB_CTX_new();
    if (crypto->lib == NULL) {
        return dkv_fail_openssl(err, "making a context");
    }
    DKV_TRY(fips_config != NULL ? dkv_crypto_load_fips(crypto, fips_config, err) : load_default(crypto, err));
    DKV_TRY(fetch(crypto, err));
    *ret = crypto;
    crypto = NULL;
    return DKV_OK;
}

static enum dkv_rc check_mode(const struct dkv_crypto *crypto, const char *fips_config, struct dkv_error *err)
{
    if (fips_config == NULL) {
        DKV_CHECK(crypto->fips_config == NULL, err, DKV_E_CONFIG,
                  "this process runs OpenSSL's FIPS provider already (%s) and can't change to the default one: "
                  "use one mode in all provider files of a process",
                  crypto->fips_config);
        return DKV_OK;
    }
    DKV_CHECK(crypto->fips_config != NULL, err, DKV_E_CONFIG,
              "fips-config %s: this process runs OpenSSL's default provider already and can't change to FIPS: "
              "use one mode in all provider files of a process",
              fips_config);
    DKV_CHECK(strcmp(crypto->fips_config, fips_config) == 0, err, DKV_E_CONFIG,
              "fips-config %s: this process runs the FIPS provider by %s already: name the same file in all provider "
              "files of a process",
              fips_config, crypto->fips_config);
    return DKV_OK;
}

static enum dkv_rc start_locked(const char *fips_config, struct dkv_error *err)
{
    struct dkv_crypto *crypto = atomic_load_explicit(&current, memory_order_relaxed);
    if (crypto != NULL) {
        return check_mode(crypto, fips_config, err);
    }
    /* No exit handler of OpenSSL's: the host may call the PKCS#11 module from a handler of its own, and after
     * OPENSSL_cleanup nothing works. OPENSSL_INIT_NO_LOAD_CONFIG is left out on purpose: it would hold for the
     * host's default context, and ours never loads one. */
    OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
    ERR_set_mark();
    const enum dkv_rc rc = crypto_new(fips_config, &crypto, err);
    ERR_pop_to_mark();
    if (rc == DKV_OK) {
        atomic_store_explicit(&current, crypto, memory_order_release);
    }
    return rc;
}

enum dkv_rc dkv_crypto_start(const char *fips_config, struct dkv_error *err)
{
    pthread_mutex_lock(&making);
    const enum dkv_rc rc = start_locked(fips_config, err);
    pthread_mutex_unlock(&making);
    return rc;
}

bool dkv_crypto_is_fips(void)
{
    const struct dkv_crypto *crypto = atomic_load_explicit(&current, memory_order_acquire);
    return crypto != NULL && crypto->fips_config != NULL;
}

static char backend[64];

static void name_backend(void)
{
    snprintf(backend, sizeof(backend), "OpenSSL %s", OpenSSL_version(OPENSSL_FULL_VERSION_STRING));
}

const char *dkv_crypto_backend(void)
{
    static pthread_once_t named = PTHREAD_ONCE_INIT;
    pthread_once(&named, name_backend);
    return backend;
}

/* ---- Random bytes ---- */

/* The thread's own DRBG of our context (no lock, reseeded after a fork). Not RAND_bytes_ex: that asks a RAND method
 * first, if the host has set one. */
enum dkv_rc dkv_random(uint8_t *ret, size_t len, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_crypto_leave) struct dkv_crypto_call call = {0};
    DKV_TRY(dkv_crypto_enter(&call, err));
    EVP_RAND_CTX *drbg = RAND_get0_private(call.crypto->lib);
    if (drbg == NULL || EVP_RAND_generate(drbg, ret, len, 256, 0, NULL, 0) != 1) {
        dkv_wipe(ret, len);
        return dkv_fail_openssl(err, "the random generator");
    }
    return DKV_OK;
}

enum dkv_rc dkv_uuid_random(struct dkv_uuid *ret, struct dkv_error *err)
{
    struct dkv_uuid uuid;
    DKV_TRY(dkv_random(uuid.bytes, sizeof(uuid.bytes), err));
    uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0f) | 0x40); /* RFC 4122 section 4.4: version 4 */
    uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3f) | 0x80);
    *ret = uuid;
    return DKV_OK;
}
