/* SPDX-License-Identifier: Apache-2.0 */
/* The audit: what a line says, that lines are chained (checked here with OpenSSL's digest, not with ours), who may
 * write the file, and what happens when no line can be written. */
#include "vault/audit.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "tests/lib/test.h"

static unsigned files;
static char path[512];
static char target[600];

static void name_file(void)
{
    char name[32];
    snprintf(name, sizeof(name), "audit-%u.log", files++);
    snprintf(path, sizeof(path), "%s", dkv_test_path(name));
    snprintf(target, sizeof(target), "file:%s", path);
}

static struct dkv_audit *open_audit(bool required)
{
    struct dkv_error err = {0};
    struct dkv_audit *audit = NULL;
    const struct dkv_audit_settings settings = {.to = target, .required = required};
    ASSERT_OK(dkv_audit_open(&settings, &audit, &err));
    return audit;
}

static const struct dkv_uuid some_key = {
    {0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x47, 0x68, 0x89, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70}};

static enum dkv_rc write_named(struct dkv_audit *audit, const char *name, struct dkv_error *err)
{
    const struct dkv_audit_record record = {
        .operation = "key-create",
        .provider = "pkcs11:prod",
        .cmk = "0a0b",
        .key = &some_key,
        .name = name,
        .outcome = DKV_OK,
        .latency_us = 1234,
        .uses = -1,
    };
    return dkv_audit_write(audit, &record, err);
}

/* ---- Reading it back ---- */

struct lines {
    char *text;
    char **at;
    size_t n;
};
#define LINES_MAX 4096u

