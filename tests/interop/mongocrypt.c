/* SPDX-License-Identifier: Apache-2.0 */
/* Against libmongocrypt, which MongoDB's drivers stand on: it opens our `local` documents and fields and we open its,
 * every type, both algorithms, deterministic payloads equal byte for byte, and what one refuses to encrypt the other
 * does. */
#include "tests/lib/test.h"
#include "tests/unit/field_samples.h"

#include <stdio.h>

#include <bson/bson.h>
#include <mongocrypt.h>

#include "base/mem.h"
#include "dekvault/dekvault.h"

#define RANDOM_NAME "AEAD_AES_256_CBC_HMAC_SHA_512-Random"
#define DETERMINISTIC_NAME "AEAD_AES_256_CBC_HMAC_SHA_512-Deterministic"

/* ---- Our side ---- */

static uint8_t local_key[96];

static struct dkv_vault *open_vault(struct dkv_provider_file **ret_file)
{
    static unsigned serial;
    struct dkv_error err = {0};
    struct dkv_vault *vault = NULL;
    char text[8192];
    for (size_t i = 0; i < sizeof(local_key); i++) {
        local_key[i] = (uint8_t)(200 - i);
    }
    snprintf(text, sizeof(text),
             "vault:\n  store: sqlite:%s/vault-%u.db\nproviders:\n  local:\n    key-source: file:%s\n"
             "state-dir: %s/state\nmemory:\n  allow-unlocked: true\n",
             dkv_test_dir(), ++serial, dkv_test_write("local.key", local_key, sizeof(local_key), 0600), dkv_test_dir());
    ASSERT_OK(dkv_provider_file_open(dkv_test_write("dekvault.conf", text, strlen(text), 0600), ret_file, &err));
    ASSERT_OK(dkv_vault_init(*ret_file, NULL, NULL, &vault, &err));
    return vault;
}

static struct dkv_dek *open_dek(struct dkv_vault *vault, const struct dkv_uuid *id)
{
    struct dkv_error err = {0};
    struct dkv_dek *dek = NULL;
    const struct dkv_key_selector selector = {.id = *id};
    ASSERT_OK(dkv_dek_open(vault, &selector, &dek, &err));
    return dek;
}

/* ---- Their side ---- */

static mongocrypt_t *new_crypt(void)
{
    mongocrypt_t *crypt = mongocrypt_new();
    mongocrypt_binary_t *key = mongocrypt_binary_new_from_data(local_key, sizeof(local_key));
    CU_ASSERT_TRUE_FATAL(mongocrypt_setopt_kms_provider_local(crypt, key));
    CU_ASSERT_TRUE_FATAL(mongocrypt_init(crypt));
    mongocrypt_binary_destroy(key);
    return crypt;
}

static void print_status(mongocrypt_ctx_t *ctx)
{
    mongocrypt_status_t *status = mongocrypt_status_new();
    mongocrypt_ctx_status(ctx, status);
    printf("# libmongocrypt: %s\n", mongocrypt_status_message(status, NULL));
    mongocrypt_status_destroy(status);
}

/* One step; false when there are no more. */
static bool step(mongocrypt_ctx_t *ctx, const struct dkv_buf *key_document, struct dkv_buf *ret)
{
    struct dkv_error err = {0};
    mongocrypt_binary_t *reply;
    switch (mongocrypt_ctx_state(ctx)) {
    case MONGOCRYPT_CTX_NEED_MONGO_KEYS:
        reply = mongocrypt_binary_new_from_data(key_document->data, (uint32_t)key_document->len);
        CU_ASSERT_TRUE_FATAL(mongocrypt_ctx_mongo_feed(ctx, reply));
        mongocrypt_binary_destroy(reply);
        CU_ASSERT_TRUE_FATAL(mongocrypt_ctx_mongo_done(ctx));
        return true;
    case MONGOCRYPT_CTX_READY:
        reply = mongocrypt_binary_new();
        CU_ASSERT_TRUE_FATAL(mongocrypt_ctx_finalize(ctx, reply));
        ASSERT_OK(dkv_buf_append(ret, dkv_span(mongocrypt_binary_data(reply), mongocrypt_binary_len(reply)), &err));
        mongocrypt_binary_destroy(reply);
        return true;
    case MONGOCRYPT_CTX_DONE:
        return false;
    default:
        print_status(ctx);
        CU_FAIL_FATAL("libmongocrypt is in a state that it shouldn't be in");
        return false;
    }
}

