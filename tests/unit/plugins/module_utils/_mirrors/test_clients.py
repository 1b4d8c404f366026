# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Clients know of mirrors, whatever is there already: it is merged or named, and nothing of others is lost."""

from __future__ import annotations

import os
import pathlib

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils import _toml
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Result
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._mirrors.clients import CLIENTS, Places, keep
from ansible_collections.holdfast.registry.plugins.module_utils._mirrors.wanted import Wanted

M, NAME = "mirror.example.org:5444", "holdfast-r_443"
CA, PAIR = "/etc/ca.crt", ("/etc/c.crt", "/etc/c.key")
V2, V3 = 'plugins."io.containerd.grpc.v1.cri".registry', 'plugins."io.containerd.cri.v1.images".registry'


class Etc:
    """A host's /etc, empty at first."""

    def __init__(self, path):
        self.path = path
        self.containerd = "1.7.24~ds1"
        self.places = Places(*(str(path / each) for each in ("docker/certs.d", "containers", "containerd/certs.d", "containerd/config.toml", "buildkitd.toml")))

    def write(self, name, text, mode=0o644):
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def read(self, name):
        return (self.path / name).read_text()

    def data(self, name):
        return _toml.parse((self.path / name).read_bytes(), name).data

    def keep(self, clients=CLIENTS, *, check_mode=False, name=NAME, **wanted):
        wanted.setdefault("mirrors", {"docker.io": (M,), "ghcr.io": (M,)})
        return keep(self.run_program, Wanted(name, **wanted), clients, self.places, check_mode=check_mode)

    def run_program(self, *command, **_more):
        assert command == ("containerd", "--version")
        return Result(0 if self.containerd else 127, f"containerd github.com/containerd/containerd {self.containerd} 0123abc\n", "")

    def files(self):
        """Every file but the locks, with its content."""
        found = {}
        for parent, _names, names in os.walk(self.path):
            for name in names:
                if not name.endswith(".lock"):
                    path = os.path.join(parent, name)
                    found[os.path.relpath(path, self.path)] = os.readlink(path) if os.path.islink(path) else pathlib.Path(path).read_bytes()
        return found

    def directories(self):
        return sorted(os.path.relpath(os.path.join(parent, name), self.path) for parent, names, _files in os.walk(self.path) for name in names)


@pytest.fixture
def etc(tmp_path):
    return Etc(tmp_path)


# All of them


def test_a_check_predicts_a_second_run_changes_nothing_and_what_was_made_goes_again(etc):
    etc.write("containerd/config.toml", "version = 2\n")
    etc.write("buildkitd.toml", "[log]\n")
    before = etc.files()
    predicted = etc.keep(check_mode=True, ca=CA, client=PAIR)
    assert etc.files() == before
    done = etc.keep(ca=CA, client=PAIR)
    assert (done["clients"], done["restart"], done["diff"]) == (predicted["clients"], predicted["restart"], predicted["diff"])
    assert done["changed"] and done["restart"] == ["containerd", "buildkit"]
    again = etc.keep(ca=CA, client=PAIR)
    assert not again["changed"] and again["restart"] == []
    gone = etc.keep([], mirrors={})
    assert gone["changed"] and etc.files() == {**before, "containerd/config.toml": b"version = 2\n"}
    assert not etc.keep([], mirrors={})["changed"]


def test_a_host_without_any_file_gets_them_and_loses_them(etc):
    etc.keep()
    assert sorted(etc.files()) == [
        "buildkitd.toml",
        "containerd/certs.d/docker.io/hosts.toml",
        "containerd/certs.d/ghcr.io/hosts.toml",
        "containerd/config.toml",
        "containers/registries.conf.d/holdfast-r_443.conf",
        "docker/certs.d/docker.io/hosts.toml",
        "docker/certs.d/ghcr.io/hosts.toml",
    ]
    etc.keep([], mirrors={})
    assert etc.files() == {}
    assert etc.directories() == ["containerd", "containerd/certs.d", "containers", "containers/registries.conf.d", "docker", "docker/certs.d"]


def test_a_client_that_is_no_longer_listed_forgets(etc):
    etc.keep(["docker", "containers"])
    done = etc.keep(["docker"])
    assert done["clients"]["containers"]["changed"] and not done["clients"]["docker"]["changed"]
    assert sorted(etc.files()) == ["docker/certs.d/docker.io/hosts.toml", "docker/certs.d/ghcr.io/hosts.toml"]


