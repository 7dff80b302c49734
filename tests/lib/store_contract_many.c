/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of stores: of many threads and processes at once, one gets what only one can have. Threads share one
 * store and what is fixed before they start; each process opens its own. */
#include "tests/lib/store_contract_parts.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Threads ---- */

#define THREADS 8
#define ROUNDS 20

struct thread {
    struct dkv_store *store;
    size_t number;
    enum dkv_rc (*body)(struct thread *thread, struct dkv_error *err);
    enum dkv_rc rc;
    size_t won;
    pthread_t id;
};

static void *run_thread(void *arg)
{
    struct thread *thread = arg;
    struct dkv_error err = {0};
    thread->rc = thread->body(thread, &err);
    if (thread->rc != DKV_OK) {
        dkv_test_diagnose(__FILE__, __LINE__, "a thread's body", thread->rc, &err);
    }
    return NULL;
}

/* All threads run body; none fails. Returns what they have won together. */
static size_t run_threads(struct dkv_store *store, enum dkv_rc (*body)(struct thread *thread, struct dkv_error *err))
{
    struct thread threads[THREADS] = {{0}};
    size_t won = 0;
    for (size_t i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.store = store, .number = i, .body = body};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i].id, NULL, run_thread, &threads[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i].id, NULL);
        CU_ASSERT_EQUAL(threads[i].rc, DKV_OK);
        won += threads[i].won;
    }
    return won;
}

static enum dkv_rc insert_and_list(struct thread *thread, struct dkv_error *err)
{
    struct dkv_store *store = thread->store;
    char name[32];
    for (size_t i = 0; i < ROUNDS; i++) {
        struct dkv_contract_visited visited = {0};
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf named = {0};
        snprintf(name, sizeof(name), "name %zu of %zu", i, thread->number);
        const struct dkv_key_shape shape = {.id = (uint8_t)(thread->number * ROUNDS + i), .names = {name}};
        DKV_TRY(dkv_test_insert(store, &shape, err));
        DKV_TRY(store->ops->list(store, NULL, NULL, 2, dkv_contract_visit, &visited, err));
        DKV_TRY(store->ops->get_by_alt_name(store, name, &named, err));
    }
    return DKV_OK;
}

static void threads_share_a_store(void)
{
    struct dkv_error err = {0};
    struct dkv_contract_visited visited = {0};
    struct dkv_store *store = dkv_contract_start();

    (void)run_threads(store, insert_and_list);

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, dkv_contract_visit, &visited, &err));
    CU_ASSERT_EQUAL(visited.n, THREADS * ROUNDS);
    dkv_contract_finish();
}

/* Counts up to a number that all agree on. */
static enum dkv_rc count_up(struct thread *thread, struct dkv_error *err)
{
    struct dkv_store *store = thread->store;
    char next[32];
    while (thread->won < ROUNDS) {
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf now = {0};
        DKV_TRY(store->ops->state_get(store, "counter", &now, err));
        const char *text = dkv_buf_text(&now);
        DKV_CHECK(text != NULL, err, DKV_E_RESOURCE, "no memory");
        snprintf(next, sizeof(next), "%ld", strtol(text, NULL, 10) + 1);
        const enum dkv_rc rc = store->ops->state_put(store, "counter", dkv_span_buf(&now), dkv_span_str(next), err);
        if (rc != DKV_OK && rc != DKV_E_CONFLICT) {
            return rc;
        }
        thread->won += rc == DKV_OK ? 1 : 0;
    }
    return DKV_OK;
}

static void no_change_of_state_by_threads_is_lost(void)
{
    struct dkv_error err = {0};
    struct dkv_buf value = {0};
    char expected[32];
    struct dkv_store *store = dkv_contract_start();
    ASSERT_OK(store->ops->state_put(store, "counter", dkv_span(NULL, 0), dkv_span_str("0"), &err));

    const size_t won = run_threads(store, count_up);

    CU_ASSERT_EQUAL(won, THREADS * ROUNDS);
    snprintf(expected, sizeof(expected), "%d", THREADS * ROUNDS);
    ASSERT_OK(store->ops->state_get(store, "counter", &value, &err));
    CU_ASSERT_STRING_EQUAL(dkv_buf_text(&value), expected);
    dkv_buf_done(&value);
    dkv_contract_finish();
}

/* Each wants to be the one that rewraps the key. */
static enum dkv_rc rewrap_once(struct thread *thread, struct dkv_error *err)
{
    struct dkv_store *store = thread->store;
    const struct dkv_uuid id = dkv_test_id('a');
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf key = {0};
    char material[32];
    dkv_test_master_key("local", "", &key);
    snprintf(material, sizeof(material), "by %zu", thread->number);
    const struct dkv_span same = dkv_span_buf(&key);
    const enum dkv_rc rc = store->ops->replace_material(store, &id, same, dkv_span_str("old"), same,
                                                        dkv_span_str(material), err);
    thread->won = rc == DKV_OK ? 1 : 0;
    return rc == DKV_E_CONFLICT ? DKV_OK : rc;
}

static void of_eight_threads_one_replaces_the_material(void)
{
    for (int i = 0; i < 5; i++) {
        struct dkv_store *store = dkv_contract_start();
        dkv_contract_add(&(struct dkv_key_shape){.id = 'a', .material = "old"});

        CU_ASSERT_EQUAL(run_threads(store, rewrap_once), 1);

        dkv_contract_finish();
    }
}

/* ---- Processes ---- */

#define PROCESSES 16

/* All processes run body on a store of their own at about the same time; counts[0] are those that it was DKV_OK for,
 * counts[1] DKV_E_CONFLICT, counts[2] all others. */
