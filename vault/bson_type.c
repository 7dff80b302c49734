/* SPDX-License-Identifier: Apache-2.0 */
/* One row a BSON type: its name, the algorithms that may encrypt it, and the check of its value bytes. The refusals
 * are those of MongoDB's client-side encryption specification ("Encrypting": prohibited types).
 * Invariant: what passes dkv_bson_value_check can be put into a document behind any name, and the document is valid
 * BSON. Pure; no lock. */
#include "vault/bson_type.h"

#define RANDOM_ONLY (1u << DKV_RANDOM)
#define EITHER ((1u << DKV_RANDOM) | (1u << DKV_DETERMINISTIC))
#define SUBTYPE_OLD_BINARY 2u
#define SUBTYPE_ENCRYPTED 6u

/* Takes one value off the front of a reader; depth counts the documents around it. */
typedef bool (*take_fn)(struct dkv_reader *reader, unsigned depth);

struct bson_type {
    uint8_t type;
    const char *name;
    unsigned algorithms; /* bits by enum dkv_algorithm; 0: never encrypted */
    size_t width;        /* where take is NULL */
    take_fn take;
};

static const struct bson_type *find(uint8_t type);

/* ---- Parts ---- */

static bool take_u32(struct dkv_reader *reader, uint32_t *ret)
{
    struct dkv_span bytes;
    if (!dkv_read_bytes(reader, 4, &bytes)) {
        return false;
    }
    *ret = 0;
    for (unsigned i = 0; i < 4; i++) {
        *ret |= (uint32_t)bytes.data[i] << 8 * i;
    }
    return true;
}

static bool take_cstring(struct dkv_reader *reader)
{
    const uint8_t *end = reader->rest.len > 0 ? memchr(reader->rest.data, 0, reader->rest.len) : NULL;
    struct dkv_span text;
    if (end == NULL || !dkv_read_bytes(reader, (size_t)(end - reader->rest.data) + 1, &text)) {
        return false;
    }
    return dkv_utf8_is_valid(dkv_span(text.data, text.len - 1));
}

/* ---- Values ---- */

/* int32 length with the NUL counted, UTF-8, NUL. A NUL inside the text is allowed: BSON strings are counted. */
static bool take_string(struct dkv_reader *reader, unsigned depth)
{
    (void)depth;
    struct dkv_span text;
    uint32_t len = 0;
    if (!take_u32(reader, &len) || len == 0 || !dkv_read_bytes(reader, len, &text) || text.data[len - 1] != 0) {
        return false;
    }
    return dkv_utf8_is_valid(dkv_span(text.data, len - 1));
}

static bool take_element(struct dkv_reader *reader, unsigned depth)
{
    uint8_t type = 0;
    struct dkv_span fixed;
    if (!dkv_read_u8(reader, &type) || !take_cstring(reader)) {
        return false;
    }
    const struct bson_type *found = find(type);
    if (found == NULL) {
        return false;
    }
    return found->take != NULL ? found->take(reader, depth) : dkv_read_bytes(reader, found->width, &fixed);
}

/* int32 length of the whole, elements, NUL. Bounded recursion: a value made of nothing but nesting must not exhaust
 * the stack, which is one reason not to ask bson_validate; the other is that libbson 1.23's lets malformed UTF-8 in
 * strings pass. */
static bool take_document(struct dkv_reader *reader, unsigned depth)
{
    struct dkv_span body;
    uint32_t len = 0;
    if (depth >= DKV_BSON_DEPTH_MAX || !take_u32(reader, &len) || len < 5 || !dkv_read_bytes(reader, len - 4, &body) ||
        body.data[body.len - 1] != 0) {
        return false;
    }
    struct dkv_reader elements = {dkv_span(body.data, body.len - 1)};
    while (!dkv_read_is_empty(&elements)) {
        if (!take_element(&elements, depth + 1)) {
            return false;
        }
    }
    return true;
}

/* int32 length, subtype, bytes; the old subtype 2 repeats the length inside. */
static bool take_binary(struct dkv_reader *reader, unsigned depth)
{
    (void)depth;
    struct dkv_span bytes;
    uint32_t len = 0, inner_len = 0;
    uint8_t subtype = 0;
    if (!take_u32(reader, &len) || !dkv_read_u8(reader, &subtype) || !dkv_read_bytes(reader, len, &bytes)) {
        return false;
    }
    struct dkv_reader inner = {bytes};
    return subtype != SUBTYPE_OLD_BINARY || (take_u32(&inner, &inner_len) && inner_len == inner.rest.len);
}

static bool take_bool(struct dkv_reader *reader, unsigned depth)
{
    (void)depth;
    uint8_t value = 0;
    return dkv_read_u8(reader, &value) && value <= 1;
}

static bool take_regex(struct dkv_reader *reader, unsigned depth)
{
    (void)depth;
    return take_cstring(reader) && take_cstring(reader);
}

static bool take_db_pointer(struct dkv_reader *reader, unsigned depth)
{
    struct dkv_span object_id;
    return take_string(reader, depth) && dkv_read_bytes(reader, 12, &object_id);
}

