/* SPDX-License-Identifier: Apache-2.0 */
/* The provider file's text as a tree, from libyaml's events. Owns: the tree's nodes. Invariant: no
 * collection of a tree is deeper than MAX_DEPTH, so recursion over it is bounded; no text of it holds a
 * NUL. What YAML offers beyond maps, lists and scalars is refused, because a reader of the file would
 * have to work out what it means. No lock: a parse belongs to its caller. */
#include "base/yaml.h"

#include <stdlib.h>
#include <yaml.h>

#include "base/mem.h"
#include "base/yaml_words.h"

#define MAX_DEPTH 8u

struct parse {
    yaml_parser_t parser;
    struct dkv_span text;
    const char *name;
    unsigned *ret_fault_line;
    struct dkv_error *err;
};

DKV_DEFINE_FREEP(struct dkv_node, dkv_node_free);

void dkv_node_free(struct dkv_node *node)
{
    if (node == NULL) {
        return;
    }
    for (struct dkv_node *child = node->first, *next; child != NULL; child = next) {
        next = child->next;
        dkv_node_free(child);
    }
    if (node->text != NULL) {
        /* A PIN that somebody wrote into the file by mistake is refused, but it was here. */
        dkv_wipe(node->text, strlen(node->text));
    }
    dkv_free(node->text);
    dkv_free(node->key);
    dkv_free(node);
}

const struct dkv_node *dkv_node_child(const struct dkv_node *map, const char *key)
{
    if (map == NULL || map->kind != DKV_NODE_MAP) {
        return NULL;
    }
    for (const struct dkv_node *child = map->first; child != NULL; child = child->next) {
        if (strcmp(child->key, key) == 0) {
            return child;
        }
    }
    return NULL;
}

size_t dkv_node_n_children(const struct dkv_node *node)
{
    size_t n = 0;
    for (const struct dkv_node *child = node != NULL ? node->first : NULL; child != NULL; child = child->next) {
        n++;
    }
    return n;
}

bool dkv_node_is_empty(const struct dkv_node *node)
{
    return node->kind == DKV_NODE_SCALAR && node->text[0] == '\0';
}

/* ---- Errors ---- */

static unsigned line_of(yaml_mark_t mark)
{
    return (unsigned)mark.line + 1;
}

/* Says where, in front of the words of an error just raised. */
static enum dkv_rc located(struct parse *parse, unsigned line, enum dkv_rc rc)
{
    if (parse->ret_fault_line != NULL) {
        *parse->ret_fault_line = line;
    }
    if (parse->name != NULL) {
        dkv_error_prefix(parse->err, "%s:%u: ", parse->name, line);
    }
    return rc;
}

/* The reader knows an offset only. */
static unsigned line_at(struct dkv_span text, size_t offset)
{
    unsigned line = 1;
    for (size_t i = 0; i < offset && i < text.len; i++) {
        line += text.data[i] == '\n';
    }
    return line;
}

static enum dkv_rc parser_failed(struct parse *parse)
{
    const yaml_parser_t *parser = &parse->parser;
    if (parser->error == YAML_MEMORY_ERROR) {
        return dkv_fail_memory(parse->err);
    }
    const char *words = dkv_yaml_words(parser->problem != NULL ? parser->problem : "not YAML");
    if (parser->error == YAML_READER_ERROR) {
        return located(parse, line_at(parse->text, parser->problem_offset),
                       dkv_fail(parse->err, DKV_E_CONFIG, "%s", words));
    }
    const unsigned line = line_of(parser->problem_mark);
    const unsigned begun = line_of(parser->context_mark);
    if (parser->context != NULL && begun < line) {
        return located(parse, line, dkv_fail(parse->err, DKV_E_CONFIG, "%s (in what begins on line %u)", words, begun));
    }
    return located(parse, line, dkv_fail(parse->err, DKV_E_CONFIG, "%s", words));
}

static enum dkv_rc next_event(struct parse *parse, yaml_event_t *ret)
{
    return yaml_parser_parse(&parse->parser, ret) ? DKV_OK : parser_failed(parse);
}

/* ---- Nodes ---- */

static enum dkv_rc refuse_decoration(struct parse *parse, unsigned line, const yaml_char_t *anchor,
                                     const yaml_char_t *tag)
{
    if (anchor != NULL) {
        return located(parse, line, dkv_fail(parse->err, DKV_E_CONFIG,
                                             "an anchor (&): write the value out, or quote it"));
    }
    if (tag != NULL) {
        return located(parse, line, dkv_fail(parse->err, DKV_E_CONFIG,
                                             "a tag (!): values are taken as written; quote it"));
    }
    return DKV_OK;
}

