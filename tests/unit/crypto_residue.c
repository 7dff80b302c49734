/* SPDX-License-Identifier: Apache-2.0 */
/* After a call no byte of a key, and nothing made from it, is left outside secret memory.
 *
 * A child does the calls: it reads the key straight into secret memory and never has it elsewhere. The parent made
 * the key, and with it everything that would give it away (8 bytes of the key, of a round key, of an HMAC state, of
 * the GCM hash key), and looks for that in all writable memory of the waiting child but its secret arena, and in the
 * child's registers. That it would be found is shown with a copy on the heap, one on the stack, one in a register
 * and with contexts of OpenSSL that are kept. */
#define OPENSSL_SUPPRESS_DEPRECATED /* AES_set_encrypt_key, SHA512_Update: for their states */
#include "base/crypto_context.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/aes.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#include "base/secret.h"
#include "providers/batch.h"
#include "tests/lib/test.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAVE_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define HAVE_SANITIZER 1
#endif
#endif
#ifndef HAVE_SANITIZER
#define HAVE_SANITIZER 0
#endif

/* ---- What gives a key away ---- */

#define MAX_TRACES 4096

struct trace {
    uint64_t word;
    const char *what;
};

static struct trace traces[MAX_TRACES];
static size_t n_traces;
static uint8_t starts_a_trace[1 << 16]; /* by the low 16 bits, to be quick */

static void forget_traces(void)
{
    n_traces = 0;
    memset(starts_a_trace, 0, sizeof(starts_a_trace));
}

static void add_word(const char *what, uint64_t word)
{
    CU_ASSERT_TRUE_FATAL(n_traces < MAX_TRACES);
    traces[n_traces++] = (struct trace){.word = word, .what = what};
    starts_a_trace[word & 0xffff] = 1;
}

/* Each 8 bytes, as they are, and as the two byte orders of 4- and 8-byte words would have them. */
static void add_traces(const char *what, const void *bytes, size_t len)
{
    for (size_t i = 0; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, (const uint8_t *)bytes + i, 8);
        const uint64_t swapped = __builtin_bswap64(word);
        add_word(what, word);
        add_word(what, swapped);
        add_word(what, swapped >> 32 | swapped << 32);
    }
}

static void add_aes(const uint8_t key[static 32])
{
    AES_KEY schedule;
    uint8_t hash_key[16] = {0};
    CU_ASSERT_EQUAL_FATAL(AES_set_encrypt_key(key, 256, &schedule), 0);
    add_traces("AES encryption round keys", schedule.rd_key, 240);
    AES_encrypt(hash_key, hash_key, &schedule);
    add_traces("GCM hash key", hash_key, 16);
    CU_ASSERT_EQUAL_FATAL(AES_set_decrypt_key(key, 256, &schedule), 0);
    add_traces("AES decryption round keys", schedule.rd_key, 240);
}

/* The words of the padded key as SHA-512's rounds mix them: W[i] + K[i], FIPS 180-4. */
static void add_sha512_rounds(const uint8_t *pad)
{
    static const uint64_t k[4] = {0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc};
    for (size_t i = 0; i < 4; i++) {
        uint64_t w;
        memcpy(&w, pad + 8 * i, 8);
        add_word("SHA-512 message schedule of an HMAC key", __builtin_bswap64(w) + k[i]);
    }
}

static void add_hmac(const uint8_t key[static 32], uint8_t mask)
{
    uint8_t pad[128];
    SHA512_CTX long_state;
    SHA256_CTX short_state;
    memset(pad, mask, sizeof(pad));
    for (size_t i = 0; i < 32; i++) {
        pad[i] = (uint8_t)(key[i] ^ mask);
    }
    add_traces("padded HMAC key", pad, 32);
    add_sha512_rounds(pad);
    SHA512_Init(&long_state);
    SHA512_Update(&long_state, pad, 128);
    add_traces("HMAC-SHA-512 state", long_state.h, sizeof(long_state.h));
    SHA256_Init(&short_state);
    SHA256_Update(&short_state, pad, 64);
    add_traces("HMAC-SHA-256 state", short_state.h, sizeof(short_state.h));
}

