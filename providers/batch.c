/* SPDX-License-Identifier: Apache-2.0 */
/* Holds providers to the contract of wrap and unwrap. A plug-in may forget an item, contradict itself or name a length
 * that it never wrote; none of that may end as a key or a keyMaterial. No state, no lock. */
#include "providers/batch.h"

#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/secret.h"

/* No provider sets this: an item that still has it was passed over. */
#define UNTOUCHED ((enum dkv_rc)1)

static bool is_failure(enum dkv_rc rc)
{
    return rc < DKV_OK && rc >= DKV_E_INTERNAL;
}

/* ---- Errors ---- */

/* A provider's text made to end and to be one line of UTF-8: it goes to logs, the audit and a terminal. */
static void tidy_text(char *text, size_t size)
{
    char line[sizeof(((struct dkv_error *)0)->message)];
    text[size - 1] = '\0';
    (void)dkv_line_put(line, size, 0, text);
    memcpy(text, line, strlen(line) + 1);
}

static void tidy_texts(struct dkv_error *err)
{
    tidy_text(err->native_name, sizeof(err->native_name));
    tidy_text(err->provider, sizeof(err->provider));
    tidy_text(err->key, sizeof(err->key));
    tidy_text(err->message, sizeof(err->message));
}

enum dkv_rc dkv_answer_judge(enum dkv_rc rc, struct dkv_error *err)
{
    if (!is_failure(rc)) {
        return dkv_fail(err, DKV_E_INTERNAL, "the provider answered with %d, which is no error class", (int)rc);
    }
    tidy_texts(err);
    if (err->rc != rc || err->message[0] == '\0') {
        return dkv_fail(err, rc, "the provider failed (%s) and gave no reason", dkv_class_name(rc));
    }
    return rc;
}

/* ---- Before: what the caller owes ---- */

static enum dkv_rc check_sizes(const struct dkv_batch *batch, const struct dkv_wrap_item *item, struct dkv_error *err)
{
    const size_t context_len = batch->call->purpose == DKV_PURPOSE_CHECK ? 0 : 16;
    DKV_CHECK(item->cmk != NULL && item->output != NULL, err, DKV_E_INVALID, "an item has no CMK or no output");
    DKV_CHECK(item->context.len == context_len, err, DKV_E_INVALID, "an item's context is %zu bytes long, not %zu",
              item->context.len, context_len);
    DKV_CHECK(item->input.data != NULL, err, DKV_E_INVALID, "an item has no input");
    if (batch->is_wrap) {
        DKV_CHECK(item->input.len == DKV_DEK_BYTES, err, DKV_E_INVALID, "a data key is %u bytes long, not %zu",
                  DKV_DEK_BYTES, item->input.len);
        DKV_CHECK(item->output_capacity > 0, err, DKV_E_INVALID, "an item has no room for keyMaterial");
        return DKV_OK;
    }
    DKV_CHECK(item->output_capacity >= DKV_DEK_BYTES, err, DKV_E_INVALID, "an item has no room for a data key");
    DKV_CHECK(item->input.len > 0 && item->input.len <= DKV_KEY_MATERIAL_MAX, err, DKV_E_REJECTED_CIPHERTEXT,
              "keyMaterial is %zu bytes long: it has between 1 and %u", item->input.len, DKV_KEY_MATERIAL_MAX);
    return DKV_OK;
}

/* A DEK lies in secret memory on either side of a call; whoever has it elsewhere has a defect that is found here. */
static enum dkv_rc check_secrecy(const struct dkv_batch *batch, const struct dkv_wrap_item *item, struct dkv_error *err)
{
    const void *dek = batch->is_wrap ? (const void *)item->input.data : (const void *)item->output;
    DKV_CHECK(dkv_secret_owns(dek, DKV_DEK_BYTES), err, DKV_E_INVALID,
              "an item's data key doesn't lie in secret memory");
    return DKV_OK;
}

static enum dkv_rc check_item(const struct dkv_batch *batch, const struct dkv_wrap_item *item, struct dkv_error *err)
{
    DKV_TRY(check_sizes(batch, item, err));
    return check_secrecy(batch, item, err);
}

/* ---- After: what the provider owes ---- */

static bool length_is_sane(const struct dkv_batch *batch, const struct dkv_wrap_item *item)
{
    if (!batch->is_wrap) {
        return item->output_len == DKV_DEK_BYTES;
    }
    return item->output_len > 0 && item->output_len <= item->output_capacity &&
           item->output_len <= DKV_KEY_MATERIAL_MAX;
}

static void fail_item(struct dkv_wrap_item *item, enum dkv_rc status, const struct dkv_error *words)
{
    item->status = status;
    if (item->err != NULL) {
        *item->err = *words;
    }
}

/* A failure that the provider itself gave an item. Its words may stand in the batch's error alone. */
static enum dkv_rc judge_failure(const struct dkv_wrap_item *item, const struct dkv_error *own, struct dkv_error *words)
{
    *words = item->err != NULL && item->err->rc == item->status ? *item->err : *own;
    return dkv_answer_judge(item->status, words);
}

/* The item's real status; words are filled when that isn't DKV_OK. batch_rc is what the provider returned for all, own
 * what it wrote. A provider that gives up before it looks at the items (no login, for instance) has failed each of
 * them. */
