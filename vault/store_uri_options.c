/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a MongoDB URI by name (MongoDB's "Connection String Options", as far as libmongoc 1.23 to 2.5 reads
 * them). libmongoc passes over an option that it doesn't know, so that one letter wrong in "tls" means no TLS: here it
 * is a fault. Names are compared without case. No state. */
#include "base/bytes.h"
#include "vault/provider_file_groups.h"

static const char *const known_options[] = {
    "appName", "authMechanism", "authMechanismProperties", "authSource", "canonicalizeHostname", "compressors",
    "connectTimeoutMS", "directConnection", "enableOverloadRetargeting", "gssapiServiceName", "heartbeatFrequencyMS",
    "journal", "loadBalanced", "localThresholdMS", "maxAdaptiveRetries", "maxIdleTimeMS", "maxPoolSize",
    "maxStalenessSeconds", "minPoolSize", "readConcernLevel", "readPreference", "readPreferenceTags", "replicaSet",
    "retryReads", "retryWrites", "safe", "serverMonitoringMode", "serverSelectionTimeoutMS", "serverSelectionTryOnce",
    "slaveOk", "socketCheckIntervalMS", "socketTimeoutMS", "srvMaxHosts", "srvServiceName", "ssl",
    "sslAllowInvalidCertificates", "sslAllowInvalidHostnames", "sslCertificateAuthorityFile",
    "sslClientCertificateKeyFile", "sslClientCertificateKeyPassword", "tls", "tlsAllowInvalidCertificates",
    "tlsAllowInvalidHostnames", "tlsCAFile", "tlsCertificateKeyFile", "tlsCertificateKeyFilePassword",
    "tlsDisableCertificateRevocationCheck", "tlsDisableOCSPEndpointCheck", "tlsInsecure", "w", "waitQueueMultiple",
    "waitQueueTimeoutMS", "wTimeoutMS", "zlibCompressionLevel",
};

/* Those by which a user needs no password; without one the others end in libmongoc 1.23's SCRAM with a crash. */
static const char *const passwordless_mechanisms[] = {"MONGODB-X509", "MONGODB-AWS", "MONGODB-OIDC", "GSSAPI"};

static bool equals(const char *text, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(text, name, len) == 0;
}

/* The options, one after the other: *at moves on; false when there are no more. */
static bool next_option(const char **at, const char **ret_name, size_t *ret_len)
{
    const char *name = *at + strspn(*at, "?&");
    *ret_name = name;
    *ret_len = strcspn(name, "=&");
    *at = name + strcspn(name, "&");
    return *name != '\0';
}

const char *dkv_store_uri_unknown_option(const char *uri, size_t *ret_len)
{
    const char *at = uri + strcspn(uri, "?"), *name = NULL;
    while (next_option(&at, &name, ret_len)) {
        size_t i = 0;
        while (i < DKV_COUNT(known_options) && !equals(name, *ret_len, known_options[i])) {
            i++;
        }
        if (i == DKV_COUNT(known_options)) {
            return name;
        }
    }
    return NULL;
}

const char *dkv_store_uri_nearest_option(const char *name, size_t len)
{
    char text[64];
    if (len >= sizeof(text)) {
        return NULL;
    }
    memcpy(text, name, len);
    text[len] = '\0';
    return dkv_nearest(text, known_options, DKV_COUNT(known_options));
}

static bool is_passwordless(const char *uri)
{
    const char *at = uri + strcspn(uri, "?"), *name = NULL;
    size_t len = 0;
    bool is = false;
    while (next_option(&at, &name, &len)) {
        const bool is_mechanism = equals(name, len, "authMechanism") && name[len] == '=';
        const char *value = is_mechanism ? name + len + 1 : "";
        for (size_t i = 0; i < DKV_COUNT(passwordless_mechanisms); i++) {
            is = is || equals(value, strcspn(value, "&"), passwordless_mechanisms[i]);
        }
    }
    return is;
}

static bool has_tls(const char *uri)
{
    const char *at = uri + strcspn(uri, "?"), *name = NULL;
    size_t len = 0;
    bool has = strncasecmp(uri, "mongodb+srv:", 12) == 0; /* its default */
    while (next_option(&at, &name, &len)) {
        const bool is_tls = equals(name, len, "tls") || equals(name, len, "ssl");
        has = is_tls ? strncasecmp(name + len, "=true", 5) == 0 : has;
    }
    return has;
}

bool dkv_store_uri_lacks_tls(const char *uri)
{
    static const char *const local[] = {"localhost", "127.0.0.1", "[::1]", "%2F"};
    const char *hosts = strstr(uri, "://");
    hosts = hosts != NULL ? hosts + 3 : uri;
    const char *at = (const char *)memchr(hosts, '@', strcspn(hosts, "/?"));
    hosts = at != NULL ? at + 1 : hosts;
    for (size_t i = 0; i < DKV_COUNT(local); i++) {
        if (strncasecmp(hosts, local[i], strlen(local[i])) == 0) {
            return false;
        }
    }
    return !has_tls(uri);
}

bool dkv_store_uri_lacks_password(const char *uri)
{
    const char *hosts = strstr(uri, "://");
    const char *user = hosts != NULL ? hosts + 3 : uri;
    const size_t len = strcspn(user, "@/?");
    return user[len] == '@' && memchr(user, ':', len) == NULL && !is_passwordless(uri);
}
