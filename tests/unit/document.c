/* SPDX-License-Identifier: Apache-2.0 */
/* Key documents: what is read, what is refused and with which words, and that changes touch what they are about only.
 */
#include "vault/document.h"

#include <bson/bson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "dekvault/provider.h"
#include "tests/lib/test.h"
#include "vault/document_edit.h"

static const uint8_t id_bytes[16] = {0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x47, 0x68,
                                     0x89, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70};
#define ID_TEXT "61626364-6566-4768-896a-6b6c6d6e6f70"

/* ---- Fields to build documents from; any may be replaced by one that is wrong ---- */

enum part { ID, NAMES, MATERIAL, CREATION, UPDATE, STATUS, MASTER_KEY, VERSION, PARTS };

static void add_id(bson_t *bson)
{
    BSON_APPEND_BINARY(bson, "_id", BSON_SUBTYPE_UUID, id_bytes, 16);
}

static void add_names(bson_t *bson)
{
    bson_t names;
    BSON_APPEND_ARRAY_BEGIN(bson, "keyAltNames", &names);
    BSON_APPEND_UTF8(&names, "0", "one");
    BSON_APPEND_UTF8(&names, "1", "tw\xc3\xb6");
    bson_append_array_end(bson, &names);
}

static void add_material(bson_t *bson)
{
    BSON_APPEND_BINARY(bson, "keyMaterial", BSON_SUBTYPE_BINARY, (const uint8_t *)"wrapped", 7);
}

static void add_creation(bson_t *bson)
{
    BSON_APPEND_DATE_TIME(bson, "creationDate", 1000);
}

static void add_update(bson_t *bson)
{
    BSON_APPEND_DATE_TIME(bson, "updateDate", -2000);
}

static void add_status(bson_t *bson)
{
    BSON_APPEND_INT32(bson, "status", 1);
}

static void add_master_key(bson_t *bson)
{
    BCON_APPEND(bson, "masterKey", "{", "provider", BCON_UTF8("aws:eu"), "region", BCON_UTF8("r"), "key",
                BCON_UTF8("k"), "}");
}

static void add_version(bson_t *bson)
{
    BSON_APPEND_INT32(bson, "version", 0);
}

static void add_nothing(bson_t *bson)
{
    (void)bson;
}

typedef void (*add_fn)(bson_t *bson);
static const add_fn good[PARTS] = {add_id,     add_names,  add_material,   add_creation,
                                   add_update, add_status, add_master_key, add_version};

/* A document in the given order (NULL: as enum part says), with one part replaced. */
static struct dkv_buf build(const unsigned *order, enum part replaced, add_fn by)
{
    struct dkv_error err = {0};
    struct dkv_buf bytes = {0};
    bson_t bson = BSON_INITIALIZER;
    for (unsigned i = 0; i < PARTS; i++) {
        const unsigned part = order != NULL ? order[i] : i;
        (part == replaced ? by : good[part])(&bson);
    }
    const enum dkv_rc rc = dkv_buf_append(&bytes, dkv_span(bson_get_data(&bson), bson.len), &err);
    bson_destroy(&bson);
    ASSERT_OK(rc);
    return bytes;
}

static void assert_is_good(const struct dkv_document *document)
{
    CU_ASSERT_EQUAL(memcmp(document->id.bytes, id_bytes, 16), 0);
    CU_ASSERT_EQUAL_FATAL(document->n_alt_names, 2);
    CU_ASSERT(document->has_alt_names);
    CU_ASSERT_STRING_EQUAL(document->alt_names[0], "one");
    CU_ASSERT_STRING_EQUAL(document->alt_names[1], "tw\xc3\xb6");
    CU_ASSERT(dkv_span_equal(document->key_material, dkv_span_str("wrapped")));
    CU_ASSERT_EQUAL(document->creation_date_ms, 1000);
    CU_ASSERT_EQUAL(document->update_date_ms, -2000);
    CU_ASSERT_EQUAL(document->status, 1);
    CU_ASSERT_STRING_EQUAL(document->provider, "aws:eu");
    CU_ASSERT(document->master_key.len > 5);
}

/* ---- Read ---- */

static void fields_are_read_in_any_order(void)
{
    struct dkv_error err = {0};
    unsigned order[PARTS];
    unsigned seed = 7;
    for (unsigned i = 0; i < PARTS; i++) {
        order[i] = i;
    }
    for (unsigned shuffle = 0; shuffle < 200; shuffle++) {
        struct dkv_document document = {0};
        struct dkv_buf bytes = build(order, PARTS, NULL);
        ASSERT_OK(dkv_document_parse(dkv_span_buf(&bytes), &document, &err));
        assert_is_good(&document);
        dkv_document_done(&document);
        dkv_buf_done(&bytes);
        for (unsigned i = PARTS - 1; i > 0; i--) {
            const unsigned j = (unsigned)rand_r(&seed) % (i + 1);
            const unsigned kept = order[i];
            order[i] = order[j];
            order[j] = kept;
        }
    }
}

