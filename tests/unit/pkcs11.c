/* SPDX-License-Identifier: Apache-2.0 */
/* Wrapping by the pkcs11 provider on real tokens: SoftHSM, and NSS's softokn as a second implementation. */
#include "tests/unit/pkcs11_fixture.h"

#include <sys/wait.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

static const char *const profile_names[] = {"hmac-derive", "aes-gcm"};

/* ---- The way through ---- */

static void a_cmk_made_in_softhsm_wraps_and_unwraps(void)
{
    struct fixture fixture;
    struct material material = {0};
    if (!start_softhsm()) {
        return;
    }
    open_softhsm(&fixture, "pkcs11:object=cmk-2026");

    const struct dkv_cmk_info *info = create(&fixture, "cmk-2026", NULL);
    round_trip(&fixture, NULL, &material);

    CU_ASSERT_STRING_EQUAL(info->profile, "hmac-derive");
    CU_ASSERT_EQUAL(strlen(info->key_id), 32);
    CU_ASSERT_EQUAL(info->state, DKV_CMK_ENABLED);
    CU_ASSERT_EQUAL(info->capabilities, DKV_CAP_BOUND | DKV_CAP_AUTHENTIC);
    CU_ASSERT_EQUAL(material.len, 146);
    CU_ASSERT_EQUAL(material.bytes[0], 1);
    CU_ASSERT_EQUAL(material.bytes[1], 1);
    fixture_close(&fixture);
}

static void an_aes_cmk_wraps_and_unwraps(void)
{
    struct fixture fixture;
    struct material material = {0};
    if (!start_softhsm()) {
        return;
    }
    open_softhsm(&fixture, "aes");

    const struct dkv_cmk_info *info = create(&fixture, "aes", "aes-gcm");
    round_trip(&fixture, "pkcs11:object=aes", &material);

    CU_ASSERT_STRING_EQUAL(info->profile, "aes-gcm");
    CU_ASSERT_EQUAL(material.len, 127);
    CU_ASSERT_EQUAL(material.bytes[1], 2);
    CU_ASSERT_EQUAL(material.bytes[2], 12);
    fixture_close(&fixture);
}

static void two_wraps_of_one_dek_differ(void)
{
    struct fixture fixture;
    struct material a = {0}, b = {0};
    if (!start_softhsm()) {
        return;
    }
    open_softhsm(&fixture, "k");
    for (size_t i = 0; i < DKV_COUNT(profile_names); i++) {
        fixture.self->listed[0].is_resolved = false;
        create(&fixture, profile_names[i], profile_names[i]);
        snprintf(fixture.self->listed[0].reference.label, sizeof(fixture.self->listed[0].reference.label), "%s",
                 profile_names[i]);

        round_trip(&fixture, profile_names[i], &a);
        round_trip(&fixture, profile_names[i], &b);

        /* salt or IV, and with it all of the ciphertext */
        CU_ASSERT_NOT_EQUAL(memcmp(a.bytes + 3, b.bytes + 3, 12), 0);
        CU_ASSERT_NOT_EQUAL(memcmp(a.bytes + a.len - 112, b.bytes + b.len - 112, 96), 0);
    }
    fixture_close(&fixture);
}

/* ---- Known answers, computed without dekvault ---- */

static const uint8_t known_cmk[32] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99};
static const uint8_t known_id[] = {0xc0, 0xff, 0xee};

static void import_known(const char *label, CK_KEY_TYPE type)
{
    struct dkv_raw raw = dkv_raw_open(dkv_softhsm_module(), NULL, "prod");
    const struct dkv_raw_key key = {.label = label,
                                    .id = known_id,
                                    .id_len = sizeof(known_id),
                                    .type = type,
                                    .value = known_cmk,
                                    .value_len = sizeof(known_cmk)};
    dkv_raw_import(&raw, &key);
    dkv_raw_close(&raw);
}

/* lp("pkcs11") lp(keyId) lp(_id) */
static size_t put_context(uint8_t *to)
{
    static const uint8_t head[] = {0, 6, 'p', 'k', 'c', 's', '1', '1', 0, 3, 0xc0, 0xff, 0xee, 0, 16};
    memcpy(to, head, sizeof(head));
    memcpy(to + sizeof(head), document_id, 16);
    return sizeof(head) + 16;
}

