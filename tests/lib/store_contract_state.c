/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of stores: state by compare-and-set, and the index. No lock: one thread. */
#include "tests/lib/store_contract_parts.h"

#include <stdio.h>

static void state_changes_only_from_what_is_expected(void)
{
    struct dkv_error err = {0};
    struct dkv_buf value = {0};
    const struct dkv_span none = {0}, one = dkv_span("one\0", 4), two = dkv_span_str("two");
    struct dkv_store *store = dkv_contract_start();

    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->state_get(store, "cmk/x", &value, &err));
    ASSERT_RC(DKV_E_CONFLICT, store->ops->state_put(store, "cmk/x", one, two, &err));
    ASSERT_OK(store->ops->state_put(store, "cmk/x", none, one, &err));
    ASSERT_RC(DKV_E_CONFLICT, store->ops->state_put(store, "cmk/x", none, two, &err));
    ASSERT_OK(store->ops->state_get(store, "cmk/x", &value, &err));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&value), one));
    ASSERT_OK(store->ops->state_put(store, "cmk/x", one, two, &err));
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->state_get(store, "cmk/X", &value, &err));
    ASSERT_RC(DKV_E_CONFLICT, store->ops->state_put(store, "cmk/x", one, none, &err));
    ASSERT_OK(store->ops->state_put(store, "cmk/x", two, none, &err));
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->state_get(store, "cmk/x", &value, &err));
    dkv_buf_done(&value);
    dkv_contract_finish();
}

static void the_index_of_names_is_there_and_may_be_ensured_again(void)
{
    struct dkv_error err = {0};
    enum dkv_index_state state = DKV_INDEX_MISSING;
    struct dkv_store *store = dkv_contract_start();
    ASSERT_OK(store->ops->ensure_index(store, &err));
    ASSERT_OK(store->ops->ensure_index(store, &err));
    ASSERT_OK(store->ops->check_index(store, &state, &err));
    CU_ASSERT_EQUAL(state, DKV_INDEX_OK);
    dkv_contract_finish();
}

static void another_connection_sees_the_index_that_names_need(void)
{
    struct dkv_error err = {0};
    struct dkv_store *other = NULL;
    enum dkv_index_state state = DKV_INDEX_UNKNOWN;
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add(&(struct dkv_key_shape){.id = 'a', .names = {"one"}}); /* names are taken only with the index */

    ASSERT_OK(dkv_contract_again(&other, &err));
    ASSERT_OK(other->ops->check_index(other, &state, &err));

    CU_ASSERT_EQUAL(state, DKV_INDEX_OK);
    ASSERT_RC(DKV_E_CONFLICT, dkv_test_insert(store, &(struct dkv_key_shape){.id = 'b', .names = {"one"}}, &err));
    other->ops->close(other);
    dkv_contract_finish();
}

/* What a reading of the state saw, and the store that it may use meanwhile. */
struct seen {
    struct dkv_store *store;
    struct dkv_buf text;
    size_t n, stop_at;
};

static enum dkv_rc note_state(void *arg, const char *key, struct dkv_span value, struct dkv_error *err)
{
    struct seen *seen = arg;
    DKV_TRY(dkv_buf_printf(&seen->text, err, "%s=", key));
    DKV_TRY(dkv_buf_append(&seen->text, value, err));
    DKV_TRY(dkv_buf_append_str(&seen->text, ";", err));
    return ++seen->n == seen->stop_at ? dkv_fail(err, DKV_E_CANCELLED, "enough") : DKV_OK;
}

static void put_states(struct dkv_store *store)
{
    static const char *const pairs[][2] = {{"b", "2"}, {"a/b", "1"}, {"c", "4"}, {"a", "0"}, {"bb", "3"}, {"B", "big"}};
    struct dkv_error err = {0};
    for (size_t i = 0; i < DKV_COUNT(pairs); i++) {
        ASSERT_OK(store->ops->state_put(store, pairs[i][0], dkv_span(NULL, 0), dkv_span_str(pairs[i][1]), &err));
    }
}