static enum dkv_rc take_text(struct parse *parse, const yaml_event_t *event, char **ret)
{
    const unsigned line = line_of(event->start_mark);
    const char *value = (const char *)event->data.scalar.value;
    const size_t len = event->data.scalar.length;
    DKV_TRY(refuse_decoration(parse, line, event->data.scalar.anchor, event->data.scalar.tag));
    if (memchr(value, '\0', len) != NULL) {
        return located(parse, line, dkv_fail(parse->err, DKV_E_CONFIG, "a NUL in a value"));
    }
    char *text = dkv_strndup(value, len);
    if (text == NULL) {
        return dkv_fail_memory(parse->err);
    }
    *ret = text;
    return DKV_OK;
}

/* In the tree from its first moment, so that whoever frees the root frees it; NULL: no memory. */
static struct dkv_node *append_child(struct dkv_node ***tail)
{
    struct dkv_node *child = (struct dkv_node *)dkv_calloc(1, sizeof(*child));
    if (child != NULL) {
        **tail = child;
        *tail = &child->next;
    }
    return child;
}

static enum dkv_rc fill_node(struct parse *parse, struct dkv_node *node, const yaml_event_t *event, unsigned depth);

static enum dkv_rc fill_list(struct parse *parse, struct dkv_node *list, unsigned depth)
{
    struct dkv_node **tail = &list->first;
    for (;;) {
        DKV_CLEANUP(yaml_event_delete) yaml_event_t event = {0};
        DKV_TRY(next_event(parse, &event));
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            return DKV_OK;
        }
        struct dkv_node *child = append_child(&tail);
        if (child == NULL) {
            return dkv_fail_memory(parse->err);
        }
        DKV_TRY(fill_node(parse, child, &event, depth));
    }
}

static enum dkv_rc take_key(struct parse *parse, struct dkv_node *child, const yaml_event_t *event)
{
    child->key_line = line_of(event->start_mark);
    if (event->type == YAML_ALIAS_EVENT) {
        return located(parse, child->key_line, dkv_fail(parse->err, DKV_E_CONFIG, "an alias (*): write the name out"));
    }
    if (event->type != YAML_SCALAR_EVENT) {
        return located(parse, child->key_line, dkv_fail(parse->err, DKV_E_CONFIG,
                                                        "a list or map as the name of a setting"));
    }
    DKV_TRY(take_text(parse, event, &child->key));
    if (child->key[0] == '\0') {
        return located(parse, child->key_line, dkv_fail(parse->err, DKV_E_CONFIG, "a setting without a name"));
    }
    return DKV_OK;
}

static int compare_keys(const void *a, const void *b)
{
    const struct dkv_node *left = *(const struct dkv_node *const *)a;
    const struct dkv_node *right = *(const struct dkv_node *const *)b;
    const int order = strcmp(left->key, right->key);
    return order != 0 ? order : (left->key_line > right->key_line) - (left->key_line < right->key_line);
}

/* Sorted rather than each with each: `names` may have thousands. Of several repeats the one that comes
 * first in the file is told. */
static enum dkv_rc refuse_repeated(struct parse *parse, const struct dkv_node *map)
{
    size_t n = 0;
    DKV_CLEANUP(dkv_freep) const struct dkv_node **keys =
        (const struct dkv_node **)dkv_calloc(dkv_node_n_children(map) + 1, sizeof(*keys));
    if (keys == NULL) {
        return dkv_fail_memory(parse->err);
    }
    for (const struct dkv_node *child = map->first; child != NULL; child = child->next) {
        keys[n++] = child;
    }
    qsort(keys, n, sizeof(*keys), compare_keys);
    const struct dkv_node *first = NULL, *again = NULL;
    for (size_t i = 1; i < n; i++) {
        if (strcmp(keys[i - 1]->key, keys[i]->key) == 0 && (again == NULL || keys[i]->key_line < again->key_line)) {
            first = keys[i - 1];
            again = keys[i];
        }
    }
    if (again == NULL) {
        return DKV_OK;
    }
    return located(parse, again->key_line, dkv_fail(parse->err, DKV_E_CONFIG,
                                                    "\"%s\" is set again; it is already set on line %u",
                                                    again->key, first->key_line));
}

static enum dkv_rc fill_map(struct parse *parse, struct dkv_node *map, unsigned depth)
{
    struct dkv_node **tail = &map->first;
    for (;;) {
        DKV_CLEANUP(yaml_event_delete) yaml_event_t key = {0};
        DKV_CLEANUP(yaml_event_delete) yaml_event_t value = {0};
        DKV_TRY(next_event(parse, &key));
        if (key.type == YAML_MAPPING_END_EVENT) {
            return refuse_repeated(parse, map);
        }
        struct dkv_node *child = append_child(&tail);
        if (child == NULL) {
            return dkv_fail_memory(parse->err);
        }
        DKV_TRY(take_key(parse, child, &key));
        DKV_TRY(next_event(parse, &value));
        DKV_TRY(fill_node(parse, child, &value, depth));
    }
}