/* info: its first len bytes, with room for the salt */
static void kbkdf(uint8_t *info, size_t len, const uint8_t *salt, uint8_t ret[static 32])
{
    char mode[] = "counter", mac[] = "HMAC", digest[] = "SHA256", label[] = "dekvault/hmac-derive/1";
    uint8_t cmk[32];
    memcpy(info + len, salt, 32);
    len += 32;
    memcpy(cmk, known_cmk, sizeof(cmk));
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "KBKDF", NULL);
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, mode, 0),
                                 OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MAC, mac, 0),
                                 OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, cmk, sizeof(cmk)),
                                 OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, label, strlen(label)),
                                 OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, len),
                                 OSSL_PARAM_construct_end()};
    CU_ASSERT_EQUAL_FATAL(EVP_KDF_derive(context, ret, 32, params), 1);
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
}

static void gcm(const uint8_t *key, const uint8_t *iv, const uint8_t *aad, size_t aad_len, uint8_t ret[static 112])
{
    uint8_t plain[96];
    int len = 0;
    for (size_t i = 0; i < sizeof(plain); i++) {
        plain[i] = (uint8_t)(i * 3 + 1);
    }
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    CU_ASSERT_FATAL(EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, iv) == 1 &&
                    EVP_EncryptUpdate(context, NULL, &len, aad, (int)aad_len) == 1 &&
                    EVP_EncryptUpdate(context, ret, &len, plain, sizeof(plain)) == 1 &&
                    EVP_EncryptFinal_ex(context, ret + 96, &len) == 1 &&
                    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, ret + 96) == 1);
    EVP_CIPHER_CTX_free(context);
}

static void hmac_derive_is_what_openssl_computes(void)
{
    static const CK_KEY_TYPE types[] = {CKK_GENERIC_SECRET, CKK_SHA256_HMAC};
    static const uint8_t zero_iv[12];
    for (size_t i = 0; i < DKV_COUNT(types); i++) {
        struct fixture fixture;
        struct material material = {0};
        uint8_t key[32], info[128], expected[112];
        if (!start_softhsm()) {
            return;
        }
        import_known("known", types[i]);
        open_softhsm(&fixture, "id:c0ffee");

        round_trip(&fixture, NULL, &material);

        kbkdf(info, put_context(info), material.bytes + 2, key);
        gcm(key, zero_iv, material.bytes, 34, expected);
        CU_ASSERT_EQUAL(memcmp(material.bytes + 34, expected, 112), 0);
        fixture_close(&fixture);
    }
}

static void a_check_record_is_what_openssl_computes(void)
{
    static const uint8_t zero_iv[12];
    static const char context[] = "\0\014pkcs11-check\0\003\xc0\xff\xee\0"; /* and its NUL: lp("") */
    const struct dkv_call check = {.purpose = DKV_PURPOSE_CHECK};
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_secret dek = {0};
    uint8_t record[256], key[32], info[128], expected[112];
    if (!start_softhsm()) {
        return;
    }
    import_known("known", CKK_GENERIC_SECRET);
    open_softhsm(&fixture, "id:c0ffee");
    fill_dek(&dek);
    struct dkv_cmk *cmk = resolve(&fixture, NULL);
    struct dkv_wrap_item item = {
        .cmk = cmk, .input = dkv_secret_view(&dek), .output = record, .output_capacity = sizeof(record)};

    ASSERT_OK(dkv_pkcs11_ops.wrap(fixture.self, &check, &item, 1, &err));

    memcpy(info, context, sizeof(context));
    kbkdf(info, sizeof(context), record + 2, key);
    gcm(key, zero_iv, record, 34, expected);
    CU_ASSERT_EQUAL(memcmp(record + 34, expected, 112), 0);
    dkv_pkcs11_ops.cmk_free(cmk);
    dkv_secret_done(&dek);
    fixture_close(&fixture);
}

