# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import base64
import http.server
import json
import pathlib
import socket
import threading
import typing as t

import pytest
from ansible_collections.holdfast.registry.plugins.modules import registry_info
from ansible_collections.holdfast.registry.tests.unit.module_arguments import patch_module_args
from ansible_collections.holdfast.registry.tests.unit.plugins.modules import image_registry
from ansible_collections.holdfast.registry.tests.unit.plugins.modules.image_registry import FakeRegistry

PASSWORD = "correct-horse"
CREDENTIALS = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()

KEY = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n"


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
        assert "PRIVATE" not in output
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
        ({"ca_certificate": KEY}, "ca_certificate: holds a private key, which belongs nowhere but in its own file"),
        ({"ca_file": "/\0"}, "ca_file: /\0 cannot be read: embedded null"),
        ({"client_cert": "/nonexistent", "client_key": "/nonexistent"}, "client_cert: /nonexistent cannot be read"),
        ({"client_cert": "/nonexistent"}, "parameters are required together: client_cert, client_key"),
        ({"username": "al:ice", "password": PASSWORD}, "username: "),
        ({"password": PASSWORD}, "parameters are required together: username, password"),
        ({"ca_file": "/x", "ca_certificate": "not PEM"}, "parameters are mutually exclusive: ca_file|ca_certificate"),
    ],
)
def test_a_wrong_parameter_fails_with_its_name_whatever_fail_on_error_says(
    run: t.Callable[..., dict[str, t.Any]], wrong: dict[str, t.Any], message: str
) -> None:
    result = run(**{"url": "https://registry.test/", "fail_on_error": False, **wrong})
    assert (result["failed"], result["msg"][: len(message)]) == (True, message)


# What the registry holds


@pytest.fixture
def registry(tmp_path: pathlib.Path) -> t.Iterator[FakeRegistry]:
    with FakeRegistry(tmp_path, api=True, page=2).serving() as serving:
        yield serving


def listed(run: t.Callable[..., dict[str, t.Any]], registry: FakeRegistry, contents: str, **more: t.Any) -> list[dict[str, t.Any]]:
    result = run(url=f"http://{registry.name}/v2/", contents=contents, **more)
    assert not result.get("failed"), result
    return result["repositories"]


def test_all_pages_of_repositories_and_tags_are_listed(run: t.Callable[..., dict[str, t.Any]], registry: FakeRegistry) -> None:
    for name in ("a", "b/c", "d"):
        for tag in ("1", "2", "3"):
            registry.image(name, tag)
    assert listed(run, registry, "repositories") == [{"name": "a"}, {"name": "b/c"}, {"name": "d"}]
    tags = [{"name": "1"}, {"name": "2"}, {"name": "3"}]
    assert listed(run, registry, "tags") == [{"name": name, "tags": tags} for name in ("a", "b/c", "d")]
    assert listed(run, registry, "tags", repositories=["b/c", "none"]) == [{"name": "b/c", "tags": tags}, {"name": "none", "tags": []}]


def test_images_have_their_digests_sizes_and_platforms(run: t.Callable[..., dict[str, t.Any]], registry: FakeRegistry) -> None:
    index = registry.index("app", "all")
    parts = [registry.image("app", "", word) for word in ("amd64", "arm64")]
    sizes = [len(word) * 100 + len(json.dumps({"os": "linux", "architecture": "amd64", "word": word})) for word in ("amd64", "arm64")]
    (image,) = listed(run, registry, "images")[0]["tags"]
    assert (image["name"], image["digest"], image["media_type"]) == ("all", index["digest"], index["mediaType"])
    assert image["platforms"] == [
        {"platform": f"linux/{word}", "digest": part["digest"], "size": size} for word, part, size in zip(("amd64", "arm64"), parts, sizes)
    ]
    assert image["size"] == sum(sizes) + index["size"] + sum(part["size"] for part in parts)


def test_an_image_without_an_index_has_the_platform_of_its_configuration(run: t.Callable[..., dict[str, t.Any]], registry: FakeRegistry) -> None:
    config = {**registry.blob("app", b'{"os": "linux", "architecture": "arm", "variant": "v7"}'), "mediaType": "application/vnd.oci.image.config.v1+json"}
    registry.put("app", json.dumps({"schemaVersion": 2, "config": config, "layers": []}).encode(), image_registry.MANIFEST, "1")
    assert listed(run, registry, "images")[0]["tags"][0]["platforms"][0]["platform"] == "linux/arm/v7"


def test_what_refers_to_an_image_is_listed(run: t.Callable[..., dict[str, t.Any]], registry: FakeRegistry) -> None:
    digest = registry.image("app", "1")["digest"]
    made = registry.image("app", "", "signature", subject={"digest": digest}, artifactType="application/x-test")
    expected = [{"digest": made["digest"], "artifact_type": "application/x-test", "media_type": made["mediaType"], "size": made["size"]}]
    assert listed(run, registry, "referrers")[0]["tags"][0]["referrers"] == expected
    assert "referrers" not in listed(run, registry, "images")[0]["tags"][0]


def test_a_list_is_asked_for_with_a_token_where_the_registry_wants_one(run: t.Callable[..., dict[str, t.Any]], registry: FakeRegistry) -> None:
    registry.image("app", "1")
    registry.auth = "bearer"
    assert listed(run, registry, "tags", username="alice", password=PASSWORD) == [{"name": "app", "tags": [{"name": "1"}]}]
    assert registry.scopes == ["registry:catalog:*", "repository:app:pull"]


def test_a_list_that_is_refused_fails_with_the_reason(run: t.Callable[..., dict[str, t.Any]], registry: FakeRegistry) -> None:
    registry.auth = "basic"
    result = run(url=f"http://{registry.name}/v2/", contents="tags")
    assert result["failed"] and "needs a username and a password" in result["msg"]
    assert (result["reachable"], result["status"]) == (True, 401)
    wrong = run(url=f"http://{registry.name}/v2/", contents="tags", repositories=["App"], username="alice", password=PASSWORD)
    assert wrong["failed"] and wrong["msg"].startswith("repositories[0]: 'App' is not the name of a repository")


def test_without_contents_there_is_one_request(run: t.Callable[..., dict[str, t.Any]], registry: FakeRegistry) -> None:
    assert "repositories" not in run(url=f"http://{registry.name}/v2/_catalog")
    assert registry.asked == ["GET /v2/_catalog"]
