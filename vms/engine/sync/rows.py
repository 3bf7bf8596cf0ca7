"""Holding rows of VMs, in the one order in which everybody takes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from vms.models import VirtualMachine


@contextmanager
def locked(vm_id: UUID) -> Iterator[VirtualMachine]:
    """Be in a transaction that holds the VM's row: whoever changes VM and operation together takes the VM first."""
    with transaction.atomic():
        # Without its key: who writes an event or a step of an operation refers to the VM, and need not wait for us. He
        # may hold the operation that we are about to change.
        rows = VirtualMachine.objects.select_for_update(of=("self",), no_key=True)
        yield rows.select_related("host").get(pk=vm_id)


def hold(rows: QuerySet[VirtualMachine], *, skip_locked: bool = False) -> list[UUID]:
    """Hold several VMs in the caller's transaction, taken in the one order in which everybody takes them."""
    held = rows.select_for_update(of=("self",), no_key=True, skip_locked=skip_locked)
    return list(held.order_by("pk").values_list("pk", flat=True))
