/* SPDX-License-Identifier: Apache-2.0 */
/* Logging in without ever locking a token. In this order: the token's flags, the serial, the guard's memory, then,
 * written down beforehand, one C_Login. Locks: the instance's, and the token's state lock around all of it, among all
 * processes that share the state folder. */
#include "providers/pkcs11/internal.h"

#include <stdio.h>
#include <time.h>

struct attempt {
    struct dkv_provider *self;
    const struct dkv_p11_login_options *options;
    struct dkv_p11_pin_source source;
    struct dkv_secret pin;
    struct dkv_buf before; /* what the guard remembered of the source */
};

/* ---- Whether the token may be tried at all ---- */

#define INFO_TRIES 10
#define INFO_PAUSE_MS 8

/* SoftHSM reads the token's file in each call, and fails while another process is writing it. */
static CK_RV get_token_info(const struct dkv_provider *self, CK_TOKEN_INFO *ret)
{
    static const struct timespec pause = {.tv_nsec = INFO_PAUSE_MS * 1000000L};
    CK_RV rv = self->functions->C_GetTokenInfo(self->token.slot, ret);
    for (int i = 1; i < INFO_TRIES && rv == CKR_GENERAL_ERROR; i++) {
        (void)nanosleep(&pause, NULL);
        rv = self->functions->C_GetTokenInfo(self->token.slot, ret);
    }
    return rv;
}

/* The session is open by now and ends with its token: a token that was exchanged before that is found out here. */
static enum dkv_rc read_flags(struct dkv_provider *self, struct dkv_error *err)
{
    CK_TOKEN_INFO info = {0};
    struct dkv_p11_token now;
    const CK_RV rv = get_token_info(self, &info);
    if (rv != CKR_OK) {
        return dkv_p11_fail(err, rv, "token %s: C_GetTokenInfo", self->token.label);
    }
    dkv_p11_token_describe(&info, self->token.slot, &now);
    DKV_CHECK(strcmp(now.identity, self->token.identity) == 0, err, DKV_E_UNREACHABLE,
              "token %s (serial %s) isn't in its slot any more, but %s (serial %s) is, which gets no PIN",
              self->token.label, self->token.serial, now.label, now.serial);
    self->token.flags = info.flags;
    return DKV_OK;
}

static enum dkv_rc check_flags(const struct attempt *attempt, struct dkv_error *err)
{
    const struct dkv_provider *self = attempt->self;
    const CK_FLAGS flags = self->token.flags;
    const char *label = self->token.label;
    DKV_CHECK((flags & CKF_USER_PIN_INITIALIZED) != 0, err, DKV_E_CONFIG,
              "token %s has no user PIN yet: set one with its own tools", label);
    DKV_CHECK((flags & CKF_USER_PIN_LOCKED) == 0, err, DKV_E_POLICY,
              "the PIN of token %s is locked: its security officer must reset it", label);
    DKV_CHECK((flags & CKF_USER_PIN_FINAL_TRY) == 0, err, DKV_E_POLICY,
              "token %s has one try left before its PIN locks: it isn't taken; log in once with the token's own tools",
              label);
    DKV_CHECK((flags & CKF_USER_PIN_TO_BE_CHANGED) == 0, err, DKV_E_POLICY,
              "the PIN of token %s must be changed first: do that with the token's own tools", label);
    return DKV_OK;
}

/* A PIN that worked in this process is right, whoever else mistyped one meanwhile. */
static enum dkv_rc check_count(const struct attempt *attempt, struct dkv_error *err)
{
    const struct dkv_provider *self = attempt->self;
    const bool is_proved =
        attempt->source.fingerprint[0] != '\0' && strcmp(self->proved_fingerprint, attempt->source.fingerprint) == 0;
    DKV_CHECK((self->token.flags & CKF_USER_PIN_COUNT_LOW) == 0 || is_proved || attempt->options->is_deliberate, err,
              DKV_E_POLICY,
              "token %s reports a wrong PIN since its last good login: no PIN is sent on a low count; make sure that "
              "the PIN is right, then "
              "run `dekvault token login %s --once`",
              self->token.label, self->settings->id);
    return DKV_OK;
}

/* ---- The one attempt ---- */

/* Codes with which a token says that it didn't look at the PIN. Not those for what happened in the middle of the call:
 * CKR_DEVICE_REMOVED, CKR_SESSION_CLOSED. */
