/* SPDX-License-Identifier: Apache-2.0 */
/* Creating a key.
 * Invariant: a document is stored only after its very bytes, parsed again and judged by the provider file as at every
 * later use, have opened to the same DEK; what a provider writes but couldn't read is refused here, not found out on
 * the day the data is needed. The DEK lies in secret memory only. A stored key is never taken back: another process
 * may have used it already. No lock of its own. */
#include "base/crypto.h"
#include "base/mem.h"
#include "vault/check_record.h"
#include "vault/dek.h"
#include "vault/operation.h"
#include "vault/pinned.h"

#define ID_TRIES 2 /* a random UUID that clashes twice is no accident */

/* A key in the making. Large: on the heap. */
struct new_key {
    struct dkv_vault *vault;
    const struct dkv_key_options *options;
    struct dkv_instance *instance;
    struct dkv_cmk *cmk;
    struct dkv_cmk_info info;
    struct dkv_secret dek;
    struct dkv_uuid id;
    uint8_t material[DKV_KEY_MATERIAL_MAX];
    size_t material_len;
    struct dkv_buf bson;
};

static void new_key_free(struct new_key *key)
{
    if (key == NULL) {
        return;
    }
    if (key->cmk != NULL) {
        dkv_instance_cmk_free(key->instance, key->cmk);
    }
    dkv_secret_done(&key->dek);
    dkv_buf_done(&key->bson);
    dkv_free(key);
}
DKV_DEFINE_FREEP(struct new_key, new_key_free);

/* ---- What the caller gave ---- */

static enum dkv_rc check_name(const struct new_key *key, size_t index, struct dkv_error *err)
{
    const char *name = key->options->alt_names[index];
    DKV_TRY(dkv_alt_name_check(name, err));
    for (size_t i = 0; i < index; i++) {
        DKV_CHECK(strcmp(key->options->alt_names[i], name) != 0, err, DKV_E_INVALID,
                  "the alt name \"%s\" is given twice", name);
    }
    return dkv_pinned_check(key->vault->file, key->vault->settings, name, &key->id, err);
}

static enum dkv_rc check_options(const struct new_key *key, struct dkv_error *err)
{
    const struct dkv_key_options *options = key->options;
    DKV_CHECK(options->material.len == 0 || options->material.len == DKV_DEK_BYTES, err, DKV_E_INVALID,
              "key material must have %u bytes and has %zu", DKV_DEK_BYTES, options->material.len);
    DKV_CHECK(options->n_alt_names <= DKV_ALT_NAMES_MAX, err, DKV_E_INVALID, "%zu alt names, and a key may have %u",
              options->n_alt_names, DKV_ALT_NAMES_MAX);
    for (size_t i = 0; i < options->n_alt_names; i++) {
        DKV_TRY(check_name(key, i, err));
    }
    return DKV_OK;
}

/* ---- The CMK ---- */

static const char *first_refusal(const struct dkv_cmk_info *info)
{
    for (size_t i = 0; i < info->n_findings && i < DKV_FINDINGS_MAX; i++) {
        if (info->findings[i].refuses) {
            return info->findings[i].detail;
        }
    }
    return "its provider says no more";
}

static enum dkv_rc check_cmk_state(const struct dkv_cmk_info *info, struct dkv_error *err)
{
    switch (info->state) {
    case DKV_CMK_ENABLED:
        return DKV_OK;
    case DKV_CMK_DISABLED:
        return dkv_fail(err, DKV_E_DISABLED, "CMK %s (%s) is disabled", info->key_id, info->label);
    case DKV_CMK_PENDING_DELETION:
        return dkv_fail(err, DKV_E_DISABLED, "CMK %s (%s) is about to be deleted", info->key_id, info->label);
    case DKV_CMK_UNUSABLE:
        break;
    }
    return dkv_fail(err, DKV_E_POLICY, "CMK %s (%s) may not be used: %s", info->key_id, info->label,
                    first_refusal(info));
}

static enum dkv_rc choose_cmk(struct new_key *key, const char *provider_id, struct dkv_error *err)
{
    DKV_TRY(dkv_providers_get(key->vault->providers, provider_id, &key->instance, err));
    const struct dkv_call call = dkv_instance_call(key->instance, DKV_PURPOSE_CREATE);
    DKV_TRY(dkv_instance_resolve_reference(key->instance, &call, key->options->cmk, &key->cmk, err));
    DKV_TRY(dkv_instance_describe(key->instance, &call, key->cmk, &key->info, err));
    return check_cmk_state(&key->info, err);
}

