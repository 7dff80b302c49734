/* SPDX-License-Identifier: Apache-2.0 */
/* One chunk of secret memory, and the hash that finds it from an address. Invariant: a chunk that exists has
 * both guards, is left out of core dumps, is wiped on fork, and is locked unless the wish allowed otherwise;
 * a slot that isn't in use holds zeros. The arena's lock is the caller's. */
#include "base/secret_chunk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

#define CHUNK_END 0xfffeU
#define CHUNK_USED 0xffffU
#define SLOT_LEN_MIN 64
#define FIRST_BUCKETS 64

_Static_assert(DKV_SECRET_MAX / SLOT_LEN_MIN < CHUNK_END, "slot numbers fit");

_Noreturn void dkv_chunk_abort(const char *what)
{
    fprintf(stderr, "dekvault: secret memory: %s\n", what);
    abort();
}

size_t dkv_chunk_page_len(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Chunks start at multiples of this and are no longer, so that an address says where its chunk starts. */
static size_t stride(void)
{
    size_t len = DKV_SECRET_MAX;
    while (len < DKV_SECRET_MAX + 2 * dkv_chunk_page_len()) {
        len *= 2;
    }
    return len;
}

/* ---- Pages ---- */

/* Twice as much as a stride, less what lies before and behind the aligned part. What can't be unmapped (the
 * process has too many mappings) is lost address space and no more. */
static uint8_t *map_aligned(const struct dkv_secret_os *os, size_t len)
{
    const size_t alignment = stride();
    uint8_t *start = (uint8_t *)os->map(2 * alignment);
    if (start == NULL) {
        return NULL;
    }
    const size_t before = (alignment - (uintptr_t)start % alignment) % alignment;
    if (before > 0) {
        (void)os->unmap(start, before);
    }
    (void)os->unmap(start + before + len, 2 * alignment - before - len);
    return start + before;
}

static enum dkv_rc advise(const struct dkv_secret_os *os, const struct dkv_chunk *chunk, struct dkv_error *err)
{
    if (os->advise(chunk->slots, chunk->slots_len, MADV_DONTDUMP) != 0) {
        return dkv_fail_errno(err, DKV_E_RESOURCE, "secret memory can't be left out of core dumps (MADV_DONTDUMP)");
    }
    if (os->advise(chunk->slots, chunk->slots_len, MADV_WIPEONFORK) != 0) {
        return dkv_fail_errno(err, DKV_E_RESOURCE, "secret memory can't be kept from child processes (MADV_WIPEONFORK, "
                                                   "Linux 4.14)");
    }
    return DKV_OK;
}

static enum dkv_rc guard(const struct dkv_secret_os *os, const struct dkv_chunk *chunk, struct dkv_error *err)
{
    const size_t page_len = dkv_chunk_page_len();
    if (os->guard(chunk->mapping, page_len) != 0 || os->guard(chunk->slots + chunk->slots_len, page_len) != 0) {
        return dkv_fail_errno(err, DKV_E_RESOURCE, "secret memory can't be walled in by guard pages (mprotect)");
    }
    return DKV_OK;
}

static enum dkv_rc lock(const struct dkv_secret_os *os, struct dkv_chunk *chunk, bool allow_unlocked,
                        struct dkv_error *err)
{
    chunk->locked = os->lock(chunk->slots, chunk->slots_len) == 0;
    if (chunk->locked || allow_unlocked) {
        return DKV_OK;
    }
    (void)dkv_fail_errno(err, DKV_E_RESOURCE, "%zu KiB of memory for secrets can't be locked", chunk->slots_len / 1024);
    dkv_error_append(err, "; %s", DKV_SECRET_REMEDY);
    return DKV_E_RESOURCE;
}

static enum dkv_rc map_pages(const struct dkv_secret_os *os, struct dkv_chunk *chunk, bool allow_unlocked,
                             struct dkv_error *err)
{
    chunk->mapping = map_aligned(os, chunk->mapping_len);
    if (chunk->mapping == NULL) {
        return dkv_fail_errno(err, DKV_E_RESOURCE, "no memory for secrets");
    }
    chunk->slots = chunk->mapping + dkv_chunk_page_len();
    DKV_TRY(advise(os, chunk, err));
    DKV_TRY(guard(os, chunk, err));
    return lock(os, chunk, allow_unlocked, err);
}

/* ---- A chunk and its slots ---- */

static struct dkv_chunk *new_unmapped(const struct dkv_chunk_wish *wish)
{
    const size_t n = wish->slots_len / wish->slot_len;
    struct dkv_chunk *chunk = (struct dkv_chunk *)dkv_calloc(1, sizeof(*chunk) + n * sizeof(chunk->next_free[0]));
    if (chunk == NULL) {
        return NULL;
    }
    chunk->mapping_len = wish->slots_len + 2 * dkv_chunk_page_len();
    chunk->slots_len = wish->slots_len;
    chunk->slot_len = wish->slot_len;
    chunk->epoch = wish->epoch;
    chunk->n_slots = (uint16_t)n;
    for (size_t i = 0; i < n; i++) {
        chunk->next_free[i] = (uint16_t)(i + 1 < n ? i + 1 : CHUNK_END);
    }
    return chunk;
}

enum dkv_rc dkv_chunk_new(const struct dkv_secret_os *os, const struct dkv_chunk_wish *wish, struct dkv_chunk **ret,
                          struct dkv_error *err)
{
    struct dkv_chunk *chunk = new_unmapped(wish);
    if (chunk == NULL) {
        return dkv_fail_memory(err);
    }
    const enum dkv_rc rc = map_pages(os, chunk, wish->allow_unlocked, err);
    if (rc != DKV_OK) {
        dkv_chunk_free(os, chunk);
        return rc;
    }
    *ret = chunk;
    return DKV_OK;
}

void dkv_chunk_free(const struct dkv_secret_os *os, struct dkv_chunk *chunk)
{
    if (chunk->mapping != NULL) {
        (void)os->unmap(chunk->mapping, chunk->mapping_len);
    }
    dkv_free(chunk);
}

bool dkv_chunk_has_room(const struct dkv_chunk *chunk)
{
    return chunk->first_free != CHUNK_END;
}

void *dkv_chunk_take(struct dkv_chunk *chunk)
{
    const uint16_t slot = chunk->first_free;
    uint8_t *memory = chunk->slots + slot * chunk->slot_len;
    chunk->first_free = chunk->next_free[slot];
    chunk->next_free[slot] = CHUNK_USED;
    chunk->n_used++;
    dkv_wipe(memory, chunk->slot_len); /* again: somebody may have written after giving it back */
    return memory;
}

/* In a guard page it is in no slot: the offset is then past the end, or wraps to be so. */
static bool slot_of(const struct dkv_chunk *chunk, const void *memory, size_t *ret_slot, size_t *ret_offset)
{
    const size_t offset = (size_t)((uintptr_t)memory - (uintptr_t)chunk->slots);
    if (offset >= chunk->slots_len) {
        return false;
    }
    *ret_slot = offset / chunk->slot_len;
    *ret_offset = offset % chunk->slot_len;
    return true;
}

void dkv_chunk_give(struct dkv_chunk *chunk, void *memory)
{
    size_t slot = 0, offset = 0;
    if (!slot_of(chunk, memory, &slot, &offset) || offset != 0) {
        dkv_chunk_abort("an address given back is not the start of a secret");
    }
    if (chunk->next_free[slot] != CHUNK_USED) {
        dkv_chunk_abort("a secret was given back twice");
    }
    dkv_wipe(memory, chunk->slot_len);
    chunk->next_free[slot] = chunk->first_free;
    chunk->first_free = (uint16_t)slot;
    chunk->n_used--;
}

bool dkv_chunk_holds(const struct dkv_chunk *chunk, const void *memory, size_t len)
{
    size_t slot = 0, offset = 0;
    return slot_of(chunk, memory, &slot, &offset) && chunk->next_free[slot] == CHUNK_USED &&
           len <= chunk->slot_len - offset;
}

/* ---- Chunks by address ---- */

static struct dkv_chunk **bucket_of(const struct dkv_chunk_table *table, const void *memory)
{
    return &table->buckets[(uintptr_t)memory / stride() & (table->n_buckets - 1)];
}

void dkv_chunk_table_add(struct dkv_chunk_table *table, struct dkv_chunk *chunk)
{
    struct dkv_chunk **bucket = bucket_of(table, chunk->mapping);
    chunk->next_in_bucket = *bucket;
    *bucket = chunk;
    table->n_chunks++;
}

enum dkv_rc dkv_chunk_table_reserve(struct dkv_chunk_table *table, struct dkv_error *err)
{
    if (table->n_chunks < table->n_buckets) {
        return DKV_OK;
    }
    struct dkv_chunk_table grown = {.n_buckets = table->n_buckets > 0 ? 2 * table->n_buckets : FIRST_BUCKETS};
    grown.buckets = (struct dkv_chunk **)dkv_calloc(grown.n_buckets, sizeof(struct dkv_chunk *));
    if (grown.buckets == NULL) {
        return dkv_fail_memory(err);
    }
    for (size_t i = 0; i < table->n_buckets; i++) {
        struct dkv_chunk *next = NULL;
        for (struct dkv_chunk *chunk = table->buckets[i]; chunk != NULL; chunk = next) {
            next = chunk->next_in_bucket;
            dkv_chunk_table_add(&grown, chunk);
        }
    }
    dkv_chunk_table_done(table);
    *table = grown;
    return DKV_OK;
}

void dkv_chunk_table_remove(struct dkv_chunk_table *table, struct dkv_chunk *chunk)
{
    struct dkv_chunk **link = bucket_of(table, chunk->mapping);
    while (*link != chunk) {
        link = &(*link)->next_in_bucket;
    }
    *link = chunk->next_in_bucket;
    table->n_chunks--;
}

struct dkv_chunk *dkv_chunk_table_find(const struct dkv_chunk_table *table, const void *memory)
{
    if (table->n_buckets == 0) {
        return NULL;
    }
    const uintptr_t start = (uintptr_t)memory - (uintptr_t)memory % stride();
    struct dkv_chunk *chunk = *bucket_of(table, memory);
    while (chunk != NULL && (uintptr_t)chunk->mapping != start) {
        chunk = chunk->next_in_bucket;
    }
    return chunk;
}

void dkv_chunk_table_done(struct dkv_chunk_table *table)
{
    dkv_free(table->buckets);
    *table = (struct dkv_chunk_table){0};
}
