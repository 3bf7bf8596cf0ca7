"""Thin Celery tasks: an id in, and the engine does the rest. A task that is lost, late or doubled does no harm."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from celery import shared_task
from django.dispatch import receiver
from django.utils import timezone
from kombu.exceptions import OperationalError

from vms import outbox, queues, webhooks
from vms.engine import advance as engine
from vms.engine import bulk, glimpses, retention, sampling
from vms.engine import sweep as sweeping

log = structlog.get_logger(__name__)

#: One clean-up task works for so long and has another one go on: it has to end before its time limit.
CLEAN_UP_FOR = timedelta(seconds=20)


@shared_task(name="vms.advance")
def advance(vm_id: str, since: str | None = None) -> None:
    """Carry the operation of one VM on, unless that was done after `since` (ISO 8601)."""
    engine.advance(UUID(vm_id), datetime.fromisoformat(since) if since else None)


@shared_task(name="vms.sweep")
def sweep() -> None:
    """Wake every operation that is due. Beat sends this every second."""
    now = timezone.now()
    _wake_all(sweeping.due(), now)


@receiver(bulk.released)
def wake_released(vm_ids: Iterable[UUID], **_: object) -> None:
    """Wake operations that have just left the queue of their bulk."""
    _wake_all(vm_ids, timezone.now())


def _wake_all(vm_ids: Iterable[UUID], since: datetime) -> None:
    for vm_id in vm_ids:
        if not wake(vm_id, queue=queues.DUE, since=since):
            # Each attempt may take a second. They all come due again.
            return


@shared_task(name="vms.send_mail")
def send_mail() -> None:
    """Send the mails that are due. Beat sends this every few seconds."""
    outbox.send_due()


@shared_task(name="vms.deliver")
def deliver() -> None:
    """Deliver to webhooks what is due. Beat sends this every few seconds."""
    webhooks.deliver_due()


@shared_task(name="vms.clean_up")
def clean_up(*, catch_up: bool = False) -> None:
    """Let history go that is older than it is to be kept. Beat sends this every night.

    Args:
        catch_up: Only where a night was missed. Beat sends this every hour.
    """
    if not catch_up or retention.overdue():
        removed = retention.clean_up(CLEAN_UP_FOR)
        if not removed.all_of_it:
            clean_up.apply_async(queue=queues.CHORES)


@shared_task(name="vms.forget")
def forget() -> None:
    """Let go what pages show of the last minutes: samples of VMs, and glimpses. Beat sends this every minute."""
    sampling.thin(CLEAN_UP_FOR)
    glimpses.forget()


def wake(vm_id: UUID, queue: str = queues.NOW, *, since: datetime | None = None) -> bool:
    """Have a worker look at a VM soon.

    Args:
        since: A look that began after this moment makes this one needless. Only for wakes that are sent again when
            they turn out to be lost: the moment is compared with another machine's clock, perhaps.

    Returns:
        False when the broker cannot be reached. Nothing is lost: the sweep finds the operation when it is due.
    """
    try:
        advance.apply_async((str(vm_id), since.isoformat() if since else None), queue=queue)
    except OperationalError as error:
        log.warning("broker unreachable; the sweep will find it", vm=str(vm_id), error=str(error))
        return False
    return True
