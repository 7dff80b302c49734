/* SPDX-License-Identifier: Apache-2.0 */
/* base/crypto.h against published vectors, forgeries, a failing OpenSSL allocator and many threads. */
#define OPENSSL_SUPPRESS_DEPRECATED /* RAND_set_rand_method, HMAC: a host that is older than we are */
#include "base/crypto.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "tests/lib/openssl_memory.h"
#include "tests/lib/test.h"

/* ---- OpenSSL's allocator, counted and made to fail ---- */

static _Atomic size_t allocations, failing; /* failing 0: never */
static _Atomic long outstanding;

static bool allocation_fails(void)
{
    return ++allocations == failing && failing != 0;
}

static void *counted_malloc(size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    if (len == 0 || allocation_fails()) {
        return NULL;
    }
    outstanding++;
    return malloc(len);
}

static void *counted_realloc(void *old, size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    if (allocation_fails()) {
        return NULL;
    }
    outstanding += old == NULL;
    return realloc(old, len);
}

static void counted_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    outstanding -= memory != NULL;
    free(memory);
}

/* ---- Helpers ---- */

#define HEX_MAX 256

static struct dkv_span hex(const char *text)
{
    static uint8_t ring[8][HEX_MAX];
    static unsigned next;
    uint8_t *bytes = ring[next++ % 8];
    size_t len = 0;
    CU_ASSERT_TRUE_FATAL(dkv_from_hex(text, strlen(text), bytes, HEX_MAX, &len));
    return dkv_span(bytes, len);
}

static bool is(const uint8_t *bytes, const char *expected)
{
    const struct dkv_span want = hex(expected);
    return memcmp(bytes, want.data, want.len) == 0;
}

static bool is_all(const uint8_t *bytes, size_t len, uint8_t value)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != value) {
            return false;
        }
    }
    return true;
}

static const uint8_t dek[DKV_DEK_LEN] = {
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12,
    0x13,
    0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26,
    0x27,
    0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a,
    0x3b,
    0x3c, 0x3d, 0x3e, 0x3f, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e,
    0x4f,
    0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x5b, 0x5c, 0x5d, 0x5e, 0x5f,
};
static const uint8_t an_iv[16] = {0x1a, 0xf3, 0x8c, 0x2d, 0xc2, 0xb9, 0x6f, 0xfd, 0xd8, 0x66, 0x94, 0x09, 0x23, 0x41,
                                  0xbc, 0x04};
static const uint8_t message[64] = "sixty-four bytes, no more and no less, are what stands in here..";

static enum dkv_rc all_calls(struct dkv_error *err)
{
    uint8_t out[160], tag[16], back[128], mac[64];
    size_t len = 0;
    const struct dkv_span aad = dkv_span("aad", 3), text = dkv_span(message, 64), iv = dkv_span(an_iv, 16);
    DKV_TRY(dkv_gcm_seal(dek, iv, aad, text, out, tag, err));
    DKV_TRY(dkv_gcm_open(dek, iv, aad, dkv_span(out, 64), tag, back, err));
    DKV_TRY(dkv_mongo_deterministic_iv(dek, aad, text, tag, err));
    DKV_TRY(dkv_mongo_seal(dek, tag, aad, text, out, err));
    DKV_TRY(dkv_mongo_open(dek, aad, dkv_span(out, 128), back, &len, err));
    DKV_TRY(dkv_hmac_sha256(text, &aad, 1, mac, err));
    return dkv_sha256(&text, 1, mac, err);
}

/* ---- Starting; these come first, while no context is made yet ---- */

static void a_relative_fips_config_is_refused(void)
{
    struct dkv_error err = {0};

    ASSERT_RC(DKV_E_CONFIG, dkv_crypto_start("fipsmodule.cnf", &err));

    ASSERT_SAYS("fipsmodule.cnf: not an absolute path");
    CU_ASSERT_FALSE(dkv_crypto_is_fips());
}

static void a_fips_config_that_is_not_there_is_refused_with_the_remedy(void)
{
    struct dkv_error err = {0};

    ASSERT_RC(DKV_E_CONFIG, dkv_crypto_start("/nonexistent/fipsmodule.cnf", &err));

    ASSERT_SAYS("/nonexistent/fipsmodule.cnf: no such file");
    ASSERT_SAYS("openssl fipsinstall");
}

static const char *fips_file(const char *text)
{
    return dkv_test_write("fips.cnf", text, strlen(text), 0600);
}

static void a_fips_config_without_its_section_is_refused(void)
{
    struct dkv_error err = {0};

    ASSERT_RC(DKV_E_CONFIG, dkv_crypto_start(fips_file("openssl_conf = x\n[x]\na = b\n"), &err));

    ASSERT_SAYS("no section [fips_sect]");
}

static void a_fips_config_that_is_no_configuration_is_refused(void)
{
    struct dkv_error err = {0};

    ASSERT_RC(DKV_E_CONFIG, dkv_crypto_start(fips_file("[fips_sect\n"), &err));

    ASSERT_SAYS("not a configuration");
    CU_ASSERT_EQUAL(err.native_system, DKV_NATIVE_OPENSSL);
}

