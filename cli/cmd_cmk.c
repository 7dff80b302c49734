/* SPDX-License-Identifier: Apache-2.0 */
/* `cmk create`, `cmk list`, `cmk show`. No lock. */
#include "cli/command.h"
#include "cli/names.h"

#include <stdio.h>

/* ---- One CMK, printed ---- */

static enum dkv_rc finding_json(struct dkv_buf *json, const struct dkv_finding *finding, struct dkv_error *err)
{
    DKV_TRY(dkv_json_comma(json, err));
    DKV_TRY(dkv_buf_append_str(json, "{", err));
    DKV_TRY(dkv_json_member_text(json, "check", finding->check, err));
    DKV_TRY(dkv_json_member_bool(json, "ok", finding->ok, err));
    DKV_TRY(dkv_json_member_bool(json, "refuses", finding->refuses, err));
    DKV_TRY(dkv_json_member_text(json, "detail", finding->detail, err));
    return dkv_buf_append_str(json, "}", err);
}

static enum dkv_rc cmk_json(struct dkv_output *out, const char *id, const struct dkv_cmk_info *info,
                            struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    DKV_TRY(dkv_buf_append_str(&json, "{", err));
    DKV_TRY(dkv_json_member_text(&json, "provider", id, err));
    DKV_TRY(dkv_json_member_text(&json, "keyId", info->key_id, err));
    DKV_TRY(dkv_json_member_text(&json, "label", info->label, err));
    DKV_TRY(dkv_json_member_text(&json, "profile", info->profile, err));
    DKV_TRY(dkv_json_member_text(&json, "state", dkv_cmk_state_name(info->state), err));
    DKV_TRY(dkv_json_member_raw(&json, "capabilities", "", err));
    DKV_TRY(dkv_capabilities_json(&json, info->capabilities, err));
    DKV_TRY(dkv_json_member_raw(&json, "policy", "[", err));
    for (size_t i = 0; i < info->n_findings; i++) {
        DKV_TRY(finding_json(&json, &info->findings[i], err));
    }
    DKV_TRY(dkv_buf_append_str(&json, "]}", err));
    return dkv_out_line(out, &json, err);
}

static const struct dkv_column list_columns[] = {{"PROVIDER", 0}, {"KEYID", 0}, {"LABEL", 0}, {"PROFILE", 0},
                                                 {"STATE", 0}, {"POLICY", 0}};

enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_REFUSED };
static const struct dkv_cell verdict_cells[] = {
    [VERDICT_OK] = {"ok", DKV_GOOD},
    [VERDICT_WARN] = {"WARN", DKV_WARN},
    [VERDICT_REFUSED] = {"REFUSED", DKV_BAD},
};

static enum verdict judge(const struct dkv_finding *finding)
{
    if (finding->ok) {
        return VERDICT_OK;
    }
    return finding->refuses ? VERDICT_REFUSED : VERDICT_WARN;
}

static enum verdict judge_all(const struct dkv_cmk_info *info)
{
    enum verdict worst = VERDICT_OK;
    for (size_t i = 0; i < info->n_findings; i++) {
        const enum verdict verdict = judge(&info->findings[i]);
        worst = verdict > worst ? verdict : worst;
    }
    return worst;
}

static enum dkv_rc cmk_row(struct dkv_table *table, const char *id, const struct dkv_cmk_info *info,
                           struct dkv_error *err)
{
    const struct dkv_cell cells[] = {
        {id, DKV_PLAIN},
        {info->key_id[0] != '\0' ? info->key_id : "-", DKV_PLAIN},
        {info->label[0] != '\0' ? info->label : "-", DKV_PLAIN},
        {info->profile[0] != '\0' ? info->profile : "-", DKV_PLAIN},
        {dkv_cmk_state_name(info->state), info->state == DKV_CMK_ENABLED ? DKV_GOOD : DKV_WARN},
        verdict_cells[judge_all(info)],
    };
    return dkv_table_row(table, cells, err);
}

/* ---- list ---- */

struct listing {
    struct dkv_cli *cli;
    struct dkv_table table;
    const char *id;
};

static void listing_done(struct listing *listing)
{
    dkv_table_done(&listing->table);
}

