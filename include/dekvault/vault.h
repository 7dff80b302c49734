/* SPDX-License-Identifier: Apache-2.0 */
/* The key vault: data encryption keys (DEKs), wrapped by CMKs, as MongoDB's key documents.
 *
 * Documents go in and come out as BSON bytes in exactly the format of MongoDB's client-side field
 * level encryption (github.com/mongodb/specifications, client-side-encryption: data key documents).
 *
 * What reads or writes the store may also fail as the store does: DKV_E_TRANSIENT (of a write the words say if it may
 * have been done), DKV_E_UNREACHABLE, DKV_E_AUTH, DKV_E_DENIED, DKV_E_RESOURCE, DKV_E_INTERNAL; in a child of fork()
 * with DKV_E_INVALID. A vault in MongoDB takes new alt names only with its unique index, which it makes where it may:
 * DKV_E_CONFIG, DKV_E_CONFLICT or DKV_E_DENIED, with what to do. */
#ifndef DEKVAULT_VAULT_H
#define DEKVAULT_VAULT_H

#include <stdbool.h>

#include "dekvault/error.h"
#include "dekvault/provider_file.h"
#include "dekvault/span.h"

DKV_BEGIN_DECLS

struct dkv_vault;

/* dkv_vault_open: open a vault of the provider file and make its providers known (no token or KMS is
 * touched yet).
 *   file       borrowed: must outlive the vault
 *   name       NULL or "default": `vault`; else an entry of `vaults`
 *   ret_vault  the caller's, for dkv_vault_close
 * DKV_E_CONFIG, DKV_E_NOT_FOUND (no such name; or the store doesn't exist: `vault init` makes it), DKV_E_DENIED (the
 * store's file), DKV_E_TRANSIENT, DKV_E_UNREACHABLE, DKV_E_RESOURCE (memory can't be locked: the text says what to do).
 * Thread-safe: yes; the vault may be used by many threads at once. Blocks: opens a file; of a server only the hosts of
 * a mongodb+srv URI are looked up, the server itself isn't asked before the vault is used. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_vault_open(const struct dkv_provider_file *file, const char *name,
                                                struct dkv_vault **ret_vault, struct dkv_error *err);

/* dkv_vault_init: like dkv_vault_open, but makes the store and its index first where they are missing.
 * *ret_created (may be NULL): whether the store was made by this call.
 * Errors, threads: as dkv_vault_open; and those of the index. Blocks: writes the store. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_vault_init(const struct dkv_provider_file *file, const char *name,
                                                bool *ret_created, struct dkv_vault **ret_vault, struct dkv_error *err);

/* dkv_vault_close: wipes what it holds; every DEK handle must be closed before. NULL is fine.
 * Thread-safe: no, the last user calls it. Blocks: logs out of tokens, closes the store. */
DKV_API void dkv_vault_close(struct dkv_vault *vault);

/* ---- Creating keys ---- */

/* Borrowed for the call. */
struct dkv_key_options {
    const char *cmk;               /* CMK reference; NULL: the provider entry's cmk */
    const char *const *alt_names;  /* n_alt_names texts, UTF-8 */
    size_t n_alt_names;
    struct dkv_span material;      /* the DEK itself, exactly 96 bytes; empty: random. Wipe it yourself */
};

/* dkv_key_create: make a DEK, wrap it, open the wrap again and compare, then store it.
 *   provider_id  "pkcs11:prod"
 *   options      NULL: none
 *   ret_id       the new document's _id
 * DKV_E_CONFLICT: an alt name is taken. DKV_E_INVALID: material isn't 96 bytes, or an alt name is given
 * twice or isn't UTF-8. DKV_E_NOT_FOUND: no such provider or CMK. DKV_E_POLICY: the CMK may not be used.
 * And whatever the provider says (auth, unreachable, ...).
 * Thread-safe: yes. Blocks: up to the provider's and the store's timeout-ms. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_key_create(struct dkv_vault *vault, const char *provider_id,
                                                const struct dkv_key_options *options, struct dkv_uuid *ret_id,
                                                struct dkv_error *err);

/* ---- Finding and changing key documents (no CMK needed) ---- */

/* Which key: by _id when alt_name is NULL. */
struct dkv_key_selector {
    struct dkv_uuid id;
    const char *alt_name;
};

