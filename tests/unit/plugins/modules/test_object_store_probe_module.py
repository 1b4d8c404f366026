# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The probe of an S3 store, against one that lies."""

from __future__ import annotations

import datetime
import pathlib
import socket
import time
import typing as t

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._s3 import checks, client, signing, stores
from ansible_collections.holdfast.registry.plugins.modules import object_store_probe
from ansible_collections.holdfast.registry.tests.unit.plugins.modules.object_store import SECRET, FakeStore, Stored

# From Amazon's documentation of signatures.
EXAMPLE = signing.Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
THEN = datetime.datetime(2013, 5, 24, tzinfo=datetime.timezone.utc)
QUICK = {"parallel": 2, "rounds": 1, "seconds": 30, "timeout": 5}


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    monkeypatch.setattr(stores, "STATE", str(tmp_path / "state"))
    # The fake store takes parts of any size, and is not what a pause would help.
    monkeypatch.setattr(checks, "PART", 50_000)
    monkeypatch.setattr(client, "_PAUSES", (0.01, 0.02))
    return tmp_path / "state"


@pytest.fixture
def probed(run: t.Callable[..., dict[str, t.Any]]) -> t.Callable[..., dict[str, t.Any]]:
    def probe(store: FakeStore, *, check: bool = False, entry: dict[str, t.Any] | None = None, **more: t.Any) -> dict[str, t.Any]:
        result = run(object_store_probe, check=check, stores=[store.arguments(**(entry or {}))], **{**QUICK, **more})
        assert SECRET not in str(result)
        assert "Signature=" not in str(result)
        return result

    return probe


