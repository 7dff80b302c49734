/* SPDX-License-Identifier: Apache-2.0 */
/* Which CMKs the pkcs11 provider uses, which it refuses, and how it makes them. */
#include "tests/unit/pkcs11_fixture.h"

static const uint8_t value[32] = {7, 7, 7};

static void import(const char *label, const char *id, CK_KEY_TYPE type)
{
    struct dkv_raw raw = dkv_raw_open(dkv_softhsm_module(), NULL, "prod");
    const struct dkv_raw_key key = {
        .label = label, .id = id, .id_len = strlen(id), .type = type, .value = value, .value_len = sizeof(value)};
    dkv_raw_import(&raw, &key);
    dkv_raw_close(&raw);
}

static enum dkv_rc resolve_master_key(struct fixture *fixture, const struct dkv_cmk_info *info, struct dkv_cmk **ret,
                                      struct dkv_error *err)
{
    *err = (struct dkv_error){0};
    return dkv_pkcs11_ops.resolve_document(fixture->self, &a_call, dkv_span(info->master_key, info->master_key_len),
                                           ret, err);
}

static const struct dkv_cmk_info *master_key(const char *id_hex, const char *profile)
{
    struct dkv_error err = {0};
    struct dkv_cmk_info *info = new_info();
    uint8_t id[64];
    size_t len = 0;
    CU_ASSERT_FATAL(dkv_from_hex(id_hex, strlen(id_hex), id, sizeof(id), &len));
    ASSERT_OK(dkv_p11_master_key_write("pkcs11:test", dkv_span(id, len), profile, info, &err));
    return info;
}

/* ---- The allow-list ---- */

static void a_listed_id_is_resolved_without_contact(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_cmk *cmk = NULL;
    const struct dkv_cmk_info *info = master_key("beef", "aes-gcm");
    interposing_start();
    fixture_init(&fixture, "/nowhere/libtoken.so", TOKEN);
    fixture.settings.cmk = "a-label";
    fixture.cmks[0] = "id:BEEF";
    fixture_open(&fixture);

    ASSERT_OK(resolve_master_key(&fixture, info, &cmk, &err));

    dkv_pkcs11_ops.cmk_free(cmk);
    fixture_close(&fixture);
}

static void an_unlisted_id_is_refused_without_contact(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_cmk *cmk = NULL;
    const struct dkv_cmk_info *info = master_key("beef", "aes-gcm");
    interposing_start();
    fixture_init(&fixture, "/nowhere/libtoken.so", TOKEN);
    fixture.settings.cmk = "id:aa";
    fixture.cmks[0] = "pkcs11:id=%bb;object=x";
    fixture_open(&fixture);

    ASSERT_RC(DKV_E_POLICY, resolve_master_key(&fixture, info, &cmk, &err));
    ASSERT_SAYS("add id:beef to cmks in test.conf");

    CU_ASSERT_PTR_NULL(cmk);
    fixture_close(&fixture);
}

static void an_id_that_no_listed_label_has_is_refused_before_any_key_is_used(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_cmk *cmk = NULL;
    if (!start_softhsm()) {
        return;
    }
    open_softhsm(&fixture, "listed");
    create(&fixture, "listed", NULL);
    const struct dkv_cmk_info *foreign = create(&fixture, "foreign", NULL);
    const struct dkv_cmk_info *unknown = master_key("beef", "aes-gcm");

    ASSERT_RC(DKV_E_POLICY, resolve_master_key(&fixture, foreign, &cmk, &err));
    ASSERT_RC(DKV_E_POLICY, resolve_master_key(&fixture, unknown, &cmk, &err));

    CU_ASSERT_PTR_NULL(cmk);
    CU_ASSERT_EQUAL(counts.sign_init + counts.decrypt_init + counts.encrypt_init, 0);
    fixture_close(&fixture);
}

static void a_document_opens_under_a_listed_label_and_id(void)
{
    static const char *const forms[] = {"old", "pkcs11:object=old", "id:", "pkcs11:object=gone"};
    for (size_t i = 0; i < DKV_COUNT(forms); i++) {
        struct fixture fixture;
        struct dkv_error err = {0};
        struct dkv_cmk *cmk = NULL;
        char reference[1100];
        if (!start_softhsm()) {
            return;
        }
        open_softhsm(&fixture, "new");
        create(&fixture, "new", NULL);
        const struct dkv_cmk_info *info = create(&fixture, "old", "aes-gcm");
        fixture_close(&fixture);
        snprintf(reference, sizeof(reference), "%s%s", forms[i], strcmp(forms[i], "id:") == 0 ? info->key_id : "");
        fixture.cmks[0] = reference;
        fixture_open(&fixture);

        ASSERT_RC(i < 3 ? DKV_OK : DKV_E_POLICY, resolve_master_key(&fixture, info, &cmk, &err));

        dkv_pkcs11_ops.cmk_free(cmk);
        fixture_close(&fixture);
    }
}

