/* SPDX-License-Identifier: Apache-2.0 */
/* `config check` and `config explain`: the provider file judged, and what may stand in it. No lock. */
#include "cli/command.h"

#include <limits.h>

/* ---- check ---- */

static enum dkv_rc fault_json(struct dkv_buf *json, const char *path, const struct dkv_fault *fault,
                              struct dkv_error *err)
{
    DKV_TRY(dkv_json_comma(json, err));
    DKV_TRY(dkv_buf_append_str(json, "{", err));
    DKV_TRY(dkv_json_member_text(json, "file", path, err));
    DKV_TRY(dkv_json_member_int(json, "line", fault->line, err));
    DKV_TRY(dkv_json_member_text(json, "setting", fault->setting, err));
    DKV_TRY(dkv_json_member_text(json, "message", fault->message, err));
    DKV_TRY(dkv_json_member_bool(json, "warning", fault->warning, err));
    return dkv_buf_append_str(json, "}", err);
}

static enum dkv_rc print_json(struct dkv_output *out, const char *path, const struct dkv_faults *faults,
                              struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    DKV_TRY(dkv_buf_append_str(&json, "{", err));
    DKV_TRY(dkv_json_member_bool(&json, "ok", dkv_faults_n_errors(faults) == 0, err));
    DKV_TRY(dkv_json_member_raw(&json, "faults", "[", err));
    for (size_t i = 0; i < faults->n; i++) {
        DKV_TRY(fault_json(&json, path, &faults->items[i], err));
    }
    DKV_TRY(dkv_buf_append_str(&json, "]}", err));
    return dkv_out_line(out, &json, err);
}

/* FILE:LINE: SETTING: message, as compilers write it, so that editors find the place. */
static enum dkv_rc print_fault(struct dkv_output *out, const char *path, const struct dkv_fault *fault,
                               struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf line = {0};
    DKV_TRY(dkv_clean(&line, path, err));
    DKV_TRY(dkv_buf_printf(&line, err, ":%u: %s", fault->line, fault->warning ? "warning: " : ""));
    if (fault->setting[0] != '\0') {
        DKV_TRY(dkv_clean(&line, fault->setting, err));
        DKV_TRY(dkv_buf_append_str(&line, ": ", err));
    }
    DKV_TRY(dkv_clean(&line, fault->message, err));
    return dkv_out_line(out, &line, err);
}

static enum dkv_rc print_faults(struct dkv_output *out, const char *path, const struct dkv_faults *faults,
                                struct dkv_error *err)
{
    if (out->json) {
        return print_json(out, path, faults, err);
    }
    for (size_t i = 0; i < faults->n; i++) {
        if (!faults->items[i].warning || !out->quiet) {
            DKV_TRY(print_fault(out, path, &faults->items[i], err));
        }
    }
    if (dkv_faults_n_errors(faults) > 0) {
        return DKV_OK;
    }
    if (faults->n == 0) {
        return dkv_out_note(out, err, "%s: ok\n", path);
    }
    return dkv_out_note(out, err, "%s: ok, with %zu warning%s\n", path, faults->n, faults->n > 1 ? "s" : "");
}

static enum dkv_rc check(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_faults_done) struct dkv_faults faults = {0};
    char path[PATH_MAX] = "";
    DKV_TRY(dkv_provider_file_check(dkv_cli_value(cli, "config"), &cli->file, &faults, path, err));
    cli->exit_code = dkv_faults_n_errors(&faults) > 0 ? dkv_cli_exit_code(DKV_E_CONFIG) : 0;
    return print_faults(&cli->out, path, &faults, err);
}

/* ---- explain ---- */

struct explain {
    struct dkv_output *out;
    const char *wanted; /* NULL: all */
    size_t n;
};

static enum dkv_rc explain_json(struct explain *explain, const struct dkv_setting_doc *doc, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    DKV_TRY(dkv_buf_append_str(&json, "{", err));
    DKV_TRY(dkv_json_member_text(&json, "setting", doc->setting, err));
    DKV_TRY(dkv_json_member_text(&json, "type", dkv_option_type_name(doc->option->type), err));
    DKV_TRY(dkv_json_member_bool(&json, "required", doc->option->required, err));
    DKV_TRY(dkv_json_member_or_null(&json, "default", doc->option->fallback, err));
    DKV_TRY(dkv_json_member_text(&json, "help", doc->option->help, err));
    DKV_TRY(dkv_buf_append_str(&json, "}", err));
    return dkv_out_line(explain->out, &json, err);
}

