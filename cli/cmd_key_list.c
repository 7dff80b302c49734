/* SPDX-License-Identifier: Apache-2.0 */
/* `key list` and `key show`. A list is written as it is read, in constant memory, so its columns are of fixed width.
 * No lock. */
#include "cli/cmd_key.h"

#include <stdio.h>

#include "cli/extjson.h"
#include "cli/names.h"
#include "cli/when.h"
#include "vault/document_edit.h"

/* ---- The filter ---- */

/* Whether REF is already the text by which vaults keep a CMK: a keyId in hex, or an ARN. */
static bool is_key_id(const char *reference)
{
    const size_t len = strlen(reference);
    const bool is_hex = len >= 2 && len <= 128 && strspn(reference, "0123456789abcdef") == len;
    return is_hex || strncmp(reference, "arn:", 4) == 0;
}

/* A label or a path: only the provider knows the CMK that it names. */
static enum dkv_rc resolve_cmk(struct dkv_cli *cli, const char *provider, const char *reference, struct dkv_buf *ret,
                               struct dkv_error *err)
{
    struct dkv_instance *instance = NULL;
    struct dkv_cmk *cmk = NULL;
    struct dkv_cmk_info info = {0};
    DKV_TRY(dkv_providers_get(cli->providers, provider, &instance, err));
    const struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_CHECK);
    DKV_TRY(dkv_instance_resolve_reference(instance, &call, reference, &cmk, err));
    const enum dkv_rc rc = dkv_instance_describe(instance, &call, cmk, &info, err);
    dkv_instance_cmk_free(instance, cmk);
    DKV_TRY(rc);
    return dkv_buf_append_str(ret, info.key_id, err);
}

static enum dkv_rc read_cmk(struct dkv_cli *cli, const char *provider, struct dkv_buf *ret, struct dkv_error *err)
{
    const char *reference = dkv_cli_value(cli, "cmk");
    if (strncmp(reference, "id:", 3) == 0) {
        for (const char *c = reference + 3; *c != '\0'; c++) {
            const char lower = *c >= 'A' && *c <= 'F' ? (char)(*c - 'A' + 'a') : *c;
            DKV_TRY(dkv_buf_append(ret, dkv_span(&lower, 1), err));
        }
    } else if (is_key_id(reference) || reference[0] == '\0') {
        DKV_TRY(dkv_buf_append_str(ret, reference, err));
    } else {
        DKV_CHECK(provider != NULL, err, DKV_E_INVALID,
                  "--cmk %s: say whose it is with --provider ID, or give its keyId", reference);
        DKV_TRY(resolve_cmk(cli, provider, reference, ret, err));
    }
    return dkv_buf_append(ret, dkv_span("", 1), err);
}

static enum dkv_rc read_status(const char *text, int *ret, struct dkv_error *err)
{
    if (text == NULL) {
        return DKV_OK;
    }
    const bool enabled = strcmp(text, "enabled") == 0;
    DKV_CHECK(enabled || strcmp(text, "disabled") == 0, err, DKV_E_INVALID,
              "--status is enabled or disabled, not \"%s\"", text);
    *ret = enabled ? DKV_STATUS_ENABLED : DKV_STATUS_DISABLED;
    return DKV_OK;
}

/* cmk owns the filter's cmk. */
static enum dkv_rc read_filter(struct dkv_cli *cli, struct dkv_key_filter *ret, struct dkv_buf *cmk,
                               struct dkv_error *err)
{
    const char *before = dkv_cli_value(cli, "created-before"), *after = dkv_cli_value(cli, "created-after");
    ret->provider = dkv_cli_value(cli, "provider");
    ret->name_prefix = dkv_cli_value(cli, "name-prefix");
    DKV_TRY(read_status(dkv_cli_value(cli, "status"), &ret->status, err));
    if (before != NULL) {
        DKV_TRY(dkv_when_parse(before, &ret->created_before_ms, err));
    }
    if (after != NULL) {
        DKV_TRY(dkv_when_parse(after, &ret->created_after_ms, err));
    }
    if (dkv_cli_has(cli, "cmk")) {
        DKV_TRY(read_cmk(cli, ret->provider, cmk, err));
        ret->cmk = (const char *)cmk->data;
    }
    return DKV_OK;
}

