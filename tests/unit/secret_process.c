/* SPDX-License-Identifier: Apache-2.0 */
/* base/secret.h against the kernel: locks, dumps, guard pages, limits, forks, and what misuse ends in. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"
#include "tests/lib/test.h"

#define SIGNALLED 1000 /* plus the signal's number: how in_child tells of one */

static struct dkv_secret held, small;
static char child_says[4096];

/* Runs body in a forked child, and gives its result. Nothing is asserted there: a failed assertion would jump
 * back into the parent's tests. What it writes to standard error is kept in child_says. */
static int in_child(int (*body)(void))
{
    int pipe_fds[2], status = 0;
    CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
    fflush(stdout);
    const pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGSEGV, SIG_DFL); /* sanitizers catch it */
        signal(SIGABRT, SIG_DFL);
        dup2(pipe_fds[1], STDERR_FILENO);
        alarm(30);
        _exit(body());
    }
    close(pipe_fds[1]);
    size_t len = 0;
    ssize_t got = 0;
    while ((got = read(pipe_fds[0], child_says + len, sizeof(child_says) - 1 - len)) > 0) {
        len += (size_t)got;
    }
    child_says[len] = '\0';
    close(pipe_fds[0]);
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static void take_both(void)
{
    struct dkv_error err = {0};
    ASSERT_OK(dkv_secret_init(&held, DKV_SECRET_MAX, &err));
    memset(held.data, 0x77, held.len);
    ASSERT_OK(dkv_secret_init(&small, 96, &err));
    memset(small.data, 0x66, small.len);
}

static void give_both(void)
{
    dkv_secret_done(&held);
    dkv_secret_done(&small);
}

static bool is_filled_with(const struct dkv_secret *secret, uint8_t byte)
{
    for (size_t i = 0; i < secret->len; i++) {
        if (secret->data[i] != byte) {
            return false;
        }
    }
    return true;
}

/* ---- Pages ---- */

/* A secret of the greatest length fills its chunk. */
static int read_before(void)
{
    return *(volatile uint8_t *)(held.data - 1);
}

static int write_behind(void)
{
    *(volatile uint8_t *)(held.data + DKV_SECRET_MAX) = 1;
    return 0;
}

static int touch_both_ends(void)
{
    held.data[0] = held.data[DKV_SECRET_MAX - 1] = 1;
    return 42;
}

static void guard_pages_stop_whoever_leaves_the_chunk(void)
{
    take_both();

    CU_ASSERT_EQUAL(in_child(touch_both_ends), 42);
    CU_ASSERT_EQUAL(in_child(read_before), SIGNALLED + SIGSEGV);
    CU_ASSERT_EQUAL(in_child(write_behind), SIGNALLED + SIGSEGV);

    give_both();
}

/* VmFlags of the mapping that holds address, from /proc/self/smaps. */
static void flags_of(const void *address, char flags[static 256])
{
    char line[512];
    unsigned long start = 0, end = 0;
    FILE *smaps = fopen("/proc/self/smaps", "re");
    CU_ASSERT_PTR_NOT_NULL_FATAL(smaps);
    flags[0] = '\0';
    while (flags[0] == '\0' && fgets(line, sizeof(line), smaps) != NULL) {
        if (strstr(line, "VmFlags:") == line) {
            if ((uintptr_t)address >= start && (uintptr_t)address < end) {
                snprintf(flags, 256, "%.250s ", line);
            }
        } else if (strchr(line, '-') != NULL && sscanf(line, "%lx-%lx", &start, &end) != 2) {
            continue;
        }
    }
    fclose(smaps);
    for (char *at = flags; *at != '\0'; at++) {
        *at = *at == '\n' ? ' ' : *at;
    }
}

static void pages_are_locked_kept_from_dumps_and_wiped_on_fork(void)
{
    char flags[256];
    take_both();

    const uint8_t *const places[] = {held.data, held.data + DKV_SECRET_MAX - 1, small.data};
    for (size_t i = 0; i < DKV_COUNT(places); i++) {
        flags_of(places[i], flags);
        CU_ASSERT_PTR_NOT_NULL(strstr(flags, " lo ")); /* locked */
        CU_ASSERT_PTR_NOT_NULL(strstr(flags, " dd ")); /* not in dumps */
        CU_ASSERT_PTR_NOT_NULL(strstr(flags, " wf ")); /* wiped on fork */
        CU_ASSERT_PTR_NOT_NULL(strstr(flags, " rd wr "));
    }
    flags_of(held.data - 1, flags);
    CU_ASSERT(flags[0] != '\0' && strstr(flags, " rd ") == NULL);
    flags_of(held.data + DKV_SECRET_MAX, flags);
    CU_ASSERT(flags[0] != '\0' && strstr(flags, " rd ") == NULL);

    give_both();
}

