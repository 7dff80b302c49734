/* SPDX-License-Identifier: Apache-2.0 */
/* A proxy between a driver and a real MongoDB server, in threads of the test, that breaks one chosen request. It speaks
 * plain TCP on the loopback interface and knows of a message no more than its command's name. */
#ifndef TESTS_LIB_FAULT_PROXY_H
#define TESTS_LIB_FAULT_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "dekvault/span.h"

enum dkv_fault {
    DKV_FAULT_NONE,
    DKV_FAULT_CUT_BEFORE,    /* the request never reaches the server; both sides are closed */
    DKV_FAULT_CUT_AFTER,     /* the server carries it out, its reply is thrown away, both sides are closed */
    DKV_FAULT_CUT_MIDDLE,    /* the client gets the first half of the reply, then the end */
    DKV_FAULT_DELAY,         /* the server carries it out, its reply comes hold_ms later */
    DKV_FAULT_DELAY_REQUEST, /* the request reaches the server hold_ms later, whether its client still waits or not */
    DKV_N_FAULTS
};

/* What else is hit, once. */
enum dkv_fault_reach {
    DKV_FAULT_ONCE,
    DKV_FAULT_NEXT,  /* the next request, whatever it is: the same again, or a look at what became of it */
    DKV_FAULT_AGAIN, /* the next request of the same command */
    DKV_N_REACHES
};

/* Requests are numbered from 1. Those by which a driver watches, signs in and cleans up (hello, ping, saslStart,
 * endSessions, killCursors...) pass untouched and uncounted. */
struct dkv_fault_plan {
    enum dkv_fault fault;
    unsigned step; /* the first request that is hit */
    enum dkv_fault_reach reach;
    uint32_t hold_ms;
};

struct dkv_fault_proxy;

/* dkv_fault_proxy_start: in front of this port, until dkv_fault_proxy_stop, which takes NULL and doesn't wait for what
 * is held. NULL: errno says why. plan NULL: no fault. */
struct dkv_fault_proxy *dkv_fault_proxy_start(uint16_t server_port, const struct dkv_fault_plan *plan);
void dkv_fault_proxy_stop(struct dkv_fault_proxy *proxy);
uint16_t dkv_fault_proxy_port(const struct dkv_fault_proxy *proxy);

/* dkv_fault_proxy_settle: wait until every counted request that came so far, also one whose client has gone, has been
 * carried out by the server or cut. */
void dkv_fault_proxy_settle(struct dkv_fault_proxy *proxy);

#define DKV_FAULT_COMMANDS_MAX 64u
#define DKV_FAULT_SESSIONS_MAX 16u
/* Counted so far, how many of them were hit, and the command of one ("" if there was none, or too many). */
unsigned dkv_fault_proxy_count(struct dkv_fault_proxy *proxy);
unsigned dkv_fault_proxy_hits(struct dkv_fault_proxy *proxy);
const char *dkv_fault_proxy_command(struct dkv_fault_proxy *proxy, unsigned step);

/* dkv_fault_proxy_sessions: up to max ids of the driver's sessions (lsid) that were seen; returns how many. A reply
 * that was cut may have opened a cursor that only the end of its session closes. */
size_t dkv_fault_proxy_sessions(struct dkv_fault_proxy *proxy, struct dkv_uuid *ret, size_t max);

#endif
