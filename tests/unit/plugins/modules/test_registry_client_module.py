# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module registry_client: all its parts in one call, each as the module that does it alone. systemctl and dockerd are scripts here."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil

import pytest

pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.plugins.module_utils._docker import daemon_parameters, remembered
from ansible_collections.holdfast.registry.plugins.module_utils._host import hosts_parameters, stamps
from ansible_collections.holdfast.registry.plugins.module_utils._mirrors import parameters as mirrors_parameters
from ansible_collections.holdfast.registry.plugins.module_utils._trust import parameters as trust_parameters
from ansible_collections.holdfast.registry.plugins.module_utils._trust.system import SystemStore
from ansible_collections.holdfast.registry.plugins.modules import ca_trust, registry_client
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._trust.steps import sign

# Services that have run since before any of the files was written, or none where there is the file "stopped". "broken" makes each restart fail.
SYSTEMCTL = """#!/bin/sh
verb=$1
while [ "$1" != -- ]; do shift; done
shift
for unit; do
  case $verb in
    show)
      state=active
      [ ! -e "{path}/stopped" ] || state=inactive
      printf 'LoadState=loaded\\nActiveState=%s\\nType=oneshot\\nCanReload=yes\\nInactiveExitTimestampMonotonic=1\\n' "$state"
      echo "InvocationID=$(grep -c "^restart $unit" "{path}/done")"
      echo
      ;;
    is-enabled) echo enabled ;;
    reset-failed) ;;
    *)
      echo "$verb $unit" >>"{path}/done"
      [ "$verb" != restart ] || [ ! -e "{path}/broken" ] || {{ echo Job failed. >&2; exit 1; }}
      ;;
  esac
done
"""
HOSTS = "127.0.0.1 localhost\n"
CA = sign("First")[0]
NAMED = [{"address": "192.0.2.10", "names": ["registry.example.org"]}]
HUB = [{"upstream": "docker.io", "mirror": "mirror.example.org:5444"}]
ENDPOINT = "registry.example.org:5000"
PARTS = ["hosts", "trust", "mirrors", "daemon", "services"]
WHOLE = {
    "name": "company",
    "entries": NAMED,
    "content": CA,
    "endpoints": [ENDPOINT],
    "stores": ["system", "docker", "containers", "containerd"],
    "clients": ["docker", "containers", "containerd", "buildkit"],
    "mirrors": HUB,
    "short_names": {"app": f"{ENDPOINT}/team/app"},
    "settings": {"mtu": 1400, "labels": ["ours=1"]},
    "engines": ["docker", "containerd", "buildkit"],
}


def reasons(result, part):
    """Why a part has changed, in some order."""
    return sorted(result[part]["reasons"]) if part in result else None


class Host:
    """A host below a directory, which the module takes for its own."""

    def __init__(self, path, run):
        self.path, self._run = path, run

    def run(self, check=False, **arguments):
        return self._run(registry_client, check, **arguments)

    def adds(self, **arguments):
        """What ca_trust does before the registry gets a certificate of another CA."""
        return self._run(ca_trust, False, additional=True, **arguments)

    def done(self, **arguments):
        """The result of a run that check mode predicts, and a second run of which changes nothing."""
        before = self.files()
        predicted = self.run(check=True, **arguments)
        assert self.files() == before
        real = self.run(**arguments)
        assert not real.get("failed"), real
        assert [reasons(predicted, part) for part in PARTS] == [reasons(real, part) for part in PARTS]
        assert predicted["changed"] is real["changed"] is any(real[part]["changed"] for part in PARTS if part in real)
        after = self.files()
        again = self.run(**arguments)
        assert (again["changed"], again["diff"]) == (False, [])
        assert self.files() == after
        return real

    def write(self, name, text, mode=0o644):
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def files(self):
        """What is in /etc, and what was done with units."""
        found = {str(path): path.read_bytes() for path in (self.path / "etc").rglob("*") if path.is_file() and path.suffix != ".lock"}
        return {**found, "done": tuple(self.actions())}

    def actions(self):
        done = self.path / "done"
        return done.read_text().splitlines() if done.exists() else []

    def settings(self):
        return json.loads((self.path / "etc/docker/daemon.json").read_text())


