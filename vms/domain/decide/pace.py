"""The pace of decisions: how long they wait, and how often they try."""

from __future__ import annotations

from datetime import timedelta

#: A start, destroy or save without an answer may still be under way at the hypervisor for this long.
SETTLE = timedelta(seconds=5)
#: Gaps between attempts of a call that failed; the attempt after the last gap is the last one.
RETRY_GAPS = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 4, 8, 16))
#: Ask again at once after a worker died while asking, but not for ever: something about the call may kill workers.
MAX_UNANSWERED_ASKS = 3
#: How often to look at a VM whose change cannot be timed, when no event arrives.
LOOK_AGAIN = timedelta(seconds=2)
#: How soon to come back to a host that was serving others.
LOOK_AGAIN_BUSY = timedelta(seconds=0.5)
