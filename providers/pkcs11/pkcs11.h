/* SPDX-License-Identifier: Apache-2.0 */
/* The face of the pkcs11 provider: its table, and what is particular to tokens. */
#ifndef PROVIDERS_PKCS11_PKCS11_H
#define PROVIDERS_PKCS11_PKCS11_H

#include "base/error.h"
#include "dekvault/provider.h"

extern const struct dkv_provider_ops dkv_pkcs11_ops;

/* One slot of one module, for `token list`. Strings without their padding; borrowed for the call. */
struct dkv_token_info {
    const char *module; /* the module's path */
    const char *label, *serial, *manufacturer, *model;
    bool usable;
    const char *reason; /* why not; "" when usable */
};
typedef enum dkv_rc (*dkv_token_visit_fn)(void *arg, const struct dkv_token_info *info, struct dkv_error *err);

/* dkv_token_list: every slot of the modules given (path, init string) and of those registered with p11-kit; no login. A
 * module that can't be loaded is visited as one unusable entry. */
struct dkv_module_name {
    const char *path;
    const char *init; /* module-init, or NULL */
};
DKV_MUST_USE enum dkv_rc dkv_token_list(const struct dkv_module_name *modules, size_t n, dkv_token_visit_fn visit,
                                        void *arg, struct dkv_error *err);

/* dkv_token_login_once: one deliberate login with the configured PIN whatever the guard remembers and even when the
 * token's count is low (not when it is locked, at its final try, or its PIN is to be changed). Success clears the
 * guard's memory. accept_serial: take the token's serial as the one to compare from now on. ret_serial: 17 bytes. */
struct dkv_token_login {
    char label[33];
    char serial[17];
};
DKV_MUST_USE enum dkv_rc dkv_token_login_once(struct dkv_provider *pkcs11, const struct dkv_call *call,
                                              bool accept_serial, struct dkv_token_login *ret, struct dkv_error *err);

#endif
