/* SPDX-License-Identifier: Apache-2.0 */
/* Each start gets a folder of its own below the test program's, so tests can't see each other's tokens. */
#include "tests/lib/softhsm.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <p11-kit/p11-kit.h>

#include "tests/lib/test.h"

#define NSS_LABEL "dekvault test"

static const char *first_of(const char *const *paths)
{
    while (*paths != NULL && access(*paths, R_OK) != 0) {
        paths++;
    }
    return *paths;
}

const char *dkv_softhsm_module(void)
{
    static const char *const paths[] = {"/usr/lib/softhsm/libsofthsm2.so",
                                        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
                                        "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/lib/pkcs11/libsofthsm2.so", NULL};
    return first_of(paths);
}

const char *dkv_nss_module(void)
{
    static const char *const paths[] = {"/usr/lib/x86_64-linux-gnu/libsoftokn3.so",
                                        "/usr/lib/aarch64-linux-gnu/libsoftokn3.so", "/usr/lib64/libsoftokn3.so",
                                        "/usr/lib/libsoftokn3.so", NULL};
    return first_of(paths);
}

/* ---- SoftHSM ---- */

static void new_folder(char *ret, size_t capacity)
{
    static unsigned number;
    snprintf(ret, capacity, "%s/tokens-%u", dkv_test_dir(), number++);
    CU_ASSERT_EQUAL_FATAL(mkdir(ret, 0700), 0);
}

bool dkv_softhsm_start_with(const char *lines)
{
    char folder[PATH_MAX - 64], path[PATH_MAX];
    if (dkv_softhsm_module() == NULL || access("/usr/bin/softhsm2-util", X_OK) != 0) {
        return false;
    }
    new_folder(folder, sizeof(folder));
    snprintf(path, sizeof(path), "%s/softhsm2.conf", folder);
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fprintf(file, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n%s\n", folder, lines);
    CU_ASSERT_EQUAL_FATAL(fclose(file), 0);
    setenv("SOFTHSM2_CONF", path, 1);
    return true;
}

bool dkv_softhsm_start(void)
{
    return dkv_softhsm_start_with("");
}

void dkv_softhsm_add_token(const char *label)
{
    int status = -1;
    const pid_t child = fork();
    if (child == 0) {
        CU_ASSERT_PTR_NOT_NULL(freopen("/dev/null", "w", stdout));
        execl("/usr/bin/softhsm2-util", "softhsm2-util", "--init-token", "--free", "--label", label, "--pin",
              DKV_SOFTHSM_PIN, "--so-pin", DKV_SOFTHSM_SO_PIN, (char *)NULL);
        _exit(127);
    }
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL_FATAL(status, 0);
}

/* ---- Plain Cryptoki ---- */

static bool has_label(CK_FUNCTION_LIST *functions, CK_SLOT_ID slot, const char *label)
{
    CK_TOKEN_INFO info;
    return functions->C_GetTokenInfo(slot, &info) == CKR_OK && (info.flags & CKF_TOKEN_INITIALIZED) != 0 &&
           (label == NULL || strncmp((const char *)info.label, label, strlen(label)) == 0);
}

static CK_SLOT_ID find_slot(CK_FUNCTION_LIST *functions, const char *label)
{
    CK_SLOT_ID slots[16];
    CK_ULONG n = 16;
    CU_ASSERT_EQUAL_FATAL(functions->C_GetSlotList(CK_TRUE, slots, &n), CKR_OK);
    for (CK_ULONG i = 0; i < n; i++) {
        if (has_label(functions, slots[i], label)) {
            return slots[i];
        }
    }
    CU_FAIL_FATAL("no such token");
    return 0;
}

static CK_FUNCTION_LIST *load(const char *module, const char *init)
{
    struct {
        CK_C_INITIALIZE_ARGS standard;
        void *behind;
    } args = {.standard = {.flags = CKF_OS_LOCKING_OK}};
    static char copy[PATH_MAX + 256];
    CK_FUNCTION_LIST *functions = p11_kit_module_load(module, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(functions);
    if (init != NULL) {
        snprintf(copy, sizeof(copy), "%s", init);
        args.standard.pReserved = copy;
    }
    CU_ASSERT_EQUAL_FATAL(functions->C_Initialize(&args.standard), CKR_OK);
    return functions;
}

static void unload(CK_FUNCTION_LIST *functions)
{
    CU_ASSERT_EQUAL(functions->C_Finalize(NULL), CKR_OK);
    p11_kit_module_release(functions);
}

struct dkv_raw dkv_raw_open(const char *module, const char *init, const char *label)
{
    struct dkv_raw raw = {.functions = load(module, init)};
    char pin[] = DKV_SOFTHSM_PIN;
    const CK_SLOT_ID slot = find_slot(raw.functions, label);
    CU_ASSERT_EQUAL_FATAL(
        raw.functions->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &raw.session), CKR_OK);
    CU_ASSERT_EQUAL_FATAL(raw.functions->C_Login(raw.session, CKU_USER, (CK_BYTE *)pin, strlen(pin)), CKR_OK);
    return raw;
}

void dkv_raw_close(struct dkv_raw *raw)
{
    CU_ASSERT_EQUAL(raw->functions->C_CloseSession(raw->session), CKR_OK);
    unload(raw->functions);
}

CK_OBJECT_HANDLE dkv_raw_import(const struct dkv_raw *raw, const struct dkv_raw_key *key)
{
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = key->type;
    CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
    CK_BBOOL is_aes = key->type == CKK_AES ? CK_TRUE : CK_FALSE, is_mac = key->type == CKK_AES ? CK_FALSE : CK_TRUE;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof(class)},
        {CKA_KEY_TYPE, &type, sizeof(type)},
        {CKA_TOKEN, &yes, sizeof(yes)},
        {CKA_PRIVATE, &yes, sizeof(yes)},
        {CKA_SENSITIVE, key->is_readable ? &no : &yes, sizeof(yes)},
        {CKA_EXTRACTABLE, key->is_extractable ? &yes : &no, sizeof(yes)},
        {CKA_SIGN, &is_mac, sizeof(is_mac)},
        {CKA_ENCRYPT, &is_aes, sizeof(is_aes)},
        {CKA_DECRYPT, &is_aes, sizeof(is_aes)},
        {CKA_LABEL, (void *)(uintptr_t)key->label, strlen(key->label)},
        {CKA_ID, (void *)(uintptr_t)key->id, key->id_len},
        {CKA_VALUE, (void *)(uintptr_t)key->value, key->value_len},
    };
    CU_ASSERT_EQUAL_FATAL(
        raw->functions->C_CreateObject(raw->session, template, sizeof(template) / sizeof(template[0]), &handle),
        CKR_OK);
    return handle;
}

