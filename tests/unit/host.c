/* SPDX-License-Identifier: Apache-2.0 */
/* What a provider gets from its host: secrets from files, descriptors and a terminal; state; log lines. */
#include "providers/host.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/secret.h"
#include "tests/lib/test.h"

static struct dkv_host_base base;
static struct dkv_host_context context;
static struct dkv_host host;
static struct dkv_provider_settings settings;

static void arrange(void)
{
    struct dkv_error err = {0};
    dkv_state_close(base.state);
    base = (struct dkv_host_base){0};
    ASSERT_OK(dkv_state_open(dkv_test_path("state"), &base.state, &err));
    context = (struct dkv_host_context){.base = &base, .table = "fake"};
    settings = (struct dkv_provider_settings){.id = "fake:a", .file = "test.conf", .line = 7};
    dkv_host_init(&host, &context);
}

static enum dkv_rc read_secret(const char *source, size_t max, void **ret, size_t *ret_len, struct dkv_error *err)
{
    *ret = NULL;
    *ret_len = 0;
    return host.secret_source_read(&settings, source, "PIN", max, ret, ret_len, err);
}

static const char *file_source(const char *name, const char *contents, unsigned mode)
{
    static char source[4200];
    snprintf(source, sizeof(source), "file:%s", dkv_test_write(name, contents, strlen(contents), mode));
    return source;
}

static void assert_reads(const char *source, size_t max, const char *expected)
{
    struct dkv_error err = {0};
    void *memory = NULL;
    size_t len = 0;
    ASSERT_OK(read_secret(source, max, &memory, &len, &err));
    CU_ASSERT_EQUAL_FATAL(len, strlen(expected));
    CU_ASSERT_EQUAL(memcmp(memory, expected, len), 0);
    CU_ASSERT_TRUE(dkv_secret_owns(memory, len));
    CU_ASSERT_TRUE(host.secret_is_alive(memory));
    host.secret_free(memory);
}

/* Returns the error, and that nothing was given out. */
static struct dkv_error refusal(const char *source, size_t max, enum dkv_rc expected)
{
    struct dkv_error err = {0};
    void *memory = NULL;
    size_t len = 0;
    ASSERT_RC(expected, read_secret(source, max, &memory, &len, &err));
    CU_ASSERT_PTR_NULL(memory);
    CU_ASSERT_EQUAL(len, 0);
    return err;
}

/* ---- Files and descriptors ---- */

static void a_secret_file_is_read_without_one_newline(void)
{
    arrange();
    assert_reads(file_source("pin", "1234", 0600), 64, "1234");
    assert_reads(file_source("pin", "1234\n", 0600), 64, "1234");
    assert_reads(file_source("pin", "1234\r\n", 0600), 64, "1234");
    assert_reads(file_source("pin", "1234\n\n", 0400), 64, "1234\n");
    assert_reads(file_source("pin", "1234\n", 0400), 4, "1234");
    assert_reads(file_source("pin", "1234\r\n", 0400), 4, "1234");
}

static void a_secret_that_is_too_long_is_refused_without_its_contents(void)
{
    arrange();
    static const char *const contents[] = {"12345", "12345\n", "1234567", "12345678901234567890"};
    for (size_t i = 0; i < DKV_COUNT(contents); i++) {
        const struct dkv_error err = refusal(file_source("pin", contents[i], 0600), 4, DKV_E_CONFIG);
        CU_ASSERT_PTR_NULL(strstr(err.message, "12345"));
    }
}

static void an_empty_secret_is_refused(void)
{
    arrange();
    (void)refusal(file_source("pin", "", 0600), 64, DKV_E_CONFIG);
    const struct dkv_error err = refusal(file_source("pin", "\n", 0600), 64, DKV_E_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "test.conf:7"));
}

static void a_secret_file_that_others_can_read_is_refused(void)
{
    arrange();
    (void)refusal(file_source("pin", "1234", 0644), 64, DKV_E_CONFIG);
    (void)refusal(file_source("pin", "1234", 0640), 64, DKV_E_CONFIG);
    settings.allow_group_read = true;
    assert_reads(file_source("pin", "1234", 0640), 64, "1234");
}

static void a_descriptor_is_read_to_its_end(void)
{
    int pipe_fds[2];
    char source[32];
    arrange();
    CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
    CU_ASSERT_EQUAL_FATAL(write(pipe_fds[1], "1234\n", 5), 5);
    close(pipe_fds[1]);
    snprintf(source, sizeof(source), "fd:%d", pipe_fds[0]);

    assert_reads(source, 64, "1234");

    (void)refusal(source, 64, DKV_E_CONFIG); /* nothing is left */
    close(pipe_fds[0]);
}

