/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the MongoDB store by alt name. Owns the cursors. Invariant: whoever can write the collection can put anything
 * there, so a document is given out only if it is one and has the name. No lock: each call has a connection of its own.
 */
#include "vault/document_edit.h"
#include "vault/store/mongodb.h"

/* ---- By name ---- */

static void format_id(struct dkv_span document, char text[static 37])
{
    struct dkv_uuid id;
    if (dkv_document_peek_id(document, &id)) {
        dkv_uuid_format(&id, text);
    } else {
        (void)memcpy(text, "(no UUID)", sizeof("(no UUID)"));
    }
}

static enum dkv_rc fail_two(const struct dkv_mongodb_store *store, const char *name, struct dkv_span first,
                            struct dkv_span second, struct dkv_error *err)
{
    char a[37], b[37];
    format_id(first, a);
    format_id(second, b);
    return dkv_fail(err, DKV_E_CONFLICT,
                    "two keys in the vault %s have the alt name \"%s\": %s and %s; name the one meant by its _id, and "
                    "take the name from the other with dekvault key remove-name", store->where, name, a, b);
}

static enum dkv_rc check_has_name(const struct dkv_mongodb_store *store, struct dkv_span bson, const char *name,
                                  struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    DKV_TRY(dkv_document_parse(bson, &document, err));
    DKV_CHECK(dkv_document_has_name(&document, name), err, DKV_E_REJECTED_CIPHERTEXT,
              "the vault %s has the alt name \"%s\" for a document that doesn't carry it", store->where, name);
    return DKV_OK;
}

struct naming {
    const char *name;
    struct dkv_buf document;
};

static enum dkv_rc attempt_find(struct dkv_mongodb_connection *connection, void *arg, struct dkv_error *err)
{
    struct naming *naming = arg;
    DKV_CLEANUP(bson_destroy) bson_t query = BSON_INITIALIZER;
    const bson_t *row = NULL;
    (void)bson_append_utf8(&query, "keyAltNames", -1, naming->name, -1);
    DKV_CLEANUP(mongoc_cursor_destroyp) mongoc_cursor_t *cursor = dkv_mongodb_find(connection, &query, 2);
    DKV_TRY(dkv_mongodb_next(connection->store, cursor, "reading", &row, err));
    DKV_CHECK(row != NULL, err, DKV_E_NOT_FOUND, "no key in the vault %s has the alt name \"%s\"",
              connection->store->where, naming->name);
    naming->document.len = 0;
    DKV_TRY(dkv_buf_append(&naming->document, dkv_mongodb_span(row), err));
    DKV_TRY(dkv_mongodb_next(connection->store, cursor, "reading", &row, err));
    return row == NULL ? DKV_OK
                       : fail_two(connection->store, naming->name, dkv_span_buf(&naming->document),
                                  dkv_mongodb_span(row), err);
}

enum dkv_rc dkv_mongodb_get_by_alt_name(struct dkv_store *base, const char *name, struct dkv_buf *ret,
                                        struct dkv_error *err)
{
    struct dkv_mongodb_store *store = dkv_mongodb_of(base);
    struct naming naming = {.name = name};
    /* A server refuses a query that isn't UTF-8, and nobody can have such a name. */
    DKV_CHECK(dkv_utf8_is_valid(dkv_span_str(name)), err, DKV_E_NOT_FOUND,
              "no key in the vault %s has the alt name \"%s\"", store->where, name);
    enum dkv_rc rc = dkv_mongodb_read(store, DKV_MONGODB_KEYS, attempt_find, &naming, err);
    if (rc == DKV_OK) {
        rc = check_has_name(store, dkv_span_buf(&naming.document), name, err);
    }
    if (rc == DKV_OK) {
        rc = dkv_buf_append(ret, dkv_span_buf(&naming.document), err);
    }
    dkv_buf_done(&naming.document);
    return rc;
}

/* ---- Who has a name ---- */

static void append_names(bson_t *query, const char *const *names, size_t n)
{
    bson_t condition, array;
    (void)bson_append_document_begin(query, "keyAltNames", -1, &condition);
    (void)bson_append_array_begin(&condition, "$in", -1, &array);
    for (size_t i = 0; i < n; i++) {
        char buffer[16];
        const char *key = NULL;
        (void)bson_uint32_to_string((uint32_t)i, &key, buffer, sizeof(buffer));
        (void)bson_append_utf8(&array, key, -1, names[i], -1);
    }
    (void)bson_append_array_end(&condition, &array);
    (void)bson_append_document_end(query, &condition);
}

static const char *find_name(const bson_iter_t *value, const char *const *names, size_t n)
{
    const char *text = BSON_ITER_HOLDS_UTF8(value) ? bson_iter_utf8(value, NULL) : NULL;
    for (size_t i = 0; text != NULL && i < n; i++) {
        if (strcmp(names[i], text) == 0) {
            return names[i];
        }
    }
    return NULL;
}

/* Of a document that need not be valid: the server says that it has one. */
static const char *name_in_row(const bson_t *row, const char *const *names, size_t n)
{
    bson_iter_t field, element;
    const char *name = NULL;
    if (bson_iter_init_find(&field, row, "keyAltNames")) {
        name = find_name(&field, names, n);
        const bool is_array = BSON_ITER_HOLDS_ARRAY(&field) && bson_iter_recurse(&field, &element);
        while (name == NULL && is_array && bson_iter_next(&element)) {
            name = find_name(&element, names, n);
        }
    }
    return name != NULL ? name : names[0];
}

enum dkv_rc dkv_mongodb_find_holder(struct dkv_mongodb_connection *connection, const char *const *names, size_t n,
                                    const struct dkv_uuid *but, struct dkv_uuid *ret_id, const char **ret_name,
                                    struct dkv_error *err)
{
    DKV_CLEANUP(bson_destroy) bson_t query = BSON_INITIALIZER;
    const bson_t *row = NULL;
    if (n == 0) {
        *ret_name = NULL;
        return DKV_OK;
    }
    append_names(&query, names, n);
    if (but != NULL) {
        bson_t child;
        (void)bson_append_document_begin(&query, "_id", -1, &child);
        dkv_mongodb_append_id(&child, "$ne", but);
        (void)bson_append_document_end(&query, &child);
    }
    DKV_CLEANUP(mongoc_cursor_destroyp) mongoc_cursor_t *cursor = dkv_mongodb_find(connection, &query, 1);
    DKV_TRY(dkv_mongodb_next(connection->store, cursor, "reading", &row, err));
    *ret_name = row != NULL ? name_in_row(row, names, n) : NULL;
    if (row != NULL && !dkv_document_peek_id(dkv_mongodb_span(row), ret_id)) {
        *ret_id = (struct dkv_uuid){0};
    }
    return DKV_OK;
}
