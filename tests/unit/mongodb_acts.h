/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of the MongoDB store, and what to say of them, for tests against a server that misbehaves. */
#ifndef TESTS_UNIT_MONGODB_ACTS_H
#define TESTS_UNIT_MONGODB_ACTS_H

#include "tests/unit/mongodb_fixture.h"

#define HANG_GUARD_MS 60000 /* only so that what never ends fails */

static const struct dkv_store_ops *const ops = &dkv_mongodb_store_ops;

static inline enum dkv_rc insert_key_of(struct fixture *fixture, uint8_t number, const char *name,
                                        enum dkv_clash *ret_clash, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    put_key(number, name, "material", &bytes);
    return ops->insert(fixture->store, dkv_span_buf(&bytes), ret_clash, err);
}

static inline enum dkv_rc insert_key(struct fixture *fixture, const char *name, enum dkv_clash *ret_clash,
                                     struct dkv_error *err)
{
    return insert_key_of(fixture, 1, name, ret_clash, err);
}

static inline enum dkv_rc insert(struct fixture *fixture, struct dkv_error *err)
{
    return insert_key(fixture, NULL, NULL, err);
}

static inline enum dkv_rc get(struct fixture *fixture, struct visited *visited, struct dkv_error *err)
{
    const struct dkv_uuid id = id_of(1);
    return ops->get_many(fixture->store, &id, 1, visit, visited, err);
}

static inline enum dkv_rc replace(struct fixture *fixture, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf master_key = {0};
    const struct dkv_uuid id = id_of(1);
    put_master_key("local", &master_key);
    return ops->replace_material(fixture->store, &id, dkv_span_buf(&master_key), dkv_span_str("old"),
                                 dkv_span_buf(&master_key), dkv_span_str("new"), err);
}

static inline enum dkv_rc set_disabled(struct fixture *fixture, bool *ret_changed, struct dkv_error *err)
{
    const struct dkv_uuid id = id_of(1);
    return ops->set_status(fixture->store, &id, DKV_STATUS_DISABLED, ret_changed, err);
}

static inline enum dkv_rc add_name(struct fixture *fixture, struct dkv_error *err)
{
    const struct dkv_uuid id = id_of(1);
    return ops->add_alt_name(fixture->store, &id, "invoices", NULL, err);
}

static inline enum dkv_rc remove_key(struct fixture *fixture, struct dkv_error *err)
{
    const struct dkv_uuid id = id_of(1);
    return ops->remove(fixture->store, &id, (struct dkv_span){0}, err);
}

static inline enum dkv_rc get_nothing(struct fixture *fixture, struct dkv_error *err)
{
    struct visited visited = {0};
    return get(fixture, &visited, err);
}

/* What the server keeps for find, with this material. */
struct kept {
    struct dkv_buf bytes;
    struct dkv_span span;
};

static inline void keep(struct kept *kept, uint8_t number, const char *name, const char *material)
{
    put_key(number, name, material, &kept->bytes);
    kept->span = dkv_span_buf(&kept->bytes);
}

#define ASSERT_NATIVE(code, name)                               \
    do {                                                        \
        CU_ASSERT_EQUAL(err.native_system, DKV_NATIVE_MONGODB); \
        CU_ASSERT_EQUAL(err.native_code, (code));               \
        CU_ASSERT_STRING_EQUAL(err.native_name, (name));        \
    } while (0)

/* What went over the wire, in order. */
#define ASSERT_SAID(text)                                                     \
    do {                                                                      \
        const char *said_ = dkv_stub_said(fixture.stub);                      \
        if (strcmp(said_, (text)) != 0) {                                     \
            printf("# %s:%d: the store sent: %s\n", __FILE__, __LINE__, said_); \
        }                                                                     \
        CU_ASSERT_STRING_EQUAL(said_, (text));                                \
    } while (0)

#define FOUND(documents) "{'cursor':{'id':0,'ns':'encryption.__keyVault','firstBatch':[" documents "]},'ok':1}"
#define INDEX_OF_ID "{'v':2,'key':{'_id':1},'name':'_id_'}"
#define INDEX_OF_NAMES(more) "{'v':2,'key':{'keyAltNames':1},'name':'keyAltNames_1'" more "}"
#define PARTIAL "'partialFilterExpression':{'keyAltNames':{'$exists':true}}"
#define RIGHT_INDEX INDEX_OF_NAMES(",'unique':true," PARTIAL)
#define NO_INDEX {.command = "listIndexes", .reply = FOUND(INDEX_OF_ID)}
#define MAY_BE_DONE "may or may not have been done"
#define WRITE_DUPLICATE_ID                                                                                    \
    DKV_STUB_WRITE_ERROR(11000, "E11000 duplicate key error collection: encryption.__keyVault index: _id_ dup key")
#define WRITE_DUPLICATE_NAME                                                                                  \
    DKV_STUB_WRITE_ERROR(11000,                                                                               \
                         "E11000 duplicate key error collection: encryption.__keyVault index: keyAltNames_1 dup key")
#define NOT_ON_A_MAJORITY DKV_STUB_WRITE_CONCERN_ERROR(64, "WriteConcernFailed")

#endif