static struct lines read_lines(const char *from)
{
    struct lines lines = {0};
    FILE *in = fopen(from, "re");
    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    lines.text = dkv_calloc(1, 4 * 1024 * 1024);
    lines.at = dkv_calloc(LINES_MAX, sizeof(*lines.at));
    CU_ASSERT_PTR_NOT_NULL_FATAL(lines.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(lines.at);
    const size_t len = fread(lines.text, 1, 4 * 1024 * 1024 - 1, in);
    fclose(in);
    CU_ASSERT(len == 0 || lines.text[len - 1] == '\n');
    for (char *next = lines.text; *next != '\0' && lines.n < LINES_MAX;) {
        char *end = strchr(next, '\n');
        lines.at[lines.n++] = next;
        if (end == NULL) {
            break;
        }
        *end = '\0';
        next = end + 1;
    }
    return lines;
}

static void lines_done(struct lines *lines)
{
    dkv_free(lines->text);
    dkv_free(lines->at);
}

/* The value of a text or number member, copied; empty when there is none. */
static void member(const char *line, const char *name, char *ret, size_t size)
{
    char key[40];
    ret[0] = '\0';
    snprintf(key, sizeof(key), "\"%s\":", name);
    const char *at = strstr(line, key);
    if (at == NULL) {
        return;
    }
    at += strlen(key);
    const size_t len = *at == '"' ? strcspn(++at, "\"") : strcspn(at, ",}");
    snprintf(ret, size, "%.*s", (int)len, at);
}

static void sha256_hex(const char *text, char ret[static 65])
{
    uint8_t hash[32];
    CU_ASSERT_EQUAL_FATAL(EVP_Digest(text, strlen(text), hash, NULL, EVP_sha256(), NULL), 1);
    for (size_t i = 0; i < sizeof(hash); i++) {
        snprintf(ret + 2 * i, 3, "%02x", hash[i]);
    }
}

/* All lines of one instance, in file order: seq 0, 1, 2, ... and each the hash of the one before. Returns how many. */
static size_t assert_chain(const struct lines *lines, const char *instance)
{
    char expected[65], own[32], sequence[24], number[24], previous[80];
    size_t n = 0;
    memset(expected, '0', 64);
    expected[64] = '\0';
    for (size_t i = 0; i < lines->n; i++) {
        member(lines->at[i], "instance", own, sizeof(own));
        if (strcmp(own, instance) != 0) {
            continue;
        }
        member(lines->at[i], "seq", sequence, sizeof(sequence));
        member(lines->at[i], "prev", previous, sizeof(previous));
        snprintf(number, sizeof(number), "%zu", n++);
        CU_ASSERT_STRING_EQUAL(sequence, number);
        CU_ASSERT_STRING_EQUAL(previous, expected);
        sha256_hex(lines->at[i], expected);
    }
    return n;
}

/* ---- Lines ---- */

static bool is_time(const char *text)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    if (strlen(text) != strlen(shape)) {
        return false;
    }
    for (size_t i = 0; shape[i] != '\0'; i++) {
        if (shape[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != shape[i]) {
            return false;
        }
    }
    return true;
}

static void a_line_says_who_did_what(void)
{
    struct dkv_error err = {0};
    char value[128], expected[128];
    struct stat info;
    name_file();
    struct dkv_audit *audit = open_audit(true);

    ASSERT_OK(write_named(audit, "ssn", &err));

    struct lines lines = read_lines(path);
    CU_ASSERT_EQUAL_FATAL(lines.n, 1);
    member(lines.at[0], "time", value, sizeof(value));
    CU_ASSERT(is_time(value));
    member(lines.at[0], "instance", value, sizeof(value));
    CU_ASSERT_EQUAL(strlen(value), 16);
    snprintf(expected, sizeof(expected), "%u", (unsigned)getuid());
    member(lines.at[0], "uid", value, sizeof(value));
    CU_ASSERT_STRING_EQUAL(value, expected);
    snprintf(expected, sizeof(expected), "%d", (int)getpid());
    member(lines.at[0], "pid", value, sizeof(value));
    CU_ASSERT_STRING_EQUAL(value, expected);
    member(lines.at[0], "program", value, sizeof(value));
    CU_ASSERT_STRING_EQUAL(value, program_invocation_short_name);
    CU_ASSERT_PTR_NOT_NULL(strstr(
        lines.at[0],
        ",\"op\":\"key-create\",\"provider\":\"pkcs11:prod\",\"cmk\":\"0a0b\","
        "\"key\":\"61626364-6566-4768-896a-6b6c6d6e6f70\",\"name\":\"ssn\",\"outcome\":\"ok\",\"latency_us\":1234}"));
    CU_ASSERT_EQUAL_FATAL(stat(path, &info), 0);
    CU_ASSERT_EQUAL(info.st_mode & 07777, 0600);
    lines_done(&lines);
    dkv_audit_close(audit);
}

static void what_is_unknown_is_left_out(void)
{
    struct dkv_error err = {0};
    name_file();
    struct dkv_audit *audit = open_audit(false);
    const struct dkv_audit_record record = {
        .operation = "dek-use", .outcome = DKV_E_POLICY, .latency_us = -1, .uses = 7};

    ASSERT_OK(dkv_audit_write(audit, &record, &err));

    struct lines lines = read_lines(path);
    CU_ASSERT_PTR_NOT_NULL(strstr(lines.at[0], ",\"op\":\"dek-use\",\"outcome\":\"policy\",\"uses\":7}"));
    lines_done(&lines);
    dkv_audit_close(audit);
}

static void odd_characters_stay_inside_their_line(void)
{
    struct dkv_error err = {0};
    name_file();
    struct dkv_audit *audit = open_audit(true);

    ASSERT_OK(write_named(audit, "a\n\"}\\\x1b[31m\x7f\xc2\x85\xe2\x80\xa8\xff\xed\xa0\x80\xf0\x9f\x94\x91", &err));

    struct lines lines = read_lines(path);
    CU_ASSERT_EQUAL(lines.n, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(lines.at[0], "\"name\":\"a\\u000a\\\"}\\\\\\u001b[31m\\u007f\\u0085\\u2028"
                                               "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x94\x91\""));
    lines_done(&lines);
    dkv_audit_close(audit);
}

static void lines_are_chained_and_a_change_shows(void)
{
    struct dkv_error err = {0};
    char instance[32], hash[65], previous[80];
    name_file();
    struct dkv_audit *audit = open_audit(true);
    for (size_t i = 0; i < 20; i++) {
        ASSERT_OK(write_named(audit, i % 2 == 0 ? "even" : NULL, &err));
    }
    dkv_audit_close(audit);

    struct lines lines = read_lines(path);
    member(lines.at[0], "instance", instance, sizeof(instance));
    CU_ASSERT_EQUAL(assert_chain(&lines, instance), 20);
    char *changed = strstr(lines.at[4], "even");
    CU_ASSERT_PTR_NOT_NULL_FATAL(changed);
    changed[0] = 'E';
    sha256_hex(lines.at[4], hash);
    member(lines.at[5], "prev", previous, sizeof(previous));
    CU_ASSERT_STRING_NOT_EQUAL(hash, previous);
    lines_done(&lines);
}

static void each_opening_is_an_instance_of_its_own(void)
{
    struct dkv_error err = {0};
    char first[32], second[32];
    name_file();
    for (size_t i = 0; i < 2; i++) {
        struct dkv_audit *audit = open_audit(true);
        ASSERT_OK(write_named(audit, "x", &err));
        dkv_audit_close(audit);
    }
    struct lines lines = read_lines(path);
    CU_ASSERT_EQUAL_FATAL(lines.n, 2);
    member(lines.at[0], "instance", first, sizeof(first));
    member(lines.at[1], "instance", second, sizeof(second));
    CU_ASSERT_STRING_NOT_EQUAL(first, second);
    CU_ASSERT_EQUAL(assert_chain(&lines, second), 1);
    lines_done(&lines);
}

static void a_forked_child_starts_a_chain_of_its_own(void)
{
    struct dkv_error err = {0};
    char first[32], second[32];
    int status = 0;
    name_file();
    struct dkv_audit *audit = open_audit(true);
    ASSERT_OK(write_named(audit, "parent", &err));
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        _exit(write_named(audit, "child", &err) == DKV_OK && write_named(audit, "child", &err) == DKV_OK ? 0 : 1);
    }
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    ASSERT_OK(write_named(audit, "parent", &err));