static void add_no_names(bson_t *bson)
{
    bson_t names;
    BSON_APPEND_ARRAY_BEGIN(bson, "keyAltNames", &names);
    bson_append_array_end(bson, &names);
}

static void names_may_be_absent_or_none(void)
{
    struct dkv_error err = {0};
    struct dkv_document absent = {0}, none = {0};
    struct dkv_buf without = build(NULL, NAMES, add_nothing);
    struct dkv_buf with_none = build(NULL, NAMES, add_no_names);

    ASSERT_OK(dkv_document_parse(dkv_span_buf(&without), &absent, &err));
    ASSERT_OK(dkv_document_parse(dkv_span_buf(&with_none), &none, &err));

    CU_ASSERT(!absent.has_alt_names);
    CU_ASSERT(none.has_alt_names);
    CU_ASSERT_EQUAL(none.n_alt_names, 0);
    dkv_document_done(&absent);
    dkv_document_done(&none);
    dkv_buf_done(&without);
    dkv_buf_done(&with_none);
}

static void add_version_64(bson_t *bson)
{
    BSON_APPEND_INT64(bson, "version", 0);
}

static void version_0_may_be_of_either_integer_type_or_absent(void)
{
    static const add_fn versions[] = {add_version_64, add_nothing};
    struct dkv_error err = {0};
    for (size_t i = 0; i < DKV_COUNT(versions); i++) {
        struct dkv_document document = {0};
        struct dkv_buf bytes = build(NULL, VERSION, versions[i]);
        ASSERT_OK(dkv_document_parse(dkv_span_buf(&bytes), &document, &err));
        dkv_document_done(&document);
        dkv_buf_done(&bytes);
    }
}

/* ---- Refused ---- */

