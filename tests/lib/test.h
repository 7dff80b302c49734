/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests: CUnit's assertions, reported one by one as TAP. */
#ifndef TESTS_LIB_TEST_H
#define TESTS_LIB_TEST_H

#include <CUnit/CUnit.h>

#include "base/error.h"
#include "base/bytes.h"

/* A test function is one behaviour, named as a sentence. */
struct dkv_test {
    const char *name;
    void (*run)(void);
};
#define DKV_TEST(function) { #function, function }

/* dkv_test_main: run all (or those whose name contains argv[1]); returns the exit status. */
int dkv_test_main(int argc, char **argv, const struct dkv_test *tests, size_t n);

/* dkv_test_skip: mark the running test as skipped, with the reason, and return from it afterwards. */
void dkv_test_skip(const char *reason);

/* A folder of this test program's own, mode 0700, removed at exit. Borrowed. */
const char *dkv_test_dir(void);
/* dkv_test_path: DIR/name; static buffers, four live at a time. */
const char *dkv_test_path(const char *name);
/* dkv_test_write: make a file with these contents and mode. Returns its path (as dkv_test_path). */
const char *dkv_test_write(const char *name, const void *contents, size_t len, unsigned mode);

/* Each evaluates its argument once and stops the test on failure, printing the error. */
#define ASSERT_OK(call)                                                                   \
    do {                                                                                  \
        struct dkv_error *dkv_test_err_ = &err;                                           \
        const enum dkv_rc dkv_test_rc_ = (call);                                          \
        if (dkv_test_rc_ != DKV_OK) {                                                     \
            dkv_test_diagnose(__FILE__, __LINE__, #call, dkv_test_rc_, dkv_test_err_);    \
        }                                                                                 \
        CU_ASSERT_EQUAL_FATAL(dkv_test_rc_, DKV_OK);                                      \
    } while (0)
#define ASSERT_RC(expected, call)                                                         \
    do {                                                                                  \
        const enum dkv_rc dkv_test_rc_ = (call);                                          \
        if (dkv_test_rc_ != (expected)) {                                                 \
            dkv_test_diagnose(__FILE__, __LINE__, #call, dkv_test_rc_, &err);             \
        }                                                                                 \
        CU_ASSERT_EQUAL_FATAL(dkv_test_rc_, (expected));                                  \
    } while (0)
/* The error's words hold this text. */
#define ASSERT_SAYS(text)                                                                 \
    do {                                                                                  \
        const char *dkv_test_text_ = (text);                                              \
        const bool dkv_test_says_ = strstr(err.message, dkv_test_text_) != NULL;          \
        if (!dkv_test_says_) {                                                            \
            dkv_test_diagnose(__FILE__, __LINE__, dkv_test_text_, err.rc, &err);          \
        }                                                                                 \
        CU_ASSERT_TRUE_FATAL(dkv_test_says_);                                             \
    } while (0)

void dkv_test_diagnose(const char *file, int line, const char *what, enum dkv_rc rc, const struct dkv_error *err);

/* dkv_test_each_alloc_fails: run body with the 1st, 2nd, 3rd ... allocation of base/mem.h failing until it succeeds;
 * each failure must be DKV_E_RESOURCE. Returns how many failed. */
size_t dkv_test_each_alloc_fails(enum dkv_rc (*body)(void *arg, struct dkv_error *err), void *arg);

#endif
