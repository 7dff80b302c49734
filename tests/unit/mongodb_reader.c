/* SPDX-License-Identifier: Apache-2.0 */
/* A user of the vault who may find and nothing else: encrypts and decrypts, and is denied the rest, in words that name
 * the privilege. By a scripted server, through the library's own face. */
#include "dekvault/field.h"
#include "tests/lib/mongo_stub.h"
#include "tests/lib/test.h"
#include "tests/unit/fake_vault.h"

static struct dkv_stub *stub;
static struct dkv_vault *writer, *reader;
static struct dkv_uuid id;
static struct dkv_buf key;
static struct dkv_span document; /* what a find answers with */

#define DENIED(name) {.command = name, .reply = DKV_STUB_ERROR(13, "Unauthorized")}

/* The key is made elsewhere; the reader's server gives it out, and denies whatever else it is asked. */
static void open_reader(void)
{
    struct dkv_error err = {0};
    struct dkv_provider_file *file = fake_file();
    const char *const names[] = {"app.users/ssn"};
    const struct dkv_key_options options = {.alt_names = names, .n_alt_names = 1};
    dkv_store_quiet();
    stub = dkv_stub_start(DKV_STUB_REPLICA_SET);
    CU_ASSERT_PTR_NOT_NULL_FATAL(stub);
    file->vaults[1].store = dkv_stub_uri(stub, "");
    file->vaults[1].name_space = "encryption.__keyVault";
    ASSERT_OK(dkv_vault_init(file, "default", NULL, &writer, &err));
    ASSERT_OK(dkv_key_create(writer, "fake:a", &options, &id, &err));
    ASSERT_OK(dkv_key_get(writer, &(struct dkv_key_selector){.id = id}, &key, &err));
    ASSERT_OK(dkv_vault_open(file, "other", &reader, &err));
    document = dkv_span_buf(&key);
    static const struct dkv_stub_rule rules[] = {
        {.command = "find", .documents = &document, .n_documents = 1},
        DENIED("insert"), DENIED("update"), DENIED("delete"), DENIED("findAndModify"), DENIED("aggregate"),
        DENIED("listIndexes"), DENIED("createIndexes"), DENIED("collStats"), DENIED("listCollections"),
    };
    dkv_stub_script(stub, rules, DKV_COUNT(rules));
}

static void close_reader(void)
{
    dkv_vault_close(reader);
    dkv_vault_close(writer);
    dkv_stub_stop(stub);
    dkv_buf_done(&key);
}

static void encrypt_and_decrypt_with(const struct dkv_key_selector *selector)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = NULL;
    struct dkv_buf payload = {0}, back = {0};
    uint8_t type = 0;
    static const uint8_t text[] = {3, 0, 0, 0, 'h', 'i', 0};
    const struct dkv_bson_value value = {.type = 2, .bytes = dkv_span(text, sizeof(text))};
    ASSERT_OK(dkv_dek_open(reader, selector, &dek, &err));
    ASSERT_OK(dkv_field_encrypt(dek, DKV_RANDOM, value, &payload, &err));
    ASSERT_OK(dkv_field_decrypt(dek, dkv_span_buf(&payload), &type, &back, &err));
    CU_ASSERT_EQUAL(type, 2);
    CU_ASSERT(dkv_span_equal(dkv_span_buf(&back), value.bytes));
    dkv_buf_done(&payload);
    dkv_buf_done(&back);
    dkv_dek_close(dek);
}

static void find_alone_encrypts_and_decrypts(void)
{
    open_reader();

    encrypt_and_decrypt_with(&(struct dkv_key_selector){.id = id});
    encrypt_and_decrypt_with(&(struct dkv_key_selector){.alt_name = "app.users/ssn"});

    CU_ASSERT_STRING_EQUAL(dkv_stub_said(stub), "find find");
    close_reader();
}

static void a_reader_sees_that_the_index_is_not_shown(void)
{
    struct dkv_error err = {0};
    const char *state = NULL;
    open_reader();

    ASSERT_OK(dkv_vault_index_state(reader, &state, &err));

    CU_ASSERT_STRING_EQUAL(state, "unknown");
    close_reader();
}

static void a_reader_is_denied_every_change(void)
{
    struct dkv_error err = {0};
    struct dkv_uuid made = {0};
    const char *const names[] = {"new"};
    const struct dkv_key_options named = {.alt_names = names, .n_alt_names = 1};
    open_reader();
    const struct dkv_key_selector ours = {.id = id};

    ASSERT_RC(DKV_E_DENIED, dkv_key_create(reader, "fake:a", NULL, &made, &err));
    ASSERT_SAYS("privilege");
    CU_ASSERT_EQUAL(err.native_code, 13);
    ASSERT_RC(DKV_E_DENIED, dkv_key_create(reader, "fake:a", &named, &made, &err));
    ASSERT_SAYS("createIndex");
    ASSERT_RC(DKV_E_DENIED, dkv_key_add_name(reader, &ours, "new", NULL, NULL, &err));
    ASSERT_RC(DKV_E_DENIED, dkv_key_remove_name(reader, &ours, "app.users/ssn", NULL, NULL, &err));
    ASSERT_RC(DKV_E_DENIED, dkv_key_delete(reader, &ours, NULL, &err));

    CU_ASSERT(dkv_stub_count(stub, "insert") <= 2); /* a check record's and the first key's */
    close_reader();
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(find_alone_encrypts_and_decrypts),
        DKV_TEST(a_reader_sees_that_the_index_is_not_shown),
        DKV_TEST(a_reader_is_denied_every_change),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
