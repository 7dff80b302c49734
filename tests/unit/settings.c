/* SPDX-License-Identifier: Apache-2.0 */
/* Option tables and the values read by them: each type, each refusal, and that no value is repeated in a message. */
#include "base/settings.h"

#include <stdio.h>

#include "base/mem.h"
#include "tests/lib/test.h"

enum { TEXT, PATH, SOURCE, NUMBER, BOOL, CHOICE, LIST, MAP, N };

static const char *const source_choices[] = {"file", "fd", "prompt", NULL};
static const char *const choices[] = {"user", "so", "context", NULL};
static const char *const extra[] = {"elsewhere", NULL};

static const struct dkv_option options[] = {
    [TEXT] = {.name = "token", .type = DKV_OPTION_TEXT, .help = "h"},
    [PATH] = {.name = "module", .type = DKV_OPTION_PATH, .help = "h"},
    [SOURCE] = {.name = "pin-source", .type = DKV_OPTION_SOURCE, .choices = source_choices, .help = "h"},
    [NUMBER] = {.name = "timeout-ms", .type = DKV_OPTION_NUMBER, .fallback = "500", .min = 1, .max = 1000, .help = "h"},
    [BOOL] = {.name = "allow-group-read", .type = DKV_OPTION_BOOL, .fallback = "false", .help = "h"},
    [CHOICE] = {.name = "user-type", .type = DKV_OPTION_CHOICE, .choices = choices, .fallback = "user", .help = "h"},
    [LIST] = {.name = "cmks", .type = DKV_OPTION_LIST, .help = "h"},
    [MAP] = {.name = "names", .type = DKV_OPTION_MAP, .help = "h"},
};

struct result {
    struct dkv_value values[N];
    struct dkv_faults faults;
};

static void read_with(const char *text, const struct dkv_option *table, size_t n, struct result *result)
{
    struct dkv_error err = {0};
    struct dkv_node *root = NULL;
    *result = (struct result){0};
    ASSERT_OK(dkv_yaml_parse(dkv_span_str(text), "t.conf", &root, NULL, &err));
    const enum dkv_rc rc = dkv_settings_read(root, "g", table, n, extra, result->values, &result->faults, &err);
    dkv_node_free(root); /* the values own what they show */
    ASSERT_OK(rc);
}

static void done(struct result *result)
{
    dkv_settings_done(result->values, N);
    dkv_faults_done(&result->faults);
}

static void good(const char *text, struct result *result)
{
    read_with(text, options, N, result);
    for (size_t i = 0; i < result->faults.n; i++) {
        printf("# %s: %s\n", result->faults.items[i].setting, result->faults.items[i].message);
    }
    CU_ASSERT_EQUAL_FATAL(result->faults.n, 0);
}

/* One fault, on that line, of that setting, with those words; and the option isn't set. */
static void bad(const char *text, unsigned line, const char *setting, const char *words)
{
    struct result result;
    read_with(text, options, N, &result);
    CU_ASSERT_EQUAL_FATAL(result.faults.n, 1);
    const struct dkv_fault *fault = result.faults.items;
    if (fault->line != line || strcmp(fault->setting, setting) != 0 || strstr(fault->message, words) == NULL) {
        printf("# %s gave %u: %s: %s\n", text, fault->line, fault->setting, fault->message);
    }
    CU_ASSERT_EQUAL(fault->line, line);
    CU_ASSERT_STRING_EQUAL(fault->setting, setting);
    CU_ASSERT_PTR_NOT_NULL(strstr(fault->message, words));
    CU_ASSERT_FALSE(fault->warning);
    for (size_t i = 0; i < N; i++) {
        CU_ASSERT(strstr(setting, options[i].name) == NULL || !result.values[i].is_set || options[i].fallback != NULL);
    }
    done(&result);
}

