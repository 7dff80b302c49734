/* SPDX-License-Identifier: Apache-2.0 */
/* dekvault(1) and dekvault.conf(5) in mdoc(7), made from the command and setting tables at build time, so that they
 * can't say what the program doesn't do. Constant; no lock. */
#include "config.h"

#include "cli/command.h"

#define MAN_DATE "November 24, 2026" /* of the last change of the prose below */

#define LINE_WIDTH 78u

static const char *escape_of(char c)
{
    switch (c) {
    case '\\': return "\\e";
    case '-': return "\\-";
    case '`': return "\\(ga";
    case '\'': return "\\(aq";
    case '"': return "\\(dq";
    default: return NULL;
    }
}

/* Text in which mdoc's own characters mean themselves; at a line's start a full stop would be a request. */
static enum dkv_rc escape(struct dkv_buf *ret, struct dkv_span text, struct dkv_error *err)
{
    for (size_t i = 0; i < text.len; i++) {
        const char c = (char)text.data[i];
        const char *as = i == 0 && c == '.' ? "\\&." : escape_of(c);
        DKV_TRY(as != NULL ? dkv_buf_append_str(ret, as, err) : dkv_buf_append(ret, dkv_span(&c, 1), err));
    }
    return DKV_OK;
}

static enum dkv_rc put_escaped(struct dkv_output *out, const char *text, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf escaped = {0};
    DKV_TRY(escape(&escaped, dkv_span_str(text), err));
    return dkv_out_bytes(out, dkv_span_buf(&escaped), err);
}

static enum dkv_rc put_word(struct dkv_output *out, struct dkv_span word, size_t *at, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf escaped = {0};
    DKV_TRY(escape(&escaped, word, err));
    const bool fits = *at == 0 || *at + 1 + escaped.len <= LINE_WIDTH;
    DKV_TRY(*at > 0 ? dkv_out_printf(out, err, fits ? " " : "\n") : DKV_OK);
    *at = (fits && *at > 0 ? *at + 1 : 0) + escaped.len;
    return dkv_out_bytes(out, dkv_span_buf(&escaped), err);
}

/* A paragraph: each sentence begins a line, as mdoc wants it. end: what a text without one gets. */
static enum dkv_rc put_prose(struct dkv_output *out, const char *text, const char *end, struct dkv_error *err)
{
    size_t at = 0;
    while (*text != '\0') {
        const size_t len = strcspn(text, " ");
        DKV_TRY(put_word(out, dkv_span(text, len), &at, err));
        const bool sentence_ends = text[len - 1] == '.' && text[len] != '\0';
        DKV_TRY(sentence_ends ? dkv_out_printf(out, err, "\n") : DKV_OK);
        at = sentence_ends ? 0 : at;
        text += len + strspn(text + len, " ");
    }
    return dkv_out_printf(out, err, "%s\n", end);
}

/* A summary of the tables as a sentence. */
static enum dkv_rc put_sentence(struct dkv_output *out, const char *text, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf sentence = {0};
    DKV_TRY(dkv_buf_append(&sentence, dkv_span(text, strlen(text) + 1), err));
    if (text[0] >= 'a' && text[0] <= 'z') {
        sentence.data[0] = (uint8_t)(text[0] - 'a' + 'A');
    }
    return put_prose(out, (const char *)sentence.data, ".", err);
}

static enum dkv_rc put_option(struct dkv_output *out, const struct dkv_cli_option *option, struct dkv_error *err)
{
    DKV_TRY(dkv_out_printf(out, err, ".It Fl \\-%s%s%s\n", option->name, option->argument != NULL ? " Ar " : "",
                           option->argument != NULL ? option->argument : ""));
    return put_sentence(out, option->help, err);
}

static enum dkv_rc put_options(struct dkv_output *out, const struct dkv_cli_option *options, size_t n,
                               struct dkv_error *err)
{
    if (n == 0) {
        return DKV_OK;
    }
    DKV_TRY(dkv_out_printf(out, err, ".Bl -tag -width Ds\n"));
    for (size_t i = 0; i < n; i++) {
        DKV_TRY(put_option(out, &options[i], err));
    }
    return dkv_out_printf(out, err, ".El\n");
}

static enum dkv_rc put_command(struct dkv_output *out, const struct dkv_command *command, struct dkv_error *err)
{
    DKV_TRY(dkv_out_printf(out, err, ".It Cm %s%s%s", command->group != NULL ? command->group : "",
                           command->group != NULL ? " " : "", command->verb));
    if (command->usage[0] != '\0') {
        DKV_TRY(dkv_out_printf(out, err, " No "));
        DKV_TRY(put_escaped(out, command->usage, err));
    }
    DKV_TRY(dkv_out_printf(out, err, "\n"));
    DKV_TRY(put_sentence(out, command->summary, err));
    DKV_TRY(command->details != NULL ? put_prose(out, command->details, "", err) : DKV_OK);
    return put_options(out, command->options, command->n_options, err);
}

