#!/usr/bin/env bash
# The command line on a vault in MongoDB: the main job by changing one line, every command, the refusals, 16 processes at once, and
# that a password is seen nowhere.
. "${srcdir:?}/tests/lib/integration.sh"

[ -n "${DEKVAULT_TEST_MONGODB_URI-}" ] || skip_all "no MongoDB server: scripts/test-mongodb up"
needs_softhsm
make_token prod || skip_all "no token can be made"
# Out of the environment: what is looked for in dekvault's own must not come from here.
plain=$DEKVAULT_TEST_MONGODB_URI secure=${DEKVAULT_TEST_MONGODB_SECURE_URI-} other_ca=${DEKVAULT_TEST_MONGODB_OTHER_CA-}
unset "${!DEKVAULT_TEST_MONGODB_@}"
own_database cli "$plain"
uuid='^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'

check "the server answers" mongo '{"ping": 1}'

# store_at URI FILE: the line of a provider file for it; with a password it goes into FILE.
store_at() {
    case $1 in
    *@*)
        (umask 077 && printf '%s\n' "$1" >"$2")
        echo "store-source: file:$2"
        ;;
    *) echo "store: $1" ;;
    esac
}

# on_server COLLECTION [URI [LINE]]: in the place of the SQLite store of $conf.
on_server() {
    local line text='' store
    store=$(store_at "${2:-$plain}" "${conf%/*}/vault.uri")
    while IFS= read -r line; do
        case $line in
        '  store: sqlite:'*) line="  $store"$'\n'"  namespace: $database.$1${3:+$'\n'  $3}" ;;
        esac
        text+=$line$'\n'
    done <"$conf"
    printf '%s' "$text" >"$conf"
}

# ---- The main job, by one line and its namespace ----
conf_token main prod 'cmk: pkcs11:object=cmk-1' 'cmks: [pkcs11:object=cmk-2]'
cp "$conf" "$work/sqlite.conf"
on_server __keyVault
export DEKVAULT_CONF=$conf
check "one line differs, and one names the collection" test "$(diff "$work/sqlite.conf" "$conf" | grep -c '^>')" = 2
run_expect 0 "config check" dekvault config check
run_expect 0 "cmk create" dekvault cmk create pkcs11:prod --label cmk-1
run_expect 0 "a second CMK" dekvault cmk create pkcs11:prod --label cmk-2
run_expect 3 "key show before there is anything" dekvault key show app.users/ssn
run_expect 0 "vault init" dekvault vault init
run_expect 0 "vault init again, --json" dekvault vault init --json
json "... made nothing" '.created == false and .index == "ok"'
run_expect 0 "key create" dekvault key create pkcs11:prod --name app.users/ssn
id=$out
check "... prints the _id" grep -Eqx "$uuid" <<<"$id"
run_expect 0 "encrypt" dekvault encrypt app.users/ssn --string -- 123-45-6789
json "... is subtype 6" '."$binary".subType == "06"'
run_in_expect 0 "decrypt" "$out" "$dekvault" decrypt
check "... gives it back" test "$out" = '"123-45-6789"'
check "the document is where MongoDB's drivers look" test \
    "$(mongo_count __keyVault '{"keyAltNames": "app.users/ssn", "masterKey.provider": "pkcs11:prod"}')" = 1
check "the CMK's check record is beside it" test "$(mongo_count __keyVault.dekvault)" = 1

# ---- Every command ----
run_expect 0 "key create --cmk with two names, --json" dekvault key create pkcs11:prod --cmk cmk-2 --name second --name 'zweiter Schlüssel' --json
json "... with its keys" '(._id | length == 36) and .keyAltNames == ["second", "zweiter Schlüssel"]'
id2=$(jq -r ._id <<<"$out")
run_expect 0 "key create without a name" dekvault key create pkcs11:prod
id3=$out
run_expect 0 "key create without a name again" dekvault key create pkcs11:prod
(umask 077 && head -c 96 /dev/urandom >"$work/material")
run_expect 0 "key create --material-file" dekvault key create pkcs11:prod --material-file "$work/material" --name given
run_expect 4 "key create of a name that is taken" dekvault key create pkcs11:prod --name third --name second
says "... says which" '"second"'
run_expect 3 "... and its other name went to nobody" dekvault key show third
run_expect 0 "vault info --json" dekvault vault info --json
json "... counts" '.keys == 5 and .index == "ok" and ([.by[].count] | add) == 5 and (.by | length) == 2 and
    all(.by[]; .provider == "pkcs11:prod" and .status == "enabled")'
