/* SPDX-License-Identifier: Apache-2.0 */
/* Words for what providers say of CMKs. */
#ifndef CLI_NAMES_H
#define CLI_NAMES_H

#include "cli/output.h"
#include "dekvault/provider.h"

const char *dkv_cmk_state_name(enum dkv_cmk_state state);
const char *dkv_status_name(int status);
/* dkv_capabilities_json, _text: append ["bound",...], or the words with commas between. */
DKV_MUST_USE enum dkv_rc dkv_capabilities_json(struct dkv_buf *out, uint32_t capabilities, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_capabilities_text(struct dkv_buf *out, uint32_t capabilities, struct dkv_error *err);

#endif
