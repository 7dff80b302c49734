/* SPDX-License-Identifier: Apache-2.0 */
/* The way from an entry to its token: module, slot, one session that keeps the login, login. Made at first use and made
 * anew when session, login or token are lost. Invariant: is_connected means module, token, main session and login are
 * there, in this process; generation counts connections, and what was learnt in an earlier one (handles, sessions,
 * judged CMKs) is not used in a later one. Lock: the instance's. */
#include "providers/pkcs11/internal.h"

#include <unistd.h>

enum dkv_rc dkv_p11_check_call(const struct dkv_provider *self, const struct dkv_call *call, struct dkv_error *err)
{
    DKV_CHECK(call->cancelled == NULL || *call->cancelled == 0, err, DKV_E_CANCELLED, "the call was cancelled");
    DKV_CHECK(call->deadline_ms == 0 || self->host->monotonic_ms() < call->deadline_ms, err, DKV_E_UNREACHABLE,
              "the call took longer than its time (timeout-ms)");
    return DKV_OK;
}

uint32_t dkv_p11_remaining_ms(const struct dkv_provider *self, const struct dkv_call *call)
{
    if (call->deadline_ms == 0) {
        return self->settings->timeout_ms > 0 ? self->settings->timeout_ms : 1;
    }
    const int64_t rest = call->deadline_ms - self->host->monotonic_ms();
    return rest < 1 ? 1 : rest > INT32_MAX ? INT32_MAX : (uint32_t)rest;
}

/* The sessions of a parent process are the parent's: closing them in the child would log the parent out of some tokens.
 */
static enum dkv_rc check_process(const struct dkv_provider *self, struct dkv_error *err)
{
    DKV_CHECK(self->generation == 0 || self->pid == getpid(), err, DKV_E_INVALID,
              "token %s was in use before fork and can't be used in the child: open the vault again in the child",
              self->token.label);
    return DKV_OK;
}

static enum dkv_rc get_module(struct dkv_provider *self, struct dkv_error *err)
{
    if (self->module != NULL) {
        return DKV_OK;
    }
    DKV_TRY(dkv_p11_module_get(dkv_p11_option(self, DKV_P11_OPTION_MODULE)->text,
                               dkv_p11_option(self, DKV_P11_OPTION_MODULE_INIT)->text, &self->module, err));
    self->functions = dkv_p11_module_functions(self->module);
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

static enum dkv_rc connect_anew(struct dkv_provider *self, const struct dkv_call *call,
                                const struct dkv_p11_login_options *options, struct dkv_error *err)
{
    CK_RV rv = CKR_OK;
    DKV_TRY(get_module(self, err));
    DKV_TRY(dkv_p11_token_find(self->functions, self->uri, self->settings->id, &self->token, err));
    self->pid = getpid();
    self->generation++;
    dkv_p11_pool_reset(&self->pool, self->functions, self->generation);
    DKV_TRY(dkv_p11_session_open(self->functions, &self->token, 0, &self->main, &rv, err));
    DKV_TRY(dkv_p11_login(self, call, options, err));
    self->is_connected = true;
    return DKV_OK;
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
    const enum dkv_rc rc = connect_anew(self, call, options, err);
    if (rc != DKV_OK) {
        dkv_p11_disconnect(self);
    }
    return rc;
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
