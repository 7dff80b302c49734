/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of stores as tests. The store under test is a global of this file; each test starts from an empty one.
 */
#include "tests/lib/store_contract.h"

#include <bson/bson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "vault/document_edit.h"

static const struct dkv_store_factory *factory;
static struct dkv_store *store;

/* ---- Helpers ---- */

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

static void start(void)
{
    struct dkv_error err = {0};
    ASSERT_OK(factory->fresh(&store, &err));
}

static void finish(void)
{
    store->ops->close(store);
    store = NULL;
}

static void add(const struct dkv_key_shape *shape)
{
    struct dkv_error err = {0};
    ASSERT_OK(dkv_test_insert(store, shape, &err));
}

/* What a listing visited: the first byte of each _id. */
struct visited {
    size_t n;
    uint8_t ids[512];
    enum dkv_rc answer; /* given from the third on */
};

static enum dkv_rc note_visit(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    struct visited *visited = arg;
    struct dkv_uuid own = {0};
    if (!dkv_document_peek_id(document, &own) || !dkv_uuid_equal(&own, id) || visited->n >= sizeof(visited->ids)) {
        return dkv_fail(err, DKV_E_INTERNAL, "not a key document, or too many");
    }
    visited->ids[visited->n++] = id->bytes[0];
    return visited->n >= 3 && visited->answer != DKV_OK ? dkv_fail(err, visited->answer, "enough") : DKV_OK;
}

static void assert_visited(const struct visited *visited, const char *expected)
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

static void assert_names(uint8_t id, const char *const *names, size_t n)
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

/* ---- insert, get ---- */

static void an_inserted_document_is_read_back_byte_for_byte(void)
{
    struct dkv_error err = {0};
    struct dkv_buf document = {0}, by_id = {0}, by_name = {0};
    start();
    dkv_test_key(&(struct dkv_key_shape){.id = 'a', .names = {"one", "two"}}, &document);

    ASSERT_OK(store->ops->insert(store, dkv_span_buf(&document), NULL, &err));

    ASSERT_OK(dkv_test_get(store, 'a', &by_id, &err));
    ASSERT_OK(store->ops->get_by_alt_name(store, "two", &by_name, &err));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&document), dkv_span_buf(&by_id)));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&document), dkv_span_buf(&by_name)));
    dkv_buf_done(&document);
    dkv_buf_done(&by_id);
    dkv_buf_done(&by_name);
    finish();
}

static void a_taken_id_is_a_clash_of_ids(void)
{
    struct dkv_error err = {0};
    struct dkv_buf document = {0}, old = {0};
    enum dkv_clash clash = DKV_CLASH_NONE;
    start();
    add(&(struct dkv_key_shape){.id = 'a', .names = {"one"}});
    dkv_test_key(&(struct dkv_key_shape){.id = 'a', .names = {"two"}}, &document);

    ASSERT_RC(DKV_E_CONFLICT, store->ops->insert(store, dkv_span_buf(&document), &clash, &err));

    CU_ASSERT_EQUAL(clash, DKV_CLASH_ID);
    ASSERT_SAYS("61616161-6161-6161-6161-616161616161");
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->get_by_alt_name(store, "two", &old, &err));
    assert_names('a', (const char *[]){"one"}, 1);
    dkv_buf_done(&document);
    finish();
}

static void a_taken_name_is_a_clash_of_names_and_leaves_nothing(void)
{
    struct dkv_error err = {0};
    struct dkv_buf document = {0}, none = {0};
    enum dkv_clash clash = DKV_CLASH_NONE;
    start();
    add(&(struct dkv_key_shape){.id = 'a', .names = {"one"}});
    dkv_test_key(&(struct dkv_key_shape){.id = 'b', .names = {"new", "one"}}, &document);

    ASSERT_RC(DKV_E_CONFLICT, store->ops->insert(store, dkv_span_buf(&document), &clash, &err));

    CU_ASSERT_EQUAL(clash, DKV_CLASH_NAME);
    ASSERT_SAYS("\"one\"");
    ASSERT_RC(DKV_E_NOT_FOUND, dkv_test_get(store, 'b', &none, &err));
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->get_by_alt_name(store, "new", &none, &err));
    CU_ASSERT_EQUAL(none.len, 0);
    dkv_buf_done(&document);
    finish();
}

static void bytes_that_are_no_key_document_are_not_inserted(void)
{
    struct dkv_error err = {0};
    struct visited visited = {0};
    start();

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->insert(store, dkv_span("\5\0\0\0", 5), NULL, &err));

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, note_visit, &visited, &err));
    CU_ASSERT_EQUAL(visited.n, 0);
    finish();
}

