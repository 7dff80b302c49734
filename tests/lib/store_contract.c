/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of stores as tests: the documents they use, the store under test, and the one list of all parts. The
 * store is a global of this file; one test runs at a time, and its threads only read the pointer. */
#include "tests/lib/store_contract_parts.h"

#include <bson/bson.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

static const struct dkv_store_factory *factory;
static struct dkv_store *store;

/* ---- Documents ---- */

struct dkv_uuid dkv_test_id(uint8_t byte)
{
    struct dkv_uuid id;
    for (size_t i = 0; i < sizeof(id.bytes); i++) {
        id.bytes[i] = byte;
    }
    return id;
}

void dkv_test_master_key(const char *provider, const char *cmk, struct dkv_buf *ret)
{
    struct dkv_error err = {0};
    bson_t bson = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&bson, "provider", provider);
    if (strncmp(provider, "aws", 3) == 0) {
        BSON_APPEND_UTF8(&bson, "region", "eu-west-1");
        BSON_APPEND_UTF8(&bson, "key", cmk);
    } else if (strcmp(provider, "azure") == 0) {
        BSON_APPEND_UTF8(&bson, "keyName", cmk);
    } else if (strncmp(provider, "local", 5) != 0) {
        BSON_APPEND_UTF8(&bson, "keyId", cmk);
    }
    const enum dkv_rc rc = dkv_buf_append(ret, dkv_span(bson_get_data(&bson), bson.len), &err);
    bson_destroy(&bson);
    ASSERT_OK(rc);
}

void dkv_test_key(const struct dkv_key_shape *shape, struct dkv_buf *ret)
{
    struct dkv_error err = {0};
    const char *names[4];
    const char *provider = shape->provider != NULL ? shape->provider : "local";
    struct dkv_buf master_key = {0};
    struct dkv_document document = {
        .id = dkv_test_id(shape->id),
        .alt_names = names,
        .key_material = dkv_span_str(shape->material != NULL ? shape->material : "wrapped bytes"),
        .creation_date_ms = shape->created_ms,
        .update_date_ms = shape->updated_ms,
        .status = shape->status,
    };
    while (document.n_alt_names < DKV_COUNT(names) && shape->names[document.n_alt_names] != NULL) {
        names[document.n_alt_names] = shape->names[document.n_alt_names];
        document.n_alt_names++;
    }
    dkv_test_master_key(provider, shape->cmk != NULL ? shape->cmk : "", &master_key);
    document.master_key = dkv_span_buf(&master_key);
    const enum dkv_rc rc = dkv_document_write(&document, ret, &err);
    dkv_buf_done(&master_key);
    ASSERT_OK(rc);
}

struct dkv_uuid dkv_test_numbered_id(uint32_t number)
{
    struct dkv_uuid id = dkv_test_id('#');
    for (size_t i = 0; i < 4; i++) {
        id.bytes[12 + i] = (uint8_t)(number >> (24 - 8 * i));
    }
    id.bytes[6] = 0x40;
    return id;
}

void dkv_test_numbered_key(uint32_t number, const char **names, size_t n, struct dkv_buf *ret)
{
    struct dkv_error err = {0};
    struct dkv_buf master_key = {0};
    dkv_test_master_key("local", "", &master_key);
    const struct dkv_document document = {
        .id = dkv_test_numbered_id(number),
        .alt_names = names,
        .n_alt_names = n,
        .key_material = dkv_span_str("wrapped bytes"),
        .master_key = dkv_span_buf(&master_key),
    };
    const enum dkv_rc rc = dkv_document_write(&document, ret, &err);
    dkv_buf_done(&master_key);
    ASSERT_OK(rc);
}

