/* SPDX-License-Identifier: Apache-2.0 */
/* `token list`: what is plugged in, in the modules of the provider file and in those registered with p11-kit. Nobody
 * logs in. No state; the modules have their own lock. */
#include "providers/pkcs11/internal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define SEEN_MAX 64

struct listing {
    dkv_token_visit_fn visit;
    void *arg;
    char *seen[SEEN_MAX]; /* resolved paths */
    size_t n_seen;
};

/* ---- Slots ---- */

static bool can_hold_cmks(CK_FUNCTION_LIST *functions, CK_SLOT_ID slot)
{
    DKV_CLEANUP(dkv_freep) CK_MECHANISM_TYPE *offered = NULL;
    CK_ULONG n = 0;
    if (dkv_p11_mechanisms(functions, slot, &offered, &n, NULL) != DKV_OK) {
        return false;
    }
    for (CK_ULONG i = 0; i < n; i++) {
        if (offered[i] == dkv_p11_hmac_derive.use || offered[i] == dkv_p11_aes_gcm.use) {
            return true;
        }
    }
    return false;
}

/* "" when it is usable. */
static const char *why_unusable(CK_FUNCTION_LIST *functions, const struct dkv_p11_token *token)
{
    static const struct {
        CK_FLAGS mask, bad;
        const char *reason;
    } rows[] = {
        {CKF_TOKEN_INITIALIZED, 0, "the token isn't initialised"},
        {CKF_USER_PIN_LOCKED, CKF_USER_PIN_LOCKED, "its PIN is locked"},
        {CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_FINAL_TRY, "its PIN has one try left"},
        {CKF_USER_PIN_TO_BE_CHANGED, CKF_USER_PIN_TO_BE_CHANGED, "its PIN must be changed"},
        {CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED, CKF_LOGIN_REQUIRED, "no user PIN is set"},
    };
    for (size_t i = 0; i < DKV_COUNT(rows); i++) {
        if ((token->flags & rows[i].mask) == rows[i].bad) {
            return rows[i].reason;
        }
    }
    return can_hold_cmks(functions, token->slot) ? "" : "it has neither CKM_SHA256_HMAC nor CKM_AES_GCM";
}

static enum dkv_rc visit_slot(const struct listing *listing, const char *path, CK_FUNCTION_LIST *functions,
                              CK_SLOT_ID slot, struct dkv_error *err)
{
    CK_TOKEN_INFO info = {0};
    struct dkv_p11_token token = {0};
    const CK_RV rv = functions->C_GetTokenInfo(slot, &info);
    if (rv == CKR_OK) {
        dkv_p11_token_describe(&info, slot, &token);
    }
    const char *reason = rv == CKR_OK                  ? why_unusable(functions, &token)
                         : rv == CKR_TOKEN_NOT_PRESENT ? "there is no token in the slot"
                                                       : dkv_p11_rv_name(rv);
    const struct dkv_token_info shown = {.module = path,
                                         .label = token.label,
                                         .serial = token.serial,
                                         .manufacturer = token.manufacturer,
                                         .model = token.model,
                                         .usable = reason[0] == '\0',
                                         .reason = reason};
    return listing->visit(listing->arg, &shown, err);
}

static enum dkv_rc visit_unusable(const struct listing *listing, const char *path, const char *reason,
                                  struct dkv_error *err)
{
    const struct dkv_token_info shown = {
        .module = path, .label = "", .serial = "", .manufacturer = "", .model = "", .reason = reason};
    return listing->visit(listing->arg, &shown, err);
}

static enum dkv_rc visit_slots(const struct listing *listing, const char *path, CK_FUNCTION_LIST *functions,
                               struct dkv_error *err)
{
    DKV_CLEANUP(dkv_freep) CK_SLOT_ID *slots = NULL;
    struct dkv_error own = {0};
    CK_ULONG n = 0;
    if (dkv_p11_slots(functions, CK_FALSE, &slots, &n, &own) != DKV_OK) {
        return visit_unusable(listing, path, own.message, err);
    }
    for (CK_ULONG i = 0; i < n; i++) {
        DKV_TRY(visit_slot(listing, path, functions, slots[i], err));
    }
    return DKV_OK;
}

/* ---- Modules, each once ---- */

/* true: not seen before. */
static bool remember(struct listing *listing, const char *path)
{
    char resolved[PATH_MAX];
    const char *name = realpath(path, resolved) != NULL ? resolved : path;
    for (size_t i = 0; i < listing->n_seen; i++) {
        if (strcmp(listing->seen[i], name) == 0) {
            return false;
        }
    }
    if (listing->n_seen < SEEN_MAX && (listing->seen[listing->n_seen] = dkv_strdup(name)) != NULL) {
        listing->n_seen++;
    }
    return true;
}

static enum dkv_rc visit_given(struct listing *listing, const struct dkv_module_name *name, struct dkv_error *err)
{
    struct dkv_error own = {0};
    struct dkv_p11_module *module = NULL;
    if (!remember(listing, name->path)) {
        return DKV_OK;
    }
    if (dkv_p11_module_get(name->path, name->init, &module, &own) != DKV_OK) {
        return visit_unusable(listing, name->path, own.message, err);
    }
    const enum dkv_rc rc = visit_slots(listing, name->path, dkv_p11_module_functions(module), err);
    dkv_p11_module_put(module);
    return rc;
}

static enum dkv_rc visit_registered(struct listing *listing, CK_FUNCTION_LIST *functions, struct dkv_error *err)
{
    char *path = p11_kit_module_get_filename(functions);
    char *name = path == NULL ? p11_kit_module_get_name(functions) : NULL;
    const char *shown = path != NULL ? path : name != NULL ? name : "?";
    enum dkv_rc rc = DKV_OK;
    if (remember(listing, shown)) {
        const CK_RV rv = p11_kit_module_initialize(functions);
        rc = rv == CKR_OK ? visit_slots(listing, shown, functions, err)
                          : visit_unusable(listing, shown, dkv_p11_rv_name(rv), err);
        if (rv == CKR_OK) {
            (void)p11_kit_module_finalize(functions);
        }
    }
    free(path); /* the library's own allocation */
    free(name);
    return rc;
}

static enum dkv_rc visit_all_registered(struct listing *listing, struct dkv_error *err)
{
    CK_FUNCTION_LIST **modules = p11_kit_modules_load(NULL, 0);
    enum dkv_rc rc = DKV_OK;
    if (modules == NULL) {
        return DKV_OK;
    }
    for (size_t i = 0; modules[i] != NULL && rc == DKV_OK; i++) {
        rc = visit_registered(listing, modules[i], err);
    }
    p11_kit_modules_release(modules);
    return rc;
}

enum dkv_rc dkv_token_list(const struct dkv_module_name *modules, size_t n, dkv_token_visit_fn visit, void *arg,
                           struct dkv_error *err)
{
    struct listing listing = {.visit = visit, .arg = arg};
    enum dkv_rc rc = DKV_OK;
    for (size_t i = 0; i < n && rc == DKV_OK; i++) {
        rc = visit_given(&listing, &modules[i], err);
    }
    if (rc == DKV_OK) {
        rc = visit_all_registered(&listing, err);
    }
    for (size_t i = 0; i < listing.n_seen; i++) {
        dkv_free(listing.seen[i]);
    }
    return rc;
}
