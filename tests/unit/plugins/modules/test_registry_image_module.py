# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import base64
import contextlib
import json
import typing as t

import pytest
from ansible_collections.holdfast.registry.plugins.modules import registry_image
from ansible_collections.holdfast.registry.tests.unit.plugins.modules import image_registry
from ansible_collections.holdfast.registry.tests.unit.plugins.modules.image_registry import CREDENTIALS, INDEX, PASSWORD, TOKEN, USER, FakeRegistry, digest_of

KEY = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def registries(tmp_path):
    """Makes registries that run until the end of the test."""
    with contextlib.ExitStack() as stack:
        count = iter(range(9))
        yield lambda **how: stack.enter_context(FakeRegistry(tmp_path / f"registry{next(count)}", **how).serving())


@pytest.fixture
def images(run, tmp_path):
    """Run the module. Its output must hold no secret."""

    def call(images, *registries, check=False, **more):
        given = [one if isinstance(one, dict) else one.access() for one in registries]
        result = run(registry_image, check=check, images=images, registries=given, **{"config_file": str(tmp_path / "none"), **more})
        for secret in (PASSWORD, CREDENTIALS, TOKEN):
            assert secret not in json.dumps({name: value for name, value in result.items() if name != "invocation"})
        return result

    return call


def states(registry: FakeRegistry) -> dict[str, t.Any]:
    return {str(path): path.read_bytes() for path in registry.path.rglob("*") if path.is_file()}


def test_a_copy_has_all_platforms_under_the_same_digest(registries, images):
    source, target = registries(), registries()
    index = source.index("team/app", "1.4")
    result = images([{"name": f"{target.name}/prod/app:stable", "source": f"{source.name}/team/app:1.4"}], source, target)
    assert (result["changed"], result["images"][0]["digest"], result["images"][0]["reason"]) == (True, index["digest"], "added")
    assert target.tags("prod/app") == {"stable": index["digest"]} and target.whole("prod/app", index["digest"])


def test_within_a_registry_layers_are_mounted_and_none_is_sent(registries, images):
    registry = registries()
    index = registry.index("team/app", "1.4")
    images([{"name": f"{registry.name}/prod/app:stable", "source": f"{registry.name}/team/app@{index['digest']}"}], registry)
    assert registry.whole("prod/app", index["digest"])
    assert not registry.uploads and not [line for line in registry.asked if line.startswith("GET") and "/blobs/" in line]


def test_within_a_repository_a_tag_takes_one_manifest(registries, images):
    registry = registries()
    index = registry.index("team/app", "1.4")
    result = images([{"name": f"{registry.name}/team/app:stable", "source": f"{registry.name}/team/app:1.4"}], registry)
    assert registry.tags("team/app") == {"1.4": index["digest"], "stable": index["digest"]} and result["changed"]
    assert [line for line in registry.asked if not line.startswith(("GET", "HEAD"))] == ["PUT /v2/team/app/manifests/stable"]


def test_the_tag_is_written_after_everything_that_it_needs(registries, images):
    source, target = registries(), registries()
    source.index("team/app", "1.4")
    images([{"name": f"{target.name}/team/app:1.4", "source": f"{source.name}/team/app:1.4", "referrers": True}], source, target)
    assert [line for line in target.asked if line.startswith(("PUT", "POST"))][-1] == "PUT /v2/team/app/manifests/1.4"


def test_a_tag_that_is_the_same_is_left_alone(registries, images):
    source, target = registries(), registries()
    source.image("app", "1")
    wanted = [{"name": f"{target.name}/app:1", "source": f"{source.name}/app:1"}]
    images(wanted, source, target)
    before = states(target)
    again = images(wanted, source, target)
    assert (again["changed"], again["images"][0]["reason"]) == (False, "up to date")
    assert states(target) == before


def test_check_mode_and_the_diff_say_which_digest_follows_which(registries, images):
    registry = registries()
    old, new = registry.image("app", "1", "old"), registry.image("app", "2", "new")
    before = states(registry)
    result = images([{"name": f"{registry.name}/app:1", "source": f"{registry.name}/app:2"}], registry, check=True)
    assert result["images"][0]["reason"] == f"digest changed from {old['digest']} to {new['digest']}"
    assert result["diff"] == {
        "before": {"images": {f"{registry.name}/app:1": [old["digest"]]}},
        "after": {"images": {f"{registry.name}/app:1": [new["digest"]]}},
    }
    assert states(registry) == before


