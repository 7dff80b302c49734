#!/usr/bin/env bash
# What must be refused is, with the exit code that scripts rely on, and with words that say what to do. What a token must not be asked
# is counted by a module that writes down every call.
. "${srcdir:?}/tests/lib/integration.sh"

needs_softhsm
command -v pkcs11-tool >/dev/null || skip_all "pkcs11-tool isn't installed"
find_spy || skip_all "pkcs11-spy isn't installed"
use_module=$spy_module
wrong_id=00000000-0000-4000-8000-000000000000

# ---- The provider file itself ----
conf_local good
good=$conf
run_expect 0 "a good provider file" dekvault --config "$good" config check
run_expect 0 "... its vault" dekvault --config "$good" vault init
run_expect 3 "a provider file that isn't there" dekvault --config "$work/none.conf" config check

refused_file() { # WHAT CODE TEXT: both config check and a use of the file
    run_expect "$2" "$1: config check" dekvault --config "$conf" config check
    says "... says why" "$3"
    run_expect "$2" "$1: use" dekvault --config "$conf" provider list
}
conf_local mode && chmod 666 "$conf"
refused_file "a provider file that others may write" 2 "chmod"
conf_local group && chmod 664 "$conf"
refused_file "a provider file that its group may write" 2 "chmod"
conf_local folder && chmod 777 "$work/folder"
refused_file "a provider file in a folder that others may write" 2 "$work/folder"
conf_local sticky && chmod 1777 "$work/sticky"
refused_file "a provider file in a folder like /tmp" 2 "$work/sticky"
if is_root; then
    conf_local owner && chown 65534 "$conf"
    refused_file "a provider file of another owner" 2 "owne"
else
    skip 3 "needs root"
fi
conf_local kind && rm "$conf" && mkdir "$conf"
refused_file "a provider file that is a folder" 2 "$conf"

refused_text() { # WHAT TEXT...: the file is standard input
    conf text
    run_expect 2 "$1: config check --json" dekvault --config "$conf" config check --json
    shift
    local text
    for text in "$@"; do
        says "... says $text" "$text"
    done
}
refused_text "an unknown setting" 'stor' '"line":2' 'store' <<CONF
vault:
  stor: sqlite:/var/lib/x.db
CONF
refused_text "a repeated setting" "3" <<CONF
vault:
  store: sqlite:/var/lib/x.db
  store: sqlite:/var/lib/y.db
CONF
refused_text "an anchor" '"line":1' 'anchor' <<CONF
vault: &a
  store: sqlite:/var/lib/x.db
CONF
refused_text "an alias" '"line":3' <<CONF
vault:
  store: sqlite:/var/lib/x.db
audit: *vault
CONF
refused_text "a second document" '"line":3' <<CONF
vault:
  store: sqlite:/var/lib/x.db
---
vault: {}
CONF
refused_text "a PIN in the token's URI" '"line":4' <<CONF
providers:
  pkcs11:x:
    module: $module
    token: pkcs11:token=x;pin-value=13579
    pin-source: file:/etc/x.pin
CONF
[[ $out != *13579* && $err != *13579* ]]
report $? "... without repeating it"
refused_text "a PIN as its own source" '"line":5' <<CONF
providers:
  pkcs11:x:
    module: $module
    token: pkcs11:token=x
    pin-source: 13579
CONF
[[ $out != *13579* && $err != *13579* ]]
report $? "... without repeating it"
refused_text "a module by a relative path" '"line":3' <<CONF
providers:
  pkcs11:x:
    module: libsofthsm2.so
    token: pkcs11:token=x
    pin-source: file:/etc/x.pin
CONF
refused_text "several faults at once" '"line":2' '"line":4' '"line":6' <<CONF
vault:
  stor: x
providers:
  nothing:x: {}
memory:
  limit-kib: many
CONF

