/* SPDX-License-Identifier: Apache-2.0 */
/* The one token that an entry's URI (RFC 7512) names. A PIN goes to a token that was found here and to no other, so a
 * URI that two tokens match is refused, and so is one with an attribute that we don't know: it might be the one that
 * tells them apart. No state, no lock. */
#include "providers/pkcs11/internal.h"

#include <stdio.h>

#include "base/crypto.h"

/* ---- The URI ---- */

DKV_DEFINE_FREEP(P11KitUri, p11_kit_uri_free);

static bool names_a_token(P11KitUri *uri)
{
    const CK_TOKEN_INFO *wanted = p11_kit_uri_get_token_info(uri);
    return wanted->label[0] != '\0' || wanted->serialNumber[0] != '\0' || wanted->model[0] != '\0' ||
           wanted->manufacturerID[0] != '\0';
}

static enum dkv_rc judge_uri(P11KitUri *uri, struct dkv_error *err)
{
    CK_ULONG n_attributes = 0;
    (void)p11_kit_uri_get_attributes(uri, &n_attributes);
    DKV_CHECK(p11_kit_uri_get_pin_value(uri) == NULL && p11_kit_uri_get_pin_source(uri) == NULL, err, DKV_E_CONFIG,
              "no PIN belongs in the URI: take pin-value or pin-source out of it and use the setting pin-source");
    DKV_CHECK(p11_kit_uri_get_module_path(uri) == NULL && p11_kit_uri_get_module_name(uri) == NULL, err, DKV_E_CONFIG,
              "no module belongs in the URI: take module-path or module-name out of it and use the setting module");
    DKV_CHECK(!p11_kit_uri_any_unrecognized(uri), err, DKV_E_CONFIG,
              "the URI has an attribute that RFC 7512 doesn't know, so no token can match it");
    DKV_CHECK(n_attributes == 0, err, DKV_E_CONFIG,
              "the URI names an object; name the token alone here, and the CMK in the setting cmk");
    DKV_CHECK(names_a_token(uri), err, DKV_E_CONFIG,
              "the URI must say which token, for instance pkcs11:token=LABEL;serial=SERIAL");
    return DKV_OK;
}

enum dkv_rc dkv_p11_token_uri_parse(const char *text, P11KitUri **ret, struct dkv_error *err)
{
    DKV_CLEANUP(p11_kit_uri_freep) P11KitUri *uri = p11_kit_uri_new();
    if (uri == NULL) {
        return dkv_fail_memory(err);
    }
    /* The URI isn't repeated: somebody may have written a PIN into it. */
    const int result = text != NULL ? p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, uri) : P11_KIT_URI_BAD_SCHEME;
    DKV_CHECK(result == P11_KIT_URI_OK, err, DKV_E_CONFIG, "it is no PKCS#11 URI (RFC 7512): %s",
              result == P11_KIT_URI_BAD_SCHEME ? "it must start with pkcs11:" : p11_kit_uri_message(result));
    DKV_TRY(judge_uri(uri, err));
    *ret = uri;
    uri = NULL;
    return DKV_OK;
}

/* ---- What a token says about itself ---- */

/* Cryptoki's fields are padded with blanks and have no NUL; what isn't printable would forge lines of output. */
static void take_padded(const unsigned char *field, size_t len, char *ret)
{
    while (len > 0 && (field[len - 1] == ' ' || field[len - 1] == '\0')) {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        ret[i] = (char)(field[i] < 0x20 || field[i] == 0x7f ? '?' : field[i]);
    }
    ret[len] = '\0';
}

/* No secret: a digest so that any bytes make a key of the state folder. */
static void identify(const CK_TOKEN_INFO *info, char ret[static 33])
{
    uint8_t digest[32] = {0};
    const struct dkv_span parts[] = {
        dkv_span(info->label, sizeof(info->label)),
        dkv_span(info->manufacturerID, sizeof(info->manufacturerID)),
        dkv_span(info->model, sizeof(info->model)),
        dkv_span(info->serialNumber, sizeof(info->serialNumber)),
    };
    /* Should the digest fail, tokens share one identity: more is refused then, not less. */
    (void)!dkv_sha256(parts, DKV_COUNT(parts), digest, NULL);
    dkv_to_hex(dkv_span(digest, 16), ret);
}

void dkv_p11_token_describe(const CK_TOKEN_INFO *info, CK_SLOT_ID slot, struct dkv_p11_token *ret)
{
    *ret = (struct dkv_p11_token){.slot = slot, .flags = info->flags};
    take_padded(info->label, sizeof(info->label), ret->label);
    take_padded(info->serialNumber, sizeof(info->serialNumber), ret->serial);
    take_padded(info->manufacturerID, sizeof(info->manufacturerID), ret->manufacturer);
    take_padded(info->model, sizeof(info->model), ret->model);
    identify(info, ret->identity);
}

/* ---- Lists of a size that may change between the two calls ---- */

#define LIST_TRIES 4
#define LIST_MAX 65536

