/* SPDX-License-Identifier: Apache-2.0 */
/* Fields to and from BSON binary subtype 6 (bson-binary-encrypted specification):
 *   algorithm (1) | key _id (16) | BSON type (1) | IV (16) | S | T (32), the first 18 bytes being authenticated.
 * Invariant: a payload is written only for a value that passed vault/bson_type.c, and a value is handed out only when
 * the payload is authentic and the value passes it too; the caller's buffers grow on success only. No lock: a handle's
 * key never changes. */
#include "dekvault/field.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "vault/bson_type.h"
#include "vault/dek.h"

#define HEADER_LEN 18u
#define TYPE_OFFSET 17u
#define IV_LEN 16u
#define TAG_LEN 32u
#define BLOCK_LEN 16u
#define SEALED_MIN (IV_LEN + BLOCK_LEN + TAG_LEN)
#define PAYLOAD_MAX (HEADER_LEN + IV_LEN + DKV_BSON_VALUE_MAX + BLOCK_LEN + TAG_LEN)

/* ---- Encrypting ---- */

static void write_header(const struct dkv_dek *dek, enum dkv_algorithm algorithm, uint8_t type,
                         uint8_t header[static HEADER_LEN])
{
    header[0] = (uint8_t)algorithm;
    memcpy(header + 1, dek->id.bytes, sizeof(dek->id.bytes));
    header[TYPE_OFFSET] = type;
}

static enum dkv_rc make_iv(const struct dkv_dek *dek, enum dkv_algorithm algorithm, struct dkv_span header,
                           struct dkv_span value, uint8_t iv[static IV_LEN], struct dkv_error *err)
{
    if (algorithm == DKV_DETERMINISTIC) {
        return dkv_mongo_deterministic_iv(dek->key.data, header, value, iv, err);
    }
    return dkv_random(iv, IV_LEN, err);
}

/* Writes behind the buffer's end; only the caller makes it part of the buffer. */
static enum dkv_rc seal(const struct dkv_dek *dek, enum dkv_algorithm algorithm, struct dkv_bson_value value,
                        uint8_t *payload, struct dkv_error *err)
{
    uint8_t iv[IV_LEN];
    write_header(dek, algorithm, value.type, payload);
    const struct dkv_span header = dkv_span(payload, HEADER_LEN);
    DKV_TRY(make_iv(dek, algorithm, header, value.bytes, iv, err));
    return dkv_mongo_seal(dek->key.data, iv, header, value.bytes, payload + HEADER_LEN, err);
}

enum dkv_rc dkv_field_encrypt(struct dkv_dek *dek, enum dkv_algorithm algorithm, struct dkv_bson_value value,
                              struct dkv_buf *ret_payload, struct dkv_error *err)
{
    DKV_TRY(dkv_bson_type_check(value.type, algorithm, err));
    DKV_TRY(dkv_bson_value_check(value, err));
    DKV_TRY(dkv_dek_may_encrypt(dek, err));
    const size_t len = HEADER_LEN + dkv_mongo_sealed_len(value.bytes.len);
    DKV_TRY(dkv_buf_reserve(ret_payload, len, err));
    DKV_TRY(seal(dek, algorithm, value, ret_payload->data + ret_payload->len, err));
    ret_payload->len += len;
    dkv_dek_count_use(dek);
    return DKV_OK;
}

/* ---- Decrypting ---- */

/* A payload's parts; spans borrow from it. */
struct payload {
    enum dkv_algorithm algorithm;
    struct dkv_uuid key;
    uint8_t type;
    struct dkv_span header, sealed;
};

static enum dkv_rc check_kind(struct dkv_span payload, struct dkv_error *err)
{
    DKV_CHECK(payload.len > 0, err, DKV_E_REJECTED_CIPHERTEXT, "the payload is empty");
    const unsigned kind = payload.data[0];
    DKV_CHECK(kind < 3, err, DKV_E_REJECTED_CIPHERTEXT,
              "this is a Queryable Encryption payload (kind %u): only client-side field encryption (1, 2) is read",
              kind);
    DKV_CHECK(kind != 0, err, DKV_E_REJECTED_CIPHERTEXT, "this is a marking for a driver (kind 0), nothing encrypted");
    return DKV_OK;
}

