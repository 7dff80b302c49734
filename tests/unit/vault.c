/* SPDX-License-Identifier: Apache-2.0 */
/* The vault: opening it, creating keys in it, and what is refused at each. */
#include "tests/lib/test.h"
#include "tests/unit/fake_vault.h"

#include <stdio.h>

#include <bson/bson.h>

#include "base/crypto.h"

/* The create fails so; nothing is stored, no CMK is left over, the caller's id is untouched. */
static void assert_create_fails(struct dkv_vault *vault, const struct dkv_key_options *options, enum dkv_rc expected,
                                const char *words)
{
    struct dkv_error err = {0};
    struct dkv_uuid id = {{9}};
    const size_t before = fake_count(vault);
    ASSERT_RC(expected, dkv_key_create(vault, "fake:a", options, &id, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, words));
    if (strstr(err.message, words) == NULL) {
        printf("# says: %s\n", err.message);
    }
    CU_ASSERT_EQUAL(fake_count(vault), before);
    CU_ASSERT_EQUAL(fake.cmks_out, 0);
    CU_ASSERT_EQUAL(id.bytes[0], 9);
}

/* ---- Opening ---- */

static void a_vault_is_made_and_then_opened(void)
{
    struct dkv_error err = {0};
    struct dkv_provider_file *file = fake_file();
    struct dkv_vault *vault = NULL;
    const char *index = NULL;
    bool created = false;

    ASSERT_RC(DKV_E_NOT_FOUND, dkv_vault_open(file, NULL, &vault, &err));
    CU_ASSERT_PTR_NULL(vault);
    ASSERT_OK(dkv_vault_init(file, "default", &created, &vault, &err));
    CU_ASSERT_TRUE(created);
    dkv_vault_close(vault);
    ASSERT_OK(dkv_vault_init(file, NULL, &created, &vault, &err));
    CU_ASSERT_FALSE(created);
    dkv_vault_close(vault);
    ASSERT_OK(dkv_vault_open(file, NULL, &vault, &err));

    ASSERT_OK(dkv_vault_index_state(vault, &index, &err));
    CU_ASSERT_STRING_EQUAL(index, "ok");
    CU_ASSERT_STRING_EQUAL(dkv_vault_store(vault), file->vaults[0].store);
    CU_ASSERT_EQUAL(fake.opens, 0);
    dkv_vault_close(vault);
}

static void the_vaults_of_a_file_are_apart(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault(), *other = NULL;
    ASSERT_OK(dkv_vault_init(vault->file, "other", NULL, &other, &err));

    const struct dkv_uuid id = fake_create(vault, NULL);

    const struct dkv_key_selector selector = fake_by_id(&id);
    struct dkv_buf document = {0};
    CU_ASSERT_EQUAL(fake_count(other), 0);
    ASSERT_RC(DKV_E_NOT_FOUND, dkv_key_get(other, &selector, &document, &err));
    dkv_vault_close(other);
    dkv_vault_close(vault);
}

static void an_unknown_vault_is_not_found(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = NULL;

    ASSERT_RC(DKV_E_NOT_FOUND, dkv_vault_open(fake_file(), "elsewhere", &vault, &err));

    ASSERT_SAYS("no vault \"elsewhere\"");
    CU_ASSERT_PTR_NULL(vault);
}

static void assert_store_refused(const char *store, const char *words)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = NULL;
    struct dkv_provider_file *file = fake_file();
    fake_settings()->store = store;
    ASSERT_RC(DKV_E_CONFIG, dkv_vault_init(file, NULL, NULL, &vault, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, words));
    CU_ASSERT_PTR_NULL(strstr(err.message, "hunter2"));
}

static void stores_of_no_known_kind_are_refused_without_their_password(void)
{
    assert_store_refused("postgres:hunter2", "no known kind");
    assert_store_refused("MongoDB://me:hunter2@h1/", "no known kind");
    assert_store_refused("mongodb://me:hunter2@h1,h2/?replicaSet=rs0", "needs a namespace");
    assert_store_refused("mongodb+srv://me:hunter2@h1/", "needs a namespace");
}

