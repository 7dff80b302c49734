/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of stores: listings are complete, ordered and filtered as asked. No lock: one thread. */
#include "tests/lib/store_contract_parts.h"

#include <stdio.h>

#include "base/mem.h"

#define ALL_TIMES INT64_MIN, INT64_MAX, INT64_MIN, INT64_MAX

static void every_filter_narrows_as_it_says(void)
{
    static const struct {
        struct dkv_key_filter filter;
        const char *expected;
    } rows[] = {
        {DKV_KEY_FILTER_ALL, "abcdefg"},
        {{"local", NULL, -1, NULL, ALL_TIMES}, "ab"},
        {{"aws:eu", NULL, -1, NULL, ALL_TIMES}, "cd"},
        {{"aws", NULL, -1, NULL, ALL_TIMES}, ""},
        {{"pkcs11", NULL, -1, NULL, ALL_TIMES}, "f"},
        {{NULL, "key-1", -1, NULL, ALL_TIMES}, "ce"},
        {{NULL, "", -1, NULL, ALL_TIMES}, "ab"},
        {{NULL, "{ \"provider\" : \"azure\", \"keyName\" : \"k\" }", -1, NULL, ALL_TIMES}, "g"},
        {{NULL, NULL, 1, NULL, ALL_TIMES}, "bf"},
        {{NULL, NULL, 0, NULL, ALL_TIMES}, "acdeg"},
        {{NULL, NULL, -1, "app.", ALL_TIMES}, "abd"},
        {{NULL, NULL, -1, "app.y", ALL_TIMES}, "b"},
        {{NULL, NULL, -1, "", ALL_TIMES}, "abde"},
        {{NULL, NULL, -1, "APP", ALL_TIMES}, ""},
        {{NULL, NULL, -1, NULL, 20, INT64_MAX, INT64_MIN, INT64_MAX}, "cdeg"},
        {{NULL, NULL, -1, NULL, INT64_MIN, 20, INT64_MIN, INT64_MAX}, "af"},
        {{NULL, NULL, -1, NULL, 10, 50, INT64_MIN, INT64_MAX}, "bcd"},
        {{NULL, NULL, -1, NULL, INT64_MIN, INT64_MAX, 60, 90}, "cd"},
        {{"aws:eu", "key-2", 0, "app", 30, 50, 60, 80}, "d"},
        {{"aws:eu", "key-2", 1, "app", 30, 50, 60, 80}, ""},
        {{"local", "", 1, "app.z", ALL_TIMES}, "b"},
        {{"local", NULL, 0, NULL, ALL_TIMES}, "a"},
    };
    struct dkv_error err = {0};
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add_assorted();
    for (size_t i = 0; i < DKV_COUNT(rows); i++) {
        struct dkv_contract_visited visited = {0};
        ASSERT_OK(store->ops->list(store, &rows[i].filter, NULL, 0, dkv_contract_visit, &visited, &err));
        dkv_contract_assert_visited(&visited, rows[i].expected);
    }
    dkv_contract_finish();
}

/* What an index or a query could take for more than text: a name with the prefix, and one that a pattern would take. */
static void a_prefix_is_text_and_no_pattern(void)
{
    static const struct {
        const char *prefix, *has, *has_not;
    } rows[] = {
        {".", ".a", "xa"},         {"a.c", "a.c.d", "abc.d"},  {"^a", "^ab", "ab"},       {"a$", "a$b", "a"},
        {"a*", "a*b", "aaab"},     {"a+", "a+b", "aab"},       {"a?", "a?b", "b"},        {"(a)", "(a)b", "ab"},
        {"[ab]", "[ab]c", "ac"},   {"a|b", "a|bc", "b"},       {"a{2}", "a{2}b", "aab"},  {"\\d", "\\d1", "1"},
        {"\\Qa\\E", "\\Qa\\Eb", "ab"}, {"\\", "\\a", "a"}, {"/a/", "/a/b", "ab"}, {"a#", "a#b", "a"},
        {"a b", "a bc", "abc"},    {"q", "qa", "x\nqa"},      {"a\n", "a\nb", "ab"},   {"%", "%a", "xa"},
        {"_", "_a", "xa"},         {"(?i)x", "(?i)xy", "Xy"},  {"-", "-a", "a"},
        {"\xc3\xa9", "\xc3\xa9" "a", "ea"},
    };
    struct dkv_error err = {0};
    const struct dkv_uuid a = dkv_test_id('a'), b = dkv_test_id('b');
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add(&(struct dkv_key_shape){.id = 'c'});
    for (size_t i = 0; i < DKV_COUNT(rows); i++) {
        struct dkv_contract_visited visited = {0};
        struct dkv_key_filter filter = DKV_KEY_FILTER_ALL;
        dkv_contract_add(&(struct dkv_key_shape){.id = 'a', .names = {"first of two", rows[i].has}});
        dkv_contract_add(&(struct dkv_key_shape){.id = 'b', .names = {rows[i].has_not}});
        filter.name_prefix = rows[i].prefix;
        ASSERT_OK(store->ops->list(store, &filter, NULL, 0, dkv_contract_visit, &visited, &err));
        dkv_contract_assert_visited(&visited, "a");
        ASSERT_OK(store->ops->remove(store, &a, dkv_span(NULL, 0), &err));
        ASSERT_OK(store->ops->remove(store, &b, dkv_span(NULL, 0), &err));
    }
    dkv_contract_finish();
}

