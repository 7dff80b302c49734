/* SPDX-License-Identifier: Apache-2.0 */
/* What libmongoc and the server say, by table, as our classes and words. Codes are those of MongoDB's server
 * (src/mongo/base/error_codes.yml) and of libmongoc's mongoc-error.h. Owns nothing. */
#include "vault/store/mongodb.h"

#define NOT_MAJORITY \
    "written, but not on a majority of the replica set's members, so a change of primary may undo it"
#define NO_PRIMARY "the primary steps down or shuts down"
#define REFUSED "the user, its password or its certificate was refused"
#define NO_PRIVILEGE "the user lacks a privilege for it on this collection: grant one of the roles in docs/mongodb.md"
#define NO_MAJORITY "the replica set has too few members that hold data for a write concern of majority"
#define DUPLICATE "another document has this _id or alt name"
#define BROKE "the connection broke, or no reply came within timeout-ms"
#define NO_REPLY "what came over the connection is no reply; the URI must name a MongoDB server"
#define NO_TLS "TLS failed: the server speaks none, or asks for a client certificate (tlsCertificateKeyFile in the URI)"
#define HUNG_UP                                                                                                   \
    "a server took the connection and then hung up or kept silent: does it want TLS (tls=true in the URI), a client " \
    "certificate (tlsCertificateKeyFile)?"

