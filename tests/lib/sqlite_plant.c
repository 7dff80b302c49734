/* SPDX-License-Identifier: Apache-2.0 */
/* Writes by the store's own connection, past everything that the store checks. Owns nothing; no lock: one thread. */
#include "tests/lib/sqlite_plant.h"

#include "tests/lib/test.h"
#include "vault/store/sqlite.h"

void dkv_test_plant(struct dkv_store *sqlite_store, const struct dkv_uuid *id, struct dkv_span bytes)
{
    sqlite3 *db = dkv_sqlite_of(sqlite_store)->db;
    sqlite3_stmt *statement = NULL;
    CU_ASSERT_EQUAL(sqlite3_prepare_v2(db, "UPDATE keys SET document = ?1 WHERE id = ?2", -1, &statement, NULL),
                    SQLITE_OK);
    CU_ASSERT_EQUAL(dkv_sqlite_bind_blob(statement, 1, bytes), SQLITE_OK);
    CU_ASSERT_EQUAL(dkv_sqlite_bind_id(statement, 2, id), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_step(statement), SQLITE_DONE);
    CU_ASSERT_EQUAL(sqlite3_changes(db), 1);
    sqlite3_finalize(statement);
}
