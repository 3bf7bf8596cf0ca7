"""Removing a VM: it is undefined first, then the chosen disks go, one after the other."""

from __future__ import annotations

from datetime import datetime

from vms.domain.decide.moves import Call, Finish, Move, Wait
from vms.domain.decide.retrying import due_again_at, exhausted, retried
from vms.domain.observation import Observation
from vms.domain.operation import Failure, Operation, Outcome, Stage, StepKind

#: A disk that another VM uses stays; what is only busy is tried again.
MAX_DISK_REFUSALS = 3


def remove(op: Operation, seen: Observation, now: datetime) -> Move:
    """The VM is still defined, or is again."""
    if op.stage is Stage.REMOVING_DISKS:
        return Finish(Outcome.FAILED, Failure.DEFINED_AGAIN)
    if not seen.down:
        return Finish(Outcome.FAILED, Failure.NOT_DOWN)
    if seen.managed_save:
        return Finish(Outcome.FAILED, Failure.SAVED_ELSEWHERE)
    return retried(op, StepKind.UNDEFINE, Stage.UNDEFINING, now, Failure.UNDEFINE_FAILED)


def undefined(op: Operation, now: datetime) -> Move:
    """The VM is no longer defined: by our doing, or by another hand."""
    if any(step.ok or step.answered_at is None for step in op.all(StepKind.UNDEFINE)):
        return _remove_disks(op, now)
    # Somebody else undefined it, and may have had other plans with its disks: it may run on another host by now.
    return Finish(Outcome.FAILED, Failure.GONE) if op.disks else Finish(Outcome.OTHER_HAND)


def _remove_disks(op: Operation, now: datetime) -> Move:
    """The VM is undefined by our doing: now its disks; one that stays holds up no other."""
    left, later = False, []
    for disk in op.disks:
        calls = [step for step in op.all(StepKind.REMOVE_DISK) if step.target == disk]
        if any(step.ok for step in calls):
            continue
        refusals = sum(step.answered_at is not None for step in calls)
        if refusals >= MAX_DISK_REFUSALS or exhausted(len(calls)) or now >= op.hard_deadline_at:
            left = True
            continue
        not_before = due_again_at(calls[-1], len(calls)) if calls else now
        if now >= not_before:
            return Call(StepKind.REMOVE_DISK, Stage.REMOVING_DISKS, target=disk)
        later.append(not_before)
    if later:
        return Wait(min(*later, op.hard_deadline_at))
    return Finish(Outcome.FAILED, Failure.DISKS_LEFT) if left else Finish(Outcome.DONE)
