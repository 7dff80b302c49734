/* SPDX-License-Identifier: Apache-2.0 */
/* KMS provider `pkcs11`: CMKs in one token of one PKCS#11 module. The table, its options, opening and closing, and
 * which CMK is meant. Opening reads settings and, where that is the PIN's source, a descriptor; module and token are
 * touched at first use. Locks: internal.h. */
#include "providers/pkcs11/internal.h"

#include <stdio.h>
#include <unistd.h>

#include "base/crypto.h"

static const char *const pin_sources[] = {"file", "fd", "prompt", NULL};

static const struct dkv_option options[] = {
    [DKV_P11_OPTION_MODULE] = {.name = "module",
                               .type = DKV_OPTION_PATH,
                               .required = true,
                               .help =
                                   "The PKCS#11 module of the token, for instance /usr/lib/softhsm/libsofthsm2.so."},
    [DKV_P11_OPTION_MODULE_INIT] =
        {.name = "module-init",
         .type = DKV_OPTION_TEXT,
         .help = "The string that the module wants in C_Initialize (pReserved), if it wants one; NSS does."},
    [DKV_P11_OPTION_TOKEN] =
        {.name = "token",
         .type = DKV_OPTION_TEXT,
         .required = true,
         .help = "The token as an RFC 7512 URI, best with its serial: pkcs11:token=LABEL;serial=SERIAL."},
    [DKV_P11_OPTION_PIN_SOURCE] =
        {.name = "pin-source",
         .type = DKV_OPTION_SOURCE,
         .choices = pin_sources,
         .help = "Where the token's user PIN is read; not needed where the token wants no login."},
};

/* ---- Opening and closing ---- */

static void close_pkcs11(struct dkv_provider *self)
{
    if (self == NULL) {
        return;
    }
    dkv_p11_disconnect(self);
    dkv_p11_module_put(self->module);
    p11_kit_uri_free(self->uri);
    dkv_secret_done(&self->pin);
    dkv_p11_pool_done(&self->pool);
    (void)pthread_mutex_destroy(&self->lock);
    dkv_free(self->listed);
    dkv_free(self);
}

DKV_DEFINE_FREEP(struct dkv_provider, close_pkcs11);

/* The memory of the serial is the entry's, and another token URI is another entry. */
static enum dkv_rc make_token_key(struct dkv_provider *self, struct dkv_error *err)
{
    uint8_t digest[32];
    char hex[33];
    const struct dkv_span parts[] = {dkv_span(self->settings->id, strlen(self->settings->id) + 1),
                                     dkv_span_str(dkv_p11_option(self, DKV_P11_OPTION_TOKEN)->text)};
    DKV_TRY(dkv_sha256(parts, DKV_COUNT(parts), digest, err));
    dkv_to_hex(dkv_span(digest, 16), hex);
    (void)snprintf(self->token_key, sizeof(self->token_key), "serial/%s", hex);
    return DKV_OK;
}

static enum dkv_rc read_token(struct dkv_provider *self, struct dkv_error *err)
{
    const struct dkv_value *token = dkv_p11_option(self, DKV_P11_OPTION_TOKEN);
    const enum dkv_rc rc = dkv_p11_token_uri_parse(token->text, &self->uri, err);
    if (rc == DKV_E_CONFIG) {
        dkv_error_prefix(err, "%s:%u: token: ", self->settings->file, token->line);
    }
    return rc;
}

static enum dkv_rc read_settings(struct dkv_provider *self, struct dkv_error *err)
{
    DKV_TRY(read_token(self, err));
    DKV_TRY(dkv_p11_listed_open(self, err));
    DKV_TRY(make_token_key(self, err));
    return dkv_p11_pin_open(self, err);
}

static enum dkv_rc open_pkcs11(const struct dkv_host *host, const struct dkv_provider_settings *settings,
                               struct dkv_provider **ret, struct dkv_error *err)
{
    DKV_CLEANUP(close_pkcs11p) struct dkv_provider *self = dkv_calloc(1, sizeof(*self));
    if (self == NULL) {
        return dkv_fail_memory(err);
    }
    self->host = host;
    self->settings = settings;
    (void)pthread_mutex_init(&self->lock, NULL);
    dkv_p11_pool_init(&self->pool, settings->parallel);
    DKV_TRY(read_settings(self, err));
    *ret = self;
    self = NULL;
    return DKV_OK;
}

/* ---- Which CMK ---- */

static enum dkv_rc make_cmk(struct dkv_provider *self, const struct dkv_call *call, const struct dkv_cmk *from,
                            struct dkv_cmk **ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_freep) struct dkv_cmk *cmk = dkv_calloc(1, sizeof(*cmk));
    if (cmk == NULL) {
        return dkv_fail_memory(err);
    }
    *cmk = *from;
    DKV_TRY(dkv_p11_is_listed(self, call, dkv_span(cmk->id, cmk->id_len), &cmk->is_listed, err));
    *ret = cmk;
    cmk = NULL;
    return DKV_OK;
}

static void cmk_free(struct dkv_cmk *cmk)
{
    dkv_free(cmk);
}

DKV_DEFINE_FREEP(struct dkv_cmk, cmk_free);

static enum dkv_rc resolve_document(struct dkv_provider *self, const struct dkv_call *call, struct dkv_span master_key,
                                    struct dkv_cmk **ret, struct dkv_error *err)
{
    DKV_CLEANUP(cmk_freep) struct dkv_cmk *cmk = NULL;
    struct dkv_p11_master_key parsed = {0};
    char hex[2 * DKV_P11_ID_MAX + 1];
    DKV_TRY(dkv_p11_master_key_parse(master_key, self->settings->id, &parsed, err));
    struct dkv_cmk wanted = {.id_len = parsed.id_len, .stated = parsed.profile};
    memcpy(wanted.id, parsed.id, parsed.id_len);
    DKV_TRY(make_cmk(self, call, &wanted, &cmk, err));
    dkv_to_hex(dkv_span(cmk->id, cmk->id_len), hex);
    DKV_CHECK(cmk->is_listed, err, DKV_E_POLICY,
              "masterKey names a CMK that %s doesn't list: add id:%s to cmks in %s if this key may be used",
              self->settings->id, hex, self->settings->file);
    *ret = cmk;
    cmk = NULL;
    return DKV_OK;
}

