/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of `providers`: which table an id means, and what its settings may be. */
#include "providers/entry.h"

#include <limits.h>

#include "base/mem.h"
#include "providers/local/local.h"
#include "tests/unit/plugins/plugins.h"

#define KEY_SOURCE "    key-source: file:$KEY\n" /* a file that can be had: expand */

static struct dkv_node *root;
static struct dkv_provider_entry *entry;
static struct dkv_faults faults;

static void clear(void)
{
    dkv_provider_entry_free(entry);
    dkv_faults_done(&faults);
    dkv_node_free(root);
    entry = NULL;
    root = NULL;
}

/* $KEY becomes a secret file and $MODULE a file that could be loaded, both there. */
static void expand(const char *text, char *ret, size_t capacity)
{
    const char *key = dkv_test_write("local.key", "", 0, 0600);
    const char *module = dkv_test_write("module.so", "", 0, 0644);
    size_t at = 0;
    while (*text != '\0' && at < capacity - PATH_MAX) {
        const bool is_key = strncmp(text, "$KEY", 4) == 0, is_module = strncmp(text, "$MODULE", 7) == 0;
        at += (size_t)snprintf(ret + at, capacity - at, "%.*s", is_key || is_module ? PATH_MAX : 1,
                               is_key ? key : is_module ? module : text);
        text += is_key ? 4 : is_module ? 7 : 1;
    }
    CU_ASSERT_EQUAL_FATAL(*text, '\0');
}

/* The first entry of a provider file's text, which begins below `providers:` (line 1). */
static void read_entry(const char *below)
{
    struct dkv_error err = {0};
    static char text[16384], expanded[32768];
    unsigned line = 0;
    clear();
    snprintf(text, sizeof(text), "providers:\n%s", below);
    expand(text, expanded, sizeof(expanded));
    ASSERT_OK(dkv_yaml_parse(dkv_span_str(expanded), "test.conf", &root, &line, &err));
    ASSERT_OK(dkv_provider_entry_read(root->first->first, "test.conf", &entry, &faults, &err));
}

static void assert_whole(void)
{
    for (size_t i = 0; i < faults.n; i++) {
        printf("# %u %s: %s\n", faults.items[i].line, faults.items[i].setting, faults.items[i].message);
    }
    CU_ASSERT_EQUAL_FATAL(faults.n, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
}

/* One fault and no other, and no entry. */
static void assert_fault(unsigned line, const char *setting, const char *words)
{
    CU_ASSERT_PTR_NULL_FATAL(entry);
    CU_ASSERT_EQUAL_FATAL(faults.n, 1);
    const struct dkv_fault *fault = &faults.items[0];
    if (fault->line != line || strcmp(fault->setting, setting) != 0 || strstr(fault->message, words) == NULL) {
        printf("# %u %s: %s\n", fault->line, fault->setting, fault->message);
    }
    CU_ASSERT_EQUAL_FATAL(fault->line, line);
    CU_ASSERT_STRING_EQUAL_FATAL(fault->setting, setting);
    CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(fault->message, words));
}

/* ---- Ids ---- */

static void an_id_is_a_type_or_a_type_and_a_name(void)
{
    static const struct {
        const char *id;
        size_t type_len;
    } good[] = {{"local", 5}, {"local:a", 5}, {"pkcs11:Prod_2", 6}, {"a:_", 1}, {"x9", 2}};
    for (size_t i = 0; i < DKV_COUNT(good); i++) {
        size_t type_len = 0;
        CU_ASSERT_TRUE(dkv_provider_id_parse(good[i].id, &type_len));
        CU_ASSERT_EQUAL(type_len, good[i].type_len);
    }
}

static void a_malformed_id_is_refused_and_touches_nothing(void)
{
    static const char *const bad[] = {"",        ":",         ":a",      "local:",   "local:a-b", "local:a:b", "Local",
                                      "1local",  "lo-cal",    "local ",  " local",   "local:a ",  "local:\xc3\xa4",
                                      "lo_cal"};
    for (size_t i = 0; i < DKV_COUNT(bad); i++) {
        size_t type_len = 77;
        CU_ASSERT_FALSE(dkv_provider_id_parse(bad[i], &type_len));
        CU_ASSERT_EQUAL(type_len, 77);
    }
}

