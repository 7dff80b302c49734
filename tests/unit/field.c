/* SPDX-License-Identifier: Apache-2.0 */
/* Field payloads: the known answer, every BSON type with both algorithms, and every refusal. */
#include "tests/lib/test.h"
#include "tests/unit/field_samples.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "vault/bson_type.h"
#include "vault/dek.h"

/* ---- Arrangements ---- */

/* A handle without a vault: key bytes 0, 1, 2 ... 95. */
static struct dkv_dek *new_dek(void)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = dkv_calloc(1, sizeof(*dek));
    CU_ASSERT_PTR_NOT_NULL_FATAL(dek);
    ASSERT_OK(dkv_secret_init(&dek->key, DKV_DEK_BYTES, &err));
    for (size_t i = 0; i < DKV_DEK_BYTES; i++) {
        dek->key.data[i] = (uint8_t)i;
    }
    CU_ASSERT_TRUE_FATAL(dkv_uuid_parse("00112233-4455-4677-8899-aabbccddeeff", &dek->id));
    dek->is_encrypt_allowed = true;
    return dek;
}

static struct dkv_bson_value value_of(const struct sample *sample)
{
    return (struct dkv_bson_value){.type = sample->type, .bytes = dkv_span(sample->bytes, sample->len)};
}

static struct dkv_bson_value test_string(void)
{
    return (struct dkv_bson_value){.type = 0x02, .bytes = dkv_span("\5\0\0\0test", 9)};
}

static void encrypt_test_string(struct dkv_dek *dek, enum dkv_algorithm algorithm, struct dkv_buf *payload)
{
    struct dkv_error err = {0};
    ASSERT_OK(dkv_field_encrypt(dek, algorithm, test_string(), payload, &err));
}

/* Decrypting fails so, and leaves what it was given alone. */
static void assert_rejected(struct dkv_dek *dek, struct dkv_span payload)
{
    struct dkv_error err = {0};
    struct dkv_buf value = {0};
    uint8_t type = 0xab;
    ASSERT_OK(dkv_buf_append_str(&value, "kept", &err));
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_field_decrypt(dek, payload, &type, &value, &err));
    CU_ASSERT_TRUE(err.message[0] != '\0');
    CU_ASSERT_EQUAL(type, 0xab);
    CU_ASSERT_EQUAL(value.len, 4);
    dkv_buf_done(&value);
}

/* ---- What works ---- */

/* Made with Python's hmac and hashlib and with `openssl enc -aes-256-cbc`, by the specification's formulas. */
static void a_deterministic_payload_is_the_known_answer(void)
{
    static const char expected[] =
        "0100112233445546778899aabbccddeeff02b498120bdc066fa1ad72d195f392aff2d34aa95bb482bf1e4a92361225b6cd2d"
                                   "fca5961c9f12b88db6485e16556bbca9f6406464ae33527ba0a030b685ba67af";
    struct dkv_dek *dek = new_dek();
    struct dkv_buf payload = {0};
    char hex[2 * 82 + 1];

    encrypt_test_string(dek, DKV_DETERMINISTIC, &payload);

    CU_ASSERT_EQUAL_FATAL(payload.len, 82);
    dkv_to_hex(dkv_span_buf(&payload), hex);
    CU_ASSERT_STRING_EQUAL(hex, expected);
    dkv_buf_done(&payload);
    dkv_dek_close(dek);
}

static void round_trip(struct dkv_dek *dek, enum dkv_algorithm algorithm, const struct sample *sample)
{
    struct dkv_error err = {0};
    struct dkv_buf payload = {0}, value = {0};
    uint8_t type = 0;
    ASSERT_OK(dkv_field_encrypt(dek, algorithm, value_of(sample), &payload, &err));
    CU_ASSERT_EQUAL(payload.len, 18 + dkv_mongo_sealed_len(sample->len));
    CU_ASSERT_EQUAL(payload.data[0], (uint8_t)algorithm);
    CU_ASSERT_EQUAL(payload.data[17], sample->type);
    ASSERT_OK(dkv_field_decrypt(dek, dkv_span_buf(&payload), &type, &value, &err));
    CU_ASSERT_EQUAL(type, sample->type);
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span_buf(&value), dkv_span(sample->bytes, sample->len)));
    dkv_buf_done(&payload);
    dkv_buf_done(&value);
}

