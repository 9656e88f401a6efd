# SPDX-License-Identifier: MIT
"""The parameters of Mininet's TCLink as shapes."""

from __future__ import annotations

import re

import pytest

from testbed.errors import ConfigError
from testbed.scenarios import tclink
from testbed.scenarios.shape import Shape


@pytest.mark.parametrize(
    ("opts", "shape"),
    [
        ({}, Shape()),
        ({"bw": 10}, Shape(rate_bps=10_000_000)),
        ({"bw": "2.5", "use_htb": True}, Shape(rate_bps=2_500_000)),
        ({"delay": "5ms", "jitter": "1ms"}, Shape(delay_ms=5, jitter_ms=1)),
        ({"delay": "100us"}, Shape(delay_ms=0.1)),
        ({"delay": "0.25s"}, Shape(delay_ms=250)),
        ({"delay": 1500}, Shape(delay_ms=1.5)),
        ({"delay": None, "bw": None, "loss": None}, Shape()),
        ({"loss": 2}, Shape(loss_ratio=0.02)),
        ({"loss": "2.5%"}, Shape(loss_ratio=0.025)),
        ({"max_queue_size": 20}, Shape(queue_packets=20)),
        ({"enable_ecn": False, "speedup": 0, "cls": "TCLink", "intfName1": "x", "fast": True}, Shape()),
    ],
)
def test_options_become_a_shape(opts: dict[str, object], shape: Shape) -> None:
    assert tclink.shapes("here", opts) == (shape, shape)


def test_params_of_one_end_shape_what_it_sends() -> None:
    opts = {"bw": 10, "params1": {"delay": "5ms", "ip": "10.1.1.1/24"}, "params2": {"bw": 1}}
    assert tclink.shapes("here", opts) == (Shape(rate_bps=10_000_000, delay_ms=5), Shape(rate_bps=1_000_000))


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        ({"r2q": 1}, "here: unknown option 'r2q'; valid: bw, delay, jitter, loss, max_queue_size"),
        ({"delya": "5ms"}, "here: unknown option 'delya'; did you mean 'delay'?"),
        ({"params2": {"los": 1}}, "here, params2: unknown option 'los'; did you mean 'loss'?"),
        ({"enable_red": True}, "here: enable_red=True cannot be had: a link here has no RED queue"),
        ({"speedup": 5}, "here: speedup=5 cannot be had: it makes a switch's end quicker than the link's"),
        ({"bw": "fast"}, "here: bw must be a number, not 'fast'"),
        ({"delay": "5 parsec"}, "here: delay must be a time, not '5 parsec'"),
        ({"loss": 101}, "here: loss_ratio must be a number from 0 to 1, not 1.01"),
        ({"delay": "1ms", "jitter": "2ms"}, "here: jitter_ms must be at most delay_ms, not 2.0 with delay_ms=1.0"),
        ({"max_queue_size": 0}, "here: queue_packets must be a whole number from 1 to 16777216, not 0"),
        ({"bw": 0}, "here: rate_bps must be a whole number from 8 to 1099511627776, not 0"),
    ],
)
def test_options_that_cannot_be_are_refused(opts: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{re.escape(message)}(\n|$)"):
        tclink.shapes("here", opts)
