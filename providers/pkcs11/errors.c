/* SPDX-License-Identifier: Apache-2.0 */
/* One table from CK_RV to a name and a class. The class says what the code means of a call in general; where a call
 * gives it another meaning (a failed decryption), the caller judges first. No state, no lock. */
#include "providers/pkcs11/internal.h"

#include <stdarg.h>
#include <stdio.h>

struct row {
    CK_RV rv;
    const char *name;
    enum dkv_rc rc;
    enum dkv_p11_trouble trouble;
};

#define ROW(name, rc)                                                                                                  \
    {                                                                                                                  \
        CKR_##name, "CKR_" #name, DKV_E_##rc, DKV_P11_TROUBLE_NONE                                                     \
    }
#define LOST(name, rc)                                                                                                 \
    {                                                                                                                  \
        CKR_##name, "CKR_" #name, DKV_E_##rc, DKV_P11_TROUBLE_CONNECTION                                               \
    }

static const struct row rows[] = {
    ROW(CANCEL, CANCELLED),
    ROW(HOST_MEMORY, RESOURCE),
    LOST(SLOT_ID_INVALID, UNREACHABLE),
    ROW(GENERAL_ERROR, TRANSIENT),
    ROW(FUNCTION_FAILED, TRANSIENT),
    ROW(ARGUMENTS_BAD, INTERNAL),
    ROW(NEED_TO_CREATE_THREADS, CONFIG),
    ROW(CANT_LOCK, CONFIG),
    ROW(ATTRIBUTE_READ_ONLY, INVALID),
    ROW(ATTRIBUTE_SENSITIVE, DENIED),
    ROW(ATTRIBUTE_TYPE_INVALID, INVALID),
    ROW(ATTRIBUTE_VALUE_INVALID, INVALID),
    ROW(ACTION_PROHIBITED, DENIED),
    ROW(DATA_INVALID, INTERNAL),
    ROW(DATA_LEN_RANGE, INTERNAL),
    LOST(DEVICE_ERROR, UNREACHABLE),
    ROW(DEVICE_MEMORY, RESOURCE),
    LOST(DEVICE_REMOVED, UNREACHABLE),
    ROW(ENCRYPTED_DATA_INVALID, REJECTED_CIPHERTEXT),
    ROW(ENCRYPTED_DATA_LEN_RANGE, REJECTED_CIPHERTEXT),
    ROW(FUNCTION_CANCELED, CANCELLED),
    ROW(FUNCTION_NOT_PARALLEL, INTERNAL),
    ROW(FUNCTION_NOT_SUPPORTED, INVALID),
    LOST(KEY_HANDLE_INVALID, TRANSIENT),
    ROW(KEY_SIZE_RANGE, CONFIG),
    ROW(KEY_TYPE_INCONSISTENT, CONFIG),
    ROW(KEY_NOT_NEEDED, INTERNAL),
    ROW(KEY_CHANGED, TRANSIENT),
    ROW(KEY_NEEDED, INTERNAL),
    ROW(KEY_INDIGESTIBLE, INTERNAL),
    ROW(KEY_FUNCTION_NOT_PERMITTED, DENIED),
    ROW(KEY_NOT_WRAPPABLE, DENIED),
    ROW(KEY_UNEXTRACTABLE, DENIED),
    ROW(MECHANISM_INVALID, CONFIG),
    ROW(MECHANISM_PARAM_INVALID, CONFIG),
    LOST(OBJECT_HANDLE_INVALID, TRANSIENT),
    LOST(OPERATION_ACTIVE, TRANSIENT),
    LOST(OPERATION_NOT_INITIALIZED, TRANSIENT),
    ROW(PIN_INCORRECT, AUTH),
    ROW(PIN_INVALID, AUTH),
    ROW(PIN_LEN_RANGE, AUTH),
    ROW(PIN_EXPIRED, AUTH),
    ROW(PIN_LOCKED, AUTH),
    LOST(SESSION_CLOSED, TRANSIENT),
    ROW(SESSION_COUNT, TRANSIENT),
    LOST(SESSION_HANDLE_INVALID, TRANSIENT),
    ROW(SESSION_PARALLEL_NOT_SUPPORTED, INTERNAL),
    ROW(SESSION_READ_ONLY, INTERNAL),
    ROW(SESSION_EXISTS, TRANSIENT),
    ROW(SESSION_READ_ONLY_EXISTS, TRANSIENT),
    ROW(SESSION_READ_WRITE_SO_EXISTS, TRANSIENT),
    ROW(SIGNATURE_INVALID, REJECTED_CIPHERTEXT),
    ROW(SIGNATURE_LEN_RANGE, REJECTED_CIPHERTEXT),
    ROW(TEMPLATE_INCOMPLETE, INVALID),
    ROW(TEMPLATE_INCONSISTENT, INVALID),
    LOST(TOKEN_NOT_PRESENT, UNREACHABLE),
    LOST(TOKEN_NOT_RECOGNIZED, UNREACHABLE),
    ROW(TOKEN_WRITE_PROTECTED, DENIED),
    ROW(USER_ALREADY_LOGGED_IN, AUTH),
    LOST(USER_NOT_LOGGED_IN, AUTH),
    ROW(USER_PIN_NOT_INITIALIZED, CONFIG),
    ROW(USER_TYPE_INVALID, CONFIG),
    ROW(USER_ANOTHER_ALREADY_LOGGED_IN, AUTH),
    ROW(USER_TOO_MANY_TYPES, AUTH),
    ROW(WRAPPED_KEY_INVALID, REJECTED_CIPHERTEXT),
    ROW(WRAPPED_KEY_LEN_RANGE, REJECTED_CIPHERTEXT),
    ROW(RANDOM_NO_RNG, CONFIG),
    ROW(BUFFER_TOO_SMALL, INTERNAL),
    ROW(INFORMATION_SENSITIVE, DENIED),
    LOST(CRYPTOKI_NOT_INITIALIZED, TRANSIENT),
    ROW(CRYPTOKI_ALREADY_INITIALIZED, INTERNAL),
    ROW(MUTEX_BAD, INTERNAL),
    ROW(MUTEX_NOT_LOCKED, INTERNAL),
    ROW(FIPS_SELF_TEST_FAILED, CONFIG),
    ROW(LIBRARY_LOAD_FAILED, CONFIG),
    ROW(FUNCTION_REJECTED, DENIED),
    ROW(VENDOR_DEFINED, INTERNAL),
};