def test_two_names_do_not_take_from_each_other(etc):
    etc.keep(mirrors={"docker.io": (M,)})
    etc.keep(mirrors={"quay.io": (M,)}, name="other")
    assert not etc.keep(mirrors={"docker.io": (M,)})["changed"]
    etc.keep([], mirrors={}, name="other")
    assert not etc.keep(mirrors={"docker.io": (M,)})["changed"]
    assert "config_path" in etc.read("containerd/config.toml")
    etc.keep([], mirrors={})
    assert etc.files() == {}


def test_what_is_kept_under_a_former_name_goes_in_the_same_step_and_is_not_in_the_way(etc):
    etc.write("containerd/config.toml", "version = 2\n")
    etc.write("buildkitd.toml", "[log]\n")
    before = etc.files()
    told = {"ca": CA, "short_names": {"app": "r.test/app"}, "search": ("r.test",)}
    etc.keep(name="holdfast-zz_443", mirrors={"docker.io": (M,), "quay.io": (M,)}, **told)
    with pytest.raises(HoldfastError, match="is kept under the name holdfast-zz_443"):
        etc.keep(**told)
    predicted = etc.keep(former=("holdfast-zz_443", "nobody"), check_mode=True, **told)
    done = etc.keep(former=("holdfast-zz_443", "nobody"), **told)
    assert (done["clients"], done["restart"], done["diff"]) == (predicted["clients"], predicted["restart"], predicted["diff"])
    assert done["restart"] == ["containerd", "buildkit"]
    assert not etc.keep(former=("holdfast-zz_443", "nobody"), **told)["changed"]
    assert b"holdfast-zz" not in b"".join(etc.files().values())
    assert not [name for name in etc.directories() if "quay.io" in name]
    etc.keep([], former=("holdfast-zz_443",), mirrors={})
    assert etc.files() == before


def test_a_refusal_of_one_client_leaves_all_as_they_were(etc):
    etc.write("buildkitd.toml", '[registry."docker.io"]\n  mirrors = ["other"]\n')
    before = etc.files()
    with pytest.raises(HoldfastError, match="buildkitd.toml: line 1 has"):
        etc.keep()
    assert etc.files() == before


# hosts.toml


def test_the_mirror_is_asked_first_with_ca_and_pair_and_the_upstream_by_its_own_certificates(etc):
    for kind in ("crt", "cert", "key"):
        etc.write(f"docker/certs.d/quay.io/own.{kind}", "")
    etc.keep(["docker"], mirrors={"quay.io": (M, "second:1")}, ca=CA, client=PAIR)
    hosts = etc.data("docker/certs.d/quay.io/hosts.toml")
    directory = str(etc.path / "docker/certs.d/quay.io")
    assert hosts["ca"] == [f"{directory}/own.crt"] and hosts["client"] == [[f"{directory}/own.cert", f"{directory}/own.key"]]
    assert list(hosts["host"]) == [f"https://{M}", "https://second:1"]
    assert hosts["host"][f"https://{M}"] == {"capabilities": ["pull", "resolve"], "dial_timeout": "5s", "ca": [CA], "client": [list(PAIR)]}
    etc.keep([], mirrors={})
    assert sorted(etc.files()) == [f"docker/certs.d/quay.io/own.{kind}" for kind in ("cert", "crt", "key")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "add .host."),
        ('server = "https://elsewhere"\n', "add .host."),
        ('[host."https://elsewhere"]\n', "add .host."),
        ("# Managed by the Ansible module holdfast.registry.registry_mirrors for another\n", "is kept under the name another"),
        ("[host\n", "line 1 is not valid TOML"),
    ],
)
def test_the_hosts_toml_of_another_stays_and_is_named(etc, text, why):
    etc.write("containerd/certs.d/docker.io/hosts.toml", text)
    before = etc.files()
    with pytest.raises(HoldfastError, match=why) as caught:
        etc.keep(["containerd"])
    assert "containerd/certs.d/docker.io/hosts.toml" in str(caught.value)
    assert etc.files() == before


def test_a_hosts_toml_of_another_that_has_the_mirror_is_enough(etc):
    etc.write("containerd/certs.d/docker.io/hosts.toml", f'[host."https://{M}/"]\n')
    etc.keep(["containerd"], mirrors={"docker.io": (M,)})
    etc.keep([], mirrors={})
    assert etc.files() == {"containerd/certs.d/docker.io/hosts.toml": f'[host."https://{M}/"]\n'.encode()}


def test_a_link_in_the_place_of_hosts_toml_is_not_written_through(etc):
    etc.write("elsewhere", "")
    (etc.path / "docker/certs.d/docker.io").mkdir(parents=True)
    (etc.path / "docker/certs.d/docker.io/hosts.toml").symlink_to(etc.path / "nowhere")
    with pytest.raises(HoldfastError, match="exists and was not written by this module"):
        etc.keep(["docker"])


