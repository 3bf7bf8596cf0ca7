"""Setting power-down policies: a VM's own, and the portal's default."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from django.db import transaction

from vms import labels, permissions, tasks
from vms.actions.common import Actor
from vms.domain.bulk import check_in_flight
from vms.domain.errors import PolicyError
from vms.domain.policy import MAX_DELAY, Option, Setting, check_vm_setting
from vms.domain.retention import Keep, check_days
from vms.engine import sync
from vms.engine.records import Code, in_english, record
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


@in_english
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


def set_defaults(actor: Actor, *, force: bool, delay: int, bulk_in_flight: int | None = None) -> None:
    """Set the policy of every VM that has not set its own, and the cap of bulks.

    Args:
        delay: Seconds, 1 to 3600.
        bulk_in_flight: How many VMs of one request are worked on at a time, 1 to 1000; None leaves it.

    Raises:
        PermissionDenied: The actor may not change the portal's defaults.
        PolicyError: A number is out of range.
    """
    permissions.require(permissions.may_change_defaults(actor))
    if isinstance(delay, bool) or not 1 <= delay <= MAX_DELAY:
        raise PolicyError("graceful_delay", "default_range")
    if bulk_in_flight is not None:
        check_in_flight(bulk_in_flight)
    with transaction.atomic():
        stored = PortalDefaults.load()
        was, now = stored.setting, Setting(force, delay)
        cap_was, cap = stored.bulk_in_flight, bulk_in_flight or stored.bulk_in_flight
        if (was, cap_was) == (now, cap):
            return
        new = {"force": force, "graceful_delay": delay, "bulk_in_flight": cap}
        PortalDefaults.objects.update_or_create(id=1, defaults=new)
        if was != now:
            change = f"from {_setting_text(was)} to {_setting_text(now)}"
            record(Code.DEFAULTS_CHANGED, f"Portal default of the power-down policy changed {change}.", actor=actor)
        if cap_was != cap:
            message = f"Of one request, at most {cap} virtual machines are worked on at a time now, not {cap_was}."
            record(Code.DEFAULTS_CHANGED, message, actor=actor)


_SWITCH = {True: "on", False: "off"}


def set_retention(actor: Actor, keep: Keep) -> None:
    """Set how long history is kept; from the next clean-up on, what is older goes.

    Raises:
        PermissionDenied: The actor may not change the portal's defaults.
        ValueError: A number of days is out of range.
    """
    permissions.require(permissions.may_change_defaults(actor))
    check_days(keep.events)
    check_days(keep.operations)
    with transaction.atomic():
        was = PortalDefaults.load().keeps
        if was == keep:
            return
        PortalDefaults.objects.update_or_create(
            id=1, defaults={"keep_events": keep.events, "keep_operations": keep.operations}
        )
        message = f"How long history is kept changed from {_keep_text(was)} to {_keep_text(keep)}."
        record(Code.DEFAULTS_CHANGED, message, actor=actor)


def _keep_text(keep: Keep) -> str:
    events, operations = (f"{days} days" if days else "for ever" for days in (keep.events, keep.operations))
    return f"“events {events}, operations {operations}”"


def _setting_text(setting: Setting) -> str:
    force = {True: "power off", False: "give up", None: "portal default"}[setting.force]
    delay = "portal default" if setting.delay is None else f"{setting.delay} s"
    return f"“{force}, delay {delay}”"
