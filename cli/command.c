/* SPDX-License-Identifier: Apache-2.0 */
/* All commands by group, and finding one by its words. Constant; no lock. */
#include "cli/command.h"

#define WORDS_MAX 32u

const struct dkv_command_group *const dkv_command_groups[] = {
    &dkv_config_commands, &dkv_provider_commands, &dkv_token_commands, &dkv_cmk_commands,
    &dkv_vault_commands,  &dkv_key_commands,      &dkv_field_commands, &dkv_help_commands,
};
const size_t dkv_n_command_groups = DKV_COUNT(dkv_command_groups);

const struct dkv_cli_option dkv_global_options[] = {
    {.name = "config", .argument = "FILE",
     .help = "the provider file; else $DEKVAULT_CONF, then ~/.config/dekvault/dekvault.conf, "
                                                   "then /etc/dekvault/dekvault.conf"},
    {.name = "vault", .argument = "NAME", .help = "a vault of `vaults`; else `vault`, whose name is \"default\""},
    {.name = "json", .help = "one JSON object, or one a line for lists; errors too"},
    {.name = "quiet", .help = "no headings, no notes of what was done, no warnings"},
    {.name = "verbose", .help = "more of both, and the log on standard error"},
    {.name = "help", .help = "what the program, a group or a command does"},
    {.name = "version", .help = "the version"},
};
const size_t dkv_n_global_options = DKV_COUNT(dkv_global_options);

struct words {
    const char *items[WORDS_MAX];
    size_t n;
};

static void add_word(struct words *words, const char *word)
{
    if (words->n < WORDS_MAX) {
        words->items[words->n++] = word;
    }
}

/* The first words there are: groups, and commands of one word. */
static struct words first_words(void)
{
    struct words words = {.n = 0};
    for (size_t i = 0; i < dkv_n_command_groups; i++) {
        const struct dkv_command_group *group = dkv_command_groups[i];
        if (group->name != NULL) {
            add_word(&words, group->name);
            continue;
        }
        for (size_t j = 0; j < group->n; j++) {
            add_word(&words, group->commands[j].verb);
        }
    }
    return words;
}

static enum dkv_rc unknown(const char *what, const char *word, const struct words *words, struct dkv_error *err)
{
    const char *nearest = dkv_nearest(word, words->items, words->n);
    if (nearest != NULL) {
        return dkv_fail(err, DKV_E_INVALID, "no command \"%s%s\": did you mean \"%s%s\"?", what, word, what, nearest);
    }
    enum dkv_rc rc = dkv_fail(err, DKV_E_INVALID, "no command \"%s%s\": there is", what, word);
    for (size_t i = 0; i < words->n; i++) {
        dkv_error_append(err, "%s %s%s", i > 0 ? "," : "", what, words->items[i]);
    }
    return rc;
}

static bool has_word(const struct dkv_command_group *group, const char *word)
{
    if (group->name != NULL) {
        return strcmp(group->name, word) == 0;
    }
    for (size_t i = 0; i < group->n; i++) {
        if (strcmp(group->commands[i].verb, word) == 0) {
            return true;
        }
    }
    return false;
}

enum dkv_rc dkv_command_find_group(const char *word, const struct dkv_command_group **ret, struct dkv_error *err)
{
    for (size_t i = 0; i < dkv_n_command_groups; i++) {
        if (has_word(dkv_command_groups[i], word)) {
            *ret = dkv_command_groups[i];
            return DKV_OK;
        }
    }
    const struct words words = first_words();
    return unknown("", word, &words, err);
}

enum dkv_rc dkv_command_find(const struct dkv_command_group *group, const char *word, const struct dkv_command **ret,
                             struct dkv_error *err)
{
    struct words words = {.n = 0};
    char prefix[32];
    for (size_t i = 0; i < group->n; i++) {
        if (strcmp(group->commands[i].verb, word) == 0) {
            *ret = &group->commands[i];
            return DKV_OK;
        }
        add_word(&words, group->commands[i].verb);
    }
    const size_t at = dkv_line_put(prefix, sizeof(prefix), 0, group->name != NULL ? group->name : "");
    (void)dkv_line_put(prefix, sizeof(prefix), at, group->name != NULL ? " " : "");
    return unknown(prefix, word, &words, err);
}
