/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: bytes of anybody's as a key document. Whatever is taken must survive being written, changed and read
 * again. */
#include <stdlib.h>

#include "base/bytes.h"
#include "vault/document.h"
#include "vault/document_edit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void require_same(const struct dkv_document *a, const struct dkv_document *b)
{
    require(dkv_uuid_equal(&a->id, &b->id));
    require(a->n_alt_names == b->n_alt_names);
    for (size_t i = 0; i < a->n_alt_names; i++) {
        require(strcmp(a->alt_names[i], b->alt_names[i]) == 0);
    }
    require(dkv_span_equal(a->key_material, b->key_material) && dkv_span_equal(a->master_key, b->master_key));
    require(a->creation_date_ms == b->creation_date_ms && a->update_date_ms == b->update_date_ms &&
            a->status == b->status);
    require(strcmp(a->provider, b->provider) == 0);
}

static void require_reads_as(struct dkv_span bson, const struct dkv_document *expected)
{
    struct dkv_document document = {0};
    require(dkv_document_parse(bson, &document, NULL) == DKV_OK);
    require_same(&document, expected);
    dkv_document_done(&document);
}

static void try_changes(struct dkv_span bson, const struct dkv_document *document)
{
    struct dkv_buf written = {0}, names = {0}, material = {0}, cmk = {0};
    require(dkv_document_write(document, &written, NULL) == DKV_OK);
    require_reads_as(dkv_span_buf(&written), document);
    require(dkv_document_set_names(bson, document->alt_names, document->n_alt_names, &names, NULL) == DKV_OK);
    require_reads_as(dkv_span_buf(&names), document);
    require(dkv_document_set_material(bson, document->master_key, document->key_material, document->update_date_ms,
                                      &material, NULL) == DKV_OK);
    require(dkv_span_equal(bson, dkv_span_buf(&material))); /* a change to the same is no change */
    require(dkv_document_cmk(document, &cmk, NULL) == DKV_OK);
    require(strlen((const char *)cmk.data) == cmk.len);
    dkv_buf_done(&written);
    dkv_buf_done(&names);
    dkv_buf_done(&material);
    dkv_buf_done(&cmk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct dkv_error err = {0};
    struct dkv_document document = {0};
    const struct dkv_span bson = dkv_span(data, len);
    if (dkv_document_parse(bson, &document, &err) == DKV_OK) {
        try_changes(bson, &document);
        dkv_document_done(&document);
    } else {
        require(err.rc == DKV_E_REJECTED_CIPHERTEXT && err.message[0] != '\0');
    }
    return 0;
}
