/* SPDX-License-Identifier: Apache-2.0 */
/* New documents in the SQLite store, one or many in one transaction. Whether the _id and every name are free is asked
 * before a row is written, so that a clash leaves nothing to undo. Owns nothing. Lock: dkv_sqlite_in_transaction. */
#include "base/mem.h"
#include "vault/store/sqlite.h"

static enum dkv_rc check_id_is_free(struct dkv_sqlite_store *store, const struct dkv_uuid *id, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_sqlite_done) sqlite3_stmt *const statement = dkv_sqlite_statement(store, STMT_GET_KEY);
    char text[37];
    bool taken = false;
    DKV_TRY(dkv_sqlite_check(store, dkv_sqlite_bind_id(statement, 1, id), "reading", err));
    DKV_TRY(dkv_sqlite_step(store, statement, "reading", &taken, err));
    dkv_uuid_format(id, text);
    DKV_CHECK(!taken, err, DKV_E_CONFLICT, "the vault %s has a key %s already", store->path, text);
    return DKV_OK;
}

/* *ret_clash when it is DKV_E_CONFLICT: which is taken. */
static enum dkv_rc check_is_free(struct dkv_sqlite_store *store, const struct dkv_document *document,
                                 enum dkv_clash *ret_clash, struct dkv_error *err)
{
    *ret_clash = DKV_CLASH_ID;
    DKV_TRY(check_id_is_free(store, &document->id, err));
    *ret_clash = DKV_CLASH_NAME;
    for (size_t i = 0; i < document->n_alt_names; i++) {
        DKV_TRY(dkv_sqlite_check_name_is_free(store, document->alt_names[i], err));
    }
    *ret_clash = DKV_CLASH_NONE;
    return DKV_OK;
}

static enum dkv_rc write_document(struct dkv_sqlite_store *store, struct dkv_span bson,
                                  const struct dkv_document *document, struct dkv_error *err)
{
    DKV_TRY(dkv_sqlite_write_row(store, STMT_INSERT_KEY, bson, document, err));
    for (size_t i = 0; i < document->n_alt_names; i++) {
        DKV_TRY(dkv_sqlite_run_name(store, STMT_INSERT_NAME, document->alt_names[i], &document->id, err));
    }
    return DKV_OK;
}

/* ---- One ---- */

struct insertion {
    struct dkv_span bson;
    const struct dkv_document *document;
    enum dkv_clash clash;
};

static enum dkv_rc insert_row(struct dkv_sqlite_store *store, void *arg, struct dkv_error *err)
{
    struct insertion *insertion = arg;
    DKV_TRY(check_is_free(store, insertion->document, &insertion->clash, err));
    return write_document(store, insertion->bson, insertion->document, err);
}

enum dkv_rc dkv_sqlite_insert(struct dkv_store *base, struct dkv_span bson, enum dkv_clash *ret_clash,
                              struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    DKV_TRY(dkv_document_parse(bson, &document, err));
    struct insertion insertion = {.bson = bson, .document = &document};
    const enum dkv_rc rc = dkv_sqlite_in_transaction(dkv_sqlite_of(base), insert_row, &insertion, err);
    if (rc == DKV_E_CONFLICT && ret_clash != NULL) {
        *ret_clash = insertion.clash;
    }
    return rc;
}

/* ---- Many ---- */

struct insertions {
    const struct dkv_span *documents;
    size_t n;
    enum dkv_clash *clashes;
};

/* A clash is no failure: the transaction goes on with the next. */
static enum dkv_rc insert_unless_taken(struct dkv_sqlite_store *store, struct dkv_span bson, enum dkv_clash *ret_clash,
                                       struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    struct dkv_error why = {0};
    DKV_TRY(dkv_document_parse(bson, &document, err));
    const enum dkv_rc rc = check_is_free(store, &document, ret_clash, &why);
    if (rc == DKV_OK) {
        return write_document(store, bson, &document, err);
    }
    return rc == DKV_E_CONFLICT ? DKV_OK : dkv_fail_as(err, rc, &why);
}

static enum dkv_rc insert_rows(struct dkv_sqlite_store *store, void *arg, struct dkv_error *err)
{
    const struct insertions *insertions = arg;
    for (size_t i = 0; i < insertions->n; i++) {
        DKV_TRY(insert_unless_taken(store, insertions->documents[i], &insertions->clashes[i], err));
    }
    return DKV_OK;
}

enum dkv_rc dkv_sqlite_insert_many(struct dkv_store *base, const struct dkv_span *documents, size_t n,
                                   enum dkv_clash *ret_clashes, struct dkv_error *err)
{
    DKV_CHECK(n <= DKV_STORE_BATCH, err, DKV_E_INVALID, "at most %u documents go in at once, not %zu", DKV_STORE_BATCH,
              n);
    if (n == 0) {
        return DKV_OK;
    }
    DKV_CLEANUP(dkv_freep) enum dkv_clash *clashes = dkv_calloc(n, sizeof(*clashes));
    if (clashes == NULL) {
        return dkv_fail_memory(err);
    }
    struct insertions insertions = {.documents = documents, .n = n, .clashes = clashes};
    DKV_TRY(dkv_sqlite_in_transaction(dkv_sqlite_of(base), insert_rows, &insertions, err));
    memcpy(ret_clashes, clashes, n * sizeof(*clashes));
    return DKV_OK;
}
