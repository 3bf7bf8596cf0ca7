"""Restarting a guest in the same run, by its agent.

Where its agent cannot be asked, the VM is brought down and run again instead.
"""

from __future__ import annotations

from datetime import datetime

from vms.domain.decide import pace
from vms.domain.decide.asking import was_never_heard, worth_asking
from vms.domain.decide.forcing import at_deadline
from vms.domain.decide.moves import Call, Move, Note, Wait
from vms.domain.observation import Observation
from vms.domain.operation import Operation, Outcome, Stage, StepKind


def restart_inside(op: Operation, seen: Observation, now: datetime) -> Move:
    """Ask the agent to restart the guest, and wait for that; otherwise fall back to bringing the VM down."""
    if _restarted(op, seen):
        return Note(StepKind.STARTED, Stage.COMING_UP, brought_down=Outcome.GUEST_REBOOTED)
    to_be_asked = seen.agent_connected and worth_asking(op, StepKind.ASK_RESTART)
    begins_anew = to_be_asked and was_never_heard(op)
    if op.deadline_at is not None and now >= op.deadline_at and not begins_anew:
        return at_deadline(op, seen, now)
    if not _may_be_restarting(op) and not to_be_asked:
        return Note(StepKind.FALL_BACK, op.stage, falls_back=True)
    if to_be_asked:
        return Call(StepKind.ASK_RESTART, Stage.WAITING, starts_delay=begins_anew or op.asked_at is None)
    if not seen.agent_connected and op.last(StepKind.AGENT_LEFT) is None:
        return Note(StepKind.AGENT_LEFT, op.stage)
    return Wait(min(now + pace.LOOK_AGAIN, op.deadline_at) if op.deadline_at is not None else now + pace.LOOK_AGAIN)


def _restarted(op: Operation, seen: Observation) -> bool:
    """True when the guest restarted since it was asked.

    The hypervisor tells of a restart once, perhaps while nobody listens. An agent that was told to restart its guest,
    left and came back tells the same.
    """
    return op.last(StepKind.GUEST_RESET) is not None or (
        op.last(StepKind.AGENT_LEFT) is not None and seen.agent_connected
    )


def _may_be_restarting(op: Operation) -> bool:
    """True when the agent took the request, or its answer is lost."""
    asks = op.all(StepKind.ASK_RESTART)
    return any(step.ok for step in asks) or (bool(asks) and asks[-1].answered_at is None)
