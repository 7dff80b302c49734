/* SPDX-License-Identifier: Apache-2.0 */
/* Secret memory: the process's one arena, its lock, its options, and what becomes of it in a fork.
 * Everything is under the lock, but for the epoch word that dkv_secret_is_alive reads.
 *
 * The epoch word lies in a page that the kernel empties in a forked child: 0 there says that this is another
 * process, whichever way it was forked. The child's first secret then starts an epoch of its own. What it
 * inherited stays mapped (zeros, not locked) and known, so that pointers into it are told from new ones, and
 * can be given back without harm. */
#include "base/secret.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/secret_arena.h"

static struct dkv_arena arena;
static bool has_warned;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static int fork_status;
static _Atomic(_Atomic uint64_t *) epoch_word;

/* ---- Lock and forks ---- */

static void take_lock_at_fork(void)
{
    (void)pthread_mutex_lock(&lock);
}

static void give_lock(void)
{
    (void)pthread_mutex_unlock(&lock);
}

/* The library must not be unloaded once these are registered: it is linked with -z nodelete. */
static void watch_forks(void)
{
    fork_status = pthread_atfork(take_lock_at_fork, give_lock, give_lock);
}

static void take_lock(void)
{
    (void)pthread_once(&fork_once, watch_forks);
    (void)pthread_mutex_lock(&lock);
    if (arena.os == NULL) {
        arena.os = dkv_secret_os_real();
    }
}

/* 0: this process has made no secret yet. */
static uint64_t current_epoch(void)
{
    const _Atomic uint64_t *word = atomic_load(&epoch_word);
    return word != NULL ? atomic_load(word) : 0;
}

static enum dkv_rc map_epoch_word(struct dkv_error *err)
{
    const size_t page_len = dkv_chunk_page_len();
    void *page = arena.os->map(page_len);
    if (page == NULL) {
        return dkv_fail_errno(err, DKV_E_RESOURCE, "no memory for secrets");
    }
    if (arena.os->advise(page, page_len, MADV_WIPEONFORK) != 0) {
        (void)dkv_fail_errno(err, DKV_E_RESOURCE, "forks can't be told (MADV_WIPEONFORK, Linux 4.14)");
        (void)arena.os->unmap(page, page_len);
        return DKV_E_RESOURCE;
    }
    atomic_store(&epoch_word, (_Atomic uint64_t *)page);
    return DKV_OK;
}

static enum dkv_rc ensure_epoch(struct dkv_error *err)
{
    DKV_CHECK(fork_status == 0, err, DKV_E_RESOURCE, "out of memory (pthread_atfork)");
    if (current_epoch() != 0) {
        return DKV_OK;
    }
    if (atomic_load(&epoch_word) == NULL) {
        DKV_TRY(map_epoch_word(err));
    }
    dkv_arena_renew(&arena, arena.epoch + 1);
    atomic_store(atomic_load(&epoch_word), arena.epoch);
    return DKV_OK;
}

/* ---- Secrets ---- */

/* Said after the lock is given back: a log sink may take its time. */
static bool is_warning_due(void)
{
    const bool due = arena.unlocked > 0 && !has_warned;
    has_warned = has_warned || due;
    return due;
}

static void warn_unlocked(bool is_due)
{
    if (is_due) {
        dkv_log(DKV_LOG_WARNING, "memory for secrets can't be locked and may be swapped out; the provider file "
                                 "allows it (memory: allow-unlocked)");
    }
}

static enum dkv_rc take_locked(size_t len, struct dkv_secret *ret, struct dkv_error *err)
{
    void *memory = NULL;
    DKV_TRY(ensure_epoch(err));
    DKV_TRY(dkv_arena_take(&arena, len, &memory, err));
    *ret = (struct dkv_secret){.data = (uint8_t *)memory, .len = len, .epoch = arena.epoch};
    return DKV_OK;
}

enum dkv_rc dkv_secret_init(struct dkv_secret *secret, size_t len, struct dkv_error *err)
{
    DKV_CHECK(len > 0 && len <= DKV_SECRET_MAX, err, DKV_E_INVALID, "a secret has 1 to %d bytes, not %zu",
              DKV_SECRET_MAX, len);
    take_lock();
    const enum dkv_rc rc = take_locked(len, secret, err);
    const bool warn = is_warning_due();
    give_lock();
    warn_unlocked(warn);
    return rc;
}

