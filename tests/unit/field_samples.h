/* SPDX-License-Identifier: Apache-2.0 */
/* BSON values of every type that may be encrypted, as value bytes. */
#ifndef TESTS_UNIT_FIELD_SAMPLES_H
#define TESTS_UNIT_FIELD_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sample {
    uint8_t type;
    const char *bytes;
    size_t len;
    bool deterministic_too;
};
#define BYTES(text) text, sizeof(text) - 1

static const struct sample samples[] = {
    {0x01, BYTES("\0\0\0\0\0\0\xf0\x3f"), false},
    {0x02, BYTES("\5\0\0\0test\0"), true},
    {0x02, BYTES("\1\0\0\0\0"), true},
    {0x02, BYTES("\4\0\0\0a\0b\0"), true}, /* a counted string may hold a NUL */
    {0x03, BYTES("\5\0\0\0\0"), false},
    {0x03, BYTES("\x0c\0\0\0\x10" "a\0\1\0\0\0\0"), false},
    {0x04, BYTES("\x0c\0\0\0\x10" "0\0\1\0\0\0\0"), false},
    {0x05, BYTES("\0\0\0\0\0"), true},
    {0x05, BYTES("\3\0\0\0\0abc"), true},
    {0x05, BYTES("\7\0\0\0\2\3\0\0\0abc"), true},
    {0x07, BYTES("abcdefghijkl"), true},
    {0x08, BYTES("\0"), false},
    {0x08, BYTES("\1"), false},
    {0x09, BYTES("\0\1\2\3\4\5\6\7"), true},
    {0x0b, BYTES("^a\0i\0"), true},
    {0x0b, BYTES("\0\0"), true},
    {0x0c, BYTES("\2\0\0\0c\0abcdefghijkl"), true},
    {0x0d, BYTES("\2\0\0\0;\0"), true},
    {0x0e, BYTES("\2\0\0\0s\0"), true},
    {0x0f, BYTES("\x0f\0\0\0\2\0\0\0;\0\5\0\0\0\0"), false},
    {0x10, BYTES("\1\0\0\0"), true},
    {0x11, BYTES("\1\0\0\0\2\0\0\0"), true},
    {0x12, BYTES("\1\0\0\0\0\0\0\0"), true},
    {0x13, BYTES("0123456789abcdef"), false},
};

#endif