static void values_of_every_type_are_read(void)
{
    struct result result;
    good("token: pkcs11:token=x\nmodule: /usr/lib/m.so\npin-source: file:/etc/pin\ntimeout-ms: 7\n"
         "allow-group-read: true\nuser-type: so\ncmks: [a, b]\nnames:\n  n1: v1\n  n2: v2\nelsewhere: {x: y}\n",
         &result);

    CU_ASSERT_STRING_EQUAL(result.values[TEXT].text, "pkcs11:token=x");
    CU_ASSERT_STRING_EQUAL(result.values[PATH].text, "/usr/lib/m.so");
    CU_ASSERT_EQUAL(result.values[PATH].line, 2);
    CU_ASSERT_STRING_EQUAL(result.values[SOURCE].text, "file:/etc/pin");
    CU_ASSERT_EQUAL(result.values[NUMBER].number, 7);
    CU_ASSERT_PTR_NULL(result.values[NUMBER].text);
    CU_ASSERT_TRUE(result.values[BOOL].flag);
    CU_ASSERT_STRING_EQUAL(result.values[CHOICE].text, "so");
    CU_ASSERT_EQUAL(result.values[LIST].n_items, 2);
    CU_ASSERT_STRING_EQUAL(result.values[LIST].items[1], "b");
    CU_ASSERT_PTR_NULL(result.values[LIST].items[2]);
    CU_ASSERT_EQUAL(result.values[MAP].n_items, 4);
    CU_ASSERT_STRING_EQUAL(result.values[MAP].items[2], "n2");
    CU_ASSERT_STRING_EQUAL(result.values[MAP].items[3], "v2");
    CU_ASSERT_PTR_NULL(result.values[MAP].items[4]);
    done(&result);
}

static void what_is_absent_has_its_default_or_nothing(void)
{
    struct result result;
    good("", &result);

    CU_ASSERT_FALSE(result.values[TEXT].is_set);
    CU_ASSERT_TRUE(result.values[NUMBER].is_set);
    CU_ASSERT_EQUAL(result.values[NUMBER].number, 500);
    CU_ASSERT_EQUAL(result.values[NUMBER].line, 0);
    CU_ASSERT_FALSE(result.values[BOOL].flag);
    CU_ASSERT_STRING_EQUAL(result.values[CHOICE].text, "user");
    done(&result);
}

static void sources_may_be_a_descriptor_or_the_prompt(void)
{
    struct result result;
    good("pin-source: fd:3\n", &result);
    CU_ASSERT_STRING_EQUAL(result.values[SOURCE].text, "fd:3");
    done(&result);
    good("pin-source: prompt\n", &result);
    CU_ASSERT_STRING_EQUAL(result.values[SOURCE].text, "prompt");
    done(&result);
}

static void an_empty_list_is_a_list(void)
{
    struct result result;
    good("cmks: []\n", &result);
    CU_ASSERT_TRUE(result.values[LIST].is_set);
    CU_ASSERT_EQUAL(result.values[LIST].n_items, 0);
    CU_ASSERT_PTR_NULL(result.values[LIST].items[0]);
    done(&result);
}

static void a_boolean_is_true_or_false_and_nothing_else(void)
{
    static const char *const wrong[] = {"yes", "no", "on", "True", "FALSE", "1", "0", "~", "\"true \""};
    for (size_t i = 0; i < DKV_COUNT(wrong); i++) {
        char text[64];
        snprintf(text, sizeof(text), "\nallow-group-read: %s\n", wrong[i]);
        bad(text, 2, "g.allow-group-read", "must be true or false");
    }
}

static void a_number_is_decimal_and_within_its_bounds(void)
{
    static const char *const wrong[] = {"0", "1001", "-1", "+1", "010", "0x1", "1e2", "1.0", "1_0", " 5 x",
                                        "18446744073709551617", "abc"};
    for (size_t i = 0; i < DKV_COUNT(wrong); i++) {
        char text[64];
        snprintf(text, sizeof(text), "timeout-ms: %s\n", wrong[i]);
        bad(text, 1, "g.timeout-ms", "must be a whole number from 1 to 1000");
    }
}

