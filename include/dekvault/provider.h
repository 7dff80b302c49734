/* SPDX-License-Identifier: Apache-2.0 */
/* The KMS provider table: what dekvault asks of a place where customer master keys (CMKs) live. For
 * authors of providers, built in or loaded as a plug-in.
 *
 * A provider is one const struct dkv_provider_ops. A plug-in is a shared object that exports
 *     const struct dkv_provider_ops dekvault_provider;
 * Until dekvault 1.0 its abi_version must equal DKV_PROVIDER_ABI_VERSION of the running library.
 *
 * Rules for an implementation:
 * - It keeps nothing in the vault; what it must remember goes through host->state_*.
 * - resolve_document judges by the provider file alone whether a document's CMK may be used. Whatever
 *   compares as text is judged before any socket or session opens.
 * - Calls come from several threads at once, except open and close.
 * - Calls may block, up to call->deadline_ms. Errors go to the err (or the item) given, with the
 *   class that fits: retry and exit codes look at nothing else.
 * - Key bytes rest in secret memory only (host->secret_alloc), also the provider's own. */
#ifndef DEKVAULT_PROVIDER_H
#define DEKVAULT_PROVIDER_H

#include <stdbool.h>

#include "dekvault/error.h"
#include "dekvault/span.h"

DKV_BEGIN_DECLS

#define DKV_PROVIDER_ABI_VERSION 1u
#define DKV_PROVIDER_SYMBOL "dekvault_provider"

#define DKV_DEK_BYTES 96u            /* length of a data encryption key */
#define DKV_KEY_MATERIAL_MAX 8192u   /* longest keyMaterial that wrap may write */
#define DKV_MASTER_KEY_MAX 4096u     /* longest masterKey document */

/* ---- Options: what may stand under the provider's entry in the provider file ---- */

enum dkv_option_type {
    DKV_OPTION_TEXT,    /* any text */
    DKV_OPTION_PATH,    /* an absolute path */
    DKV_OPTION_SOURCE,  /* file:/absolute/path, fd:N or prompt; which ones: choices */
    DKV_OPTION_NUMBER,  /* decimal, within min and max */
    DKV_OPTION_BOOL,    /* true or false */
    DKV_OPTION_CHOICE,  /* one of choices */
    DKV_OPTION_LIST,    /* a list of texts */
    DKV_OPTION_MAP      /* texts by name */
};

struct dkv_option {
    const char *name;          /* as written in the provider file: lower case, hyphens */
    enum dkv_option_type type;
    bool required;
    const char *fallback;      /* the default as text, or NULL */
    const char *help;          /* one sentence, for config explain and dekvault.conf(5) */
    const char *const *choices; /* CHOICE and SOURCE: NULL-terminated */
    uint64_t min, max;         /* NUMBER; max 0: no bound */
};

/* A setting's value, already checked against its option. Everything is borrowed and lives as long as
 * the instance. */
struct dkv_value {
    bool is_set;               /* by the file or by the option's default */
    unsigned line;             /* in the provider file; 0 for a default */
    const char *text;          /* TEXT, PATH, SOURCE, CHOICE; else NULL */
    uint64_t number;           /* NUMBER */
    bool flag;                 /* BOOL */
    const char *const *items;  /* LIST: NULL-terminated; MAP: name, value, name, value, ..., NULL */
    size_t n_items;            /* MAP: of both together */
};

/* What every provider's entry has. Borrowed, lives as long as the instance. */
struct dkv_provider_settings {
    const char *id;               /* "pkcs11:prod" */
    const char *file;             /* the provider file's path, for error texts */
    unsigned line;                /* where the entry starts */
    const char *cmk;              /* the CMK that new keys get, as written; NULL: none */
    const char *const *cmks;      /* others that may still unwrap; NULL-terminated */
    size_t n_cmks;
    unsigned cmk_line, cmks_line; /* where they stand; 0: not set */
    uint32_t timeout_ms;          /* for one call */
    uint32_t parallel;            /* connections, sessions, width of a batch */
    bool allow_group_read;        /* of secret files */
    const struct dkv_value *values; /* one for each of ops->options, in its order */
};

/* ---- Host: what dekvault gives a provider ---- */

struct dkv_host {
    size_t size; /* of this struct: a plug-in may test for later members */

    /* Locked, non-dumpable memory, zeroed, wiped when freed; NULL and *err set when there is none.
     * 1 to 65536 bytes. Reads as zeros in a forked child: ask secret_is_alive before use. */
    void *(*secret_alloc)(size_t len, struct dkv_error *err);
    void (*secret_free)(void *memory);
    bool (*secret_is_alive)(const void *memory);

