/* SPDX-License-Identifier: Apache-2.0 */
/* Finding CMKs in the token. Labels and CKA_IDs aren't unique in PKCS#11, so every search asks for more than one and
 * refuses where more than one fits: the wrong one of two keys is a lost DEK. A CMK is judged once a connection, and its
 * handle is kept until the connection is made anew. Lock: the instance's; all searches run in the main session. */
#include "providers/pkcs11/internal.h"

#include <stdio.h>

#define CANDIDATES_MAX 8
#define LIST_MAX 4096 /* secret keys that `cmk list` looks at */

enum dkv_rc dkv_p11_find(const struct dkv_provider *self, CK_SESSION_HANDLE session, CK_ATTRIBUTE *attributes,
                         CK_ULONG n, CK_OBJECT_HANDLE *ret, CK_ULONG max, CK_ULONG *ret_n, struct dkv_error *err)
{
    CK_FUNCTION_LIST *functions = self->functions;
    CK_ULONG n_found = 0, n_more = 1;
    CK_RV rv = functions->C_FindObjectsInit(session, attributes, n);
    if (rv != CKR_OK) {
        return dkv_p11_fail(err, rv, "token %s: C_FindObjectsInit", self->token.label);
    }
    /* A token may give fewer than it was asked for and still have more. */
    while (rv == CKR_OK && n_more > 0 && n_found < max) {
        n_more = 0;
        rv = functions->C_FindObjects(session, ret + n_found, max - n_found, &n_more);
        n_found += n_more;
    }
    (void)functions->C_FindObjectsFinal(session);
    if (rv != CKR_OK) {
        return dkv_p11_fail(err, rv, "token %s: C_FindObjects", self->token.label);
    }
    *ret_n = n_found;
    return DKV_OK;
}

enum dkv_rc dkv_p11_find_id(const struct dkv_provider *self, CK_SESSION_HANDLE session, struct dkv_span id,
                            CK_OBJECT_HANDLE *ret, CK_ULONG max, CK_ULONG *ret_n, struct dkv_error *err)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_ATTRIBUTE attributes[] = {{CKA_CLASS, &class, sizeof(class)}, {CKA_ID, (void *)(uintptr_t)id.data, id.len}};
    return dkv_p11_find(self, session, attributes, DKV_COUNT(attributes), ret, max, ret_n, err);
}

/* ---- What an object is ---- */

/* false: absent, too long or not told. */
static bool read_bytes(const struct dkv_provider *self, CK_OBJECT_HANDLE handle, CK_ATTRIBUTE_TYPE type, void *ret,
                       size_t capacity, size_t *ret_len)
{
    CK_ATTRIBUTE attribute = {type, ret, capacity};
    if (self->functions->C_GetAttributeValue(self->main, handle, &attribute, 1) != CKR_OK ||
        attribute.ulValueLen > capacity) {
        return false;
    }
    *ret_len = attribute.ulValueLen;
    return true;
}

/* Any bytes may stand in a label. */
static void read_label(const struct dkv_provider *self, struct dkv_p11_key *key)
{
    char text[DKV_P11_LABEL_MAX + 1], hex[2 * DKV_P11_ID_MAX + 1];
    size_t len = 0;
    if (read_bytes(self, key->handle, CKA_LABEL, text, DKV_P11_LABEL_MAX, &len)) {
        text[len] = '\0';
        (void)dkv_line_put(key->label, sizeof(key->label), 0, text);
    }
    if (key->label[0] != '\0') {
        (void)snprintf(key->name, sizeof(key->name), "%s", key->label);
        return;
    }
    dkv_to_hex(dkv_span(key->id, key->id_len), hex);
    (void)snprintf(key->name, sizeof(key->name), "id:%s", hex);
}

enum dkv_rc dkv_p11_key_read(const struct dkv_provider *self, CK_OBJECT_HANDLE handle, struct dkv_p11_key *ret,
                             struct dkv_error *err)
{
    struct dkv_p11_key key = {.handle = handle};
    CK_KEY_TYPE type = 0;
    CK_ATTRIBUTE attribute = {CKA_KEY_TYPE, &type, sizeof(type)};
    const CK_RV rv = self->functions->C_GetAttributeValue(self->main, handle, &attribute, 1);
    if (rv != CKR_OK) {
        return dkv_p11_fail(err, rv, "token %s: a secret key doesn't tell its CKA_KEY_TYPE", self->token.label);
    }
    key.profile = dkv_p11_profile_by_key_type(type);
    if (!read_bytes(self, handle, CKA_ID, key.id, sizeof(key.id), &key.id_len)) {
        key.id_len = 0;
    }
    read_label(self, &key);
    *ret = key;
    return DKV_OK;
}

