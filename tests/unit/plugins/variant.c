/* SPDX-License-Identifier: Apache-2.0 */
/* A provider that does nothing, built once as it should be and once for each way to be refused at load. */
#include "dekvault/provider.h"

#ifndef VARIANT_ABI
#define VARIANT_ABI DKV_PROVIDER_ABI_VERSION
#endif
#ifndef VARIANT_TYPE
#define VARIANT_TYPE "fake"
#endif
#ifndef VARIANT_WRAP
#define VARIANT_WRAP do_nothing_with_items
#endif
#ifndef VARIANT_SYMBOL
#define VARIANT_SYMBOL dekvault_provider
#endif

static enum dkv_rc do_not_open(const struct dkv_host *host, const struct dkv_provider_settings *settings,
                               struct dkv_provider **ret, struct dkv_error *err)
{
    (void)host;
    (void)settings;
    (void)ret;
    (void)err;
    return DKV_E_UNREACHABLE;
}

static void close_nothing(struct dkv_provider *self)
{
    (void)self;
}

static enum dkv_rc resolve_no_document(struct dkv_provider *self, const struct dkv_call *call,
                                       struct dkv_span master_key, struct dkv_cmk **ret, struct dkv_error *err)
{
    (void)self;
    (void)call;
    (void)master_key;
    (void)ret;
    (void)err;
    return DKV_E_NOT_FOUND;
}

static enum dkv_rc resolve_no_reference(struct dkv_provider *self, const struct dkv_call *call, const char *reference,
                                        struct dkv_cmk **ret, struct dkv_error *err)
{
    (void)self;
    (void)call;
    (void)reference;
    (void)ret;
    (void)err;
    return DKV_E_NOT_FOUND;
}

static void free_no_cmk(struct dkv_cmk *cmk)
{
    (void)cmk;
}

static enum dkv_rc describe_nothing(struct dkv_provider *self, const struct dkv_call *call, const struct dkv_cmk *cmk,
                                    struct dkv_cmk_info *ret, struct dkv_error *err)
{
    (void)self;
    (void)call;
    (void)cmk;
    (void)ret;
    (void)err;
    return DKV_E_NOT_FOUND;
}

static inline enum dkv_rc do_nothing_with_items(struct dkv_provider *self, const struct dkv_call *call,
                                                struct dkv_wrap_item *items, size_t n, struct dkv_error *err)
{
    (void)self;
    (void)call;
    (void)items;
    (void)n;
    (void)err;
    return DKV_E_INTERNAL;
}

static const struct dkv_option options[] = {
    {.name = "colour", .type = DKV_OPTION_TEXT, .help = "A setting of its own."},
};

extern DKV_API const struct dkv_provider_ops VARIANT_SYMBOL;

const struct dkv_provider_ops VARIANT_SYMBOL = {
    .size = sizeof(struct dkv_provider_ops),
    .abi_version = VARIANT_ABI,
    .type = VARIANT_TYPE,
    .summary = "Does nothing.",
    .options = options,
    .n_options = 1,
    .open = do_not_open,
    .close = close_nothing,
    .resolve_document = resolve_no_document,
    .resolve_reference = resolve_no_reference,
    .cmk_free = free_no_cmk,
    .describe = describe_nothing,
    .wrap = VARIANT_WRAP,
    .unwrap = do_nothing_with_items,
};
