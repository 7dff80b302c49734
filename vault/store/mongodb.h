/* SPDX-License-Identifier: Apache-2.0 */
/* The MongoDB store's inside: what its files share. Every command is the one that MongoDB's drivers send for the same
 * purpose (github.com/mongodb/specifications, client-side-encryption), its selectors at most narrower. */
#ifndef VAULT_STORE_MONGODB_H
#define VAULT_STORE_MONGODB_H

#include <mongoc/mongoc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "vault/store.h"

/* Codes of the server's errors. */
#define DKV_MONGODB_UNAUTHORIZED 13
#define DKV_MONGODB_NAMESPACE_NOT_FOUND 26

enum dkv_mongodb_collection { DKV_MONGODB_KEYS, DKV_MONGODB_STATE };

/* A pool of connections, all with read preference primary, read concern and write concern majority, retryable reads and
 * writes, and bounded timeouts, whatever the URI asks for. Nothing here changes after open but index_seen_ms; the pool
 * has its own lock. */
struct dkv_mongodb_store {
    struct dkv_store base;
    mongoc_client_pool_t *pool;
    char *database;
    char *collections[2];  /* by enum dkv_mongodb_collection: "__keyVault", "__keyVault.dekvault" */
    char *where;           /* for words: "encryption.__keyVault at h1:27017,h2:27017"; never a user or a password */
    uint32_t timeout_ms;
    bool is_direct;        /* the URI has directConnection=true: libmongoc would read from a secondary too */
    pid_t pid;             /* neither connections nor the pool's threads survive fork() */
    /* monotonic; when the index was last seen to be DKV_INDEX_OK; 0: never asked; -1: asked, it was not */
    _Atomic int64_t index_seen_ms;
};

_Static_assert(offsetof(struct dkv_mongodb_store, base) == 0, "a dkv_store is its store");

static inline struct dkv_mongodb_store *dkv_mongodb_of(struct dkv_store *store)
{
    return (struct dkv_mongodb_store *)store;
}

/* ---- mongodb_open.c ---- */

enum dkv_rc dkv_mongodb_open(const struct dkv_store_settings *settings, bool create, bool *ret_created,
                             struct dkv_store **ret, struct dkv_error *err);
void dkv_mongodb_close(struct dkv_store *store);

/* ---- mongodb_connection.c ---- */

/* One collection over one connection of the pool, for one call of one thread: DKV_CLEANUP(dkv_mongodb_done). */
struct dkv_mongodb_connection {
    struct dkv_mongodb_store *store;
    mongoc_client_t *client;
    mongoc_collection_t *collection;
};
/* dkv_mongodb_connect: doesn't block for the server, but with directConnection=true, where it must be seen to be no
 * secondary. DKV_E_INVALID in a child of the process that opened the store. */
DKV_MUST_USE enum dkv_rc dkv_mongodb_connect(struct dkv_mongodb_store *store, enum dkv_mongodb_collection which,
                                             struct dkv_mongodb_connection *ret, struct dkv_error *err);
void dkv_mongodb_done(struct dkv_mongodb_connection *connection);

/* One attempt, which may be called a second time. A write then asks what is there: its reply may have been lost, or the
 * primary went away, so what is wanted may be done already; that is success, if a majority read shows it. Only an
 * attempt that has sent something before (its arg remembers that) may say so. What it gathers starts anew. */
typedef enum dkv_rc (*dkv_mongodb_attempt_fn)(struct dkv_mongodb_connection *connection, void *arg,
                                              struct dkv_error *err);
/* dkv_mongodb_write: attempts it, once more after DKV_E_TRANSIENT, and a few times more where the server undid it for
 * another write that came between. If the second fails, the words say that it may
 * or may not have been done, unless the error comes from looking at what is stored. */
DKV_MUST_USE enum dkv_rc dkv_mongodb_write(struct dkv_mongodb_store *store, enum dkv_mongodb_collection which,
                                           dkv_mongodb_attempt_fn attempt, void *arg, struct dkv_error *err);
