/* SPDX-License-Identifier: Apache-2.0 */
/* masterKey sub-documents: which fields MongoDB's drivers take (client-side-encryption specification, "masterKey"), and
 * the text that names a CMK without asking its provider. Owns nothing. The bytes must have passed dkv_bson_check(). */
#include "vault/master_key.h"

#include <bson/bson.h>

#include "base/mem.h"

/* A field of a masterKey that MongoDB's drivers know; for any other field they refuse the whole document. */
struct known_field {
    const char *name;
    bson_type_t type;
};

/* A provider type: its fields if MongoDB defines them (NULL: its provider judges), and the field that names the CMK
 * (NULL: the whole masterKey does; "": there is only one). */
struct known_provider {
    const char *type;
    const struct known_field *fields;
    const char *cmk_field;
};

static const struct known_field local_fields[] = {{"provider", BSON_TYPE_UTF8}, {NULL, BSON_TYPE_EOD}};
static const struct known_field aws_fields[] = {
    {"provider", BSON_TYPE_UTF8}, {"region", BSON_TYPE_UTF8}, {"key", BSON_TYPE_UTF8},
    {"endpoint", BSON_TYPE_UTF8}, {NULL, BSON_TYPE_EOD},
};
static const struct known_field azure_fields[] = {
    {"provider", BSON_TYPE_UTF8}, {"keyVaultEndpoint", BSON_TYPE_UTF8},
    {"keyName", BSON_TYPE_UTF8},  {"keyVersion", BSON_TYPE_UTF8},
    {NULL, BSON_TYPE_EOD},
};
static const struct known_field gcp_fields[] = {
    {"provider", BSON_TYPE_UTF8}, {"projectId", BSON_TYPE_UTF8}, {"location", BSON_TYPE_UTF8},
    {"keyRing", BSON_TYPE_UTF8},  {"keyName", BSON_TYPE_UTF8},   {"keyVersion", BSON_TYPE_UTF8},
    {"endpoint", BSON_TYPE_UTF8}, {NULL, BSON_TYPE_EOD},
};
static const struct known_field kmip_fields[] = {
    {"provider", BSON_TYPE_UTF8},  {"keyId", BSON_TYPE_UTF8}, {"endpoint", BSON_TYPE_UTF8},
    {"delegated", BSON_TYPE_BOOL}, {NULL, BSON_TYPE_EOD},
};

static const struct known_provider providers[] = {
    {"local", local_fields, ""}, {"aws", aws_fields, "key"},     {"azure", azure_fields, NULL},
    {"gcp", gcp_fields, NULL},   {"kmip", kmip_fields, "keyId"}, {"pkcs11", NULL, "keyId"},
};

/* By what stands before the colon, compared as a whole: libmongocrypt's prefix comparison takes "aw" for aws. */
static const struct known_provider *find_provider(const char *id)
{
    static const struct known_provider other = {"", NULL, NULL};
    const size_t len = strcspn(id, ":");
    for (size_t i = 0; i < DKV_COUNT(providers); i++) {
        if (strlen(providers[i].type) == len && strncmp(providers[i].type, id, len) == 0) {
            return &providers[i];
        }
    }
    return &other;
}

static bool is_provider_id(const char *id, size_t len)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    const size_t type_len = strspn(id, allowed);
    if (type_len == 0 || len >= DKV_PROVIDER_ID_SIZE || len != strlen(id)) {
        return false;
    }
    if (id[type_len] != ':') {
        return type_len == len;
    }
    const size_t name_len = strspn(id + type_len + 1, allowed);
    return name_len > 0 && type_len + 1 + name_len == len;
}

static enum dkv_rc check_known_field(const struct known_provider *provider, const bson_iter_t *iter,
                                     struct dkv_error *err)
{
    for (const struct known_field *field = provider->fields; field->name != NULL; field++) {
        if (strcmp(field->name, bson_iter_key(iter)) == 0) {
            DKV_CHECK(bson_iter_type(iter) == field->type, err, DKV_E_REJECTED_CIPHERTEXT,
                      "masterKey.%s has another BSON type than MongoDB's drivers take", field->name);
            return DKV_OK;
        }
    }
    return dkv_fail(err, DKV_E_REJECTED_CIPHERTEXT,
                    "masterKey has a field that MongoDB's drivers refuse for provider type %s", provider->type);
}

