/* SPDX-License-Identifier: Apache-2.0 */
/* The serial of the token that an entry first logged in to, kept in the state folder: a label can be copied to another
 * token, which would then be sent the PIN. Lock: the caller holds the token's state lock. */
#include "providers/pkcs11/internal.h"

/* A serial may be blank, a record may not. */
#define MARK "serial:"

static enum dkv_rc get(const struct dkv_provider *self, struct dkv_buf *ret, struct dkv_error *err)
{
    struct dkv_error own = {0};
    const enum dkv_rc rc = self->host->state_get(self->host, self->token_key, ret, &own);
    if (rc == DKV_E_NOT_FOUND) {
        ret->len = 0;
        return DKV_OK;
    }
    return dkv_fail_as(err, rc, &own);
}

static enum dkv_rc written(const struct dkv_provider *self, struct dkv_buf *ret, struct dkv_error *err)
{
    return dkv_buf_printf(ret, err, MARK "%s", self->token.serial);
}

enum dkv_rc dkv_p11_serial_check(const struct dkv_provider *self, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf seen = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf now = {0};
    DKV_TRY(get(self, &seen, err));
    DKV_TRY(written(self, &now, err));
    DKV_CHECK(seen.len == 0 || dkv_span_equal(dkv_span_buf(&seen), dkv_span_buf(&now)), err, DKV_E_POLICY,
              "token %s has serial %s, not the one of earlier logins: another token may have taken its place, so no "
              "PIN is sent; if the "
              "change is yours, accept it with `dekvault token login %s --once --accept-serial`",
              self->token.label, self->token.serial, self->settings->id);
    return DKV_OK;
}

enum dkv_rc dkv_p11_serial_remember(const struct dkv_provider *self, bool replace, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf seen = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf now = {0};
    DKV_TRY(get(self, &seen, err));
    DKV_TRY(written(self, &now, err));
    if (seen.len > 0 && (!replace || dkv_span_equal(dkv_span_buf(&seen), dkv_span_buf(&now)))) {
        return DKV_OK;
    }
    return self->host->state_put(self->host, self->token_key, seen.len > 0 ? dkv_span_buf(&seen) : dkv_span(NULL, 0),
                                 dkv_span_buf(&now), err);
}
