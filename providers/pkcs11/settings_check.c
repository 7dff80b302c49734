/* SPDX-License-Identifier: Apache-2.0 */
/* The settings judged for `config check`: the token's URI and the CMKs by name as text, the module and the PIN file by
 * owner and mode. Nothing is loaded, no secret read. No state, no lock. */
#include "providers/pkcs11/internal.h"

#include <limits.h>

#include "base/file.h"
#include "providers/setting_file.h"

DKV_DEFINE_FREEP(P11KitUri, p11_kit_uri_free);

/* One judgement on its way to the file's list of faults. */
struct checking {
    const struct dkv_provider_settings *settings;
    dkv_setting_fault_fn report;
    void *arg;
};

static enum dkv_rc tell(const struct checking *checking, const char *setting, unsigned line, bool warning,
                        const char *message, struct dkv_error *err)
{
    const struct dkv_setting_fault fault = {.line = line, .setting = setting, .warning = warning, .message = message};
    return checking->report(checking->arg, &fault, err);
}

static enum dkv_rc check_token(const struct checking *checking, struct dkv_error *err)
{
    DKV_CLEANUP(p11_kit_uri_freep) P11KitUri *uri = NULL;
    const struct dkv_value *token = &checking->settings->values[DKV_P11_OPTION_TOKEN];
    struct dkv_error own = {0};
    if (!token->is_set) {
        return DKV_OK;
    }
    const enum dkv_rc rc = dkv_p11_token_uri_parse(token->text, &uri, &own);
    if (rc == DKV_E_CONFIG) {
        return tell(checking, "token", token->line, false, own.message, err);
    }
    if (rc != DKV_OK) {
        return dkv_fail_memory(err);
    }
    if (p11_kit_uri_get_token_info(uri)->serialNumber[0] == '\0') {
        return tell(checking, "token", token->line, true,
                    "without a serial, whoever makes a token of this label gets its PIN until the first good login: "
                    "add serial=... (dekvault token list shows it)",
                    err);
    }
    return DKV_OK;
}

/* A warning, since this machine may not use the provider at all; the load judges anew. */
static enum dkv_rc check_module(const struct checking *checking, struct dkv_error *err)
{
    char resolved[PATH_MAX];
    struct dkv_error own = {0};
    const struct dkv_value *module = &checking->settings->values[DKV_P11_OPTION_MODULE];
    if (!module->is_set || dkv_file_judge_loadable(module->text, resolved, &own) == DKV_OK) {
        return DKV_OK;
    }
    return tell(checking, "module", module->line, true, own.message, err);
}

static enum dkv_rc check_pin_source(const struct checking *checking, struct dkv_error *err)
{
    const struct dkv_provider_settings *settings = checking->settings;
    return dkv_setting_file_check(settings, "pin-source", &settings->values[DKV_P11_OPTION_PIN_SOURCE],
                                  checking->report, checking->arg, err);
}

static enum dkv_rc check_reference(const struct checking *checking, const char *setting, unsigned line,
                                   const char *text, struct dkv_error *err)
{
    struct dkv_p11_reference reference;
    struct dkv_error own = {0};
    const enum dkv_rc rc = dkv_p11_reference_parse(text, DKV_E_CONFIG, &reference, &own);
    if (rc == DKV_E_RESOURCE) {
        return dkv_fail_memory(err);
    }
    return rc == DKV_OK ? DKV_OK : tell(checking, setting, line, false, own.message, err);
}

enum dkv_rc dkv_p11_check_settings(const struct dkv_provider_settings *settings, dkv_setting_fault_fn report, void *arg,
                                   struct dkv_error *err)
{
    const struct checking checking = {.settings = settings, .report = report, .arg = arg};
    DKV_TRY(check_module(&checking, err));
    DKV_TRY(check_token(&checking, err));
    DKV_TRY(check_pin_source(&checking, err));
    if (settings->cmk != NULL) {
        DKV_TRY(check_reference(&checking, "cmk", settings->cmk_line, settings->cmk, err));
    }
    for (size_t i = 0; i < settings->n_cmks; i++) {
        DKV_TRY(check_reference(&checking, "cmks", settings->cmks_line, settings->cmks[i], err));
    }
    return DKV_OK;
}
