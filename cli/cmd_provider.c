/* SPDX-License-Identifier: Apache-2.0 */
/* `provider list` (no contact is made) and `provider check` (each is asked, and its CMK looked for). No lock. */
#include "cli/command.h"
#include "cli/names.h"
#include "cli/outcomes.h"

#include <limits.h>
#include <stdio.h>

static const struct dkv_column list_columns[] = {{"ID", 0}, {"TYPE", 0}, {"CMK", 0}, {"CAPABILITIES", 0}};
static const struct dkv_column check_columns[] = {{"ID", 0}, {"TYPE", 0}, {"CMK", 0}, {"CAPABILITIES", 0},
                                                  {"STATE", 0}, {"MESSAGE", 0}};

/* What is known of one. */
struct answer {
    const struct dkv_provider_entry *entry;
    uint32_t capabilities;
    bool asked;
    struct dkv_error error; /* rc DKV_OK: it is well */
};

static enum dkv_rc answer_json(struct dkv_output *out, const struct answer *answer, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    const struct dkv_error *error = &answer->error;
    DKV_TRY(dkv_buf_append_str(&json, "{", err));
    DKV_TRY(dkv_json_member_text(&json, "id", answer->entry->id, err));
    DKV_TRY(dkv_json_member_text(&json, "type", answer->entry->ops->type, err));
    DKV_TRY(dkv_json_member_or_null(&json, "cmk", answer->entry->settings.cmk, err));
    DKV_TRY(dkv_json_member_raw(&json, "capabilities", "", err));
    DKV_TRY(dkv_capabilities_json(&json, answer->capabilities, err));
    DKV_TRY(dkv_json_member_raw(&json, "ok", !answer->asked ? "null" : error->rc == DKV_OK ? "true" : "false", err));
    DKV_TRY(dkv_json_member_or_null(&json, "class", error->rc != DKV_OK ? dkv_class_name(error->rc) : NULL, err));
    DKV_TRY(dkv_json_member_or_null(&json, "message", error->message, err));
    DKV_TRY(dkv_buf_append_str(&json, "}", err));
    return dkv_out_line(out, &json, err);
}

static enum dkv_rc answer_row(struct dkv_table *table, const struct answer *answer, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf capabilities = {0};
    DKV_TRY(dkv_capabilities_text(&capabilities, answer->capabilities, err));
    const bool ok = answer->error.rc == DKV_OK;
    const struct dkv_cell cells[] = {
        {answer->entry->id, DKV_PLAIN},
        {answer->entry->ops->type, DKV_PLAIN},
        {answer->entry->settings.cmk != NULL ? answer->entry->settings.cmk : "-", DKV_PLAIN},
        {dkv_buf_text(&capabilities), DKV_PLAIN},
        {ok ? "ok" : dkv_class_name(answer->error.rc), ok ? DKV_GOOD : DKV_BAD},
        {answer->error.message, DKV_PLAIN},
    };
    return dkv_table_row(table, cells, err);
}

static enum dkv_rc print(struct dkv_cli *cli, struct dkv_table *table, const struct answer *answer,
                         struct dkv_error *err)
{
    return cli->out.json ? answer_json(&cli->out, answer, err) : answer_row(table, answer, err);
}

/* A file without providers is no fault, but an empty answer is worth a word. */
static void note_none(const struct dkv_cli *cli)
{
    char path[PATH_MAX];
    if (cli->file->n_entries == 0 && !cli->out.quiet) {
        (void)dkv_line_put(path, sizeof(path), 0, cli->file->path);
        fprintf(stderr, "dekvault: %s names no provider: see `dekvault config explain providers`\n", path);
    }
}

static enum dkv_rc list(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_table_done) struct dkv_table table = {0};
    note_none(cli);
    if (!cli->out.json) {
        DKV_TRY(dkv_table_begin(&table, &cli->out, list_columns, DKV_COUNT(list_columns), err));
    }
    for (size_t i = 0; i < cli->file->n_entries; i++) {
        const struct dkv_provider_entry *entry = cli->file->entries[i];
        const struct answer answer = {.entry = entry, .capabilities = entry->ops->static_capabilities};
        DKV_TRY(print(cli, &table, &answer, err));
    }
    return dkv_table_end(&table, err);
}

