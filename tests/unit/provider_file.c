/* SPDX-License-Identifier: Apache-2.0 */
/* The provider file as a whole: where it is looked for, who may have written it, every refusal with its line, and
 * what a good one gives. */
#include "vault/provider_file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/lib/test.h"
#include "vault/provider_file_groups.h"

#define GOOD                                                                 \
    "vault:\n"                                                               \
    "  store: sqlite:/var/lib/dekvault/vault.db\n"                           \
    "providers:\n"                                                           \
    "  local:\n"                                                             \
    "    key-source: file:/etc/dekvault/local.key\n"

/* Every setting that has an effect now. */
static const char full[] =
    "vault:\n"
    "  store: sqlite:/var/lib/dekvault/vault.db\n"
    "  encrypt-with: [local, local:two]\n"
    "  names:\n"
    "    app.users/ssn: 01234567-89ab-cdef-0123-456789abcdef\n"
    "    other: 11234567-89ab-cdef-0123-456789abcdef\n"
    "  timeout-ms: 2500\n"
    "vaults:\n"
    "  eu.archive:\n"
    "    store-source: file:/etc/dekvault/eu.uri\n"
    "    namespace: encryption.__keyVault\n"
    "    allow-group-read: true\n"
    "  us:\n"
    "    store: mongodb://CN%3Dapp@h1:27017,h2/?authMechanism=MONGODB-X509&replicaSet=rs0&appName=a@b\n"
    "    namespace: encryption.__keyVault\n"
    "providers:\n"
    "  local:\n"
    "    key-source: file:/etc/dekvault/local.key\n"
    "  local:two:\n"
    "    key-source: file:/etc/dekvault/two.key\n"
    "audit:\n"
    "  to: file:/var/log/dekvault.audit\n"
    "  required: true\n"
    "memory:\n"
    "  allow-unlocked: true\n"
    "  limit-kib: 2048\n"
    "state-dir: /var/lib/dekvault\n"
    "fips: required\n"
    "fips-config: /usr/local/ssl/fipsmodule.cnf\n";

struct checked {
    struct dkv_provider_file *file;
    struct dkv_faults faults;
    char path[PATH_MAX];
};

static void check_text(const char *text, struct checked *checked)
{
    struct dkv_error err = {0};
    *checked = (struct checked){0};
    const char *path = dkv_test_write("t.conf", text, strlen(text), 0600);
    ASSERT_OK(dkv_provider_file_check(path, &checked->file, &checked->faults, checked->path, &err));
    CU_ASSERT_STRING_EQUAL(checked->path, path);
    CU_ASSERT_EQUAL(checked->file == NULL, dkv_faults_n_errors(&checked->faults) > 0);
}

static void done(struct checked *checked)
{
    dkv_provider_file_close(checked->file);
    dkv_faults_done(&checked->faults);
}

static void print_faults(const struct dkv_faults *faults)
{
    for (size_t i = 0; i < faults->n; i++) {
        printf("# %u: %s: %s\n", faults->items[i].line, faults->items[i].setting, faults->items[i].message);
    }
}

/* Past the warnings of files that this machine doesn't have. */
static const struct dkv_fault *first_error(const struct dkv_faults *faults)
{
    static const struct dkv_fault none = {.setting = "none", .message = "no error"};
    for (size_t i = 0; i < faults->n; i++) {
        if (!faults->items[i].warning) {
            return &faults->items[i];
        }
    }
    return &none;
}

/* The text has this one fault, and dkv_provider_file_open says it with file, line and setting. */
static void one_fault(const char *text, unsigned line, const char *setting, const char *words)
{
    struct checked checked;
    check_text(text, &checked);
    const struct dkv_fault *fault = first_error(&checked.faults);
    if (dkv_faults_n_errors(&checked.faults) != 1 || fault->line != line ||
        strcmp(fault->setting, setting) != 0 || strstr(fault->message, words) == NULL) {
        print_faults(&checked.faults);
    }
    CU_ASSERT_EQUAL_FATAL(dkv_faults_n_errors(&checked.faults), 1);
    CU_ASSERT_EQUAL(fault->line, line);
    CU_ASSERT_STRING_EQUAL(fault->setting, setting);
    CU_ASSERT_PTR_NOT_NULL(strstr(fault->message, words));

    struct dkv_error err = {0};
    struct dkv_provider_file *file = NULL;
    char expected[PATH_MAX + 256];
    ASSERT_RC(DKV_E_CONFIG, dkv_provider_file_open(checked.path, &file, &err));
    CU_ASSERT_PTR_NULL(file);
    snprintf(expected, sizeof(expected), "%s:%u: %s%s", checked.path, line, setting, setting[0] != '\0' ? ": " : "");
    CU_ASSERT_EQUAL(strncmp(err.message, expected, strlen(expected)), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, words));
    done(&checked);
}

/* ---- What a good file gives ---- */

