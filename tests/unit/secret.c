/* SPDX-License-Identifier: Apache-2.0 */
/* base/secret.h within one process: what is handed out, limits, a system that refuses. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "tests/lib/test.h"

/* ---- A system whose n-th call of a kind fails, and that keeps what is unmapped ---- */

enum call { CALL_MAP, CALL_GUARD, CALL_LOCK, CALL_ADVISE, N_CALLS };

static struct {
    int fail_at[N_CALLS]; /* 0: never; -1: each one */
    int made[N_CALLS];
    size_t lock_limit;
    uint8_t *kept[512];
    size_t kept_len[512];
    size_t n_kept;
    size_t mapped;
} fake;

static bool fails(enum call call)
{
    fake.made[call]++;
    errno = call == CALL_LOCK ? EPERM : ENOMEM;
    return fake.fail_at[call] == -1 || fake.fail_at[call] == fake.made[call];
}

static void *fake_map(size_t len)
{
    void *memory = fails(CALL_MAP) ? NULL : dkv_secret_os_real()->map(len);
    fake.mapped += memory != NULL ? len : 0;
    return memory;
}

static int fake_unmap(void *memory, size_t len)
{
    CU_ASSERT_FATAL(fake.n_kept < DKV_COUNT(fake.kept));
    fake.kept[fake.n_kept] = (uint8_t *)memory;
    fake.kept_len[fake.n_kept++] = len;
    fake.mapped -= len;
    return 0;
}

static int fake_guard(void *memory, size_t len)
{
    return fails(CALL_GUARD) ? -1 : dkv_secret_os_real()->guard(memory, len);
}

static int fake_lock(void *memory, size_t len)
{
    return fails(CALL_LOCK) ? -1 : dkv_secret_os_real()->lock(memory, len);
}

static int fake_advise(void *memory, size_t len, int advice)
{
    return fails(CALL_ADVISE) ? -1 : dkv_secret_os_real()->advise(memory, len, advice);
}

static size_t fake_lock_limit(void)
{
    return fake.lock_limit;
}

static const struct dkv_secret_os fake_os = {
    .map = fake_map,
    .unmap = fake_unmap,
    .guard = fake_guard,
    .lock = fake_lock,
    .advise = fake_advise,
    .lock_limit = fake_lock_limit,
};

static void use_fake(void)
{
    memset(&fake, 0, sizeof(fake));
    fake.lock_limit = SIZE_MAX;
    dkv_secret_os_use(&fake_os);
}

static void use_real(void)
{
    dkv_secret_os_use(NULL);
    for (size_t i = 0; i < fake.n_kept; i++) {
        munmap(fake.kept[i], fake.kept_len[i]);
    }
    fake.n_kept = 0;
}

/* ---- Lines that were logged ---- */

static char logged[1024];
static int warnings, debugs;

static void note_line(void *arg, enum dkv_log_level level, const char *line)
{
    (void)arg;
    warnings += level == DKV_LOG_WARNING;
    debugs += level == DKV_LOG_DEBUG;
    snprintf(logged, sizeof(logged), "%s", line);
}

static void listen(void)
{
    warnings = debugs = 0;
    logged[0] = '\0';
    dkv_set_log(note_line, NULL);
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static struct dkv_secret_memory_info info(void)
{
    struct dkv_secret_memory_info now;
    dkv_secret_memory(&now);
    return now;
}

/* ---- What is handed out ---- */

static void secrets_are_zeroed_aligned_and_apart(void)
{
    static const size_t lens[] = {1,    63,   64,   65,    96,    127,   128,   129,
                                  4095, 4096, 4097, 16384, 32768, 32769, 65535, 65536};
    struct dkv_error err = {0};
    struct dkv_secret secrets[3 * DKV_COUNT(lens)] = {{0}};

    for (size_t i = 0; i < DKV_COUNT(secrets); i++) {
        const size_t len = lens[i % DKV_COUNT(lens)];
        ASSERT_OK(dkv_secret_init(&secrets[i], len, &err));
        CU_ASSERT_EQUAL_FATAL(secrets[i].len, len);
        CU_ASSERT_EQUAL_FATAL((uintptr_t)secrets[i].data % 64, 0);
        CU_ASSERT_TRUE_FATAL(is_zero(secrets[i].data, len));
        memset(secrets[i].data, (int)i + 1, len);
    }

    for (size_t i = 0; i < DKV_COUNT(secrets); i++) {
        CU_ASSERT_EQUAL_FATAL(secrets[i].data[0], i + 1);
        CU_ASSERT_EQUAL_FATAL(secrets[i].data[secrets[i].len - 1], i + 1);
        dkv_secret_done(&secrets[i]);
        CU_ASSERT_FATAL(secrets[i].data == NULL && secrets[i].len == 0 && secrets[i].epoch == 0);
    }
    CU_ASSERT_EQUAL(info().in_use, 0);
}

static void a_length_of_none_or_too_much_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_secret secret = {0};

    ASSERT_RC(DKV_E_INVALID, dkv_secret_init(&secret, 0, &err));
    ASSERT_RC(DKV_E_INVALID, dkv_secret_init(&secret, DKV_SECRET_MAX + 1, &err));
    ASSERT_RC(DKV_E_INVALID, dkv_secret_init(&secret, SIZE_MAX, &err));
    CU_ASSERT_PTR_NULL(dkv_secret_alloc(0, &err));

    CU_ASSERT_PTR_NULL(secret.data);
    ASSERT_SAYS("65536");
}

