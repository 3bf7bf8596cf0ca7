"""The authority on VM statuses, power actions, and which action is allowed in which status.

The table is the one of the behaviour specification; pages, Django admin, REST API and bulk actions all ask `resolve`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class VmStatus(StrEnum):
    """A VM's status in oVirt's words, and `gone` for a domain that is no longer defined on its host."""

    DOWN = "down"
    WAIT_FOR_LAUNCH = "wait_for_launch"
    POWERING_UP = "powering_up"
    UP = "up"
    REBOOT_IN_PROGRESS = "reboot_in_progress"
    POWERING_DOWN = "powering_down"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    SAVING_STATE = "saving_state"
    RESTORING_STATE = "restoring_state"
    IMAGE_LOCKED = "image_locked"
    """It is being removed, or added."""
    MIGRATING = "migrating"
    NOT_RESPONDING = "not_responding"
    UNKNOWN = "unknown"
    GONE = "gone"


class Action(StrEnum):
    """A power action that a person, or a program on a person's behalf, can ask for."""

    RUN = "run"
    RUN_ONCE = "run_once"
    SHUT_DOWN = "shut_down"
    POWER_OFF = "power_off"
    REBOOT = "reboot"
    POWER_CYCLE = "power_cycle"
    SUSPEND = "suspend"
    RESUME = "resume"
    REMOVE = "remove"


#: Actions that first ask the guest, subject to the power-down policy.
GRACEFUL_ACTIONS = frozenset({Action.SHUT_DOWN, Action.REBOOT})
#: Actions that end with the VM running.
RUNNING_ACTIONS = frozenset({Action.RUN, Action.RUN_ONCE, Action.REBOOT, Action.POWER_CYCLE, Action.RESUME})
#: Actions after which a VM that ran has another process, and with it the stored configuration.
COLD_START_ACTIONS = frozenset({Action.REBOOT, Action.POWER_CYCLE})
#: Actions that never ask the guest.
FORCEFUL_ACTIONS = frozenset({Action.POWER_OFF, Action.POWER_CYCLE})
#: Actions that something is lost by for good.
LOSING_ACTIONS = FORCEFUL_ACTIONS | {Action.REMOVE}


class Rule(StrEnum):
    """How a cell of the table reads."""

    NO = "no"
    IF_IDLE = "if_idle"
    """Allowed when no operation is in flight."""
    GIVES_WAY = "gives_way"
    """Allowed when no operation is in flight, or when the one in flight only waits for its VM to come up."""
    SUPERSEDES = "supersedes"
    """Allowed always; a running operation ends `superseded`."""


_N, _Y, _W, _S = Rule.NO, Rule.IF_IDLE, Rule.GIVES_WAY, Rule.SUPERSEDES

_COLUMNS = (
    Action.RUN,
    Action.RUN_ONCE,
    Action.SHUT_DOWN,
    Action.POWER_OFF,
    Action.REBOOT,
    Action.POWER_CYCLE,
    Action.SUSPEND,
    Action.RESUME,
    Action.REMOVE,
)
# One row a status, in the order of _COLUMNS. Resume is Run for a VM that still has its memory.
# fmt: off
_ROWS: dict[VmStatus, tuple[Rule, ...]] = {
    #                              run once shut off  reb  cyc  sus  res  rem
    VmStatus.DOWN:                (_Y, _Y, _N, _N, _N, _N, _N, _N, _Y),
    VmStatus.WAIT_FOR_LAUNCH:     (_N, _N, _Y, _S, _N, _N, _N, _N, _N),
    VmStatus.POWERING_UP:         (_N, _N, _W, _S, _W, _S, _N, _N, _N),
    VmStatus.UP:                  (_N, _N, _Y, _S, _Y, _S, _Y, _N, _N),
    VmStatus.REBOOT_IN_PROGRESS:  (_N, _N, _N, _S, _N, _S, _N, _N, _N),
    VmStatus.POWERING_DOWN:       (_N, _N, _N, _S, _N, _S, _N, _N, _N),
    VmStatus.PAUSED:              (_Y, _N, _N, _S, _N, _S, _N, _Y, _N),
    VmStatus.SUSPENDED:           (_Y, _N, _N, _S, _N, _N, _N, _Y, _N),
    VmStatus.SAVING_STATE:        (_N, _N, _N, _S, _N, _N, _N, _N, _N),
    VmStatus.RESTORING_STATE:     (_N, _N, _N, _S, _N, _N, _N, _N, _N),
    VmStatus.IMAGE_LOCKED:        (_N, _N, _N, _N, _N, _N, _N, _N, _N),
    VmStatus.MIGRATING:           (_N, _N, _N, _N, _N, _N, _N, _N, _N),
    VmStatus.NOT_RESPONDING:      (_N, _N, _N, _N, _N, _N, _N, _N, _N),
    VmStatus.UNKNOWN:             (_N, _N, _N, _N, _N, _N, _N, _N, _N),
    VmStatus.GONE:                (_N, _N, _N, _N, _N, _N, _N, _N, _Y),
}
# fmt: on
TABLE: dict[VmStatus, dict[Action, Rule]] = {
    status: dict(zip(_COLUMNS, rules, strict=True)) for status, rules in _ROWS.items()
}


