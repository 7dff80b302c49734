/* SPDX-License-Identifier: Apache-2.0 */
/* The host that providers stand on. Everything secret that passes here goes from the descriptor straight into secret
 * memory. It keeps nothing of its own: state lies in the state folder, in one table for each provider type.
 * Thread-safe, as the parts of base/ below it are. */
#include "providers/host.h"

#include <limits.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"

#define NEWLINE_MAX 2 /* CR LF */
#define ROOM_MAX (DKV_SECRET_MAX - 1) /* what a read into secret memory can take at most */

/* ---- Secret sources ---- */

static bool parse_fd(const char *text, int *ret)
{
    size_t digits = strspn(text, "0123456789");
    int fd = 0;
    if (digits == 0 || digits > 6 || text[digits] != '\0') {
        return false;
    }
    while (digits-- > 0) {
        fd = fd * 10 + (*text++ - '0');
    }
    *ret = fd;
    return true;
}

/* room counts the newline that a file may end with. */
static enum dkv_rc read_source(const struct dkv_provider_settings *settings, const char *source,
                               const char *prompt_text, size_t room, struct dkv_secret *ret, struct dkv_error *err)
{
    int fd = -1;
    if (strncmp(source, "file:/", 6) == 0) {
        return dkv_secret_file_read(source + 5, settings->allow_group_read, room, ret, NULL, err);
    }
    if (strncmp(source, "fd:", 3) == 0 && parse_fd(source + 3, &fd)) {
        return dkv_secret_fd_read(fd, source, room, ret, err);
    }
    if (strcmp(source, "prompt") == 0) {
        return dkv_prompt_read(prompt_text, room, ret, err);
    }
    /* The source itself isn't printed: somebody may have written the secret in its place. */
    return dkv_fail(err, DKV_E_CONFIG, "%s:%u: a secret's source must be file:/PATH, fd:N or prompt", settings->file,
                    settings->line);
}

static enum dkv_rc copy_out(const struct dkv_provider_settings *settings, const struct dkv_secret *secret, size_t max,
                            void **ret_memory, size_t *ret_len, struct dkv_error *err)
{
    const size_t len = dkv_secret_trimmed_len(secret);
    DKV_CHECK(len > 0, err, DKV_E_CONFIG, "%s:%u: the secret that this provider reads is empty", settings->file,
              settings->line);
    DKV_CHECK(len <= max, err, DKV_E_CONFIG, "%s:%u: the secret that this provider reads is longer than %zu bytes",
              settings->file, settings->line, max);
    void *memory = dkv_secret_alloc(len, err);
    if (memory == NULL) {
        return DKV_E_RESOURCE;
    }
    memcpy(memory, secret->data, len);
    *ret_memory = memory;
    *ret_len = len;
    return DKV_OK;
}

static enum dkv_rc secret_source_read(const struct dkv_provider_settings *settings, const char *source,
                                      const char *prompt_text,
                                      size_t max, void **ret_memory, size_t *ret_len, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret secret = {0};
    const size_t room = max < ROOM_MAX - NEWLINE_MAX ? max + NEWLINE_MAX : ROOM_MAX;
    DKV_TRY(read_source(settings, source, prompt_text, room, &secret, err));
    return copy_out(settings, &secret, max, ret_memory, ret_len, err);
}

/* ---- Log ---- */

/* The first line only: what follows a line break could pass for another entry of the log. */
static void log_line(const struct dkv_provider_settings *settings, enum dkv_rc class_or_ok, const char *line)
{
    const int len = (int)strcspn(line, "\r\n");
    if (class_or_ok == DKV_OK) {
        dkv_log(DKV_LOG_NOTICE, "provider %s: %.*s", settings->id, len, line);
    } else {
        dkv_log(DKV_LOG_WARNING, "provider %s: %s: %.*s", settings->id, dkv_class_name(class_or_ok), len, line);
    }
}

/* ---- State ---- */

static enum dkv_rc state_of(const struct dkv_host *host, struct dkv_state **ret_state, const char **ret_table,
                            struct dkv_error *err)
{
    const struct dkv_host_context *context = host->context;
    const char *why = context->base->state_why.message;
    DKV_CHECK(context->base->state != NULL, err, DKV_E_CONFIG, "the state folder can't be used: %s",
              why[0] != '\0' ? why : "it was not opened");
    *ret_state = context->base->state;
    *ret_table = context->table;
    return DKV_OK;
}

static enum dkv_rc state_get(const struct dkv_host *host, const char *key, struct dkv_buf *ret, struct dkv_error *err)
{
    struct dkv_state *state = NULL;
    const char *table = NULL;
    DKV_TRY(state_of(host, &state, &table, err));
    return dkv_state_get(state, table, key, ret, err);
}

static enum dkv_rc state_put(const struct dkv_host *host, const char *key, struct dkv_span expected,
                             struct dkv_span value, struct dkv_error *err)
{
    struct dkv_state *state = NULL;
    const char *table = NULL;
    DKV_TRY(state_of(host, &state, &table, err));
    return dkv_state_put(state, table, key, expected, value, err);
}

static enum dkv_rc state_lock(const struct dkv_host *host, const char *key, uint32_t timeout_ms, int *ret_lock,
                              struct dkv_error *err)
{
    struct dkv_state *state = NULL;
    const char *table = NULL;
    DKV_TRY(state_of(host, &state, &table, err));
    return dkv_state_lock(state, table, key, timeout_ms, ret_lock, err);
}

void dkv_host_init(struct dkv_host *host, struct dkv_host_context *context)
{
    const struct dkv_clock *clock = context->base->clock != NULL ? context->base->clock : &dkv_clock_real;
    *host = (struct dkv_host){
        .size = sizeof(*host),
        .secret_alloc = dkv_secret_alloc,
        .secret_free = dkv_secret_free,
        .secret_is_alive = dkv_secret_memory_is_alive,
        .secret_source_read = secret_source_read,
        .wall_ms = clock->wall_ms,
        .monotonic_ms = clock->monotonic_ms,
        .log = log_line,
        .state_get = state_get,
        .state_put = state_put,
        .state_lock = state_lock,
        .state_unlock = dkv_state_unlock,
        .context = context,
    };
}
