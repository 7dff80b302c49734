/* SPDX-License-Identifier: Apache-2.0 */
/* mongo-eval DATABASE: runs one command, given as Extended JSON on standard input, on the server that MONGO_EVAL_URI
 * names, and prints the reply as Extended JSON. For tests that plant, look at or administer what dekvault doesn't.
 * The URI isn't an argument: it may hold a password. Exit code 1: refused, the reply on standard error; 2: usage.
 * One thread; no lock. */
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX (4u << 20)

static char input[INPUT_MAX + 1];

static bool read_input(bson_t *ret)
{
    bson_error_t error;
    const size_t len = fread(input, 1, INPUT_MAX, stdin);
    if (ferror(stdin) || !feof(stdin)) {
        fputs("mongo-eval: the command is too long or can't be read\n", stderr);
        return false;
    }
    if (!bson_init_from_json(ret, input, (ssize_t)len, &error)) {
        fprintf(stderr, "mongo-eval: %s\n", error.message);
        return false;
    }
    return true;
}

static mongoc_client_t *connect_to(const char *text)
{
    bson_error_t error;
    if (text == NULL) {
        fputs("mongo-eval: MONGO_EVAL_URI isn't set\n", stderr);
        return NULL;
    }
    mongoc_uri_t *uri = mongoc_uri_new_with_error(text, &error);
    if (uri == NULL) {
        fputs("mongo-eval: MONGO_EVAL_URI isn't a MongoDB URI\n", stderr);
        return NULL;
    }
    mongoc_client_t *client = mongoc_client_new_from_uri(uri);
    mongoc_uri_destroy(uri);
    return client;
}

static void print(FILE *to, const bson_t *reply)
{
    char *text = bson_as_canonical_extended_json(reply, NULL);
    fprintf(to, "%s\n", text);
    bson_free(text);
}

/* A reply with ok: 1 may still say that a write was refused. */
static bool run(mongoc_client_t *client, const char *database, const bson_t *command)
{
    bson_t reply;
    bson_error_t error;
    bool ok = mongoc_client_command_simple(client, database, command, NULL /* read preference */, &reply, &error);
    if (!ok) {
        fprintf(stderr, "mongo-eval: %s\n", error.message);
    }
    ok = ok && !bson_has_field(&reply, "writeErrors") && !bson_has_field(&reply, "writeConcernError");
    print(ok ? stdout : stderr, &reply);
    bson_destroy(&reply);
    return ok;
}

int main(int argc, char **argv)
{
    bson_t command;
    if (argc != 2 || argv[1][0] == '-') {
        fputs("usage: MONGO_EVAL_URI=mongodb://... mongo-eval DATABASE <COMMAND.json\n", stderr);
        return 2;
    }
    if (!read_input(&command)) {
        return 2;
    }
    mongoc_init();
    mongoc_client_t *client = connect_to(secure_getenv("MONGO_EVAL_URI"));
    bool ok = false;
    if (client != NULL) {
        mongoc_client_set_error_api(client, MONGOC_ERROR_API_VERSION_2);
        ok = run(client, argv[1], &command);
        mongoc_client_destroy(client);
    }
    bson_destroy(&command);
    mongoc_cleanup();
    return ok ? 0 : 1;
}
