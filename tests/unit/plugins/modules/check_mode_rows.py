# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The table of test_check_mode_table.py: starting states, arguments, and words the result must hold."""

from __future__ import annotations

import base64
import json
import pathlib
import shutil
import typing as t

from ansible_collections.holdfast.registry.tests.unit.plugins.modules.image_registry import FakeRegistry
from ansible_collections.holdfast.registry.tests.unit.plugins.modules.object_store import FakeStore
from ansible_collections.holdfast.registry.tests.unit.plugins.openpgp_keys import FINGERPRINTS, KEYS

MODULES = pathlib.Path(__file__).parents[4] / "plugins/modules"
UPDATE = shutil.which("update-ca-certificates", path="/usr/sbin:/usr/bin:/sbin:/bin")

# BOB, COST_5 and APR1 are hashes of PASSWORD.
BOB = "$2y$04$FXtit3vFM.kOtHdcLNpnoOXiz8ltA9kGBakpq62gdEiN/xXb9mJZm"
COST_5 = "$2y$05$7LjuuEoYDh2qPiJNEv79JehlmmihIM.Cnhy1h/7lJEIhspSPDNEai"
OTHER = "$2y$10$K7dXsHgJjtJlQF8mmnWwO.AvT3EaAM0EfvYFhEJSrESSit3N//gp."
APR1 = "$apr1$pK3ZZAJY$Nuk/ULU66dudcJNB9VZgd1"
PASSWORD, OLD, PASSPHRASE = "correct-horse", "old-battery", "correct horse"
SECRETS = [PASSWORD, OLD, PASSPHRASE, BOB, COST_5, OTHER, APR1, "PRIVATE KEY"]
SECRETS += [base64.b64encode(f"alice:{word}".encode()).decode() for word in (PASSWORD, OLD)]


class Row(t.NamedTuple):
    """prepare() makes the starting state on a host and returns the arguments. repeats: a second run does it again, on purpose."""

    module: str
    title: str
    says: str
    prepare: t.Callable[[t.Any], dict[str, t.Any]]
    refused: bool = False
    repeats: bool = False


ROWS: list[Row] = []


# htpasswd: the file before, the users, further parameters


def htpasswd(title: str, content: str | None, users: list[t.Any], says: str, *, mode: int = 0o640, refused: bool = False, **parameters: t.Any) -> None:
    def prepare(host: t.Any) -> dict[str, t.Any]:
        if content is not None:
            host.write("htpasswd", content, mode)
        return {"path": str(host.path / "htpasswd"), "users": users, "bcrypt_cost": 4, **parameters}

    ROWS.append(Row("htpasswd", title, says, prepare, refused))


def user(name: str, **values: str) -> dict[str, str]:
    return {"name": name, **values}


ALICE, BOB_USER, GONE = user("alice", password=PASSWORD), user("bob", password_hash=BOB), user("mallory", state="absent")

htpasswd("no file, a user", None, [ALICE], "created")
htpasswd("no file, a ready hash", None, [BOB_USER], "created")
htpasswd("no file, no users", None, [], '"changed": false')
htpasswd("no file, only an absent user", None, [GONE], '"changed": false')
htpasswd("an empty file", "", [ALICE], "missing")
htpasswd("the same hash", f"bob:{BOB}\n", [BOB_USER], '"changed": false')
htpasswd("the same hash under its other name", f"bob:{BOB.replace('$2y$', '$2b$')}\n", [BOB_USER], '"changed": false')
htpasswd("another hash", f"bob:{OTHER}\n", [BOB_USER], "password_hash differs")
htpasswd("the same password", f"alice:{BOB}\n", [ALICE], '"changed": false')
htpasswd("another password", f"alice:{BOB}\n", [user("alice", password=OLD)], "password changed")
htpasswd("a lower cost", f"alice:{BOB}\n", [ALICE], "cost 4 -> 5", bcrypt_cost=5)
htpasswd("a higher cost", f"alice:{COST_5}\n", [ALICE], '"changed": false')
htpasswd("a higher cost and another password", f"alice:{COST_5}\n", [user("alice", password=OLD)], "password changed")
htpasswd("an older scheme", f"alice:{APR1}\n", [ALICE], "scheme apr1 -> bcrypt")
htpasswd("text in clear", "alice:in-clear\n", [ALICE], "scheme unknown -> bcrypt")
htpasswd("a ready hash of an older scheme", f"alice:{APR1}\n", [user("alice", password_hash=APR1)], '"changed": false')
htpasswd("on_create leaves a user alone", f"alice:{APR1}\n", [ALICE], '"changed": false', update_password="on_create")
htpasswd("on_create adds a user", f"bob:{BOB}\n", [ALICE], "missing", update_password="on_create")
htpasswd("an absent user", f"bob:{BOB}\nmallory:{BOB}\n", [GONE], "state is absent")
htpasswd("an absent user who is not there", f"bob:{BOB}\n", [GONE], '"changed": false')
htpasswd("the last user absent", f"mallory:{BOB}\n", [GONE], "state is absent")
htpasswd("exclusive removes others", f"bob:{BOB}\nmallory:{BOB}\n", [BOB_USER], "exclusive is true", exclusive=True)
htpasswd("exclusive without users", f"bob:{BOB}\n", [], "exclusive is true", exclusive=True)
htpasswd("exclusive with comments", f"# by hand\n\nbob:{BOB}\n", [BOB_USER], "", exclusive=True)
htpasswd("comments and blank lines", f"# by hand\n\nbob:{OTHER}\n  # more\n", [ALICE, BOB_USER, GONE], "password_hash differs")
htpasswd("a duplicate", f"bob:{BOB}\nbob:{OTHER}\n", [BOB_USER], "duplicate of bob")
htpasswd("a duplicate of a user who is not listed", f"bob:{BOB}\nbob:{OTHER}\n", [ALICE], "duplicate of bob")
htpasswd("no new line at the end", f"bob:{BOB}", [ALICE], "missing")
htpasswd("text after a second colon", f"bob:{OTHER}:Bob\n", [BOB_USER], "password_hash differs")
htpasswd("another mode", f"bob:{BOB}\n", [BOB_USER], "mode 0644 -> 0640", mode=0o644)
htpasswd("another mode and another user", f"bob:{BOB}\n", [ALICE], "mode 0640 -> 0600", mode=0o640)
ROWS.pop()
htpasswd("a backup", f"bob:{OTHER}\n", [BOB_USER], "password_hash differs", backup=True)
htpasswd("a backup of nothing", None, [BOB_USER], "created", backup=True)
htpasswd("a backup of what stays", f"bob:{BOB}\n", [BOB_USER], '"changed": false', backup=True)
htpasswd("a name with a space and an umlaut", None, [user("Alice Müller", password=PASSWORD)], "missing")
htpasswd("a malformed line", f"bob:{BOB}\nrubbish\n", [ALICE], "line 2 is neither", refused=True)
htpasswd("a user twice", None, [BOB_USER, BOB_USER], "users[1].name", refused=True)
htpasswd("a user without a password", None, [user("alice")], "users[0]: needs a password", refused=True)
htpasswd("a hash that is none", None, [user("alice", password_hash="x")], "users[0].password_hash", refused=True)
htpasswd("a cost too high", None, [ALICE], "bcrypt_cost: 18", refused=True, bcrypt_cost=18)