static void the_largest_number_is_read_where_there_is_no_bound(void)
{
    static const struct dkv_option unbounded[] = {{.name = "n", .type = DKV_OPTION_NUMBER, .min = 5, .help = "h"}};
    struct result result;
    read_with("n: 18446744073709551615\n", unbounded, 1, &result);
    CU_ASSERT_EQUAL(result.values[0].number, UINT64_MAX);
    done(&result);
    read_with("n: 4\n", unbounded, 1, &result);
    CU_ASSERT_EQUAL_FATAL(result.faults.n, 1);
    CU_ASSERT_STRING_EQUAL(result.faults.items[0].message, "must be a whole number, 5 or more");
    done(&result);
}

static void a_path_is_absolute(void)
{
    bad("module: libsofthsm2.so\n", 1, "g.module", "absolute path");
    bad("module: ~/m.so\n", 1, "g.module", "absolute path");
}

static void a_path_longer_than_a_path_can_be_is_refused(void)
{
    char text[5000] = "module: /";
    memset(text + 9, 'a', 4096);
    bad(text, 1, "g.module", "longer than a path");
}

static void a_choice_is_one_of_the_choices(void)
{
    bad("user-type: root\n", 1, "g.user-type", "must be user, so or context");
}

static void kinds_must_fit(void)
{
    bad("token: [a]\n", 1, "g.token", "single value, not a list");
    bad("token:\n  a: b\n", 2, "g.token", "single value, not a map");
    bad("cmks: a\n", 1, "g.cmks", "must be a list");
    bad("cmks: {a: b}\n", 1, "g.cmks", "must be a list");
    bad("names: [a]\n", 1, "g.names", "must be a map");
    bad("cmks:\n- a\n- [b]\n", 3, "g.cmks", "isn't text");
    bad("cmks:\n- a\n-\n", 3, "g.cmks", "isn't text");
    bad("names:\n  a: b\n  c: {d: e}\n", 3, "g.names", "isn't text");
    bad("token:\n", 1, "g.token", "has no value");
    bad("token: ''\n", 1, "g.token", "has no value");
    bad("allow-group-read:\n", 1, "g.allow-group-read", "has no value");
}

static void a_group_that_is_no_map_is_one_fault(void)
{
    struct dkv_error err = {0};
    struct dkv_node *root = NULL;
    struct result result = {0};
    ASSERT_OK(dkv_yaml_parse(dkv_span_str("a: 1\ng: text\nh:\n"), "t.conf", &root, NULL, &err));

    ASSERT_OK(dkv_settings_read(dkv_node_child(root, "g"), "g", options, N, NULL, result.values, &result.faults, &err));

    CU_ASSERT_EQUAL_FATAL(result.faults.n, 1);
    CU_ASSERT_EQUAL(result.faults.items[0].line, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.faults.items[0].message, "group of settings"));
    dkv_faults_done(&result.faults);
    ASSERT_OK(dkv_settings_read(dkv_node_child(root, "h"), "h", options, N, NULL, result.values, &result.faults, &err));
    CU_ASSERT_EQUAL(result.faults.n, 0);
    CU_ASSERT_EQUAL(result.values[NUMBER].number, 500);
    dkv_node_free(root);
    done(&result);
}

static void a_missing_setting_is_told_at_its_group(void)
{
    static const struct dkv_option table[] = {{.name = "module", .type = DKV_OPTION_PATH, .required = true,
                                               .help = "h"}};
    struct result result;
    read_with("\n\nelsewhere: x\n", table, 1, &result);
    CU_ASSERT_EQUAL_FATAL(result.faults.n, 1);
    CU_ASSERT_EQUAL(result.faults.items[0].line, 3);
    CU_ASSERT_STRING_EQUAL(result.faults.items[0].setting, "g.module");
    CU_ASSERT_STRING_EQUAL(result.faults.items[0].message, "is missing");
    done(&result);
}

