/* SPDX-License-Identifier: Apache-2.0 */
/* The guard remembers in the state folder which PIN source failed with which token, so that cron, restarts and twenty
 * processes with one wrong PIN make one attempt together, not as many as lock the token. Invariant: the memory is
 * written before a PIN is sent and taken back when it was right, so a process that dies in between leaves it behind;
 * after an attempt that proved nothing it is what it was before.
 * Lock: the caller holds the token's state lock from check to clear. Nothing is derived from a PIN. */
#include "providers/pkcs11/internal.h"

/* No state folder, no PIN: without memory each start would be an attempt. */
static enum dkv_rc fail_state(enum dkv_rc rc, struct dkv_error *err)
{
    dkv_error_prefix(err, "no PIN is sent, because the memory of wrong PINs can't be kept: ");
    if (err != NULL && rc != DKV_E_RESOURCE) {
        err->rc = DKV_E_CONFIG;
    }
    return rc == DKV_E_RESOURCE ? rc : DKV_E_CONFIG;
}

/* The record, empty when there is none. */
static enum dkv_rc get(const struct dkv_provider *self, const struct dkv_p11_pin_source *source, struct dkv_buf *ret,
                       struct dkv_error *err)
{
    struct dkv_error own = {0};
    const enum dkv_rc rc = self->host->state_get(self->host, source->key, ret, &own);
    if (rc == DKV_E_NOT_FOUND) {
        ret->len = 0;
        return DKV_OK;
    }
    (void)dkv_fail_as(err, rc, &own);
    return rc == DKV_OK ? DKV_OK : fail_state(rc, err);
}

enum dkv_rc dkv_p11_guard_check(const struct dkv_provider *self, const struct dkv_p11_pin_source *source,
                                struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf record = {0};
    DKV_TRY(get(self, source, &record, err));
    const bool is_remembered =
        record.len > 0 && dkv_span_equal(dkv_span_buf(&record), dkv_span_str(source->fingerprint));
    DKV_CHECK(!is_remembered, err, DKV_E_POLICY,
              "token %s has refused the PIN from %s before, and it hasn't changed since: it isn't sent again, so that "
              "the token doesn't "
              "lock; correct the PIN, or try this one once more with `dekvault token login %s --once`",
              self->token.label, source->name, self->settings->id);
    return DKV_OK;
}

static enum dkv_rc put(const struct dkv_provider *self, const struct dkv_p11_pin_source *source, struct dkv_span value,
                       struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf old = {0};
    DKV_TRY(get(self, source, &old, err));
    const struct dkv_span expected = old.len > 0 ? dkv_span_buf(&old) : dkv_span(NULL, 0);
    if (old.len == 0 && value.len == 0) {
        return DKV_OK;
    }
    const enum dkv_rc rc = self->host->state_put(self->host, source->key, expected, value, err);
    return rc == DKV_OK ? DKV_OK : fail_state(rc, err);
}

enum dkv_rc dkv_p11_guard_arm(const struct dkv_provider *self, const struct dkv_p11_pin_source *source,
                              struct dkv_buf *ret_before, struct dkv_error *err)
{
    DKV_TRY(get(self, source, ret_before, err));
    return put(self, source, dkv_span_str(source->fingerprint), err);
}

enum dkv_rc dkv_p11_guard_restore(const struct dkv_provider *self, const struct dkv_p11_pin_source *source,
                                  struct dkv_span before, struct dkv_error *err)
{
    return put(self, source, before, err);
}

enum dkv_rc dkv_p11_guard_clear(const struct dkv_provider *self, const struct dkv_p11_pin_source *source,
                                struct dkv_error *err)
{
    return put(self, source, dkv_span(NULL, 0), err);
}
