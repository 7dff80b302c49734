/* SPDX-License-Identifier: Apache-2.0 */
/* A YAML document as a tree with a line number for everything, from libyaml's events. Anchors, aliases,
 * tags, more than one document, repeated keys, a NUL in a value and nesting over 8 are refused, with their lines.
 * Scalars are kept as written. */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include "base/bytes.h"

enum dkv_node_kind { DKV_NODE_SCALAR, DKV_NODE_LIST, DKV_NODE_MAP };

struct dkv_node {
    enum dkv_node_kind kind;
    unsigned line;          /* of the value */
    char *key;              /* in a map: this child's key */
    unsigned key_line;
    char *text;             /* SCALAR */
    struct dkv_node *first; /* LIST, MAP: children in file order */
    struct dkv_node *next;
};

/* dkv_yaml_parse: name is used in errors ("FILE:LINE: ..."; NULL: the words alone). *ret_fault_line (may be NULL) is
 * set for those. DKV_E_CONFIG. An empty document gives an empty map. The root must be a map. */
DKV_MUST_USE enum dkv_rc dkv_yaml_parse(struct dkv_span text, const char *name, struct dkv_node **ret,
                                        unsigned *ret_fault_line, struct dkv_error *err);
void dkv_node_free(struct dkv_node *node);
/* dkv_node_child: NULL when map is NULL, isn't a map, or has no such key. */
const struct dkv_node *dkv_node_child(const struct dkv_node *map, const char *key);
/* dkv_node_n_children: of a list or map; 0 for NULL and scalars. */
size_t dkv_node_n_children(const struct dkv_node *node);
/* dkv_node_is_empty: nothing was written after the name, which is how a group looks whose settings are commented
 * out. */
bool dkv_node_is_empty(const struct dkv_node *node);

#endif
