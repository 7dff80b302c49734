/* SPDX-License-Identifier: Apache-2.0 */
/* The providers of a provider file, each opened at its first use, so that one whose secret file or module is away
 * disturbs no other.
 * Invariant: an instance, once given out, stays until dkv_providers_free; an open that failed is tried again at the
 * next use.
 * Lock: `lock` guards instances and base, and is held while one opens: two threads never ask for one PIN or load one
 * module at once. */
#include "base/log.h"
#include "base/mem.h"
#include "vault/vault.h"

#include <pthread.h>

struct dkv_providers {
    const struct dkv_provider_file *file;
    pthread_mutex_t lock;
    bool has_base;
    struct dkv_host_base base;
    struct dkv_instance **instances; /* by the entry's index in the file */
};

enum dkv_rc dkv_providers_new(const struct dkv_provider_file *file, struct dkv_providers **ret, struct dkv_error *err)
{
    DKV_TRY(dkv_process_start(file, err));
    struct dkv_providers *providers = dkv_calloc(1, sizeof(*providers));
    if (providers == NULL) {
        return dkv_fail_memory(err);
    }
    providers->instances = dkv_calloc(file->n_entries + 1, sizeof(struct dkv_instance *));
    if (providers->instances == NULL) {
        dkv_free(providers);
        return dkv_fail_memory(err);
    }
    providers->file = file;
    (void)pthread_mutex_init(&providers->lock, NULL); /* can't fail with default attributes */
    *ret = providers;
    return DKV_OK;
}

void dkv_providers_free(struct dkv_providers *providers)
{
    if (providers == NULL) {
        return;
    }
    for (size_t i = 0; i < providers->file->n_entries; i++) {
        dkv_instance_close(providers->instances[i]);
    }
    dkv_state_close(providers->base.state);
    (void)pthread_mutex_destroy(&providers->lock);
    dkv_free(providers->instances);
    dkv_free(providers);
}

static enum dkv_rc unknown_provider(const struct dkv_provider_file *file, const char *id, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf known = {0};
    for (size_t i = 0; i < file->n_entries; i++) {
        DKV_TRY(dkv_buf_printf(&known, err, "%s%s", i > 0 ? ", " : "", file->entries[i]->id));
    }
    const char *text = dkv_buf_text(&known);
    const enum dkv_rc rc = dkv_fail(err, DKV_E_NOT_FOUND, "no provider \"%s\" in %s: there is %s", id, file->path,
                                    text != NULL && text[0] != '\0' ? text : "none");
    dkv_error_provider(err, id);
    return rc;
}

/* Without a state folder the providers that need none still work; the others say why they don't. Want of memory is no
 * such reason: it is tried again at the next use. */
static enum dkv_rc open_base(struct dkv_providers *providers, struct dkv_error *err)
{
    struct dkv_host_base *base = &providers->base;
    if (providers->has_base) {
        return DKV_OK;
    }
    const enum dkv_rc rc = dkv_state_open(providers->file->state_dir, &base->state, &base->state_why);
    if (rc == DKV_E_RESOURCE) {
        return dkv_fail(err, rc, "%s", base->state_why.message);
    }
    if (rc != DKV_OK) {
        dkv_log(DKV_LOG_NOTICE, "no state folder: %s", base->state_why.message);
    }
    providers->has_base = true;
    return DKV_OK;
}

static enum dkv_rc open_locked(struct dkv_providers *providers, size_t index, struct dkv_instance **ret,
                               struct dkv_error *err)
{
    if (providers->instances[index] == NULL) {
        DKV_TRY(open_base(providers, err));
        DKV_TRY(dkv_instance_open(providers->file->entries[index], &providers->base, &providers->instances[index],
                                  err));
    }
    *ret = providers->instances[index];
    return DKV_OK;
}

enum dkv_rc dkv_providers_get(struct dkv_providers *providers, const char *id, struct dkv_instance **ret,
                              struct dkv_error *err)
{
    for (size_t i = 0; i < providers->file->n_entries; i++) {
        if (strcmp(providers->file->entries[i]->id, id) == 0) {
            (void)pthread_mutex_lock(&providers->lock);
            const enum dkv_rc rc = open_locked(providers, i, ret, err);
            (void)pthread_mutex_unlock(&providers->lock);
            return rc;
        }
    }
    return unknown_provider(providers->file, id, err);
}
