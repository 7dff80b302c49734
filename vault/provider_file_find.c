/* SPDX-License-Identifier: Apache-2.0 */
/* Where the provider file is, and its bytes. Owns: nothing. Invariant: only a file that nobody lists is passed over
 * for the next one; a file that is there but may not be trusted ends the search, or whoever can spoil one file
 * could choose another. The environment is read by secure_getenv, so a set-uid program doesn't follow its caller.
 * No lock. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "vault/provider_file_groups.h"

#define FILE_BYTES_MAX ((size_t)256 * 1024)
#define SYSTEM_FILE "/etc/dekvault/dekvault.conf"

static const char *environment(const char *name)
{
    const char *value = secure_getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static enum dkv_rc put_path(char *ret_path, struct dkv_error *err, const char *dir, const char *rest)
{
    const int len = snprintf(ret_path, PATH_MAX, "%s%s", dir, rest);
    DKV_CHECK(len >= 0 && len < PATH_MAX, err, DKV_E_INVALID, "the path of the provider file is longer than %d bytes",
              PATH_MAX - 1);
    return DKV_OK;
}

/* The user's own file; ret_path becomes "" when the environment names no home. By the XDG Base Directory
 * Specification a relative XDG_CONFIG_HOME is as good as none. */
static enum dkv_rc user_file(char *ret_path, struct dkv_error *err)
{
    const char *config_home = environment("XDG_CONFIG_HOME");
    if (config_home != NULL && config_home[0] == '/') {
        return put_path(ret_path, err, config_home, "/dekvault/dekvault.conf");
    }
    const char *home = environment("HOME");
    if (home != NULL && home[0] == '/') {
        return put_path(ret_path, err, home, "/.config/dekvault/dekvault.conf");
    }
    ret_path[0] = '\0';
    return DKV_OK;
}

static enum dkv_rc open_named(const char *path, const char *named_by, char *ret_path, int *ret_fd,
                              struct dkv_error *err)
{
    struct stat info;
    DKV_TRY(put_path(ret_path, err, path, ""));
    const enum dkv_rc rc = dkv_file_open_trusted(ret_path, ret_fd, &info, err);
    if (rc != DKV_OK && named_by != NULL) {
        dkv_error_prefix(err, "%s: ", named_by);
    }
    return rc;
}

static enum dkv_rc open_found(char *ret_path, int *ret_fd, struct dkv_error *err)
{
    char user_path[PATH_MAX];
    struct stat info;
    enum dkv_rc rc = DKV_E_NOT_FOUND;
    DKV_TRY(user_file(user_path, err));
    if (user_path[0] != '\0') {
        DKV_TRY(put_path(ret_path, err, user_path, ""));
        rc = dkv_file_open_trusted(ret_path, ret_fd, &info, err);
    }
    if (rc == DKV_E_NOT_FOUND) {
        DKV_TRY(put_path(ret_path, err, SYSTEM_FILE, ""));
        rc = dkv_file_open_trusted(ret_path, ret_fd, &info, err);
    }
    if (rc == DKV_E_NOT_FOUND) {
        return dkv_fail(err, rc,
                        "no provider file: there is no %s%s" SYSTEM_FILE "; name one with --config or DEKVAULT_CONF",
                        user_path, user_path[0] != '\0' ? " nor " : "");
    }
    return rc;
}

enum dkv_rc dkv_provider_file_load(const char *path, char *ret_path, struct dkv_buf *ret_text, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_fd_close) int fd = -1;
    const char *from_environment = path == NULL ? environment("DEKVAULT_CONF") : NULL;
    if (path != NULL) {
        DKV_TRY(open_named(path, NULL, ret_path, &fd, err));
    } else if (from_environment != NULL) {
        DKV_TRY(open_named(from_environment, "DEKVAULT_CONF", ret_path, &fd, err));
    } else {
        DKV_TRY(open_found(ret_path, &fd, err));
    }
    return dkv_file_read(fd, ret_path, FILE_BYTES_MAX, ret_text, err);
}
