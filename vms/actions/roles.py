"""Giving roles and taking them back: on one VM by who may do that there, anywhere by who may on the whole portal."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, User
from django.db import transaction
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
    if not permissions.may_give(actor, _verbs(role), vm):
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


def check_assignment(actor: Actor, role: Role) -> None:
    """Refuse a role that somebody may not give on hosts, tags and the whole portal.

    Raises:
        PermissionDenied: The actor may not give roles there.
        Refused: The role allows something that the actor may not do everywhere.
    """
    permissions.require(permissions.may_give_roles(actor))
    if not permissions.may_give_anywhere(actor, _verbs(role)):
        raise Refused(
            _("%(role)s allows more than you may do in the whole portal. Nobody can give what they do not have.")
            % {"role": role.name}
        )


def assign(actor: Actor, assignment: Assignment) -> None:
    """Give a role on a host, a tag, a VM or the whole portal.

    Args:
        assignment: Not stored yet.

    Raises:
        PermissionDenied: The actor may not give roles there.
        Refused: The role allows something that the actor may not do everywhere.
    """
    check_assignment(actor, assignment.role)
    with transaction.atomic():
        assignment.save(force_insert=True)
        _record(Code.ROLE_GIVEN, "given to", assignment, actor)


def unassign(actor: Actor, assignment: Assignment) -> None:
    """Take a role back, wherever it was given.

    Raises:
        PermissionDenied: The actor may not take roles there.
    """
    permissions.require(permissions.may_take_roles(actor))
    with transaction.atomic():
        _record(Code.ROLE_TAKEN, "taken from", assignment, actor)
        assignment.delete()


def _record(code: Code, what: str, assignment: Assignment, actor: Actor) -> None:
    to = assignment.user or assignment.group
    place = assignment.vm or assignment.host or (f"the tag {assignment.tag}" if assignment.tag else "the whole portal")
    message = f"Role {assignment.role} on {place} was {what} {_kind(to)} {to} by {actor.get_username()}."
    record(code, message, vm=assignment.vm, host=assignment.host, actor=actor)


def _verbs(role: Role) -> list[str]:
    return [f"{app}.{name}" for app, name in role.verbs.values_list("content_type__app_label", "codename")]


def _kind(to: User | Group | None) -> str:
    return "group" if isinstance(to, Group) else "person"