/* The 96 bytes of a DEK, each third in each use. */
static void add_key(const uint8_t key[static 96])
{
    add_traces("key bytes", key, 96);
    for (size_t i = 0; i < 96; i += 32) {
        add_aes(key + i);
        add_hmac(key + i, 0x36);
        add_hmac(key + i, 0x5c);
    }
}

/* ---- Looking ---- */

static size_t n_found;

static void look(const uint8_t *bytes, size_t len, const char *where)
{
    for (size_t i = 0; i + 8 <= len; i++) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        if (!starts_a_trace[word & 0xffff]) {
            continue;
        }
        for (size_t t = 0; t < n_traces; t++) {
            if (traces[t].word == word) {
                n_found++;
                if (n_found <= 8) {
                    printf("# found: %s in %s (offset %zu)\n", traces[t].what, where, i);
                }
                break;
            }
        }
    }
}

struct region {
    unsigned long start, end;
    char mode[8], name[256];
};

/* A region's first line in smaps; the others begin with words, which may be hexadecimal ("AnonHugePages"). */
static bool reads_region(const char *line, struct region *region)
{
    struct region read = {.name = "anonymous memory"};
    if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %255[^\n]", &read.start, &read.end, read.mode, read.name) < 3) {
        return false;
    }
    *region = read;
    return true;
}

static void look_in_region(int memory, const struct region *region)
{
    const unsigned long end = region->end;
    static uint8_t window[1 << 20];
    const size_t overlap = 7;
    for (unsigned long at = region->start; at < end;) {
        const size_t want = end - at < sizeof(window) ? end - at : sizeof(window);
        const ssize_t n = pread(memory, window, want, (off_t)at);
        if (n <= 0) {
            return; /* a guard or a device */
        }
        look(window, (size_t)n, region->name);
        at += (size_t)n < want || at + (size_t)n == end ? (size_t)n : (size_t)n - overlap;
    }
}

/* The arena's pages are the ones that are left out of core dumps and emptied in children, which a kernel tells in
 * smaps. */
static bool is_arena(const char *flags)
{
    return strstr(flags, " dd") != NULL && strstr(flags, " wf") != NULL;
}

static size_t n_arena_regions, n_regions;

static void look_in_memory(pid_t child)
{
    char path[64], line[512];
    struct region region = {0};
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)child);
    const int memory = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/%d/smaps", (int)child);
    FILE *maps = fopen(path, "re");
    CU_ASSERT_TRUE_FATAL(memory >= 0 && maps != NULL);
    n_arena_regions = n_regions = 0;
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (reads_region(line, &region)) {
            continue;
        }
        if (strncmp(line, "VmFlags:", 8) == 0 && region.mode[1] == 'w') {
            n_arena_regions += is_arena(line);
            n_regions++;
            if (!is_arena(line)) {
                look_in_region(memory, &region);
            }
        }
    }
    fclose(maps);
    close(memory);
}

static void look_in_registers(pid_t child)
{
    static uint8_t registers[16384];
    struct iovec io = {.iov_base = registers, .iov_len = sizeof(registers)};
    int status = 0;
    if (ptrace(PTRACE_SEIZE, child, NULL, NULL) != 0) {
        printf("# registers not looked at: ptrace isn't allowed here\n");
        return;
    }
    ptrace(PTRACE_INTERRUPT, child, NULL, NULL);
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    static const int sets[] = {NT_PRSTATUS, NT_PRFPREG, NT_X86_XSTATE};
    for (size_t i = 0; i < DKV_COUNT(sets); i++) {
        io.iov_len = sizeof(registers);
        if (ptrace(PTRACE_GETREGSET, child, (void *)(intptr_t)sets[i], &io) == 0) {
            look(registers, io.iov_len, "registers");
        }
    }
    ptrace(PTRACE_DETACH, child, NULL, NULL);
}