@pytest.mark.parametrize("wrong", ["content", "size"])
def test_a_layer_that_is_not_what_its_digest_says_never_arrives(registries, images, wrong):
    source, target = registries(), registries()
    image = source.image("app", "1")
    layer = digest_of(b"layer" * 100)
    (source.path / "blobs" / layer).write_bytes(b"other" * 100 if wrong == "content" else b"layer" * 99)
    result = images([{"name": f"{target.name}/app:1", "source": f"{source.name}/app:1"}], source, target)
    assert result["failed"] and f"images[0]: {source.name}/app@{layer}: the source sent" in result["msg"]
    assert not target.tags("app") and not (target.path / "blobs" / layer).exists() and not target.whole("app", image["digest"])
    assert "done" not in list(target.uploads.values())[-1:]


def test_a_manifest_that_is_not_what_its_digest_says_is_refused(registries, images):
    source, target = registries(), registries()
    digest = source.image("app", "1")["digest"]
    (source.path / "blobs" / digest).write_bytes((source.path / "blobs" / digest).read_bytes() + b" ")
    result = images([{"name": f"{target.name}/app:1", "source": f"{source.name}/app@{digest}"}], source, target)
    assert result["failed"] and "the answer should be" in result["msg"]
    assert not target.path.exists()


def test_a_platform_missing_at_the_source_is_found_before_anything_is_changed(registries, images):
    source, target = registries(), registries()
    source.index("app", "1")
    other = source.image("other", "1")
    (source.path / "repositories/app/manifests" / source.image("app", "", "arm64")["digest"]).unlink()
    wanted = [{"name": f"{target.name}/other:1", "source": f"{source.name}/other:1"}, {"name": f"{target.name}/app:1", "source": f"{source.name}/app:1"}]
    result = images(wanted, source, target)
    assert result["failed"] and result["msg"].startswith("images[1]: ") and "(linux/arm64) is missing at the source" in result["msg"]
    assert other and not target.path.exists()


def referring(registry: FakeRegistry, repository: str, digest: str, word: str, kind: str) -> dict[str, t.Any]:
    more = {} if kind == "cosign" else {"subject": {"mediaType": image_registry.MANIFEST, "digest": digest, "size": 1}, "artifactType": "application/x-test"}
    tag = f"{digest.replace(':', '-')}.sig" if kind == "cosign" else ""
    made = registry.image(repository, tag, word, **more)
    if kind == "fallback":
        content = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [made]}).encode()
        registry.put(repository, content, INDEX, digest.replace(":", "-"))
    return made


@pytest.mark.parametrize("kind", ["api", "fallback", "cosign"])
@pytest.mark.parametrize("target_api", [True, False])
def test_what_refers_to_an_image_is_copied_along_once(registries, images, kind, target_api):
    source, target = registries(api=kind == "api"), registries(api=target_api)
    digest = source.index("app", "1")["digest"]
    platform = source.image("app", "", "arm64")["digest"]
    signatures = [referring(source, "app", digest, "signature", kind)["digest"], referring(source, "app", platform, "list", kind)["digest"]]
    wanted = [{"name": f"{target.name}/app:1", "source": f"{source.name}/app:1", "referrers": True}]
    predicted, result = images(wanted, source, target, check=True), images(wanted, source, target)
    assert predicted["images"] == result["images"]
    assert result["images"][0]["referrers"] == sorted(signatures)
    assert all(target.whole("app", signature) for signature in signatures)
    tag = digest.replace(":", "-")
    if kind == "cosign":
        assert target.tags("app")[f"{tag}.sig"] == signatures[0]
    elif not target_api:
        listed = json.loads((target.path / "blobs" / target.tags("app")[tag]).read_bytes())["manifests"]
        assert [entry["digest"] for entry in listed] == signatures[:1]
    assert images(wanted, source, target)["changed"] is False


def test_without_being_asked_nothing_else_is_copied_along(registries, images):
    source, target = registries(api=True), registries(api=True)
    signature = referring(source, "app", source.image("app", "1")["digest"], "signature", "api")["digest"]
    images([{"name": f"{target.name}/app:1", "source": f"{source.name}/app:1"}], source, target)
    assert not target.whole("app", signature)


