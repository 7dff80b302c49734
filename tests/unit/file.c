/* SPDX-License-Identifier: Apache-2.0 */
/* base/file.h: who may own and write what is trusted, and secret files. The cases that need another owner run as
 * root. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/test.h"

#define NOBODY 65534

static void make_folder(const char *path, mode_t mode)
{
    CU_ASSERT_TRUE_FATAL(mkdir(path, mode) == 0 || errno == EEXIST);
    CU_ASSERT_EQUAL_FATAL(chmod(path, mode), 0);
}

/* ---- Trusted files ---- */

static void a_file_of_ones_own_is_opened_and_read(void)
{
    struct dkv_error err = {0};
    struct stat info;
    int fd = -1;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
    const char *path = dkv_test_write("good", "hello", 5, 0644);

    ASSERT_OK(dkv_file_open_trusted(path, &fd, &info, &err));

    CU_ASSERT_EQUAL(info.st_size, 5);
    CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ASSERT_OK(dkv_file_read(fd, path, 5, &text, &err));
    CU_ASSERT_TRUE(dkv_span_equal(dkv_span_buf(&text), dkv_span_str("hello")));
    dkv_fd_close(&fd);
}

static void assert_untrusted(const char *path, enum dkv_rc rc, const char *says)
{
    struct dkv_error err = {0};
    struct stat info = {.st_size = 4711};
    int fd = -7;
    ASSERT_RC(rc, dkv_file_open_trusted(path, &fd, &info, &err));
    if (strstr(err.message, says) == NULL) {
        printf("# says: %s\n", err.message);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, says));
    CU_ASSERT_EQUAL(fd, -7);
    CU_ASSERT_EQUAL(info.st_size, 4711);
}

static void a_file_that_others_may_write_is_refused_with_the_chmod(void)
{
    static const mode_t modes[] = {0620, 0602, 0666, 0777, 02664};
    for (size_t i = 0; i < DKV_COUNT(modes); i++) {
        assert_untrusted(dkv_test_write("loose", "x", 1, modes[i]), DKV_E_CONFIG, "chmod go-w '");
    }
    assert_untrusted(dkv_test_write("loose", "x", 1, 0664), DKV_E_CONFIG, "(mode 0664)");
}

static void a_file_in_a_folder_that_others_may_write_is_refused(void)
{
    static const mode_t modes[] = {0770, 0707, 01777};
    const char *folder = dkv_test_path("folder");
    make_folder(folder, 0700);
    const char *file = dkv_test_write("folder/file", "x", 1, 0600);
    for (size_t i = 0; i < DKV_COUNT(modes); i++) {
        make_folder(folder, modes[i]);
        assert_untrusted(file, DKV_E_CONFIG, "the folder ");
    }
    assert_untrusted(file, DKV_E_CONFIG, "(mode 1777), sticky or not: chmod go-w");
    make_folder(folder, 0755);
    assert_untrusted(dkv_test_path("folder/none"), DKV_E_NOT_FOUND, "folder/none");
}

static void a_link_is_judged_where_it_lies_and_where_it_leads(void)
{
    struct dkv_error err = {0};
    struct stat info;
    int fd = -1;
    make_folder(dkv_test_path("open"), 0777);
    make_folder(dkv_test_path("closed"), 0700);
    const char *target = dkv_test_write("closed/target", "x", 1, 0600);
    const char *good = dkv_test_path("link-good"), *bad = dkv_test_path("open/link");
    CU_ASSERT_EQUAL_FATAL(symlink(target, good), 0);
    CU_ASSERT_EQUAL_FATAL(symlink(target, bad), 0);

    ASSERT_OK(dkv_file_open_trusted(good, &fd, &info, &err));
    dkv_fd_close(&fd);
    assert_untrusted(bad, DKV_E_CONFIG, "/open can be written");

    const char *loose = dkv_test_write("open/loose", "x", 1, 0600);
    const char *to_loose = dkv_test_path("link-to-loose");
    CU_ASSERT_EQUAL_FATAL(symlink(loose, to_loose), 0);
    assert_untrusted(to_loose, DKV_E_CONFIG, "/open can be written");
}

