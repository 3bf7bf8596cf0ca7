"""A VM that is down: whether the operation goes on to run it again, and how it got there."""

from __future__ import annotations

from datetime import datetime

from vms.domain.decide.moves import Finish, Move, Note
from vms.domain.decide.retrying import retried
from vms.domain.observation import DownReason, Observation
from vms.domain.operation import ASKS, Failure, Operation, Outcome, Stage, StepKind
from vms.domain.power import Action


def went_down(op: Operation, seen: Observation, now: datetime) -> Move:
    """The VM is down: the end of a shut-down, half of a reboot."""
    if op.action is Action.POWER_OFF and seen.managed_save:
        return retried(op, StepKind.DISCARD_MEMORY, op.stage, now, Failure.DISCARD_FAILED)
    if seen.managed_save:
        # Somebody suspended it meanwhile: its guest has not shut down, and a start would bring the old memory back.
        return Finish(Outcome.FAILED, Failure.SAVED_ELSEWHERE)
    how = _how_it_went_down(op, seen)
    return Note(StepKind.WENT_DOWN, Stage.STARTING, brought_down=how) if op.runs_again else Finish(how)


def _how_it_went_down(op: Operation, seen: Observation) -> Outcome:
    destroys = op.all(StepKind.DESTROY)
    if op.last(StepKind.DISCARD_MEMORY) is not None:
        return Outcome.DONE
    # A destroy that is not known to have worked may have come too late: the guest had gone down by itself.
    if any(step.ok for step in destroys) or (destroys and seen.down_reason is not DownReason.GUEST):
        return Outcome.FORCED
    asked = op.last(*ASKS)
    if asked is None and op.overtaken is not None:
        return _how_it_was_down(op.overtaken, seen)
    if asked is None or seen.down_reason in (DownReason.DESTROYED, DownReason.SAVED):
        return Outcome.OTHER_HAND
    if seen.down_reason is DownReason.CRASHED:
        # Down as was asked for, but the guest did not get that far by itself: it panicked, or its process died.
        return Outcome.DONE
    # With both asked, the last one asked is named: the hypervisor does not say which of them the guest heard.
    return Outcome.CLEAN_ACPI if asked.kind is StepKind.PRESS_BUTTON else Outcome.CLEAN_AGENT


def _how_it_was_down(overtaken: Operation, seen: Observation) -> Outcome:
    """How a VM went down which was down already when the operation was overtaken that had acted on it until then."""
    if any(step.ok for step in overtaken.all(StepKind.START)):
        return Outcome.OTHER_HAND
    if overtaken.brought_down is not None:
        return overtaken.brought_down
    if overtaken.action is Action.RUN:
        return Outcome.DONE
    return _how_it_went_down(overtaken, seen)
