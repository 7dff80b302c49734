/* SPDX-License-Identifier: Apache-2.0 */
/* Which exit code a class of error is, and what the codes mean. Scripts depend on both. Constant; no lock. */
#include "cli/command.h"

const struct dkv_exit_row dkv_exit_rows[] = {
    {0, "Done."},
    {1, "Failed, or several things failed differently; classes internal and resource (disk, memory, locked memory)."},
    {2, "Usage, bad input, or the provider file; classes config and invalid."},
    {3, "Not found; class not_found."},
    {4, "Exists already, or was changed meanwhile; class conflict."},
    {5, "Provider or store out of reach, slow or busy, or cancelled, as by another answer to a question; classes "
        "transient, throttled, unreachable and cancelled."},
    {6, "Authentication or authorisation was refused; classes auth and denied."},
    {7, "Damaged or forged data; class rejected_ciphertext."},
    {8, "Reserved: no command gives it yet."},
    {9, "Refused by dekvault's own policy; classes policy and disabled."},
};
const size_t dkv_n_exit_rows = DKV_COUNT(dkv_exit_rows);

/* By the class, negated. */
static const int codes[] = {
    [-DKV_OK] = 0,
    [-DKV_E_TRANSIENT] = 5,
    [-DKV_E_THROTTLED] = 5,
    [-DKV_E_UNREACHABLE] = 5,
    [-DKV_E_CANCELLED] = 5,
    [-DKV_E_AUTH] = 6,
    [-DKV_E_DENIED] = 6,
    [-DKV_E_NOT_FOUND] = 3,
    [-DKV_E_CONFLICT] = 4,
    [-DKV_E_REJECTED_CIPHERTEXT] = 7,
    [-DKV_E_POLICY] = 9,
    [-DKV_E_DISABLED] = 9,
    [-DKV_E_INVALID] = 2,
    [-DKV_E_CONFIG] = 2,
    [-DKV_E_RESOURCE] = 1,
    [-DKV_E_INTERNAL] = 1,
};

int dkv_cli_exit_code(enum dkv_rc rc)
{
    const int index = -(int)rc;
    return index >= 0 && (size_t)index < DKV_COUNT(codes) ? codes[index] : 1;
}