static void aes_gcm_is_what_openssl_computes(void)
{
    static const char label[] = "dekvault/aes-gcm/1";
    struct fixture fixture;
    struct material material = {0};
    uint8_t aad[128], expected[112];
    if (!start_softhsm()) {
        return;
    }
    import_known("known", CKK_AES);
    open_softhsm(&fixture, "id:c0ffee");

    round_trip(&fixture, NULL, &material);

    memcpy(aad, label, sizeof(label));
    gcm(known_cmk, material.bytes + 3, aad, sizeof(label) + put_context(aad + sizeof(label)), expected);
    CU_ASSERT_EQUAL(memcmp(material.bytes + 15, expected, 112), 0);
    fixture_close(&fixture);
}

/* ---- Damage ---- */

struct sealed {
    struct fixture fixture;
    struct material material;
    struct dkv_cmk *cmk;
    struct dkv_secret out;
};

static void seal(struct sealed *sealed, const char *profile)
{
    struct dkv_error err = {0};
    *sealed = (struct sealed){0};
    open_softhsm(&sealed->fixture, "k");
    create(&sealed->fixture, "k", profile);
    round_trip(&sealed->fixture, NULL, &sealed->material);
    sealed->cmk = resolve(&sealed->fixture, NULL);
    ASSERT_OK(dkv_secret_init(&sealed->out, DKV_DEK_BYTES, &err));
}

static void unseal(struct sealed *sealed)
{
    dkv_secret_done(&sealed->out);
    dkv_pkcs11_ops.cmk_free(sealed->cmk);
    fixture_close(&sealed->fixture);
}

static enum dkv_rc open_sealed(struct sealed *sealed, struct dkv_span material, struct dkv_error *err)
{
    *err = (struct dkv_error){0};
    return try_unwrap(&sealed->fixture, &a_call, sealed->cmk, dkv_span(document_id, 16), material, &sealed->out, err);
}

static void every_flipped_byte_is_rejected(void)
{
    for (size_t p = 0; p < DKV_COUNT(profile_names); p++) {
        struct sealed sealed;
        struct dkv_error err = {0};
        if (!start_softhsm()) {
            return;
        }
        seal(&sealed, profile_names[p]);
        for (size_t i = 0; i < sealed.material.len; i++) {
            sealed.material.bytes[i] ^= 0x40;
            ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT,
                      open_sealed(&sealed, dkv_span(sealed.material.bytes, sealed.material.len), &err));
            sealed.material.bytes[i] ^= 0x40;
            if (p == 1 && i > 2) {
                /* an operation may still be active in the session, so it isn't used again */
                CU_ASSERT_EQUAL_FATAL(sealed.fixture.self->pool.n_open, 0);
            }
        }
        /* damage in the vault makes no new connections and no logins */
        CU_ASSERT_EQUAL(sealed.fixture.self->generation, 1);
        CU_ASSERT_EQUAL(counts.login, 1);
        ASSERT_OK(open_sealed(&sealed, dkv_span(sealed.material.bytes, sealed.material.len), &err));
        unseal(&sealed);
    }
}

static void every_other_length_is_rejected(void)
{
    for (size_t p = 0; p < DKV_COUNT(profile_names); p++) {
        struct sealed sealed;
        struct dkv_error err = {0};
        if (!start_softhsm()) {
            return;
        }
        seal(&sealed, profile_names[p]);
        const unsigned before = counts.sign_init + counts.decrypt_init;
        for (size_t n = 0; n < sizeof(sealed.material.bytes); n++) {
            if (n != sealed.material.len) {
                ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, open_sealed(&sealed, dkv_span(sealed.material.bytes, n), &err));
            }
        }
        CU_ASSERT_EQUAL(counts.sign_init + counts.decrypt_init, before); /* malformed ones never reach the token */
        unseal(&sealed);
    }
}

static void key_material_of_another_document_or_cmk_says_so(void)
{
    static const uint8_t other_id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17};
    for (size_t p = 0; p < DKV_COUNT(profile_names); p++) {
        struct sealed sealed;
        struct dkv_error err = {0};
        if (!start_softhsm()) {
            return;
        }
        seal(&sealed, profile_names[p]);
        const struct dkv_span material = dkv_span(sealed.material.bytes, sealed.material.len);

        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, try_unwrap(&sealed.fixture, &a_call, sealed.cmk, dkv_span(other_id, 16),
                                                        material, &sealed.out, &err));
        ASSERT_SAYS("moved here from another document");
        ASSERT_SAYS("another CMK");

        create(&sealed.fixture, "second", profile_names[p]);
        struct dkv_cmk *second = resolve(&sealed.fixture, "second");
        second->is_listed = true;
        err = (struct dkv_error){0};
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT,
                  try_unwrap(&sealed.fixture, &a_call, second, dkv_span(document_id, 16), material, &sealed.out, &err));
        ASSERT_SAYS("another CMK");
        dkv_pkcs11_ops.cmk_free(second);
        unseal(&sealed);
    }
}

