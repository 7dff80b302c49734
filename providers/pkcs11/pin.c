/* SPDX-License-Identifier: Apache-2.0 */
/* Where the PIN comes from. A file is read anew before each login, so that a rotated PIN needs no restart; a descriptor
 * is read once when the provider opens, the terminal asked once when the first login needs it. A PIN is in secret
 * memory only, and of a file's not longer than the login takes. Lock: the instance's. */
#include "providers/pkcs11/internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/file.h"

static const char *source_text(const struct dkv_provider *self)
{
    const struct dkv_value *value = dkv_p11_option(self, DKV_P11_OPTION_PIN_SOURCE);
    return value->is_set ? value->text : NULL;
}

static const char *file_of(const char *source)
{
    return source != NULL && strncmp(source, "file:", 5) == 0 ? source + 5 : NULL;
}

static bool asks_by_itself(const struct dkv_provider *self)
{
    return (self->token.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0;
}

/* ---- Which source, for the guard ---- */

/* By device and inode, not by path: two names of one file are one PIN. */
static enum dkv_rc name_file(const struct dkv_provider *self, const char *path, struct dkv_p11_pin_source *ret,
                             struct dkv_error *err)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        return dkv_fail_errno(err, DKV_E_CONFIG, "the PIN file %s can't be read", path);
    }
    (void)snprintf(ret->key, sizeof(ret->key), "pin/%s/%jx-%jx", self->token.identity, (uintmax_t)info.st_dev,
                   (uintmax_t)info.st_ino);
    return DKV_OK;
}

enum dkv_rc dkv_p11_pin_source_of(const struct dkv_provider *self, struct dkv_p11_pin_source *ret,
                                  struct dkv_error *err)
{
    struct dkv_p11_pin_source source = {.name = asks_by_itself(self) ? "the token's own PIN pad" : source_text(self)};
    const char *path = asks_by_itself(self) ? NULL : file_of(source.name);
    DKV_CHECK(source.name != NULL, err, DKV_E_CONFIG,
              "%s:%u: token %s wants a PIN: set pin-source (file:/PATH, fd:N or prompt)", self->settings->file,
              self->settings->line, self->token.label);
    if (path != NULL) {
        DKV_TRY(name_file(self, path, &source, err));
    } else {
        /* What somebody typed has no other mark than the token that it was for. */
        (void)snprintf(source.key, sizeof(source.key), "pin/%s/asked", self->token.identity);
        (void)snprintf(source.fingerprint, sizeof(source.fingerprint), "serial %s", self->token.serial);
    }
    *ret = source;
    return DKV_OK;
}

/* ---- Reading ---- */

/* The marks are those of the descriptor that was read; a file that changed meanwhile wasn't read. */
static enum dkv_rc read_file(const struct dkv_provider *self, const char *path, struct dkv_p11_pin_source *source,
                             struct dkv_secret *ret, struct dkv_error *err)
{
    struct stat info;
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret pin = {0};
    const enum dkv_rc rc =
        dkv_secret_file_read(path, self->settings->allow_group_read, DKV_P11_PIN_MAX, &pin, &info, err);
    DKV_CHECK(rc != DKV_E_NOT_FOUND, err, DKV_E_CONFIG, "there is no PIN file %s", path);
    DKV_TRY(rc);
    pin.len = dkv_secret_trimmed_len(&pin);
    DKV_CHECK(pin.len > 0, err, DKV_E_CONFIG, "the PIN file %s is empty", path);
    (void)snprintf(source->key, sizeof(source->key), "pin/%s/%jx-%jx", self->token.identity, (uintmax_t)info.st_dev,
                   (uintmax_t)info.st_ino);
    (void)snprintf(source->fingerprint, sizeof(source->fingerprint),
                   "dev %jx ino %jx size %jd mtime %jd.%09ld ctime %jd.%09ld", (uintmax_t)info.st_dev,
                   (uintmax_t)info.st_ino, (intmax_t)info.st_size, (intmax_t)info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
                   (intmax_t)info.st_ctim.tv_sec, info.st_ctim.tv_nsec);
    dkv_secret_steal(ret, &pin);
    return DKV_OK;
}

static enum dkv_rc read_once(struct dkv_provider *self, const char *prompt, struct dkv_error *err)
{
    void *memory = NULL;
    size_t len = 0;
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret pin = {0};
    DKV_TRY(
        self->host->secret_source_read(self->settings, source_text(self), prompt, DKV_P11_PIN_MAX, &memory, &len, err));
    const enum dkv_rc rc = dkv_secret_init(&pin, len, err);
    if (rc == DKV_OK) {
        memcpy(pin.data, memory, len);
    }
    self->host->secret_free(memory);
    DKV_TRY(rc);
    dkv_secret_done(&self->pin);
    dkv_secret_steal(&self->pin, &pin);
    return DKV_OK;
}

enum dkv_rc dkv_p11_pin_open(struct dkv_provider *self, struct dkv_error *err)
{
    const char *source = source_text(self);
    return source != NULL && strncmp(source, "fd:", 3) == 0 ? read_once(self, "", err) : DKV_OK;
}

bool dkv_p11_pin_is_to_be_asked(const struct dkv_provider *self)
{
    const char *source = source_text(self);
    return source != NULL && strcmp(source, "prompt") == 0 && self->pin.data == NULL && !asks_by_itself(self);
}

static enum dkv_rc copy_kept(const struct dkv_provider *self, struct dkv_secret *ret, struct dkv_error *err)
{
    DKV_CHECK(dkv_secret_is_alive(&self->pin), err, DKV_E_INVALID,
              "the PIN was read before fork and isn't there in the child: open the vault again in the child");
    DKV_TRY(dkv_secret_init(ret, self->pin.len, err));
    memcpy(ret->data, self->pin.data, self->pin.len);
    return DKV_OK;
}

enum dkv_rc dkv_p11_pin_read(struct dkv_provider *self, struct dkv_p11_pin_source *source, struct dkv_secret *ret,
                             struct dkv_error *err)
{
    char prompt[128];
    if (asks_by_itself(self)) {
        return DKV_OK;
    }
    const char *path = file_of(source_text(self));
    if (path != NULL) {
        return read_file(self, path, source, ret, err);
    }
    if (self->pin.data == NULL) {
        (void)snprintf(prompt, sizeof(prompt), "PIN of token %s (serial %s)", self->token.label, self->token.serial);
        DKV_TRY(read_once(self, prompt, err));
    }
    return copy_kept(self, ret, err);
}
