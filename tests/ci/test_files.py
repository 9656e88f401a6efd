# SPDX-License-Identifier: MIT
"""Workflows, action and template as they stand: valid, pinned, one for each LibOS, and all of them in the manual."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testbed.cli.make.library import _takes_flavor
from testbed.harness.plan import suites
from testbed.libos.flavor import CRATES

from .runner import ROOT, read, triggers

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
ACTION = ROOT / "action.yml"
TEMPLATE = ROOT / "templates" / "testbed.gitlab-ci.yml"
FLAVORS = ["linux", *(crate.name for crate in CRATES)]
PINNED = re.compile(r"(?:\./.*|[\w.-]+/[\w./-]+@[0-9a-f]{40} # v[\d.]+)")


def schema_errors(kind: str, *files: Path) -> str:
    """Check files against the schema that GitHub or GitLab publishes; what is wrong, or nothing."""
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{kind}", *map(str, files)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def steps(file: Path) -> Iterator[dict[str, Any]]:
    """Give all steps of a workflow or an action."""
    found = read(file)
    if "runs" in found:
        yield from found["runs"]["steps"]
    for job in found.get("jobs", {}).values():
        yield from job.get("steps", ())


def scripts(file: Path) -> list[str]:
    """Give the shell scripts of a workflow, the action or the template."""
    if file == TEMPLATE:
        hidden = read(file)[".testbed"]
        return ["\n".join([*hidden["before_script"], *hidden["script"]])]
    return [step["run"] for step in steps(file) if "run" in step]


def test_they_fit_the_published_schemas() -> None:
    assert schema_errors("github-workflows", *WORKFLOWS) == ""
    assert schema_errors("github-actions", ACTION) == ""
    assert schema_errors("gitlab-ci", TEMPLATE) == ""


def test_the_job_of_the_template_fits_the_schema_once_it_is_no_longer_hidden(tmp_path: Path) -> None:
    job = tmp_path / "job.yml"
    job.write_text(TEMPLATE.read_text().replace("\n.testbed:", "\ntestbed:"))
    assert schema_errors("gitlab-ci", job) == ""


def test_a_file_that_does_not_fit_is_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(FOLDER.joinpath("linux.yml").read_text().replace("jobs:", "job:"))
    assert "'jobs' is a required property" in schema_errors("github-workflows", wrong)
    wrong.write_text(TEMPLATE.read_text().replace("\n.testbed:", "\ntestbed:").replace("when: always", "when: perhaps"))
    assert "perhaps" in schema_errors("gitlab-ci", wrong)


def actionlint() -> str:
    folders = [*os.get_exec_path(), Path(sys.executable).parent, Path.home() / "go" / "bin"]
    found = shutil.which("actionlint", path=os.pathsep.join(map(str, folders)))
    if found is None:
        pytest.skip("no actionlint: go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.7 (schemas are checked)")
    return found


def test_actionlint_finds_nothing() -> None:
    argv = [actionlint(), "-no-color", *map(str, WORKFLOWS)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, "")


def test_actionlint_would_find_an_input_that_is_not_declared(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(FOLDER.joinpath("libos.yml").read_text().replace("inputs.suites", "inputs.siutes"))
    done = subprocess.run([actionlint(), "-no-color", str(wrong)], capture_output=True, text=True, check=False)
    assert 'property "siutes" is not defined' in done.stdout


@pytest.mark.parametrize("file", [*WORKFLOWS, ACTION, TEMPLATE], ids=lambda file: file.name)
def test_scripts_are_good_shell(file: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck")
    for text in scripts(file):
        # SC2086: the template splits a list at blanks, as it says.
        argv = ["shellcheck", "--shell=bash", "--exclude=SC2086", "-"]
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("file", [*WORKFLOWS, ACTION], ids=lambda file: file.name)
def test_no_input_can_become_a_script(file: Path) -> None:
    """An expression in a script is replaced before bash reads it: a value must come by the environment."""
    assert [text for text in scripts(file) if "${{" in text] == []


@pytest.mark.parametrize("file", [*WORKFLOWS, ACTION], ids=lambda file: file.name)
def test_actions_of_others_are_pinned(file: Path) -> None:
    used = re.findall(r"uses: (.*)", file.read_text())
    assert [name for name in used if not PINNED.fullmatch(name)] == []


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflows_may_read_and_no_more_and_end(file: Path) -> None:
    found = read(file)
    assert found["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job or "uses" in job for job in found["jobs"].values())


@pytest.mark.parametrize("name", FLAVORS)
def test_each_flavor_has_a_workflow_with_its_name_and_its_badge(name: str) -> None:
    found = read(FOLDER / f"{name}.yml")
    assert found["name"] == name
    assert triggers(found).keys() == {"push", "pull_request", "schedule", "workflow_dispatch"}
    (job,) = found["jobs"].values()
    assert (job["uses"], job["with"]["libos"]) == ("./.github/workflows/libos.yml", name)
    assert len(job["strategy"]["matrix"]["seed"]) >= 2


def test_workflows_of_flavors_differ_in_their_names_alone() -> None:
    """So one of them stands for all where they are executed."""
    texts = {
        re.sub(
            rf"\b{name}\b",
            "NAME",
            re.sub(r"cron: .*|^# .*", "", (FOLDER / f"{name}.yml").read_text(), flags=re.MULTILINE),
        )
        for name in FLAVORS
        if name != "linux"
    }
    assert len(texts) == 1


def test_the_workflow_of_linux_runs_all_suites_of_the_kernel() -> None:
    (job,) = read(FOLDER / "linux.yml")["jobs"].values()
    listed = re.search(r"\|\| '([^']*)'", job["with"]["suites"])
    assert listed is not None
    ours = {name for name, folder in suites(ROOT).items() if not _takes_flavor(str(folder))}
    assert set(listed[1].split()) == ours


def test_the_readme_has_a_badge_for_each_workflow() -> None:
    text = (ROOT / "README.md").read_text()
    for name in [*FLAVORS, "project"]:
        assert f"actions/workflows/{name}.yml/badge.svg" in text
    assert {file.stem for file in WORKFLOWS} == {*FLAVORS, "project", "libos"}


def test_the_manual_names_every_input_and_output_of_the_action() -> None:
    found = read(ACTION)
    page = (ROOT / "doc" / "github-actions.md").read_text()
    assert [name for name in (*found["inputs"], *found["outputs"]) if f"`{name}`" not in page] == []
    variables = read(TEMPLATE)[".testbed"]["variables"]
    assert [name for name in variables if f"`{name}`" not in page] == []


def test_what_the_action_takes_from_a_variable_is_what_it_says() -> None:
    """A script's variable that no ``env`` sets would be empty, and bash would not complain."""
    known = {"GITHUB_ACTION_PATH", "GITHUB_ENV", "GITHUB_OUTPUT", "RUNNER_TEMP", "TESTBED_CACHE"}
    for file in [ACTION, *WORKFLOWS]:
        for step in steps(file):
            used = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", step.get("run", "")))
            assert used - known == set(step.get("env", {})), json.dumps(step)


def test_only_this_repository_is_called_without_a_pin() -> None:
    assert PINNED.fullmatch("./")
    assert PINNED.fullmatch("actions/cache/save@" + "a" * 40 + " # v4.2.3")
    assert not PINNED.fullmatch("actions/cache@v4")
    assert not PINNED.fullmatch("actions/cache@" + "a" * 40)
