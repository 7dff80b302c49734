/* SPDX-License-Identifier: Apache-2.0 */
/* What concerns the whole process: hardening, log, secret memory. */
#ifndef DEKVAULT_PROCESS_H
#define DEKVAULT_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "dekvault/error.h"

DKV_BEGIN_DECLS

/* dkv_process_harden: no core files, and no tracing or /proc access by other processes of the same
 * user (RLIMIT_CORE 0, PR_SET_DUMPABLE 0; Linux prctl(2)). For programs that hold keys; the library
 * never calls it by itself. DKV_E_RESOURCE if the kernel refuses.
 * Thread-safe: yes. Blocks: no. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_process_harden(struct dkv_error *err);

enum dkv_log_level { DKV_LOG_WARNING, DKV_LOG_NOTICE, DKV_LOG_DEBUG };

/* A log sink: one line without its newline, never a secret. Called from any thread, also at once
 * from several; must not call back into the library. */
typedef void (*dkv_log_fn)(void *arg, enum dkv_log_level level, const char *line);

/* dkv_set_log: send the library's log lines to fn (NULL: nowhere, the default). Process-wide.
 * Thread-safe: yes; a line already on its way may still reach the old sink. Blocks: no. */
DKV_API void dkv_set_log(dkv_log_fn fn, void *arg);

/* What the secret memory of this process can do, in bytes. */
struct dkv_secret_memory_info {
    size_t limit;   /* RLIMIT_MEMLOCK or the provider file's limit-kib; SIZE_MAX: none */
    size_t mapped;  /* mapped for secrets so far, guard pages left out */
    size_t in_use;  /* handed out now */
    bool locked;    /* false only where the provider file allows unlocked memory */
};

/* dkv_secret_memory: fill *ret_info. Thread-safe: yes. Blocks: no. */
DKV_API void dkv_secret_memory(struct dkv_secret_memory_info *ret_info);

/* dkv_version: "0.1.0" of the library loaded. Static. Thread-safe: yes. Blocks: no. */
DKV_API const char *dkv_version(void);

DKV_END_DECLS

#endif
