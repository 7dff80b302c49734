/* SPDX-License-Identifier: Apache-2.0 */
/* Results and errors.
 *
 * Every fallible function returns an enum dkv_rc, which is at once the class of the error: retry,
 * grace and exit codes look at it and at nothing else. The last parameter of such a function is a
 * struct dkv_error *, filled once, where the failure arises, with the native code and words for a
 * person; it may be NULL. On success it is left alone. Out-parameters named ret_ are untouched on
 * failure.
 *
 * No error text ever holds a key, a PIN or a plaintext. */
#ifndef DEKVAULT_ERROR_H
#define DEKVAULT_ERROR_H

#include <stdint.h>

#include "dekvault/export.h"

DKV_BEGIN_DECLS

enum dkv_rc {
    DKV_OK = 0,
    DKV_E_TRANSIENT = -1,            /* failed now, may work when repeated */
    DKV_E_THROTTLED = -2,            /* too many calls, says the other side */
    DKV_E_UNREACHABLE = -3,          /* token, KMS or store isn't there, or took too long */
    DKV_E_CANCELLED = -4,            /* the caller's cancel flag was set */
    DKV_E_AUTH = -5,                 /* credentials were refused: a PIN, a password, a signature */
    DKV_E_DENIED = -6,               /* known to the other side, but not allowed to do this */
    DKV_E_NOT_FOUND = -7,            /* no such key, CMK, vault, file */
    DKV_E_CONFLICT = -8,             /* exists already, or changed meanwhile */
    DKV_E_REJECTED_CIPHERTEXT = -9,  /* damaged, forged, or of another key or document */
    DKV_E_POLICY = -10,              /* refused by our own rules */
    DKV_E_DISABLED = -11,            /* the key or CMK is switched off */
    DKV_E_INVALID = -12,             /* the caller's input is malformed */
    DKV_E_CONFIG = -13,              /* the provider file, a secret file or a plug-in is wrong */
    DKV_E_RESOURCE = -14,            /* memory, locked memory, disk */
    DKV_E_INTERNAL = -15             /* a defect of ours, or an answer that makes no sense */
};

/* Where a native code comes from. */
enum dkv_native {
    DKV_NATIVE_NONE = 0,
    DKV_NATIVE_ERRNO,    /* code is an errno */
    DKV_NATIVE_PKCS11,   /* code is a CK_RV */
    DKV_NATIVE_OPENSSL,  /* code is from ERR_get_error() */
    DKV_NATIVE_SQLITE,   /* code is an extended SQLite result code */
    DKV_NATIVE_MONGODB,  /* code is a MongoDB server or driver error code */
    DKV_NATIVE_CURL,     /* code is a CURLcode */
    DKV_NATIVE_HTTP,     /* code is an HTTP status */
    DKV_NATIVE_PLUGIN    /* code is a plug-in's own */
};

/* One error. Owned by the caller, no destructor; start from {0}. Strings are NUL-terminated UTF-8
 * and cut at a character when too long; control characters in what came from outside are shown as
 * '?'. An empty string means "does not apply". */
struct dkv_error {
    enum dkv_rc rc;
    enum dkv_native native_system;
    int64_t native_code;
    char native_name[40];  /* for instance CKR_PIN_INCORRECT */
    char provider[64];     /* KMS provider id, for instance pkcs11:prod */
    char key[72];          /* the key document's _id, or the alt name asked for */
    char message[768];
    const char *file;      /* source position, static */
    int line;
};

/* dkv_class_name: the class's name as the command line and the audit print it ("not_found").
 * "ok" for DKV_OK, "internal" for a value that isn't one. Static; never NULL. Thread-safe: yes.
 * Blocks: no. */
DKV_API const char *dkv_class_name(enum dkv_rc rc);

/* dkv_native_name: "pkcs11", "errno" and so on; "" for DKV_NATIVE_NONE. Static. Thread-safe: yes.
 * Blocks: no. */
DKV_API const char *dkv_native_name(enum dkv_native system);

DKV_END_DECLS

#endif
