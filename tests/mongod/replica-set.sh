#!/usr/bin/env bash
# What only MongoDB's own server can show: a replica set of three with TLS, SCRAM, X.509 and the roles of docs/mongodb.md, whose primary
# steps down while keys are made. TAP.
# Usage: replica-set.sh roles | check       with srcdir and builddir set, as `make check-mongod` does
#   roles   print the createRole commands of docs/mongodb.md, a JSON object a line; needs no server
#   check   start mongod from the PATH three times, create the roles as the document says, and run everything
set -u
: "${srcdir:?run by make check-mongod}" "${builddir:?run by make check-mongod}"
document=$srcdir/docs/mongodb.md

# The document's createRole commands as mongosh takes them.
role_scripts() {
    awk '/^```/ { inside = 0; text = "" } inside { text = text $0 "\n" } /^```js$/ { inside = 1 }
        inside && /^}\)$/ { if (text ~ /"createRole"/) printf "%s", text; text = "" }' "$document"
}

# The same as JSON: what stands between the parentheses.
roles() {
    role_scripts | sed 's/^db\.getSiblingDB("admin")\.runCommand({$/{/; s/^})$/}/' | jq -c .
}

case ${1-} in
roles)
    roles
    exit
    ;;
check) ;;
*)
    echo "usage: $0 roles | check" >&2
    exit 2
    ;;
esac

. "$srcdir/tests/lib/integration.sh"
command -v mongod >/dev/null || skip_all "no mongod on the PATH"
needs_softhsm
make_token prod || skip_all "no token can be made"
for tool in openssl python3; do
    command -v "$tool" >/dev/null || skip_all "$tool isn't installed"
done

# ---- The replica set ----
tls=$work/tls
password=$(openssl rand -hex 16)
pids=()
stop_all() {
    local pid
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null
    done
    wait
    clean_up
}
trap stop_all EXIT

certificate() { # NAME SUBJECT EXTENSIONS: key and certificate together in NAME.pem
    openssl req -newkey rsa:2048 -nodes -keyout "$tls/$1.key" -out "$tls/$1.csr" -subj "$2" &&
        openssl x509 -req -in "$tls/$1.csr" -CA "$tls/ca.crt" -CAkey "$tls/ca.key" -CAcreateserial -days 2 \
            -out "$tls/$1.crt" -extfile <(printf '%s\n' "$3") &&
        (umask 077 && cat "$tls/$1.key" "$tls/$1.crt" >"$tls/$1.pem")
}

certificates() {
    mkdir "$tls" && openssl req -x509 -newkey rsa:2048 -nodes -keyout "$tls/ca.key" -out "$tls/ca.crt" -days 2 -subj "/O=dekvault tests/CN=CA" &&
        openssl req -x509 -newkey rsa:2048 -nodes -keyout "$tls/other-ca.key" -out "$tls/other-ca.crt" -days 2 \
            -subj "/O=dekvault tests/CN=another CA" &&
        certificate server "/O=dekvault tests/OU=servers/CN=localhost" "subjectAltName=DNS:localhost,IP:127.0.0.1" &&
        certificate reader "/O=dekvault tests/OU=clients/CN=reader" "extendedKeyUsage=clientAuth" &&
        certificate stranger "/O=dekvault tests/OU=clients/CN=stranger" "extendedKeyUsage=clientAuth"
}

# start_member PORT SET OPTION...
start_member() {
    local port=$1 set=$2
    shift 2
    mkdir "$work/member-$port"
    mongod --replSet "$set" --dbpath "$work/member-$port" --logpath "$work/member-$port.log" --bind_ip localhost --port "$port" \
        --wiredTigerCacheSizeGB 0.25 "$@" >/dev/null 2>&1 &
    pids+=($!)
}

again() { # SECONDS COMMAND...: until it succeeds
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.5
    done
}

