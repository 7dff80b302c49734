#!/usr/bin/env bash
# The main job on a SoftHSM token, end to end, with every command, in plain words and as JSON.
. "${srcdir:?}/tests/lib/integration.sh"

needs_softhsm
make_token prod || skip_all "no token can be made"
conf_token main prod 'cmk: pkcs11:object=cmk-1' 'cmks: [pkcs11:object=cmk-2]'
export DEKVAULT_CONF=$conf
uuid='^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'

# ---- The program ----
run_expect 0 "--version" dekvault --version
says "... names itself" "dekvault 0"
run_expect 0 "--version --json" dekvault --version --json
json "... is an object" '.version | startswith("0.")'
run_expect 0 "--json --help" dekvault --json --help
run_expect 0 "--help" dekvault --help
says "... says which exit code is for later" "Reserved"
says "... says what a refused question gives" "cancelled"
says "... lists a command" "key create"
check "... says that an argument is visible to others" grep -q "As an argument other users" <<<"$(tr -s ' \n' ' ' <<<"$out")"
run_expect 0 "a group's --help" dekvault key --help
run_expect 0 "a command's --help" dekvault key create --help
says "... shows its options" "--material-file"
run_expect 0 "global options may stand anywhere" dekvault --json config check --quiet
run_expect 2 "no command" dekvault
run_expect 2 "a group alone" dekvault key
run_expect 2 "an unknown command" dekvault kye list
says "... names the nearest" '"key"'
run_expect 2 "an unknown verb" dekvault key crate
says "... names the nearest" '"key create"'
run_expect 2 "a command of a later release" dekvault key rewrap
run_expect 2 "an unknown option" dekvault key list --prowider x
says "... names the nearest" "--provider"
run_expect 2 "an option without its value" dekvault key list --provider
run_expect 2 "an option twice" dekvault key list --provider a --provider b
run_expect 2 "a value for a switch" dekvault key list --json=yes
run_expect 2 "too few arguments" dekvault key show
run_expect 2 "too many arguments" dekvault key show a b
run_expect 2 "an argument for a command that has none" dekvault vault init extra
check "... is told without a space at the end" grep -q 'dekvault vault init$' <<<"$err"
run_expect 2 "a provider file of no name" dekvault --config "" key list
says "... is told" "--config is empty"
run_expect 2 "a short option" dekvault -h
run_expect 2 "an error as JSON" dekvault --json key crate
error_json "... has class, message, provider, key and native" \
    '.error | .class == "invalid" and (.message | length > 0) and has("provider") and has("key") and has("native")'

# ---- Completion ----
completed() { # WORD...: what the last word may become
    (
        # shellcheck disable=SC1090
        . <("$dekvault" help --man bash)
        COMP_WORDS=(dekvault "$@") COMP_CWORD=$# COMPREPLY=()
        _dekvault
        echo "${COMPREPLY[*]}"
    )
}
check "a group is completed" test "$(completed pro)" = provider
check "a verb is completed" test "$(completed key rem)" = remove-name
check "an option is completed" test "$(completed key create pkcs11:prod --mat)" = --material-file
check "a global option is completed" test "$(completed key list --js)" = --json
check "a command of one word is completed" test "$(completed encrypt --al)" = --algorithm

# ---- config ----
run_expect 0 "config check" dekvault config check
run_expect 0 "config check --json" dekvault config check --json
json "... ok and no faults" '.ok == true and ([.faults[] | select(.warning | not)] | length == 0)'
conf empty </dev/null
run_expect 0 "config check of an empty file" dekvault --config "$conf" config check
says "... says that it names nothing" "no provider and no vault"
says "... counts the warning" "ok, with 1 warning"
run_expect 3 "key list with an empty file" dekvault --config "$conf" key list
says "... says what to set" "vault.store"
for verb in list check; do
    run_expect 0 "provider $verb with an empty file" dekvault --config "$conf" provider "$verb" --json
    check "... prints nothing" test -z "$out"
    check "... and says so" test -n "$err"
