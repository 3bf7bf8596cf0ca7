"""Suspending a VM: its memory is saved on the host, and its run ends with that."""

from __future__ import annotations

from datetime import datetime, timedelta

from vms.domain.decide import pace
from vms.domain.decide.moves import Call, Finish, Move, Wait
from vms.domain.observation import Job, Observation
from vms.domain.operation import Failure, Operation, Outcome, Stage, Step, StepKind

#: A save that the host has taken may wait there for this long before it shows: libvirt gives up after 30 s on a VM that
#: is busy with something else.
SHOWS_WITHIN = timedelta(seconds=40)


def saving(op: Operation, seen: Observation, now: datetime) -> Move:
    """Save the memory, and wait for that as long as the hypervisor says that it is at it."""
    last = op.last(StepKind.SAVE)
    if seen.down:
        if not seen.managed_save:
            return Finish(Outcome.FAILED, Failure.WENT_DOWN_AGAIN)
        return Finish(Outcome.DONE if last is not None else Outcome.OTHER_HAND)
    if seen.job is Job.SAVING:
        return Wait(now + pace.LOOK_AGAIN)
    if last is not None and last.answered_at is not None:
        return _not_saved(last, now)
    if last is not None and now < last.at + pace.SETTLE:
        return Wait(last.at + pace.SETTLE)
    if len(op.all(StepKind.SAVE)) >= pace.MAX_UNANSWERED_ASKS:
        return Finish(Outcome.FAILED, Failure.SAVE_FAILED)
    return Call(StepKind.SAVE, Stage.SAVING)


def _not_saved(answered: Step, now: datetime) -> Move:
    """The host has answered, and the VM runs. One that may be another hand's restored run is not saved once more."""
    if not answered.ok:
        return Finish(Outcome.FAILED, Failure.SAVE_FAILED)
    shows_by = answered.at + SHOWS_WITHIN
    return Wait(shows_by) if now < shows_by else Finish(Outcome.FAILED, Failure.NOT_SAVED)
