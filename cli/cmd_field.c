/* SPDX-License-Identifier: Apache-2.0 */
/* `encrypt` and `decrypt`: one field. Plaintext lies in buffers that are wiped. No lock. */
#include "cli/command.h"

#include <unistd.h>

#include "cli/extjson.h"
#include "cli/input.h"
#include "dekvault/field.h"

#define VALUE_MAX ((size_t)16 * 1024 * 1024) /* a BSON document holds no more */
#define PAYLOAD_JSON_MAX ((size_t)24 * 1024 * 1024)
#define BSON_STRING 0x02

/* VALUE, or standard input. */
static enum dkv_rc read_value(const char *arg, size_t max, struct dkv_buf *ret, struct dkv_error *err)
{
    if (arg == NULL || strcmp(arg, "-") == 0) {
        return dkv_input_read(STDIN_FILENO, "standard input", max, ret, err);
    }
    return dkv_buf_append_str(ret, arg, err);
}

/* A text from standard input ends with the newline that whoever typed or echoed it didn't mean: one is left out. */
static size_t text_len(const struct dkv_buf *text, bool from_stdin)
{
    size_t len = text->len;
    if (from_stdin && len > 0 && text->data[len - 1] == '\n') {
        len--;
        len -= len > 0 && text->data[len - 1] == '\r';
    }
    return len;
}

/* A BSON string: int32 length with the NUL, the text, a NUL. */
static enum dkv_rc string_value(struct dkv_span text, struct dkv_buf *ret, struct dkv_error *err)
{
    const size_t len = text.len + 1;
    const uint8_t head[] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), (uint8_t)(len >> 24)};
    DKV_CHECK(dkv_utf8_is_valid(text), err, DKV_E_INVALID, "--string: the text isn't valid UTF-8");
    DKV_TRY(dkv_buf_append(ret, dkv_span(head, sizeof(head)), err));
    DKV_TRY(dkv_buf_append(ret, text, err));
    return dkv_buf_append(ret, dkv_span("", 1), err);
}

static enum dkv_rc read_plain(const struct dkv_cli *cli, uint8_t *ret_type, struct dkv_buf *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
    const char *arg = dkv_cli_arg(cli, 1);
    const bool from_stdin = arg == NULL || strcmp(arg, "-") == 0;
    DKV_TRY(read_value(arg, VALUE_MAX, &text, err));
    if (!dkv_cli_has(cli, "string")) {
        return dkv_extjson_read_value(dkv_span_buf(&text), ret_type, ret, err);
    }
    *ret_type = BSON_STRING;
    return string_value(dkv_span(text.data, text_len(&text, from_stdin)), ret, err);
}

static enum dkv_rc read_algorithm(const char *text, enum dkv_algorithm *ret, struct dkv_error *err)
{
    const bool deterministic = text != NULL && strcmp(text, "deterministic") == 0;
    DKV_CHECK(text == NULL || deterministic || strcmp(text, "random") == 0, err, DKV_E_INVALID,
              "--algorithm is random or deterministic, not \"%s\"", text);
    *ret = deterministic ? DKV_DETERMINISTIC : DKV_RANDOM;
    return DKV_OK;
}

static void dek_closep(struct dkv_dek **dek)
{
    dkv_dek_close(*dek);
}

static enum dkv_rc encrypt(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf plain = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf payload = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    DKV_CLEANUP(dek_closep) struct dkv_dek *dek = NULL;
    struct dkv_key_selector key = {0};
    struct dkv_bson_value value = {0};
    enum dkv_algorithm algorithm = DKV_RANDOM;
    DKV_TRY(read_algorithm(dkv_cli_value(cli, "algorithm"), &algorithm, err));
    DKV_TRY(dkv_key_selector_parse(dkv_cli_arg(cli, 0), &key, err));
    DKV_TRY(read_plain(cli, &value.type, &plain, err));
    value.bytes = dkv_span_buf(&plain);
    DKV_TRY(dkv_dek_open(cli->vault, &key, &dek, err));
    DKV_TRY(dkv_field_encrypt(dek, algorithm, value, &payload, err));
    DKV_TRY(dkv_extjson_payload(&json, dkv_span_buf(&payload), err));
    return dkv_out_line(&cli->out, &json, err);
}

static enum dkv_rc decrypt(struct dkv_cli *cli, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf payload = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf plain = {0};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    DKV_CLEANUP(dek_closep) struct dkv_dek *dek = NULL;
    struct dkv_key_selector key = {0};
    struct dkv_bson_value value = {0};
    DKV_TRY(read_value(dkv_cli_arg(cli, 0), PAYLOAD_JSON_MAX, &text, err));
    DKV_TRY(dkv_extjson_read_payload(dkv_span_buf(&text), &payload, err));
    DKV_TRY(dkv_field_key(dkv_span_buf(&payload), &key.id, err));
    DKV_TRY(dkv_dek_open(cli->vault, &key, &dek, err));
    DKV_TRY(dkv_field_decrypt(dek, dkv_span_buf(&payload), &value.type, &plain, err));
    value.bytes = dkv_span_buf(&plain);
    DKV_TRY(dkv_extjson_value(&json, value, err));
    return dkv_out_line(&cli->out, &json, err);
}

static const struct dkv_cli_option encrypt_options[] = {
    {.name = "algorithm", .argument = "A",
     .help = "the algorithm: random (the default), or deterministic, so that equal values give equal results"},
    {.name = "string",
     .help = "VALUE is a text, not Extended JSON; of a text from standard input one newline at its end is left out"},
};

static const struct dkv_command commands[] = {
    {
        .verb = "encrypt",
        .summary = "encrypt a value to a BSON binary of subtype 6, as MongoDB's drivers do",
        .usage = "KEY [--algorithm random|deterministic] [--string] [VALUE]",
        .details =
            "VALUE is canonical or relaxed Extended JSON (v2); absent or -: standard input. What BSON can't carry "
            "exactly as it is written is refused. As an argument it is visible to "
            "other users of the machine, in the list of processes.",
        .min_args = 1,
        .max_args = 2,
        .options = encrypt_options,
        .n_options = DKV_COUNT(encrypt_options),
        .need = DKV_NEED_VAULT,
        .run = encrypt,
    },
    {
        .verb = "decrypt",
        .summary = "decrypt such a value, and print it as canonical Extended JSON",
        .usage = "[VALUE]",
        .details =
            "VALUE is {\"$binary\": {\"base64\": ..., \"subType\": \"06\"}}; absent or -: standard input. It says "
            "itself which key it was encrypted with.",
        .max_args = 1,
        .need = DKV_NEED_VAULT,
        .run = decrypt,
    },
};
const struct dkv_command_group dkv_field_commands = {NULL, "fields", commands, DKV_COUNT(commands)};
