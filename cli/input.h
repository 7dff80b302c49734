/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "base/bytes.h"

/* dkv_input_read: all of a descriptor, at most max bytes: more is DKV_E_INVALID. */
DKV_MUST_USE enum dkv_rc dkv_input_read(int fd, const char *name, size_t max, struct dkv_buf *ret,
                                        struct dkv_error *err);

/* Lines of a descriptor, in memory that the longest line bounds. */
struct dkv_lines {
    int fd;
    const char *name;
    struct dkv_buf buf;
    size_t at;       /* where the next line starts in buf */
    bool ended;
    uint64_t number; /* of the line given last, from 1 */
};
void dkv_lines_done(struct dkv_lines *lines);
/* dkv_lines_next: *ret_line borrowed until the next call, without its newline. *ret_more false: no line is left. A
 * line over max bytes is skipped to its end, with *ret_too_long set. */
DKV_MUST_USE enum dkv_rc dkv_lines_next(struct dkv_lines *lines, size_t max, struct dkv_span *ret_line,
                                        bool *ret_too_long, bool *ret_more, struct dkv_error *err);

#endif
