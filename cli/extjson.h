/* SPDX-License-Identifier: Apache-2.0 */
/* MongoDB Extended JSON (github.com/mongodb/specifications, extended-json): canonical out, canonical or relaxed in.
 * What BSON can't carry exactly as written is refused. */
#ifndef CLI_EXTJSON_H
#define CLI_EXTJSON_H

#include "base/bytes.h"
#include "dekvault/field.h"

/* dkv_extjson_document: append one BSON document as canonical Extended JSON. DKV_E_REJECTED_CIPHERTEXT: it isn't
 * one. */
DKV_MUST_USE enum dkv_rc dkv_extjson_document(struct dkv_buf *out, struct dkv_span bson, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_extjson_value(struct dkv_buf *out, struct dkv_bson_value value, struct dkv_error *err);
/* dkv_extjson_payload: append the value of subtype 6. */
DKV_MUST_USE enum dkv_rc dkv_extjson_payload(struct dkv_buf *out, struct dkv_span payload, struct dkv_error *err);

/* dkv_extjson_read_document, _read_value: append the BSON bytes. DKV_E_INVALID names the byte, and what to write. */
DKV_MUST_USE enum dkv_rc dkv_extjson_read_document(struct dkv_span json, struct dkv_buf *ret, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_extjson_read_value(struct dkv_span json, uint8_t *ret_type, struct dkv_buf *ret,
                                                struct dkv_error *err);
/* dkv_extjson_read_payload: the bytes of a value of subtype 6. */
DKV_MUST_USE enum dkv_rc dkv_extjson_read_payload(struct dkv_span json, struct dkv_buf *ret, struct dkv_error *err);

#endif
