/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a vault in MongoDB: the URI is read, what must not depend on it is put over it, and a pool is made; no server
 * is asked before the store is used, unless the vault is to be made. Owns the making and unmaking of struct
 * dkv_mongodb_store. Invariant: the URI, which may hold a password, is in no text and kept by libmongoc alone.
 * No lock: a store under construction has one user. */
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "vault/provider_file_groups.h"
#include "vault/store/mongodb.h"

#define APP_NAME "dekvault"
#define CONNECT_TIMEOUT_MS 10000 /* what drivers take when the URI says nothing */
#define LEAST_POOL_SIZE 100      /* drivers' default maxPoolSize: a visitor that uses the store needs one more */
#define HOSTS_SHOWN 3u
#define STATE_SUFFIX ".dekvault"

DKV_DEFINE_FREEP(mongoc_uri_t, mongoc_uri_destroy);
DKV_DEFINE_FREEP(mongoc_read_concern_t, mongoc_read_concern_destroy);
DKV_DEFINE_FREEP(mongoc_write_concern_t, mongoc_write_concern_destroy);
DKV_DEFINE_FREEP(mongoc_read_prefs_t, mongoc_read_prefs_destroy);

/* ---- libmongoc in this process ---- */

static pthread_once_t mongoc_once = PTHREAD_ONCE_INIT;

/* Never cleaned up: the program we are in may use libmongoc too, and a second init does nothing. */
static void start_mongoc(void)
{
    mongoc_init();
}

static void log_quietly(mongoc_log_level_t level, const char *domain, const char *message, void *arg)
{
    (void)level;
    (void)arg;
    dkv_log(DKV_LOG_DEBUG, "libmongoc: %s: %s", domain, message);
}

void dkv_store_quiet(void)
{
    mongoc_log_set_handler(log_quietly, NULL);
}

/* ---- The URI ---- */

static enum dkv_rc parse_uri(const char *text, mongoc_uri_t **ret, struct dkv_error *err)
{
    bson_error_t error = {0};
    const char *wrong = dkv_store_uri_judge(text, true /* may_hold_password */);
    DKV_CHECK(wrong == NULL, err, DKV_E_CONFIG, "the vault's MongoDB URI %s", wrong);
    *ret = mongoc_uri_new_with_error(text, &error);
    if (*ret != NULL) {
        return DKV_OK;
    }
    /* libmongoc's words repeat parts of the URI. */
    const bool may_be_shown = dkv_store_uri_judge(text, false /* may_hold_password */) == NULL;
    return dkv_fail(err, DKV_E_CONFIG, "the vault's MongoDB URI is malformed: %s",
                    may_be_shown ? error.message
                                 : "check its hosts and options, and that user and password are percent-encoded (what "
                                   "is wrong isn't shown, since it may hold the password)");
}

/* Whatever the URI asks for: a key that is read must be one that stays, a key that was created too. */
static bool set_concerns(mongoc_uri_t *uri)
{
    DKV_CLEANUP(mongoc_read_concern_destroyp) mongoc_read_concern_t *read_concern = mongoc_read_concern_new();
    DKV_CLEANUP(mongoc_write_concern_destroyp) mongoc_write_concern_t *write_concern = mongoc_write_concern_new();
    DKV_CLEANUP(mongoc_read_prefs_destroyp) mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
    mongoc_write_concern_set_w(write_concern, MONGOC_WRITE_CONCERN_W_MAJORITY);
    const bool is_set = mongoc_read_concern_set_level(read_concern, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
    mongoc_uri_set_read_concern(uri, read_concern);
    mongoc_uri_set_write_concern(uri, write_concern);
    mongoc_uri_set_read_prefs_t(uri, primary);
    return is_set && mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYREADS, true) &&
           mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, true);
}

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static bool set_limits(mongoc_uri_t *uri, uint32_t timeout_ms)
{
    const int32_t limit_ms = timeout_ms < INT32_MAX ? (int32_t)timeout_ms : INT32_MAX;
    const int32_t connect_ms = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, CONNECT_TIMEOUT_MS);
    const int32_t pool = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_MAXPOOLSIZE, LEAST_POOL_SIZE);
    /* 0 would mean: for ever. */
    const int32_t connect_limit_ms = smaller(limit_ms, connect_ms > 0 ? connect_ms : CONNECT_TIMEOUT_MS);
    return mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, limit_ms) &&
           mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, limit_ms) &&
           mongoc_uri_set_option_as_int32(uri, MONGOC_URI_WAITQUEUETIMEOUTMS, limit_ms) &&
           mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, connect_limit_ms) &&
           mongoc_uri_set_option_as_int32(uri, MONGOC_URI_MAXPOOLSIZE, pool > LEAST_POOL_SIZE ? pool : LEAST_POOL_SIZE);
}

/* Without the option libmongoc, unlike other drivers, keeps to a single host as it is, and would read from a secondary;
 * this lets it look for the primary from there. */