static void check_first_vault(const struct dkv_vault_settings *vault)
{
    char uuid[37];
    CU_ASSERT_PTR_NOT_NULL_FATAL(vault);
    CU_ASSERT_STRING_EQUAL(vault->name, "default");
    CU_ASSERT_EQUAL(vault->line, 1);
    CU_ASSERT_STRING_EQUAL(vault->store, "sqlite:/var/lib/dekvault/vault.db");
    CU_ASSERT_PTR_NULL(vault->store_source);
    CU_ASSERT_PTR_NULL(vault->name_space);
    CU_ASSERT_STRING_EQUAL(vault->encrypt_with[1], "local:two");
    CU_ASSERT_PTR_NULL(vault->encrypt_with[2]);
    CU_ASSERT_EQUAL(vault->n_names, 2);
    CU_ASSERT_STRING_EQUAL(vault->names[0].name, "app.users/ssn");
    dkv_uuid_format(&vault->names[1].id, uuid);
    CU_ASSERT_STRING_EQUAL(uuid, "11234567-89ab-cdef-0123-456789abcdef");
    CU_ASSERT_EQUAL(vault->timeout_ms, 2500);
    CU_ASSERT_FALSE(vault->allow_group_read);
}

static void every_setting_is_read(void)
{
    struct checked checked;
    check_text(full, &checked);
    print_faults(&checked.faults);
    CU_ASSERT_PTR_NOT_NULL_FATAL(checked.file);

    const struct dkv_provider_file *file = checked.file;
    check_first_vault(dkv_provider_file_vault(file, NULL));
    CU_ASSERT_PTR_EQUAL(dkv_provider_file_vault(file, "default"), dkv_provider_file_vault(file, NULL));
    const struct dkv_vault_settings *archive = dkv_provider_file_vault(file, "eu.archive");
    CU_ASSERT_PTR_NOT_NULL_FATAL(archive);
    CU_ASSERT_STRING_EQUAL(archive->store_source, "file:/etc/dekvault/eu.uri");
    CU_ASSERT_PTR_NULL(archive->encrypt_with);
    CU_ASSERT_EQUAL(archive->timeout_ms, 10000);
    CU_ASSERT_TRUE(archive->allow_group_read);
    CU_ASSERT_PTR_NOT_NULL(dkv_provider_file_vault(file, "us"));
    CU_ASSERT_PTR_NULL(dkv_provider_file_vault(file, "asia"));
    CU_ASSERT_EQUAL(file->n_entries, 2);
    CU_ASSERT_STRING_EQUAL(dkv_provider_file_entry(file, "local:two")->id, "local:two");
    CU_ASSERT_PTR_NULL(dkv_provider_file_entry(file, "local:three"));
    CU_ASSERT_STRING_EQUAL(file->audit_to, "file:/var/log/dekvault.audit");
    CU_ASSERT_TRUE(file->audit_required);
    CU_ASSERT_TRUE(file->memory_allow_unlocked);
    CU_ASSERT_EQUAL(file->memory_limit_kib, 2048);
    CU_ASSERT_STRING_EQUAL(file->state_dir, "/var/lib/dekvault");
    CU_ASSERT_TRUE(file->fips_required);
    CU_ASSERT_STRING_EQUAL(file->fips_config, "/usr/local/ssl/fipsmodule.cnf");
    CU_ASSERT_STRING_EQUAL(dkv_provider_file_path(file), checked.path);
    done(&checked);
}

static void an_empty_file_is_good_and_has_the_defaults(void)
{
    struct checked checked;
    check_text("# nothing yet\n", &checked);
    CU_ASSERT_PTR_NOT_NULL_FATAL(checked.file);
    CU_ASSERT_PTR_NULL(dkv_provider_file_vault(checked.file, NULL));
    CU_ASSERT_EQUAL(checked.file->n_entries, 0);
    CU_ASSERT_PTR_NULL(checked.file->audit_to);
    CU_ASSERT_FALSE(checked.file->audit_required);
    CU_ASSERT_FALSE(checked.file->memory_allow_unlocked);
    CU_ASSERT_EQUAL(checked.file->memory_limit_kib, 0);
    CU_ASSERT_PTR_NULL(checked.file->state_dir);
    CU_ASSERT_FALSE(checked.file->fips_required);
    done(&checked);
}

static void a_group_whose_settings_are_commented_out_is_empty(void)
{
    struct checked checked;
    check_text("vaults:\nproviders:\n#  local: {}\naudit:\nmemory:\n", &checked);
    print_faults(&checked.faults);
    CU_ASSERT_PTR_NOT_NULL_FATAL(checked.file);
    CU_ASSERT_EQUAL(checked.file->n_entries, 0);
    done(&checked);
}

static void close_takes_nothing(void)
{
    dkv_provider_file_close(NULL);
}

/* ---- Faults of syntax ---- */

static void a_fault_of_syntax_ends_the_list(void)
{
    one_fault("colour: 1\nvault: &x\n  store: sqlite:/x\n", 2, "", "anchor");
    one_fault("vault:\n  store: *x\n", 2, "", "alias");
    one_fault("vault:\n  store: !!str sqlite:/x\n", 2, "", "tag");
    one_fault(GOOD "providers:\n  local:two:\n", 6, "", "\"providers\" is set again; it is already set on line 3");
    one_fault(GOOD "    key-source: prompt\n", 6, "", "\"key-source\" is set again; it is already set on line 5");
    one_fault(GOOD "---\n", 6, "", "second document");
    one_fault("vault:\n  store: \"sqlite:/x\\0y\"\n", 2, "", "NUL");
    one_fault("vault:\n  store: [[[[[[[[x]]]]]]]]\n", 2, "", "nested more than 8");
    one_fault("vault:\n\tstore: x\n", 2, "", "not tabs");
    one_fault("vault:\n  store: \xFF\n", 2, "", "isn't UTF-8");
    one_fault("- vault\n", 1, "", "NAME: VALUE");
}

