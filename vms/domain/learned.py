"""The authority on what is learned from how long a VM needed before: its clean shutdowns, and its returns."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

#: Only the newest of each kind count: a guest changes with what is installed in it.
REMEMBERED = 50


@dataclass(frozen=True, slots=True)
class Times:
    """How long something took, in seconds.

    Attributes:
        count: How often it was seen.
    """

    count: int
    median: float
    slowest: float


@dataclass(frozen=True, slots=True)
class Lessons:
    """What is known of one VM.

    Attributes:
        shutdowns: From when its guest was first asked to when it was down by itself; None where that was never seen.
        returns: From its start to when its guest agent connected; None where that was never seen.
    """

    shutdowns: Times | None = None
    returns: Times | None = None


class Doubt(StrEnum):
    """What speaks against a graceful delay."""

    SHORT = "short"
    """The slowest of the clean shutdowns took longer."""
    TOO_SHORT = "too_short"
    """Half of them took longer."""


def times(seconds: Collection[float]) -> Times | None:
    """Sum durations up; None where there are none."""
    if not seconds:
        return None
    return Times(len(seconds), median(seconds), max(seconds))


def doubt(delay: int, shutdowns: Times | None) -> Doubt | None:
    """Say what speaks against waiting `delay` seconds for a guest that took `shutdowns` before; None: nothing."""
    if shutdowns is None or delay >= shutdowns.slowest:
        return None
    return Doubt.TOO_SHORT if delay < shutdowns.median else Doubt.SHORT
