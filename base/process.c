/* SPDX-License-Identifier: Apache-2.0 */
#include "dekvault/process.h"