static const struct result {
    uint32_t domain;
    uint32_t code; /* 0: any other of the domain */
    const char *name;
    enum dkv_rc rc;
    const char *words;
} results[] = {
    /* Replica set members that come and go. */
    {MONGOC_ERROR_SERVER, 6, "HostUnreachable", DKV_E_TRANSIENT, "the server can't reach another one"},
    {MONGOC_ERROR_SERVER, 7, "HostNotFound", DKV_E_TRANSIENT, "the server can't reach another one"},
    {MONGOC_ERROR_SERVER, 89, "NetworkTimeout", DKV_E_TRANSIENT, "the server can't reach another one in time"},
    {MONGOC_ERROR_SERVER, 91, "ShutdownInProgress", DKV_E_TRANSIENT, NO_PRIMARY},
    {MONGOC_ERROR_SERVER, 112, DKV_MONGODB_WRITE_CONFLICT, DKV_E_TRANSIENT, "another write came between; try again"},
    {MONGOC_ERROR_SERVER, 133, "FailedToSatisfyReadPreference", DKV_E_TRANSIENT, "the cluster has no primary"},
    {MONGOC_ERROR_SERVER, 134, "ReadConcernMajorityNotAvailableYet", DKV_E_TRANSIENT, "the server just started"},
    {MONGOC_ERROR_SERVER, 189, "PrimarySteppedDown", DKV_E_TRANSIENT, NO_PRIMARY},
    {MONGOC_ERROR_SERVER, 234, "RetryChangeStream", DKV_E_TRANSIENT, NO_PRIMARY},
    {MONGOC_ERROR_SERVER, 10107, "NotWritablePrimary", DKV_E_TRANSIENT, "the server isn't the primary any more"},
    {MONGOC_ERROR_SERVER, 10058, "LegacyNotPrimary", DKV_E_TRANSIENT, "the server isn't the primary any more"},
    {MONGOC_ERROR_SERVER, 11600, "InterruptedAtShutdown", DKV_E_TRANSIENT, NO_PRIMARY},
    {MONGOC_ERROR_SERVER, 11602, "InterruptedDueToReplStateChange", DKV_E_TRANSIENT, NO_PRIMARY},
    {MONGOC_ERROR_SERVER, 13388, "StaleConfig", DKV_E_TRANSIENT, "the cluster is being rearranged; try again"},
    {MONGOC_ERROR_SERVER, 13435, "NotPrimaryNoSecondaryOk", DKV_E_TRANSIENT, "the server isn't the primary"},
    {MONGOC_ERROR_SERVER, 13436, "NotPrimaryOrSecondary", DKV_E_TRANSIENT, "the server is recovering"},
    {MONGOC_ERROR_SERVER, 9001, "SocketException", DKV_E_TRANSIENT, "a connection of the server broke"},
    /* Time and load. */
    {MONGOC_ERROR_SERVER, 24, "LockTimeout", DKV_E_TRANSIENT, "the server is busy; try again"},
    {MONGOC_ERROR_SERVER, 43, "CursorNotFound", DKV_E_TRANSIENT, "the server gave the cursor up"},
    {MONGOC_ERROR_SERVER, 46, "LockBusy", DKV_E_TRANSIENT, "the server is busy; try again"},
    {MONGOC_ERROR_SERVER, 50, "MaxTimeMSExpired", DKV_E_TRANSIENT, "the server took longer than it may"},
    {MONGOC_ERROR_SERVER, 202, "NetworkInterfaceExceededTimeLimit", DKV_E_TRANSIENT, "the server is too slow"},
    {MONGOC_ERROR_SERVER, 237, "CursorKilled", DKV_E_TRANSIENT, "the server gave the cursor up"},
    {MONGOC_ERROR_SERVER, 262, "ExceededTimeLimit", DKV_E_TRANSIENT, "the server took longer than it may"},
    {MONGOC_ERROR_SERVER, 365, "TemporarilyUnavailable", DKV_E_THROTTLED, "the server is overloaded; try again"},
    {MONGOC_ERROR_SERVER, 462, "IngressRequestRateLimitExceeded", DKV_E_THROTTLED, "the server is overloaded"},
    {MONGOC_ERROR_SERVER, 11601, "Interrupted", DKV_E_TRANSIENT, "an administrator interrupted it"},
    {MONGOC_ERROR_SERVER, 16500, "RequestRateTooLarge", DKV_E_THROTTLED, "the server is overloaded; try again"},
    {MONGOC_ERROR_SERVER, 28799, "TooManyOperations", DKV_E_THROTTLED, "the server is overloaded; try again"},
    /* Majority. */
    {MONGOC_ERROR_SERVER, 64, "WriteConcernFailed", DKV_E_TRANSIENT, NOT_MAJORITY},
    {MONGOC_ERROR_SERVER, 79, "UnknownReplWriteConcern", DKV_E_CONFIG, NO_MAJORITY},
    {MONGOC_ERROR_SERVER, 100, "UnsatisfiableWriteConcern", DKV_E_CONFIG, NO_MAJORITY},
    {MONGOC_ERROR_SERVER, 148, "ReadConcernMajorityNotEnabled", DKV_E_CONFIG,
     "the server was started without support for read concern majority"},
    {MONGOC_ERROR_WRITE_CONCERN, 79, "UnknownReplWriteConcern", DKV_E_CONFIG, NO_MAJORITY},
    {MONGOC_ERROR_WRITE_CONCERN, 100, "UnsatisfiableWriteConcern", DKV_E_CONFIG, NO_MAJORITY},
    {MONGOC_ERROR_WRITE_CONCERN, 64, "WriteConcernFailed", DKV_E_TRANSIENT, NOT_MAJORITY},
    {MONGOC_ERROR_WRITE_CONCERN, 0, "WriteConcernError", DKV_E_TRANSIENT, NOT_MAJORITY},
    /* Who asks, and what may be asked. */
    {MONGOC_ERROR_SERVER, 11, "UserNotFound", DKV_E_AUTH, REFUSED},
    {MONGOC_ERROR_SERVER, 13, "Unauthorized", DKV_E_DENIED, NO_PRIVILEGE},
    {MONGOC_ERROR_SERVER, 18, "AuthenticationFailed", DKV_E_AUTH, REFUSED},
    {MONGOC_ERROR_SERVER, 31, "RoleNotFound", DKV_E_DENIED, NO_PRIVILEGE},
    {MONGOC_ERROR_SERVER, 33, "CannotAuthenticate", DKV_E_AUTH, REFUSED},
    {MONGOC_ERROR_SERVER, 391, "ReauthenticationRequired", DKV_E_AUTH, "the user must authenticate anew"},
    {MONGOC_ERROR_SERVER, 8000, "AtlasError", DKV_E_AUTH, REFUSED},
    {MONGOC_ERROR_SERVER, 166, "CommandNotSupportedOnView", DKV_E_CONFIG,
     "the namespace is a view; it must be a collection"},
    /* What is there. */
    {MONGOC_ERROR_SERVER, 26, "NamespaceNotFound", DKV_E_NOT_FOUND,
     "there is no such collection: make it with dekvault vault init"},
    {MONGOC_ERROR_SERVER, 48, "NamespaceExists", DKV_E_CONFLICT, "the collection exists already"},
    {MONGOC_ERROR_SERVER, 68, "IndexAlreadyExists", DKV_E_CONFLICT, "the index exists already"},
    {MONGOC_ERROR_SERVER, 85, "IndexOptionsConflict", DKV_E_CONFLICT, "an index like it has other options"},
    {MONGOC_ERROR_SERVER, 86, "IndexKeySpecsConflict", DKV_E_CONFLICT, "another index has its name"},
    {MONGOC_ERROR_SERVER, 121, "DocumentValidationFailure", DKV_E_POLICY,
     "the collection has a validator, and it refuses the document"},
    {MONGOC_ERROR_SERVER, 11000, "DuplicateKey", DKV_E_CONFLICT, DUPLICATE},
    {MONGOC_ERROR_SERVER, 11001, "DuplicateKey", DKV_E_CONFLICT, DUPLICATE},
    {MONGOC_ERROR_SERVER, 12582, "DuplicateKey", DKV_E_CONFLICT, DUPLICATE},
    /* What the server has not. */
    {MONGOC_ERROR_SERVER, 39, "FileStreamFailed", DKV_E_RESOURCE, "the server's disk failed"},
    {MONGOC_ERROR_SERVER, 146, "ExceededMemoryLimit", DKV_E_RESOURCE, "the server has too little memory for it"},
    {MONGOC_ERROR_SERVER, 292, "QueryExceededMemoryLimitNoDiskUseAllowed", DKV_E_RESOURCE,
     "the server has too little memory for it"},
    {MONGOC_ERROR_SERVER, 14031, "OutOfDiskSpace", DKV_E_RESOURCE, "the server's disk is full"},
    {MONGOC_ERROR_SERVER, 10334, "BSONObjectTooLarge", DKV_E_INVALID, "the document is too long for the server"},
    {MONGOC_ERROR_SERVER, 17280, "KeyTooLong", DKV_E_INVALID, "an alt name is too long for the server's index"},
    {MONGOC_ERROR_SERVER, 20, "IllegalOperation", DKV_E_CONFIG,
     "the server doesn't do this: it must be a primary of MongoDB 4.4 or later, or one that speaks as it does"},
    {MONGOC_ERROR_SERVER, 59, "CommandNotFound", DKV_E_CONFIG,
     "the server doesn't know the command: it must be MongoDB 4.4 or later, or one that speaks as it does"},
    {MONGOC_ERROR_SERVER, 73, "InvalidNamespace", DKV_E_CONFIG, "the server takes no such namespace"},
    {MONGOC_ERROR_SERVER, 115, "CommandNotSupported", DKV_E_CONFIG,
     "the server doesn't know the command: it must be MongoDB 4.4 or later, or one that speaks as it does"},
    {MONGOC_ERROR_SERVER, 96, "OperationFailed", DKV_E_INTERNAL, "the server failed"},
    {MONGOC_ERROR_SERVER, 0, "ServerError", DKV_E_INTERNAL, "the server answered with an error"},
    /* What libmongoc found by itself. */
    {MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_NAME_RESOLUTION, "NameResolution", DKV_E_UNREACHABLE,
     "the host's name could not be resolved"},
    {MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT, "StreamConnect", DKV_E_TRANSIENT,
     "the server could not be connected to"},
    {MONGOC_ERROR_STREAM, 0, "Stream", DKV_E_TRANSIENT, BROKE},
    {MONGOC_ERROR_SERVER_SELECTION, MONGOC_ERROR_SERVER_SELECTION_BAD_WIRE_VERSION, "BadWireVersion", DKV_E_CONFIG,
     "the server is too old or too new for libmongoc"},
    {MONGOC_ERROR_SERVER_SELECTION, 0, "ServerSelection", DKV_E_UNREACHABLE,
     "no primary could be reached within timeout-ms: is it up, is replicaSet= in the URI its set's name, does it want "
     "tls=true?"},
    {MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE, "ClientAuthenticate", DKV_E_AUTH, REFUSED},
    {MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_GETNONCE, "ClientAuthenticate", DKV_E_AUTH, REFUSED},
    {MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_NOT_READY, "ClientNotReady", DKV_E_TRANSIENT, BROKE},
    {MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_NO_ACCEPTABLE_PEER, "NoAcceptablePeer", DKV_E_UNREACHABLE,
     "no server would have it"},
    {MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_INVALID_LOAD_BALANCER, "InvalidLoadBalancer", DKV_E_CONFIG,
     "the URI has loadBalanced=true, but the server is none behind a load balancer"},
    {MONGOC_ERROR_SASL, 0, "SASL", DKV_E_AUTH, REFUSED},
    {MONGOC_ERROR_SCRAM, 0, "SCRAM", DKV_E_AUTH, REFUSED},
    {MONGOC_ERROR_PROTOCOL, MONGOC_ERROR_PROTOCOL_BAD_WIRE_VERSION, "BadWireVersion", DKV_E_CONFIG,
     "the server is too old or too new for libmongoc"},
    /* A write may lie behind it. */
    {MONGOC_ERROR_PROTOCOL, 0, "Protocol", DKV_E_TRANSIENT, NO_REPLY},
    {MONGOC_ERROR_CURSOR, 0, "Cursor", DKV_E_INTERNAL, "the reply can't be read on"},
};

