"""The authority on how many workers may wait for one host at a time: fewer than there are.

A host can hang without closing its connections. Until that is noticed (keepalive: 12 s) every call to it waits, and
with as many calls as workers everything else would wait too. So who asks a host needs one of its seats, of which each
machine has one less than it has workers. A seat is a file that is locked: the kernel takes it back from a process that
dies.

Whoever finds no seat does not wait behind those who have waited for the host a while. Those who wait for something
else, the database mostly, will go on: their seat is worth waiting for.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from vms.hypervisor.base import HostUnreachable

#: A host that keeps all who ask it waiting for so long, in seconds, gets no more of them.
STUCK_AFTER = 0.3
#: How long to wait for a seat in any case, in seconds.
PATIENCE = 1.0
_LOOK_EVERY = 0.005


class NoSeat(HostUnreachable):
    """As many workers ask this host as may, and it takes its time.

    Attributes:
        stuck: None of them got an answer for a while, so that another try need not be soon.
    """

    def __init__(self, *, stuck: bool) -> None:
        super().__init__("the host keeps others waiting")
        self.stuck = stuck


class Seat:
    """The right to ask a host."""

    def __init__(self, file: int) -> None:
        self._file = file

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Wait for the host from here on: what others see of this seat."""
        os.utime(self._file)
        try:
            yield
        finally:
            os.utime(self._file, (0, 0))


@contextmanager
def taken(host_id: int) -> Iterator[Seat]:
    """Have a seat of a host.

    Raises:
        NoSeat: All are taken.
    """
    seat = _take(host_id)
    try:
        yield Seat(seat)
    finally:
        os.close(seat)


def stuck_hosts() -> set[int]:
    """Return the hosts whose seats are all taken by those who have waited for an answer a while."""
    try:
        known = {int(path.stem) for path in Path(settings.HOST_SEATS_DIRECTORY).iterdir()}
    except FileNotFoundError:
        return set()
    return {host_id for host_id in known if _stuck(host_id)}


def _seats(host_id: int) -> Iterator[Path]:
    """Name the files of a host's seats, one at a time: each look at each VM passes here, and mostly needs the first."""
    directory = Path(settings.HOST_SEATS_DIRECTORY)
    return (directory / f"{host_id}.{number}" for number in range(settings.HOST_SEATS))


def _stuck(host_id: int) -> bool:
    return all(_asking_for(path) > STUCK_AFTER and not _left_behind(path) for path in _seats(host_id))


def _take(host_id: int) -> int:
    give_up_at = time.monotonic() + PATIENCE
    while True:
        for path in _seats(host_id):
            seat = _locked(path)
            if seat is not None:
                return seat
        stuck = _stuck(host_id)
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
    # Whoever had it before may have died while asking.
    os.utime(seat, (0, 0))
    return seat


def _left_behind(path: Path) -> bool:
    """Say whether the holder of a seat died while asking; the seat is then as if nobody had ever had it."""
    seat = _locked(path)
    if seat is None:
        return False
    os.close(seat)
    return True


def _asking_for(path: Path) -> float:
    """Return for how long the holder of a seat has waited for the host, in seconds."""
    try:
        since = path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    return time.time() - since if since > 0 else 0.0
