/* SPDX-License-Identifier: Apache-2.0 */
/* The allow-list: the CMKs that an entry names in cmk and cmks, and no others. What text can decide is decided before
 * any contact; a label is looked up in the entry's own token, once a connection. Lock: the instance's. */
#include "providers/pkcs11/internal.h"

static size_t n_settings(const struct dkv_provider_settings *settings)
{
    return settings->n_cmks + (settings->cmk != NULL ? 1 : 0);
}

static const char *setting_at(const struct dkv_provider_settings *settings, size_t i)
{
    if (settings->cmk != NULL) {
        return i == 0 ? settings->cmk : settings->cmks[i - 1];
    }
    return settings->cmks[i];
}

enum dkv_rc dkv_p11_listed_open(struct dkv_provider *self, struct dkv_error *err)
{
    const struct dkv_provider_settings *settings = self->settings;
    const size_t n = n_settings(settings);
    self->listed = dkv_calloc(n > 0 ? n : 1, sizeof(*self->listed));
    if (self->listed == NULL) {
        return dkv_fail_memory(err);
    }
    self->n_listed = n;
    for (size_t i = 0; i < n; i++) {
        const enum dkv_rc rc =
            dkv_p11_reference_parse(setting_at(settings, i), DKV_E_CONFIG, &self->listed[i].reference, err);
        if (rc != DKV_OK) {
            dkv_error_prefix(err, "%s:%u: %s: ", settings->file, settings->line,
                             i == 0 && settings->cmk != NULL ? "cmk" : "cmks");
            return rc;
        }
    }
    return DKV_OK;
}

enum by_text { YES, NO, ASK_TOKEN };

static enum by_text decide_by_text(const struct dkv_p11_reference *reference, struct dkv_span id)
{
    if (reference->id_len == 0) {
        return ASK_TOKEN;
    }
    if (!dkv_span_equal(dkv_span(reference->id, reference->id_len), id)) {
        return NO;
    }
    return reference->has_label ? ASK_TOKEN : YES;
}

/* A label that the token doesn't have (any more) allows nothing and hinders nothing. */
static enum dkv_rc decide_by_token(struct dkv_provider *self, struct dkv_p11_listed *listed, struct dkv_span id,
                                   bool *ret, struct dkv_error *err)
{
    struct dkv_error own = {0};
    if (!listed->is_resolved) {
        const enum dkv_rc rc = dkv_p11_cmk_by_label(self, &listed->reference, listed->id, &listed->id_len, &own);
        if (rc != DKV_OK && rc != DKV_E_NOT_FOUND && err != NULL) {
            *err = own;
        }
        if (rc != DKV_OK) {
            return rc == DKV_E_NOT_FOUND ? DKV_OK : rc;
        }
        listed->is_resolved = true;
    }
    *ret = dkv_span_equal(dkv_span(listed->id, listed->id_len), id);
    return DKV_OK;
}

enum dkv_rc dkv_p11_is_listed(struct dkv_provider *self, const struct dkv_call *call, struct dkv_span id, bool *ret,
                              struct dkv_error *err)
{
    bool is_listed = false, asks = false;
    for (size_t i = 0; i < self->n_listed && !is_listed; i++) {
        const enum by_text decision = decide_by_text(&self->listed[i].reference, id);
        is_listed = decision == YES;
        asks = asks || decision == ASK_TOKEN;
    }
    if (is_listed || !asks) {
        *ret = is_listed;
        return DKV_OK;
    }
    DKV_P11_HOLD(&self->lock);
    DKV_TRY(dkv_p11_connect(self, call, err));
    for (size_t i = 0; i < self->n_listed && !is_listed; i++) {
        if (decide_by_text(&self->listed[i].reference, id) == ASK_TOKEN) {
            DKV_TRY(decide_by_token(self, &self->listed[i], id, &is_listed, err));
        }
    }
    *ret = is_listed;
    return DKV_OK;
}