@pytest.fixture
def host(tmp_path, monkeypatch, run):
    host = Host(tmp_path, run)
    for module in (remembered, stamps):
        monkeypatch.setattr(module, "STATE", str(tmp_path / "state"))
    etc = {
        hosts_parameters: {"path": "hosts"},
        trust_parameters: {f"{store}_directory": f"{store}/certs.d" for store in ("docker", "containers", "containerd")},
        mirrors_parameters: {
            "docker_directory": "docker/certs.d",
            "containers_directory": "containers",
            "containerd_directory": "containerd/certs.d",
            "containerd_config": "containerd/config.toml",
            "buildkit_config": "buildkit/buildkitd.toml",
        },
        daemon_parameters: {"path": "docker/daemon.json"},
    }
    for module, places in etc.items():
        moved = {option: {**module.OPTIONS[option], "default": str(tmp_path / "etc" / place)} for option, place in places.items()}
        monkeypatch.setattr(module, "OPTIONS", {**module.OPTIONS, **moved})
    (tmp_path / "etc/anchors").mkdir(parents=True)
    store = SystemStore(f"{tmp_path}/etc/anchors", f"{tmp_path}/etc/bundle.crt", None, f"{tmp_path}/bin/update")
    monkeypatch.setattr(SystemStore, "of_this_host", lambda _anchors: store)
    host.write("bin/update", f"#!/bin/sh\ncat {tmp_path}/etc/anchors/*.crt >{tmp_path}/etc/bundle.crt || true\n", 0o755)
    host.write("bin/systemctl", SYSTEMCTL.format(path=tmp_path), 0o755)
    host.write("bin/journalctl", "#!/bin/sh\n", 0o755)
    host.write("bin/dockerd", "#!/bin/sh\nfor file; do :; done\n! grep -q bogus $file\n", 0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    host.write("etc/hosts", HOSTS)
    host.write("etc/docker/daemon.json", '{"mtu": 1500}\n')
    host.write("etc/bundle.crt", "")
    return host


def test_one_call_does_all_parts_and_restarts_each_engine_once(host):
    done = host.done(**WHOLE)
    assert [part for part in PARTS if done[part]["changed"]] == PARTS
    assert "192.0.2.10 registry.example.org" in (host.path / "etc/hosts").read_text()
    copy = host.path / f"etc/docker/certs.d/{ENDPOINT}/company.crt"
    assert CA in copy.read_text()
    assert str(copy) in (host.path / "etc/docker/certs.d/docker.io/hosts.toml").read_text()
    assert ENDPOINT in (host.path / "etc/buildkit/buildkitd.toml").read_text()
    assert host.settings() == {"mtu": 1400, "labels": ["ours=1"]}
    assert sorted(host.actions()) == ["restart buildkit.service", "restart containerd.service", "restart docker.service"]
    assert len(done["diff"]) > 5


def test_what_can_be_taken_up_while_the_engine_runs_is_reloaded(host):
    host.done(**WHOLE)
    changed = host.done(**{**WHOLE, "settings": {"mtu": 1400, "labels": ["ours=2"]}})
    assert [part for part in PARTS if changed[part]["changed"]] == ["daemon", "services"]
    assert host.actions()[3:] == ["reload docker.service"]


@pytest.mark.parametrize("stores", [["system"], ["system", "docker"]])
def test_the_systems_store_is_refreshed_once_also_where_another_name_goes(host, stores):
    told = {"name": "company", "engines": [], "endpoints": [ENDPOINT], "stores": stores, "content": CA}
    command = (host.path / "bin/update").read_text()
    host.write("bin/update", f"{command}echo >>{host.path}/refreshed\n", 0o755)
    host.run(**told)
    host.done(**{**told, "name": "another", "endpoints": ["another.example.org"], "content": sign("Second")[0]}, former_names=["company"])
    assert (host.path / "refreshed").read_text() == "\n" * 2
    assert [path.name for path in (host.path / "etc/anchors").glob("*.crt")] == ["another.crt"]


@pytest.mark.parametrize(("stores", "actions"), [(["system"], ["restart docker.service"]), (["system", "docker"], [])])
def test_docker_is_restarted_for_a_certificate_only_where_it_reads_none_of_its_own(host, stores, actions):
    told = {"name": "company", "engines": ["docker"], "endpoints": [ENDPOINT], "stores": stores}
    host.done(**told, content=CA)
    assert host.actions() == actions
    host.done(**told, content=sign("Second")[0])
    assert host.actions() == actions * 2


@pytest.mark.parametrize("added_before", [False, True], ids=["at once", "added by ca_trust before"])
def test_docker_is_restarted_for_one_bundle_of_certificates_after_another(host, added_before):
    """Each certificate of a bundle has a file of its own."""
    told = {"name": "company", "engines": ["docker"], "endpoints": [ENDPOINT], "stores": ["system"]}
    second, third = sign("Second")[0], sign("Third")[0]
    host.run(**told, content=CA + second)
    if added_before:
        assert host.adds(name="company", stores=["system"], content=third)["changed"]
    assert host.actions() == ["restart docker.service"]
    for content in (CA + second + third, second + third):
        assert host.run(check=True, **told, content=content)["services"]["changed"]
        assert host.run(**told, content=content)["services"]["changed"]
        assert not host.run(**told, content=content)["changed"]
    assert host.actions() == ["restart docker.service"] * 3


def test_without_an_engine_daemon_json_is_left_alone_and_systemd_is_not_asked(host):
    host.write("bin/systemctl", f"#!/bin/sh\ntouch {host.path}/asked\nexit 1\n", 0o755)
    done = host.done(**{**WHOLE, "engines": []})
    assert "daemon" not in done
    assert host.settings() == {"mtu": 1500}
    assert done["mirrors"]["changed"]
    assert not (host.path / "asked").exists()


def test_an_engine_that_is_told_nothing_any_longer_has_to_notice(host):
    host.done(**WHOLE)
    host.done(**{**WHOLE, "clients": ["docker"]})
    assert sorted(host.actions()[3:]) == ["restart buildkit.service", "restart containerd.service"]


def test_an_engine_that_is_told_nothing_any_longer_notices_also_after_a_failed_restart(host):
    less = {**WHOLE, "clients": ["docker"]}
    host.done(**WHOLE)
    (host.path / "broken").touch()
    assert host.run(**less)["failed"]
    (host.path / "broken").unlink()
    tried = len(host.actions())
    host.done(**less)
    assert "restart containerd.service" in host.actions()[tried:]
    assert not host.run(**less)["changed"]


def test_one_that_is_not_told_anything_is_not_run(host):
    host.done(**{**WHOLE, "clients": ["docker"], "settings": {}})
    assert host.actions() == []


def test_absent_takes_all_of_it_back_and_lets_the_engines_go_on(host):
    before = host.files()
    host.done(**WHOLE)
    gone = host.done(name="company", state="absent")
    assert [part for part in PARTS if gone[part]["changed"]] == PARTS
    assert {**host.files(), "done": ()} == before
    assert sorted(host.actions()[3:]) == ["restart buildkit.service", "restart containerd.service", "restart docker.service"]
    assert list((host.path / "state/services").glob("*.json")) == []


def test_absent_restarts_no_engine_that_has_never_been_told_of_it(host):
    host.done(**{**WHOLE, "engines": []})
    host.done(name="company", state="absent")
    assert host.actions() == []


def test_absent_starts_no_engine(host):
    host.done(**WHOLE)
    (host.path / "stopped").touch()
    host.done(name="company", state="absent")
    assert host.actions()[3:] == []


RENAMED = {**WHOLE, "name": "elsewhere", "former_names": ["company"], "former_hosts_names": ["company"]}


def test_a_former_registry_goes_in_the_same_step_and_one_of_the_same_settings_restarts_nothing(host):
    host.done(**WHOLE)
    renamed = host.done(**{**RENAMED, "endpoints": ["images.example.org"]})
    assert not renamed["daemon"]["changed"]
    assert "docker.service" not in str(renamed["services"]["reasons"])
    assert "company" not in str({name: content for name, content in host.files().items() if isinstance(content, bytes)})
    assert (host.path / "etc/docker/certs.d/images.example.org/elsewhere.crt").exists()
    assert host.done(name="elsewhere", state="absent")["changed"]
    assert host.settings() == {"mtu": 1500}


def test_where_the_mirrors_cannot_be_those_of_now_what_the_former_ones_name_is_still_there(host):
    host.done(**WHOLE)
    host.write("etc/containerd/certs.d/quay.io/hosts.toml", "server = 'x'\n")
    mirrors = [*HUB, {"upstream": "quay.io", "mirror": "mirror.example.org:5444"}]
    failed = host.run(**{**RENAMED, "endpoints": ["images.example.org"], "mirrors": mirrors})
    assert failed["failed"] and failed["trust"]["changed"]
    copy = host.path / f"etc/docker/certs.d/{ENDPOINT}/company.crt"
    assert copy.exists()
    assert str(copy) in (host.path / "etc/docker/certs.d/docker.io/hosts.toml").read_text()
    (host.path / "etc/containerd/certs.d/quay.io/hosts.toml").unlink()
    host.run(**{**RENAMED, "endpoints": ["images.example.org"], "mirrors": mirrors})
    assert not copy.exists()


def test_other_settings_take_the_place_of_those_of_a_former_registry_with_one_restart(host):
    host.done(**WHOLE)
    host.done(**{**RENAMED, "settings": {"mtu": 1300}})
    assert host.settings() == {"mtu": 1300}
    assert host.actions().count("restart docker.service") == 2
    host.done(name="elsewhere", state="absent")
    assert host.settings() == {"mtu": 1500}


def test_without_an_engine_the_settings_of_a_former_registry_go_all_the_same(host):
    host.done(**WHOLE)
    host.done(**{**RENAMED, "engines": []})
    assert host.settings() == {"mtu": 1500}


def test_where_a_part_fails_the_result_says_what_those_before_have_changed_and_the_next_run_goes_on(host):
    theirs = host.path / "etc/docker/certs.d/docker.io/hosts.toml"
    host.write("etc/docker/certs.d/docker.io/hosts.toml", "server = 'x'\n")
    failed = host.run(**WHOLE)
    assert failed["failed"]
    assert "hosts.toml: exists and was not written by this module" in failed["msg"]
    assert failed["changed"] and failed["hosts"]["changed"]
    assert any("company.crt: added" in reason for reason in failed["trust"]["reasons"])
    assert not {"mirrors", "daemon", "services"} & set(failed)
    assert host.settings() == {"mtu": 1500}
    assert (theirs.read_text(), host.actions()) == ("server = 'x'\n", [])
    shutil.rmtree(theirs.parent)
    done = host.done(**WHOLE)
    assert [part for part in PARTS if done[part]["changed"]] == ["mirrors", "daemon", "services"]


def test_where_the_engine_would_refuse_its_settings_they_are_not_written(host):
    failed = host.run(**{**WHOLE, "settings": {"bogus": 1}})
    assert "the engine would refuse it, so nothing was changed" in failed["msg"]
    assert failed["mirrors"]["changed"]
    assert host.settings() == {"mtu": 1500}


def test_where_a_restart_fails_the_result_says_what_was_written_and_the_next_run_goes_on(host):
    (host.path / "broken").touch()
    failed = host.run(**WHOLE)
    assert failed["failed"] and "docker.service: systemctl restart failed" in failed["msg"]
    assert [part for part in PARTS if failed.get(part, {}).get("changed")] == PARTS[:-1]
    (host.path / "broken").unlink()
    assert [part for part, said in host.run(**WHOLE).items() if part in PARTS and said["changed"]] == ["services"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "../x"}, "name: '../x'"),
        ({"hosts_name": "#"}, "hosts_name: '#'"),
        ({"entries": [{"address": "x", "names": ["y"]}]}, "entries[0].address: 'x'"),
        ({"replaces": [""]}, "replaces[0]: ''"),
        ({"content": "no certificate"}, "content: "),
        ({"endpoints": []}, "endpoints: is empty"),
        ({"endpoints": ["https://r"], "content": ""}, "endpoints[0]: 'https://r'"),
        ({"stores": []}, "stores: is empty"),
        ({"mirrors": [{"upstream": "docker.io", "mirror": "https://m"}]}, "mirrors[0].mirror: 'https://m'"),
        ({"short_names": {"app:1": "r.test/app"}}, "short_names: 'app:1'"),
        ({"search_registries": ["r/x"]}, "search_registries[0]: 'r/x'"),
        ({"client_certificate_path": "/none.crt", "client_key_path": "/none.key"}, "client_certificate_path: "),
        ({"client_certificate_path": "/none.crt"}, "client_key_path"),
        ({"former_names": ["company"]}, "former_names[0]: 'company' is the name itself"),
        ({"former_hosts_names": ["company"]}, "former_hosts_names[0]: 'company' is the name of today's block"),
        ({"former_hosts_names": ["\n"]}, "former_hosts_names[0]: "),
        ({"engines": ["podman"]}, "engines"),
    ],
)
def test_what_cannot_be_right_is_refused_with_the_name_of_its_option_before_anything_is_changed(host, wrong, said):
    before = host.files()
    refused = host.run(**{**WHOLE, **wrong})
    assert refused["failed"] and said in refused["msg"]
    assert host.files() == before


