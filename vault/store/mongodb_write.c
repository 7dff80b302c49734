/* SPDX-License-Identifier: Apache-2.0 */
/* Changing the wrap and the status of documents in the MongoDB store: compare-and-set, each by one update of one.
 * Invariant: nothing that isn't a valid document is changed; a reply that was lost is settled by what a majority read
 * shows, and only after something was sent (`sent`). Owns nothing. No lock: the server's. */
#include "base/clock.h"
#include "vault/document_edit.h"
#include "vault/store/mongodb.h"

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

static enum dkv_rc attempt_replace(struct dkv_mongodb_connection *connection, void *arg, struct dkv_error *err)
{
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

static enum dkv_rc attempt_switch(struct dkv_mongodb_connection *connection, void *arg, struct dkv_error *err)
{
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
