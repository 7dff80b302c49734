/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of pkcs11 keyMaterial, masterKey and references, without a token. */
#include "providers/pkcs11/internal.h"
#include "tests/lib/test.h"

#include <bson/bson.h>

static const struct dkv_p11_profile *const profiles[] = {&dkv_p11_hmac_derive, &dkv_p11_aes_gcm};

/* ---- keyMaterial ---- */

static size_t make_blob(const struct dkv_p11_profile *profile, uint8_t *ret)
{
    const bool has_iv = profile == &dkv_p11_aes_gcm;
    size_t at = 0;
    ret[at++] = 1;
    ret[at++] = profile->number;
    if (has_iv) {
        ret[at++] = 12;
    }
    for (size_t i = 0; i < (has_iv ? 12u : 32u) + 96u + 16u; i++) {
        ret[at++] = (uint8_t)i;
    }
    return at;
}

static void a_blob_is_taken_apart(void)
{
    struct dkv_error err = {0};
    for (size_t i = 0; i < DKV_COUNT(profiles); i++) {
        uint8_t bytes[256];
        struct dkv_p11_blob blob = {0};
        const size_t len = make_blob(profiles[i], bytes);
        const size_t head = i == 0 ? 34 : 15, salt = i == 0 ? 32 : 12;

        ASSERT_OK(dkv_p11_blob_decode(dkv_span(bytes, len), profiles[i], &blob, &err));

        CU_ASSERT_EQUAL(len, i == 0 ? 146 : 127);
        CU_ASSERT_EQUAL(blob.head.len, head);
        CU_ASSERT_EQUAL(blob.salt_or_iv.len, salt);
        CU_ASSERT_PTR_EQUAL(blob.salt_or_iv.data, bytes + head - salt);
        CU_ASSERT_PTR_EQUAL(blob.ciphertext.data, bytes + head);
        CU_ASSERT_EQUAL(blob.ciphertext.len, 96);
        CU_ASSERT_PTR_EQUAL(blob.tag.data, bytes + head + 96);
        CU_ASSERT_EQUAL(blob.tag.len, 16);
    }
}

static void a_blob_of_any_other_length_is_refused(void)
{
    struct dkv_error err = {0};
    for (size_t i = 0; i < DKV_COUNT(profiles); i++) {
        uint8_t bytes[256] = {0};
        struct dkv_p11_blob blob = {.profile = 99};
        const size_t len = make_blob(profiles[i], bytes);
        for (size_t n = 0; n <= len + 4; n++) {
            if (n != len) {
                ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_p11_blob_decode(dkv_span(bytes, n), profiles[i], &blob, &err));
            }
        }
        CU_ASSERT_EQUAL(blob.profile, 99);
    }
}

static void a_blob_of_another_version_or_profile_is_refused(void)
{
    struct dkv_error err = {0};
    for (size_t i = 0; i < DKV_COUNT(profiles); i++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t bytes[256];
            struct dkv_p11_blob blob = {0};
            const size_t len = make_blob(profiles[i], bytes);
            bytes[0] = (uint8_t)value;
            const enum dkv_rc version = value == 1 ? DKV_OK : DKV_E_REJECTED_CIPHERTEXT;
            ASSERT_RC(version, dkv_p11_blob_decode(dkv_span(bytes, len), profiles[i], &blob, &err));
            bytes[0] = 1;
            bytes[1] = (uint8_t)value;
            const enum dkv_rc profile = value == profiles[i]->number ? DKV_OK : DKV_E_REJECTED_CIPHERTEXT;
            ASSERT_RC(profile, dkv_p11_blob_decode(dkv_span(bytes, len), profiles[i], &blob, &err));
        }
    }
}

