/* SPDX-License-Identifier: Apache-2.0 */
/* The heap, behind a table, and what must not be done with memset and memcmp. The table is
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

/* OpenSSL's AES and SHA code and the C library's memcpy leave what they worked on in vector registers (seen: 32 key
 * bytes in ymm17 after a memcpy), from where a signal, a context switch within the process or a core dump brings it
 * into memory. */
#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void wipe_registers_of_avx512(void)
{
#define WIPE(n) __asm__ volatile("vpxorq %%zmm" #n ", %%zmm" #n ", %%zmm" #n ::: "xmm" #n)
    WIPE(16); WIPE(17); WIPE(18); WIPE(19); WIPE(20); WIPE(21); WIPE(22); WIPE(23);
    WIPE(24); WIPE(25); WIPE(26); WIPE(27); WIPE(28); WIPE(29); WIPE(30); WIPE(31);
#undef WIPE
}

#define LOWER_REGISTERS                                                                                           \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",    \
        "xmm13", "xmm14", "xmm15"

void dkv_wipe_registers(void)
{
    if (__builtin_cpu_supports("avx512f")) {
        wipe_registers_of_avx512();
    }
    if (__builtin_cpu_supports("avx")) {
        __asm__ volatile("vzeroall" ::: LOWER_REGISTERS);
        return;
    }
#define WIPE(n) __asm__ volatile("pxor %%xmm" #n ", %%xmm" #n ::: "xmm" #n)
    WIPE(0); WIPE(1); WIPE(2); WIPE(3); WIPE(4); WIPE(5); WIPE(6); WIPE(7);
    WIPE(8); WIPE(9); WIPE(10); WIPE(11); WIPE(12); WIPE(13); WIPE(14); WIPE(15);
#undef WIPE
}
#else
void dkv_wipe_registers(void)
{
}
#endif

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
