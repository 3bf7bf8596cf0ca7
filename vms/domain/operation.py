"""The authority on operations: their stages, the transitions between them, their steps and outcomes.

An operation is one durable power action on one VM. Its stage says how far it is; its steps are the journal of
everything that was asked of the hypervisor, written *before* it was asked. What to do next is decided in
`vms.domain.decide`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from vms.domain.policy import Policy
from vms.domain.power import GRACEFUL_ACTIONS, RUNNING_ACTIONS, Action, InFlight
from vms.domain.run_options import AS_STORED, RunOptions


class Stage(StrEnum):
    """How far an operation is."""

    QUEUED = "queued"
    ACCEPTED = "accepted"
    WAITING = "waiting"
    DESTROYING = "destroying"
    STARTING = "starting"
    COMING_UP = "coming_up"
    SAVING = "saving"
    RESUMING = "resuming"
    UNDEFINING = "undefining"
    REMOVING_DISKS = "removing_disks"
    ENDED = "ended"


#: One stage a line: where an operation may go from there. An operation may stay in its stage as often as it likes.
TRANSITIONS: dict[Stage, frozenset[Stage]] = {
    Stage.QUEUED: frozenset({Stage.ACCEPTED, Stage.ENDED}),
    Stage.ACCEPTED: frozenset(
        {
            Stage.WAITING,
            Stage.DESTROYING,
            Stage.STARTING,
            Stage.SAVING,
            Stage.RESUMING,
            Stage.UNDEFINING,
            Stage.ENDED,
        }
    ),
    Stage.WAITING: frozenset({Stage.DESTROYING, Stage.STARTING, Stage.COMING_UP, Stage.ENDED}),
    Stage.DESTROYING: frozenset({Stage.STARTING, Stage.ENDED}),
    Stage.STARTING: frozenset({Stage.COMING_UP, Stage.ENDED}),
    Stage.COMING_UP: frozenset({Stage.ENDED}),
    Stage.SAVING: frozenset({Stage.ENDED}),
    Stage.RESUMING: frozenset({Stage.ENDED}),
    Stage.UNDEFINING: frozenset({Stage.REMOVING_DISKS, Stage.ENDED}),
    Stage.REMOVING_DISKS: frozenset({Stage.ENDED}),
    Stage.ENDED: frozenset(),
}
#: Where an operation may begin: one of a bulk queues while the bulk has enough in flight.
FIRST_STAGES = (Stage.QUEUED, Stage.ACCEPTED)
ACTIVE_STAGES = tuple(stage for stage in Stage if stage is not Stage.ENDED)
#: Stages in which the VM is acted upon, or is about to be.
STAGES_IN_FLIGHT = tuple(stage for stage in ACTIVE_STAGES if stage is not Stage.QUEUED)
#: Stages in which the guest is, or is about to be, given time: Force now, Extend and Cancel make sense only here.
PATIENT_STAGES = (Stage.ACCEPTED, Stage.WAITING)


class Outcome(StrEnum):
    """How an operation ended."""

    CLEAN_AGENT = "clean_agent"
    """The guest went down after its agent was asked."""
    CLEAN_ACPI = "clean_acpi"
    """The guest went down after its power button was pressed."""
    FORCED = "forced"
    GAVE_UP = "gave_up"
    GUEST_REBOOTED = "guest_rebooted"
    DONE = "done"
    OTHER_HAND = "other_hand"
    """Somebody else, virsh for example, brought about what was wanted."""
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    FAILED = "failed"


#: Outcomes after which what was asked for is true.
SUCCESSES = frozenset(
    {
        Outcome.CLEAN_AGENT,
        Outcome.CLEAN_ACPI,
        Outcome.FORCED,
        Outcome.GUEST_REBOOTED,
        Outcome.DONE,
        Outcome.OTHER_HAND,
    }
)


class Failure(StrEnum):
    """Why an operation failed. The sentence for people is made from it in `vms.labels`."""

    NONE = ""
    GONE = "gone"
    NO_WAY_TO_ASK = "no_way_to_ask"
    PREPARE_FAILED = "prepare_failed"
    DESTROY_FAILED = "destroy_failed"
    START_FAILED = "start_failed"
    SAVE_FAILED = "save_failed"
    NOT_SAVED = "not_saved"
    RESUME_FAILED = "resume_failed"
    DISCARD_FAILED = "discard_failed"
    WENT_DOWN_AGAIN = "went_down_again"
    CRASHED = "crashed"
    SAVED_ELSEWHERE = "saved_elsewhere"
    STARTED_ELSEWHERE = "started_elsewhere"
    NOT_DOWN = "not_down"
    UNDEFINE_FAILED = "undefine_failed"
    DEFINED_AGAIN = "defined_again"
    DISKS_LEFT = "disks_left"
    HOST_UNREACHABLE = "host_unreachable"
    DEADLINE = "deadline"
    CHANGED_IN_QUEUE = "changed_in_queue"


class StepKind(StrEnum):
    """What one line of an operation's journal records."""

    # Calls to the hypervisor: written before the call, answered after it.
    PREPARE = "prepare"
    ASK_AGENT = "ask_agent"
    ASK_RESTART = "ask_restart"
    """Ask the guest agent to restart its guest."""
    PRESS_BUTTON = "press_button"
    DESTROY = "destroy"
    START = "start"
    SAVE = "save"
    RESUME = "resume"
    DISCARD_MEMORY = "discard_memory"
    RELENT = "relent"
    """Take back what PREPARE armed, when the guest is left running after all."""
    SCREENSHOT = "screenshot"
    """Take a picture of the guest's screen, just before it is powered off: what was it stuck on?"""
    UNDEFINE = "undefine"
    REMOVE_DISK = "remove_disk"
    # What was seen.
    WENT_DOWN = "went_down"
    STARTED = "started"
    GUEST_RESET = "guest_reset"
    """The guest restarted itself in the same run."""
    RESET_INSTEAD = "reset_instead"
    """The guest restarted itself instead of going down, which ended its run."""
    AGENT_LEFT = "agent_left"
    FALL_BACK = "fall_back"
    """A restart inside the guest cannot be asked for; the VM is brought down and run again instead."""
    # What a person did to the running operation.
    FORCE_NOW = "force_now"
    EXTEND = "extend"
    CANCEL = "cancel"


