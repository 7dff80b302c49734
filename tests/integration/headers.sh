#!/usr/bin/env bash
# Each installed header compiles alone, as C99 and as C++, without a warning.
. "${srcdir:?}/tests/lib/integration.sh"

flags=(-Wall -Wextra -Werror -pedantic -fsyntax-only "-I$srcdir/include")
read -ra cc <<<"${CC:-cc}"
cxx=${CXX:-c++}

for header in "$srcdir"/include/dekvault/*.h; do
    name=dekvault/${header##*/}
    printf '#include "%s"\n#include "%s"\nint dkv_test_unit;\n' "$name" "$name" >"$work/unit.c"
    cp "$work/unit.c" "$work/unit.cc"
    check "$name as C99" "${cc[@]}" -std=c99 "${flags[@]}" "$work/unit.c"
    if command -v "$cxx" >/dev/null; then
        check "$name as C++" "$cxx" -std=c++11 "${flags[@]}" "$work/unit.cc"
    else
        skip 1 "no C++ compiler"
    fi
done
check "every header is in dekvault.h" bash -c '
    for header in "$1"/include/dekvault/*.h; do
        name=${header##*/}
        case $name in dekvault.h|export.h) continue ;; esac
        grep -q "#include \"dekvault/$name\"" "$1/include/dekvault/dekvault.h" || { echo "$name"; exit 1; }
    done' - "$srcdir"
done_testing
