/* SPDX-License-Identifier: Apache-2.0 */
/* Plug-ins of the build tree, copied to where the test decides who may write them. */
#ifndef TESTS_UNIT_PLUGINS_PLUGINS_H
#define TESTS_UNIT_PLUGINS_PLUGINS_H

#include <fcntl.h>

#include "base/file.h"
#include "tests/lib/test.h"

/* As the build names them, below DKV_TEST_BUILDDIR. */
#define PLUGIN_VARIANT(name) "tests/unit/plugins/.libs/" name ".so"
#define PLUGIN_SCRYPT "examples/scrypt-provider/.libs/scrypt.so"

/* plugin_copy: the build's file as `to` in the test's folder, with this mode. Returns the path (as dkv_test_path). */
static inline const char *plugin_copy(const char *from, const char *to, unsigned mode)
{
    struct dkv_error err = {0};
    struct dkv_buf contents = {0};
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", DKV_TEST_BUILDDIR, from);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0);
    ASSERT_OK(dkv_file_read(fd, path, 64 << 20, &contents, &err));
    dkv_fd_close(&fd);
    const char *copy = dkv_test_write(to, contents.data, contents.len, mode);
    dkv_buf_done(&contents);
    return copy;
}

#endif
