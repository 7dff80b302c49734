/* SPDX-License-Identifier: Apache-2.0 */
/* MongoDB's `local` KMS: the CMK is 96 bytes of a file, wrapping is AEAD_AES_256_CBC_HMAC_SHA_512 over the DEK with no
 * associated data (github.com/mongodb/specifications, client-side-encryption): 16 bytes of IV, 112 of ciphertext, 32
 * of MAC. Any driver with the same 96 bytes reads it; nothing in it says which document it belongs to. The CMK lies in
 * secret memory from open to close and is never changed, hence no lock. */
#include "providers/local/local.h"

#include <string.h>

#include <bson/bson.h>

#include "base/crypto.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "providers/setting_file.h"

#define LOCAL_CMK_LEN DKV_DEK_LEN
#define BASE64_LEN 128                     /* of 96 bytes */
#define FILE_MAX 1024                      /* more than any key, so that the words for a wrong one are ours */
#define IV_LEN 16
#define OPENED_MAX (DKV_LOCAL_WRAP_LEN - 48) /* what dkv_mongo_open may write */

_Static_assert(DKV_DEK_LEN == DKV_DEK_BYTES, "one length of DEKs");

/* There is one CMK, so the instance holds it. */
struct dkv_cmk {
    struct dkv_secret key;
};

struct dkv_provider {
    const struct dkv_provider_settings *settings;
    struct dkv_cmk cmk;
};

enum { OPTION_KEY_SOURCE };

static const char *const key_sources[] = {"file", NULL};

static const struct dkv_option options[] = {
    [OPTION_KEY_SOURCE] = {.name = "key-source",
                           .type = DKV_OPTION_SOURCE,
                           .required = true,
                           .choices = key_sources,
                           .help = "The file that holds the CMK: 96 bytes, or their base64."},
};

/* ---- Opening: the CMK from its file ---- */

/* Straight from the file and untrimmed, since the last of 96 raw bytes may well be a newline. */
static enum dkv_rc decode(const struct dkv_secret *contents, const char *path, struct dkv_secret *key,
                          struct dkv_error *err)
{
    size_t len = contents->len;
    DKV_TRY(dkv_secret_init(key, LOCAL_CMK_LEN, err));
    if (len == LOCAL_CMK_LEN) {
        memcpy(key->data, contents->data, LOCAL_CMK_LEN);
        return DKV_OK;
    }
    if (dkv_secret_trimmed_len(contents) == BASE64_LEN &&
        dkv_from_base64((const char *)contents->data, BASE64_LEN, key->data, LOCAL_CMK_LEN, &len) &&
        len == LOCAL_CMK_LEN) {
        return DKV_OK;
    }
    return dkv_fail(err, DKV_E_CONFIG,
                    "%s holds %zu bytes that are no local key: it must hold exactly 96 bytes, or their base64 in one "
                    "line of 128 characters (head -c 96 /dev/urandom > FILE makes one)", path, contents->len);
}

static enum dkv_rc read_key(const struct dkv_provider_settings *settings, struct dkv_secret *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret contents = {0};
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret key = {0};
    const char *source = settings->values[OPTION_KEY_SOURCE].text;
    DKV_CHECK(source != NULL && strncmp(source, "file:/", 6) == 0, err, DKV_E_CONFIG,
              "%s:%u: key-source must be file:/PATH", settings->file, settings->line);
    DKV_TRY(dkv_secret_file_read(source + 5, settings->allow_group_read, FILE_MAX, &contents, NULL, err));
    DKV_TRY(decode(&contents, source + 5, &key, err));
    dkv_secret_steal(ret, &key);
    return DKV_OK;
}

static void close_local(struct dkv_provider *self)
{
    if (self != NULL) {
        dkv_secret_done(&self->cmk.key);
        dkv_free(self);
    }
}

DKV_DEFINE_FREEP(struct dkv_provider, close_local);