static void a_listing_goes_on_after_an_id_and_ends_at_its_limit(void)
{
    struct dkv_error err = {0};
    struct dkv_key_filter filter = DKV_KEY_FILTER_ALL;
    struct dkv_contract_visited first = {0}, second = {0}, third = {0}, fourth = {0};
    const struct dkv_uuid after = dkv_test_id('b'), absent = dkv_test_id('B');
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add_assorted();
    filter.status = 0;

    ASSERT_OK(store->ops->list(store, NULL, NULL, 2, dkv_contract_visit, &first, &err));
    ASSERT_OK(store->ops->list(store, NULL, &after, 3, dkv_contract_visit, &second, &err));
    ASSERT_OK(store->ops->list(store, &filter, &after, 2, dkv_contract_visit, &third, &err));
    ASSERT_OK(store->ops->list(store, NULL, &absent, 1, dkv_contract_visit, &fourth, &err));

    dkv_contract_assert_visited(&first, "ab");
    dkv_contract_assert_visited(&second, "cde");
    dkv_contract_assert_visited(&third, "cd");
    dkv_contract_assert_visited(&fourth, "a");
    dkv_contract_finish();
}

static void a_listing_longer_than_any_page_is_complete_and_in_order(void)
{
    struct dkv_error err = {0};
    struct dkv_contract_visited visited = {0}, limited = {0}, prefixed = {0};
    struct dkv_key_filter filter = DKV_KEY_FILTER_ALL;
    char name[16];
    struct dkv_store *store = dkv_contract_start();
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        dkv_contract_add(&(struct dkv_key_shape){.id = (uint8_t)((i * 77) % 251), .names = {name}});
    }
    filter.name_prefix = "n";

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, dkv_contract_visit, &visited, &err));
    ASSERT_OK(store->ops->list(store, NULL, NULL, 128, dkv_contract_visit, &limited, &err));
    ASSERT_OK(store->ops->list(store, &filter, NULL, 0, dkv_contract_visit, &prefixed, &err));

    CU_ASSERT_EQUAL(visited.n, 200);
    CU_ASSERT_EQUAL(limited.n, 128);
    CU_ASSERT_EQUAL(prefixed.n, 200);
    for (size_t i = 1; i < visited.n; i++) {
        CU_ASSERT(visited.ids[i - 1] < visited.ids[i]);
        CU_ASSERT_EQUAL(visited.ids[i], prefixed.ids[i]);
    }
    dkv_contract_finish();
}

static void long_documents_are_listed_whole(void)
{
    struct dkv_error err = {0};
    struct dkv_contract_visited visited = {0};
    struct dkv_store *store = dkv_contract_start();
    char *text = dkv_calloc(1, 400001);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (size_t i = 0; i < 400000; i++) {
        text[i] = (char)('a' + i % 26);
    }
    for (uint8_t i = 0; i < 7; i++) {
        dkv_contract_add(&(struct dkv_key_shape){.id = (uint8_t)('a' + i), .provider = "mine", .cmk = text});
    }

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, dkv_contract_visit, &visited, &err));

    dkv_contract_assert_visited(&visited, "abcdefg");
    dkv_free(text);
    dkv_contract_finish();
}

static void a_visitor_that_says_no_ends_the_listing(void)
{
    struct dkv_error err = {0};
    struct dkv_contract_visited visited = {.answer = DKV_E_CANCELLED};
    struct dkv_store *store = dkv_contract_start();
    dkv_contract_add_assorted();

    ASSERT_RC(DKV_E_CANCELLED, store->ops->list(store, NULL, NULL, 0, dkv_contract_visit, &visited, &err));

    ASSERT_SAYS("enough");
    CU_ASSERT_EQUAL(visited.n, 3);
    dkv_contract_finish();
}

/* Renames, reads and deletes what it is shown. */
struct changing {
    struct dkv_store *store;
    size_t n;
};

static enum dkv_rc change_visited(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    struct changing *changing = arg;
    struct dkv_store *store = changing->store;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf again = {0};
    CU_ASSERT(document.len > 0);
    DKV_TRY(store->ops->add_alt_name(store, id, "seen", NULL, err));
    DKV_TRY(dkv_test_get(store, id->bytes[0], &again, err));
    DKV_TRY(store->ops->remove(store, id, dkv_span_buf(&again), err));
    changing->n++;
    return DKV_OK;
}

static void a_visitor_may_use_the_store(void)
{
    struct dkv_error err = {0};
    struct dkv_contract_visited left = {0};
    struct dkv_store *store = dkv_contract_start();
    struct changing changing = {.store = store};
    dkv_contract_add_assorted();

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, change_visited, &changing, &err));

    CU_ASSERT_EQUAL(changing.n, 7);
    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, dkv_contract_visit, &left, &err));
    CU_ASSERT_EQUAL(left.n, 0);
    dkv_contract_finish();
}

static const struct dkv_test tests[] = {
    DKV_TEST(every_filter_narrows_as_it_says),
    DKV_TEST(a_prefix_is_text_and_no_pattern),
    DKV_TEST(a_listing_goes_on_after_an_id_and_ends_at_its_limit),
    DKV_TEST(a_listing_longer_than_any_page_is_complete_and_in_order),
    DKV_TEST(long_documents_are_listed_whole),
    DKV_TEST(a_visitor_that_says_no_ends_the_listing),
    DKV_TEST(a_visitor_may_use_the_store),
};

const struct dkv_contract_part dkv_contract_list = {tests, DKV_COUNT(tests)};
