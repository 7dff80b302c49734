/* SPDX-License-Identifier: Apache-2.0 */
/* aes-gcm: the token wraps the DEK itself, by AES-256-GCM. The IV is always ours and random: a token that gets none may
 * take a fixed one (SoftHSM 2.6.1 does), which would give the DEKs away. No state, no lock. */
#include "providers/pkcs11/internal.h"

#include "base/crypto.h"

#define HEAD_LEN (3 + DKV_P11_IV_LEN)
#define SEALED_LEN (DKV_DEK_BYTES + DKV_P11_TAG_LEN)
/* Some tokens want room for more than they write: SoftHSM for the tag, when decrypting. */
#define SLACK 64

_Static_assert(sizeof(CK_GCM_PARAMS) == 6 * sizeof(CK_ULONG), "the layout of every OASIS header, ulIvBits in it");

/* The layout of the text of PKCS#11 2.30 and of some tokens: without ulIvBits. */
struct short_params {
    CK_BYTE *iv;
    CK_ULONG iv_len;
    CK_BYTE *aad;
    CK_ULONG aad_len;
    CK_ULONG tag_bits;
};

struct gcm {
    CK_BYTE iv[DKV_P11_IV_MAX];
    CK_ULONG iv_len;
    CK_BYTE aad[DKV_P11_BINDING_MAX];
    CK_ULONG aad_len;
};

typedef CK_RV (*init_fn)(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key);

/* gcm must outlive the operation: tokens may keep the pointers. */
static CK_RV start(const struct dkv_p11_use *use, init_fn init, struct gcm *gcm)
{
    CK_GCM_PARAMS full = {.pIv = gcm->iv,
                          .ulIvLen = gcm->iv_len,
                          .ulIvBits = 8 * gcm->iv_len,
                          .pAAD = gcm->aad,
                          .ulAADLen = gcm->aad_len,
                          .ulTagBits = 8 * DKV_P11_TAG_LEN};
    CK_MECHANISM mechanism = {.mechanism = CKM_AES_GCM, .pParameter = &full, .ulParameterLen = sizeof(full)};
    const CK_RV rv = init(use->session, &mechanism, use->key);
    if (rv != CKR_MECHANISM_PARAM_INVALID && rv != CKR_ARGUMENTS_BAD) {
        return rv;
    }
    struct short_params brief = {.iv = gcm->iv,
                                 .iv_len = gcm->iv_len,
                                 .aad = gcm->aad,
                                 .aad_len = gcm->aad_len,
                                 .tag_bits = 8 * DKV_P11_TAG_LEN};
    mechanism.pParameter = &brief;
    mechanism.ulParameterLen = sizeof(brief);
    return init(use->session, &mechanism, use->key);
}

/* What the token got as IV must be what it was given: one that puts its own into the buffer used it, perhaps. */
static enum dkv_rc check_iv(const struct dkv_p11_use *use, const struct gcm *gcm, const uint8_t *given,
                            struct dkv_error *err)
{
    DKV_CHECK(memcmp(gcm->iv, given, gcm->iv_len) == 0, err, DKV_E_CONFIG,
              "CMK %s: this token replaces the IV of AES-GCM, which this dekvault doesn't do: use a CMK of profile "
              "hmac-derive",
              use->cmk_name);
    return DKV_OK;
}

static enum dkv_rc encrypt(struct dkv_p11_use *use, struct gcm *gcm, struct dkv_span plain, uint8_t *ret,
                           struct dkv_error *err)
{
    uint8_t sealed[SEALED_LEN + SLACK];
    CK_BYTE given[DKV_P11_IV_MAX];
    CK_ULONG len = sizeof(sealed);
    memcpy(given, gcm->iv, sizeof(given));
    use->rv = start(use, use->functions->C_EncryptInit, gcm);
    if (use->rv != CKR_OK) {
        return dkv_p11_fail(err, use->rv, "CMK %s: C_EncryptInit with CKM_AES_GCM", use->cmk_name);
    }
    use->rv = use->functions->C_Encrypt(use->session, (CK_BYTE *)(uintptr_t)plain.data, plain.len, sealed, &len);
    if (use->rv != CKR_OK) {
        return dkv_p11_fail(err, use->rv, "CMK %s: C_Encrypt with CKM_AES_GCM", use->cmk_name);
    }
    DKV_TRY(check_iv(use, gcm, given, err));
    DKV_CHECK(len == SEALED_LEN, err, DKV_E_INTERNAL, "CMK %s: C_Encrypt with CKM_AES_GCM gave %lu bytes for %zu",
              use->cmk_name, len, plain.len);
    memcpy(ret, sealed, SEALED_LEN);
    return DKV_OK;
}

