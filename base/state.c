/* SPDX-License-Identifier: Apache-2.0 */
/* The state folder and its records, a file each.
 *
 * Invariant: a record is either the old or the new one, whenever the process or the machine stops: it is written
 * beside (one temporary name a table, so that a killed process leaves no heap of them), synced, renamed, and the
 * folder synced. An empty file is an absent record.
 * Lock: a put compares and writes under its table's flock; a get needs none, since rename(2) is atomic. */
#include "base/state_names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define VALUE_MAX_LEN 65536
#define TABLE_LOCK_TIMEOUT_MS 10000

/* ---- The folder ---- */

static enum dkv_rc default_path(struct dkv_buf *ret, struct dkv_error *err)
{
    const char *home = secure_getenv("HOME");
    const char *state_home = secure_getenv("XDG_STATE_HOME");
    if (geteuid() == 0) {
        return dkv_buf_append_str(ret, "/var/lib/dekvault", err);
    }
    /* The XDG base directory specification: a relative path is as good as none. */
    if (state_home != NULL && state_home[0] == '/') {
        return dkv_buf_printf(ret, err, "%s/dekvault", state_home);
    }
    DKV_CHECK(home != NULL && home[0] == '/', err, DKV_E_CONFIG,
              "there is no place for the state folder, since HOME isn't set: name one with state-dir in the provider "
              "file");
    return dkv_buf_printf(ret, err, "%s/.local/state/dekvault", home);
}

static enum dkv_rc fail_folder(const char *what, const char *path, struct dkv_error *err)
{
    const enum dkv_rc rc = dkv_rc_from_errno(errno);
    return dkv_fail_errno(err, rc == DKV_E_RESOURCE ? rc : DKV_E_CONFIG,
                          "the state folder %s can't be %s (another one can be named with state-dir in the provider "
                          "file)", path, what);
}

/* Every folder of the path that is missing, readable for the owner only. */
static enum dkv_rc make_folders(const char *path, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_freep) char *part = dkv_strdup(path);
    if (part == NULL) {
        return dkv_fail_memory(err);
    }
    for (char *end = part; end != NULL;) {
        end = strchr(end + strspn(end, "/"), '/');
        if (end != NULL) {
            *end = '\0';
        }
        if (part[0] != '\0' && mkdir(part, 0700) != 0 && errno != EEXIST) {
            return fail_folder("made", path, err);
        }
        if (end != NULL) {
            *end = '/';
        }
    }
    return DKV_OK;
}

static enum dkv_rc judge_folder(const char *path, int folder, struct dkv_error *err)
{
    struct stat info;
    if (fstat(folder, &info) != 0) {
        return fail_folder("read", path, err);
    }
    const unsigned mode = info.st_mode & 07777;
    DKV_CHECK(info.st_uid == geteuid(), err, DKV_E_CONFIG,
              "the state folder %s belongs to uid %u, this process runs as uid %u: name another one with state-dir in "
              "the provider file, or "
              "chown -R %u '%s'",
              path, (unsigned)info.st_uid, (unsigned)geteuid(), (unsigned)geteuid(), path);
    DKV_CHECK((mode & 077) == 0, err, DKV_E_CONFIG, "the state folder %s is open to group or others (mode %04o): chmod "
              "0700 '%s'", path,
              mode, path);
    if (faccessat(folder, ".", R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
        return fail_folder("written", path, err);
    }
    return DKV_OK;
}

static enum dkv_rc open_folder(const char *path, int *ret_folder, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_fd_close) int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 && errno == ENOENT) {
        DKV_TRY(make_folders(path, err));
        folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (folder < 0) {
        return fail_folder("opened", path, err);
    }
    DKV_TRY(judge_folder(path, folder, err));
    *ret_folder = folder;
    folder = -1;
    return DKV_OK;
}

enum dkv_rc dkv_state_open(const char *dir, struct dkv_state **ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf path = {0};
    DKV_CLEANUP(dkv_freep) char *owned_path = NULL;
    DKV_CLEANUP(dkv_fd_close) int folder = -1;
    DKV_CHECK(dir == NULL || dir[0] != '\0', err, DKV_E_CONFIG, "state-dir is empty: name a folder");
    DKV_TRY(dir != NULL ? dkv_buf_append_str(&path, dir, err) : default_path(&path, err));
    owned_path = dkv_strndup((const char *)path.data, path.len);
    struct dkv_state *state = owned_path != NULL ? dkv_calloc(1, sizeof(*state)) : NULL;
    DKV_CLEANUP(dkv_freep) struct dkv_state *owned_state = state;
    if (state == NULL) {
        return dkv_fail_memory(err);
    }
    DKV_TRY(open_folder(owned_path, &folder, err));
    *state = (struct dkv_state){.folder = folder, .path = owned_path};
    folder = -1;
    owned_path = NULL;
    owned_state = NULL;
    *ret = state;
    return DKV_OK;
}

void dkv_state_close(struct dkv_state *state)
{
    if (state == NULL) {
        return;
    }
    (void)close(state->folder);
    dkv_free(state->path);
    dkv_free(state);
}

