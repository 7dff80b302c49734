/* SPDX-License-Identifier: Apache-2.0 */
/* The provider file's text as a tree: lines, and each thing of YAML that is refused. */
#include "base/yaml.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tests/lib/test.h"

static struct dkv_node *parse(const char *text)
{
    struct dkv_error err = {0};
    struct dkv_node *root = NULL;
    ASSERT_OK(dkv_yaml_parse(dkv_span_str(text), "t.conf", &root, NULL, &err));
    return root;
}

/* The text is refused on that line with those words, and nothing is handed out. */
static void refuse_bytes(const void *text, size_t len, unsigned line, const char *words)
{
    struct dkv_error err = {0};
    struct dkv_node *const untouched = (struct dkv_node *)&err;
    struct dkv_node *root = untouched;
    unsigned fault_line = 0;
    char prefix[32];

    ASSERT_RC(DKV_E_CONFIG, dkv_yaml_parse(dkv_span(text, len), "t.conf", &root, &fault_line, &err));

    CU_ASSERT_EQUAL(fault_line, line);
    CU_ASSERT_PTR_EQUAL(root, untouched);
    snprintf(prefix, sizeof(prefix), "t.conf:%u: ", line);
    CU_ASSERT_EQUAL(strncmp(err.message, prefix, strlen(prefix)), 0);
    if (strstr(err.message, words) == NULL) {
        printf("# says: %s\n", err.message);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, words));
}

static void refuse(const char *text, unsigned line, const char *words)
{
    refuse_bytes(text, strlen(text), line, words);
}

static void a_tree_has_a_line_for_everything(void)
{
    struct dkv_node *root =
        parse("# comment\nvault:\n  store: sqlite:/x\nproviders:\n  local:\n    cmks:\n    - a\n    - b\n");

    const struct dkv_node *vault = dkv_node_child(root, "vault");
    const struct dkv_node *cmks = dkv_node_child(dkv_node_child(dkv_node_child(root, "providers"), "local"), "cmks");
    CU_ASSERT_EQUAL(vault->key_line, 2);
    CU_ASSERT_EQUAL(vault->kind, DKV_NODE_MAP);
    CU_ASSERT_EQUAL(dkv_node_child(vault, "store")->line, 3);
    CU_ASSERT_EQUAL(cmks->kind, DKV_NODE_LIST);
    CU_ASSERT_EQUAL(cmks->key_line, 6);
    CU_ASSERT_EQUAL(dkv_node_n_children(cmks), 2);
    CU_ASSERT_EQUAL(cmks->first->next->line, 8);
    CU_ASSERT_STRING_EQUAL(cmks->first->next->text, "b");
    CU_ASSERT_PTR_NULL(dkv_node_child(root, "nothing"));
    CU_ASSERT_PTR_NULL(dkv_node_child(cmks, "a"));
    CU_ASSERT_PTR_NULL(dkv_node_child(NULL, "a"));
    dkv_node_free(root);
}

static void scalars_are_kept_as_written(void)
{
    static const struct {
        const char *key, *text;
    } expected[] = {{"a", "0010"}, {"b", "yes"}, {"c", "~"}, {"d", "0x1F"}, {"e", "1e3"}, {"f", "a \t\n"},
                    {"g", "it's"}, {"h", ""}};
    struct dkv_node *root = parse("a: 0010\nb: yes\nc: ~\nd: 0x1F\ne: 1e3\nf: \"a \\t\\n\"\ng: 'it''s'\nh:\n");

    for (size_t i = 0; i < DKV_COUNT(expected); i++) {
        CU_ASSERT_STRING_EQUAL(dkv_node_child(root, expected[i].key)->text, expected[i].text);
    }
    dkv_node_free(root);
}

static void an_empty_document_is_an_empty_map(void)
{
    static const char *const texts[] = {"", "\n", "# nothing\n", "---\n", "---\n# nothing\n...\n", "\xEF\xBB\xBF",
                                        "{}\n"};
    for (size_t i = 0; i < DKV_COUNT(texts); i++) {
        struct dkv_node *root = parse(texts[i]);
        CU_ASSERT_EQUAL(root->kind, DKV_NODE_MAP);
        CU_ASSERT_PTR_NULL(root->first);
        dkv_node_free(root);
    }
}