static enum dkv_rc print_cmk(void *arg, const struct dkv_cmk_info *info, struct dkv_error *err)
{
    struct listing *listing = arg;
    struct dkv_output *out = &listing->cli->out;
    return out->json ? cmk_json(out, listing->id, info, err) : cmk_row(&listing->table, listing->id, info, err);
}

static enum dkv_rc describe(struct dkv_instance *instance, const char *reference, struct dkv_cmk_info *ret,
                            struct dkv_error *err)
{
    struct dkv_cmk *cmk = NULL;
    const struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_CHECK);
    DKV_TRY(dkv_instance_resolve_reference(instance, &call, reference, &cmk, err));
    const enum dkv_rc rc = dkv_instance_describe(instance, &call, cmk, ret, err);
    dkv_instance_cmk_free(instance, cmk);
    return rc;
}

static enum dkv_rc list_provider(struct listing *listing, const char *id, struct dkv_error *err)
{
    struct dkv_instance *instance = NULL;
    struct dkv_cmk_info info = {0};
    listing->id = id;
    DKV_TRY(dkv_providers_get(listing->cli->providers, id, &instance, err));
    if (dkv_instance_ops(instance)->list_cmks != NULL) {
        const struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_CHECK);
        return dkv_instance_list_cmks(instance, &call, print_cmk, listing, err);
    }
    DKV_TRY(describe(instance, NULL, &info, err)); /* it has the one CMK */
    return print_cmk(listing, &info, err);
}

static enum dkv_rc list(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_CLEANUP(listing_done) struct listing listing = {.cli = cli};
    if (!cli->out.json) {
        DKV_TRY(dkv_table_begin(&listing.table, &cli->out, list_columns, DKV_COUNT(list_columns), err));
    }
    if (dkv_cli_arg(cli, 0) != NULL) {
        DKV_TRY(list_provider(&listing, dkv_cli_arg(cli, 0), err));
        return dkv_table_end(&listing.table, err);
    }
    for (size_t i = 0; i < cli->file->n_entries; i++) {
        DKV_TRY(list_provider(&listing, cli->file->entries[i]->id, err));
    }
    return dkv_table_end(&listing.table, err);
}

/* ---- show ---- */

static const struct dkv_column show_columns[] = {{"CHECK", 0}, {"VERDICT", 0}, {"DETAIL", 0}};

static enum dkv_rc show_member(struct dkv_output *out, const char *name, const char *text, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf line = {0};
    if (text[0] == '\0') {
        return DKV_OK;
    }
    DKV_TRY(dkv_buf_printf(&line, err, "%-14s", name));
    DKV_TRY(dkv_clean(&line, text, err));
    return dkv_out_line(out, &line, err);
}

static enum dkv_rc show_findings(struct dkv_output *out, const struct dkv_cmk_info *info, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_table_done) struct dkv_table table = {.whole = true};
    if (info->n_findings == 0) {
        return DKV_OK;
    }
    DKV_TRY(dkv_out_note(out, err, "\n"));
    DKV_TRY(dkv_table_begin(&table, out, show_columns, DKV_COUNT(show_columns), err));
    for (size_t i = 0; i < info->n_findings; i++) {
        const struct dkv_finding *finding = &info->findings[i];
        const struct dkv_cell cells[] = {{finding->check, DKV_PLAIN}, verdict_cells[judge(finding)],
                                         {finding->detail, DKV_PLAIN}};
        DKV_TRY(dkv_table_row(&table, cells, err));
    }
    return dkv_table_end(&table, err);
}

static enum dkv_rc show(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf capabilities = {0};
    const char *id = dkv_cli_arg(cli, 0);
    struct dkv_instance *instance = NULL;
    struct dkv_cmk_info info = {0};
    DKV_TRY(dkv_providers_get(cli->providers, id, &instance, err));
    DKV_TRY(describe(instance, dkv_cli_arg(cli, 1), &info, err));
    if (cli->out.json) {
        return cmk_json(&cli->out, id, &info, err);
    }
    DKV_TRY(dkv_capabilities_text(&capabilities, info.capabilities, err));
    DKV_TRY(dkv_buf_append(&capabilities, dkv_span("", 1), err));
    DKV_TRY(show_member(&cli->out, "provider", id, err));
    DKV_TRY(show_member(&cli->out, "keyId", info.key_id, err));
    DKV_TRY(show_member(&cli->out, "label", info.label, err));
    DKV_TRY(show_member(&cli->out, "profile", info.profile, err));
    DKV_TRY(show_member(&cli->out, "state", dkv_cmk_state_name(info.state), err));
    DKV_TRY(show_member(&cli->out, "capabilities", (const char *)capabilities.data, err));
    return show_findings(&cli->out, &info, err);
}