static void a_check_record_opens_as_no_document(void)
{
    const struct dkv_call check = {.purpose = DKV_PURPOSE_CHECK};
    for (size_t p = 0; p < DKV_COUNT(profile_names); p++) {
        struct sealed sealed;
        struct dkv_error err = {0};
        struct dkv_secret dek = {0};
        struct material record = {0};
        if (!start_softhsm()) {
            return;
        }
        seal(&sealed, profile_names[p]);
        fill_dek(&dek);
        struct dkv_wrap_item item = {.cmk = sealed.cmk,
                                     .input = dkv_secret_view(&dek),
                                     .output = record.bytes,
                                     .output_capacity = sizeof(record.bytes)};
        ASSERT_OK(dkv_pkcs11_ops.wrap(sealed.fixture.self, &check, &item, 1, &err));
        const struct dkv_span material = dkv_span(record.bytes, item.output_len), none = dkv_span(NULL, 0);

        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, open_sealed(&sealed, material, &err));
        ASSERT_RC(DKV_E_INVALID, try_unwrap(&sealed.fixture, &a_call, sealed.cmk, none, material, &sealed.out, &err));
        ASSERT_RC(DKV_E_INVALID, try_unwrap(&sealed.fixture, &check, sealed.cmk, dkv_span(document_id, 16), material,
                                            &sealed.out, &err));
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT,
                  try_unwrap(&sealed.fixture, &check, sealed.cmk, none,
                             dkv_span(sealed.material.bytes, sealed.material.len), &sealed.out, &err));
        ASSERT_OK(try_unwrap(&sealed.fixture, &check, sealed.cmk, none, material, &sealed.out, &err));

        dkv_secret_done(&dek);
        unseal(&sealed);
    }
}

static void items_of_a_batch_stand_for_themselves(void)
{
    struct sealed sealed;
    struct dkv_error err = {0}, own = {0};
    struct dkv_secret out = {0};
    uint8_t damaged[256];
    if (!start_softhsm()) {
        return;
    }
    seal(&sealed, "aes-gcm");
    ASSERT_OK(dkv_secret_init(&out, 2 * DKV_DEK_BYTES, &err));
    memcpy(damaged, sealed.material.bytes, sizeof(damaged));
    damaged[20] ^= 1;
    struct dkv_wrap_item items[3];
    for (size_t i = 0; i < 3; i++) {
        items[i] =
            (struct dkv_wrap_item){.cmk = sealed.cmk,
                                   .context = dkv_span(document_id, 16),
                                   .input = dkv_span(i == 1 ? damaged : sealed.material.bytes, sealed.material.len),
                                   .output = i == 1 ? sealed.out.data : out.data + i / 2 * DKV_DEK_BYTES,
                                   .output_capacity = DKV_DEK_BYTES,
                                   .err = i == 1 ? &own : NULL};
    }

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_pkcs11_ops.unwrap(sealed.fixture.self, &a_call, items, 3, &err));

    CU_ASSERT(items[0].status == DKV_OK && items[0].output_len == 96);
    CU_ASSERT(items[1].status == DKV_E_REJECTED_CIPHERTEXT && items[1].output_len == 0);
    CU_ASSERT(items[2].status == DKV_OK && items[2].output_len == 96);
    CU_ASSERT_EQUAL(own.rc, DKV_E_REJECTED_CIPHERTEXT);
    CU_ASSERT(dkv_equal_ct(out.data, out.data + DKV_DEK_BYTES, DKV_DEK_BYTES));
    dkv_secret_done(&out);
    unseal(&sealed);
}

/* ---- Trouble with the token ---- */

static CK_RV next_rv; /* what the next call answers instead of being made */
static unsigned n_next;

static CK_RV stumbling_sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    if (n_next > 0) {
        n_next--;
        return next_rv;
    }
    return counting_sign_init(session, mechanism, key);
}

