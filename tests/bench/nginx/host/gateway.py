# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the gateway that is measured lives on its host, and what of it matters to a measurement. All of it stands here."""

from __future__ import annotations

NAME = "registry.holdfast.test"
PORT = 443
# where the same images come from a mirror, and what a request for one of them adds
MIRROR_PORT = 5444
MIRRORED = f"?ns={NAME}"
CONFIGURATION = "/etc/holdfast-gateway/nginx.conf"
# what is reloaded under load
UNIT = "holdfast-gateway"
# what still works on guesses when a flood is over
UNITS = ["holdfast-gateway", "holdfast-gateway-passwords"]
# where nginx would put a body that it buffers
BODIES = ["/run/holdfast-gateway/body", "/run/holdfast-gateway/proxy"]
# For how long a password is remembered at least, and after how long it is surely forgotten.
REMEMBERED_SECONDS, FORGOTTEN_SECONDS = 9, 10.5

CERTIFICATE, KEY, CA = "/etc/ssl/holdfast/registry.crt", "/etc/ssl/holdfast/registry.key", "/etc/ssl/holdfast/ca.crt"
STORAGE = "/var/lib/docker-registry"
REGISTRY_SOCKET = "/run/docker-registry/registry.sock"
# who may reach the registry's socket
REGISTRY_GROUP = "docker-registry"