/* ---- Looking it up ---- */

static const struct result *find_in(uint32_t domain, uint32_t code)
{
    for (size_t i = 0; i < DKV_COUNT(results); i++) {
        if (results[i].domain == domain && (results[i].code == code || results[i].code == 0)) {
            return &results[i];
        }
    }
    return NULL;
}

/* Here and there libmongoc gives a server's code with a domain of the first version of its error API. */
static bool is_server_code(const bson_error_t *error)
{
    return error->domain == MONGOC_ERROR_SERVER || error->domain == MONGOC_ERROR_QUERY ||
           error->domain == MONGOC_ERROR_COMMAND || error->domain == MONGOC_ERROR_COLLECTION;
}

static uint32_t domain_of(const bson_error_t *error)
{
    return is_server_code(error) ? MONGOC_ERROR_SERVER : error->domain;
}

static const struct result *find_result(const bson_error_t *error)
{
    static const struct result other = {0, 0, "libmongoc", DKV_E_INTERNAL, "libmongoc failed"};
    const struct result *found = find_in(domain_of(error), error->code);
    return found != NULL ? found : &other;
}

/* ---- What the code leaves open ---- */

/* libmongoc has one code for whatever went wrong before a connection was of use; only its words say what it was. */
static const struct refinement {
    uint32_t domain;
    const char *says; /* in libmongoc's words */
    struct result result;
} refinements[] = {
    {MONGOC_ERROR_SERVER_SELECTION, "certificate verify failed",
     {0, 0, "TlsCertificate", DKV_E_CONFIG,
      "the server's certificate is not one that the URI's tlsCAFile (or the system's CAs) vouches for, or not of this "
      "host"}},
    {MONGOC_ERROR_SERVER_SELECTION, "Failed initialize TLS state",
     {0, 0, "TlsFiles", DKV_E_CONFIG,
      "the URI's TLS files can't be used: tlsCAFile must hold certificates, tlsCertificateKeyFile a certificate and "
      "its key, in PEM; a key with a password needs tlsCertificateKeyFilePassword"}},
    {MONGOC_ERROR_SERVER_SELECTION, "TLS handshake", {0, 0, "TlsHandshake", DKV_E_UNREACHABLE, NO_TLS}},
    {MONGOC_ERROR_SERVER_SELECTION, "Authentication failed", {0, 0, "ClientAuthenticate", DKV_E_AUTH, REFUSED}},
    {MONGOC_ERROR_SERVER_SELECTION, "Failed to resolve",
     {0, 0, "NameResolution", DKV_E_UNREACHABLE, "a host's name could not be resolved"}},
    {MONGOC_ERROR_SERVER_SELECTION, "socket error or timeout", {0, 0, "ServerSelection", DKV_E_UNREACHABLE, HUNG_UP}},
    /* DocumentDB passes on what PostgreSQL says: of a unique index, where MongoDB's servers say 11000, and of load. */
    {MONGOC_ERROR_SERVER, " exclusion constraint \"documents_", {0, 0, "DuplicateKey", DKV_E_CONFLICT, DUPLICATE}},
    {MONGOC_ERROR_SERVER, "deadlock detected",
     {0, 0, DKV_MONGODB_WRITE_CONFLICT, DKV_E_TRANSIENT, "another write came between; try again"}},
    {MONGOC_ERROR_SERVER, "too many clients already",
     {0, 0, "TooManyClients", DKV_E_THROTTLED, "the server is overloaded; try again"}},
    {MONGOC_ERROR_SERVER, "requires authentication",
     {0, 0, "Unauthorized", DKV_E_AUTH, "the server asks for a user, and the URI names none"}},
    {MONGOC_ERROR_SERVER, "is not allowed to do action", {0, 0, "AtlasError", DKV_E_DENIED, NO_PRIVILEGE}},
    {MONGOC_ERROR_CLIENT, "socket error or timeout", {0, 0, "Stream", DKV_E_TRANSIENT, BROKE}},
    {MONGOC_ERROR_CLIENT, "Failed to send", {0, 0, "Stream", DKV_E_TRANSIENT, BROKE}},
};