static void every_type_that_may_be_encrypted_at_random_comes_back(void)
{
    struct dkv_dek *dek = new_dek();
    for (size_t i = 0; i < DKV_COUNT(samples); i++) {
        round_trip(dek, DKV_RANDOM, &samples[i]);
    }
    dkv_dek_close(dek);
}

static void every_type_that_may_be_encrypted_deterministically_comes_back(void)
{
    struct dkv_dek *dek = new_dek();
    for (size_t i = 0; i < DKV_COUNT(samples); i++) {
        if (samples[i].deterministic_too) {
            round_trip(dek, DKV_DETERMINISTIC, &samples[i]);
        }
    }
    dkv_dek_close(dek);
}

static void every_length_up_to_a_few_blocks_comes_back(void)
{
    struct dkv_dek *dek = new_dek();
    uint8_t bytes[5 + 100] = {0};
    for (size_t len = 0; len <= 100; len++) {
        bytes[0] = (uint8_t)len;
        const struct sample sample = {.type = 0x05, .bytes = (const char *)bytes, .len = 5 + len};
        round_trip(dek, DKV_RANDOM, &sample);
        round_trip(dek, DKV_DETERMINISTIC, &sample);
    }
    dkv_dek_close(dek);
}

static void equal_values_give_equal_payloads_only_deterministically(void)
{
    struct dkv_dek *dek = new_dek();
    struct dkv_buf payloads[4] = {{0}};

    encrypt_test_string(dek, DKV_DETERMINISTIC, &payloads[0]);
    encrypt_test_string(dek, DKV_DETERMINISTIC, &payloads[1]);
    encrypt_test_string(dek, DKV_RANDOM, &payloads[2]);
    encrypt_test_string(dek, DKV_RANDOM, &payloads[3]);

    CU_ASSERT_TRUE(dkv_span_equal(dkv_span_buf(&payloads[0]), dkv_span_buf(&payloads[1])));
    CU_ASSERT_FALSE(dkv_span_equal(dkv_span_buf(&payloads[2]), dkv_span_buf(&payloads[3])));
    for (size_t i = 0; i < DKV_COUNT(payloads); i++) {
        dkv_buf_done(&payloads[i]);
    }
    dkv_dek_close(dek);
}

static void payloads_and_values_are_appended(void)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = new_dek();
    struct dkv_buf payload = {0}, value = {0};
    uint8_t type = 0;
    ASSERT_OK(dkv_buf_append_str(&payload, "before", &err));
    ASSERT_OK(dkv_buf_append_str(&value, "before", &err));

    encrypt_test_string(dek, DKV_RANDOM, &payload);
    ASSERT_OK(dkv_field_decrypt(dek, dkv_span(payload.data + 6, payload.len - 6), &type, &value, &err));

    CU_ASSERT_EQUAL(payload.len, 6 + 82);
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span_buf(&value), dkv_span("before\5\0\0\0test", 15)));
    dkv_buf_done(&payload);
    dkv_buf_done(&value);
    dkv_dek_close(dek);
}

static void the_key_of_a_payload_is_told_without_it(void)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = new_dek();
    struct dkv_buf payload = {0};
    struct dkv_uuid id = {{0}};
    encrypt_test_string(dek, DKV_RANDOM, &payload);

    ASSERT_OK(dkv_field_key(dkv_span_buf(&payload), &id, &err));

    CU_ASSERT_TRUE(dkv_uuid_equal(&id, dkv_dek_id(dek)));
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_field_key(dkv_span(payload.data, 81), &id, &err));
    dkv_buf_done(&payload);
    dkv_dek_close(dek);
}

static void uses_are_counted_when_they_succeed(void)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = new_dek();
    struct dkv_buf payload = {0}, value = {0};
    uint8_t type = 0;

    encrypt_test_string(dek, DKV_RANDOM, &payload);
    ASSERT_OK(dkv_field_decrypt(dek, dkv_span_buf(&payload), &type, &value, &err));
    assert_rejected(dek, dkv_span(payload.data, 50));

    CU_ASSERT_EQUAL(atomic_load(&dek->uses), 2);
    dkv_buf_done(&payload);
    dkv_buf_done(&value);
    dkv_dek_close(dek);
}

/* ---- What may not be encrypted ---- */

