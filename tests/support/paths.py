"""Where the checkout is, and the folders in it that tests use."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout."""

BENCH = ROOT / "bench"
"""The benchmarks."""

FUZZ = ROOT / "tests" / "fuzz"
"""The programs that fuzz, and their corpus."""

PCAPS = ROOT / "pcaps"
"""The sample captures and the modules that make them."""

SUPPORT = ROOT / "tests" / "support"
"""What tests share, and the programs that they start."""

SHARED = ROOT.parent / "shared"
"""Captures that are not part of the project; tests that need them skip if they are missing."""