static bool was_not_tried(CK_RV rv)
{
    static const CK_RV codes[] = {CKR_USER_ALREADY_LOGGED_IN,
                                  CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
                                  CKR_SESSION_HANDLE_INVALID,
                                  CKR_SESSION_READ_ONLY_EXISTS,
                                  CKR_CRYPTOKI_NOT_INITIALIZED,
                                  CKR_TOKEN_NOT_PRESENT,
                                  CKR_USER_PIN_NOT_INITIALIZED,
                                  CKR_FUNCTION_CANCELED};
    for (size_t i = 0; i < DKV_COUNT(codes); i++) {
        if (codes[i] == rv) {
            return true;
        }
    }
    return false;
}

static bool is_pin_refusal(CK_RV rv)
{
    return rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE || rv == CKR_PIN_EXPIRED ||
           rv == CKR_PIN_LOCKED;
}

/* A failure of another kind may have counted as a try; the token's own flags tell. */
static bool may_have_counted(struct dkv_provider *self, CK_RV rv)
{
    if (is_pin_refusal(rv) || was_not_tried(rv)) {
        return is_pin_refusal(rv);
    }
    return read_flags(self, NULL) != DKV_OK ||
           (self->token.flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED)) != 0;
}

/* By the token's flags after the attempt, since they decide what the next login meets. */
static void say_what_helps(const struct attempt *attempt, struct dkv_error *err)
{
    struct dkv_provider *self = attempt->self;
    const bool is_told = read_flags(self, NULL) == DKV_OK;
    const CK_FLAGS flags = is_told ? self->token.flags : 0;
    const char *id = self->settings->id;
    if ((flags & CKF_USER_PIN_LOCKED) != 0) {
        dkv_error_append(err, "; the PIN is locked now: the token's security officer must reset it");
    } else if ((flags & CKF_USER_PIN_FINAL_TRY) != 0) {
        dkv_error_append(err, "; one try is left before the PIN locks, and it isn't taken: log in once with the "
                              "token's own tools");
    } else if ((flags & CKF_USER_PIN_COUNT_LOW) != 0) {
        dkv_error_append(err, "; the token reports a low count, so no PIN is sent, a corrected one neither, until "
                              "`dekvault token login %s --once` succeeds: correct the PIN, then run that", id);
    } else if (strncmp(attempt->source.name, "file:", 5) == 0) {
        dkv_error_append(err, "; it isn't sent again until it changes or `dekvault token login %s --once` succeeds",
                         id);
    } else {
        dkv_error_append(err, "; none is sent again until `dekvault token login %s --once` succeeds", id);
    }
}

static enum dkv_rc fail_login(struct attempt *attempt, CK_RV rv, struct dkv_error *err)
{
    struct dkv_provider *self = attempt->self;
    const bool is_refused = may_have_counted(self, rv);
    if (!is_refused) {
        DKV_TRY(dkv_p11_guard_restore(self, &attempt->source, dkv_span_buf(&attempt->before), err));
        return dkv_p11_fail(err, rv, "token %s: C_Login", self->token.label);
    }
    /* What was typed wrong is asked anew, once the guard lets it. */
    dkv_secret_done(&self->pin);
    self->proved_fingerprint[0] = '\0';
    (void)dkv_p11_fail(err, rv, "token %s refuses the PIN from %s", self->token.label, attempt->source.name);
    say_what_helps(attempt, err);
    return dkv_p11_rv_class(rv);
}

static enum dkv_rc succeed(struct attempt *attempt, struct dkv_error *err)
{
    struct dkv_provider *self = attempt->self;
    DKV_TRY(dkv_p11_guard_clear(self, &attempt->source, err));
    memcpy(self->proved_fingerprint, attempt->source.fingerprint, sizeof(self->proved_fingerprint));
    return dkv_p11_serial_remember(self, attempt->options->accept_serial, err);
}

/* Somebody else in this process logged in between our look and our call: it proves nothing about the PIN, but the login
 * is there. */
static enum dkv_rc already_in(struct attempt *attempt, struct dkv_error *err)
{
    const struct dkv_provider *self = attempt->self;
    DKV_TRY(dkv_p11_guard_restore(self, &attempt->source, dkv_span_buf(&attempt->before), err));
    DKV_CHECK(!attempt->options->is_deliberate, err, DKV_E_CONFLICT,
              "this process is logged in to token %s already, so the PIN wasn't tried: use a process of its own",
              self->token.label);
    return DKV_OK;
}

