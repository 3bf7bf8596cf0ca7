"""The authority on how busy a simulated guest is: plausible figures, or those that a test wants."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

#: Seconds from one busy time to the next.
_PERIOD = 240.0
_COUNTERS = ("cpu", "disk_read", "disk_written", "net_received", "net_sent")


@dataclass(frozen=True)
class Load:
    """What a guest uses while it runs.

    Attributes:
        cpu: Virtual CPUs that are busy.
        memory: Part of its memory, 0 to 1.
        disk_read: Bytes per second; the next three likewise.
        wave: By which part of itself each of them rises and falls with time, 0 to 1.
    """

    cpu: float = 0.15
    memory: float = 0.4
    disk_read: float = 200_000.0
    disk_written: float = 80_000.0
    net_received: float = 30_000.0
    net_sent: float = 12_000.0
    wave: float = 0.6

    def used(self, since: float, now: float) -> dict[str, float]:
        """Return what each counter has grown by from one moment to a later one (seconds since the epoch)."""
        pace = 2 * math.pi / _PERIOD
        seconds = now - since + self.wave / pace * (math.cos(pace * since) - math.cos(pace * now))
        return {name: getattr(self, name) * seconds for name in _COUNTERS}


def total(used: dict[str, float], load: Load, since: float, now: float) -> dict[str, float]:
    """Return the counters at one moment, from what they were at an earlier one."""
    return {name: used.get(name, 0.0) + grown for name, grown in load.used(since, now).items()}


def shown(counters: dict[str, float], load: Load, memory: int, vcpus: int) -> dict[str, Any]:
    """Return the fields of `vms.domain.usage.Usage`."""
    whole = {name: int(counters[name]) for name in _COUNTERS if name != "cpu"}
    used = {"memory": memory, "memory_used": int(memory * load.memory)}
    return {"cpu": counters["cpu"], "vcpus": vcpus} | used | whole
