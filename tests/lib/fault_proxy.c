/* SPDX-License-Identifier: Apache-2.0 */
/* The fault proxy: a thread that accepts, and one for each connection with its way on to the server. A counted request
 * and its reply are carried in lockstep, so that `busy` says truly what the server may still be doing; all else flows
 * as it comes (a server may answer one hello many times). lock guards what the threads share; stop[0] becomes readable
 * when all shall end. */
#include "tests/lib/fault_proxy.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/lib/wire.h"

struct link {
    struct link *next;
    struct dkv_fault_proxy *proxy;
    pthread_t thread;
    int client, server;
};

struct dkv_fault_proxy {
    uint16_t port, server_port;
    int listener, stop[2];
    struct dkv_fault_plan plan;
    pthread_t acceptor;
    struct link *links; /* the acceptor's, until it has ended */

    pthread_mutex_t lock;
    pthread_cond_t idle;
    unsigned busy, counted, hits;
    size_t n_sessions;
    struct dkv_uuid sessions[DKV_FAULT_SESSIONS_MAX];
    char commands[DKV_FAULT_COMMANDS_MAX][24], hit_command[24];
};

/* ---- Which requests count, and which is hit ---- */

static bool is_counted(const char *command)
{
    static const char *const passing[] = {"hello",      "ismaster",   "isMaster",     "ping",   "buildInfo",
                                          "saslStart",  "saslContinue", "authenticate", "logout", "endSessions",
                                          "killCursors"};
    for (size_t i = 0; i < DKV_COUNT(passing); i++) {
        if (strcmp(passing[i], command) == 0) {
            return false;
        }
    }
    return true;
}

/* With the lock held. */
static bool is_hit(const struct dkv_fault_proxy *proxy, unsigned step, const char *command)
{
    const struct dkv_fault_plan *plan = &proxy->plan;
    if (plan->fault == DKV_FAULT_NONE || step < plan->step) {
        return false;
    }
    if (step == plan->step) {
        return true;
    }
    return proxy->hits == 1 && (plan->reach == DKV_FAULT_NEXT ||
                                (plan->reach == DKV_FAULT_AGAIN && strcmp(command, proxy->hit_command) == 0));
}

static enum dkv_fault number_request(struct dkv_fault_proxy *proxy, const char *command)
{
    pthread_mutex_lock(&proxy->lock);
    const unsigned step = ++proxy->counted;
    const bool hit = is_hit(proxy, step, command);
    proxy->hits += hit;
    proxy->busy++;
    if (step <= DKV_FAULT_COMMANDS_MAX) {
        snprintf(proxy->commands[step - 1], sizeof(proxy->commands[0]), "%s", command);
    }
    if (step == proxy->plan.step) {
        snprintf(proxy->hit_command, sizeof(proxy->hit_command), "%s", command);
    }
    pthread_mutex_unlock(&proxy->lock);
    return hit ? proxy->plan.fault : DKV_FAULT_NONE;
}

static void note_session(struct dkv_fault_proxy *proxy, const bson_t *body)
{
    bson_iter_t iter, id;
    bson_subtype_t subtype;
    uint32_t len = 0;
    const uint8_t *bytes = NULL;
    struct dkv_uuid session;
    if (!bson_iter_init(&iter, body) || !bson_iter_find_descendant(&iter, "lsid.id", &id) ||
        !BSON_ITER_HOLDS_BINARY(&id)) {
        return;
    }
    bson_iter_binary(&id, &subtype, &len, &bytes);
    if (len != sizeof(session.bytes)) {
        return;
    }
    memcpy(session.bytes, bytes, len);
    pthread_mutex_lock(&proxy->lock);
    const bool is_new = proxy->n_sessions == 0 || !dkv_uuid_equal(&proxy->sessions[proxy->n_sessions - 1], &session);
    if (is_new && proxy->n_sessions < DKV_FAULT_SESSIONS_MAX) {
        proxy->sessions[proxy->n_sessions++] = session;
    }
    pthread_mutex_unlock(&proxy->lock);
}