enum dkv_rc dkv_p11_slots(CK_FUNCTION_LIST *functions, CK_BBOOL with_token, CK_SLOT_ID **ret, CK_ULONG *ret_n,
                          struct dkv_error *err)
{
    CK_RV rv = CKR_BUFFER_TOO_SMALL;
    for (int i = 0; i < LIST_TRIES && rv == CKR_BUFFER_TOO_SMALL; i++) {
        CK_ULONG n = 0;
        rv = functions->C_GetSlotList(with_token, NULL, &n);
        if (rv != CKR_OK) {
            break;
        }
        n = n < LIST_MAX ? n + 1 : LIST_MAX;
        DKV_CLEANUP(dkv_freep) CK_SLOT_ID *slots = dkv_calloc(n, sizeof(*slots));
        if (slots == NULL) {
            return dkv_fail_memory(err);
        }
        rv = functions->C_GetSlotList(with_token, slots, &n);
        if (rv == CKR_OK) {
            *ret = slots;
            *ret_n = n;
            slots = NULL;
            return DKV_OK;
        }
    }
    return dkv_p11_fail(err, rv, "C_GetSlotList");
}

enum dkv_rc dkv_p11_mechanisms(CK_FUNCTION_LIST *functions, CK_SLOT_ID slot, CK_MECHANISM_TYPE **ret, CK_ULONG *ret_n,
                               struct dkv_error *err)
{
    CK_RV rv = CKR_BUFFER_TOO_SMALL;
    for (int i = 0; i < LIST_TRIES && rv == CKR_BUFFER_TOO_SMALL; i++) {
        CK_ULONG n = 0;
        rv = functions->C_GetMechanismList(slot, NULL, &n);
        if (rv != CKR_OK) {
            break;
        }
        n = n < LIST_MAX ? n + 1 : LIST_MAX;
        DKV_CLEANUP(dkv_freep) CK_MECHANISM_TYPE *mechanisms = dkv_calloc(n, sizeof(*mechanisms));
        if (mechanisms == NULL) {
            return dkv_fail_memory(err);
        }
        rv = functions->C_GetMechanismList(slot, mechanisms, &n);
        if (rv == CKR_OK) {
            *ret = mechanisms;
            *ret_n = n;
            mechanisms = NULL;
            return DKV_OK;
        }
    }
    return dkv_p11_fail(err, rv, "C_GetMechanismList");
}

/* ---- Finding ---- */

static bool slot_matches(CK_FUNCTION_LIST *functions, P11KitUri *uri, CK_SLOT_ID slot, struct dkv_p11_token *ret)
{
    CK_SLOT_INFO slot_info = {0};
    CK_TOKEN_INFO token_info = {0};
    const CK_SLOT_ID wanted = p11_kit_uri_get_slot_id(uri);
    if (wanted != (CK_SLOT_ID)-1 && wanted != slot) {
        return false;
    }
    if (functions->C_GetSlotInfo(slot, &slot_info) != CKR_OK ||
        functions->C_GetTokenInfo(slot, &token_info) != CKR_OK) {
        return false;
    }
    if ((token_info.flags & CKF_TOKEN_INITIALIZED) == 0 || !p11_kit_uri_match_slot_info(uri, &slot_info) ||
        !p11_kit_uri_match_token_info(uri, &token_info)) {
        return false;
    }
    dkv_p11_token_describe(&token_info, slot, ret);
    return true;
}

static bool module_matches(CK_FUNCTION_LIST *functions, P11KitUri *uri)
{
    CK_INFO info = {0};
    return functions->C_GetInfo(&info) == CKR_OK && p11_kit_uri_match_module_info(uri, &info);
}

enum dkv_rc dkv_p11_token_find(CK_FUNCTION_LIST *functions, P11KitUri *uri, const char *id, struct dkv_p11_token *ret,
                               struct dkv_error *err)
{
    DKV_CLEANUP(dkv_freep) CK_SLOT_ID *slots = NULL;
    struct dkv_p11_token found[2];
    CK_ULONG n = 0, n_found = 0;
    DKV_TRY(dkv_p11_slots(functions, CK_TRUE, &slots, &n, err));
    if (!module_matches(functions, uri)) {
        n = 0;
    }
    for (CK_ULONG i = 0; i < n && n_found < 2; i++) {
        n_found += slot_matches(functions, uri, slots[i], &found[n_found]) ? 1 : 0;
    }
    DKV_CHECK(n_found > 0, err, DKV_E_UNREACHABLE,
              "no token matches the URI of %s: it isn't plugged in or its service is down, or the URI is wrong "
              "(dekvault token list "
              "shows what is there)",
              id);
    DKV_CHECK(n_found == 1, err, DKV_E_CONFIG,
              "two tokens match the URI of %s (%s, serial %s, and %s, serial %s), so the PIN goes to neither: add "
              ";serial=... to the "
              "setting token",
              id, found[0].label, found[0].serial, found[1].label, found[1].serial);
    *ret = found[0];
    return DKV_OK;
}
