"""Finds what is due: the safety net under every lost, late or doubled wake.

The database is the outbox. An operation that waits has a time to wake; one that nobody woke is found here within a
second.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.utils import timezone

from vms.engine import bulk, journal, lease, sync
from vms.models import Addition, ConfigurationChange

#: At most so many in one sweep; the rest are due a second later.
_AT_ONCE = 1000


def due() -> list[UUID]:
    """Return the VMs that are to be looked at now: whose operation is due, or that their host owes something.

    A host owes a VM a change of its configuration, or to define it at all. An operation that was picked up is left
    alone by the next sweep. Queues that nobody let go on when they could are let go on, too.
    """
    bulk.fill_all()
    now = timezone.now()
    picked_up = journal.pick_up(now, _AT_ONCE)
    sync.count_as_up(now)
    return picked_up + _owed_by_hosts(now)


def _owed_by_hosts(now: datetime) -> list[UUID]:
    """Return the VMs whose host has not stored a change yet, or not defined them, and is to be asked now."""
    changes, additions = (
        model.objects.filter(state=model.State.WAITING, next_at__lte=now).order_by().values_list("vm_id", "next_at")
        for model in (ConfigurationChange, Addition)
    )
    return [vm_id for vm_id, _ in changes.union(additions).order_by("next_at")[:_AT_ONCE]]


def wake_soon(vm_id: UUID) -> None:
    """Make a VM's operation due at once, where no message can be sent.

    A worker that has the VM in hand is asked to look again: it may have looked before what happened now, and would
    then write its own, later time over this one.
    """
    lease.ask_holder_to_look_again(vm_id)
    journal.make_due(vm_id)