static long locked_kib(void)
{
    char line[256];
    long kib = -1;
    FILE *status = fopen("/proc/self/status", "re");
    CU_ASSERT_PTR_NOT_NULL_FATAL(status);
    while (kib < 0 && fgets(line, sizeof(line), status) != NULL) {
        (void)sscanf(line, "VmLck: %ld", &kib);
    }
    fclose(status);
    return kib;
}

static void locked_memory_is_what_the_report_says(void)
{
    struct dkv_secret_memory_info info;
    dkv_secret_os_use(NULL);
    const long before = locked_kib();

    take_both();

    dkv_secret_memory(&info);
    CU_ASSERT_TRUE(info.locked);
    CU_ASSERT(info.mapped >= DKV_SECRET_MAX + 4096);
    CU_ASSERT_EQUAL(info.in_use, DKV_SECRET_MAX + 128);
    CU_ASSERT_EQUAL(locked_kib() - before, (long)(info.mapped / 1024));
    give_both();
    dkv_secret_os_use(NULL);
    CU_ASSERT_EQUAL(locked_kib(), before);
}

/* ---- Limits of the kernel, met by a user without CAP_IPC_LOCK ---- */

static bool become_nobody(rlim_t locked_bytes)
{
    const struct rlimit limit = {.rlim_cur = locked_bytes, .rlim_max = locked_bytes};
    dkv_secret_os_use(NULL);
    return setrlimit(RLIMIT_MEMLOCK, &limit) == 0 && (getuid() != 0 || setuid(65534) == 0);
}

static int take_with_nothing_lockable(void)
{
    struct dkv_error err = {0};
    struct dkv_secret secret = {0};
    if (!become_nobody(0)) {
        return 1;
    }
    if (dkv_secret_init(&secret, 96, &err) != DKV_E_RESOURCE || strstr(err.message, "LimitMEMLOCK=") == NULL) {
        return 2;
    }
    if (dkv_secret_configure(&(struct dkv_secret_options){0}, &err) != DKV_E_RESOURCE) {
        return 3;
    }
    const struct dkv_secret_options unlocked = {.allow_unlocked = true};
    if (dkv_secret_configure(&unlocked, &err) != DKV_OK || dkv_secret_init(&secret, 96, &err) != DKV_OK) {
        return 4;
    }
    struct dkv_secret_memory_info info;
    dkv_secret_memory(&info);
    return info.locked ? 5 : 42;
}

static int take_until_the_limit(void)
{
    struct dkv_error err = {0};
    static struct dkv_secret secrets[100];
    size_t n = 0;
    if (!become_nobody(200000)) {
        return 1;
    }
    while (n < DKV_COUNT(secrets) && dkv_secret_init(&secrets[n], 4096, &err) == DKV_OK) {
        n++;
    }
    if (n != 200000 / 4096 || err.rc != DKV_E_RESOURCE || locked_kib() != 192) {
        return 2;
    }
    dkv_secret_done(&secrets[0]);
    return dkv_secret_init(&secrets[0], 4096, &err) == DKV_OK ? 42 : 3;
}

/* Others in the process lock memory as well: the kernel's limit comes before our count reaches it. */
static int take_what_others_left(void)
{
    struct dkv_error err = {0};
    struct dkv_secret secret = {0};
    if (!become_nobody(65536)) {
        return 1;
    }
    void *others = dkv_secret_os_real()->map(57344);
    if (others == NULL || dkv_secret_os_real()->lock(others, 57344) != 0) {
        return 2;
    }
    if (dkv_secret_init(&secret, 96, &err) != DKV_OK) {
        return 3;
    }
    struct dkv_secret more = {0};
    if (dkv_secret_init(&more, 8192, &err) != DKV_E_RESOURCE || err.native_code != ENOMEM) {
        return 4;
    }
    return strstr(err.message, "8 KiB of memory for secrets can't be locked") != NULL ? 42 : 5;
}

