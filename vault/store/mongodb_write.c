/* SPDX-License-Identifier: Apache-2.0 */
/* Changing and deleting documents in the MongoDB store: compare-and-set, each in one update or delete of one document.
 * Invariant: nothing that isn't a valid document is changed; a reply that was lost is settled by what a majority read
 * shows, and only after something was sent (`sent`). Owns nothing. No lock: the server's. */
#include "base/clock.h"
#include "vault/document_edit.h"
#include "vault/store/mongodb.h"

int64_t dkv_mongodb_counted(const bson_t *reply, const char *what)
{
    bson_iter_t iter;
    return bson_iter_init_find(&iter, reply, what) && BSON_ITER_HOLDS_INT(&iter) ? bson_iter_as_int64(&iter) : 0;
}

bool dkv_mongodb_may_be_duplicate(const bson_error_t *error)
{
    return error->code == MONGOC_ERROR_DUPLICATE_KEY || error->code == 1;
}

enum dkv_rc dkv_mongodb_not_found(const struct dkv_mongodb_store *store, const struct dkv_uuid *id,
                                  struct dkv_error *err)
{
    char text[37];
    dkv_uuid_format(id, text);
    (void)dkv_fail(err, DKV_E_NOT_FOUND, "there is no key %s in the vault %s", text, store->where);
    dkv_error_key(err, text);
    return DKV_E_NOT_FOUND;
}

enum dkv_rc dkv_mongodb_not_majority(const struct dkv_mongodb_store *store, struct dkv_error *err)
{
    return dkv_fail(err, DKV_E_TRANSIENT,
                    "writing %s: the reply was lost, and a majority of the servers doesn't show the change yet",
                    store->where);
}

static enum dkv_rc parse_own(const struct dkv_mongodb_store *store, const struct dkv_uuid *id, struct dkv_span bytes,
                             struct dkv_document *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    char text[37];
    DKV_TRY(dkv_document_parse(bytes, &document, err));
    dkv_uuid_format(id, text);
    DKV_CHECK(dkv_uuid_equal(&document.id, id), err, DKV_E_REJECTED_CIPHERTEXT,
              "the vault %s keeps another document under the _id %s", store->where, text);
    *ret = document;
    document = (struct dkv_document){0};
    return DKV_OK;
}

enum dkv_rc dkv_mongodb_get_judged(struct dkv_mongodb_connection *connection, const struct dkv_uuid *id,
                                   struct dkv_buf *ret_bytes, struct dkv_document *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    bool found = false;
    DKV_TRY(dkv_mongodb_get(connection, id, &bytes, &found, err));
    if (!found) {
        return dkv_mongodb_not_found(connection->store, id, err);
    }
    const enum dkv_rc rc = parse_own(connection->store, id, dkv_span_buf(&bytes), ret, err);
    if (rc != DKV_OK) {
        dkv_error_key_id(err, id);
        return rc;
    }
    dkv_buf_steal(ret_bytes, &bytes);
    return DKV_OK;
}

/* update_one; *ret_matched false: no document is as the query says. */
static enum dkv_rc update(struct dkv_mongodb_connection *connection, const bson_t *query, const bson_t *change,
                          bool *ret_matched, struct dkv_error *err)
{
    DKV_CLEANUP(bson_destroy) bson_t reply = BSON_INITIALIZER;
    bson_error_t error = {0};
    if (!mongoc_collection_update_one(connection->collection, query, change, NULL /* opts */, &reply, &error)) {
        return dkv_mongodb_fail(connection->store, "writing", &error, &reply, err);
    }
    *ret_matched = dkv_mongodb_counted(&reply, "matchedCount") > 0;
    return DKV_OK;
}

/* ---- Key material ---- */

struct replacement {
    const struct dkv_uuid *id;
    struct dkv_span expected_master_key, expected_material, master_key, material;
    bool sent;
};

static bool holds(const struct dkv_document *document, struct dkv_span master_key, struct dkv_span material)
{
    return dkv_span_equal(document->master_key, master_key) && dkv_span_equal(document->key_material, material);
}

/* *ret_done: an earlier attempt did it. Else the document is as expected, and what it will be is a valid document. */
static enum dkv_rc look_before_replacing(struct dkv_mongodb_connection *connection, const struct replacement *want,
                                         bool *ret_done, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf next = {0};
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    DKV_CLEANUP(dkv_document_done) struct dkv_document rehearsed = {0};
    DKV_TRY(dkv_mongodb_get_judged(connection, want->id, &bytes, &document, err));
    if (want->sent && holds(&document, want->master_key, want->material)) {
        *ret_done = true;
        return DKV_OK;
    }
    DKV_CHECK(holds(&document, want->expected_master_key, want->expected_material), err, DKV_E_CONFLICT,
              "the key was wrapped anew by somebody else meanwhile");
    DKV_TRY(dkv_document_set_material(dkv_span_buf(&bytes), want->master_key, want->material,
                                      dkv_clock_real.wall_ms(), &next, err));
    DKV_TRY(dkv_document_parse(dkv_span_buf(&next), &rehearsed, err));
    *ret_done = false;
    return DKV_OK;
}

/* {$eq: ...}, since a masterKey whose first field is named as an operator would be one. */
static bool append_query(bson_t *query, const struct replacement *want)
{
    DKV_CLEANUP(bson_destroy) bson_t equal = BSON_INITIALIZER;
    dkv_mongodb_append_id(query, "_id", want->id);
    if (!dkv_mongodb_append_document(&equal, "$eq", want->expected_master_key)) {
        return false;
    }
    (void)BSON_APPEND_DOCUMENT(query, "masterKey", &equal);
    dkv_mongodb_append_bytes(query, "keyMaterial", want->expected_material);
    return true;
}

