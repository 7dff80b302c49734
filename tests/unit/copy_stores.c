/* SPDX-License-Identifier: Apache-2.0 */
/* Copying a vault from or to a store that lies, fails or is written by others meanwhile: a SQLite store with an entry
 * of its table swapped. And what the caller may do, and the record. */
#include "tests/unit/copy_fixture.h"

/* ---- Stores that answer as the test says ---- */

/* A table of its own for each side; what isn't swapped is SQLite's. */
static struct dkv_store_ops from_ops, to_ops;
static size_t n_inserts, n_gets;
static size_t fail_insert_at; /* 0: never */
static enum dkv_index_state index_state;

static void open_swapped(void)
{
    open_vaults(SQLITE, SQLITE);
    from_ops = *from->store->ops;
    to_ops = *to->store->ops;
    from->store->ops = &from_ops;
    to->store->ops = &to_ops;
    n_inserts = n_gets = fail_insert_at = 0;
}

static enum dkv_rc counting_insert_many(struct dkv_store *store, const struct dkv_span *documents, size_t n,
                                        enum dkv_clash *ret_clashes, struct dkv_error *err)
{
    n_inserts++;
    DKV_CHECK(n_inserts != fail_insert_at, err, DKV_E_TRANSIENT, "the connection broke");
    return dkv_sqlite_store_ops.insert_many(store, documents, n, ret_clashes, err);
}

static void a_copy_that_broke_off_goes_on_where_it_was(void)
{
    struct dkv_error err = {0};
    struct dkv_copy_counts counts = {99, 99, 99};
    open_swapped();
    to_ops.insert_many = counting_insert_many;
    fail_insert_at = 2;
    put_numbered(from, 0, 2500);

    ASSERT_RC(DKV_E_TRANSIENT, try_copy(false, &counts, &err));

    CU_ASSERT_EQUAL(counts.copied, 99);
    CU_ASSERT_EQUAL(seen.progress.copied, 1000);
    CU_ASSERT_EQUAL(fake_count(to), 1000);
    CU_ASSERT_EQUAL(fake_audit_has("\"outcome\":\"transient\""), 1);
    assert_copy(false, 1500, 1000, 0);
    assert_equal_vaults(2500);
    close_vaults();
}

static enum dkv_rc forgetful_insert_many(struct dkv_store *store, const struct dkv_span *documents, size_t n,
                                         enum dkv_clash *ret_clashes, struct dkv_error *err)
{
    n_inserts++;
    memset(ret_clashes, 0, n * sizeof(*ret_clashes));
    return n > 1 ? dkv_sqlite_store_ops.insert_many(store, documents + 1, n - 1, ret_clashes + 1, err) : DKV_OK;
}

static void a_document_that_is_not_there_when_read_back_is_not_copied(void)
{
    open_swapped();
    to_ops.insert_many = forgetful_insert_many;
    put(from, &(struct dkv_key_shape){.id = 'a'});
    put(from, &(struct dkv_key_shape){.id = 'b'});

    assert_copy(false, 1, 0, 1);

    assert_refused('a', DKV_E_REJECTED_CIPHERTEXT, "isn't what was written");
    close_vaults();
}

static enum dkv_rc flip_a_bit(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    struct dkv_buf *copy = arg;
    (void)id;
    copy->len = 0;
    DKV_TRY(dkv_buf_append(copy, document, err));
    copy->data[copy->len / 2] ^= 1;
    return DKV_OK;
}

static enum dkv_rc flipping_get_many(struct dkv_store *store, const struct dkv_uuid *ids, size_t n,
                                     dkv_store_visit_fn visit, void *arg, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf document = {0};
    for (size_t i = 0; i < n; i++) {
        DKV_TRY(dkv_sqlite_store_ops.get_many(store, &ids[i], 1, flip_a_bit, &document, err));
        if (document.len > 0) {
            DKV_TRY(visit(arg, &ids[i], dkv_span_buf(&document), err));
        }
    }
    return DKV_OK;
}

static void a_document_that_is_read_back_otherwise_is_not_copied(void)
{
    open_swapped();
    to_ops.get_many = flipping_get_many;
    put(from, &(struct dkv_key_shape){.id = 'a'});

    assert_copy(false, 0, 0, 1);

    assert_refused('a', DKV_E_REJECTED_CIPHERTEXT, "isn't what was written");
    close_vaults();
}