/* ---- Faults of meaning ---- */

static void unknown_settings_are_told_with_the_nearest(void)
{
    one_fault(GOOD "stat-dir: /x\n", 6, "stat-dir", "did you mean \"state-dir\"?");
    one_fault(GOOD "vualts: {}\n", 6, "vualts", "did you mean \"vaults\"?");
    one_fault("vault:\n  store: sqlite:/x\n  encryptWith: []\n", 3, "vault.encryptWith",
              "did you mean \"encrypt-with\"?");
    one_fault("vaults:\n  eu:\n    store: sqlite:/x\n    stroe-source: x\n", 4, "vaults.eu.stroe-source",
              "\"store-source\"");
    one_fault("audit:\n  file: /x\n", 2, "audit.file", "unknown setting");
    one_fault("memory:\n  limit-kb: 1\n", 2, "memory.limit-kb", "did you mean \"limit-kib\"?");
    one_fault("providers:\n  local:\n    key-source: file:/k\n    parralel: 1\n", 4, "providers.local.parralel",
              "\"parallel\"");
}

static void settings_of_later_releases_are_not_taken_yet(void)
{
    one_fault("cache:\n  keys: 100\n", 1, "cache", "unknown setting");
    one_fault("policy:\n  require-proof: true\n", 1, "policy", "unknown setting");
    one_fault("cryptoki:\n  login: none\n", 1, "cryptoki", "unknown setting");
}

static void a_vault_has_exactly_one_store(void)
{
    one_fault("\nvault:\n  timeout-ms: 1\n", 2, "vault.store", "is missing");
    one_fault("vault:\n", 1, "vault.store", "is missing");
    one_fault("vault:\n  store: sqlite:/x\n  store-source: file:/y\n", 3, "vault.store-source", "give one of them");
    one_fault("vaults:\n  eu: {}\n", 2, "vaults.eu.store", "is missing");
}

static void a_store_is_sqlite_or_mongodb(void)
{
    one_fault("vault:\n  store: /var/lib/vault.db\n", 2, "vault.store",
              "must be sqlite:/absolute/path or a mongodb:// URI");
    one_fault("vault:\n  store: sqlite:vault.db\n", 2, "vault.store", "absolute path");
    one_fault("vault:\n  store: \"sqlite:/\"\n", 2, "vault.store", "absolute path");
    one_fault("vault:\n  store: postgres://h/db\n  namespace: a.b\n", 2, "vault.store",
              "must be sqlite:/absolute/path");
}

static void a_password_in_a_store_is_refused_and_not_repeated(void)
{
    static const char *const uris[] = {
        "mongodb://app:s3cr3t@h1/",
        "mongodb+srv://app:s3cr3t@h1/",
        "MONGODB://app:s3cr3t@h1:27017,h2/?replicaSet=rs0",
        "mongodb://app:s3/cr3t@h1/",
        "mongodb://app:s3?cr3t@h1/",
        "mongodb://app:s3@cr3t@h1/",
        "mongodb://app@corp:s3cr3t@h1/",
        "mongodb://app:s3/?cr3t@h1/",
        "mongodb://app:3/?cr3t@h1/?tls=true",
        "mongodb://app:3/cr3t?@h1/",
        "mongodb://h1/?tlsCertificateKeyFilePassword=s3cr3t",
        "mongodb://h1/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:s3cr3t",
    };
    for (size_t i = 0; i < DKV_COUNT(uris); i++) {
        struct checked checked;
        char text[256];
        snprintf(text, sizeof(text), "vault:\n  namespace: a.b\n  store: %s\n", uris[i]);
        one_fault(text, 3, "vault.store",
                  "holds a password: put the URI in a file of its own, mode 0600, and name that with store-source");
        check_text(text, &checked);
        CU_ASSERT_PTR_NULL(strstr(checked.faults.items[0].message, "cr3t"));
        done(&checked);
    }
}

static void what_a_store_source_holds_may_have_a_password(void)
{
    CU_ASSERT_PTR_NULL(dkv_store_uri_judge("mongodb://app:s3cr3t@h1/", true));
    CU_ASSERT_PTR_NULL(dkv_store_uri_judge("mongodb://app:s3cr3t@h1/?appname=a@b:c", true));
    CU_ASSERT_PTR_NULL(dkv_store_uri_judge("mongodb://h1:1/?appname=a@b:c", false));
    CU_ASSERT_PTR_NULL(dkv_store_uri_judge("sqlite:/x", true));
    CU_ASSERT_PTR_NOT_NULL(dkv_store_uri_judge("mongodb://app:3/?s3cr3t@h1/", true));
    CU_ASSERT_PTR_NOT_NULL(dkv_store_uri_judge("app:s3cr3t@h1", true));
    CU_ASSERT_PTR_NOT_NULL(dkv_store_uri_judge("mongodb://", true));
}