static void a_root_that_is_no_map_is_refused(void)
{
    refuse("# c\njust text\n", 2, "NAME: VALUE");
    refuse("- a\n- b\n", 1, "NAME: VALUE");
}

static void anchors_are_refused(void)
{
    refuse("a: 1\nb: &x 2\n", 2, "anchor");
    refuse("a:\n  &x b: 2\n", 2, "anchor");
    refuse("a: &x [1]\n", 1, "anchor");
    refuse("a: &x {b: 1}\n", 1, "anchor");
}

static void aliases_are_refused(void)
{
    refuse("a: 1\nb: *x\n", 2, "alias");
    refuse("a: 1\n*x : 2\n", 2, "alias");
    refuse("a: [1,\n *x]\n", 2, "alias");
}

static void tags_and_directives_are_refused(void)
{
    refuse("a: 1\nb: !!str 2\n", 2, "tag");
    refuse("a: !x [1]\n", 1, "tag");
    refuse("a: ! b\n", 1, "tag");
    refuse("a: !x {b: 1}\n", 1, "tag");
    refuse("a: 1\nb: !e!x 1\n", 2, "tag");
    refuse("%TAG !e! tag:example.com,2000:\n---\na: 1\n", 1, "directive");
    refuse("%YAML 1.1\n---\na: 1\n", 1, "directive");
}

static void a_second_document_is_refused(void)
{
    refuse("a: 1\n---\nb: 2\n", 2, "second document");
    refuse("---\n---\n", 2, "second document");
    refuse("a: 1\n...\n---\nb: 2\n", 3, "second document");
}

static void a_repeated_key_names_both_lines(void)
{
    refuse("a: 1\nb: 2\nc: 3\nb: 4\n", 4, "\"b\" is set again; it is already set on line 2");
    refuse("g:\n  x: 1\n  x: 2\n", 3, "line 2");
    refuse("{a: 1, a: 2}\n", 1, "line 1");
    refuse("a: 1\n\"\\x61\": 2\n", 2, "\"a\" is set again; it is already set on line 1");
}

static void the_first_of_several_repeated_keys_is_told(void)
{
    refuse("z: 1\na: 1\nz: 2\na: 2\nz: 3\n", 3, "\"z\" is set again; it is already set on line 1");
}

static void a_nul_is_refused_raw_and_escaped(void)
{
    static const char raw[] = "a: 1\nb: x\0y\n";
    refuse_bytes(raw, sizeof(raw) - 1, 2, "control character");
    refuse("a: 1\nb: \"x\\0y\"\n", 2, "NUL");
    refuse("a: 1\n\"b\\0\": y\n", 2, "NUL");
}

static void eight_levels_are_taken_and_nine_are_not(void)
{
    struct dkv_node *root = parse("a: [[[[[[[x]]]]]]]\n");
    CU_ASSERT_EQUAL(dkv_node_n_children(root), 1);
    dkv_node_free(root);
    refuse("a:\n  [[[[[[[[x]]]]]]]]\n", 2, "nested more than 8");
    refuse("a: {a: {a: {a: {a: {a: {a:\n {a: {}}}}}}}}\n", 2, "nested more than 8");
}

static void bytes_that_are_not_utf8_are_refused(void)
{
    static const char utf16[] = "\xFF\xFE" "a\0:\0 \0b\0";
    refuse("a: 1\nb: 2\nc: \xC3(\n", 3, "isn't UTF-8");
    refuse("a: \x80\n", 1, "isn't UTF-8");
    refuse("a: \xED\xA0\x80\n", 1, "isn't UTF-8");
    refuse("a: 1\nb: \xE2\x82", 2, "isn't UTF-8");
    refuse_bytes(utf16, sizeof(utf16) - 1, 1, "isn't UTF-8");
    refuse("a: 1\nb: \x1B[31m\n", 2, "control character");
}

