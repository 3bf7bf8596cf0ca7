"""`./dev chaos --minutes M --vms N --seed S [--real]`: see docs/testing.md."""

from __future__ import annotations

import argparse
import os
import secrets
import sys

import django


def main() -> int:
    """Run chaos; the exit status is 0 only when nothing was violated and there was enough of everything."""
    parser = argparse.ArgumentParser(prog="./dev chaos", description="Kill everything at random while operations run.")
    parser.add_argument("--minutes", type=float, default=20.0, help="how long things go wrong (default 20)")
    parser.add_argument("--vms", type=int, default=50, help="how many simulated VMs (default 50)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of all that is chosen at random")
    parser.add_argument("--real", action="store_true", help="real guests under QEMU instead of simulated ones")
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    # What needs Django set up.
    from tests.chaos.hosts import SimulatedHost
    from tests.chaos.real import RealHost
    from tests.chaos.run import run

    with RealHost() if options.real else SimulatedHost(options.vms, options.seed) as host:
        report = run(host, minutes=options.minutes, seed=options.seed)
    sys.stdout.write(report.text())
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
