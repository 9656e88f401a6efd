# SPDX-License-Identifier: MIT
"""testbed.sh in a copy, with a PATH of its own: nothing of the machine is installed or changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What the launcher uses of a minimal Debian; everything else must be faked or absent.
BASIC_TOOLS = (
    *("sh", "cat", "tr", "sed", "head", "tail", "env", "mktemp", "rm", "mv", "cp", "mkdir", "chmod"),
    *("sha256sum", "dirname", "readlink", "flock", "xargs"),
)


class Copy:
    """A copy of the launcher in a folder with blanks in its name, and the folder that is its whole PATH."""

    def __init__(self, base: Path) -> None:
        self.root = base / "a checkout"
        self.tools = base / "tools"
        self.tools.mkdir()
        (self.root / "testbed").mkdir(parents=True)
        for name in ("testbed.sh", "pyproject.toml", "testbed/packages.txt"):
            shutil.copy2(ROOT / name, self.root / name)
        for tool in BASIC_TOOLS:
            (self.tools / tool).symlink_to(str(shutil.which(tool)))
        self.fake("cargo", "exit 0")
        self.fake("id", "echo 1000")
        self.fake("dpkg-query", "printf installed")
        self.fake("apt-cache", "exit 0")

    @property
    def stamp(self) -> Path:
        """Give the file that says that all is set up."""
        return self.root / ".venv" / ".testbed-stamp"

    def fake(self, name: str, body: str) -> None:
        """Put a shell script into the PATH."""
        script = self.tools / name
        script.unlink(missing_ok=True)
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)

    def fake_venv(self) -> None:
        """Give the copy a virtual environment whose pip and testbed only say what they were called with."""
        folder = self.root / ".venv" / "bin"
        folder.mkdir(parents=True)
        for name, body in (
            ("python", f'echo "python $*" >>"{self.tools}/log"'),
            ("testbed", 'printf "<%s>" testbed "$@"; echo; [ "$1" != fail ] || exit 42'),
        ):
            (folder / name).write_text(f"#!/bin/sh\n{body}\n")
            (folder / name).chmod(0o755)

    def log(self) -> list[str]:
        """Give what the fakes wrote down."""
        file = self.tools / "log"
        return file.read_text().splitlines() if file.exists() else []

    def start(
        self,
        *words: str,
        program: Path | None = None,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Start the launcher with a PATH that has nothing but the fakes and the basic tools."""
        return subprocess.run(
            ["/bin/sh", str(program or self.root / "testbed.sh"), *words],
            env={"PATH": str(self.tools), "HOME": str(self.root), "TMPDIR": str(self.tools), **(env or {})},
            cwd=cwd or "/",
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_missing_packages_without_root_print_the_one_command(copy: Copy) -> None:
    copy.fake("dpkg-query", 'case "$*" in *iperf3|*bison) ;; *) printf installed ;; esac')
    done = copy.start("version")
    assert done.returncode == 7
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == (
        "testbed.sh: apt-get update && apt-get install -y --no-install-recommends bison iperf3"
    )


def test_missing_packages_as_root_are_installed_with_one_command(copy: Copy) -> None:
    copy.fake("id", "echo 0")
    copy.fake("apt-get", f'echo "apt-get $*" >>"{copy.tools}/log"')
    copy.fake("dpkg-query", 'case "$*" in *iperf3|*bison) ;; *) printf installed ;; esac')
    copy.fake_venv()
    done = copy.start("version")
    assert done.returncode == 0, done.stderr
    assert copy.log()[:2] == ["apt-get update", "apt-get install -y --no-install-recommends bison iperf3"]


OF_CHECK = 'case "$*" in *iperf3|*shellcheck|*valgrind|*mininet) ;; *) printf installed ;; esac'


@pytest.mark.parametrize(
    ("words", "packages"),
    [
        (["run", "check"], "iperf3"),
        (["version"], "iperf3"),
        ([], "iperf3"),
        (["--debug", "make", "test"], "iperf3"),
        (["check"], "iperf3 shellcheck mininet valgrind"),
        (["--debug", "check", "ruff"], "iperf3 shellcheck mininet valgrind"),
        (["bench", "boot"], "iperf3 shellcheck mininet valgrind"),
    ],
)
def test_only_checks_and_benchmarks_ask_for_their_packages(copy: Copy, words: list[str], packages: str) -> None:
    copy.fake("dpkg-query", OF_CHECK)
    done = copy.start(*words)
    assert done.returncode == 7
    assert done.stderr.endswith(f" --no-install-recommends {packages}\n")


def test_the_environment_may_ask_for_all_packages(copy: Copy) -> None:
    copy.fake("dpkg-query", OF_CHECK)
    done = copy.start("version", env={"TESTBED_PACKAGES": "all"})
    assert done.stderr.endswith(" --no-install-recommends iperf3 shellcheck mininet valgrind\n")


def test_each_set_of_packages_has_a_stamp_of_its_own(copy: Copy) -> None:
    copy.fake_venv()
    assert "ready" in copy.start("version").stderr
    assert "ready" in copy.start("check").stderr, "a check after a run looks for its own packages"
    for tool in ("dpkg-query", "apt-cache", "id"):
        copy.fake(tool, "exit 1")
    for word in ("version", "check", "bench"):
        assert copy.start(word).stderr == ""


def test_who_has_all_has_what_a_run_needs(copy: Copy) -> None:
    copy.fake_venv()
    assert "ready" in copy.start("check").stderr
    copy.fake("dpkg-query", "exit 1")
    assert copy.start("version").stderr == ""


def test_actionlint_is_installed_for_checks_where_there_is_go(copy: Copy) -> None:
    copy.fake_venv()
    copy.fake("go", f'echo "go $*" >>"{copy.tools}/log"; : >"$GOBIN/actionlint"; chmod 755 "$GOBIN/actionlint"')
    copy.start("version")
    assert not [line for line in copy.log() if line.startswith("go ")]
    assert "installing actionlint" in copy.start("check").stderr
    (line,) = [line for line in copy.log() if line.startswith("go ")]
    assert line.startswith("go install github.com/rhysd/actionlint/cmd/actionlint@v")
    assert (copy.root / ".venv" / "bin" / "actionlint").exists()
    copy.stamp.with_name(".testbed-stamp-all").unlink()
    assert "installing actionlint" not in copy.start("check").stderr


def test_a_check_goes_on_without_actionlint(copy: Copy) -> None:
    copy.fake_venv()
    copy.fake("go", "exit 1")
    done = copy.start("check")
    assert done.stdout == "<testbed><check>\n"
    assert "actionlint could not be installed: two tests of the workflows will be skipped" in done.stderr


def test_elsewhere_than_on_debian_the_list_is_that_of_the_command(copy: Copy) -> None:
    copy.fake_venv()
    (copy.tools / "dpkg-query").unlink()
    (line,) = [line for line in copy.start("version").stderr.splitlines() if "no Debian" in line]
    assert " iperf3 " in line
    assert "valgrind" not in line
    assert "valgrind" in copy.start("bench").stderr


def test_a_failing_install_shows_its_words_and_leaves_no_stamp(copy: Copy) -> None:
    copy.fake("id", "echo 0")
    copy.fake("apt-get", 'echo "Temporary failure resolving mirror.example" >&2; exit 100')
    copy.fake("dpkg-query", "exit 1")
    copy.fake_venv()
    done = copy.start("version")
    assert done.returncode == 7
    assert "Temporary failure resolving mirror.example" in done.stderr
    assert "is there a network?" in done.stderr
    assert not copy.stamp.exists()


def test_an_installed_alternative_counts(copy: Copy) -> None:
    copy.fake("dpkg-query", 'case "$*" in *linux-source-6.12|*linux-source) ;; *) printf installed ;; esac')
    copy.fake_venv()
    assert copy.start("version").returncode == 0


def test_an_unknown_alternative_gives_way_to_the_next(copy: Copy) -> None:
    copy.fake("dpkg-query", 'case "$*" in *linux-source*) ;; *) printf installed ;; esac')
    copy.fake("apt-cache", 'case "$*" in *linux-source-6.1) exit 0 ;; esac; exit 1')
    done = copy.start("version")
    assert done.returncode == 7
    assert done.stderr.endswith(" linux-source-6.1\n")


def test_a_missing_cargo_is_on_the_list(copy: Copy) -> None:
    (copy.tools / "cargo").unlink()
    copy.fake("dpkg-query", 'case "$*" in *cargo*|*rust*) ;; *) printf installed ;; esac')
    assert copy.start("version").stderr.endswith(" cargo-web rustfmt-web rust-web-clippy\n")


def old_cargo_of_debian(copy: Copy) -> None:
    """Let the launcher find a cargo at Debian's place; the real /usr/bin is not looked into."""
    copy.fake("cargo", 'echo "cargo ${CARGO_VERSION:-1.65.0} (of a test)"')
    script = copy.root / "testbed.sh"
    text = script.read_text()
    assert "/usr/bin/cargo)" in text
    script.write_text(text.replace("/usr/bin/cargo)", f"{copy.tools}/cargo)"))


def test_a_cargo_of_debian_that_is_too_old_does_not_count(copy: Copy) -> None:
    old_cargo_of_debian(copy)
    copy.fake("dpkg-query", 'case "$*" in *-web*) ;; *) printf installed ;; esac')
    assert copy.start("version").stderr.endswith(" cargo-web rustfmt-web rust-web-clippy\n")


@pytest.mark.parametrize("version", ["1.77.0", "1.91.1-nightly", "2.0.0"])
def test_a_cargo_of_debian_that_is_new_enough_counts(copy: Copy, version: str) -> None:
    old_cargo_of_debian(copy)
    copy.fake("cargo", f'echo "cargo {version} (of a test)"')
    copy.fake("dpkg-query", 'case "$*" in *-web*) ;; *) printf installed ;; esac')
    copy.fake_venv()
    assert copy.start("version").returncode == 0


@pytest.mark.parametrize("words", ["cargo 1.76.0", "cargo", "what?", "cargo x.y"])
def test_a_cargo_that_is_older_or_says_nothing_does_not_count(copy: Copy, words: str) -> None:
    old_cargo_of_debian(copy)
    copy.fake("cargo", f"echo '{words}'")
    copy.fake("dpkg-query", 'case "$*" in *-web*) ;; *) printf installed ;; esac')
    assert copy.start("version").stderr.endswith(" cargo-web rustfmt-web rust-web-clippy\n")


def test_the_oldest_rust_is_that_of_the_agent() -> None:
    manifest = tomllib.loads((ROOT / "testbed" / "agent" / "Cargo.toml").read_text())
    assert f"\noldest_rust={manifest['package']['rust-version']} " in (ROOT / "testbed.sh").read_text()


def test_an_ordinary_user_whose_sudo_wants_a_password_nobody_can_type_is_told(copy: Copy) -> None:
    copy.fake("sudo", f'echo "sudo $*" >>"{copy.tools}/log"; exit 1')
    copy.fake("dpkg-query", 'case "$*" in *bison) ;; *) printf installed ;; esac')
    assert copy.start("version").stderr.endswith("apt-get install -y --no-install-recommends bison\n")
    assert copy.log() == ["sudo -n true"]


def test_an_ordinary_user_with_sudo_installs_by_it(copy: Copy) -> None:
    copy.fake("true", "exit 0")
    copy.fake("sudo", f'echo "sudo $*" >>"{copy.tools}/log"; [ "$1" != -n ] || shift; exec "$@"')
    copy.fake("apt-get", f'echo "apt-get $*" >>"{copy.tools}/log"')
    copy.fake("dpkg-query", 'case "$*" in *iperf3|*bison) ;; *) printf installed ;; esac')
    copy.fake_venv()
    done = copy.start("version")
    assert done.returncode == 0, done.stderr
    called = [text for text in copy.log() if "apt-get" in text and "true" not in text]
    assert called[:4] == [
        "sudo apt-get update",
        "apt-get update",
        "sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends bison iperf3",
        "apt-get install -y --no-install-recommends bison iperf3",
    ]


def test_arguments_and_exit_code_pass_through(copy: Copy) -> None:
    copy.fake_venv()
    done = copy.start("fail", "two words", "")
    assert done.stdout == "<testbed><fail><two words><>\n"
    assert done.returncode == 42


def test_a_second_start_asks_nothing(copy: Copy) -> None:
    copy.fake_venv()
    assert copy.start("version").returncode == 0
    before = copy.log()
    for tool in ("dpkg-query", "apt-cache", "id"):
        copy.fake(tool, f'echo "{tool} was asked" >>"{copy.tools}/log"; exit 1')
    done = copy.start("version")
    assert (done.returncode, done.stdout, done.stderr) == (0, "<testbed><version>\n", "")
    assert copy.log() == before


@pytest.mark.parametrize("name", ["pyproject.toml", "testbed.sh", "testbed/packages.txt"])
def test_a_changed_input_sets_up_again(copy: Copy, name: str) -> None:
    copy.fake_venv()
    copy.start("version")
    before = len(copy.log())
    with (copy.root / name).open("a") as file:
        file.write("# changed\n")
    assert "ready" in copy.start("version").stderr
    assert len(copy.log()) > before


def test_a_moved_checkout_sets_up_again(copy: Copy, tmp_path: Path) -> None:
    copy.fake_venv()
    copy.start("version")
    moved = tmp_path / "moved"
    copy.root.rename(moved)
    assert "ready" in copy.start("version", program=moved / "testbed.sh").stderr


def test_an_interrupted_set_up_is_continued(copy: Copy) -> None:
    copy.fake_venv()
    python = copy.root / ".venv" / "bin" / "python"
    good = python.read_text()
    python.write_text('#!/bin/sh\ncase "$*" in *install*) kill -9 $PPID ;; esac\n')
    done = copy.start("version")
    assert done.returncode != 0
    assert not copy.stamp.exists()
    python.write_text(good)
    assert copy.start("version").stdout == "<testbed><version>\n"
    assert copy.stamp.exists()


def test_it_works_through_symbolic_links_from_anywhere(copy: Copy, tmp_path: Path) -> None:
    copy.fake_venv()
    (tmp_path / "first").symlink_to(copy.root / "testbed.sh")
    (tmp_path / "second").symlink_to("first")
    done = copy.start("version", program=Path("second"), cwd=tmp_path)
    assert done.stdout == "<testbed><version>\n", done.stderr


def test_two_starts_at_once_set_up_once(copy: Copy) -> None:
    copy.fake_venv()
    go = copy.tools / "go"
    os.mkfifo(go)
    python = copy.root / ".venv" / "bin" / "python"
    # The first pip waits until the test opens the pipe, that is until the second start waits for the lock.
    python.write_text(
        f'#!/bin/sh\ncase "$*" in *install*) echo install >>"{copy.tools}/log"; cat "{go}" >/dev/null ;; esac\n'
    )
    words = ["/bin/sh", str(copy.root / "testbed.sh"), "version"]
    env = {"PATH": str(copy.tools), "TMPDIR": str(copy.tools)}
    first = subprocess.Popen(words, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with go.open("w"):  # opens when the first start's pip reads, so the lock is held
        second = subprocess.Popen(words, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert second.stderr is not None
        assert "another start is setting up" in second.stderr.readline()
    for process in (first, second):
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "<testbed><version>\n")
    assert copy.log() == ["install"]


def test_no_usable_python_is_told(copy: Copy) -> None:
    copy.fake("python3", "exit 1")
    script = copy.root / "testbed.sh"
    script.write_text(script.read_text().replace("/usr/bin/python3", "/nonexistent/python3"))
    done = copy.start("version")
    assert done.returncode == 7
    assert "no Python >= 3.11" in done.stderr


def test_the_launcher_is_clean_for_shellcheck() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck here")
    done = subprocess.run(
        ["shellcheck", "testbed.sh", ".ci/run"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_hints_name_the_launcher_where_nothing_else_is_called_testbed(copy: Copy) -> None:
    copy.fake_venv()
    (copy.root / ".venv" / "bin" / "testbed").write_text('#!/bin/sh\necho "called ${TESTBED_PROGRAM-testbed}"\n')
    assert copy.start().stdout == f"called {copy.root}/testbed.sh\n"
    copy.fake("testbed", "exit 0")
    assert copy.start().stdout == "called testbed\n"
