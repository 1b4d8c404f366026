# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive of a release: fetched with limits, and the one program in it taken out and asked for its version.

The messages of errors go on after the name of the archive.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import os
import re
import signal
import stat
import tarfile
import time
import typing as t
import urllib.error
import zlib

from ansible.module_utils import urls
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError

PROGRAM = "registry"
ARCHIVE_LIMIT = 200 * 1024**2  # bytes; the archives of 3.1 have 20 MiB
UNPACKED_LIMIT = 400 * 1024**2  # bytes; what is in them has 60 MiB
TIME_LIMIT = 600  # seconds for a download
_SILENCE = 30  # seconds without a byte
_PIECE = 1024**2
_SECONDS = 10  # for the program to say its version
_ANSWER = re.compile(r".+ github\.com/(?:docker|distribution)/distribution(?:/v[0-9]+)? v?([0-9][^\s+]*)(?:\+\S*)?")
# A user without any rights: what comes from outside is not run as root, not even to ask what it is.
_AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")


class Readable(t.Protocol):
    """What is read in pieces."""

    def read(self, size: int) -> bytes: ...


def download(url: str, path: str) -> str:
    """Fetch a URL into a new file. Returns the checksum of what came."""
    deadline = time.monotonic() + TIME_LIMIT
    try:
        # Without decompression: some servers declare the archive itself to be an encoding.
        with urls.open_url(url, http_agent="holdfast.registry", timeout=_SILENCE, decompress=False) as response:
            announced = response.headers.get("Content-Length", "")
            checksum, size = _copy(response, path, deadline)
    except urllib.error.HTTPError as error:
        raise HoldfastError(f"answered {error.code} {error.reason}") from None
    except (OSError, ValueError, http.client.HTTPException, urls.ConnectionError) as error:
        raise HoldfastError(f"cannot be fetched: {getattr(error, 'reason', None) or error}") from error
    if announced.isdecimal() and size < int(announced):
        raise HoldfastError(f"ended after {size} of {announced} bytes")
    return checksum


def take_over(archive: str, path: str) -> str:
    """Copy an archive that was sent to the host, which may belong to another user, into a new file. Returns its checksum."""
    try:
        descriptor = os.open(archive, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as handle:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise HoldfastError("is not a plain file")
            return _copy(handle, path, None)[0]
    except OSError as error:
        raise HoldfastError(f"cannot be read: {error.strerror}") from error


def _copy(source: Readable, path: str, deadline: float | None) -> tuple[str, int]:
    """Returns the checksum and the size of what was copied."""
    digest, size = hashlib.sha256(), 0
    with contextlib.closing(_NewFile(path)) as copy:
        while True:
            piece = source.read(_PIECE)
            if not piece:
                return f"sha256:{digest.hexdigest()}", size
            size += len(piece)
            if size > ARCHIVE_LIMIT:
                raise HoldfastError(f"is larger than {ARCHIVE_LIMIT} bytes, which no release is")
            if deadline and time.monotonic() > deadline:
                raise HoldfastError(f"is not there after {TIME_LIMIT} seconds")
            digest.update(piece)
            copy.write(piece)


def take_program(archive: str, path: str) -> str:
    """Write the program in an archive to a new file that everybody may run. Returns the program's checksum.

    The archive holds it as a plain file of the name registry, once; nothing else is taken out. What no release holds, such as
    links and paths that lead out of the archive, is refused with a HoldfastError.
    """
    found = ""
    try:
        with gzip.open(archive) as unpacked, tarfile.open(fileobj=_Bounded(unpacked), mode="r|") as members:  # type: ignore[call-overload]
            for member in members:
                _refuse_strange(member)
                if member.name != PROGRAM:
                    continue
                if found:
                    raise HoldfastError(f"holds {PROGRAM} twice")
                program = members.extractfile(member)
                found = _take(program, path) if program else ""
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise HoldfastError(f"is not a whole tar archive compressed with gzip: {error}") from error
    if not found:
        raise HoldfastError(f"holds no file named {PROGRAM} at its top")
    return found


def _refuse_strange(member: tarfile.TarInfo) -> None:
    if member.name.startswith("/") or ".." in member.name.split("/"):
        raise HoldfastError(f"holds {member.name!r}, a path that leads out of it")
    if not member.isdir() and (not member.isreg() or member.issparse()):
        raise HoldfastError(f"holds {member.name!r}, which is no plain file")


def _take(program: Readable, path: str) -> str:
    digest = hashlib.sha256()
    with contextlib.closing(_NewFile(path)) as copy:
        for piece in iter(lambda: program.read(_PIECE), b""):
            digest.update(piece)
            copy.write(piece)
        copy.finish(0o755)
    return f"sha256:{digest.hexdigest()}"


class _Bounded:
    """Stops an archive that unpacks to far more than a release."""

    def __init__(self, source: Readable) -> None:
        self._source, self._left = source, UNPACKED_LIMIT

    def read(self, size: int) -> bytes:
        piece = self._source.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise HoldfastError(f"unpacks to more than {UNPACKED_LIMIT} bytes, which no release does")
        return piece


class _NewFile:
    """A file that was not there before. What goes wrong with it is no fault of the archive, and says so."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        os.close(self._descriptor)

    def write(self, piece: bytes) -> None:
        try:
            while piece:
                piece = piece[os.write(self._descriptor, piece) :]
        except OSError as error:
            raise self._failure(error) from error

    def finish(self, mode: int) -> None:
        try:
            os.fchmod(self._descriptor, mode)
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> HoldfastError:
        return HoldfastError(f"cannot be kept in {os.path.dirname(self._path)}: {error.strerror}")


def version_of(run_program: Run, program: str) -> str:
    """The version that the program says it is, such as 3.1.2. Raises HoldfastError where it is no registry of CNCF Distribution."""
    limited = ("timeout", "--kill-after=1", str(_SECONDS))
    unprivileged = _AS_NOBODY if os.geteuid() == 0 else ()
    answer = run_program(*limited, *unprivileged, "env", "--ignore-environment", program, "--version")
    if answer.code in (124, 128 + signal.SIGKILL, -signal.SIGKILL):  # ended by timeout, which dies with one that it has to kill
        raise HoldfastError(f"holds another program: it does not say its version within {_SECONDS} seconds")
    said = answer.words.replace(program, PROGRAM)
    if answer.code == 126 and "Permission denied" in said:
        directory = os.path.dirname(program)
        raise HoldfastError(f"holds a program that cannot be run in {directory}: others must be able to enter it, and its file system must not be noexec")
    if answer.code in (126, 127):
        raise HoldfastError(f"holds a program that does not run on this host ({os.uname().machine}): {said}")
    match = _ANSWER.fullmatch(answer.out.strip())
    if answer.code != 0 or not match:
        raise HoldfastError(f"holds another program: asked for its version, it says {said[:200]!r}")
    return match[1]
