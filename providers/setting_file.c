/* SPDX-License-Identifier: Apache-2.0 */
/* Secret files judged by owner, mode and folder, long before a provider reads them. No state, no lock. */
#include "providers/setting_file.h"

#include <string.h>

#include "base/file.h"

enum dkv_rc dkv_setting_file_check(const struct dkv_provider_settings *settings, const char *setting,
                                   const struct dkv_value *value, dkv_setting_fault_fn report, void *arg,
                                   struct dkv_error *err)
{
    struct dkv_error own = {0};
    if (value->text == NULL || strncmp(value->text, "file:", 5) != 0) {
        return DKV_OK;
    }
    if (dkv_secret_file_judge(value->text + 5, settings->allow_group_read, &own) == DKV_OK) {
        return DKV_OK;
    }
    const struct dkv_setting_fault fault = {
        .line = value->line, .setting = setting, .warning = true, .message = own.message};
    return report(arg, &fault, err);
}
