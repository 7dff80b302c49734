/* SPDX-License-Identifier: Apache-2.0 */
/* Making a CMK in the token. CKA_ID is 16 random bytes, looked for before and counted after, since a token may replace
 * a key of the same CKA_ID (NSS does). The template asks for all that a CMK must be; a token that refuses attributes is
 * asked again with fewer, and what it made is read back and judged, so what was left out shows as a finding. A key that
 * is judged unfit is taken away again: nothing was wrapped under it yet. Locks: the instance's, and a state lock, so
 * that one label isn't given twice by two processes. */
#include "providers/pkcs11/internal.h"

#include <stdio.h>

#include "base/crypto.h"

#define NEW_ID_LEN 16
#define TEMPLATE_MAX 24
/* SoftHSM 2.6.1 fails two to four of a hundred when others make or search objects at the same time. */
#define TRIES 4

struct creation {
    struct dkv_provider *self;
    const char *label;
    const struct dkv_p11_profile *profile;
    CK_SESSION_HANDLE session;
    uint8_t id[NEW_ID_LEN];
    unsigned level; /* how much of the template was left out */
};

/* ---- The template ---- */

enum { LEVEL_ALL, LEVEL_NO_MECHANISMS, LEVEL_NO_COPYABLE, LEVEL_NO_UNNEEDED_USAGES, N_LEVELS };
static const char *const left_out[N_LEVELS] = {
    NULL,
    "CKA_ALLOWED_MECHANISMS",
    "CKA_ALLOWED_MECHANISMS and CKA_COPYABLE",
    "CKA_ALLOWED_MECHANISMS, CKA_COPYABLE and the usages set false",
};

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_OBJECT_CLASS secret_key = CKO_SECRET_KEY;

static const CK_ATTRIBUTE_TYPE all_usages[] = {CKA_SIGN, CKA_VERIFY, CKA_ENCRYPT, CKA_DECRYPT,
                                               CKA_WRAP, CKA_UNWRAP, CKA_DERIVE};

static bool is_needed(const struct dkv_p11_profile *profile, CK_ATTRIBUTE_TYPE usage)
{
    bool found = false;
    for (size_t i = 0; i < profile->n_usages; i++) {
        found = found || profile->usages[i] == usage;
    }
    return found;
}

static void put(CK_ATTRIBUTE *template, CK_ULONG *n, CK_ATTRIBUTE_TYPE type, void *value, size_t len)
{
    template[(*n)++] = (CK_ATTRIBUTE){type, value, len};
}

static void put_usages(const struct creation *creation, CK_ATTRIBUTE *template, CK_ULONG *n)
{
    for (size_t i = 0; i < DKV_COUNT(all_usages); i++) {
        if (is_needed(creation->profile, all_usages[i])) {
            put(template, n, all_usages[i], &yes, sizeof(yes));
        } else if (creation->level < LEVEL_NO_UNNEEDED_USAGES) {
            put(template, n, all_usages[i], &no, sizeof(no));
        }
    }
}

static CK_RV generate(struct creation *creation, CK_OBJECT_HANDLE *ret)
{
    CK_ULONG n = 0, len = DKV_P11_CMK_LEN;
    CK_KEY_TYPE key_type = creation->profile->new_key_type;
    CK_MECHANISM_TYPE allowed = creation->profile->use;
    CK_MECHANISM mechanism = {.mechanism = creation->profile->generate};
    CK_ATTRIBUTE template[TEMPLATE_MAX];
    put(template, &n, CKA_CLASS, &secret_key, sizeof(secret_key));
    put(template, &n, CKA_KEY_TYPE, &key_type, sizeof(key_type));
    put(template, &n, CKA_VALUE_LEN, &len, sizeof(len));
    put(template, &n, CKA_LABEL, (void *)(uintptr_t)creation->label, strlen(creation->label));
    put(template, &n, CKA_ID, creation->id, sizeof(creation->id));
    put(template, &n, CKA_TOKEN, &yes, sizeof(yes));
    put(template, &n, CKA_PRIVATE, &yes, sizeof(yes));
    put(template, &n, CKA_SENSITIVE, &yes, sizeof(yes));
    put(template, &n, CKA_EXTRACTABLE, &no, sizeof(no));
    put(template, &n, CKA_MODIFIABLE, &no, sizeof(no));
    put_usages(creation, template, &n);
    if (creation->level < LEVEL_NO_COPYABLE) {
        put(template, &n, CKA_COPYABLE, &no, sizeof(no));
    }
    if (creation->level < LEVEL_NO_MECHANISMS) {
        put(template, &n, CKA_ALLOWED_MECHANISMS, &allowed, sizeof(allowed));
    }
    return creation->self->functions->C_GenerateKey(creation->session, &mechanism, template, n, ret);
}

/* ---- One key, whatever it takes ---- */

static enum dkv_rc count_id(const struct creation *creation, CK_ULONG *ret, struct dkv_error *err)
{
    CK_OBJECT_HANDLE found[2];
    return dkv_p11_find_id(creation->self, creation->session, dkv_span(creation->id, sizeof(creation->id)), found,
                           DKV_COUNT(found), ret, err);
}

