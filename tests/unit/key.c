/* SPDX-License-Identifier: Apache-2.0 */
/* Stored keys: finding, renaming, deleting and importing them, and what is refused at each. */
#include "tests/lib/sqlite_plant.h"
#include "tests/lib/test.h"
#include "tests/unit/fake_vault.h"

#include <bson/bson.h>

/* ---- Finding ---- */

static void assert_selects(const char *text, bool by_id, const char *name)
{
    struct dkv_error err = {0};
    struct dkv_key_selector selector = {.alt_name = "before"};
    ASSERT_OK(dkv_key_selector_parse(text, &selector, &err));
    CU_ASSERT_EQUAL(selector.alt_name == NULL, by_id);
    if (!by_id) {
        CU_ASSERT_STRING_EQUAL(selector.alt_name, name);
    }
}

static void selectors_are_uuids_or_names(void)
{
    struct dkv_error err = {0};
    struct dkv_key_selector selector = {0};
    assert_selects("00112233-4455-4677-8899-aabbccddeeff", true, NULL);
    assert_selects("00112233-4455-4677-8899-AABBCCDDEEFF", true, NULL);
    assert_selects("name:00112233-4455-4677-8899-aabbccddeeff", false, "00112233-4455-4677-8899-aabbccddeeff");
    assert_selects("name:name:x", false, "name:x");
    assert_selects("app.users/ssn", false, "app.users/ssn");
    ASSERT_RC(DKV_E_INVALID, dkv_key_selector_parse("", &selector, &err));
    ASSERT_RC(DKV_E_INVALID, dkv_key_selector_parse("name:", &selector, &err));
}

static void keys_are_found_by_id_and_by_name(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = fake_create(vault, "ssn");
    const struct dkv_key_selector name = fake_by_name("ssn"), unknown = fake_by_name("snn");
    const struct dkv_uuid other = {{1}};
    const struct dkv_key_selector unknown_id = fake_by_id(&other);
    struct dkv_buf by_id = fake_document(vault, &id), by_name = {0}, none = {0};

    ASSERT_OK(dkv_key_get(vault, &name, &by_name, &err));

    CU_ASSERT_TRUE(dkv_span_equal(dkv_span_buf(&by_id), dkv_span_buf(&by_name)));
    ASSERT_RC(DKV_E_NOT_FOUND, dkv_key_get(vault, &unknown, &none, &err));
    CU_ASSERT_STRING_EQUAL(err.key, "snn");
    ASSERT_RC(DKV_E_NOT_FOUND, dkv_key_get(vault, &unknown_id, &none, &err));
    CU_ASSERT_STRING_EQUAL(err.key, "01000000-0000-0000-0000-000000000000");
    CU_ASSERT_PTR_NULL(none.data);
    dkv_buf_done(&by_id);
    dkv_buf_done(&by_name);
    dkv_vault_close(vault);
}

static struct dkv_buf lie;

static enum dkv_rc lying_get_by_alt_name(struct dkv_store *store, const char *name, struct dkv_buf *ret,
                                         struct dkv_error *err)
{
    (void)store;
    (void)name;
    return dkv_buf_append(ret, dkv_span_buf(&lie), err);
}

static enum dkv_rc lying_get_many(struct dkv_store *store, const struct dkv_uuid *ids, size_t n,
                                  dkv_store_visit_fn visit, void *arg, struct dkv_error *err)
{
    (void)store;
    (void)n;
    return visit(arg, &ids[0], dkv_span_buf(&lie), err);
}