static void id_of_subtype_3(bson_t *bson)
{
    BSON_APPEND_BINARY(bson, "_id", BSON_SUBTYPE_UUID_DEPRECATED, id_bytes, 16);
}
static void id_of_15_bytes(bson_t *bson)
{
    BSON_APPEND_BINARY(bson, "_id", BSON_SUBTYPE_UUID, id_bytes, 15);
}
static void id_as_text(bson_t *bson)
{
    BSON_APPEND_UTF8(bson, "_id", ID_TEXT);
}
static void id_twice(bson_t *bson)
{
    add_id(bson);
    add_id(bson);
}
static void names_as_text(bson_t *bson)
{
    BSON_APPEND_UTF8(bson, "keyAltNames", "one");
}
static void names_of_number(bson_t *bson)
{
    BCON_APPEND(bson, "keyAltNames", "[", BCON_UTF8("one"), BCON_INT32(2), "]");
}
static void names_repeated(bson_t *bson)
{
    BCON_APPEND(bson, "keyAltNames", "[", BCON_UTF8("one"), BCON_UTF8("two"), BCON_UTF8("one"), "]");
}
static void names_field_twice(bson_t *bson)
{
    add_names(bson);
    add_names(bson);
}
static void names_with_nul(bson_t *bson)
{
    bson_t names;
    BSON_APPEND_ARRAY_BEGIN(bson, "keyAltNames", &names);
    bson_append_utf8(&names, "0", 1, "a\0b", 3);
    bson_append_array_end(bson, &names);
}
static void names_not_utf8(bson_t *bson)
{
    BCON_APPEND(bson, "keyAltNames", "[", BCON_UTF8("a\xff"), "]");
}
static void names_misnumbered(bson_t *bson)
{
    bson_t names;
    BSON_APPEND_ARRAY_BEGIN(bson, "keyAltNames", &names);
    BSON_APPEND_UTF8(&names, "1", "one");
    bson_append_array_end(bson, &names);
}
static void names_too_many(bson_t *bson)
{
    bson_t names;
    BSON_APPEND_ARRAY_BEGIN(bson, "keyAltNames", &names);
    for (unsigned i = 0; i <= DKV_ALT_NAMES_MAX; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%u", i);
        bson_append_utf8(&names, text, -1, text, -1);
    }
    bson_append_array_end(bson, &names);
}
static void material_of_subtype_2(bson_t *bson)
{
    BSON_APPEND_BINARY(bson, "keyMaterial", BSON_SUBTYPE_BINARY_DEPRECATED, (const uint8_t *)"wrapped", 7);
}
static void material_empty(bson_t *bson)
{
    BSON_APPEND_BINARY(bson, "keyMaterial", BSON_SUBTYPE_BINARY, (const uint8_t *)"", 0);
}
static void material_too_long(bson_t *bson)
{
    static const uint8_t bytes[DKV_KEY_MATERIAL_MAX + 1];
    BSON_APPEND_BINARY(bson, "keyMaterial", BSON_SUBTYPE_BINARY, bytes, sizeof(bytes));
}
static void creation_as_int64(bson_t *bson)
{
    BSON_APPEND_INT64(bson, "creationDate", 1000);
}
static void update_as_timestamp(bson_t *bson)
{
    BSON_APPEND_TIMESTAMP(bson, "updateDate", 1, 1);
}
static void status_2(bson_t *bson)
{
    BSON_APPEND_INT32(bson, "status", 2);
}
static void status_negative(bson_t *bson)
{
    BSON_APPEND_INT32(bson, "status", -1);
}
static void status_as_double(bson_t *bson)
{
    BSON_APPEND_DOUBLE(bson, "status", 0);
}
static void status_as_int64(bson_t *bson)
{
    BSON_APPEND_INT64(bson, "status", 0);
}
static void version_1(bson_t *bson)
{
    BSON_APPEND_INT32(bson, "version", 1);
}
static void version_1_of_64(bson_t *bson)
{
    BSON_APPEND_INT64(bson, "version", (int64_t)1 << 32);
}
static void version_as_double(bson_t *bson)
{
    BSON_APPEND_DOUBLE(bson, "version", 0);
}
static void unknown_field(bson_t *bson)
{
    BSON_APPEND_INT32(bson, "extra", 0);
}
static void key_as_text(bson_t *bson)
{
    BSON_APPEND_UTF8(bson, "masterKey", "local");
}
static void key_as_array(bson_t *bson)
{
    BCON_APPEND(bson, "masterKey", "[", BCON_UTF8("local"), "]");
}
static void key_without_provider(bson_t *bson)
{
    BCON_APPEND(bson, "masterKey", "{", "key", BCON_UTF8("k"), "}");
}
static void key_with_provider_twice(bson_t *bson)
{
    BCON_APPEND(bson, "masterKey", "{", "provider", BCON_UTF8("mine"), "provider", BCON_UTF8("yours"), "}");
}
static void key_with_number_as_provider(bson_t *bson)
{
    BCON_APPEND(bson, "masterKey", "{", "provider", BCON_INT32(1), "}");
}
static void key_with_odd_provider(bson_t *bson)
{
    BCON_APPEND(bson, "masterKey", "{", "provider", BCON_UTF8("lo cal"), "}");
}
static void key_with_empty_name(bson_t *bson)
{
    BCON_APPEND(bson, "masterKey", "{", "provider", BCON_UTF8("local:"), "}");
}
static void key_with_two_colons(bson_t *bson)
{
    BCON_APPEND(bson, "masterKey", "{", "provider", BCON_UTF8("local:a:b"), "}");
}
static void key_with_empty_provider(bson_t *bson)
{
    BCON_APPEND(bson, "masterKey", "{", "provider", BCON_UTF8(""), "}");
}
static void key_with_long_provider(bson_t *bson)
{
    BCON_APPEND(bson, "masterKey", "{", "provider",
                BCON_UTF8("a23456789a123456789a123456789a123456789a123456789a123456789a123456789a123456789a"), "}");
}
static void local_with_a_field(bson_t *bson)
{
    BCON_APPEND(bson, "masterKey", "{", "provider", BCON_UTF8("local:x"), "key", BCON_UTF8("k"), "}");
}
static void aws_with_unknown_field(bson_t *bson)
{
    BCON_APPEND(bson, "masterKey", "{", "provider", BCON_UTF8("aws"), "region", BCON_UTF8("r"), "key", BCON_UTF8("k"),
                "alias", BCON_UTF8("x"), "}");
}
static void kmip_with_text_delegated(bson_t *bson)
{
    BCON_APPEND(bson, "masterKey", "{", "provider", BCON_UTF8("kmip"), "keyId", BCON_UTF8("1"), "delegated",
                BCON_UTF8("true"), "}");
}
static void key_not_utf8(bson_t *bson)
{
    BCON_APPEND(bson, "masterKey", "{", "provider", BCON_UTF8("mine"), "x", "[", BCON_UTF8("a\xff"), "]", "}");
}
static void key_with_nul(bson_t *bson)
{
    bson_t key;
    BSON_APPEND_DOCUMENT_BEGIN(bson, "masterKey", &key);
    bson_append_utf8(&key, "provider", -1, "mine\0yours", 10);
    bson_append_document_end(bson, &key);
}
static void key_with_odd_regex(bson_t *bson)
{
    BCON_APPEND(bson, "masterKey", "{", "provider", BCON_UTF8("mine"), "x", BCON_REGEX("a\xff", "i"), "}");
}
static void key_name_not_utf8(bson_t *bson)
{
    BCON_APPEND(bson, "masterKey", "{", "provider", BCON_UTF8("mine"), "\xed\xa0\x80", BCON_INT32(1), "}");
}
static void key_with_code(bson_t *bson)
{
    bson_t scope = BSON_INITIALIZER, key;
    BSON_APPEND_DOCUMENT_BEGIN(bson, "masterKey", &key);
    BSON_APPEND_UTF8(&key, "provider", "mine");
    BSON_APPEND_CODE_WITH_SCOPE(&key, "f", "x", &scope);
    bson_append_document_end(bson, &key);
    bson_destroy(&scope);
}
static void key_nested_deep(bson_t *bson)
{
    bson_t inner = BSON_INITIALIZER;
    for (unsigned i = 0; i < 40; i++) {
        bson_t outer = BSON_INITIALIZER;
        BSON_APPEND_DOCUMENT(&outer, "x", &inner);
        bson_destroy(&inner);
        bson_copy_to(&outer, &inner);
        bson_destroy(&outer);
    }
    BCON_APPEND(bson, "masterKey", "{", "provider", BCON_UTF8("mine"), "x", BCON_DOCUMENT(&inner), "}");
    bson_destroy(&inner);
}

