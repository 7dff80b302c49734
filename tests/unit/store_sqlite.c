/* SPDX-License-Identifier: Apache-2.0 */
/* The SQLite store: the contract of stores, and what only a file can have: owners of it, other programs' files, damage,
 * a full disk, processes that die. */
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/lib/sqlite_plant.h"
#include "tests/lib/store_contract.h"
#include "vault/document_edit.h"
#include "vault/store/sqlite.h"

static unsigned files;
static char file[512];

static enum dkv_rc open_file(bool create, bool *ret_created, struct dkv_store **ret, struct dkv_error *err)
{
    const struct dkv_store_settings settings = {.location = file, .timeout_ms = 10000};
    return dkv_sqlite_store_ops.open(&settings, create, ret_created, ret, err);
}

static void name_new_file(void)
{
    char name[32];
    snprintf(name, sizeof(name), "vault-%u.db", files++);
    snprintf(file, sizeof(file), "%s", dkv_test_path(name));
}

static enum dkv_rc fresh(struct dkv_store **ret, struct dkv_error *err)
{
    name_new_file();
    return open_file(true, NULL, ret, err);
}

static enum dkv_rc again(struct dkv_store **ret, struct dkv_error *err)
{
    return open_file(false, NULL, ret, err);
}

/* The file keeps any bytes. */
static void plant(struct dkv_store *store, const struct dkv_uuid *id, struct dkv_span bytes,
                  struct dkv_buf *ret_planted)
{
    struct dkv_error err = {0};
    dkv_test_plant(store, id, bytes);
    ASSERT_OK(dkv_buf_append(ret_planted, bytes, &err));
}

/* As somebody who has the file and SQLite's own shell. */
static void tamper(const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        printf("# %s: %s\n", sql, message);
        CU_FAIL("tamper");
    }
    sqlite3_free(message);
    sqlite3_close(db);
}

/* ---- Opening ---- */

static void a_missing_vault_is_not_found_and_not_made(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    name_new_file();

    ASSERT_RC(DKV_E_NOT_FOUND, open_file(false, NULL, &store, &err));

    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, file));
    ASSERT_SAYS("vault init");
    CU_ASSERT_PTR_NULL(store);
    CU_ASSERT_NOT_EQUAL(access(file, F_OK), 0);
}

static void a_vault_is_made_once_and_for_its_owner_only(void)
{
    struct dkv_error err = {0};
    struct dkv_store *first = NULL, *second = NULL;
    struct stat info;
    bool created = false, created_again = true;
    name_new_file();
    const mode_t old = umask(0);

    ASSERT_OK(open_file(true, &created, &first, &err));
    ASSERT_OK(open_file(true, &created_again, &second, &err));
    ASSERT_OK(dkv_test_insert(second, &(struct dkv_key_shape){.id = 'a'}, &err));
    umask(old);

    CU_ASSERT(created);
    CU_ASSERT(!created_again);
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < DKV_COUNT(suffixes); i++) {
        char path[600];
        snprintf(path, sizeof(path), "%s%s", file, suffixes[i]);
        CU_ASSERT_EQUAL_FATAL(stat(path, &info), 0);
        CU_ASSERT_EQUAL(info.st_mode & 07777, 0600);
    }
    first->ops->close(first);
    second->ops->close(second);
}

static void a_strict_umask_leaves_the_owner_its_vault(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct stat info;
    name_new_file();
    const mode_t old = umask(0777);
    const enum dkv_rc rc = open_file(true, NULL, &store, &err);
    umask(old);

    ASSERT_OK(rc);
    CU_ASSERT_EQUAL_FATAL(stat(file, &info), 0);
    CU_ASSERT_EQUAL(info.st_mode & 07777, 0600);
    store->ops->close(store);
}