static bool set_topology(mongoc_uri_t *uri, bool *ret_direct)
{
    const bool is_given = mongoc_uri_has_option(uri, MONGOC_URI_DIRECTCONNECTION);
    *ret_direct = mongoc_uri_get_option_as_bool(uri, MONGOC_URI_DIRECTCONNECTION, false);
    return is_given || mongoc_uri_set_option_as_bool(uri, MONGOC_URI_DIRECTCONNECTION, false);
}

/* For the password of a locked client key OpenSSL would ask at the terminal, or at standard input, and wait for ever.
 * An empty one opens none. */
static bool set_key_password(mongoc_uri_t *uri)
{
    return !mongoc_uri_has_option(uri, MONGOC_URI_TLSCERTIFICATEKEYFILE) ||
           mongoc_uri_has_option(uri, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD) ||
           mongoc_uri_set_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD, "");
}

static enum dkv_rc set_options(struct dkv_mongodb_store *store, mongoc_uri_t *uri, struct dkv_error *err)
{
    const bool named = mongoc_uri_get_appname(uri) != NULL || mongoc_uri_set_appname(uri, APP_NAME);
    const bool all = named && set_concerns(uri) && set_limits(uri, store->timeout_ms) &&
                     set_topology(uri, &store->is_direct) && set_key_password(uri);
    DKV_CHECK(all, err, DKV_E_INTERNAL, "libmongoc doesn't take the options that a vault needs");
    return DKV_OK;
}

static enum dkv_rc judge_ca_file(const char *path, bool allow_group_read, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_fd_close) int fd = -1;
    struct stat info;
    (void)allow_group_read;
    return dkv_file_open_trusted(path, &fd, &info, err);
}

static const struct tls_file {
    const char *option;
    const char *name;
    enum dkv_rc (*judge)(const char *path, bool allow_group_read, struct dkv_error *err);
} tls_files[] = {
    {MONGOC_URI_TLSCAFILE, "tlsCAFile", judge_ca_file}, /* whoever writes it says who is the server */
    {MONGOC_URI_TLSCERTIFICATEKEYFILE, "tlsCertificateKeyFile", dkv_secret_file_judge},
};

/* libmongoc says of a file that it can't read only that no server was found, and nothing of one that others may write
 * or read. */
static enum dkv_rc check_tls_files(const mongoc_uri_t *uri, bool allow_group_read, struct dkv_error *err)
{
    for (size_t i = 0; i < DKV_COUNT(tls_files); i++) {
        struct dkv_error why = {0};
        const char *path = mongoc_uri_get_option_as_utf8(uri, tls_files[i].option, NULL);
        const enum dkv_rc rc = path != NULL ? tls_files[i].judge(path, allow_group_read, &why) : DKV_OK;
        DKV_CHECK(rc == DKV_OK, err, DKV_E_CONFIG, "the vault's MongoDB URI: %s: %s", tls_files[i].name, why.message);
    }
    return DKV_OK;
}

/* ---- The store ---- */

/* DATABASE.COLLECTION: only the collection's name may have dots in it. */
static enum dkv_rc set_namespace(struct dkv_mongodb_store *store, const char *name_space, struct dkv_error *err)
{
    const char *dot = name_space != NULL ? strchr(name_space, '.') : NULL;
    DKV_CHECK(dot != NULL && dot != name_space && dot[1] != '\0', err, DKV_E_CONFIG,
              "a vault in MongoDB needs a namespace: DATABASE.COLLECTION, for instance encryption.__keyVault");
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf state = {0};
    DKV_TRY(dkv_buf_printf(&state, err, "%s" STATE_SUFFIX, dot + 1));
    const char *text = dkv_buf_text(&state);
    store->database = dkv_strndup(name_space, (size_t)(dot - name_space));
    store->collections[DKV_MONGODB_KEYS] = dkv_strdup(dot + 1);
    store->collections[DKV_MONGODB_STATE] = text != NULL ? dkv_strdup(text) : NULL;
    const bool have_all = store->database != NULL && store->collections[DKV_MONGODB_KEYS] != NULL &&
                          store->collections[DKV_MONGODB_STATE] != NULL;
    return have_all ? DKV_OK : dkv_fail_memory(err);
}

static enum dkv_rc describe_hosts(const mongoc_uri_t *uri, struct dkv_buf *ret, struct dkv_error *err)
{
    const char *srv = mongoc_uri_get_srv_hostname(uri);
    if (srv != NULL) {
        return dkv_buf_append_str(ret, srv, err);
    }
    size_t n = 0;
    for (const mongoc_host_list_t *host = mongoc_uri_get_hosts(uri); host != NULL; host = host->next) {
        const char *comma = n > 0 ? "," : "";
        if (n++ == HOSTS_SHOWN) {
            return dkv_buf_append_str(ret, ",...", err);
        }
        DKV_TRY(dkv_buf_printf(ret, err, "%s%s", comma, host->host_and_port));
    }
    return DKV_OK;
}