def test_a_line_of_others_with_the_name_causes_a_warning_also_where_a_later_part_fails(host):
    host.write("etc/hosts", "192.0.2.9 registry.example.org\n")
    (host.path / "broken").touch()
    for result in (host.run(**WHOLE), host.run(check=True, **WHOLE)):
        assert any("192.0.2.9 as well" in str(warning) for warning in result["warnings"])
        assert "deprecations" not in result


@pytest.mark.parametrize("engines", [["docker"], []])
def test_a_password_of_a_proxy_is_never_shown(host, engines):
    shown = host.run(**{**WHOLE, "engines": engines, "settings": {"proxies": {"http-proxy": "http://proxy:opensesame@proxy.example.org"}}})
    assert "opensesame" not in json.dumps(shown)
    assert ("opensesame" in pathlib.Path(host.path / "etc/docker/daemon.json").read_text()) is (engines != [])


# An upstream of the mirrors that is a registry with a CA of its own: two parts, or two uses of the module, write its hosts.toml.

STORES = ["docker", "containers", "containerd"]
UPSTREAM = "upstream.example.org"
MIRRORED = {
    "name": "edge",
    "content": CA,
    "endpoints": ["edge.example.org"],
    "stores": STORES,
    "clients": ["docker", "containerd"],
    "mirrors": [{"upstream": UPSTREAM, "mirror": "edge.example.org:5444"}],
    "engines": ["docker"],
}
DIRECT = {"name": "direct", "content": sign("Second")[0], "endpoints": [UPSTREAM], "stores": STORES, "engines": ["docker"], "clients": ["docker", "containerd"]}
MIRROR = '[host."https://edge.example.org:5444"]'


