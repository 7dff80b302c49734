/* SPDX-License-Identifier: Apache-2.0 */
/* A pkcs11 provider on a real host for tests: settings by hand, the state folder and the PIN file in the test's folder.
 */
#ifndef TESTS_UNIT_PKCS11_FIXTURE_H
#define TESTS_UNIT_PKCS11_FIXTURE_H

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/state.h"
#include "providers/host.h"
#include "providers/pkcs11/internal.h"
#include "tests/lib/softhsm.h"
#include "tests/lib/test.h"

#define TOKEN "pkcs11:token=prod"

static const uint8_t document_id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

struct fixture {
    struct dkv_value values[4];
    const char *cmks[4];
    struct dkv_provider_settings settings;
    struct dkv_host_base base;
    struct dkv_host_context context;
    struct dkv_host host;
    struct dkv_provider *self;
    char pin_source[1024], state_dir[1024];
};

static const struct dkv_call a_call = {.purpose = DKV_PURPOSE_USE};

static inline struct dkv_value text_value(const char *text)
{
    return (struct dkv_value){.is_set = text != NULL, .line = 7, .text = text};
}

/* A PIN file of its own for each fixture, and a state folder. */
static inline void fixture_init(struct fixture *fixture, const char *module, const char *token)
{
    static unsigned number;
    char name[32];
    *fixture = (struct fixture){0};
    snprintf(name, sizeof(name), "pin-%u", number);
    snprintf(fixture->pin_source, sizeof(fixture->pin_source), "file:%s",
             dkv_test_write(name, DKV_SOFTHSM_PIN "\n", strlen(DKV_SOFTHSM_PIN) + 1, 0600));
    snprintf(name, sizeof(name), "state-%u", number++);
    snprintf(fixture->state_dir, sizeof(fixture->state_dir), "%s", dkv_test_path(name));
    fixture->values[DKV_P11_OPTION_MODULE] = text_value(module);
    fixture->values[DKV_P11_OPTION_TOKEN] = text_value(token);
    fixture->values[DKV_P11_OPTION_PIN_SOURCE] = text_value(fixture->pin_source);
    fixture->settings = (struct dkv_provider_settings){.id = "pkcs11:test",
                                                       .file = "test.conf",
                                                       .line = 5,
                                                       .cmks = fixture->cmks,
                                                       .timeout_ms = 20000,
                                                       .parallel = 4,
                                                       .values = fixture->values};
    fixture->context = (struct dkv_host_context){.base = &fixture->base, .table = "pkcs11"};
}

static inline enum dkv_rc fixture_try_open(struct fixture *fixture, struct dkv_error *err)
{
    DKV_TRY(dkv_state_open(fixture->state_dir, &fixture->base.state, err));
    dkv_host_init(&fixture->host, &fixture->context);
    fixture->settings.n_cmks = 0;
    while (fixture->cmks[fixture->settings.n_cmks] != NULL) {
        fixture->settings.n_cmks++;
    }
    return dkv_pkcs11_ops.open(&fixture->host, &fixture->settings, &fixture->self, err);
}

static inline void fixture_close(struct fixture *fixture)
{
    dkv_pkcs11_ops.close(fixture->self);
    dkv_state_close(fixture->base.state);
    fixture->self = NULL;
    fixture->base.state = NULL;
}

static inline void fixture_open(struct fixture *fixture)
{
    struct dkv_error err = {0};
    ASSERT_OK(fixture_try_open(fixture, &err));
}

static inline void fixture_write_pin(const struct fixture *fixture, const char *pin)
{
    FILE *file = fopen(fixture->pin_source + 5, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_FATAL(fputs(pin, file) >= 0);
    CU_ASSERT_EQUAL_FATAL(fclose(file), 0);
}

/* ---- Calls counted and changed ---- */

struct counts {
    _Atomic unsigned login, sign_init, encrypt_init, decrypt_init, generate; /* counted in several threads */
};
static struct counts counts;
static CK_FUNCTION_LIST *real;
static CK_FUNCTION_LIST interposed;
static CK_FLAGS hidden_flags, added_flags, flags_after_login;
static CK_RV login_answer;
static const CK_BYTE *login_pin; /* only to tell whether there was one */

static CK_RV counting_login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG len)
{
    counts.login++;
    login_pin = pin;
    return login_answer != CKR_OK ? login_answer : real->C_Login(session, user, pin, len);
}

static CK_RV counting_sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    counts.sign_init++;
    return real->C_SignInit(session, mechanism, key);
}

static CK_RV counting_encrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    counts.encrypt_init++;
    return real->C_EncryptInit(session, mechanism, key);
}

static CK_RV counting_decrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    counts.decrypt_init++;
    return real->C_DecryptInit(session, mechanism, key);
}

static CK_RV changing_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    const CK_RV rv = real->C_GetTokenInfo(slot, info);
    info->flags = (info->flags & ~hidden_flags) | added_flags | (counts.login > 0 ? flags_after_login : 0);
    return rv;
}

