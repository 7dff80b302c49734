/* SPDX-License-Identifier: Apache-2.0 */
/* What a scalar of the provider file means, by the type of the option that it belongs to. Owns: the copies that values
 * hold. Invariant: no text made here repeats a value, since a PIN or key written in the wrong place must not travel on
 * into logs. No lock. */
#include "base/setting_value.h"

#include <limits.h>
#include <stdio.h>

#include "base/mem.h"

/* A 96-byte key is 128 characters of base64 and 192 of hexadecimal. */
#define KEY_TEXT_MIN 128u

static const char base64_alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=-_ \t\r\n";

/* ---- Secrets in the file itself ---- */

static const char *secret_in(const char *text)
{
    if (strcasestr(text, "pin-value=") != NULL) {
        return "holds a PIN (pin-value): put it in a file of its own and name that with pin-source";
    }
    const size_t len = strlen(text);
    if (len >= KEY_TEXT_MIN && text[0] != '/' && strspn(text, base64_alphabet) == len) {
        return "looks like a key: put it in a file of its own, mode 0600, and name that file";
    }
    return NULL;
}

static void judge_text(const struct dkv_option *option, const char *text, struct dkv_value *ret, char *wrong)
{
    (void)option;
    (void)ret;
    const char *secret = secret_in(text);
    if (secret != NULL) {
        snprintf(wrong, DKV_WRONG_MAX, "%s", secret);
    }
}

static void judge_path(const struct dkv_option *option, const char *text, struct dkv_value *ret, char *wrong)
{
    (void)option;
    (void)ret;
    if (text[0] != '/') {
        snprintf(wrong, DKV_WRONG_MAX, "must be an absolute path");
    } else if (strlen(text) >= PATH_MAX) {
        snprintf(wrong, DKV_WRONG_MAX, "is longer than a path can be");
    }
}

/* ---- Sources and choices ---- */

static bool parse_number(const char *text, uint64_t *ret)
{
    uint64_t number = 0;
    /* No sign, no octal, nothing that YAML or strtoul would read in their own way. */
    if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0')) {
        return false;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number)) {
            return false;
        }
    }
    *ret = number;
    return true;
}

static bool is_file_source(const char *text)
{
    return strncmp(text, "file:/", 6) == 0 && text[6] != '\0' && strlen(text + 5) < PATH_MAX;
}

static bool is_fd_source(const char *text)
{
    uint64_t fd = 0;
    return strncmp(text, "fd:", 3) == 0 && parse_number(text + 3, &fd) && fd <= INT_MAX;
}

/* The choices of a SOURCE that take something after a colon; any other is a word that stands alone. */
static const struct {
    const char *choice;
    const char *form;
    bool (*is)(const char *text);
} source_forms[] = {
    {"file", "file:/absolute/path", is_file_source},
    {"fd", "fd:N", is_fd_source},
};

static const char *form_of(const struct dkv_option *option, const char *choice)
{
    for (size_t i = 0; option->type == DKV_OPTION_SOURCE && i < DKV_COUNT(source_forms); i++) {
        if (strcmp(choice, source_forms[i].choice) == 0) {
            return source_forms[i].form;
        }
    }
    return choice;
}

static bool choice_takes(const struct dkv_option *option, const char *choice, const char *text)
{
    for (size_t i = 0; option->type == DKV_OPTION_SOURCE && i < DKV_COUNT(source_forms); i++) {
        if (strcmp(choice, source_forms[i].choice) == 0) {
            return source_forms[i].is(text);
        }
    }
    return strcmp(choice, text) == 0;
}