static void every_fault_is_refused_with_its_field_and_id(void)
{
    static const struct {
        enum part part;
        add_fn by;
        const char *says;
    } rows[] = {
        {ID, id_of_subtype_3, "_id is not a UUID"},
        {ID, id_of_15_bytes, "_id is not a UUID"},
        {ID, id_as_text, "_id is not a UUID"},
        {ID, add_nothing, "no _id"},
        {ID, id_twice, "_id twice"},
        {NAMES, names_as_text, "keyAltNames is not an array"},
        {NAMES, names_of_number, "keyAltNames.1 is not text"},
        {NAMES, names_repeated, "keyAltNames has a name twice (at 2)"},
        {NAMES, names_field_twice, "keyAltNames twice"},
        {NAMES, names_with_nul, "keyAltNames.0 has a NUL inside"},
        {NAMES, names_not_utf8, "keyAltNames.0 is not UTF-8"},
        {NAMES, names_misnumbered, "keyAltNames is not numbered"},
        {NAMES, names_too_many, "keyAltNames has 1025 names"},
        {MATERIAL, material_of_subtype_2, "keyMaterial is not binary of subtype 0"},
        {MATERIAL, material_empty, "keyMaterial has 0 bytes"},
        {MATERIAL, material_too_long, "keyMaterial has 8193 bytes"},
        {MATERIAL, add_nothing, "no keyMaterial"},
        {CREATION, creation_as_int64, "creationDate is not a date"},
        {CREATION, add_nothing, "no creationDate"},
        {UPDATE, update_as_timestamp, "updateDate is not a date"},
        {UPDATE, add_nothing, "no updateDate"},
        {STATUS, status_2, "status is 2"},
        {STATUS, status_negative, "status is -1"},
        {STATUS, status_as_double, "status is not a 32-bit integer"},
        {STATUS, status_as_int64, "status is not a 32-bit integer"},
        {STATUS, add_nothing, "no status"},
        {VERSION, version_1, "version is not 0"},
        {VERSION, version_1_of_64, "version is not 0"},
        {VERSION, version_as_double, "version is not an integer"},
        {VERSION, unknown_field, "a field that no key document has"},
        {MASTER_KEY, add_nothing, "no masterKey"},
        {MASTER_KEY, key_as_text, "masterKey is not a document"},
        {MASTER_KEY, key_as_array, "masterKey is not a document"},
        {MASTER_KEY, key_without_provider, "masterKey has no text \"provider\""},
        {MASTER_KEY, key_with_number_as_provider, "masterKey has no text \"provider\""},
        {MASTER_KEY, key_with_provider_twice, "masterKey has a field twice"},
        {MASTER_KEY, key_with_odd_provider, "masterKey.provider is not a KMS provider id"},
        {MASTER_KEY, key_with_empty_name, "masterKey.provider is not a KMS provider id"},
        {MASTER_KEY, key_with_two_colons, "masterKey.provider is not a KMS provider id"},
        {MASTER_KEY, key_with_empty_provider, "masterKey.provider is not a KMS provider id"},
        {MASTER_KEY, key_with_long_provider, "masterKey.provider is not a KMS provider id"},
        {MASTER_KEY, local_with_a_field, "provider type local"},
        {MASTER_KEY, aws_with_unknown_field, "provider type aws"},
        {MASTER_KEY, kmip_with_text_delegated, "masterKey.delegated has another BSON type"},
        {MASTER_KEY, key_not_utf8, "masterKey has text that is not UTF-8"},
        {MASTER_KEY, key_with_nul, "masterKey has text that is not UTF-8, or has a NUL"},
        {MASTER_KEY, key_with_odd_regex, "masterKey has text that is not UTF-8"},
        {MASTER_KEY, key_name_not_utf8, "not UTF-8"},
        {MASTER_KEY, key_with_code, "JavaScript code"},
        {MASTER_KEY, key_nested_deep, "nests more than"},
    };
    for (size_t i = 0; i < DKV_COUNT(rows); i++) {
        struct dkv_error err = {0};
        struct dkv_document document = {.status = 77};
        struct dkv_buf bytes = build(NULL, rows[i].part, rows[i].by);
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_document_parse(dkv_span_buf(&bytes), &document, &err));
        if (strstr(err.message, rows[i].says) == NULL) {
            printf("# row %zu says: %s\n", i, err.message);
        }
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, rows[i].says));
        const bool has_id = rows[i].part != ID || rows[i].by == id_twice;
        CU_ASSERT_EQUAL(strstr(err.message, ID_TEXT) != NULL, has_id);
        CU_ASSERT_STRING_EQUAL(err.key, has_id ? ID_TEXT : "");
        CU_ASSERT_EQUAL(document.status, 77); /* untouched */
        dkv_buf_done(&bytes);
    }
}

