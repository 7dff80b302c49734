/* SPDX-License-Identifier: Apache-2.0 */
/* The audit: operations as lines of JSON. Owns the chain: within a process instance every line has the next sequence
 * number and the SHA-256 of the line before it (without its newline), so that one taken out, changed or put between
 * shows. A line that couldn't be written is no part of the chain. Lock: audit->lock, around the chain and the file; a
 * forked child gets a lock and an instance of its own. */
#include "vault/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "vault/audit_file.h"

enum sink { SINK_NONE, SINK_FILE, SINK_SYSLOG };

struct dkv_audit {
    enum sink sink;
    bool required;
    char *path;
    struct dkv_audit_file file;
    _Atomic pid_t pid; /* whose lock and chain these are; 0 while a child makes them its own */
    pthread_mutex_t lock;
    char instance[17];
    uint64_t sequence;
    char previous[65];
};

/* ---- The process instance ---- */

static enum dkv_rc start_instance(struct dkv_audit *audit, struct dkv_error *err)
{
    uint8_t id[8];
    DKV_TRY(dkv_random(id, sizeof(id), err));
    dkv_to_hex(dkv_span(id, sizeof(id)), audit->instance);
    audit->sequence = 0;
    dkv_to_hex(dkv_span((const uint8_t[32]){0}, 32), audit->previous);
    return DKV_OK;
}

/* After fork() the lock may be one that a thread of the parent held, and the parent goes on with the chain. Of
 * several threads of the child the first makes both anew. */
static void adopt_after_fork(struct dkv_audit *audit)
{
    const pid_t self = getpid();
    pid_t owner = atomic_load(&audit->pid);
    while (owner != self) {
        if (owner != 0 && atomic_compare_exchange_strong(&audit->pid, &owner, 0)) {
            pthread_mutex_init(&audit->lock, NULL);
            audit->instance[0] = '\0';
            atomic_store(&audit->pid, self);
        }
        owner = atomic_load(&audit->pid);
    }
}

static enum dkv_rc lock_instance(struct dkv_audit *audit, struct dkv_error *err)
{
    adopt_after_fork(audit);
    pthread_mutex_lock(&audit->lock);
    if (audit->instance[0] != '\0') {
        return DKV_OK;
    }
    const enum dkv_rc rc = start_instance(audit, err);
    if (rc != DKV_OK) {
        pthread_mutex_unlock(&audit->lock);
    }
    return rc;
}

/* ---- Opening ---- */

static enum dkv_rc parse_target(struct dkv_audit *audit, const char *to, struct dkv_error *err)
{
    if (to == NULL) {
        audit->sink = SINK_NONE;
        return DKV_OK;
    }
    if (strcmp(to, "syslog") == 0) {
        audit->sink = SINK_SYSLOG;
        return DKV_OK;
    }
    DKV_CHECK(strncmp(to, "file:/", 6) == 0, err, DKV_E_CONFIG,
              "audit.to is \"%s\"; it must be file:/absolute/path or syslog", to);
    audit->path = dkv_strdup(to + 5);
    if (audit->path == NULL) {
        return dkv_fail_memory(err);
    }
    audit->sink = SINK_FILE;
    audit->file = (struct dkv_audit_file)DKV_AUDIT_FILE_INIT(audit->path);
    return DKV_OK;
}

void dkv_audit_close(struct dkv_audit *audit)
{
    if (audit == NULL) {
        return;
    }
    if (audit->sink == SINK_FILE) {
        dkv_audit_file_close(&audit->file);
    }
    pthread_mutex_destroy(&audit->lock);
    dkv_free(audit->path);
    dkv_free(audit);
}

DKV_DEFINE_FREEP(struct dkv_audit, dkv_audit_close);

/* A full disk is no fault of the configuration; whatever else keeps the file shut is. */
static enum dkv_rc try_file(struct dkv_audit *audit, struct dkv_error *err)
{
    if (audit->sink != SINK_FILE) {
        return DKV_OK;
    }
    const enum dkv_rc rc = dkv_audit_file_ready(&audit->file, err);
    const bool is_open = audit->file.fd >= 0;
    if (rc == DKV_OK || (is_open && !audit->required)) {
        return DKV_OK;
    }
    if (!is_open && err != NULL) {
        err->rc = DKV_E_CONFIG;
    }
    return is_open ? rc : DKV_E_CONFIG;
}

enum dkv_rc dkv_audit_open(const struct dkv_audit_settings *settings, struct dkv_audit **ret, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_audit_closep) struct dkv_audit *audit = dkv_calloc(1, sizeof(*audit));
    if (audit == NULL) {
        return dkv_fail_memory(err);
    }
    pthread_mutex_init(&audit->lock, NULL);
    atomic_init(&audit->pid, getpid());
    audit->file.fd = -1;
    audit->required = settings->required;
    DKV_TRY(parse_target(audit, settings->to, err));
    DKV_CHECK(audit->sink != SINK_NONE || !audit->required, err, DKV_E_CONFIG,
              "audit.required is true, but audit.to says nowhere to write it");
    DKV_TRY(start_instance(audit, err));
    DKV_TRY(try_file(audit, err));
    *ret = audit;
    audit = NULL;
    return DKV_OK;
}

/* ---- A line ---- */

static void format_time(int64_t wall_ms, char *text, size_t size)
{
    const time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc = {0};
    (void)gmtime_r(&seconds, &utc);
    const size_t len = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + len, size - len, ".%03dZ", (int)(wall_ms % 1000));
}