static void state_is_listed_whole_and_in_order(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = dkv_contract_start();
    struct seen seen = {0}, none = {0};
    ASSERT_OK(store->ops->state_list(store, note_state, &none, &err));
    put_states(store);

    ASSERT_OK(store->ops->state_list(store, note_state, &seen, &err));

    CU_ASSERT_EQUAL(none.n, 0);
    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&seen.text), "B=big;a=0;a/b=1;b=2;bb=3;c=4;");
    dkv_buf_done(&seen.text);
    dkv_contract_finish();
}

static void long_state_is_listed_whole(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = dkv_contract_start();
    struct seen seen = {0};
    char key[16];
    for (unsigned i = 0; i < 300; i++) {
        snprintf(key, sizeof(key), "%03u", (i * 7) % 300);
        ASSERT_OK(store->ops->state_put(store, key, dkv_span(NULL, 0), dkv_span_str("x"), &err));
    }

    ASSERT_OK(store->ops->state_list(store, note_state, &seen, &err));

    CU_ASSERT_EQUAL(seen.n, 300);
    CU_ASSERT_EQUAL(strncmp(dkv_buf_text(&seen.text), "000=x;001=x;", 12), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(dkv_buf_text(&seen.text), ";100=x;101=x;102=x;"));
    dkv_buf_done(&seen.text);
    dkv_contract_finish();
}

static void a_visitor_that_says_no_ends_the_listing_of_state(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = dkv_contract_start();
    struct seen seen = {.stop_at = 2};
    put_states(store);

    ASSERT_RC(DKV_E_CANCELLED, store->ops->state_list(store, note_state, &seen, &err));

    ASSERT_SAYS("enough");
    CU_ASSERT_EQUAL(seen.n, 2);
    dkv_buf_done(&seen.text);
    dkv_contract_finish();
}

/* Reads, and takes away, what it is shown. */
static enum dkv_rc delete_state(void *arg, const char *key, struct dkv_span value, struct dkv_error *err)
{
    struct seen *seen = arg;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf got = {0};
    DKV_TRY(seen->store->ops->state_get(seen->store, key, &got, err));
    DKV_CHECK(dkv_span_equal(dkv_span_buf(&got), value), err, DKV_E_INTERNAL, "another value");
    seen->n++;
    return seen->store->ops->state_put(seen->store, key, dkv_span_buf(&got), dkv_span(NULL, 0), err);
}

static void a_visitor_of_state_may_use_the_store(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = dkv_contract_start();
    struct seen deleted = {.store = store}, left = {0};
    put_states(store);

    ASSERT_OK(store->ops->state_list(store, delete_state, &deleted, &err));

    CU_ASSERT_EQUAL(deleted.n, 6);
    ASSERT_OK(store->ops->state_list(store, note_state, &left, &err));
    CU_ASSERT_EQUAL(left.n, 0);
    dkv_contract_finish();
}

static void state_is_no_key(void)
{
    struct dkv_error err = {0};
    struct dkv_contract_visited visited = {0};
    struct dkv_store *store = dkv_contract_start();
    put_states(store);

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, dkv_contract_visit, &visited, &err));

    CU_ASSERT_EQUAL(visited.n, 0);
    dkv_contract_finish();
}

static const struct dkv_test tests[] = {
    DKV_TEST(state_changes_only_from_what_is_expected),
    DKV_TEST(state_is_listed_whole_and_in_order),
    DKV_TEST(long_state_is_listed_whole),
    DKV_TEST(a_visitor_that_says_no_ends_the_listing_of_state),
    DKV_TEST(a_visitor_of_state_may_use_the_store),
    DKV_TEST(state_is_no_key),
    DKV_TEST(the_index_of_names_is_there_and_may_be_ensured_again),
    DKV_TEST(another_connection_sees_the_index_that_names_need),
};

const struct dkv_contract_part dkv_contract_state = {tests, DKV_COUNT(tests)};
