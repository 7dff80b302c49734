/* SPDX-License-Identifier: Apache-2.0 */
/* The `local` provider through an instance, against a model of MongoDB's format made here from OpenSSL alone. */
#include "providers/local/local.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bson/bson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "base/secret.h"
#include "providers/instance.h"
#include "tests/lib/test.h"

/* The CMK is 0, 3, 6 ... 285; its last byte is 29, no newline. */
static uint8_t cmk_bytes[96];
static const uint8_t doc_id[16] = "0123456789abcdef";

static struct dkv_host_base base;
static struct dkv_value values[1];
static struct dkv_provider_entry entry;
static struct dkv_instance *instance;
static struct dkv_secret dek, opened;

static enum dkv_rc open_from(const char *path, bool allow_group_read, struct dkv_error *err)
{
    static char source[4200];
    snprintf(source, sizeof(source), "file:%s", path);
    values[0] = (struct dkv_value){.is_set = true, .text = source, .line = 3};
    static char id[] = "local:dev";
    entry = (struct dkv_provider_entry){
        .ops = &dkv_local_ops,
        .id = id,
        .settings = {.id = id, .file = "test.conf", .line = 2, .timeout_ms = 1000,
                     .allow_group_read = allow_group_read, .values = values},
    };
    dkv_instance_close(instance);
    instance = NULL;
    return dkv_instance_open(&entry, &base, &instance, err);
}

/* An open instance and a DEK of 96 known bytes. */
static void arrange(void)
{
    struct dkv_error err = {0};
    for (size_t i = 0; i < sizeof(cmk_bytes); i++) {
        cmk_bytes[i] = (uint8_t)(3 * i);
    }
    ASSERT_OK(open_from(dkv_test_write("local.key", cmk_bytes, sizeof(cmk_bytes), 0600), false, &err));
    dkv_secret_done(&dek);
    dkv_secret_done(&opened);
    ASSERT_OK(dkv_secret_init(&dek, 96, &err));
    ASSERT_OK(dkv_secret_init(&opened, 96, &err));
    for (size_t i = 0; i < 96; i++) {
        dek.data[i] = (uint8_t)(255 - i);
    }
}

static struct dkv_cmk *resolved(void)
{
    struct dkv_error err = {0};
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);
    struct dkv_cmk *cmk = NULL;
    ASSERT_OK(dkv_instance_resolve_reference(instance, &call, NULL, &cmk, &err));
    return cmk;
}

static enum dkv_rc wrap_into(uint8_t *material, size_t capacity, size_t *ret_len, struct dkv_error *err)
{
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_CREATE);
    struct dkv_wrap_item item = {.cmk = resolved(),
                                 .context = dkv_span(doc_id, 16),
                                 .input = dkv_secret_view(&dek),
                                 .output = material,
                                 .output_capacity = capacity};
    const enum dkv_rc rc = dkv_instance_wrap(instance, &call, &item, 1, err);
    *ret_len = item.output_len;
    return rc;
}

static enum dkv_rc unwrap_from(const uint8_t *material, size_t len, struct dkv_error *err)
{
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);
    struct dkv_wrap_item item = {.cmk = resolved(),
                                 .context = dkv_span(doc_id, 16),
                                 .input = dkv_span(material, len),
                                 .output = opened.data,
                                 .output_capacity = 96};
    memset(opened.data, 0x5a, 96);
    const enum dkv_rc rc = dkv_instance_unwrap(instance, &call, &item, 1, err);
    CU_ASSERT_EQUAL_FATAL(item.status, rc);
    CU_ASSERT_EQUAL_FATAL(item.output_len, rc == DKV_OK ? 96 : 0);
    return rc;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

/* ---- The model ---- */

/* S = AES-256-CBC(CMK[32:64], IV, PKCS7(DEK)), T = HMAC-SHA-512(CMK[0:32], IV | S | 0 as 64 bits)[0:32] */

