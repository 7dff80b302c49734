/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of store, and which one a `store` setting means. Constant; no lock. */
#include "vault/store.h"

static const struct {
    const char *scheme;
    const struct dkv_store_ops *ops;
} kinds[] = {
    {"sqlite", &dkv_sqlite_store_ops},
    {"mongodb", &dkv_mongodb_store_ops},
    {"mongodb+srv", &dkv_mongodb_store_ops},
};

const struct dkv_store_ops *dkv_store_find(const char *store, const char **ret_location)
{
    for (size_t i = 0; i < DKV_COUNT(kinds); i++) {
        const size_t len = strlen(kinds[i].scheme);
        if (strncmp(store, kinds[i].scheme, len) != 0 || store[len] != ':') {
            continue;
        }
        /* A URI is its own location: scheme and authority belong together. */
        *ret_location = strncmp(store + len, "://", 3) == 0 ? store : store + len + 1;
        return kinds[i].ops;
    }
    return NULL;
}
