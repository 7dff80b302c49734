/* SPDX-License-Identifier: Apache-2.0 */
#include "base/state.h"