void dkv_test_strange_key(bool id_is_last, struct dkv_buf *ret)
{
    struct dkv_error err = {0};
    bson_t bson = BSON_INITIALIZER;
    bson_t master_key = BSON_INITIALIZER;
    const struct dkv_uuid id = dkv_test_id('a');
    if (!id_is_last) {
        BSON_APPEND_BINARY(&bson, "_id", BSON_SUBTYPE_UUID, id.bytes, 16);
    }
    BSON_APPEND_INT64(&bson, "version", 0);
    BSON_APPEND_UTF8(&master_key, "anything", "goes");
    BSON_APPEND_UTF8(&master_key, "provider", "strange:one");
    BSON_APPEND_DOCUMENT(&bson, "masterKey", &master_key);
    BSON_APPEND_INT32(&bson, "status", 0);
    BSON_APPEND_DATE_TIME(&bson, "updateDate", 2);
    BSON_APPEND_BINARY(&bson, "keyMaterial", BSON_SUBTYPE_BINARY, (const uint8_t *)"wrapped", 7);
    BSON_APPEND_DATE_TIME(&bson, "creationDate", 1);
    if (id_is_last) {
        BSON_APPEND_BINARY(&bson, "_id", BSON_SUBTYPE_UUID, id.bytes, 16);
    }
    const enum dkv_rc rc = dkv_buf_append(ret, dkv_span(bson_get_data(&bson), bson.len), &err);
    bson_destroy(&master_key);
    bson_destroy(&bson);
    ASSERT_OK(rc);
}

/* ---- Stores ---- */

enum dkv_rc dkv_test_insert(struct dkv_store *into, const struct dkv_key_shape *shape, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf document = {0};
    dkv_test_key(shape, &document);
    return into->ops->insert(into, dkv_span_buf(&document), NULL, err);
}

static enum dkv_rc keep_document(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    (void)id;
    return dkv_buf_append(arg, document, err);
}

enum dkv_rc dkv_test_get(struct dkv_store *from, uint8_t id, struct dkv_buf *ret, struct dkv_error *err)
{
    const struct dkv_uuid uuid = dkv_test_id(id);
    DKV_TRY(from->ops->get_many(from, &uuid, 1, keep_document, ret, err));
    return ret->len > 0 ? DKV_OK : dkv_fail(err, DKV_E_NOT_FOUND, "not there");
}

#if defined(__has_feature)
#define HAS_FEATURE(feature) __has_feature(feature)
#else
#define HAS_FEATURE(feature) 0
#endif

bool dkv_test_skips_child_stores(void)
{
#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
    const bool skips = factory->has_threads;
#else
    const bool skips = false;
#endif
    if (skips) {
        dkv_test_skip("the thread sanitizer takes no threads after fork()");
    }
    return skips;
}

int dkv_test_in_child(int (*body)(void *arg), void *arg)
{
    int status = -1;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        _exit(body(arg));
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
        return -1;
    }
    return WEXITSTATUS(status);
}

struct dkv_store *dkv_contract_start(void)
{
    struct dkv_error err = {0};
    ASSERT_OK(factory->fresh(&store, &err));
    return store;
}

void dkv_contract_finish(void)
{
    store->ops->close(store);
    store = NULL;
}

enum dkv_rc dkv_contract_again(struct dkv_store **ret, struct dkv_error *err)
{
    return factory->again(ret, err);
}

void dkv_contract_plant(const struct dkv_uuid *id, struct dkv_span bytes, struct dkv_buf *ret_planted)
{
    factory->plant(store, id, bytes, ret_planted);
}

void dkv_contract_add(const struct dkv_key_shape *shape)
{
    struct dkv_error err = {0};
    ASSERT_OK(dkv_test_insert(store, shape, &err));
}

void dkv_contract_add_assorted(void)
{
    dkv_contract_add(&(struct dkv_key_shape){
        .id = 'a', .created_ms = 10, .updated_ms = 100, .names = {"app.x", "other"}});
    dkv_contract_add(&(struct dkv_key_shape){
        .id = 'b', .created_ms = 20, .updated_ms = 90, .status = 1, .names = {"app.y", "app.z"}});
    dkv_contract_add(&(struct dkv_key_shape){
        .id = 'c', .created_ms = 30, .updated_ms = 80, .provider = "aws:eu", .cmk = "key-1"});
    dkv_contract_add(&(struct dkv_key_shape){
        .id = 'd', .created_ms = 40, .updated_ms = 70, .provider = "aws:eu", .cmk = "key-2", .names = {"app."}});
    dkv_contract_add(&(struct dkv_key_shape){
        .id = 'e', .created_ms = 50, .updated_ms = 60, .provider = "pkcs11:prod", .cmk = "key-1", .names = {"apq"}});
    dkv_contract_add(&(struct dkv_key_shape){
        .id = 'f', .created_ms = -5, .updated_ms = 50, .provider = "pkcs11", .cmk = "0a0b", .status = 1});
    dkv_contract_add(&(struct dkv_key_shape){
        .id = 'g', .created_ms = 60, .updated_ms = 60, .provider = "azure", .cmk = "k"});
}