static void a_malformed_id_is_a_fault(void)
{
    read_entry("  local:a-b:\n" KEY_SOURCE);

    assert_fault(2, "providers.local:a-b", "not a provider id");
}

static void an_id_that_errors_could_not_hold_is_a_fault(void)
{
    read_entry("  local:a23456789012345678901234567890123456789012345678901234567890:\n" KEY_SOURCE);

    CU_ASSERT_PTR_NULL(entry);
    CU_ASSERT_EQUAL_FATAL(faults.n, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(faults.items[0].message, "at most 63 characters"));
}

/* ---- Types ---- */

static void a_prefix_of_a_type_is_no_type(void)
{
    static const char *const prefixes[] = {"l", "loca", "p", "pkcs1", "pkcs", "locals"};
    for (size_t i = 0; i < DKV_COUNT(prefixes); i++) {
        char text[128], setting[64];
        snprintf(text, sizeof(text), "  %s:\n%s", prefixes[i], KEY_SOURCE);
        snprintf(setting, sizeof(setting), "providers.%s", prefixes[i]);
        read_entry(text);
        assert_fault(2, setting, "known are: local, pkcs11");
    }
}

static void mongodbs_other_types_are_told_to_be_not_built_in(void)
{
    static const char *const types[] = {"aws", "azure", "gcp", "kmip"};
    for (size_t i = 0; i < DKV_COUNT(types); i++) {
        char text[128], setting[64];
        snprintf(text, sizeof(text), "  %s:x:\n    region: eu\n", types[i]);
        snprintf(setting, sizeof(setting), "providers.%s:x", types[i]);
        read_entry(text);
        assert_fault(2, setting, "is not built in");
    }
}

static void a_reserved_type_takes_no_plugin(void)
{
    static const char *const types[] = {"aws", "azure", "gcp", "kmip", "local", "pkcs11"};
    for (size_t i = 0; i < DKV_COUNT(types); i++) {
        char text[256], setting[64];
        snprintf(text, sizeof(text), "  %s:x:\n    plugin: /usr/lib/x.so\n", types[i]);
        snprintf(setting, sizeof(setting), "providers.%s:x.plugin", types[i]);
        read_entry(text);
        assert_fault(3, setting, "takes no plug-in");
    }
}

/* ---- Settings ---- */

static void a_local_entry_has_its_settings_and_the_defaults(void)
{
    read_entry("  local:dev:\n" KEY_SOURCE);

    assert_whole();
    CU_ASSERT_PTR_EQUAL(entry->ops, &dkv_local_ops);
    CU_ASSERT_STRING_EQUAL(entry->id, "local:dev");
    CU_ASSERT_STRING_EQUAL(entry->settings.id, "local:dev");
    CU_ASSERT_STRING_EQUAL(entry->settings.file, "test.conf");
    CU_ASSERT_EQUAL(entry->settings.line, 2);
    CU_ASSERT_PTR_NULL(entry->settings.cmk);
    CU_ASSERT_EQUAL(entry->settings.n_cmks, 0);
    CU_ASSERT_PTR_NULL(entry->settings.cmks[0]);
    CU_ASSERT_EQUAL(entry->settings.timeout_ms, 10000);
    CU_ASSERT_EQUAL(entry->settings.parallel, 4);
    CU_ASSERT_FALSE(entry->settings.allow_group_read);
    CU_ASSERT_STRING_EQUAL(entry->settings.values[0].text + 5, dkv_test_path("local.key"));
    CU_ASSERT_EQUAL(entry->settings.values[0].line, 3);
}

