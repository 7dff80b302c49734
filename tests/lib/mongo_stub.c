/* SPDX-License-Identifier: Apache-2.0 */
/* The scripted server's threads: one that accepts, one for each connection. The lock guards the script, the counts and
 * the list of commands; a command's body never changes once it is in the list. dkv_stub_stop wakes every thread through
 * one pipe that nobody reads, and joins them all. */
#include "tests/lib/mongo_stub.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define CONNECTIONS_MAX 256u
#define COMMANDS_MAX 16384u

static const char *const kind_options[] = {
    [DKV_STUB_REPLICA_SET] = "replicaSet=rs0",
    [DKV_STUB_MONGOS] = "directConnection=false",
    [DKV_STUB_STANDALONE] = "directConnection=true",
};

struct command {
    char name[40];
    bson_t *body;
};

struct connection {
    struct dkv_stub *stub;
    pthread_t thread;
    int fd;
};

struct dkv_stub {
    enum dkv_stub_kind kind;
    uint16_t port;
    int listener;
    int stop[2]; /* a pipe; its end that is read becomes readable when the other is closed */
    pthread_t acceptor;
    struct connection connections[CONNECTIONS_MAX]; /* the acceptor's alone */
    size_t n_connections;
    char uri[512];

    pthread_mutex_t lock;
    const struct dkv_stub_rule *rules;
    size_t n_rules;
    struct command commands[COMMANDS_MAX];
    size_t n_commands;
    struct dkv_buf said;
};

/* ---- Commands ---- */

static size_t count_locked(const struct dkv_stub *stub, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < stub->n_commands; i++) {
        n += strcmp(stub->commands[i].name, name) == 0 ? 1 : 0;
    }
    return n;
}

static void forget_locked(struct dkv_stub *stub)
{
    for (size_t i = 0; i < stub->n_commands; i++) {
        bson_destroy(stub->commands[i].body);
    }
    stub->n_commands = 0;
}

static void remember_locked(struct dkv_stub *stub, const struct dkv_wire_message *message)
{
    if (stub->n_commands == COMMANDS_MAX) {
        return;
    }
    struct command *command = &stub->commands[stub->n_commands++];
    snprintf(command->name, sizeof(command->name), "%s", message->command);
    command->body = bson_copy(message->body);
}

size_t dkv_stub_count(struct dkv_stub *stub, const char *command)
{
    pthread_mutex_lock(&stub->lock);
    const size_t n = count_locked(stub, command);
    pthread_mutex_unlock(&stub->lock);
    return n;
}

/* Those of the test's: name NULL: any that isn't the driver's own chatter. nth: from 1. */
static const bson_t *nth_locked(const struct dkv_stub *stub, const char *name, size_t nth)
{
    size_t seen = 0;
    for (size_t i = 0; i < stub->n_commands; i++) {
        const struct command *command = &stub->commands[i];
        const bool fits = name != NULL ? strcmp(command->name, name) == 0 : !dkv_stub_is_driver_chatter(command->name);
        seen += fits ? 1 : 0;
        if (fits && seen == nth) {
            return command->body;
        }
    }
    return NULL;
}

const bson_t *dkv_stub_nth(struct dkv_stub *stub, const char *command, size_t nth)
{
    pthread_mutex_lock(&stub->lock);
    const bson_t *body = nth_locked(stub, command, nth);
    pthread_mutex_unlock(&stub->lock);
    return body;
}

const bson_t *dkv_stub_at(struct dkv_stub *stub, size_t index)
{
    return dkv_stub_nth(stub, NULL, index + 1);
}

const char *dkv_stub_said(struct dkv_stub *stub)
{
    pthread_mutex_lock(&stub->lock);
    dkv_buf_done(&stub->said);
    bool good = true;
    for (size_t i = 0; good && i < stub->n_commands; i++) {
        const char *name = stub->commands[i].name;
        if (!dkv_stub_is_driver_chatter(name)) {
            good = dkv_buf_printf(&stub->said, NULL, "%s%s", stub->said.len > 0 ? " " : "", name) == DKV_OK;
        }
    }
    const char *text = good ? dkv_buf_text(&stub->said) : NULL;
    pthread_mutex_unlock(&stub->lock);
    return text != NULL ? text : "out of memory";
}

void dkv_stub_script(struct dkv_stub *stub, const struct dkv_stub_rule *rules, size_t n)
{
    pthread_mutex_lock(&stub->lock);
    forget_locked(stub);
    stub->rules = rules;
    stub->n_rules = n;
    pthread_mutex_unlock(&stub->lock);
}

/* ---- The script ---- */

static bool rule_fits(const struct dkv_stub_rule *rule, const char *command, size_t call)
{
    const bool is_its_call = call >= rule->from && (rule->to == 0 || call <= rule->to);
    return rule->command != NULL && strcmp(rule->command, command) == 0 && is_its_call;
}

/* With no rule that fits: the healthy reply. */
static struct dkv_stub_rule find_rule_locked(const struct dkv_stub *stub, const char *command)
{
    const size_t call = count_locked(stub, command);
    for (size_t i = 0; i < stub->n_rules; i++) {
        if (rule_fits(&stub->rules[i], command, call)) {
            return stub->rules[i];
        }
    }
    return (struct dkv_stub_rule){.command = command};
}

static void respond_locked(struct dkv_stub *stub, const struct dkv_stub_rule *rule, const bson_t *command,
                           bson_t *reply)
{
    if (rule->respond != NULL) {
        rule->respond(rule->arg, command, reply);
    } else if (rule->documents != NULL) {
        dkv_stub_cursor_reply(command, rule->cursor_id, rule->documents, rule->n_documents, reply);
    } else if (rule->reply != NULL) {
        dkv_stub_put_json(reply, rule->reply);
    } else {
        dkv_stub_default_reply(stub->kind, stub->port, command, reply);
    }
}

