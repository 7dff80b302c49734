/* SPDX-License-Identifier: Apache-2.0 */
/* How long a call may still take. No state, no lock. */
#include "providers/pkcs11/internal.h"

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