static enum dkv_rc straying_get_many(struct dkv_store *store, const struct dkv_uuid *ids, size_t n,
                                     dkv_store_visit_fn visit, void *arg, struct dkv_error *err)
{
    const struct dkv_uuid stranger = dkv_test_id('?');
    DKV_TRY(visit(arg, &stranger, dkv_span_str("nobody asked"), err));
    return dkv_sqlite_store_ops.get_many(store, ids, n, visit, arg, err);
}

static void a_document_that_nobody_asked_for_is_passed_over(void)
{
    open_swapped();
    to_ops.get_many = straying_get_many;
    put(from, &(struct dkv_key_shape){.id = 'a'});

    assert_copy(false, 1, 0, 0);

    close_vaults();
}

static const char *others_material;

/* Somebody else writes the first of them just before. */
static enum dkv_rc late_insert_many(struct dkv_store *store, const struct dkv_span *documents, size_t n,
                                    enum dkv_clash *ret_clashes, struct dkv_error *err)
{
    DKV_TRY(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'a', .material = others_material}, err));
    return dkv_sqlite_store_ops.insert_many(store, documents, n, ret_clashes, err);
}

static void a_document_that_somebody_else_copied_meanwhile_is_present(void)
{
    open_swapped();
    to_ops.insert_many = late_insert_many;
    others_material = "equal";
    put(from, &(struct dkv_key_shape){.id = 'a', .material = "equal"});
    put(from, &(struct dkv_key_shape){.id = 'b'});

    assert_copy(false, 1, 1, 0);

    close_vaults();
}

static void an_id_that_somebody_else_took_meanwhile_is_refused(void)
{
    open_swapped();
    to_ops.insert_many = late_insert_many;
    others_material = "another";
    put(from, &(struct dkv_key_shape){.id = 'a', .material = "equal"});
    put(from, &(struct dkv_key_shape){.id = 'b'});

    assert_copy(false, 1, 0, 1);

    assert_refused('a', DKV_E_CONFLICT, "another document");
    close_vaults();
}

static enum dkv_rc name_clashing_insert_many(struct dkv_store *store, const struct dkv_span *documents, size_t n,
                                             enum dkv_clash *ret_clashes, struct dkv_error *err)
{
    (void)store;
    (void)documents;
    (void)err;
    for (size_t i = 0; i < n; i++) {
        ret_clashes[i] = DKV_CLASH_NAME;
    }
    return DKV_OK;
}

static void a_name_clash_without_a_holder_is_refused_with_advice(void)
{
    open_swapped();
    to_ops.insert_many = name_clashing_insert_many;
    put(from, &(struct dkv_key_shape){.id = 'a', .names = {"x"}});

    assert_copy(false, 0, 0, 1);

    assert_refused('a', DKV_E_CONFLICT, "copy again");
    close_vaults();
}

static enum dkv_rc foreign_list(struct dkv_store *store, const struct dkv_key_filter *filter,
                                const struct dkv_uuid *after, size_t limit, dkv_store_visit_fn visit, void *arg,
                                struct dkv_error *err)
{
    DKV_TRY(visit(arg, NULL, dkv_span_str("anything"), err));
    DKV_TRY(dkv_sqlite_store_ops.list(store, filter, after, limit, visit, arg, err));
    return visit(arg, NULL, dkv_span(NULL, 0), err);
}

static void what_has_no_uuid_stays_behind_and_holds_up_no_key(void)
{
    open_swapped();
    from_ops.list = foreign_list;
    put_numbered(from, 0, 1500);

    assert_copy(false, 1500, 0, 2);

    CU_ASSERT_EQUAL(seen.n_foreign, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(seen.why.message, "no UUID"));
    from_ops.list = dkv_sqlite_store_ops.list;
    assert_equal_vaults(1500);
    close_vaults();
}

static enum dkv_rc stuttering_list(struct dkv_store *store, const struct dkv_key_filter *filter,
                                   const struct dkv_uuid *after, size_t limit, dkv_store_visit_fn visit, void *arg,
                                   struct dkv_error *err)
{
    DKV_TRY(dkv_sqlite_store_ops.list(store, filter, after, limit, visit, arg, err));
    return dkv_sqlite_store_ops.list(store, filter, after, limit, visit, arg, err);
}

