"""One look at one domain, written down, and the status that follows from it.

An older look never overwrites a newer one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from vms.domain.configuration import pending
from vms.domain.observation import UP_WITHOUT_AGENT_AFTER, DomainState, Observation, status_at_rest, status_while
from vms.domain.operation import Stage
from vms.domain.power import Action, VmStatus
from vms.engine import guest_restart
from vms.engine.changes import VM_LIST, tell
from vms.engine.records import Code, record
from vms.engine.sync.other_hands import tell_of_other_hands
from vms.engine.sync.rows import hold, locked
from vms.hypervisor.base import Domain
from vms.models import Event, Host, Operation, VirtualMachine

#: Statuses that say that nothing is known: any look at the domain ends them.
_UNSEEN = (VmStatus.UNKNOWN, VmStatus.NOT_RESPONDING, VmStatus.GONE)

#: What decides whether and where a VM is listed.
_OF_THE_LIST = {"name", "removed_at"}


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
        # Of a host that was removed while it was looked at, nothing is known. Asked now that the VM is held, as it was
        # for the removal.
        if _outdated(stored, at) or not Host.objects.managed().filter(pk=stored.host_id).exists():
            return
        operation = _in_flight(vm.pk)
        if operation is None:
            tell_of_other_hands(stored, domain.seen, at)
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
    """Take over into a VM, as it was read before, what has been written since."""
    for field in VirtualMachine._meta.concrete_fields:  # noqa: SLF001  (Django documents it)
        setattr(vm, field.attname, getattr(stored, field.attname))


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
        held = hold(waiting, skip_locked=True)
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