static bool append_change(bson_t *change, const struct replacement *want)
{
    DKV_CLEANUP(bson_destroy) bson_t set = BSON_INITIALIZER;
    DKV_CLEANUP(bson_destroy) bson_t now = BSON_INITIALIZER;
    if (!dkv_mongodb_append_document(&set, "masterKey", want->master_key)) {
        return false;
    }
    dkv_mongodb_append_bytes(&set, "keyMaterial", want->material);
    (void)BSON_APPEND_BOOL(&now, "updateDate", true);
    (void)BSON_APPEND_DOCUMENT(change, "$set", &set);
    (void)BSON_APPEND_DOCUMENT(change, "$currentDate", &now);
    return true;
}

static enum dkv_rc attempt_replace(struct dkv_mongodb_connection *connection, bool repeated, void *arg,
                                   struct dkv_error *err)
{
    (void)repeated;
    struct replacement *want = arg;
    DKV_CLEANUP(bson_destroy) bson_t query = BSON_INITIALIZER;
    DKV_CLEANUP(bson_destroy) bson_t change = BSON_INITIALIZER;
    const bool sent_before = want->sent;
    bool done = false;
    DKV_TRY(look_before_replacing(connection, want, &done, err));
    if (done) {
        return DKV_OK;
    }
    DKV_CHECK(append_query(&query, want) && append_change(&change, want), err, DKV_E_INVALID,
              "a masterKey is not BSON");
    want->sent = true;
    DKV_TRY(update(connection, &query, &change, &done, err));
    if (!done) {
        DKV_TRY(look_before_replacing(connection, want, &done, err));
    }
    if (!done && sent_before) {
        return dkv_mongodb_not_majority(connection->store, err);
    }
    DKV_CHECK(done, err, DKV_E_CONFLICT, "the key was changed by somebody else meanwhile");
    return DKV_OK;
}

enum dkv_rc dkv_mongodb_replace_material(struct dkv_store *base, const struct dkv_uuid *id,
                                         struct dkv_span expected_master_key, struct dkv_span expected_material,
                                         struct dkv_span master_key, struct dkv_span material, struct dkv_error *err)
{
    struct replacement want = {
        .id = id,
        .expected_master_key = expected_master_key,
        .expected_material = expected_material,
        .master_key = master_key,
        .material = material,
    };
    return dkv_mongodb_write(dkv_mongodb_of(base), DKV_MONGODB_KEYS, attempt_replace, &want, err);
}

/* ---- Status ---- */

struct switching {
    const struct dkv_uuid *id;
    int32_t status;
    bool sent;
    bool changed;
};

static enum dkv_rc look_at_status(struct dkv_mongodb_connection *connection, const struct switching *want,
                                  bool *ret_done, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    DKV_TRY(dkv_mongodb_get_judged(connection, want->id, &bytes, &document, err));
    *ret_done = document.status == want->status;
    return DKV_OK;
}

static enum dkv_rc update_status(struct dkv_mongodb_connection *connection, const struct switching *want,
                                 bool *ret_matched, struct dkv_error *err)
{
    DKV_CLEANUP(bson_destroy) bson_t query = BSON_INITIALIZER;
    dkv_mongodb_append_id(&query, "_id", want->id);
    BCON_APPEND(&query, "status", "{", "$ne", BCON_INT32(want->status), "}");
    DKV_CLEANUP(bson_destroyp) bson_t *change = BCON_NEW("$set", "{", "status", BCON_INT32(want->status), "}");
    return update(connection, &query, change, ret_matched, err);
}

static enum dkv_rc attempt_switch(struct dkv_mongodb_connection *connection, bool repeated, void *arg,
                                  struct dkv_error *err)
{
    (void)repeated;
    struct switching *want = arg;
    const bool sent_before = want->sent;
    bool done = false;
    bool matched = false;
    DKV_TRY(look_at_status(connection, want, &done, err));
    if (!done) {
        want->sent = true;
        DKV_TRY(update_status(connection, want, &matched, err));
    }
    if (!done && !matched) { /* deleted, or somebody else was faster */
        DKV_TRY(look_at_status(connection, want, &done, err));
        if (!done && sent_before) {
            return dkv_mongodb_not_majority(connection->store, err);
        }
        DKV_CHECK(done, err, DKV_E_CONFLICT, "the key was changed by somebody else meanwhile");
    }
    want->changed = matched || sent_before;
    return DKV_OK;
}

enum dkv_rc dkv_mongodb_set_status(struct dkv_store *base, const struct dkv_uuid *id, int32_t status, bool *ret_changed,
                                   struct dkv_error *err)
{
    DKV_CHECK(status == DKV_STATUS_ENABLED || status == DKV_STATUS_DISABLED, err, DKV_E_INVALID,
              "a key's status is 0 or 1, not %d", status);
    struct switching want = {.id = id, .status = status};
    DKV_TRY(dkv_mongodb_write(dkv_mongodb_of(base), DKV_MONGODB_KEYS, attempt_switch, &want, err));
    if (ret_changed != NULL) {
        *ret_changed = want.changed;
    }
    return DKV_OK;
}

/* ---- remove ---- */

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

static enum dkv_rc attempt_remove(struct dkv_mongodb_connection *connection, bool repeated, void *arg,
                                  struct dkv_error *err)
{
    (void)repeated;
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
