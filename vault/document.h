/* SPDX-License-Identifier: Apache-2.0 */
/* Key documents by MongoDB's rules: parsed strictly, in any field order; written in MongoDB's order. */
#ifndef VAULT_DOCUMENT_H
#define VAULT_DOCUMENT_H

#include "base/bytes.h"

#define DKV_DOCUMENT_MAX (1024u * 1024u) /* bytes; longer is refused before it is looked at */
#define DKV_ALT_NAMES_MAX 1024u
#define DKV_ALT_NAME_MAX 1024u /* bytes of a name that we give; longer ones of others are read */
#define DKV_STATUS_ENABLED 0
#define DKV_STATUS_DISABLED 1

/* A parsed document; spans and names borrow from the bytes parsed, which must stay. */
struct dkv_document {
    struct dkv_uuid id;
    const char **alt_names;  /* owned array of borrowed NUL-terminated texts, in stored order */
    size_t n_alt_names;
    bool has_alt_names;      /* the field is there (an empty array is) */
    struct dkv_span key_material;
    int64_t creation_date_ms, update_date_ms;
    int32_t status;
    struct dkv_span master_key; /* the sub-document's bytes */
    char provider[80];          /* masterKey.provider */
};

/* dkv_document_parse: DKV_E_REJECTED_CIPHERTEXT with the field and, once known, the _id in the words: not BSON, unknown
 * or repeated field, wrong type or subtype, version other than 0, missing field, keyAltNames repeated or not UTF-8, a
 * NUL inside a name, masterKey without a text `provider`. Any provider is fine. keyMaterial: subtype 0, 1 to
 * DKV_KEY_MATERIAL_MAX bytes. */
DKV_MUST_USE enum dkv_rc dkv_document_parse(struct dkv_span bson, struct dkv_document *ret, struct dkv_error *err);
void dkv_document_done(struct dkv_document *document);
static inline bool dkv_document_has_name(const struct dkv_document *document, const char *name)
{
    for (size_t i = 0; i < document->n_alt_names; i++) {
        if (strcmp(document->alt_names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* dkv_document_write: append the document's BSON: _id, keyAltNames (left out when there are none), keyMaterial,
 * creationDate, updateDate, status, masterKey. */
DKV_MUST_USE enum dkv_rc dkv_document_write(const struct dkv_document *document, struct dkv_buf *ret,
                                            struct dkv_error *err);

/* dkv_document_cmk: the text by which stores filter and count (design: masterKey's key (aws), keyId (pkcs11, kmip), ""
 * (local), else masterKey as canonical Extended JSON); appended with its NUL not counted. Made without the provider. */
DKV_MUST_USE enum dkv_rc dkv_document_cmk(const struct dkv_document *document, struct dkv_buf *ret,
                                          struct dkv_error *err);

/* dkv_alt_name_check: DKV_E_INVALID: empty, not UTF-8, longer than 1024 bytes. */
DKV_MUST_USE enum dkv_rc dkv_alt_name_check(const char *name, struct dkv_error *err);

#endif