static void the_kernels_limits_are_told_and_kept(void)
{
    CU_ASSERT_EQUAL(in_child(take_with_nothing_lockable), 42);
    CU_ASSERT_EQUAL(in_child(take_until_the_limit), 42);
    CU_ASSERT_EQUAL(in_child(take_what_others_left), 42);
}

/* ---- Forks ---- */

static int look_at_what_was_inherited(void)
{
    struct dkv_secret_memory_info info;
    dkv_secret_memory(&info);
    if (dkv_secret_is_alive(&held) || dkv_secret_memory_is_alive(held.data) || dkv_secret_owns(held.data, 1)) {
        return 1;
    }
    if (!is_filled_with(&held, 0) || !is_filled_with(&small, 0)) {
        return 2;
    }
    return info.in_use == 0 && info.mapped == 0 ? 42 : 3;
}

static int start_anew(void)
{
    struct dkv_secret fresh = {0};
    void *const inherited = small.data;
    if (dkv_secret_init(&fresh, 96, NULL) != DKV_OK || fresh.data == small.data || !is_filled_with(&fresh, 0)) {
        return 1;
    }
    fresh.data[0] = 9;
    if (!dkv_secret_is_alive(&fresh) || dkv_secret_is_alive(&small) || dkv_secret_memory_is_alive(inherited)) {
        return 2;
    }
    dkv_secret_done(&small);
    dkv_secret_free(held.data);
    dkv_secret_free(inherited);
    if (small.data != NULL || fresh.data[0] != 9 || !dkv_secret_is_alive(&fresh)) {
        return 3;
    }
    struct dkv_secret_memory_info info;
    dkv_secret_memory(&info);
    dkv_secret_done(&fresh);
    return info.in_use == 128 && info.locked && locked_kib() == (long)(info.mapped / 1024) ? 42 : 4;
}

static int give_back_before_anything_else(void)
{
    void *const inherited = held.data;
    dkv_secret_free(inherited);
    dkv_secret_done(&held);
    dkv_secret_done(&small);
    struct dkv_secret fresh = {0};
    if (dkv_secret_init(&fresh, 96, NULL) != DKV_OK) {
        return 1;
    }
    return dkv_secret_configure(&(struct dkv_secret_options){0}, NULL) == DKV_OK ? 42 : 2;
}

static int grandchild(void)
{
    return dkv_secret_is_alive(&small) || !is_filled_with(&small, 0) ? 1 : start_anew();
}

static int fork_again(void)
{
    give_both();
    if (dkv_secret_init(&small, 96, NULL) != DKV_OK || dkv_secret_init(&held, DKV_SECRET_MAX, NULL) != DKV_OK) {
        return 1;
    }
    memset(small.data, 0x55, small.len);
    const int status = in_child(grandchild);
    return status == 42 && is_filled_with(&small, 0x55) ? 42 : 2;
}

static void a_child_sees_zeros_and_starts_anew(void)
{
    take_both();

    CU_ASSERT_EQUAL(in_child(look_at_what_was_inherited), 42);
    CU_ASSERT_EQUAL(in_child(start_anew), 42);
    CU_ASSERT_EQUAL(in_child(give_back_before_anything_else), 42);
    CU_ASSERT_EQUAL(in_child(fork_again), 42);

    CU_ASSERT_TRUE(dkv_secret_is_alive(&held));
    CU_ASSERT_TRUE(is_filled_with(&held, 0x77));
    CU_ASSERT_TRUE(is_filled_with(&small, 0x66));
    give_both();
}

static atomic_bool stop;

static void *take_and_give(void *arg)
{
    while (!atomic_load(&stop)) {
        struct dkv_secret secret = {0};
        if (dkv_secret_init(&secret, 96, NULL) == DKV_OK) {
            dkv_secret_done(&secret);
        }
    }
    return arg;
}

static int take_one(void)
{
    struct dkv_secret secret = {0};
    return dkv_secret_init(&secret, 96, NULL) == DKV_OK ? 42 : 1;
}

