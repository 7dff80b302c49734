/* SPDX-License-Identifier: Apache-2.0 */
/* One operation of a vault from its start to its audit record. An operation belongs to one thread; its end may block on
 * the audit. */
#ifndef VAULT_OPERATION_H
#define VAULT_OPERATION_H

#include "vault/vault.h"

struct dkv_operation {
    struct dkv_audit_record record; /* what it points to must live until the end */
    int64_t started_us;
};

/* dkv_operation_begin: name is the record's operation; key may be NULL and gives the alt name that was asked for. */
struct dkv_operation dkv_operation_begin(const char *name, const struct dkv_key_selector *key);

/* dkv_operation_end: write the record with this outcome. Returns the outcome; or DKV_E_RESOURCE when it was DKV_OK and
 * the record is required but can't be written. A failure that can't be recorded stays that failure. */
DKV_MUST_USE enum dkv_rc dkv_operation_end(struct dkv_vault *vault, struct dkv_operation *operation,
                                           enum dkv_rc outcome, struct dkv_error *err);

#endif
