/* SPDX-License-Identifier: Apache-2.0 */
/* The one change that a MongoDB server makes to a document that it stores: _id comes first (manual, "Documents", field
 * order). Only its place is ever set aside; a byte that differs anywhere else makes another document. Owns nothing. */
#include "vault/document_bson.h"
#include "vault/document_edit.h"

/* Where the first element named _id begins and ends. */
static bool find_id(struct dkv_span bson, size_t *ret_begin, size_t *ret_end)
{
    bson_iter_t iter;
    bool more = bson_iter_init_from_data(&iter, bson.data, bson.len) && bson_iter_next(&iter);
    while (more) {
        const size_t begin = bson_iter_offset(&iter);
        const bool found = strcmp(bson_iter_key(&iter), "_id") == 0;
        more = bson_iter_next(&iter);
        if (found) {
            *ret_begin = begin;
            *ret_end = more ? bson_iter_offset(&iter) : bson.len - 1;
            return true;
        }
    }
    return false;
}

enum dkv_rc dkv_document_id_first(struct dkv_span bson, struct dkv_buf *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf out = {0};
    const size_t start = 4; /* after the document's length, which stays */
    size_t begin = 0, end = 0;
    DKV_CHECK(find_id(bson, &begin, &end), err, DKV_E_INVALID, "a key document without an _id");
    DKV_TRY(dkv_buf_reserve(&out, bson.len, err));
    DKV_TRY(dkv_buf_append(&out, dkv_span(bson.data, start), err));
    DKV_TRY(dkv_buf_append(&out, dkv_span(bson.data + begin, end - begin), err));
    DKV_TRY(dkv_buf_append(&out, dkv_span(bson.data + start, begin - start), err));
    DKV_TRY(dkv_buf_append(&out, dkv_span(bson.data + end, bson.len - end), err));
    dkv_buf_steal(ret, &out);
    return DKV_OK;
}

/* Bytes that libbson may walk and that have an _id: others are only the same as themselves. */
static bool has_id(struct dkv_span bson)
{
    size_t begin = 0, end = 0;
    return dkv_bson_check(bson, NULL) == DKV_OK && find_id(bson, &begin, &end);
}

enum dkv_rc dkv_document_same(struct dkv_span a, struct dkv_span b, bool *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf a_ordered = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf b_ordered = {0};
    const bool equal = dkv_span_equal(a, b);
    if (equal || a.len != b.len || !has_id(a) || !has_id(b)) {
        *ret = equal;
        return DKV_OK;
    }
    DKV_TRY(dkv_document_id_first(a, &a_ordered, err));
    DKV_TRY(dkv_document_id_first(b, &b_ordered, err));
    *ret = dkv_span_equal(dkv_span_buf(&a_ordered), dkv_span_buf(&b_ordered));
    return DKV_OK;
}