static void a_cmk_that_is_not_listed_can_be_shown_but_not_used(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_secret dek = {0};
    struct material material = {0};
    struct dkv_cmk_info *info = new_info();
    if (!start_softhsm()) {
        return;
    }
    open_softhsm(&fixture, "listed");
    create(&fixture, "other", NULL);
    fill_dek(&dek);
    struct dkv_cmk *cmk = resolve(&fixture, "other");

    ASSERT_OK(dkv_pkcs11_ops.describe(fixture.self, &a_call, cmk, info, &err));
    ASSERT_RC(DKV_E_POLICY, try_wrap(&fixture, cmk, &dek, &material, &err));
    ASSERT_SAYS("pkcs11:test");

    CU_ASSERT_STRING_EQUAL(info->label, "other");
    CU_ASSERT_EQUAL(counts.sign_init, 0);
    dkv_pkcs11_ops.cmk_free(cmk);
    dkv_secret_done(&dek);
    fixture_close(&fixture);
}

static void a_document_that_says_another_profile_than_the_token_is_refused(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_cmk *cmk = NULL;
    struct dkv_secret out = {0};
    uint8_t material[127] = {1, 2, 12};
    if (!start_softhsm()) {
        return;
    }
    import("mac", "\xbe\xef", CKK_GENERIC_SECRET);
    open_softhsm(&fixture, "mac");
    const struct dkv_cmk_info *info = master_key("beef", "aes-gcm");
    ASSERT_OK(dkv_secret_init(&out, DKV_DEK_BYTES, &err));
    ASSERT_OK(resolve_master_key(&fixture, info, &cmk, &err));

    ASSERT_RC(DKV_E_REJECTED_CIPHERTEXT, try_unwrap(&fixture, &a_call, cmk, dkv_span(document_id, 16),
                                                    dkv_span(material, sizeof(material)), &out, &err));
    ASSERT_SAYS("one profile for life");

    CU_ASSERT_EQUAL(counts.sign_init + counts.decrypt_init, 0);
    dkv_secret_done(&out);
    dkv_pkcs11_ops.cmk_free(cmk);
    fixture_close(&fixture);
}

static void a_reference_by_id_and_label_wants_both(void)
{
    static const char *const references[] = {"pkcs11:id=%be%ef;object=mac", "pkcs11:id=%be%ef;object=other"};
    for (size_t i = 0; i < DKV_COUNT(references); i++) {
        struct fixture fixture;
        struct dkv_error err = {0};
        struct dkv_cmk *cmk = NULL;
        if (!start_softhsm()) {
            return;
        }
        import("mac", "\xbe\xef", CKK_GENERIC_SECRET);
        open_softhsm(&fixture, references[i]);
        const struct dkv_cmk_info *info = master_key("beef", "hmac-derive");

        ASSERT_RC(i == 0 ? DKV_OK : DKV_E_POLICY, resolve_master_key(&fixture, info, &cmk, &err));

        dkv_pkcs11_ops.cmk_free(cmk);
        fixture_close(&fixture);
    }
}

/* ---- One CMK, not two ---- */

static void two_cmks_of_one_label_are_refused(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_cmk *cmk = NULL;
    if (!start_softhsm()) {
        return;
    }
    import("twin", "\x01", CKK_AES);
    import("twin", "\x02", CKK_GENERIC_SECRET);
    open_softhsm(&fixture, "twin");

    ASSERT_RC(DKV_E_CONFIG, dkv_pkcs11_ops.resolve_reference(fixture.self, &a_call, NULL, &cmk, &err));
    ASSERT_SAYS("twin");
    const struct dkv_cmk_info *info = master_key("01", "aes-gcm");
    ASSERT_RC(DKV_E_CONFIG, resolve_master_key(&fixture, info, &cmk, &err));

    CU_ASSERT_PTR_NULL(cmk);
    fixture_close(&fixture);
}

