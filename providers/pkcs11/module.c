/* SPDX-License-Identifier: Apache-2.0 */
/* PKCS#11 modules of this process, loaded through p11-kit and shared by all that name the same file, since Cryptoki's
 * state belongs to the process: a second C_Initialize with other arguments would change nothing. Invariant: a module in
 * the list is loaded, and initialised in the process `pid`. Lock: list_lock guards list and counts. */
#include "providers/pkcs11/internal.h"

#include <limits.h>
#include <unistd.h>

#include "base/file.h"

struct dkv_p11_module {
    struct dkv_p11_module *next;
    char *path;                  /* resolved */
    char *init;                  /* or NULL */
    CK_FUNCTION_LIST *loaded;    /* p11-kit's */
    CK_FUNCTION_LIST *functions; /* to be used */
    size_t refs;
    pid_t pid;
};

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct dkv_p11_module *list;
static CK_FUNCTION_LIST *(*functions_wrapper)(CK_FUNCTION_LIST *real);

void dkv_pkcs11_set_functions_wrapper(CK_FUNCTION_LIST *(*wrapper)(CK_FUNCTION_LIST *real))
{
    DKV_P11_HOLD(&list_lock);
    functions_wrapper = wrapper;
}

CK_FUNCTION_LIST *dkv_p11_module_functions(const struct dkv_p11_module *module)
{
    return module->functions;
}

/* NSS takes its parameters from where the standard has pReserved and reads one word behind it, which must be NULL. */
struct initialize_args {
    CK_C_INITIALIZE_ARGS standard;
    void *behind;
};

static enum dkv_rc initialize(struct dkv_p11_module *module, struct dkv_error *err)
{
    struct initialize_args args = {.standard = {.flags = CKF_OS_LOCKING_OK, .pReserved = module->init}};
    const CK_RV rv = module->functions->C_Initialize(&args.standard);
    if (rv == CKR_ARGUMENTS_BAD) {
        return dkv_fail(err, DKV_E_CONFIG,
                        "module %s: C_Initialize refuses its arguments (%s): see the module's manual for module-init",
                        module->path, module->init != NULL ? "module-init is set" : "module-init isn't set");
    }
    if (rv != CKR_OK) {
        (void)dkv_p11_fail(err, rv, "module %s: C_Initialize", module->path);
        dkv_error_append(err, "; if it stays so, the module's own configuration is missing or wrong (for SoftHSM: the "
                              "file that the environment variable SOFTHSM2_CONF names)");
        return dkv_p11_rv_class(rv);
    }
    module->pid = getpid();
    return DKV_OK;
}

static void module_free(struct dkv_p11_module *module)
{
    if (module == NULL) {
        return;
    }
    if (module->pid != 0) {
        (void)module->functions->C_Finalize(NULL);
    }
    if (module->loaded != NULL) {
        p11_kit_module_release(module->loaded);
    }
    dkv_free(module->path);
    dkv_free(module->init);
    dkv_free(module);
}

DKV_DEFINE_FREEP(struct dkv_p11_module, module_free);

static enum dkv_rc load(struct dkv_p11_module *module, struct dkv_error *err)
{
    module->loaded = p11_kit_module_load(module->path, 0);
    if (module->loaded == NULL) {
        const char *why = p11_kit_message();
        return dkv_fail(err, DKV_E_CONFIG, "%s can't be loaded as a PKCS#11 module: %s", module->path,
                        why != NULL ? why : "p11-kit gives no reason");
    }
    module->functions = functions_wrapper != NULL ? functions_wrapper(module->loaded) : module->loaded;
    return initialize(module, err);
}

static enum dkv_rc add(const char *path, const char *init, struct dkv_p11_module **ret, struct dkv_error *err)
{
    DKV_CLEANUP(module_freep) struct dkv_p11_module *module = dkv_calloc(1, sizeof(*module));
    if (module == NULL || (module->path = dkv_strdup(path)) == NULL ||
        (init != NULL && (module->init = dkv_strdup(init)) == NULL)) {
        return dkv_fail_memory(err);
    }
    DKV_TRY(load(module, err));
    module->next = list;
    list = module;
    *ret = module;
    module = NULL;
    return DKV_OK;
}

static struct dkv_p11_module *find(const char *path)
{
    struct dkv_p11_module *module = list;
    while (module != NULL && strcmp(module->path, path) != 0) {
        module = module->next;
    }
    return module;
}

static bool is_same_init(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Judged right before the load, so that what is loaded is what was judged. */
static enum dkv_rc judge(const char *path, char *ret_path, struct dkv_error *err)
{
    const enum dkv_rc rc = dkv_file_judge_loadable(path, ret_path, err);
    DKV_CHECK(rc != DKV_E_NOT_FOUND, err, DKV_E_CONFIG, "there is no module %s", path);
    return rc;
}

enum dkv_rc dkv_p11_module_get(const char *path, const char *init, struct dkv_p11_module **ret, struct dkv_error *err)
{
    char resolved[PATH_MAX];
    DKV_P11_HOLD(&list_lock);
    DKV_TRY(judge(path, resolved, err));
    struct dkv_p11_module *module = find(resolved);
    if (module == NULL) {
        DKV_TRY(add(resolved, init, &module, err));
    }
    DKV_CHECK(module != NULL, err, DKV_E_INTERNAL, "module %s was loaded and isn't there", resolved);
    DKV_CHECK(is_same_init(module->init, init), err, DKV_E_CONFIG,
              "module %s is in use in this process with another module-init: give both entries the same", resolved);
    /* A forked child has the parent's module, but not its state: PKCS#11 asks for a C_Initialize of its own. */
    if (module->pid != getpid()) {
        DKV_TRY(initialize(module, err));
    }
    module->refs++;
    *ret = module;
    return DKV_OK;
}

enum dkv_rc dkv_p11_module_restart(struct dkv_p11_module *module, struct dkv_error *err)
{
    DKV_P11_HOLD(&list_lock);
    if (module->refs > 1) {
        return DKV_OK;
    }
    if (module->pid == getpid()) {
        (void)module->functions->C_Finalize(NULL);
    }
    module->pid = 0;
    return initialize(module, err);
}

void dkv_p11_module_put(struct dkv_p11_module *module)
{
    if (module == NULL) {
        return;
    }
    DKV_P11_HOLD(&list_lock);
    if (--module->refs > 0) {
        return;
    }
    struct dkv_p11_module **link = &list;
    while (*link != module) {
        link = &(*link)->next;
    }
    *link = module->next;
    /* The state of a module that a parent initialised isn't ours to end, neither by C_Finalize nor by what the module
     * does when it is unloaded: it stays where it is, in p11-kit's hands. */
    if (module->pid != 0 && module->pid != getpid()) {
        module->pid = 0;
        module->loaded = NULL;
    }
    module_free(module);
}