/* "must be A, B or C", and for what leads to a secret, that the secret itself has no place here. */
static void say_choices(const struct dkv_option *option, char *wrong)
{
    const size_t name_len = strlen(option->name);
    size_t end = dkv_line_put(wrong, DKV_WRONG_MAX, 0, "must be ");
    for (const char *const *choice = option->choices; *choice != NULL; choice++) {
        const char *before = choice == option->choices ? "" : choice[1] == NULL ? " or " : ", ";
        end = dkv_line_put(wrong, DKV_WRONG_MAX, end, before);
        end = dkv_line_put(wrong, DKV_WRONG_MAX, end, form_of(option, *choice));
    }
    if (name_len > 7 && strcmp(option->name + name_len - 7, "-source") == 0) {
        (void)dkv_line_put(wrong, DKV_WRONG_MAX, end, "; a PIN, key or password itself is never written in this file");
    }
}

static void judge_choice(const struct dkv_option *option, const char *text, struct dkv_value *ret, char *wrong)
{
    (void)ret;
    for (const char *const *choice = option->choices; *choice != NULL; choice++) {
        if (choice_takes(option, *choice, text)) {
            return;
        }
    }
    say_choices(option, wrong);
}

/* ---- Numbers and booleans ---- */

static void judge_number(const struct dkv_option *option, const char *text, struct dkv_value *ret, char *wrong)
{
    uint64_t number = 0;
    if (parse_number(text, &number) && number >= option->min && (option->max == 0 || number <= option->max)) {
        ret->number = number;
    } else if (option->max == 0) {
        snprintf(wrong, DKV_WRONG_MAX, "must be a whole number, %llu or more", (unsigned long long)option->min);
    } else {
        snprintf(wrong, DKV_WRONG_MAX, "must be a whole number from %llu to %llu", (unsigned long long)option->min,
                 (unsigned long long)option->max);
    }
}

static void judge_bool(const struct dkv_option *option, const char *text, struct dkv_value *ret, char *wrong)
{
    (void)option;
    ret->flag = strcmp(text, "true") == 0;
    if (!ret->flag && strcmp(text, "false") != 0) {
        snprintf(wrong, DKV_WRONG_MAX, "must be true or false");
    }
}

/* ---- By type ---- */

static const struct {
    const char *name;
    void (*judge)(const struct dkv_option *option, const char *text, struct dkv_value *ret,
                  char *wrong); /* of one scalar */
    bool keeps_text;
} types[] = {
    [DKV_OPTION_TEXT] = {"text", judge_text, true},
    [DKV_OPTION_PATH] = {"absolute path", judge_path, true},
    [DKV_OPTION_SOURCE] = {"source", judge_choice, true},
    [DKV_OPTION_NUMBER] = {"number", judge_number, false},
    [DKV_OPTION_BOOL] = {"true or false", judge_bool, false},
    [DKV_OPTION_CHOICE] = {"choice", judge_choice, true},
    [DKV_OPTION_LIST] = {"list", judge_text, false},
    [DKV_OPTION_MAP] = {"map", judge_text, false},
};

const char *dkv_option_type_name(enum dkv_option_type type)
{
    return (size_t)type < DKV_COUNT(types) ? types[type].name : "unknown";
}

static void free_borrowable(const void *memory)
{
    /* Values show their texts as const to whoever borrows them; here is their owner. */
    dkv_free((void *)(uintptr_t)memory);
}

void dkv_value_done(struct dkv_value *value)
{
    free_borrowable(value->text);
    free_borrowable(value->items);
    *value = (struct dkv_value){0};
}

static enum dkv_rc read_scalar(const struct dkv_option *option, const char *text, unsigned line, struct dkv_value *ret,
                               char *wrong, struct dkv_error *err)
{
    struct dkv_value value = {.is_set = true, .line = line};
    if (text[0] == '\0') {
        snprintf(wrong, DKV_WRONG_MAX, "has no value");
    } else {
        types[option->type].judge(option, text, &value, wrong);
    }
    if (wrong[0] != '\0') {
        return DKV_OK;
    }
    if (types[option->type].keeps_text && (value.text = dkv_strdup(text)) == NULL) {
        return dkv_fail_memory(err);
    }
    *ret = value;
    return DKV_OK;
}

/* ---- Lists and maps: an array of pointers and the texts that they point to, in one piece ---- */