# CA: what was done before, the arguments


def ca(title: str, before: dict[str, t.Any] | None, arguments: dict[str, t.Any], says: str, *, day: int = 0, refused: bool = False, harm: t.Any = None) -> None:
    def prepare(host: t.Any) -> dict[str, t.Any]:
        directory = str(host.path / "ca")
        if before is not None:
            host.done("ca", directory=directory, **before)
        if harm:
            harm(host.path / "ca")
        host.day = day
        return {"directory": directory, **arguments}

    ROWS.append(Row("ca", title, says, prepare, refused))


SECRET = {"passphrase": PASSPHRASE}
ca("no directory", None, {}, "missing")
ca("no directory, an encrypted key", None, SECRET, "missing")
ca("no directory, a limited CA", None, {"permitted_dns_domains": ["example.org"]}, "missing")
ca("no directory, Ed25519", None, {"key_type": "ed25519"}, "missing")
ca("as it should be", {}, {}, '"changed": false')
ca("as it should be, encrypted", SECRET, SECRET, '"changed": false')
ca("about to expire", {}, {}, "expires in 50 days", day=3600)
ca("expired", {}, {}, "expired", day=4000)
ca("another name", {}, {"common_name": "Another"}, "common name changed from Holdfast registry CA to Another")
ca("a new limit", {}, {"permitted_dns_domains": ["example.org"]}, "name constraints changed")
ca("no limit any more", {"permitted_dns_domains": ["example.org"]}, {}, "name constraints changed")
ca("a passphrase for an open key", {}, SECRET, "key not encrypted")
ca("another lifetime changes nothing by itself", {}, {"lifetime_days": 1000}, '"changed": false')
ca("a key that everybody can read", {}, {}, "key not mode 0600", harm=lambda directory: (directory / "ca.key").chmod(0o644))
ca("a lost certificate", {}, {}, "missing", harm=lambda directory: (directory / "ca.crt").unlink())
ca("a lost key", {}, {}, "is there without its key", harm=lambda directory: (directory / "ca.key").unlink(), refused=True)
ca("a damaged key", {}, {}, "holds no private key", harm=lambda directory: (directory / "ca.key").write_text("x"), refused=True)
ca("the wrong passphrase", SECRET, {"passphrase": "wrong"}, "passphrase: does not open", refused=True)
ca("no passphrase for an encrypted key", SECRET, {}, "encrypted", refused=True)
ca("a lifetime shorter than the time to renew", None, {"lifetime_days": 10}, "lifetime_days: 10 must be greater", refused=True)
ca("a new key", {}, {"generation": 2}, "generation changed from 1 to 2")
ca("a new key of another type, encrypted", SECRET, {**SECRET, "generation": 2, "key_type": "ec-p384"}, "generation changed from 1 to 2")
ca("a new key, and no overlap", {}, {"generation": 2, "keep_previous": False}, "generation changed from 1 to 2")
ca("the overlap ends", {"generation": 2}, {"generation": 2, "keep_previous": False}, '"changed"')
ca("an older generation", {"generation": 2}, {}, "generation: the CA in", refused=True)
ca("another passphrase", SECRET, {**SECRET, "new_passphrase": "correct horse 2"}, "passphrase changed")
ca("limited to addresses", {}, {"permitted_ip_ranges": ["192.0.2.0/24"]}, "name constraints changed")
ca("an old CRL", {}, {}, "ca.crl", day=500)
ca("a lost CRL", {}, {}, "ca.crl", harm=lambda directory: (directory / "ca.crl").unlink())
ca("a range that is none", None, {"permitted_ip_ranges": ["192.0.2.300/24"]}, "permitted_ip_ranges[0]", refused=True)


# Certificates: what was done before, then a request


def entry(name: str = "registry", **values: t.Any) -> dict[str, t.Any]:
    return {"name": name, "names": [f"{name}.example.org", "192.0.2.10"], **values}


def issue(host: t.Any, *entries: dict[str, t.Any], **authority: t.Any) -> dict[str, t.Any]:
    """A CA and certificates that it signed, put in place. Returns what certificate_request and certificate_install share."""
    made = host.done("ca", directory=str(host.path / "ca"), **authority)
    tls = {"directory": str(host.path / "tls"), "ca_certificate": made["certificate"]}
    if entries:
        requested = host.done("certificate_request", certificates=list(entries), **tls)
        signed = host.done("certificate_sign", directory=str(host.path / "ca"), requests=requested["requests"])
        host.done("certificate_install", certificates=signed["certificates"], **tls)
    return tls


def request(title: str, before: list[t.Any], entries: list[t.Any], says: str, *, day: int = 0, refused: bool = False, harm: t.Any = None) -> None:
    def prepare(host: t.Any) -> dict[str, t.Any]:
        tls = issue(host, *before)
        if harm:
            harm(host.path / "tls")
        host.day = day
        return {**tls, "certificates": entries}

    ROWS.append(Row("certificate_request", title, says, prepare, refused))


def other_ca(host: t.Any) -> dict[str, t.Any]:
    tls = issue(host, entry())
    return {**tls, "ca_certificate": host.done("ca", directory=str(host.path / "other"))["certificate"], "certificates": [entry()]}


def replace_key(directory: pathlib.Path) -> None:
    (directory / "registry.key").unlink()


def stop_before_the_swap(directory: pathlib.Path) -> None:
    """As a run that was killed leaves it: the certificate is for the waiting key already."""
    (directory / "registry.key").rename(directory / "registry.key.new")


