/* SPDX-License-Identifier: Apache-2.0 */
/* Providers at work: calls as they are made, providers that break their contract, and the scrypt plug-in end to end. */
#include "providers/instance.h"

#include <sys/wait.h>
#include <unistd.h>

#include <bson/bson.h>

#include "base/crypto.h"
#include "base/secret.h"
#include "tests/unit/plugins/plugins.h"

static const uint8_t doc_id[16] = "0123456789abcdef";
static const uint8_t other_id[16] = "0123456789abcdeF";

static struct dkv_host_base base;

/* ---- A provider that does as it is told ---- */

struct dkv_cmk {
    int unused;
};

struct dkv_provider {
    const struct dkv_host *host;
};

static struct dkv_provider liar;
static struct dkv_cmk liars_cmk;

/* What it answers. */
static struct {
    enum dkv_rc rc;              /* of the call */
    const char *words;           /* NULL: writes no error */
    enum dkv_rc words_rc;        /* the class that it writes into the error */
    bool touches;                /* whether it sets the items */
    enum dkv_rc status[4];       /* of the items */
    size_t output_len;
    bool item_words;             /* whether it fills the items' errors */
    bool gives_nothing;          /* DKV_OK, but no instance or CMK */
    bool description_is_bad;
    size_t seen;                 /* items that came */
    int closed;
} answer;

static enum dkv_rc tell(struct dkv_error *err)
{
    CU_ASSERT_PTR_NOT_NULL_FATAL(err); /* a plug-in may count on it */
    if (answer.rc != DKV_OK && answer.words != NULL) {
        err->rc = answer.words_rc;
        snprintf(err->message, sizeof(err->message), "%s", answer.words);
    }
    return answer.rc;
}

static enum dkv_rc liar_open(const struct dkv_host *host, const struct dkv_provider_settings *settings,
                             struct dkv_provider **ret, struct dkv_error *err)
{
    (void)settings;
    liar.host = host;
    *ret = answer.gives_nothing ? NULL : &liar;
    return tell(err);
}

static void liar_close(struct dkv_provider *self)
{
    (void)self;
    answer.closed++;
}

static enum dkv_rc liar_resolve_document(struct dkv_provider *self, const struct dkv_call *call,
                                         struct dkv_span master_key, struct dkv_cmk **ret, struct dkv_error *err)
{
    (void)self;
    (void)call;
    (void)master_key;
    *ret = answer.gives_nothing ? NULL : &liars_cmk;
    return tell(err);
}

static enum dkv_rc liar_resolve_reference(struct dkv_provider *self, const struct dkv_call *call, const char *reference,
                                          struct dkv_cmk **ret, struct dkv_error *err)
{
    (void)reference;
    return liar_resolve_document(self, call, dkv_span(NULL, 0), ret, err);
}

static void liar_cmk_free(struct dkv_cmk *cmk)
{
    CU_ASSERT_PTR_EQUAL(cmk, &liars_cmk);
}

static enum dkv_rc liar_describe(struct dkv_provider *self, const struct dkv_call *call, const struct dkv_cmk *cmk,
                                 struct dkv_cmk_info *ret, struct dkv_error *err)
{
    (void)self;
    (void)call;
    (void)cmk;
    ret->master_key[0] = 5;
    ret->master_key_len = 5;
    if (answer.description_is_bad) {
        memset(ret->label, 'x', sizeof(ret->label));
    }
    return tell(err);
}

static enum dkv_rc liar_run(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items,
                            size_t n, struct dkv_error *err)
{
    (void)self;
    CU_ASSERT_PTR_NOT_NULL(call);
    for (size_t i = 0; i < n && answer.touches; i++) {
        items[i].status = answer.status[answer.seen + i];
        items[i].output_len = answer.output_len;
        memset(items[i].output, 0x5a, 96);
        if (answer.item_words && items[i].status != DKV_OK && items[i].err != NULL) {
            items[i].err->rc = items[i].status;
            snprintf(items[i].err->message, sizeof(items[i].err->message), "the item's own words");
        }
    }
    answer.seen += n;
    return tell(err);
}

static const struct dkv_provider_ops liar_ops = {
    .size = sizeof(struct dkv_provider_ops),
    .abi_version = DKV_PROVIDER_ABI_VERSION,
    .type = "liar",
    .summary = "Says what it is told.",
    .open = liar_open,
    .close = liar_close,
    .resolve_document = liar_resolve_document,
    .resolve_reference = liar_resolve_reference,
    .cmk_free = liar_cmk_free,
    .describe = liar_describe,
    .wrap = liar_run,
    .unwrap = liar_run,
};

