# SPDX-License-Identifier: MIT
"""make defconfig and menuconfig: what is wanted, and what a user changed of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.cli.make.config import difference
from testbed.libos.linux.config import merge, read_fragment

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Testbed

BEFORE = 'CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="text"\nCONFIG_D=1\n# a comment\nCONFIG_GONE=y\n'
AFTER = 'CONFIG_A=y\nCONFIG_B=y\nCONFIG_C="other"\n# CONFIG_D is not set\nCONFIG_NEW=y\n'


def test_difference_has_what_changed_and_no_more() -> None:
    assert difference(BEFORE, AFTER).splitlines() == [
        "CONFIG_B=y # override",
        'CONFIG_C="other" # override',
        "# CONFIG_D is not set # override",
        "# CONFIG_GONE is not set # override",
        "CONFIG_NEW=y # override",
    ]
    assert difference(BEFORE, BEFORE) == ""


def test_a_difference_is_a_fragment_that_wins(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.config", tmp_path / "theirs.config"
    ours.write_text("CONFIG_A=y\nCONFIG_D=1\n")
    theirs.write_text(difference(BEFORE, AFTER))
    merged = merge([*read_fragment(ours, (6, 12)), *read_fragment(theirs, (6, 12))])
    assert {name: option.value for name, option in merged.items()} == {
        "CONFIG_A": "y",
        "CONFIG_B": "y",
        "CONFIG_C": '"other"',
        "CONFIG_D": "n",
        "CONFIG_GONE": "n",
        "CONFIG_NEW": "y",
    }


def test_menuconfig_without_a_terminal_says_so(testbed: Testbed, tmp_path: Path) -> None:
    done = testbed("make", "menuconfig", str(tmp_path / "my.config"))
    assert done.returncode == 7
    assert done.stderr.startswith("error: menuconfig needs a terminal")


def test_defconfig_of_what_is_no_kernel_is_refused(testbed: Testbed, tmp_path: Path) -> None:
    done = testbed("make", "defconfig", "--source", str(tmp_path))
    assert done.returncode == 4
    assert str(tmp_path) in done.stderr


def test_defconfig_of_an_unknown_fragment_names_near_ones(testbed: Testbed) -> None:
    done = testbed("build", "linux", "--config", "debg")
    assert done.returncode == 4
    assert "did you mean 'debug'" in done.stderr
