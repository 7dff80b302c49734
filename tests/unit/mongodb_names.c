/* SPDX-License-Identifier: Apache-2.0 */
/* Alt names in the MongoDB store: a name that is refused, added or taken, whatever the server calls it and whether or
 * not its reply came. Against a scripted server; where a real one must say how it takes a name, that test is skipped
 * without one (scripts/test-mongodb). */
#include "tests/unit/mongodb_acts.h"

#include "tests/lib/mongodb_plant.h"

/* ---- Duplicates that a server calls something else: DocumentDB, InternalError ---- */

static void a_name_refused_by_an_internal_error_is_a_conflict_if_others_have_it(void)
{
    struct dkv_error err = {0};
    struct kept holder = {0};
    enum dkv_clash clash = DKV_CLASH_NONE;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&holder, 2, "one", "other");
    SCRIPT(fixture, {.command = "listIndexes", .reply = FOUND(RIGHT_INDEX)},
           {.command = "insert", .reply = DKV_STUB_WRITE_ERROR(1, "conflicting key value")},
           {.command = "find", .from = 2, .documents = &holder.span, .n_documents = 1}); /* the first is by _id */

    ASSERT_RC(DKV_E_CONFLICT, insert_key(&fixture, "one", &clash, &err));

    ASSERT_SAYS("the alt name \"one\" belongs to the key 00000000-0000-4000-8000-000000000002 already");
    CU_ASSERT_EQUAL(clash, DKV_CLASH_NAME);
    dkv_buf_done(&holder.bytes);
    fixture_close(&fixture);
}

static void an_internal_error_without_a_clash_stays_one(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes", .reply = FOUND(RIGHT_INDEX)},
           {.command = "insert", .reply = DKV_STUB_WRITE_ERROR(1, "something failed")});

    ASSERT_RC(DKV_E_INTERNAL, insert_key(&fixture, "one", NULL, &err));

    ASSERT_SAYS("something failed");
    CU_ASSERT_EQUAL(err.native_code, 1);
    fixture_close(&fixture);
}

/* ---- keyAltNames without a name in it ---- */

/* A document with an empty array, as other clients write it. */
static void put_empty(struct dkv_buf *ret)
{
    struct dkv_error err = {0};
    struct dkv_buf plain = {0};
    bson_t bson, none = BSON_INITIALIZER, document = BSON_INITIALIZER;
    put_key(1, NULL, "material", &plain);
    CU_ASSERT_TRUE_FATAL(bson_init_static(&bson, plain.data, plain.len));
    CU_ASSERT_TRUE_FATAL(bson_concat(&document, &bson) && BSON_APPEND_ARRAY(&document, "keyAltNames", &none));
    ASSERT_OK(dkv_buf_append(ret, dkv_span(bson_get_data(&document), document.len), &err));
    bson_destroy(&document);
    dkv_buf_done(&plain);
}

static void a_second_empty_list_of_names_is_a_clash_of_names(void)
{
    struct dkv_error err = {0};
    struct dkv_buf bytes = {0};
    enum dkv_clash one = DKV_CLASH_NONE, many = DKV_CLASH_NONE;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    put_empty(&bytes);
    const struct dkv_span document = dkv_span_buf(&bytes);
    SCRIPT(fixture, {.command = "listIndexes", .reply = FOUND(RIGHT_INDEX)},
           {.command = "insert", .reply = DKV_STUB_WRITE_ERROR(11000, "duplicate key")});

    ASSERT_RC(DKV_E_CONFLICT, ops->insert(fixture.store, document, &one, &err));
    ASSERT_SAYS("leave the field out");
    ASSERT_OK(ops->insert_many(fixture.store, &document, 1, &many, &err));

    CU_ASSERT_EQUAL(one, DKV_CLASH_NAME);
    CU_ASSERT_EQUAL(many, DKV_CLASH_NAME);
    dkv_buf_done(&bytes);
    fixture_close(&fixture);
}

/* ---- Lost replies to a change of names or status: done, and told as a change ---- */

#define LOST_TWICE(name) {.command = name, .from = 1, .to = 2, .action = DKV_STUB_RESET} /* the driver's repeat too */

static enum dkv_rc add_one(struct fixture *fixture, bool *ret_changed, struct dkv_error *err)
{
    const struct dkv_uuid id = id_of(1);
    return ops->add_alt_name(fixture->store, &id, "one", ret_changed, err);
}

static void a_name_whose_reply_was_lost_was_added(void)
{
    struct dkv_error err = {0};
    struct kept stored = {0}, named = {0};
    bool changed = false;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&stored, 1, NULL, "other");
    keep(&named, 1, "one", "other");
    SCRIPT(fixture, {.command = "listIndexes", .reply = FOUND(RIGHT_INDEX)},
           {.command = "find", .to = 1, .documents = &stored.span, .n_documents = 1},
           {.command = "find", .documents = &named.span, .n_documents = 1}, LOST_TWICE("findAndModify"));

    ASSERT_OK(add_one(&fixture, &changed, &err));

    CU_ASSERT_TRUE(changed);
    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "findAndModify"), 2);
    dkv_buf_done(&stored.bytes);
    dkv_buf_done(&named.bytes);
    fixture_close(&fixture);
}

