"""The authority on bulks: how many operations of one request are in flight at once, and what of it is out of date.

A request for several VMs is a bulk. At most so many of its operations as its cap says are in flight; the others queue
in the order of the list. One that queues is active, leaves its VM as it is, and begins once another one has ended.
"""

from __future__ import annotations

from datetime import UTC, datetime

from vms.domain.errors import PolicyError
from vms.domain.observation import DomainState, Observation, status_at_rest
from vms.domain.power import Action, VmStatus, resolve

#: What the portal starts with; an Administrator can change it in the portal.
FACTORY_IN_FLIGHT = 10
MAX_IN_FLIGHT = 1000

#: What each action wants: a VM that is there already needs nothing. A reboot wants the way, not where it leads.
_WANTED: dict[Action, VmStatus] = {
    Action.RUN: VmStatus.UP,
    Action.RESUME: VmStatus.UP,
    Action.SHUT_DOWN: VmStatus.DOWN,
    Action.POWER_OFF: VmStatus.DOWN,
    Action.SUSPEND: VmStatus.SUSPENDED,
}
#: A VM that runs counts as up here, however lately its agent left: it was up when the action was accepted.
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def check_in_flight(value: object) -> None:
    """Refuse a cap outside 1 to 1000.

    Raises:
        PolicyError: `in_flight_range`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_IN_FLIGHT:
        raise PolicyError("bulk_in_flight", "in_flight_range")


def room(cap: int, in_flight: int) -> int:
    """Return how many more operations of a bulk may begin."""
    return max(0, cap - in_flight)


def outdated(action: Action, seen: Observation, now: datetime) -> bool:
    """Say whether a VM has changed so much while its action queued that it must not begin.

    A VM that somebody shut down meanwhile is not rebooted, as that would start it. One that is already as the action
    wants it is left to the decision, which finds nothing to do.
    """
    status = status_at_rest(seen, _LONG_AGO, now)
    if status is _WANTED.get(action):
        return False
    return not resolve(action, status, None, asleep=seen.state is DomainState.SLEEPING).allowed
