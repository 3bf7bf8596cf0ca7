"""The authority on who may do what to which VM, for every surface: pages, stream, console, admin, mail.

Where a verb holds comes from `vms.roles`; which verb something needs is said here.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db.models import Q

from vms.domain.power import Action
from vms.models import Event, Host, Operation, VirtualMachine, Webhook
from vms.roles import access_of

Actor = User | AnonymousUser

VIEW = "vms.view_vm"
ADD = "vms.add_vm"
CHANGE = "vms.change_vm"
CONSOLE = "vms.console_vm"
CHANGE_DEFAULTS = "vms.change_portaldefaults"
VIEW_OPERATIONS = "vms.view_operation"
VIEW_EVENTS = "vms.view_event"
VIEW_HOSTS = "vms.view_host"
ADD_HOST = "vms.add_host"
CHANGE_HOST = "vms.change_host"
REMOVE_HOST = "vms.delete_host"
ASSIGN = "vms.add_assignment"
UNASSIGN = "vms.delete_assignment"
VIEW_ASSIGNMENTS = "vms.view_assignment"
ADD_EVENTS = "vms.add_event"
DELETE_EVENTS = "vms.delete_event"
ADD_TAG = "vms.add_tag"
DELETE_TAG = "vms.delete_tag"
VIEW_PEOPLE = "auth.view_user"
REMOVE_SECOND_FACTOR = "vms.delete_secondfactor"
ADD_WEBHOOK = "vms.add_webhook"
CHANGE_WEBHOOK = "vms.change_webhook"
REMOVE_WEBHOOK = "vms.delete_webhook"

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
    """Say whether a permission holds on the portal itself."""
    return user.is_active and user.has_perm(permission)


def somewhere(user: Actor, permission: str) -> bool:
    """Say whether a permission holds on the portal, or may hold on some VM."""
    return access_of(user).may_somewhere(permission)


def where(user: Actor, permission: str, prefix: str = "") -> Q:
    """Return the condition that a permission holds on a VM.

    Args:
        prefix: The way to the VM from the rows that are filtered, `vm__` for example. Rows without a VM are found by
            those alone who have the permission on the portal.
    """
    return access_of(user).where(permission, prefix)


def read_to_judge(user: Actor, prefix: str = "") -> tuple[str, ...]:
    """Return what a list of VMs prefetches so that judging each of them asks the database for nothing."""
    return (f"{prefix}tags",) if access_of(user).on_tags else ()


def where_hosts(user: Actor) -> Q:
    """Return the condition that `user` may see a host: any, or one that a role was given on."""
    access = access_of(user)
    if access.everything or VIEW_HOSTS in access.everywhere:
        return Q()
    return Q(pk__in=[host for host, verbs in access.on_hosts.items() if VIEW_HOSTS in verbs])


def may(user: Actor, action: Action, vm: VirtualMachine) -> bool:
    """Say whether `user` may do `action` to `vm`."""
    return access_of(user).may(ACTION_PERMISSION[action], vm)


def may_ask(user: Actor, action: Action) -> bool:
    """Say whether there is any VM that `user` may do `action` to."""
    return somewhere(user, ACTION_PERMISSION[action])


def may_view(user: Actor, vm: VirtualMachine | None = None) -> bool:
    """Say whether `user` may see `vm`, or any VM at all."""
    return somewhere(user, VIEW) if vm is None else access_of(user).may(VIEW, vm)


def sees_all(user: Actor) -> bool:
    """Say whether no VM is hidden from `user`."""
    return not where(user, VIEW)


def may_add(user: Actor, host: Host) -> bool:
    """Say whether `user` may add VMs to `host`: who may, and sees there what they have added."""
    access = access_of(user)
    return access.may_at(ADD, host.pk) and access.may_at(VIEW, host.pk)


def may_change(user: Actor, vm: VirtualMachine) -> bool:
    """Say whether `user` may edit `vm` and its policy."""
    return access_of(user).may(CHANGE, vm)


def may_use_console(user: Actor, vm: VirtualMachine) -> bool:
    """Say whether `user` may see the screen of `vm`, and type into it."""
    return access_of(user).may(CONSOLE, vm)


def may_view_operations(user: Actor, vm: VirtualMachine) -> bool:
    """Say whether `user` may see what was done to `vm`."""
    return access_of(user).may(VIEW_OPERATIONS, vm)


def may_view_events(user: Actor, vm: VirtualMachine) -> bool:
    """Say whether `user` may see what happened to `vm`."""
    return access_of(user).may(VIEW_EVENTS, vm)


def may_add_events(user: Actor, vm: VirtualMachine | None = None) -> bool:
    """Say whether `user` may have programs write into the records, of `vm` or of the portal."""
    return _has(user, ADD_EVENTS) if vm is None else access_of(user).may(ADD_EVENTS, vm)


def may_delete_events(user: Actor, vm: VirtualMachine | None = None) -> bool:
    """Say whether `user` may have what programs wrote into the records of `vm`, or of the portal, listed no more."""
    return _has(user, DELETE_EVENTS) if vm is None else access_of(user).may(DELETE_EVENTS, vm)


def may_view_all_operations(user: Actor) -> bool:
    """Say whether no operation is hidden from `user`."""
    return not where(user, VIEW_OPERATIONS)


def may_add_tag(user: Actor) -> bool:
    """Say whether `user` may make a tag: editing a VM makes those that it bears, too."""
    return _has(user, ADD_TAG) or somewhere(user, CHANGE)


def may_delete_tag(user: Actor) -> bool:
    """Say whether `user` may take a tag off all VMs and out of the portal."""
    return _has(user, DELETE_TAG)


def may_view_people(user: Actor) -> bool:
    """Say whether `user` may see who else has an account; who may give roles may."""
    return _has(user, VIEW_PEOPLE) or _has(user, ASSIGN)


def may_see_event(user: Actor, event: Event) -> bool:
    """Say whether `user` may be told of an event: of one without a VM, who may see events on the portal."""
    if event.vm is None:
        return _has(user, VIEW_EVENTS)
    return may_view(user, event.vm) and may_view_events(user, event.vm)


def may_assign(user: Actor, vm: VirtualMachine) -> bool:
    """Say whether `user` may give and take roles on `vm`."""
    return access_of(user).may(ASSIGN, vm)


def may_view_assignments(user: Actor, vm: VirtualMachine) -> bool:
    """Say whether `user` may see who else may do what on `vm`; who may give roles may."""
    return access_of(user).may(VIEW_ASSIGNMENTS, vm) or may_assign(user, vm)


def may_give(user: Actor, verbs: Iterable[str], vm: VirtualMachine) -> bool:
    """Say whether `user` may give these verbs to somebody on `vm`: nobody gives more than they have there."""
    access = access_of(user)
    return may_assign(user, vm) and all(access.may(verb, vm) for verb in verbs)


def may_change_defaults(user: Actor) -> bool:
    """Say whether `user` may change the portal's default policy."""
    return _has(user, CHANGE_DEFAULTS)


