"""A driver loop that stands for the engine: it carries `decide`'s moves out against a toy VM on a virtual clock.

It keeps the journal as the engine must (a step is written before its call, answered after it) and can die at every
boundary between the two, after which a new worker goes on from the journal alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from tests.domain.toy import ToyError, Unreachable, Vm
from vms.domain.decide import (
    Call,
    Finish,
    Move,
    Note,
    Wait,
    decide,
    decide_gone,
    decide_heard_start,
    decide_unreachable,
)
from vms.domain.operation import TRANSITIONS, Failure, Operation, Outcome, Stage, Step, StepKind, hard_deadline
from vms.domain.policy import Origin, Policy
from vms.domain.power import GRACEFUL_ACTIONS, Action

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
#: Calls that the hypervisor may still carry out after the worker that sent them has died, and how much later it does.
LATE_CALLS = frozenset({StepKind.DESTROY, StepKind.START, StepKind.SAVE, StepKind.UNDEFINE, StepKind.REMOVE_DISK})
LATE_BY = 3.0


class Person(StrEnum):
    """What a person does to a running operation."""

    CANCEL = "cancel"
    FORCE_NOW = "force_now"
    EXTEND = "extend"
    """By 20 seconds."""


class Boundary(StrEnum):
    """Where a worker can die."""

    DECIDED = "decided"
    """It knew its move and has written nothing."""
    WRITTEN = "written"
    """The step is in the journal; the call was not sent."""
    SENT = "sent"
    """The call was sent; the hypervisor carries it out some seconds later."""
    CARRIED_OUT = "carried_out"
    """The call had its effect; the answer is not in the journal."""


class _Died(Exception):
    """The worker was killed."""


def moment(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def seconds(at: datetime) -> float:
    return (at - EPOCH).total_seconds()


def policy_of(*, force: bool, delay: int) -> Policy:
    return Policy(force, delay, Origin.VM, Origin.VM)


def accepted(
    action: Action, policy: Policy | None = None, *, inside: bool = False, disks: tuple[str, ...] = ()
) -> Operation:
    """Return an operation as it is when it was just accepted."""
    policy = policy if action in GRACEFUL_ACTIONS else None
    deadline = hard_deadline(action, policy, EPOCH)
    return Operation(action, Stage.ACCEPTED, deadline, policy, inside=inside and action is Action.REBOOT, disks=disks)


@dataclass
class Driver:
    """Carries one operation through.

    Attributes:
        dies_at: Numbers of the boundaries, counted over the whole life of the operation, at which the worker dies.
        recovery: Seconds until another worker goes on.
        deaf: No event of the VM arrives; only the operation's own wake-ups. Otherwise somebody hears, also while no
            worker lives.
        people: What persons do to the operation, and when.
    """

    vm: Vm
    op: Operation
    dies_at: Collection[int] = ()
    recovery: float = 1
    deaf: bool = False
    people: Sequence[tuple[float, Person]] = ()
    now: float = 0
    outcome: Outcome | None = None
    failure: Failure = Failure.NONE
    boundaries: list[Boundary] = field(default_factory=list)
    moves: list[tuple[float, Stage, Move]] = field(default_factory=list)

    def run(self) -> Driver:
        """Go on until the operation has ended."""
        self._people = sorted(self.people, key=lambda person: person[0])
        self._advance(0)
        for _ in range(1000):
            if self.op.stage is Stage.ENDED:
                return self
            try:
                self._go_on()
            except _Died:
                died_at = self.now
                self._advance(self.now + self.recovery)
                self._hear_since(died_at)
        raise AssertionError(f"it does not end: {self.moves[-5:]}")

    @property
    def calls(self) -> list[str]:
        return [str(called) for called in self.vm.log]

    def effective(self, *kinds: StepKind) -> list[StepKind]:
        """Return the calls of these kinds that changed something at the hypervisor, in order."""
        return [called.kind for called in self.vm.log if called.effect and called.kind in kinds]

    def _advance(self, to: float) -> None:
        self.now = to
        resets = self.vm.resets
        self.vm.advance(to)
        if self.vm.resets > resets and not self.deaf and self.op.inside and self.op.stage is Stage.WAITING:
            step = Step(StepKind.GUEST_RESET, moment(to), moment(to), ok=True)
            self.op = replace(self.op, steps=(*self.op.steps, step))
        while self._people and self._people[0][0] <= to:
            self._person(self._people.pop(0)[1])

    def _hear_since(self, at: float) -> None:
        """Take note of the starts that were told of while no worker lived."""
        for started_at in () if self.deaf else [start for start in self.vm.started if start >= at]:
            note = decide_heard_start(self.op, moment(started_at))
            if note is not None:
                self._note(note, started_at)

    def _person(self, person: Person) -> None:
        op, policy, now = self.op, self.op.policy, moment(self.now)
        if op.stage not in (Stage.ACCEPTED, Stage.WAITING) or policy is None:
            return
        self.op = op = replace(op, steps=(*op.steps, Step(StepKind(person), now, now, ok=True)))
        match person:
            case Person.CANCEL:
                self.op = replace(op, cancel_requested=True)
            case Person.FORCE_NOW:
                self.op = replace(op, policy=replace(policy, force=True), deadline_at=now)
            case Person.EXTEND:
                self.op = self._extended(op, policy)

    def _extended(self, op: Operation, policy: Policy) -> Operation:
        more = timedelta(seconds=20)
        op = replace(op, hard_deadline_at=op.hard_deadline_at + more)
        if op.deadline_at is None:
            return replace(op, policy=replace(policy, delay=policy.delay + 20))
        return replace(op, deadline_at=op.deadline_at + more)

    def _look(self) -> Move:
        if not self.vm.reachable:
            return decide_unreachable(self.op, moment(self.now))
        if not self.vm.defined:
            return decide_gone(self.op, moment(self.now))
        return decide(self.op, self.vm.observe(), moment(self.now))

    def _go_on(self) -> None:
        move = self._look()
        self.moves.append((self.now, self.op.stage, move))
        if isinstance(move, Wait):
            self._wait(seconds(move.until))
            return
        self._boundary(Boundary.DECIDED)
        match move:
            case Call():
                self._call(move)
            case Note():
                self._note(move, self.now)
            case Finish():
                assert Stage.ENDED in TRANSITIONS[self.op.stage]
                self.op = replace(self.op, stage=Stage.ENDED)
                self.outcome, self.failure = move.outcome, move.failure

    def _note(self, move: Note, at: float) -> None:
        assert move.stage is self.op.stage or move.stage in TRANSITIONS[self.op.stage]
        steps = (*self.op.steps, Step(move.kind, moment(at), moment(at), ok=True))
        down = move.brought_down or self.op.brought_down
        inside = self.op.inside and not move.falls_back
        self.op = replace(self.op, stage=move.stage, steps=steps, brought_down=down, inside=inside)

    def _wait(self, until: float) -> None:
        assert until > self.now, f"it waits for a moment that has passed: {self.moves[-1]}"
        heard = None if self.deaf else self.vm.next_change()
        person = self._people[0][0] if self._people else None
        self._advance(max(self.now, min(at for at in (until, heard, person) if at is not None)))

    def _call(self, move: Call) -> None:
        assert move.stage is self.op.stage or move.stage in TRANSITIONS[self.op.stage]
        at, op = moment(self.now), self.op
        if move.starts_delay and op.policy is not None:
            op = self._with_delay_from(op, op.policy, at)
        self.op = op = replace(op, stage=move.stage, steps=(*op.steps, Step(move.kind, at, target=move.target)))
        self._boundary(Boundary.WRITTEN)
        if move.kind in LATE_CALLS:
            self._boundary(Boundary.SENT)
        token = f"token-{len(op.steps)}" if move.kind is StepKind.PREPARE else op.run_token
        ok, answer = True, None
        try:
            answer = self.vm.call(move.kind, token, arm=op.graceful and not op.inside, target=move.target)
        except ToyError:
            ok = False
        except Unreachable:
            self._boundary(Boundary.CARRIED_OUT)
            return
        self._boundary(Boundary.CARRIED_OUT)
        answered = replace(op.steps[-1], answered_at=at, ok=ok)
        self.op = replace(op, run_token=op.run_token or answer, steps=(*op.steps[:-1], answered))

    @staticmethod
    def _with_delay_from(op: Operation, policy: Policy, at: datetime) -> Operation:
        if op.deadline_at is None:
            deadline = at + timedelta(seconds=policy.delay)
            return replace(op, asked_at=at, deadline_at=deadline, hard_deadline_at=hard_deadline(op.action, policy, at))
        if op.asked_at is None:
            hard = max(op.hard_deadline_at, hard_deadline(op.action, None, op.deadline_at))
            return replace(op, asked_at=at, hard_deadline_at=hard)
        later = at - op.asked_at
        return replace(
            op, asked_at=at, deadline_at=op.deadline_at + later, hard_deadline_at=op.hard_deadline_at + later
        )

    def _boundary(self, boundary: Boundary) -> None:
        number = len(self.boundaries)
        self.boundaries.append(boundary)
        if number not in self.dies_at:
            return
        if boundary is Boundary.SENT:
            step, token = self.op.steps[-1], self.op.run_token
            self.vm.later(self.now + LATE_BY, lambda: self._arrive_late(step, token))
        raise _Died

    def _arrive_late(self, step: Step, token: str | None) -> None:
        with suppress(ToyError, Unreachable):
            self.vm.call(step.kind, token, target=step.target)