static enum dkv_rc open_local(const struct dkv_host *host, const struct dkv_provider_settings *settings,
                              struct dkv_provider **ret, struct dkv_error *err)
{
    (void)host;
    DKV_CLEANUP(close_localp) struct dkv_provider *self = dkv_calloc(1, sizeof(*self));
    if (self == NULL) {
        return dkv_fail_memory(err);
    }
    self->settings = settings;
    DKV_TRY(read_key(settings, &self->cmk.key, err));
    *ret = self;
    self = NULL;
    return DKV_OK;
}

/* In a forked child the CMK reads as zeros: a wrap under it would be one that anybody can open. */
static enum dkv_rc check_alive(const struct dkv_cmk *cmk, struct dkv_error *err)
{
    DKV_CHECK(dkv_secret_is_alive(&cmk->key), err, DKV_E_INVALID,
              "the local key was opened before fork and isn't there in the child: open the vault again in the child");
    return DKV_OK;
}

/* ---- Which CMK ---- */

/* The masterKey's provider; borrowed from master_key. */
static enum dkv_rc parse_master_key(struct dkv_span master_key, struct dkv_span *ret_provider, struct dkv_error *err)
{
    bson_t document;
    bson_iter_t iter;
    DKV_CHECK(bson_init_static(&document, master_key.data, master_key.len) &&
              bson_validate(&document, BSON_VALIDATE_UTF8, NULL) &&
                  bson_iter_init(&iter, &document),
              err, DKV_E_REJECTED_CIPHERTEXT, "masterKey is no BSON document");
    struct dkv_span provider = {0};
    while (bson_iter_next(&iter)) {
        uint32_t len = 0;
        DKV_CHECK(strcmp(bson_iter_key(&iter), "provider") == 0, err, DKV_E_REJECTED_CIPHERTEXT,
                  "masterKey has a field that a local key doesn't have");
        DKV_CHECK(BSON_ITER_HOLDS_UTF8(&iter), err, DKV_E_REJECTED_CIPHERTEXT, "masterKey's provider is no string");
        DKV_CHECK(provider.data == NULL, err, DKV_E_REJECTED_CIPHERTEXT, "masterKey has provider twice");
        const char *text = bson_iter_utf8(&iter, &len);
        provider = dkv_span(text, len);
    }
    DKV_CHECK(provider.data != NULL, err, DKV_E_REJECTED_CIPHERTEXT, "masterKey has no provider");
    *ret_provider = provider;
    return DKV_OK;
}

static enum dkv_rc resolve_document(struct dkv_provider *self, const struct dkv_call *call, struct dkv_span master_key,
                                    struct dkv_cmk **ret, struct dkv_error *err)
{
    (void)call;
    struct dkv_span provider = {0};
    DKV_TRY(parse_master_key(master_key, &provider, err));
    DKV_CHECK(dkv_span_equal(provider, dkv_span_str(self->settings->id)), err, DKV_E_POLICY,
              "masterKey names another provider than %s", self->settings->id);
    *ret = &self->cmk;
    return DKV_OK;
}

static enum dkv_rc resolve_reference(struct dkv_provider *self, const struct dkv_call *call, const char *reference,
                                     struct dkv_cmk **ret, struct dkv_error *err)
{
    (void)call;
    DKV_CHECK(reference == NULL || reference[0] == '\0', err, DKV_E_NOT_FOUND,
              "%s has one CMK, which has no name: leave the reference out", self->settings->id);
    *ret = &self->cmk;
    return DKV_OK;
}

/* Nothing to free: the CMK is the instance's. */
static void cmk_free(struct dkv_cmk *cmk)
{
    (void)cmk;
}

static enum dkv_rc describe(struct dkv_provider *self, const struct dkv_call *call, const struct dkv_cmk *cmk,
                            struct dkv_cmk_info *ret, struct dkv_error *err)
{
    (void)call;
    (void)cmk;
    bson_t document;
    bson_init(&document); /* an id fits into the struct itself: libbson allocates nothing */
    const bool is_made = bson_append_utf8(&document, "provider", -1, self->settings->id, -1) &&
                         document.len <= DKV_MASTER_KEY_MAX;
    if (is_made) {
        *ret = (struct dkv_cmk_info){.master_key_len = document.len,
                                     .state = DKV_CMK_ENABLED,
                                     .capabilities = DKV_CAP_STOCK | DKV_CAP_AUTHENTIC};
        memcpy(ret->master_key, bson_get_data(&document), document.len);
    }
    bson_destroy(&document);
    DKV_CHECK(is_made, err, DKV_E_INTERNAL, "no masterKey could be made for %s", self->settings->id);
    return DKV_OK;
}