    struct lines lines = read_lines(path);
    CU_ASSERT_EQUAL_FATAL(lines.n, 4);
    member(lines.at[0], "instance", first, sizeof(first));
    member(lines.at[1], "instance", second, sizeof(second));
    CU_ASSERT_STRING_NOT_EQUAL(first, second);
    CU_ASSERT_EQUAL(assert_chain(&lines, first), 2);
    CU_ASSERT_EQUAL(assert_chain(&lines, second), 2);
    lines_done(&lines);
    dkv_audit_close(audit);
}

#define WRITERS 4
#define LINES_EACH 250

static void processes_append_whole_lines(void)
{
    char name[600], instance[32], seen[WRITERS][32];
    size_t n_seen = 0;
    name_file();
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    fflush(NULL);
    for (size_t i = 0; i < WRITERS; i++) {
        if (fork() == 0) {
            struct dkv_error err = {0};
            struct dkv_audit *audit = open_audit(true);
            enum dkv_rc rc = DKV_OK;
            for (size_t line = 0; rc == DKV_OK && line < LINES_EACH; line++) {
                rc = write_named(audit, name, &err);
            }
            dkv_audit_close(audit);
            _exit(rc == DKV_OK ? 0 : 1);
        }
    }
    for (size_t i = 0; i < WRITERS; i++) {
        int status = -1;
        CU_ASSERT(wait(&status) > 0);
        CU_ASSERT_EQUAL(status, 0);
    }

    struct lines lines = read_lines(path);
    CU_ASSERT_EQUAL_FATAL(lines.n, WRITERS * LINES_EACH);
    for (size_t i = 0; i < lines.n; i++) {
        bool known = false;
        member(lines.at[i], "instance", instance, sizeof(instance));
        for (size_t j = 0; j < n_seen; j++) {
            known = known || strcmp(seen[j], instance) == 0;
        }
        if (!known && n_seen < WRITERS) {
            memcpy(seen[n_seen++], instance, sizeof(instance));
        }
    }
    CU_ASSERT_EQUAL_FATAL(n_seen, WRITERS);
    for (size_t i = 0; i < n_seen; i++) {
        CU_ASSERT_EQUAL(assert_chain(&lines, seen[i]), LINES_EACH);
    }
    lines_done(&lines);
}

