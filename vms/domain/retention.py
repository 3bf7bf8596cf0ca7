"""The authority on how long history may be kept: events, and operations with their steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: What the portal starts with; an Administrator can change it in the portal.
FACTORY_DAYS = 365
#: A hundred years; 0 is for ever.
MAX_DAYS = 36500


@dataclass(frozen=True, slots=True)
class Keep:
    """For how many days each kind of history is kept; 0 for ever."""

    events: int = FACTORY_DAYS
    operations: int = FACTORY_DAYS


def check_days(value: object) -> None:
    """Refuse a number of days that cannot be meant.

    Raises:
        ValueError: It is no whole number from 0 to 36500.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_DAYS:
        raise ValueError(f"not a number of days from 0 to {MAX_DAYS}: {value!r}")


def cutoff(days: int, now: datetime) -> datetime | None:
    """Return the moment before which history may go; None where it is kept for ever."""
    return now - timedelta(days=days) if days else None