static bool has_sample(uint8_t type, bool deterministic)
{
    for (size_t i = 0; i < DKV_COUNT(samples); i++) {
        if (samples[i].type == type && (!deterministic || samples[i].deterministic_too)) {
            return true;
        }
    }
    return false;
}

static void every_other_type_byte_is_refused(void)
{
    struct dkv_dek *dek = new_dek();
    struct dkv_buf payload = {0};
    unsigned refused = 0;
    for (unsigned type = 0; type < 256; type++) {
        for (int deterministic = 0; deterministic < 2; deterministic++) {
            struct dkv_error err = {0};
            const struct dkv_bson_value value = {.type = (uint8_t)type, .bytes = dkv_span("\1\0\0\0\0\0\0\0", 8)};
            if (!has_sample((uint8_t)type, deterministic != 0)) {
                ASSERT_RC(DKV_E_INVALID, dkv_field_encrypt(dek, deterministic != 0 ? DKV_DETERMINISTIC : DKV_RANDOM,
                                                           value, &payload, &err));
                CU_ASSERT_PTR_NULL(payload.data);
                refused++;
            }
        }
    }
    CU_ASSERT_EQUAL(refused, 512 - 17 - 11);
    dkv_dek_close(dek);
}

static void assert_type_refused(uint8_t type, enum dkv_algorithm algorithm, const char *words)
{
    struct dkv_error err = {0};
    ASSERT_RC(DKV_E_INVALID, dkv_bson_type_check(type, algorithm, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, words));
}

static void refused_types_are_named(void)
{
    assert_type_refused(0x06, DKV_RANDOM, "undefined may not be encrypted");
    assert_type_refused(0x0a, DKV_RANDOM, "null may not be encrypted");
    assert_type_refused(0x7f, DKV_RANDOM, "maxKey");
    assert_type_refused(0xff, DKV_RANDOM, "minKey");
    assert_type_refused(0x01, DKV_DETERMINISTIC, "double may not be encrypted deterministically");
    assert_type_refused(0x08, DKV_DETERMINISTIC, "bool may not be encrypted deterministically");
    assert_type_refused(0x55, DKV_RANDOM, "0x55 is no BSON type");
}

static void an_unknown_algorithm_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = new_dek();
    struct dkv_buf payload = {0};
    const int algorithms[] = {0, 3, -1, 33};
    for (size_t i = 0; i < DKV_COUNT(algorithms); i++) {
        ASSERT_RC(DKV_E_INVALID, dkv_field_encrypt(dek, (enum dkv_algorithm)algorithms[i], test_string(), &payload,
                                                   &err));
        ASSERT_SAYS("no algorithm");
    }
    dkv_dek_close(dek);
}