def test_a_fallback_list_keeps_what_others_have_put_there(registries, images):
    source, target = registries(), registries()
    for registry in (source, target):
        registry.image("app", "1")
    digest = source.tags("app")["1"]
    theirs = referring(target, "app", digest, "theirs", "fallback")["digest"]
    ours = referring(source, "app", digest, "ours", "fallback")["digest"]
    images([{"name": f"{target.name}/app:1", "source": f"{source.name}/app:1", "referrers": True}], source, target)
    listed = json.loads((target.path / "blobs" / target.tags("app")[digest.replace(":", "-")]).read_bytes())["manifests"]
    assert [entry["digest"] for entry in listed] == [theirs, ours]


# Absent


def test_a_registry_that_can_deletes_the_tag_alone(registries, images):
    registry = registries(version="3.1")
    digest = registry.image("app", "1")["digest"]
    registry.image("app", "2")
    result = images([{"name": f"{registry.name}/app:1", "state": "absent"}], registry)
    assert result["changed"] and registry.tags("app") == {"2": digest} and registry.whole("app", digest)


def test_an_old_registry_deletes_the_manifest_if_no_other_tag_names_it(registries, images):
    registry = registries()
    registry.image("app", "1", "one")
    kept = registry.image("app", "2", "two")["digest"]
    wanted = [{"name": f"{registry.name}/app:1", "state": "absent"}]
    assert images(wanted, registry, check=True)["changed"] is True
    assert images(wanted, registry)["images"][0]["reason"] == "removed"
    assert registry.tags("app") == {"2": kept}
    assert images(wanted, registry)["images"][0]["reason"] == "is not there"


@pytest.mark.parametrize("check", [True, False])
def test_an_old_registry_is_not_made_to_delete_other_tags_unasked(registries, images, check):
    registry = registries()
    for tag in ("1", "2", "latest"):
        registry.image("app", tag)
    before = states(registry)
    result = images([{"name": f"{registry.name}/app:{tag}", "state": "absent"} for tag in ("1", "2")], registry, check=check)
    assert result["failed"] and "and so are the tags latest. " in result["msg"] and "delete_other_tags: true" in result["msg"]
    assert states(registry) == before


def test_other_tags_go_where_that_was_said(registries, images):
    registry = registries()
    for tag in ("1", "latest"):
        registry.image("app", tag)
    result = images([{"name": f"{registry.name}/app:1", "state": "absent"}], registry, delete_other_tags=True)
    assert result["images"][0]["reason"] == "removed, and with it latest" and not registry.tags("app")


def test_all_tags_of_a_manifest_can_be_listed(registries, images):
    registry = registries()
    for tag in ("1", "latest"):
        registry.image("app", tag)
    result = images([{"name": f"{registry.name}/app:{tag}", "state": "absent"} for tag in ("1", "latest")], registry)
    assert [one["changed"] for one in result["images"]] == [True, True] and not registry.tags("app")


def test_a_tag_that_the_same_call_makes_another_image_is_no_other_tag(registries, images):
    registry = registries()
    registry.image("app", "1", "old")
    registry.image("app", "latest", "old")
    new = registry.image("app", "2", "new")["digest"]
    wanted = [{"name": f"{registry.name}/app:1", "state": "absent"}, {"name": f"{registry.name}/app:latest", "source": f"{registry.name}/app:2"}]
    assert [one["changed"] for one in images(wanted, registry)["images"]] == [True, True]
    assert registry.tags("app") == {"2": new, "latest": new}


def test_an_image_that_moves_is_deleted_when_it_has_been_copied(registries, images):
    registry = registries()
    digest = registry.index("app", "1")["digest"]
    wanted = [{"name": f"{registry.name}/app:1", "state": "absent"}, {"name": f"{registry.name}/prod/app:1", "source": f"{registry.name}/app:1"}]
    images(wanted, registry)
    written = [line for line in registry.asked if not line.startswith(("GET", "HEAD"))]
    assert written[-2:] == ["PUT /v2/prod/app/manifests/1", f"DELETE /v2/app/manifests/{digest}"]
    again = images(wanted, registry)
    assert (again["changed"], again["images"][1]["reason"]) == (False, "is there; its source is absent")