/* ---- list ---- */

static const struct dkv_column columns[] = {{"_ID", 36}, {"STATUS", 9}, {"PROVIDER", 20}, {"CMK", 17}, {"CREATED", 20},
                                            {"ALT NAMES", 0}};

static enum dkv_rc join_names(const struct dkv_document *document, struct dkv_buf *ret, struct dkv_error *err)
{
    for (size_t i = 0; i < document->n_alt_names; i++) {
        DKV_TRY(dkv_buf_printf(ret, err, "%s%s", i > 0 ? ", " : "", document->alt_names[i]));
    }
    return dkv_buf_append(ret, dkv_span("", 1), err);
}

/* The first and last characters of a keyId or ARN: enough to tell CMKs apart by eye. */
static void shorten(const struct dkv_buf *cmk, char ret[24])
{
    const char *text = (const char *)cmk->data;
    if (cmk->len <= 17) {
        snprintf(ret, 24, "%.*s", (int)cmk->len, cmk->len > 0 ? text : "-");
        return;
    }
    snprintf(ret, 24, "%.7s...%.7s", text, text + cmk->len - 7);
}

static enum dkv_rc document_row(struct dkv_table *table, const struct dkv_document *document, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf cmk = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf names = {0};
    char id[37], created[DKV_WHEN_SIZE], short_cmk[24];
    dkv_uuid_format(&document->id, id);
    dkv_when_format(document->creation_date_ms, created);
    DKV_TRY(dkv_document_cmk(document, &cmk, err));
    shorten(&cmk, short_cmk);
    DKV_TRY(join_names(document, &names, err));
    const struct dkv_cell cells[] = {
        {id, DKV_PLAIN},
        {dkv_status_name(document->status), document->status == DKV_STATUS_ENABLED ? DKV_PLAIN : DKV_WARN},
        {document->provider, DKV_PLAIN},
        {cmk.len > 0 ? short_cmk : "-", DKV_PLAIN},
        {created, DKV_PLAIN},
        {(const char *)names.data, DKV_PLAIN},
    };
    return dkv_table_row(table, cells, err);
}

/* A document that whoever writes the vault has spoilt hides no other. */
static enum dkv_rc malformed_row(struct dkv_table *table, struct dkv_span bson, const struct dkv_error *why,
                                 struct dkv_error *err)
{
    struct dkv_uuid id;
    char text[37] = "?";
    if (dkv_document_peek_id(bson, &id)) {
        dkv_uuid_format(&id, text);
    }
    const struct dkv_cell cells[] = {{text, DKV_PLAIN}, {"MALFORMED", DKV_BAD}, {"-", DKV_PLAIN},
                                     {"-", DKV_PLAIN},  {"-", DKV_PLAIN},       {why->message, DKV_BAD}};
    return dkv_table_row(table, cells, err);
}

struct listing {
    struct dkv_cli *cli;
    struct dkv_table table;
    size_t n_malformed;
};

static void listing_done(struct listing *listing)
{
    dkv_table_done(&listing->table);
}

static enum dkv_rc document_json(struct dkv_output *out, struct dkv_span bson, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    DKV_TRY(dkv_extjson_document(&json, bson, err));
    return dkv_out_line(out, &json, err);
}

/* Bytes that have no JSON are told on standard error. */
static enum dkv_rc list_json(struct dkv_output *out, struct dkv_span bson, bool *ret_good, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    struct dkv_error why = {0};
    struct dkv_uuid id;
    *ret_good = dkv_extjson_document(&json, bson, &why) == DKV_OK;
    if (*ret_good) {
        return dkv_out_line(out, &json, err);
    }
    if (dkv_document_peek_id(bson, &id)) {
        dkv_error_key_id(&why, &id);
    }
    dkv_cli_print_error(&why, true /* json */);
    return DKV_OK;
}

