/* SPDX-License-Identifier: Apache-2.0 */
/* What a command works on: the provider file, its providers, its vault. Owns: all three; closed in the reverse
 * order. No lock. */
#include "cli/command.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

static enum dkv_rc open_vault(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_TRY(dkv_vault_open(cli->file, dkv_cli_value(cli, "vault"), &cli->vault, err));
    cli->providers = cli->vault->providers;
    return DKV_OK;
}

enum dkv_rc dkv_cli_open(struct dkv_cli *cli, struct dkv_error *err)
{
    const enum dkv_cli_need need = cli->command->need;
    if (need == DKV_NEED_NOTHING) {
        return DKV_OK;
    }
    DKV_TRY(dkv_provider_file_open(dkv_cli_value(cli, "config"), &cli->file, err));
    if (need == DKV_NEED_FILE) {
        return DKV_OK;
    }
    return need == DKV_NEED_VAULT ? open_vault(cli, err) : dkv_providers_new(cli->file, &cli->providers, err);
}

void dkv_cli_done_so_far(struct dkv_cli *cli, const struct dkv_uuid *key, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(cli->done, sizeof(cli->done), format, args);
    va_end(args);
    if (key != NULL) {
        dkv_uuid_format(key, cli->done_to);
    }
}

void dkv_cli_done(struct dkv_cli *cli)
{
    if (cli->vault == NULL) {
        dkv_providers_free(cli->providers);
    }
    dkv_vault_close(cli->vault);
    dkv_provider_file_close(cli->file);
    dkv_free(cli->given);
    dkv_free(cli->args);
    dkv_buf_done(&cli->out.pending);
}