static void assert_source_refused(const char *text, const char *name_space, const char *words)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = NULL;
    struct dkv_provider_file *file = fake_file();
    char source[4200];
    snprintf(source, sizeof(source), "file:%s", dkv_test_write("vault.uri", text, strlen(text), 0600));
    *fake_settings() = (struct dkv_vault_settings){
        .name = "default", .line = 7, .store_source = source, .name_space = name_space, .timeout_ms = 1000};

    ASSERT_RC(DKV_E_CONFIG, dkv_vault_init(file, NULL, NULL, &vault, &err));

    ASSERT_SAYS(words);
    CU_ASSERT_PTR_NULL(strstr(err.message, "hunter2"));
    CU_ASSERT_PTR_NULL(vault);
}

static void what_a_store_source_holds_is_judged_and_never_repeated(void)
{
    assert_source_refused("hunter2", NULL, ":7: store-source: the text in file:");
    assert_source_refused("sqlite:hunter2", NULL, "needs an absolute path");
    assert_source_refused("mongodb://me:hunter2@h1/", NULL, ":7: namespace is missing");
    assert_source_refused("mongodb://me:hunt@er/hunter2@h1/", "a.b", "isn't percent-encoded");
    assert_source_refused("mongodb://me:hunter2@h1/?ssl=hunter2", "a.b", "URI is malformed");
    assert_source_refused("mongodb://me:hunter2%zz@h1/", "a.b", "URI is malformed");
}

static enum dkv_index_state index_state;

static enum dkv_rc check_fake_index(struct dkv_store *store, enum dkv_index_state *ret, struct dkv_error *err)
{
    (void)store;
    (void)err;
    *ret = index_state;
    return DKV_OK;
}

static void each_state_of_the_index_has_its_name(void)
{
    static const struct {
        enum dkv_index_state state;
        const char *name;
    } states[] = {
        {DKV_INDEX_OK, "ok"},           {DKV_INDEX_MISSING, "missing"}, {DKV_INDEX_NOT_UNIQUE, "not-unique"},
        {DKV_INDEX_NOT_PARTIAL, "not-partial"}, {DKV_INDEX_SHARDED, "sharded"}, {DKV_INDEX_UNKNOWN, "unknown"},
    };
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    fake_store_ops(vault)->check_index = check_fake_index;
    for (size_t i = 0; i < DKV_COUNT(states); i++) {
        const char *name = NULL;
        index_state = states[i].state;
        ASSERT_OK(dkv_vault_index_state(vault, &name, &err));
        CU_ASSERT_STRING_EQUAL(name, states[i].name);
    }
    dkv_vault_close(vault);
}

static void a_store_may_stand_in_a_secret_file_and_is_not_shown(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = NULL;
    struct dkv_provider_file *file = fake_file();
    char source[4200];
    const char *location = fake_settings()->store;
    snprintf(source, sizeof(source), "file:%s", dkv_test_write("vault.uri", location, strlen(location), 0600));
    fake_settings()->store = NULL;
    fake_settings()->store_source = source;

    ASSERT_OK(dkv_vault_init(file, NULL, NULL, &vault, &err));

    CU_ASSERT_STRING_EQUAL(dkv_vault_store(vault), source);
    (void)fake_create(vault, NULL);
    dkv_vault_close(vault);
}

static void a_store_source_that_others_may_read_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = NULL;
    struct dkv_provider_file *file = fake_file();
    char source[4200];
    snprintf(source, sizeof(source), "file:%s", dkv_test_write("vault.uri", "sqlite:/x", 9, 0644));
    fake_settings()->store = NULL;
    fake_settings()->store_source = source;

    ASSERT_RC(DKV_E_CONFIG, dkv_vault_init(file, NULL, NULL, &vault, &err));

    CU_ASSERT_PTR_NULL(vault);
}

static void an_audit_that_cannot_be_opened_refuses_the_vault(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = NULL;
    struct dkv_provider_file *file = fake_file();
    file->audit_to = "file:/nonexistent/dekvault/audit";

    CU_ASSERT_NOT_EQUAL(dkv_vault_init(file, NULL, NULL, &vault, &err), DKV_OK);

    CU_ASSERT_PTR_NULL(vault);
}

