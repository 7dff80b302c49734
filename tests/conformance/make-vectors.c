/* SPDX-License-Identifier: Apache-2.0 */
/* Prints tests/conformance/vectors.json: known answers for docs/formats.md, computed straight from that text with
 * OpenSSL and nothing of dekvault's. Inputs are counting bytes, so every run prints the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>

struct bytes {
    uint8_t data[512];
    size_t len;
};

static void check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "make-vectors: %s failed\n", what);
        exit(1);
    }
}

static void put(struct bytes *to, const void *data, size_t len)
{
    check(to->len + len <= sizeof(to->data), "room");
    memcpy(to->data + to->len, data, len);
    to->len += len;
}

static void put_lp(struct bytes *to, const void *data, size_t len)
{
    const uint8_t head[2] = {(uint8_t)(len >> 8), (uint8_t)len};
    put(to, head, 2);
    put(to, data, len);
}

static struct bytes counting(uint8_t from, size_t len)
{
    struct bytes out = {.len = len};
    for (size_t i = 0; i < len; i++) {
        out.data[i] = (uint8_t)(from + i);
    }
    return out;
}

static void print_hex(const char *name, const struct bytes *value, const char *after)
{
    printf("\"%s\": \"", name);
    for (size_t i = 0; i < value->len; i++) {
        printf("%02x", value->data[i]);
    }
    printf("\"%s", after);
}

/* ---- MongoDB's AEAD ---- */

static void aead(const uint8_t *key, const struct bytes *aad, const struct bytes *iv, const struct bytes *plain,
                 struct bytes *out)
{
    const size_t start = out->len;
    uint8_t mac[64], bits[8] = {0};
    struct bytes authenticated = *aad;
    int part = 0, rest = 0;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    put(out, iv->data, 16);
    check(EVP_EncryptInit_ex(context, EVP_aes_256_cbc(), NULL, key + 32, iv->data) == 1, "init");
    check(EVP_EncryptUpdate(context, out->data + out->len, &part, plain->data, (int)plain->len) == 1, "update");
    check(EVP_EncryptFinal_ex(context, out->data + out->len + part, &rest) == 1, "final");
    EVP_CIPHER_CTX_free(context);
    out->len += (size_t)(part + rest);
    put(&authenticated, out->data + start, out->len - start);
    bits[6] = (uint8_t)(aad->len * 8 >> 8);
    bits[7] = (uint8_t)(aad->len * 8);
    put(&authenticated, bits, 8);
    check(HMAC(EVP_sha512(), key, 32, authenticated.data, authenticated.len, mac, NULL) != NULL, "HMAC");
    put(out, mac, 32);
}

static void deterministic_iv(const uint8_t *dek, const struct bytes *aad, const struct bytes *plain, struct bytes *iv)
{
    uint8_t mac[64], bits[8] = {0};
    struct bytes input = *aad;
    bits[7] = (uint8_t)(aad->len * 8);
    put(&input, bits, 8);
    put(&input, plain->data, plain->len);
    check(HMAC(EVP_sha512(), dek + 64, 32, input.data, input.len, mac, NULL) != NULL, "HMAC");
    put(iv, mac, 16);
}

/* ---- AES-256-GCM ---- */

static void gcm(const uint8_t *key, const struct bytes *iv, const struct bytes *aad, const struct bytes *plain,
                struct bytes *out)
{
    uint8_t sealed[256], tag[16];
    int len = 0;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    check(EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, NULL, NULL) == 1 &&
              EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, (int)iv->len, NULL) == 1 &&
              EVP_EncryptInit_ex(context, NULL, NULL, key, iv->data) == 1 &&
              EVP_EncryptUpdate(context, NULL, &len, aad->data, (int)aad->len) == 1 &&
              EVP_EncryptUpdate(context, sealed, &len, plain->data, (int)plain->len) == 1 &&
              EVP_EncryptFinal_ex(context, sealed + len, &len) == 1 &&
              EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, tag) == 1,
          "GCM");
    EVP_CIPHER_CTX_free(context);
    put(out, sealed, plain->len);
    put(out, tag, 16);
}

/* ---- keyMaterial ---- */

static void context_of(struct bytes *out, const char *label, const char *domain, const struct bytes *key_id,
                       const struct bytes *id)
{
    put(out, label, strlen(label) + 1);
    put_lp(out, domain, strlen(domain));
    put_lp(out, key_id->data, key_id->len);
    put_lp(out, id->data, id->len);
}

static void hmac_derive(const struct bytes *cmk, const char *domain, const struct bytes *key_id, const struct bytes *id,
                        const struct bytes *salt, const struct bytes *dek, struct bytes *out)
{
    static const char label[] = "dekvault/hmac-derive/1";
    const struct bytes zero_iv = {.len = 12};
    struct bytes info = {0}, key = {.len = 32};
    put_lp(&info, domain, strlen(domain));
    put_lp(&info, key_id->data, key_id->len);
    put_lp(&info, id->data, id->len);
    put(&info, salt->data, salt->len);
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "KBKDF", NULL);
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
    struct bytes cmk_copy = *cmk;
    char mode[] = "counter", mac[] = "HMAC", digest[] = "SHA256", label_copy[sizeof(label)];
    memcpy(label_copy, label, sizeof(label));
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, mode, 0),
                                 OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MAC, mac, 0),
                                 OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, cmk_copy.data, cmk_copy.len),
                                 OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, label_copy, strlen(label)),
                                 OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data, info.len),
                                 OSSL_PARAM_construct_end()};
    check(EVP_KDF_derive(context, key.data, key.len, params) == 1, "KBKDF");
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    put(out, "\x01\x01", 2);
    put(out, salt->data, salt->len);
    const struct bytes aad = *out;
    gcm(key.data, &zero_iv, &aad, dek, out);
}