static void run(mongocrypt_ctx_t *ctx, const struct dkv_buf *key_document, struct dkv_buf *ret)
{
    while (step(ctx, key_document, ret)) {
    }
}

/* ---- {v: value} ---- */

static struct dkv_buf wrap_value(uint8_t type, struct dkv_span bytes)
{
    struct dkv_error err = {0};
    struct dkv_buf document = {0};
    const uint32_t len = (uint32_t)(4 + 1 + 2 + bytes.len + 1);
    const uint8_t head[7] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), (uint8_t)(len >> 24), type, 'v',
                             0};
    ASSERT_OK(dkv_buf_append(&document, dkv_span(head, sizeof(head)), &err));
    ASSERT_OK(dkv_buf_append(&document, bytes, &err));
    ASSERT_OK(dkv_buf_append(&document, dkv_span("", 1), &err));
    return document;
}

static struct dkv_span value_in(const struct dkv_buf *document)
{
    CU_ASSERT_TRUE_FATAL(document->len > 8);
    return dkv_span(document->data + 7, document->len - 8);
}

/* A binary's payload, behind its length and subtype 6. */
static struct dkv_span payload_in(const struct dkv_buf *document)
{
    const struct dkv_span value = value_in(document);
    CU_ASSERT_EQUAL_FATAL(document->data[4], 0x05);
    CU_ASSERT_EQUAL_FATAL(value.data[4], 6);
    return dkv_span(value.data + 5, value.len - 5);
}

static struct dkv_buf wrap_payload(const struct dkv_buf *payload)
{
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf binary = {0};
    const uint32_t len = (uint32_t)payload->len;
    const uint8_t head[5] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), (uint8_t)(len >> 24), 6};
    ASSERT_OK(dkv_buf_append(&binary, dkv_span(head, sizeof(head)), &err));
    ASSERT_OK(dkv_buf_append(&binary, dkv_span_buf(payload), &err));
    return wrap_value(0x05, dkv_span_buf(&binary));
}

/* ---- Both sides with one key ---- */

struct both {
    struct dkv_provider_file *file;
    struct dkv_vault *vault;
    struct dkv_dek *dek;
    struct dkv_buf key_document;
    mongocrypt_t *crypt;
};

static void close_both(struct both *both)
{
    mongocrypt_destroy(both->crypt);
    dkv_buf_done(&both->key_document);
    dkv_dek_close(both->dek);
    dkv_vault_close(both->vault);
    dkv_provider_file_close(both->file);
}

/* A key that we made. */
static struct both our_key(void)
{
    struct dkv_error err = {0};
    struct both both = {0};
    const char *names[] = {"ours", "unsere"};
    const struct dkv_key_options options = {.alt_names = names, .n_alt_names = 2};
    struct dkv_key_selector selector = {0};
    both.vault = open_vault(&both.file);
    both.crypt = new_crypt();
    ASSERT_OK(dkv_key_create(both.vault, "local", &options, &selector.id, &err));
    ASSERT_OK(dkv_key_get(both.vault, &selector, &both.key_document, &err));
    both.dek = open_dek(both.vault, &selector.id);
    return both;
}

static void name_key(mongocrypt_ctx_t *ctx, const char *name)
{
    bson_t *document = BCON_NEW("keyAltName", name);
    mongocrypt_binary_t *binary = mongocrypt_binary_new_from_data((uint8_t *)(uintptr_t)bson_get_data(document),
                                                                  document->len);
    CU_ASSERT_TRUE_FATAL(mongocrypt_ctx_setopt_key_alt_name(ctx, binary));
    mongocrypt_binary_destroy(binary);
    bson_destroy(document);
}

