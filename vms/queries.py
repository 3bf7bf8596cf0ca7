"""What each screen reads: one function a screen, each a constant number of queries whatever the number of rows.

Nothing here changes anything, and nothing here asks a hypervisor: the database holds the last look at every VM. What
somebody may not see is not there for them: each function is told who reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.core.paginator import Page, Paginator
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    Max,
    Model,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    When,
    Window,
)
from django.db.models.expressions import OrderBy
from django.db.models.functions import Coalesce, Lower, RowNumber
from django.utils import timezone

from vms import permissions
from vms.domain.configuration import Change, Configuration
from vms.domain.learned import REMEMBERED, Lessons, times
from vms.domain.observation import Proof
from vms.domain.operation import STAGES_IN_FLIGHT, Outcome, Stage
from vms.domain.power import VmStatus
from vms.engine.records import Code
from vms.models import (
    ApiToken,
    Assignment,
    Bulk,
    BulkRefusal,
    ConfigurationChange,
    Event,
    Host,
    HostCheck,
    Operation,
    OperationQuerySet,
    OperationScreen,
    OperationStep,
    SecondFactor,
    VirtualMachine,
)
from vms.permissions import Actor

PAGE_SIZE = 50
#: The strip below the list names this many running operations; the rest is a link.
STRIP_SIZE = 5
#: So many that have ended are named there too, for so long.
STRIP_RECENT, RECENT = 3, timedelta(minutes=10)

#: The Account page lists so many.
SIGN_INS_SHOWN = 10
API_TOKENS_SHOWN = 100
_SIGN_INS = (Code.USER_LOGGED_IN, Code.LOGIN_FAILED, Code.SECOND_FACTOR_REFUSED, Code.RECOVERY_CODE_USED)

#: Outcomes that a row keeps telling until the VM's next operation: what was asked for did not come true.
TOLD_OUTCOMES = frozenset({Outcome.GAVE_UP, Outcome.FAILED, Outcome.CANCELLED})

_CLEAN = (Outcome.CLEAN_AGENT, Outcome.CLEAN_ACPI)
#: The guest went down because it was asked to: in time, or after nobody waited for it any more.
_CLEANLY_DOWN = Q(outcome__in=_CLEAN) | Q(brought_down__in=_CLEAN) | Q(outcome__in=(Outcome.GAVE_UP, Outcome.CANCELLED))

#: Something waits for a VM's next cold start.
PENDING = Q(pending_count__gt=0) | Q(change_waits=True)

_SORT_KEYS = {
    "name": "name",
    "status": "status",
    "host": "host__name",
    "cpu": "vcpus",
    "memory": "memory",
    "pending": "pending_count",
}

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class VmRow:
    """One VM with its newest operation, and the changes that its host has not stored yet."""

    vm: VirtualMachine
    newest: Operation | None
    waiting: Sequence[ConfigurationChange] = ()

    @property
    def active(self) -> Operation | None:
        """The operation that is running on the VM."""
        return self.newest if self.newest is not None and self.newest.active else None

    @property
    def told(self) -> Operation | None:
        """The last operation, where the VM is not what was asked for."""
        return self.newest if self.newest is not None and self.newest.outcome in TOLD_OUTCOMES else None

    @property
    def changes(self) -> tuple[Change, ...]:
        """What the next cold start will change."""
        return self.vm.pending_with(self.waiting)

    @property
    def current(self) -> Configuration:
        """What its run uses; what the next start will use, where nothing runs."""
        return self.vm.running_with(self.waiting) or self.upcoming

    @property
    def upcoming(self) -> Configuration:
        """What the next cold start will use."""
        return self.vm.upcoming(self.waiting)


@dataclass(frozen=True, slots=True)
class VmBoard:
    """The list of VMs: one page of rows, and what is running anywhere.

    Attributes:
        page: Of the VMs that were found.
        total: How many there are, found or not.
    """

    page: Page[VirtualMachine]
    rows: list[VmRow]
    strip: Strip
    total: int


@dataclass(frozen=True, slots=True)
class Strip:
    """What is running: the requests for several VMs that have not ended, and the oldest operations.

    Attributes:
        recent: The operations that ended last, where there is room for them.
    """

    bulks: list[BulkProgress]
    running: list[Operation]
    running_count: int
    recent: list[Operation]


@dataclass(frozen=True, slots=True)
class BulkProgress:
    """How far a bulk is: how many of its operations are where."""

    bulk: Bulk
    queued: int
    in_flight: int
    ended: int

    @property
    def accepted(self) -> int:
        """How many operations it has."""
        return self.queued + self.in_flight + self.ended

    @property
    def active(self) -> bool:
        """True until all of them have ended."""
        return bool(self.queued or self.in_flight)


@dataclass(frozen=True, slots=True)
class BulkDetail:
    """One bulk with a page of its operations, in the order of the list.

    Attributes:
        outcomes: How many of its operations ended how, in the order of the outcomes.
        refusals: The VMs that it leaves alone.
        missing: VMs that are neither here nor there: the request was interrupted, or is still being taken in.
    """

    progress: BulkProgress
    page: Page[Operation]
    outcomes: list[tuple[Outcome, int]]
    refusals: list[BulkRefusal]
    missing: int


def vm_board(viewer: Actor, condition: Q, sort: str, page: str | int | None) -> VmBoard:
    """Return one page of the VMs that meet a condition.

    Args:
        sort: A column, with a leading minus for the other direction; anything else sorts by name.
        page: Its number; anything else is the first or the last page.
    """
    shown, order = shown_vms(viewer), _order(sort)
    # Both by one query: counting alone reads every VM once.
    counts = shown.aggregate(total=Count("pk"), found=Count("pk", filter=condition) if condition else Count("pk"))
    paginator = Paginator(shown.filter(condition).order_by(*order), PAGE_SIZE)
    paginator.count = counts["found"]
    found = paginator.get_page(page)
    # Counted and ordered by an index alone; the rows of this page are all that is read of the table.
    listed = VirtualMachine.objects.filter(pk__in=cast("QuerySet[VirtualMachine]", found.object_list)).order_by(*order)
    return VmBoard(found, rows_of(listed), strip(viewer), counts["total"])


def match_count(viewer: Actor, condition: Q) -> int:
    """Return how many VMs meet a condition."""
    return shown_vms(viewer).filter(condition).count()


def matching_rows(viewer: Actor, condition: Q, most: int) -> list[VmRow]:
    """Return the VMs that meet a condition with their newest operations, in the list's order; `most` at most."""
    return rows_of(shown_vms(viewer).filter(condition)[:most])


