/* SPDX-License-Identifier: Apache-2.0 */
/* --help for the program, a group and a command, and the command `help`; all from the command tables. No lock. */
#include "cli/command.h"

static enum dkv_rc print_entry(struct dkv_output *out, const char *left, size_t column, const char *text,
                               struct dkv_error *err)
{
    DKV_TRY(dkv_out_printf(out, err, "  %-*s", (int)column - 2, left));
    const size_t at = strlen(left) + 2;
    if (at >= column) {
        DKV_TRY(dkv_out_printf(out, err, "\n%*s", (int)column, ""));
    }
    return dkv_out_wrapped(out, text, column, column, err);
}

static enum dkv_rc print_options(struct dkv_output *out, const char *heading, const struct dkv_cli_option *options,
                                 size_t n, struct dkv_error *err)
{
    char left[64];
    if (n == 0) {
        return DKV_OK;
    }
    DKV_TRY(dkv_out_printf(out, err, "\n%s\n", heading));
    for (size_t i = 0; i < n; i++) {
        size_t at = dkv_line_put(left, sizeof(left), 0, "--");
        at = dkv_line_put(left, sizeof(left), at, options[i].name);
        at = dkv_line_put(left, sizeof(left), at, options[i].argument != NULL ? " " : "");
        (void)dkv_line_put(left, sizeof(left), at, options[i].argument != NULL ? options[i].argument : "");
        DKV_TRY(print_entry(out, left, 22, options[i].help, err));
    }
    return DKV_OK;
}

static enum dkv_rc print_commands(struct dkv_output *out, const struct dkv_command_group *group, struct dkv_error *err)
{
    char left[64];
    for (size_t i = 0; i < group->n; i++) {
        const struct dkv_command *command = &group->commands[i];
        size_t at = dkv_line_put(left, sizeof(left), 0, command->group != NULL ? command->group : "");
        at = dkv_line_put(left, sizeof(left), at, command->group != NULL ? " " : "");
        (void)dkv_line_put(left, sizeof(left), at, command->verb);
        if (!command->hidden) {
            DKV_TRY(print_entry(out, left, 22, command->summary, err));
        }
    }
    return DKV_OK;
}

static enum dkv_rc print_exit_codes(struct dkv_output *out, struct dkv_error *err)
{
    DKV_TRY(dkv_out_printf(out, err, "\nExit codes\n"));
    for (size_t i = 0; i < dkv_n_exit_rows; i++) {
        const char code[] = {(char)('0' + dkv_exit_rows[i].code), '\0'};
        DKV_TRY(print_entry(out, code, 5, dkv_exit_rows[i].means, err));
    }
    return DKV_OK;
}

static const struct {
    const char *word, *means;
} words[] = {
    {"ID", "a KMS provider by its id in the provider file, for instance pkcs11:prod"},
    {"REF", "a CMK: for pkcs11 an RFC 7512 path (pkcs11:object=cmk-2026), id:HEX, or a label"},
    {"KEY", "a DEK by its UUID, else by an alt name; name:X is always an alt name"},
    {"VALUE", "Extended JSON; absent or -, standard input. As an argument other users of the machine see it"},
};

enum dkv_rc dkv_help_program(struct dkv_output *out, struct dkv_error *err)
{
    DKV_TRY(dkv_out_printf(out, err,
                           "dekvault: CMKs in tokens, DEKs in a key vault, fields encrypted as MongoDB does\n\nusage: "
                           "dekvault [OPTION]... COMMAND [ARGUMENT]...\n\nCommands\n"));
    for (size_t i = 0; i < dkv_n_command_groups; i++) {
        DKV_TRY(print_commands(out, dkv_command_groups[i], err));
    }
    DKV_TRY(print_options(out, "Options, anywhere on the line", dkv_global_options, dkv_n_global_options, err));
    DKV_TRY(dkv_out_printf(out, err, "\nArguments\n"));
    for (size_t i = 0; i < DKV_COUNT(words); i++) {
        DKV_TRY(print_entry(out, words[i].word, 22, words[i].means, err));
    }
    DKV_TRY(print_exit_codes(out, err));
    return dkv_out_printf(out, err,
                          "\n`dekvault COMMAND --help` says more of each; so do dekvault(1) and dekvault.conf(5).\n");
}