static enum dkv_rc enter(struct parse *parse, const struct dkv_node *node, unsigned depth, const yaml_char_t *anchor,
                         const yaml_char_t *tag)
{
    DKV_TRY(refuse_decoration(parse, node->line, anchor, tag));
    if (depth >= MAX_DEPTH) {
        return located(parse, node->line, dkv_fail(parse->err, DKV_E_CONFIG, "nested more than %u deep", MAX_DEPTH));
    }
    return DKV_OK;
}

/* depth: how many collections the node lies in. */
static enum dkv_rc fill_node(struct parse *parse, struct dkv_node *node, const yaml_event_t *event, unsigned depth)
{
    node->line = line_of(event->start_mark);
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        node->kind = DKV_NODE_SCALAR;
        return take_text(parse, event, &node->text);
    case YAML_SEQUENCE_START_EVENT:
        node->kind = DKV_NODE_LIST;
        DKV_TRY(enter(parse, node, depth, event->data.sequence_start.anchor, event->data.sequence_start.tag));
        return fill_list(parse, node, depth + 1);
    case YAML_MAPPING_START_EVENT:
        node->kind = DKV_NODE_MAP;
        DKV_TRY(enter(parse, node, depth, event->data.mapping_start.anchor, event->data.mapping_start.tag));
        return fill_map(parse, node, depth + 1);
    case YAML_ALIAS_EVENT:
        return located(parse, node->line, dkv_fail(parse->err, DKV_E_CONFIG,
                                                   "an alias (*): write the value out, or quote it"));
    default:
        return located(parse, node->line, dkv_fail(parse->err, DKV_E_INTERNAL, "an event out of place"));
    }
}

/* ---- The document ---- */

static enum dkv_rc refuse_directives(struct parse *parse, const yaml_event_t *start)
{
    if (start->data.document_start.version_directive == NULL &&
        start->data.document_start.tag_directives.start == start->data.document_start.tag_directives.end) {
        return DKV_OK;
    }
    return located(parse, line_of(start->start_mark),
                   dkv_fail(parse->err, DKV_E_CONFIG, "a %%YAML or %%TAG directive: leave it out"));
}

/* A document that is only "---" holds one empty scalar; it is as good as no document. */
static enum dkv_rc settle_root(struct parse *parse, struct dkv_node *root)
{
    if (dkv_node_is_empty(root)) {
        dkv_free(root->text);
        root->text = NULL;
        root->kind = DKV_NODE_MAP;
    }
    if (root->kind != DKV_NODE_MAP) {
        return located(parse, root->line, dkv_fail(parse->err, DKV_E_CONFIG, "settings are written as NAME: VALUE"));
    }
    return DKV_OK;
}

static enum dkv_rc read_document(struct parse *parse, struct dkv_node *root, const yaml_event_t *start)
{
    DKV_CLEANUP(yaml_event_delete) yaml_event_t event = {0};
    DKV_CLEANUP(yaml_event_delete) yaml_event_t end = {0};
    DKV_CLEANUP(yaml_event_delete) yaml_event_t after = {0};
    DKV_TRY(refuse_directives(parse, start));
    DKV_TRY(next_event(parse, &event));
    DKV_TRY(fill_node(parse, root, &event, 0));
    DKV_TRY(settle_root(parse, root));
    DKV_TRY(next_event(parse, &end));
    DKV_TRY(next_event(parse, &after));
    if (after.type != YAML_STREAM_END_EVENT) {
        return located(parse, line_of(after.start_mark),
                       dkv_fail(parse->err, DKV_E_CONFIG, "a second document: the file holds one only"));
    }
    return DKV_OK;
}

static enum dkv_rc read_stream(struct parse *parse, struct dkv_node *root)
{
    DKV_CLEANUP(yaml_event_delete) yaml_event_t stream = {0};
    DKV_CLEANUP(yaml_event_delete) yaml_event_t start = {0};
    DKV_TRY(next_event(parse, &stream));
    DKV_TRY(next_event(parse, &start));
    root->kind = DKV_NODE_MAP;
    root->line = 1;
    return start.type == YAML_STREAM_END_EVENT ? DKV_OK : read_document(parse, root, &start);
}

enum dkv_rc dkv_yaml_parse(struct dkv_span text, const char *name, struct dkv_node **ret, unsigned *ret_fault_line,
                           struct dkv_error *err)
{
    struct parse parse = {.text = text, .name = name, .ret_fault_line = ret_fault_line, .err = err};
    DKV_CLEANUP(dkv_node_freep) struct dkv_node *root = (struct dkv_node *)dkv_calloc(1, sizeof(*root));
    if (root == NULL || !yaml_parser_initialize(&parse.parser)) {
        return dkv_fail_memory(err);
    }
    /* Not left to a byte order mark: UTF-16 would be another text to an editor than to us. */
    yaml_parser_set_encoding(&parse.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parse.parser, text.data != NULL ? text.data : (const uint8_t *)"", text.len);
    const enum dkv_rc rc = read_stream(&parse, root);
    yaml_parser_delete(&parse.parser);
    DKV_TRY(rc);
    *ret = root;
    root = NULL;
    return DKV_OK;
}
