/* SPDX-License-Identifier: Apache-2.0 */
/* mongodb-app FILE KEY DATABASE NAME [SSN]: store a person with an encrypted ssn, if one is given; then print NAME's.
 * KEY is an alt name in FILE's vault; the people are in DATABASE at MONGODB_URI, on the vault's server or another.
 * cc mongodb-app.c -o mongodb-app $(pkg-config --cflags --libs dekvault libmongoc-1.0) */
#include <dekvault/dekvault.h>
#include <mongoc/mongoc.h>

/* A value's bytes are what stands in a document behind its type and name: in {"": ssn} from the seventh on. */
static bool encrypt(struct dkv_dek *dek, const char *ssn, bson_t *person, struct dkv_error *err)
{
    bson_t *value = BCON_NEW("", BCON_UTF8(ssn));
    const struct dkv_bson_value plain = {BSON_TYPE_UTF8, {bson_get_data(value) + 6, value->len - 7}};
    struct dkv_buf sealed = {0};
    const bool done = dkv_field_encrypt(dek, DKV_RANDOM, plain, &sealed, err) == DKV_OK &&
                      BSON_APPEND_BINARY(person, "ssn", BSON_SUBTYPE_ENCRYPTED, sealed.data, (uint32_t)sealed.len);
    dkv_buf_done(&sealed);
    bson_destroy(value);
    return done;
}

static bool print(struct dkv_dek *dek, const bson_t *person, struct dkv_error *err)
{
    struct dkv_buf text = {0};
    const uint8_t *sealed = NULL;
    uint32_t len = 0;
    uint8_t type = 0;
    bson_iter_t ssn;
    if (bson_iter_init_find(&ssn, person, "ssn") && BSON_ITER_HOLDS_BINARY(&ssn)) {
        bson_iter_binary(&ssn, NULL /* subtype */, &len, &sealed);
    }
    const bool done = dkv_field_decrypt(dek, (struct dkv_span){sealed, len}, &type, &text, err) == DKV_OK &&
                      type == BSON_TYPE_UTF8 && puts((const char *)text.data + 4 /* behind its length */) >= 0;
    dkv_buf_done(&text);
    return done;
}

int main(int argc, char **argv)
{
    struct dkv_error err = {0};
    bson_error_t error = {.message = "no such person, or no text as ssn"};
    struct dkv_provider_file *file = NULL;
    struct dkv_vault *vault = NULL;
    struct dkv_dek *dek = NULL;
    const bson_t *found = NULL;
    mongoc_init();
    mongoc_client_t *client = argc > 4 ? mongoc_client_new(getenv("MONGODB_URI")) : NULL;
    if (client == NULL) {
        fputs("usage: MONGODB_URI=mongodb://... mongodb-app FILE KEY DATABASE NAME [SSN]\n", stderr);
        return 2;
    }
    const struct dkv_key_selector key = {.alt_name = argv[2]};
    mongoc_collection_t *people = mongoc_client_get_collection(client, argv[3], "people");
    bson_t *person = BCON_NEW("name", BCON_UTF8(argv[4]));
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(people, person, NULL /* opts */, NULL /* prefs */);
    const bool done = dkv_provider_file_open(argv[1], &file, &err) == DKV_OK &&
                      dkv_vault_open(file, NULL, &vault, &err) == DKV_OK &&
                      dkv_dek_open(vault, &key, &dek, &err) == DKV_OK &&
                      (argc == 5 || (encrypt(dek, argv[5], person, &err) &&
                                     mongoc_collection_insert_one(people, person, NULL, NULL, &error))) &&
                      mongoc_cursor_next(cursor, &found) && print(dek, found, &err);
    if (!done) {
        mongoc_cursor_error(cursor, &error);
        fprintf(stderr, "mongodb-app: %s\n", err.rc != DKV_OK ? err.message : error.message);
    }
    mongoc_cursor_destroy(cursor);
    bson_destroy(person);
    mongoc_collection_destroy(people);
    mongoc_client_destroy(client);
    dkv_dek_close(dek);
    dkv_vault_close(vault);
    dkv_provider_file_close(file);
    return done ? 0 : 1;
}
