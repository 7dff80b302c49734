/* SPDX-License-Identifier: Apache-2.0 */
/* libyaml speaks to the authors of parsers; a person who edits a file needs other words. Found by a part of libyaml's
 * text, which has been the same in all its 0.2 releases; a text that isn't here is passed on as it is. No state. */
#include "base/yaml_words.h"

#include <stddef.h>
#include <string.h>

#include "base/error.h"

static const struct {
    const char *libyaml;
    const char *words;
} problems[] = {
    {"mapping values are not allowed",
     "a ':' where none may stand: check the indentation, and quote a value that holds ': '"},
    {"found character that cannot start any token",
     "a character that starts nothing here: indent with spaces, not tabs, "
                                                    "and quote a value that starts with @, ` or %"},
    {"found a tab character", "a tab in the indentation: use spaces"},
    {"did not find expected key", "the indentation doesn't fit the lines above"},
    {"did not find expected '-' indicator",
     "a list item without its '-', or an indentation that doesn't fit the lines above"},
    {"could not find expected ':'", "a ':' is missing after a setting's name"},
    {"found unexpected end of stream", "a quote isn't closed"},
    {"found unexpected document indicator", "a quote isn't closed"},
    {"did not find expected ',' or ']'", "a ',' or ']' is missing in a list"},
    {"did not find expected ',' or '}'", "a ',' or '}' is missing in a map"},
    {"did not find expected <document start>", "text after the end of the document, or two values where one may stand"},
    {"invalid leading UTF-8", "the file isn't UTF-8"},
    {"invalid trailing UTF-8", "the file isn't UTF-8"},
    {"incomplete UTF-8", "the file isn't UTF-8"},
    {"invalid length of a UTF-8", "the file isn't UTF-8"},
    {"invalid Unicode", "the file isn't UTF-8"},
    {"control characters are not allowed", "a control character, such as NUL"},
    {"found undefined tag handle", "a tag: values are taken as written, without '!'"},
    {"found unknown escape character", "an escape that YAML doesn't know in \"...\": write \\\\ for a backslash"},
};

const char *dkv_yaml_words(const char *problem)
{
    for (size_t i = 0; i < DKV_COUNT(problems); i++) {
        if (strstr(problem, problems[i].libyaml) != NULL) {
            return problems[i].words;
        }
    }
    return problem;
}
