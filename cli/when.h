/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_WHEN_H
#define CLI_WHEN_H

#include "base/error.h"

#define DKV_WHEN_SIZE 32

/* dkv_when_format: milliseconds since 1970 as "2026-01-31T12:00:00Z" (UTC); what has no such text as the number. */
void dkv_when_format(int64_t ms, char ret[static DKV_WHEN_SIZE]);

/* dkv_when_parse: "2026-01-31" (its start) or "2026-01-31T12:00:00Z", with a fraction of up to three digits; UTC.
 * DKV_E_INVALID. */
DKV_MUST_USE enum dkv_rc dkv_when_parse(const char *text, int64_t *ret_ms, struct dkv_error *err);

#endif
