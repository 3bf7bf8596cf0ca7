"""Make the page about the rows of behaviour: `python -m tests.behaviour RECORDS PAGE`.

Fails when a row was shown by no test that passed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.behaviour import page
from tests.behaviour.rows import ROWS


def main() -> int:
    """Write the page; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.behaviour", description=__doc__)
    parser.add_argument("records", type=Path, help="where the runs wrote down what they showed")
    parser.add_argument("page", type=Path, help="the page to write")
    options = parser.parse_args()
    tests = page.read(options.records)
    options.page.parent.mkdir(parents=True, exist_ok=True)
    options.page.write_text(page.render(tests, options.page.resolve()))
    missing = page.not_shown(tests)
    for row in missing:
        sys.stderr.write(f"no test that passed shows row {row} of behaviour: {ROWS[row]}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
