/* SPDX-License-Identifier: Apache-2.0 */
/* base/state.h: records, conflicts and locks between threads and processes, and what a kill -9 leaves. */
#include "base/state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/lib/test.h"

#define NOBODY 65534

DKV_DEFINE_FREEP(struct dkv_state, dkv_state_close);

static const struct dkv_span absent = {NULL, 0};

/* A new folder, not made yet. */
static const char *new_folder(void)
{
    static unsigned n;
    char name[32];
    snprintf(name, sizeof(name), "state-%u", n++);
    return dkv_test_path(name);
}

static struct dkv_state *open_new(void)
{
    struct dkv_error err = {0};
    struct dkv_state *state = NULL;
    ASSERT_OK(dkv_state_open(new_folder(), &state, &err));
    return state;
}

static bool holds(struct dkv_state *state, const char *table, const char *key, const char *expected)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf value = {0};
    return dkv_state_get(state, table, key, &value, NULL) == DKV_OK && dkv_span_equal(dkv_span_buf(&value),
                                                            dkv_span_str(expected));
}

/* ---- Records ---- */

static void a_record_is_put_read_changed_and_deleted(void)
{
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf value = {0};
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = open_new();

    ASSERT_OK(dkv_state_put(state, "pins", "prod", absent, dkv_span_str("one"), &err));
    CU_ASSERT_TRUE(holds(state, "pins", "prod", "one"));
    ASSERT_OK(dkv_state_put(state, "pins", "prod", dkv_span_str("one"), dkv_span_str("two"), &err));
    CU_ASSERT_TRUE(holds(state, "pins", "prod", "two"));
    ASSERT_OK(dkv_state_put(state, "pins", "prod", dkv_span_str("two"), absent, &err));

    ASSERT_RC(DKV_E_NOT_FOUND, dkv_state_get(state, "pins", "prod", &value, &err));
    ASSERT_SAYS("table pins for \"prod\"");
    CU_ASSERT_PTR_NULL(value.data);
    ASSERT_OK(dkv_state_put(state, "pins", "prod", absent, absent, &err));
}

static void a_record_that_is_not_as_expected_is_a_conflict_and_stays(void)
{
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = open_new();
    ASSERT_OK(dkv_state_put(state, "pins", "prod", absent, dkv_span_str("one"), &err));

    ASSERT_RC(DKV_E_CONFLICT, dkv_state_put(state, "pins", "prod", absent, dkv_span_str("two"), &err));
    ASSERT_RC(DKV_E_CONFLICT, dkv_state_put(state, "pins", "prod", dkv_span_str("on"), dkv_span_str("two"), &err));
    ASSERT_RC(DKV_E_CONFLICT, dkv_state_put(state, "pins", "prod", dkv_span_str("One"), absent, &err));
    ASSERT_RC(DKV_E_CONFLICT, dkv_state_put(state, "pins", "other", dkv_span_str("one"), absent, &err));

    ASSERT_SAYS("pins.other was changed meanwhile");
    CU_ASSERT_TRUE(holds(state, "pins", "prod", "one"));
}

static void keys_of_any_text_are_records_of_their_own(void)
{
    struct dkv_error err = {0};
    char long_a[129], long_b[129], long_dots[129];
    memset(long_a, 'x', 128);
    memset(long_b, 'x', 128);
    memset(long_dots, '/', 128);
    long_a[128] = long_b[128] = long_dots[128] = '\0';
    long_b[127] = 'y';
    const char *const keys[] = {"", ".", "..", "a/b", "a%2Fb", "../../etc/passwd", "a.b", "\xc3\xbc\xe2\x82\xac", "A",
                                "a", "~", " ", "\n",
                                "\x01\xff", "pkcs11:token=prod;serial=7f3a", long_a, long_b, long_dots};
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = open_new();
    for (size_t i = 0; i < DKV_COUNT(keys); i++) {
        char value[16];
        snprintf(value, sizeof(value), "value %zu", i);
        ASSERT_OK(dkv_state_put(state, "t", keys[i], absent, dkv_span_str(value), &err));
    }
    for (size_t i = 0; i < DKV_COUNT(keys); i++) {
        char value[16];
        snprintf(value, sizeof(value), "value %zu", i);
        CU_ASSERT_TRUE(holds(state, "t", keys[i], value));
    }
    CU_ASSERT_FALSE(holds(state, "tt", "a", "value 9"));
    ASSERT_OK(dkv_state_put(state, "pkcs11-pins", "a", absent, dkv_span_str("v"), &err));
    CU_ASSERT_TRUE(holds(state, "pkcs11-pins", "a", "v"));
}