# ---- Files that this machine lacks or that others may change: told, and no fault of the file ----
warned_of() { # WHAT TEXT...: the file is in $conf
    run_expect 0 "$1: config check" dekvault --config "$conf" config check
    shift
    local text
    for text in "$@"; do
        says "... warns: $text" "$text"
    done
}
conf_local no-key && rm "$work/no-key/local.key"
warned_of "a key file that isn't there" "warning: providers.local.key-source" "$work/no-key/local.key"
conf_local open-key && chmod 644 "$work/open-key/local.key"
warned_of "a key file that others may read" "warning: providers.local.key-source" "chmod go="
cp "$module" "$work/others.so" && chmod 666 "$work/others.so"
(umask 022 && echo 135790 >"$work/open.pin")
conf warned <<CONF
providers:
  pkcs11:a:
    module: $work/nowhere.so
    token: pkcs11:token=a;serial=1
    pin-source: file:$work/nowhere.pin
  pkcs11:b:
    module: $work/others.so
    token: pkcs11:token=b;serial=1
    pin-source: file:$work/open.pin
CONF
warned_of "modules and PIN files that can't be used" ":3: warning: providers.pkcs11:a.module" ":5: warning: providers.pkcs11:a.pin-source" \
    ":7: warning: providers.pkcs11:b.module" "chmod go-w" ":9: warning: providers.pkcs11:b.pin-source" "chmod go="
[[ $out != *135790* && $err != *135790* ]]
report $? "... without reading the PIN"

# ---- Secret files and plug-ins ----
conf_local readable && chmod 644 "$work/readable/local.key"
run_expect 2 "a key file that others may read" dekvault --config "$conf" provider check
conf_local short && head -c 95 /dev/urandom >"$work/short/local.key"
run_expect 2 "a local key of 95 bytes" dekvault --config "$conf" provider check
plugin=$builddir/examples/scrypt-provider/.libs/scrypt.so
if [ -f "$plugin" ]; then
    mkdir -p "$work/plugins"
    cp "$plugin" "$work/plugins/scrypt.so"
    (umask 077 && echo "correct horse battery staple" >"$work/passphrase")
    conf plugin <<CONF
vault:
  store: sqlite:$work/plugin/vault.db
state-dir: $work/plugin/state
providers:
  scrypt:archive:
    plugin: $work/plugins/scrypt.so
    passphrase-source: file:$work/passphrase
    salt: 6f1c0d2e9b4a4f7c8e5d3a2b1c0f9e8d
    cost: 10
CONF
    chmod 755 "$work/plugins" "$work/plugins/scrypt.so"
    run_expect 0 "a plug-in that only its owner may write" dekvault --config "$conf" provider check
    chmod 757 "$work/plugins/scrypt.so"
    run_expect 2 "a plug-in that others may write" dekvault --config "$conf" provider check
    says "... says what to do" "chmod"
    chmod 755 "$work/plugins/scrypt.so" && chmod 777 "$work/plugins"
    run_expect 2 "a plug-in in a folder that others may write" dekvault --config "$conf" provider check
else
    skip 4 "the plug-in wasn't built"
fi

# ---- Input ----
export DEKVAULT_CONF=$good
run_expect 0 "a key" dekvault key create local --name taken
id=$out
run_expect 4 "an alt name that is taken" dekvault key create local --name taken
run_expect 2 "one alt name twice" dekvault key create local --name a --name a
for length in 95 97 1; do
    (umask 077 && head -c "$length" /dev/urandom >"$work/material")
    run_expect 2 "key material of $length bytes" dekvault key create local --material-file "$work/material"
done
: >"$work/material"
run_expect 2 "key material of no bytes" dekvault key create local --material-file "$work/material"
head -c 96 /dev/urandom >"$work/material" && chmod 644 "$work/material"
run_expect 2 "key material that others may read" dekvault key create local --material-file "$work/material"
run_expect 3 "key material that isn't there" dekvault key create local --material-file "$work/none"

# ---- Documents and payloads that were tampered with ----
run dekvault key show "$id" --json
document=$(jq -c 'del(.keyAltNames)' <<<"$out")
run_expect 0 "the key, deleted to be imported" dekvault key delete "$id" --yes