static void request_is_over(struct dkv_fault_proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    if (--proxy->busy == 0) {
        pthread_cond_broadcast(&proxy->idle);
    }
    pthread_mutex_unlock(&proxy->lock);
}

/* ---- One connection ---- */

static struct dkv_wire_wait until_stopped(const struct link *link)
{
    return (struct dkv_wire_wait){.stop_fd = link->proxy->stop[0], .timeout_ms = -1};
}

static void hold(const struct link *link)
{
    struct pollfd polled = {.fd = link->proxy->stop[0], .events = POLLIN};
    (void)poll(&polled, 1, (int)link->proxy->plan.hold_ms);
}

static bool send_to(const struct link *link, int fd, struct dkv_span bytes)
{
    const struct dkv_wire_wait wait = until_stopped(link);
    return dkv_wire_write(fd, &wait, bytes) == DKV_WIRE_OK;
}

static bool receive_from(const struct link *link, int fd, struct dkv_buf *ret)
{
    const struct dkv_wire_wait wait = until_stopped(link);
    return dkv_wire_read(fd, &wait, ret) == DKV_WIRE_OK;
}

/* false: the connection ends here, by the fault or because somebody has gone. */
static bool give_reply(const struct link *link, struct dkv_span reply, enum dkv_fault fault)
{
    switch (fault) {
    case DKV_FAULT_CUT_AFTER:
        return false;
    case DKV_FAULT_CUT_MIDDLE:
        (void)send_to(link, link->client, dkv_span(reply.data, reply.len / 2));
        return false;
    case DKV_FAULT_DELAY:
        hold(link);
        break;
    default:
        break;
    }
    return send_to(link, link->client, reply);
}

static bool ask_server(const struct link *link, struct dkv_span request, enum dkv_fault fault, struct dkv_buf *reply)
{
    if (fault == DKV_FAULT_CUT_BEFORE) {
        return false;
    }
    if (fault == DKV_FAULT_DELAY_REQUEST) {
        hold(link);
    }
    return send_to(link, link->server, request) && receive_from(link, link->server, reply);
}

static bool carry_counted(const struct link *link, struct dkv_span request, const char *command)
{
    const enum dkv_fault fault = number_request(link->proxy, command);
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf reply = {0};
    const bool answered = ask_server(link, request, fault, &reply);
    request_is_over(link->proxy);
    return answered && give_reply(link, dkv_span_buf(&reply), fault);
}

static bool carry_request(const struct link *link)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf request = {0};
    struct dkv_wire_message message = {0};
    if (!receive_from(link, link->client, &request) || !dkv_wire_parse(dkv_span_buf(&request), &message)) {
        return false;
    }
    note_session(link->proxy, message.body);
    const bool alive = is_counted(message.command) ? carry_counted(link, dkv_span_buf(&request), message.command)
                                                   : send_to(link, link->server, dkv_span_buf(&request));
    dkv_wire_message_done(&message);
    return alive;
}

static bool carry_reply(const struct link *link)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf reply = {0};
    return receive_from(link, link->server, &reply) && send_to(link, link->client, dkv_span_buf(&reply));
}

static bool carry(const struct link *link)
{
    struct pollfd polled[] = {{.fd = link->client, .events = POLLIN},
                              {.fd = link->server, .events = POLLIN},
                              {.fd = link->proxy->stop[0], .events = POLLIN}};
    if (poll(polled, DKV_COUNT(polled), -1) <= 0 || polled[2].revents != 0) {
        return false;
    }
    return polled[1].revents != 0 ? carry_reply(link) : carry_request(link);
}

static void *run_link(void *arg)
{
    const struct link *link = arg;
    while (carry(link)) {
    }
    close(link->client);
    close(link->server);
    return NULL;
}

/* ---- Accepting ---- */

static bool add_link(struct dkv_fault_proxy *proxy, int client)
{
    struct link *link = dkv_calloc(1, sizeof(*link));
    if (link == NULL) {
        return false;
    }
    *link = (struct link){.next = proxy->links, .proxy = proxy, .client = client,
                          .server = dkv_wire_connect(proxy->server_port)};
    if (link->server < 0 || pthread_create(&link->thread, NULL, run_link, link) != 0) {
        if (link->server >= 0) {
            close(link->server);
        }
        dkv_free(link);
        return false;
    }
    proxy->links = link;
    return true;
}