static void what_is_given_back_is_wiped_and_zeroed_for_the_next(void)
{
    struct dkv_error err = {0};
    struct dkv_secret secret = {0};
    ASSERT_OK(dkv_secret_init(&secret, 96, &err));
    uint8_t *data = secret.data;
    memset(data, 0x5a, 128); /* the slot's slack as well */

    dkv_secret_done(&secret);
    CU_ASSERT_TRUE(is_zero(data, 128));
    data[5] = 1; /* a write after it was given back */

    ASSERT_OK(dkv_secret_init(&secret, 100, &err));
    CU_ASSERT_PTR_EQUAL(secret.data, data);
    CU_ASSERT_TRUE(is_zero(data, 128));
    dkv_secret_done(&secret);
}

static void pages_are_clean_before_they_are_unmapped(void)
{
    struct dkv_error err = {0};
    struct dkv_secret secrets[40] = {{0}};
    use_fake();
    for (size_t i = 0; i < DKV_COUNT(secrets); i++) {
        ASSERT_OK(dkv_secret_init(&secrets[i], 4096, &err));
        memset(secrets[i].data, 0xff, 4096);
    }
    for (size_t i = 0; i < DKV_COUNT(secrets); i++) {
        dkv_secret_done(&secrets[i]);
    }
    const size_t mapped = info().mapped;
    const size_t kept_before = fake.n_kept;

    dkv_secret_os_use(NULL);

    size_t seen = 0;
    const size_t page_len = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = kept_before; i < fake.n_kept; i++) {
        if (fake.kept_len[i] > 2 * page_len) {
            CU_ASSERT_TRUE(is_zero(fake.kept[i] + page_len, fake.kept_len[i] - 2 * page_len));
            seen += fake.kept_len[i] - 2 * page_len;
        }
    }
    CU_ASSERT_EQUAL(seen, mapped);
    CU_ASSERT(seen >= 40 * 4096);
    CU_ASSERT_EQUAL(fake.mapped, 0);
    use_real();
}

static void done_of_nothing_is_fine(void)
{
    struct dkv_secret secret = {0};

    dkv_secret_done(&secret);
    dkv_secret_free(NULL);

    CU_ASSERT_FALSE(dkv_secret_is_alive(&secret));
    CU_ASSERT_FALSE(dkv_secret_memory_is_alive(NULL));
}

static void alive_and_owned_are_those_that_are_out(void)
{
    struct dkv_error err = {0};
    struct dkv_secret secret = {0};
    uint8_t elsewhere[64] = {0};
    ASSERT_OK(dkv_secret_init(&secret, 96, &err));
    uint8_t *data = secret.data;

    CU_ASSERT_TRUE(dkv_secret_is_alive(&secret));
    CU_ASSERT_TRUE(dkv_secret_memory_is_alive(data));
    CU_ASSERT_TRUE(dkv_secret_owns(data, 96));
    CU_ASSERT_TRUE(dkv_secret_owns(data + 95, 1));
    CU_ASSERT_FALSE(dkv_secret_owns(data, 129));
    CU_ASSERT_FALSE(dkv_secret_owns(data + 1, 128));
    CU_ASSERT_FALSE(dkv_secret_owns(data, SIZE_MAX));
    CU_ASSERT_FALSE(dkv_secret_owns(elsewhere, 1));
    CU_ASSERT_FALSE(dkv_secret_owns(data - 65536, 1)); /* another chunk or none */

    dkv_secret_done(&secret);
    CU_ASSERT_FALSE(dkv_secret_owns(data, 1));
    CU_ASSERT_FALSE(dkv_secret_memory_is_alive(data));
}

