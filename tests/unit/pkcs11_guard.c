/* SPDX-License-Identifier: Apache-2.0 */
/* Logins of the pkcs11 provider: how often a PIN is sent, and to which token. C_Login is counted in the table that the
 * provider stands on. */
#include "tests/unit/pkcs11_fixture.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/wait.h>

#define N_PROCESSES 20

static void start_fixture(struct fixture *fixture)
{
    fixture_init(fixture, dkv_softhsm_module(), TOKEN);
    fixture_open(fixture);
}

/* Anything that needs the login. */
static enum dkv_rc touch(struct fixture *fixture, struct dkv_error *err)
{
    *err = (struct dkv_error){0};
    return dkv_pkcs11_ops.check(fixture->self, &a_call, err);
}

/* The same provider, as a process that starts anew has it. */
static void restart(struct fixture *fixture)
{
    fixture_close(fixture);
    fixture_open(fixture);
}

/* ---- The guard ---- */

static void a_right_pin_logs_in_once_and_leaves_nothing_behind(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    start_fixture(&fixture);

    ASSERT_OK(touch(&fixture, &err));
    ASSERT_OK(touch(&fixture, &err));
    CU_ASSERT_EQUAL(counts.login, 1);
    restart(&fixture);
    ASSERT_OK(touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 2);
    fixture_close(&fixture);
}

static void opening_makes_no_contact(void)
{
    struct fixture fixture;
    interposing_start();
    fixture_init(&fixture, "/nowhere/libtoken.so", TOKEN);
    fixture.cmks[0] = "pkcs11:object=a";

    fixture_open(&fixture);

    fixture_close(&fixture);
}

static void a_wrong_pin_is_sent_once_then_refused_until_the_file_changes(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    hidden_flags = CKF_USER_PIN_COUNT_LOW; /* a token that doesn't warn */
    start_fixture(&fixture);
    fixture_write_pin(&fixture, "wrong-1\n");

    ASSERT_RC(DKV_E_AUTH, touch(&fixture, &err));
    CU_ASSERT_EQUAL(err.native_code, CKR_PIN_INCORRECT);
    CU_ASSERT_STRING_EQUAL(err.native_name, "CKR_PIN_INCORRECT");
    for (int i = 0; i < 3; i++) {
        restart(&fixture);
        ASSERT_RC(DKV_E_POLICY, touch(&fixture, &err));
        ASSERT_SAYS("dekvault token login pkcs11:test --once");
    }
    CU_ASSERT_EQUAL(counts.login, 1);
    fixture_write_pin(&fixture, DKV_SOFTHSM_PIN "\n");
    ASSERT_OK(touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 2);
    fixture_close(&fixture);
}

/* What the first error promises is what the next login meets. */
static void the_error_of_a_refused_pin_says_what_really_helps(void)
{
    static const struct {
        CK_FLAGS flags;
        const char *words, *not_words;
    } cases[] = {
        {0, "until it changes or `dekvault token login pkcs11:test --once` succeeds", "low count"},
        {CKF_USER_PIN_COUNT_LOW, "correct the PIN, then run that", "until it changes"},
        {CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY, "the token's own tools", "--once"},
        {CKF_USER_PIN_LOCKED, "security officer", "--once"},
    };
    for (size_t i = 0; i < DKV_COUNT(cases); i++) {
        struct fixture fixture;
        struct dkv_error err = {0};
        if (!start_softhsm()) {
            return;
        }
        hidden_flags = CKF_USER_PIN_COUNT_LOW;
        start_fixture(&fixture);
        login_answer = CKR_PIN_INCORRECT;
        flags_after_login = cases[i].flags;

        ASSERT_RC(DKV_E_AUTH, touch(&fixture, &err));

        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, cases[i].words));
        CU_ASSERT_PTR_NULL(strstr(err.message, cases[i].not_words));
        fixture_close(&fixture);
    }
}

static unsigned n_pinless; /* the login that is looked at */

