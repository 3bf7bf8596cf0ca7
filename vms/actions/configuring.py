"""Changing what is stored of a VM for its next cold start, and taking such changes back."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from vms import permissions, tasks
from vms.actions.common import Actor, Refused
from vms.domain.configuration import Change, Part, checked
from vms.domain.power import EDITABLE, VmStatus
from vms.engine import configuring, sync
from vms.models import ConfigurationChange, VirtualMachine

#: May be changed whatever the VM does: nothing has to be started anew for it.
_ALWAYS = frozenset({Part.DESCRIPTION})


def configure(actor: Actor, vm: VirtualMachine, values: Mapping[Part, Any], *, correlation_id: str = "") -> bool:
    """Change what is stored of a VM.

    Args:
        values: The new value of each part; parts that have it already are left alone.

    Returns:
        Whether anything is to be changed.

    Raises:
        PermissionDenied: The actor may not edit this VM.
        Refused: The VM's status does not allow it.
        ConfigurationError: It cannot be configured like that.
    """
    permissions.require(permissions.may_change(actor, vm))
    with sync.locked(vm.pk) as locked:
        changed = checked(values, locked.upcoming(_waiting(locked)))
        if changed:
            _accept(actor, locked, changed, (), correlation_id)
        return bool(changed)


def revert(actor: Actor, vm: VirtualMachine, parts: Collection[Part], *, correlation_id: str = "") -> None:
    """Take pending changes back: what is stored is again as in the process that runs.

    Raises:
        PermissionDenied: The actor may not edit this VM.
        Refused: The VM's status does not allow it, or nothing waits.
    """
    permissions.require(permissions.may_change(actor, vm))
    with sync.locked(vm.pk) as locked:
        waiting = [change.part for change in waiting_changes(locked) if change.part in parts]
        if not waiting:
            raise Refused(_("No such change of %(vm)s waits any more.") % {"vm": locked.name})
        _accept(actor, locked, {}, waiting, correlation_id)


def waiting_changes(vm: VirtualMachine) -> tuple[Change, ...]:
    """Return what the next cold start will change, with what the host is still to store."""
    return vm.pending_with(_waiting(vm))


def _waiting(vm: VirtualMachine) -> list[ConfigurationChange]:
    return ConfigurationChange.objects.waiting_for([vm]).get(vm.pk, [])


def _accept(
    actor: Actor,
    vm: VirtualMachine,
    values: Mapping[Part, Any],
    reverts: Collection[Part],
    correlation_id: str,
) -> None:
    may_be_edited = VmStatus(vm.status) in EDITABLE or (set(values) <= _ALWAYS and not reverts)
    if not may_be_edited or vm.status == VmStatus.GONE:
        names = {"vm": vm.name, "status": vm.get_status_display()}
        raise Refused(_("Cannot change the configuration of %(vm)s because it is %(status)s.") % names)
    configuring.accept(vm, values, reverts, actor, correlation_id or str(uuid.uuid4()))
    transaction.on_commit(partial(tasks.wake, vm.pk))
