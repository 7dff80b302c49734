/* SPDX-License-Identifier: Apache-2.0 */
/* The MongoDB store's table. Constant; no lock. */
#include "vault/store/mongodb.h"

const struct dkv_store_ops dkv_mongodb_store_ops = {
    .scheme = "mongodb",
    .open = dkv_mongodb_open,
    .close = dkv_mongodb_close,
    .ensure_index = dkv_mongodb_ensure_index,
    .check_index = dkv_mongodb_check_index,
    .insert = dkv_mongodb_insert,
    .insert_many = dkv_mongodb_insert_many,
    .get_many = dkv_mongodb_get_many,
    .get_by_alt_name = dkv_mongodb_get_by_alt_name,
    .list = dkv_mongodb_list,
    .count_by = dkv_mongodb_count_by,
    .replace_material = dkv_mongodb_replace_material,
    .set_status = dkv_mongodb_set_status,
    .add_alt_name = dkv_mongodb_add_alt_name,
    .remove_alt_name = dkv_mongodb_remove_alt_name,
    .remove = dkv_mongodb_remove,
    .state_get = dkv_mongodb_state_get,
    .state_put = dkv_mongodb_state_put,
    .state_list = dkv_mongodb_state_list,
};
