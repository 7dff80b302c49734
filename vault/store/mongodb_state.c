/* SPDX-License-Identifier: Apache-2.0 */
/* The vault's state in MongoDB: documents {_id: key, value: BinData 0} in the collection beside the keys, each changed
 * by compare-and-set. Invariant: a reply that was lost is settled by what a majority read shows. Owns nothing. No lock:
 * the server's. */
#include "vault/document_bson.h"
#include "vault/store/mongodb.h"

#define READING "reading the state of"
#define WRITING "writing the state of"
#define PAGE 100 /* records read at once by state_list, so that no connection is held while a visitor runs */

/* ---- One record ---- */

/* Borrows from record. */
static enum dkv_rc read_value(const struct dkv_mongodb_store *store, const char *key, const bson_t *record,
                              struct dkv_span *ret, struct dkv_error *err)
{
    struct dkv_span value;
    DKV_CHECK(dkv_mongodb_read_binary(record, "value", BSON_SUBTYPE_BINARY, &value) && value.len > 0, err,
              DKV_E_REJECTED_CIPHERTEXT, "the state record %s in the vault %s has no binary value", key, store->where);
    *ret = value;
    return DKV_OK;
}

/* The value, appended to ret; *ret_found false: there is none. */
static enum dkv_rc find_record(struct dkv_mongodb_connection *connection, const char *key, struct dkv_buf *ret,
                               bool *ret_found, struct dkv_error *err)
{
    DKV_CLEANUP(bson_destroyp) bson_t *query = BCON_NEW("_id", BCON_UTF8(key));
    DKV_CLEANUP(mongoc_cursor_destroyp) mongoc_cursor_t *cursor = dkv_mongodb_find(connection, query, 1);
    const bson_t *record = NULL;
    struct dkv_span value;
    DKV_TRY(dkv_mongodb_next(connection->store, cursor, READING, &record, err));
    if (record != NULL) {
        DKV_TRY(read_value(connection->store, key, record, &value, err));
        DKV_TRY(dkv_buf_append(ret, value, err));
    }
    *ret_found = record != NULL;
    return DKV_OK;
}

struct state_get {
    const char *key;
    struct dkv_buf value;
};

static enum dkv_rc attempt_get(struct dkv_mongodb_connection *connection, void *arg, struct dkv_error *err)
{
    struct state_get *get = arg;
    bool found = false;
    DKV_TRY(find_record(connection, get->key, &get->value, &found, err)); /* appends only when it succeeds */
    DKV_CHECK(found, err, DKV_E_NOT_FOUND, "the vault %s has no state record %s", connection->store->where, get->key);
    return DKV_OK;
}

enum dkv_rc dkv_mongodb_state_get(struct dkv_store *base, const char *key, struct dkv_buf *ret, struct dkv_error *err)
{
    struct state_get get = {.key = key};
    enum dkv_rc rc = dkv_mongodb_read(dkv_mongodb_of(base), DKV_MONGODB_STATE, attempt_get, &get, err);
    if (rc == DKV_OK) {
        rc = dkv_buf_append(ret, dkv_span_buf(&get.value), err);
    }
    dkv_buf_done(&get.value);
    return rc;
}

/* ---- Changing one ---- */

struct state_put {
    const char *key;
    struct dkv_span expected;
    struct dkv_span value;
    bool sent;
};

/* Each: *ret_done false: what is there isn't what was expected. */
static enum dkv_rc send_insert(struct dkv_mongodb_connection *connection, const struct state_put *put, bool *ret_done,
                               struct dkv_error *err)
{
    DKV_CLEANUP(bson_destroyp) bson_t *record = BCON_NEW("_id", BCON_UTF8(put->key));
    DKV_CLEANUP(bson_destroy) bson_t reply = BSON_INITIALIZER;
    bson_error_t error = {0};
    dkv_mongodb_append_bytes(record, "value", put->value);
    const bool done = mongoc_collection_insert_one(connection->collection, record, NULL /* opts */, &reply, &error);
    if (!done && error.code != MONGOC_ERROR_DUPLICATE_KEY) {
        return dkv_mongodb_fail(connection->store, WRITING, &error, &reply, err);
    }
    *ret_done = done;
    return DKV_OK;
}