/* A key that they made, imported. */
static struct both their_key(void)
{
    struct dkv_error err = {0};
    struct both both = {0};
    bool inserted = false;
    struct dkv_uuid id = {{0}};
    bson_t document;
    bson_iter_t iter;
    both.vault = open_vault(&both.file);
    both.crypt = new_crypt();
    mongocrypt_ctx_t *ctx = mongocrypt_ctx_new(both.crypt);
    CU_ASSERT_TRUE_FATAL(mongocrypt_ctx_setopt_masterkey_local(ctx));
    name_key(ctx, "theirs");
    name_key(ctx, "ihre");
    CU_ASSERT_TRUE_FATAL(mongocrypt_ctx_datakey_init(ctx));
    run(ctx, NULL, &both.key_document);
    mongocrypt_ctx_destroy(ctx);
    ASSERT_OK(dkv_key_import(both.vault, dkv_span_buf(&both.key_document), false /* unverified */, &inserted, &err));
    CU_ASSERT_TRUE(inserted);
    CU_ASSERT_TRUE_FATAL(bson_init_static(&document, both.key_document.data, both.key_document.len));
    CU_ASSERT_TRUE_FATAL(bson_iter_init_find(&iter, &document, "_id"));
    const uint8_t *bytes = NULL;
    uint32_t len = 0;
    bson_iter_binary(&iter, NULL, &len, &bytes);
    CU_ASSERT_EQUAL_FATAL(len, 16);
    memcpy(id.bytes, bytes, 16);
    both.dek = open_dek(both.vault, &id);
    return both;
}

/* Their explicit encryption of {v: value}; false when they refuse. */
static bool they_encrypt(struct both *both, enum dkv_algorithm algorithm, struct dkv_buf *plain, struct dkv_buf *ret)
{
    uint8_t id[16];
    const char *name = algorithm == DKV_RANDOM ? RANDOM_NAME : DETERMINISTIC_NAME;
    mongocrypt_ctx_t *ctx = mongocrypt_ctx_new(both->crypt);
    memcpy(id, dkv_dek_id(both->dek)->bytes, sizeof(id));
    mongocrypt_binary_t *key_id = mongocrypt_binary_new_from_data(id, sizeof(id));
    mongocrypt_binary_t *message = mongocrypt_binary_new_from_data(plain->data, (uint32_t)plain->len);
    CU_ASSERT_TRUE_FATAL(mongocrypt_ctx_setopt_key_id(ctx, key_id));
    CU_ASSERT_TRUE_FATAL(mongocrypt_ctx_setopt_algorithm(ctx, name, -1));
    /* Some types are refused at once, others only when the value is about to be encrypted. */
    bool ok = mongocrypt_ctx_explicit_encrypt_init(ctx, message);
    if (ok && mongocrypt_ctx_state(ctx) == MONGOCRYPT_CTX_NEED_MONGO_KEYS) {
        struct dkv_buf none = {0};
        CU_ASSERT_TRUE_FATAL(step(ctx, &both->key_document, &none));
    }
    if (ok) {
        mongocrypt_binary_t *out = mongocrypt_binary_new();
        struct dkv_error err = {0};
        ok = mongocrypt_ctx_finalize(ctx, out);
        if (ok) {
            ASSERT_OK(dkv_buf_append(ret, dkv_span(mongocrypt_binary_data(out), mongocrypt_binary_len(out)), &err));
        }
        mongocrypt_binary_destroy(out);
    }
    mongocrypt_binary_destroy(message);
    mongocrypt_binary_destroy(key_id);
    mongocrypt_ctx_destroy(ctx);
    return ok;
}

static void they_decrypt(struct both *both, struct dkv_buf *encrypted, struct dkv_buf *ret)
{
    mongocrypt_ctx_t *ctx = mongocrypt_ctx_new(both->crypt);
    mongocrypt_binary_t *message = mongocrypt_binary_new_from_data(encrypted->data, (uint32_t)encrypted->len);
    CU_ASSERT_TRUE_FATAL(mongocrypt_ctx_explicit_decrypt_init(ctx, message));
    run(ctx, &both->key_document, ret);
    mongocrypt_binary_destroy(message);
    mongocrypt_ctx_destroy(ctx);
}

/* Ours by them, theirs by us, and both equal where they must be. */
static void exchange(struct both *both, enum dkv_algorithm algorithm, uint8_t type, struct dkv_span bytes)
{
    struct dkv_error err = {0};
    struct dkv_buf plain = wrap_value(type, bytes), ours = {0}, theirs = {0}, by_them = {0}, by_us = {0};
    uint8_t seen_type = 0;
    ASSERT_OK(dkv_field_encrypt(both->dek, algorithm, (struct dkv_bson_value){type, bytes}, &ours, &err));
    CU_ASSERT_TRUE_FATAL(they_encrypt(both, algorithm, &plain, &theirs));
    CU_ASSERT_EQUAL(payload_in(&theirs).len, ours.len);
    if (algorithm == DKV_DETERMINISTIC) {
        CU_ASSERT_TRUE(dkv_span_equal(payload_in(&theirs), dkv_span_buf(&ours)));
    }

    ASSERT_OK(dkv_field_decrypt(both->dek, payload_in(&theirs), &seen_type, &by_us, &err));
    CU_ASSERT_EQUAL(seen_type, type);
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span_buf(&by_us), bytes));
    struct dkv_buf encrypted = wrap_payload(&ours);
    they_decrypt(both, &encrypted, &by_them);
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span_buf(&by_them), dkv_span_buf(&plain)));

    dkv_buf_done(&plain);
    dkv_buf_done(&ours);
    dkv_buf_done(&theirs);
    dkv_buf_done(&encrypted);
    dkv_buf_done(&by_them);
    dkv_buf_done(&by_us);
}

