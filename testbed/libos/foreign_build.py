# SPDX-License-Identifier: MIT
"""Building anybody's LibOS in a copy of its tree, and refusing what does not fit the ABI."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from testbed import paths
from testbed.errors import BuildError, CapabilityError, ConfigError
from testbed.libos.artifacts import LOG, Artifact, ArtifactStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from testbed.libos.foreign import Foreign

_SHOWN_LINES = 30
_TREE = "tree"
SIZES: Mapping[str, int] = {
    "struct demi_args": 20,
    "demi_sgaseg_t": 12,
    "demi_sgarray_t": 40,
    "demi_accept_result_t": 20,
    "demi_qresult_t": 64,
}
"""The packed structures of the public C header, in bytes."""


def build(declared: Foreign, program: Path, store: ArtifactStore | None = None) -> Artifact:
    """Give the artifact of a ``demi`` or ``preload`` LibOS, built if its sources or its table have changed.

    Args:
        declared: What ``testbed.toml`` says.
        program: Our host program, which checks a library.
        store: Where artifacts are; default the user's.

    Raises:
        ConfigError: The git revision does not exist.
        BuildError: Its command failed, left no artifact, or one that does not fit the ABI: with all that differs.
    """
    store = store or ArtifactStore()
    name = artifact_name(declared)
    inputs: dict[str, Any] = {
        "source": digest(declared),
        "build": declared.build,
        "artifact": declared.artifact,
        "header": declared.header,
        "env": dict(declared.env),
        "abi": declared.abi,
    }
    log = store.failed_log(name, inputs)
    return store.get_or_build(name, inputs, lambda folder: _fill(declared, folder, log, program))


def artifact_name(declared: Foreign) -> str:
    """Give the name of its artifact: ``foreign-mystack``."""
    return "foreign-" + "".join(char if char.isalnum() or char in "._-" else "-" for char in declared.name.lower())


def digest(declared: Foreign) -> str:
    """Digest what a LibOS is built from: the commit, or names, modes and bytes of all files."""
    if not declared.source:
        return ""
    if declared.is_git:
        return _commit(declared)
    total = hashlib.sha256()
    root = declared.path(declared.source)
    for name in _files(root):
        path = root / name
        body = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        mode = "x" if os.access(path, os.X_OK) else "-"
        total.update(f"{name}\0{mode}\0{len(body)}\0".encode(errors="surrogateescape") + body)
    return total.hexdigest()


def copy_tree(declared: Foreign, target: Path) -> None:
    """Copy the sources: of a git work tree what git does not ignore, and never its ``.git``."""
    target.mkdir(parents=True)
    if declared.is_git:
        archive = _git(_mirror(declared), "archive", _commit(declared))
        subprocess.run(["tar", "-xf", "-", "-C", str(target)], input=archive, check=True)
        return
    root = declared.path(declared.source)
    for name in _files(root):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, target / name, follow_symlinks=False)


def _fill(declared: Foreign, folder: Path, log_kept: Path, program: Path) -> None:
    """Build in a copy, take the artifact out of it, check it."""
    tree = folder / _TREE
    if declared.source:
        copy_tree(declared, tree)
    else:
        tree.mkdir()
    log = folder / LOG
    env = {**os.environ, **declared.env}
    with log.open("w") as stream:
        stream.write(f"+ {declared.build}\n")
        stream.flush()
        done = subprocess.run(
            ["sh", "-c", declared.build or ":"],
            cwd=tree,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=env,
            check=False,
        )
    if done.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:])
        raise BuildError(f"{declared.name} does not build (exit code {done.returncode}):\n{last}\nlog: {log_kept}")
    made = tree / declared.artifact
    if declared.artifact:
        if not made.is_file():
            raise BuildError(f"{declared.name}: the build left no {declared.artifact}\nlog: {log_kept}")
        shutil.copy2(made, folder / made.name)
    else:
        (folder / "command").write_text(declared.command)
    if declared.abi == "demi":
        wrong = [*missing_symbols(folder / made.name, program), *wrong_sizes(declared, tree)]
        if wrong:
            lines = "".join(f"\n  {line}" for line in wrong)
            raise BuildError(f"{declared.name}: {declared.artifact} does not fit the C ABI:{lines}")
    shutil.rmtree(tree)


def missing_symbols(library: Path, program: Path) -> list[str]:
    """Load a library and say what it lacks: one line per function, or why it cannot be loaded."""
    argv = [str(program), "--library", str(library), "check"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode == 0:
        return []
    words = done.stderr.strip().removeprefix("testbed-libos: ")
    _, found, names = words.partition(f"{library} lacks ")
    return [f"no function {name}" for name in names.split(", ")] if found else [words or "it cannot be loaded"]


def wrong_sizes(declared: Foreign, tree: Path) -> list[str]:
    """Compile the user's header and say which structures have another size; one line each."""
    if declared.header is None:
        return []
    header = tree / declared.header
    if not header.is_file():
        return [f"no header {declared.header}"]
    compiler = shutil.which(os.environ.get("CC", "gcc"))
    if compiler is None:
        raise CapabilityError("checking structures needs a C compiler", hint="apt install gcc libc6-dev")
    lines = [f'    printf("{name}=%zu\\n", sizeof({name}));' for name in SIZES]
    source = "\n".join(
        ["#include <stdio.h>", f'#include "{header}"', "int main(void)", "{", *lines, "    return 0;", "}", ""]
    )
    probe = tree / ".testbed-sizes"
    argv = [compiler, "-w", "-x", "c", f"-I{header.parent}", f"-I{header.parent.parent}", "-o", str(probe), "-"]
    done = subprocess.run(argv, input=source, capture_output=True, text=True, check=False)
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error:" in line), done.stderr.strip())
        return [f"{declared.header}: {first.partition('error: ')[2] or first}"]
    output = subprocess.run([str(probe)], capture_output=True, text=True, check=True).stdout
    found = {name: int(size) for name, size in (line.split("=") for line in output.splitlines())}
    return [f"{name} has {found[name]} bytes, not {size}" for name, size in SIZES.items() if found[name] != size]


