/* SPDX-License-Identifier: Apache-2.0 */
/* Key documents, written: whole ones in the field order of MongoDB's drivers, and changed ones with every other element
 * as it was stored. A BSON writer of our own over struct dkv_buf (bsonspec.org 1.1): libbson ends the process
 * when memory runs out, and a vault in somebody's server must not. Owns nothing. */
#include <bson/bson.h>

#include "vault/document.h"
#include "vault/document_edit.h"
#include "vault/master_key.h"

/* ---- BSON ---- */

static enum dkv_rc append_le(struct dkv_buf *out, uint64_t number, size_t len, struct dkv_error *err)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(number >> (8 * i));
    }
    return dkv_buf_append(out, dkv_span(bytes, len), err);
}

/* A document's length is known at its end: begin leaves room for it, end fills it in. */
static enum dkv_rc begin_document(struct dkv_buf *out, size_t *ret_start, struct dkv_error *err)
{
    const size_t start = out->len;
    DKV_TRY(append_le(out, 0, 4, err));
    *ret_start = start;
    return DKV_OK;
}

static enum dkv_rc end_document(struct dkv_buf *out, size_t start, struct dkv_error *err)
{
    DKV_TRY(append_le(out, 0, 1, err));
    const size_t len = out->len - start;
    DKV_CHECK(len <= DKV_DOCUMENT_MAX, err, DKV_E_INVALID, "the key document would have %zu bytes; it may have %u", len,
              DKV_DOCUMENT_MAX);
    for (size_t i = 0; i < 4; i++) {
        out->data[start + i] = (uint8_t)(len >> (8 * i));
    }
    return DKV_OK;
}

static enum dkv_rc append_key(struct dkv_buf *out, bson_type_t type, const char *name, struct dkv_error *err)
{
    DKV_TRY(append_le(out, (uint64_t)type, 1, err));
    return dkv_buf_append(out, dkv_span(name, strlen(name) + 1), err);
}

static enum dkv_rc append_binary(struct dkv_buf *out, const char *name, bson_subtype_t subtype, struct dkv_span bytes,
                                 struct dkv_error *err)
{
    DKV_TRY(append_key(out, BSON_TYPE_BINARY, name, err));
    DKV_TRY(append_le(out, bytes.len, 4, err));
    DKV_TRY(append_le(out, (uint64_t)subtype, 1, err));
    return dkv_buf_append(out, bytes, err);
}

static enum dkv_rc append_date(struct dkv_buf *out, const char *name, int64_t ms, struct dkv_error *err)
{
    DKV_TRY(append_key(out, BSON_TYPE_DATE_TIME, name, err));
    return append_le(out, (uint64_t)ms, 8, err);
}

static enum dkv_rc append_int32(struct dkv_buf *out, const char *name, int32_t number, struct dkv_error *err)
{
    DKV_TRY(append_key(out, BSON_TYPE_INT32, name, err));
    return append_le(out, (uint32_t)number, 4, err);
}

static enum dkv_rc append_subdocument(struct dkv_buf *out, const char *name, struct dkv_span bson,
                                      struct dkv_error *err)
{
    DKV_TRY(append_key(out, BSON_TYPE_DOCUMENT, name, err));
    return dkv_buf_append(out, bson, err);
}

static enum dkv_rc append_text(struct dkv_buf *out, size_t index, const char *text, struct dkv_error *err)
{
    char key[24];
    snprintf(key, sizeof(key), "%zu", index);
    DKV_TRY(append_key(out, BSON_TYPE_UTF8, key, err));
    DKV_TRY(append_le(out, strlen(text) + 1, 4, err));
    return dkv_buf_append(out, dkv_span(text, strlen(text) + 1), err);
}

static enum dkv_rc append_names(struct dkv_buf *out, const char *const *names, size_t n, struct dkv_error *err)
{
    size_t start = 0;
    if (n == 0) {
        return DKV_OK;
    }
    DKV_CHECK(n <= DKV_ALT_NAMES_MAX, err, DKV_E_INVALID, "a key may have at most %u alt names", DKV_ALT_NAMES_MAX);
    DKV_TRY(append_key(out, BSON_TYPE_ARRAY, "keyAltNames", err));
    DKV_TRY(begin_document(out, &start, err));
    for (size_t i = 0; i < n; i++) {
        DKV_TRY(append_text(out, i, names[i], err));
    }
    return end_document(out, start, err);
}

/* ---- A whole document ---- */

static enum dkv_rc append_document(struct dkv_buf *out, const struct dkv_document *document, struct dkv_error *err)
{
    size_t start = 0;
    DKV_TRY(begin_document(out, &start, err));
    DKV_TRY(
        append_binary(out, "_id", BSON_SUBTYPE_UUID, dkv_span(document->id.bytes, sizeof(document->id.bytes)), err));
    DKV_TRY(append_names(out, document->alt_names, document->n_alt_names, err));
    DKV_TRY(append_binary(out, "keyMaterial", BSON_SUBTYPE_BINARY, document->key_material, err));
    DKV_TRY(append_date(out, "creationDate", document->creation_date_ms, err));
    DKV_TRY(append_date(out, "updateDate", document->update_date_ms, err));
    DKV_TRY(append_int32(out, "status", document->status, err));
    DKV_TRY(append_subdocument(out, "masterKey", document->master_key, err));
    return end_document(out, start, err);
}

