/* SPDX-License-Identifier: Apache-2.0 */
/* How a person names a CMK, in the provider file and on the command line: `id:HEX`, an RFC 7512 path with object, id or
 * both, or a plain label. Pure. */
#include "providers/pkcs11/internal.h"

DKV_DEFINE_FREEP(P11KitUri, p11_kit_uri_free);

static enum dkv_rc take_label(struct dkv_span label, enum dkv_rc rc, struct dkv_p11_reference *ret,
                              struct dkv_error *err)
{
    DKV_CHECK(label.len > 0 && label.len <= DKV_P11_LABEL_MAX && dkv_utf8_is_valid(label) &&
                  memchr(label.data, 0, label.len) == NULL,
              err, rc, "a CMK's label is 1 to %d bytes of UTF-8", DKV_P11_LABEL_MAX);
    memcpy(ret->label, label.data, label.len);
    ret->label[label.len] = '\0';
    ret->has_label = true;
    return DKV_OK;
}

static enum dkv_rc take_hex(const char *hex, enum dkv_rc rc, struct dkv_p11_reference *ret, struct dkv_error *err)
{
    DKV_CHECK(dkv_from_hex(hex, strlen(hex), ret->id, sizeof(ret->id), &ret->id_len) && ret->id_len > 0, err, rc,
              "in a CMK reference, 1 to %d bytes in hexadecimal come after id:", DKV_P11_ID_MAX);
    return DKV_OK;
}

/* The token is the entry's; a reference that names one as well could only disagree. */
static enum dkv_rc judge_uri(P11KitUri *uri, enum dkv_rc rc, struct dkv_error *err)
{
    CK_ULONG n = 0;
    const CK_ATTRIBUTE *attributes = p11_kit_uri_get_attributes(uri, &n);
    const CK_TOKEN_INFO *token = p11_kit_uri_get_token_info(uri);
    DKV_CHECK(!p11_kit_uri_any_unrecognized(uri), err, rc, "the CMK's URI has an attribute that RFC 7512 doesn't know");
    DKV_CHECK(token->label[0] == '\0' && token->serialNumber[0] == '\0' && token->model[0] == '\0' &&
                  token->manufacturerID[0] == '\0' && p11_kit_uri_get_pin_value(uri) == NULL &&
                  p11_kit_uri_get_pin_source(uri) == NULL && p11_kit_uri_get_module_path(uri) == NULL &&
                  p11_kit_uri_get_module_name(uri) == NULL,
              err, rc,
              "a CMK's URI has object, id or both, and nothing else: token, module and PIN are settings of the "
              "provider's entry");
    for (CK_ULONG i = 0; i < n; i++) {
        const bool is_class = attributes[i].type == CKA_CLASS && attributes[i].ulValueLen == sizeof(CK_OBJECT_CLASS);
        CK_OBJECT_CLASS class = 0;
        if (is_class) {
            memcpy(&class, attributes[i].pValue, sizeof(class));
        }
        DKV_CHECK(!is_class || class == CKO_SECRET_KEY, err, rc,
                  "a CMK's URI may have type=secret-key and no other type");
    }
    return DKV_OK;
}

static enum dkv_rc take_uri(const char *text, enum dkv_rc rc, struct dkv_p11_reference *ret, struct dkv_error *err)
{
    DKV_CLEANUP(p11_kit_uri_freep) P11KitUri *uri = p11_kit_uri_new();
    if (uri == NULL) {
        return dkv_fail_memory(err);
    }
    const int result = p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, uri);
    DKV_CHECK(result == P11_KIT_URI_OK, err, rc, "the CMK's reference is no PKCS#11 URI (RFC 7512): %s",
              p11_kit_uri_message(result));
    DKV_TRY(judge_uri(uri, rc, err));
    const CK_ATTRIBUTE *id = p11_kit_uri_get_attribute(uri, CKA_ID);
    const CK_ATTRIBUTE *label = p11_kit_uri_get_attribute(uri, CKA_LABEL);
    DKV_CHECK(id != NULL || label != NULL, err, rc, "the CMK's URI must have object=LABEL, id=ID or both");
    if (id != NULL) {
        DKV_CHECK(id->ulValueLen > 0 && id->ulValueLen <= DKV_P11_ID_MAX, err, rc,
                  "the id in a CMK's URI is 1 to %d bytes", DKV_P11_ID_MAX);
        memcpy(ret->id, id->pValue, id->ulValueLen);
        ret->id_len = id->ulValueLen;
    }
    return label != NULL ? take_label(dkv_span(label->pValue, label->ulValueLen), rc, ret, err) : DKV_OK;
}

enum dkv_rc dkv_p11_reference_parse(const char *text, enum dkv_rc rc, struct dkv_p11_reference *ret,
                                    struct dkv_error *err)
{
    struct dkv_p11_reference reference = {0};
    if (strncmp(text, "pkcs11:", 7) == 0) {
        DKV_TRY(take_uri(text, rc, &reference, err));
    } else if (strncmp(text, "id:", 3) == 0) {
        DKV_TRY(take_hex(text + 3, rc, &reference, err));
    } else {
        DKV_TRY(take_label(dkv_span_str(text), rc, &reference, err));
    }
    *ret = reference;
    return DKV_OK;
}