static void a_lost_session_handle_or_login_is_got_back_once(void)
{
    static const CK_RV codes[] = {CKR_SESSION_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID,
                                  CKR_USER_NOT_LOGGED_IN,     CKR_OPERATION_ACTIVE,      CKR_DEVICE_REMOVED};
    struct sealed sealed;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    seal(&sealed, "hmac-derive");
    const struct dkv_span material = dkv_span(sealed.material.bytes, sealed.material.len);
    interposed.C_SignInit = stumbling_sign_init;

    for (size_t i = 0; i < DKV_COUNT(codes); i++) {
        next_rv = codes[i];
        n_next = 1;
        ASSERT_OK(open_sealed(&sealed, material, &err));
        n_next = 2;
        ASSERT_RC(dkv_p11_rv_class(codes[i]), open_sealed(&sealed, material, &err));
        CU_ASSERT_EQUAL(n_next, 0);
    }

    unseal(&sealed);
}

static void sessions_closed_behind_our_back_are_opened_again(void)
{
    struct sealed sealed;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    seal(&sealed, "aes-gcm");
    CU_ASSERT_EQUAL_FATAL(real->C_CloseAllSessions(sealed.fixture.self->token.slot), CKR_OK);

    ASSERT_OK(open_sealed(&sealed, dkv_span(sealed.material.bytes, sealed.material.len), &err));

    CU_ASSERT_EQUAL(counts.login, 2);
    unseal(&sealed);
}

static CK_RV short_sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len, CK_BYTE *signature,
                        CK_ULONG *signature_len)
{
    const CK_RV rv = real->C_Sign(session, data, len, signature, signature_len);
    *signature_len = 31;
    return rv;
}

static void a_derived_key_of_another_length_is_never_used(void)
{
    struct sealed sealed;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    seal(&sealed, "hmac-derive");
    interposed.C_Sign = short_sign;

    ASSERT_RC(DKV_E_INTERNAL, open_sealed(&sealed, dkv_span(sealed.material.bytes, sealed.material.len), &err));

    unseal(&sealed);
}

static CK_RV iv_making_encrypt(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len)
{
    return real->C_Encrypt(session, data, len, out, out_len);
}

static CK_RV iv_making_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    CK_GCM_PARAMS *params = mechanism->pParameter;
    params->pIv[0] ^= 1;
    return real->C_EncryptInit(session, mechanism, key);
}

static void a_token_that_changes_the_iv_is_told_apart(void)
{
    struct sealed sealed;
    struct dkv_error err = {0};
    struct dkv_secret dek = {0};
    struct material material = {0};
    if (!start_softhsm()) {
        return;
    }
    seal(&sealed, "aes-gcm");
    fill_dek(&dek);
    interposed.C_EncryptInit = iv_making_init;
    interposed.C_Encrypt = iv_making_encrypt;

    ASSERT_RC(DKV_E_CONFIG, try_wrap(&sealed.fixture, sealed.cmk, &dek, &material, &err));
    ASSERT_SAYS("replaces the IV");

    CU_ASSERT_EQUAL(material.len, 0);
    dkv_secret_done(&dek);
    unseal(&sealed);
}

/* The layout without ulIvBits, as some tokens want it. */
static CK_RV old_layout_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    struct {
        CK_BYTE *iv;
        CK_ULONG iv_len;
        CK_BYTE *aad;
        CK_ULONG aad_len, tag_bits;
    } old;
    if (mechanism->ulParameterLen != sizeof(old)) {
        return CKR_MECHANISM_PARAM_INVALID;
    }
    memcpy(&old, mechanism->pParameter, sizeof(old));
    CK_GCM_PARAMS full = {.pIv = old.iv,
                          .ulIvLen = old.iv_len,
                          .ulIvBits = 8 * old.iv_len,
                          .pAAD = old.aad,
                          .ulAADLen = old.aad_len,
                          .ulTagBits = old.tag_bits};
    CK_MECHANISM as_full = {.mechanism = mechanism->mechanism, .pParameter = &full, .ulParameterLen = sizeof(full)};
    return real->C_DecryptInit(session, &as_full, key);
}

