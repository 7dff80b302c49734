/* SPDX-License-Identifier: Apache-2.0 */
#include "providers/pkcs11/pkcs11.h"
