"""The authority on what VMs use: rates from counters, and at which resolution they are kept for how long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class Usage:
    """What one running process has used since it began; None where its host does not tell.

    Attributes:
        cpu: Seconds of CPU time.
        vcpus: Number of virtual CPUs.
        memory_used: Bytes that are used now.
        memory: Bytes that it has now.
        disk_read: Bytes read from all its disks; the next three likewise.
    """

    cpu: float | None = None
    vcpus: int | None = None
    memory_used: int | None = None
    memory: int | None = None
    disk_read: int | None = None
    disk_written: int | None = None
    net_received: int | None = None
    net_sent: int | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """What a VM used between two moments; None where it is not known.

    Attributes:
        cpu: Part of all its virtual CPUs' time, 0 to 1.
        memory_used: Bytes, at the later moment.
        memory: Bytes that it had then.
        disk_read: Bytes per second; the next three likewise.
    """

    cpu: float | None
    memory_used: int | None
    memory: int | None
    disk_read: int | None
    disk_written: int | None
    net_received: int | None
    net_sent: int | None


def rates(before: Usage, after: Usage, seconds: float) -> Rates | None:
    """Work out what was used between two readings.

    Returns:
        None where they cannot be of one process: a counter went backwards, as after a restart or when a disk was taken
        away; or where no time has passed.
    """
    if seconds <= 0:
        return None
    counters = ("cpu", "disk_read", "disk_written", "net_received", "net_sent")
    used = {name: _difference(getattr(before, name), getattr(after, name)) for name in counters}
    if any(each is not None and each < 0 for each in used.values()):
        return None
    cpu = used.pop("cpu")
    return Rates(
        # QEMU's own work counts, too, and a clock is never quite exact.
        cpu=None if cpu is None or not after.vcpus else min(1.0, cpu / seconds / after.vcpus),
        memory_used=after.memory_used,
        memory=after.memory,
        **{name: None if each is None else round(each / seconds) for name, each in used.items()},
    )


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution at which samples are kept.

    Attributes:
        every: Seconds between two samples of a VM.
        kept: For how long they are kept.
    """

    every: int
    kept: timedelta


#: Finest first. A VM that always runs has some 460 rows. Each level is kept a little longer than its chart is long.
LEVELS = (
    Level(10, timedelta(minutes=17)),
    Level(60, timedelta(minutes=65)),
    Level(300, timedelta(hours=24, minutes=15)),
)


class Kept(Protocol):
    """A sample that was kept."""

    @property
    def at(self) -> datetime:
        """The end of what it tells of."""

    @property
    def resolution(self) -> int:
        """Seconds, of its level."""


K = TypeVar("K", bound=Kept)


def drawn(samples: Iterable[K], resolution: int) -> list[K]:
    """Choose those to draw: of one resolution, and finer ones for what came after the last of these.

    Args:
        samples: Of any resolution; those that are coarser are left out.
    """
    known = sorted(samples, key=lambda sample: sample.at)
    chosen = [sample for sample in known if sample.resolution == resolution]
    since = chosen[-1].at if chosen else None
    rest = [sample for sample in known if sample.resolution < resolution and (since is None or sample.at > since)]
    finest = min((sample.resolution for sample in rest), default=0)
    return chosen + [sample for sample in rest if sample.resolution == finest]