static void get_many_visits_those_there_are_once_and_in_order(void)
{
    struct dkv_error err = {0};
    struct visited visited = {0};
    const struct dkv_uuid ids[] = {dkv_test_id('c'), dkv_test_id('x'), dkv_test_id('a'), dkv_test_id('c'),
                                   dkv_test_id('b')};
    start();
    add(&(struct dkv_key_shape){.id = 'b'});
    add(&(struct dkv_key_shape){.id = 'c'});
    add(&(struct dkv_key_shape){.id = 'a'});
    add(&(struct dkv_key_shape){.id = 'd'});

    ASSERT_OK(store->ops->get_many(store, ids, DKV_COUNT(ids), note_visit, &visited, &err));

    assert_visited(&visited, "abc");
    ASSERT_OK(store->ops->get_many(store, NULL, 0, note_visit, &visited, &err));
    CU_ASSERT_EQUAL(visited.n, 3);
    finish();
}

static void a_name_that_nobody_has_is_not_found(void)
{
    struct dkv_error err = {0};
    struct dkv_buf none = {0};
    start();
    add(&(struct dkv_key_shape){.id = 'a', .names = {"one"}});

    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->get_by_alt_name(store, "One", &none, &err));

    ASSERT_SAYS("One");
    CU_ASSERT_EQUAL(none.len, 0);
    finish();
}

static void odd_characters_in_names_mean_nothing(void)
{
    static const char *const names[] = {"a'b\"c", "%",    "_", "*", "[a]", "x\ny", "\xc3\xa9\xf0\x9f\x94\x91",
                                        ";--",    "$x.y", " "};
    struct dkv_error err = {0};
    start();
    for (size_t i = 0; i < DKV_COUNT(names); i++) {
        add(&(struct dkv_key_shape){.id = (uint8_t)('a' + i), .names = {names[i]}});
    }

    for (size_t i = 0; i < DKV_COUNT(names); i++) {
        struct dkv_buf document = {0};
        struct dkv_uuid id = {0};
        struct visited visited = {0};
        struct dkv_key_filter filter = DKV_KEY_FILTER_ALL;
        filter.name_prefix = names[i];
        ASSERT_OK(store->ops->get_by_alt_name(store, names[i], &document, &err));
        CU_ASSERT(dkv_document_peek_id(dkv_span_buf(&document), &id));
        CU_ASSERT_EQUAL(id.bytes[0], 'a' + i);
        ASSERT_OK(store->ops->list(store, &filter, NULL, 0, note_visit, &visited, &err));
        CU_ASSERT_EQUAL(visited.n, 1);
        CU_ASSERT_EQUAL(visited.ids[0], 'a' + i);
        dkv_buf_done(&document);
    }
    finish();
}

/* ---- list, count ---- */

static void add_assorted(void)
{
    add(&(struct dkv_key_shape){.id = 'a', .created_ms = 10, .updated_ms = 100, .names = {"app.x", "other"}});
    add(&(struct dkv_key_shape){
        .id = 'b', .created_ms = 20, .updated_ms = 90, .status = 1, .names = {"app.y", "app.z"}});
    add(&(struct dkv_key_shape){.id = 'c', .created_ms = 30, .updated_ms = 80, .provider = "aws:eu", .cmk = "key-1"});
    add(&(struct dkv_key_shape){
        .id = 'd', .created_ms = 40, .updated_ms = 70, .provider = "aws:eu", .cmk = "key-2", .names = {"app."}});
    add(&(struct dkv_key_shape){
        .id = 'e', .created_ms = 50, .updated_ms = 60, .provider = "pkcs11:prod", .cmk = "key-1", .names = {"apq"}});
    add(&(struct dkv_key_shape){
        .id = 'f', .created_ms = -5, .updated_ms = 50, .provider = "pkcs11", .cmk = "0a0b", .status = 1});
    add(&(struct dkv_key_shape){.id = 'g', .created_ms = 60, .updated_ms = 60, .provider = "azure", .cmk = "k"});
}

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
    start();
    add_assorted();
    for (size_t i = 0; i < DKV_COUNT(rows); i++) {
        struct visited visited = {0};
        ASSERT_OK(store->ops->list(store, &rows[i].filter, NULL, 0, note_visit, &visited, &err));
        assert_visited(&visited, rows[i].expected);
    }
    finish();
}

