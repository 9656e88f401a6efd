# SPDX-License-Identifier: MIT
"""What can go wrong with an experiment node, each with its own words."""

from __future__ import annotations

from testbed.errors import CapabilityError, ExitCode, TestbedError


class NodeError(TestbedError):
    """A node of the experiment cannot be used now.

    Args:
        node: Its name.
        verdict: What is wrong, in a few words: ``refused key``, ``changed host key``, ``no answer``,
            ``connection lost``, ``no space``, ``in use``.
        detail: The rest.
        hint: What to do next.
    """

    usual_hint = "testbed cloudlab check --manifest FILE looks at every node"
    exit_code = ExitCode.CANNOT

    def __init__(self, node: str, verdict: str, detail: str, *, hint: str | None = None) -> None:
        super().__init__(f"node {node}: {verdict}: {detail}", hint=hint)
        self.node = node
        self.verdict = verdict
        self.detail = detail


class NodeLacks(CapabilityError):  # noqa: N818  # says what happened
    """A node works, and lacks something that the case needs: the case is skipped."""