def hosts_of(host, store):
    """The hosts.toml of the upstream, all of whose files are there; empty where there is none."""
    file = host.path / f"etc/{store}/certs.d/{UPSTREAM}/hosts.toml"
    text = file.read_text() if file.exists() else ""
    assert [path for path in re.findall(r'"(/[^"]*)"', text) if not os.path.exists(path)] == []
    return text


def changes_once(host, **arguments):
    """A change that check mode foretells, and a second run does not repeat."""
    predicted, real, again = host.run(check=True, **arguments), host.run(**arguments), host.run(**arguments)
    assert [predicted.get("msg"), real.get("msg"), again.get("msg")] == [None, None, None]
    assert [predicted["changed"], real["changed"], again["changed"]] == [True, True, False]


@pytest.mark.parametrize("order", [[MIRRORED, DIRECT], [DIRECT, MIRRORED]], ids=["mirrored first", "trusted first"])
def test_an_upstream_with_a_ca_of_its_own_has_mirrors_as_well(host, order):
    for arguments in order:
        changes_once(host, **arguments)
    for store in ("docker", "containerd"):
        assert MIRROR in hosts_of(host, store)
        assert f"{store}/certs.d/{UPSTREAM}/direct.crt" in hosts_of(host, store)
    assert not any(host.run(**arguments)["changed"] for arguments in order)