static void settings_that_are_wrong_are_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    snprintf(file, sizeof(file), "vault.db");
    ASSERT_RC(DKV_E_CONFIG, open_file(true, NULL, &store, &err));
    ASSERT_SAYS("absolute");
    snprintf(file, sizeof(file), "%s", dkv_test_path("no-such-folder/vault.db"));
    ASSERT_RC(DKV_E_NOT_FOUND, open_file(true, NULL, &store, &err));
    ASSERT_SAYS("no-such-folder");
    snprintf(file, sizeof(file), "%s", dkv_test_dir());
    ASSERT_RC(DKV_E_CONFIG, open_file(true, NULL, &store, &err));
    ASSERT_SAYS("not a regular file");
}

static void a_store_setting_finds_its_kind(void)
{
    const char *location = NULL;
    CU_ASSERT_PTR_EQUAL(dkv_store_find("sqlite:/a/b.db", &location), &dkv_sqlite_store_ops);
    CU_ASSERT_STRING_EQUAL(location, "/a/b.db");
    CU_ASSERT_PTR_NULL(dkv_store_find("sqlit:/a/b.db", &location));
    CU_ASSERT_PTR_NULL(dkv_store_find("sqlite", &location));
    CU_ASSERT_PTR_NULL(dkv_store_find("", &location));
}

static void network_file_systems_are_told_from_local_ones(void)
{
    CU_ASSERT_STRING_EQUAL(dkv_sqlite_network_fs(0x6969), "NFS");
    CU_ASSERT_STRING_EQUAL(dkv_sqlite_network_fs(0xff534d42), "CIFS");
    CU_ASSERT_STRING_EQUAL(dkv_sqlite_network_fs(0x65735546), "FUSE");
    CU_ASSERT_PTR_NULL(dkv_sqlite_network_fs(0xef53));     /* ext4 */
    CU_ASSERT_PTR_NULL(dkv_sqlite_network_fs(0x58465342)); /* xfs */
    CU_ASSERT_PTR_NULL(dkv_sqlite_network_fs(0x01021994)); /* tmpfs */
    CU_ASSERT_PTR_NULL(dkv_sqlite_network_fs(0x794c7630)); /* overlay */
}

static void files_that_are_no_vault_are_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    char garbage[8192];
    memset(garbage, 'x', sizeof(garbage));
    snprintf(file, sizeof(file), "%s", dkv_test_write("garbage.db", garbage, sizeof(garbage), 0600));
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, open_file(true, NULL, &store, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, file));
    CU_ASSERT_STRING_EQUAL(err.native_name, "SQLITE_NOTADB");
    CU_ASSERT_EQUAL(err.native_system, DKV_NATIVE_SQLITE);

    snprintf(file, sizeof(file), "%s", dkv_test_write("empty.db", "", 0, 0600));
    ASSERT_RC(DKV_E_NOT_FOUND, open_file(false, NULL, &store, &err));
    ASSERT_SAYS("is empty");

    name_new_file();
    tamper("CREATE TABLE music (title TEXT)");
    ASSERT_RC(DKV_E_CONFIG, open_file(true, NULL, &store, &err));
    ASSERT_SAYS("another program");
}

static void a_newer_or_impossible_format_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    ASSERT_OK(fresh(&store, &err));
    store->ops->close(store);
    tamper("PRAGMA user_version = 2");
    ASSERT_RC(DKV_E_CONFIG, open_file(true, NULL, &store, &err));
    ASSERT_SAYS("made by a newer dekvault");
    tamper("PRAGMA user_version = 0");
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, open_file(true, NULL, &store, &err));
    tamper("PRAGMA user_version = 1; ALTER TABLE state RENAME TO states");
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, open_file(true, NULL, &store, &err));
    ASSERT_SAYS("not those of a key vault");
}

static int create_as_one_of_many(void *arg)
{
    (void)arg;
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    bool created = false;
    if (open_file(true, &created, &store, &err) != DKV_OK) {
        printf("# %s\n", err.message);
        return 2;
    }
    store->ops->close(store);
    return created ? 1 : 0;
}

