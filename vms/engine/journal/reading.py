"""Reads operations with their journals, for whoever carries them on and for the decision."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db.models import Max, Prefetch, QuerySet

from vms.domain import operation as op
from vms.domain.decide import pace
from vms.domain.operation import Outcome, Stage, StepKind
from vms.domain.power import FORCEFUL_ACTIONS, Action
from vms.models import Operation, OperationQuerySet, OperationStep, VirtualMachine


def active(vm: VirtualMachine) -> Operation | None:
    """Return the operation that is active on a VM, with its journal, and with the VM as the caller has read it."""
    row = _journal_alone().active().filter(vm=vm).first()
    if row is not None:
        row.vm = vm
    return row


def read(pk: UUID) -> Operation:
    """Return one operation, with its journal."""
    return _with_journal().get(pk=pk)


def owing(vm_id: UUID) -> Operation | None:
    """Return the last operation of a VM that nothing is active on, if what was done to its run is not taken back.

    Its host may have been away when it ended; or a mark whose answer was lost came later than it was taken back, and
    then perhaps that of an operation that was overtaken.
    """
    last = _with_journal().filter(vm_id=vm_id).order_by("-created_at").first()
    if last is None or last.active:
        return None
    taken_back_at = max((step.at for step in last.journal if step.kind == StepKind.RELENT and step.ok), default=None)
    if taken_back_at is None:
        return last
    return last if _in_doubt(vm_id, [StepKind.PREPARE], taken_back_at).exists() else None


def _in_doubt(vm_id: UUID, kinds: Collection[StepKind], at: datetime) -> QuerySet[OperationStep]:
    """Return the calls on a VM, of whatever operation, that may have had their effect only after a moment."""
    unanswered = OperationStep.objects.filter(operation__vm_id=vm_id, kind__in=kinds, answered_at__isnull=True)
    return unanswered.filter(at__gt=at - pace.SETTLE)


def _with_journal() -> OperationQuerySet:
    return _journal_alone().select_related("vm__host")


def _journal_alone() -> OperationQuerySet:
    steps = Prefetch("steps", OperationStep.objects.order_by("number"), to_attr="journal")
    return Operation.objects.select_related("actor").prefetch_related(steps)  # type: ignore[no-redef]


def as_decided(row: Operation) -> op.Operation:
    """Return an operation with its journal as the decision sees it."""
    return op.Operation(
        action=Action(row.action),
        stage=Stage(row.stage),
        hard_deadline_at=row.hard_deadline_at,
        policy=row.policy,
        run_token=row.run_token or None,
        asked_at=row.asked_at,
        deadline_at=row.deadline_at,
        cancel_requested=row.cancel_requested,
        inside=row.inside,
        options=row.run_options,
        disks=tuple(row.disks),
        brought_down=Outcome(row.brought_down) if row.brought_down else None,
        from_queue=_from_queue(row),
        steps=tuple(
            op.Step(StepKind(step.kind), step.at, step.answered_at, step.ok, step.target) for step in row.journal
        ),
        overtaken=_overtaken(row),
    )


def _from_queue(row: Operation) -> bool:
    """Say whether the VM may have changed in the queue, and not by an operation that this one has overtaken."""
    if not row.was_queued or row.journal or row.stage != Stage.ACCEPTED:
        return False
    overtaken = Operation.objects.filter(superseded_by=row)
    return not overtaken.exclude(was_queued=True, left_queue_at__isnull=True).exists()


def _overtaken(row: Operation) -> op.Operation | None:
    """Return the operation that a power-off has ended, as long as it matters how that one brought the VM down."""
    if row.action not in FORCEFUL_ACTIONS or any(step.kind == StepKind.DESTROY for step in row.journal):
        return None
    overtaken = _with_journal().filter(superseded_by=row).first()
    return as_decided(overtaken) if overtaken is not None else None


def settled_at(row: Operation, now: datetime) -> datetime | None:
    """Return until when a call of an earlier operation may still have its effect; None when none is in doubt.

    A start that was sent by a worker which then died may be under way at the host: a power-off that believed the VM
    to be down already would be undone by it.
    """
    called = any(step.kind in op.CALLS for step in row.journal)
    if called or row.created_at + pace.SETTLE <= now:
        return None
    kinds = (StepKind.START, StepKind.DESTROY, StepKind.SAVE, StepKind.RESUME)
    sent_at = _in_doubt(row.vm_id, kinds, now).aggregate(last=Max("at"))["last"]
    return sent_at + pace.SETTLE if sent_at is not None else None