static CK_RV pinless_login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG len)
{
    counts.login++;
    return counts.login < n_pinless ? CKR_USER_PIN_NOT_INITIALIZED : real->C_Login(session, user, pin, len);
}

static CK_FUNCTION_LIST *interpose_pinless(CK_FUNCTION_LIST *functions)
{
    CK_FUNCTION_LIST *list = interpose(functions);
    list->C_Login = pinless_login;
    return list;
}

static void a_token_that_loses_sight_of_its_pin_is_asked_again(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    dkv_pkcs11_set_functions_wrapper(interpose_pinless);
    start_fixture(&fixture);
    n_pinless = 3;
    ASSERT_OK(touch(&fixture, &err));
    CU_ASSERT_EQUAL(counts.login, 3);

    n_pinless = UINT_MAX;
    counts.login = 0;
    restart(&fixture);
    ASSERT_RC(DKV_E_CONFIG, touch(&fixture, &err));
    CU_ASSERT_EQUAL(counts.login, 4);
    flags_after_login = CKF_USER_PIN_COUNT_LOW; /* somebody mistyped one meanwhile */
    counts.login = 0;
    restart(&fixture);
    ASSERT_RC(DKV_E_POLICY, touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 1);
    fixture_close(&fixture);
}

static unsigned n_starts, n_failing, n_infos; /* how often a start of the module gives a token that fails */

static CK_RV counting_initialize(void *arguments)
{
    n_starts++;
    n_infos = 0;
    return real->C_Initialize(arguments);
}

/* Found, and then it fails. */
static CK_RV half_read_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    CK_SLOT_ID slots[16];
    CK_ULONG n = 16;
    const CK_RV rv = real->C_GetTokenInfo(slot, info);
    CU_ASSERT_EQUAL_FATAL(real->C_GetSlotList(CK_TRUE, slots, &n), CKR_OK);
    return ++n_infos > n && n_starts <= n_failing ? CKR_GENERAL_ERROR : rv;
}

static CK_FUNCTION_LIST *interpose_half_read(CK_FUNCTION_LIST *functions)
{
    CK_FUNCTION_LIST *list = interpose(functions);
    list->C_Initialize = counting_initialize;
    list->C_GetTokenInfo = half_read_token_info;
    return list;
}

static void a_token_that_was_read_by_halves_is_read_again(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    dkv_pkcs11_set_functions_wrapper(interpose_half_read);
    n_starts = 0;
    n_failing = 2;
    start_fixture(&fixture);
    ASSERT_OK(touch(&fixture, &err));
    CU_ASSERT_EQUAL(n_starts, 3);
    CU_ASSERT_EQUAL(counts.login, 1);

    n_failing = UINT_MAX;
    n_starts = 0;
    restart(&fixture);
    ASSERT_RC(DKV_E_TRANSIENT, touch(&fixture, &err));

    CU_ASSERT_EQUAL(n_starts, 4);
    CU_ASSERT_EQUAL(counts.login, 1);
    fixture_close(&fixture);
}

static void a_login_that_failed_otherwise_is_not_made_again(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    start_fixture(&fixture);
    login_answer = CKR_GENERAL_ERROR;

    ASSERT_RC(DKV_E_TRANSIENT, touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 1);
    fixture_close(&fixture);
}

static void no_error_names_the_pin(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    start_fixture(&fixture);
    fixture_write_pin(&fixture, "tell-nobody\n");

    ASSERT_RC(DKV_E_AUTH, touch(&fixture, &err));

    CU_ASSERT_PTR_NULL(strstr(err.message, "tell-nobody"));
    fixture_close(&fixture);
}

