/* SPDX-License-Identifier: Apache-2.0 */
/* From the entry to its module and the token in it. A token that isn't seen at once is looked for again for a moment:
 * SoftHSM 2.6.1 doesn't see one, or not its PIN, whose file another process is just writing, and it reads the files in
 * C_Initialize only. So the module is started anew, but never under a call of ours or of somebody else in this
 * process: only before the instance is first connected, and only when no one else holds it. Lock: the instance's. */
#include "providers/pkcs11/internal.h"

#include <time.h>

#include "base/crypto.h"

/* Together with one start of the module: how long an absent token lets its callers wait. */
#define PATIENCE_MS 500
#define FIRST_PAUSE_MS 8
#define LAST_PAUSE_MS 64

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

static void put_module(struct dkv_provider *self)
{
    dkv_p11_module_put(self->module);
    self->module = NULL;
    self->functions = NULL;
}

static enum dkv_rc look(struct dkv_provider *self, struct dkv_error *err)
{
    DKV_TRY(get_module(self, err));
    return dkv_p11_token_find(self->functions, self->uri, self->settings->id, &self->token, err);
}

/* Of random length, since those that came at one time would come again at one time. */
static void pause_for(uint32_t pause_ms)
{
    uint8_t byte = 0;
    (void)!dkv_random(&byte, sizeof(byte), NULL);
    const long ms = (long)(pause_ms / 2 + pause_ms * byte / 256);
    const struct timespec pause = {.tv_nsec = ms * 1000000L};
    (void)nanosleep(&pause, NULL);
}

static enum dkv_rc restart(struct dkv_provider *self, struct dkv_error *err)
{
    if (self->module == NULL) { /* it didn't start; look will load it */
        return DKV_OK;
    }
    const enum dkv_rc rc = dkv_p11_module_restart(self->module, err);
    if (rc != DKV_OK) {
        put_module(self);
    }
    return rc;
}

static enum dkv_rc look_again(struct dkv_provider *self, struct dkv_error *err)
{
    if (self->generation == 0 && self->module != NULL) {
        DKV_TRY(restart(self, err));
    }
    return look(self, err);
}

enum dkv_rc dkv_p11_token_reread(struct dkv_provider *self, const struct dkv_call *call, struct dkv_error *err)
{
    DKV_TRY(dkv_p11_check_call(self, call, err));
    pause_for(LAST_PAUSE_MS);
    return restart(self, err);
}

enum dkv_rc dkv_p11_token_await(struct dkv_provider *self, const struct dkv_call *call, struct dkv_error *err)
{
    struct dkv_error own = {0};
    enum dkv_rc rc = look(self, &own);
    if (rc == DKV_E_UNREACHABLE) {
        const int64_t end = self->host->monotonic_ms() + PATIENCE_MS;
        uint32_t pause_ms = FIRST_PAUSE_MS;
        while (rc == DKV_E_UNREACHABLE && self->host->monotonic_ms() + pause_ms < end) {
            DKV_TRY(dkv_p11_check_call(self, call, err));
            pause_for(pause_ms);
            own = (struct dkv_error){0};
            rc = look_again(self, &own);
            pause_ms = pause_ms < LAST_PAUSE_MS ? 2 * pause_ms : pause_ms;
        }
    }
    return dkv_fail_as(err, rc, &own);
}
