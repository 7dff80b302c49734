/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded pool of sessions: one call uses one session, since a session has one operation at a time.
 * Invariant: n_idle <= n_open <= limit, counting sessions of the current generation only; a session in which a call
 * failed is closed and never used again, as its operation may still be active. Lock: pool->lock, never held across a
 * call into the module that can wait for another session. */
#include "providers/pkcs11/internal.h"

#include <time.h>

void dkv_p11_pool_init(struct dkv_p11_pool *pool, size_t limit)
{
    pthread_condattr_t monotonic;
    *pool = (struct dkv_p11_pool){.limit = limit < 1 ? 1 : limit > DKV_P11_SESSIONS_MAX ? DKV_P11_SESSIONS_MAX : limit};
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->given_back, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

void dkv_p11_pool_done(struct dkv_p11_pool *pool)
{
    (void)pthread_cond_destroy(&pool->given_back);
    (void)pthread_mutex_destroy(&pool->lock);
}

enum dkv_rc dkv_p11_session_open(CK_FUNCTION_LIST *functions, const struct dkv_p11_token *token, CK_FLAGS flags,
                                 CK_SESSION_HANDLE *ret, CK_RV *ret_rv, struct dkv_error *err)
{
    CK_SESSION_HANDLE handle = CK_INVALID_HANDLE;
    const CK_RV rv = functions->C_OpenSession(token->slot, CKF_SERIAL_SESSION | flags, NULL, NULL, &handle);
    *ret_rv = rv;
    if (rv == CKR_TOKEN_WRITE_PROTECTED) {
        return dkv_p11_fail(err, rv, "token %s can't be written", token->label);
    }
    if (rv != CKR_OK) {
        return dkv_p11_fail(err, rv, "token %s: C_OpenSession", token->label);
    }
    *ret = handle;
    return DKV_OK;
}

void dkv_p11_pool_reset(struct dkv_p11_pool *pool, CK_FUNCTION_LIST *functions, uint64_t generation)
{
    DKV_P11_HOLD(&pool->lock);
    for (size_t i = 0; i < pool->n_idle; i++) {
        (void)functions->C_CloseSession(pool->idle[i]);
    }
    pool->n_idle = 0;
    pool->n_open = 0;
    pool->generation = generation;
    (void)pthread_cond_broadcast(&pool->given_back);
}

static struct timespec from_now(uint32_t ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    return until;
}

/* An idle session into *ret, or the right to open one (its handle is CK_INVALID_HANDLE then). */
static enum dkv_rc reserve(struct dkv_p11_pool *pool, uint32_t timeout_ms, struct dkv_p11_session *ret,
                           struct dkv_error *err)
{
    const struct timespec until = from_now(timeout_ms);
    int waited = 0;
    DKV_P11_HOLD(&pool->lock);
    while (pool->n_idle == 0 && pool->n_open >= pool->limit && waited == 0) {
        waited = pthread_cond_timedwait(&pool->given_back, &pool->lock, &until);
    }
    DKV_CHECK(pool->n_idle > 0 || pool->n_open < pool->limit, err, DKV_E_UNREACHABLE,
              "all %zu sessions with the token stayed busy for %u ms: raise parallel or timeout-ms", pool->limit,
              timeout_ms);
    ret->generation = pool->generation;
    ret->handle = CK_INVALID_HANDLE;
    if (pool->n_idle > 0) {
        ret->handle = pool->idle[--pool->n_idle];
    } else {
        pool->n_open++;
    }
    return DKV_OK;
}

/* ret_rest: how many are still out or idle. */
static void unreserve(struct dkv_p11_pool *pool, uint64_t generation, size_t *ret_rest)
{
    DKV_P11_HOLD(&pool->lock);
    if (pool->generation == generation) {
        pool->n_open--;
    }
    *ret_rest = pool->n_open;
    (void)pthread_cond_signal(&pool->given_back);
}

/* A token with fewer sessions than we thought: go by what it gave us. */
static void shrink(struct dkv_p11_pool *pool, size_t limit)
{
    DKV_P11_HOLD(&pool->lock);
    if (limit > 0 && limit < pool->limit) {
        pool->limit = limit;
    }
}

/* Another thread may connect anew while this one waits or opens. */
static bool is_current(struct dkv_p11_pool *pool, uint64_t generation)
{
    DKV_P11_HOLD(&pool->lock);
    return pool->generation == generation;
}

enum dkv_rc dkv_p11_session_take(struct dkv_provider *self, const struct dkv_call *call, uint64_t generation,
                                 struct dkv_p11_session *ret, CK_RV *ret_rv, struct dkv_error *err)
{
    struct dkv_p11_session session = {0};
    size_t rest = 0;
    for (int i = 0; i < 2; i++) {
        DKV_TRY(reserve(&self->pool, dkv_p11_remaining_ms(self, call), &session, err));
        if (session.handle != CK_INVALID_HANDLE) {
            break;
        }
        const enum dkv_rc rc = dkv_p11_session_open(self->functions, &self->token, 0, &session.handle, ret_rv, err);
        if (rc == DKV_OK) {
            break;
        }
        unreserve(&self->pool, session.generation, &rest);
        if (*ret_rv != CKR_SESSION_COUNT || rest == 0 || i > 0) {
            return rc;
        }
        shrink(&self->pool, rest);
    }
    if (session.generation != generation || !is_current(&self->pool, generation)) {
        dkv_p11_session_give(self, &session, true);
        *ret_rv = CKR_SESSION_CLOSED;
        return dkv_p11_fail(err, *ret_rv, "the token of %s was connected anew by another thread", self->settings->id);
    }
    *ret = session;
    return DKV_OK;
}

void dkv_p11_session_give(struct dkv_provider *self, const struct dkv_p11_session *session, bool is_sound)
{
    struct dkv_p11_pool *pool = &self->pool;
    DKV_P11_HOLD(&pool->lock);
    const bool is_current = session->generation == pool->generation;
    if (is_sound && is_current && pool->n_idle < DKV_P11_SESSIONS_MAX) {
        pool->idle[pool->n_idle++] = session->handle;
    } else {
        (void)self->functions->C_CloseSession(session->handle);
        pool->n_open -= is_current ? 1 : 0;
    }
    (void)pthread_cond_signal(&pool->given_back);
}