static void what_is_no_source_is_refused_and_not_repeated(void)
{
    static const char *const bad[] = {"1234", "fd:", "fd:x", "fd:-1", "fd:1x", "fd:99999999999", "file:pin", "prompt:",
                                      ""};
    arrange();
    for (size_t i = 0; i < DKV_COUNT(bad); i++) {
        const struct dkv_error err = refusal(bad[i], 64, DKV_E_CONFIG);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "test.conf:7"));
        CU_ASSERT_PTR_NULL(strstr(err.message, "1234"));
    }
}

static void a_descriptor_that_isnt_open_is_a_fault_of_configuration(void)
{
    arrange();
    const struct dkv_error err = refusal("fd:999", 64, DKV_E_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "fd:999 isn't open"));
}

static void the_largest_secret_can_be_asked_for(void)
{
    arrange();
    assert_reads(file_source("pin", "1234", 0600), 65536, "1234");
    assert_reads(file_source("pin", "1234", 0600), SIZE_MAX, "1234");
}

/* ---- The terminal. Its other side is a pseudo terminal's master; a child without another terminal asks. ---- */

struct typing {
    const char *typed;  /* after the question came; NULL: nothing */
    int signal_number;  /* sent after the question came; 0: none */
    int status;         /* the child's, from waitpid */
    char screen[512];   /* what the terminal showed */
    bool echoes_after;  /* whether echo was on again at the end */
    bool echoed_during; /* whether echo was on while the question stood */
};

static int ask_in_child(const char *terminal_name)
{
    struct dkv_error err = {0};
    void *memory = NULL;
    size_t len = 0;
    (void)alarm(30); /* no test hangs */
    (void)setsid();
    const int fd = open(terminal_name, O_RDWR); /* becomes the controlling terminal */
    (void)ioctl(fd, TIOCSCTTY, 0);
    const enum dkv_rc rc = read_secret("prompt", 8, &memory, &len, &err);
    if (rc != DKV_OK) {
        return rc == DKV_E_CONFIG && strstr(err.message, "longer") != NULL ? 11 : rc == DKV_E_CONFIG ? 10 : 12;
    }
    const bool is_right = len == 4 && memcmp(memory, "1234", 4) == 0 && dkv_secret_owns(memory, len);
    host.secret_free(memory);
    return is_right ? 0 : 13;
}

static bool has_echo(int fd)
{
    struct termios mode;
    return tcgetattr(fd, &mode) == 0 && (mode.c_lflag & ECHO) != 0;
}

/* Add what the terminal shows to the screen until it shows `until`, at most 5 seconds. */
static bool watch(int master, struct typing *typing, const char *until)
{
    struct pollfd wanted = {.fd = master, .events = POLLIN};
    size_t len = strlen(typing->screen);
    while (strstr(typing->screen, until) == NULL && poll(&wanted, 1, 5000) > 0) {
        const ssize_t got = read(master, typing->screen + len, sizeof(typing->screen) - 1 - len);
        if (got <= 0) {
            return false;
        }
        len += (size_t)got;
    }
    return strstr(typing->screen, until) != NULL;
}

static void ask_at_terminal(struct typing *typing)
{
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    CU_ASSERT_TRUE_FATAL(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    const char *name = ptsname(master);
    const int held = open(name, O_RDWR | O_NOCTTY); /* so that the terminal outlives the child */
    const pid_t child = fork();
    if (child == 0) {
        close(master);
        close(held);
        _exit(ask_in_child(name));
    }
    CU_ASSERT_TRUE(watch(master, typing, "PIN: "));
    typing->echoed_during = has_echo(held);
    if (typing->typed != NULL) {
        CU_ASSERT_EQUAL(write(master, typing->typed, strlen(typing->typed)), (ssize_t)strlen(typing->typed));
    }
    if (typing->signal_number != 0) {
        (void)kill(child, typing->signal_number);
    }
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &typing->status, 0), child);
    typing->echoes_after = has_echo(held);
    CU_ASSERT_EQUAL(write(held, "END", 3), 3);
    CU_ASSERT_TRUE(watch(master, typing, "END"));
    close(held);
    close(master);
}

