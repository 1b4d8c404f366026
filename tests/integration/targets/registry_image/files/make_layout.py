# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make_layout.py DIRECTORY WORD: an image of two platforms as an OCI layout, for skopeo to push. Prints the digest of its index."""

import gzip
import hashlib
import json
import os
import pathlib
import sys

directory, word = pathlib.Path(sys.argv[1]), sys.argv[2]
IMAGE = "application/vnd.oci.image"


def keep(content: bytes, media_type: str) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    (directory / "blobs/sha256" / digest).write_bytes(content)
    return {"mediaType": f"{IMAGE}.{media_type}", "digest": f"sha256:{digest}", "size": len(content)}


(directory / "blobs/sha256").mkdir(parents=True, exist_ok=True)
manifests = []
for architecture in ("amd64", "arm64"):
    # skopeo would compress, and so change, what is not.
    content = f"{word} {architecture} ".encode() + os.urandom(3_000_000)
    layer = keep(gzip.compress(content), "layer.v1.tar+gzip")
    diff = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}"]}
    config = keep(json.dumps({"architecture": architecture, "os": "linux", "config": {}, "rootfs": diff}).encode(), "config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": f"{IMAGE}.manifest.v1+json", "config": config, "layers": [layer]}
    manifests.append({**keep(json.dumps(manifest).encode(), "manifest.v1+json"), "platform": {"architecture": architecture, "os": "linux"}})
index = keep(json.dumps({"schemaVersion": 2, "mediaType": f"{IMAGE}.index.v1+json", "manifests": manifests}).encode(), "index.v1+json")
(directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
(directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [index]}))
print(index["digest"])
