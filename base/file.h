/* SPDX-License-Identifier: Apache-2.0 */
/* Files that must be trusted before they are read: the provider file, secret files, modules. Each
 * is opened once, judged by fstat, and read from that descriptor. Thread-safe; blocks on the disk alone. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/secret.h"

/* dkv_fd_close: close *fd if >= 0, for DKV_CLEANUP. */
void dkv_fd_close(const int *fd);

/* dkv_file_open_trusted: a regular file that only root or the effective user may change: owned by one of
 * them, no write bits for group or others, and its folder likewise (a sticky folder such as /tmp is
 * refused). A symbolic link is followed; the folder that holds it is judged as well. DKV_E_CONFIG names what is
 * wrong and the chmod or chown that mends it; DKV_E_NOT_FOUND. */
DKV_MUST_USE enum dkv_rc dkv_file_open_trusted(const char *path, int *ret_fd, struct stat *ret_stat,
                                               struct dkv_error *err);

/* dkv_file_judge_loadable: the same rule for code about to be loaded, on the resolved path. path must be absolute;
 * ret_path (PATH_MAX bytes) gets the resolved path. A missing file is DKV_E_CONFIG here. */
DKV_MUST_USE enum dkv_rc dkv_file_judge_loadable(const char *path, char *ret_path, struct dkv_error *err);

/* dkv_file_read: up to max bytes of an open descriptor; more is DKV_E_CONFIG. */
DKV_MUST_USE enum dkv_rc dkv_file_read(int fd, const char *path, size_t max, struct dkv_buf *ret,
                                       struct dkv_error *err);

/* dkv_secret_file_read: a file with no bits for others (for group: read only, and only with
 * allow_group_read), owner root or the effective user, in a folder where nobody else can exchange it, 1 to max
 * bytes, straight into secret memory.
 * ret_stat may be NULL. All faults of the file are DKV_E_CONFIG, a missing one too. DKV_E_TRANSIENT: it
 * was written while it was read. */
DKV_MUST_USE enum dkv_rc dkv_secret_file_read(const char *path, bool allow_group_read, size_t max,
                                              struct dkv_secret *ret, struct stat *ret_stat, struct dkv_error *err);
/* dkv_secret_file_judge: whether dkv_secret_file_read would take the file, as far as its owner, mode and folder go;
 * nothing of it is read. Same errors. */
DKV_MUST_USE enum dkv_rc dkv_secret_file_judge(const char *path, bool allow_group_read, struct dkv_error *err);
/* dkv_secret_fd_read: all that a descriptor gives until its end, 1 to max bytes. */
DKV_MUST_USE enum dkv_rc dkv_secret_fd_read(int fd, const char *name, size_t max, struct dkv_secret *ret,
                                            struct dkv_error *err);
/* dkv_secret_trimmed_len: a length for the secret's text without ONE trailing newline (LF or CRLF). */
size_t dkv_secret_trimmed_len(const struct dkv_secret *secret);

#endif
