# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The keeper on a storage that a test has made."""

from __future__ import annotations

import io
import json
import sys
import time

from registry_keeper import main
from trees import Storage

HOUR = 3600


class Keeper:
    """The program on a storage, with the result of its last command."""

    def __init__(self, directory, **collect):
        self.storage = Storage(str(directory / "storage"))
        self.settings = directory / "settings.json"
        self.log = directory / "access.log"
        self.document = {}
        self.collect_settings = {"grace_seconds": HOUR, "settle_seconds": 0, "memory_cache": False, **collect}

    def __call__(self, *arguments, **more):
        document = {"instance": "registry", "storage": self.storage.path, "collect": self.collect_settings, **more}
        self.settings.write_text(json.dumps(document))
        out, sys.stdout = sys.stdout, io.StringIO()
        try:
            status = main.main(["--settings", str(self.settings), "--json", *arguments])
            self.document = json.loads(sys.stdout.getvalue())
        finally:
            sys.stdout = out
        return status

    def asked(self, digest, method="HEAD", status=200, moment=None):
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(moment)), "method": method, "path": f"/v2/a/blobs/{digest}", "status": status}
        with open(self.log, "a") as file:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")


def old(keeper, tag=None, name="an image", repository="a", **more):
    """An image from yesterday."""
    digest = keeper.storage.image(repository, name, tag, **more)
    keeper.storage.age(24 * HOUR)
    return digest
