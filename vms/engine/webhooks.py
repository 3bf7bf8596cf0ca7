"""Writes down which webhooks are to be told of an event, in the transaction that adds the event.

Only rows: what is told is made, and the owner's right to see it looked at, when it is sent (`vms.webhooks`). So no
receiver holds anything up.
"""

from __future__ import annotations

from django.db.models import Q

from vms.models import Event, Webhook, WebhookDelivery


def write(event: Event) -> None:
    """Write a delivery for each webhook that wants to hear of this event."""
    place = Q(tagged_only=False)
    if event.vm_id is not None:
        place |= Q(tags__vms=event.vm_id)
    listening = Webhook.objects.filter(place, active=True).order_by("pk").distinct()
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(webhook=webhook, event=event) for webhook in listening if webhook.chooses(event)
    )
