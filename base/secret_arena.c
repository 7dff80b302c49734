/* SPDX-License-Identifier: Apache-2.0 */
/* The arena: size classes, each with a list of its chunks that have room, and the limit on all of them.
 * Chunks that become empty stay mapped for the next secret of their class; when the limit is reached they are
 * given back for the sake of other classes. Invariant: mapped, unlocked and in_use count what the classes
 * of this generation hold. The caller holds the lock. */
#include "base/secret_arena.h"

_Static_assert(DKV_ARENA_SLOT_MIN << (DKV_ARENA_CLASSES - 1) == DKV_SECRET_MAX, "the last class holds the longest");

/* A class starts small, because a container may have 64 KiB of locked memory in all, and grows in steps that
 * keep the number of mappings low. */
#define FIRST_CHUNK_LEN 16384
#define CHUNK_LEN 65536

/* ---- Limits ---- */

size_t dkv_arena_limit(const struct dkv_arena *arena)
{
    const size_t by_file = arena->options.limit > 0 ? arena->options.limit : SIZE_MAX;
    const size_t by_system = arena->options.allow_unlocked ? SIZE_MAX : arena->os->lock_limit();
    return by_file < by_system ? by_file : by_system;
}

static bool fits(const struct dkv_arena *arena, size_t len)
{
    const size_t limit = dkv_arena_limit(arena);
    return arena->mapped <= limit && len <= limit - arena->mapped;
}

static enum dkv_rc fail_full(const struct dkv_arena *arena, size_t len, struct dkv_error *err)
{
    const size_t limit = dkv_arena_limit(arena);
    const bool by_file = arena->options.limit > 0 && limit == arena->options.limit;
    return dkv_fail(err, DKV_E_RESOURCE, "secret memory is full: %zu KiB more are wanted, %zu of %zu KiB are taken; %s",
                    len / 1024, arena->mapped / 1024, limit / 1024,
                    by_file ? "raise the limit in the provider file (memory: limit-kib)" : DKV_SECRET_REMEDY);
}

/* ---- Chunks of a class ---- */

static size_t slot_len_of(size_t class)
{
    return (size_t)DKV_ARENA_SLOT_MIN << class;
}

static size_t class_for(size_t len)
{
    size_t class = 0;
    while (slot_len_of(class) < len) {
        class++;
    }
    return class;
}

static struct dkv_arena_class *class_of(struct dkv_arena *arena, const struct dkv_chunk *chunk)
{
    return &arena->classes[class_for(chunk->slot_len)];
}

static void link_chunk(struct dkv_arena *arena, struct dkv_chunk *chunk)
{
    struct dkv_arena_class *class = class_of(arena, chunk);
    chunk->previous = NULL;
    chunk->next = class->with_room;
    if (chunk->next != NULL) {
        chunk->next->previous = chunk;
    }
    class->with_room = chunk;
}

static void unlink_chunk(struct dkv_arena *arena, struct dkv_chunk *chunk)
{
    if (chunk->previous != NULL) {
        chunk->previous->next = chunk->next;
    } else {
        class_of(arena, chunk)->with_room = chunk->next;
    }
    if (chunk->next != NULL) {
        chunk->next->previous = chunk->previous;
    }
}

static void release_chunk(struct dkv_arena *arena, struct dkv_chunk *chunk)
{
    unlink_chunk(arena, chunk);
    class_of(arena, chunk)->n_chunks--;
    arena->mapped -= chunk->slots_len;
    arena->unlocked -= chunk->locked ? 0 : chunk->slots_len;
    dkv_chunk_table_remove(&arena->chunks, chunk);
    dkv_chunk_free(arena->os, chunk);
}

/* Empty chunks have room, so they are all in the classes' lists. */
bool dkv_arena_release_empty(struct dkv_arena *arena)
{
    const size_t mapped = arena->mapped;
    for (size_t i = 0; i < DKV_ARENA_CLASSES; i++) {
        struct dkv_chunk *next = NULL;
        for (struct dkv_chunk *chunk = arena->classes[i].with_room; chunk != NULL; chunk = next) {
            next = chunk->next;
            if (chunk->n_used == 0) {
                release_chunk(arena, chunk);
            }
        }
    }
    return arena->mapped < mapped;
}

