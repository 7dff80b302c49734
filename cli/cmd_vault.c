/* SPDX-License-Identifier: Apache-2.0 */
/* `vault init` and `vault info`, and the group's table. No lock. */
#include "cli/cmd_vault.h"
#include "cli/names.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/crypto.h"
#include "dekvault/process.h"

/* ---- The index ---- */

static const struct index_note {
    const char *state, *note;
} index_notes[] = {
    {"missing", "no key gets a new alt name until `dekvault vault init` has made the index"},
    {"not-unique", "two keys could have one alt name: drop the index keyAltNames_1, then run `dekvault vault init`"},
    {"not-partial",
     "a second key without alt names couldn't be made: drop the index keyAltNames_1, then run `dekvault vault init`"},
    {"sharded",
     "a sharded collection can't keep alt names unique: move the vault to one that isn't with `dekvault vault copy`"},
    {"unknown", "this user may not see the index: it needs the privilege listIndexes on the collection"},
};

/* What is wrong with the index and which command mends it; nothing when it is "ok". */
static enum dkv_rc print_index_note(struct dkv_output *out, const char *state, struct dkv_error *err)
{
    static const char indent[] = "         ";
    for (size_t i = 0; i < DKV_COUNT(index_notes) && !out->quiet; i++) {
        if (strcmp(index_notes[i].state, state) == 0) {
            DKV_TRY(dkv_out_printf(out, err, "%s", indent));
            return dkv_out_wrapped(out, index_notes[i].note, strlen(indent), strlen(indent), err);
        }
    }
    return DKV_OK;
}

/* ---- init ---- */

static enum dkv_rc init(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    bool created = false;
    const char *index = NULL;
    DKV_TRY(dkv_vault_init(cli->file, dkv_cli_value(cli, "vault"), &created, &cli->vault, err));
    if (created) {
        dkv_cli_done_so_far(cli, NULL, "the vault was made");
    }
    DKV_TRY(dkv_vault_index_state(cli->vault, &index, err));
    const char *store = dkv_vault_store(cli->vault);
    const char *name_space = dkv_vault_namespace(cli->vault);
    if (!cli->out.json) {
        DKV_TRY(dkv_out_note(&cli->out, err, "%s%s%s: %s, index %s\n", store, name_space != NULL ? " " : "",
                             name_space != NULL ? name_space : "", created ? "made" : "was there already", index));
        return print_index_note(&cli->out, index, err);
    }
    DKV_TRY(dkv_buf_append_str(&json, "{", err));
    DKV_TRY(dkv_json_member_text(&json, "store", store, err));
    DKV_TRY(dkv_json_member_or_null(&json, "namespace", name_space, err));
    DKV_TRY(dkv_json_member_bool(&json, "created", created, err));
    DKV_TRY(dkv_json_member_text(&json, "index", index, err));
    DKV_TRY(dkv_buf_append_str(&json, "}", err));
    return dkv_out_line(&cli->out, &json, err);
}

/* ---- info ---- */

struct info {
    struct dkv_output *out;
    const struct dkv_vault *vault;
    uint64_t n_keys;
    struct dkv_table table;
    struct dkv_buf by; /* JSON */
};

static void info_done(struct info *info)
{
    dkv_table_done(&info->table);
    dkv_buf_done(&info->by);
}

static enum dkv_rc count_json(struct dkv_buf *json, const struct dkv_key_count *count, struct dkv_error *err)
{
    DKV_TRY(dkv_json_comma(json, err));
    DKV_TRY(dkv_buf_append_str(json, "{", err));
    DKV_TRY(dkv_json_member_text(json, "provider", count->provider, err));
    DKV_TRY(dkv_json_member_text(json, "cmk", count->cmk, err));
    DKV_TRY(dkv_json_member_text(json, "status", dkv_status_name(count->status), err));
    DKV_TRY(dkv_json_member_int(json, "count", (int64_t)count->count, err));
    return dkv_buf_append_str(json, "}", err);
}

static enum dkv_rc take_count(void *arg, const struct dkv_key_count *count, struct dkv_error *err)
{
    struct info *info = arg;
    char number[24];
    info->n_keys += count->count;
    if (info->out->json) {
        return count_json(&info->by, count, err);
    }
    snprintf(number, sizeof(number), "%" PRIu64, count->count);
    const struct dkv_cell cells[] = {
        {count->provider, DKV_PLAIN},
        {dkv_status_name(count->status), DKV_PLAIN},
        {number, DKV_PLAIN},
        {count->cmk[0] != '\0' ? count->cmk : "-", DKV_PLAIN},
    };
    return dkv_table_row(&info->table, cells, err);
}

static enum dkv_rc info_json(struct info *info, const char *index, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    DKV_TRY(dkv_buf_append_str(&info->by, "]", err));
    DKV_TRY(dkv_buf_append(&info->by, dkv_span("", 1), err));
    DKV_TRY(dkv_buf_append_str(&json, "{", err));
    DKV_TRY(dkv_json_member_text(&json, "store", dkv_vault_store(info->vault), err));
    DKV_TRY(dkv_json_member_or_null(&json, "namespace", dkv_vault_namespace(info->vault), err));
    DKV_TRY(dkv_json_member_text(&json, "index", index, err));
    DKV_TRY(dkv_json_member_int(&json, "keys", (int64_t)info->n_keys, err));
    DKV_TRY(dkv_json_member_raw(&json, "by", (const char *)info->by.data, err));
    DKV_TRY(dkv_json_member_text(&json, "crypto", dkv_crypto_backend(), err));
    DKV_TRY(dkv_json_member_bool(&json, "fips", dkv_crypto_is_fips(), err));
    DKV_TRY(dkv_buf_append_str(&json, "}", err));
    return dkv_out_line(info->out, &json, err);
}

