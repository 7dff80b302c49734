/* SPDX-License-Identifier: Apache-2.0 */
/* Check records: 96 zero bytes wrapped under a CMK, marked as no document's, under the state key "cmk/PROVIDER/KEYID"
 * as {v: 1, record: <binary>, created: <date>}.
 * Invariant: a record is written once and never replaced; nothing secret is in it, since what it wraps is known. No
 * lock: the store's compare-and-set decides between two writers. */
#include "vault/check_record.h"

#include <bson/bson.h>

#include "base/log.h"
#include "base/secret.h"

#define RECORD_VERSION 1

/* Providers take what they wrap from secret memory only, zeros too. */
static enum dkv_rc wrap_zeros(struct dkv_instance *instance, const struct dkv_cmk *cmk, struct dkv_buf *ret,
                              struct dkv_error *err)
{
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret zeros = {0};
    DKV_TRY(dkv_secret_init(&zeros, DKV_DEK_BYTES, err));
    DKV_TRY(dkv_buf_reserve(ret, DKV_KEY_MATERIAL_MAX, err));
    struct dkv_wrap_item item = {
        .cmk = cmk,
        .input = dkv_secret_view(&zeros),
        .output = ret->data,
        .output_capacity = DKV_KEY_MATERIAL_MAX,
        .err = err,
    };
    const struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_CHECK);
    DKV_TRY(dkv_instance_wrap(instance, &call, &item, 1, err));
    ret->len = item.output_len;
    return DKV_OK;
}

static enum dkv_rc put(struct dkv_store *store, const char *key, struct dkv_span record, struct dkv_error *err)
{
    bson_t value = BSON_INITIALIZER;
    bool ok = bson_append_int32(&value, "v", -1, RECORD_VERSION) &&
              bson_append_binary(&value, "record", -1, BSON_SUBTYPE_BINARY, record.data, (uint32_t)record.len) &&
              bson_append_date_time(&value, "created", -1, dkv_clock_real.wall_ms());
    enum dkv_rc rc = DKV_E_CONFLICT;
    if (ok) {
        rc = store->ops->state_put(store, key, dkv_span(NULL, 0), dkv_span(bson_get_data(&value), value.len), err);
    }
    bson_destroy(&value);
    return rc == DKV_E_CONFLICT ? DKV_OK : rc; /* somebody else wrote it: as good */
}

static enum dkv_rc ensure(struct dkv_store *store, struct dkv_instance *instance, const struct dkv_cmk *cmk,
                          const char *key, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf record = {0};
    const enum dkv_rc rc = store->ops->state_get(store, key, &record, err);
    if (rc != DKV_E_NOT_FOUND) {
        return rc;
    }
    DKV_TRY(wrap_zeros(instance, cmk, &record, err));
    return put(store, key, dkv_span_buf(&record), err);
}

void dkv_check_record_ensure(struct dkv_vault *vault, struct dkv_instance *instance, const struct dkv_cmk *cmk,
                             const struct dkv_cmk_info *info)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf key = {0};
    struct dkv_error err = {0};
    if ((info->capabilities & DKV_CAP_BOUND) == 0) {
        return;
    }
    enum dkv_rc rc = dkv_buf_printf(&key, &err, "cmk/%s/%s", dkv_instance_id(instance), info->key_id);
    if (rc == DKV_OK) {
        rc = ensure(vault->store, instance, cmk, dkv_buf_text(&key), &err);
    }
    if (rc != DKV_OK) {
        dkv_log(DKV_LOG_WARNING, "%s: no check record could be written for CMK %s: %s", dkv_instance_id(instance),
                info->key_id, err.message);
    }
}
