# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Uploads in an S3 store that nobody will finish.

The clean-up of a registry before version 3 ends the registry where the store lists a directory (distribution#2908), so the role turns it
off there. The multipart uploads behind uploads are ended here as well. An upload is abandoned when nothing of it has been written for a while.
Killed in between, the next run finds what is left of it, which is as old.
"""

from __future__ import annotations

import typing as t

from registry_keeper.s3.client import StoreError
from registry_keeper.s3.listing import TREE, upload_of
from registry_keeper.s3.objects import Objects, moment_of


def remove_abandoned(objects: Objects, known: t.Mapping[str, float], before: float) -> int:
    """Remove uploads to which nothing was written since a moment. Returns how many; raises StoreError.

    known has the uploads of a list, with when something of each was written last. Each is listed again first.
    """
    parts = _multipart(objects)
    gone = 0
    for upload in sorted(known.keys() | parts.keys()):
        if known.get(upload, 0.0) >= before:
            continue
        items = dict(objects.list(upload))
        begun = parts.get(upload, [])
        if any(item.modified >= before for item in items.values()) or any(moment >= before for _key, _identity, moment in begun):
            continue
        # Without it the registry does not know the upload any more: a client that comes back after all is told to begin anew.
        for name in sorted(items, key=lambda name: not name.endswith("/startedat")):
            objects.remove(name)
        for key, identity, _moment in begun:
            objects.guard()
            objects.client.ask("DELETE", key, query={"uploadId": identity}, expect=(200, 204, 404))
        gone += 1
    return gone


def _multipart(objects: Objects) -> dict[str, list[tuple[str, str, float]]]:
    """The store's unfinished multipart uploads of registry uploads: of each the key, the store's name for it, and when it was begun. Raises StoreError."""
    prefix = objects.client.bucket.prefix
    query = {"uploads": "", "prefix": f"{prefix}{TREE.repositories}/"}
    found: dict[str, list[tuple[str, str, float]]] = {}
    while True:
        objects.guard()
        document = objects.client.ask("GET", query=query).document()
        if document.tag != "ListMultipartUploadsResult":
            raise StoreError(f"a list of multipart uploads is a {document.tag}")
        for row in document.findall("Upload"):
            key, identity, moment = row.findtext("Key") or "", row.findtext("UploadId") or "", moment_of(row.findtext("Initiated") or "")
            upload = upload_of(key[len(prefix) :]) if key.startswith(prefix) else None
            if upload and identity and moment is not None:
                found.setdefault(upload, []).append((key, identity, moment))
        following = {"key-marker": document.findtext("NextKeyMarker") or "", "upload-id-marker": document.findtext("NextUploadIdMarker") or ""}
        if document.findtext("IsTruncated") != "true":
            return found
        if not following["key-marker"] or following.items() <= query.items():
            raise StoreError("a list of multipart uploads goes on, and does not say where")
        query.update(following)
