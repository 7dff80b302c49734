/* SPDX-License-Identifier: Apache-2.0 */
/* Words for states and capabilities, as they are printed. Constant; no lock. */
#include "cli/names.h"

const char *dkv_cmk_state_name(enum dkv_cmk_state state)
{
    static const char *const names[] = {
        [DKV_CMK_ENABLED] = "enabled",
        [DKV_CMK_DISABLED] = "disabled",
        [DKV_CMK_PENDING_DELETION] = "pending-deletion",
        [DKV_CMK_UNUSABLE] = "unusable",
    };
    return (size_t)state < DKV_COUNT(names) ? names[state] : "unusable";
}

const char *dkv_status_name(int status)
{
    return status == 0 ? "enabled" : "disabled";
}

static const struct {
    uint32_t bit;
    const char *name;
} capability_names[] = {
    {DKV_CAP_BOUND, "bound"},
    {DKV_CAP_AUTHENTIC, "authentic"},
    {DKV_CAP_STOCK, "stock"},
    {DKV_CAP_SERVER_REWRAP, "server-rewrap"},
};

static enum dkv_rc append_names(struct dkv_buf *out, uint32_t capabilities, const char *quote, const char *between,
                                struct dkv_error *err)
{
    bool first = true;
    for (size_t i = 0; i < DKV_COUNT(capability_names); i++) {
        if ((capabilities & capability_names[i].bit) != 0) {
            DKV_TRY(dkv_buf_printf(out, err, "%s%s%s%s", first ? "" : between, quote, capability_names[i].name, quote));
            first = false;
        }
    }
    return DKV_OK;
}

enum dkv_rc dkv_capabilities_json(struct dkv_buf *out, uint32_t capabilities, struct dkv_error *err)
{
    DKV_TRY(dkv_buf_append_str(out, "[", err));
    DKV_TRY(append_names(out, capabilities, "\"", ",", err));
    return dkv_buf_append_str(out, "]", err);
}

enum dkv_rc dkv_capabilities_text(struct dkv_buf *out, uint32_t capabilities, struct dkv_error *err)
{
    return append_names(out, capabilities, "", " ", err);
}