static enum dkv_rc append_process(const struct dkv_audit *audit, struct dkv_buf *line, struct dkv_error *err)
{
    char now[48];
    format_time(dkv_clock_real.wall_ms(), now, sizeof(now));
    DKV_TRY(dkv_json_member_text(line, "time", now, err));
    DKV_TRY(dkv_json_member_text(line, "instance", audit->instance, err));
    DKV_TRY(dkv_json_member_int(line, "seq", (int64_t)audit->sequence, err));
    DKV_TRY(dkv_json_member_text(line, "prev", audit->previous, err));
    DKV_TRY(dkv_json_member_int(line, "uid", (int64_t)getuid(), err));
    DKV_TRY(dkv_json_member_int(line, "pid", (int64_t)getpid(), err));
    return dkv_json_member_text(line, "program", program_invocation_short_name, err);
}

static enum dkv_rc append_record(const struct dkv_audit_record *record, struct dkv_buf *line, struct dkv_error *err)
{
    char key[37];
    DKV_TRY(dkv_json_member_text(line, "op", record->operation, err));
    DKV_TRY(dkv_json_member_text(line, "provider", record->provider, err));
    DKV_TRY(dkv_json_member_text(line, "cmk", record->cmk, err));
    if (record->key != NULL) {
        dkv_uuid_format(record->key, key);
        DKV_TRY(dkv_json_member_text(line, "key", key, err));
    }
    DKV_TRY(dkv_json_member_text(line, "name", record->name, err));
    DKV_TRY(dkv_json_member_text(line, "outcome", dkv_class_name(record->outcome), err));
    if (record->latency_us >= 0) {
        DKV_TRY(dkv_json_member_int(line, "latency_us", record->latency_us, err));
    }
    return record->uses >= 0 ? dkv_json_member_int(line, "uses", record->uses, err) : DKV_OK;
}

static enum dkv_rc append_line(const struct dkv_audit *audit, const struct dkv_audit_record *record,
                               struct dkv_buf *line, struct dkv_error *err)
{
    DKV_TRY(dkv_buf_append_str(line, "{", err));
    DKV_TRY(append_process(audit, line, err));
    DKV_TRY(append_record(record, line, err));
    return dkv_buf_append_str(line, "}", err);
}

/* ---- Where lines go ---- */

/* syslog(3) tells nobody when no one listens; where the audit is required, its socket is tried first. */
static enum dkv_rc check_syslog(struct dkv_error *err)
{
    static const int types[] = {SOCK_DGRAM, SOCK_STREAM};
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    for (size_t i = 0; i < DKV_COUNT(types); i++) {
        DKV_CLEANUP(dkv_fd_close) const int fd = socket(AF_UNIX, types[i] | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
            return DKV_OK;
        }
    }
    return dkv_fail_errno(err, DKV_E_RESOURCE, "no system log takes audit lines at /dev/log");
}

static enum dkv_rc send_line(struct dkv_audit *audit, struct dkv_buf *line, struct dkv_error *err)
{
    if (audit->sink == SINK_SYSLOG) {
        const char *text = dkv_buf_text(line);
        if (text == NULL) {
            return dkv_fail_memory(err);
        }
        if (audit->required) {
            DKV_TRY(check_syslog(err));
        }
        syslog(LOG_AUTHPRIV | LOG_INFO, "%s", text);
        return DKV_OK;
    }
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf ended = {0};
    DKV_TRY(dkv_buf_append(&ended, dkv_span_buf(line), err));
    DKV_TRY(dkv_buf_append_str(&ended, "\n", err));
    return dkv_audit_file_append(&audit->file, dkv_span_buf(&ended), err);
}

static enum dkv_rc write_line(struct dkv_audit *audit, const struct dkv_audit_record *record, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf line = {0};
    uint8_t hash[32];
    DKV_TRY(append_line(audit, record, &line, err));
    const struct dkv_span text = dkv_span_buf(&line);
    DKV_TRY(dkv_sha256(&text, 1, hash, err));
    DKV_TRY(send_line(audit, &line, err));
    audit->sequence++;
    dkv_to_hex(dkv_span(hash, sizeof(hash)), audit->previous);
    return DKV_OK;
}

/* A failure is the caller's only where the audit is required; whatever its class was, what is missing is the record. */
static enum dkv_rc judge_failure(const struct dkv_audit *audit, const struct dkv_error *why, struct dkv_error *err)
{
    if (!audit->required) {
        dkv_log(DKV_LOG_WARNING, "no audit record was written: %s", why->message);
        return DKV_OK;
    }
    if (err != NULL) {
        *err = *why;
        err->rc = DKV_E_RESOURCE;
    }
    dkv_error_prefix(err, "no audit record can be written, and audit.required is true: ");
    return DKV_E_RESOURCE;
}

enum dkv_rc dkv_audit_write(struct dkv_audit *audit, const struct dkv_audit_record *record, struct dkv_error *err)
{
    struct dkv_error why = {0};
    if (audit->sink == SINK_NONE) {
        return DKV_OK;
    }
    enum dkv_rc rc = lock_instance(audit, &why);
    if (rc == DKV_OK) {
        rc = write_line(audit, record, &why);
        pthread_mutex_unlock(&audit->lock);
    }
    return rc == DKV_OK ? DKV_OK : judge_failure(audit, &why, err);
}

enum dkv_rc dkv_audit_ready(struct dkv_audit *audit, struct dkv_error *err)
{
    struct dkv_error why = {0};
    if (audit->sink == SINK_NONE || !audit->required) {
        return DKV_OK;
    }
    enum dkv_rc rc = lock_instance(audit, &why);
    if (rc == DKV_OK) {
        rc = audit->sink == SINK_FILE ? dkv_audit_file_ready(&audit->file, &why) : check_syslog(&why);
        pthread_mutex_unlock(&audit->lock);
    }
    return rc == DKV_OK ? DKV_OK : judge_failure(audit, &why, err);
}
