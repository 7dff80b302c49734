/* SPDX-License-Identifier: Apache-2.0 */
/* masterKey of a pkcs11 CMK: {provider, keyId: CKA_ID in lower-case hex, profile}, written in that order and read in
 * any; types are strict and further fields refused, as MongoDB's drivers do with theirs. Pure. */
#include "providers/pkcs11/internal.h"

#include <bson/bson.h>

enum { FIELD_PROVIDER, FIELD_KEY_ID, FIELD_PROFILE, N_FIELDS };
static const char *const field_names[N_FIELDS] = {"provider", "keyId", "profile"};

static int field_of(const char *name)
{
    int i = 0;
    while (i < N_FIELDS && strcmp(field_names[i], name) != 0) {
        i++;
    }
    return i;
}

static enum dkv_rc take_field(bson_iter_t *iter, const char **values, struct dkv_error *err)
{
    const int field = field_of(bson_iter_key(iter));
    uint32_t len = 0;
    DKV_CHECK(field < N_FIELDS, err, DKV_E_REJECTED_CIPHERTEXT, "masterKey has a field that a pkcs11 CMK doesn't have");
    DKV_CHECK(BSON_ITER_HOLDS_UTF8(iter), err, DKV_E_REJECTED_CIPHERTEXT, "masterKey: %s is no string",
              field_names[field]);
    DKV_CHECK(values[field] == NULL, err, DKV_E_REJECTED_CIPHERTEXT, "masterKey has %s twice", field_names[field]);
    values[field] = bson_iter_utf8(iter, &len);
    DKV_CHECK(strlen(values[field]) == len, err, DKV_E_REJECTED_CIPHERTEXT, "masterKey: %s has a NUL in it",
              field_names[field]);
    return DKV_OK;
}

static enum dkv_rc take_fields(struct dkv_span master_key, const char **values, struct dkv_error *err)
{
    bson_t document;
    bson_iter_t iter;
    DKV_CHECK(bson_init_static(&document, master_key.data, master_key.len) &&
                  bson_validate(&document, BSON_VALIDATE_UTF8, NULL) && bson_iter_init(&iter, &document),
              err, DKV_E_REJECTED_CIPHERTEXT, "masterKey is no BSON document");
    while (bson_iter_next(&iter)) {
        DKV_TRY(take_field(&iter, values, err));
    }
    for (int i = 0; i < N_FIELDS; i++) {
        DKV_CHECK(values[i] != NULL, err, DKV_E_REJECTED_CIPHERTEXT, "masterKey has no %s", field_names[i]);
    }
    return DKV_OK;
}

enum dkv_rc dkv_p11_master_key_parse(struct dkv_span bson, const char *provider_id, struct dkv_p11_master_key *ret,
                                     struct dkv_error *err)
{
    struct dkv_p11_master_key parsed = {0};
    const char *values[N_FIELDS] = {NULL};
    DKV_TRY(take_fields(bson, values, err));
    DKV_CHECK(strcmp(values[FIELD_PROVIDER], provider_id) == 0, err, DKV_E_POLICY,
              "masterKey names another provider than %s", provider_id);
    const char *hex = values[FIELD_KEY_ID];
    /* One text for one key: filters and counts compare it. */
    DKV_CHECK(strspn(hex, "0123456789abcdef") == strlen(hex) &&
                  dkv_from_hex(hex, strlen(hex), parsed.id, sizeof(parsed.id), &parsed.id_len) && parsed.id_len > 0,
              err, DKV_E_REJECTED_CIPHERTEXT, "masterKey: keyId is not 1 to %d bytes in lower-case hexadecimal",
              DKV_P11_ID_MAX);
    parsed.profile = dkv_p11_profile_by_name(values[FIELD_PROFILE]);
    DKV_CHECK(parsed.profile != NULL, err, DKV_E_REJECTED_CIPHERTEXT,
              "masterKey: profile is none that this version knows");
    *ret = parsed;
    return DKV_OK;
}

enum dkv_rc dkv_p11_master_key_write(const char *provider_id, struct dkv_span id, const char *profile,
                                     struct dkv_cmk_info *info, struct dkv_error *err)
{
    char hex[2 * DKV_P11_ID_MAX + 1];
    bson_t document;
    DKV_CHECK(id.len > 0 && id.len <= DKV_P11_ID_MAX, err, DKV_E_CONFIG,
              "the CMK's CKA_ID has %zu bytes; 1 to %d can be used", id.len, DKV_P11_ID_MAX);
    dkv_to_hex(id, hex);
    bson_init(&document);
    const bool is_made = bson_append_utf8(&document, "provider", -1, provider_id, -1) &&
                         bson_append_utf8(&document, "keyId", -1, hex, -1) &&
                         bson_append_utf8(&document, "profile", -1, profile, -1) && document.len <= DKV_MASTER_KEY_MAX;
    if (is_made) {
        memcpy(info->master_key, bson_get_data(&document), document.len);
        info->master_key_len = document.len;
        memcpy(info->key_id, hex, 2 * id.len + 1);
    }
    bson_destroy(&document);
    DKV_CHECK(is_made, err, DKV_E_INTERNAL, "no masterKey could be made for %s", provider_id);
    return DKV_OK;
}
