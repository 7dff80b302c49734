/* SPDX-License-Identifier: Apache-2.0 */
/* Standard output. Owns: what isn't written yet. Written by write(2) from a buffer that is wiped, since plaintext
 * goes through it. Invariant: a failed write is an error of the command, never passed over. No lock: one thread. */
#include "cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define FLUSH_BYTES ((size_t)64 * 1024)

enum dkv_rc dkv_out_flush(struct dkv_output *out, struct dkv_error *err)
{
    size_t done = 0;
    if (out->broken) {
        return dkv_fail(err, DKV_E_RESOURCE, "can't write to standard output");
    }
    while (done < out->pending.len) {
        const ssize_t n = write(out->fd, out->pending.data + done, out->pending.len - done);
        if (n < 0 && errno != EINTR) {
            out->pending.len = 0;
            out->broken = true;
            return dkv_fail_errno(err, DKV_E_RESOURCE, "can't write to standard output");
        }
        done += n > 0 ? (size_t)n : 0;
    }
    out->pending.len = 0;
    return DKV_OK;
}

enum dkv_rc dkv_out_bytes(struct dkv_output *out, struct dkv_span bytes, struct dkv_error *err)
{
    DKV_TRY(dkv_buf_append(&out->pending, bytes, err));
    return out->pending.len >= FLUSH_BYTES ? dkv_out_flush(out, err) : DKV_OK;
}

/* Straight into the buffer, which is wiped; nothing else holds the text. */
static DKV_PRINTF(3, 0) enum dkv_rc append_format(struct dkv_output *out, struct dkv_error *err, const char *format,
                                                  va_list args)
{
    va_list again;
    va_copy(again, args);
    const int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    DKV_CHECK(len >= 0, err, DKV_E_INTERNAL, "a text that can't be formatted");
    DKV_TRY(dkv_buf_reserve(&out->pending, (size_t)len + 1, err));
    (void)vsnprintf((char *)out->pending.data + out->pending.len, (size_t)len + 1, format, args);
    out->pending.len += (size_t)len;
    return out->pending.len >= FLUSH_BYTES ? dkv_out_flush(out, err) : DKV_OK;
}

enum dkv_rc dkv_out_printf(struct dkv_output *out, struct dkv_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const enum dkv_rc rc = append_format(out, err, format, args);
    va_end(args);
    return rc;
}

enum dkv_rc dkv_out_note(struct dkv_output *out, struct dkv_error *err, const char *format, ...)
{
    va_list args;
    if (out->quiet) {
        return DKV_OK;
    }
    va_start(args, format);
    const enum dkv_rc rc = append_format(out, err, format, args);
    va_end(args);
    return rc;
}

enum dkv_rc dkv_out_line(struct dkv_output *out, struct dkv_buf *line, struct dkv_error *err)
{
    DKV_TRY(dkv_buf_append_str(line, "\n", err));
    return dkv_out_bytes(out, dkv_span_buf(line), err);
}

#define WIDTH_ELSEWHERE 80u
#define WIDTH_MIN 40u
#define WIDTH_MAX 100u /* longer lines are hard to read */

static size_t line_width(const struct dkv_output *out)
{
    const size_t width = out->terminal_width > 0 ? out->terminal_width : WIDTH_ELSEWHERE;
    return width < WIDTH_MIN ? WIDTH_MIN : width > WIDTH_MAX ? WIDTH_MAX : width;
}

enum dkv_rc dkv_out_wrapped(struct dkv_output *out, const char *text, size_t column, size_t at, struct dkv_error *err)
{
    const size_t width = line_width(out);
    while (*text != '\0') {
        const size_t len = strcspn(text, " ");
        if (at > column && at + 1 + len > width) {
            DKV_TRY(dkv_out_printf(out, err, "\n%*s", (int)column, ""));
            at = column;
        } else if (at > column) {
            DKV_TRY(dkv_out_printf(out, err, " "));
            at++;
        }
        DKV_TRY(dkv_out_bytes(out, dkv_span(text, len), err));
        at += len;
        text += len + strspn(text + len, " ");
    }
    return dkv_out_printf(out, err, "\n");
}

/* Characters that a terminal acts upon: C0, DEL, C1, line separators, and the bidirectional overrides that make a
 * line read as another one. */
static bool is_active(struct dkv_span c)
{
    if (c.len == 1) {
        return c.data[0] < 0x20 || c.data[0] == 0x7f;
    }
    if (c.len == 2) {
        return c.data[0] == 0xc2 && c.data[1] < 0xa0;
    }
    if (c.len != 3 || c.data[0] != 0xe2) {
        return false;
    }
    return (c.data[1] == 0x80 && c.data[2] >= 0xa8 && c.data[2] <= 0xae) ||
        (c.data[1] == 0x81 && c.data[2] >= 0xa6 && c.data[2] <= 0xa9);
}

enum dkv_rc dkv_clean(struct dkv_buf *buf, const char *text, struct dkv_error *err)
{
    struct dkv_span rest = dkv_span_str(text);
    while (rest.len > 0) {
        const size_t len = dkv_utf8_char_len(rest);
        const struct dkv_span character = dkv_span(rest.data, len > 0 ? len : 1);
        const bool keep = len > 0 && !is_active(character);
        DKV_TRY(dkv_buf_append(buf, keep ? character : dkv_span("?", 1), err));
        rest = dkv_span(rest.data + character.len, rest.len - character.len);
    }
    return DKV_OK;
}

static enum dkv_rc begin_member(struct dkv_buf *out, const char *name, struct dkv_error *err)
{
    const bool first = out->len > 0 && out->data[out->len - 1] == '{';
    return dkv_buf_printf(out, err, "%s\"%s\":", first ? "" : ",", name);
}

enum dkv_rc dkv_json_member_raw(struct dkv_buf *out, const char *name, const char *raw, struct dkv_error *err)
{
    DKV_TRY(begin_member(out, name, err));
    return dkv_buf_append_str(out, raw, err);
}

enum dkv_rc dkv_json_member_bool(struct dkv_buf *out, const char *name, bool flag, struct dkv_error *err)
{
    return dkv_json_member_raw(out, name, flag ? "true" : "false", err);
}

enum dkv_rc dkv_json_member_or_null(struct dkv_buf *out, const char *name, const char *text, struct dkv_error *err)
{
    if (text == NULL || text[0] == '\0') {
        return dkv_json_member_raw(out, name, "null", err);
    }
    return dkv_json_member_text(out, name, text, err);
}

enum dkv_rc dkv_json_comma(struct dkv_buf *out, struct dkv_error *err)
{
    const bool first = out->len == 0 || out->data[out->len - 1] == '[';
    return first ? DKV_OK : dkv_buf_append_str(out, ",", err);
}