/* ---- What the child does ---- */

struct work {
    struct dkv_secret key;    /* 96 bytes, from the parent */
    struct dkv_secret result; /* for what comes out secret */
};

static uint8_t outside[256]; /* for what comes out public */
static void *volatile kept;

typedef bool (*work_fn)(struct work *work);

static const struct dkv_span no_aad = {NULL, 0};
static const uint8_t some_iv[16] = {1, 2, 3};

static bool seals_and_opens_gcm(struct work *work)
{
    struct dkv_error err = {0};
    const struct dkv_span iv = dkv_span(some_iv, 12), plain = dkv_secret_view(&work->key);
    return dkv_gcm_seal(work->key.data, iv, no_aad, plain, outside, outside + 96, &err) == DKV_OK &&
           dkv_gcm_open(work->key.data, iv, no_aad, dkv_span(outside, 96), outside + 96, work->result.data,
                        &err) == DKV_OK;
}

static bool refuses_a_forged_gcm(struct work *work)
{
    struct dkv_error err = {0};
    const struct dkv_span iv = dkv_span(some_iv, 16), plain = dkv_secret_view(&work->key);
    return dkv_gcm_seal(work->key.data, iv, no_aad, plain, outside, outside + 96, &err) == DKV_OK &&
           dkv_gcm_open(work->key.data, iv, no_aad, dkv_span(outside, 96), outside + 95, outside + 128, &err) ==
               DKV_E_REJECTED_CIPHERTEXT;
}

/* As `local` wraps a DEK, the DEK being the key as well. */
static bool wraps_and_unwraps(struct work *work)
{
    struct dkv_error err = {0};
    size_t len = 0;
    return dkv_mongo_seal(work->key.data, some_iv, no_aad, dkv_secret_view(&work->key), outside, &err) == DKV_OK &&
           dkv_mongo_open(work->key.data, no_aad, dkv_span(outside, 160), work->result.data, &len, &err) == DKV_OK &&
           len == 96;
}

/* The text must not be the IV: the first block would be AES of zeros, which is the GCM hash key. */
static bool refuses_a_forged_field(struct work *work)
{
    struct dkv_error err = {0};
    size_t len = 0;
    if (dkv_mongo_seal(work->key.data, some_iv, no_aad, dkv_span("not the IV, else", 16), outside, &err) != DKV_OK) {
        return false;
    }
    outside[20] ^= 1;
    return dkv_mongo_open(work->key.data, no_aad, dkv_span(outside, 80), work->result.data, &len,
                          &err) == DKV_E_REJECTED_CIPHERTEXT;
}

static bool makes_a_deterministic_iv(struct work *work)
{
    struct dkv_error err = {0};
    return dkv_mongo_deterministic_iv(work->key.data, no_aad, dkv_span(some_iv, 16), outside, &err) == DKV_OK;
}

static bool makes_macs(struct work *work)
{
    struct dkv_error err = {0};
    const struct dkv_span part = dkv_span(some_iv, 16);
    return dkv_hmac_sha256(dkv_span(work->key.data, 32), &part, 1, outside, &err) == DKV_OK &&
           dkv_hmac_sha512(dkv_span(work->key.data + 32, 32), &part, 1, outside, &err) == DKV_OK &&
           dkv_hmac_sha256(dkv_span(work->key.data, 96), &part, 1, outside, &err) == DKV_OK;
}

static bool hashes_a_secret(struct work *work)
{
    struct dkv_error err = {0};
    const struct dkv_span part = dkv_secret_view(&work->key);
    return dkv_sha256(&part, 1, outside, &err) == DKV_OK;
}

