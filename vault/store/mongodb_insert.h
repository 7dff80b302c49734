/* SPDX-License-Identifier: Apache-2.0 */
/* What inserting one document and inserting many share. */
#ifndef VAULT_STORE_MONGODB_INSERT_H
#define VAULT_STORE_MONGODB_INSERT_H

#include "vault/store/mongodb.h"

/* A document to be inserted: DKV_CLEANUP(dkv_mongodb_item_done). */
struct dkv_mongodb_item {
    bson_t *bson;                 /* _id first */
    struct dkv_document document; /* borrows from bson */
};
/* dkv_mongodb_item_init: DKV_E_REJECTED_CIPHERTEXT: our parser doesn't take the bytes, so no server gets them. */
DKV_MUST_USE enum dkv_rc dkv_mongodb_item_init(struct dkv_mongodb_item *item, struct dkv_span bytes,
                                               struct dkv_error *err);
void dkv_mongodb_item_done(struct dkv_mongodb_item *item);

/* dkv_mongodb_check_inserted: libmongoc's reply says that n documents went in. */
DKV_MUST_USE enum dkv_rc dkv_mongodb_check_inserted(const struct dkv_mongodb_store *store, const bson_t *reply,
                                                    size_t n, struct dkv_error *err);
/* dkv_mongodb_unexplained: DKV_E_CONFLICT: a duplicate, but of no _id and no name that is there. */
enum dkv_rc dkv_mongodb_unexplained(const struct dkv_mongodb_store *store, const struct dkv_document *document,
                                    struct dkv_error *err);

#endif
