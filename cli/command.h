/* SPDX-License-Identifier: Apache-2.0 */
/* The commands as one table, and a command at work. The parser, --help and dekvault(1) all read the same table. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "cli/output.h"
#include "vault/vault.h"

/* An option, "--name" or "--name ARGUMENT". */
struct dkv_cli_option {
    const char *name;
    const char *argument; /* what --help calls it; NULL: a switch */
    const char *help;     /* no full stop */
    bool repeats;
};

/* What a command needs opened before it runs. The vault brings its providers with it. */
enum dkv_cli_need { DKV_NEED_NOTHING, DKV_NEED_FILE, DKV_NEED_PROVIDERS, DKV_NEED_VAULT };

struct dkv_cli;

struct dkv_command {
    const char *group;   /* NULL: a command of one word */
    const char *verb;
    const char *summary; /* no full stop */
    const char *usage;   /* its arguments as --help shows them; "" for none */
    const char *details; /* sentences for --help and the man page; NULL: none */
    size_t min_args, max_args;
    const struct dkv_cli_option *options;
    size_t n_options;
    enum dkv_cli_need need;
    bool hidden;
    enum dkv_rc (*run)(struct dkv_cli *cli, struct dkv_error *err);
};

struct dkv_cli_given {
    const struct dkv_cli_option *option;
    const char *value; /* NULL: a switch */
};

/* One call of the program. Arguments and values borrow from argv. */
struct dkv_cli {
    const struct dkv_command *command; /* NULL: none named */
    const char *group;                 /* named, known */
    struct dkv_cli_given *given;
    size_t n_given;
    const char **args;
    size_t n_args;
    struct dkv_output out;
    int exit_code; /* a command's own, when it didn't fail but found something */
    char done[200]; /* what a command changed, so that a failure after it, of the output say, doesn't hide it */
    char done_to[48]; /* its key, if there is one */

    struct dkv_provider_file *file;
    struct dkv_providers *providers; /* the vault's, or our own */
    struct dkv_vault *vault;
};

/* A group of commands; the groups in the order of --help. */
struct dkv_command_group {
    const char *name;    /* NULL: commands of one word */
    const char *summary;
    const struct dkv_command *commands;
    size_t n;
};
extern const struct dkv_command_group *const dkv_command_groups[];
extern const size_t dkv_n_command_groups;
extern const struct dkv_cli_option dkv_global_options[];
extern const size_t dkv_n_global_options;

extern const struct dkv_command_group dkv_config_commands, dkv_provider_commands, dkv_token_commands, dkv_cmk_commands,
    dkv_vault_commands, dkv_key_commands, dkv_field_commands, dkv_help_commands;

/* dkv_command_find_group, dkv_command_find: DKV_E_INVALID names the nearest, or all there are. */
DKV_MUST_USE enum dkv_rc dkv_command_find_group(const char *word, const struct dkv_command_group **ret,
                                                struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_command_find(const struct dkv_command_group *group, const char *word,
                                          const struct dkv_command **ret, struct dkv_error *err);

/* dkv_cli_parse: fill *cli from argv. Every failure is a usage error, DKV_E_INVALID, but DKV_E_RESOURCE. */
DKV_MUST_USE enum dkv_rc dkv_cli_parse(struct dkv_cli *cli, int argc, char **argv, struct dkv_error *err);

/* dkv_cli_value: the argument of an option that was given, else NULL. dkv_cli_has: whether it was. dkv_cli_arg: NULL
 * when there are fewer. */
const char *dkv_cli_value(const struct dkv_cli *cli, const char *option);
bool dkv_cli_has(const struct dkv_cli *cli, const char *option);
const char *dkv_cli_arg(const struct dkv_cli *cli, size_t index);

/* dkv_cli_open: what the command needs. dkv_cli_done: all that is open, and the arrays. */
DKV_MUST_USE enum dkv_rc dkv_cli_open(struct dkv_cli *cli, struct dkv_error *err);
void dkv_cli_done(struct dkv_cli *cli);

/* dkv_cli_done_so_far: note what was changed, "the key ID was created", at once after it was; key may be NULL. */
void dkv_cli_done_so_far(struct dkv_cli *cli, const struct dkv_uuid *key, const char *format, ...) DKV_PRINTF(3, 4);

/* dkv_cli_exit_code: the class's exit code. */
int dkv_cli_exit_code(enum dkv_rc rc);
struct dkv_exit_row {
    int code;
    const char *means;
};
extern const struct dkv_exit_row dkv_exit_rows[];
extern const size_t dkv_n_exit_rows;

/* dkv_cli_print_error: to standard error, as text or JSON. Writes what it can; can't fail. */
void dkv_cli_print_error(const struct dkv_error *err, bool json);

/* Help, man pages and completion, from the tables. */
DKV_MUST_USE enum dkv_rc dkv_help_program(struct dkv_output *out, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_help_group(struct dkv_output *out, const struct dkv_command_group *group,
                                        struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_help_command(struct dkv_output *out, const struct dkv_command *command,
                                          struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_help_completion(struct dkv_output *out, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_man_program(struct dkv_output *out, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_man_provider_file(struct dkv_output *out, struct dkv_error *err);

#endif