static void mongodbs_own_master_keys_are_taken(void)
{
    static const char *const keys[] = {
        "{\"provider\": \"local\"}",
        "{\"provider\": \"local:name1\"}",
        "{\"provider\": \"aws\", \"region\": \"r\", \"key\": \"k\", \"endpoint\": \"e.x:443\"}",
        "{\"provider\": \"azure\", \"keyVaultEndpoint\": \"v.x\", \"keyName\": \"n\", \"keyVersion\": \"1\"}",
        "{\"provider\": \"gcp:g\", \"projectId\": \"p\", \"location\": \"l\", \"keyRing\": \"r\", \"keyName\": \"n\"}",
        "{\"provider\": \"kmip\", \"endpoint\": \"localhost:5698\", \"delegated\": true, \"keyId\": \"11\"}",
        "{\"provider\": \"pkcs11:prod\", \"keyId\": \"0a0b\", \"profile\": \"hmac-derive\"}",
        "{\"provider\": \"awsome\", \"anything\": {\"goes\": [1, 2]}}",
    };
    static const char *const cmks[] = {"", "", "k", NULL, NULL, "11", "0a0b", NULL};
    for (size_t i = 0; i < DKV_COUNT(keys); i++) {
        struct dkv_error err = {0};
        struct dkv_document document = {0}, parsed = {0};
        struct dkv_buf bytes = {0}, cmk = {0};
        bson_t *key = bson_new_from_json((const uint8_t *)keys[i], -1, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(key);
        document.key_material = dkv_span_str("x");
        document.master_key = dkv_span(bson_get_data(key), key->len);
        ASSERT_OK(dkv_document_write(&document, &bytes, &err));
        ASSERT_OK(dkv_document_parse(dkv_span_buf(&bytes), &parsed, &err));
        ASSERT_OK(dkv_document_cmk(&parsed, &cmk, &err));
        CU_ASSERT_EQUAL(strlen((const char *)cmk.data), cmk.len);
        if (cmks[i] != NULL) {
            CU_ASSERT_STRING_EQUAL((const char *)cmk.data, cmks[i]);
        } else {
            CU_ASSERT_EQUAL(memcmp(cmk.data, "{ \"provider\" : \"", 16), 0);
        }
        dkv_document_done(&parsed);
        dkv_buf_done(&cmk);
        dkv_buf_done(&bytes);
        bson_destroy(key);
    }
}

/* Without its version, which is optional and last: cut there it would be whole. */
static void a_document_cut_anywhere_is_refused(void)
{
    struct dkv_buf bytes = build(NULL, VERSION, add_nothing);
    for (size_t len = 0; len < bytes.len; len++) {
        for (unsigned patched = 0; patched < 3; patched++) {
            struct dkv_error err = {0};
            struct dkv_document document = {0};
            /* In a buffer of just that length, so that a sanitizer sees one byte too far; as it is, then with the
             * length and then also the closing NUL of a document of that length. */
            uint8_t *cut = dkv_calloc(len + 1, 1);
            CU_ASSERT_PTR_NOT_NULL_FATAL(cut);
            uint8_t *at = cut + 1;
            memcpy(at, bytes.data, len);
            if (patched >= 1 && len >= 5) {
                at[0] = (uint8_t)len;
                at[1] = (uint8_t)(len >> 8);
                at[len - 1] = patched == 2 ? 0 : at[len - 1];
            }
            ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_document_parse(dkv_span(at, len), &document, &err));
            dkv_free(cut);
        }
    }
    dkv_buf_done(&bytes);
}

static void bytes_after_the_end_are_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_document document = {0};
    struct dkv_buf bytes = build(NULL, PARTS, NULL);
    ASSERT_OK(dkv_buf_append(&bytes, dkv_span("\0\0\0\0", 4), &err));
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_document_parse(dkv_span_buf(&bytes), &document, &err));
    bytes.data[0] = (uint8_t)(bytes.data[0] + 4); /* now inside, after an early end */
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_document_parse(dkv_span_buf(&bytes), &document, &err));
    dkv_buf_done(&bytes);
}

static void a_flipped_bit_is_refused_or_read_as_what_it_says(void)
{
    struct dkv_error err = {0};
    struct dkv_buf bytes = build(NULL, VERSION, add_nothing);
    size_t refused = 0, taken = 0;
    for (size_t at = 0; at < bytes.len; at++) {
        for (unsigned flip = 1; flip < 256; flip <<= 1) {
            struct dkv_document document = {0};
            struct dkv_buf written = {0};
            bytes.data[at] ^= (uint8_t)flip;
            if (dkv_document_parse(dkv_span_buf(&bytes), &document, &err) == DKV_OK) {
                ASSERT_OK(dkv_document_write(&document, &written, &err));
                CU_ASSERT(dkv_span_equal(dkv_span_buf(&bytes), dkv_span_buf(&written))); /* nothing was overlooked */
                taken++;
            } else {
                refused++;
            }
            bytes.data[at] ^= (uint8_t)flip;
            dkv_document_done(&document);
            dkv_buf_done(&written);
        }
    }
    CU_ASSERT(refused > taken);
    dkv_buf_done(&bytes);
}

