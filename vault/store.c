/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of store, and which one a `store` setting means. Constant; no lock. */
#include "vault/store.h"

const struct dkv_store_ops *const dkv_store_kinds[] = {
    &dkv_sqlite_store_ops,
    NULL,
};

const struct dkv_store_ops *dkv_store_find(const char *store, const char **ret_location)
{
    for (size_t i = 0; dkv_store_kinds[i] != NULL; i++) {
        const size_t len = strlen(dkv_store_kinds[i]->scheme);
        if (strncmp(store, dkv_store_kinds[i]->scheme, len) != 0 || store[len] != ':') {
            continue;
        }
        /* A URI is its own location: scheme and authority belong together. */
        *ret_location = strncmp(store + len, "://", 3) == 0 ? store : store + len + 1;
        return dkv_store_kinds[i];
    }
    return NULL;
}