/* ---- Providers ---- */

static void providers_open_at_first_use_and_once(void)
{
    struct dkv_vault *vault = fake_vault();
    CU_ASSERT_EQUAL(fake.opens, 0);
    (void)fake_create(vault, NULL);
    (void)fake_create(vault, NULL);
    CU_ASSERT_EQUAL(fake.opens, 1);
    dkv_vault_close(vault);
    CU_ASSERT_EQUAL(fake.closes, 1);
}

static void an_unknown_provider_is_not_found_and_the_known_are_named(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    struct dkv_uuid id = {{0}};

    ASSERT_RC(DKV_E_NOT_FOUND, dkv_key_create(vault, "fake:c", NULL, &id, &err));

    ASSERT_SAYS("no provider \"fake:c\"");
    ASSERT_SAYS("fake:a, fake:b");
    dkv_vault_close(vault);
}

static void a_state_folder_that_cannot_be_made_stops_no_provider_that_needs_none(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = NULL;
    struct dkv_provider_file *file = fake_file();
    file->state_dir = "/dev/null/state";
    ASSERT_OK(dkv_vault_init(file, NULL, NULL, &vault, &err));

    (void)fake_create(vault, NULL);

    dkv_vault_close(vault);
}

/* ---- Creating ---- */

static void a_new_key_is_a_document_of_mongodbs_form(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    const char *names[] = {"app.users/ssn", "zweiter näme"};
    const struct dkv_key_options options = {.cmk = "two", .alt_names = names, .n_alt_names = 2};
    struct dkv_uuid id = {{0}};
    const int64_t before_ms = dkv_clock_real.wall_ms();

    ASSERT_OK(dkv_key_create(vault, "fake:a", &options, &id, &err));

    struct dkv_buf bytes = fake_document(vault, &id);
    struct dkv_document document = {0};
    ASSERT_OK(dkv_document_parse(dkv_span_buf(&bytes), &document, &err));
    CU_ASSERT_TRUE(dkv_uuid_equal(&document.id, &id));
    CU_ASSERT_EQUAL(id.bytes[6] & 0xf0, 0x40);
    CU_ASSERT_EQUAL(id.bytes[8] & 0xc0, 0x80);
    CU_ASSERT_EQUAL_FATAL(document.n_alt_names, 2);
    CU_ASSERT_STRING_EQUAL(document.alt_names[0], names[0]);
    CU_ASSERT_STRING_EQUAL(document.alt_names[1], names[1]);
    CU_ASSERT_EQUAL(document.status, 0);
    CU_ASSERT_EQUAL(document.creation_date_ms, document.update_date_ms);
    CU_ASSERT_TRUE(document.creation_date_ms >= before_ms && document.creation_date_ms <= dkv_clock_real.wall_ms());
    CU_ASSERT_STRING_EQUAL(document.provider, "fake:a");
    CU_ASSERT_FALSE(fake.saw_plain_outside_secret_memory);
    CU_ASSERT_EQUAL(fake.cmks_out, 0);
    dkv_document_done(&document);
    dkv_buf_done(&bytes);
    dkv_vault_close(vault);
}

static void two_keys_have_two_deks(void)
{
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid a = fake_create(vault, NULL), b = fake_create(vault, NULL);
    struct dkv_buf first = fake_document(vault, &a), second = fake_document(vault, &b);

    /* The fake wrap shows the DEK: the last 40 bytes before creationDate differ. */
    CU_ASSERT_FALSE(dkv_uuid_equal(&a, &b));
    CU_ASSERT_EQUAL(first.len, second.len);
    CU_ASSERT_NOT_EQUAL(memcmp(first.data + 70, second.data + 70, 40), 0);
    dkv_buf_done(&first);
    dkv_buf_done(&second);
    dkv_vault_close(vault);
}

