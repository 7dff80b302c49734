/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, read by the tables: `--name`, `--name VALUE` or `--name=VALUE`; global options anywhere, a
 * command's own after its words; `--` ends them. Owns: the arrays of a struct dkv_cli. No lock. */
#include "cli/command.h"

#include "base/mem.h"

struct parser {
    struct dkv_cli *cli;
    char **argv;
    size_t n, at;
    const struct dkv_command_group *group;
    bool options_ended;
};

static const struct dkv_cli_option *find_option(const struct dkv_cli_option *options, size_t n, const char *name,
                                                size_t len)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(options[i].name) == len && strncmp(options[i].name, name, len) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

static enum dkv_rc unknown_option(const struct dkv_cli *cli, const char *name, size_t len, struct dkv_error *err)
{
    const char *words[32];
    size_t n = 0;
    for (size_t i = 0; i < dkv_n_global_options && n < DKV_COUNT(words); i++) {
        words[n++] = dkv_global_options[i].name;
    }
    for (size_t i = 0; cli->command != NULL && i < cli->command->n_options && n < DKV_COUNT(words); i++) {
        words[n++] = cli->command->options[i].name;
    }
    DKV_CLEANUP(dkv_freep) char *text = dkv_strndup(name, len);
    if (text == NULL) {
        return dkv_fail_memory(err);
    }
    const char *nearest = dkv_nearest(text, words, n);
    if (nearest != NULL) {
        return dkv_fail(err, DKV_E_INVALID, "no option --%s: did you mean --%s?", text, nearest);
    }
    return dkv_fail(err, DKV_E_INVALID, "no option --%s%s", text,
                    cli->command == NULL ? " before the command's words: see --help" : ": see --help");
}

static enum dkv_rc take_value(struct parser *parser, const struct dkv_cli_option *option, const char *equals,
                              const char **ret, struct dkv_error *err)
{
    DKV_CHECK(option->argument != NULL || equals == NULL, err, DKV_E_INVALID, "--%s takes no value", option->name);
    if (option->argument == NULL) {
        return DKV_OK;
    }
    if (equals != NULL) {
        *ret = equals + 1;
        return DKV_OK;
    }
    DKV_CHECK(parser->at < parser->n, err, DKV_E_INVALID, "--%s needs a value: --%s %s", option->name, option->name,
              option->argument);
    *ret = parser->argv[parser->at++];
    return DKV_OK;
}

static enum dkv_rc take_option(struct parser *parser, const char *word, struct dkv_error *err)
{
    struct dkv_cli *cli = parser->cli;
    const char *equals = strchr(word, '=');
    const size_t len = equals != NULL ? (size_t)(equals - word) : strlen(word);
    const struct dkv_cli_option *option = find_option(dkv_global_options, dkv_n_global_options, word, len);
    const char *value = NULL;
    if (option == NULL && cli->command != NULL) {
        option = find_option(cli->command->options, cli->command->n_options, word, len);
    }
    if (option == NULL) {
        return unknown_option(cli, word, len, err);
    }
    DKV_TRY(take_value(parser, option, equals, &value, err));
    DKV_CHECK(option->argument == NULL || option->repeats || !dkv_cli_has(cli, option->name), err, DKV_E_INVALID,
              "--%s is given twice", option->name);
    const bool is_global = option >= dkv_global_options && option < dkv_global_options + dkv_n_global_options;
    DKV_CHECK(!is_global || value == NULL || value[0] != '\0', err, DKV_E_INVALID, "--%s is empty: --%s %s",
              option->name, option->name, option->argument);
    cli->given[cli->n_given++] = (struct dkv_cli_given){option, value};
    return DKV_OK;
}

static enum dkv_rc take_word(struct parser *parser, const char *word, struct dkv_error *err)
{
    struct dkv_cli *cli = parser->cli;
    if (cli->command != NULL) {
        cli->args[cli->n_args++] = word;
        return DKV_OK;
    }
    if (parser->group != NULL) {
        return dkv_command_find(parser->group, word, &cli->command, err);
    }
    DKV_TRY(dkv_command_find_group(word, &parser->group, err));
    cli->group = parser->group->name;
    return parser->group->name != NULL ? DKV_OK : dkv_command_find(parser->group, word, &cli->command, err);
}

static enum dkv_rc take_next(struct parser *parser, struct dkv_error *err)
{
    const char *word = parser->argv[parser->at++];
    if (parser->options_ended || word[0] != '-' || word[1] == '\0') {
        return take_word(parser, word, err);
    }
    if (strcmp(word, "--") == 0) {
        parser->options_ended = true;
        return DKV_OK;
    }
    DKV_CHECK(word[1] == '-', err, DKV_E_INVALID,
              "no option %s: options begin with -- (see --help), and what follows a lone -- is no option", word);
    return take_option(parser, word + 2, err);
}

static enum dkv_rc check_args(const struct dkv_cli *cli, struct dkv_error *err)
{
    const struct dkv_command *command = cli->command;
    const char *group = command->group != NULL ? command->group : "", *space = command->group != NULL ? " " : "";
    const char *usage = command->usage, *gap = usage[0] != '\0' ? " " : "";
    DKV_CHECK(cli->n_args >= command->min_args, err, DKV_E_INVALID, "too few arguments: dekvault %s%s%s%s%s", group,
              space, command->verb, gap, usage);
    DKV_CHECK(cli->n_args <= command->max_args, err, DKV_E_INVALID,
              "too many arguments from \"%s\" on: dekvault %s%s%s%s%s",
              cli->args[command->max_args], group, space, command->verb, gap, usage);
    return DKV_OK;
}

/* Known before the rest is read, so that an error on the way there takes its form. */
static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            return true;
        }
    }
    return false;
}

enum dkv_rc dkv_cli_parse(struct dkv_cli *cli, int argc, char **argv, struct dkv_error *err)
{
    struct parser parser = {.cli = cli, .argv = argv, .n = (size_t)(argc > 0 ? argc : 0), .at = 1};
    cli->out.json = wants_json(argc, argv);
    cli->given = (struct dkv_cli_given *)dkv_calloc(parser.n + 1, sizeof(*cli->given));
    cli->args = (const char **)dkv_calloc(parser.n + 1, sizeof(*cli->args));
    if (cli->given == NULL || cli->args == NULL) {
        return dkv_fail_memory(err);
    }
    while (parser.at < parser.n) {
        DKV_TRY(take_next(&parser, err));
    }
    cli->out.json = dkv_cli_has(cli, "json");
    cli->out.quiet = dkv_cli_has(cli, "quiet");
    cli->out.verbose = dkv_cli_has(cli, "verbose");
    if (cli->command == NULL || dkv_cli_has(cli, "help") || dkv_cli_has(cli, "version")) {
        return DKV_OK;
    }
    return check_args(cli, err);
}

const char *dkv_cli_value(const struct dkv_cli *cli, const char *option)
{
    for (size_t i = 0; i < cli->n_given; i++) {
        if (strcmp(cli->given[i].option->name, option) == 0) {
            return cli->given[i].value;
        }
    }
    return NULL;
}

bool dkv_cli_has(const struct dkv_cli *cli, const char *option)
{
    for (size_t i = 0; i < cli->n_given; i++) {
        if (strcmp(cli->given[i].option->name, option) == 0) {
            return true;
        }
    }
    return false;
}

const char *dkv_cli_arg(const struct dkv_cli *cli, size_t index)
{
    return index < cli->n_args ? cli->args[index] : NULL;
}