def test_what_an_upstream_is_trusted_by_goes_and_its_mirrors_stay(host):
    changes_once(host, **MIRRORED)
    changes_once(host, **DIRECT)
    changes_once(host, name="direct", state="absent")
    assert [MIRROR in hosts_of(host, store) for store in ("docker", "containerd")] == [True, True]
    assert not host.run(**MIRRORED)["changed"]


def test_the_mirrors_of_an_upstream_go_and_it_is_trusted_as_before(host):
    changes_once(host, **DIRECT)
    before = {path: content for path, content in host.files().items() if UPSTREAM in path}
    changes_once(host, **MIRRORED)
    changes_once(host, name="edge", state="absent")
    assert {path: content for path, content in host.files().items() if UPSTREAM in path} == before
    assert not host.run(**DIRECT)["changed"]


def test_a_registry_has_a_mirror_of_its_own_images(host):
    own = {**MIRRORED, "endpoints": [UPSTREAM]}
    changes_once(host, **own)
    assert [MIRROR in hosts_of(host, store) and "edge.crt" in hosts_of(host, store) for store in ("docker", "containerd")] == [True, True]
    changes_once(host, **{**own, "mirrors": []})
    assert (hosts_of(host, "docker"), MIRROR in hosts_of(host, "containerd")) == ("", False)
    changes_once(host, **own)
    changes_once(host, **{**own, "content": None})
    assert [MIRROR in hosts_of(host, store) for store in ("docker", "containerd")] == [True, True]
    changes_once(host, **own)
    changes_once(host, name="edge", state="absent")
    assert [path for path in host.files() if "certs.d" in path] == []


