# SPDX-License-Identifier: MIT
"""TestSuite cradle: traffic that the harness makes itself, by sources and sinks of its own and frame by frame."""
