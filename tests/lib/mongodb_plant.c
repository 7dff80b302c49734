/* SPDX-License-Identifier: Apache-2.0 */
/* One client and a counter of databases, for a test program's first thread alone. A child of fork() must not touch the
 * client: its connection is the parent's. No lock: one thread. */
#include "tests/lib/mongodb_plant.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/test.h"

static mongoc_client_t *client;
static unsigned databases;
static pid_t owner; /* in a child the names stay those of its parent */

const char *dkv_test_mongodb_uri(void)
{
    return secure_getenv("DEKVAULT_TEST_MONGODB_URI");
}

static void stop(const char *doing, const bson_error_t *error)
{
    printf("# %s: %s (%u)\n", doing, error->message, error->code);
    CU_FAIL_FATAL("the server of the tests refused");
}

mongoc_client_t *dkv_test_mongodb_client(void)
{
    if (client == NULL) {
        mongoc_init();
        owner = getpid();
        client = mongoc_client_new(dkv_test_mongodb_uri());
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    (void)mongoc_client_set_error_api(client, MONGOC_ERROR_API_VERSION_2);
    return client;
}

static const char *database_name(unsigned i)
{
    static char name[64];
    snprintf(name, sizeof(name), "dekvault_test_%d_%u", (int)owner, i);
    return name;
}

const char *dkv_test_mongodb_new_database(void)
{
    (void)dkv_test_mongodb_client();
    return database_name(databases++);
}

static void drop(const char *name)
{
    mongoc_database_t *database = mongoc_client_get_database(client, name);
    bson_error_t error = {0};
    if (!mongoc_database_drop(database, &error)) {
        printf("# dropping %s: %s\n", name, error.message);
    }
    mongoc_database_destroy(database);
}

void dkv_test_mongodb_done(void)
{
    for (unsigned i = 0; client != NULL && i < databases; i++) {
        drop(database_name(i));
    }
    databases = 0;
    mongoc_client_destroy(client);
    client = NULL;
}

void dkv_test_mongodb_run(const char *database, const char *json)
{
    bson_error_t error = {0};
    bson_t *command = bson_new_from_json((const uint8_t *)json, -1, &error);
    bson_t reply;
    if (command == NULL) {
        stop(json, &error);
    }
    const bool is_ok =
        mongoc_client_command_simple(dkv_test_mongodb_client(), database, command, NULL /* primary */, &reply, &error);
    bson_destroy(&reply);
    bson_destroy(command);
    if (!is_ok) {
        stop(json, &error);
    }
}

static void as_bson(struct dkv_span document, bson_t *ret)
{
    CU_ASSERT_FATAL(bson_init_static(ret, document.data, document.len));
}

void dkv_test_mongodb_insert(const char *database, const char *collection_name, struct dkv_span document)
{
    bson_t bson;
    bson_error_t error = {0};
    as_bson(document, &bson);
    mongoc_collection_t *collection =
        mongoc_client_get_collection(dkv_test_mongodb_client(), database, collection_name);
    const bool is_ok = mongoc_collection_insert_one(collection, &bson, NULL, NULL, &error);
    mongoc_collection_destroy(collection);
    if (!is_ok) {
        stop("inserting", &error);
    }
}

/* What is kept under the selector: its bytes appended to ret, or its keyAltNames to ret_names; either may be NULL. */
static void find(mongoc_collection_t *collection, const bson_t *selector, struct dkv_buf *ret, bson_t *ret_names)
{
    struct dkv_error err = {0};
    const bson_t *found = NULL;
    bson_iter_t iter;
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(collection, selector, NULL, NULL);
    const bool is_found = mongoc_cursor_next(cursor, &found);
    enum dkv_rc rc = is_found ? DKV_OK : dkv_fail(&err, DKV_E_NOT_FOUND, "nothing to plant upon");
    if (is_found && ret != NULL) {
        rc = dkv_buf_append(ret, dkv_span(bson_get_data(found), found->len), &err);
    }
    if (is_found && ret_names != NULL && bson_iter_init_find(&iter, found, "keyAltNames")) {
        BSON_APPEND_VALUE(ret_names, "keyAltNames", bson_iter_value(&iter));
    }
    mongoc_cursor_destroy(cursor);
    ASSERT_OK(rc);
}

void dkv_test_mongodb_plant(const char *database, const char *collection_name, const struct dkv_uuid *id,
                            struct dkv_span bytes, struct dkv_buf *ret_planted)
{
    bson_error_t error = {0};
    bson_t selector = BSON_INITIALIZER, document = BSON_INITIALIZER;
    mongoc_collection_t *collection =
        mongoc_client_get_collection(dkv_test_mongodb_client(), database, collection_name);
    BSON_APPEND_BINARY(&selector, "_id", BSON_SUBTYPE_UUID, id->bytes, sizeof(id->bytes));
    (void)bson_concat(&document, &selector);
    find(collection, &selector, NULL, &document);
    BSON_APPEND_BINARY(&document, "planted", BSON_SUBTYPE_BINARY, bytes.data, (uint32_t)bytes.len);
    const bool is_ok = mongoc_collection_replace_one(collection, &selector, &document, NULL, NULL, &error);
    if (is_ok) {
        find(collection, &selector, ret_planted, NULL);
    }
    bson_destroy(&selector);
    bson_destroy(&document);
    mongoc_collection_destroy(collection);
    if (!is_ok) {
        stop("planting", &error);
    }
}
