"""The authority on how many workers may wait for one host at a time: fewer than there are.

A host can hang without closing its connections. Until that is noticed (keepalive: 12 s) every call to it waits, and
with as many calls as workers everything else would wait too. So who asks a host needs one of its seats, of which each
machine has one less than it has workers. A seat is a file that is locked: the kernel takes it back from a process that
dies.

Whoever finds no seat does not wait for long, and not at all where those who have them got no answer for a while.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

#: How long to wait for a seat of a host that answers, in seconds; a seat is mostly needed for some milliseconds.
PATIENCE = 0.3
_LOOK_EVERY = 0.005


class NoSeat(Exception):
    """As many workers ask this host as may, and it takes its time.

    Attributes:
        stuck: None of them got an answer for a while, so that another try need not be soon.
    """

    def __init__(self, *, stuck: bool) -> None:
        super().__init__("the host keeps others waiting")
        self.stuck = stuck


@contextmanager
def taken(host_id: int) -> Iterator[None]:
    """Have a seat of a host for a call or two.

    Raises:
        NoSeat: All are taken.
    """
    seat = _take(host_id)
    try:
        yield
    finally:
        # A seat that was just taken, and not marked yet, must not look as if it had been taken long ago.
        os.utime(seat, (0, 0))
        os.close(seat)


def _take(host_id: int) -> int:
    directory = Path(settings.HOST_SEATS_DIRECTORY)
    paths = [directory / f"{host_id}.{number}" for number in range(settings.HOST_SEATS)]
    give_up_at = time.monotonic() + PATIENCE
    while True:
        for path in paths:
            seat = _locked(path)
            if seat is not None:
                os.utime(seat)
                return seat
        stuck = all(_taken_for(path) > PATIENCE for path in paths)
        if stuck or time.monotonic() >= give_up_at:
            raise NoSeat(stuck=stuck)
        time.sleep(_LOOK_EVERY)


def _locked(path: Path) -> int | None:
    """Open and lock a file; None when somebody else has it locked."""
    try:
        seat = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        seat = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(seat, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(seat)
        return None
    return seat


def _taken_for(path: Path) -> float:
    """Return for how long a seat has been taken, in seconds."""
    at = path.stat().st_mtime
    return time.time() - at if at > 0 else 0.0