# flipped BASE64 OFFSET: with the lowest bit of one byte turned.
flipped() {
    base64 -d <<<"$1" >"$work/bytes"
    local byte
    byte=$(od -An -tu1 -j"$2" -N1 "$work/bytes")
    printf '%b' "\\x$(printf '%02x' $((byte ^ 1)))" | dd of="$work/bytes" bs=1 seek="$2" conv=notrunc status=none
    base64 -w0 <"$work/bytes"
}
refused_document() { # WHAT JQ-FILTER [ARGUMENT]
    run_in 7 true
    run_in "$(jq -c --arg x "${3-}" "$2" <<<"$document")" "$dekvault" key import --json
    [ "$code" = 7 ] && jq -e '.inserted == 0 and .refused[0].class == "rejected_ciphertext"' <<<"$out" >/dev/null
    report $? "$1 (exit 7)"
}
material=$(jq -r '.keyMaterial."$binary".base64' <<<"$document")
for offset in 0 16 100 159; do
    refused_document "keyMaterial with a bit flipped in byte $offset" '.keyMaterial."$binary".base64 = $x' "$(flipped "$material" "$offset")"
done
refused_document "keyMaterial cut short" '.keyMaterial."$binary".base64 = $x' "$(base64 -d <<<"$material" | head -c 159 | base64 -w0)"
refused_document "an _id of subtype 3" '._id."$binary".subType = "03"'
refused_document "keyMaterial of subtype 2" '.keyMaterial."$binary".subType = "02"'
refused_document "a document of version 1" '.version = {"$numberInt": "1"}'
refused_document "an unknown field" '.extra = 1'
refused_document "a status that is a text" '.status = "0"'
refused_document "no masterKey" 'del(.masterKey)'
refused_document "an unknown field in masterKey" '.masterKey.endpoint = "evil.example:443"'
refused_document "an alt name twice" '.keyAltNames = ["a", "a"]'
run_in_expect 0 "the document itself" "$document" "$dekvault" key import

run dekvault encrypt "$id" --string hallo
payload=$(jq -r '."$binary".base64' <<<"$out")
length=$(base64 -d <<<"$payload" | wc -c)
as_value() {
    printf '{"$binary":{"base64":"%s","subType":"06"}}' "$1"
}
for offset in 17 18 34 $((length - 1)); do
    run_expect 7 "a payload with a bit flipped in byte $offset" dekvault decrypt "$(as_value "$(flipped "$payload" "$offset")")"
done
run_expect 3 "a payload of a key that isn't there" dekvault decrypt "$(as_value "$(flipped "$payload" 5)")"
bad=0
for ((n = 0; n < length; n++)); do
    run dekvault decrypt "$(as_value "$(base64 -d <<<"$payload" | head -c "$n" | base64 -w0)")"
    [ "$code" = 7 ] || { bad=$((bad + 1)); diagnose "cut to $n bytes: exit $code: $err"; }
done
[ "$bad" = 0 ]
report $? "a payload cut to each of $length lengths (exit 7)"

