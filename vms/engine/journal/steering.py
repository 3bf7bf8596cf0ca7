"""Writes down what a person does to a running operation."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.utils import timezone

from vms.domain.operation import PATIENT_STAGES, StepKind
from vms.domain.policy import Origin
from vms.engine import outcomes
from vms.engine.journal.guarded import add_step, change
from vms.models import Operation


def force_now(row: Operation, actor: User | AnonymousUser) -> bool:
    """End the graceful delay now, with force."""
    now = timezone.now()
    return _steered(row, StepKind.FORCE_NOW, actor, now, force=True, force_origin=Origin.REQUEST, deadline_at=now)


def extend(row: Operation, seconds: int, actor: User | AnonymousUser) -> bool:
    """Give the guest more time."""
    more = timedelta(seconds=seconds)
    changes: dict[str, Any] = {"hard_deadline_at": row.hard_deadline_at + more}
    if row.deadline_at is not None:
        changes["deadline_at"] = row.deadline_at + more
    else:
        # Its guest was not asked yet, so the delay is not running yet.
        changes["delay"] = (row.delay or 0) + seconds
    return _steered(row, StepKind.EXTEND, actor, timezone.now(), detail=f"+{seconds} s", **changes)


def cancel(row: Operation, actor: User | AnonymousUser) -> bool:
    """Stop waiting for the guest."""
    return _steered(row, StepKind.CANCEL, actor, timezone.now(), cancel_requested=True)


def _steered(
    row: Operation,
    kind: StepKind,
    actor: User | AnonymousUser,
    now: datetime,
    detail: str = "",
    **changes: Any,
) -> bool:
    with transaction.atomic():
        if row.stage not in PATIENT_STAGES or not change(row, wake_at=now, **changes):
            return False
        add_step(row, kind, now, answered_at=now, ok=True, detail=detail, actor_name=actor.get_username())
        outcomes.record_steered(row, kind, actor, detail)
        return True