static enum dkv_rc look_up_label(struct dkv_provider *self, const struct dkv_call *call,
                                 struct dkv_p11_reference *reference, struct dkv_error *err)
{
    uint8_t id[DKV_P11_ID_MAX];
    size_t len = 0;
    DKV_P11_HOLD(&self->lock);
    DKV_TRY(dkv_p11_connect(self, call, err));
    DKV_TRY(dkv_p11_cmk_by_label(self, reference, id, &len, err));
    memcpy(reference->id, id, len);
    reference->id_len = len;
    return DKV_OK;
}

static enum dkv_rc resolve_reference(struct dkv_provider *self, const struct dkv_call *call, const char *reference,
                                     struct dkv_cmk **ret, struct dkv_error *err)
{
    struct dkv_p11_reference parsed = {0};
    if (reference == NULL) {
        DKV_CHECK(self->settings->cmk != NULL, err, DKV_E_CONFIG, "%s:%u: %s has no cmk: set it, or name a CMK",
                  self->settings->file, self->settings->line, self->settings->id);
        parsed = self->listed[0].reference;
    } else {
        DKV_TRY(dkv_p11_reference_parse(reference, DKV_E_INVALID, &parsed, err));
    }
    if (parsed.has_label) {
        DKV_TRY(look_up_label(self, call, &parsed, err));
    }
    struct dkv_cmk wanted = {.id_len = parsed.id_len};
    memcpy(wanted.id, parsed.id, parsed.id_len);
    return make_cmk(self, call, &wanted, ret, err);
}

/* ---- About CMKs ---- */

static enum dkv_rc describe(struct dkv_provider *self, const struct dkv_call *call, const struct dkv_cmk *cmk,
                            struct dkv_cmk_info *ret, struct dkv_error *err)
{
    struct dkv_p11_key key = {0};
    DKV_P11_HOLD(&self->lock);
    DKV_TRY(dkv_p11_connect(self, call, err));
    DKV_TRY(dkv_p11_cmk_locate(self, cmk, &key, err));
    return dkv_p11_cmk_describe(self, &key, ret, err);
}

static enum dkv_rc find_all(struct dkv_provider *self, const struct dkv_call *call, CK_OBJECT_HANDLE **ret,
                            CK_ULONG *ret_n, struct dkv_error *err)
{
    DKV_P11_HOLD(&self->lock);
    DKV_TRY(dkv_p11_connect(self, call, err));
    return dkv_p11_cmk_find_all(self, ret, ret_n, err);
}

/* *ret_is_cmk false: a key of another kind, or one without CKA_ID, which no document can name. */
static enum dkv_rc describe_handle(struct dkv_provider *self, const struct dkv_call *call, CK_OBJECT_HANDLE handle,
                                   bool *ret_is_cmk, struct dkv_cmk_info *ret, struct dkv_error *err)
{
    struct dkv_p11_key key = {0};
    DKV_P11_HOLD(&self->lock);
    DKV_TRY(dkv_p11_connect(self, call, err));
    DKV_TRY(dkv_p11_key_read(self, handle, &key, err));
    *ret_is_cmk = key.profile != NULL && key.id_len > 0;
    return *ret_is_cmk ? dkv_p11_cmk_describe(self, &key, ret, err) : DKV_OK;
}

/* The visitor is called without the lock, since it may call us. */
static enum dkv_rc list_cmks(struct dkv_provider *self, const struct dkv_call *call, dkv_cmk_visit_fn visit, void *arg,
                             struct dkv_error *err)
{
    DKV_CLEANUP(dkv_freep) CK_OBJECT_HANDLE *found = NULL;
    DKV_CLEANUP(dkv_freep) struct dkv_cmk_info *info = dkv_calloc(1, sizeof(*info));
    CK_ULONG n = 0;
    if (info == NULL) {
        return dkv_fail_memory(err);
    }
    DKV_TRY(find_all(self, call, &found, &n, err));
    for (CK_ULONG i = 0; i < n; i++) {
        bool is_cmk = false;
        DKV_TRY(describe_handle(self, call, found[i], &is_cmk, info, err));
        if (is_cmk) {
            DKV_TRY(visit(arg, info, err));
        }
    }
    return DKV_OK;
}

const struct dkv_provider_ops dkv_pkcs11_ops = {
    .size = sizeof(struct dkv_provider_ops),
    .abi_version = DKV_PROVIDER_ABI_VERSION,
    .type = "pkcs11",
    .summary = "CMKs in an HSM, a card or a soft token, through its PKCS#11 module. The CMK never leaves the token.",
    .options = options,
    .n_options = DKV_COUNT(options),
    .static_capabilities = DKV_CAP_BOUND | DKV_CAP_AUTHENTIC,
    .open = open_pkcs11,
    .close = close_pkcs11,
    .resolve_document = resolve_document,
    .resolve_reference = resolve_reference,
    .cmk_free = cmk_free,
    .describe = describe,
    .wrap = dkv_p11_wrap,
    .unwrap = dkv_p11_unwrap,
    .check_settings = dkv_p11_check_settings,
    .check = dkv_p11_check,
    .list_cmks = list_cmks,
    .create_cmk = dkv_p11_create,
};