static void a_name_that_was_there_is_no_change(void)
{
    struct dkv_error err = {0};
    struct kept named = {0};
    bool changed = true;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&named, 1, "one", "other");
    SCRIPT(fixture, {.command = "find", .to = 1, .action = DKV_STUB_RESET},
           {.command = "find", .documents = &named.span, .n_documents = 1});

    ASSERT_OK(add_one(&fixture, &changed, &err));

    CU_ASSERT_FALSE(changed);
    ASSERT_SAID("find find");
    dkv_buf_done(&named.bytes);
    fixture_close(&fixture);
}

/* The pipeline would make keyAltNames null in a document without it, as a request does that comes late. */
static void the_last_name_is_taken_only_where_it_still_is(void)
{
    struct dkv_error err = {0};
    struct kept named = {0}, plain = {0};
    bool changed = true;
    bson_iter_t iter, at;
    const struct dkv_uuid id = id_of(1);
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&named, 1, "one", "other");
    keep(&plain, 1, NULL, "other");
    SCRIPT(fixture, {.command = "find", .to = 1, .documents = &named.span, .n_documents = 1},
           {.command = "find", .documents = &plain.span, .n_documents = 1},
           {.command = "findAndModify", .reply = "{'ok':1,'value':null}"});

    ASSERT_OK(ops->remove_alt_name(fixture.store, &id, "one", &changed, &err));

    const bson_t *sent = dkv_stub_nth(fixture.stub, "findAndModify", 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sent);
    CU_ASSERT_TRUE_FATAL(bson_iter_init(&iter, sent) && bson_iter_find_descendant(&iter, "query.keyAltNames", &at));
    CU_ASSERT_STRING_EQUAL(bson_iter_utf8(&at, NULL), "one");
    CU_ASSERT_FALSE(changed); /* somebody else did it */
    dkv_buf_done(&named.bytes);
    dkv_buf_done(&plain.bytes);
    fixture_close(&fixture);
}

/* ---- Names that are a path to a pipeline ---- */

static void a_name_that_begins_with_a_dollar_is_put_literally(void)
{
    struct dkv_error err = {0};
    struct kept named = {0};
    const struct dkv_uuid id = id_of(1);
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&named, 1, "$status", "other");
    SCRIPT(fixture, {.command = "find", .documents = &named.span, .n_documents = 1});

    ASSERT_RC(DKV_E_CONFLICT, ops->remove_alt_name(fixture.store, &id, "$status", NULL, &err)); /* the stub has none */

    bson_iter_t iter, at;
    const bson_t *sent = dkv_stub_nth(fixture.stub, "findAndModify", 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sent);
    CU_ASSERT_TRUE_FATAL(bson_iter_init(&iter, sent));
    CU_ASSERT_TRUE_FATAL(bson_iter_find_descendant(
        &iter, "update.0.$set.keyAltNames.$cond.0.$eq.1.0.$literal", &at));
    CU_ASSERT_STRING_EQUAL(bson_iter_utf8(&at, NULL), "$status");
    dkv_buf_done(&named.bytes);
    fixture_close(&fixture);
}

static void add_all(struct dkv_store *store, const struct dkv_uuid *id, const char *const *names, size_t n)
{
    struct dkv_error err = {0};
    for (size_t i = 0; i < n; i++) {
        ASSERT_OK(ops->add_alt_name(store, id, names[i], NULL, &err));
    }
}

static void a_server_takes_a_name_out_whatever_it_looks_like(void)
{
    static const char *const names[] = {"$keyAltNames", "$$ROOT", "$$this", "$", "{", "]", "a.b", "0"};
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    char name_space[96];
    if (dkv_test_mongodb_uri() == NULL) {
        dkv_test_skip("no MongoDB server: scripts/test-mongodb up");
        return;
    }
    snprintf(name_space, sizeof(name_space), "%s.keys", dkv_test_mongodb_new_database());
    const struct dkv_store_settings settings = {
        .location = dkv_test_mongodb_uri(), .name_space = name_space, .timeout_ms = 30000};
    ASSERT_OK(ops->open(&settings, true, NULL, &store, &err));
    struct fixture fixture = {.store = store};
    const struct dkv_uuid id = id_of(1);
    ASSERT_OK(insert_key(&fixture, NULL, NULL, &err));
    add_all(store, &id, names, DKV_COUNT(names));

    for (size_t i = 0; i < DKV_COUNT(names); i++) {
        struct dkv_buf document = {0};
        bool changed = false;
        ASSERT_OK(ops->remove_alt_name(store, &id, names[i], &changed, &err));
        CU_ASSERT_TRUE(changed);
        CU_ASSERT_EQUAL(ops->get_by_alt_name(store, names[i], &document, NULL), DKV_E_NOT_FOUND);
        if (i + 1 < DKV_COUNT(names)) {
            ASSERT_OK(ops->get_by_alt_name(store, names[i + 1], &document, &err));
        }
        dkv_buf_done(&document);
    }
    ops->close(store);
    dkv_test_mongodb_done();
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_name_refused_by_an_internal_error_is_a_conflict_if_others_have_it),
        DKV_TEST(an_internal_error_without_a_clash_stays_one),
        DKV_TEST(a_second_empty_list_of_names_is_a_clash_of_names),
        DKV_TEST(a_name_whose_reply_was_lost_was_added),
        DKV_TEST(a_name_that_was_there_is_no_change),
        DKV_TEST(the_last_name_is_taken_only_where_it_still_is),
        DKV_TEST(a_name_that_begins_with_a_dollar_is_put_literally),
        DKV_TEST(a_server_takes_a_name_out_whatever_it_looks_like),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
