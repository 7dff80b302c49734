/* SPDX-License-Identifier: Apache-2.0 */
/* The unique partial index on alt names: made as MongoDB's shell does where it is missing, and asked for before a name
 * is written. Invariant: what counts is what a server was seen to have, not what it was told to make. Owns
 * index_seen_ms. Lock: it is atomic. */
#include "base/clock.h"
#include "base/log.h"
#include "vault/store/mongodb_index.h"

#define SEEN_FOR_MS 5000 /* nobody drops the index between two names; asking each time doubles what a name costs */
#define NEVER_ASKED 0
#define WAS_NOT_OK (-1)

#define CODE_CANNOT_CREATE_INDEX 67

/* ---- Making it ---- */

struct creation {
    uint32_t code; /* the server's, of what failed */
    bool may_be_clash;
};

/* Arrays without a name would clash with each other in the index: MongoDB's shell takes the field away first. */
static enum dkv_rc unset_empty(struct dkv_mongodb_connection *connection, struct creation *creation,
                               struct dkv_error *err)
{
    DKV_CLEANUP(bson_destroyp) bson_t *query = BCON_NEW("keyAltNames", "{", "$size", BCON_INT32(0), "}");
    DKV_CLEANUP(bson_destroyp) bson_t *change = BCON_NEW("$unset", "{", "keyAltNames", "", "}", //
                                                         "$currentDate", "{", "updateDate", BCON_BOOL(true), "}");
    DKV_CLEANUP(bson_destroy) bson_t reply = BSON_INITIALIZER;
    bson_error_t error = {0};
    if (mongoc_collection_update_many(connection->collection, query, change, NULL /* opts */, &reply, &error)) {
        return DKV_OK;
    }
    creation->code = error.code;
    return dkv_mongodb_fail(connection->store, "taking empty keyAltNames from", &error, &reply, err);
}

static enum dkv_rc create_index(struct dkv_mongodb_connection *connection, struct creation *creation,
                                struct dkv_error *err)
{
    const char *collection = mongoc_collection_get_name(connection->collection);
    DKV_CLEANUP(bson_destroyp) bson_t *command =
        BCON_NEW("createIndexes", BCON_UTF8(collection), "indexes", "[", "{",              //
                 "name", DKV_MONGODB_INDEX_NAME,                                           //
                 "key", "{", "keyAltNames", BCON_INT32(1), "}",                            //
                 "unique", BCON_BOOL(true),                                                //
                 "partialFilterExpression", "{", "keyAltNames", "{", "$exists", BCON_BOOL(true), "}", "}", "}", "]");
    DKV_CLEANUP(bson_destroyp) bson_t *opts = BCON_NEW("writeConcern", "{", "w", "majority", "}");
    DKV_CLEANUP(bson_destroy) bson_t reply = BSON_INITIALIZER;
    bson_error_t error = {0};
    if (mongoc_client_write_command_with_opts(connection->client, connection->store->database, command, opts, &reply,
                                              &error)) {
        return DKV_OK;
    }
    creation->code = error.code;
    creation->may_be_clash = dkv_mongodb_may_be_duplicate(&error);
    return dkv_mongodb_fail(connection->store, "making the index of alt names of", &error, &reply, err);
}

/* Doing either twice does no more than doing it once. */
static enum dkv_rc attempt_creation(struct dkv_mongodb_connection *connection, void *arg, struct dkv_error *err)
{
    struct creation *creation = arg;
    *creation = (struct creation){0};
    DKV_TRY(unset_empty(connection, creation, err));
    return create_index(connection, creation, err);
}

/* ---- Seeing to it ---- */

/* It is still missing. */
static enum dkv_rc fail_missing(struct dkv_mongodb_store *store, const struct creation *creation,
                                const struct dkv_error *why, struct dkv_error *err)
{
    if (creation->code == DKV_MONGODB_UNAUTHORIZED) {
        return dkv_mongodb_index_denied(store, "make", err);
    }
    if (creation->code == CODE_CANNOT_CREATE_INDEX) {
        return dkv_mongodb_index_sharded(store, err);
    }
    if (creation->may_be_clash) {
        DKV_TRY(dkv_mongodb_index_clash(store, err));
    }
    DKV_CHECK(why->rc != DKV_OK, err, DKV_E_INTERNAL,
              "the server made the index of alt names of %s, but doesn't list it", store->where);
    return dkv_fail_as(err, why->rc, why);
}

