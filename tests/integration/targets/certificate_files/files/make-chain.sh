#!/bin/sh
# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# A root, a CA below it, and certificates of that CA, made by openssl alone.
set -eu
cd "$1"
curve="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
# shellcheck disable=SC2086
openssl req -x509 $curve -keyout root.key -out root.crt -days 30 -subj /CN=Root -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
# shellcheck disable=SC2086
openssl req -new $curve -keyout middle.key -out middle.csr -subj /CN=Middle
printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n' >middle.ext
openssl x509 -req -in middle.csr -CA root.crt -CAkey root.key -set_serial 2 -days 20 -extfile middle.ext -out middle.crt
printf 'extendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n' >leaf.ext
for name in registry other; do
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$name.key"
  openssl req -new -key "$name.key" -subj "/CN=$name.holdfast.test" -out "$name.csr"
  { cat leaf.ext; echo "subjectAltName=DNS:$name.holdfast.test"; } >"$name.ext"
  openssl x509 -req -in "$name.csr" -CA middle.crt -CAkey middle.key -set_serial "0x$(openssl rand -hex 8)" -days 10 -extfile "$name.ext" -out "$name.leaf"
  cat "$name.leaf" middle.crt >"$name.pem"
done
cat middle.crt registry.leaf >reversed.pem
