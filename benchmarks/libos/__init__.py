# SPDX-License-Identifier: MIT
"""What the LibOSes cost, each beside a program in C that does the same without them."""