/* ---- Tests ---- */

static void exchange_all_types(struct both *both)
{
    for (size_t i = 0; i < DKV_COUNT(samples); i++) {
        const struct dkv_span bytes = dkv_span(samples[i].bytes, samples[i].len);
        exchange(both, DKV_RANDOM, samples[i].type, bytes);
        if (samples[i].deterministic_too) {
            exchange(both, DKV_DETERMINISTIC, samples[i].type, bytes);
        }
    }
}

static void every_type_goes_both_ways_with_a_key_of_ours(void)
{
    struct both both = our_key();
    exchange_all_types(&both);
    close_both(&both);
}

static void every_type_goes_both_ways_with_a_key_of_theirs(void)
{
    struct both both = their_key();
    exchange_all_types(&both);
    close_both(&both);
}

/* A binary of so many bytes, as a value. */
static void exchange_size(struct both *both, uint32_t len)
{
    uint8_t *bytes = dkv_calloc(1, 5 + (size_t)len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    for (size_t i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(len >> 8 * i);
    }
    for (size_t i = 0; i < len; i++) {
        bytes[5 + i] = (uint8_t)(i * 7);
    }
    exchange(both, DKV_RANDOM, 0x05, dkv_span(bytes, 5 + (size_t)len));
    exchange(both, DKV_DETERMINISTIC, 0x05, dkv_span(bytes, 5 + (size_t)len));
    dkv_free(bytes);
}

static void every_size_up_to_300_and_some_larger_go_both_ways(void)
{
    struct both both = our_key();
    static const uint32_t larger[] = {1000, 4095, 4096, 4097, 65535, 65536, 1000000};
    for (uint32_t len = 0; len <= 300; len++) {
        exchange_size(&both, len);
    }
    for (size_t i = 0; i < DKV_COUNT(larger); i++) {
        exchange_size(&both, larger[i]);
    }
    close_both(&both);
}

static void both_refuse(struct both *both, enum dkv_algorithm algorithm, uint8_t type, struct dkv_span bytes)
{
    struct dkv_error err = {0};
    struct dkv_buf plain = wrap_value(type, bytes), theirs = {0}, ours = {0};
    CU_ASSERT_FALSE(they_encrypt(both, algorithm, &plain, &theirs));
    ASSERT_RC(DKV_E_INVALID, dkv_field_encrypt(both->dek, algorithm, (struct dkv_bson_value){type, bytes}, &ours,
                                               &err));
    dkv_buf_done(&plain);
    dkv_buf_done(&theirs);
}

static void what_they_refuse_to_encrypt_we_refuse(void)
{
    struct both both = our_key();
    static const uint8_t never[] = {0x06, 0x0a, 0x7f, 0xff};
    for (size_t i = 0; i < sizeof(never); i++) {
        both_refuse(&both, DKV_RANDOM, never[i], dkv_span("", 0));
        both_refuse(&both, DKV_DETERMINISTIC, never[i], dkv_span("", 0));
    }
    for (size_t i = 0; i < DKV_COUNT(samples); i++) {
        if (!samples[i].deterministic_too) {
            both_refuse(&both, DKV_DETERMINISTIC, samples[i].type, dkv_span(samples[i].bytes, samples[i].len));
        }
    }
    both_refuse(&both, DKV_RANDOM, 0x05, dkv_span("\0\0\0\0\6", 5));
    close_both(&both);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(every_type_goes_both_ways_with_a_key_of_ours),
        DKV_TEST(every_type_goes_both_ways_with_a_key_of_theirs),
        DKV_TEST(every_size_up_to_300_and_some_larger_go_both_ways),
        DKV_TEST(what_they_refuse_to_encrypt_we_refuse),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
