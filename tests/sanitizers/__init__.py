# SPDX-License-Identifier: MIT
"""The LibOSes' own tests under sanitizers: ``testbed check sanitizers``."""