static void a_store_that_answers_with_another_document_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid mine = fake_create(vault, "mine"), theirs = fake_create(vault, "theirs");
    const struct dkv_key_selector id = fake_by_id(&mine), name = fake_by_name("mine");
    struct dkv_buf document = {0};
    char text[37];
    lie = fake_document(vault, &theirs);
    fake_store_ops(vault)->get_many = lying_get_many;
    fake_store_ops(vault)->get_by_alt_name = lying_get_by_alt_name;

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_key_get(vault, &id, &document, &err));
    ASSERT_SAYS("and gave key");
    dkv_uuid_format(&mine, text);
    CU_ASSERT_STRING_EQUAL(err.key, text);
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_key_get(vault, &name, &document, &err));
    ASSERT_SAYS("which hasn't it");
    CU_ASSERT_PTR_NULL(document.data);

    dkv_buf_done(&lie);
    dkv_vault_close(vault);
}

static enum dkv_rc visit_one(void *arg, struct dkv_span document, struct dkv_error *err)
{
    (void)document;
    (void)err;
    ++*(size_t *)arg;
    return DKV_E_CANCELLED;
}

static enum dkv_rc add_count(void *arg, const struct dkv_key_count *count, struct dkv_error *err)
{
    (void)err;
    CU_ASSERT_STRING_EQUAL(count->provider, "fake:a");
    *(uint64_t *)arg += count->count;
    return DKV_OK;
}

static void keys_are_listed_and_counted(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    const struct dkv_key_filter filter = {NULL, NULL, -1, "b", INT64_MIN, INT64_MAX, INT64_MIN, INT64_MAX};
    size_t visited = 0;
    uint64_t counted = 0;
    (void)fake_create(vault, "a");
    (void)fake_create(vault, "b");
    (void)fake_create(vault, NULL);

    CU_ASSERT_EQUAL(fake_count(vault), 3);
    ASSERT_RC(DKV_E_CANCELLED, dkv_key_list(vault, NULL, NULL, 0, visit_one, &visited, &err));
    CU_ASSERT_EQUAL(visited, 1);
    ASSERT_RC(DKV_E_CANCELLED, dkv_key_list(vault, &filter, NULL, 0, visit_one, &visited, &err));
    CU_ASSERT_EQUAL(visited, 2);
    ASSERT_OK(dkv_key_count_by(vault, add_count, &counted, &err));
    CU_ASSERT_EQUAL(counted, 3);
    dkv_vault_close(vault);
}

/* ---- Damaged rows ---- */

static struct dkv_uuid damaged[10];
static size_t n_damaged;

/* The store's rows with something else in the place of some documents. */
static enum dkv_rc damaged_list(struct dkv_store *store, const struct dkv_key_filter *filter,
                                const struct dkv_uuid *after, size_t limit, dkv_store_visit_fn visit, void *arg,
                                struct dkv_error *err)
{
    for (size_t i = 0; i < n_damaged; i++) {
        const struct dkv_span bytes = i % 2 == 0 ? dkv_span_buf(&lie) : dkv_span_str("no BSON");
        DKV_TRY(visit(arg, &damaged[i], bytes, err));
    }
    return dkv_sqlite_store_ops.list(store, filter, after, limit, visit, arg, err);
}

static void damaged_rows_are_named_after_all_others_were_visited(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid good = fake_create(vault, NULL);
    size_t visited = 0;
    char text[37];
    lie = fake_document(vault, &good);
    fake_store_ops(vault)->list = damaged_list;
    for (n_damaged = 0; n_damaged < DKV_COUNT(damaged); n_damaged++) {
        damaged[n_damaged] = (struct dkv_uuid){{(uint8_t)n_damaged}};
    }

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_key_list(vault, NULL, NULL, 0, fake_count_one, &visited, &err));

    CU_ASSERT_EQUAL(visited, 1);
    dkv_uuid_format(&damaged[0], text);
    CU_ASSERT_STRING_EQUAL(err.key, text);
    dkv_uuid_format(&damaged[7], text);
    ASSERT_SAYS(text);
    ASSERT_SAYS(" and 2 more");
    dkv_buf_done(&lie);
    dkv_vault_close(vault);
}

