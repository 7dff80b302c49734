/* SPDX-License-Identifier: Apache-2.0 */
/* Putting documents into the MongoDB store. Invariants: only bytes that our own parser has taken are sent, with the _id
 * first, where the server would put it; no name goes in without the unique index; a lost reply is settled by sending
 * the same _id again: refused as a duplicate, with equal bytes shown by a majority read, it is in. Owns nothing. No
 * lock: the server's. */
#include "vault/document_edit.h"
#include "vault/store/mongodb_insert.h"

/* ---- What one and many share ---- */

void dkv_mongodb_item_done(struct dkv_mongodb_item *item)
{
    dkv_document_done(&item->document);
    bson_destroy(item->bson);
}

enum dkv_rc dkv_mongodb_item_init(struct dkv_mongodb_item *item, struct dkv_span bytes, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document judged = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf ordered = {0};
    DKV_TRY(dkv_document_parse(bytes, &judged, err));
    DKV_TRY(dkv_document_id_first(bytes, &ordered, err));
    item->bson = bson_new_from_data(ordered.data, ordered.len);
    DKV_CHECK(item->bson != NULL, err, DKV_E_INTERNAL, "a valid document is no BSON to libbson");
    return dkv_document_parse(dkv_mongodb_span(item->bson), &item->document, err);
}

enum dkv_rc dkv_mongodb_unexplained(const struct dkv_mongodb_store *store, const struct dkv_document *document,
                                    struct dkv_error *err)
{
    if (document->has_alt_names && document->n_alt_names == 0) {
        return dkv_fail(err, DKV_E_CONFLICT,
                        "the vault %s takes an empty keyAltNames only once, by its unique index: leave the field out",
                        store->where);
    }
    return dkv_fail(err, DKV_E_CONFLICT,
                    "the server refused the key as a duplicate, but the vault %s has neither its _id nor its names now:"
                    " see the index in dekvault vault info, then try again", store->where);
}

/* A server that took none and calls it success has no key of ours. */
enum dkv_rc dkv_mongodb_check_inserted(const struct dkv_mongodb_store *store, const bson_t *reply, size_t n,
                                       struct dkv_error *err)
{
    const int64_t counted = dkv_mongodb_counted(reply, "insertedCount");
    DKV_CHECK(counted >= 0 && (uint64_t)counted == n, err, DKV_E_INTERNAL,
              "writing %s: the server's reply counts %lld documents as inserted, not %zu", store->where,
              (long long)counted, n);
    return DKV_OK;
}

/* ---- One ---- */

struct insertion {
    const struct dkv_mongodb_item *item;
    enum dkv_clash clash;
    bool sent;
};

static enum dkv_rc fail_id_taken(const struct dkv_mongodb_store *store, const struct dkv_uuid *id,
                                 struct dkv_error *err)
{
    char text[37];
    dkv_uuid_format(id, text);
    return dkv_fail(err, DKV_E_CONFLICT, "the vault %s has a key %s already", store->where, text);
}

/* The holder of one of its names, if there is one. */
static enum dkv_rc check_names(struct dkv_mongodb_connection *connection, const struct dkv_document *document,
                               struct dkv_error *err)
{
    struct dkv_uuid holder = {0};
    const char *name = NULL;
    char text[37];
    DKV_TRY(dkv_mongodb_find_holder(connection, document->alt_names, document->n_alt_names, NULL /* but */, &holder,
                                    &name, err));
    dkv_uuid_format(&holder, text);
    DKV_CHECK(name == NULL, err, DKV_E_CONFLICT, "the alt name \"%s\" belongs to the key %s already", name, text);
    return DKV_OK;
}

/* A duplicate: of what? By majority reads. DKV_OK: it is in. */
static enum dkv_rc settle_one(struct dkv_mongodb_connection *connection, struct insertion *insertion, bool sent_before,
                              const bson_error_t *error, const bson_t *reply, struct dkv_error *err)
{
    const struct dkv_document *document = &insertion->item->document;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf stored = {0};
    bool found = false;
    bool same = false;
    DKV_TRY(dkv_mongodb_get(connection, &document->id, &stored, &found, err));
    if (found) {
        DKV_TRY(dkv_document_same(dkv_span_buf(&stored), dkv_mongodb_span(insertion->item->bson), &same, err));
        insertion->clash = DKV_CLASH_ID;
        return same && sent_before ? DKV_OK : fail_id_taken(connection->store, &document->id, err);
    }
    insertion->clash = document->has_alt_names ? DKV_CLASH_NAME : DKV_CLASH_NONE;
    DKV_TRY(check_names(connection, document, err));
    if (error->code != MONGOC_ERROR_DUPLICATE_KEY) {
        return dkv_mongodb_fail(connection->store, "writing", error, reply, err);
    }
    return sent_before ? dkv_mongodb_not_majority(connection->store, err)
                       : dkv_mongodb_unexplained(connection->store, document, err);
}

static enum dkv_rc attempt_insert(struct dkv_mongodb_connection *connection, void *arg, struct dkv_error *err)
{
    struct insertion *insertion = arg;
    DKV_CLEANUP(bson_destroyp) bson_t *opts = BCON_NEW("validate", BCON_BOOL(false)); /* the parser is stricter */
    DKV_CLEANUP(bson_destroy) bson_t reply = BSON_INITIALIZER;
    bson_error_t error = {0};
    const bool sent_before = insertion->sent;
    insertion->sent = true;
    if (mongoc_collection_insert_one(connection->collection, insertion->item->bson, opts, &reply, &error)) {
        return dkv_mongodb_check_inserted(connection->store, &reply, 1, err);
    }
    if (dkv_mongodb_may_be_duplicate(&error)) {
        return settle_one(connection, insertion, sent_before, &error, &reply, err);
    }
    return dkv_mongodb_fail(connection->store, "writing", &error, &reply, err);
}

enum dkv_rc dkv_mongodb_insert(struct dkv_store *base, struct dkv_span document, enum dkv_clash *ret_clash,
                               struct dkv_error *err)
{
    struct dkv_mongodb_store *store = dkv_mongodb_of(base);
    DKV_CLEANUP(dkv_mongodb_item_done) struct dkv_mongodb_item item = {0};
    DKV_TRY(dkv_mongodb_item_init(&item, document, err));
    DKV_TRY(dkv_mongodb_prepare_index(store, item.document.n_alt_names > 0, err));
    struct insertion insertion = {.item = &item};
    const enum dkv_rc rc = dkv_mongodb_write(store, DKV_MONGODB_KEYS, attempt_insert, &insertion, err);
    if (rc == DKV_E_CONFLICT && ret_clash != NULL) {
        *ret_clash = insertion.clash;
    }
    return rc;
}
