/* SPDX-License-Identifier: Apache-2.0 */
/* The command line as it is read by the tables, and the tables themselves. */
#include "cli/command.h"
#include "tests/lib/test.h"

#define ARGS_MAX 16

struct line {
    char *argv[ARGS_MAX];
    int argc;
    char text[512];
};

/* Words of text, split at single spaces; "_" stands for an empty one. */
static struct line *split(struct line *line, const char *text)
{
    (void)dkv_line_put(line->text, sizeof(line->text), 0, text);
    line->argc = 0;
    for (char *word = line->text; *word != '\0' && line->argc < ARGS_MAX;) {
        char *end = word + strcspn(word, " ");
        char *next = *end != '\0' ? end + 1 : end;
        *end = '\0';
        line->argv[line->argc++] = strcmp(word, "_") == 0 ? word + 1 : word;
        word = next;
    }
    return line;
}

static enum dkv_rc parse(struct dkv_cli *cli, struct line *line, const char *text, struct dkv_error *err)
{
    *cli = (struct dkv_cli){.out = {.fd = -1}};
    split(line, text);
    return dkv_cli_parse(cli, line->argc, line->argv, err);
}

#define PARSE(text)                                   \
    struct dkv_error err = {0};                       \
    DKV_CLEANUP(dkv_cli_done) struct dkv_cli cli = {0}; \
    struct line line;                                 \
    const enum dkv_rc rc = parse(&cli, &line, text, &err)

static void a_command_its_arguments_and_options_are_found(void)
{
    PARSE("dekvault key create pkcs11:prod --name a --cmk=x=y --name b");

    ASSERT_RC(DKV_OK, rc);
    CU_ASSERT_STRING_EQUAL_FATAL(cli.command->verb, "create");
    CU_ASSERT_EQUAL(cli.n_args, 1);
    CU_ASSERT_STRING_EQUAL(dkv_cli_arg(&cli, 0), "pkcs11:prod");
    CU_ASSERT_PTR_NULL(dkv_cli_arg(&cli, 1));
    CU_ASSERT_STRING_EQUAL(dkv_cli_value(&cli, "cmk"), "x=y");
    CU_ASSERT_EQUAL(cli.n_given, 3);
    CU_ASSERT_FALSE(dkv_cli_has(&cli, "material-file"));
}

static void global_options_may_stand_anywhere(void)
{
    PARSE("dekvault --json key --vault v show --quiet k --config f --verbose");

    ASSERT_RC(DKV_OK, rc);
    CU_ASSERT_TRUE(cli.out.json && cli.out.quiet && cli.out.verbose);
    CU_ASSERT_STRING_EQUAL(dkv_cli_value(&cli, "vault"), "v");
    CU_ASSERT_STRING_EQUAL(dkv_cli_value(&cli, "config"), "f");
    CU_ASSERT_STRING_EQUAL(dkv_cli_arg(&cli, 0), "k");
}

static void two_hyphens_end_the_options(void)
{
    PARSE("dekvault encrypt k --string -- --json");

    ASSERT_RC(DKV_OK, rc);
    CU_ASSERT_FALSE(cli.out.json);
    CU_ASSERT_TRUE(dkv_cli_has(&cli, "string"));
    CU_ASSERT_STRING_EQUAL(dkv_cli_arg(&cli, 1), "--json");
}

static void a_hyphen_and_an_empty_word_are_arguments(void)
{
    PARSE("dekvault encrypt _ -");

    ASSERT_RC(DKV_OK, rc);
    CU_ASSERT_STRING_EQUAL(dkv_cli_arg(&cli, 0), "");
    CU_ASSERT_STRING_EQUAL(dkv_cli_arg(&cli, 1), "-");
}

static void no_command_at_all_is_none(void)
{
    PARSE("dekvault");

    ASSERT_RC(DKV_OK, rc);
    CU_ASSERT_PTR_NULL(cli.command);
    CU_ASSERT_PTR_NULL(cli.group);
}

static void json_is_known_before_an_error(void)
{
    PARSE("dekvault kye --json");

    ASSERT_RC(DKV_E_INVALID, rc);
    CU_ASSERT_TRUE(cli.out.json);
}

