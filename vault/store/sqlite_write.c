/* SPDX-License-Identifier: Apache-2.0 */
/* Changing documents in the SQLite store. Invariant: a document, the columns made from it and the names in alt_names
 * change in one transaction; elements that a change isn't about keep their bytes. Owns nothing. Lock:
 * dkv_sqlite_in_transaction. */
#include "base/clock.h"
#include "base/mem.h"
#include "vault/document_edit.h"
#include "vault/store/sqlite.h"

/* ---- Rows ---- */

static int bind_row(sqlite3_stmt *statement, struct dkv_span bson, const struct dkv_document *document, const char *cmk)
{
    const int codes[] = {
        dkv_sqlite_bind_id(statement, 1, &document->id),
        dkv_sqlite_bind_blob(statement, 2, bson),
        dkv_sqlite_bind_text(statement, 3, document->provider),
        dkv_sqlite_bind_text(statement, 4, cmk),
        sqlite3_bind_int(statement, 5, document->status),
        sqlite3_bind_int64(statement, 6, document->creation_date_ms),
        sqlite3_bind_int64(statement, 7, document->update_date_ms),
    };
    for (size_t i = 0; i < DKV_COUNT(codes); i++) {
        if (codes[i] != SQLITE_OK) {
            return codes[i];
        }
    }
    return SQLITE_OK;
}

enum dkv_rc dkv_sqlite_write_row(struct dkv_sqlite_store *store, enum sqlite_statement which, struct dkv_span bson,
                                 const struct dkv_document *document, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf cmk = {0};
    DKV_TRY(dkv_document_cmk(document, &cmk, err));
    DKV_CLEANUP(dkv_sqlite_done) sqlite3_stmt *const statement = dkv_sqlite_statement(store, which);
    const int code = bind_row(statement, bson, document, (const char *)cmk.data);
    DKV_TRY(dkv_sqlite_check(store, code, "writing", err));
    return dkv_sqlite_run(store, statement, "writing", err);
}

static enum dkv_rc rewrite(struct dkv_sqlite_store *store, struct dkv_span bson, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    DKV_TRY(dkv_document_parse(bson, &document, err));
    return dkv_sqlite_write_row(store, STMT_UPDATE_KEY, bson, &document, err);
}

enum dkv_rc dkv_sqlite_run_name(struct dkv_sqlite_store *store, enum sqlite_statement which, const char *name,
                                const struct dkv_uuid *id, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_sqlite_done) sqlite3_stmt *const statement = dkv_sqlite_statement(store, which);
    int code = name != NULL ? dkv_sqlite_bind_text(statement, 1, name) : SQLITE_OK;
    if (code == SQLITE_OK) {
        code = dkv_sqlite_bind_id(statement, name != NULL ? 2 : 1, id);
    }
    DKV_TRY(dkv_sqlite_check(store, code, "writing", err));
    return dkv_sqlite_run(store, statement, "writing", err);
}

enum dkv_rc dkv_sqlite_check_name_is_free(struct dkv_sqlite_store *store, const char *name, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_sqlite_done) sqlite3_stmt *const statement = dkv_sqlite_statement(store, STMT_GET_NAME);
    struct dkv_uuid owner = {0};
    char text[37];
    bool taken = false;
    DKV_TRY(dkv_sqlite_check(store, dkv_sqlite_bind_text(statement, 1, name), "reading", err));
    DKV_TRY(dkv_sqlite_step(store, statement, "reading", &taken, err));
    const struct dkv_span id = taken ? dkv_sqlite_column_span(statement, 0) : dkv_span(NULL, 0);
    if (id.len == sizeof(owner.bytes)) {
        memcpy(owner.bytes, id.data, sizeof(owner.bytes));
    }
    dkv_uuid_format(&owner, text);
    DKV_CHECK(!taken, err, DKV_E_CONFLICT, "the alt name \"%s\" belongs to the key %s already", name, text);
    return DKV_OK;
}

static enum dkv_rc take_name(struct dkv_sqlite_store *store, const char *name, const struct dkv_uuid *id,
                             struct dkv_error *err)
{
    DKV_TRY(dkv_sqlite_check_name_is_free(store, name, err));
    return dkv_sqlite_run_name(store, STMT_INSERT_NAME, name, id, err);
}