static void a_secret_can_be_moved(void)
{
    struct dkv_error err = {0};
    struct dkv_secret from = {0}, to = {0};
    ASSERT_OK(dkv_secret_init(&from, 32, &err));
    from.data[0] = 7;

    dkv_secret_steal(&to, &from);

    CU_ASSERT_PTR_NULL(from.data);
    CU_ASSERT_EQUAL(dkv_secret_view(&to).len, 32);
    CU_ASSERT_EQUAL(dkv_secret_view(&to).data[0], 7);
    dkv_secret_done(&from);
    CU_ASSERT_TRUE(dkv_secret_is_alive(&to));
    dkv_secret_done(&to);
}

static void bare_pointers_work_alike(void)
{
    struct dkv_error err = {0};

    uint8_t *memory = (uint8_t *)dkv_secret_alloc(65536, &err);

    CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
    CU_ASSERT_TRUE(is_zero(memory, 65536));
    CU_ASSERT_TRUE(dkv_secret_memory_is_alive(memory));
    memset(memory, 1, 65536);
    dkv_secret_free(memory);
    CU_ASSERT_TRUE(is_zero(memory, 65536)); /* still mapped, for the next of its size */
    CU_ASSERT_EQUAL(info().in_use, 0);
}

/* ---- Limits ---- */

static void the_limit_is_told_and_room_given_back_is_used_again(void)
{
    static struct dkv_secret secrets[2000];
    const struct dkv_secret_options options = {.limit = 65536};
    struct dkv_error err = {0};
    size_t n = 0;
    use_fake();
    ASSERT_OK(dkv_secret_configure(&options, &err));

    while (n < DKV_COUNT(secrets) && dkv_secret_init(&secrets[n], 96, &err) == DKV_OK) {
        n++;
    }

    CU_ASSERT_EQUAL(n, 65536 / 128); /* the chunk that configure tried was given back for it */
    CU_ASSERT_EQUAL(err.rc, DKV_E_RESOURCE);
    ASSERT_SAYS("64 of 64 KiB are taken");
    ASSERT_SAYS("limit-kib");
    CU_ASSERT_EQUAL(info().mapped, 65536);
    CU_ASSERT_EQUAL(info().limit, 65536);
    CU_ASSERT_EQUAL(info().in_use, n * 128);
    dkv_secret_done(&secrets[3]);
    ASSERT_OK(dkv_secret_init(&secrets[3], 96, &err));
    for (size_t i = 0; i < n; i++) {
        dkv_secret_done(&secrets[i]);
    }
    use_real();
}

static void empty_chunks_make_room_for_other_sizes(void)
{
    const struct dkv_secret_options options = {.limit = 65536};
    struct dkv_error err = {0};
    struct dkv_secret secret = {0};
    use_fake();
    ASSERT_OK(dkv_secret_configure(&options, &err));

    for (size_t len = 64; len <= 65536; len *= 2) {
        ASSERT_OK(dkv_secret_init(&secret, len, &err));
        dkv_secret_done(&secret);
        CU_ASSERT_FATAL(info().mapped <= 65536);
    }

    ASSERT_OK(dkv_secret_init(&secret, 64, &err));
    struct dkv_secret large = {0};
    ASSERT_RC(DKV_E_RESOURCE, dkv_secret_init(&large, 65536, &err));
    dkv_secret_done(&secret);
    ASSERT_OK(dkv_secret_init(&large, 65536, &err));
    dkv_secret_done(&large);
    use_real();
}