request("nothing there", [], [entry()], "registry.key: made, ec-p256")
request("nothing there, two of two types", [], [entry(), entry("mirror", key_type="ed25519")], "mirror.key: made, ed25519")
request("nothing asked for", [entry()], [], '"changed": false')
request("as it should be", [entry()], [entry()], '"changed": false')
request("another name", [entry()], [entry(names=["new.example.org"])], "names changed from registry.example.org, 192.0.2.10 to new.example.org")
request("names in another order", [entry()], [entry(names=["192.0.2.10", "registry.example.org"])], '"requests": []')
request("a client's certificate now", [entry()], [entry(usages=["client"])], "usages changed from server to client")
request("another common name", [entry()], [entry(common_name="Registry")], "common name changed")
request("another key type", [entry()], [entry(key_type="ec-p384")], "registry.key.new: made, ec-p384")
request("about to expire", [entry()], [entry()], "expires in 7 days", day=390)
request("expired", [entry()], [entry()], "expired", day=400)
request("a shorter lifetime", [entry()], [entry(lifetime_days=90)], "lifetime changed from 397 to 90 days")
request("a lost key", [entry()], [entry()], "key changed", harm=replace_key)
request("a lost certificate", [entry()], [entry()], '"missing"', harm=lambda directory: (directory / "registry.crt").unlink())
request("an unreadable certificate", [entry()], [entry()], '"unreadable"', harm=lambda directory: (directory / "registry.crt").write_text("x"))
request("a key that everybody can read", [entry()], [entry()], "mode 0644 -> 0600", harm=lambda directory: (directory / "registry.key").chmod(0o644))
request("killed before the swap", [entry()], [entry()], "took the place of the key before", harm=stop_before_the_swap)
request(
    "a waiting key nobody wants",
    [entry()],
    [entry()],
    "removed, no longer wanted",
    harm=lambda directory: shutil.copy(directory / "../ca/ca.key", directory / "registry.key.new"),
)
request("a damaged key", [entry()], [entry()], "holds no private key", harm=lambda directory: (directory / "registry.key").write_text("x"), refused=True)
request("a name that is none", [], [entry(names=["bad name"])], "certificates[0].names[0]", refused=True)
request("a file name that leads elsewhere", [], [entry(name="../registry")], "certificates[0].name", refused=True)


def revoked(host: t.Any) -> dict[str, t.Any]:
    tls = issue(host, entry())
    host.done("certificate_revoke", **revoke_registry(host))
    return {**tls, "certificates": [entry()], "crl": (host.path / "ca/ca.crl").read_text()}


def revoke_registry(host: t.Any, **values: t.Any) -> dict[str, t.Any]:
    return {"directory": str(host.path / "ca"), "certificates": [{"name": "registry.example.org", **values}]}


ROWS.append(Row("certificate_request", "another CA", "signed by another CA", other_ca))
ROWS.append(Row("certificate_request", "revoked", "revoked", revoked))


def root_of(host: t.Any) -> dict[str, t.Any]:
    """A root, which is a CA of its own in another directory, as the parameters of ca_sign name it."""
    made = host.done("ca", directory=str(host.path / "root"), common_name="Root")
    return {"certificate": made["certificate"], "key_path": str(host.path / "root/ca.key")}


def ca_sign(title: str, says: str, *, refused: bool = False, **changed: t.Any) -> None:
    def prepare(host: t.Any) -> dict[str, t.Any]:
        root = root_of(host)
        csr = host.done("ca", directory=str(host.path / "ca"), parent_certificate=root["certificate"])["csr"]
        return {**root, "csr": csr, **changed}

    ROWS.append(Row("ca_sign", title, says, prepare, refused))


def below_root(host: t.Any) -> dict[str, t.Any]:
    return {"directory": str(host.path / "ca"), "parent_certificate": root_of(host)["certificate"]}


# A CA of this collection may have none below it, so that ca_sign takes only other roots: see test_parent.py.
ca_sign("a root that may sign no CA", "may sign no further CA", refused=True)
ROWS.append(Row("ca", "below a root, no directory", "BEGIN CERTIFICATE REQUEST", below_root))


# Signing and installing: the certificates there, those asked for, further parameters


def sign(title: str, entries: list[t.Any], says: str, *, refused: bool = False, authority: dict[str, t.Any] | None = None, **parameters: t.Any) -> None:
    def prepare(host: t.Any) -> dict[str, t.Any]:
        tls = issue(host, **(authority or {}))
        requests = host.done("certificate_request", certificates=entries, **tls)["requests"]
        return {"directory": tls["directory"].replace("tls", "ca"), "requests": requests, **parameters}

    ROWS.append(Row("certificate_sign", title, says, prepare, refused, repeats=bool(entries)))


sign("nothing", [], '"changed": false')
sign("one", [entry()], "registry")
sign("two", [entry(), entry("client", usages=["client"], lifetime_days=60)], "client")
sign("with the CA's passphrase", [entry()], "registry", authority=SECRET, **SECRET)
sign("an allowed name", [entry()], "registry", allowed_names=["*.example.org", "192.0.2.0/24"])
sign("longer than the CA lives", [entry()], "ends with the CA", authority={"lifetime_days": 100})
sign("a name that is not allowed", [entry()], "is not among allowed_names", allowed_names=["*.example.com"], refused=True)
sign("too long a lifetime", [entry(lifetime_days=900)], "max_lifetime_days (825)", refused=True)
sign("the wrong passphrase", [entry()], "passphrase: does not open", authority=SECRET, passphrase="wrong", refused=True)
sign("a key type that is not allowed", [entry()], "ec-p256", allowed_key_types=["ed25519"], refused=True)
sign("a usage that is not allowed", [entry(usages=["client"])], "client", allowed_usages=["server"], refused=True)


def install(title: str, before: list[t.Any], entries: list[t.Any], says: str, *, refused: bool = False, harm: t.Any = None) -> None:
    def prepare(host: t.Any) -> dict[str, t.Any]:
        tls = issue(host, *before)
        requests = host.done("certificate_request", certificates=entries, **tls)["requests"]
        signed = host.done("certificate_sign", directory=str(host.path / "ca"), requests=requests)["certificates"]
        if harm:
            harm(host.path / "tls")
        return {**tls, "certificates": signed}

    ROWS.append(Row("certificate_install", title, says, prepare, refused))


