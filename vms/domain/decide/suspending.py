"""Suspending a VM: its memory is saved on the host, and its run ends with that."""

from __future__ import annotations

from datetime import datetime

from vms.domain.decide import pace
from vms.domain.decide.moves import Call, Finish, Move, Wait
from vms.domain.observation import Job, Observation
from vms.domain.operation import Failure, Operation, Outcome, Stage, StepKind


def saving(op: Operation, seen: Observation, now: datetime) -> Move:
    """Save the memory, and wait for that as long as the hypervisor says that it is at it."""
    last = op.last(StepKind.SAVE)
    if seen.down:
        if not seen.managed_save:
            return Finish(Outcome.FAILED, Failure.WENT_DOWN_AGAIN)
        return Finish(Outcome.DONE if last is not None else Outcome.OTHER_HAND)
    if seen.job is Job.SAVING:
        return Wait(now + pace.LOOK_AGAIN)
    if last is not None and last.answered_at is not None and not last.ok:
        return Finish(Outcome.FAILED, Failure.SAVE_FAILED)
    if last is not None and now < last.at + pace.SETTLE:
        return Wait(last.at + pace.SETTLE)
    if len(op.all(StepKind.SAVE)) >= pace.MAX_UNANSWERED_ASKS:
        return Finish(Outcome.FAILED, Failure.SAVE_FAILED)
    return Call(StepKind.SAVE, Stage.SAVING)
