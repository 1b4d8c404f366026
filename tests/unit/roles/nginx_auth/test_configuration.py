# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be told of the gateway's configuration without an nginx."""

from __future__ import annotations

import ipaddress
import pathlib
import re

import pytest
from ansible_collections.holdfast.registry.tests.unit.roles.nginx_auth.rendering import Nginx, rendered, unit

TEMPLATES = pathlib.Path(__file__).parents[4] / "roles/nginx_auth/templates/configuration"
ANSWERS = (TEMPLATES / "what-answers.conf.j2").read_text()
LOCATIONS = dict(re.findall(r"^location @(\w+) \{\n(.*?)^\}", ANSWERS, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("name", LOCATIONS)
def test_what_answers_does_not_have_the_password_checked_again(name):
    assert re.search(r"auth_request (off|/\.forget);|\{\{ refusal\(", LOCATIONS[name])


def test_a_refusal_does_not_have_the_password_checked_again():
    assert "auth_request off;" in re.search(r"macro refusal.*?endmacro", ANSWERS, re.DOTALL)[0]


def test_every_location_that_a_request_can_be_sent_to_is_there():
    sent = set(re.findall(r"@(\w+);", "".join(path.read_text() for path in TEMPLATES.glob("*.j2")))) - {"way", "next"}
    answers = set(re.findall(r"set \$answer (\w+);", "".join(path.read_text() for path in TEMPLATES.glob("*.j2"))))
    assert len(LOCATIONS) > 10
    of_the_store = set(re.findall(r"^location @(\w+) \{", (TEMPLATES / "from-the-store.conf.j2").read_text(), re.MULTILINE))
    assert sent | answers <= set(LOCATIONS) | of_the_store


def test_where_nothing_is_deleted_no_request_for_it_passes():
    """CVE-2026-41888: before 3.1.1 a registry that deletes nothing deletes tags."""
    asked = (TEMPLATES / "what-is-asked.conf.j2").read_text()
    actions = dict(re.findall(r"(\w+:\w+) (\w+);", re.search(r"map \$request_method:\$deletes \$content_action \{(.*?)\}", asked, re.DOTALL)[1]))
    assert (actions.get("DELETE:yes"), actions.get("DELETE:no"), actions.get("DELETE:")) == ("delete", None, None)
    assert {method for method, action in actions.items() if action != "unsupported" and method.endswith(":no")} == {"GET:no", "HEAD:no", "PUT:no"}
    servers = (TEMPLATES / "registries.conf.j2").read_text()
    assert servers.count("set $registry ") == servers.count("set $deletes ") == 2, "a server does not say whether it deletes"


def test_port_80_serves_nothing_but_proofs_and_only_if_asked():
    assert "listen 80" not in rendered()["registries.conf"]
    server = rendered(nginx_auth_challenge_directory="/srv/webroot")["registries.conf"].rpartition("server {")[2]
    assert "listen 80 default_server;" in server
    assert "disable_symlinks on from=$document_root;" in server
    assert re.findall(r"location (.*) \{", server) == [r'~ "\A/[.]well-known/acme-challenge/[A-Za-z0-9_-]+\z"', "/"]


@pytest.mark.parametrize(
    ("settings", "closed"),
    [
        ({}, True),
        ({"nginx_auth_storage_directory": "/srv/home/images"}, True),
        ({"nginx_auth_storage_directory": "/home/images"}, False),
        ({"nginx_auth_certificate_key": "/root/r.key"}, False),
        ({"nginx_auth_challenge_directory": "/home/www"}, False),
        ({"nginx_auth_crl_file": "/root/ca.crl.der"}, False),
        ({"nginx_auth_log_directory": "/home/logs"}, False),
    ],
)
def test_home_directories_are_closed_to_the_gateway_unless_it_needs_something_in_one(settings, closed):
    assert ("\nProtectHome=true\n" in unit("gateway.service", **settings)) is closed


def test_behind_several_proxies_the_client_is_the_last_address_that_is_none_of_them():
    proxies = rendered(nginx_auth_trusted_proxies=["192.0.2.1", "2001:db8::/32"])["nginx.conf"]
    found = re.findall(r"^    (real_ip_recursive|set_real_ip_from|real_ip_header) (.*);$", proxies, re.MULTILINE)
    networks = [("set_real_ip_from", "192.0.2.1"), ("set_real_ip_from", "2001:db8::/32")]
    assert found == [("real_ip_header", "X-Forwarded-For"), ("real_ip_recursive", "on"), *networks]
    assert "real_ip" not in rendered()["nginx.conf"]


def test_the_crl_is_served_without_tls_where_its_url_leads_here():
    crl = {"nginx_auth_crl_file": "/etc/ssl/holdfast/ca.crl.der"}
    server = rendered(nginx_auth_crl_url="http://registry.example.org/pki/ca.crl", **crl)["registries.conf"].rpartition("server {")[2]
    assert re.findall(r"location (.*) \{", server) == ["= /pki/ca.crl", "/"]
    assert "alias /etc/ssl/holdfast/ca.crl.der;" in server
    for url in ("", "https://registry.example.org/ca.crl", "http://registry.example.org:8080/ca.crl"):
        assert "listen 80" not in rendered(nginx_auth_crl_url=url, **crl)["registries.conf"]


def test_only_what_reads_reaches_the_registry_while_nothing_may_be_written():
    nginx = Nginx(rendered())
    writes = {method: nginx("registry_answer", request_method=method) for method in ("PUT", "DELETE", "POST", "PATCH", "BREW")}
    assert set(writes.values()) == {"registry_write"}
    assert {nginx("registry_answer", request_method=method) for method in ("GET", "HEAD")} == {"registry"}


def test_a_blob_by_any_digest_needs_a_link_where_nginx_sees_the_storage():
    """CVE-2026-35172: the registry may remember a link that has been deleted."""
    nginx = Nginx(rendered(nginx_auth_storage_directory="/srv/images"))
    answers = {method: nginx("other_digest_answer", has_files="yes", request_method=method) for method in ("GET", "HEAD", "DELETE")}
    assert answers == {"GET": "linked_blob", "HEAD": "linked_blob", "DELETE": "registry_write"}
    assert {nginx("other_digest_answer", has_files=files, request_method="GET") for files in ("no", "mirror")} == {"registry"}
    assert "if (!-f $storage/repositories/$repository/_layers/$other_algorithm/$other_hex/link) {" in LOCATIONS["linked_blob"]


@pytest.mark.parametrize(("sent", "refused"), [("/v2/?a=%1B", False), ("/v2/\x1b[31m", True), ("/v2/\x7f", True), ("/v2/\xc2\x9b", True)])
def test_what_would_be_an_escape_code_in_the_log_of_errors_is_refused_at_every_port(sent, refused):
    files = rendered(nginx_auth_challenge_directory="/srv/webroot")
    servers = re.findall(r"^server \{\n    listen (?:443|80).*?^\}", files["registries.conf"], re.MULTILINE | re.DOTALL)
    assert [server.count("if ($not_printable) {") for server in servers] == [1, 1]
    assert [server.count("if ($too_long) {") for server in servers] == [1, 1]
    assert [server.count("include cut-short.conf;") for server in servers] == [1, 1]
    pattern = re.search(r'\$not_printable \{\n.*?"~(.*)" 1;', files["nginx.conf"], re.DOTALL)[1]
    assert bool(re.search(pattern, sent)) is refused


def test_a_file_that_is_never_there_is_not_looked_for_with_each_request():
    blocks = re.findall(r"^location .*?^\}", rendered()["where-to.conf"], re.MULTILINE | re.DOTALL)
    decided = [block for block in blocks if "@$next;" in block]
    assert len(decided) > 8
    for block in decided:
        assert "open_file_cache_errors on;" in block
        # Files that come and go must be seen at once.
        assert "(-f" not in block


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", b"\xc0\x00\x02\x07"),
        ("::ffff:192.0.2.7", b"\xc0\x00\x02\x07"),
        ("2001:db8:0:1::7", b"\x20\x01\x0d\xb8\x00\x00\x00\x01"),
    ],
)
def test_a_client_is_counted_by_its_address_however_a_proxy_wrote_it(address, counted):
    packed = ipaddress.ip_address(address).packed.decode("latin-1")
    assert Nginx(rendered())("client_network", binary_remote_addr=packed) == counted.decode("latin-1")