install("the CA's certificate only", [], [], "ca.crt: made")
install("a first certificate", [], [entry()], "registry.crt: made")
install("two certificates, one new", [entry()], [entry(), entry("mirror")], "mirror.crt: made")
install("another certificate", [entry()], [entry(names=["new.example.org"])], "registry.crt: replaced")
install("another certificate and its key", [entry()], [entry(key_type="ec-p384")], "registry.key: replaced by the new key")
install("as it should be", [entry()], [entry()], '"changed": false')
install("a lost CA certificate", [entry()], [], "ca.crt: made", harm=lambda directory: (directory / "ca.crt").unlink())
install(
    "a damaged certificate",
    [entry()],
    [entry(names=["new.example.org"])],
    "registry.crt: replaced",
    harm=lambda directory: (directory / "registry.crt").write_text("x"),
)


def rubbish(host: t.Any) -> dict[str, t.Any]:
    return {**issue(host, entry()), "certificates": [{"name": "registry", "certificate": "rubbish"}]}


ROWS.append(Row("certificate_install", "something else", "certificates[0].certificate (registry)", rubbish, refused=True))


def first_crl(host: t.Any) -> dict[str, t.Any]:
    return {**issue(host, entry()), "certificates": [], "crl": (host.path / "ca/ca.crl").read_text()}


def revoked_and_signed_again(host: t.Any) -> dict[str, t.Any]:
    arguments = revoked(host)
    requests = host.done("certificate_request", **arguments)["requests"]
    signed = host.done("certificate_sign", directory=str(host.path / "ca"), requests=requests)["certificates"]
    return {**arguments, "certificates": signed}


ROWS.append(Row("certificate_install", "a first CRL", "ca.crl: made", first_crl))
ROWS.append(Row("certificate_install", "a revoked one's successor and its key", "registry.key: replaced by the new key", revoked_and_signed_again))


# A pair that is brought: what is there, what is brought, further parameters


def files(title: str, before: bool, says: str, *, refused: bool = False, harm: t.Any = None, day: int = 0, **parameters: t.Any) -> None:
    """before: the same pair was installed before."""

    def prepare(host: t.Any) -> dict[str, t.Any]:
        tls = issue(host, entry(), entry("other"))
        own = {"directory": str(host.path / "own"), "server_names": ["registry.example.org"], "ca_certificates": tls["ca_certificate"]}
        pair = {f"{word}_source": str(host.path / f"tls/registry.{end}") for word, end in (("certificate", "crt"), ("key", "key"))}
        if before:
            host.done("certificate_files", **own, **pair)
        if harm:
            harm(host.path)
        host.day = day
        return {**own, **pair, **parameters}

    ROWS.append(Row("certificate_files", title, says, prepare, refused))


def bring_the_other(path: pathlib.Path) -> None:
    for end in ("crt", "key"):
        shutil.copy(path / f"tls/other.{end}", path / f"tls/registry.{end}")


def bring_the_wrong_order(path: pathlib.Path) -> None:
    (path / "tls/registry.crt").write_text((path / "ca/ca.crt").read_text() + (path / "tls/registry.crt").read_text())


files("nothing there", False, "registry.key: made")
files("as it should be", True, '"changed": false')
files("another pair", True, "registry.key: replaced together with the certificate", harm=bring_the_other, server_names=["other.example.org"])
files("another mode", True, "mode 0600 -> 0640", mode="0640")
files("a certificate that was changed by hand", True, "registry.crt: replaced", harm=lambda path: (path / "own/registry.crt").write_text("x"))
files("a key that an interrupted run left", True, "left by", harm=lambda path: shutil.copy(path / "own/registry.key", path / "own/registry.key.new"))
files("for any name", False, "registry.crt: made", server_names=[])
files("another key", False, "does not match key_source", refused=True, harm=lambda path: shutil.copy(path / "tls/other.key", path / "tls/registry.key"))
files("another name", False, "is not for web.example.org", refused=True, server_names=["web.example.org"])
files("expired", False, "expired", refused=True, day=400)
files("the CA first", False, "begins with the certificate of a CA", refused=True, harm=bring_the_wrong_order)
files("no file", False, "there is no such file", refused=True, harm=lambda path: (path / "tls/registry.key").unlink())
files("no key in it", False, "holds no private key", refused=True, harm=lambda path: (path / "tls/registry.key").write_text("x"))
files(
    "a key in the certificate's file",
    False,
    "belongs nowhere but in its own file",
    refused=True,
    harm=lambda path: shutil.copy(path / "tls/registry.key", path / "tls/registry.crt"),
)
files("a mode for everybody", False, "would open the key to every user", refused=True, mode="0644")


# Revocation: the certificates there, what is revoked


def revoke(title: str, wanted: list[dict[str, t.Any]], says: str, *, refused: bool = False, before: bool = False, harm: t.Any = None) -> None:
    """before: it was revoked already."""

    def prepare(host: t.Any) -> dict[str, t.Any]:
        issue(host, entry(), entry("mirror"))
        arguments = {"directory": str(host.path / "ca"), "certificates": wanted}
        if before:
            host.done("certificate_revoke", **arguments)
        if harm:
            harm(host.path / "ca")
        return arguments

    ROWS.append(Row("certificate_revoke", title, says, prepare, refused))


def by_serial(host: t.Any) -> dict[str, t.Any]:
    issue(host, entry())
    serial = json.loads((host.path / "ca/issued.jsonl").read_text())["serial"]
    return {"directory": str(host.path / "ca"), "certificates": [{"serial": serial, "reason": "keyCompromise"}]}


def by_certificate(host: t.Any) -> dict[str, t.Any]:
    issue(host, entry())
    return {"directory": str(host.path / "ca"), "certificates": [{"certificate": (host.path / "tls/registry.crt").read_text()}]}


ROWS.append(Row("certificate_revoke", "by serial number", "revoked, keyCompromise", by_serial))
ROWS.append(Row("certificate_revoke", "by certificate", "revoked, unspecified", by_certificate))
revoke("by name", [{"name": "registry.example.org"}], "revoked, unspecified")
revoke("two", [{"name": "registry.example.org"}, {"name": "mirror.example.org"}], "revoked, unspecified")
revoke("nothing", [], '"changed": false')
revoke("revoked already", [{"name": "registry.example.org"}], '"changed": false', before=True)
revoke("revoked already, another reason", [{"name": "registry.example.org", "reason": "superseded"}], '"changed": false', before=True)
revoke(
    "revoked, and then the CRL lost", [{"name": "registry.example.org"}], "ca.crl: made", before=True, harm=lambda directory: (directory / "ca.crl").unlink()
)
revoke("a serial number that is none", [{"serial": "xyz"}], "certificates[0].serial", refused=True)
revoke("named in two ways", [{"serial": "12", "name": "registry.example.org"}], "certificates[0]", refused=True)