static void two_cmks_of_one_id_are_refused(void)
{
    static const CK_KEY_TYPE second[] = {CKK_AES, CKK_GENERIC_SECRET};
    for (size_t i = 0; i < DKV_COUNT(second); i++) {
        struct fixture fixture;
        struct dkv_error err = {0};
        struct dkv_secret dek = {0};
        struct material material = {0};
        if (!start_softhsm()) {
            return;
        }
        import("a", "\xbe\xef", CKK_AES);
        import("b", "\xbe\xef", second[i]);
        open_softhsm(&fixture, "id:beef");
        fill_dek(&dek);
        struct dkv_cmk *cmk = resolve(&fixture, NULL);

        ASSERT_RC(DKV_E_CONFIG, try_wrap(&fixture, cmk, &dek, &material, &err));
        ASSERT_SAYS("two keys with the CKA_ID beef");

        CU_ASSERT_EQUAL(counts.encrypt_init + counts.sign_init, 0);
        dkv_pkcs11_ops.cmk_free(cmk);
        dkv_secret_done(&dek);
        fixture_close(&fixture);
    }
}

static void a_key_that_is_not_there_is_not_found(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_cmk *cmk = NULL;
    struct dkv_secret dek = {0};
    struct material material = {0};
    if (!start_softhsm()) {
        return;
    }
    open_softhsm(&fixture, "id:beef");
    fill_dek(&dek);
    ASSERT_RC(DKV_E_NOT_FOUND, dkv_pkcs11_ops.resolve_reference(fixture.self, &a_call, "nobody", &cmk, &err));
    cmk = resolve(&fixture, NULL);

    ASSERT_RC(DKV_E_NOT_FOUND, try_wrap(&fixture, cmk, &dek, &material, &err));

    dkv_pkcs11_ops.cmk_free(cmk);
    dkv_secret_done(&dek);
    fixture_close(&fixture);
}

static void a_check_looks_at_every_cmk_of_the_file(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    open_softhsm(&fixture, NULL);
    create(&fixture, "new", NULL);
    create(&fixture, "old", "aes-gcm");
    fixture_close(&fixture);
    fixture.settings.cmk = "new";
    fixture.settings.cmks_line = 9;
    fixture.cmks[0] = "pkcs11:object=old";
    fixture_open(&fixture);
    ASSERT_OK(dkv_pkcs11_ops.check(fixture.self, &a_call, &err));
    fixture_close(&fixture);

    static const char *const missing[] = {"pkcs11:object=older", "id:beef"};
    for (size_t i = 0; i < DKV_COUNT(missing); i++) {
        fixture.cmks[1] = missing[i];
        fixture_open(&fixture);
        err = (struct dkv_error){0};
        ASSERT_RC(DKV_E_NOT_FOUND, dkv_pkcs11_ops.check(fixture.self, &a_call, &err));
        CU_ASSERT_EQUAL(strncmp(err.message, "test.conf:9: cmks: ", 19), 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, missing[i]));
        fixture_close(&fixture);
    }
}

static void a_check_refuses_a_cmk_that_could_not_be_used(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    struct dkv_raw raw = dkv_raw_open(dkv_softhsm_module(), NULL, "prod");
    const struct dkv_raw_key loose = {.label = "loose", .id = "\1", .id_len = 1, .type = CKK_GENERIC_SECRET,
                                      .value = "01234567890123456789012345678901", .value_len = 32,
                                      .is_extractable = true};
    dkv_raw_import(&raw, &loose);
    dkv_raw_close(&raw);
    fixture_init(&fixture, dkv_softhsm_module(), TOKEN);
    fixture.cmks[0] = "loose";
    fixture_open(&fixture);

    ASSERT_RC(DKV_E_POLICY, dkv_pkcs11_ops.check(fixture.self, &a_call, &err));

    ASSERT_SAYS("CKA_EXTRACTABLE");
    fixture_close(&fixture);
}

/* ---- What a CMK must be ---- */

static void a_cmk_that_could_get_out_is_not_used(void)
{
    static const struct {
        struct dkv_raw_key key;
        const char *says;
    } cases[] = {
        {{.is_extractable = true, .type = CKK_AES, .value_len = 32}, "CKA_EXTRACTABLE"},
        {{.is_readable = true, .type = CKK_GENERIC_SECRET, .value_len = 32}, "CKA_SENSITIVE"},
        {{.type = CKK_AES, .value_len = 16}, "16 bytes"},
        {{.type = CKK_GENERIC_SECRET, .value_len = 20}, "20 bytes"},
    };
    for (size_t i = 0; i < DKV_COUNT(cases); i++) {
        struct fixture fixture;
        struct dkv_error err = {0};
        struct dkv_secret dek = {0};
        struct material material = {0};
        struct dkv_cmk_info *info = new_info();
        if (!start_softhsm()) {
            return;
        }
        struct dkv_raw raw = dkv_raw_open(dkv_softhsm_module(), NULL, "prod");
        struct dkv_raw_key key = cases[i].key;
        key.label = "bad";
        key.id = "\xbe\xef";
        key.id_len = 2;
        key.value = value;
        dkv_raw_import(&raw, &key);
        dkv_raw_close(&raw);
        open_softhsm(&fixture, "bad");
        fill_dek(&dek);
        struct dkv_cmk *cmk = resolve(&fixture, NULL);

        ASSERT_RC(DKV_E_POLICY, try_wrap(&fixture, cmk, &dek, &material, &err));
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, cases[i].says));
        err = (struct dkv_error){0};
        ASSERT_OK(dkv_pkcs11_ops.describe(fixture.self, &a_call, cmk, info, &err));

        CU_ASSERT_EQUAL(info->state, DKV_CMK_UNUSABLE);
        CU_ASSERT_EQUAL(counts.encrypt_init + counts.sign_init, 0);
        dkv_pkcs11_ops.cmk_free(cmk);
        dkv_secret_done(&dek);
        fixture_close(&fixture);
    }
}

