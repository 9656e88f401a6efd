# SPDX-License-Identifier: MIT
"""``testbed make``: the words of the system that testbed renews, each in a file of its own."""

import typer

from testbed.cli.make.clean import clean
from testbed.cli.make.config import defconfig, menuconfig
from testbed.cli.make.library import library, testbin
from testbed.cli.make.test import make_test

app = typer.Typer(
    help="Configure, build and test, in the words of the old system.",
    no_args_is_help=True,
    epilog="Example: testbed make test -s mptcp -e tcp-simple",
)
app.command("defconfig", epilog="Example: testbed make defconfig > guest.config")(defconfig)
app.command("menuconfig", epilog="Example: testbed make menuconfig my.config")(menuconfig)
app.command("library", epilog="Example: testbed make library --config my.config")(library)
app.command("testbin", epilog="Example: testbed make testbin")(testbin)
app.command("test", epilog="Example: testbed make test -s netlink-socket -e tcp-simple --seed 7")(make_test)
app.command("clean", epilog="Example: testbed make clean --artifacts")(clean)
