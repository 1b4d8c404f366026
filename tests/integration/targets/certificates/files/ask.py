# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients say to the certificates, as against what they should. Prints a line for each, and fails where one differs."""

import os
import shutil
import socket
import ssl
import subprocess
import sys

lab = sys.argv[1]
OLD, NEW, BOTH = f"{lab}/before/ca.crt", f"{lab}/ca/ca.crt", f"{lab}/ca/ca-bundle.crt"
wrong = 0


def run(*command, stdin=""):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def say(what, accepted, expected, detail):
    global wrong
    wrong += accepted is not expected
    verdict, answer = "ok   " if accepted is expected else "WRONG", "accepted" if accepted else "refused "
    print(verdict, answer, f"{what}:", (detail.strip().splitlines() or [""])[-1][-110:])


def openssl(host, port, name, trusted):
    where = "-verify_ip" if name[0].isdigit() else "-verify_hostname"
    code, said = run("openssl", "s_client", "-connect", f"{host}:{port}", "-CAfile", trusted, "-no-CApath", "-x509_strict", "-purpose", "sslserver",
                     "-verify_return_error", where, name)  # fmt: skip
    return code == 0, said if code else ""


def curl(host, port, name, trusted):
    code, said = run(
        "curl", "-sS", "--cacert", trusted, "--capath", "/nonexistent", "--connect-to", f"{name}:{port}:{host}:{port}", f"https://{name}:{port}/v2/"
    )
    return code == 0, said


def python(host, port, name, trusted):
    context = ssl.create_default_context(cafile=trusted)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        with socket.create_connection((host, port), timeout=10) as connection, context.wrap_socket(connection, server_hostname=name):
            return True, ""
    except ssl.SSLError as error:
        return False, str(error)


def go(host, port, name, trusted):
    directory = f"{lab}/go"
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory)
    shutil.copy(trusted, f"{directory}/ca.crt")
    _code, said = run("skopeo", "inspect", "--cert-dir", directory, f"docker://{name}:{port}/none")
    return "x509" not in said and "tls" not in said and "404" in said, said


with open("/etc/hosts", encoding="utf-8") as hosts:
    before = hosts.read()
with open("/etc/hosts", "a", encoding="utf-8") as hosts:
    hosts.write("127.0.0.1 registry.holdfast.test registry.example.org\n")
try:
    for host, port, name, trusted, expected in (
        ("127.0.0.1", 7001, "registry.holdfast.test", OLD, True),
        ("127.0.0.1", 7001, "registry.holdfast.test", BOTH, True),
        ("127.0.0.1", 7001, "registry.holdfast.test", NEW, False),
        ("127.0.0.1", 7002, "registry.holdfast.test", BOTH, True),
        ("127.0.0.1", 7002, "127.0.0.1", BOTH, True),
        ("127.0.0.1", 7002, "registry.holdfast.test", NEW, True),
        ("127.0.0.1", 7002, "registry.holdfast.test", OLD, False),
        ("127.0.0.1", 7002, "registry.example.org", BOTH, False),
        ("127.0.0.1", 7003, "registry.example.org", BOTH, False),
        ("127.0.0.2", 7004, "127.0.0.2", BOTH, False),
    ):
        for client in (openssl, curl, python, go):
            accepted, detail = client(host, port, name, trusted)
            say(f"{client.__name__} {name}:{port} trusting {trusted[len(lab) + 1 :]}", accepted, expected, detail)

    # alice's certificate is of the CA before; both of bob's are revoked.
    for certificate, expected in (("before/alice", True), ("before/bob", False), ("tls/bob", False)):
        code, said = run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", BOTH, "--cert", f"{lab}/{certificate}.crt",
                         "--key", f"{lab}/{certificate}.key", "https://127.0.0.1:7005/v2/")  # fmt: skip
        say(f"nginx, the client certificate {certificate}", said == "200", expected, said)
    checks = ("-CAfile", BOTH, "-no-CApath", "-crl_check", "-CRLfile", f"{lab}/ca/ca.crl", "-purpose", "sslclient")
    for certificate, expected in (("before/alice", True), ("before/bob", False), ("tls/bob", False)):
        code, said = run("openssl", "verify", "-x509_strict", *checks, f"{lab}/{certificate}.crt")
        say(f"openssl verify -crl_check {certificate}", code == 0, expected, said)
    code, said = run("openssl", "crl", "-noout", "-text", "-in", f"{lab}/ca/ca.crl", "-CAfile", NEW)
    say("openssl crl", code == 0 and "verify OK" in said and "Cessation Of Operation" in said, True, "")
finally:
    with open("/etc/hosts", "w", encoding="utf-8") as hosts:
        hosts.write(before)
sys.exit(wrong > 0)
