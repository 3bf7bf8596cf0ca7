"""The one authority that lets history go: events, and operations with their steps and pictures, once they are old.

How long they are kept is a setting of the portal. Nothing is deleted that is still needed: an operation that runs, the
newest one of each VM, or what somebody is yet to be mailed about or a webhook to be told of. Tokens of the API go when
their time is over. Work is done in small transactions, so that nobody waits for the database; it can be interrupted
anywhere and done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from vms.domain.retention import Keep, cutoff
from vms.engine.records import Code, record
from vms.models import (
    ApiToken,
    Bulk,
    Event,
    ExternalJob,
    Mail,
    Operation,
    PortalDefaults,
    VirtualMachine,
    WebhookDelivery,
)

#: So many rows are deleted in one transaction, and so long others are let in between two, in seconds.
_AT_ONCE = 200
_PAUSE = 0.02
#: When history that should be gone has been kept for this much longer, a night was missed.
_A_NIGHT = timedelta(hours=25)
#: A mail that was sent, and what a webhook was told, is kept for as long as somebody may ask about it.
_POST_KEPT = timedelta(days=30)


@dataclass(slots=True)
class Removed:
    """What a clean-up has removed.

    Attributes:
        all_of_it: Nothing is left that should go; otherwise the time was over.
    """

    events: int = 0
    operations: int = 0
    bulks: int = 0
    jobs: int = 0
    mails: int = 0
    deliveries: int = 0
    vms: int = 0
    tokens: int = 0
    all_of_it: bool = False

    @property
    def history(self) -> int:
        """How many events and operations."""
        return self.events + self.operations


def clean_up(at_most: timedelta | None = None) -> Removed:
    """Delete what is older than it is to be kept, and say in one event how much that was.

    Args:
        at_most: Stop after this long; None: go on until all is gone.
    """
    now, began = timezone.now(), time.monotonic()
    keep = PortalDefaults.load().keeps
    removed = Removed()

    def late() -> bool:
        return at_most is not None and time.monotonic() - began > at_most.total_seconds()

    for name, find in _kinds(cutoff(keep.events, now), cutoff(keep.operations, now), now):
        for count in _delete(find):
            setattr(removed, name, getattr(removed, name) + count)
            if late():
                break
    removed.all_of_it = not late()
    if removed.history:
        _tell(removed, keep)
    return removed


def overdue() -> bool:
    """Say whether a nightly clean-up was missed."""
    now = timezone.now() - _A_NIGHT
    keep = PortalDefaults.load().keeps
    return _old_events(cutoff(keep.events, now)).exists() or _old_operations(cutoff(keep.operations, now)).exists()


def _kinds(
    events_before: datetime | None, operations_before: datetime | None, now: datetime
) -> Iterator[tuple[str, Callable[[], QuerySet[Any]]]]:
    """Yield each kind of row with what finds those to delete; operations before events, which may name them."""
    mails = Mail.objects.filter(created_at__lt=now - _POST_KEPT)
    deliveries = WebhookDelivery.objects.filter(created_at__lt=now - _POST_KEPT)
    yield "operations", lambda: _old_operations(operations_before)
    yield "events", lambda: _old_events(events_before)
    yield "bulks", lambda: _old_bulks(operations_before)
    yield "jobs", lambda: _old_jobs(operations_before)
    yield "mails", lambda: mails.exclude(state__in=Mail.UNSENT)
    yield "deliveries", lambda: deliveries.exclude(state__in=WebhookDelivery.UNDELIVERED)
    yield "vms", lambda: _forgotten(operations_before)
    yield "tokens", lambda: ApiToken.objects.filter(good_until__lt=now)


def _old_events(before: datetime | None) -> QuerySet[Event]:
    # Not the model's own manager, whose rows nobody deletes.
    events: QuerySet[Event] = QuerySet(Event)
    if before is None:
        return events.none()
    untold = WebhookDelivery.objects.filter(event=OuterRef("pk"), state__in=WebhookDelivery.UNDELIVERED)
    return events.filter(~Exists(untold), at__lt=before)


def _old_operations(before: datetime | None) -> QuerySet[Operation]:
    if before is None:
        return Operation.objects.none()
    newer = Operation.objects.filter(vm=OuterRef("vm"), created_at__gt=OuterRef("created_at"))
    unsent = Mail.objects.filter(operation=OuterRef("pk"), state__in=Mail.UNSENT)
    # The age is that of the end; the time of the request has the index.
    ended = Operation.objects.filter(created_at__lt=before, ended_at__lt=before)
    history = Q(vm__removed_at__isnull=False) | Q(vm__host__removed_at__isnull=False)
    return ended.filter(Exists(newer) | history, ~Exists(unsent))


def _old_bulks(before: datetime | None) -> QuerySet[Bulk]:
    """Return the bulks whose operations are all gone."""
    if before is None:
        return Bulk.objects.none()
    return Bulk.objects.filter(~Exists(Operation.objects.filter(bulk=OuterRef("pk"))), created_at__lt=before)


def _old_jobs(before: datetime | None) -> QuerySet[ExternalJob]:
    """Return the jobs of other programs, also those that were never said to have ended."""
    return ExternalJob.objects.filter(started_at__lt=before) if before is not None else ExternalJob.objects.none()


def _forgotten(before: datetime | None) -> QuerySet[VirtualMachine]:
    """Return the VMs that were taken off the portal's list, or whose host was, and that have no history left."""
    if before is None:
        return VirtualMachine.objects.none()
    told = Event.objects.filter(vm=OuterRef("pk"))
    done = Operation.objects.filter(vm=OuterRef("pk"))
    gone = Q(removed_at__lt=before) | Q(host__removed_at__lt=before)
    return VirtualMachine.objects.filter(gone, ~Exists(told), ~Exists(done))


def _delete(find: Callable[[], QuerySet[Any]]) -> Iterator[int]:
    """Delete what is found, a portion in each transaction, and yield how many each portion was."""
    while True:
        with transaction.atomic():
            portion = list(find().order_by("pk").values_list("pk", flat=True)[:_AT_ONCE])
            # Found and deleted under one lock: what came into use meanwhile is not among them.
            find().filter(pk__in=portion).delete()
        if not portion:
            return
        yield len(portion)
        time.sleep(_PAUSE)


def _tell(removed: Removed, keep: Keep) -> None:
    message = (
        f"Old history was cleared away: {removed.operations} operations ({_days(keep.operations)}) and "
        f"{removed.events} events ({_days(keep.events)})."
    )
    record(Code.CLEANED_UP, message)


def _days(days: int) -> str:
    return f"kept for {days} days" if days else "kept for ever"