static enum dkv_rc put_commands(struct dkv_output *out, struct dkv_error *err)
{
    DKV_TRY(dkv_out_printf(out, err, ".Sh COMMANDS\n.Bl -tag -width Ds\n"));
    for (size_t i = 0; i < dkv_n_command_groups; i++) {
        for (size_t j = 0; j < dkv_command_groups[i]->n; j++) {
            DKV_TRY(put_command(out, &dkv_command_groups[i]->commands[j], err));
        }
    }
    return dkv_out_printf(out, err, ".El\n");
}

static enum dkv_rc put_exit_codes(struct dkv_output *out, struct dkv_error *err)
{
    DKV_TRY(dkv_out_printf(out, err, ".Sh EXIT STATUS\n.Bl -tag -width 1n\n"));
    for (size_t i = 0; i < dkv_n_exit_rows; i++) {
        DKV_TRY(dkv_out_printf(out, err, ".It %d\n", dkv_exit_rows[i].code));
        DKV_TRY(put_prose(out, dkv_exit_rows[i].means, "", err));
    }
    return dkv_out_printf(out, err, ".El\n");
}

/* groff has every page of mdoc belong to BSD, unless this string says another name before .Dt. */
static const char prologue[] = ".Dd " MAN_DATE "\n.ds doc-volume-operating-system dekvault\n";

static const char program_head[] =
    ".Dt DEKVAULT 1\n.Os dekvault " PACKAGE_VERSION "\n"
    ".Sh NAME\n.Nm dekvault\n.Nd keys of a MongoDB key vault under CMKs in tokens\n"
    ".Sh SYNOPSIS\n.Nm\n.Op Ar option ...\n.Ar command\n.Op Ar argument ...\n"
    ".Sh DESCRIPTION\n.Nm\nkeeps customer master keys (CMKs) where they cannot be extracted, and data\n"
    "encryption keys (DEKs), wrapped by a CMK, in a key vault in the document\n"
    "format of MongoDB's client-side field level encryption.\n"
    "Which vault, which KMS providers and which CMKs, the provider file says:\n.Xr dekvault.conf 5 .\n"
    ".Pp\nThe arguments of commands:\n.Bl -tag -width VALUE\n"
    ".It Ar ID\nA KMS provider by its id in the provider file, for instance\n.Li pkcs11:prod .\n"
    ".It Ar REF\nA CMK.\nFor pkcs11 an RFC 7512 path\n.Pq Li pkcs11:object=cmk\\-2026 ,\n.Li id:HEX ,\n"
    "or a label.\nLeft out: the provider's\n.Li cmk .\n"
    ".It Ar KEY\nA DEK by its UUID, else by an alt name;\n.Li name:X\nis always the alt name X.\n"
    ".It Ar VALUE\nA value in MongoDB's Extended JSON; absent or\n.Sq \\- ,\nstandard input.\n"
    "As an argument it is visible to other users of the machine.\n"
    ".El\n"
    ".Pp\nWithout a terminal nothing is asked: what needs consent needs\n.Fl \\-yes .\n"
    ".Sh OPTIONS\nThey may stand anywhere on the line;\n.Fl \\-\nends them.\n";

static const char program_environment[] =
    ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
    ".It Ev DEKVAULT_CONF\nThe provider file, where\n.Fl \\-config\nis not given.\n"
    ".It Ev XDG_CONFIG_HOME , XDG_STATE_HOME\nWhere the provider file and the state folder of a user are.\n"
    ".It Ev NO_COLOR\nNo colours on a terminal either.\n"
    ".El\n";

static const char program_tail[] =
    ".Sh EXAMPLES\n"
    ".Bd -literal -offset indent\n$ dekvault cmk create pkcs11:prod \\-\\-label cmk\\-2026\n"
    "$ dekvault vault init\n$ dekvault key create pkcs11:prod \\-\\-name app.users/ssn\n"
    "$ echo '\"123\\-45\\-6789\"' | dekvault encrypt app.users/ssn | dekvault decrypt\n"
    ".Ed\n"
    ".Sh DIAGNOSTICS\nErrors go to standard error, as a line of text or, with\n.Fl \\-json ,\nas\n"
    ".Bd -literal -offset indent\n{\"error\": {\"class\", \"message\", \"provider\", \"key\",\n"
    "           \"native\": {\"system\", \"code\", \"name\"}}}\n"
    ".Ed\n"
    ".Sh SEE ALSO\n.Xr dekvault.conf 5 ,\n.Xr p11-kit 8\n";

enum dkv_rc dkv_man_program(struct dkv_output *out, struct dkv_error *err)
{
    DKV_TRY(dkv_out_bytes(out, dkv_span_str(prologue), err));
    DKV_TRY(dkv_out_bytes(out, dkv_span_str(program_head), err));
    DKV_TRY(put_options(out, dkv_global_options, dkv_n_global_options, err));
    DKV_TRY(put_commands(out, err));
    DKV_TRY(dkv_out_bytes(out, dkv_span_str(program_environment), err));
    DKV_TRY(put_exit_codes(out, err));
    return dkv_out_bytes(out, dkv_span_str(program_tail), err);
}