static void a_listing_goes_on_after_an_id_and_ends_at_its_limit(void)
{
    struct dkv_error err = {0};
    struct dkv_key_filter filter = DKV_KEY_FILTER_ALL;
    struct visited first = {0}, second = {0}, third = {0}, fourth = {0};
    const struct dkv_uuid after = dkv_test_id('b'), absent = dkv_test_id('B');
    start();
    add_assorted();
    filter.status = 0;

    ASSERT_OK(store->ops->list(store, NULL, NULL, 2, note_visit, &first, &err));
    ASSERT_OK(store->ops->list(store, NULL, &after, 3, note_visit, &second, &err));
    ASSERT_OK(store->ops->list(store, &filter, &after, 2, note_visit, &third, &err));
    ASSERT_OK(store->ops->list(store, NULL, &absent, 1, note_visit, &fourth, &err));

    assert_visited(&first, "ab");
    assert_visited(&second, "cde");
    assert_visited(&third, "cd");
    assert_visited(&fourth, "a");
    finish();
}

static void a_listing_longer_than_any_page_is_complete_and_in_order(void)
{
    struct dkv_error err = {0};
    struct visited visited = {0}, limited = {0}, prefixed = {0};
    struct dkv_key_filter filter = DKV_KEY_FILTER_ALL;
    char name[16];
    start();
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        add(&(struct dkv_key_shape){.id = (uint8_t)((i * 77) % 251), .names = {name}});
    }
    filter.name_prefix = "n";

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, note_visit, &visited, &err));
    ASSERT_OK(store->ops->list(store, NULL, NULL, 128, note_visit, &limited, &err));
    ASSERT_OK(store->ops->list(store, &filter, NULL, 0, note_visit, &prefixed, &err));

    CU_ASSERT_EQUAL(visited.n, 200);
    CU_ASSERT_EQUAL(limited.n, 128);
    CU_ASSERT_EQUAL(prefixed.n, 200);
    for (size_t i = 1; i < visited.n; i++) {
        CU_ASSERT(visited.ids[i - 1] < visited.ids[i]);
        CU_ASSERT_EQUAL(visited.ids[i], prefixed.ids[i]);
    }
    finish();
}

static void long_documents_are_listed_whole(void)
{
    struct dkv_error err = {0};
    struct visited visited = {0};
    start();
    char *text = dkv_calloc(1, 400001);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (size_t i = 0; i < 400000; i++) {
        text[i] = (char)('a' + i % 26);
    }
    for (uint8_t i = 0; i < 7; i++) {
        add(&(struct dkv_key_shape){.id = (uint8_t)('a' + i), .provider = "mine", .cmk = text});
    }

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, note_visit, &visited, &err));

    assert_visited(&visited, "abcdefg");
    dkv_free(text);
    finish();
}

static void a_visitor_that_says_no_ends_the_listing(void)
{
    struct dkv_error err = {0};
    struct visited visited = {.answer = DKV_E_CANCELLED};
    start();
    add_assorted();

    ASSERT_RC(DKV_E_CANCELLED, store->ops->list(store, NULL, NULL, 0, note_visit, &visited, &err));

    ASSERT_SAYS("enough");
    CU_ASSERT_EQUAL(visited.n, 3);
    finish();
}

/* Renames, reads and deletes what it is shown. */
static enum dkv_rc change_visited(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    size_t *n = arg;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf again = {0};
    CU_ASSERT(document.len > 0);
    DKV_TRY(store->ops->add_alt_name(store, id, "seen", NULL, err));
    DKV_TRY(dkv_test_get(store, id->bytes[0], &again, err));
    DKV_TRY(store->ops->remove(store, id, dkv_span_buf(&again), err));
    ++*n;
    return DKV_OK;
}

static void a_visitor_may_use_the_store(void)
{
    struct dkv_error err = {0};
    struct visited left = {0};
    size_t n = 0;
    start();
    add_assorted();

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, change_visited, &n, &err));

    CU_ASSERT_EQUAL(n, 7);
    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, note_visit, &left, &err));
    CU_ASSERT_EQUAL(left.n, 0);
    finish();
}

static enum dkv_rc note_count(void *arg, const struct dkv_key_count *count, struct dkv_error *err)
{
    return dkv_buf_printf(arg, err, "%s/%s/%d=%u;", count->provider, count->cmk, count->status, (unsigned)count->count);
}

