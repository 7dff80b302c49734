# shellcheck shell=bash
# The integration tests' harness: TAP out, a temporary folder, throw-away SoftHSM tokens, provider files. To be sourced by bash with
# srcdir and builddir set, as `make check` sets them.
#
#   run COMMAND...                      runs it; exit code, output and errors in $code, $out, $err
#   run_expect CODE WHAT COMMAND...     runs it; ok when the exit code is CODE
#   says WHAT TEXT                      ok when TEXT is in the last command's output or errors
#   json WHAT FILTER                    ok when jq -e FILTER holds for the last command's output
#   error_json WHAT FILTER              the same for its errors
#   check WHAT COMMAND...               ok when the command succeeds
#   skip N WHY                          N checks that can't be made here
#   done_testing                        the plan; last
set -u
: "${srcdir:?run by make check}" "${builddir:?run by make check}"

dekvault=$builddir/cli/dekvault
work=$(mktemp -d "${TMPDIR:-/tmp}/dekvault-test.XXXXXX")
chmod 755 "$work"
trap clean_up EXIT
unset DEKVAULT_CONF SOFTHSM2_CONF XDG_CONFIG_HOME PKCS11SPY PKCS11SPY_OUTPUT
export HOME=$work/home XDG_STATE_HOME=$work/home/state LC_ALL=C.UTF-8
mkdir -p "$HOME"
# The program forbids tracing, which LeakSanitizer needs; leaks are the unit tests' to find.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0

n_tests=0 n_failed=0 code=0 out='' err='' database=''

clean_up() {
    [ -z "$database" ] || evaluate "$database_uri" "$database" '{"dropDatabase": 1}' >/dev/null
    chmod -R u+rwx "$work"
    rm -rf "$work"
}

diagnose() {
    sed 's/^/#   /' <<<"$1"
}

report() { # RESULT WHAT
    n_tests=$((n_tests + 1))
    if [ "$1" = 0 ]; then
        printf 'ok %d - %s\n' "$n_tests" "$2"
        return 0
    fi
    n_failed=$((n_failed + 1))
    printf 'not ok %d - %s\n' "$n_tests" "$2"
    diagnose "exit code $code"
    diagnose "output: $out"
    diagnose "errors: $err"
    return 0
}

skip() {
    local i
    for ((i = 0; i < $1; i++)); do
        n_tests=$((n_tests + 1))
        printf 'ok %d # SKIP %s\n' "$n_tests" "$2"
    done
}

skip_all() {
    printf '1..0 # SKIP %s\n' "$*"
    exit 0
}

done_testing() {
    printf '1..%d\n' "$n_tests"
    [ "$n_failed" = 0 ]
}

run() {
    "$@" >"$work/.out" 2>"$work/.err" </dev/null
    code=$?
    out=$(tr -d '\0' <"$work/.out")
    err=$(tr -d '\0' <"$work/.err")
}

# run_in INPUT COMMAND...: with INPUT on standard input.
run_in() {
    local input=$1
    shift
    printf '%s' "$input" | "$@" >"$work/.out" 2>"$work/.err"
    code=$?
    out=$(<"$work/.out")
    err=$(<"$work/.err")
}

run_expect() {
    local expected=$1 what=$2
    shift 2
    run "$@"
    [ "$code" = "$expected" ]
    report $? "$what (exit $expected)"
}

run_in_expect() {
    local expected=$1 what=$2
    shift 2
    run_in "$@"
    [ "$code" = "$expected" ]
    report $? "$what (exit $expected)"
}

says() {
    [[ $out$'\n'$err == *"$2"* ]]
    report $? "$1"
}

json() {
    jq -es "(if length == 1 then .[0] else . end) | ($2)" <<<"$out" >/dev/null 2>&1
    report $? "$1"
}

error_json() {
    jq -e "$2" <<<"$err" >/dev/null 2>&1
    report $? "$1"
}

check() {
    local what=$1
    shift
    "$@" >"$work/.check" 2>&1
    local result=$?
    [ "$result" = 0 ] || diagnose "$(head -n 20 "$work/.check")"
    report "$result" "$what"
}

dekvault() {
    "$dekvault" "$@"
}

is_root() {
    [ "$(id -u)" = 0 ]
}

