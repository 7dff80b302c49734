/* SPDX-License-Identifier: Apache-2.0 */
/* BSON that nobody vouches for, checked so that libbson's iterators may walk it. */
#ifndef VAULT_DOCUMENT_BSON_H
#define VAULT_DOCUMENT_BSON_H

#include <bson/bson.h>

#include "base/bytes.h"

/* dkv_bson_check: DKV_E_REJECTED_CIPHERTEXT: not one BSON document of at most DKV_DOCUMENT_MAX bytes, nested too deep,
 * or with JavaScript code that has a scope. Text may still be anything. */
DKV_MUST_USE enum dkv_rc dkv_bson_check(struct dkv_span bytes, struct dkv_error *err);

/* dkv_bson_enter: as bson_iter_recurse(), but the length and the closing NUL are checked, which that and
 * bson_validate() leave out. */
bool dkv_bson_enter(const bson_iter_t *iter, bson_iter_t *ret_child);

/* dkv_bson_text_is_valid: all names and texts from here on are UTF-8 without a NUL. bson_validate() can't say: with
 * BSON_VALIDATE_UTF8 libbson 1.23 lets FF and surrogates pass. */
bool dkv_bson_text_is_valid(bson_iter_t *iter);

#endif
