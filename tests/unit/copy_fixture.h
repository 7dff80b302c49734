/* SPDX-License-Identifier: Apache-2.0 */
/* Two vaults to copy between, and what the tests of it share. */
#ifndef TESTS_UNIT_COPY_FIXTURE_H
#define TESTS_UNIT_COPY_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/sqlite_plant.h"
#include "tests/lib/store_contract.h"
#include "tests/lib/test.h"
#include "tests/unit/fake_vault.h"
#include "vault/document_edit.h"

/* ---- The two vaults ---- */

enum kind { SQLITE, MONGODB };

static struct dkv_vault *from, *to;
static char name_spaces[2][64];
static unsigned n_name_spaces;

/* What the callbacks saw. */
static struct {
    size_t n, n_foreign;
    struct dkv_uuid id; /* the last */
    struct dkv_error why;
    size_t n_progress;
    struct dkv_copy_counts progress; /* the last */
    enum dkv_rc answer; /* what the callbacks say */
} seen;

static inline void use_mongodb(struct dkv_vault_settings *settings, char *name_space, size_t size)
{
    snprintf(name_space, size, "dkv_copy_%ld.keys%u", (long)getpid(), n_name_spaces++);
    settings->store = secure_getenv("DEKVAULT_TEST_MONGODB_URI");
    settings->name_space = name_space;
}

static inline void open_vaults(enum kind from_kind, enum kind to_kind)
{
    struct dkv_error err = {0};
    struct dkv_provider_file *file = fake_file();
    seen.n = seen.n_progress = 0;
    seen.answer = DKV_OK;
    if (from_kind == MONGODB) {
        use_mongodb(&file->vaults[0], name_spaces[0], sizeof(name_spaces[0]));
    }
    if (to_kind == MONGODB) {
        use_mongodb(&file->vaults[1], name_spaces[1], sizeof(name_spaces[1]));
    }
    ASSERT_OK(dkv_vault_init(file, "default", NULL, &from, &err));
    ASSERT_OK(dkv_vault_init(file, "other", NULL, &to, &err));
}

static inline void close_vaults(void)
{
    dkv_vault_close(from);
    dkv_vault_close(to);
    from = to = NULL;
}

static inline void on_route(enum kind from_kind, enum kind to_kind, void (*body)(void))
{
    if ((from_kind == MONGODB || to_kind == MONGODB) && secure_getenv("DEKVAULT_TEST_MONGODB_URI") == NULL) {
        dkv_test_skip("no MongoDB server: scripts/test-mongodb up");
        return;
    }
    open_vaults(from_kind, to_kind);
    body();
    close_vaults();
}

/* A test of every route, by name. */
#define ON_EVERY_ROUTE(body)                                             \
    static void body##_from_sqlite_to_sqlite(void)                       \
    {                                                                    \
        on_route(SQLITE, SQLITE, body);                                  \
    }                                                                    \
    static void body##_from_sqlite_to_mongodb(void)                      \
    {                                                                    \
        on_route(SQLITE, MONGODB, body);                                 \
    }                                                                    \
    static void body##_from_mongodb_to_sqlite(void)                      \
    {                                                                    \
        on_route(MONGODB, SQLITE, body);                                 \
    }                                                                    \
    static void body##_from_mongodb_to_mongodb(void)                     \
    {                                                                    \
        on_route(MONGODB, MONGODB, body);                                \
    }                                                                    \
    struct eat_semicolon
