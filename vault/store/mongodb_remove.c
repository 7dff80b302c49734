/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting documents from the MongoDB store, each by one delete of one document, valid or not. Invariant: where bytes
 * are expected, only those go; a reply that was lost is settled by what a majority read shows, and only after something
 * was sent (`sent`). Owns nothing. No lock: the server's. */
#include "vault/document_edit.h"
#include "vault/store/mongodb.h"

struct removal {
    const struct dkv_uuid *id;
    struct dkv_span expected;
    bool sent;
};

/* The selector; with expected bytes it takes the whole document as it was just read, so that no change gets lost that
 * is made between this and the delete. */
static enum dkv_rc look_before_removing(struct dkv_mongodb_connection *connection, const struct removal *want,
                                        bson_t *query, bool *ret_found, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf stored = {0};
    DKV_CLEANUP(bson_destroy) bson_t literal = BSON_INITIALIZER;
    bool same = false;
    bool found = false;
    DKV_TRY(dkv_mongodb_get(connection, want->id, &stored, &found, err));
    *ret_found = found;
    if (!found) {
        return DKV_OK;
    }
    DKV_TRY(dkv_document_same(want->expected, dkv_span_buf(&stored), &same, err));
    DKV_CHECK(same && dkv_mongodb_append_document(&literal, "$literal", dkv_span_buf(&stored)), err, DKV_E_CONFLICT,
              "the key's document has changed meanwhile; nothing was deleted");
    BCON_APPEND(query, "$expr", "{", "$eq", "[", "$$ROOT", BCON_DOCUMENT(&literal), "]", "}");
    return DKV_OK;
}

/* Nothing matched. */
static enum dkv_rc settle_removal(struct dkv_mongodb_connection *connection, const struct removal *want,
                                  bool sent_before, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf stored = {0};
    bool found = false;
    DKV_TRY(dkv_mongodb_get(connection, want->id, &stored, &found, err));
    if (!found) {
        return sent_before ? DKV_OK : dkv_mongodb_not_found(connection->store, want->id, err);
    }
    if (sent_before) {
        return dkv_mongodb_not_majority(connection->store, err);
    }
    return dkv_fail(err, DKV_E_CONFLICT, "the key's document has changed meanwhile; nothing was deleted");
}

static enum dkv_rc attempt_remove(struct dkv_mongodb_connection *connection, void *arg, struct dkv_error *err)
{
    struct removal *want = arg;
    DKV_CLEANUP(bson_destroy) bson_t query = BSON_INITIALIZER;
    DKV_CLEANUP(bson_destroy) bson_t reply = BSON_INITIALIZER;
    bson_error_t error = {0};
    const bool sent_before = want->sent;
    bool found = true;
    dkv_mongodb_append_id(&query, "_id", want->id);
    if (want->expected.len > 0) {
        DKV_TRY(look_before_removing(connection, want, &query, &found, err));
    }
    if (!found) {
        return settle_removal(connection, want, sent_before, err);
    }
    want->sent = true;
    if (!mongoc_collection_delete_one(connection->collection, &query, NULL /* opts */, &reply, &error)) {
        return dkv_mongodb_fail(connection->store, "deleting from", &error, &reply, err);
    }
    return dkv_mongodb_counted(&reply, "deletedCount") > 0 ? DKV_OK
                                                           : settle_removal(connection, want, sent_before, err);
}

enum dkv_rc dkv_mongodb_remove(struct dkv_store *base, const struct dkv_uuid *id, struct dkv_span expected,
                               struct dkv_error *err)
{
    struct removal want = {.id = id, .expected = expected};
    return dkv_mongodb_write(dkv_mongodb_of(base), DKV_MONGODB_KEYS, attempt_remove, &want, err);
}
