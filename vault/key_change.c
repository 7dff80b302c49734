/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of a stored key: names and deletion. None of them needs a CMK.
 * Invariant: with a required audit nothing changes unless a record can be written. No lock of its own: the store's
 * changes are atomic. */
#include "vault/key.h"
#include "vault/operation.h"
#include "vault/pinned.h"

/* One change of one key, and what comes of it. */
struct change {
    struct dkv_vault *vault;
    const struct dkv_key_selector *selector;
    const char *name;   /* to add or remove */
    bool takes_damaged; /* by its _id, whatever is kept under it */
    struct dkv_uuid id;
    bool changed;
};

typedef enum dkv_rc (*change_fn)(struct change *change, const struct dkv_key *key, struct dkv_error *err);

static enum dkv_rc fetch(struct change *change, struct dkv_key *ret, struct dkv_error *err)
{
    if (change->takes_damaged && change->selector->alt_name == NULL) {
        change->id = change->selector->id;
        return dkv_key_find(change->vault, &change->id, &ret->bytes, err);
    }
    DKV_TRY(dkv_key_fetch(change->vault, change->selector, ret, err));
    change->id = ret->document.id;
    return DKV_OK;
}

/* The key's _id goes into the record as soon as it is known. */
static enum dkv_rc fetch_and_apply(struct change *change, change_fn apply, struct dkv_operation *operation,
                                   struct dkv_error *err)
{
    DKV_CLEANUP(dkv_key_done) struct dkv_key key = {0};
    DKV_TRY(fetch(change, &key, err));
    operation->record.key = &change->id;
    DKV_TRY(dkv_audit_ready(change->vault->audit, err));
    const enum dkv_rc rc = apply(change, &key, err);
    if (rc != DKV_OK) {
        dkv_error_key_id(err, &change->id);
    }
    return rc;
}

static enum dkv_rc run(struct change *change, const char *operation_name, change_fn apply, struct dkv_error *err)
{
    struct dkv_operation operation = dkv_operation_begin(operation_name, change->selector);
    if (change->name != NULL) {
        operation.record.name = change->name;
    }
    return dkv_operation_end(change->vault, &operation, fetch_and_apply(change, apply, &operation, err), err);
}

/* ---- Names ---- */

static enum dkv_rc add_name(struct change *change, const struct dkv_key *key, struct dkv_error *err)
{
    struct dkv_vault *vault = change->vault;
    DKV_TRY(dkv_alt_name_check(change->name, err));
    DKV_TRY(dkv_pinned_check(vault->file, vault->settings, change->name, &key->document.id, err));
    return vault->store->ops->add_alt_name(vault->store, &key->document.id, change->name, &change->changed, err);
}

static enum dkv_rc remove_name(struct change *change, const struct dkv_key *key, struct dkv_error *err)
{
    struct dkv_vault *vault = change->vault;
    return vault->store->ops->remove_alt_name(vault->store, &key->document.id, change->name, &change->changed, err);
}

static enum dkv_rc change_name(struct dkv_vault *vault, const char *operation_name, change_fn apply,
                               const struct dkv_key_selector *key, const char *name, struct dkv_uuid *ret_id,
                               bool *ret_changed, struct dkv_error *err)
{
    struct change change = {.vault = vault, .selector = key, .name = name};
    DKV_TRY(run(&change, operation_name, apply, err));
    if (ret_id != NULL) {
        *ret_id = change.id;
    }
    if (ret_changed != NULL) {
        *ret_changed = change.changed;
    }
    return DKV_OK;
}

enum dkv_rc dkv_key_add_name(struct dkv_vault *vault, const struct dkv_key_selector *key, const char *name,
                             struct dkv_uuid *ret_id, bool *ret_changed, struct dkv_error *err)
{
    return change_name(vault, "key-add-name", add_name, key, name, ret_id, ret_changed, err);
}

enum dkv_rc dkv_key_remove_name(struct dkv_vault *vault, const struct dkv_key_selector *key, const char *name,
                                struct dkv_uuid *ret_id, bool *ret_changed, struct dkv_error *err)
{
    return change_name(vault, "key-remove-name", remove_name, key, name, ret_id, ret_changed, err);
}

/* ---- Deletion ---- */

/* Compare-and-delete: what goes is the document that was looked at, not one that another process put there since. */
static enum dkv_rc delete_key(struct change *change, const struct dkv_key *key, struct dkv_error *err)
{
    struct dkv_vault *vault = change->vault;
    return vault->store->ops->remove(vault->store, &change->id, dkv_span_buf(&key->bytes), err);
}

enum dkv_rc dkv_key_delete(struct dkv_vault *vault, const struct dkv_key_selector *key, struct dkv_uuid *ret_id,
                           struct dkv_error *err)
{
    struct change change = {.vault = vault, .selector = key, .takes_damaged = true};
    DKV_TRY(run(&change, "key-delete", delete_key, err));
    if (ret_id != NULL) {
        *ret_id = change.id;
    }
    return DKV_OK;
}