static void common_settings_are_taken_from_the_file(void)
{
    read_entry("  local:\n" KEY_SOURCE "    timeout-ms: 600000\n    parallel: 256\n    allow-group-read: true\n");

    assert_whole();
    CU_ASSERT_EQUAL(entry->settings.timeout_ms, 600000);
    CU_ASSERT_EQUAL(entry->settings.parallel, 256);
    CU_ASSERT_TRUE(entry->settings.allow_group_read);
}

static void values_out_of_range_are_faults(void)
{
    static const char *const bad[] = {"timeout-ms: 0",  "timeout-ms: 600001", "timeout-ms: 1s",       "timeout-ms: -1",
                                      "parallel: 0",    "parallel: 257",      "allow-group-read: yes"};
    for (size_t i = 0; i < DKV_COUNT(bad); i++) {
        char text[256];
        snprintf(text, sizeof(text), "  local:\n%s    %s\n", KEY_SOURCE, bad[i]);
        read_entry(text);
        CU_ASSERT_PTR_NULL_FATAL(entry);
        CU_ASSERT_EQUAL_FATAL(faults.n, 1);
        CU_ASSERT_EQUAL(faults.items[0].line, 4);
    }
}

static void a_missing_required_setting_is_a_fault(void)
{
    read_entry("  local:\n    parallel: 2\n");

    assert_fault(2, "providers.local.key-source", "is missing");
}

static void an_entry_without_settings_is_a_fault_where_one_is_required(void)
{
    read_entry("  local:\n");

    assert_fault(2, "providers.local.key-source", "is missing");
}

static void an_entry_that_is_no_group_is_a_fault(void)
{
    read_entry("  local: file:/etc/x\n");

    assert_fault(2, "providers.local", "group of settings");
}

static void the_nearest_name_is_found_over_common_and_own_settings(void)
{
    read_entry("  local:\n" KEY_SOURCE "    paralel: 2\n");
    assert_fault(4, "providers.local.paralel", "\"parallel\"");

    read_entry("  local:\n" KEY_SOURCE "    key-sorce: file:/etc/x\n");
    assert_fault(4, "providers.local.key-sorce", "\"key-source\"");
}

static void a_local_provider_takes_no_cmk(void)
{
    read_entry("  local:\n" KEY_SOURCE "    cmk: x\n");
    assert_fault(4, "providers.local.cmk", "one CMK");

    read_entry("  local:\n" KEY_SOURCE "    cmks: [x]\n");
    assert_fault(4, "providers.local.cmks", "one CMK");
}

static void a_local_key_comes_from_a_file_and_nowhere_else(void)
{
    static const char *const bad[] = {"prompt", "fd:3", "file:local.key", "/etc/local.key", "'file:'"};
    for (size_t i = 0; i < DKV_COUNT(bad); i++) {
        char text[256];
        snprintf(text, sizeof(text), "  local:\n    key-source: %s\n", bad[i]);
        read_entry(text);
        assert_fault(3, "providers.local.key-source", "must be file:");
    }
}

static void all_faults_are_told(void)
{
    read_entry("  local:\n    cmk: x\n    parallel: 0\n    colour: red\n");

    CU_ASSERT_PTR_NULL(entry);
    CU_ASSERT_EQUAL(faults.n, 4); /* and key-source is missing */
}

/* ---- What only the type can judge ---- */

#define TOKEN_ENTRY "  pkcs11:a:\n    module: $MODULE\n    pin-source: prompt\n"

static void a_token_uri_without_a_serial_is_warned_of(void)
{
    read_entry(TOKEN_ENTRY "    token: pkcs11:token=prod\n");

    CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
    CU_ASSERT_EQUAL_FATAL(faults.n, 1);
    CU_ASSERT_TRUE(faults.items[0].warning);
    CU_ASSERT_EQUAL(faults.items[0].line, 5);
    CU_ASSERT_STRING_EQUAL(faults.items[0].setting, "providers.pkcs11:a.token");
    CU_ASSERT_PTR_NOT_NULL(strstr(faults.items[0].message, "serial"));
}

