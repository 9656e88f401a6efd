# SPDX-License-Identifier: MIT
"""The suites over many seeds: what ``testbed check seeds`` runs."""
