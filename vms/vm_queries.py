"""What the tabs of one VM's page read, each a constant number of queries. Whoever may not see the VM is shown nothing.

Beside `vms.queries`, and by its rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import Group, Permission, User
from django.core.paginator import Page, Paginator
from django.db.models import Prefetch, Q

from vms import labels, queries
from vms.domain.usage import drawn
from vms.models import Assignment, Glimpse, Operation, OperationStep, Sample, VirtualMachine
from vms.permissions import Actor

#: Each brings its timeline along.
_OPERATIONS_A_PAGE = 10
#: What permissions on a VM are about; the others of the portal's say nothing of one.
_ABOUT_VMS = ("virtualmachine", "operation", "event", "assignment")
_OURS = (
    Permission.objects.filter(content_type__app_label="vms", content_type__model__in=_ABOUT_VMS)
    .select_related("content_type")
    .order_by("name")
)


def operation_page(viewer: Actor, vm: VirtualMachine, page: str | int | None) -> Page[Operation]:
    """Return one page of a VM's operations with their steps, newest first."""
    rows = (
        queries.operations(viewer)
        .filter(vm=vm)
        .select_related("vm__host", "screen")
        .defer("screen__png")
        .prefetch_related(Prefetch("steps", OperationStep.objects.order_by("number")))
    )
    return Paginator(rows, _OPERATIONS_A_PAGE).get_page(page)


@dataclass(frozen=True, slots=True)
class Grant:
    """That somebody may do something on a VM, and where that comes from.

    Attributes:
        who: The person or group.
        assignment: The role's assignment; None where Django's own permissions of a person or group are the source.
        verbs: What it allows, in words; nothing for a superuser, who may do everything.
        here: It was given on this VM, so it can be taken here.
    """

    who: User | Group
    assignment: Assignment | None
    verbs: tuple[str, ...]
    here: bool = False

    @property
    def of_group(self) -> bool:
        """True for a group."""
        return isinstance(self.who, Group)

    @property
    def everything(self) -> bool:
        """True for a superuser."""
        return isinstance(self.who, User) and self.who.is_superuser


def grants(vm: VirtualMachine) -> list[Grant]:
    """Return everything that lets somebody do something on a VM: roles given on it first, then from farther away."""
    everywhere = Q(host__isnull=True, tag__isnull=True, vm__isnull=True)
    # By ids, so that a VM with two tags lists nothing twice.
    near = Q(vm=vm) | Q(host=vm.host_id) | Q(tag__in=[tag.pk for tag in vm.tags.all()])
    assigned = (
        Assignment.objects.filter(near | everywhere)
        .select_related("role", "user", "group", "host", "tag", "vm")
        .prefetch_related(Prefetch("role__verbs", _OURS))
    )
    roles = [
        Grant(who, each, _names(each.role.verbs.all()), here=each.vm_id is not None)
        for each in sorted(assigned, key=_distance)
        if (who := each.user or each.group) is not None
    ]
    return [*roles, *_of_django()]


def _distance(assignment: Assignment) -> tuple[int, int]:
    places = (assignment.vm_id, assignment.tag_id, assignment.host_id, assignment.pk)
    return next(number for number, place in enumerate(places) if place is not None), assignment.pk


def _of_django() -> Iterable[Grant]:
    """Yield those who have permissions on the whole portal without any role."""
    groups = Group.objects.filter(permissions__in=_OURS.order_by()).distinct().order_by("name")
    for group in groups.prefetch_related(Prefetch("permissions", _OURS, to_attr="ours")):
        yield Grant(group, None, _names(vars(group)["ours"]))
    somehow = Q(is_superuser=True) | Q(user_permissions__in=_OURS.order_by())
    people = User.objects.filter(somehow, is_active=True).distinct().order_by("username")
    for person in people.prefetch_related(Prefetch("user_permissions", _OURS, to_attr="ours")):
        yield Grant(person, None, () if person.is_superuser else _names(vars(person)["ours"]))


def _names(permissions: Iterable[Permission]) -> tuple[str, ...]:
    return tuple(labels.permission(each.codename, each.content_type.name) for each in permissions)


def verb_names(verbs: Iterable[str]) -> tuple[str, ...]:
    """Return what the portal's permissions among these allow, in words."""
    codenames = [name for app, _, name in (verb.partition(".") for verb in verbs) if app == "vms"]
    return _names(_OURS.filter(codename__in=codenames))


def samples(vm: VirtualMachine, since: datetime, resolution: int) -> list[Sample]:
    """Return what a VM used since a moment, oldest first: samples of one resolution, and finer ones for the end."""
    found = Sample.objects.filter(vm=vm, resolution__lte=resolution, at__gte=since)
    return drawn(found, resolution)


def screen(vm: VirtualMachine) -> Glimpse:
    """Return the picture of a VM's screen that was taken last.

    Raises:
        Glimpse.DoesNotExist: There is none.
    """
    return Glimpse.objects.get(vm=vm, kind=Glimpse.Kind.SCREEN, taken_at__isnull=False)