static void options_that_no_mongodb_uri_has_are_faults(void)
{
    size_t len = 0;
    one_fault("vault:\n  namespace: a.b\n  store: mongodb://h1/?tlss=true\n", 3, "vault.store",
              "has an option that MongoDB's URIs don't have, \"tlss\"; did you mean tls?");
    one_fault("vault:\n  namespace: a.b\n  store: mongodb://h1/?w=1&quitefarfromany=1\n", 3, "vault.store",
              "has an option that MongoDB's URIs don't have, \"quitefarfromany\"");
    one_fault("vault:\n  namespace: a.b\n  store: mongodb://h1/?=1\n", 3, "vault.store", "\"\"");
    CU_ASSERT_PTR_NULL(dkv_store_uri_unknown_option("mongodb://h1", &len));
    CU_ASSERT_PTR_NULL(dkv_store_uri_unknown_option("mongodb://h1/?", &len));
    CU_ASSERT_PTR_NULL(dkv_store_uri_unknown_option("mongodb://h1/?TLS=true&tlscafile=/a?b&&readPreferenceTags=",
                                                    &len));
}

static void a_user_without_a_password_is_a_fault_unless_by_certificate(void)
{
    one_fault("vault:\n  namespace: a.b\n  store: mongodb://app@h1/\n", 3, "vault.store", "no password: put the URI");
    one_fault("vault:\n  namespace: a.b\n  store: mongodb://app@h1/?authMechanism=SCRAM-SHA-256\n", 3, "vault.store",
              "no password");
    CU_ASSERT_PTR_NOT_NULL(dkv_store_uri_judge("mongodb+srv://app@h1/?authmechanism=", true));
    CU_ASSERT_PTR_NULL(dkv_store_uri_judge("mongodb://app:@h1/", true));
    CU_ASSERT_PTR_NULL(dkv_store_uri_judge("mongodb://CN%3Dapp@h1/?tls=true&AuthMechanism=MONGODB-X509", false));
    CU_ASSERT_PTR_NULL(dkv_store_uri_judge("mongodb://h1/?appName=a@b", false));
}

static void a_server_elsewhere_is_asked_for_tls(void)
{
    static const char *const lacking[] = {"mongodb://h1/", "mongodb://h1/?tls=false", "mongodb://u:p@h1,localhost",
                                          "mongodb+srv://h1/?tls=false"};
    static const char *const fine[] = {"mongodb://h1/?tls=true", "mongodb://h1/?SSL=TRUE", "mongodb+srv://h1/",
                                       "mongodb://localhost:1/", "mongodb://u:p@127.0.0.1/", "mongodb://%2Ftmp%2Fs.sock",
                                       "mongodb://[::1]:2/"};
    for (size_t i = 0; i < DKV_COUNT(lacking); i++) {
        CU_ASSERT(dkv_store_uri_lacks_tls(lacking[i]));
    }
    for (size_t i = 0; i < DKV_COUNT(fine); i++) {
        CU_ASSERT(!dkv_store_uri_lacks_tls(fine[i]));
    }
}

static void a_uri_is_one_line(void)
{
    CU_ASSERT_PTR_NOT_NULL(dkv_store_uri_judge("mongodb://h1/\nmongodb://h2/", true));
    CU_ASSERT_PTR_NOT_NULL(dkv_store_uri_judge("mongodb://h1/\r", true));
    CU_ASSERT_PTR_NOT_NULL(dkv_store_uri_judge("mongodb://h1/?tls=true\x7f", true));
}

static void a_namespace_goes_with_mongodb(void)
{
    one_fault("vault:\n  store: mongodb://h1/\n", 2, "vault.namespace", "is missing");
    one_fault("vault:\n  store: sqlite:/x\n  namespace: a.b\n", 3, "vault.namespace", "leave it out");
    one_fault("vault:\n  store: mongodb://h1/\n  namespace: a\n", 3, "vault.namespace", "DATABASE.COLLECTION");
    one_fault("vault:\n  store: mongodb://h1/\n  namespace: a.\n", 3, "vault.namespace", "DATABASE.COLLECTION");
    one_fault("vault:\n  store: mongodb://h1/\n  namespace: .a\n", 3, "vault.namespace", "DATABASE.COLLECTION");
}

static void encrypt_with_names_configured_providers(void)
{
    one_fault(GOOD "vaults:\n  eu:\n    store: sqlite:/y\n    encrypt-with:\n    - local\n    - locla\n", 11,
              "vaults.eu.encrypt-with", "locla isn't an entry of providers; did you mean local?");
    one_fault("vault:\n  store: sqlite:/x\n  encrypt-with: [pkcs11:prod]\n", 3, "vault.encrypt-with",
              "pkcs11:prod isn't an entry of providers");
    one_fault("vault:\n  store: sqlite:/x\n  encrypt-with: [No Id]\n", 3, "vault.encrypt-with", "isn't a provider id");
    one_fault("vault:\n  store: sqlite:/x\n  encrypt-with: local\n", 3, "vault.encrypt-with", "must be a list");
}

