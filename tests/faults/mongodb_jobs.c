/* SPDX-License-Identifier: Apache-2.0 */
/* The fault matrix's operations, each as short as can be: what it does to the lab's known state, and what it was
 * answered, as text. No state, no lock. */
#include "tests/faults/mongodb_jobs.h"

#include "tests/faults/mongodb_lab.h"

/* ---- Reading ---- */

static enum dkv_rc note_document(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    char text[37];
    dkv_uuid_format(id, text);
    return dkv_buf_printf(arg, err, "%s %zu\n", text, document.len);
}

static enum dkv_rc get_many(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    const struct dkv_uuid ids[] = {dkv_lab_id(0x11, 0), dkv_lab_id(0x22, 0), dkv_lab_id(0x33, 0), dkv_lab_id(0x44, 0)};
    return tools->store->ops->get_many(tools->store, ids, DKV_COUNT(ids), note_document, answer, err);
}

static enum dkv_rc get_by_alt_name(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    return tools->store->ops->get_by_alt_name(tools->store, "uno", answer, err);
}

static enum dkv_rc list(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    static const struct dkv_key_filter all = DKV_KEY_FILTER_ALL;
    return tools->store->ops->list(tools->store, &all, NULL, 0, note_document, answer, err);
}

static enum dkv_rc note_count(void *arg, const struct dkv_key_count *count, struct dkv_error *err)
{
    return dkv_buf_printf(arg, err, "%s %s %d %llu\n", count->provider, count->cmk, count->status,
                          (unsigned long long)count->count);
}

static enum dkv_rc count_by(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    return tools->store->ops->count_by(tools->store, note_count, answer, err);
}

static enum dkv_rc check_index(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    enum dkv_index_state state = DKV_INDEX_UNKNOWN;
    DKV_TRY(tools->store->ops->check_index(tools->store, &state, err));
    return dkv_buf_printf(answer, err, "%d", (int)state);
}

static enum dkv_rc state_get(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    return tools->store->ops->state_get(tools->store, "s1", answer, err);
}

static enum dkv_rc note_state(void *arg, const char *key, struct dkv_span value, struct dkv_error *err)
{
    return dkv_buf_printf(arg, err, "%s %zu\n", key, value.len);
}

static enum dkv_rc state_list(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    return tools->store->ops->state_list(tools->store, note_state, answer, err);
}

/* ---- Inserting ---- */

static enum dkv_rc insert_key(struct dkv_job_tools *tools, const char *name, const char *other_name,
                              struct dkv_error *err)
{
    const struct dkv_uuid id = dkv_lab_id(0x66, 0);
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf document = {0};
    dkv_lab_key(&id, name, other_name, &document);
    return tools->store->ops->insert(tools->store, dkv_span_buf(&document), NULL, err);
}

static enum dkv_rc insert_without_names(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    (void)answer;
    return insert_key(tools, NULL, NULL, err);
}

static enum dkv_rc insert_with_names(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    (void)answer;
    return insert_key(tools, "six", "sei", err);
}

/* Three that are new, one whose _id is taken, one whose name is. */
static enum dkv_rc insert_many(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    const struct dkv_uuid ids[] = {dkv_lab_id(0x66, 1), dkv_lab_id(0x33, 0), dkv_lab_id(0x66, 2), dkv_lab_id(0x66, 3),
                                   dkv_lab_id(0x66, 4)};
    static const char *const names[] = {"six", "drei", "two", NULL, "sei"};
    struct dkv_buf documents[DKV_COUNT(ids)] = {{0}};
    struct dkv_span spans[DKV_COUNT(ids)];
    enum dkv_clash clashes[DKV_COUNT(ids)];
    for (size_t i = 0; i < DKV_COUNT(ids); i++) {
        dkv_lab_key(&ids[i], names[i], NULL, &documents[i]);
        spans[i] = dkv_span_buf(&documents[i]);
    }
    enum dkv_rc rc = tools->store->ops->insert_many(tools->store, spans, DKV_COUNT(ids), clashes, err);
    for (size_t i = 0; i < DKV_COUNT(ids); i++) {
        rc = rc == DKV_OK ? dkv_buf_printf(answer, err, "%d ", (int)clashes[i]) : rc;
        dkv_buf_done(&documents[i]);
    }
    return rc;
}

/* ---- Changing ---- */

