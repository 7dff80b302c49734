/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: what is written into a struct dkv_error, and how. Nothing is kept here; the caller owns the error.
 * Invariant: every text field is one line of valid UTF-8 with its NUL, whatever a token's label or a file's
 * name brought along. No lock. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

/* Longer than any field, so that the cut is made at a character by dkv_line_put and not by vsnprintf. */
#define WORDS_MAX 1024

/* By -rc. */
static const char *const class_names[] = {
    "ok",       "transient", "throttled",           "unreachable", "cancelled", "auth",    "denied",   "not_found",
    "conflict", "rejected_ciphertext", "policy", "disabled", "invalid", "config", "resource", "internal",
};
_Static_assert(DKV_COUNT(class_names) == -DKV_E_INTERNAL + 1, "a name for each class");

static const char *const native_names[] = {
    [DKV_NATIVE_NONE] = "",          [DKV_NATIVE_ERRNO] = "errno",     [DKV_NATIVE_PKCS11] = "pkcs11",
    [DKV_NATIVE_OPENSSL] = "openssl", [DKV_NATIVE_SQLITE] = "sqlite",   [DKV_NATIVE_MONGODB] = "mongodb",
    [DKV_NATIVE_CURL] = "curl",      [DKV_NATIVE_HTTP] = "http",       [DKV_NATIVE_PLUGIN] = "plugin",
};
_Static_assert(DKV_COUNT(native_names) == DKV_NATIVE_PLUGIN + 1, "a name for each native system");

const char *dkv_class_name(enum dkv_rc rc)
{
    const int rc_number = (int)rc;
    if (rc_number > DKV_OK || rc_number < DKV_E_INTERNAL) {
        return "internal";
    }
    return class_names[-rc_number];
}

const char *dkv_native_name(enum dkv_native system)
{
    const unsigned number = (unsigned)system;
    return number < DKV_COUNT(native_names) ? native_names[number] : "";
}

static void set_text(char *field, size_t capacity, const char *text)
{
    dkv_line_put(field, capacity, 0, text != NULL ? text : "");
}

/* Words that a caller made from the error's own fields stay good: they are formatted before it is cleared. */
DKV_PRINTF(5, 0)
static void fill(struct dkv_error *err, enum dkv_rc rc, const char *file, int line, const char *format,
                 va_list arguments)
{
    char words[WORDS_MAX];
    (void)vsnprintf(words, sizeof(words), format, arguments);
    *err = (struct dkv_error){.rc = rc, .file = file, .line = line};
    set_text(err->message, sizeof(err->message), words);
}

enum dkv_rc dkv_error_set(struct dkv_error *err, enum dkv_rc rc, const char *file, int line, const char *format, ...)
{
    if (err == NULL) {
        return rc;
    }
    va_list arguments;
    va_start(arguments, format);
    fill(err, rc, file, line, format, arguments);
    va_end(arguments);
    return rc;
}

enum dkv_rc dkv_fail_as(struct dkv_error *err, enum dkv_rc rc, const struct dkv_error *held)
{
    if (rc != DKV_OK && err != NULL) {
        *err = *held;
    }
    return rc;
}

static const char *errno_name(int error_number)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
    return strerrorname_np(error_number);
#else
    (void)error_number;
    return NULL;
#endif
}

enum dkv_rc dkv_error_set_errno(struct dkv_error *err, enum dkv_rc rc, const char *file, int line,
                                const char *format, ...)
{
    const int error_number = errno;
    if (err == NULL) {
        return rc;
    }
    va_list arguments;
    va_start(arguments, format);
    fill(err, rc, file, line, format, arguments);
    va_end(arguments);
    errno = error_number;
    dkv_error_append(err, ": %m");
    dkv_error_native(err, DKV_NATIVE_ERRNO, error_number, errno_name(error_number));
    return rc;
}

void dkv_error_native(struct dkv_error *err, enum dkv_native system, int64_t code, const char *name)
{
    if (err == NULL) {
        return;
    }
    err->native_system = system;
    err->native_code = code;
    set_text(err->native_name, sizeof(err->native_name), name);
}

void dkv_error_provider(struct dkv_error *err, const char *provider_id)
{
    if (err != NULL) {
        set_text(err->provider, sizeof(err->provider), provider_id);
    }
}

void dkv_error_key(struct dkv_error *err, const char *key)
{
    if (err != NULL) {
        set_text(err->key, sizeof(err->key), key);
    }
}

void dkv_error_key_id(struct dkv_error *err, const struct dkv_uuid *id)
{
    char text[37];
    dkv_uuid_format(id, text);
    dkv_error_key(err, text);
}

void dkv_error_prefix(struct dkv_error *err, const char *format, ...)
{
    char words[WORDS_MAX], old[sizeof(err->message)];
    if (err == NULL) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof(words), format, arguments);
    va_end(arguments);
    set_text(old, sizeof(old), err->message);
    const size_t at = dkv_line_put(err->message, sizeof(err->message), 0, words);
    (void)dkv_line_put(err->message, sizeof(err->message), at, old);
}

void dkv_error_append(struct dkv_error *err, const char *format, ...)
{
    char words[WORDS_MAX];
    if (err == NULL) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof(words), format, arguments);
    va_end(arguments);
    (void)dkv_line_put(err->message, sizeof(err->message), strlen(err->message), words);
}

static const struct {
    int error_number;
    enum dkv_rc rc;
} errno_classes[] = {
    {ENOENT, DKV_E_NOT_FOUND}, {EACCES, DKV_E_DENIED},   {EROFS, DKV_E_DENIED},    {ENOSPC, DKV_E_RESOURCE},
    {EDQUOT, DKV_E_RESOURCE},  {EFBIG, DKV_E_RESOURCE},  {ENOMEM, DKV_E_RESOURCE},
};

enum dkv_rc dkv_rc_from_errno(int error_number)
{
    for (size_t i = 0; i < DKV_COUNT(errno_classes); i++) {
        if (errno_classes[i].error_number == error_number) {
            return errno_classes[i].rc;
        }
    }
    return DKV_E_INTERNAL;
}
