/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_JSON_CHECK_H
#define CLI_JSON_CHECK_H

#include "base/bytes.h"

#define DKV_JSON_DEPTH_MAX 200u

/* dkv_json_check: DKV_E_INVALID unless text is exactly one JSON value (RFC 8259), valid UTF-8, with white space
 * around it at most. */
DKV_MUST_USE enum dkv_rc dkv_json_check(struct dkv_span text, struct dkv_error *err);
/* dkv_json_is_number: the text is a JSON number and nothing else. */
bool dkv_json_is_number(struct dkv_span text);

#endif
