/* SPDX-License-Identifier: Apache-2.0 */
/* One operation's time and audit record.
 * Invariant: the outcome that a caller sees is the one recorded, but for DKV_OK with no record where one is required.
 * No lock. */
#include "vault/operation.h"

#include <time.h>

#include "base/log.h"

static int64_t now_us(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct dkv_operation dkv_operation_begin(const char *name, const struct dkv_key_selector *key)
{
    struct dkv_operation operation = {
        .record = {.operation = name, .latency_us = -1, .uses = -1},
        .started_us = now_us(),
    };
    if (key != NULL && key->alt_name != NULL) {
        operation.record.name = key->alt_name;
    } else if (key != NULL) {
        operation.record.key = &key->id;
    }
    return operation;
}

enum dkv_rc dkv_operation_end(struct dkv_vault *vault, struct dkv_operation *operation, enum dkv_rc outcome,
                              struct dkv_error *err)
{
    operation->record.outcome = outcome;
    operation->record.latency_us = now_us() - operation->started_us;
    if (outcome == DKV_OK) {
        return dkv_audit_write(vault->audit, &operation->record, err);
    }
    struct dkv_error unwritten = {0};
    if (dkv_audit_write(vault->audit, &operation->record, &unwritten) != DKV_OK) {
        dkv_log(DKV_LOG_WARNING, "audit: a failed %s (%s) could not be recorded: %s", operation->record.operation,
                dkv_class_name(outcome), unwritten.message);
    }
    return outcome;
}
