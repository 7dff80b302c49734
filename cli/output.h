/* SPDX-License-Identifier: Apache-2.0 */
/* Standard output: text, lines of JSON and tables. What comes from a vault or a token never reaches a terminal as a
 * control character. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "base/json.h"

struct dkv_output {
    int fd;
    bool json, quiet, verbose;
    size_t terminal_width; /* 0: it is no terminal */
    bool colour;
    bool broken; /* a write failed: nothing more is written */
    struct dkv_buf pending;
};

/* dkv_out_*: append to the output; it is written when enough is there. DKV_E_RESOURCE: it can't be written. */
DKV_MUST_USE enum dkv_rc dkv_out_bytes(struct dkv_output *out, struct dkv_span bytes, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_out_printf(struct dkv_output *out, struct dkv_error *err, const char *format,
                                        ...) DKV_PRINTF(3, 4);
/* dkv_out_line: one line; its newline is added. */
DKV_MUST_USE enum dkv_rc dkv_out_line(struct dkv_output *out, struct dkv_buf *line, struct dkv_error *err);
/* dkv_out_note: what was done, for a person: left out with --quiet. */
DKV_MUST_USE enum dkv_rc dkv_out_note(struct dkv_output *out, struct dkv_error *err, const char *format,
                                      ...) DKV_PRINTF(3, 4);
DKV_MUST_USE enum dkv_rc dkv_out_flush(struct dkv_output *out, struct dkv_error *err);

/* dkv_clean: append text with control characters, bidirectional overrides and stray bytes as '?'. */
DKV_MUST_USE enum dkv_rc dkv_clean(struct dkv_buf *buf, const char *text, struct dkv_error *err);

/* dkv_text_width: columns of a terminal. dkv_text_fits: the bytes at the front that take at most max_width. */
size_t dkv_text_width(struct dkv_span text);
size_t dkv_text_fits(struct dkv_span text, size_t max_width, size_t *ret_width);
/* dkv_out_wrapped: words, broken into lines that start at the given column, and a newline; at: where the cursor
 * stands. As wide as the terminal, at most 100; 80 where there is none. */
DKV_MUST_USE enum dkv_rc dkv_out_wrapped(struct dkv_output *out, const char *text, size_t column, size_t at,
                                         struct dkv_error *err);

/* ---- Tables ---- */

enum dkv_style { DKV_PLAIN, DKV_BOLD, DKV_GOOD, DKV_WARN, DKV_BAD };

struct dkv_cell {
    const char *text;
    enum dkv_style style;
};

struct dkv_column {
    const char *title;
    size_t width; /* 0: as wide as its widest cell. The last column is never filled up */
};

#define DKV_COLUMNS_MAX 8

/* A table: rows are written at once when every column has its width, else kept until dkv_table_end. */
struct dkv_table {
    struct dkv_output *out;
    const struct dkv_column *columns;
    size_t n;
    size_t widths[DKV_COLUMNS_MAX];
    bool streams;
    bool whole; /* set before dkv_table_begin: the last column isn't shortened to the terminal's width, as messages */
    struct dkv_buf cells; /* style byte, text, NUL; cell by cell */
};
DKV_MUST_USE enum dkv_rc dkv_table_begin(struct dkv_table *table, struct dkv_output *out,
                                         const struct dkv_column *columns, size_t n, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_table_row(struct dkv_table *table, const struct dkv_cell *cells, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_table_end(struct dkv_table *table, struct dkv_error *err);
void dkv_table_done(struct dkv_table *table);

/* ---- JSON that base/json.h hasn't ---- */

/* dkv_json_member_bool, _raw, _or_null: as dkv_json_member_text. raw: JSON already. or_null: a NULL or empty text is
 * null. */
DKV_MUST_USE enum dkv_rc dkv_json_member_bool(struct dkv_buf *out, const char *name, bool flag, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_json_member_raw(struct dkv_buf *out, const char *name, const char *raw,
                                             struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_json_member_or_null(struct dkv_buf *out, const char *name, const char *text,
                                                 struct dkv_error *err);
/* dkv_json_comma: a comma unless the array has just begun. */
DKV_MUST_USE enum dkv_rc dkv_json_comma(struct dkv_buf *out, struct dkv_error *err);

#endif