enum dkv_rc dkv_help_group(struct dkv_output *out, const struct dkv_command_group *group, struct dkv_error *err)
{
    if (group->name != NULL) {
        DKV_TRY(dkv_out_printf(out, err, "dekvault %s: %s\n\nCommands\n", group->name, group->summary));
    }
    return print_commands(out, group, err);
}

enum dkv_rc dkv_help_command(struct dkv_output *out, const struct dkv_command *command, struct dkv_error *err)
{
    const char *group = command->group != NULL ? command->group : "", *space = command->group != NULL ? " " : "";
    DKV_TRY(dkv_out_printf(out, err, "usage: dekvault %s%s%s%s%s\n\n", group, space, command->verb,
                           command->usage[0] != '\0' ? " " : "", command->usage));
    DKV_TRY(dkv_out_printf(out, err, "dekvault %s%s%s:", group, space, command->verb));
    DKV_TRY(dkv_out_wrapped(out, command->summary, 0, strlen(group) + strlen(command->verb) + 12, err));
    if (command->details != NULL) {
        DKV_TRY(dkv_out_printf(out, err, "\n"));
        DKV_TRY(dkv_out_wrapped(out, command->details, 0, 0, err));
    }
    DKV_TRY(print_options(out, "Options", command->options, command->n_options, err));
    return dkv_out_printf(out, err, "\nOptions of every command, arguments and exit codes: dekvault --help\n");
}

/* ---- The command ---- */

static const struct {
    const char *name;
    enum dkv_rc (*print)(struct dkv_output *out, struct dkv_error *err);
} pages[] = {
    {"dekvault.1", dkv_man_program},
    {"dekvault.conf.5", dkv_man_provider_file},
    {"bash", dkv_help_completion},
};

static enum dkv_rc print_page(struct dkv_output *out, const char *name, struct dkv_error *err)
{
    for (size_t i = 0; i < DKV_COUNT(pages); i++) {
        if (strcmp(pages[i].name, name) == 0) {
            return pages[i].print(out, err);
        }
    }
    return dkv_fail(err, DKV_E_NOT_FOUND, "no page \"%s\": there is dekvault.1, dekvault.conf.5 and bash", name);
}

static enum dkv_rc help(struct dkv_cli *cli, struct dkv_error *err)
{
    const struct dkv_command_group *group = NULL;
    const struct dkv_command *command = NULL;
    if (dkv_cli_has(cli, "man")) {
        return print_page(&cli->out, dkv_cli_value(cli, "man"), err);
    }
    if (cli->n_args == 0) {
        return dkv_help_program(&cli->out, err);
    }
    DKV_TRY(dkv_command_find_group(cli->args[0], &group, err));
    if (group->name != NULL && cli->n_args == 1) {
        return dkv_help_group(&cli->out, group, err);
    }
    DKV_TRY(dkv_command_find(group, cli->args[group->name != NULL ? 1 : 0], &command, err));
    return dkv_help_command(&cli->out, command, err);
}

static const struct dkv_cli_option help_options[] = {
    {.name = "man", .argument = "PAGE",
     .help = "print a manual page's source, dekvault.1 or dekvault.conf.5, or the completion for bash"},
};

static const struct dkv_command commands[] = {
    {
        .verb = "help",
        .summary = "say what the program, a group or a command does",
        .usage = "[COMMAND]",
        .max_args = 2,
        .options = help_options,
        .n_options = DKV_COUNT(help_options),
        .run = help,
    },
};
const struct dkv_command_group dkv_help_commands = {NULL, "help", commands, DKV_COUNT(commands)};
