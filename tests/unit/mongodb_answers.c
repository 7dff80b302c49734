/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors that are lost, and answers that make no sense, against a scripted server that may be anybody's: nothing is
 * skipped or shown twice, and nothing that isn't what was asked for is changed. */
#include "tests/unit/mongodb_acts.h"

/* ---- Cursors ---- */

#define LISTED 10u
#define BATCH 3u

/* A collection of LISTED documents, given BATCH at a time. */
struct listing {
    uint8_t next;
};

static void respond_batch(struct listing *listing, const bson_t *command, bson_t *reply)
{
    struct dkv_buf bytes[BATCH] = {{0}};
    struct dkv_span documents[BATCH];
    size_t n = 0;
    while (n < BATCH && listing->next <= LISTED) {
        put_key(listing->next++, NULL, "material", &bytes[n]);
        documents[n] = dkv_span_buf(&bytes[n]);
        n++;
    }
    dkv_stub_cursor_reply(command, listing->next <= LISTED ? 77 : 0, documents, n, reply);
    while (n > 0) {
        dkv_buf_done(&bytes[--n]);
    }
}

static void respond_find(void *arg, const bson_t *command, bson_t *reply)
{
    struct listing *listing = arg;
    bson_iter_t iter, after;
    uint32_t len = 0;
    const uint8_t *id = NULL;
    bson_subtype_t subtype;
    listing->next = 1;
    if (bson_iter_init(&iter, command) && bson_iter_find_descendant(&iter, "filter._id.$gt", &after)) {
        bson_iter_binary(&after, &subtype, &len, &id);
        listing->next = (uint8_t)(id[15] + 1);
    }
    respond_batch(listing, command, reply);
}

static void respond_more(void *arg, const bson_t *command, bson_t *reply)
{
    respond_batch(arg, command, reply);
}

static void expect_all_once(const struct visited *visited)
{
    CU_ASSERT_EQUAL(visited->n, LISTED);
    for (size_t i = 0; i < visited->n; i++) {
        CU_ASSERT_EQUAL(visited->numbers[i], i + 1);
    }
}

static void list_with(const struct dkv_stub_rule *fault)
{
    struct dkv_error err = {0};
    struct listing listing = {0};
    struct visited visited = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, *fault, {.command = "find", .respond = respond_find, .arg = &listing},
           {.command = "getMore", .respond = respond_more, .arg = &listing});

    ASSERT_OK(ops->list(fixture.store, NULL, NULL, 0, visit, &visited, &err));

    expect_all_once(&visited);
    CU_ASSERT_TRUE(dkv_stub_count(fixture.stub, "find") >= 2);
    fixture_close(&fixture);
}

static void a_list_goes_on_where_its_cursor_was_lost(void)
{
    const struct dkv_stub_rule fault = {
        .command = "getMore", .from = 2, .to = 2, .reply = DKV_STUB_ERROR(43, "CursorNotFound")};
    list_with(&fault);
}

static void a_list_goes_on_where_its_connection_broke(void)
{
    static const enum dkv_stub_action actions[] = {DKV_STUB_RESET, DKV_STUB_CLOSE, DKV_STUB_HALF};
    for (size_t i = 0; i < DKV_COUNT(actions); i++) {
        const struct dkv_stub_rule fault = {.command = "getMore", .from = 2, .to = 2, .action = actions[i]};
        list_with(&fault);
    }
}

static void a_list_goes_on_after_a_stepdown(void)
{
    const struct dkv_stub_rule fault = {
        .command = "getMore", .from = 1, .to = 1, .reply = DKV_STUB_ERROR(11602, "InterruptedDueToReplStateChange")};
    list_with(&fault);
}

static void a_list_that_gets_nowhere_ends_with_the_error(void)
{
    struct dkv_error err = {0};
    struct listing listing = {0};
    struct visited visited = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "find", .to = 1, .respond = respond_find, .arg = &listing},
           {.command = "find", .reply = DKV_STUB_ERROR(43, "CursorNotFound")},
           {.command = "getMore", .reply = DKV_STUB_ERROR(43, "CursorNotFound")});

    ASSERT_RC(DKV_E_TRANSIENT, ops->list(fixture.store, NULL, NULL, 0, visit, &visited, &err));

    ASSERT_NATIVE(43, "CursorNotFound");
    CU_ASSERT_EQUAL(visited.n, BATCH);
    fixture_close(&fixture);
}

