/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the pkcs11 provider share. One instance stands on one token of one module.
 *
 * Locks: instance->lock guards the connection, the main session, the known CMKs and the PIN; pool->lock the free
 * sessions. Where both are held, instance->lock was taken first. No visitor is called with one of them held. */
#ifndef PROVIDERS_PKCS11_INTERNAL_H
#define PROVIDERS_PKCS11_INTERNAL_H

#include <pthread.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/secret.h"
#include "providers/pkcs11/pkcs11.h"

#define DKV_P11_ID_MAX 64     /* bytes of a CKA_ID that we take */
#define DKV_P11_LABEL_MAX 255 /* bytes of a CKA_LABEL that we take */
#define DKV_P11_CMK_LEN 32    /* bytes of a CMK that we make */
#define DKV_P11_PIN_MAX 1024
#define DKV_P11_SESSIONS_MAX 64
#define DKV_P11_KNOWN_MAX 64 /* CMKs whose handles are kept */

/* ---- errors.c ---- */

const char *dkv_p11_rv_name(CK_RV rv);
enum dkv_rc dkv_p11_rv_class(CK_RV rv);
/* dkv_p11_fail: "the words: CKR_NAME", of the table's class. */
#define dkv_p11_fail(err, rv, ...) dkv_p11_error_set((err), (rv), __FILE__, __LINE__, __VA_ARGS__)
enum dkv_rc dkv_p11_error_set(struct dkv_error *err, CK_RV rv, const char *file, int line, const char *format, ...)
    DKV_PRINTF(5, 6);

/* What a failed call says about what it stands on. */
enum dkv_p11_trouble {
    DKV_P11_TROUBLE_NONE,      /* the call's own */
    DKV_P11_TROUBLE_CONNECTION /* session, handle, login or token are lost: connect anew and try once more */
};
enum dkv_p11_trouble dkv_p11_rv_trouble(CK_RV rv);

/* ---- module.c ---- */

/* A module in this process; shared by all that name the same file. */
struct dkv_p11_module;
DKV_MUST_USE enum dkv_rc dkv_p11_module_get(const char *path, const char *init, struct dkv_p11_module **ret,
                                            struct dkv_error *err);
void dkv_p11_module_put(struct dkv_p11_module *module);
CK_FUNCTION_LIST *dkv_p11_module_functions(const struct dkv_p11_module *module);
/* dkv_p11_module_restart: finalised and initialised anew, unless somebody else in the process holds it too. The caller
 * has no session and no call in it. After a failure the module is only good for dkv_p11_module_put. */
DKV_MUST_USE enum dkv_rc dkv_p11_module_restart(struct dkv_p11_module *module, struct dkv_error *err);

/* dkv_pkcs11_set_functions_wrapper: what is called with each module's functions from now on, and gives those to be
 * used. Tests only; NULL: none. */
void dkv_pkcs11_set_functions_wrapper(CK_FUNCTION_LIST *(*wrapper)(CK_FUNCTION_LIST *real));

/* ---- token.c ---- */

struct dkv_p11_token {
    CK_SLOT_ID slot;
    CK_FLAGS flags;
    char label[33], serial[17], manufacturer[33], model[17];
    char identity[33]; /* hex of a digest of the four above, for keys in the state folder */
};
/* dkv_p11_token_uri_parse: the setting `token`. DKV_E_CONFIG, in words that don't repeat it. */
DKV_MUST_USE enum dkv_rc dkv_p11_token_uri_parse(const char *text, P11KitUri **ret, struct dkv_error *err);
/* dkv_p11_token_find: the one token that matches. DKV_E_UNREACHABLE: none. DKV_E_CONFIG: two. */
DKV_MUST_USE enum dkv_rc dkv_p11_token_find(CK_FUNCTION_LIST *functions, P11KitUri *uri, const char *id,
                                            struct dkv_p11_token *ret, struct dkv_error *err);
