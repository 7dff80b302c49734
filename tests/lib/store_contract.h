/* SPDX-License-Identifier: Apache-2.0 */
/* What every kind of store must answer, written against struct dkv_store_ops alone. A kind's test program gives a
 * factory and tests of its own; both run as one list. */
#ifndef TESTS_LIB_STORE_CONTRACT_H
#define TESTS_LIB_STORE_CONTRACT_H

#include "tests/lib/test.h"
#include "vault/store.h"

struct dkv_store_factory {
    /* An empty store. */
    enum dkv_rc (*fresh)(struct dkv_store **ret, struct dkv_error *err);
    /* Another connection to the one that fresh() gave last, also from a child process. */
    enum dkv_rc (*again)(struct dkv_store **ret, struct dkv_error *err);
    /* As somebody else who writes the store, without our rules: put something as near to these bytes as the store can
     * keep in the place of a stored document, which is still found by its alt names, and append what is now kept to
     * ret_planted: no valid document of that _id, and longer than DKV_DOCUMENT_MAX if the bytes are. */
    void (*plant)(struct dkv_store *store, const struct dkv_uuid *id, struct dkv_span bytes,
                  struct dkv_buf *ret_planted);
    bool has_threads; /* a store has threads of its own */
};

int dkv_store_contract_main(int argc, char **argv, const struct dkv_store_factory *factory, const struct dkv_test *own,
                            size_t n_own);

/* ---- Key documents for tests ---- */

struct dkv_key_shape {
    uint8_t id;           /* every byte of the _id */
    const char *provider; /* NULL: local */
    const char *cmk;      /* aws: key; local: unused; else keyId */
    const char *names[4]; /* up to the first NULL */
    int32_t status;
    int64_t created_ms, updated_ms;
    const char *material; /* NULL: some */
};

struct dkv_uuid dkv_test_id(uint8_t byte);
/* Appends the document's bytes; stops the test when it can't. */
void dkv_test_key(const struct dkv_key_shape *shape, struct dkv_buf *ret);
/* Another _id, of which there are as many as numbers; none is of dkv_test_id. */
struct dkv_uuid dkv_test_numbered_id(uint32_t number);
/* Appends the document of such an _id, with these names. */
void dkv_test_numbered_key(uint32_t number, const char **names, size_t n, struct dkv_buf *ret);
/* Appends a valid document of _id 'a' as another writer may order it: version 0 is there, masterKey is strange. */
void dkv_test_strange_key(bool id_is_last, struct dkv_buf *ret);
/* Appends {provider, <cmk field>: cmk} as BSON. */
void dkv_test_master_key(const char *provider, const char *cmk, struct dkv_buf *ret);
/* Insert a document of this shape. */
enum dkv_rc dkv_test_insert(struct dkv_store *store, const struct dkv_key_shape *shape, struct dkv_error *err);
/* Insert a document of _id 'a', give it a name and take that again: it is as before, and in between has only more. */
void dkv_test_rename(struct dkv_store *store, struct dkv_span document);
/* A dkv_store_visit_fn; arg is the size_t that counts. */
enum dkv_rc dkv_test_count(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err);
/* The document of an _id; DKV_E_NOT_FOUND. */
enum dkv_rc dkv_test_get(struct dkv_store *store, uint8_t id, struct dkv_buf *ret, struct dkv_error *err);
/* Whether a child can't open a store here; the test is then marked as skipped: the thread sanitizer takes no threads in
 * a child of a process that had some. */
bool dkv_test_skips_child_stores(void);
/* For CU_ASSERT on the children of a test: fork, run body, and give its exit status. */
int dkv_test_in_child(int (*body)(void *arg), void *arg);

#endif