/* The lock is held by another thread at most of these forks; the child must not wait for it for ever. */
static void forks_amid_other_threads_leave_a_usable_child(void)
{
    pthread_t threads[2];
    atomic_store(&stop, false);
    for (size_t i = 0; i < DKV_COUNT(threads); i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, take_and_give, NULL), 0);
    }
    int good = 0;
    while (good < 100 && in_child(take_one) == 42) {
        good++;
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < DKV_COUNT(threads); i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_join(threads[i], NULL), 0);
    }
    CU_ASSERT_EQUAL(good, 100);
}

/* ---- Misuse ---- */

static int free_twice(void)
{
    void *memory = dkv_secret_alloc(96, NULL);
    dkv_secret_free(memory);
    dkv_secret_free(memory);
    return 0;
}

static int free_a_copy(void)
{
    struct dkv_secret secret = {0};
    if (dkv_secret_init(&secret, 96, NULL) != DKV_OK) {
        return 1;
    }
    struct dkv_secret copy = secret;
    dkv_secret_done(&secret);
    dkv_secret_done(&copy);
    return 0;
}

static int free_the_middle(void)
{
    uint8_t *memory = (uint8_t *)dkv_secret_alloc(96, NULL);
    dkv_secret_free(memory + 64);
    return 0;
}

static int free_a_guard_page(void)
{
    uint8_t *memory = (uint8_t *)dkv_secret_alloc(DKV_SECRET_MAX, NULL);
    dkv_secret_free(memory - 64);
    return 0;
}

static int free_something_else(void)
{
    static uint8_t elsewhere[64];
    (void)dkv_secret_alloc(96, NULL);
    dkv_secret_free(elsewhere);
    return 0;
}

static int drop_while_out(void)
{
    (void)dkv_secret_alloc(96, NULL);
    dkv_secret_os_use(NULL);
    return 0;
}

static void misuse_ends_the_process_with_words(void)
{
    static const struct {
        int (*body)(void);
        const char *words;
    } cases[] = {
        {free_twice, "given back twice"},
        {free_a_copy, "given back twice"},
        {free_the_middle, "not the start of a secret"},
        {free_a_guard_page, "not the start of a secret"},
        {free_something_else, "not a secret"},
        {drop_while_out, "while secrets are out"},
    };
    dkv_secret_os_use(NULL);
    take_both();
    give_both(); /* so that the children start in an epoch of their own, and free_something_else in none */
    for (size_t i = 0; i < DKV_COUNT(cases); i++) {
        CU_ASSERT_EQUAL(in_child(cases[i].body), SIGNALLED + SIGABRT);
        CU_ASSERT_PTR_NOT_NULL(strstr(child_says, cases[i].words));
        CU_ASSERT_PTR_NOT_NULL(strstr(child_says, "dekvault: secret memory: "));
    }
}

/* ---- The process ---- */

static int harden(void)
{
    struct rlimit core;
    const struct rlimit some = {.rlim_cur = 4096, .rlim_max = 4096};
    setrlimit(RLIMIT_CORE, &some);
    if (prctl(PR_GET_DUMPABLE) != 1 || dkv_process_harden(NULL) != DKV_OK) {
        return 1;
    }
    getrlimit(RLIMIT_CORE, &core);
    return core.rlim_cur == 0 && core.rlim_max == 0 && prctl(PR_GET_DUMPABLE) == 0 ? 42 : 2;
}

static void a_hardened_process_leaves_no_dump(void)
{
    CU_ASSERT_EQUAL(in_child(harden), 42);
}

static const struct dkv_test tests[] = {
    DKV_TEST(guard_pages_stop_whoever_leaves_the_chunk),
    DKV_TEST(pages_are_locked_kept_from_dumps_and_wiped_on_fork),
    DKV_TEST(locked_memory_is_what_the_report_says),
    DKV_TEST(the_kernels_limits_are_told_and_kept),
    DKV_TEST(a_child_sees_zeros_and_starts_anew),
    DKV_TEST(forks_amid_other_threads_leave_a_usable_child),
    DKV_TEST(misuse_ends_the_process_with_words),
    DKV_TEST(a_hardened_process_leaves_no_dump),
};

int main(int argc, char **argv)
{
    if (dkv_secret_os_real()->lock_limit() < (size_t)1 << 20) {
        printf("1..0 # SKIP less than 1 MiB may be locked (ulimit -l)\n");
        return 0;
    }
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