static void a_deliberate_login_is_tried_whatever_is_remembered(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_token_login login = {.label = "untouched"};
    if (!start_softhsm()) {
        return;
    }
    start_fixture(&fixture);
    fixture_write_pin(&fixture, "wrong-1\n");
    ASSERT_RC(DKV_E_AUTH, touch(&fixture, &err));

    err = (struct dkv_error){0};
    ASSERT_RC(DKV_E_AUTH, dkv_token_login_once(fixture.self, &a_call, false, &login, &err));
    CU_ASSERT_STRING_EQUAL(login.label, "untouched");
    CU_ASSERT_EQUAL(counts.login, 2);
    fixture_write_pin(&fixture, DKV_SOFTHSM_PIN "\n");
    /* SoftHSM reports the low count: a changed file alone isn't enough */
    ASSERT_RC(DKV_E_POLICY, touch(&fixture, &err));
    ASSERT_SAYS("--once");
    CU_ASSERT_EQUAL(counts.login, 2);
    err = (struct dkv_error){0};
    ASSERT_OK(dkv_token_login_once(fixture.self, &a_call, false, &login, &err));
    CU_ASSERT_STRING_EQUAL(login.label, "prod");
    CU_ASSERT_EQUAL(strlen(login.serial), 16);
    restart(&fixture);
    ASSERT_OK(touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 4);
    fixture_close(&fixture);
}

/* ---- Twenty processes ---- */

static int log_fd = -1;

static CK_RV logging_login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG len)
{
    return write(log_fd, "x", 1) == 1 ? real->C_Login(session, user, pin, len) : CKR_HOST_MEMORY;
}

static CK_RV dying_login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG len)
{
    (void)session;
    (void)user;
    (void)pin;
    (void)len;
    _exit(77);
}

static CK_FUNCTION_LIST *interpose_log(CK_FUNCTION_LIST *functions)
{
    CK_FUNCTION_LIST *list = interpose(functions);
    list->C_Login = logging_login;
    return list;
}

static CK_FUNCTION_LIST *interpose_death(CK_FUNCTION_LIST *functions)
{
    CK_FUNCTION_LIST *list = interpose(functions);
    list->C_Login = dying_login;
    return list;
}

static void run_child(struct fixture *fixture, int start_fd)
{
    struct dkv_error err = {0};
    char byte;
    hidden_flags = CKF_USER_PIN_COUNT_LOW;
    if (read(start_fd, &byte, 1) != 0 || fixture_try_open(fixture, &err) != DKV_OK) {
        _exit(99);
    }
    enum dkv_rc rc = touch(fixture, &err);
    /* SoftHSM 2.6.1 doesn't see a token whose file another process is writing while it starts. */
    for (int i = 0; i < 10 && rc == DKV_E_UNREACHABLE; i++) {
        restart(fixture);
        rc = touch(fixture, &err);
    }
    _exit(rc == DKV_E_AUTH ? 1 : rc == DKV_E_POLICY ? 2 : rc == DKV_OK ? 0 : 3);
}

static void of_twenty_processes_with_a_wrong_pin_one_sends_it(void)
{
    struct fixture fixture;
    struct stat info;
    int start[2], seen[4] = {0};
    pid_t children[N_PROCESSES];
    if (!start_softhsm()) {
        return;
    }
    fixture_init(&fixture, dkv_softhsm_module(), TOKEN);
    fixture_write_pin(&fixture, "wrong-1\n");
    dkv_pkcs11_set_functions_wrapper(interpose_log);
    log_fd = open(dkv_test_path("logins"), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
    CU_ASSERT_FATAL(log_fd >= 0 && pipe(start) == 0);

    for (int i = 0; i < N_PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            close(start[1]);
            run_child(&fixture, start[0]);
        }
    }
    close(start[1]); /* all of them now */
    for (int i = 0; i < N_PROCESSES; i++) {
        int status = 0;
        CU_ASSERT_EQUAL_FATAL(waitpid(children[i], &status, 0), children[i]);
        CU_ASSERT_FATAL(WIFEXITED(status) && WEXITSTATUS(status) <= 3);
        seen[WEXITSTATUS(status)]++;
    }

    CU_ASSERT_EQUAL(fstat(log_fd, &info), 0);
    CU_ASSERT_EQUAL(info.st_size, 1);
    CU_ASSERT_EQUAL(seen[0], 0);
    CU_ASSERT_EQUAL(seen[1], 1);
    CU_ASSERT_EQUAL(seen[2], N_PROCESSES - 1);
    CU_ASSERT_EQUAL(seen[3], 0);
    close(log_fd);
    close(start[0]);
}