static enum dkv_rc wrap(struct dkv_p11_use *use, struct dkv_wrap_item *item, struct dkv_error *err)
{
    struct gcm gcm = {.iv_len = DKV_P11_IV_LEN};
    uint8_t blob[HEAD_LEN + SEALED_LEN] = {1, DKV_P11_AES_GCM, DKV_P11_IV_LEN};
    DKV_CHECK(item->output_capacity >= sizeof(blob), err, DKV_E_INVALID,
              "there is no room for %zu bytes of keyMaterial", sizeof(blob));
    DKV_TRY(dkv_random(gcm.iv, DKV_P11_IV_LEN, err));
    gcm.aad_len = dkv_p11_gcm_aad(&use->binding, gcm.aad);
    memcpy(blob + 3, gcm.iv, DKV_P11_IV_LEN);
    DKV_TRY(encrypt(use, &gcm, item->input, blob + HEAD_LEN, err));
    memcpy(item->output, blob, sizeof(blob));
    item->output_len = sizeof(blob);
    return DKV_OK;
}

/* Tokens disagree on the code for a wrong tag. It is told from a token in trouble by asking the session, since a
 * reconnect for each forged document would be an attack that anybody who writes the vault could make. */
static bool is_rejection(const struct dkv_p11_use *use)
{
    static const CK_RV codes[] = {CKR_GENERAL_ERROR,          CKR_FUNCTION_FAILED,
                                  CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE,
                                  CKR_DATA_INVALID,           CKR_DATA_LEN_RANGE};
    CK_SESSION_INFO info;
    for (size_t i = 0; i < DKV_COUNT(codes); i++) {
        if (use->rv == codes[i]) {
            return use->functions->C_GetSessionInfo(use->session, &info) == CKR_OK;
        }
    }
    return false;
}

static enum dkv_rc decrypt(struct dkv_p11_use *use, struct dkv_span sealed, struct dkv_secret *plain, CK_ULONG *ret_len,
                           struct dkv_error *err)
{
    CK_ULONG len = plain->len;
    use->rv = use->functions->C_Decrypt(use->session, (CK_BYTE *)(uintptr_t)sealed.data, sealed.len, plain->data, &len);
    if (use->rv != CKR_OK && is_rejection(use)) {
        use->rv = CKR_ENCRYPTED_DATA_INVALID;
        return dkv_p11_fail_opening(use, err);
    }
    if (use->rv != CKR_OK) {
        return dkv_p11_fail(err, use->rv, "CMK %s: C_Decrypt with CKM_AES_GCM", use->cmk_name);
    }
    *ret_len = len;
    return DKV_OK;
}

static enum dkv_rc unwrap(struct dkv_p11_use *use, struct dkv_wrap_item *item, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret plain = {0};
    struct dkv_p11_blob blob = {0};
    struct gcm gcm = {0};
    CK_ULONG len = 0;
    DKV_TRY(dkv_p11_blob_decode(item->input, &dkv_p11_aes_gcm, &blob, err));
    DKV_TRY(dkv_secret_init(&plain, SEALED_LEN + SLACK, err));
    memcpy(gcm.iv, blob.salt_or_iv.data, blob.salt_or_iv.len);
    gcm.iv_len = blob.salt_or_iv.len;
    gcm.aad_len = dkv_p11_gcm_aad(&use->binding, gcm.aad);
    use->rv = start(use, use->functions->C_DecryptInit, &gcm);
    if (use->rv != CKR_OK) {
        return dkv_p11_fail(err, use->rv, "CMK %s: C_DecryptInit with CKM_AES_GCM", use->cmk_name);
    }
    /* ciphertext and tag lie side by side */
    DKV_TRY(decrypt(use, dkv_span(blob.ciphertext.data, SEALED_LEN), &plain, &len, err));
    DKV_CHECK(len == DKV_DEK_BYTES, err, DKV_E_REJECTED_CIPHERTEXT,
              "CMK %s: keyMaterial holds %lu bytes: a data key has %u", use->cmk_name, len, DKV_DEK_BYTES);
    memcpy(item->output, plain.data, DKV_DEK_BYTES);
    item->output_len = DKV_DEK_BYTES;
    return DKV_OK;
}

const struct dkv_p11_profile dkv_p11_aes_gcm = {
    .name = "aes-gcm",
    .number = DKV_P11_AES_GCM,
    .use = CKM_AES_GCM,
    .generate = CKM_AES_KEY_GEN,
    .new_key_type = CKK_AES,
    .usages = {CKA_ENCRYPT, CKA_DECRYPT},
    .n_usages = 2,
    .min_len = DKV_P11_CMK_LEN,
    .max_len = DKV_P11_CMK_LEN,
    .wrap = wrap,
    .unwrap = unwrap,
};
