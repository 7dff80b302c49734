/* SPDX-License-Identifier: Apache-2.0 */
/* Changes to a stored key document: every element that isn't changed is copied byte for byte, in its place. */
#ifndef VAULT_DOCUMENT_EDIT_H
#define VAULT_DOCUMENT_EDIT_H

#include "vault/document.h"

/* Each takes the bytes of a valid document (one that dkv_document_parse has taken) and appends the changed ones to an
 * empty ret. DKV_E_INVALID: it would be longer than DKV_DOCUMENT_MAX. */

/* dkv_document_set_names: n 0 leaves the field out; where there was none it comes last, as MongoDB's $addToSet puts it.
 */
DKV_MUST_USE enum dkv_rc dkv_document_set_names(struct dkv_span bson, const char *const *names, size_t n,
                                                struct dkv_buf *ret, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_document_set_material(struct dkv_span bson, struct dkv_span master_key,
                                                   struct dkv_span material, int64_t update_date_ms,
                                                   struct dkv_buf *ret, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_document_set_status(struct dkv_span bson, int32_t status, struct dkv_buf *ret,
                                                 struct dkv_error *err);

/* dkv_document_id_first: the same with _id as the first element, where a MongoDB server puts it; nothing else moves. */
DKV_MUST_USE enum dkv_rc dkv_document_id_first(struct dkv_span bson, struct dkv_buf *ret, struct dkv_error *err);

/* dkv_document_same: equal byte for byte, but that _id may stand in another place. Of bytes that need not be valid
 * documents; want of memory is an error. */
DKV_MUST_USE enum dkv_rc dkv_document_same(struct dkv_span a, struct dkv_span b, bool *ret, struct dkv_error *err);

/* dkv_document_peek_id: the _id of bytes that need not be a valid document; false when there is none. */
bool dkv_document_peek_id(struct dkv_span bson, struct dkv_uuid *ret);

/* dkv_document_peek_name: whether bytes that need not be a valid document have the alt name. */
bool dkv_document_peek_name(struct dkv_span bson, const char *name);

#endif
