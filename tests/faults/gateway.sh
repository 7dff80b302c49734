#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The front of a MongoDB server is killed with -9 at random points and started again, in a loop, while keys are created: afterwards every
# key whose _id was printed is there and opens, no name is there twice, and what failed has said so in the right way.
real_home=${HOME-} # where the server is known; the tests get one of their own
. "${srcdir:?}/tests/lib/integration.sh"
[ -n "${DEKVAULT_TEST_MONGODB_URI-}" ] || skip_all "no MongoDB server: scripts/test-mongodb up"
[ "${DEKVAULT_TEST_MONGODB_KIND-}" = documentdb ] || skip_all "the server has no gateway to kill: it isn't one that scripts/test-mongodb built"
command -v jq >/dev/null || skip_all "jq isn't installed"
creates=${DKV_CREATES:-200} parallel=5 timeout_ms=1500
own_database gateway "$DEKVAULT_TEST_MONGODB_URI"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])') || skip_all "python3 isn't installed"

# start_gateway: in the background, in a session of its own, which begins with $gateway.
start_gateway() {
    HOME=$real_home setsid "$srcdir/scripts/test-mongodb" gateway "$port" >>"$work/gateway.log" 2>&1 &
    gateway=$!
}
stop_gateway() {
    kill -9 -- "-$gateway" 2>/dev/null
    local result=$?
    wait "$gateway" 2>/dev/null
    return "$result"
}
finish() {
    rm -f "$work/running"
    wait
    clean_up
}
trap finish EXIT

# conf_at NAME URI: the same vault, in front of which the gateway stands or doesn't.
(umask 077 && head -c 96 /dev/urandom >"$work/local.key")
conf_at() {
    conf "$1" <<CONF
state-dir: $work/$1/state
vault:
  store: $2
  namespace: $database.keys
  timeout-ms: $timeout_ms
providers:
  local:
    key-source: file:$work/local.key
CONF
}
conf_at steady "$DEKVAULT_TEST_MONGODB_URI"
steady=$conf
conf_at shaky "mongodb://127.0.0.1:$port/?directConnection=true"
shaky=$conf
check "vault" dekvault --config "$steady" vault init

start_gateway
sleep 1
code=0 out='' err=$(<"$work/gateway.log")
stop_gateway || { report 1 "a gateway starts"; done_testing; exit 1; }

# A gateway lives for 40 to 289 ms, and is away for up to 50.
shake() {
    local gateway
    while [ -f "$work/running" ]; do
        start_gateway
        sleep "$(printf '0.%03d' $((RANDOM % 250 + 40)))"
        stop_gateway && echo >>"$work/kills"
        sleep "$(printf '0.%03d' $((RANDOM % 50)))"
    done
}

# Keys with a name each: the _ids of those that ended well go to one file, the exit codes and words of the others to another.
create() { # WORKER
    local n id result
    for ((n = 0; n < creates / parallel; n++)); do
        id=$("$dekvault" --config "$shaky" key create local --name "key-$1-$n" 2>"$work/err.$1")
        result=$?
        if [ "$result" = 0 ]; then
            echo "$id" >>"$work/ids.$1"
        else
            printf '%s %s %s\n' "$result" "key-$1-$n" "$(tr '\n' ' ' <"$work/err.$1")" >>"$work/failed.$1"
        fi
    done
}

: >"$work/running"
: >"$work/kills"
start=$SECONDS
shake 2>/dev/null &
shaker=$!
creators=()
for ((i = 0; i < parallel; i++)); do
    : >"$work/ids.$i"
    : >"$work/failed.$i"
    create "$i" &
    creators+=($!)
done
wait "${creators[@]}"
rm -f "$work/running"
wait "$shaker"

cat "$work"/ids.* >"$work/ids"
cat "$work"/failed.* >"$work/failed"
kills=$(wc -l <"$work/kills") printed=$(wc -l <"$work/ids") failed=$(wc -l <"$work/failed")
err=$(head -n 5 "$work/gateway.log")
[ "$kills" -ge 10 ]
report $? "the gateway was killed again and again"
err=$(head -n 5 "$work/failed")
[ $((printed + failed)) = "$creates" ] && [ "$printed" -ge $((creates / 4)) ]
report $? "keys were created all the same"
err=$(grep -v '^5 ' "$work/failed" | head -n 5)
[ -z "$err" ]
report $? "every create that failed says that the store is out of reach (exit 5)"

run_expect 0 "all keys are listed" dekvault --config "$steady" key list --json
err=$(jq -r '.keyAltNames[]?' <<<"$out" | sort | uniq -d)
stored=$(jq -s length <<<"$out")
named=$(jq -r '.keyAltNames[]?' <<<"$out" | sort -u | wc -l)
[ -z "$err" ] && [ "$named" = "$stored" ]
report $? "no name is there twice, no key without its name"
[ "$stored" -ge "$printed" ] && [ "$stored" -le $((printed + failed)) ]
report $? "no fewer keys than were printed, no more than were asked for"
jq -r '.keyAltNames[]?' <<<"$out" | sort -u >"$work/names"
err=$(grep -v ' may ' "$work/failed" | cut -d ' ' -f 2 | sort | comm -12 - "$work/names")
[ -z "$err" ]
report $? "a create that failed and is there all the same has said that it may be"

export DEKVAULT_CONF=$steady
open_each "$work/ids"
[ "$unreadable" = 0 ]
report $? "every key whose _id was printed opens"
run_expect 0 "vault info" dekvault vault info --json
json "the index is as it was" '.index == "ok"'

unsure=$(grep -c ' may ' "$work/failed")
diagnose "$creates creates, $parallel at a time, in $((SECONDS - start)) s; the gateway was killed $kills times"
diagnose "$printed printed an _id, all but $unreadable open; $failed failed, $unsure of them saying that it may have been done; $stored keys are stored"
done_testing
