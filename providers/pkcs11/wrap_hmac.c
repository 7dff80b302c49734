/* SPDX-License-Identifier: Apache-2.0 */
/* hmac-derive: the token derives a key from the CMK by one HMAC-SHA-256 (SP 800-108 in counter mode), and the host
 * wraps the DEK with it by AES-256-GCM. Each wrap has a fresh salt, so each derived key is used once and the IV can be
 * zero. What leaves the token opens one DEK and no other. No state, no lock. */
#include "providers/pkcs11/internal.h"

#include "base/crypto.h"

#define DERIVED_LEN 32
#define TAG_AT (DKV_P11_HMAC_HEAD_LEN + DKV_DEK_BYTES)

static const uint8_t zero_iv[DKV_P11_IV_LEN];

static enum dkv_rc derive(struct dkv_p11_use *use, const uint8_t *salt, struct dkv_secret *ret, struct dkv_error *err)
{
    uint8_t input[DKV_P11_BINDING_MAX];
    const size_t input_len = dkv_p11_kdf_input(&use->binding, salt, input);
    CK_MECHANISM mechanism = {.mechanism = CKM_SHA256_HMAC};
    CK_ULONG len = DERIVED_LEN;
    DKV_TRY(dkv_secret_init(ret, DERIVED_LEN, err));
    use->rv = use->functions->C_SignInit(use->session, &mechanism, use->key);
    if (use->rv != CKR_OK) {
        return dkv_p11_fail(err, use->rv, "CMK %s: C_SignInit with CKM_SHA256_HMAC", use->cmk_name);
    }
    use->rv = use->functions->C_Sign(use->session, input, input_len, ret->data, &len);
    if (use->rv != CKR_OK) {
        return dkv_p11_fail(err, use->rv, "CMK %s: C_Sign with CKM_SHA256_HMAC", use->cmk_name);
    }
    /* A short one would leave the rest of the key zero. */
    DKV_CHECK(len == DERIVED_LEN, err, DKV_E_INTERNAL, "CMK %s: C_Sign with CKM_SHA256_HMAC gave %lu bytes, not %d",
              use->cmk_name, len, DERIVED_LEN);
    return DKV_OK;
}

static enum dkv_rc wrap(struct dkv_p11_use *use, struct dkv_wrap_item *item, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret key = {0};
    uint8_t blob[DKV_P11_HMAC_BLOB_LEN] = {1, DKV_P11_HMAC_DERIVE};
    DKV_CHECK(item->output_capacity >= sizeof(blob), err, DKV_E_INVALID,
              "there is no room for %zu bytes of keyMaterial", sizeof(blob));
    DKV_TRY(dkv_random(blob + 2, DKV_P11_SALT_LEN, err));
    DKV_TRY(derive(use, blob + 2, &key, err));
    DKV_TRY(dkv_gcm_seal(key.data, dkv_span(zero_iv, sizeof(zero_iv)), dkv_span(blob, DKV_P11_HMAC_HEAD_LEN),
                         item->input, blob + DKV_P11_HMAC_HEAD_LEN, blob + TAG_AT, err));
    memcpy(item->output, blob, sizeof(blob));
    item->output_len = sizeof(blob);
    return DKV_OK;
}

static enum dkv_rc unwrap(struct dkv_p11_use *use, struct dkv_wrap_item *item, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret key = {0};
    struct dkv_p11_blob blob = {0};
    DKV_TRY(dkv_p11_blob_decode(item->input, &dkv_p11_hmac_derive, &blob, err));
    DKV_TRY(derive(use, blob.salt_or_iv.data, &key, err));
    const enum dkv_rc rc = dkv_gcm_open(key.data, dkv_span(zero_iv, sizeof(zero_iv)), blob.head, blob.ciphertext,
                                        blob.tag.data, item->output, err);
    if (rc == DKV_E_REJECTED_CIPHERTEXT) {
        return dkv_p11_fail_opening(use, err);
    }
    if (rc == DKV_OK) {
        item->output_len = DKV_DEK_BYTES;
    }
    return rc;
}

const struct dkv_p11_profile dkv_p11_hmac_derive = {
    .name = "hmac-derive",
    .number = DKV_P11_HMAC_DERIVE,
    .use = CKM_SHA256_HMAC,
    .generate = CKM_GENERIC_SECRET_KEY_GEN,
    .new_key_type = CKK_GENERIC_SECRET,
    .usages = {CKA_SIGN},
    .n_usages = 1,
    .min_len = DKV_P11_CMK_LEN,
    .wrap = wrap,
    .unwrap = unwrap,
};
