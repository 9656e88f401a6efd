# SPDX-License-Identifier: MIT
"""TestSuite api: each function of the queue API with wrong arguments and in every state."""
