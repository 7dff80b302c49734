/* SPDX-License-Identifier: Apache-2.0 */
/* A MongoDB server that follows a script, in threads of the test's own process: for what no server does on demand, and
 * for seeing the very commands that are sent. It stores nothing: unscripted, an insert succeeds and a find is empty. */
#ifndef TESTS_LIB_MONGO_STUB_H
#define TESTS_LIB_MONGO_STUB_H

#include "tests/lib/wire.h"

enum dkv_stub_kind {
    DKV_STUB_REPLICA_SET, /* the primary and only member of "rs0" */
    DKV_STUB_MONGOS,
    DKV_STUB_STANDALONE   /* no sessions: no retryable writes */
};

enum dkv_stub_action {
    DKV_STUB_REPLY, /* after delay_ms */
    DKV_STUB_RESET, /* close with a reset, as a server that dies */
    DKV_STUB_CLOSE, /* close orderly once the command is taken, without a reply */
    DKV_STUB_HALF   /* send half of the reply, then close */
};

/* Fills reply, which is empty. Called under the stub's lock, in one of its threads. */
typedef void (*dkv_stub_respond_fn)(void *arg, const bson_t *command, bson_t *reply);

/* What to do with a command: the first rule that fits. Of respond, documents and reply the first that is set answers,
 * else the reply that a healthy server gives. */
struct dkv_stub_rule {
    const char *command; /* NULL: no rule */
    unsigned from, to; /* its calls since the script began, from 1; 0: no bound */
    enum dkv_stub_action action;
    int delay_ms;
    const char *reply; /* Extended JSON, with ' for " */
    const struct dkv_span *documents; /* a cursor's first or next batch */
    size_t n_documents;
    int64_t cursor_id; /* 0: the batch is the last */
    dkv_stub_respond_fn respond;
    void *arg;
};
#define DKV_STUB_ERROR_WITH(code, name, labels)                                                                 \
    "{'ok':0,'code':" #code ",'codeName':'" name "','errmsg':'the stub says " name "','errorLabels':[" labels "]}"
#define DKV_STUB_ERROR(code, name) DKV_STUB_ERROR_WITH(code, name, "")
#define DKV_STUB_RETRYABLE "'RetryableWriteError'"
#define DKV_STUB_WRITE_CONCERN_ERROR(code, name)                                                                \
    "{'ok':1,'n':1,'nModified':1,'writeConcernError':{'code':" #code ",'codeName':'" name                       \
    "','errmsg':'the stub says " name "'}}"
/* One write error of the first document. */
#define DKV_STUB_WRITE_ERROR(code, text)                                                                        \
    "{'ok':1,'n':0,'writeErrors':[{'index':0,'code':" #code ",'errmsg':'" text "'}]}"

struct dkv_stub;

/* dkv_stub_start: listens when it returns. NULL: it can't. dkv_stub_stop takes NULL. */
struct dkv_stub *dkv_stub_start(enum dkv_stub_kind kind);
void dkv_stub_stop(struct dkv_stub *stub);
uint16_t dkv_stub_port(const struct dkv_stub *stub);
/* dkv_stub_uri: the stub's, with these options ("&w=1") behind. Borrowed, until the next call. */
const char *dkv_stub_uri(struct dkv_stub *stub, const char *options);

/* dkv_stub_script: these rules from now on, instead of any others; forgets the commands and counts calls anew. The rules
 * and what they point to must last as long as the script. */
void dkv_stub_script(struct dkv_stub *stub, const struct dkv_stub_rule *rules, size_t n);

/* What it was sent since the script began, in order of arrival, but for hello, ping, endSessions and killCursors: these
 * come from the driver alone, though they may be scripted. Borrowed, until the next dkv_stub_script or the end. */
size_t dkv_stub_count(struct dkv_stub *stub, const char *command);
/* dkv_stub_nth: from 1; NULL: there is none. */
const bson_t *dkv_stub_nth(struct dkv_stub *stub, const char *command, size_t nth);
const bson_t *dkv_stub_at(struct dkv_stub *stub, size_t index);
/* dkv_stub_said: the names, "listIndexes insert". */
const char *dkv_stub_said(struct dkv_stub *stub);

/* ---- mongo_stub_reply.c ---- */

bool dkv_stub_is_driver_chatter(const char *command);
/* dkv_stub_default_reply: what a healthy server says. */
void dkv_stub_default_reply(enum dkv_stub_kind kind, uint16_t port, const bson_t *command, bson_t *reply);
/* dkv_stub_cursor_reply: these documents, for find, aggregate, listIndexes and getMore. */
void dkv_stub_cursor_reply(const bson_t *command, int64_t cursor_id, const struct dkv_span *documents, size_t n,
                           bson_t *reply);
/* dkv_stub_json: Extended JSON, with ' for \", as a new document; what is none is a broken test, and ends it.
 * dkv_stub_put_json appends its fields. */
bson_t *dkv_stub_json(const char *json);
void dkv_stub_put_json(bson_t *reply, const char *json);

#endif
