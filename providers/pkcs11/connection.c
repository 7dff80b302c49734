/* SPDX-License-Identifier: Apache-2.0 */
/* The way from an entry to its token: module, slot, one session that keeps the login, login. Made at first use and made
 * anew when session, login or token are lost. Invariant: is_connected means module, token, main session and login are
 * there, in this process; generation counts connections, and what was learnt in an earlier one (handles, sessions,
 * judged CMKs) is not used in a later one. Lock: the instance's. */
#include "providers/pkcs11/internal.h"

#include <unistd.h>

#define FIRST_TRIES 4

/* The sessions of a parent process are the parent's: closing them in the child would log the parent out of some tokens.
 */
static enum dkv_rc check_process(const struct dkv_provider *self, struct dkv_error *err)
{
    DKV_CHECK(self->generation == 0 || self->pid == getpid(), err, DKV_E_INVALID,
              "token %s was in use before fork and can't be used in the child: open the vault again in the child",
              self->token.label);
    return DKV_OK;
}

static void forget(struct dkv_provider *self)
{
    self->is_connected = false;
    self->n_known = 0;
    for (size_t i = 0; i < self->n_listed; i++) {
        self->listed[i].is_resolved = false;
    }
}

void dkv_p11_disconnect(struct dkv_provider *self)
{
    forget(self);
    if (self->functions == NULL || self->generation == 0 || self->pid != getpid()) {
        return;
    }
    dkv_p11_pool_reset(&self->pool, self->functions, self->generation + 1);
    if (self->main != CK_INVALID_HANDLE) {
        (void)self->functions->C_CloseSession(self->main);
        self->main = CK_INVALID_HANDLE;
    }
}

static enum dkv_rc connect_once(struct dkv_provider *self, const struct dkv_call *call,
                                const struct dkv_p11_login_options *options, struct dkv_error *err)
{
    CK_RV rv = CKR_OK;
    self->is_pin_sent = false;
    DKV_TRY(dkv_p11_token_await(self, call, err));
    self->pid = getpid();
    self->generation++;
    dkv_p11_pool_reset(&self->pool, self->functions, self->generation);
    DKV_TRY(dkv_p11_session_open(self->functions, &self->token, 0, &self->main, &rv, err));
    DKV_TRY(dkv_p11_login(self, call, options, err));
    self->is_connected = true;
    return DKV_OK;
}

static enum dkv_rc connect_anew(struct dkv_provider *self, const struct dkv_call *call,
                                const struct dkv_p11_login_options *options, struct dkv_error *err)
{
    const enum dkv_rc rc = connect_once(self, call, options, err);
    if (rc != DKV_OK) {
        dkv_p11_disconnect(self);
    }
    return rc;
}

/* A token that was found, and then has no PIN, or another serial after none, or fails a call before any PIN was sent, was
 * read while it was written (await.c). In no case a PIN was compared. */
static bool may_be_half_read(const struct dkv_provider *self, enum dkv_rc rc, const struct dkv_error *err)
{
    if (rc == DKV_OK || self->generation == 0) {
        return false;
    }
    const CK_RV rv = err->native_system == DKV_NATIVE_PKCS11 ? (CK_RV)err->native_code : CKR_OK;
    return rv == CKR_USER_PIN_NOT_INITIALIZED ||
           (!self->is_pin_sent &&
            (rv == CKR_GENERAL_ERROR || (rc == DKV_E_UNREACHABLE && self->token.serial[0] == '\0')));
}

/* Each login is guarded as if it were the first. */
static enum dkv_rc connect_first(struct dkv_provider *self, const struct dkv_call *call,
                                 const struct dkv_p11_login_options *options, struct dkv_error *err)
{
    struct dkv_error own = {0};
    enum dkv_rc rc = connect_anew(self, call, options, &own);
    for (int i = 1; i < FIRST_TRIES && may_be_half_read(self, rc, &own); i++) {
        DKV_TRY(dkv_p11_token_reread(self, call, err));
        self->generation = 0; /* nothing was learnt in it */
        own = (struct dkv_error){0};
        rc = connect_anew(self, call, options, &own);
    }
    return dkv_fail_as(err, rc, &own);
}

enum dkv_rc dkv_p11_connect_with(struct dkv_provider *self, const struct dkv_call *call,
                                 const struct dkv_p11_login_options *options, struct dkv_error *err)
{
    DKV_TRY(check_process(self, err));
    if (self->is_connected && !options->is_deliberate) {
        return DKV_OK;
    }
    DKV_TRY(dkv_p11_check_call(self, call, err));
    dkv_p11_disconnect(self);
    return self->generation == 0 ? connect_first(self, call, options, err) : connect_anew(self, call, options, err);
}

enum dkv_rc dkv_p11_connect(struct dkv_provider *self, const struct dkv_call *call, struct dkv_error *err)
{
    static const struct dkv_p11_login_options ordinary = {.is_deliberate = false};
    return dkv_p11_connect_with(self, call, &ordinary, err);
}

enum dkv_rc dkv_p11_reconnect(struct dkv_provider *self, const struct dkv_call *call, uint64_t generation,
                              struct dkv_error *err)
{
    DKV_P11_HOLD(&self->lock);
    if (self->generation == generation) {
        dkv_p11_disconnect(self);
    }
    return dkv_p11_connect(self, call, err);
}