    /* secret_source_read: read a secret from "file:/path", "fd:N" or "prompt" (prompt_text is what is asked),
     * under the house's rules for such files, into memory from secret_alloc; at most max bytes, one
     * trailing newline left out. DKV_E_CONFIG, DKV_E_NOT_FOUND. */
    enum dkv_rc (*secret_source_read)(const struct dkv_provider_settings *settings, const char *source,
                                      const char *prompt_text, size_t max, void **ret_memory, size_t *ret_len,
                                      struct dkv_error *err);

    int64_t (*wall_ms)(void);      /* since 1970, UTC */
    int64_t (*monotonic_ms)(void); /* what call->deadline_ms is on */
    /* log: one line, never a secret; a notice for DKV_OK, else a warning. */
    void (*log)(const struct dkv_provider_settings *settings, enum dkv_rc class_or_ok, const char *line);

    /* The state folder. Keys are the provider's own; tables are kept apart by provider type.
     * get: DKV_E_NOT_FOUND. put: expected NULL data means absent, otherwise the old value; anything else
     * there is DKV_E_CONFLICT; a value of NULL data deletes. lock: held until unlock, among all
     * processes that share the folder. */
    enum dkv_rc (*state_get)(const struct dkv_host *host, const char *key, struct dkv_buf *ret, struct dkv_error *err);
    enum dkv_rc (*state_put)(const struct dkv_host *host, const char *key, struct dkv_span expected,
                             struct dkv_span value, struct dkv_error *err);
    enum dkv_rc (*state_lock)(const struct dkv_host *host, const char *key, uint32_t timeout_ms, int *ret_lock,
                              struct dkv_error *err);
    void (*state_unlock)(int lock);

    void *context; /* the host's own */
};

/* ---- Calls ---- */

enum dkv_purpose {
    DKV_PURPOSE_CREATE,  /* wrap of a new key, and the unwrap that verifies it */
    DKV_PURPOSE_USE,     /* unwrap of a stored key */
    DKV_PURPOSE_REWRAP,
    DKV_PURPOSE_CHECK    /* a CMK's check record; the items' context is empty */
};

struct dkv_call {
    int64_t deadline_ms;          /* on host->monotonic_ms; 0: none */
    const volatile int *cancelled; /* non-zero: give up with DKV_E_CANCELLED; may be NULL */
    enum dkv_purpose purpose;
    uint64_t request_id;          /* unique in this process, for logs */
};

struct dkv_provider; /* an instance; the provider's own */
struct dkv_cmk;      /* a resolved CMK; the provider's own */

/* One key of a batch. */
struct dkv_wrap_item {
    const struct dkv_cmk *cmk;
    struct dkv_span context;  /* the document's _id, 16 bytes; empty with DKV_PURPOSE_CHECK */
    struct dkv_span input;    /* wrap: 96 bytes in secret memory; unwrap: keyMaterial */
    uint8_t *output;          /* wrap: room for keyMaterial; unwrap: 96 bytes of secret memory */
    size_t output_capacity;
    size_t output_len;        /* set by the provider; 0 unless status is DKV_OK */
    enum dkv_rc status;       /* set by the provider, for each item */
    struct dkv_error *err;    /* filled when status isn't DKV_OK; may be NULL */
};

/* ---- CMKs ---- */

enum dkv_capability {
    DKV_CAP_BOUND = 1,         /* a wrap opens only for its document */
    DKV_CAP_AUTHENTIC = 2,     /* only a holder of the CMK can make one */
    DKV_CAP_STOCK = 4,         /* MongoDB's drivers can read it */
    DKV_CAP_SERVER_REWRAP = 8  /* rewrap never shows the DEK here */
};

enum dkv_cmk_state { DKV_CMK_ENABLED, DKV_CMK_DISABLED, DKV_CMK_PENDING_DELETION, DKV_CMK_UNUSABLE };

/* One finding about a CMK: an attribute as it should be, or not. */
struct dkv_finding {
    const char *check;  /* short name, for instance "extractable" */
    bool ok;
    bool refuses;       /* not ok, and for that the CMK isn't used */
    char detail[160];
};

#define DKV_FINDINGS_MAX 24

struct dkv_cmk_info {
    uint8_t master_key[DKV_MASTER_KEY_MAX]; /* canonical masterKey, a BSON document */
    size_t master_key_len;
    char key_id[1025];    /* the text by which vaults count this CMK: keyId in hex, ARN, or "" */
    char label[256];
    char profile[32];     /* wrap profile, or "" */
    enum dkv_cmk_state state;
    uint32_t capabilities; /* of enum dkv_capability, or-ed */
    struct dkv_finding findings[DKV_FINDINGS_MAX];
    size_t n_findings;
};

typedef enum dkv_rc (*dkv_cmk_visit_fn)(void *arg, const struct dkv_cmk_info *info, struct dkv_error *err);

struct dkv_cmk_request {
    const char *label;
    const char *profile; /* NULL: the default for this provider */
};

/* ---- Judging settings ---- */