/* dkv_key_selector_parse: a UUID, else an alt name; "name:X" is always the alt name X, which stays
 * borrowed from text. DKV_E_INVALID: empty. Thread-safe: yes. Blocks: no. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_key_selector_parse(const char *text, struct dkv_key_selector *ret,
                                                        struct dkv_error *err);

/* dkv_key_get: the document's stored bytes, up to 1 MiB, appended to an empty ret_document (dkv_buf_done).
 * DKV_E_NOT_FOUND; DKV_E_CONFLICT: two documents have that name; DKV_E_POLICY: the vault answers a pinned
 * name otherwise; DKV_E_REJECTED_CIPHERTEXT: what is stored is no valid document, or not the one asked for.
 * Thread-safe: yes. Blocks: reads the store. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_key_get(struct dkv_vault *vault, const struct dkv_key_selector *key,
                                             struct dkv_buf *ret_document, struct dkv_error *err);

/* A filter for dkv_key_list, borrowed for the call: what is NULL or unset doesn't narrow. Times are milliseconds since
 * 1970 (UTC); a date is strictly between. */
struct dkv_key_filter {
    const char *provider;         /* KMS provider id */
    const char *cmk;              /* masterKey's keyId (pkcs11, kmip) or key (aws); "" for local */
    int status;                   /* -1: any; 0 enabled, 1 disabled */
    const char *name_prefix;      /* an alt name starts with this */
    int64_t created_after_ms, created_before_ms; /* creationDate; INT64_MIN and INT64_MAX: open */
    int64_t updated_after_ms, updated_before_ms;
};
#define DKV_KEY_FILTER_ALL { NULL, NULL, -1, NULL, INT64_MIN, INT64_MAX, INT64_MIN, INT64_MAX }

/* One key document; document is borrowed for the call. Anything but DKV_OK stops the listing and is
 * its result. The vault may be used from inside. */
typedef enum dkv_rc (*dkv_key_visit_fn)(void *arg, struct dkv_span document, struct dkv_error *err);

/* dkv_key_list: visit the stored documents, valid or not, that match (filter NULL: all), ordered by _id, after *after
 * (NULL: from the start), at most limit of them (0: all). Constant memory. DKV_E_REJECTED_CIPHERTEXT: where an _id
 * should have a document there is none, or another's (the words name the _ids), or a document's _id is no UUID (the
 * words say how many): all others were visited. Such a row counts to the limit.
 * Thread-safe: yes. Blocks: reads the store. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_key_list(struct dkv_vault *vault, const struct dkv_key_filter *filter,
                                              const struct dkv_uuid *after, size_t limit, dkv_key_visit_fn visit,
                                              void *arg, struct dkv_error *err);

/* dkv_key_add_name, dkv_key_remove_name: as MongoDB's addKeyAltName and removeKeyAltName; updateDate is not touched.
 *   name      UTF-8, 1 to 1024 bytes
 *   ret_id    the document's _id; may be NULL
 * *ret_changed (may be NULL): false if it was so already. DKV_E_NOT_FOUND: no such key; DKV_E_CONFLICT: another key has
 * the name; DKV_E_INVALID: no such name may be; DKV_E_POLICY: it is pinned to another key; DKV_E_REJECTED_CIPHERTEXT as
 * dkv_key_get.
 * Thread-safe: yes. Blocks: writes the store. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_key_add_name(struct dkv_vault *vault, const struct dkv_key_selector *key,
                                                  const char *name, struct dkv_uuid *ret_id, bool *ret_changed,
                                                  struct dkv_error *err);
DKV_API DKV_MUST_USE enum dkv_rc dkv_key_remove_name(struct dkv_vault *vault, const struct dkv_key_selector *key,
                                                     const char *name, struct dkv_uuid *ret_id, bool *ret_changed,
                                                     struct dkv_error *err);

/* dkv_key_delete: remove the document for good: what was encrypted with the key can never be read again.
 * By _id, whatever the store keeps under it goes, also what is no valid document.
 * *ret_id (may be NULL): the _id. DKV_E_NOT_FOUND; DKV_E_CONFLICT: it changed meanwhile.
 * Thread-safe: yes. Blocks: writes the store. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_key_delete(struct dkv_vault *vault, const struct dkv_key_selector *key,
                                                struct dkv_uuid *ret_id, struct dkv_error *err);

/* dkv_key_import: insert a key document unchanged, after checking it and, unless unverified, unwrapping it.
 *   document  its BSON bytes, up to 1 MiB; borrowed for the call
 * *ret_inserted (may be NULL): false if the same document is there already (the same bytes; a MongoDB server
 * puts _id first). DKV_E_REJECTED_CIPHERTEXT:
 * malformed, or doesn't open; DKV_E_CONFLICT: another document has its _id or a name of its; DKV_E_POLICY: its CMK
 * isn't allowed (unless unverified), or a name of its is pinned to another key.
 * Thread-safe: yes. Blocks: as dkv_key_create. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_key_import(struct dkv_vault *vault, struct dkv_span document, bool unverified,
                                                bool *ret_inserted, struct dkv_error *err);

/* ---- About the vault ---- */