static void an_unknown_setting_is_told_with_the_nearest_name(void)
{
    bad("\nmodul: /x\n", 2, "g.modul", "did you mean \"module\"?");
    bad("pin_source: prompt\n", 1, "g.pin_source", "did you mean \"pin-source\"?");
    bad("pinSource: prompt\n", 1, "g.pinSource", "did you mean \"pin-source\"?");
    bad("elsewehre: x\n", 1, "g.elsewehre", "did you mean \"elsewhere\"?");
    bad("colour: x\n", 1, "g.colour", "config explain");
}

static void a_name_for_a_secret_is_refused_as_such(void)
{
    static const char *const names[] = {"pin", "PIN", "pin-value", "so-pin", "key", "password", "secret"};
    for (size_t i = 0; i < DKV_COUNT(names); i++) {
        char text[64], setting[64];
        snprintf(text, sizeof(text), "\n%s: 123456\n", names[i]);
        snprintf(setting, sizeof(setting), "g.%s", names[i]);
        bad(text, 2, setting, "never written in this file");
    }
}

static void what_is_not_shaped_like_a_name_is_not_shown(void)
{
    static const char *const slips[] = {
        "{pin:1234}", "{pin=1234}", "{1234}", "<<: x", "\"pin-source:1234\": x", "k\xC3\xB6y: x",
        "a123456789a123456789a123456789a123456789a12345678: x",
    };
    for (size_t i = 0; i < DKV_COUNT(slips); i++) {
        bad(slips[i], 1, "g", "not the name of a setting");
    }
}

/* Wherever a secret was written by mistake, no message repeats it. */
static void not_repeated(const char *text, const char *secret)
{
    struct result result;
    read_with(text, options, N, &result);
    CU_ASSERT_EQUAL_FATAL(result.faults.n, 1);
    CU_ASSERT_PTR_NULL(strstr(result.faults.items[0].message, secret));
    CU_ASSERT_PTR_NULL(strstr(result.faults.items[0].setting, secret));
    done(&result);
}

static void no_message_repeats_a_value(void)
{
    static const char *const settings[] = {"pin-source", "timeout-ms", "allow-group-read", "user-type", "module",
                                           "cmks", "names", "pin"};
    for (size_t i = 0; i < DKV_COUNT(settings); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s: s3cr3t-77\n", settings[i]);
        not_repeated(text, "s3cr3t");
    }
    not_repeated("token: pkcs11:token=x;pin-value=s3cr3t-77\n", "s3cr3t");
    not_repeated("pin-source: file:s3cr3t-77\n", "s3cr3t");
    not_repeated("pin-source: fd:s3cr3t-77\n", "s3cr3t");
}

static void a_source_that_is_the_secret_itself_is_refused(void)
{
    static const char *const wrong[] = {"123456",  "file:relative", "file:",  "file:/",  "fd:",    "fd:-1",
                                        "fd:2147483648",
                                        "fd:0x3", "Prompt",        "prompt:", "env:PIN", "pin:12", "/etc/dekvault/pin"};
    for (size_t i = 0; i < DKV_COUNT(wrong); i++) {
        char text[64];
        snprintf(text, sizeof(text), "\npin-source: '%s'\n", wrong[i]);
        bad(text, 2, "g.pin-source",
            "must be file:/absolute/path, fd:N or prompt; a PIN, key or password itself is never written");
    }
}

static void a_pin_in_a_uri_is_refused(void)
{
    bad("token: pkcs11:token=x?pin-value=1\n", 1, "g.token", "holds a PIN (pin-value)");
    bad("token: pkcs11:token=x;PIN-VALUE=1\n", 1, "g.token", "holds a PIN (pin-value)");
    bad("cmks:\n- a\n- pkcs11:object=x?pin-value=1\n", 3, "g.cmks", "holds a PIN (pin-value)");
}

static void a_text_that_looks_like_a_key_is_refused(void)
{
    char key[129], text[200];
    memset(key, 'A', 128);
    key[128] = '\0';
    snprintf(text, sizeof(text), "token: %s\n", key);
    bad(text, 1, "g.token", "looks like a key");
    snprintf(text, sizeof(text), "cmks:\n- %s\n", key);
    bad(text, 2, "g.cmks", "looks like a key");
    snprintf(text, sizeof(text), "pin-source: %s\n", key);
    bad(text, 1, "g.pin-source", "never written in this file");
    snprintf(text, sizeof(text), "token: |\n  %.64s\n  %.64s\n", key, key);
    bad(text, 1, "g.token", "looks like a key");
}