static void tables_and_keys_that_are_none_are_refused(void)
{
    static const char *const tables[] = {"", "A", "a.b", "../x", "a b", "abcdefghijklmnopqrstuvwxyzabcdefg"};
    struct dkv_error err = {0};
    char key[130];
    int lock = -7;
    memset(key, 'k', 129);
    key[129] = '\0';
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = open_new();
    for (size_t i = 0; i < DKV_COUNT(tables); i++) {
        ASSERT_RC(DKV_E_INVALID, dkv_state_put(state, tables[i], "k", absent, dkv_span_str("v"), &err));
    }
    ASSERT_RC(DKV_E_INVALID, dkv_state_put(state, "t", key, absent, dkv_span_str("v"), &err));
    ASSERT_RC(DKV_E_INVALID, dkv_state_lock(state, "T", "k", 0, &lock, &err));
    CU_ASSERT_EQUAL(lock, -7);
}

static void a_value_may_have_64_kib_and_no_more(void)
{
    struct dkv_error err = {0};
    static uint8_t bytes[65537] = {1};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf value = {0};
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = open_new();

    ASSERT_RC(DKV_E_INVALID, dkv_state_put(state, "t", "k", absent, dkv_span(bytes, 65537), &err));
    ASSERT_OK(dkv_state_put(state, "t", "k", absent, dkv_span(bytes, 65536), &err));

    ASSERT_OK(dkv_state_get(state, "t", "k", &value, &err));
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span_buf(&value), dkv_span(bytes, 65536)));
}

static void what_is_no_regular_file_is_not_read_as_a_record(void)
{
    struct dkv_error err = {0};
    char path[PATH_MAX];
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf value = {0};
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = open_new();
    snprintf(path, sizeof(path), "%s/t.fifo", dkv_state_path(state));
    CU_ASSERT_EQUAL_FATAL(mkfifo(path, 0600), 0);
    snprintf(path, sizeof(path), "%s/t.link", dkv_state_path(state));
    CU_ASSERT_EQUAL_FATAL(symlink("/etc/passwd", path), 0);
    alarm(10);

    ASSERT_RC(DKV_E_CONFIG, dkv_state_get(state, "t", "fifo", &value, &err));
    ASSERT_RC(DKV_E_INTERNAL, dkv_state_get(state, "t", "link", &value, &err));
    CU_ASSERT_EQUAL(err.native_code, ELOOP);
    alarm(0);
}

static void a_full_disk_leaves_the_old_record(void)
{
    struct dkv_error err = {0};
    struct rlimit before;
    static uint8_t bytes[4096];
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = open_new();
    ASSERT_OK(dkv_state_put(state, "t", "k", absent, dkv_span_str("old"), &err));
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit small = {.rlim_cur = 1000, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);

    const enum dkv_rc rc = dkv_state_put(state, "t", "k", dkv_span_str("old"), dkv_span(bytes, sizeof(bytes)), &err);

    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &before), 0);
    CU_ASSERT_EQUAL(rc, DKV_E_RESOURCE);
    CU_ASSERT_TRUE(holds(state, "t", "k", "old"));
    ASSERT_OK(dkv_state_put(state, "t", "k", dkv_span_str("old"), dkv_span_str("new"), &err));
}

