/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of stores: of many documents inserted at once, a clash of one keeps no other out.
 * No lock: one thread. */
#include "tests/lib/store_contract_parts.h"

#include <stdio.h>

#include "base/mem.h"

#define BATCH_MAX 8

/* A batch of documents, and what became of each. */
struct batch {
    size_t n;
    struct dkv_buf bytes[BATCH_MAX];
    struct dkv_span documents[BATCH_MAX];
    enum dkv_clash clashes[BATCH_MAX];
};

static void batch_add(struct batch *batch, const struct dkv_key_shape *shape)
{
    CU_ASSERT_FATAL(batch->n < BATCH_MAX);
    dkv_test_key(shape, &batch->bytes[batch->n]);
    batch->documents[batch->n] = dkv_span_buf(&batch->bytes[batch->n]);
    batch->n++;
}

/* Inserted at once; *clashes start as what a store never answers. */
static void batch_insert(struct batch *batch, struct dkv_store *store)
{
    struct dkv_error err = {0};
    for (size_t i = 0; i < batch->n; i++) {
        batch->clashes[i] = (enum dkv_clash)99;
    }
    ASSERT_OK(store->ops->insert_many(store, batch->documents, batch->n, batch->clashes, &err));
}

/* Document i is stored as it was given. */
static void batch_assert_in(const struct batch *batch, struct dkv_store *store, size_t i)
{
    struct dkv_error err = {0};
    struct dkv_buf stored = {0};
    struct dkv_uuid id = {0};
    CU_ASSERT_EQUAL_FATAL(batch->clashes[i], DKV_CLASH_NONE);
    CU_ASSERT_FATAL(dkv_document_peek_id(batch->documents[i], &id));
    ASSERT_OK(dkv_test_get(store, id.bytes[0], &stored, &err));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&stored), batch->documents[i]));
    dkv_buf_done(&stored);
}

static void batch_done(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        dkv_buf_done(&batch->bytes[i]);
    }
}

static void assert_stored(struct dkv_store *store, const char *expected)
{
    struct dkv_error err = {0};
    struct dkv_contract_visited visited = {0};
    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, dkv_contract_visit, &visited, &err));
    dkv_contract_assert_visited(&visited, expected);
}

static void many_documents_are_inserted_at_once(void)
{
    struct dkv_error err = {0};
    struct batch batch = {0};
    struct dkv_buf named = {0};
    struct dkv_store *store = dkv_contract_start();
    batch_add(&batch, &(struct dkv_key_shape){.id = 'c', .names = {"one", "two"}});
    batch_add(&batch, &(struct dkv_key_shape){.id = 'a'});
    batch_add(&batch, &(struct dkv_key_shape){.id = 'b', .provider = "aws:eu", .cmk = "k", .status = 1});

    batch_insert(&batch, store);

    for (size_t i = 0; i < batch.n; i++) {
        batch_assert_in(&batch, store, i);
    }
    assert_stored(store, "abc");
    ASSERT_OK(store->ops->get_by_alt_name(store, "two", &named, &err));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&named), batch.documents[0]));
    ASSERT_OK(store->ops->insert_many(store, NULL, 0, NULL, &err));
    dkv_buf_done(&named);
    batch_done(&batch);
    dkv_contract_finish();
}

static void a_batch_that_is_in_already_clashes_and_changes_nothing(void)
{
    struct batch batch = {0};
    struct dkv_store *store = dkv_contract_start();
    batch_add(&batch, &(struct dkv_key_shape){.id = 'a', .names = {"one"}});
    batch_add(&batch, &(struct dkv_key_shape){.id = 'b'});
    batch_insert(&batch, store);

    batch_add(&batch, &(struct dkv_key_shape){.id = 'c'});
    batch_insert(&batch, store);

    CU_ASSERT_EQUAL(batch.clashes[0], DKV_CLASH_ID);
    CU_ASSERT_EQUAL(batch.clashes[1], DKV_CLASH_ID);
    batch_assert_in(&batch, store, 2);
    assert_stored(store, "abc");
    dkv_contract_assert_names('a', (const char *[]){"one"}, 1);
    batch_done(&batch);
    dkv_contract_finish();
}

static void a_clash_keeps_only_that_document_out(void)
{
    struct dkv_error err = {0};
    struct batch batch = {0};
    struct dkv_buf none = {0};
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add(&(struct dkv_key_shape){.id = 'x', .names = {"taken"}});
    batch_add(&batch, &(struct dkv_key_shape){.id = 'a', .names = {"one"}});
    batch_add(&batch, &(struct dkv_key_shape){.id = 'x', .names = {"two"}});
    batch_add(&batch, &(struct dkv_key_shape){.id = 'b', .names = {"three"}});
    batch_add(&batch, &(struct dkv_key_shape){.id = 'c', .names = {"four", "taken", "five"}});
    batch_add(&batch, &(struct dkv_key_shape){.id = 'd'});

    batch_insert(&batch, store);

    CU_ASSERT_EQUAL(batch.clashes[1], DKV_CLASH_ID);
    CU_ASSERT_EQUAL(batch.clashes[3], DKV_CLASH_NAME);
    batch_assert_in(&batch, store, 0);
    batch_assert_in(&batch, store, 2);
    batch_assert_in(&batch, store, 4);
    assert_stored(store, "abdx");
    dkv_contract_assert_names('x', (const char *[]){"taken"}, 1);
    static const char *const free_names[] = {"two", "four", "five"};
    for (size_t i = 0; i < DKV_COUNT(free_names); i++) {
        ASSERT_RC(DKV_E_NOT_FOUND, store->ops->get_by_alt_name(store, free_names[i], &none, &err));
    }
    batch_done(&batch);
    dkv_contract_finish();
}

