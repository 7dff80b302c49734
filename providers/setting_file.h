/* SPDX-License-Identifier: Apache-2.0 */
/* Files that settings name, judged while the provider file is read. Thread-safe; blocks on the disk alone. */
#ifndef PROVIDERS_SETTING_FILE_H
#define PROVIDERS_SETTING_FILE_H

#include "dekvault/provider.h"

/* dkv_setting_file_check: a setting whose value is a secret's source. Where that is a file which couldn't be used (it
 * is missing, or open to others), it is reported as a warning, since this machine may not use the provider at all.
 * Nothing of the file is read. Returns what report does. */
DKV_MUST_USE enum dkv_rc dkv_setting_file_check(const struct dkv_provider_settings *settings, const char *setting,
                                                const struct dkv_value *value, dkv_setting_fault_fn report, void *arg,
                                                struct dkv_error *err);

#endif
