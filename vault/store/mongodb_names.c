/* SPDX-License-Identifier: Apache-2.0 */
/* Giving and taking alt names in the MongoDB store, by the drivers' findAndModify commands, which return the document
 * as it was before (MongoDB specifications, client-side-encryption, "addKeyAltName" and "removeKeyAltName"). Invariant:
 * no name is written without the unique index, and nothing that isn't a valid document is changed. Owns nothing. No
 * lock: the server's. */
#include "base/mem.h"
#include "vault/document_edit.h"
#include "vault/store/mongodb.h"

DKV_DEFINE_FREEP(mongoc_find_and_modify_opts_t, mongoc_find_and_modify_opts_destroy);

struct naming {
    const struct dkv_uuid *id;
    const char *name;
    bool adds;
    bool done; /* already, before anything was sent */
    bool sent;
    bool changed;
};

/* ---- Before anything is sent ---- */

/* The document with the name is made here first, so that the server is never asked for one that no driver would read.
 */
static enum dkv_rc rehearse(struct dkv_span bytes, const struct dkv_document *document, const char *name,
                            struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf next = {0};
    DKV_CLEANUP(dkv_document_done) struct dkv_document rehearsed = {0};
    DKV_CLEANUP(dkv_freep) const char **names = dkv_calloc(document->n_alt_names + 1, sizeof(*names));
    if (names == NULL) {
        return dkv_fail_memory(err);
    }
    for (size_t i = 0; i < document->n_alt_names; i++) {
        names[i] = document->alt_names[i];
    }
    names[document->n_alt_names] = name;
    DKV_TRY(dkv_document_set_names(bytes, names, document->n_alt_names + 1, &next, err));
    return dkv_document_parse(dkv_span_buf(&next), &rehearsed, err);
}

static enum dkv_rc judge(struct dkv_mongodb_connection *connection, const struct naming *want, bool *ret_done,
                         struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    DKV_TRY(dkv_mongodb_get_judged(connection, want->id, &bytes, &document, err));
    const bool done = dkv_document_has_name(&document, want->name) == want->adds;
    if (!done && want->adds) {
        DKV_TRY(rehearse(dkv_span_buf(&bytes), &document, want->name, err));
    }
    *ret_done = done;
    return DKV_OK;
}

static enum dkv_rc attempt_judging(struct dkv_mongodb_connection *connection, void *arg, struct dkv_error *err)
{
    struct naming *want = arg;
    return judge(connection, want, &want->done, err);
}

/* ---- The updates ---- */

static bson_t *adding(const char *name)
{
    return BCON_NEW("$addToSet", "{", "keyAltNames", BCON_UTF8(name), "}");
}

/* In a pipeline a text that begins with $ is a path; only such a name is put as $literal. */
static void append_name(bson_t *array, const char *key, const char *name)
{
    if (name[0] == '$') {
        BCON_APPEND(array, key, "{", "$literal", BCON_UTF8(name), "}");
        return;
    }
    (void)bson_append_utf8(array, key, -1, name, -1);
}

/* The drivers' pipeline: the field goes with its last name. Of a document without the field it makes one with null,
 * which no driver reads: that is why the selector asks for the name. */
static bson_t *removing(const char *name)
{
    DKV_CLEANUP(bson_destroy) bson_t only = BSON_INITIALIZER;
    DKV_CLEANUP(bson_destroy) bson_t differ = BSON_INITIALIZER;
    append_name(&only, "0", name);
    (void)BSON_APPEND_UTF8(&differ, "0", "$$this");
    append_name(&differ, "1", name);
    DKV_CLEANUP(bson_destroyp) bson_t *is_last = BCON_NEW("$eq", "[", "$keyAltNames", BCON_ARRAY(&only), "]");
    DKV_CLEANUP(bson_destroyp) bson_t *others =
        BCON_NEW("$filter", "{", "input", "$keyAltNames", "cond", "{", "$ne", BCON_ARRAY(&differ), "}", "}");
    return BCON_NEW("0", "{", "$set", "{", "keyAltNames", "{",                                        //
                    "$cond", "[", BCON_DOCUMENT(is_last), "$$REMOVE", BCON_DOCUMENT(others), "]", //
                    "}", "}", "}");
}

/* ---- Sending ---- */

/* The words name who has it. */
static enum dkv_rc fail_taken(struct dkv_mongodb_connection *connection, const struct naming *want,
                              const bson_error_t *error, const bson_t *reply, struct dkv_error *err)
{
    struct dkv_uuid holder = {0};
    const char *name = NULL;
    char text[37];
    DKV_TRY(dkv_mongodb_find_holder(connection, &want->name, 1, want->id, &holder, &name, err));
    dkv_uuid_format(&holder, text);
    DKV_CHECK(name == NULL, err, DKV_E_CONFLICT, "the alt name \"%s\" belongs to the key %s already", want->name, text);
    return dkv_mongodb_fail(connection->store, "writing", error, reply, err);
}

