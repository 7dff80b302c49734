/* SPDX-License-Identifier: Apache-2.0 */
/* The audit: one JSON line an operation, chained by hash within a process instance; never a secret. */
#ifndef VAULT_AUDIT_H
#define VAULT_AUDIT_H

#include "base/bytes.h"

/* The chain: "prev" is the SHA-256, in hex, of the line with "seq" one less of the same "instance", without its
 * newline; 64 zeros at 0. A forked child is an instance of its own. */
struct dkv_audit;

struct dkv_audit_settings {
    const char *to;  /* "file:/absolute/path" or "syslog"; NULL: no audit */
    bool required;   /* no record, no operation */
};

/* dkv_audit_open: DKV_E_CONFIG: a file that others may write, or that can't be opened. settings->to NULL gives an audit
 * that records nothing. */
DKV_MUST_USE enum dkv_rc dkv_audit_open(const struct dkv_audit_settings *settings, struct dkv_audit **ret,
                                        struct dkv_error *err);
void dkv_audit_close(struct dkv_audit *audit);

/* One operation. Members that are NULL are left out of the line. */
struct dkv_audit_record {
    const char *operation; /* key-create, key-unwrap, dek-use, key-add-name, key-delete, key-import, ... */
    const char *provider;
    const char *cmk;
    const struct dkv_uuid *key;
    const char *name;       /* the alt name concerned */
    enum dkv_rc outcome;
    int64_t latency_us;     /* -1: left out */
    int64_t uses;           /* dek-use; -1: left out */
};

/* dkv_audit_write: DKV_OK also when writing failed but isn't required (a warning goes to the log); DKV_E_RESOURCE
 * otherwise. One O_APPEND write; the file is reopened when it was rotated. Thread-safe. */
DKV_MUST_USE enum dkv_rc dkv_audit_write(struct dkv_audit *audit, const struct dkv_audit_record *record,
                                         struct dkv_error *err);

/* dkv_audit_ready: whether a record could be written now, asked before an operation that `required` guards. */
DKV_MUST_USE enum dkv_rc dkv_audit_ready(struct dkv_audit *audit, struct dkv_error *err);

#endif