void dkv_secret_done(struct dkv_secret *secret)
{
    if (dkv_secret_is_alive(secret)) {
        dkv_secret_free(secret->data);
    }
    *secret = (struct dkv_secret){0};
}

bool dkv_secret_is_alive(const struct dkv_secret *secret)
{
    return secret->data != NULL && secret->epoch == current_epoch();
}

void *dkv_secret_alloc(size_t len, struct dkv_error *err)
{
    struct dkv_secret secret = {0};
    return dkv_secret_init(&secret, len, err) == DKV_OK ? secret.data : NULL;
}

void dkv_secret_free(void *memory)
{
    if (memory == NULL) {
        return;
    }
    take_lock();
    if (current_epoch() != 0) {
        dkv_arena_give(&arena, memory);
    }
    give_lock();
}

bool dkv_secret_owns(const void *memory, size_t len)
{
    take_lock();
    const bool owns = current_epoch() != 0 && dkv_arena_holds(&arena, memory, len);
    give_lock();
    return owns;
}

bool dkv_secret_memory_is_alive(const void *memory)
{
    return dkv_secret_owns(memory, 1);
}

/* ---- The process's options ---- */

/* The stricter of both, while secrets are out that were made under the old ones. */
static struct dkv_secret_options tightened(const struct dkv_secret_options *old, const struct dkv_secret_options *new)
{
    const bool keeps_limit = new->limit == 0 || (old->limit > 0 && old->limit < new->limit);
    return (struct dkv_secret_options){
        .allow_unlocked = old->allow_unlocked && new->allow_unlocked,
        .limit = keeps_limit ? old->limit : new->limit,
    };
}

static enum dkv_rc try_arena(struct dkv_error *err)
{
    void *memory = NULL;
    DKV_CHECK(arena.unlocked == 0 || arena.options.allow_unlocked, err, DKV_E_RESOURCE,
              "secrets lie in unlocked memory already, as another provider file allows (memory: allow-unlocked)");
    DKV_TRY(dkv_arena_take(&arena, 1, &memory, err));
    dkv_arena_give(&arena, memory);
    return DKV_OK;
}

static enum dkv_rc configure(const struct dkv_secret_options *options, struct dkv_error *err)
{
    const struct dkv_secret_options old = arena.options;
    DKV_TRY(ensure_epoch(err)); /* in a child, what was out no longer counts */
    if (arena.in_use == 0) {
        (void)dkv_arena_release_empty(&arena); /* they may be unlocked, or over the new limit */
    }
    arena.options = arena.in_use == 0 ? *options : tightened(&old, options);
    const enum dkv_rc rc = try_arena(err);
    if (rc != DKV_OK) {
        arena.options = old;
    }
    return rc;
}

enum dkv_rc dkv_secret_configure(const struct dkv_secret_options *options, struct dkv_error *err)
{
    take_lock();
    const enum dkv_rc rc = configure(options, err);
    const size_t limit = dkv_arena_limit(&arena);
    const bool warn = is_warning_due();
    give_lock();
    warn_unlocked(warn);
    if (rc == DKV_OK && limit == SIZE_MAX) {
        dkv_log(DKV_LOG_DEBUG, "secret memory: no limit");
    } else if (rc == DKV_OK) {
        dkv_log(DKV_LOG_DEBUG, "secret memory: %zu KiB at most", limit / 1024);
    }
    return rc;
}

void dkv_secret_memory(struct dkv_secret_memory_info *ret_info)
{
    take_lock();
    const bool is_current = current_epoch() != 0;
    *ret_info = (struct dkv_secret_memory_info){
        .limit = dkv_arena_limit(&arena),
        .mapped = is_current ? arena.mapped : 0,
        .in_use = is_current ? arena.in_use : 0,
        .locked = !is_current || arena.unlocked == 0,
    };
    give_lock();
}

void dkv_secret_os_use(const struct dkv_secret_os *os)
{
    take_lock();
    if (current_epoch() != 0 && arena.in_use > 0) {
        dkv_chunk_abort("dropped while secrets are out");
    }
    dkv_arena_drop(&arena);
    void *page = (void *)(uintptr_t)atomic_exchange(&epoch_word, NULL);
    if (page != NULL) {
        (void)arena.os->unmap(page, dkv_chunk_page_len());
    }
    arena.options = (struct dkv_secret_options){0};
    arena.os = os;
    has_warned = false;
    give_lock();
}
