"""How figures are summed up and printed: for people to read, and to be pasted into docs/benchmarks.md."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something took, in milliseconds, over many times."""

    median: float
    p95: float
    worst: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """Sum up at least two times, given in seconds."""
        p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1]
        return cls(1000 * statistics.median(seconds), 1000 * p95, 1000 * max(seconds))

    def __str__(self) -> str:
        return f"median {self.median:.0f} ms, p95 {self.p95:.0f} ms, worst {self.worst:.0f} ms"


def say(line: str = "") -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def say_where() -> None:
    """Print what a figure means nothing without: the machine, what else it did, and which database was asked."""
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    say(f"{os.cpu_count()} processors, load average {load}; {connection.vendor}; Python {sys.version.split()[0]}")
