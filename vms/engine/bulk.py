"""The authority on the queue of a bulk: which of its operations begins when.

An operation that ends lets the next one begin in the same transaction. The sweep does it again for every queue that
has room all the same. Whoever counts holds the bulk's row, so that two that end at once never begin one too many.
"""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q
from django.dispatch import Signal

from vms.domain.bulk import room
from vms.domain.operation import STAGES_IN_FLIGHT
from vms.domain.power import Action
from vms.engine import journal
from vms.models import Bulk, Operation

#: Sent once it is committed that operations have left the queue; `vm_ids` are the VMs that workers are to look at.
released = Signal()


def begin(
    action: Action, actor: User | AnonymousUser, *, asked_for: int, cap: int, reason: str, correlation_id: str
) -> Bulk:
    """Write down that an action was asked for on several VMs at once.

    Args:
        asked_for: On how many.
        cap: At most so many of them are in flight at a time.
    """
    return Bulk.objects.create(
        action=action,
        actor=actor if isinstance(actor, User) else None,
        actor_name=actor.get_username(),
        asked_for=asked_for,
        cap=cap,
        reason=reason,
        correlation_id=correlation_id,
    )


def fill(bulk_id: UUID) -> None:
    """Let as many operations of a bulk begin as there is room for, in the order of the list.

    In a transaction that has a VM's row already, nothing else is waited for than the bulk's row: who holds that takes
    no VM, and a queued operation that somebody is just taking off the queue is passed over.
    """
    queued = Operation.objects.filter(bulk_id=bulk_id).queued().order_by("bulk_position")
    if not queued.exists():
        return
    with transaction.atomic(savepoint=False):
        bulk = Bulk.objects.select_for_update(no_key=True).get(pk=bulk_id)
        free = room(bulk.cap, Operation.objects.filter(bulk=bulk).in_flight().count())
        next_ones = queued.select_for_update(of=("self",), skip_locked=True, no_key=True)[:free]
        begun = [row.vm_id for row in next_ones if journal.leave_queue(row)]
        if begun:
            transaction.on_commit(partial(released.send, sender=Bulk, vm_ids=begun))


def fill_all() -> None:
    """Let every queue go on that has room: whoever should have done it may have died."""
    queued = Operation.objects.filter(bulk=OuterRef("pk")).queued()
    in_flight = Count("operations", filter=Q(operations__stage__in=STAGES_IN_FLIGHT))
    held_up = Bulk.objects.filter(Exists(queued)).alias(in_flight=in_flight).filter(in_flight__lt=F("cap"))
    for bulk_id in held_up.values_list("pk", flat=True):
        fill(bulk_id)
