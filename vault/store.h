/* SPDX-License-Identifier: Apache-2.0 */
/* Where a vault's documents and state lie: one table for every kind of store, with the same answers to the same calls.
 * Stores keep bytes; they never rewrite a document but where the call says so. Thread-safe but for open and close; in a
 * child of fork every call but close is DKV_E_INVALID. Any call may also fail as its store does: DKV_E_TRANSIENT,
 * DKV_E_UNREACHABLE, DKV_E_AUTH, DKV_E_DENIED, DKV_E_RESOURCE. */
#ifndef VAULT_STORE_H
#define VAULT_STORE_H

#include "dekvault/vault.h"
#include "vault/document.h"

struct dkv_store_settings {
    const char *location;   /* after "sqlite:": an absolute path; or the whole mongodb:// URI, maybe with a password */
    const char *name_space; /* mongodb: database.collection; else NULL */
    uint32_t timeout_ms;
    bool allow_group_read;  /* of files with secrets that the location names */
};

enum dkv_clash { DKV_CLASH_NONE, DKV_CLASH_ID, DKV_CLASH_NAME };
/* The unique index on alt names. Only with DKV_INDEX_OK are new names taken. UNKNOWN: whoever asks may not see it. */
enum dkv_index_state {
    DKV_INDEX_OK,
    DKV_INDEX_MISSING,
    DKV_INDEX_NOT_UNIQUE,
    DKV_INDEX_NOT_PARTIAL,
    DKV_INDEX_SHARDED, /* missing, and can't be made: the collection is sharded */
    DKV_INDEX_UNKNOWN
};

#define DKV_STORE_BATCH 1000u /* documents of one insert_many */

/* One row of a store: the _id under which it is kept (NULL, in `list` alone: it is no UUID) and its bytes, borrowed for
 * the call. They are as they are, which need not be a document, nor one with this _id: the vault judges. Empty: none,
 * or more than DKV_DOCUMENT_MAX bytes. Anything but DKV_OK ends the reading and is its result. The store may be used
 * from inside. */
typedef enum dkv_rc (*dkv_store_visit_fn)(void *arg, const struct dkv_uuid *id, struct dkv_span document,
                                          struct dkv_error *err);

/* One value of the state table, borrowed for the call. Anything but DKV_OK ends the reading and is its result. */
typedef enum dkv_rc (*dkv_state_visit_fn)(void *arg, const char *key, struct dkv_span value, struct dkv_error *err);

struct dkv_store; /* first member of each kind's own struct */

struct dkv_store_ops {
    const char *scheme; /* "sqlite" */

    /* open: DKV_E_NOT_FOUND when it doesn't exist and create is false; but a store on a server isn't asked before it is
     * used, or created. *ret_created may be NULL. */
    enum dkv_rc (*open)(const struct dkv_store_settings *settings, bool create, bool *ret_created,
                        struct dkv_store **ret, struct dkv_error *err);
    void (*close)(struct dkv_store *store);

    /* ensure_index: makes it when it is missing. DKV_OK: it is DKV_INDEX_OK. DKV_E_CONFIG, DKV_E_CONFLICT (two keys
     * have one name), DKV_E_DENIED: the words say which command mends it. */
    enum dkv_rc (*ensure_index)(struct dkv_store *store, struct dkv_error *err);
    enum dkv_rc (*check_index)(struct dkv_store *store, enum dkv_index_state *ret, struct dkv_error *err);

    /* insert: kept as the bytes are, but that a MongoDB server puts the _id first. DKV_E_REJECTED_CIPHERTEXT: they are
     * no valid document. DKV_E_CONFLICT: *ret_clash (may be NULL) says whether its _id or a name is taken; NONE: the
     * server doesn't show which. A server takes names only with the index, and makes it if it is missing: errors as
     * ensure_index. */
    enum dkv_rc (*insert)(struct dkv_store *store, struct dkv_span document, enum dkv_clash *ret_clash,
                          struct dkv_error *err);

    /* insert_many: n documents as by insert, but a clash of one, also with an earlier one of the n, keeps no other out:
     * ret_clashes[i] is why document i isn't in, DKV_CLASH_NONE if it is. DKV_E_INVALID: more than DKV_STORE_BATCH.
     * DKV_E_REJECTED_CIPHERTEXT: one isn't valid. Anything but DKV_OK: some may be in. */
    enum dkv_rc (*insert_many)(struct dkv_store *store, const struct dkv_span *documents, size_t n,
                               enum dkv_clash *ret_clashes, struct dkv_error *err);