def test_a_directory_that_would_be_read_instead_is_named(etc):
    etc.write("containerd/certs.d/quay.io_8443_/hosts.toml", "")
    with pytest.raises(HoldfastError, match="quay.io_8443_: exists, and would be read instead"):
        etc.keep(["containerd"], mirrors={"quay.io:8443": (M,)})


# registries.conf.d


def drop_in(etc):
    return etc.data(f"containers/registries.conf.d/{NAME}.conf")


def test_podman_asks_the_mirror_by_the_upstream_in_its_path_and_no_upstream_with_a_port(etc):
    done = etc.keep(["containers"], mirrors={"ghcr.io": (M,), "quay.io:8443": (M,)}, short_names={"app": "r/team/app"}, search=("r",))
    assert drop_in(etc) == {
        "unqualified-search-registries": ["r"],
        "registry": [{"prefix": "ghcr.io", "location": "ghcr.io", "mirror": [{"location": f"{M}/ghcr.io"}]}],
        "aliases": {"app": "r/team/app"},
    }
    assert done["unmirrored"] == ["quay.io:8443"]


def test_what_others_say_of_the_same_upstream_is_said_again(etc):
    etc.write("containers/registries.conf", 'unqualified-search-registries = ["docker.io"]\n[[registry]]\nlocation = "docker.io"\nblocked = true\n')
    etc.write(
        "containers/registries.conf.d/50.conf", '[[registry]]\nprefix = "docker.io"\nlocation = "hub"\n[[registry.mirror]]\nlocation = "m"\ninsecure = true\n'
    )
    before = etc.files()
    etc.keep(["containers"], mirrors={"docker.io": (M,)}, search=("r",))
    assert drop_in(etc) == {
        "unqualified-search-registries": ["r", "docker.io"],
        "registry": [{"prefix": "docker.io", "location": "hub", "mirror": [{"location": f"{M}/docker.io"}, {"location": "m", "insecure": True}]}],
    }
    assert not etc.keep(["containers"], mirrors={"docker.io": (M,)}, search=("r",))["changed"]
    etc.keep([], mirrors={})
    assert etc.files() == before


def test_the_older_form_of_the_main_file_is_read(etc):
    etc.write("containers/registries.conf", "[registries.search]\nregistries = ['docker.io']\n")
    etc.keep(["containers"], search=("r",))
    assert drop_in(etc)["unqualified-search-registries"] == ["r", "docker.io"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            '[[registry]]\nprefix = "docker.io"\n',
            "zz.conf: has a table for docker.io too, and as the file comes after holdfast-r_443.conf only that table counts",
        ),
        ('unqualified-search-registries = ["x"]\n', "zz.conf: sets unqualified-search-registries, and comes after"),
        ("[[registry]\n", "zz.conf: line 1 is not valid TOML"),
        ("registry = 1 2\n", "zz.conf: line 1 is not valid TOML"),
    ],
)
def test_a_file_that_would_hide_ours_or_is_broken_is_named(etc, text, why):
    etc.write("containers/registries.conf.d/zz.conf", text)
    before = etc.files()
    with pytest.raises(HoldfastError, match=why):
        etc.keep(["containers"], search=("r",))
    assert etc.files() == before


@pytest.mark.parametrize("text", ["registry = 1\n", "registry = [1]\n", "[[registry]]\nprefix = 5\n", "unqualified-search-registries = 'x'\n"])
def test_wrong_types_of_others_are_theirs_to_mend(etc, text):
    etc.write("containers/registries.conf.d/00.conf", text)
    etc.keep(["containers"], search=("r",))
    assert drop_in(etc)["unqualified-search-registries"] == ["r"]


def test_others_may_have_our_file_s_name(etc):
    etc.write(f"containers/registries.conf.d/{NAME}.conf", "")
    with pytest.raises(HoldfastError, match=f"{NAME}.conf: exists and was not written by this module"):
        etc.keep(["containers"])


# containerd's config.toml