/* The stored bytes, unjudged, or DKV_E_NOT_FOUND. */
static enum dkv_rc get_stored(struct dkv_sqlite_store *store, const struct dkv_uuid *id, struct dkv_buf *ret,
                              struct dkv_error *err)
{
    bool found = false;
    char text[37];
    DKV_TRY(dkv_sqlite_get(store, id, ret, &found, err));
    if (found) {
        return DKV_OK;
    }
    dkv_uuid_format(id, text);
    (void)dkv_fail(err, DKV_E_NOT_FOUND, "there is no key %s in the vault %s", text, store->path);
    dkv_error_key(err, text);
    return DKV_E_NOT_FOUND;
}

/* A change: the stored document is read and parsed, `change` writes the new bytes (or none). */
struct change {
    const struct dkv_uuid *id;
    enum dkv_rc (*change)(struct dkv_sqlite_store *store, const struct change *change, struct dkv_span bson,
                          const struct dkv_document *document, struct dkv_buf *ret, struct dkv_error *err);
    const char *name;
    int32_t status;
    struct dkv_span expected_master_key, expected_material, master_key, material;
    bool changed;
};

static enum dkv_rc change_document(struct dkv_sqlite_store *store, void *arg, struct dkv_error *err)
{
    struct change *change = arg;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf stored = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf next = {0};
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    DKV_TRY(get_stored(store, change->id, &stored, err));
    DKV_TRY(dkv_sqlite_check_row(store, change->id, dkv_span_buf(&stored), err)); /* or rewrite() hits another row */
    DKV_TRY(dkv_document_parse(dkv_span_buf(&stored), &document, err));
    DKV_TRY(change->change(store, change, dkv_span_buf(&stored), &document, &next, err));
    if (next.len == 0) {
        return DKV_OK;
    }
    DKV_TRY(rewrite(store, dkv_span_buf(&next), err));
    change->changed = true;
    return DKV_OK;
}

static enum dkv_rc run_change(struct dkv_store *base, struct change *change, bool *ret_changed, struct dkv_error *err)
{
    DKV_TRY(dkv_sqlite_in_transaction(dkv_sqlite_of(base), change_document, change, err));
    if (ret_changed != NULL) {
        *ret_changed = change->changed;
    }
    return DKV_OK;
}

/* ---- Changes of a document ---- */

static enum dkv_rc change_material(struct dkv_sqlite_store *store, const struct change *change, struct dkv_span bson,
                                   const struct dkv_document *document, struct dkv_buf *ret, struct dkv_error *err)
{
    (void)store;
    const bool as_expected = dkv_span_equal(document->master_key, change->expected_master_key) &&
                             dkv_span_equal(document->key_material, change->expected_material);
    DKV_CHECK(as_expected, err, DKV_E_CONFLICT, "the key was wrapped anew by somebody else meanwhile");
    return dkv_document_set_material(bson, change->master_key, change->material, dkv_clock_real.wall_ms(), ret, err);
}

enum dkv_rc dkv_sqlite_replace_material(struct dkv_store *base, const struct dkv_uuid *id,
                                        struct dkv_span expected_master_key, struct dkv_span expected_material,
                                        struct dkv_span master_key, struct dkv_span material, struct dkv_error *err)
{
    struct change change = {
        .id = id,
        .change = change_material,
        .expected_master_key = expected_master_key,
        .expected_material = expected_material,
        .master_key = master_key,
        .material = material,
    };
    return run_change(base, &change, NULL, err);
}

static enum dkv_rc change_status(struct dkv_sqlite_store *store, const struct change *change, struct dkv_span bson,
                                 const struct dkv_document *document, struct dkv_buf *ret, struct dkv_error *err)
{
    (void)store;
    return document->status == change->status ? DKV_OK : dkv_document_set_status(bson, change->status, ret, err);
}

enum dkv_rc dkv_sqlite_set_status(struct dkv_store *base, const struct dkv_uuid *id, int32_t status, bool *ret_changed,
                                  struct dkv_error *err)
{
    DKV_CHECK(status == DKV_STATUS_ENABLED || status == DKV_STATUS_DISABLED, err, DKV_E_INVALID,
              "a key's status is 0 or 1, not %d", status);
    struct change change = {.id = id, .change = change_status, .status = status};
    return run_change(base, &change, ret_changed, err);
}