static char liar_id[] = "liar:x";
static const struct dkv_provider_entry liar_entry = {
    .ops = &liar_ops, .id = liar_id, .settings = {.id = liar_id, .file = "test.conf", .line = 2, .timeout_ms = 500}};

static struct dkv_instance *instance;
static struct dkv_secret dek, opened[4];
static uint8_t material[4][200];
static struct dkv_error item_errors[4];
static struct dkv_wrap_item items[4];

static void close_instance(void)
{
    dkv_instance_close(instance);
    instance = NULL;
}

static void arrange_secrets(void)
{
    struct dkv_error err = {0};
    dkv_secret_done(&dek);
    ASSERT_OK(dkv_secret_init(&dek, 96, &err));
    for (size_t i = 0; i < 96; i++) {
        dek.data[i] = (uint8_t)(i + 1);
    }
    for (size_t i = 0; i < 4; i++) {
        dkv_secret_done(&opened[i]);
        ASSERT_OK(dkv_secret_init(&opened[i], 96, &err));
    }
}

static void make_items(bool is_wrap, const struct dkv_cmk *cmk)
{
    for (size_t i = 0; i < 4; i++) {
        item_errors[i] = (struct dkv_error){0};
        items[i] = (struct dkv_wrap_item){
            .cmk = cmk,
            .context = dkv_span(doc_id, 16),
            .input = is_wrap ? dkv_secret_view(&dek) : dkv_span(material[i], 125),
            .output = is_wrap ? material[i] : opened[i].data,
            .output_capacity = is_wrap ? sizeof(material[i]) : 96,
            .err = &item_errors[i],
        };
    }
}

static void arrange_liar(bool is_wrap)
{
    struct dkv_error err = {0};
    close_instance();
    memset(&answer, 0, sizeof(answer));
    answer.output_len = 96;
    answer.touches = true;
    arrange_secrets();
    ASSERT_OK(dkv_instance_open(&liar_entry, &base, &instance, &err));
    make_items(is_wrap, &liars_cmk);
}

static void say(enum dkv_rc rc, const char *words)
{
    answer.rc = rc;
    answer.words_rc = rc;
    answer.words = words;
}

static enum dkv_rc run(bool is_wrap, size_t n, struct dkv_error *err)
{
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);
    return is_wrap ? dkv_instance_wrap(instance, &call, items, n, err)
                   : dkv_instance_unwrap(instance, &call, items, n, err);
}

/* An item that failed shows nothing of what the provider wrote. */
static void assert_withheld(size_t i)
{
    CU_ASSERT_EQUAL(items[i].output_len, 0);
    CU_ASSERT_EQUAL(items[i].output[0] | items[i].output[95], 0);
}

/* ---- Calls ---- */

static void a_call_ends_after_the_entrys_timeout_and_has_an_id_of_its_own(void)
{
    arrange_liar(true);

    const int64_t before = dkv_clock_real.monotonic_ms();
    const struct dkv_call one = dkv_instance_call(instance, DKV_PURPOSE_REWRAP);
    const struct dkv_call two = dkv_instance_call(instance, DKV_PURPOSE_USE);
    const int64_t after = dkv_clock_real.monotonic_ms();

    CU_ASSERT_TRUE(one.deadline_ms >= before + 500 && one.deadline_ms <= after + 500);
    CU_ASSERT_EQUAL(one.purpose, DKV_PURPOSE_REWRAP);
    CU_ASSERT_TRUE(one.cancelled == NULL);
    CU_ASSERT_TRUE(one.request_id > 0);
    CU_ASSERT_NOT_EQUAL(one.request_id, two.request_id);
}

static void an_instance_tells_what_it_was_made_from(void)
{
    arrange_liar(true);

    CU_ASSERT_STRING_EQUAL(dkv_instance_id(instance), "liar:x");
    CU_ASSERT_PTR_EQUAL(dkv_instance_ops(instance), &liar_ops);
    CU_ASSERT_PTR_EQUAL(dkv_instance_self(instance), &liar);
    close_instance();
    CU_ASSERT_EQUAL(answer.closed, 1);
}