static const struct dkv_finding *finding(const struct dkv_cmk_info *info, const char *check)
{
    for (size_t i = 0; i < info->n_findings; i++) {
        if (strcmp(info->findings[i].check, check) == 0) {
            return &info->findings[i];
        }
    }
    CU_FAIL_FATAL("no such finding");
    return &info->findings[0];
}

static void a_cmk_from_a_ceremony_warns_and_works(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    struct material material = {0};
    struct dkv_cmk_info *info = new_info();
    if (!start_softhsm()) {
        return;
    }
    import("ceremony", "\xbe\xef", CKK_GENERIC_SECRET);
    open_softhsm(&fixture, "ceremony");
    struct dkv_cmk *cmk = resolve(&fixture, NULL);

    ASSERT_OK(dkv_pkcs11_ops.describe(fixture.self, &a_call, cmk, info, &err));
    round_trip(&fixture, NULL, &material);

    CU_ASSERT_EQUAL(info->state, DKV_CMK_ENABLED);
    CU_ASSERT_STRING_EQUAL(info->key_id, "beef");
    CU_ASSERT(!finding(info, "local")->ok && !finding(info, "local")->refuses);
    CU_ASSERT(!finding(info, "never-extractable")->ok);
    CU_ASSERT(finding(info, "extractable")->ok);
    CU_ASSERT(!finding(info, "mechanisms")->ok);
    dkv_pkcs11_ops.cmk_free(cmk);
    fixture_close(&fixture);
}

/* ---- Making them ---- */

static CK_ATTRIBUTE_TYPE refused_type;
static CK_RV refused_rv;
static unsigned n_failures;

static CK_RV picky_generate(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *template, CK_ULONG n,
                            CK_OBJECT_HANDLE *key)
{
    counts.generate++;
    if (n_failures > 0) {
        n_failures--;
        return CKR_GENERAL_ERROR;
    }
    for (CK_ULONG i = 0; i < n; i++) {
        if (template[i].type == refused_type) {
            return refused_rv;
        }
    }
    return real->C_GenerateKey(session, mechanism, template, n, key);
}

static CK_FUNCTION_LIST *interpose_picky(CK_FUNCTION_LIST *functions)
{
    CK_FUNCTION_LIST *list = interpose(functions);
    list->C_GenerateKey = picky_generate;
    return list;
}

static void a_made_cmk_has_nothing_to_complain_about(void)
{
    struct fixture fixture;
    if (!start_softhsm()) {
        return;
    }
    open_softhsm(&fixture, "k");
    static const char *const names[] = {"hmac-derive", "aes-gcm"};
    for (size_t p = 0; p < DKV_COUNT(names); p++) {
        const struct dkv_cmk_info *info = create(&fixture, names[p], names[p]);
        CU_ASSERT_STRING_EQUAL(info->label, names[p]);
        CU_ASSERT(info->n_findings > 10);
        for (size_t i = 0; i < info->n_findings; i++) {
            if (!info->findings[i].ok) {
                printf("# %s: %s\n", info->findings[i].check, info->findings[i].detail);
            }
            CU_ASSERT(info->findings[i].ok);
        }
    }
    fixture_close(&fixture);
}