@pytest.mark.parametrize("planned", [False, True])
def test_a_platform_of_another_tag_is_never_deleted(registries, images, planned):
    registry = registries()
    digest = registry.index("app", "all")["digest"]
    registry.image("app", "arm", "arm64")
    wanted = [{"name": f"{registry.name}/app:arm", "state": "absent"}]
    if planned:
        wanted.append({"name": f"{registry.name}/app:stable", "source": f"{registry.name}/app:all"})
    result = images(wanted, registry, delete_other_tags=True)
    assert result["failed"] and f"is a part of all{', stable' if planned else ''};" in result["msg"]
    assert registry.whole("app", digest) and "arm" in registry.tags("app")


@pytest.mark.parametrize("check", [True, False])
def test_a_registry_that_deletes_nothing_says_so_in_check_mode_too(registries, images, check):
    registry = registries(version="closed")
    registry.image("app", "1")
    result = images([{"name": f"{registry.name}/app:1", "state": "absent"}], registry, check=check)
    assert result["failed"] and "deletes nothing" in result["msg"]


# Credentials


def test_a_token_is_asked_for_with_what_it_is_to_allow(registries, images):
    source, target = registries(auth="bearer"), registries(auth="bearer")
    source.image("team/app", "1")
    images([{"name": f"{target.name}/app:1", "source": f"{source.name}/team/app:1"}], source, target)
    assert set(source.scopes) == {"repository:team/app:pull"} and set(target.scopes) == {"repository:app:pull", "repository:app:pull,push"}
    assert target.tags("app") and f"Bearer {TOKEN}" in target.sent


def test_a_mount_has_a_token_for_both_repositories(registries, images):
    registry = registries(auth="bearer")
    registry.image("team/app", "1")
    images([{"name": f"{registry.name}/app:1", "source": f"{registry.name}/team/app:1"}], registry)
    assert registry.tags("app") and not registry.uploads


def test_another_host_gets_the_password_for_a_token_only_where_it_is_listed(registries, images):
    registry, other = registries(auth="bearer"), registries()
    registry.realm = f"http://localhost:{other.port}/token"
    registry.image("app", "1")
    wanted = [{"name": f"{registry.name}/app:1"}]
    refused = images(wanted, registry)
    assert refused["failed"] and "token from another host" in refused["msg"] and not other.asked
    assert not images(wanted, registry.access(token_hosts=[f"localhost:{other.port}"])).get("failed")


def test_where_blobs_are_elsewhere_no_password_goes_there(registries, images):
    source, target, store = registries(auth="basic"), registries(), registries()
    image = source.image("app", "1")
    store.image("app", "1")
    source.blob_location = f"http://localhost:{store.port}"
    images([{"name": f"{target.name}/app:1", "source": f"{source.name}/app:1"}], source, target)
    assert target.whole("app", image["digest"]) and set(store.sent) == {""} and len(store.asked) == 2