static enum dkv_rc open_put_get(void *arg, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = NULL;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf value = {0};
    DKV_TRY(dkv_state_open((const char *)arg, &state, err));
    enum dkv_rc rc = dkv_state_get(state, "t", "k", &value, err);
    if (rc != DKV_OK && rc != DKV_E_NOT_FOUND) {
        return rc;
    }
    return dkv_state_put(state, "t", "k", dkv_span_buf(&value), dkv_span_str("v"), err);
}

static void each_failing_allocation_is_an_error(void)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s", new_folder());
    CU_ASSERT_TRUE(dkv_test_each_alloc_fails(open_put_get, path) >= 4);
}

/* ---- The folder ---- */

static void a_missing_folder_is_made_with_its_parents_for_the_owner_only(void)
{
    struct dkv_error err = {0};
    struct stat info;
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = NULL, *again = NULL;
    const char *path = dkv_test_path("a/b//c/");

    ASSERT_OK(dkv_state_open(path, &state, &err));
    ASSERT_OK(dkv_state_open(path, &again, &err));

    CU_ASSERT_STRING_EQUAL(dkv_state_path(state), path);
    CU_ASSERT_EQUAL_FATAL(stat(path, &info), 0);
    CU_ASSERT_EQUAL(info.st_mode & 07777, 0700);
}

static void a_folder_with_bits_for_others_is_refused_with_the_chmod(void)
{
    static const mode_t modes[] = {0755, 0750, 0710, 0702, 01777};
    struct dkv_error err = {0};
    struct dkv_state *state = NULL;
    const char *path = new_folder();
    CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
    for (size_t i = 0; i < DKV_COUNT(modes); i++) {
        CU_ASSERT_EQUAL_FATAL(chmod(path, modes[i]), 0);
        ASSERT_RC(DKV_E_CONFIG, dkv_state_open(path, &state, &err));
        ASSERT_SAYS("chmod 0700 '");
    }
    CU_ASSERT_PTR_NULL(state);
}

static void a_folder_of_another_owner_or_none_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_state *state = NULL;

    ASSERT_RC(DKV_E_CONFIG, dkv_state_open(dkv_test_write("file", "", 0, 0600), &state, &err));
    ASSERT_SAYS("can't be opened");
    ASSERT_RC(DKV_E_CONFIG, dkv_state_open("/proc/dekvault", &state, &err));
    ASSERT_SAYS("state-dir");
    ASSERT_RC(DKV_E_CONFIG, dkv_state_open("", &state, &err));

    if (geteuid() == 0) {
        const char *path = new_folder();
        CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
        CU_ASSERT_EQUAL_FATAL(chown(path, NOBODY, NOBODY), 0);
        ASSERT_RC(DKV_E_CONFIG, dkv_state_open(path, &state, &err));
        ASSERT_SAYS("belongs to uid 65534");
        ASSERT_SAYS("chown -R 0 '");
    }
    CU_ASSERT_PTR_NULL(state);
}

/* As nobody: 0 when all is as it must be. */
static int use_folders_as_nobody(const char *mine, const char *read_only, const char *roots)
{
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = NULL;
    struct dkv_state *none = NULL;
    char below[PATH_MAX];
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0) {
        return 99;
    }
    if (dkv_state_open(mine, &state, &err) != DKV_OK ||
        dkv_state_put(state, "t", "k", absent, dkv_span_str("v"), &err) != DKV_OK) {
        return 1;
    }
    if (dkv_state_open(read_only, &none, &err) != DKV_E_CONFIG || strstr(err.message, "can't be written") == NULL) {
        return 2;
    }
    if (dkv_state_open(roots, &none, &err) != DKV_E_CONFIG) {
        return 3;
    }
    snprintf(below, sizeof(below), "%s/below", roots);
    if (dkv_state_open(below, &none, &err) != DKV_E_CONFIG) {
        return 4;
    }
    if (chmod(mine, 0500) != 0 || dkv_state_put(state, "t", "k2", absent, dkv_span_str("w"), &err) != DKV_E_DENIED) {
        return 5; /* what is taken away while it is open */
    }
    return setenv("XDG_STATE_HOME", mine, 1) == 0 && chmod(mine, 0700) == 0 && dkv_state_open(NULL, &none,
                                                            &err) == DKV_OK &&
                   strstr(dkv_state_path(none), mine) != NULL
               ? (dkv_state_close(none), 0)
               : 6;
}