static void ivs_of_lengths_that_no_token_makes_are_refused(void)
{
    struct dkv_error err = {0};
    for (size_t iv = 0; iv < 64; iv++) {
        uint8_t bytes[256] = {1, 2, (uint8_t)iv};
        struct dkv_p11_blob blob = {0};
        const enum dkv_rc expected = iv >= 12 && iv <= 16 ? DKV_OK : DKV_E_REJECTED_CIPHERTEXT;

        ASSERT_RC(expected, dkv_p11_blob_decode(dkv_span(bytes, 3 + iv + 96 + 16), &dkv_p11_aes_gcm, &blob, &err));
    }
}

/* ---- What it is bound to ---- */

static void the_binding_is_as_documented(void)
{
    static const uint8_t id[16] = {0xd0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xdf};
    static const uint8_t salt[32] = {0x5a};
    const struct dkv_p11_binding binding = {.key_id = dkv_span("\xab\xcd", 2), .context = dkv_span(id, 16)};
    uint8_t input[DKV_P11_BINDING_MAX], aad[DKV_P11_BINDING_MAX];
    char hex[2 * DKV_P11_BINDING_MAX + 1];

    dkv_to_hex(dkv_span(input, dkv_p11_kdf_input(&binding, salt, input)), hex);
    CU_ASSERT_STRING_EQUAL(hex, "00000001"
                                "64656b7661756c742f686d61632d6465726976652f31" /* dekvault/hmac-derive/1 */
                                "00"
                                "0006706b63733131" /* lp("pkcs11") */
                                "0002abcd"
                                "0010d00102030405060708090a0b0c0d0edf"
                                "5a00000000000000000000000000000000000000000000000000000000000000"
                                "00000100");
    dkv_to_hex(dkv_span(aad, dkv_p11_gcm_aad(&binding, aad)), hex);
    CU_ASSERT_STRING_EQUAL(hex, "64656b7661756c742f6165732d67636d2f31" /* dekvault/aes-gcm/1 */
                                "00"
                                "0006706b63733131"
                                "0002abcd"
                                "0010d00102030405060708090a0b0c0d0edf");
}

static void a_check_record_is_bound_to_no_document(void)
{
    const struct dkv_p11_binding binding = {.is_check_record = true, .key_id = dkv_span("\xab", 1)};
    uint8_t aad[DKV_P11_BINDING_MAX];
    char hex[2 * DKV_P11_BINDING_MAX + 1];

    dkv_to_hex(dkv_span(aad, dkv_p11_gcm_aad(&binding, aad)), hex);

    CU_ASSERT_STRING_EQUAL(hex, "64656b7661756c742f6165732d67636d2f3100"
                                "000c706b637331312d636865636b" /* lp("pkcs11-check") */
                                "0001ab"
                                "0000");
}

static void the_longest_binding_fits(void)
{
    static const uint8_t id[DKV_P11_ID_MAX], context[16], salt[DKV_P11_SALT_LEN];
    const struct dkv_p11_binding binding = {
        .is_check_record = true, .key_id = dkv_span(id, sizeof(id)), .context = dkv_span(context, sizeof(context))};
    uint8_t input[DKV_P11_BINDING_MAX];

    CU_ASSERT(dkv_p11_kdf_input(&binding, salt, input) <= sizeof(input));
}

/* ---- masterKey ---- */

static enum dkv_rc parse_json(const char *json, struct dkv_p11_master_key *ret, struct dkv_error *err)
{
    bson_error_t why;
    bson_t *document = bson_new_from_json((const uint8_t *)json, -1, &why);
    CU_ASSERT_PTR_NOT_NULL_FATAL(document);
    const enum dkv_rc rc =
        dkv_p11_master_key_parse(dkv_span(bson_get_data(document), document->len), "pkcs11:a", ret, err);
    bson_destroy(document);
    return rc;
}