static void aes_gcm(const struct bytes *cmk, const char *domain, const struct bytes *key_id, const struct bytes *id,
                    const struct bytes *iv, const struct bytes *dek, struct bytes *out)
{
    struct bytes aad = {0};
    const uint8_t iv_len = (uint8_t)iv->len;
    context_of(&aad, "dekvault/aes-gcm/1", domain, key_id, id);
    put(out, "\x01\x02", 2);
    put(out, &iv_len, 1);
    put(out, iv->data, iv->len);
    gcm(cmk->data, iv, &aad, dek, out);
}

/* ---- The list ---- */

static struct bytes dek, id, key_id;

static void key_vector(const char *name, const char *provider, const char *profile, const struct bytes *cmk,
                       const struct bytes *context, const struct bytes *material, const char *after)
{
    printf("    {\"name\": \"%s\", \"provider\": \"%s\", \"profile\": \"%s\", ", name, provider, profile);
    print_hex("cmk", cmk, ", ");
    print_hex("keyId", &key_id, ", ");
    print_hex("_id", context, ", ");
    print_hex("keyMaterial", material, "}");
    printf("%s\n", after);
}

static void key_vectors(void)
{
    const struct bytes none = {0}, zeros = {.len = 96}, salt = counting(0xc0, 32);
    const struct bytes iv = counting(0xe0, 12), iv16 = counting(0xe0, 16);
    const struct bytes secret = counting(0x20, 32), aes = counting(0x60, 32), local = counting(0x80, 96);
    struct bytes material[5] = {0};
    aead(local.data, &none, &iv16, &dek, &material[0]);
    key_vector("local", "local", "", &local, &id, &material[0], ",");
    hmac_derive(&secret, "pkcs11", &key_id, &id, &salt, &dek, &material[1]);
    key_vector("hmac-derive", "pkcs11:vectors", "hmac-derive", &secret, &id, &material[1], ",");
    hmac_derive(&secret, "pkcs11-check", &key_id, &none, &salt, &zeros, &material[2]);
    key_vector("hmac-derive check record", "pkcs11:vectors", "hmac-derive", &secret, &none, &material[2], ",");
    aes_gcm(&aes, "pkcs11", &key_id, &id, &iv, &dek, &material[3]);
    key_vector("aes-gcm", "pkcs11:vectors", "aes-gcm", &aes, &id, &material[3], ",");
    aes_gcm(&aes, "pkcs11-check", &key_id, &none, &iv, &zeros, &material[4]);
    key_vector("aes-gcm check record", "pkcs11:vectors", "aes-gcm", &aes, &none, &material[4], "");
}

static void field_vector(uint8_t algorithm, uint8_t type, const struct bytes *value, const char *after)
{
    struct bytes aad = {0}, iv = {0}, payload;
    put(&aad, &algorithm, 1);
    put(&aad, id.data, id.len);
    put(&aad, &type, 1);
    if (algorithm == 1) {
        deterministic_iv(dek.data, &aad, value, &iv);
    } else {
        iv = counting(0xe0, 16);
    }
    payload = aad;
    aead(dek.data, &aad, &iv, value, &payload);
    printf("    {\"algorithm\": %u, \"type\": %u, ", algorithm, type);
    print_hex("value", value, ", ");
    print_hex("payload", &payload, "}");
    printf("%s\n", after);
}

int main(void)
{
    static const uint8_t text[] = {5, 0, 0, 0, 't', 'e', 's', 't', 0}, number[] = {42, 0, 0, 0};
    struct bytes string = {0}, int32 = {0}, document = {0};
    dek = counting(0, 96);
    id = counting(0xa0, 16);
    id.data[6] = 0x46; /* UUID version 4, variant 1 (RFC 9562) */
    id.data[8] = 0x88;
    key_id = counting(0x50, 16);
    put(&string, text, sizeof(text));
    put(&int32, number, sizeof(number));
    put(&document, "\x05\0\0\0", 5);
    printf("{\n  \"dek\": ");
    printf("\"");
    for (size_t i = 0; i < dek.len; i++) {
        printf("%02x", dek.data[i]);
    }
    printf("\",\n  \"keys\": [\n");
    key_vectors();
    printf("  ],\n  \"fields\": [\n");
    field_vector(1, 0x02, &string, ",");
    field_vector(2, 0x02, &string, ",");
    field_vector(1, 0x10, &int32, ",");
    field_vector(2, 0x03, &document, "");
    printf("  ]\n}\n");
    return 0;
}
