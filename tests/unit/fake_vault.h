/* SPDX-License-Identifier: Apache-2.0 */
/* A vault on a real SQLite store with a provider whose every answer the test chooses. */
#ifndef TESTS_UNIT_FAKE_VAULT_H
#define TESTS_UNIT_FAKE_VAULT_H

#include "base/secret.h"
#include "vault/vault.h"

/* The provider type "fake": a wrap is 7e | _id (16) | DEK xor 5a. Its masterKey is {provider, keyId}; the CMKs that
 * there are have the keyIds of the entry's cmk and cmks. */
struct fake_provider {
    /* What to answer. */
    enum dkv_rc resolve_rc, describe_rc, wrap_rc, unwrap_rc;
    enum dkv_cmk_state state;
    uint32_t capabilities;
    bool flips_a_bit;           /* unwrap gives another key */
    bool forgets_binding;       /* unwrap refuses what wrap made */
    size_t material_len;        /* wrap says that it wrote so many bytes; 0: the truth */
    size_t dek_len;             /* unwrap says that it wrote so many bytes; 0: the truth */
    const char *claimed_provider; /* in masterKey; NULL: the truth */
    bool masterkey_is_empty;
    void (*at_unwrap)(void);    /* called at each unwrap */
    /* What was asked. */
    _Atomic unsigned opens, closes, wraps, unwraps, check_wraps, cmks_out; /* threads share the provider */
    _Atomic bool saw_plain_outside_secret_memory;
};
extern struct fake_provider fake;

/* fake_file: a provider file with the vaults "default" and "other", the providers fake:a (cmk one; cmks two) and
 * fake:b (cmk three), the audit in audit/log of the test's folder. Fresh, and *fake with it; static. */
struct dkv_provider_file *fake_file(void);
struct dkv_vault_settings *fake_settings(void);

/* fake_vault: a new, empty vault of fake_file(). */
struct dkv_vault *fake_vault(void);

/* fake_store_ops: the vault's store with a table of its own, whose entries a test may change. */
struct dkv_store_ops *fake_store_ops(struct dkv_vault *vault);

/* fake_break_audit: from now on no record can be written; fake_mend_audit: again. */
void fake_break_audit(void);
void fake_mend_audit(void);
/* fake_audit_has: how many lines of the audit hold this text. */
size_t fake_audit_has(const char *text);

/* fake_count_one: a dkv_key_visit_fn; arg is the size_t that counts. */
enum dkv_rc fake_count_one(void *arg, struct dkv_span document, struct dkv_error *err);
/* How many keys there are. */
size_t fake_count(struct dkv_vault *vault);

struct dkv_key_selector fake_by_id(const struct dkv_uuid *id);
struct dkv_key_selector fake_by_name(const char *name);
/* fake_create: a key under fake:a, by this name (NULL: none). */
struct dkv_uuid fake_create(struct dkv_vault *vault, const char *name);
/* fake_document: the stored bytes; dkv_buf_done. */
struct dkv_buf fake_document(struct dkv_vault *vault, const struct dkv_uuid *id);

#endif