/* ---- dekvault.conf(5) ---- */

static const char file_head[] =
    ".Dt DEKVAULT.CONF 5\n.Os dekvault " PACKAGE_VERSION "\n"
    ".Sh NAME\n.Nm dekvault.conf\n.Nd the provider file of dekvault\n"
    ".Sh DESCRIPTION\nThe provider file says which vault, which KMS providers and which CMKs are\n"
    "used, and under which rules.\nIt alone decides where calls go and which key opens what: a document whose\n"
    ".Li masterKey\nnames a CMK that is in no\n.Li cmk\nor\n.Li cmks\n"
    "of the file is refused, and nothing is contacted.\n"
    ".Pp\nIt is looked for, in this order, at\n.Fl \\-config ,\n.Ev DEKVAULT_CONF ,\n"
    ".Pa $XDG_CONFIG_HOME/dekvault/dekvault.conf\nand\n.Pa /etc/dekvault/dekvault.conf .\n"
    "It must be a regular file of at most 256 KiB that belongs to root or to the\nuser who runs\n"
    ".Xr dekvault 1 ,\nand nobody else may be able to write it or its folder.\n"
    ".Pp\nIt is YAML: one document, without anchors, aliases or tags.\nValues are taken as they are written;\n"
    ".Li true\nand\n.Li false\nare the only booleans.\n"
    "A PIN or a key never stands in the file itself: it says where they are.\n"
    "Such a secret file belongs to root or to the user and has no permission for\n"
    "others; its group may read it where\n.Li allow\\-group\\-read\nsays so.\n"
    "Nobody else may be able to exchange it in its folder.\n"
    ".Sh SETTINGS\nThe groups are\n.Li vault ,\n.Li vaults ,\n.Li providers ,\n.Li audit\nand\n.Li memory .\n"
    "A provider's key is its KMS provider id, as MongoDB writes it:\n.Ar type\nor\n.Ar type : Ns Ar name .\n"
    "A plug-in has settings of its own beside those of every provider.\n.Bl -tag -width Ds\n";

static const char file_tail[] =
    ".El\n"
    ".Sh EXAMPLES\n"
    ".Bd -literal -offset indent\nvault:\n  store: sqlite:/var/lib/dekvault/vault.db\nproviders:\n"
    "  pkcs11:prod:\n    module: /usr/lib/softhsm/libsofthsm2.so\n    token: pkcs11:token=prod;serial=7f3a0c51\n"
    "    pin\\-source: file:/etc/dekvault/prod.pin\n    cmk: pkcs11:object=cmk\\-2026\n"
    "    cmks: [pkcs11:object=cmk\\-2025]\naudit:\n  to: file:/var/log/dekvault/audit.log\n"
    ".Ed\n"
    ".Pp\nA vault in MongoDB instead, whose URI has a password and so is in a file of its own:\n"
    ".Bd -literal -offset indent\nvault:\n  store\\-source: file:/etc/dekvault/vault.uri\n"
    "  namespace: encryption.__keyVault\n.Ed\n"
    ".Sh SEE ALSO\n.Xr dekvault 1\n";

static enum dkv_rc put_setting(void *arg, const struct dkv_setting_doc *doc, struct dkv_error *err)
{
    struct dkv_output *out = arg;
    const struct dkv_option *option = doc->option;
    DKV_TRY(dkv_out_printf(out, err, ".It Li "));
    DKV_TRY(put_escaped(out, doc->setting, err));
    DKV_TRY(dkv_out_printf(out, err, " No (%s", dkv_option_type_name(option->type)));
    for (size_t i = 0; option->choices != NULL && option->choices[i] != NULL; i++) {
        DKV_TRY(dkv_out_printf(out, err, "%s", i > 0 ? ", " : ": "));
        DKV_TRY(put_escaped(out, option->choices[i], err));
    }
    DKV_TRY(dkv_out_printf(out, err, "%s%s", option->required ? "; required" : "",
                           option->fallback != NULL ? "; default " : ""));
    DKV_TRY(option->fallback != NULL ? put_escaped(out, option->fallback, err) : DKV_OK);
    DKV_TRY(dkv_out_printf(out, err, ")\n"));
    return put_prose(out, option->help, "", err);
}

enum dkv_rc dkv_man_provider_file(struct dkv_output *out, struct dkv_error *err)
{
    DKV_TRY(dkv_out_bytes(out, dkv_span_str(prologue), err));
    DKV_TRY(dkv_out_bytes(out, dkv_span_str(file_head), err));
    DKV_TRY(dkv_settings_visit(put_setting, out, err));
    return dkv_out_bytes(out, dkv_span_str(file_tail), err);
}
