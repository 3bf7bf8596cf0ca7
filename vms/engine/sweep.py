"""Finds what is due: the safety net under every lost, late or doubled wake.

The database is the outbox. An operation that waits has a time to wake; one that nobody woke is found here within a
second.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from vms.engine import bulk, lease, sync
from vms.models import ConfigurationChange, Operation

#: One that was picked up, but by nobody carried on, is picked up again this much later, and so much later again for
#: each one that was picked up with it: many at once take the workers a while, and doubles only hold them up.
_AGAIN_AFTER = timedelta(seconds=5)
_AGAIN_AFTER_EACH = timedelta(milliseconds=50)
#: While nobody hears a host's events, its waiting operations are looked at this often.
_UNHEARD_LOOK = timedelta(seconds=3)
#: At most so many in one sweep; the rest are due a second later.
_AT_ONCE = 1000


def due() -> list[UUID]:
    """Return the VMs whose operation is due, and move each one's time forward: the next sweep leaves it alone.

    Queues that nobody let go on when they could are let go on, too.
    """
    bulk.fill_all()
    now = timezone.now()
    unheard = Q(vm__host__watched_until__isnull=True) | Q(vm__host__watched_until__lt=now)
    waiting = Operation.objects.in_flight()
    with transaction.atomic():
        rows = list(
            waiting.filter(Q(wake_at__lte=now) | (unheard & Q(looked_at__lt=now - _UNHEARD_LOOK)))
            # One that another sweep is picking up just now is that one's.
            .select_for_update(of=("self",), skip_locked=True, no_key=True)
            .only("pk", "vm_id")
            .order_by("wake_at")[:_AT_ONCE]
        )
        again_at = now + _AGAIN_AFTER + len(rows) * _AGAIN_AFTER_EACH
        if rows:
            waiting.filter(pk__in=[row.pk for row in rows]).update(wake_at=again_at, looked_at=now)
    sync.count_as_up(now)
    return [row.vm_id for row in rows] + _with_changes_due(now)


def _with_changes_due(now: datetime) -> list[UUID]:
    """Return the VMs whose host has not stored a change yet, and is to be asked now."""
    waiting = ConfigurationChange.objects.filter(state=ConfigurationChange.State.WAITING, next_at__lte=now)
    return list(waiting.order_by("next_at").values_list("vm_id", flat=True)[:_AT_ONCE])


def wake_soon(vm_id: UUID) -> None:
    """Make a VM's operation due at once, where no message can be sent.

    A worker that has the VM in hand is asked to look again: it may have looked before what happened now, and would
    then write its own, later time over this one.
    """
    lease.ask_holder_to_look_again(vm_id)
    Operation.objects.filter(vm_id=vm_id).in_flight().update(wake_at=timezone.now())
