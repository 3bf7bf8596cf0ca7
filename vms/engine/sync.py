"""The only writer of what was seen of a VM, and of the status that follows from it.

Events of a hypervisor are hints; every function here takes a look at the domain itself. An older look never overwrites
a newer one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from vms.domain.configuration import pending
from vms.domain.observation import (
    UP_WITHOUT_AGENT_AFTER,
    DomainState,
    DownReason,
    Observation,
    status_at_rest,
    status_while,
)
from vms.domain.operation import Outcome, Stage
from vms.domain.power import Action, VmStatus
from vms.engine import guest_restart, journal
from vms.engine.changes import HOSTS, VM_LIST, tell
from vms.engine.records import Code, record
from vms.hypervisor.base import Domain, HostInfo
from vms.models import Event, Host, Operation, VirtualMachine

#: The clean ways a guest that was asked can still go down after nobody waited for it any more.
_STOPPED_WAITING = (Outcome.GAVE_UP, Outcome.CANCELLED)

#: Statuses that say that nothing is known: any look at the domain ends them.
_UNSEEN = (VmStatus.UNKNOWN, VmStatus.NOT_RESPONDING, VmStatus.GONE)

#: What decides whether and where a VM is listed.
_OF_THE_LIST = {"name", "removed_at"}

#: So many looks that found nothing new are written down in one transaction.
_TOGETHER = 200

#: Reports of a guest's restart that come closer together than this tell of the same one.
_ONE_RESET = timedelta(seconds=3)


#: The columns that looks at a VM write.
_SEEN = (
    "status",
    "observed_at",
    "name",
    "description",
    "memory",
    "vcpus",
    "domain_state",
    "down_reason",
    "job",
    "managed_save",
    "agent_channel",
    "agent_connected",
    "acpi",
    "run_token",
    "run_once",
    "run_stateless",
    "stored_configuration",
    "running_configuration",
    "pending_count",
    "disks",
    "running_since",
    "down_since",
)

#: A list wakes an operation that has not looked for so long, also where it has shown nothing new: a wake may be lost.
_LOOKED_LATELY = timedelta(seconds=30)

_MAY_BE_UNTENDED = Q(armed=True) | Q(apply_on_guest_reboot=True, pending_count__gt=0)


def apply(vm: VirtualMachine, domain: Domain, at: datetime) -> None:
    """Write down one look at a domain, taken not before `at`.

    Args:
        vm: As it was read, however long ago; it is brought up to date.
    """
    if is_news(vm, domain, at) or not still_so(vm, at):
        write(vm, domain, at)


def is_news(vm: VirtualMachine, domain: Domain, at: datetime) -> bool:
    """Say whether a look found anything else than `vm`, as it was read, tells."""
    seen_before = vm.observed_at is not None and vm.status not in _UNSEEN
    return not seen_before or bool(_differences(vm, _columns(vm, domain, at)))


def still_so(vm: VirtualMachine, at: datetime) -> bool:
    """Write down that a look found nothing new, so that no older look is written after it.

    Returns:
        False when somebody has written another look down since `vm` was read.
    """
    if vm.observed_at is not None and vm.observed_at >= at:
        return True
    if not VirtualMachine.objects.filter(pk=vm.pk, observed_at=vm.observed_at).update(observed_at=at):
        return False
    vm.observed_at = at
    return True


def write(vm: VirtualMachine, domain: Domain, at: datetime) -> None:
    """Write down a look that found something new, and what that means where no operation accounts for it.

    Args:
        vm: It is brought up to date.
    """
    with locked(vm.pk) as stored:
        if _outdated(stored, at):
            return
        operation = _in_flight(vm.pk)
        if operation is None:
            _tell_of_other_hands(stored, domain.seen, at)
            if domain.seen.down:
                operation = guest_restart.run_ended(stored, domain.seen)
        _store(stored, domain, at, operation)
    bring_up_to_date(vm, stored)


def _outdated(stored: VirtualMachine, at: datetime) -> bool:
    return stored.observed_at is not None and stored.observed_at > at


def _store(stored: VirtualMachine, domain: Domain, at: datetime, operation: Operation | None) -> None:
    """Store a look at a VM that the caller has locked, and the status that follows from it."""
    columns = _columns(stored, domain, at)
    status = _status(domain.seen, operation, columns["running_since"], at)
    changes = _differences(stored, columns | {"status": status})
    if stored.removed_at is not None:
        changes["removed_at"] = None
        record(Code.VM_DISCOVERED, f"{domain.name} was found on {stored.host.name} again.", vm=stored)
    if changes:
        tell(stored.pk, topics=[VM_LIST] if changes.keys() & _OF_THE_LIST else ())
    changes["observed_at"] = at
    VirtualMachine.objects.filter(pk=stored.pk).update(**changes)
    for name, value in changes.items():
        setattr(stored, name, value)


def bring_up_to_date(vm: VirtualMachine, stored: VirtualMachine) -> None:
    """Take over into a VM, as it was read before, what looks have written since."""
    for name in _SEEN:
        setattr(vm, name, getattr(stored, name))


def gone(vm_id: UUID) -> None:
    """Write down that a domain is no longer defined on its host. Its history is kept."""
    with locked(vm_id) as vm:
        if vm.status == VmStatus.GONE:
            return
        VirtualMachine.objects.filter(pk=vm_id).update(
            status=VmStatus.GONE,
            observed_at=timezone.now(),
            domain_state=DomainState.DOWN,
            agent_connected=False,
            run_token="",
            running_since=None,
        )
        tell(vm_id)
        operation = _in_flight(vm_id)
        if operation is not None and operation.action == Action.REMOVE:
            return  # its own event tells
        record(
            Code.VM_GONE,
            f"{vm.name} is no longer defined on {vm.host.name}.",
            severity=Event.Severity.WARNING,
            vm=vm,
            operation=operation,
        )


def forget(vm: VirtualMachine) -> None:
    """Take a VM that is gone off the portal's list, in the caller's transaction. Its history is kept."""
    VirtualMachine.objects.filter(pk=vm.pk).update(status=VmStatus.GONE, removed_at=timezone.now())
    tell(topics=[VM_LIST])


def guest_reset(vm_id: UUID, at: datetime) -> None:
    """Record that a guest restarted itself. The hypervisor may tell of one restart several times; one event is made."""
    with locked(vm_id) as vm:
        told = Event.objects.filter(vm=vm, code=Code.GUEST_RESET, at__gte=at - _ONE_RESET)
        if not told.exists():
            record(Code.GUEST_RESET, f"The guest of {vm.name} restarted itself.", vm=vm)


@contextmanager
def locked(vm_id: UUID) -> Iterator[VirtualMachine]:
    """Be in a transaction that holds the VM's row: whoever changes VM and operation together takes the VM first."""
    with transaction.atomic():
        # Without its key: who writes an event or a step of an operation refers to the VM, and need not wait for us. He
        # may hold the operation that we are about to change.
        rows = VirtualMachine.objects.select_for_update(of=("self",), no_key=True)
        yield rows.select_related("host").get(pk=vm_id)


