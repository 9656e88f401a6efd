# SPDX-License-Identifier: MIT
"""What several suites share: frames as packets and segments, and a transfer that is checked by hash. No tests here."""
