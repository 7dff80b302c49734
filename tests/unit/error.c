/* SPDX-License-Identifier: Apache-2.0 */
/* base/error.h: what an error says, and that it stays valid text whatever went into it. */
#include <errno.h>
#include <stdio.h>

#include "tests/lib/test.h"

static void each_class_has_its_own_name(void)
{
    for (int rc = DKV_OK; rc >= DKV_E_INTERNAL; rc--) {
        const char *name = dkv_class_name((enum dkv_rc)rc);
        CU_ASSERT_FATAL(name != NULL && name[0] != '\0');
        for (int other = DKV_OK; other > rc; other--) {
            CU_ASSERT_STRING_NOT_EQUAL_FATAL(name, dkv_class_name((enum dkv_rc)other));
        }
    }
    CU_ASSERT_STRING_EQUAL(dkv_class_name(DKV_OK), "ok");
    CU_ASSERT_STRING_EQUAL(dkv_class_name(DKV_E_TRANSIENT), "transient");
    CU_ASSERT_STRING_EQUAL(dkv_class_name(DKV_E_AUTH), "auth");
    CU_ASSERT_STRING_EQUAL(dkv_class_name(DKV_E_NOT_FOUND), "not_found");
    CU_ASSERT_STRING_EQUAL(dkv_class_name(DKV_E_CONFLICT), "conflict");
    CU_ASSERT_STRING_EQUAL(dkv_class_name(DKV_E_REJECTED_CIPHERTEXT), "rejected_ciphertext");
    CU_ASSERT_STRING_EQUAL(dkv_class_name(DKV_E_POLICY), "policy");
    CU_ASSERT_STRING_EQUAL(dkv_class_name(DKV_E_INVALID), "invalid");
    CU_ASSERT_STRING_EQUAL(dkv_class_name(DKV_E_CONFIG), "config");
    CU_ASSERT_STRING_EQUAL(dkv_class_name(DKV_E_RESOURCE), "resource");
    CU_ASSERT_STRING_EQUAL(dkv_class_name(DKV_E_INTERNAL), "internal");
}

static void what_is_no_class_is_called_internal(void)
{
    CU_ASSERT_STRING_EQUAL(dkv_class_name((enum dkv_rc)1), "internal");
    CU_ASSERT_STRING_EQUAL(dkv_class_name((enum dkv_rc)(DKV_E_INTERNAL - 1)), "internal");
}

static void each_native_system_has_its_own_name(void)
{
    for (int system = DKV_NATIVE_NONE; system <= DKV_NATIVE_PLUGIN; system++) {
        const char *name = dkv_native_name((enum dkv_native)system);
        CU_ASSERT_EQUAL_FATAL(name[0] == '\0', system == DKV_NATIVE_NONE);
        for (int other = DKV_NATIVE_NONE; other < system; other++) {
            CU_ASSERT_STRING_NOT_EQUAL_FATAL(name, dkv_native_name((enum dkv_native)other));
        }
    }
    CU_ASSERT_STRING_EQUAL(dkv_native_name(DKV_NATIVE_ERRNO), "errno");
    CU_ASSERT_STRING_EQUAL(dkv_native_name(DKV_NATIVE_PKCS11), "pkcs11");
    CU_ASSERT_STRING_EQUAL(dkv_native_name((enum dkv_native)99), "");
}

static void fail_fills_the_error_and_returns_its_class(void)
{
    struct dkv_error err = {.provider = "old", .native_code = 7};

    const enum dkv_rc rc = dkv_fail(&err, DKV_E_POLICY, "key %d", 4);

    CU_ASSERT_EQUAL(rc, DKV_E_POLICY);
    CU_ASSERT_EQUAL(err.rc, DKV_E_POLICY);
    CU_ASSERT_STRING_EQUAL(err.message, "key 4");
    CU_ASSERT_STRING_EQUAL(err.provider, "");
    CU_ASSERT_EQUAL(err.native_code, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.file, "error.c"));
    CU_ASSERT(err.line > 0);
}

static void a_null_error_is_fine_everywhere(void)
{
    errno = ENOENT;
    CU_ASSERT_EQUAL(dkv_fail(NULL, DKV_E_CONFIG, "x"), DKV_E_CONFIG);
    CU_ASSERT_EQUAL(dkv_fail_errno(NULL, DKV_E_NOT_FOUND, "x"), DKV_E_NOT_FOUND);
    CU_ASSERT_EQUAL(dkv_fail_memory(NULL), DKV_E_RESOURCE);
    dkv_error_native(NULL, DKV_NATIVE_CURL, 1, "x");
    dkv_error_provider(NULL, "x");
    dkv_error_key(NULL, "x");
    dkv_error_prefix(NULL, "x");
    dkv_error_append(NULL, "x");
}