static CK_FUNCTION_LIST *interpose(CK_FUNCTION_LIST *functions)
{
    real = functions;
    interposed = *functions;
    interposed.C_Login = counting_login;
    interposed.C_SignInit = counting_sign_init;
    interposed.C_EncryptInit = counting_encrypt_init;
    interposed.C_DecryptInit = counting_decrypt_init;
    interposed.C_GetTokenInfo = changing_token_info;
    return &interposed;
}

static inline void interposing_start(void)
{
    counts = (struct counts){0};
    hidden_flags = added_flags = flags_after_login = 0;
    login_answer = CKR_OK;
    dkv_pkcs11_set_functions_wrapper(interpose);
}

/* ---- Calls ---- */

static inline bool start_softhsm(void)
{
    if (!dkv_softhsm_start()) {
        dkv_test_skip("SoftHSM isn't installed");
        return false;
    }
    dkv_softhsm_add_token("prod");
    interposing_start();
    return true;
}

static inline void open_softhsm(struct fixture *fixture, const char *cmk)
{
    fixture_init(fixture, dkv_softhsm_module(), TOKEN);
    fixture->settings.cmk = cmk;
    fixture_open(fixture);
}

static inline enum dkv_rc try_create(struct fixture *fixture, const char *label, const char *profile,
                                     struct dkv_cmk_info *ret, struct dkv_error *err)
{
    const struct dkv_cmk_request request = {.label = label, .profile = profile};
    return dkv_pkcs11_ops.create_cmk(fixture->self, &a_call, &request, ret, err);
}

/* One of the last four; too large for the stack. */
static inline struct dkv_cmk_info *new_info(void)
{
    static struct dkv_cmk_info infos[4];
    static unsigned next;
    struct dkv_cmk_info *info = &infos[next++ % DKV_COUNT(infos)];
    *info = (struct dkv_cmk_info){0};
    return info;
}

static inline const struct dkv_cmk_info *create(struct fixture *fixture, const char *label, const char *profile)
{
    struct dkv_error err = {0};
    struct dkv_cmk_info *info = new_info();
    ASSERT_OK(try_create(fixture, label, profile, info, &err));
    return info;
}

static inline struct dkv_cmk *resolve(struct fixture *fixture, const char *reference)
{
    struct dkv_error err = {0};
    struct dkv_cmk *cmk = NULL;
    ASSERT_OK(dkv_pkcs11_ops.resolve_reference(fixture->self, &a_call, reference, &cmk, &err));
    return cmk;
}

struct material {
    uint8_t bytes[256];
    size_t len;
};

static inline void fill_dek(struct dkv_secret *dek)
{
    struct dkv_error err = {0};
    ASSERT_OK(dkv_secret_init(dek, DKV_DEK_BYTES, &err));
    for (size_t i = 0; i < dek->len; i++) {
        dek->data[i] = (uint8_t)(i * 3 + 1);
    }
}

static inline enum dkv_rc try_wrap(struct fixture *fixture, const struct dkv_cmk *cmk, const struct dkv_secret *dek,
                                   struct material *ret, struct dkv_error *err)
{
    struct dkv_wrap_item item = {.cmk = cmk,
                                 .context = dkv_span(document_id, 16),
                                 .input = dkv_secret_view(dek),
                                 .output = ret->bytes,
                                 .output_capacity = sizeof(ret->bytes)};
    const enum dkv_rc rc = dkv_pkcs11_ops.wrap(fixture->self, &a_call, &item, 1, err);
    CU_ASSERT_EQUAL(rc, item.status);
    ret->len = item.output_len;
    return rc;
}

static inline enum dkv_rc try_unwrap(struct fixture *fixture, const struct dkv_call *call, const struct dkv_cmk *cmk,
                                     struct dkv_span context, struct dkv_span material, struct dkv_secret *ret,
                                     struct dkv_error *err)
{
    struct dkv_wrap_item item = {
        .cmk = cmk, .context = context, .input = material, .output = ret->data, .output_capacity = ret->len};
    const enum dkv_rc rc = dkv_pkcs11_ops.unwrap(fixture->self, call, &item, 1, err);
    CU_ASSERT_EQUAL(rc, item.status);
    CU_ASSERT_EQUAL(item.output_len, rc == DKV_OK ? DKV_DEK_BYTES : 0);
    return rc;
}

static inline void round_trip(struct fixture *fixture, const char *reference, struct material *material)
{
    struct dkv_error err = {0};
    struct dkv_secret dek = {0}, again = {0};
    struct dkv_cmk *cmk = resolve(fixture, reference);
    fill_dek(&dek);
    ASSERT_OK(dkv_secret_init(&again, DKV_DEK_BYTES, &err));
    ASSERT_OK(try_wrap(fixture, cmk, &dek, material, &err));
    ASSERT_OK(try_unwrap(fixture, &a_call, cmk, dkv_span(document_id, 16), dkv_span(material->bytes, material->len),
                         &again, &err));
    CU_ASSERT_FATAL(dkv_equal_ct(dek.data, again.data, DKV_DEK_BYTES));
    dkv_secret_done(&dek);
    dkv_secret_done(&again);
    dkv_pkcs11_ops.cmk_free(cmk);
}

#endif
