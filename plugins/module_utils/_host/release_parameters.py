# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases that a host is to have, and the names that lead to them: read from a module's parameters."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t
import urllib.parse

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._host import known_releases

RELEASES = "releases"
VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}(-[a-z]{1,10}\.[0-9]{1,4})?")
NAME = re.compile(r"[a-z][a-z0-9_]{0,15}")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class Release:
    """A wanted release. archive is its path on this host, "" as long as it is only on the controller, None if it is fetched from url.

    called has the names that the user knows the parameters by.
    """

    version: str
    url: str
    archive: str | None
    checksum: str
    called: dict[str, str]

    @property
    def source(self) -> str:
        """The name of the parameter that says where it comes from."""
        return self.called["url" if self.archive is None else "archive"]

    @property
    def origin(self) -> str:
        """Where it comes from, for messages. The query of a URL may be a secret."""
        return self.url.partition("?")[0] if self.archive is None else "the archive"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The releases as in the module's list, and the version of each link."""

    directory: str
    releases: list[Release]
    links: dict[str, str]
    prune: bool

    @classmethod
    def of(cls, params: dict[str, t.Any], machine: str) -> Wanted:
        """Read module parameters. machine is the kernel's name for the architecture. Raises HoldfastError with all that is wrong."""
        directory = params["directory"].rstrip("/")
        problems = []
        if not directory.startswith("/") or os.path.normpath(directory) != directory:
            problems.append(f"directory: {directory!r} is not an absolute path without . and ..")
        found: list[Release] = []
        for number, entry in enumerate(params["releases"]):
            try:
                found.append(_read(entry, f"releases[{number}]", machine))
            except HoldfastError as error:
                problems.append(str(error))
        problems += _contradictions(found)
        links: dict[str, str] = {}
        for number, entry in enumerate(params["links"]):
            problems += _wrong_with_link(entry, f"links[{number}]", links, params["releases"])
            links[entry["name"]] = entry["version"]
        if problems:
            raise HoldfastError("; ".join(problems))
        return cls(directory, found, links, params["prune"])

    @property
    def by_version(self) -> dict[str, Release]:
        """Each version once, as the first entry of the list that names it says."""
        return _first_of_each(self.releases)

    @property
    def releases_directory(self) -> str:
        return os.path.join(self.directory, RELEASES)

    def path_of(self, version: str) -> str:
        return os.path.join(self.releases_directory, version)


def _read(entry: dict[str, t.Any], place: str, machine: str) -> Release:
    given = {name: known for name, known in (entry["called"] or {}).items() if known}
    called = {**{name: f"{place}.{name}" for name in ("version", "url", "archive", "checksum")}, **given}
    version, archive = entry["version"], entry["archive"]
    if not VERSION.fullmatch(version):
        raise HoldfastError(f"{called['version']}: {version!r} is not the version of a release, such as 3.1.2")
    if entry["url"] and archive is not None:
        raise HoldfastError(f"{called['archive']}: is set as well as {called['url']}; a release comes from one of them")
    architecture = known_releases.ARCHITECTURES.get(machine)
    if not entry["url"] and archive is None and not architecture:
        raise HoldfastError(f"{called['url']}: must be set, since no release for the architecture {machine} is known")
    template = (entry["url"] or known_releases.URL).replace("{version}", version)
    url = template.replace("{arch}", architecture or machine)
    _check_url(url, called["url"])
    return Release(version, url, archive, _checksum(entry["checksum"], version, architecture or machine, called["checksum"]), called)


def _check_url(url: str, place: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and re.fullmatch(r"[!-z~|]+", url)
    except ValueError:
        right, parts = False, urllib.parse.urlsplit("")
    if "@" in parts.netloc:
        raise HoldfastError(f"{place}: must not contain a username or password")
    if not right:
        raise HoldfastError(f"{place}: {url!r} is not a URL that begins with http:// or https:// and has no braces but those of {{version}} and {{arch}}")


def _checksum(given: str | None, version: str, architecture: str, place: str) -> str:
    if given:
        if not _CHECKSUM.fullmatch(given.lower()):
            raise HoldfastError(f"{place}: {given!r} is not a SHA-256 checksum: sha256: and 64 hexadecimal digits")
        return given.lower()
    known = known_releases.CHECKSUMS.get(version, {}).get(architecture)
    if not known:
        page = known_releases.URL.replace("{version}", version).replace("{arch}", architecture)
        raise HoldfastError(
            f"{place}: must be set, since the checksum of release {version} for {architecture} is not known here. "
            f"It is sha256: and the digits that {page}.sha256 holds"
        )
    return known


def _first_of_each(releases: list[Release]) -> dict[str, Release]:
    found: dict[str, Release] = {}
    for release in releases:
        found.setdefault(release.version, release)
    return found


def _contradictions(releases: list[Release]) -> list[str]:
    problems = []
    for release in releases:
        first = _first_of_each(releases)[release.version]
        if release.checksum != first.checksum:
            given = f"{first.checksum}, which {first.called['checksum']} gives for the same release {release.version}"
            problems.append(f"{release.called['checksum']}: {release.checksum} differs from {given}")
    return problems


def _wrong_with_link(entry: dict[str, t.Any], place: str, before: t.Iterable[str], releases: list[dict[str, t.Any]]) -> list[str]:
    name, version = entry["name"], entry["version"]
    found = []
    if not NAME.fullmatch(name) or name == RELEASES:
        found.append(f"{place}.name: {name!r} is not a name of up to 16 small letters, digits and _ that begins with a letter and is not {RELEASES}")
    if name in before:
        found.append(f"{place}.name: {name} is there twice")
    if version not in [release["version"] for release in releases]:
        found.append(f"{place}.version: {version!r} is not the version of one of releases")
    return found