static void of_many_that_make_it_at_once_one_does(void)
{
    int counts[3] = {0};
    name_new_file();
    fflush(NULL);
    for (size_t i = 0; i < 12; i++) {
        if (fork() == 0) {
            const int status = create_as_one_of_many(NULL);
            fflush(stdout);
            _exit(status);
        }
    }
    for (size_t i = 0; i < 12; i++) {
        int status = 0;
        CU_ASSERT(wait(&status) > 0);
        counts[WIFEXITED(status) && WEXITSTATUS(status) < 2 ? WEXITSTATUS(status) : 2]++;
    }
    CU_ASSERT_EQUAL(counts[2], 0);
    CU_ASSERT_EQUAL(counts[1], 1);
}

/* ---- Denied, full, busy ---- */

static int use_as_nobody(void *arg)
{
    (void)arg;
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    if (getuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)) {
        return 90;
    }
    enum dkv_rc rc = open_file(false, NULL, &store, &err);
    if (rc == DKV_OK) {
        rc = dkv_test_insert(store, &(struct dkv_key_shape){.id = 'b'}, &err);
        store->ops->close(store);
    }
    return rc == DKV_E_DENIED && strstr(err.message, file) != NULL ? 0 : -rc;
}

static void a_vault_that_may_only_be_read_is_denied(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    ASSERT_OK(fresh(&store, &err));
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'a'}, &err));
    CU_ASSERT_EQUAL_FATAL(chmod(dkv_test_dir(), 0755), 0);
    CU_ASSERT_EQUAL_FATAL(chmod(file, 0444), 0);

    store->ops->close(store);
    const int folder_denies = dkv_test_in_child(use_as_nobody, NULL);
    CU_ASSERT_EQUAL_FATAL(chmod(dkv_test_dir(), 0777), 0);
    const int file_denies = dkv_test_in_child(use_as_nobody, NULL);
    CU_ASSERT_EQUAL_FATAL(chmod(file, 0600), 0);
    CU_ASSERT_EQUAL_FATAL(chmod(dkv_test_dir(), 0700), 0);
    const int unreadable = getuid() == 0 ? dkv_test_in_child(use_as_nobody, NULL) : 0;

    CU_ASSERT_EQUAL(folder_denies, 0);
    CU_ASSERT_EQUAL(file_denies, 0);
    CU_ASSERT_EQUAL(unreadable, 0);
}

/* Inserts until the disk, a limit of this process, is full. The exit status is how many went in. */
static int fill_disk(void *arg)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    const struct rlimit limit = {.rlim_cur = *(rlim_t *)arg, .rlim_max = RLIM_INFINITY};
    uint8_t n = 0;
    signal(SIGXFSZ, SIG_IGN);
    if (again(&store, &err) != DKV_OK || setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 250;
    }
    enum dkv_rc rc = DKV_OK;
    while (rc == DKV_OK && n < 240) {
        rc = dkv_test_insert(store, &(struct dkv_key_shape){.id = ++n}, &err);
    }
    struct dkv_buf document = {0};
    const enum dkv_rc read = dkv_test_get(store, 1, &document, &err);
    dkv_buf_done(&document);
    store->ops->close(store);
    return rc == DKV_E_RESOURCE && read == DKV_OK ? n - 1 : 251;
}

static void a_full_disk_loses_nothing(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    size_t n = 0;
    rlim_t limit = (rlim_t)128 * 1024;
    ASSERT_OK(fresh(&store, &err));
    store->ops->close(store);

    const int inserted = dkv_test_in_child(fill_disk, &limit);

    CU_ASSERT(inserted > 0 && inserted < 240);
    ASSERT_OK(again(&store, &err));
    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, dkv_test_count, &n, &err));
    CU_ASSERT_EQUAL((int)n, inserted);
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 250}, &err));
    store->ops->close(store);
}

static void a_vault_held_by_another_is_transient(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL, *hurried = NULL;
    sqlite3 *db = NULL;
    ASSERT_OK(fresh(&store, &err));
    const struct dkv_store_settings settings = {.location = file, .timeout_ms = 50};
    ASSERT_OK(dkv_sqlite_store_ops.open(&settings, false, NULL, &hurried, &err));
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(file, &db), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);

    ASSERT_RC(DKV_E_TRANSIENT, dkv_test_insert(hurried, &(struct dkv_key_shape){.id = 'a'}, &err));

    CU_ASSERT_STRING_EQUAL(err.native_name, "SQLITE_BUSY");
    sqlite3_close(db);
    ASSERT_OK(dkv_test_insert(hurried, &(struct dkv_key_shape){.id = 'a'}, &err));
    store->ops->close(store);
    hurried->ops->close(hurried);
}