/* ---- The document ---- */

static enum dkv_rc make_dek(struct new_key *key, struct dkv_error *err)
{
    DKV_TRY(dkv_secret_init(&key->dek, DKV_DEK_BYTES, err));
    if (key->options->material.len == 0) {
        return dkv_random(key->dek.data, key->dek.len, err);
    }
    memcpy(key->dek.data, key->options->material.data, key->dek.len);
    return DKV_OK;
}

/* Described again after the wrap: only then does every provider know the canonical masterKey. */
static enum dkv_rc wrap(struct new_key *key, struct dkv_error *err)
{
    const struct dkv_call call = dkv_instance_call(key->instance, DKV_PURPOSE_CREATE);
    struct dkv_wrap_item item = {
        .cmk = key->cmk,
        .context = dkv_span(key->id.bytes, sizeof(key->id.bytes)),
        .input = dkv_secret_view(&key->dek),
        .output = key->material,
        .output_capacity = sizeof(key->material),
        .err = err,
    };
    DKV_TRY(dkv_instance_wrap(key->instance, &call, &item, 1, err)); /* it holds the provider to its lengths */
    key->material_len = item.output_len;
    return dkv_instance_describe(key->instance, &call, key->cmk, &key->info, err);
}

/* The document borrows the names from the caller and the rest from the key. */
static enum dkv_rc write_document(struct new_key *key, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_freep) const char **names = NULL;
    const struct dkv_key_options *options = key->options;
    const int64_t now_ms = dkv_clock_real.wall_ms();
    if (options->n_alt_names > 0) {
        names = dkv_calloc(options->n_alt_names, sizeof(*names));
        if (names == NULL) {
            return dkv_fail_memory(err);
        }
        memcpy(names, options->alt_names, options->n_alt_names * sizeof(*names));
    }
    const struct dkv_document document = {
        .id = key->id,
        .alt_names = names,
        .n_alt_names = options->n_alt_names,
        .has_alt_names = options->n_alt_names > 0,
        .key_material = dkv_span(key->material, key->material_len),
        .creation_date_ms = now_ms,
        .update_date_ms = now_ms,
        .status = DKV_STATUS_ENABLED,
        .master_key = dkv_span(key->info.master_key, key->info.master_key_len),
    };
    dkv_buf_done(&key->bson);
    return dkv_document_write(&document, &key->bson, err);
}

/* ---- The proof that it opens ---- */

static enum dkv_rc parse_own(const struct new_key *key, struct dkv_document *ret, struct dkv_error *err)
{
    const char *id = dkv_instance_id(key->instance);
    const enum dkv_rc rc = dkv_document_parse(dkv_span_buf(&key->bson), ret, err);
    if (rc == DKV_E_REJECTED_CIPHERTEXT) {
        return dkv_fail(err, DKV_E_INTERNAL,
                        "provider %s gave a masterKey or keyMaterial of no valid document; nothing was stored", id);
    }
    DKV_TRY(rc);
    DKV_CHECK(strcmp(ret->provider, id) == 0, err, DKV_E_INTERNAL,
              "provider %s gave a masterKey of provider \"%s\"; nothing was stored", id, ret->provider);
    return DKV_OK;
}

static enum dkv_rc open_again(const struct new_key *key, const struct dkv_document *document, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret opened = {0};
    const enum dkv_rc rc = dkv_document_unwrap(key->vault, document, DKV_PURPOSE_CREATE, &opened, err);
    if (rc != DKV_OK && rc != DKV_E_REJECTED_CIPHERTEXT) {
        dkv_error_prefix(err, "the new wrap could not be tried, and nothing was stored: ");
        return rc;
    }
    DKV_CHECK(rc == DKV_OK && dkv_equal_ct(opened.data, key->dek.data, DKV_DEK_BYTES), err, DKV_E_INTERNAL,
              "what provider %s wrapped under CMK \"%s\" doesn't open to the same key; nothing was stored",
              dkv_instance_id(key->instance), key->info.key_id);
    return DKV_OK;
}