static void counts_are_by_provider_cmk_and_status(void)
{
    struct dkv_error err = {0};
    struct dkv_buf text = {0};
    start();
    add_assorted();
    add(&(struct dkv_key_shape){.id = 'z', .provider = "aws:eu", .cmk = "key-2"});

    ASSERT_OK(store->ops->count_by(store, note_count, &text, &err));

    CU_ASSERT_STRING_EQUAL(
        dkv_buf_text(&text),
        "aws:eu/key-1/0=1;aws:eu/key-2/0=2;azure/{ \"provider\" : \"azure\", \"keyName\" : \"k\" }/0=1;"
        "local//0=1;local//1=1;pkcs11/0a0b/1=1;pkcs11:prod/key-1/0=1;");
    dkv_buf_done(&text);
    finish();
}

/* ---- Changes ---- */

static void material_is_replaced_only_if_it_is_the_expected_one(void)
{
    struct dkv_error err = {0};
    struct dkv_buf old_key = {0}, new_key = {0}, bytes = {0};
    struct dkv_document document = {0};
    const struct dkv_uuid id = dkv_test_id('a'), other = dkv_test_id('x');
    const struct dkv_span old = dkv_span_str("old"), fresh = dkv_span_str("new");
    start();
    add(&(struct dkv_key_shape){
        .id = 'a', .material = "old", .created_ms = 5, .updated_ms = 6, .status = 1, .names = {"n"}});
    dkv_test_master_key("local", "", &old_key);
    dkv_test_master_key("aws:eu", "key-9", &new_key);
    const struct dkv_span was = dkv_span_buf(&old_key), becomes = dkv_span_buf(&new_key);

    ASSERT_RC(DKV_E_CONFLICT, store->ops->replace_material(store, &id, was, fresh, becomes, fresh, &err));
    ASSERT_RC(DKV_E_CONFLICT, store->ops->replace_material(store, &id, becomes, old, becomes, fresh, &err));
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->replace_material(store, &other, was, old, becomes, fresh, &err));
    ASSERT_OK(store->ops->replace_material(store, &id, was, old, becomes, fresh, &err));
    ASSERT_RC(DKV_E_CONFLICT, store->ops->replace_material(store, &id, was, old, becomes, fresh, &err));

    ASSERT_OK(dkv_test_get(store, 'a', &bytes, &err));
    ASSERT_OK(dkv_document_parse(dkv_span_buf(&bytes), &document, &err));
    CU_ASSERT(dkv_span_equal(document.key_material, fresh));
    CU_ASSERT(dkv_span_equal(document.master_key, becomes));
    CU_ASSERT_EQUAL(document.creation_date_ms, 5);
    CU_ASSERT(document.update_date_ms > 1600000000000);
    CU_ASSERT_EQUAL(document.status, 1);
    CU_ASSERT_EQUAL(document.n_alt_names, 1);
    struct dkv_key_filter filter = {"aws:eu", "key-9", 1, "n", INT64_MIN, INT64_MAX, 1600000000000, INT64_MAX};
    struct visited visited = {0};
    ASSERT_OK(store->ops->list(store, &filter, NULL, 0, note_visit, &visited, &err));
    assert_visited(&visited, "a");
    dkv_document_done(&document);
    dkv_buf_done(&bytes);
    dkv_buf_done(&old_key);
    dkv_buf_done(&new_key);
    finish();
}

static void status_is_set_and_says_whether_it_changed(void)
{
    struct dkv_error err = {0};
    struct visited visited = {0};
    struct dkv_key_filter filter = DKV_KEY_FILTER_ALL;
    const struct dkv_uuid id = dkv_test_id('a'), other = dkv_test_id('x');
    bool changed = false;
    start();
    add(&(struct dkv_key_shape){.id = 'a', .updated_ms = 6});

    ASSERT_OK(store->ops->set_status(store, &id, 1, &changed, &err));
    CU_ASSERT(changed);
    ASSERT_OK(store->ops->set_status(store, &id, 1, &changed, &err));
    CU_ASSERT(!changed);
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->set_status(store, &other, 1, &changed, &err));
    ASSERT_RC(DKV_E_INVALID, store->ops->set_status(store, &id, 2, &changed, &err));

    filter.status = 1;
    ASSERT_OK(store->ops->list(store, &filter, NULL, 0, note_visit, &visited, &err));
    assert_visited(&visited, "a");
    finish();
}