static void a_source_that_gives_one_id_twice_is_copied_once(void)
{
    open_swapped();
    from_ops.list = stuttering_list;
    put(from, &(struct dkv_key_shape){.id = 'a'});

    assert_copy(false, 1, 0, 1);

    CU_ASSERT_EQUAL(fake_count(to), 1);
    close_vaults();
}

static enum dkv_rc said_index(struct dkv_store *store, enum dkv_index_state *ret, struct dkv_error *err)
{
    (void)store;
    (void)err;
    *ret = index_state;
    return DKV_OK;
}

static void a_destination_without_its_index_is_refused_and_the_words_say_what_mends_it(void)
{
    static const struct {
        enum dkv_index_state state;
        enum dkv_rc rc;
        const char *words;
    } cases[] = {
        {DKV_INDEX_MISSING, DKV_E_CONFIG, "dekvault vault init"},
        {DKV_INDEX_NOT_UNIQUE, DKV_E_CONFIG, "drop it"},
        {DKV_INDEX_NOT_PARTIAL, DKV_E_CONFIG, "drop it"},
        {DKV_INDEX_SHARDED, DKV_E_CONFIG, "sharded"},
        {DKV_INDEX_UNKNOWN, DKV_E_DENIED, "listIndexes"},
    };
    open_swapped();
    to_ops.check_index = said_index;
    put(from, &(struct dkv_key_shape){.id = 'a'});
    for (size_t i = 0; i < 2 * DKV_COUNT(cases); i++) {
        struct dkv_error err = {0};
        struct dkv_copy_counts counts = {99, 99, 99};
        index_state = cases[i / 2].state;

        ASSERT_RC(cases[i / 2].rc, try_copy(i % 2 == 0, &counts, &err));

        ASSERT_SAYS(cases[i / 2].words);
        ASSERT_SAYS(to->store_text);
        CU_ASSERT_EQUAL(counts.copied, 99);
    }
    CU_ASSERT_EQUAL(fake_count(to), 0);
    close_vaults();
}

static enum dkv_rc doubting_get_by_alt_name(struct dkv_store *store, const char *name, struct dkv_buf *ret,
                                            struct dkv_error *err)
{
    DKV_CHECK(strcmp(name, "double") != 0, err, DKV_E_CONFLICT, "two keys have the alt name \"double\"");
    return dkv_sqlite_store_ops.get_by_alt_name(store, name, ret, err);
}

static void a_name_that_two_keys_of_the_source_have_is_refused_for_both(void)
{
    open_swapped();
    from_ops.check_index = said_index;
    from_ops.get_by_alt_name = doubting_get_by_alt_name;
    index_state = DKV_INDEX_MISSING;
    put(from, &(struct dkv_key_shape){.id = 'a', .names = {"double"}}); /* as if 'b' had it as well */
    put(from, &(struct dkv_key_shape){.id = 'b', .names = {"single"}});

    assert_copy(true, 1, 0, 1);
    assert_copy(false, 1, 0, 1);

    assert_refused('a', DKV_E_CONFLICT, "two keys");
    close_vaults();
}

static enum dkv_rc failing_get_by_alt_name(struct dkv_store *store, const char *name, struct dkv_buf *ret,
                                           struct dkv_error *err)
{
    (void)store;
    (void)name;
    (void)ret;
    return dkv_fail(err, DKV_E_UNREACHABLE, "no server could be chosen");
}

static void a_store_out_of_reach_ends_a_dry_run_and_refuses_nothing(void)
{
    struct dkv_error err = {0};
    struct dkv_copy_counts counts = {99, 99, 99};
    open_swapped();
    to_ops.get_by_alt_name = failing_get_by_alt_name;
    put(from, &(struct dkv_key_shape){.id = 'a', .names = {"x"}});

    ASSERT_RC(DKV_E_UNREACHABLE, try_copy(true, &counts, &err));

    CU_ASSERT_EQUAL(seen.n, 0);
    close_vaults();
}

