/* SPDX-License-Identifier: Apache-2.0 */
/* Moving a vault: every key document and the state, from one open vault to another of any kind. Nothing is unwrapped,
 * nothing at the destination is changed, and the source is only read, so that it may be killed anywhere and run again.
 * Memory is a page. No lock of its own. */
#include "vault/copy.h"

#include "base/mem.h"
#include "vault/operation.h"

static const struct dkv_copy_options no_options = {.dry_run = false};

static void copy_done(struct dkv_copy *copy)
{
    if (copy->page != NULL) {
        dkv_buf_done(&copy->page->bytes);
    }
    dkv_free(copy->page);
    dkv_buf_done(&copy->from_text);
    dkv_buf_done(&copy->to_text);
}

/* ---- Before the first key ---- */

/* One server has many vaults: its URI alone doesn't say which. */
static enum dkv_rc say_where(const struct dkv_vault *vault, struct dkv_buf *ret, struct dkv_error *err)
{
    const char *name_space = vault->settings->name_space;
    DKV_TRY(dkv_buf_append_str(ret, vault->store_text, err));
    DKV_TRY(name_space != NULL ? dkv_buf_printf(ret, err, " (%s)", name_space) : DKV_OK);
    return dkv_buf_text(ret) != NULL ? DKV_OK : dkv_fail_memory(err);
}

