# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that are the same on all hosts of one registry."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import UNSET, Host

# What clients meet at each host, and what the hosts have to agree on.
_AGREED = (
    *("holdfast_server_name", "holdfast_port", "holdfast_extra_names", "holdfast_users", "holdfast_secrets_directory"),
    *("nginx_auth_users_exclusive", "nginx_auth_groups", "nginx_auth_administrators", "nginx_auth_listing", "nginx_auth_rules"),
    *("nginx_auth_certificate_users", "nginx_auth_client_certificates", "nginx_auth_realm", "virtual_address_router_id"),
    # Whichever host comes first does it, to the images of all.
    *("keeper_bucket_backup", "keeper_collect_grace", "keeper_collect_undo", "keeper_retention"),
)
# The same of what hosts that have this do together.
_TOGETHER = {"keeper_bucket_backup": ("keeper_backup_keep",)}
# What playbooks/site_wiring/vars/main.yml reads from the first host for all: another value elsewhere would have no effect, or half of one.
OF_THE_FIRST = (
    *("acme_challenge", "acme_directory", "acme_issuer_ca", "acme_names", "acme_services", "acme_webroot"),
    *("holdfast_cache_directory", "holdfast_cache_size", "holdfast_certificate_ca", "holdfast_certificate_source", "holdfast_mirror_anonymous"),
    *("holdfast_mirror_client_certificates", "holdfast_mirror_name", "holdfast_mirror_networks", "holdfast_mirror_port", "holdfast_mirrors"),
    *("holdfast_redis_host", "holdfast_registries", "holdfast_storage", "holdfast_virtual_address"),
    *("keeper_access_log", "keeper_backup_configuration_paths", "keeper_backup_password", "keeper_backup_paths", "keeper_backup_repository"),
    *("keeper_certificates", "keeper_exporters", "keeper_freeze_file", "keeper_instances", "keeper_redis_address", "keeper_redis_password", "keeper_state"),
    *("nginx_auth_bcrypt_cost", "nginx_auth_certificate", "nginx_auth_certificate_key", "nginx_auth_challenge_directory", "nginx_auth_client_ca"),
    *("nginx_auth_client_crl", "nginx_auth_crl_file", "nginx_auth_crl_url", "nginx_auth_delete_enabled"),
    *("nginx_auth_further_registries", "nginx_auth_keeper_directory", "nginx_auth_log_directory", "nginx_auth_metrics_sources", "nginx_auth_port"),
    *("nginx_auth_server_aliases", "nginx_auth_server_name", "nginx_auth_status_socket", "nginx_auth_storage_directory", "nginx_auth_store"),
    *("nginx_auth_upstream", "nginx_auth_users"),
    *("pki_ca_directory", "pki_ca_host", "pki_crl_url", "pki_directory", "redis_password"),
    *("registry_delete_enabled", "registry_http_secret", "registry_instances", "registry_metrics_port", "registry_port", "registry_redis_address"),
    *("registry_redis_database", "registry_redis_password", "registry_socket", "registry_storage", "registry_storage_directory", "registry_upstream_name"),
    *("virtual_address_check_url", "virtual_address_ip"),
)
ALIKE = (*_AGREED, *OF_THE_FIRST)


def problems(host: Host, servers: t.Sequence[str]) -> t.Iterator[str]:
    """Which settings of this host are not those of the first one, or of which other host, for the first. No value is shown: some are secret."""
    if host.name not in servers:
        return
    first, *others = servers
    together = [name for what, names in _TOGETHER.items() if host.setting_of(first, what) not in (UNSET, None, {}) for name in names]
    for name in (*ALIKE, *together):
        wanted = host.setting_of(first, name)
        for other in others if host.name == first else [host.name]:
            given = host.setting_of(other, name)
            if _same(given, wanted):
                continue
            how = f"differs between {first} and {other}"
            if UNSET in (given, wanted):
                how = f"is set for {first} and not for {other}" if given is UNSET else f"is set for {other} and not for {first}"
            yield f"{name}: {how}, which are one registry; give it once for all of them, in all: vars: or in the vars: of the group registry_servers"


def _same(one: t.Any, another: t.Any) -> bool:
    """Also where one is a number and the other the same number as text, which Ansible takes for the same."""
    return bool(one == another) or (not isinstance(one, (dict, list)) and not isinstance(another, (dict, list)) and str(one) == str(another))
