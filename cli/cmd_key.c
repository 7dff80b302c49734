/* SPDX-License-Identifier: Apache-2.0 */
/* The group `key`: its table. What the commands do is in cmd_key_*.c. Constant; no lock. */
#include "cli/cmd_key.h"

static const struct dkv_cli_option create_options[] = {
    {.name = "cmk", .argument = "REF", .help = "the CMK that wraps it; else the provider's cmk"},
    {.name = "name", .argument = "N", .help = "an alt name; may be given several times", .repeats = true},
    {.name = "material-file", .argument = "F",
     .help =
         "the 96 bytes of the DEK itself, from a file that nobody else may read, or - for standard input; else random"},
};

static const struct dkv_cli_option list_options[] = {
    {.name = "provider", .argument = "ID", .help = "only those of this provider"},
    {.name = "cmk", .argument = "REF",
     .help = "only those under this CMK: its keyId, as `vault info` prints it, id:HEX, or with --provider any REF"},
    {.name = "status", .argument = "S", .help = "only those that are enabled, or disabled"},
    {.name = "name-prefix", .argument = "P", .help = "only those with an alt name that starts so"},
    {.name = "created-before", .argument = "T",
     .help = "only those made before: 2026-01-31 or 2026-01-31T12:00:00Z (UTC)"},
    {.name = "created-after", .argument = "T", .help = "only those made after"},
};

static const struct dkv_cli_option delete_options[] = {
    {.name = "yes", .help = "don't ask; needed where there is no terminal to ask on"},
};

static const struct dkv_cli_option import_options[] = {
    {.name = "unverified",
     .help = "don't open the keys, so that no provider is asked; the documents are still checked"},
};

static const struct dkv_command commands[] = {
    {
        .group = "key",
        .verb = "create",
        .summary = "make a DEK, wrap it, store it, and print its _id",
        .usage = "ID [--cmk REF] [--name N]... [--material-file F]",
        .min_args = 1,
        .max_args = 1,
        .details = "The wrap is opened again and compared before the document is stored.",
        .options = create_options,
        .n_options = DKV_COUNT(create_options),
        .need = DKV_NEED_VAULT,
        .run = dkv_cmd_key_create,
    },
    {
        .group = "key",
        .verb = "list",
        .summary = "list keys, ordered by _id",
        .usage = "[--provider ID] [--cmk REF] [--status S] [--name-prefix P] [--created-before T] [--created-after T]",
        .details =
            "With --json each line is the key document in canonical Extended JSON, as `key import` takes it. A long "
            "CMK is shortened in the table. Documents that are malformed are told, the others listed, and the exit "
            "code is 7.",
        .options = list_options,
        .n_options = DKV_COUNT(list_options),
        .need = DKV_NEED_VAULT,
        .run = dkv_cmd_key_list,
    },
    {
        .group = "key",
        .verb = "show",
        .summary = "show a key's document",
        .usage = "KEY",
        .min_args = 1,
        .max_args = 1,
        .details = "The DEK itself is never shown.",
        .need = DKV_NEED_VAULT,
        .run = dkv_cmd_key_show,
    },
    {
        .group = "key",
        .verb = "add-name",
        .summary = "give a key an alt name",
        .usage = "KEY N",
        .min_args = 2,
        .max_args = 2,
        .need = DKV_NEED_VAULT,
        .run = dkv_cmd_key_add_name,
    },
    {
        .group = "key",
        .verb = "remove-name",
        .summary = "take an alt name off a key",
        .usage = "KEY N",
        .min_args = 2,
        .max_args = 2,
        .need = DKV_NEED_VAULT,
        .run = dkv_cmd_key_remove_name,
    },
    {
        .group = "key",
        .verb = "delete",
        .summary = "delete a key for good",
        .usage = "KEY [--yes]",
        .min_args = 1,
        .max_args = 1,
        .details =
            "What was encrypted with the key can never be read again. On a terminal the first 8 characters of the _id "
            "must be typed; without one, --yes is needed. By its _id, also a document that is damaged is deleted.",
        .options = delete_options,
        .n_options = DKV_COUNT(delete_options),
        .need = DKV_NEED_VAULT,
        .run = dkv_cmd_key_delete,
    },
    {
        .group = "key",
        .verb = "import",
        .summary = "insert key documents unchanged, one a line, as `key list --json` and mongoexport write them",
        .usage = "[FILE] [--unverified]",
        .max_args = 1,
        .details =
            "FILE absent or -: standard input. Each document is read as strictly as `encrypt` reads a value, and "
            "checked; unless --unverified its key is opened. Refused lines are listed and the others inserted; the "
            "exit code is that of what was refused, 1 when lines were refused differently.",
        .options = import_options,
        .n_options = DKV_COUNT(import_options),
        .need = DKV_NEED_VAULT,
        .run = dkv_cmd_key_import,
    },
};
const struct dkv_command_group dkv_key_commands = {"key", "data encryption keys (DEKs) in the vault", commands,
                                                   DKV_COUNT(commands)};
