/* SPDX-License-Identifier: Apache-2.0 */
/* A provider at work. The one place where calls get their deadline and request id, where an error gets the provider's
 * id, and where a provider's answers are held to the table's contract: a plug-in is not trusted to keep it, so an
 * answer that makes no sense becomes DKV_E_INTERNAL and never a key. batch.c does that for batches. Immutable between
 * open and close, hence no lock; the one counter is atomic. */
#include "providers/instance.h"

#include <stdatomic.h>

#include "base/mem.h"
#include "providers/batch.h"
#include "providers/host.h"

struct dkv_instance {
    const struct dkv_provider_entry *entry;
    const struct dkv_clock *clock;
    struct dkv_host_base base;
    struct dkv_host_context context;
    struct dkv_host host;
    struct dkv_provider *self;
};

DKV_DEFINE_FREEP(struct dkv_instance, dkv_instance_close);

static const struct dkv_provider_ops *ops_of(const struct dkv_instance *instance)
{
    return instance->entry->ops;
}

/* What the provider answered, as we pass it on: own is what it wrote, always ours so that a NULL err loses nothing. */
static enum dkv_rc settle(const struct dkv_instance *instance, enum dkv_rc rc, struct dkv_error *own,
                          struct dkv_error *err)
{
    if (rc == DKV_OK) {
        return DKV_OK;
    }
    const enum dkv_rc real = dkv_answer_judge(rc, own);
    dkv_error_provider(own, instance->entry->id);
    if (err != NULL) {
        *err = *own;
    }
    return real;
}

/* ---- Opening and closing ---- */

enum dkv_rc dkv_instance_open(const struct dkv_provider_entry *entry, const struct dkv_host_base *base,
                              struct dkv_instance **ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_instance_closep) struct dkv_instance *instance = dkv_calloc(1, sizeof(*instance));
    if (instance == NULL) {
        return dkv_fail_memory(err);
    }
    instance->entry = entry;
    instance->base = *base;
    instance->clock = base->clock != NULL ? base->clock : &dkv_clock_real;
    instance->context = (struct dkv_host_context){.base = &instance->base, .table = entry->ops->type};
    dkv_host_init(&instance->host, &instance->context);
    struct dkv_error own = {0};
    DKV_TRY(settle(instance, entry->ops->open(&instance->host, &entry->settings, &instance->self, &own), &own, err));
    if (instance->self == NULL) {
        return settle(instance, dkv_fail(&own, DKV_E_INTERNAL, "the provider opened, but gave no instance"), &own, err);
    }
    *ret = instance;
    instance = NULL;
    return DKV_OK;
}

void dkv_instance_close(struct dkv_instance *instance)
{
    if (instance != NULL) {
        ops_of(instance)->close(instance->self);
        dkv_free(instance);
    }
}

/* ---- About it ---- */

const char *dkv_instance_id(const struct dkv_instance *instance)
{
    return instance->entry->id;
}

const struct dkv_provider_ops *dkv_instance_ops(const struct dkv_instance *instance)
{
    return ops_of(instance);
}

struct dkv_provider *dkv_instance_self(const struct dkv_instance *instance)
{
    return instance->self;
}

struct dkv_call dkv_instance_call(const struct dkv_instance *instance, enum dkv_purpose purpose)
{
    static atomic_uint_fast64_t last_request_id;
    return (struct dkv_call){
        .deadline_ms = instance->clock->monotonic_ms() + (int64_t)instance->entry->settings.timeout_ms,
        .purpose = purpose,
        .request_id = atomic_fetch_add(&last_request_id, 1) + 1,
    };
}

/* ---- CMKs ---- */

static enum dkv_rc hand_over_cmk(const struct dkv_instance *instance, enum dkv_rc rc, struct dkv_cmk *cmk,
                                 struct dkv_cmk **ret, struct dkv_error *own, struct dkv_error *err)
{
    DKV_TRY(settle(instance, rc, own, err));
    if (cmk == NULL) {
        return settle(instance, dkv_fail(own, DKV_E_INTERNAL, "the provider found the CMK, but gave none"), own, err);
    }
    *ret = cmk;
    return DKV_OK;
}

enum dkv_rc dkv_instance_resolve_document(struct dkv_instance *instance, const struct dkv_call *call,
                                          struct dkv_span master_key, struct dkv_cmk **ret, struct dkv_error *err)
{
    struct dkv_error own = {0};
    struct dkv_cmk *cmk = NULL;
    const enum dkv_rc rc = ops_of(instance)->resolve_document(instance->self, call, master_key, &cmk, &own);
    return hand_over_cmk(instance, rc, cmk, ret, &own, err);
}

enum dkv_rc dkv_instance_resolve_reference(struct dkv_instance *instance, const struct dkv_call *call,
                                           const char *reference, struct dkv_cmk **ret, struct dkv_error *err)
{
    struct dkv_error own = {0};
    struct dkv_cmk *cmk = NULL;
    const enum dkv_rc rc = ops_of(instance)->resolve_reference(instance->self, call, reference, &cmk, &own);
    return hand_over_cmk(instance, rc, cmk, ret, &own, err);
}