static enum dkv_rc denied_insert_many(struct dkv_store *store, const struct dkv_span *documents, size_t n,
                                      enum dkv_clash *ret_clashes, struct dkv_error *err)
{
    (void)store;
    (void)documents;
    (void)n;
    (void)ret_clashes;
    return dkv_fail(err, DKV_E_DENIED, "not authorized on this collection");
}

static void a_destination_that_may_not_be_written_ends_the_copy(void)
{
    struct dkv_error err = {0};
    struct dkv_copy_counts counts = {99, 99, 99};
    open_swapped();
    to_ops.insert_many = denied_insert_many;
    put(from, &(struct dkv_key_shape){.id = 'a'});

    ASSERT_RC(DKV_E_DENIED, try_copy(false, &counts, &err));

    CU_ASSERT_EQUAL(fake_audit_has("\"outcome\":\"denied\""), 1);
    close_vaults();
}

static enum dkv_rc denied_state_put(struct dkv_store *store, const char *key, struct dkv_span expected,
                                    struct dkv_span value, struct dkv_error *err)
{
    (void)store;
    (void)key;
    (void)expected;
    (void)value;
    return dkv_fail(err, DKV_E_DENIED, "not authorized on the state");
}

static void state_that_may_not_be_written_ends_the_copy_before_any_key(void)
{
    struct dkv_error err = {0};
    struct dkv_copy_counts counts = {99, 99, 99};
    open_swapped();
    to_ops.state_put = denied_state_put;
    put(from, &(struct dkv_key_shape){.id = 'a'});
    put_state(from, "cmk/local/a", "first");

    ASSERT_RC(DKV_E_DENIED, try_copy(false, &counts, &err));

    ASSERT_SAYS("the state");
    CU_ASSERT_FALSE(has(to, 'a'));
    close_vaults();
}

/* ---- The caller, and the vaults as such ---- */

static void a_caller_may_stop_at_a_refused_key_or_at_a_page(void)
{
    struct dkv_error err = {0};
    struct dkv_copy_counts counts = {99, 99, 99};
    open_vaults(SQLITE, SQLITE);
    put(from, &(struct dkv_key_shape){.id = 'a'});
    seen.answer = DKV_E_CANCELLED;

    ASSERT_RC(DKV_E_CANCELLED, try_copy(false, &counts, &err));
    ASSERT_SAYS("had enough");
    CU_ASSERT(has(to, 'a')); /* at the page's end */
    plant('a', dkv_span(NULL, 0));
    ASSERT_RC(DKV_E_CANCELLED, try_copy(false, &counts, &err));

    CU_ASSERT_EQUAL(seen.n, 1);
    CU_ASSERT_EQUAL(seen.n_progress, 0);
    CU_ASSERT_EQUAL(counts.copied, 99);
    close_vaults();
}

static void nothing_needs_to_be_asked_for(void)
{
    struct dkv_error err = {0};
    struct dkv_copy_counts counts = {0};
    open_vaults(SQLITE, SQLITE);
    put(from, &(struct dkv_key_shape){.id = 'a'});
    put(from, &(struct dkv_key_shape){.id = 'b'});
    plant('b', dkv_span(NULL, 0));

    ASSERT_OK(dkv_vault_copy(from, to, NULL, &counts, &err));

    CU_ASSERT_EQUAL(counts.copied, 1);
    CU_ASSERT_EQUAL(counts.refused, 1);
    close_vaults();
}

static void a_vault_is_not_copied_to_itself_under_any_name(void)
{
    struct dkv_error err = {0};
    struct dkv_copy_counts counts = {99, 99, 99};
    struct dkv_provider_file *file = fake_file();
    struct dkv_vault *third = NULL;
    file->vaults[1].store = file->vaults[0].store;
    ASSERT_OK(dkv_vault_init(file, "default", NULL, &from, &err));
    ASSERT_OK(dkv_vault_open(file, "other", &to, &err));
    ASSERT_OK(dkv_vault_open(file, "default", &third, &err));

    ASSERT_RC(DKV_E_INVALID, dkv_vault_copy(from, from, NULL, &counts, &err));
    ASSERT_RC(DKV_E_INVALID, dkv_vault_copy(from, third, NULL, &counts, &err));
    ASSERT_RC(DKV_E_INVALID, dkv_vault_copy(from, to, NULL, &counts, &err));

    ASSERT_SAYS(from->store_text);
    CU_ASSERT_EQUAL(counts.copied, 99);
    CU_ASSERT_EQUAL(fake_audit_has("vault-copy"), 0);
    dkv_vault_close(third);
    close_vaults();
}