/* An entry all the same. */
static void assert_warning(unsigned line, const char *setting, const char *words)
{
    CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
    CU_ASSERT_EQUAL_FATAL(faults.n, 1);
    if (strstr(faults.items[0].message, words) == NULL) {
        printf("# %u %s: %s\n", faults.items[0].line, faults.items[0].setting, faults.items[0].message);
    }
    CU_ASSERT_TRUE(faults.items[0].warning);
    CU_ASSERT_EQUAL(faults.items[0].line, line);
    CU_ASSERT_STRING_EQUAL(faults.items[0].setting, setting);
    CU_ASSERT_PTR_NOT_NULL(strstr(faults.items[0].message, words));
}

static void a_local_key_file_that_couldnt_be_used_is_warned_of(void)
{
    char text[PATH_MAX + 64];
    read_entry("  local:\n    key-source: file:/nowhere/local.key\n");
    assert_warning(3, "providers.local.key-source", "/nowhere");

    snprintf(text, sizeof(text), "  local:\n    key-source: file:%s\n", dkv_test_write("open.key", "", 0, 0644));
    read_entry(text);
    assert_warning(3, "providers.local.key-source", "chmod go=");
    snprintf(text, sizeof(text), "  local:\n    allow-group-read: true\n    key-source: file:%s\n",
             dkv_test_write("group.key", "", 0, 0640));
    read_entry(text);
    assert_whole();
}

#define ENTRY_OF(module, pin_source) \
    "  pkcs11:a:\n    token: pkcs11:token=prod;serial=1a\n    module: " module "\n    pin-source: " pin_source "\n"

static void a_pin_file_that_couldnt_be_used_is_warned_of(void)
{
    read_entry(ENTRY_OF("$MODULE", "file:/nowhere/pin"));
    assert_warning(5, "providers.pkcs11:a.pin-source", "/nowhere");

    read_entry(ENTRY_OF("$MODULE", "file:$MODULE")); /* which others may read */
    assert_warning(5, "providers.pkcs11:a.pin-source", "chmod go=");
    read_entry(ENTRY_OF("$MODULE", "file:$KEY"));
    assert_whole();
    read_entry(ENTRY_OF("$MODULE", "fd:9"));
    assert_whole();
}

static void a_module_that_couldnt_be_loaded_is_warned_of(void)
{
    char text[PATH_MAX + 256];
    read_entry(ENTRY_OF("/nowhere/m.so", "prompt"));
    assert_warning(4, "providers.pkcs11:a.module", "/nowhere");

    snprintf(text, sizeof(text), ENTRY_OF("%s", "prompt"), dkv_test_write("open.so", "", 0, 0666));
    read_entry(text);
    assert_warning(4, "providers.pkcs11:a.module", "chmod go-w");
}

static void a_token_uri_with_a_serial_is_whole(void)
{
    read_entry(TOKEN_ENTRY "    token: pkcs11:token=prod;serial=1a\n    cmk: id:00ff\n    cmks: [pkcs11:object=a, b]\n");

    assert_whole();
}

static void a_token_uri_is_judged_with_the_file(void)
{
    static const struct {
        const char *token, *words;
    } bad[] = {
        {"prod", "must start with pkcs11:"},
        {"pkcs11:token=prod?pin-value=hunter2", "holds a PIN"},
        {"pkcs11:token=prod?pin-source=/x", "no PIN belongs in the URI"},
        {"pkcs11:token=prod?module-path=/x", "no module belongs in the URI"},
        {"pkcs11:token=prod;colour=red", "RFC 7512 doesn't know"},
        {"pkcs11:token=prod;object=cmk", "names an object"},
        {"'pkcs11:'", "must say which token"},
    };
    for (size_t i = 0; i < DKV_COUNT(bad); i++) {
        char text[512];
        snprintf(text, sizeof(text), TOKEN_ENTRY "    token: %s\n", bad[i].token);

        read_entry(text);

        assert_fault(5, "providers.pkcs11:a.token", bad[i].words);
        CU_ASSERT_PTR_NULL(strstr(faults.items[0].message, "hunter2"));
    }
}