static void a_name_is_added_once_and_to_one_key_only(void)
{
    struct dkv_error err = {0};
    struct dkv_buf named = {0};
    struct dkv_document document = {0};
    const struct dkv_uuid a = dkv_test_id('a'), b = dkv_test_id('b'), other = dkv_test_id('x');
    bool changed = false;
    start();
    add(&(struct dkv_key_shape){.id = 'a', .updated_ms = 6});
    add(&(struct dkv_key_shape){.id = 'b'});

    ASSERT_OK(store->ops->add_alt_name(store, &a, "one", &changed, &err));
    CU_ASSERT(changed);
    ASSERT_OK(store->ops->add_alt_name(store, &a, "two", NULL, &err));
    ASSERT_OK(store->ops->add_alt_name(store, &a, "one", &changed, &err));
    CU_ASSERT(!changed);
    ASSERT_RC(DKV_E_CONFLICT, store->ops->add_alt_name(store, &b, "one", &changed, &err));
    ASSERT_SAYS("61616161-6161-6161-6161-616161616161");
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->add_alt_name(store, &other, "three", &changed, &err));
    ASSERT_RC(DKV_E_INVALID, store->ops->add_alt_name(store, &a, "", &changed, &err));

    assert_names('a', (const char *[]){"one", "two"}, 2);
    assert_names('b', NULL, 0);
    ASSERT_OK(store->ops->get_by_alt_name(store, "two", &named, &err));
    ASSERT_OK(dkv_document_parse(dkv_span_buf(&named), &document, &err));
    CU_ASSERT_EQUAL(document.update_date_ms, 6);
    dkv_document_done(&document);
    dkv_buf_done(&named);
    finish();
}

static void the_field_goes_with_its_last_name(void)
{
    struct dkv_error err = {0};
    struct dkv_buf none = {0};
    const struct dkv_uuid a = dkv_test_id('a'), b = dkv_test_id('b'), other = dkv_test_id('x');
    bool changed = false;
    start();
    add(&(struct dkv_key_shape){.id = 'a', .names = {"one", "two", "three"}});
    add(&(struct dkv_key_shape){.id = 'b'});

    ASSERT_OK(store->ops->remove_alt_name(store, &a, "two", &changed, &err));
    CU_ASSERT(changed);
    assert_names('a', (const char *[]){"one", "three"}, 2);
    ASSERT_OK(store->ops->remove_alt_name(store, &a, "two", &changed, &err));
    CU_ASSERT(!changed);
    ASSERT_OK(store->ops->remove_alt_name(store, &a, "three", &changed, &err));
    ASSERT_OK(store->ops->remove_alt_name(store, &a, "one", &changed, &err));
    CU_ASSERT(changed);
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->remove_alt_name(store, &other, "one", &changed, &err));

    assert_names('a', NULL, 0);
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->get_by_alt_name(store, "one", &none, &err));
    ASSERT_OK(store->ops->add_alt_name(store, &b, "one", &changed, &err)); /* free again */
    finish();
}

/* A document as a stranger wrote it, version 0 first and the _id last. */
static void append_strange_document(struct dkv_buf *ret)
{
    struct dkv_error err = {0};
    bson_t bson = BSON_INITIALIZER;
    bson_t master_key = BSON_INITIALIZER;
    const struct dkv_uuid id = dkv_test_id('a');
    BSON_APPEND_INT64(&bson, "version", 0);
    BSON_APPEND_UTF8(&master_key, "anything", "goes");
    BSON_APPEND_UTF8(&master_key, "provider", "strange:one");
    BSON_APPEND_DOCUMENT(&bson, "masterKey", &master_key);
    BSON_APPEND_INT32(&bson, "status", 0);
    BSON_APPEND_DATE_TIME(&bson, "updateDate", 2);
    BSON_APPEND_BINARY(&bson, "keyMaterial", BSON_SUBTYPE_BINARY, (const uint8_t *)"wrapped", 7);
    BSON_APPEND_DATE_TIME(&bson, "creationDate", 1);
    BSON_APPEND_BINARY(&bson, "_id", BSON_SUBTYPE_UUID, id.bytes, 16);
    const enum dkv_rc rc = dkv_buf_append(ret, dkv_span(bson_get_data(&bson), bson.len), &err);
    bson_destroy(&master_key);
    bson_destroy(&bson);
    ASSERT_OK(rc);
}