@pytest.mark.parametrize(("version", "spoken"), [("1.18.0", "listen 443 ssl http2;"), ("1.26.3", "    http2 on;")])
def test_http2_is_spoken_only_if_asked_for(version, spoken):
    versions = {"__nginx_auth_packages": {"versions": {"nginx": version}}}
    assert "http2" not in rendered(**versions)["registries.conf"]
    assert spoken in rendered(**versions, nginx_auth_http2=True)["registries.conf"]
    assert "http2" not in rendered(**versions, nginx_auth_http2=True, nginx_auth_tls=False)["registries.conf"]


def test_only_who_is_sent_content_may_stop_reading_for_long():
    files = rendered(nginx_auth_storage_directory="/srv/images", nginx_auth_proxy_timeout=901)
    locations = dict(re.findall(r"^location @(\w+) \{\n(.*?)^\}", files["what-answers.conf"], re.MULTILINE | re.DOTALL))
    assert {name for name, location in locations.items() if "    send_timeout 901s;\n" in location} == {"registry", "blob", "linked_blob", "manifest"}
    assert re.findall(r"send_timeout (\w+);", files["nginx.conf"]) == ["60s", "901s"], "for clients, and for the registry"


def test_a_connection_ends_with_a_request_too_many():
    """It is not counted any more, and what is behind it on the connection could be answered without end."""
    assert "keepalive_timeout 0;" in LOCATIONS["too_many_connections"]


