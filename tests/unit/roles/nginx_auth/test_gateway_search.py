# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import contextlib
import http.client
import http.server
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

import pytest
from ansible_collections.holdfast.registry.plugins.plugin_utils.access.decisions import search_rules
from ansible_collections.holdfast.registry.plugins.plugin_utils.access.rules import read_access
from ansible_collections.holdfast.registry.tests.unit.roles.programs import loaded

SCRIPT = pathlib.Path(__file__).parents[4] / "roles/nginx_auth/files/gateway-search"
NAMES = sorted([*(f"team-a/app-{number:02}" for number in range(30)), "team-b/app", "base/debian", "secret/app"])
USERS = ["alice", "bob", "carol", "Åsa …", "日本 x"]


def rules(**changes):
    written = {
        "rules": [
            {"repositories": ["team-a/*"], "users": ["alice", "Åsa …", "日本 x"]},
            {"repositories": ["base/**"], "anonymous": True},
        ],
        "listing": {"users": ["alice", "bob", "Åsa …", "日本 x"]},
        "users": [{"name": name} for name in USERS],
    }
    access, problems = read_access(**{**written, **changes})
    assert not problems
    return search_rules(access)


def content(**changes):
    """The file that the role writes: two registries, one of which does not answer."""
    return json.dumps({"registry": rules(**changes), "other": rules(rules=[{"repositories": ["**"], "groups": ["users"]}])})


