/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a person for a secret on the controlling terminal, whatever standard input is. The answer goes from the
 * kernel's line buffer straight into secret memory. Signals that would end the process are caught while echo is off,
 * so that the terminal gets its mode back first, and raised again after. One prompt at a time: the mutex holds the
 * terminal and the flag. */
#include "providers/host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/secret.h"

/* Another thread may take the signal, and then poll isn't interrupted: so the flag is looked at this often. */
#define LOOK_EVERY_MS 200

static const int caught_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGPIPE};

static pthread_mutex_t prompt_mutex = PTHREAD_MUTEX_INITIALIZER;
static volatile sig_atomic_t caught_signal;

struct terminal {
    int fd;
    bool is_silent;
    struct termios saved;
    struct sigaction saved_actions[DKV_COUNT(caught_signals)];
};

static void on_signal(int number)
{
    caught_signal = number;
}

static void catch_signals(struct terminal *terminal)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    caught_signal = 0;
    for (size_t i = 0; i < DKV_COUNT(caught_signals); i++) {
        (void)sigaction(caught_signals[i], NULL, &terminal->saved_actions[i]);
        if (terminal->saved_actions[i].sa_handler != SIG_IGN) {
            (void)sigaction(caught_signals[i], &action, NULL);
        }
    }
}

static void release_signals(const struct terminal *terminal)
{
    for (size_t i = 0; i < DKV_COUNT(caught_signals); i++) {
        (void)sigaction(caught_signals[i], &terminal->saved_actions[i], NULL);
    }
    if (caught_signal != 0) {
        (void)raise(caught_signal);
    }
}

static enum dkv_rc silence(struct terminal *terminal, struct dkv_error *err)
{
    if (tcgetattr(terminal->fd, &terminal->saved) != 0) {
        return dkv_fail_errno(err, DKV_E_CONFIG, "the terminal's mode can't be read");
    }
    struct termios silent = terminal->saved;
    silent.c_lflag |= (tcflag_t)(ICANON | ISIG | ECHONL);
    silent.c_lflag &= ~(tcflag_t)ECHO;
    silent.c_cc[VSUSP] = _POSIX_VDISABLE; /* a stopped process would leave echo off */
    catch_signals(terminal);
    terminal->is_silent = true;
    /* FLUSH: what was typed before the question is not the answer. */
    if (tcsetattr(terminal->fd, TCSAFLUSH, &silent) != 0) {
        return dkv_fail_errno(err, DKV_E_CONFIG, "the terminal's echo can't be switched off");
    }
    return DKV_OK;
}

static void terminal_done(struct terminal *terminal)
{
    if (terminal->is_silent) {
        (void)tcsetattr(terminal->fd, TCSAFLUSH, &terminal->saved);
        release_signals(terminal);
    }
    dkv_fd_close(&terminal->fd);
}

static void unlock(pthread_mutex_t *const *mutex)
{
    (void)pthread_mutex_unlock(*mutex);
}

static enum dkv_rc wait_for_line(int fd, struct dkv_error *err)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    for (;;) {
        const int ready = poll(&wanted, 1, LOOK_EVERY_MS);
        DKV_CHECK(caught_signal == 0, err, DKV_E_CANCELLED, "the question was interrupted");
        if (ready > 0) {
            return DKV_OK;
        }
        if (ready < 0 && errno != EINTR) {
            return dkv_fail_errno(err, DKV_E_CONFIG, "the terminal can't be read");
        }
    }
}

/* secret has room for the newline, so a line that fills it without one was cut. */
static enum dkv_rc read_line(int fd, struct dkv_secret *secret, size_t max, size_t *ret_len, struct dkv_error *err)
{
    DKV_TRY(wait_for_line(fd, err));
    const ssize_t got = read(fd, secret->data, secret->len);
    DKV_CHECK(got >= 0 || errno != EINTR, err, DKV_E_CANCELLED, "the question was interrupted");
    if (got < 0) {
        return dkv_fail_errno(err, DKV_E_CONFIG, "the terminal can't be read");
    }
    size_t len = (size_t)got;
    if (len > 0 && secret->data[len - 1] == '\n') {
        len--;
    }
    DKV_CHECK(len > 0, err, DKV_E_CONFIG, "nothing was typed");
    DKV_CHECK(len <= max, err, DKV_E_CONFIG, "what was typed is longer than %zu bytes", max);
    *ret_len = len;
    return DKV_OK;
}

static enum dkv_rc ask(struct terminal *terminal, const char *text, struct dkv_error *err)
{
    DKV_TRY(silence(terminal, err));
    const struct dkv_span parts[] = {dkv_span_str(text), dkv_span_str(": ")};
    for (size_t i = 0; i < DKV_COUNT(parts); i++) {
        if (write(terminal->fd, parts[i].data, parts[i].len) < 0) {
            return dkv_fail_errno(err, DKV_E_CONFIG, "the terminal can't be written");
        }
    }
    return DKV_OK;
}

enum dkv_rc dkv_prompt_read(const char *text, size_t max, struct dkv_secret *ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret secret = {0};
    const size_t room = max < DKV_SECRET_MAX ? max + 1 : DKV_SECRET_MAX;
    DKV_TRY(dkv_secret_init(&secret, room, err));
    DKV_CLEANUP(unlock) pthread_mutex_t *mutex = &prompt_mutex;
    (void)pthread_mutex_lock(mutex);
    DKV_CLEANUP(terminal_done) struct terminal terminal = {.fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)};
    if (terminal.fd < 0) {
        return dkv_fail_errno(err, DKV_E_CONFIG,
                              "a secret is to be asked for (prompt), but there is no terminal: use file: or fd: as "
                              "its source");
    }
    size_t len = 0;
    DKV_TRY(ask(&terminal, text, err));
    DKV_TRY(read_line(terminal.fd, &secret, max, &len, err));
    DKV_TRY(dkv_secret_init(ret, len, err));
    memcpy(ret->data, secret.data, len);
    return DKV_OK;
}