static enum dkv_rc send_update(struct dkv_mongodb_connection *connection, const struct state_put *put, bool *ret_done,
                               struct dkv_error *err)
{
    DKV_CLEANUP(bson_destroyp) bson_t *query = BCON_NEW("_id", BCON_UTF8(put->key));
    DKV_CLEANUP(bson_destroy) bson_t set = BSON_INITIALIZER;
    DKV_CLEANUP(bson_destroy) bson_t reply = BSON_INITIALIZER;
    bson_error_t error = {0};
    dkv_mongodb_append_bytes(query, "value", put->expected);
    dkv_mongodb_append_bytes(&set, "value", put->value);
    DKV_CLEANUP(bson_destroyp) bson_t *change = BCON_NEW("$set", BCON_DOCUMENT(&set));
    if (!mongoc_collection_update_one(connection->collection, query, change, NULL /* opts */, &reply, &error)) {
        return dkv_mongodb_fail(connection->store, WRITING, &error, &reply, err);
    }
    *ret_done = dkv_mongodb_counted(&reply, "matchedCount") > 0;
    return DKV_OK;
}

static enum dkv_rc send_delete(struct dkv_mongodb_connection *connection, const struct state_put *put, bool *ret_done,
                               struct dkv_error *err)
{
    DKV_CLEANUP(bson_destroyp) bson_t *query = BCON_NEW("_id", BCON_UTF8(put->key));
    DKV_CLEANUP(bson_destroy) bson_t reply = BSON_INITIALIZER;
    bson_error_t error = {0};
    dkv_mongodb_append_bytes(query, "value", put->expected);
    if (!mongoc_collection_delete_one(connection->collection, query, NULL /* opts */, &reply, &error)) {
        return dkv_mongodb_fail(connection->store, WRITING, &error, &reply, err);
    }
    *ret_done = dkv_mongodb_counted(&reply, "deletedCount") > 0;
    return DKV_OK;
}

static enum dkv_rc send_put(struct dkv_mongodb_connection *connection, struct state_put *put, bool *ret_done,
                            struct dkv_error *err)
{
    if (put->expected.len == 0 && put->value.len == 0) { /* nothing to change; it must be absent */
        *ret_done = false;
        return DKV_OK;
    }
    put->sent = true;
    if (put->expected.len == 0) {
        return send_insert(connection, put, ret_done, err);
    }
    return put->value.len == 0 ? send_delete(connection, put, ret_done, err)
                               : send_update(connection, put, ret_done, err);
}

static enum dkv_rc attempt_put(struct dkv_mongodb_connection *connection, void *arg, struct dkv_error *err)
{
    struct state_put *put = arg;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf current = {0};
    const bool sent_before = put->sent;
    bool done = false;
    bool found = false;
    DKV_TRY(send_put(connection, put, &done, err));
    if (done) {
        return DKV_OK;
    }
    DKV_TRY(find_record(connection, put->key, &current, &found, err));
    const bool is_wanted = dkv_span_equal(dkv_span_buf(&current), put->value);
    if (is_wanted && (sent_before || !put->sent)) {
        return DKV_OK;
    }
    if (sent_before && dkv_span_equal(dkv_span_buf(&current), put->expected)) {
        return dkv_mongodb_not_majority(connection->store, err);
    }
    return dkv_fail(err, DKV_E_CONFLICT, "the state record %s in the vault %s has changed", put->key,
                    connection->store->where);
}

enum dkv_rc dkv_mongodb_state_put(struct dkv_store *base, const char *key, struct dkv_span expected,
                                  struct dkv_span value, struct dkv_error *err)
{
    struct state_put put = {.key = key, .expected = expected, .value = value};
    return dkv_mongodb_write(dkv_mongodb_of(base), DKV_MONGODB_STATE, attempt_put, &put, err);
}

/* ---- All of them ---- */

struct page {
    const char *after;    /* NULL: from the first on */
    struct dkv_buf bytes; /* one BSON document after the other */
    size_t n;
};

static void page_done(struct page *page)
{
    dkv_buf_done(&page->bytes);
}

