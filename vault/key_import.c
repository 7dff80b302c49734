/* SPDX-License-Identifier: Apache-2.0 */
/* Importing key documents that were made elsewhere.
 * Invariant: the bytes go in unchanged (but for what a MongoDB server does to the place of _id), or not at all; and
 * unless the caller waives it, only after they have opened here. No lock of its own: the store's insert decides between
 * two importers. */
#include "vault/dek.h"
#include "vault/document_edit.h"
#include "vault/key.h"
#include "vault/operation.h"
#include "vault/pinned.h"

/* *ret_present: the same document is there, wherever its _id stands. DKV_E_CONFLICT: another one. */
static enum dkv_rc look_for_it(struct dkv_vault *vault, const struct dkv_document *document, struct dkv_span bytes,
                               bool *ret_present, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf stored = {0};
    struct dkv_error missing = {0};
    bool same = false;
    char id[37];
    const enum dkv_rc rc = dkv_key_find(vault, &document->id, &stored, &missing);
    if (rc == DKV_E_NOT_FOUND) {
        *ret_present = false;
        return DKV_OK;
    }
    if (rc != DKV_OK) {
        return dkv_fail_as(err, rc, &missing);
    }
    dkv_uuid_format(&document->id, id);
    DKV_TRY(dkv_document_same(dkv_span_buf(&stored), bytes, &same, err));
    DKV_CHECK(same, err, DKV_E_CONFLICT,
              "another document with _id %s is in %s: delete it first if this one is to take its place", id,
              vault->store_text);
    *ret_present = true;
    return DKV_OK;
}

static enum dkv_rc try_to_open(struct dkv_vault *vault, const struct dkv_document *document, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret dek = {0};
    return dkv_document_unwrap(vault, document, DKV_PURPOSE_USE, &dek, err);
}

static enum dkv_rc insert(struct dkv_vault *vault, const struct dkv_document *document, struct dkv_span bytes,
                          bool unverified, struct dkv_error *err)
{
    DKV_TRY(dkv_audit_ready(vault->audit, err));
    if (!unverified) {
        DKV_TRY(try_to_open(vault, document, err));
    }
    return vault->store->ops->insert(vault->store, bytes, NULL, err);
}

static enum dkv_rc insert_and_record(struct dkv_vault *vault, const struct dkv_document *document,
                                     struct dkv_span bytes, bool unverified, struct dkv_error *err)
{
    struct dkv_operation operation = dkv_operation_begin("key-import", NULL);
    operation.record.key = &document->id;
    operation.record.provider = document->provider;
    operation.record.name = document->n_alt_names > 0 ? document->alt_names[0] : NULL;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf cmk = {0};
    DKV_TRY(dkv_document_cmk(document, &cmk, err));
    operation.record.cmk = dkv_buf_text(&cmk);
    return dkv_operation_end(vault, &operation, insert(vault, document, bytes, unverified, err), err);
}

enum dkv_rc dkv_key_import(struct dkv_vault *vault, struct dkv_span document, bool unverified, bool *ret_inserted,
                           struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document parsed = {0};
    bool is_present = false;
    DKV_TRY(dkv_document_parse(document, &parsed, err));
    DKV_TRY(dkv_pinned_check_all(vault->file, vault->settings, &parsed, err));
    DKV_TRY(look_for_it(vault, &parsed, document, &is_present, err));
    if (!is_present) {
        DKV_TRY(insert_and_record(vault, &parsed, document, unverified, err));
    }
    if (ret_inserted != NULL) {
        *ret_inserted = !is_present;
    }
    return DKV_OK;
}