# Trust: what was trusted before, what shall be


def authority(host: t.Any, *names: str) -> str:
    return "".join(host.done("ca", directory=str(host.path / "authorities" / name), common_name=name)["certificate"] for name in names)


def store_directories(host: t.Any) -> dict[str, str]:
    return {f"{store}_directory": str(host.path / store) for store in ("docker", "containers", "containerd")}


def trust(
    title: str,
    before: str | None,
    after: str | None,
    says: str,
    *,
    stores: str = "docker containers containerd",
    refused: bool = False,
    harm: t.Any = None,
    **parameters: t.Any,
) -> None:
    """before and after are common names of CAs; none for a name that shall be absent."""

    def prepare(host: t.Any) -> dict[str, t.Any]:
        common = {"name": "corp", "stores": stores.split(), "endpoints": ["registry.example.org", "[2001:db8::5]:5000"], **store_directories(host)}
        if "system" in stores:
            common["anchors_directory"] = system_store(host)
        if before is not None:
            host.done("ca_trust", content=authority(host, *before.split()), **common)
        if harm:
            harm(host.path)
        wanted = {"state": "absent", "endpoints": []} if after is None else {"content": authority(host, *after.split())}
        return {**common, **wanted, **parameters}

    ROWS.append(Row("ca_trust", title, says, prepare, refused))


def system_store(host: t.Any) -> str:
    """The real update-ca-certificates, on directories of its own."""
    for name in ("share", "local", "certs", "hooks"):
        (host.path / name).mkdir()
    options = f"--certsconf {host.path}/conf --certsdir {host.path}/share --localcertsdir {host.path}/local --etccertsdir {host.path}/certs"
    host.write("conf", "")
    host.write("update", f'#!/bin/sh\nexec {UPDATE} {options} --hooksdir {host.path}/hooks "$@"\n', 0o755)
    return str(host.path / "local")


ONE = "docker/registry.example.org/corp.crt"
trust("nothing there", None, "first", "corp.crt: added")
trust("nothing there, two certificates", None, "first second", "corp.crt: added")
trust("as it should be", "first", "first", '"changed": false')
trust("another certificate", "first", "second", "corp.crt: content changed")
trust("one certificate more", "first", "first second", "corp.crt: content changed")
trust("one registry less", "first", "first", "corp.crt: removed", endpoints=["registry.example.org"])
trust("one registry more", "first", "first", "corp.crt: added", endpoints=["registry.example.org", "[2001:db8::5]:5000", "more.example.org"])
trust("another mode", "first", "first", "mode 0600 -> 0644", harm=lambda path: (path / ONE).chmod(0o600))
trust("changed by hand", "first", "first", "corp.crt: content changed", harm=lambda path: (path / ONE).write_text((path / ONE).read_text() + "\n"))
trust("a directory gone", "first", "first", "corp.crt: added", harm=lambda path: shutil.rmtree(path / "docker"))
trust("absent", "first", None, "corp.crt: removed")
trust("absent at one registry", "first", None, "corp.crt: removed", endpoints=["registry.example.org"])
trust("absent already", None, None, '"changed": false')
trust(
    "somebody else's hosts.toml",
    None,
    "first",
    "hosts.toml: exists",
    refused=True,
    harm=lambda path: theirs(path / "containerd/registry.example.org/hosts.toml"),
)
trust("somebody else's certificate", None, "first", "corp.crt: ", refused=True, harm=lambda path: theirs(path / ONE))
trust("no certificate", None, "", "content: ", refused=True)
trust("no registry", None, "first", "endpoints", refused=True, endpoints=[])
trust("a name that is a path", None, "first", "name: ", refused=True, name="../corp")


def others(path: pathlib.Path) -> None:
    """What the module keeps under another name, and what somebody else does."""
    (path / "docker/registry.example.org/old.crt").write_bytes((path / ONE).read_bytes())
    (path / "docker/registry.example.org/theirs.crt").write_text("theirs\n")


trust("exclusive", "first", "first", "old.crt: ", harm=others, exclusive=True)
trust("exclusive, nothing else there", "first", "first", '"changed": false', exclusive=True)


def client(
    title: str, says: str, *, refused: bool = False, usages: t.Sequence[str] = ("client",), mode: int = 0o600, before: bool = False, **after: t.Any
) -> None:
    """before: the client's certificate was there before. after: its parameters now."""

    def prepare(host: t.Any) -> dict[str, t.Any]:
        tls = issue(host, entry("alice", usages=list(usages)))
        (host.path / "tls/alice.key").chmod(mode)
        common = {
            "name": "corp",
            "stores": ["docker", "containerd"],
            "endpoints": ["registry.example.org"],
            "content": tls["ca_certificate"],
            **store_directories(host),
        }
        pair = {"client_certificate_path": str(host.path / "tls/alice.crt"), "client_key_path": str(host.path / "tls/alice.key")}
        if before:
            host.done("ca_trust", **common, **pair)
        return {**common, **pair, **after}

    ROWS.append(Row("ca_trust", f"a client's certificate, {title}", says, prepare, refused))


client("new", "corp.cert: ")
client("as it should be", '"changed": false', before=True)
client("no longer", "corp.cert: ", before=True, client_certificate_path=None, client_key_path=None)
client("absent", "corp.cert: ", before=True, state="absent", content=None, client_certificate_path=None, client_key_path=None)
client("a server's", "is not for clients", usages=["server"], refused=True)
client("an open key", "is open to every user", mode=0o644, refused=True)
if UPDATE:
    trust("the system's store, nothing there", None, "first", '"restart": ["docker", "containerd"]', stores="system")
    trust("the system's store, two certificates", None, "first second", "added", stores="system docker")
    trust("the system's store, as it should be", "first", "first", '"changed": false', stores="system")
    trust("the system's store, another certificate", "first", "second", "corp.crt: content changed", stores="system")
    trust("the system's store, one certificate more", "first", "first second", "corp.crt: removed", stores="system")
    trust(
        "the system's store, a lost bundle",
        "first",
        "first",
        "lacks CN=first",
        stores="system",
        harm=lambda path: (path / "certs/ca-certificates.crt").unlink(),
    )
    trust("the system's store, absent", "first second", None, "removed", stores="system")