static void a_copy_is_recorded_once(void)
{
    open_vaults(SQLITE, SQLITE);
    put(from, &(struct dkv_key_shape){.id = 'a'});

    assert_copy(false, 1, 0, 0);

    CU_ASSERT_EQUAL(fake_audit_has("vault-copy"), 1);
    CU_ASSERT_EQUAL(fake_audit_has("\"outcome\":\"ok\""), 1);
    close_vaults();
}

static void without_the_record_that_is_required_nothing_is_copied(void)
{
    struct dkv_error err = {0};
    struct dkv_copy_counts counts = {99, 99, 99};
    open_vaults(SQLITE, SQLITE);
    put(from, &(struct dkv_key_shape){.id = 'a'});
    put_state(from, "cmk/local/a", "first");
    fake_break_audit();

    ASSERT_RC(DKV_E_RESOURCE, try_copy(false, &counts, &err));
    fake_mend_audit();

    struct dkv_buf none = {0};
    CU_ASSERT_EQUAL(fake_count(to), 0);
    ASSERT_RC(DKV_E_NOT_FOUND, to->store->ops->state_get(to->store, "cmk/local/a", &none, &err));
    close_vaults();
}

static enum dkv_rc copy_without_memory(void *arg, struct dkv_error *err)
{
    struct dkv_copy_counts *counts = arg;
    return dkv_vault_copy(from, to, NULL, counts, err);
}

static void each_failed_allocation_ends_the_copy_and_refuses_nothing(void)
{
    struct dkv_copy_counts counts = {0};
    open_vaults(SQLITE, SQLITE);
    put(from, &(struct dkv_key_shape){.id = 'a', .names = {"x", "y"}});
    put(from, &(struct dkv_key_shape){.id = 'b', .names = {"z"}});
    put(to, &(struct dkv_key_shape){.id = 'c', .names = {"z"}});
    put_state(from, "cmk/local/a", "first");

    const size_t failed = dkv_test_each_alloc_fails(copy_without_memory, &counts);

    CU_ASSERT(failed > 10);
    CU_ASSERT_EQUAL(counts.copied + counts.present, 1);
    CU_ASSERT_EQUAL(counts.refused, 1);
    CU_ASSERT(has(to, 'a'));
    close_vaults();
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_copy_that_broke_off_goes_on_where_it_was),
        DKV_TEST(what_has_no_uuid_stays_behind_and_holds_up_no_key),
        DKV_TEST(a_document_that_is_not_there_when_read_back_is_not_copied),
        DKV_TEST(a_document_that_is_read_back_otherwise_is_not_copied),
        DKV_TEST(a_document_that_nobody_asked_for_is_passed_over),
        DKV_TEST(a_document_that_somebody_else_copied_meanwhile_is_present),
        DKV_TEST(an_id_that_somebody_else_took_meanwhile_is_refused),
        DKV_TEST(a_name_clash_without_a_holder_is_refused_with_advice),
        DKV_TEST(a_source_that_gives_one_id_twice_is_copied_once),
        DKV_TEST(a_destination_without_its_index_is_refused_and_the_words_say_what_mends_it),
        DKV_TEST(a_name_that_two_keys_of_the_source_have_is_refused_for_both),
        DKV_TEST(a_store_out_of_reach_ends_a_dry_run_and_refuses_nothing),
        DKV_TEST(a_destination_that_may_not_be_written_ends_the_copy),
        DKV_TEST(state_that_may_not_be_written_ends_the_copy_before_any_key),
        DKV_TEST(a_caller_may_stop_at_a_refused_key_or_at_a_page),
        DKV_TEST(nothing_needs_to_be_asked_for),
        DKV_TEST(a_vault_is_not_copied_to_itself_under_any_name),
        DKV_TEST(a_copy_is_recorded_once),
        DKV_TEST(without_the_record_that_is_required_nothing_is_copied),
        DKV_TEST(each_failed_allocation_ends_the_copy_and_refuses_nothing),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