@pytest.mark.parametrize("name", ["challenge", "wrong_password", "too_many_attempts", "denied", "no_certificate", "bad_certificate", "unknown", "token"])
def test_a_connection_without_a_password_ends_early(name):
    """nginx answers whatever a connection has sent before it looks at others."""
    locations = dict(re.findall(r"^location @(\w+) \{\n(.*?)^\}", rendered()["what-answers.conf"], re.MULTILINE | re.DOTALL))
    assert "    keepalive_requests 100;\n" in locations[name]
    assert "keepalive_requests" not in locations["blob"] + locations["registry"]
    assert "    keepalive_requests 1000;\n" in rendered()["nginx.conf"]


@pytest.mark.parametrize(
    ("way", "refusal", "user", "counted"),
    [
        ("challenge", "", "", True),
        ("too_many_attempts", "too-many-attempts", "", True),
        ("no_certificate", "", "alice", True),
        ("token", "", "", True),
        ("token", "", "alice", False),
        ("wrong_password", "unchecked", "", True),
        ("wrong_password", "wrong-password", "", False),
        ("denied", "", "alice", False),
        ("blob", "", "", False),
        ("registry", "", "alice", False),
    ],
)
def test_what_needs_no_password_is_counted_for_the_log(way, refusal, user, counted):
    """Of an open registry too, each pull has its line: the keeper reads there what is in use."""
    assert Nginx(rendered())("next", way=way, refusal=refusal, user=user) == ("counted" if counted else way)


@pytest.mark.parametrize(
    ("status", "action", "logged"),
    [("", "pull", "1"), ("", "login", "1"), ("PASSED", "login", "1"), ("PASSED", "", "1"), ("REJECTED_DRY_RUN", "login", "0"), ("", "", "0")],
)
def test_only_what_exceeds_the_limit_and_what_nginx_refuses_itself_is_not_logged(status, action, logged):
    assert Nginx(rendered())("logged", limit_req_status=status, action=action) == logged


def test_what_no_server_takes_is_counted_before_it_is_answered():
    """What returns in a server or right after an error is over before nginx counts."""
    files = rendered(nginx_auth_challenge_directory="/srv/webroot")
    of_clients = re.findall(r"^server \{\n    listen \d.*?^\}", files["registries.conf"], re.MULTILINE | re.DOTALL)
    assert len(of_clients) == 2
    for server in of_clients:
        assert "return" not in re.sub(r"(?ms)^    location .*?^    \}", "", server)
    answers = files["cut-short.conf"] + files["what-answers.conf"]
    locations = dict(re.findall(r"^location (\S+(?: \S+)?) \{\n(.*?)^\}", answers, re.MULTILINE | re.DOTALL))
    for status, where in re.findall(r"^error_page (4.*) = (\S+);", answers, re.MULTILINE):
        assert "include counted.conf;" in locations[where if where.startswith("@") else f"= {where}"], status


def test_a_client_that_does_not_say_what_it_is_has_no_agent_in_the_log():
    agents = re.search(r"\$logged_agent \{\n(.*?)\n    \}", rendered()["nginx.conf"], re.DOTALL)[1]
    # nginx tries no regular expression on an empty value.
    assert re.search('^ +""      "";$', agents, re.MULTILINE)


def test_the_search_gets_names_from_the_gateway_and_nothing_else():
    served = rendered()["registries.conf"].partition("listen unix:/run/holdfast-gateway/names/names.sock;")[2].partition("\n}\n")[0]
    assert re.findall(r"location (.*) \{", served) == ["= /v2/_catalog", "/"]
    assert "proxy_method GET;" in served
    unit = (TEMPLATES.parent / "units/search.service.j2").read_text()
    assert re.findall("^SupplementaryGroups=(.*)$", unit, re.MULTILINE) == ["{{ __nginx_auth_user }}"]
    assert "PrivateNetwork=true" in unit


def test_while_images_are_moved_whatever_writes_is_refused():
    answers = rendered(nginx_auth_store={"url": "https://store.example.org/bucket"})["what-answers.conf"]
    for location, methods in (("registry_write", "PUT|DELETE"), ("upload", "POST|PATCH|PUT|DELETE"), ("deleted_blob", "DELETE")):
        block = answers.partition(f"location @{location} {{")[2].partition("\n}")[0]
        flag = block.index("if (-f /etc/holdfast-gateway/read-only)")
        assert flag < block.index(f'if ($moving ~ "\\A(?:{methods})\\z")') < block.index("return 403") < block.index("proxy_pass")
        assert block.count("default_type") == 1, "nginx takes it once"