static enum dkv_rc foreign_list(struct dkv_store *store, const struct dkv_key_filter *filter,
                                const struct dkv_uuid *after, size_t limit, dkv_store_visit_fn visit, void *arg,
                                struct dkv_error *err)
{
    DKV_TRY(visit(arg, NULL, dkv_span_str("anything"), err));
    DKV_TRY(visit(arg, NULL, dkv_span(NULL, 0), err));
    return dkv_sqlite_store_ops.list(store, filter, after, limit, visit, arg, err);
}

static void rows_without_a_uuid_are_counted_after_all_others_were_visited(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    size_t visited = 0;
    (void)fake_create(vault, NULL);
    fake_store_ops(vault)->list = foreign_list;

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_key_list(vault, NULL, NULL, 0, fake_count_one, &visited, &err));

    CU_ASSERT_EQUAL(visited, 1);
    ASSERT_SAYS("2 documents whose _id is no UUID");
    CU_ASSERT_STRING_EQUAL(err.key, "");
    dkv_vault_close(vault);
}

static void a_damaged_document_is_deleted_by_its_id_only(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid mine = fake_create(vault, "mine"), theirs = fake_create(vault, "theirs");
    const struct dkv_key_selector id = fake_by_id(&mine), name = fake_by_name("mine");
    struct dkv_uuid deleted = {{0}};
    char text[37];
    lie = fake_document(vault, &theirs);
    dkv_test_plant(vault->store, &mine, dkv_span_buf(&lie));

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_key_delete(vault, &name, &deleted, &err));
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_key_add_name(vault, &id, "other", NULL, NULL, &err));
    fake_break_audit();
    ASSERT_RC(DKV_E_RESOURCE, dkv_key_delete(vault, &id, &deleted, &err));
    fake_mend_audit();
    ASSERT_OK(dkv_key_delete(vault, &id, &deleted, &err));

    CU_ASSERT_TRUE(dkv_uuid_equal(&deleted, &mine));
    CU_ASSERT_EQUAL(fake_count(vault), 1);
    dkv_uuid_format(&mine, text);
    CU_ASSERT_TRUE(fake_audit_has(text) >= 1);
    ASSERT_RC(DKV_E_NOT_FOUND, dkv_key_delete(vault, &id, &deleted, &err));
    dkv_buf_done(&lie);
    dkv_vault_close(vault);
}

/* ---- Pinned names ---- */

static void a_pinned_name_is_good_for_its_key_only(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid right = fake_create(vault, "ssn"), wrong = fake_create(vault, NULL);
    const struct dkv_key_selector name = fake_by_name("ssn"), by_id = fake_by_id(&wrong);
    struct dkv_pinned_name pinned = {.name = "ssn", .id = right};
    struct dkv_buf document = {0};
    fake_settings()->names = &pinned;
    fake_settings()->n_names = 1;

    ASSERT_OK(dkv_key_get(vault, &name, &document, &err));
    ASSERT_OK(dkv_key_remove_name(vault, &name, "ssn", NULL, NULL, &err));
    ASSERT_RC(DKV_E_POLICY, dkv_key_add_name(vault, &by_id, "ssn", NULL, NULL, &err));
    ASSERT_SAYS("pinned to key");
    fake_settings()->n_names = 0; /* somebody else who writes the vault has no such rule */
    ASSERT_OK(dkv_key_add_name(vault, &by_id, "ssn", NULL, NULL, &err));
    fake_settings()->n_names = 1;
    struct dkv_dek *dek = NULL;
    ASSERT_RC(DKV_E_POLICY, dkv_dek_open(vault, &name, &dek, &err));
    CU_ASSERT_STRING_EQUAL(err.key, "ssn");
    CU_ASSERT_PTR_NULL(dek);

    dkv_buf_done(&document);
    dkv_vault_close(vault);
}

/* ---- Changing ---- */