@pytest.mark.parametrize("client", ["docker", "containerd", "buildkit"])
def test_the_name_that_has_mirrors_of_the_same_upstream_is_said(host, client):
    told = {"clients": [client], "mirrors": HUB, "engines": ["docker"]}
    host.done(name="first", **told)
    refused = host.run(name="second", **{**told, "mirrors": [{"upstream": "docker.io", "mirror": "other.example.org:5444"}]})
    assert "is kept under the name first, and each upstream has the mirrors of one name" in refused["msg"]


@pytest.mark.parametrize("change", [{"stores": ["containers"]}, {"endpoints": ["registry.example.org:5001"]}], ids=["store", "endpoint"])
def test_the_copy_that_mirrors_name_stays_until_they_name_another(host, change):
    told = {"name": "company", "content": CA, "endpoints": [ENDPOINT], "stores": ["docker", "containers"], "clients": ["docker"], "engines": ["docker"]}
    host.done(**told, mirrors=HUB)
    host.write("etc/docker/certs.d/quay.io/hosts.toml", "# of somebody else\n")
    refused = {**told, **change, "mirrors": [*HUB, {"upstream": "quay.io", "mirror": "mirror.example.org:5444"}]}
    assert "quay.io/hosts.toml: exists and was not written by this module" in host.run(**refused)["msg"]
    named = re.findall(r'"(/[^"]*)"', (host.path / "etc/docker/certs.d/docker.io/hosts.toml").read_text())
    assert named and all(os.path.exists(path) for path in named)
    host.done(**{**told, **change}, mirrors=HUB)
    assert not (host.path / f"etc/docker/certs.d/{ENDPOINT}").exists()