static void an_open_that_fails_leaves_nothing_and_names_the_provider(void)
{
    struct dkv_error err = {0};
    arrange_liar(true);
    close_instance();
    answer.closed = 0;
    say(DKV_E_AUTH, "a wrong passphrase");

    ASSERT_RC(DKV_E_AUTH, dkv_instance_open(&liar_entry, &base, &instance, &err));

    ASSERT_SAYS("a wrong passphrase");
    CU_ASSERT_STRING_EQUAL(err.provider, "liar:x");
    CU_ASSERT_PTR_NULL(instance);
    CU_ASSERT_EQUAL(answer.closed, 1);
}

static void an_open_that_gives_no_instance_is_a_defect(void)
{
    struct dkv_error err = {0};
    arrange_liar(true);
    close_instance();
    answer.gives_nothing = true;

    ASSERT_RC(DKV_E_INTERNAL, dkv_instance_open(&liar_entry, &base, &instance, &err));

    CU_ASSERT_PTR_NULL(instance);
}

static void what_a_provider_lacks_is_invalid(void)
{
    static struct dkv_cmk_info info;
    struct dkv_error err = {0};
    arrange_liar(true);
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_CHECK);

    ASSERT_RC(DKV_E_INVALID, dkv_instance_check(instance, &call, &err));
    ASSERT_RC(DKV_E_INVALID, dkv_instance_list_cmks(instance, &call, NULL, NULL, &err));
    ASSERT_RC(DKV_E_INVALID, dkv_instance_create_cmk(instance, &call, &(struct dkv_cmk_request){0}, &info, &err));

    CU_ASSERT_STRING_EQUAL(err.provider, "liar:x");
    ASSERT_RC(DKV_E_INVALID, dkv_instance_check(instance, &call, NULL));
}

/* ---- Errors that make no sense ---- */

static void a_failure_without_words_gets_some(void)
{
    struct dkv_error err = {0};
    struct dkv_cmk *cmk = NULL;
    arrange_liar(true);
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);
    say(DKV_E_DENIED, NULL);

    ASSERT_RC(DKV_E_DENIED, dkv_instance_resolve_reference(instance, &call, NULL, &cmk, &err));

    CU_ASSERT_PTR_NULL(cmk);
    CU_ASSERT_EQUAL(err.rc, DKV_E_DENIED);
    ASSERT_SAYS("gave no reason");
    CU_ASSERT_STRING_EQUAL(err.provider, "liar:x");
}

static void a_result_that_is_no_class_is_a_defect(void)
{
    static const int odd[] = {1, 7, -16, -1000};
    for (size_t i = 0; i < DKV_COUNT(odd); i++) {
        struct dkv_error err = {0};
        struct dkv_cmk *cmk = NULL;
        arrange_liar(true);
        struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);
        answer.rc = (enum dkv_rc)odd[i];

        ASSERT_RC(DKV_E_INTERNAL, dkv_instance_resolve_document(instance, &call, dkv_span(doc_id, 16), &cmk, &err));

        CU_ASSERT_EQUAL(err.rc, DKV_E_INTERNAL);
        ASSERT_SAYS("no error class");
    }
}

static void an_error_of_another_class_than_the_result_goes_by_the_result(void)
{
    struct dkv_error err = {0};
    struct dkv_cmk *cmk = NULL;
    arrange_liar(true);
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);
    say(DKV_E_POLICY, "words");
    answer.words_rc = DKV_E_TRANSIENT;

    ASSERT_RC(DKV_E_POLICY, dkv_instance_resolve_reference(instance, &call, NULL, &cmk, &err));

    CU_ASSERT_EQUAL(err.rc, DKV_E_POLICY);
}

static void an_errors_words_become_one_line(void)
{
    struct dkv_error err = {0};
    struct dkv_cmk *cmk = NULL;
    arrange_liar(true);
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);
    say(DKV_E_POLICY, "refused\nforged \x1b[2J");

    ASSERT_RC(DKV_E_POLICY, dkv_instance_resolve_reference(instance, &call, NULL, &cmk, &err));

    ASSERT_SAYS("refused");
    CU_ASSERT_PTR_NULL(strpbrk(err.message, "\n\x1b"));
}

static void a_cmk_that_is_not_given_is_a_defect(void)
{
    struct dkv_error err = {0};
    struct dkv_cmk *cmk = NULL;
    arrange_liar(true);
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);
    answer.gives_nothing = true;

    ASSERT_RC(DKV_E_INTERNAL, dkv_instance_resolve_reference(instance, &call, NULL, &cmk, &err));

    dkv_instance_cmk_free(instance, NULL);
}

