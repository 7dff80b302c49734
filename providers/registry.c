/* SPDX-License-Identifier: Apache-2.0 */
/* The types that are built in, and what every provider's table must be before any of its functions is called. Built-in
 * tables pass the same check in the tests. A table from a plug-in is read with care: its size and version come first
 * and nothing behind them is touched unless both are ours. No state, no lock. */
#include "providers/registry.h"

#include <stddef.h>
#include <string.h>

#include "base/bytes.h"
#include "base/setting_value.h"
#include "providers/entry.h"
#include "providers/local/local.h"
#include "providers/pkcs11/pkcs11.h"

const struct dkv_provider_ops *const dkv_provider_builtin[] = {&dkv_local_ops, &dkv_pkcs11_ops, NULL};

/* MongoDB's five and ours: a document with one of these names must never reach a third party's code. */
static const char *const reserved_types[] = {"aws", "azure", "gcp", "kmip", "local", "pkcs11"};

#define KNOWN_CAPABILITIES ((uint32_t)(DKV_CAP_BOUND | DKV_CAP_AUTHENTIC | DKV_CAP_STOCK | DKV_CAP_SERVER_REWRAP))

const struct dkv_provider_ops *dkv_provider_find(const char *type, size_t type_len)
{
    for (const struct dkv_provider_ops *const *ops = dkv_provider_builtin; *ops != NULL; ops++) {
        if (dkv_span_equal(dkv_span_str((*ops)->type), dkv_span(type, type_len))) {
            return *ops;
        }
    }
    return NULL;
}