static void what_is_no_regular_file_is_refused_at_once(void)
{
    const char *fifo = dkv_test_path("fifo");
    CU_ASSERT_EQUAL_FATAL(mkfifo(fifo, 0600), 0);
    alarm(10); /* a hang ends the program */

    assert_untrusted(fifo, DKV_E_CONFIG, "no regular file");
    assert_untrusted(dkv_test_dir(), DKV_E_CONFIG, ""); /* its folder may be /tmp */
    assert_untrusted("/", DKV_E_CONFIG, "no regular file");
    assert_untrusted("/dev/null", DKV_E_CONFIG, "no regular file");
    alarm(0);
}

static void paths_that_lead_nowhere_are_not_found(void)
{
    char *deep = malloc(PATH_MAX + 10);
    CU_ASSERT_PTR_NOT_NULL_FATAL(deep);
    memset(deep, 'a', PATH_MAX + 9);
    deep[PATH_MAX + 9] = '\0';
    const char *file = dkv_test_write("plain", "x", 1, 0600), *loop = dkv_test_path("loop");
    char below[PATH_MAX];
    snprintf(below, sizeof(below), "%s/x", file);
    CU_ASSERT_EQUAL_FATAL(symlink(loop, loop), 0);

    assert_untrusted("", DKV_E_NOT_FOUND, "");
    assert_untrusted(below, DKV_E_NOT_FOUND, "plain/x");
    assert_untrusted(loop, DKV_E_CONFIG, "loop");
    assert_untrusted(deep, DKV_E_CONFIG, "aaaa");
    free(deep);
}

static void a_relative_path_is_judged_in_the_current_folder(void)
{
    struct dkv_error err = {0};
    struct stat info;
    int fd = -1;
    char before[PATH_MAX];
    make_folder(dkv_test_path("here"), 0700);
    (void)dkv_test_write("here/file", "x", 1, 0600);
    CU_ASSERT_TRUE_FATAL(getcwd(before, sizeof(before)) != NULL && chdir(dkv_test_path("here")) == 0);

    const enum dkv_rc rc = dkv_file_open_trusted("file", &fd, &info, &err);
    dkv_fd_close(&fd);
    make_folder(".", 0777);
    const enum dkv_rc rc_open = dkv_file_open_trusted("file", &fd, &info, &err);

    CU_ASSERT_EQUAL_FATAL(chdir(before), 0);
    CU_ASSERT_EQUAL(rc, DKV_OK);
    CU_ASSERT_EQUAL(rc_open, DKV_E_CONFIG);
}

static void a_file_or_folder_of_another_owner_is_refused_with_the_chown(void)
{
    if (geteuid() != 0) {
        dkv_test_skip("needs root");
        return;
    }
    const char *file = dkv_test_write("theirs", "x", 1, 0600);
    CU_ASSERT_EQUAL_FATAL(chown(file, NOBODY, NOBODY), 0);
    make_folder(dkv_test_path("their-folder"), 0755);
    const char *in_folder = dkv_test_write("their-folder/file", "x", 1, 0600);
    CU_ASSERT_EQUAL_FATAL(chown(dkv_test_path("their-folder"), NOBODY, NOBODY), 0);

    assert_untrusted(file, DKV_E_CONFIG, "belongs to uid 65534");
    assert_untrusted(file, DKV_E_CONFIG, "chown 0 '");
    assert_untrusted(in_folder, DKV_E_CONFIG, "their-folder belongs to uid 65534");
}

/* ---- Files to be loaded ---- */

