/* SPDX-License-Identifier: Apache-2.0 */
/* A database of its own for one thread of the fault matrix: brought to a known state, and looked at, over a connection
 * that has nothing to do with the store under test. What can't be done ends the program: there is nothing to test. */
#ifndef TESTS_FAULTS_MONGODB_LAB_H
#define TESTS_FAULTS_MONGODB_LAB_H

#include <mongoc/mongoc.h>

#include "base/bytes.h"
#include "vault/store.h"

#define DKV_LAB_COLLECTION "keys"
/* Keys that are there from the start: ids all 0x11 (names "one", "uno"), 0x22 ("two"), 0x33 (none). State: "s1" and
 * "s2". */
#define DKV_LAB_MATERIAL "wrapped bytes"
#define DKV_LAB_STATE_VALUE "value"

/* What is in a database: a line for each document and each index, sorted. */
struct dkv_lines {
    char **texts;
    size_t n;
};

struct dkv_lab {
    unsigned number;
    uint16_t server_port;
    char database[64], name_space[80];
    mongoc_client_t *client;
    mongoc_collection_t *keys, *state;
    struct dkv_store *direct; /* the store under test, but without a proxy in between */
    bson_error_t error;
    struct dkv_lines seen; /* while looking */
};

/* dkv_lab_server_port: of the server at this URI that takes writes; 0: it isn't on the loopback interface, or its
 * connections aren't plain TCP, so that no proxy can be in between. */
uint16_t dkv_lab_server_port(const char *uri);
void dkv_lab_open(struct dkv_lab *lab, uint16_t server_port, unsigned number);
/* dkv_lab_close: drops the database. */
void dkv_lab_close(struct dkv_lab *lab);

void dkv_lab_uri(uint16_t port, char *uri, size_t capacity);
enum dkv_rc dkv_lab_open_store(const struct dkv_lab *lab, uint16_t port, uint32_t timeout_ms, struct dkv_store **ret,
                               struct dkv_error *err);

/* dkv_lab_prepare: the state above, and n_more keys without names. */
void dkv_lab_prepare(struct dkv_lab *lab, unsigned n_more, bool with_index);
/* dkv_lab_look: keys that the operation made itself (by their _id) are written without what is random in them;
 * without_dates: no updateDate. */
void dkv_lab_look(struct dkv_lab *lab, bool without_dates, struct dkv_lines *ret);

/* dkv_lab_end_sessions: kill them, with the cursors that were left open in them. */
void dkv_lab_end_sessions(struct dkv_lab *lab, const struct dkv_uuid *ids, size_t n);

void dkv_lines_done(struct dkv_lines *lines);
bool dkv_lines_equal(const struct dkv_lines *a, const struct dkv_lines *b);
/* dkv_lines_missing: a line of a that b lacks, or has fewer times; NULL: none. Borrowed. */
const char *dkv_lines_missing(const struct dkv_lines *a, const struct dkv_lines *b);

struct dkv_uuid dkv_lab_id(uint8_t byte, unsigned number);
/* dkv_lab_key: append a key document's bytes; names up to the first NULL. */
void dkv_lab_key(const struct dkv_uuid *id, const char *first_name, const char *second_name, struct dkv_buf *ret);
void dkv_lab_master_key(const char *key_id, struct dkv_buf *ret);

#define DKV_LAB_MUST(condition) dkv_lab_must((condition), #condition, __FILE__, __LINE__)
void dkv_lab_must(bool condition, const char *text, const char *file, int line);

#endif
