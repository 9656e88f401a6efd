# SPDX-License-Identifier: MIT
"""The house rules that a machine can check: which room may import which, and what every file has."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "testbed"
LONGEST_FILE_LINES = 600
ROOMS = ("scenarios", "libos", "agent", "backends", "harness", "reports", "shell", "cli")
BOTTOM = ("errors", "verdict", "paths", "__init__")

# doc/internals.md, "Rooms, imports": a room may import what is named here, and itself.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "verdict": frozenset({"errors"}),
    "paths": frozenset({"errors"}),
    "scenarios": frozenset(BOTTOM),
    "libos": frozenset(BOTTOM),
    "agent": frozenset({*BOTTOM, "libos"}),
    "backends": frozenset({*BOTTOM, "libos", "agent", "scenarios"}),
    "harness": frozenset({*BOTTOM, "libos", "agent", "scenarios", "backends", "reports"}),
    "reports": frozenset({*BOTTOM, "scenarios", "harness"}),
    "shell": frozenset({*BOTTOM, "scenarios", "agent", "backends", "reports"}),
    "cli": frozenset({*BOTTOM, *ROOMS}),
    "__main__": frozenset({"cli"}),
    "__init__": frozenset(),
}
# What `reports` may know of the harness: the data on disk, and nothing that runs anything.
REPORTS_MAY_SEE = (
    "testbed.harness.records",
    "testbed.harness.packets",
    "testbed.harness.determinism",
    "testbed.harness.rerun",
)


def sources(*folders: str) -> list[Path]:
    """Find Python files below folders of the checkout."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py") if "target" not in path.parts)


def imported(text: str) -> set[str]:
    """Give the modules of ours that a source imports, wherever it does so: ``testbed.cli.output``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "testbed"}


def room_of(module: str) -> str:
    """Give the room of a module: ``testbed.cli.output`` is in ``cli``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (parts[1] in ROOMS or parts[1] in MAY_IMPORT) else "__init__"


def forbidden(room: str, text: str) -> set[str]:
    """Give the imports of a source that its room may not have."""
    return {name for name in imported(text) if room_of(name) not in MAY_IMPORT[room] | {room}}


def room_of_file(path: Path) -> str:
    """Give the room that a file of the package lies in."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


@pytest.mark.parametrize("path", sources("testbed"), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    assert forbidden(room_of_file(path), path.read_text()) == set()


def test_reports_see_only_data_of_the_harness() -> None:
    for path in sources("testbed/reports"):
        seen = {name for name in imported(path.read_text()) if room_of(name) == "harness"}
        assert {name for name in seen if not name.startswith(REPORTS_MAY_SEE)} == set(), path


@pytest.mark.parametrize(
    ("room", "text", "found"),
    [
        ("scenarios", "from testbed.backends.base import Backend", {"testbed.backends.base.Backend"}),
        ("backends", "import testbed.cli.main", {"testbed.cli.main"}),
        ("errors", "def late():\n    from testbed.paths import cache_dir", {"testbed.paths.cache_dir"}),
        ("cli", "from testbed.harness.plan import run_suites", set()),
        ("harness", "from testbed import paths", set()),
    ],
)
def test_the_check_of_imports_fires(room: str, text: str, found: set[str]) -> None:
    assert forbidden(room, text) == found


def test_every_source_begins_with_its_license() -> None:
    files = [path for path in sources("testbed", "tests", "suites", "benchmarks") if path.read_text().strip()]
    files += [path for path in PACKAGE.rglob("*.rs") if "target" not in path.parts]
    files += [ROOT / "testbed.sh", ROOT / ".ci" / "run", PACKAGE / "packages.txt"]
    bare = [str(path.relative_to(ROOT)) for path in files if "SPDX-License-Identifier" not in _head(path)]
    assert bare == []


def _head(path: Path) -> str:
    return "\n".join(path.read_text().splitlines()[:2])


def test_no_file_is_long() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in sources("testbed", "tests", "suites", "benchmarks")
        if (count := len(path.read_text().splitlines())) > LONGEST_FILE_LINES
    }
    assert long == {}


def _calls(text: str, module: str, function: str) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == function
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == module
        for node in ast.walk(ast.parse(text))
    )


def test_no_suite_sleeps_on_the_host_or_reads_its_clock() -> None:
    banned = [("time", "sleep"), ("time", "time"), ("time", "monotonic"), ("time", "perf_counter")]
    found = [
        f"{path.relative_to(ROOT)}: {module}.{function}"
        for path in sources("suites")
        for module, function in banned
        if _calls(path.read_text(), module, function)
    ]
    assert found == []


def test_the_check_of_calls_fires() -> None:
    assert _calls("import time\ndef f():\n    time.sleep(1)", "time", "sleep")
    assert not _calls("network.sleep(1)", "time", "sleep")


@pytest.mark.parametrize(
    "heavy", ["scapy", "pytest", "rich.progress", "pyroute2", "msgpack", "jinja2", "prompt_toolkit"]
)
def test_the_command_line_starts_without_heavy_modules(heavy: str) -> None:
    code = f"import sys, testbed.cli.main; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