void dkv_p11_token_describe(const CK_TOKEN_INFO *info, CK_SLOT_ID slot, struct dkv_p11_token *ret);
DKV_MUST_USE enum dkv_rc dkv_p11_slots(CK_FUNCTION_LIST *functions, CK_BBOOL with_token, CK_SLOT_ID **ret,
                                       CK_ULONG *ret_n, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_p11_mechanisms(CK_FUNCTION_LIST *functions, CK_SLOT_ID slot, CK_MECHANISM_TYPE **ret,
                                            CK_ULONG *ret_n, struct dkv_error *err);

/* ---- settings_check.c ---- */

/* dkv_p11_check_settings: the member check_settings of the provider's table. */
DKV_MUST_USE enum dkv_rc dkv_p11_check_settings(const struct dkv_provider_settings *settings,
                                                dkv_setting_fault_fn report, void *arg, struct dkv_error *err);

/* ---- reference.c ---- */

/* How a person names a CMK: by CKA_ID, by CKA_LABEL or by both. */
struct dkv_p11_reference {
    uint8_t id[DKV_P11_ID_MAX];
    size_t id_len; /* 0: not by id */
    char label[DKV_P11_LABEL_MAX + 1];
    bool has_label;
};
/* dkv_p11_reference_parse: rc is the class of a malformed one. */
DKV_MUST_USE enum dkv_rc dkv_p11_reference_parse(const char *text, enum dkv_rc rc, struct dkv_p11_reference *ret,
                                                 struct dkv_error *err);

/* ---- master_key.c ---- */

struct dkv_p11_profile;
struct dkv_p11_master_key {
    uint8_t id[DKV_P11_ID_MAX];
    size_t id_len;
    const struct dkv_p11_profile *profile;
};
DKV_MUST_USE enum dkv_rc dkv_p11_master_key_parse(struct dkv_span bson, const char *provider_id,
                                                  struct dkv_p11_master_key *ret, struct dkv_error *err);
/* dkv_p11_master_key_write: into info's master_key and key_id. */
DKV_MUST_USE enum dkv_rc dkv_p11_master_key_write(const char *provider_id, struct dkv_span id, const char *profile,
                                                  struct dkv_cmk_info *info, struct dkv_error *err);

/* ---- blob.c: keyMaterial, pure ---- */

#define DKV_P11_SALT_LEN 32
#define DKV_P11_IV_LEN 12
#define DKV_P11_IV_MAX 16
#define DKV_P11_TAG_LEN 16
#define DKV_P11_HMAC_HEAD_LEN (2 + DKV_P11_SALT_LEN) /* version, profile, salt: also the AAD */
#define DKV_P11_HMAC_BLOB_LEN (DKV_P11_HMAC_HEAD_LEN + DKV_DEK_BYTES + DKV_P11_TAG_LEN)

enum dkv_p11_profile_number { DKV_P11_HMAC_DERIVE = 1, DKV_P11_AES_GCM = 2 };

/* keyMaterial taken apart; spans into it. */
struct dkv_p11_blob {
    uint8_t profile;
    struct dkv_span head; /* version to salt or IV */
    struct dkv_span salt_or_iv;
    struct dkv_span ciphertext; /* 96 bytes */
    struct dkv_span tag;        /* 16 bytes; follows the ciphertext */
};
/* dkv_p11_blob_decode: DKV_E_REJECTED_CIPHERTEXT; profile is the CMK's. */
DKV_MUST_USE enum dkv_rc dkv_p11_blob_decode(struct dkv_span material, const struct dkv_p11_profile *profile,
                                             struct dkv_p11_blob *ret, struct dkv_error *err);

/* What a keyMaterial is bound to. */
struct dkv_p11_binding {
    bool is_check_record;
    struct dkv_span key_id;  /* 1 to 64 bytes */
    struct dkv_span context; /* the document's _id: 16 bytes; a check record's: empty */
};
#define DKV_P11_BINDING_MAX 256
/* dkv_p11_kdf_input: what the CMK signs for hmac-derive. ret: DKV_P11_BINDING_MAX bytes. Returns the length. */
size_t dkv_p11_kdf_input(const struct dkv_p11_binding *binding, const uint8_t salt[static DKV_P11_SALT_LEN],
                         uint8_t *ret);
/* dkv_p11_gcm_aad: the AAD of aes-gcm. */
size_t dkv_p11_gcm_aad(const struct dkv_p11_binding *binding, uint8_t *ret);

/* ---- profile.c, wrap_hmac.c, wrap_gcm.c ---- */

/* One use of a CMK on one session. */
struct dkv_p11_use {
    CK_FUNCTION_LIST *functions;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    const char *cmk_name; /* for errors */
    struct dkv_p11_binding binding;
    CK_RV rv; /* of the call that failed; CKR_OK when no call did */
};

struct dkv_p11_profile {
    const char *name;
    uint8_t number; /* of enum dkv_p11_profile_number */
    CK_MECHANISM_TYPE use, generate;
    CK_KEY_TYPE new_key_type;
    CK_ATTRIBUTE_TYPE usages[2]; /* needed */
    size_t n_usages;
    CK_ULONG min_len, max_len; /* of a CMK, in bytes; max 0: none */
    enum dkv_rc (*wrap)(struct dkv_p11_use *use, struct dkv_wrap_item *item, struct dkv_error *err);
    enum dkv_rc (*unwrap)(struct dkv_p11_use *use, struct dkv_wrap_item *item, struct dkv_error *err);
};
extern const struct dkv_p11_profile dkv_p11_hmac_derive;
extern const struct dkv_p11_profile dkv_p11_aes_gcm;
/* In the order of preference; NULL-terminated. */
extern const struct dkv_p11_profile *const dkv_p11_profiles[];
/* NULL: none. */
const struct dkv_p11_profile *dkv_p11_profile_by_name(const char *name);
const struct dkv_p11_profile *dkv_p11_profile_by_key_type(CK_KEY_TYPE type);
bool dkv_p11_profile_is_offered(const struct dkv_p11_profile *profile, const CK_MECHANISM_TYPE *offered, CK_ULONG n);
/* dkv_p11_fail_opening: the one text for keyMaterial that doesn't open. */
enum dkv_rc dkv_p11_fail_opening(const struct dkv_p11_use *use, struct dkv_error *err);

/* ---- The instance ---- */

/* Which content a PIN came from; the guard's memory of a PIN that failed. */
struct dkv_p11_pin_source {
    char key[96];          /* in the state folder */
    char fingerprint[192]; /* of a file: changes when it does */
    const char *name;      /* for errors; borrowed */
};

/* A CMK as found, judged and bound in the current connection. */
struct dkv_p11_key {
    uint8_t id[DKV_P11_ID_MAX];
    size_t id_len;
    CK_OBJECT_HANDLE handle;
    const struct dkv_p11_profile *profile;
    char label[DKV_P11_LABEL_MAX + 1];
    char name[DKV_P11_LABEL_MAX + 8]; /* for errors: the label, or id:HEX when there is none */
};

/* One setting of cmk and cmks. */
struct dkv_p11_listed {
    struct dkv_p11_reference reference;
    bool is_resolved; /* by label, in the current connection */
    uint8_t id[DKV_P11_ID_MAX];
    size_t id_len;
};

struct dkv_p11_pool {
    pthread_mutex_t lock;
    pthread_cond_t given_back;
    uint64_t generation; /* sessions of another one are closed when they come back */
    CK_SESSION_HANDLE idle[DKV_P11_SESSIONS_MAX];
    size_t n_idle;
    size_t n_open; /* of this generation, idle or out */
    size_t limit;
};

struct dkv_provider {
    const struct dkv_host *host;
    const struct dkv_provider_settings *settings;
    P11KitUri *uri;
    struct dkv_p11_listed *listed; /* cmk first, if there is one */
    size_t n_listed;
    char token_key[64]; /* the serial's key in the state folder */

    pthread_mutex_t lock;
    struct dkv_p11_module *module;
    CK_FUNCTION_LIST *functions; /* module's */
    pid_t pid;                   /* that connected */
    bool is_connected;
    uint64_t generation; /* of connections; 0: never connected */
    struct dkv_p11_token token;
    bool is_pin_sent;             /* in this connection */
    CK_SESSION_HANDLE main;       /* keeps the login, and finds */
    struct dkv_secret pin;        /* of fd or prompt */
    char proved_fingerprint[192]; /* of the PIN that has succeeded in this process; "" none */
    struct dkv_p11_key known[DKV_P11_KNOWN_MAX];
    size_t n_known;

    struct dkv_p11_pool pool;
};

struct dkv_cmk {
    uint8_t id[DKV_P11_ID_MAX];
    size_t id_len;
    const struct dkv_p11_profile *stated; /* by the document; NULL: named by a person */
    bool is_listed;                       /* in cmk or cmks: only then it is used */
};

enum { DKV_P11_OPTION_MODULE, DKV_P11_OPTION_MODULE_INIT, DKV_P11_OPTION_TOKEN, DKV_P11_OPTION_PIN_SOURCE };
static inline const struct dkv_value *dkv_p11_option(const struct dkv_provider *self, int option)
{
    return &self->settings->values[option];
}

/* ---- call.c ---- */

DKV_MUST_USE enum dkv_rc dkv_p11_check_call(const struct dkv_provider *self, const struct dkv_call *call,
                                            struct dkv_error *err);
/* Milliseconds until the call's deadline, never 0; fallback: the entry's timeout. */
uint32_t dkv_p11_remaining_ms(const struct dkv_provider *self, const struct dkv_call *call);

/* ---- await.c. self->lock held. ---- */

/* dkv_p11_token_await: the module, and the token in it, looked for again for a moment when it isn't there at once. */
DKV_MUST_USE enum dkv_rc dkv_p11_token_await(struct dkv_provider *self, const struct dkv_call *call,
                                             struct dkv_error *err);
/* dkv_p11_token_reread: the module started anew after a moment; only before the first connection stands, and with no
 * session left. */
DKV_MUST_USE enum dkv_rc dkv_p11_token_reread(struct dkv_provider *self, const struct dkv_call *call,
                                              struct dkv_error *err);

/* ---- connection.c. All need self->lock held. ---- */

struct dkv_p11_login_options {
    bool is_deliberate; /* token login --once */
    bool accept_serial;
};
DKV_MUST_USE enum dkv_rc dkv_p11_connect(struct dkv_provider *self, const struct dkv_call *call, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_p11_connect_with(struct dkv_provider *self, const struct dkv_call *call,
                                              const struct dkv_p11_login_options *options, struct dkv_error *err);
void dkv_p11_disconnect(struct dkv_provider *self);
/* dkv_p11_reconnect: unless somebody did since generation. Takes the lock itself. */
DKV_MUST_USE enum dkv_rc dkv_p11_reconnect(struct dkv_provider *self, const struct dkv_call *call, uint64_t generation,
                                           struct dkv_error *err);

/* ---- login.c, pin.c, guard.c, serial.c. self->lock held. ---- */

DKV_MUST_USE enum dkv_rc dkv_p11_login(struct dkv_provider *self, const struct dkv_call *call,
                                       const struct dkv_p11_login_options *options, struct dkv_error *err);

/* dkv_p11_pin_source_of: without reading it; a file's fingerprint stays empty until pin_read. */
DKV_MUST_USE enum dkv_rc dkv_p11_pin_source_of(const struct dkv_provider *self, struct dkv_p11_pin_source *ret,
                                               struct dkv_error *err);
/* dkv_p11_pin_read: a file anew, fd and prompt once. *ret is {0} where the token asks by itself. */
DKV_MUST_USE enum dkv_rc dkv_p11_pin_read(struct dkv_provider *self, struct dkv_p11_pin_source *source,
                                          struct dkv_secret *ret, struct dkv_error *err);
/* dkv_p11_pin_is_to_be_asked: whether pin_read would ask a person. */
bool dkv_p11_pin_is_to_be_asked(const struct dkv_provider *self);
/* dkv_p11_pin_open: what must be read at open (fd). */
DKV_MUST_USE enum dkv_rc dkv_p11_pin_open(struct dkv_provider *self, struct dkv_error *err);

/* The guard: DKV_E_POLICY when this source has failed with this token and hasn't changed. */
DKV_MUST_USE enum dkv_rc dkv_p11_guard_check(const struct dkv_provider *self, const struct dkv_p11_pin_source *source,
                                             struct dkv_error *err);
/* dkv_p11_guard_arm: *ret_before is what was remembered until then, for dkv_p11_guard_restore. */
DKV_MUST_USE enum dkv_rc dkv_p11_guard_arm(const struct dkv_provider *self, const struct dkv_p11_pin_source *source,
                                           struct dkv_buf *ret_before, struct dkv_error *err);
/* dkv_p11_guard_restore: the attempt proved nothing, neither that the PIN is right nor that it is wrong. */
DKV_MUST_USE enum dkv_rc dkv_p11_guard_restore(const struct dkv_provider *self, const struct dkv_p11_pin_source *source,
                                               struct dkv_span before, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_p11_guard_clear(const struct dkv_provider *self, const struct dkv_p11_pin_source *source,
                                             struct dkv_error *err);

/* The token's serial, compared with the one of the first good login: DKV_E_POLICY. */
DKV_MUST_USE enum dkv_rc dkv_p11_serial_check(const struct dkv_provider *self, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_p11_serial_remember(const struct dkv_provider *self, bool replace, struct dkv_error *err);

/* ---- session.c ---- */

struct dkv_p11_session {
    CK_SESSION_HANDLE handle;
    uint64_t generation;
};
void dkv_p11_pool_init(struct dkv_p11_pool *pool, size_t limit);
void dkv_p11_pool_done(struct dkv_p11_pool *pool);
DKV_MUST_USE enum dkv_rc dkv_p11_session_open(CK_FUNCTION_LIST *functions, const struct dkv_p11_token *token,
                                              CK_FLAGS flags, CK_SESSION_HANDLE *ret, CK_RV *ret_rv,
                                              struct dkv_error *err);
/* dkv_p11_pool_reset: close the idle ones; those that are out are closed when they come back. */
void dkv_p11_pool_reset(struct dkv_p11_pool *pool, CK_FUNCTION_LIST *functions, uint64_t generation);
/* dkv_p11_session_take: a session of this generation, so that handles found in it hold; CKR_SESSION_CLOSED when there
 * is a newer one. */
DKV_MUST_USE enum dkv_rc dkv_p11_session_take(struct dkv_provider *self, const struct dkv_call *call,
                                              uint64_t generation, struct dkv_p11_session *ret, CK_RV *ret_rv,
                                              struct dkv_error *err);
/* dkv_p11_session_give: is_sound false closes it, since an operation may still be active in it. */
void dkv_p11_session_give(struct dkv_provider *self, const struct dkv_p11_session *session, bool is_sound);

/* ---- cmk.c, attributes.c. self->lock held, connected. ---- */

DKV_MUST_USE enum dkv_rc dkv_p11_find(const struct dkv_provider *self, CK_SESSION_HANDLE session,
                                      CK_ATTRIBUTE *attributes, CK_ULONG n, CK_OBJECT_HANDLE *ret, CK_ULONG max,
                                      CK_ULONG *ret_n, struct dkv_error *err);
/* dkv_p11_find_id: secret keys with this CKA_ID. */
DKV_MUST_USE enum dkv_rc dkv_p11_find_id(const struct dkv_provider *self, CK_SESSION_HANDLE session, struct dkv_span id,
                                         CK_OBJECT_HANDLE *ret, CK_ULONG max, CK_ULONG *ret_n, struct dkv_error *err);
/* dkv_p11_cmk_by_label: DKV_E_NOT_FOUND; DKV_E_CONFIG: two. */
DKV_MUST_USE enum dkv_rc dkv_p11_cmk_by_label(const struct dkv_provider *self,
                                              const struct dkv_p11_reference *reference, uint8_t *ret_id,
                                              size_t *ret_id_len, struct dkv_error *err);
/* dkv_p11_cmk_bind: find and judge; refused ones are DKV_E_POLICY. use_known: one that was judged in this connection
 * will do. */
DKV_MUST_USE enum dkv_rc dkv_p11_cmk_bind(struct dkv_provider *self, const struct dkv_cmk *cmk, bool use_known,
                                          struct dkv_p11_key *ret, struct dkv_error *err);
/* dkv_p11_cmk_locate: find, without judging. */
DKV_MUST_USE enum dkv_rc dkv_p11_cmk_locate(const struct dkv_provider *self, const struct dkv_cmk *cmk,
                                            struct dkv_p11_key *ret, struct dkv_error *err);
/* dkv_p11_key_read: id, label and profile of an object; profile NULL: not one of ours. */
DKV_MUST_USE enum dkv_rc dkv_p11_key_read(const struct dkv_provider *self, CK_OBJECT_HANDLE handle,
                                          struct dkv_p11_key *ret, struct dkv_error *err);
DKV_MUST_USE enum dkv_rc dkv_p11_cmk_describe(const struct dkv_provider *self, const struct dkv_p11_key *key,
                                              struct dkv_cmk_info *ret, struct dkv_error *err);
/* dkv_p11_cmk_find_all: every secret key of the token; *ret for dkv_free. */
DKV_MUST_USE enum dkv_rc dkv_p11_cmk_find_all(const struct dkv_provider *self, CK_OBJECT_HANDLE **ret, CK_ULONG *ret_n,
                                              struct dkv_error *err);

/* dkv_p11_judge: findings about a CMK; how many refuse it is counted. */
size_t dkv_p11_judge(const struct dkv_provider *self, const struct dkv_p11_key *key, struct dkv_cmk_info *info);

/* ---- listed.c ---- */

DKV_MUST_USE enum dkv_rc dkv_p11_listed_open(struct dkv_provider *self, struct dkv_error *err);
/* dkv_p11_is_listed: by text where text decides, else by the labels' CMKs, which makes contact. Takes the lock itself.
 */
DKV_MUST_USE enum dkv_rc dkv_p11_is_listed(struct dkv_provider *self, const struct dkv_call *call, struct dkv_span id,
                                           bool *ret, struct dkv_error *err);

/* ---- create.c, wrap.c ---- */

DKV_MUST_USE enum dkv_rc dkv_p11_create(struct dkv_provider *self, const struct dkv_call *call,
                                        const struct dkv_cmk_request *request, struct dkv_cmk_info *ret,
                                        struct dkv_error *err);
enum dkv_rc dkv_p11_wrap(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items, size_t n,
                         struct dkv_error *err);
enum dkv_rc dkv_p11_unwrap(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items,
                           size_t n, struct dkv_error *err);
enum dkv_rc dkv_p11_check(struct dkv_provider *self, const struct dkv_call *call, struct dkv_error *err);

/* ---- Locks as locals ---- */

static inline void dkv_p11_unlock(pthread_mutex_t **lock)
{
    if (*lock != NULL) {
        (void)pthread_mutex_unlock(*lock);
    }
}
static inline pthread_mutex_t *dkv_p11_lock(pthread_mutex_t *lock)
{
    (void)pthread_mutex_lock(lock);
    return lock;
}
#define DKV_P11_HOLD(mutex)                                                                                            \
    DKV_CLEANUP(dkv_p11_unlock) __attribute__((unused)) pthread_mutex_t *dkv_p11_held_ = dkv_p11_lock(mutex)

#endif
