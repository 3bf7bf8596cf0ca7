"""What programs read by the API beyond what pages read, each a constant number of queries.

Beside `vms.queries`, and by its rules: each function is told who reads, and what they may not see is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group, User
from django.db.models import CharField, Count, F, Q, QuerySet, Value
from django.db.models.functions import Lower

from vms import permissions, queries
from vms.domain.power import VmStatus
from vms.models import Assignment, Event, ExternalJob, Host, Operation, Role, Sample, Tag, VirtualMachine
from vms.permissions import Actor


def vm(viewer: Actor, vm_id: UUID) -> VirtualMachine:
    """Return one VM with its host.

    Raises:
        VirtualMachine.DoesNotExist: There is none of this id.
    """
    return queries.shown_vms(viewer).select_related("host").get(pk=vm_id)


def events(viewer: Actor) -> QuerySet[Event]:
    """Return all events, newest first, with what other programs call theirs; without those that were withdrawn."""
    seen = Event.objects.filter(permissions.where(viewer, permissions.VIEW_EVENTS, "vm__"))
    return seen.filter(external__withdrawn_at__isnull=True).select_related("external")


def external_jobs(viewer: Actor) -> QuerySet[ExternalJob]:
    """Return the jobs of other programs: one's own, or all to those from whom no operation is hidden."""
    everybodys = permissions.may_view_all_operations(viewer)
    return ExternalJob.objects.filter(Q() if everybodys else Q(actor__in=[viewer.pk]))


def jobs(viewer: Actor) -> QuerySet[Any]:
    """Return which jobs there are, newest first: operations, and what other programs do.

    Each as a dict of its `pk`, when it `began`, and its `kind`, which `read_jobs` takes.
    """
    ours = queries.operations(viewer).order_by().values("pk", began=F("created_at"), kind=_word("operation"))
    others = external_jobs(viewer).order_by().values("pk", began=F("started_at"), kind=_word("external"))
    return ours.union(others, all=True).order_by("-began", "-pk")


def read_jobs(listed: list[dict[str, Any]]) -> list[Operation | ExternalJob]:
    """Return the jobs that `jobs` lists, in its order, operations with their VMs."""
    ids = {kind: [each["pk"] for each in listed if each["kind"] == kind] for kind in ("operation", "external")}
    found: dict[UUID, Operation | ExternalJob] = {}
    found |= Operation.objects.select_related("vm").in_bulk(ids["operation"])
    found |= ExternalJob.objects.in_bulk(ids["external"])
    # One may have been cleared away since.
    return [found[each["pk"]] for each in listed if each["pk"] in found]


def _word(text: str) -> Value:
    return Value(text, output_field=CharField())


def hosts(viewer: Actor) -> QuerySet[Host]:
    """Return the hosts, each with how many of its VMs still exist, and run (`vm_count`, `running_count`)."""
    listed = Q(vms__removed_at__isnull=True) & ~Q(vms__status=VmStatus.GONE)
    return (
        Host.objects.managed()
        .filter(permissions.where_hosts(viewer))
        .annotate(
            vm_count=Count("vms", filter=listed),
            running_count=Count("vms", filter=listed & Q(vms__running_since__isnull=False)),
        )
    )


def tags(viewer: Actor) -> QuerySet[Tag]:
    """Return all tags, to everybody who may see any VM."""
    return Tag.objects.all() if permissions.may_view(viewer) else Tag.objects.none()


def people(viewer: Actor) -> QuerySet[User]:
    """Return everybody, to those who may see that; oneself to others."""
    everybody = User.objects.order_by(Lower("username"), "pk")
    return everybody if permissions.may_view_people(viewer) else everybody.filter(pk__in=[viewer.pk])


def groups(viewer: Actor) -> QuerySet[Group]:
    """Return all groups, to those who may see who there is; one's own to others."""
    every = Group.objects.order_by(Lower("name"), "pk")
    return every if permissions.may_view_people(viewer) else every.filter(user__in=[viewer.pk])


def roles(viewer: Actor) -> QuerySet[Role]:
    """Return all roles, to those who may see anywhere who has them; one's own to others."""
    if any(permissions.somewhere(viewer, verb) for verb in (permissions.VIEW_ASSIGNMENTS, permissions.ASSIGN)):
        return Role.objects.all()
    return Role.objects.filter(pk__in=assignments(viewer).order_by().values("role"))


def assignments(viewer: Actor) -> QuerySet[Assignment]:
    """Return who has which role where: one's own, and those on VMs, or the portal, where the viewer may see all."""
    own = Q(user__in=[viewer.pk]) | Q(group__in=Group.objects.filter(user__in=[viewer.pk]).values("pk"))
    verbs = (permissions.VIEW_ASSIGNMENTS, permissions.ASSIGN)
    conditions = [permissions.where(viewer, verb, "vm__") for verb in verbs]
    if not all(conditions):  # no condition: it holds on the whole portal
        return Assignment.objects.all()
    return Assignment.objects.filter(own | conditions[0] | conditions[1])


def assignments_on(viewer: Actor, machine: VirtualMachine) -> QuerySet[Assignment]:
    """Return who has which role on one VM, wherever that comes from."""
    near = Q(vm=machine) | Q(host=machine.host_id) | Q(tag__in=machine.tags.values("pk"))
    everywhere = Q(host__isnull=True, tag__isnull=True, vm__isnull=True)
    seen = assignments(viewer)
    if permissions.may_view_assignments(viewer, machine):
        seen = Assignment.objects.all()
    return seen.filter(near | everywhere)


def newest_sample(machine: VirtualMachine) -> Sample | None:
    """Return what a VM used last in the run that it is in."""
    if machine.running_since is None:
        return None
    return Sample.objects.filter(vm=machine, at__gte=machine.running_since).order_by("-at", "resolution").first()


@dataclass(frozen=True, slots=True)
class Summary:
    """How many there are of what the viewer may see; the active VMs run, the active hosts are connected."""

    vms: int
    active_vms: int
    hosts: int
    active_hosts: int
    users: int


def summary(viewer: Actor) -> Summary:
    """Count what the viewer may see."""
    machines = queries.shown_vms(viewer).aggregate(
        total=Count("pk"), active=Count("pk", filter=Q(running_since__isnull=False))
    )
    all_hosts = Host.objects.managed().filter(permissions.where_hosts(viewer))
    counted = all_hosts.aggregate(total=Count("pk"), active=Count("pk", filter=Q(state=Host.State.CONNECTED)))
    return Summary(
        vms=machines["total"],
        active_vms=machines["active"],
        hosts=counted["total"],
        active_hosts=counted["active"],
        users=people(viewer).count(),
    )
