/* SPDX-License-Identifier: Apache-2.0 */
/* A MongoDB server of the tests as somebody else uses it, by libmongoc alone: databases of a test's own, and what
 * another writer may leave in a key vault. Everything stops the test when it can't. */
#ifndef TESTS_LIB_MONGODB_PLANT_H
#define TESTS_LIB_MONGODB_PLANT_H

#include <mongoc/mongoc.h>

#include "vault/store.h"

/* NULL: there is no server for tests, and everything that needs one is skipped. */
const char *dkv_test_mongodb_uri(void);
/* A client of this process's own; not in its children. */
mongoc_client_t *dkv_test_mongodb_client(void);
/* The name of a database that nobody has used, until the next call. */
const char *dkv_test_mongodb_new_database(void);
/* Drops all databases that new_database has named, and the client. */
void dkv_test_mongodb_done(void);

/* A command in Extended JSON. */
void dkv_test_mongodb_run(const char *database, const char *json);
void dkv_test_mongodb_insert(const char *database, const char *collection, struct dkv_span document);
/* Another document {_id, keyAltNames as before, planted: bytes} in the place of one; appends what is kept now. */
void dkv_test_mongodb_plant(const char *database, const char *collection, const struct dkv_uuid *id,
                            struct dkv_span bytes, struct dkv_buf *ret_planted);

#endif
