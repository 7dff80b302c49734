#!/usr/bin/env bash
# Interop with MongoDB's own Python driver, both ways, through a real server: what one side makes the other reads and changes.
# Before the harness sets HOME: the cache folder is the user's. What it prints is the path, or why there is none.
[ -z "${DEKVAULT_TEST_MONGODB_URI-}" ] || python=$("${srcdir:?}/scripts/test-venv" 2>&1)
. "${srcdir:?}/tests/lib/integration.sh"

[ -n "${DEKVAULT_TEST_MONGODB_URI-}" ] || skip_all "no MongoDB server: scripts/test-mongodb up"
[ -x "$python" ] || skip_all "no venv: $python"
needs_softhsm
make_token interop || skip_all "no token can be made"

lab=$work/lab
name_space=dekvault_pymongo_$$.keys
mkdir "$lab"
(
    umask 077
    head -c 96 /dev/urandom >"$lab/local.key"
    head -c 96 /dev/urandom | base64 -w 0 >"$lab/second.key"
    printf '%s\n' "$DEKVAULT_TEST_MONGODB_URI" >"$lab/uri"
)
conf lab <<CONF
state-dir: $lab/state
vault:
  store-source: file:$lab/uri
  namespace: $name_space
vaults:
  other:
    store-source: file:$lab/uri
    namespace: ${name_space%.*}.made_by_driver
providers:
  local:
    key-source: file:$lab/local.key
  local:second:
    key-source: file:$lab/second.key
  pkcs11:interop:
    module: $module
    token: pkcs11:token=interop
    pin-source: file:$work/interop.pin
    cmk: pkcs11:object=cmk-1
CONF
run_expect 0 "cmk create" dekvault --config "$conf" cmk create pkcs11:interop --label cmk-1
run_expect 0 "vault init" dekvault --config "$conf" vault init
[ "$n_failed" = 0 ] || { done_testing; exit 1; }

# From here on the Python side counts.
PYTHONDONTWRITEBYTECODE=1 "$python" "$srcdir/tests/interop/pymongo_main.py" "$n_tests" "$lab" "$dekvault" \
    "$builddir/examples/mongodb-app" "$srcdir/tests/unit/field_samples.h" "$name_space"