static const struct result *refine(const bson_error_t *error, const struct result *found)
{
    const uint32_t domain = domain_of(error);
    for (size_t i = 0; i < DKV_COUNT(refinements); i++) {
        if (refinements[i].domain == domain && strstr(error->message, refinements[i].says) != NULL) {
            return &refinements[i].result;
        }
    }
    return found;
}

static bool is_transient_label(const char *text)
{
    static const char *const labels[] = {"RetryableWriteError", "NetworkError", "TransientTransactionError"};
    for (size_t i = 0; i < DKV_COUNT(labels); i++) {
        if (strcmp(text, labels[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* A server that knows better than our table whether it is worth another try says so (Retryable Writes, "Error
 * Labels"). Not by mongoc_error_has_label(), which ends the process where a label isn't of the type that it expects. */
static bool is_labelled_transient(const bson_t *reply)
{
    bson_iter_t field, label;
    if (reply == NULL || !bson_iter_init_find(&field, reply, "errorLabels") || !BSON_ITER_HOLDS_ARRAY(&field) ||
        !bson_iter_recurse(&field, &label)) {
        return false;
    }
    while (bson_iter_next(&label)) {
        if (BSON_ITER_HOLDS_UTF8(&label) && is_transient_label(bson_iter_utf8(&label, NULL))) {
            return true;
        }
    }
    return false;
}

/* Code 13 repeats the whole command, which has documents in it. */
static int shown_len(const char *message)
{
    const char *command = strstr(message, " to execute command");
    return (int)(command != NULL ? (size_t)(command - message) : strlen(message));
}

enum dkv_rc dkv_mongodb_fail(const struct dkv_mongodb_store *store, const char *doing, const bson_error_t *error,
                             const bson_t *reply, struct dkv_error *err)
{
    const struct result *result = refine(error, find_result(error));
    const bool labelled = result->rc == DKV_E_INTERNAL && is_labelled_transient(reply);
    const enum dkv_rc rc = labelled ? DKV_E_TRANSIENT : result->rc;
    (void)dkv_fail(err, rc, "%s %s: %s (%.*s)", doing, store->where, labelled ? "it failed for now" : result->words,
                   shown_len(error->message), error->message);
    dkv_error_native(err, DKV_NATIVE_MONGODB, error->code, result->name);
    return rc;
}

/* ---- What no libmongoc call said ---- */

bool dkv_mongodb_may_be_duplicate(const bson_error_t *error)
{
    return error->code == MONGOC_ERROR_DUPLICATE_KEY || error->code == 1;
}

enum dkv_rc dkv_mongodb_not_found(const struct dkv_mongodb_store *store, const struct dkv_uuid *id,
                                  struct dkv_error *err)
{
    char text[37];
    dkv_uuid_format(id, text);
    (void)dkv_fail(err, DKV_E_NOT_FOUND, "there is no key %s in the vault %s", text, store->where);
    dkv_error_key(err, text);
    return DKV_E_NOT_FOUND;
}

enum dkv_rc dkv_mongodb_not_majority(const struct dkv_mongodb_store *store, struct dkv_error *err)
{
    return dkv_fail(err, DKV_E_TRANSIENT,
                    "writing %s: the reply was lost, and a majority of the servers doesn't show the change yet",
                    store->where);
}
