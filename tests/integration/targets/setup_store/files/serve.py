# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Serve the store of the unit tests with TLS: serve.py CERTIFICATE KEY [LIE...]"""

from __future__ import annotations

import http.server
import ssl
import sys

from ansible_collections.holdfast.registry.tests.unit.plugins.modules.object_store import FakeStore, Handler

certificate, key, *lies = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8333), type("Bound", (Handler,), {"store": FakeStore(*lies)}))
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
