/* SPDX-License-Identifier: Apache-2.0 */
/* The very commands that the MongoDB store sends, seen by a scripted server: they are the drivers' (MongoDB
 * specifications, client-side-encryption, "ClientEncryption"), with read and write concern majority at the primary
 * whatever the URI asks for; and the privileges that each operation needs, derived from them. */
#include "tests/unit/mongodb_operations.h"

#include <stdlib.h>

#include "base/mem.h"

/* ---- Comparing ---- */

static bool is_of_the_session(const char *field)
{
    static const char *const fields[] = {"lsid", "txnNumber", "$clusterTime", "$db"};
    for (size_t i = 0; i < DKV_COUNT(fields); i++) {
        if (strcmp(field, fields[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The command's name, then the other fields by theirs. */
static size_t sorted_fields(const bson_t *command, const char **ret, size_t capacity)
{
    bson_iter_t iter;
    size_t n = 0;
    CU_ASSERT_TRUE_FATAL(bson_iter_init(&iter, command));
    while (bson_iter_next(&iter)) {
        if (!is_of_the_session(bson_iter_key(&iter))) {
            CU_ASSERT_TRUE_FATAL(n < capacity);
            ret[n++] = bson_iter_key(&iter);
        }
    }
    if (n > 1) {
        qsort(ret + 1, n - 1, sizeof(*ret), by_name);
    }
    return n;
}

static void append_field(const bson_t *command, const char *field, bson_t *ret)
{
    bson_iter_t iter, documents;
    int32_t n = 0;
    CU_ASSERT_TRUE_FATAL(bson_iter_init_find(&iter, command, field));
    if (strcmp(field, "documents") != 0 || !bson_iter_recurse(&iter, &documents)) {
        BSON_APPEND_VALUE(ret, field, bson_iter_value(&iter));
        return;
    }
    while (bson_iter_next(&documents)) {
        n++;
    }
    BSON_APPEND_INT32(ret, field, n);
}

static void put_essence(const bson_t *command, struct dkv_buf *ret)
{
    struct dkv_error err = {0};
    const char *fields[32];
    bson_t essence = BSON_INITIALIZER;
    const size_t n = sorted_fields(command, fields, DKV_COUNT(fields));
    for (size_t i = 0; i < n; i++) {
        append_field(command, fields[i], &essence);
    }
    char *json = bson_as_canonical_extended_json(&essence, NULL);
    bson_t *reread = dkv_stub_json(json); /* {$regex: text} is read as a regular expression */
    char *text = bson_as_canonical_extended_json(reread, NULL);
    ASSERT_OK(dkv_buf_printf(ret, &err, "%s\n", text));
    bson_free(text);
    bson_destroy(reread);
    bson_free(json);
    bson_destroy(&essence);
}

static void put_expected(const char *lines, struct dkv_buf *ret)
{
    while (*lines != '\0') {
        const size_t len = strcspn(lines, "\n");
        char *line = dkv_strndup(lines, len);
        bson_t *command = dkv_stub_json(line);
        put_essence(command, ret);
        bson_destroy(command);
        dkv_free(line);
        lines += len + (lines[len] == '\n' ? 1 : 0);
    }
}

static const char *text_field(const bson_t *bson, const char *field)
{
    bson_iter_t iter;
    return bson_iter_init_find(&iter, bson, field) && BSON_ITER_HOLDS_UTF8(&iter) ? bson_iter_utf8(&iter, NULL) : "";
}

static void put_sent(struct dkv_stub *stub, struct dkv_buf *ret)
{
    const bson_t *command = NULL;
    for (size_t i = 0; (command = dkv_stub_at(stub, i)) != NULL; i++) {
        CU_ASSERT_STRING_EQUAL_FATAL(text_field(command, "$db"), DATABASE);
        put_essence(command, ret);
    }
}

static void diagnose(const char *what, struct dkv_buf *text)
{
    printf("# %s\n", what);
    const char *line = dkv_buf_text(text);
    while (*line != '\0') {
        const size_t len = strcspn(line, "\n");
        printf("#   %.*s\n", (int)len, line);
        line += len + (line[len] == '\n' ? 1 : 0);
    }
}

static void expect_commands(const struct operation *operation, struct dkv_stub *stub)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf sent = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf expected = {0};
    put_sent(stub, &sent);
    put_expected(operation->expected, &expected);
    const bool same = dkv_span_equal(dkv_span_buf(&sent), dkv_span_buf(&expected));
    if (!same) {
        printf("# %s\n", operation->name);
        diagnose("sent:", &sent);
        diagnose("expected:", &expected);
    }
    CU_ASSERT_TRUE(same);
}

static void run(const struct operation *operation, struct fixture *fixture)
{
    struct dkv_error err = {0};
    dkv_stub_script(fixture->stub, operation->rules, DKV_COUNT(operation->rules));
    const enum dkv_rc rc = operation->run(fixture->store, &err);
    if (rc != DKV_OK) {
        printf("# %s, after %s\n", operation->name, dkv_stub_said(fixture->stub));
    }
    ASSERT_OK(rc);
}

/* Each on a store of its own, which has seen no index yet. */
static void run_all(enum dkv_stub_kind kind, const char *options,
                    void (*expect)(const struct operation *operation, struct dkv_stub *stub))
{
    for (size_t i = 0; i < DKV_COUNT(operations); i++) {
        struct fixture fixture = fixture_open_with(kind, options, 5000);
        run(&operations[i], &fixture);
        expect(&operations[i], fixture.stub);
        fixture_close(&fixture);
    }
}

static void each_operation_sends_the_commands_that_the_drivers_send(void)
{
    run_all(DKV_STUB_REPLICA_SET, "", expect_commands);
}

static void no_option_of_the_uri_changes_them(void)
{
    run_all(DKV_STUB_REPLICA_SET,
            "&readConcernLevel=local&w=1&journal=true&readPreference=secondary&retryWrites=false&retryReads=false",
            expect_commands);
}

/* ---- Transactions' numbers, which make the driver and the server repeat a write no more than once ---- */

static bool is_write(const bson_t *command)
{
    static const char *const writes[] = {"insert", "update", "delete", "findAndModify"};
    for (size_t i = 0; i < DKV_COUNT(writes); i++) {
        if (bson_has_field(command, writes[i])) {
            return true;
        }
    }
    return false;
}

static void expect_transactions(const struct operation *operation, struct dkv_stub *stub)
{
    const bson_t *command = NULL;
    size_t n = 0;
    for (size_t i = 0; (command = dkv_stub_at(stub, i)) != NULL; i++) {
        n += is_write(command) && bson_has_field(command, "txnNumber") ? 1 : 0;
        CU_ASSERT_TRUE(bson_has_field(command, "lsid"));
    }
    if (n != (operation->is_retryable_write ? 1 : 0)) {
        printf("# %s: %zu numbered writes\n", operation->name, n);
    }
    CU_ASSERT_EQUAL(n, operation->is_retryable_write ? 1 : 0);
}

static void each_write_of_one_document_is_retryable(void)
{
    run_all(DKV_STUB_REPLICA_SET, "", expect_transactions);
}

static void no_option_of_the_uri_makes_it_less(void)
{
    run_all(DKV_STUB_REPLICA_SET, "&retryWrites=false", expect_transactions);
}

static void a_router_gets_the_same_commands(void)
{
    run_all(DKV_STUB_MONGOS, "", expect_commands);
    run_all(DKV_STUB_MONGOS, "", expect_transactions);
}

static void expect_no_sessions(const struct operation *operation, struct dkv_stub *stub)
{
    (void)operation;
    const bson_t *command = NULL;
    for (size_t i = 0; (command = dkv_stub_at(stub, i)) != NULL; i++) {
        CU_ASSERT_FALSE(bson_has_field(command, "txnNumber") || bson_has_field(command, "lsid"));
    }
}

static void a_standalone_server_gets_the_same_commands_without_sessions(void)
{
    run_all(DKV_STUB_STANDALONE, "", expect_commands);
    run_all(DKV_STUB_STANDALONE, "", expect_no_sessions);
}

/* ---- Privileges ---- */

/* The action on the collection that a server asks for (MongoDB manual, "Privilege Actions"). */
static const struct {
    const char *command, *action;
} actions[] = {
    {"find", "find"},
    {"aggregate", "find"},
    {"listIndexes", "listIndexes"},
    {"insert", "insert"},
    {"update", "update"},
    {"delete", "remove"},
    {"findAndModify", "update"},
    {"createIndexes", "createIndex"},
    {"collStats", "collStats"},
};

static void put_privilege(const bson_t *command, struct dkv_buf *ret)
{
    char privilege[128];
    bson_iter_t iter;
    for (size_t i = 0; i < DKV_COUNT(actions); i++) {
        if (!bson_iter_init(&iter, command) || !bson_iter_next(&iter)
            || strcmp(bson_iter_key(&iter), actions[i].command) != 0) {
            continue;
        }
        snprintf(privilege, sizeof(privilege), "%s %s", actions[i].action, bson_iter_utf8(&iter, NULL));
        if (ret->len == 0 || strstr(dkv_buf_text(ret), privilege) == NULL) {
            CU_ASSERT_EQUAL(dkv_buf_printf(ret, NULL, "%s%s", ret->len > 0 ? ", " : "", privilege), DKV_OK);
        }
        return;
    }
    CU_FAIL_FATAL("a command that takes a privilege unknown to this test");
}

static void expect_privileges(const struct operation *operation, struct dkv_stub *stub)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf privileges = {0};
    const bson_t *command = NULL;
    for (size_t i = 0; (command = dkv_stub_at(stub, i)) != NULL; i++) {
        put_privilege(command, &privileges);
    }
    printf("# %s: %s\n", operation->name, dkv_buf_text(&privileges));
    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&privileges), operation->privileges);
}

/* findAndModify takes find as well, which every operation that sends it takes anyway. */
static void each_operation_takes_these_privileges_and_no_others(void)
{
    run_all(DKV_STUB_REPLICA_SET, "", expect_privileges);
}

/* ---- The document ---- */

static void an_insert_sends_the_bytes_of_the_document(void)
{
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    bson_iter_t iter, sent;
    const uint8_t *data = NULL;
    uint32_t len = 0;
    put_key(1, "invoices", "material", &bytes);

    ASSERT_OK(fixture.store->ops->insert(fixture.store, dkv_span_buf(&bytes), NULL, &err));

    const bson_t *command = dkv_stub_nth(fixture.stub, "insert", 1);
    CU_ASSERT_TRUE_FATAL(command != NULL && bson_iter_init(&iter, command)
                         && bson_iter_find_descendant(&iter, "documents.0", &sent));
    bson_iter_document(&sent, &len, &data);
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span(data, len), dkv_span_buf(&bytes)));
    fixture_close(&fixture);
}

static void an_open_store_has_asked_nobody_yet(void)
{
    struct fixture fixture = fixture_open(DKV_STUB_REPLICA_SET);

    CU_ASSERT_STRING_EQUAL(dkv_stub_said(fixture.stub), "");

    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(each_operation_sends_the_commands_that_the_drivers_send),
        DKV_TEST(no_option_of_the_uri_changes_them),
        DKV_TEST(each_write_of_one_document_is_retryable),
        DKV_TEST(no_option_of_the_uri_makes_it_less),
        DKV_TEST(a_router_gets_the_same_commands),
        DKV_TEST(a_standalone_server_gets_the_same_commands_without_sessions),
        DKV_TEST(each_operation_takes_these_privileges_and_no_others),
        DKV_TEST(an_insert_sends_the_bytes_of_the_document),
        DKV_TEST(an_open_store_has_asked_nobody_yet),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