static void code_to_be_loaded_is_judged_on_its_resolved_path(void)
{
    struct dkv_error err = {0};
    char resolved[PATH_MAX] = "", expected[PATH_MAX];
    const char *module = dkv_test_write("module.so", "x", 1, 0755), *link = dkv_test_path("module-link.so");
    CU_ASSERT_EQUAL_FATAL(symlink("module.so", link), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(realpath(module, expected));

    ASSERT_OK(dkv_file_judge_loadable(link, resolved, &err));

    CU_ASSERT_STRING_EQUAL(resolved, expected);
}

static void code_that_others_may_write_or_that_is_not_there_is_refused(void)
{
    struct dkv_error err = {0};
    char resolved[PATH_MAX] = "untouched";

    ASSERT_RC(DKV_E_CONFIG, dkv_file_judge_loadable(dkv_test_write("loose.so", "x", 1, 0775), resolved, &err));
    ASSERT_SAYS("chmod go-w");
    ASSERT_RC(DKV_E_CONFIG, dkv_file_judge_loadable("/nonexistent/module.so", resolved, &err));
    CU_ASSERT_EQUAL(err.rc, DKV_E_CONFIG);
    ASSERT_SAYS("/nonexistent/module.so");
    ASSERT_RC(DKV_E_CONFIG, dkv_file_judge_loadable("module.so", resolved, &err));
    ASSERT_SAYS("absolute");
    CU_ASSERT_STRING_EQUAL(resolved, "untouched");
}

/* ---- Reading ---- */

static void a_file_over_the_limit_is_refused_and_one_of_just_that_length_is_read(void)
{
    struct dkv_error err = {0};
    static uint8_t bytes[20000];
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
    const char *path = dkv_test_write("long", bytes, sizeof(bytes), 0600);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    ASSERT_RC(DKV_E_CONFIG, dkv_file_read(fd, path, sizeof(bytes) - 1, &text, &err));
    ASSERT_SAYS("longer than the 19999 bytes");
    CU_ASSERT_PTR_NULL(text.data);
    CU_ASSERT_EQUAL_FATAL(lseek(fd, 0, SEEK_SET), 0);
    ASSERT_OK(dkv_file_read(fd, path, sizeof(bytes), &text, &err));

    CU_ASSERT_EQUAL(text.len, sizeof(bytes));
    close(fd);
    ASSERT_RC(DKV_E_INTERNAL, dkv_file_read(-1, path, 10, &text, &err));
    CU_ASSERT_EQUAL(err.native_code, EBADF);
}

static enum dkv_rc open_and_read(void *arg, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_fd_close) int fd = -1;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf text = {0};
    struct stat info;
    DKV_TRY(dkv_file_open_trusted((const char *)arg, &fd, &info, err));
    return dkv_file_read(fd, (const char *)arg, 100, &text, err);
}

static void each_failing_allocation_is_an_error(void)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s", dkv_test_write("good", "hello", 5, 0644));
    CU_ASSERT_TRUE(dkv_test_each_alloc_fails(open_and_read, path) >= 1);
}

/* ---- Secret files ---- */

static void a_secret_file_goes_into_secret_memory(void)
{
    struct dkv_error err = {0};
    struct stat info = {0};
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret pin = {0};

    ASSERT_OK(dkv_secret_file_read(dkv_test_write("pin", "1234\n", 5, 0600), false, 5, &pin, &info, &err));

    CU_ASSERT_EQUAL(pin.len, 5);
    CU_ASSERT_TRUE(dkv_secret_owns(pin.data, pin.len));
    CU_ASSERT_EQUAL(memcmp(pin.data, "1234\n", 5), 0);
    CU_ASSERT_EQUAL(dkv_secret_trimmed_len(&pin), 4);
    CU_ASSERT_TRUE(info.st_ino != 0 && info.st_size == 5);
}

