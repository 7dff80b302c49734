/* SPDX-License-Identifier: Apache-2.0 */
/* The 1st, 2nd, 3rd ... allocation fails - in our allocator, OpenSSL's and SQLite's - while a vault is opened, a key
 * made, a field encrypted and read back. Each run is a child process: it must end with an error or with the right
 * answer, never crash, and give back what it took. (SQLite and OpenSSL can do without some allocations, so a right
 * answer is allowed; libbson can't fail one and isn't counted.) */
#include "tests/lib/openssl_memory.h"
#include "tests/lib/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <sqlite3.h>

#include "base/mem.h"
#include "dekvault/dekvault.h"

enum allocator { OURS, OPENSSL, SQLITE, N_ALLOCATORS };
static const char *const allocator_names[N_ALLOCATORS] = {"ours", "OpenSSL's", "SQLite's"};

static enum allocator failing_allocator;
static size_t failing, calls[N_ALLOCATORS];
static long live[N_ALLOCATORS];

static bool fails(enum allocator who)
{
    calls[who]++;
    return who == failing_allocator && calls[who] == failing;
}

static void *counted(enum allocator who, void *memory)
{
    live[who] += memory != NULL;
    return memory;
}

static void *resized(enum allocator who, void *old, size_t size)
{
    if (fails(who)) {
        return NULL;
    }
    void *memory = realloc(old, size);
    live[who] += old == NULL && memory != NULL;
    return memory;
}

static void freed(enum allocator who, void *memory)
{
    live[who] -= memory != NULL;
    free(memory);
}

static void *our_calloc(size_t n, size_t size)
{
    return fails(OURS) ? NULL : counted(OURS, calloc(n, size));
}

static void *our_realloc(void *old, size_t size)
{
    return resized(OURS, old, size);
}

static void our_free(void *memory)
{
    freed(OURS, memory);
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails(OPENSSL) ? NULL : counted(OPENSSL, malloc(size));
}

static void *openssl_realloc(void *old, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return resized(OPENSSL, old, size);
}

static void openssl_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    freed(OPENSSL, memory);
}

/* SQLite wants to know sizes: a header of 16 bytes holds them. */
static void *sqlite_malloc(int size)
{
    if (fails(SQLITE)) {
        return NULL;
    }
    int *memory = counted(SQLITE, malloc((size_t)size + 16));
    if (memory == NULL) {
        return NULL;
    }
    *memory = size;
    return (char *)memory + 16;
}

static void sqlite_free(void *memory)
{
    freed(SQLITE, memory == NULL ? NULL : (char *)memory - 16);
}

static void *sqlite_realloc(void *old, int size)
{
    int *memory = resized(SQLITE, old == NULL ? NULL : (char *)old - 16, (size_t)size + 16);
    if (memory == NULL) {
        return NULL;
    }
    *memory = size;
    return (char *)memory + 16;
}

static int sqlite_size(void *memory)
{
    return *(const int *)(void *)((char *)memory - 16);
}

static int sqlite_roundup(int size)
{
    return (size + 7) & ~7;
}

static int sqlite_start(void *arg)
{
    (void)arg;
    return SQLITE_OK;
}

static void sqlite_stop(void *arg)
{
    (void)arg;
}

static const struct dkv_mem_ops our_ops = {.calloc = our_calloc, .realloc = our_realloc, .free = our_free};
static const sqlite3_mem_methods sqlite_ops = {.xMalloc = sqlite_malloc, .xFree = sqlite_free, .xRealloc = sqlite_realloc,
                                               .xSize = sqlite_size, .xRoundup = sqlite_roundup, .xInit = sqlite_start,
                                               .xShutdown = sqlite_stop};

/* ---- The job ---- */

static const char *config_path;

static enum dkv_rc encrypt_and_read_back(struct dkv_vault *vault, const struct dkv_uuid *id, struct dkv_error *err)
{
    static const uint8_t number[4] = {42, 0, 0, 0};
    const struct dkv_key_selector key = {.id = *id};
    const struct dkv_bson_value value = {.type = 0x10, .bytes = {number, sizeof(number)}};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf payload = {0}, back = {0};
    struct dkv_dek *dek = NULL;
    uint8_t type = 0;
    enum dkv_rc rc = dkv_dek_open(vault, &key, &dek, err);
    if (rc == DKV_OK) {
        rc = dkv_field_encrypt(dek, DKV_RANDOM, value, &payload, err);
    }
    if (rc == DKV_OK) {
        rc = dkv_field_decrypt(dek, dkv_span_buf(&payload), &type, &back, err);
    }
    dkv_dek_close(dek);
    if (rc == DKV_OK && (type != value.type || !dkv_span_equal(dkv_span_buf(&back), value.bytes))) {
        abort(); /* a wrong answer */
    }
    return rc;
}

