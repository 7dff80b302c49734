/* SPDX-License-Identifier: Apache-2.0 */
/* A vault being copied, as vault/copy*.c share it. One thread. */
#ifndef VAULT_COPY_H
#define VAULT_COPY_H

#include "vault/vault.h"

#define DKV_COPY_PAGE_BYTES (4u * 1024u * 1024u) /* a page is settled when it has this many */

/* One row of the source. */
struct dkv_copy_row {
    struct dkv_uuid id;
    size_t begin, len; /* its bytes in the page's; len 0: none, or too many */
    enum dkv_clash clash;
    bool settled;      /* counted as copied, present or refused */
};

/* What is read from the source before the destination is asked; bounded by rows and by bytes. */
struct dkv_copy_page {
    struct dkv_buf bytes;
    size_t n;
    size_t next; /* where the row of the next document that the destination gives is looked for first */
    struct dkv_copy_row rows[DKV_STORE_BATCH];
    /* The unsettled ones, side by side for the store. */
    size_t n_open;
    struct dkv_copy_row *open[DKV_STORE_BATCH];
    struct dkv_uuid ids[DKV_STORE_BATCH];
    struct dkv_span documents[DKV_STORE_BATCH];
    enum dkv_clash clashes[DKV_STORE_BATCH];
};

struct dkv_copy {
    struct dkv_vault *from, *to;
    struct dkv_buf from_text, to_text; /* where they are, for words; NUL-terminated */
    const struct dkv_copy_options *options;
    struct dkv_copy_counts counts;
    bool names_may_repeat; /* the source has no index that would keep two keys from having one name */
    struct dkv_copy_page *page;
};

static inline const char *dkv_copy_from(const struct dkv_copy *copy)
{
    return (const char *)copy->from_text.data;
}

static inline const char *dkv_copy_to(const struct dkv_copy *copy)
{
    return (const char *)copy->to_text.data;
}

/* Borrowed from the page; empty where the row has none. */
static inline struct dkv_span dkv_copy_bytes(const struct dkv_copy *copy, const struct dkv_copy_row *row)
{
    return row->len > 0 ? dkv_span(copy->page->bytes.data + row->begin, row->len) : dkv_span(NULL, 0);
}

/* ---- copy_check.c ---- */

/* A check of a row that isn't settled: anything but DKV_OK is why it is refused, or ends the copy. */
typedef enum dkv_rc (*dkv_copy_check_fn)(struct dkv_copy *copy, struct dkv_copy_row *row, struct dkv_error *err);

/* dkv_copy_check_document: it is a valid document of its _id, and the destination's settings allow its names. */
DKV_MUST_USE enum dkv_rc dkv_copy_check_document(struct dkv_copy *copy, struct dkv_copy_row *row,
                                                 struct dkv_error *err);
/* dkv_copy_check_names_are_unique: no other key of the source has one of its names. */
DKV_MUST_USE enum dkv_rc dkv_copy_check_names_are_unique(struct dkv_copy *copy, struct dkv_copy_row *row,
                                                         struct dkv_error *err);
/* dkv_copy_check_names_are_free: no key of the destination has one of its names. */
DKV_MUST_USE enum dkv_rc dkv_copy_check_names_are_free(struct dkv_copy *copy, struct dkv_copy_row *row,
                                                       struct dkv_error *err);
/* dkv_copy_explain_clash: DKV_E_CONFLICT in words where the store said DKV_CLASH_NAME. */
DKV_MUST_USE enum dkv_rc dkv_copy_explain_clash(struct dkv_copy *copy, struct dkv_copy_row *row,
                                                struct dkv_error *err);

/* ---- copy_page.c ---- */

/* dkv_copy_add: a row of the source, into the page, which is settled first when it is full. */
DKV_MUST_USE enum dkv_rc dkv_copy_add(struct dkv_copy *copy, const struct dkv_uuid *id, struct dkv_span document,
                                      struct dkv_error *err);
/* dkv_copy_settle: every row of the page is copied, present or refused, and counted; the page is empty again. */
DKV_MUST_USE enum dkv_rc dkv_copy_settle(struct dkv_copy *copy, struct dkv_error *err);

#endif
