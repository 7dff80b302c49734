/* SPDX-License-Identifier: Apache-2.0 */
/* A KMS provider as a plug-in: the CMK is derived from a passphrase with scrypt (RFC 7914). It stands on the installed
 * header dekvault/provider.h, libcrypto and libbson, and on nothing of dekvault's insides: start your own from it.
 *
 *   masterKey    {provider: "scrypt" or "scrypt:NAME", keyId: 32 hexadecimal digits}
 *   keyMaterial  01 | IV[12] | ciphertext[96] | tag[16]                      (125 bytes; AES-256-GCM)
 *   AAD          "dekvault-scrypt/1" | 00 | lp(keyId as 16 bytes) | lp(_id) 
 *                lp: 2 bytes of length, big-endian, then the bytes
 *   CMK, keyId   the first 32 and the next 16 bytes of scrypt(passphrase, salt, N = 2^cost, r = 8, p = 1)
 *
 * The document's _id is in the AAD, so keyMaterial moved to another document doesn't open. IVs are random: at most 2^32
 * wraps under one CMK (SP 800-38D section 8.3). Immutable after open, hence no lock. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bson/bson.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include "dekvault/provider.h"

#define VERSION 1
#define CMK_LEN 32
#define KEY_ID_LEN 16
#define IV_LEN 12
#define TAG_LEN 16
#define MATERIAL_LEN (1 + IV_LEN + DKV_DEK_BYTES + TAG_LEN)
#define AAD_LABEL "dekvault-scrypt/1" /* with its NUL */
#define AAD_MAX (sizeof(AAD_LABEL) + 2 + KEY_ID_LEN + 2 + 16)
#define SALT_MIN 16
#define SALT_MAX 32
#define PASSPHRASE_MAX 1024

/* One passphrase, one CMK: the instance holds it. */
struct dkv_cmk {
    uint8_t *key; /* CMK_LEN + KEY_ID_LEN bytes of secret memory */
    uint8_t id[KEY_ID_LEN];
    char id_text[2 * KEY_ID_LEN + 1];
};

struct dkv_provider {
    const struct dkv_host *host;
    const struct dkv_provider_settings *settings;
    OSSL_LIB_CTX *crypto; /* our own: the program's openssl.cnf has no say in this */
    struct dkv_cmk cmk;
};

enum { OPTION_PASSPHRASE_SOURCE, OPTION_SALT, OPTION_COST };

static const char *const sources[] = {"file", "fd", "prompt", NULL};

static const struct dkv_option options[] = {
    [OPTION_PASSPHRASE_SOURCE] = {.name = "passphrase-source",
                                  .type = DKV_OPTION_SOURCE,
                                  .required = true,
                                  .choices = sources,
                                  .help = "Where the passphrase is read from."},
    [OPTION_SALT] = {.name = "salt",
                     .type = DKV_OPTION_TEXT,
                     .required = true,
                     .help = "16 to 32 random bytes in hexadecimal; no secret, but without it the CMK is lost."},
    [OPTION_COST] = {.name = "cost",
                     .type = DKV_OPTION_NUMBER,
                     .fallback = "17",
                     .min = 10,
                     .max = 22,
                     .help = "scrypt's N as a power of two; 17 takes 128 MiB once, when the provider is opened."},
};

/* ---- Errors ---- */

#define fail(err, rc, ...) set_error((err), (rc), __LINE__, __VA_ARGS__)

static enum dkv_rc set_error(struct dkv_error *err, enum dkv_rc rc, int line, const char *format, ...) DKV_PRINTF(4, 5);

static enum dkv_rc set_error(struct dkv_error *err, enum dkv_rc rc, int line, const char *format, ...)
{
    va_list args;
    if (err != NULL) {
        *err = (struct dkv_error){.rc = rc, .file = __FILE__, .line = line};
        va_start(args, format);
        (void)vsnprintf(err->message, sizeof(err->message), format, args);
        va_end(args);
    }
    return rc;
}

static enum dkv_rc fail_openssl(struct dkv_error *err, const char *what)
{
    const unsigned long code = ERR_get_error();
    ERR_clear_error();
    fail(err, DKV_E_INTERNAL, "%s failed in OpenSSL", what);
    if (err != NULL) {
        err->native_system = DKV_NATIVE_OPENSSL;
        err->native_code = (int64_t)code;
    }
    return DKV_E_INTERNAL;
}

/* ---- Opening: the CMK from the passphrase ---- */