static void names_are_added_and_removed(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = fake_create(vault, "first");
    const struct dkv_key_selector first = fake_by_name("first"), second = fake_by_name("second");
    struct dkv_uuid changed_id = {{0}};
    bool changed = false;

    ASSERT_OK(dkv_key_add_name(vault, &first, "second", &changed_id, &changed, &err));
    CU_ASSERT_TRUE(changed && dkv_uuid_equal(&changed_id, &id));
    ASSERT_OK(dkv_key_add_name(vault, &first, "second", NULL, &changed, &err));
    CU_ASSERT_FALSE(changed);
    ASSERT_OK(dkv_key_remove_name(vault, &second, "first", NULL, &changed, &err));
    CU_ASSERT_TRUE(changed);
    ASSERT_OK(dkv_key_remove_name(vault, &second, "first", NULL, &changed, &err));
    CU_ASSERT_FALSE(changed);
    ASSERT_RC(DKV_E_NOT_FOUND, dkv_key_add_name(vault, &first, "third", NULL, NULL, &err));
    ASSERT_RC(DKV_E_INVALID, dkv_key_add_name(vault, &second, "", NULL, NULL, &err));

    CU_ASSERT_EQUAL(fake_audit_has("key-add-name"), 4);
    CU_ASSERT_EQUAL(fake_audit_has("key-remove-name"), 2);
    dkv_vault_close(vault);
}

static void a_name_of_another_key_is_a_conflict(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    (void)fake_create(vault, "taken");
    const struct dkv_uuid id = fake_create(vault, NULL);
    const struct dkv_key_selector selector = fake_by_id(&id);
    char text[37];

    ASSERT_RC(DKV_E_CONFLICT, dkv_key_add_name(vault, &selector, "taken", NULL, NULL, &err));

    dkv_uuid_format(&id, text);
    CU_ASSERT_STRING_EQUAL(err.key, text);
    dkv_vault_close(vault);
}

static void a_deleted_key_is_gone(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = fake_create(vault, "gone");
    const struct dkv_key_selector selector = fake_by_name("gone");
    struct dkv_uuid deleted = {{0}};

    ASSERT_OK(dkv_key_delete(vault, &selector, &deleted, &err));

    CU_ASSERT_TRUE(dkv_uuid_equal(&deleted, &id));
    CU_ASSERT_EQUAL(fake_count(vault), 0);
    ASSERT_RC(DKV_E_NOT_FOUND, dkv_key_delete(vault, &selector, NULL, &err));
    CU_ASSERT_EQUAL(fake_audit_has("key-delete"), 2);
    dkv_vault_close(vault);
}

static void without_a_required_audit_nothing_changes(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = fake_create(vault, "kept");
    const struct dkv_key_selector selector = fake_by_id(&id), added = fake_by_name("added");
    const struct dkv_key_selector kept = fake_by_name("kept");
    struct dkv_buf document = {0};
    fake_break_audit();

    ASSERT_RC(DKV_E_RESOURCE, dkv_key_delete(vault, &selector, NULL, &err));
    ASSERT_RC(DKV_E_RESOURCE, dkv_key_add_name(vault, &selector, "added", NULL, NULL, &err));
    ASSERT_RC(DKV_E_RESOURCE, dkv_key_remove_name(vault, &selector, "kept", NULL, NULL, &err));

    fake_mend_audit();
    CU_ASSERT_EQUAL(fake_count(vault), 1);
    ASSERT_RC(DKV_E_NOT_FOUND, dkv_key_get(vault, &added, &document, &err));
    ASSERT_OK(dkv_key_get(vault, &kept, &document, &err));
    dkv_buf_done(&document);
    dkv_vault_close(vault);
}

/* ---- Importing ---- */

