/* SPDX-License-Identifier: Apache-2.0 */
/* The check of provider tables: each hole is refused in words of its own. */
#include "providers/registry.h"

#include "providers/local/local.h"
#include "tests/lib/test.h"

static const char *const colours[] = {"red", "blue", NULL};
static const char *const odd_sources[] = {"file", "socket", NULL};
static const char *const nothing[] = {NULL};

/* A whole table; `local` lends its functions, none of which is called. */
static struct dkv_provider_ops whole(void)
{
    struct dkv_provider_ops ops = dkv_local_ops;
    ops.type = "fake";
    return ops;
}

static struct dkv_provider_ops with_options(const struct dkv_option *options, size_t n)
{
    struct dkv_provider_ops ops = whole();
    ops.options = options;
    ops.n_options = n;
    return ops;
}

#define ASSERT_REFUSED(ops, words)                                       \
    do {                                                                 \
        struct dkv_error err = {0};                                      \
        ASSERT_RC(DKV_E_CONFIG, dkv_provider_ops_check(ops, "x.so", &err)); \
        ASSERT_SAYS("x.so: ");                                           \
        ASSERT_SAYS(words);                                              \
    } while (0)

static void a_whole_table_passes(void)
{
    struct dkv_error err = {0};
    const struct dkv_option options[] = {
        {.name = "a-1", .type = DKV_OPTION_NUMBER, .help = "h", .min = 3, .fallback = "7"},
        {.name = "colour", .type = DKV_OPTION_CHOICE, .help = "h", .choices = colours},
        {.name = "names", .type = DKV_OPTION_MAP, .help = "h"},
    };
    struct dkv_provider_ops ops = with_options(options, DKV_COUNT(options));

    ASSERT_OK(dkv_provider_ops_check(&ops, "x.so", &err));

    CU_ASSERT_EQUAL(err.rc, DKV_OK);
}

static void every_built_in_table_passes(void)
{
    struct dkv_error err = {0};
    size_t n = 0;

    for (; dkv_provider_builtin[n] != NULL; n++) {
        ASSERT_OK(dkv_provider_ops_check(dkv_provider_builtin[n], "built in", &err));
    }

    CU_ASSERT_EQUAL(n, 2);
}

static void a_type_is_found_by_its_whole_name_only(void)
{
    CU_ASSERT_PTR_EQUAL(dkv_provider_find("local", 5), &dkv_local_ops);
    CU_ASSERT_PTR_EQUAL(dkv_provider_find("local:x", 5), &dkv_local_ops);
    CU_ASSERT_PTR_NULL(dkv_provider_find("local", 4));
    CU_ASSERT_PTR_NULL(dkv_provider_find("l", 1));
    CU_ASSERT_PTR_NULL(dkv_provider_find("", 0));
    CU_ASSERT_PTR_NULL(dkv_provider_find("locals", 6));
    CU_ASSERT_PTR_NULL(dkv_provider_find("Local", 5));
}

static void mongodbs_types_and_ours_are_reserved(void)
{
    static const char *const reserved[] = {"aws", "azure", "gcp", "kmip", "local", "pkcs11"};

    for (size_t i = 0; i < DKV_COUNT(reserved); i++) {
        CU_ASSERT_TRUE(dkv_provider_type_is_reserved(reserved[i]));
    }
    CU_ASSERT_FALSE(dkv_provider_type_is_reserved("scrypt"));
    CU_ASSERT_FALSE(dkv_provider_type_is_reserved("aw"));
    CU_ASSERT_FALSE(dkv_provider_type_is_reserved(""));
}

static void no_table_is_refused(void)
{
    ASSERT_REFUSED(NULL, "no provider table");
}

static void another_abi_version_is_refused_whatever_its_size(void)
{
    struct dkv_provider_ops ops = whole();
    ops.abi_version = DKV_PROVIDER_ABI_VERSION + 1;
    ops.size = 1;

    ASSERT_REFUSED(&ops, "ABI version 2");
}

static void another_size_is_refused(void)
{
    struct dkv_provider_ops ops = whole();
    ops.size--;

    ASSERT_REFUSED(&ops, "bytes long");
}

static void a_malformed_type_name_is_refused(void)
{
    static const char *const malformed[] = {NULL, "", "1st", "Fake", "fa-ke", "fake:x", "fake "};
    for (size_t i = 0; i < DKV_COUNT(malformed); i++) {
        struct dkv_provider_ops ops = whole();
        ops.type = malformed[i];
        ASSERT_REFUSED(&ops, "no type name");
    }
}