static enum dkv_rc set_where(struct dkv_mongodb_store *store, const char *name_space, const mongoc_uri_t *uri,
                             struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf where = {0};
    DKV_TRY(dkv_buf_printf(&where, err, "%s at ", name_space));
    DKV_TRY(describe_hosts(uri, &where, err));
    const char *text = dkv_buf_text(&where);
    store->where = text != NULL ? dkv_strdup(text) : NULL;
    return store->where != NULL ? DKV_OK : dkv_fail_memory(err);
}

/* Where the hosts of a mongodb+srv URI are looked up; nothing else here waits for anybody. */
static enum dkv_rc make_pool(struct dkv_mongodb_store *store, const mongoc_uri_t *uri, struct dkv_error *err)
{
    bson_error_t error = {0};
    store->pool = mongoc_client_pool_new_with_error(uri, &error);
    if (store->pool == NULL) {
        const bool is_srv = mongoc_uri_get_srv_hostname(uri) != NULL;
        return dkv_fail(err, is_srv ? DKV_E_UNREACHABLE : DKV_E_CONFIG, "opening %s: %s (%s)", store->where,
                        is_srv ? "the hosts of the mongodb+srv URI could not be looked up"
                               : "libmongoc can't use the URI's options",
                        error.message);
    }
    return mongoc_client_pool_set_error_api(store->pool, MONGOC_ERROR_API_VERSION_2)
               ? DKV_OK
               : dkv_fail(err, DKV_E_INTERNAL, "libmongoc has no second version of its errors");
}

static enum dkv_rc fill(struct dkv_mongodb_store *store, const struct dkv_store_settings *settings,
                        struct dkv_error *err)
{
    DKV_CLEANUP(mongoc_uri_destroyp) mongoc_uri_t *uri = NULL;
    (void)pthread_once(&mongoc_once, start_mongoc);
    DKV_TRY(set_namespace(store, settings->name_space, err));
    DKV_TRY(parse_uri(settings->location, &uri, err));
    DKV_TRY(set_options(store, uri, err));
    DKV_TRY(check_tls_files(uri, settings->allow_group_read, err));
    DKV_TRY(set_where(store, settings->name_space, uri, err));
    return make_pool(store, uri, err);
}

/* ---- Making the vault ---- */

/* A collection has the index of _id at least; libmongoc answers with an empty list when there is no collection. */
static enum dkv_rc collection_exists(struct dkv_mongodb_store *store, bool *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_mongodb_done) struct dkv_mongodb_connection connection = {0};
    DKV_TRY(dkv_mongodb_connect(store, DKV_MONGODB_KEYS, &connection, err));
    DKV_CLEANUP(mongoc_cursor_destroyp) mongoc_cursor_t *cursor =
        mongoc_collection_find_indexes_with_opts(connection.collection, NULL /* opts */);
    const bson_t *index = NULL;
    struct dkv_error why = {0};
    const enum dkv_rc rc = dkv_mongodb_next(store, cursor, "looking at the indexes of", &index, &why);
    if (rc != DKV_OK && why.native_code != DKV_MONGODB_NAMESPACE_NOT_FOUND) {
        return dkv_fail_as(err, rc, &why);
    }
    *ret = rc == DKV_OK && index != NULL;
    return DKV_OK;
}

static enum dkv_rc make_vault(struct dkv_mongodb_store *store, bool *ret_created, struct dkv_error *err)
{
    bool existed = false;
    DKV_TRY(collection_exists(store, &existed, err));
    DKV_TRY(dkv_mongodb_ensure_index(&store->base, err));
    if (ret_created != NULL) {
        *ret_created = !existed;
    }
    return DKV_OK;
}

/* ---- Open and close ---- */

enum dkv_rc dkv_mongodb_open(const struct dkv_store_settings *settings, bool create, bool *ret_created,
                             struct dkv_store **ret, struct dkv_error *err)
{
    struct dkv_mongodb_store *store = dkv_calloc(1, sizeof(*store));
    bool created = false;
    if (store == NULL) {
        return dkv_fail_memory(err);
    }
    store->base.ops = &dkv_mongodb_store_ops;
    store->timeout_ms = settings->timeout_ms;
    store->pid = getpid();
    enum dkv_rc rc = fill(store, settings, err);
    if (rc == DKV_OK && create) {
        rc = make_vault(store, &created, err);
    }
    if (rc != DKV_OK) {
        dkv_mongodb_close(&store->base);
        return rc;
    }
    if (ret_created != NULL) {
        *ret_created = created;
    }
    *ret = &store->base;
    return DKV_OK;
}

void dkv_mongodb_close(struct dkv_store *base)
{
    struct dkv_mongodb_store *store = dkv_mongodb_of(base);
    /* In a forked child the pool's threads are gone, and it would wait for them for ever: it is left behind. */
    if (store->pool != NULL && store->pid == getpid()) {
        mongoc_client_pool_destroy(store->pool);
    }
    dkv_free(store->database);
    dkv_free(store->collections[DKV_MONGODB_KEYS]);
    dkv_free(store->collections[DKV_MONGODB_STATE]);
    dkv_free(store->where);
    dkv_free(store);
}