static enum dkv_rc add_chunk(struct dkv_arena *arena, size_t class, size_t slots_len, struct dkv_error *err)
{
    const struct dkv_chunk_wish wish = {
        .slot_len = slot_len_of(class),
        .slots_len = slots_len,
        .epoch = arena->epoch,
        .allow_unlocked = arena->options.allow_unlocked,
    };
    struct dkv_chunk *chunk = NULL;
    DKV_TRY(dkv_chunk_table_reserve(&arena->chunks, err));
    DKV_TRY(dkv_chunk_new(arena->os, &wish, &chunk, err));
    dkv_chunk_table_add(&arena->chunks, chunk);
    link_chunk(arena, chunk);
    arena->classes[class].n_chunks++;
    arena->mapped += slots_len;
    arena->unlocked += chunk->locked ? 0 : slots_len;
    return DKV_OK;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The system may refuse below our limit, since others in the process lock memory too: then once more with as
 * little as will do, after empty chunks are given back. An empty heap (no errno) is not tried twice. */
static enum dkv_rc grow(struct dkv_arena *arena, size_t class, struct dkv_error *err)
{
    const size_t least = larger(slot_len_of(class), dkv_chunk_page_len());
    size_t len = larger(least, arena->classes[class].n_chunks == 0 ? FIRST_CHUNK_LEN : CHUNK_LEN);
    if (!fits(arena, len)) {
        len = least;
    }
    if (!fits(arena, len)) {
        (void)dkv_arena_release_empty(arena);
    }
    if (!fits(arena, len)) {
        return fail_full(arena, len, err);
    }
    struct dkv_error why = {0};
    const enum dkv_rc rc = add_chunk(arena, class, len, &why);
    if (rc != DKV_OK && why.native_system == DKV_NATIVE_ERRNO && (dkv_arena_release_empty(arena) || len > least)) {
        return add_chunk(arena, class, least, err);
    }
    if (rc != DKV_OK && err != NULL) {
        *err = why;
    }
    return rc;
}

/* ---- Slots ---- */

enum dkv_rc dkv_arena_take(struct dkv_arena *arena, size_t len, void **ret, struct dkv_error *err)
{
    const size_t class = class_for(len);
    if (arena->classes[class].with_room == NULL) {
        DKV_TRY(grow(arena, class, err));
    }
    struct dkv_chunk *chunk = arena->classes[class].with_room;
    *ret = dkv_chunk_take(chunk);
    arena->in_use += chunk->slot_len;
    if (!dkv_chunk_has_room(chunk)) {
        unlink_chunk(arena, chunk);
    }
    return DKV_OK;
}

void dkv_arena_give(struct dkv_arena *arena, void *memory)
{
    struct dkv_chunk *chunk = dkv_chunk_table_find(&arena->chunks, memory);
    if (chunk == NULL) {
        dkv_chunk_abort("an address given back is not a secret");
    }
    if (chunk->epoch != arena->epoch) {
        return; /* of the process that this one was forked from */
    }
    const bool had_room = dkv_chunk_has_room(chunk);
    dkv_chunk_give(chunk, memory);
    arena->in_use -= chunk->slot_len;
    if (!had_room) {
        link_chunk(arena, chunk);
    }
}

bool dkv_arena_holds(const struct dkv_arena *arena, const void *memory, size_t len)
{
    const struct dkv_chunk *chunk = dkv_chunk_table_find(&arena->chunks, memory);
    return chunk != NULL && chunk->epoch == arena->epoch && dkv_chunk_holds(chunk, memory, len);
}

/* ---- Generations ---- */

void dkv_arena_renew(struct dkv_arena *arena, uint64_t epoch)
{
    for (size_t i = 0; i < DKV_ARENA_CLASSES; i++) {
        arena->classes[i] = (struct dkv_arena_class){0};
    }
    arena->mapped = 0;
    arena->unlocked = 0;
    arena->in_use = 0;
    arena->epoch = epoch;
}

void dkv_arena_drop(struct dkv_arena *arena)
{
    for (size_t i = 0; i < arena->chunks.n_buckets; i++) {
        while (arena->chunks.buckets[i] != NULL) {
            struct dkv_chunk *chunk = arena->chunks.buckets[i];
            dkv_chunk_table_remove(&arena->chunks, chunk);
            dkv_chunk_free(arena->os, chunk);
        }
    }
    dkv_chunk_table_done(&arena->chunks);
    dkv_arena_renew(arena, arena->epoch);
}
