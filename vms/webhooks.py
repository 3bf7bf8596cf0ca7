"""Tells webhooks of events: each delivery at least once, and twice only where nobody knows whether the first arrived.

A delivery is marked before it is posted and again afterwards, as mails are (`vms.outbox`); one whose second mark is
missing is posted again, under the same id. A receiver that does not answer is left alone for growing times, whatever
waits for it, so that it holds up neither the others nor mail. Whether the owner may see what is told is looked at here,
at the last moment.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from vms import permissions, posting
from vms.domain import webhook as rules
from vms.engine.records import Code, record
from vms.models import Event, Webhook, WebhookDelivery

log = structlog.get_logger(__name__)

#: A delivery that is being posted belongs to its sender for this long: longer than a task may run.
_SENDER_HAS = timedelta(seconds=60)
#: So long at most in one go, and one attempt more: mail waits meanwhile.
_ENOUGH = timedelta(seconds=5)
_LONGEST_ANSWER = 500
_DAYS = rules.GIVE_UP_AFTER // timedelta(days=1)


def deliver_due() -> int:
    """Deliver what is due, the webhooks in turn, and return how many deliveries were taken."""
    now = timezone.now()
    _give_up_old(now)
    taken = 0
    while timezone.now() < now + _ENOUGH and (delivery := _claim_next()) is not None:
        if delivery.event is not None and not permissions.may_see_event(delivery.webhook.owner, delivery.event):
            _end(delivery, WebhookDelivery.State.WITHHELD)
            continue
        _post(delivery)
        taken += delivery.state == WebhookDelivery.State.DELIVERED
    return taken


def _claim_next() -> WebhookDelivery | None:
    """Take the oldest delivery of the webhook whose turn it is: for a while, it is nobody else's to post."""
    now = timezone.now()
    undelivered = WebhookDelivery.objects.filter(state__in=WebhookDelivery.UNDELIVERED, due_at__lte=now)
    due = undelivered.filter(webhook__active=True, webhook__not_before__lte=now).order_by("webhook__tried_at", "pk")
    while (found := due.values("pk", "attempts", "webhook").first()) is not None:
        with transaction.atomic():
            claimed = undelivered.filter(pk=found["pk"], attempts=found["attempts"]).update(
                state=WebhookDelivery.State.SENDING, attempts=found["attempts"] + 1, due_at=now + _SENDER_HAS
            )
            if claimed:
                Webhook.objects.filter(pk=found["webhook"]).update(tried_at=timezone.now())
        if claimed:
            return WebhookDelivery.objects.select_related("webhook__owner", "event__vm", "event__operation").get(
                pk=found["pk"]
            )
    return None


def _post(delivery: WebhookDelivery) -> None:
    """Post a delivery and write down what came of it."""
    webhook, body = delivery.webhook, _body(delivery)
    try:
        answer = posting.post(webhook.url, body, _headers(delivery, body), private=settings.PORTAL_WEBHOOKS_PRIVATE)
    except posting.Unanswered as error:
        _failed(delivery, str(error), in_trouble=True)
        return
    if answer.taken:
        _taken(delivery, str(answer))
    else:
        _failed(delivery, str(answer), in_trouble=answer.in_trouble)


def _headers(delivery: WebhookDelivery, body: bytes) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "User-Agent": "VM-Portal",
        rules.EVENT: str(delivery.event.code) if delivery.event is not None else "test",
        rules.DELIVERY: str(delivery.key),
        rules.ATTEMPT: str(delivery.attempts),
        rules.SIGNATURE: rules.signature(delivery.webhook.secret, int(timezone.now().timestamp()), body),
    }


def _body(delivery: WebhookDelivery) -> bytes:
    told: dict[str, Any] = {"delivery": str(delivery.key), "webhook": delivery.webhook.name}
    if delivery.event is None:
        told["type"] = "test"
    else:
        told |= {"type": "event", "event": _told(delivery.event)}
    return json.dumps(told, ensure_ascii=False).encode()


def _told(event: Event) -> dict[str, Any]:
    """Return an event in the words of the REST API."""
    told: dict[str, Any] = {
        "id": str(event.pk),
        "code": event.code,
        "name": Code(event.code).name,
        "severity": event.severity,
        "time": event.at.isoformat(),
        "description": event.message,
        "correlation_id": event.correlation_id,
        "user": event.actor_name,
    }
    if event.vm is not None:
        told["vm"] = {"id": str(event.vm.pk), "name": event.vm.name}
    if event.operation is not None:
        told["job"] = {"id": str(event.operation.pk), "action": event.operation.action}
    return told


def _taken(delivery: WebhookDelivery, said: str) -> None:
    with transaction.atomic():
        _end(delivery, WebhookDelivery.State.DELIVERED, answer=said[:_LONGEST_ANSWER], delivered_at=timezone.now())
        Webhook.objects.filter(pk=delivery.webhook_id, failures__gt=0).update(
            failures=0, failing_since=None, not_before=timezone.now()
        )


def _failed(delivery: WebhookDelivery, said: str, *, in_trouble: bool) -> None:
    """Put a delivery off, its webhook too where that is in trouble; or switch the webhook off in the end."""
    log.warning("webhook not delivered", delivery=str(delivery.key), attempts=delivery.attempts, said=said)
    now = timezone.now()
    with transaction.atomic():
        webhook = Webhook.objects.select_for_update().filter(pk=delivery.webhook_id).first()
        if webhook is None:
            return  # removed meanwhile, with its deliveries
        due_at = now + rules.retry_gap(delivery.attempts)
        _end(delivery, WebhookDelivery.State.WAITING, answer=said[:_LONGEST_ANSWER], due_at=due_at)
        webhook.failures += 1
        webhook.failing_since = webhook.failing_since or now
        if in_trouble:
            webhook.not_before = now + rules.retry_gap(webhook.failures)
        webhook.save(update_fields=["failures", "failing_since", "not_before"])
        if webhook.active and webhook.failing_since <= now - rules.GIVE_UP_AFTER:
            _switch_off(webhook, said)


def _switch_off(webhook: Webhook, said: str) -> None:
    Webhook.objects.filter(pk=webhook.pk).update(active=False)
    waiting = WebhookDelivery.objects.filter(webhook=webhook, state=WebhookDelivery.State.WAITING)
    count = waiting.update(state=WebhookDelivery.State.GIVEN_UP)
    message = (
        f"Webhook {webhook.name} was switched off: it has taken nothing for {_DAYS} days, and {count} deliveries were "
        f"given up. The last answer: {said[:_LONGEST_ANSWER]} Mend the receiver and switch it on again."
    )
    record(Code.WEBHOOK_DISABLED, message, severity=Event.Severity.WARNING)


def _give_up_old(now: datetime) -> None:
    """Give up what could not be delivered for days, with one event for all of it."""
    with transaction.atomic():
        old = WebhookDelivery.objects.filter(
            state__in=WebhookDelivery.UNDELIVERED, due_at__lte=now, created_at__lte=now - rules.GIVE_UP_AFTER
        )
        if count := old.update(state=WebhookDelivery.State.GIVEN_UP):
            message = f"{count} deliveries to webhooks could not be made within {_DAYS} days and were given up."
            record(Code.WEBHOOK_FAILED, message, severity=Event.Severity.WARNING)


def _end(delivery: WebhookDelivery, state: WebhookDelivery.State, **fields: Any) -> None:
    """Write down what came of an attempt, unless another sender has taken the delivery meanwhile."""
    mine = WebhookDelivery.objects.filter(pk=delivery.pk, attempts=delivery.attempts)
    mine.update(state=state, **fields)
    delivery.state = state
