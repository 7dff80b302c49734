/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of the MongoDB store's commands and of the answers. Owns nothing. libbson ends the process where it can't
 * grow; it fails only on documents of more than 2 GiB, and what is built here is bounded by DKV_DOCUMENT_MAX and
 * DKV_STORE_BATCH. */
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

bool dkv_mongodb_read_binary(const bson_t *row, const char *field, bson_subtype_t subtype, struct dkv_span *ret)
{
    bson_iter_t iter;
    bson_subtype_t own = BSON_SUBTYPE_USER;
    uint32_t len = 0;
    const uint8_t *data = NULL;
    if (bson_iter_init_find(&iter, row, field) && BSON_ITER_HOLDS_BINARY(&iter)) {
        bson_iter_binary(&iter, &own, &len, &data);
    }
    if (data == NULL || own != subtype) {
        return false;
    }
    *ret = dkv_span(data, len);
    return true;
}

bool dkv_mongodb_read_id(const bson_t *row, const char *field, struct dkv_uuid *ret)
{
    struct dkv_span bytes;
    if (!dkv_mongodb_read_binary(row, field, BSON_SUBTYPE_UUID, &bytes) || bytes.len != sizeof(ret->bytes)) {
        return false;
    }
    memcpy(ret->bytes, bytes.data, sizeof(ret->bytes));
    return true;
}

int64_t dkv_mongodb_counted(const bson_t *reply, const char *what)
{
    bson_iter_t iter;
    return bson_iter_init_find(&iter, reply, what) && BSON_ITER_HOLDS_INT(&iter) ? bson_iter_as_int64(&iter) : 0;
}