static enum dkv_rc list_cmks(struct dkv_provider *self, const struct dkv_call *call, dkv_cmk_visit_fn visit, void *arg,
                             struct dkv_error *err)
{
    DKV_CLEANUP(dkv_freep) struct dkv_cmk_info *info = dkv_calloc(1, sizeof(*info));
    if (info == NULL) {
        return dkv_fail_memory(err);
    }
    DKV_TRY(describe(self, call, &self->cmk, info, err));
    return visit(arg, info, err);
}

/* ---- Wrapping ---- */

static enum dkv_rc wrap_one(const struct dkv_cmk *cmk, struct dkv_wrap_item *item, struct dkv_error *err)
{
    uint8_t iv[IV_LEN];
    DKV_TRY(check_alive(cmk, err));
    DKV_CHECK(item->input.len == DKV_DEK_LEN, err, DKV_E_INVALID, "a data key is %d bytes long, not %zu", DKV_DEK_LEN,
              item->input.len);
    DKV_CHECK(item->output_capacity >= DKV_LOCAL_WRAP_LEN, err, DKV_E_INVALID,
              "there is no room for %d bytes of keyMaterial", DKV_LOCAL_WRAP_LEN);
    DKV_TRY(dkv_random(iv, sizeof(iv), err));
    DKV_TRY(dkv_mongo_seal(cmk->key.data, iv, dkv_span(NULL, 0), item->input, item->output, err));
    item->output_len = DKV_LOCAL_WRAP_LEN;
    return DKV_OK;
}

/* What went wrong is the same for every cause (wrong key, changed bytes), so the words give both. */
static enum dkv_rc fail_to_open(enum dkv_rc rc, struct dkv_error *err)
{
    if (rc != DKV_E_REJECTED_CIPHERTEXT) {
        return rc;
    }
    return dkv_fail(err, rc, "keyMaterial doesn't open with this local key: it was changed, or it belongs to another "
                             "local key");
}

static enum dkv_rc unwrap_one(const struct dkv_cmk *cmk, struct dkv_wrap_item *item, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret opened = {0};
    size_t len = 0;
    DKV_TRY(check_alive(cmk, err));
    DKV_CHECK(item->input.len == DKV_LOCAL_WRAP_LEN, err, DKV_E_REJECTED_CIPHERTEXT,
              "keyMaterial is %zu bytes long: under a local key it has %d", item->input.len, DKV_LOCAL_WRAP_LEN);
    DKV_CHECK(item->output_capacity >= DKV_DEK_LEN, err, DKV_E_INVALID, "there is no room for a data key");
    DKV_TRY(dkv_secret_init(&opened, OPENED_MAX, err));
    const enum dkv_rc rc = dkv_mongo_open(cmk->key.data, dkv_span(NULL, 0), item->input, opened.data, &len, err);
    if (rc != DKV_OK) {
        return fail_to_open(rc, err);
    }
    DKV_CHECK(len == DKV_DEK_LEN, err, DKV_E_REJECTED_CIPHERTEXT, "keyMaterial holds %zu bytes: a data key has %d",
              len, DKV_DEK_LEN);
    memcpy(item->output, opened.data, DKV_DEK_LEN);
    item->output_len = DKV_DEK_LEN;
    return DKV_OK;
}

static enum dkv_rc check_call(const struct dkv_call *call, struct dkv_error *err)
{
    DKV_CHECK(call->cancelled == NULL || *call->cancelled == 0, err, DKV_E_CANCELLED, "the call was cancelled");
    return DKV_OK;
}