enum dkv_rc dkv_document_write(const struct dkv_document *document, struct dkv_buf *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf out = {0};
    DKV_TRY(append_document(&out, document, err));
    return dkv_buf_append(ret, dkv_span_buf(&out), err);
}

enum dkv_rc dkv_document_cmk(const struct dkv_document *document, struct dkv_buf *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf cmk = {0};
    DKV_TRY(dkv_master_key_cmk(document->master_key, document->provider, &cmk, err));
    DKV_TRY(dkv_buf_reserve(ret, cmk.len + 1, err));
    DKV_TRY(dkv_buf_append(ret, dkv_span_buf(&cmk), err));
    return dkv_buf_text(ret) != NULL ? DKV_OK : dkv_fail_memory(err);
}

/* ---- A changed one ---- */

/* One change: the element of this name becomes these bytes (type, name and value); none: it goes. */
struct edit {
    const char *name;
    struct dkv_buf element;
    bool done;
};

static void edits_done(struct edit *edits, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dkv_buf_done(&edits[i].element);
    }
}

static struct edit *find_edit(struct edit *edits, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(edits[i].name, name) == 0) {
            return &edits[i];
        }
    }
    return NULL;
}

/* An iterator knows where its element begins; it ends where the next one does, or before the closing NUL. */
static enum dkv_rc copy_elements(struct dkv_span bson, struct edit *edits, size_t n, struct dkv_buf *out,
                                 struct dkv_error *err)
{
    bson_iter_t iter;
    bool more = bson_iter_init_from_data(&iter, bson.data, bson.len) && bson_iter_next(&iter);
    while (more) {
        const size_t begin = bson_iter_offset(&iter);
        struct edit *edit = find_edit(edits, n, bson_iter_key(&iter));
        more = bson_iter_next(&iter);
        const size_t end = more ? bson_iter_offset(&iter) : bson.len - 1;
        const struct dkv_span stored = dkv_span(bson.data + begin, end - begin);
        DKV_TRY(dkv_buf_append(out, edit != NULL ? dkv_span_buf(&edit->element) : stored, err));
        if (edit != NULL) {
            edit->done = true;
        }
    }
    return DKV_OK;
}

static enum dkv_rc apply_edits(struct dkv_span bson, struct edit *edits, size_t n, struct dkv_buf *ret,
                               struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf out = {0};
    size_t start = 0;
    DKV_TRY(begin_document(&out, &start, err));
    DKV_TRY(copy_elements(bson, edits, n, &out, err));
    for (size_t i = 0; i < n; i++) {
        if (!edits[i].done) {
            DKV_TRY(dkv_buf_append(&out, dkv_span_buf(&edits[i].element), err));
        }
    }
    DKV_TRY(end_document(&out, start, err));
    dkv_buf_steal(ret, &out);
    return DKV_OK;
}

enum dkv_rc dkv_document_set_names(struct dkv_span bson, const char *const *names, size_t n, struct dkv_buf *ret,
                                   struct dkv_error *err)
{
    struct edit edits[] = {{.name = "keyAltNames"}};
    enum dkv_rc rc = append_names(&edits[0].element, names, n, err);
    if (rc == DKV_OK) {
        rc = apply_edits(bson, edits, DKV_COUNT(edits), ret, err);
    }
    edits_done(edits, DKV_COUNT(edits));
    return rc;
}

enum dkv_rc dkv_document_set_status(struct dkv_span bson, int32_t status, struct dkv_buf *ret, struct dkv_error *err)
{
    struct edit edits[] = {{.name = "status"}};
    enum dkv_rc rc = append_int32(&edits[0].element, "status", status, err);
    if (rc == DKV_OK) {
        rc = apply_edits(bson, edits, DKV_COUNT(edits), ret, err);
    }
    edits_done(edits, DKV_COUNT(edits));
    return rc;
}

enum dkv_rc dkv_document_set_material(struct dkv_span bson, struct dkv_span master_key, struct dkv_span material,
                                      int64_t update_date_ms, struct dkv_buf *ret, struct dkv_error *err)
{
    struct edit edits[] = {{.name = "masterKey"}, {.name = "keyMaterial"}, {.name = "updateDate"}};
    enum dkv_rc rc = append_subdocument(&edits[0].element, "masterKey", master_key, err);
    if (rc == DKV_OK) {
        rc = append_binary(&edits[1].element, "keyMaterial", BSON_SUBTYPE_BINARY, material, err);
    }
    if (rc == DKV_OK) {
        rc = append_date(&edits[2].element, "updateDate", update_date_ms, err);
    }
    if (rc == DKV_OK) {
        rc = apply_edits(bson, edits, DKV_COUNT(edits), ret, err);
    }
    edits_done(edits, DKV_COUNT(edits));
    return rc;
}
