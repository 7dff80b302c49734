/* SPDX-License-Identifier: Apache-2.0 */
/* The fake provider and the file that names it, made by hand: tests of the vault depend on no parser. */
#include "tests/unit/fake_vault.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bson/bson.h>

#include "base/mem.h"
#include "tests/lib/test.h"

struct fake_provider fake;

struct dkv_provider {
    const struct dkv_provider_settings *settings;
};

struct dkv_cmk {
    const char *key_id; /* of the settings */
};

#define MATERIAL_LEN (1 + 16 + DKV_DEK_BYTES)

/* ---- The provider's table ---- */

static enum dkv_rc fake_open(const struct dkv_host *host, const struct dkv_provider_settings *settings,
                             struct dkv_provider **ret, struct dkv_error *err)
{
    (void)host;
    struct dkv_provider *self = dkv_calloc(1, sizeof(*self));
    if (self == NULL) {
        return dkv_fail_memory(err);
    }
    self->settings = settings;
    fake.opens++;
    *ret = self;
    return DKV_OK;
}

static void fake_close(struct dkv_provider *self)
{
    fake.closes += self != NULL;
    dkv_free(self);
}

static enum dkv_rc new_cmk(const char *key_id, struct dkv_cmk **ret, struct dkv_error *err)
{
    struct dkv_cmk *cmk = dkv_calloc(1, sizeof(*cmk));
    if (cmk == NULL) {
        return dkv_fail_memory(err);
    }
    cmk->key_id = key_id;
    fake.cmks_out++;
    *ret = cmk;
    return DKV_OK;
}

static enum dkv_rc find_cmk(struct dkv_provider *self, const char *key_id, enum dkv_rc otherwise, struct dkv_cmk **ret,
                            struct dkv_error *err)
{
    DKV_CHECK(fake.resolve_rc == DKV_OK, err, fake.resolve_rc, "fake resolve");
    if (strcmp(self->settings->cmk, key_id) == 0) {
        return new_cmk(self->settings->cmk, ret, err);
    }
    for (size_t i = 0; i < self->settings->n_cmks; i++) {
        if (strcmp(self->settings->cmks[i], key_id) == 0) {
            return new_cmk(self->settings->cmks[i], ret, err);
        }
    }
    return dkv_fail(err, otherwise, "no CMK \"%s\" in %s", key_id, self->settings->file);
}

static enum dkv_rc fake_resolve_document(struct dkv_provider *self, const struct dkv_call *call,
                                         struct dkv_span master_key, struct dkv_cmk **ret, struct dkv_error *err)
{
    (void)call;
    bson_t document;
    bson_iter_t iter;
    const bool ok = bson_init_static(&document, master_key.data, master_key.len) &&
                    bson_iter_init_find(&iter, &document, "keyId") &&
                    BSON_ITER_HOLDS_UTF8(&iter);
    DKV_CHECK(ok, err, DKV_E_REJECTED_CIPHERTEXT, "a masterKey without keyId");
    return find_cmk(self, bson_iter_utf8(&iter, NULL), DKV_E_POLICY, ret, err);
}

static enum dkv_rc fake_resolve_reference(struct dkv_provider *self, const struct dkv_call *call, const char *reference,
                                          struct dkv_cmk **ret, struct dkv_error *err)
{
    (void)call;
    return find_cmk(self, reference != NULL ? reference : self->settings->cmk, DKV_E_NOT_FOUND, ret, err);
}

static void fake_cmk_free(struct dkv_cmk *cmk)
{
    fake.cmks_out -= cmk != NULL;
    dkv_free(cmk);
}

static enum dkv_rc fake_describe(struct dkv_provider *self, const struct dkv_call *call, const struct dkv_cmk *cmk,
                                 struct dkv_cmk_info *ret, struct dkv_error *err)
{
    (void)call;
    DKV_CHECK(fake.describe_rc == DKV_OK, err, fake.describe_rc, "fake describe");
    *ret = (struct dkv_cmk_info){.state = fake.state, .capabilities = fake.capabilities};
    snprintf(ret->key_id, sizeof(ret->key_id), "%s", cmk->key_id);
    snprintf(ret->label, sizeof(ret->label), "label of %s", cmk->key_id);
    ret->findings[0] = (struct dkv_finding){.check = "color", .ok = false, .refuses = true, .detail = "it is green"};
    ret->n_findings = 1;
    bson_t *master_key = BCON_NEW("provider",
                                  fake.claimed_provider != NULL ? fake.claimed_provider : self->settings->id, "keyId",
                                  cmk->key_id);
    memcpy(ret->master_key, fake.masterkey_is_empty ? (const uint8_t *)"\5\0\0\0" : bson_get_data(master_key),
           fake.masterkey_is_empty ? 5 : master_key->len);
    ret->master_key_len = fake.masterkey_is_empty ? 5 : master_key->len;
    bson_destroy(master_key);
    return DKV_OK;
}

