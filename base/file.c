/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are trusted only if nobody but root and the effective user can change them.
 *
 * Invariant: what is judged is what is read. The path is resolved first; the folder that it resolves to is opened
 * and judged by fstat, the file is opened in that folder (no symbolic link any more) and judged by fstat. A symbolic
 * link is fine, but then the folder that holds the link is judged as well, since whoever can write there
 * decides which file is read. O_NONBLOCK: a FIFO must not hang the open. No state, no lock. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file_judge.h"

void dkv_fd_close(const int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
}

/* ---- Judging ---- */

enum dkv_rc dkv_file_judge_owner(const char *what, const char *path, const struct stat *info, struct dkv_error *err)
{
    DKV_CHECK(info->st_uid == 0 || info->st_uid == geteuid(), err, DKV_E_CONFIG,
              "%s %s belongs to uid %u, who could change it: it must be root's or uid %u's (chown %u '%s')", what, path,
              (unsigned)info->st_uid, (unsigned)geteuid(), (unsigned)geteuid(), path);
    return DKV_OK;
}

static enum dkv_rc judge_writers(const char *what, const char *path, const struct stat *info, struct dkv_error *err)
{
    const unsigned mode = info->st_mode & 07777;
    DKV_TRY(dkv_file_judge_owner(what, path, info, err));
    DKV_CHECK((mode & (S_IWGRP | S_IWOTH)) == 0, err, DKV_E_CONFIG,
              "%s %s can be written by group or others (mode %04o)%s: chmod go-w '%s'%s", what, path, mode,
              (mode & S_ISVTX) != 0 ? ", sticky or not" : "", path,
              S_ISDIR(info->st_mode) ? ", or move the file to a folder that only its owner can write" : "");
    return DKV_OK;
}

/* A file that exists but can't be had is a matter of owner and mode, so of configuration. */
static enum dkv_rc fail_open(const char *path, struct dkv_error *err)
{
    const enum dkv_rc rc = dkv_rc_from_errno(errno);
    const bool is_absent = rc == DKV_E_NOT_FOUND || errno == ENOTDIR;
    return dkv_fail_errno(err, is_absent ? DKV_E_NOT_FOUND : rc == DKV_E_RESOURCE ? rc : DKV_E_CONFIG, "can't open %s",
                          path);
}

/* The folder part of a path, as dirname(3) would give it. */
static void folder_of(const char *path, char folder[static PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    if (len >= PATH_MAX) {
        len = PATH_MAX - 1;
    }
    memcpy(folder, slash == NULL ? "." : path, len);
    folder[len] = '\0';
}

/* Where others may make files, but in a sticky folder exchange no one else's (Kubernetes mounts secrets in one). */
static enum dkv_rc judge_exchangers(const char *what, const char *path, const struct stat *info, struct dkv_error *err)
{
    return (info->st_mode & S_ISVTX) != 0 ? dkv_file_judge_owner(what, path, info, err)
                                          : judge_writers(what, path, info, err);
}

typedef enum dkv_rc (*judge_fn)(const char *what, const char *path, const struct stat *info, struct dkv_error *err);

static enum dkv_rc open_folder(const char *folder, judge_fn judge, int *ret_fd, struct dkv_error *err)
{
    struct stat info;
    DKV_CLEANUP(dkv_fd_close) int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        return fail_open(folder, err);
    }
    DKV_TRY(judge("the folder", folder, &info, err));
    *ret_fd = fd;
    fd = -1;
    return DKV_OK;
}

/* The folder that was named, where that isn't the one that holds the file. Not inlined: its two paths would stay on
 * the stack of everything that is opened after it. */
static __attribute__((noinline)) enum dkv_rc judge_named_folder(const char *path, const char *holding, judge_fn judge, struct dkv_error *err)
{
    char named[PATH_MAX], named_resolved[PATH_MAX];
    DKV_CLEANUP(dkv_fd_close) int fd = -1;
    folder_of(path, named);
    if (realpath(named, named_resolved) == NULL) {
        return fail_open(named, err);
    }
    return strcmp(named_resolved, holding) == 0 ? DKV_OK : open_folder(named_resolved, judge, &fd, err);
}

