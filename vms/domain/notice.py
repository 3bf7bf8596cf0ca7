"""The authority on mail notices: which outcomes people can be told of, and when a mail is tried again or given up."""

from __future__ import annotations

from datetime import timedelta

from vms.domain.operation import Outcome

#: Outcomes that somebody may want to hear of: what was asked for did not come true, or not gently.
OUTCOMES = (Outcome.FAILED, Outcome.GAVE_UP, Outcome.FORCED)
#: Gaps between attempts to send a mail; the last one holds from then on.
RETRY_GAPS = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 30, 60))
#: A notice that is a day old helps nobody any more.
GIVE_UP_AFTER = timedelta(hours=24)


def retry_gap(attempts: int) -> timedelta:
    """Return how long to wait after the failed attempt of this number, from 1."""
    return RETRY_GAPS[min(attempts, len(RETRY_GAPS)) - 1]