run_expect 0 "vault info" dekvault vault info
run_expect 0 "key list" dekvault key list
says "... has the key" "$id"
check "... one line a key and a heading" test "$(wc -l <<<"$out")" = 6
run_expect 0 "key list --json" dekvault key list --json
json "... are key documents" 'length == 5 and all(.[]; (keys_unsorted[0] == "_id") and ._id."$binary".subType == "04" and
    .masterKey.provider == "pkcs11:prod" and .status."$numberInt" == "0")'
documents=$out
filtered() { # WHAT COUNT OPTION...
    local what=$1 n=$2
    shift 2
    run_expect 0 "key list $what" dekvault key list --json "$@"
    check "... finds $n" test "$(grep -c . <<<"$out")" = "$n"
}
filtered "--cmk by label" 1 --provider pkcs11:prod --cmk cmk-2
filtered "--provider" 5 --provider pkcs11:prod
filtered "--provider that has none" 0 --provider local
filtered "--name-prefix" 1 --name-prefix app.
filtered "--name-prefix, whose case counts" 0 --name-prefix App.
filtered "--name-prefix with a dot that is one" 0 --name-prefix 'a..'
filtered "--name-prefix of letters of two bytes" 1 --name-prefix 'zweiter Schlü'
filtered "--status enabled" 5 --status enabled
filtered "--status disabled" 0 --status disabled
filtered "--created-before" 0 --created-before 2020-01-01
filtered "--created-after" 5 --created-after 2020-01-01T00:00:00Z
filtered "with two filters" 1 --name-prefix sec --created-after 2020-01-01
run_expect 0 "key show by alt name" dekvault key show app.users/ssn
says "... shows its _id" "$id"
run_expect 0 "key show by UUID --json" dekvault key show "$id" --json
json "... is the document" '.keyAltNames == ["app.users/ssn"]'
run_expect 3 "key show of none" dekvault key show nobody --json
error_json "... is not_found" '.error.class == "not_found" and .error.key == "nobody"'
run_expect 0 "key add-name" dekvault key add-name "$id" new-name
run_expect 0 "key add-name again --json" dekvault key add-name "$id" new-name --json
json "... changed nothing" "._id == \"$id\" and .changed == false"
run_expect 4 "key add-name of another's" dekvault key add-name second app.users/ssn
run_expect 0 "key add-name to one that has none" dekvault key add-name "$id3" lonely
run_expect 0 "key remove-name of its last" dekvault key remove-name "$id3" lonely
run_expect 0 "... leaves no field" dekvault key show "$id3" --json
json "... not even an empty one" 'has("keyAltNames") | not'
run_expect 0 "key remove-name --json" dekvault key remove-name name:new-name new-name --json
json "... changed it" ".changed == true and ._id == \"$id\""
run_expect 3 "key show by the name that was removed" dekvault key show new-name
# In an aggregation pipeline these are a field, a variable, an operator; in a query a pattern.
for name in '$status' '$$ROOT' '$literal' 'a.b' '.*' '{"$ne":1}'; do
    run_expect 0 "key add-name $name" dekvault key add-name "$id" "$name"
    run_expect 0 "... finds it" dekvault key show "name:$name" --json
    json "... and no other" '.keyAltNames | length == 2'
    run_expect 0 "... key remove-name" dekvault key remove-name "$id" "$name" --json
    json "... takes it away" '.changed == true'
    run_expect 3 "... and it is gone" dekvault key show "name:$name"
done
run_expect 0 "... and the other name stayed" dekvault key show app.users/ssn
run_expect 2 "key delete without a terminal and without --yes" dekvault key delete "$id3"
run_expect 0 "key delete --yes --json" dekvault key delete "$id3" --yes --json
json "... deleted it" "._id == \"$id3\" and .changed == true"
run_expect 3 "key delete again" dekvault key delete "$id3" --yes
run_in_expect 0 "key import of what key list wrote" "$documents" "$dekvault" key import --json
json "... inserts what was deleted and finds the rest" '.inserted == 1 and .present == 4 and .refused == []'
run_expect 0 "... byte for byte" dekvault key list --json
check "... as it was" test "$(sort <<<"$out")" = "$(sort <<<"$documents")"
for algorithm in random deterministic; do
    run_in_expect 0 "encrypt, $algorithm" '{"$numberLong":"5"}' "$dekvault" encrypt "$id2" --algorithm "$algorithm"
    run_in_expect 0 "... and decrypt" "$out" "$dekvault" decrypt
    check "... gives it back" test "$(jq -c . <<<"$out")" = '{"$numberLong":"5"}'
done

