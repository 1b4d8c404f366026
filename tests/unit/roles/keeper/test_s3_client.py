# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests to a store over the network: signed, repeated, and never taken for something else than they are."""

from __future__ import annotations

import os
import pathlib
import sys
import threading

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "plugins/modules"))
sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from object_store import BUCKET, KEY, SECRET, FakeStore, Handler, Stored
from registry_keeper.errors import BUSY, KeeperError
from registry_keeper.s3 import client, lease, uploads
from registry_keeper.s3.client import Bucket, Client, StoreError
from registry_keeper.s3.objects import READERS, Objects
from registry_keeper.s3.settings import objects_of, read_key
from registry_keeper.s3.signing import Credentials
from registry_keeper.settings import Settings


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(client, "_PAUSES", (0, 0))
    with FakeStore().serving() as store:
        yield store


def objects(fake, secret=SECRET, **more):
    return Objects(Client(Bucket(f"http://127.0.0.1:{fake.port}", more.pop("name", BUCKET), "pre/", Credentials(KEY, secret, "us-east-1"), **more), timeout=5))


def test_what_is_written_is_read_listed_copied_and_removed(fake):
    at = objects(fake)
    at.write("a/one", b"content")
    assert at.read("a/one") == b"content" and at.head("a/one").size == 7 and at.read("a/two") is None and at.head("a/two") is None
    assert [name for name, _item in at.list("a/")] == ["a/one"] == [name for name, _item in at.list("a/", version=1)]
    assert at.copy("a/one", "b/one", "sha256:ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73") == 7
    at.remove("a/one")
    at.remove("a/one")
    assert at.read("a/one") is None and at.read("b/one") == b"content"


def test_names_in_many_pages_are_all_listed(fake, monkeypatch):
    at = objects(fake)
    for number in range(7):
        at.write(f"a/{number}", b"")
    fake.page = 2
    for version in (1, 2):
        assert [name for name, _item in at.list("a/", version)] == [f"a/{number}" for number in range(7)]


@pytest.mark.parametrize(
    ("lie", "fails"),
    [
        ("503", ["digest", "list", "write", "remove"]),
        ("another clock", ["digest", "list", "write", "remove"]),
        ("no store", ["digest", "list", "write", "remove"]),
        ("answers that end early", ["digest", "write"]),
        ("short ranges", ["digest"]),
        ("no right to write", ["write", "remove"]),
    ],
)
def test_an_answer_that_is_none_is_an_error_and_not_an_absence(fake, lie, fails):
    at = objects(fake)
    at.write("a/one", bytes(5000))
    asked = {
        "digest": lambda: at.digest("a/one", 5000),
        "list": lambda: [name for name, _item in at.list("a/")],
        "write": lambda: at.write("a/two", bytes(5000)),
        "remove": lambda: at.remove("a/one"),
    }
    right = {"digest": asked["digest"](), "list": ["a/one"], "write": None, "remove": None}
    fake.lies.add(lie)
    failed = []
    for what, ask in asked.items():
        try:
            assert ask() == right[what]
        except StoreError:
            failed.append(what)
    assert failed == fails


@pytest.mark.parametrize(("content", "believed"), [(b"", True), (b"<html>Sign in</html>", False), (b"{}", False)])
def test_a_removal_is_believed_only_where_the_answer_is_empty(fake, monkeypatch, content, believed):
    """Some stores answer 200 to a removal, and a proxy does so with a page of its own."""
    at = objects(fake)
    monkeypatch.setattr(Client, "_once", lambda *_arguments: client.Answer(200, {}, content))
    if believed:
        at.remove("a/one")
    else:
        with pytest.raises(StoreError, match="a page that no store sends"):
            at.remove("a/one")


def test_a_list_that_does_not_say_whether_it_ends_is_an_error(fake):
    at = objects(fake)
    for number in range(3):
        at.write(f"a/{number}", b"")
    fake.page = 1
    fake.lies.add("one page only")
    with pytest.raises(StoreError, match="does not say where"):
        list(at.list("a/"))


def test_a_bucket_that_is_not_there_is_an_error(fake):
    with pytest.raises(StoreError, match="NoSuchBucket"):
        objects(fake, name="other").read("a")


def test_a_wrong_secret_is_an_error_that_does_not_tell_it(fake):
    with pytest.raises(StoreError) as error:
        objects(fake, secret="a-wrong-secret").read("a")
    assert "a-wrong-secret" not in str(error.value)


def test_a_busy_store_is_asked_again_but_not_to_remove(fake):
    at = objects(fake)
    at.write("a/one", b"1")
    fake.lies.add("503 at first")
    fake.seen.clear()
    assert at.read("a/one") == b"1"
    with pytest.raises(StoreError):
        at.remove("a/one")
    assert fake.asked[-1].startswith("DELETE") and not fake.asked[-2].startswith("DELETE")


def test_nothing_that_is_there_is_written_over(fake):
    at = objects(fake)
    assert at.write_new("a", b"one") and not at.write_new("a", b"two")
    assert at.read("a") == b"one"


def refuse(monkeypatch, method, status, code, which):
    """Have requests for objects refused, by their query and name."""
    before = getattr(Handler, method)

    def answer(self, body):
        return self.refuse(status, code) if which(self) else before(self, body)

    monkeypatch.setattr(Handler, method, answer)


