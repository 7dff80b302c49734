/* SPDX-License-Identifier: Apache-2.0 */
/* The fault matrix's databases, by libmongoc's plain calls. Each lab has one thread; no lock. Two states are compared
 * as sorted lines of text, so that what is missing or too much can be shown. */
#include "tests/faults/mongodb_lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "vault/document.h"

#define TRIES 25u
#define PAUSE_US 200000u

void dkv_lab_must(bool condition, const char *text, const char *file, int line)
{
    if (!condition) {
        printf("Bail out! %s:%d: %s\n", file, line, text);
        fflush(stdout);
        _exit(99);
    }
}

/* ---- Documents ---- */

struct dkv_uuid dkv_lab_id(uint8_t byte, unsigned number)
{
    struct dkv_uuid id;
    memset(id.bytes, byte, sizeof(id.bytes));
    id.bytes[14] ^= (uint8_t)(number >> 8);
    id.bytes[15] ^= (uint8_t)number;
    return id;
}

/* Made by dkv_lab_id. */
static bool is_ours(const uint8_t *id)
{
    for (size_t i = 1; i < 14; i++) {
        if (id[i] != id[0]) {
            return false;
        }
    }
    return true;
}

void dkv_lab_master_key(const char *key_id, struct dkv_buf *ret)
{
    bson_t bson = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&bson, "provider", "pkcs11:lab");
    BSON_APPEND_UTF8(&bson, "keyId", key_id);
    DKV_LAB_MUST(dkv_buf_append(ret, dkv_span(bson_get_data(&bson), bson.len), NULL) == DKV_OK);
    bson_destroy(&bson);
}

void dkv_lab_key(const struct dkv_uuid *id, const char *first_name, const char *second_name, struct dkv_buf *ret)
{
    const char *names[] = {first_name, second_name};
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf master_key = {0};
    dkv_lab_master_key("old", &master_key);
    const struct dkv_document document = {
        .id = *id,
        .alt_names = names,
        .n_alt_names = second_name != NULL ? 2 : first_name != NULL ? 1 : 0,
        .key_material = dkv_span_str(DKV_LAB_MATERIAL),
        .creation_date_ms = 1600000000000,
        .update_date_ms = 1600000000000,
        .master_key = dkv_span_buf(&master_key),
    };
    DKV_LAB_MUST(dkv_document_write(&document, ret, NULL) == DKV_OK);
}

/* ---- The server ---- */

uint16_t dkv_lab_server_port(const char *uri)
{
    mongoc_client_t *client = mongoc_client_new(uri);
    bson_error_t error;
    uint16_t port = 0;
    if (client != NULL && !mongoc_uri_get_tls(mongoc_client_get_uri(client))
        && mongoc_uri_get_username(mongoc_client_get_uri(client)) == NULL) {
        mongoc_server_description_t *server = mongoc_client_select_server(client, true, NULL, &error);
        DKV_LAB_MUST(server != NULL);
        const mongoc_host_list_t *host = mongoc_server_description_host(server);
        port = strcmp(host->host, "127.0.0.1") == 0 || strcmp(host->host, "localhost") == 0 ? host->port : 0;
        mongoc_server_description_destroy(server);
    }
    mongoc_client_destroy(client);
    return port;
}

enum dkv_rc dkv_lab_open_store(const struct dkv_lab *lab, uint16_t port, uint32_t timeout_ms, struct dkv_store **ret,
                               struct dkv_error *err)
{
    char uri[128];
    dkv_lab_uri(port, uri, sizeof(uri));
    const struct dkv_store_settings settings = {
        .location = uri, .name_space = lab->name_space, .timeout_ms = timeout_ms};
    return dkv_mongodb_store_ops.open(&settings, false, NULL, ret, err);
}

/* Directly, or a driver would go round the proxy to where the replica set says that its members are. */
void dkv_lab_uri(uint16_t port, char *uri, size_t capacity)
{
    snprintf(uri, capacity, "mongodb://127.0.0.1:%u/?directConnection=true", (unsigned)port);
}

void dkv_lab_open(struct dkv_lab *lab, uint16_t server_port, unsigned number)
{
    char uri[128];
    *lab = (struct dkv_lab){.number = number, .server_port = server_port};
    snprintf(lab->database, sizeof(lab->database), "dkv_faults_%ld_%u", (long)getpid(), number);
    snprintf(lab->name_space, sizeof(lab->name_space), "%s.%s", lab->database, DKV_LAB_COLLECTION);
    dkv_lab_uri(server_port, uri, sizeof(uri));
    lab->client = mongoc_client_new(uri);
    DKV_LAB_MUST(lab->client != NULL);
    lab->keys = mongoc_client_get_collection(lab->client, lab->database, DKV_LAB_COLLECTION);
    lab->state = mongoc_client_get_collection(lab->client, lab->database, DKV_LAB_COLLECTION ".dekvault");
    DKV_LAB_MUST(dkv_lab_open_store(lab, server_port, 10000, &lab->direct, NULL) == DKV_OK);
}

