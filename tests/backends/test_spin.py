# SPDX-License-Identifier: MIT
"""The spin watchdog (``tb_spin_ms``): a program that only polls memory keeps time standing, unless it is asked for."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from testbed.backends.guest import GuestStalled

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.conftest import Up

# One thread polls a flag, without system calls; the other sets it after a second.
SPINNER = r"""
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static atomic_int flag;

static void *sets(void *unused)
{
	(void)unused;
	sleep(1);
	flag = 1;
	return NULL;
}

int main(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, sets, NULL))
		return 1;
	while (!flag)
		;
	puts("seen");
	return 0;
}
"""

pytestmark = pytest.mark.guest


@pytest.fixture
def spinner(tmp_path: Path) -> bytes:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler (gcc)")
    source, program = tmp_path / "spinner.c", tmp_path / "spinner"
    source.write_text(SPINNER)
    subprocess.run([compiler, "-O2", "-static", "-pthread", "-o", program, source], check=True)
    return program.read_bytes()


def test_poller_sees_what_another_thread_sets(up: Up, spinner: bytes) -> None:
    node = up("single", spin_ms=10)["h1"]
    node.write("/tmp/spinner", spinner, mode=0o755)
    result = node.run(["/tmp/spinner"])
    assert result.stdout == "seen\n"
    assert 1 <= result.duration_s < 1.5


def test_poller_keeps_time_standing_without_it(up: Up, spinner: bytes) -> None:
    node = up("single", stall_s=2)["h1"]
    node.write("/tmp/spinner", spinner, mode=0o755)
    with pytest.raises(GuestStalled, match="spinner"):
        node.run(["/tmp/spinner"])
