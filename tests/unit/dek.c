/* SPDX-License-Identifier: Apache-2.0 */
/* DEK handles from a vault: what is refused when one is opened, what is recorded, what a fork leaves of it; with the
 * fake provider and with the local one. */
#include "tests/lib/test.h"
#include "tests/unit/fake_vault.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "dekvault/field.h"
#include "vault/dek.h"

static const struct dkv_bson_value one = {.type = 0x10, .bytes = {(const uint8_t *)"\1\0\0\0", 4}};

static struct dkv_dek *open_dek(struct dkv_vault *vault, const struct dkv_uuid *id)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = NULL;
    const struct dkv_key_selector selector = fake_by_id(id);
    ASSERT_OK(dkv_dek_open(vault, &selector, &dek, &err));
    return dek;
}

/* Opening fails so, and gives nothing. */
static void assert_open_fails(struct dkv_vault *vault, const struct dkv_uuid *id, enum dkv_rc expected,
                              const char *words)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = NULL;
    const struct dkv_key_selector selector = fake_by_id(id);
    ASSERT_RC(expected, dkv_dek_open(vault, &selector, &dek, &err));
    if (strstr(err.message, words) == NULL) {
        printf("# says: %s\n", err.message);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, words));
    CU_ASSERT_PTR_NULL(dek);
    CU_ASSERT_EQUAL(fake.cmks_out, 0);
}

static void encrypt_one(struct dkv_dek *dek, struct dkv_buf *payload)
{
    struct dkv_error err = {0};
    ASSERT_OK(dkv_field_encrypt(dek, DKV_RANDOM, one, payload, &err));
}

static void assert_decrypts_one(struct dkv_dek *dek, const struct dkv_buf *payload)
{
    struct dkv_error err = {0};
    struct dkv_buf value = {0};
    uint8_t type = 0;
    ASSERT_OK(dkv_field_decrypt(dek, dkv_span_buf(payload), &type, &value, &err));
    CU_ASSERT_EQUAL(type, one.type);
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span_buf(&value), one.bytes));
    dkv_buf_done(&value);
}

/* ---- Opening ---- */

static void what_one_handle_encrypts_another_decrypts(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = fake_create(vault, "ssn");
    const struct dkv_key_selector name = fake_by_name("ssn");
    struct dkv_dek *dek = open_dek(vault, &id), *by_name = NULL;
    struct dkv_buf payload = {0};

    ASSERT_OK(dkv_dek_open(vault, &name, &by_name, &err));
    encrypt_one(dek, &payload);

    CU_ASSERT_TRUE(dkv_uuid_equal(dkv_dek_id(by_name), &id));
    assert_decrypts_one(by_name, &payload);
    CU_ASSERT_TRUE(dkv_secret_owns(dek->key.data, dek->key.len));
    CU_ASSERT_FALSE(fake.saw_plain_outside_secret_memory);
    CU_ASSERT_EQUAL(fake.cmks_out, 0);
    dkv_buf_done(&payload);
    dkv_dek_close(dek);
    dkv_dek_close(by_name);
    dkv_dek_close(NULL);
    dkv_vault_close(vault);
}

static void an_unknown_key_is_not_found(void)
{
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = {{1}};
    assert_open_fails(vault, &id, DKV_E_NOT_FOUND, "no key 01000000");
    CU_ASSERT_EQUAL(fake_audit_has("not_found"), 1);
    dkv_vault_close(vault);
}

static void a_failed_unwrap_names_the_document(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = fake_create(vault, NULL);
    const struct dkv_key_selector selector = fake_by_id(&id);
    struct dkv_dek *dek = NULL;
    char text[37];
    fake.unwrap_rc = DKV_E_UNREACHABLE;

    ASSERT_RC(DKV_E_UNREACHABLE, dkv_dek_open(vault, &selector, &dek, &err));

    dkv_uuid_format(&id, text);
    CU_ASSERT_STRING_EQUAL(err.key, text);
    CU_ASSERT_STRING_EQUAL(err.provider, "fake:a");
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, text));
    CU_ASSERT_PTR_NULL(dek);
    dkv_vault_close(vault);
}

static void a_key_of_another_length_is_refused(void)
{
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = fake_create(vault, NULL);
    fake.dek_len = 95;
    assert_open_fails(vault, &id, DKV_E_INTERNAL, "95 bytes");
    dkv_vault_close(vault);
}

