#!/usr/bin/env bash
# An installed tree: what is where, and a program that is built against it with pkg-config and runs.
. "${srcdir:?}/tests/lib/integration.sh"

command -v pkg-config >/dev/null || skip_all "pkg-config isn't installed"
unset MAKEFLAGS MFLAGS MAKELEVEL
root=$work/root
check "make install" make -C "$builddir" install DESTDIR="$root"
pc=$(find "$root" -name dekvault.pc)
prefix=${pc%/*/pkgconfig/dekvault.pc}

for file in bin/dekvault lib/libdekvault.so lib/pkgconfig/dekvault.pc include/dekvault/dekvault.h share/man/man1/dekvault.1 \
    share/man/man5/dekvault.conf.5 share/bash-completion/completions/dekvault; do
    check "$file" test -s "$prefix/$file"
done
check "no archive and no libtool file but libdekvault's" \
    test -z "$(find "$root" \( -name '*.a' -o -name '*.la' \) ! -name 'libdekvault.*')"
check "every public header, and no other" diff <(cd "$srcdir/include/dekvault" && ls -- *.h) <(cd "$prefix/include/dekvault" && ls)
run_expect 0 "the installed program runs" "$prefix/bin/dekvault" --version
says "... and says its version" "dekvault $(sed -n 's/^Version: //p' "$pc")"
if command -v mandoc >/dev/null; then
    check "dekvault.1 is good mdoc" mandoc -Tlint -W warning "$prefix/share/man/man1/dekvault.1"
    check "dekvault.conf.5 is good mdoc" mandoc -Tlint -W warning "$prefix/share/man/man5/dekvault.conf.5"
else
    skip 2 "mandoc isn't installed"
fi

if nm -D "$builddir/.libs/libdekvault.so" | grep -q __asan_init; then
    skip 6 "a sanitizer's library can't be linked by a plain compiler"
else
    read -ra cc <<<"${CC:-cc}"
    export PKG_CONFIG_PATH=${pc%/*}
    read -ra flags < <(pkg-config --define-prefix --cflags --libs dekvault)
    check "pkg-config tells where it is" test -n "${flags[*]}"
    check "first-key.c compiles with pkg-config's flags" \
        "${cc[@]}" -std=c99 -Wall -Wextra -o "$work/first-key" "$srcdir/examples/first-key.c" "${flags[@]}"
    conf_local installed
    run_expect 0 "first-key makes a key, encrypts and decrypts" env LD_LIBRARY_PATH="$prefix/lib" "$work/first-key" "$conf" local
    says "... and got back what it encrypted" "the same"
    mongoc=libmongoc-1.0
    ! pkg-config --exists mongoc2 || mongoc=mongoc2
    read -ra mongoc_flags < <(pkg-config --cflags --libs "$mongoc")
    check "mongodb-app.c compiles with libmongoc's beside them" \
        "${cc[@]}" -Wall -Wextra -o "$work/mongodb-app" "$srcdir/examples/mongodb-app.c" "${flags[@]}" "${mongoc_flags[@]}"
    run_expect 2 "mongodb-app says how it is used" env LD_LIBRARY_PATH="$prefix/lib" "$work/mongodb-app"
fi
check "make uninstall" make -C "$builddir" uninstall DESTDIR="$root"
check "... leaves nothing" test -z "$(find "$root" -type f -o -type l)"
done_testing
