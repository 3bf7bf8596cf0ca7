"""Asking a guest to go down: its agent, then the power button, all within one graceful delay.

Also says when a request is to be repeated whose answer was lost: the worker that sent it may have died.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from vms.domain.decide import pace
from vms.domain.decide.forcing import at_deadline, destroy
from vms.domain.decide.moves import Call, Finish, Move, Wait
from vms.domain.decide.relenting import leave_running
from vms.domain.decide.retrying import retried
from vms.domain.observation import Observation
from vms.domain.operation import ASKS, Failure, Operation, Outcome, Stage, Step, StepKind
from vms.domain.policy import PRESS_AGAIN_EVERY


def ask_down(op: Operation, seen: Observation, now: datetime) -> Move:
    """Ask a guest whose run is marked to go down; mark it anew where it was to restart inside until now."""
    marks = [step for step in op.since(StepKind.FALL_BACK) if step.kind is StepKind.PREPARE]
    if op.last(StepKind.FALL_BACK) is not None and not any(step.ok for step in marks):
        # The mark of a restart inside the guest lets it restart; now it is to go down.
        return retried(op, StepKind.PREPARE, op.stage, now, Failure.PREPARE_FAILED, seen, among=marks)
    return _ladder(op, seen, now)


def _ladder(op: Operation, seen: Observation, now: datetime) -> Move:
    """Ask the agent, then press the button, then power off or give up: all within one graceful delay."""
    if op.policy is None:
        raise ValueError(f"{op.action} without a policy")
    if op.policy.force and op.policy.delay == 0:
        return destroy(op, seen, now)
    press_at = _next_press(op, now) if seen.acpi else None
    ask = _due_ask(op, seen, press_at, now)
    begins_anew = ask is not None and was_never_heard(op)
    if op.deadline_at is not None and now >= op.deadline_at and not begins_anew:
        return at_deadline(op, seen, now)
    if ask is not None:
        return Call(ask, Stage.WAITING, starts_delay=begins_anew or op.asked_at is None)
    if press_at is None and not _may_have_heard(op, seen):
        # Nobody there to ask: no agent that listens, and no power button.
        if op.policy.force:
            return destroy(op, seen, now)
        return leave_running(op, seen, Finish(Outcome.FAILED, Failure.NO_WAY_TO_ASK))
    moments = [moment for moment in (press_at, op.deadline_at) if moment is not None]
    return Wait(min(moments))


def _due_ask(op: Operation, seen: Observation, press_at: datetime | None, now: datetime) -> StepKind | None:
    """Return how the guest is to be asked now; None when it is not."""
    if seen.agent_connected and worth_asking(op, StepKind.ASK_AGENT):
        return StepKind.ASK_AGENT
    return StepKind.PRESS_BUTTON if press_at is not None and now >= press_at else None


def _next_press(op: Operation, now: datetime) -> datetime:
    """Return when the power button is to be pressed next."""
    last = op.last(StepKind.PRESS_BUTTON)
    if last is not None:
        lost = last.answered_at is None and op.unanswered_in_a_row(StepKind.PRESS_BUTTON) < pace.MAX_UNANSWERED_ASKS
        return now if lost else last.at + timedelta(seconds=PRESS_AGAIN_EVERY)
    taken = _agent_took_it(op)
    if taken is None or op.asked_at is None or op.policy is None:
        return now
    # Half of what was left of the delay: all of it but for a request that had to be repeated. To extend the deadline
    # once the guest was asked moves this no more: the plan named the moment, and a guest that does nothing hears it as
    # soon as it would have.
    end = op.asked_at + timedelta(seconds=op.policy.delay)
    return taken.at + max(end - taken.at, timedelta()) / 2


def _may_have_heard(op: Operation, seen: Observation) -> bool:
    """True when the agent took a request, or an answer is lost and the guest may be going down by it."""
    asks = op.all(StepKind.ASK_AGENT)
    if any(step.ok for step in asks):
        return True
    refused = any(step.answered_at is not None for step in asks)
    return any(step.answered_at is None for step in asks) and not (refused and seen.agent_connected)


def _agent_took_it(op: Operation) -> Step | None:
    """Return the request that the agent took, or may have taken: the answer is lost and the agent has left since."""
    asks = op.all(StepKind.ASK_AGENT)
    if any(step.answered_at is not None for step in asks):
        return next((step for step in asks if step.ok), None)
    return asks[-1] if 0 < len(asks) < pace.MAX_UNANSWERED_ASKS else None


def was_never_heard(op: Operation) -> bool:
    """True when no request is known to have reached the guest, because the answer to the last one was lost.

    Whoever repeats it starts the delay anew: all workers may have been dead since just before the request was sent.
    Not when a person has ended the delay, and not for ever.
    """
    asks = op.all(*ASKS)
    if not asks or any(step.ok for step in asks) or op.last(StepKind.FORCE_NOW) is not None:
        return False
    lost = sum(step.answered_at is None for step in asks)
    return asks[-1].answered_at is None and lost < pace.MAX_UNANSWERED_ASKS


def worth_asking(op: Operation, kind: StepKind) -> bool:
    """True when this call was not answered yet, neither with success nor with failure."""
    if any(step.answered_at is not None for step in op.all(kind)):
        return False
    return op.unanswered_in_a_row(kind) < pace.MAX_UNANSWERED_ASKS