def _files(root: Path) -> list[str]:
    """List the files of a tree, sorted: in a git work tree those that git does not ignore."""
    if (root / ".git").exists() and shutil.which("git"):
        out = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        names: Iterable[str] = (name.decode(errors="surrogateescape") for name in out.split(b"\0") if name)
        return sorted(name for name in set(names) if (root / name).is_file() or (root / name).is_symlink())
    found = (path for path in root.rglob("*") if path.is_symlink() or path.is_file())
    return sorted(str(path.relative_to(root)) for path in found if ".git" not in path.relative_to(root).parts)


def _mirror(declared: Foreign) -> Path:
    """Give a bare clone of the repository in the cache; fetched again where it lacks the revision."""
    url = declared.source if "://" in declared.source else str(declared.path(declared.source))
    folder = paths.cache_dir() / "git" / hashlib.sha256(url.encode()).hexdigest()[:16]
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _git(folder.parent, "clone", "--quiet", "--mirror", "--", url, str(folder))
    return folder


def _commit(declared: Foreign) -> str:
    """Resolve the revision to a commit; a branch or tag is looked up afresh."""
    folder = _mirror(declared)
    revision = str(declared.revision)
    if not (len(revision) == 40 and _resolve(folder, revision)):
        _git(folder, "fetch", "--quiet", "--prune", "origin")
    found = _resolve(folder, revision)
    if found is None:
        known = _git(folder, "for-each-ref", "--format=%(refname:short)").decode().split()
        raise ConfigError(
            f"{declared.file}: [libos.{declared.name}]: {declared.source} has no revision {revision!r}",
            hint=f"it has {', '.join(known[:20])}" if known else None,
        )
    return found


def _resolve(folder: Path, revision: str) -> str | None:
    argv = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _git(folder: Path, *words: str) -> bytes:
    if shutil.which("git") is None:
        raise CapabilityError("a git repository as source needs git", hint="apt install git")
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, check=False)
    if done.returncode:
        raise BuildError(f"git {' '.join(words)} failed: {done.stderr.decode(errors='replace').strip()[-500:]}")
    return done.stdout
