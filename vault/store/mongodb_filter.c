/* SPDX-License-Identifier: Apache-2.0 */
/* Filters as MongoDB queries. What the server can't compare it narrows, and the rest is judged here: a cmk that is a
 * masterKey as Extended JSON, and a prefix that is no UTF-8. Owns nothing. */
#include "vault/store/mongodb.h"

#include "vault/document_bson.h"
#include "vault/master_key.h"

#define PREFIX_MAX 4096u /* bytes of a prefix that the server is asked for; its regular expressions are bounded */

/* ---- Names ---- */

/* How much of the prefix the server can compare: whole characters. */
static size_t server_prefix_len(const char *prefix)
{
    const size_t len = strlen(prefix);
    size_t at = 0;
    while (at < len) {
        const size_t char_len = dkv_utf8_char_len(dkv_span(prefix + at, len - at));
        if (char_len == 0 || at + char_len > PREFIX_MAX) {
            break;
        }
        at += char_len;
    }
    return at;
}

/* A regular expression that is an escaped prefix is what the server can use an index for. Of the empty prefix it says:
 * has a name. */
static enum dkv_rc append_prefix(bson_t *query, const char *prefix, struct dkv_error *err)
{
    static const char special[] = "\\^$.[]|()?*+{}";
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf regex = {0};
    DKV_TRY(dkv_buf_append_str(&regex, "^", err));
    for (size_t i = 0, len = server_prefix_len(prefix); i < len; i++) {
        DKV_TRY(dkv_buf_append_str(&regex, strchr(special, prefix[i]) != NULL ? "\\" : "", err));
        DKV_TRY(dkv_buf_append(&regex, dkv_span(prefix + i, 1), err));
    }
    bson_t child;
    (void)bson_append_document_begin(query, "keyAltNames", -1, &child);
    (void)bson_append_utf8(&child, "$regex", -1, (const char *)regex.data, (int)regex.len);
    (void)bson_append_document_end(query, &child);
    return DKV_OK;
}

/* ---- CMKs ---- */

static void append_choice(bson_t *choices, const char *index, const char *field, const char *op, const char *text)
{
    bson_t choice, child;
    (void)bson_append_document_begin(choices, index, -1, &choice);
    if (op == NULL) {
        (void)bson_append_utf8(&choice, field, -1, text, -1);
    } else {
        (void)bson_append_document_begin(&choice, field, -1, &child);
        (void)bson_append_utf8(&child, op, -1, text, -1);
        (void)bson_append_document_end(&choice, &child);
    }
    (void)bson_append_document_end(choices, &choice);
}

/* Where dkv_master_key_cmk takes the text from. What begins with a brace may be a whole masterKey. */
static void append_cmk(bson_t *query, const char *cmk)
{
    bson_t choices;
    if (cmk[0] == '{') {
        return;
    }
    (void)bson_append_array_begin(query, "$or", -1, &choices);
    append_choice(&choices, "0", "masterKey.key", NULL, cmk);
    append_choice(&choices, "1", "masterKey.keyId", NULL, cmk);
    if (cmk[0] == '\0') {
        append_choice(&choices, "2", "masterKey.provider", "$regex", "^local(:|$)");
    }
    (void)bson_append_array_end(query, &choices);
}

/* ---- The query ---- */

static void append_range(bson_t *query, const char *field, int64_t after_ms, int64_t before_ms)
{
    bson_t child;
    if (after_ms == INT64_MIN && before_ms == INT64_MAX) {
        return;
    }
    (void)bson_append_document_begin(query, field, -1, &child);
    if (after_ms != INT64_MIN) {
        (void)bson_append_date_time(&child, "$gt", -1, after_ms);
    }
    if (before_ms != INT64_MAX) {
        (void)bson_append_date_time(&child, "$lt", -1, before_ms);
    }
    (void)bson_append_document_end(query, &child);
}