/* Only texts: what else is there has no key. */
static enum dkv_rc attempt_page(struct dkv_mongodb_connection *connection, void *arg, struct dkv_error *err)
{
    struct page *page = arg;
    DKV_CLEANUP(bson_destroyp) bson_t *query = BCON_NEW("_id", "{", page->after != NULL ? "$gt" : "$gte",
                                                        BCON_UTF8(page->after != NULL ? page->after : ""), "}");
    DKV_CLEANUP(bson_destroyp) bson_t *opts =
        BCON_NEW("sort", "{", "_id", BCON_INT32(1), "}", "limit", BCON_INT64(PAGE));
    DKV_CLEANUP(mongoc_cursor_destroyp) mongoc_cursor_t *cursor =
        mongoc_collection_find_with_opts(connection->collection, query, opts, NULL /* read_prefs */);
    const bson_t *record = NULL;
    page->bytes.len = 0;
    page->n = 0;
    DKV_TRY(dkv_mongodb_next(connection->store, cursor, READING, &record, err));
    for (; record != NULL && page->n < PAGE; page->n++) {
        DKV_CHECK(record->len <= DKV_DOCUMENT_MAX, err, DKV_E_REJECTED_CIPHERTEXT,
                  "the vault %s has a state record of more than %u bytes", connection->store->where, DKV_DOCUMENT_MAX);
        DKV_TRY(dkv_buf_append(&page->bytes, dkv_mongodb_span(record), err));
        DKV_TRY(dkv_mongodb_next(connection->store, cursor, READING, &record, err));
    }
    return DKV_OK;
}

/* *last borrows from the bytes. A key with a NUL inside, or one that isn't behind the last, would be listed for ever.
 */
static enum dkv_rc visit_record(const struct dkv_mongodb_store *store, const bson_t *record, dkv_state_visit_fn visit,
                                void *arg, const char **last, struct dkv_error *err)
{
    bson_iter_t iter;
    uint32_t len = 0;
    const char *key = NULL;
    struct dkv_span value;
    DKV_TRY(dkv_bson_check(dkv_mongodb_span(record), err));
    if (bson_iter_init_find(&iter, record, "_id") && BSON_ITER_HOLDS_UTF8(&iter)) {
        key = bson_iter_utf8(&iter, &len);
    }
    DKV_CHECK(key != NULL && strlen(key) == len, err, DKV_E_REJECTED_CIPHERTEXT,
              "the vault %s has a state record whose _id is no key", store->where);
    DKV_CHECK(*last == NULL || strcmp(*last, key) < 0, err, DKV_E_REJECTED_CIPHERTEXT,
              "reading the state of %s: the server gave the record %s twice, or out of its order", store->where, key);
    DKV_TRY(read_value(store, key, record, &value, err));
    DKV_TRY(visit(arg, key, value, err));
    *last = key;
    return DKV_OK;
}

static enum dkv_rc visit_page(const struct dkv_mongodb_store *store, const struct page *page, dkv_state_visit_fn visit,
                              void *arg, const char **last, struct dkv_error *err)
{
    bson_t record;
    size_t at = 0;
    for (size_t i = 0; i < page->n; i++) {
        uint32_t len = 0;
        memcpy(&len, page->bytes.data + at, sizeof(len));
        len = BSON_UINT32_FROM_LE(len);
        DKV_CHECK(bson_init_static(&record, page->bytes.data + at, len), err, DKV_E_REJECTED_CIPHERTEXT,
                  "the vault %s has a state record that is not BSON", store->where);
        DKV_TRY(visit_record(store, &record, visit, arg, last, err));
        at += len;
    }
    return DKV_OK;
}

enum dkv_rc dkv_mongodb_state_list(struct dkv_store *base, dkv_state_visit_fn visit, void *arg, struct dkv_error *err)
{
    struct dkv_mongodb_store *store = dkv_mongodb_of(base);
    DKV_CLEANUP(page_done) struct page last = {0}; /* the next one's `after` lies in it */
    const char *after = NULL;
    do {
        DKV_CLEANUP(page_done) struct page page = {.after = after};
        DKV_TRY(dkv_mongodb_read(store, DKV_MONGODB_STATE, attempt_page, &page, err));
        DKV_TRY(visit_page(store, &page, visit, arg, &after, err));
        dkv_buf_steal(&last.bytes, &page.bytes);
        last.n = page.n;
    } while (last.n == PAGE);
    return DKV_OK;
}