static enum dkv_rc wrap_item(const struct dkv_call *call, struct dkv_wrap_item *item, struct dkv_error *err)
{
    DKV_CHECK(fake.wrap_rc == DKV_OK, err, fake.wrap_rc, "fake wrap");
    DKV_CHECK(item->output_capacity >= MATERIAL_LEN, err, DKV_E_INTERNAL, "no room");
    fake.saw_plain_outside_secret_memory |= !dkv_secret_owns(item->input.data, item->input.len);
    fake.check_wraps += call->purpose == DKV_PURPOSE_CHECK && item->context.len == 0;
    item->output[0] = 0x7e;
    memset(item->output + 1, 0, 16);
    if (item->context.len == 16) {
        memcpy(item->output + 1, item->context.data, 16);
    }
    for (size_t i = 0; i < item->input.len; i++) {
        item->output[17 + i] = item->input.data[i] ^ 0x5a;
    }
    item->output_len = fake.material_len != 0 ? fake.material_len : MATERIAL_LEN;
    return DKV_OK;
}

static enum dkv_rc unwrap_item(struct dkv_wrap_item *item, struct dkv_error *err)
{
    DKV_CHECK(fake.unwrap_rc == DKV_OK, err, fake.unwrap_rc, "fake unwrap");
    DKV_CHECK(!fake.forgets_binding && item->input.len == MATERIAL_LEN && item->input.data[0] == 0x7e &&
              item->context.len == 16 &&
                  dkv_equal_ct(item->input.data + 1, item->context.data, 16),
              err, DKV_E_REJECTED_CIPHERTEXT, "the keyMaterial is of another document");
    fake.saw_plain_outside_secret_memory |= !dkv_secret_owns(item->output, item->output_capacity);
    for (size_t i = 0; i < DKV_DEK_BYTES; i++) {
        item->output[i] = item->input.data[17 + i] ^ 0x5a;
    }
    item->output[95] ^= fake.flips_a_bit ? 1 : 0;
    item->output_len = fake.dek_len != 0 ? fake.dek_len : DKV_DEK_BYTES;
    return DKV_OK;
}

static enum dkv_rc fake_wrap(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items,
                             size_t n, struct dkv_error *err)
{
    (void)self;
    for (size_t i = 0; i < n; i++) {
        fake.wraps++;
        items[i].status = wrap_item(call, &items[i], err);
        DKV_TRY(items[i].status);
    }
    return DKV_OK;
}

static enum dkv_rc fake_unwrap(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items,
                               size_t n, struct dkv_error *err)
{
    (void)self;
    (void)call;
    for (size_t i = 0; i < n; i++) {
        fake.unwraps++;
        if (fake.at_unwrap != NULL) {
            fake.at_unwrap();
        }
        items[i].status = unwrap_item(&items[i], err);
        DKV_TRY(items[i].status);
    }
    return DKV_OK;
}

static const struct dkv_provider_ops fake_ops = {
    .size = sizeof(struct dkv_provider_ops),
    .abi_version = DKV_PROVIDER_ABI_VERSION,
    .type = "fake",
    .summary = "does what the test says",
    .open = fake_open,
    .close = fake_close,
    .resolve_document = fake_resolve_document,
    .resolve_reference = fake_resolve_reference,
    .cmk_free = fake_cmk_free,
    .describe = fake_describe,
    .wrap = fake_wrap,
    .unwrap = fake_unwrap,
};

/* ---- The provider file ---- */

static char file_path[] = "/test/dekvault.conf", id_a[] = "fake:a", id_b[] = "fake:b";
static const char *const cmks_a[] = {"two", NULL}, *const cmks_b[] = {NULL};
static char store_default[4200], store_other[4200], audit_to[4200], state_dir[4200];
static struct dkv_vault_settings vaults[2];
static struct dkv_provider_entry entry_a, entry_b, *entries[2];
static struct dkv_provider_file file;

