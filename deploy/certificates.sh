#!/usr/bin/env bash
# Makes the certificates of a Pelton deployment in a directory: ca.crt and ca.key, tls.crt and tls.key.
#
#     deploy/certificates.sh DIRECTORY [NAME..]
#
# Run again it keeps the CA and makes a new certificate; what runs takes it up by itself. The certificate is for the
# name "pelton", which every client is told to expect (--tls-server-name pelton), for this machine, and for the NAMEs.
# One CA is one deployment: whoever has a certificate of it may do everything. Keep ca.key away from what runs.
set -euo pipefail

(($# >= 1)) || { echo "usage: $0 DIRECTORY [NAME..]" >&2; exit 2; }
place=$1
shift
ca_days=3650
days=397

mkdir -p "$place"
umask 077
work=$(mktemp -d "$place/.new.XXXXXX")
trap 'rm -rf "$work"' EXIT

key() {
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"
}

if [[ ! -e "$place/ca.key" ]]; then
    key "$work/ca.key"
    openssl req -x509 -new -key "$work/ca.key" -days "$ca_days" -subj "/CN=Pelton CA" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -out "$work/ca.crt"
    mv "$work/ca.crt" "$work/ca.key" "$place/"
fi

names="DNS:pelton,DNS:localhost,IP:127.0.0.1,IP:::1"
for name in "$@"; do names+=",DNS:$name"; done
cat >"$work/extensions" <<END
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
subjectAltName=$names
END
key "$work/tls.key"
openssl req -new -key "$work/tls.key" -subj "/CN=pelton" -out "$work/request"
openssl x509 -req -in "$work/request" -CA "$place/ca.crt" -CAkey "$place/ca.key" -days "$days" \
    -extfile "$work/extensions" -out "$work/tls.crt" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
chmod 0644 "$work/tls.crt"
mv "$work/tls.key" "$work/tls.crt" "$place/"
chmod 0644 "$place/ca.crt"