/* The controls. */
/* A provider that copies the DEK to where it was asked for, as `local` does. */
static enum dkv_rc copying_unwrap(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items,
                                  size_t n, struct dkv_error *err)
{
    const struct work *work = (const struct work *)(const void *)self;
    size_t len = 0;
    (void)call;
    (void)n;
    items->status = dkv_mongo_open(work->key.data, no_aad, items->input, work->result.data, &len, err);
    memcpy(items->output, work->result.data, DKV_DEK_BYTES);
    items->output_len = DKV_DEK_BYTES;
    return items->status;
}

static bool unwraps_in_a_batch(struct work *work)
{
    static const struct dkv_call call = {.purpose = DKV_PURPOSE_USE};
    const struct dkv_batch batch = {
        .run = copying_unwrap, .self = (struct dkv_provider *)(void *)work, .call = &call, .id = "test"};
    struct dkv_error err = {0};
    struct dkv_secret dek = {0};
    if (dkv_secret_init(&dek, DKV_DEK_BYTES, &err) != DKV_OK ||
        dkv_mongo_seal(work->key.data, some_iv, no_aad, dkv_secret_view(&work->key), outside, &err) != DKV_OK) {
        return false;
    }
    struct dkv_wrap_item item = {.cmk = (struct dkv_cmk *)(void *)work,
                                 .context = dkv_span(some_iv, 16),
                                 .input = dkv_span(outside, 160),
                                 .output = dek.data,
                                 .output_capacity = dek.len};
    return dkv_batch_run(&batch, &item, 1, &err) == DKV_OK;
}

static bool copies_to_the_heap(struct work *work)
{
    kept = malloc(32);
    memcpy(kept, work->key.data + 40, 8);
    return true;
}

__attribute__((noinline)) static bool copies_to_the_stack(struct work *work)
{
    uint8_t copy[4096];
    memcpy(copy + 100, work->key.data, 32);
    __asm__ volatile("" ::"r"(copy) : "memory");
    return true;
}

static bool keeps_a_cbc_context(struct work *work)
{
    kept = EVP_CIPHER_CTX_new();
    return EVP_EncryptInit_ex2(kept, EVP_aes_256_cbc(), work->key.data + 32, some_iv, NULL) == 1;
}

static bool keeps_a_gcm_context(struct work *work)
{
    kept = EVP_CIPHER_CTX_new();
    return EVP_DecryptInit_ex2(kept, EVP_aes_256_gcm(), work->key.data, some_iv, NULL) == 1;
}

static bool keeps_an_hmac_context(struct work *work)
{
    char digest[] = "SHA512";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_end()};
    kept = EVP_MAC_CTX_new(EVP_MAC_fetch(NULL, "HMAC", NULL));
    return EVP_MAC_init(kept, work->key.data, 32, params) == 1;
}

#if defined(__x86_64__)
static bool leaves_it_in_a_register(struct work *work)
{
    __asm__ volatile("movdqu (%0), %%xmm11" ::"r"(work->key.data) : "xmm11");
    return true;
}
#endif

/* ---- The two processes ---- */

static int run_child(int socket, work_fn do_work)
{
    struct dkv_error err = {0};
    struct work work = {0};
    uint8_t go = 0;
    if (dkv_secret_init(&work.key, 96, &err) != DKV_OK || dkv_secret_init(&work.result, 128, &err) != DKV_OK ||
        dkv_crypto_start(NULL, &err) != DKV_OK) {
        return 1;
    }
    if (read(socket, work.key.data, 96) != 96 || !do_work(&work)) {
        return 2;
    }
    if (write(socket, "", 1) != 1 || read(socket, &go, 1) != 1) { /* here the parent looks */
        return 3;
    }
    return 0;
}

