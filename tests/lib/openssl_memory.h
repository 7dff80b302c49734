/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's allocations, given to a test. */
#ifndef TESTS_LIB_OPENSSL_MEMORY_H
#define TESTS_LIB_OPENSSL_MEMORY_H

#include <openssl/crypto.h>
#include <stdbool.h>

/* DKV_TEST_OPENSSL_MEMORY: at file scope, for dkv_openssl_memory_is_ours in main(). OpenSSL takes an allocator only
 * before its first allocation, which a library that libmongoc brings makes while it is being loaded. */
#define DKV_TEST_OPENSSL_MEMORY(malloc_fn, realloc_fn, free_fn)                                         \
    static bool dkv_openssl_memory_is_ours;                                                             \
    static void take_openssl_memory(void)                                                               \
    {                                                                                                   \
        dkv_openssl_memory_is_ours = CRYPTO_set_mem_functions(malloc_fn, realloc_fn, free_fn) == 1;     \
    }                                                                                                   \
    __attribute__((section(".preinit_array"), used)) static void (*const before_libraries)(void) =      \
        take_openssl_memory

#endif
