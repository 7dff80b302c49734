/* SPDX-License-Identifier: Apache-2.0 */
/* A connection for a call, and a write's second attempt. A connection belongs to one thread from dkv_mongodb_connect to
 * dkv_mongodb_done. Lock: the pool's own. */
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "vault/store/mongodb.h"

#define COLLISIONS_MAX 4u

/* The first pop starts libmongoc's monitoring threads, which keep the mask of the thread that starts them: with
 * everything blocked, the signals of the program that we are in are never delivered there. */
static mongoc_client_t *pop(mongoc_client_pool_t *pool)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    mongoc_client_t *client = mongoc_client_pool_pop(pool);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return client;
}

/* Of a direct connection libmongoc asks whatever is at its end, while what a secondary says of a key may be out of
 * date. */
static enum dkv_rc check_primary(const struct dkv_mongodb_connection *connection, struct dkv_error *err)
{
    const struct dkv_mongodb_store *store = connection->store;
    bson_error_t error = {0};
    mongoc_server_description_t *server = mongoc_client_select_server(connection->client, true /* for_writes */,
                                                                      NULL /* read preference */, &error);
    if (server == NULL) {
        return dkv_mongodb_fail(store, "connecting to", &error, NULL, err);
    }
    const char *type = mongoc_server_description_type(server);
    const bool is_other = strncmp(type, "RS", strlen("RS")) == 0 && strcmp(type, "RSPrimary") != 0;
    mongoc_server_description_destroy(server);
    DKV_CHECK(!is_other, err, DKV_E_UNREACHABLE,
              "connecting to %s: it isn't the primary of its replica set, and the URI has directConnection=true: leave "
              "that out, or name the primary", store->where);
    return DKV_OK;
}

enum dkv_rc dkv_mongodb_connect(struct dkv_mongodb_store *store, enum dkv_mongodb_collection which,
                                struct dkv_mongodb_connection *ret, struct dkv_error *err)
{
    DKV_CHECK(store->pid == getpid(), err, DKV_E_INVALID,
              "the vault %s was opened before fork(); open it again in the child", store->where);
    mongoc_client_t *client = pop(store->pool);
    DKV_CHECK(client != NULL, err, DKV_E_TRANSIENT,
              "the vault %s: all connections were in use for %u ms; call from fewer threads at once", store->where,
              store->timeout_ms);
    struct dkv_mongodb_connection connection = {
        .store = store,
        .client = client,
        .collection = mongoc_client_get_collection(client, store->database, store->collections[which]),
    };
    const enum dkv_rc rc = store->is_direct ? check_primary(&connection, err) : DKV_OK;
    if (rc != DKV_OK) {
        dkv_mongodb_done(&connection);
        return rc;
    }
    *ret = connection;
    return DKV_OK;
}

void dkv_mongodb_done(struct dkv_mongodb_connection *connection)
{
    if (connection->client != NULL) {
        mongoc_collection_destroy(connection->collection);
        mongoc_client_pool_push(connection->store->pool, connection->client);
    }
    *connection = (struct dkv_mongodb_connection){0};
}

/* ---- Attempts ---- */

static enum dkv_rc attempt_once(struct dkv_mongodb_store *store, enum dkv_mongodb_collection which,
                                dkv_mongodb_attempt_fn attempt, void *arg, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_mongodb_done) struct dkv_mongodb_connection connection = {0};
    DKV_TRY(dkv_mongodb_connect(store, which, &connection, err));
    return attempt(&connection, arg, err);
}

/* The server undid what collided with another write (112 of a replica set, a deadlock of DocumentDB): nothing is in
 * doubt, and what collided will do so less often after a moment. */
static bool has_collided(enum dkv_rc rc, const struct dkv_error *error)
{
    return rc == DKV_E_TRANSIENT && strcmp(error->native_name, DKV_MONGODB_WRITE_CONFLICT) == 0;
}

/* 10 ms, doubled each time, and up to as much again, which differs from process to process. */
static void pause_after(unsigned n)
{
    const long base_ns = 10000000L << n;
    const struct timespec pause = {.tv_nsec = base_ns + (long)(getpid() % 64) * (base_ns / 64)};
    (void)nanosleep(&pause, NULL);
}

/* Attempts it, once more after DKV_E_TRANSIENT, and up to COLLISIONS_MAX times more after a collision. *ret_doubtful:
 * an attempt before the last may have been carried out. */
static enum dkv_rc attempt_again(struct dkv_mongodb_store *store, enum dkv_mongodb_collection which,
                                 dkv_mongodb_attempt_fn attempt, void *arg, bool *ret_doubtful, struct dkv_error *err)
{
    struct dkv_error last = {0};
    enum dkv_rc rc = attempt_once(store, which, attempt, arg, &last);
    for (unsigned n = 0; has_collided(rc, &last) && n < COLLISIONS_MAX; n++) {
        pause_after(n);
        last = (struct dkv_error){0};
        rc = attempt_once(store, which, attempt, arg, &last);
    }
    *ret_doubtful = rc == DKV_E_TRANSIENT && !has_collided(rc, &last);
    if (*ret_doubtful) {
        return attempt_once(store, which, attempt, arg, err);
    }
    return dkv_fail_as(err, rc, &last);
}

enum dkv_rc dkv_mongodb_read(struct dkv_mongodb_store *store, enum dkv_mongodb_collection which,
                             dkv_mongodb_attempt_fn attempt, void *arg, struct dkv_error *err)
{
    bool doubtful = false;
    return attempt_again(store, which, attempt, arg, &doubtful, err);
}

/* Errors told by looking at what is stored: the first attempt did not do it. */
static bool is_settled(enum dkv_rc rc)
{
    return rc == DKV_E_CONFLICT || rc == DKV_E_NOT_FOUND || rc == DKV_E_REJECTED_CIPHERTEXT || rc == DKV_E_INVALID;
}

enum dkv_rc dkv_mongodb_write(struct dkv_mongodb_store *store, enum dkv_mongodb_collection which,
                              dkv_mongodb_attempt_fn attempt, void *arg, struct dkv_error *err)
{
    bool doubtful = false;
    const enum dkv_rc rc = attempt_again(store, which, attempt, arg, &doubtful, err);
    if (rc != DKV_OK && doubtful && !is_settled(rc)) {
        dkv_error_append(err, "; an earlier attempt failed midway, so it may or may not have been done: look before "
                              "doing it again");
    }
    return rc;
}