static enum dkv_rc note_changed(enum dkv_rc rc, bool changed, struct dkv_buf *answer, struct dkv_error *err)
{
    DKV_TRY(rc);
    return dkv_buf_append_str(answer, changed ? "changed" : "as it was", err);
}

static enum dkv_rc replace_material(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    (void)answer;
    const struct dkv_uuid id = dkv_lab_id(0x11, 0);
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf old_key = {0}, new_key = {0};
    dkv_lab_master_key("old", &old_key);
    dkv_lab_master_key("new", &new_key);
    return tools->store->ops->replace_material(tools->store, &id, dkv_span_buf(&old_key),
                                               dkv_span_str(DKV_LAB_MATERIAL), dkv_span_buf(&new_key),
                                               dkv_span_str("other bytes"), err);
}

static enum dkv_rc set_status(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    const struct dkv_uuid id = dkv_lab_id(0x11, 0);
    bool changed = false;
    const enum dkv_rc rc = tools->store->ops->set_status(tools->store, &id, DKV_STATUS_DISABLED, &changed, err);
    return note_changed(rc, changed, answer, err);
}

static enum dkv_rc add_alt_name(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    const struct dkv_uuid id = dkv_lab_id(0x11, 0);
    bool changed = false;
    const enum dkv_rc rc = tools->store->ops->add_alt_name(tools->store, &id, "eins", &changed, err);
    return note_changed(rc, changed, answer, err);
}

static enum dkv_rc remove_name_of(struct dkv_job_tools *tools, uint8_t byte, const char *name, struct dkv_buf *answer,
                                  struct dkv_error *err)
{
    const struct dkv_uuid id = dkv_lab_id(byte, 0);
    bool changed = false;
    const enum dkv_rc rc = tools->store->ops->remove_alt_name(tools->store, &id, name, &changed, err);
    return note_changed(rc, changed, answer, err);
}

static enum dkv_rc remove_alt_name(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    return remove_name_of(tools, 0x11, "one", answer, err);
}

static enum dkv_rc remove_last_name(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    return remove_name_of(tools, 0x22, "two", answer, err);
}

static enum dkv_rc remove_any(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    (void)answer;
    const struct dkv_uuid id = dkv_lab_id(0x11, 0);
    return tools->store->ops->remove(tools->store, &id, (struct dkv_span){0}, err);
}

static enum dkv_rc remove_expected(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    (void)answer;
    const struct dkv_uuid id = dkv_lab_id(0x11, 0);
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf document = {0};
    dkv_lab_key(&id, "one", "uno", &document);
    return tools->store->ops->remove(tools->store, &id, dkv_span_buf(&document), err);
}

static enum dkv_rc ensure_index(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    (void)answer;
    return tools->store->ops->ensure_index(tools->store, err);
}

/* ---- State ---- */

static enum dkv_rc put(struct dkv_job_tools *tools, const char *key, const char *expected, const char *value,
                       struct dkv_error *err)
{
    return tools->store->ops->state_put(tools->store, key, dkv_span_str(expected), dkv_span_str(value), err);
}

static enum dkv_rc state_create(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    (void)answer;
    return put(tools, "s3", "", "new", err);
}

static enum dkv_rc state_change(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    (void)answer;
    return put(tools, "s1", DKV_LAB_STATE_VALUE, "other", err);
}

static enum dkv_rc state_delete(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    (void)answer;
    return put(tools, "s1", DKV_LAB_STATE_VALUE, "", err);
}

/* ---- The public face ---- */

static enum dkv_rc key_create(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    (void)answer;
    return dkv_key_create(tools->vault, "local", NULL, &tools->created, err);
}

static enum dkv_rc key_create_named(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    (void)answer;
    static const char *const names[] = {"seven", "sette"};
    const struct dkv_key_options options = {.alt_names = names, .n_alt_names = DKV_COUNT(names)};
    return dkv_key_create(tools->vault, "local", &options, &tools->created, err);
}

static enum dkv_rc key_import(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    (void)answer;
    const struct dkv_uuid id = dkv_lab_id(0x66, 0);
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf document = {0};
    dkv_lab_key(&id, "six", NULL, &document);
    return dkv_key_import(tools->vault, dkv_span_buf(&document), true /* unverified */, NULL, err);
}

static enum dkv_rc key_add_name(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    static const struct dkv_key_selector key = {.alt_name = "two"};
    bool changed = false;
    const enum dkv_rc rc = dkv_key_add_name(tools->vault, &key, "zwei", NULL, &changed, err);
    return note_changed(rc, changed, answer, err);
}