static enum dkv_rc explain_text(struct explain *explain, const struct dkv_setting_doc *doc, struct dkv_error *err)
{
    const struct dkv_option *option = doc->option;
    DKV_TRY(dkv_out_printf(explain->out, err, "%s%s (%s", explain->n > 0 ? "\n" : "", doc->setting,
                           dkv_option_type_name(option->type)));
    for (size_t i = 0; option->choices != NULL && option->choices[i] != NULL; i++) {
        DKV_TRY(dkv_out_printf(explain->out, err, "%s%s", i > 0 ? ", " : ": ", option->choices[i]));
    }
    if (option->required) {
        DKV_TRY(dkv_out_printf(explain->out, err, "; required"));
    }
    if (option->fallback != NULL) {
        DKV_TRY(dkv_out_printf(explain->out, err, "; default %s", option->fallback));
    }
    DKV_TRY(dkv_out_printf(explain->out, err, ")\n    "));
    return dkv_out_wrapped(explain->out, option->help, 4, 4, err);
}

/* "vault" names the whole group, "vault.store" one setting. */
static bool is_wanted(const char *wanted, const char *setting)
{
    const size_t len = wanted != NULL ? strlen(wanted) : 0;
    return wanted == NULL || (strncmp(setting, wanted, len) == 0 && (setting[len] == '\0' || setting[len] == '.'));
}

static enum dkv_rc explain_one(void *arg, const struct dkv_setting_doc *doc, struct dkv_error *err)
{
    struct explain *explain = arg;
    if (!is_wanted(explain->wanted, doc->setting)) {
        return DKV_OK;
    }
    DKV_TRY(explain->out->json ? explain_json(explain, doc, err) : explain_text(explain, doc, err));
    explain->n++;
    return DKV_OK;
}

#define SETTINGS_MAX 128u

struct names {
    char (*items)[96];
    size_t n;
};

static enum dkv_rc collect_name(void *arg, const struct dkv_setting_doc *doc, struct dkv_error *err)
{
    struct names *names = arg;
    (void)err;
    if (names->n < SETTINGS_MAX) {
        memcpy(names->items[names->n++], doc->setting, sizeof(doc->setting));
    }
    return DKV_OK;
}

static enum dkv_rc unknown_setting(const char *wanted, struct dkv_error *err)
{
    char items[SETTINGS_MAX][96];
    const char *words[SETTINGS_MAX];
    struct names names = {.items = items};
    DKV_TRY(dkv_settings_visit(collect_name, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        words[i] = items[i];
    }
    const char *nearest = dkv_nearest(wanted, words, names.n);
    return nearest != NULL ? dkv_fail(err, DKV_E_NOT_FOUND, "no setting \"%s\": did you mean \"%s\"?", wanted, nearest)
                           : dkv_fail(err, DKV_E_NOT_FOUND, "no setting \"%s\": `dekvault config explain` lists them",
                                      wanted);
}

static enum dkv_rc explain(struct dkv_cli *cli, struct dkv_error *err)
{
    struct explain explain = {.out = &cli->out, .wanted = dkv_cli_arg(cli, 0)};
    DKV_TRY(dkv_settings_visit(explain_one, &explain, err));
    return explain.n > 0 ? DKV_OK : unknown_setting(explain.wanted, err);
}

static const struct dkv_command commands[] = {
    {
        .group = "config",
        .verb = "check",
        .summary = "list the faults of the provider file, all of them, with their lines",
        .usage = "",
        .details =
            "A fault of syntax ends the list. Warnings don't count as faults. Nothing is contacted; plug-ins are "
            "loaded, since their settings are theirs to know.",
        .run = check,
    },
    {
        .group = "config",
        .verb = "explain",
        .summary = "print what may stand in the provider file: type, default, meaning",
        .usage = "[SETTING]",
        .details = "SETTING is one setting (vault.store) or a group (providers.pkcs11).",
        .max_args = 1,
        .run = explain,
    },
};
const struct dkv_command_group dkv_config_commands = {"config", "the provider file", commands, DKV_COUNT(commands)};
