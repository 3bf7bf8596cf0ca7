"""Writes down how an operation goes on: what the hypervisor is asked and answers, and what is seen or heard.

A call is written down before it is made and answered afterwards.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from vms.domain import operation as op
from vms.domain.decide import Call, Note
from vms.domain.operation import Outcome, Stage, StepKind
from vms.domain.power import Action
from vms.engine import outcomes
from vms.engine.changes import tell_of_operation
from vms.engine.journal.guarded import add_step, change
from vms.engine.journal.reading import active
from vms.engine.screens import Picture
from vms.models import Operation, OperationScreen, OperationStep, VirtualMachine

#: How often to write again what somebody else wrote to meanwhile.
_ATTEMPTS = 5


def begin_call(row: Operation, call: Call, now: datetime) -> OperationStep | None:
    """Write down that a call is about to be made.

    Returns:
        The step, to be answered; None when the operation was changed meanwhile: the call must not be made.
    """
    changes: dict[str, Any] = {"stage": call.stage}
    if call.starts_delay:
        changes |= _delay_from(row, now)
    with transaction.atomic():
        if not change(row, **changes):
            return None
        return add_step(row, call.kind, now, target=call.target)


def _delay_from(row: Operation, now: datetime) -> dict[str, datetime]:
    """Return the times of a graceful delay that begins now: the first time, or anew with what was added to it since.

    Where a person has ended the delay before it began, and then extended it, it is what that person has given.
    """
    action, policy = Action(row.action), row.policy
    if policy is None:
        raise ValueError(f"{row.action} asks no guest")
    if row.deadline_at is None:
        deadline_at = now + timedelta(seconds=policy.delay)
        hard_deadline_at = op.hard_deadline(action, policy, now)
    elif row.asked_at is None:
        deadline_at = row.deadline_at
        hard_deadline_at = max(row.hard_deadline_at, op.hard_deadline(action, None, deadline_at))
    else:
        later = now - row.asked_at
        deadline_at, hard_deadline_at = row.deadline_at + later, row.hard_deadline_at + later
    return {"asked_at": now, "deadline_at": deadline_at, "hard_deadline_at": hard_deadline_at}


def answer(step: OperationStep, *, ok: bool, detail: str = "") -> None:
    """Write down what the hypervisor answered, also when the operation was superseded during the call."""
    step.answered_at, step.ok, step.detail = timezone.now(), ok, detail
    step.save(update_fields=["answered_at", "ok", "detail"])
    tell_of_operation(step.operation)


def set_run_token(row: Operation, token: str) -> None:
    """Write down which run the operation acts upon; once, and whatever else was changed on it meanwhile.

    A run that bears another token than the one that is written down is not the operation's.
    """
    if not Operation.objects.filter(pk=row.pk, run_token="").update(run_token=token):
        token = Operation.objects.values_list("run_token", flat=True).get(pk=row.pk)
    row.run_token = token


def keep_screen(row: Operation, picture: Picture, taken_at: datetime) -> None:
    """Keep the guest's screen with the operation that is about to power it off."""
    OperationScreen.objects.create(
        operation=row,
        taken_at=taken_at,
        width=picture.width,
        height=picture.height,
        size=len(picture.png),
        png=picture.png,
    )


def note(row: Operation, move: Note, now: datetime, detail: str = "") -> bool:
    """Write down what was seen, and go on from there."""
    changes: dict[str, Any] = {"stage": move.stage}
    if move.brought_down is not None:
        changes["brought_down"] = move.brought_down
    if move.kind is StepKind.WENT_DOWN:
        changes["went_down_at"] = now
    if move.kind is StepKind.STARTED and move.brought_down is not Outcome.GUEST_REBOOTED:
        changes["started_at"] = now
    if move.falls_back:
        changes["inside"] = False
    with transaction.atomic(savepoint=False):
        if not change(row, **changes):
            return False
        add_step(row, move.kind, now, answered_at=now, ok=True, detail=detail)
        if move.kind is StepKind.WENT_DOWN:
            outcomes.record_down(row)
        return True


def guest_reset(vm: VirtualMachine, at: datetime) -> None:
    """Write down that the guest restarted itself in the run that an operation acts on, if it waits for that."""
    for _ in range(_ATTEMPTS):
        row = active(vm)
        if row is None or not row.inside or row.stage != Stage.WAITING:
            return
        if any(step.kind == StepKind.GUEST_RESET for step in row.journal):
            return
        if note(row, Note(StepKind.GUEST_RESET, Stage.WAITING), at):
            return


def wait(row: Operation, until: datetime, now: datetime) -> bool:
    """Write down when to look again if nothing is heard before."""
    return change(row, wake_at=until, looked_at=now)
