# SPDX-License-Identifier: MIT
"""What GitHub's runner does with our workflows and our action, on this machine: every ``run:`` by bash, as there.

Of other people's actions only their effect is played: a checkout is there already, a cache has nothing, an upload notes
which files it would take.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from .expressions import Expression, filled

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
BASH = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail")
TIMEOUT_S = 280


def read(file: Path) -> dict[Any, Any]:
    """Read a workflow, an action or a template, as YAML 1.2 (in 1.1 the key ``on`` would be true)."""
    found: dict[Any, Any] = YAML(typ="safe", pure=True).load(file)
    return found


def triggers(workflow: Mapping[Any, Any]) -> dict[str, Any]:
    """Give what starts a workflow, with what is said of each."""
    return {name: said or {} for name, said in workflow["on"].items()}


@dataclass
class Job:
    """One job on one machine.

    Args:
        checkout: Where testbed's repository is.
        workspace: Where the repository is that the job is for.
        temporary: The runner's folder for temporary files.
        env: Variables of all steps.
        kept: Keys of caches that are there already.
    """

    checkout: Path
    workspace: Path
    temporary: Path
    env: dict[str, str]
    kept: set[str] = field(default_factory=set)
    saved: list[dict[str, str]] = field(default_factory=list)
    uploads: dict[str, list[Path]] = field(default_factory=dict)
    executed: list[tuple[str, str]] = field(default_factory=list)
    output: str = ""
    errors: str = ""
    summary: str = ""
    failed: bool = False

    def workflow(self, name: str, inputs: Mapping[str, str], *, matrix: Mapping[str, Any] | None = None) -> None:
        """Play all jobs of a workflow, one after another, for one combination of its matrix."""
        file = f".github/workflows/{name}"
        found = read(self.checkout / file)
        begun = triggers(found)
        declared = (begun.get("workflow_call") or begun.get("workflow_dispatch") or {}).get("inputs", {})
        given = _inputs(declared, inputs)
        for job in found["jobs"].values():
            context = {"inputs": given, "matrix": dict(matrix or {}), "github": {"workflow": found["name"]}}
            if "uses" in job:
                words = {key: filled(value, context) for key, value in job["with"].items()}
                self.workflow(Path(job["uses"]).name, words)
            else:
                self._steps(file, job["steps"], context, None)

    def action(self, inputs: Mapping[str, str]) -> dict[str, str]:
        """Play our action, as a step of somebody's workflow; give its outputs."""
        found = read(self.checkout / "action.yml")
        context: dict[str, Any] = {"inputs": _inputs(found["inputs"], inputs)}
        self._steps("action.yml", found["runs"]["steps"], context, self.checkout)
        return {name: filled(entry["value"], context) for name, entry in found["outputs"].items()}

    def _steps(self, file: str, steps: list[dict[str, Any]], context: dict[str, Any], action: Path | None) -> None:
        done = context.setdefault("steps", {})
        for step in steps:
            condition = Expression(str(step.get("if", "'true'")), context)
            may_follow = condition.is_always
            if (self.failed and not may_follow) or not condition.value():
                continue
            outputs = self._run(file, step, context, action) if "run" in step else self._use(step, context)
            done[step.get("id", "")] = {"outputs": outputs}

    def _run(self, file: str, step: dict[str, Any], context: dict[str, Any], action: Path | None) -> dict[str, str]:
        self.executed.append((file, step["run"]))
        files = {name: self.temporary / name.lower() for name in ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for path in files.values():
            path.write_text("")
        script = self.temporary / "step.sh"
        script.write_text(filled(step["run"], context))
        env = {
            **self.env,
            **{name: filled(value, context) for name, value in step.get("env", {}).items()},
            **{name: str(path) for name, path in files.items()},
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temporary),
            **({"GITHUB_ACTION_PATH": str(action)} if action is not None else {}),
        }
        done = subprocess.run(
            [*BASH, str(script)],
            cwd=self.workspace,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        self.output += done.stdout
        self.errors += done.stderr
        self.failed = self.failed or done.returncode != 0
        self.env |= _pairs(files["GITHUB_ENV"])
        self.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        return _pairs(files["GITHUB_OUTPUT"])

    def _use(self, step: dict[str, Any], context: dict[str, Any]) -> dict[str, str]:
        name = step["uses"].partition("@")[0]
        words = {key: filled(value, context) for key, value in step.get("with", {}).items()}
        if name == "./":
            return self.action(words)
        if name == "actions/upload-artifact":
            self.uploads[words["name"]] = [
                file for line in words["path"].splitlines() for file in _matching(Path(line.strip()))
            ]
        elif name in {"actions/cache", "actions/cache/restore", "actions/cache/save"}:
            hit = words["key"] in self.kept
            if name != "actions/cache/restore":
                self.saved.append(words)
                self.kept.add(words["key"])
            return {"cache-hit": "true" if hit else ""}
        elif name != "actions/checkout":
            raise ValueError(f"no action {name} is known to this runner")
        return {}


def _inputs(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    unknown = given.keys() - declared.keys()
    if unknown:
        raise ValueError(f"inputs that are not declared: {sorted(unknown)}")
    missing = [name for name, entry in declared.items() if entry.get("required") and name not in given]
    if missing:
        raise ValueError(f"inputs that are missing: {missing}")
    return {name: given.get(name, str(entry.get("default", ""))) for name, entry in declared.items()}


def _pairs(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def _matching(pattern: Path) -> list[Path]:
    """Give the files that a pattern of an upload names; ``**`` is any folders."""
    base = Path(pattern.anchor or ".")
    return sorted(path for path in base.glob(str(pattern.relative_to(base))) if path.is_file())