static void what_a_token_refuses_in_the_template_is_left_out_and_told(void)
{
    static const struct {
        CK_ATTRIBUTE_TYPE type;
        CK_RV rv;
        const char *told;
    } cases[] = {
        {CKA_ALLOWED_MECHANISMS, CKR_ATTRIBUTE_TYPE_INVALID, "without CKA_ALLOWED_MECHANISMS"},
        {CKA_COPYABLE, CKR_TEMPLATE_INCONSISTENT, "CKA_COPYABLE"},
        {CKA_VERIFY, CKR_ATTRIBUTE_VALUE_INVALID, "usages"},
        {CKA_ALLOWED_MECHANISMS, CKR_GENERAL_ERROR, "without CKA_ALLOWED_MECHANISMS"},
    };
    for (size_t i = 0; i < DKV_COUNT(cases); i++) {
        struct fixture fixture;
        if (!start_softhsm()) {
            return;
        }
        dkv_pkcs11_set_functions_wrapper(interpose_picky);
        refused_type = cases[i].type;
        refused_rv = cases[i].rv;
        open_softhsm(&fixture, "k");

        const struct dkv_cmk_info *info = create(&fixture, "k", NULL);

        CU_ASSERT_PTR_NOT_NULL(strstr(finding(info, "template")->detail, cases[i].told));
        CU_ASSERT(!finding(info, "template")->ok && !finding(info, "template")->refuses);
        CU_ASSERT(!finding(info, "mechanisms")->ok);
        CU_ASSERT_EQUAL(info->state, DKV_CMK_ENABLED);
        fixture_close(&fixture);
    }
}

static void a_token_that_refuses_what_a_cmk_must_have_makes_none(void)
{
    static const CK_ATTRIBUTE_TYPE needed[] = {CKA_SENSITIVE,  CKA_EXTRACTABLE, CKA_PRIVATE, CKA_TOKEN,
                                               CKA_MODIFIABLE, CKA_SIGN,        CKA_ID};
    for (size_t i = 0; i < DKV_COUNT(needed); i++) {
        struct fixture fixture;
        struct dkv_error err = {0};
        struct dkv_cmk_info *info = new_info();
        info->state = DKV_CMK_PENDING_DELETION;
        if (!start_softhsm()) {
            return;
        }
        dkv_pkcs11_set_functions_wrapper(interpose_picky);
        refused_type = needed[i];
        refused_rv = CKR_ATTRIBUTE_VALUE_INVALID;
        open_softhsm(&fixture, "k");

        ASSERT_RC(DKV_E_INVALID, try_create(&fixture, "k", NULL, info, &err));

        CU_ASSERT_EQUAL(counts.generate, 4);
        CU_ASSERT_EQUAL(info->state, DKV_CMK_PENDING_DELETION);
        fixture_close(&fixture);
    }
}

/* SoftHSM fails so when others work beside it: the template isn't cut for that. */
static void a_passing_failure_is_tried_again_with_the_same_template(void)
{
    struct fixture fixture;
    if (!start_softhsm()) {
        return;
    }
    dkv_pkcs11_set_functions_wrapper(interpose_picky);
    refused_type = CK_UNAVAILABLE_INFORMATION;
    n_failures = 2;
    open_softhsm(&fixture, "k");

    const struct dkv_cmk_info *info = create(&fixture, "k", NULL);

    CU_ASSERT_EQUAL(counts.generate, 3);
    CU_ASSERT(finding(info, "mechanisms")->ok);
    fixture_close(&fixture);
}

/* A token that takes the template and doesn't keep to it. */
static CK_RV careless_generate(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *template, CK_ULONG n,
                               CK_OBJECT_HANDLE *key)
{
    CK_ATTRIBUTE changed[32];
    CK_BBOOL yes = CK_TRUE;
    for (CK_ULONG i = 0; i < n; i++) {
        changed[i] = template[i];
        if (changed[i].type == CKA_EXTRACTABLE) {
            changed[i].pValue = &yes;
        }
    }
    return real->C_GenerateKey(session, mechanism, changed, n, key);
}

static void a_cmk_that_came_out_extractable_is_taken_away_again(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_cmk_info *info = new_info();
    struct dkv_cmk *cmk = NULL;
    if (!start_softhsm()) {
        return;
    }
    open_softhsm(&fixture, "k");
    ASSERT_OK(
        dkv_pkcs11_ops.create_cmk(fixture.self, &a_call, &(struct dkv_cmk_request){.label = "first"}, info, &err));
    interposed.C_GenerateKey = careless_generate;

    ASSERT_RC(DKV_E_POLICY, try_create(&fixture, "k", NULL, info, &err));
    ASSERT_SAYS("removed again");

    err = (struct dkv_error){0};
    ASSERT_RC(DKV_E_NOT_FOUND, dkv_pkcs11_ops.resolve_reference(fixture.self, &a_call, "k", &cmk, &err));
    fixture_close(&fixture);
}

/* Two keys for one call. */
static CK_RV doubling_generate(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *template, CK_ULONG n,
                               CK_OBJECT_HANDLE *key)
{
    const CK_RV rv = real->C_GenerateKey(session, mechanism, template, n, key);
    return rv == CKR_OK ? real->C_GenerateKey(session, mechanism, template, n, key) : rv;
}

