/* SPDX-License-Identifier: Apache-2.0 */
/* Third parties' providers: shared objects that export `dekvault_provider`. Loading one runs its code, so the file and
 * its folder are judged on the resolved path just before, and that resolved path is what is loaded. A handle is owned
 * by the provider entry and outlives everything that its table made. No lock: dlopen has its own. */
#include "providers/registry.h"

#include <dlfcn.h>
#include <limits.h>

#include "base/file.h"

static void unload(void *const *handle)
{
    dkv_plugin_unload(*handle);
}

static const char *dl_reason(void)
{
    const char *reason = dlerror();
    return reason != NULL ? reason : "no reason given";
}

static enum dkv_rc load(const char *path, void **ret_handle, struct dkv_error *err)
{
    char resolved[PATH_MAX];
    DKV_TRY(dkv_file_judge_loadable(path, resolved, err));
    /* NOW: a missing symbol is told here and not in the middle of a call. LOCAL: its names stay its own. */
    void *handle = dlopen(resolved, RTLD_NOW | RTLD_LOCAL);
    DKV_CHECK(handle != NULL, err, DKV_E_CONFIG, "plug-in %s can't be loaded: %s", path, dl_reason());
    *ret_handle = handle;
    return DKV_OK;
}

enum dkv_rc dkv_plugin_load(const char *path, const struct dkv_provider_ops **ret_ops, void **ret_handle,
                            struct dkv_error *err)
{
    DKV_CLEANUP(unload) void *handle = NULL;
    DKV_TRY(load(path, &handle, err));
    const struct dkv_provider_ops *ops = dlsym(handle, DKV_PROVIDER_SYMBOL);
    DKV_CHECK(ops != NULL, err, DKV_E_CONFIG, "plug-in %s is no dekvault provider: it doesn't export %s", path,
              DKV_PROVIDER_SYMBOL);
    DKV_TRY(dkv_provider_ops_check(ops, path, err));
    DKV_CHECK(!dkv_provider_type_is_reserved(ops->type), err, DKV_E_CONFIG,
              "plug-in %s calls its type \"%s\", a name that no plug-in may take", path, ops->type);
    *ret_ops = ops;
    *ret_handle = handle;
    handle = NULL;
    return DKV_OK;
}

void dkv_plugin_unload(void *handle)
{
    if (handle != NULL) {
        (void)dlclose(handle);
    }
}
