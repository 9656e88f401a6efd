# SPDX-License-Identifier: MIT
"""What is measured against whom; ``testbed bench`` runs it."""
