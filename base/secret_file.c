/* SPDX-License-Identifier: Apache-2.0 */
/* PIN and key files, and descriptors that give one: from read(2) straight into secret memory, never through
 * stdio or another buffer.
 *
 * Invariant: a secret is as long as what was read, no longer; a file's is the whole of one version, the one that
 * ret_stat is of. No state, no lock. */
#include "base/file.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/file_judge.h"

static enum dkv_rc judge_secret(const char *path, const struct stat *info, bool allow_group_read, struct dkv_error *err)
{
    const unsigned mode = info->st_mode & 07777;
    const unsigned allowed = 07700 | (allow_group_read ? (unsigned)S_IRGRP : 0U);
    DKV_TRY(dkv_file_judge_owner("the secret file", path, info, err));
    DKV_CHECK((mode & ~allowed) == 0, err, DKV_E_CONFIG, "the secret file %s is open to %s (mode %04o): chmod %s "
              "'%s'%s", path,
              (mode & S_IRWXO) != 0 ? "others" : "its group", mode, allow_group_read ? "g-wx,o=" : "go=", path,
              (mode & ~allowed) == S_IRGRP ? ", or set allow-group-read: true" : "");
    return DKV_OK;
}

/* Wait for a descriptor that its maker left non-blocking. */
static enum dkv_rc await_input(int fd, const char *name, struct dkv_error *err)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, -1) < 0 && errno != EINTR) {
        return dkv_fail_errno(err, dkv_rc_from_errno(errno), "can't read %s", name);
    }
    return DKV_OK;
}

/* Which descriptor or file it is was set by somebody, and has to be mended there. */
static enum dkv_rc fail_read(const char *name, struct dkv_error *err)
{
    const enum dkv_rc rc = dkv_rc_from_errno(errno);
    DKV_CHECK(errno != EBADF, err, DKV_E_CONFIG,
              "%s isn't open for reading in this process: start it with that descriptor open", name);
    return dkv_fail_errno(err, rc == DKV_E_RESOURCE ? rc : DKV_E_CONFIG, "can't read %s", name);
}

/* Read until the end or until the secret is full. */
static enum dkv_rc fill(int fd, const char *name, const struct dkv_secret *secret, size_t *ret_len,
                        struct dkv_error *err)
{
    size_t len = 0;
    while (len < secret->len) {
        const ssize_t n = read(fd, secret->data + len, secret->len - len);
        if (n == 0) {
            break;
        }
        if (n > 0) {
            len += (size_t)n;
        } else if (errno == EAGAIN) {
            DKV_TRY(await_input(fd, name, err));
        } else if (errno != EINTR) {
            return fail_read(name, err);
        }
    }
    *ret_len = len;
    return DKV_OK;
}

enum dkv_rc dkv_secret_fd_read(int fd, const char *name, size_t max, struct dkv_secret *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret scratch = {0}, exact = {0};
    size_t len = 0;
    max = max < DKV_SECRET_MAX ? max : DKV_SECRET_MAX - 1;
    DKV_TRY(dkv_secret_init(&scratch, max + 1, err)); /* the one byte more shows that there is more */
    DKV_TRY(fill(fd, name, &scratch, &len, err));
    DKV_CHECK(len > 0, err, DKV_E_CONFIG, "%s is empty: a secret is expected in it", name);
    DKV_CHECK(len <= max, err, DKV_E_CONFIG, "%s is longer than the %zu bytes that a secret may have here", name, max);
    DKV_TRY(dkv_secret_init(&exact, len, err));
    memcpy(exact.data, scratch.data, len);
    dkv_secret_steal(ret, &exact);
    return DKV_OK;
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Half of an old PIN and half of a new one is a wrong PIN, and a new PIN known by the marks of the old file would be
 * sent once more when it turns out wrong. */
static enum dkv_rc check_unchanged(int fd, const char *path, const struct stat *before, struct dkv_error *err)
{
    struct stat now;
    if (fstat(fd, &now) != 0) {
        return dkv_fail_errno(err, dkv_rc_from_errno(errno), "can't read %s", path);
    }
    DKV_CHECK(now.st_size == before->st_size && is_same_time(&now.st_mtim, &before->st_mtim) &&
                  is_same_time(&now.st_ctim, &before->st_ctim),
              err, DKV_E_TRANSIENT, "the secret file %s was changed while it was read: try again", path);
    return DKV_OK;
}

static enum dkv_rc open_judged(const char *path, bool allow_group_read, int *ret_fd, struct stat *ret_stat,
                               struct dkv_error *err)
{
    struct stat info;
    DKV_CLEANUP(dkv_fd_close) int fd = -1;
    DKV_TRY(dkv_file_absent_is_config(dkv_file_open_unjudged(path, &fd, &info, err), err));
    DKV_TRY(judge_secret(path, &info, allow_group_read, err));
    *ret_stat = info;
    *ret_fd = fd;
    fd = -1;
    return DKV_OK;
}

enum dkv_rc dkv_secret_file_judge(const char *path, bool allow_group_read, struct dkv_error *err)
{
    struct stat info;
    DKV_CLEANUP(dkv_fd_close) int fd = -1;
    return open_judged(path, allow_group_read, &fd, &info, err);
}

enum dkv_rc dkv_secret_file_read(const char *path, bool allow_group_read, size_t max, struct dkv_secret *ret,
                                 struct stat *ret_stat, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_fd_close) int fd = -1;
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret secret = {0};
    struct stat info;
    DKV_TRY(open_judged(path, allow_group_read, &fd, &info, err));
    DKV_TRY(dkv_secret_fd_read(fd, path, max, &secret, err));
    DKV_TRY(check_unchanged(fd, path, &info, err));
    dkv_secret_steal(ret, &secret);
    if (ret_stat != NULL) {
        *ret_stat = info;
    }
    return DKV_OK;
}

size_t dkv_secret_trimmed_len(const struct dkv_secret *secret)
{
    size_t len = secret->len;
    if (len > 0 && secret->data[len - 1] == '\n') {
        len--;
        if (len > 0 && secret->data[len - 1] == '\r') {
            len--;
        }
    }
    return len;
}