static void a_malformed_cmk_reference_is_a_fault_on_its_line(void)
{
    read_entry(TOKEN_ENTRY "    token: pkcs11:token=prod;serial=1a\n    cmk: id:0g\n");
    assert_fault(6, "providers.pkcs11:a.cmk", "");

    read_entry(TOKEN_ENTRY "    token: pkcs11:token=prod;serial=1a\n    cmks:\n      - id:00\n      - id:0g\n");
    CU_ASSERT_PTR_NULL(entry);
    CU_ASSERT_EQUAL(faults.n, 1);
    CU_ASSERT_STRING_EQUAL(faults.items[0].setting, "providers.pkcs11:a.cmks");
}

/* ---- Plug-ins ---- */

static void read_plugin_entry(const char *id, const char *path, const char *more)
{
    char text[4096 + 256];
    snprintf(text, sizeof(text), "  %s:\n    plugin: %s\n%s", id, path, more);
    read_entry(text);
}

static void a_plugins_type_is_read_with_its_own_settings(void)
{
    read_plugin_entry("fake:a", plugin_copy(PLUGIN_VARIANT("whole"), "whole.so", 0600),
                      "    colour: red\n    cmk: one\n    cmks: [two, three]\n");

    assert_whole();
    CU_ASSERT_STRING_EQUAL(entry->ops->type, "fake");
    CU_ASSERT_PTR_NOT_NULL(entry->plugin);
    CU_ASSERT_STRING_EQUAL(entry->settings.cmk, "one");
    CU_ASSERT_EQUAL_FATAL(entry->settings.n_cmks, 2);
    CU_ASSERT_STRING_EQUAL(entry->settings.cmks[1], "three");
    CU_ASSERT_STRING_EQUAL(entry->settings.values[0].text, "red");
}

static void a_plugins_unknown_setting_is_a_fault(void)
{
    read_plugin_entry("fake", plugin_copy(PLUGIN_VARIANT("whole"), "whole.so", 0600), "    colur: red\n");

    assert_fault(4, "providers.fake.colur", "\"colour\"");
}

static void an_unknown_type_needs_a_plugin(void)
{
    read_entry("  fake:\n    colour: red\n");

    assert_fault(2, "providers.fake", "any other needs `plugin`");
}

static void a_plugin_of_another_type_is_a_fault(void)
{
    read_plugin_entry("other", plugin_copy(PLUGIN_VARIANT("whole"), "whole.so", 0600), "");

    assert_fault(3, "providers.other.plugin", "for the type \"fake\", not \"other\"");
}

static void a_plugin_path_that_is_not_absolute_is_a_fault(void)
{
    read_plugin_entry("fake", "whole.so", "");

    assert_fault(3, "providers.fake.plugin", "absolute path");
}

static void a_plugin_that_is_no_path_is_a_fault(void)
{
    read_entry("  fake:\n    plugin: [/a, /b]\n");

    assert_fault(3, "providers.fake.plugin", "absolute path");
}

static void a_plugin_that_others_may_write_is_a_fault(void)
{
    read_plugin_entry("fake", plugin_copy(PLUGIN_VARIANT("whole"), "writable.so", 0666), "");

    assert_fault(3, "providers.fake.plugin", "writable.so");
}

static void a_plugin_of_another_abi_is_a_fault(void)
{
    read_plugin_entry("fake", plugin_copy(PLUGIN_VARIANT("abi"), "abi.so", 0600), "");

    assert_fault(3, "providers.fake.plugin", "ABI version 2");
}

/* ---- Memory ---- */

static enum dkv_rc read_once(void *arg, struct dkv_error *err)
{
    struct dkv_provider_entry *made = NULL;
    struct dkv_faults found = {0};
    const enum dkv_rc rc = dkv_provider_entry_read(arg, "test.conf", &made, &found, err);
    CU_ASSERT_EQUAL(rc == DKV_OK && found.n == 0, made != NULL);
    dkv_provider_entry_free(made);
    dkv_faults_done(&found);
    return rc;
}