/* ---- create ---- */

/* What the token didn't take is told, once, where a script's output isn't. */
static void tell_findings(const struct dkv_output *out, const struct dkv_cmk_info *info)
{
    char line[256];
    for (size_t i = 0; i < info->n_findings && !out->quiet; i++) {
        if (!info->findings[i].ok) {
            (void)dkv_line_put(line, sizeof(line), 0, info->findings[i].detail);
            fprintf(stderr, "dekvault: warning: %s: %s\n", info->findings[i].check, line);
        }
    }
}

static enum dkv_rc print_created(struct dkv_output *out, const char *id, const struct dkv_cmk_info *info,
                                 struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf line = {0};
    if (!out->json) {
        DKV_TRY(dkv_clean(&line, info->key_id, err));
        return dkv_out_line(out, &line, err);
    }
    DKV_TRY(dkv_buf_append_str(&line, "{", err));
    DKV_TRY(dkv_json_member_text(&line, "provider", id, err));
    DKV_TRY(dkv_json_member_text(&line, "keyId", info->key_id, err));
    DKV_TRY(dkv_json_member_text(&line, "label", info->label, err));
    DKV_TRY(dkv_json_member_text(&line, "profile", info->profile, err));
    DKV_TRY(dkv_buf_append_str(&line, "}", err));
    return dkv_out_line(out, &line, err);
}

static enum dkv_rc create(struct dkv_cli *cli, struct dkv_error *err)
{
    const char *id = dkv_cli_arg(cli, 0);
    const struct dkv_cmk_request request = {.label = dkv_cli_value(cli, "label"),
                                            .profile = dkv_cli_value(cli, "profile")};
    struct dkv_instance *instance = NULL;
    struct dkv_cmk_info info = {0};
    DKV_CHECK(request.label != NULL && request.label[0] != '\0', err, DKV_E_INVALID, "cmk create needs --label LABEL");
    DKV_TRY(dkv_providers_get(cli->providers, id, &instance, err));
    const struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_CREATE);
    DKV_TRY(dkv_instance_create_cmk(instance, &call, &request, &info, err));
    dkv_cli_done_so_far(cli, NULL, "the CMK %s was created", info.key_id);
    tell_findings(&cli->out, &info);
    return print_created(&cli->out, id, &info, err);
}

static const struct dkv_cli_option create_options[] = {
    {.name = "label", .argument = "L", .help = "needed: the CMK's label in the token"},
    {.name = "profile", .argument = "P",
     .help = "its profile, hmac-derive or aes-gcm; else the first of them that the token can"},
};

static const struct dkv_command commands[] = {
    {
        .group = "cmk",
        .verb = "create",
        .summary = "make a CMK where it can't be taken out again, and print its keyId",
        .usage = "ID --label L [--profile P]",
        .details =
            "What the token would not take of the attributes that protect the key is told on standard error. Back up "
            "the CMK by your vendor's means before you encrypt anything that you want to read again.",
        .min_args = 1,
        .max_args = 1,
        .options = create_options,
        .n_options = DKV_COUNT(create_options),
        .need = DKV_NEED_PROVIDERS,
        .run = create,
    },
    {
        .group = "cmk",
        .verb = "list",
        .summary = "list the CMKs of every provider, or of one",
        .usage = "[ID]",
        .max_args = 1,
        .need = DKV_NEED_PROVIDERS,
        .run = list,
    },
    {
        .group = "cmk",
        .verb = "show",
        .summary = "show a CMK and how it stands to the policy: ok, WARN or REFUSED for each check",
        .usage = "ID [REF]",
        .details = "Without REF: the provider's cmk, the one that new keys get.",
        .min_args = 1,
        .max_args = 2,
        .need = DKV_NEED_PROVIDERS,
        .run = show,
    },
};
const struct dkv_command_group dkv_cmk_commands = {"cmk", "customer master keys (CMKs)", commands, DKV_COUNT(commands)};
