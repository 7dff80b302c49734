/* SPDX-License-Identifier: Apache-2.0 */
/* What the contract's parts share: one list of tests each, and the store under test. Every test starts from an empty
 * store. */
#ifndef TESTS_LIB_STORE_CONTRACT_PARTS_H
#define TESTS_LIB_STORE_CONTRACT_PARTS_H

#include "tests/lib/store_contract.h"
#include "vault/document_edit.h"

struct dkv_contract_part {
    const struct dkv_test *tests;
    size_t n;
};

extern const struct dkv_contract_part dkv_contract_insert, dkv_contract_insert_many, dkv_contract_read,
    dkv_contract_list, dkv_contract_write, dkv_contract_damage, dkv_contract_state, dkv_contract_fork,
    dkv_contract_many;

/* The empty store of a test, until finish closes it. */
struct dkv_store *dkv_contract_start(void);
void dkv_contract_finish(void);
/* The factory's again and plant, for that store. */
enum dkv_rc dkv_contract_again(struct dkv_store **ret, struct dkv_error *err);
void dkv_contract_plant(const struct dkv_uuid *id, struct dkv_span bytes, struct dkv_buf *ret_planted);

void dkv_contract_add(const struct dkv_key_shape *shape);
/* Seven keys, 'a' to 'g', that filters tell apart. */
void dkv_contract_add_assorted(void);

/* What a listing visited: the first byte of each _id. */
struct dkv_contract_visited {
    size_t n;
    uint8_t ids[512];
    enum dkv_rc answer; /* given from the third on */
};
/* A dkv_store_visit_fn on it. */
enum dkv_rc dkv_contract_visit(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err);
void dkv_contract_assert_visited(const struct dkv_contract_visited *visited, const char *expected);
/* The document of this _id has these names, in this order. */
void dkv_contract_assert_names(uint8_t id, const char *const *names, size_t n);

#endif
