"""`./dev bench list | api | streams | virsh`: see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

import django


def main() -> int:
    """Run one measurement; the exit status is 0 only when everything was within what is aimed at."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measure; see docs/benchmarks.md.")
    which = parser.add_subparsers(dest="which", required=True)
    pages = which.add_parser("list", help="the list of VMs: server time and queries")
    pages.add_argument("--vms", type=int, default=10_000, help="how many VMs (default 10,000)")
    pages.add_argument("--times", type=int, default=30, help="how often each page is asked for (default 30)")
    api = which.add_parser("api", help="VMs over the REST API: server time and queries")
    api.add_argument("--vms", type=int, default=1000, help="how many VMs (default 1000)")
    api.add_argument("--times", type=int, default=30, help="how often each is asked for (default 30)")
    streams = which.add_parser("streams", help="many open pages, and changes many times a second")
    streams.add_argument("--streams", type=int, default=1000, help="how many pages are open (default 1000)")
    streams.add_argument("--rate", type=int, default=50, help="changes a second (default 50)")
    streams.add_argument("--seconds", type=int, default=30, help="how long VMs change (default 30)")
    streams.add_argument("--kinds", type=int, default=1, help="kinds of people, at most 50 (default 1)")
    virsh = which.add_parser("virsh", help="from a change with virsh to an open page")
    virsh.add_argument("--times", type=int, default=40, help="how many changes (default 40)")
    options = vars(parser.parse_args())
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    os.environ["PORTAL_LOG_LEVEL"] = "WARNING"
    django.setup()
    # What needs Django set up.
    from tests.bench import api as over_api
    from tests.bench import pages as list_pages
    from tests.bench import streams as many_streams
    from tests.bench import virsh as by_virsh

    runs: dict[str, Callable[..., int]] = {
        "list": list_pages.run,
        "api": over_api.run,
        "streams": many_streams.run,
        "virsh": by_virsh.run,
    }
    return 1 if runs[options.pop("which")](**options) else 0


if __name__ == "__main__":
    sys.exit(main())