static bool equal_or_both_absent(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static enum dkv_rc check_they_are_two(const struct dkv_copy *copy, struct dkv_error *err)
{
    const struct dkv_vault *from = copy->from, *to = copy->to;
    const bool same = from == to || from->settings == to->settings ||
                      (strcmp(from->store_text, to->store_text) == 0 &&
                       equal_or_both_absent(from->settings->name_space, to->settings->name_space));
    DKV_CHECK(!same, err, DKV_E_INVALID, "a vault is copied to another one, and both are %s", dkv_copy_to(copy));
    return DKV_OK;
}

#define MAKE_INDEX "`dekvault vault init`, with --vault and its name,"

static const struct index_words {
    enum dkv_rc rc;
    const char *words;
} index_words[] = {
    [DKV_INDEX_OK] = {DKV_OK, ""},
    [DKV_INDEX_MISSING] = {DKV_E_CONFIG, "is missing: " MAKE_INDEX " makes it"},
    [DKV_INDEX_NOT_UNIQUE] = {DKV_E_CONFIG, "isn't unique: drop it, then " MAKE_INDEX " makes the right one"},
    [DKV_INDEX_NOT_PARTIAL] = {DKV_E_CONFIG, "isn't partial: drop it, then " MAKE_INDEX " makes the right one"},
    [DKV_INDEX_SHARDED] = {DKV_E_CONFIG, "can't be made, since the collection is sharded: copy to one that isn't"},
    [DKV_INDEX_UNKNOWN] = {DKV_E_DENIED, "can't be seen: this user needs the privilege listIndexes"},
};

/* Without it two keys could get one name, and the copy wouldn't be told. */
static enum dkv_rc check_destination(struct dkv_copy *copy, struct dkv_error *err)
{
    enum dkv_index_state state = DKV_INDEX_UNKNOWN;
    DKV_TRY(copy->to->store->ops->check_index(copy->to->store, &state, err));
    const struct index_words *words = &index_words[state];
    DKV_CHECK(words->rc == DKV_OK, err, words->rc, "the index of alt names of %s %s", dkv_copy_to(copy), words->words);
    return DKV_OK;
}

static enum dkv_rc check_source(struct dkv_copy *copy, struct dkv_error *err)
{
    enum dkv_index_state state = DKV_INDEX_UNKNOWN;
    DKV_TRY(copy->from->store->ops->check_index(copy->from->store, &state, err));
    copy->names_may_repeat = state != DKV_INDEX_OK;
    return DKV_OK;
}

/* ---- State ---- */

/* What is there stays: an equal value needs no writing; a check record of the same CMK that differs, differs by its
 * salt and holds as well. */
static enum dkv_rc copy_value(void *arg, const char *key, struct dkv_span value, struct dkv_error *err)
{
    struct dkv_store *to = arg;
    struct dkv_error why = {0};
    if (value.len == 0) { /* as good as absent */
        return DKV_OK;
    }
    const enum dkv_rc rc = to->ops->state_put(to, key, dkv_span(NULL, 0), value, &why);
    return rc == DKV_E_CONFLICT ? DKV_OK : dkv_fail_as(err, rc, &why);
}

/* ---- Keys ---- */

/* A row whose _id is no UUID is no key of any driver's, and has no place at the destination. */
static enum dkv_rc refuse_foreign(struct dkv_copy *copy, struct dkv_error *err)
{
    struct dkv_error why = {0};
    (void)dkv_fail(&why, DKV_E_REJECTED_CIPHERTEXT,
                   "%s has a document whose _id is no UUID: it is no key, and stays behind", dkv_copy_from(copy));
    copy->counts.refused++;
    const struct dkv_copy_options *options = copy->options;
    return options->refused != NULL ? options->refused(options->arg, NULL, &why, err) : DKV_OK;
}

static enum dkv_rc take_row(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    struct dkv_copy *copy = arg;
    return id != NULL ? dkv_copy_add(copy, id, document, err) : refuse_foreign(copy, err);
}

static enum dkv_rc copy_keys(struct dkv_copy *copy, struct dkv_error *err)
{
    static const struct dkv_key_filter all = DKV_KEY_FILTER_ALL;
    struct dkv_store *from = copy->from->store;
    DKV_TRY(from->ops->list(from, &all, NULL /* after */, 0 /* limit */, take_row, copy, err));
    return dkv_copy_settle(copy, err);
}

/* State goes first: what all processes agree on must be known where the keys are used. */
static enum dkv_rc copy_all(struct dkv_copy *copy, struct dkv_error *err)
{
    struct dkv_store *from = copy->from->store;
    DKV_TRY(check_destination(copy, err));
    DKV_TRY(check_source(copy, err));
    copy->page = dkv_calloc(1, sizeof(*copy->page));
    if (copy->page == NULL) {
        return dkv_fail_memory(err);
    }
    if (!copy->options->dry_run) {
        DKV_TRY(from->ops->state_list(from, copy_value, copy->to->store, err));
    }
    return copy_keys(copy, err);
}

/* ---- The record ---- */

/* One record in each audit that there is: two vaults of one provider file write to the same. A dry run changes nothing
 * and is no more than a listing. */
static enum dkv_rc copy_and_record(struct dkv_copy *copy, struct dkv_error *err)
{
    const bool has_two_audits = copy->from->file != copy->to->file;
    struct dkv_operation operation = dkv_operation_begin("vault-copy", NULL);
    DKV_TRY(dkv_audit_ready(copy->to->audit, err));
    DKV_TRY(has_two_audits ? dkv_audit_ready(copy->from->audit, err) : DKV_OK);
    enum dkv_rc rc = copy_all(copy, err);
    rc = dkv_operation_end(copy->to, &operation, rc, err);
    return has_two_audits ? dkv_operation_end(copy->from, &operation, rc, err) : rc;
}

enum dkv_rc dkv_vault_copy(struct dkv_vault *from, struct dkv_vault *to, const struct dkv_copy_options *options,
                           struct dkv_copy_counts *ret_counts, struct dkv_error *err)
{
    DKV_CLEANUP(copy_done) struct dkv_copy copy = {
        .from = from,
        .to = to,
        .options = options != NULL ? options : &no_options,
    };
    DKV_TRY(say_where(from, &copy.from_text, err));
    DKV_TRY(say_where(to, &copy.to_text, err));
    DKV_TRY(check_they_are_two(&copy, err));
    DKV_TRY(copy.options->dry_run ? copy_all(&copy, err) : copy_and_record(&copy, err));
    *ret_counts = copy.counts;
    return DKV_OK;
}
