/* SPDX-License-Identifier: Apache-2.0 */
/* One setting's value, judged by its option. */
#ifndef BASE_SETTING_VALUE_H
#define BASE_SETTING_VALUE_H

#include "base/settings.h"

#define DKV_WRONG_MAX 384

/* dkv_value_read: node's value as option wants it. A value that is wrong: wrong (DKV_WRONG_MAX bytes) gets the
 * words, without the value, and *ret its line alone; else wrong is "". *ret is owned: dkv_value_done(). Fails only
 * for want of memory. */
DKV_MUST_USE enum dkv_rc dkv_value_read(const struct dkv_option *option, const struct dkv_node *node,
                                        struct dkv_value *ret, char *wrong, struct dkv_error *err);
/* dkv_value_default: the option's fallback; *ret is {0} without one. DKV_E_INTERNAL: the fallback doesn't fit its
 * own option. */
DKV_MUST_USE enum dkv_rc dkv_value_default(const struct dkv_option *option, struct dkv_value *ret,
                                           struct dkv_error *err);
void dkv_value_done(struct dkv_value *value);

#endif
