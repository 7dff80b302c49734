/* SPDX-License-Identifier: Apache-2.0 */
/* Writes whose reply was lost, or that are not on a majority, against a scripted server: success only if a majority
 * shows what was wanted, and nothing doubled. */
#include "tests/unit/mongodb_acts.h"

/* ---- Majority ---- */

static void a_write_that_is_not_on_a_majority_is_never_success(void)
{
    static const struct {
        const char *command;
        enum dkv_rc (*act)(struct fixture *fixture, struct dkv_error *err);
    } writes[] = {{"insert", insert}, {"delete", remove_key}};
    for (size_t i = 0; i < DKV_COUNT(writes); i++) {
        struct dkv_error err = {0};
        struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
        SCRIPT(fixture, {.command = writes[i].command, .reply = NOT_ON_A_MAJORITY});

        ASSERT_RC(DKV_E_TRANSIENT, writes[i].act(&fixture, &err));

        ASSERT_SAYS("majority");
        ASSERT_SAYS(MAY_BE_DONE);
        fixture_close(&fixture);
    }
}

static void an_update_that_is_not_on_a_majority_is_never_success(void)
{
    struct dkv_error err = {0};
    struct kept old = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&old, 1, NULL, "old");
    SCRIPT(fixture, {.command = "update", .reply = NOT_ON_A_MAJORITY},
           {.command = "find", .documents = &old.span, .n_documents = 1});

    ASSERT_RC(DKV_E_TRANSIENT, replace(&fixture, &err));
    ASSERT_SAYS(MAY_BE_DONE);
    ASSERT_RC(DKV_E_TRANSIENT, set_disabled(&fixture, NULL, &err));
    ASSERT_SAYS(MAY_BE_DONE);

    dkv_buf_done(&old.bytes);
    fixture_close(&fixture);
}

static void a_name_that_is_not_on_a_majority_is_never_success(void)
{
    struct dkv_error err = {0};
    struct kept old = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&old, 1, NULL, "old");
    SCRIPT(fixture, {.command = "findAndModify",
                     .reply = "{'value':null,'writeConcernError':{'code':64,'errmsg':'waiting timed out'},'ok':1}"},
           {.command = "find", .documents = &old.span, .n_documents = 1});

    ASSERT_RC(DKV_E_TRANSIENT, add_name(&fixture, &err));

    ASSERT_SAYS(MAY_BE_DONE);
    dkv_buf_done(&old.bytes);
    fixture_close(&fixture);
}

static void an_insert_that_a_majority_has_when_repeated_is_success(void)
{
    struct dkv_error err = {0};
    struct kept kept = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&kept, 1, NULL, "material");
    SCRIPT(fixture, {.command = "insert", .to = 1, .reply = NOT_ON_A_MAJORITY},
           {.command = "insert", .reply = WRITE_DUPLICATE_ID},
           {.command = "find", .documents = &kept.span, .n_documents = 1});

    ASSERT_OK(insert(&fixture, &err));

    CU_ASSERT_TRUE(dkv_stub_count(fixture.stub, "find") > 0);
    dkv_buf_done(&kept.bytes);
    fixture_close(&fixture);
}

static void an_index_that_is_not_on_a_majority_is_not_taken_for_made(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "listIndexes",
                     .to = 1,
                     .reply = FOUND("")},
           {.command = "createIndexes", .reply = NOT_ON_A_MAJORITY});

    const enum dkv_rc rc = ops->ensure_index(fixture.store, &err);

    CU_ASSERT_EQUAL(rc, DKV_E_TRANSIENT);
    CU_ASSERT_TRUE(dkv_stub_count(fixture.stub, "createIndexes") >= 1);
    fixture_close(&fixture);
}

/* ---- A reply that was lost ---- */

