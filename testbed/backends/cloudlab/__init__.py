# SPDX-License-Identifier: MIT
"""The backend on the nodes of a CloudLab experiment, or of any other that has an RSpec manifest."""
