/* SPDX-License-Identifier: Apache-2.0 */
/* The wrap profiles. A CMK has one for life, and its key type in the token says which: never a document, and never
 * keyMaterial, which whoever writes the vault could set. Pure. */
#include "providers/pkcs11/internal.h"

const struct dkv_p11_profile *const dkv_p11_profiles[] = {&dkv_p11_hmac_derive, &dkv_p11_aes_gcm, NULL};

const struct dkv_p11_profile *dkv_p11_profile_by_name(const char *name)
{
    size_t i = 0;
    while (dkv_p11_profiles[i] != NULL && strcmp(dkv_p11_profiles[i]->name, name) != 0) {
        i++;
    }
    return dkv_p11_profiles[i];
}

const struct dkv_p11_profile *dkv_p11_profile_by_key_type(CK_KEY_TYPE type)
{
    static const struct {
        CK_KEY_TYPE type;
        const struct dkv_p11_profile *profile;
    } rows[] = {
        {CKK_GENERIC_SECRET, &dkv_p11_hmac_derive},
        {CKK_SHA256_HMAC, &dkv_p11_hmac_derive},
        {CKK_AES, &dkv_p11_aes_gcm},
    };
    for (size_t i = 0; i < DKV_COUNT(rows); i++) {
        if (rows[i].type == type) {
            return rows[i].profile;
        }
    }
    return NULL;
}

bool dkv_p11_profile_is_offered(const struct dkv_p11_profile *profile, const CK_MECHANISM_TYPE *offered, CK_ULONG n)
{
    bool has_use = false, has_generate = false;
    for (CK_ULONG i = 0; i < n; i++) {
        has_use = has_use || offered[i] == profile->use;
        has_generate = has_generate || offered[i] == profile->generate;
    }
    return has_use && has_generate;
}

/* GCM can't say why: changed bytes, another _id and another key look alike. So the words give all causes. */
enum dkv_rc dkv_p11_fail_opening(const struct dkv_p11_use *use, struct dkv_error *err)
{
    return dkv_fail(err, DKV_E_REJECTED_CIPHERTEXT,
                    "keyMaterial doesn't open with CMK %s: it was changed, it was moved here from another document, or "
                    "it was wrapped "
                    "under another CMK",
                    use->cmk_name);
}