static void a_master_key_is_written_and_read(void)
{
    struct dkv_error err = {0};
    static struct dkv_cmk_info info;
    struct dkv_p11_master_key parsed = {0};
    info = (struct dkv_cmk_info){0};

    ASSERT_OK(dkv_p11_master_key_write("pkcs11:a", dkv_span("\x0a\xbc", 2), "aes-gcm", &info, &err));
    ASSERT_OK(dkv_p11_master_key_parse(dkv_span(info.master_key, info.master_key_len), "pkcs11:a", &parsed, &err));

    bson_t document;
    CU_ASSERT_FATAL(bson_init_static(&document, info.master_key, info.master_key_len));
    char *json = bson_as_relaxed_extended_json(&document, NULL);
    CU_ASSERT_STRING_EQUAL(json, "{ \"provider\" : \"pkcs11:a\", \"keyId\" : \"0abc\", \"profile\" : \"aes-gcm\" }");
    bson_free(json);
    CU_ASSERT_STRING_EQUAL(info.key_id, "0abc");
    CU_ASSERT_PTR_EQUAL(parsed.profile, &dkv_p11_aes_gcm);
    CU_ASSERT_EQUAL(parsed.id_len, 2);
    CU_ASSERT_EQUAL(memcmp(parsed.id, "\x0a\xbc", 2), 0);
}

static void fields_of_a_master_key_come_in_any_order(void)
{
    struct dkv_error err = {0};
    struct dkv_p11_master_key parsed = {0};

    ASSERT_OK(parse_json("{\"profile\":\"hmac-derive\",\"keyId\":\"ff\",\"provider\":\"pkcs11:a\"}", &parsed, &err));

    CU_ASSERT_PTR_EQUAL(parsed.profile, &dkv_p11_hmac_derive);
}

static void a_malformed_master_key_is_refused(void)
{
    static const struct {
        const char *json;
        enum dkv_rc rc;
    } cases[] = {
        {"{}", DKV_E_REJECTED_CIPHERTEXT},
        {"{\"provider\":\"pkcs11:a\",\"keyId\":\"ff\"}", DKV_E_REJECTED_CIPHERTEXT},
        {"{\"provider\":\"pkcs11:a\",\"profile\":\"aes-gcm\"}", DKV_E_REJECTED_CIPHERTEXT},
        {"{\"provider\":\"pkcs11:b\",\"keyId\":\"ff\",\"profile\":\"aes-gcm\"}", DKV_E_POLICY},
        {"{\"provider\":\"pkcs11:a\",\"keyId\":\"ff\",\"profile\":\"aes-gcm\",\"endpoint\":\"x\"}",
         DKV_E_REJECTED_CIPHERTEXT},
        {"{\"provider\":\"pkcs11:a\",\"keyId\":\"ff\",\"keyId\":\"ff\",\"profile\":\"aes-gcm\"}",
         DKV_E_REJECTED_CIPHERTEXT},
        {"{\"provider\":\"pkcs11:a\",\"keyId\":1,\"profile\":\"aes-gcm\"}", DKV_E_REJECTED_CIPHERTEXT},
        {"{\"provider\":\"pkcs11:a\",\"keyId\":\"\",\"profile\":\"aes-gcm\"}", DKV_E_REJECTED_CIPHERTEXT},
        {"{\"provider\":\"pkcs11:a\",\"keyId\":\"f\",\"profile\":\"aes-gcm\"}", DKV_E_REJECTED_CIPHERTEXT},
        {"{\"provider\":\"pkcs11:a\",\"keyId\":\"FF\",\"profile\":\"aes-gcm\"}", DKV_E_REJECTED_CIPHERTEXT},
        {"{\"provider\":\"pkcs11:a\",\"keyId\":\"fg\",\"profile\":\"aes-gcm\"}", DKV_E_REJECTED_CIPHERTEXT},
        {"{\"provider\":\"pkcs11:a\",\"keyId\":\"ff\\u0000\",\"profile\":\"aes-gcm\"}", DKV_E_REJECTED_CIPHERTEXT},
        {"{\"provider\":\"pkcs11:a\",\"keyId\":\"ff\",\"profile\":\"\"}", DKV_E_REJECTED_CIPHERTEXT},
        {"{\"provider\":\"pkcs11:a\",\"keyId\":\"ff\",\"profile\":\"rsa-oaep\"}", DKV_E_REJECTED_CIPHERTEXT},
        {"{\"provider\":\"pkcs11:a\",\"keyId\":\"ff\",\"profile\":null}", DKV_E_REJECTED_CIPHERTEXT},
    };
    for (size_t i = 0; i < DKV_COUNT(cases); i++) {
        struct dkv_error err = {0};
        struct dkv_p11_master_key parsed = {.id_len = 77};
        ASSERT_RC(cases[i].rc, parse_json(cases[i].json, &parsed, &err));
        CU_ASSERT_EQUAL(parsed.id_len, 77);
    }
}