static const struct sample malformed[] = {
    {0x01, BYTES("\0\0\0\0\0\0\xf0"), false},
    {0x01, BYTES("\0\0\0\0\0\0\xf0\x3f\0"), false},
    {0x02, BYTES(""), false},
    {0x02, BYTES("\5\0\0"), false},
    {0x02, BYTES("\0\0\0\0"), false},
    {0x02, BYTES("\0\0\0\0\0"), false},
    {0x02, BYTES("\5\0\0\0test"), false},
    {0x02, BYTES("\5\0\0\0testx"), false},
    {0x02, BYTES("\4\0\0\0test\0"), false},
    {0x02, BYTES("\6\0\0\0test\0"), false},
    {0x02, BYTES("\xff\xff\xff\xfftest\0"), false},
    {0x02, BYTES("\5\0\0\0te\xff\xfe\0"), false},
    {0x03, BYTES("\4\0\0\0"), false},
    {0x03, BYTES("\6\0\0\0\0"), false},
    {0x03, BYTES("\5\0\0\0\1"), false},
    {0x03, BYTES("\5\0\0\0\0\0"), false},
    {0x03, BYTES("\x0c\0\0\0\x10" "a\0\1\0\0\0\1"), false},
    {0x03, BYTES("\x0b\0\0\0\x10" "a\0\1\0\0\0"), false},
    {0x03, BYTES("\x0c\0\0\0\x55" "a\0\1\0\0\0\0"), false},
    {0x03, BYTES("\x0f\0\0\0\2" "a\0\3\0\0\0\xc3\x28\0\0"), false},
    {0x04, BYTES("\x0c\0\0\0\x10" "0\0\1\0\0\0"), false},
    {0x05, BYTES("\0\0\0\0"), false},
    {0x05, BYTES("\4\0\0\0\0abc"), false},
    {0x05, BYTES("\2\0\0\0\0abc"), false},
    {0x05, BYTES("\3\0\0\0\2abc"), false},
    {0x05, BYTES("\7\0\0\0\2\4\0\0\0abc"), false},
    {0x07, BYTES("abcdefghijk"), false},
    {0x07, BYTES("abcdefghijklm"), false},
    {0x08, BYTES("\2"), false},
    {0x08, BYTES("\1\0"), false},
    {0x09, BYTES("\0\1\2\3\4\5\6"), false},
    {0x0b, BYTES("^a\0i"), false},
    {0x0b, BYTES("^a\0"), false},
    {0x0b, BYTES("^a\0i\0x"), false},
    {0x0b, BYTES("\xff\0i\0"), false},
    {0x0c, BYTES("\2\0\0\0c\0abcdefghijk"), false},
    {0x0c, BYTES("\2\0\0\0c\0abcdefghijklm"), false},
    {0x0d, BYTES("\2\0\0\0;"), false},
    {0x0e, BYTES("\3\0\0\0s\0"), false},
    {0x0f, BYTES("\x0e\0\0\0\2\0\0\0;\0\5\0\0\0\0"), false},
    {0x0f, BYTES("\x0f\0\0\0\2\0\0\0;\0\5\0\0\0\1"), false},
    {0x0f, BYTES("\x0a\0\0\0\2\0\0\0;\0"), false},
    {0x10, BYTES("\1\0\0"), false},
    {0x10, BYTES("\1\0\0\0\0\0\0\0"), false},
    {0x11, BYTES("\1\0\0\0\2\0\0"), false},
    {0x12, BYTES("\1\0\0\0"), false},
    {0x13, BYTES("0123456789abcde"), false},
};

static void bytes_that_are_no_value_of_their_type_are_refused(void)
{
    struct dkv_dek *dek = new_dek();
    for (size_t i = 0; i < DKV_COUNT(malformed); i++) {
        struct dkv_error err = {0};
        struct dkv_buf payload = {0};
        const enum dkv_rc rc = dkv_field_encrypt(dek, DKV_RANDOM, value_of(&malformed[i]), &payload, &err);
        if (rc != DKV_E_INVALID) {
            printf("# malformed[%zu]\n", i);
        }
        ASSERT_RC(DKV_E_INVALID, rc);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, dkv_bson_type_name(malformed[i].type)));
        CU_ASSERT_PTR_NULL(payload.data);
    }
    dkv_dek_close(dek);
}

/* Every shorter form of a good value is refused without a look behind its end (ASan sees one). */
static void every_truncated_value_is_refused(void)
{
    for (size_t i = 0; i < DKV_COUNT(samples); i++) {
        for (size_t len = 0; len < samples[i].len; len++) {
            struct dkv_error err = {0};
            uint8_t *copy = dkv_calloc(1, len + 1);
            CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
            uint8_t *exact = dkv_realloc(copy, len > 0 ? len : 1);
            CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
            memcpy(exact, samples[i].bytes, len);
            const struct dkv_bson_value value = {.type = samples[i].type, .bytes = dkv_span(exact, len)};
            ASSERT_RC(DKV_E_INVALID, dkv_bson_value_check(value, &err));
            dkv_free(exact);
        }
    }
}

static void a_value_without_bytes_is_refused(void)
{
    struct dkv_error err = {0};
    ASSERT_RC(DKV_E_INVALID, dkv_bson_value_check((struct dkv_bson_value){.type = 0x02}, &err));
    ASSERT_SAYS("has no bytes");
}

static void what_is_encrypted_already_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = new_dek();
    struct dkv_buf payload = {0};
    const struct dkv_bson_value value = {.type = 0x05, .bytes = dkv_span("\3\0\0\0\6abc", 8)};

    ASSERT_RC(DKV_E_INVALID, dkv_field_encrypt(dek, DKV_RANDOM, value, &payload, &err));

    ASSERT_SAYS("subtype 6");
    CU_ASSERT_PTR_NULL(payload.data);
    dkv_dek_close(dek);
}

