/* SPDX-License-Identifier: Apache-2.0 */
/* The group `key`, over several files; cmd_key.c has its table. */
#ifndef CLI_CMD_KEY_H
#define CLI_CMD_KEY_H

#include "cli/command.h"

DKV_MUST_USE enum dkv_rc dkv_cmd_key_create(struct dkv_cli *cli, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_cmd_key_list(struct dkv_cli *cli, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_cmd_key_show(struct dkv_cli *cli, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_cmd_key_add_name(struct dkv_cli *cli, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_cmd_key_remove_name(struct dkv_cli *cli, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_cmd_key_delete(struct dkv_cli *cli, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_cmd_key_import(struct dkv_cli *cli, struct dkv_error *err);

#endif