#define DKV_TESTS_OF_ROUTES(body)                                                              \
    DKV_TEST(body##_from_sqlite_to_sqlite), DKV_TEST(body##_from_sqlite_to_mongodb),           \
        DKV_TEST(body##_from_mongodb_to_sqlite), DKV_TEST(body##_from_mongodb_to_mongodb)

/* ---- Acting and looking ---- */

static inline enum dkv_rc see_refused(void *arg, const struct dkv_uuid *id, const struct dkv_error *why,
                                      struct dkv_error *err)
{
    (void)arg;
    seen.n++;
    seen.id = id != NULL ? *id : (struct dkv_uuid){0};
    seen.n_foreign += id == NULL ? 1 : 0;
    seen.why = *why;
    DKV_CHECK(seen.answer == DKV_OK, err, seen.answer, "the caller has had enough");
    return DKV_OK;
}

static inline enum dkv_rc see_progress(void *arg, const struct dkv_copy_counts *so_far, struct dkv_error *err)
{
    (void)arg;
    seen.n_progress++;
    seen.progress = *so_far;
    DKV_CHECK(seen.answer == DKV_OK, err, seen.answer, "the caller has had enough");
    return DKV_OK;
}

static inline enum dkv_rc try_copy(bool dry_run, struct dkv_copy_counts *ret, struct dkv_error *err)
{
    const struct dkv_copy_options options = {.dry_run = dry_run, .progress = see_progress, .refused = see_refused};
    seen.n = seen.n_foreign = seen.n_progress = 0;
    return dkv_vault_copy(from, to, &options, ret, err);
}

static inline void assert_copy(bool dry_run, uint64_t copied, uint64_t present, uint64_t refused)
{
    struct dkv_error err = {0};
    struct dkv_copy_counts counts = {99, 99, 99};
    ASSERT_OK(try_copy(dry_run, &counts, &err));
    CU_ASSERT_EQUAL(counts.copied, copied);
    CU_ASSERT_EQUAL(counts.present, present);
    CU_ASSERT_EQUAL(counts.refused, refused);
    CU_ASSERT_EQUAL(seen.n, refused);
    if (counts.copied != copied || counts.present != present || counts.refused != refused) {
        printf("# copied %lu, present %lu, refused %lu; last: %s\n", (unsigned long)counts.copied,
               (unsigned long)counts.present, (unsigned long)counts.refused, seen.n > 0 ? seen.why.message : "");
    }
}

/* The last refused key is this one, refused so. */
static inline void assert_refused(uint8_t id, enum dkv_rc rc, const char *words)
{
    const struct dkv_uuid expected = dkv_test_id(id);
    char text[37];
    dkv_uuid_format(&expected, text);
    CU_ASSERT(dkv_uuid_equal(&seen.id, &expected));
    CU_ASSERT_EQUAL(seen.why.rc, rc);
    CU_ASSERT_STRING_EQUAL(seen.why.key, text);
    CU_ASSERT_PTR_NOT_NULL(strstr(seen.why.message, words));
    if (strstr(seen.why.message, words) == NULL) {
        printf("# says: %s\n", seen.why.message);
    }
}

static inline void put(struct dkv_vault *vault, const struct dkv_key_shape *shape)
{
    struct dkv_error err = {0};
    ASSERT_OK(dkv_test_insert(vault->store, shape, &err));
}

static inline void put_bytes(struct dkv_vault *vault, const struct dkv_buf *document)
{
    struct dkv_error err = {0};
    ASSERT_OK(vault->store->ops->insert(vault->store, dkv_span_buf(document), NULL, &err));
}

/* Numbers from..until-1, every third with a name. */
static inline void put_numbered(struct dkv_vault *vault, uint32_t begin, uint32_t end)
{
    struct dkv_error err = {0};
    static struct dkv_buf buffers[DKV_STORE_BATCH];
    static struct dkv_span documents[DKV_STORE_BATCH];
    static enum dkv_clash clashes[DKV_STORE_BATCH];
    while (begin < end) {
        const uint32_t n = end - begin < DKV_STORE_BATCH ? end - begin : DKV_STORE_BATCH;
        for (uint32_t i = 0; i < n; i++) {
            char name[32];
            const char *names[] = {name};
            snprintf(name, sizeof(name), "n-%u", begin + i);
            dkv_test_numbered_key(begin + i, names, (begin + i) % 3 == 0 ? 1 : 0, &buffers[i]);
            documents[i] = dkv_span_buf(&buffers[i]);
        }
        ASSERT_OK(vault->store->ops->insert_many(vault->store, documents, n, clashes, &err));
        for (uint32_t i = 0; i < n; i++) {
            CU_ASSERT_EQUAL(clashes[i], DKV_CLASH_NONE);
            dkv_buf_done(&buffers[i]);
        }
        begin += n;
    }
}

static inline enum dkv_rc keep(void *arg, const struct dkv_uuid *id, struct dkv_span document,
                               struct dkv_error *err)
{
    (void)id;
    return dkv_buf_append(arg, document, err);
}

static inline struct dkv_buf get(struct dkv_vault *vault, uint8_t id)
{
    struct dkv_error err = {0};
    struct dkv_buf document = {0};
    const struct dkv_uuid uuid = dkv_test_id(id);
    ASSERT_OK(vault->store->ops->get_many(vault->store, &uuid, 1, keep, &document, &err));
    return document;
}

static inline enum dkv_rc compare(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    struct dkv_buf other = {0};
    bool same = false;
    ++*(size_t *)arg;
    DKV_TRY(to->store->ops->get_many(to->store, id, 1, keep, &other, err));
    DKV_TRY(dkv_document_same(document, dkv_span_buf(&other), &same, err));
    dkv_buf_done(&other);
    DKV_CHECK(same, err, DKV_E_INTERNAL, "a document differs");
    return DKV_OK;
}

/* Every key of `from` is in `to`, and there are n in both. */
static inline void assert_equal_vaults(size_t n)
{
    static const struct dkv_key_filter all = DKV_KEY_FILTER_ALL;
    struct dkv_error err = {0};
    size_t found = 0;
    ASSERT_OK(from->store->ops->list(from->store, &all, NULL, 0, compare, &found, &err));
    CU_ASSERT_EQUAL(found, n);
    CU_ASSERT_EQUAL(fake_count(to), n);
}

static inline bool has(struct dkv_vault *vault, uint8_t id)
{
    struct dkv_buf document = get(vault, id);
    const bool found = document.len > 0;
    dkv_buf_done(&document);
    return found;
}

static inline void put_state(struct dkv_vault *vault, const char *key, const char *value)
{
    struct dkv_error err = {0};
    ASSERT_OK(vault->store->ops->state_put(vault->store, key, dkv_span(NULL, 0), dkv_span_str(value), &err));
}

/* Past the store, as somebody else who has the file of `from`. */
static inline void plant(uint8_t id, struct dkv_span bytes)
{
    const struct dkv_uuid uuid = dkv_test_id(id);
    dkv_test_plant(from->store, &uuid, bytes);
}

#endif