static void a_description_that_makes_no_sense_is_withheld(void)
{
    static struct dkv_cmk_info info;
    struct dkv_error err = {0};
    arrange_liar(true);
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);
    info.label[0] = 'u';

    ASSERT_OK(dkv_instance_describe(instance, &call, &liars_cmk, &info, &err));
    CU_ASSERT_EQUAL(info.label[0], '\0');
    answer.description_is_bad = true;
    ASSERT_RC(DKV_E_INTERNAL, dkv_instance_describe(instance, &call, &liars_cmk, &info, &err));

    CU_ASSERT_EQUAL(info.label[0], '\0');
    ASSERT_SAYS("makes no sense");
}

/* ---- Batches: what the caller owes ---- */

#define ASSERT_ITEM_REFUSED(is_wrap, class, words, change)                   \
    do {                                                                     \
        struct dkv_error err = {0};                                          \
        arrange_liar(is_wrap);                                               \
        change;                                                              \
        ASSERT_RC(class, run(is_wrap, 3, &err));                             \
        ASSERT_SAYS(words);                                                  \
        CU_ASSERT_STRING_EQUAL(err.provider, "liar:x");                      \
        CU_ASSERT_EQUAL(items[1].status, (class));                           \
        CU_ASSERT_EQUAL(items[1].output_len, 0);                             \
        CU_ASSERT_EQUAL(items[0].status, DKV_OK);                            \
        CU_ASSERT_EQUAL(items[2].status, DKV_OK);                            \
        CU_ASSERT_EQUAL(answer.seen, 2); /* the provider never saw it */     \
    } while (0)

static void a_malformed_item_never_reaches_the_provider(void)
{
    static uint8_t ordinary[96];
    ASSERT_ITEM_REFUSED(true, DKV_E_INVALID, "no CMK", items[1].cmk = NULL);
    ASSERT_ITEM_REFUSED(true, DKV_E_INVALID, "no output", items[1].output = NULL);
    ASSERT_ITEM_REFUSED(true, DKV_E_INVALID, "no input", items[1].input.data = NULL);
    ASSERT_ITEM_REFUSED(true, DKV_E_INVALID, "not 95", items[1].input.len = 95);
    ASSERT_ITEM_REFUSED(true, DKV_E_INVALID, "not 97", items[1].input.len = 97);
    ASSERT_ITEM_REFUSED(true, DKV_E_INVALID, "no room", items[1].output_capacity = 0);
    ASSERT_ITEM_REFUSED(true, DKV_E_INVALID, "context is 15", items[1].context.len = 15);
    ASSERT_ITEM_REFUSED(true, DKV_E_INVALID, "context is 0", items[1].context.len = 0);
    ASSERT_ITEM_REFUSED(true, DKV_E_INVALID, "secret memory", items[1].input.data = ordinary);
    ASSERT_ITEM_REFUSED(false, DKV_E_INVALID, "secret memory", items[1].output = ordinary);
    ASSERT_ITEM_REFUSED(false, DKV_E_INVALID, "no room", items[1].output_capacity = 95);
    ASSERT_ITEM_REFUSED(false, DKV_E_REJECTED_CIPHERTEXT, "0 bytes long", items[1].input.len = 0);
    ASSERT_ITEM_REFUSED(false, DKV_E_REJECTED_CIPHERTEXT, "8193 bytes long", items[1].input.len = 8193);
    ASSERT_ITEM_REFUSED(true, DKV_E_INVALID, "not 95", (items[1].input.len = 95, items[1].err = NULL));
}

static void a_check_record_has_no_context(void)
{
    struct dkv_error err = {0};
    arrange_liar(true);
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_CHECK);

    ASSERT_RC(DKV_E_INVALID, dkv_instance_wrap(instance, &call, items, 1, &err));
    items[0].context = dkv_span(NULL, 0);
    ASSERT_OK(dkv_instance_wrap(instance, &call, items, 1, &err));
}

static void an_empty_batch_is_done_without_the_provider(void)
{
    struct dkv_error err = {0};
    arrange_liar(true);
    say(DKV_E_AUTH, "no login");

    ASSERT_OK(run(true, 0, &err));
}

/* ---- Batches: what the provider owes ---- */

static void a_batch_that_succeeds_is_passed_on(void)
{
    struct dkv_error err = {0};
    arrange_liar(false);

    ASSERT_OK(run(false, 4, &err));

    for (size_t i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(items[i].status, DKV_OK);
        CU_ASSERT_EQUAL(items[i].output_len, 96);
        CU_ASSERT_EQUAL(opened[i].data[0], 0x5a);
    }
}

