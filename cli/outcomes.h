/* SPDX-License-Identifier: Apache-2.0 */
/* Several things done by one command: its exit code is the one of what failed, or 1 when they failed differently. */
#ifndef CLI_OUTCOMES_H
#define CLI_OUTCOMES_H

#include <stdbool.h>

#include "base/error.h"

struct dkv_outcomes {
    enum dkv_rc failure; /* the first */
    bool mixed;
};

static inline void dkv_outcomes_add(struct dkv_outcomes *outcomes, enum dkv_rc rc)
{
    outcomes->mixed = outcomes->mixed || (rc != DKV_OK && outcomes->failure != DKV_OK && outcomes->failure != rc);
    if (outcomes->failure == DKV_OK) {
        outcomes->failure = rc;
    }
}

#endif
