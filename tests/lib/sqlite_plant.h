/* SPDX-License-Identifier: Apache-2.0 */
/* A SQLite store's row as somebody else leaves it who has the file and no rules. */
#ifndef TESTS_LIB_SQLITE_PLANT_H
#define TESTS_LIB_SQLITE_PLANT_H

#include "vault/store.h"

/* dkv_test_plant: these bytes in the place of a stored document; its columns and names stay. Fails the test when there
 * is none. */
void dkv_test_plant(struct dkv_store *sqlite_store, const struct dkv_uuid *id, struct dkv_span bytes);

#endif
