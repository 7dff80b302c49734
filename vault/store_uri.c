/* SPDX-License-Identifier: Apache-2.0 */
/* What the provider file may say of a store: its scheme, and no password. Texts are judged, not opened, and never
 * repeated in an error, since the password may stand in them. No state. */
#include "base/bytes.h"
#include "vault/provider_file_groups.h"

#define SQLITE_SCHEME "sqlite:"

static const char *const mongodb_schemes[] = {"mongodb://", "mongodb+srv://"};

/* URI options whose value is a secret; the connection string specification compares names without case. */
static const char *const secret_options[] = {
    "tlsCertificateKeyFilePassword=", "sslClientCertificateKeyPassword=", "AWS_SESSION_TOKEN:", "password=",
};

/* What stands after the scheme; NULL: not one of MongoDB's. */
static const char *after_scheme(const char *uri)
{
    for (size_t i = 0; i < DKV_COUNT(mongodb_schemes); i++) {
        const size_t len = strlen(mongodb_schemes[i]);
        if (strncasecmp(uri, mongodb_schemes[i], len) == 0) {
            return uri + len;
        }
    }
    return NULL;
}

/* Where the value of the first option begins. */
static size_t first_value_at(const char *hosts)
{
    const size_t options_at = strcspn(hosts, "?");
    return options_at + strcspn(hosts + options_at, "=");
}

/* USER:PASSWORD@. The hosts end at '?', or at '/', but a password that wasn't percent-encoded may hold either or both,
 * so every '@' counts, but one in the value of an option. */
static bool has_password(const char *hosts)
{
    const size_t options_at = strcspn(hosts, "?");
    const size_t path_at = strcspn(hosts, "/");
    const size_t end = path_at < options_at ? first_value_at(hosts) : strlen(hosts);
    const char *at = (const char *)memrchr(hosts, '@', end);
    return at != NULL && memchr(hosts, ':', (size_t)(at - hosts)) != NULL;
}

static bool has_secret_option(const char *uri)
{
    for (size_t i = 0; i < DKV_COUNT(secret_options); i++) {
        if (strcasestr(uri, secret_options[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* A user name or password with a bare '@' or '/' in it: the rest of the password would be taken for a host or an
 * option, be looked up in DNS and be shown in errors. The connection string specification asks for them to be
 * percent-encoded. */
static bool has_bare_reserved(const char *hosts)
{
    const size_t end = first_value_at(hosts);
    const char *first = (const char *)memchr(hosts, '@', end);
    const char *last = (const char *)memrchr(hosts, '@', end);
    return first != last || (last != NULL && (size_t)(last - hosts) > strcspn(hosts, "/"));
}

static bool has_control(const char *uri)
{
    for (; *uri != '\0'; uri++) {
        if ((unsigned char)*uri < 0x20 || *uri == 0x7f) {
            return true;
        }
    }
    return false;
}

const char *dkv_store_uri_judge(const char *uri, bool may_hold_password)
{
    const size_t sqlite_len = sizeof(SQLITE_SCHEME) - 1;
    if (strncmp(uri, SQLITE_SCHEME, sqlite_len) == 0) {
        const bool absolute = uri[sqlite_len] == '/' && uri[sqlite_len + 1] != '\0';
        return absolute ? NULL : "sqlite: needs an absolute path, as in sqlite:/var/lib/dekvault/vault.db";
    }
    const char *hosts = after_scheme(uri);
    if (hosts == NULL || hosts[0] == '\0') {
        return "must be sqlite:/absolute/path or a mongodb:// URI";
    }
    if (has_control(uri)) {
        return "isn't one line of text: it has a line break or another control character in it";
    }
    if (!may_hold_password && (has_password(hosts) || has_secret_option(hosts))) {
        return "holds a password: put the URI in a file of its own, mode 0600, and name that with store-source";
    }
    if (has_bare_reserved(hosts)) {
        return "has a user name or password that isn't percent-encoded: write @ as %40, / as %2F, : as %3A, % as %25";
    }
    if (dkv_store_uri_lacks_password(uri)) {
        return may_hold_password
                   ? "names a user, but no password; only with authMechanism=MONGODB-X509 and its like may that be"
                   : "names a user, but no password: put the URI with both in a file of its own, mode 0600, and name "
                     "that with store-source";
    }
    return NULL;
}

bool dkv_store_uri_is_sqlite(const char *uri)
{
    return strncmp(uri, SQLITE_SCHEME, sizeof(SQLITE_SCHEME) - 1) == 0;
}
