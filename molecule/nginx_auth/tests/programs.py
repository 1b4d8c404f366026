# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on the gateway's host for the tests of mirrors: an upstream, and a registry that says what it is asked."""

UPSTREAM_PORT = 5003

# An image under two tags, with a manifest each, in any repository but those named unknown. While /run/wait is there, it stops in the middle of a blob.
UPSTREAM = f"""
import hashlib, http.server, json, os, random, time
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
blobs = {{}}
def blob(content):
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    blobs[digest] = content
    return {{"mediaType": "application/octet-stream", "size": len(content), "digest": digest}}
config, layer = blob(b'{{"architecture":"amd64","os":"linux"}}'), blob(random.Random(1).randbytes(2 ** 19))
manifests = {{}}
for tag in ("latest", "other"):
    content = json.dumps({{"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer], "annotations": {{"tag": tag}}}}).encode()
    manifests[tag] = manifests["sha256:" + hashlib.sha256(content).hexdigest()] = content
with open("/run/image", "w") as image:
    json.dump({{"layer": layer["digest"], "manifest": list(manifests)[1], "other-manifest": list(manifests)[3]}}, image)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        with open("/run/upstream-asked", "a") as asked:
            asked.write(self.command + " " + self.path + "\\n")
        what = self.path.rpartition("/")[2]
        if self.path == "/v2/":
            self.send(200, "application/json", b"{{}}")
        elif "unknown" in self.path:
            self.send(404, "application/json", b'{{"errors":[{{"code":"NAME_UNKNOWN","message":"upstream has none"}}]}}')
        elif "/manifests/" in self.path and what in manifests:
            self.send(200, MANIFEST, manifests[what])
        elif what in blobs:
            self.send(200, "application/octet-stream", blobs[what], what)
        else:
            self.send(404, "application/json", b'{{"errors":[{{"code":"BLOB_UNKNOWN","message":"upstream has none"}}]}}')
    do_HEAD = do_GET
    def send(self, status, kind, content, named=""):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Content-Digest", "sha256:" + hashlib.sha256(content).hexdigest())
        self.end_headers()
        if self.command == "GET":
            half = len(content) // 2
            self.wfile.write(content[:half])
            while named == layer["digest"] and os.path.exists("/run/wait"):
                time.sleep(0.05)
            self.wfile.write(content[half:])
    def log_message(self, *_arguments):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", {UPSTREAM_PORT}), Handler).serve_forever()
"""

# A registry as a pull-through cache of that upstream.
MIRROR = f"""
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: /srv/mirrors/hub}}}}
http: {{addr: "127.0.0.1:5001"}}
proxy: {{remoteurl: "http://127.0.0.1:{UPSTREAM_PORT}"}}
"""

# Says what it was asked for. In the repository status/NUMBER it answers with that status.
ECHO = """
import http.server, json, re
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = json.dumps({"asked": self.path}).encode()
        self.send_response(int((re.search("/status/([0-9]{3})/", self.path) or [0, 200])[1]))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if self.path.partition("?")[0].endswith("/tags/list"):
            self.send_header("Link", f'<{self.path.partition("?")[0]}?last=b&n=1>; rel="next"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer
    def log_message(self, *_arguments):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", 5002), Handler).serve_forever()
"""
