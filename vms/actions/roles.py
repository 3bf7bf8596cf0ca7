"""Giving somebody a role on one VM, and taking it back; Django admin gives them on hosts, tags and the whole portal."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, User
from django.utils.translation import gettext as _

from vms import permissions
from vms.actions.common import Actor, Refused
from vms.engine import sync
from vms.engine.records import Code, record
from vms.models import Assignment, Role, VirtualMachine


def give_role(actor: Actor, vm: VirtualMachine, role: Role, to: User | Group) -> Assignment:
    """Give a person or a group a role on one VM. One that they have on it already stays as it is.

    Raises:
        PermissionDenied: The actor may not give roles on this VM.
        Refused: The role allows something there that the actor may not do.
    """
    permissions.require(permissions.may_assign(actor, vm))
    verbs = [f"{app}.{name}" for app, name in role.verbs.values_list("content_type__app_label", "codename")]
    if not permissions.may_give(actor, verbs, vm):
        raise Refused(
            _("%(role)s allows more than you may do on %(vm)s. Nobody can give what they do not have.")
            % {"role": role.name, "vm": vm.name}
        )
    place: dict[str, Any] = {"vm": vm, "role": role, "user" if isinstance(to, User) else "group": to}
    # Two who give the same at once wait for each other here.
    with sync.locked(vm.pk) as locked:
        assignment, given = Assignment.objects.get_or_create(**place)
        if given:
            message = f"Role {role.name} on {locked.name} was given to {_kind(to)} {to} by {actor.get_username()}."
            record(Code.ROLE_GIVEN, message, vm=locked, actor=actor)
    return assignment


def take_role(actor: Actor, vm: VirtualMachine, assignment_id: int) -> None:
    """Take a role that was given on this very VM back. Nothing where it was taken already.

    Raises:
        PermissionDenied: The actor may not take roles on this VM.
    """
    permissions.require(permissions.may_assign(actor, vm))
    with sync.locked(vm.pk) as locked:
        given = Assignment.objects.select_related("role", "user", "group").filter(vm=locked, pk=assignment_id).first()
        if given is None or (to := given.user or given.group) is None:
            return
        given.delete()
        message = f"Role {given.role.name} on {locked.name} was taken from {_kind(to)} {to} by {actor.get_username()}."
        record(Code.ROLE_TAKEN, message, vm=locked, actor=actor)


def _kind(to: User | Group) -> str:
    return "group" if isinstance(to, Group) else "person"