static void faults_keep_their_order_by_line(void)
{
    struct result result;
    read_with("zeta: 1\nallow-group-read: maybe\nalpha: 1\nmodule: x\ncmks: y\n", options, N, &result);
    dkv_faults_sort(&result.faults);
    CU_ASSERT_EQUAL_FATAL(result.faults.n, 5);
    for (unsigned i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(result.faults.items[i].line, i + 1);
    }
    done(&result);
}

static void faults_of_one_line_are_sorted_by_setting(void)
{
    struct dkv_error err = {0};
    struct dkv_faults faults = {0};
    static const char *const settings[] = {"c", "a", "b", "a"};
    for (size_t i = 0; i < DKV_COUNT(settings); i++) {
        ASSERT_OK(dkv_fault_add(&faults, 1, settings[i], &err, "%zu", 9 - i));
    }
    dkv_faults_sort(&faults);
    CU_ASSERT_STRING_EQUAL(faults.items[0].message, "6");
    CU_ASSERT_STRING_EQUAL(faults.items[1].message, "8");
    CU_ASSERT_STRING_EQUAL(faults.items[2].setting, "b");
    CU_ASSERT_STRING_EQUAL(faults.items[3].setting, "c");
    dkv_faults_done(&faults);
}

static void faults_are_one_line_of_valid_text(void)
{
    struct dkv_error err = {0};
    struct dkv_faults faults = {0};
    char setting[DKV_SETTING_MAX], name[400];
    memset(name, 'a', sizeof(name));
    memcpy(name + 155, "\xC3\xA4\xC3\xA4\xC3\xA4", 6);
    name[399] = '\0';

    dkv_setting_path(setting, "g", name);
    ASSERT_OK(dkv_fault_add(&faults, 1, setting, &err, "a\nb\x1B[31m%s", name));
    ASSERT_OK(dkv_fault_add_warning(&faults, 1, NULL, &err, "w"));

    CU_ASSERT_TRUE(dkv_utf8_is_valid(dkv_span_str(faults.items[0].setting)));
    CU_ASSERT_EQUAL(strncmp(faults.items[0].message, "a?b?[31m", 8), 0);
    CU_ASSERT_EQUAL(dkv_faults_n_errors(&faults), 1);
    CU_ASSERT_TRUE(faults.items[1].warning);
    CU_ASSERT_STRING_EQUAL(faults.items[1].setting, "");
    dkv_faults_done(&faults);
}

static void the_nearest_name_is_near(void)
{
    static const char *const words[] = {"store", "store-source", "namespace", "names", "cmk", "cmks"};
    CU_ASSERT_STRING_EQUAL(dkv_nearest("stroe", words, DKV_COUNT(words)), "store");
    CU_ASSERT_STRING_EQUAL(dkv_nearest("storeSource", words, DKV_COUNT(words)), "store-source");
    CU_ASSERT_STRING_EQUAL(dkv_nearest("name", words, DKV_COUNT(words)), "names");
    CU_ASSERT_STRING_EQUAL(dkv_nearest("cmk", words, DKV_COUNT(words)), "cmk");
    CU_ASSERT_STRING_EQUAL(dkv_nearest("cm", words, DKV_COUNT(words)), "cmk");
    CU_ASSERT_STRING_EQUAL(dkv_nearest("NAMESPACE", words, DKV_COUNT(words)), "namespace");
    CU_ASSERT_PTR_NULL(dkv_nearest("xyz", words, DKV_COUNT(words)));
    CU_ASSERT_PTR_NULL(dkv_nearest("", words, DKV_COUNT(words)));
    CU_ASSERT_PTR_NULL(dkv_nearest("store", words, 0));
    CU_ASSERT_PTR_NULL(dkv_nearest("storestorestorestorestorestorestorestorestorestorestorestorestores", words,
                                   DKV_COUNT(words)));
}