static enum dkv_rc open_regular(int folder, const char *name, const char *path, int *ret_fd, struct stat *ret_stat,
                                struct dkv_error *err)
{
    struct stat info = {0};
    DKV_CLEANUP(dkv_fd_close) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &info) != 0) {
        return fail_open(path, err);
    }
    DKV_CHECK(S_ISREG(info.st_mode), err, DKV_E_CONFIG, "%s is no regular file: name one", path);
    *ret_stat = info;
    *ret_fd = fd;
    fd = -1;
    return DKV_OK;
}

/* The folders are judged, the file isn't yet. */
static enum dkv_rc open_resolved(const char *path, char resolved[static PATH_MAX], judge_fn judge_folder, int *ret_fd,
                                 struct stat *ret_stat, struct dkv_error *err)
{
    char folder[PATH_MAX];
    DKV_CLEANUP(dkv_fd_close) int folder_fd = -1;
    if (realpath(path, resolved) == NULL) {
        return fail_open(path, err);
    }
    folder_of(resolved, folder);
    DKV_TRY(judge_named_folder(path, folder, judge_folder, err));
    DKV_TRY(open_folder(folder, judge_folder, &folder_fd, err));
    const char *name = strrchr(resolved, '/') + 1;
    return open_regular(folder_fd, name[0] != '\0' ? name : ".", resolved, ret_fd, ret_stat, err);
}

static enum dkv_rc open_trusted(const char *path, char resolved[static PATH_MAX], int *ret_fd, struct stat *ret_stat,
                                struct dkv_error *err)
{
    struct stat info = {0};
    DKV_CLEANUP(dkv_fd_close) int fd = -1;
    DKV_TRY(open_resolved(path, resolved, judge_writers, &fd, &info, err));
    DKV_TRY(judge_writers("the file", resolved, &info, err));
    *ret_stat = info;
    *ret_fd = fd;
    fd = -1;
    return DKV_OK;
}

enum dkv_rc dkv_file_open_unjudged(const char *path, int *ret_fd, struct stat *ret_stat, struct dkv_error *err)
{
    char resolved[PATH_MAX];
    return open_resolved(path, resolved, judge_exchangers, ret_fd, ret_stat, err);
}

enum dkv_rc dkv_file_open_trusted(const char *path, int *ret_fd, struct stat *ret_stat, struct dkv_error *err)
{
    char resolved[PATH_MAX];
    return open_trusted(path, resolved, ret_fd, ret_stat, err);
}

enum dkv_rc dkv_file_absent_is_config(enum dkv_rc rc, struct dkv_error *err)
{
    if (rc != DKV_E_NOT_FOUND) {
        return rc;
    }
    if (err != NULL) {
        err->rc = DKV_E_CONFIG;
    }
    return DKV_E_CONFIG;
}

enum dkv_rc dkv_file_judge_loadable(const char *path, char *ret_path, struct dkv_error *err)
{
    char resolved[PATH_MAX];
    struct stat info;
    DKV_CLEANUP(dkv_fd_close) int fd = -1;
    DKV_CHECK(path[0] == '/', err, DKV_E_CONFIG, "%s is no absolute path: code is loaded by absolute paths only", path);
    DKV_TRY(dkv_file_absent_is_config(open_trusted(path, resolved, &fd, &info, err), err));
    memcpy(ret_path, resolved, strlen(resolved) + 1);
    return DKV_OK;
}

/* ---- Reading ---- */

static enum dkv_rc read_more(int fd, const char *path, struct dkv_buf *buf, size_t want, bool *ret_end,
                             struct dkv_error *err)
{
    DKV_TRY(dkv_buf_reserve(buf, want, err));
    const ssize_t n = read(fd, buf->data + buf->len, want);
    if (n < 0 && errno == EINTR) {
        return DKV_OK;
    }
    if (n < 0) {
        return dkv_fail_errno(err, dkv_rc_from_errno(errno), "can't read %s", path);
    }
    buf->len += (size_t)n;
    *ret_end = n == 0;
    return DKV_OK;
}

enum dkv_rc dkv_file_read(int fd, const char *path, size_t max, struct dkv_buf *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf buf = {0};
    bool end = false;
    while (!end) {
        /* One byte more than allowed, to see that there is one. */
        const size_t room = max - buf.len + 1;
        DKV_TRY(read_more(fd, path, &buf, room < 8192 ? room : 8192, &end, err));
        DKV_CHECK(buf.len <= max, err, DKV_E_CONFIG, "%s is longer than the %zu bytes allowed", path, max);
    }
    dkv_buf_steal(ret, &buf);
    return DKV_OK;
}
