"""The resolver of roles: what one person may do to which VMs, read once and asked by every surface.

Django's own permissions, of people and their groups, hold on the whole portal. Assignments of roles add to them, on the
whole portal or on some VMs only; nothing takes away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import BigIntegerField, Model, Q, UUIDField, Value
from django.db.models.functions import Cast

from vms.models import Assignment, Event, Operation, VirtualMachine

K = TypeVar("K", bound=Hashable)

#: Where an `Access` is kept on the person it is of: for one request, as Django keeps its own permissions.
_KEPT = "_portal_access"


@dataclass(frozen=True, slots=True)
class Access:
    """What a person may do where; verbs are permissions like `vms.reboot_vm`.

    Attributes:
        everything: A superuser.
        everywhere: On every VM, and on the portal itself.
        on_hosts: On the VMs of a host, by its id.
        on_tags: On the VMs that bear a tag, by its id.
        on_vms: On one VM, by its id.
    """

    everything: bool
    everywhere: frozenset[str]
    on_hosts: Mapping[int, frozenset[str]]
    on_tags: Mapping[int, frozenset[str]]
    on_vms: Mapping[UUID, frozenset[str]]

    @property
    def on_some(self) -> bool:
        """True when anything holds on some VMs only."""
        return not self.everything and bool(self.on_hosts or self.on_tags or self.on_vms)

    @property
    def kind(self) -> Hashable:
        """The same for people who may do the same in the same places."""
        if self.everything:
            return True
        return (self.everywhere, *(frozenset(given.items()) for given in (self.on_hosts, self.on_tags, self.on_vms)))

    def to(self, vm: VirtualMachine) -> frozenset[str]:
        """Return the verbs on a VM. Where roles are given by tag, its tags are read (prefetch them for a list)."""
        verbs = self.everywhere | self.on_hosts.get(vm.host_id, frozenset()) | self.on_vms.get(vm.pk, frozenset())
        if self.on_tags:
            verbs = verbs.union(*(self.on_tags.get(tag.pk, frozenset()) for tag in vm.tags.all()))
        return verbs

    def may(self, verb: str, vm: VirtualMachine) -> bool:
        """Say whether a verb holds on a VM."""
        return self.everything or verb in self.to(vm)

    def may_at(self, verb: str, host_id: int) -> bool:
        """Say whether a verb holds on every VM of a host, also on those that are still to come."""
        return self.everything or verb in self.everywhere or verb in self.on_hosts.get(host_id, frozenset())

    def may_somewhere(self, verb: str) -> bool:
        """Say whether a verb may hold on some VM."""
        given = (*self.on_hosts.values(), *self.on_tags.values(), *self.on_vms.values())
        return self.everything or verb in self.everywhere or any(verb in verbs for verbs in given)

    def where(self, verb: str, prefix: str = "") -> Q:
        """Return the condition that a verb holds on a VM.

        Args:
            prefix: The way to the VM from the rows that are filtered, `vm__` for example.
        """
        if self.everything or verb in self.everywhere:
            return Q()
        hosts, tags, vms = (_places(given, verb) for given in (self.on_hosts, self.on_tags, self.on_vms))
        # By ids, so that a VM with two of the tags is not listed twice.
        tagged = VirtualMachine.tags.through.objects.filter(tag__in=tags).values("virtualmachine")
        return Q(**{f"{prefix}host__in": hosts}) | Q(**{f"{prefix}pk__in": tagged}) | Q(**{f"{prefix}pk__in": vms})


_NOBODY = Access(False, frozenset(), {}, {}, {})


def access_of(user: User | AnonymousUser) -> Access:
    """Return what a person may do where; read from the database once for each object that stands for them."""
    if not isinstance(user, User) or not user.is_active:
        return _NOBODY
    kept: Access | None = getattr(user, _KEPT, None)
    if kept is None:
        read_together([user])
        kept = getattr(user, _KEPT)
    return kept


def read_together(users: Iterable[User]) -> None:
    """Read what each of these people may do by a single query; `access_of` asks for none of them afterwards."""
    people = {user.pk: user for user in users if user.is_active}
    given: dict[int, _Given] = {pk: _Given() for pk in people}
    for pk, host, tag, vm, app, codename in _given_to(people.values()):
        if codename is None:
            continue  # a role without verbs
        verb = f"{app}.{codename}"
        if vm is not None:
            given[pk].vms[vm].add(verb)
        elif tag is not None:
            given[pk].tags[tag].add(verb)
        elif host is not None:
            given[pk].hosts[host].add(verb)
        else:
            given[pk].everywhere.add(verb)
    for pk, user in people.items():
        setattr(user, _KEPT, given[pk].access(everything=user.is_superuser))


@dataclass(slots=True)
class _Given:
    """What is read of one person, place by place."""

    everywhere: set[str] = field(default_factory=set)
    hosts: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    tags: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    vms: dict[UUID, set[str]] = field(default_factory=lambda: defaultdict(set))

    def access(self, *, everything: bool) -> Access:
        return Access(
            everything, frozenset(self.everywhere), _frozen(self.hosts), _frozen(self.tags), _frozen(self.vms)
        )


def _given_to(people: Iterable[User]) -> Iterable[tuple[int, int | None, int | None, UUID | None, str, str | None]]:
    """Return whom, at which place (host, tag, VM; none is the whole portal), which permission was given."""
    ids = [user.pk for user in people]
    nowhere = {
        # PostgreSQL wants to be told what each nothing is.
        "at_host": Cast(Value(None), BigIntegerField()),
        "at_tag": Cast(Value(None), BigIntegerField()),
        "at_vm": Cast(Value(None), UUIDField()),
    }
    # Outer joins: a role or group may have no verbs, and of the places at most one is set.
    place, verb = ("host", "tag", "vm"), ("content_type__app_label", "codename")
    own = User.user_permissions.through.objects.filter(user__in=ids).annotate(**nowhere)
    grouped = User.groups.through.objects.filter(user__in=ids).annotate(**nowhere)
    assigned = Assignment.objects.order_by()
    return own.values_list("user", *nowhere, *(f"permission__{name}" for name in verb)).union(
        grouped.values_list("user", *nowhere, *(f"group__permissions__{name}" for name in verb)),
        assigned.filter(user__in=ids).values_list("user", *place, *(f"role__verbs__{name}" for name in verb)),
        assigned.filter(group__user__in=ids).values_list(
            "group__user", *place, *(f"role__verbs__{name}" for name in verb)
        ),
    )


def _places(given: Mapping[Any, frozenset[str]], verb: str) -> list[Any]:
    return [place for place, verbs in given.items() if verb in verbs]


def _frozen(given: Mapping[K, set[str]]) -> dict[K, frozenset[str]]:
    return {key: frozenset(verbs) for key, verbs in given.items()}


class RoleBackend(ModelBackend):
    """Django's own, with roles: `user.has_perm(verb, vm)`, the templates' `perms` and Django admin ask the resolver."""

    def get_user(self, user_id: Any) -> User | None:
        """Return somebody with what they prefer, which every page asks for, by a single query."""
        user = User.objects.select_related("preference").filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None

    def get_all_permissions(self, user_obj: Any, obj: Model | None = None) -> set[str]:
        """Return the verbs on an object: a VM, or what belongs to one; without one, those on the whole portal."""
        access = access_of(user_obj)
        if access.everything:  # who may do everything is not asked what
            return super().get_all_permissions(user_obj)
        vm = _vm_of(obj)
        return set(access.everywhere if vm is None else access.to(vm))


def _vm_of(obj: Model | None) -> VirtualMachine | None:
    match obj:
        case VirtualMachine():
            return obj
        case Operation() | Event():
            return obj.vm
    return None