def _hold(rows: QuerySet[VirtualMachine], *, skip_locked: bool = False) -> list[UUID]:
    """Hold several VMs in the caller's transaction, taken in the one order in which everybody takes them."""
    held = rows.select_for_update(of=("self",), no_key=True, skip_locked=skip_locked)
    return list(held.order_by("pk").values_list("pk", flat=True))


def settle(vm: VirtualMachine, operation: Operation | None, *, reachable: bool = True) -> None:
    """Set a VM's status from the last look, once its operation got further or has ended.

    Args:
        vm: As `locked` gave it.
        operation: The one that is in flight now.
        reachable: False when the host did not answer, so that the last look tells nothing of now.
    """
    if vm.status == VmStatus.GONE:
        return
    if reachable and vm.host.state != Host.State.UNREACHABLE:
        status = _status(vm.seen, operation, vm.running_since, timezone.now())
    else:
        status = VmStatus.NOT_RESPONDING
    if status != vm.status:
        VirtualMachine.objects.filter(pk=vm.pk).update(status=status)
        tell(vm.pk)


def settle_as_seen(vm: VirtualMachine, operation: Operation | None, domain: Domain, at: datetime) -> None:
    """Write down a look, and set a VM's status from it, once its operation got further or has ended by that look.

    Args:
        vm: As `locked` gave it.
        operation: The one that is in flight now.
    """
    if _outdated(vm, at):
        settle(vm, operation)
    else:
        _store(vm, domain, at, operation)


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
    # In the order in which everybody takes several rows, see _hold.
    looks = sorted(looks, key=lambda look: look[0].pk)
    for begin in range(0, len(looks), _TOGETHER):
        with transaction.atomic():
            changed = [(vm, domain) for vm, domain in looks[begin : begin + _TOGETHER] if not still_so(vm, at)]
        for vm, domain in changed:
            write(vm, domain, at)


