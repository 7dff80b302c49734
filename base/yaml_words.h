/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_YAML_WORDS_H
#define BASE_YAML_WORDS_H

/* dkv_yaml_words: libyaml's problem in words for whoever edits the file. Never NULL. */
const char *dkv_yaml_words(const char *problem);

#endif
