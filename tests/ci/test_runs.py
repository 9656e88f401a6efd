# SPDX-License-Identifier: MIT
"""Every script of the workflows, of the action and of GitLab's template is executed, in a small checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.doc import workshop

from .runner import BASH, Job, read
from .test_files import ACTION, FOLDER, TEMPLATE, WORKFLOWS, scripts

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import MakeJob

PROJECT = FOLDER / "project.yml"
GOOD = """
    from testbed.backends.network import Network

    def test_ping(network: Network) -> None:
        network["h1"].run(["ping", "-c1", network["h2"].address()])
"""
BAD = """
    from testbed.backends.network import Network

    def test_ping(network: Network) -> None:
        print("::error file=nothing::a stranger's word")
        assert network["h1"].run(["true"]).returncode == 1, "wanted 1"

    def test_good(network: Network) -> None:
        network["h1"].run(["true"])
"""
OF_A_LIBOS = """
    import pytest
    from testbed.backends.network import Network

    @pytest.mark.flavors("tcp")
    def test_listen(network: Network, flavor: str) -> None:
        with network["h1"].libos(flavor) as libos:
            queue = libos.socket()
            libos.bind(queue, (libos.address, 80))
            libos.listen(queue)
"""


def document(job: Job, name: str) -> dict[str, object]:
    """Read ``run.json`` of an upload."""
    (file,) = (path for path in job.uploads[name] if path.name == "run.json")
    found: dict[str, object] = json.loads(file.read_text())
    return found


def cases(job: Job, name: str) -> list[dict[str, str]]:
    """Give the cases of an upload."""
    found = document(job, name)["cases"]
    assert isinstance(found, list)
    return found


def test_the_workflow_of_a_flavor_from_checkout_to_upload(make_job: MakeJob) -> None:
    job = make_job()
    job.workflow("linux.yml", {"suites": "netlink-socket"}, matrix={"seed": 7})
    assert not job.failed, job.errors
    run = document(job, "testbed-linux-seed-7")
    assert (run["verdict"], run["seed"], run["repeat"], run["libos"]) == ("passed", 7, 2, "linux")
    names = {path.name for path in job.uploads["testbed-linux-seed-7"]}
    assert {"run.json", "junit.xml", "report.html", "linux.svg", "linux.json"} <= names
    assert any(name.endswith(".pcapng") for name in names)
    assert job.executed == [("action.yml", text) for text in scripts(ACTION)], "every script, in its order"
    assert job.summary.startswith("## testbed: PASS")
    assert "::error" not in job.output
    (kept,) = job.saved
    assert re.fullmatch(r"testbed-linux-[0-9a-f]{32}", kept["key"])
    assert kept["path"] == f"{job.env['TESTBED_CACHE']}/artifacts"


def test_a_users_repository_with_a_failing_test(make_job: MakeJob, repository: Callable[[str], Path]) -> None:
    job = make_job(repository(BAD))
    outputs = job.action({"suites": "mini", "repeat": "1", "name": "mine"})
    assert job.failed
    assert outputs["verdict"] == "failed"
    assert {"junit.xml", "report.html"} <= {path.name for path in job.uploads["mine"]}
    assert len(job.saved) == 1, "what was built is kept even if tests fail"
    assert "wanted 1" in job.summary
    stop = re.search(r"^::stop-commands::(\w+)$", job.output, re.MULTILINE)
    assert stop is not None
    before, heard = job.output.split(f"\n::{stop[1]}::\n")
    assert "a stranger's word" in before
    (error,) = re.findall(r"^::error (.*?)::(.*)$", heard, re.MULTILINE)
    assert error[0] == "title=failed%3A test_it.py%3A%3Atest_ping,file=suites/mini/test_it.py,line=6"
    assert error[1].startswith("AssertionError: wanted 1")


def test_a_libos_with_a_kernel_of_the_users(make_job: MakeJob, repository: Callable[[str], Path]) -> None:
    from testbed.libos.linux.source import find_source  # noqa: PLC0415 (here alone)

    job = make_job(repository(OF_A_LIBOS))
    source = str(find_source().path)
    job.action({"libos": "catnap", "suites": "mini", "source": source, "repeat": "1"})
    assert not job.failed, job.output
    run = document(job, "testbed-catnap-seed-1")
    assert run["libos"] == "catnap"
    assert (job.env["TESTBED_LINUX"]).startswith(f"{job.env['TESTBED_CACHE']}/artifacts/linux-")
    assert re.fullmatch(r"testbed-linux\+catnap-[0-9a-f]{32}", job.saved[0]["key"])


def test_what_was_kept_is_not_kept_again(make_job: MakeJob, repository: Callable[[str], Path]) -> None:
    folder = repository(GOOD)
    job = make_job(folder)
    job.action({"repeat": "1"})
    assert [case["suite"] for case in cases(job, "testbed-linux-seed-1")] == ["mini"], "all are the repository's own"
    (kept,) = job.saved
    job.action({"suites": "mini", "repeat": "1"})
    assert job.saved == [kept]
    assert not job.failed


def test_an_unknown_suite_fails_and_says_so(make_job: MakeJob, repository: Callable[[str], Path]) -> None:
    job = make_job(repository(GOOD))
    outputs = job.action({"suites": "minni; touch /tmp/never $(touch never)"})
    assert job.failed
    assert "no suite 'minni;'; did you mean 'mini'?" in job.errors
    assert outputs["verdict"] == ""
    assert not list((job.workspace).glob("never"))
    assert list(job.uploads.values()) == [[]]


def test_the_workflow_of_the_project(make_job: MakeJob) -> None:
    job = make_job()
    job.workflow("project.yml", {"checks": "shellcheck"})
    assert "== shellcheck" in job.output + job.errors
    assert not job.failed, job.output + job.errors
    assert [text for _, text in job.executed] == scripts(PROJECT)
    assert re.fullmatch(r"project-all-[0-9a-f]{32}", job.saved[0]["key"])


class Pipeline:
    """A job of GitLab that extends the template.

    Args:
        project: The project that the pipeline is of.
        environment: What the job finds.
        variables: Of the job, in place of the template's.
    """

    def __init__(self, project: Path, environment: dict[str, str], variables: dict[str, str]) -> None:
        self.project = project
        self.hidden = read(TEMPLATE)[".testbed"]
        given = self.hidden["variables"] | {"TESTBED_CACHE": environment["TESTBED_CACHE"]} | variables
        given = {name: text.replace("$CI_PROJECT_DIR", str(project)) for name, text in given.items()}
        self.env = {**environment, **given, "CI": "true", "CI_PROJECT_DIR": str(project)}
        self.script = "\n".join([*self.hidden["before_script"], *self.hidden["script"]])

    def run(self, folder: Path, *, repository: bool = True) -> subprocess.CompletedProcess[str]:
        """Execute its script; ``folder`` is for files of ours."""
        template = workshop.make_template(folder / "template") if repository else folder
        script = folder / "script.sh"
        script.write_text(self.script)
        return subprocess.run(
            [*BASH, str(script)],
            cwd=self.project,
            env={**self.env, "GIT_TEMPLATE_DIR": str(template)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def junit(self) -> tuple[str | None, str | None]:
        """Give the numbers of tests and failures of the job's JUnit report."""
        root = ET.parse(self.project / self.hidden["artifacts"]["reports"]["junit"]).getroot()
        return root.get("tests"), root.get("failures")

    def lost(self) -> set[str]:
        """Give those paths of artifacts that are not there."""
        return {path for path in self.hidden["artifacts"]["paths"] if not list(self.project.glob(path))}