static void a_fips_config_that_others_may_write_is_refused(void)
{
    struct dkv_error err = {0};
    const char *path = dkv_test_write("fips-open.cnf", "[fips_sect]\nactivate = 1\n", 25, 0666);

    ASSERT_RC(DKV_E_CONFIG, dkv_crypto_start(path, &err));

    ASSERT_SAYS("chmod go-w");
}

static void a_fips_config_with_an_expansion_is_refused(void)
{
    struct dkv_error err = {0};

    ASSERT_RC(DKV_E_CONFIG, dkv_crypto_start(fips_file("[fips_sect]\nactivate = 1\nx = a b;c\n"), &err));

    ASSERT_SAYS("a setting with characters");
}

static void a_module_that_others_may_write_is_not_loaded_as_fips(void)
{
    struct dkv_error err = {0};
    char text[PATH_MAX + 64];
    const char *module = dkv_test_write("fips.so", "", 0, 0777);
    snprintf(text, sizeof(text), "[fips_sect]\nactivate = 1\nmodule = %s\n", module);

    ASSERT_RC(DKV_E_CONFIG, dkv_crypto_start(fips_file(text), &err));

    ASSERT_SAYS("fips.so");
    ASSERT_SAYS("chmod go-w");
}

/* Debian 12 has no FIPS provider. */
static void a_machine_without_the_fips_provider_is_refused(void)
{
    struct dkv_error err = {0};
    char module[PATH_MAX];
    snprintf(module, sizeof(module), "%s/fips.so", OPENSSL_info(OPENSSL_INFO_MODULES_DIR));
    if (access(module, F_OK) == 0) {
        dkv_test_skip("this machine has a FIPS provider");
        return;
    }

    ASSERT_RC(DKV_E_CONFIG, dkv_crypto_start(fips_file("[fips_sect]\nactivate = 1\nconditional-errors = 1\n"), &err));

    ASSERT_SAYS("doesn't start");
    ASSERT_SAYS("leave out 'fips: required'");
}

/* Another provider under the FIPS provider's name gets as far as the question for approved algorithms. */
static void a_provider_without_approved_algorithms_is_refused(void)
{
    struct dkv_error err = {0};
    char module[PATH_MAX - 64], text[PATH_MAX];
    snprintf(module, sizeof(module), "%s/legacy.so", OPENSSL_info(OPENSSL_INFO_MODULES_DIR));
    if (access(module, F_OK) != 0) {
        dkv_test_skip("no legacy.so to stand in");
        return;
    }
    snprintf(text, sizeof(text), "[fips_sect]\nactivate = 1\nmodule = %s\n", module);

    ASSERT_RC(DKV_E_CONFIG, dkv_crypto_start(fips_file(text), &err));

    ASSERT_SAYS("no approved AES-256-GCM");
    CU_ASSERT_FALSE(dkv_crypto_is_fips());
}

/* In children: a failure in one of OpenSSL's own once-only initialisations lasts for the process. */
static int start_with_failing_allocation(size_t nth)
{
    struct dkv_error err = {0};
    allocations = 0;
    failing = nth;
    const enum dkv_rc rc = dkv_crypto_start(NULL, &err);
    const bool reached = allocations >= nth;
    failing = 0;
    if (!reached) {
        return rc == DKV_OK ? 1 : 2;
    }
    if (rc != DKV_OK && rc != DKV_E_RESOURCE && rc != DKV_E_INTERNAL) {
        return 3;
    }
    return dkv_crypto_start(NULL, &err) == DKV_OK ? 0 : 4;
}

static void a_start_that_failed_for_want_of_memory_can_be_repeated(void)
{
    int status = 0;
    size_t n = 0, repeated = 0;
    const char *preload = getenv("LD_PRELOAD");
    if (preload != NULL && strstr(preload, "valgrind") != NULL) {
        dkv_test_skip("OpenSSL leaks when its own start runs out of memory, and valgrind looks into the children");
        return;
    }
    for (size_t nth = 1; status != 1; nth += 7) {
        const pid_t child = fork();
        if (child == 0) {
            _exit(start_with_failing_allocation(nth));
        }
        CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
        CU_ASSERT_TRUE_FATAL(WIFEXITED(status));
        status = WEXITSTATUS(status);
        CU_ASSERT_TRUE_FATAL(status == 0 || status == 1 || status == 4);
        n++;
        repeated += status == 0;
    }
    printf("# %zu failing allocations, repeated well after %zu\n", n - 1, repeated);
    CU_ASSERT_TRUE(n > 10);
    CU_ASSERT_TRUE(repeated * 10 >= (n - 1) * 9);
}

/* Child: the host's default context is without AES by its configuration; ours has it all the same, and the host's
 * configuration is still read when the host asks. */
