/* SPDX-License-Identifier: Apache-2.0 */
/* The heap, behind a table, and the two things that must not be done with memset and memcmp. The table is
 * set by tests before threads start; no lock. */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static const struct dkv_mem_ops system_ops = {.calloc = calloc, .realloc = realloc, .free = free};
static const struct dkv_mem_ops *ops = &system_ops;

void dkv_mem_use(const struct dkv_mem_ops *new_ops)
{
    ops = new_ops != NULL ? new_ops : &system_ops;
}

void *dkv_calloc(size_t n, size_t size)
{
    size_t len = 0;
    return __builtin_mul_overflow(n, size, &len) ? NULL : ops->calloc(n, size);
}

void *dkv_realloc(void *old, size_t size)
{
    return ops->realloc(old, size);
}

void dkv_free(void *memory)
{
    ops->free(memory);
}

void dkv_freep(void *pointer_to_pointer)
{
    void *memory;
    memcpy(&memory, pointer_to_pointer, sizeof(memory)); /* of any pointer type: no aliasing assumed */
    dkv_free(memory);
}

char *dkv_strdup(const char *text)
{
    return dkv_strndup(text, strlen(text));
}

char *dkv_strndup(const char *text, size_t len)
{
    const size_t text_len = strnlen(text, len);
    char *copy = (char *)dkv_calloc(text_len + 1, 1);
    if (copy != NULL) {
        memcpy(copy, text, text_len);
    }
    return copy;
}

void dkv_wipe(void *memory, size_t len)
{
    if (len > 0) {
        explicit_bzero(memory, len);
    }
}

int dkv_equal_ct(const void *a, const void *b, size_t len)
{
    /* volatile: the compiler may not leave the loop at the first difference. */
    const volatile uint8_t *left = (const volatile uint8_t *)a;
    const volatile uint8_t *right = (const volatile uint8_t *)b;
    uint32_t difference = 0;
    for (size_t i = 0; i < len; i++) {
        difference |= (uint32_t)(left[i] ^ right[i]);
    }
    return (int)((difference - 1U) >> 31); /* 0 - 1 has the top bit set, 1..255 - 1 has not */
}