static enum dkv_rc key_delete(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    (void)answer;
    static const struct dkv_key_selector key = {.alt_name = "two"};
    return dkv_key_delete(tools->vault, &key, NULL, err);
}

static enum dkv_rc note_counts(const struct dkv_copy_counts *counts, struct dkv_buf *answer, struct dkv_error *err)
{
    return dkv_buf_printf(answer, err, "%llu copied, %llu present, %llu refused\n", (unsigned long long)counts->copied,
                          (unsigned long long)counts->present, (unsigned long long)counts->refused);
}

/* A vault in SQLite with four keys, one of which the vault in MongoDB has too. */
static enum dkv_rc copy_here(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    struct dkv_copy_counts counts = {0};
    DKV_TRY(dkv_vault_copy(tools->source, tools->vault, NULL, &counts, err));
    return note_counts(&counts, answer, err);
}

static enum dkv_rc note_listed(void *arg, struct dkv_span document, struct dkv_error *err)
{
    return dkv_buf_printf(arg, err, "%zu ", document.len);
}

/* Into an empty vault in SQLite; the answer is what is there afterwards. */
static enum dkv_rc copy_away(struct dkv_job_tools *tools, struct dkv_buf *answer, struct dkv_error *err)
{
    struct dkv_copy_counts counts = {0};
    DKV_TRY(dkv_vault_copy(tools->vault, tools->target, NULL, &counts, err));
    DKV_TRY(dkv_key_list(tools->target, NULL, NULL, 0, note_listed, answer, err));
    return note_counts(&counts, answer, err);
}

/* ---- The table ---- */

const struct dkv_job dkv_jobs[] = {
    {.name = "get_many", .run = get_many, .reads = true},
    {.name = "get_by_alt_name", .run = get_by_alt_name, .reads = true},
    {.name = "list, 2503 keys", .run = list, .reads = true, .n_more = 2500},
    {.name = "count_by", .run = count_by, .reads = true},
    {.name = "check_index", .run = check_index, .reads = true},
    {.name = "state_get", .run = state_get, .reads = true},
    {.name = "state_list", .run = state_list, .reads = true},
    {.name = "insert, no names", .run = insert_without_names, .done_already = DKV_E_CONFLICT},
    {.name = "insert, two names", .run = insert_with_names, .done_already = DKV_E_CONFLICT},
    {.name = "insert_many", .run = insert_many, .in_parts = true},
    {.name = "replace_material", .run = replace_material, .dates = true, .done_already = DKV_E_CONFLICT},
    {.name = "set_status", .run = set_status},
    {.name = "add_alt_name", .run = add_alt_name},
    {.name = "remove_alt_name", .run = remove_alt_name},
    {.name = "remove_alt_name, last", .run = remove_last_name},
    {.name = "remove, any", .run = remove_any, .done_already = DKV_E_NOT_FOUND},
    {.name = "remove, expected", .run = remove_expected, .done_already = DKV_E_NOT_FOUND},
    {.name = "ensure_index, missing", .run = ensure_index, .in_parts = true, .without_index = true},
    {.name = "state_put, create", .run = state_create, .done_already = DKV_E_CONFLICT},
    {.name = "state_put, change", .run = state_change, .done_already = DKV_E_CONFLICT},
    {.name = "state_put, delete", .run = state_delete, .done_already = DKV_E_CONFLICT},
    {.name = "dkv_key_create", .run = key_create, .uses_vault = true, .creates = true, .once = true},
    {.name = "dkv_key_create, names", .run = key_create_named, .uses_vault = true, .creates = true,
     .done_already = DKV_E_CONFLICT},
    {.name = "dkv_key_create, no index", .run = key_create_named, .uses_vault = true, .creates = true, .in_parts = true,
     .without_index = true, .done_already = DKV_E_CONFLICT},
    {.name = "dkv_key_import", .run = key_import, .uses_vault = true},
    {.name = "dkv_key_add_name", .run = key_add_name, .uses_vault = true},
    {.name = "dkv_key_delete", .run = key_delete, .uses_vault = true, .done_already = DKV_E_NOT_FOUND},
    {.name = "dkv_vault_copy, to it", .run = copy_here, .uses_vault = true, .in_parts = true},
    {.name = "dkv_vault_copy, from it", .run = copy_away, .uses_vault = true, .reads = true},
};
const size_t dkv_n_jobs = DKV_COUNT(dkv_jobs);
