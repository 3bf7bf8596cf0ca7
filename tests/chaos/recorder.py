"""`python -m tests.chaos.recorder LOG …` tells what libvirt writes into the logs of its guests, until it is terminated.

A libvirtd without privileges empties a guest's log at each start, so the logs are read as they grow. This is a process
of its own, ahead of all others: between the end of a run and the next start there may be as little as 100 ms, which a
thread of a busy process oversleeps.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

#: Seconds between two looks.
_EVERY = 0.005
#: A line that libvirt writes when it starts a domain, or when one has ended.
_LINE = re.compile(r"^(\S+ \S+\+0000): (starting up|shutting down, reason=(\w+))", re.MULTILINE)


def record(logs: list[Path]) -> Iterator[tuple[str, str, str]]:
    """Yield the time, guest and reason (empty: it was started) of each line, once, as it is written."""
    read_at: dict[Path, int] = {}
    known: set[tuple[str, str, str]] = set()
    while True:
        for log in logs:
            written_at = log.stat().st_mtime_ns
            if written_at == read_at.get(log):
                continue
            read_at[log] = written_at
            for at, _, reason in _LINE.findall(log.read_text(errors="replace")):
                found = (at, log.stem, reason)
                if found not in known:
                    known.add(found)
                    yield found
        time.sleep(_EVERY)


def main() -> None:
    """Write a line for each that is found."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    for found in record([Path(argument) for argument in sys.argv[1:]]):
        sys.stdout.write("\t".join(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