static void assert_secret_refused(const char *path, bool allow_group_read, const char *says)
{
    struct dkv_error err = {0};
    struct dkv_secret pin = {0};
    ASSERT_RC(DKV_E_CONFIG, dkv_secret_file_read(path, allow_group_read, 8, &pin, NULL, &err));
    CU_ASSERT_EQUAL(err.rc, DKV_E_CONFIG);
    if (strstr(err.message, says) == NULL) {
        printf("# says: %s\n", err.message);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, says));
    CU_ASSERT_PTR_NULL(pin.data);
    CU_ASSERT_PTR_NULL(strstr(err.message, "1234"));
}

static const char *pin_file(unsigned mode)
{
    return dkv_test_write("pin", "1234", 4, mode);
}

static void a_secret_file_that_is_open_to_anybody_else_is_refused(void)
{
    assert_secret_refused(pin_file(0604), false, "is open to others (mode 0604): chmod go= '");
    assert_secret_refused(pin_file(0602), false, "open to others");
    assert_secret_refused(pin_file(0640), false, "or set allow-group-read: true");
    assert_secret_refused(pin_file(0620), true, "is open to its group (mode 0620): chmod g-wx,o= '");
    assert_secret_refused(pin_file(0660), true, "open to its group");
    assert_secret_refused(pin_file(0644), true, "open to others");
    assert_secret_refused(pin_file(0610), true, "open to its group");
}

static void group_read_is_allowed_where_the_provider_file_says_so(void)
{
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret pin = {0};

    ASSERT_OK(dkv_secret_file_read(pin_file(0440), true, 8, &pin, NULL, &err));

    CU_ASSERT_EQUAL(pin.len, 4);
}

static void a_secret_file_that_is_empty_long_absent_or_none_is_refused(void)
{
    const char *fifo = dkv_test_path("pin-fifo");
    CU_ASSERT_EQUAL_FATAL(mkfifo(fifo, 0600), 0);
    alarm(10);

    assert_secret_refused(dkv_test_write("empty", "", 0, 0600), false, "is empty");
    assert_secret_refused(dkv_test_write("long", "123456789", 9, 0600), false, "longer than the 8 bytes");
    assert_secret_refused(dkv_test_path("absent"), false, "absent");
    assert_secret_refused(fifo, false, "no regular file");
    assert_secret_refused(dkv_test_dir(), false, "no regular file");
    alarm(0);
}

/* Who may write the folder can put another file of ours there: another PIN, sent and counted as wrong, at will. */
static void a_secret_file_in_a_folder_where_others_may_exchange_it_is_refused(void)
{
    struct dkv_error err = {0};
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret pin = {0};
    char folder[PATH_MAX], path[PATH_MAX], link[PATH_MAX];
    snprintf(folder, sizeof(folder), "%s", dkv_test_path("shared"));
    make_folder(folder, 0700);
    snprintf(path, sizeof(path), "%s", dkv_test_write("shared/pin", "1234", 4, 0600));
    snprintf(link, sizeof(link), "%s", dkv_test_path("shared/link"));
    CU_ASSERT_EQUAL_FATAL(symlink(pin_file(0600), link), 0);

    make_folder(folder, 0777);
    assert_secret_refused(path, false, "can be written by group or others (mode 0777)");
    assert_secret_refused(link, false, "can be written by group or others (mode 0777)");
    make_folder(folder, 0770);
    assert_secret_refused(path, false, "can be written by group or others (mode 0770)");
    make_folder(folder, 01777); /* as Kubernetes mounts secrets: only who owns a file can exchange it */
    ASSERT_OK(dkv_secret_file_read(path, false, 8, &pin, NULL, &err));
}

static void a_secret_file_of_another_owner_is_refused(void)
{
    if (geteuid() != 0) {
        dkv_test_skip("needs root");
        return;
    }
    const char *path = pin_file(0600);
    CU_ASSERT_EQUAL_FATAL(chown(path, NOBODY, NOBODY), 0);

    assert_secret_refused(path, false, "belongs to uid 65534");
}

