/* SPDX-License-Identifier: Apache-2.0 */
/* What dekvault gives a provider: struct dkv_host over secret memory, secret sources, clock, log and state folder.
 * Thread-safe as those are; what reads a secret or takes a lock may block. */
#ifndef PROVIDERS_HOST_H
#define PROVIDERS_HOST_H

#include "base/secret.h"
#include "providers/instance.h"

/* What a host's functions work on; table is the provider's type. Borrows all. */
struct dkv_host_context {
    const struct dkv_host_base *base;
    const char *table;
};

/* dkv_host_init: fill *host. context must stay where it is for as long as the host is used. */
void dkv_host_init(struct dkv_host *host, struct dkv_host_context *context);

/* dkv_prompt_read: ask on the controlling terminal, echo off, and read one line without its newline, 1 to max bytes,
 * into secret memory. The terminal's mode is brought back on every way out, a signal's too, which is then raised
 * again. DKV_E_CONFIG: no terminal, an empty or too long answer. DKV_E_CANCELLED: interrupted. One at a time in a
 * process. */
DKV_MUST_USE enum dkv_rc dkv_prompt_read(const char *text, size_t max, struct dkv_secret *ret, struct dkv_error *err);

#endif