# ---- Several vaults ----
cat >>"$conf" <<CONF
vaults:
  elsewhere:
    $(store_at "$plain" "$work/elsewhere.uri")
    namespace: $database.elsewhere
  file:
    store: sqlite:$work/main/vault.db
CONF
run_expect 0 "vault init of another vault" dekvault --vault elsewhere vault init --json
json "... made it" '.index == "ok"'
run_expect 0 "key create in it, a name that the first has" dekvault --vault elsewhere key create pkcs11:prod --name second
run_expect 0 "its info" dekvault --vault elsewhere vault info --json
json "... has the one" '.keys == 1'
run_expect 3 "a vault that the file doesn't name" dekvault --vault nowhere vault info
run_expect 0 "vault init of the file beside it" dekvault --vault file vault init
run_expect 0 "vault copy to SQLite, dry" dekvault vault copy --from default --to file --dry-run --json
run_expect 0 "... changed nothing" dekvault --vault file vault info --json
json "... there" '.keys == 0'
run_expect 0 "vault copy to SQLite" dekvault vault copy --from default --to file --json
json "... copies all" '.copied == 5 and .present == 0 and .refused == []'
run_expect 0 "... and reads there" dekvault --vault file encrypt app.users/ssn --string x
run_expect 0 "... what opens here" dekvault decrypt "$out"
run_expect 0 "vault copy again" dekvault vault copy --from default --to file --json
json "... finds them" '.copied == 0 and .present == 5'
run_expect 4 "vault copy into one whose key has a name of it" dekvault vault copy --from file --to elsewhere --json
json "... refuses that one and copies the rest" '.copied == 4 and (.refused | length) == 1 and .refused[0]._id == "'"$id2"'"'

# ---- What isn't there ----
conf_local nodatabase
on_server __keyVault
sed -i "s/namespace: $database/namespace: ${database}_none/" "$conf"
run_expect 3 "key show in a database that doesn't exist" dekvault --config "$conf" key show app.users/ssn
run_expect 3 "... by its UUID" dekvault --config "$conf" key show "$id"
run_expect 3 "... encrypt" dekvault --config "$conf" encrypt app.users/ssn --string x
bounded() { # WHAT MILLISECONDS
    local end
    end=$(($(date +%s%3N) + $2))
    run_expect 5 "$1" dekvault --config "$conf" key show app.users/ssn --json
    check "... before long" test "$(date +%s%3N)" -lt "$end"
}
conf_local noserver
on_server __keyVault mongodb://127.0.0.1:1/ "timeout-ms: 500"
bounded "no server" 3000
error_json "... is unreachable, and names the place" '.error | .class == "unreachable" and (.message | test("127.0.0.1:1"))'
run_expect 5 "vault init on no server" dekvault --config "$conf" vault init
# Takes connections, answers nothing.
coproc deaf { exec python3 -c 'import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(64); print(s.getsockname()[1], flush=True); time.sleep(600)'; }
# shellcheck disable=SC2154
deaf_pid=$deaf_PID
read -r port <&"${deaf[0]}"
conf_local deaf
on_server __keyVault "mongodb://127.0.0.1:$port/" "timeout-ms: 500"
bounded "a server that answers nothing" 4000
kill "$deaf_pid"
conf_local withpassword
on_server __keyVault
sed -i '/store-source:/d; s|^  store: .*||; s|^vault:|vault:\n  store: mongodb://me:hunter2secret@127.0.0.1:1/|' "$conf"
run_expect 2 "a password in store" dekvault --config "$conf" vault info --verbose
says "... says where it belongs" "store-source"
check "... and doesn't repeat it" test "${out}${err}" = "${out//hunter2secret/}${err//hunter2secret/}"
run_expect 2 "... config check" dekvault --config "$conf" config check
check "... doesn't repeat it" test "${out}${err}" = "${out//hunter2secret/}${err//hunter2secret/}"

