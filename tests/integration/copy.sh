#!/usr/bin/env bash
# `vault copy` between SQLite vaults: counts, refusals and exit codes, and a copy of 5,000 keys killed again and again.
. "${srcdir:?}/tests/lib/integration.sh"

command -v jq >/dev/null || skip_all "jq isn't installed"
n_keys=5000

# with_vaults NAME...: $conf gets `vaults` of these names, each a SQLite file.
with_vaults() {
    local name
    echo vaults: >>"$conf"
    for name in "$@"; do
        printf '  %s:\n    store: sqlite:%s/%s.db\n' "$name" "$work" "$name" >>"$conf"
    done
}

# documents FIRST LAST [NAME-PREFIX [MATERIAL]]: key documents, one a line; the _id and the name have the number.
documents() {
    awk -v first="$1" -v last="$2" -v prefix="${3:-n-}" -v material="${4:-AAAA}" 'BEGIN {
        for (i = first; i <= last; i++)
            printf "{\"_id\":{\"$binary\":{\"base64\":\"AAAAAAAAQACAAAAA%05dA==\",\"subType\":\"04\"}}," \
                "\"keyAltNames\":[\"%s%d\"],\"keyMaterial\":{\"$binary\":{\"base64\":\"%s\",\"subType\":\"00\"}}," \
                "\"creationDate\":{\"$date\":{\"$numberLong\":\"5\"}},\"updateDate\":{\"$date\":{\"$numberLong\":\"6\"}}," \
                "\"status\":{\"$numberInt\":\"0\"},\"masterKey\":{\"provider\":\"local\"}}\n", i, prefix, i, material
    }'
}

keys_of() { # NAME
    dekvault --vault "$1" vault info --json | jq .keys
}

# forget NAME: an empty vault again.
forget() {
    rm -f "$work/$1.db" "$work/$1.db-wal" "$work/$1.db-shm"
    run_expect 0 "vault init of $1" dekvault --vault "$1" vault init
}

same_keys() { # NAME NAME
    diff <(dekvault --vault "$1" key list --json) <(dekvault --vault "$2" key list --json)
}

conf_local main
with_vaults other third fourth
export DEKVAULT_CONF=$conf
run_expect 0 "vault init" dekvault vault init

# ---- What is said on the command line ----
run_expect 0 "vault copy --help" dekvault vault copy --help
says "... says that it may be interrupted" "Ctrl-C"
says "... shows --dry-run" "--dry-run"
run_expect 2 "without --to" dekvault vault copy --from default
says "... says what is needed" "--to NAME"
run_expect 2 "without --from" dekvault vault copy --to other
run_expect 2 "onto itself" dekvault vault copy --from default --to default
says "... says why" "another"
run_expect 2 "with --vault" dekvault --vault other vault copy --from default --to other
says "... says what to use" "--from and --to"
run_expect 2 "with an argument" dekvault vault copy default other
run_expect 3 "to a vault that the file doesn't name" dekvault vault copy --from default --to nowhere
run_expect 3 "from a vault that the file doesn't name" dekvault vault copy --from nowhere --to default
run_expect 3 "to a vault that isn't there" dekvault vault copy --from default --to other
says "... says what makes it" "vault init"
check "... and makes none" test ! -e "$work/other.db"
run_expect 0 "vault init of the other" dekvault --vault other vault init

# ---- Two keys that open ----
run_expect 0 "key create" dekvault key create local --name ssn
id=$out
run_expect 0 "key create" dekvault key create local
run_expect 0 "a dry run" dekvault vault copy --from default --to other --dry-run
check "... says what would be done" test "$out" = "would copy 2, present 0, refused 0"
check "... and writes nothing" test "$(keys_of other)" = 0
run_expect 0 "a dry run --json" dekvault --json vault copy --from default --to other --dry-run
json "... with its keys" '. == {"copied": 2, "present": 0, "refused": [], "refused_count": 0, "dry_run": true}'
run_expect 0 "vault copy" dekvault vault copy --from default --to other
check "... says what was done" test "$out" = "copied 2, present 0, refused 0"
check "... and nothing else" test -z "$err"
check "... all the same" same_keys default other
run_expect 0 "a copied key is found by its name" dekvault --vault other key show ssn --json
json "... and is the same" '.keyAltNames == ["ssn"]'
value=$(dekvault encrypt ssn --string secret)
run_expect 0 "a copied key opens" dekvault --vault other decrypt "$value"
says "... to the same" secret
run_expect 0 "vault copy again --json" dekvault --json vault copy --from default --to other
json "... all present" '. == {"copied": 0, "present": 2, "refused": [], "refused_count": 0, "dry_run": false}'
run_expect 0 "vault copy --quiet" dekvault --quiet vault copy --from default --to other
check "... says nothing" test -z "$out$err"
run_expect 0 "and back" dekvault vault copy --from other --to default
check "... all present" test "$out" = "copied 0, present 2, refused 0"