static void an_answer_is_read_unseen(void)
{
    struct typing typing = {.typed = "1234\n"};
    arrange();

    ask_at_terminal(&typing);

    CU_ASSERT_TRUE(WIFEXITED(typing.status));
    CU_ASSERT_EQUAL(WEXITSTATUS(typing.status), 0);
    CU_ASSERT_FALSE(typing.echoed_during);
    CU_ASSERT_TRUE(typing.echoes_after);
    CU_ASSERT_PTR_NULL(strstr(typing.screen, "1234"));
}

static void an_empty_answer_is_refused(void)
{
    struct typing typing = {.typed = "\n"};
    arrange();

    ask_at_terminal(&typing);

    CU_ASSERT_EQUAL(WEXITSTATUS(typing.status), 10);
    CU_ASSERT_TRUE(typing.echoes_after);
}

static void an_answer_that_is_too_long_is_refused(void)
{
    static const char *const answers[] = {"123456789\n", "1234567890\n", "12345678901234567890\n"};
    arrange();
    for (size_t i = 0; i < DKV_COUNT(answers); i++) {
        struct typing typing = {.typed = answers[i]};
        ask_at_terminal(&typing);
        CU_ASSERT_EQUAL(WEXITSTATUS(typing.status), 11);
        CU_ASSERT_TRUE(typing.echoes_after);
    }
}

static void a_signal_gives_the_terminal_back_and_takes_its_course(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    arrange();
    for (size_t i = 0; i < DKV_COUNT(numbers); i++) {
        struct typing typing = {.signal_number = numbers[i]};
        ask_at_terminal(&typing);
        CU_ASSERT_TRUE(WIFSIGNALED(typing.status));
        CU_ASSERT_EQUAL(WTERMSIG(typing.status), numbers[i]);
        CU_ASSERT_FALSE(typing.echoed_during);
        CU_ASSERT_TRUE(typing.echoes_after);
    }
}

static void control_c_interrupts_the_question(void)
{
    struct typing typing = {.typed = "12\003"};
    arrange();

    ask_at_terminal(&typing);

    CU_ASSERT_TRUE(WIFSIGNALED(typing.status));
    CU_ASSERT_EQUAL(WTERMSIG(typing.status), SIGINT);
    CU_ASSERT_TRUE(typing.echoes_after);
    CU_ASSERT_PTR_NULL(strstr(typing.screen, "12"));
}

static int ask_without_terminal(void)
{
    struct dkv_error err = {0};
    void *memory = NULL;
    size_t len = 0;
    (void)setsid();
    const enum dkv_rc rc = read_secret("prompt", 8, &memory, &len, &err);
    return rc == DKV_E_CONFIG && strstr(err.message, "no terminal") != NULL && memory == NULL ? 0 : 1;
}

static void without_a_terminal_nothing_is_asked(void)
{
    int status = 0;
    arrange();

    const pid_t child = fork();
    if (child == 0) {
        _exit(ask_without_terminal());
    }

    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- Secret memory, clock and log ---- */

static void secret_memory_comes_zeroed_and_goes_back(void)
{
    struct dkv_error err = {0};
    arrange();

    uint8_t *memory = host.secret_alloc(100, &err);

    CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
    CU_ASSERT_EQUAL(memory[0] | memory[99], 0);
    CU_ASSERT_TRUE(dkv_secret_owns(memory, 100));
    host.secret_free(memory);
    CU_ASSERT_FALSE(host.secret_is_alive(memory));
    host.secret_free(NULL);
    CU_ASSERT_PTR_NULL(host.secret_alloc(DKV_SECRET_MAX + 1, &err));
    CU_ASSERT_NOT_EQUAL(err.rc, DKV_OK);
}

static int64_t noon(void)
{
    return 12;
}

static void the_clock_is_the_one_given(void)
{
    static const struct dkv_clock clock = {.wall_ms = noon, .monotonic_ms = noon};
    arrange();
    CU_ASSERT_TRUE(host.monotonic_ms() > 12 || host.wall_ms() > 12);

    base.clock = &clock;
    dkv_host_init(&host, &context);

    CU_ASSERT_EQUAL(host.wall_ms(), 12);
    CU_ASSERT_EQUAL(host.monotonic_ms(), 12);
    CU_ASSERT_EQUAL(host.size, sizeof(struct dkv_host));
}

static char logged[256];
static enum dkv_log_level logged_level;

static void keep_line(void *arg, enum dkv_log_level level, const char *line)
{
    (void)arg;
    logged_level = level;
    snprintf(logged, sizeof(logged), "%s", line);
}

static void a_log_line_names_the_provider_and_ends_at_a_line_break(void)
{
    arrange();
    dkv_set_log(keep_line, NULL);

    host.log(&settings, DKV_E_AUTH, "refused\nforged entry");
    CU_ASSERT_STRING_EQUAL(logged, "provider fake:a: auth: refused");
    CU_ASSERT_EQUAL(logged_level, DKV_LOG_WARNING);
    host.log(&settings, DKV_OK, "opened");
    CU_ASSERT_STRING_EQUAL(logged, "provider fake:a: opened");
    CU_ASSERT_EQUAL(logged_level, DKV_LOG_NOTICE);

    dkv_set_log(NULL, NULL);
}

/* ---- State ---- */

static void state_is_kept_by_provider_type(void)
{
    struct dkv_error err = {0};
    struct dkv_buf value = {0};
    static const char *const types[] = {"fake", "pkcs11"};
    for (size_t i = 0; i < DKV_COUNT(types); i++) {
        arrange();
        context.table = types[i];

        ASSERT_OK(host.state_put(&host, "serial", dkv_span(NULL, 0), dkv_span_str(types[i]), &err));
    }
    ASSERT_OK(host.state_get(&host, "serial", &value, &err));
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span_buf(&value), dkv_span_str("pkcs11")));

    ASSERT_RC(DKV_E_CONFLICT, host.state_put(&host, "serial", dkv_span(NULL, 0), dkv_span_str("x"), &err));
    ASSERT_RC(DKV_E_NOT_FOUND, host.state_get(&host, "other", &value, &err));
    ASSERT_OK(host.state_put(&host, "serial", dkv_span_str("pkcs11"), dkv_span(NULL, 0), &err));
    dkv_buf_done(&value);
}

