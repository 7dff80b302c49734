/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks, of which secret memory is made: pages between two guard pages, cut into slots of one length. What
 * is known about them (which slots are free) lies on the heap, out of reach of whoever overruns a slot.
 * The caller holds the arena's lock. */
#ifndef BASE_SECRET_CHUNK_H
#define BASE_SECRET_CHUNK_H

#include "base/secret.h"

#define DKV_SECRET_REMEDY                                                                                   \
    "raise the limit on locked memory (ulimit -l, or LimitMEMLOCK= in a systemd unit), or accept secrets in " \
    "memory that may be swapped out (memory: allow-unlocked: true in the provider file)"

struct dkv_chunk {
    struct dkv_chunk *next_in_bucket;
    struct dkv_chunk *previous, *next; /* among those of its size class that have room */
    uint8_t *mapping;                  /* guard page, slots, guard page; aligned to the stride of chunks */
    size_t mapping_len;
    uint8_t *slots;
    size_t slots_len;
    size_t slot_len;
    uint64_t epoch; /* the fork generation that made it */
    bool locked;
    uint16_t n_slots;
    uint16_t n_used;
    uint16_t first_free;
    uint16_t next_free[]; /* by slot: the next free one, or CHUNK_END, or CHUNK_USED */
};

struct dkv_chunk_wish {
    size_t slot_len;  /* a power of two */
    size_t slots_len; /* a multiple of slot_len and of the page */
    uint64_t epoch;
    bool allow_unlocked;
};

/* dkv_chunk_new: DKV_E_RESOURCE. With an errno as native code when the system refused, without one when the
 * heap was empty. */
DKV_MUST_USE enum dkv_rc dkv_chunk_new(const struct dkv_secret_os *os, const struct dkv_chunk_wish *wish,
                                       struct dkv_chunk **ret, struct dkv_error *err);
void dkv_chunk_free(const struct dkv_secret_os *os, struct dkv_chunk *chunk);

size_t dkv_chunk_page_len(void);

/* dkv_chunk_take: a zeroed slot; the chunk must have room. dkv_chunk_give: wipe it and take it back; aborts on
 * what isn't the start of a slot in use, since to go on would hand one secret's memory to two owners. */
void *dkv_chunk_take(struct dkv_chunk *chunk);
void dkv_chunk_give(struct dkv_chunk *chunk, void *memory);
bool dkv_chunk_has_room(const struct dkv_chunk *chunk);
/* dkv_chunk_holds: whether memory[len] lies within one slot in use. */
bool dkv_chunk_holds(const struct dkv_chunk *chunk, const void *memory, size_t len);

/* dkv_chunk_abort: misuse of secret memory; the process ends. */
_Noreturn void dkv_chunk_abort(const char *what);

/* Chunks by address, in O(1): a hash of where they start. Start from {0}. */
struct dkv_chunk_table {
    struct dkv_chunk **buckets;
    size_t n_buckets; /* a power of two, or 0 */
    size_t n_chunks;
};

/* dkv_chunk_table_reserve: room for one more. DKV_E_RESOURCE. */
DKV_MUST_USE enum dkv_rc dkv_chunk_table_reserve(struct dkv_chunk_table *table, struct dkv_error *err);
void dkv_chunk_table_add(struct dkv_chunk_table *table, struct dkv_chunk *chunk);
void dkv_chunk_table_remove(struct dkv_chunk_table *table, struct dkv_chunk *chunk);
/* dkv_chunk_table_find: never reads what memory points to. NULL if it is in no chunk. */
struct dkv_chunk *dkv_chunk_table_find(const struct dkv_chunk_table *table, const void *memory);
/* dkv_chunk_table_done: frees the table; chunks must have been removed. */
void dkv_chunk_table_done(struct dkv_chunk_table *table);

#endif
