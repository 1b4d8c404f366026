# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of several hosts and of their store, each so many times while clients push and pull. No acknowledged push may be lost.

The hosts are those of scenario cluster; where they do not run, they are made, and removed afterwards. Prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
SCENARIO, NAME, PORT, USER, PASSWORD = "cluster", "registry.holdfast.test", 5443, "alice", "a password of alice"
CA = f"/etc/docker/certs.d/{NAME}:{PORT}/holdfast-{NAME}_{PORT}.crt"
SERVERS, STORES = ("one", "two"), ("store1", "store2", "store3")
MOST_TO_RECOVER = 120.0  # seconds
GATEWAY, REGISTRY, STORE = "holdfast-gateway.service", "docker-registry.service", "seaweedfs.service"
# Answers everything with the same status and body, with the certificate of the store.
INSTEAD_OF_THE_STORE = """
import http.server, ssl, sys
port, status, body = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(status); self.send_header("Content-Type", "application/xml"); self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/run/store.crt", "/run/store.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def container(name: str) -> str:
    return f"{os.environ.get('HOLDFAST_LAB_PREFIX', 'holdfast')}-test-{SCENARIO}-{name}"


def on(name: str, command: str, given: str | None = None, check: bool = True) -> str:
    """Run a shell command on a host. Returns what it printed."""
    done = subprocess.run(["docker", "exec", "-i", container(name), "sh", "-c", command], input=given, stdout=subprocess.PIPE, text=True, check=check)
    return done.stdout


class Fault(t.NamedTuple):
    """What is done to which hosts, for how many seconds, and how it is undone."""

    name: str
    hosts: t.Sequence[str]
    begin: t.Callable[[str], object]
    end: t.Callable[[str], object]
    seconds: float = 8


def service(verb: str, unit: str) -> t.Callable[[str], object]:
    return lambda host: on(host, f"systemctl {verb} {unit}")


def docker(verb: str) -> t.Callable[[str], object]:
    return lambda host: subprocess.run(["docker", verb, container(host)], stdout=subprocess.DEVNULL, check=True)


def nothing(_host: str) -> None:
    """A fault that ends by itself."""


def both(*steps: t.Callable[[str], object]) -> t.Callable[[str], object]:
    return lambda host: [step(host) for step in steps]


def command(line: str) -> t.Callable[[str], object]:
    return lambda host: on(host, line)


def firewall(action: str, rule: str) -> t.Callable[[str], object]:
    return lambda host: on(host, f"iptables {rule.replace('-A', action)}")


CUT = "-A OUTPUT -p tcp --dport 8333 -j DROP"
UNAVAILABLE, TOO_SKEWED = 18333, 18334
# What S3 says to a host whose clock is off: it signs the time.
SKEWED = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message></Error>"


def instead(port: int) -> str:
    """New connections lead elsewhere; those that are there already are reset."""
    return f"-t nat -A OUTPUT -p tcp --dport 8333 -j REDIRECT --to-ports {port}; iptables -A OUTPUT -p tcp --dport 8333 -j REJECT --reject-with tcp-reset"


# netem, which could delay packets, is in few kernels. What does not fit waits up to 0.3 s, and is dropped then.
NARROW = "tc qdisc {action} dev eth0 root tbf rate 8mbit burst 64kb latency 300ms"
LOSS = "-A INPUT -i eth0 -m statistic --mode random --probability 0.05 -j DROP"
# The programs of containers share a clock, and a program in Go does not ask the library that could tell it another one. So the gateway is told another time,
# and the store's answer to the registry is the one that it would give.
AHEAD = f"""mkdir -p /run/systemd/system/{GATEWAY}.d && cat >/run/systemd/system/{GATEWAY}.d/clock.conf <<END
[Service]
Environment=LD_PRELOAD=$(ls /usr/lib/*/faketime/libfaketime.so.1) FAKETIME=+1h FAKETIME_CACHE_DURATION=3600
END
systemctl daemon-reload; systemctl restart {GATEWAY}"""
RIGHT = f"rm /run/systemd/system/{GATEWAY}.d/clock.conf; systemctl daemon-reload; systemctl restart {GATEWAY}"
# Four fifths of the time the store does nothing.
SLOW = f"P=$(systemctl show -p MainPID --value {STORE}); while :; do kill -STOP $P; sleep 0.4; kill -CONT $P; sleep 0.1; done"
KILL = "kill --signal=KILL"

FAULTS = (
    Fault("kill -9 of a host's registry", ("one",), service(KILL, REGISTRY), nothing),
    Fault("kill -9 of a host's gateway", ("one",), service(KILL, GATEWAY), nothing),
    Fault("a host's registry is stopped", ("one",), service("stop", REGISTRY), service("start", REGISTRY)),
    Fault("a host stands still (power-off)", ("one",), docker("pause"), docker("unpause")),
    Fault("kill -9 of a store node, away for a while", ("store3",), service("stop --signal=KILL", STORE), service("start", STORE)),
    Fault("a store node stands still (power-off)", ("store2",), docker("pause"), docker("unpause")),
    Fault("network cut between a host and the store", ("one",), firewall("-I", CUT), firewall("-D", CUT)),
    Fault("the store answers one host 503", ("one",), firewall("-I", instead(UNAVAILABLE)), firewall("-D", instead(UNAVAILABLE))),
    Fault("the store answers both hosts 503", SERVERS, firewall("-I", instead(UNAVAILABLE)), firewall("-D", instead(UNAVAILABLE))),
    Fault(
        "slow store: all nodes stand still 4/5 of the time",
        STORES,
        lambda host: on(host, f"systemd-run --unit=slow --collect sh -c '{SLOW.replace('$', '$$')}'"),
        lambda host: on(host, f"systemctl stop slow; systemctl kill --signal=CONT {STORE}"),
    ),
    Fault(
        "slow network of a host: 8 Mbit/s, 5 % of packets lost",
        ("one",),
        both(command(NARROW.format(action="add")), firewall("-I", LOSS)),
        both(command(NARROW.format(action="del")), firewall("-D", LOSS)),
    ),
    Fault(
        "the clock of a host is an hour ahead",
        ("one",),
        both(firewall("-I", instead(TOO_SKEWED)), command(AHEAD)),
        both(firewall("-D", instead(TOO_SKEWED)), command(RIGHT)),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=int(os.environ.get("COUNT") or 3), help="times for each fault (%(default)s, or COUNT)")
    parser.add_argument("--only", default="", help="faults that have this in their name")
    parser.add_argument("--keep", action="store_true", help="keep the hosts")
    options = parser.parse_args()
    if not 1 <= options.count <= 100:
        parser.error(f"--count: {options.count} is not between 1 and 100")
    subprocess.run([HERE.parent / "lab" / "lab", "platform"], stdout=subprocess.DEVNULL, check=True)  # starts the engine
    running = subprocess.run(["docker", "ps", "-q", "--filter", f"name=^{container('one')}$"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    try:
        if not running:
            for step in ("create", "converge"):
                subprocess.run(["molecule", step, "--no-command-borders", "--scenario-name", SCENARIO], check=True)
        prepare()
        rows = [repeated(fault, options.count) for fault in FAULTS if options.only in fault.name]
    finally:
        if not running and not options.keep:
            subprocess.run(["molecule", "destroy", "--no-command-borders", "--scenario-name", SCENARIO], check=True)
    print_table(rows)
    sys.exit(any(row["acknowledged pushes lost"] or row["recovered in, s"] == "never" for row in rows))


def prepare() -> None:
    on("client", "cat >/run/load.py", (HERE / "load.py").read_text())
    certificate = {name: on("store1", f"cat /etc/seaweedfs/server.{name}") for name in ("crt", "key")}
    for host in SERVERS:
        on(host, "dpkg-query -W iptables libfaketime >/dev/null 2>&1 || apt-get install -qq --yes --no-install-recommends iptables libfaketime >/dev/null 2>&1")
        for name, content in certificate.items():
            on(host, f"umask 077; cat >/run/store.{name}", content)
        on(host, "cat >/run/instead.py", INSTEAD_OF_THE_STORE)
        for port, status, body in ((UNAVAILABLE, 503, ""), (TOO_SKEWED, 403, SKEWED)):
            unit = f"instead-{status}"
            on(host, f"systemctl is-active -q {unit} || systemd-run -q --unit={unit} python3 /run/instead.py {port} {status} '{body}'")


def repeated(fault: Fault, count: int) -> dict[str, t.Any]:
    """One row of the table: the fault so many times, under one load without pause. What was acknowledged is pulled from each host at the end."""
    on("client", "rm -f /run/load.end /run/load.begun")
    place = f"--name {NAME} --port {PORT} --ca {CA} --user {USER} --until /run/load.end --started /run/load.begun"
    seconds = 120 + count * (fault.seconds + MOST_TO_RECOVER)
    output: list[str] = []
    thread = threading.Thread(target=lambda: output.append(on("client", f"python3 /run/load.py {place} --seconds {seconds}", PASSWORD + "\n", check=False)))
    thread.start()
    on("client", "timeout 90 sh -c 'until test -e /run/load.begun; do sleep 0.2; done'")
    recovered = []
    for _number in range(count):
        time.sleep(2)
        recovered.append(once(fault))
        if recovered[-1] is None:
            break
    time.sleep(2)
    on("client", "touch /run/load.end")
    thread.join()
    found = json.loads(output[0])
    for failure in found["failures"] + found["lost"]:
        print(f"  {fault.name}: {failure}", file=sys.stderr)
    row = {
        "fault": fault.name,
        "times": len(recovered),
        "pushes acknowledged": found.get("pushes", 0),
        "acknowledged pushes lost": len(found["lost"]),
        "pushes failed": found.get("failed pushes", 0),
        "pulls of a cached image": found.get("pulls of the cached image", 0),
        "of them failed": found.get("failed pulls of the cached image", 0),
        "other pulls failed": found.get("failed pulls of pushed images", 0),
        "5xx": found.get("requests answered 5xx", 0),
        "no answer": found.get("requests without an answer", 0),
        "longest, s": found["longest"],
        "recovered in, s": "never" if None in recovered else max(recovered),
    }
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


def once(fault: Fault) -> float | None:
    """Do it, and undo it. Returns in how many seconds the hosts recovered, None where they did not."""
    try:
        for host in fault.hosts:
            fault.begin(host)
        time.sleep(fault.seconds)
    finally:
        for host in fault.hosts:
            fault.end(host)
    return recovery()


def recovery() -> float | None:
    """Seconds until both hosts say that they serve, without anybody's help. None where they do not within MOST_TO_RECOVER."""
    began = time.monotonic()
    while time.monotonic() - began < MOST_TO_RECOVER:
        said = [
            on(host, f"curl -s -m 2 -o /dev/null -w '%{{http_code}}' -k --resolve {NAME}:{PORT}:127.0.0.1 https://{NAME}:{PORT}/healthz", check=False)
            for host in SERVERS
        ]
        if set(said) == {"200"}:
            return round(time.monotonic() - began, 1)
        time.sleep(0.5)
    return None


def print_table(rows: t.Sequence[t.Mapping[str, t.Any]]) -> None:
    if rows:
        print("| " + " | ".join(rows[0]) + " |\n|" + " --- |" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


if __name__ == "__main__":
    main()
