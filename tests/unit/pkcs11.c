/* SPDX-License-Identifier: Apache-2.0 */
/* The pkcs11 provider on real tokens: SoftHSM, and NSS's softokn as a second implementation. */
#include "tests/unit/pkcs11_fixture.h"

#include <bson/bson.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "base/crypto.h"

#define TOKEN "pkcs11:token=prod"

static const uint8_t document_id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* ---- Helpers ---- */

static bool start_softhsm(void)
{
    if (!dkv_softhsm_start()) {
        dkv_test_skip("SoftHSM isn't installed");
        return false;
    }
    dkv_softhsm_add_token("prod");
    interposing_start();
    return true;
}

static void open_softhsm(struct fixture *fixture, const char *cmk)
{
    fixture_init(fixture, dkv_softhsm_module(), TOKEN);
    fixture->settings.cmk = cmk;
    fixture_open(fixture);
}

static enum dkv_rc try_create(struct fixture *fixture, const char *label, const char *profile, struct dkv_cmk_info *ret,
                              struct dkv_error *err)
{
    const struct dkv_cmk_request request = {.label = label, .profile = profile};
    return dkv_pkcs11_ops.create_cmk(fixture->self, &a_call, &request, ret, err);
}

static struct dkv_cmk_info create(struct fixture *fixture, const char *label, const char *profile)
{
    struct dkv_error err = {0};
    struct dkv_cmk_info info = {0};
    ASSERT_OK(try_create(fixture, label, profile, &info, &err));
    return info;
}

static struct dkv_cmk *resolve(struct fixture *fixture, const char *reference)
{
    struct dkv_error err = {0};
    struct dkv_cmk *cmk = NULL;
    ASSERT_OK(dkv_pkcs11_ops.resolve_reference(fixture->self, &a_call, reference, &cmk, &err));
    return cmk;
}

struct material {
    uint8_t bytes[256];
    size_t len;
};

static void fill_dek(struct dkv_secret *dek)
{
    struct dkv_error err = {0};
    ASSERT_OK(dkv_secret_init(dek, DKV_DEK_BYTES, &err));
    for (size_t i = 0; i < dek->len; i++) {
        dek->data[i] = (uint8_t)(i * 3 + 1);
    }
}

static enum dkv_rc try_wrap(struct fixture *fixture, const struct dkv_cmk *cmk, const struct dkv_secret *dek, struct material *ret,
                            struct dkv_error *err)
{
    struct dkv_wrap_item item = {.cmk = cmk, .context = dkv_span(document_id, 16), .input = dkv_secret_view(dek), .output = ret->bytes,
                                 .output_capacity = sizeof(ret->bytes)};
    const enum dkv_rc rc = dkv_pkcs11_ops.wrap(fixture->self, &a_call, &item, 1, err);
    CU_ASSERT_EQUAL(rc, item.status);
    ret->len = item.output_len;
    return rc;
}

static enum dkv_rc try_unwrap(struct fixture *fixture, const struct dkv_call *call, const struct dkv_cmk *cmk, struct dkv_span context,
                              struct dkv_span material, struct dkv_secret *ret, struct dkv_error *err)
{
    struct dkv_wrap_item item = {.cmk = cmk, .context = context, .input = material, .output = ret->data, .output_capacity = ret->len};
    const enum dkv_rc rc = dkv_pkcs11_ops.unwrap(fixture->self, call, &item, 1, err);
    CU_ASSERT_EQUAL(rc, item.status);
    CU_ASSERT_EQUAL(item.output_len, rc == DKV_OK ? DKV_DEK_BYTES : 0);
    return rc;
}

static void round_trip(struct fixture *fixture, const char *reference, struct material *material)
{
    struct dkv_error err = {0};
    struct dkv_secret dek = {0}, again = {0};
    struct dkv_cmk *cmk = resolve(fixture, reference);
    fill_dek(&dek);
    ASSERT_OK(dkv_secret_init(&again, DKV_DEK_BYTES, &err));
    ASSERT_OK(try_wrap(fixture, cmk, &dek, material, &err));
    ASSERT_OK(try_unwrap(fixture, &a_call, cmk, dkv_span(document_id, 16), dkv_span(material->bytes, material->len), &again, &err));
    CU_ASSERT_FATAL(dkv_equal_ct(dek.data, again.data, DKV_DEK_BYTES));
    dkv_secret_done(&dek);
    dkv_secret_done(&again);
    dkv_pkcs11_ops.cmk_free(cmk);
}

/* ---- The way through ---- */

static void a_cmk_made_in_softhsm_wraps_and_unwraps(void)
{
    struct fixture fixture;
    struct material material = {0};
    if (!start_softhsm()) {
        return;
    }
    open_softhsm(&fixture, "pkcs11:object=cmk-2026");

    const struct dkv_cmk_info info = create(&fixture, "cmk-2026", NULL);
    round_trip(&fixture, NULL, &material);

    CU_ASSERT_STRING_EQUAL(info.profile, "hmac-derive");
    CU_ASSERT_EQUAL(strlen(info.key_id), 32);
    CU_ASSERT_EQUAL(info.state, DKV_CMK_ENABLED);
    CU_ASSERT_EQUAL(info.capabilities, DKV_CAP_BOUND | DKV_CAP_AUTHENTIC);
    CU_ASSERT_EQUAL(material.len, 146);
    CU_ASSERT_EQUAL(material.bytes[0], 1);
    CU_ASSERT_EQUAL(material.bytes[1], 1);
    for (size_t i = 0; i < info.n_findings; i++) {
        if (!info.findings[i].ok) {
            printf("# %s: %s\n", info.findings[i].check, info.findings[i].detail);
        }
        CU_ASSERT(info.findings[i].ok);
    }
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

    const struct dkv_cmk_info info = create(&fixture, "aes", "aes-gcm");
    round_trip(&fixture, "pkcs11:object=aes", &material);

    CU_ASSERT_STRING_EQUAL(info.profile, "aes-gcm");
    CU_ASSERT_EQUAL(material.len, 127);
    CU_ASSERT_EQUAL(material.bytes[1], 2);
    CU_ASSERT_EQUAL(material.bytes[2], 12);
    fixture_close(&fixture);
}

static const struct dkv_test tests[] = {
    DKV_TEST(a_cmk_made_in_softhsm_wraps_and_unwraps),
    DKV_TEST(an_aes_cmk_wraps_and_unwraps),
};

int main(int argc, char **argv)
{
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