static void the_old_layout_of_gcm_parameters_is_tried_second(void)
{
    struct sealed sealed;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    seal(&sealed, "aes-gcm");
    interposed.C_DecryptInit = old_layout_init;

    ASSERT_OK(open_sealed(&sealed, dkv_span(sealed.material.bytes, sealed.material.len), &err));

    unseal(&sealed);
}

/* ---- Threads and processes ---- */

struct worker {
    struct sealed *sealed;
    unsigned n_done;
};

static void *work(void *arg)
{
    struct worker *worker = arg;
    for (int i = 0; i < 100; i++) {
        struct dkv_error err = {0};
        struct dkv_secret out = {0};
        if (dkv_secret_init(&out, DKV_DEK_BYTES, &err) == DKV_OK &&
            try_unwrap(&worker->sealed->fixture, &a_call, worker->sealed->cmk, dkv_span(document_id, 16),
                       dkv_span(worker->sealed->material.bytes, worker->sealed->material.len), &out, &err) == DKV_OK) {
            worker->n_done++;
        }
        dkv_secret_done(&out);
    }
    return NULL;
}

static void threads_share_few_sessions(void)
{
    struct sealed sealed;
    struct worker workers[6];
    pthread_t threads[6];
    if (!start_softhsm()) {
        return;
    }
    seal(&sealed, "hmac-derive");
    sealed.fixture.self->pool.limit = 2;
    for (size_t i = 0; i < 6; i++) {
        workers[i] = (struct worker){.sealed = &sealed};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
        CU_ASSERT_EQUAL(workers[i].n_done, 100);
    }
    CU_ASSERT(sealed.fixture.self->pool.n_open <= 2);
    CU_ASSERT_EQUAL(sealed.fixture.self->pool.n_idle, sealed.fixture.self->pool.n_open);
    unseal(&sealed);
}

static struct sealed *renewed;
static unsigned calls_until_renewal;
static bool stale_key_used;

/* As another thread may, which found its session lost. */
static void renew(void)
{
    struct dkv_error err = {0};
    struct dkv_provider *self = renewed->fixture.self;
    if (calls_until_renewal == 0 || --calls_until_renewal > 0) {
        return;
    }
    ASSERT_OK(dkv_p11_reconnect(self, &a_call, self->generation, &err));
}

static int64_t renewing_clock(void)
{
    renew();
    return 0;
}

static CK_RV renewing_open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify,
                                   CK_SESSION_HANDLE *ret)
{
    renew();
    return real->C_OpenSession(slot, flags, application, notify, ret);
}

static CK_RV watching_sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    stale_key_used = stale_key_used || renewed->fixture.self->n_known == 0;
    return real->C_SignInit(session, mechanism, key);
}

static void a_key_of_an_earlier_connection_is_looked_up_anew(void)
{
    struct sealed sealed;
    struct dkv_error err = {0};
    struct dkv_secret out = {0};
    const struct dkv_call with_deadline = {.purpose = DKV_PURPOSE_USE, .deadline_ms = 1000};
    if (!start_softhsm()) {
        return;
    }
    seal(&sealed, "hmac-derive");
    renewed = &sealed;
    stale_key_used = false;
    interposed.C_SignInit = watching_sign_init;
    ASSERT_OK(dkv_secret_init(&out, DKV_DEK_BYTES, &err));
    const struct dkv_span material = dkv_span(sealed.material.bytes, sealed.material.len);

    /* While a session is waited for: the clock is asked at the call's start, and then for how long to wait. */
    sealed.fixture.host.monotonic_ms = renewing_clock;
    calls_until_renewal = 2;
    ASSERT_OK(try_unwrap(&sealed.fixture, &with_deadline, sealed.cmk, dkv_span(document_id, 16), material, &out, &err));
    CU_ASSERT_EQUAL(calls_until_renewal, 0);
    CU_ASSERT_FALSE(stale_key_used);
    /* While one is opened. */
    ASSERT_OK(dkv_p11_reconnect(sealed.fixture.self, &a_call, sealed.fixture.self->generation, &err));
    interposed.C_OpenSession = renewing_open_session;
    calls_until_renewal = 1;
    ASSERT_OK(try_unwrap(&sealed.fixture, &a_call, sealed.cmk, dkv_span(document_id, 16), material, &out, &err));
    CU_ASSERT_EQUAL(calls_until_renewal, 0);
    CU_ASSERT_FALSE(stale_key_used);

    dkv_secret_done(&out);
    unseal(&sealed);
}

