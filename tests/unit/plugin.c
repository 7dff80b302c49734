/* SPDX-License-Identifier: Apache-2.0 */
/* Loading third parties' providers: who may have written them, and what they must be. */
#include <sys/stat.h>
#include <unistd.h>

#include "providers/registry.h"
#include "tests/unit/plugins/plugins.h"

static const struct dkv_provider_ops *ops;
static void *handle;

static enum dkv_rc load(const char *path, struct dkv_error *err)
{
    ops = NULL;
    handle = NULL;
    return dkv_plugin_load(path, &ops, &handle, err);
}

static void assert_nothing_loaded(void)
{
    CU_ASSERT_PTR_NULL(ops);
    CU_ASSERT_PTR_NULL(handle);
}

static void a_whole_plugin_is_loaded(void)
{
    struct dkv_error err = {0};
    const char *path = plugin_copy(PLUGIN_VARIANT("whole"), "whole.so", 0600);

    ASSERT_OK(load(path, &err));

    CU_ASSERT_STRING_EQUAL(ops->type, "fake");
    dkv_plugin_unload(handle);
}

static void unloading_nothing_is_fine(void)
{
    dkv_plugin_unload(NULL);
}

static void a_plugin_behind_a_symbolic_link_is_judged_where_it_lies(void)
{
    struct dkv_error err = {0};
    CU_ASSERT_EQUAL_FATAL(mkdir(dkv_test_path("open"), 0700), 0);
    const char *path = plugin_copy(PLUGIN_VARIANT("whole"), "open/whole.so", 0600);
    CU_ASSERT_EQUAL_FATAL(chmod(dkv_test_path("open"), 0777), 0);
    const char *link_path = dkv_test_path("link.so");
    CU_ASSERT_EQUAL_FATAL(symlink(path, link_path), 0);

    ASSERT_RC(DKV_E_CONFIG, load(link_path, &err));

    assert_nothing_loaded();
}

static void a_plugin_that_others_may_write_is_refused(void)
{
    static const unsigned modes[] = {0602, 0620, 0666, 0777};
    for (size_t i = 0; i < DKV_COUNT(modes); i++) {
        struct dkv_error err = {0};
        const char *path = plugin_copy(PLUGIN_VARIANT("whole"), "writable.so", modes[i]);

        ASSERT_RC(DKV_E_CONFIG, load(path, &err));

        ASSERT_SAYS("writable.so");
        assert_nothing_loaded();
    }
}

static void a_plugin_in_a_folder_that_others_may_write_is_refused(void)
{
    static const unsigned modes[] = {0702, 0720, 01777};
    CU_ASSERT_EQUAL_FATAL(mkdir(dkv_test_path("folder"), 0700), 0);
    for (size_t i = 0; i < DKV_COUNT(modes); i++) {
        struct dkv_error err = {0};
        const char *path = plugin_copy(PLUGIN_VARIANT("whole"), "folder/whole.so", 0600);
        CU_ASSERT_EQUAL_FATAL(chmod(dkv_test_path("folder"), (mode_t)modes[i]), 0);

        ASSERT_RC(DKV_E_CONFIG, load(path, &err));

        ASSERT_SAYS("folder");
        assert_nothing_loaded();
    }
}

static void a_plugin_of_another_user_is_refused(void)
{
    struct dkv_error err = {0};
    if (geteuid() != 0) {
        dkv_test_skip("only root can give a file away");
        return;
    }
    const char *path = plugin_copy(PLUGIN_VARIANT("whole"), "other.so", 0644);
    CU_ASSERT_EQUAL_FATAL(chown(path, 65534, 65534), 0);

    ASSERT_RC(DKV_E_CONFIG, load(path, &err));

    assert_nothing_loaded();
}

static void a_plugin_that_is_not_there_is_refused(void)
{
    struct dkv_error err = {0};

    const enum dkv_rc rc = load(dkv_test_path("none.so"), &err);

    CU_ASSERT_TRUE(rc == DKV_E_NOT_FOUND || rc == DKV_E_CONFIG);
    ASSERT_SAYS("none.so");
    assert_nothing_loaded();
}

static void a_file_that_is_no_shared_object_is_refused(void)
{
    struct dkv_error err = {0};
    const char *path = dkv_test_write("text.so", "text", 4, 0600);

    ASSERT_RC(DKV_E_CONFIG, load(path, &err));

    ASSERT_SAYS("can't be loaded");
    assert_nothing_loaded();
}

static void each_variant_is_refused_in_words_of_its_own(void)
{
    static const struct {
        const char *from;
        const char *words;
    } variants[] = {
        {PLUGIN_VARIANT("abi"), "ABI version 2"},
        {PLUGIN_VARIANT("reserved"), "\"aws\", a name that no plug-in may take"},
        {PLUGIN_VARIANT("hole"), "lacks the required member wrap"},
        {PLUGIN_VARIANT("nameless"), "doesn't export dekvault_provider"},
    };
    for (size_t i = 0; i < DKV_COUNT(variants); i++) {
        struct dkv_error err = {0};
        char name[32];
        snprintf(name, sizeof(name), "variant-%zu.so", i);
        const char *path = plugin_copy(variants[i].from, name, 0600);

        ASSERT_RC(DKV_E_CONFIG, load(path, &err));

        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, name));
        if (strstr(err.message, variants[i].words) == NULL) {
            printf("# %s\n", err.message);
        }
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, variants[i].words));
        assert_nothing_loaded();
    }
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_whole_plugin_is_loaded),
        DKV_TEST(unloading_nothing_is_fine),
        DKV_TEST(a_plugin_behind_a_symbolic_link_is_judged_where_it_lies),
        DKV_TEST(a_plugin_that_others_may_write_is_refused),
        DKV_TEST(a_plugin_in_a_folder_that_others_may_write_is_refused),
        DKV_TEST(a_plugin_of_another_user_is_refused),
        DKV_TEST(a_plugin_that_is_not_there_is_refused),
        DKV_TEST(a_file_that_is_no_shared_object_is_refused),
        DKV_TEST(each_variant_is_refused_in_words_of_its_own),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