/* Of two in one batch that clash, which one gets in is the store's affair. */
static void assert_one_of_two(const struct batch *batch, struct dkv_store *store, size_t i, enum dkv_clash clash)
{
    const size_t in = batch->clashes[i] == DKV_CLASH_NONE ? i : i + 1, out = 2 * i + 1 - in;
    batch_assert_in(batch, store, in);
    CU_ASSERT_EQUAL(batch->clashes[out], clash);
}

static void of_two_in_a_batch_that_clash_one_gets_in(void)
{
    struct dkv_error err = {0};
    struct batch batch = {0};
    struct dkv_contract_visited visited = {0};
    struct dkv_buf named = {0};
    struct dkv_store *store = dkv_contract_start();
    batch_add(&batch, &(struct dkv_key_shape){.id = 'a', .names = {"one"}});
    batch_add(&batch, &(struct dkv_key_shape){.id = 'a', .names = {"two"}});
    batch_add(&batch, &(struct dkv_key_shape){.id = 'b', .names = {"same"}});
    batch_add(&batch, &(struct dkv_key_shape){.id = 'c', .names = {"same"}});
    batch_add(&batch, &(struct dkv_key_shape){.id = 'd'});

    batch_insert(&batch, store);

    assert_one_of_two(&batch, store, 0, DKV_CLASH_ID);
    assert_one_of_two(&batch, store, 2, DKV_CLASH_NAME);
    batch_assert_in(&batch, store, 4);
    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, dkv_contract_visit, &visited, &err));
    CU_ASSERT_EQUAL(visited.n, 3);
    ASSERT_OK(store->ops->get_by_alt_name(store, "same", &named, &err));
    dkv_buf_done(&named);
    batch_done(&batch);
    dkv_contract_finish();
}

static void a_batch_with_bytes_that_are_no_document_is_refused(void)
{
    struct dkv_error err = {0};
    struct batch batch = {0};
    struct dkv_store *store = dkv_contract_start();
    batch_add(&batch, &(struct dkv_key_shape){.id = 'a'});
    batch_add(&batch, &(struct dkv_key_shape){.id = 'b'});
    batch.documents[1] = dkv_span("\5\0\0\0", 5);

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT,
              store->ops->insert_many(store, batch.documents, batch.n, batch.clashes, &err));

    batch_done(&batch);
    dkv_contract_finish();
}

static enum dkv_rc count_numbered(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    uint32_t *n = arg;
    struct dkv_uuid own = {0};
    const struct dkv_uuid expected = dkv_test_numbered_id(*n);
    DKV_CHECK(dkv_uuid_equal(id, &expected), err, DKV_E_INTERNAL, "not number %u", *n);
    DKV_CHECK(dkv_document_peek_id(document, &own) && dkv_uuid_equal(&own, id), err, DKV_E_INTERNAL, "no document");
    ++*n;
    return DKV_OK;
}

static void the_longest_batch_goes_in_whole_and_one_longer_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = dkv_contract_start();
    struct dkv_buf *bytes = dkv_calloc(DKV_STORE_BATCH + 1, sizeof(*bytes));
    struct dkv_span *documents = dkv_calloc(DKV_STORE_BATCH + 1, sizeof(*documents));
    enum dkv_clash *clashes = dkv_calloc(DKV_STORE_BATCH + 1, sizeof(*clashes));
    uint32_t n = 0;
    char name[32];
    const char *names[] = {name};
    CU_ASSERT_FATAL(bytes != NULL && documents != NULL && clashes != NULL);
    for (uint32_t i = 0; i <= DKV_STORE_BATCH; i++) {
        snprintf(name, sizeof(name), "number %u", i);
        dkv_test_numbered_key(i, names, 1, &bytes[i]);
        documents[i] = dkv_span_buf(&bytes[i]);
    }

    ASSERT_RC(DKV_E_INVALID, store->ops->insert_many(store, documents, DKV_STORE_BATCH + 1, clashes, &err));
    ASSERT_OK(store->ops->insert_many(store, documents, DKV_STORE_BATCH, clashes, &err));

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, count_numbered, &n, &err));
    CU_ASSERT_EQUAL(n, DKV_STORE_BATCH);
    for (uint32_t i = 0; i <= DKV_STORE_BATCH; i++) {
        CU_ASSERT(i == DKV_STORE_BATCH || clashes[i] == DKV_CLASH_NONE);
        dkv_buf_done(&bytes[i]);
    }
    dkv_free(bytes);
    dkv_free(documents);
    dkv_free(clashes);
    dkv_contract_finish();
}

static const struct dkv_test tests[] = {
    DKV_TEST(many_documents_are_inserted_at_once),
    DKV_TEST(a_batch_that_is_in_already_clashes_and_changes_nothing),
    DKV_TEST(a_clash_keeps_only_that_document_out),
    DKV_TEST(of_two_in_a_batch_that_clash_one_gets_in),
    DKV_TEST(a_batch_with_bytes_that_are_no_document_is_refused),
    DKV_TEST(the_longest_batch_goes_in_whole_and_one_longer_is_refused),
};

const struct dkv_contract_part dkv_contract_insert_many = {tests, DKV_COUNT(tests)};