/* Inserts a changed copy of a stored document under another _id. */
static struct dkv_uuid insert_copy(struct dkv_vault *vault, const struct dkv_uuid *id,
                                   void (*change)(struct dkv_document *))
{
    struct dkv_error err = {0};
    struct dkv_buf stored = fake_document(vault, id), changed = {0};
    struct dkv_document document = {0};
    struct dkv_uuid other = *id;
    other.bytes[0] ^= 1;
    ASSERT_OK(dkv_document_parse(dkv_span_buf(&stored), &document, &err));
    document.id = other;
    change(&document);
    ASSERT_OK(dkv_document_write(&document, &changed, &err));
    ASSERT_OK(vault->store->ops->insert(vault->store, dkv_span_buf(&changed), NULL, &err));
    dkv_document_done(&document);
    dkv_buf_done(&stored);
    dkv_buf_done(&changed);
    return other;
}

static void leave(struct dkv_document *document)
{
    (void)document;
}

/* {provider: "nowhere", keyId: "one"} and {provider: "fake:a", keyId: "three"} */
static void name_an_unknown_provider(struct dkv_document *document)
{
    document->master_key = dkv_span("\x2a\0\0\0\2provider\0\x08\0\0\0nowhere\0\2keyId\0\4\0\0\0one\0\0", 42);
}

static void name_an_unlisted_cmk(struct dkv_document *document)
{
    document->master_key = dkv_span("\x2b\0\0\0\2provider\0\7\0\0\0fake:a\0\2keyId\0\6\0\0\0three\0\0", 43);
}

static void key_material_moved_to_another_document_does_not_open(void)
{
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = fake_create(vault, NULL), moved = insert_copy(vault, &id, leave);
    assert_open_fails(vault, &moved, DKV_E_REJECTED_CIPHERTEXT, "of another document");
    dkv_vault_close(vault);
}

static void what_the_provider_file_does_not_allow_is_refused_without_contact(void)
{
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid first = fake_create(vault, NULL), second = fake_create(vault, NULL);
    const struct dkv_uuid unknown = insert_copy(vault, &first, name_an_unknown_provider);
    const struct dkv_uuid unlisted = insert_copy(vault, &second, name_an_unlisted_cmk);
    fake.unwraps = 0;

    assert_open_fails(vault, &unknown, DKV_E_POLICY, "no provider \"nowhere\"");
    assert_open_fails(vault, &unlisted, DKV_E_POLICY, "no CMK \"three\"");

    CU_ASSERT_EQUAL(fake.unwraps, 0);
    CU_ASSERT_EQUAL(fake_audit_has("\"policy\""), 2);
    dkv_vault_close(vault);
}

/* ---- Rules ---- */

static void encrypt_with_decides_whose_keys_protect_new_data(void)
{
    struct dkv_error err = {0};
    static const char *const only_b[] = {"fake:b", NULL}, *const both[] = {"fake:b", "fake:a", NULL};
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = fake_create(vault, NULL);
    struct dkv_buf payload = {0}, none = {0};
    fake_settings()->encrypt_with = both;
    struct dkv_dek *allowed = open_dek(vault, &id);
    encrypt_one(allowed, &payload);
    fake_settings()->encrypt_with = only_b;
    struct dkv_dek *refused = open_dek(vault, &id);

    ASSERT_RC(DKV_E_POLICY, dkv_field_encrypt(refused, DKV_RANDOM, one, &none, &err));

    assert_decrypts_one(refused, &payload);
    dkv_buf_done(&payload);
    dkv_dek_close(allowed);
    dkv_dek_close(refused);
    dkv_vault_close(vault);
}

static void disable(struct dkv_vault *vault, const struct dkv_uuid *id)
{
    struct dkv_error err = {0};
    bool changed = false;
    ASSERT_OK(vault->store->ops->set_status(vault->store, id, DKV_STATUS_DISABLED, &changed, &err));
}

static void a_disabled_key_decrypts_and_encrypts_no_more(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = fake_create(vault, NULL);
    struct dkv_dek *before = open_dek(vault, &id);
    struct dkv_buf payload = {0}, none = {0};
    encrypt_one(before, &payload);
    disable(vault, &id);
    struct dkv_dek *after = open_dek(vault, &id);

    ASSERT_RC(DKV_E_DISABLED, dkv_field_encrypt(after, DKV_RANDOM, one, &none, &err));

    assert_decrypts_one(after, &payload);
    dkv_buf_done(&payload);
    dkv_dek_close(before);
    dkv_dek_close(after);
    dkv_vault_close(vault);
}

/* ---- The audit ---- */

