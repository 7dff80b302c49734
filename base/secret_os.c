/* SPDX-License-Identifier: Apache-2.0 */
/* What secret memory asks of the kernel (mmap(2), mlock2(2), madvise(2), getrlimit(2), capget(2)). It keeps
 * nothing, and has no lock. */
#include "base/secret.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *os_map(size_t len)
{
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

static int os_guard(void *memory, size_t len)
{
    return mprotect(memory, len, PROT_NONE);
}

/* As mlock(), which the sanitizers' runtimes replace by nothing. */
static int os_lock(void *memory, size_t len)
{
    return mlock2(memory, len, 0);
}

/* By system call, without libcap for one bit. A capability within a user namespace counts for nothing
 * with mlock; there the call itself fails, and is told as such. */
static bool may_lock_without_limit(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capget, &header, data) != 0) {
        return false;
    }
    return (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

static size_t os_lock_limit(void)
{
    struct rlimit limit;
    if (may_lock_without_limit()) {
        return SIZE_MAX;
    }
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
        return 0;
    }
    return limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < SIZE_MAX ? (size_t)limit.rlim_cur : SIZE_MAX;
}

static const struct dkv_secret_os real = {
    .map = os_map,
    .unmap = munmap,
    .guard = os_guard,
    .lock = os_lock,
    .advise = madvise,
    .lock_limit = os_lock_limit,
};

const struct dkv_secret_os *dkv_secret_os_real(void)
{
    return &real;
}
