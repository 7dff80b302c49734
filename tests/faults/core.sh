#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A core of a process that holds DEKs, a PIN and the local CMK between calls has none of their bytes and nothing made from them; and the
# look would find them in ordinary memory and in a kept OpenSSL context.
. "${srcdir:?}/tests/lib/integration.sh"
needs_softhsm
command -v gcore >/dev/null || skip_all "gcore (gdb) isn't installed"
command -v python3 >/dev/null || skip_all "python3 isn't installed"
case $(nm -D "$builddir/.libs/libdekvault.so" 2>/dev/null) in
*__asan_* | *__tsan_*) skip_all "a sanitizer keeps copies of memory" ;;
esac

make_token hsm "core-test-PIN-$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')"
conf_token core hsm "cmk: pkcs11:object=derive" "cmks: [pkcs11:object=gcm]"
(umask 077 && head -c 96 /dev/urandom >"$work/core/local.key")
printf '  local:\n    key-source: file:%s/core/local.key\n' "$work" >>"$conf"
export DEKVAULT_CONF=$conf
for name in derive gcm local; do
    (umask 077 && head -c 96 /dev/urandom >"$work/$name.dek")
done
check "CMK for hmac-derive" dekvault cmk create pkcs11:hsm --label derive --profile hmac-derive
check "CMK for aes-gcm" dekvault cmk create pkcs11:hsm --label gcm --profile aes-gcm
check "vault" dekvault vault init
check "DEK under hmac-derive" dekvault key create pkcs11:hsm --name derive --material-file "$work/derive.dek"
check "DEK under aes-gcm" dekvault key create pkcs11:hsm --cmk gcm --name gcm --material-file "$work/gcm.dek"
check "DEK under local" dekvault key create local --name local --material-file "$work/local.dek"

# core_of NAME ARGUMENT...: start the holder, wait until it holds its keys, take its core, let it end.
core_of() {
    local name=$1 line=
    shift
    coproc HOLDER { exec "$builddir/tests/faults/holder" "$conf" "$@" 2>"$work/holder.err"; }
    local pid=$HOLDER_PID input=${HOLDER[1]}
    read -r -t 60 line <&"${HOLDER[0]}" || true
    [ "$line" = ready ] && (cd "$work" && gcore -o "$name" "$pid") >"$work/gcore.log" 2>&1
    local result=$?
    mv "$work/$name.$pid" "$work/$name.core" 2>/dev/null
    exec {input}>&-
    wait "$pid" 2>/dev/null
    err=$(cat "$work/holder.err" 2>/dev/null)
    return $result
}

look() {
    run python3 "$srcdir/tests/faults/scan.py" "$work/$1.core" "PIN=bytes:$work/hsm.pin" "local CMK=dek:$work/core/local.key" \
        "hmac-derive DEK=dek:$work/derive.dek" "aes-gcm DEK=dek:$work/gcm.dek" "local DEK=dek:$work/local.dek"
}

core_of held derive gcm local
report $? "a core of a process with three DEKs, a PIN and the local CMK"
look held
[ "$code" = 0 ] && [ "$out" = "0 findings" ]
report $? "the core has none of their bytes, key schedules and HMAC states: $out"

core_of planted --plant "$work/derive.dek" derive gcm local
report $? "a core of a process with a copy of one DEK in ordinary memory"
look planted
[ "$code" = 1 ] && [[ $out == *"hmac-derive DEK: bytes"* ]] && [[ $out != *"aes-gcm DEK"* ]]
report $? "the copy is found, and nothing else"

core_of context --plant-evp "$work/gcm.dek" derive gcm local
report $? "a core of a process that keeps an OpenSSL context with one DEK"
look context
[ "$code" = 1 ] && [[ $out == *"aes-gcm DEK: AES round key"* ]] && [[ $out != *"local DEK"* ]]
report $? "its key schedule is found, and nothing else"

done_testing
