/* SPDX-License-Identifier: Apache-2.0 */
/* BSON types: which may be encrypted, and what their value bytes must look like (bsonspec.org). */
#ifndef VAULT_BSON_TYPE_H
#define VAULT_BSON_TYPE_H

#include "base/bytes.h"
#include "dekvault/field.h"

#define DKV_BSON_VALUE_MAX (16u * 1024u * 1024u) /* bytes: no BSON document holds more */
#define DKV_BSON_DEPTH_MAX 200u                  /* nested documents; MongoDB's servers take 180 */

/* dkv_bson_type_name: as MongoDB's $type spells it ("objectId"); "unknown" for a byte that is no type. Static. */
const char *dkv_bson_type_name(uint8_t type);

/* dkv_bson_type_check: whether values of this type may be encrypted with this algorithm: else DKV_E_INVALID. */
DKV_MUST_USE enum dkv_rc dkv_bson_type_check(uint8_t type, enum dkv_algorithm algorithm, struct dkv_error *err);

/* dkv_bson_value_check: whether bytes are one whole value of that type, and no binary of subtype 6: else
 * DKV_E_INVALID. */
DKV_MUST_USE enum dkv_rc dkv_bson_value_check(struct dkv_bson_value value, struct dkv_error *err);

#endif
