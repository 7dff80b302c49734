/* SPDX-License-Identifier: Apache-2.0 */
/* The only callers of malloc and free are here, so that a test can make the n-th allocation fail. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* A table of the allocator's entries; tests swap it. */
struct dkv_mem_ops {
    void *(*calloc)(size_t n, size_t size);
    void *(*realloc)(void *old, size_t size);
    void (*free)(void *memory);
};

/* dkv_mem_use: replace the allocator (NULL: the C library's). Tests only; not thread-safe. */
void dkv_mem_use(const struct dkv_mem_ops *ops);

/* Zeroed memory, or NULL. */
void *dkv_calloc(size_t n, size_t size);
void *dkv_realloc(void *old, size_t size);
void dkv_free(void *memory);
/* For DKV_CLEANUP on a pointer of any type. */
void dkv_freep(void *pointer_to_pointer);
char *dkv_strdup(const char *text);
char *dkv_strndup(const char *text, size_t len);

/* dkv_wipe: overwrite so that no compiler removes it. */
void dkv_wipe(void *memory, size_t len);
/* dkv_wipe_registers: the vector registers, in which memcpy leaves what it copied. */
void dkv_wipe_registers(void);

/* dkv_equal_ct: compare without a branch on the contents; len is public. 1 when equal. */
int dkv_equal_ct(const void *a, const void *b, size_t len);

#endif
