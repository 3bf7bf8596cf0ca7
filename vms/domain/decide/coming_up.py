"""Bringing a VM up: started, restored or let run on, and waited for until it counts as up.

It is all of a run, run once or resume, and the second half of a reboot or power cycle.
"""

from __future__ import annotations

from datetime import datetime

from vms.domain.decide import pace
from vms.domain.decide.moves import Finish, Move, Note, Wait
from vms.domain.decide.retrying import retried
from vms.domain.observation import DomainState, Observation, is_up
from vms.domain.operation import Failure, Operation, Outcome, Stage, StepKind
from vms.domain.power import Action


def run(op: Operation, seen: Observation, now: datetime) -> Move:
    """Begin a run, run once or resume: a VM that is down is started, one that stands still is let run on."""
    if seen.down and op.action is Action.RESUME and not seen.managed_save:
        # It has no memory any more that could run on.
        return _ended_meanwhile(seen)
    if seen.down:
        return starting(op, seen, now)
    if op.action is Action.RUN_ONCE:
        return Finish(Outcome.FAILED, Failure.STARTED_ELSEWHERE)
    if seen.state in (DomainState.PAUSED, DomainState.SLEEPING):
        return resuming(op, seen, now)
    return Finish(Outcome.OTHER_HAND)


def starting(op: Operation, seen: Observation, now: datetime) -> Move:
    """The VM is to run: start it, unless it was started already."""
    if not seen.down:
        if _is_old_run(op, seen):
            return Finish(Outcome.FAILED, Failure.SAVED_ELSEWHERE)
        if op.options.overrides and not seen.run_once:
            # Somebody was quicker, and runs it as it is stored.
            return Finish(Outcome.FAILED, Failure.STARTED_ELSEWHERE)
        return Note(StepKind.STARTED, Stage.COMING_UP)
    if op.brought_down is not None and seen.managed_save:
        return Finish(Outcome.FAILED, Failure.SAVED_ELSEWHERE)
    last = op.last(StepKind.START)
    if last is not None and last.ok:
        return Finish(Outcome.FAILED, Failure.WENT_DOWN_AGAIN)
    return retried(op, StepKind.START, Stage.STARTING, now, Failure.START_FAILED)


def coming_up(op: Operation, seen: Observation, now: datetime) -> Move:
    """The VM was started: wait until it counts as up."""
    if seen.down:
        return _ended_meanwhile(seen)
    if _is_old_run(op, seen):
        return Finish(Outcome.FAILED, Failure.SAVED_ELSEWHERE)
    if seen.crashed:
        return Finish(Outcome.FAILED, Failure.CRASHED)
    started = op.last(StepKind.STARTED)
    since = started.at if started is not None else now
    # A VM that somebody paused meanwhile has come back; it just does not run on by our doing.
    if seen.state is DomainState.PAUSED or is_up(seen, since, now):
        if op.brought_down is not None:
            return Finish(op.brought_down)
        return Finish(Outcome.DONE if op.last(StepKind.START) is not None else Outcome.OTHER_HAND)
    return Wait(now + pace.LOOK_AGAIN)


def resuming(op: Operation, seen: Observation, now: datetime) -> Move:
    """The VM is paused or asleep: let it run on."""
    if seen.down:
        return _ended_meanwhile(seen)
    if seen.state is DomainState.RUNNING:
        return Finish(Outcome.DONE if op.last(StepKind.RESUME) is not None else Outcome.OTHER_HAND)
    if seen.state is DomainState.PAUSED and any(step.ok for step in op.all(StepKind.RESUME)):
        # It has run on, and somebody has paused it since. A guest that wakes is asleep for another moment instead.
        return Finish(Outcome.FAILED, Failure.CRASHED) if seen.crashed else Finish(Outcome.DONE)
    return retried(op, StepKind.RESUME, Stage.RESUMING, now, Failure.RESUME_FAILED)


def decide_heard_start(op: Operation, at: datetime) -> Note | None:
    """Return what is to be written down when the hypervisor tells that the VM was started at `at`; None for nothing.

    A start whose answer was lost is known by this to have worked, also when its VM is down again by the next look.
    Not a start with options of its own: another hand's does not serve instead, and only a look tells them apart.
    """
    sent = op.last(StepKind.START)
    if op.stage is not Stage.STARTING or op.options.overrides or sent is None or at < sent.at:
        return None
    return Note(StepKind.STARTED, Stage.COMING_UP)


def _is_old_run(op: Operation, seen: Observation) -> bool:
    """True when the run that was brought down is back: only a saved memory that somebody restored does that."""
    went_down = op.brought_down is not Outcome.GUEST_REBOOTED
    return went_down and op.run_token is not None and seen.run_token == op.run_token


def _ended_meanwhile(seen: Observation) -> Finish:
    """End an operation whose VM went down when it was to run."""
    return Finish(Outcome.FAILED, Failure.SAVED_ELSEWHERE if seen.managed_save else Failure.WENT_DOWN_AGAIN)
