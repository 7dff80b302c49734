/* SPDX-License-Identifier: Apache-2.0 */
/* The provider file: which vault, which KMS providers, under which rules. See dekvault.conf(5). */
#ifndef DEKVAULT_PROVIDER_FILE_H
#define DEKVAULT_PROVIDER_FILE_H

#include "dekvault/error.h"

DKV_BEGIN_DECLS

struct dkv_provider_file;

/* dkv_provider_file_open: read and check a provider file.
 *   path     NULL: DEKVAULT_CONF (secure_getenv), $XDG_CONFIG_HOME/dekvault/dekvault.conf,
 *            /etc/dekvault/dekvault.conf, the first that exists
 *   ret_file the caller's, for dkv_provider_file_close
 * DKV_E_CONFIG: its owner, mode, syntax or meaning is wrong; the text names file, line and setting of
 * the first fault and says how many there are. DKV_E_NOT_FOUND: there is none.
 * Thread-safe: yes. Blocks: reads a local file. The result is immutable and may be shared between threads;
 * it must outlive the vaults opened with it. */
DKV_API DKV_MUST_USE enum dkv_rc dkv_provider_file_open(const char *path, struct dkv_provider_file **ret_file,
                                                        struct dkv_error *err);

/* dkv_provider_file_close: NULL is fine. Thread-safe: no, the last user calls it. Blocks: no. */
DKV_API void dkv_provider_file_close(struct dkv_provider_file *file);

/* dkv_provider_file_path: the path that was read; borrowed from the file. Thread-safe: yes. Blocks: no. */
DKV_API const char *dkv_provider_file_path(const struct dkv_provider_file *file);

DKV_END_DECLS

#endif
