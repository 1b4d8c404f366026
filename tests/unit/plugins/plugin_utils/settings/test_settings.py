# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import copy
import functools
import importlib
import pathlib

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.holdfast.registry.plugins.action.check_settings import _as_written
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import Host

ROOT = pathlib.Path(__file__).parents[5]
GROUPS = {"all": ["web", "ca"], "registry_servers": ["web"]}
REQUIRED = {
    "redis": {},
    "registry": {},
    "keeper": {},
    "pki": {"pki_ca_host": "ca", "pki_ca_become": True},
    "docker_client": {"docker_client_registry": "registry.example.org"},
    "nginx_auth": {
        "nginx_auth_server_name": "registry.example.org",
        "nginx_auth_port": 443,
        "nginx_auth_certificate": "/etc/ssl/r.crt",
        "nginx_auth_certificate_key": "/etc/ssl/r.key",
        "nginx_auth_users": [{"name": "alice", "password": "x"}],
    },
    "acme": {"acme_names": ["registry.example.org"]},
    "virtual_address": {},
    "site": {"holdfast_server_name": "registry.example.org", "holdfast_users": [{"name": "alice"}]},
}
MIRROR = {"name": "hub", "port": 5444, "upstream": "127.0.0.1:5001", "mirror": True, "namespaces": ["docker.io"]}
STORE = {"url": "https://store.example.org/bucket"}
KEY = "-----BEGIN PRIVATE KEY-----\nshort\n-----END PRIVATE KEY-----\n"
FILES = {"holdfast_certificate_source": "files", "holdfast_certificate_file": __file__, "holdfast_certificate_key_file": __file__}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"


@functools.cache
def options_of(role):
    return yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]


def problems(role, host=None, **settings):
    checks = importlib.import_module(f"ansible_collections.holdfast.registry.plugins.plugin_utils.settings.{role}")
    spec = getattr(checks, "SPEC", None)
    if spec is None:
        spec = copy.deepcopy(options_of(role))  # whose defaults the validator hands out
    given = {**REQUIRED[role], **settings}
    validated = ArgumentSpecValidator(spec).validate(given, validate_role_argument_spec=True)
    assert validated.error_messages == []
    return checks.problems(_as_written(validated.validated_parameters, given), host or Host("web", groups=GROUPS))


@pytest.mark.parametrize("role", REQUIRED)
def test_the_defaults_are_right(role):
    assert problems(role) == []


@pytest.mark.parametrize(
    ("role", "settings", "refused"),
    [
        ("site", {}, True),
        ("pki", {"pki_ca_host": "ca"}, True),
        # a host that signs for itself could sign what it likes anyway
        ("pki", {"pki_ca_host": "web"}, False),
        ("registry", {}, False),
    ],
)
def test_facts_are_no_variables_where_they_would_decide_about_other_hosts(role, settings, refused):
    found = problems(role, Host("web", groups=GROUPS, facts_become_variables=True), **settings)
    assert [problem.split(":")[0] for problem in found] == (["inject_facts_as_vars"] if refused else [])


def test_a_hash_that_the_gateway_does_not_know_is_refused_by_its_place():
    users = [{"name": "alice", "password": "x"}, {"name": "bob", "password_hash": "$apr1$saltsalt$Xxd1irWT9ycqoYxGFn4cb."}]
    assert [problem.split(":")[0] for problem in problems("nginx_auth", nginx_auth_users=users)] == ["nginx_auth_users[1].password_hash"]


