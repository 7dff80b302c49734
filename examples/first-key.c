/* SPDX-License-Identifier: Apache-2.0 */
/* first-key FILE PROVIDER: make a key under a provider of a provider file, encrypt a field with it and read it back.
 * cc first-key.c $(pkg-config --cflags --libs dekvault) */
#include <dekvault/dekvault.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    /* The int32 2026 as BSON has it: type 0x10, four bytes, the lowest first. */
    const uint8_t bytes[4] = {0xea, 0x07, 0x00, 0x00};
    const struct dkv_bson_value plain = {.type = 0x10, .bytes = {bytes, sizeof(bytes)}};
    struct dkv_error err = {.message = "usage: first-key FILE PROVIDER"};
    struct dkv_provider_file *file = NULL;
    struct dkv_vault *vault = NULL;
    struct dkv_key_selector key = {.alt_name = NULL};
    struct dkv_dek *dek = NULL;
    struct dkv_buf payload = {0}, value = {0};
    uint8_t type = 0;

    const int done = argc == 3 && dkv_provider_file_open(argv[1], &file, &err) == DKV_OK &&
                     dkv_vault_init(file, NULL, NULL, &vault, &err) == DKV_OK &&
                     dkv_key_create(vault, argv[2], NULL, &key.id, &err) == DKV_OK &&
                     dkv_dek_open(vault, &key, &dek, &err) == DKV_OK &&
                     dkv_field_encrypt(dek, DKV_RANDOM, plain, &payload, &err) == DKV_OK &&
                     dkv_field_decrypt(dek, (struct dkv_span){payload.data, payload.len}, &type, &value,
                                       &err) == DKV_OK;
    if (done) {
        const int same = type == plain.type && value.len == sizeof(bytes) && memcmp(value.data, bytes, value.len) == 0;
        printf("%zu bytes became %zu, and came back %s\n", sizeof(bytes), payload.len, same ? "the same" : "changed");
    } else {
        fprintf(stderr, "first-key: %s\n", err.message);
    }
    dkv_buf_done(&value);
    dkv_buf_done(&payload);
    dkv_dek_close(dek);
    dkv_vault_close(vault);
    dkv_provider_file_close(file);
    return done ? 0 : 1;
}
