/* SPDX-License-Identifier: Apache-2.0 */
/* Opens every vector of tests/conformance/vectors.json, which make-vectors.c computes without dekvault: keyMaterial
 * with the code that the providers use (the token's part, one HMAC or one AES-GCM, done here with the CMK at hand),
 * fields through the field code. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#include <bson/bson.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "base/secret.h"
#include "providers/pkcs11/internal.h"

static bson_t *vectors;

/* ---- Reading the file ---- */

static struct dkv_buf hex_of(const bson_t *object, const char *name)
{
    struct dkv_error err = {0};
    struct dkv_buf out = {0};
    bson_iter_t iter;
    CU_ASSERT_FATAL(bson_iter_init_find(&iter, object, name) && BSON_ITER_HOLDS_UTF8(&iter));
    uint32_t len = 0;
    const char *text = bson_iter_utf8(&iter, &len);
    ASSERT_OK(dkv_buf_reserve(&out, len / 2 + 1, &err));
    CU_ASSERT_FATAL(dkv_from_hex(text, len, out.data, out.capacity, &out.len));
    return out;
}

static const char *text_of(const bson_t *object, const char *name)
{
    bson_iter_t iter;
    CU_ASSERT_FATAL(bson_iter_init_find(&iter, object, name) && BSON_ITER_HOLDS_UTF8(&iter));
    return bson_iter_utf8(&iter, NULL);
}

static uint8_t number_of(const bson_t *object, const char *name)
{
    bson_iter_t iter;
    CU_ASSERT_FATAL(bson_iter_init_find(&iter, object, name));
    return (uint8_t)bson_iter_as_int64(&iter);
}

/* Visits the objects of an array; returns how many there were. */
static size_t each(const char *array, void (*visit)(const bson_t *object))
{
    bson_iter_t iter, child;
    size_t n = 0;
    CU_ASSERT_FATAL(bson_iter_init_find(&iter, vectors, array) && bson_iter_recurse(&iter, &child));
    for (; bson_iter_next(&child); n++) {
        bson_t object;
        const uint8_t *data = NULL;
        uint32_t len = 0;
        bson_iter_document(&child, &len, &data);
        CU_ASSERT_FATAL(bson_init_static(&object, data, len));
        visit(&object);
    }
    return n;
}

/* ---- keyMaterial ---- */

struct key_vector {
    struct dkv_buf cmk, key_id, id, material;
};

static void open_local(const struct key_vector *vector, uint8_t *opened)
{
    struct dkv_error err = {0};
    size_t len = 0;
    uint8_t plain[DKV_LOCAL_WRAP_LEN];
    ASSERT_OK(dkv_mongo_open(vector->cmk.data, dkv_span(NULL, 0), dkv_span_buf(&vector->material), plain, &len, &err));
    CU_ASSERT_EQUAL_FATAL(len, DKV_DEK_BYTES);
    memcpy(opened, plain, DKV_DEK_BYTES);
}

static void open_pkcs11(const struct key_vector *vector, const struct dkv_p11_profile *profile, uint8_t *opened)
{
    struct dkv_error err = {0};
    struct dkv_p11_blob blob;
    uint8_t key[32], input[DKV_P11_BINDING_MAX];
    struct dkv_span iv = dkv_span("\0\0\0\0\0\0\0\0\0\0\0", 12), aad;
    const struct dkv_p11_binding binding = {
        .is_check_record = vector->id.len == 0,
        .key_id = dkv_span_buf(&vector->key_id),
        .context = dkv_span_buf(&vector->id),
    };
    ASSERT_OK(dkv_p11_blob_decode(dkv_span_buf(&vector->material), profile, &blob, &err));
    if (profile->number == DKV_P11_HMAC_DERIVE) {
        const struct dkv_span signed_part = dkv_span(input, dkv_p11_kdf_input(&binding, blob.salt_or_iv.data, input));
        ASSERT_OK(dkv_hmac_sha256(dkv_span_buf(&vector->cmk), &signed_part, 1, key, &err));
        aad = blob.head;
    } else {
        memcpy(key, vector->cmk.data, sizeof(key));
        iv = blob.salt_or_iv;
        aad = dkv_span(input, dkv_p11_gcm_aad(&binding, input));
    }
    ASSERT_OK(dkv_gcm_open(key, iv, aad, blob.ciphertext, blob.tag.data, opened, &err));
}

