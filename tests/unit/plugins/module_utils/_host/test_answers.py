# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import threading

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._host.answers import Question


def question(url):
    return Question.of({"url": url, "unix_socket": None, "status": [200], "port": None, "address": "127.0.0.1", "socket": None, "seconds": 1}, "services[0]")


@pytest.mark.parametrize("url", ["http://a b/", "http://127.0.0.1:1/a b"], ids=["host", "path"])
def test_a_url_that_http_cannot_have_is_a_problem_that_names_it(url):
    assert question(url).problem().startswith(f"{url}: URL can't contain control characters")


def test_an_answer_that_is_not_http_is_a_problem():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _address = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 a mail server\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        assert question(url).problem().startswith(f"{url}: 220 a mail server")
        thread.join(10)
