/* SPDX-License-Identifier: Apache-2.0 */
/* Putting documents into the MongoDB store. Invariants: only bytes that our own parser has taken are sent, with the _id
 * first, where the server would put it; no name goes in without the unique index; a lost reply is settled by sending
 * the same _id again: refused as a duplicate, with equal bytes shown by a majority read, it is in. Owns nothing. No
 * lock: the server's. */
#include "base/log.h"
#include "base/mem.h"
#include "vault/document_edit.h"
#include "vault/store/mongodb.h"

/* A document to be inserted. */
struct item {
    bson_t *bson; /* _id first */
    struct dkv_document document; /* borrows from bson */
};

static void item_done(struct item *item)
{
    dkv_document_done(&item->document);
    bson_destroy(item->bson);
}

static enum dkv_rc item_init(struct item *item, struct dkv_span bytes, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document judged = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf ordered = {0};
    DKV_TRY(dkv_document_parse(bytes, &judged, err));
    DKV_TRY(dkv_document_id_first(bytes, &ordered, err));
    item->bson = bson_new_from_data(ordered.data, ordered.len);
    DKV_CHECK(item->bson != NULL, err, DKV_E_INTERNAL, "a valid document is no BSON to libbson");
    return dkv_document_parse(dkv_mongodb_span(item->bson), &item->document, err);
}

/* ---- The index ---- */

/* A document without names doesn't need the index, but the first key of a vault is the time to make it. */
static enum dkv_rc prepare_index(struct dkv_mongodb_store *store, bool has_names, struct dkv_error *err)
{
    struct dkv_error why = {0};
    if (has_names) {
        return dkv_mongodb_need_index(store, err);
    }
    if (atomic_load(&store->index_seen_ms) != 0) {
        return DKV_OK;
    }
    const enum dkv_rc rc = dkv_mongodb_ensure_index(&store->base, &why);
    /* Nothing was sent of the key yet, and it would only wait for as long once more. */
    if (rc == DKV_E_UNREACHABLE || rc == DKV_E_AUTH || rc == DKV_E_TRANSIENT) {
        if (err != NULL) {
            *err = why;
        }
        return rc;
    }
    if (rc != DKV_OK) {
        dkv_log(DKV_LOG_WARNING, "the vault takes no new alt names: %s", why.message);
    }
    return DKV_OK;
}

/* ---- One ---- */