static void given_material_becomes_the_dek(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    uint8_t material[DKV_DEK_BYTES], wrapped[DKV_DEK_BYTES];
    struct dkv_uuid id = {{0}};
    for (size_t i = 0; i < sizeof(material); i++) {
        material[i] = (uint8_t)(i + 1);
        wrapped[i] = material[i] ^ 0x5a;
    }
    const struct dkv_key_options options = {.material = dkv_span(material, sizeof(material))};

    ASSERT_OK(dkv_key_create(vault, "fake:a", &options, &id, &err));

    struct dkv_buf document = fake_document(vault, &id);
    CU_ASSERT_PTR_NOT_NULL(memmem(document.data, document.len, wrapped, sizeof(wrapped)));
    dkv_buf_done(&document);
    dkv_vault_close(vault);
}

static void material_of_another_length_is_refused(void)
{
    struct dkv_vault *vault = fake_vault();
    static const uint8_t material[97];
    const size_t lengths[] = {1, 32, 95, 97};
    for (size_t i = 0; i < DKV_COUNT(lengths); i++) {
        const struct dkv_key_options options = {.material = dkv_span(material, lengths[i])};
        assert_create_fails(vault, &options, DKV_E_INVALID, "must have 96 bytes");
    }
    CU_ASSERT_EQUAL(fake.wraps, 0);
    dkv_vault_close(vault);
}

static void assert_names_refused(const char *first, const char *second, enum dkv_rc expected, const char *words)
{
    struct dkv_vault *vault = fake_vault();
    const char *names[] = {first, second};
    const struct dkv_key_options options = {.alt_names = names, .n_alt_names = 2};
    assert_create_fails(vault, &options, expected, words);
    CU_ASSERT_EQUAL(fake.wraps, 0);
    dkv_vault_close(vault);
}

static void names_given_twice_or_malformed_are_refused(void)
{
    assert_names_refused("a", "a", DKV_E_INVALID, "given twice");
    assert_names_refused("a", "", DKV_E_INVALID, "");
    assert_names_refused("a", "\xff\xfe", DKV_E_INVALID, "");
}

static void a_taken_name_is_a_conflict_that_names_it(void)
{
    struct dkv_vault *vault = fake_vault();
    const char *names[] = {"free", "taken"};
    const struct dkv_key_options options = {.alt_names = names, .n_alt_names = 2};
    (void)fake_create(vault, "taken");

    assert_create_fails(vault, &options, DKV_E_CONFLICT, "\"taken\"");

    CU_ASSERT_EQUAL(fake_audit_has("\"conflict\""), 1);
    dkv_vault_close(vault);
}

static void a_cmk_that_may_not_be_used_is_refused_before_any_wrap(void)
{
    struct dkv_vault *vault = fake_vault();
    const struct dkv_key_options unknown = {.cmk = "nine"};
    assert_create_fails(vault, &unknown, DKV_E_NOT_FOUND, "nine");
    fake.state = DKV_CMK_DISABLED;
    assert_create_fails(vault, NULL, DKV_E_DISABLED, "is disabled");
    fake.state = DKV_CMK_PENDING_DELETION;
    assert_create_fails(vault, NULL, DKV_E_DISABLED, "about to be deleted");
    fake.state = DKV_CMK_UNUSABLE;
    assert_create_fails(vault, NULL, DKV_E_POLICY, "it is green");
    CU_ASSERT_EQUAL(fake.wraps, 0);
    dkv_vault_close(vault);
}

static void what_a_provider_says_is_what_the_caller_gets(void)
{
    struct dkv_vault *vault = fake_vault();
    fake.resolve_rc = DKV_E_AUTH;
    assert_create_fails(vault, NULL, DKV_E_AUTH, "fake resolve");
    fake.resolve_rc = DKV_OK;
    fake.describe_rc = DKV_E_UNREACHABLE;
    assert_create_fails(vault, NULL, DKV_E_UNREACHABLE, "fake describe");
    fake.describe_rc = DKV_OK;
    fake.wrap_rc = DKV_E_THROTTLED;
    assert_create_fails(vault, NULL, DKV_E_THROTTLED, "fake wrap");
    fake.wrap_rc = DKV_OK;
    fake.unwrap_rc = DKV_E_TRANSIENT;
    assert_create_fails(vault, NULL, DKV_E_TRANSIENT, "nothing was stored");
    dkv_vault_close(vault);
}

