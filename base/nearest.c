/* SPDX-License-Identifier: Apache-2.0 */
/* The known name that a misspelt one was most likely meant to be. Distances are counted in changed, missing, added and
 * swapped characters, case aside. Names longer than WORD_MAX are near to nothing, so the work is bounded. No state. */
#include "base/settings.h"

#define WORD_MAX 64u

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* The edit distance with swaps of neighbours (optimal string alignment), by three rows of the usual table. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][WORD_MAX + 1];
    for (size_t j = 0; j <= b_len; j++) {
        rows[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i - 1) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            const bool same = lower(a[i - 1]) == lower(b[j - 1]);
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (same ? 0 : 1));
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1])) {
                row[j] = least(row[j], two_above[j - 2] + 1);
            }
        }
    }
    return rows[a_len % 3][b_len];
}

const char *dkv_nearest(const char *text, const char *const *words, size_t n)
{
    const char *nearest = NULL;
    const size_t len = strlen(text);
    /* A third of it wrong, at least one and at most three characters: beyond that it is another word. */
    unsigned best = least((unsigned)(len / 3 > 0 ? len / 3 : 1), 3) + 1;
    if (len == 0 || len > WORD_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        const size_t word_len = strlen(words[i]);
        const unsigned far = word_len > WORD_MAX ? best : distance(text, len, words[i], word_len);
        if (far < best) {
            best = far;
            nearest = words[i];
        }
    }
    return nearest;
}