/* ---- Bytes ---- */

static void a_document_keeps_its_id_where_it_is(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf document = {0};
    ASSERT_OK(fresh(&store, &err));
    dkv_test_strange_key(true /* id_is_last */, &document);

    dkv_test_rename(store, dkv_span_buf(&document));

    dkv_buf_done(&document);
    store->ops->close(store);
}

/* ---- Somebody who writes the file ---- */

static enum dkv_rc ignore_count(void *arg, const struct dkv_key_count *count, struct dkv_error *err)
{
    (void)arg;
    (void)count;
    (void)err;
    return DKV_OK;
}

/* Whole rows count 100, those without a UUID 1. */
static enum dkv_rc count_foreign(void *arg, const struct dkv_uuid *id, struct dkv_span document, struct dkv_error *err)
{
    (void)document;
    (void)err;
    *(size_t *)arg += id != NULL ? 100 : 1;
    return DKV_OK;
}

static void a_row_without_a_uuid_hides_no_other(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    size_t n = 0;
    ASSERT_OK(fresh(&store, &err));
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'b'}, &err));
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'c'}, &err));
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'd'}, &err));
    tamper("PRAGMA ignore_check_constraints = ON; UPDATE keys SET id = x'63' "
           "WHERE id = x'63636363636363636363636363636363'");

    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, count_foreign, &n, &err));

    CU_ASSERT_EQUAL(n, 201);
    store->ops->close(store);
}

static enum dkv_rc count_state(void *arg, const char *key, struct dkv_span value, struct dkv_error *err)
{
    (void)key;
    (void)value;
    (void)err;
    ++*(size_t *)arg;
    return DKV_OK;
}

/* A listing goes on after the last key: one that can't be given back as it is would never end. */
static void a_state_record_whose_key_is_no_text_is_refused(void)
{
    static const char *const keys[] = {"x'63'", "CAST(x'610062' AS TEXT)"};
    for (size_t i = 0; i < DKV_COUNT(keys); i++) {
        struct dkv_error err = {0};
        struct dkv_store *store = NULL;
        size_t n = 0;
        char sql[200];
        ASSERT_OK(fresh(&store, &err));
        store->ops->close(store);
        snprintf(sql, sizeof(sql), "DROP TABLE state; CREATE TABLE state (key PRIMARY KEY, value);"
                 "INSERT INTO state VALUES ('a', x'01'), (%s, x'02')", keys[i]);
        tamper(sql);
        ASSERT_OK(again(&store, &err));

        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->state_list(store, count_state, &n, &err));

        ASSERT_SAYS("no text");
        CU_ASSERT_EQUAL(n, 1);
        store->ops->close(store);
    }
}

static void a_name_given_to_another_document_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf document = {0};
    ASSERT_OK(fresh(&store, &err));
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'a', .names = {"one"}}, &err));
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'b'}, &err));
    tamper("UPDATE alt_names SET id = x'62626262626262626262626262626262'");

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->get_by_alt_name(store, "one", &document, &err));

    ASSERT_SAYS("doesn't carry it");
    tamper("PRAGMA foreign_keys = OFF; UPDATE alt_names SET id = x'63'");
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->get_by_alt_name(store, "one", &document, &err));
    CU_ASSERT_EQUAL(document.len, 0);
    store->ops->close(store);
}