#define ASSERT_NEEDED(member)                                     \
    do {                                                          \
        struct dkv_provider_ops ops = whole();                    \
        ops.member = NULL;                                        \
        ASSERT_REFUSED(&ops, "lacks the required member " #member); \
    } while (0)

static void every_required_member_is_missed_by_name(void)
{
    ASSERT_NEEDED(summary);
    ASSERT_NEEDED(open);
    ASSERT_NEEDED(close);
    ASSERT_NEEDED(resolve_document);
    ASSERT_NEEDED(resolve_reference);
    ASSERT_NEEDED(cmk_free);
    ASSERT_NEEDED(describe);
    ASSERT_NEEDED(wrap);
    ASSERT_NEEDED(unwrap);
}

static void optional_members_may_be_missing(void)
{
    struct dkv_error err = {0};
    struct dkv_provider_ops ops = whole();
    ops.check = NULL;
    ops.list_cmks = NULL;
    ops.create_cmk = NULL;
    ops.set_cmk_state = NULL;
    ops.rewrap = NULL;

    ASSERT_OK(dkv_provider_ops_check(&ops, "x.so", &err));
}

static enum dkv_rc set_no_state(struct dkv_provider *self, const struct dkv_call *call, const struct dkv_cmk *cmk,
                                enum dkv_cmk_state state, struct dkv_error *err)
{
    (void)self;
    (void)call;
    (void)cmk;
    (void)state;
    return dkv_fail(err, DKV_E_INTERNAL, "never called");
}

static void half_of_a_pair_is_refused(void)
{
    struct dkv_provider_ops ops = whole();
    ops.set_cmk_state = set_no_state;
    ops.list_cmks = NULL;
    ASSERT_REFUSED(&ops, "set_cmk_state without list_cmks");

    ops = whole();
    ops.options = NULL;
    ASSERT_REFUSED(&ops, "only one of options and n_options");

    ops = whole();
    ops.n_options = 0;
    ASSERT_REFUSED(&ops, "only one of options and n_options");
}

static void capabilities_that_it_cannot_have_are_refused(void)
{
    struct dkv_provider_ops ops = whole();
    ops.static_capabilities = 16;
    ASSERT_REFUSED(&ops, "doesn't know");

    ops.static_capabilities = DKV_CAP_SERVER_REWRAP;
    ASSERT_REFUSED(&ops, "SERVER_REWRAP without rewrap");
}

static void an_option_table_with_a_hole_is_refused(void)
{
    static const struct {
        struct dkv_option option;
        const char *words;
    } holes[] = {
        {{.type = DKV_OPTION_TEXT, .help = "h"}, "option 0 of its provider table has no name"},
        {{.name = "", .help = "h"}, "has no name"},
        {{.name = "Colour", .help = "h"}, "has no name"},
        {{.name = "-colour", .help = "h"}, "has no name"},
        {{.name = "timeout-ms", .help = "h"}, "every provider has"},
        {{.name = "colour"}, "has no help"},
        {{.name = "colour", .help = ""}, "has no help"},
        {{.name = "colour", .help = "h", .type = (enum dkv_option_type)99}, "unknown type"},
        {{.name = "colour", .help = "h", .type = (enum dkv_option_type)(DKV_OPTION_MAP + 1)}, "unknown type"},
        {{.name = "colour", .help = "h", .type = DKV_OPTION_MAP, .fallback = "a"}, "default of option \"colour\""},
        {{.name = "colour", .help = "h", .type = DKV_OPTION_CHOICE}, "lacks its choices"},
        {{.name = "colour", .help = "h", .type = DKV_OPTION_CHOICE, .choices = nothing}, "lacks its choices"},
        {{.name = "colour", .help = "h", .type = DKV_OPTION_SOURCE, .choices = odd_sources},
         "isn't one of file, fd and prompt"},
        {{.name = "colour", .help = "h", .type = DKV_OPTION_NUMBER, .min = 5, .max = 4}, "min above its max"},
        {{.name = "colour", .help = "h", .type = DKV_OPTION_NUMBER, .max = 4, .fallback = "5"},
         "default of option \"colour\""},
        {{.name = "colour", .help = "h", .type = DKV_OPTION_BOOL, .fallback = "yes"}, "default of option \"colour\""},
    };
    for (size_t i = 0; i < DKV_COUNT(holes); i++) {
        struct dkv_provider_ops ops = with_options(&holes[i].option, 1);
        struct dkv_error err = {0};
        ASSERT_RC(DKV_E_CONFIG, dkv_provider_ops_check(&ops, "x.so", &err));
        if (strstr(err.message, holes[i].words) == NULL) {
            printf("# hole %zu: %s\n", i, err.message);
        }
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, holes[i].words));
    }
}

static void an_option_that_stands_twice_is_refused(void)
{
    const struct dkv_option options[] = {{.name = "colour", .help = "h"}, {.name = "colour", .help = "h"}};
    struct dkv_provider_ops ops = with_options(options, 2);

    ASSERT_REFUSED(&ops, "\"colour\" stands twice");
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_whole_table_passes),
        DKV_TEST(every_built_in_table_passes),
        DKV_TEST(a_type_is_found_by_its_whole_name_only),
        DKV_TEST(mongodbs_types_and_ours_are_reserved),
        DKV_TEST(no_table_is_refused),
        DKV_TEST(another_abi_version_is_refused_whatever_its_size),
        DKV_TEST(another_size_is_refused),
        DKV_TEST(a_malformed_type_name_is_refused),
        DKV_TEST(every_required_member_is_missed_by_name),
        DKV_TEST(optional_members_may_be_missing),
        DKV_TEST(half_of_a_pair_is_refused),
        DKV_TEST(capabilities_that_it_cannot_have_are_refused),
        DKV_TEST(an_option_table_with_a_hole_is_refused),
        DKV_TEST(an_option_that_stands_twice_is_refused),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
