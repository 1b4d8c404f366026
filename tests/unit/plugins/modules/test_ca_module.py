# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest

pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.plugins.modules import ca


def test_a_check_run_says_what_the_run_does_and_a_second_run_nothing(run, tmp_path):
    directory = tmp_path / "ca"
    predicted = run(ca, check=True, directory=str(directory), passphrase="correct horse")
    assert not directory.exists()
    real = run(ca, directory=str(directory), passphrase="correct horse")
    again = run(ca, directory=str(directory), passphrase="correct horse")
    for key in ("changed", "needs", "path", "days_left"):
        assert predicted[key] == real[key]
    assert (real["changed"], real["needs"], again["changed"], again["needs"]) == (True, ["missing"], False, [])
    assert real["certificate"] == (directory / "ca.crt").read_text()
    assert "key file: ec-p256, encrypted" in real["diff"]["after"]


def test_what_is_wrong_is_a_message_not_a_traceback_and_holds_no_secret(run, tmp_path):
    run(ca, directory=str(tmp_path / "ca"))
    failed = run(ca, directory=str(tmp_path / "ca"), lifetime_days=10)
    assert failed["failed"]
    assert failed["msg"].startswith("lifetime_days: 10 must be greater than renew_before_days (90)")
    run(ca, directory=str(tmp_path / "ca"), passphrase="correct horse")
    wrong = run(ca, directory=str(tmp_path / "ca"), passphrase="correct horse 2")
    assert wrong["msg"].startswith("passphrase: does not open")
    assert "exception" not in wrong


def test_a_directory_that_is_a_file_is_a_clear_message(run, tmp_path):
    (tmp_path / "ca").write_text("")
    for check in (True, False):
        assert str(tmp_path / "ca") in run(ca, check=check, directory=str(tmp_path / "ca"))["msg"]
