# SPDX-License-Identifier: MIT
"""TestSuite tcp-wait: what becomes of a pending push or pop when its queue or its peer is closed."""