static void model_seal(const uint8_t key[96], const uint8_t iv[16], const uint8_t *plain, int plain_len,
                       uint8_t *sealed)
{
    uint8_t mac_input[512] = {0};
    uint8_t mac[64];
    unsigned mac_len = 0;
    int len = 0, last = 0;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    memcpy(sealed, iv, 16);
    CU_ASSERT_EQUAL_FATAL(EVP_EncryptInit_ex(context, EVP_aes_256_cbc(), NULL, key + 32, iv), 1);
    CU_ASSERT_EQUAL_FATAL(EVP_EncryptUpdate(context, sealed + 16, &len, plain, plain_len), 1);
    CU_ASSERT_EQUAL_FATAL(EVP_EncryptFinal_ex(context, sealed + 16 + len, &last), 1);
    EVP_CIPHER_CTX_free(context);
    const size_t body = 16 + (size_t)len + (size_t)last;
    memcpy(mac_input, sealed, body);
    CU_ASSERT_PTR_NOT_NULL_FATAL(HMAC(EVP_sha512(), key, 32, mac_input, body + 8, mac, &mac_len));
    memcpy(sealed + body, mac, 32);
}

/* ---- Opening ---- */

static void a_key_of_96_bytes_is_read_whatever_its_last_byte(void)
{
    static const char *const ends[] = {"\n", "\r\n", "=", "\0"};
    for (size_t i = 0; i < DKV_COUNT(ends); i++) {
        struct dkv_error err = {0};
        uint8_t key[96], material[160], sealed[160];
        size_t len = 0;
        arrange();
        memset(key, 'A', sizeof(key));
        memcpy(key + (i == 1 ? 94 : 95), ends[i], i == 1 ? 2 : 1);

        ASSERT_OK(open_from(dkv_test_write("end.key", key, 96, 0600), false, &err));

        ASSERT_OK(wrap_into(material, sizeof(material), &len, &err));
        model_seal(key, material, dek.data, 96, sealed);
        CU_ASSERT_EQUAL(memcmp(material, sealed, 160), 0);
    }
}

static void the_base64_of_a_key_is_the_key(void)
{
    static const char *const ends[] = {"", "\n", "\r\n"};
    for (size_t i = 0; i < DKV_COUNT(ends); i++) {
        struct dkv_error err = {0};
        struct dkv_buf text = {0};
        uint8_t sealed[160];
        arrange();
        ASSERT_OK(dkv_to_base64(dkv_span(cmk_bytes, 96), &text, &err));
        ASSERT_OK(dkv_buf_append_str(&text, ends[i], &err));

        ASSERT_OK(open_from(dkv_test_write("base64.key", text.data, text.len, 0400), false, &err));

        model_seal(cmk_bytes, doc_id, dek.data, 96, sealed);
        ASSERT_OK(unwrap_from(sealed, 160, &err));
        CU_ASSERT_EQUAL(memcmp(opened.data, dek.data, 96), 0);
        dkv_buf_done(&text);
    }
}

static void a_key_of_any_other_length_is_refused_without_its_contents(void)
{
    static const size_t lens[] = {1, 32, 64, 95, 97, 98, 127, 128, 129, 130, 131, 192, 1024};
    for (size_t i = 0; i < DKV_COUNT(lens); i++) {
        struct dkv_error err = {0};
        char key[1025];
        memset(key, '!', sizeof(key)); /* 128 of them are no base64 */

        ASSERT_RC(DKV_E_CONFIG, open_from(dkv_test_write("odd.key", key, lens[i], 0600), false, &err));

        CU_ASSERT_PTR_NULL(instance);
        ASSERT_SAYS("odd.key");
        ASSERT_SAYS("96 bytes");
        CU_ASSERT_PTR_NULL(strstr(err.message, "!!"));
        CU_ASSERT_STRING_EQUAL(err.provider, "local:dev");
    }
}

static void a_raw_key_with_a_newline_behind_it_is_refused(void)
{
    struct dkv_error err = {0};
    uint8_t key[97] = {0};
    key[96] = '\n';

    ASSERT_RC(DKV_E_CONFIG, open_from(dkv_test_write("newline.key", key, 97, 0600), false, &err));
}

static void base64_with_two_newlines_or_of_95_bytes_is_refused(void)
{
    struct dkv_error err = {0};
    struct dkv_buf text = {0};
    uint8_t key[95] = {0};
    ASSERT_OK(dkv_to_base64(dkv_span(key, 95), &text, &err));
    CU_ASSERT_EQUAL_FATAL(text.len, 128);

    ASSERT_RC(DKV_E_CONFIG, open_from(dkv_test_write("b.key", text.data, text.len, 0600), false, &err));

    char two[130];
    memset(two, 'A', 128);
    memcpy(two + 128, "\n\n", 2);
    ASSERT_RC(DKV_E_CONFIG, open_from(dkv_test_write("b.key", two, 130, 0600), false, &err));
    dkv_buf_done(&text);
}