/* The driver's own repeat is lost too, else the server, which knows it, would answer it as done. */
static void repeat_after_loss(struct fixture *fixture, const struct kept *kept, size_t n_kept, enum dkv_rc expected,
                              struct dkv_error *ret_err)
{
    struct dkv_error err = {0};
    SCRIPT(*fixture, {.command = "insert", .to = 2, .action = DKV_STUB_CLOSE},
           {.command = "insert", .reply = WRITE_DUPLICATE_ID},
           {.command = "find", .documents = kept->span.data != NULL ? &kept->span : NULL, .n_documents = n_kept});
    enum dkv_clash clash = DKV_CLASH_NONE;
    ASSERT_RC(expected, insert_key(fixture, NULL, &clash, &err));
    CU_ASSERT_EQUAL(dkv_stub_count(fixture->stub, "insert"), 3);
    CU_ASSERT_EQUAL(clash, expected == DKV_E_CONFLICT ? DKV_CLASH_ID : DKV_CLASH_NONE);
    dkv_stub_script(fixture->stub, NULL, 0);
    *ret_err = err;
}

static void a_lost_reply_is_settled_by_equal_bytes(void)
{
    struct dkv_error err = {0};
    struct kept kept = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&kept, 1, NULL, "material");

    repeat_after_loss(&fixture, &kept, 1, DKV_OK, &err);

    dkv_buf_done(&kept.bytes);
    fixture_close(&fixture);
}

static void a_lost_reply_and_other_bytes_are_a_conflict(void)
{
    struct dkv_error err = {0};
    struct kept kept = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&kept, 1, NULL, "somebody else's");

    repeat_after_loss(&fixture, &kept, 1, DKV_E_CONFLICT, &err);

    dkv_buf_done(&kept.bytes);
    fixture_close(&fixture);
}

static void a_lost_reply_and_a_document_that_no_majority_shows_is_not_success(void)
{
    struct dkv_error err = {0};
    const struct kept none = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);

    repeat_after_loss(&fixture, &none, 0, DKV_E_TRANSIENT, &err);

    ASSERT_SAYS(MAY_BE_DONE);
    fixture_close(&fixture);
}

/* Without a loss before it equal bytes are somebody else's insert. */
static void a_duplicate_at_once_is_a_conflict_even_with_equal_bytes(void)
{
    struct dkv_error err = {0};
    enum dkv_clash clash = DKV_CLASH_NONE;
    struct kept kept = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&kept, 1, NULL, "material");
    SCRIPT(fixture, {.command = "insert", .reply = WRITE_DUPLICATE_ID},
           {.command = "find", .documents = &kept.span, .n_documents = 1});

    ASSERT_RC(DKV_E_CONFLICT, insert_key(&fixture, NULL, &clash, &err));

    CU_ASSERT_EQUAL(clash, DKV_CLASH_ID);
    dkv_buf_done(&kept.bytes);
    fixture_close(&fixture);
}

static void a_duplicate_name_is_a_conflict_that_names_its_holder(void)
{
    struct dkv_error err = {0};
    enum dkv_clash clash = DKV_CLASH_NONE;
    struct kept holder = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&holder, 9, "invoices", "material");
    SCRIPT(fixture, {.command = "insert", .reply = WRITE_DUPLICATE_NAME},
           {.command = "find", .to = 1, .reply = FOUND("")},
           {.command = "find", .documents = &holder.span, .n_documents = 1});

    const enum dkv_rc rc = insert_key(&fixture, "invoices", &clash, &err);

    CU_ASSERT_EQUAL(rc, DKV_E_CONFLICT);
    CU_ASSERT_EQUAL(clash, DKV_CLASH_NAME);
    ASSERT_SAYS("invoices");
    dkv_buf_done(&holder.bytes);
    fixture_close(&fixture);
}

static void a_stepdown_in_the_middle_of_an_update_is_settled_by_what_a_majority_shows(void)
{
    struct dkv_error err = {0};
    struct kept old = {0}, new = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&old, 1, NULL, "old");
    keep(&new, 1, NULL, "new");
    SCRIPT(fixture, {.command = "update",
                     .to = 2,
                     .reply = DKV_STUB_ERROR_WITH(11602, "InterruptedDueToReplStateChange", DKV_STUB_RETRYABLE)},
           {.command = "find", .to = 1, .documents = &old.span, .n_documents = 1},
           {.command = "find", .documents = &new.span, .n_documents = 1});

    ASSERT_OK(replace(&fixture, &err));

    CU_ASSERT_EQUAL(dkv_stub_count(fixture.stub, "update"), 2);
    dkv_buf_done(&old.bytes);
    dkv_buf_done(&new.bytes);
    fixture_close(&fixture);
}