static void an_output_length_that_cannot_be_is_a_defect_and_wiped(void)
{
    static const struct {
        bool is_wrap;
        size_t output_len;
    } lies[] = {{true, 0}, {true, 201}, {true, SIZE_MAX}, {false, 0}, {false, 95}, {false, 97}, {false, SIZE_MAX}};
    for (size_t i = 0; i < DKV_COUNT(lies); i++) {
        struct dkv_error err = {0};
        arrange_liar(lies[i].is_wrap);
        answer.output_len = lies[i].output_len;

        ASSERT_RC(DKV_E_INTERNAL, run(lies[i].is_wrap, 2, &err));

        ASSERT_SAYS("which can't be");
        assert_withheld(0);
        assert_withheld(1);
        CU_ASSERT_STRING_EQUAL(item_errors[1].provider, "liar:x");
    }
}

static void success_with_a_failed_item_is_a_failure(void)
{
    struct dkv_error err = {0};
    arrange_liar(false);
    answer.status[1] = DKV_E_DISABLED;

    ASSERT_RC(DKV_E_DISABLED, run(false, 3, &err));

    CU_ASSERT_EQUAL(items[0].status, DKV_OK);
    CU_ASSERT_EQUAL(items[2].status, DKV_OK);
    assert_withheld(1);
    CU_ASSERT_EQUAL(item_errors[1].rc, DKV_E_DISABLED);
    CU_ASSERT_STRING_EQUAL(err.provider, "liar:x");
}

static void failure_with_items_that_all_succeeded_is_a_defect(void)
{
    struct dkv_error err = {0};
    arrange_liar(false);
    say(DKV_E_TRANSIENT, "the batch failed");

    ASSERT_RC(DKV_E_INTERNAL, run(false, 2, &err));

    assert_withheld(0);
    assert_withheld(1);
    CU_ASSERT_EQUAL(items[1].status, DKV_E_INTERNAL);
}

static void items_that_were_passed_over_are_a_defect(void)
{
    struct dkv_error err = {0};
    arrange_liar(false);
    answer.touches = false;

    ASSERT_RC(DKV_E_INTERNAL, run(false, 2, &err));

    ASSERT_SAYS("passed over");
    assert_withheld(1);
}

static void a_provider_that_gives_up_early_has_failed_each_item(void)
{
    struct dkv_error err = {0};
    arrange_liar(true);
    answer.touches = false;
    say(DKV_E_AUTH, "no login");

    ASSERT_RC(DKV_E_AUTH, run(true, 3, &err));

    ASSERT_SAYS("no login");
    for (size_t i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(items[i].status, DKV_E_AUTH);
        CU_ASSERT_STRING_EQUAL(item_errors[i].message, "no login");
        CU_ASSERT_STRING_EQUAL(item_errors[i].provider, "liar:x");
    }
}

static void the_first_items_failure_is_the_batchs(void)
{
    struct dkv_error err = {0};
    arrange_liar(true);
    answer.status[1] = DKV_E_NOT_FOUND;
    answer.status[2] = DKV_E_THROTTLED;
    answer.item_words = true;
    say(DKV_E_THROTTLED, "the batch's words");

    ASSERT_RC(DKV_E_NOT_FOUND, run(true, 3, &err));

    CU_ASSERT_EQUAL(err.rc, DKV_E_NOT_FOUND);
    ASSERT_SAYS("the item's own words");
}

static void without_errors_of_their_own_items_keep_their_status(void)
{
    struct dkv_error err = {0};
    arrange_liar(true);
    for (size_t i = 0; i < 4; i++) {
        items[i].err = NULL;
    }
    answer.status[0] = (enum dkv_rc)5;
    answer.status[2] = DKV_E_THROTTLED;

    ASSERT_RC(DKV_E_INTERNAL, run(true, 4, &err));

    CU_ASSERT_EQUAL(items[0].status, DKV_E_INTERNAL);
    CU_ASSERT_EQUAL(items[1].status, DKV_OK);
    CU_ASSERT_EQUAL(items[2].status, DKV_E_THROTTLED);
    ASSERT_SAYS("no error class");
    ASSERT_RC(DKV_E_INTERNAL, (answer.seen = 0, run(true, 4, NULL)));
}

/* ---- The scrypt plug-in, end to end ---- */

static struct dkv_node *root;
static struct dkv_provider_entry *entry;

