/* SPDX-License-Identifier: Apache-2.0 */
/* Why one key of a copy is refused: what its document is, and who has its names. Each check only reads; its error is
 * about that key alone, or ends the copy (an unreachable store). Owns nothing. No lock. */
#include "vault/copy.h"
#include "vault/document_edit.h"
#include "vault/pinned.h"

/* ---- The source's documents ---- */

enum dkv_rc dkv_copy_check_document(struct dkv_copy *copy, struct dkv_copy_row *row, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    char kept[37], own[37];
    dkv_uuid_format(&row->id, kept);
    DKV_CHECK(row->len > 0, err, DKV_E_REJECTED_CIPHERTEXT,
              "%s keeps no document, or one of more than %u bytes, under the _id %s: restore it from a backup, or "
              "delete it",
              dkv_copy_from(copy), DKV_DOCUMENT_MAX, kept);
    DKV_TRY(dkv_document_parse(dkv_copy_bytes(copy, row), &document, err));
    dkv_uuid_format(&document.id, own);
    DKV_CHECK(dkv_uuid_equal(&document.id, &row->id), err, DKV_E_REJECTED_CIPHERTEXT,
              "%s keeps the document of key %s under the _id %s", dkv_copy_from(copy), own, kept);
    return dkv_pinned_check_all(copy->to->file, copy->to->settings, &document, err);
}

/* ---- Names ---- */

/* Whether a name is free: DKV_E_CONFLICT says who has it. */
static enum dkv_rc check_name_is_free(struct dkv_copy *copy, const char *name, struct dkv_error *err)
{
    struct dkv_store *store = copy->to->store;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf holder = {0};
    struct dkv_error why = {0};
    struct dkv_uuid id = {{0}};
    char text[37] = "another key";
    const enum dkv_rc rc = store->ops->get_by_alt_name(store, name, &holder, &why);
    if (rc != DKV_OK) {
        return rc == DKV_E_NOT_FOUND ? DKV_OK : dkv_fail_as(err, rc, &why);
    }
    if (dkv_document_peek_id(dkv_span_buf(&holder), &id)) {
        dkv_uuid_format(&id, text);
    }
    return dkv_fail(err, DKV_E_CONFLICT, "the alt name \"%s\" belongs to %s in %s: take it off one of the two keys",
                    name, text, dkv_copy_to(copy));
}

enum dkv_rc dkv_copy_check_names_are_free(struct dkv_copy *copy, struct dkv_copy_row *row, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    DKV_TRY(dkv_document_parse(dkv_copy_bytes(copy, row), &document, err));
    for (size_t i = 0; i < document.n_alt_names; i++) {
        DKV_TRY(check_name_is_free(copy, document.alt_names[i], err));
    }
    return DKV_OK;
}

/* A name that two keys have finds neither; copied, it would find whichever came first, and whoever can write the source
 * could choose that. */
enum dkv_rc dkv_copy_check_names_are_unique(struct dkv_copy *copy, struct dkv_copy_row *row, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    struct dkv_store *store = copy->from->store;
    DKV_TRY(dkv_document_parse(dkv_copy_bytes(copy, row), &document, err));
    for (size_t i = 0; i < document.n_alt_names; i++) {
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf holder = {0};
        struct dkv_error why = {0};
        const enum dkv_rc rc = store->ops->get_by_alt_name(store, document.alt_names[i], &holder, &why);
        if (rc != DKV_OK && rc != DKV_E_NOT_FOUND) { /* deleted meanwhile */
            return dkv_fail_as(err, rc, &why);
        }
    }
    return DKV_OK;
}

/* The store said that a name is taken. */
enum dkv_rc dkv_copy_explain_clash(struct dkv_copy *copy, struct dkv_copy_row *row, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    if (row->clash != DKV_CLASH_NAME) {
        return DKV_OK;
    }
    DKV_TRY(dkv_copy_check_names_are_free(copy, row, err));
    DKV_TRY(dkv_document_parse(dkv_copy_bytes(copy, row), &document, err));
    DKV_CHECK(!document.has_alt_names || document.n_alt_names > 0, err, DKV_E_CONFLICT,
              "its keyAltNames is an empty array, of which the index of %s takes one: give the key a name and take it "
              "off again",
              dkv_copy_to(copy));
    return dkv_fail(err, DKV_E_CONFLICT, "a name of its was another key's in %s just then: copy again",
                    dkv_copy_to(copy));
}