static void key_ids_have_1_to_64_bytes(void)
{
    struct dkv_error err = {0};
    static struct dkv_cmk_info info;
    struct dkv_p11_master_key parsed = {0};
    uint8_t id[65] = {0};
    char json[300], hex[131];
    for (size_t len = 1; len <= 65; len++) {
        dkv_to_hex(dkv_span(id, len), hex);
        snprintf(json, sizeof(json), "{\"provider\":\"pkcs11:a\",\"keyId\":\"%s\",\"profile\":\"aes-gcm\"}", hex);
        ASSERT_RC(len <= 64 ? DKV_OK : DKV_E_REJECTED_CIPHERTEXT, parse_json(json, &parsed, &err));
    }
    ASSERT_RC(DKV_E_CONFIG, dkv_p11_master_key_write("pkcs11:a", dkv_span(id, 0), "aes-gcm", &info, &err));
    ASSERT_RC(DKV_E_CONFIG, dkv_p11_master_key_write("pkcs11:a", dkv_span(id, 65), "aes-gcm", &info, &err));
}

/* ---- References ---- */

static void references_are_ids_labels_or_uris(void)
{
    static const struct {
        const char *text, *label, *id_hex;
    } cases[] = {
        {"cmk-2026", "cmk-2026", ""},
        {"k\xc3\xa4se", "k\xc3\xa4se", ""},
        {"id:0aFF", NULL, "0aff"},
        {"pkcs11:object=cmk-2026", "cmk-2026", ""},
        {"pkcs11:object=a%20b;type=secret-key", "a b", ""},
        {"pkcs11:id=%0A%FF", NULL, "0aff"},
        {"pkcs11:id=%0A;object=x", "x", "0a"},
    };
    for (size_t i = 0; i < DKV_COUNT(cases); i++) {
        struct dkv_error err = {0};
        struct dkv_p11_reference parsed = {0};
        char hex[2 * DKV_P11_ID_MAX + 1];
        ASSERT_OK(dkv_p11_reference_parse(cases[i].text, DKV_E_INVALID, &parsed, &err));
        dkv_to_hex(dkv_span(parsed.id, parsed.id_len), hex);
        CU_ASSERT_STRING_EQUAL(hex, cases[i].id_hex);
        CU_ASSERT_EQUAL(parsed.has_label, cases[i].label != NULL);
        CU_ASSERT_STRING_EQUAL(parsed.label, cases[i].label != NULL ? cases[i].label : "");
    }
}

