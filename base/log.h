/* SPDX-License-Identifier: Apache-2.0 */
/* Lines for the host's log sink. Never a secret. Thread-safe; blocks as long as the sink does. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "dekvault/process.h"

void dkv_log(enum dkv_log_level level, const char *format, ...) DKV_PRINTF(2, 3);

#endif