static void *write_slowly(void *arg)
{
    const int fd = *(const int *)arg;
    for (size_t i = 0; i < 4; i++) {
        usleep(5000);
        if (write(fd, &"1234"[i], 1) != 1) {
            return arg;
        }
    }
    close(fd);
    return NULL;
}

static void a_descriptor_is_read_to_its_end_even_a_slow_and_non_blocking_one(void)
{
    struct dkv_error err = {0};
    int ends[2];
    pthread_t writer;
    void *failed = NULL;
    DKV_CLEANUP(dkv_secret_done) struct dkv_secret pin = {0};
    CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, write_slowly, &ends[1]), 0);

    ASSERT_OK(dkv_secret_fd_read(ends[0], "fd 3", 100, &pin, &err));

    CU_ASSERT_EQUAL_FATAL(pthread_join(writer, &failed), 0);
    CU_ASSERT_PTR_NULL(failed);
    CU_ASSERT_TRUE(pin.len == 4 && memcmp(pin.data, "1234", 4) == 0);
    close(ends[0]);
}

static void a_descriptor_that_cant_be_read_is_a_fault_of_configuration(void)
{
    struct dkv_error err = {0};
    struct dkv_secret pin = {0};
    const int folder = open(dkv_test_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CU_ASSERT_FATAL(folder >= 0);

    ASSERT_RC(DKV_E_CONFIG, dkv_secret_fd_read(-1, "fd:3", 100, &pin, &err));
    ASSERT_SAYS("fd:3 isn't open for reading");
    ASSERT_RC(DKV_E_CONFIG, dkv_secret_fd_read(folder, "fd:3", 100, &pin, &err));
    ASSERT_SAYS("can't read fd:3");

    CU_ASSERT_PTR_NULL(pin.data);
    close(folder);
}

static void judging_a_secret_file_reads_nothing_of_it(void)
{
    struct dkv_error err = {0};
    ASSERT_OK(dkv_secret_file_judge(dkv_test_write("pin", "", 0, 0600), false, &err)); /* so not what is in it */
    ASSERT_OK(dkv_secret_file_judge(dkv_test_write("pin", "1234", 4, 0640), true, &err));
    ASSERT_RC(DKV_E_CONFIG, dkv_secret_file_judge(dkv_test_write("pin", "1234", 4, 0640), false, &err));
    ASSERT_SAYS("allow-group-read");
    ASSERT_RC(DKV_E_CONFIG, dkv_secret_file_judge(dkv_test_path("no-pin"), false, &err));
    ASSERT_SAYS("no-pin");
    ASSERT_RC(DKV_E_CONFIG, dkv_secret_file_judge(dkv_test_dir(), false, &err));
}

static void one_trailing_newline_is_no_part_of_a_secret(void)
{
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {{"a", 1}, {"a\n", 1}, {"a\r\n", 1}, {"a\n\n", 2}, {"a\r", 2}, {"\n", 0}, {"\r\n", 0}, {"a ", 2}};
    for (size_t i = 0; i < DKV_COUNT(cases); i++) {
        uint8_t bytes[8];
        memcpy(bytes, cases[i].text, strlen(cases[i].text));
        const struct dkv_secret secret = {.data = bytes, .len = strlen(cases[i].text)};
        CU_ASSERT_EQUAL(dkv_secret_trimmed_len(&secret), cases[i].len);
    }
    CU_ASSERT_EQUAL(dkv_secret_trimmed_len(&(struct dkv_secret){0}), 0);
}

/* Secret memory is mapped after the file was judged and before it is read: there somebody writes to it. */
static const char *path_to_change;

static int changing_lock(void *memory, size_t len)
{
    const int fd = open(path_to_change, O_WRONLY);
    CU_ASSERT_TRUE_FATAL(fd >= 0 && pwrite(fd, "567", 3, 0) == 3 && close(fd) == 0);
    return dkv_secret_os_real()->lock(memory, len);
}

static void a_secret_file_that_changes_while_it_is_read_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_secret pin = {0};
    struct stat info = {.st_size = 4711};
    struct dkv_secret_os os = *dkv_secret_os_real();
    const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    path_to_change = pin_file(0600);
    CU_ASSERT_EQUAL_FATAL(utimensat(AT_FDCWD, path_to_change, old, 0), 0);
    os.lock = changing_lock;
    dkv_secret_os_use(&os);

    ASSERT_RC(DKV_E_TRANSIENT, dkv_secret_file_read(path_to_change, false, 8, &pin, &info, &err));

    CU_ASSERT_PTR_NULL(pin.data);
    CU_ASSERT_EQUAL(info.st_size, 4711);
    dkv_secret_os_use(NULL);
}