/* ---- By label ---- */

enum dkv_rc dkv_p11_cmk_by_label(const struct dkv_provider *self, const struct dkv_p11_reference *reference,
                                 uint8_t *ret_id, size_t *ret_id_len, struct dkv_error *err)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_OBJECT_HANDLE found[2];
    CK_ULONG n = 0;
    struct dkv_p11_key key = {0};
    CK_ATTRIBUTE attributes[] = {
        {CKA_CLASS, &class, sizeof(class)},
        {CKA_LABEL, (void *)(uintptr_t)reference->label, strlen(reference->label)},
        {CKA_ID, (void *)(uintptr_t)reference->id, reference->id_len},
    };
    DKV_TRY(
        dkv_p11_find(self, self->main, attributes, reference->id_len > 0 ? 3 : 2, found, DKV_COUNT(found), &n, err));
    DKV_CHECK(n > 0, err, DKV_E_NOT_FOUND, "token %s has no CMK with the label %s", self->token.label,
              reference->label);
    DKV_CHECK(n == 1, err, DKV_E_CONFIG,
              "token %s has two keys with the label %s: neither is used; name the CMK by id:HEX (dekvault cmk list "
              "%s), or remove one",
              self->token.label, reference->label, self->settings->id);
    DKV_TRY(dkv_p11_key_read(self, found[0], &key, err));
    DKV_CHECK(key.id_len > 0, err, DKV_E_CONFIG,
              "the key %s in token %s has no CKA_ID of 1 to %d bytes, so no document can name it", reference->label,
              self->token.label, DKV_P11_ID_MAX);
    memcpy(ret_id, key.id, key.id_len);
    *ret_id_len = key.id_len;
    return DKV_OK;
}

/* ---- By CKA_ID ---- */

struct candidates {
    struct dkv_p11_key fits; /* the last that does */
    const struct dkv_p11_profile *other;
    size_t n_fitting, n_others;
};

static enum dkv_rc sort_candidates(const struct dkv_provider *self, const struct dkv_p11_profile *stated,
                                   const CK_OBJECT_HANDLE *found, CK_ULONG n, struct candidates *ret,
                                   struct dkv_error *err)
{
    for (CK_ULONG i = 0; i < n; i++) {
        struct dkv_p11_key key = {0};
        DKV_TRY(dkv_p11_key_read(self, found[i], &key, err));
        if (key.profile == NULL || (stated != NULL && key.profile != stated)) {
            ret->other = key.profile;
            ret->n_others++;
            continue;
        }
        ret->fits = key;
        ret->n_fitting++;
    }
    return DKV_OK;
}

/* The key type in the token decides about the profile, whatever a document says. */
static enum dkv_rc judge_candidates(const struct dkv_provider *self, const struct dkv_cmk *cmk, const char *hex,
                                    const struct candidates *candidates, struct dkv_error *err)
{
    const char *label = self->token.label;
    DKV_CHECK(candidates->n_fitting + candidates->n_others > 0, err, DKV_E_NOT_FOUND,
              "token %s has no CMK with the CKA_ID %s", label, hex);
    DKV_CHECK(candidates->n_fitting <= 1, err, DKV_E_CONFIG,
              "token %s has two keys with the CKA_ID %s: neither is used; give one of them another CKA_ID", label, hex);
    DKV_CHECK(candidates->n_fitting == 1 || candidates->other == NULL, err, DKV_E_REJECTED_CIPHERTEXT,
              "masterKey says profile %s, but the CMK %s in token %s is %s: a CMK has one profile for life",
              cmk->stated != NULL ? cmk->stated->name : "?", hex, label,
              candidates->other != NULL ? candidates->other->name : "?");
    DKV_CHECK(candidates->n_fitting == 1, err, DKV_E_CONFIG,
              "the key %s in token %s is of a type that no wrap profile uses: a CMK is a generic secret, a SHA256-HMAC "
              "key or an AES key",
              hex, label);
    return DKV_OK;
}

enum dkv_rc dkv_p11_cmk_locate(const struct dkv_provider *self, const struct dkv_cmk *cmk, struct dkv_p11_key *ret,
                               struct dkv_error *err)
{
    char hex[2 * DKV_P11_ID_MAX + 1];
    CK_OBJECT_HANDLE found[CANDIDATES_MAX];
    CK_ULONG n = 0;
    struct candidates candidates = {0};
    dkv_to_hex(dkv_span(cmk->id, cmk->id_len), hex);
    DKV_TRY(dkv_p11_find_id(self, self->main, dkv_span(cmk->id, cmk->id_len), found, DKV_COUNT(found), &n, err));
    DKV_TRY(sort_candidates(self, cmk->stated, found, n, &candidates, err));
    DKV_TRY(judge_candidates(self, cmk, hex, &candidates, err));
    *ret = candidates.fits;
    return DKV_OK;
}

