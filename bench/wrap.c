/* SPDX-License-Identifier: Apache-2.0 */
/* Suite `wrap`: each wrap profile of the pkcs11 provider beside the raw Cryptoki calls that it stands on, on a SoftHSM
 * token made for the run. Both sides use one session of one process, and the same key. */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>

#include "base/secret.h"
#include "vault/vault.h"

#define MODULE "/usr/lib/softhsm/libsofthsm2.so"
#define PROVIDER "pkcs11:bench"

/* One profile under measure. */
struct wrap_bench {
    struct dkv_instance *instance;
    struct dkv_cmk *cmk;
    struct dkv_secret dek, opened;
    uint8_t context[16];
    uint8_t material[DKV_KEY_MATERIAL_MAX];
    size_t material_len;
    CK_FUNCTION_LIST *raw;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    uint8_t sealed[112];
};

/* ---- Ours ---- */

static enum dkv_rc ours_wrap(void *arg, struct dkv_error *err)
{
    struct wrap_bench *bench = arg;
    struct dkv_call call = dkv_instance_call(bench->instance, DKV_PURPOSE_CREATE);
    struct dkv_wrap_item item = {.cmk = bench->cmk,
                                 .context = dkv_span(bench->context, sizeof(bench->context)),
                                 .input = dkv_secret_view(&bench->dek),
                                 .output = bench->material,
                                 .output_capacity = sizeof(bench->material),
                                 .err = err};
    DKV_TRY(dkv_instance_wrap(bench->instance, &call, &item, 1, err));
    bench->material_len = item.output_len;
    return DKV_OK;
}

static enum dkv_rc ours_unwrap(void *arg, struct dkv_error *err)
{
    struct wrap_bench *bench = arg;
    struct dkv_call call = dkv_instance_call(bench->instance, DKV_PURPOSE_USE);
    struct dkv_wrap_item item = {.cmk = bench->cmk,
                                 .context = dkv_span(bench->context, sizeof(bench->context)),
                                 .input = dkv_span(bench->material, bench->material_len),
                                 .output = bench->opened.data,
                                 .output_capacity = bench->opened.len,
                                 .err = err};
    return dkv_instance_unwrap(bench->instance, &call, &item, 1, err);
}

static enum dkv_rc ours_wrap_and_verify(void *arg, struct dkv_error *err)
{
    DKV_TRY(ours_wrap(arg, err));
    return ours_unwrap(arg, err);
}

/* ---- Raw Cryptoki ---- */

static enum dkv_rc raw_check(CK_RV rv, const char *function, struct dkv_error *err)
{
    DKV_CHECK(rv == CKR_OK, err, DKV_E_INTERNAL, "raw %s: 0x%lx", function, rv);
    return DKV_OK;
}

static enum dkv_rc raw_sign(void *arg, struct dkv_error *err)
{
    struct wrap_bench *bench = arg;
    static CK_BYTE input[120]; /* as long as the derivation's input */
    CK_BYTE output[32];
    CK_ULONG len = sizeof(output);
    CK_MECHANISM mechanism = {.mechanism = CKM_SHA256_HMAC};
    DKV_TRY(raw_check(bench->raw->C_SignInit(bench->session, &mechanism, bench->key), "C_SignInit", err));
    return raw_check(bench->raw->C_Sign(bench->session, input, sizeof(input), output, &len), "C_Sign", err);
}

static enum dkv_rc raw_sign_twice(void *arg, struct dkv_error *err)
{
    DKV_TRY(raw_sign(arg, err));
    return raw_sign(arg, err);
}

static CK_BYTE raw_iv[12], raw_aad[64];
static CK_GCM_PARAMS raw_gcm = {
    .pIv = raw_iv, .ulIvLen = 12, .ulIvBits = 96, .pAAD = raw_aad, .ulAADLen = sizeof(raw_aad), .ulTagBits = 128};

static enum dkv_rc raw_encrypt(void *arg, struct dkv_error *err)
{
    struct wrap_bench *bench = arg;
    CK_BYTE input[96] = {0};
    CK_ULONG len = sizeof(bench->sealed);
    CK_MECHANISM mechanism = {.mechanism = CKM_AES_GCM, .pParameter = &raw_gcm, .ulParameterLen = sizeof(raw_gcm)};
    DKV_TRY(raw_check(bench->raw->C_EncryptInit(bench->session, &mechanism, bench->key), "C_EncryptInit", err));
    const CK_RV rv = bench->raw->C_Encrypt(bench->session, input, sizeof(input), bench->sealed, &len);
    return raw_check(rv, "C_Encrypt", err);
}