static void a_process_that_dies_in_the_login_is_remembered(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    int status = 0;
    if (!start_softhsm()) {
        return;
    }
    fixture_init(&fixture, dkv_softhsm_module(), TOKEN);
    dkv_pkcs11_set_functions_wrapper(interpose_death);
    const pid_t child = fork();
    if (child == 0) {
        _exit(fixture_try_open(&fixture, &err) == DKV_OK && touch(&fixture, &err) == DKV_OK ? 0 : 1);
    }
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL_FATAL(WEXITSTATUS(status), 77);

    interposing_start();
    fixture_open(&fixture);
    ASSERT_RC(DKV_E_POLICY, touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 0);
    fixture_close(&fixture);
}

/* ---- Without memory, no PIN ---- */

static void without_a_state_folder_no_pin_is_sent(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    start_fixture(&fixture);
    struct dkv_state *state = fixture.base.state;
    fixture.base.state = NULL;

    ASSERT_RC(DKV_E_CONFIG, touch(&fixture, &err));
    ASSERT_SAYS("no PIN is sent");

    CU_ASSERT_EQUAL(counts.login, 0);
    fixture.base.state = state;
    fixture_close(&fixture);
}

static enum dkv_rc failing_put(const struct dkv_host *host, const char *key, struct dkv_span expected,
                               struct dkv_span value, struct dkv_error *err)
{
    (void)host;
    (void)key;
    (void)expected;
    (void)value;
    return dkv_fail(err, DKV_E_DENIED, "read-only file system");
}

static void a_state_folder_that_cant_be_written_stops_the_login(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    start_fixture(&fixture);
    fixture.host.state_put = failing_put;

    ASSERT_RC(DKV_E_CONFIG, touch(&fixture, &err));
    ASSERT_SAYS("read-only file system");

    CU_ASSERT_EQUAL(counts.login, 0);
    fixture_close(&fixture);
}

/* ---- The token's flags ---- */

static void a_token_that_is_close_to_locking_gets_no_pin(void)
{
    static const CK_FLAGS flags[] = {CKF_USER_PIN_LOCKED, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_TO_BE_CHANGED};
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_token_login login;
    if (!start_softhsm()) {
        return;
    }
    start_fixture(&fixture);

    for (size_t i = 0; i < DKV_COUNT(flags); i++) {
        added_flags = flags[i];
        ASSERT_RC(DKV_E_POLICY, touch(&fixture, &err));
        err = (struct dkv_error){0};
        ASSERT_RC(DKV_E_POLICY, dkv_token_login_once(fixture.self, &a_call, false, &login, &err));
    }

    CU_ASSERT_EQUAL(counts.login, 0);
    fixture_close(&fixture);
}

static void a_low_count_stops_all_but_a_pin_that_has_succeeded_here(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    start_fixture(&fixture);
    added_flags = CKF_USER_PIN_COUNT_LOW;
    ASSERT_RC(DKV_E_POLICY, touch(&fixture, &err));
    ASSERT_SAYS("dekvault token login pkcs11:test --once");
    CU_ASSERT_EQUAL(counts.login, 0);
    added_flags = 0;
    ASSERT_OK(touch(&fixture, &err));

    added_flags = CKF_USER_PIN_COUNT_LOW;
    ASSERT_OK(dkv_p11_reconnect(fixture.self, &a_call, fixture.self->generation, &err));
    CU_ASSERT_EQUAL(counts.login, 2);
    restart(&fixture);
    ASSERT_RC(DKV_E_POLICY, touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 2);
    fixture_close(&fixture);
}