bool dkv_provider_type_is_reserved(const char *type)
{
    for (size_t i = 0; i < DKV_COUNT(reserved_types); i++) {
        if (strcmp(type, reserved_types[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- The check of a table ---- */

/* Whether the pointer to a function at this offset of the table is set. */
static bool has_function(const struct dkv_provider_ops *ops, size_t offset)
{
    void (*function)(void) = NULL;
    memcpy(&function, (const uint8_t *)ops + offset, sizeof(function));
    return function != NULL;
}

static enum dkv_rc check_functions(const struct dkv_provider_ops *ops, const char *origin, struct dkv_error *err)
{
#define MEMBER(name) { #name, offsetof(struct dkv_provider_ops, name) }
    static const struct {
        const char *name;
        size_t offset;
    } required[] = {
        MEMBER(open),     MEMBER(close), MEMBER(resolve_document), MEMBER(resolve_reference), MEMBER(cmk_free),
        MEMBER(describe), MEMBER(wrap),  MEMBER(unwrap),
    };
#undef MEMBER
    for (size_t i = 0; i < DKV_COUNT(required); i++) {
        DKV_CHECK(has_function(ops, required[i].offset), err, DKV_E_CONFIG,
                  "%s: its provider table lacks the required member %s", origin, required[i].name);
    }
    return DKV_OK;
}

static enum dkv_rc check_pairs(const struct dkv_provider_ops *ops, const char *origin, struct dkv_error *err)
{
    DKV_CHECK((ops->options == NULL) == (ops->n_options == 0), err, DKV_E_CONFIG,
              "%s: its provider table has only one of options and n_options", origin);
    DKV_CHECK(ops->set_cmk_state == NULL || ops->list_cmks != NULL, err, DKV_E_CONFIG,
              "%s: its provider table has set_cmk_state without list_cmks", origin);
    DKV_CHECK((ops->static_capabilities & ~KNOWN_CAPABILITIES) == 0, err, DKV_E_CONFIG,
              "%s: its provider table claims capabilities that this dekvault doesn't know", origin);
    DKV_CHECK((ops->static_capabilities & DKV_CAP_SERVER_REWRAP) == 0 || ops->rewrap != NULL, err, DKV_E_CONFIG,
              "%s: its provider table claims SERVER_REWRAP without rewrap", origin);
    return DKV_OK;
}

static bool text_is_made_of(const char *text, const char *first, const char *rest)
{
    return text[0] != '\0' && strchr(first, text[0]) != NULL && text[strspn(text, rest)] == '\0';
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

static bool is_known_source(const char *choice)
{
    return strcmp(choice, "file") == 0 || strcmp(choice, "fd") == 0 || strcmp(choice, "prompt") == 0;
}

/* SOURCE and CHOICE are nothing without choices, and a SOURCE can only be what the host reads. */
static bool choices_are_whole(const struct dkv_option *option)
{
    if (option->type != DKV_OPTION_SOURCE && option->type != DKV_OPTION_CHOICE) {
        return true;
    }
    if (option->choices == NULL || option->choices[0] == NULL) {
        return false;
    }
    for (const char *const *choice = option->choices; *choice != NULL; choice++) {
        if (option->type == DKV_OPTION_SOURCE && !is_known_source(*choice)) {
            return false;
        }
    }
    return true;
}

static bool name_is_among(const char *name, const struct dkv_option *options, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(name, options[i].name) == 0) {
            return true;
        }
    }
    return false;
}

static enum dkv_rc check_option(const struct dkv_provider_ops *ops, size_t at, const char *origin,
                                struct dkv_error *err)
{
    const struct dkv_option *option = &ops->options[at];
    DKV_CHECK(option->name != NULL && text_is_made_of(option->name, LOWER, LOWER DIGITS "-"), err, DKV_E_CONFIG,
              "%s: option %zu of its provider table has no name of lower-case letters, digits and hyphens", origin, at);
    DKV_CHECK(!name_is_among(option->name, dkv_provider_common_options, dkv_provider_n_common_options), err,
              DKV_E_CONFIG,
              "%s: option \"%s\" of its provider table is a setting that every provider has", origin, option->name);
    DKV_CHECK(!name_is_among(option->name, ops->options, at), err, DKV_E_CONFIG,
              "%s: option \"%s\" stands twice in its provider table", origin, option->name);
    DKV_CHECK(option->help != NULL && option->help[0] != '\0', err, DKV_E_CONFIG,
              "%s: option \"%s\" of its provider table has no help", origin, option->name);
    DKV_CHECK(option->type <= DKV_OPTION_MAP, err, DKV_E_CONFIG,
              "%s: option \"%s\" of its provider table has an unknown type", origin, option->name);
    DKV_CHECK(choices_are_whole(option), err, DKV_E_CONFIG,
              "%s: option \"%s\" of its provider table lacks its choices, or a source isn't one of file, fd and prompt",
              origin, option->name);
    DKV_CHECK(option->max == 0 || option->min <= option->max, err, DKV_E_CONFIG,
              "%s: option \"%s\" of its provider table has a min above its max", origin, option->name);
    struct dkv_value value = {0};
    const enum dkv_rc rc = dkv_value_default(option, &value, err);
    dkv_value_done(&value);
    DKV_CHECK(rc != DKV_E_INTERNAL, err, DKV_E_CONFIG,
              "%s: the default of option \"%s\" of its provider table doesn't fit it", origin, option->name);
    return rc;
}

enum dkv_rc dkv_provider_ops_check(const struct dkv_provider_ops *ops, const char *origin, struct dkv_error *err)
{
    DKV_CHECK(ops != NULL, err, DKV_E_CONFIG, "%s: there is no provider table", origin);
    /* The version first: where it differs, so may the size, and the version is what a person can act on. */
    DKV_CHECK(ops->abi_version == DKV_PROVIDER_ABI_VERSION, err, DKV_E_CONFIG,
              "%s: built for provider ABI version %u, but this dekvault has version %u: build it anew against this "
              "release", origin, (unsigned)ops->abi_version, DKV_PROVIDER_ABI_VERSION);
    DKV_CHECK(ops->size == sizeof(*ops), err, DKV_E_CONFIG,
              "%s: its provider table is %zu bytes long, not %zu: build it anew against this release", origin,
              ops->size, sizeof(*ops));
    DKV_CHECK(ops->type != NULL && text_is_made_of(ops->type, LOWER, LOWER DIGITS), err, DKV_E_CONFIG,
              "%s: its provider table has no type name of lower-case letters and digits", origin);
    DKV_CHECK(ops->summary != NULL && ops->summary[0] != '\0', err, DKV_E_CONFIG,
              "%s: its provider table lacks the required member summary", origin);
    DKV_TRY(check_functions(ops, origin, err));
    DKV_TRY(check_pairs(ops, origin, err));
    for (size_t i = 0; i < ops->n_options; i++) {
        DKV_TRY(check_option(ops, i, origin, err));
    }
    return DKV_OK;
}
