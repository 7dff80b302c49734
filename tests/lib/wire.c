/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of MongoDB's wire protocol, and sockets that wait for them in poll() and nowhere else. Owns nothing but what
 * it hands out; no state, no lock. Lengths are judged before memory is asked for: a peer may be broken on purpose. */
#include "tests/lib/wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define FLAG_CHECKSUM 1u
#define QUERY_FIXED_AFTER_NAME 8u /* numberToSkip, numberToReturn */
#define REPLY_FIXED 20u           /* flags, cursorID, startingFrom, numberReturned */

/* ---- Sockets ---- */

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

static void set_no_delay(int fd)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int close_and_fail(int fd)
{
    const int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int dkv_wire_listen(uint16_t *ret_port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    if (bind(fd, (const struct sockaddr *)&address, len) != 0 || listen(fd, SOMAXCONN) != 0
        || getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return close_and_fail(fd);
    }
    *ret_port = ntohs(address.sin_port);
    return fd;
}

int dkv_wire_connect(uint16_t port)
{
    const struct sockaddr_in address = loopback(port);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    set_no_delay(fd);
    const int rc = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    if (rc != 0 && errno != EINPROGRESS && errno != EINTR) {
        return close_and_fail(fd);
    }
    return fd;
}

/* Errors and hang-ups are left to the call that follows, which tells which they are. */
static enum dkv_wire_rc wait_for(int fd, short events, const struct dkv_wire_wait *wait)
{
    struct pollfd polled[2] = {{.fd = fd, .events = events}, {.fd = wait->stop_fd, .events = POLLIN}};
    for (;;) {
        const int n = poll(polled, DKV_COUNT(polled), wait->timeout_ms);
        if (n < 0 && errno != EINTR) {
            return DKV_WIRE_BROKEN;
        }
        if (n == 0) {
            return DKV_WIRE_TIMEOUT;
        }
        if (n > 0) {
            return polled[1].revents != 0 ? DKV_WIRE_STOPPED : DKV_WIRE_OK;
        }
    }
}

static bool is_again(void)
{
    return errno == EAGAIN || errno == EINTR;
}

int dkv_wire_accept(int listener, const struct dkv_wire_wait *wait)
{
    for (;;) {
        if (wait_for(listener, POLLIN, wait) != DKV_WIRE_OK) {
            return -1;
        }
        const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            set_no_delay(fd);
            return fd;
        }
        if (!is_again() && errno != ECONNABORTED) {
            return -1;
        }
    }
}

/* *ret_got: bytes read also when it fails. */
static enum dkv_wire_rc read_all(int fd, const struct dkv_wire_wait *wait, uint8_t *to, size_t len, size_t *ret_got)
{
    *ret_got = 0;
    while (*ret_got < len) {
        const enum dkv_wire_rc waited = wait_for(fd, POLLIN, wait);
        if (waited != DKV_WIRE_OK) {
            return waited;
        }
        const ssize_t n = recv(fd, to + *ret_got, len - *ret_got, 0);
        if (n == 0 || (n < 0 && !is_again())) {
            return DKV_WIRE_BROKEN;
        }
        *ret_got += n > 0 ? (size_t)n : 0;
    }
    return DKV_WIRE_OK;
}

