/* SPDX-License-Identifier: Apache-2.0 */
/* `token list` and `token login`: what is particular to PKCS#11. No lock. */
#include "cli/command.h"

#include <stdlib.h>

#include "base/mem.h"
#include "providers/pkcs11/pkcs11.h"

/* ---- list ---- */

static const struct dkv_column columns[] = {{"LABEL", 0},        {"SERIAL", 0}, {"MODEL", 0},
                                            {"MANUFACTURER", 0}, {"STATE", 0},  {"MODULE", 0}};

struct listing {
    struct dkv_output *out;
    struct dkv_table table;
};

static void listing_done(struct listing *listing)
{
    dkv_table_done(&listing->table);
}

static enum dkv_rc token_json(struct dkv_output *out, const struct dkv_token_info *info, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    DKV_TRY(dkv_buf_append_str(&json, "{", err));
    DKV_TRY(dkv_json_member_text(&json, "module", info->module, err));
    DKV_TRY(dkv_json_member_or_null(&json, "label", info->label, err));
    DKV_TRY(dkv_json_member_or_null(&json, "serial", info->serial, err));
    DKV_TRY(dkv_json_member_or_null(&json, "manufacturer", info->manufacturer, err));
    DKV_TRY(dkv_json_member_or_null(&json, "model", info->model, err));
    DKV_TRY(dkv_json_member_bool(&json, "usable", info->usable, err));
    DKV_TRY(dkv_json_member_or_null(&json, "reason", info->reason, err));
    DKV_TRY(dkv_buf_append_str(&json, "}", err));
    return dkv_out_line(out, &json, err);
}

static enum dkv_rc print_token(void *arg, const struct dkv_token_info *info, struct dkv_error *err)
{
    struct listing *listing = arg;
    if (listing->out->json) {
        return token_json(listing->out, info, err);
    }
    const struct dkv_cell cells[] = {
        {info->label, DKV_PLAIN},
        {info->serial, DKV_PLAIN},
        {info->model, DKV_PLAIN},
        {info->manufacturer, DKV_PLAIN},
        {info->usable ? "ok" : info->reason, info->usable ? DKV_GOOD : DKV_WARN},
        {info->module, DKV_PLAIN},
    };
    return dkv_table_row(&listing->table, cells, err);
}

static const char *own_text(const struct dkv_provider_entry *entry, const char *name)
{
    for (size_t i = 0; i < entry->ops->n_options; i++) {
        if (strcmp(entry->ops->options[i].name, name) == 0) {
            return entry->own[i].text;
        }
    }
    return NULL;
}

/* Two providers may stand on one module. */
static bool is_listed(const struct dkv_module_name *modules, size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(modules[i].path, path) == 0) {
            return true;
        }
    }
    return false;
}

static size_t collect_modules(const struct dkv_provider_file *file, struct dkv_module_name *modules)
{
    size_t n = 0;
    for (size_t i = 0; i < file->n_entries; i++) {
        const struct dkv_provider_entry *entry = file->entries[i];
        const char *path = entry->ops == &dkv_pkcs11_ops ? own_text(entry, "module") : NULL;
        if (path != NULL && !is_listed(modules, n, path)) {
            modules[n++] = (struct dkv_module_name){path, own_text(entry, "module-init")};
        }
    }
    return n;
}

/* Without a provider file there is still what p11-kit knows: this is the command by which one finds out what to
 * write into it. */
static enum dkv_rc open_file_if_there(struct dkv_cli *cli, struct dkv_error *err)
{
    const char *path = dkv_cli_value(cli, "config");
    const enum dkv_rc rc = dkv_provider_file_open(path, &cli->file, err);
    if (rc == DKV_E_NOT_FOUND && path == NULL && secure_getenv("DEKVAULT_CONF") == NULL) {
        return DKV_OK;
    }
    return rc;
}