def config_path(etc):
    plugins = etc.data("containerd/config.toml").get("plugins", {})
    return [each.get("registry", {}).get("config_path") for each in plugins.values() if isinstance(each, dict)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "version = 2\n",
        "version = 3\n",
        '[plugins]\n  [plugins."cri"]\n    sandbox_image = "x"\n',
        f'version = 2\n[{V2}]\n  [{V2}.headers]\n    a = ["b"]\n',
        f'version = 2\n[{V2}.headers]\n  a = ["b"]\n[debug]\n',
        f'version = 2\n[{V2}]\n  config_path = ""\n[debug]\n  level = "info"\n',
        f"version = 3\n[{V3}]\n  config_path = '' # none\n",
        f'version = 2\r\n[{V2}]\r\n  config_path = ""\r\n[debug]\r\n',
        f"version = 2\n[{V2}]\n  text = '''\n  config_path = ''\n'''\n  config_path = ''\n",
        f"version = 2\r\n[{V2}]\r\n",
        f"version = 2\n# no end of line at the end\n[{V2}]",
        f'version = 2\n[{V2}]\n  [{V2}.configs."a".auth]\n    username = "x"\n',
    ],
)
def test_config_path_is_set_and_the_file_is_as_before_afterwards(etc, text):
    etc.write("containerd/config.toml", text, 0o600)
    etc.keep(["containerd"])
    assert config_path(etc)[-1] == etc.places.containerd
    assert (etc.path / "containerd/config.toml").stat().st_mode & 0o777 == 0o600
    assert not etc.keep(["containerd"])["changed"]
    etc.keep([], mirrors={})
    assert etc.files().get("containerd/config.toml", b"").decode().rstrip("\n") in (text.rstrip("\n"), "")
    assert text in ("", "version = 2\n") or "containerd/config.toml" in etc.files()


@pytest.mark.parametrize("text", ['version = 2\ndisabled_plugins = ["cri"]\n', 'version = 3\ndisabled_plugins = ["io.containerd.cri.v1.images"]\n'])
def test_where_the_plugin_is_disabled_nothing_is_set(etc, text):
    etc.write("containerd/config.toml", text)
    done = etc.keep(["containerd"])
    assert etc.read("containerd/config.toml") == text and done["restart"] == []


@pytest.mark.parametrize("value", ["{0}", "/other:{0}", "{0}:/other", "{0}/"])
def test_a_config_path_that_has_the_directory_is_enough(etc, value):
    text = f'version = 2\n[{V2}]\n  config_path = "{value.format(etc.places.containerd)}"\n'
    etc.write("containerd/config.toml", text)
    etc.keep(["containerd"])
    assert etc.read("containerd/config.toml") == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f'version = 2\n[{V2}]\n  config_path = "/other"\n', "line 2: config_path is '/other', so containerd does not read"),
        (f'version = 2\n[{V2}]\n  "config_path" = ""\n[plugins.other]\n  config_path = ""\n', "sets config_path to nothing in a way that is not known"),
        (f'version = 2\n[{V2}.mirrors."docker.io"]\n  endpoint = ["https://m"]\n', "sets registry.mirrors or registry.configs"),
        (f'version = 2\n[{V2}]\n[{V2}.configs."a".tls]\n  ca_file = "x"\n', "line 2: sets registry.mirrors or registry.configs"),
        ('version = 2\n[plugins."io.containerd.grpc.v1.cri"]\n  registry = {headers = {}}\n', "without a header of its own"),
        ('version = 2\n[plugins."io.containerd.grpc.v1.cri"]\n  registry.headers.a = ["b"]\n', "without a header of its own"),
        ("version = 'two'\n", "its version is 'two'"),
        ("version = 2\n[plugins\n", "line 2 is not valid TOML"),
        ("# BEGIN holdfast.registry.registry_mirrors\n", "line 1 begins a block of this collection"),
    ],
)
def test_a_config_that_cannot_take_it_is_named_and_stays(etc, text, why):
    etc.write("containerd/config.toml", text)
    with pytest.raises(HoldfastError, match=why) as caught:
        etc.keep(["containerd"])
    assert "config.toml" in str(caught.value)
    assert etc.files() == {"containerd/config.toml": text.encode()}


CRI = 'plugins."io.containerd.grpc.v1.cri"'
IMPORTING = 'version = 2\nimports = ["conf.d/*.toml"]\n'