static void each_failing_allocation_is_told_and_leaves_nothing(void)
{
    read_entry("  local:\n" KEY_SOURCE);

    const size_t failed = dkv_test_each_alloc_fails(read_once, root->first->first);

    CU_ASSERT_TRUE(failed >= 4);
}

static enum dkv_rc read_faulty_once(void *arg, struct dkv_error *err)
{
    struct dkv_provider_entry *made = NULL;
    struct dkv_faults found = {0};
    const enum dkv_rc rc = dkv_provider_entry_read(arg, "test.conf", &made, &found, err);
    CU_ASSERT_PTR_NULL(made);
    dkv_faults_done(&found);
    return rc;
}

static void each_failing_allocation_of_a_faulty_entry_is_told(void)
{
    read_plugin_entry("other", plugin_copy(PLUGIN_VARIANT("whole"), "whole.so", 0600), "");

    CU_ASSERT_TRUE(dkv_test_each_alloc_fails(read_faulty_once, root->first->first) >= 3);
}

static void freeing_nothing_is_fine(void)
{
    dkv_provider_entry_free(NULL);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(an_id_is_a_type_or_a_type_and_a_name),
        DKV_TEST(a_malformed_id_is_refused_and_touches_nothing),
        DKV_TEST(a_malformed_id_is_a_fault),
        DKV_TEST(an_id_that_errors_could_not_hold_is_a_fault),
        DKV_TEST(a_prefix_of_a_type_is_no_type),
        DKV_TEST(mongodbs_other_types_are_told_to_be_not_built_in),
        DKV_TEST(a_reserved_type_takes_no_plugin),
        DKV_TEST(a_local_entry_has_its_settings_and_the_defaults),
        DKV_TEST(common_settings_are_taken_from_the_file),
        DKV_TEST(values_out_of_range_are_faults),
        DKV_TEST(a_missing_required_setting_is_a_fault),
        DKV_TEST(an_entry_without_settings_is_a_fault_where_one_is_required),
        DKV_TEST(an_entry_that_is_no_group_is_a_fault),
        DKV_TEST(the_nearest_name_is_found_over_common_and_own_settings),
        DKV_TEST(a_local_provider_takes_no_cmk),
        DKV_TEST(a_local_key_comes_from_a_file_and_nowhere_else),
        DKV_TEST(all_faults_are_told),
        DKV_TEST(a_token_uri_without_a_serial_is_warned_of),
        DKV_TEST(a_local_key_file_that_couldnt_be_used_is_warned_of),
        DKV_TEST(a_pin_file_that_couldnt_be_used_is_warned_of),
        DKV_TEST(a_module_that_couldnt_be_loaded_is_warned_of),
        DKV_TEST(a_token_uri_with_a_serial_is_whole),
        DKV_TEST(a_token_uri_is_judged_with_the_file),
        DKV_TEST(a_malformed_cmk_reference_is_a_fault_on_its_line),
        DKV_TEST(a_plugins_type_is_read_with_its_own_settings),
        DKV_TEST(a_plugins_unknown_setting_is_a_fault),
        DKV_TEST(an_unknown_type_needs_a_plugin),
        DKV_TEST(a_plugin_of_another_type_is_a_fault),
        DKV_TEST(a_plugin_path_that_is_not_absolute_is_a_fault),
        DKV_TEST(a_plugin_that_is_no_path_is_a_fault),
        DKV_TEST(a_plugin_that_others_may_write_is_a_fault),
        DKV_TEST(a_plugin_of_another_abi_is_a_fault),
        DKV_TEST(each_failing_allocation_is_told_and_leaves_nothing),
        DKV_TEST(each_failing_allocation_of_a_faulty_entry_is_told),
        DKV_TEST(freeing_nothing_is_fine),
    };
    const int status = dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
    clear();
    return status;
}