static void a_value_longer_than_any_document_is_refused(void)
{
    struct dkv_error err = {0};
    const struct dkv_bson_value value = {.type = 0x05, .bytes = dkv_span("\0\0\0\0", (size_t)DKV_BSON_VALUE_MAX + 1)};

    ASSERT_RC(DKV_E_INVALID, dkv_bson_value_check(value, &err));

    ASSERT_SAYS("longer than any BSON document");
}

/* depth documents, each within the one before: 03 "" 00, the innermost empty. */
static void nest(unsigned depth, uint8_t kind, struct dkv_buf *ret)
{
    struct dkv_error err = {0};
    for (unsigned left = depth; left > 0; left--) {
        const uint32_t len = 5 + 7 * (left - 1);
        const uint8_t head[6] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), 0, kind, 0};
        ASSERT_OK(dkv_buf_append(ret, dkv_span(head, left > 1 ? 6 : 4), &err));
    }
    for (unsigned i = 0; i < depth; i++) {
        ASSERT_OK(dkv_buf_append(ret, dkv_span("", 1), &err));
    }
}

static void nesting_is_taken_up_to_its_bound_and_refused_beyond(void)
{
    struct dkv_buf deepest = {0}, deeper = {0}, absurd = {0};
    struct dkv_error err = {0};
    nest(DKV_BSON_DEPTH_MAX, 0x03, &deepest);
    nest(DKV_BSON_DEPTH_MAX + 1, 0x04, &deeper);
    nest(1000000, 0x03, &absurd);

    ASSERT_OK(dkv_bson_value_check((struct dkv_bson_value){0x03, dkv_span_buf(&deepest)}, &err));
    ASSERT_RC(DKV_E_INVALID, dkv_bson_value_check((struct dkv_bson_value){0x03, dkv_span_buf(&deeper)}, &err));
    ASSERT_RC(DKV_E_INVALID, dkv_bson_value_check((struct dkv_bson_value){0x03, dkv_span_buf(&absurd)}, &err));

    dkv_buf_done(&deepest);
    dkv_buf_done(&deeper);
    dkv_buf_done(&absurd);
}

/* ---- What isn't decrypted ---- */

static void every_flipped_bit_is_refused(void)
{
    struct dkv_dek *dek = new_dek();
    for (int algorithm = DKV_DETERMINISTIC; algorithm <= DKV_RANDOM; algorithm++) {
        struct dkv_buf payload = {0};
        encrypt_test_string(dek, (enum dkv_algorithm)algorithm, &payload);
        for (size_t bit = 0; bit < payload.len * 8; bit++) {
            payload.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_rejected(dek, dkv_span_buf(&payload));
            payload.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        dkv_buf_done(&payload);
    }
    dkv_dek_close(dek);
}

static void every_truncation_and_extension_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = new_dek();
    struct dkv_buf payload = {0};
    encrypt_test_string(dek, DKV_RANDOM, &payload);
    const size_t whole = payload.len;
    ASSERT_OK(dkv_buf_append(&payload, dkv_span("0123456789abcdef0123456789abcdef", 32), &err));
    for (size_t len = 0; len <= payload.len; len++) {
        if (len != whole) {
            assert_rejected(dek, dkv_span(payload.data, len));
        }
    }
    dkv_buf_done(&payload);
    dkv_dek_close(dek);
}

static void a_payload_of_another_key_is_refused_and_both_are_named(void)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = new_dek(), *other = new_dek();
    struct dkv_buf payload = {0}, value = {0};
    uint8_t type = 0;
    other->id.bytes[15] = 0;
    encrypt_test_string(other, DKV_RANDOM, &payload);

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_field_decrypt(dek, dkv_span_buf(&payload), &type, &value, &err));

    ASSERT_SAYS("with key 00112233-4455-4677-8899-aabbccddee00");
    ASSERT_SAYS("not with key 00112233-4455-4677-8899-aabbccddeeff");
    dkv_buf_done(&payload);
    dkv_dek_close(dek);
    dkv_dek_close(other);
}

