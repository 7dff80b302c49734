/* SPDX-License-Identifier: Apache-2.0 */
/* Pinned names: whoever writes the vault could move an alt name to a key of his own, and what is encrypted by that
 * name from then on would be his to read. A name that the provider file pins is good for one _id. Pure, no lock. */
#include "vault/pinned.h"

static const struct dkv_uuid *find(const struct dkv_vault_settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->n_names; i++) {
        if (strcmp(settings->names[i].name, name) == 0) {
            return &settings->names[i].id;
        }
    }
    return NULL;
}

enum dkv_rc dkv_pinned_check(const struct dkv_provider_file *file, const struct dkv_vault_settings *settings,
                             const char *name, const struct dkv_uuid *id, struct dkv_error *err)
{
    const struct dkv_uuid *pinned = find(settings, name);
    char wanted[37], given[37];
    if (pinned == NULL || dkv_uuid_equal(pinned, id)) {
        return DKV_OK;
    }
    dkv_uuid_format(pinned, wanted);
    dkv_uuid_format(id, given);
    const enum dkv_rc rc = dkv_fail(err, DKV_E_POLICY,
                                    "the name \"%s\" is pinned to key %s in %s, and may not be that of key %s",
                                    name, wanted, file->path, given);
    dkv_error_key(err, name);
    return rc;
}

enum dkv_rc dkv_pinned_check_all(const struct dkv_provider_file *file, const struct dkv_vault_settings *settings,
                                 const struct dkv_document *document, struct dkv_error *err)
{
    for (size_t i = 0; i < document->n_alt_names; i++) {
        DKV_TRY(dkv_pinned_check(file, settings, document->alt_names[i], &document->id, err));
    }
    return DKV_OK;
}