static void the_system_limit_binds_when_it_is_lower(void)
{
    const struct dkv_secret_options options = {.limit = 1 << 20};
    struct dkv_error err = {0};
    struct dkv_secret secrets[2] = {{0}};
    use_fake();
    fake.lock_limit = 100000;
    ASSERT_OK(dkv_secret_configure(&options, &err));

    ASSERT_OK(dkv_secret_init(&secrets[0], 65536, &err));
    ASSERT_RC(DKV_E_RESOURCE, dkv_secret_init(&secrets[1], 65536, &err));

    CU_ASSERT_EQUAL(info().limit, 100000);
    ASSERT_SAYS("ulimit -l");
    ASSERT_SAYS("LimitMEMLOCK=");
    ASSERT_SAYS("memory: allow-unlocked: true");
    CU_ASSERT_PTR_NULL(secrets[1].data);
    dkv_secret_done(&secrets[0]);
    use_real();
}

static void a_limit_of_nothing_is_told_by_configure(void)
{
    const struct dkv_secret_options options = {0};
    struct dkv_error err = {0};
    use_fake();
    fake.lock_limit = 0;

    ASSERT_RC(DKV_E_RESOURCE, dkv_secret_configure(&options, &err));

    ASSERT_SAYS("0 of 0 KiB");
    ASSERT_SAYS("ulimit -l");
    use_real();
}

static void options_are_only_tightened_while_secrets_are_out(void)
{
    const struct dkv_secret_options narrow = {.limit = 128 << 10}, wide = {.limit = 1 << 20, .allow_unlocked = true};
    const struct dkv_secret_options none = {0}, narrower = {.limit = 64 << 10};
    struct dkv_error err = {0};
    struct dkv_secret secret = {0};
    use_fake();
    fake.lock_limit = 1 << 24;
    ASSERT_OK(dkv_secret_configure(&narrow, &err));
    ASSERT_OK(dkv_secret_init(&secret, 64, &err));

    ASSERT_OK(dkv_secret_configure(&wide, &err));
    CU_ASSERT_EQUAL(info().limit, 128 << 10);
    fake.fail_at[CALL_LOCK] = -1;
    CU_ASSERT_PTR_NULL(dkv_secret_alloc(4096, &err));
    ASSERT_SAYS("can't be locked");
    fake.fail_at[CALL_LOCK] = 0;
    ASSERT_OK(dkv_secret_configure(&none, &err));
    CU_ASSERT_EQUAL(info().limit, 128 << 10);
    ASSERT_OK(dkv_secret_configure(&narrower, &err));
    CU_ASSERT_EQUAL(info().limit, 64 << 10);

    dkv_secret_done(&secret);
    ASSERT_OK(dkv_secret_configure(&wide, &err));
    CU_ASSERT_EQUAL(info().limit, 1 << 20);
    use_real();
}

static void configure_says_how_much_may_be_locked(void)
{
    const struct dkv_secret_options options = {.limit = 1 << 20};
    struct dkv_error err = {0};
    use_fake();
    listen();

    ASSERT_OK(dkv_secret_configure(&options, &err));
    CU_ASSERT_STRING_EQUAL(logged, "secret memory: 1024 KiB at most");
    ASSERT_OK(dkv_secret_configure(&(struct dkv_secret_options){0}, &err));
    CU_ASSERT_STRING_EQUAL(logged, "secret memory: no limit");

    CU_ASSERT(debugs == 2 && warnings == 0);
    dkv_set_log(NULL, NULL);
    use_real();
}

/* ---- A system that refuses ---- */

static void memory_that_cannot_be_locked_is_refused_with_the_remedy(void)
{
    struct dkv_error err = {0};
    struct dkv_secret secret = {0};
    use_fake();
    fake.fail_at[CALL_LOCK] = -1;

    ASSERT_RC(DKV_E_RESOURCE, dkv_secret_init(&secret, 96, &err));

    ASSERT_SAYS("can't be locked: Operation not permitted");
    ASSERT_SAYS("ulimit -l");
    ASSERT_SAYS("LimitMEMLOCK=");
    ASSERT_SAYS("memory: allow-unlocked: true in the provider file");
    CU_ASSERT_EQUAL(err.native_code, EPERM);
    CU_ASSERT_PTR_NULL(secret.data);
    CU_ASSERT_EQUAL(info().mapped, 0);
    CU_ASSERT_EQUAL(fake.mapped, (size_t)sysconf(_SC_PAGESIZE)); /* the epoch word's page alone */
    use_real();
}