static void a_default_that_does_not_fit_is_a_defect_of_ours(void)
{
    static const struct dkv_option wrong[] = {{.name = "b", .type = DKV_OPTION_BOOL, .fallback = "yes", .help = "h"},
                                              {.name = "l", .type = DKV_OPTION_LIST, .fallback = "a", .help = "h"}};
    for (size_t i = 0; i < DKV_COUNT(wrong); i++) {
        struct dkv_error err = {0};
        struct dkv_faults faults = {0};
        struct dkv_value value;
        ASSERT_RC(DKV_E_INTERNAL, dkv_settings_read(NULL, "g", &wrong[i], 1, NULL, &value, &faults, &err));
        dkv_faults_done(&faults);
    }
}

static void types_have_names(void)
{
    for (unsigned type = DKV_OPTION_TEXT; type <= DKV_OPTION_MAP; type++) {
        CU_ASSERT_STRING_NOT_EQUAL(dkv_option_type_name((enum dkv_option_type)type), "unknown");
    }
    CU_ASSERT_STRING_EQUAL(dkv_option_type_name((enum dkv_option_type)(DKV_OPTION_MAP + 1)), "unknown");
}

static enum dkv_rc read_body(void *arg, struct dkv_error *err)
{
    struct result result = {0};
    const enum dkv_rc rc = dkv_settings_read((const struct dkv_node *)arg, "g", options, N, extra, result.values,
                                             &result.faults, err);
    done(&result);
    return rc;
}

static void every_failed_allocation_is_told(void)
{
    struct dkv_error err = {0};
    struct dkv_node *root = NULL;
    static const char text[] = "token: x\nmodule: /m\ncmks: [a, b]\nnames: {a: b}\nmodul: y\nuser-type: z\n";
    ASSERT_OK(dkv_yaml_parse(dkv_span_str(text), "t.conf", &root,
                             NULL, &err));
    CU_ASSERT(dkv_test_each_alloc_fails(read_body, root) >= 6);
    dkv_node_free(root);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(values_of_every_type_are_read),
        DKV_TEST(what_is_absent_has_its_default_or_nothing),
        DKV_TEST(sources_may_be_a_descriptor_or_the_prompt),
        DKV_TEST(an_empty_list_is_a_list),
        DKV_TEST(a_boolean_is_true_or_false_and_nothing_else),
        DKV_TEST(a_number_is_decimal_and_within_its_bounds),
        DKV_TEST(the_largest_number_is_read_where_there_is_no_bound),
        DKV_TEST(a_path_is_absolute),
        DKV_TEST(a_path_longer_than_a_path_can_be_is_refused),
        DKV_TEST(a_choice_is_one_of_the_choices),
        DKV_TEST(kinds_must_fit),
        DKV_TEST(a_group_that_is_no_map_is_one_fault),
        DKV_TEST(a_missing_setting_is_told_at_its_group),
        DKV_TEST(an_unknown_setting_is_told_with_the_nearest_name),
        DKV_TEST(a_name_for_a_secret_is_refused_as_such),
        DKV_TEST(what_is_not_shaped_like_a_name_is_not_shown),
        DKV_TEST(no_message_repeats_a_value),
        DKV_TEST(a_source_that_is_the_secret_itself_is_refused),
        DKV_TEST(a_pin_in_a_uri_is_refused),
        DKV_TEST(a_text_that_looks_like_a_key_is_refused),
        DKV_TEST(faults_keep_their_order_by_line),
        DKV_TEST(faults_of_one_line_are_sorted_by_setting),
        DKV_TEST(faults_are_one_line_of_valid_text),
        DKV_TEST(the_nearest_name_is_near),
        DKV_TEST(a_default_that_does_not_fit_is_a_defect_of_ours),
        DKV_TEST(types_have_names),
        DKV_TEST(every_failed_allocation_is_told),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
