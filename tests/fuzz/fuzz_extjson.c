/* SPDX-License-Identifier: Apache-2.0 */
/* Extended JSON from whoever hands us a value: what is taken is valid BSON, can be printed, and reads the same
 * again. */
#include <bson/bson.h>
#include <stdlib.h>

#include "cli/extjson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_document(struct dkv_span bson)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf again = {0};
    bson_t document;
    if (!bson_init_static(&document, bson.data, bson.len) || !bson_validate(&document, BSON_VALIDATE_NONE, NULL)) {
        abort();
    }
    if (dkv_extjson_document(&json, bson, NULL) != DKV_OK ||
        dkv_extjson_read_document(dkv_span_buf(&json), &again, NULL) != DKV_OK ||
        !dkv_span_equal(bson, dkv_span_buf(&again))) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bson = {0};
    struct dkv_error err = {0};
    if (dkv_buf_append_str(&json, "{\"v\":", &err) != DKV_OK ||
        dkv_buf_append(&json, dkv_span(data, size), &err) != DKV_OK ||
        dkv_buf_append_str(&json, "}", &err) != DKV_OK) {
        return 0;
    }
    if (dkv_extjson_read_document(dkv_span_buf(&json), &bson, &err) == DKV_OK) {
        check_document(dkv_span_buf(&bson));
    } else if (bson.len != 0 || err.rc != DKV_E_INVALID) {
        abort();
    }
    return 0;
}