def test_signatures_are_those_of_the_documentation() -> None:
    request = signing.Unsigned("GET", "examplebucket.s3.amazonaws.com", "/test.txt", {}, {"range": "bytes=0-9"}, THEN)
    assert signing.signed_headers(request, EXAMPLE, b"")["Authorization"].endswith("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    bare = signing.Unsigned("GET", "examplebucket.s3.amazonaws.com", "/test.txt", {}, {}, THEN)
    assert signing.presigned(bare, EXAMPLE, 86400).query["X-Amz-Signature"] == "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    listing = signing.Unsigned("GET", "examplebucket.s3.amazonaws.com", "/", {"max-keys": "2", "prefix": "J"}, {}, THEN)
    assert signing.signed_headers(listing, EXAMPLE, b"")["Authorization"].endswith("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")


def test_a_store_that_tells_the_truth_is_fit_and_keeps_nothing(probed: t.Callable[..., dict[str, t.Any]]) -> None:
    with FakeStore().serving() as store:
        result = probed(store, entry={"prefix": "team/images"})
    assert (result.get("failed"), result["probed"], result["changed"]) == (None, ["registry"], False)
    assert (store.objects, store.uploads) == ({}, {})
    keys = [line.split()[1] for line in store.asked if not line.startswith("GET /registry/ ")]
    assert [key for key in keys if key != "/registry/" and not key.startswith("/registry/team/images/holdfast-probe/")] == []


@pytest.mark.parametrize(
    ("lie", "names"),
    [
        ("late lists", ["list after write", "list after upload", "list after copy"]),
        ("late reads", ["read after write"]),
        ("stale reads", ["read after overwrite"]),
        ("reads of what is removed", ["read after removal", "read after move"]),
        ("lists of what is removed", ["list after removal", "list after move"]),
        ("refused removals", ["removal"]),
        ("ignored ranges", ["ranges"]),
        ("short ranges", ["ranges"]),
        ("lost parts", ["read after upload", "copy of a part"]),
        ("hidden parts", ["list of parts"]),
        ("hidden uploads", ["list of uploads"]),
        ("uploads that do not end", ["list of uploads"]),
        ("uploads that cannot be given up", ["abort"]),
        ("errors with status 200", ["complete an upload"]),
        ("no copies", ["copy", "copy of a part"]),
        ("empty copies", ["read after copy", "copy of a part"]),
        ("lists without directories", ["list of directories"]),
        ("one page only", ["list in pages"]),
        ("URLs without use", ["ranges", "signed URL"]),
        ("answers that end early", ["http"]),
    ],
)
def test_each_lie_is_named(probed: t.Callable[..., dict[str, t.Any]], state: pathlib.Path, lie: str, names: list[str]) -> None:
    with FakeStore(lie).serving() as store:
        result = probed(store, remember=True)
    assert result["failed"]
    found = {failure["check"]: failure for failure in result["failures"]}
    assert set(names) <= set(found), result["msg"]
    assert all(f"{name}: {found[name]['first']}" in result["msg"] for name in names)
    assert not state.exists(), "what was refused is not remembered as good"


def test_only_what_lies_is_named(probed: t.Callable[..., dict[str, t.Any]]) -> None:
    with FakeStore("hidden parts").serving() as store:
        assert [failure["check"] for failure in probed(store)["failures"]] == ["list of parts"]


@pytest.mark.parametrize(
    ("lies", "entry", "said"),
    [
        ([], {"secret_key": "wrong-secret"}, "credentials: secret_key is not the secret of access_key (status 403, SignatureDoesNotMatch)"),
        ([], {"access_key": "nobody"}, "credentials: access_key is not known to the store (status 403, InvalidAccessKeyId)"),
        ([], {"bucket": "other"}, "bucket: the bucket does not exist; make it first"),
        (["another clock"], {}, "clock: the clocks of this host and the store differ by "),
        (["another region"], {}, "region: the store is in another region"),
        (["no right to write"], {}, "permissions: the key is not allowed to do this: "),
        (["503"], {}, "unavailable: status 503 (SlowDown) to GET of the bucket"),
        (["no store"], {}, "http: what responds is no S3 store"),
        ([], {"endpoint": "https://127.0.0.1:{port}"}, "tls: "),
        ([], {"endpoint": "http://localhost:1"}, "connect: "),
        ([], {"endpoint": "https://nothing.invalid"}, "dns: the name nothing.invalid cannot be resolved"),
    ],
)
def test_what_keeps_a_store_from_being_asked_is_named(probed: t.Callable[..., dict[str, t.Any]], lies: list[str], entry: dict[str, str], said: str) -> None:
    with FakeStore(*lies).serving() as store:
        result = probed(store, entry={name: value.replace("{port}", str(store.port)) for name, value in entry.items()})
    assert result["failed"]
    assert f": {said}" in result["msg"], result["msg"]


def test_a_store_that_is_busy_at_first_is_asked_again(probed: t.Callable[..., dict[str, t.Any]]) -> None:
    with FakeStore("503 at first").serving() as store:
        assert not probed(store).get("failed")


@pytest.mark.parametrize("lie", ["slow", "silent"])
def test_a_probe_ends_in_time(probed: t.Callable[..., dict[str, t.Any]], lie: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, FakeStore(lie).serving() as store:
        entry = {"endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}"} if lie == "silent" else {}
        started = time.monotonic()
        result = probed(store, entry=entry, seconds=2, timeout=1)
    assert result["failed"]
    assert ("time: " in result["msg"]) or ("timeout: " in result["msg"])
    assert time.monotonic() - started < 15


def test_what_was_good_is_not_probed_again_until_a_setting_changes(probed: t.Callable[..., dict[str, t.Any]], state: pathlib.Path) -> None:
    with FakeStore().serving() as store:
        assert probed(store, check=True, remember=True)["changed"], "check mode predicts the probe"
        assert not state.exists()
        (state / "object-stores").mkdir(parents=True)
        leftover = state / "object-stores/.registry.json.01ab23cd.holdfast-tmp"
        leftover.write_text("{")
        assert probed(store, remember=True)["changed"]
        assert not leftover.exists(), "what a killed run left of the record goes"
        asked = len(store.asked)
        again = probed(store, remember=True)
        assert (again["changed"], again["probed"], len(store.asked)) == (False, [], asked)
        assert probed(store, remember=True, entry={"prefix": "another"})["probed"] == ["registry"]
    (record,) = (state / "object-stores").iterdir()
    assert record.stat().st_mode & 0o777 == 0o600
    assert SECRET not in record.read_text()


def test_check_mode_only_asks_for_a_list(probed: t.Callable[..., dict[str, t.Any]]) -> None:
    with FakeStore().serving() as store:
        probed(store, check=True)
        assert store.asked == ["GET /registry/"]
        assert "credentials: " in probed(store, check=True, entry={"secret_key": "wrong-secret"})["msg"]


def test_what_a_killed_probe_left_long_ago_is_removed(probed: t.Callable[..., dict[str, t.Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeStore().serving() as store:
        probed(store)
        monkeypatch.setattr("ansible_collections.holdfast.registry.tests.unit.plugins.modules.object_store._time", lambda: "2026-01-01T00:00:00.000Z")
        store.objects.update({key: Stored(b"x", 0.0) for key in ("holdfast-probe/old/object", "holdfast-probe-not/object", "docker/registry/v2/x")})
        probed(store)
    assert set(store.objects) == {"holdfast-probe-not/object", "docker/registry/v2/x"}


def test_what_another_probe_is_writing_stays(probed: t.Callable[..., dict[str, t.Any]]) -> None:
    with FakeStore().serving() as store:
        store.objects["holdfast-probe/other/object"] = Stored(b"x", 0.0)
        probed(store)
    assert set(store.objects) == {"holdfast-probe/other/object"}


@pytest.mark.parametrize(("lies", "fit"), [([], True), (["no encryption"], False)])
def test_a_store_has_to_say_that_it_encrypts(probed: t.Callable[..., dict[str, t.Any]], lies: list[str], fit: bool) -> None:
    with FakeStore(*lies).serving() as store:
        result = probed(store, entry={"encrypt": True})
    assert [failure["check"] for failure in result.get("failures", [])] == ([] if fit else ["encryption"])


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"name": "a/b"}, "stores[0].name: 'a/b' is not a name"),
        ({"bucket": ""}, "stores[0].bucket: is empty"),
        ({"endpoint": "http://store.example.org"}, "stores[0].endpoint: 'http://store.example.org/' must begin with https://"),
        ({"endpoint": "https://store.example.org/registry"}, "stores[0].endpoint: 'https://store.example.org/registry/' has a path"),
        ({"endpoint": "ftp://store"}, "stores[0].endpoint: 'ftp://store/' must begin with http:// or https://"),
        ({"endpoint": "https://store.example.org", "ca_certificate": "x"}, "stores[0].ca_certificate: holds no valid PEM certificate"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_place(run: t.Callable[..., dict[str, t.Any]], entry: dict[str, str], said: str) -> None:
    assert run(object_store_probe, stores=[FakeStore().arguments(**entry)])["msg"].startswith(said)