static void a_name_that_two_have_is_a_conflict_and_the_index_is_missed(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf document = {0};
    enum dkv_index_state state = DKV_INDEX_OK;
    ASSERT_OK(fresh(&store, &err));
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'a', .names = {"one"}}, &err));
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'b'}, &err));
    store->ops->close(store);
    tamper("DROP TABLE alt_names; CREATE TABLE alt_names (name TEXT, id BLOB);"
           "INSERT INTO alt_names VALUES ('one', x'61616161616161616161616161616161'), ('one', "
           "x'62626262626262626262626262626262')");
    ASSERT_OK(again(&store, &err));

    ASSERT_RC(DKV_E_CONFLICT, store->ops->get_by_alt_name(store, "one", &document, &err));
    ASSERT_SAYS("two keys");
    ASSERT_OK(store->ops->check_index(store, &state, &err));
    CU_ASSERT_EQUAL(state, DKV_INDEX_MISSING);
    ASSERT_RC(DKV_E_CONFLICT, store->ops->ensure_index(store, &err));
    tamper("DELETE FROM alt_names WHERE id = x'62626262626262626262626262626262'");
    ASSERT_OK(store->ops->ensure_index(store, &err));
    ASSERT_OK(store->ops->check_index(store, &state, &err));
    CU_ASSERT_EQUAL(state, DKV_INDEX_OK);
    store->ops->close(store);
}

static void put_u32(uint8_t *to, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        to[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

/* A rollback journal without pages that names a super-journal (www.sqlite.org/fileformat.html section 3, and the
 * record that writeSuperJournal of SQLite's pager.c appends). */
static void plant_journal(const char *super_journal)
{
    static const uint8_t magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
    const uint32_t page_len = 4096, sector_len = 512, len = (uint32_t)strlen(super_journal);
    uint8_t journal[512 + 4 + PATH_MAX + 16] = {0};
    uint32_t sum = 0;
    char path[PATH_MAX];
    struct stat info;
    CU_ASSERT_EQUAL_FATAL(stat(file, &info), 0);
    memcpy(journal, magic, sizeof(magic));
    put_u32(journal + 16, (uint32_t)info.st_size / page_len);
    put_u32(journal + 20, sector_len);
    put_u32(journal + 24, page_len);
    put_u32(journal + 512, 0x40000000 / page_len + 1);
    memcpy(journal + 516, super_journal, len);
    for (uint32_t i = 0; i < len; i++) {
        sum += (uint8_t)super_journal[i];
    }
    put_u32(journal + 516 + len, len);
    put_u32(journal + 520 + len, sum);
    memcpy(journal + 524 + len, magic, sizeof(magic));
    snprintf(path, sizeof(path), "%s-journal", strrchr(file, '/') + 1);
    (void)dkv_test_write(path, journal, 532 + len, 0600);
}

static void a_journal_in_the_folder_deletes_no_other_file(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf document = {0};
    struct stat info;
    char other[PATH_MAX];
    snprintf(other, sizeof(other), "%s", dkv_test_write("other", "of somebody else", 16, 0600));
    ASSERT_OK(fresh(&store, &err));
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'a'}, &err));
    store->ops->close(store);
    plant_journal(other);

    ASSERT_OK(again(&store, &err));
    ASSERT_OK(dkv_test_get(store, 'a', &document, &err));

    CU_ASSERT_EQUAL(stat(other, &info), 0);
    dkv_buf_done(&document);
    store->ops->close(store);
}

static void keys_without_provider_or_cmk_are_not_counted(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    ASSERT_OK(fresh(&store, &err));
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'a'}, &err));
    store->ops->close(store);
    tamper("CREATE TABLE old AS SELECT * FROM keys; DROP TABLE keys;"
           "CREATE TABLE keys (id PRIMARY KEY, document, provider, cmk, status, created, updated);"
           "INSERT INTO keys SELECT id, document, provider, NULL, status, created, updated FROM old");
    ASSERT_OK(again(&store, &err));

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, store->ops->count_by(store, ignore_count, NULL, &err));

    store->ops->close(store);
}

static void a_trigger_in_the_file_runs_nothing(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf document = {0};
    ASSERT_OK(fresh(&store, &err));
    tamper("CREATE TRIGGER evil AFTER INSERT ON keys BEGIN DELETE FROM keys; END");

    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'a'}, &err));

    ASSERT_OK(dkv_test_get(store, 'a', &document, &err));
    dkv_buf_done(&document);
    store->ops->close(store);
}