static void an_empty_or_missing_key_file_is_refused(void)
{
    struct dkv_error err = {0};

    ASSERT_RC(DKV_E_CONFIG, open_from(dkv_test_write("empty.key", "", 0, 0600), false, &err));
    ASSERT_RC(DKV_E_CONFIG, open_from(dkv_test_path("none.key"), false, &err));

    ASSERT_SAYS("none.key");
}

static void a_key_file_that_the_group_may_read_needs_permission(void)
{
    struct dkv_error err = {0};
    arrange();
    const char *path = dkv_test_write("group.key", cmk_bytes, 96, 0640);

    ASSERT_RC(DKV_E_CONFIG, open_from(path, false, &err));
    ASSERT_SAYS("group.key");
    ASSERT_OK(open_from(path, true, &err));
}

static void a_key_file_with_more_bits_is_refused_even_with_permission(void)
{
    static const unsigned modes[] = {0660, 0644, 0604, 0602, 0601, 0666};
    for (size_t i = 0; i < DKV_COUNT(modes); i++) {
        struct dkv_error err = {0};
        ASSERT_RC(DKV_E_CONFIG, open_from(dkv_test_write("wide.key", cmk_bytes, 96, modes[i]), true, &err));
    }
}

static void a_key_file_of_another_user_is_refused(void)
{
    struct dkv_error err = {0};
    if (geteuid() != 0) {
        dkv_test_skip("only root can give a file away");
        return;
    }
    const char *path = dkv_test_write("other.key", cmk_bytes, 96, 0600);
    CU_ASSERT_EQUAL_FATAL(chown(path, 65534, 65534), 0);

    ASSERT_RC(DKV_E_CONFIG, open_from(path, false, &err));
}

/* ---- Which CMK ---- */

static enum dkv_rc resolve(const bson_t *master_key, size_t cut, struct dkv_error *err)
{
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);
    struct dkv_cmk *cmk = NULL;
    const enum dkv_rc rc =
        dkv_instance_resolve_document(instance, &call, dkv_span(bson_get_data(master_key), master_key->len - cut),
                                      &cmk, err);
    CU_ASSERT_EQUAL_FATAL(rc == DKV_OK, cmk != NULL);
    dkv_instance_cmk_free(instance, cmk);
    return rc;
}

static void the_documents_own_provider_is_found(void)
{
    struct dkv_error err = {0};
    arrange();
    bson_t *master_key = BCON_NEW("provider", "local:dev");

    ASSERT_OK(resolve(master_key, 0, &err));

    bson_destroy(master_key);
}

static void another_provider_is_refused_by_policy(void)
{
    static const char *const others[] = {"local", "local:de", "local:devx", "local:DEV", "aws", ""};
    arrange();
    for (size_t i = 0; i < DKV_COUNT(others); i++) {
        struct dkv_error err = {0};
        bson_t *master_key = BCON_NEW("provider", others[i]);
        ASSERT_RC(DKV_E_POLICY, resolve(master_key, 0, &err));
        bson_destroy(master_key);
    }
}

static void a_malformed_master_key_is_rejected(void)
{
    arrange();
    bson_t *malformed[] = {
        bson_new(),
        BCON_NEW("provider", BCON_INT32(5)),
        BCON_NEW("provider", "local:dev", "endpoint", "evil:443"),
        BCON_NEW("endpoint", "evil:443", "provider", "local:dev"),
        BCON_NEW("provider", "local:dev", "provider", "local:dev"),
        BCON_NEW("Provider", "local:dev"),
    };
    for (size_t i = 0; i < DKV_COUNT(malformed); i++) {
        struct dkv_error err = {0};
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, resolve(malformed[i], 0, &err));
        bson_destroy(malformed[i]);
    }
}

static void a_cut_master_key_is_rejected_at_every_length(void)
{
    arrange();
    bson_t *master_key = BCON_NEW("provider", "local:dev");
    for (size_t cut = 1; cut <= master_key->len; cut++) {
        struct dkv_error err = {0};
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, resolve(master_key, cut, &err));
    }
    bson_destroy(master_key);
}