static void unlocked_memory_that_is_allowed_is_warned_of_once(void)
{
    const struct dkv_secret_options options = {.allow_unlocked = true};
    struct dkv_error err = {0};
    struct dkv_secret secrets[2] = {{0}};
    use_fake();
    fake.fail_at[CALL_LOCK] = -1;
    fake.lock_limit = 0;
    listen();

    ASSERT_OK(dkv_secret_configure(&options, &err));
    ASSERT_OK(dkv_secret_init(&secrets[0], 96, &err));
    ASSERT_OK(dkv_secret_init(&secrets[1], 9000, &err));

    CU_ASSERT_EQUAL(warnings, 1);
    CU_ASSERT_FALSE(info().locked);
    CU_ASSERT_EQUAL(info().limit, SIZE_MAX);
    ASSERT_RC(DKV_E_RESOURCE, dkv_secret_configure(&(struct dkv_secret_options){0}, &err));
    ASSERT_SAYS("unlocked memory already");
    void *more = dkv_secret_alloc(512, &err); /* the old options stand */
    CU_ASSERT_PTR_NOT_NULL(more);
    dkv_secret_free(more);
    dkv_secret_done(&secrets[0]);
    dkv_secret_done(&secrets[1]);
    ASSERT_RC(DKV_E_RESOURCE, dkv_secret_configure(&(struct dkv_secret_options){0}, &err));
    fake.lock_limit = SIZE_MAX;
    fake.fail_at[CALL_LOCK] = 0;
    ASSERT_OK(dkv_secret_configure(&(struct dkv_secret_options){0}, &err));
    CU_ASSERT_TRUE(info().locked);
    dkv_set_log(NULL, NULL);
    use_real();
}

static void memory_that_others_locked_makes_us_ask_for_less(void)
{
    struct dkv_error err = {0};
    struct dkv_secret secret = {0};
    use_fake();
    fake.fail_at[CALL_LOCK] = 1;

    ASSERT_OK(dkv_secret_init(&secret, 96, &err));

    CU_ASSERT_EQUAL(err.rc, DKV_OK);
    CU_ASSERT_EQUAL(info().mapped, (size_t)sysconf(_SC_PAGESIZE));
    dkv_secret_done(&secret);
    use_real();
}

static enum dkv_rc take_one(void *arg, struct dkv_error *err)
{
    (void)arg;
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret secret = {0};
    return dkv_secret_init(&secret, 65536, err);
}

/* Each call of each kind in turn; of 65536 bytes, since for less there is a second try. */
static void every_refusal_of_the_system_is_told_and_leaves_nothing(void)
{
    static const int calls[N_CALLS] = {[CALL_MAP] = 2, [CALL_GUARD] = 2, [CALL_LOCK] = 1, [CALL_ADVISE] = 3};
    for (size_t call = 0; call < N_CALLS; call++) {
        for (int at = 1; at <= calls[call] + 1; at++) {
            struct dkv_error err = {0};
            use_fake();
            fake.fail_at[call] = at;
            ASSERT_RC(at <= calls[call] ? DKV_E_RESOURCE : DKV_OK, take_one(NULL, &err));
            CU_ASSERT_EQUAL_FATAL(err.native_system, at <= calls[call] ? DKV_NATIVE_ERRNO : DKV_NATIVE_NONE);
            ASSERT_OK(take_one(NULL, &err));
            use_real();
            CU_ASSERT_EQUAL_FATAL(fake.mapped, 0);
        }
    }
}

static enum dkv_rc take_one_anew(void *arg, struct dkv_error *err)
{
    use_fake();
    const enum dkv_rc rc = take_one(arg, err);
    use_real();
    return rc;
}

static void each_failing_allocation_is_told(void)
{
    CU_ASSERT_EQUAL(dkv_test_each_alloc_fails(take_one_anew, NULL), 2);
}

static void failures_work_without_an_error_to_fill(void)
{
    use_fake();
    fake.fail_at[CALL_LOCK] = -1;

    CU_ASSERT_PTR_NULL(dkv_secret_alloc(96, NULL));
    fake.lock_limit = 0;
    CU_ASSERT_PTR_NULL(dkv_secret_alloc(96, NULL));

    use_real();
}

/* ---- Many, from many threads ---- */

