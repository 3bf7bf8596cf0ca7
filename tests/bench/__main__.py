"""`./dev bench list | streams | virsh`: see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import sys

import django


def main() -> int:
    """Run one measurement; the exit status is 0 only when everything was within what is aimed at."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measure; see docs/benchmarks.md.")
    which = parser.add_subparsers(dest="which", required=True)
    pages = which.add_parser("list", help="the list of VMs: server time and queries")
    pages.add_argument("--vms", type=int, default=10_000, help="how many VMs (default 10,000)")
    pages.add_argument("--times", type=int, default=30, help="how often each page is asked for (default 30)")
    options = vars(parser.parse_args())
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    os.environ["PORTAL_LOG_LEVEL"] = "WARNING"
    django.setup()
    # What needs Django set up.
    from tests.bench import pages as measured

    runs = {"list": measured.run}
    return 1 if runs[options.pop("which")](**options) else 0


if __name__ == "__main__":
    sys.exit(main())