# ---- Refusals ----
run_expect 0 "a key is disabled by its name taken away" dekvault --vault other key remove-name ssn ssn
run_expect 4 "another document of that _id" dekvault vault copy --from default --to other
says "... is named" "$id: another document with _id $id"
says "... and the other is present" "copied 0, present 1, refused 1"
run_expect 4 "the same --json" dekvault --json vault copy --from default --to other
json "... with its keys" ".refused | length == 1 and (.[0] | ._id == \"$id\" and .class == \"conflict\" and (.message | length > 0))"
run_expect 0 "vault init of the third" dekvault --vault third vault init
run_expect 0 "another key has the name there" dekvault --vault third key create local --name ssn
holder=$out
for dry_run in --dry-run ''; do
    # shellcheck disable=SC2086
    run_expect 4 "a name that is taken ${dry_run:-for real}" dekvault vault copy --from default --to third $dry_run
    says "... both are named" "$id: the alt name \"ssn\" belongs to $holder"
done
check "... the other went over" test "$(keys_of third)" = 2
if command -v sqlite3 >/dev/null; then
    sqlite3 "$work/other.db" "UPDATE keys SET document = x'00' WHERE hex(id) <> '$(tr -d - <<<"$id" | tr a-f A-F)'"
    run_expect 0 "vault init of the fourth" dekvault --vault fourth vault init
    run_expect 7 "a damaged row" dekvault vault copy --from other --to fourth
    says "... and the other goes over" "copied 1, present 0, refused 1"
    run_expect 0 "the first is changed" dekvault --vault fourth key add-name "$id" elsewhere
    run_expect 1 "a damaged row and another document" dekvault vault copy --from other --to fourth
else
    skip 5 "sqlite3 isn't installed"
fi
printf 'vaults:\n  pinned:\n    store: sqlite:%s/pinned.db\n    names:\n      ssn: 00000000-0000-4000-8000-000000000000\n' \
    "$work" | cat "$conf" - | sed '0,/^vaults:/!{/^vaults:/d}' >"$work/main/pinned.conf"
run_expect 0 "vault init of one with a pinned name" dekvault --config "$work/main/pinned.conf" --vault pinned vault init
run_expect 9 "a name that is pinned there" dekvault --config "$work/main/pinned.conf" vault copy --from default --to pinned
says "... is named" '"ssn" is pinned'

