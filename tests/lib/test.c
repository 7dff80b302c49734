/* SPDX-License-Identifier: Apache-2.0 */
/* Runs CUnit tests one by one and prints TAP. Every program has a folder of its own under TMPDIR,
 * removed at the end, and a state and configuration home inside it. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CUnit/TestRun.h>

#include "base/mem.h"

static char test_dir[PATH_MAX - 256];
static const char *skip_reason;

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

static void make_dir(const char *program)
{
    const char *base = strrchr(program, '/');
    const char *tmp = getenv("TMPDIR");
    snprintf(test_dir, sizeof(test_dir), "%s/dekvault-%s-XXXXXX", tmp != NULL ? tmp : "/tmp", base != NULL ? base + 1 : program);
    if (mkdtemp(test_dir) == NULL) {
        perror(test_dir);
        exit(99);
    }
    setenv("XDG_STATE_HOME", test_dir, 1);
    setenv("XDG_CONFIG_HOME", test_dir, 1);
}

const char *dkv_test_dir(void)
{
    return test_dir;
}

const char *dkv_test_path(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", test_dir, name);
    return path;
}

const char *dkv_test_write(const char *name, const void *contents, size_t len, unsigned mode)
{
    const char *path = dkv_test_path(name);
    (void)unlink(path);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL_FATAL(write(fd, contents, len), (ssize_t)len);
    CU_ASSERT_EQUAL_FATAL(fchmod(fd, (mode_t)mode), 0);
    close(fd);
    return path;
}

void dkv_test_skip(const char *reason)
{
    skip_reason = reason;
}

void dkv_test_diagnose(const char *file, int line, const char *what, enum dkv_rc rc, const struct dkv_error *err)
{
    printf("# %s:%d: %s\n#   gave %s (%d)", file, line, what, dkv_class_name(rc), (int)rc);
    if (err != NULL && err->message[0] != '\0') {
        printf(": %s [%s %s] (%s:%d)", err->message, dkv_native_name(err->native_system), err->native_name,
               err->file != NULL ? err->file : "?", err->line);
    }
    printf("\n");
}

static void print_failures(void)
{
    for (const CU_FailureRecord *failure = CU_get_failure_list(); failure != NULL; failure = failure->pNext) {
        printf("# %s:%u: %s\n", failure->strFileName, failure->uiLineNumber, failure->strCondition);
    }
}

/* One test in a CUnit registry of its own, so that its failures are its own. */
static bool run_one(const struct dkv_test *test)
{
    skip_reason = NULL;
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("suite", NULL, NULL);
    CU_pTest added = CU_add_test(suite, test->name, test->run);
    CU_run_test(suite, added);
    const bool failed = CU_get_number_of_failures() > 0;
    if (failed) {
        print_failures();
    }
    CU_cleanup_registry();
    return !failed;
}

/* A shell ignores some signals for what it starts in the background, and so would the tests. */
static void reset_signals(void)
{
    static const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    for (size_t i = 0; i < DKV_COUNT(numbers); i++) {
        (void)signal(numbers[i], SIG_DFL);
    }
}

int dkv_test_main(int argc, char **argv, const struct dkv_test *tests, size_t n)
{
    const char *only = argc > 1 ? argv[1] : "";
    bool all_ok = true;
    reset_signals();
    setvbuf(stdout, NULL, _IOLBF, 0);
    make_dir(argv[0]);
    printf("1..%zu\n", n);
    for (size_t i = 0; i < n; i++) {
        if (strstr(tests[i].name, only) == NULL) {
            printf("ok %zu - %s # SKIP not asked for\n", i + 1, tests[i].name);
            continue;
        }
        const bool ok = run_one(&tests[i]);
        printf("%s %zu - %s%s%s\n", ok ? "ok" : "not ok", i + 1, tests[i].name, ok && skip_reason != NULL ? " # SKIP " : "",
               ok && skip_reason != NULL ? skip_reason : "");
        all_ok = all_ok && ok;
    }
    nftw(test_dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return all_ok ? 0 : 1;
}

/* ---- Failing allocations ---- */

static size_t allocations, failing;

static bool allocation_fails(void)
{
    return ++allocations == failing;
}

static void *failing_calloc(size_t n, size_t size)
{
    return allocation_fails() ? NULL : calloc(n, size);
}

static void *failing_realloc(void *old, size_t size)
{
    return allocation_fails() ? NULL : realloc(old, size);
}

size_t dkv_test_each_alloc_fails(enum dkv_rc (*body)(void *arg, struct dkv_error *err), void *arg)
{
    static const struct dkv_mem_ops failing_ops = {.calloc = failing_calloc, .realloc = failing_realloc, .free = free};
    for (failing = 1;; failing++) {
        struct dkv_error err = {0};
        allocations = 0;
        dkv_mem_use(&failing_ops);
        const enum dkv_rc rc = body(arg, &err);
        dkv_mem_use(NULL);
        if (allocations < failing) {
            CU_ASSERT_EQUAL_FATAL(rc, DKV_OK);
            return failing - 1;
        }
        if (rc != DKV_E_RESOURCE) {
            dkv_test_diagnose(__FILE__, __LINE__, "an allocation failed", rc, &err);
        }
        CU_ASSERT_EQUAL_FATAL(rc, DKV_E_RESOURCE);
    }
}