def strip(viewer: Actor) -> Strip:
    """Return what is running anywhere, and what has just ended."""
    # By one query, and by when they ended alone: that is indexed, and null for what has not.
    running = Q(ended_at__isnull=True)
    # What is not listed any more is history.
    recent = Q(ended_at__gte=timezone.now() - RECENT, vm__removed_at=None, vm__host__removed_at=None)
    listed = list(
        Operation.objects.filter(running | recent, permissions.where(viewer, permissions.VIEW, "vm__"))
        .exclude(stage=Stage.QUEUED)
        .annotate(running_count=Window(Count("pk", filter=running)))
        .select_related("vm__host")
        .prefetch_related(*permissions.read_to_judge(viewer, "vm__"))
        .order_by(F("ended_at").desc(nulls_first=True), "created_at", "id")[: STRIP_SIZE + STRIP_RECENT]
    )
    return Strip(
        _running_bulks(viewer),
        running=[operation for operation in listed if operation.active][:STRIP_SIZE],
        running_count=vars(listed[0])["running_count"] if listed else 0,
        recent=[operation for operation in listed if not operation.active][:STRIP_RECENT],
    )


def vm_rows(viewer: Actor, ids: Iterable[UUID]) -> list[VmRow]:
    """Return named VMs with their newest operations, in the list's order; unknown ones are left out."""
    return rows_of(shown_vms(viewer).filter(pk__in=list(ids)))