# ---- A destination that may only be read ----
if is_root; then
    share_program
    chmod 755 "$work" "$work/main"
    chmod 644 "$work"/*.db
    forget fourth
    chmod 644 "$work/fourth.db"
    run_expect 6 "a destination of another's" as_nobody "$shared" vault copy --from default --to fourth
    check "... stays as it was" test "$(keys_of fourth)" = 0
else
    skip 3 "only root can become somebody else"
fi

# ---- A destination without the index that keeps names apart ----
if command -v sqlite3 >/dev/null; then
    forget fourth
    sqlite3 "$work/fourth.db" 'DROP TABLE alt_names; CREATE TABLE alt_names (name TEXT, id BLOB)'
    run_expect 0 "vault info without the index" dekvault --vault fourth vault info
    says "... says so" "index    missing"
    says "... says which command mends it" "dekvault vault init"
    run_expect 0 "vault info --json" dekvault --json --vault fourth vault info
    json "... has the bare word" '.index == "missing"'
    for dry_run in --dry-run ''; do
        # shellcheck disable=SC2086
        run_expect 2 "a destination without the index ${dry_run:-for real}" dekvault vault copy --from default --to fourth $dry_run
        says "... says which command mends it" "dekvault vault init"
    done
    run_expect 0 "vault init" dekvault --vault fourth vault init
    says "... made it" "index ok"
    run_expect 0 "vault copy" dekvault vault copy --from default --to fourth
else
    skip 12 "sqlite3 isn't installed"
fi

# ---- The record ----
cp "$conf" "$work/main/audited.conf"
mkdir -m 700 "$work/audit"
printf 'audit:\n  to: file:%s/audit/log\n  required: true\n' "$work" >>"$work/main/audited.conf"
forget fourth
run_expect 0 "a recorded copy" dekvault --config "$work/main/audited.conf" vault copy --from default --to fourth
check "... has one record" test "$(jq -s 'map(select(.op == "vault-copy" and .outcome == "ok")) | length' "$work/audit/log")" = 1
run_expect 0 "a dry run" dekvault --config "$work/main/audited.conf" vault copy --from default --to fourth --dry-run
check "... has none" test "$(grep -c vault-copy "$work/audit/log")" = 1

# ---- 5,000 keys, killed ----
conf_local many
with_vaults copy
export DEKVAULT_CONF=$conf
run_expect 0 "vault init for many" dekvault vault init
documents 1 $n_keys >"$work/documents"
run_expect 0 "key import of $n_keys" dekvault key import "$work/documents" --unverified
n_partial=0
for delay in 0.01 0.02 0.03 0.04 0.05 0.06 0.08 0.10 0.12 0.15 0.2 0.25 0.3 0.4 0.5 0.7 1; do
    rm -f "$work/copy.db" "$work/copy.db-wal" "$work/copy.db-shm"
    dekvault --vault copy vault init >/dev/null
    for _ in 1 2; do # the second goes on where the first was killed
        "$dekvault" vault copy --from default --to copy >/dev/null 2>&1 &
        pid=$!
        sleep "$delay"
        kill -9 "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
        present=$(keys_of copy)
        [ "$present" -gt 0 ] && [ "$present" -lt $n_keys ] && n_partial=$((n_partial + 1))
    done
    run dekvault --json vault copy --from default --to copy
    check "killed after $delay s with $present of $n_keys there: the next one does the rest" \
        jq -e ".copied == $n_keys - $present and .present == $present and .refused_count == 0" <<<"$out"
    [ "$n_partial" -ge 3 ] && break
done
check "a kill came in the middle ($n_partial times)" test "$n_partial" -gt 0
check "the vaults are the same" same_keys default copy
run_expect 0 "SIGINT leaves a copy that goes on" bash -c '
    "$1" vault copy --from default --to copy & sleep 0.05; kill -INT $!; wait $!
    "$1" vault copy --from default --to copy' - "$dekvault"

# ---- Many that are refused ----
rm -f "$work/copy.db" "$work/copy.db-wal" "$work/copy.db-shm"
dekvault --vault copy vault init >/dev/null
documents 1 1500 n- BBBB >"$work/others"
run_expect 0 "1,500 other documents of those _ids" dekvault --vault copy key import "$work/others" --unverified
run_expect 4 "are refused" dekvault --json vault copy --from default --to copy
json "... 1,000 are listed, all counted" '(.refused | length) == 1000 and .refused_count == 1500 and .copied == 3500'

# ---- By way of MongoDB ----
if [ -n "${DEKVAULT_TEST_MONGODB_URI-}" ]; then
    own_database copy "$DEKVAULT_TEST_MONGODB_URI"
    printf '  cluster:\n    store: %s\n    namespace: %s.keys\n' "$DEKVAULT_TEST_MONGODB_URI" "$database" >>"$conf"
    run_expect 2 "to MongoDB before there is an index" dekvault vault copy --from default --to cluster
    says "... says what makes it" "dekvault vault init"
    run_expect 0 "vault init in MongoDB" dekvault --vault cluster vault init
    "$dekvault" vault copy --from default --to cluster >/dev/null 2>&1 &
    pid=$!
    sleep 0.4
    kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    present=$(keys_of cluster) # at least: the server ends what it was sent
    run_expect 0 "killed with $present there, the next one" dekvault --json vault copy --from default --to cluster
    json "... does the rest" ".copied + .present == $n_keys and .present >= $present and .refused_count == 0"
    rm -f "$work/copy.db" "$work/copy.db-wal" "$work/copy.db-shm"
    run_expect 0 "vault init" dekvault --vault copy vault init
    run_expect 0 "out of MongoDB" dekvault vault copy --from cluster --to copy
    check "... all the same" same_keys default copy
    run_expect 0 "and again" dekvault vault copy --from copy --to cluster
    check "... all present" test "$out" = "copied 0, present $n_keys, refused 0"
else
    skip 9 "no MongoDB server: scripts/test-mongodb up"
fi
done_testing