static void judge_items(const struct dkv_option *option, const struct dkv_node *node, struct dkv_value *ret,
                        char *wrong)
{
    for (const struct dkv_node *item = node->first; item != NULL && wrong[0] == '\0'; item = item->next) {
        ret->line = item->line;
        if (item->kind != DKV_NODE_SCALAR || item->text[0] == '\0') {
            snprintf(wrong, DKV_WRONG_MAX, "has an entry that isn't text");
        } else {
            judge_text(option, item->text, ret, wrong);
        }
    }
}

static char *put_item(const char **items, size_t *n, char *room, const char *text)
{
    const size_t len = strlen(text);
    memcpy(room, text, len + 1);
    items[(*n)++] = room;
    return room + len + 1;
}

static enum dkv_rc copy_items(const struct dkv_node *node, struct dkv_value *ret, struct dkv_error *err)
{
    size_t pointers = 1, bytes = 0, n = 0;
    for (const struct dkv_node *item = node->first; item != NULL; item = item->next) {
        pointers += item->key != NULL ? 2 : 1;
        bytes += strlen(item->text) + 1 + (item->key != NULL ? strlen(item->key) + 1 : 0);
    }
    const char **items = (const char **)dkv_calloc(1, pointers * sizeof(*items) + bytes);
    if (items == NULL) {
        return dkv_fail_memory(err);
    }
    char *room = (char *)(items + pointers);
    for (const struct dkv_node *item = node->first; item != NULL; item = item->next) {
        if (item->key != NULL) {
            room = put_item(items, &n, room, item->key);
        }
        room = put_item(items, &n, room, item->text);
    }
    *ret = (struct dkv_value){.is_set = true, .line = node->line, .items = items, .n_items = n};
    return DKV_OK;
}

static enum dkv_rc read_items(const struct dkv_option *option, const struct dkv_node *node, struct dkv_value *ret,
                              char *wrong, struct dkv_error *err)
{
    const enum dkv_node_kind kind = option->type == DKV_OPTION_LIST ? DKV_NODE_LIST : DKV_NODE_MAP;
    if (node->kind != kind) {
        snprintf(wrong, DKV_WRONG_MAX, "%s",
                 kind == DKV_NODE_LIST ? "must be a list: [A, B], or lines that start with '- '"
                                       : "must be a map: lines of NAME: VALUE");
        return DKV_OK;
    }
    judge_items(option, node, ret, wrong);
    return wrong[0] != '\0' ? DKV_OK : copy_items(node, ret, err);
}

enum dkv_rc dkv_value_read(const struct dkv_option *option, const struct dkv_node *node, struct dkv_value *ret,
                           char *wrong, struct dkv_error *err)
{
    *ret = (struct dkv_value){.line = node->line};
    wrong[0] = '\0';
    if (option->type == DKV_OPTION_LIST || option->type == DKV_OPTION_MAP) {
        return read_items(option, node, ret, wrong, err);
    }
    if (node->kind != DKV_NODE_SCALAR) {
        snprintf(wrong, DKV_WRONG_MAX, "must be a single value, not a %s",
                 node->kind == DKV_NODE_LIST ? "list" : "map");
        return DKV_OK;
    }
    return read_scalar(option, node->text, node->line, ret, wrong, err);
}

enum dkv_rc dkv_value_default(const struct dkv_option *option, struct dkv_value *ret, struct dkv_error *err)
{
    char wrong[DKV_WRONG_MAX] = "";
    *ret = (struct dkv_value){0};
    if (option->fallback == NULL) {
        return DKV_OK;
    }
    DKV_CHECK(option->type != DKV_OPTION_LIST && option->type != DKV_OPTION_MAP, err, DKV_E_INTERNAL,
              "option \"%s\": a list or map can't have a default", option->name);
    DKV_TRY(read_scalar(option, option->fallback, 0, ret, wrong, err));
    DKV_CHECK(wrong[0] == '\0', err, DKV_E_INTERNAL, "option \"%s\": its default %s", option->name, wrong);
    return DKV_OK;
}