class Registry(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The gateway's socket for names. Answers for the catalogue of one registry, ten names a page."""

    daemon_threads = True

    def __init__(self, path):
        super().__init__(path, RegistryHandler)
        self.names, self.asked, self.status, self.body, self.link, self.delay = NAMES, 0, 200, None, None, 0.0


class RegistryHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        registry = self.server
        if self.headers["Host"] != "registry":
            self.send_error(404)
            return
        registry.asked += 1
        time.sleep(registry.delay)
        last = self.path.partition("last=")[2].partition("&")[0].replace("%2F", "/")
        names = [name for name in registry.names if name > last]
        body = registry.body or json.dumps({"repositories": names[:10]}).encode()
        self.send_response(registry.status)
        self.send_header("Content-Length", str(len(body)))
        link = registry.link or (f"/v2/_catalog?last={names[9].replace('/', '%2F')}&n=10" if len(names) > 10 else None)
        if link:
            self.send_header("Link", f'<{link}>; rel="next"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


@pytest.fixture
def script():
    with loaded(SCRIPT) as module:
        yield module


@pytest.fixture
def directory():
    path = pathlib.Path(tempfile.mkdtemp(prefix="search-"))  # that of pytest is too long a path for a socket
    yield path
    shutil.rmtree(path)


@pytest.fixture
def registry(directory):
    with Registry(str(directory / "registry")) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


@pytest.fixture
def rules_file(directory):
    path = directory / "rules.json"
    path.write_text(content())
    return path


def listening(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    return listener


@pytest.fixture
def ask(script, directory, registry, rules_file):
    """Asks the service as nginx does: ask(query, user) gives the status and what the answer holds."""
    listener = listening(directory / "search")
    with script.Server(listener, script.RulesFile(str(rules_file)), script.Catalogues(str(directory / "registry"))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield lambda query="", user="alice", path="/v1/search", registry="registry": request(directory / "search", f"{path}?{query}", user, registry)
        server.shutdown()


def request(path, target, user, registry="registry"):
    name = user if isinstance(user, bytes) else user.encode()
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        header = b"X-Registry: " + registry.encode() + b"\r\n" + (b"X-User: " + name + b"\r\n" if name else b"")
        connection.sendall(b"GET " + target.encode() + b" HTTP/1.0\r\n" + header + b"\r\n")
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.headers["Content-Type"] == "application/json"
        return response.status, json.loads(response.read())


def names(answer):
    status, content = answer
    assert status == 200, content
    return [result["name"] for result in content["results"]]


def test_the_answer_has_everything_docker_reads(ask):
    assert ask("q=app-07&n=25") == (
        200,
        {
            "query": "app-07",
            "num_results": 1,
            "num_pages": 1,
            "page": 1,
            "page_size": 25,
            "results": [{"name": "team-a/app-07", "description": "", "star_count": 0, "is_official": False, "is_automated": False, "is_trusted": False}],
        },
    )


@pytest.mark.parametrize(
    ("user", "term", "found"),
    [
        ("alice", "APP-1", [f"team-a/app-1{number}" for number in range(10)]),
        ("alice", "secret", []),
        ("alice", "a/app-29", ["team-a/app-29"]),
        ("alice", "debian", ["base/debian"]),
        ("bob", "a", ["base/debian"]),
        ("Åsa …", "app-29", ["team-a/app-29"]),
        ("日本 x", "app-29", ["team-a/app-29"]),
    ],
)
def test_a_user_finds_what_they_may_pull_and_nothing_else(ask, user, term, found):
    assert names(ask(f"q={term}", user)) == found


def test_without_a_term_everything_the_user_may_pull_is_listed(ask):
    assert names(ask("q=&n=100")) == names(ask("n=100")) == names(ask("q=&n=100&page=")) == [name for name in NAMES if name.startswith(("team-a/", "base/"))]


def test_an_administrator_finds_everything(ask, rules_file):
    rules_file.write_text(content(administrators=["carol"]))
    assert names(ask("n=100", "carol")) == NAMES


@pytest.mark.parametrize("user", ["", "carol", "mallory", "Alice", "alicex"])
def test_who_may_not_list_finds_nothing(ask, registry, user):
    status, content = ask("q=debian", user)
    assert (status, content["errors"][0]["code"]) == (403, "DENIED")
    assert registry.asked == 0


@pytest.mark.parametrize("size", [1, 7, 25, 31, 100])
def test_the_pages_together_are_the_whole(ask, size):
    first = ask(f"n={size}")[1]
    assert (first["num_results"], first["num_pages"], first["page_size"]) == (31, -(-31 // size), size)
    pages = [names(ask(f"n={size}&page={page}")) for page in range(1, first["num_pages"] + 2)]
    assert all(len(page) <= size for page in pages)
    assert pages[-1] == []
    assert [*itertools.chain(*pages)] == names(ask("n=100"))


@pytest.mark.parametrize("query", ["n=0", "n=101", "n=-1", "n=x", "n=1.0", "n=٣", "n=99999999999", "page=0", "page=x", "q=%ff", "&".join(["a=b"] * 50)])
def test_a_wrong_query_is_refused(ask, query):
    status, content = ask(query.encode().decode("latin-1"))
    assert status == 400
    assert content["errors"][0]["message"]


def test_a_user_name_that_is_not_utf8_is_refused(ask):
    assert ask("", b"\xffalice")[0] == 400


def test_there_is_nothing_but_search(ask):
    assert ask(path="/v2/_catalog")[0] == 404


def test_changed_rules_hold_at_once(ask, rules_file):
    assert ask("", "carol")[0] == 403
    new = rules_file.with_name("new")
    new.write_text(content(listing={"groups": ["users"]}))
    os.replace(new, rules_file)
    assert names(ask("", "carol")) == ["base/debian"]
    assert ask("", "")[0] == 403


@pytest.mark.parametrize("written", ["", "{", "[]", '{"registry": {}}', '{"registry": {"list": {"users": [], "everyone": true}, "pull": []}}', "\udcff"])
def test_rules_that_cannot_be_read_allow_nothing(ask, rules_file, directory, written, capsys):
    assert ask()[0] == 200
    rules_file.write_text(written, errors="surrogateescape")
    assert ask()[0] == 503
    assert ask()[0] == 503
    assert "rules.json cannot be read" in capsys.readouterr().err
    rules_file.unlink()
    assert ask()[0] == 503
    rules_file.write_text(content())
    assert ask()[0] == 200


def test_each_registry_is_asked_by_itself(ask):
    assert ask("q=app-07", "bob")[1]["num_results"] == 0
    assert ask("q=app-07", "bob", registry="other")[0] == 503
    assert ask("q=app-07", "alice", registry="nosuch")[0] == 404
    assert ask("q=app-07", "alice", registry="")[0] == 404


@pytest.mark.parametrize("changes", [{"status": 500}, {"status": 404}, {"body": b"nonsense"}, {"body": b"{}"}, {"body": b"[1]"}])
def test_a_registry_that_fails_is_reported(ask, registry, changes, capsys):
    vars(registry).update(changes)
    status, content = ask()
    assert (status, content["errors"][0]["code"]) == (503, "UNAVAILABLE")
    assert "catalogue cannot be read" in capsys.readouterr().err


def test_a_registry_that_is_down_is_reported_and_found_again(script, ask, registry, directory):
    script.KEEP_NAMES_SECONDS = 0
    os.rename(directory / "registry", directory / "gone")
    assert ask()[0] == 503
    os.rename(directory / "gone", directory / "registry")
    assert ask()[0] == 200


def test_an_empty_registry_has_no_results(ask, registry):
    registry.body = b'{"repositories": null}'
    assert ask()[1]["num_results"] == 0


@pytest.mark.parametrize("link", ["/v2/_catalog?n=1000", "http://other.example.org/v2/_catalog?n=10&last=a", "/v2/_catalog", "//[", ""])
def test_a_catalogue_that_never_ends_is_not_read_for_ever(ask, registry, link):
    registry.link = link
    assert ask()[0] in (200, 503)
    assert registry.asked <= 5


def test_results_are_sorted_and_each_is_there_once(ask, registry):
    registry.body = b'{"repositories": ["base/b", "base/a/x", "base/a-x", "base/b"]}'
    assert names(ask()) == ["base/a-x", "base/a/x", "base/b"]


def test_many_searches_ask_the_registry_once(ask, registry):
    for _number in range(20):
        assert ask()[0] == 200
    assert registry.asked == 4  # pages


def test_searches_are_answered_only_so_many_at_once(script, directory, rules_file):
    script.MAX_REQUESTS_AT_ONCE = 3
    gate, inside, most = threading.Event(), [], []

    class Slow:
        def names(self):
            inside.append(1)
            most.append(len(inside))
            gate.wait(10)
            inside.pop()
            return NAMES

        def of(self, _registry):
            return self

    with script.Server(listening(directory / "search"), script.RulesFile(str(rules_file)), Slow()) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        answers = []
        clients = [threading.Thread(target=lambda: answers.append(request(directory / "search", "/v1/search", "alice")[0])) for _number in range(12)]
        for client in clients:
            client.start()
        time.sleep(0.2)
        assert len(inside) == 3
        gate.set()
        for client in clients:
            client.join()
        server.shutdown()
    assert answers == [200] * 12
    assert max(most) <= 3


def test_nothing_is_logged_about_searches(ask, capsys):
    ask("q=confidential")
    ask("q=confidential", "mallory")
    ask("q=confidential&n=0")
    assert capsys.readouterr() == ("", "")


def test_a_stopped_service_answers_what_has_begun_and_leaves_the_socket_to_the_next(directory, registry, rules_file):
    registry.delay = 0.1
    listener = listening(directory / "search")
    as_systemd_does = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); os.execv(sys.executable, sys.argv[1:])"
    )
    arguments = [
        sys.executable,
        "-c",
        as_systemd_does,
        str(listener.fileno()),
        str(SCRIPT),
        "--rules",
        str(rules_file),
        "--names",
        str(directory / "registry"),
    ]
    answers = []
    client = threading.Thread(target=lambda: answers.append(request(directory / "search", "/v1/search", "alice")))
    client.start()
    with subprocess.Popen(arguments, pass_fds=[listener.fileno()]) as service:
        while not registry.asked:
            assert service.poll() is None
            time.sleep(0.01)
        service.send_signal(signal.SIGTERM)
        assert service.wait(10) == 0
    client.join()
    assert answers[0][0] == 200
    with subprocess.Popen(arguments, pass_fds=[listener.fileno()]) as service:
        assert request(directory / "search", "/v1/search", "alice")[0] == 200
        service.terminate()


def test_started_without_a_socket_it_says_how_to_start_it():
    done = subprocess.run([sys.executable, str(SCRIPT), "--rules", "x", "--names", "y"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "systemd-socket-activate" in done.stderr