static size_t find_name(const struct dkv_document *document, const char *name)
{
    size_t at = 0;
    while (at < document->n_alt_names && strcmp(document->alt_names[at], name) != 0) {
        at++;
    }
    return at;
}

/* The document's names in an array of the caller's, with room for one more. */
static const char **copy_names(const struct dkv_document *document)
{
    const char **names = dkv_calloc(document->n_alt_names + 1, sizeof(*names));
    for (size_t i = 0; names != NULL && i < document->n_alt_names; i++) {
        names[i] = document->alt_names[i];
    }
    return names;
}

static enum dkv_rc change_by_adding(struct dkv_sqlite_store *store, const struct change *change, struct dkv_span bson,
                                    const struct dkv_document *document, struct dkv_buf *ret, struct dkv_error *err)
{
    if (find_name(document, change->name) < document->n_alt_names) {
        return DKV_OK;
    }
    DKV_TRY(take_name(store, change->name, change->id, err));
    DKV_CLEANUP(dkv_freep) const char **names = copy_names(document);
    if (names == NULL) {
        return dkv_fail_memory(err);
    }
    names[document->n_alt_names] = change->name;
    return dkv_document_set_names(bson, names, document->n_alt_names + 1, ret, err);
}

enum dkv_rc dkv_sqlite_add_alt_name(struct dkv_store *base, const struct dkv_uuid *id, const char *name,
                                    bool *ret_changed, struct dkv_error *err)
{
    DKV_TRY(dkv_alt_name_check(name, err));
    struct change change = {.id = id, .change = change_by_adding, .name = name};
    return run_change(base, &change, ret_changed, err);
}

static enum dkv_rc change_by_removing(struct dkv_sqlite_store *store, const struct change *change, struct dkv_span bson,
                                      const struct dkv_document *document, struct dkv_buf *ret, struct dkv_error *err)
{
    const size_t at = find_name(document, change->name);
    if (at == document->n_alt_names) {
        return DKV_OK;
    }
    DKV_TRY(dkv_sqlite_run_name(store, STMT_DELETE_NAME, change->name, change->id, err));
    DKV_CLEANUP(dkv_freep) const char **names = copy_names(document);
    if (names == NULL) {
        return dkv_fail_memory(err);
    }
    memmove(&names[at], &names[at + 1], (document->n_alt_names - at) * sizeof(*names));
    return dkv_document_set_names(bson, names, document->n_alt_names - 1, ret, err);
}

enum dkv_rc dkv_sqlite_remove_alt_name(struct dkv_store *base, const struct dkv_uuid *id, const char *name,
                                       bool *ret_changed, struct dkv_error *err)
{
    struct change change = {.id = id, .change = change_by_removing, .name = name};
    return run_change(base, &change, ret_changed, err);
}

/* ---- remove ---- */

struct removal {
    const struct dkv_uuid *id;
    struct dkv_span expected;
};

static enum dkv_rc remove_row(struct dkv_sqlite_store *store, void *arg, struct dkv_error *err)
{
    const struct removal *removal = arg;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf stored = {0};
    DKV_TRY(get_stored(store, removal->id, &stored, err));
    DKV_CHECK(removal->expected.len == 0 || dkv_span_equal(removal->expected, dkv_span_buf(&stored)), err,
              DKV_E_CONFLICT, "the key's document has changed meanwhile; nothing was deleted");
    DKV_TRY(dkv_sqlite_run_name(store, STMT_DELETE_NAMES, NULL, removal->id, err));
    return dkv_sqlite_run_name(store, STMT_DELETE_KEY, NULL, removal->id, err);
}

enum dkv_rc dkv_sqlite_remove(struct dkv_store *base, const struct dkv_uuid *id, struct dkv_span expected,
                              struct dkv_error *err)
{
    struct removal removal = {.id = id, .expected = expected};
    return dkv_sqlite_in_transaction(dkv_sqlite_of(base), remove_row, &removal, err);
}
