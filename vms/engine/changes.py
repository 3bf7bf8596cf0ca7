"""Tells whoever listens what has changed, as soon as it is committed: pages are kept fresh by it, and nothing else.

It may be lost. Whatever has to happen is found in the database.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from uuid import UUID

from django.db import transaction
from django.dispatch import Signal

from vms.models import Operation

#: Sent with `vms` (ids of those that look different now) and `topics` (what else did), both frozen sets.
changed = Signal()

#: Which VMs there are.
VM_LIST = "vms"
OPERATIONS = "operations"
EVENTS = "events"
HOSTS = "hosts"


def tell(*vms: UUID, topics: Iterable[str] = ()) -> None:
    """Tell of changes once the caller's transaction is committed, or at once where there is none."""
    send = partial(changed.send_robust, sender=None, vms=frozenset(vms), topics=frozenset(topics))
    transaction.on_commit(send, robust=True)


def tell_of_operation(row: Operation) -> None:
    """Tell of a change to an operation: its VM shows it, too."""
    topics = [OPERATIONS, operation_topic(row.pk)]
    if row.bulk_id is not None:
        topics.append(bulk_topic(row.bulk_id))
    tell(row.vm_id, topics=topics)


def operation_topic(pk: UUID) -> str:
    """Return what the page of one operation listens to."""
    return f"operation:{pk}"


def bulk_topic(pk: UUID) -> str:
    """Return what the page of one request for several VMs listens to."""
    return f"bulk:{pk}"
