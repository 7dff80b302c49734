/* SPDX-License-Identifier: Apache-2.0 */
/* What a token says about a CMK, held against what a CMK must be. Attributes are read one by one, since tokens disagree
 * about what a read of several gives when one is unknown. CKA_CHECK_VALUE is never read: an AES key's is the start of
 * GCM's hash key. What a token can't tell only warns: it would say so of every CMK. No state; the instance's lock. */
#include "providers/pkcs11/internal.h"

#include <stdarg.h>
#include <stdio.h>

#define MECHANISMS_MAX 32

enum answer { IS_FALSE, IS_TRUE, UNTOLD };

static enum answer read_bool(const struct dkv_provider *self, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL value = CK_FALSE;
    CK_ATTRIBUTE attribute = {type, &value, sizeof(value)};
    const CK_RV rv = self->functions->C_GetAttributeValue(self->main, object, &attribute, 1);
    if (rv != CKR_OK || attribute.ulValueLen != sizeof(value)) {
        return UNTOLD;
    }
    return value == CK_FALSE ? IS_FALSE : IS_TRUE;
}

static bool read_ulong(const struct dkv_provider *self, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, CK_ULONG *ret)
{
    CK_ULONG value = 0;
    CK_ATTRIBUTE attribute = {type, &value, sizeof(value)};
    if (self->functions->C_GetAttributeValue(self->main, object, &attribute, 1) != CKR_OK ||
        attribute.ulValueLen != sizeof(value)) {
        return false;
    }
    *ret = value;
    return true;
}

/* ---- Findings ---- */

enum verdict { GOOD, WARNS, REFUSES };

static size_t add(struct dkv_cmk_info *info, const char *check, enum verdict verdict, const char *format, ...)
    DKV_PRINTF(4, 5);

/* Returns 1 when it refuses. */
static size_t add(struct dkv_cmk_info *info, const char *check, enum verdict verdict, const char *format, ...)
{
    va_list arguments;
    if (info->n_findings == DKV_FINDINGS_MAX) {
        return verdict == REFUSES ? 1 : 0;
    }
    struct dkv_finding *finding = &info->findings[info->n_findings++];
    *finding = (struct dkv_finding){.check = check, .ok = verdict == GOOD, .refuses = verdict == REFUSES};
    va_start(arguments, format);
    if (vsnprintf(finding->detail, sizeof(finding->detail), format, arguments) < 0) {
        finding->detail[0] = '\0';
    }
    va_end(arguments);
    return verdict == REFUSES ? 1 : 0;
}

/* ---- Booleans ---- */

struct rule {
    const char *check;
    CK_ATTRIBUTE_TYPE type;
    const char *name;
    bool wanted;
    enum verdict otherwise;
    const char *why;
};