static void folders_that_can_not_be_written_are_refused_to_an_ordinary_user(void)
{
    int status = 0;
    if (geteuid() != 0) {
        dkv_test_skip("needs root");
        return;
    }
    CU_ASSERT_EQUAL_FATAL(chmod(dkv_test_dir(), 0711), 0);
    const char *mine = new_folder(), *read_only = new_folder(), *roots = new_folder();
    CU_ASSERT_TRUE_FATAL(mkdir(mine, 0700) == 0 && mkdir(read_only, 0500) == 0 && mkdir(roots, 0755) == 0);
    CU_ASSERT_TRUE_FATAL(chown(mine, NOBODY, NOBODY) == 0 && chown(read_only, NOBODY, NOBODY) == 0);
    const pid_t child = fork();
    if (child == 0) {
        _exit(use_folders_as_nobody(mine, read_only, roots));
    }

    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);

    CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
    CU_ASSERT_EQUAL_FATAL(chmod(dkv_test_dir(), 0700), 0);
}

/* ---- Several at once ---- */

/* Add one, again and again until nobody else came between. */
static enum dkv_rc increment(struct dkv_state *state, struct dkv_error *err)
{
    enum dkv_rc rc = DKV_E_CONFLICT;
    while (rc == DKV_E_CONFLICT) {
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf old = {0};
        char text[32];
        rc = dkv_state_get(state, "counter", "n", &old, err);
        if (rc != DKV_OK && rc != DKV_E_NOT_FOUND) {
            return rc;
        }
        const char *digits = old.len > 0 ? dkv_buf_text(&old) : "0";
        if (digits == NULL) {
            return DKV_E_RESOURCE;
        }
        snprintf(text, sizeof(text), "%ld", strtol(digits, NULL, 10) + 1);
        rc = dkv_state_put(state, "counter", "n", dkv_span_buf(&old), dkv_span_str(text), err);
    }
    return rc;
}

static int increment_200_times(const char *path)
{
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = NULL;
    if (dkv_state_open(path, &state, &err) != DKV_OK) {
        return 1;
    }
    for (int i = 0; i < 200; i++) {
        if (increment(state, &err) != DKV_OK) {
            fprintf(stderr, "%s\n", err.message);
            return 2;
        }
    }
    return 0;
}

static void two_processes_that_count_lose_nothing(void)
{
    int status = 0;
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = open_new();
    for (int i = 0; i < 2; i++) {
        if (fork() == 0) {
            _exit(increment_200_times(dkv_state_path(state)));
        }
    }

    for (int i = 0; i < 2; i++) {
        CU_ASSERT_TRUE_FATAL(wait(&status) > 0);
        CU_ASSERT_EQUAL(status, 0);
    }

    CU_ASSERT_TRUE(holds(state, "counter", "n", "400"));
}

static void *increment_in_thread(void *arg)
{
    for (int i = 0; i < 30; i++) {
        if (increment((struct dkv_state *)arg, NULL) != DKV_OK) {
            return arg;
        }
    }
    return NULL;
}

