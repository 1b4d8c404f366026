# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry that keeps its images in an object store, and that store, as they run on the gateway's host for the tests."""

REGISTRY_PORT = 5010
STORE_PORT = 9443

# Answers for a blob by what the repository is called. What it was asked is in /run/registry-asked, a JSON document in each line.
# In the repository told/... it redirects to what /run/location says, where {hex} is the blob, and a line break is one.
REGISTRY = f"""
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with open("/run/registry-asked", "a") as asked:
            asked.write(json.dumps([self.command, self.path, dict(self.headers)]) + "\\n")
        kind, hex_ = (self.path + "//").split("/")[2], self.path.rpartition(":")[2]
        place = f"https://store.holdfast.test:{STORE_PORT}/bucket/pre/fix/docker/registry/v2/blobs/sha256/{{hex_[:2]}}/{{hex_}}/data"
        signed = f"{{place}}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=KEY%2F20260101%2Fus-east-1%2Fs3&X-Amz-Signature=for-{{self.command}}"
        status, headers, content = 404, [], b'{{"errors":[{{"code":"BLOB_UNKNOWN","message":"says the registry"}}]}}'
        if os.path.exists("/run/registry-down") or kind == "down":
            status = 500
        elif self.path == "/" or kind == "direct":
            status, content = 200, b"sent by the registry"
        elif kind == "told":
            status, headers = 307, [("Location", open("/run/location").read().replace("{{hex}}", hex_))]
        elif kind != "gone":
            status, headers = 307, [("Location", signed)]
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(content))), ("Content-Type", "application/json")]:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer
    def log_message(self, *_arguments):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", {REGISTRY_PORT}), Handler).serve_forever()
"""

# Has the files of /run/objects by digest. /run/store-mode says what is wrong with it; what it was asked is in /run/store-asked.
STORE = f"""
import http.server, json, os, re, ssl, time, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "TheStore"
    def answer(self):
        with open("/run/store-asked", "a") as asked:
            asked.write(json.dumps([self.command, self.path, dict(self.headers)]) + "\\n")
        mode = open("/run/store-mode").read() if os.path.exists("/run/store-mode") else ""
        url = urllib.parse.urlsplit(self.path)
        found = re.fullmatch("/bucket/pre/fix/docker/registry/v2/blobs/sha256/([0-9a-f]{{2}})/([0-9a-f]{{64}})/data", url.path)
        start, end = re.fullmatch("bytes=([0-9]+)-([0-9]+)", self.headers.get("Range", "bytes=0-0")).groups()
        start, end = int(start), int(end)
        if mode.startswith("late-"):
            mode = mode[5:] if start else ""
        if mode == "slow":
            time.sleep(2)
        if mode.isdigit():
            return self.send(int(mode), b"<Error><Code>secret of the store</Code></Error>", [("Location", "https://elsewhere.test/")])
        # A presigned address is for one method, and for the header Host that was signed.
        wrong = f"X-Amz-Signature=for-{{self.command}}" not in url.query or self.headers["Host"] != "store.holdfast.test:{STORE_PORT}"
        if wrong or not found or "Authorization" in self.headers:
            return self.send(403, b"<Error>SignatureDoesNotMatch</Error>")
        if not os.path.exists(f"/run/objects/{{found[2]}}"):
            return self.send(404, b"<Error>NoSuchKey</Error>")
        with open(f"/run/objects/{{found[2]}}", "rb") as file:
            content = file.read()
        if "Range" not in self.headers or mode == "whole":
            return self.send(200, content)
        if start >= len(content):
            return self.send(416, b"<Error>InvalidRange</Error>", [("Content-Range", f"bytes */{{len(content)}}")])
        end = min(end, len(content) - 1)
        total = len(content) + 1 if mode == "longer" else len(content)
        self.send(206, content[start:end + 1], [("Content-Range", f"bytes {{start}}-{{end}}/{{total}}")], cut=mode == "truncated")
    def send(self, status, content, headers=(), cut=False):
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(content))), ("Content-Type", "text/html"), ("ETag", '"of the store"'),
                            ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"), ("Set-Cookie", "a=b"), ("x-amz-request-id", "1"),
                            ("X-Accel-Redirect", "/v2/"), ("Cache-Control", "no-store"), ("Accept-Ranges", "none"), ("x-amz-meta-mtime", "1")]:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:len(content) // 2] if cut else content)
        self.close_connection = cut
    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer
    def log_message(self, *_arguments):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", {STORE_PORT}), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/etc/ssl/store.crt", "/etc/ssl/store.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
