/* SPDX-License-Identifier: Apache-2.0 */
/* A process that holds keys between calls, for others to look into: it opens the DEKs named on its command
 * line, encrypts and decrypts with each, prints "ready" and waits for its standard input to end.
 *     holder PROVIDER-FILE [--plant FILE | --plant-evp FILE] KEY...
 * --plant and --plant-evp keep a file's bytes in ordinary memory, and in an OpenSSL cipher context (its
 * bytes 32 to 64 as an AES-256 key): what a look into this process must find, if the look is any good. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "dekvault/dekvault.h"

#define HELD_MAX 16

static unsigned char planted[256];
static void *planted_copy;
static EVP_CIPHER_CTX *planted_context;

static int read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    const size_t len = file == NULL ? 0 : fread(planted, 1, sizeof(planted), file);
    if (file != NULL) {
        fclose(file);
    }
    return len >= 64;
}

static int plant(const char *path, int in_context)
{
    if (!read_file(path)) {
        return 0;
    }
    if (in_context) {
        static const unsigned char iv[16];
        planted_context = EVP_CIPHER_CTX_new();
        EVP_EncryptInit_ex(planted_context, EVP_aes_256_cbc(), NULL, planted + 32, iv);
    } else {
        planted_copy = malloc(sizeof(planted));
        memcpy(planted_copy, planted, sizeof(planted));
    }
    OPENSSL_cleanse(planted, sizeof(planted));
    return 1;
}

static int fail(const char *what, const struct dkv_error *err)
{
    fprintf(stderr, "holder: %s: %s: %s\n", what, dkv_class_name(err->rc), err->message);
    return 1;
}

/* One encryption of each kind and their decryption, so that everything a handle may keep is there. */
static enum dkv_rc use(struct dkv_dek *dek, struct dkv_error *err)
{
    static const uint8_t number[4] = {42, 0, 0, 0};
    const struct dkv_bson_value value = {.type = 0x10, .bytes = {number, sizeof(number)}};
    for (int algorithm = DKV_DETERMINISTIC; algorithm <= DKV_RANDOM; algorithm++) {
        struct dkv_buf payload = {0}, back = {0};
        uint8_t type = 0;
        enum dkv_rc rc = dkv_field_encrypt(dek, (enum dkv_algorithm)algorithm, value, &payload, err);
        if (rc == DKV_OK) {
            rc = dkv_field_decrypt(dek, (struct dkv_span){payload.data, payload.len}, &type, &back, err);
        }
        dkv_buf_done(&payload);
        dkv_buf_done(&back);
        if (rc != DKV_OK) {
            return rc;
        }
    }
    return DKV_OK;
}

int main(int argc, char **argv)
{
    struct dkv_error err = {0};
    struct dkv_provider_file *file = NULL;
    struct dkv_vault *vault = NULL;
    struct dkv_dek *held[HELD_MAX] = {0};
    size_t n = 0;
    int next = 2;
    if (argc > 3 && strncmp(argv[2], "--plant", 7) == 0) {
        if (!plant(argv[3], strcmp(argv[2], "--plant-evp") == 0)) {
            return 2;
        }
        next = 4;
    }
    if (argc <= next || dkv_provider_file_open(argv[1], &file, &err) != DKV_OK || dkv_vault_open(file, NULL, &vault, &err) != DKV_OK) {
        return fail("open", &err);
    }
    for (; next < argc && n < HELD_MAX; next++, n++) {
        struct dkv_key_selector key;
        if (dkv_key_selector_parse(argv[next], &key, &err) != DKV_OK || dkv_dek_open(vault, &key, &held[n], &err) != DKV_OK ||
            use(held[n], &err) != DKV_OK) {
            return fail(argv[next], &err);
        }
    }
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    while (n > 0) {
        dkv_dek_close(held[--n]);
    }
    dkv_vault_close(vault);
    dkv_provider_file_close(file);
    EVP_CIPHER_CTX_free(planted_context);
    free(planted_copy);
    return 0;
}