static enum dkv_rc list_row(struct dkv_table *table, struct dkv_span bson, bool *ret_good, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    struct dkv_error why = {0};
    *ret_good = dkv_document_parse(bson, &document, &why) == DKV_OK;
    return *ret_good ? document_row(table, &document, err) : malformed_row(table, bson, &why, err);
}

static enum dkv_rc print_key(void *arg, struct dkv_span bson, struct dkv_error *err)
{
    struct listing *listing = arg;
    struct dkv_cli *cli = listing->cli;
    bool good = true;
    DKV_TRY(cli->out.json ? list_json(&cli->out, bson, &good, err) : list_row(&listing->table, bson, &good, err));
    listing->n_malformed += good ? 0 : 1;
    return DKV_OK;
}

enum dkv_rc dkv_cmd_key_list(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_CLEANUP(listing_done) struct listing listing = {.cli = cli};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf cmk = {0};
    struct dkv_key_filter filter = DKV_KEY_FILTER_ALL;
    DKV_TRY(read_filter(cli, &filter, &cmk, err));
    if (!cli->out.json) {
        DKV_TRY(dkv_table_begin(&listing.table, &cli->out, columns, DKV_COUNT(columns), err));
    }
    DKV_TRY(dkv_key_list(cli->vault, &filter, NULL, 0 /* limit */, print_key, &listing, err));
    DKV_CHECK(listing.n_malformed == 0, err, DKV_E_REJECTED_CIPHERTEXT,
              "%s keeps %zu malformed documents among those listed; each was told with its _id",
              dkv_vault_store(cli->vault), listing.n_malformed);
    return DKV_OK;
}

/* ---- show ---- */

static enum dkv_rc show_line(struct dkv_output *out, const char *name, const char *text, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf line = {0};
    DKV_TRY(dkv_buf_printf(&line, err, "%-14s", name));
    DKV_TRY(dkv_clean(&line, text, err));
    return dkv_out_line(out, &line, err);
}

static enum dkv_rc show_names(struct dkv_output *out, const struct dkv_document *document, struct dkv_error *err)
{
    for (size_t i = 0; i < document->n_alt_names; i++) {
        DKV_TRY(show_line(out, i == 0 ? "keyAltNames" : "", document->alt_names[i], err));
    }
    return DKV_OK;
}

static enum dkv_rc show_master_key(struct dkv_output *out, struct dkv_span master_key, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    DKV_TRY(dkv_extjson_document(&json, master_key, err));
    DKV_TRY(dkv_buf_append(&json, dkv_span("", 1), err));
    return show_line(out, "masterKey", (const char *)json.data, err);
}

static enum dkv_rc show_document(struct dkv_output *out, const struct dkv_document *document, struct dkv_error *err)
{
    char id[37], created[DKV_WHEN_SIZE], updated[DKV_WHEN_SIZE], material[48];
    dkv_uuid_format(&document->id, id);
    dkv_when_format(document->creation_date_ms, created);
    dkv_when_format(document->update_date_ms, updated);
    snprintf(material, sizeof(material), "%zu bytes", document->key_material.len);
    DKV_TRY(show_line(out, "_id", id, err));
    DKV_TRY(show_names(out, document, err));
    DKV_TRY(show_line(out, "status", dkv_status_name(document->status), err));
    DKV_TRY(show_line(out, "creationDate", created, err));
    DKV_TRY(show_line(out, "updateDate", updated, err));
    DKV_TRY(show_line(out, "keyMaterial", material, err));
    return show_master_key(out, document->master_key, err);
}

enum dkv_rc dkv_cmd_key_show(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    struct dkv_key_selector key = {0};
    DKV_TRY(dkv_key_selector_parse(dkv_cli_arg(cli, 0), &key, err));
    DKV_TRY(dkv_key_get(cli->vault, &key, &bytes, err));
    if (cli->out.json) {
        return document_json(&cli->out, dkv_span_buf(&bytes), err);
    }
    DKV_TRY(dkv_document_parse(dkv_span_buf(&bytes), &document, err));
    return show_document(&cli->out, &document, err);
}
