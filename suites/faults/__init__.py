# SPDX-License-Identifier: MIT
"""TestSuite faults: bad links and dead peers below a LibOS: every byte exact or a clear errno, and never a hang."""
