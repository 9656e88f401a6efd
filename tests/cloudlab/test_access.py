# SPDX-License-Identifier: MIT
"""How nodes are entered: files and variables that are not what they should be are told before anything is sent."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from testbed.backends.cloudlab.backend import Experiment
from testbed.backends.cloudlab.manifest import Machine
from testbed.backends.cloudlab.ssh import Access, Connection
from testbed.errors import ConfigError
from tests.cloudlab.test_command import ROOT
from tests.cloudlab.test_manifest import manifest_text, written

if TYPE_CHECKING:
    from pathlib import Path

NODE = Machine(name="h1", host="192.0.2.1", port=22, user="ada", hardware="", ports=())  # TEST-NET: nobody is there


def make_key(file: Path, passphrase: str = "") -> Path:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(file)]
    subprocess.run(words, check=True)
    return file


def refused(known_hosts: Path, *identities: Path) -> ConfigError:
    """Enter a node with files that are wrong: nothing is connected to."""
    with pytest.raises(ConfigError) as found:
        Connection(NODE, Access(known_hosts=known_hosts, identities=identities))
    return found.value


@pytest.fixture
def known_hosts(tmp_path: Path) -> Path:
    file = tmp_path / "known_hosts"
    file.touch()
    return file


def test_a_key_with_a_passphrase(tmp_path: Path, known_hosts: Path) -> None:
    key = make_key(tmp_path / "locked", "secret words")
    error = refused(known_hosts, key)
    assert error.message == f"the key {key} has a passphrase, and nobody is asked for it"
    assert error.hint == f"ssh-add {key}, then leave out --identity: the keys of your ssh-agent are tried"


@pytest.mark.parametrize("content", [b"", b"no key\n", b"\0\1\2\3", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_file_that_is_no_key(tmp_path: Path, known_hosts: Path, content: bytes) -> None:
    file = tmp_path / "no_key"
    file.write_bytes(content)
    assert refused(known_hosts, file).message.startswith(f"wanted a private key in {file}, found none: ")


def test_a_public_key_is_no_private_one(tmp_path: Path, known_hosts: Path) -> None:
    public = make_key(tmp_path / "key").with_suffix(".pub")
    assert refused(known_hosts, public).message.startswith(f"wanted a private key in {public}, found none: ")


def test_a_key_that_is_gone(tmp_path: Path, known_hosts: Path) -> None:
    error = refused(known_hosts, tmp_path / "gone")
    assert error.message == f"cannot read the key {tmp_path / 'gone'}: No such file or directory"


@pytest.mark.parametrize("line", ["192.0.2.1", "@friend 192.0.2.1 ssh-ed25519 AAAA", "|1|x ssh-ed25519 AAAA"])
def test_a_line_of_known_hosts_that_is_none(tmp_path: Path, known_hosts: Path, line: str) -> None:
    text = f"{line}\n" if "AAAA" not in line else f"{line.replace('ssh-ed25519 AAAA', _public(tmp_path))}\n"
    known_hosts.write_text(text)
    error = refused(known_hosts)
    assert error.message.startswith(f"{known_hosts} is no known_hosts file: ")
    assert error.hint is not None
    assert "--known-hosts FILE" in error.hint


def test_known_hosts_that_is_a_folder(tmp_path: Path) -> None:
    assert refused(tmp_path).message == f"cannot read {tmp_path}, which vouches for the nodes: Is a directory"


def _public(folder: Path) -> str:
    return make_key(folder / "host").with_suffix(".pub").read_text().strip()


@pytest.mark.parametrize("word", ["abc", "-1", "0", "nan", "inf"])
def test_a_patience_that_is_no_number_of_seconds(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("TESTBED_MANIFEST", "manifest.xml")
    monkeypatch.setenv("TESTBED_PATIENCE_S", word)
    with pytest.raises(ConfigError) as found:
        Experiment.from_environment()
    assert found.value.message == f"TESTBED_PATIENCE_S: wanted seconds, 1 or more, found {word!r}"


def test_no_manifest_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TESTBED_MANIFEST", raising=False)
    with pytest.raises(ConfigError, match=r"^the backend cloudlab needs the manifest of an experiment\n"):
        Experiment.from_environment()


def cloudlab(tmp_path: Path, *words: str) -> str:
    """Call ``testbed cloudlab check`` with words that are wrong; what it says."""
    manifest = written(tmp_path, manifest_text(links={}, names=("h1",)))
    argv = [sys.executable, "-m", "testbed", "cloudlab", "check", "--manifest", str(manifest), *words]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_the_command_tells_of_a_key_with_a_passphrase(tmp_path: Path, known_hosts: Path) -> None:
    key = make_key(tmp_path / "locked", "secret words")
    assert "has a passphrase" in cloudlab(tmp_path, "--known-hosts", str(known_hosts), "--identity", str(key))


def test_the_command_tells_of_a_key_that_is_not_there(tmp_path: Path, known_hosts: Path) -> None:
    assert f"no key {tmp_path}/gone" in cloudlab(
        tmp_path, "--known-hosts", str(known_hosts), "--identity", str(tmp_path / "gone")
    )


def test_the_command_tells_that_nothing_vouches_for_the_nodes(tmp_path: Path) -> None:
    words = cloudlab(tmp_path, "--known-hosts", str(tmp_path / "gone"))
    assert f"there is no file {tmp_path}/gone that vouches for the nodes" in words
