/* SPDX-License-Identifier: Apache-2.0 */
/* Running one operation of the fault matrix through the proxy, and judging it: what the caller was told against what is
 * in the database, looked at directly, and what came of doing it again. A bench has one thread; no lock. */
#include "tests/faults/mongodb_run.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define HUNG_MS (12 * DKV_RUN_TIMEOUT_MS)
#define CALM_TIMEOUT_MS 20000u

const char *const dkv_outcome_words[DKV_N_OUTCOMES] = {
    [DKV_DONE] = "done",       [DKV_UNDONE] = "undone",   [DKV_UNSURE] = "unsure", [DKV_PARTLY] = "partly",
    [DKV_LOST] = "LOST",       [DKV_DOUBLED] = "DOUBLED", [DKV_DAMAGED] = "DAMAGED", [DKV_WRONG] = "WRONG",
    [DKV_SHORT] = "SHORT",     [DKV_HUNG] = "HUNG",       [DKV_MISSED] = "MISSED",
};
const char *const dkv_outcome_meanings[DKV_N_OUTCOMES] = {
    [DKV_DONE] = "success, and it is so",
    [DKV_UNDONE] = "an error, and nothing has changed",
    [DKV_UNSURE] = "an error that says that it may have been done, and it was",
    [DKV_PARTLY] = "an error, and some of it was done, each part whole",
    [DKV_LOST] = "what should be there isn't",
    [DKV_DOUBLED] = "more is there than was asked for",
    [DKV_DAMAGED] = "something is there that nobody asked for",
    [DKV_WRONG] = "an error of the wrong class or words, or doing it again fails",
    [DKV_SHORT] = "success with a wrong answer",
    [DKV_HUNG] = "it took far longer than its timeout",
    [DKV_MISSED] = "the fault never happened",
};

/* ---- One call of a job ---- */

struct call {
    enum dkv_rc rc;
    struct dkv_error err;
    struct dkv_buf answer;
    struct dkv_uuid created;
    int64_t took_ms;
};

static void write_provider_file(const struct dkv_bench *bench, uint16_t port, uint32_t timeout_ms, const char *path)
{
    char uri[128];
    dkv_lab_uri(port, uri, sizeof(uri));
    FILE *file = fopen(path, "we");
    DKV_LAB_MUST(file != NULL);
    fprintf(file,
            "state-dir: %s/state\n"
            "vault:\n  store: %s\n  namespace: %s\n  timeout-ms: %u\n"
            "vaults:\n  source:\n    store: sqlite:%s/source.db\n  target:\n    store: sqlite:%s/target.db\n"
            "providers:\n  local:\n    key-source: file:%s\n",
            bench->folder, uri, bench->lab.name_space, (unsigned)timeout_ms, bench->folder, bench->folder,
            bench->local_key);
    DKV_LAB_MUST(fclose(file) == 0);
}