static enum dkv_rc fail_unless_ok(struct dkv_mongodb_store *store, const struct dkv_mongodb_finding *finding,
                                  const struct creation *creation, const struct dkv_error *why, struct dkv_error *err)
{
    switch (finding->state) {
    case DKV_INDEX_OK:
        return DKV_OK;
    case DKV_INDEX_NOT_UNIQUE:
    case DKV_INDEX_NOT_PARTIAL:
        return dkv_mongodb_index_wrong(store, finding, err);
    case DKV_INDEX_SHARDED:
        return dkv_mongodb_index_sharded(store, err);
    case DKV_INDEX_UNKNOWN:
        return dkv_mongodb_index_denied(store, "see", err);
    case DKV_INDEX_MISSING:
        break;
    }
    return fail_missing(store, creation, why, err);
}

/* Whoever asked the server remembers what it said. */
static enum dkv_rc look(struct dkv_mongodb_store *store, struct dkv_mongodb_finding *ret, struct dkv_error *err)
{
    DKV_TRY(dkv_mongodb_index_read(store, ret, err));
    const bool ok = ret->state == DKV_INDEX_OK;
    atomic_store(&store->index_seen_ms, ok ? dkv_clock_real.monotonic_ms() : WAS_NOT_OK);
    return DKV_OK;
}

enum dkv_rc dkv_mongodb_ensure_index(struct dkv_store *base, struct dkv_error *err)
{
    struct dkv_mongodb_store *store = dkv_mongodb_of(base);
    struct creation creation = {0};
    struct dkv_error why = {0};
    struct dkv_mongodb_finding finding;
    DKV_TRY(look(store, &finding, err));
    if (finding.state == DKV_INDEX_MISSING) {
        why.rc = dkv_mongodb_write(store, DKV_MONGODB_KEYS, attempt_creation, &creation, &why);
        DKV_TRY(look(store, &finding, err)); /* whatever it said: another process may have been making it too */
    }
    if (finding.state == DKV_INDEX_OK && why.rc == DKV_E_TRANSIENT) { /* listIndexes doesn't ask the majority */
        atomic_store(&store->index_seen_ms, WAS_NOT_OK);
        return dkv_fail_as(err, why.rc, &why);
    }
    return fail_unless_ok(store, &finding, &creation, &why, err);
}

enum dkv_rc dkv_mongodb_check_index(struct dkv_store *base, enum dkv_index_state *ret, struct dkv_error *err)
{
    struct dkv_mongodb_finding finding;
    DKV_TRY(look(dkv_mongodb_of(base), &finding, err));
    *ret = finding.state;
    return DKV_OK;
}

/* ---- Before a key is written ---- */

enum dkv_rc dkv_mongodb_need_index(struct dkv_mongodb_store *store, struct dkv_error *err)
{
    const int64_t seen_ms = atomic_load(&store->index_seen_ms);
    if (seen_ms > NEVER_ASKED && dkv_clock_real.monotonic_ms() - seen_ms < SEEN_FOR_MS) {
        return DKV_OK;
    }
    return dkv_mongodb_ensure_index(&store->base, err);
}

enum dkv_rc dkv_mongodb_prepare_index(struct dkv_mongodb_store *store, bool has_names, struct dkv_error *err)
{
    struct dkv_error why = {0};
    if (has_names) {
        return dkv_mongodb_need_index(store, err);
    }
    if (atomic_load(&store->index_seen_ms) != NEVER_ASKED) {
        return DKV_OK;
    }
    const enum dkv_rc rc = dkv_mongodb_ensure_index(&store->base, &why);
    /* Nothing was sent of the key yet, and it would only wait for as long once more. */
    if (rc == DKV_E_UNREACHABLE || rc == DKV_E_AUTH || rc == DKV_E_TRANSIENT) {
        return dkv_fail_as(err, rc, &why);
    }
    if (rc != DKV_OK) {
        dkv_log(DKV_LOG_WARNING, "the vault takes no new alt names: %s", why.message);
    }
    return DKV_OK;
}