void dkv_lab_close(struct dkv_lab *lab)
{
    mongoc_database_t *database = mongoc_client_get_database(lab->client, lab->database);
    bson_error_t error;
    DKV_LAB_MUST(mongoc_database_drop(database, &error));
    mongoc_database_destroy(database);
    mongoc_collection_destroy(lab->keys);
    mongoc_collection_destroy(lab->state);
    mongoc_client_destroy(lab->client);
    lab->direct->ops->close(lab->direct);
    *lab = (struct dkv_lab){0};
}

/* ---- A known state ---- */

/* The server is shared and may be at its limits; whatever is done here may be done again. */
static void patiently(struct dkv_lab *lab, bool (*step)(struct dkv_lab *lab, const void *arg), const void *arg)
{
    for (unsigned i = 0; i < TRIES; i++) {
        if (step(lab, arg)) {
            return;
        }
        usleep(PAUSE_US);
    }
    dkv_lab_must(false, lab->error.message, lab->database, 0);
}

static bool empty(struct dkv_lab *lab, mongoc_collection_t *collection)
{
    bson_t all = BSON_INITIALIZER;
    const bool done = mongoc_collection_delete_many(collection, &all, NULL, NULL, &lab->error);
    bson_destroy(&all);
    return done;
}

static bool set_index(struct dkv_lab *lab, bool wanted)
{
    if (!wanted) {
        const bool dropped = mongoc_collection_drop_index(lab->keys, "keyAltNames_1", &lab->error);
        return dropped || lab->error.code == 27 || lab->error.code == 26; /* IndexNotFound, NamespaceNotFound */
    }
    bson_t *command = BCON_NEW("createIndexes", DKV_LAB_COLLECTION, "indexes", "[", "{", "name", "keyAltNames_1", "key",
                               "{", "keyAltNames", BCON_INT32(1), "}", "unique", BCON_BOOL(true),
                               "partialFilterExpression", "{", "keyAltNames", "{", "$exists", BCON_BOOL(true), "}", "}",
                               "}", "]");
    const bool made =
        mongoc_client_write_command_with_opts(lab->client, lab->database, command, NULL, NULL, &lab->error);
    bson_destroy(command);
    return made;
}

static void insert(mongoc_bulk_operation_t *bulk, const struct dkv_uuid *id, const char *name, const char *other_name)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    bson_t bson;
    dkv_lab_key(id, name, other_name, &bytes);
    DKV_LAB_MUST(bson_init_static(&bson, bytes.data, bytes.len));
    mongoc_bulk_operation_insert(bulk, &bson);
}

static bool run_bulk(struct dkv_lab *lab, mongoc_bulk_operation_t *bulk)
{
    bson_t reply;
    const bool done = mongoc_bulk_operation_execute(bulk, &reply, &lab->error) != 0;
    bson_destroy(&reply);
    mongoc_bulk_operation_destroy(bulk);
    return done;
}

static bool insert_keys(struct dkv_lab *lab, unsigned n_more)
{
    const struct dkv_uuid one = dkv_lab_id(0x11, 0), two = dkv_lab_id(0x22, 0), three = dkv_lab_id(0x33, 0);
    mongoc_bulk_operation_t *bulk = mongoc_collection_create_bulk_operation_with_opts(lab->keys, NULL);
    insert(bulk, &one, "one", "uno");
    insert(bulk, &two, "two", NULL);
    insert(bulk, &three, NULL, NULL);
    for (unsigned i = 0; i < n_more; i++) {
        const struct dkv_uuid id = dkv_lab_id(0x55, i);
        insert(bulk, &id, NULL, NULL);
    }
    return run_bulk(lab, bulk);
}

/* By the store itself: how it keeps its state is its own affair. */
static bool insert_state(struct dkv_lab *lab)
{
    static const char *const keys[] = {"s1", "s2"};
    const struct dkv_span value = dkv_span_str(DKV_LAB_STATE_VALUE);
    struct dkv_error err = {0};
    for (size_t i = 0; i < DKV_COUNT(keys); i++) {
        if (lab->direct->ops->state_put(lab->direct, keys[i], (struct dkv_span){0}, value, &err) != DKV_OK) {
            bson_set_error(&lab->error, 0, 0, "%s", err.message);
            return false;
        }
    }
    return true;
}

struct wish {
    unsigned n_more;
    bool with_index;
};

static bool try_to_prepare(struct dkv_lab *lab, const void *arg)
{
    const struct wish *wish = arg;
    return empty(lab, lab->keys) && empty(lab, lab->state) && set_index(lab, wish->with_index) &&
           insert_keys(lab, wish->n_more) && insert_state(lab);
}

void dkv_lab_prepare(struct dkv_lab *lab, unsigned n_more, bool with_index)
{
    const struct wish wish = {.n_more = n_more, .with_index = with_index};
    patiently(lab, try_to_prepare, &wish);
}

/* ---- Looking ---- */

static void add_line(struct dkv_lines *lines, const char *what, const bson_t *bson)
{
    char *json = bson_as_canonical_extended_json(bson, NULL);
    char **more = dkv_realloc(lines->texts, (lines->n + 1) * sizeof(*more));
    DKV_LAB_MUST(json != NULL && more != NULL);
    lines->texts = more;
    lines->texts[lines->n++] = bson_strdup_printf("%s %s", what, json);
    bson_free(json);
}