done
conf_token audited prod 'cmk: pkcs11:object=cmk-1'
printf 'audit:\n  to: file:%s/nowhere/audit.log\n' "$work" >>"$conf"
run dekvault --config "$conf" vault init
says "an audit file in no folder: says what to make" "make the folder"
sed -i "s|sqlite:.*|sqlite:$work/nowhere/vault.db|; /^audit/,\$d" "$conf"
run_expect 3 "a vault in no folder" dekvault --config "$conf" vault init
says "... says what to make" "mkdir"
conf=$DEKVAULT_CONF
run_expect 0 "config explain" dekvault config explain
check "... is wrapped" test "$(wc -L <<<"$out")" -le 100
says "... explains a provider's setting" "providers.pkcs11.pin-source"
run_expect 0 "config explain SETTING --json" dekvault config explain vault.store --json
json "... with its keys" '.setting == "vault.store" and has("type") and has("required") and has("default") and has("help")'
run_expect 3 "config explain of no setting" dekvault config explain vault.stor
says "... names the nearest" "vault.store"

# ---- provider, token, cmk ----
run_expect 0 "provider list" dekvault provider list
says "... names it" "pkcs11:prod"
run_expect 0 "provider list --json" dekvault provider list --json
json "... with its keys" '.id == "pkcs11:prod" and .type == "pkcs11" and .cmk == "pkcs11:object=cmk-1" and
    (.capabilities | type == "array") and has("ok") and has("class") and has("message")'
run_expect 0 "token list" dekvault token list
says "... names the token" "prod"
run_expect 0 "token list --json" dekvault token list --json
json "... with its keys" '[.] | flatten | map(select(.label == "prod")) | length == 1 and
    (.[0] | .usable and has("module") and has("serial") and has("manufacturer") and has("model") and has("reason"))'