void dkv_instance_cmk_free(struct dkv_instance *instance, struct dkv_cmk *cmk)
{
    if (cmk != NULL) {
        ops_of(instance)->cmk_free(cmk);
    }
}

/* info is large, and a provider writes it in place: it goes to the caller only when it is sound. */
static enum dkv_rc hand_over_info(const struct dkv_instance *instance, enum dkv_rc rc, const struct dkv_cmk_info *info,
                                  struct dkv_cmk_info *ret, struct dkv_error *own, struct dkv_error *err)
{
    DKV_TRY(settle(instance, rc, own, err));
    if (!dkv_cmk_info_is_sound(info)) {
        return settle(instance, dkv_fail(own, DKV_E_INTERNAL, "the provider's description of the CMK makes no sense"),
                      own, err);
    }
    *ret = *info;
    return DKV_OK;
}

enum dkv_rc dkv_instance_describe(struct dkv_instance *instance, const struct dkv_call *call, const struct dkv_cmk *cmk,
                                  struct dkv_cmk_info *ret, struct dkv_error *err)
{
    struct dkv_error own = {0};
    DKV_CLEANUP(dkv_freep) struct dkv_cmk_info *info = dkv_calloc(1, sizeof(*info));
    if (info == NULL) {
        return dkv_fail_memory(err);
    }
    const enum dkv_rc rc = ops_of(instance)->describe(instance->self, call, cmk, info, &own);
    return hand_over_info(instance, rc, info, ret, &own, err);
}

/* ---- Batches ---- */

static enum dkv_rc run_batch(struct dkv_instance *instance, const struct dkv_batch *batch, struct dkv_wrap_item *items,
                             size_t n, struct dkv_error *err)
{
    struct dkv_error own = {0};
    const enum dkv_rc rc = dkv_batch_run(batch, items, n, &own);
    return settle(instance, rc, &own, err);
}

enum dkv_rc dkv_instance_wrap(struct dkv_instance *instance, const struct dkv_call *call, struct dkv_wrap_item *items,
                              size_t n, struct dkv_error *err)
{
    const struct dkv_batch batch = {
        .run = ops_of(instance)->wrap, .self = instance->self, .call = call, .id = instance->entry->id,
        .is_wrap = true};
    return run_batch(instance, &batch, items, n, err);
}

enum dkv_rc dkv_instance_unwrap(struct dkv_instance *instance, const struct dkv_call *call,
                                struct dkv_wrap_item *items, size_t n, struct dkv_error *err)
{
    const struct dkv_batch batch = {
        .run = ops_of(instance)->unwrap, .self = instance->self, .call = call, .id = instance->entry->id,
        .is_wrap = false};
    return run_batch(instance, &batch, items, n, err);
}

/* ---- What a provider may lack ---- */

static enum dkv_rc fail_lacking(const struct dkv_instance *instance, const char *what, struct dkv_error *err)
{
    dkv_fail(err, DKV_E_INVALID, "a provider of type %s can't %s", ops_of(instance)->type, what);
    dkv_error_provider(err, instance->entry->id);
    return DKV_E_INVALID;
}

enum dkv_rc dkv_instance_check(struct dkv_instance *instance, const struct dkv_call *call, struct dkv_error *err)
{
    if (ops_of(instance)->check == NULL) {
        return fail_lacking(instance, "be checked", err);
    }
    struct dkv_error own = {0};
    return settle(instance, ops_of(instance)->check(instance->self, call, &own), &own, err);
}

/* A visitor's own refusal comes back through the provider; it gets the provider's id as everything else does. */
enum dkv_rc dkv_instance_list_cmks(struct dkv_instance *instance, const struct dkv_call *call, dkv_cmk_visit_fn visit,
                                   void *arg, struct dkv_error *err)
{
    if (ops_of(instance)->list_cmks == NULL) {
        return fail_lacking(instance, "list its CMKs", err);
    }
    struct dkv_error own = {0};
    return settle(instance, ops_of(instance)->list_cmks(instance->self, call, visit, arg, &own), &own, err);
}

enum dkv_rc dkv_instance_create_cmk(struct dkv_instance *instance, const struct dkv_call *call,
                                    const struct dkv_cmk_request *request,
                                    struct dkv_cmk_info *ret, struct dkv_error *err)
{
    if (ops_of(instance)->create_cmk == NULL) {
        return fail_lacking(instance, "create a CMK", err);
    }
    struct dkv_error own = {0};
    DKV_CLEANUP(dkv_freep) struct dkv_cmk_info *info = dkv_calloc(1, sizeof(*info));
    if (info == NULL) {
        return dkv_fail_memory(err);
    }
    const enum dkv_rc rc = ops_of(instance)->create_cmk(instance->self, call, request, info, &own);
    return hand_over_info(instance, rc, info, ret, &own, err);
}
