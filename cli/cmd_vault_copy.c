/* SPDX-License-Identifier: Apache-2.0 */
/* `vault copy`: all keys of one vault into another. Owns both vaults for the time of the command. Memory is bounded:
 * refused keys are printed as they come; with --json the first REFUSED_MAX are kept, and all are counted. No lock. */
#include "cli/cmd_vault.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/outcomes.h"
#include "cli/progress.h"

#define REFUSED_MAX 1000u

struct copying {
    struct dkv_cli *cli;
    bool dry_run;
    struct dkv_progress progress;
    struct dkv_outcomes outcomes;
    uint64_t n_listed;
    struct dkv_buf refused; /* JSON */
};

static void copying_done(struct copying *copying)
{
    dkv_progress_clear(&copying->progress);
    dkv_buf_done(&copying->refused);
}

DKV_DEFINE_FREEP(struct dkv_vault, dkv_vault_close);

/* ---- While it runs ---- */

static enum dkv_rc refused_json(struct copying *copying, const char *id, const struct dkv_error *why,
                                struct dkv_error *err)
{
    struct dkv_buf *json = &copying->refused;
    if (copying->n_listed == REFUSED_MAX) {
        return DKV_OK;
    }
    copying->n_listed++;
    DKV_TRY(dkv_json_comma(json, err));
    DKV_TRY(dkv_buf_append_str(json, "{", err));
    DKV_TRY(dkv_json_member_or_null(json, "_id", id, err));
    DKV_TRY(dkv_json_member_text(json, "class", dkv_class_name(why->rc), err));
    DKV_TRY(dkv_json_member_text(json, "message", why->message, err));
    return dkv_buf_append_str(json, "}", err);
}

static enum dkv_rc take_refused(void *arg, const struct dkv_uuid *id, const struct dkv_error *why,
                                struct dkv_error *err)
{
    struct copying *copying = arg;
    char text[37] = "", line[sizeof(why->message)];
    if (id != NULL) {
        dkv_uuid_format(id, text);
    }
    dkv_outcomes_add(&copying->outcomes, why->rc);
    if (copying->cli->out.json) {
        return refused_json(copying, text, why, err);
    }
    dkv_progress_clear(&copying->progress);
    (void)dkv_line_put(line, sizeof(line), 0, why->message);
    fprintf(stderr, "dekvault: %s%s%s\n", text, id != NULL ? ": " : "", line);
    return DKV_OK;
}

static enum dkv_rc take_progress(void *arg, const struct dkv_copy_counts *so_far, struct dkv_error *err)
{
    struct copying *copying = arg;
    (void)err;
    if (so_far->copied > 0 && !copying->dry_run) {
        dkv_cli_done_so_far(copying->cli, NULL, "%" PRIu64 " keys were copied; the same command does the rest",
                            so_far->copied);
    }
    dkv_progress_show(&copying->progress, so_far->copied + so_far->present + so_far->refused);
    return DKV_OK;
}

static enum dkv_rc add_count(void *arg, const struct dkv_key_count *count, struct dkv_error *err)
{
    struct dkv_progress *progress = arg;
    (void)err;
    progress->total += count->count;
    return DKV_OK;
}

/* Counting needs reading rights of its own; without them there is no percentage. */
static void begin_progress(struct copying *copying, struct dkv_vault *from)
{
    dkv_progress_begin(&copying->progress, &copying->cli->out, copying->dry_run ? "comparing" : "copying");
    if (copying->progress.active && dkv_key_count_by(from, add_count, &copying->progress, NULL) != DKV_OK) {
        copying->progress.total = 0;
    }
}

/* ---- The result ---- */

static enum dkv_rc result_json(struct copying *copying, const struct dkv_copy_counts *counts, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    DKV_TRY(dkv_buf_append_str(&json, "{", err));
    DKV_TRY(dkv_json_member_int(&json, "copied", (int64_t)counts->copied, err));
    DKV_TRY(dkv_json_member_int(&json, "present", (int64_t)counts->present, err));
    DKV_TRY(dkv_json_member_raw(&json, "refused", "[", err));
    DKV_TRY(dkv_buf_append(&json, dkv_span_buf(&copying->refused), err));
    DKV_TRY(dkv_buf_append_str(&json, "]", err));
    DKV_TRY(dkv_json_member_int(&json, "refused_count", (int64_t)counts->refused, err));
    DKV_TRY(dkv_json_member_bool(&json, "dry_run", copying->dry_run, err));
    DKV_TRY(dkv_buf_append_str(&json, "}", err));
    return dkv_out_line(&copying->cli->out, &json, err);
}

static enum dkv_rc print_result(struct copying *copying, const struct dkv_copy_counts *counts, struct dkv_error *err)
{
    struct dkv_output *out = &copying->cli->out;
    if (out->json) {
        return result_json(copying, counts, err);
    }
    return dkv_out_note(out, err, "%s %" PRIu64 ", present %" PRIu64 ", refused %" PRIu64 "\n",
                        copying->dry_run ? "would copy" : "copied", counts->copied, counts->present, counts->refused);
}

/* ---- The command ---- */

static enum dkv_rc check_names(const struct dkv_cli *cli, const char *from, const char *to, struct dkv_error *err)
{
    DKV_CHECK(from != NULL && to != NULL, err, DKV_E_INVALID,
              "`vault copy` needs both vaults: --from NAME --to NAME; the name of `vault` is \"default\"");
    DKV_CHECK(!dkv_cli_has(cli, "vault"), err, DKV_E_INVALID, "`vault copy` takes --from and --to instead of --vault");
    DKV_CHECK(strcmp(from, to) != 0, err, DKV_E_INVALID, "a vault is copied to another one, and both are \"%s\"", to);
    return DKV_OK;
}

enum dkv_rc dkv_cmd_vault_copy(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_CLEANUP(copying_done) struct copying copying = {.cli = cli, .dry_run = dkv_cli_has(cli, "dry-run")};
    DKV_CLEANUP(dkv_vault_closep) struct dkv_vault *from = NULL;
    DKV_CLEANUP(dkv_vault_closep) struct dkv_vault *to = NULL;
    struct dkv_copy_counts counts = {0};
    const struct dkv_copy_options options = {
        .dry_run = copying.dry_run,
        .progress = take_progress,
        .refused = take_refused,
        .arg = &copying,
    };
    DKV_TRY(check_names(cli, dkv_cli_value(cli, "from"), dkv_cli_value(cli, "to"), err));
    DKV_TRY(dkv_vault_open(cli->file, dkv_cli_value(cli, "from"), &from, err));
    DKV_TRY(dkv_vault_open(cli->file, dkv_cli_value(cli, "to"), &to, err));
    begin_progress(&copying, from);
    DKV_TRY(dkv_vault_copy(from, to, &options, &counts, err));
    dkv_progress_clear(&copying.progress);
    cli->exit_code = copying.outcomes.mixed ? 1 : dkv_cli_exit_code(copying.outcomes.failure);
    return print_result(&copying, &counts, err);
}