/* ---- Judged, with its handle ---- */

static const struct dkv_p11_key *find_known(const struct dkv_provider *self, const struct dkv_cmk *cmk)
{
    for (size_t i = 0; i < self->n_known; i++) {
        const struct dkv_p11_key *key = &self->known[i];
        if (dkv_span_equal(dkv_span(key->id, key->id_len), dkv_span(cmk->id, cmk->id_len)) &&
            (cmk->stated == NULL || cmk->stated == key->profile)) {
            return key;
        }
    }
    return NULL;
}

static enum dkv_rc refuse(const struct dkv_provider *self, const struct dkv_p11_key *key,
                          const struct dkv_cmk_info *info, struct dkv_error *err)
{
    size_t i = 0;
    while (i < info->n_findings && !info->findings[i].refuses) {
        i++;
    }
    return dkv_fail(err, DKV_E_POLICY, "CMK %s in token %s isn't used: %s", key->name, self->token.label,
                    i < info->n_findings ? info->findings[i].detail : "its attributes aren't those of a CMK");
}

enum dkv_rc dkv_p11_cmk_bind(struct dkv_provider *self, const struct dkv_cmk *cmk, bool use_known,
                             struct dkv_p11_key *ret, struct dkv_error *err)
{
    struct dkv_p11_key key = {0};
    const struct dkv_p11_key *known = use_known ? find_known(self, cmk) : NULL;
    if (known != NULL) {
        *ret = *known;
        return DKV_OK;
    }
    DKV_CLEANUP(dkv_freep) struct dkv_cmk_info *info = dkv_calloc(1, sizeof(*info));
    if (info == NULL) {
        return dkv_fail_memory(err);
    }
    DKV_TRY(dkv_p11_cmk_locate(self, cmk, &key, err));
    if (dkv_p11_judge(self, &key, info) > 0) {
        return refuse(self, &key, info, err);
    }
    if (use_known) {
        self->n_known = self->n_known < DKV_P11_KNOWN_MAX ? self->n_known : 0;
        self->known[self->n_known++] = key;
    }
    *ret = key;
    return DKV_OK;
}

/* ---- Telling about them ---- */

enum dkv_rc dkv_p11_cmk_describe(const struct dkv_provider *self, const struct dkv_p11_key *key,
                                 struct dkv_cmk_info *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_freep) struct dkv_cmk_info *info = dkv_calloc(1, sizeof(*info));
    if (info == NULL) {
        return dkv_fail_memory(err);
    }
    if (key->id_len > 0) {
        DKV_TRY(dkv_p11_master_key_write(self->settings->id, dkv_span(key->id, key->id_len), key->profile->name, info,
                                         err));
    }
    (void)snprintf(info->label, sizeof(info->label), "%s", key->label);
    (void)snprintf(info->profile, sizeof(info->profile), "%s", key->profile->name);
    info->capabilities = DKV_CAP_BOUND | DKV_CAP_AUTHENTIC;
    info->state = dkv_p11_judge(self, key, info) > 0 ? DKV_CMK_UNUSABLE : DKV_CMK_ENABLED;
    *ret = *info;
    return DKV_OK;
}

enum dkv_rc dkv_p11_cmk_find_all(const struct dkv_provider *self, CK_OBJECT_HANDLE **ret, CK_ULONG *ret_n,
                                 struct dkv_error *err)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_BBOOL is_token = CK_TRUE;
    CK_ATTRIBUTE attributes[] = {{CKA_CLASS, &class, sizeof(class)}, {CKA_TOKEN, &is_token, sizeof(is_token)}};
    DKV_CLEANUP(dkv_freep) CK_OBJECT_HANDLE *found = dkv_calloc(LIST_MAX, sizeof(*found));
    if (found == NULL) {
        return dkv_fail_memory(err);
    }
    DKV_TRY(dkv_p11_find(self, self->main, attributes, DKV_COUNT(attributes), found, LIST_MAX, ret_n, err));
    if (*ret_n == LIST_MAX) {
        self->host->log(self->settings, DKV_E_RESOURCE, "the token has more secret keys than are listed");
    }
    *ret = found;
    found = NULL;
    return DKV_OK;
}