enum dkv_rc dkv_test_count(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    (void)id;
    (void)document;
    (void)err;
    ++*(size_t *)arg;
    return DKV_OK;
}

enum dkv_rc dkv_contract_visit(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    struct dkv_contract_visited *visited = arg;
    struct dkv_uuid own = {0};
    if (!dkv_document_peek_id(document, &own) || !dkv_uuid_equal(&own, id) || visited->n >= sizeof(visited->ids)) {
        return dkv_fail(err, DKV_E_INTERNAL, "not a key document, or too many");
    }
    visited->ids[visited->n++] = id->bytes[0];
    return visited->n >= 3 && visited->answer != DKV_OK ? dkv_fail(err, visited->answer, "enough") : DKV_OK;
}

void dkv_contract_assert_visited(const struct dkv_contract_visited *visited, const char *expected)
{
    char got[sizeof(visited->ids) + 1];
    for (size_t i = 0; i < visited->n; i++) {
        got[i] = (char)visited->ids[i];
    }
    got[visited->n] = '\0';
    if (strcmp(got, expected) != 0) {
        printf("# visited '%s', expected '%s'\n", got, expected);
    }
    CU_ASSERT_STRING_EQUAL_FATAL(got, expected);
}

void dkv_contract_assert_names(uint8_t id, const char *const *names, size_t n)
{
    struct dkv_error err = {0};
    struct dkv_buf bytes = {0};
    struct dkv_document document = {0};
    ASSERT_OK(dkv_test_get(store, id, &bytes, &err));
    ASSERT_OK(dkv_document_parse(dkv_span_buf(&bytes), &document, &err));
    CU_ASSERT_EQUAL_FATAL(document.n_alt_names, n);
    CU_ASSERT_EQUAL_FATAL(document.has_alt_names, n > 0);
    for (size_t i = 0; i < n; i++) {
        CU_ASSERT_STRING_EQUAL_FATAL(document.alt_names[i], names[i]);
    }
    dkv_document_done(&document);
    dkv_buf_done(&bytes);
}

static size_t append_part(struct dkv_test *all, size_t n, const struct dkv_test *tests, size_t n_tests)
{
    if (all != NULL && n_tests > 0) {
        memcpy(&all[n], tests, n_tests * sizeof(*tests));
    }
    return n + n_tests;
}

/* How many there are; into all, unless it is NULL. */
static size_t append_contract(struct dkv_test *all)
{
    static const struct dkv_contract_part *const parts[] = {
        &dkv_contract_insert, &dkv_contract_insert_many, &dkv_contract_read, &dkv_contract_list, &dkv_contract_write,
        &dkv_contract_damage, &dkv_contract_state,       &dkv_contract_fork, &dkv_contract_many,
    };
    size_t n = 0;
    for (size_t i = 0; i < DKV_COUNT(parts); i++) {
        n = append_part(all, n, parts[i]->tests, parts[i]->n);
    }
    return n;
}

int dkv_store_contract_main(int argc, char **argv, const struct dkv_store_factory *its_factory,
                            const struct dkv_test *own, size_t n_own)
{
    const size_t n_contract = append_contract(NULL), n = n_contract + n_own;
    struct dkv_test *all = dkv_calloc(n, sizeof(*all));
    if (all == NULL) {
        return 99;
    }
    factory = its_factory;
    (void)append_contract(all);
    (void)append_part(all, n_contract, own, n_own);
    printf("# %zu tests of the contract of stores, %zu of this kind\n", n_contract, n_own);
    const int status = dkv_test_main(argc, argv, all, n);
    dkv_free(all);
    return status;
}