static void fail_errno_says_why_and_keeps_the_number(void)
{
    struct dkv_error err = {0};
    errno = EACCES;

    const enum dkv_rc rc = dkv_fail_errno(&err, DKV_E_DENIED, "%s can't be read", "/etc/x");

    CU_ASSERT_EQUAL(rc, DKV_E_DENIED);
    CU_ASSERT_STRING_EQUAL(err.message, "/etc/x can't be read: Permission denied");
    CU_ASSERT_EQUAL(err.native_system, DKV_NATIVE_ERRNO);
    CU_ASSERT_EQUAL(err.native_code, EACCES);
    CU_ASSERT_STRING_EQUAL(err.native_name, "EACCES");
}

static void an_errno_that_does_not_exist_has_no_name(void)
{
    struct dkv_error err = {0};
    errno = 99999;

    (void)dkv_fail_errno(&err, DKV_E_INTERNAL, "odd");

    CU_ASSERT_STRING_EQUAL(err.native_name, "");
    CU_ASSERT_EQUAL(err.native_code, 99999);
    ASSERT_SAYS("odd: ");
}

static void details_are_added_and_replaced(void)
{
    struct dkv_error err = {0};
    (void)dkv_fail(&err, DKV_E_AUTH, "refused");

    dkv_error_native(&err, DKV_NATIVE_PKCS11, 0xa0, "CKR_PIN_INCORRECT");
    dkv_error_provider(&err, "pkcs11:test");
    dkv_error_provider(&err, "pkcs11:prod");
    dkv_error_key(&err, "9f3a");

    CU_ASSERT_EQUAL(err.native_system, DKV_NATIVE_PKCS11);
    CU_ASSERT_EQUAL(err.native_code, 0xa0);
    CU_ASSERT_STRING_EQUAL(err.native_name, "CKR_PIN_INCORRECT");
    CU_ASSERT_STRING_EQUAL(err.provider, "pkcs11:prod");
    CU_ASSERT_STRING_EQUAL(err.key, "9f3a");
    dkv_error_key(&err, NULL);
    CU_ASSERT_STRING_EQUAL(err.key, "");
    CU_ASSERT_EQUAL(err.rc, DKV_E_AUTH);
    CU_ASSERT_STRING_EQUAL(err.message, "refused");
}

static void prefix_and_append_go_before_and_behind(void)
{
    struct dkv_error err = {0};
    (void)dkv_fail(&err, DKV_E_INVALID, "too short");

    dkv_error_prefix(&err, "document %s: ", "9f3a");
    dkv_error_append(&err, "; %s", "write 96 bytes");

    CU_ASSERT_STRING_EQUAL(err.message, "document 9f3a: too short; write 96 bytes");
    CU_ASSERT_EQUAL(err.rc, DKV_E_INVALID);
}

static void words_made_from_the_error_itself_are_kept(void)
{
    struct dkv_error err = {0};
    (void)dkv_fail(&err, DKV_E_INVALID, "inner");
    dkv_error_provider(&err, "local");

    (void)dkv_fail(&err, DKV_E_CONFIG, "%s: %s", err.provider, err.message);
    CU_ASSERT_STRING_EQUAL(err.message, "local: inner");

    dkv_error_prefix(&err, "%s, ", err.message);
    CU_ASSERT_STRING_EQUAL(err.message, "local: inner, local: inner");
}

/* For each remainder of the length by 4: the cut falls within a character. */
static void what_is_too_long_is_cut_at_a_character(void)
{
    struct dkv_error err = {0};
    char text[4 * 400];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'a', shift);
        for (size_t i = 0; i < 300; i++) {
            memcpy(text + shift + 4 * i, "\xf0\x9f\x94\x91", 5);
        }

        (void)dkv_fail(&err, DKV_E_INVALID, "%s", text);

        const size_t len = strlen(err.message);
        CU_ASSERT(len <= sizeof(err.message) - 1 && len > sizeof(err.message) - 5);
        CU_ASSERT_EQUAL(len % 4, shift);
        CU_ASSERT_TRUE(dkv_utf8_is_valid(dkv_span_str(err.message)));
    }
}

static void a_full_message_takes_no_more(void)
{
    struct dkv_error err = {0};
    char text[sizeof(err.message)];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';

    (void)dkv_fail(&err, DKV_E_INVALID, "%s", text);
    CU_ASSERT_STRING_EQUAL(err.message, text);
    dkv_error_append(&err, "b");
    CU_ASSERT_STRING_EQUAL(err.message, text);
    dkv_error_prefix(&err, "pre");
    CU_ASSERT_EQUAL(strlen(err.message), sizeof(err.message) - 1);
    CU_ASSERT_EQUAL(strncmp(err.message, "preaaa", 6), 0);
    errno = EIO;
    (void)dkv_fail_errno(&err, DKV_E_INTERNAL, "%s", text);
    CU_ASSERT_STRING_EQUAL(err.message, text);
}

static void short_fields_are_cut_too(void)
{
    struct dkv_error err = {0};
    const char *name = "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
                       "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
                       "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
                       "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9";

    dkv_error_native(&err, DKV_NATIVE_PLUGIN, 1, name);
    dkv_error_provider(&err, name);
    dkv_error_key(&err, name);

    CU_ASSERT_EQUAL(strlen(err.native_name), 38);
    CU_ASSERT_EQUAL(strlen(err.provider), 62);
    CU_ASSERT_EQUAL(strlen(err.key), 70);
}

