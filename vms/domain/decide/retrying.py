"""Sending a call again that must have its effect: with growing gaps, and not for ever."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from vms.domain.decide import pace
from vms.domain.decide.moves import Call, Finish, Move, Wait
from vms.domain.decide.relenting import leave_running
from vms.domain.observation import Observation
from vms.domain.operation import Failure, Operation, Outcome, Stage, Step, StepKind


def retried(
    op: Operation,
    kind: StepKind,
    stage: Stage,
    now: datetime,
    failure: Failure,
    seen: Observation | None = None,
    *,
    among: Sequence[Step] | None = None,
) -> Move:
    """Send a call that must have its effect, with growing gaps after each failure.

    Args:
        seen: Given when the VM runs on after the last failure, so that it has to be left as it was.
        among: The calls that count, where earlier ones were for something else.
    """
    calls = op.all(kind) if among is None else among
    if not calls:
        return Call(kind, stage)
    attempts = len(calls)
    not_before = due_again_at(calls[-1], attempts)
    if now < not_before:
        return Wait(not_before)
    if not exhausted(attempts):
        return Call(kind, stage)
    finish = Finish(Outcome.FAILED, failure)
    return finish if seen is None else leave_running(op, seen, finish)


def exhausted(attempts: int) -> bool:
    """Say whether a call was sent so often that it is not sent again."""
    return attempts > len(pace.RETRY_GAPS)


def due_again_at(last: Step, attempts: int) -> datetime:
    """Return when a call may be sent again, or given up after the last attempt."""
    if last.answered_at is None and last.kind is StepKind.PREPARE:
        return last.at
    if last.answered_at is None or last.ok:
        return last.at + pace.SETTLE
    return last.answered_at + (timedelta() if exhausted(attempts) else pace.RETRY_GAPS[attempts - 1])