/* ---- The file ---- */

static void a_rotated_or_removed_file_is_opened_anew(void)
{
    struct dkv_error err = {0};
    char rotated[520];
    name_file();
    snprintf(rotated, sizeof(rotated), "%s.1", path);
    struct dkv_audit *audit = open_audit(true);
    ASSERT_OK(write_named(audit, "before", &err));
    CU_ASSERT_EQUAL_FATAL(rename(path, rotated), 0);
    ASSERT_OK(write_named(audit, "after", &err));

    struct lines old = read_lines(rotated), new = read_lines(path);
    CU_ASSERT_EQUAL(old.n, 1);
    CU_ASSERT_EQUAL(new.n, 1);
    char hash[65], previous[80];
    sha256_hex(old.at[0], hash);
    member(new.at[0], "prev", previous, sizeof(previous));
    CU_ASSERT_STRING_EQUAL(previous, hash); /* the chain goes on across files */
    lines_done(&old);
    lines_done(&new);

    CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
    ASSERT_OK(dkv_audit_ready(audit, &err));
    ASSERT_OK(write_named(audit, "again", &err));
    struct lines again = read_lines(path);
    CU_ASSERT_EQUAL(again.n, 1);
    lines_done(&again);
    dkv_audit_close(audit);
}

static void a_file_with_a_second_name_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_audit *audit = NULL;
    name_file();
    const struct dkv_audit_settings settings = {.to = target};
    dkv_test_write("vault-to-be-hit", "precious", 8, 0600);
    CU_ASSERT_EQUAL_FATAL(link(dkv_test_path("vault-to-be-hit"), path), 0);

    ASSERT_RC(DKV_E_CONFIG, dkv_audit_open(&settings, &audit, &err));

    ASSERT_SAYS("second name");
}

static void a_file_that_others_may_write_is_refused(void)
{
    static const unsigned modes[] = {0620, 0602, 0666};
    struct dkv_error err = {0};
    struct dkv_audit *audit = NULL;
    name_file();
    const struct dkv_audit_settings settings = {.to = target};
    for (size_t i = 0; i < DKV_COUNT(modes); i++) {
        dkv_test_write(strrchr(path, '/') + 1, "", 0, modes[i]);
        ASSERT_RC(DKV_E_CONFIG, dkv_audit_open(&settings, &audit, &err));
        ASSERT_SAYS("may be written by others");
    }
    if (getuid() == 0) {
        dkv_test_write(strrchr(path, '/') + 1, "", 0, 0600);
        CU_ASSERT_EQUAL_FATAL(chown(path, 12345, 12345), 0);
        ASSERT_RC(DKV_E_CONFIG, dkv_audit_open(&settings, &audit, &err));
        ASSERT_SAYS("belongs to user 12345");
    }
    CU_ASSERT_PTR_NULL(audit);
}

static void what_is_no_file_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_audit *audit = NULL;
    const struct dkv_audit_settings settings = {.to = target};
    name_file();
    CU_ASSERT_EQUAL_FATAL(symlink("/tmp/somewhere-else", path), 0);
    ASSERT_RC(DKV_E_CONFIG, dkv_audit_open(&settings, &audit, &err));
    name_file();
    CU_ASSERT_EQUAL_FATAL(mkfifo(path, 0600), 0);
    ASSERT_RC(DKV_E_CONFIG, dkv_audit_open(&settings, &audit, &err)); /* and doesn't wait for a reader */
    snprintf(target, sizeof(target), "file:%s", dkv_test_dir());
    ASSERT_RC(DKV_E_CONFIG, dkv_audit_open(&settings, &audit, &err));
    snprintf(target, sizeof(target), "file:%s/none/audit.log", dkv_test_dir());
    ASSERT_RC(DKV_E_CONFIG, dkv_audit_open(&settings, &audit, &err));
    ASSERT_SAYS("/none/audit.log");
    snprintf(target, sizeof(target), "file:relative");
    ASSERT_RC(DKV_E_CONFIG, dkv_audit_open(&settings, &audit, &err));
    snprintf(target, sizeof(target), "somewhere");
    ASSERT_RC(DKV_E_CONFIG, dkv_audit_open(&settings, &audit, &err));
    ASSERT_SAYS("file:/absolute/path or syslog");
}