static void a_key_with_the_right_id_and_wrong_bytes_is_told(void)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = new_dek(), *other = new_dek();
    struct dkv_buf payload = {0}, value = {0};
    uint8_t type = 0;
    other->key.data[0] ^= 1;
    encrypt_test_string(other, DKV_RANDOM, &payload);

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_field_decrypt(dek, dkv_span_buf(&payload), &type, &value, &err));

    CU_ASSERT_STRING_EQUAL(err.key, "00112233-4455-4677-8899-aabbccddeeff");
    dkv_buf_done(&payload);
    dkv_buf_done(&value);
    dkv_dek_close(dek);
    dkv_dek_close(other);
}

static void payloads_of_other_kinds_are_refused_in_words(void)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = new_dek();
    struct dkv_buf payload = {0}, value = {0};
    uint8_t type = 0;
    encrypt_test_string(dek, DKV_RANDOM, &payload);
    for (unsigned kind = 3; kind < 256; kind++) {
        payload.data[0] = (uint8_t)kind;
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_field_decrypt(dek, dkv_span_buf(&payload), &type, &value, &err));
        ASSERT_SAYS("Queryable Encryption payload");
    }
    payload.data[0] = 0;
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_field_decrypt(dek, dkv_span_buf(&payload), &type, &value, &err));
    ASSERT_SAYS("kind 0");
    dkv_buf_done(&payload);
    dkv_dek_close(dek);
}

/* Whoever has the key can authenticate nonsense; a caller still gets no malformed BSON. */
static void an_authentic_payload_that_holds_no_value_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = new_dek();
    struct dkv_buf value = {0};
    uint8_t payload[82] = {DKV_RANDOM}, iv[16] = {7}, type = 0;
    memcpy(payload + 1, dek->id.bytes, 16);
    payload[17] = 0x10;
    ASSERT_OK(dkv_mongo_seal(dek->key.data, iv, dkv_span(payload, 18), dkv_span("12345", 5), payload + 18, &err));

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_field_decrypt(dek, dkv_span(payload, sizeof(payload)), &type, &value,
                                                           &err));

    ASSERT_SAYS("no BSON value of type int");
    CU_ASSERT_EQUAL(value.len, 0);
    dkv_buf_done(&value);
    dkv_dek_close(dek);
}

/* ---- Rules about the key ---- */

static void a_key_outside_encrypt_with_only_decrypts(void)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = new_dek();
    struct dkv_buf payload = {0}, value = {0}, none = {0};
    uint8_t type = 0;
    encrypt_test_string(dek, DKV_RANDOM, &payload);
    dek->is_encrypt_allowed = false;

    ASSERT_RC(DKV_E_POLICY, dkv_field_encrypt(dek, DKV_RANDOM, test_string(), &none, &err));

    ASSERT_SAYS("encrypt-with");
    CU_ASSERT_PTR_NULL(none.data);
    ASSERT_OK(dkv_field_decrypt(dek, dkv_span_buf(&payload), &type, &value, &err));
    dkv_buf_done(&payload);
    dkv_buf_done(&value);
    dkv_dek_close(dek);
}

static void a_disabled_key_only_decrypts(void)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = new_dek();
    struct dkv_buf payload = {0}, value = {0}, none = {0};
    uint8_t type = 0;
    encrypt_test_string(dek, DKV_RANDOM, &payload);
    dek->status = DKV_STATUS_DISABLED;

    ASSERT_RC(DKV_E_DISABLED, dkv_field_encrypt(dek, DKV_RANDOM, test_string(), &none, &err));

    CU_ASSERT_PTR_NULL(none.data);
    ASSERT_OK(dkv_field_decrypt(dek, dkv_span_buf(&payload), &type, &value, &err));
    dkv_buf_done(&payload);
    dkv_buf_done(&value);
    dkv_dek_close(dek);
}

/* In the child: 0 when both uses are refused as they should be. */
static int use_after_fork(struct dkv_dek *dek, struct dkv_span payload)
{
    struct dkv_error err = {0};
    struct dkv_buf out = {0};
    uint8_t type = 0;
    const bool encrypt_refused = dkv_field_encrypt(dek, DKV_RANDOM, test_string(), &out, &err) == DKV_E_INVALID;
    const bool says_why = strstr(err.message, "forked") != NULL;
    const bool decrypt_refused = dkv_field_decrypt(dek, payload, &type, &out, &err) == DKV_E_INVALID;
    return encrypt_refused && says_why && decrypt_refused && out.len == 0 ? 0 : 1;
}