static void what_is_wrong_is_refused_and_named(void)
{
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"dekvault kye", "\"key\""},
        {"dekvault nothing", "there is config,"},
        {"dekvault key crate", "\"key create\""},
        {"dekvault key xyzzy", "key import"},
        {"dekvault encrpyt k", "\"encrypt\""},
        {"dekvault key show", "key show KEY"},
        {"dekvault key show a b", "\"b\""},
        {"dekvault key show a --prowider", "--prowider"},
        {"dekvault key list --prowider x", "--provider"},
        {"dekvault --provider x key list", "before the command"},
        {"dekvault key list --provider", "--provider ID"},
        {"dekvault key list --status a --status b", "twice"},
        {"dekvault key list --json=yes", "takes no value"},
        {"dekvault key list -x", "begin with --"},
        {"dekvault key list --", NULL},
    };
    for (size_t i = 0; i < DKV_COUNT(wrong); i++) {
        PARSE(wrong[i].text);
        ASSERT_RC(wrong[i].says != NULL ? DKV_E_INVALID : DKV_OK, rc);
        CU_ASSERT_TRUE_FATAL(wrong[i].says == NULL || strstr(err.message, wrong[i].says) != NULL);
    }
}

static void the_tables_are_whole(void)
{
    for (size_t i = 0; i < dkv_n_command_groups; i++) {
        const struct dkv_command_group *group = dkv_command_groups[i];
        for (size_t j = 0; j < group->n; j++) {
            const struct dkv_command *command = &group->commands[j];
            CU_ASSERT_EQUAL_FATAL(command->group == NULL, group->name == NULL);
            CU_ASSERT_TRUE_FATAL(group->name == NULL || strcmp(group->name, command->group) == 0);
            CU_ASSERT_TRUE_FATAL(command->verb != NULL && command->summary != NULL && command->usage != NULL &&
                                 command->run != NULL);
            CU_ASSERT_TRUE_FATAL(command->min_args <= command->max_args);
            CU_ASSERT_TRUE_FATAL(command->summary[strlen(command->summary) - 1] != '.');
            for (size_t k = 0; k < command->n_options; k++) {
                CU_ASSERT_PTR_NOT_NULL_FATAL(command->options[k].help);
                CU_ASSERT_TRUE_FATAL(strcmp(command->verb, "help") == 0 ||
                                     strstr(command->usage, command->options[k].name) != NULL);
            }
        }
    }
}

static void every_class_has_the_exit_code_that_scripts_know(void)
{
    static const struct {
        enum dkv_rc rc;
        int code;
    } table[] = {
        {DKV_OK, 0}, {DKV_E_INTERNAL, 1}, {DKV_E_RESOURCE, 1}, {DKV_E_CONFIG, 2}, {DKV_E_INVALID, 2},
            {DKV_E_NOT_FOUND, 3},
        {DKV_E_CONFLICT, 4}, {DKV_E_TRANSIENT, 5}, {DKV_E_THROTTLED, 5}, {DKV_E_UNREACHABLE, 5}, {DKV_E_CANCELLED, 5},
        {DKV_E_AUTH, 6}, {DKV_E_DENIED, 6}, {DKV_E_REJECTED_CIPHERTEXT, 7}, {DKV_E_POLICY, 9}, {DKV_E_DISABLED, 9},
        {(enum dkv_rc)-99, 1}, {(enum dkv_rc)1, 1},
    };
    for (size_t i = 0; i < DKV_COUNT(table); i++) {
        CU_ASSERT_EQUAL_FATAL(dkv_cli_exit_code(table[i].rc), table[i].code);
    }
}

static const struct dkv_test tests[] = {
    DKV_TEST(a_command_its_arguments_and_options_are_found),
    DKV_TEST(global_options_may_stand_anywhere),
    DKV_TEST(two_hyphens_end_the_options),
    DKV_TEST(a_hyphen_and_an_empty_word_are_arguments),
    DKV_TEST(no_command_at_all_is_none),
    DKV_TEST(json_is_known_before_an_error),
    DKV_TEST(what_is_wrong_is_refused_and_named),
    DKV_TEST(the_tables_are_whole),
    DKV_TEST(every_class_has_the_exit_code_that_scripts_know),
};

int main(int argc, char **argv)
{
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