def test_an_upload_that_has_ended_already_is_given_up(fake, monkeypatch):
    start = "docker/registry/v2/repositories/a/_uploads/u/"
    monkeypatch.setattr(uploads, "_multipart", lambda _objects: {start: [(f"pre/{start}data", "an id", 0.0)]})
    # The registry has ended it since it was listed.
    refuse(monkeypatch, "delete_object", 404, "NoSuchUpload", lambda request: "uploadId" in request.query)
    assert uploads.remove_abandoned(objects(fake), {}, 1.0) == 1


def test_what_ends_a_copy_is_said_and_not_that_its_upload_has_gone(fake, monkeypatch):
    refuse(monkeypatch, "delete_object", 404, "NoSuchUpload", lambda request: "uploadId" in request.query)
    refuse(monkeypatch, "put_object", 507, "InsufficientStorage", lambda request: "uploadId" in request.query)
    with pytest.raises(StoreError, match="InsufficientStorage"):
        objects(fake).put("a/one", [b"1", b"2"])


# As Amazon S3 answers: 409 where two writes meet, 404 where there is nothing to match.
@pytest.mark.parametrize(("status", "code"), [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict"), (404, "NoSuchKey")])
def test_who_is_not_the_first_to_take_the_lease_is_busy(fake, monkeypatch, status, code):
    refuse(monkeypatch, "put_object", status, code, lambda request: True)
    with pytest.raises(KeeperError) as busy, lease.Lease(objects(fake), "collect").held():
        pass
    assert busy.value.status == BUSY


@pytest.mark.parametrize(("status", "code"), [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict"), (404, "NoSuchKey")])
def test_a_lease_that_cannot_be_renewed_is_lost(fake, monkeypatch, status, code):
    at, now = objects(fake), [0.0]
    monkeypatch.setattr(lease, "WAIT", 0.0)
    monkeypatch.setattr(lease, "clock", lambda: now[0])
    with pytest.raises(lease.LeaseLostError), lease.Lease(at, "collect").held():
        # Another host takes it between the look and the renewal.
        def taken(_request):
            fake.objects[f"pre/{lease.NAME}"] = Stored(b'{"run": "another"}', 0)
            return True

        refuse(monkeypatch, "put_object", status, code, taken)
        now[0] += lease.LASTS / 4
        at.guard()


def test_a_tag_that_somebody_else_sets_meanwhile_is_not_written_over(fake, monkeypatch):
    def set_meanwhile(_request):
        fake.objects["pre/a"] = Stored(b"two", 0)
        return True

    refuse(monkeypatch, "put_object", 409, "ConditionalRequestConflict", set_meanwhile)
    assert not objects(fake).write_new("a", b"one")
    assert objects(fake).read("a") == b"two"


S3 = {"endpoint": "https://store.example.org", "bucket": "images", "prefix": "a/b"}


def test_the_key_is_where_the_registry_has_it(tmp_path, monkeypatch):
    for name in ("REGISTRY_STORAGE_S3_ACCESSKEY", "REGISTRY_STORAGE_S3_SECRETKEY"):
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)
    path = tmp_path / "store.env"
    settings = Settings("registry", str(tmp_path), s3={**S3, "environment": str(path)})
    with pytest.raises(KeeperError, match="is not known"):
        objects_of(settings)
    path.write_text("REGISTRY_STORAGE_S3_ACCESSKEY='\"a-key\"'\nREGISTRY_STORAGE_S3_SECRETKEY='\"s=cret\"'\n")
    read_key(settings)
    bucket = objects_of(settings).client.bucket
    assert (bucket.credentials.access_key, bucket.credentials.secret_key, bucket.prefix) == ("a-key", "s=cret", "a/b/")
    assert os.environ["REGISTRY_STORAGE_S3_SECRETKEY"]


@pytest.mark.parametrize("wrong", [{"endpoint": "http://store.example.org"}, {"prefix": "/a"}, {"path_style": "yes"}, {"secret_key": "x"}])
def test_wrong_settings_are_named(tmp_path, wrong):
    with pytest.raises(KeeperError, match=f"s3.{next(iter(wrong))}"):
        objects_of(Settings("registry", str(tmp_path), s3={**S3, **wrong}))


def test_many_are_read_at_once_and_those_that_are_not_there_are_none(fake, monkeypatch):
    at = objects(fake)
    for number in range(20):
        at.write(f"a/{number}", str(number).encode())
    # Only answers that are asked for at the same time come at all.
    together = threading.Barrier(READERS)
    is_signed = Handler.is_signed
    monkeypatch.setattr(Handler, "is_signed", lambda *request: together.wait(timeout=10) >= 0 and is_signed(*request))
    names = [*(f"a/{number}" for number in range(20)), *(f"b/{number}" for number in range(4))]
    requests = at.requests
    found = {name: answer and answer.content for name, answer in at.several(names)}
    assert found == {**{f"a/{number}": str(number).encode() for number in range(20)}, **{f"b/{number}": None for number in range(4)}}
    assert at.requests == requests + len(names)


def test_one_of_many_that_cannot_be_read_is_an_error(fake, monkeypatch):
    at = objects(fake)
    before = Handler.get_object
    monkeypatch.setattr(Handler, "get_object", lambda self, body: self.refuse(403, "AccessDenied") if self.path.endswith("/70") else before(self, body))
    with pytest.raises(StoreError, match="AccessDenied"):
        list(at.several([f"a/{number}" for number in range(100)]))


def test_who_has_lost_the_lease_does_not_read_on(fake):
    at = objects(fake)

    def guard():
        if len(fake.asked) >= 128:
            raise StoreError("another run has taken the lease")

    at.guard = guard
    with pytest.raises(StoreError, match="lease"):
        list(at.several([f"a/{number}" for number in range(1000)]))
    assert len(fake.asked) == 128
