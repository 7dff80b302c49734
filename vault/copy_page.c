/* SPDX-License-Identifier: Apache-2.0 */
/* One page of a copy: judged, looked for at the destination, inserted, read back.
 * Invariant: a document counts as copied only once the destination has given back the same bytes; nothing that is at
 * the destination is ever changed. Owns nothing. No lock: the store's insert decides between two writers. */
#include "vault/copy.h"
#include "vault/document_edit.h"
#include "vault/pinned.h"

static struct dkv_span bytes_of(const struct dkv_copy *copy, const struct dkv_copy_row *row)
{
    return row->len > 0 ? dkv_span(copy->page->bytes.data + row->begin, row->len) : dkv_span(NULL, 0);
}

/* ---- Settling a row ---- */

/* What is wrong with one key keeps no other from being copied; anything else ends the copy. */
static bool is_of_one_key(enum dkv_rc rc)
{
    return rc == DKV_E_CONFLICT || rc == DKV_E_REJECTED_CIPHERTEXT || rc == DKV_E_POLICY || rc == DKV_E_INVALID;
}

static enum dkv_rc refuse(struct dkv_copy *copy, struct dkv_copy_row *row, struct dkv_error *why, struct dkv_error *err)
{
    if (!is_of_one_key(why->rc)) {
        if (err != NULL) {
            *err = *why;
        }
        return why->rc;
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

/* Each check of a row that is still open; a row that doesn't pass is refused. */
typedef enum dkv_rc (*check_fn)(struct dkv_copy *copy, struct dkv_copy_row *row, struct dkv_error *err);

static enum dkv_rc check_rows(struct dkv_copy *copy, check_fn check, struct dkv_error *err)
{
    for (size_t i = 0; i < copy->page->n; i++) {
        struct dkv_copy_row *row = &copy->page->rows[i];
        struct dkv_error why = {0};
        if (!row->settled && check(copy, row, &why) != DKV_OK) {
            DKV_TRY(refuse(copy, row, &why, err));
        }
    }
    return DKV_OK;
}

/* ---- The source's documents ---- */

static enum dkv_rc check_document(struct dkv_copy *copy, struct dkv_copy_row *row, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    char kept[37], own[37];
    dkv_uuid_format(&row->id, kept);
    DKV_CHECK(row->len > 0, err, DKV_E_REJECTED_CIPHERTEXT,
              "%s keeps no document, or one of more than %u bytes, under the _id %s: restore it from a backup, or "
              "delete it",
              dkv_copy_from(copy), DKV_DOCUMENT_MAX, kept);
    DKV_TRY(dkv_document_parse(bytes_of(copy, row), &document, err));
    dkv_uuid_format(&document.id, own);
    DKV_CHECK(dkv_uuid_equal(&document.id, &row->id), err, DKV_E_REJECTED_CIPHERTEXT,
              "%s keeps the document of key %s under the _id %s", dkv_copy_from(copy), own, kept);
    return dkv_pinned_check_all(copy->to->file, copy->to->settings, &document, err);
}

/* ---- Names ---- */

/* Whether a name is free: DKV_E_CONFLICT says who has it. */
static enum dkv_rc check_name_is_free(struct dkv_copy *copy, const char *name, struct dkv_error *err)
{
    struct dkv_store *store = copy->to->store;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf holder = {0};
    struct dkv_error why = {0};
    struct dkv_uuid id = {{0}};
    char text[37] = "another key";
    const enum dkv_rc rc = store->ops->get_by_alt_name(store, name, &holder, &why);
    if (rc == DKV_E_NOT_FOUND) {
        return DKV_OK;
    }
    if (rc == DKV_OK) {
        if (dkv_document_peek_id(dkv_span_buf(&holder), &id)) {
            dkv_uuid_format(&id, text);
        }
        return dkv_fail(err, DKV_E_CONFLICT, "the alt name \"%s\" belongs to %s in %s: take it off one of the two keys",
                        name, text, dkv_copy_to(copy));
    }
    if (err != NULL) {
        *err = why;
    }
    return rc;
}

static enum dkv_rc check_names_are_free(struct dkv_copy *copy, struct dkv_copy_row *row, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    DKV_TRY(dkv_document_parse(bytes_of(copy, row), &document, err));
    for (size_t i = 0; i < document.n_alt_names; i++) {
        DKV_TRY(check_name_is_free(copy, document.alt_names[i], err));
    }
    return DKV_OK;
}

/* A name that two keys have finds neither; copied, it would find whichever came first, and whoever can write the source
 * could choose that. */
static enum dkv_rc check_names_are_unique(struct dkv_copy *copy, struct dkv_copy_row *row, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    struct dkv_store *store = copy->from->store;
    DKV_TRY(dkv_document_parse(bytes_of(copy, row), &document, err));
    for (size_t i = 0; i < document.n_alt_names; i++) {
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf holder = {0};
        struct dkv_error why = {0};
        const enum dkv_rc rc = store->ops->get_by_alt_name(store, document.alt_names[i], &holder, &why);
        if (rc != DKV_OK && rc != DKV_E_NOT_FOUND) { /* deleted meanwhile */
            *err = why;
            return rc;
        }
    }
    return DKV_OK;
}

/* The store said that a name is taken. */
static enum dkv_rc explain_name_clash(struct dkv_copy *copy, struct dkv_copy_row *row, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    if (row->clash != DKV_CLASH_NAME) {
        return DKV_OK;
    }
    DKV_TRY(check_names_are_free(copy, row, err));
    DKV_TRY(dkv_document_parse(bytes_of(copy, row), &document, err));
    DKV_CHECK(!document.has_alt_names || document.n_alt_names > 0, err, DKV_E_CONFLICT,
              "its keyAltNames is an empty array, of which the index of %s takes one: give the key a name and take it "
              "off again",
              dkv_copy_to(copy));
    return dkv_fail(err, DKV_E_CONFLICT, "a name of its was another key's in %s just then: copy again",
                    dkv_copy_to(copy));
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
            page->documents[page->n_open] = bytes_of(copy, row);
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
    DKV_TRY(dkv_document_same(bytes_of(copy, row), document, &same, err));
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
    DKV_TRY(dkv_document_same(bytes_of(copy, row), document, &same, err));
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
    DKV_TRY(check_rows(copy, explain_name_clash, err));
    DKV_TRY(visit_destination(copy, read_back, err));
    return check_rows(copy, fail_not_read_back, err);
}

static enum dkv_rc write_nothing(struct dkv_copy *copy, struct dkv_error *err)
{
    DKV_TRY(check_rows(copy, check_names_are_free, err));
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
    DKV_TRY(check_rows(copy, check_document, err));
    DKV_TRY(visit_destination(copy, meet, err));
    if (copy->names_may_repeat) {
        DKV_TRY(check_rows(copy, check_names_are_unique, err));
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
