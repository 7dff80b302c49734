/* SPDX-License-Identifier: Apache-2.0 */
/* What state.c and state_lock.c share: the folder and the names of the files in it. */
#ifndef BASE_STATE_NAMES_H
#define BASE_STATE_NAMES_H

#include <limits.h>

#include "base/state.h"

struct dkv_state {
    int folder; /* an open descriptor */
    char *path;
};

#define DKV_STATE_NAME_LEN (NAME_MAX + 1)

/* dkv_state_name: PREFIX TABLE.KEY, the key encoded. DKV_E_INVALID: a table or a key that isn't one. */
DKV_MUST_USE enum dkv_rc dkv_state_name(const char *prefix, const char *table, const char *key,
                                        char ret[static DKV_STATE_NAME_LEN], struct dkv_error *err);

/* dkv_state_flock: an exclusive flock on the file of that name in the folder, made if missing. */
DKV_MUST_USE enum dkv_rc dkv_state_flock(const struct dkv_state *state, const char *name, uint32_t timeout_ms,
                                         int *ret_lock, struct dkv_error *err);

#endif