/* Returns how many traces were found in the child after its work. */
static size_t traces_left_by(work_fn do_work)
{
    struct dkv_error err = {0};
    int sockets[2], status = 0;
    uint8_t key[96], done = 0;
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    forget_traces();
    const pid_t child = fork();
    if (child == 0) {
        close(sockets[0]);
        _exit(run_child(sockets[1], do_work));
    }
    close(sockets[1]);
    ASSERT_OK(dkv_random(key, sizeof(key), &err));
    add_key(key);
    CU_ASSERT_EQUAL_FATAL(write(sockets[0], key, sizeof(key)), sizeof(key));
    CU_ASSERT_EQUAL_FATAL(read(sockets[0], &done, 1), 1);
    n_found = 0;
    look_in_memory(child);
    look_in_registers(child);
    CU_ASSERT_EQUAL_FATAL(write(sockets[0], "", 1), 1);
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    close(sockets[0]);
    CU_ASSERT_TRUE_FATAL(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CU_ASSERT_TRUE_FATAL(n_regions > 5 && n_arena_regions >= 1);
    return n_found;
}

static bool is_impossible(void)
{
    const char *preload = getenv("LD_PRELOAD");
    const bool under_valgrind = preload != NULL && strstr(preload, "valgrind") != NULL;
    if (HAVE_SANITIZER || under_valgrind) {
        dkv_test_skip("sanitizers and valgrind keep copies of memory and registers");
        return true;
    }
    return false;
}

static void the_search_finds_what_is_there(void)
{
    if (is_impossible()) {
        return;
    }
    CU_ASSERT_TRUE(traces_left_by(copies_to_the_heap) >= 1);
    CU_ASSERT_TRUE(traces_left_by(copies_to_the_stack) >= 4);
#if defined(__x86_64__)
    CU_ASSERT_TRUE(traces_left_by(leaves_it_in_a_register) >= 2);
#endif
}

static void the_search_finds_a_kept_context(void)
{
    if (is_impossible()) {
        return;
    }
    CU_ASSERT_TRUE(traces_left_by(keeps_a_cbc_context) >= 30);
    CU_ASSERT_TRUE(traces_left_by(keeps_a_gcm_context) >= 30);
    CU_ASSERT_TRUE(traces_left_by(keeps_an_hmac_context) >= 8);
}

#define LEAVES_NOTHING(work)                                  \
    static void nothing_is_left_when_one_##work(void)         \
    {                                                         \
        if (!is_impossible()) {                               \
            CU_ASSERT_EQUAL(traces_left_by(work), 0);         \
        }                                                     \
    }
LEAVES_NOTHING(seals_and_opens_gcm)
LEAVES_NOTHING(refuses_a_forged_gcm)
LEAVES_NOTHING(wraps_and_unwraps)
LEAVES_NOTHING(refuses_a_forged_field)
LEAVES_NOTHING(makes_a_deterministic_iv)
LEAVES_NOTHING(makes_macs)
LEAVES_NOTHING(hashes_a_secret)
LEAVES_NOTHING(unwraps_in_a_batch)

/* ---- Random bytes ---- */

static uint8_t masked[96];

/* Byte by byte, so that no more than one of them is ever in a register. */
static bool draws_a_secret(struct work *work)
{
    struct dkv_error err = {0};
    if (dkv_random(work->result.data, 96, &err) != DKV_OK) {
        return false;
    }
    const volatile uint8_t *from = work->result.data;
    volatile uint8_t *to = masked;
    for (size_t i = 0; i < 96; i++) {
        to[i] = (uint8_t)(from[i] ^ 0xa5);
    }
    return true;
}

static int run_drawing_child(int socket)
{
    struct dkv_error err = {0};
    struct work work = {0};
    uint8_t go = 0;
    if (dkv_secret_init(&work.result, 128, &err) != DKV_OK || !draws_a_secret(&work) || write(socket, masked,
                                                            96) != 96) {
        return 1;
    }
    return read(socket, &go, 1) == 1 ? 0 : 2;
}

static void nothing_is_left_when_a_secret_is_drawn(void)
{
    int sockets[2], status = 0;
    uint8_t drawn[96];
    if (is_impossible()) {
        return;
    }
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    forget_traces();
    const pid_t child = fork();
    if (child == 0) {
        _exit(run_drawing_child(sockets[1]));
    }
    CU_ASSERT_EQUAL_FATAL(read(sockets[0], drawn, 96), 96);
    for (size_t i = 0; i < 96; i++) {
        drawn[i] ^= 0xa5;
    }
    add_traces("random bytes", drawn, 96);
    n_found = 0;
    look_in_memory(child);
    look_in_registers(child);
    CU_ASSERT_EQUAL(n_found, 0);
    CU_ASSERT_EQUAL_FATAL(write(sockets[0], "", 1), 1);
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    close(sockets[0]);
    close(sockets[1]);
}

/* ---- How deep OpenSSL goes ---- */

#define PAINTED_LEN 16000

__attribute__((noinline)) static uintptr_t paint_stack(void)
{
    uint8_t canvas[PAINTED_LEN];
    memset(canvas, 0xc7, sizeof(canvas));
    uintptr_t bottom = 0;
    /* A number that no compiler traces to a local. */
    __asm__ volatile("" : "=r"(bottom) : "0"(canvas) : "memory");
    return bottom;
}

/* Reads the dead stack below: through the kernel, since a compiler may make anything of a pointer to it. */
static size_t depth_used(uintptr_t bottom, uintptr_t top)
{
    static uint8_t copy[2 * PAINTED_LEN];
    const struct iovec local = {.iov_base = copy, .iov_len = top - bottom};
    const struct iovec remote = {.iov_base = (void *)bottom, .iov_len = top - bottom};
    const ssize_t n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    CU_ASSERT_TRUE_FATAL(n > 0);
    size_t untouched = 0;
    while (untouched < (size_t)n && copy[untouched] == 0xc7) {
        untouched++;
    }
    return (size_t)n - untouched;
}

static void openssl_uses_no_more_stack_than_is_wiped(void)
{
    struct dkv_error err = {0};
    struct work work = {0};
    static const work_fn works[] = {seals_and_opens_gcm, wraps_and_unwraps, makes_a_deterministic_iv, makes_macs};
    if (is_impossible()) {
        return;
    }
    ASSERT_OK(dkv_secret_init(&work.key, 96, &err));
    ASSERT_OK(dkv_secret_init(&work.result, 128, &err));
    for (size_t i = 0; i < DKV_COUNT(works); i++) {
        const uintptr_t bottom = paint_stack();
        const bool ok = works[i](&work);
        const size_t depth = depth_used(bottom, (uintptr_t)__builtin_frame_address(0) - 1024);
        printf("# %zu bytes of stack\n", depth);
        CU_ASSERT_TRUE(ok);
        CU_ASSERT_TRUE(depth < DKV_CRYPTO_STACK_LEN + 2048); /* the wiping itself, and what is called after it */
    }
    dkv_secret_done(&work.key);
    dkv_secret_done(&work.result);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(the_search_finds_what_is_there),
        DKV_TEST(the_search_finds_a_kept_context),
        DKV_TEST(nothing_is_left_when_one_seals_and_opens_gcm),
        DKV_TEST(nothing_is_left_when_one_refuses_a_forged_gcm),
        DKV_TEST(nothing_is_left_when_one_wraps_and_unwraps),
        DKV_TEST(nothing_is_left_when_one_refuses_a_forged_field),
        DKV_TEST(nothing_is_left_when_one_makes_a_deterministic_iv),
        DKV_TEST(nothing_is_left_when_one_makes_macs),
        DKV_TEST(nothing_is_left_when_one_hashes_a_secret),
        DKV_TEST(nothing_is_left_when_one_unwraps_in_a_batch),
        DKV_TEST(nothing_is_left_when_a_secret_is_drawn),
        DKV_TEST(openssl_uses_no_more_stack_than_is_wiped),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