/* ---- As an ordinary user ---- */

/* 0: refused, as it must be. */
static int read_as_nobody(const char *path)
{
    struct dkv_error err = {0};
    struct dkv_secret pin = {0};
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0) {
        return 99;
    }
    const enum dkv_rc rc = dkv_secret_file_read(path, false, 8, &pin, NULL, &err);
    return rc == DKV_E_CONFIG && strstr(err.message, "Permission denied") != NULL ? 0 : 1;
}

static void a_file_without_permission_is_a_fault_of_configuration(void)
{
    int status = 0;
    if (geteuid() != 0) {
        dkv_test_skip("needs root");
        return;
    }
    CU_ASSERT_EQUAL_FATAL(chmod(dkv_test_dir(), 0711), 0);
    const char *path = pin_file(0600);
    const pid_t child = fork();
    if (child == 0) {
        _exit(read_as_nobody(path));
    }

    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);

    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL_FATAL(chmod(dkv_test_dir(), 0700), 0);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_file_of_ones_own_is_opened_and_read),
        DKV_TEST(a_file_that_others_may_write_is_refused_with_the_chmod),
        DKV_TEST(a_file_in_a_folder_that_others_may_write_is_refused),
        DKV_TEST(a_link_is_judged_where_it_lies_and_where_it_leads),
        DKV_TEST(what_is_no_regular_file_is_refused_at_once),
        DKV_TEST(paths_that_lead_nowhere_are_not_found),
        DKV_TEST(a_relative_path_is_judged_in_the_current_folder),
        DKV_TEST(a_file_or_folder_of_another_owner_is_refused_with_the_chown),
        DKV_TEST(code_to_be_loaded_is_judged_on_its_resolved_path),
        DKV_TEST(code_that_others_may_write_or_that_is_not_there_is_refused),
        DKV_TEST(a_file_over_the_limit_is_refused_and_one_of_just_that_length_is_read),
        DKV_TEST(each_failing_allocation_is_an_error),
        DKV_TEST(a_secret_file_goes_into_secret_memory),
        DKV_TEST(a_secret_file_that_is_open_to_anybody_else_is_refused),
        DKV_TEST(group_read_is_allowed_where_the_provider_file_says_so),
        DKV_TEST(a_secret_file_that_is_empty_long_absent_or_none_is_refused),
        DKV_TEST(a_secret_file_in_a_folder_where_others_may_exchange_it_is_refused),
        DKV_TEST(a_secret_file_of_another_owner_is_refused),
        DKV_TEST(a_descriptor_is_read_to_its_end_even_a_slow_and_non_blocking_one),
        DKV_TEST(a_descriptor_that_cant_be_read_is_a_fault_of_configuration),
        DKV_TEST(judging_a_secret_file_reads_nothing_of_it),
        DKV_TEST(one_trailing_newline_is_no_part_of_a_secret),
        DKV_TEST(a_secret_file_that_changes_while_it_is_read_is_refused),
        DKV_TEST(a_file_without_permission_is_a_fault_of_configuration),
    };
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