@pytest.mark.parametrize(
    ("text", "versions", "why"),
    [
        # containerd 1 takes the whole table of a plugin from the last file that has one, containerd 2 merges them.
        (f'[{CRI}.containerd]\n  default_runtime_name = "x"\n', ["1.7.24"], "conf.d/b.toml: has a table of the plugin"),
        ("[plugins.cri.cni]\n", ["v1.6.20"], "conf.d/b.toml: has a table of the plugin"),
        (f'[{V2}]\n  config_path = "/other"\n', ["1.7.24", "v2.1.0"], "conf.d/b.toml: config_path is '/other', so containerd does not read"),
        (f'[{V2}.mirrors."docker.io"]\n  endpoint = ["https://m"]\n', ["1.7.24", "v2.1.0"], "conf.d/b.toml: sets registry.mirrors"),
        (f'version = 3\n[{V3}.configs."a".tls]\n  ca_file = "x"\n', ["v2.1.0", ""], "conf.d/b.toml: sets registry.mirrors"),
        ("[plugins\n", ["1.7.24", "v2.1.0"], "conf.d/b.toml: line 1 is not valid TOML"),
    ],
)
def test_an_imported_file_with_which_config_path_would_have_no_effect_is_named(etc, text, versions, why):
    etc.write("containerd/config.toml", IMPORTING)
    etc.write("containerd/conf.d/a.toml", "[debug]\n")
    etc.write("containerd/conf.d/b.toml", text)
    before = etc.files()
    for etc.containerd in versions:
        with pytest.raises(HoldfastError, match=why):
            etc.keep(["containerd"])
        assert etc.files() == before


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        ("[debug]\n", ["1.7.24", "v2.1.0", ""]),
        ('[plugins."io.containerd.internal.v1.opt"]\n  path = "x"\n', ["1.7.24", "v2.1.0"]),
        (f'[{CRI}.containerd]\n  default_runtime_name = "x"\n', ["v2.1.0", ""]),
        (f"[{V2}]\n  config_path = ''\n", ["v2.1.0"]),
        (f'[{V2}]\n  config_path = "/other:{{0}}"\n', ["1.7.24", "v2.1.0"]),
    ],
)
def test_imported_files_beside_which_it_has_an_effect_are_left_alone(etc, text, versions):
    etc.write("containerd/config.toml", 'version = 2\nimports = ["../imported/a.toml"]\n')
    etc.write("imported/a.toml", 'imports = ["b.toml", "a.toml"]\n')  # containerd reads each once
    etc.write("imported/b.toml", text.replace("{0}", etc.places.containerd))
    imported = etc.files()["imported/b.toml"]
    for etc.containerd in versions:
        etc.keep(["containerd"])
        assert etc.places.containerd in (config_path(etc) or [text.replace("{0}", etc.places.containerd)])[-1]
        assert not etc.keep(["containerd"])["changed"]
        etc.keep([], mirrors={})
        assert etc.files()["imported/b.toml"] == imported
        assert etc.read("containerd/config.toml") == 'version = 2\nimports = ["../imported/a.toml"]\n'


def test_what_is_kept_goes_whatever_is_imported_by_then(etc):
    etc.write("containerd/config.toml", IMPORTING)
    etc.keep(["containerd"])
    etc.write("containerd/conf.d/b.toml", f'[{V2}]\n  config_path = "/other"\n')
    etc.keep([], mirrors={})
    assert etc.read("containerd/config.toml") == IMPORTING


def test_the_file_that_a_link_leads_to_is_merged(etc):
    etc.write("kept/config.toml", "version = 2\n[debug]\n")
    (etc.path / "containerd").mkdir()
    (etc.path / "containerd/config.toml").symlink_to("../kept/config.toml")
    etc.keep(["containerd"])
    assert (etc.path / "containerd/config.toml").is_symlink() and "config_path" in etc.read("kept/config.toml")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written_is_named(etc):
    etc.write("containerd/config.toml", "version = 2\n")
    (etc.path / "containerd").chmod(0o500)
    with pytest.raises(HoldfastError, match="containerd"):
        etc.keep(["containerd"])
    (etc.path / "containerd").chmod(0o700)


# BuildKit


def test_buildkit_has_mirrors_and_trusts_them_and_the_registries(etc):
    etc.write("buildkitd.toml", 'debug = true\n[registry."mine"]\n  http = true', 0o600)
    before = etc.files()
    etc.keep(["buildkit"], mirrors={"docker.io": (M,)}, ca=CA, client=PAIR, registries=("r:5000", "mine"))
    assert etc.data("buildkitd.toml")["registry"] == {
        "mine": {"http": True},
        "docker.io": {"mirrors": [M]},
        M: {"ca": [CA], "keypair": [{"key": PAIR[1], "cert": PAIR[0]}]},
        "r:5000": {"ca": [CA], "keypair": [{"key": PAIR[1], "cert": PAIR[0]}]},
    }
    etc.keep([], mirrors={})
    assert etc.files() == {"buildkitd.toml": before["buildkitd.toml"] + b"\n"}


def test_buildkit_with_the_mirror_already_is_left_alone(etc):
    etc.write("buildkitd.toml", f'[registry."docker.io"]\n  mirrors = ["{M}", "other"]\n')
    assert not etc.keep(["buildkit"], mirrors={"docker.io": (M,)})["changed"]