static enum dkv_rc job(struct dkv_error *err)
{
    struct dkv_provider_file *file = NULL;
    struct dkv_vault *vault = NULL;
    struct dkv_uuid id;
    const char *names[1] = {NULL};
    char name[48];
    static int jobs;
    snprintf(name, sizeof(name), "key-%ld-%d", (long)getpid(), ++jobs);
    names[0] = name;
    const struct dkv_key_options options = {.alt_names = names, .n_alt_names = 1};
    enum dkv_rc rc = dkv_provider_file_open(config_path, &file, err);
    if (rc == DKV_OK) {
        rc = dkv_vault_open(file, NULL, &vault, err);
    }
    if (rc == DKV_OK) {
        rc = dkv_key_create(vault, "local", &options, &id, err);
    }
    if (rc == DKV_OK) {
        rc = encrypt_and_read_back(vault, &id, err);
    }
    dkv_vault_close(vault);
    dkv_provider_file_close(file);
    return rc;
}

/* ---- One run in a child ---- */

enum { CHILD_RIGHT = 0, CHILD_ERROR = 10, CHILD_NO_WORDS = 11, CHILD_LEAK = 12, CHILD_NOT_REACHED = 13, CHILD_NO_START = 14, CHILD_NO_RECOVERY = 15 };

static int child(enum allocator who, size_t n)
{
    struct dkv_error err = {0};
    if (job(&err) != DKV_OK) { /* what a child makes once, its secret memory for one, is there now */
        return CHILD_NO_START;
    }
    const long before[N_ALLOCATORS] = {live[OURS], live[OPENSSL], live[SQLITE]};
    memset(calls, 0, sizeof(calls));
    failing_allocator = who;
    failing = n;
    const enum dkv_rc rc = job(&err);
    const bool reached = calls[who] >= n;
    failing = 0;
    if (job(NULL) != DKV_OK) { /* and all is as it was before: what works once works again, with nothing left over */
        return CHILD_NO_RECOVERY;
    }
    if (live[OURS] != before[OURS] || live[SQLITE] > before[SQLITE]) {
        printf("# allocation %zu of %s: %ld of ours and %ld of SQLite's not given back\n", n, allocator_names[who], live[OURS] - before[OURS],
               live[SQLITE] - before[SQLITE]);
        return CHILD_LEAK;
    }
    if (rc != DKV_OK && err.message[0] == '\0') {
        return CHILD_NO_WORDS;
    }
    return !reached ? CHILD_NOT_REACHED : rc == DKV_OK ? CHILD_RIGHT : CHILD_ERROR;
}

static int run_child(enum allocator who, size_t n)
{
    int status = 0;
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        _exit(child(who, n));
    }
    CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void fail_each(enum allocator who)
{
    size_t errors = 0, right = 0, n = 1;
    for (;; n++) {
        const int outcome = run_child(who, n);
        if (outcome == CHILD_NOT_REACHED) {
            break;
        }
        errors += outcome == CHILD_ERROR;
        right += outcome == CHILD_RIGHT;
        if (outcome != CHILD_ERROR && outcome != CHILD_RIGHT) {
            printf("# allocation %zu of %s: child ended with %d\n", n, allocator_names[who], outcome);
            CU_FAIL_FATAL("a child crashed, leaked, or failed without words");
        }
    }
    printf("# %s: %zu allocations failed one by one: %zu errors, %zu done all the same\n", allocator_names[who], n - 1, errors, right);
    CU_ASSERT(errors > 0);
}

static void each_of_our_allocations_may_fail(void)
{
    fail_each(OURS);
}

static void each_of_openssls_allocations_may_fail(void)
{
    fail_each(OPENSSL);
}

static void each_of_sqlites_allocations_may_fail(void)
{
    fail_each(SQLITE);
}

static void set_up(void)
{
    struct dkv_error err = {0};
    struct dkv_provider_file *file = NULL;
    struct dkv_vault *vault = NULL;
    char text[2048];
    uint8_t key[96];
    for (size_t i = 0; i < sizeof(key); i++) {
        key[i] = (uint8_t)i;
    }
    dkv_test_write("local.key", key, sizeof(key), 0600);
    const int len = snprintf(text, sizeof(text),
                             "state-dir: %s/state\nvault:\n  store: sqlite:%s/vault.db\n"
                             "providers:\n  local:\n    key-source: file:%s/local.key\n",
                             dkv_test_dir(), dkv_test_dir(), dkv_test_dir());
    static char path[4096];
    snprintf(path, sizeof(path), "%s", dkv_test_write("dekvault.conf", text, (size_t)len, 0600));
    config_path = path;
    ASSERT_OK(dkv_provider_file_open(config_path, &file, &err));
    ASSERT_OK(dkv_vault_init(file, NULL, NULL, &vault, &err));
    dkv_vault_close(vault);
    dkv_provider_file_close(file);
    ASSERT_OK(job(&err)); /* what is made once a process is there now */
}

DKV_TEST_OPENSSL_MEMORY(openssl_malloc, openssl_realloc, openssl_free);

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(set_up),
        DKV_TEST(each_of_our_allocations_may_fail),
        DKV_TEST(each_of_openssls_allocations_may_fail),
        DKV_TEST(each_of_sqlites_allocations_may_fail),
    };
    if (!dkv_openssl_memory_is_ours || sqlite3_config(SQLITE_CONFIG_MALLOC, &sqlite_ops) != SQLITE_OK) {
        return 99;
    }
    dkv_mem_use(&our_ops);
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
