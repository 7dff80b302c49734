/* SPDX-License-Identifier: Apache-2.0 */
/* The unique index on alt names, as mongodb_index*.c share it. */
#ifndef VAULT_STORE_MONGODB_INDEX_H
#define VAULT_STORE_MONGODB_INDEX_H

#include "vault/store/mongodb.h"

#define DKV_MONGODB_INDEX_NAME "keyAltNames_1"

struct dkv_mongodb_finding {
    enum dkv_index_state state;
    char name[128]; /* of the index that is wrong; the server's, so only ever shown quoted */
};

/* ---- mongodb_index_read.c ---- */

DKV_MUST_USE enum dkv_rc dkv_mongodb_index_read(struct dkv_mongodb_store *store, struct dkv_mongodb_finding *ret,
                                                struct dkv_error *err);

/* ---- mongodb_index_words.c: each error with the command that mends it ---- */

/* dkv_mongodb_index_wrong: DKV_E_CONFIG: it isn't unique, or isn't partial. */
enum dkv_rc dkv_mongodb_index_wrong(const struct dkv_mongodb_store *store, const struct dkv_mongodb_finding *finding,
                                    struct dkv_error *err);
/* dkv_mongodb_index_denied: DKV_E_DENIED; what the user may not do: "make" or "see". */
enum dkv_rc dkv_mongodb_index_denied(const struct dkv_mongodb_store *store, const char *what, struct dkv_error *err);
/* dkv_mongodb_index_sharded: DKV_E_CONFIG. */
enum dkv_rc dkv_mongodb_index_sharded(const struct dkv_mongodb_store *store, struct dkv_error *err);
/* dkv_mongodb_index_clash: DKV_E_CONFLICT: two keys have one name, and which. DKV_OK: none do, or none can be found. */
DKV_MUST_USE enum dkv_rc dkv_mongodb_index_clash(struct dkv_mongodb_store *store, struct dkv_error *err);

#endif