def theirs(path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("theirs\n")


# Logins: the file before, the logins


HELPER = """#!/bin/sh
kept=${0%/*}/kept given=$(cat)
case $1 in
  store) printf %s "$given" >"$kept" ;;
  erase) rm "$kept" ;;
  get) cat "$kept" 2>/dev/null || { echo credentials not found in native keychain; exit 1; } ;;
esac
"""


def login(title: str, content: str | None, logins: list[dict[str, t.Any]], says: str, *, mode: int = 0o600, refused: bool = False) -> None:
    def prepare(host: t.Any) -> dict[str, t.Any]:
        if content is not None:
            host.write(".docker/config.json", content, mode)
        host.write("bin/docker-credential-rows", HELPER, 0o755)
        return {"logins": logins, "check_credentials": False}

    ROWS.append(Row("registry_login", title, says, prepare, refused))


def to(registry: str = "registry.example.org", **values: str) -> dict[str, str]:
    return {"user": "alice", "registry": registry, "username": "alice", "password": PASSWORD, **values}


def auths(password: str, registry: str = "registry.example.org", more: str = "") -> str:
    return f'{{"auths": {{"{registry}": {{"auth": "{base64.b64encode(f"alice:{password}".encode()).decode()}"{more}}}}}, "detachKeys": "ctrl-x"}}'


OUT = {"user": "alice", "registry": "registry.example.org", "state": "absent"}
login("no file", None, [to()], "added")
login("no file, two registries", None, [to(), to("docker.io")], "added")
login("no logins", None, [], '"changed": false')
login("no file, absent", None, [OUT], "not logged in")
login("an empty file", "", [to()], "added")
login("as it should be", auths(PASSWORD), [to()], "up to date")
login("another password", auths(OLD), [to()], "password changed")
login("another username", auths(PASSWORD), [to(username="bob")], "credentials changed")
login("a token instead", auths(PASSWORD, more=', "identitytoken": "x"'), [to()], "identitytoken removed")
login("a wide mode", auths(PASSWORD), [to()], "file mode 0644 tightened to 0600", mode=0o644)
login("absent", auths(PASSWORD), [OUT], "removed")
login("absent, written by an old client", auths(PASSWORD, "https://registry.example.org/v1/"), [OUT], "removed")
login("one of two", auths(PASSWORD, "other.example.org"), [to(), {**OUT, "registry": "other.example.org"}], "removed")
login("a helper that is missing", '{"credsStore": "nosuch"}', [to()], "no program docker-credential-nosuch", refused=True)
login("a helper", '{"credsStore": "rows"}', [to()], "added")
login(
    "a helper, and the password in the file",
    auths(PASSWORD).replace("{", '{"credHelpers": {"registry.example.org": "rows"}, ', 1),
    [to()],
    "auth removed from the file",
)
login("a helper, absent", '{"credsStore": "rows", "auths": {"registry.example.org": {}}}', [OUT], "removed")
login("podman", None, [to(client="podman"), to("docker.io", client="podman")], ".config/containers/auth.json")
login("no JSON", "{", [to()], "line 1, column 2: not valid JSON", refused=True)
login("no password", None, [{"user": "alice", "registry": "registry.example.org", "username": "alice"}], "logins[0].password", refused=True)
login("a registry with a path", None, [to("registry.example.org/path")], "logins[0].registry", refused=True)
login("a login twice", None, [to(), to()], "logins[1]", refused=True)


# hosts_entries: the file before, the arguments


def hosts_entries(title: str, content: str, says: str, *, refused: bool = False, **arguments: t.Any) -> None:
    def prepare(host: t.Any) -> dict[str, t.Any]:
        host.write("hosts", content, 0o644)
        return {"path": str(host.path / "hosts"), "name": "registry", **arguments}

    ROWS.append(Row("hosts_entries", title, says, prepare, refused))


LOCAL = "127.0.0.1 localhost\n"
NAMED = [{"address": "192.0.2.10", "names": ["registry.example.org"]}, {"address": "2001:db8::10", "names": ["registry.example.org"]}]
KEPT_HOSTS = (
    "# BEGIN holdfast.registry.hosts_entries registry\n192.0.2.10 registry.example.org\n2001:db8::10 registry.example.org\n"
    "# END holdfast.registry.hosts_entries registry\n"
)
hosts_entries("a new block", LOCAL, "block changed", entries=NAMED)
hosts_entries("the same block", KEPT_HOSTS + LOCAL, '"changed": false', entries=NAMED)
hosts_entries("another address", KEPT_HOSTS + LOCAL, "block changed", entries=NAMED[:1])
hosts_entries("no entries", KEPT_HOSTS + LOCAL, "block removed")
hosts_entries("absent", KEPT_HOSTS + LOCAL, "block removed", entries=NAMED, state="absent")
hosts_entries("a block of another tool", "# BEGIN old\n192.0.2.9 x\n# END old\n" + LOCAL, "block removed", replaces=["old"])
hosts_entries("a line of others with the name", f"192.0.2.9 registry.example.org\n{KEPT_HOSTS}", '"changed": false', entries=NAMED)
hosts_entries("a block without an end", "# BEGIN holdfast.registry.hosts_entries registry\n", "line 1 begins a block", entries=NAMED, refused=True)
hosts_entries("no address", LOCAL, "entries[0].address", entries=[{"address": "x", "names": ["y"]}], refused=True)


# registry_mirrors: files before, the arguments


def registry_mirrors(title: str, files: dict[str, str], says: str, *, refused: bool = False, **arguments: t.Any) -> None:
    def prepare(host: t.Any) -> dict[str, t.Any]:
        for name, content in files.items():
            (host.path / name).parent.mkdir(parents=True, exist_ok=True)
            host.write(name, content, 0o644)
        places = {"docker_directory": "docker", "containers_directory": "containers", "containerd_directory": "certs.d"}
        places |= {"containerd_config": "config.toml", "buildkit_config": "buildkitd.toml"}
        paths = {parameter: str(host.path / place) for parameter, place in places.items()}
        return {"name": "company", "mirrors": [HUB_MIRROR], "clients": ["docker", "containers", "containerd", "buildkit"], **paths, **arguments}

    ROWS.append(Row("registry_mirrors", title, says, prepare, refused))


HUB_MIRROR = {"upstream": "docker.io", "mirror": "mirror.example.org:5444"}
DROP_IN = (
    '# Managed by the Ansible module holdfast.registry.registry_mirrors for company\n[[registry]]\nprefix = "docker.io"\nlocation = "docker.io"\n'
    '[[registry.mirror]]\nlocation = "mirror.example.org:5444/docker.io"\n'
)
registry_mirrors("a host without any file", {}, "hosts.toml: added")
registry_mirrors("files of others", {"config.toml": "version = 2\n", "buildkitd.toml": "debug = true\n"}, "config_path set")
registry_mirrors("as it should be", {"containers/registries.conf.d/company.conf": DROP_IN}, '"changed": false', clients=["containers"])
registry_mirrors("another mirror", {"containers/registries.conf.d/company.conf": DROP_IN.replace("5444", "5445")}, "content changed", clients=["containers"])
registry_mirrors("a client less", {"containers/registries.conf.d/company.conf": DROP_IN}, "company.conf: removed", clients=["docker"])
registry_mirrors("absent", {"containers/registries.conf.d/company.conf": DROP_IN}, "company.conf: removed", state="absent")
registry_mirrors("absent and nothing there", {}, '"changed": false', state="absent")
registry_mirrors("a hosts.toml of others", {"docker/docker.io/hosts.toml": "server = 'x'\n"}, "was not written by this module", refused=True)
registry_mirrors("a broken config.toml", {"config.toml": "[\n"}, "line 1 is not valid TOML", refused=True)
registry_mirrors("no mirror", {}, "mirrors[0].mirror: 'https://m' must be HOST", mirrors=[{"upstream": "docker.io", "mirror": "https://m"}], refused=True)


def exclusive(title: str, before: list[dict[str, t.Any]], logins: list[dict[str, t.Any]], says: str) -> None:
    def prepare(host: t.Any) -> dict[str, t.Any]:
        common = {"check_credentials": False, "name": "rows", "exclusive": True}
        host.done("registry_login", logins=before, **common)
        return {"logins": logins, **common}

    ROWS.append(Row("registry_login", f"exclusive, {title}", says, prepare))


exclusive("nobody before", [], [to()], "added")
exclusive("as it should be", [to()], [to()], '"changed": false')
exclusive("one no longer", [to(), to("other.example.org")], [to()], "removed")


# Members of a group: who was there, whom a run before has added, who is wanted


GPASSWD = """#!/bin/sh
case $1 in --add) : >"${0%/*}/../group/$2" ;; *) rm "${0%/*}/../group/$2" ;; esac
"""


def members(title: str, there: str, added: str, users: str, says: str, *, refused: bool = False, group: str = "docker") -> None:
    def prepare(host: t.Any) -> dict[str, t.Any]:
        host.write("bin/gpasswd", GPASSWD, 0o755)
        (host.path / "group").mkdir()
        for user_there in there.split():
            host.write(f"group/{user_there}", "")
        if added:
            host.done("group_members", group="docker", users=added.split(), name="rows")
        return {"group": group, "users": users.split(), "name": "rows"}

    ROWS.append(Row("group_members", title, says, prepare, refused))


members("nobody there", "", "", "alice", "alice: added")
members("nobody wanted", "", "", "", '"changed": false')
members("there already", "alice", "", "alice", '"changed": false')
members("added by a run before", "bob", "alice", "alice", '"changed": false')
members("no longer wanted", "bob", "alice", "", "alice: removed")
members("somebody else's member", "bob", "", "", '"changed": false')
members("no name of a user", "", "", "-alice", "users[0]: ", refused=True)


# What must be signed: the policy before, what a run before has required, what is required


DER = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + b"\x04" + b"k" * 64
SIGNER = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(DER).decode()}\n-----END PUBLIC KEY-----\n"
DEFAULT = '{"default": [{"type": "insecureAcceptAnything"}]}'


