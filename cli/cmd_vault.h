/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of the group `vault` that have a file of their own. */
#ifndef CLI_CMD_VAULT_H
#define CLI_CMD_VAULT_H

#include "cli/command.h"

enum dkv_rc dkv_cmd_vault_copy(struct dkv_cli *cli, struct dkv_error *err);

#endif