def rows_of(vms: QuerySet[VirtualMachine], operations: QuerySet[Operation] | None = None) -> list[VmRow]:
    """Return some of `shown_vms` with their newest operations, in their order.

    Args:
        operations: All, with what is to be read of them; everything, unless told otherwise.
    """
    return _rows(vms.select_related("host").prefetch_related("tags"), operations)


def vm_row(viewer: Actor, vm_id: UUID) -> VmRow:
    """Return one VM with its newest operation.

    Raises:
        VirtualMachine.DoesNotExist: There is none of this id.
    """
    rows = vm_rows(viewer, [vm_id])
    if not rows:
        raise VirtualMachine.DoesNotExist
    return rows[0]


def failed_changes(vm: VirtualMachine) -> list[ConfigurationChange]:
    """Return the changes of a VM's configuration that failed since the last one that its host stored, oldest first."""
    changes = ConfigurationChange.objects.filter(vm=vm)
    stored = changes.filter(state=ConfigurationChange.State.APPLIED).aggregate(last=Coalesce(Max("id"), 0))
    return list(changes.filter(state=ConfigurationChange.State.FAILED, id__gt=stored["last"]).order_by("id"))


def known_vm(viewer: Actor, vm_id: UUID) -> VirtualMachine | None:
    """Return a VM, also one that is history only; None where there is none for this person."""
    return VirtualMachine.objects.filter(permissions.where(viewer, permissions.VIEW), pk=vm_id).first()


def any_vm(viewer: Actor) -> bool:
    """Say whether there is any VM at all: an empty list is explained differently then."""
    return shown_vms(viewer).exists()


def any_host() -> bool:
    """Say whether the portal manages any host."""
    return Host.objects.managed().exists()


def operations(viewer: Actor) -> OperationQuerySet:
    """Return the operations on all VMs whose operations somebody may see."""
    return Operation.objects.filter(permissions.where(viewer, permissions.VIEW_OPERATIONS, "vm__"))


def operation_page(viewer: Actor, condition: Q, page: str | int | None) -> Page[Operation]:
    """Return one page of operations, newest first."""
    return _page(operations(viewer).filter(condition).select_related("vm__host"), page)


def operation_detail(viewer: Actor, operation_id: UUID) -> Operation:
    """Return one operation with its journal (`steps`) and its events, oldest first.

    Raises:
        Operation.DoesNotExist: There is none of this id.
    """
    return (
        operations(viewer)
        .select_related("vm__host", "superseded_by", "bulk", "screen")
        .defer("screen__png")
        .prefetch_related(
            Prefetch("steps", OperationStep.objects.order_by("number")),
            Prefetch("events", Event.objects.order_by("id")),
        )
        .get(pk=operation_id)
    )


def bulk_detail(viewer: Actor, bulk_id: UUID, page: str | int | None) -> BulkDetail:
    """Return one bulk: how far it is, and a page of its operations.

    Raises:
        Bulk.DoesNotExist: There is none of this id, or its VMs are all hidden.
    """
    bulk = Bulk.objects.get(pk=bulk_id)
    mine = operations(viewer).filter(bulk=bulk)
    seen = permissions.where(viewer, permissions.VIEW_OPERATIONS, "vm__")
    counts = {
        (Stage(stage), outcome): count
        for stage, outcome, count in mine.order_by().values_list("stage", "outcome").annotate(Count("pk"))
    }
    progress = BulkProgress(
        bulk,
        queued=sum(count for (stage, _), count in counts.items() if stage is Stage.QUEUED),
        in_flight=sum(count for (stage, _), count in counts.items() if stage in STAGES_IN_FLIGHT),
        ended=sum(count for (stage, _), count in counts.items() if stage is Stage.ENDED),
    )
    refused = list(bulk.refusals.filter(seen).select_related("vm", "in_the_way"))
    shown = progress.accepted + len(refused)
    # An empty condition hides nothing.
    hidden = bulk.operations.count() + bulk.refusals.count() - shown if seen else 0
    if hidden and not shown:
        raise Bulk.DoesNotExist
    return BulkDetail(
        progress,
        page=_page(mine.select_related("vm__host").order_by("bulk_position"), page),
        outcomes=[(outcome, counts[ended]) for outcome in Outcome if (ended := (Stage.ENDED, outcome)) in counts],
        refusals=refused,
        missing=bulk.asked_for - shown - hidden,
    )


