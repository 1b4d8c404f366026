# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry that answers as others do: over plain HTTP, with a certificate that nobody knows, and with a limit.

Runs on a host of the scenario: pretend.py CERTIFICATE KEY.
"""

import http.server
import json
import ssl
import sys
import threading

HTTP, TLS = 9080, 9443
LIMIT = "You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"


class Answer(http.server.BaseHTTPRequestHandler):
    """404 for every image, and 429 for those below /v2/limited/."""

    # To what is not HTTP, such as TLS, it says so in HTTP, as most servers do.
    default_request_version = "HTTP/1.0"

    def do_GET(self) -> None:
        if self.path == "/v2/":
            self.answer(200, {})
        elif self.path.startswith("/v2/limited/"):
            self.answer(429, {"errors": [{"code": "TOOMANYREQUESTS", "message": LIMIT}]})
        else:
            self.answer(404, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]})

    do_HEAD = do_GET

    def answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


if __name__ == "__main__":
    plain, secured = (http.server.ThreadingHTTPServer(("", port), Answer) for port in (HTTP, TLS))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[1:])
    secured.socket = context.wrap_socket(secured.socket, server_side=True)
    threading.Thread(target=plain.serve_forever).start()
    secured.serve_forever()
