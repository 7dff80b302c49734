/* SPDX-License-Identifier: Apache-2.0 */
/* Tables: columns aligned as a terminal shows them, coloured and fitted to its width there only. A table of fixed
 * widths keeps nothing, so that a listing of millions takes constant memory. No lock: one thread. */
#include "cli/output.h"

static const char *const style_codes[] = {
    [DKV_PLAIN] = "", [DKV_BOLD] = "\033[1m", [DKV_GOOD] = "\033[32m", [DKV_WARN] = "\033[33m", [DKV_BAD] = "\033[31m",
};

/* So much of the last column is always shown. */
#define LAST_MIN 20u
#define ELLIPSIS "..."

/* What the terminal leaves of its width to the last column; SIZE_MAX: as much as it wants. */
static size_t room_for_last(const struct dkv_table *table)
{
    const size_t terminal = table->out->terminal_width;
    size_t before = 0;
    if (terminal == 0 || table->whole) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i + 1 < table->n; i++) {
        before += table->widths[i] + 2;
    }
    return terminal > before + LAST_MIN ? terminal - before : LAST_MIN;
}

static enum dkv_rc write_cell(struct dkv_output *out, struct dkv_span text, enum dkv_style style, size_t fill,
                              struct dkv_error *err)
{
    const bool coloured = out->colour && style != DKV_PLAIN;
    if (coloured) {
        DKV_TRY(dkv_out_printf(out, err, "%s", style_codes[style]));
    }
    DKV_TRY(dkv_out_bytes(out, text, err));
    if (coloured) {
        DKV_TRY(dkv_out_printf(out, err, "\033[0m"));
    }
    return fill > 0 ? dkv_out_printf(out, err, "%*s", (int)fill, "") : DKV_OK;
}

static enum dkv_rc write_last(const struct dkv_table *table, struct dkv_span text, enum dkv_style style,
                              struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf shortened = {0};
    const size_t room = room_for_last(table);
    size_t width = 0;
    if (dkv_text_fits(text, room, &width) == text.len) {
        return write_cell(table->out, text, style, 0 /* fill */, err);
    }
    const size_t len = dkv_text_fits(text, room - strlen(ELLIPSIS), &width);
    DKV_TRY(dkv_buf_append(&shortened, dkv_span(text.data, len), err));
    DKV_TRY(dkv_buf_append_str(&shortened, ELLIPSIS, err));
    return write_cell(table->out, dkv_span_buf(&shortened), style, 0 /* fill */, err);
}

/* One row of table->n stored cells. */
static enum dkv_rc write_row(const struct dkv_table *table, const uint8_t *cells, struct dkv_error *err)
{
    for (size_t i = 0; i < table->n; i++) {
        const struct dkv_span text = dkv_span_str((const char *)cells + 1);
        const size_t width = dkv_text_width(text), wanted = table->widths[i];
        const enum dkv_style style = (enum dkv_style)cells[0];
        const size_t fill = (wanted > width ? wanted - width : 0) + 2;
        DKV_TRY(i + 1 == table->n ? write_last(table, text, style, err)
                                  : write_cell(table->out, text, style, fill, err));
        cells += text.len + 2;
    }
    return dkv_out_bytes(table->out, dkv_span("\n", 1), err);
}

static enum dkv_rc store_cell(struct dkv_table *table, size_t column, const struct dkv_cell *cell,
                              struct dkv_error *err)
{
    const uint8_t style = (uint8_t)cell->style;
    DKV_TRY(dkv_buf_append(&table->cells, dkv_span(&style, 1), err));
    const size_t start = table->cells.len;
    DKV_TRY(dkv_clean(&table->cells, cell->text != NULL ? cell->text : "", err));
    const size_t width = dkv_text_width(dkv_span(table->cells.data + start, table->cells.len - start));
    if (!table->streams && width > table->widths[column]) {
        table->widths[column] = width;
    }
    return dkv_buf_append(&table->cells, dkv_span("", 1), err);
}

enum dkv_rc dkv_table_row(struct dkv_table *table, const struct dkv_cell *cells, struct dkv_error *err)
{
    for (size_t i = 0; i < table->n; i++) {
        DKV_TRY(store_cell(table, i, &cells[i], err));
    }
    if (!table->streams) {
        return DKV_OK;
    }
    DKV_TRY(write_row(table, table->cells.data, err));
    table->cells.len = 0;
    return DKV_OK;
}

enum dkv_rc dkv_table_begin(struct dkv_table *table, struct dkv_output *out, const struct dkv_column *columns, size_t n,
                            struct dkv_error *err)
{
    struct dkv_cell titles[DKV_COLUMNS_MAX];
    table->out = out;
    table->columns = columns;
    table->n = n;
    table->streams = true;
    for (size_t i = 0; i < n; i++) {
        table->widths[i] = columns[i].width;
        table->streams = table->streams && (columns[i].width > 0 || i + 1 == n);
        titles[i] = (struct dkv_cell){columns[i].title, DKV_BOLD};
    }
    return out->quiet ? DKV_OK : dkv_table_row(table, titles, err);
}

enum dkv_rc dkv_table_end(struct dkv_table *table, struct dkv_error *err)
{
    size_t at = 0;
    while (at < table->cells.len) {
        DKV_TRY(write_row(table, table->cells.data + at, err));
        for (size_t i = 0; i < table->n; i++) {
            at += strlen((const char *)table->cells.data + at + 1) + 2;
        }
    }
    table->cells.len = 0;
    return DKV_OK;
}

void dkv_table_done(struct dkv_table *table)
{
    dkv_buf_done(&table->cells);
}
