/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of wraps and unwraps: each item takes the way connect, bind, session, profile. Where that fails because
 * session, handle or login were lost, it is taken once more on a new connection. Lock: the instance's while binding,
 * none while the token works. */
#include "providers/pkcs11/internal.h"

#include "base/crypto.h"

struct job {
    struct dkv_provider *self;
    const struct dkv_call *call;
    struct dkv_wrap_item *item;
    bool is_wrap;
};

/* ---- One item ---- */

static enum dkv_rc check_listed(const struct job *job, struct dkv_error *err)
{
    const struct dkv_provider_settings *settings = job->self->settings;
    char hex[2 * DKV_P11_ID_MAX + 1];
    if (job->item->cmk->is_listed) {
        return DKV_OK;
    }
    dkv_to_hex(dkv_span(job->item->cmk->id, job->item->cmk->id_len), hex);
    return dkv_fail(err, DKV_E_POLICY,
                    "CMK %s isn't in cmk or cmks of %s, so it isn't used: add id:%s there first (%s:%u)", hex,
                    settings->id, hex, settings->file, settings->line);
}

/* A document's context is its _id and a check record's is empty: neither can be made to look like the other. */
static enum dkv_rc check_item(const struct job *job, struct dkv_error *err)
{
    const struct dkv_wrap_item *item = job->item;
    const size_t context_len = job->call->purpose == DKV_PURPOSE_CHECK ? 0 : 16;
    DKV_TRY(dkv_p11_check_call(job->self, job->call, err));
    DKV_TRY(check_listed(job, err));
    DKV_CHECK(item->context.len == context_len, err, DKV_E_INVALID,
              "the context of a wrap is a document's _id of 16 bytes, or none for a check record, not %zu bytes",
              item->context.len);
    DKV_CHECK(!job->is_wrap || item->input.len == DKV_DEK_BYTES, err, DKV_E_INVALID,
              "a data key is %u bytes long, not %zu", DKV_DEK_BYTES, item->input.len);
    DKV_CHECK(job->is_wrap || item->output_capacity >= DKV_DEK_BYTES, err, DKV_E_INVALID,
              "there is no room for a data key");
    return DKV_OK;
}

static enum dkv_rc bind(const struct job *job, struct dkv_p11_key *ret, uint64_t *ret_generation, struct dkv_error *err)
{
    struct dkv_provider *self = job->self;
    DKV_P11_HOLD(&self->lock);
    const enum dkv_rc rc = dkv_p11_connect(self, job->call, err);
    *ret_generation = self->generation;
    DKV_TRY(rc);
    return dkv_p11_cmk_bind(self, job->item->cmk, true, ret, err);
}

static enum dkv_rc use(const struct job *job, const struct dkv_p11_key *key, uint64_t generation, CK_RV *ret_rv,
                       struct dkv_error *err)
{
    struct dkv_provider *self = job->self;
    struct dkv_p11_session session = {0};
    DKV_TRY(dkv_p11_session_take(self, job->call, generation, &session, ret_rv, err));
    struct dkv_p11_use use = {
        .functions = self->functions,
        .session = session.handle,
        .key = key->handle,
        .cmk_name = key->name,
        .binding = {.is_check_record = job->call->purpose == DKV_PURPOSE_CHECK,
                    .key_id = dkv_span(key->id, key->id_len),
                    .context = job->item->context},
    };
    const enum dkv_rc rc =
        job->is_wrap ? key->profile->wrap(&use, job->item, err) : key->profile->unwrap(&use, job->item, err);
    dkv_p11_session_give(self, &session, rc == DKV_OK);
    *ret_rv = use.rv;
    return rc;
}

static enum dkv_rc try_once(const struct job *job, uint64_t *ret_generation, CK_RV *ret_rv, struct dkv_error *err)
{
    struct dkv_p11_key key = {0};
    const enum dkv_rc rc = bind(job, &key, ret_generation, err);
    if (rc != DKV_OK) {
        *ret_rv = err->native_system == DKV_NATIVE_PKCS11 ? (CK_RV)err->native_code : CKR_OK;
        return rc;
    }
    return use(job, &key, *ret_generation, ret_rv, err);
}

static enum dkv_rc run_one(const struct job *job, struct dkv_error *err)
{
    uint64_t generation = 0;
    CK_RV rv = CKR_OK;
    DKV_TRY(check_item(job, err));
    const enum dkv_rc rc = try_once(job, &generation, &rv, err);
    if (rc == DKV_OK || dkv_p11_rv_trouble(rv) == DKV_P11_TROUBLE_NONE) {
        return rc;
    }
    *err = (struct dkv_error){0};
    job->item->output_len = 0;
    DKV_TRY(dkv_p11_reconnect(job->self, job->call, generation, err));
    return try_once(job, &generation, &rv, err);
}

/* ---- The batch ---- */