/* Two fields of one name mean one thing to us and another to the next reader. */
static bool stands_before(struct dkv_span bson, const char *name, uint32_t offset)
{
    bson_iter_t iter;
    return bson_iter_init_from_data(&iter, bson.data, bson.len) && bson_iter_find(&iter, name) &&
           bson_iter_offset(&iter) < offset;
}

#define MASTER_KEY_FIELDS_MAX 64u /* a bound for the quadratic search above */

static enum dkv_rc check_fields(struct dkv_span bson, const struct known_provider *provider, struct dkv_error *err)
{
    bson_iter_t iter;
    size_t n = 0;
    DKV_CHECK(bson_iter_init_from_data(&iter, bson.data, bson.len), err, DKV_E_REJECTED_CIPHERTEXT,
              "masterKey is not BSON");
    while (bson_iter_next(&iter)) {
        DKV_CHECK(++n <= MASTER_KEY_FIELDS_MAX, err, DKV_E_REJECTED_CIPHERTEXT, "masterKey has more than %u fields",
                  MASTER_KEY_FIELDS_MAX);
        DKV_CHECK(!stands_before(bson, bson_iter_key(&iter), bson_iter_offset(&iter)), err, DKV_E_REJECTED_CIPHERTEXT,
                  "masterKey has a field twice");
        if (provider->fields != NULL) {
            DKV_TRY(check_known_field(provider, &iter, err));
        }
    }
    return DKV_OK;
}

static const char *text_field(struct dkv_span bson, const char *name, uint32_t *ret_len)
{
    bson_iter_t iter;
    if (!bson_iter_init_from_data(&iter, bson.data, bson.len) || !bson_iter_find(&iter, name) ||
        !BSON_ITER_HOLDS_UTF8(&iter)) {
        return NULL;
    }
    return bson_iter_utf8(&iter, ret_len);
}

enum dkv_rc dkv_master_key_parse(struct dkv_span bson, char ret_provider[static DKV_PROVIDER_ID_SIZE],
                                 struct dkv_error *err)
{
    uint32_t len = 0;
    const char *id = text_field(bson, "provider", &len);
    DKV_CHECK(id != NULL, err, DKV_E_REJECTED_CIPHERTEXT, "masterKey has no text \"provider\"");
    DKV_CHECK(is_provider_id(id, len), err, DKV_E_REJECTED_CIPHERTEXT,
              "masterKey.provider is not a KMS provider id ('type' or 'type:name', letters, digits and _)");
    DKV_TRY(check_fields(bson, find_provider(id), err));
    memcpy(ret_provider, id, (size_t)len + 1);
    return DKV_OK;
}

/* libbson's own allocations end the process when they fail; what is built here is bounded by DKV_DOCUMENT_MAX. */
static enum dkv_rc append_extended_json(struct dkv_span bson, struct dkv_buf *ret, struct dkv_error *err)
{
    bson_t document;
    size_t len = 0;
    DKV_CHECK(bson_init_static(&document, bson.data, bson.len), err, DKV_E_REJECTED_CIPHERTEXT,
              "masterKey is not BSON");
    char *json = bson_as_canonical_extended_json(&document, &len);
    DKV_CHECK(json != NULL, err, DKV_E_REJECTED_CIPHERTEXT, "masterKey can't be written as Extended JSON");
    const enum dkv_rc rc = dkv_buf_append(ret, dkv_span(json, len), err);
    bson_free(json);
    return rc;
}

enum dkv_rc dkv_master_key_cmk(struct dkv_span bson, const char *provider, struct dkv_buf *ret, struct dkv_error *err)
{
    const char *field = find_provider(provider)->cmk_field;
    uint32_t len = 0;
    if (field != NULL && field[0] == '\0') {
        return DKV_OK;
    }
    const char *text = field != NULL ? text_field(bson, field, &len) : NULL;
    if (text == NULL) {
        return append_extended_json(bson, ret, err);
    }
    return dkv_buf_append(ret, dkv_span(text, len), err);
}