static void a_document_of_more_than_a_mebibyte_is_not_looked_at(void)
{
    struct dkv_error err = {0};
    struct dkv_document document = {0};
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT,
              dkv_document_parse(dkv_span("", (size_t)DKV_DOCUMENT_MAX + 1), &document, &err));
    ASSERT_SAYS("1048577 bytes");
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_document_parse(dkv_span(NULL, 0), &document, &err));
}

/* ---- Written ---- */

static void a_document_is_written_in_mongodbs_order_and_read_back(void)
{
    static const char *const order[] = {"_id",        "keyAltNames", "keyMaterial", "creationDate",
                                        "updateDate", "status",      "masterKey"};
    struct dkv_error err = {0};
    struct dkv_document document = {0}, back = {0};
    struct dkv_buf shuffled = build((const unsigned[]){7, 3, 1, 6, 0, 5, 2, 4}, PARTS, NULL), written = {0};
    bson_iter_t iter;
    size_t n = 0;
    ASSERT_OK(dkv_document_parse(dkv_span_buf(&shuffled), &document, &err));

    ASSERT_OK(dkv_document_write(&document, &written, &err));

    CU_ASSERT_FATAL(bson_iter_init_from_data(&iter, written.data, written.len));
    while (bson_iter_next(&iter)) {
        CU_ASSERT_FATAL(n < DKV_COUNT(order));
        CU_ASSERT_STRING_EQUAL(bson_iter_key(&iter), order[n++]);
    }
    CU_ASSERT_EQUAL(n, DKV_COUNT(order));
    ASSERT_OK(dkv_document_parse(dkv_span_buf(&written), &back, &err));
    assert_is_good(&back);
    struct dkv_buf libbson = build(NULL, VERSION, add_nothing);
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&libbson), dkv_span_buf(&written))); /* byte for byte what libbson writes */
    dkv_document_done(&document);
    dkv_document_done(&back);
    dkv_buf_done(&shuffled);
    dkv_buf_done(&written);
    dkv_buf_done(&libbson);
}

static void writing_appends_and_too_long_writes_nothing(void)
{
    struct dkv_error err = {0};
    struct dkv_document document = {0};
    struct dkv_buf bytes = build(NULL, PARTS, NULL), out = {0};
    uint8_t *huge = dkv_calloc(1, DKV_DOCUMENT_MAX);
    CU_ASSERT_PTR_NOT_NULL_FATAL(huge);
    ASSERT_OK(dkv_document_parse(dkv_span_buf(&bytes), &document, &err));
    ASSERT_OK(dkv_buf_append_str(&out, "before", &err));
    ASSERT_OK(dkv_document_write(&document, &out, &err));
    CU_ASSERT_EQUAL(memcmp(out.data, "before", 6), 0);
    const size_t len = out.len;
    document.master_key = dkv_span(huge, DKV_DOCUMENT_MAX);

    ASSERT_RC(DKV_E_INVALID, dkv_document_write(&document, &out, &err));

    CU_ASSERT_EQUAL(out.len, len);
    dkv_free(huge);
    dkv_document_done(&document);
    dkv_buf_done(&bytes);
    dkv_buf_done(&out);
}

static void a_change_copies_everything_else(void)
{
    static const unsigned order[] = {7, 3, 1, 6, 0, 5, 2, 4};
    struct dkv_error err = {0};
    struct dkv_buf bytes = build(order, PARTS, NULL), status = {0}, names = {0}, material = {0}, expected = {0};
    struct dkv_document document = {0};
    const char *three[] = {"one", "tw\xc3\xb6", "three"};

    ASSERT_OK(dkv_document_set_status(dkv_span_buf(&bytes), 0, &status, &err));
    CU_ASSERT_EQUAL(status.len, bytes.len);
    size_t differing = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        differing += status.data[i] != bytes.data[i];
    }
    CU_ASSERT_EQUAL(differing, 1);

    ASSERT_OK(dkv_document_set_names(dkv_span_buf(&bytes), NULL, 0, &names, &err));
    expected = build(order, NAMES, add_nothing);
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&expected), dkv_span_buf(&names)));
    dkv_buf_done(&names);
    ASSERT_OK(dkv_document_set_names(dkv_span_buf(&expected), three, 3, &names, &err));
    ASSERT_OK(dkv_document_parse(dkv_span_buf(&names), &document, &err));
    CU_ASSERT_EQUAL(document.n_alt_names, 3);
    CU_ASSERT_EQUAL(memcmp(names.data + 4, expected.data + 4, expected.len - 5), 0); /* the new field comes last */

    ASSERT_OK(dkv_document_set_material(dkv_span_buf(&bytes), document.master_key, dkv_span_str("WRAPPED"), -2000,
                                        &material, &err));
    CU_ASSERT_EQUAL(material.len, bytes.len);
    dkv_document_done(&document);
    dkv_buf_done(&bytes);
    dkv_buf_done(&status);
    dkv_buf_done(&names);
    dkv_buf_done(&material);
    dkv_buf_done(&expected);
}