@pytest.fixture
def cloned(small_checkout: Path) -> dict[str, str]:
    """Give the variables of a job whose testbed is cloned from a repository."""
    if not (small_checkout / ".git").exists():
        workshop.make_repository(small_checkout)
    return {"TESTBED_REPOSITORY": str(small_checkout), "TESTBED_REF": branch(small_checkout)}


def test_gitlabs_template_in_a_users_project(
    cloned: dict[str, str], environment: dict[str, str], repository: Callable[[str], Path], tmp_path: Path
) -> None:
    pipeline = Pipeline(repository(GOOD), environment, cloned)
    done = pipeline.run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert pipeline.lost() <= {"testbed-run/cases/**/*.log"}, "a guest that is well writes none"
    assert pipeline.junit() == ("1", "0"), "without a word, the project's own suites"
    assert (pipeline.project / "testbed-summary.md").read_text().startswith("## testbed: PASS")
    assert pipeline.hidden["cache"]["paths"] == [".testbed-cache/artifacts"]
    assert scripts(TEMPLATE) == [pipeline.script]


def test_gitlabs_template_with_a_failing_test_and_a_kernel_of_the_users(
    cloned: dict[str, str], environment: dict[str, str], repository: Callable[[str], Path], tmp_path: Path
) -> None:
    from testbed.libos.linux.source import find_source  # noqa: PLC0415 (here alone)

    more = {"TESTBED_SUITES": "mini", "TESTBED_SOURCE": str(find_source().path), "TESTBED_REPEAT": "1"}
    pipeline = Pipeline(repository(BAD), environment, cloned | more)
    done = pipeline.run(tmp_path)
    assert done.returncode == 1, done.stderr
    assert pipeline.junit() == ("2", "1")
    assert pipeline.lost() <= {"testbed-run/cases/**/*.log"}
    assert "wanted 1" in (pipeline.project / "testbed-summary.md").read_text()
    kernels = json.loads((pipeline.project / "testbed-run" / "run.json").read_text())["environment"]["artifacts"]
    assert [name for name in kernels if name.startswith("linux-")]