def policy(title: str, content: str | None, before: list[dict[str, t.Any]], wanted: list[dict[str, t.Any]], says: str, *, refused: bool = False) -> None:
    def prepare(host: t.Any) -> dict[str, t.Any]:
        if content is not None:
            host.write("containers/policy.json", content)
        common = {"name": "rows", "directory": str(host.path / "containers")}
        if before:
            host.done("signature_policy", policies=before, **common)
        return {"policies": wanted, **common}

    ROWS.append(Row("signature_policy", title, says, prepare, refused))


SIGNED, OUT_OF_USE = {"scope": "registry.example.org", "keys": [SIGNER]}, {"scope": "registry.example.org/old", "type": "reject"}
THEIRS = '{"default": [{"type": "reject"}], "transports": {"docker": {"registry.example.org": [{"type": "reject"}]}}}'
policy("no file", None, [], [SIGNED], "registry.example.org: added, sigstore")
policy("no file, nothing required", None, [], [], '"changed": false')
policy("the distribution's file", DEFAULT, [], [SIGNED, OUT_OF_USE], "registry.example.org/old: added, reject")
policy("as it should be", DEFAULT, [SIGNED], [SIGNED], '"changed": false')
policy("one no longer", DEFAULT, [SIGNED, OUT_OF_USE], [OUT_OF_USE], "registry.example.org: removed")
policy("nothing any longer", DEFAULT, [SIGNED, OUT_OF_USE], [], "registry.example.org: removed")
policy("something else", DEFAULT, [SIGNED], [{"scope": "registry.example.org", "type": "reject"}], "registry.example.org: changed, reject")
policy("somebody else's entry", THEIRS, [], [SIGNED], "has another entry for registry.example.org", refused=True)
policy("no JSON", "{", [], [SIGNED], "policy.json: line 1, column 2", refused=True)
policy("a private key", DEFAULT, [], [{**SIGNED, "keys": ["-----BEGIN PRIVATE KEY-----\nx"]}], "is a private key", refused=True)


# docker_daemon: the file before, the settings, and what the engine says of the file


def daemon(title: str, content: str | None, settings: dict[str, t.Any] | None, says: str, *, refused: bool = False, engine: str = "exit 0") -> None:
    def prepare(host: t.Any) -> dict[str, t.Any]:
        for name, script in (("dockerd", engine), ("systemctl", "exit 1")):
            host.write(f"bin/{name}", f"#!/bin/sh\n{script}\n", 0o755)
        host.write("docker/keep", "")
        if content is not None:
            host.write("docker/daemon.json", content)
        return {"name": "ours", "path": str(host.path / "docker/daemon.json"), "settings": settings, "state": "absent" if settings is None else "present"}

    ROWS.append(Row("docker_daemon", title, says, prepare, refused))