#: The ways to ask a guest to go down, or to restart.
ASKS = (StepKind.ASK_AGENT, StepKind.ASK_RESTART, StepKind.PRESS_BUTTON)
#: Steps that are calls to the hypervisor.
CALLS = frozenset(
    {
        StepKind.PREPARE,
        *ASKS,
        StepKind.DESTROY,
        StepKind.START,
        StepKind.SAVE,
        StepKind.RESUME,
        StepKind.DISCARD_MEMORY,
        StepKind.RELENT,
        StepKind.SCREENSHOT,
        StepKind.UNDEFINE,
        StepKind.REMOVE_DISK,
    }
)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the journal.

    Attributes:
        kind: What it is.
        at: When it was written; for a call, just before the call.
        answered_at: When the hypervisor answered; None for a call whose answer was never recorded, because the worker
            died or lost the connection in it.
        ok: Whether the answer was success.
        target: Which disk the call was about, where it was about one.
    """

    kind: StepKind
    at: datetime
    answered_at: datetime | None = None
    ok: bool = False
    target: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation as the decision sees it.

    Attributes:
        action: What was asked for.
        stage: How far it is.
        policy: Policy in force; None for actions that ask no guest.
        run_token: Token of the run that is to be brought down; None until it was read or written.
        asked_at: Begin of the graceful delay: when the guest was first asked, as far as is known.
        deadline_at: End of the graceful delay; None until the guest was first asked.
        hard_deadline_at: When the operation ends whatever happens.
        cancel_requested: A person wants it to stop waiting.
        inside: The guest is to be restarted in the same run, without a cold start.
        options: How it starts its VM.
        disks: Sources of the disks that are to go together with the VM.
        brought_down: How the VM went down; None while it has not.
        from_queue: It has queued and nothing was asked of the VM yet, which may have changed since it was accepted.
        steps: The journal, oldest first.
        overtaken: The operation on the same VM that this one ended when it was accepted.
    """

    action: Action
    stage: Stage
    hard_deadline_at: datetime
    policy: Policy | None = None
    run_token: str | None = None
    asked_at: datetime | None = None
    deadline_at: datetime | None = None
    cancel_requested: bool = False
    inside: bool = False
    options: RunOptions = AS_STORED
    disks: tuple[str, ...] = ()
    brought_down: Outcome | None = None
    from_queue: bool = False
    steps: tuple[Step, ...] = ()
    overtaken: Operation | None = None

    @property
    def graceful(self) -> bool:
        """True when the guest is asked first."""
        return self.action in GRACEFUL_ACTIONS

    @property
    def runs_again(self) -> bool:
        """True when the VM is to run at the end."""
        return self.action in RUNNING_ACTIONS

    def all(self, *kinds: StepKind) -> tuple[Step, ...]:
        """Return the steps of these kinds, oldest first."""
        return tuple(step for step in self.steps if step.kind in kinds)

    def last(self, *kinds: StepKind) -> Step | None:
        """Return the newest step of these kinds."""
        return next((step for step in reversed(self.steps) if step.kind in kinds), None)

    def since(self, kind: StepKind) -> tuple[Step, ...]:
        """Return the steps after the newest of one kind, oldest first; all of them when there is none of it."""
        newest = max((number for number, step in enumerate(self.steps, 1) if step.kind is kind), default=0)
        return self.steps[newest:]

    def unanswered_in_a_row(self, kind: StepKind) -> int:
        """Count how many of the newest calls of this kind never got an answer."""
        count = 0
        for step in reversed(self.all(kind)):
            if step.answered_at is not None:
                break
            count += 1
        return count