static enum dkv_rc raw_decrypt(void *arg, struct dkv_error *err)
{
    struct wrap_bench *bench = arg;
    CK_BYTE output[160];
    CK_ULONG len = sizeof(output);
    CK_MECHANISM mechanism = {.mechanism = CKM_AES_GCM, .pParameter = &raw_gcm, .ulParameterLen = sizeof(raw_gcm)};
    DKV_TRY(raw_check(bench->raw->C_DecryptInit(bench->session, &mechanism, bench->key), "C_DecryptInit", err));
    const CK_RV rv = bench->raw->C_Decrypt(bench->session, bench->sealed, sizeof(bench->sealed), output, &len);
    return raw_check(rv, "C_Decrypt", err);
}

static enum dkv_rc raw_encrypt_and_decrypt(void *arg, struct dkv_error *err)
{
    DKV_TRY(raw_encrypt(arg, err));
    return raw_decrypt(arg, err);
}

/* ---- Set-up ---- */

static const struct {
    const char *profile, *label;
    struct dkv_bench_measure measures[3];
} profiles[] = {
    {"hmac-derive", "bench-hmac",
     {{"wrap hmac-derive", ours_wrap, "C_SignInit + C_Sign", raw_sign},
      {"unwrap hmac-derive", ours_unwrap, "C_SignInit + C_Sign", raw_sign},
      {"wrap + verify hmac-derive", ours_wrap_and_verify, "(C_SignInit + C_Sign) twice", raw_sign_twice}}},
    {"aes-gcm", "bench-aes",
     {{"wrap aes-gcm", ours_wrap, "C_EncryptInit + C_Encrypt", raw_encrypt},
      {"unwrap aes-gcm", ours_unwrap, "C_DecryptInit + C_Decrypt", raw_decrypt},
      {"wrap + verify aes-gcm", ours_wrap_and_verify, "C_EncryptInit ... C_Decrypt", raw_encrypt_and_decrypt}}},
};

static enum dkv_rc write_file(const char *name, const char *text, struct dkv_error *err)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dkv_bench_dir(), name);
    FILE *file = fopen(path, "w");
    DKV_CHECK(file != NULL, err, DKV_E_INTERNAL, "can't write %s", path);
    fputs(text, file);
    DKV_CHECK(fclose(file) == 0, err, DKV_E_INTERNAL, "can't write %s", path);
    return DKV_OK;
}

static enum dkv_rc make_token(struct dkv_error *err)
{
    char text[1024];
    const char *dir = dkv_bench_dir();
    snprintf(text, sizeof(text), "directories.tokendir = %s\nlog.level = ERROR\n", dir);
    DKV_TRY(write_file("softhsm2.conf", text, err));
    DKV_TRY(write_file("pin", "1234", err));
    snprintf(text, sizeof(text),
             "state-dir: %s/state\nproviders:\n  " PROVIDER ":\n    module: " MODULE "\n    token: pkcs11:token=bench\n"
             "    pin-source: file:%s/pin\n    cmks: [pkcs11:object=bench-hmac, pkcs11:object=bench-aes]\n",
             dir, dir);
    DKV_TRY(write_file("dekvault.conf", text, err));
    snprintf(text, sizeof(text), "%s/softhsm2.conf", dir);
    setenv("SOFTHSM2_CONF", text, 1);
    snprintf(text, sizeof(text),
             "softhsm2-util --init-token --free --label bench --pin 1234 --so-pin 1234 >/dev/null && chmod 600 %s/*",
             dir);
    DKV_CHECK(system(text) == 0, err, DKV_E_INTERNAL, "softhsm2-util made no token");
    return DKV_OK;
}

/* A session of our own beside the provider's; the login is the process's. */
static enum dkv_rc open_raw(struct wrap_bench *bench, CK_FUNCTION_LIST *raw, struct dkv_error *err)
{
    CK_SLOT_ID slots[8];
    CK_ULONG n = 8;
    bench->raw = raw;
    DKV_TRY(raw_check(raw->C_GetSlotList(CK_TRUE, slots, &n), "C_GetSlotList", err));
    const CK_RV rv = raw->C_OpenSession(slots[0], CKF_SERIAL_SESSION, NULL, NULL, &bench->session);
    return raw_check(rv, "C_OpenSession", err);
}