static void no_audit_records_nothing_unless_it_is_required(void)
{
    struct dkv_error err = {0};
    struct dkv_audit *audit = NULL;
    const struct dkv_audit_settings none = {0}, required = {.required = true};
    ASSERT_OK(dkv_audit_open(&none, &audit, &err));
    ASSERT_OK(write_named(audit, "x", &err));
    ASSERT_OK(dkv_audit_ready(audit, &err));
    dkv_audit_close(audit);
    dkv_audit_close(NULL);
    ASSERT_RC(DKV_E_CONFIG, dkv_audit_open(&required, &audit, &err));
}

/* ---- No record ---- */

static unsigned warnings;

static void count_warning(void *arg, enum dkv_log_level level, const char *line)
{
    (void)arg;
    warnings += level == DKV_LOG_WARNING && strstr(line, "audit") != NULL;
}

/* The file may not grow beyond `more` bytes from where it is: in a child, since the limit is the process's. 0 if all
 * was as it should. */
static int write_when_full(struct dkv_audit *audit, rlim_t more, bool required)
{
    struct dkv_error err = {0};
    struct stat info;
    if (stat(path, &info) != 0) {
        return 10;
    }
    struct rlimit limit = {.rlim_cur = (rlim_t)info.st_size + more, .rlim_max = RLIM_INFINITY};
    const struct rlimit none = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    dkv_set_log(count_warning, NULL);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 11;
    }
    if (dkv_audit_ready(audit, &err) != (required ? DKV_E_RESOURCE : DKV_OK)) {
        return 12;
    }
    const enum dkv_rc rc = write_named(audit, "lost", &err);
    if (rc != (required ? DKV_E_RESOURCE : DKV_OK) ||
        (required && (err.rc != rc || strstr(err.message, path) == NULL)) || warnings != (required ? 0 : 1)) {
        return 13;
    }
    if (setrlimit(RLIMIT_FSIZE, &none) != 0 || dkv_audit_ready(audit, &err) != DKV_OK ||
        write_named(audit, "kept", &err) != DKV_OK) {
        return 14;
    }
    return 0;
}

static void fill_and_check(bool required, rlim_t more, size_t expected_lines)
{
    struct dkv_error err = {0};
    int status = -1;
    name_file();
    struct dkv_audit *audit = open_audit(required);
    ASSERT_OK(write_named(audit, "first", &err));
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        _exit(write_when_full(audit, more, required));
    }
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);

    struct lines lines = read_lines(path);
    CU_ASSERT_EQUAL_FATAL(lines.n, expected_lines);
    const char *last = lines.at[lines.n - 1];
    CU_ASSERT_EQUAL(strncmp(last, "{\"time\":", 8), 0); /* on a line of its own, and the first of the child's chain */
    CU_ASSERT_PTR_NOT_NULL(strstr(last, "\"seq\":0,"));
    CU_ASSERT_PTR_NOT_NULL(strstr(last, "kept"));
    lines_done(&lines);
    dkv_audit_close(audit);
}

static void a_required_record_that_cannot_be_written_is_an_error(void)
{
    fill_and_check(true, 0, 2);
}

static void a_line_cut_short_does_not_spoil_the_next(void)
{
    fill_and_check(true, 50, 3);
}

static void a_record_that_is_not_required_is_a_warning(void)
{
    fill_and_check(false, 0, 2);
}

