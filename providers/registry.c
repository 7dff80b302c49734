/* SPDX-License-Identifier: Apache-2.0 */
#include "providers/registry.h"
