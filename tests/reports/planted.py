# SPDX-License-Identifier: MIT
"""A suite with one case for each outcome that a page has to show; it runs in guests."""

from __future__ import annotations

HOSTILE = "</script><img src=x onerror=document.title='owned'>"
MIXED = HOSTILE.encode() + b" \x1b[31mred\x1b[0m \x00 \xff\xfe \xe2\x80\xaeevil\xe2\x80\xa8 \xe2\x81\xa6 &lt;b&gt;\n"
SHOWN = HOSTILE + r" \x1b[31mred\x1b[0m \x00 \xff\xfe \u202eevil\u2028 \u2066 &lt;b&gt;"
"""What a reader has to see of ``MIXED``."""

OTHERS = '''
import pytest

PANIC = """
import ctypes
open("/proc/sys/kernel/panic_on_warn", "w").write("1")
open("/proc/sys/kernel/sem", "w").write("250 32000 2147483647 128")
libc = ctypes.CDLL(None, use_errno=True)
libc.semop(libc.semget(0, 1, 0o1600), ctypes.create_string_buffer(64), 0x7FFFFFFF)
"""

@pytest.mark.scenario("chain", n=4, delay_ms=5)
def test_four(network):
    h1, h2 = network["h1"], network["h2"]
    server = h2.spawn(["iperf3", "-s", "-1"])
    h2.wait_listen(5201)
    h1.run(["iperf3", "-c", h2.address(), "-n", "20K"], timeout=60)
    server.wait()
    h1.run(["ping", "-c3", h2.address()])

def test_dies(network):
    h1 = network["h1"]
    h1.run(["ping", "-c1", network["h2"].address()])
    h1.run(["/usr/bin/python3", "-I", "-S", "-c", PANIC])

@pytest.mark.xfail(reason="a known gap", strict=True)
def test_expected(network):
    assert False
'''
"""A suite with four nodes in a row, a guest that dies for real (semop(2) as in tests/faults), an expected failure."""

SUITE = f"""
import time
import pytest

HOSTILE = {HOSTILE!r}
MIXED = {MIXED!r}
SEND = (
    "import socket, sys; sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
    "sender.sendto(sys.stdin.buffer.read(), (sys.argv[1], 9))"
)

@pytest.mark.scenario("pair", delay_ms=10)
def test_passes(network):
    network["h1"].run(["ping", "-c3", network["h2"].address()])

@pytest.mark.scenario("pair", delay_ms=10, loss_ratio=0.5)
def test_fails(network):
    answer = network["h1"].run(["ping", "-c4", "-i0.5", network["h2"].address()], check=False)
    received = answer.stdout.count("bytes from")
    assert received == 4, "not all came back"

@pytest.mark.scenario("two_path", rate_bps=10_000_000, delay_ms=5, loss_ratio=0.01)
def test_transfer(network):
    h1, h2 = network["h1"], network["h2"]
    for node in (h1, h2):
        node.run(["ip", "mptcp", "limits", "set", "subflows", "2", "add_addr_accepted", "2"])
    h2.run(["ip", "mptcp", "endpoint", "add", h2.address(link="r2-h2"), "dev", "eth1", "signal"])
    server = h2.spawn(["mptcpize", "run", "iperf3", "-s", "-1"])
    h2.wait_listen(5201)
    h1.run(["mptcpize", "run", "iperf3", "-c", h2.address(), "-n", "1M"], timeout=60)
    server.wait()

def test_panics(network):
    network["h1"].write("/proc/sys/kernel/tainted", b"512")

def test_differs(network):
    stamp = f"{{time.time_ns() & 0xffffffff:08x}}"
    network["h1"].run(["ping", "-c1", "-p", stamp, network["h2"].address()])

def test_huge(network):
    network["h1"].run(["sh", "-c", "yes 0123456789abcde | head -c 4000000"])

@pytest.mark.parametrize("word", [HOSTILE])
def test_hostile(network, word):
    h1 = network["h1"]
    h1.run(["cat"], input=MIXED)
    h1.run(["/usr/bin/python3", "-I", "-S", "-c", SEND, network["h2"].address()], input=MIXED)
    assert MIXED == b"", word

@pytest.mark.skip(reason="no such hardware")
def test_skipped(network):
    pass
"""
