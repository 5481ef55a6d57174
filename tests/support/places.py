"""Where things of the repository are, wherever a test lies."""

from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parents[1]
FACTS = ROOT / "tests" / "facts"