static enum dkv_rc list(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_CLEANUP(listing_done) struct listing listing = {.out = &cli->out, .table = {.whole = true}};
    DKV_TRY(open_file_if_there(cli, err));
    const size_t n_entries = cli->file != NULL ? cli->file->n_entries : 0;
    DKV_CLEANUP(dkv_freep) struct dkv_module_name *modules =
        (struct dkv_module_name *)dkv_calloc(n_entries + 1, sizeof(struct dkv_module_name));
    if (modules == NULL) {
        return dkv_fail_memory(err);
    }
    const size_t n = cli->file != NULL ? collect_modules(cli->file, modules) : 0;
    if (!cli->out.json) {
        DKV_TRY(dkv_table_begin(&listing.table, &cli->out, columns, DKV_COUNT(columns), err));
    }
    DKV_TRY(dkv_token_list(modules, n, print_token, &listing, err));
    return dkv_table_end(&listing.table, err);
}

/* ---- login ---- */

static enum dkv_rc print_login(struct dkv_output *out, const char *id, const struct dkv_token_login *login,
                               struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf line = {0};
    if (!out->json) {
        DKV_TRY(dkv_clean(&line, login->label, err));
        return dkv_out_note(out, err, "%s: logged in to token \"%s\", serial %s\n", id, dkv_buf_text(&line),
                            login->serial);
    }
    DKV_TRY(dkv_buf_append_str(&line, "{", err));
    DKV_TRY(dkv_json_member_text(&line, "provider", id, err));
    DKV_TRY(dkv_json_member_text(&line, "token", login->label, err));
    DKV_TRY(dkv_json_member_text(&line, "serial", login->serial, err));
    DKV_TRY(dkv_json_member_bool(&line, "ok", true, err));
    DKV_TRY(dkv_buf_append_str(&line, "}", err));
    return dkv_out_line(out, &line, err);
}

static enum dkv_rc login(struct dkv_cli *cli, struct dkv_error *err)
{
    const char *id = dkv_cli_arg(cli, 0);
    struct dkv_instance *instance = NULL;
    struct dkv_token_login answer = {0};
    DKV_CHECK(dkv_cli_has(cli, "once"), err, DKV_E_INVALID,
              "token login needs --once: it sends the PIN once, also one that was refused before, and that may lock "
              "the token");
    DKV_TRY(dkv_providers_get(cli->providers, id, &instance, err));
    DKV_CHECK(dkv_instance_ops(instance) == &dkv_pkcs11_ops, err, DKV_E_INVALID,
              "%s isn't a pkcs11 provider: it has no token to log in to", id);
    const struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_CHECK);
    const enum dkv_rc rc = dkv_token_login_once(dkv_instance_self(instance), &call, dkv_cli_has(cli, "accept-serial"),
                                                &answer, err);
    if (rc != DKV_OK) {
        dkv_error_provider(err, id);
        return rc;
    }
    dkv_cli_done_so_far(cli, NULL, "one login to %s, which went well", id);
    return print_login(&cli->out, id, &answer, err);
}

static const struct dkv_cli_option login_options[] = {
    {.name = "once", .help = "needed: one login with the configured PIN, whatever is remembered of it"},
    {.name = "accept-serial", .help = "take the token's serial as the one to expect from now on"},
};

static const struct dkv_command commands[] = {
    {
        .group = "token",
        .verb = "list",
        .summary = "list every slot of the modules in the provider file and of those registered with p11-kit",
        .usage = "",
        .details = "Nothing logs in. Works without a provider file as well.",
        .run = list,
    },
    {
        .group = "token",
        .verb = "login",
        .summary = "log in once, on purpose, and so clear the memory of a refused PIN",
        .usage = "ID --once [--accept-serial]",
        .details =
            "A PIN that a token refused is remembered and not sent again, so that no script locks the token; this "
            "command sends it once all the same. It is refused when the token is locked, says that this is the last "
            "try, or wants its PIN changed.",
        .min_args = 1,
        .max_args = 1,
        .options = login_options,
        .n_options = DKV_COUNT(login_options),
        .need = DKV_NEED_PROVIDERS,
        .run = login,
    },
};
const struct dkv_command_group dkv_token_commands = {"token", "PKCS#11 tokens", commands, DKV_COUNT(commands)};