static void close_scrypt(void)
{
    close_instance();
    dkv_provider_entry_free(entry);
    dkv_node_free(root);
    entry = NULL;
    root = NULL;
}

/* cost 10 keeps the tests quick. */
static enum dkv_rc open_scrypt(const char *passphrase, const char *salt, struct dkv_error *err)
{
    static char text[8192];
    struct dkv_faults faults = {0};
    unsigned line = 0;
    close_scrypt();
    snprintf(text, sizeof(text),
             "providers:\n  scrypt:x:\n    plugin: %s\n    passphrase-source: file:%s\n    salt: %s\n    cost: 10\n",
             plugin_copy(PLUGIN_SCRYPT, "scrypt.so", 0600),
             dkv_test_write("passphrase", passphrase, strlen(passphrase), 0600), salt);
    DKV_TRY(dkv_yaml_parse(dkv_span_str(text), "test.conf", &root, &line, err));
    DKV_TRY(dkv_provider_entry_read(root->first->first, "test.conf", &entry, &faults, err));
    CU_ASSERT_EQUAL_FATAL(faults.n, 0);
    return dkv_instance_open(entry, &base, &instance, err);
}

#define SALT "000102030405060708090a0b0c0d0e0f"

static struct dkv_cmk *scrypt_cmk(void)
{
    struct dkv_error err = {0};
    struct dkv_cmk *cmk = NULL;
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);
    ASSERT_OK(dkv_instance_resolve_reference(instance, &call, NULL, &cmk, &err));
    return cmk;
}

/* An open plug-in, and items[0] wrapped into material[0]. */
static void arrange_scrypt(void)
{
    struct dkv_error err = {0};
    arrange_secrets();
    ASSERT_OK(open_scrypt("correct horse battery staple\n", SALT, &err));
    make_items(true, scrypt_cmk());
    ASSERT_OK(run(true, 1, &err));
    CU_ASSERT_EQUAL_FATAL(items[0].output_len, 125);
    make_items(false, scrypt_cmk());
}

static void a_plugin_wraps_and_unwraps(void)
{
    struct dkv_error err = {0};
    arrange_scrypt();

    ASSERT_OK(run(false, 1, &err));

    CU_ASSERT_EQUAL(memcmp(opened[0].data, dek.data, 96), 0);
    CU_ASSERT_EQUAL(material[0][0], 1);
}

static void moved_key_material_is_refused(void)
{
    struct dkv_error err = {0};
    arrange_scrypt();
    items[0].context = dkv_span(other_id, 16);

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, run(false, 1, &err));

    ASSERT_SAYS("moved from another document");
    CU_ASSERT_STRING_EQUAL(err.provider, "scrypt:x");
    assert_withheld(0);
}

static void every_flipped_bit_is_rejected(void)
{
    arrange_scrypt();
    for (size_t bit = 0; bit < 125 * 8; bit++) {
        struct dkv_error err = {0};
        material[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, run(false, 1, &err));
        assert_withheld(0);
        material[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void every_other_length_is_rejected(void)
{
    arrange_scrypt();
    for (size_t len = 0; len <= sizeof(material[0]); len++) {
        struct dkv_error err = {0};
        items[0].input.len = len;
        if (len != 125) {
            ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, run(false, 1, &err));
        }
    }
}

static void room_for_124_bytes_is_too_little(void)
{
    struct dkv_error err = {0};
    arrange_scrypt();
    make_items(true, scrypt_cmk());
    items[0].output_capacity = 124;

    ASSERT_RC(DKV_E_INVALID, run(true, 1, &err));
}

static void the_cmk_comes_back_from_the_same_passphrase_only(void)
{
    static struct dkv_cmk_info info;
    struct dkv_error err = {0};
    struct dkv_cmk *cmk = NULL;
    arrange_scrypt();
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);
    ASSERT_OK(dkv_instance_describe(instance, &call, scrypt_cmk(), &info, &err));
    CU_ASSERT_EQUAL(info.capabilities, (uint32_t)(DKV_CAP_BOUND | DKV_CAP_AUTHENTIC));
    const struct dkv_span master_key = dkv_span(info.master_key, info.master_key_len);

    ASSERT_OK(open_scrypt("correct horse battery staple", SALT, &err));
    ASSERT_OK(dkv_instance_resolve_document(instance, &call, master_key, &cmk, &err));
    make_items(false, cmk);
    ASSERT_OK(run(false, 1, &err));
    CU_ASSERT_EQUAL(memcmp(opened[0].data, dek.data, 96), 0);

    cmk = NULL;
    ASSERT_OK(open_scrypt("wrong horse", SALT, &err));
    ASSERT_RC(DKV_E_POLICY, dkv_instance_resolve_document(instance, &call, master_key, &cmk, &err));
    ASSERT_OK(open_scrypt("correct horse battery staple", "01" SALT, &err));
    ASSERT_RC(DKV_E_POLICY, dkv_instance_resolve_document(instance, &call, master_key, &cmk, &err));
    ASSERT_SAYS("another passphrase, salt or cost");
    make_items(false, scrypt_cmk());
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, run(false, 1, &err));
}

