/* SPDX-License-Identifier: Apache-2.0 */
/* `key create`. A DEK that is given lies in secret memory from its first byte read to its wipe. No lock. */
#include "cli/cmd_key.h"

#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

/* More than a DEK, so that the library says what is wrong with the length. */
#define MATERIAL_MAX 4096u

static enum dkv_rc read_material(const char *path, struct dkv_secret *ret, struct dkv_error *err)
{
    if (path == NULL) {
        return DKV_OK;
    }
    if (strcmp(path, "-") == 0) {
        return dkv_secret_fd_read(STDIN_FILENO, "standard input", MATERIAL_MAX, ret, err);
    }
    /* Named on the command line it is not found; one that the provider file names would be that file's fault. */
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        return dkv_fail_errno(err, DKV_E_NOT_FOUND, "can't open \"%s\"", path);
    }
    return dkv_secret_file_read(path, false /* allow_group_read */, MATERIAL_MAX, ret, NULL, err);
}

static size_t collect_names(const struct dkv_cli *cli, const char **names)
{
    size_t n = 0;
    for (size_t i = 0; i < cli->n_given; i++) {
        if (strcmp(cli->given[i].option->name, "name") == 0) {
            names[n++] = cli->given[i].value;
        }
    }
    return n;
}

static enum dkv_rc print_created(struct dkv_output *out, const char *provider, const struct dkv_uuid *id,
                                 const struct dkv_key_options *options, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    char text[37];
    dkv_uuid_format(id, text);
    if (!out->json) {
        return dkv_out_printf(out, err, "%s\n", text);
    }
    DKV_TRY(dkv_buf_append_str(&json, "{", err));
    DKV_TRY(dkv_json_member_text(&json, "_id", text, err));
    DKV_TRY(dkv_json_member_text(&json, "provider", provider, err));
    DKV_TRY(dkv_json_member_raw(&json, "keyAltNames", "[", err));
    for (size_t i = 0; i < options->n_alt_names; i++) {
        DKV_TRY(dkv_json_comma(&json, err));
        DKV_TRY(dkv_json_string(&json, dkv_span_str(options->alt_names[i]), err));
    }
    DKV_TRY(dkv_buf_append_str(&json, "]}", err));
    return dkv_out_line(out, &json, err);
}

enum dkv_rc dkv_cmd_key_create(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret material = {0};
    DKV_CLEANUP(dkv_freep) const char **names = (const char **)dkv_calloc(cli->n_given + 1, sizeof(*names));
    const char *provider = dkv_cli_arg(cli, 0);
    struct dkv_uuid id = {{0}};
    char text[37];
    if (names == NULL) {
        return dkv_fail_memory(err);
    }
    DKV_TRY(read_material(dkv_cli_value(cli, "material-file"), &material, err));
    const struct dkv_key_options options = {
        .cmk = dkv_cli_value(cli, "cmk"),
        .alt_names = names,
        .n_alt_names = collect_names(cli, names),
        .material = dkv_secret_view(&material),
    };
    DKV_TRY(dkv_key_create(cli->vault, provider, &options, &id, err));
    dkv_uuid_format(&id, text);
    dkv_cli_done_so_far(cli, &id, "the key %s was created", text);
    return print_created(&cli->out, provider, &id, &options, err);
}
