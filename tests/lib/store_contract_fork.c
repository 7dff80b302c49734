/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of stores: a store belongs to the process that opened it; a child opens its own. */
#include "tests/lib/store_contract_parts.h"

#include <stdio.h>

static enum dkv_rc no_count(void *arg, const struct dkv_key_count *count, struct dkv_error *err)
{
    (void)arg;
    (void)count;
    return dkv_fail(err, DKV_E_INTERNAL, "visited in a child");
}

static enum dkv_rc no_visit(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    (void)id;
    (void)document;
    return no_count(arg, NULL, err);
}

static enum dkv_rc no_state(void *arg, const char *key, struct dkv_span value, struct dkv_error *err)
{
    (void)key;
    (void)value;
    return no_count(arg, NULL, err);
}

/* Bit i of the result: call i wasn't refused. */
static int use_the_parents(void *arg)
{
    struct dkv_store *store = arg;
    const struct dkv_store_ops *ops = store->ops;
    struct dkv_error err = {0};
    struct dkv_buf bytes = {0}, one = {0}, none = {0};
    enum dkv_index_state state = DKV_INDEX_UNKNOWN;
    enum dkv_clash clash = DKV_CLASH_NONE;
    const struct dkv_uuid a = dkv_test_id('a');
    dkv_test_key(&(struct dkv_key_shape){.id = 'b'}, &bytes);
    dkv_test_master_key("local", "", &one);
    const struct dkv_span b = dkv_span_buf(&bytes), key = dkv_span_buf(&one), any = dkv_span_str("any");
    const enum dkv_rc rcs[] = {
        ops->get_many(store, &a, 1, no_visit, NULL, &err),
        ops->get_by_alt_name(store, "one", &none, &err),
        ops->list(store, NULL, NULL, 0, no_visit, NULL, &err),
        ops->count_by(store, no_count, NULL, &err),
        ops->insert(store, b, NULL, &err),
        ops->insert_many(store, &b, 1, &clash, &err),
        ops->replace_material(store, &a, key, any, key, any, &err),
        ops->set_status(store, &a, 1, NULL, &err),
        ops->add_alt_name(store, &a, "two", NULL, &err),
        ops->remove_alt_name(store, &a, "one", NULL, &err),
        ops->remove(store, &a, dkv_span(NULL, 0), &err),
        ops->state_get(store, "kept", &none, &err),
        ops->state_put(store, "new", dkv_span(NULL, 0), any, &err),
        ops->state_list(store, no_state, NULL, &err),
        ops->check_index(store, &state, &err),
        ops->ensure_index(store, &err),
    };
    int failed = strstr(err.message, "fork") == NULL ? 1 : 0;
    for (size_t i = 0; i < DKV_COUNT(rcs); i++) {
        if (rcs[i] != DKV_E_INVALID) {
            printf("# call %zu of a child: %s\n", i, dkv_class_name(rcs[i]));
            failed = 1;
        }
    }
    dkv_buf_done(&bytes);
    dkv_buf_done(&one);
    ops->close(store);
    fflush(stdout);
    return failed;
}

static void a_child_may_not_use_its_parents_store(void)
{
    struct dkv_error err = {0};
    struct dkv_buf state = {0}, document = {0};
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add(&(struct dkv_key_shape){.id = 'a', .names = {"one"}});
    ASSERT_OK(store->ops->state_put(store, "kept", dkv_span(NULL, 0), dkv_span_str("value"), &err));

    CU_ASSERT_EQUAL(dkv_test_in_child(use_the_parents, store), 0);

    ASSERT_OK(store->ops->get_by_alt_name(store, "one", &document, &err));
    ASSERT_OK(store->ops->state_get(store, "kept", &state, &err));
    dkv_contract_add(&(struct dkv_key_shape){.id = 'b'});
    dkv_buf_done(&document);
    dkv_buf_done(&state);
    dkv_contract_finish();
}

static int use_own(void *arg)
{
    (void)arg;
    struct dkv_error err = {0};
    struct dkv_store *own = NULL;
    if (dkv_contract_again(&own, &err) != DKV_OK) {
        return 1;
    }
    const enum dkv_rc rc = dkv_test_insert(own, &(struct dkv_key_shape){.id = 'b'}, &err);
    own->ops->close(own);
    return rc == DKV_OK ? 0 : 2;
}

static void a_child_may_open_its_own(void)
{
    struct dkv_error err = {0};
    struct dkv_buf document = {0};
    if (dkv_test_skips_child_stores()) {
        return;
    }
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add(&(struct dkv_key_shape){.id = 'a'});

    CU_ASSERT_EQUAL(dkv_test_in_child(use_own, NULL), 0);

    ASSERT_OK(dkv_test_get(store, 'b', &document, &err));
    dkv_buf_done(&document);
    dkv_contract_finish();
}

static const struct dkv_test tests[] = {
    DKV_TEST(a_child_may_not_use_its_parents_store),
    DKV_TEST(a_child_may_open_its_own),
};

const struct dkv_contract_part dkv_contract_fork = {tests, DKV_COUNT(tests)};