static void a_provider_with_a_fault_is_still_there_for_encrypt_with(void)
{
    one_fault("vault:\n  store: sqlite:/x\n  encrypt-with: [local]\nproviders:\n  local:\n    key-source: env:X\n", 6,
              "providers.local.key-source", "must be file:/absolute/path");
}

static void pinned_names_are_uuids(void)
{
    one_fault("vault:\n  store: sqlite:/x\n  names:\n    a: 01234567-89ab-cdef-0123-456789abcdef\n    b.c/d: 1234\n", 5,
              "vault.names.b.c/d", "must be a key's UUID");
    one_fault("vault:\n  store: sqlite:/x\n  names:\n    a: 01234567-89ab-cdef-0123-456789abcdef\n    a: x\n", 5, "",
              "already set on line 4");
    one_fault("vault:\n  store: sqlite:/x\n  names: [a]\n", 3, "vault.names", "must be a map");
}

static void vaults_have_names_of_their_own(void)
{
    one_fault("vaults:\n  default:\n    store: sqlite:/x\n", 2, "vaults.default", "is the name of `vault`");
    one_fault("vaults:\n  \"a b\":\n    store: sqlite:/x\n", 2, "vaults.a b", "must be a name of letters");
    one_fault("vaults: sqlite:/x\n", 1, "vaults", "must be vaults by name");
    one_fault("vaults:\n  eu: sqlite:/x\n", 2, "vaults.eu", "must be a group of settings");
    one_fault("vault: sqlite:/x\n", 1, "vault", "must be a group of settings");
    one_fault("providers: [local]\n", 1, "providers", "must be providers by id");
}

static void scalars_are_typed_by_their_option(void)
{
    one_fault("vault:\n  store: sqlite:/x\n  timeout-ms: 10s\n", 3, "vault.timeout-ms",
              "whole number from 1 to 600000");
    one_fault("vault:\n  store: sqlite:/x\n  allow-group-read: yes\n", 3, "vault.allow-group-read", "true or false");
    one_fault("memory:\n  allow-unlocked: True\n", 2, "memory.allow-unlocked", "true or false");
    one_fault("memory:\n  limit-kib: 1\n", 2, "memory.limit-kib", "whole number");
    one_fault("state-dir: dekvault\n", 1, "state-dir", "absolute path");
    one_fault("audit:\n  to: /var/log/x\n", 2, "audit.to", "must be file:/absolute/path or syslog");
    one_fault("vault:\n  store-source: prompt\n", 2, "vault.store-source", "must be file:/absolute/path");
}

static void audit_that_is_required_needs_a_place(void)
{
    one_fault("audit:\n  required: true\n", 2, "audit.required", "needs audit.to");
    one_fault("audit:\n  to: nowhere\n  required: true\n", 2, "audit.to", "must be");
}

static void fips_and_its_configuration_go_together(void)
{
    one_fault("\nfips: required\n", 2, "fips", "needs fips-config");
    one_fault("fips-config: /etc/fipsmodule.cnf\n", 1, "fips-config", "does nothing without");
    one_fault("fips: on\nfips-config: /etc/fipsmodule.cnf\n", 1, "fips", "must be required");
}

static void a_secret_in_the_file_is_refused_and_not_repeated(void)
{
    static const struct {
        const char *text, *setting, *words;
    } cases[] = {
        {"providers:\n  local:\n    key-source: file:/k\n    key: s3cr3t\n", "providers.local.key",
         "never written in this file"},
        {"providers:\n  local:\n    key-source: file:/k\n    pin: s3cr3t\n", "providers.local.pin",
         "never written in this file"},
        {"providers:\n  local:\n\n    key-source: s3cr3t\n", "providers.local.key-source",
         "itself is never written in this file"},
        {"providers:\n  local:\n\n    key-source: file:s3cr3t\n", "providers.local.key-source",
         "must be file:/absolute/path"},
        {"vault:\n  store: sqlite:/x\n\n  password: s3cr3t\n", "vault.password", "never written in this file"},
        {"providers:\n  pkcs11:a:\n    module: /m.so\n    pin-source: s3cr3t\n    token: pkcs11:token=a;serial=1a\n",
         "providers.pkcs11:a.pin-source", "must be file:/absolute/path, fd:N or prompt"},
        {"providers:\n  pkcs11:a:\n    module: /m.so\n    token: pkcs11:token=a;serial=1a?pin-value=s3cr3t\n"
         "    pin-source: prompt\n",
         "providers.pkcs11:a.token", "holds a PIN"},
        {"providers:\n  pkcs11:a:\n    {module: /m.so, token: 'pkcs11:token=a;serial=1a', pin-source: prompt,\n"
         "     pin:s3cr3t}\n",
         "providers.pkcs11:a", "not the name of a setting"},
    };
    for (size_t i = 0; i < DKV_COUNT(cases); i++) {
        struct checked checked;
        one_fault(cases[i].text, 4, cases[i].setting, cases[i].words);
        check_text(cases[i].text, &checked);
        CU_ASSERT_PTR_NULL(strstr(checked.faults.items[0].message, "s3cr3t"));
        done(&checked);
    }
}