static void a_nul_in_the_providers_name_does_not_end_it(void)
{
    struct dkv_error err = {0};
    arrange();
    bson_t *master_key = bson_new();
    CU_ASSERT_TRUE_FATAL(bson_append_utf8(master_key, "provider", -1, "local:dev\0x", 11));

    const enum dkv_rc rc = resolve(master_key, 0, &err);

    CU_ASSERT_TRUE(rc == DKV_E_POLICY || rc == DKV_E_REJECTED_CIPHERTEXT);
    bson_destroy(master_key);
}

static void only_the_empty_reference_is_known(void)
{
    struct dkv_error err = {0};
    struct dkv_cmk *cmk = NULL;
    arrange();
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);

    ASSERT_OK(dkv_instance_resolve_reference(instance, &call, "", &cmk, &err));
    cmk = NULL;
    ASSERT_RC(DKV_E_NOT_FOUND, dkv_instance_resolve_reference(instance, &call, "x", &cmk, &err));

    CU_ASSERT_PTR_NULL(cmk);
    ASSERT_SAYS("has no name");
}

static void its_description_is_what_mongodb_writes(void)
{
    static struct dkv_cmk_info info;
    struct dkv_error err = {0};
    arrange();
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);
    bson_t *expected = BCON_NEW("provider", "local:dev");

    ASSERT_OK(dkv_instance_describe(instance, &call, resolved(), &info, &err));

    CU_ASSERT_EQUAL_FATAL(info.master_key_len, expected->len);
    CU_ASSERT_EQUAL(memcmp(info.master_key, bson_get_data(expected), expected->len), 0);
    CU_ASSERT_STRING_EQUAL(info.key_id, "");
    CU_ASSERT_EQUAL(info.capabilities, (uint32_t)(DKV_CAP_STOCK | DKV_CAP_AUTHENTIC));
    CU_ASSERT_EQUAL(info.state, DKV_CMK_ENABLED);
    CU_ASSERT_EQUAL(info.n_findings, 0);
    bson_destroy(expected);
}

static enum dkv_rc count(void *arg, const struct dkv_cmk_info *info, struct dkv_error *err)
{
    CU_ASSERT_TRUE(info->master_key_len > 5);
    if (++*(int *)arg > 5) {
        return dkv_fail(err, DKV_E_CONFLICT, "enough");
    }
    return DKV_OK;
}

static void it_lists_one_cmk_and_passes_a_visitors_refusal_on(void)
{
    struct dkv_error err = {0};
    int n = 0;
    arrange();
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);

    ASSERT_OK(dkv_instance_list_cmks(instance, &call, count, &n, &err));
    CU_ASSERT_EQUAL(n, 1);
    n = 5;
    ASSERT_RC(DKV_E_CONFLICT, dkv_instance_list_cmks(instance, &call, count, &n, &err));
    ASSERT_SAYS("enough");
}

static void it_checks_itself_and_creates_no_cmk(void)
{
    static struct dkv_cmk_info info;
    struct dkv_error err = {0};
    arrange();
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_CHECK);

    ASSERT_OK(dkv_instance_check(instance, &call, &err));
    ASSERT_RC(DKV_E_INVALID, dkv_instance_create_cmk(instance, &call, &(struct dkv_cmk_request){0}, &info, &err));

    ASSERT_SAYS("can't create a CMK");
}

/* ---- Wrapping ---- */

static void a_wrap_is_the_models_160_bytes(void)
{
    struct dkv_error err = {0};
    uint8_t material[300], sealed[160];
    size_t len = 0;
    arrange();

    ASSERT_OK(wrap_into(material, sizeof(material), &len, &err));

    CU_ASSERT_EQUAL_FATAL(len, 160);
    model_seal(cmk_bytes, material, dek.data, 96, sealed);
    CU_ASSERT_EQUAL(memcmp(material, sealed, 160), 0);
}

static void two_wraps_have_two_ivs(void)
{
    struct dkv_error err = {0};
    uint8_t one[160], two[160];
    size_t len = 0;
    arrange();

    ASSERT_OK(wrap_into(one, 160, &len, &err));
    ASSERT_OK(wrap_into(two, 160, &len, &err));

    CU_ASSERT_NOT_EQUAL(memcmp(one, two, 16), 0);
}

static void the_models_wrap_opens(void)
{
    struct dkv_error err = {0};
    uint8_t sealed[160];
    arrange();
    model_seal(cmk_bytes, doc_id, dek.data, 96, sealed);

    ASSERT_OK(unwrap_from(sealed, 160, &err));

    CU_ASSERT_EQUAL(memcmp(opened.data, dek.data, 96), 0);
}