def test_gitlabs_template_on_an_image_without_git(
    cloned: dict[str, str], environment: dict[str, str], repository: Callable[[str], Path], tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in environment["PATH"].split(os.pathsep):
        for program in Path(folder).glob("*"):
            if program.name not in {"git", "apt-get"} and not (tools / program.name).is_symlink():
                (tools / program.name).symlink_to(program)
    apt = tools / "apt-get"
    apt.write_text(
        f'#!/bin/sh\necho "$*" >>{tmp_path}/log\n[ "$1" = update ] || ln -s {shutil.which("git")} {tools}/git\n'
    )
    apt.chmod(0o755)
    pipeline = Pipeline(repository(GOOD), {**environment, "PATH": str(tools)}, cloned | {"TESTBED_REPEAT": "1"})
    done = pipeline.run(tmp_path)
    assert done.returncode == 0, done.stderr
    install = "install -qy --no-install-recommends git ca-certificates"
    assert (tmp_path / "log").read_text().splitlines() == ["update -q", install]
    assert pipeline.junit() == ("1", "0")


def test_gitlabs_template_where_the_project_is_testbed_itself(
    small_checkout: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    given = {"TESTBED_SUITES": "netlink-socket", "TESTBED_REPEAT": "1"}
    pipeline = Pipeline(small_checkout, environment, given)
    try:
        done = pipeline.run(tmp_path, repository=False)
        assert done.returncode == 0, done.stderr
        assert not (small_checkout / ".testbed").exists(), "nothing is cloned"
        assert pipeline.junit()[1] == "0"
    finally:
        for name in ("testbed-run", "testbed-badges"):
            shutil.rmtree(small_checkout / name, ignore_errors=True)
        (small_checkout / "testbed-summary.md").unlink(missing_ok=True)


def branch(folder: Path) -> str:
    """Give the name of the branch of a fresh repository."""
    argv = ["git", "-C", str(folder), "branch", "--show-current"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def test_no_other_file_has_scripts() -> None:
    """The tests above execute all scripts of their files; a file that is new needs a test of its own."""
    assert {file.name for file in [*WORKFLOWS, ACTION, TEMPLATE] if scripts(file)} == {
        ACTION.name,
        PROJECT.name,
        TEMPLATE.name,
    }
