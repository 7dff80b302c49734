/* SPDX-License-Identifier: Apache-2.0 */
/* The check record of a CMK, kept in the store's state: it shows later that a provider still holds the CMK. */
#ifndef VAULT_CHECK_RECORD_H
#define VAULT_CHECK_RECORD_H

#include "vault/vault.h"

/* dkv_check_record_ensure: write the record of a CMK that can bind a wrap (DKV_CAP_BOUND) and has none yet. Best
 * effort: a CMK without one is used all the same, so what fails is logged only. */
void dkv_check_record_ensure(struct dkv_vault *vault, struct dkv_instance *instance, const struct dkv_cmk *cmk,
                             const struct dkv_cmk_info *info);

#endif
