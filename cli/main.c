/* SPDX-License-Identifier: Apache-2.0 */
/* The program `dekvault`: makes the process fit for keys, reads the command line, runs the command, tells its error. */
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dekvault/process.h"
#include "vault/store.h"

/* A closed standard descriptor would be taken by the next file opened, the vault for instance, and be written to. */
static void open_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        const int mode = fd == STDERR_FILENO ? O_WRONLY : O_RDONLY; /* writing to standard output stays an error */
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", mode) != fd) {
            _exit(1);
        }
    }
}

static void print_log(void *arg, enum dkv_log_level level, const char *line)
{
    static const char *const names[] = {[DKV_LOG_WARNING] = "warning: ", [DKV_LOG_NOTICE] = "",
                                        [DKV_LOG_DEBUG] = "debug: "};
    const struct dkv_output *out = arg;
    const bool wanted = level == DKV_LOG_WARNING ? !out->quiet : out->verbose;
    if (wanted) {
        fprintf(stderr, "dekvault: %s%s\n", names[level], line);
    }
}

static enum dkv_rc help(struct dkv_cli *cli, struct dkv_error *err)
{
    const struct dkv_command_group *group = NULL;
    if (cli->command != NULL) {
        return dkv_help_command(&cli->out, cli->command, err);
    }
    if (cli->group == NULL) {
        return dkv_help_program(&cli->out, err);
    }
    DKV_TRY(dkv_command_find_group(cli->group, &group, err));
    return dkv_help_group(&cli->out, group, err);
}

static enum dkv_rc version(struct dkv_output *out, struct dkv_error *err)
{
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf json = {0};
    if (!out->json) {
        return dkv_out_printf(out, err, "dekvault %s\n", dkv_version());
    }
    DKV_TRY(dkv_buf_append_str(&json, "{", err));
    DKV_TRY(dkv_json_member_text(&json, "version", dkv_version(), err));
    DKV_TRY(dkv_buf_append_str(&json, "}", err));
    return dkv_out_line(out, &json, err);
}

static enum dkv_rc dispatch(struct dkv_cli *cli, struct dkv_error *err)
{
    if (dkv_cli_has(cli, "help")) {
        return help(cli, err);
    }
    if (dkv_cli_has(cli, "version")) {
        return version(&cli->out, err);
    }
    if (cli->command == NULL) {
        return dkv_fail(err, DKV_E_INVALID, "no command given: see `dekvault %s%s--help`",
                        cli->group != NULL ? cli->group : "", cli->group != NULL ? " " : "");
    }
    DKV_TRY(dkv_cli_open(cli, err));
    return cli->command->run(cli, err);
}

static void judge_output(struct dkv_output *out)
{
    struct winsize size = {0};
    const bool is_terminal = isatty(out->fd) == 1;
    out->colour = is_terminal && secure_getenv("NO_COLOR") == NULL;
    out->terminal_width = is_terminal && ioctl(out->fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static enum dkv_rc run(struct dkv_cli *cli, int argc, char **argv, struct dkv_error *err)
{
    DKV_TRY(dkv_process_harden(err));
    DKV_TRY(dkv_cli_parse(cli, argc, argv, err));
    judge_output(&cli->out);
    dkv_set_log(print_log, &cli->out);
    dkv_store_quiet();
    const enum dkv_rc rc = dispatch(cli, err);
    /* What was printed before a failure counts too: a half of a list is still one. */
    const enum dkv_rc flushed = dkv_out_flush(&cli->out, rc == DKV_OK ? err : NULL);
    return rc != DKV_OK ? rc : flushed;
}

/* A reader that has seen enough, `| head` say, is told nothing; unless a change was made that it hasn't read of. */
static void tell(const struct dkv_cli *cli, struct dkv_error *err)
{
    const bool reader_gone = cli->out.broken && err->native_system == DKV_NATIVE_ERRNO && err->native_code == EPIPE;
    if (cli->done[0] == '\0') {
        if (!reader_gone) {
            dkv_cli_print_error(err, cli->out.json);
        }
        return;
    }
    dkv_error_append(err, "; but this was done: %s", cli->done);
    if (err->key[0] == '\0') {
        dkv_error_key(err, cli->done_to);
    }
    dkv_cli_print_error(err, cli->out.json);
}

/* While it is being loaded, libmongoc makes a file of counters in /dev/shm, by the process's number: it stays there
 * when the process is killed, and a later one of that number warns of it on standard error. */
static void remove_counters(void)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/dev/shm/mongoc-%ld", (long)getpid());
    (void)unlink(path);
}

__attribute__((section(".preinit_array"), used)) static void (*const before_libraries)(void) = remove_counters;

int main(int argc, char **argv)
{
    struct dkv_cli cli = {.out = {.fd = STDOUT_FILENO}};
    struct dkv_error err = {0};
    remove_counters();
    open_standard_descriptors();
    /* A reader that has gone, a file that may not grow: errors of write(2), told like any other. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    const enum dkv_rc rc = run(&cli, argc, argv, &err);
    if (rc != DKV_OK) {
        tell(&cli, &err);
    }
    const int code = rc != DKV_OK ? dkv_cli_exit_code(rc) : cli.exit_code;
    dkv_cli_done(&cli);
    dkv_set_log(NULL, NULL);
    return code;
}
