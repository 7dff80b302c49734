/* SPDX-License-Identifier: Apache-2.0 */
/* The state folder: what a process learns about tokens and PINs and must tell the next one. Small records
 * by (table, key), each a file written beside and renamed; changes under flock. Mode 0700. */
#ifndef BASE_STATE_H
#define BASE_STATE_H

#include "base/bytes.h"

struct dkv_state;

/* dkv_state_open: dir NULL: /var/lib/dekvault for root, else $XDG_STATE_HOME/dekvault or
 * ~/.local/state/dekvault (secure_getenv). Made, mode 0700, when missing. A folder of another owner or
 * with bits for others: DKV_E_CONFIG. One that can't be made or written: DKV_E_CONFIG, with the words why. */
DKV_MUST_USE enum dkv_rc dkv_state_open(const char *dir, struct dkv_state **ret, struct dkv_error *err);
void dkv_state_close(struct dkv_state *state);
const char *dkv_state_path(const struct dkv_state *state);

/* table: [a-z0-9-]+; key: any text up to 128 bytes (encoded for the file name). Values up to 64 KiB.
 * get: DKV_E_NOT_FOUND. put: expected {NULL,0} means "absent"; anything else there: DKV_E_CONFLICT.
 * A value {NULL,0} deletes. put holds the table's lock for its length. fsync before rename. */
DKV_MUST_USE enum dkv_rc dkv_state_get(struct dkv_state *state, const char *table, const char *key, struct dkv_buf *ret,
                                       struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_state_put(struct dkv_state *state, const char *table, const char *key,
                                       struct dkv_span expected, struct dkv_span value, struct dkv_error *err);

/* dkv_state_lock: an exclusive flock named by (table, key) that holds across several calls, among all
 * processes that share the folder and among the threads of this one; waits up to timeout_ms, then
 * DKV_E_TRANSIENT. Given back by unlock, or by the kernel when the process dies. */
DKV_MUST_USE enum dkv_rc dkv_state_lock(struct dkv_state *state, const char *table, const char *key,
                                        uint32_t timeout_ms, int *ret_lock, struct dkv_error *err);
void dkv_state_unlock(int lock);

#endif
