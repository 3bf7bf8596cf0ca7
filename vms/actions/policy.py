"""Setting power-down policies: a VM's own, and the portal's default."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from django.db import transaction

from vms import labels, permissions, tasks
from vms.actions.common import Actor
from vms.domain.errors import PolicyError
from vms.domain.policy import MAX_DELAY, Option, Setting, check_vm_setting
from vms.engine import sync
from vms.engine.records import Code, record
from vms.models import PortalDefaults, VirtualMachine


def set_policy(actor: Actor, vm: VirtualMachine, setting: Setting) -> None:
    """Set a VM's own power-down policy; unset parts follow the portal's default.

    Raises:
        PermissionDenied: The actor may not edit this VM.
        PolicyError: It could not be carried out.
    """
    permissions.require(permissions.may_change(actor, vm))
    check_vm_setting(setting)
    with sync.locked(vm.pk) as locked:
        if locked.policy_setting == setting:
            return
        VirtualMachine.objects.filter(pk=vm.pk).update(force_power_off=setting.force, graceful_delay=setting.delay)
        was, now = (_setting_text(each) for each in (locked.policy_setting, setting))
        record(Code.VM_UPDATED, f"Power-down policy of {vm.name} changed from {was} to {now}.", vm=locked, actor=actor)
    vm.force_power_off, vm.graceful_delay = setting.force, setting.delay


def set_options(actor: Actor, vm: VirtualMachine, options: Mapping[Option, bool]) -> None:
    """Set what a VM's policy says besides; options that are not named stay.

    Raises:
        PermissionDenied: The actor may not edit this VM.
    """
    permissions.require(permissions.may_change(actor, vm))
    with sync.locked(vm.pk) as locked:
        changed = {option: value for option, value in options.items() if getattr(locked, option) is not value}
        if not changed:
            return
        VirtualMachine.objects.filter(pk=vm.pk).update(**changed)
        said = ", ".join(f"{str(labels.OPTION[option]).lower()} {_SWITCH[value]}" for option, value in changed.items())
        record(Code.VM_UPDATED, f"Policy of {vm.name} changed: {said}.", vm=locked, actor=actor)
        # A worker sees to it that a restart by the guest ends the run, or no longer does.
        transaction.on_commit(partial(tasks.wake, vm.pk))
    for option, value in changed.items():
        setattr(vm, option, value)


def set_defaults(actor: Actor, *, force: bool, delay: int) -> None:
    """Set the policy of every VM that has not set its own.

    Args:
        delay: Seconds, 1 to 3600.

    Raises:
        PermissionDenied: The actor may not change the portal's defaults.
        PolicyError: The delay is out of range.
    """
    permissions.require(permissions.may_change_defaults(actor))
    if isinstance(delay, bool) or not 1 <= delay <= MAX_DELAY:
        raise PolicyError("graceful_delay", "default_range")
    with transaction.atomic():
        was = PortalDefaults.load().setting
        now = Setting(force, delay)
        if was == now:
            return
        PortalDefaults.objects.update_or_create(id=1, defaults={"force": force, "graceful_delay": delay})
        message = f"Portal default of the power-down policy changed from {_setting_text(was)} to {_setting_text(now)}."
        record(Code.DEFAULTS_CHANGED, message, actor=actor)


_SWITCH = {True: "on", False: "off"}


def _setting_text(setting: Setting) -> str:
    force = {True: "power off", False: "give up", None: "portal default"}[setting.force]
    delay = "portal default" if setting.delay is None else f"{setting.delay} s"
    return f"“{force}, delay {delay}”"