run_expect 0 "token list without a provider file" env -u DEKVAULT_CONF "$dekvault" token list
run_expect 3 "provider check before there is a CMK" dekvault provider check
run_expect 0 "cmk create" dekvault cmk create pkcs11:prod --label cmk-1
key_id=$out
check "... prints the keyId" grep -Eqx '[0-9a-f]{32}' <<<"$out"
run_expect 0 "cmk create --profile aes-gcm --json" dekvault cmk create pkcs11:prod --label cmk-2 --profile aes-gcm --json
json "... with its keys" '.provider == "pkcs11:prod" and (.keyId | length == 32) and .label == "cmk-2" and .profile == "aes-gcm"'
run_expect 2 "cmk create without a label" dekvault cmk create pkcs11:prod
run_expect 0 "provider check" dekvault provider check pkcs11:prod
run_expect 0 "provider check --json" dekvault provider check --json
json "... is ok" '.ok == true and .class == null'
run_expect 3 "provider check of none" dekvault provider check pkcs11:none
run_expect 0 "cmk list" dekvault cmk list
says "... has the first" "cmk-1"
says "... and the second" "cmk-2"
run_expect 0 "cmk list --json" dekvault cmk list pkcs11:prod --json
json "... a line each" 'length == 2 and all(.[]; has("keyId") and has("label") and has("profile") and .state == "enabled")'
run_expect 0 "cmk show" dekvault cmk show pkcs11:prod
says "... shows the policy" "extractable"
run_expect 0 "cmk show ID REF --json" dekvault cmk show pkcs11:prod "id:$key_id" --json
json "... with its policy" ".keyId == \"$key_id\" and .label == \"cmk-1\" and .profile == \"hmac-derive\" and
    (.policy | length > 5 and all(.[]; .ok and has(\"check\") and has(\"detail\")))"
run_expect 3 "cmk show of none" dekvault cmk show pkcs11:prod pkcs11:object=none
run_expect 2 "token login without --once" dekvault token login pkcs11:prod
run_expect 0 "token login --once" dekvault token login pkcs11:prod --once
run_expect 0 "token login --once --accept-serial --json" dekvault token login pkcs11:prod --once --accept-serial --json
json "... with its keys" '.provider == "pkcs11:prod" and .token == "prod" and (.serial | length > 0) and .ok == true'

# ---- vault ----
run_expect 3 "vault info before vault init" dekvault vault info
says "... says what makes it" "vault init"
run_expect 0 "vault init" dekvault vault init
run_expect 0 "vault init again, --json" dekvault vault init --json
json "... made nothing" '(.store | startswith("sqlite:")) and .created == false and .index == "ok"'
run_expect 0 "vault info of an empty one" dekvault vault info
run_expect 0 "vault info --json" dekvault vault info --json
json "... with its keys" '.keys == 0 and .by == [] and (.crypto | startswith("OpenSSL")) and .fips == false and .index == "ok"'
run_expect 0 "vault info --verbose" dekvault vault info --verbose
says "... tells of the memory" "memory"
run_expect 3 "a vault that the file doesn't name" dekvault --vault other vault info

# ---- key ----
run_expect 0 "key create" dekvault key create pkcs11:prod --name app.users/ssn
id=$out
check "... prints the _id" grep -Eqx "$uuid" <<<"$id"
run_expect 0 "key create --cmk --json" dekvault key create pkcs11:prod --cmk cmk-2 --name second --name 'zweiter Schlüssel' --json
json "... with its keys" '(._id | length == 36) and .provider == "pkcs11:prod" and .keyAltNames == ["second", "zweiter Schlüssel"]'
id2=$(jq -r ._id <<<"$out")
run_expect 3 "key create for no provider" dekvault key create pkcs11:none
(umask 077 && head -c 96 /dev/urandom >"$work/material")
run_expect 0 "key create --material-file" dekvault key create pkcs11:prod --material-file "$work/material" --name given
run bash -c '"$1" key create pkcs11:prod --material-file - <"$2"' - "$dekvault" "$work/material"
check "key create --material-file - reads standard input" grep -Eqx "$uuid" <<<"$out"
id3=$out
run_expect 0 "key list" dekvault key list
says "... has the key" "$id"
check "... one line a key and a heading" test "$(wc -l <<<"$out")" = 5
run_expect 0 "key list --quiet" dekvault key list --quiet
check "... has no heading" test "$(wc -l <<<"$out")" = 4
run_expect 0 "key list --json" dekvault key list --json
json "... are key documents" 'length == 4 and all(.[]; ._id."$binary".subType == "04" and .masterKey.provider == "pkcs11:prod" and
    (.keyMaterial."$binary".base64 | length > 0) and .status."$numberInt" == "0" and (.creationDate."$date"."$numberLong" | length > 0))'
documents=$out
run_expect 0 "key list --cmk by label" dekvault key list --provider pkcs11:prod --cmk cmk-2 --json
json "... finds the one" '.keyAltNames[0] == "second"'
run_expect 0 "key list --cmk by keyId" dekvault key list --cmk "id:${key_id^^}" --json
json "... finds the others" 'length == 3'
run_expect 0 "key list --name-prefix" dekvault key list --name-prefix app. --json
json "... finds the one" '.keyAltNames == ["app.users/ssn"]'
run_expect 0 "key list --status disabled" dekvault key list --status disabled --json
check "... finds none" test -z "$out"
run_expect 0 "key list --created-before" dekvault key list --created-before 2020-01-01 --json
check "... finds none" test -z "$out"
run_expect 0 "key list --created-after" dekvault key list --created-after 2020-01-01T00:00:00Z --json
json "... finds all" 'length == 4'
run_expect 2 "key list with a date that isn't one" dekvault key list --created-after 2020-02-31
run_expect 2 "key list with a status that isn't one" dekvault key list --status on
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
run_expect 0 "key remove-name --json" dekvault key remove-name name:new-name new-name --json
json "... changed it" ".changed == true and ._id == \"$id\""
run_expect 3 "key show by the name that was removed" dekvault key show new-name
run_expect 2 "key delete without a terminal and without --yes" dekvault key delete "$id3"
run_expect 0 "key delete --yes --json" dekvault key delete "$id3" --yes --json
json "... deleted it" "._id == \"$id3\" and .changed == true"
run_expect 3 "key delete again" dekvault key delete "$id3" --yes

# ---- key import ----
run_in_expect 0 "key import of what key list wrote" "$documents" "$dekvault" key import --json
json "... inserts what was deleted and finds the rest" '.inserted == 1 and .present == 3 and .refused == []'
run_expect 0 "key delete of what was imported" dekvault key delete "$id3" --yes
printf '%s\n' "$documents" >"$work/documents"
run_expect 0 "key import FILE" dekvault key import "$work/documents"
says "... counts" "inserted 1, present 3, refused 0"
run_in_expect 2 "key import of no JSON" $'{"a":\n\nnonsense\n' "$dekvault" key import --json
json "... names the lines" '[.refused[].line] == [1, 3]'
run_in_expect 7 "key import of a document that is none" '{"_id": 5}' "$dekvault" key import --json
run_in_expect 1 "key import of several faults" $'{"_id": 5}\nnonsense' "$dekvault" key import --json
json "... says each" '[.refused[].class] == ["rejected_ciphertext", "invalid"]'
run_expect 3 "key import of no file" dekvault key import "$work/none"
run_expect 2 "key import of a folder" dekvault key import "$work"
says "... says so" "folder"

# ---- encrypt, decrypt ----
round() { # WHAT VALUE CANONICAL [OPTION...]
    local what=$1 value=$2 canonical=$3
    shift 3
    run_in_expect 0 "encrypt $what" "$value" "$dekvault" encrypt app.users/ssn "$@"
    json "... is subtype 6" '."$binary".subType == "06"'
    run_in_expect 0 "decrypt $what" "$out" "$dekvault" decrypt
    check "... gives it back" test "$(jq -cS . <<<"$out")" = "$(jq -cS . <<<"$canonical")"
}
round "a string" '"123-45-6789"' '"123-45-6789"'
round "a text" $'123-45-6789\n' '"123-45-6789"' --string
round "an int32" '5' '{"$numberInt":"5"}'
round "an int64" '{"$numberLong":"5"}' '{"$numberLong":"5"}' --algorithm deterministic
round "a double" '2.5' '{"$numberDouble":"2.5"}'
round "a decimal" '{"$numberDecimal":"1.50"}' '{"$numberDecimal":"1.50"}'
round "a bool" 'true' 'true'
round "a date" '{"$date":"2026-01-31T12:00:00Z"}' '{"$date":{"$numberLong":"1769860800000"}}'
round "an ObjectId" '{"$oid":"0123456789abcdef01234567"}' '{"$oid":"0123456789abcdef01234567"}' --algorithm deterministic
round "a UUID" '{"$binary":{"base64":"AAECAwQFRgeICQoLDA0ODw==","subType":"04"}}' '{"$binary":{"base64":"AAECAwQFRgeICQoLDA0ODw==","subType":"04"}}'
round "a document" '{"a":[1,{"b":"ü\u0000\u009b"}]}' '{"a":[{"$numberInt":"1"},{"b":"ü\u0000\u009b"}]}'
round "an array" '[]' '[]'
round "an empty text" '' '""' --string
run_expect 0 "encrypt deterministically" dekvault encrypt "$id" --algorithm deterministic '{"$numberInt":"5"}'
once=$out
run_expect 0 "... again" dekvault encrypt "$id" --algorithm deterministic '{"$numberInt":"5"}' --json
check "... gives the same" test "$out" = "$once"
run_expect 0 "decrypt an argument" dekvault decrypt "$once" --json
check "... as canonical Extended JSON" test "$(jq -c . <<<"$out")" = '{"$numberInt":"5"}'
run_expect 0 "encrypt with a key under the other CMK" dekvault encrypt "$id2" --string -- -5-
run_expect 0 "... and decrypt" dekvault decrypt "$out"
check "... gives it back" test "$out" = '"-5-"'
run_expect 2 "encrypt null" dekvault encrypt "$id" null
run_expect 2 "encrypt a bool deterministically" dekvault encrypt "$id" true --algorithm deterministic
run_expect 2 "encrypt an encrypted value" dekvault encrypt "$id" "$once"
run_expect 2 "encrypt malformed JSON" dekvault encrypt "$id" '{"a":'
run_expect 2 "encrypt two values" dekvault encrypt "$id" '1}, {"v":2'
run_expect 2 "encrypt with no such algorithm" dekvault encrypt "$id" 5 --algorithm best
run_expect 2 "decrypt what isn't subtype 6" dekvault decrypt '{"$binary":{"base64":"AAAA","subType":"00"}}'
run_expect 2 "decrypt a number" dekvault decrypt 5

# What would come out changed goes in nowhere.
while read -r value; do
    run_expect 2 "encrypt $value" dekvault encrypt "$id" "$value"
    says "... names the place and what to write" "byte "
    run_expect 2 "encrypt it inside another value" dekvault encrypt "$id" "[{\"a\":$value}]"
done <<'VALUES'
18446744073709551616
99999999999999999999
1e400
{"$timestamp":{"t":4294967296,"i":1}}
{"$numberDecimal":"abc"}
{"$numberDouble":"1.5x"}
{"$numberInt":"2147483648"}
{"$numberLong":"9223372036854775808"}
{"$numberInt":"0x10"}
{"$binary":{"base64":"AAEC","subType":"fff"}}
{"$binary":{"base64":"AAE","subType":"00"}}
{"$regularExpression":{"pattern":"a","options":"zzi"}}
{"$oid":"0123"}
{"$date":"2026-02-31T12:00:00Z"}
{"$nothing":1}
{"a":1,"a":2}
{"a\u0000b":1}
"\ud83d"
VALUES
run_in_expect 2 "key import of a document that BSON can't carry" '{"_id":{"$binary":{"base64":"AAEC","subType":"fff"}}}' "$dekvault" key import --json
json "... names the place" '.refused[0] | .class == "invalid" and (.message | startswith("byte 8:"))'

# ---- Output that can't be written ----
run bash -c '"$1" key list >/dev/full' - "$dekvault"
check "a full disk at standard output is an error" test "$code" = 1
says "... and is told" "standard output"
run bash -c '"$1" key create pkcs11:prod --name unseen >/dev/full' - "$dekvault"
check "key create to a full disk is an error" test "$code" = 1
run_in_expect 0 "... but the key is there" "" "$dekvault" key show unseen --json
unseen=$(jq -r '._id."$binary".base64' <<<"$out" | base64 -d | od -An -tx1 | tr -d ' \n')
run bash -c '"$1" key add-name unseen unseen-2 --json >/dev/full' - "$dekvault"
error_json "key add-name to a full disk says what was done, to which key" \
    ".error | .class == \"resource\" and (.key | gsub(\"-\"; \"\") == \"$unseen\") and (.message | test(\"was given an alt name\"))"
run bash -c '"$1" key remove-name unseen unseen-2 --json >/dev/full' - "$dekvault"
error_json "... remove-name" '.error.message | test("lost an alt name")'
run bash -c '"$1" key remove-name unseen unseen-2 --json >/dev/full' - "$dekvault"
error_json "... and nothing was done" '.error.message | test("alt name") | not'
run bash -c '"$1" key delete unseen --yes --json >/dev/full' - "$dekvault"
error_json "... delete" '.error.message | test("was deleted")'
run bash -c '"$1" key import --json >/dev/full <<<"$2"' - "$dekvault" "$(grep -F "$(dekvault key show "$id2" --json)" <<<"$documents")"
error_json "... import of what was there" '.error.message | test("inserted") | not'
run bash -c '"$1" key create pkcs11:prod --name unseen >/dev/full' - "$dekvault"
says "key create to a full disk names the key" "was created"
run_expect 0 "... which can be deleted" dekvault key delete "$(grep -Eo '[0-9a-f-]{36}' <<<"$err" | head -n 1)" --yes
run bash -c '"$1" key list --json >&-' - "$dekvault"
check "a closed standard output is an error" test "$code" = 1
for form in --quiet --json; do
    # shellcheck disable=SC2016
    run bash -c '{ sleep 0.2; "$1" key list "$2"; echo "exit $?" >&2; } | true' - "$dekvault" "$form"
    check "a reader that went away ends key list $form with exit 1 and no word" test "$err" = "exit 1"
done

# ---- A terminal ----
if command -v script >/dev/null; then
    run_expect 0 "key create of one to delete" dekvault key create pkcs11:prod --name doomed
    doomed=$out
    answered() { # ANSWER
        { sleep 0.3; printf '%s\n' "$1"; sleep 0.3; } | script -qec "$dekvault key delete doomed" /dev/null >"$work/.out" 2>&1
        code=$?
        out=$(tr -d '\r' <"$work/.out") err=''
    }
    answered wrong
    check "key delete on a terminal, answered wrong, refuses" test "$code" = 5
    run_expect 0 "... and the key is still there" dekvault key show doomed
    answered "${doomed:0:8}"
    check "key delete on a terminal, answered right, deletes" test "$code" = 0
    run_expect 3 "... and the key is gone" dekvault key show doomed
    long=$(printf 'long-%0100d' 1)
    run_expect 0 "a key with a long name" dekvault key create pkcs11:prod --name "$long"
    run_expect 0 "... listed to a pipe" dekvault key list --name-prefix long-
    says "... whole" "$long"
    script -qec "stty cols 140; $dekvault key list --name-prefix long-" /dev/null </dev/null >"$work/.out" 2>&1
    check "... listed to a terminal, fits its lines" grep -q '\.\.\.' "$work/.out"
    check "... in 140 columns" test "$(tr -d '\r' <"$work/.out" | sed 's/\x1b\[[0-9]*m//g' | wc -L)" -le 140
else
    skip 10 "script(1) isn't installed"
fi
done_testing