static void a_failure_that_is_not_about_the_pin_is_not_remembered(void)
{
    static const CK_RV answers[] = {CKR_DEVICE_REMOVED, CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED};
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    start_fixture(&fixture);
    for (size_t i = 0; i < DKV_COUNT(answers); i++) {
        login_answer = answers[i];
        CU_ASSERT_NOT_EQUAL(touch(&fixture, &err), DKV_OK);
        CU_ASSERT_NOT_EQUAL(err.rc, DKV_E_POLICY);
    }

    login_answer = CKR_OK;
    ASSERT_OK(touch(&fixture, &err));

    fixture_close(&fixture);
}

static void a_failure_that_may_have_counted_is_remembered(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    start_fixture(&fixture);
    ASSERT_OK(touch(&fixture, &err)); /* so that the low count alone wouldn't stop it */
    login_answer = CKR_GENERAL_ERROR;
    added_flags = CKF_USER_PIN_COUNT_LOW;
    CU_ASSERT_NOT_EQUAL(dkv_p11_reconnect(fixture.self, &a_call, fixture.self->generation, &err), DKV_OK);

    login_answer = CKR_OK;
    added_flags = 0;
    ASSERT_RC(DKV_E_POLICY, touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 2);
    fixture_close(&fixture);
}

/* A deliberate login is sent past the guard's memory; where the token didn't look at the PIN, it proved nothing. */
static void an_attempt_that_proves_nothing_leaves_the_memory_as_it_was(void)
{
    static const CK_RV answers[] = {CKR_USER_ALREADY_LOGGED_IN, CKR_TOKEN_NOT_PRESENT, CKR_FUNCTION_FAILED};
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_token_login login;
    if (!start_softhsm()) {
        return;
    }
    hidden_flags = CKF_USER_PIN_COUNT_LOW;
    start_fixture(&fixture);
    fixture_write_pin(&fixture, "wrong-1\n");
    ASSERT_RC(DKV_E_AUTH, touch(&fixture, &err));

    for (size_t i = 0; i < DKV_COUNT(answers); i++) {
        login_answer = answers[i];
        err = (struct dkv_error){0};
        CU_ASSERT_NOT_EQUAL(dkv_token_login_once(fixture.self, &a_call, false, &login, &err), DKV_OK);
        login_answer = CKR_OK;
        restart(&fixture);
        ASSERT_RC(DKV_E_POLICY, touch(&fixture, &err));
    }

    CU_ASSERT_EQUAL(counts.login, 1 + DKV_COUNT(answers));
    fixture_close(&fixture);
}

/* PKCS#11 2.40 section 5.1.3: the token was removed while the call was executed, so perhaps after the PIN was counted.
 */
static void a_token_removed_during_the_login_is_asked_whether_it_counted(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    start_fixture(&fixture);
    ASSERT_OK(touch(&fixture, &err)); /* so that the low count alone wouldn't stop it */
    login_answer = CKR_DEVICE_REMOVED;
    added_flags = CKF_USER_PIN_COUNT_LOW;
    CU_ASSERT_NOT_EQUAL(dkv_p11_reconnect(fixture.self, &a_call, fixture.self->generation, &err), DKV_OK);

    login_answer = CKR_OK;
    added_flags = 0;
    ASSERT_RC(DKV_E_POLICY, touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 2);
    fixture_close(&fixture);
}

/* ---- Which token ---- */

static bool is_exchanged;

static CK_RV exchanging_open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify,
                                     CK_SESSION_HANDLE *ret)
{
    is_exchanged = true;
    return real->C_OpenSession(slot, flags, application, notify, ret);
}

static CK_RV exchanged_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    const CK_RV rv = real->C_GetTokenInfo(slot, info);
    if (is_exchanged) {
        memset(info->serialNumber, 'x', sizeof(info->serialNumber));
    }
    return rv;
}

static CK_FUNCTION_LIST *interpose_exchange(CK_FUNCTION_LIST *functions)
{
    CK_FUNCTION_LIST *list = interpose(functions);
    list->C_OpenSession = exchanging_open_session;
    list->C_GetTokenInfo = exchanged_token_info;
    return list;
}