static int encrypt_beside_a_host_without_aes(void)
{
    struct dkv_error err = {0};
    uint8_t tag[16], out[64];
    if (dkv_gcm_seal(dek, dkv_span(an_iv, 12), dkv_span("", 0), dkv_span(message, 64), out, tag, &err) != DKV_OK) {
        return 1;
    }
    if (ERR_peek_error() != 0) {
        return 2;
    }
    return EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL) == NULL ? 0 : 3;
}

static int encrypt_beside_a_broken_host(void)
{
    struct dkv_error err = {0};
    return all_calls(&err) == DKV_OK && ERR_peek_error() == 0 ? 0 : 1;
}

/* What a program of its own does: libmongoc starts OpenSSL, and with it the host's configuration, while it is loaded. */
static int (*const bodies[])(void) = {encrypt_beside_a_host_without_aes, encrypt_beside_a_broken_host};
enum { WITHOUT_AES, BROKEN };

static int run_body(const char *number)
{
    ERR_clear_error(); /* libmongoc's */
    return bodies[number[0] == '1' ? BROKEN : WITHOUT_AES]();
}

static char self[PATH_MAX];

static int in_program_with_openssl_conf(const char *text, int body)
{
    int status = 0;
    char number[] = {(char)('0' + body), '\0'};
    const char *path = dkv_test_write("openssl.cnf", text, strlen(text), 0600);
    const pid_t child = fork();
    if (child == 0) {
        setenv("OPENSSL_CONF", path, 1);
        setenv("OPENSSL_MODULES", "/nonexistent", 1);
        execl(self, self, "--body", number, NULL); /* /proc/self/exe may be valgrind */
        _exit(99);
    }
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_TRUE_FATAL(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void the_openssl_configuration_of_the_host_has_no_say(void)
{
    const char *conf = "openssl_conf = a\n[a]\nproviders = b\n[b]\nbase = c\n[c]\nactivate = 1\n";
    CU_ASSERT_EQUAL(in_program_with_openssl_conf(conf, WITHOUT_AES), 0);
}

static void a_broken_openssl_configuration_does_no_harm(void)
{
    CU_ASSERT_EQUAL(in_program_with_openssl_conf("openssl_conf = a\n[a\n\x01", BROKEN), 0);
}

static int constant_bytes(unsigned char *bytes, int len)
{
    memset(bytes, 7, (size_t)len);
    return 1;
}

static void the_random_method_of_the_host_has_no_say(void)
{
    struct dkv_error err = {0};
    uint8_t theirs[32], ours[32];
    const RAND_METHOD method = {.bytes = constant_bytes, .pseudorand = constant_bytes};
    CU_ASSERT_EQUAL_FATAL(RAND_set_rand_method(&method), 1);

    const int rc = RAND_bytes(theirs, 32);
    const enum dkv_rc our_rc = dkv_random(ours, 32, &err);

    RAND_set_rand_method(NULL);
    CU_ASSERT_TRUE(rc == 1 && is_all(theirs, 32, 7));
    CU_ASSERT_EQUAL(our_rc, DKV_OK);
    CU_ASSERT_FALSE(is_all(ours, 32, 7));
}

static void *start_in_thread(void *arg)
{
    uint8_t mac[32], random[96];
    struct dkv_error *err = (struct dkv_error *)arg;
    const struct dkv_span part = dkv_span("abc", 3);
    if (dkv_crypto_start(NULL, err) != DKV_OK || dkv_sha256(&part, 1, mac, err) != DKV_OK ||
        dkv_hmac_sha256(part, &part, 1, mac, err) != DKV_OK) {
        return arg;
    }
    return dkv_random(random, sizeof(random), err) == DKV_OK ? NULL : arg;
}

static void eight_threads_may_start_at_once(void)
{
    pthread_t threads[8];
    struct dkv_error errors[8] = {{0}};
    for (size_t i = 0; i < 8; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, start_in_thread, &errors[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        void *failed = NULL;
        CU_ASSERT_EQUAL_FATAL(pthread_join(threads[i], &failed), 0);
        CU_ASSERT_PTR_NULL(failed);
    }
}

static void the_mode_can_not_change_once_it_runs(void)
{
    struct dkv_error err = {0};
    ASSERT_OK(dkv_crypto_start(NULL, &err));

    ASSERT_RC(DKV_E_CONFIG, dkv_crypto_start("/etc/ssl/fipsmodule.cnf", &err));

    ASSERT_SAYS("/etc/ssl/fipsmodule.cnf");
    ASSERT_SAYS("runs OpenSSL's default provider already");
    ASSERT_OK(dkv_crypto_start(NULL, &err));
}

static void the_backend_has_a_name_and_a_version(void)
{
    CU_ASSERT_EQUAL(strncmp(dkv_crypto_backend(), "OpenSSL 3.", 10), 0);
}

/* ---- Known answers ---- */

struct gcm_case {
    const char *key, *iv, *aad, *plain, *ciphertext, *tag;
};

/* Test cases 13 to 18 of the GCM submission to NIST (McGrew and Viega), the AES-256 ones. */
#define ZERO_KEY "0000000000000000000000000000000000000000000000000000000000000000"
#define GCM_KEY "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
#define GCM_PLAIN                                                                                              \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657" \
    "ba637b39"
#define GCM_AAD "feedfacedeadbeeffeedfacedeadbeefabaddad2"
static const struct gcm_case gcm_cases[] = {
    {ZERO_KEY, "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {ZERO_KEY, "000000000000000000000000", "", "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18",
     "d0d1c8a799996bf0265b98b5d48ab919"},
    {GCM_KEY, "cafebabefacedbaddecaf888", "", GCM_PLAIN "1aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
     "898015ad",
     "b094dac5d93471bdec1a502270e3cc6c"},
    {GCM_KEY, "cafebabefacedbaddecaf888", GCM_AAD, GCM_PLAIN,
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
    {GCM_KEY, "cafebabefacedbad", GCM_AAD, GCM_PLAIN,
     "c3762df1ca787d32ae47c13bf19844cbaf1ae14d0b976afac52ff7d79bba9de0feb582d33934a4f0954cc2363bc73f7862ac430e64abe499f47c9b1f",
     "3a337dbf46a792c45e454913fe2ea8f2"},
    {GCM_KEY,
     "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b",
     GCM_AAD, GCM_PLAIN,
     "5a8def2f0c9e53f1f75d7853659e2a20eeb2b22aafde6419a058ab4f6f746bf40fc0c3b780f244452da3ebf1c5d82cdea2418997200ef82e44ae7e3f",
     "a44a8266ee1c8eb0c8b5d4cf5ae9f19a"},
};

static void aes_gcm_gives_the_known_answers(void)
{
    struct dkv_error err = {0};
    for (size_t i = 0; i < DKV_COUNT(gcm_cases); i++) {
        const struct gcm_case *test = &gcm_cases[i];
        const struct dkv_span key = hex(test->key), iv = hex(test->iv), aad = hex(test->aad), plain = hex(test->plain);
        uint8_t out[64] = {0}, tag[16], again[64] = {0};
        ASSERT_OK(dkv_gcm_seal(key.data, iv, aad, plain, out, tag, &err));
        CU_ASSERT_TRUE(is(out, test->ciphertext));
        CU_ASSERT_TRUE(is(tag, test->tag));
        ASSERT_OK(dkv_gcm_open(key.data, iv, aad, dkv_span(out, plain.len), tag, again, &err));
        CU_ASSERT_EQUAL(memcmp(again, plain.data, plain.len), 0);
    }
}

struct hmac_case {
    uint8_t key_byte;
    size_t key_len;
    const char *key, *data, *sha256, *sha512;
};
/* RFC 4231 section 4: cases 1, 2, 6 and 7. */
static const struct hmac_case hmac_cases[] = {
    {0x0b, 20, NULL, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
     "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c20"
     "3a126854"},
    {0, 4, "Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
     "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a"
     "38bce737"},
    {0xaa, 131, NULL, "Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
     "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a98"
     "5d786598"},
    {0xaa, 131, NULL,
     "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed "
     "before being "
     "used by the HMAC algorithm.",
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
     "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440"
     "fa8c6a58"},
};

static void hmac_gives_the_known_answers_however_it_is_cut(void)
{
    struct dkv_error err = {0};
    for (size_t i = 0; i < DKV_COUNT(hmac_cases); i++) {
        const struct hmac_case *test = &hmac_cases[i];
        uint8_t key[131], mac256[32], mac512[64];
        memset(key, test->key_byte, sizeof(key));
        if (test->key != NULL) {
            memcpy(key, test->key, test->key_len);
        }
        const size_t cut = strlen(test->data) / 3;
        const struct dkv_span parts[] = {dkv_span(test->data, cut), dkv_span(NULL, 0), dkv_span_str(test->data + cut)};
        ASSERT_OK(dkv_hmac_sha256(dkv_span(key, test->key_len), parts, 3, mac256, &err));
        ASSERT_OK(dkv_hmac_sha512(dkv_span(key, test->key_len), parts, 3, mac512, &err));
        CU_ASSERT_TRUE(is(mac256, test->sha256));
        CU_ASSERT_TRUE(is(mac512, test->sha512));
    }
}

static void hmac_takes_an_empty_key_and_an_empty_text(void)
{
    struct dkv_error err = {0};
    uint8_t mac[32];

    ASSERT_OK(dkv_hmac_sha256(dkv_span(NULL, 0), NULL, 0, mac, &err));

    CU_ASSERT_TRUE(is(mac, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"));
}

static void sha256_gives_the_known_answer(void)
{
    struct dkv_error err = {0};
    uint8_t digest[32];
    const struct dkv_span parts[] = {dkv_span("a", 1), dkv_span(NULL, 0), dkv_span("bc", 2)};

    ASSERT_OK(dkv_sha256(parts, 3, digest, &err));

    CU_ASSERT_TRUE(is(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
}

/* RFC 7518 appendix B.3, which is the same construction with the same split of the first 64 bytes. */
static void mongo_aead_gives_the_known_answer(void)
{
    struct dkv_error err = {0};
    uint8_t sealed[192], plain[144];
    size_t len = 0;
    const struct dkv_span aad = dkv_span_str("The second principle of Auguste Kerckhoffs");
    const struct dkv_span text = dkv_span_str("A cipher system must not be required to be secret, and it must be able "
                                              "to fall into "
                                              "the hands of the enemy without inconvenience");

    ASSERT_OK(dkv_mongo_seal(dek, an_iv, aad, text, sealed, &err));

    CU_ASSERT_EQUAL_FATAL(dkv_mongo_sealed_len(text.len), sizeof(sealed));
    CU_ASSERT_TRUE(is(sealed, "1af38c2dc2b96ffdd86694092341bc04"
                              "4affaaadb78c31c5da4b1b590d10ffbd3dd8d5d302423526912da037ecbcc7bd822c301dd67c373bccb584ad3e9279c2e6d1"
                              "2a1374b77f077553df829410446b36ebd97066296ae6427ea75c2e0846a11a09ccf5370dc80bfecbad28c73f09b3a3b75e66"
                              "2a2594410ae496b2e2e6609e31e6e02cc837f053d21f37ff4f51950bbe2638d09dd7a4930930806d0703b1f6"
                              "4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5"));
    ASSERT_OK(dkv_mongo_open(dek, aad, dkv_span(sealed, sizeof(sealed)), plain, &len, &err));
    CU_ASSERT_TRUE(len == text.len && memcmp(plain, text.data, len) == 0);
}

/* Python's hmac, over the AAD of a field: 01, a UUID, a BSON type. */
static void the_deterministic_iv_gives_the_known_answer(void)
{
    struct dkv_error err = {0};
    uint8_t iv[16];
    const struct dkv_span aad = hex("01000102030405060708090a0b0c0d0e0f02");

    ASSERT_OK(dkv_mongo_deterministic_iv(dek, aad, hex("050000007465737400"), iv, &err));

    CU_ASSERT_TRUE(is(iv, "6d978e7fc0465dea77da63ae99d49360"));
}

/* The definition, step by step, with other functions of OpenSSL. */
static void model_seal(const uint8_t *key, const uint8_t *iv, struct dkv_span aad, struct dkv_span plain, uint8_t *out)
{
    uint8_t joined[512] = {0}, mac[64];
    int body = 0, tail = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    memcpy(out, iv, 16);
    EVP_EncryptInit_ex(ctx, EVP_aes_256_cbc(), NULL, key + 32, iv);
    EVP_EncryptUpdate(ctx, out + 16, &body, plain.data, (int)plain.len);
    EVP_EncryptFinal_ex(ctx, out + 16 + body, &tail);
    EVP_CIPHER_CTX_free(ctx);
    const size_t text_len = (size_t)body + (size_t)tail;
    memcpy(joined, aad.data, aad.len);
    memcpy(joined + aad.len, out, 16 + text_len);
    const size_t joined_len = aad.len + 16 + text_len + 8;
    joined[joined_len - 1] = (uint8_t)(aad.len * 8);
    joined[joined_len - 2] = (uint8_t)(aad.len * 8 >> 8);
    HMAC(EVP_sha512(), key, 32, joined, joined_len, mac, NULL);
    memcpy(out + 16 + text_len, mac, 32);
}

static void mongo_aead_agrees_with_the_model_at_every_length(void)
{
    struct dkv_error err = {0};
    uint8_t key[96], iv[16], text[130], aad[40], ours[256], model[256], plain[256];
    ASSERT_OK(dkv_random(text, sizeof(text), &err));
    for (size_t len = 0; len <= sizeof(text); len++) {
        size_t opened = SIZE_MAX;
        const struct dkv_span used_aad = dkv_span(aad, len % sizeof(aad));
        ASSERT_OK(dkv_random(key, sizeof(key), &err));
        ASSERT_OK(dkv_random(iv, sizeof(iv), &err));
        ASSERT_OK(dkv_random(aad, sizeof(aad), &err));
        ASSERT_OK(dkv_mongo_seal(key, iv, used_aad, dkv_span(text, len), ours, &err));
        model_seal(key, iv, used_aad, dkv_span(text, len), model);
        CU_ASSERT_EQUAL_FATAL(memcmp(ours, model, dkv_mongo_sealed_len(len)), 0);
        ASSERT_OK(dkv_mongo_open(key, used_aad, dkv_span(ours, dkv_mongo_sealed_len(len)), plain, &opened, &err));
        CU_ASSERT_EQUAL_FATAL(opened, len);
        CU_ASSERT_EQUAL_FATAL(memcmp(plain, text, len), 0);
    }
}

static void the_iv_may_lie_where_it_will_be_sealed(void)
{
    struct dkv_error err = {0};
    uint8_t sealed[128], apart[128];
    memcpy(sealed, an_iv, 16);

    ASSERT_OK(dkv_mongo_seal(dek, sealed, dkv_span(NULL, 0), dkv_span(message, 64), sealed, &err));

    ASSERT_OK(dkv_mongo_seal(dek, an_iv, dkv_span(NULL, 0), dkv_span(message, 64), apart, &err));
    CU_ASSERT_EQUAL(memcmp(sealed, apart, sizeof(apart)), 0);
}

/* ---- Forgeries ---- */

static void assert_mongo_rejects(const uint8_t *key, struct dkv_span aad, struct dkv_span sealed)
{
    struct dkv_error err = {0};
    uint8_t plain[256];
    size_t len = 4711;
    memset(plain, 0xee, sizeof(plain));
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_mongo_open(key, aad, sealed, plain, &len, &err));
    CU_ASSERT_EQUAL_FATAL(len, 4711);
    if (sealed.len >= 64 && sealed.len % 16 == 0) {
        CU_ASSERT_TRUE_FATAL(is_all(plain, sealed.len - 48, 0));
    }
}

static void every_flipped_bit_of_a_mongo_ciphertext_is_refused(void)
{
    struct dkv_error err = {0};
    uint8_t sealed[128];
    const struct dkv_span aad = dkv_span("aad", 3);
    ASSERT_OK(dkv_mongo_seal(dek, an_iv, aad, dkv_span(message, 64), sealed, &err));
    for (size_t bit = 0; bit < sizeof(sealed) * 8; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_mongo_rejects(dek, aad, dkv_span(sealed, sizeof(sealed)));
        sealed[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void a_mongo_ciphertext_of_any_other_length_is_refused(void)
{
    struct dkv_error err = {0};
    uint8_t sealed[160] = {0};
    ASSERT_OK(dkv_mongo_seal(dek, an_iv, dkv_span("aad", 3), dkv_span(message, 64), sealed, &err));
    for (size_t len = 0; len <= sizeof(sealed); len++) {
        if (len != 128) {
            assert_mongo_rejects(dek, dkv_span("aad", 3), dkv_span(sealed, len));
        }
    }
}

static void a_mongo_ciphertext_of_another_key_or_context_is_refused(void)
{
    struct dkv_error err = {0};
    uint8_t sealed[128], key[96];
    ASSERT_OK(dkv_mongo_seal(dek, an_iv, dkv_span("aad", 3), dkv_span(message, 64), sealed, &err));
    memcpy(key, dek, sizeof(key));
    key[31] ^= 1;

    assert_mongo_rejects(key, dkv_span("aad", 3), dkv_span(sealed, sizeof(sealed)));
    assert_mongo_rejects(dek, dkv_span("aae", 3), dkv_span(sealed, sizeof(sealed)));
    assert_mongo_rejects(dek, dkv_span(NULL, 0), dkv_span(sealed, sizeof(sealed)));
}

/* Whoever has the MAC key alone gets no more than "the padding is wrong". */
static void a_right_mac_over_wrong_padding_is_refused(void)
{
    uint8_t key[96], sealed[128], joined[112 + 8] = {0}, mac[64];
    struct dkv_error err = {0};
    uint8_t plain[80];
    size_t len = 0;
    memcpy(key, dek, sizeof(key));
    ASSERT_OK(dkv_mongo_seal(key, an_iv, dkv_span(NULL, 0), dkv_span(message, 64), sealed, &err));
    sealed[16 + 48 + 15] ^= 0xff; /* turns the last byte of the next block, the padding's length */
    memcpy(joined, sealed, 96);
    HMAC(EVP_sha512(), key, 32, joined, 96 + 8, mac, NULL);
    memcpy(sealed + 96, mac, 32);
    memset(plain, 0xee, sizeof(plain));

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, dkv_mongo_open(key, dkv_span(NULL, 0), dkv_span(sealed, 128), plain, &len,
                                                        &err));

    ASSERT_SAYS("padding");
    CU_ASSERT_TRUE(is_all(plain, 80, 0));
    CU_ASSERT_EQUAL(ERR_peek_error(), 0);
}

static void every_flipped_bit_of_a_gcm_ciphertext_is_refused(void)
{
    struct dkv_error err = {0};
    uint8_t all[12 + 3 + 64 + 16], plain[64]; /* IV, AAD, ciphertext, tag */
    memcpy(all, an_iv, 12);
    memcpy(all + 12, "aad", 3);
    ASSERT_OK(dkv_gcm_seal(dek, dkv_span(all, 12), dkv_span(all + 12, 3), dkv_span(message, 64), all + 15, all + 79,
                           &err));
    for (size_t bit = 0; bit < sizeof(all) * 8; bit++) {
        all[bit / 8] ^= (uint8_t)(1U << bit % 8);
        memset(plain, 0xee, sizeof(plain));
        ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT,
                  dkv_gcm_open(dek, dkv_span(all, 12), dkv_span(all + 12, 3), dkv_span(all + 15, 64), all + 79, plain,
                               &err));
        CU_ASSERT_TRUE_FATAL(is_all(plain, 64, 0));
        all[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    ASSERT_OK(dkv_gcm_open(dek, dkv_span(all, 12), dkv_span(all + 12, 3), dkv_span(all + 15, 64), all + 79, plain,
                           &err));
}

static void a_gcm_iv_that_is_impossible_is_refused(void)
{
    struct dkv_error err = {0};
    uint8_t iv[129] = {0}, out[16], tag[16];

    ASSERT_RC(DKV_E_INVALID, dkv_gcm_seal(dek, dkv_span(iv, 0), dkv_span(NULL, 0), dkv_span(message, 16), out, tag,
                                          &err));
    ASSERT_RC(DKV_E_INVALID, dkv_gcm_seal(dek, dkv_span(iv, 129), dkv_span(NULL, 0), dkv_span(message, 16), out, tag,
                                          &err));
    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT,
              dkv_gcm_open(dek, dkv_span(iv, 129), dkv_span(NULL, 0), dkv_span(message, 16), tag, out, &err));

    ASSERT_OK(dkv_gcm_seal(dek, dkv_span(iv, 128), dkv_span(NULL, 0), dkv_span(message, 16), out, tag, &err));
}

static void lengths_that_openssl_can_not_count_are_refused(void)
{
    static const size_t lengths[] = {INT_MAX - 15, (size_t)INT_MAX + 1, UINT32_MAX, SIZE_MAX / 2, SIZE_MAX - 15,
                                     SIZE_MAX};
    struct dkv_error err = {0};
    uint8_t out[16], tag[16], iv[16] = {0};
    size_t len = 0;
    for (size_t i = 0; i < DKV_COUNT(lengths); i++) {
        const struct dkv_span huge = dkv_span(message, lengths[i]), small = dkv_span(message, 64);
        const struct dkv_span huge_blocks = dkv_span(message, lengths[i] - lengths[i] % 16);
        ASSERT_RC(DKV_E_INVALID, dkv_gcm_seal(dek, dkv_span(iv, 12), small, huge, out, tag, &err));
        ASSERT_RC(DKV_E_INVALID, dkv_gcm_seal(dek, dkv_span(iv, 12), huge, small, out, tag, &err));
        ASSERT_RC(DKV_E_INVALID, dkv_gcm_open(dek, dkv_span(iv, 12), small, huge, tag, out, &err));
        ASSERT_RC(DKV_E_INVALID, dkv_mongo_seal(dek, iv, small, huge, out, &err));
        ASSERT_RC(DKV_E_INVALID, dkv_mongo_seal(dek, iv, huge, small, out, &err));
        ASSERT_RC(DKV_E_INVALID, dkv_mongo_open(dek, small, huge_blocks, out, &len, &err));
        ASSERT_RC(DKV_E_INVALID, dkv_mongo_open(dek, huge, small, out, &len, &err));
    }
}

/* ---- Random bytes ---- */

static void random_bytes_differ_and_fill_any_length(void)
{
    struct dkv_error err = {0};
    static uint8_t a[100000], b[100000];

    ASSERT_OK(dkv_random(a, sizeof(a), &err));
    ASSERT_OK(dkv_random(b, sizeof(b), &err));

    CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof(a)), 0);
    CU_ASSERT_FALSE(is_all(a + sizeof(a) - 32, 32, 0));
    ASSERT_OK(dkv_random(a, 0, &err));
}

static void a_forked_child_draws_other_bytes(void)
{
    struct dkv_error err = {0};
    uint8_t ours[32], theirs[32];
    int ends[2], status = 0;
    ASSERT_OK(dkv_random(ours, 32, &err));
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        const bool ok = dkv_random(theirs, 32, &err) == DKV_OK && write(ends[1], theirs, 32) == 32;
        _exit(ok ? 0 : 1);
    }

    ASSERT_OK(dkv_random(ours, 32, &err));

    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL_FATAL(read(ends[0], theirs, 32), 32);
    CU_ASSERT_NOT_EQUAL(memcmp(ours, theirs, 32), 0);
    close(ends[0]);
    close(ends[1]);
}

static void a_random_uuid_is_of_version_4(void)
{
    struct dkv_error err = {0};
    struct dkv_uuid a, b;

    ASSERT_OK(dkv_uuid_random(&a, &err));
    ASSERT_OK(dkv_uuid_random(&b, &err));

    CU_ASSERT_EQUAL(a.bytes[6] >> 4, 4);
    CU_ASSERT_EQUAL(a.bytes[8] >> 6, 2);
    CU_ASSERT_FALSE(dkv_uuid_equal(&a, &b));
}

/* ---- The host's error queue, allocations, threads ---- */

static void the_hosts_error_queue_stays_as_it_was(void)
{
    struct dkv_error err = {0};
    uint8_t plain[64], tag[16] = {0};
    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 42);

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT,
              dkv_gcm_open(dek, dkv_span(an_iv, 12), dkv_span(NULL, 0), dkv_span(message, 64), tag, plain, &err));
    ASSERT_RC(DKV_E_CONFIG, dkv_crypto_start("/nonexistent", &err));

    const unsigned long left = ERR_get_error();
    CU_ASSERT_EQUAL(ERR_GET_LIB(left), ERR_LIB_USER);
    CU_ASSERT_EQUAL(ERR_GET_REASON(left), 42);
    CU_ASSERT_EQUAL(ERR_get_error(), 0);
}

static void each_failing_allocation_of_openssl_is_an_error_without_a_leak(void)
{
    struct dkv_error err = {0};
    size_t n = 0;
    enum dkv_rc rc = DKV_E_INTERNAL;
    ASSERT_OK(all_calls(&err)); /* what stays is there now */
    const long before = outstanding;
    for (failing = 1; rc != DKV_OK; failing++) {
        allocations = 0;
        rc = all_calls(&err);
        CU_ASSERT_TRUE_FATAL(rc == DKV_OK || rc == DKV_E_RESOURCE || rc == DKV_E_INTERNAL);
        CU_ASSERT_TRUE_FATAL(rc != DKV_OK || allocations < failing);
        CU_ASSERT_EQUAL_FATAL(outstanding, before);
        CU_ASSERT_EQUAL_FATAL(ERR_peek_error(), 0);
        n++;
    }
    failing = 0;
    printf("# %zu allocations of OpenSSL failed one by one\n", n - 1);
    CU_ASSERT_TRUE(n > 20);
}

static void *seal_in_thread(void *arg)
{
    for (int i = 0; i < 200; i++) {
        if (all_calls((struct dkv_error *)arg) != DKV_OK) {
            return arg;
        }
    }
    return NULL;
}

static void threads_do_not_disturb_each_other(void)
{
    pthread_t threads[8];
    struct dkv_error errors[8] = {{0}};
    for (size_t i = 0; i < 8; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, seal_in_thread, &errors[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        void *failed = NULL;
        CU_ASSERT_EQUAL_FATAL(pthread_join(threads[i], &failed), 0);
        CU_ASSERT_PTR_NULL(failed);
    }
}

DKV_TEST_OPENSSL_MEMORY(counted_malloc, counted_realloc, counted_free);

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--body") == 0) {
        return run_body(argv[2]);
    }
    if (realpath(argv[0], self) == NULL) {
        return 99;
    }
    static const struct dkv_test tests[] = {
        DKV_TEST(a_start_that_failed_for_want_of_memory_can_be_repeated),
        DKV_TEST(the_openssl_configuration_of_the_host_has_no_say),
        DKV_TEST(a_broken_openssl_configuration_does_no_harm),
        DKV_TEST(a_relative_fips_config_is_refused),
        DKV_TEST(a_fips_config_that_is_not_there_is_refused_with_the_remedy),
        DKV_TEST(a_fips_config_without_its_section_is_refused),
        DKV_TEST(a_fips_config_that_is_no_configuration_is_refused),
        DKV_TEST(a_fips_config_that_others_may_write_is_refused),
        DKV_TEST(a_fips_config_with_an_expansion_is_refused),
        DKV_TEST(a_module_that_others_may_write_is_not_loaded_as_fips),
        DKV_TEST(a_machine_without_the_fips_provider_is_refused),
        DKV_TEST(a_provider_without_approved_algorithms_is_refused),
        DKV_TEST(eight_threads_may_start_at_once),
        DKV_TEST(the_mode_can_not_change_once_it_runs),
        DKV_TEST(the_backend_has_a_name_and_a_version),
        DKV_TEST(aes_gcm_gives_the_known_answers),
        DKV_TEST(hmac_gives_the_known_answers_however_it_is_cut),
        DKV_TEST(hmac_takes_an_empty_key_and_an_empty_text),
        DKV_TEST(sha256_gives_the_known_answer),
        DKV_TEST(mongo_aead_gives_the_known_answer),
        DKV_TEST(the_deterministic_iv_gives_the_known_answer),
        DKV_TEST(mongo_aead_agrees_with_the_model_at_every_length),
        DKV_TEST(the_iv_may_lie_where_it_will_be_sealed),
        DKV_TEST(every_flipped_bit_of_a_mongo_ciphertext_is_refused),
        DKV_TEST(a_mongo_ciphertext_of_any_other_length_is_refused),
        DKV_TEST(a_mongo_ciphertext_of_another_key_or_context_is_refused),
        DKV_TEST(a_right_mac_over_wrong_padding_is_refused),
        DKV_TEST(every_flipped_bit_of_a_gcm_ciphertext_is_refused),
        DKV_TEST(a_gcm_iv_that_is_impossible_is_refused),
        DKV_TEST(lengths_that_openssl_can_not_count_are_refused),
        DKV_TEST(random_bytes_differ_and_fill_any_length),
        DKV_TEST(a_forked_child_draws_other_bytes),
        DKV_TEST(the_random_method_of_the_host_has_no_say),
        DKV_TEST(a_random_uuid_is_of_version_4),
        DKV_TEST(the_hosts_error_queue_stays_as_it_was),
        DKV_TEST(each_failing_allocation_of_openssl_is_an_error_without_a_leak),
        DKV_TEST(threads_do_not_disturb_each_other),
    };
    if (!dkv_openssl_memory_is_ours) {
        return 99;
    }
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
