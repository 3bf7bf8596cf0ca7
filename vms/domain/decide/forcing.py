"""Bringing a VM down without its guest: by a power-off, at once or at the end of a graceful delay."""

from __future__ import annotations

from datetime import datetime

from vms.domain.decide.moves import Call, Finish, Move
from vms.domain.decide.relenting import leave_running
from vms.domain.decide.retrying import retried
from vms.domain.observation import Observation
from vms.domain.operation import Failure, Operation, Outcome, Stage, StepKind

#: A power-off marks its run first, so that it ends no other; a hung VM may swallow that call and must not hold it up.
MAX_UNANSWERED_MARKS = 2


def mark_and_destroy(op: Operation, seen: Observation, now: datetime) -> Move:
    """Power off a run that bears no mark: mark it first, if it lets itself be marked."""
    if op.last(StepKind.PREPARE) is None or 0 < op.unanswered_in_a_row(StepKind.PREPARE) < MAX_UNANSWERED_MARKS:
        return Call(StepKind.PREPARE, op.stage)
    # A hung QEMU takes no token, and is just what Power off is for.
    return destroy(op, seen, now)


def destroy(op: Operation, seen: Observation, now: datetime) -> Move:
    """Power off, and take a picture of the screen before: once, and whatever comes of it."""
    if op.last(StepKind.SCREENSHOT, StepKind.DESTROY) is None:
        return Call(StepKind.SCREENSHOT, Stage.DESTROYING)
    return retried(op, StepKind.DESTROY, Stage.DESTROYING, now, Failure.DESTROY_FAILED, seen)


def at_deadline(op: Operation, seen: Observation, now: datetime) -> Move:
    """The graceful delay is over: power off, or give up."""
    if op.policy is not None and op.policy.force:
        return destroy(op, seen, now)
    return leave_running(op, seen, Finish(Outcome.GAVE_UP))
