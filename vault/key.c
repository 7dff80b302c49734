/* SPDX-License-Identifier: Apache-2.0 */
/* Finding one key document.
 * Invariant: a document is handed out only when it is the one that was asked for: the store may lie about _id and
 * names, and two sources that decide what a name means (the store and the provider file's `names`) must agree. No lock
 * of its own. */
#include "vault/key.h"

#include "vault/pinned.h"

void dkv_key_done(struct dkv_key *key)
{
    dkv_document_done(&key->document);
    dkv_buf_done(&key->bytes);
}

/* ---- Selectors ---- */

enum dkv_rc dkv_key_selector_parse(const char *text, struct dkv_key_selector *ret, struct dkv_error *err)
{
    static const char name_prefix[] = "name:";
    struct dkv_key_selector selector = {.alt_name = text};
    if (strncmp(text, name_prefix, strlen(name_prefix)) == 0) {
        selector.alt_name = text + strlen(name_prefix);
    } else if (dkv_uuid_parse(text, &selector.id)) {
        selector.alt_name = NULL;
    }
    DKV_CHECK(selector.alt_name == NULL || selector.alt_name[0] != '\0', err, DKV_E_INVALID,
              "\"%s\" names no key: give a UUID or an alt name", text);
    *ret = selector;
    return DKV_OK;
}

/* ---- By _id ---- */

struct found {
    struct dkv_buf bytes;
    size_t n;
};

static void found_done(struct found *found)
{
    dkv_buf_done(&found->bytes);
}

static enum dkv_rc copy_document(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    struct found *found = arg;
    (void)id;
    DKV_CHECK(found->n++ == 0, err, DKV_E_REJECTED_CIPHERTEXT, "the store gave two documents for one _id");
    return dkv_buf_append(&found->bytes, document, err);
}

static enum dkv_rc not_found(const struct dkv_vault *vault, const struct dkv_uuid *id, struct dkv_error *err)
{
    char text[37];
    dkv_uuid_format(id, text);
    const enum dkv_rc rc = dkv_fail(err, DKV_E_NOT_FOUND, "no key %s in %s", text, vault->store_text);
    dkv_error_key(err, text);
    return rc;
}

enum dkv_rc dkv_key_find(struct dkv_vault *vault, const struct dkv_uuid *id, struct dkv_buf *ret, struct dkv_error *err)
{
    DKV_CLEANUP(found_done) struct found found = {0};
    DKV_TRY(vault->store->ops->get_many(vault->store, id, 1, copy_document, &found, err));
    if (found.n == 0) {
        return not_found(vault, id, err);
    }
    dkv_buf_steal(ret, &found.bytes);
    return DKV_OK;
}

static enum dkv_rc check_id(const struct dkv_document *document, const struct dkv_uuid *id, struct dkv_error *err)
{
    char asked[37], given[37];
    if (dkv_uuid_equal(&document->id, id)) {
        return DKV_OK;
    }
    dkv_uuid_format(id, asked);
    dkv_uuid_format(&document->id, given);
    return dkv_fail(err, DKV_E_REJECTED_CIPHERTEXT, "the store was asked for key %s and gave key %s", asked, given);
}

/* ---- By alt name ---- */

static enum dkv_rc check_name(const struct dkv_vault *vault, const struct dkv_document *document, const char *name,
                              struct dkv_error *err)
{
    DKV_TRY(dkv_pinned_check(vault->file, vault->settings, name, &document->id, err));
    for (size_t i = 0; i < document->n_alt_names; i++) {
        if (strcmp(document->alt_names[i], name) == 0) {
            return DKV_OK;
        }
    }
    char given[37];
    dkv_uuid_format(&document->id, given);
    return dkv_fail(err, DKV_E_REJECTED_CIPHERTEXT,
                    "the store was asked for the name \"%s\" and gave key %s, which hasn't it", name, given);
}

static enum dkv_rc find_by_name(struct dkv_vault *vault, const char *name, struct dkv_buf *ret, struct dkv_error *err)
{
    /* Any length: other programs may have written longer names than we would. */
    DKV_CHECK(name[0] != '\0' && dkv_utf8_is_valid(dkv_span_str(name)), err, DKV_E_INVALID,
              "an alt name is UTF-8 text, and not empty");
    const enum dkv_rc rc = vault->store->ops->get_by_alt_name(vault->store, name, ret, err);
    if (rc != DKV_OK) {
        dkv_error_key(err, name);
    }
    return rc;
}

/* ---- Either ---- */

enum dkv_rc dkv_key_fetch(struct dkv_vault *vault, const struct dkv_key_selector *selector, struct dkv_key *ret,
                          struct dkv_error *err)
{
    DKV_CLEANUP(dkv_key_done) struct dkv_key key = {0};
    const char *name = selector->alt_name;
    DKV_TRY(name != NULL ? find_by_name(vault, name, &key.bytes, err)
                         : dkv_key_find(vault, &selector->id, &key.bytes, err));
    enum dkv_rc rc = dkv_document_parse(dkv_span_buf(&key.bytes), &key.document, err);
    if (rc == DKV_OK) {
        rc = name != NULL ? check_name(vault, &key.document, name, err) : check_id(&key.document, &selector->id, err);
    }
    if (rc != DKV_OK && name == NULL) {
        dkv_error_key_id(err, &selector->id); /* that in the bytes, if there is one, may be a lie */
    }
    DKV_TRY(rc);
    *ret = key;
    key = (struct dkv_key){0};
    return DKV_OK;
}

enum dkv_rc dkv_key_get(struct dkv_vault *vault, const struct dkv_key_selector *key, struct dkv_buf *ret_document,
                        struct dkv_error *err)
{
    DKV_CLEANUP(dkv_key_done) struct dkv_key found = {0};
    DKV_TRY(dkv_key_fetch(vault, key, &found, err));
    dkv_buf_steal(ret_document, &found.bytes);
    return DKV_OK;
}