/* The CMK that new keys get. */
static enum dkv_rc ask_cmk(struct dkv_instance *instance, const struct dkv_call *call, uint32_t *ret_capabilities,
                           struct dkv_error *err)
{
    struct dkv_cmk *cmk = NULL;
    struct dkv_cmk_info info = {0};
    DKV_TRY(dkv_instance_resolve_reference(instance, call, NULL, &cmk, err));
    const enum dkv_rc rc = dkv_instance_describe(instance, call, cmk, &info, err);
    dkv_instance_cmk_free(instance, cmk);
    if (rc == DKV_OK) {
        *ret_capabilities = info.capabilities;
    }
    return rc;
}

static enum dkv_rc ask(struct dkv_providers *providers, struct answer *answer, struct dkv_error *err)
{
    struct dkv_instance *instance = NULL;
    DKV_TRY(dkv_providers_get(providers, answer->entry->id, &instance, err));
    const struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_CHECK);
    if (answer->entry->ops->check != NULL) {
        DKV_TRY(dkv_instance_check(instance, &call, err));
    }
    const bool has_cmk = answer->entry->settings.cmk != NULL || answer->entry->ops->check == NULL;
    return has_cmk ? ask_cmk(instance, &call, &answer->capabilities, err) : DKV_OK;
}

static enum dkv_rc check_one(struct dkv_cli *cli, struct dkv_table *table, const struct dkv_provider_entry *entry,
                             struct dkv_outcomes *outcomes, struct dkv_error *err)
{
    struct answer answer = {.entry = entry, .capabilities = entry->ops->static_capabilities, .asked = true};
    dkv_outcomes_add(outcomes, ask(cli->providers, &answer, &answer.error));
    return print(cli, table, &answer, err);
}

static enum dkv_rc check(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_table_done) struct dkv_table table = {.whole = true};
    struct dkv_outcomes outcomes = {0};
    const char *id = dkv_cli_arg(cli, 0);
    if (id != NULL && dkv_provider_file_entry(cli->file, id) == NULL) {
        struct dkv_instance *none = NULL;
        return dkv_providers_get(cli->providers, id, &none, err); /* it knows the words */
    }
    note_none(cli);
    if (!cli->out.json) {
        DKV_TRY(dkv_table_begin(&table, &cli->out, check_columns, DKV_COUNT(check_columns), err));
    }
    for (size_t i = 0; i < cli->file->n_entries; i++) {
        if (id == NULL || strcmp(cli->file->entries[i]->id, id) == 0) {
            DKV_TRY(check_one(cli, &table, cli->file->entries[i], &outcomes, err));
        }
    }
    cli->exit_code = outcomes.mixed ? 1 : dkv_cli_exit_code(outcomes.failure);
    return dkv_table_end(&table, err);
}

static const struct dkv_command commands[] = {
    {
        .group = "provider",
        .verb = "list",
        .summary = "list the KMS providers of the provider file",
        .usage = "",
        .details =
            "No token, network or secret file is touched; with --json \"ok\" is null. Capabilities: bound, a wrap "
            "opens only for its own document; authentic, only a holder of the CMK can make one; stock, MongoDB's "
            "drivers can read it; server-rewrap, the provider moves a key to another CMK without showing it.",
        .need = DKV_NEED_FILE,
        .run = list,
    },
    {
        .group = "provider",
        .verb = "check",
        .summary = "ask each provider, or one, whether it works, and look for its CMK",
        .usage = "[ID]",
        .details =
            "A pkcs11 provider logs in once, under the PIN guard's rules. The exit code is that of what failed; 1 when "
            "several failed differently.",
        .max_args = 1,
        .need = DKV_NEED_PROVIDERS,
        .run = check,
    },
};
const struct dkv_command_group dkv_provider_commands = {"provider", "the KMS providers that the provider file names",
                                                        commands, DKV_COUNT(commands)};