static void a_lock_is_held_until_it_is_given_back(void)
{
    struct dkv_error err = {0};
    int lock = -1, second = -1;
    arrange();

    ASSERT_OK(host.state_lock(&host, "pin", 100, &lock, &err));
    ASSERT_RC(DKV_E_TRANSIENT, host.state_lock(&host, "pin", 50, &second, &err));
    host.state_unlock(lock);
    ASSERT_OK(host.state_lock(&host, "pin", 100, &second, &err));

    host.state_unlock(second);
}

static void without_a_state_folder_a_provider_is_told_why(void)
{
    struct dkv_error err = {0};
    struct dkv_buf value = {0};
    int lock = -1;
    arrange();
    dkv_state_close(base.state);
    base.state = NULL;
    snprintf(base.state_why.message, sizeof(base.state_why.message), "it belongs to somebody else");

    ASSERT_RC(DKV_E_CONFIG, host.state_get(&host, "serial", &value, &err));
    ASSERT_SAYS("belongs to somebody else");
    ASSERT_RC(DKV_E_CONFIG, host.state_put(&host, "serial", dkv_span(NULL, 0), dkv_span_str("x"), &err));
    ASSERT_RC(DKV_E_CONFIG, host.state_lock(&host, "pin", 100, &lock, &err));
    base.state_why.message[0] = '\0';
    ASSERT_RC(DKV_E_CONFIG, host.state_get(&host, "serial", &value, &err));
    ASSERT_SAYS("it was not opened");
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_secret_file_is_read_without_one_newline),
        DKV_TEST(a_secret_that_is_too_long_is_refused_without_its_contents),
        DKV_TEST(an_empty_secret_is_refused),
        DKV_TEST(a_secret_file_that_others_can_read_is_refused),
        DKV_TEST(a_descriptor_is_read_to_its_end),
        DKV_TEST(what_is_no_source_is_refused_and_not_repeated),
        DKV_TEST(a_descriptor_that_isnt_open_is_a_fault_of_configuration),
        DKV_TEST(the_largest_secret_can_be_asked_for),
        DKV_TEST(an_answer_is_read_unseen),
        DKV_TEST(an_empty_answer_is_refused),
        DKV_TEST(an_answer_that_is_too_long_is_refused),
        DKV_TEST(a_signal_gives_the_terminal_back_and_takes_its_course),
        DKV_TEST(control_c_interrupts_the_question),
        DKV_TEST(without_a_terminal_nothing_is_asked),
        DKV_TEST(secret_memory_comes_zeroed_and_goes_back),
        DKV_TEST(the_clock_is_the_one_given),
        DKV_TEST(a_log_line_names_the_provider_and_ends_at_a_line_break),
        DKV_TEST(state_is_kept_by_provider_type),
        DKV_TEST(a_lock_is_held_until_it_is_given_back),
        DKV_TEST(without_a_state_folder_a_provider_is_told_why),
    };
    const int status = dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
    dkv_state_close(base.state);
    return status;
}
