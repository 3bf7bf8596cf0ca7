"""Writes down what is heard of a VM during an operation and no later look would show.

Events of a hypervisor are hints: nothing here is needed for an operation to go on and end rightly, but what is heard
makes its record truer, and spares it a second start.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import Q

from vms.domain.decide import Note, decide_heard_start
from vms.domain.operation import Stage, StepKind
from vms.engine import journal, sync
from vms.engine.records import Code, record
from vms.models import Operation

#: How often to write again what somebody else wrote to meanwhile.
_ATTEMPTS = 5


def started(vm_id: UUID, at: datetime) -> None:
    """Take note of a start for the operation that has asked for one."""
    for _ in range(_ATTEMPTS):
        with sync.locked(vm_id) as vm:
            row = journal.active(vm)
            note = decide_heard_start(journal.as_decided(row), at) if row is not None else None
            if row is None or note is None:
                return
            if journal.note(row, note, at):
                sync.settle(vm, row)
                return


def reset_ended_run(vm_id: UUID, at: datetime) -> None:
    """Record that the guest restarted itself, which ended its run: for the operation that had asked it to go down.

    That one may have ended since: its VM was seen to be down before this was heard.
    """
    for _ in range(_ATTEMPTS):
        with sync.locked(vm_id) as vm:
            row = _asking(vm_id, at)
            if row is None:
                sync.guest_reset(vm_id, at)
                return
            if any(step.kind == StepKind.RESET_INSTEAD for step in row.journal):
                return
            if journal.note(row, Note(StepKind.RESET_INSTEAD, Stage(row.stage)), at):
                record(
                    Code.GUEST_RESET,
                    f"The guest of {vm.name} restarted itself instead of shutting down, which ended its run.",
                    vm=vm,
                    operation=row,
                )
                return


def _asking(vm_id: UUID, at: datetime) -> Operation | None:
    """Return the operation that waited for its guest at a moment."""
    not_over = Q(ended_at__isnull=True) | Q(ended_at__gte=at)
    newest = Operation.objects.filter(not_over, vm_id=vm_id, asked_at__lte=at).order_by("-created_at").first()
    return journal.read(newest.pk) if newest is not None else None