static void a_deleted_key_leaves_the_file(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    const struct dkv_uuid id = dkv_test_id('a');
    static char bytes[65536];
    ASSERT_OK(fresh(&store, &err));
    ASSERT_OK(dkv_test_insert(store, &(struct dkv_key_shape){.id = 'a', .material = "SEARCHED-FOR-LATER"}, &err));
    ASSERT_OK(store->ops->remove(store, &id, dkv_span(NULL, 0), &err));
    store->ops->close(store);

    const int fd = open(file, O_RDONLY | O_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0);
    const ssize_t len = read(fd, bytes, sizeof(bytes));
    close(fd);
    CU_ASSERT_FATAL(len > 4096);
    CU_ASSERT_PTR_NULL(memmem(bytes, (size_t)len, "SEARCHED-FOR-LATER", 18));
}

/* ---- kill -9 ---- */

static void kill_round(unsigned round, unsigned sleep_us, uint8_t *committed, size_t *n_committed)
{
    int pipe_fds[2];
    CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        struct dkv_error err = {0};
        struct dkv_store *store = NULL;
        char name[32], other[32];
        close(pipe_fds[0]);
        for (unsigned i = 0; again(&store, &err) == DKV_OK && i < 5; i++) {
            const uint8_t id = (uint8_t)(round * 5 + i);
            const struct dkv_uuid uuid = dkv_test_id(id);
            snprintf(name, sizeof(name), "a%u", id);
            snprintf(other, sizeof(other), "b%u", id);
            if (dkv_test_insert(store, &(struct dkv_key_shape){.id = id, .names = {name}}, &err) != DKV_OK ||
                write(pipe_fds[1], &id, 1) != 1 ||
                store->ops->add_alt_name(store, &uuid, other, NULL, &err) != DKV_OK ||
                store->ops->remove_alt_name(store, &uuid, name, NULL, &err) != DKV_OK) {
                _exit(1);
            }
            store->ops->close(store);
        }
        pause();
    }
    close(pipe_fds[1]);
    usleep(sleep_us);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    ssize_t got;
    while ((got = read(pipe_fds[0], committed + *n_committed, 8)) > 0) {
        *n_committed += (size_t)got;
    }
    close(pipe_fds[0]);
}

/* Each document's names are the ones that the table of names has for it, and the other way round. */
static enum dkv_rc check_names(void *arg, const struct dkv_uuid *id, struct dkv_span bytes, struct dkv_error *err)
{
    (void)id;
    struct dkv_store *store = arg;
    DKV_CLEANUP(dkv_document_done) struct dkv_document document = {0};
    DKV_TRY(dkv_document_parse(bytes, &document, err));
    DKV_CHECK(document.n_alt_names >= 1, err, DKV_E_INTERNAL, "a key without its name");
    for (size_t i = 0; i < document.n_alt_names; i++) {
        DKV_CLEANUP(dkv_buf_done) struct dkv_buf named = {0};
        DKV_TRY(store->ops->get_by_alt_name(store, document.alt_names[i], &named, err));
        DKV_CHECK(dkv_span_equal(bytes, dkv_span_buf(&named)), err, DKV_E_INTERNAL, "a name for another key");
    }
    return DKV_OK;
}