static enum dkv_rc verify(const struct new_key *key, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    DKV_TRY(parse_own(key, &document, err));
    return open_again(key, &document, err);
}

/* ---- Storing ---- */

/* Says which of the names it was, as far as the store still shows it. */
static enum dkv_rc name_is_taken(const struct new_key *key, struct dkv_error *err)
{
    struct dkv_store *store = key->vault->store;
    for (size_t i = 0; i < key->options->n_alt_names; i++) {
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf other = {0};
        const char *name = key->options->alt_names[i];
        const enum dkv_rc rc = store->ops->get_by_alt_name(store, name, &other, NULL);
        if (rc == DKV_OK || rc == DKV_E_CONFLICT) {
            (void)dkv_fail(err, DKV_E_CONFLICT, "another key has the alt name \"%s\" already", name);
            dkv_error_key(err, name);
            return DKV_E_CONFLICT;
        }
    }
    return dkv_fail(err, DKV_E_CONFLICT, "another key had one of the alt names");
}

/* The _id is bound into the wrap: a new one needs a new wrap. */
static enum dkv_rc make_and_store(struct new_key *key, enum dkv_clash *ret_clash, struct dkv_error *err)
{
    DKV_TRY(wrap(key, err));
    DKV_TRY(write_document(key, err));
    DKV_TRY(verify(key, err));
    DKV_TRY(dkv_audit_ready(key->vault->audit, err));
    return key->vault->store->ops->insert(key->vault->store, dkv_span_buf(&key->bson), ret_clash, err);
}

static enum dkv_rc store_under_free_id(struct new_key *key, struct dkv_error *err)
{
    for (int i = 0; i < ID_TRIES; i++) {
        enum dkv_clash clash = DKV_CLASH_NONE;
        const enum dkv_rc rc = make_and_store(key, &clash, err);
        if (rc == DKV_E_CONFLICT && clash == DKV_CLASH_NAME) {
            return name_is_taken(key, err);
        }
        if (rc != DKV_E_CONFLICT || clash != DKV_CLASH_ID) {
            return rc;
        }
        DKV_TRY(dkv_uuid_random(&key->id, err));
    }
    return dkv_fail(err, DKV_E_INTERNAL,
                    "two random _ids were taken already: the random numbers or the store can't be right");
}

static enum dkv_rc create(struct new_key *key, const char *provider_id, struct dkv_error *err)
{
    DKV_TRY(dkv_uuid_random(&key->id, err));
    DKV_TRY(check_options(key, err));
    DKV_TRY(dkv_audit_ready(key->vault->audit, err));
    DKV_TRY(choose_cmk(key, provider_id, err));
    DKV_TRY(make_dek(key, err));
    DKV_TRY(store_under_free_id(key, err));
    dkv_check_record_ensure(key->vault, key->instance, key->cmk, &key->info);
    return DKV_OK;
}

static enum dkv_rc record(struct new_key *key, struct dkv_operation *operation, enum dkv_rc outcome,
                          struct dkv_error *err)
{
    operation->record.key = &key->id;
    operation->record.cmk = key->info.key_id;
    operation->record.name = key->options->n_alt_names > 0 ? key->options->alt_names[0] : NULL;
    const enum dkv_rc rc = dkv_operation_end(key->vault, operation, outcome, err);
    if (rc != DKV_OK && outcome == DKV_OK) {
        char id[37];
        dkv_uuid_format(&key->id, id);
        dkv_error_key(err, id);
        dkv_error_prefix(err, "key %s was stored, but not recorded: ", id);
    }
    return rc;
}

enum dkv_rc dkv_key_create(struct dkv_vault *vault, const char *provider_id, const struct dkv_key_options *options,
                           struct dkv_uuid *ret_id, struct dkv_error *err)
{
    static const struct dkv_key_options none = {0};
    struct dkv_operation operation = dkv_operation_begin("key-create", NULL);
    DKV_CLEANUP(new_key_freep) struct new_key *key = dkv_calloc(1, sizeof(*key));
    if (key == NULL) {
        return dkv_fail_memory(err);
    }
    key->vault = vault;
    key->options = options != NULL ? options : &none;
    operation.record.provider = provider_id;
    DKV_TRY(record(key, &operation, create(key, provider_id, err), err));
    *ret_id = key->id;
    return DKV_OK;
}