read -r -a ports < <(python3 -c 'import socket
s = [socket.socket() for _ in range(4)]
[x.bind(("127.0.0.1", 0)) for x in s]
print(*(x.getsockname()[1] for x in s))')
hosts=localhost:${ports[0]},localhost:${ports[1]},localhost:${ports[2]}
options="replicaSet=dekvault&tls=true&tlsCAFile=$tls/ca.crt"
as_user() { echo "mongodb://$1:$password@$hosts/?$options&authSource=admin"; }
nobody="mongodb://$hosts/?$options"
root=$(as_user root)

check "certificates" certificates
(umask 077 && openssl rand -base64 96 | tr -d '\n' >"$work/keyfile")
for port in "${ports[@]:0:3}"; do
    start_member "$port" dekvault --keyFile "$work/keyfile" --tlsMode requireTLS --tlsCertificateKeyFile "$tls/server.pem" \
        --tlsCAFile "$tls/ca.crt" --tlsAllowConnectionsWithoutCertificates
done
first="mongodb://localhost:${ports[0]}/?directConnection=true&tls=true&tlsCAFile=$tls/ca.crt"
check "the first member answers" again 60 evaluate "$first" admin '{"hello": 1}'
members=$(printf '{"_id": 0, "host": "localhost:%s"}, {"_id": 1, "host": "localhost:%s"}, {"_id": 2, "host": "localhost:%s"}' "${ports[@]:0:3}")
check "the set is made" again 60 evaluate "$first" admin "{\"replSetInitiate\": {\"_id\": \"dekvault\", \"members\": [$members]}}"
# Until there is a user, whoever connects from the machine itself may make the first.
check "its administrator" again 60 evaluate "$nobody" admin "{\"createUser\": \"root\", \"pwd\": \"$password\", \"roles\": [\"root\"]}"
check "the server is MongoDB's" evaluate "$root" admin '{"buildInfo": 1}'
diagnose "mongod $(jq -r .version "$work/.check")"

# ---- Roles, exactly as the document has them ----
create_roles() {
    local role
    if command -v mongosh >/dev/null; then
        { echo 'db = connect(process.env.MONGO_EVAL_URI);' && role_scripts; } >"$work/roles.js"
        MONGO_EVAL_URI=$root mongosh --nodb --quiet --file "$work/roles.js"
        return
    fi
    while read -r role; do
        evaluate "$root" admin "$role" || return
    done < <(roles)
}
check "docs/mongodb.md has four roles" test "$(roles | wc -l)" = 4
check "they can be created as they stand there" create_roles
check "... all of them" test "$(evaluate "$root" admin '{"rolesInfo": 1}' | jq '.roles | length')" = 4
user() { # NAME ROLES
    check "user $1" evaluate "$root" admin "{\"createUser\": \"$1\", \"pwd\": \"$password\", \"roles\": [$2]}"
}
user reader '"dekvaultRead"'
user creator '"dekvaultCreate"'
user changer '"dekvaultChange"'
user maker '"dekvaultMake"'
user stranger ''
check "an X.509 user" evaluate "$root" '$external' \
    '{"createUser": "CN=reader,OU=clients,O=dekvault tests", "roles": [{"role": "dekvaultRead", "db": "admin"}]}'

# conf_at NAME URI: vault encryption.__keyVault there, and the token; the URI's place is what its password asks for.
conf_at() {
    local store
    conf_token "$1" prod 'cmk: pkcs11:object=cmk-1'
    store="store: $2"
    case $2 in
    *:"$password"@*)
        (umask 077 && printf '%s\n' "$2" >"$work/$1/vault.uri")
        store="store-source: file:$work/$1/vault.uri"
        ;;
    esac
    sed -i "/^  store:/d" "$conf"
    sed -i "/^vault:/r /dev/stdin" "$conf" <<<"  $store"$'\n'"  namespace: encryption.__keyVault"
}
for name in reader creator changer maker stranger root; do
    conf_at "$name" "$(as_user "$name")"
done
as() { # USER ARGUMENTS
    local name=$1
    shift
    "$dekvault" --config "$work/$name/dekvault.conf" "$@"
}