static void room_for_159_bytes_is_too_little(void)
{
    struct dkv_error err = {0};
    uint8_t material[159];
    size_t len = 7;
    arrange();

    ASSERT_RC(DKV_E_INVALID, wrap_into(material, sizeof(material), &len, &err));

    CU_ASSERT_EQUAL(len, 0);
}

static void every_flipped_bit_is_rejected_and_nothing_comes_out(void)
{
    uint8_t sealed[160];
    arrange();
    model_seal(cmk_bytes, doc_id, dek.data, 96, sealed);
    for (size_t bit = 0; bit < 160 * 8; bit++) { /* IV, S and T alike */
        struct dkv_error err = {0};
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, unwrap_from(sealed, 160, &err));
        ASSERT_SAYS("changed, or it belongs to another local key");
        CU_ASSERT_TRUE_FATAL(is_zero(opened.data, 96));
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void every_other_length_is_rejected(void)
{
    uint8_t sealed[200] = {0};
    arrange();
    model_seal(cmk_bytes, doc_id, dek.data, 96, sealed);
    for (size_t len = 0; len <= sizeof(sealed); len++) {
        struct dkv_error err = {0};
        if (len != 160) {
            ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, unwrap_from(sealed, len, &err));
            ASSERT_SAYS("bytes long");
        }
    }
}

static void another_local_key_does_not_open_it(void)
{
    static const size_t changed[] = {0, 31, 32, 63}; /* the MAC's third, the cipher's third */
    for (size_t i = 0; i < DKV_COUNT(changed); i++) {
        struct dkv_error err = {0};
        uint8_t other[96], sealed[160];
        arrange();
        memcpy(other, cmk_bytes, 96);
        other[changed[i]] ^= 1;
        model_seal(other, doc_id, dek.data, 96, sealed);
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, unwrap_from(sealed, 160, &err));
        CU_ASSERT_TRUE(is_zero(opened.data, 96));
    }
}

static void what_holds_no_96_bytes_is_rejected(void)
{
    struct dkv_error err = {0};
    uint8_t sealed[160];
    uint8_t plain[111] = {0};
    arrange();
    for (int len = 97; len <= 111; len++) { /* those that also give 160 bytes */
        model_seal(cmk_bytes, doc_id, plain, len, sealed);
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, unwrap_from(sealed, 160, &err));
        CU_ASSERT_TRUE(is_zero(opened.data, 96));
    }
}

static void a_bad_item_does_not_disturb_its_neighbours(void)
{
    struct dkv_error err = {0}, item_err = {0};
    uint8_t good[160], bad[160];
    struct dkv_secret second = {0};
    arrange();
    ASSERT_OK(dkv_secret_init(&second, 96, &err));
    model_seal(cmk_bytes, doc_id, dek.data, 96, good);
    memcpy(bad, good, 160);
    bad[20] ^= 1;
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_USE);
    struct dkv_wrap_item items[] = {
        {.cmk = resolved(), .context = dkv_span(doc_id, 16), .input = dkv_span(bad, 160), .output = second.data,
         .output_capacity = 96,
         .err = &item_err},
        {.cmk = resolved(), .context = dkv_span(doc_id, 16), .input = dkv_span(good, 160), .output = opened.data,
         .output_capacity = 96},
    };

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_instance_unwrap(instance, &call, items, 2, &err));

    CU_ASSERT_EQUAL(items[0].status, DKV_E_REJECTED_CIPHERTEXT);
    CU_ASSERT_STRING_EQUAL(item_err.provider, "local:dev");
    CU_ASSERT_EQUAL(items[1].status, DKV_OK);
    CU_ASSERT_EQUAL(memcmp(opened.data, dek.data, 96), 0);
    dkv_secret_done(&second);
}

static void a_cancelled_call_does_nothing(void)
{
    struct dkv_error err = {0};
    uint8_t material[160];
    const volatile int cancelled = 1;
    arrange();
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_CREATE);
    call.cancelled = &cancelled;
    struct dkv_wrap_item item = {.cmk = resolved(),
                                 .context = dkv_span(doc_id, 16),
                                 .input = dkv_secret_view(&dek),
                                 .output = material,
                                 .output_capacity = sizeof(material)};

    ASSERT_RC(DKV_E_CANCELLED, dkv_instance_wrap(instance, &call, &item, 1, &err));
}