static void *run_acceptor(void *arg)
{
    struct dkv_fault_proxy *proxy = arg;
    const struct dkv_wire_wait wait = {.stop_fd = proxy->stop[0], .timeout_ms = -1};
    for (;;) {
        const int client = dkv_wire_accept(proxy->listener, &wait);
        if (client < 0) {
            return NULL;
        }
        if (!add_link(proxy, client)) {
            close(client);
        }
    }
}

/* ---- The proxy ---- */

static void close_if_open(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static void free_proxy(struct dkv_fault_proxy *proxy)
{
    close_if_open(proxy->listener);
    close_if_open(proxy->stop[0]);
    close_if_open(proxy->stop[1]);
    pthread_mutex_destroy(&proxy->lock);
    pthread_cond_destroy(&proxy->idle);
    dkv_free(proxy);
}

struct dkv_fault_proxy *dkv_fault_proxy_start(uint16_t server_port, const struct dkv_fault_plan *plan)
{
    struct dkv_fault_proxy *proxy = dkv_calloc(1, sizeof(*proxy));
    if (proxy == NULL) {
        return NULL;
    }
    proxy->server_port = server_port;
    proxy->plan = plan != NULL ? *plan : (struct dkv_fault_plan){.fault = DKV_FAULT_NONE};
    proxy->stop[0] = proxy->stop[1] = -1;
    pthread_mutex_init(&proxy->lock, NULL);
    pthread_cond_init(&proxy->idle, NULL);
    proxy->listener = dkv_wire_listen(&proxy->port);
    if (proxy->listener < 0 || pipe(proxy->stop) != 0 ||
        pthread_create(&proxy->acceptor, NULL, run_acceptor, proxy) != 0) {
        free_proxy(proxy);
        return NULL;
    }
    return proxy;
}

void dkv_fault_proxy_stop(struct dkv_fault_proxy *proxy)
{
    if (proxy == NULL) {
        return;
    }
    close(proxy->stop[1]); /* the other end becomes readable: all of it, for ever */
    proxy->stop[1] = -1;
    pthread_join(proxy->acceptor, NULL);
    while (proxy->links != NULL) {
        struct link *link = proxy->links;
        proxy->links = link->next;
        pthread_join(link->thread, NULL);
        dkv_free(link);
    }
    free_proxy(proxy);
}

uint16_t dkv_fault_proxy_port(const struct dkv_fault_proxy *proxy)
{
    return proxy->port;
}

void dkv_fault_proxy_settle(struct dkv_fault_proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    while (proxy->busy > 0) {
        pthread_cond_wait(&proxy->idle, &proxy->lock);
    }
    pthread_mutex_unlock(&proxy->lock);
}

static unsigned locked_value(struct dkv_fault_proxy *proxy, const unsigned *value)
{
    pthread_mutex_lock(&proxy->lock);
    const unsigned result = *value;
    pthread_mutex_unlock(&proxy->lock);
    return result;
}

unsigned dkv_fault_proxy_count(struct dkv_fault_proxy *proxy)
{
    return locked_value(proxy, &proxy->counted);
}

unsigned dkv_fault_proxy_hits(struct dkv_fault_proxy *proxy)
{
    return locked_value(proxy, &proxy->hits);
}

const char *dkv_fault_proxy_command(struct dkv_fault_proxy *proxy, unsigned step)
{
    return step >= 1 && step <= DKV_FAULT_COMMANDS_MAX ? proxy->commands[step - 1] : "";
}

size_t dkv_fault_proxy_sessions(struct dkv_fault_proxy *proxy, struct dkv_uuid *ret, size_t max)
{
    pthread_mutex_lock(&proxy->lock);
    const size_t n = proxy->n_sessions < max ? proxy->n_sessions : max;
    memcpy(ret, proxy->sessions, n * sizeof(*ret));
    pthread_mutex_unlock(&proxy->lock);
    return n;
}
