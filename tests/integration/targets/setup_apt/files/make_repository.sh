#!/bin/sh
# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# An apt repository below the directory $1, signed with keys of its own, in the suite trixie: versions 1.0 and 2.0 of the packages $2, each with what
# the directory $3/PACKAGE has below /. $1/gpg is the key, $1/expired.gpg one that has expired, $1/other.gpg another; each has its fingerprint beside it.
set -eu
root=$1 packages=$2 files=${3:-}
export GNUPGHOME="$root/.gnupg"
mkdir -p "$GNUPGHOME" "$root/pool" "$root/dists/trixie/stable/binary-all"
chmod 700 "$GNUPGHOME"
make_key() { # NAME FILE [OPTION...]
  name=$1 file=$2
  shift 2
  gpg --batch --quiet --passphrase '' --pinentry-mode loopback "$@" 2>/dev/null
  gpg --armor --export "$name" >"$root/$file"
  gpg --list-keys --with-colons "$name" | awk -F: '/^fpr/ {print $10; exit}' >"$root/$file.fingerprint"
}
make_key Repository gpg --quick-gen-key Repository ed25519 sign never
make_key Other other.gpg --quick-gen-key Other ed25519 sign never
make_key Expired expired.gpg --faked-system-time 20200101T000000 --quick-gen-key Expired ed25519 sign 1y
index="$root/dists/trixie/stable/binary-all/Packages"
: >"$index"
for package in $packages; do
  for version in 1.0 2.0; do
    build=$(mktemp -d)
    mkdir "$build/DEBIAN"
    chmod 755 "$build"
    if [ -d "$files/$package" ]; then cp -a "$files/$package/." "$build"; fi
    printf 'Package: %s\nVersion: 5:%s-1~test\nArchitecture: all\nMaintainer: test <test@example.org>\nDescription: test\n' \
      "$package" "$version" >"$build/DEBIAN/control"
    deb="pool/${package}_$version.deb"
    dpkg-deb --root-owner-group --build "$build" "$root/$deb" >/dev/null
    { dpkg-deb -f "$root/$deb"; printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$root/$deb")" "$(sha256sum "$root/$deb" | cut -d' ' -f1)"; } >>"$index"
    rm -r "$build"
  done
done
release="$root/dists/trixie/Release"
{
  printf 'Origin: test\nSuite: trixie\nCodename: trixie\nArchitectures: all amd64 arm64\nComponents: stable\nDate: %s\nSHA256:\n' "$(date -Ru | sed 's/+0000/UTC/')"
  printf ' %s %s stable/binary-all/Packages\n' "$(sha256sum "$index" | cut -d' ' -f1)" "$(stat -c %s "$index")"
} >"$release"
gpg --batch --yes --local-user Repository --clearsign --output "$root/dists/trixie/InRelease" "$release"