/* What the child of a fork gets; its exit status. */
static int wrap_in_child(void)
{
    struct dkv_error err = {0};
    uint8_t material[160];
    struct dkv_secret fresh = {0};
    struct dkv_call call = dkv_instance_call(instance, DKV_PURPOSE_CREATE);
    if (dkv_secret_init(&fresh, 96, &err) != DKV_OK) {
        return 2;
    }
    struct dkv_wrap_item item = {.cmk = resolved(),
                                 .context = dkv_span(doc_id, 16),
                                 .input = dkv_secret_view(&fresh),
                                 .output = material,
                                 .output_capacity = sizeof(material)};
    const enum dkv_rc rc = dkv_instance_wrap(instance, &call, &item, 1, &err);
    dkv_secret_done(&fresh);
    return rc == DKV_E_INVALID && strstr(err.message, "open the vault again in the child") != NULL ? 0 : 3;
}

static void after_a_fork_the_child_is_told_to_open_again(void)
{
    int status = 0;
    arrange();

    const pid_t child = fork();
    if (child == 0) {
        _exit(wrap_in_child());
    }

    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_TRUE(WIFEXITED(status));
    CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

/* ---- Memory ---- */

static enum dkv_rc open_wrap_and_unwrap(void *arg, struct dkv_error *err)
{
    uint8_t material[160];
    size_t len = 0;
    DKV_TRY(open_from(arg, false, err));
    DKV_TRY(wrap_into(material, sizeof(material), &len, err));
    return unwrap_from(material, len, err);
}

static void each_failing_allocation_is_told_and_leaves_nothing(void)
{
    char path[4096];
    arrange();
    snprintf(path, sizeof(path), "%s", dkv_test_path("local.key"));

    CU_ASSERT_TRUE(dkv_test_each_alloc_fails(open_wrap_and_unwrap, path) >= 2);
}

static void closing_nothing_is_fine(void)
{
    dkv_local_ops.close(NULL);
    dkv_instance_close(NULL);
}

int main(int argc, char **argv)
{
    static const struct dkv_test tests[] = {
        DKV_TEST(a_key_of_96_bytes_is_read_whatever_its_last_byte),
        DKV_TEST(the_base64_of_a_key_is_the_key),
        DKV_TEST(a_key_of_any_other_length_is_refused_without_its_contents),
        DKV_TEST(a_raw_key_with_a_newline_behind_it_is_refused),
        DKV_TEST(base64_with_two_newlines_or_of_95_bytes_is_refused),
        DKV_TEST(an_empty_or_missing_key_file_is_refused),
        DKV_TEST(a_key_file_that_the_group_may_read_needs_permission),
        DKV_TEST(a_key_file_with_more_bits_is_refused_even_with_permission),
        DKV_TEST(a_key_file_of_another_user_is_refused),
        DKV_TEST(the_documents_own_provider_is_found),
        DKV_TEST(another_provider_is_refused_by_policy),
        DKV_TEST(a_malformed_master_key_is_rejected),
        DKV_TEST(a_cut_master_key_is_rejected_at_every_length),
        DKV_TEST(a_nul_in_the_providers_name_does_not_end_it),
        DKV_TEST(only_the_empty_reference_is_known),
        DKV_TEST(its_description_is_what_mongodb_writes),
        DKV_TEST(it_lists_one_cmk_and_passes_a_visitors_refusal_on),
        DKV_TEST(it_checks_itself_and_creates_no_cmk),
        DKV_TEST(a_wrap_is_the_models_160_bytes),
        DKV_TEST(two_wraps_have_two_ivs),
        DKV_TEST(the_models_wrap_opens),
        DKV_TEST(room_for_159_bytes_is_too_little),
        DKV_TEST(every_flipped_bit_is_rejected_and_nothing_comes_out),
        DKV_TEST(every_other_length_is_rejected),
        DKV_TEST(another_local_key_does_not_open_it),
        DKV_TEST(what_holds_no_96_bytes_is_rejected),
        DKV_TEST(a_bad_item_does_not_disturb_its_neighbours),
        DKV_TEST(a_cancelled_call_does_nothing),
        DKV_TEST(after_a_fork_the_child_is_told_to_open_again),
        DKV_TEST(each_failing_allocation_is_told_and_leaves_nothing),
        DKV_TEST(closing_nothing_is_fine),
    };
    const int status = dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
    dkv_instance_close(instance);
    dkv_secret_done(&dek);
    dkv_secret_done(&opened);
    return status;
}
