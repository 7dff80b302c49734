/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a vault: the process made fit for keys, the store, the audit, the providers (none of them contacted yet).
 * Invariant: a store's location that came from a secret file stays in secret memory and is in no text that is shown.
 * No lock: a vault doesn't change once it is open. */
#include "vault/vault.h"

#include "base/file.h"
#include "base/mem.h"
#include "vault/provider_file_groups.h"

#define LOCATION_MAX 8192u

/* ---- The store's location ---- */

/* Copies text of secret memory, to have a NUL behind it. */
static enum dkv_rc terminate(const struct dkv_secret *read, struct dkv_secret *ret, struct dkv_error *err)
{
    const size_t len = dkv_secret_trimmed_len(read);
    DKV_CHECK(memchr(read->data, 0, len) == NULL, err, DKV_E_CONFIG, "a NUL in the store's location");
    DKV_TRY(dkv_secret_init(ret, len + 1, err));
    memcpy(ret->data, read->data, len);
    return DKV_OK;
}

static enum dkv_rc read_location(const struct dkv_provider_file *file, const struct dkv_vault_settings *settings,
                                 struct dkv_secret *ret, struct dkv_error *err)
{
    static const char scheme[] = "file:";
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret read = {0};
    const char *source = settings->store_source;
    DKV_CHECK(strncmp(source, scheme, strlen(scheme)) == 0, err, DKV_E_CONFIG,
              "%s:%u: store-source: only file:/absolute/path is known", file->path, settings->line);
    DKV_TRY(dkv_secret_file_read(source + strlen(scheme), settings->allow_group_read, LOCATION_MAX, &read, NULL, err));
    return terminate(&read, ret, err);
}

/* What the provider file's check judges of `store`, it could not of the text that a store-source holds. */
static enum dkv_rc judge_location(const struct dkv_provider_file *file, const struct dkv_vault_settings *settings,
                                  const char *text, struct dkv_error *err)
{
    const char *wrong = dkv_store_uri_judge(text, true /* may_hold_password */);
    DKV_CHECK(wrong == NULL, err, DKV_E_CONFIG, "%s:%u: store-source: the text in %s %s", file->path, settings->line,
              settings->store_source, wrong);
    size_t len = 0;
    const bool is_sqlite = dkv_store_uri_is_sqlite(text);
    /* Its name isn't shown: it may be a part of a password that has an & in it. */
    DKV_CHECK(is_sqlite || dkv_store_uri_unknown_option(text, &len) == NULL, err, DKV_E_CONFIG,
              "%s:%u: store-source: the URI in %s has an option that MongoDB's URIs don't have; look for a slip in its "
              "options' names", file->path, settings->line, settings->store_source);
    DKV_CHECK(is_sqlite || settings->name_space != NULL, err, DKV_E_CONFIG,
              "%s:%u: namespace is missing: a mongodb:// store needs DATABASE.COLLECTION", file->path, settings->line);
    return DKV_OK;
}

static enum dkv_rc find_kind(const struct dkv_provider_file *file, const struct dkv_vault_settings *settings,
                             const char *store, const struct dkv_store_ops **ret, const char **ret_location,
                             struct dkv_error *err)
{
    const struct dkv_store_ops *ops = dkv_store_find(store, ret_location);
    DKV_CHECK(ops != NULL, err, DKV_E_CONFIG,
              "%s:%u: the store is of no known kind: use sqlite:/absolute/path or a mongodb:// URI", file->path,
              settings->line);
    *ret = ops;
    return DKV_OK;
}

static enum dkv_rc open_store(struct dkv_vault *vault, bool create, bool *ret_created, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret secret = {0};
    const struct dkv_vault_settings *settings = vault->settings;
    const struct dkv_store_ops *ops = NULL;
    struct dkv_store_settings store = {
        .name_space = settings->name_space,
        .timeout_ms = settings->timeout_ms,
        .allow_group_read = settings->allow_group_read,
    };
    if (settings->store == NULL) {
        DKV_TRY(read_location(vault->file, settings, &secret, err));
        DKV_TRY(judge_location(vault->file, settings, (const char *)secret.data, err));
    }
    const char *text = settings->store != NULL ? settings->store : (const char *)secret.data;
    DKV_TRY(find_kind(vault->file, settings, text, &ops, &store.location, err));
    /* A path holds no password, but one that was kept in a secret file isn't shown either. */
    vault->store_text = dkv_strdup(settings->store != NULL ? settings->store : settings->store_source);
    if (vault->store_text == NULL) {
        return dkv_fail_memory(err);
    }
    return ops->open(&store, create, ret_created, &vault->store, err);
}

