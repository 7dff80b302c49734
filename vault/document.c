/* SPDX-License-Identifier: Apache-2.0 */
/* Key documents, read strictly by the schema of MongoDB's client-side-encryption specification ("Key vault collection
 * schema for data keys"), in any field order. Owns the array of names, nothing else. The bytes come from whoever can
 * write a vault: vault/document_bson.c has checked them before anything here looks at a field. */
#include "vault/document.h"

#include <bson/bson.h>

#include "base/mem.h"
#include "dekvault/provider.h"
#include "vault/document_bson.h"
#include "vault/document_edit.h"
#include "vault/master_key.h"

_Static_assert(sizeof(((struct dkv_document *)0)->provider) == DKV_PROVIDER_ID_SIZE, "room for a provider id");

void dkv_document_done(struct dkv_document *document)
{
    if (document != NULL) {
        dkv_free(document->alt_names);
        *document = (struct dkv_document){0};
    }
}

enum dkv_rc dkv_alt_name_check(const char *name, struct dkv_error *err)
{
    DKV_CHECK(name != NULL && name[0] != '\0', err, DKV_E_INVALID, "an alt name may not be empty");
    DKV_CHECK(strlen(name) <= DKV_ALT_NAME_MAX, err, DKV_E_INVALID,
              "an alt name may have at most %u bytes; this one has %zu", DKV_ALT_NAME_MAX, strlen(name));
    DKV_CHECK(dkv_utf8_is_valid(dkv_span_str(name)), err, DKV_E_INVALID, "an alt name must be valid UTF-8");
    return DKV_OK;
}

/* ---- The fields ---- */

static enum dkv_rc parse_id(const bson_iter_t *value, struct dkv_document *document, struct dkv_error *err)
{
    bson_subtype_t subtype = BSON_SUBTYPE_USER;
    uint32_t len = 0;
    const uint8_t *data = NULL;
    if (BSON_ITER_HOLDS_BINARY(value)) {
        bson_iter_binary(value, &subtype, &len, &data);
    }
    DKV_CHECK(subtype == BSON_SUBTYPE_UUID && len == sizeof(document->id.bytes), err, DKV_E_REJECTED_CIPHERTEXT,
              "_id is not a UUID (binary of subtype 4, 16 bytes)");
    memcpy(document->id.bytes, data, sizeof(document->id.bytes));
    return DKV_OK;
}

/* Array elements must be numbered from 0: readers differ on what an array with other keys is. */
static bool is_index(const char *key, size_t index)
{
    char buffer[16];
    const char *expected = NULL;
    (void)bson_uint32_to_string((uint32_t)index, &expected, buffer, sizeof(buffer));
    return strcmp(key, expected) == 0;
}