static void a_delete_whose_reply_was_lost_is_done_when_nothing_is_there(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "delete", .to = 2, .action = DKV_STUB_CLOSE},
           {.command = "delete", .reply = "{'n':0,'ok':1}"});

    ASSERT_OK(remove_key(&fixture, &err));

    fixture_close(&fixture);
}

static void a_delete_of_nothing_is_not_found(void)
{
    struct dkv_error err = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "delete", .reply = "{'n':0,'ok':1}"});

    ASSERT_RC(DKV_E_NOT_FOUND, remove_key(&fixture, &err));

    fixture_close(&fixture);
}

/* ---- Many at once ---- */

static enum dkv_rc insert_two(struct fixture *fixture, enum dkv_clash *ret_clashes, struct dkv_error *err)
{
    struct kept first = {0}, second = {0};
    keep(&first, 1, NULL, "material");
    keep(&second, 2, NULL, "material");
    const struct dkv_span documents[] = {first.span, second.span};
    const enum dkv_rc rc = ops->insert_many(fixture->store, documents, DKV_COUNT(documents), ret_clashes, err);
    dkv_buf_done(&first.bytes);
    dkv_buf_done(&second.bytes);
    return rc;
}

#define TWO_DUPLICATES                                                                                           \
    "{'ok':1,'n':0,'writeErrors':[{'index':0,'code':11000,'errmsg':'E11000 index: _id_'},{'index':1,'code':11000," \
    "'errmsg':'E11000 index: _id_'}]}"

/* The first is as it was sent, the second is somebody else's. */
static void a_lost_reply_to_many_is_settled_one_by_one(void)
{
    struct dkv_error err = {0};
    enum dkv_clash clashes[2] = {DKV_CLASH_NAME, DKV_CLASH_NAME};
    struct kept same = {0}, other = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&same, 1, NULL, "material");
    keep(&other, 2, NULL, "somebody else's");
    const struct dkv_span both[] = {same.span, other.span};
    SCRIPT(fixture, {.command = "insert", .to = 2, .action = DKV_STUB_CLOSE},
           {.command = "insert", .reply = TWO_DUPLICATES},
           {.command = "find", .documents = both, .n_documents = 2});

    ASSERT_OK(insert_two(&fixture, clashes, &err));

    CU_ASSERT_EQUAL(clashes[0], DKV_CLASH_NONE);
    CU_ASSERT_EQUAL(clashes[1], DKV_CLASH_ID);
    dkv_buf_done(&same.bytes);
    dkv_buf_done(&other.bytes);
    fixture_close(&fixture);
}

static void many_that_no_majority_shows_are_not_success(void)
{
    struct dkv_error err = {0};
    enum dkv_clash clashes[2] = {DKV_CLASH_NAME, DKV_CLASH_NAME};
    struct kept same = {0};
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    keep(&same, 1, NULL, "material");
    SCRIPT(fixture, {.command = "insert", .to = 2, .action = DKV_STUB_CLOSE},
           {.command = "insert", .reply = TWO_DUPLICATES},
           {.command = "find", .documents = &same.span, .n_documents = 1});

    ASSERT_RC(DKV_E_TRANSIENT, insert_two(&fixture, clashes, &err));

    CU_ASSERT_EQUAL(clashes[0], DKV_CLASH_NAME);
    dkv_buf_done(&same.bytes);
    fixture_close(&fixture);
}

static void many_with_a_duplicate_that_are_not_on_a_majority_are_not_success(void)
{
    struct dkv_error err = {0};
    enum dkv_clash clashes[2];
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "insert",
                     .reply = "{'ok':1,'n':1,'writeErrors':[{'index':0,'code':11000,'errmsg':'E11000 index: _id_'}],"
                              "'writeConcernError':{'code':64,'errmsg':'waiting for replication timed out'}}"});

    ASSERT_RC(DKV_E_TRANSIENT, insert_two(&fixture, clashes, &err));

    ASSERT_SAYS(MAY_BE_DONE);
    fixture_close(&fixture);
}