/* ---- NSS ---- */

static void set_nss_pin(CK_FUNCTION_LIST *functions)
{
    CK_SLOT_ID slots[8];
    CK_ULONG n = 8;
    CK_SESSION_HANDLE session;
    char pin[] = DKV_SOFTHSM_PIN, empty[] = "";
    CU_ASSERT_EQUAL_FATAL(functions->C_GetSlotList(CK_TRUE, slots, &n), CKR_OK);
    CU_ASSERT_FATAL(n >= 2); /* the first does cryptography only, the second has the keys */
    CU_ASSERT_EQUAL_FATAL(functions->C_OpenSession(slots[1], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session),
                          CKR_OK);
    CU_ASSERT_EQUAL_FATAL(functions->C_Login(session, CKU_SO, (CK_BYTE *)empty, 0), CKR_OK);
    CU_ASSERT_EQUAL_FATAL(functions->C_InitPIN(session, (CK_BYTE *)pin, strlen(pin)), CKR_OK);
    CU_ASSERT_EQUAL(functions->C_CloseSession(session), CKR_OK);
}

const char *dkv_nss_start(void)
{
    static char init[PATH_MAX + 256];
    char folder[PATH_MAX - 64];
    if (dkv_nss_module() == NULL) {
        return NULL;
    }
    new_folder(folder, sizeof(folder));
    snprintf(init, sizeof(init),
             "configDir='sql:%s' certPrefix='' keyPrefix='' secmod='secmod.db' flags= dbTokenDescription='" NSS_LABEL
             "'",
             folder);
    CK_FUNCTION_LIST *functions = load(dkv_nss_module(), init);
    set_nss_pin(functions);
    unload(functions);
    return init;
}