static struct dkv_provider_entry make_entry(char *id, const char *cmk, const char *const *cmks, size_t n_cmks)
{
    return (struct dkv_provider_entry){
        .ops = &fake_ops,
        .id = id,
        .settings = {.id = id, .file = file_path, .cmk = cmk, .cmks = cmks, .n_cmks = n_cmks, .timeout_ms = 5000,
                     .parallel = 1},
    };
}

struct dkv_provider_file *fake_file(void)
{
    static unsigned serial;
    fake = (struct fake_provider){0};
    serial++;
    snprintf(store_default, sizeof(store_default), "sqlite:%s/default-%u.db", dkv_test_dir(), serial);
    snprintf(store_other, sizeof(store_other), "sqlite:%s/other-%u.db", dkv_test_dir(), serial);
    snprintf(state_dir, sizeof(state_dir), "%s/state", dkv_test_dir());
    snprintf(audit_to, sizeof(audit_to), "file:%s/audit/log", dkv_test_dir());
    (void)mkdir(dkv_test_path("audit"), 0700);
    (void)unlink(dkv_test_path("audit/log"));
    entry_a = make_entry(id_a, "one", cmks_a, 1);
    entry_b = make_entry(id_b, "three", cmks_b, 0);
    entries[0] = &entry_a;
    entries[1] = &entry_b;
    vaults[0] = (struct dkv_vault_settings){.name = "default", .line = 3, .store = store_default, .timeout_ms = 5000};
    vaults[1] = (struct dkv_vault_settings){.name = "other", .line = 9, .store = store_other, .timeout_ms = 5000};
    file = (struct dkv_provider_file){
        .path = file_path,
        .vaults = vaults,
        .n_vaults = 2,
        .entries = entries,
        .n_entries = 2,
        .audit_to = audit_to,
        .audit_required = true,
        .memory_allow_unlocked = true,
        .state_dir = state_dir,
    };
    return &file;
}

struct dkv_vault_settings *fake_settings(void)
{
    return &vaults[0];
}

struct dkv_vault *fake_vault(void)
{
    struct dkv_error err = {0};
    struct dkv_vault *vault = NULL;
    ASSERT_OK(dkv_vault_init(fake_file(), NULL, NULL, &vault, &err));
    return vault;
}

struct dkv_store_ops *fake_store_ops(struct dkv_vault *vault)
{
    static struct dkv_store_ops ops;
    if (vault->store->ops != &ops) {
        ops = *vault->store->ops;
        vault->store->ops = &ops;
    }
    return &ops;
}

/* ---- The audit ---- */

void fake_break_audit(void)
{
    (void)rename(dkv_test_path("audit"), dkv_test_path("audit-away"));
}

void fake_mend_audit(void)
{
    (void)rename(dkv_test_path("audit-away"), dkv_test_path("audit"));
}

size_t fake_audit_has(const char *text)
{
    FILE *log = fopen(dkv_test_path("audit/log"), "re");
    char *line = NULL;
    size_t capacity = 0, n = 0;
    if (log == NULL) {
        return 0;
    }
    while (getline(&line, &capacity, log) > 0) {
        n += strstr(line, text) != NULL;
    }
    free(line);
    fclose(log);
    return n;
}

/* ---- Keys ---- */

enum dkv_rc fake_count_one(void *arg, struct dkv_span document, struct dkv_error *err)
{
    (void)document;
    (void)err;
    ++*(size_t *)arg;
    return DKV_OK;
}

size_t fake_count(struct dkv_vault *vault)
{
    struct dkv_error err = {0};
    size_t n = 0;
    ASSERT_OK(dkv_key_list(vault, NULL, NULL, 0, fake_count_one, &n, &err));
    return n;
}

struct dkv_key_selector fake_by_id(const struct dkv_uuid *id)
{
    return (struct dkv_key_selector){.id = *id};
}

struct dkv_key_selector fake_by_name(const char *name)
{
    return (struct dkv_key_selector){.alt_name = name};
}

struct dkv_uuid fake_create(struct dkv_vault *vault, const char *name)
{
    struct dkv_error err = {0};
    struct dkv_uuid id = {{0}};
    const struct dkv_key_options options = {.alt_names = &name, .n_alt_names = name != NULL ? 1 : 0};
    ASSERT_OK(dkv_key_create(vault, "fake:a", &options, &id, &err));
    return id;
}

struct dkv_buf fake_document(struct dkv_vault *vault, const struct dkv_uuid *id)
{
    struct dkv_error err = {0};
    struct dkv_buf document = {0};
    const struct dkv_key_selector selector = fake_by_id(id);
    ASSERT_OK(dkv_key_get(vault, &selector, &document, &err));
    return document;
}