static void a_forked_child_is_told_to_open_anew(void)
{
    struct sealed sealed;
    struct dkv_error err = {0};
    int status = 0;
    if (!start_softhsm()) {
        return;
    }
    seal(&sealed, "hmac-derive");
    const struct dkv_span material = dkv_span(sealed.material.bytes, sealed.material.len);
    const pid_t child = fork();
    if (child == 0) {
        struct dkv_secret out = {0};
        if (dkv_secret_init(&out, DKV_DEK_BYTES, &err) != DKV_OK) {
            _exit(9);
        }
        const enum dkv_rc rc =
            try_unwrap(&sealed.fixture, &a_call, sealed.cmk, dkv_span(document_id, 16), material, &out, &err);
        dkv_secret_done(&out);
        fixture_close(&sealed.fixture); /* which must leave the parent's sessions alone */
        _exit(rc == DKV_E_INVALID && strstr(err.message, "fork") != NULL ? 0 : 1);
    }
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);

    CU_ASSERT_EQUAL(status, 0);
    ASSERT_OK(open_sealed(&sealed, material, &err));
    unseal(&sealed);
}

static void a_call_that_is_over_or_cancelled_does_nothing(void)
{
    struct sealed sealed;
    struct dkv_error err = {0};
    volatile int cancelled = 1;
    if (!start_softhsm()) {
        return;
    }
    seal(&sealed, "hmac-derive");
    const unsigned before = counts.sign_init;
    const struct dkv_call late = {.deadline_ms = 1}, off = {.cancelled = &cancelled};
    const struct dkv_span material = dkv_span(sealed.material.bytes, sealed.material.len);

    ASSERT_RC(DKV_E_UNREACHABLE,
              try_unwrap(&sealed.fixture, &late, sealed.cmk, dkv_span(document_id, 16), material, &sealed.out, &err));
    ASSERT_RC(DKV_E_CANCELLED,
              try_unwrap(&sealed.fixture, &off, sealed.cmk, dkv_span(document_id, 16), material, &sealed.out, &err));

    CU_ASSERT_EQUAL(counts.sign_init, before);
    unseal(&sealed);
}

/* ---- Out of memory ---- */

/* The whole way, with a state folder of its own each time: a login cut off is remembered, and rightly. */
static enum dkv_rc first_use(void *arg, struct dkv_error *err)
{
    struct fixture fixture;
    (void)arg;
    fixture_init(&fixture, dkv_softhsm_module(), TOKEN);
    fixture.settings.cmk = "k";
    enum dkv_rc rc = fixture_try_open(&fixture, err);
    if (rc == DKV_OK) {
        rc = dkv_pkcs11_ops.check(fixture.self, &a_call, err);
    }
    fixture_close(&fixture);
    return rc;
}

static enum dkv_rc make_one(void *arg, struct dkv_error *err)
{
    static unsigned number;
    char label[32];
    snprintf(label, sizeof(label), "made-%u", number++);
    return try_create(arg, label, NULL, new_info(), err);
}

static enum dkv_rc open_document(void *arg, struct dkv_error *err)
{
    struct sealed *sealed = arg;
    struct dkv_cmk *cmk = NULL;
    struct dkv_cmk_info *info = new_info();
    DKV_TRY(dkv_pkcs11_ops.describe(sealed->fixture.self, &a_call, sealed->cmk, info, err));
    DKV_TRY(dkv_pkcs11_ops.resolve_document(sealed->fixture.self, &a_call,
                                            dkv_span(info->master_key, info->master_key_len), &cmk, err));
    const enum dkv_rc rc = try_unwrap(&sealed->fixture, &a_call, cmk, dkv_span(document_id, 16),
                                      dkv_span(sealed->material.bytes, sealed->material.len), &sealed->out, err);
    dkv_pkcs11_ops.cmk_free(cmk);
    return rc;
}

static void every_failed_allocation_is_an_error_and_no_more(void)
{
    struct sealed sealed;
    if (!start_softhsm()) {
        return;
    }
    seal(&sealed, "hmac-derive");

    CU_ASSERT(dkv_test_each_alloc_fails(make_one, &sealed.fixture) >= 3);
    CU_ASSERT(dkv_test_each_alloc_fails(open_document, &sealed) >= 2);
    unseal(&sealed);
    CU_ASSERT(dkv_test_each_alloc_fails(first_use, NULL) >= 5);
}

