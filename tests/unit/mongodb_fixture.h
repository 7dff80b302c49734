/* SPDX-License-Identifier: Apache-2.0 */
/* The MongoDB store on a scripted server, and key documents for it. */
#ifndef TESTS_UNIT_MONGODB_FIXTURE_H
#define TESTS_UNIT_MONGODB_FIXTURE_H

#include <inttypes.h>
#include <stdio.h>

#include "tests/lib/mongo_stub.h"
#include "tests/lib/test.h"
#include "vault/store.h"

#define DATABASE "encryption"
#define KEYS "__keyVault"
#define STATE "__keyVault.dekvault"

struct fixture {
    struct dkv_stub *stub;
    struct dkv_store *store;
};

static inline enum dkv_rc fixture_open_uri(struct fixture *fixture, const char *uri, uint32_t timeout_ms,
                                           struct dkv_error *err)
{
    const struct dkv_store_settings settings = {
        .location = uri, .name_space = DATABASE "." KEYS, .timeout_ms = timeout_ms};
    dkv_store_quiet();
    return dkv_mongodb_store_ops.open(&settings, false /* create */, NULL, &fixture->store, err);
}

/* options: behind the URI ("&w=1"). What it needs is there, or the test ends. */
static inline struct fixture fixture_open_with(enum dkv_stub_kind kind, const char *options, uint32_t timeout_ms)
{
    struct dkv_error err = {0};
    struct fixture fixture = {.stub = dkv_stub_start(kind)};
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.stub);
    ASSERT_OK(fixture_open_uri(&fixture, dkv_stub_uri(fixture.stub, options), timeout_ms, &err));
    return fixture;
}

static inline struct fixture fixture_open(enum dkv_stub_kind kind)
{
    return fixture_open_with(kind, "", 5000);
}

static inline void fixture_close(struct fixture *fixture)
{
    if (fixture->store != NULL) {
        dkv_mongodb_store_ops.close(fixture->store);
    }
    dkv_stub_stop(fixture->stub);
    *fixture = (struct fixture){0};
}

#define SCRIPT(fixture, ...)                                                                \
    const struct dkv_stub_rule script_rules_[] = {__VA_ARGS__};                             \
    dkv_stub_script((fixture).stub, script_rules_, DKV_COUNT(script_rules_))

static inline struct dkv_uuid id_of(uint8_t number)
{
    return (struct dkv_uuid){.bytes = {[6] = 0x40, [8] = 0x80, [15] = number}};
}

/* {provider: provider}; appended. */
static inline void put_master_key(const char *provider, struct dkv_buf *ret)
{
    bson_t bson = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&bson, "provider", provider);
    CU_ASSERT_EQUAL(dkv_buf_append(ret, dkv_span(bson_get_data(&bson), bson.len), NULL), DKV_OK);
    bson_destroy(&bson);
}

/* A valid key document; name NULL: without keyAltNames. */
static inline void put_key(uint8_t number, const char *name, const char *material, struct dkv_buf *ret)
{
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf master_key = {0};
    put_master_key("local", &master_key);
    const struct dkv_document document = {
        .id = id_of(number),
        .alt_names = &name,
        .n_alt_names = name != NULL ? 1 : 0,
        .has_alt_names = name != NULL,
        .key_material = dkv_span_str(material),
        .creation_date_ms = 1000,
        .update_date_ms = 2000,
        .master_key = dkv_span_buf(&master_key),
    };
    ASSERT_OK(dkv_document_write(&document, ret, &err));
}

/* Counts what is visited, and keeps the last. */
struct visited {
    size_t n, n_empty, n_foreign;
    uint8_t numbers[64]; /* the last byte of each _id */
    uint8_t last[512];
    size_t last_len;
};

static inline enum dkv_rc visit(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    (void)err;
    struct visited *visited = arg;
    if (id == NULL) {
        visited->n_foreign++;
        return DKV_OK;
    }
    visited->numbers[visited->n % sizeof(visited->numbers)] = id->bytes[15];
    visited->n++;
    visited->n_empty += document.len == 0 ? 1 : 0;
    visited->last_len = document.len <= sizeof(visited->last) ? document.len : 0;
    if (visited->last_len > 0) {
        memcpy(visited->last, document.data, visited->last_len);
    }
    return DKV_OK;
}

#endif