static void remove_target(const struct dkv_bench *bench)
{
    static const char *const names[] = {"target.db", "target.db-wal", "target.db-shm"};
    char path[sizeof(bench->folder) + 32];
    for (size_t i = 0; i < DKV_COUNT(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", bench->folder, names[i]);
        (void)unlink(path);
    }
}

/* 0x33 as it is in the lab, and three more. */
static void fill_source(struct dkv_vault *vault)
{
    static const uint8_t bytes[] = {0x33, 0x77, 0x88, 0x99};
    static const char *const names[] = {NULL, "sept", NULL, "nine"};
    for (size_t i = 0; i < DKV_COUNT(bytes); i++) {
        const struct dkv_uuid id = dkv_lab_id(bytes[i], 0);
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf document = {0};
        dkv_lab_key(&id, names[i], NULL, &document);
        DKV_LAB_MUST(dkv_key_import(vault, dkv_span_buf(&document), true /* unverified */, NULL, NULL) == DKV_OK);
    }
}

static void open_vaults(const struct dkv_bench *bench, uint16_t port, uint32_t timeout_ms, struct dkv_job_tools *ret)
{
    char path[sizeof(bench->folder) + 32];
    struct dkv_error err = {0};
    bool created = false;
    snprintf(path, sizeof(path), "%s/dekvault.conf", bench->folder);
    write_provider_file(bench, port, timeout_ms, path);
    remove_target(bench);
    const bool opened = dkv_provider_file_open(path, &ret->file, &err) == DKV_OK &&
                        dkv_vault_open(ret->file, NULL, &ret->vault, &err) == DKV_OK &&
                        dkv_vault_init(ret->file, "source", &created, &ret->source, &err) == DKV_OK &&
                        dkv_vault_init(ret->file, "target", NULL, &ret->target, &err) == DKV_OK;
    dkv_lab_must(opened, err.message, __FILE__, __LINE__);
    if (created) {
        fill_source(ret->source);
    }
}

static void close_tools(struct dkv_job_tools *tools)
{
    if (tools->store != NULL) {
        tools->store->ops->close(tools->store);
    }
    dkv_vault_close(tools->vault);
    dkv_vault_close(tools->source);
    dkv_vault_close(tools->target);
    dkv_provider_file_close(tools->file);
}

static void make_call(const struct dkv_bench *bench, const struct dkv_job *job, uint16_t port, uint32_t timeout_ms,
                      struct call *ret)
{
    struct dkv_job_tools tools = {0};
    if (job->uses_vault) {
        open_vaults(bench, port, timeout_ms, &tools);
    } else {
        DKV_LAB_MUST(dkv_lab_open_store(&bench->lab, port, timeout_ms, &tools.store, &ret->err) == DKV_OK);
    }
    const int64_t start_ms = dkv_clock_real.monotonic_ms();
    ret->rc = job->run(&tools, &ret->answer, &ret->err);
    ret->took_ms = dkv_clock_real.monotonic_ms() - start_ms;
    ret->created = tools.created;
    close_tools(&tools);
}

static void call_done(struct call *call)
{
    dkv_buf_done(&call->answer);
}

static void prepare(struct dkv_bench *bench, const struct dkv_job *job)
{
    if (job->reads && bench->prepared == job) {
        return;
    }
    dkv_lab_prepare(&bench->lab, job->n_more, !job->without_index);
    bench->prepared = job;
}

/* ---- Judging ---- */

static bool has_line(const struct dkv_lines *lines, const char *text)
{
    const struct dkv_lines one = {.texts = (char *[]){(char *)(uintptr_t)text}, .n = 1};
    return dkv_lines_missing(&one, lines) == NULL;
}

static enum dkv_outcome found(struct dkv_run *run, enum dkv_outcome outcome, const char *what)
{
    snprintf(run->words, sizeof(run->words), "%.900s", what);
    return outcome;
}

/* An error, and neither the old state nor the new one. */
static enum dkv_outcome judge_between(struct dkv_run *run, const struct dkv_lines *truth)
{
    const struct dkv_lines *before = &run->calm->before, *after = &run->calm->after;
    for (size_t i = 0; i < truth->n; i++) {
        if (!has_line(before, truth->texts[i]) && !has_line(after, truth->texts[i])) {
            return found(run, DKV_DAMAGED, truth->texts[i]);
        }
    }
    for (size_t i = 0; i < before->n; i++) {
        if (has_line(after, before->texts[i]) && !has_line(truth, before->texts[i])) {
            return found(run, DKV_LOST, before->texts[i]);
        }
    }
    if (truth->n > before->n && truth->n > after->n) {
        return found(run, DKV_DOUBLED, dkv_lines_missing(truth, after));
    }
    return run->job->in_parts ? DKV_PARTLY : found(run, DKV_DAMAGED, "it was done by halves");
}

static enum dkv_outcome judge_error(struct dkv_run *run, const struct call *call, const struct dkv_lines *truth)
{
    if (call->rc != DKV_E_TRANSIENT && call->rc != DKV_E_UNREACHABLE) {
        return found(run, DKV_WRONG, "the class");
    }
    if (dkv_lines_equal(truth, &run->calm->before)) {
        return DKV_UNDONE;
    }
    if (!dkv_lines_equal(truth, &run->calm->after)) {
        return judge_between(run, truth);
    }
    const bool says_so = run->job->in_parts || strstr(call->err.message, " may ") != NULL;
    return says_so ? DKV_UNSURE : found(run, DKV_WRONG, "the words");
}

/* A key whose _id was given out must open. */
static bool opens(const struct dkv_bench *bench, const struct dkv_uuid *id)
{
    struct dkv_job_tools tools = {0};
    struct dkv_dek *dek = NULL;
    const struct dkv_key_selector key = {.id = *id};
    open_vaults(bench, bench->lab.server_port, CALM_TIMEOUT_MS, &tools);
    const bool opened = dkv_dek_open(tools.vault, &key, &dek, NULL) == DKV_OK;
    dkv_dek_close(dek);
    close_tools(&tools);
    return opened;
}

static enum dkv_outcome judge_success(struct dkv_bench *bench, struct dkv_run *run, const struct call *call,
                                  const struct dkv_lines *truth)
{
    const char *missing = dkv_lines_missing(&run->calm->after, truth);
    const char *extra = dkv_lines_missing(truth, &run->calm->after);
    if (missing != NULL) {
        return found(run, DKV_LOST, missing);
    }
    if (extra != NULL) {
        return found(run, DKV_DOUBLED, extra);
    }
    if (run->job->creates && !opens(bench, &call->created)) {
        return found(run, DKV_LOST, "the key with the _id that was given out");
    }
    const struct dkv_span answer = dkv_span_buf(&call->answer), right = dkv_span_buf(&run->calm->answer);
    if (dkv_span_equal(answer, right)) {
        return DKV_DONE;
    }
    snprintf(run->words, sizeof(run->words), "\"%.*s\" for \"%.*s\"", (int)(answer.len < 200 ? answer.len : 200),
             (const char *)answer.data, (int)(right.len < 200 ? right.len : 200), (const char *)right.data);
    return DKV_SHORT;
}

static enum dkv_outcome judge(struct dkv_bench *bench, struct dkv_run *run, const struct call *call)
{
    struct dkv_lines truth = {0};
    dkv_lab_look(&bench->lab, run->job->dates, &truth);
    const enum dkv_outcome outcome = call->took_ms > HUNG_MS ? found(run, DKV_HUNG, "the time")
                                 : call->rc == DKV_OK    ? judge_success(bench, run, call, &truth)
                                                         : judge_error(run, call, &truth);
    dkv_lines_done(&truth);
    return outcome;
}

/* After an error the same operation is done again, with nothing in its way. */
static enum dkv_outcome repeat(struct dkv_bench *bench, struct dkv_run *run, enum dkv_outcome outcome)
{
    struct call call = {0};
    struct dkv_lines truth = {0};
    make_call(bench, run->job, bench->lab.server_port, CALM_TIMEOUT_MS, &call);
    const bool accepted = call.rc == DKV_OK || (call.rc == run->job->done_already && outcome != DKV_UNDONE);
    dkv_lab_look(&bench->lab, run->job->dates, &truth);
    if (!accepted) {
        outcome = found(run, DKV_WRONG, call.err.message);
    } else if (!dkv_lines_equal(&truth, &run->calm->after)) {
        outcome = found(run, DKV_DAMAGED, "after doing it again");
    }
    dkv_lines_done(&truth);
    call_done(&call);
    return outcome;
}

/* ---- Runs ---- */

static void explain(struct dkv_run *run, const struct call *call)
{
    char words[sizeof(run->words)];
    snprintf(words, sizeof(words), "%s", run->words);
    snprintf(run->words, sizeof(run->words), "%.400s; %lld ms, %s: %.500s", words, (long long)call->took_ms,
             dkv_class_name(call->rc), call->rc != DKV_OK ? call->err.message : "");
}

static void end_sessions(struct dkv_bench *bench, struct dkv_fault_proxy *proxy)
{
    struct dkv_uuid ids[DKV_FAULT_SESSIONS_MAX];
    const size_t n = dkv_fault_proxy_sessions(proxy, ids, DKV_COUNT(ids));
    if (n > 0) {
        dkv_lab_end_sessions(&bench->lab, ids, n);
    }
}

void dkv_run_broken(struct dkv_bench *bench, struct dkv_run *run)
{
    struct call call = {0};
    prepare(bench, run->job);
    struct dkv_fault_proxy *proxy = dkv_fault_proxy_start(bench->lab.server_port, &run->plan);
    DKV_LAB_MUST(proxy != NULL);
    make_call(bench, run->job, dkv_fault_proxy_port(proxy), DKV_RUN_TIMEOUT_MS, &call);
    dkv_fault_proxy_settle(proxy);
    run->outcome = dkv_fault_proxy_hits(proxy) == 0 ? DKV_MISSED : judge(bench, run, &call);
    end_sessions(bench, proxy);
    dkv_fault_proxy_stop(proxy);
    if (run->outcome > DKV_DONE && run->outcome <= DKV_PARTLY && !(run->job->once && run->outcome == DKV_UNSURE)) {
        run->outcome = repeat(bench, run, run->outcome);
    }
    explain(run, &call);
    call_done(&call);
}

void dkv_run_calmly(struct dkv_bench *bench, const struct dkv_job *job, struct dkv_calm *ret)
{
    struct call call = {0};
    prepare(bench, job);
    dkv_lab_look(&bench->lab, job->dates, &ret->before);
    struct dkv_fault_proxy *proxy = dkv_fault_proxy_start(bench->lab.server_port, NULL);
    DKV_LAB_MUST(proxy != NULL);
    make_call(bench, job, dkv_fault_proxy_port(proxy), CALM_TIMEOUT_MS, &call);
    dkv_lab_must(call.rc == DKV_OK, call.err.message, job->name, __LINE__);
    dkv_lab_look(&bench->lab, job->dates, &ret->after);
    DKV_LAB_MUST(job->reads == dkv_lines_equal(&ret->before, &ret->after));
    ret->steps = dkv_fault_proxy_count(proxy);
    DKV_LAB_MUST(ret->steps > 0 && ret->steps <= DKV_FAULT_COMMANDS_MAX);
    for (unsigned step = 1; step <= ret->steps; step++) {
        snprintf(ret->commands[step - 1], sizeof(ret->commands[0]), "%s", dkv_fault_proxy_command(proxy, step));
    }
    dkv_fault_proxy_stop(proxy);
    dkv_buf_steal(&ret->answer, &call.answer);
    call_done(&call);
}

/* ---- The proxy itself ---- */

struct seen {
    bool answered, in_time;
    bool is_there, is_there_later; /* as the driver gives up, and once all has settled */
};

static void insert_through(struct dkv_lab *lab, uint16_t port, const bson_t *document, struct seen *ret)
{
    char uri[256];
    bson_error_t error;
    dkv_lab_uri(port, uri, sizeof(uri));
    const size_t len = strlen(uri);
    snprintf(uri + len, sizeof(uri) - len, "&retryWrites=false&socketTimeoutMS=%u", DKV_RUN_TIMEOUT_MS);
    mongoc_client_t *client = mongoc_client_new(uri);
    DKV_LAB_MUST(client != NULL);
    mongoc_collection_t *collection = mongoc_client_get_collection(client, lab->database, "proxy");
    const int64_t start_ms = dkv_clock_real.monotonic_ms();
    ret->answered = mongoc_collection_insert_one(collection, document, NULL, NULL, &error);
    ret->in_time = dkv_clock_real.monotonic_ms() - start_ms < DKV_RUN_TIMEOUT_MS;
    mongoc_collection_destroy(collection);
    mongoc_client_destroy(client);
}

static bool is_there(struct dkv_lab *lab, const bson_t *document)
{
    bson_error_t error;
    mongoc_collection_t *collection = mongoc_client_get_collection(lab->client, lab->database, "proxy");
    const int64_t n = mongoc_collection_count_documents(collection, document, NULL, NULL, NULL, &error);
    mongoc_collection_destroy(collection);
    return n == 1;
}

bool dkv_run_is_true_fault(struct dkv_lab *lab, enum dkv_fault fault)
{
    static const struct seen expected[DKV_N_FAULTS] = {
        [DKV_FAULT_NONE] = {.answered = true, .in_time = true, .is_there = true, .is_there_later = true},
        [DKV_FAULT_CUT_BEFORE] = {.in_time = true},
        [DKV_FAULT_CUT_AFTER] = {.in_time = true, .is_there = true, .is_there_later = true},
        [DKV_FAULT_CUT_MIDDLE] = {.in_time = true, .is_there = true, .is_there_later = true},
        [DKV_FAULT_DELAY] = {.is_there = true, .is_there_later = true},
        [DKV_FAULT_DELAY_REQUEST] = {.is_there_later = true},
    };
    const struct dkv_fault_plan plan = {.fault = fault, .step = 1, .hold_ms = DKV_RUN_HOLD_MS};
    struct seen seen = {0};
    struct dkv_fault_proxy *proxy = dkv_fault_proxy_start(lab->server_port, &plan);
    bson_t *document = BCON_NEW("_id", BCON_INT32((int32_t)fault));
    DKV_LAB_MUST(proxy != NULL);
    insert_through(lab, dkv_fault_proxy_port(proxy), document, &seen);
    seen.is_there = is_there(lab, document);
    dkv_fault_proxy_settle(proxy);
    seen.is_there_later = is_there(lab, document);
    const bool counted = dkv_fault_proxy_count(proxy) == 1 && strcmp(dkv_fault_proxy_command(proxy, 1), "insert") == 0;
    dkv_fault_proxy_stop(proxy);
    bson_destroy(document);
    return counted && seen.answered == expected[fault].answered && seen.in_time == expected[fault].in_time &&
           seen.is_there == expected[fault].is_there && seen.is_there_later == expected[fault].is_there_later;
}