/* An id of its own for each try, so that what a failed one may have left can't be taken for what a later one made. */
static enum dkv_rc new_id(struct creation *creation, struct dkv_error *err)
{
    CK_ULONG n = 0;
    DKV_TRY(dkv_random(creation->id, sizeof(creation->id), err));
    DKV_TRY(count_id(creation, &n, err));
    DKV_CHECK(n == 0, err, DKV_E_INTERNAL, "token %s claims to have a key under a CKA_ID just drawn at random",
              creation->self->token.label);
    return DKV_OK;
}

static void sweep(const struct creation *creation)
{
    CK_OBJECT_HANDLE found[2];
    CK_ULONG n = 0;
    const struct dkv_span id = dkv_span(creation->id, sizeof(creation->id));
    if (dkv_p11_find_id(creation->self, creation->session, id, found, DKV_COUNT(found), &n, NULL) != DKV_OK) {
        return;
    }
    for (CK_ULONG i = 0; i < n; i++) {
        (void)creation->self->functions->C_DestroyObject(creation->session, found[i]);
    }
}

static bool is_template_refusal(CK_RV rv)
{
    return rv == CKR_GENERAL_ERROR || rv == CKR_ATTRIBUTE_READ_ONLY || rv == CKR_ATTRIBUTE_SENSITIVE ||
           rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_VALUE_INVALID || rv == CKR_TEMPLATE_INCOMPLETE ||
           rv == CKR_TEMPLATE_INCONSISTENT;
}

static bool may_be_a_race(CK_RV rv)
{
    return rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED || rv == CKR_TEMPLATE_INCONSISTENT;
}

static enum dkv_rc try_level(struct creation *creation, CK_OBJECT_HANDLE *ret, CK_RV *ret_rv, struct dkv_error *err)
{
    CK_RV rv = CKR_GENERAL_ERROR;
    for (int i = 0; i < TRIES && may_be_a_race(rv); i++) {
        DKV_TRY(new_id(creation, err));
        rv = generate(creation, ret);
        if (rv != CKR_OK) {
            sweep(creation);
        }
    }
    *ret_rv = rv;
    return DKV_OK;
}

static enum dkv_rc generate_some_way(struct creation *creation, CK_OBJECT_HANDLE *ret, struct dkv_error *err)
{
    CK_RV rv = CKR_GENERAL_ERROR;
    for (creation->level = LEVEL_ALL; creation->level < N_LEVELS; creation->level++) {
        DKV_TRY(try_level(creation, ret, &rv, err));
        if (rv == CKR_OK) {
            return DKV_OK;
        }
        if (!is_template_refusal(rv)) {
            break;
        }
    }
    return dkv_p11_fail(err, rv, "token %s: C_GenerateKey of a CMK of profile %s", creation->self->token.label,
                        creation->profile->name);
}

/* ---- Before and after ---- */

static enum dkv_rc check_label(const struct creation *creation, struct dkv_error *err)
{
    CK_OBJECT_HANDLE found[1];
    CK_ULONG n = 0;
    CK_ATTRIBUTE attributes[] = {{CKA_CLASS, &secret_key, sizeof(secret_key)},
                                 {CKA_LABEL, (void *)(uintptr_t)creation->label, strlen(creation->label)}};
    DKV_TRY(dkv_p11_find(creation->self, creation->session, attributes, DKV_COUNT(attributes), found, DKV_COUNT(found),
                         &n, err));
    DKV_CHECK(n == 0, err, DKV_E_CONFLICT, "token %s has a key with the label %s already: choose another label",
              creation->self->token.label, creation->label);
    return DKV_OK;
}

/* What was made is read with the main session: CMKs are judged as every later login sees them. */
static enum dkv_rc read_back(const struct creation *creation, struct dkv_cmk_info *ret, struct dkv_error *err)
{
    struct dkv_p11_key key = {0};
    CK_ULONG n = 0;
    struct dkv_cmk made = {.id_len = NEW_ID_LEN, .stated = creation->profile};
    memcpy(made.id, creation->id, NEW_ID_LEN);
    DKV_TRY(count_id(creation, &n, err));
    DKV_CHECK(n == 1, err, DKV_E_INTERNAL, "token %s shows %s under the CKA_ID of the CMK that it just made",
              creation->self->token.label, n == 0 ? "no key" : "two keys");
    DKV_TRY(dkv_p11_cmk_locate(creation->self, &made, &key, err));
    return dkv_p11_cmk_describe(creation->self, &key, ret, err);
}

static void tell_left_out(const struct creation *creation, struct dkv_cmk_info *info)
{
    if (left_out[creation->level] == NULL || info->n_findings == DKV_FINDINGS_MAX) {
        return;
    }
    struct dkv_finding *finding = &info->findings[info->n_findings++];
    *finding = (struct dkv_finding){.check = "template", .ok = false};
    (void)snprintf(finding->detail, sizeof(finding->detail), "the token took the key only without %s",
                   left_out[creation->level]);
}