/* The document as it was before tells what became of it. *ret_matched false: there is none with the _id (and, if it
 * was to be taken, the name). */
static enum dkv_rc read_previous(const bson_t *reply, const struct naming *want, bool *ret_matched, bool *ret_had,
                                 struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    bson_iter_t iter;
    uint32_t len = 0;
    const uint8_t *data = NULL;
    const bool matched = bson_iter_init_find(&iter, reply, "value") && BSON_ITER_HOLDS_DOCUMENT(&iter);
    if (matched) {
        bson_iter_document(&iter, &len, &data);
        DKV_TRY(dkv_document_parse(dkv_span(data, len), &document, err));
    }
    *ret_had = matched && dkv_document_has_name(&document, want->name);
    *ret_matched = matched;
    return DKV_OK;
}

static enum dkv_rc find_and_modify(struct dkv_mongodb_connection *connection, struct naming *want, bool *ret_matched,
                                   bool *ret_had, struct dkv_error *err)
{
    DKV_CLEANUP(bson_destroy) bson_t query = BSON_INITIALIZER;
    DKV_CLEANUP(bson_destroy) bson_t reply = BSON_INITIALIZER;
    DKV_CLEANUP(bson_destroyp) bson_t *change = want->adds ? adding(want->name) : removing(want->name);
    DKV_CLEANUP(mongoc_find_and_modify_opts_destroyp) mongoc_find_and_modify_opts_t *opts =
        mongoc_find_and_modify_opts_new();
    bson_error_t error = {0};
    dkv_mongodb_append_id(&query, "_id", want->id);
    if (!want->adds) {
        (void)BSON_APPEND_UTF8(&query, "keyAltNames", want->name);
    }
    (void)mongoc_find_and_modify_opts_set_update(opts, change);
    want->sent = true;
    if (mongoc_collection_find_and_modify_with_opts(connection->collection, &query, opts, &reply, &error)) {
        return read_previous(&reply, want, ret_matched, ret_had, err);
    }
    if (dkv_mongodb_may_be_duplicate(&error)) {
        return fail_taken(connection, want, &error, &reply, err);
    }
    return dkv_mongodb_fail(connection->store, "writing", &error, &reply, err);
}

static enum dkv_rc attempt_name(struct dkv_mongodb_connection *connection, void *arg, struct dkv_error *err)
{
    struct naming *want = arg;
    const bool sent_before = want->sent;
    bool matched = false;
    bool had = false;
    bool done = false;
    if (sent_before) {
        DKV_TRY(judge(connection, want, &done, err));
    }
    if (!done) {
        DKV_TRY(find_and_modify(connection, want, &matched, &had, err));
    }
    if (!done && !matched) { /* deleted, or without the name by now */
        DKV_TRY(judge(connection, want, &done, err));
        if (!done && sent_before) {
            return dkv_mongodb_not_majority(connection->store, err);
        }
        DKV_CHECK(done, err, DKV_E_CONFLICT, "the key was changed by somebody else meanwhile");
    }
    want->changed = sent_before || (matched && had != want->adds);
    return DKV_OK;
}

static enum dkv_rc change_names(struct dkv_mongodb_store *store, struct naming *want, bool *ret_changed,
                                struct dkv_error *err)
{
    DKV_TRY(dkv_mongodb_read(store, DKV_MONGODB_KEYS, attempt_judging, want, err));
    if (!want->done && want->adds) {
        DKV_TRY(dkv_mongodb_need_index(store, err));
    }
    if (!want->done) {
        DKV_TRY(dkv_mongodb_write(store, DKV_MONGODB_KEYS, attempt_name, want, err));
    }
    if (ret_changed != NULL) {
        *ret_changed = want->changed;
    }
    return DKV_OK;
}

enum dkv_rc dkv_mongodb_add_alt_name(struct dkv_store *base, const struct dkv_uuid *id, const char *name,
                                     bool *ret_changed, struct dkv_error *err)
{
    DKV_TRY(dkv_alt_name_check(name, err));
    struct naming want = {.id = id, .name = name, .adds = true};
    return change_names(dkv_mongodb_of(base), &want, ret_changed, err);
}

enum dkv_rc dkv_mongodb_remove_alt_name(struct dkv_store *base, const struct dkv_uuid *id, const char *name,
                                        bool *ret_changed, struct dkv_error *err)
{
    struct naming want = {.id = id, .name = name};
    return change_names(dkv_mongodb_of(base), &want, ret_changed, err);
}