static void a_required_file_gone_bad_stops_operations(void)
{
    struct dkv_error err = {0};
    name_file();
    struct dkv_audit *audit = open_audit(true);
    ASSERT_OK(write_named(audit, "first", &err));
    CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
    CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);

    ASSERT_RC(DKV_E_RESOURCE, dkv_audit_ready(audit, &err));
    ASSERT_SAYS("audit.required is true");
    ASSERT_RC(DKV_E_RESOURCE, write_named(audit, "second", &err));

    CU_ASSERT_EQUAL_FATAL(rmdir(path), 0);
    ASSERT_OK(dkv_audit_ready(audit, &err));
    ASSERT_OK(write_named(audit, "third", &err));
    dkv_audit_close(audit);
}

static void a_required_system_log_must_be_there(void)
{
    struct dkv_error err = {0};
    struct dkv_audit *audit = NULL;
    const struct dkv_audit_settings settings = {.to = "syslog", .required = true};
    if (access("/dev/log", F_OK) == 0) {
        dkv_test_skip("this machine has a system log");
        return;
    }
    ASSERT_OK(dkv_audit_open(&settings, &audit, &err));
    ASSERT_RC(DKV_E_RESOURCE, dkv_audit_ready(audit, &err));
    ASSERT_RC(DKV_E_RESOURCE, write_named(audit, "x", &err));
    ASSERT_SAYS("/dev/log");
    dkv_audit_close(audit);
}

static enum dkv_rc open_and_write(void *arg, struct dkv_error *err)
{
    const struct dkv_audit_settings *settings = arg;
    struct dkv_audit *audit = NULL;
    DKV_TRY(dkv_audit_open(settings, &audit, err));
    const enum dkv_rc rc = write_named(audit, "x\n", err);
    dkv_audit_close(audit);
    return rc;
}

static void a_failed_allocation_is_an_error(void)
{
    name_file();
    struct dkv_audit_settings settings = {.to = target, .required = true};
    CU_ASSERT(dkv_test_each_alloc_fails(open_and_write, &settings) > 4);
}

/* ---- base/json.h ---- */

static void numbers_and_members_are_json(void)
{
    struct dkv_error err = {0};
    struct dkv_buf out = {0};
    ASSERT_OK(dkv_buf_append_str(&out, "{", &err));
    ASSERT_OK(dkv_json_member_int(&out, "min", INT64_MIN, &err));
    ASSERT_OK(dkv_json_member_text(&out, "none", NULL, &err));
    ASSERT_OK(dkv_json_member_text(&out, "text", "", &err));
    ASSERT_OK(dkv_buf_append_str(&out, ",\"x\":", &err));
    ASSERT_OK(dkv_json_string(&out, dkv_span("\0\xc3\xa9\xe2\x80", 5), &err));
    CU_ASSERT_STRING_EQUAL(
        dkv_buf_text(&out),
        "{\"min\":-9223372036854775808,\"text\":\"\",\"x\":\"\\u0000\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\"");
    dkv_buf_done(&out);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_line_says_who_did_what),
        DKV_TEST(what_is_unknown_is_left_out),
        DKV_TEST(odd_characters_stay_inside_their_line),
        DKV_TEST(lines_are_chained_and_a_change_shows),
        DKV_TEST(each_opening_is_an_instance_of_its_own),
        DKV_TEST(a_forked_child_starts_a_chain_of_its_own),
        DKV_TEST(processes_append_whole_lines),
        DKV_TEST(a_rotated_or_removed_file_is_opened_anew),
        DKV_TEST(a_file_with_a_second_name_is_refused),
        DKV_TEST(a_file_that_others_may_write_is_refused),
        DKV_TEST(what_is_no_file_is_refused),
        DKV_TEST(no_audit_records_nothing_unless_it_is_required),
        DKV_TEST(a_required_record_that_cannot_be_written_is_an_error),
        DKV_TEST(a_line_cut_short_does_not_spoil_the_next),
        DKV_TEST(a_record_that_is_not_required_is_a_warning),
        DKV_TEST(a_required_file_gone_bad_stops_operations),
        DKV_TEST(a_required_system_log_must_be_there),
        DKV_TEST(a_failed_allocation_is_an_error),
        DKV_TEST(numbers_and_members_are_json),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
