/* SPDX-License-Identifier: Apache-2.0 */
/* The arena of secret memory, without its lock and its owner: slots of a few sizes out of chunks. Part of
 * base/secret.h's implementation; the caller holds the lock. */
#ifndef BASE_SECRET_ARENA_H
#define BASE_SECRET_ARENA_H

#include "base/secret_chunk.h"

#define DKV_ARENA_SLOT_MIN 64
#define DKV_ARENA_CLASSES 11 /* 64, 128, ... 65536 */

struct dkv_arena_class {
    struct dkv_chunk *with_room;
    size_t n_chunks;
};

struct dkv_arena {
    const struct dkv_secret_os *os;
    struct dkv_secret_options options;
    struct dkv_chunk_table chunks; /* also those inherited from before a fork */
    struct dkv_arena_class classes[DKV_ARENA_CLASSES];
    uint64_t epoch;                /* of the chunks that may be used */
    size_t mapped, unlocked, in_use; /* bytes, of this epoch */
};

/* dkv_arena_take: len of 1 to DKV_SECRET_MAX. DKV_E_RESOURCE. O(1), but for a new chunk. */
DKV_MUST_USE enum dkv_rc dkv_arena_take(struct dkv_arena *arena, size_t len, void **ret, struct dkv_error *err);
/* dkv_arena_give: wipe and take back. Of an earlier epoch: nothing. Anything else that isn't out: aborts. */
void dkv_arena_give(struct dkv_arena *arena, void *memory);
/* dkv_arena_holds: whether memory[len] lies within one secret that is out. */
bool dkv_arena_holds(const struct dkv_arena *arena, const void *memory, size_t len);

/* dkv_arena_limit: bytes that may be mapped; SIZE_MAX: no limit. */
size_t dkv_arena_limit(const struct dkv_arena *arena);
/* dkv_arena_release_empty: give chunks back that hold nothing; whether there was one. */
bool dkv_arena_release_empty(struct dkv_arena *arena);

/* dkv_arena_renew: start with no chunk that may be used; those there are stay known, by their epoch. */
void dkv_arena_renew(struct dkv_arena *arena, uint64_t epoch);
/* dkv_arena_drop: unmap all. */
void dkv_arena_drop(struct dkv_arena *arena);

#endif
