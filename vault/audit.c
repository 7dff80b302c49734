/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/audit.h"