static bool name_is_repeated(const struct dkv_document *document, const char *name)
{
    for (size_t i = 0; i < document->n_alt_names; i++) {
        if (strcmp(document->alt_names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static enum dkv_rc parse_name(const bson_iter_t *value, struct dkv_document *document, struct dkv_error *err)
{
    const size_t index = document->n_alt_names;
    uint32_t len = 0;
    DKV_CHECK(is_index(bson_iter_key(value), index), err, DKV_E_REJECTED_CIPHERTEXT,
              "keyAltNames is not numbered 0, 1, 2, ...");
    DKV_CHECK(BSON_ITER_HOLDS_UTF8(value), err, DKV_E_REJECTED_CIPHERTEXT, "keyAltNames.%zu is not text", index);
    const char *name = bson_iter_utf8(value, &len);
    DKV_CHECK(strlen(name) == len, err, DKV_E_REJECTED_CIPHERTEXT, "keyAltNames.%zu has a NUL inside", index);
    DKV_CHECK(dkv_utf8_is_valid(dkv_span(name, len)), err, DKV_E_REJECTED_CIPHERTEXT, "keyAltNames.%zu is not UTF-8",
              index);
    DKV_CHECK(!name_is_repeated(document, name), err, DKV_E_REJECTED_CIPHERTEXT,
              "keyAltNames has a name twice (at %zu)", index);
    document->alt_names[document->n_alt_names++] = name;
    return DKV_OK;
}

static size_t count_elements(const bson_iter_t *array)
{
    bson_iter_t iter;
    size_t n = 0;
    bool found = dkv_bson_enter(array, &iter);
    while (found && bson_iter_next(&iter)) {
        n++;
    }
    return n;
}

static enum dkv_rc parse_names(const bson_iter_t *value, struct dkv_document *document, struct dkv_error *err)
{
    bson_iter_t iter;
    DKV_CHECK(BSON_ITER_HOLDS_ARRAY(value) && dkv_bson_enter(value, &iter), err, DKV_E_REJECTED_CIPHERTEXT,
              "keyAltNames is not an array");
    const size_t n = count_elements(value);
    DKV_CHECK(n <= DKV_ALT_NAMES_MAX, err, DKV_E_REJECTED_CIPHERTEXT, "keyAltNames has %zu names, more than %u", n,
              DKV_ALT_NAMES_MAX);
    document->has_alt_names = true;
    if (n == 0) {
        return DKV_OK;
    }
    document->alt_names = dkv_calloc(n, sizeof(*document->alt_names));
    if (document->alt_names == NULL) {
        return dkv_fail_memory(err);
    }
    while (bson_iter_next(&iter)) {
        DKV_TRY(parse_name(&iter, document, err));
    }
    return DKV_OK;
}

static enum dkv_rc parse_material(const bson_iter_t *value, struct dkv_document *document, struct dkv_error *err)
{
    bson_subtype_t subtype = BSON_SUBTYPE_USER;
    uint32_t len = 0;
    const uint8_t *data = NULL;
    if (BSON_ITER_HOLDS_BINARY(value)) {
        bson_iter_binary(value, &subtype, &len, &data);
    }
    DKV_CHECK(subtype == BSON_SUBTYPE_BINARY, err, DKV_E_REJECTED_CIPHERTEXT, "keyMaterial is not binary of subtype 0");
    DKV_CHECK(len >= 1 && len <= DKV_KEY_MATERIAL_MAX, err, DKV_E_REJECTED_CIPHERTEXT,
              "keyMaterial has %u bytes, not 1 to %u", len, DKV_KEY_MATERIAL_MAX);
    document->key_material = dkv_span(data, len);
    return DKV_OK;
}

static enum dkv_rc parse_creation_date(const bson_iter_t *value, struct dkv_document *document, struct dkv_error *err)
{
    DKV_CHECK(BSON_ITER_HOLDS_DATE_TIME(value), err, DKV_E_REJECTED_CIPHERTEXT, "creationDate is not a date");
    document->creation_date_ms = bson_iter_date_time(value);
    return DKV_OK;
}

static enum dkv_rc parse_update_date(const bson_iter_t *value, struct dkv_document *document, struct dkv_error *err)
{
    DKV_CHECK(BSON_ITER_HOLDS_DATE_TIME(value), err, DKV_E_REJECTED_CIPHERTEXT, "updateDate is not a date");
    document->update_date_ms = bson_iter_date_time(value);
    return DKV_OK;
}

static enum dkv_rc parse_status(const bson_iter_t *value, struct dkv_document *document, struct dkv_error *err)
{
    DKV_CHECK(BSON_ITER_HOLDS_INT32(value), err, DKV_E_REJECTED_CIPHERTEXT, "status is not a 32-bit integer");
    const int32_t status = bson_iter_int32(value);
    DKV_CHECK(status == DKV_STATUS_ENABLED || status == DKV_STATUS_DISABLED, err, DKV_E_REJECTED_CIPHERTEXT,
              "status is %d, neither 0 (enabled) nor 1 (disabled)", status);
    document->status = status;
    return DKV_OK;
}

static enum dkv_rc parse_master_key(const bson_iter_t *value, struct dkv_document *document, struct dkv_error *err)
{
    uint32_t len = 0;
    const uint8_t *data = NULL;
    bson_iter_t iter;
    DKV_CHECK(BSON_ITER_HOLDS_DOCUMENT(value), err, DKV_E_REJECTED_CIPHERTEXT, "masterKey is not a document");
    bson_iter_document(value, &len, &data);
    document->master_key = dkv_span(data, len);
    DKV_CHECK(bson_iter_init_from_data(&iter, data, len) && dkv_bson_text_is_valid(&iter), err,
              DKV_E_REJECTED_CIPHERTEXT, "masterKey has text that is not UTF-8, or has a NUL inside");
    return dkv_master_key_parse(document->master_key, document->provider, err);
}

static enum dkv_rc parse_version(const bson_iter_t *value, struct dkv_document *document, struct dkv_error *err)
{
    (void)document;
    DKV_CHECK(BSON_ITER_HOLDS_INT32(value) || BSON_ITER_HOLDS_INT64(value), err, DKV_E_REJECTED_CIPHERTEXT,
              "version is not an integer");
    DKV_CHECK(bson_iter_as_int64(value) == 0, err, DKV_E_REJECTED_CIPHERTEXT, "version is not 0, the only one known");
    return DKV_OK;
}

static const struct field {
    const char *name;
    bool required;
    enum dkv_rc (*parse)(const bson_iter_t *value, struct dkv_document *document, struct dkv_error *err);
} fields[] = {
    {"_id", true, parse_id},
    {"keyAltNames", false, parse_names},
    {"keyMaterial", true, parse_material},
    {"creationDate", true, parse_creation_date},
    {"updateDate", true, parse_update_date},
    {"status", true, parse_status},
    {"masterKey", true, parse_master_key},
    {"version", false, parse_version},
};

static const struct field *find_field(const char *name)
{
    for (size_t i = 0; i < DKV_COUNT(fields); i++) {
        if (strcmp(fields[i].name, name) == 0) {
            return &fields[i];
        }
    }
    return NULL;
}

static enum dkv_rc parse_fields(struct dkv_span bson, struct dkv_document *document, struct dkv_error *err)
{
    bson_iter_t iter;
    unsigned seen = 0;
    DKV_TRY(dkv_bson_check(bson, err));
    DKV_CHECK(bson_iter_init_from_data(&iter, bson.data, bson.len), err, DKV_E_REJECTED_CIPHERTEXT, "it is not BSON");
    while (bson_iter_next(&iter)) {
        const struct field *field = find_field(bson_iter_key(&iter));
        /* The stranger's name stays out of the words: whoever writes the vault chose it. */
        DKV_CHECK(field != NULL, err, DKV_E_REJECTED_CIPHERTEXT, "it has a field that no key document has (at byte %u)",
                  bson_iter_offset(&iter));
        const unsigned bit = 1u << (field - fields);
        DKV_CHECK((seen & bit) == 0, err, DKV_E_REJECTED_CIPHERTEXT, "it has %s twice", field->name);
        seen |= bit;
        DKV_TRY(field->parse(&iter, document, err));
    }
    for (size_t i = 0; i < DKV_COUNT(fields); i++) {
        DKV_CHECK((seen & 1u << i) != 0 || !fields[i].required, err, DKV_E_REJECTED_CIPHERTEXT, "it has no %s",
                  fields[i].name);
    }
    return DKV_OK;
}

bool dkv_document_peek_id(struct dkv_span bson, struct dkv_uuid *ret)
{
    struct dkv_document found = {0};
    bson_iter_t iter;
    if (bson.len < 5 || !bson_iter_init_from_data(&iter, bson.data, bson.len) || !bson_iter_find(&iter, "_id") ||
        parse_id(&iter, &found, NULL) != DKV_OK) {
        return false;
    }
    *ret = found.id;
    return true;
}

bool dkv_document_peek_name(struct dkv_span bson, const char *name)
{
    bson_iter_t iter, names;
    if (bson.len < 5 || !bson_iter_init_from_data(&iter, bson.data, bson.len) ||
        !bson_iter_find(&iter, "keyAltNames") || !BSON_ITER_HOLDS_ARRAY(&iter) || !dkv_bson_enter(&iter, &names)) {
        return false;
    }
    while (bson_iter_next(&names)) {
        if (BSON_ITER_HOLDS_UTF8(&names) && strcmp(bson_iter_utf8(&names, NULL), name) == 0) {
            return true;
        }
    }
    return false;
}

static void name_document(struct dkv_span bson, struct dkv_error *err)
{
    struct dkv_uuid id;
    char text[37];
    if (bson.len > DKV_DOCUMENT_MAX || !dkv_document_peek_id(bson, &id)) {
        dkv_error_prefix(err, "not a key document: ");
        return;
    }
    dkv_uuid_format(&id, text);
    dkv_error_prefix(err, "key document %s: ", text);
    dkv_error_key(err, text);
}

enum dkv_rc dkv_document_parse(struct dkv_span bson, struct dkv_document *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    const enum dkv_rc rc = parse_fields(bson, &document, err);
    if (rc != DKV_OK) {
        name_document(bson, err);
        return rc;
    }
    *ret = document;
    document = (struct dkv_document){0};
    return DKV_OK;
}
