/* SPDX-License-Identifier: Apache-2.0 */
/* A server that lists what nobody asked for, out of order, or without an end: the answer is right or an error, within a
 * bounded time and bounded memory; never a short listing that passes for a whole one. */
#include "tests/unit/mongodb_acts.h"

#define OPEN_CURSOR 77

/* ---- Batches ---- */

/* Documents with these _ids, in this order, as one batch. */
struct batch {
    const uint8_t *numbers;
    size_t n;
    int64_t cursor_id;
};

static void respond_batch(void *arg, const bson_t *command, bson_t *reply)
{
    const struct batch *batch = arg;
    struct dkv_buf bytes[16] = {{0}};
    struct dkv_span documents[16];
    for (size_t i = 0; i < batch->n; i++) {
        put_key(batch->numbers[i], NULL, "material", &bytes[i]);
        documents[i] = dkv_span_buf(&bytes[i]);
    }
    dkv_stub_cursor_reply(command, batch->cursor_id, documents, batch->n, reply);
    for (size_t i = 0; i < batch->n; i++) {
        dkv_buf_done(&bytes[i]);
    }
}

#define BATCH(cursor_id_, ...)                                             \
    {                                                                      \
        .numbers = (const uint8_t[]){__VA_ARGS__},                         \
        .n = sizeof((const uint8_t[]){__VA_ARGS__}), .cursor_id = (cursor_id_) \
    }

static void a_batch_that_is_empty_does_not_end_a_list(void)
{
    struct dkv_error err = {0};
    struct visited visited = {0};
    struct batch first = BATCH(OPEN_CURSOR, 1, 2);
    struct batch none = {.cursor_id = OPEN_CURSOR};
    struct batch last = BATCH(0, 3, 4);
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "find", .respond = respond_batch, .arg = &first},
           {.command = "getMore", .to = 2, .respond = respond_batch, .arg = &none},
           {.command = "getMore", .respond = respond_batch, .arg = &last});

    ASSERT_OK(ops->list(fixture.store, NULL, NULL, 0, visit, &visited, &err));

    CU_ASSERT_EQUAL(visited.n, 4);
    fixture_close(&fixture);
}

static void a_first_batch_that_is_empty_does_not_end_a_list(void)
{
    struct dkv_error err = {0};
    struct visited visited = {0};
    struct batch none = {.cursor_id = OPEN_CURSOR};
    struct batch last = BATCH(0, 1, 2);
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "find", .respond = respond_batch, .arg = &none},
           {.command = "getMore", .to = 1, .respond = respond_batch, .arg = &none},
           {.command = "getMore", .respond = respond_batch, .arg = &last});

    ASSERT_OK(ops->list(fixture.store, NULL, NULL, 0, visit, &visited, &err));

    CU_ASSERT_EQUAL(visited.n, 2);
    fixture_close(&fixture);
}

static void batches_that_stay_empty_are_an_error(void)
{
    struct dkv_error err = {0};
    struct visited visited = {0};
    struct batch first = BATCH(OPEN_CURSOR, 1);
    struct batch none = {.cursor_id = OPEN_CURSOR};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "find", .to = 1, .respond = respond_batch, .arg = &first},
           {.command = "find", .respond = respond_batch, .arg = &none},
           {.command = "getMore", .respond = respond_batch, .arg = &none});

    ASSERT_RC(DKV_E_TRANSIENT, ops->list(fixture.store, NULL, NULL, 0, visit, &visited, &err));

    CU_ASSERT_EQUAL(visited.n, 1);
    fixture_close(&fixture);
}

/* ---- Rows that nobody asked for ---- */

static void a_list_that_is_not_in_order_is_refused(void)
{
    static const struct {
        uint8_t numbers[4];
        size_t visited;
    } rows[] = {{{1, 3, 2, 4}, 2}, {{1, 1, 2, 3}, 1}, {{4, 3, 2, 1}, 1}};
    for (size_t i = 0; i < DKV_COUNT(rows); i++) {
        struct dkv_error err = {0};
        struct visited visited = {0};
        struct batch batch = {.numbers = rows[i].numbers, .n = sizeof(rows[i].numbers)};
        struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
        SCRIPT(fixture, {.command = "find", .respond = respond_batch, .arg = &batch});

        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, ops->list(fixture.store, NULL, NULL, 0, visit, &visited, &err));

        CU_ASSERT_EQUAL(visited.n, rows[i].visited);
        fixture_close(&fixture);
    }
}

/* Whoever pages through a vault would do so for ever. */
static void a_list_that_begins_before_its_place_is_refused(void)
{
    struct dkv_error err = {0};
    struct visited visited = {0};
    struct batch batch = BATCH(0, 1, 2);
    const struct dkv_uuid after = id_of(1);
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "find", .respond = respond_batch, .arg = &batch});

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, ops->list(fixture.store, NULL, &after, 2, visit, &visited, &err));

    CU_ASSERT_EQUAL(visited.n, 0);
    fixture_close(&fixture);
}

