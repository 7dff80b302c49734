/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of the MongoDB store's commands. Owns nothing. libbson ends the process where it can't grow; it fails only on
 * documents of more than 2 GiB, and what is built here is bounded by DKV_DOCUMENT_MAX and DKV_STORE_BATCH. */
#include "vault/store/mongodb.h"

void dkv_mongodb_append_id(bson_t *bson, const char *key, const struct dkv_uuid *id)
{
    (void)bson_append_binary(bson, key, -1, BSON_SUBTYPE_UUID, id->bytes, (uint32_t)sizeof(id->bytes));
}

void dkv_mongodb_append_bytes(bson_t *bson, const char *key, struct dkv_span bytes)
{
    static const uint8_t none; /* libbson refuses NULL */
    const uint8_t *data = bytes.data != NULL ? bytes.data : &none;
    (void)bson_append_binary(bson, key, -1, BSON_SUBTYPE_BINARY, data, (uint32_t)bytes.len);
}

bool dkv_mongodb_append_document(bson_t *bson, const char *key, struct dkv_span bytes)
{
    bson_t document;
    return bson_init_static(&document, bytes.data, bytes.len) && bson_append_document(bson, key, -1, &document);
}