static void open_key_vector(const bson_t *object)
{
    static const uint8_t zeros[DKV_DEK_BYTES];
    uint8_t opened[DKV_DEK_BYTES] = {0};
    const char *profile = text_of(object, "profile");
    struct key_vector vector = {hex_of(object, "cmk"), hex_of(object, "keyId"), hex_of(object, "_id"),
                                hex_of(object, "keyMaterial")};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf dek = hex_of(vectors, "dek");
    if (profile[0] == '\0') {
        open_local(&vector, opened);
    } else {
        CU_ASSERT_PTR_NOT_NULL_FATAL(dkv_p11_profile_by_name(profile));
        open_pkcs11(&vector, dkv_p11_profile_by_name(profile), opened);
    }
    CU_ASSERT_EQUAL(memcmp(opened, vector.id.len == 0 ? zeros : dek.data, sizeof(opened)), 0);
    dkv_buf_done(&vector.cmk);
    dkv_buf_done(&vector.key_id);
    dkv_buf_done(&vector.id);
    dkv_buf_done(&vector.material);
}

static void every_key_material_opens_to_its_dek(void)
{
    CU_ASSERT_EQUAL(each("keys", open_key_vector), 5);
}

/* ---- Fields ---- */

static void open_field_vector(const bson_t *object)
{
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf dek = hex_of(vectors, "dek"), value = hex_of(object, "value"),
                              payload = hex_of(object, "payload"), again = {0};
    const struct dkv_span aad = dkv_span(payload.data, 18);
    const struct dkv_span sealed = dkv_span(payload.data + 18, payload.len - 18);
    uint8_t plain[256], iv[16];
    size_t len = 0;
    CU_ASSERT_EQUAL(payload.data[0], number_of(object, "algorithm"));
    CU_ASSERT_EQUAL(payload.data[17], number_of(object, "type"));
    ASSERT_OK(dkv_mongo_open(dek.data, aad, sealed, plain, &len, &err));
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span(plain, len), dkv_span_buf(&value)));
    if (payload.data[0] == 1) {
        ASSERT_OK(dkv_mongo_deterministic_iv(dek.data, aad, dkv_span_buf(&value), iv, &err));
        CU_ASSERT_EQUAL(memcmp(iv, sealed.data, sizeof(iv)), 0);
    }
    ASSERT_OK(dkv_buf_reserve(&again, sealed.len, &err));
    ASSERT_OK(dkv_mongo_seal(dek.data, sealed.data, aad, dkv_span_buf(&value), again.data, &err));
    CU_ASSERT_EQUAL(memcmp(again.data, sealed.data, sealed.len), 0);
}

static void every_field_opens_to_its_value_and_seals_to_its_bytes(void)
{
    CU_ASSERT_EQUAL(each("fields", open_field_vector), 4);
}

static void the_file_is_what_its_program_prints(void)
{
    char command[4096];
    snprintf(command, sizeof(command),
             "'%s/tests/conformance/make-vectors' | cmp - '%s/tests/conformance/vectors.json'", getenv("builddir"),
             getenv("srcdir"));
    CU_ASSERT_EQUAL(system(command), 0);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(every_key_material_opens_to_its_dek),
        DKV_TEST(every_field_opens_to_its_value_and_seals_to_its_bytes),
        DKV_TEST(the_file_is_what_its_program_prints),
    };
    char path[4096];
    bson_error_t error;
    setenv("srcdir", ".", 0);
    setenv("builddir", ".", 0);
    snprintf(path, sizeof(path), "%s/tests/conformance/vectors.json", getenv("srcdir"));
    bson_json_reader_t *reader = bson_json_reader_new_from_file(path, &error);
    vectors = bson_new();
    if (reader == NULL || bson_json_reader_read(reader, vectors, &error) != 1) {
        fprintf(stderr, "%s: %s\n", path, error.message);
        return 99;
    }
    bson_json_reader_destroy(reader);
    const int status = dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
    bson_destroy(vectors);
    return status;
}
