/* SPDX-License-Identifier: Apache-2.0 */
/* What file.c and secret_file.c share. */
#ifndef BASE_FILE_JUDGE_H
#define BASE_FILE_JUDGE_H

#include "base/file.h"

/* dkv_file_judge_owner: root or the effective user; what: "the file" and the like. */
DKV_MUST_USE enum dkv_rc dkv_file_judge_owner(const char *what, const char *path, const struct stat *info,
                                              struct dkv_error *err);

/* dkv_file_open_unjudged: a regular file that nobody else can exchange for another one; who may read and write it is
 * the caller's to judge, by *ret_stat. */
DKV_MUST_USE enum dkv_rc dkv_file_open_unjudged(const char *path, int *ret_fd, struct stat *ret_stat,
                                                struct dkv_error *err);

/* dkv_file_absent_is_config: DKV_E_NOT_FOUND becomes DKV_E_CONFIG: a file that a setting names is missing, and the
 * setting has to be mended. */
DKV_MUST_USE enum dkv_rc dkv_file_absent_is_config(enum dkv_rc rc, struct dkv_error *err);

#endif
