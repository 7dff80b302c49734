/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from whoever can write a vault, made safe for libbson's iterators: size and nesting are bounded before libbson
 * recurses, lengths and closing NULs are checked where libbson doesn't, and only static bson_t are used, since
 * libbson's allocations end the process when they fail. Owns nothing. */
#include "vault/document_bson.h"

#include "vault/document.h"

#define NESTING_MAX 32u /* documents within documents; our own recursion has a bound */

bool dkv_bson_enter(const bson_iter_t *iter, bson_iter_t *ret_child)
{
    uint32_t len = 0;
    const uint8_t *data = NULL;
    if (BSON_ITER_HOLDS_ARRAY(iter)) {
        bson_iter_array(iter, &len, &data);
    } else {
        bson_iter_document(iter, &len, &data);
    }
    return data != NULL && bson_iter_init_from_data(ret_child, data, len);
}

/* Every element is one, and within bounds: all that bson_validate() would say beyond the text of names, which is judged
 * where it counts, at a third of the price. Code with scope is refused as well: it nests too, and no masterKey has use
 * for it. */
static bool is_sound(bson_iter_t *iter, unsigned depth)
{
    while (bson_iter_next(iter)) {
        bson_iter_t child;
        if (BSON_ITER_HOLDS_CODEWSCOPE(iter)) {
            return false;
        }
        if (!BSON_ITER_HOLDS_DOCUMENT(iter) && !BSON_ITER_HOLDS_ARRAY(iter)) {
            continue;
        }
        if (depth == 0 || !dkv_bson_enter(iter, &child) || !is_sound(&child, depth - 1)) {
            return false;
        }
    }
    return iter->err_off == 0; /* it ended at the end, not at an element that isn't one */
}

enum dkv_rc dkv_bson_check(struct dkv_span bytes, struct dkv_error *err)
{
    bson_t bson;
    bson_iter_t iter;
    DKV_CHECK(bytes.len <= DKV_DOCUMENT_MAX, err, DKV_E_REJECTED_CIPHERTEXT,
              "it has %zu bytes, more than the %u that a key document may have", bytes.len, DKV_DOCUMENT_MAX);
    DKV_CHECK(bytes.len >= 5 && bson_init_static(&bson, bytes.data, bytes.len) && bson_iter_init(&iter, &bson), err,
              DKV_E_REJECTED_CIPHERTEXT, "it is not BSON: its length differs from its %zu bytes", bytes.len);
    DKV_CHECK(is_sound(&iter, NESTING_MAX), err, DKV_E_REJECTED_CIPHERTEXT,
              "it nests more than %u deep, has JavaScript code with a scope, or is not valid BSON", NESTING_MAX);
    return DKV_OK;
}

/* The text in a value of any type that holds some; "" for the others. A regular expression has two. */
static const char *text_of(const bson_iter_t *iter, uint32_t *ret_len)
{
    const char *text = "";
    *ret_len = 0;
    switch (bson_iter_type(iter)) {
    case BSON_TYPE_UTF8:
        return bson_iter_utf8(iter, ret_len);
    case BSON_TYPE_CODE:
        return bson_iter_code(iter, ret_len);
    case BSON_TYPE_SYMBOL:
        return bson_iter_symbol(iter, ret_len);
    case BSON_TYPE_DBPOINTER:
        bson_iter_dbpointer(iter, ret_len, &text, NULL);
        return text;
    case BSON_TYPE_REGEX:
        text = bson_iter_regex(iter, NULL);
        *ret_len = (uint32_t)strlen(text);
        return text;
    default:
        return text;
    }
}

static bool element_text_is_valid(const bson_iter_t *iter)
{
    uint32_t len = 0;
    const char *options = "";
    const char *text = text_of(iter, &len);
    if (BSON_ITER_HOLDS_REGEX(iter)) {
        (void)bson_iter_regex(iter, &options);
    }
    return strlen(text) == len && dkv_utf8_is_valid(dkv_span(text, len)) && dkv_utf8_is_valid(dkv_span_str(options)) &&
           dkv_utf8_is_valid(dkv_span_str(bson_iter_key(iter)));
}

bool dkv_bson_text_is_valid(bson_iter_t *iter)
{
    while (bson_iter_next(iter)) {
        bson_iter_t child;
        if (!element_text_is_valid(iter)) {
            return false;
        }
        const bool nests = BSON_ITER_HOLDS_DOCUMENT(iter) || BSON_ITER_HOLDS_ARRAY(iter);
        if (nests && (!dkv_bson_enter(iter, &child) || !dkv_bson_text_is_valid(&child))) {
            return false;
        }
    }
    return true;
}