static enum dkv_rc append_filter(bson_t *query, const struct dkv_key_filter *filter, struct dkv_error *err)
{
    if (filter->provider != NULL) {
        (void)bson_append_utf8(query, "masterKey.provider", -1, filter->provider, -1);
    }
    if (filter->cmk != NULL) {
        append_cmk(query, filter->cmk);
    }
    if (filter->status >= 0) {
        (void)bson_append_int32(query, "status", -1, filter->status);
    }
    append_range(query, "creationDate", filter->created_after_ms, filter->created_before_ms);
    append_range(query, "updateDate", filter->updated_after_ms, filter->updated_before_ms);
    return filter->name_prefix != NULL ? append_prefix(query, filter->name_prefix, err) : DKV_OK;
}

enum dkv_rc dkv_mongodb_filter(const struct dkv_key_filter *filter, const struct dkv_uuid *after, bson_t *query,
                               struct dkv_error *err)
{
    bson_t child;
    if (after != NULL) {
        (void)bson_append_document_begin(query, "_id", -1, &child);
        dkv_mongodb_append_id(&child, "$gt", after);
        (void)bson_append_document_end(query, &child);
    }
    return filter != NULL ? append_filter(query, filter, err) : DKV_OK;
}

/* ---- Here ---- */

bool dkv_mongodb_filter_is_whole(const struct dkv_key_filter *filter)
{
    const char *prefix = filter->name_prefix;
    return filter->cmk == NULL && (prefix == NULL || server_prefix_len(prefix) == strlen(prefix));
}

static enum dkv_rc takes_cmk(const char *cmk, const bson_t *document, bool *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf own = {0};
    char provider[DKV_PROVIDER_ID_SIZE];
    uint32_t len = 0;
    const uint8_t *data = NULL;
    bson_iter_t iter;
    *ret = false;
    if (!bson_iter_init_find(&iter, document, "masterKey") || !BSON_ITER_HOLDS_DOCUMENT(&iter)) {
        return DKV_OK;
    }
    bson_iter_document(&iter, &len, &data);
    enum dkv_rc rc = dkv_master_key_parse(dkv_span(data, len), provider, err);
    if (rc == DKV_OK) {
        rc = dkv_master_key_cmk(dkv_span(data, len), provider, &own, err);
    }
    if (rc == DKV_E_REJECTED_CIPHERTEXT) { /* a damaged one has no CMK that anybody could ask for */
        return DKV_OK;
    }
    *ret = rc == DKV_OK && dkv_span_equal(dkv_span_buf(&own), dkv_span_str(cmk));
    return rc;
}

static bool takes_prefix(const char *prefix, const bson_t *document)
{
    const size_t prefix_len = strlen(prefix);
    bson_iter_t iter, name;
    if (!bson_iter_init_find(&iter, document, "keyAltNames") || !BSON_ITER_HOLDS_ARRAY(&iter) ||
        !dkv_bson_enter(&iter, &name)) {
        return false;
    }
    while (bson_iter_next(&name)) {
        uint32_t len = 0;
        const char *text = BSON_ITER_HOLDS_UTF8(&name) ? bson_iter_utf8(&name, &len) : NULL;
        if (text != NULL && len >= prefix_len && memcmp(text, prefix, prefix_len) == 0) {
            return true;
        }
    }
    return false;
}

enum dkv_rc dkv_mongodb_filter_takes(const struct dkv_key_filter *filter, struct dkv_span document, bool *ret,
                                     struct dkv_error *err)
{
    bson_t bson;
    bool takes = dkv_bson_check(document, NULL) == DKV_OK && bson_init_static(&bson, document.data, document.len);
    if (takes && filter->cmk != NULL) {
        DKV_TRY(takes_cmk(filter->cmk, &bson, &takes, err));
    }
    if (takes && filter->name_prefix != NULL) {
        takes = takes_prefix(filter->name_prefix, &bson);
    }
    *ret = takes;
    return DKV_OK;
}