static enum dkv_rc each(struct job *job, struct dkv_wrap_item *items, size_t n, struct dkv_error *err)
{
    enum dkv_rc first = DKV_OK;
    for (size_t i = 0; i < n; i++) {
        struct dkv_error own = {0};
        job->item = &items[i];
        items[i].output_len = 0;
        items[i].status = run_one(job, &own);
        if (items[i].status == DKV_OK) {
            continue;
        }
        items[i].output_len = 0;
        if (items[i].err != NULL) {
            *items[i].err = own;
        }
        if (first == DKV_OK && err != NULL) {
            *err = own;
        }
        first = first == DKV_OK ? items[i].status : first;
    }
    return first;
}

enum dkv_rc dkv_p11_wrap(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items, size_t n,
                         struct dkv_error *err)
{
    struct job job = {.self = self, .call = call, .is_wrap = true};
    return each(&job, items, n, err);
}

enum dkv_rc dkv_p11_unwrap(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items,
                           size_t n, struct dkv_error *err)
{
    struct job job = {.self = self, .call = call, .is_wrap = false};
    return each(&job, items, n, err);
}

/* ---- Health: the CMK of new keys wraps and opens again, and the others are there ---- */

static enum dkv_rc round_trip(struct dkv_provider *self, const struct dkv_call *call, const struct dkv_cmk *cmk,
                              struct dkv_error *err)
{
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret dek = {0};
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret again = {0};
    uint8_t material[256];
    struct dkv_call as_check = *call;
    as_check.purpose = DKV_PURPOSE_CHECK;
    DKV_TRY(dkv_secret_init(&dek, DKV_DEK_BYTES, err));
    DKV_TRY(dkv_secret_init(&again, DKV_DEK_BYTES, err));
    DKV_TRY(dkv_random(dek.data, dek.len, err));
    struct dkv_wrap_item in = {
        .cmk = cmk, .input = dkv_secret_view(&dek), .output = material, .output_capacity = sizeof(material)};
    DKV_TRY(dkv_p11_wrap(self, &as_check, &in, 1, err));
    struct dkv_wrap_item out = {
        .cmk = cmk, .input = dkv_span(material, in.output_len), .output = again.data, .output_capacity = again.len};
    DKV_TRY(dkv_p11_unwrap(self, &as_check, &out, 1, err));
    DKV_CHECK(dkv_equal_ct(dek.data, again.data, DKV_DEK_BYTES), err, DKV_E_INTERNAL,
              "a wrapped key came back as another one");
    return DKV_OK;
}

static enum dkv_rc check_cmk(struct dkv_provider *self, const struct dkv_call *call, struct dkv_error *err)
{
    struct dkv_cmk *cmk = NULL;
    DKV_TRY(dkv_pkcs11_ops.resolve_reference(self, call, NULL, &cmk, err));
    const enum dkv_rc rc = round_trip(self, call, cmk, err);
    dkv_pkcs11_ops.cmk_free(cmk);
    return rc;
}

static enum dkv_rc find_and_judge(struct dkv_provider *self, const struct dkv_call *call, const struct dkv_cmk *cmk,
                                  struct dkv_error *err)
{
    struct dkv_p11_key key = {0};
    DKV_P11_HOLD(&self->lock);
    DKV_TRY(dkv_p11_connect(self, call, err));
    return dkv_p11_cmk_bind(self, cmk, true, &key, err);
}

/* One that only unwraps may not be able to wrap, so it is judged and not tried. */
static enum dkv_rc check_other(struct dkv_provider *self, const struct dkv_call *call, const char *reference,
                               struct dkv_error *err)
{
    struct dkv_cmk *cmk = NULL;
    DKV_TRY(dkv_pkcs11_ops.resolve_reference(self, call, reference, &cmk, err));
    const enum dkv_rc rc = find_and_judge(self, call, cmk, err);
    dkv_pkcs11_ops.cmk_free(cmk);
    return rc;
}

static enum dkv_rc connect_only(struct dkv_provider *self, const struct dkv_call *call, struct dkv_error *err)
{
    DKV_P11_HOLD(&self->lock);
    return dkv_p11_connect(self, call, err);
}

enum dkv_rc dkv_p11_check(struct dkv_provider *self, const struct dkv_call *call, struct dkv_error *err)
{
    const struct dkv_provider_settings *settings = self->settings;
    DKV_TRY(settings->cmk != NULL ? check_cmk(self, call, err) : connect_only(self, call, err));
    for (size_t i = 0; i < settings->n_cmks; i++) {
        const enum dkv_rc rc = check_other(self, call, settings->cmks[i], err);
        if (rc != DKV_OK) {
            dkv_error_prefix(err, "%s:%u: cmks: %s: ", settings->file, settings->cmks_line, settings->cmks[i]);
            return rc;
        }
    }
    return DKV_OK;
}