/* scrypt("correct horse battery staple", 00..0f, N = 1024, r = 8, p = 1), bytes 32 to 47: by hashlib. */
static void the_key_id_is_what_another_scrypt_says(void)
{
    static struct dkv_cmk_info info;
    struct dkv_error err = {0};
    arrange_scrypt();
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);

    ASSERT_OK(dkv_instance_describe(instance, &call, scrypt_cmk(), &info, &err));

    CU_ASSERT_STRING_EQUAL(info.key_id, "{ \"provider\" : \"scrypt:x\", \"keyId\" : "
                                        "\"be400f4cca79be4e27f166cf4fc7c2ac\" }");
}

/* The same call's 48 bytes: CMK, keyId. */
static const uint8_t derived[48] = {
    0x9a, 0x9f, 0x74, 0xcc, 0x44, 0x1d, 0xe5, 0x71, 0xa1, 0x8c, 0x4b, 0xf8, 0x58, 0x0a, 0xd5, 0x1f,
    0x86, 0x74, 0x5d, 0x14, 0xb3, 0x90, 0x65, 0xad, 0x24, 0xad, 0x92, 0xfc, 0x05, 0xc9, 0x95, 0x15,
    0xbe, 0x40, 0x0f, 0x4c, 0xca, 0x79, 0xbe, 0x4e, 0x27, 0xf1, 0x66, 0xcf, 0x4f, 0xc7, 0xc2, 0xac,
};

static void key_material_opens_by_its_documented_layout_alone(void)
{
    struct dkv_error err = {0};
    struct dkv_buf aad = {0};
    uint8_t plain[96];
    arrange_scrypt();
    ASSERT_OK(dkv_buf_append(&aad, dkv_span("dekvault-scrypt/1\0\0\x10", 20), &err));
    ASSERT_OK(dkv_buf_append(&aad, dkv_span(derived + 32, 16), &err));
    ASSERT_OK(dkv_buf_append(&aad, dkv_span("\0\x10", 2), &err));
    ASSERT_OK(dkv_buf_append(&aad, dkv_span(doc_id, 16), &err));

    ASSERT_OK(dkv_gcm_open(derived, dkv_span(material[0] + 1, 12), dkv_span_buf(&aad), dkv_span(material[0] + 13, 96),
                           material[0] + 109, plain, &err));

    CU_ASSERT_EQUAL(memcmp(plain, dek.data, 96), 0);
    dkv_buf_done(&aad);
}

static void a_foreign_or_malformed_master_key_is_refused(void)
{
    static const struct {
        const char *provider, *field, *key_id;
        enum dkv_rc rc;
    } bad[] = {
        {"scrypt", "keyId", "be400f4cca79be4e27f166cf4fc7c2ac", DKV_E_POLICY},
        {"scrypt:x", "keyId", "", DKV_E_POLICY},
        {"scrypt:x", "keyID", "be400f4cca79be4e27f166cf4fc7c2ac", DKV_E_REJECTED_CIPHERTEXT},
    };
    arrange_scrypt();
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);
    for (size_t i = 0; i < DKV_COUNT(bad); i++) {
        struct dkv_error err = {0};
        struct dkv_cmk *cmk = NULL;
        bson_t *document = BCON_NEW("provider", BCON_UTF8(bad[i].provider), bad[i].field, BCON_UTF8(bad[i].key_id));
        ASSERT_RC(bad[i].rc, dkv_instance_resolve_document(instance, &call,
                                                           dkv_span(bson_get_data(document), document->len), &cmk,
                                                           &err));
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT,
                  dkv_instance_resolve_document(instance, &call, dkv_span(bson_get_data(document), document->len - 1),
                                                &cmk, &err));
        bson_destroy(document);
    }
}

