/* SPDX-License-Identifier: Apache-2.0 */
/* `key add-name`, `key remove-name`, `key delete`. No lock. */
#include "cli/cmd_key.h"

#include <stdio.h>
#include <unistd.h>

#include "vault/document_edit.h"

/* {"_id","changed"}, or the note. */
static enum dkv_rc print_changed(struct dkv_output *out, const struct dkv_uuid *id, bool changed, const char *note,
                                 struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf line = {0};
    char text[37];
    dkv_uuid_format(id, text);
    if (!out->json) {
        DKV_TRY(dkv_buf_printf(&line, err, "%s: ", text));
        DKV_TRY(dkv_clean(&line, note, err));
        DKV_TRY(dkv_buf_append(&line, dkv_span("", 1), err));
        return dkv_out_note(out, err, "%s\n", (const char *)line.data);
    }
    DKV_TRY(dkv_buf_append_str(&line, "{", err));
    DKV_TRY(dkv_json_member_text(&line, "_id", text, err));
    DKV_TRY(dkv_json_member_bool(&line, "changed", changed, err));
    DKV_TRY(dkv_buf_append_str(&line, "}", err));
    return dkv_out_line(out, &line, err);
}

static void changed_key(struct dkv_cli *cli, const struct dkv_uuid *id, const char *what)
{
    char text[37];
    dkv_uuid_format(id, text);
    dkv_cli_done_so_far(cli, id, "the key %s %s", text, what);
}

static enum dkv_rc print_name(struct dkv_cli *cli, const struct dkv_uuid *id, bool changed, const char *done,
                              const char *already, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf note = {0};
    if (changed) {
        changed_key(cli, id, strcmp(done, "added") == 0 ? "was given an alt name" : "lost an alt name");
    }
    DKV_TRY(dkv_buf_printf(&note, err, "%s: %s", dkv_cli_arg(cli, 1), changed ? done : already));
    DKV_TRY(dkv_buf_append(&note, dkv_span("", 1), err));
    return print_changed(&cli->out, id, changed, (const char *)note.data, err);
}

enum dkv_rc dkv_cmd_key_add_name(struct dkv_cli *cli, struct dkv_error *err)
{
    struct dkv_key_selector key = {0};
    struct dkv_uuid id = {{0}};
    bool changed = false;
    DKV_TRY(dkv_key_selector_parse(dkv_cli_arg(cli, 0), &key, err));
    DKV_TRY(dkv_key_add_name(cli->vault, &key, dkv_cli_arg(cli, 1), &id, &changed, err));
    return print_name(cli, &id, changed, "added", "had it already", err);
}

enum dkv_rc dkv_cmd_key_remove_name(struct dkv_cli *cli, struct dkv_error *err)
{
    struct dkv_key_selector key = {0};
    struct dkv_uuid id = {{0}};
    bool changed = false;
    DKV_TRY(dkv_key_selector_parse(dkv_cli_arg(cli, 0), &key, err));
    DKV_TRY(dkv_key_remove_name(cli->vault, &key, dkv_cli_arg(cli, 1), &id, &changed, err));
    return print_name(cli, &id, changed, "removed", "didn't have it", err);
}

/* ---- delete ---- */

#define TYPED_LEN 8u

/* A line of the terminal; what is too long isn't the answer. */
static bool typed(const char *expected)
{
    char line[64] = "";
    if (fgets(line, sizeof(line), stdin) == NULL) {
        return false;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return strcmp(line, expected) == 0;
}

static enum dkv_rc ask(const struct dkv_cli *cli, const struct dkv_uuid *id, struct dkv_error *err)
{
    char text[37], start[TYPED_LEN + 1] = "";
    if (dkv_cli_has(cli, "yes")) {
        return DKV_OK;
    }
    DKV_CHECK(isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1, err, DKV_E_INVALID,
              "key delete asks, and there is no terminal: give --yes. What was encrypted with the key can never be "
              "read again");
    dkv_uuid_format(id, text);
    memcpy(start, text, TYPED_LEN);
    fprintf(stderr, "Delete key %s for good? What was encrypted with it can never be read again.\n"
                    "Type the first %u characters of the _id to go on: ", text, TYPED_LEN);
    DKV_CHECK(typed(start), err, DKV_E_CANCELLED, "nothing was deleted: the _id's first %u characters were not typed",
              TYPED_LEN);
    return DKV_OK;
}

enum dkv_rc dkv_cmd_key_delete(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf document = {0};
    struct dkv_key_selector key = {0};
    struct dkv_uuid id = {{0}};
    DKV_TRY(dkv_key_selector_parse(dkv_cli_arg(cli, 0), &key, err));
    if (key.alt_name != NULL) {
        DKV_TRY(dkv_key_get(cli->vault, &key, &document, err));
        DKV_CHECK(dkv_document_peek_id(dkv_span_buf(&document), &key.id), err, DKV_E_REJECTED_CIPHERTEXT,
                  "the document named \"%s\" has no _id", key.alt_name);
    }
    DKV_TRY(ask(cli, &key.id, err));
    /* By its _id from here on: the name may have moved while the question was open. */
    key.alt_name = NULL;
    DKV_TRY(dkv_key_delete(cli->vault, &key, &id, err));
    changed_key(cli, &id, "was deleted");
    return print_changed(&cli->out, &id, true, "deleted", err);
}