static void a_rename_leaves_every_other_byte(void)
{
    struct dkv_error err = {0};
    struct dkv_buf before = {0}, between = {0}, after = {0};
    const struct dkv_uuid id = dkv_test_id('a');
    start();
    append_strange_document(&before);
    ASSERT_OK(store->ops->insert(store, dkv_span_buf(&before), NULL, &err));

    ASSERT_OK(store->ops->add_alt_name(store, &id, "n", NULL, &err));
    ASSERT_OK(dkv_test_get(store, 'a', &between, &err));
    ASSERT_OK(store->ops->remove_alt_name(store, &id, "n", NULL, &err));
    ASSERT_OK(dkv_test_get(store, 'a', &after, &err));

    CU_ASSERT(between.len > before.len);
    CU_ASSERT(dkv_span_equal(dkv_span(before.data + 4, before.len - 5), dkv_span(between.data + 4, before.len - 5)));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&before), dkv_span_buf(&after)));
    dkv_buf_done(&before);
    dkv_buf_done(&between);
    dkv_buf_done(&after);
    finish();
}

static void removal_may_insist_on_the_document(void)
{
    struct dkv_error err = {0};
    struct dkv_buf stored = {0}, none = {0};
    const struct dkv_uuid a = dkv_test_id('a'), b = dkv_test_id('b');
    start();
    add(&(struct dkv_key_shape){.id = 'a', .names = {"one"}});
    add(&(struct dkv_key_shape){.id = 'b', .names = {"two"}});
    ASSERT_OK(dkv_test_get(store, 'a', &stored, &err));

    ASSERT_RC(DKV_E_CONFLICT, store->ops->remove(store, &b, dkv_span_buf(&stored), &err));
    ASSERT_OK(store->ops->remove(store, &a, dkv_span_buf(&stored), &err));
    ASSERT_OK(store->ops->remove(store, &b, dkv_span(NULL, 0), &err));
    ASSERT_RC(DKV_E_NOT_FOUND, store->ops->remove(store, &b, dkv_span(NULL, 0), &err));

    ASSERT_RC(DKV_E_NOT_FOUND, dkv_test_get(store, 'a', &none, &err));
    add(&(struct dkv_key_shape){.id = 'c', .names = {"one", "two"}}); /* the names are free */
    dkv_buf_done(&stored);
    finish();
}

/* ---- What somebody else put there ---- */

/* Three keys; then under 'a' the document of 'b', and no document under 'c'. */
static void start_damaged(struct dkv_buf *ret_b)
{
    struct dkv_error err = {0};
    const struct dkv_uuid a = dkv_test_id('a'), c = dkv_test_id('c');
    start();
    add(&(struct dkv_key_shape){.id = 'a', .names = {"one"}});
    add(&(struct dkv_key_shape){.id = 'b', .names = {"two"}});
    add(&(struct dkv_key_shape){.id = 'c', .names = {"three"}});
    ASSERT_OK(dkv_test_get(store, 'b', ret_b, &err));
    factory->plant(store, &a, dkv_span_buf(ret_b));
    factory->plant(store, &c, dkv_span_str("no BSON"));
}

static enum dkv_rc write_row(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    DKV_TRY(dkv_buf_printf(arg, err, "%c=", id->bytes[0]));
    DKV_TRY(dkv_buf_append(arg, document, err));
    return dkv_buf_append_str(arg, ";", err);
}

static void rows_are_given_as_they_are_for_the_caller_to_judge(void)
{
    struct dkv_error err = {0};
    struct dkv_buf b = {0}, expected = {0}, listed = {0}, got = {0};
    const struct dkv_uuid ids[] = {dkv_test_id('a'), dkv_test_id('b'), dkv_test_id('c')};
    start_damaged(&b);
    const struct dkv_span bytes[] = {dkv_span_buf(&b), dkv_span_buf(&b), dkv_span_str("no BSON")};
    for (size_t i = 0; i < DKV_COUNT(ids); i++) {
        ASSERT_OK(write_row(&expected, &ids[i], bytes[i], &err));
    }

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, write_row, &listed, &err));
    ASSERT_OK(store->ops->get_many(store, ids, DKV_COUNT(ids), write_row, &got, &err));

    CU_ASSERT(dkv_span_equal(dkv_span_buf(&listed), dkv_span_buf(&expected)));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&got), dkv_span_buf(&expected)));
    dkv_buf_done(&b);
    dkv_buf_done(&expected);
    dkv_buf_done(&listed);
    dkv_buf_done(&got);
    finish();
}

