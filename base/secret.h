/* SPDX-License-Identifier: Apache-2.0 */
/* Secret memory: the only place where key bytes, PINs and what is derived from them rest between
 * calls. Pages that are locked (mlock), left out of core dumps (MADV_DONTDUMP), emptied in a forked
 * child (MADV_WIPEONFORK) and walled in by guard pages; slots of a few sizes, taken and given back
 * in O(1), wiped when given back. One arena a process, bounded by RLIMIT_MEMLOCK or `limit-kib`,
 * whichever is lower. Thread-safe throughout. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>

#include "base/bytes.h"
#include "dekvault/process.h"

#define DKV_SECRET_MAX 65536 /* bytes in one secret */

/* An owner by value; start from {0}. data is aligned to 64 bytes. */
struct dkv_secret {
    uint8_t *data;
    size_t len;
    uint64_t epoch; /* the fork generation in which it was made */
};

/* What the arena stands on; tests swap entries. */
struct dkv_secret_os {
    void *(*map)(size_t len);               /* anonymous, private, read-write; NULL on failure */
    int (*unmap)(void *memory, size_t len);
    int (*guard)(void *memory, size_t len); /* PROT_NONE */
    int (*lock)(void *memory, size_t len);
    int (*advise)(void *memory, size_t len, int advice);
    size_t (*lock_limit)(void);             /* RLIMIT_MEMLOCK in bytes; SIZE_MAX: none (or CAP_IPC_LOCK) */
};

struct dkv_secret_options {
    bool allow_unlocked; /* provider file: memory.allow-unlocked */
    size_t limit;        /* bytes, 0: RLIMIT_MEMLOCK alone */
};

/* dkv_secret_configure: set the process's options and try the arena once, so that a limit that is
 * too low is told at start with its remedy. DKV_E_RESOURCE then. A later call may tighten the
 * options (a second provider file in one process), never loosen them while secrets are out. */
DKV_MUST_USE enum dkv_rc dkv_secret_configure(const struct dkv_secret_options *options, struct dkv_error *err);

/* dkv_secret_os_use: NULL brings back the real one. Drops the arena, so no secret may be out. Tests only. */
void dkv_secret_os_use(const struct dkv_secret_os *os);
const struct dkv_secret_os *dkv_secret_os_real(void);

/* dkv_secret_init: len zeroed bytes, 1 to DKV_SECRET_MAX. DKV_E_RESOURCE: the limit is reached or
 * memory can't be locked; the words say which and what to do (ulimit -l, LimitMEMLOCK=, memory:). */
DKV_MUST_USE enum dkv_rc dkv_secret_init(struct dkv_secret *secret, size_t len, struct dkv_error *err);

/* dkv_secret_done: wipe, give back, leave {0}. {0} is fine. In a child that forked after init:
 * forgets only. Giving back twice (a copy of the struct), or what is no secret, ends the process by abort():
 * to go on would let two owners share one secret's memory. */
void dkv_secret_done(struct dkv_secret *secret);

/* dkv_secret_is_alive: false after a fork in the child, where the bytes read as zeros; whoever
 * keeps a secret across calls asks before each use. */
bool dkv_secret_is_alive(const struct dkv_secret *secret);

/* dkv_secret_owns: whether the memory lies in the arena. For tests and for assertions of callers. */
bool dkv_secret_owns(const void *memory, size_t len);

/* The same for those who keep a bare pointer (providers' hosts). dkv_secret_alloc: NULL with *err filled on
 * failure. dkv_secret_free: NULL is fine; in a child that forked after alloc: forgets only. */
void *dkv_secret_alloc(size_t len, struct dkv_error *err);
void dkv_secret_free(void *memory);
bool dkv_secret_memory_is_alive(const void *memory);

static inline struct dkv_span dkv_secret_view(const struct dkv_secret *secret)
{
    return dkv_span(secret->data, secret->len);
}

/* dkv_secret_steal: move *from into *to; *to must be {0}. */
static inline void dkv_secret_steal(struct dkv_secret *to, struct dkv_secret *from)
{
    *to = *from;
    *from = (struct dkv_secret){0};
}

#endif
