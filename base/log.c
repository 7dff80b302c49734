/* SPDX-License-Identifier: Apache-2.0 */
/* The host's log sink. fn and arg belong together, hence the lock; it is not held while the sink runs, so a
 * slow sink holds up nobody else, and it is taken around fork, so that a child can log. Lines are one line of
 * valid UTF-8, whatever went into them. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/bytes.h"

#define LINE_MAX_LEN 1024

static struct {
    dkv_log_fn fn;
    void *arg;
} sink;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static atomic_bool has_sink; /* lines that nobody reads cost one load */

static void take_lock(void)
{
    (void)pthread_mutex_lock(&lock);
}

static void give_lock(void)
{
    (void)pthread_mutex_unlock(&lock);
}

static void watch_fork(void)
{
    (void)pthread_atfork(take_lock, give_lock, give_lock);
}

void dkv_set_log(dkv_log_fn fn, void *arg)
{
    (void)pthread_once(&fork_once, watch_fork);
    take_lock();
    sink.fn = fn;
    sink.arg = arg;
    atomic_store(&has_sink, fn != NULL);
    give_lock();
}

void dkv_log(enum dkv_log_level level, const char *format, ...)
{
    char words[LINE_MAX_LEN], line[LINE_MAX_LEN];
    if (!atomic_load(&has_sink)) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof(words), format, arguments);
    va_end(arguments);
    (void)dkv_line_put(line, sizeof(line), 0, words);
    take_lock();
    const dkv_log_fn fn = sink.fn;
    void *const arg = sink.arg;
    give_lock();
    if (fn != NULL) {
        fn(arg, level, line);
    }
}