/* No deadline: an item takes microseconds. */
static enum dkv_rc each(const struct dkv_call *call, struct dkv_wrap_item *items, size_t n,
                        enum dkv_rc (*one)(const struct dkv_cmk *, struct dkv_wrap_item *, struct dkv_error *),
                        struct dkv_error *err)
{
    enum dkv_rc first = DKV_OK;
    for (size_t i = 0; i < n; i++) {
        struct dkv_error own = {0};
        struct dkv_wrap_item *item = &items[i];
        item->output_len = 0;
        item->status = check_call(call, &own);
        if (item->status == DKV_OK) {
            item->status = one(item->cmk, item, &own);
        }
        if (item->status != DKV_OK && item->err != NULL) {
            *item->err = own;
        }
        if (item->status != DKV_OK && first == DKV_OK) {
            first = item->status;
            if (err != NULL) {
                *err = own;
            }
        }
    }
    return first;
}

static enum dkv_rc wrap(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items, size_t n,
                        struct dkv_error *err)
{
    (void)self;
    return each(call, items, n, wrap_one, err);
}

static enum dkv_rc unwrap(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items, size_t n,
                          struct dkv_error *err)
{
    (void)self;
    return each(call, items, n, unwrap_one, err);
}

/* ---- Health ---- */

static enum dkv_rc check(struct dkv_provider *self, const struct dkv_call *call, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret dek = {0};
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret again = {0};
    uint8_t material[DKV_LOCAL_WRAP_LEN];
    DKV_TRY(dkv_secret_init(&dek, DKV_DEK_LEN, err));
    DKV_TRY(dkv_secret_init(&again, DKV_DEK_LEN, err));
    DKV_TRY(dkv_random(dek.data, dek.len, err));
    struct dkv_wrap_item in = {
        .cmk = &self->cmk, .input = dkv_secret_view(&dek), .output = material, .output_capacity = sizeof(material)};
    DKV_TRY(each(call, &in, 1, wrap_one, err));
    struct dkv_wrap_item out = {
        .cmk = &self->cmk, .input = dkv_span(material, in.output_len), .output = again.data,
        .output_capacity = again.len};
    DKV_TRY(each(call, &out, 1, unwrap_one, err));
    DKV_CHECK(dkv_equal_ct(dek.data, again.data, DKV_DEK_LEN), err, DKV_E_INTERNAL,
              "a wrapped key came back as another one");
    return DKV_OK;
}

/* A list of names would only look as if it meant something; whether the key file can be had is told beforehand. */
static enum dkv_rc check_settings(const struct dkv_provider_settings *settings, dkv_setting_fault_fn report, void *arg,
                                  struct dkv_error *err)
{
    struct dkv_setting_fault fault = {
        .message = "a local provider has one CMK, that of key-source: leave this out",
    };
    if (settings->cmk != NULL) {
        fault.setting = "cmk";
        fault.line = settings->cmk_line;
        DKV_TRY(report(arg, &fault, err));
    }
    if (settings->n_cmks > 0) {
        fault.setting = "cmks";
        fault.line = settings->cmks_line;
        DKV_TRY(report(arg, &fault, err));
    }
    return dkv_setting_file_check(settings, "key-source", &settings->values[OPTION_KEY_SOURCE], report, arg, err);
}

const struct dkv_provider_ops dkv_local_ops = {
    .size = sizeof(struct dkv_provider_ops),
    .abi_version = DKV_PROVIDER_ABI_VERSION,
    .type = "local",
    .summary = "A 96-byte CMK from a file, as MongoDB's drivers have it. For development: the CMK is as safe as the "
               "file.",
    .options = options,
    .n_options = DKV_COUNT(options),
    .static_capabilities = DKV_CAP_STOCK | DKV_CAP_AUTHENTIC,
    .open = open_local,
    .close = close_local,
    .resolve_document = resolve_document,
    .resolve_reference = resolve_reference,
    .cmk_free = cmk_free,
    .describe = describe,
    .wrap = wrap,
    .unwrap = unwrap,
    .check_settings = check_settings,
    .check = check,
    .list_cmks = list_cmks,
};