static void a_list_gives_no_more_than_its_limit(void)
{
    struct dkv_error err = {0};
    struct visited visited = {0};
    struct batch batch = BATCH(OPEN_CURSOR, 1, 2, 3, 4);
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "find", .respond = respond_batch, .arg = &batch});

    ASSERT_OK(ops->list(fixture.store, NULL, NULL, 2, visit, &visited, &err));

    CU_ASSERT_EQUAL(visited.n, 2);
    fixture_close(&fixture);
}

static void rows_that_were_not_asked_for_by_id_are_refused(void)
{
    struct dkv_error err = {0};
    struct visited visited = {0};
    struct batch batch = BATCH(OPEN_CURSOR, 1, 2, 3);
    const struct dkv_uuid ids[] = {id_of(1), id_of(3)};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "find", .respond = respond_batch, .arg = &batch});

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, ops->get_many(fixture.store, ids, DKV_COUNT(ids), visit, &visited, &err));

    CU_ASSERT_EQUAL(visited.n, 1);
    fixture_close(&fixture);
}

/* ---- State ---- */

struct records {
    unsigned next;
    unsigned n;  /* of a batch */
    bool ignores_after;
    int64_t cursor_id;
};

static void respond_records(void *arg, const bson_t *command, bson_t *reply)
{
    struct records *records = arg;
    bson_t *rows[256];
    struct dkv_span spans[256];
    if (records->ignores_after) {
        records->next = 0;
    }
    for (unsigned i = 0; i < records->n; i++) {
        char json[128];
        snprintf(json, sizeof(json), "{'_id':'k%06u','value':{'$binary':{'base64':'AAAA','subType':'00'}}}",
                 records->next++);
        rows[i] = dkv_stub_json(json);
        spans[i] = dkv_span(bson_get_data(rows[i]), rows[i]->len);
    }
    dkv_stub_cursor_reply(command, records->cursor_id, spans, records->n, reply);
    for (unsigned i = 0; i < records->n; i++) {
        bson_destroy(rows[i]);
    }
}

#define GIVE_UP_AT 5000u

static enum dkv_rc visit_state(void *arg, const char *key, struct dkv_span value, struct dkv_error *err)
{
    size_t *n = arg;
    (void)key;
    (void)value;
    ++*n;
    return *n < GIVE_UP_AT ? DKV_OK : dkv_fail(err, DKV_E_CANCELLED, "it never ends");
}

static void state_that_begins_anew_is_refused(void)
{
    struct dkv_error err = {0};
    struct records records = {.n = 100, .ignores_after = true};
    size_t n = 0;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "find", .respond = respond_records, .arg = &records});

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, ops->state_list(fixture.store, visit_state, &n, &err));

    CU_ASSERT_EQUAL(n, 100);
    fixture_close(&fixture);
}

/* A page is held in memory: a server that gives more than asked for must not fill it. */
static void a_page_of_state_holds_what_was_asked_for(void)
{
    struct dkv_error err = {0};
    struct records first = {.n = 150, .cursor_id = OPEN_CURSOR}, last = {.next = 100, .n = 1};
    struct records more = {.next = 150, .n = 150, .cursor_id = OPEN_CURSOR};
    size_t n = 0;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "find", .to = 1, .respond = respond_records, .arg = &first},
           {.command = "find", .respond = respond_records, .arg = &last},
           {.command = "getMore", .to = 200, .respond = respond_records, .arg = &more},
           {.command = "getMore", .reply = DKV_STUB_ERROR(43, "CursorNotFound")});

    ASSERT_OK(ops->state_list(fixture.store, visit_state, &n, &err));

    CU_ASSERT_EQUAL(n, 101);
    CU_ASSERT_TRUE(dkv_stub_count(fixture.stub, "getMore") <= 1);
    fixture_close(&fixture);
}

static void an_empty_batch_does_not_end_the_state(void)
{
    struct dkv_error err = {0};
    struct records first = {.n = 1, .cursor_id = OPEN_CURSOR}, last = {.next = 1, .n = 1};
    struct records none = {.cursor_id = OPEN_CURSOR};
    size_t n = 0;
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "find", .respond = respond_records, .arg = &first},
           {.command = "getMore", .to = 1, .respond = respond_records, .arg = &none},
           {.command = "getMore", .respond = respond_records, .arg = &last});

    ASSERT_OK(ops->state_list(fixture.store, visit_state, &n, &err));

    CU_ASSERT_EQUAL(n, 2);
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_batch_that_is_empty_does_not_end_a_list),
        DKV_TEST(a_first_batch_that_is_empty_does_not_end_a_list),
        DKV_TEST(batches_that_stay_empty_are_an_error),
        DKV_TEST(a_list_that_is_not_in_order_is_refused),
        DKV_TEST(a_list_that_begins_before_its_place_is_refused),
        DKV_TEST(a_list_gives_no_more_than_its_limit),
        DKV_TEST(rows_that_were_not_asked_for_by_id_are_refused),
        DKV_TEST(state_that_begins_anew_is_refused),
        DKV_TEST(a_page_of_state_holds_what_was_asked_for),
        DKV_TEST(an_empty_batch_does_not_end_the_state),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
