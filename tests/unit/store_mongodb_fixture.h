/* SPDX-License-Identifier: Apache-2.0 */
/* The MongoDB store on the server that scripts/test-mongodb starts: each test has a database of its own. */
#ifndef TESTS_UNIT_STORE_MONGODB_FIXTURE_H
#define TESTS_UNIT_STORE_MONGODB_FIXTURE_H

#include <stdio.h>

#include "tests/lib/mongodb_plant.h"
#include "tests/lib/store_contract.h"

#define COLLECTION "keys"
#define TIMEOUT_MS 30000 /* the machines of tests are slow */

static char database[64], name_space[96];

static inline enum dkv_rc open_uri(const char *uri, uint32_t timeout_ms, bool create, bool *ret_created,
                                   struct dkv_store **ret, struct dkv_error *err)
{
    const struct dkv_store_settings settings = {
        .location = uri, .name_space = name_space, .timeout_ms = timeout_ms};
    return dkv_mongodb_store_ops.open(&settings, create, ret_created, ret, err);
}

static inline enum dkv_rc again(struct dkv_store **ret, struct dkv_error *err)
{
    return open_uri(dkv_test_mongodb_uri(), TIMEOUT_MS, false, NULL, ret, err);
}

static inline void name_new_database(void)
{
    snprintf(database, sizeof(database), "%s", dkv_test_mongodb_new_database());
    snprintf(name_space, sizeof(name_space), "%s." COLLECTION, database);
}

/* As `vault init` leaves it. */
static inline enum dkv_rc fresh(struct dkv_store **ret, struct dkv_error *err)
{
    name_new_database();
    return open_uri(dkv_test_mongodb_uri(), TIMEOUT_MS, true, NULL, ret, err);
}

static inline void assert_index(struct dkv_store *store, enum dkv_index_state expected)
{
    struct dkv_error err = {0};
    enum dkv_index_state state = DKV_INDEX_UNKNOWN;
    ASSERT_OK(store->ops->check_index(store, &state, &err));
    CU_ASSERT_EQUAL(state, expected);
}

static inline int64_t raw_count(const char *collection_name)
{
    bson_error_t error = {0};
    const bson_t all = BSON_INITIALIZER;
    mongoc_collection_t *collection =
        mongoc_client_get_collection(dkv_test_mongodb_client(), database, collection_name);
    const int64_t n = mongoc_collection_count_documents(collection, &all, NULL, NULL, NULL, &error);
    mongoc_collection_destroy(collection);
    return n;
}

#endif