/* ---- Opening ---- */

static enum dkv_rc find_settings(const struct dkv_provider_file *file, const char *name,
                                 const struct dkv_vault_settings **ret, struct dkv_error *err)
{
    const char *wanted = name != NULL ? name : "default";
    *ret = dkv_provider_file_vault(file, wanted);
    const bool is_default = strcmp(wanted, "default") == 0;
    DKV_CHECK(*ret != NULL || !is_default, err, DKV_E_NOT_FOUND,
              "%s names no vault: set `vault.store`, for instance sqlite:/var/lib/dekvault/vault.db", file->path);
    DKV_CHECK(*ret != NULL, err, DKV_E_NOT_FOUND, "no vault \"%s\" in %s: set `vaults.%s.store` there", wanted,
              file->path, wanted);
    return DKV_OK;
}

static enum dkv_rc fill(struct dkv_vault *vault, const char *name, bool create, bool *ret_created,
                        struct dkv_error *err)
{
    const struct dkv_audit_settings audit = {.to = vault->file->audit_to, .required = vault->file->audit_required};
    DKV_TRY(find_settings(vault->file, name, &vault->settings, err));
    DKV_TRY(dkv_providers_new(vault->file, &vault->providers, err));
    DKV_TRY(dkv_audit_open(&audit, &vault->audit, err));
    DKV_TRY(open_store(vault, create, ret_created, err));
    return create ? vault->store->ops->ensure_index(vault->store, err) : DKV_OK;
}

static enum dkv_rc open_vault(const struct dkv_provider_file *file, const char *name, bool create, bool *ret_created,
                              struct dkv_vault **ret_vault, struct dkv_error *err)
{
    struct dkv_vault *vault = dkv_calloc(1, sizeof(*vault));
    bool created = false;
    if (vault == NULL) {
        return dkv_fail_memory(err);
    }
    vault->file = file;
    const enum dkv_rc rc = fill(vault, name, create, &created, err);
    if (rc != DKV_OK) {
        dkv_vault_close(vault);
        return rc;
    }
    if (ret_created != NULL) {
        *ret_created = created;
    }
    *ret_vault = vault;
    return DKV_OK;
}

enum dkv_rc dkv_vault_open(const struct dkv_provider_file *file, const char *name, struct dkv_vault **ret_vault,
                           struct dkv_error *err)
{
    return open_vault(file, name, false /* create */, NULL, ret_vault, err);
}

enum dkv_rc dkv_vault_init(const struct dkv_provider_file *file, const char *name, bool *ret_created,
                           struct dkv_vault **ret_vault, struct dkv_error *err)
{
    return open_vault(file, name, true /* create */, ret_created, ret_vault, err);
}

void dkv_vault_close(struct dkv_vault *vault)
{
    if (vault == NULL) {
        return;
    }
    if (vault->store != NULL) {
        vault->store->ops->close(vault->store);
    }
    dkv_providers_free(vault->providers);
    dkv_audit_close(vault->audit);
    dkv_free(vault->store_text);
    dkv_free(vault);
}

/* ---- About it ---- */

const char *dkv_vault_store(const struct dkv_vault *vault)
{
    return vault->store_text;
}

const char *dkv_vault_namespace(const struct dkv_vault *vault)
{
    return vault->settings->name_space;
}

enum dkv_rc dkv_vault_index_state(struct dkv_vault *vault, const char **ret_state, struct dkv_error *err)
{
    static const char *const names[] = {
        [DKV_INDEX_OK] = "ok",
        [DKV_INDEX_MISSING] = "missing",
        [DKV_INDEX_NOT_UNIQUE] = "not-unique",
        [DKV_INDEX_NOT_PARTIAL] = "not-partial",
        [DKV_INDEX_SHARDED] = "sharded",
        [DKV_INDEX_UNKNOWN] = "unknown",
    };
    enum dkv_index_state state = DKV_INDEX_UNKNOWN;
    DKV_TRY(vault->store->ops->check_index(vault->store, &state, err));
    *ret_state = names[state];
    return DKV_OK;
}
