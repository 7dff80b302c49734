/* SPDX-License-Identifier: Apache-2.0 */
/* All of libdekvault. Link with `pkg-config --cflags --libs dekvault`. */
#ifndef DEKVAULT_DEKVAULT_H
#define DEKVAULT_DEKVAULT_H

#include "dekvault/dek.h"
#include "dekvault/error.h"
#include "dekvault/field.h"
#include "dekvault/process.h"
#include "dekvault/provider.h"
#include "dekvault/provider_file.h"
#include "dekvault/span.h"
#include "dekvault/vault.h"

#endif