static enum dkv_rc find_raw(struct wrap_bench *bench, const char *label, struct dkv_error *err)
{
    CK_ULONG n = 0;
    char text[32];
    snprintf(text, sizeof(text), "%s", label);
    CK_ATTRIBUTE wanted = {.type = CKA_LABEL, .pValue = text, .ulValueLen = strlen(text)};
    DKV_TRY(raw_check(bench->raw->C_FindObjectsInit(bench->session, &wanted, 1), "C_FindObjectsInit", err));
    DKV_TRY(raw_check(bench->raw->C_FindObjects(bench->session, &bench->key, 1, &n), "C_FindObjects", err));
    DKV_TRY(raw_check(bench->raw->C_FindObjectsFinal(bench->session), "C_FindObjectsFinal", err));
    DKV_CHECK(n == 1, err, DKV_E_NOT_FOUND, "raw: no key %s", label);
    return DKV_OK;
}

static enum dkv_rc run_profile(struct wrap_bench *bench, size_t which, CK_FUNCTION_LIST *raw, bool json,
                               struct dkv_error *err)
{
    struct dkv_call call = dkv_instance_call(bench->instance, DKV_PURPOSE_CREATE);
    static struct dkv_cmk_info info;
    const struct dkv_cmk_request request = {.label = profiles[which].label, .profile = profiles[which].profile};
    DKV_TRY(dkv_instance_create_cmk(bench->instance, &call, &request, &info, err));
    call = dkv_instance_call(bench->instance, DKV_PURPOSE_CREATE);
    DKV_TRY(dkv_instance_resolve_reference(bench->instance, &call, profiles[which].label, &bench->cmk, err));
    DKV_TRY(open_raw(bench, raw, err));
    enum dkv_rc rc = find_raw(bench, profiles[which].label, err);
    for (size_t i = 0; rc == DKV_OK && i < DKV_COUNT(profiles[which].measures); i++) {
        rc = dkv_bench_run(&profiles[which].measures[i], bench, json, err);
    }
    raw->C_CloseSession(bench->session);
    dkv_instance_cmk_free(bench->instance, bench->cmk);
    return rc;
}

static enum dkv_rc run_profiles(struct dkv_providers *providers, CK_FUNCTION_LIST *raw, bool json,
                                struct dkv_error *err)
{
    static struct wrap_bench bench;
    DKV_TRY(dkv_providers_get(providers, PROVIDER, &bench.instance, err));
    DKV_TRY(dkv_secret_init(&bench.dek, DKV_DEK_BYTES, err));
    enum dkv_rc rc = dkv_secret_init(&bench.opened, DKV_DEK_BYTES, err);
    dkv_bench_header(json);
    for (size_t i = 0; rc == DKV_OK && i < DKV_COUNT(profiles); i++) {
        rc = run_profile(&bench, i, raw, json, err);
    }
    dkv_secret_done(&bench.dek);
    dkv_secret_done(&bench.opened);
    return rc;
}

static enum dkv_rc run_wrap(const struct dkv_bench_options *options, struct dkv_error *err)
{
    struct dkv_provider_file *file = NULL;
    struct dkv_providers *providers = NULL;
    char path[128];
    DKV_TRY(make_token(err));
    snprintf(path, sizeof(path), "%s/dekvault.conf", dkv_bench_dir());
    DKV_TRY(dkv_provider_file_open(path, &file, err));
    CK_FUNCTION_LIST *raw = p11_kit_module_load(MODULE, 0);
    const bool is_loaded = raw != NULL && p11_kit_module_initialize(raw) == CKR_OK;
    enum dkv_rc rc = is_loaded ? DKV_OK : dkv_fail(err, DKV_E_INTERNAL, "can't load " MODULE);
    if (rc == DKV_OK) {
        rc = dkv_providers_new(file, &providers, err);
    }
    if (rc == DKV_OK) {
        rc = run_profiles(providers, raw, options->json, err);
    }
    dkv_providers_free(providers);
    dkv_provider_file_close(file);
    if (raw != NULL) {
        p11_kit_module_finalize(raw);
        p11_kit_module_release(raw);
    }
    return rc;
}

const struct dkv_bench_suite dkv_bench_wrap = {
    .name = "wrap",
    .summary = "wrap profiles beside the raw Cryptoki calls that they stand on",
    .run = run_wrap,
};