struct insertion {
    const struct item *item;
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

/* A duplicate, but of no _id and no name that is there. */
static enum dkv_rc fail_unexplained(const struct dkv_mongodb_store *store, const struct dkv_document *document,
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
                       : fail_unexplained(connection->store, document, err);
}

/* n documents, says the reply; a server that took none and calls it success has no key of ours. */
static enum dkv_rc check_count(const struct dkv_mongodb_store *store, const bson_t *reply, size_t n,
                               struct dkv_error *err)
{
    const int64_t counted = dkv_mongodb_counted(reply, "insertedCount");
    DKV_CHECK(counted >= 0 && (uint64_t)counted == n, err, DKV_E_INTERNAL,
              "writing %s: the server's reply counts %lld documents as inserted, not %zu", store->where,
              (long long)counted, n);
    return DKV_OK;
}

static enum dkv_rc attempt_insert(struct dkv_mongodb_connection *connection, bool repeated, void *arg,
                                  struct dkv_error *err)
{
    (void)repeated;
    struct insertion *insertion = arg;
    DKV_CLEANUP(bson_destroyp) bson_t *opts = BCON_NEW("validate", BCON_BOOL(false)); /* the parser is stricter */
    DKV_CLEANUP(bson_destroy) bson_t reply = BSON_INITIALIZER;
    bson_error_t error = {0};
    const bool sent_before = insertion->sent;
    insertion->sent = true;
    if (mongoc_collection_insert_one(connection->collection, insertion->item->bson, opts, &reply, &error)) {
        return check_count(connection->store, &reply, 1, err);
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
    DKV_CLEANUP(item_done) struct item item = {0};
    DKV_TRY(item_init(&item, document, err));
    DKV_TRY(prepare_index(store, item.document.n_alt_names > 0, err));
    struct insertion insertion = {.item = &item};
    const enum dkv_rc rc = dkv_mongodb_write(store, DKV_MONGODB_KEYS, attempt_insert, &insertion, err);
    if (rc == DKV_E_CONFLICT && ret_clash != NULL) {
        *ret_clash = insertion.clash;
    }
    return rc;
}

/* ---- Many ---- */

enum outcome { IS_IN, IS_DUPLICATE, IS_SETTLED };

struct batch {
    struct dkv_mongodb_store *store;
    struct item *items;
    const bson_t **bsons; /* the items', as libmongoc takes them */
    enum outcome *outcomes;
    size_t n;
    bool repeated; /* the reply to an earlier attempt was lost */
    bool sent;
    enum dkv_clash *clashes;
};

static void batch_done(struct batch *batch)
{
    for (size_t i = 0; batch->items != NULL && i < batch->n; i++) {
        item_done(&batch->items[i]);
    }
    dkv_free(batch->items);
    dkv_free(batch->bsons);
    dkv_free(batch->outcomes);
    dkv_free(batch->clashes);
}

static enum dkv_rc batch_init(struct batch *batch, const struct dkv_span *documents, size_t n, struct dkv_error *err)
{
    batch->n = n;
    batch->items = dkv_calloc(n, sizeof(*batch->items));
    batch->bsons = dkv_calloc(n, sizeof(*batch->bsons));
    batch->outcomes = dkv_calloc(n, sizeof(*batch->outcomes));
    batch->clashes = dkv_calloc(n, sizeof(*batch->clashes));
    if (batch->items == NULL || batch->bsons == NULL || batch->outcomes == NULL || batch->clashes == NULL) {
        return dkv_fail_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        DKV_TRY(item_init(&batch->items[i], documents[i], err));
        batch->bsons[i] = batch->items[i].bson;
    }
    return DKV_OK;
}

/* One of writeErrors: {index, code, errmsg}. false: *ret_other says what it is, for it is no duplicate. */
static bool read_duplicate(const bson_iter_t *item, struct batch *batch, bson_error_t *ret_other)
{
    bson_iter_t at;
    int64_t index = -1;
    int64_t code = 0;
    const char *words = "";
    if (!BSON_ITER_HOLDS_DOCUMENT(item) || !bson_iter_recurse(item, &at)) {
        return false;
    }
    while (bson_iter_next(&at)) {
        const char *name = bson_iter_key(&at);
        index = strcmp(name, "index") == 0 ? bson_iter_as_int64(&at) : index;
        code = strcmp(name, "code") == 0 ? bson_iter_as_int64(&at) : code;
        words = strcmp(name, "errmsg") == 0 && BSON_ITER_HOLDS_UTF8(&at) ? bson_iter_utf8(&at, NULL) : words;
    }
    if (code == MONGOC_ERROR_DUPLICATE_KEY && index >= 0 && (uint64_t)index < batch->n) {
        batch->outcomes[index] = IS_DUPLICATE;
        return true;
    }
    bson_set_error(ret_other, MONGOC_ERROR_SERVER, (uint32_t)code, "%s", words);
    return false;
}

/* The reply {writeErrors: [...], writeConcernErrors: [...]} to a batch with duplicates. false: it says more than that,
 * so that the others need not be in; that is *ret_other. libmongoc reports the first error alone. */
static bool read_duplicates(const bson_t *reply, struct batch *batch, bson_error_t *ret_other)
{
    bson_iter_t errors, at;
    if (bson_iter_init_find(&errors, reply, "writeConcernErrors") && bson_iter_recurse(&errors, &at) &&
        bson_iter_next(&at)) {
        bson_set_error(ret_other, MONGOC_ERROR_WRITE_CONCERN, MONGOC_ERROR_WRITE_CONCERN_ERROR, "write concern error");
        return false;
    }
    if (!bson_iter_init_find(&errors, reply, "writeErrors") || !bson_iter_recurse(&errors, &at)) {
        return false;
    }
    while (bson_iter_next(&at)) {
        if (!read_duplicate(&at, batch, ret_other)) {
            return false;
        }
    }
    return true;
}

static size_t count(const struct batch *batch, enum outcome outcome)
{
    size_t n = 0;
    for (size_t i = 0; i < batch->n; i++) {
        n += batch->outcomes[i] == outcome ? 1 : 0;
    }
    return n;
}

static enum dkv_rc attempt_batch(struct dkv_mongodb_connection *connection, bool repeated, void *arg,
                                 struct dkv_error *err)
{
    (void)repeated;
    struct batch *batch = arg;
    DKV_CLEANUP(bson_destroyp) bson_t *opts = BCON_NEW("ordered", BCON_BOOL(false), "validate", BCON_BOOL(false));
    DKV_CLEANUP(bson_destroy) bson_t reply = BSON_INITIALIZER;
    bson_error_t error = {0};
    memset(batch->outcomes, 0, batch->n * sizeof(*batch->outcomes)); /* IS_IN */
    batch->repeated = batch->sent;
    batch->sent = true;
    if (mongoc_collection_insert_many(connection->collection, batch->bsons, batch->n, opts, &reply, &error)) {
        return check_count(connection->store, &reply, batch->n, err);
    }
    if (error.code == MONGOC_ERROR_DUPLICATE_KEY && read_duplicates(&reply, batch, &error)) {
        return check_count(connection->store, &reply, count(batch, IS_IN), err);
    }
    return dkv_mongodb_fail(connection->store, "writing", &error, &reply, err);
}

/* ---- Settling the duplicates of many ---- */

static enum dkv_rc settle_by_id(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    struct batch *batch = arg;
    for (size_t i = 0; i < batch->n; i++) {
        struct item *item = &batch->items[i];
        bool same = false;
        if (batch->outcomes[i] == IS_IN || !dkv_uuid_equal(&item->document.id, id)) {
            continue;
        }
        DKV_TRY(dkv_document_same(document, dkv_mongodb_span(item->bson), &same, err));
        batch->outcomes[i] = IS_SETTLED;
        batch->clashes[i] = same && batch->repeated ? DKV_CLASH_NONE : DKV_CLASH_ID;
    }
    return DKV_OK;
}

static enum dkv_rc settle_ids(struct batch *batch, struct dkv_error *err)
{
    size_t n = 0;
    DKV_CLEANUP(dkv_freep) struct dkv_uuid *ids = dkv_calloc(batch->n, sizeof(*ids));
    if (ids == NULL) {
        return dkv_fail_memory(err);
    }
    for (size_t i = 0; i < batch->n; i++) {
        if (batch->outcomes[i] == IS_DUPLICATE) {
            ids[n++] = batch->items[i].document.id;
        }
    }
    return n > 0 ? dkv_mongodb_get_many(&batch->store->base, ids, n, settle_by_id, batch, err) : DKV_OK;
}

static enum dkv_rc settle_name(struct dkv_mongodb_connection *connection, const struct batch *batch, size_t i,
                               struct dkv_error *err)
{
    const struct dkv_document *document = &batch->items[i].document;
    struct dkv_uuid holder;
    const char *name = NULL;
    if (document->n_alt_names > 0) {
        DKV_TRY(dkv_mongodb_find_holder(connection, document->alt_names, document->n_alt_names, NULL /* but */,
                                        &holder, &name, err));
    }
    if (name != NULL || (document->has_alt_names && document->n_alt_names == 0)) {
        batch->clashes[i] = DKV_CLASH_NAME; /* an empty array too: the index takes one */
        return DKV_OK;
    }
    return batch->repeated ? dkv_mongodb_not_majority(batch->store, err)
                           : fail_unexplained(batch->store, document, err);
}

static enum dkv_rc settle_names(const struct batch *batch, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_mongodb_done) struct dkv_mongodb_connection connection = {0};
    if (count(batch, IS_DUPLICATE) == 0) {
        return DKV_OK;
    }
    DKV_TRY(dkv_mongodb_connect(batch->store, DKV_MONGODB_KEYS, &connection, err));
    for (size_t i = 0; i < batch->n; i++) {
        if (batch->outcomes[i] == IS_DUPLICATE) {
            DKV_TRY(settle_name(&connection, batch, i, err));
        }
    }
    return DKV_OK;
}

static bool has_names(const struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        if (batch->items[i].document.n_alt_names > 0) {
            return true;
        }
    }
    return false;
}

enum dkv_rc dkv_mongodb_insert_many(struct dkv_store *base, const struct dkv_span *documents, size_t n,
                                    enum dkv_clash *ret_clashes, struct dkv_error *err)
{
    DKV_CHECK(n <= DKV_STORE_BATCH, err, DKV_E_INVALID, "%zu documents at once, and a store takes %u", n,
              DKV_STORE_BATCH);
    DKV_CLEANUP(batch_done) struct batch batch = {.store = dkv_mongodb_of(base)};
    if (n == 0) {
        return DKV_OK;
    }
    DKV_TRY(batch_init(&batch, documents, n, err));
    DKV_TRY(prepare_index(batch.store, has_names(&batch), err));
    DKV_TRY(dkv_mongodb_write(batch.store, DKV_MONGODB_KEYS, attempt_batch, &batch, err));
    DKV_TRY(settle_ids(&batch, err));
    DKV_TRY(settle_names(&batch, err));
    memcpy(ret_clashes, batch.clashes, n * sizeof(*ret_clashes));
    return DKV_OK;
}
