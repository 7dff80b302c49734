/* SPDX-License-Identifier: Apache-2.0 */
/* What must be right in the process before any key is touched: secret memory and cryptography, as the provider file
 * wants them. No lock. */
#include "base/crypto.h"
#include "base/secret.h"
#include "vault/vault.h"

enum dkv_rc dkv_process_start(const struct dkv_provider_file *file, struct dkv_error *err)
{
    const uint64_t limit_kib = file->memory_limit_kib;
    const struct dkv_secret_options options = {
        .allow_unlocked = file->memory_allow_unlocked,
        .limit = limit_kib < SIZE_MAX / 1024 ? (size_t)limit_kib * 1024 : 0,
    };
    DKV_TRY(dkv_secret_configure(&options, err));
    return dkv_crypto_start(file->fips_required ? file->fips_config : NULL, err);
}