static void a_handles_stay_is_recorded(void)
{
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = fake_create(vault, NULL);
    struct dkv_buf payload = {0};
    struct dkv_dek *dek = open_dek(vault, &id);
    encrypt_one(dek, &payload);
    assert_decrypts_one(dek, &payload);
    CU_ASSERT_EQUAL(fake_audit_has("key-unwrap"), 1);
    CU_ASSERT_EQUAL(fake_audit_has("dek-use"), 0);

    dkv_dek_close(dek);

    CU_ASSERT_EQUAL(fake_audit_has("dek-use"), 1);
    CU_ASSERT_EQUAL(fake_audit_has("\"uses\":2") + fake_audit_has("\"uses\": 2"), 1);
    dkv_buf_done(&payload);
    dkv_vault_close(vault);
}

static void without_a_required_audit_no_key_is_unwrapped(void)
{
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = fake_create(vault, NULL);
    fake.unwraps = 0;
    fake_break_audit();

    assert_open_fails(vault, &id, DKV_E_RESOURCE, "");

    CU_ASSERT_EQUAL(fake.unwraps, 0);
    fake_mend_audit();
    dkv_vault_close(vault);
}

static void a_key_whose_unwrap_cannot_be_recorded_is_not_given(void)
{
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = fake_create(vault, NULL);
    fake.at_unwrap = fake_break_audit;

    assert_open_fails(vault, &id, DKV_E_RESOURCE, "");

    fake_mend_audit();
    CU_ASSERT_EQUAL(fake_audit_has("dek-use"), 0);
    dkv_vault_close(vault);
}

static void an_audit_that_is_not_required_stops_nothing(void)
{
    struct dkv_error err = {0};
    struct dkv_provider_file *file = fake_file();
    struct dkv_vault *vault = NULL;
    file->audit_required = false;
    ASSERT_OK(dkv_vault_init(file, NULL, NULL, &vault, &err));
    fake_break_audit();

    const struct dkv_uuid id = fake_create(vault, NULL);
    struct dkv_dek *dek = open_dek(vault, &id);

    dkv_dek_close(dek);
    fake_mend_audit();
    dkv_vault_close(vault);
}

/* ---- Processes, threads, memory ---- */

/* A child may close what it cannot use: nothing is recorded twice. */
static bool close_after_fork(struct dkv_dek *dek)
{
    struct dkv_error err = {0};
    struct dkv_buf payload = {0};
    const enum dkv_rc rc = dkv_field_encrypt(dek, DKV_RANDOM, one, &payload, &err);
    dkv_dek_close(dek);
    return rc == DKV_E_INVALID && payload.len == 0;
}

static void a_forked_child_uses_and_records_nothing(void)
{
    struct dkv_vault *vault = fake_vault();
    const struct dkv_uuid id = fake_create(vault, NULL);
    struct dkv_dek *dek = open_dek(vault, &id);
    int ends[2], status = -1;
    char result = 'x';
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);

    const pid_t child = fork();
    if (child == 0) {
        const char told = close_after_fork(dek) ? 'y' : 'n';
        (void)!write(ends[1], &told, 1);
        (void)raise(SIGKILL); /* no exit: what the parent will free is no leak of the child's, for a leak checker */
    }

    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(read(ends[0], &result, 1), 1);
    CU_ASSERT_EQUAL(result, 'y');
    close(ends[0]);
    close(ends[1]);
    CU_ASSERT_EQUAL(fake_audit_has("dek-use"), 0);
    dkv_dek_close(dek);
    CU_ASSERT_EQUAL(fake_audit_has("dek-use"), 1);
    dkv_vault_close(vault);
}

struct shared {
    struct dkv_vault *vault;
    struct dkv_uuid id;
};

static void *open_use_close(void *arg)
{
    struct shared *shared = arg;
    const struct dkv_key_selector selector = fake_by_id(&shared->id);
    for (int i = 0; i < 20; i++) {
        struct dkv_error err = {0};
        struct dkv_dek *dek = NULL;
        struct dkv_buf payload = {0};
        const bool ok = dkv_dek_open(shared->vault, &selector, &dek, &err) == DKV_OK &&
                        dkv_field_encrypt(dek, DKV_RANDOM, one, &payload, &err) == DKV_OK;
        dkv_buf_done(&payload);
        dkv_dek_close(dek);
        if (!ok) {
            return NULL;
        }
    }
    return arg;
}