static void a_document_is_imported_unchanged_and_once(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault(), *other = NULL;
    const struct dkv_uuid id = fake_create(vault, "moved");
    struct dkv_buf document = fake_document(vault, &id);
    bool inserted = false;
    ASSERT_OK(dkv_vault_init(vault->file, "other", NULL, &other, &err));

    ASSERT_OK(dkv_key_import(other, dkv_span_buf(&document), false, &inserted, &err));
    CU_ASSERT_TRUE(inserted);
    ASSERT_OK(dkv_key_import(other, dkv_span_buf(&document), false, &inserted, &err));
    CU_ASSERT_FALSE(inserted);

    struct dkv_buf stored = fake_document(other, &id);
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span_buf(&stored), dkv_span_buf(&document)));
    CU_ASSERT_EQUAL(fake_audit_has("key-import"), 1);
    dkv_buf_done(&stored);
    dkv_buf_done(&document);
    dkv_vault_close(other);
    dkv_vault_close(vault);
}

/* The document with its _id last. */
static void put_id_last(const struct dkv_buf *document, struct dkv_buf *ret)
{
    struct dkv_error err = {0};
    bson_t bson, moved = BSON_INITIALIZER;
    bson_iter_t iter;
    CU_ASSERT_FATAL(bson_init_static(&bson, document->data, document->len));
    bson_copy_to_excluding_noinit(&bson, &moved, "_id", NULL);
    CU_ASSERT_FATAL(bson_iter_init_find(&iter, &bson, "_id") && bson_append_iter(&moved, NULL, -1, &iter));
    const enum dkv_rc rc = dkv_buf_append(ret, dkv_span(bson_get_data(&moved), moved.len), &err);
    bson_destroy(&moved);
    ASSERT_OK(rc);
}

static void a_document_whose_id_stands_elsewhere_is_present(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = fake_create(vault, "moved");
    struct dkv_buf document = fake_document(vault, &id), moved = {0};
    bool inserted = true;
    put_id_last(&document, &moved);
    CU_ASSERT_FALSE(dkv_span_equal(dkv_span_buf(&document), dkv_span_buf(&moved)));

    ASSERT_OK(dkv_key_import(vault, dkv_span_buf(&moved), false, &inserted, &err));

    CU_ASSERT_FALSE(inserted);
    dkv_buf_done(&moved);
    dkv_buf_done(&document);
    dkv_vault_close(vault);
}

static void assert_import_fails(struct dkv_vault *vault, struct dkv_span document, bool unverified,
                                enum dkv_rc expected, const char *words)
{
    struct dkv_error err = {0};
    bool inserted = true;
    const size_t before = fake_count(vault);
    ASSERT_RC(expected, dkv_key_import(vault, document, unverified, &inserted, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, words));
    CU_ASSERT_TRUE(inserted);
    CU_ASSERT_EQUAL(fake_count(vault), before);
}

/* A document of fake:a in the other vault's file, written by hand. */
static struct dkv_buf make_document(const char *provider, const char *key_id, const char *name,
                                    const struct dkv_uuid *id)
{
    struct dkv_error err = {0};
    struct dkv_buf bytes = {0};
    static const uint8_t material[113] = {0x7e};
    bson_t *master_key = BCON_NEW("provider", provider, "keyId", key_id);
    const char *names[] = {name};
    struct dkv_document document = {
        .id = *id,
        .alt_names = names,
        .n_alt_names = name != NULL ? 1 : 0,
        .has_alt_names = name != NULL,
        .key_material = dkv_span(material, sizeof(material)),
        .master_key = dkv_span(bson_get_data(master_key), master_key->len),
    };
    ASSERT_OK(dkv_document_write(&document, &bytes, &err));
    bson_destroy(master_key);
    return bytes;
}

static void a_document_that_does_not_open_is_imported_only_unverified(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = {{5}};
    struct dkv_buf document = make_document("fake:a", "one", NULL, &id);
    bool inserted = false;

    assert_import_fails(vault, dkv_span_buf(&document), false, DKV_E_REJECTED_CIPHERTEXT, "of another document");
    ASSERT_OK(dkv_key_import(vault, dkv_span_buf(&document), true, &inserted, &err));

    CU_ASSERT_TRUE(inserted);
    dkv_buf_done(&document);
    dkv_vault_close(vault);
}