static enum dkv_rc judge_made(const struct creation *creation, struct dkv_cmk_info *info, struct dkv_error *err)
{
    DKV_TRY(read_back(creation, info, err));
    if (info->state == DKV_CMK_ENABLED) {
        tell_left_out(creation, info);
        return DKV_OK;
    }
    size_t i = 0;
    while (i < info->n_findings && !info->findings[i].refuses) {
        i++;
    }
    return dkv_fail(err, DKV_E_POLICY, "token %s didn't make the CMK as asked (%s), so it was removed again",
                    creation->self->token.label, i < info->n_findings ? info->findings[i].detail : "attributes");
}

static enum dkv_rc make(struct creation *creation, struct dkv_cmk_info *info, struct dkv_error *err)
{
    CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
    DKV_TRY(check_label(creation, err));
    DKV_TRY(generate_some_way(creation, &handle, err));
    const enum dkv_rc rc = judge_made(creation, info, err);
    if (rc != DKV_OK) {
        (void)creation->self->functions->C_DestroyObject(creation->session, handle);
    }
    return rc;
}

/* ---- Which profile ---- */

static enum dkv_rc choose_profile(const struct dkv_provider *self, const char *name, const struct dkv_p11_profile **ret,
                                  struct dkv_error *err)
{
    DKV_CLEANUP(dkv_freep) CK_MECHANISM_TYPE *offered = NULL;
    CK_ULONG n = 0;
    const struct dkv_p11_profile *named = name != NULL ? dkv_p11_profile_by_name(name) : NULL;
    DKV_CHECK(name == NULL || named != NULL, err, DKV_E_INVALID,
              "there is no wrap profile %s: hmac-derive and aes-gcm are the ones", name);
    DKV_TRY(dkv_p11_mechanisms(self->functions, self->token.slot, &offered, &n, err));
    for (size_t i = 0; dkv_p11_profiles[i] != NULL; i++) {
        const struct dkv_p11_profile *profile = dkv_p11_profiles[i];
        if ((named == NULL || named == profile) && dkv_p11_profile_is_offered(profile, offered, n)) {
            *ret = profile;
            return DKV_OK;
        }
    }
    return dkv_fail(err, DKV_E_INVALID, "token %s lacks the mechanisms of %s", self->token.label,
                    named != NULL ? named->name : "every wrap profile (CKM_SHA256_HMAC, or CKM_AES_GCM)");
}

static enum dkv_rc in_session(struct creation *creation, struct dkv_cmk_info *info, struct dkv_error *err)
{
    CK_RV rv = CKR_OK;
    struct dkv_provider *self = creation->self;
    DKV_TRY(dkv_p11_session_open(self->functions, &self->token, CKF_RW_SESSION, &creation->session, &rv, err));
    const enum dkv_rc rc = make(creation, info, err);
    (void)self->functions->C_CloseSession(creation->session);
    return rc;
}

static enum dkv_rc with_state_lock(struct creation *creation, const struct dkv_call *call, struct dkv_cmk_info *info,
                                   struct dkv_error *err)
{
    const struct dkv_host *host = creation->self->host;
    char key[48];
    int lock = -1;
    (void)snprintf(key, sizeof(key), "create/%s", creation->self->token.identity);
    DKV_TRY(host->state_lock(host, key, dkv_p11_remaining_ms(creation->self, call), &lock, err));
    const enum dkv_rc rc = in_session(creation, info, err);
    host->state_unlock(lock);
    return rc;
}

/* References that start so mean something else, so no label may. */
static enum dkv_rc check_request(const struct dkv_cmk_request *request, struct dkv_error *err)
{
    struct dkv_p11_reference parsed = {0};
    DKV_CHECK(request->label != NULL && request->label[0] != '\0', err, DKV_E_INVALID, "a CMK needs a label");
    DKV_CHECK(strncmp(request->label, "id:", 3) != 0 && strncmp(request->label, "pkcs11:", 7) != 0, err, DKV_E_INVALID,
              "a CMK's label doesn't start with id: or pkcs11:");
    for (const char *at = request->label; *at != '\0'; at++) {
        DKV_CHECK((unsigned char)*at >= 0x20 && *at != 0x7f, err, DKV_E_INVALID,
                  "a CMK's label has no control characters");
    }
    return dkv_p11_reference_parse(request->label, DKV_E_INVALID, &parsed, err);
}

enum dkv_rc dkv_p11_create(struct dkv_provider *self, const struct dkv_call *call,
                           const struct dkv_cmk_request *request, struct dkv_cmk_info *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_freep) struct dkv_cmk_info *info = dkv_calloc(1, sizeof(*info));
    struct creation creation = {.self = self, .label = request->label};
    if (info == NULL) {
        return dkv_fail_memory(err);
    }
    DKV_TRY(check_request(request, err));
    DKV_P11_HOLD(&self->lock);
    DKV_TRY(dkv_p11_connect(self, call, err));
    DKV_TRY(choose_profile(self, request->profile, &creation.profile, err));
    DKV_TRY(with_state_lock(&creation, call, info, err));
    *ret = *info;
    return DKV_OK;
}
