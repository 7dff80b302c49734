/* SPDX-License-Identifier: Apache-2.0 */
/* Throw-away tokens for tests: SoftHSM in a folder of the test's own, NSS's softokn in another, and a plain Cryptoki
 * session with either to make the objects that dekvault would never make. */
#ifndef TESTS_LIB_SOFTHSM_H
#define TESTS_LIB_SOFTHSM_H

#include <stdbool.h>

#include <p11-kit/pkcs11.h>

#define DKV_SOFTHSM_PIN "wrench-1234"
#define DKV_SOFTHSM_SO_PIN "so-pin-1234"

/* dkv_softhsm_start: an empty set of tokens from now on. false: SoftHSM isn't installed. The module reads its set when
 * it is initialised, so nobody may be using it. */
bool dkv_softhsm_start(void);
/* dkv_softhsm_start_with: the same with further lines of softhsm2.conf. */
bool dkv_softhsm_start_with(const char *lines);
/* dkv_softhsm_add_token: another token; the module must be started anew to see it. */
void dkv_softhsm_add_token(const char *label);
const char *dkv_softhsm_module(void);

/* dkv_nss_start: a fresh NSS key database with DKV_SOFTHSM_PIN as its PIN. Returns the string for C_Initialize, NULL:
 * no softokn. */
const char *dkv_nss_start(void);
const char *dkv_nss_module(void);
#define DKV_NSS_TOKEN "pkcs11:token=dekvault%20test"

/* A plain session as a user, past dekvault; what goes wrong ends the test. label NULL: the first token. */
struct dkv_raw {
    CK_FUNCTION_LIST *functions;
    CK_SESSION_HANDLE session;
};
struct dkv_raw dkv_raw_open(const char *module, const char *init, const char *label);
void dkv_raw_close(struct dkv_raw *raw);

/* A secret key by value, as a ceremony would bring one in. */
struct dkv_raw_key {
    const char *label;
    const void *id;
    unsigned long id_len;
    CK_KEY_TYPE type;
    const void *value;
    unsigned long value_len;
    bool is_extractable, is_readable; /* readable: not CKA_SENSITIVE */
};
CK_OBJECT_HANDLE dkv_raw_import(const struct dkv_raw *raw, const struct dkv_raw_key *key);

#endif