def connected(host: Host, info: HostInfo) -> None:
    """Write down that a host answers.

    Args:
        host: As it was read when the connection was made; nothing is written when it has changed its address since.
    """
    with transaction.atomic():
        same = Host.objects.managed().filter(pk=host.pk, uri=host.uri)
        # Of several watchers, the one that changes this tells of it.
        back = same.filter(state=Host.State.UNREACHABLE).update(state=Host.State.CONNECTED)
        same.update(
            state=Host.State.CONNECTED,
            error="",
            hostname=info.hostname,
            version=f"{info.hypervisor} {info.version}",
            connected_at=timezone.now(),
        )
        tell(topics=[HOSTS])
        if back:
            record(Code.HOST_DETECTED, f"{host.name} answers again.", host=host)


def unreachable(host: Host, error: str) -> None:
    """Write down that a host does not answer: nothing is known of its VMs until it does.

    Args:
        host: As it was read when it was asked; nothing is written when it has changed its address since.
    """
    with transaction.atomic():
        same = Host.objects.managed().filter(pk=host.pk, uri=host.uri)
        changed = same.exclude(state=Host.State.UNREACHABLE).update(state=Host.State.UNREACHABLE, error=error)
        if not changed:
            same.update(error=error)
            return
        unseen = _hold(VirtualMachine.objects.filter(host=host).exclude(status=VmStatus.GONE))
        VirtualMachine.objects.filter(pk__in=unseen).update(status=VmStatus.NOT_RESPONDING, observed_at=timezone.now())
        tell(*unseen, topics=[HOSTS])
        record(
            Code.HOST_FAILURE,
            f"{host.name} cannot be reached: {error}",
            severity=Event.Severity.ERROR,
            host=host,
        )


def host_removed(host: Host) -> None:
    """Write down that the portal manages a host no more: nothing is known of its VMs, and nothing is done to them."""
    with transaction.atomic():
        held = _hold(VirtualMachine.objects.filter(host=host))
        VirtualMachine.objects.filter(pk__in=held).update(status=VmStatus.GONE, observed_at=timezone.now())
        tell(topics=[HOSTS, VM_LIST])


def count_as_up(now: datetime) -> int:
    """Let VMs count as up whose agent did not connect within a minute of their start. Returns how many."""
    in_flight = Operation.objects.filter(vm=OuterRef("pk")).in_flight()
    waiting = VirtualMachine.objects.filter(
        ~Exists(in_flight),
        Q(running_since__lte=now - UP_WITHOUT_AGENT_AFTER),
        status=VmStatus.POWERING_UP,
        domain_state=DomainState.RUNNING,
    )
    with transaction.atomic():
        # Whoever holds one of them just now is looking at it; the next sweep is a second away.
        held = _hold(waiting, skip_locked=True)
        if not held:
            return 0
        tell(*held)
        return VirtualMachine.objects.filter(pk__in=held).update(status=VmStatus.UP)


def _in_flight(vm_id: UUID) -> Operation | None:
    """Return the operation that acts on a VM. While one only queues, its VM shows what it does by itself."""
    return Operation.objects.filter(vm_id=vm_id).in_flight().first()