static void a_token_exchanged_before_its_session_opens_gets_no_pin(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    dkv_pkcs11_set_functions_wrapper(interpose_exchange);
    is_exchanged = false;
    start_fixture(&fixture);

    ASSERT_RC(DKV_E_UNREACHABLE, touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 0);
    fixture_close(&fixture);
}

static void two_tokens_of_one_label_get_no_pin(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    dkv_softhsm_add_token("prod");
    start_fixture(&fixture);

    ASSERT_RC(DKV_E_CONFIG, touch(&fixture, &err));
    ASSERT_SAYS("serial");

    CU_ASSERT_EQUAL(counts.login, 0);
    fixture_close(&fixture);
}

static void an_absent_token_is_unreachable(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    fixture_init(&fixture, dkv_softhsm_module(), "pkcs11:token=elsewhere");
    fixture_open(&fixture);

    ASSERT_RC(DKV_E_UNREACHABLE, touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 0);
    fixture_close(&fixture);
}

static void a_token_with_another_serial_gets_no_pin_until_it_is_accepted(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_token_login login;
    if (!start_softhsm()) {
        return;
    }
    start_fixture(&fixture);
    ASSERT_OK(touch(&fixture, &err));
    fixture_close(&fixture);
    if (!start_softhsm()) {
        return;
    }
    fixture_open(&fixture); /* a new token of the old name, the old state folder */

    ASSERT_RC(DKV_E_POLICY, touch(&fixture, &err));
    ASSERT_SAYS("--accept-serial");
    err = (struct dkv_error){0};
    ASSERT_RC(DKV_E_POLICY, dkv_token_login_once(fixture.self, &a_call, false, &login, &err));
    CU_ASSERT_EQUAL(counts.login, 0);
    err = (struct dkv_error){0};
    ASSERT_OK(dkv_token_login_once(fixture.self, &a_call, true, &login, &err));
    restart(&fixture);
    ASSERT_OK(touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 2);
    fixture_close(&fixture);
}

/* ---- Sources ---- */

static void a_pin_file_that_others_may_read_is_refused(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    start_fixture(&fixture);
    CU_ASSERT_EQUAL_FATAL(chmod(fixture.pin_source + 5, 0644), 0);
    ASSERT_RC(DKV_E_CONFIG, touch(&fixture, &err));
    CU_ASSERT_EQUAL_FATAL(unlink(fixture.pin_source + 5), 0);

    ASSERT_RC(DKV_E_CONFIG, touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 0);
    fixture_close(&fixture);
}

static int pin_pipe(const char *pin)
{
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    CU_ASSERT_EQUAL_FATAL(write(ends[1], pin, strlen(pin)), (ssize_t)strlen(pin));
    close(ends[1]);
    return ends[0];
}

static void a_descriptor_is_read_at_open_and_remembered_by_the_token(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    char source[16];
    if (!start_softhsm()) {
        return;
    }
    hidden_flags = CKF_USER_PIN_COUNT_LOW;
    fixture_init(&fixture, dkv_softhsm_module(), TOKEN);
    fixture.values[DKV_P11_OPTION_PIN_SOURCE] = text_value(source);
    int fd = pin_pipe(DKV_SOFTHSM_PIN "\n");
    snprintf(source, sizeof(source), "fd:%d", fd);
    fixture_open(&fixture);
    close(fd);
    ASSERT_OK(touch(&fixture, &err));
    fixture_close(&fixture);

    fd = pin_pipe("wrong-1");
    snprintf(source, sizeof(source), "fd:%d", fd);
    fixture_open(&fixture);
    close(fd);
    ASSERT_RC(DKV_E_AUTH, touch(&fixture, &err));
    fixture_close(&fixture);
    fd = pin_pipe("wrong-2");
    snprintf(source, sizeof(source), "fd:%d", fd);
    fixture_open(&fixture);
    close(fd);
    ASSERT_RC(DKV_E_POLICY, touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 2);
    fixture_close(&fixture);
}