/* dkv_mongodb_read: the same without those words, for what only reads. */
DKV_MUST_USE enum dkv_rc dkv_mongodb_read(struct dkv_mongodb_store *store, enum dkv_mongodb_collection which,
                                          dkv_mongodb_attempt_fn attempt, void *arg, struct dkv_error *err);

/* ---- mongodb_error.c ---- */

#define DKV_MONGODB_WRITE_CONFLICT "WriteConflict" /* native_name of 112 and its like */

/* dkv_mongodb_fail: what a libmongoc call said, as our error; doing is "reading", "writing", "making the index of"...;
 * reply (may be NULL) has the server's labels, write errors and write concern errors.
 * DKV_E_UNREACHABLE: no server could be chosen, so nothing was sent. DKV_E_TRANSIENT: a connection broke or a reply
 * didn't come in time, a primary stepped down or shuts down, a write isn't on a majority yet: it may have been done.
 * DKV_E_AUTH: 18, or the handshake's authentication. DKV_E_DENIED: 13. DKV_E_CONFLICT: 11000. DKV_E_CONFIG: TLS files,
 * URI. Anything else DKV_E_INTERNAL. native_system is DKV_NATIVE_MONGODB, with the code and its name. */
enum dkv_rc dkv_mongodb_fail(const struct dkv_mongodb_store *store, const char *doing, const bson_error_t *error,
                             const bson_t *reply, struct dkv_error *err);
/* dkv_mongodb_may_be_duplicate: 11000, or 1: DocumentDB calls some duplicates internal errors. What is there decides.
 */
bool dkv_mongodb_may_be_duplicate(const bson_error_t *error);
/* dkv_mongodb_not_found: DKV_E_NOT_FOUND in words. */
enum dkv_rc dkv_mongodb_not_found(const struct dkv_mongodb_store *store, const struct dkv_uuid *id,
                                  struct dkv_error *err);
/* dkv_mongodb_not_majority: DKV_E_TRANSIENT: an attempt whose reply was lost has left something that a majority of the
 * servers doesn't have yet. */
enum dkv_rc dkv_mongodb_not_majority(const struct dkv_mongodb_store *store, struct dkv_error *err);

/* ---- mongodb_bson.c: pieces of commands, and of answers ---- */

/* Appending fails only where libbson can't grow, which ends the process (SECURITY.md). */
void dkv_mongodb_append_id(bson_t *bson, const char *key, const struct dkv_uuid *id); /* BinData 4 */
void dkv_mongodb_append_bytes(bson_t *bson, const char *key, struct dkv_span bytes);  /* BinData 0 */
/* dkv_mongodb_append_document: bytes that dkv_bson_check() has taken. false: they aren't. */
DKV_MUST_USE bool dkv_mongodb_append_document(bson_t *bson, const char *key, struct dkv_span bytes);
static inline struct dkv_span dkv_mongodb_span(const bson_t *bson)
{
    return (struct dkv_span){.data = bson_get_data(bson), .len = bson->len};
}

/* Of what a server gave. false: there is no such field, or it holds something else. */
DKV_MUST_USE bool dkv_mongodb_read_binary(const bson_t *row, const char *field, bson_subtype_t subtype,
                                          struct dkv_span *ret); /* borrows from row */
DKV_MUST_USE bool dkv_mongodb_read_id(const bson_t *row, const char *field, struct dkv_uuid *ret);
/* dkv_mongodb_counted: "insertedCount", "matchedCount" or "deletedCount" of libmongoc's reply to a write; 0 when it
 * isn't there. */
int64_t dkv_mongodb_counted(const bson_t *reply, const char *what);

/* For locals: DKV_CLEANUP(bson_destroyp) where a bson_t is of BCON_NEW, DKV_CLEANUP(mongoc_cursor_destroyp). */
DKV_DEFINE_FREEP(bson_t, bson_destroy);
DKV_DEFINE_FREEP(mongoc_cursor_t, mongoc_cursor_destroy);

