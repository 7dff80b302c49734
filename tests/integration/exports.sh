#!/usr/bin/env bash
# libdekvault.so exports what its map lists, and nothing else; what the headers declare is in the map.
. "${srcdir:?}/tests/lib/integration.sh"

library=$builddir/.libs/libdekvault.so
[ -e "$library" ] || skip_all "no shared library was built"
map=$srcdir/lib/libdekvault.map

listed() {
    sed -n 's/^[[:space:]]*\(dkv_[a-z0-9_]*\);.*/\1/p' "$map" | sort
}
exported() {
    nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort
}
declared() {
    cat "$srcdir"/include/dekvault/*.h | grep -v '^[[:space:]]*[/*]' | tr '\n' ' ' | sed 's/DKV_API/\n&/g' |
        sed -n 's/^DKV_API[^(]*[ *]\(dkv_[a-z0-9_]*\)(.*/\1/p' | sort
}

check "the map lists something" test -n "$(listed)"
check "exported is what the map lists" diff <(listed) <(exported)
check "declared in the headers is what the map lists" diff <(listed) <(declared)
check "the soname has a version" bash -c 'objdump -p "$1" | grep -q "SONAME *libdekvault\.so\.[0-9]"' - "$library"
done_testing
