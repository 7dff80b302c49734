/* SPDX-License-Identifier: Apache-2.0 */
/* MongoDB's wire protocol for tests that stand in for a server or lie between it and a driver
 * (github.com/mongodb/specifications, OP_MSG; the legacy OP_QUERY as the first hello of a connection). */
#ifndef TESTS_LIB_WIRE_H
#define TESTS_LIB_WIRE_H

#include <bson/bson.h>

#include "base/bytes.h"

#define DKV_WIRE_MESSAGE_MAX (48u * 1024 * 1024) /* maxMessageSizeBytes */
#define DKV_WIRE_HEADER 16u

enum dkv_wire_opcode { DKV_WIRE_OP_REPLY = 1, DKV_WIRE_OP_QUERY = 2004, DKV_WIRE_OP_MSG = 2013 };

enum dkv_wire_rc {
    DKV_WIRE_OK,
    DKV_WIRE_CLOSED,  /* by the other side, between two messages */
    DKV_WIRE_STOPPED, /* the stop descriptor became readable */
    DKV_WIRE_TIMEOUT,
    DKV_WIRE_BROKEN   /* inside a message, or what came is none */
};

/* How long to wait for a socket. stop_fd: becomes readable when the test ends, never read from here; -1: none.
 * timeout_ms: for each wait, -1: for ever. */
struct dkv_wire_wait {
    int stop_fd;
    int timeout_ms;
};

/* Sockets on the loopback interface, non-blocking, closed on exec; -1: errno says why. */
int dkv_wire_listen(uint16_t *ret_port);
int dkv_wire_connect(uint16_t port);
/* dkv_wire_accept: -1 too when it was stopped or timed out. */
int dkv_wire_accept(int listener, const struct dkv_wire_wait *wait);

/* dkv_wire_read: one whole message, header and all, in place of what ret held. Any opcode. */
enum dkv_wire_rc dkv_wire_read(int fd, const struct dkv_wire_wait *wait, struct dkv_buf *ret);
/* dkv_wire_write: all of the bytes; never SIGPIPE. */
enum dkv_wire_rc dkv_wire_write(int fd, const struct dkv_wire_wait *wait, struct dkv_span bytes);
/* dkv_wire_reset: close so that the other side sees a reset, not an orderly end. */
void dkv_wire_reset(int fd);

/* One message, taken apart. It owns body, from which command is borrowed. */
struct dkv_wire_message {
    int32_t request_id, response_to, opcode;
    uint32_t flags;      /* OP_MSG's */
    const char *command; /* name of the body's first field: "insert"; of a reply: mostly "ok" */
    bson_t *body;        /* with the document sequences folded in, each as the array of its name */
};
#define DKV_WIRE_MORE_TO_COME 2u /* flags: no reply is wanted */

/* dkv_wire_parse: false: it is no OP_MSG, OP_QUERY or OP_REPLY, or is malformed. dkv_wire_message_done takes the zero
 * value. */
bool dkv_wire_parse(struct dkv_span frame, struct dkv_wire_message *ret);
void dkv_wire_message_done(struct dkv_wire_message *message);

/* dkv_wire_reply: the frame that answers request with this document, in the form that request wants, appended to ret.
 * false: out of memory. */
bool dkv_wire_reply(const struct dkv_wire_message *request, const bson_t *body, struct dkv_buf *ret);
/* dkv_wire_request: an OP_MSG that asks for this command. */
bool dkv_wire_request(int32_t request_id, const bson_t *body, struct dkv_buf *ret);

#endif