const char *dkv_state_path(const struct dkv_state *state)
{
    return state->path;
}

/* ---- Reading ---- */

/* An absent record is an empty *ret. */
static enum dkv_rc read_record(const struct dkv_state *state, const char *name, struct dkv_buf *ret,
                               struct dkv_error *err)
{
    struct stat info;
    DKV_CLEANUP(dkv_fd_close) int fd = openat(state->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) {
        return DKV_OK;
    }
    if (fd < 0 || fstat(fd, &info) != 0) {
        return dkv_fail_errno(err, dkv_rc_from_errno(errno), "can't read %s/%s", state->path, name);
    }
    DKV_CHECK(S_ISREG(info.st_mode), err, DKV_E_CONFIG, "%s/%s is no regular file: somebody else put it there, remove "
              "it", state->path,
              name);
    return dkv_file_read(fd, name, VALUE_MAX_LEN, ret, err);
}

enum dkv_rc dkv_state_get(struct dkv_state *state, const char *table, const char *key, struct dkv_buf *ret,
                          struct dkv_error *err)
{
    char name[DKV_STATE_NAME_LEN];
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf value = {0};
    DKV_TRY(dkv_state_name("", table, key, name, err));
    DKV_TRY(read_record(state, name, &value, err));
    DKV_CHECK(value.len > 0, err, DKV_E_NOT_FOUND, "no state is kept in table %s for \"%s\"", table, key);
    dkv_buf_steal(ret, &value);
    return DKV_OK;
}

/* ---- Writing ---- */

static enum dkv_rc fail_write(const struct dkv_state *state, const char *name, struct dkv_error *err)
{
    return dkv_fail_errno(err, dkv_rc_from_errno(errno), "can't write %s/%s", state->path, name);
}

static enum dkv_rc write_all(const struct dkv_state *state, const char *name, int fd, struct dkv_span value,
                             struct dkv_error *err)
{
    while (value.len > 0) {
        const ssize_t n = write(fd, value.data, value.len);
        if (n < 0 && errno != EINTR) {
            return fail_write(state, name, err);
        }
        if (n > 0) {
            value = dkv_span(value.data + n, value.len - (size_t)n);
        }
    }
    return fsync(fd) == 0 ? DKV_OK : fail_write(state, name, err);
}

static enum dkv_rc write_beside(const struct dkv_state *state, const char *name, struct dkv_span value,
                                struct dkv_error *err)
{
    DKV_CLEANUP(dkv_fd_close) int fd = openat(state->folder, name,
                                              O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return fail_write(state, name, err);
    }
    const enum dkv_rc rc = write_all(state, name, fd, value, err);
    if (rc != DKV_OK) {
        (void)unlinkat(state->folder, name, 0);
    }
    return rc;
}

static enum dkv_rc replace_record(const struct dkv_state *state, const char *table, const char *name,
                                  struct dkv_span value, struct dkv_error *err)
{
    char beside[DKV_STATE_NAME_LEN];
    snprintf(beside, sizeof(beside), ".new.%s", table);
    DKV_TRY(write_beside(state, beside, value, err));
    if (renameat(state->folder, beside, state->folder, name) != 0) {
        return fail_write(state, name, err);
    }
    return DKV_OK;
}

static enum dkv_rc remove_record(const struct dkv_state *state, const char *name, struct dkv_error *err)
{
    return unlinkat(state->folder, name, 0) == 0 || errno == ENOENT ? DKV_OK : fail_write(state, name, err);
}

static enum dkv_rc put_locked(const struct dkv_state *state, const char *table, const char *name,
                              struct dkv_span expected, struct dkv_span value, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf now = {0};
    DKV_TRY(read_record(state, name, &now, err));
    DKV_CHECK(dkv_span_equal(dkv_span_buf(&now), expected), err, DKV_E_CONFLICT, "%s/%s was changed meanwhile: read it "
              "again",
              state->path, name);
    DKV_TRY(value.len > 0 ? replace_record(state, table, name, value, err) : remove_record(state, name, err));
    return fsync(state->folder) == 0 ? DKV_OK : fail_write(state, name, err);
}

enum dkv_rc dkv_state_put(struct dkv_state *state, const char *table, const char *key, struct dkv_span expected,
                          struct dkv_span value, struct dkv_error *err)
{
    char name[DKV_STATE_NAME_LEN], lock_name[DKV_STATE_NAME_LEN];
    int lock = -1;
    DKV_CHECK(value.len <= VALUE_MAX_LEN, err, DKV_E_INVALID, "a state record of %zu bytes: %d are possible", value.len,
              VALUE_MAX_LEN);
    DKV_TRY(dkv_state_name("", table, key, name, err));
    snprintf(lock_name, sizeof(lock_name), ".table.%s", table);
    DKV_TRY(dkv_state_flock(state, lock_name, TABLE_LOCK_TIMEOUT_MS, &lock, err));
    const enum dkv_rc rc = put_locked(state, table, name, expected, value, err);
    dkv_state_unlock(lock);
    return rc;
}
