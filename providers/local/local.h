/* SPDX-License-Identifier: Apache-2.0 */
/* The `local` provider: a 96-byte CMK from a file. For development and tests: the CMK is as safe as the file. */
#ifndef PROVIDERS_LOCAL_LOCAL_H
#define PROVIDERS_LOCAL_LOCAL_H

#include "dekvault/provider.h"

extern const struct dkv_provider_ops dkv_local_ops;

#endif