static void threads_that_share_a_folder_lose_nothing(void)
{
    pthread_t threads[4];
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = open_new();
    for (size_t i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, increment_in_thread, state), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        void *failed = NULL;
        CU_ASSERT_EQUAL_FATAL(pthread_join(threads[i], &failed), 0);
        CU_ASSERT_PTR_NULL(failed);
    }

    CU_ASSERT_TRUE(holds(state, "counter", "n", "120"));
}

/* ---- Locks ---- */

static void a_lock_that_is_held_in_this_process_times_out(void)
{
    struct dkv_error err = {0};
    int first = -1, second = -7, other = -1;
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = open_new();
    ASSERT_OK(dkv_state_lock(state, "pins", "prod", 0, &first, &err));
    const int64_t start_ms = dkv_clock_real.monotonic_ms();

    ASSERT_RC(DKV_E_TRANSIENT, dkv_state_lock(state, "pins", "prod", 100, &second, &err));

    const int64_t took_ms = dkv_clock_real.monotonic_ms() - start_ms;
    CU_ASSERT_TRUE(took_ms >= 100 && took_ms < 5000);
    CU_ASSERT_EQUAL(second, -7);
    ASSERT_SAYS("more than 100 ms");
    ASSERT_OK(dkv_state_lock(state, "pins", "other", 0, &other, &err));
    ASSERT_OK(dkv_state_put(state, "pins", "prod", absent, dkv_span_str("puts go on"), &err));
    dkv_state_unlock(first);
    ASSERT_OK(dkv_state_lock(state, "pins", "prod", 0, &second, &err));
    dkv_state_unlock(second);
    dkv_state_unlock(other);
    dkv_state_unlock(-1);
}

static void *lock_in_thread(void *arg)
{
    int lock = -1;
    if (dkv_state_lock((struct dkv_state *)arg, "pins", "prod", 10000, &lock, NULL) != DKV_OK) {
        return arg;
    }
    dkv_state_unlock(lock);
    return NULL;
}

static void a_waiting_thread_gets_the_lock_when_it_is_given_back(void)
{
    struct dkv_error err = {0};
    pthread_t thread;
    int lock = -1;
    void *failed = NULL;
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = open_new();
    ASSERT_OK(dkv_state_lock(state, "pins", "prod", 0, &lock, &err));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, lock_in_thread, state), 0);
    usleep(30000);

    dkv_state_unlock(lock);

    CU_ASSERT_EQUAL_FATAL(pthread_join(thread, &failed), 0);
    CU_ASSERT_PTR_NULL(failed);
}

static int lock_and_wait(struct dkv_state *state, int ready)
{
    int lock = -1;
    if (dkv_state_lock(state, "pins", "prod", 0, &lock, NULL) != DKV_OK || write(ready, "", 1) != 1) {
        return 1;
    }
    for (;;) {
        pause();
    }
}

static void a_lock_is_given_back_when_its_process_is_killed(void)
{
    struct dkv_error err = {0};
    int ends[2], lock = -1, status = 0;
    uint8_t ready = 0;
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = open_new();
    CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = fork();
    if (child == 0) {
        _exit(lock_and_wait(state, ends[1]));
    }
    CU_ASSERT_EQUAL_FATAL(read(ends[0], &ready, 1), 1);
    ASSERT_RC(DKV_E_TRANSIENT, dkv_state_lock(state, "pins", "prod", 0, &lock, &err));

    CU_ASSERT_EQUAL_FATAL(kill(child, SIGKILL), 0);
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);

    ASSERT_OK(dkv_state_lock(state, "pins", "prod", 1000, &lock, &err));
    dkv_state_unlock(lock);
    close(ends[0]);
    close(ends[1]);
}

static void unlock_frees_a_lock_that_a_child_inherited(void)
{
    struct dkv_error err = {0};
    int lock = -1, ends[2], status = 0;
    char go = 0;
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = open_new();
    ASSERT_OK(dkv_state_lock(state, "pins", "prod", 0, &lock, &err));
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        _exit(read(ends[0], &go, 1) == 1 ? 0 : 1);
    }

    dkv_state_unlock(lock);

    ASSERT_OK(dkv_state_lock(state, "pins", "prod", 0, &lock, &err));
    dkv_state_unlock(lock);
    CU_ASSERT_EQUAL_FATAL(write(ends[1], "", 1), 1);
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    close(ends[0]);
    close(ends[1]);
}