# ---- Each role does its own, and no more ----
run_expect 0 "a CMK" as maker cmk create pkcs11:prod --label cmk-1
run_expect 6 "stranger: vault info" as stranger vault info --json
error_json "... is denied, by 13" '.error | .class == "denied" and .native.code == 13'
run_expect 6 "creator: key create with a name, before there is an index" as creator key create pkcs11:prod --name ssn
says "... says what makes it" "createIndex"
run_expect 0 "maker: vault init" as maker vault init --json
json "... makes the index" '.index == "ok"'
run_expect 0 "creator: key create with a name" as creator key create pkcs11:prod --name ssn
id=$out
run_expect 0 "creator: key create without" as creator key create pkcs11:prod
check "the check record was written" test \
    "$(evaluate "$root" encryption '{"count": "__keyVault.dekvault"}' | jq -r '.n["$numberInt"]')" = 1
run_expect 0 "creator: vault info --json" as creator vault info --json
json "... sees the index and counts" '.index == "ok" and .keys == 2'
run_expect 4 "creator: a name that is taken" as creator key create pkcs11:prod --name ssn
run_expect 0 "reader: encrypt" as reader encrypt ssn --string hello
value=$out
run_expect 0 "reader: decrypt" as reader decrypt "$value"
check "... gives it back" test "$out" = '"hello"'
run_expect 0 "reader: key show" as reader key show "$id"
run_expect 0 "reader: key list" as reader key list --name-prefix s
run_expect 0 "reader: vault info --json" as reader vault info --json
json "... counts, and may not see the index" '.index == "unknown" and .keys == 2'
denied() { # USER ARGUMENTS
    run_expect 6 "$1: $2 $3" as "$@" --json
    error_json "... is denied" '.error.class == "denied"'
}
denied reader key create pkcs11:prod
denied reader key add-name ssn other
denied reader key delete "$id" --yes
denied reader vault init
denied creator key add-name ssn other
denied creator key remove-name ssn ssn
denied creator key delete "$id" --yes
denied changer key create pkcs11:prod
denied maker key create pkcs11:prod
denied maker key delete "$id" --yes
run_expect 0 "changer: key add-name" as changer key add-name ssn other
run_expect 0 "changer: key remove-name" as changer key remove-name ssn other
run_expect 0 "creator: a key to delete" as creator key create pkcs11:prod --name doomed
run_expect 0 "changer: key delete" as changer key delete doomed --yes
run_expect 0 "reader: what was encrypted still opens" as reader decrypt "$value"

# ---- X.509: a URI with nothing to hide ----
x509="mongodb://$hosts/?$options&authMechanism=MONGODB-X509&tlsCertificateKeyFile=$tls"
conf_at x509 "$x509/reader.pem"
check "an X.509 URI stands in store" grep -q '^  store: ' "$conf"
run_expect 0 "X.509 reader: decrypt" as x509 decrypt "$value"
denied x509 key create pkcs11:prod
conf_at x509-stranger "$x509/stranger.pem"
run_expect 6 "a certificate that is nobody's" as x509-stranger vault info --json
error_json "... is auth" '.error.class == "auth"'
conf_at badpassword "mongodb://reader:wrong$password@$hosts/?$options"
sed -i "s|^  store: .*|  store-source: file:$work/badpassword/vault.uri|" "$conf"
(umask 077 && echo "mongodb://reader:wrong$password@$hosts/?$options" >"$work/badpassword/vault.uri")
run_expect 6 "a wrong password" as badpassword vault info --json
error_json "... is auth" '.error.class == "auth"'