static void a_wrap_that_does_not_open_to_the_same_key_is_not_stored(void)
{
    struct dkv_vault *vault = fake_vault();
    fake.flips_a_bit = true;
    assert_create_fails(vault, NULL, DKV_E_INTERNAL, "doesn't open to the same key");
    fake.flips_a_bit = false;
    fake.forgets_binding = true;
    assert_create_fails(vault, NULL, DKV_E_INTERNAL, "doesn't open to the same key");
    fake.forgets_binding = false;
    fake.dek_len = 95;
    assert_create_fails(vault, NULL, DKV_E_INTERNAL, "95 bytes");
    dkv_vault_close(vault);
}

static void a_wrap_that_makes_no_sense_is_not_stored(void)
{
    struct dkv_vault *vault = fake_vault();
    fake.material_len = DKV_KEY_MATERIAL_MAX + 1;
    assert_create_fails(vault, NULL, DKV_E_INTERNAL, "8193 bytes");
    fake.material_len = 0;
    fake.claimed_provider = "fake:b";
    assert_create_fails(vault, NULL, DKV_E_INTERNAL, "masterKey of provider \"fake:b\"");
    fake.claimed_provider = NULL;
    fake.masterkey_is_empty = true;
    assert_create_fails(vault, NULL, DKV_E_INTERNAL, "of no valid document");
    dkv_vault_close(vault);
}

static void without_a_required_audit_nothing_is_stored(void)
{
    struct dkv_vault *vault = fake_vault();
    fake_break_audit();

    assert_create_fails(vault, NULL, DKV_E_RESOURCE, "");

    CU_ASSERT_EQUAL(fake.wraps, 0);
    fake_mend_audit();
    dkv_vault_close(vault);
}

static enum dkv_rc (*real_insert)(struct dkv_store *, struct dkv_span, enum dkv_clash *, struct dkv_error *);

static enum dkv_rc insert_then_break_audit(struct dkv_store *store, struct dkv_span document, enum dkv_clash *clash,
                                           struct dkv_error *err)
{
    const enum dkv_rc rc = real_insert(store, document, clash, err);
    fake_break_audit();
    return rc;
}

/* It is not taken back: another process may have encrypted with it since. */
static void a_stored_key_that_could_not_be_recorded_is_told(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    struct dkv_uuid id = {{9}};
    real_insert = vault->store->ops->insert;
    fake_store_ops(vault)->insert = insert_then_break_audit;

    ASSERT_RC(DKV_E_RESOURCE, dkv_key_create(vault, "fake:a", NULL, &id, &err));

    ASSERT_SAYS("was stored, but not recorded");
    CU_ASSERT_EQUAL(id.bytes[0], 9);
    CU_ASSERT_EQUAL(fake_count(vault), 1);
    fake_mend_audit();
    dkv_vault_close(vault);
}

static unsigned id_clashes;
static struct dkv_uuid clashed;

static enum dkv_rc insert_with_id_clashes(struct dkv_store *store, struct dkv_span document, enum dkv_clash *clash,
                                          struct dkv_error *err)
{
    if (id_clashes > 0) {
        struct dkv_document parsed = {0};
        DKV_TRY(dkv_document_parse(document, &parsed, err));
        clashed = parsed.id;
        dkv_document_done(&parsed);
        id_clashes--;
        *clash = DKV_CLASH_ID;
        return dkv_fail(err, DKV_E_CONFLICT, "this _id is taken");
    }
    return real_insert(store, document, clash, err);
}