static enum dkv_rc derive(struct dkv_provider *self, const void *passphrase, size_t passphrase_len,
                          const uint8_t *salt, size_t salt_len, struct dkv_error *err)
{
    uint64_t n = UINT64_C(1) << self->settings->values[OPTION_COST].number;
    uint32_t r = 8;
    uint32_t p = 1;
    uint64_t max_memory = 128 * r * n + (1 << 20);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)(uintptr_t)passphrase, passphrase_len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, salt_len),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &max_memory),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(self->crypto, "SCRYPT", NULL);
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf); /* frees and wipes its copy of the passphrase */
    const int derived = context != NULL ? EVP_KDF_derive(context, self->cmk.key, CMK_LEN + KEY_ID_LEN, params) : 0;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return derived == 1 ? DKV_OK : fail_openssl(err, "scrypt (out of memory for its cost?)");
}

static enum dkv_rc parse_salt(const struct dkv_provider_settings *settings, uint8_t salt[SALT_MAX], size_t *ret_len,
                              struct dkv_error *err)
{
    const struct dkv_value *value = &settings->values[OPTION_SALT];
    if (OPENSSL_hexstr2buf_ex(salt, SALT_MAX, ret_len, value->text, '\0') != 1 || *ret_len < SALT_MIN) {
        ERR_clear_error();
        return fail(err, DKV_E_CONFIG, "%s:%u: salt must be %d to %d bytes in hexadecimal", settings->file,
                    value->line, SALT_MIN, SALT_MAX);
    }
    return DKV_OK;
}

static void name_cmk(struct dkv_cmk *cmk)
{
    memcpy(cmk->id, cmk->key + CMK_LEN, KEY_ID_LEN);
    for (size_t i = 0; i < KEY_ID_LEN; i++) {
        (void)snprintf(cmk->id_text + 2 * i, 3, "%02x", cmk->id[i]);
    }
}

static enum dkv_rc read_cmk(struct dkv_provider *self, struct dkv_error *err)
{
    uint8_t salt[SALT_MAX];
    size_t salt_len = 0;
    void *passphrase = NULL;
    size_t passphrase_len = 0;
    const char *source = self->settings->values[OPTION_PASSPHRASE_SOURCE].text;
    enum dkv_rc rc = parse_salt(self->settings, salt, &salt_len, err);
    if (rc != DKV_OK) {
        return rc;
    }
    self->cmk.key = self->host->secret_alloc(CMK_LEN + KEY_ID_LEN, err);
    if (self->cmk.key == NULL) {
        return DKV_E_RESOURCE;
    }
    rc = self->host->secret_source_read(self->settings, source, "Passphrase", PASSPHRASE_MAX, &passphrase,
                                        &passphrase_len, err);
    if (rc == DKV_OK) {
        rc = derive(self, passphrase, passphrase_len, salt, salt_len, err);
        self->host->secret_free(passphrase);
    }
    if (rc == DKV_OK) {
        name_cmk(&self->cmk);
    }
    return rc;
}

static void close_scrypt(struct dkv_provider *self)
{
    if (self != NULL) {
        self->host->secret_free(self->cmk.key);
        OSSL_LIB_CTX_free(self->crypto);
        free(self);
    }
}

static enum dkv_rc open_scrypt(const struct dkv_host *host, const struct dkv_provider_settings *settings,
                               struct dkv_provider **ret, struct dkv_error *err)
{
    struct dkv_provider *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return fail(err, DKV_E_RESOURCE, "out of memory");
    }
    self->host = host;
    self->settings = settings;
    self->crypto = OSSL_LIB_CTX_new();
    const enum dkv_rc rc = self->crypto != NULL ? read_cmk(self, err) : fail_openssl(err, "making a context");
    if (rc != DKV_OK) {
        close_scrypt(self);
        return rc;
    }
    *ret = self;
    return DKV_OK;
}

/* ---- Which CMK ---- */

static bool is_text(const bson_t *document, const char *name, const char *expected)
{
    bson_iter_t iter;
    uint32_t len = 0;
    if (!bson_iter_init_find(&iter, document, name) || !BSON_ITER_HOLDS_UTF8(&iter)) {
        return false;
    }
    const char *text = bson_iter_utf8(&iter, &len);
    return len == strlen(expected) && memcmp(text, expected, len) == 0;
}

/* Two fields and no more: what a masterKey might say beside them nobody would believe. */
static enum dkv_rc resolve_document(struct dkv_provider *self, const struct dkv_call *call, struct dkv_span master_key,
                                    struct dkv_cmk **ret, struct dkv_error *err)
{
    bson_t document;
    (void)call;
    if (!bson_init_static(&document, master_key.data, master_key.len) ||
        !bson_validate(&document, BSON_VALIDATE_UTF8, NULL) ||
        bson_count_keys(&document) != 2 || !bson_has_field(&document, "provider") ||
        !bson_has_field(&document, "keyId")) {
        return fail(err, DKV_E_REJECTED_CIPHERTEXT, "masterKey must be a document of provider and keyId");
    }
    if (!is_text(&document, "provider", self->settings->id)) {
        return fail(err, DKV_E_POLICY, "masterKey names another provider than %s", self->settings->id);
    }
    if (!is_text(&document, "keyId", self->cmk.id_text)) {
        return fail(err, DKV_E_POLICY, "masterKey names another CMK than %s: it was made with another passphrase, salt "
                                       "or cost",
                    self->cmk.id_text);
    }
    *ret = &self->cmk;
    return DKV_OK;
}

