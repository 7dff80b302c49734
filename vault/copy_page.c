/* SPDX-License-Identifier: Apache-2.0 */
/* One page of a copy: judged, looked for at the destination, inserted, read back.
 * Invariant: a document counts as copied only once the destination has given back the same bytes; nothing that is at
 * the destination is ever changed. Owns nothing. No lock: the store's insert decides between two writers. */
#include "vault/copy.h"
#include "vault/document_edit.h"

/* ---- Settling a row ---- */

/* What is wrong with one key keeps no other from being copied; anything else ends the copy. */
static bool is_of_one_key(enum dkv_rc rc)
{
    return rc == DKV_E_CONFLICT || rc == DKV_E_REJECTED_CIPHERTEXT || rc == DKV_E_POLICY || rc == DKV_E_INVALID;
}

static enum dkv_rc refuse(struct dkv_copy *copy, struct dkv_copy_row *row, struct dkv_error *why, struct dkv_error *err)
{
    if (!is_of_one_key(why->rc)) {
        return dkv_fail_as(err, why->rc, why);
    }
    dkv_error_key_id(why, &row->id);
    row->settled = true;
    copy->counts.refused++;
    const struct dkv_copy_options *options = copy->options;
    return options->refused != NULL ? options->refused(options->arg, &row->id, why, err) : DKV_OK;
}

static void count(struct dkv_copy_row *row, uint64_t *counter)
{
    row->settled = true;
    ++*counter;
}

/* A row that doesn't pass is refused. */
static enum dkv_rc check_rows(struct dkv_copy *copy, dkv_copy_check_fn check, struct dkv_error *err)
{
    for (size_t i = 0; i < copy->page->n; i++) {
        struct dkv_copy_row *row = &copy->page->rows[i];
        struct dkv_error why = {0};
        if (row->settled) {
            continue;
        }
        why.rc = check(copy, row, &why);
        if (why.rc != DKV_OK) {
            DKV_TRY(refuse(copy, row, &why, err));
        }
    }
    return DKV_OK;
}

/* ---- What is at the destination ---- */

/* The rows that aren't settled yet, as the store takes them. */
static void gather(struct dkv_copy *copy)
{
    struct dkv_copy_page *page = copy->page;
    page->n_open = 0;
    page->next = 0;
    for (size_t i = 0; i < page->n; i++) {
        struct dkv_copy_row *row = &page->rows[i];
        if (!row->settled) {
            page->open[page->n_open] = row;
            page->ids[page->n_open] = row->id;
            page->documents[page->n_open] = dkv_copy_bytes(copy, row);
            page->n_open++;
        }
    }
}

/* NULL: the store gave a document that it wasn't asked for. Both lists are in the order of _id, as a rule. */
static struct dkv_copy_row *find_open(struct dkv_copy_page *page, const struct dkv_uuid *id)
{
    for (size_t i = 0; i < page->n_open; i++) {
        const size_t at = (page->next + i) % page->n_open;
        if (!page->open[at]->settled && dkv_uuid_equal(&page->open[at]->id, id)) {
            page->next = at + 1;
            return page->open[at];
        }
    }
    return NULL;
}

static enum dkv_rc fail_other_document(const struct dkv_copy *copy, const struct dkv_copy_row *row,
                                       struct dkv_error *err)
{
    char id[37];
    dkv_uuid_format(&row->id, id);
    return dkv_fail(err, DKV_E_CONFLICT,
                    "another document with _id %s is in %s: delete it there first if this one is to take its place", id,
                    dkv_copy_to(copy));
}

/* Somebody's document of an _id that is to be copied: of the same bytes, or never overwritten. */
static enum dkv_rc meet(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    struct dkv_copy *copy = arg;
    struct dkv_copy_row *row = find_open(copy->page, id);
    struct dkv_error why = {0};
    bool same = false;
    if (row == NULL) {
        return DKV_OK;
    }
    DKV_TRY(dkv_document_same(dkv_copy_bytes(copy, row), document, &same, err));
    if (same) {
        count(row, &copy->counts.present);
        return DKV_OK;
    }
    (void)fail_other_document(copy, row, &why);
    return refuse(copy, row, &why, err);
}