/* ---- kill -9 ---- */

/* A record is 3000 times one letter, so that a torn one shows. */
static void put_for_ever(const char *path)
{
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = NULL;
    uint8_t value[3000];
    if (dkv_state_open(path, &state, NULL) != DKV_OK) {
        _exit(1);
    }
    for (unsigned i = 0;; i++) {
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf old = {0};
        const enum dkv_rc rc = dkv_state_get(state, "t", "k", &old, NULL);
        memset(value, 'a' + (int)(i % 26), sizeof(value));
        if ((rc != DKV_OK && rc != DKV_E_NOT_FOUND) ||
            dkv_state_put(state, "t", "k", dkv_span_buf(&old), dkv_span(value, sizeof(value)), NULL) != DKV_OK) {
            _exit(2);
        }
    }
}

static void assert_whole(struct dkv_state *state)
{
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf value = {0};
    ASSERT_OK(dkv_state_get(state, "t", "k", &value, &err));
    CU_ASSERT_EQUAL_FATAL(value.len, 3000);
    for (size_t i = 1; i < value.len; i++) {
        CU_ASSERT_EQUAL_FATAL(value.data[i], value.data[0]);
    }
}

static void a_process_killed_while_it_puts_leaves_a_whole_record(void)
{
    struct dkv_error err = {0};
    int status = 0;
    DKV_CLEANUP(dkv_state_closep) struct dkv_state *state = open_new();
    uint8_t value[3000];
    memset(value, 'a', sizeof(value));
    ASSERT_OK(dkv_state_put(state, "t", "k", absent, dkv_span(value, sizeof(value)), &err));
    for (unsigned i = 0; i < 50; i++) {
        const pid_t child = fork();
        if (child == 0) {
            put_for_ever(dkv_state_path(state));
        }
        usleep(2000 + i * 211 % 5000);
        CU_ASSERT_EQUAL_FATAL(kill(child, SIGKILL), 0);
        CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
        CU_ASSERT_TRUE_FATAL(WIFSIGNALED(status));
        assert_whole(state);
    }
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_record_is_put_read_changed_and_deleted),
        DKV_TEST(a_record_that_is_not_as_expected_is_a_conflict_and_stays),
        DKV_TEST(keys_of_any_text_are_records_of_their_own),
        DKV_TEST(tables_and_keys_that_are_none_are_refused),
        DKV_TEST(a_value_may_have_64_kib_and_no_more),
        DKV_TEST(what_is_no_regular_file_is_not_read_as_a_record),
        DKV_TEST(a_full_disk_leaves_the_old_record),
        DKV_TEST(each_failing_allocation_is_an_error),
        DKV_TEST(a_missing_folder_is_made_with_its_parents_for_the_owner_only),
        DKV_TEST(a_folder_with_bits_for_others_is_refused_with_the_chmod),
        DKV_TEST(a_folder_of_another_owner_or_none_is_refused),
        DKV_TEST(folders_that_can_not_be_written_are_refused_to_an_ordinary_user),
        DKV_TEST(two_processes_that_count_lose_nothing),
        DKV_TEST(threads_that_share_a_folder_lose_nothing),
        DKV_TEST(a_lock_that_is_held_in_this_process_times_out),
        DKV_TEST(a_waiting_thread_gets_the_lock_when_it_is_given_back),
        DKV_TEST(a_lock_is_given_back_when_its_process_is_killed),
        DKV_TEST(unlock_frees_a_lock_that_a_child_inherited),
        DKV_TEST(a_process_killed_while_it_puts_leaves_a_whole_record),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
