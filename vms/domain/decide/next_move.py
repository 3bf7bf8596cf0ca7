"""Which rules hold for an operation now, by what was asked for and how far it is.

Whatever the phase decides, an operation ends at its hard deadline with what has come true by then, and leaves no run
behind while a call may still be under way that was meant for it.
"""

from __future__ import annotations

from datetime import datetime

from vms.domain.bulk import outdated
from vms.domain.decide import pace
from vms.domain.decide.coming_up import coming_up, resuming, run, starting
from vms.domain.decide.going_down import bring_down
from vms.domain.decide.moves import Call, Finish, Move, Note, Wait
from vms.domain.decide.relenting import leave_running
from vms.domain.decide.removing import remove, undefined
from vms.domain.decide.suspending import saving
from vms.domain.observation import Observation
from vms.domain.operation import STAGES_IN_FLIGHT, Failure, Operation, Outcome, Stage, StepKind
from vms.domain.power import Action

#: Calls that would do harm to another run than the one they were meant for; so would a destroy that names no run.
_STRAY = (StepKind.PREPARE, StepKind.ASK_AGENT, StepKind.ASK_RESTART, StepKind.PRESS_BUTTON)


def decide(op: Operation, seen: Observation, now: datetime) -> Move:
    """Return the next move of an active operation.

    Args:
        op: The operation, with its journal.
        seen: The VM, looked at just now.
        now: The time of that look.
    """
    if op.stage not in STAGES_IN_FLIGHT:
        raise ValueError("an operation that queues or has ended has no next move")
    move = _next(op, seen, now)
    if now < op.hard_deadline_at:
        if isinstance(move, Wait):
            return Wait(min(move.until, op.hard_deadline_at))
    elif not (isinstance(move, Finish) or _tells_what_is_so(move)):
        # What has come true by now counts, however late somebody looks.
        move = leave_running(op, seen, Finish(Outcome.FAILED, Failure.DEADLINE))
    return _once_settled(op, move, now)


def _tells_what_is_so(move: Move) -> bool:
    """True for a note of what was seen; falling back is no such thing, but the begin of something new."""
    return isinstance(move, Note) and not move.falls_back


def decide_unreachable(op: Operation, now: datetime, *, busy: bool = False) -> Move:
    """Return the next move while the VM's host cannot be reached: wait for it until the hard deadline.

    Args:
        busy: It answers, but others are being served just now.
    """
    if now >= op.hard_deadline_at:
        return Finish(Outcome.FAILED, Failure.HOST_UNREACHABLE)
    return Wait(min(now + (pace.LOOK_AGAIN_BUSY if busy else pace.LOOK_AGAIN), op.hard_deadline_at))


def decide_gone(op: Operation, now: datetime) -> Move:
    """Return the next move when the VM is no longer defined on its host."""
    if op.action is not Action.REMOVE:
        return Finish(Outcome.FAILED, Failure.GONE)
    return undefined(op, now)


def _next(op: Operation, seen: Observation, now: datetime) -> Move:
    """Return the next move as if there were no hard deadline."""
    if op.from_queue and not op.cancel_requested and outdated(op.action, seen, now):
        return Finish(Outcome.FAILED, Failure.CHANGED_IN_QUEUE)
    match op.stage:
        case Stage.STARTING:
            return starting(op, seen, now)
        case Stage.COMING_UP:
            return coming_up(op, seen, now)
        case Stage.SAVING:
            return saving(op, seen, now)
        case Stage.RESUMING:
            return resuming(op, seen, now)
    match op.action:
        case Action.SHUT_DOWN | Action.REBOOT | Action.POWER_OFF | Action.POWER_CYCLE:
            return bring_down(op, seen, now)
        case Action.SUSPEND:
            return saving(op, seen, now)
        case Action.RUN | Action.RUN_ONCE | Action.RESUME:
            return run(op, seen, now)
        case Action.REMOVE:
            return remove(op, seen, now)


def _once_settled(op: Operation, move: Move, now: datetime) -> Move:
    """Wait with what leaves a run behind while an earlier call may still be under way, which would be meant for it.

    A mark that comes late would arm the new run, a request that comes late would take it down.
    """
    if isinstance(move, Call) and move.kind not in (StepKind.START, StepKind.RELENT):
        return move
    if not isinstance(move, Call | Finish):
        return move
    stray = _STRAY if op.run_token else (*_STRAY, StepKind.DESTROY)
    sent = [step.at for step in op.steps if step.answered_at is None and step.kind in stray]
    settled_at = max(sent, default=now) + pace.SETTLE
    return Wait(settled_at) if sent and now < settled_at else move
