/* SPDX-License-Identifier: Apache-2.0 */
/* Many processes at one token at the same time. SoftHSM 2.6.1 reads the files of a token without a lock while another
 * process writes them: it then misses the token, or an object, or fails a call. None of that may reach a caller. */
#include "tests/unit/pkcs11_fixture.h"

#include <limits.h>
#include <sys/wait.h>

#define N_PROCESSES 16
#define N_ROUNDS 2

/* Opened anew each time, as so many short-lived commands do. */
static enum dkv_rc make_and_use(struct fixture *fixture, const char *label, struct dkv_error *err)
{
    struct dkv_cmk *cmk = NULL;
    struct material material = {0};
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret dek = {0};
    fixture->settings.cmk = label;
    DKV_TRY(fixture_try_open(fixture, err));
    DKV_TRY(dkv_secret_init(&dek, DKV_DEK_BYTES, err));
    DKV_TRY(try_create(fixture, label, NULL, new_info(), err));
    DKV_TRY(dkv_pkcs11_ops.check(fixture->self, &a_call, err));
    DKV_TRY(dkv_pkcs11_ops.resolve_reference(fixture->self, &a_call, NULL, &cmk, err));
    const enum dkv_rc rc = try_wrap(fixture, cmk, &dek, &material, err);
    dkv_pkcs11_ops.cmk_free(cmk);
    return rc;
}

static int run_child(struct fixture *fixture, int number, int start_fd)
{
    char label[32], byte;
    if (read(start_fd, &byte, 1) != 0) {
        return 2;
    }
    for (int i = 0; i < N_ROUNDS; i++) {
        struct dkv_error err = {0};
        snprintf(label, sizeof(label), "cmk-%d-%d", number, i);
        const enum dkv_rc rc = make_and_use(fixture, label, &err);
        fixture_close(fixture);
        if (rc != DKV_OK) {
            fprintf(stderr, "# process %d, round %d: %s\n", number, i, err.message);
            return 1;
        }
    }
    return 0;
}

static void processes_that_make_and_use_cmks_at_once_all_succeed(void)
{
    struct fixture fixture;
    int start[2];
    pid_t children[N_PROCESSES];
    if (!start_softhsm()) {
        return;
    }
    fixture_init(&fixture, dkv_softhsm_module(), TOKEN);
    CU_ASSERT_EQUAL_FATAL(pipe(start), 0);

    for (int i = 0; i < N_PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            close(start[1]);
            _exit(run_child(&fixture, i, start[0]));
        }
    }
    close(start[1]); /* all of them now */

    for (int i = 0; i < N_PROCESSES; i++) {
        int status = -1;
        CU_ASSERT_EQUAL_FATAL(waitpid(children[i], &status, 0), children[i]);
        CU_ASSERT_EQUAL(status, 0);
    }
    close(start[0]);
}

/* ---- Looking again, by the count ---- */

static unsigned n_starts, n_blind; /* starts of the module, and how many of them don't see the token */

static CK_RV counting_initialize(void *arguments)
{
    n_starts++;
    return real->C_Initialize(arguments);
}

static CK_RV blind_slot_list(CK_BBOOL with_token, CK_SLOT_ID *slots, CK_ULONG *n)
{
    if (n_starts > n_blind) {
        return real->C_GetSlotList(with_token, slots, n);
    }
    *n = 0;
    return CKR_OK;
}

static CK_FUNCTION_LIST *interpose_blind(CK_FUNCTION_LIST *functions)
{
    CK_FUNCTION_LIST *list = interpose(functions);
    list->C_Initialize = counting_initialize;
    list->C_GetSlotList = blind_slot_list;
    return list;
}

static bool start_blind(struct fixture *fixture, unsigned blind)
{
    if (!start_softhsm()) {
        return false;
    }
    dkv_pkcs11_set_functions_wrapper(interpose_blind);
    n_starts = 0;
    n_blind = blind;
    fixture_init(fixture, dkv_softhsm_module(), TOKEN);
    fixture_open(fixture);
    return true;
}

static void a_token_missed_at_the_modules_start_is_looked_for_again(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_blind(&fixture, 3)) {
        return;
    }

    ASSERT_OK(dkv_pkcs11_ops.check(fixture.self, &a_call, &err));

    CU_ASSERT_EQUAL(n_starts, 4);
    CU_ASSERT_EQUAL(counts.login, 1);
    fixture_close(&fixture);
}

static void an_absent_token_is_given_up_soon(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_blind(&fixture, UINT_MAX)) {
        return;
    }
    const int64_t before = fixture.host.monotonic_ms();

    ASSERT_RC(DKV_E_UNREACHABLE, dkv_pkcs11_ops.check(fixture.self, &a_call, &err));
    ASSERT_SAYS("no token matches");

    CU_ASSERT(fixture.host.monotonic_ms() - before < 5000); /* half a second, and a slow machine's rest */
    CU_ASSERT(n_starts > 3);
    CU_ASSERT_EQUAL(counts.login, 0);
    fixture_close(&fixture);
}

static void a_call_that_is_cancelled_or_late_looks_no_further(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_blind(&fixture, UINT_MAX)) {
        return;
    }
    const struct dkv_call call = {.deadline_ms = fixture.host.monotonic_ms() + 30};

    ASSERT_RC(DKV_E_UNREACHABLE, dkv_pkcs11_ops.check(fixture.self, &call, &err));
    ASSERT_SAYS("timeout-ms");

    fixture_close(&fixture);
}

static void a_module_in_use_by_another_entry_is_never_restarted(void)
{
    struct fixture other, fixture;
    struct dkv_error err = {0};
    if (!start_blind(&other, 0)) {
        return;
    }
    ASSERT_OK(dkv_pkcs11_ops.check(other.self, &a_call, &err));
    const unsigned before = n_starts;
    fixture_init(&fixture, dkv_softhsm_module(), "pkcs11:token=elsewhere");
    fixture_open(&fixture);

    ASSERT_RC(DKV_E_UNREACHABLE, dkv_pkcs11_ops.check(fixture.self, &a_call, &err));

    CU_ASSERT_EQUAL(n_starts, before);
    ASSERT_OK(dkv_pkcs11_ops.check(other.self, &a_call, &err));
    CU_ASSERT_EQUAL(counts.login, 1);
    fixture_close(&fixture);
    fixture_close(&other);
}

static const struct dkv_test tests[] = {
    DKV_TEST(a_token_missed_at_the_modules_start_is_looked_for_again),
    DKV_TEST(an_absent_token_is_given_up_soon),
    DKV_TEST(a_call_that_is_cancelled_or_late_looks_no_further),
    DKV_TEST(a_module_in_use_by_another_entry_is_never_restarted),
    DKV_TEST(processes_that_make_and_use_cmks_at_once_all_succeed),
};

int main(int argc, char **argv)
{
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