static void bytes_longer_than_any_document_are_given_as_none(void)
{
    struct dkv_error err = {0};
    struct dkv_buf listed = {0}, got = {0};
    const struct dkv_uuid id = dkv_test_id('a');
    uint8_t *longest = dkv_calloc(1, DKV_DOCUMENT_MAX + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(longest);
    start();
    add(&(struct dkv_key_shape){.id = 'a'});
    factory->plant(store, &id, dkv_span(longest, DKV_DOCUMENT_MAX + 1));

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, write_row, &listed, &err));
    ASSERT_OK(store->ops->get_many(store, &id, 1, write_row, &got, &err));

    CU_ASSERT(dkv_span_equal(dkv_span_buf(&listed), dkv_span_str("a=;")));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&got), dkv_span_str("a=;")));
    ASSERT_OK(store->ops->remove(store, &id, dkv_span(NULL, 0), &err));
    dkv_free(longest);
    dkv_buf_done(&listed);
    dkv_buf_done(&got);
    finish();
}

static void what_is_no_document_of_its_id_is_not_changed(void)
{
    static const uint8_t damaged[] = {'a', 'c'};
    struct dkv_error err = {0};
    struct dkv_buf b = {0}, none = {0}, left = {0};
    const struct dkv_span any = dkv_span_str("wrapped bytes");
    start_damaged(&b);

    for (size_t i = 0; i < DKV_COUNT(damaged); i++) {
        const struct dkv_uuid id = dkv_test_id(damaged[i]);
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->set_status(store, &id, 1, NULL, &err));
        CU_ASSERT_EQUAL(strtol(err.key, NULL, 16), id.bytes[0] * 0x1010101L);
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->add_alt_name(store, &id, "new", NULL, &err));
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->remove_alt_name(store, &id, "one", NULL, &err));
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->replace_material(store, &id, any, any, any, any, &err));
    }

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->get_by_alt_name(store, "one", &none, &err));
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->get_by_alt_name(store, "three", &none, &err));
    CU_ASSERT_EQUAL(none.len, 0);
    ASSERT_OK(dkv_test_get(store, 'b', &left, &err));
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&left), dkv_span_buf(&b)));
    dkv_buf_done(&left);
    dkv_buf_done(&b);
    finish();
}

static void what_is_no_document_of_its_id_can_be_removed(void)
{
    struct dkv_error err = {0};
    struct dkv_buf b = {0};
    struct visited visited = {0};
    const struct dkv_uuid a = dkv_test_id('a'), c = dkv_test_id('c');
    start_damaged(&b);

    ASSERT_RC(DKV_E_CONFLICT, store->ops->remove(store, &a, dkv_span_str("no BSON"), &err));
    ASSERT_OK(store->ops->remove(store, &a, dkv_span_buf(&b), &err));
    ASSERT_OK(store->ops->remove(store, &c, dkv_span(NULL, 0), &err));

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, note_visit, &visited, &err));
    assert_visited(&visited, "b");
    add(&(struct dkv_key_shape){.id = 'd', .names = {"one", "three"}}); /* the names are free */
    dkv_buf_done(&b);
    finish();
}

/* ---- State ---- */

static void state_changes_only_from_what_is_expected(void)
{
    struct dkv_error err = {0};
    struct dkv_buf value = {0};
    const struct dkv_span none = {0}, one = dkv_span("one\0", 4), two = dkv_span_str("two");
    start();

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
    finish();
}

static void the_index_of_names_is_there_and_may_be_ensured_again(void)
{
    struct dkv_error err = {0};
    enum dkv_index_state state = DKV_INDEX_MISSING;
    start();
    ASSERT_OK(store->ops->ensure_index(store, &err));
    ASSERT_OK(store->ops->ensure_index(store, &err));
    ASSERT_OK(store->ops->check_index(store, &state, &err));
    CU_ASSERT_EQUAL(state, DKV_INDEX_OK);
    finish();
}

/* ---- Many at once ---- */

#define THREADS 8
#define KEYS_EACH 20

static void *insert_some(void *arg)
{
    struct dkv_error err = {0};
    const size_t thread = *(const size_t *)arg;
    for (size_t i = 0; i < KEYS_EACH; i++) {
        struct visited visited = {0};
        const struct dkv_key_shape shape = {.id = (uint8_t)(thread * KEYS_EACH + i)};
        if (dkv_test_insert(store, &shape, &err) != DKV_OK ||
            store->ops->list(store, NULL, NULL, 2, note_visit, &visited, &err) != DKV_OK) {
            return arg;
        }
    }
    return NULL;
}

static void threads_share_a_store(void)
{
    struct dkv_error err = {0};
    struct visited visited = {0};
    pthread_t threads[THREADS];
    size_t numbers[THREADS];
    start();
    for (size_t i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, insert_some, &numbers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        CU_ASSERT_PTR_NULL(failed);
    }

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, note_visit, &visited, &err));
    CU_ASSERT_EQUAL(visited.n, THREADS * KEYS_EACH);
    finish();
}

