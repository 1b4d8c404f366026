"""Role nginx_auth alone, with a certificate that the user brought."""

import json
import os
import pathlib
import subprocess

import pytest

testinfra_hosts = ["ansible://alone-nginx-auth"]
TLS = "https://images.holdfast.test"
PLAIN = "http://images.holdfast.test:8080"

REQUEST = """
import base64, http.client, json, socket, ssl, sys
tls, method, path, password, headers, size = json.loads(sys.stdin.readline())
class Connection(http.client.HTTPSConnection if tls else http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.create_connection(("127.0.0.1", self.port), 20)
        if tls:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)
options = {"context": ssl.create_default_context(cafile="/etc/ssl/own.crt")} if tls else {}
connection = Connection("images.holdfast.test", 443 if tls else 8080, **options)
if password:
    headers["Authorization"] = "Basic " + base64.b64encode(password.encode()).decode()
connection.request(method, path, body=b"x" * size if size else None, headers=headers)
answer = connection.getresponse()
print(json.dumps([answer.status, [[k.lower(), v] for k, v in answer.getheaders()], answer.read(500).decode(errors="replace")]))
"""


@pytest.fixture
def ask(host):
    host.run(f"cat >/run/ask.py <<'END'\n{REQUEST}\nEND")

    def ask(url, path, method="GET", password="", headers=None, size=0):
        question = json.dumps([url == TLS, method, path, password, headers or {}, size])
        status, headers, body = json.loads(host.check_output(f"python3 /run/ask.py <<'END'\n{question}\nEND"))
        return status, headers, body

    return ask


@pytest.mark.parametrize("url", [TLS, PLAIN])
def test_v2_is_closed_without_the_password_and_open_with_it(ask, url):
    for password in ("", "alice:wrong", "old:wrong", "alice has a password:"):
        status, headers, _body = ask(url, "/v2/", password=password)
        assert status == 401
        assert ["www-authenticate", 'Basic realm="Container registry"'] in headers
    assert ask(url, "/v2/", password="alice:alice has a password")[0] == 200


def test_every_answer_has_the_api_version_once(ask):
    for path, password in (("/v2/", ""), ("/v2/", "alice:alice has a password"), ("/v2/no/such/manifests/1", "alice:alice has a password")):
        headers = ask(TLS, path, password=password)[1]
        assert [value for name, value in headers if name == "docker-distribution-api-version"] == ["registry/2.0"]


@pytest.mark.parametrize("lie", [{}, {"Forwarded": "host=evil.test;proto=http"}, {"X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "http"}])
def test_locations_lead_back_to_where_the_client_came_from(ask, lie):
    for url in (TLS, PLAIN):
        status, headers, _body = ask(url, "/v2/some/app/blobs/uploads/", method="POST", password="alice:alice has a password", headers=lie)
        assert status == 202
        assert dict(headers)["location"].startswith("/v2/some/app/blobs/uploads/")


def test_a_large_upload_is_passed_through_without_a_file_in_between(ask, host):
    _status, headers, _body = ask(TLS, "/v2/some/app/blobs/uploads/", method="POST", password="alice:alice has a password")
    location = dict(headers)["location"]
    host.check_output("truncate -s 0 /var/log/nginx/holdfast-registry.error.log")
    status, _headers, _body = ask(TLS, location, method="PATCH", password="alice:alice has a password", size=64 * 1024 * 1024)
    assert status == 202
    assert "buffered to a temporary file" not in host.file("/var/log/nginx/holdfast-registry.error.log").content_string


def test_a_path_outside_the_api_is_not_passed_on(ask):
    assert ask(TLS, "/debug/vars", password="alice:alice has a password")[0] == 404
    assert ask(TLS, "/_ping")[0] == 200
    assert ask(TLS, "/_ping")[2] == "true"


def test_a_certificate_its_owner_replaced_is_served_after_the_next_run_and_only_that_run_changes_something(host):
    converge = ["ansible-playbook", "-i", os.environ["MOLECULE_PROJECT_DIRECTORY"] + "/molecule/inventory.yml", "../converge.yml"]
    here = pathlib.Path(__file__).parent

    def served():
        return host.check_output("openssl s_client -connect 127.0.0.1:443 </dev/null 2>/dev/null | openssl x509 -noout -serial")

    host.check_output("openssl req -x509 -key /etc/ssl/own.key -days 30 -subj /CN=new -addext subjectAltName=DNS:images.holdfast.test -out /etc/ssl/own.crt")
    renewed = host.check_output("openssl x509 -noout -serial -in /etc/ssl/own.crt")
    assert served() != renewed
    first = subprocess.run(converge, cwd=here, capture_output=True, text=True, check=True).stdout
    assert served() == renewed
    second = subprocess.run(converge, cwd=here, capture_output=True, text=True, check=True).stdout
    assert "changed=0" not in first
    assert "changed=0" in second
