"""Writes down how operations end: by themselves, overtaken, or before they have begun."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.utils import timezone

from vms.domain.decide import Finish
from vms.domain.observation import Proof
from vms.domain.operation import SUCCESSES, Failure, Outcome, Stage, StepKind
from vms.domain.power import RUNNING_ACTIONS, Action
from vms.engine import notice, outcomes
from vms.engine.journal.guarded import LostRace, add_step, change
from vms.models import Operation, OperationStep


def finish(
    row: Operation,
    move: Finish,
    now: datetime,
    detail: str = "",
    proof: Proof | None = None,
    *,
    looked_at: datetime | None = None,
) -> bool:
    """End the operation, with its event. The VM's status is the caller's to set, in the same transaction.

    Args:
        detail: What the host said; by default what it said to the last call that failed.
        proof: What shows that the VM runs; kept where it was to run and does.
        looked_at: When the look began that had its answer now.
    """
    if move.failure is Failure.DISKS_LEFT:
        detail = _what_was_left(row)
    elif move.failure is not Failure.NONE and not detail:
        detail = next((step.detail for step in reversed(row.journal) if _tells_why(step)), "")
    changes: dict[str, Any] = {}
    if move.outcome in SUCCESSES:
        changes = _came_true(row, now, proof)
    with transaction.atomic(savepoint=False):
        if not change(
            row,
            stage=Stage.ENDED,
            outcome=move.outcome,
            failure=move.failure,
            failure_detail=detail,
            ended_at=now,
            looked_at=looked_at or now,
            wake_at=None,
            **changes,
        ):
            return False
        outcomes.record_ended(row)
        notice.write(row)
        return True


def _what_was_left(row: Operation) -> str:
    """Name each disk that was not removed, with what the host said to the last attempt."""
    last = {step.target: step for step in row.journal if step.kind == StepKind.REMOVE_DISK}
    return " ".join(f"{disk}: {step.detail or '?'}." for disk, step in last.items() if not step.ok)


def _tells_why(step: OperationStep) -> bool:
    # A picture that could not be taken is nobody's reason to fail.
    return bool(step.detail) and not step.ok and step.kind != StepKind.SCREENSHOT


def _came_true(row: Operation, now: datetime, proof: Proof | None) -> dict[str, Any]:
    """Return what is written down of an operation whose VM was seen as it was to be."""
    if row.action == Action.REMOVE:
        return {}
    if Action(row.action) in RUNNING_ACTIONS:
        return {"returned_at": now, "proof": proof} if proof is not None else {}
    return {"went_down_at": now}


def supersede(row: Operation, by: Action, actor: User | AnonymousUser | None) -> None:
    """End an operation that a newer request overtakes, in the caller's transaction. No actor: the portal itself.

    One that has already started its VM, and only waits for it to come up, ends with what it achieved.
    """
    achieved = Outcome(row.brought_down) if row.brought_down else Outcome.DONE
    outcome = achieved if row.stage == Stage.COMING_UP else Outcome.SUPERSEDED
    now = timezone.now()
    if not change(row, stage=Stage.ENDED, outcome=outcome, ended_at=now, wake_at=None):
        raise LostRace(f"{row} changed meanwhile")
    outcomes.record_superseded(row, by, actor)
    notice.write(row)


def name_successor(row: Operation, successor: Operation) -> None:
    """Tie an operation that was overtaken to the one that overtook it: there is none before the first has ended."""
    Operation.objects.filter(pk=row.pk).update(superseded_by=successor)


def drop(row: Operation, actor: User | AnonymousUser) -> bool:
    """End an operation that still queues, in the caller's transaction: nothing was asked of its VM."""
    now = timezone.now()
    if not row.queued or not change(row, stage=Stage.ENDED, outcome=Outcome.CANCELLED, ended_at=now):
        return False
    add_step(row, StepKind.CANCEL, now, answered_at=now, ok=True, actor_name=actor.get_username())
    outcomes.record_dropped(row, actor)
    return True


def forget(row: Operation) -> None:
    """End the removal of a VM that is gone already, in the caller's transaction: no host has to be asked."""
    row.journal = []
    if not finish(row, Finish(Outcome.DONE), timezone.now()):
        raise LostRace(f"{row} changed meanwhile")


def obeyed_late(row: Operation, at: datetime) -> None:
    """Write down when the guest of an ended operation went down after all."""
    Operation.objects.filter(pk=row.pk).update(went_down_at=at)
