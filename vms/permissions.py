"""The authority on who may do what to which VM."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied

from vms.domain.power import Action
from vms.models import Operation, VirtualMachine

Actor = User | AnonymousUser

VIEW = "vms.view_vm"
CHANGE = "vms.change_vm"
CHANGE_DEFAULTS = "vms.change_portaldefaults"
VIEW_OPERATIONS = "vms.view_operation"
VIEW_EVENTS = "vms.view_event"
VIEW_HOSTS = "vms.view_host"
ADD_HOST = "vms.add_host"
CHANGE_HOST = "vms.change_host"
REMOVE_HOST = "vms.delete_host"

#: The permission that each action needs. Resume is Run for a VM that still has its memory.
ACTION_PERMISSION: dict[Action, str] = {
    Action.RUN: "vms.run_vm",
    Action.RUN_ONCE: "vms.run_vm",
    Action.SHUT_DOWN: "vms.shut_down_vm",
    Action.POWER_OFF: "vms.power_off_vm",
    Action.REBOOT: "vms.reboot_vm",
    Action.POWER_CYCLE: "vms.power_cycle_vm",
    Action.SUSPEND: "vms.suspend_vm",
    Action.RESUME: "vms.run_vm",
    Action.REMOVE: "vms.remove_vm",
}

#: What forcing a running operation amounts to.
_FORCED_INTO: dict[Action, Action] = {Action.SHUT_DOWN: Action.POWER_OFF, Action.REBOOT: Action.POWER_CYCLE}


def _has(user: Actor, permission: str) -> bool:
    return user.is_active and user.has_perm(permission)


def may(user: Actor, action: Action, vm: VirtualMachine) -> bool:
    """Say whether `user` may do `action` to `vm`."""
    return _has(user, ACTION_PERMISSION[action])


def may_ask(user: Actor, action: Action) -> bool:
    """Say whether there is any VM that `user` may do `action` to."""
    return _has(user, ACTION_PERMISSION[action])


def may_view(user: Actor, vm: VirtualMachine | None = None) -> bool:
    """Say whether `user` may see `vm`, or any VM at all."""
    return _has(user, VIEW)


def may_change(user: Actor, vm: VirtualMachine) -> bool:
    """Say whether `user` may edit `vm` and its policy."""
    return _has(user, CHANGE)


def may_change_defaults(user: Actor) -> bool:
    """Say whether `user` may change the portal's default policy."""
    return _has(user, CHANGE_DEFAULTS)


def may_add_host(user: Actor) -> bool:
    """Say whether `user` may have the portal manage another host."""
    return _has(user, ADD_HOST)


def may_change_host(user: Actor) -> bool:
    """Say whether `user` may rename hosts and give them another address."""
    return _has(user, CHANGE_HOST)


def may_remove_host(user: Actor) -> bool:
    """Say whether `user` may have the portal manage a host no more."""
    return _has(user, REMOVE_HOST)


def may_force(user: Actor, operation: Operation) -> bool:
    """Say whether `user` may force a running operation: it needs the permission of what that amounts to."""
    forced_into = _FORCED_INTO.get(Action(operation.action))
    return forced_into is not None and may(user, forced_into, operation.vm)


def may_steer(user: Actor, operation: Operation) -> bool:
    """Say whether `user` may extend or cancel a running operation: who may ask for it may."""
    return may(user, Action(operation.action), operation.vm)


def require(allowed: bool) -> None:
    """Stop unless allowed.

    Raises:
        PermissionDenied: With a sentence for people.
    """
    if not allowed:
        raise PermissionDenied("You do not have the permission for this.")