def _status(seen: Observation, operation: Operation | None, running_since: datetime | None, now: datetime) -> VmStatus:
    if operation is None:
        return status_at_rest(seen, running_since, now)
    started = operation.stage == Stage.COMING_UP
    restoring = seen.managed_save and operation.action == Action.RUN
    return status_while(Action(operation.action), started=started, restoring=restoring)


def _columns(vm: VirtualMachine, domain: Domain, at: datetime) -> dict[str, Any]:
    """Return what a look says of a VM, status apart, by column."""
    seen = domain.seen
    was_down = vm.observed_at is None or vm.domain_state == DomainState.DOWN
    # A token that was written into the run since the last look does not make it another run.
    other_run = bool(vm.run_token) and vm.run_token != (seen.run_token or "")
    if seen.down:
        running_since = None
        down_since = vm.down_since if was_down and vm.observed_at is not None else at
    else:
        running_since = at if was_down or other_run or vm.running_since is None else vm.running_since
        down_since = None
    return {
        "name": domain.name,
        "description": domain.description,
        "memory": domain.memory,
        "vcpus": domain.vcpus,
        "domain_state": seen.state,
        "down_reason": seen.down_reason,
        "job": seen.job,
        "managed_save": seen.managed_save,
        "agent_channel": seen.agent_channel,
        "agent_connected": seen.agent_connected,
        "acpi": seen.acpi,
        "run_token": seen.run_token or "",
        "run_once": seen.run_once,
        "run_stateless": seen.stateless,
        "stored_configuration": domain.stored.as_json(),
        "running_configuration": domain.running.as_json() if domain.running is not None else None,
        "pending_count": len(pending(domain.running, domain.stored)),
        "disks": [disk.as_json() for disk in domain.disks],
        "running_since": running_since,
        "down_since": down_since,
    }


def _differences(vm: VirtualMachine, columns: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if getattr(vm, name) != value}


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


def _tell_of_other_hands(vm: VirtualMachine, seen: Observation, at: datetime) -> None:
    """Record a start or an end that no operation of the portal accounts for."""
    if vm.observed_at is None:
        return
    was_down = vm.domain_state == DomainState.DOWN
    if seen.down and not was_down:
        if not _obeyed_late(vm, seen, at):
            _record_down(vm, seen.down_reason)
    elif was_down and not seen.down:
        record(Code.VM_STARTED_ELSEWHERE, f"{vm.name} was started outside the portal.", vm=vm)


def _record_down(vm: VirtualMachine, reason: DownReason) -> None:
    message = f"{vm.name} went down: {_DOWN_WORDS[reason]}."
    if reason is DownReason.CRASHED:
        record(Code.VM_DOWN_WITH_ERROR, message, severity=Event.Severity.ERROR, vm=vm)
    else:
        record(Code.VM_DOWN, message, vm=vm)


_DOWN_WORDS: dict[DownReason, str] = {
    DownReason.GUEST: "the guest shut itself down",
    DownReason.DESTROYED: "it was powered off outside the portal",
    DownReason.CRASHED: "its process died",
    DownReason.SAVED: "it was suspended outside the portal",
    DownReason.UNKNOWN: "the host does not say why",
}


def _obeyed_late(vm: VirtualMachine, seen: Observation, at: datetime) -> bool:
    """Record that a guest went down after the portal had stopped waiting for it; which delay would have been enough."""
    if seen.down_reason in (DownReason.DESTROYED, DownReason.CRASHED, DownReason.SAVED):
        return False
    last = Operation.objects.filter(vm=vm).order_by("-created_at").first()
    if last is None or last.outcome not in _STOPPED_WAITING or not last.run_token or last.run_token != vm.run_token:
        return False
    if last.asked_at is None or last.ended_at is None:
        return False
    waited = (last.ended_at - last.asked_at).total_seconds()
    needed = (at - last.asked_at).total_seconds()
    journal.obeyed_late(last, at)
    record(
        Code.OBEYED_LATE,
        f"{vm.name} went down {max(1, round(needed - waited))} s after the portal had stopped waiting for it, and "
        f"stays down. A graceful delay of {math.ceil(needed)} s would have been enough.",
        severity=Event.Severity.WARNING,
        vm=vm,
        operation=last,
    )
    return True
