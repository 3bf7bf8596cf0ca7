"""Carries VMs that people add to their hosts: the only writer of `Addition`.

A VM that is being added is a row first, with the UUID that its domain is going to have. A worker that holds the VM
looks for a domain of that UUID, and has the host define it only where there is none: a crash between a call and its
answer neither loses the VM nor makes a second one. A call whose answer is not known may still be on its way for a
while; until that is over, nothing else is done with the VM.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import structlog
from django.contrib.auth.models import AnonymousUser, User
from django.utils import timezone

from vms.domain.configuration import Configuration
from vms.domain.decide import pace
from vms.domain.policy import Setting
from vms.domain.power import VmStatus
from vms.engine import seats, sync
from vms.engine.changes import VM_LIST, tell
from vms.engine.records import Code, in_english, record
from vms.hypervisor import connections
from vms.hypervisor.base import ConfigurationRejected, DomainNotFound, HostUnreachable, HypervisorError
from vms.models import Addition, Event, Host, VirtualMachine

log = structlog.get_logger(__name__)

#: While its host cannot be reached, it is tried this often,
_UNREACHABLE_GAP = timedelta(seconds=5)
#: and for so long. Whoever waits for the VM has given up by then.
GIVE_UP_AFTER = timedelta(minutes=10)


def accept(
    host: Host,
    name: str,
    configuration: Configuration,
    setting: Setting,
    actor: User | AnonymousUser,
    correlation_id: str,
    *,
    stateless: bool = False,
) -> VirtualMachine:
    """Write down a VM that is to be added, in the caller's transaction that holds the host."""
    uuid = uuid4()
    vm = VirtualMachine.objects.create(
        pk=uuid,
        uuid=uuid,
        host=host,
        name=name,
        description=configuration.description,
        memory=configuration.memory,
        vcpus=configuration.vcpus,
        force_power_off=setting.force,
        graceful_delay=setting.delay,
        stateless=stateless,
        status=VmStatus.IMAGE_LOCKED,
        being_added=True,
        stored_configuration=configuration.as_json(),
    )
    Addition.objects.create(
        vm=vm,
        configuration=configuration.as_json(),
        actor=actor if isinstance(actor, User) else None,
        actor_name=actor.get_username(),
        correlation_id=correlation_id,
    )
    tell(topics=[VM_LIST])
    return vm


def carry_on(vm: VirtualMachine) -> bool:
    """Have the host define a VM that is being added; the caller holds the VM's lease.

    Returns:
        True once its domain was defined; False while that is waited for, and when it has failed.
    """
    now = timezone.now()
    row = Addition.objects.select_related("actor").filter(vm=vm, state=Addition.State.WAITING).first()
    if row is None or (row.next_at is not None and row.next_at > now):
        return False
    if row.called_at is not None and now < row.called_at + pace.SETTLE:
        _write(row, next_at=row.called_at + pace.SETTLE)
        return False
    try:
        # A domain that was seen since was defined, whatever became of it afterwards.
        if vm.observed_at is None:
            _define(row, vm)
    except HostUnreachable as error:
        _wait_for_host(row, vm, str(error))
        return False
    except ConfigurationRejected as error:
        _end(row, vm, Addition.State.FAILED, str(error))
        return False
    except HypervisorError as error:
        log.warning("the host did not define a VM", vm=str(vm.pk), error=str(error))
        _try_again(row, vm, str(error))
        return False
    return _end(row, vm, Addition.State.ADDED)


def _define(row: Addition, vm: VirtualMachine) -> None:
    """Have the host define the domain, unless it has it."""
    with seats.taken(vm.host_id) as seat:
        with seat.asking():
            host = connections.get(vm.host.uri)
            try:
                host.observe(str(vm.uuid))
            except DomainNotFound:
                log.info("asking the host", call="define")
            else:
                return
        # Not where somebody has removed the host from the portal meanwhile.
        if _write(row, called_at=timezone.now()):
            with seat.asking():
                host.define(str(vm.uuid), vm.name, Configuration.of(row.configuration))


def _wait_for_host(row: Addition, vm: VirtualMachine, error: str) -> None:
    """Wait until the host answers again. Whether a call under way had its effect is not known: it stays unanswered."""
    if timezone.now() < row.created_at + GIVE_UP_AFTER:
        _write(row, next_at=timezone.now() + _UNREACHABLE_GAP, error=error)
    else:
        _end(row, vm, Addition.State.FAILED, error)


def _try_again(row: Addition, vm: VirtualMachine, error: str) -> None:
    if row.attempts >= len(pace.RETRY_GAPS):
        _end(row, vm, Addition.State.FAILED, error)
        return
    gap = pace.RETRY_GAPS[row.attempts]
    _write(row, next_at=timezone.now() + gap, error=error, attempts=row.attempts + 1, called_at=None)


def give_up(host: Host, error: str) -> None:
    """End every addition that waits for a host, in the caller's transaction: nobody will ask the host any more."""
    rows = Addition.objects.filter(vm__host=host, state=Addition.State.WAITING)
    for row in rows.select_related("vm", "actor").order_by("vm"):
        _end(row, row.vm, Addition.State.FAILED, error)


def _write(row: Addition, **fields: Any) -> bool:
    """Write to an addition that still waits; False when it has ended."""
    return bool(Addition.objects.filter(pk=row.pk, state=Addition.State.WAITING).update(**fields))


@in_english
def _end(row: Addition, vm: VirtualMachine, state: Addition.State, error: str = "") -> bool:
    """End an addition, and say so; False when it had ended already.

    A VM that could not be added goes off the list; its history is kept.
    """
    with sync.locked(vm.pk) as locked:
        if not _write(row, state=state, error=error, ended_at=timezone.now(), next_at=None, called_at=None):
            return False
        VirtualMachine.objects.filter(pk=vm.pk).update(being_added=False)
        tell(vm.pk)
        if state == Addition.State.ADDED:
            code, severity = Code.VM_ADDED, Event.Severity.NORMAL
            message = f"{locked.name} was added to {locked.host.name} by {row.actor_name}."
        else:
            sync.forget(locked)
            code, severity = Code.VM_ADD_FAILED, Event.Severity.ERROR
            message = (
                f"{locked.name} could not be added to {locked.host.name} (asked for by {row.actor_name}). "
                f"The host said: {error}"
            )
        record(code, message, severity=severity, vm=locked, actor=row.actor, correlation_id=row.correlation_id)
        return True