static void threads_share_a_vault_and_open_its_provider_once(void)
{
    struct dkv_error err = {0};
    struct shared shared = {.vault = fake_vault()};
    const struct dkv_provider_file *file = shared.vault->file;
    pthread_t threads[4];
    shared.id = fake_create(shared.vault, NULL);
    dkv_vault_close(shared.vault);
    ASSERT_OK(dkv_vault_open(file, NULL, &shared.vault, &err));
    fake.opens = 0;

    for (size_t i = 0; i < DKV_COUNT(threads); i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, open_use_close, &shared), 0);
    }

    for (size_t i = 0; i < DKV_COUNT(threads); i++) {
        void *result = NULL;
        CU_ASSERT_EQUAL(pthread_join(threads[i], &result), 0);
        CU_ASSERT_PTR_EQUAL(result, &shared);
    }
    CU_ASSERT_EQUAL(fake.opens, 1);
    dkv_vault_close(shared.vault);
}

/* Closed by the test: what can't be recorded at the close is a warning. */
static struct dkv_dek *opened;

static enum dkv_rc open_once(void *arg, struct dkv_error *err)
{
    const struct shared *shared = arg;
    const struct dkv_key_selector selector = fake_by_id(&shared->id);
    return dkv_dek_open(shared->vault, &selector, &opened, err);
}

static void each_failing_allocation_of_an_open_is_an_error(void)
{
    struct shared shared = {.vault = fake_vault()};
    shared.id = fake_create(shared.vault, NULL);

    CU_ASSERT_TRUE(dkv_test_each_alloc_fails(open_once, &shared) > 2);

    CU_ASSERT_EQUAL(fake.cmks_out, 0);
    dkv_dek_close(opened);
    dkv_vault_close(shared.vault);
}

/* ---- The local provider, through a provider file ---- */

static struct dkv_provider_file *open_local_file(const char *name, uint8_t key_byte)
{
    struct dkv_error err = {0};
    struct dkv_provider_file *file = NULL;
    uint8_t key[96];
    char text[8192], key_name[64];
    for (size_t i = 0; i < sizeof(key); i++) {
        key[i] = (uint8_t)(key_byte + i);
    }
    snprintf(key_name, sizeof(key_name), "%s.key", name);
    snprintf(text, sizeof(text),
             "vault:\n  store: sqlite:%s/local.db\nproviders:\n  local:\n    key-source: file:%s\nstate-dir: %s/state\n"
             "memory:\n  allow-unlocked: true\n",
             dkv_test_dir(), dkv_test_write(key_name, key, sizeof(key), 0600), dkv_test_dir());
    ASSERT_OK(dkv_provider_file_open(dkv_test_write(name, text, strlen(text), 0600), &file, &err));
    return file;
}

static void a_local_key_works_through_a_provider_file_and_only_with_its_cmk(void)
{
    struct dkv_error err = {0};
    struct dkv_provider_file *right = open_local_file("right.conf", 1), *wrong = open_local_file("wrong.conf", 2);
    struct dkv_vault *vault = NULL, *other = NULL;
    struct dkv_uuid id = {{0}};
    struct dkv_buf payload = {0};
    ASSERT_OK(dkv_vault_init(right, NULL, NULL, &vault, &err));
    ASSERT_OK(dkv_vault_open(wrong, NULL, &other, &err));

    ASSERT_OK(dkv_key_create(vault, "local", NULL, &id, &err));

    struct dkv_dek *dek = open_dek(vault, &id);
    encrypt_one(dek, &payload);
    assert_decrypts_one(dek, &payload);
    assert_open_fails(other, &id, DKV_E_REJECTED_CIPHERTEXT, "key ");
    dkv_buf_done(&payload);
    dkv_dek_close(dek);
    dkv_vault_close(vault);
    dkv_vault_close(other);
    dkv_provider_file_close(right);
    dkv_provider_file_close(wrong);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(what_one_handle_encrypts_another_decrypts),
        DKV_TEST(an_unknown_key_is_not_found),
        DKV_TEST(a_failed_unwrap_names_the_document),
        DKV_TEST(a_key_of_another_length_is_refused),
        DKV_TEST(key_material_moved_to_another_document_does_not_open),
        DKV_TEST(what_the_provider_file_does_not_allow_is_refused_without_contact),
        DKV_TEST(encrypt_with_decides_whose_keys_protect_new_data),
        DKV_TEST(a_disabled_key_decrypts_and_encrypts_no_more),
        DKV_TEST(a_handles_stay_is_recorded),
        DKV_TEST(without_a_required_audit_no_key_is_unwrapped),
        DKV_TEST(a_key_whose_unwrap_cannot_be_recorded_is_not_given),
        DKV_TEST(an_audit_that_is_not_required_stops_nothing),
        DKV_TEST(a_forked_child_uses_and_records_nothing),
        DKV_TEST(threads_share_a_vault_and_open_its_provider_once),
        DKV_TEST(each_failing_allocation_of_an_open_is_an_error),
        DKV_TEST(a_local_key_works_through_a_provider_file_and_only_with_its_cmk),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
