/* SPDX-License-Identifier: Apache-2.0 */
/* Field payloads from whoever can write the database. The first input byte chooses: the rest is a payload as it
 * stands; or a value that is sealed first, so that the checks behind the MAC are reached; or a value to be encrypted,
 * which must come back the same. */
#include <stdlib.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "dekvault/field.h"
#include "vault/dek.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct dkv_dek *dek;

static void make_dek(void)
{
    const struct dkv_secret_options options = {.allow_unlocked = true};
    dek = dkv_calloc(1, sizeof(*dek));
    if (dek == NULL || dkv_secret_configure(&options, NULL) != DKV_OK ||
        dkv_secret_init(&dek->key, DKV_DEK_BYTES, NULL) != DKV_OK) {
        abort();
    }
    for (size_t i = 0; i < DKV_DEK_BYTES; i++) {
        dek->key.data[i] = (uint8_t)i;
    }
    dek->is_encrypt_allowed = true;
}

static void decrypt(struct dkv_span payload)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf value = {0};
    struct dkv_error err = {0};
    uint8_t type = 0;
    const enum dkv_rc rc = dkv_field_decrypt(dek, payload, &type, &value, &err);
    if (rc != DKV_OK && (rc != DKV_E_REJECTED_CIPHERTEXT || value.len != 0)) {
        abort();
    }
}

/* type, then the plaintext. */
static void seal_and_decrypt(struct dkv_span input)
{
    const size_t len = 18 + dkv_mongo_sealed_len(input.len - 1);
    static const uint8_t iv[16];
    uint8_t *payload = dkv_calloc(1, len);
    if (payload == NULL) {
        return;
    }
    payload[0] = DKV_RANDOM;
    payload[17] = input.data[0];
    if (dkv_mongo_seal(dek->key.data, iv, dkv_span(payload, 18), dkv_span(input.data + 1, input.len - 1), payload + 18,
                       NULL) == DKV_OK) {
        decrypt(dkv_span(payload, len));
    }
    dkv_free(payload);
}

static void round_trip(struct dkv_span input, enum dkv_algorithm algorithm)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf payload = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf value = {0};
    const struct dkv_bson_value plain = {.type = input.data[0], .bytes = dkv_span(input.data + 1, input.len - 1)};
    uint8_t type = 0;
    if (dkv_field_encrypt(dek, algorithm, plain, &payload, NULL) != DKV_OK) {
        return;
    }
    if (dkv_field_decrypt(dek, dkv_span_buf(&payload), &type, &value, NULL) != DKV_OK || type != plain.type ||
        !dkv_span_equal(dkv_span_buf(&value), plain.bytes)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (dek == NULL) {
        make_dek();
    }
    if (size < 2) {
        return 0;
    }
    const struct dkv_span input = dkv_span(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        decrypt(input);
        break;
    case 1:
        seal_and_decrypt(input);
        break;
    default:
        round_trip(input, data[0] % 4 == 2 ? DKV_RANDOM : DKV_DETERMINISTIC);
        break;
    }
    return 0;
}