static void a_forked_child_can_use_no_handle_of_its_parent(void)
{
    struct dkv_dek *dek = new_dek();
    struct dkv_buf payload = {0};
    int status = -1;
    encrypt_test_string(dek, DKV_RANDOM, &payload);

    const pid_t child = fork();
    if (child == 0) {
        _exit(use_after_fork(dek, dkv_span_buf(&payload)));
    }

    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    dkv_buf_done(&payload);
    dkv_dek_close(dek);
}

#define THREADS 4
#define ROUNDS 200

static void *use_handle(void *arg)
{
    struct dkv_dek *dek = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct dkv_buf payload = {0}, value = {0};
        struct dkv_error err = {0};
        uint8_t type = 0;
        const enum dkv_algorithm algorithm = i % 2 == 0 ? DKV_RANDOM : DKV_DETERMINISTIC;
        const bool ok = dkv_field_encrypt(dek, algorithm, test_string(), &payload, &err) == DKV_OK &&
                        dkv_field_decrypt(dek, dkv_span_buf(&payload), &type, &value, &err) == DKV_OK && value.len == 9;
        dkv_buf_done(&payload);
        dkv_buf_done(&value);
        if (!ok) {
            return NULL;
        }
    }
    return arg;
}

static void threads_share_one_handle(void)
{
    struct dkv_dek *dek = new_dek();
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, use_handle, dek), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *result = NULL;
        CU_ASSERT_EQUAL(pthread_join(threads[i], &result), 0);
        CU_ASSERT_PTR_EQUAL(result, dek);
    }
    CU_ASSERT_EQUAL(atomic_load(&dek->uses), 2 * THREADS * ROUNDS);
    dkv_dek_close(dek);
}

static enum dkv_rc encrypt_and_decrypt(void *arg, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf payload = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf value = {0};
    uint8_t type = 0;
    DKV_TRY(dkv_field_encrypt(arg, DKV_DETERMINISTIC, test_string(), &payload, err));
    return dkv_field_decrypt(arg, dkv_span_buf(&payload), &type, &value, err);
}

static void each_failing_allocation_is_an_error(void)
{
    struct dkv_dek *dek = new_dek();
    CU_ASSERT_TRUE(dkv_test_each_alloc_fails(encrypt_and_decrypt, dek) >= 2);
    dkv_dek_close(dek);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_deterministic_payload_is_the_known_answer),
        DKV_TEST(every_type_that_may_be_encrypted_at_random_comes_back),
        DKV_TEST(every_type_that_may_be_encrypted_deterministically_comes_back),
        DKV_TEST(every_length_up_to_a_few_blocks_comes_back),
        DKV_TEST(equal_values_give_equal_payloads_only_deterministically),
        DKV_TEST(payloads_and_values_are_appended),
        DKV_TEST(the_key_of_a_payload_is_told_without_it),
        DKV_TEST(uses_are_counted_when_they_succeed),
        DKV_TEST(every_other_type_byte_is_refused),
        DKV_TEST(refused_types_are_named),
        DKV_TEST(an_unknown_algorithm_is_refused),
        DKV_TEST(bytes_that_are_no_value_of_their_type_are_refused),
        DKV_TEST(every_truncated_value_is_refused),
        DKV_TEST(a_value_without_bytes_is_refused),
        DKV_TEST(what_is_encrypted_already_is_refused),
        DKV_TEST(a_value_longer_than_any_document_is_refused),
        DKV_TEST(nesting_is_taken_up_to_its_bound_and_refused_beyond),
        DKV_TEST(every_flipped_bit_is_refused),
        DKV_TEST(every_truncation_and_extension_is_refused),
        DKV_TEST(a_payload_of_another_key_is_refused_and_both_are_named),
        DKV_TEST(a_key_with_the_right_id_and_wrong_bytes_is_told),
        DKV_TEST(payloads_of_other_kinds_are_refused_in_words),
        DKV_TEST(an_authentic_payload_that_holds_no_value_is_refused),
        DKV_TEST(a_key_outside_encrypt_with_only_decrypts),
        DKV_TEST(a_disabled_key_only_decrypts),
        DKV_TEST(a_forked_child_can_use_no_handle_of_its_parent),
        DKV_TEST(threads_share_one_handle),
        DKV_TEST(each_failing_allocation_is_an_error),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
