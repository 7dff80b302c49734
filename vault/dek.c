/* SPDX-License-Identifier: Apache-2.0 */
/* DEK handles.
 * Invariant: a handle's key never changes and never leaves secret memory; with a required audit no handle is given
 * before its unwrap is recorded. After a fork a child's handle is dead. Lock: none; the only thing that changes is an
 * atomic count. */
#include "vault/dek.h"

#include "base/log.h"
#include "base/mem.h"
#include "vault/key.h"
#include "vault/operation.h"

/* ---- Opening ---- */

static bool is_encrypt_allowed(const struct dkv_vault_settings *settings, const char *provider)
{
    if (settings->encrypt_with == NULL) {
        return true;
    }
    for (size_t i = 0; settings->encrypt_with[i] != NULL; i++) {
        if (strcmp(settings->encrypt_with[i], provider) == 0) {
            return true;
        }
    }
    return false;
}

/* What the audit record of the unwrap borrows lives in the handle, so that a refused unwrap is recorded in full too. */
static enum dkv_rc describe(struct dkv_dek *dek, const struct dkv_document *document, struct dkv_audit_record *record,
                            struct dkv_error *err)
{
    dek->id = document->id;
    dek->status = document->status;
    memcpy(dek->provider, document->provider, sizeof(dek->provider));
    record->key = &dek->id;
    record->provider = dek->provider;
    DKV_TRY(dkv_document_cmk(document, &dek->cmk, err));
    record->cmk = dkv_buf_text(&dek->cmk);
    return record->cmk != NULL ? DKV_OK : dkv_fail_memory(err);
}

static enum dkv_rc unwrap(struct dkv_vault *vault, const struct dkv_key_selector *selector, struct dkv_dek *dek,
                          struct dkv_audit_record *record, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_key_done) struct dkv_key key = {0};
    DKV_TRY(dkv_key_fetch(vault, selector, &key, err));
    DKV_TRY(describe(dek, &key.document, record, err));
    DKV_TRY(dkv_audit_ready(vault->audit, err));
    return dkv_document_unwrap(vault, &key.document, DKV_PURPOSE_USE, &dek->key, err);
}

enum dkv_rc dkv_dek_open(struct dkv_vault *vault, const struct dkv_key_selector *key, struct dkv_dek **ret_dek,
                         struct dkv_error *err)
{
    struct dkv_dek *dek = dkv_calloc(1, sizeof(*dek));
    if (dek == NULL) {
        return dkv_fail_memory(err);
    }
    struct dkv_operation operation = dkv_operation_begin("key-unwrap", key);
    enum dkv_rc rc = unwrap(vault, key, dek, &operation.record, err);
    rc = dkv_operation_end(vault, &operation, rc, err);
    if (rc != DKV_OK) {
        dkv_dek_close(dek);
        return rc;
    }
    dek->vault = vault;
    dek->is_encrypt_allowed = is_encrypt_allowed(vault->settings, dek->provider);
    *ret_dek = dek;
    return DKV_OK;
}

/* ---- Use ---- */

const struct dkv_uuid *dkv_dek_id(const struct dkv_dek *dek)
{
    return &dek->id;
}

enum dkv_rc dkv_dek_may_decrypt(const struct dkv_dek *dek, struct dkv_error *err)
{
    DKV_CHECK(dkv_secret_is_alive(&dek->key), err, DKV_E_INVALID,
              "this process was forked after the key was opened and doesn't have it: open it here again");
    return DKV_OK;
}

enum dkv_rc dkv_dek_may_encrypt(const struct dkv_dek *dek, struct dkv_error *err)
{
    char id[37];
    dkv_uuid_format(&dek->id, id);
    DKV_TRY(dkv_dek_may_decrypt(dek, err));
    DKV_CHECK(dek->is_encrypt_allowed, err, DKV_E_POLICY,
              "key %s may not protect new data: its provider %s isn't in encrypt-with of the provider file", id,
              dek->provider);
    DKV_CHECK(dek->status != DKV_STATUS_DISABLED, err, DKV_E_DISABLED,
              "key %s is disabled and may not protect new data", id);
    return DKV_OK;
}

void dkv_dek_count_use(struct dkv_dek *dek)
{
    atomic_fetch_add_explicit(&dek->uses, 1, memory_order_relaxed);
}

/* ---- Closing ---- */

/* One record for the whole stay. A forked child never had the key: it records nothing. */
static void record_uses(struct dkv_dek *dek)
{
    if (dek->vault == NULL || !dkv_secret_is_alive(&dek->key)) {
        return;
    }
    struct dkv_operation operation = dkv_operation_begin("dek-use", NULL);
    operation.record.key = &dek->id;
    operation.record.provider = dek->provider;
    operation.record.cmk = dkv_buf_text(&dek->cmk);
    operation.record.uses = (int64_t)atomic_load(&dek->uses);
    operation.record.outcome = DKV_OK;
    if (dkv_audit_write(dek->vault->audit, &operation.record, NULL) != DKV_OK) {
        dkv_log(DKV_LOG_WARNING, "audit: the uses of a key could not be recorded at its close");
    }
}

void dkv_dek_close(struct dkv_dek *dek)
{
    if (dek == NULL) {
        return;
    }
    record_uses(dek);
    dkv_secret_done(&dek->key);
    dkv_buf_done(&dek->cmk);
    dkv_free(dek);
}
