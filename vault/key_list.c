/* SPDX-License-Identifier: Apache-2.0 */
/* Listing and counting keys.
 * Invariant: a row hides no other. One whose bytes aren't a document with the row's _id is no key and is not visited;
 * it is told once all others have been. Memory is constant. No lock of its own. */
#include "vault/document_edit.h"
#include "vault/vault.h"

#define NAMED_MAX 8u /* damaged rows named in an error; more are counted */

struct listing {
    dkv_key_visit_fn visit;
    void *arg;
    struct dkv_uuid damaged[NAMED_MAX];
    size_t n_damaged;
    size_t n_foreign; /* rows whose _id is no UUID */
};

static enum dkv_rc visit_row(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    struct listing *listing = arg;
    struct dkv_uuid own;
    if (id == NULL) {
        listing->n_foreign++;
        return DKV_OK;
    }
    if (dkv_document_peek_id(document, &own) && dkv_uuid_equal(&own, id)) {
        return listing->visit(listing->arg, document, err);
    }
    if (listing->n_damaged < NAMED_MAX) {
        listing->damaged[listing->n_damaged] = *id;
    }
    listing->n_damaged++;
    return DKV_OK;
}

static enum dkv_rc name_damaged(const struct listing *listing, struct dkv_buf *ret, struct dkv_error *err)
{
    char text[37] = "";
    const size_t n = listing->n_damaged < NAMED_MAX ? listing->n_damaged : NAMED_MAX;
    for (size_t i = 0; i < n; i++) {
        dkv_uuid_format(&listing->damaged[i], text);
        DKV_TRY(dkv_buf_printf(ret, err, "%s%s", i > 0 ? ", " : "", text));
    }
    return listing->n_damaged > n ? dkv_buf_printf(ret, err, " and %zu more", listing->n_damaged - n) : DKV_OK;
}

static enum dkv_rc fail_damaged(const struct dkv_vault *vault, const struct listing *listing, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf ids = {0};
    DKV_TRY(name_damaged(listing, &ids, err));
    const char *text = dkv_buf_text(&ids);
    if (text == NULL) {
        return dkv_fail_memory(err);
    }
    (void)dkv_fail(err, DKV_E_REJECTED_CIPHERTEXT,
                   "%s keeps no document, or another's, under %s: restore from a backup, or delete",
                   vault->store_text, text);
    dkv_error_key_id(err, &listing->damaged[0]);
    return DKV_E_REJECTED_CIPHERTEXT;
}

static enum dkv_rc fail_foreign(const struct dkv_vault *vault, const struct listing *listing, struct dkv_error *err)
{
    return dkv_fail(err, DKV_E_REJECTED_CIPHERTEXT,
                    "%s has %zu documents whose _id is no UUID, which are no keys and weren't listed: they don't "
                    "belong there; delete them with MongoDB's shell, or sqlite3",
                    vault->store_text, listing->n_foreign);
}

enum dkv_rc dkv_key_list(struct dkv_vault *vault, const struct dkv_key_filter *filter, const struct dkv_uuid *after,
                         size_t limit, dkv_key_visit_fn visit, void *arg, struct dkv_error *err)
{
    static const struct dkv_key_filter all = DKV_KEY_FILTER_ALL;
    struct listing listing = {.visit = visit, .arg = arg};
    DKV_TRY(vault->store->ops->list(vault->store, filter != NULL ? filter : &all, after, limit, visit_row, &listing,
                                    err));
    if (listing.n_damaged > 0) {
        return fail_damaged(vault, &listing, err);
    }
    return listing.n_foreign == 0 ? DKV_OK : fail_foreign(vault, &listing, err);
}

enum dkv_rc dkv_key_count_by(struct dkv_vault *vault, dkv_key_count_fn visit, void *arg, struct dkv_error *err)
{
    return vault->store->ops->count_by(vault->store, visit, arg, err);
}