static enum dkv_rc print_memory(struct dkv_output *out, struct dkv_error *err)
{
    struct dkv_secret_memory_info memory;
    dkv_secret_memory(&memory);
    DKV_TRY(dkv_out_printf(out, err, "memory   %s, %zu KiB mapped, %zu bytes in use, ",
                           memory.locked ? "locked" : "NOT locked", memory.mapped / 1024, memory.in_use));
    if (memory.limit == SIZE_MAX) {
        return dkv_out_printf(out, err, "no limit\n");
    }
    return dkv_out_printf(out, err, "limit %zu KiB\n", memory.limit / 1024);
}

/* Two vaults may lie on one server. */
static enum dkv_rc print_place(struct dkv_output *out, const struct dkv_vault *vault, struct dkv_error *err)
{
    const char *name_space = dkv_vault_namespace(vault);
    DKV_TRY(dkv_out_printf(out, err, "store    %s\n", dkv_vault_store(vault)));
    return name_space != NULL ? dkv_out_printf(out, err, "vault    %s\n", name_space) : DKV_OK;
}

static enum dkv_rc info_text(struct info *info, const char *index, struct dkv_error *err)
{
    struct dkv_output *out = info->out;
    DKV_TRY(print_place(out, info->vault, err));
    DKV_TRY(dkv_out_printf(out, err, "index    %s\n", index));
    DKV_TRY(print_index_note(out, index, err));
    DKV_TRY(dkv_out_printf(out, err, "keys     %" PRIu64 "\ncrypto   %s\nfips     %s\n", info->n_keys,
                           dkv_crypto_backend(), dkv_crypto_is_fips() ? "yes" : "no"));
    if (out->verbose) {
        DKV_TRY(print_memory(out, err));
    }
    if (info->n_keys == 0) {
        return DKV_OK;
    }
    DKV_TRY(dkv_out_printf(out, err, "\n"));
    return dkv_table_end(&info->table, err);
}

static const struct dkv_column columns[] = {{"PROVIDER", 0}, {"STATUS", 0}, {"KEYS", 0}, {"CMK", 0}};

static enum dkv_rc show_info(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_CLEANUP(info_done) struct info info = {.out = &cli->out, .vault = cli->vault};
    const char *index = NULL;
    DKV_TRY(cli->out.json ? dkv_buf_append_str(&info.by, "[", err)
                          : dkv_table_begin(&info.table, &cli->out, columns, DKV_COUNT(columns), err));
    DKV_TRY(dkv_vault_index_state(cli->vault, &index, err));
    DKV_TRY(dkv_key_count_by(cli->vault, take_count, &info, err));
    return cli->out.json ? info_json(&info, index, err) : info_text(&info, index, err);
}

static const struct dkv_cli_option copy_options[] = {
    {.name = "from", .argument = "NAME", .help = "the vault to read: `default`, or a name of `vaults`"},
    {.name = "to",
     .argument = "NAME",
     .help = "the vault to copy to; `dekvault --vault NAME vault init` must have made it"},
    {.name = "dry-run", .help = "write nothing, and say what would be done"},
};

static const struct dkv_command commands[] = {
    {
        .group = "vault",
        .verb = "init",
        .summary = "make the vault's store and its index where they are missing",
        .usage = "",
        .details = "With --vault NAME it makes that one of `vaults`. In MongoDB the index is the unique one of alt "
                   "names; an index that is there is left as it is.",
        .need = DKV_NEED_FILE,
        .run = init,
    },
    {
        .group = "vault",
        .verb = "info",
        .summary = "show where the vault is, how many keys of which kind it holds, and which cryptography is at work",
        .usage = "",
        .details = "It connects to the vault. Where the index of alt names is not \"ok\", it says what is wrong and "
                   "what mends it. With --verbose also how much memory for secrets there is.",
        .need = DKV_NEED_VAULT,
        .run = show_info,
    },
    {
        .group = "vault",
        .verb = "copy",
        .summary = "copy all keys of one vault to another, of any kind",
        .usage = "--from NAME --to NAME [--dry-run]",
        .details =
            "The source is only read, and no key is opened. Each document is copied unchanged, read back and compared; "
            "the CMKs' check records go with them. What is at the destination already stays as it is: the same "
            "document counts as present; a key whose _id or alt name another key has there is refused. Refused keys "
            "are listed and the others copied; the exit code is that of the refusals, 1 when they differ. With --json "
            "at most 1000 of the refused are listed, and refused_count counts all. It may be interrupted (Ctrl-C): the "
            "same command then does the rest.",
        .options = copy_options,
        .n_options = DKV_COUNT(copy_options),
        .need = DKV_NEED_FILE,
        .run = dkv_cmd_vault_copy,
    },
};
const struct dkv_command_group dkv_vault_commands = {"vault", "the key vault", commands, DKV_COUNT(commands)};
