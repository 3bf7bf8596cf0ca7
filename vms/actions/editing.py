"""Editing a VM: everything that a person changed at once, saved together or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypedDict

from vms import permissions
from vms.actions.common import Actor
from vms.actions.configuring import configure
from vms.actions.policy import set_options, set_policy
from vms.actions.tags import set_tags
from vms.domain.configuration import Part, check_text
from vms.domain.policy import Option
from vms.engine import sync
from vms.engine.records import Code, record
from vms.models import VirtualMachine


class SettingChange(TypedDict, total=False):
    """The parts of a power-down policy that a person changed; None follows the portal's default."""

    force: bool | None
    delay: int | None


def edit(
    actor: Actor,
    vm: VirtualMachine,
    *,
    setting: SettingChange | None = None,
    options: Mapping[Option, bool] | None = None,
    values: Mapping[Part, Any] | None = None,
    tags: Iterable[str] | None = None,
    comment: str | None = None,
    correlation_id: str = "",
) -> None:
    """Change a VM's policy, configuration, tags and comment in one transaction.

    What is not named stays as it is now, whoever changed it since the person looked.

    Raises:
        PermissionDenied: The actor may not edit this VM.
        PolicyError: The policy could not be carried out.
        ConfigurationError: It cannot be configured like that.
        TagError: Words that cannot be tags.
        Refused: The VM's status does not allow its configuration to be changed.
    """
    permissions.require(permissions.may_change(actor, vm))
    with sync.locked(vm.pk) as locked:
        if setting:
            set_policy(actor, locked, replace(locked.policy_setting, **setting))
        if options:
            set_options(actor, locked, options)
        if values:
            configure(actor, locked, values, correlation_id=correlation_id)
        if tags is not None:
            set_tags(actor, locked, tags)
        if comment is not None:
            set_comment(actor, locked, comment)


def set_comment(actor: Actor, vm: VirtualMachine, comment: str) -> None:
    """Set what people have noted of a VM besides its description; nothing has to be started anew for it.

    Raises:
        PermissionDenied: The actor may not edit this VM.
        ConfigurationError: It is no text for people.
    """
    permissions.require(permissions.may_change(actor, vm))
    check_text("comment", comment)
    with sync.locked(vm.pk) as locked:
        if locked.comment == comment:
            return
        VirtualMachine.objects.filter(pk=vm.pk).update(comment=comment)
        record(Code.VM_UPDATED, f"Comment of {vm.name} changed to “{comment}”.", vm=locked, actor=actor)
    vm.comment = comment