static void an_unknown_reference_is_not_found(void)
{
    struct dkv_error err = {0};
    struct dkv_cmk *cmk = NULL;
    arrange_scrypt();
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);

    ASSERT_RC(DKV_E_NOT_FOUND, dkv_instance_resolve_reference(instance, &call, "x", &cmk, &err));
    ASSERT_OK(dkv_instance_resolve_reference(instance, &call, "be400f4cca79be4e27f166cf4fc7c2ac", &cmk, &err));
}

static void a_salt_that_is_short_or_no_hexadecimal_is_refused(void)
{
    static const char *const bad[] = {"000102030405060708090a0b0c0d0e", "zz0102030405060708090a0b0c0d0e0f",
                                      "00010203040506070809a0b0c0d0e0f"};
    for (size_t i = 0; i < DKV_COUNT(bad); i++) {
        struct dkv_error err = {0};
        char quoted[200];
        snprintf(quoted, sizeof(quoted), "'%s'", bad[i]);
        ASSERT_RC(DKV_E_CONFIG, open_scrypt("passphrase", quoted, &err));
        ASSERT_SAYS("test.conf:5: salt");
    }
}

static int unwrap_in_child(void)
{
    struct dkv_error err = {0};
    struct dkv_secret fresh = {0};
    if (dkv_secret_init(&fresh, 96, &err) != DKV_OK) {
        return 2;
    }
    items[0].output = fresh.data;
    const enum dkv_rc rc = run(false, 1, &err);
    dkv_secret_done(&fresh);
    return rc == DKV_E_INVALID && strstr(err.message, "open the vault again in the child") != NULL ? 0 : 3;
}

static void after_a_fork_the_child_is_told_to_open_again(void)
{
    int status = 0;
    arrange_scrypt();

    const pid_t child = fork();
    if (child == 0) {
        _exit(unwrap_in_child());
    }

    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_call_ends_after_the_entrys_timeout_and_has_an_id_of_its_own),
        DKV_TEST(an_instance_tells_what_it_was_made_from),
        DKV_TEST(an_open_that_fails_leaves_nothing_and_names_the_provider),
        DKV_TEST(an_open_that_gives_no_instance_is_a_defect),
        DKV_TEST(what_a_provider_lacks_is_invalid),
        DKV_TEST(a_failure_without_words_gets_some),
        DKV_TEST(a_result_that_is_no_class_is_a_defect),
        DKV_TEST(an_error_of_another_class_than_the_result_goes_by_the_result),
        DKV_TEST(an_errors_words_become_one_line),
        DKV_TEST(a_cmk_that_is_not_given_is_a_defect),
        DKV_TEST(a_description_that_makes_no_sense_is_withheld),
        DKV_TEST(a_malformed_item_never_reaches_the_provider),
        DKV_TEST(a_check_record_has_no_context),
        DKV_TEST(an_empty_batch_is_done_without_the_provider),
        DKV_TEST(a_batch_that_succeeds_is_passed_on),
        DKV_TEST(an_output_length_that_cannot_be_is_a_defect_and_wiped),
        DKV_TEST(success_with_a_failed_item_is_a_failure),
        DKV_TEST(failure_with_items_that_all_succeeded_is_a_defect),
        DKV_TEST(items_that_were_passed_over_are_a_defect),
        DKV_TEST(a_provider_that_gives_up_early_has_failed_each_item),
        DKV_TEST(the_first_items_failure_is_the_batchs),
        DKV_TEST(without_errors_of_their_own_items_keep_their_status),
        DKV_TEST(a_plugin_wraps_and_unwraps),
        DKV_TEST(moved_key_material_is_refused),
        DKV_TEST(every_flipped_bit_is_rejected),
        DKV_TEST(every_other_length_is_rejected),
        DKV_TEST(room_for_124_bytes_is_too_little),
        DKV_TEST(the_cmk_comes_back_from_the_same_passphrase_only),
        DKV_TEST(the_key_id_is_what_another_scrypt_says),
        DKV_TEST(key_material_opens_by_its_documented_layout_alone),
        DKV_TEST(a_foreign_or_malformed_master_key_is_refused),
        DKV_TEST(an_unknown_reference_is_not_found),
        DKV_TEST(a_salt_that_is_short_or_no_hexadecimal_is_refused),
        DKV_TEST(after_a_fork_the_child_is_told_to_open_again),
    };
    const int status = dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
    close_scrypt();
    dkv_secret_done(&dek);
    for (size_t i = 0; i < 4; i++) {
        dkv_secret_done(&opened[i]);
    }
    return status;
}
