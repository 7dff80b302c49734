/* SPDX-License-Identifier: Apache-2.0 */
/* Putting many documents into the MongoDB store by one command, of which each goes in or is a duplicate for itself.
 * Invariant: a document counts as in only if the server says so, or if a majority read shows it after a lost reply; a
 * duplicate only if the _id or the name is seen to be taken. Owns nothing. No lock: the server's. */
#include "base/mem.h"
#include "vault/document_edit.h"
#include "vault/store/mongodb_insert.h"

/* ---- A batch ---- */

enum outcome { IS_IN, IS_DUPLICATE, IS_SETTLED };

struct batch {
    struct dkv_mongodb_store *store;
    struct dkv_mongodb_item *items;
    const bson_t **bsons; /* the items', as libmongoc takes them */
    enum outcome *outcomes;
    size_t n;
    bool sent;
    bool sent_before; /* by an attempt whose reply was lost */
    enum dkv_clash *clashes;
};

static void batch_done(struct batch *batch)
{
    for (size_t i = 0; batch->items != NULL && i < batch->n; i++) {
        dkv_mongodb_item_done(&batch->items[i]);
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
        DKV_TRY(dkv_mongodb_item_init(&batch->items[i], documents[i], err));
        batch->bsons[i] = batch->items[i].bson;
    }
    return DKV_OK;
}

/* ---- What the reply says ---- */

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

static enum dkv_rc attempt_batch(struct dkv_mongodb_connection *connection, void *arg, struct dkv_error *err)
{
    struct batch *batch = arg;
    DKV_CLEANUP(bson_destroyp) bson_t *opts = BCON_NEW("ordered", BCON_BOOL(false), "validate", BCON_BOOL(false));
    DKV_CLEANUP(bson_destroy) bson_t reply = BSON_INITIALIZER;
    bson_error_t error = {0};
    memset(batch->outcomes, 0, batch->n * sizeof(*batch->outcomes)); /* IS_IN */
    batch->sent_before = batch->sent;
    batch->sent = true;
    if (mongoc_collection_insert_many(connection->collection, batch->bsons, batch->n, opts, &reply, &error)) {
        return dkv_mongodb_check_inserted(connection->store, &reply, batch->n, err);
    }
    if (error.code == MONGOC_ERROR_DUPLICATE_KEY && read_duplicates(&reply, batch, &error)) {
        return dkv_mongodb_check_inserted(connection->store, &reply, count(batch, IS_IN), err);
    }
    return dkv_mongodb_fail(connection->store, "writing", &error, &reply, err);
}

/* ---- Settling its duplicates ---- */

static enum dkv_rc settle_by_id(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    struct batch *batch = arg;
    for (size_t i = 0; i < batch->n; i++) {
        struct dkv_mongodb_item *item = &batch->items[i];
        bool same = false;
        if (batch->outcomes[i] == IS_IN || !dkv_uuid_equal(&item->document.id, id)) {
            continue;
        }
        DKV_TRY(dkv_document_same(document, dkv_mongodb_span(item->bson), &same, err));
        batch->outcomes[i] = IS_SETTLED;
        batch->clashes[i] = same && batch->sent_before ? DKV_CLASH_NONE : DKV_CLASH_ID;
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
    return batch->sent_before ? dkv_mongodb_not_majority(batch->store, err)
                              : dkv_mongodb_unexplained(batch->store, document, err);
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

/* ---- The call ---- */

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
    DKV_CHECK(n <= DKV_STORE_BATCH, err, DKV_E_INVALID, "at most %u documents go in at once, not %zu", DKV_STORE_BATCH,
              n);
    DKV_CLEANUP(batch_done) struct batch batch = {.store = dkv_mongodb_of(base)};
    if (n == 0) {
        return DKV_OK;
    }
    DKV_TRY(batch_init(&batch, documents, n, err));
    DKV_TRY(dkv_mongodb_prepare_index(batch.store, has_names(&batch), err));
    DKV_TRY(dkv_mongodb_write(batch.store, DKV_MONGODB_KEYS, attempt_batch, &batch, err));
    DKV_TRY(settle_ids(&batch, err));
    DKV_TRY(settle_names(&batch, err));
    memcpy(ret_clashes, batch.clashes, n * sizeof(*ret_clashes));
    return DKV_OK;
}
