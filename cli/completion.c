/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for bash, written from the command tables when the program is built. No lock. */
#include "cli/command.h"

static const char head[] =
    "# Completion of dekvault(1) for bash; made from its command tables.\n"
    "_dekvault()\n"
    "{\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} word command='' list=''\n"
    "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
    "        case $word in -*) ;; *) command=\"$command $word\" ;; esac\n"
    "    done\n"
    "    case \"$command \" in\n";

static enum dkv_rc put_options(struct dkv_output *out, const struct dkv_cli_option *options, size_t n,
                               struct dkv_error *err)
{
    for (size_t i = 0; i < n; i++) {
        DKV_TRY(dkv_out_printf(out, err, " --%s", options[i].name));
    }
    return DKV_OK;
}

static enum dkv_rc put_verbs(struct dkv_output *out, const struct dkv_command_group *group, struct dkv_error *err)
{
    for (size_t i = 0; i < group->n; i++) {
        DKV_TRY(dkv_out_printf(out, err, " %s", group->commands[i].verb));
    }
    return DKV_OK;
}

static enum dkv_rc put_first_words(struct dkv_output *out, struct dkv_error *err)
{
    DKV_TRY(dkv_out_printf(out, err, "    ' ') list='"));
    for (size_t i = 0; i < dkv_n_command_groups; i++) {
        const struct dkv_command_group *group = dkv_command_groups[i];
        DKV_TRY(group->name != NULL ? dkv_out_printf(out, err, " %s", group->name) : put_verbs(out, group, err));
    }
    return dkv_out_printf(out, err, "' ;;\n");
}

static enum dkv_rc put_command(struct dkv_output *out, const struct dkv_command *command, struct dkv_error *err)
{
    DKV_TRY(dkv_out_printf(out, err, "    ' %s%s%s '*) list='", command->group != NULL ? command->group : "",
                           command->group != NULL ? " " : "", command->verb));
    DKV_TRY(put_options(out, command->options, command->n_options, err));
    return dkv_out_printf(out, err, "' ;;\n");
}

static enum dkv_rc put_group(struct dkv_output *out, const struct dkv_command_group *group, struct dkv_error *err)
{
    for (size_t i = 0; i < group->n; i++) {
        DKV_TRY(put_command(out, &group->commands[i], err));
    }
    if (group->name == NULL) {
        return DKV_OK;
    }
    DKV_TRY(dkv_out_printf(out, err, "    ' %s ') list='", group->name));
    DKV_TRY(put_verbs(out, group, err));
    return dkv_out_printf(out, err, "' ;;\n");
}

enum dkv_rc dkv_help_completion(struct dkv_output *out, struct dkv_error *err)
{
    DKV_TRY(dkv_out_printf(out, err, "%s", head));
    DKV_TRY(put_first_words(out, err));
    for (size_t i = 0; i < dkv_n_command_groups; i++) {
        DKV_TRY(put_group(out, dkv_command_groups[i], err));
    }
    DKV_TRY(dkv_out_printf(out, err, "    esac\n    case $current in -*) list=\"$list"));
    DKV_TRY(put_options(out, dkv_global_options, dkv_n_global_options, err));
    return dkv_out_printf(out, err, "\" ;; esac\n"
                                    "    mapfile -t COMPREPLY < <(compgen -W \"$list\" -- \"$current\")\n"
                                    "}\ncomplete -o default -F _dekvault dekvault\n");
}