static void assert_sound(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(file, &db), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(sqlite3_step(statement), SQLITE_ROW);
    CU_ASSERT_STRING_EQUAL((const char *)sqlite3_column_text(statement, 0), "ok");
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

static void whatever_was_answered_survives_kill_9(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    uint8_t committed[512];
    size_t n_committed = 0;
    unsigned seed = (unsigned)getpid();
    ASSERT_OK(fresh(&store, &err));
    store->ops->close(store);

    for (unsigned round = 0; round < 50; round++) {
        kill_round(round, (unsigned)rand_r(&seed) % 30000, committed, &n_committed);
    }

    assert_sound();
    ASSERT_OK(again(&store, &err));
    for (size_t i = 0; i < n_committed; i++) {
        struct dkv_buf document = {0};
        ASSERT_OK(dkv_test_get(store, committed[i], &document, &err));
        dkv_buf_done(&document);
    }
    ASSERT_OK(store->ops->list(store, NULL, NULL, 0, check_names, store, &err));
    printf("# %zu inserts were answered before their process was killed\n", n_committed);
    CU_ASSERT(n_committed > 0);
    store->ops->close(store);
}

/* ---- Failing allocations ---- */

static sqlite3_mem_methods real_methods;
static size_t sqlite_allocations, sqlite_failing;

static void *failing_malloc(int size)
{
    return ++sqlite_allocations == sqlite_failing ? NULL : real_methods.xMalloc(size);
}

static void *failing_realloc(void *old, int size)
{
    return ++sqlite_allocations == sqlite_failing ? NULL : real_methods.xRealloc(old, size);
}

/* SQLite takes its allocator before it is used for the first time. */
static void set_failing_allocator(void)
{
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_methods) != SQLITE_OK) {
        return;
    }
    sqlite3_mem_methods methods = real_methods;
    methods.xMalloc = failing_malloc;
    methods.xRealloc = failing_realloc;
    (void)sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
}

/* Everything once, on one key, which it leaves as it found it: absent. */
static enum dkv_rc use_all(struct dkv_store *store, struct dkv_error *err)
{
    static const struct dkv_key_filter filter = {"mine", NULL, 0, "o", 0, 10, 0, 10};
    const struct dkv_uuid id = dkv_test_id('a');
    size_t n = 0;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf document = {0};
    DKV_TRY(dkv_test_insert(
        store,
        &(struct dkv_key_shape){.id = 'a', .provider = "mine", .names = {"one"}, .created_ms = 1, .updated_ms = 1},
        err));
    DKV_TRY(store->ops->add_alt_name(store, &id, "two", NULL, err));
    DKV_TRY(dkv_test_get(store, 'a', &document, err));
    DKV_TRY(store->ops->get_by_alt_name(store, "two", &document, err));
    DKV_TRY(store->ops->list(store, &filter, &(struct dkv_uuid){{0}}, 5, dkv_test_count, &n, err));
    DKV_CHECK(n == 1, err, DKV_E_INTERNAL, "the listing had %zu", n);
    DKV_TRY(store->ops->count_by(store, ignore_count, NULL, err));
    DKV_TRY(store->ops->set_status(store, &id, 1, NULL, err));
    DKV_TRY(store->ops->remove_alt_name(store, &id, "one", NULL, err));
    return store->ops->remove(store, &id, dkv_span(NULL, 0), err);
}

static enum dkv_rc open_and_use(void *arg, struct dkv_error *err)
{
    (void)arg;
    struct dkv_store *store = NULL;
    DKV_TRY(again(&store, err));
    const enum dkv_rc rc = use_all(store, err);
    store->ops->close(store);
    return rc;
}

static void clear_keys(void)
{
    tamper("PRAGMA foreign_keys = ON; DELETE FROM keys");
}

static void sqlite_without_memory_is_an_error(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    size_t failed = 0;
    ASSERT_OK(fresh(&store, &err));
    store->ops->close(store);

    for (size_t i = 1;; i++) {
        memset(&err, 0, sizeof(err));
        sqlite_allocations = 0;
        sqlite_failing = i;
        const enum dkv_rc rc = open_and_use(NULL, &err);
        const bool reached = sqlite_allocations >= i;
        sqlite_failing = 0;
        if (rc != DKV_OK) {
            CU_ASSERT_EQUAL(rc, DKV_E_RESOURCE);
            if (rc != DKV_E_RESOURCE) {
                dkv_test_diagnose(__FILE__, __LINE__, "allocation failed", rc, &err);
            }
            failed++;
            clear_keys();
        }
        if (!reached) {
            ASSERT_OK(rc);
            break;
        }
    }

    printf("# %zu failed allocations of SQLite were errors\n", failed);
    CU_ASSERT(failed > 50);
    assert_sound();
}

static enum dkv_rc open_and_use_cleared(void *arg, struct dkv_error *err)
{
    const enum dkv_rc rc = open_and_use(arg, err);
    clear_keys();
    return rc;
}