static enum dkv_rc resolve_reference(struct dkv_provider *self, const struct dkv_call *call, const char *reference,
                                     struct dkv_cmk **ret, struct dkv_error *err)
{
    (void)call;
    if (reference != NULL && strcmp(reference, self->cmk.id_text) != 0) {
        return fail(err, DKV_E_NOT_FOUND, "%s has one CMK, %s", self->settings->id, self->cmk.id_text);
    }
    *ret = &self->cmk;
    return DKV_OK;
}

/* The CMK is the instance's. */
static void cmk_free(struct dkv_cmk *cmk)
{
    (void)cmk;
}

/* A vault counts keys of types that it doesn't know by their masterKey as canonical Extended JSON. */
static bool fill_info(const bson_t *document, struct dkv_cmk_info *ret)
{
    char *json = bson_as_canonical_extended_json(document, NULL);
    const bool fits = json != NULL && strlen(json) < sizeof(ret->key_id) && document->len <= sizeof(ret->master_key);
    if (fits) {
        *ret = (struct dkv_cmk_info){
            .master_key_len = document->len, .state = DKV_CMK_ENABLED,
            .capabilities = DKV_CAP_BOUND | DKV_CAP_AUTHENTIC};
        memcpy(ret->master_key, bson_get_data(document), document->len);
        (void)snprintf(ret->key_id, sizeof(ret->key_id), "%s", json);
        (void)snprintf(ret->profile, sizeof(ret->profile), "aes-gcm");
    }
    bson_free(json);
    return fits;
}

static enum dkv_rc describe(struct dkv_provider *self, const struct dkv_call *call, const struct dkv_cmk *cmk,
                            struct dkv_cmk_info *ret, struct dkv_error *err)
{
    (void)call;
    bson_t *document = BCON_NEW("provider", BCON_UTF8(self->settings->id), "keyId", BCON_UTF8(cmk->id_text));
    const bool is_filled = fill_info(document, ret);
    bson_destroy(document);
    return is_filled ? DKV_OK : fail(err, DKV_E_INTERNAL, "the masterKey is too long");
}

/* ---- Wrapping ---- */

struct gcm {
    const uint8_t *iv;
    uint8_t aad[AAD_MAX];
    size_t aad_len;
};

static size_t put_lp(uint8_t *to, const uint8_t *bytes, size_t len)
{
    to[0] = (uint8_t)(len >> 8);
    to[1] = (uint8_t)len;
    if (len > 0) {
        memcpy(to + 2, bytes, len);
    }
    return 2 + len;
}

static bool make_aad(struct gcm *gcm, const struct dkv_cmk *cmk, struct dkv_span context)
{
    if (context.len > 16) {
        return false;
    }
    memcpy(gcm->aad, AAD_LABEL, sizeof(AAD_LABEL));
    gcm->aad_len = sizeof(AAD_LABEL);
    gcm->aad_len += put_lp(gcm->aad + gcm->aad_len, cmk->id, KEY_ID_LEN);
    gcm->aad_len += put_lp(gcm->aad + gcm->aad_len, context.data, context.len);
    return true;
}

/* from and to are DKV_DEK_BYTES long; tag is written when sealing, judged when opening. 1: done, 0: wrong tag, -1:
 * OpenSSL failed. */
static int run_gcm(const struct dkv_provider *self, const struct gcm *gcm, bool seal, const uint8_t *from, uint8_t *to,
                   uint8_t *tag)
{
    int result = -1;
    int len = 0;
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(self->crypto, "AES-256-GCM", NULL);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (cipher != NULL && context != NULL &&
        EVP_CipherInit_ex2(context, cipher, self->cmk.key, gcm->iv, seal ? 1 : 0, NULL) == 1 &&
        EVP_CipherUpdate(context, NULL, &len, gcm->aad, (int)gcm->aad_len) == 1 &&
        EVP_CipherUpdate(context, to, &len, from, (int)DKV_DEK_BYTES) == 1 &&
        (seal || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1)) {
        const bool is_final = EVP_CipherFinal_ex(context, to + DKV_DEK_BYTES, &len) == 1;
        if (!seal) {
            result = is_final ? 1 : 0;
        } else if (is_final && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) == 1) {
            result = 1;
        }
    }
    EVP_CIPHER_CTX_free(context); /* wipes the key schedule */
    EVP_CIPHER_free(cipher);
    return result;
}