# ---- The index ----
index() { # COLLECTION [OPTIONS]: instead of the one that is there; without OPTIONS none
    mongo "{\"create\": \"$1\"}" >/dev/null 2>&1
    mongo "{\"dropIndexes\": \"$1\", \"index\": \"*\"}" >/dev/null || return
    [ -n "${2-}" ] || return 0
    mongo "{\"createIndexes\": \"$1\", \"indexes\": [{\"name\": \"keyAltNames_1\", \"key\": {\"keyAltNames\": 1}, $2}]}"
}
state_is() { # WHAT STATE
    run_expect 0 "$1: vault info" dekvault --vault elsewhere vault info --json
    json "... tells" ".index == \"$2\""
}
create_elsewhere() { dekvault --vault elsewhere key create pkcs11:prod "$@"; }
check "an index that isn't unique" index elsewhere '"partialFilterExpression": {"keyAltNames": {"$exists": true}}'
state_is "an index that isn't unique" not-unique
run_expect 2 "... key create with a name" create_elsewhere --name named
says "... says what to run" "dropIndex"
run_expect 2 "... vault init" dekvault --vault elsewhere vault init
says "... says what to run" "dropIndex"
run_expect 2 "... key add-name" dekvault --vault elsewhere key add-name app.users/ssn named
run_expect 3 "... nobody got the name" dekvault --vault elsewhere key show named
run_expect 0 "... key create without a name" create_elsewhere
run_expect 0 "... look-ups work" dekvault --vault elsewhere encrypt app.users/ssn --string x
check "an index that isn't partial" index solid '"unique": true'
sed -i "s/namespace: $database.elsewhere/namespace: $database.solid/" "$DEKVAULT_CONF"
state_is "an index that isn't partial" not-partial
run_expect 2 "... key create with a name" create_elsewhere --name named
says "... says what to run" "dropIndex"
sed -i "s/namespace: $database.solid/namespace: $database.elsewhere/" "$DEKVAULT_CONF"
check "no index" index elsewhere
state_is "no index" missing
mongo '{"update": "elsewhere", "updates": [{"q": {"keyAltNames": {"$exists": false}}, "u": {"$set": {"keyAltNames": []}}, "multi": true}]}' >/dev/null
run_expect 0 "vault init makes it, empty arrays of names or not" dekvault --vault elsewhere vault init --json
json "... and it is right" '.index == "ok"'
check "... and took the empty arrays away" test \
    "$(mongo_count elsewhere '{"keyAltNames": []}')" = 0
check "no index again" index elsewhere
run_expect 0 "the first key create with a name makes it" create_elsewhere --name maker
state_is "... and then" ok

# ---- A name that two have ----
check "no index once more" index elsewhere
dekvault --vault elsewhere key show app.users/ssn --json |
    jq -c '._id."$binary".base64 = "AAAAAAAAQACAAAAAAAAAAQ==" | {insert: "elsewhere", documents: [.]}' >"$work/twin"
check "a twin is planted" mongo "$(<"$work/twin")"
run_expect 4 "key show of a name that two keys have" dekvault --vault elsewhere key show app.users/ssn
run_expect 4 "... encrypt" dekvault --vault elsewhere encrypt app.users/ssn --string x
run_expect 0 "... by its _id it is found" dekvault --vault elsewhere key show "$id"
run_expect 4 "... vault init can't make the index" dekvault --vault elsewhere vault init
says "... and says what to run" "remove-name"
run_expect 0 "... the twin's name is taken away" dekvault --vault elsewhere key remove-name 00000000-0000-4000-8000-000000000001 app.users/ssn
run_expect 0 "... and it can" dekvault --vault elsewhere vault init
run_expect 0 "... and the name is one key's" dekvault --vault elsewhere key show app.users/ssn
run_expect 7 "a twin's wrap, bound to the other _id, doesn't open" dekvault --vault elsewhere encrypt 00000000-0000-4000-8000-000000000001 --string x

# ---- 16 processes, one name ----
race() { # WHAT COLLECTION
    local i codes
    conf_local "race-$2"
    on_server "$2"
    for ((i = 0; i < 16; i++)); do
        (dekvault --config "$conf" key create local --name same >"$work/race.$i" 2>&1; echo $? >"$work/race.$i.code") &
    done
    wait
    codes=$(cat "$work"/race.*.code | sort | uniq -c | tr -s ' \n' ' ')
    cat "$work"/race.? "$work"/race.?? >"$work/.out"
    out=$(<"$work/.out") err='' code="$codes"
    [ "$codes" = " 1 0 15 4 " ]
    report $? "16 processes create one name $1: one wins, 15 get exit code 4"
    check "... and there is one document" test "$(mongo_count "$2")" = 1
    run_expect 0 "... whose name is held unique" dekvault --config "$conf" vault info --json
    json "... by the index" '.index == "ok" and .keys == 1'
    rm -f "$work"/race.*
}
race "on a vault that isn't there yet" race1
conf_local race-race2
on_server race2
run_expect 0 "vault init before the next" dekvault --config "$conf" vault init
race "after vault init" race2

# ---- A client key that has a password ----
openssl req -x509 -newkey rsa:2048 -passout pass:secret -keyout "$work/locked.key" -out "$work/locked.crt" -subj /CN=app -days 1 \
    2>"$work/openssl.log"