def test_credentials_come_from_the_file_that_docker_login_writes(registries, images, tmp_path, monkeypatch):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {"registry.test:1": {"auth": CREDENTIALS}}}))
    find = registry_image.parse_access([], str(config), 1)
    assert find("registry.test:1").credentials == CREDENTIALS
    assert find("other.test").credentials == ""
    hub = base64.b64encode(b"hub:hub").decode()
    config.write_text(json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": hub}}}))
    hub_access = registry_image.parse_access([], str(config), 1)("docker.io")
    assert (hub_access.credentials, hub_access.url.host, hub_access.token_hosts) == (hub, "registry-1.docker.io", ("auth.docker.io",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not valid JSON"),
        ("[]", "is JSON, but not an object"),
        ('{"credHelpers": {"registry.test": "pass"}}', "are with the helper 'pass'"),
        ('{"credsStore": "pass", "auths": {"registry.test": {}}}', "are with the helper 'pass'"),
        ('{"auths": {"registry.test": {"identitytoken": "secret-token"}}}', "there is an identity token"),
        ('{"auths": {"registry.test": {"auth": "%%%"}}}', "is not the Base64 form"),
    ],
)
def test_credentials_that_cannot_be_used_are_named(images, tmp_path, content, message):
    (tmp_path / "config.json").write_text(content)
    result = images([{"name": "registry.test/app:1"}], config_file=str(tmp_path / "config.json"))
    assert result["failed"] and message in result["msg"] and "secret-token" not in result["msg"]


def test_a_wrong_password_and_none_are_told_apart(registries, images):
    registry = registries(auth="basic")
    wrong = images([{"name": f"{registry.name}/app:1"}], registry.access(password="wrong"))
    none = images([{"name": f"{registry.name}/app:1"}], {"registry": registry.name, "url": f"http://{registry.name}"})
    assert "does not accept these credentials" in wrong["msg"] and "needs a username and a password" in none["msg"]


# Parameters


@pytest.mark.parametrize(
    ("images_given", "more", "message"),
    [
        ([{"name": "app:1"}], {}, "images[0].name: 'app:1' does not begin with the name of a registry"),
        ([{"name": "team/app:1"}], {}, "images[0].name: 'team/app:1' does not begin with the name of a registry"),
        ([{"name": "r.test/app"}], {}, "images[0].name: 'r.test/app' names no tag"),
        ([{"name": f"r.test/app@sha256:{'0' * 64}"}], {}, "images[0].name: "),
        ([{"name": "r.test/App:1"}], {}, "images[0].name: 'App' is not the name of a repository"),
        ([{"name": "r.test/app:-1"}], {}, "images[0].name: '-1' is not a tag"),
        ([{"name": "r.test/app:1", "source": "r.test/app@sha256:1"}], {}, "images[0].source: 'sha256:1' is not a digest"),
        ([{"name": "r.test/app:1", "source": "r.test/app:2", "state": "absent"}], {}, "images[0].source: is for state present only"),
        ([{"name": "r.test/app:1", "referrers": True}], {}, "images[0].referrers: there is no source"),
        ([{"name": "r.test/app:1"}, {"name": "r.test/app:1"}], {}, "images[1].name: r.test/app:1 is already in images[0]"),
        (
            [{"name": "r.test/app:1", "source": "r.test/app:2"}, {"name": "r.test/app:3", "source": "r.test/app:1"}],
            {},
            "images[1].source: r.test/app:1 is what images[0] changes",
        ),
        ([], {"timeout": 0}, "timeout: 0 is not between"),
        ([], {"registries": [{"registry": "r.test/x"}]}, "registries[0].registry: "),
        ([], {"registries": [{"registry": "r.test"}, {"registry": "r.test"}]}, "registries[1].registry: 'r.test' is listed twice"),
        ([], {"registries": [{"registry": "r.test", "url": "https://r.test/v2/"}]}, "registries[0].url: 'https://r.test/v2/' must have no path"),
        ([], {"registries": [{"registry": "r.test", "ca_file": "/nonexistent"}]}, "registries[0].ca_file: /nonexistent cannot be read"),
        ([], {"registries": [{"registry": "r.test", "ca_certificate": KEY}]}, "registries[0].ca_certificate: holds a private key, which belongs nowhere"),
        ([], {"registries": [{"registry": "r.test", "ca_certificate": "e"}]}, "registries[0].ca_certificate: holds no valid PEM certificate"),
        ([], {"registries": [{"registry": "r.test", "url": "http://r.test", "username": USER, "password": PASSWORD}]}, "registries[0].url: "),
    ],
    ids=range(19),
)
def test_a_wrong_parameter_is_named_before_any_registry_is_asked(run, tmp_path, images_given, more, message):
    result = run(registry_image, images=images_given, config_file=str(tmp_path / "none"), **more)
    assert result["failed"] and result["msg"].startswith(message) and PASSWORD not in result["msg"]


def test_an_image_that_should_be_there_and_is_not_is_named(registries, images):
    registry = registries()
    registry.image("app", "1")
    assert images([{"name": f"{registry.name}/app:1"}], registry)["images"][0]["reason"] == "is there"
    missing = images([{"name": f"{registry.name}/app:2"}], registry)
    assert missing["failed"] and missing["msg"].startswith(f"images[0]: {registry.name}/app:2 is not there")
    source = images([{"name": f"{registry.name}/app:2", "source": f"{registry.name}/app:3"}], registry)
    assert source["failed"] and source["msg"] == f"images[0]: source: {registry.name}/app:3 is not there"
