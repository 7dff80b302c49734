/* SPDX-License-Identifier: Apache-2.0 */
/* Raising and forwarding errors. Three macros of control flow and no more, so that they read as
 * part of the language: DKV_TRY forwards, DKV_CHECK raises on a false condition, DKV_CLEANUP gives
 * a local its destructor. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "dekvault/error.h"

struct dkv_uuid;

#define DKV_TRY(call)                       \
    do {                                    \
        const enum dkv_rc dkv_try_ = (call); \
        if (dkv_try_ != DKV_OK) {           \
            return dkv_try_;                \
        }                                   \
    } while (0)

#define DKV_CHECK(condition, err, rc, ...)           \
    do {                                             \
        if (!(condition)) {                          \
            return dkv_fail((err), (rc), __VA_ARGS__); \
        }                                            \
    } while (0)

/* A local that owns: DKV_CLEANUP(dkv_buf_done) struct dkv_buf buf = {0};
 * The destructor gets the local's address and must take the zero value. */
#define DKV_CLEANUP(destructor) __attribute__((cleanup(destructor)))

/* For locals that are pointers: defines type_freep(type **) for DKV_CLEANUP. */
#define DKV_DEFINE_FREEP(type, free_fn)               \
    static inline void free_fn##p(type **pointer)     \
    {                                                 \
        free_fn(*pointer);                            \
    }                                                 \
    struct dkv_semicolon_eater

#define DKV_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* dkv_fail: fill *err (when given) with rc and the formatted words; returns rc. */
#define dkv_fail(err, rc, ...) dkv_error_set((err), (rc), __FILE__, __LINE__, __VA_ARGS__)

/* dkv_fail_errno: the same, with ": strerror" after the words and errno as the native code. */
#define dkv_fail_errno(err, rc, ...) dkv_error_set_errno((err), (rc), __FILE__, __LINE__, __VA_ARGS__)

/* dkv_fail_as: hand on what a call said that gave rc, held back until it was known to matter; returns rc. Nothing for
 * DKV_OK. */
enum dkv_rc dkv_fail_as(struct dkv_error *err, enum dkv_rc rc, const struct dkv_error *held);

/* dkv_fail_memory: the one text for a failed allocation. */
#define dkv_fail_memory(err) dkv_fail((err), DKV_E_RESOURCE, "out of memory")

enum dkv_rc dkv_error_set(struct dkv_error *err, enum dkv_rc rc, const char *file, int line,
                          const char *format, ...) DKV_PRINTF(5, 6);
enum dkv_rc dkv_error_set_errno(struct dkv_error *err, enum dkv_rc rc, const char *file, int line,
                                const char *format, ...) DKV_PRINTF(5, 6);

/* Details added by whoever knows them; each takes a NULL err and returns err->rc or rc unchanged. */
void dkv_error_native(struct dkv_error *err, enum dkv_native system, int64_t code, const char *name);
void dkv_error_provider(struct dkv_error *err, const char *provider_id);
void dkv_error_key(struct dkv_error *err, const char *key);
void dkv_error_key_id(struct dkv_error *err, const struct dkv_uuid *id);

/* dkv_error_prefix: put words before the message ("document 9f3a...: "), once the caller knows
 * what the origin could not. */
void dkv_error_prefix(struct dkv_error *err, const char *format, ...) DKV_PRINTF(2, 3);

/* dkv_error_append: put words behind the message ("; raise the limit ..."): what to do about it. */
void dkv_error_append(struct dkv_error *err, const char *format, ...) DKV_PRINTF(2, 3);

/* dkv_rc_from_errno: the class an errno of a file operation belongs to (ENOENT not_found, EACCES
 * and EROFS denied, ENOSPC, EDQUOT, EFBIG, ENOMEM resource, the rest internal). */
enum dkv_rc dkv_rc_from_errno(int error_number);

#endif