# ---- Documents that somebody put into the vault ----
aws='{"provider":"aws","region":"eu-west-1","key":"arn:aws:kms:eu-west-1:123456789012:key/00112233-4455-6677-8899-aabbccddeeff"}'
foreign=$(jq -c --argjson m "$aws" '._id."$binary".base64 = "AAECAwQFRgeICQoLDA0ODw==" | .masterKey = $m' <<<"$document")
foreign_id=00010203-0405-4607-8809-0a0b0c0d0e0f
run_in_expect 9 "a document of a provider that isn't configured: import" "$foreign" "$dekvault" key import
run_in_expect 0 "... import --unverified" "$foreign" "$dekvault" key import --unverified
run_expect 0 "... is listed" dekvault key list --provider aws --json
json "... unchanged" '.masterKey.region == "eu-west-1"'
run_expect 0 "... is shown" dekvault key show "$foreign_id"
run_expect 0 "... is given a name" dekvault key add-name "$foreign_id" foreign
run_expect 9 "... encrypts nothing" dekvault encrypt foreign --string x
run_expect 0 "... is deleted" dekvault key delete foreign --yes
spoilt=$(jq -c --arg x "$(flipped "$material" 100)" '._id."$binary".base64 = "AAECAwQFRgeICQoLDA0ODw==" | .keyMaterial."$binary".base64 = $x' <<<"$document")
run_in_expect 0 "a document whose key doesn't open: import --unverified" "$spoilt" "$dekvault" key import --unverified
run_expect 7 "... encrypts nothing" dekvault encrypt "$foreign_id" --string x
says "... and names the document" "$foreign_id"
# spoil HEX: the rest of the document behind its _id.
spoil() {
    local id=000102030405460788090a0b0c0d0e0f bytes
    bytes=055f6964001000000004$id$1
    bytes=$(printf '%02x000000' $((${#bytes} / 2 + 4)))$bytes
    sqlite3 "$work/good/vault.db" "UPDATE keys SET document = x'$bytes' WHERE id = x'$id'"
}
if command -v sqlite3 >/dev/null; then
    check "a document that is only an _id" spoil 00
    run_expect 7 "... key list" dekvault key list
    says "... says so" "MALFORMED"
    says "... and lists the others" "$id"
    run_expect 7 "... key show" dekvault key show "$foreign_id"
    run_expect 7 "... encrypt" dekvault encrypt "$foreign_id" --string x
    check "a document that is no BSON" spoil 026100ff0000007800000000
    run_expect 7 "... key list" dekvault key list
    says "... lists the others" "$id"
    run_expect 7 "... key list --json" dekvault key list --json
    json "... lists the others" '._id."$binary".subType == "04"'
    run_expect 7 "... key show --json" dekvault key show "$foreign_id" --json
    lie="UPDATE keys SET document = (SELECT document FROM keys ORDER BY id DESC) WHERE id = x'000102030405460788090a0b0c0d0e0f'"
    check "the document of another key" sqlite3 "$work/good/vault.db" "$lie"
    run_expect 7 "... key list" dekvault key list
    says "... names the row" "$foreign_id"
    says "... lists the others" "$id"
    run_expect 0 "... vault info" dekvault vault info
    run_expect 0 "... is deleted" dekvault key delete "$foreign_id" --yes
    run_expect 0 "... and the list is sound again" dekvault key list
else
    skip 19 "sqlite3 isn't installed"
fi

# ---- Pinned names ----
run_expect 0 "a name to pin" dekvault key add-name "$id" pinned
cp -r "$work/good" "$work/pinned"
conf_local pinned 'names:' "  pinned: $wrong_id"
sed -i "s|sqlite:.*|sqlite:$work/good/vault.db|" "$conf"
run_expect 9 "a pinned name answered otherwise: encrypt" dekvault --config "$conf" encrypt pinned --string x
says "... names the name" "pinned"
run_expect 9 "a pinned name answered otherwise: show" dekvault --config "$conf" key show pinned
run_expect 0 "the same key by its _id" dekvault --config "$conf" key show "$id"

# ---- Memory, disk, a vault that may only be read ----
share_program
if is_root && as_nobody test -x "$shared"; then
    conf_local nobody
    mkdir -p "$work/nobody/state"
    chmod 700 "$work/nobody/state"
    run_expect 0 "a vault of root's" dekvault --config "$conf" vault init
    run_expect 0 "... with a key" dekvault --config "$conf" key create local --name k
    chmod 644 "$work/nobody/"vault.db*
    chown -R 65534 "$work/nobody/state" "$work/nobody/local.key"
    run_expect 6 "a vault that may only be read" as_nobody "$shared" --config "$conf" key create local
    run_expect 6 "... add-name" as_nobody "$shared" --config "$conf" key add-name k other
    # shellcheck disable=SC2016
    no_lock() { as_nobody bash -c 'ulimit -l 0 && exec "$@"' - "$shared" "$@"; }
    run_expect 1 "memory that can't be locked" no_lock --config "$conf" provider check
    says "... says what to do" "ulimit -l"
    printf 'memory:\n  allow-unlocked: true\n' >>"$conf"
    run_expect 0 "... allowed by the provider file" no_lock --config "$conf" provider check
else
    skip 7 "needs root, and a folder that nobody can reach"
fi
conf_local full
run_expect 0 "a vault to fill" dekvault --config "$conf" vault init
run_expect 0 "... with a key" dekvault --config "$conf" key create local --name first
# shellcheck disable=SC2016
fill() { bash -c 'ulimit -f 64; i=0; while [ $i -lt 400 ]; do i=$((i + 1)); "$@" --name "$i.$(printf %0900d 0)" >/dev/null || exit $?; done' - "$dekvault" --config "$conf" key create local; }
run_expect 1 "a disk that is full" fill
run_expect 0 "... leaves the vault sound" dekvault --config "$conf" vault info
run_expect 0 "... and its keys readable" dekvault --config "$conf" encrypt first --string x
run_expect 0 "... and writable once there is room" dekvault --config "$conf" key create local

# ---- Tokens and PINs ----
unset DEKVAULT_CONF
make_token one
conf_token one one 'cmk: pkcs11:object=cmk-1' 'cmks: [pkcs11:object=cmk-2]'
one=$conf
run_expect 0 "a CMK" dekvault --config "$one" cmk create pkcs11:one --label cmk-1
run_expect 0 "a second CMK" dekvault --config "$one" cmk create pkcs11:one --label cmk-2
run_expect 4 "a CMK with a label that is taken" dekvault --config "$one" cmk create pkcs11:one --label cmk-1
run_expect 0 "a vault" dekvault --config "$one" vault init
run_expect 0 "a key under the second CMK" dekvault --config "$one" key create pkcs11:one --cmk cmk-2 --name k2
id2=$out
run dekvault --config "$one" encrypt k2 --string x
value2=$out
run dekvault --config "$one" key show k2 --json
document2=$(jq -c 'del(.keyAltNames)' <<<"$out")

mkdir -p "$work/narrow"
sed '/cmks:/d' "$one" >"$work/narrow/dekvault.conf"
rm -f "$work/spy"
run_expect 9 "a key under a CMK that the file doesn't list: encrypt" dekvault --config "$work/narrow/dekvault.conf" encrypt "$id2" --string x
run_expect 9 "... decrypt" dekvault --config "$work/narrow/dekvault.conf" decrypt "$value2"
[ "$(spied C_SignInit)$(spied C_DecryptInit)" = 00 ]
report $? "... without C_SignInit or C_DecryptInit"

other_id='{"$binary":{"base64":"AAECAwQFRgeICQoLDA0ODw==","subType":"04"}}'
run_in_expect 7 "keyMaterial moved to another document" "$(jq -c --argjson x "$other_id" '._id = $x' <<<"$document2")" \
    "$dekvault" --config "$one" key import --json
json "... says that it doesn't open here" '.inserted == 0 and (.refused[0].message | length > 20)'
material2=$(jq -r '.keyMaterial."$binary".base64' <<<"$document2")
run_expect 0 "the key, deleted" dekvault --config "$one" key delete "$id2" --yes
bad=0 n=$(base64 -d <<<"$material2" | wc -c)
for offset in 0 1 2 33 34 129 130 $((n - 1)); do
    run_in "$(jq -c --arg x "$(flipped "$material2" "$offset")" '.keyMaterial."$binary".base64 = $x' <<<"$document2")" \
        "$dekvault" --config "$one" key import
    [ "$code" = 7 ] || { bad=$((bad + 1)); diagnose "byte $offset: exit $code: $err"; }
done
[ "$bad" = 0 ]
report $? "pkcs11 keyMaterial with a bit flipped in each region (exit 7)"
moved=$(jq -c --argjson x "$other_id" '._id = $x' <<<"$document2")
run_in_expect 0 "the moved document, import --unverified" "$moved" "$dekvault" --config "$one" key import --unverified
run_expect 7 "... encrypts nothing" dekvault --config "$one" encrypt 00010203-0405-4607-8809-0a0b0c0d0e0f --string x
run_expect 0 "... and can be deleted" dekvault --config "$one" key delete 00010203-0405-4607-8809-0a0b0c0d0e0f --yes
run_in_expect 9 "a document of a keyId that no file lists" "$(jq -c '.masterKey.keyId = "00112233445566778899aabbccddeeff"' <<<"$document2")" \
    "$dekvault" --config "$one" key import
run_in_expect 0 "the document itself" "$document2" "$dekvault" --config "$one" key import

token_one() { token_tool --token-label one --login --pin "$(cat "$work/one.pin")" "$@"; }
check "a second object with the label of a CMK" token_one --keygen --key-type GENERIC:32 --label cmk-1 --id 0101010101010101 --usage-sign --sensitive
run_expect 2 "two CMKs with one label" dekvault --config "$one" key create pkcs11:one
says "... are named" "cmk-1"
conf_token extractable one 'cmk: pkcs11:object=loose'
check "an extractable CMK" token_one --keygen --key-type GENERIC:32 --label loose --id 02020202 --usage-sign --sensitive --extractable
run_expect 9 "an extractable CMK" dekvault --config "$conf" provider check
says "... says so" "CKA_EXTRACTABLE"
conf_token twin-id one 'cmk: id:03030303'
check "a CMK" token_one --keygen --key-type GENERIC:32 --label twin-a --id 03030303 --usage-sign --sensitive
check "another with its CKA_ID" token_one --keygen --key-type GENERIC:32 --label twin-b --id 03030303 --usage-sign --sensitive
run_expect 2 "two CMKs with one CKA_ID" dekvault --config "$conf" provider check

conf_token absent one && sed -i 's/token=one/token=nowhere/' "$conf"
rm -f "$work/spy"
run_expect 5 "a token that isn't there" dekvault --config "$conf" cmk list
[ "$(spied C_Login)" = 0 ]
report $? "... and no login anywhere"
conf_token missing-cmk one 'cmk: pkcs11:object=loose' 'cmks: [pkcs11:object=nobody]'
sed -i '/cmk: /d' "$conf"
run_expect 3 "a CMK of cmks that isn't in the token: provider check" dekvault --config "$conf" provider check
says "... is named" "pkcs11:object=nobody"
conf_token fd one && sed -i 's|file:.*/one.pin|fd:9|' "$conf"
run_expect 2 "a descriptor that isn't open" dekvault --config "$conf" cmk list
says "... is named" "fd:9 isn't open"
without_conf() { SOFTHSM2_CONF=$work/nowhere.conf "$dekvault" "$@"; }
run without_conf --config "$one" cmk list
says "a module whose own configuration is missing says so" "SOFTHSM2_CONF"
conf_token gone one && sed -i "s|module: .*|module: $work/none.so|" "$conf"
run dekvault --config "$conf" cmk list
check "a module that isn't there" test "$code" = 2 -o "$code" = 3 -o "$code" = 5

make_token twin && make_token twin
conf_token twins twin
rm -f "$work/spy"
run_expect 2 "two tokens with one label" dekvault --config "$conf" cmk list
[ "$(spied C_Login)" = 0 ]
report $? "... get no PIN, neither"

make_token guarded
conf_token guarded guarded
guarded=$conf
(umask 077 && echo 000000 >"$work/guarded.pin")
rm -f "$work/spy"
for ((i = 0; i < 20; i++)); do
    (dekvault --config "$guarded" cmk list >/dev/null 2>&1 </dev/null; echo $? >"$work/exit.$i") &
done
wait
[ "$(sort "$work"/exit.* | uniq -c | tr -s ' \n' ' ')" = " 1 6 19 9 " ]
report $? "a wrong PIN: of twenty processes one gets exit 6, nineteen exit 9"
[ "$(spied C_Login)" = 1 ]
report $? "... and the token sees it once"
run_expect 9 "a PIN remembered as wrong" dekvault --config "$guarded" cmk list --json
error_json "... names the command that helps" '.error.class == "policy" and (.error.message | test("token login pkcs11:guarded --once"))'
(umask 077 && echo 246813579 >"$work/guarded.pin")
run_expect 9 "the right PIN, while the token says that its count is low" dekvault --config "$guarded" cmk list
says "... names the command that helps" "token login"
run_expect 0 "... which then logs in" dekvault --config "$guarded" token login pkcs11:guarded --once
run_expect 0 "... and all is well" dekvault --config "$guarded" cmk list
(umask 077 && echo 000000 >"$work/guarded.pin")
run_expect 6 "token login --once with a wrong PIN" dekvault --config "$guarded" token login pkcs11:guarded --once
says "... says that a corrected PIN needs the same" "correct the PIN, then run that"
! grep -rq -e 246813579 -e 000000 "$work/guarded"
report $? "no PIN is in the state folder"
done_testing