/* ---- mongodb_filter.c ---- */

/* dkv_mongodb_filter: append the filter's query, and _id after `after` (both may be NULL). What the server can't
 * compare, the text of a cmk, it only narrows; dkv_mongodb_filter_takes says the rest. */
DKV_MUST_USE enum dkv_rc dkv_mongodb_filter(const struct dkv_key_filter *filter, const struct dkv_uuid *after,
                                            bson_t *query, struct dkv_error *err);
/* dkv_mongodb_filter_is_whole: the server does all of it. */
bool dkv_mongodb_filter_is_whole(const struct dkv_key_filter *filter);
DKV_MUST_USE enum dkv_rc dkv_mongodb_filter_takes(const struct dkv_key_filter *filter, struct dkv_span document,
                                                  bool *ret, struct dkv_error *err);

/* ---- mongodb_cursor.c ---- */

/* dkv_mongodb_find: a query whose answer is one batch; its errors come out of dkv_mongodb_next. */
mongoc_cursor_t *dkv_mongodb_find(const struct dkv_mongodb_connection *connection, const bson_t *query, int64_t limit);
/* dkv_mongodb_next: *ret_row is borrowed from the cursor until the next; NULL: there are no more. doing: as for
 * dkv_mongodb_fail. DKV_E_TRANSIENT also when the server says for ever that there is more and gives nothing. */
DKV_MUST_USE enum dkv_rc dkv_mongodb_next(const struct dkv_mongodb_store *store, mongoc_cursor_t *cursor,
                                          const char *doing, const bson_t **ret_row, struct dkv_error *err);

/* ---- mongodb_read.c ---- */

/* dkv_mongodb_get: the stored bytes under an _id, unjudged, appended to ret; *ret_found false: there are none. */
DKV_MUST_USE enum dkv_rc dkv_mongodb_get(struct dkv_mongodb_connection *connection, const struct dkv_uuid *id,
                                         struct dkv_buf *ret, bool *ret_found, struct dkv_error *err);
/* dkv_mongodb_get_judged: the stored document under an _id. DKV_E_NOT_FOUND, DKV_E_REJECTED_CIPHERTEXT: what is kept is
 * no document. */
DKV_MUST_USE enum dkv_rc dkv_mongodb_get_judged(struct dkv_mongodb_connection *connection, const struct dkv_uuid *id,
                                                struct dkv_buf *ret_bytes, struct dkv_document *ret,
                                                struct dkv_error *err);
enum dkv_rc dkv_mongodb_get_many(struct dkv_store *base, const struct dkv_uuid *ids, size_t n,
                                 dkv_store_visit_fn visit, void *arg, struct dkv_error *err);

/* ---- mongodb_read_name.c ---- */

enum dkv_rc dkv_mongodb_get_by_alt_name(struct dkv_store *base, const char *name, struct dkv_buf *ret,
                                        struct dkv_error *err);
/* dkv_mongodb_find_holder: the _id of a document that has one of these names and isn't `but` (may be NULL), and which
 * name; *ret_name is NULL when there is none. */
DKV_MUST_USE enum dkv_rc dkv_mongodb_find_holder(struct dkv_mongodb_connection *connection, const char *const *names,
                                                 size_t n, const struct dkv_uuid *but, struct dkv_uuid *ret_id,
                                                 const char **ret_name, struct dkv_error *err);

/* ---- mongodb_list.c, mongodb_count.c ---- */

