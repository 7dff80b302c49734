/* SPDX-License-Identifier: Apache-2.0 */
/* The progress line: what it says, when it is drawn, and that it is gone afterwards. Standard error is a file here, so
 * the line is switched on by hand, with a clock that the test sets. */
#include <stdio.h>
#include <unistd.h>

#include "cli/progress.h"
#include "tests/lib/test.h"

static int64_t now_ms;

static int64_t set_ms(void)
{
    return now_ms;
}

static const struct dkv_clock clock_set = {.monotonic_ms = set_ms};

static struct dkv_progress begin(uint64_t total, size_t width)
{
    now_ms = 50000;
    return (struct dkv_progress){
        .active = true,
        .clock = &clock_set,
        .doing = "copying",
        .total = total,
        .width = width,
        .started_ms = now_ms,
    };
}

/* ---- What it says ---- */

static void assert_line(uint64_t total, uint64_t done, int64_t elapsed_ms, const char *expected)
{
    const struct dkv_progress progress = begin(total, 80);
    char line[DKV_PROGRESS_LINE];
    dkv_progress_line(&progress, done, progress.started_ms + elapsed_ms, line);
    CU_ASSERT_STRING_EQUAL(line, expected);
    if (strcmp(line, expected) != 0) {
        printf("# %s\n", line);
    }
}

static void the_line_has_counts_percentage_speed_and_time_left(void)
{
    assert_line(5000, 1200, 1000, "copying: 1200 of 5000 keys (24%), 1200 keys/s, 3 s left");
    assert_line(5000, 5000, 2000, "copying: 5000 of 5000 keys (100%), 2500 keys/s, 0 s left");
    assert_line(1000000, 100000, 100000, "copying: 100000 of 1000000 keys (10%), 1000 keys/s, 15 min left");
    assert_line(1000000, 1000, 100000, "copying: 1000 of 1000000 keys (0%), 10 keys/s, 28 h left");
}

static void without_a_total_there_is_no_percentage(void)
{
    assert_line(0, 1200, 1000, "copying: 1200 keys, 1200 keys/s");
}

static void more_than_was_counted_is_all_there_is(void)
{
    assert_line(10, 12, 1000, "copying: 12 of 12 keys (100%), 12 keys/s, 0 s left");
}

static void nothing_done_in_no_time_says_nothing_of_the_time_left(void)
{
    assert_line(10, 0, 0, "copying: 0 of 10 keys (0%), 0 keys/s");
    assert_line(10, 0, 5000, "copying: 0 of 10 keys (0%), 0 keys/s");
    assert_line(UINT64_MAX, UINT64_MAX, 1,
                "copying: 18446744073709551615 of 18446744073709551615 keys (100%), 18446744073709551616000 keys/s, "
                "0 s left");
}

/* ---- When it is drawn ---- */

static int saved_stderr;

static void catch_stderr(void)
{
    fflush(stderr);
    saved_stderr = dup(STDERR_FILENO);
    CU_ASSERT_PTR_NOT_NULL_FATAL(freopen(dkv_test_path("stderr"), "w", stderr));
}

/* What was written since; at most 511 bytes. */
static void read_stderr(char text[static 512])
{
    fflush(stderr);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    FILE *file = fopen(dkv_test_path("stderr"), "re");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    text[fread(text, 1, 511, file)] = '\0';
    fclose(file);
}

static void nothing_is_drawn_in_the_first_second(void)
{
    struct dkv_progress progress = begin(10, 80);
    char text[512];
    catch_stderr();

    now_ms += 999;
    dkv_progress_show(&progress, 5);
    dkv_progress_clear(&progress);

    read_stderr(text);
    CU_ASSERT_STRING_EQUAL(text, "");
}

static void the_line_is_redrawn_five_times_a_second_at_most_and_cleared(void)
{
    struct dkv_progress progress = begin(1000, 80);
    char text[512];
    catch_stderr();

    now_ms += 1000;
    dkv_progress_show(&progress, 100);
    now_ms += 199;
    dkv_progress_show(&progress, 101);
    now_ms += 1;
    dkv_progress_show(&progress, 120);
    dkv_progress_clear(&progress);
    dkv_progress_clear(&progress);

    read_stderr(text);
    CU_ASSERT_STRING_EQUAL(text, "\rcopying: 100 of 1000 keys (10%), 100 keys/s, 9 s left"
                                 "\rcopying: 120 of 1000 keys (12%), 100 keys/s, 8 s left"
                                 "\r                                                     \r");
}

static void a_shorter_line_leaves_nothing_of_a_longer_one(void)
{
    struct dkv_progress progress = begin(1000, 80);
    char text[512];
    catch_stderr();

    now_ms += 1000;
    dkv_progress_show(&progress, 1);
    now_ms += 99000;
    dkv_progress_show(&progress, 999);

    read_stderr(text);
    CU_ASSERT_STRING_EQUAL(text, "\rcopying: 1 of 1000 keys (0%), 1 keys/s, 17 min left"
                                 "\rcopying: 999 of 1000 keys (100%), 10 keys/s, 0 s left");
}

static void a_narrow_terminal_is_not_overrun(void)
{
    struct dkv_progress progress = begin(1000, 12);
    char text[512];
    catch_stderr();

    now_ms += 1000;
    dkv_progress_show(&progress, 100);

    read_stderr(text);
    CU_ASSERT_STRING_EQUAL(text, "\rcopying: 10");
}

static void nothing_is_drawn_where_standard_error_is_no_terminal(void)
{
    const struct dkv_output out = {.fd = STDOUT_FILENO};
    struct dkv_progress progress = {0};
    char text[512];
    catch_stderr();

    dkv_progress_begin(&progress, &out, "copying");
    progress.clock = &clock_set;
    now_ms = progress.started_ms + 60000;
    dkv_progress_show(&progress, 5);
    dkv_progress_clear(&progress);

    read_stderr(text);
    CU_ASSERT_FALSE(progress.active);
    CU_ASSERT_STRING_EQUAL(text, "");
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(the_line_has_counts_percentage_speed_and_time_left),
        DKV_TEST(without_a_total_there_is_no_percentage),
        DKV_TEST(more_than_was_counted_is_all_there_is),
        DKV_TEST(nothing_done_in_no_time_says_nothing_of_the_time_left),
        DKV_TEST(nothing_is_drawn_in_the_first_second),
        DKV_TEST(the_line_is_redrawn_five_times_a_second_at_most_and_cleared),
        DKV_TEST(a_shorter_line_leaves_nothing_of_a_longer_one),
        DKV_TEST(a_narrow_terminal_is_not_overrun),
        DKV_TEST(nothing_is_drawn_where_standard_error_is_no_terminal),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