static void documents_that_the_file_does_not_allow_are_imported_only_unverified(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid first = {{5}}, second = {{6}};
    struct dkv_buf foreign = make_document("fake:z", "one", NULL, &first);
    struct dkv_buf unlisted = make_document("fake:a", "three", NULL, &second);
    bool inserted = false;

    assert_import_fails(vault, dkv_span_buf(&foreign), false, DKV_E_POLICY, "no provider \"fake:z\"");
    assert_import_fails(vault, dkv_span_buf(&unlisted), false, DKV_E_POLICY, "no CMK \"three\"");
    CU_ASSERT_EQUAL(fake.unwraps, 0);
    ASSERT_OK(dkv_key_import(vault, dkv_span_buf(&foreign), true, &inserted, &err));

    dkv_buf_done(&foreign);
    dkv_buf_done(&unlisted);
    dkv_vault_close(vault);
}

static void an_import_onto_another_document_is_a_conflict(void)
{
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = fake_create(vault, "taken"), other = {{7}};
    struct dkv_buf same_id = make_document("fake:a", "one", NULL, &id);
    struct dkv_buf same_name = make_document("fake:a", "one", "taken", &other);

    assert_import_fails(vault, dkv_span_buf(&same_id), true, DKV_E_CONFLICT, "another document with _id");
    assert_import_fails(vault, dkv_span_buf(&same_name), true, DKV_E_CONFLICT, "");

    dkv_buf_done(&same_id);
    dkv_buf_done(&same_name);
    dkv_vault_close(vault);
}

static void an_import_cannot_take_a_pinned_name(void)
{
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = {{7}};
    struct dkv_buf document = make_document("fake:a", "one", "ssn", &id);
    struct dkv_pinned_name pinned = {.name = "ssn", .id = {{1}}};
    fake_settings()->names = &pinned;
    fake_settings()->n_names = 1;

    assert_import_fails(vault, dkv_span_buf(&document), true, DKV_E_POLICY, "pinned");

    dkv_buf_done(&document);
    dkv_vault_close(vault);
}

static void a_malformed_or_unrecorded_import_stores_nothing(void)
{
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = {{7}};
    struct dkv_buf document = make_document("fake:a", "one", NULL, &id);

    assert_import_fails(vault, dkv_span(document.data, document.len - 1), true, DKV_E_REJECTED_CIPHERTEXT, "");
    fake_break_audit();
    assert_import_fails(vault, dkv_span_buf(&document), true, DKV_E_RESOURCE, "");
    fake_mend_audit();

    dkv_buf_done(&document);
    dkv_vault_close(vault);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(selectors_are_uuids_or_names),
        DKV_TEST(keys_are_found_by_id_and_by_name),
        DKV_TEST(a_store_that_answers_with_another_document_is_refused),
        DKV_TEST(keys_are_listed_and_counted),
        DKV_TEST(damaged_rows_are_named_after_all_others_were_visited),
        DKV_TEST(rows_without_a_uuid_are_counted_after_all_others_were_visited),
        DKV_TEST(a_damaged_document_is_deleted_by_its_id_only),
        DKV_TEST(a_pinned_name_is_good_for_its_key_only),
        DKV_TEST(names_are_added_and_removed),
        DKV_TEST(a_name_of_another_key_is_a_conflict),
        DKV_TEST(a_deleted_key_is_gone),
        DKV_TEST(without_a_required_audit_nothing_changes),
        DKV_TEST(a_document_is_imported_unchanged_and_once),
        DKV_TEST(a_document_whose_id_stands_elsewhere_is_present),
        DKV_TEST(a_document_that_does_not_open_is_imported_only_unverified),
        DKV_TEST(documents_that_the_file_does_not_allow_are_imported_only_unverified),
        DKV_TEST(an_import_onto_another_document_is_a_conflict),
        DKV_TEST(an_import_cannot_take_a_pinned_name),
        DKV_TEST(a_malformed_or_unrecorded_import_stores_nothing),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