static void faults_of_syntax_come_in_plain_words(void)
{
    refuse("a: 1\nb: c: d\n", 2, "':' where none may stand");
    refuse("a:\n\tb: 1\n", 2, "not tabs");
    refuse("a: @x\n", 1, "starts nothing here");
    refuse("a: 1\nb\nc: 2\n", 3, "':' is missing");
    refuse("a: 1\nb: 'x\n\n", 4, "a quote isn't closed (in what begins on line 2)");
    refuse("a: [1, 2\nb: 3\n", 2, "is missing in a list");
    refuse("a: {b: 1\n", 2, "is missing in a map");
    refuse("a:\n  b: 1\n c: 2\n", 3, "indentation");
    refuse("a:\n- b\n - c\n  d\n- [\n", 6, "");
    refuse("a: \"\\q\"\n", 1, "escape");
}

static void names_must_be_text(void)
{
    refuse("a: 1\n? [x, y]\n: 2\n", 2, "a list or map as the name");
    refuse("a: 1\n? {x: y}\n: 2\n", 2, "a list or map as the name");
    refuse("a: 1\n?\n: 2\n", 2, "without a name");
    refuse("\"\": 2\n", 1, "without a name");
}

static void without_a_file_name_the_words_stand_alone(void)
{
    struct dkv_error err = {0};
    struct dkv_node *root = NULL;
    ASSERT_RC(DKV_E_CONFIG, dkv_yaml_parse(dkv_span_str("a: &x 1\n"), NULL, &root, NULL, &err));
    CU_ASSERT_EQUAL(strncmp(err.message, "an anchor", 9), 0);
    ASSERT_RC(DKV_E_CONFIG, dkv_yaml_parse(dkv_span_str("a: &x 1\n"), "t.conf", &root, NULL, NULL));
}

static enum dkv_rc parse_body(void *arg, struct dkv_error *err)
{
    struct dkv_node *root = NULL;
    const enum dkv_rc rc = dkv_yaml_parse(dkv_span_str((const char *)arg), "t.conf", &root, NULL, err);
    dkv_node_free(rc == DKV_OK ? root : NULL);
    return rc;
}

static void every_failed_allocation_is_told(void)
{
    char text[] = "a: 1\nb: [x, y]\nc: {d: e}\n";
    CU_ASSERT(dkv_test_each_alloc_fails(parse_body, text) > 10);
}

static bool secret_was_freed;

static void watching_free(void *memory)
{
    static const char secret[] = "s3cr3t-77";
    if (memory != NULL && malloc_usable_size(memory) >= sizeof(secret) && memcmp(memory, secret, sizeof(secret)) == 0) {
        secret_was_freed = true;
    }
    free(memory);
}

static void values_are_wiped_before_they_are_freed(void)
{
    static const struct dkv_mem_ops watching = {.calloc = calloc, .realloc = realloc, .free = watching_free};
    struct dkv_node *root = parse("a: s3cr3t-77\n");
    dkv_mem_use(&watching);
    watching.free(strdup("s3cr3t-77"));
    const bool would_be_seen = secret_was_freed;
    secret_was_freed = false;

    dkv_node_free(root);

    dkv_mem_use(NULL);
    CU_ASSERT_TRUE(would_be_seen);
    CU_ASSERT_FALSE(secret_was_freed);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_tree_has_a_line_for_everything),
        DKV_TEST(scalars_are_kept_as_written),
        DKV_TEST(an_empty_document_is_an_empty_map),
        DKV_TEST(a_root_that_is_no_map_is_refused),
        DKV_TEST(anchors_are_refused),
        DKV_TEST(aliases_are_refused),
        DKV_TEST(tags_and_directives_are_refused),
        DKV_TEST(a_second_document_is_refused),
        DKV_TEST(a_repeated_key_names_both_lines),
        DKV_TEST(the_first_of_several_repeated_keys_is_told),
        DKV_TEST(a_nul_is_refused_raw_and_escaped),
        DKV_TEST(eight_levels_are_taken_and_nine_are_not),
        DKV_TEST(bytes_that_are_not_utf8_are_refused),
        DKV_TEST(faults_of_syntax_come_in_plain_words),
        DKV_TEST(names_must_be_text),
        DKV_TEST(without_a_file_name_the_words_stand_alone),
        DKV_TEST(values_are_wiped_before_they_are_freed),
        DKV_TEST(every_failed_allocation_is_told),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
