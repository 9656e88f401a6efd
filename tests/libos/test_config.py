# SPDX-License-Identifier: MIT
"""Fragments: contradictions and dropped options are named with their file, line and values."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import BuildError, ConfigError
from testbed.libos.linux import config


def _options(tmp_path: Path, *texts: str, version: tuple[int, int] = (6, 12)) -> dict[str, config.Option]:
    found = []
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.config"
        path.write_text(text)
        found += config.read_fragment(path, version)
    return config.merge(found)


def test_our_own_fragments_agree_with_each_other() -> None:
    for version in ((6, 1), (6, 12)):
        options = config.merge(
            option for path in config.default_fragments() for option in config.read_fragment(path, version)
        )
        assert options["CONFIG_UML_TIME_TRAVEL_SUPPORT"].value == "y"
        assert options["CONFIG_MODULES"].value == "n"


def test_contradiction_names_both_files_and_values(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _options(tmp_path, "CONFIG_A=y\n", "# comment\n# CONFIG_A is not set\n")
    assert caught.value.message == (
        "config fragments contradict each other on CONFIG_A: 'y' in 0.config:1, 'n' in 1.config:2"
    )


def test_override_wins_from_either_side(tmp_path: Path) -> None:
    assert _options(tmp_path, "CONFIG_A=y\n", "CONFIG_A=n  # override\n")["CONFIG_A"].value == "n"
    assert _options(tmp_path, "CONFIG_A=n  # override\n", "CONFIG_A=y\n")["CONFIG_A"].value == "n"


def test_lines_for_other_kernels_are_left_out(tmp_path: Path) -> None:
    text = "CONFIG_NEW=y  # since 6.6\nCONFIG_OLD=y  # until 6.1\n"
    assert set(_options(tmp_path, text, version=(6, 12))) == {"CONFIG_NEW"}
    assert set(_options(tmp_path, text, version=(6, 1))) == {"CONFIG_OLD"}


def test_a_line_that_is_no_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"0\.config:1: 'IPV6=y' is not of the form"):
        _options(tmp_path, "IPV6=y\n")


def test_dropped_and_changed_options_are_named_with_their_fragment(tmp_path: Path) -> None:
    options = _options(tmp_path, "CONFIG_A=y\nCONFIG_GONE=y\n", "CONFIG_N=5\n# CONFIG_OFF is not set\n")
    settled = "CONFIG_A=y\n# CONFIG_GONE is not set\nCONFIG_N=7\nCONFIG_OFF=y\n"
    with pytest.raises(BuildError) as caught:
        config.check_survivors(options, settled, Path("/log"))
    assert caught.value.message == (
        "Kconfig did not take 3 options of the config fragments:\n"
        "  CONFIG_GONE=y  (0.config:2) was dropped (unknown here, or a dependency is not met)\n"
        "  CONFIG_N=5  (1.config:1) became '7'\n"
        "  # CONFIG_OFF is not set  (1.config:2) became 'y'\n"
        "log: /log"
    )


def test_options_that_all_survived_pass(tmp_path: Path) -> None:
    options = _options(tmp_path, 'CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S="x y"\n')
    config.check_survivors(options, 'CONFIG_A=y\nCONFIG_S="x y"\n', Path("/log"))
    assert config.text_of(options) == 'CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S="x y"\n'


def test_unknown_fragment_names_near_ones() -> None:
    with pytest.raises(ConfigError, match=r"^no config fragment 'debgu': no such file, .*did you mean 'debug'"):
        config.find_fragment("debgu")
