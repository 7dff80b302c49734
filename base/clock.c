/* SPDX-License-Identifier: Apache-2.0 */
/* The system's clocks. No state, no lock. */
#include "base/clock.h"

#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec now = {0};
    (void)clock_gettime(id, &now); /* can't fail: both clocks exist on every Linux */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t wall_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

static int64_t monotonic_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

const struct dkv_clock dkv_clock_real = {.wall_ms = wall_ms, .monotonic_ms = monotonic_ms};