static bool has_our_id(const bson_t *document)
{
    bson_iter_t iter;
    bson_subtype_t subtype;
    uint32_t len = 0;
    const uint8_t *id = NULL;
    if (bson_iter_init_find(&iter, document, "_id") && BSON_ITER_HOLDS_BINARY(&iter)) {
        bson_iter_binary(&iter, &subtype, &len, &id);
    }
    return len == 16 && is_ours(id);
}

static void add_key(struct dkv_lines *lines, const bson_t *document, bool without_dates)
{
    bson_t shown = BSON_INITIALIZER;
    if (!has_our_id(document)) {
        bson_copy_to_excluding_noinit(document, &shown, "_id", "keyMaterial", "creationDate", "updateDate", NULL);
        add_line(lines, "new key", &shown);
    } else if (without_dates) {
        bson_copy_to_excluding_noinit(document, &shown, "updateDate", NULL);
        add_line(lines, "key", &shown);
    } else {
        add_line(lines, "key", document);
    }
    bson_destroy(&shown);
}

static void add_index(struct dkv_lines *lines, const bson_t *document)
{
    bson_t shown = BSON_INITIALIZER;
    bson_copy_to_excluding_noinit(document, &shown, "v", "ns", NULL);
    add_line(lines, "index", &shown);
    bson_destroy(&shown);
}

static bool add_all(struct dkv_lab *lab, mongoc_cursor_t *cursor, void (*add)(struct dkv_lines *, const bson_t *))
{
    const bson_t *document = NULL;
    while (mongoc_cursor_next(cursor, &document)) {
        add(&lab->seen, document);
    }
    const bool failed = mongoc_cursor_error(cursor, &lab->error);
    mongoc_cursor_destroy(cursor);
    return !failed;
}

static void add_dated_key(struct dkv_lines *lines, const bson_t *document)
{
    add_key(lines, document, false);
}

static void add_undated_key(struct dkv_lines *lines, const bson_t *document)
{
    add_key(lines, document, true);
}

static void add_state(struct dkv_lines *lines, const bson_t *document)
{
    add_line(lines, "state", document);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool try_to_look(struct dkv_lab *lab, const void *arg)
{
    const bool *without_dates = arg;
    bson_t all = BSON_INITIALIZER;
    dkv_lines_done(&lab->seen);
    const bool seen = add_all(lab, mongoc_collection_find_with_opts(lab->keys, &all, NULL, NULL),
                              *without_dates ? add_undated_key : add_dated_key) &&
                      add_all(lab, mongoc_collection_find_with_opts(lab->state, &all, NULL, NULL), add_state) &&
                      add_all(lab, mongoc_collection_find_indexes_with_opts(lab->keys, NULL), add_index);
    bson_destroy(&all);
    return seen;
}

void dkv_lab_look(struct dkv_lab *lab, bool without_dates, struct dkv_lines *ret)
{
    patiently(lab, try_to_look, &without_dates);
    qsort(lab->seen.texts, lab->seen.n, sizeof(*lab->seen.texts), compare_texts);
    dkv_lines_done(ret);
    *ret = lab->seen;
    lab->seen = (struct dkv_lines){0};
}

void dkv_lab_end_sessions(struct dkv_lab *lab, const struct dkv_uuid *ids, size_t n)
{
    bson_t command = BSON_INITIALIZER, array, item;
    BSON_APPEND_ARRAY_BEGIN(&command, "killSessions", &array);
    for (size_t i = 0; i < n; i++) {
        char room[16];
        const char *key = NULL;
        bson_uint32_to_string((uint32_t)i, &key, room, sizeof(room));
        BSON_APPEND_DOCUMENT_BEGIN(&array, key, &item);
        BSON_APPEND_BINARY(&item, "id", BSON_SUBTYPE_UUID, ids[i].bytes, sizeof(ids[i].bytes));
        bson_append_document_end(&array, &item);
    }
    bson_append_array_end(&command, &array);
    /* A server without sessions has none to kill. */
    (void)mongoc_client_command_simple(lab->client, "admin", &command, NULL, NULL, &lab->error);
    bson_destroy(&command);
}

/* ---- Lines ---- */

void dkv_lines_done(struct dkv_lines *lines)
{
    for (size_t i = 0; i < lines->n; i++) {
        bson_free(lines->texts[i]);
    }
    dkv_free(lines->texts);
    *lines = (struct dkv_lines){0};
}

const char *dkv_lines_missing(const struct dkv_lines *a, const struct dkv_lines *b)
{
    size_t j = 0;
    for (size_t i = 0; i < a->n; i++) {
        while (j < b->n && strcmp(b->texts[j], a->texts[i]) < 0) {
            j++;
        }
        if (j == b->n || strcmp(b->texts[j], a->texts[i]) != 0) {
            return a->texts[i];
        }
        j++;
    }
    return NULL;
}

bool dkv_lines_equal(const struct dkv_lines *a, const struct dkv_lines *b)
{
    return a->n == b->n && dkv_lines_missing(a, b) == NULL;
}
