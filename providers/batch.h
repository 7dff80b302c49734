/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of providers, held to the table's contract. */
#ifndef PROVIDERS_BATCH_H
#define PROVIDERS_BATCH_H

#include <stdbool.h>

#include "base/error.h"
#include "dekvault/provider.h"

/* A wrap or unwrap to be run. Borrows all. */
struct dkv_batch {
    enum dkv_rc (*run)(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items, size_t n,
                       struct dkv_error *err);
    struct dkv_provider *self;
    const struct dkv_call *call;
    const char *id; /* for the items' errors */
    bool is_wrap;
};

/* dkv_batch_run: refuse items that break the contract, run the others, and judge each answer: a status of DKV_OK comes
 * with a sane length, any other with no output (and a wiped one) and, where the item has an err, with words. Items are
 * independent. DKV_OK when all are, else the first item's failure, with *err filled; err is not NULL. */
DKV_MUST_USE enum dkv_rc dkv_batch_run(const struct dkv_batch *batch, struct dkv_wrap_item *items, size_t n,
                                       struct dkv_error *err);

/* dkv_answer_judge: rc (not DKV_OK) as a provider returned it, with what it wrote into err. What isn't a class becomes
 * DKV_E_INTERNAL, missing words are filled in, texts become one line each. Returns the class to go by, which is
 * err->rc. */
enum dkv_rc dkv_answer_judge(enum dkv_rc rc, struct dkv_error *err);

/* dkv_cmk_info_is_sound: lengths within the struct, texts that end, a masterKey that is one BSON document by its
 * length. */
bool dkv_cmk_info_is_sound(const struct dkv_cmk_info *info);

#endif