static void a_key_that_was_made_twice_is_no_cmk(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    open_softhsm(&fixture, "k");
    create(&fixture, "first", NULL); /* connects, so that the table is there to be changed */
    interposed.C_GenerateKey = doubling_generate;

    ASSERT_RC(DKV_E_INTERNAL, try_create(&fixture, "k", NULL, new_info(), &err));
    ASSERT_SAYS("two keys");

    fixture_close(&fixture);
}

/* A failure that leaves the key behind all the same. */
static CK_RV leaving_generate(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *template, CK_ULONG n,
                              CK_OBJECT_HANDLE *key)
{
    const CK_RV rv = real->C_GenerateKey(session, mechanism, template, n, key);
    return counts.generate++ == 0 ? CKR_GENERAL_ERROR : rv;
}

static void what_a_failed_try_left_behind_is_swept_away(void)
{
    struct fixture fixture;
    struct material material = {0};
    if (!start_softhsm()) {
        return;
    }
    open_softhsm(&fixture, "k");
    create(&fixture, "first", NULL);
    interposed.C_GenerateKey = leaving_generate;

    create(&fixture, "k", NULL);
    round_trip(&fixture, "k", &material);

    CU_ASSERT_EQUAL(counts.generate, 2);
    fixture_close(&fixture);
}

static void a_label_that_exists_is_a_conflict(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_cmk_info *info = new_info();
    if (!start_softhsm()) {
        return;
    }
    open_softhsm(&fixture, "k");
    create(&fixture, "k", "aes-gcm");

    ASSERT_RC(DKV_E_CONFLICT, try_create(&fixture, "k", "hmac-derive", info, &err));

    fixture_close(&fixture);
}

static void requests_that_make_no_sense_are_refused(void)
{
    static const struct {
        const char *label, *profile;
    } cases[] = {{"", NULL},     {NULL, NULL},   {"id:aa", NULL}, {"pkcs11:object=x", NULL},
                 {"a\nb", NULL}, {"\xff", NULL}, {"k", "aes-ecb"}};
    struct fixture fixture;
    if (!start_softhsm()) {
        return;
    }
    open_softhsm(&fixture, "k");
    for (size_t i = 0; i < DKV_COUNT(cases); i++) {
        struct dkv_error err = {0};
        struct dkv_cmk_info *info = new_info();
        ASSERT_RC(DKV_E_INVALID, try_create(&fixture, cases[i].label, cases[i].profile, info, &err));
    }
    fixture_close(&fixture);
}

static void the_default_profile_is_what_the_token_can(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    struct dkv_cmk_info *info = new_info();
    if (!dkv_softhsm_start_with("slots.mechanisms = -,CKM_SHA256_HMAC")) {
        dkv_test_skip("SoftHSM isn't installed");
        return;
    }
    dkv_softhsm_add_token("prod");
    interposing_start();
    open_softhsm(&fixture, "k");

    const struct dkv_cmk_info *made = create(&fixture, "k", NULL);
    CU_ASSERT_STRING_EQUAL(made->profile, "aes-gcm");
    ASSERT_RC(DKV_E_INVALID, try_create(&fixture, "l", "hmac-derive", info, &err));

    fixture_close(&fixture);
}

/* ---- Lists ---- */

struct seen {
    struct fixture *fixture;
    size_t n, n_usable;
    char labels[256];
};

static enum dkv_rc see_cmk(void *arg, const struct dkv_cmk_info *info, struct dkv_error *err)
{
    struct seen *seen = arg;
    struct dkv_cmk *cmk = NULL;
    seen->n++;
    snprintf(seen->labels + strlen(seen->labels), sizeof(seen->labels) - strlen(seen->labels), "%s ", info->label);
    DKV_TRY(dkv_pkcs11_ops.resolve_reference(seen->fixture->self, &a_call, info->label, &cmk,
                                             err)); /* a visitor may call us */
    dkv_pkcs11_ops.cmk_free(cmk);
    return DKV_OK;
}

static void all_cmks_of_the_token_are_listed_and_nothing_else(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    struct seen seen = {.fixture = &fixture};
    if (!start_softhsm()) {
        return;
    }
    import("des", "\x01", CKK_DES3);
    import("nameless", "", CKK_GENERIC_SECRET);
    open_softhsm(&fixture, "a");
    create(&fixture, "a", "aes-gcm");
    create(&fixture, "b", "hmac-derive");

    ASSERT_OK(dkv_pkcs11_ops.list_cmks(fixture.self, &a_call, see_cmk, &seen, &err));

    CU_ASSERT_EQUAL(seen.n, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(seen.labels, "a "));
    CU_ASSERT_PTR_NOT_NULL(strstr(seen.labels, "b "));
    fixture_close(&fixture);
}