/* A reading in _id order. Where its cursor is lost, a new one goes on after the last _id visited. */
struct dkv_mongodb_walk {
    enum dkv_rc (*query)(const void *source, const struct dkv_uuid *after, bson_t *ret, struct dkv_error *err);
    const void *source;
    const struct dkv_key_filter *filter; /* judged here, since the server can't; NULL: none */
    const struct dkv_uuid *after;        /* NULL: from the start */
    size_t limit;                        /* SIZE_MAX: none */
    bool takes_foreign;                  /* documents whose _id is no UUID are visited, without one; else they end it */
    dkv_store_visit_fn visit;
    void *arg;
};
DKV_MUST_USE enum dkv_rc dkv_mongodb_walk(struct dkv_mongodb_store *store, const struct dkv_mongodb_walk *walk,
                                          struct dkv_error *err);
enum dkv_rc dkv_mongodb_list(struct dkv_store *base, const struct dkv_key_filter *filter, const struct dkv_uuid *after,
                             size_t limit, dkv_store_visit_fn visit, void *arg, struct dkv_error *err);
enum dkv_rc dkv_mongodb_count_by(struct dkv_store *base, dkv_key_count_fn visit, void *arg, struct dkv_error *err);

/* ---- mongodb_insert.c ---- */

enum dkv_rc dkv_mongodb_insert(struct dkv_store *base, struct dkv_span document, enum dkv_clash *ret_clash,
                               struct dkv_error *err);
enum dkv_rc dkv_mongodb_insert_many(struct dkv_store *base, const struct dkv_span *documents, size_t n,
                                    enum dkv_clash *ret_clashes, struct dkv_error *err);

/* ---- mongodb_write.c ---- */

enum dkv_rc dkv_mongodb_replace_material(struct dkv_store *base, const struct dkv_uuid *id,
                                         struct dkv_span expected_master_key, struct dkv_span expected_material,
                                         struct dkv_span master_key, struct dkv_span material, struct dkv_error *err);
enum dkv_rc dkv_mongodb_set_status(struct dkv_store *base, const struct dkv_uuid *id, int32_t status, bool *ret_changed,
                                   struct dkv_error *err);

/* ---- mongodb_remove.c ---- */

enum dkv_rc dkv_mongodb_remove(struct dkv_store *base, const struct dkv_uuid *id, struct dkv_span expected,
                               struct dkv_error *err);

/* ---- mongodb_names.c ---- */

enum dkv_rc dkv_mongodb_add_alt_name(struct dkv_store *base, const struct dkv_uuid *id, const char *name,
                                     bool *ret_changed, struct dkv_error *err);
enum dkv_rc dkv_mongodb_remove_alt_name(struct dkv_store *base, const struct dkv_uuid *id, const char *name,
                                        bool *ret_changed, struct dkv_error *err);

/* ---- mongodb_index.c ---- */

enum dkv_rc dkv_mongodb_ensure_index(struct dkv_store *base, struct dkv_error *err);
enum dkv_rc dkv_mongodb_check_index(struct dkv_store *base, enum dkv_index_state *ret, struct dkv_error *err);
/* dkv_mongodb_need_index: before a new alt name is written: DKV_OK if the index was seen to be right in the last
 * seconds, else as ensure_index. */
DKV_MUST_USE enum dkv_rc dkv_mongodb_need_index(struct dkv_mongodb_store *store, struct dkv_error *err);
/* dkv_mongodb_prepare_index: before keys are inserted. With names: as need_index. Without: the first time it is made if
 * it can be; only a server that isn't there or refuses the user is an error. */
DKV_MUST_USE enum dkv_rc dkv_mongodb_prepare_index(struct dkv_mongodb_store *store, bool has_names,
                                                   struct dkv_error *err);

/* ---- mongodb_state.c ---- */

enum dkv_rc dkv_mongodb_state_get(struct dkv_store *base, const char *key, struct dkv_buf *ret, struct dkv_error *err);
enum dkv_rc dkv_mongodb_state_put(struct dkv_store *base, const char *key, struct dkv_span expected,
                                  struct dkv_span value, struct dkv_error *err);
enum dkv_rc dkv_mongodb_state_list(struct dkv_store *base, dkv_state_visit_fn visit, void *arg, struct dkv_error *err);

#endif
