"""Steering a running operation: Force now, Extend, Cancel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from vms import permissions, tasks
from vms.actions.common import ATTEMPTS, Actor, Refused
from vms.domain.policy import MAX_DELAY
from vms.engine import journal, sync
from vms.models import Operation


def force_now(actor: Actor, operation: Operation) -> None:
    """End the graceful delay of a running operation now, with force.

    Raises:
        PermissionDenied: The actor may not do what this amounts to.
        Refused: The operation no longer waits for its guest.
    """
    permissions.require(permissions.may_force(actor, operation))
    _steer(operation, lambda row: journal.force_now(row, actor))


def extend(actor: Actor, operation: Operation, seconds: int) -> None:
    """Give the guest more time, up to the longest delay there is.

    Raises:
        PermissionDenied: The actor may not do what the operation does.
        Refused: The operation no longer waits for its guest, or would wait longer than is allowed.
    """
    permissions.require(permissions.may_steer(actor, operation))

    def change(row: Operation) -> bool:
        if not 1 <= seconds <= MAX_DELAY or _total_delay(row) + seconds > MAX_DELAY:
            raise Refused(_("A guest can be given at most %(most)s seconds in all.") % {"most": MAX_DELAY}, row)
        return journal.extend(row, seconds, actor)

    _steer(operation, change)


def cancel(actor: Actor, operation: Operation) -> None:
    """Stop waiting for the guest. One that was asked already may still go down, and then stays down.

    An operation that queues ends at once, and nothing is asked of its guest.

    Raises:
        PermissionDenied: The actor may not do what the operation does.
        Refused: The operation no longer waits for its guest.
    """
    permissions.require(permissions.may_steer(actor, operation))
    if not drop(actor, operation):
        _steer(operation, lambda row: journal.cancel(row, actor))


def drop(actor: Actor, operation: Operation) -> bool:
    """Take an operation off its queue; False when it does not queue, or does no longer. Permission is the caller's."""
    if not operation.queued:
        return False
    with sync.locked(operation.vm_id):
        dropped = journal.drop(journal.read(operation.pk), actor)
    operation.refresh_from_db()
    return dropped


def _total_delay(operation: Operation) -> float:
    if operation.deadline_at is None:
        return operation.delay or 0
    # One whose delay was ended before its guest was asked asks it now, if it is extended.
    begins_at = operation.asked_at or timezone.now()
    return max(0, (operation.deadline_at - begins_at).total_seconds())


def _steer(operation: Operation, change: Callable[[Operation], bool]) -> None:
    """Change a running operation; read it again when the engine wrote to it meanwhile."""
    for _attempt in range(ATTEMPTS):
        row = journal.read(operation.pk)
        if not row.patient:
            raise Refused(_("The operation no longer waits for its guest."), row)
        if change(row):
            transaction.on_commit(partial(tasks.wake, row.vm_id))
            operation.refresh_from_db()
            return
    raise Refused(_("The operation is changing just now. Try again."), operation)