static enum dkv_rc see_token(void *arg, const struct dkv_token_info *info, struct dkv_error *err)
{
    struct seen *seen = arg;
    (void)err;
    seen->n++;
    seen->n_usable += info->usable ? 1 : 0;
    CU_ASSERT_EQUAL(info->usable, info->reason[0] == '\0');
    snprintf(seen->labels + strlen(seen->labels), sizeof(seen->labels) - strlen(seen->labels), "%s%s ", info->label,
             strstr(info->module, "nowhere") != NULL ? "nowhere" : "");
    return DKV_OK;
}

static void every_slot_is_listed_and_a_missing_module_too(void)
{
    struct dkv_error err = {0};
    struct seen seen = {0};
    if (!start_softhsm()) {
        return;
    }
    dkv_softhsm_add_token("spare");
    const struct dkv_module_name modules[] = {
        {dkv_softhsm_module(), NULL}, {"/nowhere/libtoken.so", NULL}, {dkv_softhsm_module(), NULL}};

    ASSERT_OK(dkv_token_list(modules, DKV_COUNT(modules), see_token, &seen, &err));

    CU_ASSERT(seen.n >= 4); /* two tokens, an empty slot, a missing module; then those registered with p11-kit */
    CU_ASSERT(seen.n_usable >= 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(seen.labels, "prod "));
    CU_ASSERT_PTR_NOT_NULL(strstr(seen.labels, "spare "));
    CU_ASSERT_PTR_NOT_NULL(strstr(seen.labels, "nowhere "));
    CU_ASSERT_PTR_EQUAL(strstr(strstr(seen.labels, "prod ") + 1, "prod "), NULL); /* once */
    CU_ASSERT_EQUAL(counts.login, 0);
}

/* ---- Settings ---- */

static void token_uris_that_could_mean_something_else_are_refused(void)
{
    static const char *const uris[] = {
        "prod",
        "pkcs11:",
        "pkcs11:slot-id=0",
        "pkcs11:token=prod?pin-value=tell-nobody",
        "pkcs11:token=prod?pin-source=/etc/pin",
        "pkcs11:token=prod?module-path=/tmp/evil.so",
        "pkcs11:token=prod?module-name=evil",
        "pkcs11:token=prod;colour=red",
        "pkcs11:token=prod;object=cmk",
        "pkcs11:token=%zz",
    };
    for (size_t i = 0; i < DKV_COUNT(uris); i++) {
        struct fixture fixture;
        struct dkv_error err = {0};
        fixture_init(&fixture, "/nowhere/libtoken.so", uris[i]);
        ASSERT_RC(DKV_E_CONFIG, fixture_try_open(&fixture, &err));
        ASSERT_SAYS("test.conf:7");
        CU_ASSERT_PTR_NULL(strstr(err.message, "tell-nobody"));
        CU_ASSERT_PTR_NULL(fixture.self);
        fixture_close(&fixture);
    }
}

static void malformed_cmks_in_the_file_are_refused_at_open(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    fixture_init(&fixture, "/nowhere/libtoken.so", TOKEN);
    fixture.settings.cmk = "fine";
    fixture.cmks[0] = "id:xyz";

    ASSERT_RC(DKV_E_CONFIG, fixture_try_open(&fixture, &err));
    ASSERT_SAYS("test.conf:5: cmks");

    fixture_close(&fixture);
}

static void a_module_that_others_may_write_is_not_loaded(void)
{
    struct fixture fixture;
    struct dkv_error err = {0};
    fixture_init(&fixture, dkv_test_write("evil.so", "no code", 7, 0666), TOKEN);
    CU_ASSERT_EQUAL_FATAL(chmod(fixture.values[DKV_P11_OPTION_MODULE].text, 0666), 0);
    fixture_open(&fixture);
    ASSERT_RC(DKV_E_CONFIG, dkv_pkcs11_ops.check(fixture.self, &a_call, &err));
    ASSERT_SAYS("chmod go-w");
    CU_ASSERT_EQUAL_FATAL(chmod(fixture.values[DKV_P11_OPTION_MODULE].text, 0600), 0);

    ASSERT_RC(DKV_E_CONFIG, dkv_pkcs11_ops.check(fixture.self, &a_call, &err));
    ASSERT_SAYS("can't be loaded");

    fixture_close(&fixture);
}

static CK_RV initialize_answer;

static CK_RV failing_initialize(void *arguments)
{
    return initialize_answer != CKR_OK ? initialize_answer : real->C_Initialize(arguments);
}

