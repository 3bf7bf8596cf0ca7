"""How an operation is changed: by one UPDATE that names the stage and version it was decided on.

Nothing outside the journal imports this.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from vms.domain.operation import TRANSITIONS, Stage, StepKind
from vms.engine.changes import tell_of_operation
from vms.models import Operation, OperationStep

#: What changes with every look, and shows nowhere.
_UNSEEN = {"version", "wake_at", "looked_at"}


class LostRace(Exception):
    """Somebody changed the operation between reading and writing it; nothing was written."""


def change(row: Operation, **changes: Any) -> bool:
    """Change an operation if it still is as it was read; the transition table is kept here, too.

    Returns:
        False when it is not: nothing was changed, and what was read is not to be trusted any more.
    """
    stage = Stage(changes.get("stage", row.stage))
    if stage != row.stage and stage not in TRANSITIONS[Stage(row.stage)]:
        raise ValueError(f"no transition from {row.stage} to {stage}")
    changes["version"] = row.version + 1
    if not Operation.objects.filter(pk=row.pk, stage=row.stage, version=row.version).update(**changes):
        return False
    for name, value in changes.items():
        setattr(row, name, value)
    if not changes.keys() <= _UNSEEN:
        tell_of_operation(row)
    return True


def add_step(row: Operation, kind: StepKind, at: datetime, **fields: Any) -> OperationStep:
    """Add a line to the journal of an operation, in the transaction that changed it."""
    number = row.journal[-1].number + 1 if row.journal else 1
    step = OperationStep.objects.create(operation=row, number=number, kind=kind, at=at, **fields)
    row.journal.append(step)
    return step