daemon("no file", None, {"mtu": 1500}, "added: mtu")
daemon("no file, no settings", None, {}, '"changed": false')
daemon("a setting for a reload", '{"mtu": 1500}', {"debug": True}, '"action": "reload"')
daemon("a setting for a restart", '{"debug": true}', {"mtu": 1500}, '"action": "restart"')
daemon("an item before those of others", '{"labels": ["a=1"]}', {"labels": ["b=1"]}, "changed: labels")
daemon("as it should be", '{"debug": true}', {"debug": True}, '"changed": false')
daemon("absent, and nothing of ours", '{"debug": true}', None, '"changed": false')
daemon("a comment", "{\n// debug\n}", {"debug": True}, "line 2, column 1: a comment", refused=True)
daemon("a key twice", '{"debug": true, "debug": false}', {"debug": True}, "is there twice", refused=True)
daemon("another type", '{"labels": "a=1"}', {"labels": ["a=1"]}, "labels is a string", refused=True)
daemon("refused by the engine", "{}", {"bogus": 1}, "dockerd says: no such key", refused=True, engine="echo no such key >&2; exit 1")


# apt_source: what apt says of the repository, a file of others, further parameters


def apt(title: str, says: str, *, others: str = "", refused: bool = False, says_apt: str = "exit 0", **parameters: t.Any) -> None:
    def prepare(host: t.Any) -> dict[str, t.Any]:
        host.write("bin/apt-get", f"#!/bin/sh\n{says_apt}\n", 0o755)
        host.write("apt/sources.list.d/others.list", others)
        wanted = {"uris": ["https://packages.example.org"], "suites": ["x"], "components": ["stable"], "key": KEYS["good"]}
        return {"name": "ours", "directory": str(host.path / "apt"), **wanted, "fingerprints": [FINGERPRINTS["good"]], **parameters}

    ROWS.append(Row("apt_source", title, says, prepare, refused))


apt("new", "ours.sources: added")
apt("absent, and not there", '"changed": false', state="absent")
apt("one of others", "switched off in favour of", others="deb https://packages.example.org x stable\n")
apt("one of others with more", "others.list: line 1", others="deb https://packages.example.org x stable test\n", refused=True)
apt("another key", "which fingerprints does not have", key=KEYS["rsa"], refused=True)
apt("an expired key", "expired on", key=KEYS["expired"], fingerprints=[FINGERPRINTS["expired"]], refused=True)
apt("refused by apt", "E: not signed", says_apt="echo E: not signed >&2; exit 100", refused=True)
# Images: the tags before and the images in them, the images wanted


def image(title: str, before: dict[str, str], wanted: list[dict[str, t.Any]], says: str, *, refused: bool = False, version: str = "2.8", **more: t.Any) -> None:
    def prepare(host: t.Any) -> dict[str, t.Any]:
        registry = host.servers.enter_context(FakeRegistry(host.path / "registry", version=version, auth="bearer").serving())
        for name, word in before.items():
            repository, _colon, tag = name.partition(":")
            if word == "index":
                registry.index(repository, tag)
            else:
                registry.image(repository, tag, word)
        images = [{key: f"{registry.name}/{value}" if key in ("name", "source") else value for key, value in entry.items()} for entry in wanted]
        return {"images": images, "registries": [registry.access()], "config_file": str(host.path / "none"), **more}

    ROWS.append(Row("registry_image", title, says, prepare, refused))


def tag(name: str, source: str | None = None, **values: t.Any) -> dict[str, t.Any]:
    return {"name": name, **({"source": source} if source else {}), **values}


image("no images", {}, [], '"changed": false')
image("a tag that is there", {"a:1": "one"}, [tag("a:1")], "is there")
image("a tag that is not there", {"a:1": "one"}, [tag("a:2")], "is not there", refused=True)
image("a new tag in its repository", {"a:1": "one"}, [tag("a:2", "a:1")], "added")
image("another repository", {"a:1": "index"}, [tag("b:1", "a:1")], "added")
image("another repository, with what refers to it", {"a:1": "index"}, [tag("b:1", "a:1", referrers=True)], "added")
image("another image", {"a:1": "one", "a:2": "two"}, [tag("a:1", "a:2")], "digest changed from")
image("the same image", {"a:1": "one", "b:1": "one"}, [tag("a:1", "b:1")], "up to date")
image("a source that is not there", {}, [tag("a:1", "a:2")], "a:2 is not there", refused=True)
image("absent", {"a:1": "one"}, [tag("a:1", state="absent")], "removed")
image("absent, a registry that deletes tags", {"a:1": "one", "a:2": "one"}, [tag("a:1", state="absent")], "removed", version="3.1")
image("absent, other tags", {"a:1": "one", "a:2": "one"}, [tag("a:1", state="absent")], "so are the tags 2", refused=True)
image("absent, other tags too", {"a:1": "one", "a:2": "one"}, [tag("a:1", state="absent")], "and with it 2", delete_other_tags=True)
image("absent, a platform of another tag", {"a:1": "index", "a:2": "amd64"}, [tag("a:2", state="absent")], "is a part of 1", refused=True)
image("absent already", {}, [tag("a:1", state="absent")], '"changed": false')
image("absent, and moved to another repository", {"a:1": "one"}, [tag("b:1", "a:1"), tag("a:1", state="absent")], "removed")
image("a registry that deletes nothing", {"a:1": "one"}, [tag("a:1", state="absent")], "deletes nothing", version="closed", refused=True)
image("the same tag twice", {"a:1": "one"}, [tag("a:1"), tag("a:1")], "images[1].name", refused=True)


# object_store_probe: what the store does wrong, and further settings of it


def store(title: str, lies: list[str], says: str, *, refused: bool = False, remember: bool = True, **entry: t.Any) -> None:
    def prepare(host: t.Any) -> dict[str, t.Any]:
        found = host.servers.enter_context(FakeStore(*lies).serving())
        return {"stores": [found.arguments(**entry)], "remember": remember, "parallel": 1, "rounds": 1}

    ROWS.append(Row("object_store_probe", title, says, prepare, refused, repeats=not remember))


store("a new store", [], '"probed": ["registry"]')
store("a store that is not remembered", [], '"changed": false', remember=False)
store("no store", ["no store"], "what responds is no S3 store", refused=True)
store("a wrong key", [], "access_key is not known", refused=True, access_key="nobody")
