/* SPDX-License-Identifier: Apache-2.0 */
/* An error on standard error, as a line of text or as JSON. Works with a fixed buffer where it can, since memory may
 * be what ran out. No lock. */
#include "cli/command.h"

#include <inttypes.h>
#include <stdio.h>

/* A detail is told unless the words have it already. */
static bool adds(const struct dkv_error *err, const char *detail)
{
    return detail[0] != '\0' && strstr(err->message, detail) == NULL;
}

static void print_text(const struct dkv_error *err)
{
    char line[sizeof(err->message) + sizeof(err->provider) + sizeof(err->key) + sizeof(err->native_name) + 32];
    size_t at = 0;
    line[0] = '\0';
    if (adds(err, err->provider)) {
        at = dkv_line_put(line, sizeof(line), at, err->provider);
        at = dkv_line_put(line, sizeof(line), at, ": ");
    }
    if (adds(err, err->key)) {
        at = dkv_line_put(line, sizeof(line), at, "key ");
        at = dkv_line_put(line, sizeof(line), at, err->key);
        at = dkv_line_put(line, sizeof(line), at, ": ");
    }
    at = dkv_line_put(line, sizeof(line), at, err->message[0] != '\0' ? err->message : dkv_class_name(err->rc));
    if (adds(err, err->native_name)) {
        at = dkv_line_put(line, sizeof(line), at, " (");
        at = dkv_line_put(line, sizeof(line), at, err->native_name);
        (void)dkv_line_put(line, sizeof(line), at, ")");
    }
    fprintf(stderr, "dekvault: %s\n", line);
}

static enum dkv_rc native_json(struct dkv_buf *line, const struct dkv_error *err)
{
    if (err->native_system == DKV_NATIVE_NONE) {
        return dkv_json_member_raw(line, "native", "null", NULL);
    }
    DKV_TRY(dkv_json_member_raw(line, "native", "{", NULL));
    DKV_TRY(dkv_json_member_text(line, "system", dkv_native_name(err->native_system), NULL));
    DKV_TRY(dkv_json_member_int(line, "code", err->native_code, NULL));
    DKV_TRY(dkv_json_member_or_null(line, "name", err->native_name, NULL));
    return dkv_buf_append_str(line, "}", NULL);
}

static enum dkv_rc error_json(struct dkv_buf *line, const struct dkv_error *err)
{
    DKV_TRY(dkv_buf_append_str(line, "{\"error\":{", NULL));
    DKV_TRY(dkv_json_member_text(line, "class", dkv_class_name(err->rc), NULL));
    DKV_TRY(dkv_json_member_text(line, "message", err->message, NULL));
    DKV_TRY(dkv_json_member_or_null(line, "provider", err->provider, NULL));
    DKV_TRY(dkv_json_member_or_null(line, "key", err->key, NULL));
    DKV_TRY(native_json(line, err));
    return dkv_buf_append_str(line, "}}", NULL);
}

void dkv_cli_print_error(const struct dkv_error *err, bool json)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf line = {0};
    const char *text = json && error_json(&line, err) == DKV_OK ? dkv_buf_text(&line) : NULL;
    if (text != NULL) {
        fprintf(stderr, "%s\n", text);
        return;
    }
    print_text(err);
}
