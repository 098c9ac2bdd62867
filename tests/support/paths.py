"""Where the checkout and what lies beside it are."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout."""

PCAPS = ROOT / "pcaps"

SUPPORT = ROOT / "tests" / "support"
"""What tests share, and the programs that they start."""

BENCH = ROOT / "bench"

SHARED = ROOT.parent / "shared"
"""Captures and research that are no part of the project; tests that use them skip without."""