/* ---- Answers that make no sense ---- */

static void another_document_than_asked_for_is_not_changed(void)
{
    struct dkv_error err = {0};
    struct kept other = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&other, 2, NULL, "old");
    SCRIPT(fixture, {.command = "find", .documents = &other.span, .n_documents = 1});

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, replace(&fixture, &err));
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, set_disabled(&fixture, NULL, &err));
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, add_name(&fixture, &err));

    ASSERT_SAYS("00000000-0000-4000-8000-000000000001");
    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "update"), 0);
    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "findAndModify"), 0);
    dkv_buf_done(&other.bytes);
    fixture_close(&fixture);
}

static void two_documents_of_one_id_are_visited_as_one(void)
{
    struct dkv_error err = {0};
    struct kept first = {0}, second = {0};
    struct visited visited = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&first, 1, NULL, "first");
    keep(&second, 1, NULL, "second");
    const struct dkv_span both[] = {first.span, second.span};
    SCRIPT(fixture, {.command = "find", .documents = both, .n_documents = 2});

    ASSERT_OK(get(&fixture, &visited, &err));

    CU_ASSERT_EQUAL(visited.n, 1);
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span(visited.last, visited.last_len), first.span));
    dkv_buf_done(&first.bytes);
    dkv_buf_done(&second.bytes);
    fixture_close(&fixture);
}

static void a_name_that_two_documents_have_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_buf bytes = {0};
    struct kept first = {0}, second = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&first, 1, "invoices", "first");
    keep(&second, 2, "invoices", "second");
    const struct dkv_span both[] = {first.span, second.span};
    SCRIPT(fixture, {.command = "find", .documents = both, .n_documents = 2});

    ASSERT_RC(DKV_E_CONFLICT, ops->get_by_alt_name(fixture.store, "invoices", &bytes, &err));

    CU_ASSERT_EQUAL(bytes.len, 0);
    ASSERT_SAYS("00000000-0000-4000-8000-000000000001 and 00000000-0000-4000-8000-000000000002");
    dkv_buf_done(&first.bytes);
    dkv_buf_done(&second.bytes);
    fixture_close(&fixture);
}

static void a_document_that_lacks_the_name_asked_for_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_buf bytes = {0};
    struct kept other = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&other, 1, "receipts", "material");
    SCRIPT(fixture, {.command = "find", .documents = &other.span, .n_documents = 1});

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, ops->get_by_alt_name(fixture.store, "invoices", &bytes, &err));

    CU_ASSERT_EQUAL(bytes.len, 0);
    dkv_buf_done(&other.bytes);
    fixture_close(&fixture);
}

static void a_row_whose_id_is_no_uuid_is_visited_without_one(void)
{
    static const char *const rows[] = {
        "{'_id':'text'}",
        "{'_id':{'$binary':{'base64':'AAAAAAAAQACAAAAAAAAAAQ==','subType':'03'}}}",
        "{'_id':{'$binary':{'base64':'AAAA','subType':'04'}}}",
        "{'masterKey':{}}",
    };
    for (size_t i = 0; i < DKV_COUNT(rows); i++) {
        struct dkv_error err = {0};
        struct visited visited = {0};
        char reply[512];
        struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
        snprintf(reply, sizeof(reply), "{'cursor':{'id':0,'ns':'encryption.__keyVault','firstBatch':[%s]},'ok':1}",
                 rows[i]);
        SCRIPT(fixture, {.command = "find", .reply = reply});

        ASSERT_OK(ops->list(fixture.store, NULL, NULL, 0, visit, &visited, &err));

        CU_ASSERT_EQUAL(visited.n_foreign, 1);
        CU_ASSERT_EQUAL(visited.n, 0);
        fixture_close(&fixture);
    }
}

