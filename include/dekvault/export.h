/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes that the installed headers use. Plain C99; C++ sees C linkage. */
#ifndef DEKVAULT_EXPORT_H
#define DEKVAULT_EXPORT_H

#ifdef __cplusplus
#define DKV_BEGIN_DECLS extern "C" {
#define DKV_END_DECLS }
#else
#define DKV_BEGIN_DECLS
#define DKV_END_DECLS
#endif

#if defined(__GNUC__) || defined(__clang__)
#define DKV_API __attribute__((visibility("default")))
#define DKV_MUST_USE __attribute__((warn_unused_result))
#define DKV_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define DKV_API
#define DKV_MUST_USE
#define DKV_PRINTF(text, first)
#endif

#endif