/* A fault of a setting, or with warning set something to tell that nobody refuses; message is one sentence. */
struct dkv_setting_fault {
    unsigned line;       /* the value's */
    const char *setting; /* its name, for instance "token" */
    bool warning;
    const char *message;
};
typedef enum dkv_rc (*dkv_setting_fault_fn)(void *arg, const struct dkv_setting_fault *fault, struct dkv_error *err);

/* ---- The table ---- */

struct dkv_provider_ops {
    size_t size;          /* sizeof(struct dkv_provider_ops) */
    uint32_t abi_version; /* DKV_PROVIDER_ABI_VERSION */
    const char *type;     /* "local"; [a-z][a-z0-9]* */
    const char *summary;  /* one line for config explain */
    const struct dkv_option *options; /* the provider's own settings */
    size_t n_options;
    uint32_t static_capabilities; /* those that every CMK of this type has, known without contact */

    /* Required. open makes no contact: tokens and networks are touched at first use, so that one that is
     * away disturbs nothing else. Secret files are read here. close takes NULL and half-open instances. */
    enum dkv_rc (*open)(const struct dkv_host *host, const struct dkv_provider_settings *settings,
                        struct dkv_provider **ret, struct dkv_error *err);
    void (*close)(struct dkv_provider *self);

    /* resolve_document: the CMK that a stored masterKey (one BSON document) names, if the provider file
     * allows it: else DKV_E_POLICY, and no contact made. DKV_E_REJECTED_CIPHERTEXT: malformed.
     * resolve_reference: the CMK that a person names; NULL: the entry's cmk.
     * Both give a CMK that the caller frees with cmk_free before close. */
    enum dkv_rc (*resolve_document)(struct dkv_provider *self, const struct dkv_call *call, struct dkv_span master_key,
                                    struct dkv_cmk **ret, struct dkv_error *err);
    enum dkv_rc (*resolve_reference)(struct dkv_provider *self, const struct dkv_call *call, const char *reference,
                                     struct dkv_cmk **ret, struct dkv_error *err);
    void (*cmk_free)(struct dkv_cmk *cmk);

    /* describe: what a CMK is and may do; may make contact. */
    enum dkv_rc (*describe)(struct dkv_provider *self, const struct dkv_call *call, const struct dkv_cmk *cmk,
                            struct dkv_cmk_info *ret, struct dkv_error *err);

    /* A batch; each item gets its status. The result is DKV_OK when all are, else the first item's
     * failure, which is in err as well. Items are independent. */
    enum dkv_rc (*wrap)(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items, size_t n,
                        struct dkv_error *err);
    enum dkv_rc (*unwrap)(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items, size_t n,
                          struct dkv_error *err);

    /* Optional: NULL when the provider can't. */
    /* check_settings: judge the settings beyond what the option table says, by their text and by owner and mode of the
     * files that they name: no secret read, nothing loaded, no contact. Called when the provider file is read, before any open; a value that the option table refused already
     * isn't set. report's result is passed on. */
    enum dkv_rc (*check_settings)(const struct dkv_provider_settings *settings, dkv_setting_fault_fn report, void *arg,
                                  struct dkv_error *err);
    /* check: make contact, log in, and say whether the provider and its CMKs could be used now; no stored key is
     * touched. DKV_E_NOT_FOUND: a CMK of cmk or cmks isn't there. */
    enum dkv_rc (*check)(struct dkv_provider *self, const struct dkv_call *call, struct dkv_error *err);
    /* list_cmks: visit the CMKs that are there, whether the provider file allows them or not; info is borrowed for the
     * call of visit. Anything but DKV_OK from visit ends the listing and is its result. */
    enum dkv_rc (*list_cmks)(struct dkv_provider *self, const struct dkv_call *call, dkv_cmk_visit_fn visit, void *arg,
                             struct dkv_error *err);
    /* create_cmk: make a CMK that can't be extracted, and describe it. DKV_E_CONFLICT: the label is taken. */
    enum dkv_rc (*create_cmk)(struct dkv_provider *self, const struct dkv_call *call,
                              const struct dkv_cmk_request *request, struct dkv_cmk_info *ret, struct dkv_error *err);
    /* set_cmk_state: enabled or disabled, or pending deletion where the service knows it. */
    enum dkv_rc (*set_cmk_state)(struct dkv_provider *self, const struct dkv_call *call, const struct dkv_cmk *cmk,
                                 enum dkv_cmk_state state, struct dkv_error *err);
    /* rewrap: input is keyMaterial under cmk, output keyMaterial under targets[i]; both of this provider. */
    enum dkv_rc (*rewrap)(struct dkv_provider *self, const struct dkv_call *call, struct dkv_wrap_item *items,
                          const struct dkv_cmk *const *targets, size_t n, struct dkv_error *err);
};

DKV_END_DECLS

#endif
