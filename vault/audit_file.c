/* SPDX-License-Identifier: Apache-2.0 */
/* The audit's file. Invariant: what is appended is whole lines, each by one O_APPEND write, so that processes that
 * share the file can't interleave; after a write that was cut short (a full disk) the next one begins on a new line.
 * The file is judged by fstat on the descriptor that is written to. Lock: the audit's. */
#include "vault/audit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LINE_ROOM 16384u /* bytes a line may need */

void dkv_audit_file_close(struct dkv_audit_file *file)
{
    if (file->fd >= 0) {
        (void)close(file->fd);
    }
    file->fd = -1;
    file->torn = false;
}

static enum dkv_rc judge(const char *path, const struct stat *info, struct dkv_error *err)
{
    DKV_CHECK(S_ISREG(info->st_mode), err, DKV_E_CONFIG, "the audit file %s is not a regular file", path);
    DKV_CHECK(info->st_uid == 0 || info->st_uid == geteuid(), err, DKV_E_CONFIG,
              "the audit file %s belongs to user %u; it must belong to root or to user %u (chown)", path,
              (unsigned)info->st_uid, (unsigned)geteuid());
    DKV_CHECK((info->st_mode & (S_IWGRP | S_IWOTH)) == 0, err, DKV_E_CONFIG,
              "the audit file %s may be written by others (chmod go-w %s)", path, path);
    /* A second name may be that of a file that is no audit at all: a vault, for one. */
    DKV_CHECK(info->st_nlink <= 1, err, DKV_E_CONFIG,
              "the audit file %s has a second name (a hard link); give the audit a file of its own", path);
    return DKV_OK;
}

/* O_NONBLOCK: a FIFO put there must not hang us before it is judged. */
static enum dkv_rc open_file(struct dkv_audit_file *file, struct dkv_error *err)
{
    struct stat info;
    const int fd =
        open(file->path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
    if (fd < 0) {
        const enum dkv_rc rc = errno == ELOOP || errno == ENXIO || errno == EISDIR ? DKV_E_CONFIG : DKV_E_RESOURCE;
        const bool no_folder = errno == ENOENT;
        (void)dkv_fail_errno(err, rc, "opening the audit file %s", file->path);
        dkv_error_append(err, "%s", no_folder ? ": make the folder it is to be in" : "");
        return rc;
    }
    enum dkv_rc rc = fstat(fd, &info) == 0 ? judge(file->path, &info, err)
                                           : dkv_fail_errno(err, DKV_E_RESOURCE, "the audit file %s", file->path);
    if (rc != DKV_OK) {
        (void)close(fd);
        return rc;
    }
    file->fd = fd;
    file->device = info.st_dev;
    file->inode = info.st_ino;
    return DKV_OK;
}

/* logrotate renames the file, or a person removes it: what the path names is what we write to. */
static bool was_rotated(const struct dkv_audit_file *file)
{
    struct stat info;
    return lstat(file->path, &info) != 0 || info.st_dev != file->device || info.st_ino != file->inode;
}

static enum dkv_rc have_open(struct dkv_audit_file *file, struct dkv_error *err)
{
    if (file->fd >= 0 && was_rotated(file)) {
        dkv_audit_file_close(file);
    }
    return file->fd >= 0 ? DKV_OK : open_file(file, err);
}

/* Whether a line would fit, as far as that can be known without writing one. */
static enum dkv_rc check_room(const struct dkv_audit_file *file, struct dkv_error *err)
{
    struct stat info;
    struct statvfs disk;
    struct rlimit limit;
    if (fstat(file->fd, &info) != 0 || fstatvfs(file->fd, &disk) != 0 || getrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return dkv_fail_errno(err, DKV_E_RESOURCE, "the audit file %s", file->path);
    }
    const uint64_t free_blocks = geteuid() == 0 ? disk.f_bfree : disk.f_bavail;
    DKV_CHECK(free_blocks > 0 && free_blocks * disk.f_frsize >= LINE_ROOM, err, DKV_E_RESOURCE,
              "the disk of the audit file %s is full", file->path);
    DKV_CHECK((disk.f_flag & ST_RDONLY) == 0, err, DKV_E_RESOURCE, "the audit file %s is on a read-only file system",
              file->path);
    DKV_CHECK(limit.rlim_cur == RLIM_INFINITY || (uint64_t)info.st_size + LINE_ROOM <= limit.rlim_cur, err,
              DKV_E_RESOURCE, "the audit file %s has reached the file size limit of this process (ulimit -f)",
              file->path);
    return DKV_OK;
}

enum dkv_rc dkv_audit_file_ready(struct dkv_audit_file *file, struct dkv_error *err)
{
    DKV_TRY(have_open(file, err));
    return check_room(file, err);
}

static ssize_t write_once(int fd, struct dkv_span bytes)
{
    ssize_t written;
    do {
        written = write(fd, bytes.data, bytes.len);
    } while (written < 0 && errno == EINTR);
    return written;
}

enum dkv_rc dkv_audit_file_append(struct dkv_audit_file *file, struct dkv_span line, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    DKV_TRY(have_open(file, err));
    DKV_TRY(dkv_buf_append(&bytes, dkv_span_str(file->torn ? "\n" : ""), err));
    DKV_TRY(dkv_buf_append(&bytes, line, err));
    const ssize_t written = write_once(file->fd, dkv_span_buf(&bytes));
    if (written < 0) {
        return dkv_fail_errno(err, DKV_E_RESOURCE, "writing the audit file %s", file->path);
    }
    file->torn = (size_t)written < bytes.len && (written > 0 || file->torn);
    DKV_CHECK((size_t)written == bytes.len, err, DKV_E_RESOURCE,
              "the audit file %s took only %zd of %zu bytes of a line; its disk is full", file->path, written,
              bytes.len);
    return DKV_OK;
}