(umask 077 && cat "$work/locked.key" "$work/locked.crt" >"$work/locked.pem")
mkfifo "$work/nobody-types"
host=${plain#*://} host=${host##*@} host=${host%%/*}
conf_local locked
on_server locked "mongodb://$host/?tls=true&tlsCertificateKeyFile=$work/locked.pem" "timeout-ms: 1000"
# OpenSSL asks whoever sits at the terminal, or at standard input, and waits for ever.
run_expect 2 "a locked client key without its password: nobody is asked for it" \
    env fifo="$work/nobody-types" setsid -w timeout -s KILL 30 bash -c 'exec "$@" <>"$fifo"' - "$dekvault" --config "$conf" vault info
says "... which option the URI lacks" "tlsCertificateKeyFilePassword"

# ---- Passwords and TLS ----
if [ -n "$secure" ]; then
    password=${secure#*://*:} password=${password%%@*}
    silent() { # WHAT: nothing of the last command holds the password
        [[ $out$err != *"$password"* && -n $password ]]
        report $? "$1"
    }
    conf_local secure
    on_server secure "$secure" "timeout-ms: 3000"
    run_expect 0 "SCRAM and TLS: vault init --verbose" dekvault --config "$conf" vault init --verbose
    silent "... is silent about the password"
    says "... names the file that holds the URI" "vault.uri"
    run_expect 0 "... key create --verbose" dekvault --config "$conf" key create local --name ssn --verbose
    silent "... is silent"
    run_expect 0 "... encrypt" dekvault --config "$conf" encrypt ssn --string x
    run_expect 0 "... decrypt" dekvault --config "$conf" decrypt "$out"
    run_expect 0 "... vault info --verbose" dekvault --config "$conf" vault info --verbose
    silent "... is silent"
    run_expect 0 "... vault info --json" dekvault --config "$conf" vault info --json
    silent "... is silent"
    run_expect 4 "... an error of the server's" dekvault --config "$conf" key create local --name ssn --verbose --json
    silent "... is silent"

    if is_root; then
        mkfifo "$work/fifo"
        "$dekvault" --config "$conf" encrypt ssn --string <"$work/fifo" >/dev/null 2>&1 &
        running=$!
        exec 9>"$work/fifo"
        sleep 0.5
        out=$(tr '\0' '\n' <"/proc/$running/cmdline") err=$(tr '\0' '\n' <"/proc/$running/environ")
        check "a running process can be looked at" grep -q encrypt <<<"$out"
        silent "... and shows no password in its arguments or environment"
        exec 9>&-
        wait "$running"
    else
        skip 2 "needs root: dekvault lets nobody else look"
    fi

    chmod 644 "$work/secure/vault.uri"
    run_expect 2 "a store-source that others may read" dekvault --config "$conf" vault info
    says "... says what to run" "chmod"
    silent "... is silent"

    conf_local badpassword
    on_server secure "${secure/":$password@"/":wrong${password}wrong@"}" "timeout-ms: 3000"
    run_expect 6 "a wrong password" dekvault --config "$conf" vault info --json
    error_json "... is auth" '.error | .class == "auth" and .native.system == "mongodb"'
    silent "... is silent"
    run_expect 6 "a wrong password, --verbose" dekvault --config "$conf" vault info --verbose
    silent "... is silent"
    if [ -f "$other_ca" ]; then
        conf_local badca
        # shellcheck disable=SC2001
        on_server secure "$(sed "s|tlsCAFile=[^&]*|tlsCAFile=$other_ca|" <<<"$secure")" "timeout-ms: 3000"
        run_expect 2 "a CA that didn't sign the server's certificate" dekvault --config "$conf" vault info
        check "... says that TLS was why" grep -Eqi 'TLS|certificate' <<<"$err"
        silent "... is silent"
    else
        skip 3 "DEKVAULT_TEST_MONGODB_OTHER_CA isn't set"
    fi
    conf_local noca
    # shellcheck disable=SC2001
    on_server secure "$(sed "s|tlsCAFile=[^&]*|tlsCAFile=$work/none.pem|" <<<"$secure")" "timeout-ms: 3000"
    run_expect 2 "a CA file that isn't there" dekvault --config "$conf" vault info
    silent "... is silent"
    conf_local nonsense
    on_server secure "${secure}&nonsense=%zz" "timeout-ms: 3000"
    run_expect 2 "a URI that isn't one" dekvault --config "$conf" vault info --verbose
    silent "... is silent"
else
    skip 30 "no server with TLS and SCRAM: scripts/test-mongodb up"
fi
done_testing
