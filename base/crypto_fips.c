/* SPDX-License-Identifier: Apache-2.0 */
/* Starting OpenSSL's FIPS provider in our context from a fipsmodule.cnf (fips_module(7), fips_config(5)).
 *
 * Of the file only the section fips_sect is taken, put into a configuration of our own: whatever else
 * stands in there, say a whole openssl.cnf, configures nothing. The provider is looked for where OpenSSL was built to
 * look, or where the section's `module` says; OPENSSL_MODULES in the environment has no say. */
#include "base/crypto_context.h"

#include <limits.h>

#include <openssl/conf.h>
#include <openssl/err.h>

#include "base/file.h"
#include "base/mem.h"

#define FIPS_CONFIG_MAX 65536
#define FIPS_SECTION "fips_sect"

DKV_DEFINE_FREEP(CONF, NCONF_free);
DKV_DEFINE_FREEP(BIO, BIO_free_all);
DKV_DEFINE_FREEP(EVP_CIPHER, EVP_CIPHER_free);

static enum dkv_rc unusable(struct dkv_error *err, const char *path, const char *why)
{
    const unsigned long code = ERR_peek_last_error();
    dkv_fail(err, DKV_E_CONFIG,
             "fips-config %s: %s: install OpenSSL's FIPS provider, write the file with 'openssl fipsinstall' and name "
             "its absolute path, "
             "or leave out 'fips: required'",
             path, why);
    if (code != 0) {
        dkv_error_native(err, DKV_NATIVE_OPENSSL, (int64_t)code, "");
    }
    return DKV_E_CONFIG;
}

/* Read from the descriptor that was judged. */
static enum dkv_rc read_config(const char *path, struct dkv_buf *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_fd_close) int fd = -1;
    struct stat info;
    if (path[0] != '/') {
        return unusable(err, path, "not an absolute path");
    }
    const enum dkv_rc rc = dkv_file_open_trusted(path, &fd, &info, err);
    if (rc == DKV_E_NOT_FOUND) {
        return unusable(err, path, "no such file");
    }
    DKV_TRY(rc);
    return dkv_file_read(fd, path, FIPS_CONFIG_MAX, ret, err);
}

static enum dkv_rc parse(OSSL_LIB_CTX *lib, const char *path, struct dkv_span text, CONF **ret, struct dkv_error *err)
{
    DKV_CLEANUP(NCONF_freep) CONF *config = NCONF_new_ex(lib, NULL);
    DKV_CLEANUP(BIO_free_allp) BIO *source = BIO_new_mem_buf(text.data, (int)text.len);
    if (config == NULL || source == NULL) {
        return dkv_fail_memory(err);
    }
    long line = 0;
    if (NCONF_load_bio(config, source, &line) != 1) {
        return unusable(err, path, "not a configuration that OpenSSL can read");
    }
    *ret = config;
    config = NULL;
    return DKV_OK;
}

/* Characters that mean nothing to OpenSSL's parser, so that a value reads the same the second time. */
static bool is_plain(const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:._/+-";
    return text[0] != '\0' && text[strspn(text, plain)] == '\0';
}

static enum dkv_rc copy_setting(const char *path, const CONF_VALUE *setting, struct dkv_buf *text,
                                struct dkv_error *err)
{
    if (!is_plain(setting->name) || !is_plain(setting->value)) {
        return unusable(err, path, "a setting with characters that 'openssl fipsinstall' doesn't write");
    }
    if (strcmp(setting->name, "module") == 0) {
        char resolved[PATH_MAX];
        DKV_TRY(dkv_file_judge_loadable(setting->value, resolved, err));
    }
    return dkv_buf_printf(text, err, "%s = %s\n", setting->name, setting->value);
}

/* Our own configuration around the settings of the file's section. */
static enum dkv_rc compose(const char *path, const CONF *config, struct dkv_buf *text, struct dkv_error *err)
{
    STACK_OF(CONF_VALUE) *section = NCONF_get_section(config, FIPS_SECTION);
    if (section == NULL || sk_CONF_VALUE_num(section) == 0) {
        return unusable(err, path, "no section [" FIPS_SECTION "] in it");
    }
    DKV_TRY(dkv_buf_append_str(text,
                               "openssl_conf = init\n"
                               "[init]\nproviders = providers\n"
                               "[providers]\nfips = " FIPS_SECTION "\nbase = base\n"
                               "[base]\nactivate = 1\n"
                               "[" FIPS_SECTION "]\n",
                               err));
    for (int i = 0; i < sk_CONF_VALUE_num(section); i++) {
        DKV_TRY(copy_setting(path, sk_CONF_VALUE_value(section, i), text, err));
    }
    return DKV_OK;
}

static enum dkv_rc start_providers(struct dkv_crypto *crypto, const char *path, const CONF *config,
                                   struct dkv_error *err)
{
    const char *modules = OPENSSL_info(OPENSSL_INFO_MODULES_DIR);
    if (modules == NULL || OSSL_PROVIDER_set_default_search_path(crypto->lib, modules) != 1) {
        return dkv_fail_openssl(err, "setting the folder of providers");
    }
    if (CONF_modules_load(config, NULL, 0) <= 0) {
        return unusable(err, path, "the FIPS provider doesn't start with it on this machine");
    }
    crypto->providers[0] = OSSL_PROVIDER_load(crypto->lib, "fips");
    crypto->providers[1] = OSSL_PROVIDER_load(crypto->lib, "base");
    if (crypto->providers[0] == NULL || crypto->providers[1] == NULL) {
        return unusable(err, path, "the FIPS provider doesn't start with it on this machine");
    }
    /* For what OpenSSL fetches by itself, and for every fetch of ours. */
    if (EVP_set_default_properties(crypto->lib, "fips=yes") != 1) {
        return dkv_fail_openssl(err, "setting fips=yes");
    }
    DKV_CLEANUP(EVP_CIPHER_freep) EVP_CIPHER *probe = EVP_CIPHER_fetch(crypto->lib, "AES-256-GCM", NULL);
    return probe != NULL ? DKV_OK : unusable(err, path, "the provider that it starts has no approved AES-256-GCM");
}

enum dkv_rc dkv_crypto_load_fips(struct dkv_crypto *crypto, const char *path, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf file = {0}, text = {0};
    DKV_CLEANUP(NCONF_freep) CONF *parsed = NULL, *config = NULL;
    DKV_TRY(read_config(path, &file, err));
    DKV_TRY(parse(crypto->lib, path, dkv_span_buf(&file), &parsed, err));
    DKV_TRY(compose(path, parsed, &text, err));
    DKV_TRY(parse(crypto->lib, path, dkv_span_buf(&text), &config, err));
    return start_providers(crypto, path, config, err);
}