static enum dkv_rc wrap_one(struct dkv_provider *self, struct dkv_wrap_item *item, struct dkv_error *err)
{
    uint8_t *iv = item->output + 1;
    uint8_t *ciphertext = iv + IV_LEN;
    struct gcm gcm = {.iv = iv};
    if (item->input.len != DKV_DEK_BYTES || item->output_capacity < MATERIAL_LEN ||
        !make_aad(&gcm, item->cmk, item->context)) {
        return fail(err, DKV_E_INVALID, "a key, its context or the room for keyMaterial has the wrong length");
    }
    if (RAND_bytes_ex(self->crypto, iv, IV_LEN, 256) != 1 ||
        run_gcm(self, &gcm, true, item->input.data, ciphertext, ciphertext + DKV_DEK_BYTES) != 1) {
        return fail_openssl(err, "wrapping");
    }
    item->output[0] = VERSION;
    item->output_len = MATERIAL_LEN;
    return DKV_OK;
}

static enum dkv_rc unwrap_one(struct dkv_provider *self, struct dkv_wrap_item *item, struct dkv_error *err)
{
    uint8_t tag[TAG_LEN];
    struct gcm gcm = {0};
    const struct dkv_span in = item->input;
    if (in.len != MATERIAL_LEN || in.data[0] != VERSION) {
        return fail(err, DKV_E_REJECTED_CIPHERTEXT, "keyMaterial isn't %u bytes of version %d", MATERIAL_LEN, VERSION);
    }
    if (item->output_capacity < DKV_DEK_BYTES || !make_aad(&gcm, item->cmk, item->context)) {
        return fail(err, DKV_E_INVALID, "a context or the room for a key has the wrong length");
    }
    gcm.iv = in.data + 1;
    memcpy(tag, in.data + MATERIAL_LEN - TAG_LEN, TAG_LEN);
    const int opened = run_gcm(self, &gcm, false, in.data + 1 + IV_LEN, item->output, tag);
    if (opened == 1) {
        item->output_len = DKV_DEK_BYTES;
        return DKV_OK;
    }
    /* GCM writes the plaintext before it has judged the tag. */
    OPENSSL_cleanse(item->output, DKV_DEK_BYTES);
    ERR_clear_error();
    return opened == 0 ? fail(err, DKV_E_REJECTED_CIPHERTEXT,
                              "keyMaterial doesn't open: it was changed, or moved from another document")
                       : fail_openssl(err, "unwrapping");
}

/* In a forked child secret memory reads as zeros, and a wrap under zeros is no secret. */
static enum dkv_rc check_item(const struct dkv_provider *self, const struct dkv_call *call, struct dkv_error *err)
{
    if (!self->host->secret_is_alive(self->cmk.key)) {
        return fail(err, DKV_E_INVALID, "the CMK was derived before fork: open the vault again in the child");
    }
    if (call->cancelled != NULL && *call->cancelled != 0) {
        return fail(err, DKV_E_CANCELLED, "the call was cancelled");
    }
    return DKV_OK;
}

typedef enum dkv_rc (*item_fn)(struct dkv_provider *self, struct dkv_wrap_item *item, struct dkv_error *err);

/* Items are independent; the first failure is the batch's. */
static enum dkv_rc for_each(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items,
                            size_t n, item_fn one, struct dkv_error *err)
{
    enum dkv_rc first = DKV_OK;
    for (size_t i = 0; i < n; i++) {
        struct dkv_error own = {0};
        items[i].output_len = 0;
        items[i].status = check_item(self, call, &own);
        if (items[i].status == DKV_OK) {
            items[i].status = one(self, &items[i], &own);
        }
        if (items[i].status != DKV_OK && items[i].err != NULL) {
            *items[i].err = own;
        }
        if (items[i].status != DKV_OK && first == DKV_OK) {
            first = items[i].status;
            if (err != NULL) {
                *err = own;
            }
        }
    }
    return first;
}

static enum dkv_rc wrap(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items, size_t n,
                        struct dkv_error *err)
{
    return for_each(self, call, items, n, wrap_one, err);
}

static enum dkv_rc unwrap(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items, size_t n,
                          struct dkv_error *err)
{
    return for_each(self, call, items, n, unwrap_one, err);
}

DKV_API const struct dkv_provider_ops dekvault_provider = {
    .size = sizeof(struct dkv_provider_ops),
    .abi_version = DKV_PROVIDER_ABI_VERSION,
    .type = "scrypt",
    .summary = "A CMK derived from a passphrase with scrypt.",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .static_capabilities = DKV_CAP_BOUND | DKV_CAP_AUTHENTIC,
    .open = open_scrypt,
    .close = close_scrypt,
    .resolve_document = resolve_document,
    .resolve_reference = resolve_reference,
    .cmk_free = cmk_free,
    .describe = describe,
    .wrap = wrap,
    .unwrap = unwrap,
};
