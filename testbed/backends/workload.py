# SPDX-License-Identifier: MIT
"""One side of a native workload in a node: started, ready, and what it reports at its end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed.backends.completion import LibOSCrashed, LibOSTimeout, Op, Token, WorkloadFailed
from testbed.backends.deploy import Deployed
from testbed.backends.process import end_text, last_words
from testbed.errors import ConfigError, DeadlineError, TestbedError
from testbed.libos.library import Library, find_library

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.backends.node import Node
    from testbed.backends.process import Completed

_READY_S = 60.0


@dataclass(frozen=True)
class Report:
    """What one side says of a run.

    Args:
        node: Where it ran.
        fields: Its JSON: ``workload``, ``role``, ``connections``, ``sent``, ``received``, ``sent_bytes``,
            ``received_bytes``, ``lost``, ``duration_ns``, ``error``, and where there are some ``outcome``,
            ``pending`` (operations that had not completed when a wait ended in vain: ``number``, ``op``, ``qd``,
            ``age_ns``) and ``latency`` (``count``; ``min_ns``, ``mean_ns``, ``p50_ns``, ``p90_ns``, ``p99_ns``,
            ``p999_ns``, ``max_ns``; ``buckets``, each the upper end in ns and a count).
    """

    node: str
    fields: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def latency_ns(self, name: str) -> int:
        """Give one figure of the round trips in ns: ``p50``, ``p99``, ``max``."""
        return int(self.fields["latency"][f"{name}_ns"])


class Workload:
    """One running side.

    Args:
        node: Where.
        library: On which LibOS.
        words: Its command line behind ``workload``.
        server: Whether it is waited for until it is ready.
        interface, config, env: As of ``Node.libos``.
    """

    def __init__(
        self,
        node: Node,
        library: Library,
        words: list[str],
        *,
        server: bool,
        interface: str | None = None,
        config: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        deployed = Deployed(node, library, interface=interface, config=config, env=env)
        self.name = f"{node.name}: {library.name}: {words[0]}"
        self.node = node.name
        self.address = deployed.address
        ready = f"/tmp/testbed-libos-{node.name}.{deployed.number}.ready"  # noqa: S108  # the network's own tmpfs
        more = ["--ready-file", ready] if server else []
        self.process = node.spawn([*deployed.argv, "workload", *words, *more], env=deployed.env)
        if server:
            self._await_ready(node, ready)

    def result(self, timeout: float | None = 600.0) -> Report:
        """Wait for its end and give its report.

        Raises:
            WorkloadFailed: It failed.
            LibOSTimeout: A wait of it did not end in its ``timeout``; with what was pending.
            LibOSCrashed: It was ended by a signal.
            ProcessTimeout: It takes longer.
        """
        done = self.process.wait(timeout)
        if done.returncode < 0:
            raise LibOSCrashed(f"{self.name}: {end_text(done.returncode)} at {done.end_s:.6f} s{last_words(done)}")
        report = self._report(done)
        if report is not None and report.fields.get("pending") is not None:
            raise LibOSTimeout(f"{self.name}: {report['error']} of the network's time", _pending(report, done.end_s))
        if done.returncode or report is None or report["error"] is not None:
            words = last_words(done) if report is None else f": {report['error']}"
            raise WorkloadFailed(f"{self.name} failed ({end_text(done.returncode)}){words}")
        return report

    def kill(self, signal: int = 9) -> None:
        """End it by a signal."""
        self.process.kill(signal)

    def _report(self, done: Completed) -> Report | None:
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        return Report(self.node, json.loads(lines[-1])) if lines else None

    def _await_ready(self, node: Node, path: str) -> None:
        try:
            node.wait_file(path, timeout=_READY_S)
        except DeadlineError as error:
            if self.process.running:
                raise
            self.result()
            raise WorkloadFailed(f"{self.name} ended before it was ready") from error


def _pending(report: Report, end_s: float) -> tuple[Token, ...]:
    """Give what a side that had waited in vain says of its operations; it ends at once after it has."""
    return tuple(
        Token(entry["number"], 0, Op[entry["op"].upper()], entry["qd"], end_s - entry["age_ns"] / 1e9)
        for entry in report["pending"]
    )


def finish(*sides: Workload, timeout: float | None = 600.0) -> tuple[Report, ...]:
    """Wait for all sides of a workload; a side that is well never hides one that is not.

    Raises:
        WorkloadFailed, LibOSTimeout, LibOSCrashed, ProcessTimeout: One side did; a group of them where several did.
    """
    reports, errors = [], []
    for side in sides:
        try:
            reports.append(side.result(timeout))
        except (AssertionError, TestbedError) as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ExceptionGroup(
            "; ".join(str(error).partition("\n")[0] for error in errors), errors
        )  # worst of them is the verdict
    return tuple(reports)


def start(
    node: Node,
    name: str,
    *,
    libos: str | Library,
    server: str | None,
    client: str | None,
    interface: str | None,
    config: Mapping[str, object] | None,
    env: Mapping[str, str] | None,
    options: Mapping[str, object],
) -> Workload:
    """Start one side of a workload; see :meth:`testbed.backends.node.Node.workload`."""
    if (server is None) == (client is None):
        raise ConfigError(f"{node.name}: {name} is a server or a client: give one of server= and client=")
    library = libos if isinstance(libos, Library) else find_library(libos)
    words = [name, "--server", server] if server is not None else [name, "--client", str(client)]
    for key, value in options.items():
        words += [f"--{key.replace('_', '-')}", str(value)]
    return Workload(node, library, words, server=server is not None, interface=interface, config=config, env=env)
