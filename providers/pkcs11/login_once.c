/* SPDX-License-Identifier: Apache-2.0 */
/* `token login --once`: one login that a person answers for, on a connection made for it. Lock: the instance's. */
#include "providers/pkcs11/internal.h"

enum dkv_rc dkv_token_login_once(struct dkv_provider *pkcs11, const struct dkv_call *call, bool accept_serial,
                                 struct dkv_token_login *ret, struct dkv_error *err)
{
    const struct dkv_p11_login_options options = {.is_deliberate = true, .accept_serial = accept_serial};
    DKV_P11_HOLD(&pkcs11->lock);
    DKV_TRY(dkv_p11_connect_with(pkcs11, call, &options, err));
    struct dkv_token_login login;
    memcpy(login.label, pkcs11->token.label, sizeof(login.label));
    memcpy(login.serial, pkcs11->token.serial, sizeof(login.serial));
    *ret = login;
    return DKV_OK;
}