static void all_faults_are_listed_by_line_and_counted(void)
{
    static const struct {
        unsigned line;
        const char *setting;
    } expected[] = {
        {1, "colour"},          {3, "vault.store"},         {4, "vault.timeout-ms"}, {5, "vault.encrypt-with"},
        {7, "providers.lokal"}, {9, "providers.local.key-source"}, {10, "providers.local.keys"}, {12, "audit.required"},
    };
    static const char text[] = "colour: red\n"
                               "vault:\n"
                               "  store: vault.db\n"
                               "  timeout-ms: never\n"
                               "  encrypt-with: [local, aws:eu]\n"
                               "providers:\n"
                               "  lokal: {}\n"
                               "  local:\n"
                               "    key-source: local.key\n"
                               "    keys: x\n"
                               "audit:\n"
                               "  required: 'true'\n";
    struct dkv_error err = {0};
    struct checked checked;
    struct dkv_provider_file *file = NULL;
    check_text(text, &checked);

    if (checked.faults.n != DKV_COUNT(expected)) {
        print_faults(&checked.faults);
    }
    CU_ASSERT_EQUAL_FATAL(checked.faults.n, DKV_COUNT(expected));
    for (size_t i = 0; i < DKV_COUNT(expected); i++) {
        CU_ASSERT_EQUAL(checked.faults.items[i].line, expected[i].line);
        CU_ASSERT_STRING_EQUAL(checked.faults.items[i].setting, expected[i].setting);
    }
    ASSERT_RC(DKV_E_CONFIG, dkv_provider_file_open(checked.path, &file, &err));
    ASSERT_SAYS(":1: colour: unknown setting");
    ASSERT_SAYS("(and 7 more: run `dekvault config check`)");
    done(&checked);
}

/* ---- Who may have written it ---- */

static void refuse_file(const char *path, enum dkv_rc rc, const char *words)
{
    struct dkv_error err = {0};
    struct dkv_provider_file *file = NULL;
    struct dkv_faults faults = {0};
    char found[PATH_MAX] = "";
    ASSERT_RC(rc, dkv_provider_file_open(path, &file, &err));
    if (strstr(err.message, words) == NULL) {
        printf("# says: %s\n", err.message);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, words));
    CU_ASSERT_PTR_NULL(file);
    ASSERT_RC(rc, dkv_provider_file_check(path, &file, &faults, found, &err));
    CU_ASSERT_STRING_EQUAL(found, path);
    CU_ASSERT_EQUAL(faults.n, 0);
    dkv_faults_done(&faults);
}

static void a_file_that_others_may_write_is_refused(void)
{
    refuse_file(dkv_test_write("g.conf", GOOD, strlen(GOOD), 0620), DKV_E_CONFIG, "g.conf");
    refuse_file(dkv_test_write("o.conf", GOOD, strlen(GOOD), 0602), DKV_E_CONFIG, "o.conf");
}

static void a_folder_that_others_may_write_is_refused(void)
{
    char path[PATH_MAX];
    const char *folder = dkv_test_path("open");
    CU_ASSERT_EQUAL_FATAL(mkdir(folder, 0700), 0);
    snprintf(path, sizeof(path), "%s", dkv_test_write("open/dekvault.conf", GOOD, strlen(GOOD), 0600));
    CU_ASSERT_EQUAL_FATAL(chmod(folder, 01777), 0);
    refuse_file(path, DKV_E_CONFIG, "open");
    CU_ASSERT_EQUAL_FATAL(chmod(folder, 0700), 0);
}

static void a_file_of_another_user_is_refused(void)
{
    const char *path = dkv_test_write("other.conf", GOOD, strlen(GOOD), 0600);
    if (geteuid() != 0) {
        dkv_test_skip("only root can give a file away");
        return;
    }
    CU_ASSERT_EQUAL_FATAL(chown(path, 65534, 0), 0);
    refuse_file(path, DKV_E_CONFIG, "65534");
}

static void what_is_no_regular_file_is_refused(void)
{
    const char *fifo = dkv_test_path("fifo");
    CU_ASSERT_EQUAL_FATAL(mkfifo(fifo, 0600), 0);
    refuse_file(fifo, DKV_E_CONFIG, "regular file");
    refuse_file(dkv_test_dir(), DKV_E_CONFIG, "");
}

static void a_file_over_256_kib_is_refused(void)
{
    const size_t max = (size_t)256 * 1024;
    struct dkv_error err = {0};
    struct dkv_provider_file *file = NULL;
    char *text = (char *)dkv_calloc(1, max + 1);
    memset(text, '\n', max + 1);
    refuse_file(dkv_test_write("big.conf", text, max + 1, 0600), DKV_E_CONFIG, "big.conf");
    ASSERT_OK(dkv_provider_file_open(dkv_test_write("fits.conf", text, max, 0600), &file, &err));
    dkv_provider_file_close(file);
    dkv_free(text);
}

static void a_file_that_is_not_there_is_not_found(void)
{
    refuse_file(dkv_test_path("none.conf"), DKV_E_NOT_FOUND, "none.conf");
    refuse_file("", DKV_E_NOT_FOUND, "");
}