static void malformed_references_are_refused(void)
{
    static const char *const cases[] = {
        "",
        "id:",
        "id:f",
        "id:xy",
        "\xff\xfe",
        "pkcs11:",
        "pkcs11:object=",
        "pkcs11:id=",
        "pkcs11:object=%zz",
        "pkcs11:object=a;colour=red",
        "pkcs11:token=prod;object=a",
        "pkcs11:object=a?pin-value=1234",
        "pkcs11:object=a?module-path=/lib/x.so",
        "pkcs11:object=a;type=private",
        "pkcs11:object=a%00b",
        "id:"
        "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "00000000000000000000",
    };
    for (size_t i = 0; i < DKV_COUNT(cases); i++) {
        struct dkv_error err = {0};
        struct dkv_p11_reference parsed = {.id_len = 77};
        ASSERT_RC(DKV_E_CONFIG, dkv_p11_reference_parse(cases[i], DKV_E_CONFIG, &parsed, &err));
        CU_ASSERT_EQUAL(parsed.id_len, 77);
        CU_ASSERT_PTR_NULL(strstr(err.message, "1234"));
    }
}

/* ---- Error codes ---- */

static void error_codes_have_a_name_and_a_class(void)
{
    struct dkv_error err = {0};
    ASSERT_RC(DKV_E_AUTH, dkv_p11_fail(&err, CKR_PIN_INCORRECT, "C_Login"));
    CU_ASSERT_STRING_EQUAL(err.native_name, "CKR_PIN_INCORRECT");
    CU_ASSERT_EQUAL(err.native_system, DKV_NATIVE_PKCS11);
    CU_ASSERT_EQUAL(err.native_code, 0xa0);
    ASSERT_SAYS("CKR_PIN_INCORRECT (0xa0)");
    CU_ASSERT_EQUAL(dkv_p11_rv_class(CKR_TOKEN_NOT_PRESENT), DKV_E_UNREACHABLE);
    CU_ASSERT_EQUAL(dkv_p11_rv_class(0x80001234), DKV_E_INTERNAL);
    CU_ASSERT_PTR_NOT_NULL(dkv_p11_rv_name(0x80001234));
    CU_ASSERT_EQUAL(dkv_p11_rv_trouble(CKR_PIN_INCORRECT), DKV_P11_TROUBLE_NONE);
    CU_ASSERT_EQUAL(dkv_p11_rv_trouble(CKR_SESSION_HANDLE_INVALID), DKV_P11_TROUBLE_CONNECTION);
    for (CK_RV rv = 1; rv < 0x300; rv++) {
        CU_ASSERT(dkv_p11_rv_class(rv) != DKV_OK && dkv_p11_rv_class(rv) >= DKV_E_INTERNAL);
    }
}

/* A wrong PIN must never be sent anew by a retry. */
static void no_code_about_a_pin_is_retried(void)
{
    static const CK_RV codes[] = {CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE, CKR_PIN_EXPIRED,
                                  CKR_PIN_LOCKED};
    for (size_t i = 0; i < DKV_COUNT(codes); i++) {
        CU_ASSERT_EQUAL(dkv_p11_rv_trouble(codes[i]), DKV_P11_TROUBLE_NONE);
        CU_ASSERT_EQUAL(dkv_p11_rv_class(codes[i]), DKV_E_AUTH);
    }
}

static const struct dkv_test tests[] = {
    DKV_TEST(a_blob_is_taken_apart),
    DKV_TEST(a_blob_of_any_other_length_is_refused),
    DKV_TEST(a_blob_of_another_version_or_profile_is_refused),
    DKV_TEST(ivs_of_lengths_that_no_token_makes_are_refused),
    DKV_TEST(the_binding_is_as_documented),
    DKV_TEST(a_check_record_is_bound_to_no_document),
    DKV_TEST(the_longest_binding_fits),
    DKV_TEST(a_master_key_is_written_and_read),
    DKV_TEST(fields_of_a_master_key_come_in_any_order),
    DKV_TEST(a_malformed_master_key_is_refused),
    DKV_TEST(key_ids_have_1_to_64_bytes),
    DKV_TEST(references_are_ids_labels_or_uris),
    DKV_TEST(malformed_references_are_refused),
    DKV_TEST(error_codes_have_a_name_and_a_class),
    DKV_TEST(no_code_about_a_pin_is_retried),
};

int main(int argc, char **argv)
{
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
