/* SPDX-License-Identifier: Apache-2.0 */
/* Time, behind a table so that tests can set it. Thread-safe; nothing blocks. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct dkv_clock {
    int64_t (*wall_ms)(void);      /* since 1970-01-01 UTC */
    int64_t (*monotonic_ms)(void);
};

extern const struct dkv_clock dkv_clock_real;

#endif
