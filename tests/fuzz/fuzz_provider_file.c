/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a provider file: the tree, then each of its groups read by a table with every type of option. What
 * must hold is checked, not only that nothing crashes: the depth of the tree, no NUL and no repeated key in it, and
 * faults that are one line of valid UTF-8 each. */
#include <stdlib.h>

#include "base/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEPTH_MAX 8u
#define N_OPTIONS DKV_COUNT(options)

static const char *const sources[] = {"file", "fd", "prompt", NULL};
static const char *const choices[] = {"user", "so", NULL};
static const char *const extra[] = {"vault", "vaults", "providers", NULL};
static const struct dkv_option options[] = {
    {.name = "token", .type = DKV_OPTION_TEXT, .required = true, .help = "Text."},
    {.name = "module", .type = DKV_OPTION_PATH, .help = "A path."},
    {.name = "pin-source", .type = DKV_OPTION_SOURCE, .choices = sources, .help = "A source."},
    {.name = "timeout-ms", .type = DKV_OPTION_NUMBER, .fallback = "10", .min = 1, .max = 1000, .help = "A number."},
    {.name = "parallel", .type = DKV_OPTION_NUMBER, .help = "A number without a bound."},
    {.name = "required", .type = DKV_OPTION_BOOL, .fallback = "false", .help = "True or false."},
    {.name = "user-type", .type = DKV_OPTION_CHOICE, .choices = choices, .help = "A choice."},
    {.name = "cmks", .type = DKV_OPTION_LIST, .help = "A list."},
    {.name = "names", .type = DKV_OPTION_MAP, .help = "A map."},
};

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_fault(const struct dkv_fault *fault)
{
    must(dkv_utf8_is_valid(dkv_span_str(fault->setting)) && dkv_utf8_is_valid(dkv_span_str(fault->message)));
    must(strpbrk(fault->setting, "\r\n\x1B") == NULL && strpbrk(fault->message, "\r\n\x1B") == NULL);
    must(fault->message[0] != '\0' && fault->line > 0);
}

static void read_group(const struct dkv_node *map)
{
    struct dkv_value values[N_OPTIONS];
    struct dkv_faults faults = {0};
    must(dkv_settings_read(map, map->key, options, N_OPTIONS, extra, values, &faults, NULL) == DKV_OK);
    dkv_faults_sort(&faults);
    for (size_t i = 0; i < faults.n; i++) {
        check_fault(&faults.items[i]);
    }
    must(faults.n > 0 || values[0].is_set);
    dkv_settings_done(values, N_OPTIONS);
    dkv_faults_done(&faults);
}

static void check_node(const struct dkv_node *node, unsigned depth)
{
    must(depth <= DEPTH_MAX && node->line > 0);
    must((node->kind == DKV_NODE_SCALAR) == (node->text != NULL));
    for (const struct dkv_node *child = node->first; child != NULL; child = child->next) {
        must((node->kind == DKV_NODE_MAP) == (child->key != NULL));
        must(child->key == NULL || dkv_node_child(node, child->key) == child);
        check_node(child, child->kind == DKV_NODE_SCALAR ? depth : depth + 1);
    }
    if (node->kind == DKV_NODE_MAP) {
        read_group(node);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dkv_node *root = NULL;
    struct dkv_error err = {0};
    unsigned line = 0;
    const enum dkv_rc rc = dkv_yaml_parse(dkv_span(data, size), NULL, &root, &line, &err);
    must(rc == DKV_OK || (rc == DKV_E_CONFIG && line > 0 && err.message[0] != '\0'));
    if (rc == DKV_OK) {
        check_node(root, 1);
        dkv_node_free(root);
    }
    return 0;
}
