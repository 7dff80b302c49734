#!/usr/bin/env bash
# A vault whose user is a certificate: MONGODB-X509, against a server of the tests. TAP.
: "${srcdir:?run by make check}"
. "$srcdir/tests/lib/integration.sh"
for tool in openssl python3 jq; do
    command -v "$tool" >/dev/null || skip_all "$tool isn't installed"
done

tls=$work/tls
umask 077
mkdir "$tls"
certificate() { # NAME SUBJECT EXTENSIONS: key and certificate together in NAME.pem
    openssl req -newkey rsa:2048 -nodes -keyout "$tls/$1.key" -out "$tls/$1.csr" -subj "$2" &&
        openssl x509 -req -in "$tls/$1.csr" -CA "$tls/ca.crt" -CAkey "$tls/ca.key" -CAcreateserial -days 2 \
            -out "$tls/$1.crt" -extfile <(printf '%s\n' "$3") &&
        cat "$tls/$1.key" "$tls/$1.crt" >"$tls/$1.pem"
}
certificates() {
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$tls/ca.key" -out "$tls/ca.crt" -days 2 -subj "/CN=CA" &&
        certificate server "/CN=server" "subjectAltName=IP:127.0.0.1" &&
        certificate client "/O=dekvault tests/CN=reader" "extendedKeyUsage=clientAuth"
}
check "certificates" certificates

# serve accept|refuse: its port in $port, what it is asked in $work/asked.
server=
serve() {
    [ -z "$server" ] || kill "$server"
    python3 "$srcdir/tests/integration/x509_server.py" "$tls/server.pem" "$tls/ca.crt" "$1" >"$work/asked" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        port=$(head -n 1 "$work/asked")
        [ -z "$port" ] || break
        sleep 0.1
    done
    mkdir -p "$work/conf"
    cat >"$work/conf/dekvault.conf" <<CONF
vault:
  store: mongodb://127.0.0.1:$port/?authMechanism=MONGODB-X509&tls=true&tlsCAFile=$tls/ca.crt&tlsCertificateKeyFile=$tls/client.pem
  namespace: encryption.__keyVault
  timeout-ms: 5000
CONF
}
dekvault() { "$dekvault" --config "$work/conf/dekvault.conf" "$@"; }
trap '[ -z "$server" ] || kill "$server"; chmod -R u+rwx "$work"; rm -rf "$work"' EXIT

serve accept
run_expect 0 "config check takes it in \`store\`: there is no password" dekvault config check
run_expect 0 "key list" dekvault key list --json
check "... the certificate's subject was authenticated" grep -q '^authenticate .*commonName=reader known$' "$work/asked"
check "... and then asked for keys" grep -qx 'find known' "$work/asked"
serve refuse
run_expect 6 "a certificate that the server doesn't know" dekvault key list --json
error_json "... is refused as authentication" '.error.class == "auth"'
check "... nothing was asked" sh -c '! grep -q ^find "$1"' sh "$work/asked"
done_testing