static void a_clash_of_ids_makes_another_id_and_another_wrap(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    struct dkv_uuid id = {{0}};
    struct dkv_dek *dek = NULL;
    real_insert = vault->store->ops->insert;
    fake_store_ops(vault)->insert = insert_with_id_clashes;
    id_clashes = 1;

    ASSERT_OK(dkv_key_create(vault, "fake:a", NULL, &id, &err));

    const struct dkv_key_selector selector = fake_by_id(&id);
    CU_ASSERT_EQUAL(fake.wraps, 2);
    CU_ASSERT_FALSE(dkv_uuid_equal(&id, &clashed));
    ASSERT_OK(dkv_dek_open(vault, &selector, &dek, &err));
    dkv_dek_close(dek);
    id_clashes = 2;
    assert_create_fails(vault, NULL, DKV_E_INTERNAL, "two random _ids");
    dkv_vault_close(vault);
}

static void creating_is_recorded(void)
{
    struct dkv_vault *vault = fake_vault();
    char text[37];

    const struct dkv_uuid id = fake_create(vault, "named");
    fake.wrap_rc = DKV_E_THROTTLED;
    assert_create_fails(vault, NULL, DKV_E_THROTTLED, "");

    dkv_uuid_format(&id, text);
    CU_ASSERT_EQUAL(fake_audit_has("key-create"), 2);
    CU_ASSERT_EQUAL(fake_audit_has(text), 1);
    CU_ASSERT_EQUAL(fake_audit_has("throttled"), 1);
    dkv_vault_close(vault);
}

/* Counts the keys that were stored and not recorded, which the caller is told. */
struct creator {
    struct dkv_vault *vault;
    size_t unrecorded;
};

static enum dkv_rc create_once(void *arg, struct dkv_error *err)
{
    struct creator *creator = arg;
    struct dkv_uuid id = {{0}};
    const enum dkv_rc rc = dkv_key_create(creator->vault, "fake:a", NULL, &id, err);
    creator->unrecorded += rc != DKV_OK && strstr(err->message, "was stored, but not recorded") != NULL;
    return rc;
}

static void each_failing_allocation_of_a_create_is_an_error_and_stores_nothing(void)
{
    struct creator creator = {.vault = fake_vault()};

    CU_ASSERT_TRUE(dkv_test_each_alloc_fails(create_once, &creator) > 3);

    CU_ASSERT_EQUAL(fake_count(creator.vault), 1 + creator.unrecorded);
    CU_ASSERT_EQUAL(fake.cmks_out, 0);
    dkv_vault_close(creator.vault);
}

static void a_new_key_cannot_have_a_pinned_name(void)
{
    struct dkv_vault *vault = fake_vault();
    struct dkv_pinned_name pinned = {.name = "ssn", .id = {{1}}};
    const char *names[] = {"ssn"};
    const struct dkv_key_options options = {.alt_names = names, .n_alt_names = 1};
    fake_settings()->names = &pinned;
    fake_settings()->n_names = 1;

    assert_create_fails(vault, &options, DKV_E_POLICY, "pinned");

    CU_ASSERT_EQUAL(fake.wraps, 0);
    dkv_vault_close(vault);
}

/* ---- Check records ---- */

static void the_first_wrap_under_a_binding_cmk_leaves_a_check_record(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    struct dkv_buf record = {0};
    bson_t value;
    fake.capabilities = DKV_CAP_BOUND;

    (void)fake_create(vault, NULL);
    (void)fake_create(vault, NULL);

    CU_ASSERT_EQUAL(fake.check_wraps, 1);
    CU_ASSERT_FALSE(fake.saw_plain_outside_secret_memory);
    ASSERT_OK(vault->store->ops->state_get(vault->store, "cmk/fake:a/one", &record, &err));
    CU_ASSERT_TRUE_FATAL(bson_init_static(&value, record.data, record.len));
    CU_ASSERT_TRUE(bson_has_field(&value, "v") && bson_has_field(&value, "record") &&
                   bson_has_field(&value, "created"));
    dkv_buf_done(&record);
    dkv_vault_close(vault);
}

static void a_cmk_that_binds_nothing_gets_no_check_record(void)
{
    struct dkv_vault *vault = fake_vault();
    fake.capabilities = DKV_CAP_AUTHENTIC | DKV_CAP_STOCK;
    (void)fake_create(vault, NULL);
    CU_ASSERT_EQUAL(fake.check_wraps, 0);
    dkv_vault_close(vault);
}

