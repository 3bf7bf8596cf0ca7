"""The only writer of samples: takes them of a host, and lets the old ones go.

A reading is what a host's counters say now; a sample is the difference to the reading before. Of each level (see
`vms.domain.usage`) the last reading is kept in memory, so that nothing is read back from the database and no coarser
sample needs finer ones. A process that begins anew loses the samples of one interval.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Min
from django.utils import timezone

from vms.domain.usage import LEVELS, Level, Usage, rates
from vms.hypervisor import connections
from vms.models import Host, Sample, VirtualMachine

#: Readings come a little late or early; one that is this much early still counts for its level, in seconds.
_EARLY = 1.0
#: So many rows are written at a time: some 50 ms during which nobody else can write to SQLite.
_AT_ONCE = 500
#: How long others are let in between two deletions, in seconds.
_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Reading:
    """What the domains of a host had used at one moment (of `time.monotonic`)."""

    at: float
    usage: dict[str, Usage]


@dataclass(slots=True)
class HostSampling:
    """Takes the samples of one host. One thread at a time."""

    host: Host
    clock: Callable[[], float] = time.monotonic
    _last: dict[int, Reading] = field(default_factory=dict)

    def take(self) -> int:
        """Read the host's counters once, write what that tells, and return how many samples it was.

        Raises:
            HypervisorError: The host does not tell.
        """
        usage = connections.get(self.host.uri).usage()
        reading, at = Reading(self.clock(), usage), timezone.now()
        due = [level for level in LEVELS if self._is_due(level, reading)]
        samples = [sample for level in due for sample in self._samples(level, reading, at)]
        for start in range(0, len(samples), _AT_ONCE):
            # Each portion is a transaction of its own: others write, too, and half a round does no harm.
            Sample.objects.bulk_create(samples[start : start + _AT_ONCE])
        # Not before that is written: what could not be is told of by the next ones.
        self._last |= {level.every: reading for level in due}
        return len(samples)

    def _is_due(self, level: Level, reading: Reading) -> bool:
        before = self._last.get(level.every)
        return before is None or reading.at - before.at >= level.every - _EARLY

    def _samples(self, level: Level, reading: Reading, at: datetime) -> Iterator[Sample]:
        before = self._last.get(level.every)
        if before is None:
            return
        known = self._known()
        for uuid, usage in reading.usage.items():
            vm_id = known.get(UUID(uuid))
            if vm_id is None or uuid not in before.usage:
                continue
            found = rates(before.usage[uuid], usage, reading.at - before.at)
            if found is not None:
                yield Sample(vm_id=vm_id, at=at, resolution=level.every, **asdict(found))

    def _known(self) -> dict[UUID, UUID]:
        return dict(VirtualMachine.objects.filter(host=self.host, removed_at=None).values_list("uuid", "pk"))


def thin(at_most: timedelta) -> int:
    """Delete the samples that are older than their level is kept, for so long at most, and return how many.

    A portion is what was sampled within one interval, so that nobody waits long for the database.
    """
    began, now, removed = time.monotonic(), timezone.now(), 0
    for level in LEVELS:
        old = Sample.objects.filter(resolution=level.every)
        while (oldest := old.aggregate(at=Min("at"))["at"]) is not None and oldest < now - level.kept:
            until = min(now - level.kept, oldest + timedelta(seconds=level.every))
            count, _ = old.filter(at__lte=until).delete()
            removed += count
            if time.monotonic() - began > at_most.total_seconds():
                return removed
            time.sleep(_PAUSE)
    return removed
