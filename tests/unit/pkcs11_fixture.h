/* SPDX-License-Identifier: Apache-2.0 */
/* A pkcs11 provider on a real host for tests: settings by hand, the state folder and the PIN file in the test's folder. */
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

struct fixture {
    struct dkv_value values[4];
    const char *cmks[4];
    struct dkv_provider_settings settings;
    struct dkv_host_base base;
    struct dkv_host_context context;
    struct dkv_host host;
    struct dkv_provider *self;
    char pin_source[4200], state_dir[4200];
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
    fixture->settings = (struct dkv_provider_settings){.id = "pkcs11:test", .file = "test.conf", .line = 5, .cmks = fixture->cmks,
                                                       .timeout_ms = 20000, .parallel = 4, .values = fixture->values};
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
    unsigned login, sign_init, encrypt_init, decrypt_init, generate;
};
static struct counts counts;
static CK_FUNCTION_LIST *real;
static CK_FUNCTION_LIST interposed;
static CK_FLAGS hidden_flags, added_flags;
static CK_RV login_answer;

static CK_RV counting_login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG len)
{
    counts.login++;
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
    info->flags = (info->flags & ~hidden_flags) | added_flags;
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
    hidden_flags = added_flags = 0;
    login_answer = CKR_OK;
    dkv_pkcs11_set_functions_wrapper(interpose);
}

#endif