static enum dkv_rc failing_state_put(struct dkv_store *store, const char *key, struct dkv_span expected,
                                     struct dkv_span value, struct dkv_error *err)
{
    (void)store;
    (void)expected;
    (void)value;
    return dkv_fail(err, DKV_E_RESOURCE, "no room for %s", key);
}

static enum dkv_rc late_state_put(struct dkv_store *store, const char *key, struct dkv_span expected,
                                  struct dkv_span value, struct dkv_error *err)
{
    (void)store;
    (void)expected;
    (void)value;
    return dkv_fail(err, DKV_E_CONFLICT, "%s is there", key);
}

static unsigned warnings;

static void count_warning(void *arg, enum dkv_log_level level, const char *line)
{
    (void)arg;
    warnings += level == DKV_LOG_WARNING && strstr(line, "check record") != NULL;
}

static void a_check_record_that_cannot_be_written_is_a_warning_only(void)
{
    struct dkv_vault *vault = fake_vault();
    fake.capabilities = DKV_CAP_BOUND;
    warnings = 0;
    dkv_set_log(count_warning, NULL);

    fake_store_ops(vault)->state_put = failing_state_put;
    (void)fake_create(vault, NULL);
    CU_ASSERT_EQUAL(warnings, 1);
    fake_store_ops(vault)->state_put = late_state_put; /* another process was faster */
    (void)fake_create(vault, NULL);
    CU_ASSERT_EQUAL(warnings, 1);

    dkv_set_log(NULL, NULL);
    dkv_vault_close(vault);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_vault_is_made_and_then_opened),
        DKV_TEST(the_vaults_of_a_file_are_apart),
        DKV_TEST(an_unknown_vault_is_not_found),
        DKV_TEST(stores_of_no_known_kind_are_refused_without_their_password),
        DKV_TEST(what_a_store_source_holds_is_judged_and_never_repeated),
        DKV_TEST(each_state_of_the_index_has_its_name),
        DKV_TEST(a_store_may_stand_in_a_secret_file_and_is_not_shown),
        DKV_TEST(a_store_source_that_others_may_read_is_refused),
        DKV_TEST(an_audit_that_cannot_be_opened_refuses_the_vault),
        DKV_TEST(providers_open_at_first_use_and_once),
        DKV_TEST(an_unknown_provider_is_not_found_and_the_known_are_named),
        DKV_TEST(a_state_folder_that_cannot_be_made_stops_no_provider_that_needs_none),
        DKV_TEST(a_new_key_is_a_document_of_mongodbs_form),
        DKV_TEST(two_keys_have_two_deks),
        DKV_TEST(given_material_becomes_the_dek),
        DKV_TEST(material_of_another_length_is_refused),
        DKV_TEST(names_given_twice_or_malformed_are_refused),
        DKV_TEST(a_taken_name_is_a_conflict_that_names_it),
        DKV_TEST(a_cmk_that_may_not_be_used_is_refused_before_any_wrap),
        DKV_TEST(what_a_provider_says_is_what_the_caller_gets),
        DKV_TEST(a_wrap_that_does_not_open_to_the_same_key_is_not_stored),
        DKV_TEST(a_wrap_that_makes_no_sense_is_not_stored),
        DKV_TEST(without_a_required_audit_nothing_is_stored),
        DKV_TEST(a_stored_key_that_could_not_be_recorded_is_told),
        DKV_TEST(a_clash_of_ids_makes_another_id_and_another_wrap),
        DKV_TEST(a_new_key_cannot_have_a_pinned_name),
        DKV_TEST(creating_is_recorded),
        DKV_TEST(each_failing_allocation_of_a_create_is_an_error_and_stores_nothing),
        DKV_TEST(the_first_wrap_under_a_binding_cmk_leaves_a_check_record),
        DKV_TEST(a_cmk_that_binds_nothing_gets_no_check_record),
        DKV_TEST(a_check_record_that_cannot_be_written_is_a_warning_only),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