/* ---- NSS ---- */

static void nss_makes_and_uses_cmks_of_both_profiles(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    interposing_start();
    const char *init = dkv_nss_start();
    if (init == NULL) {
        dkv_test_skip("NSS's softokn isn't installed");
        return;
    }
    for (size_t i = 0; i < DKV_COUNT(profile_names); i++) {
        struct material material = {0};
        struct dkv_secret out = {0};
        fixture_init(&fixture, dkv_nss_module(), DKV_NSS_TOKEN);
        fixture.values[DKV_P11_OPTION_MODULE_INIT] = text_value(init);
        fixture.settings.cmk = profile_names[i];
        fixture_open(&fixture);

        const struct dkv_cmk_info *info = create(&fixture, profile_names[i], profile_names[i]);
        round_trip(&fixture, NULL, &material);

        CU_ASSERT_EQUAL(info->state, DKV_CMK_ENABLED);
        bool is_told = false;
        for (size_t f = 0; f < info->n_findings; f++) {
            is_told = is_told || (strcmp(info->findings[f].check, "template") == 0 && !info->findings[f].ok);
        }
        CU_ASSERT(is_told);
        material.bytes[material.len - 1] ^= 1;
        struct dkv_cmk *cmk = resolve(&fixture, NULL);
        ASSERT_OK(dkv_secret_init(&out, DKV_DEK_BYTES, &err));
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, try_unwrap(&fixture, &a_call, cmk, dkv_span(document_id, 16),
                                                        dkv_span(material.bytes, material.len), &out, &err));
        err = (struct dkv_error){0};
        dkv_secret_done(&out);
        dkv_pkcs11_ops.cmk_free(cmk);
        fixture_close(&fixture);
    }
}

static void nss_without_its_string_is_a_fault_of_configuration(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    interposing_start();
    if (dkv_nss_module() == NULL) {
        dkv_test_skip("NSS's softokn isn't installed");
        return;
    }
    fixture_init(&fixture, dkv_nss_module(), DKV_NSS_TOKEN);
    fixture_open(&fixture);

    ASSERT_RC(DKV_E_CONFIG, dkv_pkcs11_ops.check(fixture.self, &a_call, &err));
    ASSERT_SAYS("module-init");

    fixture_close(&fixture);
}

static const struct dkv_test tests[] = {
    DKV_TEST(a_cmk_made_in_softhsm_wraps_and_unwraps),
    DKV_TEST(an_aes_cmk_wraps_and_unwraps),
    DKV_TEST(two_wraps_of_one_dek_differ),
    DKV_TEST(hmac_derive_is_what_openssl_computes),
    DKV_TEST(a_check_record_is_what_openssl_computes),
    DKV_TEST(aes_gcm_is_what_openssl_computes),
    DKV_TEST(every_flipped_byte_is_rejected),
    DKV_TEST(every_other_length_is_rejected),
    DKV_TEST(key_material_of_another_document_or_cmk_says_so),
    DKV_TEST(a_check_record_opens_as_no_document),
    DKV_TEST(items_of_a_batch_stand_for_themselves),
    DKV_TEST(a_lost_session_handle_or_login_is_got_back_once),
    DKV_TEST(sessions_closed_behind_our_back_are_opened_again),
    DKV_TEST(a_derived_key_of_another_length_is_never_used),
    DKV_TEST(a_token_that_changes_the_iv_is_told_apart),
    DKV_TEST(the_old_layout_of_gcm_parameters_is_tried_second),
    DKV_TEST(threads_share_few_sessions),
    DKV_TEST(a_key_of_an_earlier_connection_is_looked_up_anew),
    DKV_TEST(a_forked_child_is_told_to_open_anew),
    DKV_TEST(a_call_that_is_over_or_cancelled_does_nothing),
    DKV_TEST(every_failed_allocation_is_an_error_and_no_more),
    DKV_TEST(nss_makes_and_uses_cmks_of_both_profiles),
    DKV_TEST(nss_without_its_string_is_a_fault_of_configuration),
};

int main(int argc, char **argv)
{
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