#: In these the configuration can be edited. Policy, description and tags can be in every status.
EDITABLE = frozenset(
    {
        VmStatus.DOWN,
        VmStatus.WAIT_FOR_LAUNCH,
        VmStatus.POWERING_UP,
        VmStatus.UP,
        VmStatus.REBOOT_IN_PROGRESS,
        VmStatus.POWERING_DOWN,
        VmStatus.PAUSED,
    }
)


class Refusal(StrEnum):
    """Why an action is refused. The sentence for people is made from it in `vms.labels`."""

    STATUS = "status"
    """The VM's status does not allow it."""
    IN_FLIGHT = "in_flight"
    """Another operation is running on the VM."""
    STATELESS = "stateless"
    """The run's disks are stateless, so that its memory cannot be saved."""
    PROTECTED = "protected"
    """It is protected against removal."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """What the table needs to know of the operation that is active on a VM.

    Attributes:
        action: What it does.
        only_waits_for_up: It has started its VM and only waits for it to come up.
    """

    action: Action
    only_waits_for_up: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an action may be accepted.

    Attributes:
        refusal: Why not, or None when it may.
        ends: True when accepting it ends the operation in flight.
    """

    refusal: Refusal | None = None
    ends: bool = False

    @property
    def allowed(self) -> bool:
        """True when the action may be accepted."""
        return self.refusal is None


def resolve(
    action: Action,
    status: VmStatus,
    in_flight: InFlight | None,
    *,
    asleep: bool = False,
    stateless: bool = False,
    protected: bool = False,
) -> Verdict:
    """Say whether `action` may be accepted on a VM in `status` with the operation `in_flight` active on it.

    Args:
        asleep: The guest has put itself to sleep. It counts as up, and besides may be woken.
        stateless: What the run writes to its disks is dropped when it ends.
        protected: The VM is not to be removed from its host; one that is gone from there is only taken off the list.

    Source: behaviour specification, "Which action is allowed in which status". A power-off that is itself in flight
    is not superseded by another one: the second would do nothing the first does not.
    """
    rule = TABLE[status][action]
    if asleep and status is VmStatus.UP and action in (Action.RUN, Action.RESUME):
        rule = Rule.IF_IDLE
    if rule is Rule.NO:
        return Verdict(Refusal.STATUS)
    if action is Action.SUSPEND and stateless:
        return Verdict(Refusal.STATELESS)
    if action is Action.REMOVE and protected and status is not VmStatus.GONE:
        return Verdict(Refusal.PROTECTED)
    if in_flight is None:
        return Verdict()
    if rule is Rule.SUPERSEDES and in_flight.action is not action:
        return Verdict(ends=True)
    if rule in (Rule.GIVES_WAY, Rule.SUPERSEDES) and in_flight.only_waits_for_up:
        return Verdict(ends=True)
    return Verdict(Refusal.IN_FLIGHT)