@pytest.mark.parametrize(
    ("role", "settings", "said"),
    [
        ("redis", {"redis_instance": "a b"}, 'redis_instance: "a b" is not a name of lower case letters'),
        ("redis", {"redis_instance": "a\n"}, "redis_instance"),
        ("redis", {"redis_port": 65536}, "redis_port: 65536 is not a port between 1 and 65535"),
        ("redis", {"redis_memory_limit": "0%"}, 'redis_memory_limit: "0%" is neither a size'),
        ("redis", {"redis_memory_limit": "64"}, "redis_memory_limit"),
        ("redis", {"redis_databases": 0}, "redis_databases: 0 is not between 1 and 1024"),
        ("redis", {"redis_bind_addresses": []}, "redis_bind_addresses: is empty"),
        ("redis", {"redis_bind_addresses": ["127.0.0.1", "web"]}, 'redis_bind_addresses[1]: "web" is not an IP address'),
        ("redis", {"redis_bind_addresses": ["192.0.2.1"]}, "redis_password: must be set when"),
        ("redis", {"redis_password": "short"}, "redis_password: needs at least 16 characters"),
        ("redis", {"redis_password": "sixteen letters long"}, "redis_password: needs at least 16 characters, each"),
        ("keeper", {"keeper_reserve": "5 GiB"}, 'keeper_reserve: "5 GiB" is not a size such as 2GB, 500MB or 5%'),
        ("keeper", {"keeper_metrics_schedule": "often"}, "keeper_metrics_schedule"),
        ("keeper", {"keeper_exporters": ["redis"]}, "keeper_redis_address: is needed for the exporter redis"),
        ("keeper", {"keeper_redis_address": "127.0.0.1"}, 'keeper_redis_address: "127.0.0.1" is not ADDRESS:PORT'),
        ("keeper", {"keeper_redis_password": "short"}, "keeper_redis_password: needs at least 16 characters"),
        ("keeper", {"keeper_access_log": "access.log"}, 'keeper_access_log: "access.log" is neither empty nor an absolute path'),
        ("keeper", {"keeper_freeze_file": "read-only"}, 'keeper_freeze_file: "read-only" is neither empty nor an absolute path'),
        ("keeper", {"keeper_collect_schedule": "every day"}, 'keeper_collect_schedule: "every day" is neither empty nor a time'),
        ("keeper", {"keeper_retain_schedule": "25:00"}, "keeper_retain_schedule"),
        ("keeper", {"keeper_collect_grace": "7"}, 'keeper_collect_grace: "7" is not a duration such as 36h'),
        ("keeper", {"keeper_collect_undo": "0d"}, "keeper_collect_undo"),
        ("keeper", {"keeper_scrub_duration": "1"}, 'keeper_scrub_duration: "1" is not a duration'),
        ("keeper", {"keeper_scrub_rate": 0}, "keeper_scrub_rate: 0 is not between 1 and"),
        ("keeper", {"keeper_backup_repository": "backup", "keeper_backup_host": "server"}, "keeper_backup_repository: is neither a directory"),
        (
            "keeper",
            {"keeper_backup_repository": "/srv/backup", "keeper_backup_host": "server", "keeper_backup_password": "short"},
            "keeper_backup_password: needs at least 16",
        ),
        ("keeper", {"keeper_backup_schedule": "at night"}, 'keeper_backup_schedule: "at night" is neither empty nor a time'),
        ("keeper", {"keeper_instances": [{"name": "a", "storage": {"s3": {"bucket": "b"}}}]}, "keeper_instances[0].storage.s3.endpoint: is missing"),
        ("keeper", {"keeper_instances": [{"name": "Team"}]}, "keeper_instances[0].name: 'Team' is not a lower-case letter"),
        ("keeper", {"keeper_instances": [{"name": "a"}, {"name": "a"}]}, "keeper_instances[1].name: 'a' is the name of another instance as well"),
        (
            "keeper",
            {"keeper_instances": [{"name": "a"}, {"name": "b", "storage_directory": "/var/lib/docker-registry-a/b"}]},
            "keeper_instances[1].storage_directory: /var/lib/docker-registry-a/b and that of instance 'a'",
        ),
        ("keeper", {"keeper_instances": [{"name": "a", "storage_directory": "a"}]}, 'keeper_instances[0].storage_directory: "a" is not an absolute path'),
        ("keeper", {"keeper_instances": [{"name": "a", "user": "root"}]}, "keeper_instances[0].user: 'root' is not the user that owns the images"),
        ("keeper", {"keeper_instances": [{"name": "a", "redis_database": 1}]}, "keeper_instances[0].redis_database: needs keeper_redis_address"),
        ("keeper", {"keeper_retention": [{"repositories": ["**"]}]}, "keeper_retention[0]: keeps nothing; give at least one of"),
        (
            "keeper",
            {"keeper_retention": [{"repositories": ["**"], "keep_pulled_within": "9d"}]},
            "keeper_retention[0].keep_pulled_within: needs keeper_access_log",
        ),
        (
            "keeper",
            {"keeper_instances": [{"name": "a", "retention": [{"repositories": ["**"], "keep_newest": 0}]}]},
            "keeper_instances[0].retention[0].keep_newest: 0 is not a number of images",
        ),
        ("keeper", {"keeper_instances": [{"name": "hub", "mirror": True, "retention": []}]}, "keeper_instances[0].retention: is not for a mirror"),
        ("registry", {"registry_port": 0}, "registry_port: 0 is not a port"),
        ("registry", {"registry_socket": "/tmp/registry.sock"}, 'registry_socket: "/tmp/registry.sock" is neither'),
        ("registry", {"registry_storage_directory": "images"}, 'registry_storage_directory: "images" is not an absolute path'),
        ("registry", {"registry_storage_directory": "/srv/a b"}, "registry_storage_directory"),
        ("registry", {"registry_storage_directory": "/srv/images\n"}, "registry_storage_directory"),
        ("registry", {"registry_log_directory": "log"}, 'registry_log_directory: "log" is neither empty nor an absolute path'),
        *(
            (
                role,
                {f"{role}_log_directory": directory},
                f"{role}_log_directory: {directory} belongs to the system; give a directory of its own, such as /var/log/",
            )
            for role in ("registry", "nginx_auth")
            for directory in ("/var/log", "/var/log/", "/srv", "/var")
        ),
        ("registry", {"registry_http_secret": "short"}, "registry_http_secret: needs at least 16 characters"),
        ("registry", {"registry_redis_address": "localhost"}, 'registry_redis_address: "localhost" is not ADDRESS:PORT'),
        ("registry", {"registry_upload_purge_age": "a week"}, 'registry_upload_purge_age: "a week" is not a duration such as 168h'),
        ("registry", {"registry_drain_timeout": 0}, "registry_drain_timeout: 0 is not between 1 and 86400 seconds"),
        ("registry", {"registry_redis_database": 1024}, "registry_redis_database: 1024 is not between 0 and 1023"),
        ("pki", {"pki_ca_host": "elsewhere"}, 'pki_ca_host: "elsewhere" is neither a host of the inventory nor localhost'),
        ("pki", {"pki_directory": "tls"}, 'pki_directory: "tls" is not an absolute path'),
        ("pki", {"pki_ca_host": "localhost", "pki_ca_directory": "ca"}, "pki_ca_directory: 'ca' must be an absolute path"),
        ("pki", {"pki_ca_host": "web", "pki_ca_directory": "/etc/ssl/holdfast/"}, "pki_directory: is pki_ca_directory as well"),
        *(
            (role, {setting: directory, **more}, f"{setting}: {directory} belongs to the system; give a directory of its own, such as /etc/ssl/")
            for role, setting, more in (
                ("pki", "pki_directory", {}),
                ("pki", "pki_ca_directory", {}),
                ("pki", "pki_ca_directory", {"pki_ca_host": "localhost"}),
                ("acme", "acme_directory", {}),
            )
            for directory in ("/", "/etc", "/root/", "/etc/../usr/bin", "/etc/ssl/private")
        ),
        ("pki", {"pki_lifetime_days": 826}, "pki_lifetime_days: 826 is more than the 825 days"),
        ("pki", {"pki_lifetime_days": 30}, "pki_lifetime_days: 30 must be more than pki_renew_before_days (30)"),
        ("pki", {"pki_certificates": [{"name": "web", "names": ["web..example.org"]}]}, "pki_certificates[0].names[0]: 'web..example.org'"),
        ("pki", {"pki_certificates": [{"name": "web", "names": []}]}, "pki_certificates[0].names: is empty"),
        ("pki", {"pki_certificates": [{"name": "ca", "names": ["web"]}]}, "pki_certificates[0].name: 'ca' is taken"),
        ("pki", {"pki_certificates": [{"name": "web", "names": ["web"], "mode": "0644"}]}, "pki_certificates[0].mode: '0644' would open the key"),
        ("pki", {"pki_certificates": [{"name": "web", "names": ["web"], "mode": "rw"}]}, "pki_certificates[0].mode: 'rw' is not an octal number"),
        (
            "pki",
            {"pki_certificates": [{"name": "web", "names": ["web.example.net"]}], "pki_ca_allowed_names": ["*.example.org"]},
            'pki_certificates[0].names[0]: "web.example.net" is not among pki_ca_allowed_names',
        ),
        (
            "pki",
            {"pki_certificates": [{"name": "web", "names": ["a.example.org", "web.example.net"]}], "pki_ca_permitted_dns_domains": ["example.org"]},
            'pki_certificates[0].names[1]: "web.example.net" is not within pki_ca_permitted_dns_domains (example.org)',
        ),
        (
            "pki",
            {"pki_certificates": [{"name": "web", "names": ["web", "192.0.2.200"]}], "pki_ca_permitted_ip_ranges": ["192.0.2.0/25"]},
            'pki_certificates[0].names[1]: "192.0.2.200" is not within pki_ca_permitted_ip_ranges (192.0.2.0/25)',
        ),
        (
            "pki",
            {"pki_certificates": [{"name": "web", "names": ["web"]}], "pki_ca_permitted_dns_domains": ["*.example.org"]},
            "pki_ca_permitted_dns_domains[0]: '*.example.org' must be a domain",
        ),
        ("pki", {"pki_revoked": [{"reason": "superseded"}]}, "pki_revoked[0]: must have either serial or name"),
        (
            "pki",
            {"pki_certificates": [{"name": "web", "names": ["web"]}], "pki_revoked": [{"name": "WEB"}]},
            'pki_revoked[0].name: "WEB" is the name of a certificate in pki_certificates as well',
        ),
        ("docker_client", {"docker_client_registry": "https://registry.example.org"}, "docker_client_registry: 'https://registry.example.org' must be HOST"),
        (
            "docker_client",
            {"docker_client_logins": [{"user": "a", "username": "a", "password": "x"}, {"user": "a", "state": "absent"}]},
            "docker_client_logins[1]: a and registry.example.org are already in docker_client_logins[0]",
        ),
        (
            "docker_client",
            {"docker_client_logins": [{"user": "a", "username": "a", "password": "x", "registry": "https://r.test"}]},
            "docker_client_logins[0].registry: 'https://r.test' must be HOST",
        ),
        ("docker_client", {"docker_client_signature_policy": [{"scope": "team/app"}]}, "docker_client_signature_policy[0].scope: 'team/app' does not begin"),
        ("docker_client", {"docker_client_signature_policy": [{"scope": "r.test"}]}, "docker_client_signature_policy[0].keys: is missing or empty"),
        (
            "docker_client",
            {"docker_client_hosts_address": ["192.0.2.1", "2001:db8::1%eth0"]},
            'docker_client_hosts_address[1]: "2001:db8::1%eth0" is not an IP address',
        ),
        ("docker_client", {"docker_client_hosts_address": 5}, "docker_client_hosts_address: must be an IP address or a list of them"),
        (
            "docker_client",
            {"docker_client_mirrors": [{"upstream": "https://docker.io", "mirror": "m:5444"}]},
            "docker_client_mirrors[0].upstream: 'https://docker.io' must be HOST",
        ),
        (
            "docker_client",
            {"docker_client_mirrors": [{"upstream": "m:5444", "mirror": "M:5444"}]},
            "docker_client_mirrors[0].mirror: M:5444 is the upstream itself",
        ),
        ("docker_client", {"docker_client_mirrors": [{"upstream": "index.docker.io", "mirror": "m:5444"}]}, "'index.docker.io' is 'docker.io' for clients"),
        ("docker_client", {"docker_client_ca_stores": []}, "docker_client_ca_stores: is empty; use auto"),
        (
            "docker_client",
            {
                "docker_client_former_registries": ["old.test:443"],
                "docker_client_logins": [{"user": "a", "username": "a", "password": "x", "registry": "old.test"}],
            },
            "docker_client_logins[0].registry: old.test is in docker_client_former_registries",
        ),
        ("docker_client", {"docker_client_short_names": {"app": "team/app"}}, "docker_client_short_names['app']: 'team/app' is no image with a registry"),
        ("docker_client", {"docker_client_short_names": {"app:1": "r.test/app"}}, "docker_client_short_names: 'app:1' is no name without a registry and a tag"),
        ("docker_client", {"docker_client_search_registries": ["r.test/x"]}, "docker_client_search_registries[0]"),
        (
            "docker_client",
            {"docker_client_clients": ["buildkit"], "docker_client_ca_stores": ["system"], "docker_client_ca_certificate": CERTIFICATE},
            "docker_client_clients: buildkit needs a copy of the CA's certificate",
        ),
        ("docker_client", {"docker_client_engine_version": "newest"}, "docker_client_engine_version: 'newest' is not a version such as 28.3.2, nor latest"),
        ("docker_client", {"docker_client_engine_url": "docker.test"}, 'docker_client_engine_url: "docker.test" is not a URL'),
        ("docker_client", {"docker_client_engine_url": "https://a:b@c/"}, "docker_client_engine_url: must not have a user name or password"),
        ("docker_client", {"docker_client_engine_url": "https://a:b/c@d/"}, "docker_client_engine_url: must not have a user name or password"),
        ("docker_client", {"docker_client_engine_key_url": "https://a/k?t=b"}, 'docker_client_engine_key_url: "https://a/k?********" is not a URL'),
        ("docker_client", {"docker_client_engine_suite": "a b"}, 'docker_client_engine_suite: "a b" is not a word such as trixie'),
        ("docker_client", {"docker_client_engine_component": ""}, "docker_client_engine_component: is empty"),
        ("docker_client", {"docker_client_engine_key": "x", "docker_client_engine_key_url": "https://x/"}, "give one of them"),
        ("docker_client", {"docker_client_engine_fingerprints": ["12"]}, "docker_client_engine_fingerprints[0]: '12' is not the fingerprint of a key"),
        (
            "docker_client",
            {"docker_client_engine": "docker", "docker_client_engine_fingerprints": []},
            "docker_client_engine_fingerprints: is empty",
        ),
        ("docker_client", {"docker_client_daemon": {"debug": None}}, "docker_client_daemon.debug: is empty"),
        ("docker_client", {"docker_client_daemon": {"registry-mirrors": "https://m"}}, "docker_client_daemon.registry-mirrors: must be a list"),
        ("docker_client", {"docker_client_daemon": {"registry-mirrors": ["https://m", 5]}}, "docker_client_daemon.registry-mirrors[1]: must be a string"),
        ("docker_client", {"docker_client_daemon": {"insecure-registries": "m"}}, "docker_client_daemon.insecure-registries: must be a list, such as [192.0.2"),
        ("docker_client", {"docker_client_daemon": {"insecure-registries": [{"m": 1}]}}, "docker_client_daemon.insecure-registries[0]: must be a string"),
        ("docker_client", {"docker_client_registry": "registry:0"}, "docker_client_registry: 'registry:0' has no valid port"),
        ("docker_client", {"docker_client_registry_aliases": ["*.example.org"]}, "docker_client_registry_aliases[0]"),
        ("docker_client", {"docker_client_hosts_address": "web"}, 'docker_client_hosts_address: "web" is not an IP address'),
        ("docker_client", {"docker_client_ca_certificate": "/etc/ca.crt"}, "docker_client_ca_certificate: is not a PEM certificate"),
        ("docker_client", {"docker_client_client_key": "/k"}, "give both or neither"),
        ("docker_client", {"docker_client_client_certificate": "/c", "docker_client_client_key": "/k"}, "needs docker_client_ca_certificate"),
        ("docker_client", {"docker_client_logins": [{"user": "root", "username": "a"}]}, "docker_client_logins[0]: needs password"),
        ("nginx_auth", {"nginx_auth_server_name": "registry.example.org\n"}, "nginx_auth_server_name"),
        ("nginx_auth", {"nginx_auth_server_name": "*.example.org"}, "nginx_auth_server_name: '*.example.org' stands for many names"),
        ("nginx_auth", {"nginx_auth_server_aliases": ["-x"]}, "nginx_auth_server_aliases[0]: '-x'"),
        ("nginx_auth", {"nginx_auth_port": 0}, "nginx_auth_port: 0 is not a port"),
        ("nginx_auth", {"nginx_auth_certificate": ""}, "nginx_auth_certificate: must be the path of a certificate on the host"),
        (
            "nginx_auth",
            {"nginx_auth_certificate_key": "/etc/ssl/r.key;"},
            'nginx_auth_certificate_key: "/etc/ssl/r.key;" is neither empty nor an absolute path',
        ),
        ("nginx_auth", {"nginx_auth_client_certificates": "required"}, "nginx_auth_client_ca: must be the path of the CA of the client certificates"),
        ("nginx_auth", {"nginx_auth_client_ca": "/etc/ssl/ca.crt\n"}, "nginx_auth_client_ca"),
        ("nginx_auth", {"nginx_auth_client_crl": "ca.crl"}, 'nginx_auth_client_crl: "ca.crl" is neither empty nor an absolute path'),
        ("nginx_auth", {"nginx_auth_upstream": "unix:/run/r.sock\n"}, "nginx_auth_upstream"),
        ("nginx_auth", {"nginx_auth_upstream": "127.0.0.1"}, 'nginx_auth_upstream: "127.0.0.1" is neither ADDRESS:PORT nor unix:/PATH'),
        ("nginx_auth", {"nginx_auth_upstream": "127.0.0.1:65536"}, "nginx_auth_upstream"),
        ("nginx_auth", {"nginx_auth_storage_directory": "/srv/images\n"}, "nginx_auth_storage_directory"),
        ("nginx_auth", {"nginx_auth_log_directory": "/var/log/a b"}, "nginx_auth_log_directory"),
        ("nginx_auth", {"nginx_auth_storage_group": "a b"}, "nginx_auth_storage_group"),
        ("nginx_auth", {"nginx_auth_store": {"url": "http://s.example.org/b"}}, "nginx_auth_store.url: is not the https URL of a bucket"),
        ("nginx_auth", {"nginx_auth_store": {**STORE, "cache_directory": "/etc/cache"}}, "nginx_auth_store.cache_directory: is no place for a cache"),
        ("nginx_auth", {"nginx_auth_store": {**STORE, "cache_directory": "/var/cache"}}, "nginx_auth_store.cache_directory: is no place for a cache"),
        ("nginx_auth", {"nginx_auth_store": {**STORE, "cache_directory": "cache"}}, "nginx_auth_store.cache_directory"),
        ("nginx_auth", {"nginx_auth_store": {**STORE, "ca_certificate": "x"}}, "nginx_auth_store.ca_certificate: is not a PEM certificate"),
        ("nginx_auth", {"nginx_auth_store": {**STORE, "ca_certificate": KEY}}, "nginx_auth_store.ca_certificate: holds a private key"),
        ("nginx_auth", {"nginx_auth_store": STORE, "nginx_auth_storage_directory": "/srv"}, "nginx_auth_storage_directory: must be empty where"),
        ("nginx_auth", {"nginx_auth_store_memory_seconds": 86401}, "nginx_auth_store_memory_seconds: 86401 is not between"),
        ("nginx_auth", {"nginx_auth_further_registries": [{**MIRROR, "store": STORE}]}, "nginx_auth_further_registries[0].store: is not for a mirror"),
        ("nginx_auth", {"nginx_auth_realm": 'a"b'}, "nginx_auth_realm: may have letters"),
        ("nginx_auth", {"nginx_auth_realm": "a\n"}, "nginx_auth_realm"),
        ("nginx_auth", {"nginx_auth_trusted_proxies": ["proxy"]}, 'nginx_auth_trusted_proxies[0]: "proxy" is not an address or a network'),
        ("nginx_auth", {"nginx_auth_health_networks": ["balancer"]}, 'nginx_auth_health_networks[0]: "balancer" is not an address or a network'),
        ("nginx_auth", {"nginx_auth_keeper_directory": "/run/a", "nginx_auth_metrics_networks": ["x"]}, "nginx_auth_metrics_networks[0]"),
        ("nginx_auth", {"nginx_auth_keeper_directory": "/run/a", "nginx_auth_metrics_users": ['a"']}, "nginx_auth_metrics_users[0]"),
        ("nginx_auth", {"nginx_auth_metrics_users": ["alice"]}, "nginx_auth_keeper_directory: must be the directory that the role keeper writes"),
        ("nginx_auth", {"nginx_auth_keeper_directory": "run"}, "nginx_auth_keeper_directory"),
        ("nginx_auth", {"nginx_auth_status_socket": "/run/other/status.sock"}, "nginx_auth_status_socket"),
        ("nginx_auth", {"nginx_auth_metrics_sources": [{"name": "registry", "address": "127.0.0.1:1"}]}, "nginx_auth_metrics_sources[0].name"),
        ("nginx_auth", {"nginx_auth_metrics_sources": [{"name": "redis", "address": "192.0.2.1:1"}]}, "nginx_auth_metrics_sources[0].address"),
        *(
            (
                "nginx_auth",
                {"nginx_auth_metrics_sources": [{"name": name, "address": "127.0.0.1:9113"}]},
                f"nginx_auth_metrics_sources[0].name: '{name}' is taken; choose another",
            )
            for name in ("default", "hostnames", "include", "volatile")
        ),
        (
            "nginx_auth",
            {"nginx_auth_metrics_sources": [{"name": "a", "address": "127.0.0.1:9113"}, {"name": "a", "address": "127.0.0.1:9114"}]},
            "nginx_auth_metrics_sources[1].name: 'a' is the name of another source as well",
        ),
        ("nginx_auth", {"nginx_auth_metrics_sources": [{"name": "a", "address": "127.0.0.1:65536"}]}, "nginx_auth_metrics_sources[0].address"),
        *(
            ("nginx_auth", {setting: [written], "nginx_auth_keeper_directory": "/run/a"}, f'{setting}[0]: "{written}" {said}')
            for setting in ("nginx_auth_trusted_proxies", "nginx_auth_health_networks", "nginx_auth_metrics_networks")
            for written, said in (
                ("10.0.0.0/255.0.0.0", "has a mask that nginx does not know; write 10.0.0.0/8"),
                ("10.0.0.0/0.255.255.255", "has a mask that nginx does not know; write 10.0.0.0/8"),
                ("fe80::1%eth0", "is not an address or a network such as"),
                ("fe80::%eth0/64", "is not an address or a network such as"),
            )
        ),
        *(
            ("nginx_auth", {"nginx_auth_upstream": upstream}, f'nginx_auth_upstream: "{upstream}" is neither ADDRESS:PORT nor unix:/PATH')
            for upstream in ("[::::]:5000", "[127.0.0.1]:5000", "127.0.0.256:5000", "a..b:5000", "127.0.0.1:0", "user@host:5000", "http://127.0.0.1:5000")
        ),
        *(
            ("nginx_auth", {"nginx_auth_status_socket": f"/run/holdfast-gateway/{name}"}, f"nginx_auth_status_socket: {said}")
            for name, said in (
                ("memory.sock", "memory.sock is the gateway's own"),
                ("nginx.pid", "nginx.pid is the gateway's own"),
                ("..", "must be a socket in the gateway's own directory"),
                ("body", "must be a socket in the gateway's own directory"),
            )
        ),
        ("registry", {"registry_metrics_port": 5000}, "registry_metrics_port: 5000 is registry_port as well"),
        ("nginx_auth", {"nginx_auth_attempts_per_minute": 0}, "nginx_auth_attempts_per_minute: 0 is not between"),
        ("nginx_auth", {"nginx_auth_users": [{"name": "alice"}]}, "nginx_auth_users[0]: needs a password or a password_hash"),
        ("nginx_auth", {"nginx_auth_users": [{"name": "alice", "password": None}]}, "nginx_auth_users[0].password: has no value"),
        ("nginx_auth", {"nginx_auth_certificate_users": ["build bot"]}, "nginx_auth_certificate_users[0]: 'build bot' cannot be read"),
        ("nginx_auth", {"nginx_auth_administrators": ["bob"]}, 'nginx_auth_administrators[0]: there is no user "bob"'),
        (
            "nginx_auth",
            {"nginx_auth_further_registries": [{"name": "mirror", "port": 5444, "upstream": "mirror\n:1"}]},
            "nginx_auth_further_registries[0].upstream",
        ),
        (
            "nginx_auth",
            {"nginx_auth_further_registries": [{**MIRROR, "namespaces": ["Docker.io"]}]},
            "nginx_auth_further_registries[0].namespaces[0]: 'Docker.io'",
        ),
        ("nginx_auth", {"nginx_auth_further_registries": [{**MIRROR, "mirror": False}]}, "nginx_auth_further_registries[0].namespaces: only a mirror"),
        ("nginx_auth", {"nginx_auth_further_registries": [{**MIRROR, "networks": ["office"]}]}, 'nginx_auth_further_registries[0].networks[0]: "office"'),
        ("site", {"holdfast_server_name": ""}, "holdfast_server_name: must be the name by which the registry is reached"),
        ("site", {"holdfast_server_name": "my_registry"}, "an underscore is not allowed"),
        ("site", {"holdfast_server_name": "registry.example.org:5443"}, "give it without the port, which holdfast_port sets"),
        ("site", {"holdfast_server_name": "https://registry.example.org/"}, "give the name alone, without https://"),
        ("site", {"holdfast_extra_names": ["192.0.2.10:443"]}, "holdfast_extra_names[0]: '192.0.2.10:443'"),
        ("site", {"holdfast_extra_names": ["192.0.2.10:443"]}, "; give it without the port"),
        ("site", {"holdfast_server_name": "registry..example.org"}, "holdfast_server_name: 'registry..example.org'"),
        ("site", {"holdfast_extra_names": ["-x"]}, "holdfast_extra_names[0]: '-x'"),
        ("site", {"holdfast_port": 0}, "holdfast_port: 0 is not a port"),
        ("site", {"holdfast_users": []}, "holdfast_users: must be a list of users"),
        ("site", {"holdfast_users": [{"name": "a:b"}]}, "holdfast_users[0].name"),
        ("site", {"holdfast_users": [{"name": "a", "password": None}]}, "holdfast_users[0].password: is empty; leave the line out"),
        ("site", {"holdfast_users": [{"name": "a"}, {"name": "holdfast-verify"}]}, "holdfast_users[1].name: 'holdfast-verify' is the user that proves"),
        ("site", {"nginx_auth_tls": False}, "nginx_auth_tls: must be true for site.yml: Docker refuses a registry without TLS"),
        ("site", {**FILES, "holdfast_certificate_file": ""}, "holdfast_certificate_file: must be the path of the certificate with its chain"),
        ("site", {**FILES, "holdfast_certificate_file": "/nonexistent"}, "holdfast_certificate_file: /nonexistent is not the absolute path of a file on the"),
        ("site", {**FILES, "holdfast_certificate_key_file": "registry.key"}, "holdfast_certificate_key_file: registry.key is not the absolute path of a file"),
        ("site", {**FILES, "holdfast_certificate_key": KEY}, "holdfast_certificate_key_file and holdfast_certificate_key: give one of them"),
        ("site", {**FILES, "holdfast_certificate_key_file": ""}, "holdfast_certificate_key_file and holdfast_certificate_key: give one of them"),
        ("site", {**FILES, "holdfast_certificate_key_file": "", "holdfast_certificate_key": "short"}, "holdfast_certificate_key: is not a private key"),
        ("site", {**FILES, "holdfast_certificate_files_on_server": True, "holdfast_certificate_file": "x.crt"}, "holdfast_certificate_file: "),
        ("site", {**FILES, "holdfast_certificate_ca": "ca.crt"}, "holdfast_certificate_ca: is not a PEM certificate"),
        ("site", {**FILES, "holdfast_certificate_ca": CERTIFICATE + KEY}, "holdfast_certificate_ca: holds a private key"),
        ("site", {"holdfast_certificate_file": __file__}, "holdfast_certificate_file: has no effect without holdfast_certificate_source: files"),
        ("site", {"holdfast_certificate_ca": CERTIFICATE}, "holdfast_certificate_ca: goes with holdfast_certificate_source: files or acme"),
        ("acme", {"acme_names": []}, "acme_names: is empty"),
        ("acme", {"acme_names": ["a..b"]}, "acme_names[0]: 'a..b'"),
        ("acme", {"acme_names": ["registry.example.org", "192.0.2.1"]}, 'acme_names[1]: "192.0.2.1" is an address'),
        ("acme", {"acme_names": ["*.example.org"]}, 'acme_names[0]: "*.example.org" is a wildcard, which takes acme_challenge: dns-01'),
        ("acme", {"acme_challenge": "dns-01"}, "acme_dns_hook: must be the path of a program"),
        ("acme", {"acme_challenge": "dns-01", "acme_dns_hook": "/bin/a; b"}, 'acme_dns_hook: "/bin/a; b" is not an absolute path'),
        ("acme", {"acme_server": "http://acme.example.org/"}, 'acme_server: "http://acme.example.org/" is not the URL of an ACME directory'),
        ("acme", {"acme_server_ca": "/etc/ca.crt"}, "acme_server_ca: is not a PEM certificate"),
        ("acme", {"acme_email": "nobody"}, 'acme_email: "nobody" is not an e-mail address'),
        ("acme", {"acme_eab_kid": "1"}, "acme_eab_kid and acme_eab_hmac_key: give both or neither"),
        ("acme", {"acme_eab_kid": "1", "acme_eab_hmac_key": "short\n"}, "acme_eab_hmac_key: is not in base64url"),
        ("acme", {"acme_eab_kid": "1\nserver = x", "acme_eab_hmac_key": "abc"}, "acme_eab_kid: may have letters"),
        ("acme", {"acme_preferred_chain": "-x"}, "acme_preferred_chain: is not the common name of a CA"),
        ("acme", {"acme_renew_percent": 0}, "acme_renew_percent: 0 is not between 1 and 99 percent"),
        ("acme", {"acme_services": [{"name": "nginx"}]}, 'acme_services[0].name: "nginx" is not the name of a service'),
        ("acme", {"acme_services": [{"name": "nginx.service", "port": 70000}]}, "acme_services[0].port: 70000 is not a port"),
        ("nginx_auth", {"nginx_auth_challenge_directory": "webroot"}, 'nginx_auth_challenge_directory: "webroot" is neither empty nor an absolute path'),
        ("nginx_auth", {"nginx_auth_challenge_directory": "/srv/w", "nginx_auth_port": 80}, "nginx_auth_port: 80 is where nginx_auth_challenge_directory"),
        (
            "site",
            {"holdfast_secrets_directory": "secrets"},
            'holdfast_secrets_directory: secrets must be an absolute path on the controller, such as "{{ inventory_dir }}/secrets", or',
        ),
        ("site", {"holdfast_server_address": "web"}, 'holdfast_server_address: "web" is not an IP address'),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(role, settings, said):
    found = "; ".join(problems(role, **settings))
    assert said in found
    assert "short" not in found.replace("short_names", "") and "sixteen letters" not in found  # no secret in a message


@pytest.mark.parametrize(
    ("role", "settings"),
    [
        ("redis", {"redis_bind_addresses": ["127.0.0.1", "192.0.2.1"], "redis_password": "sixteen-characters-at-least", "redis_memory_limit": "1GB"}),
        ("registry", {"registry_redis_address": "[::1]:6380", "registry_log_directory": "", "registry_socket": "/run/docker-registry/registry.sock"}),
        (
            "pki",
            {
                "pki_ca_host": "localhost",
                "pki_ca_directory": "~/ca",
                "pki_certificates": [{"name": "w", "names": ["*.example.org", "2001:db8::7"], "group": "adm", "mode": "0640"}],
            },
        ),
        (
            "nginx_auth",
            {"nginx_auth_further_registries": [MIRROR, {**MIRROR, "name": "github", "namespaces": ["ghcr.io"]}, {**MIRROR, "port": 1, "name": "x"}]},
        ),
        ("nginx_auth", {"nginx_auth_client_certificates": False, "nginx_auth_trusted_proxies": ["127.0.0.1", "2001:db8::/32"]}),
        ("docker_client", {"docker_client_registry": "[2001:db8::5]:5000", "docker_client_ca_certificate": CERTIFICATE}),
        ("docker_client", {"docker_client_state": "absent", "docker_client_ca_stores": []}),
        (
            "docker_client",  # as after a change of the name and back, and a user who is to be logged out
            {
                "docker_client_former_registries": ["registry.example.org:443", "old.test"],
                "docker_client_logins": [
                    {"user": "a", "username": "a", "password": "x", "registry": "registry.example.org"},
                    {"user": "b", "registry": "old.test", "state": "absent"},
                ],
            },
        ),
        (
            "docker_client",
            {"docker_client_state": "absent", "docker_client_client_certificate": "/c", "docker_client_client_key": "/k"},
        ),
        ("acme", {"acme_names": ["*.example.org"], "acme_challenge": "dns-01", "acme_dns_hook": "/usr/local/bin/hook", "acme_email": "a@example.org"}),
        ("acme", {"acme_names": [], "acme_state": "absent"}),
        ("acme", {"acme_eab_kid": "kid-1", "acme_eab_hmac_key": "zWND_-Q", "acme_services": [{"name": "nginx.service", "port": 443}]}),
        ("nginx_auth", {"nginx_auth_challenge_directory": "/srv/webroot"}),
        *(
            ("nginx_auth", {"nginx_auth_upstream": upstream})
            for upstream in ("registry:5000", "[2001:db8::1]:5000", "192.0.2.1:1", "unix:/run/r/registry.sock")
        ),
        ("nginx_auth", {"nginx_auth_health_networks": ["192.0.2.7/24", "::1", "0.0.0.0/0"], "nginx_auth_status_socket": "/run/holdfast-gateway/status.sock"}),
        ("site", FILES),
        ("site", {"holdfast_secrets_directory": "~/registry"}),
        ("site", {"holdfast_secrets_directory": "/srv/our registry"}),
        ("site", {**FILES, "holdfast_certificate_key_file": "", "holdfast_certificate_key": KEY, "holdfast_certificate_ca": CERTIFICATE}),
        ("site", {**FILES, "holdfast_certificate_files_on_server": True}),
        ("site", {"holdfast_certificate_source": "acme", "holdfast_certificate_ca": CERTIFICATE}),
        (
            "docker_client",
            {
                "docker_client_hosts_address": ["192.0.2.1", "2001:db8::1"],
                "docker_client_mirrors": [{"upstream": "docker.io", "mirror": "[2001:db8::5]:5444"}],
                "docker_client_short_names": {"team/app": "r.test:5000/team/app"},
            },
        ),
        ("site", {"holdfast_server_name": "Registry.Example.org", "holdfast_extra_names": ["registry", "192.0.2.1", "2001:db8::5"]}),
    ],
)
def test_what_is_right_is_let_through(role, settings):
    assert problems(role, **settings) == []


def test_a_host_that_cannot_be_served_is_named():
    host = Host("web", {"os_family": "RedHat", "distribution": "Fedora", "service_mgr": "sysvinit"}, GROUPS)
    assert problems("site", host) == [
        "web: runs Fedora; Ubuntu and Debian are what this playbook serves",
        "web: has no systemd as process 1 (sysvinit), which starts and guards the services",
    ]