def in_flight(action: Action, stage: Stage) -> InFlight:
    """Return what the table of allowed actions needs to know of an active operation."""
    return InFlight(action, only_waits_for_up=stage is Stage.COMING_UP)


#: How long one operation may take beyond the graceful delay.
ALLOWANCE: dict[Action, timedelta] = {
    Action.RUN: timedelta(minutes=3),
    Action.RUN_ONCE: timedelta(minutes=3),
    Action.SHUT_DOWN: timedelta(minutes=2),
    Action.POWER_OFF: timedelta(minutes=2),
    Action.REBOOT: timedelta(minutes=4),
    Action.POWER_CYCLE: timedelta(minutes=4),
    Action.SUSPEND: timedelta(minutes=30),
    Action.RESUME: timedelta(minutes=3),
    Action.REMOVE: timedelta(minutes=10),
}


def hard_deadline(action: Action, policy: Policy | None, since: datetime) -> datetime:
    """Return when an operation ends whatever happens, counted from `since`.

    Args:
        since: When it was accepted, left the queue, or first asked the guest: the latest of these.
    """
    delay = timedelta(seconds=policy.delay) if policy else timedelta()
    return since + delay + ALLOWANCE[action]


def diagram() -> Iterator[str]:
    """Yield the lines of the state diagram in Mermaid's language; `docs/architecture.md` holds what this makes."""
    yield "stateDiagram-v2"
    for first in FIRST_STAGES:
        yield f"    [*] --> {first}"
    for stage, targets in TRANSITIONS.items():
        for target in (candidate for candidate in Stage if candidate in targets):
            yield f"    {stage} --> {'[*]' if target is Stage.ENDED else target}"