# as_nobody COMMAND...: the first word is a program that nobody may read; see share_program.
as_nobody() {
    setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

# The program where everybody may run it, also when the build folder is private.
share_program() {
    mkdir -p "$work/bin"
    cp "$dekvault" "$work/bin/dekvault"
    chmod 755 "$work/bin" "$work/bin/dekvault"
    shared=$work/bin/dekvault
}

# open_each FILE: a field is encrypted and read back under each _id of the file; how many didn't give it back goes to $unreadable.
open_each() {
    local id encrypted
    unreadable=0
    while read -r id; do
        encrypted=$("$dekvault" encrypt "$id" --string x 2>>"$work/read.err") &&
            [ "$(printf '%s' "$encrypted" | "$dekvault" decrypt 2>>"$work/read.err")" = '"x"' ] ||
            unreadable=$((unreadable + 1))
    done <"$1"
    err=$(head -n 5 "$work/read.err" 2>/dev/null)
}

# ---- MongoDB ----

# evaluate URI DATABASE COMMAND: as the URI's user; prints the reply.
evaluate() {
    MONGO_EVAL_URI=$1 "$builddir/tests/mongod/mongo-eval" "$2" <<<"$3"
}

# own_database NAME URI: $database is a name of this test's own on the URI's server; it is dropped at the end.
own_database() {
    database=dekvault_$1_$$ database_uri=$2
}

# mongo COMMAND: on the test's own database.
mongo() {
    evaluate "$database_uri" "$database" "$1"
}

# mongo_count COLLECTION [QUERY]
mongo_count() {
    mongo "{\"count\": \"$1\", \"query\": ${2:-{\}}}" | jq -r '.n."$numberInt"'
}

# ---- Tokens ----

softhsm_module() {
    local path
    for path in /usr/lib/softhsm /usr/lib/x86_64-linux-gnu/softhsm /usr/lib64/pkcs11 /usr/local/lib/softhsm /usr/lib/aarch64-linux-gnu/softhsm; do
        [ -f "$path/libsofthsm2.so" ] && { echo "$path/libsofthsm2.so"; return 0; }
    done
    return 1
}

needs_softhsm() {
    command -v softhsm2-util >/dev/null || skip_all "softhsm2-util isn't installed"
    command -v jq >/dev/null || skip_all "jq isn't installed"
    module=$(softhsm_module) || skip_all "libsofthsm2.so isn't installed"
    export SOFTHSM2_CONF=$work/softhsm2.conf
    mkdir -p "$work/tokens"
    printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' "$work" >"$SOFTHSM2_CONF"
}

# make_token LABEL [PIN]: the PIN also goes to $work/LABEL.pin.
make_token() {
    local pin=${2:-246813579}
    softhsm2-util --init-token --free --label "$1" --pin "$pin" --so-pin 13571357 >/dev/null || return 1
    (umask 077 && printf '%s\n' "$pin" >"$work/$1.pin")
}

token_tool() {
    pkcs11-tool --module "$module" "$@"
}

# spy: what the module is asked from now on goes to $work/spy. The provider file must name $spy_module.
spy_module=
find_spy() {
    local path
    for path in /usr/lib/*/pkcs11-spy.so /usr/lib/*/pkcs11/pkcs11-spy.so /usr/lib64/pkcs11-spy.so; do
        [ -f "$path" ] && { spy_module=$path; break; }
    done
    [ -n "$spy_module" ] || return 1
    export PKCS11SPY=$module PKCS11SPY_OUTPUT=$work/spy
}

# spied FUNCTION: how often it was called since the spy's file was last removed.
spied() {
    [ -f "$work/spy" ] || : >"$work/spy"
    grep -c ": $1\$" "$work/spy"
}

# ---- Provider files ----

# conf NAME: standard input becomes $work/NAME/dekvault.conf, in a folder of its own; the path in $conf.
conf() {
    mkdir -p "$work/$1"
    chmod 755 "$work/$1"
    conf=$work/$1/dekvault.conf
    cat >"$conf"
    chmod 644 "$conf"
}

# conf_token NAME LABEL [LINE...]: vault $work/NAME/vault.db and provider pkcs11:LABEL with the lines beneath.
conf_token() {
    local name=$1 label=$2 lines
    shift 2
    lines=$(printf '    %s\n' "$@")
    conf "$name" <<CONF
state-dir: $work/$name/state
vault:
  store: sqlite:$work/$name/vault.db
providers:
  pkcs11:$label:
    module: ${use_module:-$module}
    token: pkcs11:token=$label
    pin-source: file:$work/$label.pin
$lines
CONF
}

# conf_local NAME [LINE...]: the same with the provider local; the lines go under `vault`.
conf_local() {
    local name=$1 lines=''
    shift
    [ $# -gt 0 ] && lines=$(printf '  %s\n' "$@")
    mkdir -p "$work/$name"
    [ -f "$work/$name/local.key" ] || (umask 077 && head -c 96 /dev/urandom >"$work/$name/local.key")
    conf "$name" <<CONF
state-dir: $work/$name/state
vault:
  store: sqlite:$work/$name/vault.db
$lines
providers:
  local:
    key-source: file:$work/$name/local.key
CONF
}