def operation_screen(viewer: Actor, operation_id: UUID) -> OperationScreen:
    """Return the guest's screen just before an operation powered it off.

    Raises:
        OperationScreen.DoesNotExist: None was kept.
    """
    return OperationScreen.objects.get(pk=operation_id, operation__in=operations(viewer))


def learned(vms: Iterable[VirtualMachine]) -> dict[UUID, Lessons]:
    """Return how long each of these VMs took to shut down cleanly and to return, by its id."""
    ids = [vm.pk for vm in vms]
    if not ids:
        return {}
    shutdowns = _newest_times(ids, _CLEANLY_DOWN, "asked_at", "went_down_at")
    returns = _newest_times(ids, Q(proof=Proof.AGENT), "started_at", "returned_at")
    return {pk: Lessons(times(shutdowns.get(pk, [])), times(returns.get(pk, []))) for pk in ids}


def _newest_times(ids: list[UUID], condition: Q, start: str, end: str) -> dict[UUID, list[float]]:
    """Return the seconds from one moment to another of each VM's newest operations that have both."""
    nth = Window(RowNumber(), partition_by="vm_id", order_by=F("created_at").desc())
    whole = Q(**{f"{start}__isnull": False, f"{end}__isnull": False})
    rows = Operation.objects.filter(condition, whole, vm__in=ids).annotate(nth=nth).filter(nth__lte=REMEMBERED)
    seconds: dict[UUID, list[float]] = {}
    for vm_id, began, ended in rows.values_list("vm_id", start, end):
        seconds.setdefault(vm_id, []).append((ended - began).total_seconds())
    return seconds


def event_page(viewer: Actor, condition: Q, page: str | int | None) -> Page[Event]:
    """Return one page of events, newest first."""
    return _page(events(viewer, condition), page)


def events(viewer: Actor, condition: Q) -> QuerySet[Event]:
    """Return events with their VM, host and operation, newest first."""
    seen = Event.objects.filter(permissions.where(viewer, permissions.VIEW_EVENTS, "vm__"))
    return seen.filter(condition).select_related("vm", "host", "operation")


def sign_ins(viewer: User) -> list[Event]:
    """Return the last times that somebody logged in as the viewer, or tried to, newest first."""
    return list(Event.objects.filter(actor=viewer, code__in=_SIGN_INS)[:SIGN_INS_SHOWN])


def given_roles(viewer: User) -> list[Assignment]:
    """Return which roles the viewer has where, of their own or through their groups."""
    assigned = Assignment.objects.filter(Q(user=viewer) | Q(group__user=viewer)).order_by(Lower("role__name"), "pk")
    return list(assigned.select_related("role", "group", "host", "tag", "vm"))


def two_factor(viewer: User) -> tuple[SecondFactor, int] | None:
    """Return the viewer's second factor, and how many recovery codes are left; None where they have none."""
    factor = SecondFactor.objects.filter(user=viewer).annotate(left=Count("user__recovery_codes")).first()
    return (factor, vars(factor)["left"]) if factor is not None else None


def api_tokens(viewer: User) -> list[ApiToken]:
    """Return the viewer's tokens of the API that are good: those that they have made, then sessions; newest first."""
    made_first = Case(When(kind=ApiToken.Kind.TOKEN, then=0), default=1)
    return list(ApiToken.objects.of(viewer).lasting().order_by(made_first, "-made_at", "-pk")[:API_TOKENS_SHOWN])


