/* SPDX-License-Identifier: Apache-2.0 */
/* A provider at work: its table, its settings and the host that it stands on. The faces and the vault
 * call providers through here, so that deadlines, request ids and the provider's id in errors are set in one
 * place. Thread-safe but for open and close. */
#ifndef PROVIDERS_INSTANCE_H
#define PROVIDERS_INSTANCE_H

#include "base/clock.h"
#include "base/state.h"
#include "providers/entry.h"

struct dkv_instance;

/* What instances share. state may be NULL when the state folder could not be opened: providers that need it then say so
 * (DKV_E_CONFIG, state_why). Borrowed. */
struct dkv_host_base {
    struct dkv_state *state;
    struct dkv_error state_why;
    const struct dkv_clock *clock; /* NULL: dkv_clock_real */
};

DKV_MUST_USE enum dkv_rc dkv_instance_open(const struct dkv_provider_entry *entry, const struct dkv_host_base *base,
                                           struct dkv_instance **ret, struct dkv_error *err);
void dkv_instance_close(struct dkv_instance *instance);

const char *dkv_instance_id(const struct dkv_instance *instance);
const struct dkv_provider_ops *dkv_instance_ops(const struct dkv_instance *instance);
/* The provider's own instance, for faces that know its type (token login). */
struct dkv_provider *dkv_instance_self(const struct dkv_instance *instance);

/* A call with the entry's timeout from now on, and a request id. */
struct dkv_call dkv_instance_call(const struct dkv_instance *instance, enum dkv_purpose purpose);

/* As the table's functions, with *err naming the provider. Optional ones that the provider lacks: DKV_E_INVALID. */
DKV_MUST_USE enum dkv_rc dkv_instance_resolve_document(struct dkv_instance *instance, const struct dkv_call *call,
                                                       struct dkv_span master_key, struct dkv_cmk **ret,
                                                       struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_instance_resolve_reference(struct dkv_instance *instance, const struct dkv_call *call,
                                                        const char *reference, struct dkv_cmk **ret,
                                                        struct dkv_error *err);
void dkv_instance_cmk_free(struct dkv_instance *instance, struct dkv_cmk *cmk);
DKV_MUST_USE enum dkv_rc dkv_instance_describe(struct dkv_instance *instance, const struct dkv_call *call,
                                               const struct dkv_cmk *cmk, struct dkv_cmk_info *ret,
                                               struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_instance_wrap(struct dkv_instance *instance, const struct dkv_call *call,
                                           struct dkv_wrap_item *items, size_t n, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_instance_unwrap(struct dkv_instance *instance, const struct dkv_call *call,
                                             struct dkv_wrap_item *items, size_t n, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_instance_check(struct dkv_instance *instance, const struct dkv_call *call,
                                            struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_instance_list_cmks(struct dkv_instance *instance, const struct dkv_call *call,
                                                dkv_cmk_visit_fn visit, void *arg, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_instance_create_cmk(struct dkv_instance *instance, const struct dkv_call *call,
                                                 const struct dkv_cmk_request *request, struct dkv_cmk_info *ret,
                                                 struct dkv_error *err);

#endif
