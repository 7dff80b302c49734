/* SPDX-License-Identifier: Apache-2.0 */
/* Every setting that the provider file may have, one after the other, from the tables that the file is read by.
 * `config explain` prints them and dekvault.conf(5) is made from them. Owns: the descriptions of the two maps that
 * have no table. No state. */
#include <stdio.h>

#include "providers/registry.h"
#include "vault/provider_file_groups.h"

struct visit {
    dkv_setting_visit_fn fn;
    void *arg;
    struct dkv_error *err;
};

static const struct dkv_option vaults_option = {
    .name = "vaults",
    .type = DKV_OPTION_MAP,
    .help = "Further vaults by name (not \"default\"), each with the settings of `vault`; --vault NAME chooses one.",
};
static const struct dkv_option providers_option = {
    .name = "providers",
    .type = DKV_OPTION_MAP,
    .help = "The KMS providers by id, TYPE or TYPE:NAME, as MongoDB writes it; each a group of settings.",
};

static enum dkv_rc visit_option(const struct visit *visit, const char *prefix, const struct dkv_option *option)
{
    struct dkv_setting_doc doc = {.option = option};
    snprintf(doc.setting, sizeof(doc.setting), "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", option->name);
    return visit->fn(visit->arg, &doc, visit->err);
}

static enum dkv_rc visit_options(const struct visit *visit, const char *prefix, const struct dkv_option *options,
                                 size_t n)
{
    for (size_t i = 0; i < n; i++) {
        DKV_TRY(visit_option(visit, prefix, &options[i]));
    }
    return DKV_OK;
}

static enum dkv_rc visit_group(const struct visit *visit, const struct dkv_setting_group *group)
{
    return visit_options(visit, group->prefix, group->options, group->n);
}

static enum dkv_rc visit_providers(const struct visit *visit)
{
    DKV_TRY(visit_option(visit, "", &providers_option));
    DKV_TRY(visit_options(visit, "providers.*", dkv_provider_common_options, dkv_provider_n_common_options));
    for (const struct dkv_provider_ops *const *ops = dkv_provider_builtin; *ops != NULL; ops++) {
        char prefix[48];
        snprintf(prefix, sizeof(prefix), "providers.%s", (*ops)->type);
        DKV_TRY(visit_options(visit, prefix, (*ops)->options, (*ops)->n_options));
    }
    return DKV_OK;
}

enum dkv_rc dkv_settings_visit(dkv_setting_visit_fn visit_fn, void *arg, struct dkv_error *err)
{
    const struct visit visit = {.fn = visit_fn, .arg = arg, .err = err};
    DKV_TRY(visit_group(&visit, &dkv_vault_group));
    DKV_TRY(visit_option(&visit, "", &vaults_option));
    DKV_TRY(visit_providers(&visit));
    DKV_TRY(visit_group(&visit, &dkv_provider_file_groups[DKV_GROUP_AUDIT]));
    DKV_TRY(visit_group(&visit, &dkv_provider_file_groups[DKV_GROUP_MEMORY]));
    return visit_group(&visit, &dkv_provider_file_groups[DKV_GROUP_TOP]);
}
