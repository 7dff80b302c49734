#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 at 200 random points of a loop of creates and renames: afterwards the vault is sound and every key whose _id was printed opens.
. "${srcdir:?}/tests/lib/integration.sh"
command -v jq >/dev/null || skip_all "jq isn't installed"
kills=${DKV_KILLS:-200}
conf_local kill
export DEKVAULT_CONF=$conf
check "vault" dekvault vault init

# Creates and renames until it is killed. A line goes to the list only after the command that made the key has ended well.
worker() {
    local n=0 id
    while :; do
        n=$((n + 1))
        id=$("$dekvault" key create local --name "key-$1-$n" 2>>"$work/worker.err") || exit 1
        echo "$id" >>"$work/ids"
        "$dekvault" key add-name "$id" "renamed-$1-$n" >/dev/null 2>>"$work/worker.err" || exit 1
        "$dekvault" key remove-name "$id" "key-$1-$n" >/dev/null 2>>"$work/worker.err" || exit 1
    done
}

: >"$work/ids"
killed=0
for ((i = 0; i < kills; i++)); do
    set -m
    worker "$i" &
    group=$!
    set +m
    sleep "0.0$((RANDOM % 90 + 10))"
    kill -9 -- "-$group" 2>/dev/null && killed=$((killed + 1))
    wait "$group" 2>/dev/null
done
[ "$killed" = "$kills" ]
report $? "$kills processes killed in the middle of creates and renames ($killed)"
err=$(head -n 5 "$work/worker.err" 2>/dev/null)
[ ! -s "$work/worker.err" ]
report $? "none of them failed by itself"

run_expect 0 "vault info" dekvault vault info --json
json "the vault is sound" '.index == "ok" and .keys >= 1'
printed=$(wc -l <"$work/ids")
stored=$(jq .keys <<<"$out")
[ "$printed" -gt 0 ] && [ "$stored" -ge "$printed" ]
report $? "no fewer keys stored ($stored) than printed ($printed)"

open_each "$work/ids"
[ "$unreadable" = 0 ]
report $? "all $printed keys whose _id was printed open ($unreadable don't)"
done_testing
