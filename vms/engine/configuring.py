"""Carries people's changes of stored configurations to the hosts: the only writer of `ConfigurationChange`.

A change is a row first. A worker that holds the VM has the host store it, before anything else: no VM is started with
the old configuration while a change waits. Setting a value twice is setting it once, so a crash does no harm.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.contrib.auth.models import AnonymousUser, User
from django.utils import timezone

from vms import labels
from vms.domain.configuration import Part
from vms.domain.decide.pace import RETRY_GAPS
from vms.engine import changes, seats, sync
from vms.engine.records import Code, in_english, record
from vms.hypervisor import connections
from vms.hypervisor.base import ConfigurationRejected, DomainNotFound, HostUnreachable, HypervisorError
from vms.models import ConfigurationChange, Event, Host, VirtualMachine

log = structlog.get_logger(__name__)

#: While its host cannot be reached, a change is tried this often.
_UNREACHABLE_GAP = timedelta(seconds=5)


def accept(
    vm: VirtualMachine,
    values: Mapping[Part, Any],
    reverts: Collection[Part],
    actor: User | AnonymousUser,
    correlation_id: str,
) -> ConfigurationChange:
    """Write a change down, in the caller's transaction that holds the VM.

    Args:
        values: The new value of each part.
        reverts: Parts that are to be again as in the running process.
    """
    change = ConfigurationChange.objects.create(
        vm=vm,
        values={str(part): value for part, value in values.items()},
        reverts=[str(part) for part in reverts],
        actor=actor if isinstance(actor, User) else None,
        actor_name=actor.get_username(),
        correlation_id=correlation_id,
    )
    VirtualMachine.objects.filter(pk=vm.pk).update(change_waits=True)
    changes.tell(vm.pk)
    return change


def waiting(vm: VirtualMachine) -> list[ConfigurationChange]:
    """Return the changes that the host has not stored yet, oldest first."""
    return list(ConfigurationChange.objects.filter(vm=vm, state=ConfigurationChange.State.WAITING).order_by("id"))


def apply_waiting(vm: VirtualMachine) -> bool:
    """Have the host store the changes that wait, in their order; the caller holds the VM's lease.

    Returns:
        False while one still waits: the host is away, or busy with the VM.
    """
    for change in waiting(vm):
        if change.next_at is not None and change.next_at > timezone.now():
            return False
        if not _apply(change, vm):
            return False
    with sync.locked(vm.pk):
        still = ConfigurationChange.objects.filter(vm=vm, state=ConfigurationChange.State.WAITING).exists()
        VirtualMachine.objects.filter(pk=vm.pk).update(change_waits=still)
        changes.tell(vm.pk)
    return not still


def _apply(change: ConfigurationChange, vm: VirtualMachine) -> bool:
    """Have the host store one change; False when it is to be tried again."""
    values = {Part(part): _value(value) for part, value in change.values.items()}
    reverts = [Part(part) for part in change.reverts]
    try:
        with seats.taken(vm.host_id) as seat, seat.asking():
            connections.get(vm.host.uri).configure(str(vm.uuid), values, reverts)
    except HostUnreachable as error:
        _try_again(change, timezone.now() + _UNREACHABLE_GAP, str(error))
        return False
    except (ConfigurationRejected, DomainNotFound) as error:
        _end(change, vm, ConfigurationChange.State.FAILED, str(error))
    except HypervisorError as error:
        log.warning("the host did not store a change", vm=str(vm.pk), error=str(error))
        if change.attempts < len(RETRY_GAPS):
            _try_again(change, timezone.now() + RETRY_GAPS[change.attempts], str(error), attempts=change.attempts + 1)
            return False
        _end(change, vm, ConfigurationChange.State.FAILED, str(error))
    else:
        _end(change, vm, ConfigurationChange.State.APPLIED)
    return True


def give_up(host: Host, error: str) -> None:
    """End every change that waits for a host, in the caller's transaction: nobody will ask the host any more."""
    rows = ConfigurationChange.objects.filter(vm__host=host, state=ConfigurationChange.State.WAITING)
    for change in rows.select_related("vm").order_by("id"):
        _end(change, change.vm, ConfigurationChange.State.FAILED, error)
    VirtualMachine.objects.filter(host=host).update(change_waits=False)


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _try_again(change: ConfigurationChange, at: datetime, error: str, **fields: Any) -> None:
    ConfigurationChange.objects.filter(pk=change.pk).update(next_at=at, error=error, **fields)


@in_english
def _end(change: ConfigurationChange, vm: VirtualMachine, state: ConfigurationChange.State, error: str = "") -> None:
    with sync.locked(vm.pk) as locked:
        rows = ConfigurationChange.objects.filter(pk=change.pk, state=ConfigurationChange.State.WAITING)
        if not rows.update(state=state, error=error, ended_at=timezone.now(), next_at=None):
            return
        what = labels.changed_parts(change.values, change.reverts)
        if state == ConfigurationChange.State.APPLIED:
            code, severity = Code.VM_UPDATED, Event.Severity.NORMAL
            message = f"The configuration of {locked.name} was changed by {change.actor_name}: {what}."
        else:
            code, severity = Code.VM_UPDATE_FAILED, Event.Severity.ERROR
            message = (
                f"The configuration of {locked.name} could not be changed ({what}, asked for by "
                f"{change.actor_name}); it stays as it was. The host said: {error}"
            )
        record(
            code,
            message,
            severity=severity,
            vm=locked,
            actor=change.actor,
            correlation_id=change.correlation_id,
        )