/* ---- The place of _id ---- */

/* Appends a document of all parts, _id as the at-th. */
static void build_with_id_at(int at, int32_t status, struct dkv_buf *ret)
{
    struct dkv_error err = {0};
    bson_t bson = BSON_INITIALIZER;
    void (*const others[])(bson_t *) = {add_names, add_material, add_creation, add_update, add_master_key};
    for (int i = 0; i <= (int)DKV_COUNT(others); i++) {
        if (i == at) {
            add_id(&bson);
        }
        if (i < (int)DKV_COUNT(others)) {
            others[i](&bson);
        }
    }
    BSON_APPEND_INT32(&bson, "status", status);
    const enum dkv_rc rc = dkv_buf_append(ret, dkv_span(bson_get_data(&bson), bson.len), &err);
    bson_destroy(&bson);
    ASSERT_OK(rc);
}

static void the_id_goes_first_from_anywhere_and_nothing_else_moves(void)
{
    struct dkv_error err = {0};
    struct dkv_buf expected = {0};
    build_with_id_at(0, 1, &expected);
    for (int at = 0; at <= 5; at++) {
        struct dkv_buf bytes = {0}, moved = {0};
        bool same = false;
        build_with_id_at(at, 1, &bytes);

        ASSERT_OK(dkv_document_id_first(dkv_span_buf(&bytes), &moved, &err));
        ASSERT_OK(dkv_document_same(dkv_span_buf(&bytes), dkv_span_buf(&expected), &same, &err));

        CU_ASSERT(dkv_span_equal(dkv_span_buf(&moved), dkv_span_buf(&expected)));
        CU_ASSERT(same);
        dkv_buf_done(&bytes);
        dkv_buf_done(&moved);
    }
    dkv_buf_done(&expected);
}

static void a_document_without_an_id_has_none_to_go_first(void)
{
    struct dkv_error err = {0};
    struct dkv_buf moved = {0};
    bson_t *bson = BCON_NEW("id", BCON_INT32(1));

    ASSERT_RC(DKV_E_INVALID, dkv_document_id_first(dkv_span(bson_get_data(bson), bson->len), &moved, &err));

    CU_ASSERT_PTR_NULL(moved.data);
    bson_destroy(bson);
}

/* Whichever bit differs, in whichever place the _id stands. */
static void any_other_bit_makes_another_document(void)
{
    struct dkv_error err = {0};
    for (int at = 0; at <= 5; at += 5) {
        struct dkv_buf first = {0}, bytes = {0};
        build_with_id_at(0, 1, &first);
        build_with_id_at(at, 1, &bytes);
        for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
            bool same = true;
            bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            ASSERT_OK(dkv_document_same(dkv_span_buf(&first), dkv_span_buf(&bytes), &same, &err));
            CU_ASSERT_FALSE(same);
            bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        dkv_buf_done(&first);
        dkv_buf_done(&bytes);
    }
}

static void other_fields_in_another_order_make_another_document(void)
{
    struct dkv_error err = {0};
    bson_t *a = BCON_NEW("_id", BCON_INT32(1), "a", BCON_INT32(1), "b", BCON_INT32(1));
    bson_t *b = BCON_NEW("b", BCON_INT32(1), "a", BCON_INT32(1), "_id", BCON_INT32(1));
    bool same = true;

    ASSERT_OK(dkv_document_same(dkv_span(bson_get_data(a), a->len), dkv_span(bson_get_data(b), b->len), &same, &err));

    CU_ASSERT_FALSE(same);
    bson_destroy(a);
    bson_destroy(b);
}

static void bytes_that_are_no_document_are_the_same_as_themselves_only(void)
{
    struct dkv_error err = {0};
    struct dkv_buf document = {0};
    build_with_id_at(0, 1, &document);
    const struct {
        struct dkv_span a, b;
        bool same;
    } cases[] = {
        {dkv_span_str("rubbish"), dkv_span_str("rubbish"), true},
        {dkv_span_str("rubbish"), dkv_span_str("RUBBISH"), false},
        {dkv_span(NULL, 0), dkv_span(NULL, 0), true},
        {dkv_span(NULL, 0), dkv_span_str("x"), false},
        {dkv_span("\5\0\0\0", 5), dkv_span("\5\0\0\1", 5), false},
        {dkv_span_buf(&document), dkv_span(document.data, document.len - 1), false},
    };
    for (size_t i = 0; i < DKV_COUNT(cases); i++) {
        bool same = !cases[i].same;
        ASSERT_OK(dkv_document_same(cases[i].a, cases[i].b, &same, &err));
        CU_ASSERT_EQUAL(same, cases[i].same);
    }
    dkv_buf_done(&document);
}

