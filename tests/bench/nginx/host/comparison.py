# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second nginx on the gateway's host, with what the gateway is compared to: no password, auth_basic, a static file.

It is a process of its own with a configuration directory and a user of its own. What decides about speed and has nothing
to do with passwords is read from the gateway's configuration, so that both have it alike.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
import typing as t

import gateway

UNIT = "holdfast-bench-comparison"
DIRECTORY = f"/etc/{UNIT}"
STATIC_FILES = f"/var/lib/{UNIT}"
USER = UNIT
OPEN, BASIC = 8440, 8452
BCRYPT_COST = 12

MAIN = ["worker_processes", "worker_cpu_affinity", "worker_priority", "worker_rlimit_nofile", "pcre_jit"]
EVENTS = ["worker_connections", "multi_accept", "accept_mutex"]
SERVER = [
    "ssl_protocols",
    "ssl_ciphers",
    "ssl_prefer_server_ciphers",
    "ssl_conf_command",
    "ssl_ecdh_curve",
    "ssl_session_cache",
    "ssl_session_tickets",
    "ssl_session_timeout",
    "ssl_buffer_size",
    "keepalive_requests",
    "keepalive_timeout",
    "sendfile",
    "sendfile_max_chunk",
    "tcp_nopush",
    "tcp_nodelay",
    "output_buffers",
    "aio",
    "directio",
    "open_file_cache",
    "open_file_cache_valid",
]

CONFIGURATION = """\
user {user};
pid /run/{unit}.pid;
{main}
events {{
{events}
}}
http {{
    access_log /var/log/nginx/{unit}.access.log combined{log_buffer};
    error_log  /var/log/nginx/{unit}.error.log;
    types {{}}
    default_type application/octet-stream;
    gzip off;
    server_tokens off;
    ssl_certificate     {certificate};
    ssl_certificate_key {key};
{server}
    client_max_body_size 0;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header Forwarded "";
    proxy_set_header Authorization "";

    upstream registry {{
        server unix:{socket};
        keepalive 32;
        keepalive_requests 1000;
    }}
    server {{
        listen 127.0.0.1:{open} ssl{reuseport};
        location / {{ proxy_pass http://registry; }}
        location /static/ {{ alias {static}/; }}
    }}
    server {{
        listen 127.0.0.1:{basic} ssl{reuseport};
        auth_basic           bench;
        auth_basic_user_file {directory}/users.htpasswd;
        location / {{ proxy_pass http://registry; }}
    }}
}}
"""


def start(user: str, password: str) -> None:
    """Start it as a unit that is gone when it stops, with the limits of the gateway's."""
    stop()
    if subprocess.run(["id", USER], capture_output=True, check=False).returncode:
        subprocess.run(["useradd", "--system", "--shell", "/usr/sbin/nologin", "--groups", gateway.REGISTRY_GROUP, USER], check=True)
    for directory in (DIRECTORY, STATIC_FILES):
        os.makedirs(directory, exist_ok=True)
    hashed = output("htpasswd", "-nbB", "-C", str(BCRYPT_COST), user, password)
    write(f"{DIRECTORY}/users.htpasswd", hashed, 0o640, USER)
    write(f"{DIRECTORY}/nginx.conf", make_configuration(output("nginx", "-T", "-q", "-c", gateway.CONFIGURATION)))
    command = ["systemd-run", "--quiet", "--collect", f"--unit={UNIT}", "--property=KillMode=mixed"]
    for line in output("systemctl", "show", "--property=CPUWeight,LimitNOFILE,Nice", gateway.UNIT).splitlines():
        command += [] if line.endswith("=[not set]") else [f"--property={line}"]
    subprocess.run([*command, "/usr/sbin/nginx", "-c", f"{DIRECTORY}/nginx.conf", "-g", "daemon off;"], check=True)
    wait_for(OPEN, UNIT)


def stop() -> None:
    subprocess.run(["systemctl", "stop", UNIT], capture_output=True, check=False)


def make_configuration(ours: str) -> str:
    ours = re.sub(r"(^|\s)#.*", "", ours, flags=re.MULTILINE)
    return CONFIGURATION.format(
        user=USER,
        unit=UNIT,
        main=copy(ours, MAIN, ""),
        events=copy(ours, EVENTS, "    "),
        server=copy(ours, SERVER, "    "),
        certificate=gateway.CERTIFICATE,
        key=gateway.KEY,
        socket=gateway.REGISTRY_SOCKET,
        open=OPEN,
        basic=BASIC,
        directory=DIRECTORY,
        static=STATIC_FILES,
        log_buffer="".join(re.findall(r"\baccess_log [^;]*?((?: (?:buffer|flush)=[^; ]+)+);", ours)[-1:]),
        reuseport=" reuseport" if re.search(r"\blisten [^;]*\breuseport\b", ours) else "",
    )


def copy(ours: str, directives: t.Sequence[str], indent: str) -> str:
    """The directives as the gateway has them, but those of a location or an upstream: what one refusal or the way to the registry has is not what
    clients get. One that stands there more than once counts as it stands last, which is in the server."""
    found: dict[str, list[str]] = {}
    blocks: list[str] = []
    # A value can hold braces or a semicolon only in quotes.
    for text, end in re.findall(r"""((?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^;{}"'])*)([;{}])""", ours):
        words = text.split()
        if end == "{":
            blocks.append(words[0] if words else "")
        elif end == "}":
            # Files that others include stand by themselves in what nginx prints.
            blocks[-1:] = []
        elif words and (not blocks or blocks[-1] in ("http", "server", "events")):
            found.setdefault(words[0], []).append(" ".join(words) + ";")
    lines = []
    for directive in directives:
        values = list(dict.fromkeys(found.get(directive, [])))
        lines += values if directive == "ssl_conf_command" else values[-1:]
    return "\n".join(indent + line for line in lines)


def write(path: str, content: str, mode: int = 0o644, group: str = "root") -> None:
    with open(path, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
    shutil.chown(path, group=group)


def output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def wait_for(port: int, unit: str) -> None:
    for _turn in range(100):
        with socket.socket() as connection:
            if not connection.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.1)
    raise RuntimeError(f"nothing listens on port {port}; see journalctl -u {unit}")
