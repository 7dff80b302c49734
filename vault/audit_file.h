/* SPDX-License-Identifier: Apache-2.0 */
/* The file that audit lines are appended to. Not thread-safe: the audit's lock is around every call. */
#ifndef VAULT_AUDIT_FILE_H
#define VAULT_AUDIT_FILE_H

#include <sys/stat.h>

#include "base/bytes.h"

struct dkv_audit_file {
    const char *path; /* borrowed */
    int fd;           /* -1: not open */
    dev_t device;
    ino_t inode;
    bool torn; /* the last write left part of a line */
};
#define DKV_AUDIT_FILE_INIT(its_path) {.path = (its_path), .fd = -1}

/* dkv_audit_file_ready: have it open, anew when the path names another file by now. DKV_E_CONFIG: others may write it,
 * or it's no regular file; DKV_E_RESOURCE: it can't be opened, or has no room for a line. */
DKV_MUST_USE enum dkv_rc dkv_audit_file_ready(struct dkv_audit_file *file, struct dkv_error *err);

/* dkv_audit_file_append: one write(2) of the line, which ends with its newline. DKV_E_RESOURCE: not all of it was
 * written. */
DKV_MUST_USE enum dkv_rc dkv_audit_file_append(struct dkv_audit_file *file, struct dkv_span line,
                                               struct dkv_error *err);

void dkv_audit_file_close(struct dkv_audit_file *file);

#endif