/* ---- Threads ---- */

static bool sleep_unless_stopped(const struct dkv_wire_wait *wait, int delay_ms)
{
    struct pollfd polled = {.fd = wait->stop_fd, .events = POLLIN};
    return delay_ms == 0 || poll(&polled, 1, delay_ms) == 0;
}

/* false: the connection is at its end; *ret_reset: with a reset. */
static bool act(int fd, const struct dkv_wire_wait *wait, const struct dkv_stub_rule *rule, struct dkv_span frame,
                bool *ret_reset)
{
    if (rule->action == DKV_STUB_RESET || rule->action == DKV_STUB_CLOSE) {
        *ret_reset = rule->action == DKV_STUB_RESET;
        return false;
    }
    const bool is_half = rule->action == DKV_STUB_HALF;
    frame.len = is_half ? frame.len / 2 : frame.len;
    return dkv_wire_write(fd, wait, frame) == DKV_WIRE_OK && !is_half;
}

static bool answer(struct dkv_stub *stub, int fd, const struct dkv_wire_wait *wait,
                   const struct dkv_wire_message *message, bool *ret_reset)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf frame = {0};
    bson_t reply = BSON_INITIALIZER;
    pthread_mutex_lock(&stub->lock);
    remember_locked(stub, message);
    const struct dkv_stub_rule rule = find_rule_locked(stub, message->command);
    respond_locked(stub, &rule, message->body, &reply);
    pthread_mutex_unlock(&stub->lock);
    const bool is_wanted = (message->flags & DKV_WIRE_MORE_TO_COME) == 0 || message->opcode != DKV_WIRE_OP_MSG;
    bool goes_on = dkv_wire_reply(message, &reply, &frame) && sleep_unless_stopped(wait, rule.delay_ms);
    if (goes_on && is_wanted) {
        goes_on = act(fd, wait, &rule, dkv_span_buf(&frame), ret_reset);
    }
    bson_destroy(&reply);
    return goes_on;
}

static bool serve_one(struct dkv_stub *stub, int fd, struct dkv_buf *frame, bool *ret_reset)
{
    const struct dkv_wire_wait wait = {.stop_fd = stub->stop[0], .timeout_ms = -1};
    struct dkv_wire_message message = {0};
    if (dkv_wire_read(fd, &wait, frame) != DKV_WIRE_OK || !dkv_wire_parse(dkv_span_buf(frame), &message)) {
        return false;
    }
    const bool goes_on = answer(stub, fd, &wait, &message, ret_reset);
    dkv_wire_message_done(&message);
    return goes_on;
}

static void *connection_main(void *arg)
{
    struct connection *connection = arg;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf frame = {0};
    bool is_reset = false;
    while (serve_one(connection->stub, connection->fd, &frame, &is_reset)) {
    }
    if (is_reset) {
        dkv_wire_reset(connection->fd);
    } else {
        close(connection->fd);
    }
    return NULL;
}

static void *acceptor_main(void *arg)
{
    struct dkv_stub *stub = arg;
    const struct dkv_wire_wait wait = {.stop_fd = stub->stop[0], .timeout_ms = -1};
    while (stub->n_connections < CONNECTIONS_MAX) {
        struct connection *connection = &stub->connections[stub->n_connections];
        connection->stub = stub;
        connection->fd = dkv_wire_accept(stub->listener, &wait);
        if (connection->fd < 0) {
            break;
        }
        if (pthread_create(&connection->thread, NULL, connection_main, connection) != 0) {
            close(connection->fd);
            break;
        }
        stub->n_connections++;
    }
    return NULL;
}

/* ---- Life ---- */

static void close_all(struct dkv_stub *stub)
{
    const int descriptors[] = {stub->listener, stub->stop[0], stub->stop[1]};
    for (size_t i = 0; i < DKV_COUNT(descriptors); i++) {
        if (descriptors[i] >= 0) {
            close(descriptors[i]);
        }
    }
}

struct dkv_stub *dkv_stub_start(enum dkv_stub_kind kind)
{
    struct dkv_stub *stub = dkv_calloc(1, sizeof(*stub));
    if (stub == NULL) {
        return NULL;
    }
    stub->kind = kind;
    stub->stop[0] = stub->stop[1] = -1;
    stub->listener = dkv_wire_listen(&stub->port);
    pthread_mutex_init(&stub->lock, NULL);
    if (stub->listener < 0 || pipe2(stub->stop, O_CLOEXEC) != 0
        || pthread_create(&stub->acceptor, NULL, acceptor_main, stub) != 0) {
        close_all(stub);
        pthread_mutex_destroy(&stub->lock);
        dkv_free(stub);
        return NULL;
    }
    return stub;
}

void dkv_stub_stop(struct dkv_stub *stub)
{
    if (stub == NULL) {
        return;
    }
    close(stub->stop[1]);
    stub->stop[1] = -1;
    pthread_join(stub->acceptor, NULL);
    for (size_t i = 0; i < stub->n_connections; i++) {
        pthread_join(stub->connections[i].thread, NULL);
    }
    close_all(stub);
    forget_locked(stub);
    dkv_buf_done(&stub->said);
    pthread_mutex_destroy(&stub->lock);
    dkv_free(stub);
}

uint16_t dkv_stub_port(const struct dkv_stub *stub)
{
    return stub->port;
}

const char *dkv_stub_uri(struct dkv_stub *stub, const char *options)
{
    snprintf(stub->uri, sizeof(stub->uri), "mongodb://127.0.0.1:%u/?%s%s", stub->port, kind_options[stub->kind],
             options);
    return stub->uri;
}