static void a_path_that_is_too_long_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_provider_file *file = NULL;
    char path[PATH_MAX + 2];
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    ASSERT_RC(DKV_E_INVALID, dkv_provider_file_open(path, &file, &err));
    ASSERT_SAYS("longer than");
}

/* ---- Where it is looked for ---- */

static void make_folders(const char *under)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof(folder), "%s/%s", dkv_test_dir(), under);
    (void)mkdir(folder, 0700);
}

static void expect_found(const char *path)
{
    struct dkv_error err = {0};
    struct dkv_provider_file *file = NULL;
    char expected[PATH_MAX];
    snprintf(expected, sizeof(expected), "%s", path);
    ASSERT_OK(dkv_provider_file_open(NULL, &file, &err));
    CU_ASSERT_STRING_EQUAL(dkv_provider_file_path(file), expected);
    dkv_provider_file_close(file);
}

static void the_search_goes_from_the_environment_to_the_user_to_the_system(void)
{
    struct dkv_error err = {0};
    struct dkv_provider_file *file = NULL;
    const char *xdg = dkv_test_path("xdg"), *home = dkv_test_path("home");
    make_folders("xdg");
    make_folders("xdg/dekvault");
    make_folders("home");
    make_folders("home/.config");
    make_folders("home/.config/dekvault");
    const char *named = dkv_test_write("named.conf", GOOD, strlen(GOOD), 0600);
    setenv("DEKVAULT_CONF", named, 1);
    setenv("XDG_CONFIG_HOME", xdg, 1);
    setenv("HOME", home, 1);

    expect_found(named);
    unsetenv("DEKVAULT_CONF");
    expect_found(dkv_test_write("xdg/dekvault/dekvault.conf", GOOD, strlen(GOOD), 0600));
    unsetenv("XDG_CONFIG_HOME");
    expect_found(dkv_test_write("home/.config/dekvault/dekvault.conf", GOOD, strlen(GOOD), 0600));
    setenv("XDG_CONFIG_HOME", "xdg", 1);
    expect_found(dkv_test_path("home/.config/dekvault/dekvault.conf"));
    setenv("DEKVAULT_CONF", "", 1);
    expect_found(dkv_test_path("home/.config/dekvault/dekvault.conf"));

    setenv("DEKVAULT_CONF", dkv_test_path("absent.conf"), 1);
    ASSERT_RC(DKV_E_NOT_FOUND, dkv_provider_file_open(NULL, &file, &err));
    ASSERT_SAYS("DEKVAULT_CONF: ");
    unsetenv("DEKVAULT_CONF");
}

static void a_users_file_that_may_not_be_trusted_ends_the_search(void)
{
    struct dkv_error err = {0};
    struct dkv_provider_file *file = NULL;
    make_folders("bad");
    make_folders("bad/dekvault");
    dkv_test_write("bad/dekvault/dekvault.conf", GOOD, strlen(GOOD), 0666);
    setenv("XDG_CONFIG_HOME", dkv_test_path("bad"), 1);
    ASSERT_RC(DKV_E_CONFIG, dkv_provider_file_open(NULL, &file, &err));
    ASSERT_SAYS("bad/dekvault/dekvault.conf");
}

static void without_a_file_the_places_looked_at_are_named(void)
{
    struct dkv_error err = {0};
    struct dkv_provider_file *file = NULL;
    if (access("/etc/dekvault/dekvault.conf", F_OK) == 0) {
        dkv_test_skip("this machine has /etc/dekvault/dekvault.conf");
        return;
    }
    setenv("XDG_CONFIG_HOME", dkv_test_path("nowhere"), 1);
    ASSERT_RC(DKV_E_NOT_FOUND, dkv_provider_file_open(NULL, &file, &err));
    ASSERT_SAYS("nowhere/dekvault/dekvault.conf nor /etc/dekvault/dekvault.conf");
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("HOME");
    ASSERT_RC(DKV_E_NOT_FOUND, dkv_provider_file_open(NULL, &file, &err));
    ASSERT_SAYS("/etc/dekvault/dekvault.conf");
}

/* ---- The settings' descriptions ---- */

/* What a visit has seen; too large for a stack frame. */
static struct {
    size_t n;
    char names[128][96];
    size_t stop_at; /* 0: not at all */
} seen;

static enum dkv_rc see(void *arg, const struct dkv_setting_doc *doc, struct dkv_error *err)
{
    CU_ASSERT_PTR_EQUAL(arg, &seen);
    CU_ASSERT_FATAL(seen.n < DKV_COUNT(seen.names));
    CU_ASSERT(doc->option->help != NULL && doc->option->help[0] != '\0' &&
              doc->option->help[strlen(doc->option->help) - 1] == '.');
    for (size_t i = 0; i < seen.n; i++) {
        CU_ASSERT_STRING_NOT_EQUAL(seen.names[i], doc->setting);
    }
    snprintf(seen.names[seen.n++], sizeof(seen.names[0]), "%s", doc->setting);
    return seen.n == seen.stop_at ? dkv_fail(err, DKV_E_CANCELLED, "enough") : DKV_OK;
}

