/* SPDX-License-Identifier: Apache-2.0 */
/* The groups that belong to no vault and no provider: the top level, `audit` and `memory`. Owns: their option
 * tables, which are also what `config explain` and dekvault.conf(5) print. Invariant: a setting stands in a table
 * only if it has an effect. No lock. */
#include "vault/provider_file_groups.h"

#include "base/mem.h"

enum { TOP_STATE_DIR, TOP_FIPS, TOP_FIPS_CONFIG, N_TOP };
enum { AUDIT_TO, AUDIT_REQUIRED, N_AUDIT };
enum { MEMORY_ALLOW_UNLOCKED, MEMORY_LIMIT_KIB, N_MEMORY };

static const char *const fips_choices[] = {"required", NULL};
static const char *const audit_choices[] = {"file", "syslog", NULL};

static const struct dkv_option top_options[] = {
    [TOP_STATE_DIR] = {
        .name = "state-dir",
        .type = DKV_OPTION_PATH,
        .help = "The folder, mode 0700, where processes tell one another of wrong PINs and of the serials of "
                "tokens; without it /var/lib/dekvault for root, else $XDG_STATE_HOME/dekvault or "
                "~/.local/state/dekvault.",
    },
    [TOP_FIPS] = {
        .name = "fips",
        .type = DKV_OPTION_CHOICE,
        .choices = fips_choices,
        .help = "With `required` all cryptography comes from OpenSSL's FIPS provider, and what it hasn't approved "
                "is refused.",
    },
    [TOP_FIPS_CONFIG] = {
        .name = "fips-config",
        .type = DKV_OPTION_PATH,
        .help = "The fipsmodule.cnf that `openssl fipsinstall` wrote on this machine; goes with `fips`.",
    },
};

static const struct dkv_option audit_options[] = {
    [AUDIT_TO] = {
        .name = "to",
        .type = DKV_OPTION_SOURCE,
        .choices = audit_choices,
        .help = "Where a line of JSON for every use of a key goes: the end of a file, or the system's log.",
    },
    [AUDIT_REQUIRED] = {
        .name = "required",
        .type = DKV_OPTION_BOOL,
        .fallback = "false",
        .help = "Whether an operation is refused when its line can't be written.",
    },
};

static const struct dkv_option memory_options[] = {
    [MEMORY_ALLOW_UNLOCKED] = {
        .name = "allow-unlocked",
        .type = DKV_OPTION_BOOL,
        .fallback = "false",
        .help = "Whether keys and PINs may lie in memory that can't be locked, and so may reach the swap device.",
    },
    [MEMORY_LIMIT_KIB] = {
        .name = "limit-kib",
        .type = DKV_OPTION_NUMBER,
        .min = 64,
        .max = 16777216,
        .help = "How much locked memory one process may take, in KiB; without it as much as RLIMIT_MEMLOCK allows.",
    },
};

const struct dkv_setting_group dkv_provider_file_groups[DKV_N_GROUPS] = {
    [DKV_GROUP_TOP] = {"", top_options, N_TOP},
    [DKV_GROUP_AUDIT] = {"audit", audit_options, N_AUDIT},
    [DKV_GROUP_MEMORY] = {"memory", memory_options, N_MEMORY},
};

_Static_assert(DKV_COUNT(top_options) == N_TOP, "one option for each index");
_Static_assert(DKV_COUNT(audit_options) == N_AUDIT, "one option for each index");
_Static_assert(DKV_COUNT(memory_options) == N_MEMORY, "one option for each index");
_Static_assert(DKV_COUNT(((struct dkv_provider_file *)0)->values) == DKV_N_GROUPS, "room for each group's values");

/* What the top level holds beside its own settings. */
static const char *const groups_of_top[] = {"vault", "vaults", "providers", "audit", "memory", NULL};

static enum dkv_rc read_values(struct dkv_provider_file *file, size_t which, struct dkv_faults *faults,
                               struct dkv_error *err)
{
    const struct dkv_setting_group *group = &dkv_provider_file_groups[which];
    const bool top = which == DKV_GROUP_TOP;
    const struct dkv_node *node = top ? file->root : dkv_node_child(file->root, group->prefix);
    file->values[which] = (struct dkv_value *)dkv_calloc(group->n, sizeof(*file->values[which]));
    if (file->values[which] == NULL) {
        return dkv_fail_memory(err);
    }
    return dkv_settings_read(node, group->prefix, group->options, group->n, top ? groups_of_top : NULL,
                             file->values[which], faults, err);
}

static enum dkv_rc take_top(struct dkv_provider_file *file, struct dkv_faults *faults, struct dkv_error *err)
{
    const struct dkv_value *values = file->values[DKV_GROUP_TOP];
    const struct dkv_value *fips = &values[TOP_FIPS], *config = &values[TOP_FIPS_CONFIG];
    file->state_dir = values[TOP_STATE_DIR].text;
    file->fips_required = fips->is_set;
    file->fips_config = config->text;
    if (dkv_value_is_given(fips) && !dkv_value_is_given(config)) {
        return dkv_fault_add(faults, fips->line, "fips", err, "needs fips-config, the path of a fipsmodule.cnf");
    }
    if (dkv_value_is_given(config) && !dkv_value_is_given(fips)) {
        return dkv_fault_add(faults, config->line, "fips-config", err, "does nothing without `fips: required`");
    }
    return DKV_OK;
}

static enum dkv_rc take_audit(struct dkv_provider_file *file, struct dkv_faults *faults, struct dkv_error *err)
{
    const struct dkv_value *values = file->values[DKV_GROUP_AUDIT];
    file->audit_to = values[AUDIT_TO].text;
    file->audit_required = values[AUDIT_REQUIRED].flag;
    if (file->audit_required && !dkv_value_is_given(&values[AUDIT_TO])) {
        return dkv_fault_add(faults, values[AUDIT_REQUIRED].line, "audit.required", err,
                             "needs audit.to, where the audit goes");
    }
    return DKV_OK;
}

enum dkv_rc dkv_provider_file_read_groups(struct dkv_provider_file *file, struct dkv_faults *faults,
                                          struct dkv_error *err)
{
    for (size_t which = 0; which < DKV_N_GROUPS; which++) {
        DKV_TRY(read_values(file, which, faults, err));
    }
    DKV_TRY(take_top(file, faults, err));
    DKV_TRY(take_audit(file, faults, err));
    const struct dkv_value *memory = file->values[DKV_GROUP_MEMORY];
    file->memory_allow_unlocked = memory[MEMORY_ALLOW_UNLOCKED].flag;
    file->memory_limit_kib = memory[MEMORY_LIMIT_KIB].number;
    return DKV_OK;
}
