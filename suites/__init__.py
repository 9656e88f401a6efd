# SPDX-License-Identifier: MIT
"""The TestSuites: plain pytest, one folder per suite, one behaviour per test."""