static enum dkv_rc check_len(size_t len, struct dkv_error *err)
{
    DKV_CHECK(len >= HEADER_LEN + SEALED_MIN, err, DKV_E_REJECTED_CIPHERTEXT,
              "the payload is truncated: %zu bytes, and the shortest has %u", len, HEADER_LEN + SEALED_MIN);
    DKV_CHECK(len <= PAYLOAD_MAX, err, DKV_E_REJECTED_CIPHERTEXT,
              "the payload has %zu bytes, more than any BSON document", len);
    DKV_CHECK((len - HEADER_LEN) % BLOCK_LEN == 0, err, DKV_E_REJECTED_CIPHERTEXT,
              "the payload is truncated or damaged: %zu bytes are no whole number of blocks", len);
    return DKV_OK;
}

static enum dkv_rc parse(struct dkv_span bytes, struct payload *ret, struct dkv_error *err)
{
    DKV_TRY(check_kind(bytes, err));
    DKV_TRY(check_len(bytes.len, err));
    struct payload parsed = {
        .algorithm = (enum dkv_algorithm)bytes.data[0],
        .type = bytes.data[TYPE_OFFSET],
        .header = dkv_span(bytes.data, HEADER_LEN),
        .sealed = dkv_span(bytes.data + HEADER_LEN, bytes.len - HEADER_LEN),
    };
    memcpy(parsed.key.bytes, bytes.data + 1, sizeof(parsed.key.bytes));
    DKV_CHECK(dkv_bson_type_check(parsed.type, parsed.algorithm, NULL) == DKV_OK, err, DKV_E_REJECTED_CIPHERTEXT,
              "the payload is damaged: it claims a value of type 0x%02x (%s), which is never encrypted so", parsed.type,
              dkv_bson_type_name(parsed.type));
    *ret = parsed;
    return DKV_OK;
}

static enum dkv_rc check_key(const struct dkv_dek *dek, const struct payload *payload, struct dkv_error *err)
{
    char own[37], other[37];
    if (dkv_uuid_equal(&dek->id, &payload->key)) {
        return DKV_OK;
    }
    dkv_uuid_format(&dek->id, own);
    dkv_uuid_format(&payload->key, other);
    return dkv_fail(err, DKV_E_REJECTED_CIPHERTEXT, "the payload was encrypted with key %s, not with key %s", other,
                    own);
}

/* Writes behind the buffer's end, and wipes it if that is no value. */
static enum dkv_rc open_sealed(const struct dkv_dek *dek, const struct payload *payload, uint8_t *plain,
                               size_t *ret_len, struct dkv_error *err)
{
    size_t len = 0;
    const enum dkv_rc rc = dkv_mongo_open(dek->key.data, payload->header, payload->sealed, plain, &len, err);
    if (rc != DKV_OK) {
        char id[37];
        dkv_uuid_format(&dek->id, id);
        dkv_error_key(err, id);
        dkv_error_prefix(err, "a payload of key %s: ", id);
        return rc;
    }
    if (dkv_bson_value_check((struct dkv_bson_value){payload->type, dkv_span(plain, len)}, NULL) != DKV_OK) {
        dkv_wipe(plain, len);
        return dkv_fail(err, DKV_E_REJECTED_CIPHERTEXT,
                        "the payload is authentic, but what it holds is no BSON value of type %s",
                        dkv_bson_type_name(payload->type));
    }
    *ret_len = len;
    return DKV_OK;
}

enum dkv_rc dkv_field_decrypt(struct dkv_dek *dek, struct dkv_span payload, uint8_t *ret_type,
                              struct dkv_buf *ret_value, struct dkv_error *err)
{
    struct payload parsed;
    size_t len = 0;
    DKV_TRY(parse(payload, &parsed, err));
    DKV_TRY(check_key(dek, &parsed, err));
    DKV_TRY(dkv_dek_may_decrypt(dek, err));
    DKV_TRY(dkv_buf_reserve(ret_value, parsed.sealed.len - IV_LEN - TAG_LEN, err));
    DKV_TRY(open_sealed(dek, &parsed, ret_value->data + ret_value->len, &len, err));
    ret_value->len += len;
    *ret_type = parsed.type;
    dkv_dek_count_use(dek);
    return DKV_OK;
}

enum dkv_rc dkv_field_key(struct dkv_span payload, struct dkv_uuid *ret_id, struct dkv_error *err)
{
    struct payload parsed;
    DKV_TRY(parse(payload, &parsed, err));
    *ret_id = parsed.key;
    return DKV_OK;
}
