/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite's own way to the file system, but for what it deletes. A rollback journal may name a super-journal, a file
 * that SQLite deletes once it has recovered: whoever can write the vault's folder could put a journal there and have
 * us delete any file. No transaction of ours spans two files, so only the vault's own journal and log may go.
 * Each store has a VFS of its own, registered from before its connection opens until after it has closed. */
#include <limits.h>
#include <stdio.h>

#include "base/mem.h"
#include "vault/store/sqlite.h"

struct dkv_sqlite_vfs {
    sqlite3_vfs base; /* first: SQLite gives us its address */
    sqlite3_vfs *system;
    char name[32];
    char own[PATH_MAX]; /* the vault's path as SQLite resolves it */
};

static bool is_ours(const char *own, const char *path)
{
    const size_t len = strlen(own);
    return strncmp(path, own, len) == 0 &&
           (strcmp(path + len, "-journal") == 0 || strcmp(path + len, "-wal") == 0);
}

/* Another's file stays, and the recovery goes on: it ends with the journal itself deleted. */
static int delete_ours(sqlite3_vfs *base, const char *path, int sync_folder)
{
    const struct dkv_sqlite_vfs *vfs = (const struct dkv_sqlite_vfs *)base;
    return is_ours(vfs->own, path) ? vfs->system->xDelete(vfs->system, path, sync_folder) : SQLITE_OK;
}

enum dkv_rc dkv_sqlite_vfs_new(const char *path, struct dkv_sqlite_vfs **ret, struct dkv_error *err)
{
    sqlite3_vfs *system = sqlite3_vfs_find(NULL);
    DKV_CHECK(system != NULL, err, DKV_E_INTERNAL, "SQLite has no way to the file system");
    struct dkv_sqlite_vfs *vfs = dkv_calloc(1, sizeof(*vfs));
    if (vfs == NULL) {
        return dkv_fail_memory(err);
    }
    vfs->base = *system;
    vfs->system = system;
    (void)snprintf(vfs->name, sizeof(vfs->name), "dekvault-%p", (const void *)vfs);
    vfs->base.pNext = NULL;
    vfs->base.zName = vfs->name;
    vfs->base.xDelete = delete_ours;
    int code = system->xFullPathname(system, path, (int)sizeof(vfs->own), vfs->own);
    if ((code & 0xff) == SQLITE_OK) { /* it may be SQLITE_OK_SYMLINK */
        code = sqlite3_vfs_register(&vfs->base, 0);
    }
    if (code != SQLITE_OK) {
        dkv_free(vfs);
        return dkv_sqlite_fail(NULL, path, code, "opening", err);
    }
    *ret = vfs;
    return DKV_OK;
}

const char *dkv_sqlite_vfs_name(const struct dkv_sqlite_vfs *vfs)
{
    return vfs->name;
}

void dkv_sqlite_vfs_free(struct dkv_sqlite_vfs *vfs)
{
    if (vfs != NULL) {
        (void)sqlite3_vfs_unregister(&vfs->base);
        dkv_free(vfs);
    }
}
