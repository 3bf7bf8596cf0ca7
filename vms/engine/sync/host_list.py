"""A full list of a host's domains, written down: listing is truth."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from vms.engine import guest_restart
from vms.engine.changes import VM_LIST, tell
from vms.engine.records import Code, record
from vms.engine.sync.looks import gone, is_news, still_so, write
from vms.hypervisor.base import Domain
from vms.models import Host, Operation, VirtualMachine

#: So many looks that found nothing new are written down in one transaction.
_TOGETHER = 200

#: A list wakes an operation that has not looked for so long, also where it has shown nothing new: a wake may be lost.
_LOOKED_LATELY = timedelta(seconds=30)

_MAY_BE_UNTENDED = Q(armed=True) | Q(apply_on_guest_reboot=True, pending_count__gt=0)


def listing(host: Host, domains: Iterable[Domain], at: datetime, *, anew: bool = False) -> list[UUID]:
    """Write down a full list of a host's domains, taken not before `at`: listing is truth.

    Args:
        host: As it was read when it was asked; nothing is written when it has changed its address since.
        anew: Nobody has heard what happened before this list, so each operation is to be gone on with.

    Returns:
        The VMs that are to be looked at by a worker: those with an operation in flight that has not seen what is so
        now, those to be armed, and those whose run may still be armed by an operation that has ended.
    """
    if not Host.objects.managed().filter(pk=host.pk, uri=host.uri).exists():
        return []
    left_armed: set[UUID] = set()
    known = {vm.uuid: vm for vm in VirtualMachine.objects.filter(host=host)}
    first_listing = host.connected_at is None and not known
    unchanged: list[tuple[VirtualMachine, Domain]] = []
    news: set[UUID] = set()
    for domain in domains:
        vm = known.pop(UUID(domain.uuid), None)
        if vm is not None and domain.seen.left_armed:
            left_armed.add(vm.pk)
        if vm is None:
            with transaction.atomic():
                write(_discovered(host, domain, quietly=first_listing), domain, at)
        elif is_news(vm, domain, at):
            write(vm, domain, at)
            news.add(vm.pk)
        else:
            unchanged.append((vm, domain))
    _still_all_so(unchanged, at)
    for vm in known.values():
        if vm.observed_at is None or vm.observed_at < at:
            gone(vm.pk)
            news.add(vm.pk)
    in_flight = Operation.objects.filter(vm__host=host).in_flight().select_related("vm")
    columns = in_flight.only("looked_at", "vm__running_since", "vm__down_since")
    in_hand = {row.vm_id: anew or row.vm_id in news or _is_behind(row, at) for row in columns}
    untended = (vm for vm in VirtualMachine.objects.filter(_MAY_BE_UNTENDED, host=host) if guest_restart.untended(vm))
    at_rest = {*left_armed, *(vm.pk for vm in untended)} - in_hand.keys()
    return [*at_rest, *(vm_id for vm_id, wake in in_hand.items() if wake)]


def _is_behind(row: Operation, at: datetime) -> bool:
    """Say whether an operation in flight has not seen what a list at `at` shows, or one before it has shown.

    Whoever was woken by that may never have looked.
    """
    if row.looked_at is None or row.looked_at < at - _LOOKED_LATELY:
        return True
    return any(turn is not None and turn > row.looked_at for turn in (row.vm.running_since, row.vm.down_since))


def _still_all_so(looks: list[tuple[VirtualMachine, Domain]], at: datetime) -> None:
    # In the order in which everybody takes several rows, see `rows.hold`.
    looks = sorted(looks, key=lambda look: look[0].pk)
    for begin in range(0, len(looks), _TOGETHER):
        with transaction.atomic():
            changed = [(vm, domain) for vm, domain in looks[begin : begin + _TOGETHER] if not still_so(vm, at)]
        for vm, domain in changed:
            write(vm, domain, at)


def _discovered(host: Host, domain: Domain, *, quietly: bool) -> VirtualMachine:
    """Take a domain in that the portal did not know, unless another watcher was faster.

    Its libvirt UUID becomes its id where that is free.
    """
    uuid = UUID(domain.uuid)
    vm = VirtualMachine(host=host, uuid=uuid, name=domain.name)
    if not VirtualMachine.objects.filter(pk=uuid).exists():
        vm.pk = uuid
    try:
        with transaction.atomic():
            vm.save(force_insert=True)
    except IntegrityError:
        return VirtualMachine.objects.get(host=host, uuid=uuid)
    tell(topics=[VM_LIST])
    if not quietly:
        record(Code.VM_DISCOVERED, f"{domain.name} was found on {host.name}.", vm=vm)
    return vm
