"""Adding a VM to a host."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from vms import permissions, tasks
from vms.actions.common import Actor, Refused
from vms.domain.adding import Candidate, check_name, choose, configured
from vms.domain.configuration import Part
from vms.domain.policy import Setting, check_vm_setting
from vms.domain.power import VmStatus
from vms.engine import adding
from vms.models import Host, VirtualMachine

_HAS_NOW = Q(vms__removed_at__isnull=True) & ~Q(vms__status=VmStatus.GONE)


def add_vm(
    actor: Actor,
    name: str,
    values: Mapping[Part, Any],
    *,
    hosts: Collection[Host] | None = None,
    setting: Setting | None = None,
    stateless: bool = False,
    correlation_id: str = "",
) -> VirtualMachine:
    """Add a VM. It is there at once, locked until its host has defined it, and then down.

    Args:
        values: Its configuration, as far as it is not a blank one's.
        hosts: Those that it may be on; None is every one. Of several, the one with the fewest VMs is taken.
        setting: Its own power-down policy.

    Raises:
        PermissionDenied: The actor may not add VMs to any of these hosts.
        ConfigurationError: It cannot have this name, or be configured like that.
        PolicyError: The policy could not be carried out.
        Refused: Another VM has the name, or none of the hosts answers.
    """
    setting = setting or Setting()
    managed = Host.objects.managed()
    allowed = [host.pk for host in (managed if hosts is None else hosts) if permissions.may_add(actor, host)]
    permissions.require(bool(allowed))
    check_name(name)
    wanted = configured(values)
    check_vm_setting(setting)
    with transaction.atomic():
        # All of them are held, so that of two that ask for one name at the same time the second finds it taken.
        held = list(managed.select_for_update(no_key=True).order_by("pk"))
        _require_free(name)
        host = _host_for([host for host in held if host.pk in allowed])
        vm = adding.accept(host, name, wanted, setting, actor, correlation_id or str(uuid.uuid4()), stateless=stateless)
        transaction.on_commit(partial(tasks.wake, vm.pk))
    return vm


def _require_free(name: str) -> None:
    """Refuse a name that a VM has anywhere: whoever looks for one by its name has to find one."""
    there = VirtualMachine.objects.filter(host__removed_at__isnull=True, removed_at__isnull=True)
    if there.filter(name=name).exclude(status=VmStatus.GONE).exists():
        raise Refused(_("Cannot add VM. The VM name is already in use, please choose a unique name and try again."))


def _host_for(held: Collection[Host]) -> Host:
    """Return the host that a VM is added to."""
    counted = Host.objects.filter(pk__in=[host.pk for host in held]).annotate(number=Count("vms", filter=_HAS_NOW))
    numbers = dict(counted.values_list("pk", "number"))
    chosen = choose(
        Candidate(host.pk, host.name, host.state == Host.State.CONNECTED, numbers[host.pk]) for host in held
    )
    if chosen is None:
        raise Refused(_("Cannot add VM. No host that it could be added to answers."))
    return next(host for host in held if host.pk == chosen.id)
