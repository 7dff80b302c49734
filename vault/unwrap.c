/* SPDX-License-Identifier: Apache-2.0 */
/* From a key document to its DEK.
 * Invariant: a document never decides where a call goes: its provider must stand in the provider file, and that
 * provider judges the masterKey by the file before any contact. The DEK lies in secret memory only. No lock of its
 * own. */
#include "vault/dek.h"

static enum dkv_rc find_instance(struct dkv_vault *vault, const struct dkv_document *document,
                                 struct dkv_instance **ret, struct dkv_error *err)
{
    DKV_CHECK(dkv_provider_file_entry(vault->file, document->provider) != NULL, err, DKV_E_POLICY,
              "no provider \"%s\" in %s: the key can't be opened here", document->provider, vault->file->path);
    return dkv_providers_get(vault->providers, document->provider, ret, err);
}

static enum dkv_rc unwrap_one(struct dkv_instance *instance, const struct dkv_call *call, const struct dkv_cmk *cmk,
                              const struct dkv_document *document, struct dkv_secret *dek, struct dkv_error *err)
{
    struct dkv_wrap_item item = {
        .cmk = cmk,
        .context = dkv_span(document->id.bytes, sizeof(document->id.bytes)),
        .input = document->key_material,
        .output = dek->data,
        .output_capacity = dek->len,
        .err = err,
    };
    return dkv_instance_unwrap(instance, call, &item, 1, err); /* it sees to it that 96 bytes came */
}

static enum dkv_rc unwrap_document(struct dkv_vault *vault, const struct dkv_document *document,
                                   enum dkv_purpose purpose, struct dkv_secret *dek, struct dkv_error *err)
{
    struct dkv_instance *instance = NULL;
    struct dkv_cmk *cmk = NULL;
    DKV_TRY(find_instance(vault, document, &instance, err));
    const struct dkv_call call = dkv_instance_call(instance, purpose);
    DKV_TRY(dkv_instance_resolve_document(instance, &call, document->master_key, &cmk, err));
    const enum dkv_rc rc = unwrap_one(instance, &call, cmk, document, dek, err);
    dkv_instance_cmk_free(instance, cmk);
    return rc;
}

enum dkv_rc dkv_document_unwrap(struct dkv_vault *vault, const struct dkv_document *document, enum dkv_purpose purpose,
                                struct dkv_secret *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret dek = {0};
    DKV_TRY(dkv_secret_init(&dek, DKV_DEK_BYTES, err));
    const enum dkv_rc rc = unwrap_document(vault, document, purpose, &dek, err);
    if (rc != DKV_OK) {
        char id[37];
        dkv_uuid_format(&document->id, id);
        dkv_error_key(err, id);
        dkv_error_prefix(err, "key %s: ", id);
        return rc;
    }
    dkv_secret_steal(ret, &dek);
    return DKV_OK;
}