def may_give_roles(user: Actor) -> bool:
    """Say whether `user` may give roles anywhere."""
    return _has(user, ASSIGN)


def may_take_roles(user: Actor) -> bool:
    """Say whether `user` may take roles back anywhere."""
    return _has(user, UNASSIGN)


def may_give_anywhere(user: Actor, verbs: Iterable[str]) -> bool:
    """Say whether `user` may give these verbs to somebody anywhere: nobody gives more than they have."""
    return may_give_roles(user) and all(_has(user, verb) for verb in verbs)


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


def may_remove_second_factor(user: Actor, person: User) -> bool:
    """Say whether `user` may let a person log in without codes: oneself, or as a helper; superusers help each other."""
    helps = _has(user, REMOVE_SECOND_FACTOR) and (user.is_superuser or not person.is_superuser)
    return user.is_active and (user == person or helps)


def may_add_webhook(user: Actor) -> bool:
    """Say whether `user` may have events posted somewhere."""
    return _has(user, ADD_WEBHOOK)


def may_change_webhook(user: Actor, webhook: Webhook) -> bool:
    """Say whether `user` may change a webhook and its secret: only one's own, as it tells what its owner may see.

    Superusers, who may see everything, may change all.
    """
    return _has(user, CHANGE_WEBHOOK) and (user.is_superuser or user.pk == webhook.owner_id)


def may_remove_webhook(user: Actor) -> bool:
    """Say whether `user` may remove webhooks, which tells nobody anything."""
    return _has(user, REMOVE_WEBHOOK)


def require(allowed: bool) -> None:
    """Stop unless allowed.

    Raises:
        PermissionDenied: With a sentence for people.
    """
    if not allowed:
        raise PermissionDenied("You do not have the permission for this.")