static void answer_with_foreign_rows(void *arg, const bson_t *command, bson_t *reply)
{
    struct dkv_span rows[400];
    bson_t row = BSON_INITIALIZER;
    (void)arg;
    BSON_APPEND_UTF8(&row, "_id", "text");
    for (size_t i = 0; i < DKV_COUNT(rows); i++) {
        rows[i] = dkv_span(bson_get_data(&row), row.len);
    }
    dkv_stub_cursor_reply(command, 7 /* there is always more */, rows, DKV_COUNT(rows), reply);
    bson_destroy(&row);
}

static void a_server_without_an_end_of_such_rows_is_refused(void)
{
    struct dkv_error err = {0};
    struct visited visited = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "find", .respond = answer_with_foreign_rows},
           {.command = "getMore", .respond = answer_with_foreign_rows});

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, ops->list(fixture.store, NULL, NULL, 0, visit, &visited, &err));

    ASSERT_SAYS("no UUID");
    CU_ASSERT_EQUAL(visited.n_foreign, 1000);
    fixture_close(&fixture);
}

/* As whoever writes the collection by himself may. */
static void keep_long(struct kept *kept)
{
    static uint8_t padding[DKV_DOCUMENT_MAX];
    const struct dkv_uuid id = id_of(1);
    bson_t bson = BSON_INITIALIZER;
    BSON_APPEND_BINARY(&bson, "_id", BSON_SUBTYPE_UUID, id.bytes, sizeof(id.bytes));
    BSON_APPEND_BINARY(&bson, "keyMaterial", BSON_SUBTYPE_BINARY, padding, sizeof(padding));
    CU_ASSERT_EQUAL(dkv_buf_append(&kept->bytes, dkv_span(bson_get_data(&bson), bson.len), NULL), DKV_OK);
    kept->span = dkv_span_buf(&kept->bytes);
    bson_destroy(&bson);
}

static void a_document_that_is_too_long_is_visited_as_none(void)
{
    struct dkv_error err = {0};
    struct kept kept = {0};
    struct visited one = {0}, listed = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep_long(&kept);
    SCRIPT(fixture, {.command = "find", .documents = &kept.span, .n_documents = 1});

    ASSERT_OK(get(&fixture, &one, &err));
    ASSERT_OK(ops->list(fixture.store, NULL, NULL, 0, visit, &listed, &err));
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, replace(&fixture, &err));

    CU_ASSERT_EQUAL(one.n, 1);
    CU_ASSERT_EQUAL(one.n_empty, 1);
    CU_ASSERT_EQUAL(listed.n, 1);
    CU_ASSERT_EQUAL(listed.n_empty, 1);
    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "update"), 0);
    dkv_buf_done(&kept.bytes);
    fixture_close(&fixture);
}

static void a_reply_without_a_cursor_is_an_error(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "find", .reply = "{'ok':1}"});

    const enum dkv_rc rc = get_nothing(&fixture, &err);

    CU_ASSERT_NOT_EQUAL(rc, DKV_OK);
    CU_ASSERT_NOT_EQUAL(rc, DKV_E_NOT_FOUND);
    fixture_close(&fixture);
}

static void a_write_that_reports_no_count_is_not_success(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "insert", .reply = "{'ok':1,'n':0}"});

    const enum dkv_rc rc = insert(&fixture, &err);

    CU_ASSERT_NOT_EQUAL(rc, DKV_OK);
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_list_goes_on_where_its_cursor_was_lost),
        DKV_TEST(a_list_goes_on_where_its_connection_broke),
        DKV_TEST(a_list_goes_on_after_a_stepdown),
        DKV_TEST(a_list_that_gets_nowhere_ends_with_the_error),
        DKV_TEST(another_document_than_asked_for_is_not_changed),
        DKV_TEST(two_documents_of_one_id_are_visited_as_one),
        DKV_TEST(a_name_that_two_documents_have_is_refused),
        DKV_TEST(a_document_that_lacks_the_name_asked_for_is_refused),
        DKV_TEST(a_row_whose_id_is_no_uuid_is_visited_without_one),
        DKV_TEST(a_server_without_an_end_of_such_rows_is_refused),
        DKV_TEST(a_document_that_is_too_long_is_visited_as_none),
        DKV_TEST(a_reply_without_a_cursor_is_an_error),
        DKV_TEST(a_write_that_reports_no_count_is_not_success),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