/* int32 length of the whole, string, document. */
static bool take_code_with_scope(struct dkv_reader *reader, unsigned depth)
{
    struct dkv_span body;
    uint32_t len = 0;
    if (!take_u32(reader, &len) || len < 4 || !dkv_read_bytes(reader, len - 4, &body)) {
        return false;
    }
    struct dkv_reader parts = {body};
    return take_string(&parts, depth) && take_document(&parts, depth) && dkv_read_is_empty(&parts);
}

/* ---- The types ---- */

static const struct bson_type types[] = {
    {.type = 0x01, .name = "double", .algorithms = RANDOM_ONLY, .width = 8},
    {.type = 0x02, .name = "string", .algorithms = EITHER, .take = take_string},
    {.type = 0x03, .name = "object", .algorithms = RANDOM_ONLY, .take = take_document},
    {.type = 0x04, .name = "array", .algorithms = RANDOM_ONLY, .take = take_document},
    {.type = 0x05, .name = "binData", .algorithms = EITHER, .take = take_binary},
    {.type = 0x06, .name = "undefined"},
    {.type = 0x07, .name = "objectId", .algorithms = EITHER, .width = 12},
    {.type = 0x08, .name = "bool", .algorithms = RANDOM_ONLY, .take = take_bool},
    {.type = 0x09, .name = "date", .algorithms = EITHER, .width = 8},
    {.type = 0x0a, .name = "null"},
    {.type = 0x0b, .name = "regex", .algorithms = EITHER, .take = take_regex},
    {.type = 0x0c, .name = "dbPointer", .algorithms = EITHER, .take = take_db_pointer},
    {.type = 0x0d, .name = "javascript", .algorithms = EITHER, .take = take_string},
    {.type = 0x0e, .name = "symbol", .algorithms = EITHER, .take = take_string},
    {.type = 0x0f, .name = "javascriptWithScope", .algorithms = RANDOM_ONLY, .take = take_code_with_scope},
    {.type = 0x10, .name = "int", .algorithms = EITHER, .width = 4},
    {.type = 0x11, .name = "timestamp", .algorithms = EITHER, .width = 8},
    {.type = 0x12, .name = "long", .algorithms = EITHER, .width = 8},
    {.type = 0x13, .name = "decimal", .algorithms = RANDOM_ONLY, .width = 16},
    {.type = 0x7f, .name = "maxKey"},
    {.type = 0xff, .name = "minKey"},
};

static const struct bson_type *find(uint8_t type)
{
    for (size_t i = 0; i < DKV_COUNT(types); i++) {
        if (types[i].type == type) {
            return &types[i];
        }
    }
    return NULL;
}

const char *dkv_bson_type_name(uint8_t type)
{
    const struct bson_type *found = find(type);
    return found != NULL ? found->name : "unknown";
}

enum dkv_rc dkv_bson_type_check(uint8_t type, enum dkv_algorithm algorithm, struct dkv_error *err)
{
    const struct bson_type *found = find(type);
    DKV_CHECK(algorithm == DKV_DETERMINISTIC || algorithm == DKV_RANDOM, err, DKV_E_INVALID,
              "%d is no algorithm: 1 is deterministic, 2 random", (int)algorithm);
    DKV_CHECK(found != NULL, err, DKV_E_INVALID, "0x%02x is no BSON type", type);
    DKV_CHECK(found->algorithms != 0, err, DKV_E_INVALID, "a value of type %s may not be encrypted", found->name);
    DKV_CHECK((found->algorithms & 1u << algorithm) != 0, err, DKV_E_INVALID,
              "a value of type %s may not be encrypted deterministically: use random", found->name);
    return DKV_OK;
}

static bool is_whole(const struct bson_type *type, struct dkv_span bytes)
{
    struct dkv_reader reader = {bytes};
    if (type->take == NULL) {
        return bytes.len == type->width;
    }
    return type->take(&reader, 0) && dkv_read_is_empty(&reader);
}

enum dkv_rc dkv_bson_value_check(struct dkv_bson_value value, struct dkv_error *err)
{
    const struct bson_type *found = find(value.type);
    DKV_CHECK(found != NULL && found->algorithms != 0, err, DKV_E_INVALID,
              "a value of type 0x%02x (%s) is never encrypted", value.type, dkv_bson_type_name(value.type));
    DKV_CHECK(value.bytes.len > 0, err, DKV_E_INVALID, "a value of type %s has no bytes", found->name);
    DKV_CHECK(value.bytes.len <= DKV_BSON_VALUE_MAX, err, DKV_E_INVALID,
              "a value of %zu bytes is longer than any BSON document", value.bytes.len);
    DKV_CHECK(is_whole(found, value.bytes), err, DKV_E_INVALID, "these %zu bytes are no BSON value of type %s",
              value.bytes.len, found->name);
    DKV_CHECK(found->take != take_binary || value.bytes.data[4] != SUBTYPE_ENCRYPTED, err, DKV_E_INVALID,
              "a binary of subtype 6 is encrypted already and may not be encrypted again");
    return DKV_OK;
}