static const struct row *row_of(CK_RV rv)
{
    static const struct row unknown = {0, "unknown CK_RV", DKV_E_INTERNAL, DKV_P11_TROUBLE_NONE};
    for (size_t i = 0; i < DKV_COUNT(rows); i++) {
        if (rows[i].rv == rv) {
            return &rows[i];
        }
    }
    return &unknown;
}

const char *dkv_p11_rv_name(CK_RV rv)
{
    return row_of(rv)->name;
}

enum dkv_rc dkv_p11_rv_class(CK_RV rv)
{
    return row_of(rv)->rc;
}

enum dkv_p11_trouble dkv_p11_rv_trouble(CK_RV rv)
{
    return row_of(rv)->trouble;
}

enum dkv_rc dkv_p11_error_set(struct dkv_error *err, CK_RV rv, const char *file, int line, const char *format, ...)
{
    char words[512];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(words, sizeof(words), format, arguments) < 0) {
        words[0] = '\0';
    }
    va_end(arguments);
    const struct row *row = row_of(rv);
    const enum dkv_rc rc = dkv_error_set(err, row->rc, file, line, "%s: %s (0x%lx)", words, row->name, rv);
    dkv_error_native(err, DKV_NATIVE_PKCS11, (int64_t)rv, row->name);
    return rc;
}