static bool has_seen(const char *name)
{
    for (size_t i = 0; i < seen.n; i++) {
        if (strcmp(seen.names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void every_setting_is_described_once(void)
{
    static const char *const expected[] = {
        "vault.store", "vault.allow-group-read", "vaults", "providers", "providers.*.cmk",
            "providers.*.allow-group-read",
        "providers.local.key-source", "audit.to", "audit.required", "memory.limit-kib", "state-dir", "fips",
            "fips-config",
    };
    struct dkv_error err = {0};
    seen.n = 0;
    seen.stop_at = 0;
    ASSERT_OK(dkv_settings_visit(see, &seen, &err));
    for (size_t i = 0; i < DKV_COUNT(expected); i++) {
        CU_ASSERT_TRUE(has_seen(expected[i]));
    }
}

static void a_visitor_can_stop(void)
{
    struct dkv_error err = {0};
    seen.n = 0;
    seen.stop_at = 0;
    ASSERT_OK(dkv_settings_visit(see, &seen, &err));
    const size_t all = seen.n;
    for (size_t stop = 1; stop <= all; stop++) {
        seen.n = 0;
        seen.stop_at = stop;
        ASSERT_RC(DKV_E_CANCELLED, dkv_settings_visit(see, &seen, &err));
        CU_ASSERT_EQUAL(seen.n, stop);
    }
}

/* ---- Memory ---- */

static enum dkv_rc open_body(void *arg, struct dkv_error *err)
{
    struct dkv_provider_file *file = NULL;
    const enum dkv_rc rc = dkv_provider_file_open((const char *)arg, &file, err);
    dkv_provider_file_close(file);
    return rc;
}

static enum dkv_rc check_body(void *arg, struct dkv_error *err)
{
    struct dkv_provider_file *file = NULL;
    struct dkv_faults faults = {0};
    char path[PATH_MAX];
    const enum dkv_rc rc = dkv_provider_file_check((const char *)arg, &file, &faults, path, err);
    dkv_provider_file_close(file);
    dkv_faults_done(&faults);
    return rc;
}

static void every_failed_allocation_is_told(void)
{
    static const char wrong[] =
        "vault:\n  store: sqlite:/x\n  encrypt-with: [locla]\n  names: {a: b}\n  stroe: x\nproviders:\n"
                                "  local: {key-source: x}\n  what: {}\n";
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s", dkv_test_write("full.conf", full, strlen(full), 0600));
    CU_ASSERT(dkv_test_each_alloc_fails(open_body, path) > 100);
    snprintf(path, sizeof(path), "%s", dkv_test_write("wrong.conf", wrong, strlen(wrong), 0600));
    CU_ASSERT(dkv_test_each_alloc_fails(check_body, path) > 30);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(every_setting_is_read),
        DKV_TEST(an_empty_file_is_good_and_has_the_defaults),
        DKV_TEST(a_group_whose_settings_are_commented_out_is_empty),
        DKV_TEST(close_takes_nothing),
        DKV_TEST(a_fault_of_syntax_ends_the_list),
        DKV_TEST(unknown_settings_are_told_with_the_nearest),
        DKV_TEST(settings_of_later_releases_are_not_taken_yet),
        DKV_TEST(a_vault_has_exactly_one_store),
        DKV_TEST(a_store_is_sqlite_or_mongodb),
        DKV_TEST(a_password_in_a_store_is_refused_and_not_repeated),
        DKV_TEST(what_a_store_source_holds_may_have_a_password),
        DKV_TEST(a_namespace_goes_with_mongodb),
        DKV_TEST(options_that_no_mongodb_uri_has_are_faults),
        DKV_TEST(a_user_without_a_password_is_a_fault_unless_by_certificate),
        DKV_TEST(a_server_elsewhere_is_asked_for_tls),
        DKV_TEST(a_uri_is_one_line),
        DKV_TEST(encrypt_with_names_configured_providers),
        DKV_TEST(a_provider_with_a_fault_is_still_there_for_encrypt_with),
        DKV_TEST(pinned_names_are_uuids),
        DKV_TEST(vaults_have_names_of_their_own),
        DKV_TEST(scalars_are_typed_by_their_option),
        DKV_TEST(audit_that_is_required_needs_a_place),
        DKV_TEST(fips_and_its_configuration_go_together),
        DKV_TEST(a_secret_in_the_file_is_refused_and_not_repeated),
        DKV_TEST(all_faults_are_listed_by_line_and_counted),
        DKV_TEST(a_file_that_others_may_write_is_refused),
        DKV_TEST(a_folder_that_others_may_write_is_refused),
        DKV_TEST(a_file_of_another_user_is_refused),
        DKV_TEST(what_is_no_regular_file_is_refused),
        DKV_TEST(a_file_over_256_kib_is_refused),
        DKV_TEST(a_file_that_is_not_there_is_not_found),
        DKV_TEST(a_path_that_is_too_long_is_refused),
        DKV_TEST(the_search_goes_from_the_environment_to_the_user_to_the_system),
        DKV_TEST(a_users_file_that_may_not_be_trusted_ends_the_search),
        DKV_TEST(without_a_file_the_places_looked_at_are_named),
        DKV_TEST(every_setting_is_described_once),
        DKV_TEST(a_visitor_can_stop),
        DKV_TEST(every_failed_allocation_is_told),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
