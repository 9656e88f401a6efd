# SPDX-License-Identifier: MIT
"""What all tests of testbed share."""

from __future__ import annotations

import os

pytest_plugins = ["pytester"]

# A CI's page is for its own summary: what tests run must not write there.
os.environ.pop("GITHUB_STEP_SUMMARY", None)
os.environ.pop("GITHUB_ACTIONS", None)
# What hints call us is the same however the tests were started.
os.environ.pop("TESTBED_PROGRAM", None)