/* Our own, read back. */
static enum dkv_rc read_back(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    struct dkv_copy *copy = arg;
    struct dkv_copy_row *row = find_open(copy->page, id);
    bool same = false;
    if (row == NULL) {
        return DKV_OK;
    }
    if (row->clash == DKV_CLASH_ID) { /* somebody else was first */
        return meet(arg, id, document, err);
    }
    DKV_TRY(dkv_document_same(dkv_copy_bytes(copy, row), document, &same, err));
    if (same) {
        count(row, &copy->counts.copied);
    }
    return DKV_OK; /* else it stays open, and is refused */
}

static enum dkv_rc visit_destination(struct dkv_copy *copy, dkv_store_visit_fn visit, struct dkv_error *err)
{
    struct dkv_store *store = copy->to->store;
    gather(copy);
    return copy->page->n_open > 0 ? store->ops->get_many(store, copy->page->ids, copy->page->n_open, visit, copy, err)
                                  : DKV_OK;
}

/* ---- Inserting ---- */

static enum dkv_rc insert_rows(struct dkv_copy *copy, struct dkv_error *err)
{
    struct dkv_copy_page *page = copy->page;
    struct dkv_store *store = copy->to->store;
    gather(copy);
    if (page->n_open == 0) {
        return DKV_OK;
    }
    DKV_TRY(store->ops->insert_many(store, page->documents, page->n_open, page->clashes, err));
    for (size_t i = 0; i < page->n_open; i++) {
        page->open[i]->clash = page->clashes[i];
    }
    return DKV_OK;
}

static enum dkv_rc fail_not_read_back(struct dkv_copy *copy, struct dkv_copy_row *row, struct dkv_error *err)
{
    char id[37];
    dkv_uuid_format(&row->id, id);
    return dkv_fail(err, DKV_E_REJECTED_CIPHERTEXT,
                    "what %s gives back for the _id %s isn't what was written: compare the two vaults' `key show`",
                    dkv_copy_to(copy), id);
}

static enum dkv_rc write_rows(struct dkv_copy *copy, struct dkv_error *err)
{
    DKV_TRY(insert_rows(copy, err));
    DKV_TRY(check_rows(copy, dkv_copy_explain_clash, err));
    DKV_TRY(visit_destination(copy, read_back, err));
    return check_rows(copy, fail_not_read_back, err);
}

static enum dkv_rc write_nothing(struct dkv_copy *copy, struct dkv_error *err)
{
    DKV_TRY(check_rows(copy, dkv_copy_check_names_are_free, err));
    for (size_t i = 0; i < copy->page->n; i++) {
        if (!copy->page->rows[i].settled) {
            count(&copy->page->rows[i], &copy->counts.copied);
        }
    }
    return DKV_OK;
}

/* ---- A page ---- */

static enum dkv_rc settle_rows(struct dkv_copy *copy, struct dkv_error *err)
{
    DKV_TRY(check_rows(copy, dkv_copy_check_document, err));
    DKV_TRY(visit_destination(copy, meet, err));
    if (copy->names_may_repeat) {
        DKV_TRY(check_rows(copy, dkv_copy_check_names_are_unique, err));
    }
    return copy->options->dry_run ? write_nothing(copy, err) : write_rows(copy, err);
}

enum dkv_rc dkv_copy_settle(struct dkv_copy *copy, struct dkv_error *err)
{
    const struct dkv_copy_options *options = copy->options;
    if (copy->page->n == 0) {
        return DKV_OK;
    }
    DKV_TRY(settle_rows(copy, err));
    copy->page->n = 0;
    copy->page->bytes.len = 0;
    return options->progress != NULL ? options->progress(options->arg, &copy->counts, err) : DKV_OK;
}

enum dkv_rc dkv_copy_add(struct dkv_copy *copy, const struct dkv_uuid *id, struct dkv_span document,
                         struct dkv_error *err)
{
    struct dkv_copy_page *page = copy->page;
    if (page->n == DKV_STORE_BATCH || page->bytes.len + document.len > DKV_COPY_PAGE_BYTES) {
        DKV_TRY(dkv_copy_settle(copy, err));
    }
    page->rows[page->n] = (struct dkv_copy_row){.id = *id, .begin = page->bytes.len, .len = document.len};
    DKV_TRY(dkv_buf_append(&page->bytes, document, err));
    page->n++;
    return DKV_OK;
}