struct dkv_key_count {
    const char *provider, *cmk; /* borrowed for the call */
    int status;
    uint64_t count;
};
/* Anything but DKV_OK stops the counting and is its result. */
typedef enum dkv_rc (*dkv_key_count_fn)(void *arg, const struct dkv_key_count *count, struct dkv_error *err);

/* dkv_key_count_by: visit the number of keys of each provider, CMK and status, in that order. Damaged documents are
 * counted by what they were. Thread-safe: yes. Blocks: reads the store. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_key_count_by(struct dkv_vault *vault, dkv_key_count_fn visit, void *arg,
                                                  struct dkv_error *err);

/* dkv_vault_index_state: the unique index on keyAltNames: "ok", "missing", "not-unique", "not-partial", "sharded" (it
 * can't be made) or "unknown" (the user may not see it). *ret_state is static.
 * Thread-safe: yes. Blocks: reads the store. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_vault_index_state(struct dkv_vault *vault, const char **ret_state,
                                                       struct dkv_error *err);

/* ---- Moving a vault ---- */

/* Keys so far. */
struct dkv_copy_counts {
    uint64_t copied;  /* written, and read back equal; in a dry run: would be written */
    uint64_t present; /* were there already, the same document */
    uint64_t refused;
};

/* Called now and then, on the calling thread. Anything but DKV_OK stops the copy and is its result. */
typedef enum dkv_rc (*dkv_copy_progress_fn)(void *arg, const struct dkv_copy_counts *so_far, struct dkv_error *err);
/* One key that isn't copied: the _id under which `from` keeps it (NULL: it is no UUID), and why; both are borrowed for
 * the call. Anything but DKV_OK stops the copy and is its result. */
typedef enum dkv_rc (*dkv_copy_refused_fn)(void *arg, const struct dkv_uuid *id, const struct dkv_error *why,
                                           struct dkv_error *err);

/* Borrowed for the call; functions may be NULL. */
struct dkv_copy_options {
    bool dry_run;                  /* nothing is written */
    dkv_copy_progress_fn progress;
    dkv_copy_refused_fn refused;
    void *arg;                     /* for both */
};

/* dkv_vault_copy: copy all key documents and the state from one open vault to another, of the same kind of store or of
 * another. No key is unwrapped, `from` is only read, and nothing that `to` holds is changed. Each document goes over
 * unchanged (but that a MongoDB server puts _id first) and is read back and compared. State that `to` lacks is written;
 * where both have a value, that of `to` stays: the check records of one CMK differ by their salt, and either holds.
 *   options     NULL: none
 *   ret_counts  every key of `from` is in one of them; state isn't counted
 * DKV_OK also when keys were refused, the counts say so. The error of a refused key: DKV_E_REJECTED_CIPHERTEXT: it is
 * no valid document of its _id, or was read back otherwise than written; DKV_E_CONFLICT: `to` has another document of
 * its _id, or another key has a name of its, there or in `from`; DKV_E_POLICY: the settings of `to` pin a name of its
 * to another key. A dry run tells the same but for what comes to light by writing: that a MongoDB server takes only one
 * document with an empty keyAltNames, and what others write meanwhile.
 * Errors of the copy, after which what was copied so far is there and a second call does the rest, as after a kill:
 * DKV_E_INVALID: they are one vault; DKV_E_CONFIG: `to` hasn't its unique index, the words say what to do;
 * DKV_E_DENIED (also: the index can't
 * be seen), DKV_E_AUTH, DKV_E_TRANSIENT, DKV_E_UNREACHABLE as the stores say; DKV_E_RESOURCE: memory, disk, or an audit
 * record that is required can't be written.
 * Memory is constant. What other threads and processes change in `from` meanwhile may be copied or not.
 * Thread-safe: yes. Blocks: for as long as it takes; each call of a store up to its timeout-ms. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_vault_copy(struct dkv_vault *from, struct dkv_vault *to,
                                                const struct dkv_copy_options *options,
                                                struct dkv_copy_counts *ret_counts, struct dkv_error *err);

/* dkv_vault_store: where it is, without a password; borrowed. Thread-safe: yes. Blocks: no. */
DKV_API const char *dkv_vault_store(const struct dkv_vault *vault);

/* dkv_vault_namespace: the database and collection, "encryption.__keyVault"; NULL for a store that is a file. Borrowed.
 * Thread-safe: yes. Blocks: no. */
DKV_API const char *dkv_vault_namespace(const struct dkv_vault *vault);

DKV_END_DECLS

#endif