# ---- A primary that steps down every few seconds, and 200 keys ----
step_down() {
    while [ -e "$work/stepping" ]; do
        evaluate "$root" admin '{"replSetStepDown": 5, "secondaryCatchUpPeriodSecs": 2, "force": true}' >/dev/null 2>&1 && echo >>"$work/stepdowns"
        sleep 3
    done
}
# create_one NAME: as the document says: whoever isn't told asks, or repeats it. Prints what became of it.
create_one() {
    local try id
    for ((try = 0; try < 20; try++)); do
        id=$(as creator key create pkcs11:prod --name "$1" 2>>"$work/create.err")
        case $? in
        0)
            echo "made $1 $id"
            return
            ;;
        4)
            [ "$try" != 0 ] || break # the first try's name can't be there
            echo "settled $1"
            return
            ;;
        5 | 6) sleep 0.5 ;; # 6: a member that has just become primary may not know the user yet
        *) break ;;
        esac
    done
    echo "failed $1"
}
touch "$work/stepping" "$work/stepdowns" "$work/create.err"
step_down &
stepper=$!
for ((i = 0; i < 200; i++)); do
    create_one "step/$i"
done >"$work/created"
rm "$work/stepping"
wait "$stepper"
diagnose "$(wc -l <"$work/stepdowns") stepdowns; $(grep -c ^made "$work/created") made, $(grep -c ^settled "$work/created") after asking again"
check "the primary stepped down while keys were made" test "$(wc -l <"$work/stepdowns")" -ge 3
check "no key create failed" test "$(grep -c ^failed "$work/created")" = 0
check "200 keys" test "$(grep -c . "$work/created")" = 200
run_expect 0 "key list" as reader key list --name-prefix step/ --json
check "there are 200: none lost, none doubled" test "$(jq -r '.keyAltNames[0]' <<<"$out" | sort -u | wc -l)" = 200
check "... each once" test "$(grep -c . <<<"$out")" = 200
jq -r '[.keyAltNames[0], (._id."$binary".base64)] | @tsv' <<<"$out" | while IFS=$'\t' read -r name base64; do
    printf '%s %s\n' "$name" "$(base64 -d <<<"$base64" | od -An -tx1 | tr -d ' \n')"
done | sort >"$work/there"
sed -n 's/^made //p' "$work/created" | tr -d - | sort >"$work/told"
check "... and every _id that was told is the one that is there" test -z "$(tr -d - <"$work/there" | sort | comm -13 - "$work/told")"

# ---- The suites of every other test, on the set ----
suite() { # URI COMMAND...
    local uri=$1 name
    shift
    name=${*: -1}
    out='' err='' code=0
    if [ ! -x "$1" ] && [ "$1" != bash ]; then
        report 1 "${name#"$builddir"/} was built"
        return
    fi
    DEKVAULT_TEST_MONGODB_URI=$uri DEKVAULT_TEST_MONGODB_SECURE_URI="$(as_user root)" DEKVAULT_TEST_MONGODB_KIND=mongod \
        DEKVAULT_TEST_MONGODB_CA=$tls/ca.crt DEKVAULT_TEST_MONGODB_OTHER_CA=$tls/other-ca.crt "$@" >"$work/suite.log" 2>&1
    code=$?
    out=$(grep -E '^(not ok|1\.\.0|Bail)' "$work/suite.log") err=$(tail -n 5 "$work/suite.log")
    [ "$code" = 0 ] && ! grep -q '^1\.\.0' "$work/suite.log"
    report $? "${name#"$builddir"/}: $(grep -c '^ok' "$work/suite.log") of $(grep -cE '^(not )?ok' "$work/suite.log")"
}
# A set of one without users and TLS, for the suite that puts a proxy of its own in between, which looks into messages.
plain="mongodb://localhost:${ports[3]}/?directConnection=true"
start_member "${ports[3]}" plain
check "a member alone answers" again 60 evaluate "$plain" admin '{"hello": 1}'
check "its set is made" again 60 evaluate "$plain" admin \
    "{\"replSetInitiate\": {\"_id\": \"plain\", \"members\": [{\"_id\": 0, \"host\": \"localhost:${ports[3]}\"}]}}"
check "it is a primary" again 60 evaluate "$plain" admin '{"create": "probe"}'
for name in store_mongodb copy; do
    suite "$root" "$builddir/tests/unit/$name"
done
suite "$plain" "$builddir/tests/faults/mongodb"
suite "$root" bash "$srcdir/tests/integration/mongodb.sh"
suite "$root" bash "$srcdir/tests/interop/pymongo.sh"
done_testing
