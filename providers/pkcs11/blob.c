/* SPDX-License-Identifier: Apache-2.0 */
/* keyMaterial of a pkcs11 CMK, version 1, and what it is bound to (docs/formats.md). Pure: bytes in, bytes out.
 *   hmac-derive: 01 | 01 | salt[32] | ciphertext[96] | tag[16]
 *   aes-gcm:     01 | 02 | len8(IV) | ciphertext[96] | tag[16] */
#include "providers/pkcs11/internal.h"

#define VERSION 1

static enum dkv_rc fail_short(struct dkv_error *err)
{
    return dkv_fail(err, DKV_E_REJECTED_CIPHERTEXT, "keyMaterial is cut off or too long");
}

/* IVs of a length that no token makes are refused before they reach one. */
static bool read_iv(struct dkv_reader *reader, struct dkv_span *ret)
{
    uint8_t len = 0;
    return dkv_read_u8(reader, &len) && len >= DKV_P11_IV_LEN && len <= DKV_P11_IV_MAX &&
           dkv_read_bytes(reader, len, ret);
}

static bool read_salt(struct dkv_reader *reader, struct dkv_span *ret)
{
    return dkv_read_bytes(reader, DKV_P11_SALT_LEN, ret);
}

enum dkv_rc dkv_p11_blob_decode(struct dkv_span material, const struct dkv_p11_profile *profile,
                                struct dkv_p11_blob *ret, struct dkv_error *err)
{
    struct dkv_reader reader = {.rest = material};
    struct dkv_p11_blob blob = {0};
    uint8_t version = 0;
    if (!dkv_read_u8(&reader, &version) || !dkv_read_u8(&reader, &blob.profile)) {
        return fail_short(err);
    }
    DKV_CHECK(version == VERSION, err, DKV_E_REJECTED_CIPHERTEXT,
              "keyMaterial is of format version %u; this dekvault reads version %d", version, VERSION);
    DKV_CHECK(blob.profile == profile->number, err, DKV_E_REJECTED_CIPHERTEXT,
              "keyMaterial is of wrap profile %u, but the CMK in the token is %s: a CMK has one profile for life",
              blob.profile, profile->name);
    const bool has_iv = profile->number == DKV_P11_AES_GCM;
    if (!(has_iv ? read_iv : read_salt)(&reader, &blob.salt_or_iv)) {
        return fail_short(err);
    }
    blob.head = dkv_span(material.data, material.len - reader.rest.len);
    if (!dkv_read_bytes(&reader, DKV_DEK_BYTES, &blob.ciphertext) ||
        !dkv_read_bytes(&reader, DKV_P11_TAG_LEN, &blob.tag) || !dkv_read_is_empty(&reader)) {
        return fail_short(err);
    }
    *ret = blob;
    return DKV_OK;
}

/* ---- What it is bound to ---- */

static size_t put(uint8_t *to, size_t at, const void *bytes, size_t len)
{
    memcpy(to + at, bytes, len);
    return at + len;
}

static size_t put_lp(uint8_t *to, size_t at, struct dkv_span bytes)
{
    to[at++] = (uint8_t)(bytes.len >> 8);
    to[at++] = (uint8_t)bytes.len;
    return bytes.len > 0 ? put(to, at, bytes.data, bytes.len) : at;
}

/* A check record is marked as no document's, so that it opens as none. */
static size_t put_binding(uint8_t *to, size_t at, const struct dkv_p11_binding *binding)
{
    at = put_lp(to, at, dkv_span_str(binding->is_check_record ? "pkcs11-check" : "pkcs11"));
    at = put_lp(to, at, binding->key_id);
    return put_lp(to, at, binding->context);
}

/* label, a zero byte, three lps and the salt, with counter and length around them */
_Static_assert(4 + sizeof("dekvault/hmac-derive/1") + 2 + sizeof("pkcs11-check") - 1 + 2 + DKV_P11_ID_MAX + 2 + 16 +
                       DKV_P11_SALT_LEN + 4 <=
                   DKV_P11_BINDING_MAX,
               "room for all that a keyMaterial is bound to");

/* SP 800-108r1 section 4.1, one iteration: [1] | label | 00 | context | [L]. */
size_t dkv_p11_kdf_input(const struct dkv_p11_binding *binding, const uint8_t salt[static DKV_P11_SALT_LEN],
                         uint8_t *ret)
{
    static const uint8_t counter[] = {0, 0, 0, 1};
    static const uint8_t bits[] = {0, 0, 1, 0};
    static const char label[] = "dekvault/hmac-derive/1"; /* its NUL is the 00 */
    size_t at = put(ret, 0, counter, sizeof(counter));
    at = put(ret, at, label, sizeof(label));
    at = put_binding(ret, at, binding);
    at = put(ret, at, salt, DKV_P11_SALT_LEN);
    return put(ret, at, bits, sizeof(bits));
}

size_t dkv_p11_gcm_aad(const struct dkv_p11_binding *binding, uint8_t *ret)
{
    static const char label[] = "dekvault/aes-gcm/1"; /* its NUL is the 00 */
    return put_binding(ret, put(ret, 0, label, sizeof(label)), binding);
}
