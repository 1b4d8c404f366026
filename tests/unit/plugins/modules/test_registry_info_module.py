# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import base64
import http.server
import json
import socket
import threading
import typing as t

import pytest
from ansible_collections.holdfast.registry.plugins.modules import registry_info
from ansible_collections.holdfast.registry.tests.unit.module_arguments import patch_module_args

PASSWORD = "correct-horse"
CREDENTIALS = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()


class Answers(http.server.BaseHTTPRequestHandler):
    """Lets alice in; repeats the whole request in its body, as debugging servers do."""

    def do_GET(self) -> None:
        authorized = self.headers.get("Authorization") == f"Basic {CREDENTIALS}"
        body = json.dumps({"line": self.requestline, "headers": dict(self.headers)}).encode()
        self.send_response(200 if authorized else 401)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: t.Any) -> None:
        pass


@pytest.fixture
def port() -> t.Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> t.Callable[..., dict[str, t.Any]]:
    def run_module(**arguments: t.Any) -> dict[str, t.Any]:
        with patch_module_args({**arguments, "_ansible_verbosity": 5}), pytest.raises(SystemExit):
            registry_info.main()
        output = "".join(capsys.readouterr())
        assert PASSWORD not in output
        assert CREDENTIALS not in output
        return json.loads(output)

    return run_module


def closed_port() -> int:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return closed.getsockname()[1]


@pytest.mark.parametrize("check", [True, False])
def test_it_asks_in_check_mode_too_and_never_changes_anything(run: t.Callable[..., dict[str, t.Any]], port: int, check: bool) -> None:
    result = run(url=f"http://127.0.0.1:{port}/v2/", username="alice", password=PASSWORD, expect_status=[200], _ansible_check_mode=check)
    assert (result["changed"], result["reachable"], result["status"], result["api_version"]) == (False, True, 200, "registry/2.0")


def test_the_request_carries_what_was_asked_for(run: t.Callable[..., dict[str, t.Any]], port: int) -> None:
    asked = run(url="http://registry.test/v2/?n=1", connect_to=f"127.0.0.1:{port}", accept=["a/b", "c/d"])["json"]
    assert asked["line"] == "GET /v2/?n=1 HTTP/1.1"
    assert (asked["headers"]["Host"], asked["headers"]["Accept"]) == ("registry.test", "a/b, c/d")
    assert "Authorization" not in asked["headers"]


def test_another_status_than_expected_fails_with_what_came_back(run: t.Callable[..., dict[str, t.Any]], port: int) -> None:
    url = f"http://127.0.0.1:{port}/v2/"
    result = run(url=url, expect_status=[200, 204], fail_on_error=False)
    assert result["failed"] is True
    assert result["msg"].startswith(f'{url} answered 401 Unauthorized, expected 200 or 204: {{"line": "GET /v2/')
    assert result["status"] == 401


def test_no_answer_fails_or_is_returned_as_the_user_chose(run: t.Callable[..., dict[str, t.Any]]) -> None:
    port = closed_port()
    message = f"http://127.0.0.1:{port}/ (at 127.0.0.1:{port}): Connection refused, while connecting"
    answer = {"reachable": False, "error": {"kind": "connect", "message": message}}
    failed = run(url=f"http://127.0.0.1:{port}/")
    assert (failed["failed"], failed["msg"], failed["error"]) == (True, message, answer["error"])
    returned = run(url=f"http://127.0.0.1:{port}/", fail_on_error=False)
    assert {name: value for name, value in returned.items() if name not in ("invocation", "warnings")} == {"changed": False, **answer}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"url": f"https://alice:{PASSWORD}@registry.test/"}, "url: must not contain a username or password"),
        ({"url": f"https://alice:/{PASSWORD}@registry.test/"}, "url: must not contain a username or password"),
        ({"connect_to": "2001:db8::1"}, "connect_to: "),
        ({"connect_to": ""}, "connect_to: "),
        ({"timeout": 0}, "timeout: 0 is not between"),
        ({"expect_status": [20]}, "expect_status[0]: "),
        ({"accept": ["json"]}, "accept[0]: "),
        ({"ca_file": "/nonexistent"}, "ca_file: /nonexistent cannot be read"),
        ({"ca_certificate": "x"}, "ca_certificate: "),
        ({"ca_file": "/\0"}, "ca_file: /\0 cannot be read: embedded null"),
        ({"client_cert": "/nonexistent", "client_key": "/nonexistent"}, "client_cert: /nonexistent cannot be read"),
        ({"client_cert": "/nonexistent"}, "parameters are required together: client_cert, client_key"),
        ({"username": "al:ice", "password": PASSWORD}, "username: "),
        ({"password": PASSWORD}, "parameters are required together: username, password"),
        ({"ca_file": "/x", "ca_certificate": "x"}, "parameters are mutually exclusive: ca_file|ca_certificate"),
    ],
)
def test_a_wrong_parameter_fails_with_its_name_whatever_fail_on_error_says(
    run: t.Callable[..., dict[str, t.Any]], wrong: dict[str, t.Any], message: str
) -> None:
    result = run(**{"url": "https://registry.test/", "fail_on_error": False, **wrong})
    assert (result["failed"], result["msg"][: len(message)]) == (True, message)