static CK_FUNCTION_LIST *interpose_initialize(CK_FUNCTION_LIST *functions)
{
    CK_FUNCTION_LIST *list = interpose(functions);
    list->C_Initialize = failing_initialize;
    return list;
}

static void a_module_that_doesnt_start_is_named_with_what_may_be_wrong(void)
{
    static const CK_RV answers[] = {CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_DEVICE_ERROR};
    struct fixture fixture;
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    dkv_pkcs11_set_functions_wrapper(interpose_initialize);
    fixture_init(&fixture, dkv_softhsm_module(), TOKEN);
    fixture_open(&fixture);
    for (size_t i = 0; i < DKV_COUNT(answers); i++) {
        initialize_answer = answers[i];
        err = (struct dkv_error){0};
        ASSERT_RC(dkv_p11_rv_class(answers[i]), dkv_pkcs11_ops.check(fixture.self, &a_call, &err));
        ASSERT_SAYS("libsofthsm2.so");
        ASSERT_SAYS("SOFTHSM2_CONF");
    }

    initialize_answer = CKR_OK;
    ASSERT_OK(dkv_pkcs11_ops.check(fixture.self, &a_call, &err));

    fixture_close(&fixture);
}

static void two_entries_share_a_module_and_its_token(void)
{
    struct fixture a, b;
    struct material material = {0};
    struct dkv_error err = {0};
    if (!start_softhsm()) {
        return;
    }
    open_softhsm(&a, "k");
    create(&a, "k", NULL);
    open_softhsm(&b, "k");

    round_trip(&b, NULL, &material);
    fixture_close(&a);
    round_trip(&b, NULL, &material);
    fixture_init(&a, dkv_softhsm_module(), TOKEN);
    a.values[DKV_P11_OPTION_MODULE_INIT] = text_value("other");
    fixture_open(&a);
    ASSERT_RC(DKV_E_CONFIG, dkv_pkcs11_ops.check(a.self, &a_call, &err));
    ASSERT_SAYS("module-init");

    fixture_close(&a);
    fixture_close(&b);
}

static const struct dkv_test tests[] = {
    DKV_TEST(a_listed_id_is_resolved_without_contact),
    DKV_TEST(an_unlisted_id_is_refused_without_contact),
    DKV_TEST(an_id_that_no_listed_label_has_is_refused_before_any_key_is_used),
    DKV_TEST(a_document_opens_under_a_listed_label_and_id),
    DKV_TEST(a_cmk_that_is_not_listed_can_be_shown_but_not_used),
    DKV_TEST(a_document_that_says_another_profile_than_the_token_is_refused),
    DKV_TEST(a_reference_by_id_and_label_wants_both),
    DKV_TEST(two_cmks_of_one_label_are_refused),
    DKV_TEST(two_cmks_of_one_id_are_refused),
    DKV_TEST(a_key_that_is_not_there_is_not_found),
    DKV_TEST(a_check_looks_at_every_cmk_of_the_file),
    DKV_TEST(a_check_refuses_a_cmk_that_could_not_be_used),
    DKV_TEST(a_cmk_that_could_get_out_is_not_used),
    DKV_TEST(a_cmk_from_a_ceremony_warns_and_works),
    DKV_TEST(a_made_cmk_has_nothing_to_complain_about),
    DKV_TEST(what_a_token_refuses_in_the_template_is_left_out_and_told),
    DKV_TEST(a_token_that_refuses_what_a_cmk_must_have_makes_none),
    DKV_TEST(a_passing_failure_is_tried_again_with_the_same_template),
    DKV_TEST(a_cmk_that_came_out_extractable_is_taken_away_again),
    DKV_TEST(a_key_that_was_made_twice_is_no_cmk),
    DKV_TEST(what_a_failed_try_left_behind_is_swept_away),
    DKV_TEST(a_label_that_exists_is_a_conflict),
    DKV_TEST(requests_that_make_no_sense_are_refused),
    DKV_TEST(the_default_profile_is_what_the_token_can),
    DKV_TEST(all_cmks_of_the_token_are_listed_and_nothing_else),
    DKV_TEST(every_slot_is_listed_and_a_missing_module_too),
    DKV_TEST(token_uris_that_could_mean_something_else_are_refused),
    DKV_TEST(malformed_cmks_in_the_file_are_refused_at_open),
    DKV_TEST(a_module_that_others_may_write_is_not_loaded),
    DKV_TEST(a_module_that_doesnt_start_is_named_with_what_may_be_wrong),
    DKV_TEST(two_entries_share_a_module_and_its_token),
};

int main(int argc, char **argv)
{
    return dkv_test_main(argc, argv, tests, DKV_COUNT(tests));
}