#define PROCESSES 16

static int add_the_name(uint8_t id)
{
    struct dkv_error err = {0};
    struct dkv_store *own = NULL;
    const struct dkv_uuid uuid = dkv_test_id(id);
    if (factory->again(&own, &err) != DKV_OK) {
        return 3;
    }
    const enum dkv_rc rc = own->ops->add_alt_name(own, &uuid, "wanted by all", NULL, &err);
    own->ops->close(own);
    return rc == DKV_OK ? 0 : rc == DKV_E_CONFLICT ? 1 : 2;
}

static void of_sixteen_processes_one_gets_the_name(void)
{
    struct dkv_error err = {0};
    struct dkv_buf named = {0};
    int counts[4] = {0};
    start();
    for (uint8_t i = 0; i < PROCESSES; i++) {
        add(&(struct dkv_key_shape){.id = (uint8_t)('a' + i)});
    }
    fflush(NULL);
    for (uint8_t i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            _exit(add_the_name((uint8_t)('a' + i)));
        }
    }
    for (size_t i = 0; i < PROCESSES; i++) {
        int status = 0;
        CU_ASSERT(wait(&status) > 0);
        counts[WIFEXITED(status) ? WEXITSTATUS(status) & 3 : 3]++;
    }

    CU_ASSERT_EQUAL(counts[0], 1);
    CU_ASSERT_EQUAL(counts[1], PROCESSES - 1);
    ASSERT_OK(store->ops->get_by_alt_name(store, "wanted by all", &named, &err));
    dkv_buf_done(&named);
    finish();
}

static const struct dkv_test contract[] = {
    DKV_TEST(an_inserted_document_is_read_back_byte_for_byte),
    DKV_TEST(a_taken_id_is_a_clash_of_ids),
    DKV_TEST(a_taken_name_is_a_clash_of_names_and_leaves_nothing),
    DKV_TEST(bytes_that_are_no_key_document_are_not_inserted),
    DKV_TEST(get_many_visits_those_there_are_once_and_in_order),
    DKV_TEST(a_name_that_nobody_has_is_not_found),
    DKV_TEST(odd_characters_in_names_mean_nothing),
    DKV_TEST(every_filter_narrows_as_it_says),
    DKV_TEST(a_listing_goes_on_after_an_id_and_ends_at_its_limit),
    DKV_TEST(a_listing_longer_than_any_page_is_complete_and_in_order),
    DKV_TEST(long_documents_are_listed_whole),
    DKV_TEST(a_visitor_that_says_no_ends_the_listing),
    DKV_TEST(a_visitor_may_use_the_store),
    DKV_TEST(counts_are_by_provider_cmk_and_status),
    DKV_TEST(material_is_replaced_only_if_it_is_the_expected_one),
    DKV_TEST(status_is_set_and_says_whether_it_changed),
    DKV_TEST(a_name_is_added_once_and_to_one_key_only),
    DKV_TEST(the_field_goes_with_its_last_name),
    DKV_TEST(a_rename_leaves_every_other_byte),
    DKV_TEST(removal_may_insist_on_the_document),
    DKV_TEST(rows_are_given_as_they_are_for_the_caller_to_judge),
    DKV_TEST(bytes_longer_than_any_document_are_given_as_none),
    DKV_TEST(what_is_no_document_of_its_id_is_not_changed),
    DKV_TEST(what_is_no_document_of_its_id_can_be_removed),
    DKV_TEST(state_changes_only_from_what_is_expected),
    DKV_TEST(the_index_of_names_is_there_and_may_be_ensured_again),
    DKV_TEST(threads_share_a_store),
    DKV_TEST(of_sixteen_processes_one_gets_the_name),
};

int dkv_store_contract_main(int argc, char **argv, const struct dkv_store_factory *its_factory,
                            const struct dkv_test *own, size_t n_own)
{
    struct dkv_test *all = dkv_calloc(DKV_COUNT(contract) + n_own, sizeof(*all));
    if (all == NULL) {
        return 99;
    }
    factory = its_factory;
    memcpy(all, contract, sizeof(contract));
    if (n_own > 0) {
        memcpy(&all[DKV_COUNT(contract)], own, n_own * sizeof(*own));
    }
    const int status = dkv_test_main(argc, argv, all, DKV_COUNT(contract) + n_own);
    dkv_free(all);
    return status;
}