static void text_from_outside_becomes_one_printable_line(void)
{
    struct dkv_error err = {0};

    (void)dkv_fail(&err, DKV_E_CONFIG, "label %s end", "a\nb\x1b[31m\x7f\xc2\x9b\xff\xc3\xa9\t\xed\xa0\x80");

    CU_ASSERT_STRING_EQUAL(err.message, "label a?b?[31m???\xc3\xa9???? end");
}

static void an_error_held_back_is_handed_on_whole_and_by_the_rc_that_was_given(void)
{
    struct dkv_error held = {0}, err = {0};
    const struct dkv_error unfilled = {0}; /* of a visitor that says nothing */
    (void)dkv_fail(&held, DKV_E_CONFLICT, "held");

    CU_ASSERT_EQUAL(dkv_fail_as(&err, DKV_OK, &held), DKV_OK);
    CU_ASSERT_EQUAL(err.rc, DKV_OK);
    CU_ASSERT_EQUAL(dkv_fail_as(&err, DKV_E_CONFLICT, &held), DKV_E_CONFLICT);
    CU_ASSERT_STRING_EQUAL(err.message, "held");
    CU_ASSERT_EQUAL(dkv_fail_as(NULL, DKV_E_CONFLICT, &held), DKV_E_CONFLICT);
    CU_ASSERT_EQUAL(dkv_fail_as(&err, DKV_E_DENIED, &unfilled), DKV_E_DENIED);
}

static void errno_classes_are_those_of_file_work(void)
{
    CU_ASSERT_EQUAL(dkv_rc_from_errno(ENOENT), DKV_E_NOT_FOUND);
    CU_ASSERT_EQUAL(dkv_rc_from_errno(EACCES), DKV_E_DENIED);
    CU_ASSERT_EQUAL(dkv_rc_from_errno(EROFS), DKV_E_DENIED);
    CU_ASSERT_EQUAL(dkv_rc_from_errno(ENOSPC), DKV_E_RESOURCE);
    CU_ASSERT_EQUAL(dkv_rc_from_errno(EDQUOT), DKV_E_RESOURCE);
    CU_ASSERT_EQUAL(dkv_rc_from_errno(EFBIG), DKV_E_RESOURCE);
    CU_ASSERT_EQUAL(dkv_rc_from_errno(ENOMEM), DKV_E_RESOURCE);
    CU_ASSERT_EQUAL(dkv_rc_from_errno(EIO), DKV_E_INTERNAL);
    CU_ASSERT_EQUAL(dkv_rc_from_errno(0), DKV_E_INTERNAL);
}

static enum dkv_rc forwarded(enum dkv_rc rc, int *reached, struct dkv_error *err)
{
    DKV_CHECK(rc != DKV_E_CONFLICT, err, DKV_E_CONFLICT, "checked");
    DKV_TRY(rc);
    *reached = 1;
    return DKV_OK;
}

static void try_and_check_leave_on_failure_only(void)
{
    struct dkv_error err = {0};
    int reached = 0;

    CU_ASSERT_EQUAL(forwarded(DKV_E_DENIED, &reached, &err), DKV_E_DENIED);
    CU_ASSERT_EQUAL(err.rc, DKV_OK);
    CU_ASSERT_EQUAL(forwarded(DKV_E_CONFLICT, &reached, &err), DKV_E_CONFLICT);
    ASSERT_SAYS("checked");
    CU_ASSERT_EQUAL(reached, 0);
    ASSERT_OK(forwarded(DKV_OK, &reached, &err));
    CU_ASSERT_EQUAL(reached, 1);
}

static const struct dkv_test tests[] = {
    DKV_TEST(each_class_has_its_own_name),
    DKV_TEST(what_is_no_class_is_called_internal),
    DKV_TEST(each_native_system_has_its_own_name),
    DKV_TEST(fail_fills_the_error_and_returns_its_class),
    DKV_TEST(a_null_error_is_fine_everywhere),
    DKV_TEST(fail_errno_says_why_and_keeps_the_number),
    DKV_TEST(an_errno_that_does_not_exist_has_no_name),
    DKV_TEST(details_are_added_and_replaced),
    DKV_TEST(prefix_and_append_go_before_and_behind),
    DKV_TEST(words_made_from_the_error_itself_are_kept),
    DKV_TEST(what_is_too_long_is_cut_at_a_character),
    DKV_TEST(a_full_message_takes_no_more),
    DKV_TEST(short_fields_are_cut_too),
    DKV_TEST(text_from_outside_becomes_one_printable_line),
    DKV_TEST(an_error_held_back_is_handed_on_whole_and_by_the_rc_that_was_given),
    DKV_TEST(errno_classes_are_those_of_file_work),
    DKV_TEST(try_and_check_leave_on_failure_only),
};

int main(int argc, char **argv)
{
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