static enum dkv_rc judge_item(const struct dkv_batch *batch, const struct dkv_wrap_item *item, enum dkv_rc batch_rc,
                              const struct dkv_error *own, struct dkv_error *words)
{
    if (item->status == UNTOUCHED) {
        *words = *own;
        DKV_TRY(batch_rc);
        return dkv_fail(words, DKV_E_INTERNAL, "the provider passed over a key of its batch");
    }
    if (item->status != DKV_OK) {
        return judge_failure(item, own, words);
    }
    DKV_CHECK(length_is_sane(batch, item), words, DKV_E_INTERNAL,
              "the provider says it wrote %zu bytes, which can't be", item->output_len);
    return DKV_OK;
}

static bool all_are_ok(const struct dkv_wrap_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (items[i].status != DKV_OK) {
            return false;
        }
    }
    return true;
}

/* Success of each and failure of all contradict each other: nothing of it is believed. */
static enum dkv_rc judge_batch(enum dkv_rc rc, struct dkv_wrap_item *items, size_t n, struct dkv_error *own)
{
    if (rc == DKV_OK) {
        return DKV_OK;
    }
    if (!all_are_ok(items, n)) {
        return dkv_answer_judge(rc, own);
    }
    for (size_t i = 0; i < n; i++) {
        items[i].status = UNTOUCHED;
    }
    return dkv_fail(own, DKV_E_INTERNAL, "the provider says that the batch failed and that each key of it succeeded");
}

/* One run of items that all keep the contract. ret_words: those of the first that failed. */
static void run_ready(const struct dkv_batch *batch, struct dkv_wrap_item *items, size_t n, struct dkv_error *ret_words)
{
    struct dkv_error own = {0};
    const enum dkv_rc rc = judge_batch(batch->run(batch->self, batch->call, items, n, &own), items, n, &own);
    for (size_t i = 0; i < n; i++) {
        struct dkv_error words = {0};
        const enum dkv_rc status = judge_item(batch, &items[i], rc, &own, &words);
        if (status != DKV_OK) {
            fail_item(&items[i], status, &words);
        }
        if (status != DKV_OK && ret_words->rc == DKV_OK) {
            *ret_words = words;
        }
    }
}

/* ---- The batch ---- */

static void withhold(struct dkv_wrap_item *item)
{
    item->output_len = 0;
    if (item->output != NULL) {
        dkv_wipe(item->output, item->output_capacity);
    }
}

static void finish_items(const struct dkv_batch *batch, struct dkv_wrap_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (items[i].status != DKV_OK) {
            withhold(&items[i]);
            dkv_error_provider(items[i].err, batch->id);
        }
    }
}

/* How many items from the first on may be given to the provider; the one behind them, if there is one, is refused. */
static size_t count_ready(const struct dkv_batch *batch, struct dkv_wrap_item *items, size_t n,
                          struct dkv_error *ret_refusal)
{
    for (size_t i = 0; i < n; i++) {
        items[i].output_len = 0;
        items[i].status = UNTOUCHED;
        const enum dkv_rc rc = check_item(batch, &items[i], ret_refusal);
        if (rc != DKV_OK) {
            fail_item(&items[i], rc, ret_refusal);
            return i;
        }
    }
    return n;
}

enum dkv_rc dkv_batch_run(const struct dkv_batch *batch, struct dkv_wrap_item *items, size_t n, struct dkv_error *err)
{
    enum dkv_rc first = DKV_OK;
    while (n > 0) {
        struct dkv_error words = {0};
        struct dkv_error refusal = {0};
        const size_t ready = count_ready(batch, items, n, &refusal);
        const size_t end = ready < n ? ready + 1 : n;
        if (ready > 0) {
            run_ready(batch, items, ready, &words);
        }
        finish_items(batch, items, end);
        const struct dkv_error *failure = words.rc != DKV_OK ? &words : &refusal;
        if (first == DKV_OK && failure->rc != DKV_OK) {
            *err = *failure;
            first = failure->rc;
        }
        items += end;
        n -= end;
    }
    dkv_wipe_registers(); /* a provider may have copied a DEK last of all */
    return first;
}

/* ---- Descriptions ---- */

static bool text_ends(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static uint32_t bson_length(const uint8_t *document)
{
    return (uint32_t)document[0] | (uint32_t)document[1] << 8 | (uint32_t)document[2] << 16 |
           (uint32_t)document[3] << 24;
}

static bool findings_are_sound(const struct dkv_cmk_info *info)
{
    if (info->n_findings > DKV_FINDINGS_MAX) {
        return false;
    }
    for (size_t i = 0; i < info->n_findings; i++) {
        if (info->findings[i].check == NULL || !text_ends(info->findings[i].detail, sizeof(info->findings[i].detail))) {
            return false;
        }
    }
    return true;
}

bool dkv_cmk_info_is_sound(const struct dkv_cmk_info *info)
{
    return info->master_key_len >= 5 && info->master_key_len <= DKV_MASTER_KEY_MAX &&
           bson_length(info->master_key) == info->master_key_len && info->state <= DKV_CMK_UNUSABLE &&
           text_ends(info->key_id, sizeof(info->key_id)) && text_ends(info->label, sizeof(info->label)) &&
           text_ends(info->profile, sizeof(info->profile)) && findings_are_sound(info);
}
