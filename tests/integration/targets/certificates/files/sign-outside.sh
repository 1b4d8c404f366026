#!/bin/sh
# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Two certificates that the CA must not sign: another domain, another address.
set -eu
cd "$1"
for pair in outside-name=DNS:registry.example.org outside-address=IP:127.0.0.2; do
  name=${pair%%=*}
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$name.key" -out "$name.csr" -subj "/CN=outside" \
    -addext "subjectAltName=${pair#*=}" -addext extendedKeyUsage=serverAuth -addext "basicConstraints=critical,CA:FALSE"
  openssl x509 -req -in "$name.csr" -CA ca/ca.crt -CAkey ca/ca.key -days 30 -copy_extensions copy -out "$name.crt"
done
