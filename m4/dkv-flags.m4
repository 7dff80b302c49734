# DKV_ADD_CFLAGS(FLAGS), DKV_ADD_LDFLAGS(FLAGS): those of FLAGS that the compiler takes, one by one.
AC_DEFUN([DKV_ADD_CFLAGS], [
    for dkv_flag in m4_normalize([$1]); do
        dkv_saved="$CFLAGS"
        CFLAGS="$CFLAGS -Werror $dkv_flag"
        AC_MSG_CHECKING([whether $CC takes $dkv_flag])
        AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
            [AC_MSG_RESULT([yes]); DKV_CFLAGS="$DKV_CFLAGS $dkv_flag"], [AC_MSG_RESULT([no])])
        CFLAGS="$dkv_saved"
    done
])
AC_DEFUN([DKV_ADD_LDFLAGS], [
    for dkv_flag in m4_normalize([$1]); do
        dkv_saved="$LDFLAGS"
        LDFLAGS="$LDFLAGS $dkv_flag"
        AC_MSG_CHECKING([whether the linker takes $dkv_flag])
        AC_LINK_IFELSE([AC_LANG_PROGRAM()],
            [AC_MSG_RESULT([yes]); DKV_LDFLAGS="$DKV_LDFLAGS $dkv_flag"], [AC_MSG_RESULT([no])])
        LDFLAGS="$dkv_saved"
    done
])