    /* get_many: visits the ones that exist, ordered by _id. DKV_E_REJECTED_CIPHERTEXT: a server gave one that wasn't
     * asked for. */
    enum dkv_rc (*get_many)(struct dkv_store *store, const struct dkv_uuid *ids, size_t n, dkv_store_visit_fn visit,
                            void *arg, struct dkv_error *err);
    /* get_by_alt_name: DKV_E_NOT_FOUND; DKV_E_CONFLICT when two documents have it; DKV_E_REJECTED_CIPHERTEXT when what
     * is kept for it is no document that has it. */
    enum dkv_rc (*get_by_alt_name)(struct dkv_store *store, const char *name, struct dkv_buf *ret,
                                   struct dkv_error *err);
    /* list: ordered by _id, from behind `after` (NULL: all), at most limit (0: no limit), of what matches (filter NULL:
     * all): dates strictly between after and before; prefixes by bytes, case counts. What other processes change
     * meanwhile may be seen or not. DKV_E_REJECTED_CIPHERTEXT, where it ends: a server gave a row twice or out of
     * order. */
    enum dkv_rc (*list)(struct dkv_store *store, const struct dkv_key_filter *filter, const struct dkv_uuid *after,
                        size_t limit, dkv_store_visit_fn visit, void *arg, struct dkv_error *err);
    /* count_by: as dkv_key_count_by. */
    enum dkv_rc (*count_by)(struct dkv_store *store, dkv_key_count_fn visit, void *arg, struct dkv_error *err);

    /* Changes. DKV_E_NOT_FOUND: no such _id. DKV_E_REJECTED_CIPHERTEXT, but for remove: what is kept under it is no
     * document with it. */
    /* replace_material: compare-and-set; masterKey and keyMaterial become the new ones, updateDate now, the rest stays.
     * DKV_E_CONFLICT: they aren't the expected ones any more. */
    enum dkv_rc (*replace_material)(struct dkv_store *store, const struct dkv_uuid *id,
                                    struct dkv_span expected_master_key, struct dkv_span expected_material,
                                    struct dkv_span master_key, struct dkv_span material, struct dkv_error *err);
    /* set_status: updateDate stays: it is the date of the wrap. DKV_E_INVALID: neither 0 nor 1. */
    enum dkv_rc (*set_status)(struct dkv_store *store, const struct dkv_uuid *id, int32_t status, bool *ret_changed,
                              struct dkv_error *err);
    /* add_alt_name, remove_alt_name: updateDate stays; the field goes with its last name. DKV_E_CONFLICT: another
     * document has the name, or this one was changed meanwhile. DKV_E_INVALID: no such name may be given. A name is
     * added only with the index, as by insert. */
    enum dkv_rc (*add_alt_name)(struct dkv_store *store, const struct dkv_uuid *id, const char *name, bool *ret_changed,
                                struct dkv_error *err);
    enum dkv_rc (*remove_alt_name)(struct dkv_store *store, const struct dkv_uuid *id, const char *name,
                                   bool *ret_changed, struct dkv_error *err);
    /* remove: whatever is kept under the _id, and its names. expected: all its bytes, or empty for any. DKV_E_CONFLICT:
     * it changed. */
    enum dkv_rc (*remove)(struct dkv_store *store, const struct dkv_uuid *id, struct dkv_span expected,
                          struct dkv_error *err);

    /* State that all processes agree on: small values by key. As base/state.h: expected empty means absent, value empty
     * deletes. DKV_E_NOT_FOUND; DKV_E_CONFLICT: it isn't the expected one. */
    enum dkv_rc (*state_get)(struct dkv_store *store, const char *key, struct dkv_buf *ret, struct dkv_error *err);
    enum dkv_rc (*state_put)(struct dkv_store *store, const char *key, struct dkv_span expected, struct dkv_span value,
                             struct dkv_error *err);
    /* state_list: visits all of it, ordered by key. The store may be used from inside. */
    enum dkv_rc (*state_list)(struct dkv_store *store, dkv_state_visit_fn visit, void *arg, struct dkv_error *err);
};

struct dkv_store {
    const struct dkv_store_ops *ops;
};

extern const struct dkv_store_ops dkv_sqlite_store_ops, dkv_mongodb_store_ops;

/* dkv_store_find: by the "scheme:" of a store setting; *ret_location is what follows. NULL: unknown. */
const struct dkv_store_ops *dkv_store_find(const char *store, const char **ret_location);

/* dkv_store_quiet: what libmongoc says goes to our log, level debug, instead of to standard error. For programs of our
 * own: it changes the whole process. Before any store is opened. */
void dkv_store_quiet(void);

#endif