static void many_of_which_one_is_refused_are_not_success(void)
{
    struct dkv_error err = {0};
    enum dkv_clash clashes[2];
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    SCRIPT(fixture, {.command = "insert",
                     .reply = "{'ok':1,'n':0,'writeErrors':[{'index':0,'code':11000,'errmsg':'E11000 index: _id_'},"
                              "{'index':1,'code':121,'errmsg':'Document failed validation'}]}"});

    ASSERT_RC(DKV_E_POLICY, insert_two(&fixture, clashes, &err));

    ASSERT_NATIVE(121, "DocumentValidationFailure");
    fixture_close(&fixture);
}

/* ---- State ---- */

static enum dkv_rc put_state(struct fixture *fixture, const char *expected, const char *value, struct dkv_error *err)
{
    return ops->state_put(fixture->store, "pins", dkv_span_str(expected), dkv_span_str(value), err);
}

#define RECORD(base64) FOUND("{'_id':'pins','value':{'$binary':{'base64':'" base64 "','subType':'00'}}}")

static void state_that_is_not_on_a_majority_is_never_success(void)
{
    static const struct {
        const char *command, *expected, *value;
    } puts[] = {{"insert", "", "new"}, {"update", "old", "new"}, {"delete", "old", ""}};
    for (size_t i = 0; i < DKV_COUNT(puts); i++) {
        struct dkv_error err = {0};
        struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
        SCRIPT(fixture, {.command = puts[i].command, .reply = NOT_ON_A_MAJORITY});

        ASSERT_RC(DKV_E_TRANSIENT, put_state(&fixture, puts[i].expected, puts[i].value, &err));

        ASSERT_SAYS(MAY_BE_DONE);
        fixture_close(&fixture);
    }
}

static void state_whose_reply_was_lost_is_settled_by_what_a_majority_shows(void)
{
    static const struct {
        const char *reply;
        enum dkv_rc rc;
    } kept[] = {{RECORD("bmV3"), DKV_OK}, {RECORD("b2xk"), DKV_E_TRANSIENT}, {RECORD("b3RoZXI="), DKV_E_CONFLICT}};
    for (size_t i = 0; i < DKV_COUNT(kept); i++) {
        struct dkv_error err = {0};
        struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
        SCRIPT(fixture, {.command = "update", .to = 2, .action = DKV_STUB_CLOSE},
               {.command = "update", .reply = "{'n':0,'nModified':0,'ok':1}"},
               {.command = "find", .reply = kept[i].reply});

        ASSERT_RC(kept[i].rc, put_state(&fixture, "old", "new", &err));

        fixture_close(&fixture);
    }
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_write_that_is_not_on_a_majority_is_never_success),
        DKV_TEST(an_update_that_is_not_on_a_majority_is_never_success),
        DKV_TEST(a_name_that_is_not_on_a_majority_is_never_success),
        DKV_TEST(an_insert_that_a_majority_has_when_repeated_is_success),
        DKV_TEST(an_index_that_is_not_on_a_majority_is_not_taken_for_made),
        DKV_TEST(a_lost_reply_is_settled_by_equal_bytes),
        DKV_TEST(a_lost_reply_and_other_bytes_are_a_conflict),
        DKV_TEST(a_lost_reply_and_a_document_that_no_majority_shows_is_not_success),
        DKV_TEST(a_duplicate_at_once_is_a_conflict_even_with_equal_bytes),
        DKV_TEST(a_duplicate_name_is_a_conflict_that_names_its_holder),
        DKV_TEST(a_stepdown_in_the_middle_of_an_update_is_settled_by_what_a_majority_shows),
        DKV_TEST(a_delete_whose_reply_was_lost_is_done_when_nothing_is_there),
        DKV_TEST(a_delete_of_nothing_is_not_found),
        DKV_TEST(a_lost_reply_to_many_is_settled_one_by_one),
        DKV_TEST(many_that_no_majority_shows_are_not_success),
        DKV_TEST(many_with_a_duplicate_that_are_not_on_a_majority_are_not_success),
        DKV_TEST(many_of_which_one_is_refused_are_not_success),
        DKV_TEST(state_that_is_not_on_a_majority_is_never_success),
        DKV_TEST(state_whose_reply_was_lost_is_settled_by_what_a_majority_shows),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
