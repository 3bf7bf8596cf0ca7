"""Writes down when somebody is to look at operations again. No decision rests on that, so no version is counted."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from vms.models import Operation

#: One that was picked up, but by nobody carried on, is picked up again this much later, and so much later again for
#: each one that was picked up with it: many at once take the workers a while, and doubles only hold them up.
_AGAIN_AFTER = timedelta(seconds=5)
_AGAIN_AFTER_EACH = timedelta(milliseconds=50)
#: While nobody hears a host's events, its waiting operations are looked at this often.
_UNHEARD_LOOK = timedelta(seconds=3)


def pick_up(now: datetime, limit: int) -> list[UUID]:
    """Return the VMs whose operation is due, and move each one's time forward: the next sweep leaves it alone.

    Args:
        limit: At most so many.
    """
    unheard = Q(vm__host__watched_until__isnull=True) | Q(vm__host__watched_until__lt=now)
    waiting = Operation.objects.in_flight()
    with transaction.atomic():
        rows = list(
            waiting.filter(Q(wake_at__lte=now) | (unheard & Q(looked_at__lt=now - _UNHEARD_LOOK)))
            # One that another sweep is picking up just now is that one's.
            .select_for_update(of=("self",), skip_locked=True, no_key=True)
            .only("pk", "vm_id")
            .order_by("wake_at")[:limit]
        )
        again_at = now + _AGAIN_AFTER + len(rows) * _AGAIN_AFTER_EACH
        if rows:
            waiting.filter(pk__in=[row.pk for row in rows]).update(wake_at=again_at, looked_at=now)
    return [row.vm_id for row in rows]


def make_due(vm_id: UUID) -> None:
    """Let the next sweep pick up a VM's operation."""
    Operation.objects.filter(vm_id=vm_id).in_flight().update(wake_at=timezone.now())


def put_off(vm_id: UUID, hosts: Collection[int], until: datetime) -> bool:
    """Leave a VM's operation until a moment, if the VM is on one of these hosts; False when there is none to leave.

    One that is at its end by then has to end, whatever its host does.
    """
    rows = Operation.objects.filter(vm_id=vm_id, vm__host__in=hosts, hard_deadline_at__gt=until).in_flight()
    return bool(rows.update(wake_at=until))