static const struct rule rules[] = {
    {"token", CKA_TOKEN, "CKA_TOKEN", true, REFUSES, "it would be gone with the session"},
    {"sensitive", CKA_SENSITIVE, "CKA_SENSITIVE", true, REFUSES, "its value can be read out of the token"},
    {"extractable", CKA_EXTRACTABLE, "CKA_EXTRACTABLE", false, REFUSES, "it can be taken out of the token"},
    {"always-sensitive", CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE", true, WARNS, "its value could be read before"},
    {"never-extractable", CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE", true, WARNS,
     "a copy may be outside the token"},
    {"local", CKA_LOCAL, "CKA_LOCAL", true, WARNS, "it wasn't made in the token"},
    {"private", CKA_PRIVATE, "CKA_PRIVATE", true, WARNS, "it can be used without a login"},
    {"modifiable", CKA_MODIFIABLE, "CKA_MODIFIABLE", false, WARNS, "its attributes can be changed"},
    {"copyable", CKA_COPYABLE, "CKA_COPYABLE", false, WARNS, "a copy with other attributes can be made"},
};

static size_t judge_rule(const struct dkv_provider *self, const struct dkv_p11_key *key, const struct rule *rule,
                         struct dkv_cmk_info *info)
{
    const enum answer answer = read_bool(self, key->handle, rule->type);
    if (answer == UNTOLD) {
        return add(info, rule->check, WARNS, "the token doesn't tell %s", rule->name);
    }
    if ((answer == IS_TRUE) == rule->wanted) {
        return add(info, rule->check, GOOD, "%s is %s", rule->name, rule->wanted ? "true" : "false");
    }
    return add(info, rule->check, rule->otherwise, "%s is %s: %s", rule->name, rule->wanted ? "false" : "true",
               rule->why);
}

/* ---- One purpose only ---- */

static const struct {
    CK_ATTRIBUTE_TYPE type;
    const char *name;
} usages[] = {
    {CKA_SIGN, "sign"}, {CKA_VERIFY, "verify"}, {CKA_ENCRYPT, "encrypt"}, {CKA_DECRYPT, "decrypt"},
    {CKA_WRAP, "wrap"}, {CKA_UNWRAP, "unwrap"}, {CKA_DERIVE, "derive"},
};

static bool is_needed(const struct dkv_p11_profile *profile, CK_ATTRIBUTE_TYPE usage)
{
    for (size_t i = 0; i < profile->n_usages; i++) {
        if (profile->usages[i] == usage) {
            return true;
        }
    }
    return false;
}

/* Verifying an HMAC gives nothing that signing doesn't. */
static bool is_harmless(const struct dkv_p11_profile *profile, CK_ATTRIBUTE_TYPE usage)
{
    return usage == CKA_VERIFY && is_needed(profile, CKA_SIGN);
}

static size_t judge_usages(const struct dkv_provider *self, const struct dkv_p11_key *key, struct dkv_cmk_info *info)
{
    char also[64] = "";
    size_t at = 0;
    for (size_t i = 0; i < DKV_COUNT(usages); i++) {
        const enum answer answer = read_bool(self, key->handle, usages[i].type);
        const bool needed = is_needed(key->profile, usages[i].type);
        if (needed && answer == IS_FALSE) {
            return add(info, "usage", REFUSES, "it may not %s, which profile %s needs", usages[i].name,
                       key->profile->name);
        }
        if (!needed && answer == IS_TRUE && !is_harmless(key->profile, usages[i].type)) {
            at = dkv_line_put(also, sizeof(also), at, at > 0 ? ", " : "");
            at = dkv_line_put(also, sizeof(also), at, usages[i].name);
        }
    }
    if (at > 0) {
        return add(info, "usage", WARNS, "it may also %s: a CMK has one purpose", also);
    }
    return add(info, "usage", GOOD, "only what profile %s needs", key->profile->name);
}

static size_t judge_mechanisms(const struct dkv_provider *self, const struct dkv_p11_key *key,
                               struct dkv_cmk_info *info)
{
    CK_MECHANISM_TYPE allowed[MECHANISMS_MAX];
    CK_ATTRIBUTE attribute = {CKA_ALLOWED_MECHANISMS, allowed, sizeof(allowed)};
    const CK_RV rv = self->functions->C_GetAttributeValue(self->main, key->handle, &attribute, 1);
    if (rv == CKR_BUFFER_TOO_SMALL) {
        return add(info, "mechanisms", WARNS, "CKA_ALLOWED_MECHANISMS has more than %d", MECHANISMS_MAX);
    }
    if (rv != CKR_OK || attribute.ulValueLen == 0 || attribute.ulValueLen > sizeof(allowed)) {
        return add(info, "mechanisms", WARNS,
                   "CKA_ALLOWED_MECHANISMS isn't set: every mechanism of its key type may use it");
    }
    const size_t n = attribute.ulValueLen / sizeof(allowed[0]);
    for (size_t i = 0; i < n; i++) {
        if (allowed[i] == key->profile->use) {
            return add(info, "mechanisms", n == 1 ? GOOD : WARNS, "CKA_ALLOWED_MECHANISMS has %zu, %s", n,
                       n == 1 ? "the one of its profile" : "more than its profile needs");
        }
    }
    return add(info, "mechanisms", REFUSES, "CKA_ALLOWED_MECHANISMS lacks the mechanism of profile %s",
               key->profile->name);
}

static size_t judge_length(const struct dkv_provider *self, const struct dkv_p11_key *key, struct dkv_cmk_info *info)
{
    CK_ULONG len = 0;
    if (!read_ulong(self, key->handle, CKA_VALUE_LEN, &len)) {
        return add(info, "length", WARNS, "the token doesn't tell CKA_VALUE_LEN");
    }
    if (len < key->profile->min_len || (key->profile->max_len != 0 && len > key->profile->max_len)) {
        return add(info, "length", REFUSES, "it is %lu bytes long; profile %s needs %lu%s", len, key->profile->name,
                   key->profile->min_len, key->profile->max_len != 0 ? "" : " or more");
    }
    return add(info, "length", GOOD, "%lu bytes", len);
}

size_t dkv_p11_judge(const struct dkv_provider *self, const struct dkv_p11_key *key, struct dkv_cmk_info *info)
{
    size_t n = 0;
    for (size_t i = 0; i < DKV_COUNT(rules); i++) {
        n += judge_rule(self, key, &rules[i], info);
    }
    n += judge_usages(self, key, info);
    n += judge_mechanisms(self, key, info);
    return n + judge_length(self, key, info);
}
