#!/bin/sh
# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Sets up the distribution's package as many guides do: on every address, without a password.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends docker-registry curl
cat >/etc/docker/registry/config.yml <<END
version: 0.1
log:
  fields:
    service: registry
storage:
  filesystem:
    rootdirectory: /var/lib/docker-registry
  delete:
    enabled: true
http:
  addr: :5000
END
systemctl restart docker-registry
until curl -fsS http://127.0.0.1:5000/v2/; do sleep 0.2; done

at=http://127.0.0.1:5000/v2/before/app
cd "$(mktemp -d)"
head -c 5000 /dev/urandom >layer
printf '{}' >config
digest() { echo "sha256:$(sha256sum "$1" | cut -d' ' -f1)"; }
for blob in layer config; do
  location=$(curl -fsS -o /dev/null -D - -X POST $at/blobs/uploads/ | tr -d '\r' | sed -n 's/^Location: //p')
  curl -fsS -o /dev/null -X PUT -H 'Content-Type: application/octet-stream' --data-binary @$blob "$location&digest=$(digest $blob)"
done
kind=application/vnd.docker.distribution.manifest.v2+json
printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":2,"digest":"%s"},"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":5000,"digest":"%s"}]}' \
  $kind "$(digest config)" "$(digest layer)" >manifest
curl -fsS -o /dev/null -X PUT -H "Content-Type: $kind" --data-binary @manifest $at/manifests/1
digest manifest >/root/image-of-the-time-before