static void many_secrets_are_found_again(void)
{
    enum { N = 3000 };
    static struct dkv_secret secrets[N];
    struct dkv_error err = {0};
    if (dkv_secret_os_real()->lock_limit() < (size_t)8 << 20) {
        dkv_test_skip("less than 8 MiB may be locked");
        return;
    }
    for (size_t i = 0; i < N; i++) {
        ASSERT_OK(dkv_secret_init(&secrets[i], 1025, &err));
        memcpy(secrets[i].data, &i, sizeof(i));
    }
    for (size_t i = 0; i < N; i += 2) {
        dkv_secret_done(&secrets[i]);
    }
    for (size_t i = 1; i < N; i += 2) {
        CU_ASSERT_EQUAL_FATAL(memcmp(secrets[i].data, &i, sizeof(i)), 0);
        dkv_secret_done(&secrets[i]);
    }
    CU_ASSERT_EQUAL(info().in_use, 0);
    dkv_secret_os_use(NULL);
}

#define THREADS 8

static void *hammer(void *arg)
{
    struct dkv_secret secrets[16] = {{0}};
    uint32_t random = *(const uint32_t *)arg * 2654435761U + 1;
    size_t wrong = 0;
    for (int i = 0; i < 4000; i++) {
        random = random * 1664525U + 1013904223U;
        struct dkv_secret *secret = &secrets[random >> 28];
        const uint8_t mark = (uint8_t)(1U + *(const uint32_t *)arg);
        if (secret->data != NULL) {
            wrong += secret->data[0] != mark || secret->data[secret->len - 1] != mark || !dkv_secret_is_alive(secret);
            dkv_secret_done(secret);
        } else if (dkv_secret_init(secret, 1 + (random >> 8) % 3000, NULL) == DKV_OK) {
            wrong += !is_zero(secret->data, secret->len);
            memset(secret->data, mark, secret->len);
        } else {
            wrong++;
        }
    }
    for (size_t i = 0; i < DKV_COUNT(secrets); i++) {
        dkv_secret_done(&secrets[i]);
    }
    return wrong == 0 ? arg : NULL;
}

static void threads_do_not_get_in_each_others_way(void)
{
    pthread_t threads[THREADS];
    uint32_t numbers[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, hammer, &numbers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *result = NULL;
        CU_ASSERT_EQUAL_FATAL(pthread_join(threads[i], &result), 0);
        CU_ASSERT_PTR_NOT_NULL(result);
    }
    CU_ASSERT_EQUAL(info().in_use, 0);
}

static const struct dkv_test tests[] = {
    DKV_TEST(secrets_are_zeroed_aligned_and_apart),
    DKV_TEST(a_length_of_none_or_too_much_is_refused),
    DKV_TEST(what_is_given_back_is_wiped_and_zeroed_for_the_next),
    DKV_TEST(pages_are_clean_before_they_are_unmapped),
    DKV_TEST(done_of_nothing_is_fine),
    DKV_TEST(alive_and_owned_are_those_that_are_out),
    DKV_TEST(a_secret_can_be_moved),
    DKV_TEST(bare_pointers_work_alike),
    DKV_TEST(the_limit_is_told_and_room_given_back_is_used_again),
    DKV_TEST(empty_chunks_make_room_for_other_sizes),
    DKV_TEST(the_system_limit_binds_when_it_is_lower),
    DKV_TEST(a_limit_of_nothing_is_told_by_configure),
    DKV_TEST(options_are_only_tightened_while_secrets_are_out),
    DKV_TEST(configure_says_how_much_may_be_locked),
    DKV_TEST(memory_that_cannot_be_locked_is_refused_with_the_remedy),
    DKV_TEST(unlocked_memory_that_is_allowed_is_warned_of_once),
    DKV_TEST(memory_that_others_locked_makes_us_ask_for_less),
    DKV_TEST(every_refusal_of_the_system_is_told_and_leaves_nothing),
    DKV_TEST(each_failing_allocation_is_told),
    DKV_TEST(failures_work_without_an_error_to_fill),
    DKV_TEST(many_secrets_are_found_again),
    DKV_TEST(threads_do_not_get_in_each_others_way),
};

int main(int argc, char **argv)
{
    if (dkv_secret_os_real()->lock_limit() < (size_t)1 << 20) {
        printf("1..0 # SKIP less than 1 MiB may be locked (ulimit -l)\n");
        return 0;
    }
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
