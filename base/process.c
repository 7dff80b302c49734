/* SPDX-License-Identifier: Apache-2.0 */
/* What concerns the whole process. No state of its own, no lock. */
#include "dekvault/process.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/error.h"
#include "config.h"

enum dkv_rc dkv_process_harden(struct dkv_error *err)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0) {
        return dkv_fail_errno(err, DKV_E_RESOURCE, "core files could not be switched off (RLIMIT_CORE)");
    }
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return dkv_fail_errno(err, DKV_E_RESOURCE, "tracing could not be switched off (PR_SET_DUMPABLE)");
    }
    return DKV_OK;
}

const char *dkv_version(void)
{
    return PACKAGE_VERSION;
}
