"""Bringing a VM down: all of a shut down or power off, and the first half of a reboot or power cycle.

Its run is marked first, so that no other run is ever touched.
"""

from __future__ import annotations

from datetime import datetime

from vms.domain.decide import pace
from vms.domain.decide.asking import ask_down
from vms.domain.decide.forcing import destroy, mark_and_destroy
from vms.domain.decide.moves import Finish, Move, Wait
from vms.domain.decide.relenting import leave_running
from vms.domain.decide.restarting_inside import restart_inside
from vms.domain.decide.retrying import retried
from vms.domain.decide.went_down import went_down
from vms.domain.observation import Job, Observation
from vms.domain.operation import Failure, Operation, Outcome, Stage, StepKind


def bring_down(op: Operation, seen: Observation, now: datetime) -> Move:
    """Mark the run, then ask its guest or power it off, until the VM is seen to be down."""
    if op.cancel_requested and op.graceful and op.stage is not Stage.DESTROYING:
        return leave_running(op, seen, Finish(Outcome.CANCELLED))
    if seen.down:
        return went_down(op, seen, now)
    if op.run_token is None and op.last(StepKind.DESTROY) is None:
        if op.graceful:
            return retried(op, StepKind.PREPARE, op.stage, now, Failure.PREPARE_FAILED, seen)
        return mark_and_destroy(op, seen, now)
    hands_off = _hands_off(op, seen, now)
    if hands_off is not None:
        return hands_off
    if op.stage is Stage.DESTROYING or not op.graceful:
        return destroy(op, seen, now)
    return restart_inside(op, seen, now) if op.inside else ask_down(op, seen, now)


def _hands_off(op: Operation, seen: Observation, now: datetime) -> Move | None:
    """Return what to do instead with a running VM that is not to be brought down now; None for one that may be."""
    if _another_run(op, seen):
        # It went down and somebody has started it again. A new run is never touched.
        if op.runs_again:
            return Finish(Outcome.OTHER_HAND)
        return Finish(Outcome.FAILED, Failure.STARTED_ELSEWHERE)
    if op.runs_again and not seen.persistent:
        # Somebody undefined it: it would be gone with its run, and could not be started again.
        return leave_running(op, seen, Finish(Outcome.FAILED, Failure.GONE))
    if seen.job is Job.MIGRATING:
        # Neither half of a VM that is moving is to be touched.
        return Wait(now + pace.LOOK_AGAIN)
    return None


def _another_run(op: Operation, seen: Observation) -> bool:
    """True when what runs now is not the run that is to be brought down."""
    if op.run_token is not None:
        return seen.run_token != op.run_token
    # Without a token only a destroy that is known to have worked tells. A token that shows up late is our own mark.
    return any(step.ok for step in op.all(StepKind.DESTROY))