static void run_processes(enum dkv_rc (*body)(struct dkv_store *store, uint8_t id, struct dkv_error *err),
                          int counts[3])
{
    fflush(NULL);
    for (uint8_t i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            struct dkv_error err = {0};
            struct dkv_store *own = NULL;
            enum dkv_rc rc = dkv_contract_again(&own, &err);
            if (rc == DKV_OK) {
                rc = body(own, (uint8_t)('a' + i), &err);
                own->ops->close(own);
            }
            if (rc != DKV_OK && rc != DKV_E_CONFLICT) {
                dkv_test_diagnose(__FILE__, __LINE__, "a process's body", rc, &err);
                fflush(stdout);
            }
            _exit(rc == DKV_OK ? 0 : rc == DKV_E_CONFLICT ? 1 : 2);
        }
    }
    for (size_t i = 0; i < PROCESSES; i++) {
        int status = 0;
        CU_ASSERT(wait(&status) > 0);
        counts[WIFEXITED(status) && WEXITSTATUS(status) < 2 ? WEXITSTATUS(status) : 2]++;
    }
}

static enum dkv_rc add_the_name(struct dkv_store *store, uint8_t id, struct dkv_error *err)
{
    const struct dkv_uuid uuid = dkv_test_id(id);
    return store->ops->add_alt_name(store, &uuid, "wanted by all", NULL, err);
}

static enum dkv_rc create_with_the_name(struct dkv_store *store, uint8_t id, struct dkv_error *err)
{
    return dkv_test_insert(store, &(struct dkv_key_shape){.id = id, .names = {"wanted by all"}}, err);
}

static enum dkv_rc create_the_id(struct dkv_store *store, uint8_t id, struct dkv_error *err)
{
    char material[8];
    snprintf(material, sizeof(material), "of %c", id);
    return dkv_test_insert(store, &(struct dkv_key_shape){.id = 'a', .material = material}, err);
}

/* Each with its own document in a batch of one name. */
static enum dkv_rc create_many_with_the_name(struct dkv_store *store, uint8_t id, struct dkv_error *err)
{
    enum dkv_clash clash = DKV_CLASH_NONE;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf bytes = {0};
    dkv_test_key(&(struct dkv_key_shape){.id = id, .names = {"wanted by all"}}, &bytes);
    const struct dkv_span document = dkv_span_buf(&bytes);
    DKV_TRY(store->ops->insert_many(store, &document, 1, &clash, err));
    return clash == DKV_CLASH_NONE ? DKV_OK : dkv_fail(err, DKV_E_CONFLICT, "a clash");
}

static void assert_one_of_sixteen(enum dkv_rc (*body)(struct dkv_store *store, uint8_t id, struct dkv_error *err))
{
    int counts[3] = {0};
    run_processes(body, counts);
    CU_ASSERT_EQUAL(counts[0], 1);
    CU_ASSERT_EQUAL(counts[1], PROCESSES - 1);
}

static void of_sixteen_processes_one_gets_the_name(void)
{
    struct dkv_error err = {0};
    struct dkv_buf named = {0};
    if (dkv_test_skips_child_stores()) {
        return;
    }
    struct dkv_store *store = dkv_contract_start();
    for (uint8_t i = 0; i < PROCESSES; i++) {
        dkv_contract_add(&(struct dkv_key_shape){.id = (uint8_t)('a' + i)});
    }

    assert_one_of_sixteen(add_the_name);

    ASSERT_OK(store->ops->get_by_alt_name(store, "wanted by all", &named, &err));
    dkv_buf_done(&named);
    dkv_contract_finish();
}

/* One document is there, and nothing of those that lost. */
static void assert_one_is_left(struct dkv_store *store)
{
    struct dkv_error err = {0};
    struct dkv_contract_visited visited = {0};
    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, dkv_contract_visit, &visited, &err));
    CU_ASSERT_EQUAL(visited.n, 1);
}

static void of_sixteen_processes_one_creates_the_name(void)
{
    struct dkv_error err = {0};
    struct dkv_buf named = {0};
    if (dkv_test_skips_child_stores()) {
        return;
    }
    struct dkv_store *store = dkv_contract_start();

    assert_one_of_sixteen(create_with_the_name);

    assert_one_is_left(store);
    ASSERT_OK(store->ops->get_by_alt_name(store, "wanted by all", &named, &err));
    dkv_buf_done(&named);
    dkv_contract_finish();
}

static void of_sixteen_processes_one_creates_the_id(void)
{
    if (dkv_test_skips_child_stores()) {
        return;
    }
    struct dkv_store *store = dkv_contract_start();

    assert_one_of_sixteen(create_the_id);

    assert_one_is_left(store);
    dkv_contract_finish();
}

static void of_sixteen_batches_one_creates_the_name(void)
{
    if (dkv_test_skips_child_stores()) {
        return;
    }
    struct dkv_store *store = dkv_contract_start();

    assert_one_of_sixteen(create_many_with_the_name);

    assert_one_is_left(store);
    dkv_contract_finish();
}

static const struct dkv_test tests[] = {
    DKV_TEST(threads_share_a_store),
    DKV_TEST(no_change_of_state_by_threads_is_lost),
    DKV_TEST(of_eight_threads_one_replaces_the_material),
    DKV_TEST(of_sixteen_processes_one_gets_the_name),
    DKV_TEST(of_sixteen_processes_one_creates_the_name),
    DKV_TEST(of_sixteen_processes_one_creates_the_id),
    DKV_TEST(of_sixteen_batches_one_creates_the_name),
};

const struct dkv_contract_part dkv_contract_many = {tests, DKV_COUNT(tests)};