static enum dkv_rc send_pin(struct attempt *attempt, struct dkv_error *err)
{
    struct dkv_provider *self = attempt->self;
    DKV_TRY(dkv_p11_guard_arm(self, &attempt->source, &attempt->before, err));
    self->is_pin_sent = true;
    const CK_RV rv = self->functions->C_Login(self->main, CKU_USER, attempt->pin.data, attempt->pin.len);
    if (rv == CKR_OK) {
        return succeed(attempt, err);
    }
    return rv == CKR_USER_ALREADY_LOGGED_IN ? already_in(attempt, err) : fail_login(attempt, rv, err);
}

/* All that can refuse without the PIN, so that nobody is asked for it in vain. */
static enum dkv_rc check_beforehand(struct attempt *attempt, struct dkv_error *err)
{
    struct dkv_provider *self = attempt->self;
    DKV_TRY(read_flags(self, err));
    DKV_TRY(check_flags(attempt, err));
    if (!attempt->options->accept_serial) {
        DKV_TRY(dkv_p11_serial_check(self, err));
    }
    DKV_TRY(dkv_p11_pin_source_of(self, &attempt->source, err));
    /* A file has no marks before it is read. */
    if (attempt->options->is_deliberate || attempt->source.fingerprint[0] == '\0') {
        return DKV_OK;
    }
    DKV_TRY(dkv_p11_guard_check(self, &attempt->source, err));
    return check_count(attempt, err);
}

static enum dkv_rc guarded(struct attempt *attempt, struct dkv_error *err)
{
    struct dkv_provider *self = attempt->self;
    DKV_TRY(check_beforehand(attempt, err));
    DKV_TRY(dkv_p11_pin_read(self, &attempt->source, &attempt->pin, err));
    if (!attempt->options->is_deliberate) {
        DKV_TRY(dkv_p11_guard_check(self, &attempt->source, err));
    }
    DKV_TRY(check_count(attempt, err));
    return send_pin(attempt, err);
}

/* A person is asked before the lock is taken: a prompt left alone must not keep other processes from logging in. */
static enum dkv_rc ask(struct attempt *attempt, struct dkv_error *err)
{
    if (!dkv_p11_pin_is_to_be_asked(attempt->self)) {
        return DKV_OK;
    }
    DKV_TRY(check_beforehand(attempt, err));
    const enum dkv_rc rc = dkv_p11_pin_read(attempt->self, &attempt->source, &attempt->pin, err);
    dkv_secret_done(&attempt->pin); /* the instance keeps it */
    return rc;
}

/* ---- The face ---- */

static bool is_logged_in(const struct dkv_provider *self)
{
    CK_SESSION_INFO info = {0};
    return self->functions->C_GetSessionInfo(self->main, &info) == CKR_OK &&
           (info.state == CKS_RO_USER_FUNCTIONS || info.state == CKS_RW_USER_FUNCTIONS);
}

static enum dkv_rc take_lock(const struct dkv_provider *self, const struct dkv_call *call, int *ret_lock,
                             struct dkv_error *err)
{
    char key[48];
    (void)snprintf(key, sizeof(key), "login/%s", self->token.identity);
    const enum dkv_rc rc = self->host->state_lock(self->host, key, dkv_p11_remaining_ms(self, call), ret_lock, err);
    if (rc == DKV_OK || rc == DKV_E_TRANSIENT || rc == DKV_E_RESOURCE) {
        return rc;
    }
    dkv_error_prefix(err, "no PIN is sent, because the memory of wrong PINs can't be kept: ");
    if (err != NULL) {
        err->rc = DKV_E_CONFIG;
    }
    return DKV_E_CONFIG;
}

enum dkv_rc dkv_p11_login(struct dkv_provider *self, const struct dkv_call *call,
                          const struct dkv_p11_login_options *options, struct dkv_error *err)
{
    struct attempt attempt = {.self = self, .options = options};
    int lock = -1;
    if ((self->token.flags & CKF_LOGIN_REQUIRED) == 0) {
        return DKV_OK;
    }
    if (is_logged_in(self) && !options->is_deliberate) {
        return DKV_OK;
    }
    DKV_TRY(ask(&attempt, err));
    DKV_TRY(take_lock(self, call, &lock, err));
    const enum dkv_rc rc = guarded(&attempt, err);
    dkv_secret_done(&attempt.pin);
    dkv_buf_done(&attempt.before);
    self->host->state_unlock(lock);
    return rc;
}
