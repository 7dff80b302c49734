/* SPDX-License-Identifier: Apache-2.0 */
/* base/log.h, base/clock.h and the version: what reaches a log sink, also in a forked child. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "tests/lib/test.h"

static char last[2048];
static enum dkv_log_level last_level;
static int *last_arg;
static atomic_int lines, mixed;

static void keep(void *arg, enum dkv_log_level level, const char *line)
{
    last_level = level;
    last_arg = (int *)arg;
    snprintf(last, sizeof(last), "%s", line);
    atomic_fetch_add(&lines, 1);
}

static void lines_reach_the_sink_with_its_argument(void)
{
    int mine = 0;
    dkv_set_log(keep, &mine);

    dkv_log(DKV_LOG_NOTICE, "slot %d: %s", 4, "gone");

    CU_ASSERT_STRING_EQUAL(last, "slot 4: gone");
    CU_ASSERT_EQUAL(last_level, DKV_LOG_NOTICE);
    CU_ASSERT_PTR_EQUAL(last_arg, &mine);
    dkv_set_log(NULL, NULL);
}

static void without_a_sink_lines_go_nowhere(void)
{
    dkv_set_log(keep, NULL);
    dkv_set_log(NULL, NULL);
    atomic_store(&lines, 0);

    dkv_log(DKV_LOG_WARNING, "unheard");

    CU_ASSERT_EQUAL(atomic_load(&lines), 0);
}

static void a_line_stays_one_line_of_text(void)
{
    char text[3000];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    dkv_set_log(keep, NULL);

    dkv_log(DKV_LOG_DEBUG, "label %s end", "x\nforged\x1b[2J\xff");
    CU_ASSERT_STRING_EQUAL(last, "label x?forged?[2J? end");
    dkv_log(DKV_LOG_DEBUG, "%s", text);
    CU_ASSERT_EQUAL(strlen(last), 1023);

    dkv_set_log(NULL, NULL);
}

/* Each sink's argument is its own name. */
static void sink_a(void *arg, enum dkv_log_level level, const char *line)
{
    (void)level;
    (void)line;
    atomic_fetch_add(&mixed, *(const char *)arg != 'a');
}

static void sink_b(void *arg, enum dkv_log_level level, const char *line)
{
    (void)level;
    (void)line;
    atomic_fetch_add(&mixed, *(const char *)arg != 'b');
}

static atomic_bool stop;

static void *change_sinks(void *arg)
{
    static char a = 'a', b = 'b';
    while (!atomic_load(&stop)) {
        dkv_set_log(sink_a, &a);
        dkv_set_log(sink_b, &b);
    }
    return arg;
}

static void a_sink_never_gets_anothers_argument_and_children_can_log(void)
{
    pthread_t thread;
    atomic_store(&stop, false);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, change_sinks, NULL), 0);

    for (int i = 0; i < 20000; i++) {
        dkv_log(DKV_LOG_DEBUG, "x");
    }
    int good = 0, status = 0;
    for (bool is_good = true; is_good && good < 50; good += is_good) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(30);
            dkv_log(DKV_LOG_DEBUG, "x");
            dkv_set_log(NULL, NULL);
            _exit(0);
        }
        is_good = child > 0 && waitpid(child, &status, 0) == child && status == 0;
    }
    atomic_store(&stop, true);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    dkv_set_log(NULL, NULL);

    CU_ASSERT_EQUAL(good, 50);
    CU_ASSERT_EQUAL(atomic_load(&mixed), 0);
}

static void clocks_tell_milliseconds(void)
{
    const int64_t wall = dkv_clock_real.wall_ms(), monotonic = dkv_clock_real.monotonic_ms();

    usleep(20000);

    const int64_t passed = dkv_clock_real.monotonic_ms() - monotonic;
    CU_ASSERT(passed >= 20 && passed < 20000);
    CU_ASSERT(wall > INT64_C(1700000000000) && wall < INT64_C(10000000000000));
}

static void the_version_is_three_numbers(void)
{
    unsigned numbers[3];
    char rest;
    CU_ASSERT_EQUAL(sscanf(dkv_version(), "%u.%u.%u%c", &numbers[0], &numbers[1], &numbers[2], &rest), 3);
}

static const struct dkv_test tests[] = {
    DKV_TEST(lines_reach_the_sink_with_its_argument),
    DKV_TEST(without_a_sink_lines_go_nowhere),
    DKV_TEST(a_line_stays_one_line_of_text),
    DKV_TEST(a_sink_never_gets_anothers_argument_and_children_can_log),
    DKV_TEST(clocks_tell_milliseconds),
    DKV_TEST(the_version_is_three_numbers),
};

int main(int argc, char **argv)
{
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