/* The helpers of the test itself allocate by base/mem.h: the document is made before. */
static enum dkv_rc insert_and_get(void *arg, struct dkv_error *err)
{
    struct dkv_store *store = NULL;
    const struct dkv_uuid id = dkv_test_id('a');
    const struct dkv_buf *document = arg;
    DKV_CLEANUP(dkv_buf_done) struct dkv_buf got = {0};
    size_t n = 0;
    DKV_TRY(again(&store, err));
    enum dkv_rc rc = store->ops->insert(store, dkv_span_buf(document), NULL, err);
    rc = rc == DKV_OK ? store->ops->get_by_alt_name(store, "one", &got, err) : rc;
    rc = rc == DKV_OK ? store->ops->get_many(store, &id, 1, dkv_test_count, &n, err) : rc;
    rc = rc == DKV_OK ? store->ops->list(store, NULL, NULL, 0, dkv_test_count, &n, err) : rc;
    rc = rc == DKV_OK ? store->ops->count_by(store, ignore_count, NULL, err) : rc;
    rc = rc == DKV_OK ? store->ops->add_alt_name(store, &id, "two", NULL, err) : rc;
    rc = rc == DKV_OK ? store->ops->remove_alt_name(store, &id, "one", NULL, err) : rc;
    rc = rc == DKV_OK ? store->ops->set_status(store, &id, 1, NULL, err) : rc;
    store->ops->close(store);
    clear_keys();
    return rc;
}

static void we_without_memory_are_an_error(void)
{
    struct dkv_error err = {0};
    struct dkv_store *store = NULL;
    struct dkv_buf document = {0};
    ASSERT_OK(fresh(&store, &err));
    store->ops->close(store);
    dkv_test_key(&(struct dkv_key_shape){.id = 'a', .names = {"one"}}, &document);
    ASSERT_OK(open_and_use_cleared(NULL, &err));

    const size_t failed = dkv_test_each_alloc_fails(insert_and_get, &document);

    printf("# %zu failed allocations of ours were errors\n", failed);
    CU_ASSERT(failed > 15);
    dkv_buf_done(&document);
}

int main(int argc, char **argv)
{
    static const struct dkv_store_factory factory = {.fresh = fresh, .again = again, .plant = plant};
    static const struct dkv_test tests[] = {
        DKV_TEST(a_missing_vault_is_not_found_and_not_made),
        DKV_TEST(a_vault_is_made_once_and_for_its_owner_only),
        DKV_TEST(a_strict_umask_leaves_the_owner_its_vault),
        DKV_TEST(settings_that_are_wrong_are_refused),
        DKV_TEST(a_store_setting_finds_its_kind),
        DKV_TEST(network_file_systems_are_told_from_local_ones),
        DKV_TEST(files_that_are_no_vault_are_refused),
        DKV_TEST(a_newer_or_impossible_format_is_refused),
        DKV_TEST(of_many_that_make_it_at_once_one_does),
        DKV_TEST(a_vault_that_may_only_be_read_is_denied),
        DKV_TEST(a_full_disk_loses_nothing),
        DKV_TEST(a_vault_held_by_another_is_transient),
        DKV_TEST(a_document_keeps_its_id_where_it_is),
        DKV_TEST(a_row_without_a_uuid_hides_no_other),
        DKV_TEST(a_state_record_whose_key_is_no_text_is_refused),
        DKV_TEST(a_name_given_to_another_document_is_refused),
        DKV_TEST(a_name_that_two_have_is_a_conflict_and_the_index_is_missed),
        DKV_TEST(a_journal_in_the_folder_deletes_no_other_file),
        DKV_TEST(keys_without_provider_or_cmk_are_not_counted),
        DKV_TEST(a_trigger_in_the_file_runs_nothing),
        DKV_TEST(a_deleted_key_leaves_the_file),
        DKV_TEST(whatever_was_answered_survives_kill_9),
        DKV_TEST(sqlite_without_memory_is_an_error),
        DKV_TEST(we_without_memory_are_an_error),
    };
    set_failing_allocator();
    return dkv_store_contract_main(argc, argv, &factory, tests, DKV_COUNT(tests));
}