def api_token(viewer: User, token_id: int) -> ApiToken:
    """Return one of the viewer's tokens of the API.

    Raises:
        ApiToken.DoesNotExist: They have no such token, or have it no more.
    """
    return ApiToken.objects.of(viewer).lasting().get(pk=token_id)


def hosts(viewer: Actor) -> QuerySet[Host]:
    """Return the hosts, each with how many of its VMs still exist and what happened last.

    As `vm_count`, `last_event` (its sentence) and `last_event_at`.
    """
    newest = Event.objects.filter(host=OuterRef("pk")).order_by("-id")
    return (
        Host.objects.managed()
        .filter(permissions.where_hosts(viewer))
        .annotate(
            vm_count=Count("vms", filter=~Q(vms__status=VmStatus.GONE)),
            last_event=Subquery(newest.values("message")[:1]),
            last_event_at=Subquery(newest.values("at")[:1]),
        )
    )


def host_check(check_id: UUID) -> HostCheck:
    """Return one test of a connection.

    Raises:
        HostCheck.DoesNotExist: There is none of this id.
    """
    return HostCheck.objects.select_related("host").get(pk=check_id)


def shown_vms(viewer: Actor) -> QuerySet[VirtualMachine]:
    """Return the VMs of hosts that the portal manages, but for those taken off the list; the others are history."""
    listed = VirtualMachine.objects.filter(host__removed_at__isnull=True, removed_at__isnull=True)
    return listed.filter(permissions.where(viewer, permissions.VIEW))


def _running_bulks(viewer: Actor) -> list[BulkProgress]:
    def number(condition: Q) -> Count:
        return Count("operations", filter=condition)

    seen = permissions.where(viewer, permissions.VIEW, "vm__")
    active = Operation.objects.filter(seen, bulk=OuterRef("pk")).active()
    bulks = Bulk.objects.filter(Exists(active)).annotate(
        queued=number(Q(operations__stage=Stage.QUEUED)),
        under_way=number(Q(operations__stage__in=STAGES_IN_FLIGHT)),
        ended=number(Q(operations__stage=Stage.ENDED)),
    )
    return [
        BulkProgress(bulk, bulk.queued, bulk.under_way, bulk.ended)
        for bulk in bulks.order_by("created_at")[:STRIP_SIZE]
    ]


def _rows(vms: Iterable[VirtualMachine], operations: QuerySet[Operation] | None = None) -> list[VmRow]:
    listed = list(vms)
    newest = Operation.objects.filter(vm=OuterRef("pk")).order_by("-created_at").values("pk")[:1]
    wanted = VirtualMachine.objects.filter(pk__in=[vm.pk for vm in listed]).values(newest=Subquery(newest))
    operations = Operation.objects.all() if operations is None else operations
    by_vm = {operation.vm_id: operation for operation in operations.filter(pk__in=wanted)}
    for vm in listed:
        if vm.pk in by_vm:
            by_vm[vm.pk].vm = vm  # so that nobody asks the database for it once a row
    waiting = ConfigurationChange.objects.waiting_for(listed)
    return [VmRow(vm, by_vm.get(vm.pk), waiting.get(vm.pk, ())) for vm in listed]


def _order(sort: str) -> tuple[str | OrderBy, ...]:
    descending, column = sort.startswith("-"), sort.removeprefix("-")
    if column == "up":
        # Up for longest first; those that do not run come last either way.
        since = F("running_since")
        return (since.desc(nulls_last=True) if descending else since.asc(nulls_last=True), "name", "id")
    key = _SORT_KEYS.get(column, "name")
    return (f"-{key}" if descending else key, "name", "id")


def _page(rows: QuerySet[M], number: str | int | None) -> Page[M]:
    return Paginator(rows, PAGE_SIZE).get_page(number)