static enum dkv_rc compare_without_memory(void *arg, struct dkv_error *err)
{
    struct dkv_buf *documents = arg;
    bool same = false;
    DKV_TRY(dkv_document_same(dkv_span_buf(&documents[0]), dkv_span_buf(&documents[1]), &same, err));
    CU_ASSERT(same);
    return DKV_OK;
}

static void want_of_memory_is_no_difference(void)
{
    struct dkv_buf documents[2] = {{0}, {0}};
    build_with_id_at(0, 1, &documents[0]);
    build_with_id_at(5, 1, &documents[1]);

    CU_ASSERT_EQUAL(dkv_test_each_alloc_fails(compare_without_memory, documents), 2);

    dkv_buf_done(&documents[0]);
    dkv_buf_done(&documents[1]);
}

static void alt_names_are_judged(void)
{
    struct dkv_error err = {0};
    char longest[DKV_ALT_NAME_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    longest[DKV_ALT_NAME_MAX] = '\0';
    ASSERT_OK(dkv_alt_name_check("caf\xc3\xa9", &err));
    ASSERT_OK(dkv_alt_name_check(longest, &err));
    longest[DKV_ALT_NAME_MAX] = 'x';
    longest[DKV_ALT_NAME_MAX + 1] = '\0';
    ASSERT_RC(DKV_E_INVALID, dkv_alt_name_check(longest, &err));
    ASSERT_RC(DKV_E_INVALID, dkv_alt_name_check("", &err));
    ASSERT_RC(DKV_E_INVALID, dkv_alt_name_check("\xed\xa0\x80", &err)); /* a surrogate */
}

static void a_name_is_seen_in_whatever_bytes_have_it(void)
{
    struct dkv_buf bytes = build(NULL, PARTS, NULL);
    struct dkv_buf nameless = build(NULL, NAMES, add_nothing);
    CU_ASSERT(dkv_document_peek_name(dkv_span_buf(&bytes), "one"));
    CU_ASSERT(dkv_document_peek_name(dkv_span_buf(&bytes), "tw\xc3\xb6"));
    CU_ASSERT(!dkv_document_peek_name(dkv_span_buf(&bytes), "On"));
    CU_ASSERT(!dkv_document_peek_name(dkv_span_buf(&bytes), ""));
    CU_ASSERT(!dkv_document_peek_name(dkv_span_buf(&nameless), "one"));
    for (size_t len = 0; len < bytes.len; len++) {
        CU_ASSERT(!dkv_document_peek_name(dkv_span(bytes.data, len), "one"));
    }
    dkv_buf_done(&bytes);
    dkv_buf_done(&nameless);
}

static enum dkv_rc parse_write_change(void *arg, struct dkv_error *err)
{
    const struct dkv_buf *bytes = arg;
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf written = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf cmk = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf changed = {0};
    DKV_TRY(dkv_document_parse(dkv_span_buf(bytes), &document, err));
    DKV_TRY(dkv_document_write(&document, &written, err));
    DKV_TRY(dkv_document_cmk(&document, &cmk, err));
    return dkv_document_set_material(dkv_span_buf(bytes), document.master_key, document.key_material, 5, &changed, err);
}

static void a_failed_allocation_is_an_error(void)
{
    struct dkv_buf bytes = build(NULL, PARTS, NULL);
    CU_ASSERT(dkv_test_each_alloc_fails(parse_write_change, &bytes) > 5);
    dkv_buf_done(&bytes);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(fields_are_read_in_any_order),
        DKV_TEST(names_may_be_absent_or_none),
        DKV_TEST(version_0_may_be_of_either_integer_type_or_absent),
        DKV_TEST(every_fault_is_refused_with_its_field_and_id),
        DKV_TEST(mongodbs_own_master_keys_are_taken),
        DKV_TEST(a_document_cut_anywhere_is_refused),
        DKV_TEST(bytes_after_the_end_are_refused),
        DKV_TEST(a_flipped_bit_is_refused_or_read_as_what_it_says),
        DKV_TEST(a_document_of_more_than_a_mebibyte_is_not_looked_at),
        DKV_TEST(a_document_is_written_in_mongodbs_order_and_read_back),
        DKV_TEST(writing_appends_and_too_long_writes_nothing),
        DKV_TEST(a_change_copies_everything_else),
        DKV_TEST(the_id_goes_first_from_anywhere_and_nothing_else_moves),
        DKV_TEST(a_document_without_an_id_has_none_to_go_first),
        DKV_TEST(any_other_bit_makes_another_document),
        DKV_TEST(other_fields_in_another_order_make_another_document),
        DKV_TEST(bytes_that_are_no_document_are_the_same_as_themselves_only),
        DKV_TEST(want_of_memory_is_no_difference),
        DKV_TEST(alt_names_are_judged),
        DKV_TEST(a_name_is_seen_in_whatever_bytes_have_it),
        DKV_TEST(a_failed_allocation_is_an_error),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