enum dkv_wire_rc dkv_wire_write(int fd, const struct dkv_wire_wait *wait, struct dkv_span bytes)
{
    size_t done = 0;
    while (done < bytes.len) {
        const enum dkv_wire_rc waited = wait_for(fd, POLLOUT, wait);
        if (waited != DKV_WIRE_OK) {
            return waited;
        }
        const ssize_t n = send(fd, bytes.data + done, bytes.len - done, MSG_NOSIGNAL);
        if (n < 0 && !is_again()) {
            return DKV_WIRE_BROKEN;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return DKV_WIRE_OK;
}

void dkv_wire_reset(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

/* ---- Frames, all little-endian ---- */

static uint32_t load_u32(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static void store_u32(uint8_t *to, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

static bool read_u32(struct dkv_reader *reader, uint32_t *ret)
{
    struct dkv_span bytes = {0};
    if (!dkv_read_bytes(reader, 4, &bytes)) {
        return false;
    }
    *ret = load_u32(bytes.data);
    return true;
}

static bool read_i32(struct dkv_reader *reader, int32_t *ret)
{
    uint32_t value = 0;
    if (!read_u32(reader, &value)) {
        return false;
    }
    *ret = (int32_t)value;
    return true;
}

enum dkv_wire_rc dkv_wire_read(int fd, const struct dkv_wire_wait *wait, struct dkv_buf *ret)
{
    uint8_t header[DKV_WIRE_HEADER];
    size_t got = 0;
    enum dkv_wire_rc rc = read_all(fd, wait, header, sizeof(header), &got);
    if (rc != DKV_WIRE_OK) {
        return rc == DKV_WIRE_BROKEN && got == 0 ? DKV_WIRE_CLOSED : rc;
    }
    const uint32_t len = load_u32(header);
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf frame = {0};
    if (len < sizeof(header) || len > DKV_WIRE_MESSAGE_MAX || dkv_buf_reserve(&frame, len, NULL) != DKV_OK
        || dkv_buf_append(&frame, dkv_span(header, sizeof(header)), NULL) != DKV_OK) {
        return DKV_WIRE_BROKEN;
    }
    rc = read_all(fd, wait, frame.data + sizeof(header), len - sizeof(header), &got);
    if (rc == DKV_WIRE_OK) {
        frame.len = len;
        dkv_buf_steal(ret, &frame);
    }
    return rc;
}

/* A document at the front of the reader, borrowed. */
static bool read_document(struct dkv_reader *reader, bson_t *ret)
{
    struct dkv_span bytes = {0};
    if (reader->rest.len < 4 || !dkv_read_bytes(reader, load_u32(reader->rest.data), &bytes)) {
        return false;
    }
    return bson_init_static(ret, bytes.data, bytes.len) && bson_validate(ret, BSON_VALIDATE_NONE, NULL);
}

static bool read_text(struct dkv_reader *reader, const char **ret)
{
    const void *end = reader->rest.len > 0 ? memchr(reader->rest.data, 0, reader->rest.len) : NULL;
    struct dkv_span text = {0};
    if (end == NULL) {
        return false;
    }
    const size_t len = (size_t)((const uint8_t *)end - reader->rest.data) + 1;
    if (!dkv_read_bytes(reader, len, &text)) {
        return false;
    }
    *ret = (const char *)text.data;
    return true;
}

/* Section kind 1: size, identifier, documents. */
static bool fold_sequence(struct dkv_reader *message, bson_t *body)
{
    uint32_t size = 0;
    struct dkv_reader section = {0};
    const char *name = NULL;
    if (!read_u32(message, &size) || size < 4 || !dkv_read_bytes(message, size - 4, &section.rest)
        || !read_text(&section, &name) || bson_has_field(body, name)) {
        return false;
    }
    bson_t array, document;
    bool good = true;
    BSON_APPEND_ARRAY_BEGIN(body, name, &array);
    for (uint32_t i = 0; good && !dkv_read_is_empty(&section); i++) {
        char room[16];
        const char *key = NULL;
        bson_uint32_to_string(i, &key, room, sizeof(room));
        good = read_document(&section, &document) && BSON_APPEND_DOCUMENT(&array, key, &document);
    }
    bson_append_array_end(body, &array);
    return good;
}

/* Section kind 0 comes once, and in what drivers and servers send, first. */
static bool parse_msg(struct dkv_reader *reader, struct dkv_wire_message *ret)
{
    uint8_t kind = 1;
    bson_t document;
    if (!read_u32(reader, &ret->flags) || !dkv_read_u8(reader, &kind) || kind != 0
        || !read_document(reader, &document)) {
        return false;
    }
    const size_t trailer = (ret->flags & FLAG_CHECKSUM) != 0 ? 4 : 0;
    ret->body = bson_copy(&document);
    while (reader->rest.len > trailer) {
        if (!dkv_read_u8(reader, &kind) || kind != 1 || !fold_sequence(reader, ret->body)) {
            return false;
        }
    }
    return reader->rest.len == trailer;
}

static bool parse_after(struct dkv_reader *reader, size_t fixed, struct dkv_wire_message *ret)
{
    struct dkv_span skipped = {0};
    bson_t document;
    if (!dkv_read_bytes(reader, fixed, &skipped) || !read_document(reader, &document)) {
        return false;
    }
    ret->body = bson_copy(&document);
    return true;
}

static bool parse_query(struct dkv_reader *reader, struct dkv_wire_message *ret)
{
    const char *collection = NULL;
    return read_u32(reader, &ret->flags) && read_text(reader, &collection)
           && parse_after(reader, QUERY_FIXED_AFTER_NAME, ret);
}

static bool parse_by_opcode(struct dkv_reader *reader, struct dkv_wire_message *ret)
{
    switch (ret->opcode) {
    case DKV_WIRE_OP_MSG:
        return parse_msg(reader, ret);
    case DKV_WIRE_OP_QUERY:
        return parse_query(reader, ret);
    case DKV_WIRE_OP_REPLY:
        return parse_after(reader, REPLY_FIXED, ret);
    default:
        return false;
    }
}

bool dkv_wire_parse(struct dkv_span frame, struct dkv_wire_message *ret)
{
    struct dkv_reader reader = {.rest = frame};
    struct dkv_wire_message message = {0};
    bson_iter_t iter;
    uint32_t len = 0;
    if (!read_u32(&reader, &len) || len != frame.len || !read_i32(&reader, &message.request_id)
        || !read_i32(&reader, &message.response_to) || !read_i32(&reader, &message.opcode)
        || !parse_by_opcode(&reader, &message)) {
        dkv_wire_message_done(&message);
        return false;
    }
    message.command = bson_iter_init(&iter, message.body) && bson_iter_next(&iter) ? bson_iter_key(&iter) : "";
    *ret = message;
    return true;
}

void dkv_wire_message_done(struct dkv_wire_message *message)
{
    if (message->body != NULL) {
        bson_destroy(message->body);
    }
    *message = (struct dkv_wire_message){0};
}

/* prefix: what lies between the header and the document. */
static bool put_frame(int32_t request_id, int32_t response_to, enum dkv_wire_opcode opcode, struct dkv_span prefix,
                      const bson_t *body, struct dkv_buf *ret)
{
    uint8_t header[DKV_WIRE_HEADER];
    store_u32(header, (uint32_t)(sizeof(header) + prefix.len + body->len));
    store_u32(header + 4, (uint32_t)request_id);
    store_u32(header + 8, (uint32_t)response_to);
    store_u32(header + 12, (uint32_t)opcode);
    return dkv_buf_append(ret, dkv_span(header, sizeof(header)), NULL) == DKV_OK
           && dkv_buf_append(ret, prefix, NULL) == DKV_OK
           && dkv_buf_append(ret, dkv_span(bson_get_data(body), body->len), NULL) == DKV_OK;
}

static const uint8_t msg_prefix[5]; /* flags 0, section kind 0 */

bool dkv_wire_reply(const struct dkv_wire_message *request, const bson_t *body, struct dkv_buf *ret)
{
    static const uint8_t reply_prefix[REPLY_FIXED] = {[0] = 8, [16] = 1}; /* AwaitCapable; one document */
    const int32_t own = request->request_id;
    if (request->opcode == DKV_WIRE_OP_QUERY) {
        return put_frame(own, own, DKV_WIRE_OP_REPLY, dkv_span(reply_prefix, sizeof(reply_prefix)), body, ret);
    }
    return put_frame(own, own, DKV_WIRE_OP_MSG, dkv_span(msg_prefix, sizeof(msg_prefix)), body, ret);
}

bool dkv_wire_request(int32_t request_id, const bson_t *body, struct dkv_buf *ret)
{
    return put_frame(request_id, 0, DKV_WIRE_OP_MSG, dkv_span(msg_prefix, sizeof(msg_prefix)), body, ret);
}
