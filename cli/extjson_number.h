/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of Extended JSON as BSON carries them, or not at all: each is false where the number would come out
 * changed. */
#ifndef CLI_EXTJSON_NUMBER_H
#define CLI_EXTJSON_NUMBER_H

#include <bson/bson.h>

#include "base/bytes.h"

/* dkv_number_int: a plain decimal integer, no "+", no leading zeros and no "-0", within the bounds. */
bool dkv_number_int(struct dkv_span text, int64_t min, int64_t max, int64_t *ret);
/* dkv_number_double: a JSON number that a double holds in as many digits as were written: 0.1 and
 * 0.10000000000000000555 are, 0.10000000000000000001, 9007199254740993.0 and 1e400 aren't. */
bool dkv_number_double(struct dkv_span text, double *ret);
/* dkv_number_decimal: a JSON number of at most 34 digits, its exponent in range. */
bool dkv_number_decimal(struct dkv_span text, bson_decimal128_t *ret);

#endif