static void without_a_pin_source_the_setting_is_named(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    fixture_init(&fixture, dkv_softhsm_module(), TOKEN);
    fixture.values[DKV_P11_OPTION_PIN_SOURCE] = text_value(NULL);
    fixture_open(&fixture);

    ASSERT_RC(DKV_E_CONFIG, touch(&fixture, &err));
    ASSERT_SAYS("pin-source");

    fixture_close(&fixture);
}

static void a_login_of_somebody_else_in_this_process_is_enough(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_token_login login;
    if (!start_softhsm()) {
        return;
    }
    struct dkv_raw raw = dkv_raw_open(dkv_softhsm_module(), NULL, "prod");
    start_fixture(&fixture);
    fixture_write_pin(&fixture, "wrong-1\n");

    ASSERT_OK(touch(&fixture, &err));
    CU_ASSERT_EQUAL(counts.login, 0);
    ASSERT_RC(DKV_E_CONFLICT, dkv_token_login_once(fixture.self, &a_call, false, &login, &err)); /* it proves nothing */

    fixture_close(&fixture);
    dkv_raw_close(&raw);
}

/* ---- People ---- */

static const char *typed;
static unsigned n_asked;

static enum dkv_rc typing(const struct dkv_provider_settings *settings, const char *source, const char *prompt_text,
                          size_t max, void **ret_memory, size_t *ret_len, struct dkv_error *err)
{
    (void)settings;
    CU_ASSERT_STRING_EQUAL(source, "prompt");
    CU_ASSERT_PTR_NOT_NULL(strstr(prompt_text, "prod"));
    CU_ASSERT_PTR_NULL(strstr(prompt_text, ": ")); /* that is the terminal's to add */
    n_asked++;
    *ret_len = strlen(typed);
    CU_ASSERT_FATAL(*ret_len <= max);
    *ret_memory = dkv_secret_alloc(*ret_len, err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(*ret_memory);
    memcpy(*ret_memory, typed, *ret_len);
    return DKV_OK;
}

static void start_prompting(struct fixture *fixture, const char *pin)
{
    typed = pin;
    n_asked = 0;
    hidden_flags = CKF_USER_PIN_COUNT_LOW;
    fixture_init(fixture, dkv_softhsm_module(), TOKEN);
    fixture->values[DKV_P11_OPTION_PIN_SOURCE] = text_value("prompt");
    fixture_open(fixture);
    fixture->host.secret_source_read = typing;
}

static void a_person_is_asked_at_the_first_login_and_no_more(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    start_prompting(&fixture, DKV_SOFTHSM_PIN);
    CU_ASSERT_EQUAL(n_asked, 0);

    ASSERT_OK(touch(&fixture, &err));
    ASSERT_OK(dkv_p11_reconnect(fixture.self, &a_call, fixture.self->generation, &err));

    CU_ASSERT_EQUAL(n_asked, 1);
    CU_ASSERT_EQUAL(counts.login, 2);
    fixture_close(&fixture);
}

static void who_mistyped_is_asked_again_only_by_a_deliberate_login(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_token_login login;
    if (!start_softhsm()) {
        return;
    }
    start_prompting(&fixture, "wrong-1");
    ASSERT_RC(DKV_E_AUTH, touch(&fixture, &err));
    typed = DKV_SOFTHSM_PIN;

    ASSERT_RC(DKV_E_POLICY, touch(&fixture, &err));
    CU_ASSERT_EQUAL(n_asked, 1);
    err = (struct dkv_error){0};
    ASSERT_OK(dkv_token_login_once(fixture.self, &a_call, false, &login, &err));
    CU_ASSERT_EQUAL(n_asked, 2);
    ASSERT_OK(touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 2);
    fixture_close(&fixture);
}

static void a_token_with_a_pin_pad_gets_no_pin_from_us(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    added_flags = CKF_PROTECTED_AUTHENTICATION_PATH;
    fixture_init(&fixture, dkv_softhsm_module(), TOKEN);
    fixture.values[DKV_P11_OPTION_PIN_SOURCE] = text_value(NULL);
    fixture_open(&fixture);
    login_answer = CKR_PIN_INCORRECT; /* of the pad */

    ASSERT_RC(DKV_E_AUTH, touch(&fixture, &err));
    ASSERT_RC(DKV_E_POLICY, touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 1);
    CU_ASSERT_PTR_NULL(login_pin);
    fixture_close(&fixture);
}

static void what_a_pin_pad_refused_is_remembered_whatever_the_pin_source(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    added_flags = CKF_PROTECTED_AUTHENTICATION_PATH;
    start_fixture(&fixture); /* with a file */
    login_answer = CKR_PIN_INCORRECT;

    ASSERT_RC(DKV_E_AUTH, touch(&fixture, &err));
    ASSERT_RC(DKV_E_POLICY, touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 1);
    CU_ASSERT_PTR_NULL(login_pin);
    fixture_close(&fixture);
}

static void a_token_without_login_needs_no_pin(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    hidden_flags = CKF_LOGIN_REQUIRED;
    fixture_init(&fixture, dkv_softhsm_module(), TOKEN);
    fixture.values[DKV_P11_OPTION_PIN_SOURCE] = text_value(NULL);
    fixture_open(&fixture);

    ASSERT_OK(touch(&fixture, &err));

    CU_ASSERT_EQUAL(counts.login, 0);
    fixture_close(&fixture);
}

static const struct dkv_test tests[] = {
    DKV_TEST(a_right_pin_logs_in_once_and_leaves_nothing_behind),
    DKV_TEST(opening_makes_no_contact),
    DKV_TEST(a_wrong_pin_is_sent_once_then_refused_until_the_file_changes),
    DKV_TEST(the_error_of_a_refused_pin_says_what_really_helps),
    DKV_TEST(a_token_that_loses_sight_of_its_pin_is_asked_again),
    DKV_TEST(a_token_that_was_read_by_halves_is_read_again),
    DKV_TEST(a_login_that_failed_otherwise_is_not_made_again),
    DKV_TEST(no_error_names_the_pin),
    DKV_TEST(a_deliberate_login_is_tried_whatever_is_remembered),
    DKV_TEST(of_twenty_processes_with_a_wrong_pin_one_sends_it),
    DKV_TEST(a_process_that_dies_in_the_login_is_remembered),
    DKV_TEST(without_a_state_folder_no_pin_is_sent),
    DKV_TEST(a_state_folder_that_cant_be_written_stops_the_login),
    DKV_TEST(a_token_that_is_close_to_locking_gets_no_pin),
    DKV_TEST(a_low_count_stops_all_but_a_pin_that_has_succeeded_here),
    DKV_TEST(a_failure_that_is_not_about_the_pin_is_not_remembered),
    DKV_TEST(a_failure_that_may_have_counted_is_remembered),
    DKV_TEST(an_attempt_that_proves_nothing_leaves_the_memory_as_it_was),
    DKV_TEST(a_token_removed_during_the_login_is_asked_whether_it_counted),
    DKV_TEST(a_token_exchanged_before_its_session_opens_gets_no_pin),
    DKV_TEST(two_tokens_of_one_label_get_no_pin),
    DKV_TEST(an_absent_token_is_unreachable),
    DKV_TEST(a_token_with_another_serial_gets_no_pin_until_it_is_accepted),
    DKV_TEST(a_pin_file_that_others_may_read_is_refused),
    DKV_TEST(a_descriptor_is_read_at_open_and_remembered_by_the_token),
    DKV_TEST(without_a_pin_source_the_setting_is_named),
    DKV_TEST(a_login_of_somebody_else_in_this_process_is_enough),
    DKV_TEST(a_person_is_asked_at_the_first_login_and_no_more),
    DKV_TEST(who_mistyped_is_asked_again_only_by_a_deliberate_login),
    DKV_TEST(a_token_with_a_pin_pad_gets_no_pin_from_us),
    DKV_TEST(what_a_pin_pad_refused_is_remembered_whatever_the_pin_source),
    DKV_TEST(a_token_without_login_needs_no_pin),
};

int main(int argc, char **argv)
{
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
