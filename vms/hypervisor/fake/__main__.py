"""Serve a fake host: `python -m vms.hypervisor.fake --socket PATH --state FILE [--log FILE]`."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from vms.hypervisor.fake.server import AlreadyRunning, Daemon


def main() -> None:
    """Parse the command line and serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m vms.hypervisor.fake", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="unix socket to serve")
    parser.add_argument("--state", type=Path, required=True, help="SQLite file that holds domains and log")
    parser.add_argument("--log", type=Path, help="append a copy of the log here, one JSON object a line")
    options = parser.parse_args()

    async def serve() -> None:
        await Daemon(options.socket, options.state, options.log).run()

    try:
        asyncio.run(serve())
    except AlreadyRunning as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
