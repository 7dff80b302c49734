/* SPDX-License-Identifier: Apache-2.0 */
/* `key import`: key documents, one a line of Extended JSON, inserted as they are. Memory is bounded by the longest
 * line. No lock. */
#include "cli/cmd_key.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/extjson.h"
#include "cli/input.h"
#include "cli/outcomes.h"

/* The longest key document, its bytes as base64 and its names with every character escaped. */
#define LINE_MAX_BYTES ((size_t)8 * 1024 * 1024)

struct import {
    struct dkv_cli *cli;
    uint64_t n_inserted, n_present, n_refused;
    struct dkv_outcomes outcomes;
    struct dkv_buf refused; /* JSON */
};

static void import_done(struct import *import)
{
    dkv_buf_done(&import->refused);
}

static enum dkv_rc refused_json(struct dkv_buf *json, uint64_t line, const struct dkv_error *why, struct dkv_error *err)
{
    DKV_TRY(dkv_json_comma(json, err));
    DKV_TRY(dkv_buf_append_str(json, "{", err));
    DKV_TRY(dkv_json_member_int(json, "line", (int64_t)line, err));
    DKV_TRY(dkv_json_member_text(json, "class", dkv_class_name(why->rc), err));
    DKV_TRY(dkv_json_member_text(json, "message", why->message, err));
    return dkv_buf_append_str(json, "}", err);
}

static enum dkv_rc refuse(struct import *import, uint64_t line, const struct dkv_error *why, struct dkv_error *err)
{
    char text[sizeof(why->message)];
    import->n_refused++;
    dkv_outcomes_add(&import->outcomes, why->rc);
    if (import->cli->out.json) {
        return refused_json(&import->refused, line, why, err);
    }
    (void)dkv_line_put(text, sizeof(text), 0, why->message);
    fprintf(stderr, "dekvault: line %" PRIu64 ": %s\n", line, text);
    return DKV_OK;
}

static enum dkv_rc insert(struct import *import, struct dkv_span json, bool *ret_inserted, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bson = {0};
    DKV_TRY(dkv_extjson_read_document(json, &bson, err));
    return dkv_key_import(import->cli->vault, dkv_span_buf(&bson), dkv_cli_has(import->cli, "unverified"),
                          ret_inserted, err);
}

static bool is_blank(struct dkv_span line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r') {
            return false;
        }
    }
    return true;
}

static enum dkv_rc too_long_line(struct dkv_error *err)
{
    return dkv_fail(err, DKV_E_INVALID, "longer than %zu bytes: no key document is", LINE_MAX_BYTES);
}

static enum dkv_rc take_line(struct import *import, uint64_t number, struct dkv_span line, bool too_long,
                             struct dkv_error *err)
{
    struct dkv_error why = {0};
    bool inserted = false;
    if (!too_long && is_blank(line)) {
        return DKV_OK;
    }
    const enum dkv_rc rc = too_long ? too_long_line(&why) : insert(import, line, &inserted, &why);
    if (rc != DKV_OK) {
        return refuse(import, number, &why, err);
    }
    import->n_inserted += inserted;
    import->n_present += !inserted;
    if (import->n_inserted > 0) {
        dkv_cli_done_so_far(import->cli, NULL, "%" PRIu64 " keys were inserted, up to line %" PRIu64,
                            import->n_inserted, number);
    }
    return DKV_OK;
}

static enum dkv_rc print_result(struct import *import, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    struct dkv_output *out = &import->cli->out;
    if (!out->json) {
        return dkv_out_note(out, err, "inserted %" PRIu64 ", present %" PRIu64 ", refused %" PRIu64 "\n",
                            import->n_inserted, import->n_present, import->n_refused);
    }
    DKV_TRY(dkv_buf_append_str(&json, "{", err));
    DKV_TRY(dkv_json_member_int(&json, "inserted", (int64_t)import->n_inserted, err));
    DKV_TRY(dkv_json_member_int(&json, "present", (int64_t)import->n_present, err));
    DKV_TRY(dkv_json_member_raw(&json, "refused", "[", err));
    DKV_TRY(dkv_buf_append(&json, dkv_span_buf(&import->refused), err));
    DKV_TRY(dkv_buf_append_str(&json, "]}", err));
    return dkv_out_line(out, &json, err);
}

static enum dkv_rc open_input(const char *path, int *ret_fd, struct dkv_error *err)
{
    const bool is_stdin = path == NULL || strcmp(path, "-") == 0;
    struct stat info;
    *ret_fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    if (*ret_fd < 0) {
        return dkv_fail_errno(err, dkv_rc_from_errno(errno), "can't open \"%s\"", is_stdin ? "standard input" : path);
    }
    DKV_CHECK(fstat(*ret_fd, &info) != 0 || !S_ISDIR(info.st_mode), err, DKV_E_INVALID,
              "\"%s\" is a folder: name a file of key documents, one a line", is_stdin ? "standard input" : path);
    return DKV_OK;
}

enum dkv_rc dkv_cmd_key_import(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_CLEANUP(import_done) struct import import = {.cli = cli};
    DKV_CLEANUP(dkv_fd_close) int fd = -1;
    const char *path = dkv_cli_arg(cli, 0);
    DKV_TRY(open_input(path, &fd, err));
    DKV_CLEANUP(dkv_lines_done) struct dkv_lines lines = {.fd = fd, .name = path != NULL ? path : "standard input"};
    for (bool more = true; more;) {
        struct dkv_span line;
        bool too_long = false;
        DKV_TRY(dkv_lines_next(&lines, LINE_MAX_BYTES, &line, &too_long, &more, err));
        if (more) {
            DKV_TRY(take_line(&import, lines.number, line, too_long, err));
        }
    }
    cli->exit_code = import.outcomes.mixed ? 1 : dkv_cli_exit_code(import.outcomes.failure);
    return print_result(&import, err);
}
